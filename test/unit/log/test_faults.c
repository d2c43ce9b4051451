/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_faults.c - a disk that fails or fills up at the n-th call, for every n: nothing that was acknowledged is lost, nothing that was
 * refused comes back, and nothing leaks.
 *
 * The life that is lived each time: directories opened, two logs made, appends over several segments, a flush, checkpoints, records deleted,
 * retention, a truncation, more appends, a topic deleted, a clean end.  Then the disk is good again and the directories are opened.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/reclaim.h"
#include "test/unit/fs_fault.h"
#include "log/log_int.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

struct life {
	int64_t acked;		/* end offset by the answers */
	bool	made;		/* the log was created */
	bool	cut;		/* a truncation failed half way: the end may be anywhere between */
	int64_t cut_to;
};

static void
append_some(struct fixture *f, struct log *log, struct life *l, int n)
{
	for (int i = 0; i < n; i++) {
		struct append_result r = fixture_append(f, log, &(struct batch_spec){ .value_len = 700, .producer_id = 3, .sequence = 0, .producer_epoch = (int16_t)f->sequence });

		if (r.error == KERR_NONE) {
			CHECK_EQ(r.base_offset, l->acked);
			l->acked = r.last_offset + 1;
		} else
			CHECK_EQ(r.error, KERR_KAFKA_STORAGE_ERROR);
		CHECK_EQ(log_end_offset(log), l->acked);
	}
}

static bool
lead(struct log *log, int32_t epoch)
{
	const struct log_role role = { .leader = true, .min_isr_met = true, .leader_epoch = epoch };

	if (log_begin_leader_epoch(log, epoch, NULL) != OK)
		return (false);
	log_set_role(log, &role);
	return (true);
}

static void
use_log(struct fixture *f, struct log *log, struct life *l)
{
	struct errbuf eb = ERRBUF_INIT;
	uint32_t deleted;
	int64_t start;

	if (!lead(log, 5))
		return;
	append_some(f, log, l, 40);
	(void)!log_flush(log, &eb);
	log_raise_high_watermark(log, l->acked);
	log_dirs_checkpoint_recovery_points(f->dirs);
	(void)log_delete_records(log, l->acked / 2, &start);
	(void)!log_retain(log, &deleted, &eb);
	log_dirs_checkpoint_start_offsets(f->dirs);
	log_dirs_checkpoint_high_watermarks(f->dirs);
	l->cut_to = MAX(log_start_offset(log), l->acked - 12);
	if (log_truncate_to(log, l->cut_to, &eb) == OK)
		l->acked = MIN(l->acked, l->cut_to);
	else
		l->cut = true;
	if (l->cut || !lead(log, 6))
		return;
	append_some(f, log, l, 20);
	log_dirs_checkpoint_recovery_points(f->dirs);
}

static bool
live(struct fixture *f, struct life *l)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log = NULL, *other = NULL;

	if (fixture_open(f, &eb) != OK) {
		CHECK(eb.text[0] != '\0');
		return (false);
	}
	if (log_dirs_create(f->dirs, "other", 0, UUID_ZERO, &f->options, &other, &eb) == OK)
		log_unref(&other);
	if (log_dirs_create(f->dirs, "t", 0, uuid_random(&f->random.random), &f->options, &log, &eb) == OK) {
		l->made = true;
		use_log(f, log, l);
		log_unref(&log);
	}
	(void)!log_dirs_delete(f->dirs, "other", 0, &eb);
	clock_manual_advance_ns(&f->clock, INT64_C(60001) * 1000000);
	log_dirs_delete_due(f->dirs);
	return (true);
}

/* The disk is good again. */
static void
check_afterwards(struct fixture *f, const struct life *l)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log = NULL;
	enum err e;

	f->fs = fixture_fs();
	e = fixture_open(f, &eb);
	CHECK_STR(eb.text, "");
	REQUIRE(e == OK);
	log = log_dirs_find(f->dirs, "t", 0);
	if (log == NULL) {
		CHECK_EQ(l->acked, 0);
		return;
	}
	if (l->cut)
		CHECK(log_end_offset(log) >= l->cut_to && log_end_offset(log) <= l->acked);
	else
		CHECK_EQ(log_end_offset(log), l->acked);
	CHECK_EQ(fixture_read_all(log, log_start_offset(log)), log_end_offset(log) - log_start_offset(log));
	log_check(log);
	log_unref(&log);
}

