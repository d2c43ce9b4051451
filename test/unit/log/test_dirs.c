/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_dirs.c - the log directories: identity, placement, checkpoints, deletion, what is refused at start; and the small files.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/checkpoint.h"
#include "log/epoch_cache.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define OPEN(f) do { struct errbuf eb_ = ERRBUF_INIT; enum err e_ = fixture_open((f), &eb_); \
	if (e_ != OK) { CHECK_STR(eb_.text, ""); fixture_fini(f); return; } } while (0)

static void
write_text(struct fixture *f, const char *path, const char *text)
{
	CHECK_EQ(fs_write_file_atomic(f->fs, path, slice_str(text), NULL), OK);
}

static struct log *
create(struct fixture *f, const char *topic, int32_t partition)
{
	struct log *log = NULL;

	CHECK_EQ(log_dirs_create(f->dirs, topic, partition, UUID_ZERO, &f->options, &log, NULL), OK);
	return (log);
}

TEST(new_logs_go_where_the_fewest_are)
{
	struct log_dir_info rows[2];
	struct fixture f;

	fixture_init(&f, 2);
	OPEN(&f);
	for (int i = 0; i < 7; i++) {
		struct log *log = create(&f, "many", i);

		log_unref(&log);
	}
	CHECK_EQ(log_dirs_info(f.dirs, rows, 2), 2);
	CHECK_EQ(rows[0].logs, 4);
	CHECK_EQ(rows[1].logs, 3);
	CHECK(rows[0].online);
	CHECK_GE(rows[0].total, rows[0].usable);
	fixture_close(&f);
	OPEN(&f);
	CHECK_EQ(log_dirs_count(f.dirs), 7);
	CHECK_EQ(log_dirs_info(f.dirs, rows, 2), 2);
	CHECK_EQ(rows[1].logs, 3);
	fixture_fini(&f);
}

TEST(a_directory_that_fails_while_a_log_is_made_leaves_it_to_the_next_one)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct log_dir_info rows[2];
	struct fixture f;
	struct log *log;

	fixture_init(&f, 2);
	f.fs = fs;
	OPEN(&f);
	fs_fault_only(fs, f.path[0]);
	fs_fault_stay(fs, true);
	fs_fault_arm(fs, FS_FAULT_MKDIR | FS_FAULT_OPEN | FS_FAULT_RENAME, 1, ERR_IO);
	log = create(&f, "t", 0);
	CHECK_STR(log == NULL ? "" : log_dir(log), f.path[1]);
	log_unref(&log);
	CHECK_EQ(log_dirs_info(f.dirs, rows, 2), 2);
	CHECK(!rows[0].online);
	CHECK_EQ(rows[0].logs, 0);
	CHECK_EQ(f.offline, 1);
	CHECK_EQ(f.all_offline, 0);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

TEST(a_directory_of_another_broker_or_cluster_is_refused_in_words)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	char *meta;

	fixture_init(&f, 1);
	OPEN(&f);
	fixture_close(&f);
	meta = fixture_file(&f, "meta.properties");
	write_text(&f, meta, "version=0\nbroker.id=1\ncluster.id=other-cluster\n");
	CHECK_EQ(fixture_open(&f, &eb), ERR_CONFLICT);
	CHECK(strstr(eb.text, "other-cluster") != NULL);
	log_dirs_free(&f.dirs);
	write_text(&f, meta, "version=0\nbroker.id=4\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n");
	CHECK_EQ(fixture_open(&f, &eb), ERR_CONFLICT);
	CHECK(strstr(eb.text, "broker.id=4") != NULL);
	log_dirs_free(&f.dirs);
	write_text(&f, meta, "version=1\nnode.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n");
	CHECK_EQ(fixture_open(&f, &eb), ERR_UNSUPPORTED);
	CHECK(strstr(eb.text, "KRaft") != NULL);
	write_text(&f, meta, "broker.id=1\n");
	CHECK_EQ(fixture_open(&f, &eb), ERR_CORRUPT);
	write_text(&f, meta, "#\n#Tue Sep 30 10:00:00 UTC 2025\nbroker.id=1\nversion=0\ndirectory.id=abc\\:d\n");
	CHECK_EQ(fixture_open(&f, &eb), OK);		/* an id is missing: completed, foreign keys kept */
	fixture_close(&f);
	{
		struct meta_properties mp;

		CHECK_EQ(meta_properties_read(f.fs, f.path[0], &mp, NULL), OK);
		CHECK_STR(mp.cluster_id, "AAAAAAAAAAAAAAAAAAAAAA");
		CHECK(mp.others != NULL && strstr(mp.others, "directory.id") != NULL);
		meta_properties_fini(&mp);
	}
	fixture_fini(&f);
}

