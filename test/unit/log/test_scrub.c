/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_scrub.c - log/scrub.h on a clock that only moves when told: the rate, what is told and how often, logs that change under it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "log/inspect.h"
#include "log/scrub.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { TURN_MS = 100, RATE = 100000, MINUTE_MS = 60000 };

struct scrubbed {
	struct fixture	 f;
	struct log	*log;
	struct scrubber *s;
	struct metrics	 metrics;
};

static struct log_dirs *
open_dirs(struct scrubbed *t)
{
	const char *paths[1] = { t->f.path[0] };
	const struct log_dirs_options o = { .fs = t->f.fs, .clock = &t->f.clock.clock, .diag = t->f.diag, .metrics = &t->metrics,
	    .random = &t->f.random.random, .dirs = paths, .ndirs = 1, .defaults = t->f.options };
	struct log_dirs *ld = NULL;

	CHECK_EQ(log_dirs_new(&o, &ld, NULL), OK);
	CHECK_EQ(log_dirs_set_identity(ld, 1, "AAAAAAAAAAAAAAAAAAAAAA", NULL), OK);
	CHECK_EQ(log_dirs_load(ld, NULL), OK);
	return (ld);
}

static void
scrub_begin(struct scrubbed *t, struct fs *fs)
{
	memset(t, 0, sizeof(*t));
	fixture_init(&t->f, 1);
	if (fs != NULL)
		t->f.fs = fs;
	t->f.dirs = open_dirs(t);
	t->log = fixture_log(&t->f);
	for (int i = 0; i < 200; i++) {
		clock_manual_advance_ns(&t->f.clock, INT64_C(10000000));
		CHECK_EQ(fixture_append(&t->f, t->log, &(struct batch_spec){ .records = 3, .value_len = 150, .producer_id = 100 + i, .transactional = i % 20 == 0 }).error, KERR_NONE);
		if (i % 20 == 0)
			CHECK_EQ(fixture_marker(&t->f, t->log, 100 + i, 0, false, 1).error, KERR_NONE);
	}
	CHECK_GE(log_segment_count(t->log), 5);
	t->s = scrubber_new(t->f.dirs, RATE);
	t->f.lines[0] = '\0';
}

static void
scrub_end(struct scrubbed *t)
{
	scrubber_free(&t->s);
	log_unref(&t->log);
	fixture_fini(&t->f);
}

static int64_t bytes_read(struct scrubbed *t) { return (metric_get(&t->metrics, METRIC_scrubbed_bytes_total)); }
static int64_t passes(struct scrubbed *t) { return (metric_get(&t->metrics, METRIC_scrub_passes_total)); }
static int64_t damage(struct scrubbed *t) { return (metric_get(&t->metrics, METRIC_scrub_damage_total)); }

static void
turns(struct scrubbed *t, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		clock_manual_advance_ns(&t->f.clock, TURN_MS * INT64_C(1000000));
		scrubber_turn(t->s);
	}
}

static void
one_pass(struct scrubbed *t)
{
	int64_t before = passes(t);

	for (unsigned i = 0; i < 2 * MINUTE_MS / TURN_MS && passes(t) == before; i++)
		turns(t, 1);
	CHECK_EQ(passes(t), before + 1);
}

static unsigned
lines_with(struct scrubbed *t, const char *words)
{
	unsigned n = 0;

	for (const char *p = t->f.lines; (p = strstr(p, words)) != NULL; p++)
		n++;
	return (n);
}

/* One bit of the closed segment nth. */
static char *
flip(struct scrubbed *t, unsigned nth, const char *suffix, uint64_t at)
{
	struct log_files lf;
	struct file *f = NULL;
	uint8_t byte;
	char *path;

	CHECK_EQ(log_files_list(fixture_fs(), log_path(t->log), &lf, NULL), OK);
	path = log_file_path(log_path(t->log), lf.bases[nth], suffix);
	log_files_fini(&lf);
	CHECK_EQ(file_open(fixture_fs(), path, FS_RDWR, &f, NULL), OK);
	CHECK_EQ(file_pread_full(f, &byte, 1, at, NULL), OK);
	byte ^= 4;
	CHECK_EQ(file_pwrite(f, &byte, 1, at, NULL), OK);
	file_unref(&f);
	return (path);
}

/* ---- the rate ---- */

