/* SPDX-License-Identifier: Apache-2.0
 *
 * Index entries that wait in memory.  The index by itself: they are found as those in the file are, by any thread, whatever is written or cut
 * meanwhile, and go to the file several at a time.  In a log: they are in the file wherever somebody believes it, and nothing hangs on them after a kill.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "log/index_int.h"
#include "log/inspect.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { BASE = 5000, GENERATIONS = 7, BYTES_MAX = 1 << 21, THREADED = 60000, CUTS = 200000, READERS = 2 };

static const uint32_t kinds[] = { OFFSET_ENTRY, TIME_ENTRY };

struct one {
	struct fs	   *fs;		/* counts and fails writes */
	struct sparse_index ix;
	_Atomic uint32_t    added;	/* by the threaded writer: never fewer than these are there */
	_Atomic bool	    stop;
	_Atomic uint64_t    looked, wrong;
	bool		    cuts;
};

static void
begin(struct one *o, uint32_t entry_size)
{
	struct errbuf eb = ERRBUF_INIT;

	memset(o, 0, sizeof(*o));
	reclaim_thread_register();
	o->fs = fs_fault_new(fs_unsynced());
	index_init(&o->ix, o->fs, unit_tmpdir(), BASE, entry_size);
	CHECK_EQ(index_reset(&o->ix, BYTES_MAX, &eb), OK);
}

static void
end(struct one *o)
{
	reclaim_barrier();		/* views that are still to be freed have files */
	index_fini(&o->ix);
	fs_fault_free(&o->fs);
	reclaim_thread_unregister();
}

/* Entry n, as it was added the g-th time. */
static struct index_entry
entry_of(const struct sparse_index *ix, uint32_t n, uint32_t g)
{
	struct index_entry e = { .offset = BASE + 10 * (int64_t)(n + 1) + g % GENERATIONS };

	e.key = ix->entry_size == OFFSET_ENTRY ? e.offset : e.offset * 1000;
	e.position = ix->entry_size == OFFSET_ENTRY ? (uint32_t)(100 * (n + 1) + g % GENERATIONS) : 0;
	return (e);
}

static bool
same(const struct index_entry *a, const struct index_entry *b)
{
	return (a->key == b->key && a->offset == b->offset && a->position == b->position);
}

static enum err
add(struct one *o, uint32_t g)
{
	struct index_entry e = entry_of(&o->ix, o->ix.entries, g);
	enum err err = index_has_room(&o->ix) ? OK : index_write_tail(&o->ix, NULL);

	if (err != OK)
		return (err);
	if (o->ix.entry_size == OFFSET_ENTRY)
		offset_index_add(&o->ix, e.offset, e.position);
	else
		time_index_add(&o->ix, e.key, e.offset);
	return (OK);
}

static void
add_some(struct one *o, uint32_t n, uint32_t g)
{
	while (n-- > 0)
		CHECK_EQ(add(o, g), OK);
}

/* Entries [from, to) were added the g-th time, and there is none behind them. */
static void
check_entries(struct one *o, uint32_t from, uint32_t to, uint32_t g)
{
	struct index_entry got, want = { 0 }, next = entry_of(&o->ix, to, 0);

	CHECK_EQ(o->ix.entries, to);
	for (uint32_t i = from; i < to; i++) {
		want = entry_of(&o->ix, i, g);
		CHECK(index_get(&o->ix, i, &got) && same(&got, &want));
		CHECK(index_lookup(&o->ix, want.key + 2, &got) && same(&got, &want));
		CHECK(index_read_entry(&o->ix, i, &got, NULL) == OK && same(&got, &want));
		if (o->ix.entry_size == OFFSET_ENTRY)
			CHECK(offset_index_at_position(&o->ix, want.position - 50, &got) && same(&got, &want));
	}
	CHECK(!index_get(&o->ix, to, &got));
	if (o->ix.entry_size == OFFSET_ENTRY)
		CHECK(!offset_index_at_position(&o->ix, next.position, &got));
	CHECK_EQ(index_last(&o->ix, &got), to > 0);
	CHECK(!index_lookup(&o->ix, BASE, &got));
	CHECK(index_lookup(&o->ix, INT64_MAX, &got) == (to > 0) && (to == from || same(&got, &want)));
}