TEST(a_directory_in_use_is_refused)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	int ready[2], status;
	char byte = 0;
	pid_t pid;

	fixture_init(&f, 1);
	OPEN(&f);
	fixture_close(&f);
	REQUIRE(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {		/* another process holds it */
		struct file *lock = NULL;
		int holder;

		byte = file_open(f.fs, fixture_file(&f, ".lock"), FS_RDWR, &lock, NULL) == OK && f.fs->ops->lock(lock, &holder, NULL) == OK;
		(void)!write(ready[1], &byte, 1);
		pause();
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(byte, 1);
	CHECK_EQ(fixture_open(&f, &eb), ERR_LOCKED);
	CHECK(strstr(eb.text, "in use by process") != NULL);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	OPEN(&f);
	close(ready[0]);
	close(ready[1]);
	fixture_fini(&f);
}

TEST(a_log_in_two_directories_and_a_stray_directory_are_refused)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	char path[600];

	fixture_init(&f, 2);
	OPEN(&f);
	fixture_close(&f);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/t-0", f.path[i]);
		CHECK_EQ(f.fs->ops->mkdir(f.fs, path, NULL), OK);
	}
	CHECK_EQ(fixture_open(&f, &eb), ERR_CONFLICT);
	CHECK(strstr(eb.text, "two log directories") != NULL);
	log_dirs_free(&f.dirs);
	CHECK_EQ(fs_remove_tree(f.fs, path, NULL), OK);
	snprintf(path, sizeof(path), "%s/holiday pictures", f.path[0]);
	CHECK_EQ(f.fs->ops->mkdir(f.fs, path, NULL), OK);
	CHECK_EQ(fixture_open(&f, &eb), ERR_INVALID);
	CHECK(strstr(eb.text, "holiday pictures") != NULL);
	fixture_fini(&f);
}

TEST(a_deleted_topic_leaves_the_checkpoints_at_once_and_the_disk_later)
{
	struct checkpoint cp = CHECKPOINT_INIT;
	struct uuid id;
	struct fixture f;
	struct log *log;
	int64_t start;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	id = uuid_random(&f.random.random);
	CHECK_EQ(log_set_topic_id(log, id, NULL), OK);
	CHECK_EQ(log_set_topic_id(log, id, NULL), OK);
	for (int i = 0; i < 50; i++)
		(void)fixture_put(&f, log);
	log_set_high_watermark(log, 50);
	CHECK_EQ(log_delete_records(log, 20, &start), KERR_NONE);
	log_dirs_checkpoint_recovery_points(f.dirs);
	log_dirs_checkpoint_start_offsets(f.dirs);
	log_dirs_checkpoint_high_watermarks(f.dirs);
	CHECK_EQ(checkpoint_read(f.fs, fixture_file(&f, "log-start-offset-checkpoint"), &cp, NULL), OK);
	CHECK_EQ(cp.n, 1);
	checkpoint_fini(&cp);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 1, NULL), ERR_NOTFOUND);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, NULL), OK);
	CHECK(log_dirs_find(f.dirs, "t", 0) == NULL);
	CHECK(strstr(log_path(log), "-delete") != NULL);
	CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ 0 }).error, KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK(fs_exists(f.fs, log_path(log)));
	CHECK_EQ(checkpoint_read(f.fs, fixture_file(&f, "log-start-offset-checkpoint"), &cp, NULL), OK);
	CHECK_EQ(cp.n, 0);
	CHECK_EQ(checkpoint_read(f.fs, fixture_file(&f, "recovery-point-offset-checkpoint"), &cp, NULL), OK);
	CHECK_EQ(cp.n, 0);
	/* The same name again is another log. */
	{
		struct log *again = fixture_log(&f);

		CHECK_EQ(log_start_offset(again), 0);
		CHECK_EQ(log_end_offset(again), 0);
		CHECK(uuid_is_zero(log_topic_id(again)));
		CHECK_EQ(log_dirs_stored_high_watermark(f.dirs, "t", 0), 0);
		log_unref(&again);
	}
	log_dirs_delete_due(f.dirs);
	CHECK(fs_exists(f.fs, log_path(log)));
	clock_manual_advance_ns(&f.clock, INT64_C(60001) * 1000000);
	log_dirs_delete_due(f.dirs);
	CHECK(!fs_exists(f.fs, log_path(log)));
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_delete_directory_left_by_a_crash_is_removed)
{
	const char *name = "t-3.0123456789abcdef0123456789abcdef-delete";
	struct fixture f;

	fixture_init(&f, 1);
	OPEN(&f);
	fixture_crash(&f);
	CHECK_EQ(fs_mkdir_p(f.fs, fixture_file(&f, "%s", name), NULL), OK);
	OPEN(&f);
	CHECK_EQ(log_dirs_count(f.dirs), 0);
	clock_manual_advance_ns(&f.clock, INT64_C(60001) * 1000000);
	log_dirs_delete_due(f.dirs);
	CHECK(!fs_exists(f.fs, fixture_file(&f, "%s", name)));
	fixture_fini(&f);
}

