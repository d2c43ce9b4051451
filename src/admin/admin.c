/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/admin.c - the life of a job.  See admin.h for the interface.
 *
 * A job walks: admin_start on the caller's loop -> its `run` on the control loop -> ZooKeeper, as many answers as it takes -> admin_wait, if the
 * image has to show the change -> its `finish` -> admin_done -> `done` on the caller's loop.  One task carries it both ways, since it is only in
 * one place at a time.
 *
 * EXPIRED    A session's operations all fail before its end is told; what is submitted in between fails as well.  So a job that goes on after an
 *	expiry waits for the news (admin_again), and its `run` is called once more.
 * ABANDONED  The caller may give up at any moment, also while `done` is already on its way.  So it sends no message about this job: it sets a flag
 *	in it and has the control loop look through the jobs that wait.  A job that talks to ZooKeeper sees the flag when it comes to wait.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/assign.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "base/must.h"

/* ---- the way there and back ---- */

static void
job_run(struct task *t)
{
	struct admin_job *j = CONTAINER_OF(t, struct admin_job, task);

	j->run(j);
}

void
admin_start(struct admin *a, struct admin_job *j, void (*run)(struct admin_job *))
{
	j->admin = a;
	j->run = run;
	j->task.fn = job_run;
	j->waiting = false;
	j->abandoned = false;
	loop_post(a->opt.loop, &j->task);
}

static void
job_done(struct task *t)
{
	struct admin_job *j = CONTAINER_OF(t, struct admin_job, task);

	j->done(j);
}

void
admin_done(struct admin_job *j)
{
	must(!j->waiting);
	j->task.fn = job_done;
	loop_post(j->loop, &j->task);
}

/* ---- one change at a time ---- */

static void
change_queue(struct admin_job *j)
{
	bool first = TAILQ_EMPTY(&j->admin->altering);

	TAILQ_INSERT_TAIL(&j->admin->altering, j, link);
	j->run = j->change;
	if (first)
		j->run(j);
}

void
admin_change(struct admin *a, struct admin_job *j, void (*run)(struct admin_job *))
{
	j->change = run;
	admin_start(a, j, change_queue);
}

void
admin_change_done(struct admin_job *j)
{
	struct admin *a = j->admin;
	struct admin_job *next;

	must(TAILQ_FIRST(&a->altering) == j);
	TAILQ_REMOVE(&a->altering, j, link);
	admin_done(j);
	next = TAILQ_FIRST(&a->altering);
	if (next != NULL)
		loop_post(a->opt.loop, &next->task);
}

/* ---- waiting for the image ---- */

static void
wait_end(struct admin_job *j)
{
	struct admin *a = j->admin;

	timer_cancel(a->opt.loop, &j->timer);
	TAILQ_REMOVE(&a->waiting, j, link);
	j->waiting = false;
	j->finish(j, cluster_read(a->opt.cluster));
}

static void
wait_timeout(struct timer *t)
{
	wait_end(CONTAINER_OF(t, struct admin_job, timer));
}

static bool
wait_is_over(struct admin_job *j)
{
	return (j->abandoned || j->admin->opt.zk == NULL || j->satisfied(j, cluster_read(j->admin->opt.cluster)));
}

void
admin_wait(struct admin_job *j, int32_t timeout_ms, bool (*satisfied)(struct admin_job *, const struct image *),
    void (*finish)(struct admin_job *, const struct image *))
{
	j->satisfied = satisfied;
	j->finish = finish;
	j->waiting = true;
	timer_init(&j->timer, wait_timeout);
	timer_set(j->admin->opt.loop, &j->timer, timeout_ms);
	TAILQ_INSERT_TAIL(&j->admin->waiting, j, link);
	if (wait_is_over(j))
		wait_end(j);
}

static void
look_again(void *ctx)
{
	struct admin *a = ctx;
	struct admin_job *j, *next;

	for (j = TAILQ_FIRST(&a->waiting); j != NULL; j = next) {
		next = TAILQ_NEXT(j, link);
		if (wait_is_over(j))
			wait_end(j);
	}
}

static void
image_changed(struct cluster_listener *l)
{
	look_again(CONTAINER_OF(l, struct admin, listener));
}

