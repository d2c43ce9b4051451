/* SPDX-License-Identifier: Apache-2.0
 *
 * Two brokers, their clients and everything that can happen to them, from a seed: the same seed is the same story.
 *
 * OTTLA_TEST_SEED replays one; OTTLA_TEST_STEPS: so many seconds of virtual time instead of the usual; OTTLA_TEST_SEEDS: so many stories in the
 * second test; OTTLA_TEST_VERBOSE prints the trace.
 */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/broker/sim.h"

static int64_t
seconds(int64_t usual)
{
	const char *set = getenv("OTTLA_TEST_STEPS");

	return (set == NULL ? usual : atoll(set));
}

static void
tell(uint64_t seed, const struct sim_outcome *o)
{
	if (getenv("OTTLA_TEST_VERBOSE") != NULL || getenv("OTTLA_TEST_STEPS") != NULL)
		fprintf(stderr, "seed %" PRIu64 ": hash %016" PRIx64 ", %" PRIu64 " turns, %" PRId64 " s, %" PRIu64 " answers, %zu records, %" PRIu64
		    " misfortunes, %" PRIu64 " controllers\n", seed, o->hash, o->steps, o->virtual_ms / 1000, o->answers, o->acks, o->faults, o->failovers);
}

TEST(two_brokers_repeat_themselves_from_a_seed)
{
	uint64_t seed = unit_seed();
	struct sim_outcome a, b, c;

	a = sim_run(seed, seconds(60));
	tell(seed, &a);
	b = sim_run(seed, seconds(60));
	CHECK(a.hash == b.hash);
	CHECK_EQ(a.steps, b.steps);
	CHECK_EQ(a.virtual_ms, b.virtual_ms);
	c = sim_run(seed + 1, seconds(60));
	tell(seed + 1, &c);
	CHECK(a.hash != c.hash);
	CHECK_GE(a.acks, 20);		/* something went on */
	CHECK_GE(a.faults, 5);
	CHECK_GE(a.failovers, 1);
}

TEST(whatever_befalls_two_brokers_nothing_acknowledged_is_lost)
{
	const char *set = getenv("OTTLA_TEST_SEEDS");
	int n = set == NULL ? 3 : atoi(set);

	for (int i = 0; i < n; i++) {
		struct sim_outcome o = sim_run(unit_seed() + 2 + (uint64_t)i, seconds(60));

		tell(unit_seed() + 2 + (uint64_t)i, &o);
	}
}

UNIT_MAIN("broker/simulation", T(two_brokers_repeat_themselves_from_a_seed),
    T(whatever_befalls_two_brokers_nothing_acknowledged_is_lost))