TEST(a_stored_topic_id_guards_its_log)
{
	struct errbuf eb = ERRBUF_INIT;
	struct uuid id, other;
	struct fixture f;
	struct log *log = NULL;

	fixture_init(&f, 1);
	OPEN(&f);
	id = uuid_random(&f.random.random);
	other = uuid_random(&f.random.random);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, id, &f.options, &log, NULL), OK);
	CHECK(uuid_eq(log_topic_id(log), id));
	fixture_establish(log);
	CHECK_EQ(fixture_size(&f, fixture_file(&f, "t-0/partition.metadata")), 43);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, other, &f.options, &log, &eb), ERR_CONFLICT);
	CHECK(log == NULL);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, id, &f.options, &log, NULL), OK);
	CHECK(uuid_eq(log_topic_id(log), id));
	log_unref(&log);
	fixture_fini(&f);
}

TEST(an_interrupted_compaction_is_finished_or_undone)
{
	char cmd[2048];
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 30; i++)
		(void)fixture_put(&f, log);
	log_unref(&log);
	fixture_close(&f);
	/* Committed: the .swap file replaces the segment.  Not committed: .cleaned goes.  Deleted files and temporary ones go. */
	snprintf(cmd, sizeof(cmd), "cd %s/t-0 && cp 00000000000000000000.log 00000000000000000000.log.swap && echo junk > 00000000000000000000.index && "
	    "echo x > 00000000000000000100.log.cleaned && echo x > 00000000000000000200.log.swap && echo x > 00000000000000000050.log.deleted && "
	    "echo x > leader-epoch-checkpoint.tmp && echo x > 00000000000000000070.timeindex", f.path[0]);
	REQUIRE(system(cmd) == 0);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(fixture_read_all(log, 0), 30);
	CHECK_EQ(log_segment_count(log), 1);
	log_check(log);
	log_unref(&log);
	snprintf(cmd, sizeof(cmd), "cd %s/t-0 && test -z \"$(ls | grep -E 'cleaned|swap|deleted|tmp|0070')\"", f.path[0]);
	CHECK_EQ(system(cmd), 0);
	fixture_fini(&f);
}

/* A log t-0 of three batches, of the epochs 3, 3 and 6. */
static void
two_epochs(struct fixture *f)
{
	const struct batch_spec specs[] = { { .base_offset = 0, .leader_epoch = 3 }, { .base_offset = 1, .leader_epoch = 3 }, { .base_offset = 2, .leader_epoch = 6 } };
	struct log *log;

	fixture_init(f, 1);
	OPEN(f);
	log = create(f, "t", 0);
	fixture_follow(log, 7);
	CHECK_EQ(fixture_replicate(f, log, specs, 3).error, KERR_NONE);
	log_unref(&log);
}

TEST(a_lost_epoch_file_is_read_from_the_batches)
{
	struct fixture f;
	struct log *log;

	two_epochs(&f);
	fixture_close(&f);
	write_text(&f, fixture_file(&f, "t-0/leader-epoch-checkpoint"), "0\n2\n3 0\n2 1\n");
	OPEN(&f);
	CHECK(strstr(f.lines, "line 4 is malformed") != NULL);
	log = create(&f, "t", 0);
	CHECK_EQ(log_epoch_of_offset(log, 1), 3);
	CHECK_EQ(log_epoch_of_offset(log, 2), 6);
	log_unref(&log);
	fixture_fini(&f);
}