static bool
run_once(unsigned kind, unsigned n, enum err how, bool stay, bool clean)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct life l = { 0 };
	struct fixture f;
	bool fired;

	fixture_init(&f, 1);
	f.fs = fs;
	f.options.segment_bytes = 8192;
	fs_fault_arm(fs, kind, n, how);
	fs_fault_stay(fs, stay);
	(void)live(&f, &l);
	if (f.dirs != NULL && clean)
		log_dirs_shutdown(f.dirs);
	log_dirs_free(&f.dirs);
	fired = fs_fault_fired(fs);
	CHECK_EQ(fs_fault_open_files(fs), 0);
	check_afterwards(&f, &l);
	fixture_fini(&f);
	fs_fault_free(&fs);
	return (fired);
}

static void
run_all(unsigned kind, enum err how, bool stay)
{
	for (unsigned n = 1; run_once(kind, n, how, stay, n % 2 == 0); n += 1 + n / (getenv("OTTLA_TEST_LONG") != NULL ? 1000 : 5))
		if (n > 5000) {
			CHECK(n <= 5000);
			break;
		}
}

TEST(every_failing_write) { run_all(FS_FAULT_WRITE, ERR_IO, false); }
TEST(every_write_on_a_full_disk) { run_all(FS_FAULT_WRITE | FS_FAULT_TRUNCATE, ERR_NOSPACE, false); }
TEST(a_disk_that_fills_up_and_stays_full) { run_all(FS_FAULT_WRITE, ERR_NOSPACE, true); }
TEST(every_failing_sync) { run_all(FS_FAULT_SYNC | FS_FAULT_SYNC_DIR, ERR_IO, false); }
TEST(every_failing_rename_or_unlink) { run_all(FS_FAULT_RENAME | FS_FAULT_UNLINK, ERR_IO, false); }
TEST(every_failing_open) { run_all(FS_FAULT_OPEN | FS_FAULT_MKDIR | FS_FAULT_LIST, ERR_IO, false); }
TEST(every_open_without_room) { run_all(FS_FAULT_OPEN | FS_FAULT_MKDIR, ERR_NOSPACE, true); }
TEST(every_failing_read_or_stat) { run_all(FS_FAULT_READ | FS_FAULT_STAT | FS_FAULT_MAP, ERR_IO, false); }
TEST(every_failing_truncate) { run_all(FS_FAULT_TRUNCATE, ERR_IO, true); }

/* From the nth write on the disk is full, and then there is room again. */
static bool
full_for_a_while(unsigned n)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct life l = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	uint32_t deleted;
	int64_t start;
	bool fired;

	fixture_init(&f, 1);
	f.fs = fs;
	f.options.segment_bytes = 8192;
	must(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	append_some(&f, log, &l, 15);
	log_raise_high_watermark(log, l.acked);
	CHECK_EQ(log_delete_records(log, 12, &start), KERR_NONE);
	fs_fault_arm(fs, FS_FAULT_WRITE, n, ERR_NOSPACE);
	fs_fault_stay(fs, true);
	for (int i = 0; i < 4; i++) {
		append_some(&f, log, &l, 8);
		log_raise_high_watermark(log, l.acked);
		log_dirs_checkpoint_recovery_points(f.dirs);
		log_dirs_checkpoint_high_watermarks(f.dirs);
		(void)!log_retain(log, &deleted, &eb);
		log_dirs_checkpoint_start_offsets(f.dirs);
		CHECK_EQ(fixture_read_all(log, log_start_offset(log)), log_end_offset(log) - log_start_offset(log));
	}
	CHECK_EQ(f.offline, 0);
	log_check(log);
	fired = fs_fault_fired(fs);
	fs_fault_arm(fs, 0, 0, OK);
	append_some(&f, log, &l, 15);
	CHECK_EQ(fixture_put(&f, log), l.acked++);
	log_dirs_checkpoint_recovery_points(f.dirs);
	log_dirs_checkpoint_start_offsets(f.dirs);
	CHECK_EQ(log_flush(log, &eb), OK);
	log_check(log);
	log_unref(&log);
	if (n % 2 == 0)
		fixture_crash(&f);
	else
		fixture_close(&f);
	check_afterwards(&f, &l);
	fixture_fini(&f);
	fs_fault_free(&fs);
	return (fired);
}

