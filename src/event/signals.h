/* SPDX-License-Identifier: Apache-2.0
 *
 * event/signals.h - SIGTERM, SIGINT, SIGHUP and SIGUSR1 as events on a loop.
 *
 * Signals belong to the process, so main does this once, not a broker: signals_block before the first thread, then one struct signals.
 *
 * Threads    signals_block: the only thread there is.  The rest: on the loop, or while it does not run.  fn runs on the loop.
 * Failure    signals_new: a descriptor could not be made (ERR_LIMIT).
 */
#ifndef EVENT_SIGNALS_H
#define EVENT_SIGNALS_H

#include "event/loop.h"

struct signals;

/* Blocks the four in this thread (threads made later inherit it) and ignores SIGPIPE: a peer that goes away is an error code. */
void	 signals_block(void);

/* fn(ctx, SIGTERM | SIGINT | SIGHUP | SIGUSR1) for each one delivered; several of a kind may be merged by the kernel. */
enum err signals_new(struct loop *, void (*fn)(void *ctx, int signo), void *ctx, struct signals **, struct errbuf *) MUST_CHECK;
void	 signals_free(struct signals **);	/* they stay blocked */

#endif
