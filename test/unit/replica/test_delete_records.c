/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteRecords and the ends of epochs as replica/ sees them: who is refused, what goes up, what is waited for.
 */
#include "base/must.h"
#include "replica/delete_records.h"
#include "test/unit/fs_fault.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"

struct purge {
	struct replica_delete d;
	struct replica_delete_item item[3];
	unsigned done;
};

static void
on_done(struct replica_delete *d)
{
	CONTAINER_OF(d, struct purge, d)->done++;
}

/* One item, run. */
static struct purge *
purge(struct bed *b, const char *topic, int32_t partition, int64_t offset, int32_t timeout_ms)
{
	struct purge *x = ARENA_NEW(&b->arena, struct purge);

	x->d = (struct replica_delete){ .loop = b->loop, .timeout_ms = timeout_ms, .items = x->item, .nitems = 1, .done = on_done };
	x->item[0] = (struct replica_delete_item){ .topic = slice_str(topic), .partition = partition, .offset = offset };
	replica_delete_records(b->manager, &x->d);
	bed_run(b);
	return (x);
}

static enum kerr
error_of(struct bed *b, const char *topic, int32_t partition, int64_t offset)
{
	struct purge *x = purge(b, topic, partition, offset, 1000);

	CHECK_EQ(x->done, 1);
	CHECK(x->item[0].error == KERR_NONE || x->item[0].low_watermark == -1);
	return (x->item[0].error);
}

static int64_t
start_of(struct bed *b)
{
	return (bed_offset(b, "t", 0, LOG_TIME_EARLIEST).offset);
}

static void
lead(struct bed *b, const struct bed_role *role, bool two_lives)
{
	CHECK_EQ(bed_metadata(b, role, two_lives), KERR_NONE);
	CHECK_EQ(bed_role(b, role), KERR_NONE);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(bed_put(b, "t", 0), i);
}

static const struct bed_role alone = { .leader_epoch = 0 };
static const struct bed_role with_a_follower = { .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 }, .nreplicas = 2 };

TEST(records_below_the_offset_are_out_of_range_at_once)
{
	struct bed b;
	struct purge *x;
	struct bed_fetch *f;

	bed_init(&b);
	lead(&b, &alone, false);
	x = purge(&b, "t", 0, 3, 0);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].low_watermark, 3);
	CHECK_EQ(start_of(&b), 3);
	f = bed_fetch_new(&b, "t", 0, 2);
	CHECK(bed_fetch(&b, f));
	CHECK_EQ(f->item[0].error, KERR_OFFSET_OUT_OF_RANGE);
	x = purge(&b, "t", 0, 1, 0);	/* deleted already */
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].low_watermark, 3);
	x = purge(&b, "t", 0, DELETE_TO_HIGH_WATERMARK, 0);
	CHECK_EQ(x->item[0].low_watermark, 5);
	CHECK_EQ(bed_put(&b, "t", 0), 5);
	bed_fini(&b);
}

TEST(who_may_not_delete_what)
{
	struct bed b;

	bed_init(&b);
	lead(&b, &alone, false);
	CHECK_EQ(error_of(&b, "t", 0, 6), KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(error_of(&b, "t", 0, -2), KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(error_of(&b, "t", 0, INT64_MIN), KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(error_of(&b, "t", 1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(error_of(&b, "t", -1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(error_of(&b, "u", 0, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	/* Known to the metadata, not hosted here. */
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .topic = "u", .leader = 2 }, false), KERR_NONE);
	CHECK_EQ(error_of(&b, "u", 0, 0), KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .topic = "__consumer_offsets" }, false), KERR_NONE);
	CHECK_EQ(error_of(&b, "__consumer_offsets", 0, 0), KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(error_of(&b, "__consumer_offsets", 1, 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	b.config.log.cleanup_delete = false;
	b.config.log.cleanup_compact = true;
	replica_topic_config_changed(b.manager, NULL);
	CHECK_EQ(error_of(&b, "t", 0, 1), KERR_POLICY_VIOLATION);
	CHECK_EQ(error_of(&b, "t", 0, 9), KERR_POLICY_VIOLATION);
	b.config.log.cleanup_delete = true;
	replica_topic_config_changed(b.manager, NULL);
	CHECK_EQ(error_of(&b, "t", 0, 1), KERR_NONE);
	CHECK_EQ(start_of(&b), 1);
	bed_fini(&b);
}

TEST(one_refusal_leaves_the_rest)
{
	struct bed b;
	struct purge *x;

	bed_init(&b);
	lead(&b, &alone, false);
	x = ARENA_NEW(&b.arena, struct purge);
	x->d = (struct replica_delete){ .loop = b.loop, .timeout_ms = 0, .items = x->item, .nitems = 3, .done = on_done };
	x->item[0] = (struct replica_delete_item){ .topic = slice_str("u"), .partition = 0, .offset = 0 };
	x->item[1] = (struct replica_delete_item){ .topic = slice_str("t"), .partition = 0, .offset = 2 };
	x->item[2] = (struct replica_delete_item){ .topic = slice_str("t"), .partition = 7, .offset = 0 };
	replica_delete_records(b.manager, &x->d);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(x->item[1].error, KERR_NONE);
	CHECK_EQ(x->item[1].low_watermark, 2);
	CHECK_EQ(x->item[2].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	x->d.nitems = 0;
	replica_delete_records(b.manager, &x->d);
	CHECK_EQ(x->done, 2);
	bed_fini(&b);
}

TEST(a_live_follower_is_waited_for_until_the_time_is_up)
{
	struct bed b;
	struct purge *x;

	bed_init(&b);
	lead(&b, &with_a_follower, true);
	x = purge(&b, "t", 0, 2, 0);	/* no time at all */
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_REQUEST_TIMED_OUT);
	CHECK_EQ(x->item[0].low_watermark, -1);
	CHECK_EQ(start_of(&b), 2);	/* our own start is up all the same */
	x = purge(&b, "t", 0, 3, 500);
	CHECK_EQ(x->done, 0);
	bed_pass(&b, 499);
	CHECK_EQ(x->done, 0);
	bed_pass(&b, 1);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_REQUEST_TIMED_OUT);
	x = purge(&b, "t", 0, 4, 500);
	CHECK_EQ(bed_metadata(&b, &with_a_follower, false), KERR_NONE);	/* it dies, and something is written */
	CHECK_EQ(bed_put(&b, "t", 0), 5);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	CHECK_EQ(x->item[0].low_watermark, 4);
	bed_fini(&b);
}

TEST(who_loses_the_partition_while_it_waits_hears_it)
{
	struct bed b;
	struct purge *x;

	bed_init(&b);
	lead(&b, &with_a_follower, true);
	x = purge(&b, "t", 0, 2, 5000);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(x->item[0].low_watermark, -1);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 2, .replicas = { 1, 2 }, .nreplicas = 2 }), KERR_NONE);
	x = purge(&b, "t", 0, 3, 5000);
	CHECK_EQ(x->done, 0);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 2, .broker_epoch = BED_EPOCH, .delete = true }), KERR_NONE);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	bed_fini(&b);
}

