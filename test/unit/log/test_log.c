/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_log.c - one log: append, read, roll, retention, truncation, closing and opening.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/reclaim.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define OPEN(f) do { struct errbuf eb_ = ERRBUF_INIT; enum err e_ = fixture_open((f), &eb_); \
	if (e_ != OK) { CHECK_STR(eb_.text, ""); CHECK_EQ(e_, OK); fixture_fini(f); return; } } while (0)

TEST(appended_records_get_consecutive_offsets)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int64_t i = 0; i < 10; i++)
		CHECK_EQ(fixture_put(&f, log), i);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 7, .codec = CODEC_GZIP }).base_offset, 10);
	CHECK_EQ(log_end_offset(log), 17);
	CHECK_EQ(fixture_read_all(log, 0), 17);
	CHECK_GE(f.moved, 11);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(segments_roll_when_full_and_every_offset_is_found)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 300; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .records = 3, .value_len = 100 });
	CHECK_GE(log_segment_count(log), 4);
	log_check(log);
	for (int64_t o = 0; o < log_end_offset(log); o += 7) {
		struct log_read_options ro = { .offset = o, .bytes_max = 1, .min_one = true, .bound = LOG_BOUND_END };
		struct log_read_result r;
		struct arena a;

		arena_init(&a, 65536);
		CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
		CHECK_EQ(r.first_offset, o - o % 3);
		log_read_result_fini(&r);
		arena_fini(&a);
	}
	CHECK_EQ(fixture_read_all(log, 0), 900);
	/* The recovery point followed the rolls. */
	CHECK_GE(log_recovery_point(log), 1);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_clean_restart_keeps_everything_and_recovers_nothing)
{
	struct fixture f;
	struct log *log;
	int64_t end;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 200; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
	log_set_high_watermark(log, 150);
	end = log_end_offset(log);
	log_unref(&log);
	fixture_close(&f);
	CHECK(fs_exists(f.fs, fixture_file(&f, ".kafka_cleanshutdown")));
	CHECK_EQ(fixture_size(&f, fixture_file(&f, "t-0/%020d.snapshot", (int)end)), 10);
	OPEN(&f);
	CHECK(log_dirs_was_clean(f.dirs));
	CHECK(!fs_exists(f.fs, fixture_file(&f, ".kafka_cleanshutdown")));
	CHECK_EQ(log_dirs_stored_high_watermark(f.dirs, "t", 0), 150);
	log = fixture_log(&f);
	CHECK_EQ(log_end_offset(log), end);
	CHECK_EQ(log_recovery_point(log), end);
	CHECK_EQ(log_latest_epoch(log), 5);
	CHECK_EQ(fixture_read_all(log, 0), 200);
	CHECK_EQ(fixture_put(&f, log), end);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_crash_keeps_every_whole_batch)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 200; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
	log_unref(&log);
	fixture_crash(&f);
	OPEN(&f);
	CHECK(!log_dirs_was_clean(f.dirs));
	log = fixture_log(&f);
	CHECK_EQ(log_end_offset(log), 200);
	CHECK_EQ(fixture_read_all(log, 0), 200);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

static void
damage(struct fixture *f, const char *path, int64_t pos_from_end, const void *bytes, size_t len)
{
	struct file *file = NULL;
	int64_t size = fixture_size(f, path);

	REQUIRE(file_open(f->fs, path, FS_RDWR, &file, NULL) == OK);
	CHECK_EQ(file_pwrite(file, bytes, len, (uint64_t)(size + pos_from_end), NULL), OK);
	file_unref(&file);
}

