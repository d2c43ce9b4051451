/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/append.h - writing records to partitions this broker leads: what a Produce request asks for.
 *
 * One request, many partitions.  Each item is validated (large batches on a worker), queued to its log, written, and, with acks = -1,
 * waited for until the high watermark has passed it.
 *
 * Ownership  The request and its items are the caller's and alive until `done` has begun.  Record bytes are the caller's (they are patched in
 *            place) and no longer needed once `written` was called.
 * Threads    replica_append: the loop named in the request, one of the manager's.  All callbacks: the same loop, never from inside
 *            replica_append, in this order, each once:
 *            queued   every item is queued to its log, written or refused: the next Produce of the same connection may start
 *            written  no item needs its record bytes any more
 *            done     every item has its answer
 * Failure    Per item.  A time-out is REQUEST_TIMED_OUT for the items still waited for; their records stay written.
 */
#ifndef REPLICA_APPEND_H
#define REPLICA_APPEND_H

#include "base/arena.h"
#include "event/keyed_wait.h"
#include "log/append.h"
#include "record/validate.h"
#include "replica/partition.h"

enum { APPEND_ACKS_ALL = -1 };

struct replica_append_item {
	/* ---- asked ---- */
	struct slice	topic;
	int32_t		partition;
	uint8_t	       *records;		/* NULL with len 0: absent */
	uint32_t	records_len;
	/* ---- answered ---- */
	enum kerr	error;
	int64_t		base_offset;		/* -1 when nothing was written; what waited in vain has one */
	int64_t		log_append_time_ms;	/* -1: CreateTime */
	int64_t		log_start_offset;	/* -1 on most errors */
	struct record_error *record_errors;	/* in the arena */
	uint32_t	nrecord_errors;
	const char     *error_message;		/* in the arena; NULL none */
	int32_t		leader_id, leader_epoch;	/* with NOT_LEADER_OR_FOLLOWER: who leads, -1 when unknown */
	/* ---- private ---- */
	struct replica_append *request;
	struct partition *p;
	struct record_info info;
	struct append_set set;
	uint8_t	       *rebuilt;
	int64_t		wait_for;		/* high watermark that answers it; -1: not waiting */
	bool		large;
};

struct replica_append {
	/* ---- asked ---- */
	struct loop    *loop;
	int16_t		acks;			/* -1, 0, 1 */
	int16_t		produce_version;
	int32_t		timeout_ms;
	bool		internal_topics_allowed;
	enum record_origin origin;
	struct arena   *arena;
	struct replica_append_item *items;
	uint32_t	nitems;
	void (*queued)(struct replica_append *);	/* may be NULL */
	void (*written)(struct replica_append *);	/* may be NULL */
	void (*done)(struct replica_append *);
	/* ---- private ---- */
	struct replica_manager *manager;
	struct waiter	waiter;
	struct wait_link *links;
	const void    **keys;
	struct job	job;
	struct task	task;
	uint32_t	unwritten;		/* items queued and not written yet */
	bool		told_queued, told_written;
	/* ---- answered when replica_append returns ---- */
	bool		later;		/* not queued yet: a worker validates; appends begun now may come before it */
};

void replica_append(struct replica_manager *, struct replica_append *);

#endif