/* Well-formed, and wrong: after a crash the batches are read anyway, and they know better. */
TEST(an_epoch_file_that_the_batches_contradict_is_read_from_them_after_a_crash)
{
	static const char *const wrong[] = { "0\n1\n9 0\n", "0\n2\n3 0\n6 1\n", "0\n1\n6 2\n", "0\n3\n3 0\n4 1\n6 2\n", "0\n2\n1 0\n6 2\n" };
	struct fixture f;
	struct log *log;

	two_epochs(&f);
	for (size_t i = 0; i < NELEM(wrong); i++) {
		fixture_crash(&f);
		write_text(&f, fixture_file(&f, "t-0/leader-epoch-checkpoint"), wrong[i]);
		OPEN(&f);
		log = log_dirs_find(f.dirs, "t", 0);
		CHECK_EQ(log_epoch_of_offset(log, 0), 3);
		CHECK_EQ(log_epoch_of_offset(log, 1), 3);
		CHECK_EQ(log_epoch_of_offset(log, 2), 6);
		CHECK_EQ(log_latest_epoch(log), 6);
		log_unref(&log);
	}
	CHECK(strstr(f.lines, "contradicts the batches") != NULL);
	fixture_fini(&f);
}

TEST(damaged_offset_checkpoints_count_as_empty)
{
	static const char *const bad[] = { "1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na x 1\n", "0\nx\n", "", "0\n1\na 0 1 2\n", "0\n-1\n", "0\n1\na 0 99999999999999999999\n" };
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 30; i++)
		(void)fixture_put(&f, log);
	log_unref(&log);
	for (size_t i = 0; i < NELEM(bad); i++) {
		fixture_crash(&f);
		write_text(&f, fixture_file(&f, "recovery-point-offset-checkpoint"), bad[i]);
		write_text(&f, fixture_file(&f, "log-start-offset-checkpoint"), bad[i]);
		write_text(&f, fixture_file(&f, "replication-offset-checkpoint"), bad[i]);
		OPEN(&f);
		log = fixture_log(&f);
		CHECK_EQ(fixture_read_all(log, 0), 30);
		log_unref(&log);
	}
	fixture_fini(&f);
}

TEST(epochs_answer_as_kafka_s_cache_does)
{
	struct epoch_cache ec = EPOCH_CACHE_INIT;
	int32_t epoch;
	int64_t end;

	CHECK(epoch_cache_assign(&ec, 2, 0));
	CHECK(!epoch_cache_assign(&ec, 2, 5));
	CHECK(epoch_cache_assign(&ec, 4, 10));
	CHECK(epoch_cache_assign(&ec, 7, 20));
	epoch_cache_end_of(&ec, 1, 30, &epoch, &end);	/* before the first: its records are gone */
	CHECK_EQ(epoch, 1);
	CHECK_EQ(end, 0);
	epoch_cache_end_of(&ec, -5, 30, &epoch, &end);	/* no epoch of anybody's, and Java says the same of it */
	CHECK_EQ(epoch, -5);
	CHECK_EQ(end, 0);
	epoch_cache_end_of(&ec, -1, 30, &epoch, &end);	/* none given */
	CHECK_EQ(epoch, -1);
	CHECK_EQ(end, -1);
	epoch_cache_end_of(&ec, 5, 30, &epoch, &end);
	CHECK_EQ(epoch, 4);
	CHECK_EQ(end, 20);
	epoch_cache_end_of(&ec, 7, 30, &epoch, &end);
	CHECK_EQ(end, 30);
	epoch_cache_end_of(&ec, 8, 30, &epoch, &end);
	CHECK_EQ(epoch, -1);
	CHECK_EQ(epoch_cache_of_offset(&ec, 19), 4);
	CHECK(epoch_cache_truncate_from_start(&ec, 12));
	CHECK_EQ(ec.n, 2);
	CHECK_EQ(ec.entries[0].epoch, 4);
	CHECK_EQ(ec.entries[0].start_offset, 12);
	CHECK_EQ(epoch_cache_of_offset(&ec, 11), -1);
	CHECK(epoch_cache_truncate_from_end(&ec, 20));
	CHECK_EQ(epoch_cache_latest(&ec), 4);
	CHECK(epoch_cache_assign(&ec, 3, 15));		/* an older epoch written later: the rows that contradict it go */
	CHECK_EQ(ec.n, 1);
	CHECK_EQ(ec.entries[0].epoch, 3);
	epoch_cache_fini(&ec);
}

