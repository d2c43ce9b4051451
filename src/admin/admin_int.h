/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/admin_int.h - shared by the files of this directory: the life of a job.
 */
#ifndef ADMIN_ADMIN_INT_H
#define ADMIN_ADMIN_INT_H

#include "admin/admin.h"
#include "base/lock.h"
#include "zk/json.h"

TAILQ_HEAD(admin_jobs, admin_job);

struct auto_topic;

struct admin {
	struct admin_options opt;	/* opt.zk is NULL after admin_stop */
	struct cluster_listener listener;
	struct admin_jobs waiting;	/* for the image */
	struct admin_jobs expired;	/* whose session ended under them; `run` is called in the next one */
	struct zk_listener session;
	struct admin_jobs altering;	/* configuration changes, one at a time; the first is under way */
	struct lock	 lock;		/* the next two fields */
	struct auto_topic *in_flight;	/* uthash, by name */
	uint32_t	 told_of_too_few;	/* the number of brokers, plus one, of which it was last said that they are too few */
};

/* From the caller's loop to the control loop: run. */
void	 admin_start(struct admin *, struct admin_job *, void (*run)(struct admin_job *));
/* Back again.  Control loop. */
void	 admin_done(struct admin_job *);
/* finish is called once: when satisfied says so (perhaps at once), at the time-out, when abandoned, or at admin_stop. */
void	 admin_wait(struct admin_job *, int32_t timeout_ms, bool (*satisfied)(struct admin_job *, const struct image *),
    void (*finish)(struct admin_job *, const struct image *));

/* Changes of settings, one at a time: `run` is called when it is the job's turn.  The end of one, instead of admin_done, lets the next begin. */
void	 admin_change(struct admin *, struct admin_job *, void (*run)(struct admin_job *));
void	 admin_change_done(struct admin_job *);

/* After a SESSION_EXPIRED: run is called once operations go to the next session, or after admin_stop. */
void	 admin_again(struct admin_job *);

struct admin_outcome admin_outcome(struct admin_job *, enum kerr, const char *words);	/* the words are copied; NULL: none */
#define ADMIN_OK	((struct admin_outcome){ KERR_NONE, NULL })
/* What a client is told when ZooKeeper does not answer as it should; a line for the operator. */
enum kerr admin_zk_error(struct admin *, enum zke, const char *what, const char *name);

static inline const struct config *
admin_config(struct admin *a)
{
	return (a->opt.config(a->opt.ctx));
}

/* The name as text: valid topic names only. */
char	*admin_name(struct arena *, struct slice);

/* `n` brokers of the image, ascending by id, for admin/assign.h. */
struct assign_broker *admin_brokers(const struct image *, struct arena *);

#endif
