/* SPDX-License-Identifier: Apache-2.0
 *
 * Replica assignment: the spread that Kafka's users know, with a fixed start, and its promises with random ones.
 */
#include <stdio.h>

#include "admin/assign.h"
#include "base/cdefs.h"
#include "test/unit/unit.h"

static const struct assign_broker five[] = { { 0, NULL }, { 1, NULL }, { 2, NULL }, { 3, NULL }, { 4, NULL } };
static const struct assign_broker racks[] = { { 0, "rack1" }, { 1, "rack3" }, { 2, "rack3" }, { 3, "rack2" }, { 4, "rack2" }, { 5, "rack1" } };

TEST(followers_shift_by_one_each_round)
{
	static const int32_t want[10][3] = { { 0, 1, 2 }, { 1, 2, 3 }, { 2, 3, 4 }, { 3, 4, 0 }, { 4, 0, 1 },
	    { 0, 2, 3 }, { 1, 3, 4 }, { 2, 4, 0 }, { 3, 0, 1 }, { 4, 1, 2 } };
	struct assign_options o = { .brokers = five, .nbrokers = 5, .partitions = 10, .replication_factor = 3 };
	struct arena a;
	int32_t *got;

	arena_init(&a, 1 << 20);
	REQUIRE(assign_replicas(&o, &a, &got, NULL) == KERR_NONE);
	CHECK_MEM(got, want, sizeof(want));
	arena_fini(&a);
}

TEST(racks_take_turns_and_each_gets_a_replica)
{
	static const int32_t want[7][3] = { { 0, 3, 1 }, { 3, 1, 5 }, { 1, 5, 4 }, { 5, 4, 2 }, { 4, 2, 0 }, { 2, 0, 3 }, { 0, 4, 2 } };
	struct assign_options o = { .brokers = racks, .nbrokers = 6, .partitions = 7, .replication_factor = 3 };
	struct arena a;
	int32_t *got;

	arena_init(&a, 1 << 20);
	REQUIRE(assign_replicas(&o, &a, &got, NULL) == KERR_NONE);
	CHECK_MEM(got, want, sizeof(want));
	arena_fini(&a);
}

TEST(added_partitions_go_on_where_the_old_ones_ended)
{
	struct assign_options o = { .brokers = five, .nbrokers = 5, .partitions = 10, .replication_factor = 3 };
	struct arena a;
	int32_t *all, *more;

	arena_init(&a, 1 << 20);
	REQUIRE(assign_replicas(&o, &a, &all, NULL) == KERR_NONE);
	o.first_partition = 3;
	o.partitions = 2;
	REQUIRE(assign_replicas(&o, &a, &more, NULL) == KERR_NONE);
	CHECK_MEM(more, all + 9, 6 * sizeof(*more));
	arena_fini(&a);
}

TEST(what_cannot_be_is_refused_with_its_reason)
{
	static const struct assign_broker half[] = { { 0, "r" }, { 1, NULL } };
	struct assign_options o = { .brokers = five, .nbrokers = 5, .partitions = 1, .replication_factor = 1 }, bad;
	struct errbuf eb = ERRBUF_INIT;
	struct arena a;
	int32_t *got;

	arena_init(&a, 1 << 20);
#define REFUSED(field, value, error) \
	do { bad = o; bad.field = value; CHECK_EQ(assign_replicas(&bad, &a, &got, &eb), error); CHECK(eb.text[0] != '\0'); } while (0)
	REFUSED(partitions, 0, KERR_INVALID_PARTITIONS);
	REFUSED(partitions, -1, KERR_INVALID_PARTITIONS);
	REFUSED(replication_factor, 0, KERR_INVALID_REPLICATION_FACTOR);
	REFUSED(replication_factor, -2, KERR_INVALID_REPLICATION_FACTOR);
	REFUSED(replication_factor, 6, KERR_INVALID_REPLICATION_FACTOR);
	REFUSED(nbrokers, 0, KERR_INVALID_REPLICATION_FACTOR);
	o.brokers = half;
	REFUSED(nbrokers, 2, KERR_UNKNOWN_SERVER_ERROR);
	arena_fini(&a);
}

/* Of any number of brokers and racks: no broker twice in a partition, leaders even within one, racks used before any is used twice. */
static void
check_spread(const struct assign_options *o, uint32_t nracks, const int32_t *got)
{
	int32_t leads[32] = { 0 }, least = INT32_MAX, most = 0;

	for (int32_t p = 0; p < o->partitions; p++) {
		const int32_t *r = got + p * o->replication_factor;
		uint32_t used = 0, seen = 0;

		leads[r[0]]++;
		for (int32_t j = 0; j < o->replication_factor; j++) {
			CHECK((seen & (1u << r[j])) == 0);
			seen |= 1u << r[j];
			if (nracks > 0)
				used |= 1u << (o->brokers[r[j]].rack[0] - 'a');
		}
		if (nracks > 0)
			CHECK_EQ(__builtin_popcount(used), MIN((int32_t)nracks, o->replication_factor));
	}
	for (uint32_t i = 0; i < o->nbrokers; i++) {
		least = MIN(least, leads[i]);
		most = MAX(most, leads[i]);
	}
	CHECK(most - least <= 1);
}

TEST(the_spread_is_even_from_any_start)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct random_seeded random;

	random_seeded_init(&random, unit_seed());
	for (int round = 0; round < 300; round++) {
		struct assign_broker b[16];
		uint32_t n = 1 + random_below(&random.random, 16), nracks = round % 2 == 0 ? 0 : 1 + random_below(&random.random, MIN(n, 4));
		struct assign_options o = { .brokers = b, .nbrokers = n, .start = -1, .random = &random.random };
		struct arena a;
		int32_t *got;

		for (uint32_t i = 0; i < n; i++)
			b[i] = (struct assign_broker){ (int32_t)i, nracks == 0 ? NULL : names[i % nracks] };
		o.partitions = 1 + (int32_t)random_below(&random.random, 60);
		o.replication_factor = 1 + (int32_t)random_below(&random.random, n);
		arena_init(&a, 1 << 20);
		REQUIRE(assign_replicas(&o, &a, &got, NULL) == KERR_NONE);
		check_spread(&o, nracks, got);
		arena_fini(&a);
	}
}

UNIT_MAIN("admin/assign", T(followers_shift_by_one_each_round), T(racks_take_turns_and_each_gets_a_replica),
    T(added_partitions_go_on_where_the_old_ones_ended), T(what_cannot_be_is_refused_with_its_reason), T(the_spread_is_even_from_any_start))
