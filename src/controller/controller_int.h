/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/controller_int.h - what the controller's files share: its value, the event queue, steps, and the batch of requests.
 */
#ifndef CONTROLLER_CONTROLLER_INT_H
#define CONTROLLER_CONTROLLER_INT_H

#include <sys/queue.h>

#include "controller/context.h"
#include "controller/controller.h"
#include "cluster/update.h"
#include "zk/election.h"
#include "zk/json.h"
#include "zk/paths.h"

enum event_kind {
	EVENT_FAILOVER,		/* just elected: read everything, put everything in order */
	EVENT_BROKERS,		/* /brokers/ids changed, or a node below it */
	EVENT_TOPICS,		/* /brokers/topics changed */
	EVENT_PARTITIONS,	/* the data of /brokers/topics/T changed */
	EVENT_DELETIONS,	/* /admin/delete_topics changed */
	EVENT_ISR_NOTES,	/* /isr_change_notification changed */
	EVENT_LOG_DIR_NOTES,	/* /log_dir_event_notification changed */
	EVENT_PREFERRED,	/* /admin/preferred_replica_election appeared */
	EVENT_REASSIGN,		/* /admin/reassign_partitions appeared */
	EVENT_REPLICA_DELETED,	/* a StopReplica with delete was answered */
	EVENT_ELECT,		/* somebody asks for elections */
	EVENT_MOVE,		/* somebody asks for reassignments */
	EVENT_LEADER_AND_ISR_ANSWER,	/* ... a LeaderAndIsr, with news of log directories */
	EVENT_KINDS_
};

struct replica_answer {
	char	       *topic;			/* malloc'ed */
	int32_t		partition;
	enum kerr	error;
};

struct event {
	STAILQ_ENTRY(event) link;
	enum event_kind	kind;
	char	       *topic;			/* EVENT_PARTITIONS, EVENT_REPLICA_DELETED; malloc'ed */
	int32_t		partition, broker_id;	/* EVENT_REPLICA_DELETED; the broker also of EVENT_LEADER_AND_ISR_ANSWER */
	enum kerr	error;
	struct replica_answer *answers;		/* EVENT_LEADER_AND_ISR_ANSWER; malloc'ed */
	uint32_t	nanswers;
	struct controller_election *election;	/* EVENT_ELECT; NULL: answered */
	struct controller_move *move;		/* EVENT_MOVE; NULL: answered */
};

/* Who may lead, beyond the live members of the ISR. */
enum elect_how { ELECT_AS_CONFIGURED, ELECT_UNCLEAN, ELECT_PREFERRED, ELECT_ANY_IN_SYNC };

/* Requests that one change causes, collected and then sent together: LeaderAndIsr, then UpdateMetadata, then StopReplica. */
struct batch_row {
	struct ctl_partition *p;
	int32_t	 broker_id;
	bool	 flag;				/* LeaderAndIsr: isNew.  StopReplica: delete */
};
struct batch_rows { struct batch_row *v; uint32_t n, size; };
struct batch {
	struct batch_rows leader_and_isr, update_metadata, stop_replica;
	bool	 metadata_wanted;		/* UpdateMetadata goes out even without partitions */
};

struct partition_list { struct ctl_partition **v; uint32_t n, size; };

typedef void step_fn(struct controller *, const struct zk_result *, uint32_t n);

struct controller {
	struct controller_options opt;
	struct zk_election *election;
	struct context	 ctx;
	_Atomic bool	 active, elected;
	_Atomic int32_t	 observed_id;
	bool		 stopped, freed;
	unsigned	 steps;			/* answers of ZooKeeper still to come: the memory stays until the last one */
	struct timer	 wait_timer;		/* a failover that waits for our own registration */
	uint64_t	 reign;			/* changes when we are elected and when we lose: answers of an older one are dropped */
	STAILQ_HEAD(, event) events;
	bool		 queued[EVENT_KINDS_];	/* one of this kind waits already (kinds without arguments) */
	bool		 busy;
	struct event	*current;
	struct task	 run_task;
	bool		 run_queued;
	struct zk_watcher brokers_watch, topics_watch, deletions_watch, isr_watch, log_dir_watch, preferred_watch, reassign_watch;
	struct batch	 batch;
	/* ---- the event in progress ---- */
	struct arena	 work;			/* dropped at its end */
	struct partition_list todo, todo2, newly_offline;
	struct leadership *proposed;		/* what the current round of writes would make true, in todo2's order */
	void		(*next)(struct controller *);	/* after the machine's current round */
	void		(*next_elect)(struct controller *);	/* ... after the election that follows it */
	void		(*after_deletion)(struct controller *);
	enum elect_how	elect_how;
	bool		refusing_elections;
	step_fn		*requests_taken;
	struct ctl_topic *deleting_topic;
	uint32_t	 new_topics;
	struct moves	*moves;			/* moves.c; in work */
	void (*stop_done)(void *);
	void		*stop_ctx;
};

/* ---- controller.c: events and steps ---- */
void	 event_push(struct controller *, enum event_kind, const char *topic);
void	 event_push_made(struct controller *, struct event *);	/* takes it */
void	 event_free(struct event *);
void	 event_done(struct controller *);	/* the current event is finished: the next one may start, on a later task */
/* What ZooKeeper answered makes it impossible to go on: give the office back (an expiry does so by itself). */
void	 controller_trouble(struct controller *, enum zke, const char *doing);

