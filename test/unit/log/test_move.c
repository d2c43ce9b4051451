/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_move.c - a log moves to another directory: what it holds afterwards, and what a death or a failing disk leaves at every step.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/reclaim.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define OPEN(f) do { struct errbuf eb_ = ERRBUF_INIT; enum err e_ = fixture_open((f), &eb_); \
	CHECK_STR(eb_.text, ""); if (e_ != OK) abort(); } while (0)

static struct append_result
put(struct fixture *f, struct log *log, int32_t sequence)
{
	return (fixture_append(f, log, &(struct batch_spec){ .value_len = 700, .producer_id = 3, .sequence = sequence }));
}

/* To the other directory; until it is there or fails. */
static enum err
move(struct fixture *f, struct log *log, bool *swapped, struct errbuf *eb)
{
	const char *to = strcmp(log_dir(log), f->path[0]) == 0 ? f->path[1] : f->path[0];
	struct log *future = log_dirs_find_future(f->dirs, "t", 0);
	uint64_t copied;
	bool caught_up;
	enum err e = OK;

	*swapped = false;
	if (future == NULL)
		e = log_dirs_move_begin(f->dirs, "t", 0, to, &f->options, &future, eb);
	if (e == OK)
		e = log_dirs_move_align(f->dirs, log, future, eb);
	while (e == OK && !*swapped) {
		e = log_dirs_move_copy(f->dirs, log, future, 4096, &copied, &caught_up, eb);
		if (e == OK && caught_up)
			e = log_dirs_move_swap(f->dirs, log, future, swapped, eb);
	}
	if (*swapped)
		log_dirs_move_retire(f->dirs, log);
	log_unref(&future);
	return (e);
}

static struct log *
find(struct fixture *f)
{
	struct log *log = log_dirs_find(f->dirs, "t", 0);

	CHECK(log != NULL);
	if (log == NULL)
		abort();
	return (log);
}

static unsigned
entries(struct fixture *f, unsigned dir, const char *part)
{
	char command[1200], out[32] = "";
	FILE *p;

	snprintf(command, sizeof(command), "ls '%s' | grep -c -e '%s'", f->path[dir], part);
	p = popen(command, "r");
	if (p == NULL || fgets(out, sizeof(out), p) == NULL)
		out[0] = '\0';
	if (p != NULL)
		pclose(p);
	return ((unsigned)atoi(out));
}

