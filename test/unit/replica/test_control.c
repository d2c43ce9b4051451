/* SPDX-License-Identifier: Apache-2.0
 *
 * What the controller says, and what becomes of partitions and their logs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/log_int.h"
#include "replica/partition.h"
#include "test/unit/fs_fault.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"
#include "wire/walker.h"

static bool
exists(struct bed *b, const char *name)
{
	char path[600];
	struct fs_stat st;

	snprintf(path, sizeof(path), "%s/%s", b->path, name);
	return (b->fs->ops->stat(b->fs, path, &st, NULL) == OK);
}

/* The state as requests see it; leader -9: no such partition. */
static struct partition_state
state_of(struct bed *b, const char *topic, int32_t partition)
{
	struct partition *p = replica_partition(b->manager, slice_str(topic), partition);
	struct partition_state st = { .leader_id = -9 };

	if (p == NULL)
		return (st);
	st = *partition_state(p);
	partition_unref(&p);
	return (st);
}

TEST(a_leader_has_a_log_with_the_topic_s_id)
{
	struct bed b;
	struct replica_counts counts;
	struct partition *p;
	struct partition_state st;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	REQUIRE(p != NULL);
	st = *partition_state(p);
	CHECK(st.leader);
	CHECK_EQ(st.leader_id, 1);
	CHECK_EQ(st.nisr, 1);
	CHECK_EQ(st.isr[0], 1);
	CHECK_EQ(st.epoch_start, 0);
	CHECK_STR(partition_topic(p), "t");
	CHECK_EQ(partition_number(p), 0);
	CHECK(uuid_eq(partition_topic_id(p), BED_ID));
	CHECK(uuid_eq(log_topic_id(partition_log(p)), BED_ID));
	CHECK_EQ(log_latest_epoch(partition_log(p)), 0);	/* before the first record: what was written in it can be told later */
	CHECK(exists(&b, "t-0/partition.metadata"));
	replica_count(b.manager, &counts);
	CHECK_EQ(counts.partitions, 1);
	CHECK_EQ(counts.leaders, 1);
	CHECK_EQ(counts.under_min_isr, 0);
	partition_unref(&p);
	CHECK(replica_partition(b.manager, SLICE_LIT("t"), 1) == NULL);
	CHECK(replica_partition(b.manager, SLICE_LIT("tt"), 0) == NULL);
	bed_fini(&b);
}

TEST(what_was_said_already_is_stale_and_changes_nothing)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 5), KERR_NONE);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 5, .partition_epoch = 9, .isr = { 1, 2 }, .nisr = 2 }),
	    KERR_STALE_CONTROLLER_EPOCH);
	CHECK_EQ(bed_lead(&b, "t", 0, 4), KERR_STALE_CONTROLLER_EPOCH);
	CHECK(state_of(&b, "t", 0).leader);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 5);
	CHECK_EQ(bed_lead(&b, "t", 0, 6), KERR_NONE);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 6);
	CHECK_EQ(state_of(&b, "t", 0).leader_since, 5);
	/* A greater leader epoch with an older partition epoch is passed over without an error. */
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 7, .partition_epoch = 1 }), KERR_NONE);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 6);
	bed_fini(&b);
}

TEST(old_controllers_and_requests_for_our_former_self_are_refused)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .broker_epoch = BED_EPOCH - 1 }), KERR_STALE_BROKER_EPOCH);
	CHECK_EQ(state_of(&b, "t", 0).leader_id, -9);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .controller_epoch = 7 }), KERR_NONE);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .controller_epoch = 6, .leader_epoch = 1, .partition_epoch = 1 }), KERR_STALE_CONTROLLER_EPOCH);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 0);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .controller_epoch = 6, .leader_epoch = 1, .delete = true }), KERR_STALE_CONTROLLER_EPOCH);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .controller_epoch = 7, .broker_epoch = 1, .leader_epoch = 1, .delete = true }),
	    KERR_STALE_BROKER_EPOCH);
	CHECK(state_of(&b, "t", 0).leader);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 6 }, false), KERR_STALE_CONTROLLER_EPOCH);
	CHECK(image_topic(cluster_read(b.cluster), SLICE_LIT("t")) == NULL);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 7, .broker_epoch = 1 }, false), KERR_STALE_BROKER_EPOCH);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 7 }, false), KERR_NONE);
	CHECK(image_topic(cluster_read(b.cluster), SLICE_LIT("t")) != NULL);
	bed_fini(&b);
}

