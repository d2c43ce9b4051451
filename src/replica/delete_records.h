/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/delete_records.h - DeleteRecords: the starts of logs this broker leads go up, and so do those of their followers.
 *
 * A deletion is in force at once, and durable as Kafka's: the new start reaches log-start-offset-checkpoint with that file's schedule, or with
 * the segments that retention takes away for it.  A broker killed before that comes back with the older start and with those records.
 *
 * Failure    Per item.  REQUEST_TIMED_OUT: this log's start is up, but a live follower's was not in time.
 *
 * Threads    The loop named in the request, one of the manager's.  `done` on it, perhaps from inside the call.
 */
#ifndef REPLICA_DELETE_RECORDS_H
#define REPLICA_DELETE_RECORDS_H

#include "event/keyed_wait.h"
#include "replica/partition.h"

enum { DELETE_TO_HIGH_WATERMARK = -1 };

struct replica_delete_item {
	/* ---- asked ---- */
	struct slice	topic;
	int32_t		partition;
	int64_t		offset;			/* the new start, or DELETE_TO_HIGH_WATERMARK */
	/* ---- answered ---- */
	enum kerr	error;
	int64_t		low_watermark;		/* the lowest start of the leader and its live followers; -1 on an error */
	/* ---- private ---- */
	struct partition *p;
	int64_t		wait_for;		/* low watermark that answers it; -1: it has its answer */
};

struct replica_delete {
	/* ---- asked ---- */
	struct loop    *loop;
	int32_t		timeout_ms;
	struct replica_delete_item *items;	/* each partition once */
	uint32_t	nitems;
	void (*done)(struct replica_delete *);
	/* ---- private ---- */
	struct replica_manager *manager;
	struct waiter	waiter;
	struct wait_link *links;
	const void    **keys;
};

void replica_delete_records(struct replica_manager *, struct replica_delete *);

#endif
