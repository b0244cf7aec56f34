/* metrics.c - the registry is checked when it is filled, so that writing it out meets nothing that the format forbids. */
#include "common/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

enum { US_PER_SECOND = 1000000 };

struct scale { size_t count; uint64_t bounds[HISTOGRAM_BOUNDS_MAX]; };

#define DECADE(ten) (ten), 2 * (ten), 5 * (ten)
static const struct scale scales[] = {
	[HISTOGRAM_SECONDS] = {27, {DECADE(10ull), DECADE(100ull), DECADE(1000ull), DECADE(10000ull), DECADE(100000ull), DECADE(1000000ull),
		DECADE(10000000ull), DECADE(100000000ull), DECADE(1000000000ull)}},
	[HISTOGRAM_BYTES] = {14, {1ull << 6, 1ull << 8, 1ull << 10, 1ull << 12, 1ull << 14, 1ull << 16, 1ull << 18, 1ull << 20, 1ull << 22, 1ull << 24,
		1ull << 26, 1ull << 28, 1ull << 30, 1ull << 32}},
};

void histogram_observe(struct histogram *h, uint64_t value)
{
	const struct scale *scale = &scales[h->unit];
	size_t i = 0;

	while (i < scale->count && value > scale->bounds[i]) i++;
	atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t total = 0;

	for (size_t i = 0; i <= scales[h->unit].count; i++) total += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
	return total;
}

/* ---- filling ---- */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/* A metric's name may have colons, a label's may not. */
static enum status check_name(const char *name, bool colons, struct report *report)
{
	if (!name) return report_set(report, STATUS_USAGE, "a metric or a label without a name");
	if (strlen(name) > METRICS_NAME_MAX) return report_set(report, STATUS_LIMIT, "a metric's name passes %d bytes (METRICS_NAME_MAX)", METRICS_NAME_MAX);
	for (size_t i = 0; i == 0 || name[i]; i++)
		if (!is_letter(name[i]) && !(colons && name[i] == ':') && !(i > 0 && name[i] >= '0' && name[i] <= '9'))
			return report_set(report, STATUS_USAGE, "'%s' cannot be the name of a metric or a label: letters, digits and _, no digit first", name);
	return STATUS_OK;
}

static enum status check_label(const struct metrics_label *label, struct report *report)
{
	enum status status = check_name(label->name, false, report);

	if (status != STATUS_OK) return status;
	if (!strncmp(label->name, "__", 2) || !strcmp(label->name, "le"))
		return report_set(report, STATUS_USAGE, "the label '%s' has a meaning of its own in Prometheus: choose another", label->name);
	if (!label->value) return report_set(report, STATUS_USAGE, "the label '%s' has no value", label->name);
	if (strlen(label->value) > METRICS_VALUE_MAX)
		return report_set(report, STATUS_LIMIT, "the value of label '%s' passes %d bytes (METRICS_VALUE_MAX)", label->name, METRICS_VALUE_MAX);
	return STATUS_OK;
}

static enum status check_series(const struct metrics *m, const struct metrics_series *s, struct report *report)
{
	enum status status = check_name(s->name, true, report);

	if (status != STATUS_OK) return status;
	if (!s->help) return report_set(report, STATUS_USAGE, "metric '%s' has no help", s->name);
	if (strlen(s->help) > METRICS_HELP_MAX) return report_set(report, STATUS_LIMIT, "the help of metric '%s' passes %d bytes (METRICS_HELP_MAX)", s->name, METRICS_HELP_MAX);
	if (!!s->counter + !!s->gauge + !!s->histogram != 1)
		return report_set(report, STATUS_USAGE, "metric '%s' has to be one of counter, gauge and histogram", s->name);
	for (size_t i = 0; i < METRICS_LABELS_MAX && s->labels[i].name; i++) {
		status = check_label(&s->labels[i], report);
		if (status != STATUS_OK) return status;
		bool twice = m->common.name && !strcmp(m->common.name, s->labels[i].name);
		for (size_t j = 0; j < i; j++) twice |= !strcmp(s->labels[j].name, s->labels[i].name);
		if (twice) return report_set(report, STATUS_USAGE, "metric '%s' has the label '%s' twice", s->name, s->labels[i].name);
	}
	return STATUS_OK;
}

