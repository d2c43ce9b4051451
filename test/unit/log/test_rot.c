/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_rot.c - one bit of one byte is wrong: for each byte of every file of a small log, who notices.
 *
 * `regions` is the table: a row for each field of each kind of file, and what is promised of a flipped bit there:
 *	verify	by ottla log verify, when the broker was stopped cleanly (it will believe every byte)
 *	crash	by the next start after a crash, which reads the data from the recovery point (here: from the beginning) on
 *	clean	by the next start after a clean end, which reads nothing it need not
 * Each byte must belong to a row, and each row must have met bytes.  src/log/README ("Bit rot") is this table in words.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "base/str.h"
#include "log/inspect.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { FILES_MAX = 40, BATCHES_MAX = 64, ANSWERS_MAX = 1 << 16, START = 1, OFFSETS_ASKED = 60, PER_START = 600 };

enum promise {
	FOUND,		/* told, with the file's name */
	HARMLESS,	/* told, or every answer is what it was: nothing hangs on this bit */
	CUT,		/* told, and the log ends before the batch: nothing wrong is ever served */
	READER,		/* nothing is told unless it is met by chance; the batch does not pass the checksum that its reader computes */
	REBUILT,	/* every answer is what it was, the file is right again */
	REFUSED,	/* the directory is not opened, in words that name the file; or nothing hangs on it */
	BLIND		/* nobody can tell */
};

static const struct region {
	const char   *file;		/* suffix or name */
	uint32_t      unit;		/* bytes of an entry; 0: the file is one, 1: a batch is */
	uint32_t      from, to;		/* of the unit; to 0: its end */
	enum promise  verify, crash, clean;
	const char   *field;
} regions[] = {
	{ ".log", 1, 0, 8, FOUND, FOUND, BLIND, "base offset" },
	{ ".log", 1, 8, 12, FOUND, CUT, READER, "length" },
	{ ".log", 1, 12, 16, FOUND, BLIND, BLIND, "leader epoch" },
	{ ".log", 1, 16, 17, FOUND, CUT, READER, "magic" },
	{ ".log", 1, 17, 21, FOUND, CUT, READER, "checksum" },
	{ ".log", 1, 21, 0, FOUND, CUT, READER, "what the checksum covers" },
	{ ".index", 8, 0, 4, HARMLESS, REBUILT, HARMLESS, "offset" },
	{ ".index", 8, 4, 8, HARMLESS, REBUILT, HARMLESS, "position" },
	{ ".timeindex", 12, 0, 8, FOUND, REBUILT, BLIND, "timestamp" },
	{ ".timeindex", 12, 8, 12, HARMLESS, REBUILT, BLIND, "offset" },
	{ ".txnindex", 34, 0, 2, FOUND, REBUILT, REBUILT, "version" },
	{ ".txnindex", 34, 2, 10, FOUND, REBUILT, BLIND, "producer id" },
	{ ".txnindex", 34, 10, 18, FOUND, REBUILT, BLIND, "first offset" },
	{ ".txnindex", 34, 18, 26, FOUND, REBUILT, BLIND, "last offset" },
	{ ".txnindex", 34, 26, 34, FOUND, REBUILT, BLIND, "last stable offset" },
	{ ".snapshot", 0, 0, 0, FOUND, REBUILT, REBUILT, "all of it" },
	{ "leader-epoch-checkpoint", 0, 0, 0, HARMLESS, REBUILT, BLIND, "all of it" },
	{ "partition.metadata", 0, 0, 0, BLIND, HARMLESS, HARMLESS, "all of it" },
	{ "meta.properties", 0, 0, 0, BLIND, REFUSED, REFUSED, "all of it" },
	{ "recovery-point-offset-checkpoint", 0, 0, 0, BLIND, REBUILT, HARMLESS, "all of it" },
	{ "log-start-offset-checkpoint", 0, 0, 0, BLIND, BLIND, BLIND, "all of it" },
	{ "replication-offset-checkpoint", 0, 0, 0, BLIND, BLIND, BLIND, "all of it" },
	{ ".kafka_cleanshutdown", 0, 0, 0, HARMLESS, HARMLESS, HARMLESS, "all of it" },
};