static int64_t
file_entries(struct one *o)
{
	struct fs_stat st;

	return (o->fs->ops->stat(o->fs, o->ix.path, &st, NULL) == OK && st.size % o->ix.entry_size == 0 ? (int64_t)(st.size / o->ix.entry_size) : -1);
}

TEST(entries_are_found_at_once_and_written_several_at_a_time)
{
	for (size_t k = 0; k < NELEM(kinds); k++) {
		struct index_entry none;
		struct one o;

		begin(&o, kinds[k]);
		CHECK(!index_lookup(&o.ix, INT64_MAX, &none) && !index_get(&o.ix, 0, &none) && !index_last(&o.ix, &none));
		fs_fault_arm(o.fs, FS_FAULT_WRITE, 0, ERR_IO);
		for (uint32_t i = 1; i <= 3 * INDEX_TAIL + 2; i++) {
			CHECK_EQ(add(&o, 0), OK);
			check_entries(&o, 0, i, 0);
			CHECK_EQ(fs_fault_count(o.fs), (i - 1) / INDEX_TAIL);
		}
		CHECK_EQ(index_trim(&o.ix, NULL), OK);
		CHECK_EQ(fs_fault_count(o.fs), 4);
		CHECK_EQ(file_entries(&o), 3 * INDEX_TAIL + 2);
		CHECK(o.ix.tail == NULL);
		check_entries(&o, 0, 3 * INDEX_TAIL + 2, 0);
		add_some(&o, 3, 0);		/* a roll that failed: it goes on */
		check_entries(&o, 0, 3 * INDEX_TAIL + 5, 0);
		end(&o);
	}
}

TEST(who_looks_at_the_end_needs_no_file)
{
	struct index_entry got;
	struct one o;

	begin(&o, OFFSET_ENTRY);
	add_some(&o, INDEX_TAIL + 3, 0);
	fs_fault_arm(o.fs, FS_FAULT_MAP | FS_FAULT_OPEN | FS_FAULT_STAT | FS_FAULT_READ, 0, ERR_IO);
	CHECK(index_is_warm(&o.ix, entry_of(&o.ix, INDEX_TAIL, 0).key));
	CHECK(!index_is_warm(&o.ix, entry_of(&o.ix, INDEX_TAIL, 0).key - 1));
	CHECK(index_lookup(&o.ix, entry_of(&o.ix, INDEX_TAIL, 0).key, &got));
	CHECK(index_lookup(&o.ix, INT64_MAX, &got));
	CHECK_EQ(fs_fault_count(o.fs), 0);
	CHECK(index_lookup(&o.ix, entry_of(&o.ix, INDEX_TAIL, 0).key - 1, &got));
	CHECK_EQ(got.offset, entry_of(&o.ix, INDEX_TAIL - 1, 0).offset);
	CHECK_GE(fs_fault_count(o.fs), 1);
	end(&o);
}

/* Above, at and below where the file ends. */
TEST(a_cut_in_the_tail_or_in_the_file_leaves_what_is_before_it)
{
	for (size_t k = 0; k < NELEM(kinds); k++)
		for (uint32_t keep = 0; keep <= 2 * INDEX_TAIL + 5; keep++)
			for (int by_offset = 0; by_offset < 2; by_offset++) {
				struct index_entry last;
				struct one o;

				begin(&o, kinds[k]);
				add_some(&o, 2 * INDEX_TAIL + 5, 0);
				fs_fault_arm(o.fs, FS_FAULT_WRITE | FS_FAULT_TRUNCATE, 0, ERR_IO);
				if (by_offset)
					CHECK_EQ(index_truncate_offset(&o.ix, entry_of(&o.ix, keep, 0).offset, NULL), OK);
				else
					CHECK_EQ(index_truncate_entries(&o.ix, keep, NULL), OK);
				CHECK_EQ(fs_fault_count(o.fs) > 0, keep < 2 * INDEX_TAIL);
				check_entries(&o, 0, keep, 0);
				last = keep > 0 ? entry_of(&o.ix, keep - 1, 0) : (struct index_entry){ .key = -1, .offset = BASE };
				CHECK_EQ(o.ix.last_key, last.key);
				CHECK_EQ(o.ix.last_offset, last.offset);
				add_some(&o, 2 * INDEX_TAIL, 3);
				check_entries(&o, keep, keep + 2 * INDEX_TAIL, 3);
				if (keep > 0)
					CHECK(index_get(&o.ix, keep - 1, &last) && last.offset == entry_of(&o.ix, keep - 1, 0).offset);
				CHECK_EQ(index_trim(&o.ix, NULL), OK);
				CHECK_EQ(file_entries(&o), keep + 2 * INDEX_TAIL);
				end(&o);
			}
}