/* So that the offsets committed for it go, too. */
TEST(a_deleted_topic_is_told_of_once_and_only_by_the_controller_that_rules)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 7 }, false), KERR_NONE);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 7, .partition = 1, .leader = 2, .isr = { 2 }, .nisr = 1 }, true), KERR_NONE);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 6, .leader = -2 }, false), KERR_STALE_CONTROLLER_EPOCH);
	CHECK(strcmp(b.deleted, "") == 0);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .controller_epoch = 7, .leader = -2 }, false), KERR_NONE);
	CHECK(strcmp(b.deleted, "t ") == 0);
	bed_fini(&b);
}

TEST(a_topic_s_id_is_learnt_once_and_then_kept)
{
	struct bed b;
	struct partition *p;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .no_id = true }), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .no_id = true }), KERR_STALE_CONTROLLER_EPOCH);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 0 }), KERR_NONE);	/* the same epoch, and an id */
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	REQUIRE(p != NULL);
	CHECK(uuid_eq(partition_topic_id(p), BED_ID));
	CHECK(uuid_eq(log_topic_id(partition_log(p)), BED_ID));
	CHECK_EQ(partition_state(p)->epoch_start, 0);	/* no new epoch */
	partition_unref(&p);
	CHECK_EQ(bed_put(&b, "t", 0), 1);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .id = { { 9 } } }), KERR_INCONSISTENT_TOPIC_ID);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 0);
	bed_fini(&b);
}

TEST(an_id_on_the_disk_counts_after_a_restart)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	bed_restart(&b);
	CHECK_EQ(state_of(&b, "t", 0).leader_id, -9);	/* nothing is served before the controller has spoken */
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 1, .id = { { 9 } } }), KERR_INCONSISTENT_TOPIC_ID);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);	/* the same epoch as before: a fresh broker has none */
	bed_fini(&b);
}

TEST(records_and_the_high_watermark_survive_a_restart)
{
	struct bed b;
	struct partition *p;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(bed_put(&b, "t", 0), i);
	bed_restart(&b);
	/* With a second member in the ISR nothing is raised: what we see is what was stored. */
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader_epoch = 3, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	REQUIRE(p != NULL);
	CHECK_EQ(log_end_offset(partition_log(p)), 5);
	CHECK_EQ(log_high_watermark(partition_log(p)), 5);
	CHECK_EQ(partition_state(p)->epoch_start, 5);
	partition_unref(&p);
	bed_fini(&b);
}

TEST(a_partition_that_is_not_assigned_to_us_is_unknown)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .isr = { 2 }, .nisr = 1 }), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK(!exists(&b, "t-0"));
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .partition = -1 }), KERR_INVALID_REQUEST);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .topic = "a/b" }), KERR_INVALID_TOPIC_EXCEPTION);
	bed_fini(&b);
}

TEST(a_follower_of_a_living_leader_has_a_log_and_takes_nothing)
{
	struct bed b;
	struct bed_append *a;

	bed_init(&b);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .leader = 2, .isr = { 1, 2 }, .nisr = 2 }, true), KERR_NONE);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK(exists(&b, "t-0/00000000000000000000.log"));
	CHECK(!state_of(&b, "t", 0).leader);
	CHECK_EQ(state_of(&b, "t", 0).leader_id, 2);
	CHECK_EQ(state_of(&b, "t", 0).nisr, 0);
	a = bed_append(&b, "t", 0, 1, 0);
	CHECK_EQ(a->item[0].error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(a->item[0].leader_id, 2);
	bed_fini(&b);
}

TEST(a_follower_of_a_dead_leader_waits_for_a_better_one)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 4, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK(exists(&b, "t-0/00000000000000000000.log"));	/* made all the same */
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, -1);	/* and the same epoch can still come */
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .leader = 2, .isr = { 1, 2 }, .nisr = 2 }, true), KERR_NONE);
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = 2, .leader_epoch = 4, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	CHECK_EQ(state_of(&b, "t", 0).leader_epoch, 4);
	bed_fini(&b);
}

TEST(stopped_and_deleted_means_gone)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 2), KERR_NONE);
	CHECK_EQ(bed_lead(&b, "t", 1, 2), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 1, .delete = true }), KERR_FENCED_LEADER_EPOCH);
	CHECK(exists(&b, "t-0"));
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 2, .delete = true }), KERR_NONE);
	CHECK(!exists(&b, "t-0"));
	CHECK(exists(&b, "t-1"));
	CHECK_EQ(state_of(&b, "t", 0).leader_id, -9);
	CHECK(state_of(&b, "t", 1).leader);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	/* The same name again, another topic: nothing of the old one is left. */
	CHECK_EQ(bed_role(&b, &(struct bed_role){ .id = { { 9 } }, .leader_epoch = 0 }), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	bed_fini(&b);
}