TEST(a_log_that_has_moved_is_the_same_log)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new;
	int64_t start;
	bool swapped;

	fixture_init(&f, 2);
	f.options.segment_bytes = 8192;
	OPEN(&f);
	old = fixture_log(&f);
	for (int i = 0; i < 40; i++)
		CHECK_EQ(put(&f, old, i).error, KERR_NONE);
	log_raise_high_watermark(old, 39);
	CHECK_EQ(log_delete_records(old, 11, &start), KERR_NONE);
	fixture_lead(old, 9);		/* an epoch without a batch */
	CHECK_STR(log_dir(old), f.path[0]);
	CHECK_EQ(move(&f, old, &swapped, &eb), OK);
	REQUIRE(swapped);
	new = find(&f);
	CHECK(new != old);
	CHECK(!log_is_future(new));
	CHECK_STR(log_dir(new), f.path[1]);
	CHECK_EQ(log_start_offset(new), 11);
	CHECK_EQ(log_end_offset(new), 40);
	CHECK_EQ(log_high_watermark(new), 39);
	CHECK_EQ(log_latest_epoch(new), 9);
	CHECK_EQ(log_epoch_of_offset(new, 20), 5);
	CHECK_GE(log_segment_count(new), 3);
	CHECK_EQ(fixture_read_all(new, 11), 29);
	log_check(new);
	/* Who still has the old one, and the last batch once more: where it was. */
	CHECK_EQ(put(&f, old, 40).base_offset, 40);
	CHECK(put(&f, old, 40).duplicate);
	CHECK(put(&f, new, 38).duplicate);
	CHECK_EQ(put(&f, new, 41).base_offset, 41);
	CHECK_EQ(log_end_offset(old), 40);
	CHECK_EQ(log_producer_count(old), 1);
	CHECK_EQ(log_delete_records(old, 12, &start), KERR_NONE);
	CHECK_EQ(log_start_offset(new), 12);
	/* Rolls, retention and its deleted files find the new place. */
	for (int i = 42; i < 60; i++)
		CHECK_EQ(put(&f, new, i).error, KERR_NONE);
	log_raise_high_watermark(new, 50);
	CHECK_EQ(log_delete_records(new, 50, &start), KERR_NONE);
	log_dirs_retain(f.dirs);
	CHECK_EQ(fixture_read_all(new, 50), 10);
	CHECK_EQ(entries(&f, 0, "^t-0$"), 0);
	CHECK_EQ(entries(&f, 0, "^t-0\\..*-delete$"), 1);
	CHECK_EQ(entries(&f, 1, "^t-0$"), 1);
	CHECK_EQ(entries(&f, 1, "future"), 0);
	clock_manual_advance_ns(&f.clock, INT64_C(60001) * 1000000);
	log_dirs_delete_due(f.dirs);
	CHECK_EQ(entries(&f, 0, "^t-0"), 0);
	CHECK_EQ(f.offline, 0);
	log_unref(&old);
	log_unref(&new);
	fixture_close(&f);
	OPEN(&f);
	new = find(&f);
	CHECK_EQ(log_start_offset(new), 50);
	CHECK_EQ(fixture_read_all(new, 50), 10);
	fixture_lead(new, 10);
	CHECK(put(&f, new, 59).duplicate);
	/* And back. */
	CHECK_EQ(move(&f, new, &swapped, &eb), OK);
	CHECK(swapped);
	old = find(&f);
	CHECK_STR(log_dir(old), f.path[0]);
	CHECK_EQ(fixture_read_all(old, 50), 10);
	log_unref(&old);
	log_unref(&new);
	fixture_fini(&f);
}

TEST(a_move_that_is_broken_off_goes_on_after_a_restart)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log, *future = NULL;
	uint64_t copied;
	bool caught_up, swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 30; i++)
		CHECK_EQ(put(&f, log, i).error, KERR_NONE);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[1], &f.options, &future, &eb), OK);
	CHECK_EQ(log_dirs_move_align(f.dirs, log, future, &eb), OK);
	CHECK_EQ(log_dirs_move_copy(f.dirs, log, future, UINT64_MAX, &copied, &caught_up, &eb), OK);
	CHECK_EQ(log_end_offset(future), 30);
	/* The current log loses its tail and goes another way: the future one must follow. */
	CHECK_EQ(log_truncate_to(log, 20, &eb), OK);
	fixture_lead(log, 6);
	for (int i = 20; i < 35; i++)
		CHECK_EQ(put(&f, log, i).error, KERR_NONE);
	log_unref(&future);
	log_unref(&log);
	fixture_crash(&f);
	OPEN(&f);
	log = find(&f);
	fixture_lead(log, 7);
	future = log_dirs_find_future(f.dirs, "t", 0);
	REQUIRE(future != NULL);
	CHECK(log_is_future(future));
	CHECK_EQ(log_end_offset(future), 30);
	log_unref(&future);
	CHECK_EQ(move(&f, log, &swapped, &eb), OK);
	CHECK(swapped);
	log_unref(&log);
	log = find(&f);
	CHECK_EQ(log_end_offset(log), 35);
	CHECK_EQ(log_epoch_of_offset(log, 19), 5);
	CHECK_EQ(log_epoch_of_offset(log, 20), 6);
	CHECK_EQ(fixture_read_all(log, 0), 35);
	log_unref(&log);
	fixture_fini(&f);
}