TEST(a_tail_that_cannot_be_written_stays_and_is_written_later)
{
	static const size_t torn[] = { 0, 5, SIZE_MAX, INDEX_TAIL * TIME_ENTRY - 1 };

	for (size_t k = 0; k < NELEM(kinds); k++)
		for (size_t t = 0; t < NELEM(torn); t++) {
			struct one o;

			begin(&o, kinds[k]);
			add_some(&o, INDEX_TAIL + INDEX_TAIL, 0);
			fs_fault_tear(o.fs, torn[t]);
			fs_fault_arm(o.fs, FS_FAULT_WRITE, 1, ERR_NOSPACE);
			CHECK_EQ(add(&o, 0), ERR_NOSPACE);
			CHECK(fs_fault_fired(o.fs));
			check_entries(&o, 0, 2 * INDEX_TAIL, 0);
			fs_fault_arm(o.fs, FS_FAULT_WRITE, 1, ERR_NOSPACE);
			CHECK_EQ(index_trim(&o.ix, NULL), ERR_NOSPACE);
			check_entries(&o, 0, 2 * INDEX_TAIL, 0);
			CHECK_GE(file_entries(&o), BYTES_MAX / kinds[k]);	/* nothing was cut either */
			add_some(&o, 3, 0);
			check_entries(&o, 0, 2 * INDEX_TAIL + 3, 0);
			CHECK_EQ(index_trim(&o.ix, NULL), OK);
			CHECK_EQ(file_entries(&o), 2 * INDEX_TAIL + 3);
			end(&o);
		}
}

TEST(an_index_is_full_when_file_and_tail_are)
{
	struct one o;

	begin(&o, TIME_ENTRY);
	CHECK_EQ(index_reset(&o.ix, 11 * TIME_ENTRY, NULL), OK);
	add_some(&o, 9, 0);
	CHECK(!index_is_full(&o.ix, 0) && !index_is_full(&o.ix, 1));
	add_some(&o, 1, 0);
	CHECK(!index_is_full(&o.ix, 0) && index_is_full(&o.ix, 1));
	add_some(&o, 1, 0);
	CHECK(index_is_full(&o.ix, 0));
	end(&o);
}

/* ---- look-ups beside an append ---- */

/* Whole: its fields belong together. */
static bool
is_some_generation_of(const struct sparse_index *ix, const struct index_entry *e, uint32_t n)
{
	struct index_entry want = entry_of(ix, n, (uint32_t)(e->offset - BASE) % 10);

	return ((e->offset - BASE) % 10 < GENERATIONS && same(e, &want));
}

static uint32_t
number_of(const struct index_entry *e)
{
	return ((uint32_t)((e->offset - BASE) / 10) - 1);
}

static bool
look(struct one *o, uint32_t n)
{
	struct index_entry got, want = entry_of(&o->ix, n, 0);
	bool found = index_lookup(&o->ix, want.key + (GENERATIONS - 1) * (o->ix.entry_size == OFFSET_ENTRY ? 1 : 1000), &got);

	if (found ? !(o->cuts ? number_of(&got) <= n && is_some_generation_of(&o->ix, &got, number_of(&got)) : same(&got, &want)) : !o->cuts)
		return (false);
	found = index_get(&o->ix, n, &got);
	if (found ? !is_some_generation_of(&o->ix, &got, n) : !o->cuts)
		return (false);
	if (o->ix.entry_size != OFFSET_ENTRY)
		return (true);
	found = offset_index_at_position(&o->ix, want.position - 50, &got);
	return (found ? is_some_generation_of(&o->ix, &got, number_of(&got)) && (o->cuts || number_of(&got) == n) : o->cuts);
}

/* Near the end, where entries go from memory to the file; and anywhere. */
static void *
reader(void *arg)
{
	struct one *o = arg;
	struct random_seeded random;

	random_seeded_init(&random, unit_seed());
	reclaim_thread_register();
	while (!o->stop) {
		uint32_t there = o->added, r = (uint32_t)random_u64(&random.random);

		if (there == 0)
			continue;
		o->wrong += !look(o, r % 4 == 0 ? r / 4 % there : there - 1 - MIN(there - 1, r % (2 * INDEX_TAIL)));
		o->looked++;
		reclaim_quiescent();
	}
	reclaim_thread_unregister();
	return (NULL);
}