TEST(a_torn_or_garbled_tail_is_cut_to_the_last_whole_batch)
{
	for (int kind = 0; kind < 4; kind++) {
		char garbage[300];
		struct fixture f;
		struct log *log;
		char *data;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 20; i++)
			(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
		log_unref(&log);
		fixture_crash(&f);
		data = fixture_file(&f, "t-0/%020d.log", 0);
		memset(garbage, kind == 0 ? 0 : 0x5a, sizeof(garbage));
		if (kind == 0 || kind == 1)
			damage(&f, data, 0, garbage, sizeof(garbage));	/* zeros or noise behind the end */
		else if (kind == 2)
			damage(&f, data, -3, "xyz", 3);			/* the last batch is garbled */
		else {
			struct file *file = NULL;

			CHECK_EQ(file_open(f.fs, data, FS_RDWR, &file, NULL), OK);
			CHECK_EQ(f.fs->ops->truncate(file, (uint64_t)fixture_size(&f, data) - 5, NULL), OK);	/* or torn */
			file_unref(&file);
		}
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(log_end_offset(log), kind < 2 ? 20 : 19);
		CHECK_EQ(fixture_read_all(log, 0), kind < 2 ? 20 : 19);
		CHECK_EQ(fixture_put(&f, log), kind < 2 ? 20 : 19);
		log_check(log);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(damage_in_the_middle_drops_the_later_segments)
{
	struct fixture f;
	struct log *log;
	uint32_t segments;

	fixture_init(&f, 1);
	f.workers = NULL;
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 300; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
	segments = log_segment_count(log);
	CHECK_GE(segments, 3);
	log_unref(&log);
	fixture_crash(&f);
	/* Nothing was flushed, says the checkpoint. */
	CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "recovery-point-offset-checkpoint"), NULL) != ERR_IO, true);
	damage(&f, fixture_file(&f, "t-0/%020d.log", 0), -100, "damage", 6);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_segment_count(log), 1);
	CHECK_EQ(fixture_read_all(log, 0), log_end_offset(log));
	CHECK_GE(log_end_offset(log), 10);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

