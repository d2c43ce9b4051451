/* SPDX-License-Identifier: Apache-2.0
 *
 * event/loop.c - see loop.h.
 *
 * MAILBOX   A stack of tasks: posting pushes with one compare-and-swap, the loop takes all of it with one exchange and reverses it, so
 *           tasks of one poster keep their order.
 * WAKING    `asleep` is set before the last look at the mailbox and cleared after epoll_wait.  A poster pushes first and then looks
 *           at `asleep`; both orders are sequentially consistent, so either the loop sees the task or the poster sees the sleeper, and only then
 *           pays for a write to the eventfd.
 * LAZY      Lazy watches are in an epoll set of their own, which is in the loop's set.  When it is told, the set is asked (at once, without waiting).
 *           While events come often (lazy_every_ns, a moving average) it is disarmed in the loop's set and asked by a timer, until it has nothing or
 *           events are seldom again: then it is armed, and tells at once what came in between.  Seldom events cost one more call, and no timer.
 * READY     epoll's answers stay in `ready` while they are delivered; watch_remove blanks what is still to come for that watch, because
 *           its memory may be gone by then.
 * RECLAIM   The thread is offline while it waits and quiescent after each turn.  A thread that only steps a loop by hand (simulation) is
 *           registered for the length of the turn.
 * TIMERS    Due ticks are rounded up, the present down: a timer never fires early.  What is set while timers fire waits for the next turn.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "event/loop.h"
#include "event/thread_int.h"
#include "event/wheel_int.h"

#define LOOP_MAGIC	0x100b1e55u
#define READY_MAX	128
#define LAZY_SELDOM_NS	1000000000	/* longer than that between two events is not told apart */
#define DELAY_MAX_MS	((int64_t)1 << 40)	/* 35 years: keeps sums of nanoseconds in range */

struct loop {
	struct magic	   magic;
	char		   name[16];
	struct clock	  *clock;
	int64_t		   tick_ns;
	int		   epoll_fd, event_fd;
	int		   lazy_fd;	/* the set of lazy watches */
	struct timer	   lazy_timer;
	bool		   lazy_due;	/* that set is to be asked in this turn */
	bool		   gathering;	/* it is disarmed, and asked by the timer */
	int64_t		   lazy_ns;	/* when it had something last */
	int64_t		   lazy_every_ns;	/* time from one of its events to the next, an average */
	struct task	  *mailbox;	/* newest first; pushed by any thread */
	bool		   asleep;	/* in epoll_wait, or about to be */
	bool		   stopping;
	bool		   started, joined;
	pthread_t	   thread;
	struct wheel	   wheel;
	struct task	  *end, **end_tail;	/* the end-of-turn list, oldest first */
	struct epoll_event ready[READY_MAX];
	int		   nready, next_ready;
	int64_t		   now_ns;	/* monotonic, at the beginning of this turn */
	int64_t		   longest_ns;	/* relaxed: read from anywhere */
};

/* Which loop's turn the calling thread is in. */
static _Thread_local struct loop *current;

static bool run_tasks(struct loop *);
static bool run_end(struct loop *);
static void ask_lazy(struct timer *);

/* ---- life ---- */
enum err
loop_new(const struct loop_options *o, struct loop **lp, struct errbuf *eb)
{
	struct loop *l;

	must(*lp == NULL && o->clock != NULL);
	l = xcalloc(1, sizeof(*l));
	l->magic.value = LOOP_MAGIC;
	str_copy(l->name, sizeof(l->name), o->name == NULL ? "loop" : o->name);
	l->clock = o->clock;
	l->tick_ns = (int64_t)MAX(o->tick_ms, 1u) * 1000000;
	l->now_ns = clock_mono_ns(l->clock);
	l->end_tail = &l->end;
	l->lazy_ns = l->now_ns;
	l->lazy_every_ns = LAZY_SELDOM_NS;
	wheel_init(&l->wheel, (uint64_t)(l->now_ns / l->tick_ns));
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->lazy_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_init(&l->lazy_timer, ask_lazy);
	if (l->epoll_fd < 0 || l->event_fd < 0 || l->lazy_fd < 0) {
		enum err e = err_from_errno(errno);

		errbuf_errno(eb, errno, "loop %s: epoll or eventfd", l->name);
		loop_free(&l);
		return (e);
	}
	/* The wake-up has no watch: a null pointer stands for it.  Nor has the lazy set: the loop's own address. */
	must_zero(epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &(struct epoll_event){ .events = EPOLLIN }));
	must_zero(epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->lazy_fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = l }));
	*lp = l;
	return (OK);
}

static bool
mailbox_empty(struct loop *l)
{
	return (__atomic_load_n(&l->mailbox, __ATOMIC_SEQ_CST) == NULL);
}


