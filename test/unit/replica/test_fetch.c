/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetch and ListOffsets as replica/ sees them: what is read, what is waited for, what ends the wait.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "test/unit/fs_fault.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"

static const struct bed_role two = { .isr = { 1, 2 }, .nisr = 2 };

/* A bed whose t-0 holds n records of one batch each; the bytes of one batch. */
static uint32_t
fill(struct bed *b, int n)
{
	struct bed_append *a;

	CHECK_EQ(bed_lead(b, "t", 0, 0), KERR_NONE);
	for (int i = 0; i < n; i++) {
		a = bed_append(b, "t", 0, 1, 0);
		CHECK_EQ(a->item[0].error, KERR_NONE);
	}
	return (n == 0 ? 0 : a->item[0].records_len);
}

/* The base offset of the first batch in the range; -1 when there is none. */
static int64_t
first_offset(const struct replica_fetch_item *it)
{
	uint8_t head[8];

	if (it->range.len < sizeof(head))
		return (-1);
	must(file_pread_full(it->range.file, head, sizeof(head), it->range.pos, NULL) == OK);
	return ((int64_t)be64dec(head));
}

TEST(what_is_below_the_high_watermark_is_read_at_once)
{
	struct bed b;
	struct bed_fetch *x;
	uint32_t len;

	bed_init(&b);
	len = fill(&b, 5);
	x = bed_fetch_new(&b, "t", 0, 2);
	x->f.max_wait_ms = 1000;
	CHECK(bed_fetch(&b, x));
	CHECK(x->now);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].range.len, 3 * len);
	CHECK_EQ(first_offset(&x->item[0]), 2);
	CHECK_EQ(x->item[0].high_watermark, 5);
	CHECK_EQ(x->item[0].last_stable_offset, 5);
	CHECK_EQ(x->item[0].log_start_offset, 0);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(consumers_stop_at_the_high_watermark_and_followers_at_the_end)
{
	struct bed b;
	struct bed_fetch *x;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	x = bed_fetch_new(&b, "t", 0, 0);
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].range.len, 0);
	CHECK_EQ(x->item[0].high_watermark, 0);
	for (int32_t id = -3; id <= 3; id++) {
		bool sees = id == -3 || id == 2;	/* -3: Java's threads that move replicas; assigned followers */

		x->f.replica_id = id;
		CHECK(bed_fetch(&b, x));
		unit_check((x->item[0].range.len > 0) == sees, __FILE__, __LINE__, "replica %d", id);
		unit_check(x->item[0].error == (id == 0 || id == 1 || id == 3 ? KERR_NOT_LEADER_OR_FOLLOWER : KERR_NONE), __FILE__, __LINE__,
		    "replica %d: %d", id, x->item[0].error);
		bed_fetch_drop(x);
	}
	x->f.replica_id = 3;
	x->item[0].current_leader_epoch = 0;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_UNKNOWN_LEADER_EPOCH);
	bed_fini(&b);
}

TEST(errors_come_in_kafka_s_order_and_at_once)
{
	struct bed b;
	struct bed_fetch *x;
	static const struct { int32_t epoch; int64_t offset; struct uuid id; enum kerr k; } rows[] = {
		{ -1, 0, UUID_ZERO, KERR_NONE }, { 3, 0, BED_ID, KERR_NONE },
		{ -1, 6, UUID_ZERO, KERR_OFFSET_OUT_OF_RANGE }, { -1, -1, UUID_ZERO, KERR_OFFSET_OUT_OF_RANGE },
		{ 2, 6, UUID_ZERO, KERR_FENCED_LEADER_EPOCH }, { 4, 6, UUID_ZERO, KERR_UNKNOWN_LEADER_EPOCH },
		{ 2, 6, { { 9 } }, KERR_INCONSISTENT_TOPIC_ID },
	};

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	for (int i = 0; i < 5; i++)
		bed_put(&b, "t", 0);
	for (size_t i = 0; i < NELEM(rows); i++) {
		x = bed_fetch_new(&b, "t", 0, rows[i].offset);
		x->f.max_wait_ms = 1000;
		x->item[0].current_leader_epoch = rows[i].epoch;
		x->item[0].topic_id = rows[i].id;
		CHECK(bed_fetch(&b, x));
		CHECK(x->now);
		unit_check(x->item[0].error == rows[i].k, __FILE__, __LINE__, "row %zu: %d", i, x->item[0].error);
		if (rows[i].k != KERR_NONE) {
			CHECK_EQ(x->item[0].high_watermark, -1);
			CHECK_EQ(x->item[0].last_stable_offset, -1);
			CHECK_EQ(x->item[0].log_start_offset, -1);
			CHECK(x->item[0].range.file == NULL);
		}
		CHECK_EQ(x->item[0].leader_id, rows[i].k == KERR_FENCED_LEADER_EPOCH ? 1 : -1);
		CHECK_EQ(x->item[0].leader_epoch, rows[i].k == KERR_FENCED_LEADER_EPOCH ? 3 : -1);
		bed_fetch_drop(x);
	}
	x = bed_fetch_new(&b, "nowhere", 0, 0);
	x->f.max_wait_ms = 1000;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	bed_fini(&b);
}