struct opening {
	struct job	job;
	struct fixture *f;
	enum err	e;
	struct errbuf	eb;
};

static void
open_twice_the_same(struct job *j)
{
	struct opening *o = CONTAINER_OF(j, struct opening, job);

	o->e = fixture_open(o->f, &o->eb);
}

/* As ottlad starts: on one of the workers that the logs will use. */
TEST(directories_that_cannot_be_opened_are_refused_on_a_worker_too)
{
	struct fixture f;
	struct opening o = { .job.run = open_twice_the_same, .f = &f };

	fixture_init(&f, 2);
	CHECK_EQ(workers_new(1, "test", &f.workers, NULL), OK);
	memcpy(f.path[1], f.path[0], sizeof(f.path[1]));
	workers_submit(f.workers, &o.job);
	workers_drain(f.workers);
	CHECK_EQ(o.e, ERR_INVALID);
	CHECK(strstr(o.eb.text, "twice") != NULL);
	fixture_fini(&f);
}

/* The crash came between the renaming of the old log and the checkpoints; the new log lives shorter than the checkpoint interval. */
TEST(a_new_topic_does_not_inherit_the_start_offset_of_a_deleted_one_over_crashes)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	REQUIRE(fixture_open(&f, &eb) == OK);
	fixture_crash(&f);
	write_text(&f, fixture_file(&f, "log-start-offset-checkpoint"), "0\n1\nt 0 500\n");
	write_text(&f, fixture_file(&f, "recovery-point-offset-checkpoint"), "0\n1\nt 0 700\n");
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 0);
	for (int64_t i = 0; i < 5; i++)
		CHECK_EQ(fixture_put(&f, log), i);
	log_unref(&log);
	fixture_crash(&f);
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 0);
	CHECK_EQ(log_end_offset(log), 5);
	log_unref(&log);
	fixture_fini(&f);
}

/* ---- what a new log costs ---- */

static unsigned
calls_of_a_new_log(struct fixture *f, int32_t partition)
{
	struct log *log = NULL;

	fs_fault_arm(f->fs, FS_FAULT_ANY, 0, OK);
	CHECK_EQ(log_dirs_create(f->dirs, "t", partition, uuid_random(&f->random.random), &f->options, &log, NULL), OK);
	fixture_lead(log, 5);
	log_check(log);
	log_unref(&log);
	return (fs_fault_count(f->fs));
}

/* Whoever makes a topic of thousands of partitions waits for this.  Where a directory of that name was there, what is in it is looked at. */
TEST(in_a_directory_made_for_it_a_new_log_looks_for_nothing)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct fixture f;
	char *old;

	fixture_init(&f, 1);
	f.fs = fs;
	OPEN(&f);
	CHECK_EQ(calls_of_a_new_log(&f, 0), 1);
	CHECK(fs_exists(fs, fixture_file(&f, "t-0")));
	CHECK_EQ(calls_of_a_new_log(&f, 2), 1);		/* is there something? */
	CHECK(!fs_exists(fs, fixture_file(&f, "t-2")));
	old = fixture_file(&f, "t-1/00000000000000000007.index");
	CHECK_EQ(fs_mkdir_p(fs, fixture_file(&f, "t-1"), NULL), OK);
	CHECK_EQ(fs_write_file_atomic(fs, old, slice_str("old"), NULL), OK);
	CHECK_GE(calls_of_a_new_log(&f, 1), 10);
	CHECK(!fs_exists(fs, old));
	fixture_close(&f);
	OPEN(&f);
	CHECK_EQ(log_dirs_count(f.dirs), 3);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

static bool
has_files(struct fixture *f)
{
	const char *at = "t-0/00000000000000000000";
	bool data = fixture_size(f, fixture_file(f, "%s.log", at)) >= 0;

	CHECK_EQ(fixture_size(f, fixture_file(f, "%s.index", at)) >= 0, data);
	CHECK_EQ(fixture_size(f, fixture_file(f, "%s.timeindex", at)) >= 0, data);
	return (data);
}

