/* SPDX-License-Identifier: Apache-2.0
 *
 * base/reclaim.h - lock-free readers: publish a pointer, read it without a lock, free the old value when no reader can hold it.
 *
 * One header, three ways behind it: liburcu-qsbr (production), a variant with plain atomics that ThreadSanitizer understands
 * (--enable-tsan), and an end-of-turn list in single-threaded simulation (both variants work there: one thread is its own grace period).
 *
 * Threads    A thread that reads must be registered.  A loop announces a quiescent state once per turn and goes offline around
 *            epoll_wait; a worker between jobs is offline.  A pointer read is valid until the next reclaim_quiescent or _offline of
 *            this thread; to keep it longer, take a reference of its own.
 */
#ifndef BASE_RECLAIM_H
#define BASE_RECLAIM_H

#include <stdbool.h>

void reclaim_thread_register(void);
void reclaim_thread_unregister(void);
bool reclaim_thread_registered(void);	/* the calling thread */
void reclaim_quiescent(void);	/* this thread holds no pointer it read */
void reclaim_offline(void);	/* the same, until reclaim_online */
void reclaim_online(void);

/* fn(p) runs later on some thread (the reclaimer's), when every registered online thread has been quiescent since. */
void reclaim_defer(void (*fn)(void *), void *p);
/* Waits until everything deferred before has run.  The caller, of whatever state, holds no pointer it read and counts as offline meanwhile. */
void reclaim_barrier(void);

#define reclaim_read(pp)	__atomic_load_n((pp), __ATOMIC_ACQUIRE)
#define reclaim_publish(pp, v)	__atomic_store_n((pp), (v), __ATOMIC_RELEASE)

#endif
