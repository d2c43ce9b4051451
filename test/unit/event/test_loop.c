/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops: order within a turn, timers on virtual time, posting from threads, descriptors that come and go, signals.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cdefs.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "event/loop.h"
#include "event/signals.h"
#include "test/unit/unit.h"

#define MS	1000000

struct fixture {
	struct clock_manual clock;
	struct loop *loop;
};

static void
setup(struct fixture *f, unsigned tick_ms)
{
	struct loop_options o = { .name = "test", .clock = &f->clock.clock, .tick_ms = tick_ms };

	clock_manual_init(&f->clock, 1700000000000);
	f->loop = NULL;
	CHECK_EQ(loop_new(&o, &f->loop, NULL), OK);
}

static void
advance(struct fixture *f, int64_t ms)
{
	clock_manual_advance_ns(&f->clock, ms * MS);
}

/* ---- a trace of what ran ---- */
static char trace[256];

static void
traced(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

struct letter {
	struct task task;
	struct timer timer;
	struct loop *loop;
	char c;
};

static void
letter_task(struct task *t)
{
	traced(CONTAINER_OF(t, struct letter, task)->c);
}

static void
letter_timer(struct timer *t)
{
	traced(CONTAINER_OF(t, struct letter, timer)->c);
}

TEST(posted_tasks_run_in_order)
{
	struct fixture f;
	struct letter l[5];

	setup(&f, 0);
	trace[0] = '\0';
	for (int i = 0; i < 5; i++) {
		l[i] = (struct letter){ .task.fn = letter_task, .c = (char)('a' + i) };
		loop_post(f.loop, &l[i].task);
	}
	CHECK(loop_turn(f.loop, 0));
	CHECK_STR(trace, "abcde");
	CHECK(!loop_turn(f.loop, 0));
	loop_post(f.loop, &l[0].task);
	loop_free(&f.loop);		/* pending tasks are run first */
	CHECK_STR(trace, "abcdea");
	CHECK(f.loop == NULL);
	loop_free(&f.loop);
}

static void
post_again(struct task *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, task);

	traced(l->c);
	if (l->c++ < 'c')
		loop_post(l->loop, t);
}

static void
end_again(struct task *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, task);

	traced(l->c);
	if (l->c++ < 'Z')
		loop_at_end(l->loop, t);
}

TEST(a_task_that_posts_itself_does_not_hold_the_turn)
{
	struct fixture f;
	struct letter l, e;

	setup(&f, 0);
	trace[0] = '\0';
	l = (struct letter){ .task.fn = post_again, .loop = f.loop, .c = 'a' };
	e = (struct letter){ .task.fn = end_again, .loop = f.loop, .c = 'Y' };
	loop_post(f.loop, &l.task);
	loop_turn(f.loop, 0);
	CHECK_STR(trace, "a");
	loop_at_end(f.loop, &e.task);	/* the end of a turn, on the other hand, is the end: what it adds runs too */
	loop_turn(f.loop, -1);
	CHECK_STR(trace, "abYZ");
	loop_turn(f.loop, -1);
	CHECK_STR(trace, "abYZc");
	loop_free(&f.loop);
}

static void
write_here(struct watch *w, unsigned ready)
{
	char c;

	traced(ready == WATCH_READ ? 'r' : '?');
	CHECK_EQ(read(w->fd, &c, 1), 1);
}

static void
all_kinds(struct task *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, task);

	traced('p');
	CHECK(loop_is_current(l->loop));
	loop_at_end(l->loop, &(l + 1)->task);
}