/* Moved, and the old log not retired yet: a reader may still have it. */
static struct log *
moved_not_retired(struct fixture *f, struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *future = NULL;
	uint64_t copied;
	bool caught_up, swapped = false;

	CHECK_EQ(log_dirs_move_begin(f->dirs, "t", 0, f->path[1], &f->options, &future, &eb), OK);
	CHECK_EQ(log_dirs_move_align(f->dirs, log, future, &eb), OK);
	CHECK_EQ(log_dirs_move_copy(f->dirs, log, future, UINT64_MAX, &copied, &caught_up, &eb), OK);
	CHECK_EQ(log_dirs_move_swap(f->dirs, log, future, &swapped, &eb), OK);
	if (!swapped)
		abort();
	return (future);
}

TEST(who_still_has_the_old_log_tells_the_new_one)
{
	const struct uuid id = { { 0xaa, 0xbb, 7 } };
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new, *same;
	struct log_options o;

	fixture_init(&f, 2);
	OPEN(&f);
	old = fixture_log(&f);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(put(&f, old, i).error, KERR_NONE);
	new = moved_not_retired(&f, old);
	fixture_lead(old, 9);
	CHECK_EQ(log_latest_epoch(new), 9);
	log_own(old);			/* the swap has not given it up */
	log_own(new);
	log_set_role(old, &(struct log_role){ .leader = true, .min_isr_met = false, .leader_epoch = 9 });	/* and it is told by a loop, once more */
	log_disown(new);
	log_disown(old);
	CHECK(!new->role.min_isr_met);
	CHECK_EQ(put(&f, old, 10).error, KERR_NOT_LEADER_OR_FOLLOWER);	/* a set of the epoch that the old one knows */
	CHECK_EQ(put(&f, new, 10).base_offset, 10);
	o = f.options;
	o.flush_messages = 5;
	log_set_options(old, &o);
	CHECK_EQ(new->options.flush_messages, 5);
	log_set_min_isr_met(old, 9, true);
	log_set_min_isr_met(old, 8, false);	/* of an epoch that is not its */
	CHECK(new->role.min_isr_met);
	CHECK_EQ(log_set_topic_id(old, id, &eb), OK);
	CHECK(uuid_eq(log_topic_id(new), id));
	same = log_ref(old);
	log_follow_move(&same);
	CHECK(same == new);
	log_follow_move(&same);
	CHECK(same == new);
	log_unref(&same);
	log_follow_move(&same);
	CHECK(same == NULL);
	log_dirs_move_retire(f.dirs, old);
	log_unref(&old);
	log_unref(&new);
	fixture_close(&f);
	OPEN(&f);
	new = find(&f);
	CHECK_EQ(log_latest_epoch(new), 9);
	CHECK(uuid_eq(log_topic_id(new), id));
	log_unref(&new);
	fixture_fini(&f);
}

TEST(a_topic_id_that_is_learnt_during_a_move_goes_along)
{
	const struct uuid id = { { 0xaa, 0xbb, 7 } };
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new, *future = NULL;
	bool swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	old = fixture_log(&f);
	CHECK_EQ(put(&f, old, 0).error, KERR_NONE);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[1], &f.options, &future, &eb), OK);
	CHECK_EQ(log_set_topic_id(old, id, &eb), OK);
	CHECK_EQ(move(&f, old, &swapped, &eb), OK);
	CHECK(swapped);
	log_unref(&future);
	log_unref(&old);
	fixture_crash(&f);
	OPEN(&f);
	new = find(&f);
	CHECK_STR(log_dir(new), f.path[1]);
	CHECK(uuid_eq(log_topic_id(new), id));
	log_unref(&new);
	fixture_fini(&f);
}

TEST(a_topic_deleted_before_the_old_log_is_retired_takes_it_along)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new, *other = NULL;

	fixture_init(&f, 2);
	OPEN(&f);
	old = fixture_log(&f);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(put(&f, old, i).error, KERR_NONE);
	new = moved_not_retired(&f, old);
	CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, &eb), OK);
	CHECK_EQ(entries(&f, 0, "^t-0$") + entries(&f, 1, "^t-0$"), 0);
	/* Made again, in the directory of the old one: nothing of it is inherited, and its late retirement takes nothing away. */
	CHECK_EQ(log_dirs_prefer(f.dirs, "t", 0, f.path[0]), OK);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 0, (struct uuid){ 0 }, &f.options, &other, &eb), OK);
	REQUIRE(other != NULL);
	CHECK_EQ(log_end_offset(other), 0);
	log_dirs_move_retire(f.dirs, old);
	CHECK_EQ(entries(&f, 0, "^t-0$"), 1);
	CHECK_EQ(f.offline, 0);
	log_unref(&old);
	log_unref(&new);
	log_unref(&other);
	fixture_crash(&f);
	OPEN(&f);
	other = find(&f);
	CHECK_EQ(log_end_offset(other), 0);
	log_unref(&other);
	fixture_fini(&f);
}