/* A segment that had been flushed is read only because its index is gone.  Its damage is its own: the good ones behind it stay, as with Java. */
TEST(damage_in_what_was_flushed_drops_no_later_segment)
{
	for (int crash = 0; crash < 2; crash++) {
		struct errbuf eb = ERRBUF_INIT;
		struct fixture f;
		struct log *log;
		uint32_t segments;
		int64_t end;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 300; i++)
			(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
		segments = log_segment_count(log);
		end = log_end_offset(log);
		CHECK_GE(segments, 3);
		log_unref(&log);
		fixture_close(&f);
		if (crash == 1)		/* the recovery points stand, the marker does not */
			CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, ".kafka_cleanshutdown"), &eb), OK);
		CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "t-0/%020d.index", 0), &eb), OK);
		damage(&f, fixture_file(&f, "t-0/%020d.log", 0), -100, "damage", 6);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(log_segment_count(log), segments);
		CHECK_EQ(log_end_offset(log), end);
		CHECK_GE(fixture_read_all(log, 0), 300 - 2);
		CHECK_EQ(fixture_put(&f, log), end);
		CHECK(strstr(f.lines, "although it had been flushed") != NULL);
		log_check(log);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(lost_or_oversized_indexes_are_rebuilt_after_a_crash)
{
	for (int kind = 0; kind < 3; kind++) {
		struct fixture f;
		struct log *log;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 60; i++)
			(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 100 });
		log_unref(&log);
		fixture_crash(&f);
		if (kind == 0)
			CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "t-0/%020d.index", 0), NULL), OK);
		else if (kind == 1)
			CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "t-0/%020d.timeindex", 0), NULL), OK);
		else
			damage(&f, fixture_file(&f, "t-0/%020d.index", 0), 0, "0123456789abcdef0123456789abcdef", 32);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(fixture_read_all(log, 0), 60);
		CHECK_EQ(fixture_read_all(log, 33), 27);
		log_check(log);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(reads_stop_at_the_high_watermark)
{
	struct log_read_options ro = { .offset = 5, .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_HIGH_WATERMARK };
	struct log_read_result r;
	struct fixture f;
	struct arena a;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 50; i++)
		(void)fixture_put(&f, log);
	arena_init(&a, 65536);
	CHECK_EQ(log_raise_high_watermark(log, 20), 20);
	CHECK_EQ(log_raise_high_watermark(log, 10), 20);
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	CHECK_EQ(r.high_watermark, 20);
	CHECK_EQ(r.first_offset, 5);
	CHECK_EQ(r.range.len % 15, 0);
	CHECK_EQ(r.range.len / r.first_batch_len, 15);
	log_read_result_fini(&r);
	ro.offset = 20;
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	CHECK(r.range.file == NULL);
	ro.offset = 51;
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_OFFSET_OUT_OF_RANGE);
	ro.offset = -1;
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_OFFSET_OUT_OF_RANGE);
	CHECK_GE(log_bytes_available(log, 5, LOG_BOUND_HIGH_WATERMARK), 15 * 60);
	CHECK_EQ(log_bytes_available(log, 20, LOG_BOUND_HIGH_WATERMARK), 0);
	arena_fini(&a);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(only_the_leader_of_the_epoch_appends)
{
	struct fixture f;
	struct log *log = NULL;
	size_t len;
	uint8_t *bytes;
	struct append_set s;

	fixture_init(&f, 1);
	OPEN(&f);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, UUID_ZERO, &f.options, &log, NULL), OK);
	bytes = fixture_batch(&f, &(struct batch_spec){ 0 }, &len);
	s = (struct append_set){ .records = bytes, .len = (uint32_t)len, .origin = APPEND_COORDINATOR, .leader_epoch = 5 };
	CHECK_EQ(log_append(log, &s), LOG_DONE);		/* no role yet */
	CHECK_EQ(s.result.error, KERR_NOT_LEADER_OR_FOLLOWER);
	fixture_lead(log, 6);
	CHECK_EQ(log_append(log, &s), LOG_DONE);		/* an old epoch */
	CHECK_EQ(s.result.error, KERR_NOT_LEADER_OR_FOLLOWER);
	s.leader_epoch = 6;
	CHECK_EQ(log_append(log, &s), LOG_DONE);
	CHECK_EQ(s.result.error, KERR_NONE);
	CHECK_EQ(s.result.base_offset, 0);
	fixture_follow(log, 6);
	CHECK_EQ(log_append(log, &s), LOG_DONE);
	CHECK_EQ(s.result.error, KERR_NOT_LEADER_OR_FOLLOWER);
	log_set_role(log, &(struct log_role){ .leader = true, .min_isr_met = false, .leader_epoch = 6 });
	s.acks_all = true;
	CHECK_EQ(log_append(log, &s), LOG_DONE);
	CHECK_EQ(s.result.error, KERR_NOT_ENOUGH_REPLICAS);
	CHECK_EQ(log_end_offset(log), 1);
	free(bytes);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_follower_stores_what_the_leader_wrote_gaps_and_epochs_included)
{
	const struct batch_spec specs[] = {
		{ .records = 3, .base_offset = 0, .leader_epoch = 2 },
		{ .records = 2, .base_offset = 10, .leader_epoch = 2 },	/* compaction left a gap */
		{ .records = 1, .base_offset = 12, .leader_epoch = 4 },
	};
	int32_t epoch;
	int64_t end;
	struct fixture f;
	struct log *log = NULL;
	struct append_result r;

	fixture_init(&f, 1);
	OPEN(&f);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, UUID_ZERO, &f.options, &log, NULL), OK);
	fixture_follow(log, 7);
	r = fixture_replicate(&f, log, specs, 3);
	CHECK_EQ(r.error, KERR_NONE);
	CHECK_EQ(r.last_offset, 12);
	CHECK_EQ(log_end_offset(log), 13);
	log_end_of_epoch(log, 2, &epoch, &end);
	CHECK_EQ(epoch, 2);
	CHECK_EQ(end, 12);
	log_end_of_epoch(log, 3, &epoch, &end);
	CHECK_EQ(epoch, 2);
	CHECK_EQ(end, 12);
	log_end_of_epoch(log, 4, &epoch, &end);
	CHECK_EQ(end, 13);
	log_end_of_epoch(log, 9, &epoch, &end);
	CHECK_EQ(end, -1);
	r = fixture_replicate(&f, log, &specs[1], 1);		/* again */
	CHECK_EQ(r.error, KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(fixture_read_all(log, 0), 6);
	CHECK_EQ(fixture_read_all(log, 5), 3);			/* in the gap: what comes next */
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(truncation_drops_the_end_and_appends_go_on_there)
{
	const int64_t cuts[] = { 299, 250, 100, 1, 0 };

	for (size_t c = 0; c < NELEM(cuts); c++) {
		struct fixture f;
		struct log *log;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 300; i++)
			(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
		log_set_high_watermark(log, 290);
		CHECK_EQ(log_truncate_to(log, cuts[c], NULL), OK);
		CHECK_EQ(f.cut_at, cuts[c]);
		CHECK_EQ(log_end_offset(log), cuts[c]);
		CHECK_EQ(log_high_watermark(log), cuts[c] < 290 ? cuts[c] : 290);
		CHECK_EQ(fixture_read_all(log, 0), cuts[c]);
		log_check(log);
		fixture_lead(log, 8);
		for (int i = 0; i < 150; i++)
			CHECK_EQ(fixture_put(&f, log), cuts[c] + i);
		log_check(log);
		CHECK_EQ(fixture_read_all(log, 0), cuts[c] + 150);
		log_unref(&log);
		fixture_crash(&f);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(fixture_read_all(log, 0), cuts[c] + 150);
		CHECK_EQ(log_end_offset(log), cuts[c] + 150);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(a_range_that_is_being_sent_survives_a_truncation_and_new_writes)
{
	struct log_read_options ro = { .offset = 0, .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_END };
	struct log_read_result r;
	uint8_t before[4096], after[4096];
	struct fixture f;
	struct arena a;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 20; i++)
		(void)fixture_put(&f, log);
	arena_init(&a, 65536);
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	REQUIRE(r.range.len <= sizeof(before));
	CHECK_EQ(file_pread_full(r.range.file, before, r.range.len, r.range.pos, NULL), OK);
	CHECK_EQ(log_truncate_to(log, 7, NULL), OK);
	for (int i = 0; i < 30; i++)
		(void)fixture_put(&f, log);
	CHECK_EQ(file_pread_full(r.range.file, after, r.range.len, r.range.pos, NULL), OK);
	CHECK_MEM(before, after, r.range.len);
	log_read_result_fini(&r);
	CHECK_EQ(fixture_read_all(log, 0), 37);
	log_check(log);
	arena_fini(&a);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_log_emptied_to_begin_elsewhere_begins_there)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 100; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 300 });
	CHECK_EQ(log_truncate_fully_and_start_at(log, 5000, NULL), OK);
	CHECK_EQ(log_start_offset(log), 5000);
	CHECK_EQ(log_end_offset(log), 5000);
	CHECK_EQ(log_latest_epoch(log), -1);
	fixture_lead(log, 9);
	CHECK_EQ(fixture_put(&f, log), 5000);
	log_check(log);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 5000);
	CHECK_EQ(log_end_offset(log), 5001);
	log_unref(&log);
	fixture_fini(&f);
}