TEST(a_deleted_topic_needs_no_epoch_and_no_partition)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 9), KERR_NONE);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = -2, .delete = true }), KERR_NONE);
	CHECK(!exists(&b, "t-0"));
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = -2, .delete = true }), KERR_NONE);	/* twice is as once */
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = "never", .leader_epoch = 0, .delete = true }), KERR_NONE);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .partition = -1, .leader_epoch = 0, .delete = true }), KERR_NONE);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = "../t", .leader_epoch = 0, .delete = true }), KERR_NONE);
	/* A log that no partition object knows, after a restart. */
	CHECK_EQ(bed_lead(&b, "u", 0, 1), KERR_NONE);
	bed_restart(&b);
	CHECK(exists(&b, "u-0"));
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = "u", .leader_epoch = -2, .delete = true }), KERR_NONE);
	CHECK(!exists(&b, "u-0"));
	bed_fini(&b);
}

TEST(stopped_without_deletion_keeps_the_log)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 2), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 3, .delete = false }), KERR_NONE);
	CHECK(exists(&b, "t-0"));
	CHECK_EQ(bed_lead(&b, "t", 0, 4), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 1);
	bed_fini(&b);
}

TEST(a_disk_that_fails_takes_its_partitions_offline)
{
	struct bed b;
	struct replica_counts counts;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	CHECK_EQ(bed_lead(&b, "u", 0, 1), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	fs_fault_arm(b.fs, FS_FAULT_WRITE, 1, ERR_IO);
	fs_fault_stay(b.fs, true);
	CHECK_EQ(bed_append(&b, "t", 0, 1, 0)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	CHECK(b.all_offline);
	CHECK(state_of(&b, "u", 0).offline);
	CHECK(!state_of(&b, "u", 0).leader);
	CHECK_EQ(bed_append(&b, "u", 0, 1, 0)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(bed_lead(&b, "u", 0, 2), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = "u", .leader_epoch = 2, .delete = true }), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(bed_lead(&b, "new", 0, 0), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(bed_offset(&b, "u", 0, LOG_TIME_LATEST).error, KERR_KAFKA_STORAGE_ERROR);
	replica_count(b.manager, &counts);
	CHECK_EQ(counts.leaders, 0);
	CHECK_EQ(counts.offline, 3);
	/* Its topic is being deleted, or the controller names no epoch: it is still not gone. */
	for (int32_t epoch = -2; epoch <= -1; epoch++)
		for (unsigned n = 0; n <= 1; n++)
			CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = "u", .leader_epoch = epoch, .delete = n != 0 }), KERR_KAFKA_STORAGE_ERROR);
	bed_fini(&b);
}

/* Whatever call fails while a log is made: the controller gets an answer, and it says so when there is no leader. */
TEST(a_log_that_cannot_be_made_is_reported)
{
	unsigned failed = 0, behind = 0;

	for (unsigned n = 1;; n++) {
		struct bed b;
		bool fired;
		enum kerr k;

		bed_init(&b);
		fs_fault_only(b.fs, "t-0");
		fs_fault_arm(b.fs, FS_FAULT_OPEN | FS_FAULT_MKDIR | FS_FAULT_WRITE | FS_FAULT_RENAME | FS_FAULT_SYNC | FS_FAULT_SYNC_DIR, n, ERR_IO);
		k = bed_lead(&b, "t", 0, 0);
		fired = fs_fault_fired(b.fs);
		/* Or it was made, and could not get its files behind the answer, or not durably: then its directory is offline. */
		unit_check(k == KERR_NONE ? state_of(&b, "t", 0).leader || (fired && log_dirs_any_offline(b.dirs)) :
		    k == KERR_KAFKA_STORAGE_ERROR && !state_of(&b, "t", 0).leader, __FILE__, __LINE__, "call %u fails: answer %d", n, k);
		failed += k != KERR_NONE;
		behind += k == KERR_NONE && log_dirs_any_offline(b.dirs);
		fs_fault_arm(b.fs, 0, 0, OK);
		bed_fini(&b);
		if (!fired)
			break;
	}
	CHECK_EQ(failed, 1);	/* its directory */
	CHECK_GE(behind, 10);
}

