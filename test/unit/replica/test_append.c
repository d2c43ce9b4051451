/* SPDX-License-Identifier: Apache-2.0
 *
 * Produce as replica/ sees it: acks, min.insync.replicas, time-outs, and what a change of role does to those who wait.
 */
#include <stdlib.h>

#include "test/unit/fs_fault.h"
#include "test/unit/fs_power.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"

static struct partition *
part(struct bed *b)
{
	struct partition *p = replica_partition(b->manager, SLICE_LIT("t"), 0);

	return (p);
}

static int64_t
high_watermark(struct bed *b)
{
	struct partition *p = part(b);
	int64_t hw = log_high_watermark(partition_log(p));

	partition_unref(&p);
	return (hw);
}

static int64_t
end_offset(struct bed *b)
{
	struct partition *p = part(b);
	int64_t end = log_end_offset(partition_log(p));

	partition_unref(&p);
	return (end);
}

static const struct bed_role two = { .isr = { 1, 2 }, .nisr = 2 };

TEST(an_only_replica_acknowledges_at_once)
{
	static const int16_t acks[] = { 0, 1, -1 };
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	for (int i = 0; i < 3; i++) {
		struct bed_append *a = bed_append(&b, "t", 0, acks[i], 1000);

		CHECK_EQ(a->done, 1);
		CHECK_EQ(a->item[0].error, KERR_NONE);
		CHECK_EQ(a->item[0].base_offset, i);
		CHECK_EQ(a->item[0].log_append_time_ms, -1);
		CHECK_EQ(a->item[0].log_start_offset, 0);
		CHECK_EQ(high_watermark(&b), i + 1);
	}
	bed_fini(&b);
}

TEST(acks_that_do_not_exist_write_nothing)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	a = bed_append(&b, "t", 0, 2, 1000);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_INVALID_REQUIRED_ACKS);
	CHECK_EQ(a->item[0].base_offset, -1);
	CHECK_EQ(end_offset(&b), 0);
	bed_fini(&b);
}

static enum kerr
append_unreadable(struct bed *b, const char *topic, int16_t acks)
{
	struct bed_append *a = ARENA_NEW(&b->arena, struct bed_append), *model = bed_append(b, "t", 7, 1, 0);	/* for its callbacks */

	a->item[0] = (struct replica_append_item){ .topic = slice_str(topic), .records = (uint8_t *)arena_strndup(&b->arena, "junk", 4), .records_len = 4 };
	a->a = (struct replica_append){ .loop = b->loop, .acks = acks, .produce_version = 11, .origin = RECORD_FROM_CLIENT, .arena = &b->arena,
	    .items = a->item, .nitems = 1, .queued = model->a.queued, .written = model->a.written, .done = model->a.done };
	replica_append(b->manager, &a->a);
	bed_run(b);
	CHECK_EQ(a->done, 1);
	return (a->item[0].error);
}

TEST(records_that_are_no_batch_are_blamed_before_acks_and_leaders)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(append_unreadable(&b, "t", 1), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 8, .isr = { 2 }, .nisr = 1 }, true), KERR_NONE);
	CHECK_EQ(append_unreadable(&b, "t", 1), KERR_INVALID_RECORD);
	CHECK_EQ(bed_lead(&b, "t", 0, 9), KERR_NONE);
	CHECK_EQ(append_unreadable(&b, "t", 1), KERR_INVALID_RECORD);
	CHECK_EQ(append_unreadable(&b, "t", 2), KERR_INVALID_RECORD);
	CHECK_EQ(bed_lead(&b, "__consumer_offsets", 0, 0), KERR_NONE);
	CHECK_EQ(append_unreadable(&b, "__consumer_offsets", 1), KERR_INVALID_RECORD);
	bed_fini(&b);
}

