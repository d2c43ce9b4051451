/* SPDX-License-Identifier: Apache-2.0
 *
 * server/server.h - what answers requests: the broker's parts, put together for the handlers of the APIs.
 *
 * A struct server is the context that every handler gets (struct api_request in server/dispatch.h has a pointer to it).  It owns nothing but
 * the configuration it was given last; the parts belong to broker/, which makes them before and ends them after it.
 *
 * Threads    server_new, _free: start-up and the end.  The parts' own headers say who may call them; handlers run on network loops.
 *            server_config, server_features_epoch: any registered thread.  The setters: the control loop.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/diag.h"
#include "base/metrics.h"
#include "config/broker.h"
#include "net/net.h"

struct admin;			/* admin/: topic and configuration changes, written to ZooKeeper */
struct cluster;			/* cluster/: the metadata image */
struct group_coordinator;	/* group/coordinator.h */
struct fetch_sessions;		/* server/fetch_session.h */
struct controller;		/* controller/ */
struct producer_ids;		/* txn/producer_ids.h */
struct replica_manager;		/* replica/ */

struct server_options {
	int32_t		  broker_id;
	struct cluster	 *cluster;
	struct replica_manager *replicas;
	struct controller *controller;
	struct admin	 *admin;
	struct producer_ids *producer_ids;
	struct group_coordinator *groups;
	struct loop	 *control;		/* the control loop */
	struct loop *const *loops;		/* the network loops, as given to the net; net_conn_loop_index counts in it */
	unsigned	  nloops;
	struct workers	 *workers;
	struct clock	 *clock;
	struct random	 *random;
	struct diag	 *diag;			/* may be NULL */
	struct metrics	 *metrics;		/* may be NULL */
	const struct config *config;		/* a reference of its own is taken */
};

struct server {
	struct server_options opt;		/* read only; opt.config is the first one: use server_config */
	const struct config *config;		/* published; owns a reference */
	struct fetch_sessions *fetch_sessions;
	_Atomic int64_t	 features_epoch;	/* version of the znode /feature; -1: not known */
};

struct server *server_new(const struct server_options *);
void	 server_free(struct server **);		/* no connection is left */

/* What net_options.handler is to be. */
struct net_handler server_net_handler(struct server *);

/* The configuration in force.  Valid until the thread's next quiescent state; a handler that answers later takes config_ref. */
const struct config *server_config(struct server *);
void	 server_set_config(struct server *, const struct config *);	/* takes a reference of its own */
void	 server_set_features_epoch(struct server *, int64_t);

#endif
