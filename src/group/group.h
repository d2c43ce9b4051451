/* SPDX-License-Identifier: Apache-2.0
 *
 * group/group.h - one group of the classic protocol: its members, generations and rebalances, as a state machine without I/O.
 *
 * What a member asks (join, sync, heartbeat, leave, may I commit) and what time does (sessions, rebalances) come in here; the record that makes
 * a generation durable goes out through struct group_host.  Committed offsets are not here (group/offsets.h), nor is the question whether this
 * broker coordinates the group at all: that is the coordinator's.
 *
 * Ownership  The coordinator holds a reference; a record on its way to the log holds another.  Requests are the caller's and live until
 *            their `done`; what they borrow (strings, metadata) is copied when it is kept.
 * Threads    One loop, the one in the host.
 * Order      `done` is called exactly once per join or sync, from inside any call or timer of that group.  It must copy what it wants of the
 *            answer and must not call any function of this header before it has returned.
 * Failure    Errors are Kafka's codes in the answers.  A record that could not be written fails the generation it was for (members rejoin).
 * Source     KIP-62, 134, 229, 345, 394, 559, 800, 814; Kafka's classes GroupCoordinator and GroupMetadata.
 */
#ifndef GROUP_GROUP_H
#define GROUP_GROUP_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/kerr.h"
#include "base/random.h"
#include "base/slice.h"
#include "event/loop.h"

struct group;

enum group_state {		/* moves: group/states.def */
#define GROUP_STATE(name, words) GROUP_##name,
#define GROUP_MOVE(from, to, cause)
#include "group/states.def"
#undef GROUP_STATE
#undef GROUP_MOVE
};
const char *group_state_name(enum group_state);	/* as DescribeGroups spells it */
bool	 group_state_may_follow(enum group_state from, enum group_state to);

/* ---- what is written of a group: the value of a GroupMetadata record, in its own terms ---- */
struct group_record_member {
	struct slice member_id, instance_id /* absent: a dynamic member */, client_id, client_host;
	int32_t	     rebalance_timeout_ms, session_timeout_ms;
	struct slice subscription;		/* the member's metadata for the group's protocol */
	struct slice assignment;
};
struct group_record {
	struct slice protocol_type;		/* "" when there never was a member */
	struct slice protocol, leader;		/* absent in an empty group */
	int32_t	     generation;
	int64_t	     state_timestamp_ms;	/* wall clock of the last change of state; -1 unknown */
	uint32_t     nmembers;
	const struct group_record_member *members;
};

/* ---- the world of a group ---- */
struct group_store;			/* a record on its way */
struct group_host {
	struct loop   *loop;
	struct random *random;
	struct diag   *diag;			/* may be NULL */
	uint64_t       seed;			/* of the hash tables; from `random` */
	int32_t	       initial_rebalance_delay_ms;	/* group.initial.rebalance.delay.ms */
	int32_t	       size_max;			/* group.max.size */
	size_t	       bytes, bytes_max;		/* of all its groups, as group_bytes counts; 0: any */
	/* Writes the record and calls group_stored once, later or from inside.  The record is valid during the call only. */
	void	     (*store)(struct group_host *, struct group *, const struct group_record *, struct group_store *);
};
void	 group_stored(struct group_store *, enum kerr);	/* the code as the members are to see it */
bool	 group_has_room(const struct group_host *, size_t more);	/* who asks for more is to be refused when not: nothing here refuses by itself */

/* ---- life ---- */
struct group *group_new(struct group_host *, struct slice id);
/* From its record: STABLE with members, EMPTY without.  Nothing is timed before group_loaded.  NULL: nobody writes such a record
 * (members without a protocol, one of them twice). */
struct group *group_load(struct group_host *, struct slice id, const struct group_record *);
void	 group_loaded(struct group *);
struct group *group_ref(struct group *);
void	 group_unref(struct group **);
/* This broker coordinates it no longer: whoever waits gets NOT_COORDINATOR; the group is DEAD. */
void	 group_unload(struct group *);
/* DEAD when it has no members (then NONE), else NON_EMPTY_GROUP. */
enum kerr group_delete(struct group *);

