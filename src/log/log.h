/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log.h - the log of one partition replica: appended at its end, read below its end, cut at both.
 *
 * A log is a row of segments (files of batches with their indexes), a map of producers, the history of leader epochs, and four offsets:
 *	log start offset <= last stable offset <= high watermark <= end offset
 * The log keeps them; replica/ decides the role, the leader epoch and the high watermark, clients and retention the start.
 *
 * Moves      Another log, in another directory, may take a log's place at any time (log_dirs_move.c).  What was appended or told to the old one by then
 *            (role, leader epoch, options, topic id, a start offset) has gone over; what is from then on goes to the new one.  So these may be told to
 *            whichever is at hand.  Who reads goes on in the old one until he looks for the new.
 *
 * Ownership  log_dirs creates logs and holds one reference; whoever keeps a pointer across loop turns takes its own (log_ref).
 * Threads    "any": takes at most a short lock.  "worker": reads, writes or syncs files, and may wait for the set being written.
 *            Reads take no lock (log/read.h).  Append is asynchronous (log/append.h): one queue per log, whoever owns the log drains it.
 * Failure    An error of the disk takes the whole log directory offline (struct log_events): from then on every call answers
 *            KAFKA_STORAGE_ERROR (or ERR_OFFLINE) and changes nothing.  A failed sync is never tried again.
 */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/kerr.h"
#include "base/uuid.h"
#include "log/append.h"
#include "log/read.h"

struct log;

/* Topic configuration as a log needs it; the names are those of the topic keys. */
struct log_options {
	int64_t segment_ms, segment_jitter_ms;
	int64_t retention_ms;			/* -1: no limit */
	int64_t retention_bytes;		/* -1: no limit */
	int64_t flush_messages, flush_ms;	/* INT64_MAX: never */
	int64_t file_delete_delay_ms;
	int64_t producer_expiration_ms;		/* producer.id.expiration.ms */
	int32_t segment_bytes;
	int32_t segment_index_bytes;
	int32_t index_interval_bytes;
	bool	preallocate;
	bool	cleanup_delete, cleanup_compact;	/* cleanup.policy */
};
void log_options_default(struct log_options *);		/* Kafka's defaults */

/* ---- identity ---- */
struct log *log_ref(struct log *);
void	    log_unref(struct log **);
const char *log_topic(const struct log *);
int32_t	    log_partition(const struct log *);
const char *log_dir(const struct log *);		/* the log directory (one of log.dirs) that holds it */
/* The directory is one of several, so whoever works for others, too, must not wait for its disk: log_read with no_wait; log_warm by its readers. */
bool	    log_is_apart(const struct log *);
struct workers *log_readers(const struct log *);	/* NULL: nobody */
struct workers *log_syncers(const struct log *);	/* who waits for its disk when roles change and logs go; likewise */
bool	    log_is_future(const struct log *);		/* it is filled to replace the log of its name in another directory */
const char *log_path(const struct log *);		/* its own directory; changes when the log is deleted */
struct uuid log_topic_id(const struct log *);		/* UUID_ZERO: none stored */
/* worker.  Stores partition.metadata when there is none; ERR_CONFLICT when another id is stored. */
enum err    log_set_topic_id(struct log *, struct uuid, struct errbuf *) MUST_CHECK;
void	    log_set_options(struct log *, const struct log_options *);	/* any; takes effect with the next append or retention pass */
/* any.  The reference (or NULL) becomes one to what has taken the log's place in another directory, if something has. */
void	    log_follow_move(struct log **);

/* ---- the four offsets, and sizes: any thread, no lock ---- */
int64_t	 log_start_offset(const struct log *);
int64_t	 log_end_offset(const struct log *);
int64_t	 log_high_watermark(const struct log *);
int64_t	 log_last_stable_offset(const struct log *);	/* min(high watermark, first offset of an undecided transaction) */
int64_t	 log_recovery_point(const struct log *);	/* everything below is on stable storage */
/* With group commit (log_dirs_options.sync_appends): records below survive a loss of power.  Without: the end offset.  No record at or above may be
 * acknowledged, nor shown to a consumer: replica/ lets the high watermark go no further. */
