/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker_int.h - the broker's parts.
 */
#ifndef BROKER_BROKER_INT_H
#define BROKER_BROKER_INT_H

#include <uthash.h>

#include "admin/admin.h"
#include "broker/broker.h"
#include "cluster/cluster.h"
#include "config/topic.h"
#include "controller/controller.h"
#include "event/workers.h"
#include "group/coordinator.h"
#include "log/log_dirs.h"
#include "net/listener.h"
#include "replica/dirs.h"
#include "replica/manager.h"
#include "server/server.h"
#include "txn/producer_ids.h"
#include "zk/notify.h"
#include "zk/registration.h"
#include "zk/session.h"
#include "zk/session_record.h"

enum {
	NETWORK_LOOPS_MAX = 64,
	RECOVERY_THREADS_MAX = 16,	/* of one log directory, when nobody says */
	SHUTDOWN_GRACE_MS = 5000,
	ZOOKEEPER_GRACE_MS = 2000,	/* how long an end waits for answers of ZooKeeper */
};

enum broker_state { BROKER_NEW, BROKER_STARTING, BROKER_RUNNING, BROKER_STOPPING, BROKER_ENDED };

/* Overrides of one topic, as ZooKeeper has them. */
struct topic_overrides {
	UT_hash_handle	 hh;
	char		*topic;
	struct config_map map;
};

/* One periodic job; see schedule.c. */
struct periodic {
	struct broker	*broker;
	struct timer	 timer;
	struct job	 job;
	int64_t		 interval_ms;
	void		(*run)(struct log_dirs *);
	bool		 running;
};
enum { PERIODIC_MAX = 8 };

struct bound_listener {
	struct net_listener *net;
	uint16_t	 port_asked;		/* as configured: 0 = any */
};

struct broker {
	struct broker_options opt;
	enum broker_state state;
	const struct config *config;		/* effective: static and dynamic */
	int32_t		 id;
	char		*cluster_id;
	int64_t		 epoch;			/* czxid of our registration */
	bool		 told_stop;
	struct errbuf	 failure;		/* why the start failed */
	enum err	 failed;

	struct loop	*loops[NETWORK_LOOPS_MAX];
	uint32_t	 nloops, nstarted;
	struct loop	*controller_loop;
	struct workers	*workers;
	struct metrics	 metrics;

	struct embedded	*embedded;		/* NULL: ZooKeeper is elsewhere */
	char		*zookeeper;		/* the connect string in use */
	struct zk_session *session;
	struct zk	*zk;			/* the control loop's client */
	struct zk	*controller_zk;		/* the controller loop's */
	struct zk_listener listener;
	struct zk_registrar *registrar;
	uint32_t	 expiries;		/* ends of sessions that we have heard of */
	uint32_t	 registering_since;	/* expiries, when the registration under way began */
	bool		 registering;		/* its answer is still to come */
	bool		 register_again;	/* its session has ended: when we hear so */
	bool		 update_wanted;		/* what it wrote, or is writing, is not the configuration in force */
	struct session_reclaim *reclaim;	/* under way */
	struct zk_watcher feature_watch;
	bool		 identity_known;	/* broker id and cluster id are settled, and the logs loaded */
	bool		 records_ours;		/* the session records speak of this run: not before the last run's were looked at */
	bool		 dir_event_wanted, dir_event_sent;	/* a directory failed: the controller is to be told; that is under way */
	bool		 session_gone;		/* it could not be closed: ZooKeeper was away */

	struct log_dirs	*log_dirs;
	const char	**dirs;
	uint32_t	 ndirs;
	struct cluster	*cluster;
	struct cluster_listener cluster_listener;
	struct replica_manager *replicas;
	struct controller *controller;
	struct admin	*admin;
	struct producer_ids *producer_ids;
	struct group_coordinator *groups;
	struct server	*server;
	struct net	*net;
	struct bound_listener *bound;		/* what listens now */
	uint32_t	 nbound;
	bool		 listeners_running, listeners_again;	/* a change of them is under way; another one is to follow */
	bool		 registration_stale;	/* it is to name what that change brings */

	uint32_t	 offsets_partitions;	/* of __consumer_offsets */
	struct topic_overrides *topics;
	struct refresh	*refreshes;		/* readings that wait for the next session */
	struct config_map dynamic_default, dynamic_broker;	/* as in ZooKeeper: passwords are encoded */
	bool		 resealed;		/* passwords were encoded with the old secret: ZooKeeper is to learn */
	struct zk_config_watch *config_watch;