TEST(limits_hold_except_for_the_first_batch)
{
	struct bed b;
	struct bed_fetch *x;
	uint32_t len;

	bed_init(&b);
	len = fill(&b, 5);
	CHECK_EQ(bed_lead(&b, "u", 0, 0), KERR_NONE);
	CHECK_EQ(bed_put(&b, "u", 0), 0);
	x = bed_fetch_new(&b, "t", 0, 0);		/* a batch larger than everything allowed comes whole, and alone */
	x->item[1].topic = SLICE_LIT("u");
	x->f.nitems = 2;
	x->f.max_bytes = 10;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].range.len, len);
	CHECK_EQ(x->item[1].range.len, 0);
	CHECK(!x->item[1].withheld);			/* nothing was left at all */
	CHECK_EQ(x->item[1].high_watermark, 1);
	bed_fetch_drop(x);
	x->f.max_bytes = (int32_t)len + 10;		/* the rest is shared, but not for a part of a batch */
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].range.len, len + 10);	/* a cut at the end is Kafka's way */
	CHECK_EQ(x->item[1].range.len, 0);
	bed_fetch_drop(x);
	x->item[0].max_bytes = (int32_t)len;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].range.len, len);
	CHECK_EQ(x->item[1].range.len, 0);
	CHECK(x->item[1].withheld);
	bed_fetch_drop(x);
	x->f.max_bytes = (int32_t)len * 3;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].range.len, len);
	CHECK_EQ(x->item[1].range.len, len);
	bed_fetch_drop(x);
	x->f.max_bytes = -1;				/* fails what is read first; then, as in Java, it is nothing */
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(x->item[0].high_watermark, -1);
	CHECK_EQ(x->item[1].range.len, len);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(a_fetch_waits_for_bytes_and_wakes)
{
	struct bed b;
	struct bed_fetch *x;
	uint32_t len;

	bed_init(&b);
	len = fill(&b, 2);
	x = bed_fetch_new(&b, "t", 0, 2);
	x->f.max_wait_ms = 1000;
	CHECK(!bed_fetch(&b, x));
	bed_put(&b, "t", 0);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, len);
	CHECK_EQ(first_offset(&x->item[0]), 2);
	bed_fetch_drop(x);
	x->f.min_bytes = 2 * (int32_t)len;		/* one is not enough */
	CHECK(!bed_fetch(&b, x));
	bed_put(&b, "t", 0);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, 2 * len);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(bytes_of_all_partitions_count_together)
{
	struct bed b;
	struct bed_fetch *x;
	uint32_t len;

	bed_init(&b);
	len = fill(&b, 1);
	CHECK_EQ(bed_lead(&b, "u", 0, 0), KERR_NONE);
	x = bed_fetch_new(&b, "t", 0, 1);
	x->item[1].topic = SLICE_LIT("u");
	x->item[1].fetch_offset = 0;
	x->f.nitems = 2;
	x->f.max_wait_ms = 1000;
	x->f.min_bytes = 2 * (int32_t)len;
	CHECK(!bed_fetch(&b, x));
	bed_put(&b, "t", 0);
	CHECK(!x->done);
	bed_put(&b, "u", 0);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, len);
	CHECK_EQ(x->item[1].range.len, len);
	bed_fetch_drop(x);
	/* What one partition may give does not count above its own limit. */
	x->item[0].max_bytes = 1;
	x->item[1].max_bytes = 1;
	x->item[0].fetch_offset = 2;
	x->item[1].fetch_offset = 1;
	CHECK(!bed_fetch(&b, x));
	for (int i = 0; i < 5; i++) {
		bed_put(&b, "t", 0);
		bed_put(&b, "u", 0);
	}
	CHECK(!x->done);
	bed_pass(&b, 1001);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, len);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(time_ends_a_fetch_with_what_there_is)
{
	struct bed b;
	struct bed_fetch *x;
	uint32_t len;

	bed_init(&b);
	len = fill(&b, 1);
	x = bed_fetch_new(&b, "t", 0, 1);
	x->f.max_wait_ms = 500;
	x->f.min_bytes = 100000;
	CHECK(!bed_fetch(&b, x));
	bed_put(&b, "t", 0);
	bed_pass(&b, 499);
	CHECK(!x->done);
	bed_pass(&b, 3);
	CHECK(x->done);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].range.len, len);
	bed_fetch_drop(x);
	x->item[0].fetch_offset = 2;
	CHECK(!bed_fetch(&b, x));
	bed_pass(&b, 502);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, 0);
	CHECK_EQ(x->item[0].high_watermark, 2);
	bed_fini(&b);
}

