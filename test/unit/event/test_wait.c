/* SPDX-License-Identifier: Apache-2.0
 *
 * Keyed waits: who is woken, in which order, and that callbacks may do anything to the table meanwhile.
 */
#include <stdlib.h>

#include "base/cdefs.h"
#include "base/random.h"
#include "event/keyed_wait.h"
#include "test/unit/unit.h"

struct fixture {
	struct clock_manual clock;
	struct loop *loop;
	struct wait_table *table;
};

/* A waiter on the heap that needs `needed` events; frees itself when it ends, so that ASan sees who still touches it. */
struct fetch {
	struct waiter waiter;
	struct wait_link links[3];
	struct fixture *f;
	char	 name;
	unsigned needed;
	void (*during)(struct fetch *, const void *key);	/* runs inside try */
};

static const char k1, k2, k3;
static char trace[128];

static void
traced(char c)
{
	size_t n = strlen(trace);

	if (n + 1 < sizeof(trace)) {
		trace[n] = c;
		trace[n + 1] = '\0';
	}
}

static bool
fetch_try(struct waiter *w, const void *key)
{
	struct fetch *x = CONTAINER_OF(w, struct fetch, waiter);
	bool enough = --x->needed == 0;

	traced(x->name);
	if (x->during != NULL)
		x->during(x, key);	/* may free x */
	return (enough);
}

static void
fetch_done(struct waiter *w)
{
	struct fetch *x = CONTAINER_OF(w, struct fetch, waiter);

	traced('+');
	free(x);
}

static void
fetch_expire(struct waiter *w)
{
	struct fetch *x = CONTAINER_OF(w, struct fetch, waiter);

	traced('!');
	traced(x->name);
	free(x);
}

static void
setup(struct fixture *f)
{
	struct loop_options o = { .name = "waits", .clock = &f->clock.clock };

	clock_manual_init(&f->clock, 0);
	f->loop = NULL;
	CHECK_EQ(loop_new(&o, &f->loop, NULL), OK);
	f->table = wait_table_new(f->loop);
	trace[0] = '\0';
}

static void
teardown(struct fixture *f)
{
	CHECK_EQ(wait_table_count(f->table), 0);
	wait_table_free(&f->table);
	loop_free(&f->loop);
}

static struct fetch *
begin(struct fixture *f, char name, unsigned needed, int64_t timeout_ms, unsigned nkeys, const void *a, const void *b)
{
	const void *keys[2] = { a, b };
	struct fetch *x = calloc(1, sizeof(*x));

	*x = (struct fetch){ .f = f, .name = name, .needed = needed };
	x->waiter = (struct waiter){ .try = fetch_try, .done = fetch_done, .expire = fetch_expire };
	wait_begin(f->table, &x->waiter, x->links, nkeys, keys, timeout_ms);
	return (x);
}

static void
expire_all(struct fixture *f)
{
	clock_manual_advance_ns(&f->clock, (int64_t)1000000 * 1000000);
	loop_turn(f->loop, 0);
	loop_turn(f->loop, 0);
}

TEST(waiters_are_offered_an_event_oldest_first_and_stay_until_satisfied)
{
	struct fixture f;

	setup(&f);
	begin(&f, 'a', 2, 1000, 1, &k1, NULL);
	begin(&f, 'b', 1, 1000, 2, &k1, &k2);
	begin(&f, 'c', 3, 1000, 1, &k1, NULL);
	CHECK_EQ(wait_table_count(f.table), 3);
	wait_wake(f.table, &k3);
	CHECK_STR(trace, "");
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "ab+c");
	wait_wake(f.table, &k2);		/* b left all its keys */
	CHECK_STR(trace, "ab+c");
	wait_wake(f.table, &k1);		/* a kept its place */
	CHECK_STR(trace, "ab+ca+c");
	CHECK_EQ(wait_table_count(f.table), 1);
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "ab+ca+cc+");
	teardown(&f);
}

TEST(deadlines_end_a_wait_once)
{
	struct fixture f;

	setup(&f);
	begin(&f, 'a', 1, 50, 2, &k1, &k2);
	begin(&f, 'b', 9, 70, 1, &k1, NULL);
	begin(&f, 'z', 1, 0, 0, NULL, NULL);	/* waits for nothing but its time */
	CHECK(loop_turn(f.loop, 0));
	CHECK_STR(trace, "!z");
	clock_manual_advance_ns(&f.clock, 51000000);
	CHECK(loop_turn(f.loop, 0));
	CHECK_STR(trace, "!z!a");
	wait_wake(f.table, &k2);
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "!z!ab");
	expire_all(&f);
	CHECK_STR(trace, "!z!ab!b");
	teardown(&f);
}

