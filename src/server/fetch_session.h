/* SPDX-License-Identifier: Apache-2.0
 *
 * server/fetch_session.h - fetch sessions (KIP-227): which partitions a Fetch is about, and which of them its answer names.
 *
 * A client that fetches the same thousand partitions again and again names them once; after that it sends only what changes, and gets
 * only what has changed.  The broker remembers the partitions, what was asked of each, and the last high watermark and log start it said.
 *
 *	id	epoch	meaning
 *	0	-1	full answer, no session
 *	any	0	full answer; the session named is closed; a new one is made when there is room (else the answer's id is 0)
 *	any	-1	full answer; the session named is closed
 *	id	n	incremental: n must be the session's epoch, which then grows by one (from 2^31 - 1 back to 1)
 *
 * Use        fetch_session_begin -> the caller answers every part of the context -> fetch_session_end (or _abandon); exactly one of them.
 * Threads    Any; a session may be used from another connection than the one that made it.  A context belongs to its request.
 * Limits     max.incremental.fetch.session.cache.slots sessions, FETCH_SESSION_BYTES_MAX bytes of them.
 */
#ifndef SERVER_FETCH_SESSION_H
#define SERVER_FETCH_SESSION_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/kerr.h"
#include "base/metrics.h"
#include "base/random.h"
#include "cluster/image.h"
#include "wire/messages.h"

enum {
	FETCH_SESSION_SHARDS = 8,		/* as Java: session ids say their shard, and each has an eighth of the slots */
	FETCH_SESSION_EVICTABLE_MS = 120000,	/* unused for longer: anybody may take its place */
	FETCH_TOPIC_IDS_SINCE = 13,		/* Fetch version that names topics by id */
};

struct fetch_sessions;
struct fetch_session;
struct cached_partition;

/* clock, random and metrics outlive it; all may be NULL as long as nothing is fetched. */
struct fetch_sessions *fetch_sessions_new(int32_t slots, struct clock *, struct random *, struct metrics *);
void	 fetch_sessions_free(struct fetch_sessions **);	/* no context is left */

/* One partition of a Fetch. */
struct fetch_part {
	/* ---- by begin ---- */
	struct slice	name;			/* null: no topic has this id.  In the arena, or borrowed from the frame */
	struct uuid	topic_id;		/* zero before FETCH_TOPIC_IDS_SINCE */
	int32_t		partition;
	int32_t		max_bytes;
	int64_t		fetch_offset;
	int64_t		log_start_offset;	/* a follower's */
	int32_t		current_leader_epoch, last_fetched_epoch;	/* -1: not given */
	/* ---- by the caller, before end ---- */
	enum kerr	error;
	int64_t		high_watermark, answer_log_start_offset;	/* -1 on error */
	bool		has_records, diverging;
	void	       *data;			/* the caller's */
	/* ---- by end ---- */
	bool		send;			/* the answer names it */
	/* ---- private ---- */
	struct cached_partition *cached;
};

enum fetch_kind { FETCH_FULL, FETCH_SESSIONLESS, FETCH_INCREMENTAL, FETCH_ERROR };

struct fetch_context {
	enum fetch_kind	kind;
	struct fetch_part *parts;		/* each partition once, in the order in which to read.  The caller may sort them anew */
	uint32_t	nparts;
	/* ---- for the answer; valid after end ---- */
	enum kerr	error;			/* of the session; then no part is sent */
	int32_t		session_id;
	/* ---- private ---- */
	struct fetch_session *session;
	int32_t		epoch;			/* of the request */
	bool		uses_ids, privileged;
};

/* `privileged`: from a follower.  The image must be valid during the call only.  false: the arena is full, and there is nothing to end. */
bool	 fetch_session_begin(struct fetch_sessions *, const struct wire_fetch_request *, int version, bool privileged, const struct image *,
    struct arena *, struct fetch_context *) MUST_CHECK;
void	 fetch_session_end(struct fetch_sessions *, struct fetch_context *);
void	 fetch_session_abandon(struct fetch_sessions *, struct fetch_context *);	/* no answer; fine after end */

#endif