/* A fetch that waits at the end of t-0. */
static struct bed_fetch *
waiting(struct bed *b, const struct bed_role *role)
{
	struct bed_fetch *x;

	bed_init(b);
	CHECK_EQ(bed_metadata(b, role, true), KERR_NONE);
	CHECK_EQ(bed_role(b, role), KERR_NONE);
	x = bed_fetch_new(b, "t", 0, 0);
	x->f.max_wait_ms = 100000;
	CHECK(!bed_fetch(b, x));
	return (x);
}

TEST(the_high_watermark_wakes_consumers_not_the_end)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &two), *follower;

	follower = bed_fetch_new(&b, "t", 0, 0);
	follower->f.replica_id = 2;
	follower->f.max_wait_ms = 100000;
	CHECK(!bed_fetch(&b, follower));
	bed_put(&b, "t", 0);
	CHECK(!x->done);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1 }), KERR_NONE);	/* ISR { 1 } */
	CHECK(x->done);
	CHECK(x->item[0].range.len > 0);
	bed_fetch_drop(x);
	CHECK(follower->done);
	bed_fetch_drop(follower);
	bed_fini(&b);
}

TEST(a_follower_is_woken_by_the_end)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &two), *follower;

	follower = bed_fetch_new(&b, "t", 0, 0);
	follower->f.replica_id = 2;
	follower->f.max_wait_ms = 100000;
	CHECK(!bed_fetch(&b, follower));
	bed_put(&b, "t", 0);
	CHECK(follower->done);
	CHECK(follower->item[0].range.len > 0);
	bed_fetch_drop(follower);
	CHECK(!x->done);
	replica_fetch_cancel(&x->f);
	bed_fini(&b);
}

TEST(another_leader_ends_the_wait)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &two);

	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 1, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK(x->done);
	CHECK_EQ(x->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(x->item[0].leader_id, 2);
	CHECK_EQ(x->item[0].leader_epoch, 1);
	bed_fini(&b);
}

TEST(a_new_epoch_ends_the_wait_of_those_who_named_the_old)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &two), *epoch;

	epoch = bed_fetch_new(&b, "t", 0, 0);
	epoch->f.max_wait_ms = 100000;
	epoch->item[0].current_leader_epoch = 0;
	CHECK(!bed_fetch(&b, epoch));
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK(epoch->done);
	CHECK_EQ(epoch->item[0].error, KERR_FENCED_LEADER_EPOCH);
	CHECK_EQ(epoch->item[0].leader_epoch, 1);
	CHECK(!x->done);
	replica_fetch_cancel(&x->f);
	bed_fini(&b);
}