static void
beside_readers(uint32_t entry_size, bool cuts)
{
	struct one *o = calloc(1, sizeof(*o));
	struct random_seeded random;
	pthread_t threads[READERS];

	begin(o, entry_size);
	o->cuts = cuts;
	random_seeded_init(&random, unit_seed());
	for (int i = 0; i < READERS; i++)
		must_zero(pthread_create(&threads[i], NULL, reader, o));
	for (uint32_t i = 0; i < (cuts ? CUTS : THREADED) || o->looked < 1000; i++) {
		if (o->ix.entries + 20 < BYTES_MAX / entry_size) {
			CHECK_EQ(add(o, cuts ? i : 0), OK);
		} else if (!cuts)
			break;
		if (cuts && i % 2 == 0) {	/* in the tail: in the file an old reader may meet a slot that is being written over, and knows it */
			uint32_t in_file = o->ix.in_file, keep = in_file + (uint32_t)random_u64(&random.random) % (o->ix.entries - in_file + 1);

			o->added = MIN((uint32_t)o->added, keep);
			CHECK_EQ(index_truncate_entries(&o->ix, keep, NULL), OK);
		}
		o->added = o->ix.entries;
		reclaim_quiescent();
	}
	o->stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(o->wrong, 0);
	CHECK_EQ(o->ix.trouble, INDEX_GOOD);
	end(o);
	free(o);
}

TEST(readers_find_every_entry_while_others_are_added)
{
	for (size_t k = 0; k < NELEM(kinds); k++)
		beside_readers(kinds[k], false);
}

TEST(readers_meet_whole_entries_while_the_tail_is_cut_and_grows_again)
{
	for (size_t k = 0; k < NELEM(kinds); k++)
		beside_readers(kinds[k], true);
}

/* ---- in a log ---- */

/* A batch that is due an entry in both indexes, but for the first of a segment. */
static struct append_result
put(struct fixture *f, struct log *log)
{
	clock_manual_advance_ns(&f->clock, 1000000);
	return (fixture_append(f, log, &(struct batch_spec){ .value_len = 250 }));
}

static void
put_some(struct fixture *f, struct log *log, uint32_t n)
{
	while (n-- > 0)
		CHECK_EQ(put(f, log).error, KERR_NONE);
}

static struct log *
open_log(struct fixture *f, struct fs *fs)
{
	fixture_init(f, 1);
	if (fs != NULL)
		f->fs = fs;
	CHECK_EQ(fixture_open(f, NULL), OK);
	return (fixture_log(f));
}

static int64_t
bytes_of(struct fixture *f, int64_t base, const char *suffix)
{
	return (fixture_size(f, fixture_file(f, "t-0/%020" PRId64 "%s", base, suffix)));
}

static void
check_rules(struct fixture *f)
{
	struct log_report r;

	REQUIRE(log_verify(fixture_fs(), fixture_file(f, "t-0"), NULL, NULL, &r, NULL) == OK);
	for (uint32_t i = 0; i < r.findings.n; i++)
		CHECK_STR(r.findings.v[i].violation ? r.findings.v[i].words : "", "");
	log_report_fini(&r);
}

static void
end_log(struct fixture *f, struct log **log)
{
	log_unref(log);
	fixture_close(f);
	check_rules(f);
	fixture_fini(f);
}

TEST(a_segment_that_rolls_or_is_closed_has_all_its_entries_in_its_files)
{
	for (uint32_t n = 1; n <= 2 * INDEX_TAIL + 3; n++) {
		struct fixture f;
		struct log *log = open_log(&f, NULL);

		put_some(&f, log, n);
		CHECK_EQ(log_active(log)->offsets.entries, n - 1);
		CHECK_EQ(log_roll(log, NULL), OK);
		CHECK_EQ(bytes_of(&f, 0, ".index"), OFFSET_ENTRY * (n - 1));
		CHECK_EQ(bytes_of(&f, 0, ".timeindex"), TIME_ENTRY * MAX(n - 1, 1u));	/* the first when it is closed */
		put_some(&f, log, n);
		log_check(log);
		CHECK_EQ(fixture_read_all(log, 0), 2 * n);
		log_unref(&log);
		fixture_close(&f);
		CHECK_EQ(bytes_of(&f, n, ".index"), OFFSET_ENTRY * (n - 1));
		CHECK_EQ(bytes_of(&f, n, ".timeindex"), TIME_ENTRY * MAX(n - 1, 1u));
		check_rules(&f);
		fixture_fini(&f);
	}
}