struct image {
	struct image_file {
		char	 name[64];	/* below the log directory */
		uint8_t *bytes;
		size_t	 len;
	} files[FILES_MAX];
	unsigned n;
};

struct place {			/* of one batch */
	const struct image_file *file;
	uint64_t at;
	uint32_t size;
	int64_t	 base, last;
};

struct rot {
	struct fixture f;
	struct image   image;
	struct place   batches[BATCHES_MAX];
	unsigned       nbatches;
	const struct place *last;	/* of the log */
	char	      *good;		/* all answers of the undamaged log */
	struct strbuf  said;		/* by the broker */
};

/* ---- the log: three segments, transactions that overlap, three epochs, records deleted at its beginning ---- */

static void
fill(struct fixture *f, struct log *log)
{
	const struct batch_spec open[] = { { .producer_id = 8, .transactional = true }, { .producer_id = 9, .transactional = true } };

	for (int i = 0; i < 12; i++) {
		clock_manual_advance_ns(&f->clock, INT64_C(1000000000));
		if (i == 5 || i == 9)
			fixture_lead(log, i);
		CHECK_EQ(fixture_append(f, log, &(struct batch_spec){ .records = 1 + (unsigned)i % 3, .value_len = 17, .producer_id = i % 4 == 2 ? 70 + i : 0,
		    .sequence = 0, .codec = i == 6 ? CODEC_GZIP : CODEC_NONE }).error, KERR_NONE);
		if (i % 6 == 3)
			for (int k = 0; k < 2; k++) {
				struct batch_spec s = open[k];

				s.sequence = i / 6;
				CHECK_EQ(fixture_append(f, log, &s).error, KERR_NONE);
			}
		if (i % 6 == 4)
			for (int k = 0; k < 2; k++)
				CHECK_EQ(fixture_marker(f, log, 8 + k, 0, false, 1).error, KERR_NONE);
	}
}

static void
image_take(struct rot *r, const char *below)
{
	char path[1024];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", r->f.path[0], below);
	dir = opendir(path);
	REQUIRE(dir != NULL);
	while ((d = readdir(dir)) != NULL) {
		struct image_file *to = &r->image.files[r->image.n];
		struct stat st;
		char *bytes;

		snprintf(path, sizeof(path), "%s/%s/%s", r->f.path[0], below, d->d_name);
		if (strcmp(d->d_name, ".lock") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		REQUIRE(r->image.n++ < FILES_MAX);
		CHECK_EQ(fs_read_file(r->f.fs, path, 1 << 20, &bytes, &to->len, NULL), OK);
		snprintf(to->name, sizeof(to->name), "%.20s/%.40s", below, d->d_name);
		to->bytes = (uint8_t *)bytes;
	}
	closedir(dir);
}

static bool
is_marker(const char *name)
{
	return (strstr(name, ".kafka_cleanshutdown") != NULL);
}

static void
put(struct rot *r, const struct image_file *from, const char *to)
{
	FILE *f = fopen(fixture_file(&r->f, "%s", to), "w");

	CHECK(f != NULL && fwrite(from->bytes, 1, from->len, f) == from->len);
	fclose(f);
}

/* The directory as it was, its log n times, as t-0 to t-(n-1); without the marker and the recovery points it is that of a broker that was killed. */
static void
image_put(struct rot *r, bool clean, unsigned n)
{
	char name[128];

	CHECK_EQ(fs_remove_tree(r->f.fs, r->f.path[0], NULL), OK);
	for (unsigned k = 0; k < n; k++)
		CHECK_EQ(fs_mkdir_p(r->f.fs, fixture_file(&r->f, "t-%u", k), NULL), OK);
	for (unsigned i = 0; i < r->image.n; i++) {
		const struct image_file *from = &r->image.files[i];

		if (!clean && (is_marker(from->name) || strstr(from->name, "recovery-point") != NULL))
			continue;
		if (from->name[0] == '.') {
			put(r, from, from->name);
			continue;
		}
		for (unsigned k = 0; k < n; k++) {
			snprintf(name, sizeof(name), "t-%u/%.40s", k, from->name + 4);
			put(r, from, name);
		}
	}
	if (n > 1) {
		struct checkpoint cp = CHECKPOINT_INIT;

		for (unsigned k = 0; k < n; k++)
			checkpoint_add(&cp, "t", (int32_t)k, START);
		CHECK_EQ(checkpoint_write(r->f.fs, fixture_file(&r->f, "log-start-offset-checkpoint"), &cp, NULL), OK);
		checkpoint_fini(&cp);
	}
}

static void
find_batches(struct rot *r)
{
	for (unsigned i = 0; i < r->image.n; i++) {
		const struct image_file *file = &r->image.files[i];
		struct batch_iter it = batch_iter_of(slice_of(file->bytes, file->len));
		struct batch_header h;
		struct slice whole;

		if (strstr(file->name, ".log") == NULL)
			continue;
		while (batch_iter_next(&it, &h, &whole) == OK && r->nbatches < BATCHES_MAX)
			r->batches[r->nbatches++] = (struct place){ file, (uint64_t)(whole.p - file->bytes), h.size, h.base_offset, h.last_offset };
	}
}

/* ---- what a broker answers ---- */

static void PRINTF_LIKE(2, 3)
say(char *out, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + n, ANSWERS_MAX - n, fmt, ap);
	va_end(ap);
}

