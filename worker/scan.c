/* scan.c - a page of a scan: the live items of one shard from an id on, in the order of their ids, until the limit or SCAN_BYTES_MAX.
 *
 * A page is one piece of work for the search threads, as a get is, or a few while a memtable is put in order: it never waits for the writer, and the snapshot it pins goes with it. So a
 * scan is no snapshot of the shard, but ids only ascend from page to page: what stays is seen once. When the deadline comes a page ends with
 * what it has; it fails only if it has nothing to say. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "worker/task.h"

struct scan_job { struct pool_job job; struct task task; struct held *held; bool again; }; /* job first; again: not answered yet */

struct page {
	uint32_t n;
	size_t row; /* bytes of a vector; 0: not asked for */
	bool payloads, keys; /* some item has one */
	uint64_t next;
	bool more;
	struct buf ids, vectors, payload_lengths, payload_bytes, key_lengths, key_bytes;
};

static void page_release(struct page *p)
{
	buf_release(&p->ids);
	buf_release(&p->vectors);
	buf_release(&p->payload_lengths);
	buf_release(&p->payload_bytes);
	buf_release(&p->key_lengths);
	buf_release(&p->key_bytes);
}

static enum status append_blob(struct buf *lengths, struct buf *bytes, struct blob blob)
{
	uint8_t size[4];

	store_u32(size, blob.size);
	enum status status = buf_append(lengths, size, sizeof(size));
	return status == STATUS_OK ? buf_append(bytes, blob.bytes, blob.size) : status;
}

static enum status page_add(struct page *p, const struct item_view *item)
{
	uint8_t id[8];

	store_u64(id, item->id);
	enum status status = buf_append(&p->ids, id, sizeof(id));
	if (status == STATUS_OK) status = buf_append(&p->vectors, item->vector, p->row);
	if (status == STATUS_OK) status = append_blob(&p->payload_lengths, &p->payload_bytes, item->payload);
	if (status == STATUS_OK) status = append_blob(&p->key_lengths, &p->key_bytes, item->key);
	p->payloads = p->payloads || item->payload.size;
	p->keys = p->keys || item->key.size;
	p->n++;
	return status;
}

static enum status page_fill(struct page *p, const struct cluster_scan *ask, struct scan *scan)
{
	struct item_view item;
	size_t bytes = 0;

	for (;;) {
		enum scan_step step = scan_next(scan, &item, &p->next);
		p->more = step != SCAN_END;
		if (step != SCAN_ITEM) return STATUS_OK;
		if (!ask->with_payload) item.payload = (struct blob){0};
		bytes += 8 + p->row + 4 + item.payload.size + 4 + item.key.size;
		if (p->n == ask->limit || (p->n && bytes > SCAN_BYTES_MAX)) {
			p->next = item.id;
			return STATUS_OK;
		}
		enum status status = page_add(p, &item);
		if (status != STATUS_OK) return status;
	}
}

static struct blobs page_blobs(const struct page *p, bool any, const struct buf *lengths, const struct buf *bytes)
{
	return any ? (struct blobs){p->n, lengths->bytes, bytes->bytes, bytes->size} : (struct blobs){0};
}

static void page_answer(struct scan_job *s, const struct page *p)
{
	const struct shard_identity *identity = shard_identity(s->held->shard);
	struct cluster_reply answer = {
		.scan = {
			.items = {
				.n = p->n, .dtype = metric_dtype(identity->metric), .dim = p->row ? identity->dim : 0, .ids = p->ids.bytes, .vectors = p->vectors.bytes,
				.payloads = page_blobs(p, p->payloads, &p->payload_lengths, &p->payload_bytes),
				.keys = page_blobs(p, p->keys, &p->key_lengths, &p->key_bytes),
			},
			.more = p->more, .next = p->more ? p->next : 0,
		},
	};

	task_answer(&s->task, &answer);
}

static enum status scan_answer(struct scan_job *s, struct page *p, struct pool_thread *thread, struct report *report)
{
	const struct cluster_scan *ask = &s->task.request.scan;
	const struct shard_identity *identity = shard_identity(s->held->shard);
	struct search_pulse pulse;
	struct snapshot *snapshot = NULL;
	struct scan *scan = NULL;
	enum status status = snapshot_pin(s->held->shard, &snapshot, report);

	if (status != STATUS_OK) return status;
	search_pulse_init(&pulse, s->task.deadline_us, &s->held->closing, thread->progress);
	p->row = ask->with_vector ? dtype_row_bytes(metric_dtype(identity->metric), identity->dim) : 0;
	status = scan_open(snapshot, ask->from, &pulse.pulse, &scan);
	if (status == STATUS_OK) status = page_fill(p, ask, scan);
	s->again = status == STATUS_BUSY;
	if (status == STATUS_OK) page_answer(s, p);
	else if (s->again) status = STATUS_OK; /* more is to be put in order: at the end of the queue, behind the searches that wait */
	else if (status == STATUS_TIMEOUT) report_set(report, status, "the deadline passed while unbuilt items were put in order: ask again, or allow more time");
	else report_set(report, status, "the worker has no memory for a page of a scan: ask for fewer items at once");
	scan_close(&scan);
	snapshot_release(&snapshot);
	return status;
}

static void scan_run(struct pool_job *job, size_t piece, struct pool_thread *thread)
{
	struct scan_job *s = (struct scan_job *)job;
	struct page page = {0};
	struct report why = {0};
	s->again = false;
	enum status status = clock_us() >= s->task.deadline_us ? report_set(&why, STATUS_TIMEOUT, "the deadline passed before the scan began")
							       : scan_answer(s, &page, thread, &why);

	why.status = status;
	if (status != STATUS_OK) task_refuse(&s->task, &why);
	page_release(&page);
}

static void scan_finish(struct pool_job *job, struct pool_thread *thread)
{
	struct scan_job *s = (struct scan_job *)job;
	struct report why;

	if (s->again) {
		enum status status = pool_submit(s->task.parts->pool, job);
		if (status == STATUS_OK) return;
		report_set(&why, status, "the worker has %d searches in queue: try again a little later", POOL_JOBS_MAX);
		task_refuse(&s->task, &why);
	}
	shard_table_done(s->task.parts->table, s->held);
	task_release(&s->task);
	free(s);
}

void scan_start(struct task *take)
{
	struct report why = {0};
	struct scan_job *s = calloc(1, sizeof(*s));
	enum status status = s ? STATUS_OK : report_set(&why, STATUS_NO_MEMORY, "the worker has no memory for the request");

	if (status == STATUS_OK) status = shard_table_use(take->parts->table, take->request.scan.shard, &s->held, &why);
	if (status == STATUS_OK) {
		s->job = (struct pool_job){.pieces = 1, .run = scan_run, .finish = scan_finish};
		s->task = *take;
		*take = (struct task){0};
		status = pool_submit(s->task.parts->pool, &s->job);
		if (status == STATUS_OK) return;
		report_set(&why, status, "the worker has %d searches in queue: try again a little later", POOL_JOBS_MAX);
		shard_table_done(s->task.parts->table, s->held);
		*take = s->task;
	}
	task_refuse(take, &why);
	task_release(take);
	free(s);
}