/* Batches that begin behind `from` and have an entry. */
static uint32_t
entries_behind(struct log *log, int64_t from)
{
	struct index_entry ie;
	uint32_t n = 0;

	for (uint32_t i = 0; index_get(&log_active(log)->offsets, i, &ie); i++)
		n += ie.offset >= from;
	return (n);
}

TEST(a_log_cut_anywhere_finds_what_is_left_by_its_entries)
{
	for (int sent = 0; sent < 2; sent++)	/* its data is on the way to somebody: it is copied, and the index files are another object's */
		for (int64_t to = 0; to <= 2 * INDEX_TAIL + 4; to++) {
			const struct log_read_options all = { .bytes_max = 100000, .min_one = true, .bound = LOG_BOUND_END };
			struct log_read_result r = { 0 };
			struct fixture f;
			struct log *log = open_log(&f, NULL);

			put_some(&f, log, 2 * INDEX_TAIL + 4);
			if (sent)
				CHECK_EQ(log_read(log, &all, NULL, &r), KERR_NONE);
			CHECK_EQ(log_truncate_to(log, to, NULL), OK);
			if (sent)
				log_read_result_fini(&r);
			CHECK_EQ(log_active(log)->offsets.entries, MAX(to - 1, 0));
			CHECK_EQ(entries_behind(log, to), 0);
			log_check(log);
			fixture_lead(log, 6);
			put_some(&f, log, INDEX_TAIL + 2);
			CHECK_GE(entries_behind(log, to), INDEX_TAIL);
			log_check(log);
			CHECK_EQ(fixture_read_all(log, 0), to + INDEX_TAIL + 2);
			end_log(&f, &log);
		}
}

static char *
index_bytes(struct fixture *f, const char *suffix, size_t *len)
{
	char *bytes = NULL;

	CHECK_EQ(fs_read_file(fixture_fs(), fixture_file(f, "t-0/%020d%s", 0, suffix), 1 << 20, &bytes, len, NULL), OK);
	return (bytes);
}

static void
live(struct fixture *f, uint32_t n, bool killed)
{
	struct log *log = open_log(f, NULL);

	put_some(f, log, n / 2);
	CHECK_EQ(log_flush(log, NULL), OK);		/* the recovery point is in the middle of what is in memory only */
	log_dirs_checkpoint_recovery_points(f->dirs);
	put_some(f, log, n - n / 2);
	log_unref(&log);
	if (!killed) {
		fixture_close(f);
		return;
	}
	fixture_crash(f);
	CHECK_EQ(fixture_open(f, NULL), OK);
	log = log_dirs_find(f->dirs, "t", 0);
	REQUIRE(log != NULL);
	log_check(log);
	CHECK_EQ(fixture_read_all(log, 0), n);
	log_unref(&log);
	fixture_close(f);
}

TEST(after_a_kill_the_indexes_are_those_that_a_clean_end_leaves)
{
	static const char *const suffixes[] = { ".index", ".timeindex" };

	for (uint32_t n = 1; n <= 2 * INDEX_TAIL + 3; n++)
		for (size_t i = 0; i < NELEM(suffixes); i++) {
			struct fixture f;
			char *clean, *killed;
			size_t clean_len = 0, killed_len = 0;

			live(&f, n, false);
			clean = index_bytes(&f, suffixes[i], &clean_len);
			fixture_fini(&f);
			live(&f, n, true);
			killed = index_bytes(&f, suffixes[i], &killed_len);
			fixture_fini(&f);
			CHECK_EQ(killed_len, clean_len);
			if (killed_len == clean_len)
				CHECK_MEM(killed, clean, clean_len);
			free(clean);
			free(killed);
		}
}

/* ---- a disk that does not take them ---- */

static const char *const files[] = { "0.index", "0.timeindex" };

