/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated loss of power itself (fs_power.h): what was synced stays for every seed, and each thing that can become of the rest does for some.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "test/unit/fs_fault.h"
#include "test/unit/fs_power.h"
#include "test/unit/unit.h"

enum { SEEDS = 600, PAGE = FS_POWER_PAGE };

static struct clock_manual wall;

static struct fs *
world(void)
{
	clock_manual_init(&wall, 1700000000000);
	return (fs_power_new(&wall.clock));
}

static struct file *
open_in(struct fs *fs, const char *path, unsigned flags)
{
	struct file *f = NULL;

	CHECK_EQ(file_open(fs, path, flags, &f, NULL), OK);
	return (f);
}

static void
put(struct fs *fs, const char *path, const char *text, bool sync)
{
	struct file *f = open_in(fs, path, FS_RDWR | FS_CREATE | FS_TRUNC);

	CHECK_EQ(file_pwrite(f, text, strlen(text), 0, NULL), OK);
	if (sync)
		CHECK_EQ(fs->ops->sync(f, NULL), OK);
	file_unref(&f);
}

/* n bytes c at pos. */
static void
fill(struct file *f, char c, size_t n, uint64_t pos)
{
	char *p = xmalloc(n);

	memset(p, c, n);
	CHECK_EQ(file_pwrite(f, p, n, pos, NULL), OK);
	free(p);
}

static void
sync_names(struct fs *fs, const char *path)
{
	CHECK_EQ(fs->ops->sync_dir(fs, path, NULL), OK);
}

/* malloc'ed; NULL: no such file */
static char *
get(struct fs *fs, const char *path, size_t *len)
{
	char *text = NULL;
	size_t n = 0;

	(void)!fs_read_file(fs, path, 1 << 20, &text, &n, NULL);
	if (len != NULL)
		*len = n;
	return (text);
}

static bool
says(struct fs *fs, const char *path, const char *text)
{
	char *have = get(fs, path, NULL);
	bool same = have != NULL && strcmp(have, text) == 0;

	free(have);
	return (same);
}

static unsigned
count(const char *p, size_t n, char c)
{
	unsigned k = 0;

	for (size_t i = 0; i < n; i++)
		k += p[i] == c;
	return (k);
}

TEST(what_was_synced_stays_whatever_else_is_written_to_the_same_page)
{
	struct fs *fs = world();
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);

	fill(f, 's', PAGE + 1000, 0);
	CHECK_EQ(fs->ops->sync(f, NULL), OK);
	sync_names(fs, "/");
	CHECK(fs_power_is_synced(fs));
	fill(f, 'n', 9000, PAGE + 1000);
	CHECK(!fs_power_is_synced(fs));
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);
		size_t len;
		char *p = get(after, "/a", &len);

		CHECK(p != NULL && len >= PAGE + 1000 && len <= PAGE + 10000);
		CHECK(p != NULL && count(p, PAGE + 1000, 's') == PAGE + 1000);
		CHECK(fs_power_is_synced(after));
		free(p);
		fs_power_free(&after);
	}
	file_unref(&f);
	fs_power_free(&fs);
}

TEST(pages_that_were_not_synced_are_kept_dropped_zeroed_or_torn_each_for_itself)
{
	struct fs *fs = world();
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);
	unsigned kept = 0, dropped = 0, zeroed = 0, torn = 0, later_only = 0, shorter = 0;

	fill(f, 'o', 2 * PAGE, 0);
	CHECK_EQ(fs->ops->sync(f, NULL), OK);
	sync_names(fs, "/");
	fill(f, 'n', 4 * PAGE, 0);		/* two pages that the disk has, two that it has not */
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);
		size_t len;
		char *p = get(after, "/a", &len);
		unsigned n0 = count(p, PAGE, 'n'), n1 = count(p + PAGE, PAGE, 'n');

		CHECK_EQ(n0 + count(p, PAGE, 'o'), PAGE);	/* never zeros over what the disk had */
		kept += n0 == PAGE;
		dropped += n0 == 0;
		torn += n0 > 0 && n0 < PAGE && p[0] == 'n' && p[PAGE - 1] == 'o';
		later_only += n0 == 0 && n1 == PAGE;
		shorter += len < 4 * PAGE;
		zeroed += len == 4 * PAGE && count(p + 2 * PAGE, PAGE, '\0') == PAGE && count(p + 3 * PAGE, PAGE, 'n') == PAGE;
		free(p);
		fs_power_free(&after);
	}
	CHECK(kept > 50 && dropped > 50 && torn > 20 && later_only > 10 && shorter > 50 && zeroed > 5);
	file_unref(&f);
	fs_power_free(&fs);
}

