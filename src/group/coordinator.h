/* SPDX-License-Identifier: Apache-2.0
 *
 * group/coordinator.h - the groups that this broker coordinates: those whose partition of __consumer_offsets it leads.
 *
 * A group belongs to the partition abs(hash of its id) mod the number of partitions; a partition belongs to one of the network loops, for good, and
 * with it all its groups (group/group.h) and their offsets (group/offsets.h).  A call comes in on any network loop, is posted to the owner's,
 * decided there, and answered on the caller's.  When this broker becomes leader of a partition its groups are loaded from the log, on
 * a worker; when it no longer is they are dropped and whoever waits is answered.
 *
 * Ownership  A call is the caller's memory, with everything it points to, alive and untouched until `done`.  From the call to `done` the coordinator
 *            owns the arena in it and puts the answer there; what is answered lives as long as that arena.
 * Threads    group_coordinator_* calls: any network loop, with call.loop that loop.  elected, resigned, topic_deleted, stop, busy: the control loop.
 *            partition: any thread, once started.
 * Order      `done` runs on call.loop, exactly once, perhaps from inside the call.
 * Failure    Kafka's codes in the answers.  Checks of every call, in Kafka's order: INVALID_GROUP_ID, COORDINATOR_NOT_AVAILABLE (before start and
 *            after stop), COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR.  An arena that is full: UNKNOWN_SERVER_ERROR, nothing half answered.
 *            A commit is answered NONE only when its records are committed in the log (offsets.commit.required.acks).
 * Not here   Whether a client may do it, and whether topics exist: the handlers' (server/api_*.c).
 */
#ifndef GROUP_COORDINATOR_H
#define GROUP_COORDINATOR_H

#include "base/arena.h"
#include "event/workers.h"
#include "group/group.h"
#include "group/offsets.h"
#include "record/codec.h"
#include "replica/manager.h"

#define GROUP_OFFSETS_TOPIC	"__consumer_offsets"

struct group_coordinator;

struct group_coordinator_options {
	struct replica_manager *replicas;
	struct loop *const *loops;		/* the network loops */
	uint32_t	nloops;
	struct workers *workers;
	struct clock   *clock;
	struct random  *random;
	struct diag    *diag;			/* may be NULL */
	/* ---- server.properties ---- */
	int32_t		min_session_timeout_ms, max_session_timeout_ms;	/* group.{min,max}.session.timeout.ms */
	int32_t		initial_rebalance_delay_ms, size_max;		/* group.initial.rebalance.delay.ms, group.max.size */
	int32_t		metadata_max;			/* offset.metadata.max.bytes: in UTF-16 units, as Kafka counts */
	int32_t		load_buffer_bytes;		/* offsets.load.buffer.size */
	size_t		groups_bytes_max;	/* of the groups of one loop; 0: LIMIT_GROUPS_BYTES_MAX */
	uint64_t	offsets_bytes_max;	/* of their offsets; 0: LIMIT_OFFSETS_BYTES_MAX */
	int64_t		retention_ms, retention_check_ms;	/* offsets.retention.minutes, offsets.retention.check.interval.ms */
	int32_t		commit_timeout_ms;		/* offsets.commit.timeout.ms */
	int16_t		commit_acks;			/* offsets.commit.required.acks */
	enum codec	codec;				/* offsets.topic.compression.codec */
};

/* ---- life: the control loop ---- */
struct group_coordinator *group_coordinator_new(const struct group_coordinator_options *);
/* How many partitions __consumer_offsets has, or will have when it is made (offsets.topic.num.partitions).  Before requests are served. */
void	 group_coordinator_start(struct group_coordinator *, uint32_t npartitions);
void	 group_coordinator_stop(struct group_coordinator *);	/* whoever waits is answered, every later call refused */
bool	 group_coordinator_busy(const struct group_coordinator *);	/* a load is still under way, or an append; after stop that ends */
void	 group_coordinator_free(struct group_coordinator **);	/* stopped and not busy, or never started; the loops stand still */

/* ---- leadership: told when replica/ has published it.  An epoch older than one told before is ignored; -1: whatever the epoch ---- */
void	 group_coordinator_elected(struct group_coordinator *, int32_t partition, int32_t leader_epoch);
void	 group_coordinator_resigned(struct group_coordinator *, int32_t partition, int32_t leader_epoch);
/* The topic is gone: so are all offsets committed for it. */
void	 group_coordinator_topic_deleted(struct group_coordinator *, struct slice topic);

/* ---- questions ---- */
/* Which partition of __consumer_offsets a group id (or "" ) belongs to.  FindCoordinator. */
int32_t	 group_coordinator_partition(const struct group_coordinator *, struct slice group);
/* Which network loop owns that partition, and so runs the calls about the group: an index in options.loops. */
uint32_t group_coordinator_loop(const struct group_coordinator *, struct slice group);

/* ---- what every call begins with ---- */
struct group_call {
	/* asked */
	struct loop    *loop;			/* the caller's */
	struct arena   *arena;
	void	      (*done)(struct group_call *);
	/* answered */
	enum kerr	error;			/* of the call as a whole */
	/* private */
	struct group_coordinator *coordinator;
	void	      (*run)(struct group_call *), (*visit)(struct group_call *);	/* on the owner's loop */
	bool	      (*wants)(const struct group_call *);
	struct task	task;
	uint32_t	at, appends;		/* loop that runs it, what it waits for */
};

