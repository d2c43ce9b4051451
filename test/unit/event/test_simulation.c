/* SPDX-License-Identifier: Apache-2.0
 *
 * The seam that simulation needs: two loops and a pool without threads, stepped in one thread on a manual clock, do the same thing
 * in the same order for the same seed, and never wait for real time.
 */
#include <stdlib.h>

#include "base/cdefs.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "event/workers.h"
#include "test/unit/unit.h"

/* One of two actors: a timer sends a job to the pool; its done posts to the other; that sets the timer again. */
struct actor {
	struct world *world;
	struct actor *other;
	struct loop *loop;
	struct timer timer;
	struct task task;
	struct job job;
	unsigned id, rounds, *published;
};

struct world {
	struct clock_manual clock;
	struct random_seeded rnd;
	struct workers *workers;
	struct actor actors[2];
	struct strbuf history;
	unsigned freed;
};

static struct world *freed_in;

static void
happened(struct actor *a, const char *what)
{
	CHECK(loop_is_current(a->loop) || what[0] == 'j');
	strbuf_add(&a->world->history, "%lld %u %s\n", (long long)clock_mono_ns(&a->world->clock.clock), a->id, what);
}

static void
count_freed(void *p)
{
	__atomic_fetch_add(&freed_in->freed, 1, __ATOMIC_SEQ_CST);
	free(p);
}

static void
on_timer(struct timer *t)
{
	struct actor *a = CONTAINER_OF(t, struct actor, timer);

	happened(a, "timer");
	workers_submit(a->world->workers, &a->job);
}

static void
on_job(struct job *j)
{
	struct actor *a = CONTAINER_OF(j, struct actor, job);
	unsigned *fresh = malloc(sizeof(*fresh)), *old = reclaim_read(&a->published);

	*fresh = old == NULL ? 1 : *old + 1;
	reclaim_publish(&a->published, fresh);
	if (old != NULL)
		reclaim_defer(count_freed, old);
	happened(a, "job");
}

static void
on_done(struct job *j)
{
	struct actor *a = CONTAINER_OF(j, struct actor, job);

	happened(a, "done");
	loop_post(a->other->loop, &a->other->task);
}

static void
on_task(struct task *t)
{
	struct actor *a = CONTAINER_OF(t, struct actor, task);

	happened(a, "task");
	if (a->rounds-- > 0)
		timer_set(a->loop, &a->timer, 1 + random_below(&a->world->rnd.random, 100000));
}

/* One step of whoever the seed says; when nobody has anything to do, virtual time jumps to the next timer.  False: the end. */
static bool
step(struct world *w)
{
	int64_t next = INT64_MAX;
	uint32_t first = random_below(&w->rnd.random, 3);

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t who = (first + i) % 3;

		if (who == 2 ? workers_step(w->workers) : loop_turn(w->actors[who].loop, 0))
			return (true);
	}
	for (unsigned i = 0; i < 2; i++)
		next = MIN(next, loop_next_ns(w->actors[i].loop));
	if (next == INT64_MAX)
		return (false);
	clock_manual_advance_ns(&w->clock, next - clock_mono_ns(&w->clock.clock));
	return (true);
}

static void
actor_init(struct world *w, unsigned id)
{
	struct loop_options o = { .name = "actor", .clock = &w->clock.clock };
	struct actor *a = &w->actors[id];

	*a = (struct actor){ .world = w, .other = &w->actors[1 - id], .id = id, .rounds = 200 };
	CHECK_EQ(loop_new(&o, &a->loop, NULL), OK);
	timer_init(&a->timer, on_timer);
	a->task.fn = on_task;
	a->job = (struct job){ .run = on_job, .done = on_done, .loop = a->loop, .key = w };
	loop_post(a->loop, &a->task);
}

/* What happened, as text; free it. */
static char *
simulate(uint64_t seed, int64_t *virtual_ns)
{
	struct world w = { 0 };
	unsigned steps = 0;

	clock_manual_init(&w.clock, 1700000000000);
	random_seeded_init(&w.rnd, seed);
	freed_in = &w;
	CHECK_EQ(workers_new(0, "sim", &w.workers, NULL), OK);
	actor_init(&w, 0);
	actor_init(&w, 1);
	reclaim_thread_register();	/* the simulator's thread reads between turns, too */
	while (step(&w) && steps++ < 1000000)
		;
	reclaim_thread_unregister();
	reclaim_barrier();
	CHECK(__atomic_load_n(&w.freed, __ATOMIC_SEQ_CST) > 300);
	*virtual_ns = clock_mono_ns(&w.clock.clock);
	for (unsigned i = 0; i < 2; i++) {
		free(w.actors[i].published);
		loop_free(&w.actors[i].loop);
	}
	workers_free(&w.workers);
	return (strbuf_take(&w.history));
}

TEST(two_loops_and_a_pool_repeat_themselves_from_a_seed)
{
	int64_t began = clock_mono_ms(clock_real()), virtual_ns[3];
	char *a = simulate(unit_seed(), &virtual_ns[0]), *b = simulate(unit_seed(), &virtual_ns[1]),
	    *c = simulate(unit_seed() + 1, &virtual_ns[2]);

	CHECK(strlen(a) > 10000);
	CHECK(strcmp(a, b) == 0);
	CHECK(strcmp(a, c) != 0);
	CHECK_EQ(virtual_ns[0], virtual_ns[1]);
	CHECK(virtual_ns[0] > (int64_t)1000 * 1000000000);	/* hours went by ... */
	CHECK(clock_mono_ms(clock_real()) - began < 60000);	/* ... in no time */
	free(a);
	free(b);
	free(c);
}

UNIT_MAIN("event/simulation", T(two_loops_and_a_pool_repeat_themselves_from_a_seed))