TEST(a_log_sent_back_before_it_is_retired_waits_for_that)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new, *back = NULL;
	uint64_t copied;
	bool caught_up, swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	old = fixture_log(&f);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(put(&f, old, i).error, KERR_NONE);
	new = moved_not_retired(&f, old);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[0], &f.options, &back, &eb), OK);
	CHECK_EQ(log_dirs_move_align(f.dirs, new, back, &eb), OK);
	CHECK_EQ(log_dirs_move_copy(f.dirs, new, back, UINT64_MAX, &copied, &caught_up, &eb), OK);
	CHECK_EQ(log_dirs_move_swap(f.dirs, new, back, &swapped, &eb), OK);
	CHECK(!swapped);
	CHECK_EQ(f.offline, 0);
	log_dirs_move_retire(f.dirs, old);
	CHECK_EQ(log_dirs_move_swap(f.dirs, new, back, &swapped, &eb), OK);
	CHECK(swapped);
	log_dirs_move_retire(f.dirs, new);
	CHECK_EQ(f.offline, 0);
	CHECK_EQ(entries(&f, 0, "^t-0$"), 1);
	CHECK_EQ(entries(&f, 1, "^t-0$"), 0);
	CHECK_EQ(fixture_read_all(back, 0), 10);
	log_unref(&old);
	log_unref(&new);
	log_unref(&back);
	fixture_fini(&f);
}

TEST(a_log_that_begins_in_the_middle_of_a_batch_moves)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *old, *new;
	int64_t start;
	bool swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	old = fixture_log(&f);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(fixture_append(&f, old, &(struct batch_spec){ .records = 10, .value_len = 100, .producer_id = 3, .sequence = 10 * i }).error, KERR_NONE);
	log_raise_high_watermark(old, 40);
	CHECK_EQ(log_delete_records(old, 15, &start), KERR_NONE);
	CHECK_EQ(move(&f, old, &swapped, &eb), OK);
	CHECK(swapped);
	new = find(&f);
	CHECK_STR(log_dir(new), f.path[1]);
	CHECK_EQ(log_start_offset(new), 15);
	CHECK_EQ(log_end_offset(new), 40);
	CHECK_EQ(fixture_read_all(new, 15), fixture_read_all(old, 15));
	log_check(new);
	log_unref(&old);
	log_unref(&new);
	fixture_close(&f);
	OPEN(&f);
	new = find(&f);
	CHECK_EQ(log_start_offset(new), 15);
	log_unref(&new);
	fixture_fini(&f);
}

