/* SPDX-License-Identifier: Apache-2.0
 *
 * event/loop.h - one event loop: descriptors, timers, and tasks posted from other threads.
 *
 * Code that decides runs on a loop and never blocks.  A real loop runs on a thread of its own (loop_start) and waits in epoll.  In
 * simulation nobody starts it: the simulator calls loop_turn on whichever loop it likes and moves the virtual clock to loop_next_ns.
 *
 * Ownership  Timers, watches and tasks are embedded in the caller's structures; the loop only links them.
 * Threads    loop_post may be called from any thread, also from a signal-free C library callback.  Everything else only on the loop
 *            (or before loop_start / after loop_join).
 * Order      Tasks posted by one thread run in the order they were posted.  Within a turn: descriptors, timers due, lazy descriptors, tasks, then the
 *            end-of-turn list, then a quiescent state for base/reclaim.
 * Failure    Nothing here fails after loop_new, except adding a descriptor (ERR_LIMIT, ERR_NOSPACE from the kernel).
 */
#ifndef EVENT_LOOP_H
#define EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/err.h"

struct loop;

/* ---- tasks: "run this on that loop" ---- */
struct task {
	struct task *next;		/* the queue's */
	void (*fn)(struct task *);	/* find your own structure with CONTAINER_OF; it may be freed by fn */
};

/* ---- timers ---- */
struct timer {
	uint64_t	due_tick;	/* the wheel's */
	LIST_ENTRY(timer) link;
	void (*fn)(struct timer *);
	bool		armed;
};

/* ---- descriptors ---- */
enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_CLOSED = 4 /* only reported: peer hung up or error */ };
struct watch {
	int	 fd;
	unsigned want;				/* WATCH_READ | WATCH_WRITE */
	void   (*fn)(struct watch *, unsigned ready);	/* level-triggered; may remove and free itself */
	bool	 added;
	bool	 lazy;				/* watch_lazy; an added one */
};

/* How long what lazy watches have to tell is gathered, in ms.  With the timer's rounding it is told one tick later at most. */
enum { LOOP_LAZY_MS = 2 };

struct loop_options {
	const char	*name;		/* thread name, <= 15 characters */
	struct clock	*clock;
	unsigned	 tick_ms;	/* timer resolution; 0 = 1 ms */
};

enum err loop_new(const struct loop_options *, struct loop **, struct errbuf *) MUST_CHECK;
void	 loop_free(struct loop **);		/* joined, or never started; pending tasks are run first */
enum err loop_start(struct loop *, struct errbuf *) MUST_CHECK;	/* a thread that turns until loop_stop */
void	 loop_stop(struct loop *);		/* any thread */
void	 loop_join(struct loop *);
bool	 loop_turn(struct loop *, int64_t max_wait_ms);	/* one turn on the calling thread; 0 = do not wait; true: something was done */
int64_t	 loop_next_ns(struct loop *);		/* monotonic time of the next timer; INT64_MAX: none */
bool	 loop_is_current(const struct loop *);	/* the calling thread is inside this loop's turn */
int64_t	 loop_now_ms(struct loop *);		/* monotonic, read once per turn */
struct clock *loop_clock(struct loop *);
const char *loop_name(const struct loop *);
int64_t	 loop_longest_turn_ns(struct loop *, bool reset);

void	 loop_post(struct loop *, struct task *);			/* the task must not be queued already */
void	 loop_call(struct loop *, void (*fn)(void *), void *ctx);	/* posts a heap-allocated task; for rare things */
void	 loop_at_end(struct loop *, struct task *);			/* on this loop, at the end of this turn: frees of objects in use */

void	 timer_init(struct timer *, void (*fn)(struct timer *));
void	 timer_set(struct loop *, struct timer *, int64_t delay_ms);	/* re-arms; <= 0 fires on the next turn */
void	 timer_cancel(struct loop *, struct timer *);			/* fine when not armed */

void	 watch_init(struct watch *, int fd, void (*fn)(struct watch *, unsigned));
enum err watch_add(struct loop *, struct watch *, unsigned want, struct errbuf *) MUST_CHECK;
void	 watch_want(struct loop *, struct watch *, unsigned want);
/* For descriptors that are many, and in no hurry.  What is ready is told at once while that is seldom; once lazy watches are ready more often than twice in
 * LOOP_LAZY_MS, on an average, what comes within that time is told together, so that the loop wakes up once for all of it.  A watch begins as one that
 * is not lazy; changing it is two system calls. */
void	 watch_lazy(struct loop *, struct watch *, bool lazy);
void	 watch_remove(struct loop *, struct watch *);	/* fn is not called afterwards, also not in this turn */

#endif