void
loop_free(struct loop **lp)
{
	struct loop *l = *lp, *outer = current;

	*lp = NULL;
	if (l == NULL)
		return;
	MAGIC_OK(l, LOOP_MAGIC);
	must(!l->started || l->joined);
	current = l;
	while (!mailbox_empty(l) || l->end != NULL) {
		run_tasks(l);
		run_end(l);
	}
	current = outer;
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->event_fd >= 0)
		close(l->event_fd);
	if (l->lazy_fd >= 0)
		close(l->lazy_fd);
	l->magic.value = 0;
	free(l);
}

static void *
loop_main(void *arg)
{
	struct loop *l = arg;

	reclaim_thread_register();
	while (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE))
		loop_turn(l, -1);
	reclaim_thread_unregister();
	return (NULL);
}

enum err
loop_start(struct loop *l, struct errbuf *eb)
{
	enum err e;

	MAGIC_OK(l, LOOP_MAGIC);
	must(!l->started);
	e = thread_start(&l->thread, l->name, loop_main, l, eb);
	l->started = e == OK;
	return (e);
}

static void
wake(struct loop *l)
{
	uint64_t one = 1;

	if (!__atomic_load_n(&l->asleep, __ATOMIC_SEQ_CST) || !__atomic_exchange_n(&l->asleep, false, __ATOMIC_SEQ_CST))
		return;
	/* It can only fail when the counter is full, and then the loop is awake as it is. */
	if (write(l->event_fd, &one, sizeof(one)) < 0)
		must(errno == EAGAIN || errno == EINTR);
}

void
loop_stop(struct loop *l)
{
	MAGIC_OK(l, LOOP_MAGIC);
	__atomic_store_n(&l->stopping, true, __ATOMIC_SEQ_CST);
	wake(l);
}

void
loop_join(struct loop *l)
{
	MAGIC_OK(l, LOOP_MAGIC);
	if (!l->started || l->joined)
		return;
	must(current != l);
	must_zero(pthread_join(l->thread, NULL));
	l->joined = true;
}

/* ---- tasks ---- */
void
loop_post(struct loop *l, struct task *t)
{
	MAGIC_OK(l, LOOP_MAGIC);
	must(t->fn != NULL);
	t->next = __atomic_load_n(&l->mailbox, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&l->mailbox, &t->next, t, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	wake(l);	/* the task may have run and be gone by now; the loop outlives its posters */
}

struct call {
	struct task task;
	void (*fn)(void *);
	void *ctx;
};

static void
run_call(struct task *t)
{
	struct call *c = CONTAINER_OF(t, struct call, task);

	c->fn(c->ctx);
	free(c);
}

void
loop_call(struct loop *l, void (*fn)(void *), void *ctx)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->task.fn = run_call;
	c->fn = fn;
	c->ctx = ctx;
	loop_post(l, &c->task);
}

void
loop_at_end(struct loop *l, struct task *t)
{
	MAGIC_OK(l, LOOP_MAGIC);
	must(loop_is_current(l) || !l->started || l->joined);
	t->next = NULL;
	*l->end_tail = t;
	l->end_tail = &t->next;
}

/* What is there now; what these post waits for the next turn, so that descriptors and timers have their share. */
static bool
run_tasks(struct loop *l)
{
	struct task *newest = __atomic_exchange_n(&l->mailbox, NULL, __ATOMIC_SEQ_CST), *list = NULL, *t;
	bool some = newest != NULL;

	while ((t = newest) != NULL) {
		newest = t->next;
		t->next = list;
		list = t;
	}
	while ((t = list) != NULL) {
		list = t->next;
		t->fn(t);
	}
	return (some);
}

static bool
run_end(struct loop *l)
{
	bool some = l->end != NULL;
	struct task *t;

	while ((t = l->end) != NULL) {
		l->end = t->next;
		if (l->end == NULL)
			l->end_tail = &l->end;
		t->fn(t);
	}
	return (some);
}

/* ---- timers ---- */
void
timer_init(struct timer *t, void (*fn)(struct timer *))
{
	*t = (struct timer){ .fn = fn };
}

void
timer_set(struct loop *l, struct timer *t, int64_t delay_ms)
{
	int64_t due = clock_mono_ns(l->clock) + MIN(MAX(delay_ms, 0), DELAY_MAX_MS) * 1000000;

	MAGIC_OK(l, LOOP_MAGIC);
	must(t->fn != NULL);
	must(loop_is_current(l) || !l->started || l->joined);
	timer_cancel(l, t);
	t->armed = true;
	wheel_add(&l->wheel, t, delay_ms <= 0 ? l->wheel.tick : (uint64_t)((due + l->tick_ns - 1) / l->tick_ns));
}

void
timer_cancel(struct loop *l, struct timer *t)
{
	must(loop_is_current(l) || !l->started || l->joined);
	if (!t->armed)
		return;
	t->armed = false;
	wheel_remove(t);
}