TEST(the_end_of_the_broker_ends_the_wait)
{
	struct bed b;
	struct purge *x;

	bed_init(&b);
	lead(&b, &with_a_follower, true);
	x = purge(&b, "t", 0, 2, 5000);
	CHECK_EQ(x->done, 0);
	replica_manager_stop(b.manager);
	bed_run(&b);
	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_REQUEST_TIMED_OUT);
	CHECK_EQ(purge(&b, "t", 0, 3, 5000)->done, 1);
	bed_fini(&b);
}

/* ---- epochs ---- */

static enum kerr
epoch_end(struct bed *b, int32_t current, int32_t asked, int32_t *epoch, int64_t *end)
{
	return (replica_end_of_epoch(b->manager, slice_str("t"), 0, current, asked, epoch, end));
}

TEST(an_epoch_ends_where_the_next_one_began)
{
	static const struct { int32_t current, asked; enum kerr error; int32_t epoch; int64_t end; } rows[] = {
		{ -1, 0, KERR_NONE, 0, 5 }, { -1, 3, KERR_NONE, 3, 6 }, { -1, 2, KERR_NONE, 0, 5 }, { -1, 4, KERR_NONE, -1, -1 },
		{ -1, -1, KERR_NONE, -1, -1 }, { -1, -2, KERR_NONE, -2, 0 }, { 3, 0, KERR_NONE, 0, 5 },
		{ 2, 0, KERR_FENCED_LEADER_EPOCH, -1, -1 }, { 4, 0, KERR_UNKNOWN_LEADER_EPOCH, -1, -1 },
		{ -2, 0, KERR_FENCED_LEADER_EPOCH, -1, -1 },
	};
	struct bed b;
	int32_t epoch;
	int64_t end;

	bed_init(&b);
	lead(&b, &alone, false);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 5);
	for (size_t i = 0; i < NELEM(rows); i++) {
		CHECK_EQ(epoch_end(&b, rows[i].current, rows[i].asked, &epoch, &end), rows[i].error);
		CHECK_EQ(epoch, rows[i].epoch);
		CHECK_EQ(end, rows[i].end);
	}
	bed_fini(&b);
}

TEST(only_a_leader_knows_ends_of_epochs)
{
	struct bed b;
	int32_t epoch;
	int64_t end;

	bed_init(&b);
	CHECK_EQ(epoch_end(&b, -1, 0, &epoch, &end), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_metadata(&b, &alone, true), KERR_NONE);
	CHECK_EQ(epoch_end(&b, -1, 0, &epoch, &end), KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(epoch_end(&b, -1, 0, &epoch, &end), KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(epoch_end(&b, 0, 0, &epoch, &end), KERR_FENCED_LEADER_EPOCH);
	CHECK_EQ(epoch_end(&b, 2, 0, &epoch, &end), KERR_UNKNOWN_LEADER_EPOCH);
	bed_fini(&b);
}

UNIT_MAIN("replica/delete_records", T(records_below_the_offset_are_out_of_range_at_once), T(who_may_not_delete_what),
    T(one_refusal_leaves_the_rest), T(a_live_follower_is_waited_for_until_the_time_is_up),
    T(who_loses_the_partition_while_it_waits_hears_it), T(the_end_of_the_broker_ends_the_wait), T(an_epoch_ends_where_the_next_one_began),
    T(only_a_leader_knows_ends_of_epochs))