TEST(many_partitions_in_many_requests)
{
	struct bed b;
	char topic[16];

	bed_init(&b);
	for (int i = 0; i < 60; i++) {
		snprintf(topic, sizeof(topic), "topic-%d", i % 20);
		CHECK_EQ(bed_lead(&b, topic, i / 20, 0), KERR_NONE);
	}
	for (int i = 0; i < 60; i++) {
		snprintf(topic, sizeof(topic), "topic-%d", i % 20);
		CHECK(state_of(&b, topic, i / 20).leader);
	}
	for (int i = 0; i < 60; i += 2) {
		snprintf(topic, sizeof(topic), "topic-%d", i % 20);
		CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .topic = topic, .partition = i / 20, .leader_epoch = 0, .delete = true }), KERR_NONE);
	}
	for (int i = 0; i < 60; i++) {
		snprintf(topic, sizeof(topic), "topic-%d", i % 20);
		CHECK_EQ(state_of(&b, topic, i / 20).leader_id, i % 2 == 0 ? -9 : 1);
	}
	bed_fini(&b);
}

TEST(settings_are_worked_out_once_for_each_topic_of_a_request)
{
	static const char *const topics[] = { "t", BED_OTHER, "u" };
	struct bed b;

	bed_init(&b);
	b.config_gets = 0;
	CHECK_EQ(bed_lead_topics(&b, topics, 3), KERR_NONE);
	CHECK_EQ(b.config_gets, 3);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < BED_MANY; j++) {
			struct partition *p = replica_partition(b.manager, slice_str(topics[i]), j);

			REQUIRE(p != NULL);
			CHECK(partition_state(p)->leader);
			CHECK_EQ(partition_config(p)->min_insync_replicas, i == 1 ? 8 : 1);
			partition_unref(&p);
		}
	bed_fini(&b);
}

/* A set that hangs in its disk owns its log.  Leader, follower, leader, deleted: each role is told by who may wait. */
TEST(the_control_loop_never_waits_for_a_set_that_is_being_written)
{
	const int32_t leaders[] = { 1, 2, 1 };
	struct partition *p;
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .nreplicas = 2, .replicas = { 1, 2 } }, true), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	REQUIRE(p != NULL);
	b.busy = log_ref(partition_log(p));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(bed_role(&b, &(struct bed_role){ .leader = leaders[i], .leader_epoch = i + 1, .partition_epoch = i + 1, .nreplicas = 2, .replicas = { 1, 2 },
		    .nisr = 2, .isr = { 1, 2 } }), KERR_NONE);
		CHECK_EQ(partition_state(p)->leader, leaders[i] == 1);
		CHECK_EQ(partition_state(p)->leader_epoch, i + 1);
	}
	CHECK_EQ(bed_put(&b, "t", 0), 1);
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 4, .delete = true }), KERR_NONE);
	CHECK(!exists(&b, "t-0"));
	partition_unref(&p);
	log_unref(&b.busy);
	bed_fini(&b);
}

static int32_t
led_in_epoch(struct bed *b, int32_t partition)
{
	struct partition *p = replica_partition(b->manager, SLICE_LIT("t"), partition);
	int32_t epoch = partition_state(p)->leader_epoch;

	CHECK(partition_state(p)->leader);
	partition_unref(&p);
	return (epoch);
}

