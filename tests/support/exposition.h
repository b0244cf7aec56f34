/* exposition.h - a small reader of Prometheus' text format 0.0.4, written from its description and sharing no code with common/metrics.c.
 *
 * It holds a text to the format and fails the test where it breaks it: names, escapes and numbers; HELP and TYPE once, before the samples of
 * their family, families in one piece; no sample twice; of each histogram buckets that grow, the last +Inf and equal to _count. */
#ifndef TESTS_SUPPORT_EXPOSITION_H
#define TESTS_SUPPORT_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMPLES_MAX = 4096, SAMPLE_TEXT_MAX = 512, SAMPLE_LABELS_MAX = 5 };

struct sample {
	char family[SAMPLE_TEXT_MAX], name[SAMPLE_TEXT_MAX];
	size_t label_count;
	struct { char name[SAMPLE_TEXT_MAX], value[SAMPLE_TEXT_MAX]; } labels[SAMPLE_LABELS_MAX]; /* unescaped */
	char number[SAMPLE_TEXT_MAX];
	double value;
};

struct exposition {
	size_t count, families;
	struct sample *samples;
};

/* A text of so many bytes; fails the test if it is not one. */
void exposition_read(struct exposition *e, const char *text, size_t size);
void exposition_release(struct exposition *e);
/* The sample of that name that has all these labels, written as a=b,c=d ("" or NULL: any); NULL if there is none or more than one. */
const struct sample *exposition_find(const struct exposition *e, const char *name, const char *labels);
/* Its value; fails the test where there is not just one. */
double exposition_value(const struct exposition *e, const char *name, const char *labels);
/* The sum over all samples of that name with these labels; 0 where there are none. */
double exposition_sum(const struct exposition *e, const char *name, const char *labels);

#endif
