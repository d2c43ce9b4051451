/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.h - one broker, as a value: every part of it put together, started and ended in order.
 *
 * Life       broker_new -> broker_start (asynchronous; started() says how it went) -> it runs -> broker_stop (ended()) -> broker_free.
 *            A start that fails has stopped itself when started() is called with the error; only broker_free is left to do.
 * Threads    Everything on the control loop, which the caller turns (main's own thread does).
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

struct broker_options {
	const struct config *config;	/* a reference of its own is taken */
	struct fs	*fs;
	struct clock	*clock;
	struct random	*random;
	struct diag	*diag;
	struct loop	*control;	/* the control loop */
	struct keeper	*keeper;	/* NULL: none */
	void		(*started)(void *ctx, enum err, const struct errbuf *why);
	void		(*must_stop)(void *ctx, const char *why);
	void		(*ended)(void *ctx);
	void		*ctx;
};

struct broker *broker_new(const struct broker_options *);
void	 broker_start(struct broker *);
void	 broker_stop(struct broker *);	/* fine during a start; ended() when everything is closed */
void	 broker_free(struct broker **);	/* after ended(), or after a start that failed */

/* One line for people: id, cluster, listeners, logs. */
void	 broker_describe(const struct broker *, struct strbuf *);

#endif
