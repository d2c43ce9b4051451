/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/manager.h - the partitions that this broker hosts, and what the controller tells it about them.
 *
 * It is Kafka's ReplicaManager: a table of partitions (replica/partition.h), the one place where LeaderAndIsr, StopReplica and UpdateMetadata
 * take effect, and the entry of Produce (replica/append.h), Fetch (replica/fetch.h) and ListOffsets (replica/offsets.h).
 *
 * Threads    new, start, control, topic_config_changed, stop: the control loop.  Look-ups, append, fetch, offsets: network loops.  Events of
 *            log/ arrive on any thread.  What blocks (making, deleting and opening logs, writing epochs) runs on workers.
 * Order      Control requests are carried out one at a time, in the order given, each to its end: several steps, some on a worker.
 * Failure    A partition whose log directory is offline answers KAFKA_STORAGE_ERROR.  A control request always gets its answer, also
 *            at shutdown.
 */
#ifndef REPLICA_MANAGER_H
#define REPLICA_MANAGER_H

#include "base/diag.h"
#include "base/metrics.h"
#include "cluster/cluster.h"
#include "event/workers.h"
#include "log/log_dirs.h"
#include "record/validate.h"
#include "wire/messages.h"

struct replica_manager;

/* Effective configuration of one topic, as far as partitions need it. */
struct replica_topic_config {
	struct log_options  log;
	struct record_rules rules;
	int32_t		    min_insync_replicas;
	bool		    downconversion;	/* consumers that know only older formats are served */
};

/* Where topic configurations come from (the broker keeps them; ZooKeeper has them). */
struct replica_configs {
	void *ctx;
	/* Brings the configurations of these topics up to date, then calls done(dctx) on the control loop, perhaps at once.
	 * A topic that cannot be read keeps the configuration known before, or the broker's defaults. */
	void (*refresh)(void *ctx, const char *const *topics, uint32_t n, void (*done)(void *dctx), void *dctx);
	/* The configuration known now.  Control loop. */
	void (*get)(void *ctx, const char *topic, struct replica_topic_config *out);
};

struct replica_manager_options {
	int32_t		  broker_id;
	struct log_dirs	 *log_dirs;		/* loaded */
	struct cluster	 *cluster;
	struct loop	 *control;
	struct loop *const *loops;		/* those that may append, fetch and wait: at most 64 */
	uint32_t	  nloops;
	struct workers	 *workers;
	struct clock	 *clock;
	struct diag	 *diag;
	struct metrics	 *metrics;
	struct replica_configs configs;
	/* This broker leads the partition now (again: in this epoch), or no longer does; told after it is published.  Epoch -1: whatever the
	 * epoch (it is deleted).  Control loop.  May be NULL. */
	void		(*leadership)(void *ctx, const char *topic, int32_t partition, bool leads, int32_t leader_epoch);
	void		 *leadership_ctx;
	/* czxid of this broker's registration; asked at each control request.  Control loop. */
	int64_t		(*broker_epoch)(void *ctx);
	void		 *broker_epoch_ctx;
	/* The metadata image has lost this topic (or partitions of it), for good: UpdateMetadata said so.  Control loop.  May be NULL. */
	void		(*topic_deleted)(void *ctx, struct slice topic);
	void		 *topic_deleted_ctx;
};

struct replica_manager *replica_manager_new(const struct replica_manager_options *);
/* No loop may use it any more; waiting requests were ended by replica_manager_stop, and it is not busy. */
void replica_manager_free(struct replica_manager **);
/* Ends every waiting append and fetch (REQUEST_TIMED_OUT, or what is there), refuses new ones; each loop's part runs on that loop. */
void replica_manager_stop(struct replica_manager *);
/* A control request is under way or waits, or a move between directories is at a step that must end first.  Control loop. */
bool	 replica_manager_busy(const struct replica_manager *);
/* This broker is not the only one any more (a foreign id holds /controller): appends answer NOT_LEADER_OR_FOLLOWER from now on. */
void replica_manager_refuse_appends(struct replica_manager *);

/* To be called from log_dirs' events of the same names. */
void replica_end_offset_moved(struct replica_manager *, struct log *);
void replica_dir_offline(struct replica_manager *, const char *dir);

/* ---- what the controller says ---- */
enum control_kind { CONTROL_LEADER_AND_ISR, CONTROL_STOP_REPLICA, CONTROL_UPDATE_METADATA,
    CONTROL_ALTER_DIRS,		/* a client's: replica/dirs.h */
};

struct control_request {
	enum control_kind kind;
	union {				/* borrowed until done */
		const struct wire_leader_and_isr_request  *leader_and_isr;
		const struct wire_stop_replica_request	  *stop_replica;
		const struct wire_update_metadata_request *update_metadata;
		struct replica_alter_dirs *alter_dirs;
	};
	struct arena	 *arena;	/* for the response */
	union {				/* filled before done */
		struct wire_leader_and_isr_response  *leader_and_isr_response;
		struct wire_stop_replica_response    *stop_replica_response;
		struct wire_update_metadata_response *update_metadata_response;
	};
	void (*done)(struct control_request *);	/* on the control loop; may be called from inside replica_control */
	STAILQ_ENTRY(control_request) link;	/* the manager's */
};
void replica_control(struct replica_manager *, struct control_request *);

/* LeaderAndIsr with this leader epoch (or a later one) has been carried out for the partition, or its directory is offline.  Control loop. */
bool	 replica_has_epoch(struct replica_manager *, struct slice topic, int32_t partition, int32_t leader_epoch);

/* The broker's view of a topic's configuration changed: logs, rules and min ISR of its partitions here follow.  NULL: of every topic. */
void replica_topic_config_changed(struct replica_manager *, const char *topic);

/* ---- for tables and metrics ---- */
struct replica_counts { uint32_t partitions, leaders, under_min_isr, offline; };
void replica_count(struct replica_manager *, struct replica_counts *);	/* control loop */

#endif
