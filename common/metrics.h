/* metrics.h - named counters, gauges and histograms, updated from any thread without locks and written out as text.
 *
 * A counter, gauge or histogram is plain memory of whoever counts: a member of its struct, all zeros to begin. Updating it is one or two
 * relaxed atomic additions: no lock, no allocation, no error. So a pure module may count; what is counted there is decided by its events.
 *
 * A registry gives them names. It is filled at start by one thread (metrics_add) and never changed after; then any thread may write it out,
 * while others count. Each value is read once, at some moment of the writing: values of one text may be a few events apart, and a histogram's
 * _sum may be an event apart from its _count; buckets, +Inf and _count of one histogram always agree with each other.
 *
 * The text is Prometheus' exposition format, version 0.0.4: HELP and TYPE once for each family, label values escaped, buckets cumulative.
 * Durations are counted in microseconds, sizes in bytes; both are integers, so sums lose nothing; the text gives durations in seconds. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"

enum {
	METRICS_SERIES_MAX = 512, /* in one registry */
	METRICS_LABELS_MAX = 2,   /* of one series, besides the registry's own */
	METRICS_NAME_MAX = 100,   /* bytes of a metric's or a label's name */
	METRICS_VALUE_MAX = 200,  /* bytes of a label's value */
	METRICS_HELP_MAX = 300,   /* bytes of a help text */
	HISTOGRAM_BOUNDS_MAX = 27,
};

/* Bounds of the buckets are fixed: 1, 2, 5 in each decade from 10 us to 5,000 s; powers of 4 from 64 bytes to 4 GiB. */
enum histogram_unit { HISTOGRAM_SECONDS, HISTOGRAM_BYTES };

struct counter { _Atomic uint64_t value; }; /* only grows */
struct gauge { _Atomic int64_t value; };
struct histogram {
	enum histogram_unit unit; /* set before the first observation */
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1], sum; /* of each bucket alone; the last has no bound */
};

/* Any thread. */
static inline void counter_add(struct counter *c, uint64_t n) { atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed); }
static inline uint64_t counter_value(const struct counter *c) { return atomic_load_explicit(&c->value, memory_order_relaxed); }
static inline void gauge_set(struct gauge *g, int64_t value) { atomic_store_explicit(&g->value, value, memory_order_relaxed); }
static inline void gauge_add(struct gauge *g, int64_t n) { atomic_fetch_add_explicit(&g->value, n, memory_order_relaxed); }
static inline int64_t gauge_value(const struct gauge *g) { return atomic_load_explicit(&g->value, memory_order_relaxed); }
/* Microseconds or bytes. A value at a bound belongs to that bound's bucket. */
void histogram_observe(struct histogram *h, uint64_t value);
uint64_t histogram_count(const struct histogram *h);

struct metrics_label { const char *name, *value; };

/* One line of the text, or the lines of one histogram. Series of one name are a family: they are added one after another, with the same
 * help, and differ in their labels' values. All pointers are borrowed for the registry's life; texts are UTF-8. */
struct metrics_series {
	const char *name, *help;
	struct metrics_label labels[METRICS_LABELS_MAX]; /* up to the first without a name */
	/* exactly one: */
	const struct counter *counter;
	const struct gauge *gauge;
	const struct histogram *histogram;
	bool sparse; /* left out while it is zero: for families of hundreds, most of which never happen */
};

struct metrics {
	struct metrics_label common; /* in every series: which process this is */
	size_t count;
	struct metrics_series series[METRICS_SERIES_MAX];
};

/* `common` may be NULL. Without a common label, series of two processes on one machine cannot be told apart. */
MUST_CHECK enum status metrics_init(struct metrics *m, const struct metrics_label *common, struct report *report);
/* LIMIT: METRICS_SERIES_MAX, or a text past its bound; USAGE: a name that Prometheus does not take, or not exactly one value; CONFLICT: a
 * family that is split, or of two kinds or helps; EXISTS: the same labels again. Then nothing was added. */
MUST_CHECK enum status metrics_add(struct metrics *m, const struct metrics_series *series, struct report *report);
/* Appends to *out; on failure (NO_MEMORY) it is what it was. */
MUST_CHECK enum status metrics_write(const struct metrics *m, struct buf *out);

#endif