TEST(a_disk_that_is_full_when_entries_are_due_in_the_file_refuses_sets_until_there_is_room)
{
	for (size_t i = 0; i < NELEM(files); i++) {
		struct fs *fs = fs_fault_new(fixture_fs());
		struct fixture f;
		struct log *log = open_log(&f, fs);
		struct append_result r;
		int64_t end;

		put_some(&f, log, INDEX_TAIL);
		fs_fault_only(fs, files[i]);
		fs_fault_stay(fs, true);
		fs_fault_arm(fs, FS_FAULT_WRITE, 1, ERR_NOSPACE);
		while ((r = put(&f, log)).error == KERR_NONE)
			;
		CHECK_EQ(r.error, KERR_KAFKA_STORAGE_ERROR);
		end = log_end_offset(log);
		CHECK_EQ(end, INDEX_TAIL + 1);
		CHECK_EQ(put(&f, log).error, KERR_KAFKA_STORAGE_ERROR);
		CHECK_EQ(log_roll(log, NULL), ERR_NOSPACE);
		CHECK_EQ(bytes_of(&f, 0, ".timeindex"), 4096 / TIME_ENTRY * TIME_ENTRY);	/* nothing was cut for it */
		CHECK_EQ(f.offline, 0);
		CHECK_EQ(log_end_offset(log), end);
		CHECK_EQ(fixture_read_all(log, 0), end);
		log_check(log);
		CHECK_EQ(log_active(log)->offsets.entries, INDEX_TAIL);
		fs_fault_arm(fs, FS_FAULT_WRITE, 0, OK);
		put_some(&f, log, 3);
		CHECK_EQ(log_active(log)->offsets.entries, INDEX_TAIL + 3);
		CHECK_EQ(log_roll(log, NULL), OK);
		CHECK_EQ(bytes_of(&f, 0, ".index"), OFFSET_ENTRY * (INDEX_TAIL + 3));
		CHECK_EQ(bytes_of(&f, 0, ".timeindex"), TIME_ENTRY * (INDEX_TAIL + 3));
		CHECK_EQ(fixture_read_all(log, 0), end + 3);
		end_log(&f, &log);
		fs_fault_free(&fs);
	}
}

TEST(a_disk_that_fails_when_entries_are_due_in_the_file_takes_its_directory_offline)
{
	for (size_t i = 0; i < NELEM(files); i++)
		for (int at_roll = 0; at_roll < 2; at_roll++) {
			struct fs *fs = fs_fault_new(fixture_fs());
			struct fixture f;
			struct log *log = open_log(&f, fs);

			put_some(&f, log, INDEX_TAIL + 1);
			fs_fault_only(fs, files[i]);
			fs_fault_arm(fs, FS_FAULT_WRITE, 1, ERR_IO);
			if (at_roll)
				CHECK_EQ(log_roll(log, NULL), ERR_OFFLINE);
			else
				CHECK_EQ(put(&f, log).error, KERR_KAFKA_STORAGE_ERROR);
			CHECK_EQ(f.offline, 1);
			log_unref(&log);
			fixture_close(&f);
			fs_fault_arm(fs, FS_FAULT_WRITE, 0, OK);
			f.offline = 0;
			CHECK_EQ(fixture_open(&f, NULL), OK);	/* nothing of it was believed: no clean marker */
			log = log_dirs_find(f.dirs, "t", 0);
			REQUIRE(log != NULL);
			CHECK_EQ(fixture_read_all(log, 0), INDEX_TAIL + 1);
			log_check(log);
			CHECK(strstr(f.lines, "offline") != NULL);
			end_log(&f, &log);
			fs_fault_free(&fs);
		}
}

UNIT_MAIN("log/index", T(entries_are_found_at_once_and_written_several_at_a_time), T(who_looks_at_the_end_needs_no_file),
    T(a_cut_in_the_tail_or_in_the_file_leaves_what_is_before_it), T(a_tail_that_cannot_be_written_stays_and_is_written_later),
    T(an_index_is_full_when_file_and_tail_are), T(readers_find_every_entry_while_others_are_added),
    T(readers_meet_whole_entries_while_the_tail_is_cut_and_grows_again), T(a_segment_that_rolls_or_is_closed_has_all_its_entries_in_its_files),
    T(a_log_cut_anywhere_finds_what_is_left_by_its_entries), T(after_a_kill_the_indexes_are_those_that_a_clean_end_leaves),
    T(a_disk_that_is_full_when_entries_are_due_in_the_file_refuses_sets_until_there_is_room),
    T(a_disk_that_fails_when_entries_are_due_in_the_file_takes_its_directory_offline))