TEST(a_turn_runs_descriptors_timers_tasks_then_the_end)
{
	struct fixture f;
	struct letter l[2];
	struct watch w;
	int p[2];

	setup(&f, 0);
	trace[0] = '\0';
	CHECK_EQ(pipe(p), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	watch_init(&w, p[0], write_here);
	CHECK_EQ(watch_add(f.loop, &w, WATCH_READ, NULL), OK);
	l[0] = (struct letter){ .task.fn = all_kinds, .loop = f.loop, .c = 't' };
	l[1] = (struct letter){ .task.fn = letter_task, .c = 'e' };
	timer_init(&l[0].timer, letter_timer);
	timer_set(f.loop, &l[0].timer, 0);
	loop_post(f.loop, &l[0].task);
	CHECK(!loop_is_current(f.loop));
	CHECK(loop_turn(f.loop, -1));
	CHECK_STR(trace, "rtpe");
	watch_remove(f.loop, &w);
	loop_free(&f.loop);
	close(p[0]);
	close(p[1]);
}

/* ---- timers ---- */
TEST(timers_fire_when_due_and_never_early)
{
	struct fixture f;
	struct letter a = { .c = 'a' };

	setup(&f, 0);
	trace[0] = '\0';
	clock_manual_advance_ns(&f.clock, 300000);	/* between two ticks */
	timer_init(&a.timer, letter_timer);
	CHECK_EQ(loop_next_ns(f.loop), INT64_MAX);
	timer_set(f.loop, &a.timer, 10);
	CHECK_GE(loop_next_ns(f.loop), clock_mono_ns(&f.clock.clock) + 10 * MS);
	advance(&f, 10);
	CHECK(!loop_turn(f.loop, 0));			/* the tick is rounded up */
	clock_manual_advance_ns(&f.clock, 700000);
	CHECK(loop_turn(f.loop, 0));
	CHECK_STR(trace, "a");
	CHECK(!a.timer.armed);
	advance(&f, 1000000);
	CHECK(!loop_turn(f.loop, 0));
	loop_free(&f.loop);
}

TEST(a_timer_set_again_or_cancelled_does_not_fire_at_its_old_time)
{
	struct fixture f;
	struct letter a = { .c = 'a' }, b = { .c = 'b' };

	setup(&f, 0);
	trace[0] = '\0';
	timer_init(&a.timer, letter_timer);
	timer_init(&b.timer, letter_timer);
	timer_set(f.loop, &a.timer, 10);
	timer_set(f.loop, &a.timer, 100);
	timer_set(f.loop, &b.timer, 20);
	timer_cancel(f.loop, &b.timer);
	timer_cancel(f.loop, &b.timer);
	advance(&f, 50);
	CHECK(!loop_turn(f.loop, 0));
	timer_set(f.loop, &a.timer, 5);
	advance(&f, 5);
	CHECK(loop_turn(f.loop, 0));
	CHECK_STR(trace, "a");
	timer_set(f.loop, &a.timer, -7);		/* next turn */
	CHECK(loop_turn(f.loop, -1));
	CHECK_STR(trace, "aa");
	timer_set(f.loop, &a.timer, INT64_MAX);		/* never, but no overflow */
	advance(&f, 1000000000);
	CHECK(!loop_turn(f.loop, 0));
	timer_cancel(f.loop, &a.timer);
	loop_free(&f.loop);
}

static struct letter *victim;

static void
cancel_victim(struct timer *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, timer);

	traced(l->c);
	timer_cancel(l->loop, &victim->timer);
}

static void
set_again(struct timer *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, timer);

	traced(l->c);
	timer_set(l->loop, t, 0);
}

TEST(a_timer_may_cancel_another_of_the_same_tick)
{
	struct fixture f;
	struct letter a = { .c = 'a' }, b = { .c = 'b' };

	setup(&f, 0);
	trace[0] = '\0';
	a.loop = b.loop = f.loop;
	victim = &b;
	timer_init(&a.timer, cancel_victim);
	timer_init(&b.timer, letter_timer);
	timer_set(f.loop, &a.timer, 0);		/* oldest first */
	timer_set(f.loop, &b.timer, 0);
	loop_turn(f.loop, 0);
	loop_turn(f.loop, 0);
	CHECK_STR(trace, "a");
	timer_init(&a.timer, set_again);	/* one fire per turn, however short the delay */
	timer_set(f.loop, &a.timer, 0);
	loop_turn(f.loop, 0);
	loop_turn(f.loop, 0);
	CHECK_STR(trace, "aaa");
	timer_cancel(f.loop, &a.timer);
	loop_free(&f.loop);
}

struct checked_timer {
	struct timer timer;
	struct fixture *f;
	int64_t due_ns, tick_ns;
	unsigned *fired;
};

static void
check_due(struct timer *t)
{
	struct checked_timer *c = CONTAINER_OF(t, struct checked_timer, timer);
	int64_t now = clock_mono_ns(&c->f->clock.clock);

	CHECK(now >= c->due_ns && now < c->due_ns + c->tick_ns);
	(*c->fired)++;
}