TEST(a_move_can_be_cancelled_and_a_deleted_topic_ends_it)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log, *future = NULL;
	uint64_t copied;
	bool caught_up, swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	log = fixture_log(&f);
	(void)fixture_put(&f, log);
	CHECK_EQ(log_dirs_move_cancel(f.dirs, "t", 0, &eb), ERR_NOTFOUND);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, "/no/such", &f.options, &future, &eb), ERR_NOTFOUND);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[0], &f.options, &future, &eb), ERR_EXISTS);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "no", 0, f.path[1], &f.options, &future, &eb), ERR_NOTFOUND);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[1], &f.options, &future, &eb), OK);
		CHECK_EQ(log_dirs_move_align(f.dirs, log, future, &eb), OK);
		CHECK_EQ(entries(&f, 1, "^t-0\\..*-future$"), 1);
		if (i == 0)
			CHECK_EQ(log_dirs_move_cancel(f.dirs, "t", 0, &eb), OK);
		else
			CHECK_EQ(log_dirs_delete(f.dirs, "t", 0, &eb), OK);
		CHECK_EQ(entries(&f, 1, "future"), 0);
		CHECK_EQ(log_dirs_move_copy(f.dirs, log, future, 1, &copied, &caught_up, &eb), ERR_CLOSED);
		CHECK_EQ(log_dirs_move_swap(f.dirs, log, future, &swapped, &eb), ERR_OFFLINE);
		CHECK(!swapped);
		log_unref(&future);
	}
	CHECK_EQ(log_dirs_count(f.dirs), 0);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_partition_that_comes_later_is_made_where_it_was_asked_for)
{
	struct log_dir_info rows[2];
	struct fixture f;
	struct log *log = NULL;

	fixture_init(&f, 2);
	OPEN(&f);
	CHECK_EQ(log_dirs_check_path(f.dirs, "/no/such"), ERR_NOTFOUND);
	CHECK_EQ(log_dirs_check_path(f.dirs, f.path[1]), OK);
	CHECK_EQ(log_dirs_prefer(f.dirs, "t", 7, "/no/such"), ERR_NOTFOUND);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(log_dirs_prefer(f.dirs, "t", i, f.path[0]), OK);
		CHECK_EQ(log_dirs_prefer(f.dirs, "t", i, f.path[1]), OK);
		CHECK_EQ(log_dirs_create(f.dirs, "t", i, UUID_ZERO, &f.options, &log, NULL), OK);
		CHECK_STR(log_dir(log), f.path[1]);
		log_unref(&log);
	}
	CHECK_EQ(log_dirs_prefer(f.dirs, "never", 1, f.path[1]), OK);
	CHECK_EQ(log_dirs_create(f.dirs, "t", 3, UUID_ZERO, &f.options, &log, NULL), OK);
	CHECK_STR(log_dir(log), f.path[0]);
	log_unref(&log);
	CHECK_EQ(log_dirs_info(f.dirs, rows, 2), 2);
	CHECK_EQ(rows[1].logs, 3);
	fixture_fini(&f);
}

/* ---- every step ---- */

enum victim { BOTH, SOURCE, TARGET, VICTIMS };

static void
check_whole(struct fixture *f, int64_t acked, unsigned n, enum victim who)
{
	struct log *log = log_dirs_find(f->dirs, "t", 0);

	unit_check(log != NULL, __FILE__, __LINE__, "call %u, victim %d: no log", n, who);
	if (log == NULL)
		return;
	unit_check(log_end_offset(log) == acked && fixture_read_all(log, 0) == acked, __FILE__, __LINE__,
	    "call %u, victim %d: ends at %lld of %lld, in %s", n, who, (long long)log_end_offset(log), (long long)acked, log_path(log));
	log_check(log);
	log_unref(&log);
}

static int64_t
append_while_it_serves(struct fixture *f, int64_t acked)
{
	struct log *log = log_dirs_find(f->dirs, "t", 0);

	if (log != NULL && !log_is_offline(log) && put(f, log, (int32_t)acked).error == KERR_NONE)
		acked++;
	log_unref(&log);
	return (acked);
}