static bool same_labels(const struct metrics_series *a, const struct metrics_series *b)
{
	for (size_t i = 0; i < METRICS_LABELS_MAX; i++) {
		const struct metrics_label *x = &a->labels[i], *y = &b->labels[i];
		if (!x->name != !y->name) return false;
		if (!x->name) return true;
		if (strcmp(x->name, y->name) || strcmp(x->value, y->value)) return false;
	}
	return true;
}

/* Does it go with what is there already? */
static enum status check_family(const struct metrics *m, const struct metrics_series *s, struct report *report)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct metrics_series *other = &m->series[i];
		if (strcmp(other->name, s->name)) continue;
		if (!other->counter != !s->counter || !other->gauge != !s->gauge || strcmp(other->help, s->help))
			return report_set(report, STATUS_CONFLICT, "metric '%s' is there already, of another kind or with another help", s->name);
		if (same_labels(other, s)) return report_set(report, STATUS_EXISTS, "metric '%s' is there already, with the same labels", s->name);
		if (strcmp(m->series[m->count - 1].name, s->name))
			return report_set(report, STATUS_CONFLICT, "metric '%s': add all its series one after another", s->name);
	}
	return STATUS_OK;
}

enum status metrics_init(struct metrics *m, const struct metrics_label *common, struct report *report)
{
	enum status status = common ? check_label(common, report) : STATUS_OK;

	if (status != STATUS_OK) return status;
	m->common = common ? *common : (struct metrics_label){NULL, NULL};
	m->count = 0;
	return STATUS_OK;
}

enum status metrics_add(struct metrics *m, const struct metrics_series *series, struct report *report)
{
	if (m->count == METRICS_SERIES_MAX)
		return report_set(report, STATUS_LIMIT, "more than %d series in one registry of metrics (METRICS_SERIES_MAX)", METRICS_SERIES_MAX);
	enum status status = check_series(m, series, report);
	if (status == STATUS_OK) status = check_family(m, series, report);
	if (status == STATUS_OK) m->series[m->count++] = *series;
	return status;
}

/* ---- writing ---- */

/* A text with each backslash and line feed escaped, and each quote where it stands between quotes. */
static enum status write_escaped(struct buf *out, const char *text, bool quoted)
{
	enum status status = STATUS_OK;

	for (; *text && status == STATUS_OK; text++) {
		if (*text == '\n')
			status = buf_append(out, "\\n", 2);
		else if (*text == '\\' || (quoted && *text == '"'))
			status = buf_printf(out, "\\%c", *text);
		else
			status = buf_append(out, text, 1);
	}
	return status;
}

static enum status write_label(struct buf *out, const char *before, const struct metrics_label *label)
{
	enum status status = buf_printf(out, "%s%s=\"", before, label->name);

	if (status == STATUS_OK) status = write_escaped(out, label->value, true);
	return status == STATUS_OK ? buf_append(out, "\"", 1) : status;
}

/* name_suffix{labels} and a space. `bound` is the label le, or NULL. */
static enum status write_head(const struct metrics *m, const struct metrics_series *s, const char *suffix, const char *bound, struct buf *out)
{
	const char *before = "{";
	struct metrics_label le = {"le", bound};
	enum status status = buf_printf(out, "%s%s", s->name, suffix);

