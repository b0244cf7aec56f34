/* topk.h - the k best hits, and hit_cmp(), the only ordering of results in the system. */
#ifndef COMMON_TOPK_H
#define COMMON_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hit {
	uint64_t id;
	float raw; /* vec.h; never NaN: hit_raw() first */
};

/* NaN and infinities sort as +inf. */
float hit_raw(float raw);
/* By (raw, id), both ascending: negative, zero, positive. */
int hit_cmp(const struct hit *a, const struct hit *b);
/* The same order as a predicate for inner loops. */
static inline bool hit_before(struct hit a, struct hit b) { return a.raw < b.raw || (a.raw == b.raw && a.id < b.id); }

/* A bounded max-heap over memory that the caller owns. Not thread-safe. */
struct topk {
	struct hit *hits; /* capacity entries; a heap until topk_sort() */
	size_t count, capacity;
};

void topk_init(struct topk *t, struct hit *memory, size_t capacity); /* capacity may be 0: keeps nothing */
void topk_push(struct topk *t, struct hit h);
/* True if a hit at this raw distance could still enter: lets a scan skip without building a hit. */
static inline bool topk_admits(const struct topk *t, float raw) { return t->count < t->capacity || (t->capacity && raw <= t->hits[0].raw); }
/* Ascending by hit_cmp; the heap is consumed, t->hits[0 .. t->count) is the answer. */
void topk_sort(struct topk *t);
/* The k best of two sorted lists into out (capacity k); returns the count. Equal (raw, id) pairs are kept once. */
size_t hits_merge(const struct hit *a, size_t na, const struct hit *b, size_t nb, struct hit *out, size_t k);

#endif