/* The simulator's way: jump to loop_next_ns, turn.  Every timer must fire exactly then, whatever levels of the wheel it went through. */
static void
random_timers(uint64_t seed, unsigned tick_ms)
{
	enum { N = 300 };
	static struct checked_timer t[N];
	struct random_seeded rnd;
	struct fixture f;
	unsigned fired = 0, expected = 0;
	int64_t next;

	setup(&f, tick_ms);
	random_seeded_init(&rnd, seed);
	clock_manual_advance_ns(&f.clock, (int64_t)(random_u64(&rnd.random) >> (14 + random_below(&rnd.random, 20))));
	for (unsigned i = 0; i < N || loop_next_ns(f.loop) != INT64_MAX; i++) {
		if (i < N) {
			int64_t delay = 1 + (int64_t)(random_u64(&rnd.random) >> (28 + random_below(&rnd.random, 36)));

			timer_init(&t[i].timer, check_due);
			t[i].f = &f;
			t[i].fired = &fired;
			t[i].tick_ns = (int64_t)tick_ms * MS;
			t[i].due_ns = clock_mono_ns(&f.clock.clock) + delay * MS;
			timer_set(f.loop, &t[i].timer, delay);
			expected++;
		}
		if (i >= 20 && i < N && random_below(&rnd.random, 8) == 0 && t[i - 20].timer.armed) {
			timer_cancel(f.loop, &t[i - 20].timer);
			expected--;
		}
		next = loop_next_ns(f.loop);
		if (next == INT64_MAX || (i < N && random_below(&rnd.random, 3) == 0))
			continue;
		clock_manual_advance_ns(&f.clock, MAX(next - clock_mono_ns(&f.clock.clock), 0));
		CHECK(loop_turn(f.loop, 0));
	}
	CHECK_EQ(fired, expected);
	loop_free(&f.loop);
}

TEST(timers_of_any_length_fire_exactly_when_the_simulator_jumps_to_them)
{
	for (unsigned i = 0; i < 30; i++)
		random_timers(unit_seed() + i, i % 3 == 0 ? 10 : 1);
}

/* ---- threads ---- */
enum { POSTERS = 4, POSTS = 5000 };

struct poster {
	pthread_t thread;
	struct loop *loop;
	struct numbered { struct task task; struct poster *poster; unsigned n; } tasks[POSTS];
	unsigned next;		/* only the loop looks */
	bool	 disorder;
};

static void
numbered_task(struct task *t)
{
	struct numbered *m = CONTAINER_OF(t, struct numbered, task);

	if (m->n != m->poster->next++)
		m->poster->disorder = true;
}

static void *
post_many(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		p->tasks[i] = (struct numbered){ .task.fn = numbered_task, .poster = p, .n = i };
		loop_post(p->loop, &p->tasks[i].task);
	}
	return (NULL);
}

static void
stop_loop(void *ctx)
{
	loop_stop(ctx);
}

TEST(posts_from_many_threads_all_arrive_in_each_threads_order)
{
	struct loop_options o = { .name = "posted", .clock = clock_real() };
	struct poster *posters = calloc(POSTERS, sizeof(*posters));
	struct loop *l = NULL;

	REQUIRE(posters != NULL && loop_new(&o, &l, NULL) == OK && loop_start(l, NULL) == OK);
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i].loop = l;
		CHECK_EQ(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
	}
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	loop_call(l, stop_loop, l);
	loop_join(l);
	for (unsigned i = 0; i < POSTERS; i++) {
		CHECK_EQ(posters[i].next, POSTS);
		CHECK(!posters[i].disorder);
	}
	loop_free(&l);
	free(posters);
}

struct pingpong {
	struct task task;
	struct loop *here, *there;
	struct pingpong *other;
	unsigned left;
};

static void
bounce(struct task *t)
{
	struct pingpong *p = CONTAINER_OF(t, struct pingpong, task);

	CHECK(loop_is_current(p->here));
	if (p->left-- == 0) {
		loop_stop(p->here);
		loop_stop(p->there);
		return;
	}
	p->other->left = p->left;
	loop_post(p->there, &p->other->task);
}

/* Two sleeping loops that wake each other thousands of times: a lost wake-up hangs here. */
TEST(no_wakeup_is_lost)
{
	struct loop_options o = { .name = "ping", .clock = clock_real() };
	struct loop *a = NULL, *b = NULL;
	struct pingpong p, q;

	REQUIRE(loop_new(&o, &a, NULL) == OK && loop_new(&o, &b, NULL) == OK);
	p = (struct pingpong){ { .fn = bounce }, a, b, &q, 5000 };
	q = (struct pingpong){ { .fn = bounce }, b, a, &p, 0 };
	REQUIRE(loop_start(a, NULL) == OK && loop_start(b, NULL) == OK);
	loop_post(a, &p.task);
	loop_join(a);
	loop_join(b);
	CHECK_EQ(p.left == UINT32_MAX || q.left == UINT32_MAX, true);
	loop_free(&a);
	loop_free(&b);
}