/* ---- JoinGroup, SyncGroup ---- */
struct group_join_call {
	struct group_call call;			/* error: that of the answer */
	struct slice	  group;
	struct group_join join;			/* asked as there, `done` excepted; answered: join.answer, now for as long as the arena */
};
void	 group_coordinator_join(struct group_coordinator *, struct group_join_call *);

struct group_sync_call {
	struct group_call call;
	struct slice	  group;
	struct group_sync sync;			/* as above */
};
void	 group_coordinator_sync(struct group_coordinator *, struct group_sync_call *);

/* ---- Heartbeat, LeaveGroup ---- */
struct group_heartbeat_call {
	struct group_call call;
	struct slice	  group, member_id, instance_id /* may be absent */;
	int32_t		  generation;
};
void	 group_coordinator_heartbeat(struct group_coordinator *, struct group_heartbeat_call *);

struct group_leaving {
	struct slice	  member_id, instance_id, reason;	/* the last two may be absent */
	enum kerr	  error;		/* answered, when call.error is NONE */
};
struct group_leave_call {
	struct group_call call;
	struct slice	  group;
	struct group_leaving *members;
	uint32_t	  nmembers;
};
void	 group_coordinator_leave(struct group_coordinator *, struct group_leave_call *);

/* ---- OffsetCommit ---- */
struct group_commit_item {
	struct slice	  topic;
	int32_t		  partition;
	int64_t		  offset;
	int32_t		  leader_epoch;		/* -1 none */
	struct slice	  metadata;		/* absent is empty */
	int64_t		  commit_timestamp_ms;	/* version 1 may name one; -1: now */
	enum kerr	  error;		/* answered, always */
	uint64_t	  ticket;		/* private */
};
struct group_commit_call {
	struct group_call call;			/* error: NONE; the items have theirs */
	struct slice	  group;
	struct slice	  member_id, instance_id;	/* "", absent, and generation -1: a commit without a group */
	int32_t		  generation;
	int64_t		  retention_ms;		/* versions 2 to 4; -1: by the broker's */
	struct group_commit_item *items;	/* a partition named twice: the later one counts */
	uint32_t	  nitems;
	struct group_commit_private *private;
};
void	 group_coordinator_commit(struct group_coordinator *, struct group_commit_call *);

/* ---- OffsetFetch: one group or many ---- */
struct group_fetch_row {
	struct slice	  topic;		/* asked, or answered of `all` */
	int32_t		  partition;
	/* answered */
	enum kerr	  error;		/* UNSTABLE_OFFSET_COMMIT or NONE */
	int64_t		  offset;		/* -1: none is committed */
	int32_t		  leader_epoch;		/* -1 */
	struct slice	  metadata;		/* never absent */
};
struct group_fetch_item {
	struct slice	  group;
	bool		  all;			/* every committed offset: rows are made, those of one topic side by side */
	struct group_fetch_row *rows;
	uint32_t	  nrows;
	enum kerr	  error;		/* answered; other than NONE: the rows have no answer (of `all`: there are none) */
};
struct group_fetch_call {
	struct group_call call;			/* error: NONE, or UNKNOWN_SERVER_ERROR when the arena is full */
	bool		  require_stable;
	struct group_fetch_item *items;
	uint32_t	  nitems;
};
void	 group_coordinator_fetch_offsets(struct group_coordinator *, struct group_fetch_call *);

/* ---- OffsetDelete ---- */
struct group_delete_offset {
	struct slice	  topic;
	int32_t		  partition;
	enum kerr	  error;		/* answered, when call.error is NONE: GROUP_SUBSCRIBED_TO_TOPIC or NONE */
};
struct group_delete_offsets_call {
	struct group_call call;
	struct slice	  group;
	struct group_delete_offset *items;
	uint32_t	  nitems;
};
void	 group_coordinator_delete_offsets(struct group_coordinator *, struct group_delete_offsets_call *);

/* ---- DeleteGroups ---- */
struct group_delete_item {
	struct slice	  group;
	enum kerr	  error;		/* answered */
};
struct group_delete_call {
	struct group_call call;			/* error: NONE */
	struct group_delete_item *items;
	uint32_t	  nitems;
};
void	 group_coordinator_delete_groups(struct group_coordinator *, struct group_delete_call *);

/* ---- DescribeGroups ---- */
struct group_describe_item {
	struct slice	  group;
	/* answered */
	enum kerr	  error;		/* NONE for an unknown group, whose state is "Dead" */
	struct slice	  state;		/* "" with an error, as Kafka */
	struct slice	  protocol_type, protocol;	/* never absent; the protocol is "" unless the group is STABLE */
	struct group_member_view *members;	/* instance ids may be absent */
	uint32_t	  nmembers;
};
struct group_describe_call {
	struct group_call call;			/* error: NONE, or UNKNOWN_SERVER_ERROR when the arena is full */
	struct group_describe_item *items;
	uint32_t	  nitems;
};
void	 group_coordinator_describe(struct group_coordinator *, struct group_describe_call *);

/* ---- ListGroups: of all loops ---- */
struct group_list_row {
	struct slice	  group, protocol_type;	/* never absent */
	enum group_state  state;		/* group_state_name has the words */
};
struct group_list_call {
	struct group_call call;			/* COORDINATOR_LOAD_IN_PROGRESS comes with the rows there are, as in Kafka */
	const struct slice *states;		/* only these (letters of either case); none: all */
	uint32_t	  nstates;
	/* answered */
	struct group_list_row *rows;
	uint32_t	  nrows, room, wanted;	/* the last two: private */
};
void	 group_coordinator_list(struct group_coordinator *, struct group_list_call *);

#endif
