/* SPDX-License-Identifier: Apache-2.0
 *
 * log/append.h - what is given to a log to be written: whole record batches, who sends them, and where the answer goes.
 *
 * A set is written whole or not at all.  Its batches are v2, validated by record/ before (CRC, framing, timestamps, compression); offsets,
 * partition leader epoch and the append time are put in by the log at the moment of the write, in the caller's bytes.  Role and leader
 * epoch, producer epochs and sequences are decided at that moment too, so nothing that was true when the set was queued is relied upon.
 *
 * Ownership  The set and its bytes are the caller's, alive and untouched from log_append until the answer (DONE, or `done` has begun).
 * Threads    `done` runs on `loop`, exactly once, when log_append answered LOG_PENDING and never when it answered LOG_DONE; never from
 *            inside log_append.  With loop == NULL it runs on the thread that wrote the set, without locks (tests, workers).
 */
#ifndef LOG_APPEND_H
#define LOG_APPEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/kerr.h"
#include "event/loop.h"
#include "record/validate.h"

struct log;

enum append_origin {
	APPEND_CLIENT,		/* a Produce: offsets assigned here, producer epoch and sequence checked, duplicates recognised */
	APPEND_COORDINATOR,	/* group and transaction coordinators, transaction markers: offsets assigned here, epochs checked, no sequences */
	APPEND_REPLICATION,	/* fetched from the leader: offsets as given, gaps allowed, first >= end offset; producer faults only warned about */
};

struct append_result {
	enum kerr error;		/* NONE: written (or a duplicate of what was) */
	bool	  duplicate;		/* nothing was written; the offsets are those of the first time */
	bool	  settled;		/* it can be acknowledged now; else (group commit) when log_settled_offset has passed last_offset */
	int64_t	  base_offset;		/* of the first record; -1 on error */
	int64_t	  last_offset;		/* of the last record; -1 on error */
	int64_t	  log_append_time_ms;	/* LogAppendTime topics: the time put into the batches; a duplicate: its stored timestamp; else -1 */
	int64_t	  log_start_offset;	/* at the time of the write; -1 on error */
	char	  message[192];		/* words for error_message and diagnostics; "" when there is nothing to say */
};

struct append_set {
	/* ---- filled by the caller ---- */
	uint8_t		  *records;		/* whole batches; headers are patched in place */
	uint32_t	   len;			/* their bytes; > 0 */
	enum append_origin origin;
	int32_t		   leader_epoch;	/* the set is refused (NOT_LEADER_OR_FOLLOWER) unless the log has this epoch at the write */
	bool		   acks_all;		/* refuse with NOT_ENOUGH_REPLICAS while the log's role says min ISR is not met */
	const struct record_info *info;		/* APPEND_CLIENT: what record_validate or record_rebuild said of the one batch; else NULL (the
						 * batches of coordinators are complete but for offset, epoch and append time) */
	bool		   log_append_time;	/* topic has message.timestamp.type=LogAppendTime */
	bool		   txn_verified;	/* transactional: the coordinator confirmed the partition, or verification is switched off */
	struct loop	  *loop;
	void		 (*done)(struct append_set *);
	/* ---- the answer ---- */
	struct append_result result;
	/* ---- private to log/ ---- */
	STAILQ_ENTRY(append_set) link;
	struct task	   task;
};

enum log_append_status {
	LOG_DONE,	/* result is filled; done will not be called */
	LOG_PENDING,	/* done will be called */
};

/* Queues the set and, when nobody else holds the log, writes it now.  A log whose directory is one of several is written by a thread of that
 * directory, so that the caller never waits for a disk: PENDING.  Sets of one log are written in the order queued.
 * A full queue (LIMIT_LOG_QUEUE_BYTES_MAX) is LOG_DONE with REQUEST_TIMED_OUT: nothing was or will be written. */
enum log_append_status log_append(struct log *, struct append_set *) MUST_CHECK;

#endif