/* The disk (or one of the two) dies at the n-th call that changes something.  What serves on takes more; then everything is good again. */
static bool
die_at(unsigned n, enum victim who)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	int64_t acked = 0;
	bool swapped, fired;

	fixture_init(&f, 2);
	f.fs = fs;
	f.options.segment_bytes = 8192;
	OPEN(&f);
	log = fixture_log(&f);
	while (acked < 25)
		acked = append_while_it_serves(&f, acked);
	fs_fault_only(fs, who == BOTH ? NULL : f.path[who == SOURCE ? 0 : 1]);
	fs_fault_stay(fs, true);
	fs_fault_arm(fs, FS_FAULT_RENAME | FS_FAULT_MKDIR | FS_FAULT_SYNC_DIR | FS_FAULT_WRITE | FS_FAULT_SYNC | FS_FAULT_UNLINK | FS_FAULT_TRUNCATE, n, ERR_IO);
	(void)!move(&f, log, &swapped, &eb);
	log_unref(&log);
	for (int i = 0; i < 3; i++)
		acked = append_while_it_serves(&f, acked);
	fired = fs_fault_fired(fs);
	fs_fault_arm(fs, 0, 0, OK);
	fixture_crash(&f);
	OPEN(&f);
	log = find(&f);
	/* A batch whose write failed, and could not be taken back from a disk that was dead by then, may be there. */
	unit_check(log_end_offset(log) >= acked && log_end_offset(log) <= acked + 1, __FILE__, __LINE__, "call %u, victim %d: ends at %lld of %lld",
	    n, who, (long long)log_end_offset(log), (long long)acked);
	acked = log_end_offset(log);
	check_whole(&f, acked, n, who);
	fixture_lead(log, 8);
	acked = append_while_it_serves(&f, acked);
	unit_check(move(&f, log, &swapped, &eb) == OK && swapped, __FILE__, __LINE__, "call %u, victim %d: the move does not go on: %s", n, who, eb.text);
	log_unref(&log);
	check_whole(&f, acked, n, who);
	fixture_close(&f);
	OPEN(&f);
	check_whole(&f, acked, n, who);
	unit_check(entries(&f, 0, "^t-0$") + entries(&f, 1, "^t-0$") == 1 && entries(&f, 0, "future") + entries(&f, 1, "future") == 0, __FILE__, __LINE__,
	    "call %u, victim %d: not one log is left", n, who);
	fixture_fini(&f);
	fs_fault_free(&fs);
	return (fired);
}

TEST(whatever_dies_during_a_move_one_whole_log_is_left)
{
	for (enum victim who = BOTH; who < VICTIMS; who++) {
		unsigned n = 1;

		while (die_at(n, who))
			n++;
		CHECK_GE(n, who == SOURCE ? 3 : 20);
	}
}

/* ---- the recovery point moves, too ---- */

/* A log that was compacted once: a segment at 5, a hole, a segment at 50 that nothing closed.  Flushed, and the checkpoints say so. */
static struct log *
log_with_a_hole(struct fixture *f)
{
	const struct batch_spec below = { .base_offset = 5, .leader_epoch = 7, .value_len = 200 }, above = { .base_offset = 50, .leader_epoch = 7 };
	struct log *log = fixture_log(f);

	fixture_follow(log, 7);
	CHECK_EQ(fixture_replicate(f, log, &below, 1).error, KERR_NONE);
	f->options.segment_bytes = 300;
	log_set_options(log, &f->options);
	CHECK_EQ(fixture_replicate(f, log, &above, 1).error, KERR_NONE);
	CHECK_EQ(log_segment_count(log), 2);
	CHECK_EQ(log_flush(log, NULL), OK);
	log_dirs_checkpoint_recovery_points(f->dirs);
	return (log);
}

static void
check_both_segments(struct fixture *f, const char *when, unsigned n)
{
	struct log *log = log_dirs_find(f->dirs, "t", 0);

	unit_check(log != NULL && log_end_offset(log) == 51 && log_segment_count(log) == 2, __FILE__, __LINE__, "%s (%u): ends at %lld, %u segments, in %s", when, n,
	    log == NULL ? -1LL : (long long)log_end_offset(log), log == NULL ? 0 : (unsigned)log_segment_count(log), log == NULL ? "no place" : log_path(log));
	log_unref(&log);
}

static bool
has_point(struct fixture *f, unsigned dir)
{
	char command[1200];

	snprintf(command, sizeof(command), "grep -q '^t 0 ' '%s/recovery-point-offset-checkpoint'", f->path[dir]);
	return (system(command) == 0);
}

TEST(a_log_killed_right_after_it_has_moved_keeps_what_is_behind_an_old_hole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	bool swapped;

	fixture_init(&f, 2);
	OPEN(&f);
	log = log_with_a_hole(&f);
	CHECK_EQ(move(&f, log, &swapped, &eb), OK);
	REQUIRE(swapped);
	log_unref(&log);
	CHECK(!has_point(&f, 0));
	CHECK(has_point(&f, 1));
	fixture_crash(&f);
	OPEN(&f);
	check_both_segments(&f, "moved", 0);
	fixture_fini(&f);
}