static bool
run_timers(struct loop *l)
{
	struct timer_list due = LIST_HEAD_INITIALIZER(due);
	struct timer *t;
	bool some = false;

	wheel_advance(&l->wheel, (uint64_t)(l->now_ns / l->tick_ns));
	while ((t = LIST_FIRST(&l->wheel.expired)) != NULL) {
		LIST_REMOVE(t, link);
		LIST_INSERT_HEAD(&due, t, link);	/* turns newest-first into oldest-first */
	}
	while ((t = LIST_FIRST(&due)) != NULL) {
		LIST_REMOVE(t, link);
		t->armed = false;
		t->fn(t);
		some = true;
	}
	return (some);
}

int64_t
loop_next_ns(struct loop *l)
{
	uint64_t tick = wheel_next_due(&l->wheel);

	return (tick == UINT64_MAX ? INT64_MAX : (int64_t)tick * l->tick_ns);
}

/* ---- descriptors ---- */
void
watch_init(struct watch *w, int fd, void (*fn)(struct watch *, unsigned))
{
	*w = (struct watch){ .fd = fd, .fn = fn };
}

static struct epoll_event
interest(struct watch *w)
{
	uint32_t events = 0;

	if ((w->want & WATCH_READ) != 0)
		events |= EPOLLIN;
	if ((w->want & WATCH_WRITE) != 0)
		events |= EPOLLOUT;
	return ((struct epoll_event){ .events = events, .data.ptr = w });
}

static int
set_of(const struct loop *l, const struct watch *w)
{
	return (w->lazy ? l->lazy_fd : l->epoll_fd);
}

enum err
watch_add(struct loop *l, struct watch *w, unsigned want, struct errbuf *eb)
{
	struct epoll_event ev;

	MAGIC_OK(l, LOOP_MAGIC);
	must(!w->added && w->fd >= 0);
	w->lazy = false;
	w->want = want;
	ev = interest(w);
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) != 0) {
		enum err e = err_from_errno(errno);

		errbuf_errno(eb, errno, "loop %s: epoll_ctl", l->name);
		return (e);
	}
	w->added = true;
	return (OK);
}

void
watch_want(struct loop *l, struct watch *w, unsigned want)
{
	struct epoll_event ev;

	must(w->added);
	if (w->want == want)
		return;
	w->want = want;
	ev = interest(w);
	must_zero(epoll_ctl(set_of(l, w), EPOLL_CTL_MOD, w->fd, &ev));
}

/* The kernel may refuse a place in the other set (its limit of watches): then it stays where it is, which is never wrong. */
void
watch_lazy(struct loop *l, struct watch *w, bool lazy)
{
	struct epoll_event ev = interest(w);

	must(w->added);
	if (w->lazy == lazy || epoll_ctl(lazy ? l->lazy_fd : l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) != 0)
		return;
	must_zero(epoll_ctl(set_of(l, w), EPOLL_CTL_DEL, w->fd, NULL));
	w->lazy = lazy;
}

void
watch_remove(struct loop *l, struct watch *w)
{
	if (!w->added)
		return;
	w->added = false;
	must_zero(epoll_ctl(set_of(l, w), EPOLL_CTL_DEL, w->fd, NULL));
	w->lazy = false;
	for (int i = l->next_ready; i < l->nready; i++)
		if (l->ready[i].data.ptr == w)
			l->ready[i].events = 0;
}

static void
clear_wakeup(struct loop *l)
{
	uint64_t count;

	if (read(l->event_fd, &count, sizeof(count)) < 0)
		must(errno == EAGAIN || errno == EINTR);
}

static unsigned
ready_mask(uint32_t events)
{
	return (((events & EPOLLIN) != 0 ? (unsigned)WATCH_READ : 0) | ((events & EPOLLOUT) != 0 ? (unsigned)WATCH_WRITE : 0) |
	    ((events & (EPOLLERR | EPOLLHUP)) != 0 ? (unsigned)WATCH_CLOSED : 0));
}

static bool
run_watches(struct loop *l)
{
	bool some = false;

	for (l->next_ready = 0; l->next_ready < l->nready;) {
		struct epoll_event ev = l->ready[l->next_ready++];
		struct watch *w = ev.data.ptr;
		unsigned ready = ready_mask(ev.events);

		if (w == NULL || ev.data.ptr == l) {
			if (w == NULL)
				clear_wakeup(l);
			else
				l->lazy_due = true;
			continue;
		}
		/* What is no longer wanted, because an earlier callback of this turn said so, is not delivered. */
		if (ev.events == 0 || (ready & (w->want | WATCH_CLOSED)) == 0)
			continue;
		w->fn(w, ready & (w->want | WATCH_CLOSED));
		some = true;
	}
	l->nready = l->next_ready = 0;
	return (some);
}

