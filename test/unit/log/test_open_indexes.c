/* SPDX-License-Identifier: Apache-2.0
 *
 * Index files of active segments: no more are open than is allowed, and whatever is done to a log whose files were closed is done right.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { LOGS = 12, MOST = 3 };

struct logs {
	struct fixture f;
	struct log *log[LOGS];
};

/* Descriptors of this process whose file's name ends so. */
static unsigned
open_files(const char *suffix)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	unsigned n = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[300], to[600];
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		len = readlink(path, to, sizeof(to) - 1);
		if (len > 0)
			to[len] = '\0';
		n += len > (ssize_t)strlen(suffix) && strcmp(to + len - strlen(suffix), suffix) == 0;
	}
	if (d != NULL)
		closedir(d);
	return (n);
}

static void
begin(struct logs *t, struct fs *fs)
{
	struct errbuf eb = ERRBUF_INIT;

	fixture_init(&t->f, 1);
	if (fs != NULL)
		t->f.fs = fs;
	t->f.open_indexes_max = MOST;
	REQUIRE(fixture_open(&t->f, &eb) == OK);
	for (int i = 0; i < LOGS; i++) {
		REQUIRE(log_dirs_create(t->f.dirs, "t", i, UUID_ZERO, &t->f.options, &t->log[i], &eb) == OK);
		fixture_lead(t->log[i], 5);
		fixture_establish(t->log[i]);
	}
}

static void
end(struct logs *t)
{
	for (int i = 0; i < LOGS; i++)
		log_unref(&t->log[i]);
	fixture_fini(&t->f);
}

static void
put_round(struct logs *t, unsigned batches)
{
	const struct batch_spec spec = { .value_len = 150 };

	for (unsigned k = 0; k < batches; k++, clock_manual_advance_ns(&t->f.clock, 1000000))
		for (int i = 0; i < LOGS; i++)
			CHECK_EQ(fixture_append(&t->f, t->log[i], &spec).error, KERR_NONE);
}

TEST(logs_that_wrote_last_keep_their_index_files_open)
{
	struct logs t;

	begin(&t, NULL);
	put_round(&t, 40);
	CHECK_EQ(open_files(".index"), MOST);
	CHECK_EQ(open_files(".timeindex"), MOST);
	CHECK_EQ(open_files("00000000000000000000.log"), LOGS);
	for (int i = 0; i < LOGS; i++) {
		const struct segment *s = log_active(t.log[i]);

		CHECK_EQ(s->offsets.file != NULL, i >= LOGS - MOST);
		CHECK(s->offsets.entries > 10 && s->times.entries >= 1);
		CHECK_EQ(fixture_read_all(t.log[i], 0), 40);
	}
	end(&t);
}

/* A batch in two is due an entry: before entries waited in memory, each of them opened two files that another log's entry had closed. */
TEST(files_are_opened_once_for_several_entries)
{
	static const char *const names[] = { ".index", ".timeindex" };

	for (size_t k = 0; k < NELEM(names); k++) {
		struct fs *fs = fs_fault_new(fixture_fs());
		uint32_t entries = 0, in_file = 0;
		struct logs t;

		begin(&t, fs);
		put_round(&t, 1);
		fs_fault_only(fs, names[k]);
		fs_fault_arm(fs, FS_FAULT_OPEN | FS_FAULT_WRITE, 0, ERR_IO);
		put_round(&t, 42);
		for (int i = 0; i < LOGS; i++) {
			const struct segment *s = log_active(t.log[i]);

			entries += k == 0 ? s->offsets.entries : s->times.entries;
			in_file += k == 0 ? s->offsets.in_file : s->times.in_file;
		}
		CHECK_GE(entries, 20 * LOGS);
		CHECK_GE(in_file, entries - LOGS * INDEX_TAIL);
		CHECK_EQ(fs_fault_count(fs), 2 * in_file / INDEX_TAIL);	/* opened, and written */
		end(&t);
		fs_fault_free(&fs);
	}
}

TEST(a_log_rolls_is_cut_and_closes_with_its_index_files_closed)
{
	struct errbuf eb = ERRBUF_INIT;
	struct logs t;

	begin(&t, NULL);
	put_round(&t, 100);			/* each of some 230 bytes, segments of 16 KiB: a roll or two */
	CHECK(log_active(t.log[0])->base > 0);
	CHECK(log_active(t.log[0])->offsets.file == NULL);
	CHECK_EQ(log_truncate_to(t.log[0], 90, &eb), OK);
	CHECK_EQ(log_truncate_to(t.log[1], 20, &eb), OK);
	CHECK(open_files(".index") <= MOST);
	CHECK_EQ(fixture_read_all(t.log[0], 0), 90);
	CHECK_EQ(fixture_read_all(t.log[1], 0), 20);
	put_round(&t, 5);
	CHECK_EQ(fixture_read_all(t.log[0], 0), 95);
	for (int i = 0; i < LOGS; i++)
		log_unref(&t.log[i]);
	fixture_close(&t.f);
	REQUIRE(fixture_open(&t.f, &eb) == OK);
	CHECK(open_files(".index") <= MOST);
	CHECK(strstr(t.f.lines, "recover") == NULL);
	for (int i = 0; i < LOGS; i++) {
		t.log[i] = log_dirs_find(t.f.dirs, "t", i);
		REQUIRE(t.log[i] != NULL);
		CHECK_EQ(fixture_read_all(t.log[i], 0), i == 0 ? 95 : i == 1 ? 25 : 105);
	}
	end(&t);
}

/* Nothing is written where the index entry that is due could not be; the directory stays. */
TEST(without_a_descriptor_for_the_index_the_append_fails_and_the_next_goes_on)
{
	const struct batch_spec spec = { .value_len = 150 };
	struct rlimit was, none;
	struct logs t;
	int64_t end_offset;

	begin(&t, NULL);
	put_round(&t, 10);
	end_offset = log_end_offset(t.log[0]);
	CHECK(log_active(t.log[0])->offsets.file == NULL);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 3;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (; log_active(t.log[0])->unindexed <= log_active(t.log[0])->index_interval || index_has_room(&log_active(t.log[0])->offsets); end_offset++)
		CHECK_EQ(fixture_append(&t.f, t.log[0], &spec).error, KERR_NONE);
	CHECK_EQ(fixture_append(&t.f, t.log[0], &spec).error, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
	CHECK_EQ(log_end_offset(t.log[0]), end_offset);
	CHECK_EQ(t.f.offline, 0);
	CHECK_EQ(fixture_append(&t.f, t.log[0], &spec).error, KERR_NONE);
	CHECK_EQ(fixture_read_all(t.log[0], 0), end_offset + 1);
	end(&t);
}

UNIT_MAIN("log/open_indexes", T(logs_that_wrote_last_keep_their_index_files_open), T(files_are_opened_once_for_several_entries),
    T(a_log_rolls_is_cut_and_closes_with_its_index_files_closed),
    T(without_a_descriptor_for_the_index_the_append_fails_and_the_next_goes_on))