TEST(deletion_ends_the_wait)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &(struct bed_role){ 0 });

	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = -2, .delete = true }), KERR_NONE);
	CHECK(x->done);
	CHECK_EQ(x->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);	/* the metadata still know it */
	bed_fini(&b);
}

TEST(a_failed_disk_ends_the_wait)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &(struct bed_role){ 0 });

	fs_fault_arm(b.fs, FS_FAULT_WRITE, 1, ERR_IO);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	CHECK(x->done);
	CHECK_EQ(x->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	bed_fini(&b);
}

TEST(the_end_of_the_broker_ends_the_wait)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &(struct bed_role){ 0 });

	replica_manager_stop(b.manager);
	bed_run(&b);
	CHECK(x->done);
	CHECK_EQ(x->item[0].range.len, 0);
	CHECK(bed_fetch(&b, x));		/* and nobody waits any more */
	CHECK(x->now);
	bed_fini(&b);
}

TEST(a_cancelled_fetch_is_never_heard_of_again)
{
	struct bed b;
	struct bed_fetch *x = waiting(&b, &(struct bed_role){ 0 });

	replica_fetch_cancel(&x->f);
	bed_put(&b, "t", 0);
	bed_pass(&b, 200000);
	CHECK(!x->done);
	bed_fini(&b);
}

TEST(many_wait_and_all_are_woken)
{
	enum { N = 50 };
	struct bed b;
	struct bed_fetch *x[N];

	bed_init(&b);
	fill(&b, 0);
	for (int i = 0; i < N; i++) {
		x[i] = bed_fetch_new(&b, "t", 0, 0);
		x[i]->f.max_wait_ms = 100000;
		CHECK(!bed_fetch(&b, x[i]));
	}
	bed_put(&b, "t", 0);
	for (int i = 0; i < N; i++) {
		CHECK(x[i]->done);
		CHECK(x[i]->item[0].range.len > 0);
		bed_fetch_drop(x[i]);
	}
	bed_fini(&b);
}

TEST(a_fetcher_that_diverged_is_told_where)
{
	struct bed b;
	struct bed_fetch *x;

	bed_init(&b);
	fill(&b, 3);					/* epoch 0: [0, 3) */
	CHECK_EQ(bed_lead(&b, "t", 0, 4), KERR_NONE);
	for (int i = 0; i < 2; i++)
		bed_put(&b, "t", 0);			/* epoch 4: [3, 5) */
	x = bed_fetch_new(&b, "t", 0, 4);
	x->item[0].last_fetched_epoch = 0;		/* it has records of epoch 0 up to 4: 3 is where it ended */
	x->f.max_wait_ms = 1000;
	CHECK(bed_fetch(&b, x));
	CHECK(x->now);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].diverging_epoch, 0);
	CHECK_EQ(x->item[0].diverging_end_offset, 3);
	CHECK_EQ(x->item[0].range.len, 0);
	CHECK_EQ(x->item[0].high_watermark, 5);
	x->item[0].last_fetched_epoch = 2;		/* an epoch we never had */
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].diverging_epoch, 0);
	CHECK_EQ(x->item[0].diverging_end_offset, 3);
	x->item[0].last_fetched_epoch = 4;
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].diverging_epoch, -1);
	CHECK(x->item[0].range.len > 0);
	bed_fetch_drop(x);
	x->item[0].last_fetched_epoch = 9;		/* later than all we know */
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_OFFSET_OUT_OF_RANGE);
	x->item[0].last_fetched_epoch = 0;
	x->item[0].fetch_offset = 100;			/* far beyond our end: still a divergence first */
	CHECK(bed_fetch(&b, x));
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].diverging_end_offset, 3);
	bed_fini(&b);
}

/* ---- offsets ---- */

static void
put_at(struct bed *b, int64_t timestamp_ms, unsigned records)
{
	struct bed_append *model = bed_append(b, "nowhere", 0, 1, 0), *x = ARENA_NEW(&b->arena, struct bed_append);
	size_t len;

	*x = *model;
	x->queued = x->written = x->done = 0;
	x->item[0].topic = SLICE_LIT("t");
	x->item[0].records = bed_batch(b, records, 20, timestamp_ms, &len);
	x->item[0].records_len = (uint32_t)len;
	x->a.items = x->item;
	replica_append(b->manager, &x->a);
	bed_run(b);
	CHECK_EQ(x->item[0].error, KERR_NONE);
}