/* Where offsets end a set is refused, and the log goes on being one. */
TEST(offsets_do_not_wrap_where_all_numbers_end)
{
	const int64_t end = INT64_MAX - INT32_MAX - 1;
	const struct batch_spec beyond[] = { { .base_offset = INT64_MAX, .leader_epoch = 6 }, { .base_offset = INT64_MAX - 1, .leader_epoch = 6 } };
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_truncate_fully_and_start_at(log, end - 2, NULL), OK);
	fixture_follow(log, 7);
	for (size_t i = 0; i < NELEM(beyond); i++)
		CHECK_EQ(fixture_replicate(&f, log, &beyond[i], 1).error, KERR_CORRUPT_MESSAGE);
	fixture_lead(log, 9);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 3 }).error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(fixture_put(&f, log), end - 2);
	CHECK_EQ(fixture_put(&f, log), end - 1);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 1 }).error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(log_end_offset(log), end);
	CHECK_EQ(log_roll(log, NULL), OK);
	log_check(log);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_end_offset(log), end);
	CHECK_EQ(fixture_read_all(log, end - 2), 2);
	log_unref(&log);
	fixture_fini(&f);
}

/* The base offset lies outside of the checksum. */
TEST(an_offset_that_no_log_may_have_is_damage_after_a_clean_end_too)
{
	static const uint8_t wrong[][8] = { { 0x7f, 255, 255, 255, 255, 255, 255, 255 }, { 0x80 }, { 255, 255, 255, 255, 255, 255, 255, 255 }, { 0x10 } };
	struct fixture f;
	struct log *log;
	FILE *file;

	for (size_t i = 0; i < NELEM(wrong); i++) {
		int64_t size, first;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(fixture_put(&f, log), 0);
		first = (int64_t)log_size(log);
		CHECK_EQ(fixture_put(&f, log), 1);
		log_unref(&log);
		fixture_close(&f);
		file = fopen(fixture_file(&f, "t-0/%020d.log", 0), "r+");
		REQUIRE(file != NULL && fseek(file, (long)first, SEEK_SET) == 0 && fwrite(wrong[i], 1, 8, file) == 8 && fclose(file) == 0);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(log_end_offset(log), 1);
		size = fixture_size(&f, fixture_file(&f, "t-0/%020d.log", 0));
		CHECK_EQ(size, first);
		CHECK_EQ(fixture_put(&f, log), 1);
		log_check(log);
		log_unref(&log);
		fixture_fini(&f);
	}
}