TEST(a_page_may_be_left_as_it_was_between_two_writes)
{
	unsigned between = 0;

	for (int round = 0; round < 20; round++) {
		struct fs *fs = world();
		struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);

		fill(f, 'o', 100, 0);
		CHECK_EQ(fs->ops->sync(f, NULL), OK);
		sync_names(fs, "/");
		for (int i = 0; i <= round; i++)
			for (char c = 'a'; c <= 'j'; c++)
				fill(f, c, 100, 0);
		for (uint64_t seed = 0; seed < 60; seed++) {
			struct fs *after = fs_power_lost(fs, seed);
			char *p = get(after, "/a", NULL);

			between += p[0] == p[99] && p[0] != 'o' && p[0] != 'j';
			free(p);
			fs_power_free(&after);
		}
		file_unref(&f);
		fs_power_free(&fs);
	}
	CHECK(between > 20);
}

TEST(a_size_that_was_not_synced_is_the_old_or_the_new_one)
{
	struct fs *fs = world();
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);
	unsigned old = 0, new = 0, cut = 0, came_back = 0;

	fill(f, 's', 3000, 0);
	CHECK_EQ(fs->ops->sync(f, NULL), OK);
	sync_names(fs, "/");
	CHECK_EQ(fs->ops->truncate(f, 1000, NULL), OK);
	CHECK_EQ(fs->ops->allocate(f, 5 * PAGE, NULL), OK);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);
		size_t len;
		char *p = get(after, "/a", &len);

		CHECK(len == 3000 || len == 1000 || len == 5 * PAGE);
		CHECK_EQ(count(p, 1000, 's'), 1000);
		old += len == 3000;
		cut += len == 1000;
		new += len == 5 * PAGE;
		came_back += len == 5 * PAGE && count(p + 1000, 2000, 's') == 2000;	/* the cut is lost, the growing is not */
		free(p);
		fs_power_free(&after);
	}
	CHECK(old > 50 && cut > 5 && new > 50 && came_back > 20);
	CHECK_EQ(fs->ops->truncate(f, 1000, NULL), OK);
	CHECK_EQ(fs->ops->sync(f, NULL), OK);
	CHECK_EQ(fs->ops->allocate(f, 3000, NULL), OK);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);
		size_t len;
		char *p = get(after, "/a", &len);

		CHECK_EQ(count(p, len, 's'), 1000);		/* what a synced cut took never comes back */
		free(p);
		fs_power_free(&after);
	}
	file_unref(&f);
	fs_power_free(&fs);
}

TEST(names_that_were_not_synced_are_there_or_not_each_for_itself)
{
	struct fs *fs = world();
	unsigned made = 0, renamed = 0, removed = 0, both = 0, only_later = 0;

	put(fs, "/from", "f", true);
	put(fs, "/gone", "g", true);
	sync_names(fs, "/");
	put(fs, "/new", "n", true);
	CHECK_EQ(fs->ops->rename(fs, "/from", "/to", NULL), OK);
	CHECK_EQ(fs->ops->unlink(fs, "/gone", NULL), OK);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);
		bool is_new = says(after, "/new", "n"), is_to = says(after, "/to", "f"), is_gone = !fs_exists(after, "/gone");

		CHECK(is_new || !fs_exists(after, "/new"));
		CHECK_EQ(is_to + says(after, "/from", "f"), 1);
		CHECK(is_gone || says(after, "/gone", "g"));
		made += is_new;
		renamed += is_to;
		removed += is_gone;
		both += is_new && is_gone && is_to;
		only_later += !is_new && is_gone;
		fs_power_free(&after);
	}
	CHECK(made > 100 && made < SEEDS - 100 && renamed > 100 && renamed < SEEDS - 100 && removed > 100 && removed < SEEDS - 100);
	CHECK(both > 50 && only_later > 20);
	sync_names(fs, "/");
	CHECK(fs_power_is_synced(fs));
	fs_power_free(&fs);
}