/* What the member holds of what it asked for when it joined; 0: there is none of that id.  And what all members hold that the leader gave them. */
size_t	 group_member_bytes(const struct group *, struct slice member_id);
size_t	 group_assignment_bytes(const struct group *);

/* ---- requests ---- */
struct group_protocol {
	struct slice name, metadata;
};
struct group_joined_member {		/* for the leader */
	struct slice member_id, instance_id, metadata;
};
struct group_join {
	/* asked */
	struct slice member_id;			/* empty: a new member */
	struct slice instance_id;		/* absent: dynamic */
	struct slice client_id, client_host;	/* as the record has them: "/127.0.0.1" */
	struct slice protocol_type;
	const struct group_protocol *protocols;	/* in order of preference */
	uint32_t     nprotocols;
	int32_t	     session_timeout_ms, rebalance_timeout_ms;	/* the coordinator checked the former's range */
	bool	     member_id_required;	/* JoinGroup 4 and later: a new dynamic member gets an id first */
	bool	     may_skip_assignment;	/* JoinGroup 9 and later */
	void	   (*done)(struct group_join *);
	/* answered: slices are valid inside `done` only */
	struct {
		enum kerr    error;
		int32_t	     generation;	/* -1 on errors, but that a static member's return was not stored */
		struct slice protocol_type, protocol, leader, member_id;	/* the first two absent where the generation is -1 */
		bool	     skip_assignment;
		uint32_t     nmembers;		/* the leader's; 0 for the others */
		const struct group_joined_member *members;
	} answer;
};
void	 group_join(struct group *, struct group_join *);

struct group_assignment {
	struct slice member_id, assignment;
};
struct group_sync {
	/* asked */
	struct slice member_id, instance_id, protocol_type, protocol;	/* the last three may be absent */
	int32_t	     generation;
	const struct group_assignment *assignments;			/* the leader's */
	uint32_t     nassignments;
	void	   (*done)(struct group_sync *);
	/* answered: as above */
	struct {
		enum kerr    error;
		struct slice protocol_type, protocol, assignment;
	} answer;
};
void	 group_sync(struct group *, struct group_sync *);

enum kerr group_heartbeat(struct group *, struct slice member_id, struct slice instance_id, int32_t generation) MUST_CHECK;
/* member_id empty: whoever has the instance id. */
enum kerr group_leave(struct group *, struct slice member_id, struct slice instance_id, struct slice reason) MUST_CHECK;
/* May this member commit offsets?  A commit of a member counts as a heartbeat (a transactional one does not). */
enum kerr group_may_commit(struct group *, struct slice member_id, struct slice instance_id, int32_t generation, bool transactional) MUST_CHECK;

/* ---- questions ---- */
struct slice group_id(const struct group *);
enum group_state group_state(const struct group *);
int32_t	 group_generation(const struct group *);
int64_t	 group_state_timestamp_ms(const struct group *);
struct slice group_protocol_type(const struct group *);	/* absent: no member was ever seen */
struct slice group_protocol_name(const struct group *);	/* absent: none chosen */
struct slice group_leader(const struct group *);	/* absent: none */
uint32_t group_size(const struct group *);
bool	 group_is_idle(const struct group *);		/* EMPTY, and nobody was given an id to join with */
uint64_t group_bytes(const struct group *);		/* heap memory, about */

struct group_member_view {	/* a row of DescribeGroups */
	struct slice member_id, instance_id, client_id, client_host;
	struct slice metadata, assignment;	/* empty unless the group is STABLE */
};
void	 group_each_member(const struct group *, void (*fn)(void *ctx, const struct group_member_view *), void *ctx);

/* Consumer groups: is some member of the present generation subscribed to the topic?  True when it cannot be known. */
bool	 group_is_consumer(const struct group *);
bool	 group_subscriptions_known(const struct group *);
bool	 group_subscribes(const struct group *, struct slice topic);

void	 group_check(const struct group *);	/* every invariant; panics */

#endif
