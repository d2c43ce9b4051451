/* SPDX-License-Identifier: Apache-2.0
 *
 * event/workers.c - see workers.h.
 *
 * THEORY  One queue of jobs that may run now, under one lock.  A key that has a job in that queue or on a worker is busy and has a row in
 *         `keys`; later jobs of the key wait in the row's own queue, and the end of one moves the next to the tail of the common queue.
 *         The done of a job is posted before its key is released, so dones of one key arrive in order, too.
 *
 *         A job may be freed by its run (done == NULL) or by its done: nothing of it is read after either was handed on.
 */
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "event/thread_int.h"
#include "event/workers.h"

#define WORKERS_MAGIC	0x30bc0b5du

struct job_queue {
	struct job *first, **last;
};

struct busy_key {
	const void	*key;
	struct job_queue waiting;
	UT_hash_handle	 hh;
};

struct worker {
	STAILQ_ENTRY(worker) link;
	struct workers	*pool;
	pthread_t	 thread;
	bool		 gone;		/* under the pool's lock: it does nothing more, and can be joined */
};

struct workers {
	struct magic	 magic;
	char		 name[16];
	struct lock	 lock;		/* everything below */
	struct condition work, idle;
	struct job_queue ready;
	struct busy_key	*keys;
	size_t		 unfinished;	/* queued anywhere, or running */
	bool		 stopping;
	bool		 by_hand;	/* no threads: constant */
	unsigned	 running, wanted;	/* threads that have not left, threads that should be */
	STAILQ_HEAD(, worker) threads;	/* started and not joined; only the owner's thread looks */
	unsigned	 nstarted;	/* ever, for their names; likewise */
};