TEST(a_file_without_a_name_on_disk_vanishes_and_a_directory_with_all_below_it)
{
	struct fs *fs = world();
	unsigned there = 0, vanished = 0;

	CHECK_EQ(fs->ops->mkdir(fs, "/d", NULL), OK);
	CHECK_EQ(fs->ops->mkdir(fs, "/d/e", NULL), OK);
	put(fs, "/d/e/file", "text", true);
	sync_names(fs, "/d/e");
	sync_names(fs, "/d");			/* but not the root */
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct fs *after = fs_power_lost(fs, seed);

		there += says(after, "/d/e/file", "text");
		vanished += !fs_exists(after, "/d");
		fs_power_free(&after);
	}
	CHECK(there > 10 && vanished > 10 && there + vanished == 100);
	fs_power_free(&fs);
}

/* The classic: the rename is on the disk, the bytes are not. */
TEST(a_rename_over_a_file_leaves_the_old_or_the_new_one_and_the_new_one_may_be_empty_when_it_was_not_synced)
{
	struct fs *fs = world();
	unsigned empty = 0;

	put(fs, "/f", "old", true);
	sync_names(fs, "/");
	for (int synced = 0; synced < 2; synced++) {
		struct fs *copy = fs_power_copy(fs);

		put(copy, "/f.tmp", "new text", synced);
		CHECK_EQ(copy->ops->rename(copy, "/f.tmp", "/f", NULL), OK);
		for (uint64_t seed = 0; seed < SEEDS; seed++) {
			struct fs *after = fs_power_lost(copy, seed);

			CHECK(fs_exists(after, "/f"));
			if (synced)
				CHECK(says(after, "/f", "old") || says(after, "/f", "new text"));
			else
				empty += says(after, "/f", "");
			fs_power_free(&after);
		}
		fs_power_free(&copy);
	}
	CHECK(empty > 20);
	fs_power_free(&fs);
}

TEST(a_file_written_atomically_is_old_or_new_at_every_loss_and_new_once_it_was_answered)
{
	struct fs *fs = world();

	put(fs, "/f", "old", true);
	sync_names(fs, "/");
	CHECK_EQ(fs_write_file_atomic(fs, "/f", SLICE_LIT("new"), NULL), OK);
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct fs *after = fs_power_lost(fs, seed);

		CHECK(says(after, "/f", "new"));
		fs_power_free(&after);
	}
	fs_power_free(&fs);
}

TEST(directories_that_fs_mkdir_p_made_stay)
{
	struct fs *fs = world();

	CHECK_EQ(fs_mkdir_p(fs, "/a/b/c", NULL), OK);
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct fs *after = fs_power_lost(fs, seed);

		CHECK(fs_exists(after, "/a/b/c"));
		fs_power_free(&after);
	}
	fs_power_free(&fs);
}

TEST(files_are_reordered_the_second_may_be_there_without_the_first)
{
	struct fs *fs = world();
	unsigned reordered = 0;

	put(fs, "/a", "", true);
	put(fs, "/b", "", true);
	sync_names(fs, "/");
	put(fs, "/a", "first", false);
	put(fs, "/b", "second", false);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fs *after = fs_power_lost(fs, seed);

		reordered += says(after, "/b", "second") && says(after, "/a", "");
		fs_power_free(&after);
	}
	CHECK(reordered > 10);
	fs_power_free(&fs);
}

TEST(a_kill_keeps_everything_that_was_written_but_does_not_sync_it)
{
	struct fs *fs = world(), *killed;
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);

	fill(f, 'k', 10000, 0);
	CHECK_EQ(fs->ops->rename(fs, "/a", "/b", NULL), OK);
	killed = fs_power_copy(fs);
	fill(f, 'x', 10000, 0);			/* of the first world only */
	for (int i = 0; i < 2; i++) {
		size_t len;
		char *p = get(killed, "/b", &len);

		CHECK(p != NULL && count(p, len, 'k') == 10000 && len == 10000);
		CHECK(!fs_exists(killed, "/a") && !fs_power_is_synced(killed));
		free(p);
		put(fs, "/c", "not there", true);
	}
	CHECK(!fs_exists(killed, "/c"));
	fs_power_free(&killed);
	file_unref(&f);
	fs_power_free(&fs);
}