TEST(a_full_disk_refuses_appends_and_serves_on_until_there_is_room_again)
{
	unsigned n = 1;

	while (full_for_a_while(n) && n < 1000)
		n++;
	CHECK(n > 30 && n < 1000);
}

TEST(a_topic_made_on_a_full_disk_waits_until_the_checkpoints_forgot_the_old_one)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	int64_t start;

	fixture_init(&f, 1);
	f.fs = fs;
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	for (int i = 0; i < 9; i++)
		(void)fixture_put(&f, log);
	log_raise_high_watermark(log, 9);
	CHECK_EQ(log_delete_records(log, 8, &start), KERR_NONE);
	log_dirs_checkpoint_start_offsets(f.dirs);
	log_unref(&log);
	fs_fault_only(fs, "-checkpoint.tmp");
	fs_fault_arm(fs, FS_FAULT_WRITE, 1, ERR_NOSPACE);
	fs_fault_stay(fs, true);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, &eb), OK);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, UUID_ZERO, &f.options, &log, &eb), ERR_NOSPACE);
	CHECK_EQ(f.offline, 0);
	fs_fault_arm(fs, 0, 0, OK);
	log = fixture_log(&f);
	CHECK_EQ(fixture_put(&f, log), 0);
	log_unref(&log);
	fixture_crash(&f);
	f.fs = fixture_fs();
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	CHECK_EQ(log_end_offset(log), 1);
	log_unref(&log);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

static const unsigned making = FS_FAULT_OPEN | FS_FAULT_TRUNCATE;

/* false: there was no nth call. */
static bool
first_record_without_room(unsigned n)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	bool fired;

	fixture_init(&f, 1);
	f.fs = fs;
	CHECK_EQ(fixture_open(&f, &eb), OK);
	log = fixture_young(&f);
	fs_fault_only(fs, "/t-0/0");
	fs_fault_arm(fs, making, n, ERR_NOSPACE);
	if (fixture_append(&f, log, &(struct batch_spec){ .records = 1 }).error == KERR_KAFKA_STORAGE_ERROR) {
		CHECK_EQ(fixture_size(&f, fixture_file(&f, "t-0/00000000000000000000.log")), -1);
		CHECK_EQ(fixture_read_all(log, 0), 0);
		CHECK_EQ(fixture_put(&f, log), 0);
	}
	fired = fs_fault_fired(fs);
	CHECK_EQ(f.offline, 0);
	CHECK_EQ(log_end_offset(log), 1);
	CHECK(!log_active(log)->deleted && log_active(log)->offsets.changes % 2 == 0 && log_active(log)->times.changes % 2 == 0);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
	fs_fault_free(&fs);
	return (fired);
}

TEST(a_new_log_that_finds_no_room_for_its_files_is_tried_again_by_the_next_record)
{
	unsigned n = 1;

	while (first_record_without_room(n))
		n++;
	CHECK_EQ(n, 6);		/* three files, two sizes */
}

TEST(a_new_log_that_never_found_room_for_its_files_is_no_obstacle_to_a_clean_end)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	f.fs = fs;
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_young(&f);
	log_unref(&log);
	fs_fault_only(fs, "/t-0/");
	fs_fault_arm(fs, making, 1, ERR_NOSPACE);
	fs_fault_stay(fs, true);
	fixture_close(&f);
	CHECK(strstr(f.lines, "has not all of its files") != NULL);
	CHECK_EQ(f.offline, 0);
	fs_fault_arm(fs, 0, 0, OK);
	REQUIRE(fixture_open(&f, &eb) == OK);
	CHECK(log_dirs_was_clean(f.dirs));
	log = fixture_log(&f);
	CHECK_EQ(fixture_put(&f, log), 0);
	log_unref(&log);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

