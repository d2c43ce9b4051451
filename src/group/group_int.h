/* SPDX-License-Identifier: Apache-2.0
 *
 * group/group_int.h - the inside of a group, for the files of src/group only.
 *
 *	group.c		life, states, members, questions, invariants
 *	rebalance.c	join, sync, heartbeat, leave; the timers
 *	subscription.c	the topics that consumers name in their metadata
 */
#ifndef GROUP_GROUP_INT_H
#define GROUP_GROUP_INT_H

#include <sys/queue.h>

#include "group/group.h"
#include "group/tables.h"

struct member_protocol {
	struct slice name, metadata;	/* in member.protocol_bytes */
};

struct member {
	UT_hash_handle	 hh;		/* group.members, by id */
	UT_hash_handle	 hh_static;	/* group.statics, by instance id */
	TAILQ_ENTRY(member) link;	/* in the order they came */
	struct group	*group;
	struct slice	 id, instance_id /* absent: dynamic */, client_id, client_host;	/* all four owned */
	struct member_protocol *protocols;
	uint32_t	 nprotocols;
	uint8_t		*protocol_bytes;
	uint8_t		*assignment;	/* NULL: empty */
	size_t		 assignment_len, bytes;
	int32_t		 session_timeout_ms, rebalance_timeout_ms;
	struct group_join *join;	/* waits for the generation */
	struct group_sync *sync;	/* waits for the assignment */
	struct timer	 session;
	bool		 is_new;	/* has not had the answer to its first join: it cannot heartbeat yet */
	bool		 sync_due;	/* has had its generation and not asked for the assignment */
	uint32_t	 index;		/* scratch of keep_assignments */
};

struct pending_member {		/* was given an id, has not joined with it */
	UT_hash_handle	 hh;
	struct group	*group;
	struct timer	 session;
	size_t		 id_len;
	char		 id[];
};

struct supported {		/* a protocol and how many members support it */
	UT_hash_handle	 hh;
	uint32_t	 members;
	uint32_t	 votes;		/* scratch of a vote */
	uint64_t	 mark;		/* scratch: the last pass that counted it */
	size_t		 name_len;
	char		 name[];
};

struct topic_name {
	UT_hash_handle	 hh;
	size_t		 len;
	char		 name[];
};

struct group {
	struct group_host *host;
	uint32_t	 refs;
	struct slice	 id;			/* owned */
	size_t		 bytes;
	enum group_state state;
	int64_t		 state_timestamp_ms;
	int32_t		 generation;
	struct slice	 protocol_type, protocol;	/* owned; absent: none */
	struct member	*leader;
	struct member	*members, *statics;
	TAILQ_HEAD(member_list, member) order;
	uint32_t	 nmembers, nwaiting /* for a join's answer */, nsync_due;
	struct pending_member *pending;
	struct supported *supported;
	uint64_t	 marks;			/* passes over a member's protocols: a name that it gives twice counts once */

	struct timer	 join_timer;		/* PREPARING: the rebalance time-out, or the initial delay */
	bool		 initial;		/* PREPARING out of EMPTY: only the timer ends it */
	bool		 joined_since;		/* initial: somebody came since the delay began */
	int32_t		 delay_ms, remaining_ms;	/* initial */
	struct timer	 sync_timer;		/* COMPLETING, STABLE: for members whose sync is due */
	struct group_store *assigning;		/* COMPLETING: the leader's assignment, on its way to the log */

	struct topic_name *subscribed;		/* of the present generation */
	bool		 subscribed_known;
};

struct group_store {
	struct group	*group;			/* referenced */
	enum { STORE_EMPTY, STORE_ASSIGNMENT, STORE_STATIC } kind;
	int32_t		 generation;
	/* STORE_ASSIGNMENT */
	struct group_assignment *assignments;	/* one per member, with the bytes behind them */
	uint32_t	 nassignments;
	/* STORE_STATIC: what is undone when it fails */
	struct group_join *join;
	struct slice	 old_id, new_id, old_leader;	/* owned */
	int32_t		 old_session_timeout_ms, old_rebalance_timeout_ms;
	bool		 skip;
};

/* group.c */
struct slice owned_copy(struct slice);	/* on the heap, with a NUL behind it for diagnostics; absent stays absent */
void	 owned_free(struct slice *);
void	 group_set_state(struct group *, enum group_state, const char *cause);
struct member *member_find(const struct group *, struct slice id);
struct member *member_find_static(const struct group *, struct slice instance_id);
struct member *member_add(struct group *, struct slice id, struct slice instance_id, struct slice client_id, struct slice client_host);
void	 member_remove(struct member *);	/* whoever waits has been answered */
void	 member_rename(struct member *, struct slice id);
void	 group_gain(struct group *, size_t);	/* bytes, of its own and of its host */
void	 group_lose(struct group *, size_t);
void	 member_set_protocols(struct member *, const struct group_protocol *, uint32_t n);
void	 member_set_assignment(struct member *, struct slice);
struct slice member_metadata(const struct member *, struct slice protocol);
bool	 member_protocols_equal(const struct member *, const struct group_protocol *, uint32_t n);
uint32_t supported_by(const struct group *, struct slice protocol);
struct slice protocol_vote(struct group *);	/* of a group with members */
void	 pending_add(struct group *, struct slice id, int64_t timeout_ms, void (*expired)(struct timer *));
struct pending_member *pending_find(const struct group *, struct slice id);
void	 pending_remove(struct pending_member *);
void	 group_write(struct group *, struct group_store *);	/* through the host */

/* rebalance.c */
void	 rebalance_init(struct group *);
void	 rebalance_prepare(struct group *, const char *reason);
void	 member_arm(struct member *, int64_t timeout_ms);
void	 member_answer_join_error(struct member *, enum kerr);
void	 member_answer_sync_error(struct member *, enum kerr);
void	 sync_cleared(struct group *);

/* subscription.c */
void	 subscriptions_compute(struct group *);
void	 subscriptions_forget(struct group *);

#endif
