/* exposition.c - see exposition.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/exposition.h"

/* ---- one line ---- */

static const char *take_name(const char *at, bool colons, char *out)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_' || (colons && at[n] == ':')) n++;
	assert_true(n > 0 && n < SAMPLE_TEXT_MAX && !isdigit((unsigned char)at[0]));
	memcpy(out, at, n);
	out[n] = 0;
	return at + n;
}

/* From behind the opening quote to behind the closing one. */
static const char *take_value(const char *at, char *out)
{
	size_t n = 0;

	for (; *at != '"'; at++) {
		assert_true(*at && n + 1 < SAMPLE_TEXT_MAX);
		if (*at == '\\') {
			at++;
			assert_true(*at == '\\' || *at == '"' || *at == 'n');
			out[n++] = *at == 'n' ? '\n' : *at;
		} else {
			out[n++] = *at;
		}
	}
	out[n] = 0;
	return at + 1;
}

static void read_sample(const char *line, struct sample *s)
{
	char *end;
	const char *at = take_name(line, true, s->name);

	s->label_count = 0;
	if (*at == '{') {
		do {
			assert_true(s->label_count < SAMPLE_LABELS_MAX);
			at = take_name(at + 1, false, s->labels[s->label_count].name);
			assert_true(at[0] == '=' && at[1] == '"');
			at = take_value(at + 2, s->labels[s->label_count++].value);
		} while (*at == ',');
		assert_int_equal(*at++, '}');
	}
	assert_int_equal(*at++, ' ');
	assert_true(strlen(at) > 0 && strlen(at) < SAMPLE_TEXT_MAX && !strchr(at, ' '));
	strcpy(s->number, at);
	s->value = strtod(at, &end);
	assert_int_equal(*end, 0);
}

/* ---- the whole ---- */

static const char *label_of(const struct sample *s, const char *name)
{
	for (size_t i = 0; i < s->label_count; i++)
		if (!strcmp(s->labels[i].name, name)) return s->labels[i].value;
	return NULL;
}

/* All but le. */
static bool same_series(const struct sample *a, const struct sample *b)
{
	size_t counted_a = a->label_count - (label_of(a, "le") != NULL), counted_b = b->label_count - (label_of(b, "le") != NULL);

	if (counted_a != counted_b) return false;
	for (size_t i = 0; i < a->label_count; i++) {
		const char *other = label_of(b, a->labels[i].name);
		if (strcmp(a->labels[i].name, "le") && (!other || strcmp(other, a->labels[i].value))) return false;
	}
	return true;
}

static void nothing_is_there_twice(const struct exposition *e)
{
	for (size_t i = 0; i < e->count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct sample *a = &e->samples[i], *b = &e->samples[j];
			const char *x = label_of(a, "le"), *y = label_of(b, "le");
			assert_false(!strcmp(a->name, b->name) && same_series(a, b) && (!x || !y || !strcmp(x, y)));
		}
}

/* The samples of one histogram series from `first`, a bucket, on; returns the index after its _count. */
static size_t check_histogram(const struct exposition *e, size_t first, const char *family)
{
	const struct sample *s = &e->samples[first];
	double bound = -INFINITY, so_far = 0;
	char name[SAMPLE_TEXT_MAX + 16];
	size_t i = first;

	snprintf(name, sizeof(name), "%s_bucket", family);
	for (; i < e->count && !strcmp(e->samples[i].name, name) && same_series(s, &e->samples[i]); i++) {
		const char *le = label_of(&e->samples[i], "le");
		assert_non_null(le);
		assert_true(strtod(le, NULL) > bound);
		bound = strtod(le, NULL);
		assert_true(e->samples[i].value >= so_far);
		so_far = e->samples[i].value;
	}
	assert_true(i > first && isinf(bound));
	assert_true(i + 1 < e->count && same_series(s, &e->samples[i]) && same_series(s, &e->samples[i + 1]));
	snprintf(name, sizeof(name), "%s_sum", family);
	assert_string_equal(e->samples[i].name, name);
	snprintf(name, sizeof(name), "%s_count", family);
	assert_string_equal(e->samples[i + 1].name, name);
	assert_true(e->samples[i + 1].value == so_far);
	return i + 2;
}