static void
queue_init(struct job_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void
queue_put(struct job_queue *q, struct job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct job *
queue_take(struct job_queue *q)
{
	struct job *j = q->first;

	if (j == NULL)
		return (NULL);
	q->first = j->next;
	if (q->first == NULL)
		q->last = &q->first;
	return (j);
}

/* ---- under the lock ---- */

/* True: the key was free and is now busy with this job. */
static bool
key_claim(struct workers *w, struct job *j)
{
	struct busy_key *k;

	HASH_FIND_PTR(w->keys, &j->key, k);
	if (k != NULL) {
		queue_put(&k->waiting, j);
		return (false);
	}
	k = xcalloc(1, sizeof(*k));
	k->key = j->key;
	queue_init(&k->waiting);
	HASH_ADD_PTR(w->keys, key, k);
	return (true);
}

static void
key_release(struct workers *w, const void *key)
{
	struct busy_key *k;
	struct job *next;

	HASH_FIND_PTR(w->keys, &key, k);
	must(k != NULL);
	next = queue_take(&k->waiting);
	if (next != NULL) {
		queue_put(&w->ready, next);
		condition_signal(&w->work);
		return;
	}
	HASH_DEL(w->keys, k);
	free(k);
}

static void
finish(struct workers *w, const void *key)
{
	if (key != NULL)
		key_release(w, key);
	must(w->unfinished > 0);
	if (--w->unfinished == 0)
		condition_broadcast(&w->idle);
}

/* ---- running ---- */
static void
run_done(struct task *t)
{
	struct job *j = CONTAINER_OF(t, struct job, task);

	j->done(j);
}

/* A worker is offline between jobs; a thread that steps by hand is registered for the length of the job, or was before. */
static void
run_reading(struct workers *w, struct job *j)
{
	bool visitor = !reclaim_thread_registered(), worker = !w->by_hand;

	if (visitor)
		reclaim_thread_register();
	if (worker)
		reclaim_online();
	j->run(j);
	if (worker)
		reclaim_offline();
	if (visitor)
		reclaim_thread_unregister();
}

/* Called and returns with the lock held; runs without it. */
static void
run_job(struct workers *w, struct job *j)
{
	struct loop *loop = j->done == NULL ? NULL : j->loop;
	const void *key = j->key;

	lock_release(&w->lock);
	run_reading(w, j);
	if (loop != NULL) {
		j->task.fn = run_done;
		loop_post(loop, &j->task);
	}
	lock_acquire(&w->lock);
	finish(w, key);
}

static bool
step(struct workers *w)
{
	struct job *j;

	lock_acquire(&w->lock);
	j = queue_take(&w->ready);
	if (j != NULL)
		run_job(w, j);
	lock_release(&w->lock);
	return (j != NULL);
}

static void *
worker_main(void *arg)
{
	struct worker *me = arg;
	struct workers *w = me->pool;
	struct job *j;

	reclaim_thread_register();
	reclaim_offline();
	lock_acquire(&w->lock);
	for (;;) {
		while (w->running <= w->wanted && (j = queue_take(&w->ready)) != NULL)
			run_job(w, j);
		/* Jobs of a busy key come back to `ready` when the worker that holds the key is done: it will not leave before. */
		if (w->stopping || w->running > w->wanted)
			break;
		condition_wait(&w->work, &w->lock);
	}
	w->running--;
	me->gone = true;
	condition_signal(&w->work);	/* what woke us may have been meant for one who stays */
	lock_release(&w->lock);
	reclaim_thread_unregister();
	return (NULL);
}

/* ---- the interface ---- */
static enum err
start_thread(struct workers *w, struct errbuf *eb)
{
	struct worker *t = xcalloc(1, sizeof(*t));
	char name[16];
	enum err e;

	t->pool = w;
	str_format(name, sizeof(name), "%.11s-%u", w->name, w->nstarted++ % 1000);
	lock_acquire(&w->lock);
	w->running++;
	lock_release(&w->lock);
	e = thread_start(&t->thread, name, worker_main, t, eb);
	if (e == OK) {
		STAILQ_INSERT_TAIL(&w->threads, t, link);
		return (OK);
	}
	lock_acquire(&w->lock);
	w->running--;
	lock_release(&w->lock);
	free(t);
	return (e);
}

/* Joins those that have left; with `all` also those that will. */
static void
join_threads(struct workers *w, bool all)
{
	struct worker *t, *next;
	bool gone;

	for (t = STAILQ_FIRST(&w->threads); t != NULL; t = next) {
		next = STAILQ_NEXT(t, link);
		lock_acquire(&w->lock);
		gone = t->gone;
		lock_release(&w->lock);
		if (!gone && !all)
			continue;
		must_zero(pthread_join(t->thread, NULL));
		STAILQ_REMOVE(&w->threads, t, worker, link);
		free(t);
	}
}

enum err
workers_resize(struct workers *w, unsigned threads, struct errbuf *eb)
{
	enum err e = OK;
	unsigned missing;

	MAGIC_OK(w, WORKERS_MAGIC);
	must(threads > 0 && !w->by_hand);
	join_threads(w, false);
	lock_acquire(&w->lock);
	w->wanted = threads;
	missing = w->running < threads ? threads - w->running : 0;
	condition_broadcast(&w->work);
	lock_release(&w->lock);
	for (; missing > 0 && e == OK; missing--)
		e = start_thread(w, eb);
	return (e);
}

unsigned
workers_count(struct workers *w)
{
	unsigned n;

	lock_acquire(&w->lock);
	n = w->running;
	lock_release(&w->lock);
	return (n);
}

enum err
workers_new(unsigned threads, const char *name, struct workers **wp, struct errbuf *eb)
{
	struct workers *w;
	enum err e = OK;

	must(*wp == NULL);
	w = xcalloc(1, sizeof(*w));
	w->magic.value = WORKERS_MAGIC;
	str_copy(w->name, sizeof(w->name), name);
	lock_init(&w->lock, LOCK_mailbox);
	condition_init(&w->work);
	condition_init(&w->idle);
	queue_init(&w->ready);
	STAILQ_INIT(&w->threads);
	w->by_hand = threads == 0;
	if (threads > 0)
		e = workers_resize(w, threads, eb);
	if (e != OK)
		workers_free(&w);
	*wp = w;
	return (e);
}

void
workers_free(struct workers **wp)
{
	struct workers *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	MAGIC_OK(w, WORKERS_MAGIC);
	lock_acquire(&w->lock);
	w->stopping = true;
	condition_broadcast(&w->work);
	lock_release(&w->lock);
	join_threads(w, true);
	while (step(w))
		;
	must(w->unfinished == 0 && w->keys == NULL);
	condition_fini(&w->work);
	condition_fini(&w->idle);
	lock_fini(&w->lock);
	w->magic.value = 0;
	free(w);
}

void
workers_submit(struct workers *w, struct job *j)
{
	MAGIC_OK(w, WORKERS_MAGIC);
	must(j->run != NULL);
	lock_acquire(&w->lock);
	w->unfinished++;
	if (j->key == NULL || key_claim(w, j)) {
		queue_put(&w->ready, j);
		condition_signal(&w->work);
	}
	lock_release(&w->lock);
}

bool
workers_step(struct workers *w)
{
	MAGIC_OK(w, WORKERS_MAGIC);
	must(w->by_hand);
	return (step(w));
}

void
workers_drain(struct workers *w)
{
	if (w->by_hand) {
		while (workers_step(w))
			;
		return;
	}
	lock_acquire(&w->lock);
	while (w->unfinished > 0)
		condition_wait(&w->idle, &w->lock);
	lock_release(&w->lock);
}