/* A checkpoint comes between the swap and the retirement, then a kill, and the new directory never comes back. */
TEST(what_a_swap_has_replaced_keeps_its_recovery_point_until_it_is_retired)
{
	struct fixture f;
	struct log *old, *new;
	char command[1200];

	fixture_init(&f, 2);
	OPEN(&f);
	old = log_with_a_hole(&f);
	new = moved_not_retired(&f, old);
	log_dirs_checkpoint_recovery_points(f.dirs);
	CHECK(has_point(&f, 0));
	CHECK(has_point(&f, 1));
	log_unref(&old);
	log_unref(&new);
	fixture_crash(&f);
	snprintf(command, sizeof(command), "rm -r '%s'", f.path[1]);
	CHECK_EQ(system(command), 0);
	OPEN(&f);
	check_both_segments(&f, "the old one", 0);
	fixture_fini(&f);
}

/* The new one cannot be had for now: the old one serves on, as if its directory had not been there at all. */
TEST(what_a_swap_has_replaced_is_kept_by_a_start_in_which_the_new_directory_fails)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct fixture f;
	struct log *old, *new, *other = NULL;

	fixture_init(&f, 2);
	f.fs = fs;
	OPEN(&f);
	old = log_with_a_hole(&f);
	new = moved_not_retired(&f, old);
	CHECK_EQ(log_dirs_prefer(f.dirs, "u", 0, f.path[1]), OK);
	CHECK_EQ(log_dirs_create(f.dirs, "u", 0, UUID_ZERO, &f.options, &other, NULL), OK);
	fixture_lead(other, 5);
	(void)fixture_put(&f, other);
	log_unref(&old);
	log_unref(&new);
	log_unref(&other);
	fixture_crash(&f);
	fs_fault_only(fs, "/u-0/");
	fs_fault_arm(fs, FS_FAULT_READ, 1, ERR_IO);
	OPEN(&f);
	CHECK_EQ(f.offline, 1);
	new = find(&f);
	CHECK_STR(log_dir(new), f.path[0]);
	log_unref(&new);
	check_both_segments(&f, "the old one", 0);
	CHECK_EQ(entries(&f, 0, "^t-0$"), 1);
	CHECK_EQ(entries(&f, 1, "^t-0$"), 1);
	fs_fault_arm(fs, 0, 0, OK);
	fixture_crash(&f);
	OPEN(&f);
	check_both_segments(&f, "one of them", 0);
	CHECK_EQ(entries(&f, 0, "^t-0$") + entries(&f, 1, "^t-0$"), 1);
	fixture_fini(&f);
	fs_fault_free(&fs);
}

/* Both directories, or one, die at the n-th call of a move, and the broker with them. */
static bool
die_with_a_hole(unsigned n, enum victim who)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	struct log *log;
	bool swapped, fired;

	fixture_init(&f, 2);
	f.fs = fs;
	OPEN(&f);
	log = log_with_a_hole(&f);
	fs_fault_only(fs, who == BOTH ? NULL : f.path[who == SOURCE ? 0 : 1]);
	fs_fault_stay(fs, true);
	fs_fault_arm(fs, FS_FAULT_RENAME | FS_FAULT_MKDIR | FS_FAULT_SYNC_DIR | FS_FAULT_WRITE | FS_FAULT_SYNC | FS_FAULT_UNLINK | FS_FAULT_TRUNCATE, n, ERR_IO);
	(void)!move(&f, log, &swapped, &eb);
	log_unref(&log);
	fired = fs_fault_fired(fs);
	fs_fault_arm(fs, 0, 0, OK);
	fixture_crash(&f);
	OPEN(&f);
	check_both_segments(&f, "died at call", n);
	fixture_fini(&f);
	fs_fault_free(&fs);
	return (fired);
}

