/* SPDX-License-Identifier: Apache-2.0
 *
 * test_histogram.c - percentiles are those of the sorted values, but for less than 1 %, and never below them.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/random.h"
#include "histogram.h"
#include "test/unit/unit.h"

static int
in_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x < y ? -1 : x > y);
}

TEST(small_values_have_exact_percentiles)
{
	static struct histogram h;

	histogram_reset(&h);
	CHECK_EQ(histogram_percentile(&h, 99), 0);
	for (uint64_t i = 1; i <= 100; i++)
		histogram_add(&h, i);
	CHECK_EQ(h.count, 100);
	CHECK_EQ(h.max, 100);
	CHECK_EQ(histogram_percentile(&h, 0), 1);
	CHECK_EQ(histogram_percentile(&h, 50), 50);
	CHECK_EQ(histogram_percentile(&h, 50.5), 51);
	CHECK_EQ(histogram_percentile(&h, 99), 99);
	CHECK_EQ(histogram_percentile(&h, 99.9), 100);
	CHECK_EQ(histogram_percentile(&h, 100), 100);
}

TEST(one_slow_answer_in_a_hundred_is_not_the_99th_percentile_and_two_are)
{
	static struct histogram h;

	histogram_reset(&h);
	for (int i = 0; i < 99; i++)
		histogram_add(&h, 100);
	histogram_add(&h, 5000000);
	CHECK_EQ(histogram_percentile(&h, 99), 100);
	CHECK_EQ(histogram_percentile(&h, 99.5), 5000000);
	for (int i = 0; i < 98; i++)
		histogram_add(&h, 100);
	histogram_add(&h, 5000000);
	histogram_add(&h, 5000000);
	CHECK_GE(histogram_percentile(&h, 99), 4000000);
}

TEST(percentiles_of_random_values_are_those_of_the_sorted_ones)
{
	static const double percents[] = { 0.1, 1, 25, 50, 90, 99, 99.9, 99.99, 100 };
	static struct histogram h;
	static uint64_t values[10007];
	struct random_seeded r;

	random_seeded_init(&r, unit_seed());
	histogram_reset(&h);
	for (size_t i = 0; i < NELEM(values); i++) {
		values[i] = random_u64(&r.random) >> random_below(&r.random, 64);
		histogram_add(&h, values[i]);
	}
	qsort(values, NELEM(values), sizeof(values[0]), in_order);
	for (size_t i = 0; i < NELEM(percents); i++) {
		size_t rank = (size_t)(percents[i] / 100 * (double)NELEM(values) + 0.9999999);
		uint64_t exact = values[rank == 0 ? 0 : rank - 1], got = histogram_percentile(&h, percents[i]);

		unit_check(got >= exact && got - exact <= exact / 100, __FILE__, __LINE__, "%g %%: %" PRIu64 " against %" PRIu64, percents[i], got, exact);
	}
}

TEST(the_largest_value_there_is_can_be_recorded)
{
	static struct histogram h;

	histogram_reset(&h);
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, 0);
	CHECK(histogram_percentile(&h, 100) == UINT64_MAX);
	CHECK_EQ(histogram_percentile(&h, 50), 0);
}

UNIT_MAIN("bench/histogram",
    T(small_values_have_exact_percentiles),
    T(one_slow_answer_in_a_hundred_is_not_the_99th_percentile_and_two_are),
    T(percentiles_of_random_values_are_those_of_the_sorted_ones),
    T(the_largest_value_there_is_can_be_recorded))
