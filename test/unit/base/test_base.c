/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "test/unit/unit.h"

TEST(readers_are_sticky)
{
	struct reader r = reader_of(slice_of("\0\1\2", 3));

	CHECK_EQ(rd_i16(&r), 1);
	CHECK_EQ(rd_i32(&r), 0);
	CHECK(r.bad);
	CHECK_EQ(rd_i8(&r), 0);
}

UNIT_MAIN("base", T(readers_are_sticky))
