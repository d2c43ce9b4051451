/* SPDX-License-Identifier: Apache-2.0
 *
 * base/hash.h: whatever the key, names that count upwards are spread as chance would spread them.
 */
#include <stdio.h>

#include "base/hash.h"
#include "test/unit/unit.h"

enum { NAMES = 1024, BUCKETS = 256 };

static unsigned
fullest(uint64_t key, unsigned shift)
{
	unsigned n[BUCKETS] = { 0 }, most = 0;

	for (int i = 0; i < NAMES; i++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "topic-%d", i);
		unsigned b = (unsigned)(hash_bytes(key, name, (size_t)len) >> shift) % BUCKETS;

		most = ++n[b] > most ? n[b] : most;
	}
	return (most);
}

/* Four in each on the average; 26 in one of them come by chance in one run of ten million. */
TEST(names_that_count_upwards_meet_by_chance_only)
{
	uint64_t key = unit_seed();

	for (int k = 0; k < 1000; k++, key = hash_mix(key, (uint64_t)k)) {
		CHECK(fullest(key, 0) < 26);
		CHECK(fullest(key, 32) < 26);
	}
}

TEST(a_hash_depends_on_key_bytes_and_length)
{
	static const uint8_t zeros[16];

	CHECK(hash_bytes(1, zeros, 8) != hash_bytes(2, zeros, 8));
	for (size_t len = 1; len <= sizeof(zeros); len++)
		CHECK(hash_bytes(1, zeros, len) != hash_bytes(1, zeros, len - 1));
}

UNIT_MAIN("base/hash", T(names_that_count_upwards_meet_by_chance_only), T(a_hash_depends_on_key_bytes_and_length))