/* The largest offset that begins a batch in the range, cut or not. */
static int64_t
last_begun(const struct file_range *range)
{
	uint8_t *buf = xmalloc(range->len + 1);
	struct batch_iter it = batch_iter_of(slice_of(buf, range->len));
	struct batch_header h;
	struct slice whole;
	int64_t last = -1;

	CHECK_EQ(file_pread_full(range->file, buf, range->len, range->pos, NULL), OK);
	while (batch_iter_next(&it, &h, &whole) == OK)
		last = h.last_offset;
	free(buf);
	return (last);
}

static void
say_read(struct log *log, int64_t offset, char *out)
{
	struct log_read_options ro = { .offset = offset, .bytes_max = 400, .min_one = true, .bound = LOG_BOUND_LAST_STABLE };
	struct log_read_result res;
	struct arena arena;
	enum kerr k;

	arena_init(&arena, 1 << 20);
	k = log_read(log, &ro, &arena, &res);
	say(out, "read %" PRId64 ": error %d", offset, k);
	if (k == KERR_NONE) {
		say(out, " first %" PRId64 " bytes %" PRIu64, res.first_offset, res.range.len);
		for (uint32_t i = 0; i < res.naborted; i++)
			if (res.aborted[i].first_offset <= last_begun(&res.range))	/* more may be listed, Java does, too */
				say(out, " aborted %" PRId64 "@%" PRId64, res.aborted[i].producer_id, res.aborted[i].first_offset);
		log_read_result_fini(&res);
	}
	say(out, " epoch %d\n", log_epoch_of_offset(log, offset));
	arena_fini(&arena);
}

static char *
answers(struct log *log)
{
	char *out = xcalloc(1, ANSWERS_MAX);
	struct log_time_offset found;

	log_set_high_watermark(log, log_end_offset(log));
	say(out, "%" PRId64 " to %" PRId64 ", stable %" PRId64 ", %" PRId64 " records\n", log_start_offset(log), log_end_offset(log), log_last_stable_offset(log),
	    fixture_read_all(log, log_start_offset(log)));
	for (int64_t o = log_start_offset(log); o < MIN(log_end_offset(log), log_start_offset(log) + OFFSETS_ASKED); o++)
		say_read(log, o, out);
	for (int64_t t = 0; t < 14; t++) {
		enum kerr k = log_offset_for_time(log, FIXTURE_NOW + t * 1000 - 500, &found);

		say(out, "time %" PRId64 ": error %d offset %" PRId64 "\n", t, k, k == KERR_NONE && found.found ? found.offset : -1);
	}
	return (out);
}

static void
take_line(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct rot *r = ctx;

	(void)level;
	(void)area;
	strbuf_add(&r->said, "%s\n", text);
}

static enum err
open_all(struct rot *r)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e;

	strbuf_fini(&r->said);
	r->said = (struct strbuf)STRBUF_INIT;
	r->f.offline = 0;
	e = fixture_open(&r->f, &why);
	strbuf_add(&r->said, "%s\n", why.text);
	return (e);
}