TEST(whatever_dies_during_a_move_nothing_behind_an_old_hole_is_lost)
{
	for (enum victim who = BOTH; who < VICTIMS; who++) {
		unsigned n = 1;

		while (die_with_a_hole(n, who))
			n++;
		CHECK_GE(n, who == SOURCE ? 3 : 20);
	}
}

/* ---- a log that is out of the table ---- */

struct cut {
	pthread_t thread;
	struct log_dirs *dirs;
	struct log *log;
	enum err e;
};

static void *
cut_run(void *p)
{
	struct cut *c = p;

	reclaim_thread_register();
	c->e = log_truncate_to(c->log, 5, NULL);
	reclaim_thread_unregister();
	return (NULL);
}

static void *
cancel_run(void *p)
{
	struct cut *c = p;

	reclaim_thread_register();
	c->e = log_dirs_move_cancel(c->dirs, "t", 0, NULL);
	reclaim_thread_unregister();
	return (NULL);
}

static void
a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Its truncation waits for a reader, and in that time it is taken out of the table: no checkpoint knows it any more, and no disk has failed. */
TEST(a_log_taken_away_while_it_is_cut_fails_no_directory)
{
	struct fixture f;
	struct log *log, *future = NULL, *there;
	struct cut cut = { .e = OK }, cancel = { .e = OK };
	uint64_t copied;
	bool caught_up;
	uint32_t phase;

	fixture_init(&f, 2);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 10; i++)
		(void)fixture_put(&f, log);
	CHECK_EQ(log_dirs_move_begin(f.dirs, "t", 0, f.path[1], &f.options, &future, NULL), OK);
	REQUIRE(future != NULL);
	CHECK_EQ(log_dirs_move_align(f.dirs, log, future, NULL), OK);
	CHECK_EQ(log_dirs_move_copy(f.dirs, log, future, UINT64_MAX, &copied, &caught_up, NULL), OK);
	CHECK_EQ(log_flush(future, NULL), OK);
	log_dirs_checkpoint_recovery_points(f.dirs);
	phase = log_read_enter(future);
	cut.log = future;
	cancel.dirs = f.dirs;
	REQUIRE(pthread_create(&cut.thread, NULL, cut_run, &cut) == 0);
	while (log_end_offset(future) != 5)
		a_moment();
	REQUIRE(pthread_create(&cancel.thread, NULL, cancel_run, &cancel) == 0);
	while ((there = log_dirs_find_future(f.dirs, "t", 0)) != NULL) {
		log_unref(&there);
		a_moment();
	}
	log_read_leave(future, phase);
	pthread_join(cut.thread, NULL);
	pthread_join(cancel.thread, NULL);
	CHECK_EQ(cut.e, ERR_CLOSED);
	CHECK_EQ(cancel.e, OK);
	CHECK_EQ(f.offline, 0);
	log_unref(&future);
	log_unref(&log);
	fixture_fini(&f);
}

UNIT_MAIN("log/move", T(a_log_that_has_moved_is_the_same_log), T(a_move_that_is_broken_off_goes_on_after_a_restart),
    T(who_still_has_the_old_log_tells_the_new_one), T(a_topic_id_that_is_learnt_during_a_move_goes_along),
    T(a_topic_deleted_before_the_old_log_is_retired_takes_it_along), T(a_log_sent_back_before_it_is_retired_waits_for_that),
    T(a_log_that_begins_in_the_middle_of_a_batch_moves), T(a_move_can_be_cancelled_and_a_deleted_topic_ends_it), T(a_partition_that_comes_later_is_made_where_it_was_asked_for),
    T(whatever_dies_during_a_move_one_whole_log_is_left), T(a_log_killed_right_after_it_has_moved_keeps_what_is_behind_an_old_hole),
    T(what_a_swap_has_replaced_keeps_its_recovery_point_until_it_is_retired),
    T(what_a_swap_has_replaced_is_kept_by_a_start_in_which_the_new_directory_fails), T(whatever_dies_during_a_move_nothing_behind_an_old_hole_is_lost),
    T(a_log_taken_away_while_it_is_cut_fails_no_directory))