/* Everything that may happen to a log before its first record. */
static void
look_at_an_empty_log(struct fixture *f, struct log *log)
{
	struct log_file_time *rows = NULL;
	struct log_time_offset at;
	struct arena a;
	uint32_t n = 0, deleted = 0;

	arena_init(&a, 1 << 16);
	CHECK_EQ(fixture_read_all(log, 0), 0);
	CHECK_EQ(log_offset_for_time(log, 1, &at), KERR_NONE);
	CHECK_EQ(log_offset_for_time(log, LOG_TIME_MAX, &at), KERR_NONE);
	CHECK(log_file_times(log, &a, &rows, &n));
	CHECK_EQ(n, 1);
	CHECK_GE(clock_wall_ms(&f->clock.clock), rows[0].time_ms);
	log_warm(log, 0, LOG_BOUND_END);
	CHECK_EQ(log_size(log), 0);
	CHECK_EQ(log_flush(log, NULL), OK);
	CHECK_EQ(log_roll(log, NULL), OK);
	CHECK_EQ(log_truncate_to(log, 0, NULL), OK);
	CHECK_EQ(log_retain(log, &deleted, NULL), OK);
	log_dirs_checkpoint_recovery_points(f->dirs);
	log_dirs_checkpoint_start_offsets(f->dirs);
	log_dirs_checkpoint_high_watermarks(f->dirs);
	log_dirs_flush_due(f->dirs);
	log_dirs_scrub(f->dirs);
	log_check(log);
	arena_fini(&a);
}

enum { FIRST_RECORD, KILL, CLEAN_END, DELETION, ENDS };

/* nameless: it is not the only one that is made. */
static void
live_without_files(bool nameless)
{
	struct log *log, *other = NULL;
	struct fixture f;

	fixture_init(&f, 1);
	OPEN(&f);
	for (int end = 0; end < ENDS; end++) {
		if (nameless)
			CHECK_EQ(log_dirs_create(f.dirs, "other", end, UUID_ZERO, &f.options, &other, NULL), OK);
		log_unref(&other);
		log = fixture_young(&f);
		CHECK_EQ(fs_exists(f.fs, fixture_file(&f, "t-0")), !nameless);
		CHECK(!has_files(&f));
		look_at_an_empty_log(&f, log);
		CHECK(!has_files(&f));
		if (end == FIRST_RECORD)
			CHECK_EQ(fixture_put(&f, log), 0);
		log_unref(&log);
		if (end == KILL) {
			fixture_crash(&f);
			CHECK(!has_files(&f));
			OPEN(&f);
		} else if (end == CLEAN_END) {
			fixture_close(&f);
			OPEN(&f);
			CHECK(log_dirs_was_clean(f.dirs));
		}
		CHECK_EQ(has_files(&f), end != DELETION && !(end == KILL && nameless));
		CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, NULL), end == KILL && nameless ? ERR_NOTFOUND : OK);
		CHECK(!fs_exists(f.fs, fixture_file(&f, "t-0")));
	}
	CHECK_EQ(f.offline, 0);
	clock_manual_advance_ns(&f.clock, INT64_C(60001) * 1000000);
	log = fixture_log(&f);		/* what was deleted takes nothing of it along */
	log_dirs_delete_due(f.dirs);
	CHECK(has_files(&f));
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_new_log_has_no_files_until_its_first_record_or_a_clean_end) { live_without_files(false); }
TEST(one_of_many_new_logs_has_not_even_a_directory_until_then) { live_without_files(true); }

TEST(the_directories_of_many_new_logs_share_one_sync)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	enum { LOGS = 150 };
	struct fixture f;
	struct log *log = NULL;

	fixture_init(&f, 1);
	f.fs = fs;
	OPEN(&f);
	for (int i = 0; i < LOGS; i++) {
		CHECK_EQ(log_dirs_create(f.dirs, "t", i, UUID_ZERO, &f.options, &log, NULL), OK);
		log_unref(&log);
	}
	fs_fault_arm(fs, FS_FAULT_SYNC_DIR, 0, OK);
	log_dirs_establish(f.dirs);
	while (f.workers != NULL && workers_step(f.workers))
		;
	CHECK_EQ(fs_fault_count(fs), LOGS + 1);
	for (int i = 0; i < LOGS; i++)
		CHECK(fs_exists(fs, fixture_file(&f, "t-%d/00000000000000000000.log", i)));
	fixture_fini(&f);
	fs_fault_free(&fs);
}