/* The setting takes any number. */
TEST(an_absurd_size_of_retention_keeps_everything)
{
	static const int64_t bytes[] = { INT64_MIN, -1, INT64_MAX };
	struct fixture f;
	struct log *log;
	uint32_t deleted;

	for (size_t i = 0; i < NELEM(bytes); i++) {
		fixture_init(&f, 1);
		f.options.retention_bytes = bytes[i];
		f.options.retention_ms = INT64_MAX;
		OPEN(&f);
		log = fixture_log(&f);
		for (int n = 0; n < 300; n++)
			(void)fixture_append(&f, log, &(struct batch_spec){ .value_len = 150 });
		log_set_high_watermark(log, 300);
		CHECK_EQ(log_retain(log, &deleted, NULL), OK);
		CHECK_EQ(deleted, 0);
		log_unref(&log);
		fixture_fini(&f);
	}
}

static struct log *
log_of(struct fixture *f, int n, unsigned value_len)
{
	struct log *log = fixture_log(f);

	for (int i = 0; i < n; i++)
		(void)fixture_append(f, log, &(struct batch_spec){ .value_len = value_len });
	return (log);
}

TEST(retention_by_size_deletes_whole_old_segments)
{
	struct fixture f;
	struct log *log;
	uint32_t deleted;
	int64_t start;

	fixture_init(&f, 1);
	f.options.retention_bytes = 40000;
	f.options.retention_ms = -1;
	OPEN(&f);
	log = log_of(&f, 500, 150);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	CHECK_EQ(deleted, 0);					/* the high watermark has not passed them */
	log_set_high_watermark(log, 500);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	CHECK_GE(deleted, 1);
	start = log_start_offset(log);
	CHECK_GE(start, 1);
	CHECK_GE(log_size(log), 40000);
	CHECK_GE(40000 + 16384, log_size(log));
	CHECK_EQ(fixture_read_all(log, start), 500 - start);
	CHECK(fs_exists(f.fs, fixture_file(&f, "t-0/%020d.log.deleted", 0)));
	CHECK(!fs_exists(f.fs, fixture_file(&f, "t-0/%020d.log", 0)));
	CHECK_EQ(log_delete_due_files(log, NULL), OK);
	CHECK(fs_exists(f.fs, fixture_file(&f, "t-0/%020d.log.deleted", 0)));
	clock_manual_advance_ns(&f.clock, INT64_C(60001000000));
	CHECK_EQ(log_delete_due_files(log, NULL), OK);
	CHECK(!fs_exists(f.fs, fixture_file(&f, "t-0/%020d.log.deleted", 0)));
	CHECK(!fs_exists(f.fs, fixture_file(&f, "t-0/%020d.timeindex.deleted", 0)));
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(retention_by_time_empties_an_old_log)
{
	struct fixture f;
	struct log *log;
	uint32_t deleted;

	fixture_init(&f, 1);
	f.options.retention_ms = 3600000;
	OPEN(&f);
	log = log_of(&f, 300, 150);
	log_set_high_watermark(log, 300);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	CHECK_EQ(deleted, 0);
	clock_manual_advance_ns(&f.clock, INT64_C(3600001) * 1000000);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	CHECK_EQ(log_start_offset(log), 300);
	CHECK_EQ(log_segment_count(log), 1);
	CHECK_EQ(log_size(log), 0);
	CHECK_EQ(fixture_put(&f, log), 300);
	log_check(log);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 300);
	CHECK_EQ(log_end_offset(log), 301);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(deleted_records_stay_deleted_after_a_restart)
{
	struct fixture f;
	struct log *log;
	uint32_t deleted;
	int64_t start;

	fixture_init(&f, 1);
	OPEN(&f);
	log = log_of(&f, 300, 150);
	CHECK_EQ(log_delete_records(log, 10, &start), KERR_OFFSET_OUT_OF_RANGE);
	log_set_high_watermark(log, 200);
	CHECK_EQ(log_delete_records(log, 150, &start), KERR_NONE);
	CHECK_EQ(start, 150);
	CHECK_EQ(log_delete_records(log, 120, &start), KERR_NONE);
	CHECK_EQ(start, 150);
	CHECK_EQ(log_delete_records(log, 201, &start), KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	CHECK_GE(deleted, 1);
	CHECK_EQ(log_start_offset(log), 150);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 150);
	CHECK_EQ(fixture_read_all(log, 150), 150);
	CHECK_EQ(log_delete_records(log, -1, &start), KERR_NONE);
	CHECK_EQ(start, 150);					/* -1 is the high watermark, which begins at the start */
	log_unref(&log);
	fixture_fini(&f);
}

TEST(offsets_are_found_by_time)
{
	struct log_time_offset t;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 400; i++)
		(void)fixture_append(&f, log, &(struct batch_spec){ .records = 2, .value_len = 60, .timestamp_ms = 1000 + 10 * i, .codec = i % 2 ? CODEC_ZSTD : CODEC_NONE });
	CHECK_GE(log_segment_count(log), 2);
	for (int64_t ts = 1000; ts < 1000 + 4000; ts += 37) {
		int64_t want = 2 * ((ts - 1000 + 9) / 10);

		CHECK_EQ(log_offset_for_time(log, ts, &t), KERR_NONE);
		CHECK_EQ(t.found, want < 800);
		if (want < 800)
			CHECK_EQ(t.offset, want);
	}
	CHECK_EQ(log_offset_for_time(log, 1, &t), KERR_NONE);
	CHECK_EQ(t.offset, 0);
	CHECK_EQ(t.timestamp_ms, 1000);
	CHECK_EQ(t.leader_epoch, 5);
	CHECK_EQ(log_offset_for_time(log, LOG_TIME_MAX, &t), KERR_NONE);
	CHECK_EQ(t.offset, 798);
	CHECK_EQ(t.timestamp_ms, 4990);
	CHECK_EQ(log_offset_for_time(log, LOG_TIME_EARLIEST, &t), KERR_NONE);
	CHECK_EQ(t.offset, 0);
	CHECK_EQ(log_offset_for_time(log, LOG_TIME_LATEST, &t), KERR_NONE);
	CHECK_EQ(t.offset, 800);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_segment_rolls_when_segment_ms_has_passed_in_record_time)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	f.options.segment_ms = 1000;
	OPEN(&f);
	log = fixture_log(&f);
	(void)fixture_append(&f, log, &(struct batch_spec){ .timestamp_ms = 5000 });
	(void)fixture_append(&f, log, &(struct batch_spec){ .timestamp_ms = 6000 });
	CHECK_EQ(log_segment_count(log), 1);
	(void)fixture_append(&f, log, &(struct batch_spec){ .timestamp_ms = 6001 });
	CHECK_EQ(log_segment_count(log), 2);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_set_larger_than_a_segment_is_refused)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .value_len = 20000 }).error, KERR_RECORD_LIST_TOO_LARGE);
	CHECK_EQ(fixture_put(&f, log), 0);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(preallocated_segments_end_as_long_as_their_data)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	f.options.preallocate = true;
	OPEN(&f);
	log = log_of(&f, 30, 20);
	CHECK_EQ(fixture_size(&f, fixture_file(&f, "t-0/%020d.log", 0)), 16384);
	CHECK_EQ(fixture_read_all(log, 0), 30);
	log_unref(&log);
	fixture_crash(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_end_offset(log), 30);
	log_unref(&log);
	fixture_close(&f);
	CHECK_GE(4000, fixture_size(&f, fixture_file(&f, "t-0/%020d.log", 0)));
	fixture_fini(&f);
}