TEST(a_started_loop_fires_timers_and_stops)
{
	struct loop_options o = { .name = "real-time", .clock = clock_real() };
	struct letter a = { .c = 'a' };
	struct loop *l = NULL;
	int64_t before;

	REQUIRE(loop_new(&o, &l, NULL) == OK);
	a.loop = l;
	victim = &a;
	timer_init(&a.timer, cancel_victim);
	trace[0] = '\0';
	before = clock_mono_ms(clock_real());
	timer_set(l, &a.timer, 20);
	while (a.timer.armed)
		loop_turn(l, -1);
	CHECK_GE(clock_mono_ms(clock_real()) - before, 20);
	CHECK(loop_now_ms(l) >= before + 20);
	CHECK_STR(loop_name(l), "real-time");
	CHECK(loop_clock(l) == clock_real());
	CHECK(loop_longest_turn_ns(l, true) > 0);
	CHECK_EQ(loop_longest_turn_ns(l, false), 0);
	loop_stop(l);
	REQUIRE(loop_start(l, NULL) == OK);	/* stopped before it started: ends at once */
	loop_join(l);
	loop_free(&l);
}

/* ---- descriptors ---- */
struct pair {
	struct watch w[2];
	struct loop *loop;
	unsigned calls, ready;
};

static struct pair *pair;

static void
remove_both(struct watch *w, unsigned ready)
{
	(void)w;
	pair->calls++;
	pair->ready |= ready;
	watch_remove(pair->loop, &pair->w[0]);
	watch_remove(pair->loop, &pair->w[1]);
	memset(pair->w, 0xff, sizeof(pair->w));		/* as if freed */
}

TEST(a_removed_watch_is_not_called_even_in_the_same_turn)
{
	struct fixture f;
	struct pair p = { 0 };
	int s[2], u[2];

	setup(&f, 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, u), 0);
	pair = &p;
	p.loop = f.loop;
	watch_init(&p.w[0], s[0], remove_both);
	watch_init(&p.w[1], u[0], remove_both);
	CHECK_EQ(watch_add(f.loop, &p.w[0], WATCH_WRITE, NULL), OK);
	CHECK_EQ(watch_add(f.loop, &p.w[1], WATCH_WRITE, NULL), OK);
	loop_turn(f.loop, -1);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.calls, 1);
	CHECK_EQ(p.ready, WATCH_WRITE);
	loop_free(&f.loop);
	for (int i = 0; i < 2; i++) {
		close(s[i]);
		close(u[i]);
	}
}

/* ---- lazy descriptors ---- */
enum { MANY = 150 };	/* more than epoll is asked for at once */

struct crowd {
	struct fixture f;
	int p[MANY][2];
	struct watch w[MANY];
	unsigned calls[MANY], all;
	bool remove_next;
};

static struct crowd *crowd;

static void
one_of_the_crowd(struct watch *w, unsigned ready)
{
	unsigned i = (unsigned)(w - crowd->w);
	char c;

	CHECK_EQ(ready, WATCH_READ);
	CHECK_EQ(read(w->fd, &c, 1), 1);
	crowd->calls[i]++;
	crowd->all++;
	if (crowd->remove_next)
		for (unsigned j = 0; j < MANY; j++)
			if (j != i)
				watch_remove(crowd->f.loop, &crowd->w[j]);
}

static void
crowd_setup(struct crowd *c)
{
	memset(c, 0, sizeof(*c));
	setup(&c->f, 0);
	crowd = c;
	for (unsigned i = 0; i < MANY; i++) {
		REQUIRE(pipe(c->p[i]) == 0);
		watch_init(&c->w[i], c->p[i][0], one_of_the_crowd);
		CHECK_EQ(watch_add(c->f.loop, &c->w[i], WATCH_READ, NULL), OK);
		CHECK(!c->w[i].lazy);
		watch_lazy(c->f.loop, &c->w[i], true);
		CHECK(c->w[i].lazy);
	}
}

static void
crowd_fini(struct crowd *c)
{
	for (unsigned i = 0; i < MANY; i++) {
		watch_remove(c->f.loop, &c->w[i]);
		close(c->p[i][0]);
		close(c->p[i][1]);
	}
	loop_free(&c->f.loop);
}

