/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/controller.h - the cluster's controller, when this broker is it: it decides who leads each partition, makes and deletes what topics
 * need in ZooKeeper, and tells brokers by LeaderAndIsr, UpdateMetadata and StopReplica.
 *
 * Single-threaded and event-driven: one event at a time, each carried to its end over as many ZooKeeper answers as it takes.  Facts:
 * kafka.controller.KafkaController and its state machines, Kafka 3.9 in ZooKeeper mode.
 *
 * Threads    Everything on the controller loop, except controller_active, controller_failing_over and controller_id (any) and
 *            controller_check_broker.
 * ZooKeeper  Every write is fenced by the controller epoch; a fenced answer ends our reign (the election stands again).
 * Failure    An event that cannot be finished because ZooKeeper refuses gives the office back (yield), as Kafka's triggerControllerMove:
 *            the next failover reads everything again.  Session expiry drops everything the controller knows.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "base/diag.h"
#include "base/kerr.h"
#include "base/random.h"
#include "controller/channel.h"
#include "zk/client.h"
#include "zk/registration.h"

struct controller;

struct controller_options {
	struct loop	*loop;
	struct zk	*zk;			/* bound to the loop; closed by the caller after controller_free */
	int32_t		 broker_id;
	struct clock	*clock;
	struct random	*random;
	struct diag	*diag;
	bool		 delete_topic_enable;
	bool		 unclean_election;	/* broker default of unclean.leader.election.enable */
	/* A channel to a broker that has just become known; NULL: none can be had (requests to it are dropped, as for a dead one). */
	struct controller_channel *(*channel_open)(void *ctx, const struct zk_broker_entry *);
	/* Who is controller now (-1: nobody, or unknown), whenever that changes; ours included. */
	void		(*observed)(void *ctx, int32_t controller_id);
	void		(*active)(void *ctx);	/* a failover is done: controller_active from now on; may be NULL */
	/* /brokers/ids names a broker that is not this one.  Told once per appearance, while this broker is the controller. */
	void		(*foreign_broker)(void *ctx, int32_t id);
	void		*ctx;
};

struct controller *controller_new(const struct controller_options *);
void	 controller_start(struct controller *);	/* after this broker has registered: looks who rules, stands when nobody does */
void	 controller_stop(struct controller *, void (*done)(void *ctx), void *ctx);	/* resigns; no callbacks but done afterwards */
void	 controller_free(struct controller **);	/* stopped */

/* ---- ElectLeaders ---- */
struct controller_election_item {
	struct slice	 topic;
	int32_t		 partition;
	enum kerr	 error;
	const char	*message;	/* static; NULL: Java has none either */
	int32_t		 leader;	/* without an error: who leads now.  The metadata image may not know it yet */
	bool		 wanted;	/* private */
};

struct controller_election {
	struct loop	*loop;		/* where it is asked for and done */
	bool		 unclean;	/* any live replica, where there is no live leader; else the preferred one, where that does not lead */
	struct controller_election_item *items;	/* each partition once */
	uint32_t	 nitems;
	void	       (*done)(struct controller_election *);
	struct controller *controller;	/* private, and the next one */
	struct task	 task;
};

/* An event like others, on the controller loop; it and its items are the controller's until done.  NOT_CONTROLLER per item when we are not it, or
 * cease to be before it is carried out. */
void	 controller_elect(struct controller *, struct controller_election *);
/* Elections and reassignments that wait are answered now, later ones at once: NOT_CONTROLLER.  Any thread; the broker ends. */
void	 controller_refuse_elections(struct controller *);

/* ---- ListPartitionReassignments ---- */
struct controller_reassignment {
	struct controller_reassignment *next;
	struct slice	 topic;		/* all of it in the request's arena */
	int32_t		 partition;
	struct controller_ids { int32_t *v; int32_t n; } replicas, adding, removing;
};

struct controller_reassignments {
	struct loop	*loop;
	struct arena	*arena;
	void	       (*done)(struct controller_reassignments *);
	/* answered */
	enum kerr	 error;		/* NOT_CONTROLLER; UNKNOWN_SERVER_ERROR: the arena is full */
	struct controller_reassignment *list;	/* every partition that is being reassigned, topic by topic, from its lowest number on */
	struct controller *controller;	/* private, and the next one */
	struct task	 task;
};
void	 controller_list_reassignments(struct controller *, struct controller_reassignments *);

/* Any thread, between controller_start and controller_stop: the broker's default has changed, or a topic's own setting; when unclean elections
 * are allowed, partitions without a leader get their chance at once. */
void	 controller_set_unclean_election(struct controller *, bool);
void	 controller_elect_again(struct controller *);

/* ---- AlterPartitionReassignments ---- */
struct controller_move_item {
	struct slice	 topic;
	int32_t		 partition;
	bool		 cancel;	/* back to where it came from */
	struct controller_ids target;	/* else: the replicas that it is to have */
	enum kerr	 error;		/* the answer */
	const char	*message;	/* static; NULL: Java has none either */
	uint32_t	 order;		/* the asker's */
};

struct controller_move {
	struct loop	*loop;		/* where it is asked for and done */
	struct controller_move_item *items;	/* each partition once */
	uint32_t	 nitems;
	void	       (*done)(struct controller_move *);
	enum kerr	 error;		/* NOT_CONTROLLER: of everything; what had begun goes on under the next controller */
	struct controller *controller;	/* private, and the next one */
	struct task	 task;
};
/* As controller_elect; answered when every partition has reached its new replicas, or waits for them to catch up. */
void	 controller_move(struct controller *, struct controller_move *);

bool	 controller_active(const struct controller *);	/* elected, and its failover is done */
bool	 controller_failing_over(const struct controller *);	/* elected, and it is not */
int32_t	 controller_id(const struct controller *);	/* as last observed; -1 */

/* Is this a broker's request to its controller?  NONE, NOT_CONTROLLER, BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH. */
struct controller_check {
	int32_t	 broker_id;
	int64_t	 broker_epoch;
	struct loop *loop;		/* where done is called */
	void	(*done)(struct controller_check *);
	enum kerr error;		/* the answer */
	struct controller *controller;	/* the controller's */
	struct task task;
};
/* On check->loop, before the controller is stopped. */
void	 controller_check_broker(struct controller *, struct controller_check *);

#endif
