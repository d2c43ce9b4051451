/* SPDX-License-Identifier: Apache-2.0
 *
 * event/workers.h - threads for calls that can block: fsync, unlink, cold reads, recovery.
 *
 * A job is embedded in the caller's structure: `run` on a worker, then `done` on the loop that submitted it (or nowhere, when loop is NULL).
 * In simulation (threads = 0) jobs queue up until workers_step runs one on the calling thread.
 *
 * Order      None between jobs, except jobs with the same non-NULL key: those run one after another, in the order submitted.
 * Threads    workers_submit: any.
 */
#ifndef EVENT_WORKERS_H
#define EVENT_WORKERS_H

#include "event/loop.h"

struct workers;

struct job {
	void (*run)(struct job *);	/* on a worker */
	void (*done)(struct job *);	/* on `loop`; may free the job; NULL: the job may free itself in run */
	struct loop *loop;		/* where done runs */
	const void  *key;		/* serialises with other jobs of the same key; NULL: none */
	struct task  task;		/* the pool's */
	struct job  *next;		/* the pool's */
};

enum err workers_new(unsigned threads, const char *name, struct workers **, struct errbuf *) MUST_CHECK;
/* From the thread that made it, any number of times: missing threads start now, surplus ones leave when their job is done.  A failure leaves what
 * could be started.  Not with threads = 0. */
enum err workers_resize(struct workers *, unsigned threads, struct errbuf *) MUST_CHECK;
unsigned workers_count(struct workers *);	/* threads now */
void	 workers_free(struct workers **);	/* runs what is queued, joins the threads */
void	 workers_submit(struct workers *, struct job *);
bool	 workers_step(struct workers *);	/* threads == 0: runs one queued job; false when there was none */
void	 workers_drain(struct workers *);	/* waits until the queue is empty and no job runs; not from a worker */

#endif