/* A log that an operator has put there while the broker runs: it is what the new partition begins with. */
static void
put_log_aside(struct fixture *f)
{
	struct log *log = fixture_log(f);

	CHECK_EQ(fixture_put(f, log), 0);
	log_unref(&log);
	fixture_close(f);
	CHECK_EQ(f->fs->ops->rename(f->fs, fixture_file(f, "t-0"), fixture_file(f, "../aside"), NULL), OK);
}

/* expected: so many at once; others: directories that stand there, too.  stats: names that were looked for meanwhile. */
static void
make_many(uint32_t expected, int others, bool unreadable, unsigned *stats)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	enum { LOGS = 100, THERE = 70 };
	struct fixture f;
	struct log *log = NULL;

	fixture_init(&f, 1);
	f.fs = fs;
	OPEN(&f);
	put_log_aside(&f);
	OPEN(&f);
	CHECK_EQ(fs->ops->rename(fs, fixture_file(&f, "../aside"), fixture_file(&f, "t-%d", THERE), NULL), OK);
	fs_fault_only(fs, NULL);
	for (int i = 0; i < others; i++)
		CHECK_EQ(fs->ops->mkdir(fs, fixture_file(&f, "other%d", i), NULL), OK);
	fs_fault_arm(fs, unreadable ? FS_FAULT_LIST : FS_FAULT_STAT, unreadable, ERR_IO);
	log_dirs_expect(f.dirs, expected);
	for (int i = 0; i < LOGS; i++) {
		CHECK_EQ(log_dirs_create(f.dirs, "t", i, UUID_ZERO, &f.options, &log, NULL), OK);
		CHECK_EQ(log_end_offset(log), i == THERE ? 1 : 0);
		log_unref(&log);
	}
	*stats = fs_fault_count(fs);
	log_dirs_establish(f.dirs);
	/* The next request is not answered from what this one has read. */
	CHECK_EQ(fs->ops->mkdir(fs, fixture_file(&f, "u-1"), NULL), OK);
	log_dirs_expect(f.dirs, expected);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(log_dirs_create(f.dirs, "u", i, UUID_ZERO, &f.options, &log, NULL), OK);
		log_unref(&log);
	}
	log_dirs_establish(f.dirs);
	CHECK_EQ(f.offline, 0);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

TEST(where_many_new_logs_go_is_looked_up_at_once_and_what_stands_there_is_found)
{
	unsigned stats = 0;

	make_many(0, 0, false, &stats);
	CHECK(stats >= 98);
	make_many(20, 0, false, &stats);	/* too few to read a directory for */
	CHECK(stats >= 98);
	make_many(100, 0, false, &stats);	/* of what was found, and of names that share its bit */
	CHECK(stats <= 30);
	make_many(100, 900, false, &stats);	/* so many others that it is not read to the end: half of it would say that all is free */
	CHECK(stats >= 98);
	make_many(100, 0, true, &stats);
	CHECK(stats >= 1);		/* listings, of which the first failed: that of the log directory, or no log could be made */
}

/* ---- what a start after a crash costs ---- */

enum { MANY = 40 };

static void
fill_segments(struct fixture *f, struct log *log)
{
	while (log_segment_count(log) < MANY)
		CHECK_EQ(fixture_append(f, log, &(struct batch_spec){ .value_len = 6000 }).error, KERR_NONE);
}

static unsigned
calls_of_a_start(struct fixture *f, unsigned ops, const char *part)
{
	fs_fault_only(f->fs, part);
	fs_fault_arm(f->fs, ops, 0, OK);
	CHECK_EQ(fixture_open(f, NULL), OK);
	return (fs_fault_count(f->fs));
}

/* Killed before any checkpoint of recovery points: all is recovered, once.  Each start after it, if nothing is appended, reads the active segment.
 * In calls, not seconds: an index of a recovered segment is cut before it is written anew. */