/* ---- a disk that hangs ---- */

static struct {
	struct fixture *f;
	struct log     *other;		/* appended to in the middle of a write of the first log */
	struct append_set set;
	bool		entered;
	enum log_append_status got;
} hang;

static enum err
hanging_pwritev(struct file *file, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	if (hang.other != NULL && !hang.entered && strstr(file->path, ".log") != NULL) {
		hang.entered = true;
		clock_manual_advance_ns(&hang.f->clock, INT64_C(60000000));
		hang.got = log_append(hang.other, &hang.set);
	}
	return (fixture_fs()->ops->pwritev(file, v, n, pos, eb));
}

static void
note_done(struct append_set *s)
{
	s->records = NULL;
}

TEST(while_a_write_hangs_other_loops_leave_their_sets_to_workers)
{
	struct fs_ops ops = *fixture_fs()->ops;
	struct fs fs = { &ops };
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	uint8_t bytes[BATCH_END_TXN_BYTES];

	ops.pwritev = hanging_pwritev;
	fixture_init(&f, 1);
	f.fs = &fs;
	CHECK_EQ(workers_new(0, "t", &f.workers, NULL), OK);
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	hang.f = &f;
	REQUIRE(log_dirs_create(f.dirs, "u", 0, UUID_ZERO, &f.options, &hang.other, &eb) == OK);
	fixture_lead(hang.other, 5);
	fixture_establish(hang.other);
	batch_end_txn_encode(bytes, &(struct end_txn_marker){ .timestamp_ms = FIXTURE_NOW, .producer_id = 1, .leader_epoch = -1, .coordinator_epoch = 1,
	    .type = CONTROL_COMMIT });
	hang.set = (struct append_set){ .records = bytes, .len = sizeof(bytes), .origin = APPEND_COORDINATOR, .leader_epoch = 5, .done = note_done };
	CHECK_EQ(fixture_put(&f, log), 0);
	CHECK(hang.entered);
	CHECK_EQ(hang.got, LOG_PENDING);
	CHECK_EQ(log_end_offset(hang.other), 0);
	while (workers_step(f.workers))
		;
	CHECK_EQ(log_end_offset(hang.other), 1);
	CHECK_EQ(hang.set.result.error, KERR_NONE);
	CHECK(hang.set.records == NULL);	/* answered */
	CHECK_EQ(fixture_put(&f, hang.other), 1);	/* and the disk is as it was: on the loop again */
	log_unref(&hang.other);
	log_unref(&log);
	fixture_fini(&f);
}