static void
ask_lazy(struct timer *t)
{
	CONTAINER_OF(t, struct loop, lazy_timer)->lazy_due = true;
}

static void
note_lazy(struct loop *l, int n)
{
	if (n <= 0)
		return;
	l->lazy_every_ns += (MIN(l->now_ns - l->lazy_ns, (int64_t)LAZY_SELDOM_NS) / n - l->lazy_every_ns) / 8;
	l->lazy_ns = l->now_ns;
}

static void
gather(struct loop *l, bool on)
{
	struct epoll_event ev = { .events = on ? 0 : EPOLLIN, .data.ptr = l };

	if (l->gathering != on)
		must_zero(epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->lazy_fd, &ev));
	l->gathering = on;
}

/* Asks the lazy set when it is time.  More than fit into one answer are asked for in the next turn. */
static bool
run_lazy(struct loop *l)
{
	int n;

	if (!l->lazy_due)
		return (false);
	l->lazy_due = false;
	n = epoll_wait(l->lazy_fd, l->ready, READY_MAX, 0);
	must(n >= 0 || errno == EINTR);
	note_lazy(l, n);
	gather(l, n > 0 && l->lazy_every_ns < LOOP_LAZY_MS * (int64_t)1000000 / 2);
	if (l->gathering)
		timer_set(l, &l->lazy_timer, n == READY_MAX ? 0 : LOOP_LAZY_MS);
	l->nready = MAX(n, 0);
	return (run_watches(l));
}

/* ---- a turn ---- */

/* Milliseconds epoll may wait: until the next timer, at most max_wait_ms (negative: no limit of its own). */
static int
wait_ms(struct loop *l, int64_t max_wait_ms)
{
	uint64_t tick = wheel_next_work(&l->wheel);
	int64_t wait = max_wait_ms < 0 ? INT_MAX : MIN(max_wait_ms, INT_MAX), until;

	if (l->end != NULL)
		return (0);
	if (tick != UINT64_MAX && wait > 0) {
		until = (int64_t)tick * l->tick_ns - clock_mono_ns(l->clock);
		wait = MIN(wait, until <= 0 ? 0 : (until + 999999) / 1000000);
	}
	return (wait == INT_MAX ? -1 : (int)wait);
}

static void
wait_ready(struct loop *l, int timeout_ms)
{
	int n;

	if (timeout_ms != 0) {
		__atomic_store_n(&l->asleep, true, __ATOMIC_SEQ_CST);
		if (!mailbox_empty(l) || __atomic_load_n(&l->stopping, __ATOMIC_SEQ_CST))
			timeout_ms = 0;
	}
	if (timeout_ms != 0)
		reclaim_offline();
	n = epoll_wait(l->epoll_fd, l->ready, READY_MAX, timeout_ms);
	must(n >= 0 || errno == EINTR);
	if (timeout_ms != 0)
		reclaim_online();
	__atomic_store_n(&l->asleep, false, __ATOMIC_SEQ_CST);
	l->nready = MAX(n, 0);
	l->next_ready = 0;
}

bool
loop_turn(struct loop *l, int64_t max_wait_ms)
{
	bool visitor = !reclaim_thread_registered(), some;
	int64_t took;

	MAGIC_OK(l, LOOP_MAGIC);
	must(current == NULL);
	if (visitor)
		reclaim_thread_register();
	wait_ready(l, wait_ms(l, max_wait_ms));
	current = l;
	l->now_ns = clock_mono_ns(l->clock);
	some = run_watches(l);
	some = run_timers(l) || some;
	some = run_lazy(l) || some;
	some = run_tasks(l) || some;
	some = run_end(l) || some;
	current = NULL;
	reclaim_quiescent();
	took = clock_mono_ns(l->clock) - l->now_ns;
	if (took > __atomic_load_n(&l->longest_ns, __ATOMIC_RELAXED))
		__atomic_store_n(&l->longest_ns, took, __ATOMIC_RELAXED);
	if (visitor)
		reclaim_thread_unregister();
	return (some);
}

/* ---- facts ---- */
bool
loop_is_current(const struct loop *l)
{
	return (current == l);
}

int64_t
loop_now_ms(struct loop *l)
{
	return ((current == l ? l->now_ns : clock_mono_ns(l->clock)) / 1000000);
}

struct clock *
loop_clock(struct loop *l)
{
	return (l->clock);
}

const char *
loop_name(const struct loop *l)
{
	return (l->name);
}

int64_t
loop_longest_turn_ns(struct loop *l, bool reset)
{
	if (reset)
		return (__atomic_exchange_n(&l->longest_ns, 0, __ATOMIC_RELAXED));
	return (__atomic_load_n(&l->longest_ns, __ATOMIC_RELAXED));
}
