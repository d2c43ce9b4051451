/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker pools: order of a key, dones on the right loop, jobs that free themselves, stepping by hand.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/cdefs.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "event/workers.h"
#include "test/unit/unit.h"

enum { KEYS = 5, JOBS = 2000 };

struct counted {
	struct job job;
	struct shared *shared;
	unsigned key, number;
};

struct shared {
	struct loop *loop;
	unsigned started[KEYS];		/* only the job of the key touches its own: TSan checks that they never overlap */
	unsigned running[KEYS];
	unsigned done[KEYS];		/* only the loop */
	unsigned dones;
	bool	 disorder, wrong_thread;
};

static void
counted_run(struct job *j)
{
	struct counted *c = CONTAINER_OF(j, struct counted, job);

	if (__atomic_fetch_add(&c->shared->running[c->key], 1, __ATOMIC_SEQ_CST) != 0)
		__atomic_store_n(&c->shared->disorder, true, __ATOMIC_SEQ_CST);
	if (c->shared->started[c->key]++ != c->number)
		__atomic_store_n(&c->shared->disorder, true, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&c->shared->running[c->key], 1, __ATOMIC_SEQ_CST);
}

static void
counted_done(struct job *j)
{
	struct counted *c = CONTAINER_OF(j, struct counted, job);
	struct shared *s = c->shared;

	if (!loop_is_current(s->loop))
		s->wrong_thread = true;
	if (s->done[c->key]++ != c->number)
		__atomic_store_n(&s->disorder, true, __ATOMIC_SEQ_CST);
	free(c);
	if (++s->dones == JOBS)
		loop_stop(s->loop);
}

TEST(jobs_of_one_key_run_one_after_another_and_their_dones_too)
{
	struct loop_options o = { .name = "dones", .clock = clock_real() };
	static char keys[KEYS];
	struct random_seeded rnd;
	struct workers *w = NULL;
	struct shared s = { 0 };
	unsigned next[KEYS] = { 0 };

	random_seeded_init(&rnd, unit_seed());
	REQUIRE(loop_new(&o, &s.loop, NULL) == OK && workers_new(4, "test", &w, NULL) == OK);
	for (unsigned i = 0; i < JOBS; i++) {
		struct counted *c = calloc(1, sizeof(*c));
		unsigned k = random_below(&rnd.random, KEYS);

		*c = (struct counted){ .shared = &s, .key = k, .number = next[k]++ };
		c->job = (struct job){ .run = counted_run, .done = counted_done, .loop = s.loop, .key = &keys[k] };
		workers_submit(w, &c->job);
	}
	REQUIRE(loop_start(s.loop, NULL) == OK);
	loop_join(s.loop);
	workers_drain(w);
	CHECK_EQ(s.dones, JOBS);
	CHECK(!s.disorder && !s.wrong_thread);
	workers_free(&w);
	loop_free(&s.loop);
}

struct meeting {
	struct job job;
	unsigned *here;
	bool met;
};

/* Comes back only when somebody else is here at the same time, or after a long while. */
static void
meet(struct job *j)
{
	struct meeting *m = CONTAINER_OF(j, struct meeting, job);

	__atomic_fetch_add(m->here, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 5000 && !m->met; i++) {
		m->met = __atomic_load_n(m->here, __ATOMIC_SEQ_CST) == 2;
		usleep(1000);
	}
}

TEST(jobs_without_a_common_key_run_at_the_same_time)
{
	struct workers *w = NULL;
	unsigned here = 0;
	struct meeting a = { { .run = meet, .key = &here }, &here, false }, b = { { .run = meet }, &here, false };

	REQUIRE(workers_new(2, "a-pool-with-a-long-name", &w, NULL) == OK);
	workers_submit(w, &a.job);
	workers_submit(w, &b.job);
	workers_drain(w);
	CHECK(a.met && b.met);
	workers_free(&w);
}

struct suicidal {
	struct job job;
	struct workers *workers;
	unsigned *ran;
};

static void
run_and_free(struct job *j)
{
	struct suicidal *s = CONTAINER_OF(j, struct suicidal, job);

	__atomic_fetch_add(s->ran, 1, __ATOMIC_SEQ_CST);
	free(s);
}

static void
submit_suicidal(struct workers *w, unsigned *ran, const void *key)
{
	struct suicidal *s = calloc(1, sizeof(*s));

	*s = (struct suicidal){ { .run = run_and_free, .key = key }, w, ran };
	workers_submit(w, &s->job);
}

static void
run_and_submit(struct job *j)
{
	struct suicidal *s = CONTAINER_OF(j, struct suicidal, job);

	submit_suicidal(s->workers, s->ran, j->key);
	submit_suicidal(s->workers, s->ran, NULL);
	run_and_free(j);
}

TEST(what_is_queued_runs_before_the_pool_ends)
{
	for (unsigned threads = 0; threads < 3; threads++) {
		struct workers *w = NULL;
		unsigned ran = 0;

		REQUIRE(workers_new(threads, "ending", &w, NULL) == OK);
		for (unsigned i = 0; i < 50; i++) {
			struct suicidal *s = calloc(1, sizeof(*s));

			*s = (struct suicidal){ { .run = run_and_submit, .key = i % 2 == 0 ? &ran : NULL }, w, &ran };
			workers_submit(w, &s->job);
		}
		workers_free(&w);
		CHECK_EQ(ran, 150);
	}
}