UNIT_MAIN("log/log",
    T(while_a_write_hangs_other_loops_leave_their_sets_to_workers), T(appended_records_get_consecutive_offsets),
    T(segments_roll_when_full_and_every_offset_is_found),
    T(a_clean_restart_keeps_everything_and_recovers_nothing), T(a_crash_keeps_every_whole_batch),
    T(a_torn_or_garbled_tail_is_cut_to_the_last_whole_batch), T(damage_in_the_middle_drops_the_later_segments),
    T(damage_in_what_was_flushed_drops_no_later_segment),
    T(lost_or_oversized_indexes_are_rebuilt_after_a_crash), T(reads_stop_at_the_high_watermark), T(only_the_leader_of_the_epoch_appends),
    T(a_follower_stores_what_the_leader_wrote_gaps_and_epochs_included), T(truncation_drops_the_end_and_appends_go_on_there),
    T(a_range_that_is_being_sent_survives_a_truncation_and_new_writes), T(a_log_emptied_to_begin_elsewhere_begins_there),
    T(offsets_do_not_wrap_where_all_numbers_end), T(an_offset_that_no_log_may_have_is_damage_after_a_clean_end_too),
    T(an_absurd_size_of_retention_keeps_everything),
    T(retention_by_size_deletes_whole_old_segments), T(retention_by_time_empties_an_old_log), T(deleted_records_stay_deleted_after_a_restart),
    T(offsets_are_found_by_time), T(a_segment_rolls_when_segment_ms_has_passed_in_record_time), T(a_set_larger_than_a_segment_is_refused),
    T(preallocated_segments_end_as_long_as_their_data))
