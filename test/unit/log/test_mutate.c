/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_mutate.c - a log directory whose files were damaged, opened as after a crash and as after a clean end.
 *
 * What a disk gives back is input like what a peer sends: the answer is an error or a log that can be read, written, cut, closed and opened
 * again, never a panic.  Each round restores one valid directory, damages some of its files and uses what opens.  The seed is printed on
 * failure; OTTLA_TEST_SEED repeats it, OTTLA_TEST_ROUNDS makes it longer.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "base/str.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define FILES_MAX	64
#define ROUNDS		60

struct image {
	struct {
		char	 name[64];	/* below the log directory */
		uint8_t *bytes;
		size_t	 len;
	} files[FILES_MAX];
	unsigned n;
};

static void
image_take(struct image *im, struct fixture *f, const char *below)
{
	char path[1024];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", f->path[0], below);
	dir = opendir(path);
	REQUIRE(dir != NULL);
	while ((d = readdir(dir)) != NULL) {
		char *bytes;
		size_t len;
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s/%s", f->path[0], below, d->d_name);
		if (strcmp(d->d_name, ".lock") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		REQUIRE(im->n < FILES_MAX);
		CHECK_EQ(fs_read_file(f->fs, path, 1 << 24, &bytes, &len, NULL), OK);
		snprintf(im->files[im->n].name, sizeof(im->files[0].name), "%.20s/%.40s", below, d->d_name);
		im->files[im->n].bytes = (uint8_t *)bytes;
		im->files[im->n++].len = len;
	}
	closedir(dir);
}

static void
image_free(struct image *im)
{
	for (unsigned i = 0; i < im->n; i++)
		free(im->files[i].bytes);
}

static uint32_t
below(struct fixture *f, uint32_t n)
{
	return (n == 0 ? 0 : random_below(&f->random.random, n));
}

/* One kind of damage to one file; the file may grow by up to 64 bytes (there is room). */
static void
damage(struct fixture *f, uint8_t *bytes, size_t *len)
{
	static const uint32_t odd[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe };
	uint32_t at = below(f, (uint32_t)*len), n = 1 + below(f, 32);

	switch (below(f, 6)) {
	case 0:
		*len = at;
		break;
	case 1:
		memset(bytes + *len, (int)below(f, 256), n);
		*len += n;
		break;
	case 2:
		memset(bytes + at, below(f, 2) ? 0 : 0xff, MIN(n, *len - at));
		break;
	case 3:
		if (*len - at >= 4)
			be32enc(bytes + at, odd[below(f, NELEM(odd))]);
		break;
	default:
		for (uint32_t i = 0; *len > 0 && i < n; i += 4)
			bytes[below(f, (uint32_t)*len)] ^= (uint8_t)(1u << below(f, 8));
	}
}

static void
write_file(struct fixture *f, const char *name, const uint8_t *bytes, size_t len)
{
	FILE *to = fopen(fixture_file(f, "%s", name), "w");

	CHECK(to != NULL && fwrite(bytes, 1, len, to) == len);
	fclose(to);
}

/* The directory of the image, some files damaged or missing. */
static void
image_put(struct image *im, struct fixture *f, bool clean)
{
	unsigned victim = below(f, im->n), victims = 1 + below(f, 3);

	CHECK_EQ(fs_remove_tree(f->fs, f->path[0], NULL), OK);
	CHECK_EQ(fs_mkdir_p(f->fs, fixture_file(f, "t-0"), NULL), OK);
	for (unsigned i = 0; i < im->n; i++) {
		const char *name = im->files[i].name;
		size_t len = im->files[i].len;
		uint8_t *copy;

		if (!clean && (strstr(name, "cleanshutdown") != NULL || strstr(name, "recovery-point") != NULL))
			continue;
		copy = xmalloc(len + 64);
		memcpy(copy, im->files[i].bytes, len);
		if ((i + im->n - victim) % im->n < victims) {
			if (below(f, 10) == 0) {
				free(copy);
				continue;
			}
			damage(f, copy, &len);
		}
		write_file(f, name, copy, len);
		free(copy);
	}
}

/* Several segments, codecs, producers with and without transactions, epochs; some of it below the recovery point. */
static void
image_make(struct image *im, struct fixture *f)
{
	struct log *log;

	CHECK_EQ(fixture_open(f, NULL), OK);
	log = fixture_log(f);
	for (int i = 0; i < 120; i++) {
		clock_manual_advance_ns(&f->clock, INT64_C(1000000000));
		(void)fixture_append(f, log, &(struct batch_spec){ .records = 1 + (unsigned)i % 5, .value_len = 150, .codec = i % 3 == 0 ? CODEC_GZIP : CODEC_NONE,
		    .producer_id = i % 4 == 0 ? 77 : 0, .sequence = i / 4 });
		if (i % 30 == 7) {
			(void)fixture_append(f, log, &(struct batch_spec){ .producer_id = 100 + i, .transactional = true });
			if (i < 90)
				(void)fixture_marker(f, log, 100 + i, 0, i % 60 == 7, 1);
		}
		if (i == 50)
			fixture_lead(log, 6);
	}
	log_set_high_watermark(log, log_end_offset(log));
	CHECK_GE(log_segment_count(log), 3);
	log_unref(&log);
	fixture_close(f);
	image_take(im, f, ".");
	image_take(im, f, "t-0");
}

/* Whatever opened is used as a broker would use it. */
static void
use(struct fixture *f, struct log *log)
{
	struct log_time_offset found;
	struct log_read_options ro = { .bytes_max = 4000, .min_one = true };
	struct log_read_result r;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (int i = 0; i < 8; i++) {
		ro.offset = log_start_offset(log) + (int64_t)below(f, (uint32_t)MIN(log_end_offset(log) - log_start_offset(log), INT64_C(1000000)));
		ro.bound = (enum log_bound)below(f, 3);
		if (log_read(log, &ro, &arena, &r) == KERR_NONE)
			log_read_result_fini(&r);
		(void)log_bytes_available(log, ro.offset, ro.bound);
		if (log_offset_for_time(log, i == 0 ? LOG_TIME_MAX : FIXTURE_NOW + (int64_t)below(f, 130000), &found) != KERR_NONE)
			break;
	}
	(void)fixture_read_all(log, log_start_offset(log));
	arena_fini(&arena);
}

static void
append_and_cut(struct fixture *f, struct log *log)
{
	const struct log_role role = { .leader = true, .min_isr_met = true, .leader_epoch = 9 };
	uint32_t deleted;

	if (log_begin_leader_epoch(log, 9, NULL) != OK)
		return;
	log_set_role(log, &role);
	for (int i = 0; i < 3 && log_latest_epoch(log) == 9; i++)
		(void)fixture_append(f, log, &(struct batch_spec){ .value_len = 9000 });
	if (below(f, 3) == 0 && log_truncate_to(log, log_start_offset(log) + below(f, 300), NULL) != OK)
		return;
	if (log_retain(log, &deleted, NULL) != OK)
		CHECK(log_is_offline(log));
}

static void
round_of(struct image *im, struct fixture *f, bool clean)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log;
	bool alive;

	image_put(im, f, clean);
	if (fixture_open(f, &eb) != OK) {
		CHECK(eb.text[0] != '\0');	/* in words */
		log_dirs_free(&f->dirs);
		return;
	}
	log = log_dirs_find(f->dirs, "t", 0);
	if (log != NULL) {
		use(f, log);
		append_and_cut(f, log);
		use(f, log);
		if (!clean && !log_is_offline(log))
			log_check(log);
	}
	alive = log != NULL && !log_is_offline(log);
	log_unref(&log);
	fixture_close(f);
	if (alive && !clean && f->offline == 0)	/* repaired is repaired */
		CHECK_EQ(fixture_open(f, NULL), OK);
	log_dirs_free(&f->dirs);
}

static void
rounds(bool clean)
{
	const char *more = getenv("OTTLA_TEST_ROUNDS");
	int n = more != NULL ? atoi(more) : ROUNDS;
	struct image im = { .n = 0 };
	struct fixture f;

	fixture_init(&f, 1);
	image_make(&im, &f);
	for (int i = 0; i < n; i++) {
		f.lines[0] = '\0';
		f.offline = 0;
		random_seeded_init(&f.random, unit_seed() + (uint64_t)i);
		if (getenv("OTTLA_TEST_VERBOSE") != NULL)
			fprintf(stderr, "round %d, seed %" PRIu64 "\n", i, unit_seed() + (uint64_t)i);
		round_of(&im, &f, clean);
	}
	image_free(&im);
	fixture_fini(&f);
}

TEST(damaged_files_after_a_crash_are_repaired_or_refused) { rounds(false); }
TEST(damaged_files_after_a_clean_end_never_end_the_process) { rounds(true); }

UNIT_MAIN("log/mutate", T(damaged_files_after_a_crash_are_repaired_or_refused), T(damaged_files_after_a_clean_end_never_end_the_process))
