/* SPDX-License-Identifier: Apache-2.0
 *
 * base/lock.h - mutexes with a rank.  Developer builds panic when a thread takes a lock whose rank is not above all it holds.
 * Ranks are rows of base/locks.def.  A lock that would be held across a call that can block on a disk or a peer is a design error,
 * except where its row says so.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/cdefs.h"

enum lock_rank {
#define LOCK(rank, name, protects)	LOCK_##name = rank,
#include "base/locks.def"
#undef LOCK
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank	rank;
};

void lock_init(struct lock *, enum lock_rank);
void lock_fini(struct lock *);
void lock_acquire(struct lock *);
bool lock_try(struct lock *) MUST_CHECK;
void lock_release(struct lock *);
void lock_must_hold(const struct lock *);	/* developer builds only */
void lock_must_hold_none(void);			/* developer builds only: before callbacks and blocking calls */

/* A condition for threads that may wait (workers, the ZooKeeper shim, tests); never on a loop. */
struct condition { pthread_cond_t cond; };
void condition_init(struct condition *);
void condition_fini(struct condition *);
void condition_wait(struct condition *, struct lock *);
bool condition_wait_ms(struct condition *, struct lock *, int64_t ms);	/* false: timed out */
/* The same with an end that is worked out once, for who may be woken for nothing and waits again. */
struct timespec condition_deadline(int64_t ms);		/* from now */
bool condition_wait_until(struct condition *, struct lock *, const struct timespec *deadline);
void condition_broadcast(struct condition *);
void condition_signal(struct condition *);	/* wakes one */

#endif