static void
rot_init(struct rot *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log;
	int64_t start;

	memset(r, 0, sizeof(*r));
	fixture_init(&r->f, 1);
	diag_free(&r->f.diag);
	r->f.diag = diag_capture(take_line, r);
	r->f.options.segment_bytes = 800;
	r->f.options.segment_index_bytes = 96;
	r->f.options.index_interval_bytes = 150;
	r->f.options.retention_ms = -1;
	REQUIRE(fixture_open(&r->f, &eb) == OK);
	log = fixture_log(&r->f);
	CHECK_EQ(log_set_topic_id(log, uuid_random(&r->f.random.random), NULL), OK);
	fill(&r->f, log);
	log_set_high_watermark(log, log_end_offset(log));
	CHECK_EQ(log_delete_records(log, START, &start), KERR_NONE);
	CHECK_GE(log_segment_count(log), 3);
	log_unref(&log);
	fixture_close(&r->f);
	image_take(r, ".");
	image_take(r, "t-0");
	find_batches(r);
	for (unsigned i = 0; i < r->nbatches; i++)
		if (r->last == NULL || r->batches[i].base > r->last->base)
			r->last = &r->batches[i];
	image_put(r, true, 1);
	REQUIRE(open_all(r) == OK);
	log = log_dirs_find(r->f.dirs, "t", 0);
	r->good = answers(log);
	log_unref(&log);
	fixture_crash(&r->f);
	CHECK(strstr(r->good, "aborted") != NULL && strstr(r->good, "error 0") != NULL);
	image_put(r, true, 1);
}

static void
rot_fini(struct rot *r)
{
	for (unsigned i = 0; i < r->image.n; i++)
		free(r->image.files[i].bytes);
	free(r->good);
	strbuf_fini(&r->said);
	fixture_fini(&r->f);
}

/* ---- every byte ---- */

static const struct place *
batch_of(const struct rot *r, const struct image_file *file, uint64_t pos)
{
	for (unsigned i = 0; i < r->nbatches; i++)
		if (r->batches[i].file == file && pos >= r->batches[i].at && pos < r->batches[i].at + r->batches[i].size)
			return (&r->batches[i]);
	return (NULL);
}

static bool
file_is(const struct image_file *file, const char *suffix)
{
	size_t n = strlen(file->name), m = strlen(suffix);

	return (n >= m && strcmp(file->name + n - m, suffix) == 0);
}

static const struct region *
region_of(const struct rot *r, const struct image_file *file, uint64_t pos)
{
	const struct place *b = batch_of(r, file, pos);

	for (size_t i = 0; i < NELEM(regions); i++) {
		const struct region *g = &regions[i];
		uint64_t in = g->unit == 1 ? (b == NULL ? 0 : pos - b->at) : g->unit == 0 ? pos : pos % g->unit;

		if (file_is(file, g->file) && in >= g->from && (g->to == 0 || in < g->to))
			return (g);
	}
	return (NULL);
}

struct flip {
	const struct image_file *file;
	uint64_t		 pos;
	unsigned		 bit;
	const struct region	*region;
	const struct place	*batch;		/* of data */
	const char		*words;
};

/* Into t-n when it is a file of the log. */
static void
apply(struct rot *r, const struct flip *fl, unsigned n, bool flipped)
{
	uint8_t byte = fl->file->bytes[fl->pos] ^ (flipped ? (uint8_t)(1u << fl->bit) : 0);
	char name[128];
	FILE *f;

	if (fl->file->name[0] == '.')
		snprintf(name, sizeof(name), "%s", fl->file->name);
	else
		snprintf(name, sizeof(name), "t-%u/%.40s", n, fl->file->name + 4);
	f = fopen(fixture_file(&r->f, "%s", name), "r+");
	if (f == NULL)
		return;			/* a crash leaves no such file */
	CHECK(fseek(f, (long)fl->pos, SEEK_SET) == 0 && fwrite(&byte, 1, 1, f) == 1);
	fclose(f);
}

static void
fail(const struct rot *r, const struct flip *fl, const char *what, const char *detail)
{
	size_t i = 0;

	while (detail != NULL && detail[i] != '\0' && detail[i] == r->good[i])
		i++;
	while (i > 0 && detail[i - 1] != '\n')
		i--;
	printf("  %s, byte %" PRIu64 " bit %u (%s): %s\n    now: %.70s\n    was: %.70s\n", fl->file->name, fl->pos, fl->bit, fl->region->field, what,
	    detail == NULL ? "" : detail + i, r->good + i);
	CHECK(!"as promised");
}

