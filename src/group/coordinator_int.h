/* SPDX-License-Identifier: Apache-2.0
 *
 * group/coordinator_int.h - what the coordinator's files share.
 *
 *	coordinator.c	life, partitions and who owns them, how a call gets to its loop and back
 *	members.c	join, sync, heartbeat, leave; describe, list
 *	commits.c	commits, what is fetched and deleted
 *	appends.c	records on their way to the log
 *	load.c		the groups of a partition, from its log
 *	rounds.c	through all groups of a loop: expiry, deleted topics
 */
#ifndef GROUP_COORDINATOR_INT_H
#define GROUP_COORDINATOR_INT_H

#include <sys/queue.h>

#include "group/coordinator.h"
#include "group/tables.h"
#include "record/record.h"
#include "replica/append.h"

struct load;
struct appending;
struct deletion;

/* A group and its offsets. */
struct hosted {
	UT_hash_handle	 hh;		/* home.groups, by id */
	struct home	*home;
	struct group	*group;		/* NULL while its partition is being loaded */
	struct offsets	 offsets;
	uint64_t	 weight;	/* of them, as counted in loop.offsets_bytes */
	uint32_t	 refs;		/* the table's, and one per commit on its way */
	bool		 out;		/* of the table: deleted, or coordinated elsewhere */
	uint8_t		*record;	/* load: the value of its last record, until the group is made of it */
	uint32_t	 record_len;
	uint32_t	 forgot;	/* the last deletion of a topic that has been at its offsets */
	uint32_t	 id_len;
	uint8_t		 id[];
};

/* One partition of __consumer_offsets; its loop's. */
struct home {
	struct coordinator_loop *on;
	int32_t		 number;
	int32_t		 epoch;		/* the newest told; -1 */
	enum { HOME_AWAY, HOME_LOADING, HOME_OWNED } state;
	struct hosted	*groups;
	struct load	*load;
	uint32_t	 term;		/* how often it was dropped */
	struct appending *ahead;	/* is validated by a worker: the others wait for it, so that the log has them in order */
	STAILQ_HEAD(, appending) behind;
};

/* Through the groups of a loop's homes, some in a turn. */
struct round {
	uint32_t	 at;		/* the partition it looks at next */
	struct home	*home;		/* where it is */
	struct hosted	*next;		/* there; NULL: it is through with it */
};

struct coordinator_loop {
	struct group_coordinator *c;
	struct loop	*loop;
	struct group_host host;
	bool		 full, offsets_full;	/* said so: LIMIT_GROUPS_BYTES_MAX, LIMIT_OFFSETS_BYTES_MAX */
	uint64_t	 offsets_bytes;	/* of all groups in its tables */
	struct codec_ctx *codec;
	struct timer	 expiry;
	struct round	 expiring, forgetting;
	uint32_t	 expired, ended;	/* offsets and groups of the home that `expiring` is in */
	STAILQ_HEAD(, deletion) deletions;	/* of topics; the first one is going round */
	struct task	 forgetting_task;
	uint32_t	 ndeletions;		/* ever */
};

struct group_coordinator {
	struct group_coordinator_options opt;
	uint64_t	 seed;
	_Atomic bool	 active;
	uint32_t	 npartitions;	/* 0: not started */
	struct home	*homes;
	struct coordinator_loop *loops;
	_Atomic int32_t	 on_the_way;	/* loads, appends, deletions of topics */
};

/* ---- coordinator.c ---- */
/* What every call begins with, on the owner's loop: its errors in Kafka's order, and where the group lives. */
enum kerr home_of(struct group_coordinator *, struct slice group, bool empty_allowed, struct home **);
struct hosted *hosted_new(struct home *, struct slice id);	/* without a group, in no table */
struct hosted *hosted_find(struct home *, struct slice id);
struct hosted *hosted_find_in(struct hosted *table, uint64_t seed, struct slice id);
void	 hosted_add_to(struct hosted **table, uint64_t seed, struct hosted *);
struct hosted *hosted_create(struct home *, struct slice id);	/* EMPTY, in the table */
void	 hosted_leave(struct hosted *);		/* the table */
void	 hosted_weigh(struct hosted *);		/* after its offsets have changed, on its loop */
void	 hosted_unref(struct hosted **);
void	 home_drop(struct home *);		/* all groups; whoever waits is answered */
/* May a call about the group make the groups of the loop `more` bytes larger, `is` of them already there?  If not, that was said. */
bool	 loop_has_memory(struct coordinator_loop *, struct slice group, size_t more, size_t is);

/* A call about one group: run(call) on the owner's loop, which ends in call_done. */
void	 call_to_owner(struct group_coordinator *, struct group_call *, struct slice group, void (*run)(struct group_call *));
void	 call_done(struct group_call *);	/* may call the caller back at once: nothing of a group may be under way */
void	 call_done_later(struct group_call *);	/* from inside a group's callbacks */
/* A call about many: visit(call) on each loop that it wants, one after the other, each when the appends of the one before are done. */
void	 call_to_loops(struct group_coordinator *, struct group_call *, void (*visit)(struct group_call *), bool (*wants)(const struct group_call *));
void	 call_appended(struct group_call *);	/* one of its appends is done */
bool	 call_here(const struct group_call *, struct slice group);	/* the loop that is being visited owns it */

/* ---- appends.c ---- */
typedef void appended_fn(void *ctx, enum kerr, int64_t base_offset);	/* the log's code; on the home's loop, never from inside */
struct batch_builder *appends_builder(struct home *, int32_t base_sequence, size_t bytes_likely);	/* NULL: said why */
struct append_value {		/* of a record: one of the two; none: a tombstone */
	const struct offset_value *offset;
	const struct group_record *group;
};
enum err appends_add(struct batch_builder *, int64_t now_ms, const struct group_key *, struct append_value);
/* Ends the builder.  Of one home the log has the batches in the order they were sent in. */
void	 appends_send(struct home *, struct batch_builder *, int16_t acks, appended_fn *, void *ctx);
void	 appends_store_group(struct group_host *, struct group *, const struct group_record *, struct group_store *);
enum kerr commit_error(enum kerr);		/* what the log said, as OffsetCommit says it */

/* Tombstones of one group's offsets, and of itself. */
struct tombstones {
	struct hosted	*hosted;
	struct group_call *call;		/* waits for them; NULL */
	struct batch_builder *builder;
	uint32_t	 n;
};
void	 tombstone_offset(void *tombstones, struct slice topic, int32_t partition, const struct offset_value *);	/* an offsets_fn */
void	 tombstones_group(struct tombstones *);
void	 tombstones_send(struct tombstones *);

/* ---- commits.c ---- */
/* What was taken away of its offsets is buried, the group with it if that was all: then true, and it may be gone. */
bool	 hosted_bury(struct hosted *, struct tombstones *);

/* ---- rounds.c ---- */
void	 expiry_fired(struct timer *);
void	 deletions_go_on(struct task *);
bool	 hosted_forgets(struct hosted *);	/* the topics whose deletion has not come to it yet; false: with them it has ended */
void	 round_leaves(struct round *, const struct hosted *);	/* which is about to leave its table */

/* ---- load.c ---- */
void	 load_begin(struct home *);
void	 load_cancel(struct home *);

#endif