int64_t	 log_settled_offset(const struct log *);
uint64_t log_size(const struct log *);			/* bytes of all data files */
uint32_t log_segment_count(const struct log *);
bool	 log_is_offline(const struct log *);

/* ---- decided by replica/ ---- */
struct log_role {
	bool	leader;		/* false: only APPEND_REPLICATION is taken; true: everything but that */
	bool	min_isr_met;	/* false: sets with acks_all are refused */
	int32_t leader_epoch;	/* sets of another epoch are refused */
};
/* worker or control loop; waits for the one set being written, if any.  When it returns, no set accepted under another role or epoch is
 * or will be written; such sets that were queued complete with NOT_LEADER_OR_FOLLOWER (min_isr_met alone completes nothing).  A new
 * log takes nothing until this was called once. */
void	 log_set_role(struct log *, const struct log_role *);
void	 log_set_min_isr_met(struct log *, int32_t leader_epoch, bool);	/* any; changes nothing when its role is of another epoch */
/* Kept within [log start, end].  Moves back only when told so (a follower that truncates).  Returns the value now kept. */
int64_t	 log_set_high_watermark(struct log *, int64_t);		/* any; raises or lowers */
int64_t	 log_raise_high_watermark(struct log *, int64_t);	/* any; keeps the larger; the common case, lock-free when nothing is undecided */

/* ---- leader epochs ---- */
/* worker.  The epoch begins at the present end offset unless it is already known (a broker that becomes leader).  Durable on return;
 * of a log that is new, at the latest before its first batch (log_dirs_create). */
enum err log_begin_leader_epoch(struct log *, int32_t epoch, struct errbuf *) MUST_CHECK;
int32_t	 log_latest_epoch(struct log *);			/* any; -1: none */
int32_t	 log_epoch_of_offset(struct log *, int64_t offset);	/* any; -1: unknown */
/* any.  OffsetForLeaderEpoch: the largest known epoch <= requested and where it ends; both -1 when unknown. */
void	 log_end_of_epoch(struct log *, int32_t requested, int32_t *epoch, int64_t *end_offset);

/* ---- cutting ---- */
/* worker.  Drops everything from offset on (no-op at or above the end).  High watermark and recovery point follow down. */
enum err log_truncate_to(struct log *, int64_t offset, struct errbuf *) MUST_CHECK;
/* worker.  Drops everything; the log is empty and begins at offset. */
enum err log_truncate_fully_and_start_at(struct log *, int64_t offset, struct errbuf *) MUST_CHECK;
/* any.  DeleteRecords: raises the start; -1 means the high watermark; above it OFFSET_OUT_OF_RANGE.  *start: the start now. */
enum kerr log_delete_records(struct log *, int64_t offset, int64_t *start);
/* any.  A follower's start follows its leader's; never above the high watermark. */
void	 log_raise_start_offset(struct log *, int64_t offset);

/* ---- worker jobs; log_dirs calls them on schedule, tests by hand ---- */
enum err log_flush(struct log *, struct errbuf *) MUST_CHECK;		/* everything below the present end becomes durable */
enum err log_roll(struct log *, struct errbuf *) MUST_CHECK;		/* a new segment now */
enum err log_retain(struct log *, uint32_t *deleted, struct errbuf *) MUST_CHECK;	/* retention by start, size and time */
enum err log_delete_due_files(struct log *, struct errbuf *) MUST_CHECK;	/* unlinks .deleted files whose delay has passed */
void	 log_expire_producers(struct log *);

/* ---- producers and transactions, as far as others ask ---- */
struct log_producer {			/* a row of DescribeProducers */
	int64_t producer_id, last_timestamp_ms, txn_first_offset /* -1 */;
	int32_t producer_epoch, last_sequence, coordinator_epoch;
};
uint32_t log_producer_count(struct log *);	/* any */
/* any.  Calls fn under the log's lock: it must only copy. */
void	 log_producers(struct log *, void (*fn)(void *ctx, const struct log_producer *), void *ctx);
bool	 log_has_ongoing_txn(struct log *, int64_t producer_id, int16_t producer_epoch);	/* any */

/* Every invariant of the log and its segments; panics.  Tests. */
void	 log_check(struct log *);

#endif