/* The samples of one family, which are the last that were read. */
static void check_family(const struct exposition *e, size_t first, const char *family, const char *type)
{
	assert_true(e->count > first);
	if (!strcmp(type, "histogram")) {
		for (size_t i = first; i < e->count;) i = check_histogram(e, i, family);
		return;
	}
	assert_true(!strcmp(type, "counter") || !strcmp(type, "gauge"));
	for (size_t i = first; i < e->count; i++) {
		assert_string_equal(e->samples[i].name, family);
		assert_null(label_of(&e->samples[i], "le"));
		assert_true(strcmp(type, "counter") || e->samples[i].value >= 0);
	}
}

/* What stands in the lines before a family's samples, and where these begin. */
struct head { char helped[SAMPLE_TEXT_MAX], typed[SAMPLE_TEXT_MAX], type[SAMPLE_TEXT_MAX]; size_t first; };

static void read_comment(struct exposition *e, struct head *h, const char *line)
{
	const char *at;

	if (!strncmp(line, "# HELP ", 7)) {
		if (e->families) check_family(e, h->first, h->typed, h->type);
		at = take_name(line + 7, true, h->helped);
		assert_int_equal(*at, ' ');
		for (; *at; at++)
			if (*at == '\\') {
				at++;
				assert_true(*at == '\\' || *at == 'n');
			}
		/* Not begun before. */
		for (size_t i = 0; i < e->count; i++) assert_string_not_equal(e->samples[i].family, h->helped);
		h->first = e->count;
		return;
	}
	assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
	at = take_name(line + 7, true, h->typed);
	assert_string_equal(h->typed, h->helped);
	assert_int_equal(e->count, h->first);
	assert_int_equal(*at, ' ');
	snprintf(h->type, sizeof(h->type), "%s", at + 1);
	e->families++;
}

void exposition_read(struct exposition *e, const char *text, size_t size)
{
	struct head *h = calloc(1, sizeof(*h));
	char *line = calloc(1, size + 1);

	*e = (struct exposition){.samples = calloc(SAMPLES_MAX, sizeof(*e->samples))};
	assert_non_null(e->samples);
	assert_non_null(line);
	assert_non_null(h);
	assert_null(memchr(text, 0, size));
	for (const char *at = text, *end; at < text + size; at = end + 1) {
		end = memchr(at, '\n', (size_t)(text + size - at));
		assert_non_null(end); /* the last line is whole too */
		memcpy(line, at, (size_t)(end - at));
		line[end - at] = 0;
		if (*line == '#') {
			read_comment(e, h, line);
			continue;
		}
		assert_true(e->families > 0 && e->count < SAMPLES_MAX);
		strcpy(e->samples[e->count].family, h->typed);
		read_sample(line, &e->samples[e->count++]);
	}
	if (e->families) check_family(e, h->first, h->typed, h->type);
	nothing_is_there_twice(e);
	free(line);
	free(h);
}

void exposition_release(struct exposition *e)
{
	free(e->samples);
	*e = (struct exposition){0};
}

/* ---- looking ---- */

static bool fits(const struct sample *s, const char *name, const char *labels)
{
	char copy[SAMPLE_TEXT_MAX], *rest;

	if (strcmp(s->name, name)) return false;
	snprintf(copy, sizeof(copy), "%s", labels ? labels : "");
	for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(word, '=');
		assert_non_null(value);
		*value++ = 0;
		const char *found = label_of(s, word);
		if (!found || strcmp(found, value)) return false;
	}
	return true;
}

const struct sample *exposition_find(const struct exposition *e, const char *name, const char *labels)
{
	const struct sample *found = NULL;

	for (size_t i = 0; i < e->count; i++) {
		if (!fits(&e->samples[i], name, labels)) continue;
		if (found) return NULL;
		found = &e->samples[i];
	}
	return found;
}

double exposition_value(const struct exposition *e, const char *name, const char *labels)
{
	const struct sample *s = exposition_find(e, name, labels);

	if (!s) fail_msg("there is not just one %s{%s}", name, labels ? labels : "");
	return s->value;
}

double exposition_sum(const struct exposition *e, const char *name, const char *labels)
{
	double sum = 0;

	for (size_t i = 0; i < e->count; i++)
		if (fits(&e->samples[i], name, labels)) sum += e->samples[i].value;
	return sum;
}
