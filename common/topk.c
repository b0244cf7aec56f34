/* topk.c - a binary max-heap ordered by hit_cmp, sorted in place at the end. */
#include "common/topk.h"

#include <math.h>

float hit_raw(float raw) { return isfinite(raw) ? raw : INFINITY; }

int hit_cmp(const struct hit *a, const struct hit *b)
{
	if (a->raw != b->raw) return a->raw < b->raw ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* The hole at `at` sinks until `h` may stand there. */
static void sink(struct hit *heap, size_t count, size_t at, struct hit h)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && hit_before(heap[child], heap[child + 1])) child++;
		if (!hit_before(h, heap[child])) break;
		heap[at] = heap[child];
	}
	heap[at] = h;
}

void topk_init(struct topk *t, struct hit *memory, size_t capacity) { *t = (struct topk){.hits = memory, .capacity = capacity}; }

void topk_push(struct topk *t, struct hit h)
{
	if (t->count == t->capacity) {
		if (t->count && hit_before(h, t->hits[0])) sink(t->hits, t->count, 0, h);
		return;
	}
	size_t at = t->count++;
	for (size_t parent; at > 0 && hit_before(t->hits[parent = (at - 1) / 2], h); at = parent) t->hits[at] = t->hits[parent];
	t->hits[at] = h;
}

void topk_sort(struct topk *t)
{
	for (size_t n = t->count; n > 1; n--) {
		struct hit last = t->hits[n - 1];
		t->hits[n - 1] = t->hits[0];
		sink(t->hits, n - 1, 0, last);
	}
}

size_t hits_merge(const struct hit *a, size_t na, const struct hit *b, size_t nb, struct hit *out, size_t k)
{
	size_t n = 0, i = 0, j = 0;

	while (n < k && (i < na || j < nb)) {
		int order = i == na ? 1 : j == nb ? -1 : hit_cmp(&a[i], &b[j]);
		out[n++] = order <= 0 ? a[i] : b[j];
		i += order <= 0;
		j += order >= 0;
	}
	return n;
}
