/* SPDX-License-Identifier: Apache-2.0
 *
 * base/reclaim_tsan.c - see reclaim.h: the variant of --enable-tsan, built instead of reclaim.c.
 *
 * THEORY  ThreadSanitizer does not see liburcu's barriers, so this one is made of a lock it understands.  `now` counts deferrals; each
 *         registered thread keeps the count it saw at its last quiescent state (or is offline).  A deferred free may run when every online
 *         thread has seen its number.  Whoever announces a quiescent state runs what has become free, after dropping the lock.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/reclaim.h"

struct reader_thread {
	LIST_ENTRY(reader_thread) link;
	uint64_t seen;
	bool	 online, registered;
};

struct deferred {
	STAILQ_ENTRY(deferred) link;
	uint64_t number;
	void (*fn)(void *);
	void *p;
};

STAILQ_HEAD(deferred_list, deferred);

/* The process's registry of reading threads: as liburcu's, not a broker's. */
static LIST_HEAD(, reader_thread) threads = LIST_HEAD_INITIALIZER(threads);
static struct deferred_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
static struct lock lock = { PTHREAD_MUTEX_INITIALIZER, LOCK_reclaim };
static uint64_t now;
static unsigned running;	/* threads inside run_free */

static _Thread_local struct reader_thread self;

static void
take_free(struct deferred_list *out)
{
	struct reader_thread *t;
	struct deferred *d;
	uint64_t safe = now;

	LIST_FOREACH(t, &threads, link)
		if (t->online && t->seen < safe)
			safe = t->seen;
	while ((d = STAILQ_FIRST(&waiting)) != NULL && d->number <= safe) {
		STAILQ_REMOVE_HEAD(&waiting, link);
		STAILQ_INSERT_TAIL(out, d, link);
	}
	if (!STAILQ_EMPTY(out))
		running++;
}

static void
run_free(struct deferred_list *list)
{
	struct deferred *d;

	if (STAILQ_EMPTY(list))
		return;
	while ((d = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, link);
		d->fn(d->p);
		free(d);
	}
	lock_acquire(&lock);
	running--;
	lock_release(&lock);
}

static void
announce(bool online)
{
	struct deferred_list list = STAILQ_HEAD_INITIALIZER(list);

	lock_acquire(&lock);
	self.seen = now;
	self.online = online;
	take_free(&list);
	lock_release(&lock);
	run_free(&list);
}

void
reclaim_thread_register(void)
{
	must(!self.registered);
	lock_acquire(&lock);
	LIST_INSERT_HEAD(&threads, &self, link);
	self.seen = now;
	self.registered = self.online = true;
	lock_release(&lock);
}

void
reclaim_thread_unregister(void)
{
	must(self.registered);
	announce(false);
	lock_acquire(&lock);
	LIST_REMOVE(&self, link);
	self.registered = false;
	lock_release(&lock);
}

bool
reclaim_thread_registered(void)
{
	return (self.registered);
}

void
reclaim_quiescent(void)
{
	announce(self.online);
}

void
reclaim_offline(void)
{
	announce(false);
}

void
reclaim_online(void)
{
	announce(true);
}

void
reclaim_defer(void (*fn)(void *), void *p)
{
	struct deferred *d = xmalloc(sizeof(*d));

	must(fn != NULL);
	*d = (struct deferred){ .fn = fn, .p = p };
	lock_acquire(&lock);
	d->number = ++now;
	STAILQ_INSERT_TAIL(&waiting, d, link);
	lock_release(&lock);
}

void
reclaim_barrier(void)
{
	struct condition tick;
	bool done = false, online = self.online;
	uint64_t until;

	if (online)
		announce(false);
	condition_init(&tick);
	lock_acquire(&lock);
	until = now;
	while (!done) {
		struct deferred_list list = STAILQ_HEAD_INITIALIZER(list);
		struct deferred *first;

		take_free(&list);
		lock_release(&lock);
		run_free(&list);
		lock_acquire(&lock);
		first = STAILQ_FIRST(&waiting);
		done = running == 0 && (first == NULL || first->number > until);
		if (!done)
			(void)condition_wait_ms(&tick, &lock, 1);	/* readers do not wake us: tests only */
	}
	lock_release(&lock);
	condition_fini(&tick);
	if (online)
		announce(true);
}