TEST(where_a_partition_is_not)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 8, .isr = { 2 }, .nisr = 1 }, true), KERR_NONE);
	a = bed_append(&b, "t", 0, 1, 0);
	CHECK_EQ(a->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(a->item[0].leader_id, 2);
	CHECK_EQ(a->item[0].leader_epoch, 8);
	CHECK_EQ(bed_append(&b, "__consumer_offsets", 0, 1, 0)->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_lead(&b, "__consumer_offsets", 0, 0), KERR_NONE);
	CHECK_EQ(bed_append(&b, "__consumer_offsets", 0, 1, 0)->item[0].error, KERR_INVALID_TOPIC_EXCEPTION);
	bed_fini(&b);
}

TEST(too_few_in_sync_refuse_acks_all_and_hold_the_high_watermark)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	b.config.min_insync_replicas = 2;
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 }, .nreplicas = 2 }), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 1000);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_NOT_ENOUGH_REPLICAS);
	CHECK_EQ(end_offset(&b), 0);
	a = bed_append(&b, "t", 0, 1, 1000);
	CHECK_EQ(a->item[0].error, KERR_NONE);
	CHECK_EQ(end_offset(&b), 1);
	CHECK_EQ(high_watermark(&b), 0);		/* KIP-966: not with fewer than min.insync.replicas */
	b.config.min_insync_replicas = 1;		/* the topic's configuration changes: both follow at once */
	replica_topic_config_changed(b.manager, "t");
	bed_run(&b);
	CHECK_EQ(high_watermark(&b), 1);
	CHECK_EQ(bed_append(&b, "t", 0, -1, 1000)->item[0].error, KERR_NONE);
	bed_fini(&b);
}

TEST(fewer_replicas_than_min_insync_replicas_must_only_all_be_there)
{
	struct bed b;

	bed_init(&b);
	b.config.min_insync_replicas = 3;
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_append(&b, "t", 0, -1, 1000)->item[0].error, KERR_NONE);
	CHECK_EQ(high_watermark(&b), 1);
	bed_fini(&b);
}

TEST(acks_all_waits_for_the_others_until_the_time_is_up)
{
	struct bed b;
	struct bed_append *a, *one;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 1000);
	CHECK_EQ(a->queued, 1);
	CHECK_EQ(a->written, 1);
	CHECK_EQ(a->done, 0);
	one = bed_append(&b, "t", 0, 1, 1000);		/* who does not wait is not held up */
	CHECK_EQ(one->done, 1);
	CHECK_EQ(one->item[0].base_offset, 1);
	bed_pass(&b, 999);
	CHECK_EQ(a->done, 0);
	bed_pass(&b, 3);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_REQUEST_TIMED_OUT);
	CHECK_EQ(a->item[0].base_offset, 0);
	CHECK_EQ(end_offset(&b), 2);			/* what was written stays */
	bed_fini(&b);
}

TEST(acks_all_with_no_time_to_wait)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 0);
	bed_pass(&b, 2);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_REQUEST_TIMED_OUT);
	a = bed_append(&b, "t", 0, -1, -5);
	bed_pass(&b, 2);
	CHECK_EQ(a->done, 1);
	bed_fini(&b);
}

TEST(a_smaller_isr_lets_waiting_producers_go_on)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	CHECK_EQ(a->done, 0);
	/* The controller takes the dead replica out, in a new epoch of ours: nothing was cut, so the wait ends well, as in Java. */
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1, .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 },
	    .nreplicas = 2 }), KERR_NONE);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_NONE);
	CHECK_EQ(a->item[0].base_offset, 0);
	bed_fini(&b);
}

TEST(an_isr_that_became_too_small_is_told_after_the_append)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	b.config.min_insync_replicas = 2;
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	CHECK_EQ(a->done, 0);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .partition_epoch = 1, .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 },
	    .nreplicas = 2 }), KERR_NONE);
	CHECK_EQ(a->done, 0);				/* the high watermark stands still: nothing can be said yet */
	bed_pass(&b, 10001);
	CHECK_EQ(a->item[0].error, KERR_REQUEST_TIMED_OUT);
	bed_fini(&b);
}

