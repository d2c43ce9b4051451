/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/group/test_coordinator.c - the coordinator: whose groups, loading and unloading, calls and appends, on virtual time.
 */
#include "group/coordinator.h"
#include "test/unit/unit.h"

/* Java: Utils.abs("...".hashCode()) % 50. */
TEST(a_group_belongs_to_the_partition_of_javas_string_hash)
{
	struct group_coordinator_options opt = { .replicas = NULL };
	struct group_coordinator *c = group_coordinator_new(&opt);
	static const struct {
		const char *id;
		int32_t partition;
	} rows[] = {
	    { "", 0 },
	    { "a", 47 },
	    { "group", 47 },
	    { "consumer-group", 38 },	/* -1738392088 */
	    { "polygenelubricants", 0 },		/* -2^31 */
	    { "gr\xc3\xbcn", 49 },		/* U+00FC */
	    { "\xf0\x9f\x98\x80", 49 },	/* a surrogate pair */
	};

	group_coordinator_start(c, 50);
	for (size_t i = 0; i < NELEM(rows); i++)
		CHECK_EQ(group_coordinator_partition(c, slice_str(rows[i].id)), rows[i].partition);
	group_coordinator_free(&c);
}

UNIT_MAIN("group/coordinator", T(a_group_belongs_to_the_partition_of_javas_string_hash))
