/* io_sim.h - a disk in memory that fails, tears and forgets.
 *
 * What is modelled, each as unkindly as POSIX allows:
 * - A write is in the page cache only, by sectors of 512 bytes. sync makes a file's data and size durable; sync_dir makes the names of one
 *   folder durable. A power cut keeps what is durable; of the rest, each dirty sector, each size and each name independently
 *   stays or goes, by the seed. A grown file whose sectors went holds zeros there.
 *   Before a truncate or a remove the kernel may have written out, of itself, what these take away.
 * - A failed sync leaves the file's dirty sectors readable and marks them clean: a later sync succeeds and writes nothing
 *   of them. Only bytes written anew can become durable (fsyncgate).
 * - A failed write leaves a prefix of its bytes. A full disk too. Another failed call changes nothing.
 * - A mapping is a copy, aligned to 4096.
 *
 * Calls are counted, and the n-th from now on can be told to fail (once or from there on), or to be the one in which the power
 * goes: from then on every call fails with STATUS_IO, as for a process that is no more, until io_sim_power_on(). Every call but
 * close, unmap and phase counts. Out of memory ends the test program. Any thread. */
#ifndef SUPPORT_IO_SIM_H
#define SUPPORT_IO_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/io.h"

enum io_sim_op {
	SIM_OPEN, SIM_SIZE, SIM_READ, SIM_WRITE, SIM_TRUNCATE, SIM_SYNC, SIM_MAP, SIM_RENAME, SIM_REMOVE, SIM_MAKE_DIR, SIM_REMOVE_DIR,
	SIM_SYNC_DIR, SIM_LIST, SIM_FREE_BYTES, SIM_LOCK, SIM_OP_COUNT,
};
#define SIM_ANY (~0u)
#define SIM_ONLY(op) (1u << (op))

struct io_sim;

struct io_sim *io_sim_new(uint64_t seed);
void io_sim_free(struct io_sim **sim); /* no handle or mapping may be left */
struct io *io_sim_io(struct io_sim *sim);

/* The n-th call from now (0: the next) among those of `ops` fails with `status`; `forever`: it and all of `ops` after it. */
void io_sim_fail_at(struct io_sim *sim, unsigned ops, uint64_t n, enum status status, bool forever);
/* The power goes during the n-th call from now: that call is half done. */
void io_sim_cut_at(struct io_sim *sim, uint64_t n);
/* No faults from here on. True if the one that was asked for did happen. */
bool io_sim_heal(struct io_sim *sim);
/* Cut the power now, if it is still on, and start again: what survived is all that is there, all durable. Old handles fail. */
void io_sim_power_on(struct io_sim *sim, uint64_t seed);
/* Bytes that all files together may have; writing more is STATUS_DISK_FULL. */
void io_sim_capacity(struct io_sim *sim, uint64_t bytes);

uint64_t io_sim_calls(struct io_sim *sim, enum io_sim_op op); /* since io_sim_new */
/* Files whose failed sync was followed by another one, since power_on: within one life of a process, P13 wants none. */
uint64_t io_sim_syncs_after_failure(struct io_sim *sim);
/* Counted calls that were made in that phase, and power cuts that fell into it. */
uint64_t io_sim_phase_calls(struct io_sim *sim, enum io_phase phase);
uint64_t io_sim_phase_cuts(struct io_sim *sim, enum io_phase phase);

#endif