TEST(offsets_by_time_and_by_name)
{
	struct bed b;
	static const struct { int64_t ask, offset, timestamp; } rows[] = {
		{ LOG_TIME_EARLIEST, 0, -1 }, { LOG_TIME_EARLIEST_LOCAL, 0, -1 }, { LOG_TIME_LATEST, 9, -1 },
		{ LOG_TIME_MAX, 5, 3002 }, { LOG_TIME_LATEST_TIERED, -1, -1 },
		{ 0, 0, 1000 }, { 1000, 0, 1000 }, { 1001, 1, 1001 }, { 1002, 2, 1002 },
		{ 1003, 3, 3000 }, { 3000, 3, 3000 }, { 3001, 4, 3001 }, { 3002, 5, 3002 }, { 3003, -1, -1 },
	};

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 7), KERR_NONE);
	put_at(&b, 1000, 3);
	put_at(&b, 3000, 3);
	put_at(&b, 2000, 3);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct replica_offset_item it = bed_offset(&b, "t", 0, rows[i].ask);

		unit_check(it.error == KERR_NONE && it.offset == rows[i].offset && it.found_timestamp_ms == rows[i].timestamp, __FILE__, __LINE__,
		    "%lld: error %d, offset %lld at %lld", (long long)rows[i].ask, it.error, (long long)it.offset, (long long)it.found_timestamp_ms);
		CHECK_EQ(it.leader_epoch, rows[i].offset < 0 ? -1 : 7);
	}
	CHECK_EQ(bed_offset(&b, "t", 1, LOG_TIME_LATEST).error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	bed_fini(&b);
}

TEST(an_empty_partition_has_ends_and_nothing_else)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 7), KERR_NONE);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_EARLIEST).offset, 0);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_EARLIEST).leader_epoch, 7);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_LATEST).offset, 0);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_MAX).offset, -1);
	CHECK_EQ(bed_offset(&b, "t", 0, 0).offset, -1);
	bed_fini(&b);
}

TEST(offsets_are_not_told_before_the_high_watermark_has_caught_up)
{
	struct bed b;
	struct replica_offset_item ask = { .topic = SLICE_LIT("t"), .current_leader_epoch = -1, .timestamp_ms = LOG_TIME_LATEST };

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	bed_put(&b, "t", 0);
	bed_put(&b, "t", 0);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_LATEST).error, KERR_NONE);	/* the epoch began at 0, and there is the high watermark */
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_LATEST).offset, 0);
	CHECK_EQ(bed_offset_as(&b, &ask, 2, false, false).offset, 2);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_LATEST).error, KERR_OFFSET_NOT_AVAILABLE);	/* it began at 2 now */
	CHECK_EQ(bed_offset(&b, "t", 0, BED_NOW).error, KERR_OFFSET_NOT_AVAILABLE);
	CHECK_EQ(bed_offset(&b, "t", 0, LOG_TIME_EARLIEST).error, KERR_NONE);
	CHECK_EQ(bed_offset_as(&b, &ask, 2, false, false).offset, 2);		/* followers are told */
	CHECK_EQ(bed_offset_as(&b, &ask, -2, false, false).offset, 2);
	bed_fini(&b);
}

TEST(epochs_fence_offsets)
{
	struct bed b;
	struct replica_offset_item ask = { .topic = SLICE_LIT("t"), .timestamp_ms = LOG_TIME_LATEST };
	static const struct { int32_t epoch; enum kerr k; } rows[] = {
		{ -1, KERR_NONE }, { 3, KERR_NONE }, { 2, KERR_FENCED_LEADER_EPOCH }, { 4, KERR_UNKNOWN_LEADER_EPOCH },
		{ -2, KERR_FENCED_LEADER_EPOCH },
	};

	bed_init(&b);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 4, .isr = { 1, 2 }, .nisr = 2 }, true), KERR_NONE);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	for (size_t i = 0; i < NELEM(rows); i++) {
		ask.current_leader_epoch = rows[i].epoch;
		CHECK_EQ(bed_offset_as(&b, &ask, -1, false, false).error, rows[i].k);
	}
	ask.current_leader_epoch = -1;
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 4, .partition_epoch = 4, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, false).error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(bed_offset_as(&b, &ask, 2, false, false).error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(bed_offset_as(&b, &ask, -2, false, false).error, KERR_NONE);		/* who debugs may ask a follower */
	bed_fini(&b);
}