/* A step: the answer of zk_many or zk_fenced_many comes back to fn, unless the reign has changed meanwhile. */
void	 step_read(struct controller *, const struct zk_op *, uint32_t n, step_fn *);
void	 step_write(struct controller *, const struct zk_op *, uint32_t n, step_fn *);	/* fenced */
void	 step_delete_tree(struct controller *, const char *path, step_fn *);	/* fenced; one result */
/* For steps of other shapes: hold before asking; release when the answer has come, false: it does not matter any more. */
void	 step_hold(struct controller *);
bool	 step_release(struct controller *, uint64_t reign);
/* An error among the results that is not about one node (fenced, expired, the server's own): trouble, true. */
bool	 step_lost(struct controller *, const struct zk_result *, uint32_t n, const char *doing);

/* May this name of a node be a topic's?  Kafka makes no others, and no path, message or directory of ours could hold them. */
bool	 topic_name_usable(struct controller *, const char *name);

const char *work_path(struct controller *, struct zk_path);	/* a copy that lives as long as the event */
void	 list_add(struct partition_list *, struct ctl_partition *);
void	 list_clear(struct partition_list *);

/* Brokers that can be given work: live and with a channel. */
bool	 broker_usable(const struct controller *, int32_t id);

/* ---- log_dirs.c ---- */
bool	 replica_usable(const struct controller *, const struct ctl_partition *, uint32_t replica);	/* ... and its directory is online */
bool	 replica_usable_on(const struct controller *, const struct ctl_partition *, int32_t broker_id);
void	 dir_notes_run(struct controller *);
void	 leader_and_isr_answered(struct controller *, const struct controller_message *);
void	 leader_and_isr_answer_run(struct controller *, const struct event *);

/* ---- batch.c ---- */
void	 batch_leader_and_isr(struct controller *, struct ctl_partition *, int32_t broker_id, bool is_new);	/* and UpdateMetadata for it */
void	 batch_metadata(struct controller *, struct ctl_partition *);	/* NULL: brokers only */
void	 batch_stop_replica(struct controller *, struct ctl_partition *, int32_t broker_id, bool delete);
void	 batch_send(struct controller *);
void	 batch_clear(struct batch *);

/* A state node may say any number.  Behind the last there is none: Java's turns negative, which no broker takes any more, not even a new one. */
static inline int32_t
leader_epoch_after(int32_t epoch)
{
	return (epoch == INT32_MAX ? epoch : epoch + 1);
}

/* ---- machine.c: each ends by calling next (never from inside) ---- */
/* Partitions without a state node: New -> Online with the first usable replica as leader. */
void	 machine_create(struct controller *, const struct partition_list *, void (*next)(struct controller *));
/* Every partition that is Offline or New and not being deleted: try to give it a leader. */
void	 machine_elect_offline(struct controller *, void (*next)(struct controller *));
/* These, whatever their state: `elected` of each says whether it got a leader. */
void	 machine_elect(struct controller *, const struct partition_list *, enum elect_how, void (*next)(struct controller *));
/* These replicas (the partitions of c->todo, on brokers that are not usable) leave the ISR. */
void	 machine_shrink(struct controller *, const struct partition_list *, bool all_replicas, void (*next)(struct controller *));

/* Takes what a state node says into the partition; false: it cannot be understood. */
bool	 machine_take_state(struct controller *, struct ctl_partition *, const struct zk_result *);

struct zk_op machine_read_op(struct controller *, const struct ctl_partition *);
struct zk_op machine_write_op(struct controller *, const struct ctl_partition *, const struct leadership *);	/* compare-and-set */

/* ---- moves.c ---- */
void	 move_run(struct controller *, struct event *);
void	 move_refuse(struct controller_move *);			/* NOT_CONTROLLER */
void	 moves_resume(struct controller *, void (*next)(struct controller *));	/* those that an earlier controller began */

/* ---- elections.c ---- */
void	 elect_run(struct controller *, struct event *);
void	 election_answer(struct controller_election *);		/* whatever stands in it */
void	 election_refuse(struct controller_election *);		/* NOT_CONTROLLER */

/* ---- failover.c, topics.c, deletion.c: the events ---- */
void	 failover_run(struct controller *);
void	 failover_wait_over(struct timer *);
void	 brokers_run(struct controller *);
void	 topics_run(struct controller *);
void	 partitions_run(struct controller *, const char *topic);
void	 deletions_run(struct controller *);
void	 deletion_take_requests(struct controller *, step_fn *taken);	/* watched; taken() gets the results of dropping the void ones */
void	 deletion_answer_run(struct controller *, const struct event *);
void	 deletion_broker_lost(struct controller *, int32_t broker_id);	/* what it was asked will not be answered */
void	 deletion_resume(struct controller *, void (*next)(struct controller *));
void	 deletion_mark(struct controller *, const char *const *names, uint32_t n);	/* queue those known; ineligible ones are marked */
void	 isr_notes_run(struct controller *);
void	 admin_node_run(struct controller *, const char *path, struct zk_watcher *);
void	 topics_watch(struct controller *, struct ctl_topic *);	/* makes its watcher ready to be armed */
/* Takes the data of a topic node: partitions not known yet are added and collected in *fresh.  false: it is gone or cannot be understood. */
bool	 topic_take(struct controller *, struct ctl_topic *, const struct zk_result *, struct partition_list *fresh, bool *lacks_id);

#endif
