/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/admin.h - what administrators ask for: topics, partitions, configurations; checked, then written to ZooKeeper.
 *
 * A struct admin has the control loop's ZooKeeper client.  A request is a job (admin/topics.h, admin/configs.h): the caller fills its input,
 * hands it over from any loop, and gets it back, with the results in it, on that loop.  A job that changes topics ends when the metadata image
 * shows the change, or at its time-out.
 *
 * Ownership  The job and what it points to are the caller's, and the admin's alone from the call that starts it until `done`.  Results are in
 *            the job's arena, which the caller must not use meanwhile.
 * Threads    admin_new: before the control loop starts, or on it.  Starting a job: the loop named in it.
 * Failure    Every job is done exactly once.  A lost ZooKeeper connection delays it; an expired session fails what was not written with
 *            NOT_CONTROLLER, and what may have been written is looked up; admin_stop fails it with UNKNOWN_SERVER_ERROR.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/kerr.h"
#include "base/random.h"
#include "cluster/cluster.h"
#include "config/broker.h"
#include "event/loop.h"
#include "zk/client.h"

struct admin;

struct admin_options {
	struct loop	*loop;			/* the control loop */
	struct zk	*zk;			/* bound to it; the admin's from here on */
	struct cluster	*cluster;		/* gets a listener: make the admin before requests are served */
	int32_t		 broker_id;
	struct random	*random;
	struct diag	*diag;			/* may be NULL */
	/* Is this broker the active controller?  Any thread. */
	bool		(*controller_active)(void *ctx);
	/* The configuration in force, valid until the calling thread's next quiescent state.  Any registered thread. */
	const struct config *(*config)(void *ctx);
	void		*ctx;
};

struct admin *admin_new(const struct admin_options *);
/* On the control loop: closes the ZooKeeper client.  What waits ends now, what is under way ends with UNKNOWN_SERVER_ERROR, and so does what
 * is started later. */
void	 admin_stop(struct admin *);
void	 admin_free(struct admin **);		/* stopped, no job left, and the control loop is freed or turns no more */

bool	 admin_controller_active(const struct admin *);	/* any thread */

/* ---- jobs ---- */
struct admin_job {
	/* the caller's */
	struct loop	*loop;			/* where it is started and done */
	void	       (*done)(struct admin_job *);
	struct arena	*arena;			/* takes the results.  One that is too small: UNKNOWN_SERVER_ERROR for what does not fit */

	/* the admin's */
	struct admin	*admin;
	void	       (*run)(struct admin_job *);	/* on the control loop */
	void	       (*change)(struct admin_job *);	/* run, of one that waits for its turn */
	void	       (*finish)(struct admin_job *, const struct image *);	/* after the wait, in time or not */
	bool	       (*satisfied)(struct admin_job *, const struct image *);
	struct task	 task;
	struct timer	 timer;
	bool		 waiting;
	_Atomic bool	 abandoned;
	TAILQ_ENTRY(admin_job) link;	/* waiting, or altering */
	TAILQ_ENTRY(admin_job) again;
};

/* The caller does not care any more: the job stops waiting for the image, and is done soon.  Only on job->loop, before done. */
void	 admin_abandon(struct admin_job *);

/* An outcome as Java's ApiError.  `message` may be NULL where Java's is. */
struct admin_outcome {
	enum kerr	 error;
	const char	*message;
};

#endif
