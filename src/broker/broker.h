/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.h - one broker, as a value: every part of it put together, started and ended in order.
 *
 * Life       broker_new -> broker_start (asynchronous; started() says how it went) -> it runs -> broker_stop (ended()) -> broker_free.
 *            A start that fails has stopped itself when started() is called with the error; only broker_free is left to do.
 * Threads    Everything on the control loop, which the caller turns (main's own thread does).  Several brokers may share one control loop.
 * Failure    What ends a running broker (last log directory offline, a foreign controller, its id taken after a session expiry) is told by
 *            must_stop(), once; the caller then calls broker_stop.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/fs.h"
#include "base/random.h"
#include "config/broker.h"
#include "event/loop.h"
#include "zk/keeper.h"

struct broker;
struct controller_channel;
struct zk_broker_entry;

/* Where ZooKeeper sessions come from: the functions of zk/session.h, or others of the same contracts over a tree in memory. */
struct broker_zookeeper {
	void	   *ctx;
	enum err  (*open)(void *ctx, const struct zk_session_options *, zk_opened_fn *, void *octx, struct zk_session **, struct errbuf *);
	struct zk *(*client)(struct zk_session *, struct loop *);
	bool	  (*ident)(const struct zk_session *, struct zk_session_ident *);
	void	  (*proceed)(struct zk_session *);
	void	  (*close)(struct zk_session **, void (*closed)(void *), void *);
};

/* The other brokers of the cluster, when there may be some: how the controller speaks to them.  Called on the controller loop, `home`, where the
 * channel lives. */
struct broker_peers {
	void	   *ctx;
	struct controller_channel *(*channel)(void *ctx, const struct zk_broker_entry *, struct loop *home);	/* NULL: none can be had */
};

struct broker_options {
	const struct config *config;	/* a reference of its own is taken */
	struct fs	*fs;
	struct clock	*clock;
	struct random	*random;
	struct diag	*diag;
	struct loop	*control;	/* the control loop */
	struct keeper	*keeper;	/* NULL: none */
	const struct broker_zookeeper *zookeeper;	/* NULL: the ensemble of zookeeper.connect */
	const struct broker_peers *peers;	/* NULL: this broker runs alone and ends when it finds another one */
	uint32_t	 open_indexes_max;	/* log/log_dirs.h */
	int64_t		 ready_wait_ms;	/* how long a start waits without progress for leaders (ready.c); 0: the usual time */
	bool		 by_hand;	/* no thread is made: who turns the control loop calls broker_turn too */
	void		(*started)(void *ctx, enum err, const struct errbuf *why);
	void		(*must_stop)(void *ctx, const char *why);
	void		(*ended)(void *ctx);
	void		*ctx;
};

struct broker *broker_new(const struct broker_options *);
void	 broker_start(struct broker *);
void	 broker_stop(struct broker *);	/* fine during a start; ended() when everything is closed */
/* After ended(), or after a start that failed; not from inside these.  The calling thread is registered with base/reclaim and online. */
void	 broker_free(struct broker **);
/* by_hand: one turn of each of the broker's loops and one job of its workers, on the calling thread; false: there was nothing to do. */
bool	 broker_turn(struct broker *);
/* Control loop.  Diagnostics: the longest turn of each loop since the last call, or since it began. */
void	 broker_tell_turns(struct broker *);

/* One line for people: id, cluster, listeners, logs. */
void	 broker_describe(const struct broker *, struct strbuf *);

#endif
