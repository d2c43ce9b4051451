/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/offsets.h - ListOffsets and OffsetForLeaderEpoch: an offset by timestamp, by name or by epoch, of partitions this broker leads.
 *
 * Failure    Per item.  OFFSET_NOT_AVAILABLE: a consumer asks for what lies at or above the high watermark, and that has not yet reached the place
 *            where this leader's epoch began (so the answer might go backwards).
 *
 * Threads    The loop named in the request; look-ups by time run on a worker, or on threads of the log's directory when there are several: a disk that
 *            hangs holds up who asks for its logs, and no common worker.  `done` on the loop, never from inside the call.
 */
#ifndef REPLICA_OFFSETS_H
#define REPLICA_OFFSETS_H

#include "base/arena.h"
#include "event/workers.h"
#include "log/read.h"
#include "replica/partition.h"

struct replica_offset_item {
	/* ---- asked ---- */
	struct slice	topic;
	int32_t		partition;
	int32_t		current_leader_epoch;	/* -1: not given */
	int64_t		timestamp_ms;		/* >= 0, or LOG_TIME_* */
	int32_t		max_offsets;		/* of a by_files request */
	enum kerr	preset;			/* != NONE: answered as it is */
	/* ---- answered ---- */
	enum kerr	error;
	int64_t		found_timestamp_ms;	/* -1 */
	int64_t		offset;			/* -1: no such record */
	int32_t		leader_epoch;		/* -1 */
	int64_t	       *offsets;		/* by_files: newest first, in the arena */
	uint32_t	noffsets;
	/* ---- private ---- */
	struct partition *p;
	bool		looked;
};

struct replica_offsets {
	struct loop    *loop;
	int32_t		replica_id;		/* -1: a consumer, bounded by high watermark or last stable offset; -2: debug, end offset, any replica */
	bool		read_committed;
	bool		by_files;		/* v0: lists of segment offsets instead of records by time */
	struct arena   *arena;			/* by_files; the worker's until done */
	struct replica_offset_item *items;
	uint32_t	nitems;
	void (*done)(struct replica_offsets *);
	/* ---- private ---- */
	struct job	job;
	struct replica_manager *manager;
	struct workers *pool;			/* whose turn it is: it looks at the items that are its own */
};

void replica_list_offsets(struct replica_manager *, struct replica_offsets *);

/* OffsetForLeaderEpoch: the largest known epoch of this leader's log that is not above the one asked for, and where it ends; -1 and -1 when
 * there is none, and on an error.  current_leader_epoch -1: not given.  Any registered thread, at once. */
enum kerr replica_end_of_epoch(struct replica_manager *, struct slice topic, int32_t partition, int32_t current_leader_epoch, int32_t leader_epoch,
    int32_t *epoch, int64_t *end_offset) MUST_CHECK;

#endif