TEST(what_was_recovered_after_a_kill_is_not_recovered_by_the_next_start)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	unsigned first, again;
	struct fixture f;
	struct log *log;
	int64_t end;

	fixture_init(&f, 1);
	f.fs = fs;
	OPEN(&f);
	log = fixture_log(&f);
	fill_segments(&f, log);
	end = log_end_offset(log);
	log_unref(&log);
	fixture_crash(&f);
	first = calls_of_a_start(&f, FS_FAULT_TRUNCATE, "/t-0/");
	CHECK_GE(first, MANY * 4);
	for (int i = 0; i < 3; i++) {
		fixture_crash(&f);
		again = calls_of_a_start(&f, FS_FAULT_TRUNCATE, "/t-0/");
		CHECK_GE(12, again);
		log = log_dirs_find(f.dirs, "t", 0);
		CHECK_EQ(log_end_offset(log), end);
		CHECK_EQ(fixture_read_all(log, 0), end);
		log_unref(&log);
	}
	fixture_crash(&f);
	CHECK_GE(5, calls_of_a_start(&f, FS_FAULT_READ, ".log"));
	fixture_fini(&f);
	fs_fault_free(&fs);
}

/* A recovered segment costs one sync less than one would think: its snapshot waits for the flush. */
TEST(a_recovery_syncs_for_each_log_and_not_for_each_segment)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	f.fs = fs;
	OPEN(&f);
	log = fixture_log(&f);
	fill_segments(&f, log);
	log_unref(&log);
	fixture_crash(&f);
	CHECK_EQ(workers_new(0, "by hand", &f.workers, NULL), OK);	/* the flush is not part of the start */
	CHECK_GE(5, calls_of_a_start(&f, FS_FAULT_SYNC, ""));
	fs_fault_arm(fs, FS_FAULT_SYNC, 0, OK);
	while (workers_step(f.workers))
		;
	CHECK_GE(fs_fault_count(fs), MANY * 4);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

/* Else a broker that is killed again and again in a long flush would begin from the same place every time. */
TEST(a_flush_of_many_segments_that_is_cut_short_has_moved_the_recovery_point)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	const char *file = "/00000000000000000020.log";	/* two batches a segment */
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	CHECK_EQ(workers_new(0, "by hand", &f.workers, NULL), OK);
	f.fs = fs;
	OPEN(&f);
	log = fixture_log(&f);
	fill_segments(&f, log);
	CHECK_EQ(log_recovery_point(log), 0);
	fs_fault_only(fs, file);
	fs_fault_arm(fs, FS_FAULT_SYNC, 1, ERR_IO);
	while (workers_step(f.workers))
		;
	CHECK(fs_fault_fired(fs));
	CHECK_EQ(f.offline, 1);
	CHECK_EQ(log_recovery_point(log), 20);
	log_unref(&log);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

UNIT_MAIN("log/dirs", T(directories_that_cannot_be_opened_are_refused_on_a_worker_too),
    T(new_logs_go_where_the_fewest_are), T(a_directory_that_fails_while_a_log_is_made_leaves_it_to_the_next_one),
    T(a_directory_of_another_broker_or_cluster_is_refused_in_words), T(a_directory_in_use_is_refused),
    T(a_log_in_two_directories_and_a_stray_directory_are_refused), T(a_deleted_topic_leaves_the_checkpoints_at_once_and_the_disk_later),
    T(a_delete_directory_left_by_a_crash_is_removed), T(a_stored_topic_id_guards_its_log), T(an_interrupted_compaction_is_finished_or_undone),
    T(a_lost_epoch_file_is_read_from_the_batches), T(an_epoch_file_that_the_batches_contradict_is_read_from_them_after_a_crash),
    T(damaged_offset_checkpoints_count_as_empty), T(in_a_directory_made_for_it_a_new_log_looks_for_nothing),
    T(a_new_log_has_no_files_until_its_first_record_or_a_clean_end), T(one_of_many_new_logs_has_not_even_a_directory_until_then),
    T(the_directories_of_many_new_logs_share_one_sync),
    T(where_many_new_logs_go_is_looked_up_at_once_and_what_stands_there_is_found),
    T(epochs_answer_as_kafka_s_cache_does),
    T(a_new_topic_does_not_inherit_the_start_offset_of_a_deleted_one_over_crashes),
    T(what_was_recovered_after_a_kill_is_not_recovered_by_the_next_start), T(a_recovery_syncs_for_each_log_and_not_for_each_segment),
    T(a_flush_of_many_segments_that_is_cut_short_has_moved_the_recovery_point))