void
admin_abandon(struct admin_job *j)
{
	j->abandoned = true;
	loop_call(j->admin->opt.loop, look_again, j->admin);
}

/* ---- the end of a session ---- */

void
admin_again(struct admin_job *j)
{
	TAILQ_INSERT_TAIL(&j->admin->expired, j, again);
}

static void
run_expired(struct admin *a)
{
	struct admin_job *j;

	while ((j = TAILQ_FIRST(&a->expired)) != NULL) {
		TAILQ_REMOVE(&a->expired, j, again);
		loop_post(a->opt.loop, &j->task);
	}
}

static void
session_event(struct zk_listener *l, enum zk_session_event e)
{
	if (e == ZK_EXPIRED || e == ZK_CONNECTED)
		run_expired(CONTAINER_OF(l, struct admin, session));
}

/* ---- the admin ---- */

struct admin *
admin_new(const struct admin_options *opt)
{
	struct admin *a = xcalloc(1, sizeof(*a));

	a->opt = *opt;
	TAILQ_INIT(&a->waiting);
	TAILQ_INIT(&a->altering);
	TAILQ_INIT(&a->expired);
	a->session.fn = session_event;
	zk_listen(opt->zk, &a->session);
	lock_init(&a->lock, LOCK_admin_auto);
	a->listener = (struct cluster_listener){ .loop = opt->loop, .changed = image_changed };
	cluster_listen(opt->cluster, &a->listener);
	return (a);
}

void
admin_stop(struct admin *a)
{
	if (a->opt.zk == NULL)
		return;
	zk_close(&a->opt.zk);
	run_expired(a);
	look_again(a);
}

void
admin_free(struct admin **ap)
{
	struct admin *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	must(a->opt.zk == NULL && TAILQ_EMPTY(&a->waiting) && TAILQ_EMPTY(&a->altering) && a->in_flight == NULL);
	lock_fini(&a->lock);
	free(a);
}

bool
admin_controller_active(const struct admin *a)
{
	return (a->opt.controller_active(a->opt.ctx));
}

/* ---- small things ---- */

struct admin_outcome
admin_outcome(struct admin_job *j, enum kerr error, const char *words)
{
	return ((struct admin_outcome){ error, words == NULL ? NULL : arena_strndup(j->arena, words, strlen(words)) });
}

enum kerr
admin_zk_error(struct admin *a, enum zke e, const char *what, const char *name)
{
	diag_info(a->opt.diag, "admin", "%s %s: %s", what, name, zke_text(e));
	return (e == ZKE_SESSION_EXPIRED ? KERR_NOT_CONTROLLER : KERR_UNKNOWN_SERVER_ERROR);
}

char *
admin_name(struct arena *arena, struct slice name)
{
	return (arena_strndup(arena, name.p, name.len));
}

struct assign_broker *
admin_brokers(const struct image *im, struct arena *arena)
{
	struct assign_broker *b = ARENA_ARRAY(arena, struct assign_broker, im->nbrokers + 1);

	for (uint32_t i = 0; b != NULL && i < im->nbrokers; i++)
		b[i] = (struct assign_broker){ im->brokers[i]->id, im->brokers[i]->rack };
	return (b);
}

static int
by_name_then_place(const void *x, const void *y)
{
	const struct slice *a = *(const struct slice *const *)x, *b = *(const struct slice *const *)y;
	int c = slice_cmp(*a, *b);

	return (c != 0 ? c : (a > b) - (a < b));
}

void
admin_find_repeated(const struct slice *names, int32_t n, enum admin_mention *out)
{
	const struct slice **order = xcalloc((size_t)n + 1, sizeof(*order));

	for (int32_t i = 0; i < n; i++) {
		order[i] = &names[i];
		out[i] = ADMIN_UNIQUE;
	}
	qsort(order, (size_t)n, sizeof(*order), by_name_then_place);
	for (int32_t i = 1; i < n; i++) {
		if (slice_cmp(*order[i - 1], *order[i]) != 0)
			continue;
		if (out[order[i - 1] - names] == ADMIN_UNIQUE)
			out[order[i - 1] - names] = ADMIN_FIRST_OF_SEVERAL;
		out[order[i] - names] = ADMIN_FURTHER;
	}
	free(order);
}