struct turn;

/* The header of data and all small files: each bit.  Records: one bit of each byte, another one in each run. */
static void
each_flip(struct rot *r, bool every_bit, void (*fn)(struct rot *, const struct flip *, struct turn *), struct turn *turn)
{
	uint32_t met[NELEM(regions)] = { 0 };
	struct random_seeded rnd;

	random_seeded_init(&rnd, unit_seed());
	for (unsigned i = 0; i < r->image.n; i++) {
		const struct image_file *file = &r->image.files[i];

		for (uint64_t pos = 0; pos < file->len; pos++) {
			struct flip fl = { .file = file, .pos = pos, .region = region_of(r, file, pos), .batch = batch_of(r, file, pos) };
			bool all = every_bit && (fl.batch == NULL || pos - fl.batch->at < BATCH_OVERHEAD);
			unsigned first = all ? 0 : (unsigned)random_below(&rnd.random, 8);

			if (fl.region == NULL) {
				printf("  no row for %s, byte %" PRIu64 "\n", file->name, pos);
				CHECK(!"a row");
				return;
			}
			met[fl.region - regions]++;
			for (fl.bit = first; fl.bit < (all ? 8 : first + 1); fl.bit++)
				fn(r, &fl, turn);
		}
	}
	for (size_t i = 0; i < NELEM(regions); i++)
		CHECK_GE(met[i], 1);
}

/* ---- ottla log verify ---- */

static bool
told(const struct log_findings *fs, const char *file)
{
	for (uint32_t i = 0; i < fs->n; i++)
		if (fs->v[i].violation && strstr(fs->v[i].path, file) != NULL)
			return (true);
	return (false);
}

static bool
told_at(const struct log_findings *fs, const struct flip *fl)
{
	for (uint32_t i = 0; i < fs->n; i++)
		if (fs->v[i].violation && strstr(fs->v[i].path, strrchr(fl->file->name, '/')) != NULL && fs->v[i].position == (int64_t)fl->batch->at)
			return (true);
	return (false);
}

/* Nothing follows the last batch of a log: its offset may as well be larger. */
static bool
may_be_larger(const struct rot *r, const struct flip *fl)
{
	unsigned bit = fl->batch == NULL ? 0 : (unsigned)(7 - (fl->pos - fl->batch->at)) * 8 + fl->bit;

	return (fl->batch == r->last && strcmp(fl->region->field, "base offset") == 0 && bit < 31 && ((fl->batch->base >> bit) & 1) == 0);
}

/* Below the start of the log: deleted, but for the bytes. */
static bool
is_gone(const struct flip *fl)
{
	return (fl->batch != NULL && fl->batch->last < START && strcmp(fl->region->field, "leader epoch") == 0);
}

struct turn {			/* what waits for a start */
	bool	    clean;
	bool	    unfound;	/* verify had nothing to say: every answer must be right */
	struct flip flips[PER_START];
	unsigned    n;
};

/* Whoever asks for one of its records gets the batch itself, or an error. */
static bool
reader_meets(struct log *log, const struct place *b)
{
	bool met = true;

	for (int64_t o = MAX(b->base, (int64_t)START); o <= b->last; o++) {
		struct log_read_options ro = { .offset = o, .bytes_max = 1, .min_one = true, .bound = LOG_BOUND_END };
		struct log_read_result res;
		struct arena arena;

		arena_init(&arena, 1 << 16);
		if (log_read(log, &ro, &arena, &res) == KERR_NONE) {
			met = met && (res.range.file == NULL || res.range.pos == b->at);
			log_read_result_fini(&res);
		}
		arena_fini(&arena);
	}
	return (met);
}