TEST(another_leader_ends_the_wait)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_metadata(&b, &two, true), KERR_NONE);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	CHECK_EQ(a->done, 0);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 1, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(a->item[0].base_offset, 0);		/* where it is, for as long as it is */
	CHECK_EQ(a->item[0].leader_id, 2);
	CHECK_EQ(a->item[0].leader_epoch, 1);
	bed_fini(&b);
}

TEST(a_deleted_partition_ends_the_wait)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = -2, .delete = true }), KERR_NONE);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	bed_fini(&b);
}

TEST(a_failed_disk_ends_the_wait)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	CHECK_EQ(bed_lead(&b, "u", 0, 0), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	fs_fault_arm(b.fs, FS_FAULT_WRITE, 1, ERR_IO);
	CHECK_EQ(bed_append(&b, "u", 0, 1, 0)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	bed_fini(&b);
}

TEST(the_end_of_the_broker_ends_the_wait)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &two), KERR_NONE);
	a = bed_append(&b, "t", 0, -1, 10000);
	replica_manager_stop(b.manager);
	bed_run(&b);
	CHECK_EQ(a->done, 1);
	CHECK(a->item[0].error != KERR_NONE);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	bed_fini(&b);
}

/* ---- group commit ---- */

/* A consumer at the end, who does not wait. */
static bool
consumer_sees(struct bed *b, int64_t offset)
{
	struct bed_fetch *x = bed_fetch_new(b, "t", 0, offset);
	bool more;

	x->now = replica_fetch(b->manager, &x->f);
	bed_turn(b);
	CHECK(x->now || x->done);
	more = x->item[0].range.len > 0;
	bed_fetch_drop(x);
	return (more);
}