TEST(the_oldest_version_asks_for_files)
{
	struct bed b;
	struct replica_offset_item ask = { .topic = SLICE_LIT("t"), .current_leader_epoch = -1, .max_offsets = 100 }, it;
	struct partition *p;

	bed_init(&b);
	b.config.log.segment_bytes = 200;		/* every batch its own file */
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	for (int i = 0; i < 4; i++)
		put_at(&b, 1000, 3);
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	CHECK_EQ(log_segment_count(partition_log(p)), 4);
	partition_unref(&p);
	ask.timestamp_ms = LOG_TIME_LATEST;
	it = bed_offset_as(&b, &ask, -1, false, true);
	CHECK_EQ(it.error, KERR_NONE);
	REQUIRE(it.noffsets == 5);
	CHECK_EQ(it.offsets[0], 12);
	CHECK_EQ(it.offsets[1], 9);
	CHECK_EQ(it.offsets[4], 0);
	ask.max_offsets = 2;
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, true).noffsets, 2);
	ask.max_offsets = 0;
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, true).noffsets, 0);
	ask.max_offsets = -1;
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, true).error, KERR_UNKNOWN_SERVER_ERROR);
	ask.max_offsets = 100;
	ask.timestamp_ms = LOG_TIME_EARLIEST;
	it = bed_offset_as(&b, &ask, -1, false, true);
	REQUIRE(it.noffsets == 1);
	CHECK_EQ(it.offsets[0], 0);
	ask.timestamp_ms = 5;				/* no file is that old */
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, true).noffsets, 0);
	ask.timestamp_ms = INT64_MAX;
	CHECK_EQ(bed_offset_as(&b, &ask, -1, false, true).noffsets, 5);
	bed_fini(&b);
}

TEST(the_oldest_version_hides_what_is_above_the_high_watermark)
{
	struct bed b;
	struct replica_offset_item ask = { .topic = SLICE_LIT("t"), .current_leader_epoch = -1, .timestamp_ms = LOG_TIME_LATEST, .max_offsets = 100 };
	struct replica_offset_item it;

	bed_init(&b);
	b.config.log.segment_bytes = 200;
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	put_at(&b, 1000, 3);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	put_at(&b, 1000, 3);
	put_at(&b, 1000, 3);				/* files at 0, 3, 6; end 9; high watermark 3 */
	it = bed_offset_as(&b, &ask, -1, false, true);
	REQUIRE(it.noffsets == 3);
	CHECK_EQ(it.offsets[0], 3);
	CHECK_EQ(it.offsets[1], 3);
	CHECK_EQ(it.offsets[2], 0);
	it = bed_offset_as(&b, &ask, 2, false, true);
	REQUIRE(it.noffsets == 4);
	CHECK_EQ(it.offsets[0], 9);
	bed_fini(&b);
}

/* ---- several directories: what is not in memory is read by others than the loop ---- */

enum { COLD = 12 };		/* records: more than there are index entries in memory */

/* t-0 and t-1 in a directory each, with indexes that nobody has mapped yet: that is cold, but for the newest. */
static void
init_cold(struct bed *b)
{
	bed_init_dirs(b, 2);
	b->config.log.index_interval_bytes = 1;
	for (int32_t p = 0; p < 2; p++) {
		CHECK_EQ(bed_lead(b, "t", p, 0), KERR_NONE);
		for (int i = 0; i < COLD; i++)
			bed_put(b, "t", p);
	}
}

