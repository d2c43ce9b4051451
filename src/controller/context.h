/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/context.h - what the controller knows: live brokers, topics, partitions with their leadership, replicas with their states.
 *
 * Plain data of the controller loop; nothing here talks to anybody.  A topic owns its partitions; pointers to partitions are good until the
 * topic is removed or grows (context_add_partition).
 */
#ifndef CONTROLLER_CONTEXT_H
#define CONTROLLER_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "base/diag.h"
#include "base/uuid.h"
#include "controller/channel.h"
#include "zk/registration.h"

enum partition_machine_state { PARTITION_NONEXISTENT, PARTITION_NEW, PARTITION_ONLINE, PARTITION_OFFLINE, PARTITION_STATES_ };
enum replica_machine_state {
	REPLICA_NONEXISTENT, REPLICA_NEW, REPLICA_ONLINE, REPLICA_OFFLINE, REPLICA_DELETION_STARTED, REPLICA_DELETED, REPLICA_INELIGIBLE,
	REPLICA_STATES_
};

bool partition_move_allowed(enum partition_machine_state from, enum partition_machine_state to);
bool replica_move_allowed(enum replica_machine_state from, enum replica_machine_state to);
const char *partition_machine_state_name(enum partition_machine_state);
const char *replica_machine_state_name(enum replica_machine_state);

struct id_list { int32_t *v; uint32_t n; };
bool id_list_has(struct id_list, int32_t);
struct id_list id_list_copy(const int32_t *, uint32_t n);	/* malloc'ed */

/* Leader and ISR as they stand in the state znode. */
struct leadership {
	int32_t	 leader, leader_epoch, controller_epoch;
	int32_t	 partition_epoch;	/* version of the znode */
	int8_t	 recovery_state;
	struct id_list isr;
};

struct ctl_partition {
	struct ctl_topic *topic;
	int32_t		 id;
	enum partition_machine_state state;
	struct id_list	 replicas;
	struct id_list	 adding, removing;		/* as in the topic's node; both empty: not being reassigned */
	enum replica_machine_state *replica_states;	/* parallel to replicas */
	bool		*dir_offline;			/* parallel: its broker said that the replica's log directory is offline */
	bool		 elected;			/* by the election in progress */
	bool		 has_leadership;		/* the state znode exists, as far as we know */
	struct leadership l;
};

struct ctl_topic {
	UT_hash_handle	 hh;
	char		*name;
	struct uuid	 id;
	struct ctl_partition *partitions;		/* ascending by id */
	uint32_t	 npartitions;
	bool		 deleting;			/* queued for deletion */
	bool		 ineligible;			/* cannot be deleted now */
	bool		 deletion_started;
	struct zk_watcher watcher;			/* data of /brokers/topics/T; the controller's */
	void		*owner;				/* the controller's */
};

struct ctl_broker {
	int32_t		 id;
	int64_t		 epoch;				/* czxid of its registration */
	struct arena	 arena;				/* holds info */
	struct zk_broker_info info;
	struct controller_channel *channel;		/* NULL: none */
};

struct context {
	struct ctl_topic *topics;			/* hash by name */
	struct ctl_broker **brokers;			/* live, ascending by id */
	uint32_t	 nbrokers;
	int32_t		 epoch;				/* controller epoch */
	int32_t		 epoch_zk_version;		/* the fence */
};

void	 context_init(struct context *);
void	 context_clear(struct context *);		/* drops everything; channels are closed */

struct ctl_topic *context_topic(const struct context *, const char *name);
struct ctl_topic *context_add_topic(struct context *, const char *name, struct uuid id);
void	 context_remove_topic(struct context *, struct ctl_topic *);
struct ctl_partition *topic_partition(const struct ctl_topic *, int32_t id);
struct ctl_partition *context_add_partition(struct ctl_topic *, int32_t id, const int32_t *replicas, uint32_t n);
/* Copies the lists.  What is known of replicas that stay is kept. */
void	 partition_set_assignment(struct ctl_partition *, struct id_list replicas, struct id_list adding, struct id_list removing);
bool	 partition_moving(const struct ctl_partition *);		/* is it being reassigned? */
bool	 topic_moving(const struct ctl_topic *);			/* ... a partition of it */
void	 partition_set_leadership(struct ctl_partition *, const struct leadership *);	/* copies the list */

struct ctl_broker *context_broker(const struct context *, int32_t id);	/* NULL: not alive */
/* Makes the set of live brokers equal to the list; channels of those gone or re-registered are closed, open() is asked for new ones. */
void	 context_set_brokers(struct context *, const struct zk_broker_entry *, uint32_t n,
    struct controller_channel *(*open)(void *, const struct zk_broker_entry *), void *ctx);

/* A broker that was registered anew is believed to have all its directories until it says otherwise. */
void	 context_forget_dirs(struct context *, int32_t broker_id);

/* Setters check the tables of states.def; a move that is not there is reported and not made. */
bool	 partition_move(struct ctl_partition *, enum partition_machine_state to, struct diag *);
bool	 replica_move(struct ctl_partition *, uint32_t replica, enum replica_machine_state to, struct diag *);

#endif