TEST(with_group_commit_nothing_is_acknowledged_or_shown_before_the_sync)
{
	struct bed_append *all, *one, *none;
	struct bed b;

	bed_init_synced(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	all = bed_append_begin(&b, "t", 0, -1, 1000);
	one = bed_append_begin(&b, "t", 0, 1, 1000);
	none = bed_append_begin(&b, "t", 0, 0, 1000);
	bed_turn(&b);
	CHECK(all->written == 1 && one->written == 1);	/* the records' memory is free */
	CHECK(all->done == 0 && one->done == 0);
	CHECK_EQ(none->done, 1);			/* nobody waits for that answer */
	CHECK_EQ(end_offset(&b), 3);
	CHECK_EQ(high_watermark(&b), 0);
	CHECK(!consumer_sees(&b, 0));
	bed_run(&b);
	CHECK(all->done == 1 && one->done == 1);
	CHECK_EQ(all->item[0].error, KERR_NONE);
	CHECK_EQ(all->item[0].base_offset, 0);
	CHECK_EQ(one->item[0].error, KERR_NONE);
	CHECK_EQ(one->item[0].base_offset, 1);
	CHECK_EQ(high_watermark(&b), 3);
	CHECK(consumer_sees(&b, 0));
	CHECK_EQ(metric_get(&b.metrics, METRIC_commit_syncs_total), 1);	/* for all three */
	bed_fini(&b);
}

TEST(with_group_commit_a_disk_that_hangs_is_a_time_out)
{
	struct bed_append *a[2];
	struct bed b;

	bed_init_synced(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	a[0] = bed_append_begin(&b, "t", 0, -1, 1000);
	a[1] = bed_append_begin(&b, "t", 0, 1, 1000);
	bed_turn(&b);
	clock_manual_advance_ns(&b.clock, INT64_C(900) * 1000000);
	bed_turn(&b);
	CHECK(a[0]->done == 0 && a[1]->done == 0);
	clock_manual_advance_ns(&b.clock, INT64_C(200) * 1000000);
	bed_turn(&b);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(a[i]->done, 1);
		CHECK_EQ(a[i]->item[0].error, KERR_REQUEST_TIMED_OUT);
	}
	bed_run(&b);		/* it goes on */
	CHECK_EQ(high_watermark(&b), 2);
	bed_fini(&b);
}

TEST(with_group_commit_a_sync_that_fails_is_a_storage_error_and_shows_nothing)
{
	struct bed_append *a[2];
	struct bed b;

	bed_init_synced(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	fs_fault_only(b.fs, ".log");
	fs_fault_arm(b.fs, FS_FAULT_SYNC, 1, ERR_IO);
	a[0] = bed_append_begin(&b, "t", 0, -1, 1000);
	a[1] = bed_append_begin(&b, "t", 0, 1, 1000);
	bed_run(&b);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(a[i]->done, 1);
		CHECK_EQ(a[i]->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	}
	CHECK_EQ(high_watermark(&b), 1);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 1000)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	CHECK(b.all_offline);
	bed_fini(&b);
}

/* The end comes while a sync is under way: no answer says that it was written. */
TEST(with_group_commit_the_end_of_the_broker_ends_the_wait)
{
	struct bed_append *a;
	struct bed b;

	bed_init_synced(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	a = bed_append_begin(&b, "t", 0, 1, 10000);
	bed_turn(&b);
	CHECK_EQ(a->done, 0);
	replica_manager_stop(b.manager);
	bed_turn(&b);
	CHECK_EQ(a->done, 1);
	CHECK(a->item[0].error != KERR_NONE);
	bed_fini(&b);
}

enum { LOSSES_MAX = 400 };

struct losses {
	struct fs *fs, *copies[LOSSES_MAX];
	int64_t	   acked[LOSSES_MAX], seen[LOSSES_MAX], acked_now, seen_now;
	unsigned   n;
};

static void
keep_loss(void *ctx, const char *what)
{
	struct losses *l = ctx;

	(void)what;
	if (l->n == LOSSES_MAX)
		return;
	l->acked[l->n] = l->acked_now;
	l->seen[l->n] = l->seen_now;
	l->copies[l->n++] = fs_power_copy(l->fs);
}

/* seed 0: killed. */
static void
look_after_loss(const struct losses *l, unsigned i, uint64_t seed)
{
	struct fs *after = seed == 0 ? fs_power_copy(l->copies[i]) : fs_power_lost(l->copies[i], seed);
	struct bed_append *a;
	struct bed b;

	bed_init_on(&b, after);
	b.sync_appends = true;
	bed_restart(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 50), KERR_NONE);
	CHECK_GE(end_offset(&b), l->acked[i]);
	CHECK_GE(end_offset(&b), l->seen[i]);		/* what a consumer was shown is there, too */
	CHECK_EQ(high_watermark(&b), end_offset(&b));
	a = bed_append(&b, "t", 0, 1, 1000);
	CHECK_EQ(a->item[0].error, KERR_NONE);
	CHECK_EQ(a->item[0].base_offset, end_offset(&b) - 1);
	bed_fini(&b);
	fs_power_free(&after);
}

TEST(with_group_commit_every_acknowledged_record_is_there_when_power_is_lost_at_any_call)
{
	struct losses *l = calloc(1, sizeof(*l));
	struct clock_manual clock;
	struct bed b;

	REQUIRE(l != NULL);
	clock_manual_init(&clock, BED_NOW);
	l->fs = fs_power_new(&clock.clock);
	bed_init_on(&b, l->fs);
	b.sync_appends = true;
	b.config.log.segment_bytes = 600;
	bed_restart(&b);
	fs_power_watch(l->fs, FS_FAULT_WRITE | FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_RENAME | FS_FAULT_UNLINK | FS_FAULT_TRUNCATE, keep_loss, l);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	for (int i = 0; i < 12; i++) {
		struct bed_append *a[3];

		for (int k = 0; k < 3; k++)
			a[k] = bed_append_begin(&b, "t", 0, k == 1 ? -1 : 1, 1000);
		bed_run(&b);
		for (int k = 0; k < 3; k++)
			CHECK(a[k]->done == 1 && a[k]->item[0].error == KERR_NONE);
		l->acked_now = a[2]->item[0].base_offset + 1;
		l->seen_now = high_watermark(&b);
		if (i % 4 == 3)
			log_dirs_checkpoint_recovery_points(b.dirs);
	}
	fs_power_watch(l->fs, 0, NULL, NULL);
	bed_fini(&b);
	CHECK(l->n > 60 && l->n < LOSSES_MAX);
	for (unsigned i = 0; i < l->n; i++)
		for (uint64_t k = 0; k < 3; k++)
			look_after_loss(l, i, k == 0 ? 0 : unit_seed() * 1000 + i * 10 + k);
	for (unsigned i = 0; i < l->n; i++)
		fs_power_free(&l->copies[i]);
	fs_power_free(&l->fs);
	free(l);
}

TEST(a_foreign_controller_stops_appends)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	replica_manager_refuse_appends(b.manager);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(end_offset(&b), 0);
	bed_fini(&b);
}