TEST(cold_records_are_brought_in_before_the_loop_reads_them)
{
	struct bed b;
	struct bed_fetch *x;

	init_cold(&b);
	x = bed_fetch_new(&b, "t", 0, 2);
	x->f.nitems = 2;
	x->item[1].partition = 1;
	CHECK(bed_fetch(&b, x));
	CHECK(x->done);			/* not at once */
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(x->item[i].error, KERR_NONE);
		CHECK_EQ(first_offset(&x->item[i]), 2);
		CHECK_EQ(x->item[i].high_watermark, COLD);
	}
	bed_fetch_drop(x);
	CHECK(bed_fetch(&b, x));
	CHECK(x->now);			/* they are warm now */
	CHECK_EQ(first_offset(&x->item[1]), 2);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(the_newest_records_are_found_without_their_index_file)
{
	struct bed b;
	struct bed_fetch *x;

	init_cold(&b);
	x = bed_fetch_new(&b, "t", 0, COLD - 1);
	CHECK(bed_fetch(&b, x));
	CHECK(x->now);
	CHECK_EQ(first_offset(&x->item[0]), COLD - 1);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(a_fetch_of_cold_records_waits_for_more_all_the_same)
{
	struct bed b;
	struct bed_fetch *x;

	init_cold(&b);
	x = bed_fetch_new(&b, "t", 0, 2);
	x->f.min_bytes = 1 << 20;
	x->f.max_wait_ms = 1000;
	CHECK(!bed_fetch(&b, x));
	bed_pass(&b, 999);
	CHECK(!x->done);
	bed_pass(&b, 2);
	CHECK(x->done);
	CHECK_EQ(first_offset(&x->item[0]), 2);
	bed_fetch_drop(x);
	bed_fini(&b);
}

TEST(a_fetch_that_is_cancelled_while_its_records_are_brought_in_is_never_heard_of_again)
{
	struct bed b;
	struct bed_fetch *x;

	init_cold(&b);
	x = bed_fetch_new(&b, "t", 0, 2);
	CHECK(!replica_fetch(b.manager, &x->f));
	replica_fetch_cancel(&x->f);
	bed_run(&b);
	CHECK(!x->done);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .delete = true, .leader_epoch = 1 }), KERR_NONE);
	bed_fini(&b);
}

TEST(cold_records_that_are_deleted_before_they_are_read_are_an_error)
{
	struct bed b;
	struct bed_fetch *x;

	init_cold(&b);
	x = bed_fetch_new(&b, "t", 0, 2);
	CHECK(!replica_fetch(b.manager, &x->f));
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .delete = true, .leader_epoch = 1 }), KERR_NONE);
	CHECK(x->done);
	CHECK(x->item[0].error != KERR_NONE);
	bed_fini(&b);
}

UNIT_MAIN("replica/fetch", T(cold_records_are_brought_in_before_the_loop_reads_them), T(the_newest_records_are_found_without_their_index_file),
    T(a_fetch_of_cold_records_waits_for_more_all_the_same),
    T(a_fetch_that_is_cancelled_while_its_records_are_brought_in_is_never_heard_of_again),
    T(cold_records_that_are_deleted_before_they_are_read_are_an_error),
    T(what_is_below_the_high_watermark_is_read_at_once),
    T(consumers_stop_at_the_high_watermark_and_followers_at_the_end), T(errors_come_in_kafka_s_order_and_at_once),
    T(limits_hold_except_for_the_first_batch), T(a_fetch_waits_for_bytes_and_wakes), T(bytes_of_all_partitions_count_together),
    T(time_ends_a_fetch_with_what_there_is), T(the_high_watermark_wakes_consumers_not_the_end), T(a_follower_is_woken_by_the_end),
    T(another_leader_ends_the_wait), T(a_new_epoch_ends_the_wait_of_those_who_named_the_old), T(deletion_ends_the_wait),
    T(a_failed_disk_ends_the_wait), T(the_end_of_the_broker_ends_the_wait), T(a_cancelled_fetch_is_never_heard_of_again),
    T(many_wait_and_all_are_woken), T(a_fetcher_that_diverged_is_told_where), T(offsets_by_time_and_by_name),
    T(an_empty_partition_has_ends_and_nothing_else), T(offsets_are_not_told_before_the_high_watermark_has_caught_up), T(epochs_fence_offsets),
    T(the_oldest_version_asks_for_files), T(the_oldest_version_hides_what_is_above_the_high_watermark))