static void
say(struct crowd *c, unsigned i)
{
	CHECK_EQ(write(c->p[i][1], "x", 1), 1);
}

/* So much was told of late that more is gathered. */
static void
busy(struct crowd *c)
{
	for (int i = 0; i < 100; i++) {
		for (unsigned j = 0; j < 9; j++)
			say(c, j);
		advance(&c->f, LOOP_LAZY_MS + 1);
		loop_turn(c->f.loop, 0);
		CHECK_EQ(c->all, (unsigned)(i + 1) * 9);
	}
	memset(c->calls, 0, sizeof(c->calls));
	c->all = 0;
}

TEST(lazy_watches_are_told_at_once_while_that_is_seldom)
{
	struct crowd c;

	crowd_setup(&c);
	for (unsigned i = 0; i < 200; i++) {
		say(&c, i % MANY);
		loop_turn(c.f.loop, 0);
		CHECK_EQ(c.all, i + 1);
		CHECK_EQ(loop_next_ns(c.f.loop), INT64_MAX);
		advance(&c.f, LOOP_LAZY_MS);
	}
	crowd_fini(&c);
}

TEST(lazy_watches_are_told_together_when_many_are_ready)
{
	struct crowd c;

	crowd_setup(&c);
	busy(&c);
	for (unsigned i = 0; i < 9; i++) {
		say(&c, i);
		CHECK(!loop_turn(c.f.loop, 0));
	}
	CHECK_EQ(c.all, 0);
	CHECK(loop_next_ns(c.f.loop) <= clock_mono_ns(&c.f.clock.clock) + (LOOP_LAZY_MS + 1) * MS);	/* it wakes up by itself */
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 9);
	say(&c, 20);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 9);		/* still gathering: there was something */
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 10);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);		/* nothing: armed again, and no timer left */
	CHECK_EQ(loop_next_ns(c.f.loop), INT64_MAX);
	say(&c, 21);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 11);
	crowd_fini(&c);
}

TEST(what_comes_while_the_lazy_set_is_armed_again_is_not_lost_and_more_than_fit_come_soon)
{
	struct crowd c;

	crowd_setup(&c);
	busy(&c);
	for (unsigned i = 0; i < MANY; i++)
		say(&c, i);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	CHECK(c.all > 0 && c.all < MANY);
	loop_turn(c.f.loop, 0);		/* no time has passed */
	CHECK_EQ(c.all, MANY);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	for (unsigned n = 1; n < 4; n++) {
		say(&c, n);
		loop_turn(c.f.loop, 0);
		CHECK_EQ(c.all, MANY + n);
		advance(&c.f, LOOP_LAZY_MS + 1);
		loop_turn(c.f.loop, 0);
	}
	crowd_fini(&c);
}

TEST(a_watch_that_is_lazy_no_longer_is_told_at_once_also_what_it_has_already)
{
	struct crowd c;

	crowd_setup(&c);
	busy(&c);
	say(&c, 1);
	say(&c, 2);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 0);
	watch_lazy(c.f.loop, &c.w[1], false);
	watch_want(c.f.loop, &c.w[2], 0);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.calls[1], 1);
	CHECK_EQ(c.calls[2], 0);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.calls[2], 0);	/* it wants nothing */
	watch_want(c.f.loop, &c.w[2], WATCH_READ);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.calls[2], 1);
	crowd_fini(&c);
}

TEST(a_removed_lazy_watch_is_not_called_even_in_the_same_turn)
{
	struct crowd c;

	crowd_setup(&c);
	c.remove_next = true;
	for (unsigned i = 0; i < 10; i++)
		say(&c, i);
	loop_turn(c.f.loop, 0);
	advance(&c.f, LOOP_LAZY_MS + 1);
	loop_turn(c.f.loop, 0);
	CHECK_EQ(c.all, 1);
	crowd_fini(&c);
}

static void
note_ready(struct watch *w, unsigned ready)
{
	struct pair *p = CONTAINER_OF(w, struct pair, w[0]);

	p->calls++;
	p->ready = ready;
}