TEST(closed_segments_are_read_once_a_pass_at_the_rate_and_nothing_is_told_of_good_ones)
{
	struct scrubbed t;
	int64_t all;

	scrub_begin(&t, NULL);
	for (unsigned i = 1; i <= 5; i++) {
		turns(&t, 1);
		CHECK_GE(i * RATE / 10 + 2000 + 5000, bytes_read(&t));	/* a batch, and the indexes of a segment */
	}
	CHECK_GE(bytes_read(&t), 5 * RATE / 10 - 2 * RATE / 10);
	CHECK_EQ(passes(&t), 0);
	one_pass(&t);
	all = bytes_read(&t);
	CHECK_GE((int64_t)log_size(t.log) + 20000, all);	/* with the indexes */
	CHECK_GE(all, (int64_t)log_size(t.log) - 16384);	/* without the active segment */
	turns(&t, 60);
	CHECK_EQ(bytes_read(&t), all);			/* the next pass waits for its time */
	one_pass(&t);
	CHECK_EQ(bytes_read(&t), 2 * all);
	CHECK_EQ(damage(&t), 0);
	CHECK_EQ(lines_with(&t, "Nothing was changed"), 0);
	scrub_end(&t);
}

TEST(a_long_sleep_is_not_made_up_for_and_a_stop_is_obeyed)
{
	struct scrubbed t;

	scrub_begin(&t, NULL);
	turns(&t, 1);
	clock_manual_advance_ns(&t.f.clock, INT64_C(3600000000000));
	scrubber_turn(t.s);
	CHECK_GE(RATE + 10000, bytes_read(&t));
	scrubber_stop(t.s);
	turns(&t, 50);
	CHECK_GE(RATE + 10000, bytes_read(&t));
	CHECK_EQ(passes(&t), 0);
	scrub_end(&t);
}

/* ---- damage ---- */

TEST(a_flipped_byte_is_told_once_an_hour_with_place_and_remedy_and_changes_nothing)
{
	struct scrubbed t;
	uint64_t size;
	char *path, where[600];

	scrub_begin(&t, NULL);
	size = log_size(t.log);
	path = flip(&t, 1, ".log", 300);
	one_pass(&t);
	CHECK_EQ(damage(&t), 1);
	CHECK_EQ(lines_with(&t, "Nothing was changed"), 1);
	snprintf(where, sizeof(where), "%s: position 0, offset ", path);
	CHECK_EQ(lines_with(&t, where), 1);
	CHECK_EQ(lines_with(&t, "(B2: "), 1);
	CHECK_EQ(lines_with(&t, "ottla log repair"), 1);
	one_pass(&t);
	CHECK_EQ(damage(&t), 2);
	CHECK_EQ(lines_with(&t, where), 1);
	CHECK_EQ(lines_with(&t, "all closed segments were read"), 1);
	free(path);
	path = flip(&t, 2, ".log", 300);		/* another one is told at once, and that the result is another one */
	one_pass(&t);
	CHECK_EQ(damage(&t), 4);
	CHECK_EQ(lines_with(&t, "Nothing was changed"), 2);
	CHECK_EQ(lines_with(&t, "all closed segments were read"), 2);
	clock_manual_advance_ns(&t.f.clock, INT64_C(3600000000000));
	one_pass(&t);
	CHECK_EQ(lines_with(&t, where), 2);
	CHECK_EQ(lines_with(&t, "Nothing was changed"), 4);
	CHECK_EQ(lines_with(&t, "all closed segments were read"), 3);
	CHECK_EQ(log_size(t.log), size);
	CHECK(!log_is_offline(t.log));
	free(path);
	scrub_end(&t);
}

TEST(indexes_that_do_not_fit_are_told)
{
	static const struct { const char *suffix, *rule; uint64_t at; } cases[] = {
		{ ".index", "(I2: ", 7 }, { ".timeindex", "(T2: ", 7 }, { ".txnindex", "(X2: ", 8 }, { ".log", "(B1: ", 8 }, { ".log", "(B3: ", 3 },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct scrubbed t;
		char *path;

		scrub_begin(&t, NULL);
		path = flip(&t, 1, cases[i].suffix, cases[i].at);
		one_pass(&t);
		CHECK_GE(lines_with(&t, cases[i].rule), 1);
		CHECK_GE(damage(&t), 1);
		if (lines_with(&t, cases[i].rule) == 0)
			printf("%s: %s\n", cases[i].suffix, t.f.lines);
		free(path);
		scrub_end(&t);
	}
}

TEST(what_cannot_be_read_is_told_and_the_directory_stays_in_service)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct scrubbed t;

	scrub_begin(&t, fs);
	fs_fault_only(fs, ".log");
	fs_fault_arm(fs, FS_FAULT_READ, 3, ERR_IO);
	one_pass(&t);
	CHECK(fs_fault_fired(fs));
	CHECK_EQ(damage(&t), 1);
	CHECK_EQ(lines_with(&t, "cannot be read: "), 1);
	CHECK(!log_is_offline(t.log));
	CHECK_EQ(fixture_append(&t.f, t.log, &(struct batch_spec){ .records = 1 }).error, KERR_NONE);
	scrub_end(&t);
	fs_fault_free(&fs);
}

/* ---- logs that change meanwhile ---- */

enum change { DELETE_SEGMENTS, DELETE_LOG, CUT, CHANGES };

