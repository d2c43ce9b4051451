/* SPDX-License-Identifier: Apache-2.0
 *
 * log/read.h - reading a log: ranges of bytes for Fetch, offsets by time for ListOffsets.
 *
 * Cold pages log_read with no_wait looks before it reads index and headers.  (A guess: pages may go in between.  Transactions that were aborted are
 *            read from their index all the same.)  When it says cold, log_warm on a worker, and read again.
 * Threads    log_read takes no lock.  The calling thread is registered with base/reclaim and online (loops are; workers while they run a
 *            job; tests call reclaim_thread_register).  It touches at most a few pages of an index and a few batch headers, which can
 *            block on a cold page; log_offset_for_time inflates batches: call it on a worker.
 * Ownership  The result owns a reference to its file (log_read_result_fini, or move `range` into a chain).  The list of aborted
 *            transactions lives in the arena.
 * Failure    OFFSET_OUT_OF_RANGE; KAFKA_STORAGE_ERROR when the directory is offline or fails now.
 */
#ifndef LOG_READ_H
#define LOG_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/kerr.h"
#include "base/slice.h"

struct log;

enum log_bound {
	LOG_BOUND_END,			/* followers: up to the end offset */
	LOG_BOUND_HIGH_WATERMARK,	/* consumers, read_uncommitted */
	LOG_BOUND_LAST_STABLE,		/* consumers, read_committed: also lists aborted transactions */
};

struct log_read_options {
	int64_t	       offset;		/* the first record wanted; the range may begin with earlier records of the same batch */
	uint64_t       bytes_max;
	bool	       min_one;		/* at least one whole batch, even above bytes_max */
	bool	       no_wait;		/* say `cold` instead of waiting for a disk */
	enum log_bound bound;
};

struct aborted_txn {
	int64_t producer_id;
	int64_t first_offset;
};

struct log_read_result {
	bool		    cold;		/* no_wait: there is something, and it is not in memory.  The offsets are filled in */
	struct file_range   range;		/* file NULL and len 0: nothing between offset and the bound */
	int64_t		    segment_base;	/* where the range begins: base offset of the segment ... */
	int64_t		    first_offset;	/* ... and base offset of the first batch in the range (-1 when empty) */
	uint32_t	    first_batch_len;	/* whole bytes of that batch; range.len may be smaller when !min_one */
	int64_t		    end_offset, high_watermark, last_stable_offset, log_start_offset;	/* one consistent look */
	struct aborted_txn *aborted;
	uint32_t	    naborted;
};

enum kerr log_read(struct log *, const struct log_read_options *, struct arena *, struct log_read_result *) MUST_CHECK;
void	  log_read_result_fini(struct log_read_result *);
void	  log_warm(struct log *, int64_t offset, enum log_bound);	/* worker: brings into memory what log_read looks at */

/* Bytes from `offset` up to the bound, for fetch.min.bytes: cheap, may be an estimate across segments; 0 when out of range. */
uint64_t  log_bytes_available(struct log *, int64_t offset, enum log_bound);

/* ---- ListOffsets ---- */
#define LOG_TIME_LATEST		(-1)	/* answered by the caller from the bound it needs; here: the end offset */
#define LOG_TIME_EARLIEST	(-2)
#define LOG_TIME_MAX		(-3)	/* the record with the largest timestamp */
#define LOG_TIME_EARLIEST_LOCAL	(-4)
#define LOG_TIME_LATEST_TIERED	(-5)	/* no tiered storage: not found */

struct log_time_offset {
	bool	found;
	int64_t timestamp_ms;	/* of the record; -1 for EARLIEST and LATEST */
	int64_t offset;
	int32_t leader_epoch;	/* of that offset; -1 unknown */
};
/* ListOffsets v0 thinks in files: where each segment begins (not below the log start) and when its file was last changed, oldest first;
 * behind them the end offset and now, when the newest segment holds anything.  worker.  Rows in the arena; false: it is full. */
struct log_file_time {
	int64_t offset, time_ms;
};
bool	  log_file_times(struct log *, struct arena *, struct log_file_time **rows, uint32_t *n) MUST_CHECK;

enum kerr log_offset_for_time(struct log *, int64_t timestamp_ms, struct log_time_offset *) MUST_CHECK;

#endif