	struct periodic	 periodic[PERIODIC_MAX];
	unsigned	 nperiodic;
	struct job	 job;			/* one blocking step of start or stop at a time */
	void		(*step)(struct broker *);	/* what that job runs */
	void		(*after)(struct broker *);	/* ... and what follows on the control loop */
	bool		 blocking;		/* that job is under way */
	enum err	 step_err;		/* what it says */
	struct errbuf	 step_why;
	bool		 serving, registered, controller_started, have_ident;
	struct zk_session_ident ident;		/* as last written, or being written, into the records */
	struct job	 records_job;		/* ... of a session that came while we run */
	bool		 writing_records;
	struct task	 net_task;
	bool		 shutting_down;
	struct timer	 wait_timer;
	int64_t		 settle_until_ms;
	struct timer	 resign_timer;		/* the controller loop's */
	struct timer	 ready_timer;		/* ready.c's, with all that begins with ready_ */
	char		**ready_topics;		/* those of ZooKeeper that the image does not name yet */
	uint32_t	 ready_ntopics, ready_turns;
	bool		 ready_listed, ready_watching, ready_ask;
	uint64_t	 ready_missing;		/* at the last look; changes are progress */
	int64_t		 ready_since_ms;	/* the last progress */
	char		 host_name[256];
	int64_t		 started_ns;
};

/* ---- startup.c ---- */
void	 startup_run(struct broker *);
void	 broker_fail(struct broker *, enum err, const char *fmt, ...) PRINTF_LIKE(3, 4);	/* the start cannot go on */
void	 broker_blocking(struct broker *, void (*step)(struct broker *), void (*after)(struct broker *));	/* step on a worker */
void	 broker_resize_workers(struct broker *);	/* num.io.threads */
uint32_t broker_recovery_threads(const struct broker *);	/* num.recovery.threads.per.data.dir; 0: by hand */
void	 broker_register(struct broker *, zk_registered_fn *);
void	 broker_update_registration(struct broker *);	/* advertised listeners changed while running */
void	 broker_request_stop(struct broker *, const char *fmt, ...) PRINTF_LIKE(2, 3);		/* must_stop, once */

/* ---- embedded.c: the ZooKeeper of zookeeper.connect=embedded, on a loop and a worker of its own ---- */
enum err embedded_start(struct broker *, char **connect, struct errbuf *) MUST_CHECK;	/* may block.  *connect: where it is, malloc'ed */
void	 embedded_own(struct broker *, int64_t session);	/* ours: the next start ends it */
void	 embedded_stop(struct broker *, void (*after)(struct broker *));	/* the session is closed */

/* ---- ready.c ---- */
void	 ready_watch(struct broker *);	/* requests are served from soon on: looks for the moment when the start is over */
void	 ready_check(struct broker *);	/* something was learnt */
void	 ready_stop(struct broker *);

/* ---- shutdown.c ---- */
void	 shutdown_run(struct broker *);

/* ---- configs.c ---- */
void	 configs_topic_set(struct broker *, const char *topic, const struct zk_config *);
void	 configs_apply_dynamic(struct broker *);	/* dynamic maps changed: a new effective config goes to every part */
void	 configs_reseal(struct broker *);	/* password.encoder.old.secret: what was read, in memory */
void	 configs_store_resealed(struct broker *);	/* ... and in ZooKeeper, when there is a controller */
void	 configs_tell_move_rate(struct broker *);	/* of replicas between log directories, to the replica manager */
void	 configs_free(struct broker *);
void	 configs_next_session(struct broker *);	/* readings that the end of a session broke off are made anew, or given up when there is no client */
struct replica_configs configs_for_replicas(struct broker *);
void	 configs_log_options(void *ctx, const char *topic, struct log_options *);
void	 configs_changed(void *ctx, const struct zk_entity *, const struct zk_config *);
void	 configs_map_of(const struct zk_config *, struct config_map *);	/* fills an empty map */

/* ---- listeners.c ---- */
enum err listeners_bind(struct broker *, struct errbuf *) MUST_CHECK;	/* the first time */
void	 listeners_follow(struct broker *);	/* the configuration in force has changed: limits, sockets, then the registration */
/* *ips is for the caller to free; the rest borrows from the configuration. */
void	 listeners_limits(const struct config *, struct net_limits *, struct net_ip_limit **ips);
struct bound_listener *bound_find(const struct broker *, const char *name);

/* ---- schedule.c ---- */
void	 schedule_start(struct broker *);
void	 schedule_stop(struct broker *);

#endif