static void
change(struct scrubbed *t, enum change how, int64_t end)
{
	uint32_t deleted;
	int64_t start;

	switch (how) {
	case DELETE_SEGMENTS:
		log_raise_high_watermark(t->log, end);
		CHECK_EQ(log_delete_records(t->log, end - 5, &start), KERR_NONE);
		CHECK_EQ(log_retain(t->log, &deleted, NULL), OK);
		CHECK_GE(deleted, 3);
		clock_manual_advance_ns(&t->f.clock, INT64_C(3600000000000));
		log_dirs_delete_due(t->f.dirs);
		break;
	case DELETE_LOG:
		log_unref(&t->log);
		CHECK_EQ(log_dirs_delete(t->f.dirs, "t", 0, NULL), OK);
		clock_manual_advance_ns(&t->f.clock, INT64_C(3600000000000));
		log_dirs_delete_due(t->f.dirs);
		break;
	case CUT:			/* and other batches in the same places */
		CHECK_EQ(log_truncate_to(t->log, 40, NULL), OK);
		for (int i = 0; i < 100; i++)
			CHECK_EQ(fixture_append(&t->f, t->log, &(struct batch_spec){ .records = 1, .value_len = 100 + (unsigned)i }).error, KERR_NONE);
		break;
	case CHANGES:
		break;
	}
}

TEST(segments_and_logs_that_go_or_are_cut_while_they_are_read_are_left_without_a_word)
{
	for (unsigned how = 0; how < CHANGES; how++)
		for (unsigned at = 2; at < 10; at++) {
			struct fs *fs = fs_fault_new(fixture_fs());
			struct scrubbed t;
			unsigned open_files;

			scrub_begin(&t, fs);
			open_files = fs_fault_open_files(fs);
			turns(&t, at);
			change(&t, how, log_end_offset(t.log));
			turns(&t, 1);
			if (how != CUT)
				CHECK_GE(open_files, fs_fault_open_files(fs));	/* not even its files */
			one_pass(&t);
			CHECK_EQ(damage(&t), 0);
			CHECK_EQ(lines_with(&t, "Nothing was changed"), 0);
			scrub_end(&t);
			fs_fault_free(&fs);
		}
}

TEST(a_deleted_file_is_closed_though_bytes_are_owed)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct scrubbed t;
	unsigned open_files;

	scrub_begin(&t, fs);
	open_files = fs_fault_open_files(fs);
	scrubber_free(&t.s);
	t.s = scrubber_new(t.f.dirs, 200);	/* a second's worth is less than a batch */
	turns(&t, 2);
	CHECK(fs_fault_open_files(fs) > open_files);
	change(&t, DELETE_LOG, 0);
	turns(&t, 1);
	CHECK_GE(open_files, fs_fault_open_files(fs));
	scrub_end(&t);
	fs_fault_free(&fs);
}

/* ---- the page cache ---- */

static struct {			/* what the file system below was asked for */
	unsigned cached, forgotten, random;
	uint64_t warm_below;	/* positions that are in memory */
	bool	 warm_forgotten;
} cache;

static bool
warm(struct file *f, uint64_t pos, size_t len)
{
	(void)f;
	(void)len;
	cache.cached++;
	return (pos < cache.warm_below);
}

static void
advise(struct file *f, enum fs_advice advice, uint64_t pos, size_t len)
{
	(void)f;
	(void)len;
	cache.random += advice == FS_ADVISE_RANDOM;
	cache.forgotten += advice == FS_ADVISE_FORGET;
	cache.warm_forgotten |= advice == FS_ADVISE_FORGET && pos < cache.warm_below;
}

TEST(only_pages_that_were_not_in_memory_are_dropped_from_it)
{
	struct fs_ops ops = *fixture_fs()->ops;
	struct fs fs = { &ops };
	struct scrubbed t;

	ops.cached = warm;
	ops.advise = advise;
	scrub_begin(&t, &fs);
	cache.warm_below = 8192;
	one_pass(&t);
	CHECK_EQ(cache.random, log_segment_count(t.log) - 1);
	CHECK_EQ(cache.forgotten, 2 * (log_segment_count(t.log) - 1));	/* of the four pages of each */
	CHECK(!cache.warm_forgotten);
	scrub_end(&t);
}

UNIT_MAIN("log/scrub", T(closed_segments_are_read_once_a_pass_at_the_rate_and_nothing_is_told_of_good_ones),
    T(a_long_sleep_is_not_made_up_for_and_a_stop_is_obeyed), T(a_flipped_byte_is_told_once_an_hour_with_place_and_remedy_and_changes_nothing),
    T(indexes_that_do_not_fit_are_told), T(what_cannot_be_read_is_told_and_the_directory_stays_in_service),
    T(segments_and_logs_that_go_or_are_cut_while_they_are_read_are_left_without_a_word), T(a_deleted_file_is_closed_though_bytes_are_owed),
    T(only_pages_that_were_not_in_memory_are_dropped_from_it))