	if (status == STATUS_OK && m->common.name) {
		status = write_label(out, before, &m->common);
		before = ",";
	}
	for (size_t i = 0; i < METRICS_LABELS_MAX && s->labels[i].name && status == STATUS_OK; i++) {
		status = write_label(out, before, &s->labels[i]);
		before = ",";
	}
	if (bound && status == STATUS_OK) {
		status = write_label(out, before, &le);
		before = ",";
	}
	if (status != STATUS_OK) return status;
	return *before == ',' ? buf_append(out, "} ", 2) : buf_append(out, " ", 1);
}

enum { DECIMAL_SIZE = 32 };

/* Exactly, in the unit that people see: 1500000 us are 1.5. */
static void decimal(enum histogram_unit unit, uint64_t value, char out[DECIMAL_SIZE])
{
	if (unit == HISTOGRAM_BYTES) {
		snprintf(out, DECIMAL_SIZE, "%" PRIu64, value);
		return;
	}
	int n = snprintf(out, DECIMAL_SIZE, "%" PRIu64 ".%06" PRIu64, value / US_PER_SECOND, value % US_PER_SECOND);
	while (out[n - 1] == '0') out[--n] = 0;
	if (out[n - 1] == '.') out[n - 1] = 0;
}

static enum status write_histogram(const struct metrics *m, const struct metrics_series *s, struct buf *out)
{
	const struct histogram *h = s->histogram;
	const struct scale *scale = &scales[h->unit];
	char number[DECIMAL_SIZE];
	uint64_t so_far = 0;
	enum status status = STATUS_OK;

	for (size_t i = 0; i <= scale->count && status == STATUS_OK; i++) {
		so_far += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		if (i < scale->count) decimal(h->unit, scale->bounds[i], number);
		status = write_head(m, s, "_bucket", i < scale->count ? number : "+Inf", out);
		if (status == STATUS_OK) status = buf_printf(out, "%" PRIu64 "\n", so_far);
	}
	decimal(h->unit, atomic_load_explicit(&h->sum, memory_order_relaxed), number);
	if (status == STATUS_OK) status = write_head(m, s, "_sum", NULL, out);
	if (status == STATUS_OK) status = buf_printf(out, "%s\n", number);
	if (status == STATUS_OK) status = write_head(m, s, "_count", NULL, out);
	return status == STATUS_OK ? buf_printf(out, "%" PRIu64 "\n", so_far) : status;
}

static bool is_zero(const struct metrics_series *s)
{
	if (s->counter) return counter_value(s->counter) == 0;
	return s->gauge ? gauge_value(s->gauge) == 0 : histogram_count(s->histogram) == 0;
}

static enum status write_family(const struct metrics_series *s, struct buf *out)
{
	enum status status = buf_printf(out, "# HELP %s ", s->name);

	if (status == STATUS_OK) status = write_escaped(out, s->help, false);
	if (status != STATUS_OK) return status;
	return buf_printf(out, "\n# TYPE %s %s\n", s->name, s->counter ? "counter" : s->gauge ? "gauge" : "histogram");
}

static enum status write_series(const struct metrics *m, const struct metrics_series *s, struct buf *out)
{
	if (s->histogram) return write_histogram(m, s, out);
	enum status status = write_head(m, s, "", NULL, out);
	if (status != STATUS_OK) return status;
	if (s->counter) return buf_printf(out, "%" PRIu64 "\n", counter_value(s->counter));
	return buf_printf(out, "%" PRId64 "\n", gauge_value(s->gauge));
}

enum status metrics_write(const struct metrics *m, struct buf *out)
{
	const char *family = ""; /* its head stands in the text */
	size_t before = out->size;
	enum status status = STATUS_OK;

	for (size_t i = 0; i < m->count && status == STATUS_OK; i++) {
		const struct metrics_series *s = &m->series[i];
		if (s->sparse && is_zero(s)) continue;
		if (strcmp(family, s->name)) status = write_family(s, out);
		family = s->name;
		if (status == STATUS_OK) status = write_series(m, s, out);
	}
	if (status != STATUS_OK) out->size = before;
	return status;
}