TEST(a_new_log_without_a_directory_is_deleted_on_a_full_disk)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct log *first = NULL, *log;
	struct fixture f;

	fixture_init(&f, 1);
	f.fs = fs;
	REQUIRE(fixture_open(&f, &eb) == OK);
	REQUIRE(log_dirs_create(f.dirs, "first", 0, UUID_ZERO, &f.options, &first, &eb) == OK);
	log = fixture_young(&f);
	log_unref(&log);
	CHECK(!fs_exists(fs, fixture_file(&f, "t-0")));
	fs_fault_arm(fs, FS_FAULT_MKDIR, 1, ERR_NOSPACE);
	fs_fault_stay(fs, true);
	log_dirs_establish(f.dirs);
	CHECK(strstr(f.lines, "new partitions have not all of their files") != NULL);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, &eb), OK);
	CHECK(fs_fault_fired(fs));
	CHECK_EQ(f.offline, 0);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, &eb), ERR_NOTFOUND);
	fs_fault_arm(fs, 0, 0, OK);
	log = fixture_log(&f);
	CHECK_EQ(fixture_put(&f, log), 0);
	log_unref(&log);
	log_unref(&first);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

TEST(a_leader_s_epoch_that_found_no_room_is_stored_before_its_first_batch)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	char *text = NULL;
	size_t len;

	fixture_init(&f, 1);
	f.fs = fs;
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	CHECK_EQ(fixture_put(&f, log), 0);
	fs_fault_only(fs, "leader-epoch-checkpoint.tmp");
	fs_fault_arm(fs, FS_FAULT_WRITE, 1, ERR_NOSPACE);
	fs_fault_stay(fs, true);
	fixture_lead(log, 6);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 1 }).error, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 1 }).error, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(f.offline, 0);
	CHECK_EQ(log_end_offset(log), 1);
	fs_fault_arm(fs, 0, 0, OK);
	CHECK_EQ(fixture_put(&f, log), 1);
	REQUIRE(fs_read_file(fs, fixture_file(&f, "t-0/leader-epoch-checkpoint"), 1000, &text, &len, &eb) == OK);
	CHECK_STR(text, "0\n2\n5 0\n6 1\n");
	free(text);
	log_unref(&log);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

/* ---- mapped indexes ---- */

/* Opened again, so that nothing is mapped yet. */
static struct log *
log_of_some_segments(struct fixture *f)
{
	struct log *log;

	must(fixture_open(f, NULL) == OK);
	log = fixture_log(f);
	for (int i = 0; i < 60; i++) {
		clock_manual_advance_ns(&f->clock, INT64_C(10000000));
		CHECK_EQ(fixture_append(f, log, &(struct batch_spec){ .value_len = 700 }).error, KERR_NONE);
	}
	CHECK_GE(log_segment_count(log), 3);
	log_unref(&log);
	fixture_close(f);
	must(fixture_open(f, NULL) == OK);
	log = log_dirs_find(f->dirs, "t", 0);
	must(log != NULL);
	fixture_lead(log, 6);
	return (log);
}

static enum kerr
read_one(struct log *log, int64_t offset)
{
	const struct log_read_options o = { .offset = offset, .bytes_max = 10000, .min_one = true, .bound = LOG_BOUND_END };
	struct log_read_result r;
	enum kerr k = log_read(log, &o, NULL, &r);

	if (k == KERR_NONE)
		log_read_result_fini(&r);
	return (k);
}

static enum kerr
look_by(struct log *log, bool by_time)
{
	struct log_time_offset out;

	return (by_time ? log_offset_for_time(log, FIXTURE_NOW + 100, &out) : read_one(log, 9));
}

