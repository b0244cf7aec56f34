/* meta_thread.c - the metadata store's own thread. The inbox it reads is opened on that thread, so starting waits until it
 * says that it runs; after that the two only exchange pointers. A NULL-context stop message ends it in order.
 *
 * A store may fail a commit that it made all the same: the disk failed behind the last write, or an answer was lost. The core would
 * go on with the version from before, and each later change of that record would be a conflict until the next start. So the thread
 * reads the record again before it answers; as long as not even that works it waits, and the commits behind it with it: their askers
 * have deadlines. Rejected: telling the core to doubt, which is one more state in everything that changes the map. */
#include "coordinator/meta.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"

#define ASK_NAME "meta-ask"
enum { READ_AGAIN_US = 200000 }; /* between two tries to read what became of a commit */

struct meta_thread {
	struct net *net;
	struct meta_store *store;
	const char *answers_name;
	struct net_outbox *ask; /* the starter's end */
	pthread_t thread;
	sem_t started;
	enum status start_status;
	_Atomic bool stopping;
};

/* What travels to the thread: a commit, or NULL for "stop". */
struct ask { struct meta_commit *commit; };

void meta_records_free(struct meta_record **records, size_t count)
{
	for (size_t i = 0; i < count; i++) free((*records)[i].value);
	free(*records);
	*records = NULL;
}

void meta_commit_free(struct meta_commit **commit)
{
	if (!*commit) return;
	for (size_t i = 0; i < (*commit)->count; i++) free((*commit)->changes[i].value);
	free(*commit);
	*commit = NULL;
}

/* ---- what became of a commit ---- */

/* All changes were made or none, so one of them tells; one that leaves a record tells its version as well. */
static const struct meta_change *telling_change(const struct meta_commit *commit)
{
	for (size_t i = 0; i < commit->count; i++)
		if (!commit->changes[i].remove) return &commit->changes[i];
	return &commit->changes[0];
}

/* Read again: was it made? Then the commit becomes a success. A status other than OK: it cannot be read now. */
static enum status outcome_read(struct meta_store *store, struct meta_commit *commit)
{
	const struct meta_change *change = telling_change(commit);
	struct meta_record record = {.version = 0};
	struct report unread;
	enum status status = store->ops->get(store, change->key, &record, &unread);
	bool made = false;
	if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
	if (change->remove)
		made = status == STATUS_NOT_FOUND && change->expected != 0;
	else if (status == STATUS_OK && record.version != change->expected)
		made = record.size == change->size && memcmp(record.value, change->value, record.size) == 0;
	free(record.value);
	if (made) {
		log_warn("a metadata commit failed but was made: %s", report_text(&commit->report));
		commit->report = (struct report){.status = STATUS_OK};
		commit->version = record.version;
	}
	return STATUS_OK;
}

static void outcome_settle(struct meta_thread *t, struct meta_commit *commit)
{
	bool told = false;
	if (commit->report.status == STATUS_OK || commit->report.status == STATUS_CONFLICT) return;
	while (outcome_read(t->store, commit) != STATUS_OK && !atomic_load(&t->stopping)) {
		if (!told) log_error("%s; whether it was made cannot be read yet", report_text(&commit->report));
		told = true;
		clock_sleep_us(READ_AGAIN_US);
	}
}

/* ---- the thread ---- */

static void commits_run(struct meta_thread *t, struct net_inbox *inbox, struct net_outbox *answers)
{
	struct net_poll poll = {.inbox = inbox, .fd = -1};
	for (;;) {
		struct ask *ask = net_take(inbox);
		if (!ask) {
			if (net_wait(&poll, 1, UINT64_MAX) != STATUS_OK) log_warn("waiting for metadata commits failed");
			continue;
		}
		struct meta_commit *commit = ask->commit;
		free(ask);
		if (!commit) return;
		t->store->ops->commit(t->store, commit);
		outcome_settle(t, commit);
		void *answer = commit;
		/* Without this answer the loop would wait for ever; the memory to say it is all that can be missing. */
		if (net_post(answers, &answer) != STATUS_OK) log_error("a metadata answer could not be handed over");
	}
}

static void *thread_main(void *arg)
{
	struct meta_thread *t = arg;
	struct net_inbox *inbox = NULL;
	struct net_outbox *answers = NULL;
	enum status status = net_inbox_open(t->net, ASK_NAME, &inbox);
	if (status == STATUS_OK) status = net_outbox_open(t->net, t->answers_name, &answers);
	t->start_status = status;
	sem_post(&t->started);
	if (status == STATUS_OK) commits_run(t, inbox, answers);
	net_outbox_close(&answers);
	net_inbox_close(&inbox);
	return NULL;
}

enum status meta_thread_start(struct net *net, struct meta_store **take, const char *answers_name, struct meta_thread **ret)
{
	struct meta_thread *t = calloc(1, sizeof(*t));
	sigset_t all, before;
	if (!t) return STATUS_NO_MEMORY;
	t->net = net;
	t->store = *take;
	t->answers_name = answers_name;
	require(sem_init(&t->started, 0, 0) == 0);
	/* Signals are the loop's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	enum status status = failed ? STATUS_NO_MEMORY : STATUS_OK;
	if (status == STATUS_OK) {
		while (sem_wait(&t->started) != 0) {
		}
		status = t->start_status;
		if (status == STATUS_OK) status = net_outbox_open(net, ASK_NAME, &t->ask);
		if (status != STATUS_OK && t->start_status != STATUS_OK) pthread_join(t->thread, NULL);
	}
	if (status != STATUS_OK) {
		sem_destroy(&t->started);
		/* The thread runs and cannot be told to stop only if its outbox could not be opened: the process is ending then. */
		if (failed || t->start_status != STATUS_OK) free(t);
		return status;
	}
	*take = NULL;
	*ret = t;
	return STATUS_OK;
}

static enum status ask_post(struct meta_thread *t, struct meta_commit *commit)
{
	struct ask *ask = malloc(sizeof(*ask));
	void *message = ask;
	if (!ask) return STATUS_NO_MEMORY;
	ask->commit = commit;
	enum status status = net_post(t->ask, &message);
	if (status != STATUS_OK) free(ask);
	return status;
}

enum status meta_thread_commit(struct meta_thread *t, struct meta_commit **take)
{
	enum status status = ask_post(t, *take);
	if (status == STATUS_OK) *take = NULL;
	return status;
}

void meta_thread_stop(struct meta_thread **thread)
{
	struct meta_thread *t = *thread;
	if (!t) return;
	atomic_store(&t->stopping, true);
	if (ask_post(t, NULL) == STATUS_OK)
		pthread_join(t->thread, NULL);
	else
		log_error("the metadata thread could not be told to stop");
	net_outbox_close(&t->ask);
	t->store->ops->close(&t->store);
	sem_destroy(&t->started);
	free(t);
	*thread = NULL;
}
