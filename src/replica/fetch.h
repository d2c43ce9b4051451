/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/fetch.h - reading from partitions: what a Fetch request asks for, after its session has been resolved.
 *
 * Ownership  Request and items are the caller's, alive until `done` has begun (or replica_fetch returned true).  Each item's `range` owns a
 *            file reference: move it into a chain, or drop it with file_range_fini.
 * Threads    The loop named in the request, one of the manager's.
 * Disks      Where there are several log directories, what is not in memory is read by threads of the directory first, so that a disk that hangs
 *            stops the fetches that ask for its cold records, and not their loops.  With one directory the loop reads.
 * Order      Items are read in the order given; the first with data gets at least one whole batch (min_one), the rest share max_bytes.
 */
#ifndef REPLICA_FETCH_H
#define REPLICA_FETCH_H

#include "base/arena.h"
#include "event/keyed_wait.h"
#include "log/read.h"
#include "replica/partition.h"

struct replica_fetch_item {
	/* ---- asked ---- */
	struct slice	topic;
	int32_t		partition;
	struct uuid	topic_id;		/* zero: not checked; else INCONSISTENT_TOPIC_ID when the log has another */
	int64_t		fetch_offset;
	int32_t		max_bytes;
	int32_t		current_leader_epoch;	/* -1: not given */
	int32_t		last_fetched_epoch;	/* -1: not given */
	enum kerr	preset;			/* != NONE: answered as it is, nothing is read (unknown topic, unauthorised, ...) */
	/* ---- answered ---- */
	enum kerr	error;
	int64_t		high_watermark, last_stable_offset, log_start_offset;	/* -1 on error */
	struct file_range range;		/* len 0: no records */
	bool		withheld;		/* ... because the first batch is larger than what was left */
	struct aborted_txn *aborted;		/* read_committed, in the arena */
	uint32_t	naborted;
	int32_t		diverging_epoch;	/* -1: none */
	int64_t		diverging_end_offset;
	int32_t		leader_id, leader_epoch;	/* with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH; -1 unknown */
	/* ---- private ---- */
	struct partition *p;
	bool		cold;		/* what it is answered with must be read from the disk first */
};

struct replica_fetch {
	/* ---- asked ---- */
	struct loop    *loop;
	int32_t		replica_id;		/* -1: a consumer */
	bool		read_committed;
	int32_t		max_wait_ms, min_bytes, max_bytes;
	bool		min_one;		/* false only for Fetch v0-2: a batch may be cut */
	struct arena   *arena;
	struct replica_fetch_item *items;
	uint32_t	nitems;
	void (*done)(struct replica_fetch *);
	/* ---- private ---- */
	struct replica_manager *manager;
	bool		last;		/* it has waited: answered with what is there */
	unsigned	warmed;		/* how often it was */
	struct fetch_warming *warming;	/* on a worker; not NULL: nothing else goes on */
	struct waiter	waiter;
	struct wait_link *links;
	const void    **keys;
};

/* true: answered now, done will not be called.  false: done will be called on the loop: when enough bytes are there, when an item's answer
 * changes kind (error, truncation), or after max_wait_ms; later when a disk keeps it waiting. */
bool replica_fetch(struct replica_manager *, struct replica_fetch *) MUST_CHECK;
/* The peer is gone: done will not be called. */
void replica_fetch_cancel(struct replica_fetch *);

#endif