TEST(what_cannot_be_written_is_refused_beside_what_can)
{
	struct bed b;
	struct bed_append *a;
	size_t len;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_lead(&b, "t", 1, 0), KERR_NONE);
	a = ARENA_NEW(&b.arena, struct bed_append);
	for (int i = 0; i < 3; i++) {
		a->item[i].topic = SLICE_LIT("t");
		a->item[i].partition = i == 2 ? 99 : i;	/* 99: not there */
		a->item[i].records = bed_batch(&b, 3, 20, 0, &len);
		a->item[i].records_len = (uint32_t)len;
	}
	a->item[0].records[40] ^= 1;
	a->a = (struct replica_append){ .loop = b.loop, .acks = -1, .produce_version = 11, .timeout_ms = 100, .origin = RECORD_FROM_CLIENT,
	    .arena = &b.arena, .items = a->item, .nitems = 3 };
	a->a.done = NULL;
	{
		struct bed_append *model = bed_append(&b, "t", 0, 1, 0);	/* for its callbacks */

		a->a.queued = model->a.queued;
		a->a.written = model->a.written;
		a->a.done = model->a.done;
	}
	replica_append(b.manager, &a->a);
	bed_run(&b);
	CHECK_EQ(a->done, 1);
	CHECK_EQ(a->item[0].error, KERR_CORRUPT_MESSAGE);
	CHECK_EQ(a->item[0].base_offset, -1);
	CHECK_EQ(a->item[1].error, KERR_NONE);
	CHECK_EQ(a->item[1].base_offset, 0);
	CHECK_EQ(a->item[2].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(a->item[2].base_offset, -1);
	bed_fini(&b);
}

TEST(offsets_follow_one_another)
{
	struct bed b;
	int64_t next = 0;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	for (int i = 0; i < 200; i++)
		CHECK_EQ(bed_put(&b, "t", 0), next++);
	CHECK_EQ(end_offset(&b), 200);
	CHECK_EQ(high_watermark(&b), 200);
	bed_fini(&b);
}

UNIT_MAIN("replica/append", T(with_group_commit_nothing_is_acknowledged_or_shown_before_the_sync),
    T(with_group_commit_a_disk_that_hangs_is_a_time_out), T(with_group_commit_a_sync_that_fails_is_a_storage_error_and_shows_nothing),
    T(with_group_commit_the_end_of_the_broker_ends_the_wait),
    T(with_group_commit_every_acknowledged_record_is_there_when_power_is_lost_at_any_call), T(an_only_replica_acknowledges_at_once), T(acks_that_do_not_exist_write_nothing),
    T(records_that_are_no_batch_are_blamed_before_acks_and_leaders), T(where_a_partition_is_not),
    T(too_few_in_sync_refuse_acks_all_and_hold_the_high_watermark), T(fewer_replicas_than_min_insync_replicas_must_only_all_be_there),
    T(acks_all_waits_for_the_others_until_the_time_is_up), T(acks_all_with_no_time_to_wait), T(a_smaller_isr_lets_waiting_producers_go_on),
    T(an_isr_that_became_too_small_is_told_after_the_append), T(another_leader_ends_the_wait), T(a_deleted_partition_ends_the_wait),
    T(a_failed_disk_ends_the_wait), T(the_end_of_the_broker_ends_the_wait), T(a_foreign_controller_stops_appends),
    T(what_cannot_be_written_is_refused_beside_what_can), T(offsets_follow_one_another))