static bool
is_promised(struct rot *r, const struct flip *fl, enum promise p, struct log *log, const char *said, bool named)
{
	bool same = said != NULL && strcmp(said, r->good) == 0;

	switch (p) {
	case CUT:
		return (log != NULL && log_end_offset(log) <= MAX(fl->batch->last, (int64_t)START) && fixture_read_all(log, log_start_offset(log)) >= 0 && named);
	case READER:
		/* At the end of the log the start meets it; elsewhere the reader does. */
		return (log == NULL || log_end_offset(log) <= fl->batch->last || fl->batch->last < START ||
		    (fixture_read_all(log, log_start_offset(log)) < 0 && reader_meets(log, fl->batch)));
	case FOUND:
		return (named || may_be_larger(r, fl));
	case REBUILT:
	case HARMLESS:
		return (same);
	case REFUSED:
		return (same || named);
	case BLIND:
		return (log != NULL || named);
	}
	return (false);
}

static void
judge(struct rot *r, struct turn *t, unsigned n)
{
	const struct flip *fl = &t->flips[n];
	enum promise p = t->unfound ? HARMLESS : t->clean ? fl->region->clean : fl->region->crash;
	struct log *log = r->f.dirs == NULL ? NULL : log_dirs_find(r->f.dirs, "t", (int32_t)n);
	char *said = log == NULL ? NULL : answers(log), where[160];
	bool named;

	if (fl->file->name[0] == '.')
		snprintf(where, sizeof(where), "/%s", fl->file->name + 2);
	else if (p == CUT)
		snprintf(where, sizeof(where), "t-%u/%.40s: position %" PRIu64 ",", n, fl->file->name + 4, fl->batch->at);
	else
		snprintf(where, sizeof(where), "t-%u/%.40s", n, fl->file->name + 4);
	named = strstr(strbuf_str(&r->said), where) != NULL;
	if (!is_promised(r, fl, p, log, said, named))
		fail(r, fl, t->unfound ? "not found by verify, and answers differ" : named ? "named, but not as promised" : "not as promised", said);
	free(said);
	log_unref(&log);
}

/* One start for many: each in a copy of the log. */
static void
start(struct rot *r, struct turn *t)
{
	if (t->n == 0)
		return;
	image_put(r, t->clean, t->n);
	for (unsigned i = 0; i < t->n; i++)
		apply(r, &t->flips[i], i, true);
	if (open_all(r) != OK)
		log_dirs_free(&r->f.dirs);
	for (unsigned i = 0; i < t->n; i++)
		judge(r, t, i);
	log_dirs_free(&r->f.dirs);
	t->n = 0;
}

/* A damaged file of the directory itself has a start of its own. */
static void
next_start(struct rot *r, const struct flip *fl, struct turn *t)
{
	struct turn alone = { .clean = t->clean, .unfound = t->unfound, .flips = { *fl }, .n = 1 };

	if (fl->file->name[0] == '.') {
		start(r, &alone);
		return;
	}
	t->flips[t->n++] = *fl;
	if (t->n == PER_START)
		start(r, t);
}

static void
check_verify(struct rot *r, const struct flip *fl, struct turn *unfound)
{
	struct log_findings of_place = LOG_FINDINGS_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct log_place place;
	struct log_report rep;
	bool found;

	if (unfound->n == 0)
		image_put(r, true, 1);
	apply(r, fl, 0, true);
	CHECK_EQ(log_place_read(r->f.fs, r->f.path[0], false, &place, &of_place, &eb), OK);
	CHECK_EQ(log_verify(r->f.fs, fixture_file(&r->f, "t-0"), &place, NULL, &rep, &eb), OK);
	found = told(&rep.findings, fl->file->name) || told(&of_place, fl->file->name + 2);
	if (fl->region->verify == FOUND && fl->batch != NULL && strcmp(fl->region->field, "leader epoch") == 0)
		found = found || told(&rep.findings, "leader-epoch-checkpoint");
	else if (fl->region->verify == FOUND && fl->batch != NULL && strcmp(fl->region->field, "base offset") != 0)
		found = told_at(&rep.findings, fl);
	if (fl->region->verify == FOUND && !found && !may_be_larger(r, fl) && !is_gone(fl))
		fail(r, fl, "not found by verify", "");
	log_report_fini(&rep);
	log_findings_fini(&of_place);
	log_place_fini(&place);
	apply(r, fl, 0, false);
	if (fl->region->verify == HARMLESS && !found)
		unfound->flips[unfound->n++] = *fl;
}

TEST(verify_finds_each_flipped_bit_that_anything_hangs_on)
{
	struct turn *unfound = xcalloc(1, sizeof(*unfound));
	struct rot r;

	unfound->clean = unfound->unfound = true;
	rot_init(&r);
	each_flip(&r, true, check_verify, unfound);
	start(&r, unfound);
	rot_fini(&r);
	free(unfound);
}