TEST(an_index_that_the_disk_does_not_map_takes_the_directory_offline)
{
	for (int by_time = 0; by_time < 2; by_time++) {
		struct fs *fs = fs_fault_new(fixture_fs());
		struct fixture f;
		struct log *log;

		fixture_init(&f, 1);
		f.fs = fs;
		log = log_of_some_segments(&f);
		fs_fault_arm(fs, FS_FAULT_MAP, 1, ERR_IO);
		CHECK_EQ(look_by(log, by_time), KERR_KAFKA_STORAGE_ERROR);
		CHECK(fs_fault_fired(fs));
		CHECK_EQ(f.offline, 1);
		log_unref(&log);
		fixture_fini(&f);
		fs_fault_free(&fs);
	}
}

/* A mapping whose pages cannot be read: of a file that was cut under it.  The index itself is as long as it should be. */
static enum err
map_without_pages(struct file *file, size_t len, struct file_map *m, struct errbuf *eb)
{
	char path[600];
	struct fs *fs = fixture_fs();
	struct file *other = NULL;
	enum err e;

	(void)file;
	snprintf(path, sizeof(path), "%s/no-pages", unit_tmpdir());
	e = file_open(fs, path, FS_RDWR | FS_CREATE, &other, eb);
	if (e == OK)
		e = fs->ops->truncate(other, len, eb);
	if (e == OK)
		e = fs->ops->map(other, len, m, eb);
	if (e == OK)
		e = fs->ops->truncate(other, 0, eb);
	file_unref(&other);
	return (e);
}

TEST(an_index_with_a_page_that_cannot_be_read_takes_the_directory_offline_and_not_the_process)
{
	for (int by_time = 0; by_time < 2; by_time++) {
		struct fs_ops ops = *fixture_fs()->ops;
		struct fs fs = { &ops };
		struct fixture f;
		struct log *log;

		fixture_init(&f, 1);
		f.fs = &fs;
		log = log_of_some_segments(&f);
		ops.map = map_without_pages;
		CHECK_EQ(look_by(log, by_time), KERR_KAFKA_STORAGE_ERROR);
		CHECK_EQ(f.offline, 1);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(an_index_that_somebody_cuts_is_told_and_done_without)
{
	for (int mapped = 0; mapped < 2; mapped++) {
		struct fixture f;
		struct file *file = NULL;
		struct log *log;

		fixture_init(&f, 1);
		log = log_of_some_segments(&f);
		if (mapped)
			CHECK_EQ(read_one(log, 9), KERR_NONE);
		CHECK_EQ(file_open(f.fs, fixture_file(&f, "t-0/%020d.index", 0), FS_RDWR, &file, NULL), OK);
		REQUIRE(file != NULL);
		CHECK_EQ(f.fs->ops->truncate(file, 0, NULL), OK);
		file_unref(&file);
		f.lines[0] = '\0';
		CHECK_EQ(read_one(log, 9), KERR_NONE);
		CHECK_EQ(read_one(log, 10), KERR_NONE);
		CHECK(strstr(f.lines, "00000000000000000000.index: somebody has cut it") != NULL);
		CHECK_EQ(fixture_read_all(log, 0), 60);
		CHECK_EQ(f.offline, 0);
		log_unref(&log);
		fixture_fini(&f);
	}
}

UNIT_MAIN("log/faults", T(a_new_log_that_finds_no_room_for_its_files_is_tried_again_by_the_next_record),
    T(a_new_log_that_never_found_room_for_its_files_is_no_obstacle_to_a_clean_end),
    T(a_new_log_without_a_directory_is_deleted_on_a_full_disk), T(a_leader_s_epoch_that_found_no_room_is_stored_before_its_first_batch),
    T(every_failing_write), T(every_write_on_a_full_disk), T(a_disk_that_fills_up_and_stays_full), T(every_failing_sync), T(every_failing_rename_or_unlink),
    T(every_failing_open), T(every_open_without_room), T(every_failing_read_or_stat), T(every_failing_truncate),
    T(a_full_disk_refuses_appends_and_serves_on_until_there_is_room_again),
    T(a_topic_made_on_a_full_disk_waits_until_the_checkpoints_forgot_the_old_one),
    T(an_index_that_the_disk_does_not_map_takes_the_directory_offline),
    T(an_index_with_a_page_that_cannot_be_read_takes_the_directory_offline_and_not_the_process), T(an_index_that_somebody_cuts_is_told_and_done_without))