struct noted {
	struct job job;
	char c;
};

static char trace[64];

static void
note(struct job *j)
{
	size_t n = strlen(trace);

	trace[n] = CONTAINER_OF(j, struct noted, job)->c;
	trace[n + 1] = '\0';
}

static void
note_done(struct job *j)
{
	struct noted *n = CONTAINER_OF(j, struct noted, job);

	n->c = (char)(n->c - 'a' + 'A');
	note(j);
}

struct gate {
	struct job job;
	_Atomic unsigned *inside;
	_Atomic bool *open;
};

static void
gate_run(struct job *j)
{
	struct gate *g = CONTAINER_OF(j, struct gate, job);

	(*g->inside)++;
	while (!*g->open)
		usleep(100);
	(*g->inside)--;
}

/* So many jobs run at once that are let in, and no more. */
static void
check_width(struct workers *w, unsigned width)
{
	_Atomic unsigned inside = 0;
	_Atomic bool open = false;
	struct gate gates[20];

	for (size_t i = 0; i < NELEM(gates); i++) {
		gates[i] = (struct gate){ .job = { .run = gate_run }, .inside = &inside, .open = &open };
		workers_submit(w, &gates[i].job);
	}
	for (int i = 0; i < 20000 && (inside < width || workers_count(w) != width); i++)
		usleep(100);
	CHECK_EQ(inside, width);
	open = true;
	workers_drain(w);
	CHECK_EQ(inside, 0);
	CHECK_EQ(workers_count(w), width);
}

TEST(a_pool_grows_and_shrinks_while_it_works)
{
	static const unsigned widths[] = { 2, 7, 3, 12, 1, 4, 4 };
	struct workers *w = NULL;
	struct errbuf eb = ERRBUF_INIT;

	REQUIRE(workers_new(3, "resize", &w, &eb) == OK);
	check_width(w, 3);
	for (size_t i = 0; i < NELEM(widths); i++) {
		REQUIRE(workers_resize(w, widths[i], &eb) == OK);
		for (int j = 0; j < 20000 && workers_count(w) != widths[i]; j++)	/* those too many leave when they wake */
			usleep(100);
		check_width(w, widths[i]);
	}
	for (unsigned i = 0; i < 200; i++)
		REQUIRE(workers_resize(w, 1 + i % 5, &eb) == OK);
	workers_free(&w);
}

TEST(a_pool_that_shrinks_ends_what_is_queued)
{
	struct workers *w = NULL;
	struct errbuf eb = ERRBUF_INIT;
	_Atomic unsigned inside = 0;
	_Atomic bool open = false;
	struct gate gates[50];

	REQUIRE(workers_new(8, "resize", &w, &eb) == OK);
	for (size_t i = 0; i < NELEM(gates); i++) {
		gates[i] = (struct gate){ .job = { .run = gate_run, .key = i % 3 == 0 ? &inside : NULL }, .inside = &inside, .open = &open };
		workers_submit(w, &gates[i].job);
	}
	REQUIRE(workers_resize(w, 1, &eb) == OK);
	open = true;
	workers_drain(w);
	workers_free(&w);
	CHECK_EQ(inside, 0);
}

TEST(without_threads_a_pool_runs_one_job_per_step)
{
	struct clock_manual clock;
	struct loop_options o = { .name = "sim", .clock = &clock.clock };
	struct loop *l = NULL;
	struct workers *w = NULL;
	static const char key;
	struct noted n[4] = { { .c = 'a' }, { .c = 'b' }, { .c = 'c' }, { .c = 'd' } };

	clock_manual_init(&clock, 0);
	REQUIRE(loop_new(&o, &l, NULL) == OK && workers_new(0, "sim", &w, NULL) == OK);
	CHECK(!workers_step(w));
	trace[0] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		n[i].job = (struct job){ .run = note, .done = note_done, .loop = l, .key = i % 2 == 0 ? &key : NULL };
		workers_submit(w, &n[i].job);
	}
	CHECK(workers_step(w));
	CHECK_STR(trace, "a");
	CHECK(loop_turn(l, 0));
	CHECK_STR(trace, "aA");
	workers_drain(w);
	CHECK_STR(trace, "aAbdc");		/* c waited for a, and came back behind d */
	CHECK(!workers_step(w));
	CHECK(loop_turn(l, 0));
	CHECK_STR(trace, "aAbdcBDC");
	n[0].job.loop = NULL;		/* nowhere to be done */
	workers_submit(w, &n[0].job);
	workers_drain(w);
	CHECK_STR(trace, "aAbdcBDCA");
	CHECK(!loop_turn(l, 0));
	workers_free(&w);
	workers_free(&w);
	loop_free(&l);
}

UNIT_MAIN("event/workers", T(jobs_of_one_key_run_one_after_another_and_their_dones_too), T(jobs_without_a_common_key_run_at_the_same_time),
    T(what_is_queued_runs_before_the_pool_ends), T(a_pool_grows_and_shrinks_while_it_works), T(a_pool_that_shrinks_ends_what_is_queued),
    T(without_threads_a_pool_runs_one_job_per_step))