TEST(the_same_seed_leaves_the_same_world)
{
	struct fs *fs = world();
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);

	sync_names(fs, "/");
	fill(f, 'n', 9 * PAGE + 17, 0);
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct fs *a = fs_power_lost(fs, seed), *b = fs_power_lost(fs, seed);
		size_t alen, blen;
		char *p = get(a, "/a", &alen), *q = get(b, "/a", &blen);

		CHECK(alen == blen && memcmp(p, q, alen) == 0);
		free(p);
		free(q);
		fs_power_free(&a);
		fs_power_free(&b);
	}
	file_unref(&f);
	fs_power_free(&fs);
}

TEST(a_map_follows_what_is_written_and_survives_its_file_s_close)
{
	struct fs *fs = world();
	struct file *f = open_in(fs, "/a", FS_RDWR | FS_CREATE);
	struct file_map m;

	CHECK_EQ(fs->ops->allocate(f, 2 * PAGE, NULL), OK);
	CHECK_EQ(fs->ops->map(f, 2 * PAGE, &m, NULL), OK);
	fill(f, 'm', 10, PAGE - 5);
	CHECK_EQ(count((const char *)m.p, 2 * PAGE, 'm'), 10);
	CHECK_EQ(fs->ops->truncate(f, PAGE, NULL), OK);
	CHECK_EQ(count((const char *)m.p, 2 * PAGE, 'm'), 5);
	file_unref(&f);
	CHECK_EQ(m.p[PAGE - 1], 'm');
	fs->ops->unmap(&m);
	fs_power_free(&fs);
}

static char told[10][80];
static unsigned ntold;

static void
note(void *ctx, const char *what)
{
	struct fs *fs = ctx;

	if (ntold < 10)
		snprintf(told[ntold++], sizeof(told[0]), "%s", what);
	if (strcmp(what, "rename /f.tmp") == 0)
		CHECK(fs_exists(fs, "/f.tmp") && !fs_exists(fs, "/f"));		/* before it has an effect */
}

TEST(whoever_watches_is_told_before_each_call_of_the_kinds_asked_for)
{
	struct fs *fs = world();

	ntold = 0;
	fs_power_watch(fs, FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_RENAME | FS_FAULT_UNLINK, note, fs);
	CHECK_EQ(fs_write_file_atomic(fs, "/f", SLICE_LIT("x"), NULL), OK);
	CHECK_EQ(fs->ops->unlink(fs, "/f", NULL), OK);
	fs_power_watch(fs, 0, NULL, NULL);
	CHECK_EQ(fs_write_file_atomic(fs, "/f", SLICE_LIT("x"), NULL), OK);
	REQUIRE(ntold == 4);
	CHECK_STR(told[0], "sync /f.tmp");
	CHECK_STR(told[1], "rename /f.tmp");
	CHECK_STR(told[2], "sync_dir /");
	CHECK_STR(told[3], "unlink /f");
	fs_power_free(&fs);
}

UNIT_MAIN("base/power", T(what_was_synced_stays_whatever_else_is_written_to_the_same_page),
    T(pages_that_were_not_synced_are_kept_dropped_zeroed_or_torn_each_for_itself), T(a_page_may_be_left_as_it_was_between_two_writes),
    T(a_size_that_was_not_synced_is_the_old_or_the_new_one), T(names_that_were_not_synced_are_there_or_not_each_for_itself),
    T(a_file_without_a_name_on_disk_vanishes_and_a_directory_with_all_below_it),
    T(a_rename_over_a_file_leaves_the_old_or_the_new_one_and_the_new_one_may_be_empty_when_it_was_not_synced),
    T(a_file_written_atomically_is_old_or_new_at_every_loss_and_new_once_it_was_answered),
    T(directories_that_fs_mkdir_p_made_stay), T(files_are_reordered_the_second_may_be_there_without_the_first), T(a_kill_keeps_everything_that_was_written_but_does_not_sync_it),
    T(the_same_seed_leaves_the_same_world), T(a_map_follows_what_is_written_and_survives_its_file_s_close),
    T(whoever_watches_is_told_before_each_call_of_the_kinds_asked_for))
