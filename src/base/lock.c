/* SPDX-License-Identifier: Apache-2.0
 *
 * base/lock.c - see lock.h.
 *
 * THEORY  A developer build keeps, per thread, the list of locks it holds and checks the rank on every acquire: a wrong order shows the
 *         first time the code runs, not the first time two threads meet.  Releases may come in any order.
 */
#include <errno.h>
#include <time.h>

#include "base/lock.h"
#include "base/must.h"

#ifdef OTTLA_DEVELOPER
#define HELD_MAX	16
static _Thread_local const struct lock *held[HELD_MAX];
static _Thread_local unsigned nheld;

static void
held_check(const struct lock *l)
{
	for (unsigned i = 0; i < nheld; i++) {
		must(held[i] != l);		/* not recursive */
		must(held[i]->rank < l->rank);	/* increasing rank only: base/locks.def */
	}
}

static void
held_push(const struct lock *l)
{
	must(nheld < HELD_MAX);
	held[nheld++] = l;
}

static void
held_pop(const struct lock *l)
{
	for (unsigned i = nheld; i-- > 0;)
		if (held[i] == l) {
			held[i] = held[--nheld];
			return;
		}
	unreachable("released a lock that this thread does not hold");
}

void
lock_must_hold(const struct lock *l)
{
	for (unsigned i = 0; i < nheld; i++)
		if (held[i] == l)
			return;
	unreachable("the lock is not held here");
}

void
lock_must_hold_none(void)
{
	must(nheld == 0);
}
#else
#define held_check(l)	((void)0)
#define held_push(l)	((void)0)
#define held_pop(l)	((void)0)

void
lock_must_hold(const struct lock *l)
{
	(void)l;
}

void
lock_must_hold_none(void)
{
}
#endif

void
lock_init(struct lock *l, enum lock_rank rank)
{
	l->rank = rank;
	must_zero(pthread_mutex_init(&l->mutex, NULL));
}

void
lock_fini(struct lock *l)
{
	must_zero(pthread_mutex_destroy(&l->mutex));
}

void
lock_acquire(struct lock *l)
{
	held_check(l);
	must_zero(pthread_mutex_lock(&l->mutex));
	held_push(l);
}

/* No rank check: a lock that is only tried cannot close a circle of waiters. */
bool
lock_try(struct lock *l)
{
	int e = pthread_mutex_trylock(&l->mutex);

	must(e == 0 || e == EBUSY);
	if (e == 0)
		held_push(l);
	return (e == 0);
}

void
lock_release(struct lock *l)
{
	held_pop(l);
	must_zero(pthread_mutex_unlock(&l->mutex));
}

void
condition_init(struct condition *c)
{
	pthread_condattr_t attr;

	must_zero(pthread_condattr_init(&attr));
	must_zero(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	must_zero(pthread_cond_init(&c->cond, &attr));
	must_zero(pthread_condattr_destroy(&attr));
}

void
condition_fini(struct condition *c)
{
	must_zero(pthread_cond_destroy(&c->cond));
}

void
condition_wait(struct condition *c, struct lock *l)
{
	lock_must_hold(l);
	must_zero(pthread_cond_wait(&c->cond, &l->mutex));
}

struct timespec
condition_deadline(int64_t ms)
{
	struct timespec ts;

	if (ms < 0)
		ms = 0;
	must_zero(clock_gettime(CLOCK_MONOTONIC, &ts));
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return (ts);
}

bool
condition_wait_until(struct condition *c, struct lock *l, const struct timespec *deadline)
{
	int e;

	lock_must_hold(l);
	e = pthread_cond_timedwait(&c->cond, &l->mutex, deadline);
	must(e == 0 || e == ETIMEDOUT);
	return (e == 0);
}

bool
condition_wait_ms(struct condition *c, struct lock *l, int64_t ms)
{
	struct timespec deadline = condition_deadline(ms);

	return (condition_wait_until(c, l, &deadline));
}

void
condition_broadcast(struct condition *c)
{
	must_zero(pthread_cond_broadcast(&c->cond));
}

void
condition_signal(struct condition *c)
{
	must_zero(pthread_cond_signal(&c->cond));
}