static void
starts(bool clean)
{
	struct turn *t = xcalloc(1, sizeof(*t));
	struct rot r;

	t->clean = clean;
	rot_init(&r);
	each_flip(&r, false, next_start, t);
	start(&r, t);
	rot_fini(&r);
	free(t);
}

TEST(recovery_cuts_or_rebuilds_what_one_flipped_bit_has_spoilt) { starts(false); }
TEST(after_a_clean_end_a_flipped_bit_is_met_by_the_reader_or_misleads_nobody_or_stands_in_the_list) { starts(true); }

/* ---- on the way in ---- */

static enum kerr
produce(struct fixture *f, uint8_t *bytes, size_t len)
{
	struct record_rules rules = RECORD_RULES_DEFAULT;
	const struct record_request rq = { .origin = RECORD_FROM_CLIENT, .produce_version = 9, .now_ms = clock_wall_ms(&f->clock.clock), .topic = "t" };
	struct record_failure why;
	struct record_info info;
	struct arena arena;
	enum kerr k;

	arena_init(&arena, 1 << 20);
	k = record_validate(slice_of(bytes, len), &rules, &rq, NULL, &arena, &info, &why);
	arena_fini(&arena);
	return (k);
}

static enum kerr
replicate(struct log *log, const uint8_t *bytes, size_t len, int64_t *end)
{
	struct append_set s = { .records = memcpy(xmalloc(len), bytes, len), .len = (uint32_t)len, .origin = APPEND_REPLICATION, .leader_epoch = 7 };

	CHECK_EQ(log_append(log, &s), LOG_DONE);
	*end = log_end_offset(log);
	free(s.records);
	return (s.result.error);
}

/* What the leader writes over (offset, epoch) may arrive wrong; a follower cannot know better than its leader. */
static void
check_arrival(struct fixture *f, struct log *log, uint8_t *bytes, size_t len, size_t pos)
{
	enum kerr produced = produce(f, bytes, len), replicated;
	int64_t end;

	if (pos < BATCH_LENGTH || (pos >= BATCH_LEADER_EPOCH && pos < BATCH_MAGIC)) {
		CHECK_EQ(produced, pos < BATCH_LENGTH ? KERR_INVALID_RECORD : KERR_NONE);	/* a client's first offset is 0; its epoch nobody reads */
		return;
	}
	if (pos == BATCH_MAGIC || pos < BATCH_LEADER_EPOCH)
		CHECK(produced != KERR_NONE);
	else
		CHECK_EQ(produced, KERR_CORRUPT_MESSAGE);
	replicated = replicate(log, bytes, len, &end);
	CHECK_EQ(end, 0);
	if (pos >= BATCH_MAGIC)
		CHECK_EQ(replicated, KERR_CORRUPT_MESSAGE);	/* else it may be the cut end of an answer, and is asked for again */
}

TEST(a_batch_with_any_flipped_bit_that_its_checksum_covers_is_not_appended)
{
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	uint8_t *bytes;
	struct log *log;
	int64_t end;
	size_t len;

	fixture_init(&f, 1);
	REQUIRE(fixture_open(&f, &eb) == OK);
	log = fixture_log(&f);
	fixture_follow(log, 7);
	bytes = fixture_batch(&f, &(struct batch_spec){ .records = 2 }, &len);
	for (size_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		check_arrival(&f, log, bytes, len, bit / 8);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CHECK_EQ(replicate(log, bytes, len, &end), KERR_NONE);
	CHECK_EQ(end, 2);
	CHECK_EQ(produce(&f, bytes, len), KERR_NONE);
	free(bytes);
	log_unref(&log);
	fixture_fini(&f);
}

UNIT_MAIN("log/rot", T(a_batch_with_any_flipped_bit_that_its_checksum_covers_is_not_appended), T(verify_finds_each_flipped_bit_that_anything_hangs_on), T(recovery_cuts_or_rebuilds_what_one_flipped_bit_has_spoilt),
    T(after_a_clean_end_a_flipped_bit_is_met_by_the_reader_or_misleads_nobody_or_stands_in_the_list))