/* The threads of the first directory are stepped only when its disk is said to go on. */
TEST(a_disk_that_hangs_in_new_epochs_holds_up_neither_other_partitions_nor_workers)
{
	struct bed_roles *r;
	struct workers *its = NULL;
	struct log *log;
	struct bed b;

	bed_init_dirs(&b, 2);
	for (int32_t i = 0; i < 2; i++)
		CHECK_EQ(bed_lead(&b, "t", i, 0), KERR_NONE);
	log = log_dirs_find(b.dirs, "t", 0);
	REQUIRE(log != NULL);
	CHECK_STR(log_dir(log), b.paths[0]);
	CHECK_EQ(workers_new(0, "by hand", &its, NULL), OK);
	log->dir->syncer = its;		/* freed with the directory */
	log_unref(&log);
	r = bed_roles_begin(&b, 2, 1, 1);	/* one in each directory */
	bed_run(&b);
	CHECK_EQ(led_in_epoch(&b, 0), 0);
	CHECK_EQ(led_in_epoch(&b, 1), 1);
	CHECK(!r->done);		/* the answer waits for both */
	CHECK_EQ(bed_put(&b, "t", 1), 0);
	while (workers_step(its))
		;
	bed_run(&b);
	CHECK_EQ(led_in_epoch(&b, 0), 1);
	CHECK(r->done);
	CHECK_EQ(bed_roles_error(r, 0), KERR_NONE);
	CHECK_EQ(bed_roles_error(r, 1), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	bed_fini(&b);
}

static struct log *
log_of(struct bed *b)
{
	struct partition *p = replica_partition(b->manager, SLICE_LIT("t"), 0);
	struct log *log = p == NULL ? NULL : partition_log(p);

	if (log == NULL)
		abort();
	log = log_ref(log);
	partition_unref(&p);
	return (log);
}

static struct {
	struct fs_ops ops;
	const struct fs_ops *under;
	struct log *log;
	int32_t role_epoch;
} row;

static enum err
rename_and_look(struct fs *fs, const char *from, const char *to, struct errbuf *eb)
{
	if (strstr(to, "t-0/leader-epoch-checkpoint") != NULL)
		row.role_epoch = row.log->role.leader_epoch;
	return (row.under->rename(fs, from, to, eb));
}

/* Written behind the row of the new epoch it would take that row away, and that of its own epoch with what stood before. */
TEST(when_the_row_of_an_epoch_is_written_the_log_takes_no_set_of_the_one_before)
{
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	row.ops = *b.fs->ops;
	row.ops.rename = rename_and_look;
	row.under = b.fs->ops;
	row.log = log_of(&b);
	row.role_epoch = -1;
	b.fs->ops = &row.ops;
	CHECK_EQ(bed_lead(&b, "t", 0, 4), KERR_NONE);
	b.fs->ops = row.under;
	CHECK_EQ(row.role_epoch, 4);
	CHECK_EQ(log_latest_epoch(row.log), 4);
	log_unref(&row.log);
	bed_fini(&b);
}

/* When the log has been told its role, and requests have not. */
TEST(settings_that_change_beside_a_new_role_take_effect_and_take_nothing_back)
{
	struct bed_append *a;
	struct partition *p;
	struct bed_roles *r;
	struct log *log;
	struct bed b;

	bed_init(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	log = log_of(&b);
	r = bed_roles_begin(&b, 1, 1, 1);
	while (workers_step(b.workers))
		;
	CHECK(!r->done);
	CHECK_EQ(log->role.leader_epoch, 1);
	b.config.min_insync_replicas = 2;
	b.config.log.retention_ms = 77;
	replica_topic_config_changed(b.manager, "t");
	CHECK_EQ(log->role.leader_epoch, 1);
	bed_run(&b);
	CHECK(r->done);
	p = replica_partition(b.manager, SLICE_LIT("t"), 0);
	REQUIRE(p != NULL);
	CHECK_EQ(partition_config(p)->min_insync_replicas, 2);
	CHECK_EQ(log->options.retention_ms, 77);
	a = bed_append(&b, "t", 0, -1, 1000);
	CHECK_EQ(a->item[0].error, KERR_NOT_ENOUGH_REPLICAS);
	CHECK_EQ(log_end_offset(log), 1);
	partition_unref(&p);
	log_unref(&log);
	bed_fini(&b);
}

UNIT_MAIN("replica/control", T(a_disk_that_hangs_in_new_epochs_holds_up_neither_other_partitions_nor_workers), T(the_control_loop_never_waits_for_a_set_that_is_being_written),
     T(a_leader_has_a_log_with_the_topic_s_id), T(what_was_said_already_is_stale_and_changes_nothing),
    T(old_controllers_and_requests_for_our_former_self_are_refused), T(a_deleted_topic_is_told_of_once_and_only_by_the_controller_that_rules),
    T(a_topic_s_id_is_learnt_once_and_then_kept),
    T(an_id_on_the_disk_counts_after_a_restart), T(records_and_the_high_watermark_survive_a_restart),
    T(a_partition_that_is_not_assigned_to_us_is_unknown), T(a_follower_of_a_living_leader_has_a_log_and_takes_nothing),
    T(a_follower_of_a_dead_leader_waits_for_a_better_one), T(stopped_and_deleted_means_gone),
    T(a_deleted_topic_needs_no_epoch_and_no_partition), T(stopped_without_deletion_keeps_the_log),
    T(a_disk_that_fails_takes_its_partitions_offline), T(a_log_that_cannot_be_made_is_reported), T(many_partitions_in_many_requests), T(settings_are_worked_out_once_for_each_topic_of_a_request),
    T(when_the_row_of_an_epoch_is_written_the_log_takes_no_set_of_the_one_before),
    T(settings_that_change_beside_a_new_role_take_effect_and_take_nothing_back))