TEST(a_watch_hears_what_it_wants_and_of_a_peer_gone)
{
	struct fixture f;
	struct pair p = { 0 };
	int s[2];

	setup(&f, 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	watch_init(&p.w[0], s[0], note_ready);
	CHECK_EQ(watch_add(f.loop, &p.w[0], WATCH_READ, NULL), OK);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.calls, 0);
	CHECK_EQ(write(s[1], "x", 1), 1);
	loop_turn(f.loop, 0);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.calls, 2);		/* level-triggered */
	CHECK_EQ(p.ready, WATCH_READ);
	watch_want(f.loop, &p.w[0], 0);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.calls, 2);
	watch_want(f.loop, &p.w[0], WATCH_READ | WATCH_WRITE);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.ready, WATCH_READ | WATCH_WRITE);
	watch_want(f.loop, &p.w[0], 0);
	close(s[1]);
	loop_turn(f.loop, 0);
	CHECK_EQ(p.ready, WATCH_CLOSED);
	watch_remove(f.loop, &p.w[0]);
	watch_remove(f.loop, &p.w[0]);
	close(s[0]);
	loop_free(&f.loop);
}

TEST(a_descriptor_that_cannot_be_watched_is_an_error)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct watch w;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/plain", unit_tmpdir());
	fd = open(path, O_RDWR | O_CREAT, 0600);	/* epoll takes no regular files */
	setup(&f, 0);
	watch_init(&w, fd, write_here);
	CHECK(watch_add(f.loop, &w, WATCH_READ, &eb) != OK);
	CHECK(eb.text[0] != '\0' && !w.added);
	close(fd);
	loop_free(&f.loop);
}

/* ---- signals ---- */
static void
on_signal(void *ctx, int signo)
{
	int *sum = ctx;

	*sum += signo;
}

TEST(signals_arrive_on_the_loop)
{
	struct fixture f;
	struct signals *s = NULL;
	int sum = 0;

	setup(&f, 0);
	signals_block();
	REQUIRE(signals_new(f.loop, on_signal, &sum, &s, NULL) == OK);
	raise(SIGHUP);
	raise(SIGTERM);
	raise(SIGUSR1);
	raise(SIGPIPE);		/* ignored */
	while (loop_turn(f.loop, 0))
		;
	CHECK_EQ(sum, SIGHUP + SIGTERM + SIGUSR1);
	signals_free(&s);
	signals_free(&s);
	loop_free(&f.loop);
}

/* ---- reclamation ---- */
static void
free_counted(void *p)
{
	__atomic_fetch_add((unsigned *)p, 1, __ATOMIC_SEQ_CST);
}

static void
publish_and_defer(struct task *t)
{
	struct letter *l = CONTAINER_OF(t, struct letter, task);

	reclaim_defer(free_counted, l->loop);
}

TEST(turns_are_grace_periods)
{
	struct fixture f;
	unsigned freed = 0;
	struct letter l = { .task.fn = publish_and_defer };

	setup(&f, 0);
	l.loop = (struct loop *)(void *)&freed;
	loop_post(f.loop, &l.task);
	loop_turn(f.loop, 0);
	loop_turn(f.loop, 0);
	reclaim_barrier();	/* this thread was only registered inside the turns */
	CHECK_EQ(__atomic_load_n(&freed, __ATOMIC_SEQ_CST), 1);
	loop_free(&f.loop);
}

UNIT_MAIN("event/loop", T(posted_tasks_run_in_order), T(a_task_that_posts_itself_does_not_hold_the_turn),
    T(a_turn_runs_descriptors_timers_tasks_then_the_end), T(timers_fire_when_due_and_never_early),
    T(a_timer_set_again_or_cancelled_does_not_fire_at_its_old_time), T(a_timer_may_cancel_another_of_the_same_tick),
    T(timers_of_any_length_fire_exactly_when_the_simulator_jumps_to_them), T(posts_from_many_threads_all_arrive_in_each_threads_order),
    T(no_wakeup_is_lost), T(a_started_loop_fires_timers_and_stops), T(a_removed_watch_is_not_called_even_in_the_same_turn),
    T(lazy_watches_are_told_at_once_while_that_is_seldom), T(lazy_watches_are_told_together_when_many_are_ready),
    T(what_comes_while_the_lazy_set_is_armed_again_is_not_lost_and_more_than_fit_come_soon),
    T(a_watch_that_is_lazy_no_longer_is_told_at_once_also_what_it_has_already), T(a_removed_lazy_watch_is_not_called_even_in_the_same_turn),
    T(a_watch_hears_what_it_wants_and_of_a_peer_gone), T(a_descriptor_that_cannot_be_watched_is_an_error), T(signals_arrive_on_the_loop),
    T(turns_are_grace_periods))