TEST(a_cancelled_wait_says_nothing)
{
	struct fixture f;
	struct fetch *a;

	setup(&f);
	a = begin(&f, 'a', 1, 10, 2, &k1, &k1);		/* the same key twice */
	CHECK_EQ(wait_table_count(f.table), 1);
	wait_cancel(&a->waiter);
	wait_cancel(&a->waiter);
	free(a);
	wait_wake(f.table, &k1);
	expire_all(&f);
	CHECK_STR(trace, "");
	teardown(&f);
}

/* ---- callbacks that change the table under the walk ---- */
static struct fetch *other;

static void
cancel_other(struct fetch *x, const void *key)
{
	(void)x;
	(void)key;
	wait_cancel(&other->waiter);
	free(other);
}

static void
cancel_self(struct fetch *x, const void *key)
{
	(void)key;
	wait_cancel(&x->waiter);
	free(x);
}

static void
begin_another(struct fetch *x, const void *key)
{
	begin(x->f, 'n', 1, 1000, 1, key, NULL);
}

static void
wake_again(struct fetch *x, const void *key)
{
	x->during = NULL;
	wait_wake(x->f->table, key);
}

TEST(a_try_may_cancel_the_next_the_first_or_itself)
{
	struct fixture f;
	struct fetch *a, *b, *c;

	setup(&f);
	a = begin(&f, 'a', 9, 1000, 1, &k1, NULL);
	b = begin(&f, 'b', 1, 1000, 2, &k1, &k2);
	c = begin(&f, 'c', 1, 1000, 1, &k1, NULL);
	a->during = cancel_other;
	other = b;
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "ac+");
	(void)c;
	trace[0] = '\0';
	b = begin(&f, 'b', 9, 1000, 1, &k1, NULL);
	begin(&f, 'c', 1, 1000, 1, &k1, NULL);
	a->during = NULL;
	b->during = cancel_other;
	other = a;			/* already passed by the cursor */
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "abc+");
	trace[0] = '\0';
	b->during = cancel_self;
	b->needed = 1;			/* and its "true" is ignored */
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "b");
	teardown(&f);
}

TEST(who_begins_to_wait_during_a_wake_is_not_offered_that_event)
{
	struct fixture f;
	struct fetch *a;

	setup(&f);
	a = begin(&f, 'a', 1, 1000, 1, &k1, NULL);
	a->during = begin_another;
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "a+");
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "a+n+");
	teardown(&f);
}

TEST(a_wake_inside_a_wake_reaches_everybody_once_more)
{
	struct fixture f;
	struct fetch *a;

	setup(&f);
	a = begin(&f, 'a', 3, 1000, 1, &k1, NULL);
	begin(&f, 'b', 2, 1000, 1, &k1, NULL);
	begin(&f, 'c', 3, 1000, 1, &k1, NULL);
	a->during = wake_again;
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "aabcb+c");
	wait_wake(f.table, &k1);
	CHECK_STR(trace, "aabcb+ca+c+");
	teardown(&f);
}

/* Thousands of random begins, wakes, cancels and deadlines; ASan and the counts are the judges. */
TEST(random_use_keeps_the_table_whole)
{
	static const char keys[8];
	struct random_seeded rnd;
	struct fixture f;

	setup(&f);
	random_seeded_init(&rnd, unit_seed());
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t k = random_below(&rnd.random, NELEM(keys)), l = random_below(&rnd.random, NELEM(keys));
		struct fetch *x;

		switch (random_below(&rnd.random, 5)) {
		case 0:
		case 1:
			x = begin(&f, 'x', 1 + random_below(&rnd.random, 4), random_below(&rnd.random, 300), 2, &keys[k], &keys[l]);
			if (random_below(&rnd.random, 4) == 0)
				x->during = k % 2 == 0 ? wake_again : begin_another;
			else if (random_below(&rnd.random, 8) == 0)
				x->during = cancel_self;
			break;
		case 2:
		case 3:
			wait_wake(f.table, &keys[k]);
			break;
		default:
			clock_manual_advance_ns(&f.clock, random_below(&rnd.random, 40) * (int64_t)1000000);
			loop_turn(f.loop, 0);
		}
	}
	while (loop_next_ns(f.loop) != INT64_MAX)
		expire_all(&f);
	teardown(&f);
}

UNIT_MAIN("event/keyed_wait", T(waiters_are_offered_an_event_oldest_first_and_stay_until_satisfied), T(deadlines_end_a_wait_once),
    T(a_cancelled_wait_says_nothing), T(a_try_may_cancel_the_next_the_first_or_itself),
    T(who_begins_to_wait_during_a_wake_is_not_offered_that_event), T(a_wake_inside_a_wake_reaches_everybody_once_more),
    T(random_use_keeps_the_table_whole))
