/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_golden.c - log directories that a Java broker 3.9.1 left behind (test/golden/log): after a clean end, and after kill -9.
 *
 * The .txt beside each archive says what a Java client saw of it: offsets, times, producers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "record/record.h"
#include "base/must.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define GOLDEN_NOW	INT64_C(1795375500000)	/* soon after the archives were made: no producer has expired */

static char *
golden_text(const char *name)
{
	char path[1024], *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/test/golden/log/%s.txt", unit_srcdir(), name);
	return (fs_read_file(fs_real(), path, 1 << 20, &text, &len, NULL) == OK ? text : NULL);
}

static bool
unpack(struct fixture *f, const char *name)
{
	char cmd[4096];

	fixture_init(f, 1);
	clock_manual_init(&f->clock, GOLDEN_NOW);
	f->options.segment_bytes = 4096;
	f->options.segment_index_bytes = 8192;
	f->options.index_interval_bytes = 256;
	f->options.retention_ms = -1;
	snprintf(cmd, sizeof(cmd), "mkdir -p %s.tar && tar -C %s.tar -xzf %s/test/golden/log/%s.tar.gz && mv %s.tar/data %s", f->path[0], f->path[0], unit_srcdir(),
	    name, f->path[0], f->path[0]);
	if (system(cmd) == 0)
		return (true);
	CHECK_STR(cmd, "works");
	return (false);
}

/* The broker's own topic kept the default interval. */
static void
options_of(void *ctx, const char *topic, struct log_options *o)
{
	(void)ctx;
	if (topic[0] == '_')
		o->index_interval_bytes = 4096;
}

static bool
open_java(struct fixture *f)
{
	struct errbuf eb = ERRBUF_INIT;
	const char *paths[1] = { f->path[0] };
	const struct log_dirs_options o = { .fs = f->fs, .clock = &f->clock.clock, .diag = f->diag, .random = &f->random.random, .dirs = paths, .ndirs = 1,
	    .defaults = f->options, .topic_options = options_of };
	enum err e = log_dirs_new(&o, &f->dirs, &eb);

	if (e == OK)
		e = log_dirs_set_identity(f->dirs, 7, log_dirs_cluster_id(f->dirs), &eb);
	if (e == OK)
		e = log_dirs_load(f->dirs, &eb);
	CHECK_STR(eb.text, "");
	return (e == OK);
}

/* ---- what the client saw ---- */

static void
check_log_line(struct fixture *f, const char *line)
{
	long long start, end, stable, max_ts, max_at;
	struct log_time_offset t;
	char topic[64];
	struct log *log;

	REQUIRE(sscanf(line, "log %63s start %lld end %lld stable %lld maxts %lld at %lld", topic, &start, &end, &stable, &max_ts, &max_at) == 6);
	log = log_dirs_find(f->dirs, topic, 0);
	REQUIRE(log != NULL);
	CHECK_EQ(log_start_offset(log), start);
	CHECK_EQ(log_end_offset(log), end);
	log_set_high_watermark(log, end);
	CHECK_EQ(log_last_stable_offset(log), stable);
	CHECK_EQ(log_offset_for_time(log, LOG_TIME_MAX, &t), KERR_NONE);
	CHECK_EQ(t.timestamp_ms, max_ts);
	CHECK_EQ(t.offset, max_at);
	CHECK_EQ(log_epoch_of_offset(log, start), 0);
	CHECK(!uuid_is_zero(log_topic_id(log)));
	log_check(log);
	log_unref(&log);
}

static void
check_time_line(struct fixture *f, const char *line)
{
	long long ts, offset, timestamp;
	struct log_time_offset t;
	char topic[64];
	struct log *log;

	REQUIRE(sscanf(line, "time %63s %lld offset %lld timestamp %lld", topic, &ts, &offset, &timestamp) == 4);
	log = log_dirs_find(f->dirs, topic, 0);
	REQUIRE(log != NULL);
	CHECK_EQ(log_offset_for_time(log, ts, &t), KERR_NONE);
	CHECK_EQ(t.offset, offset);
	CHECK_EQ(t.timestamp_ms, timestamp);
	log_unref(&log);
}

struct wanted {
	long long id, timestamp, txn;
	int epoch, sequence, coordinator;
	int found;
};

static void
match(void *ctx, const struct log_producer *p)
{
	struct wanted *w = ctx;

	w->found += p->producer_id == w->id && p->producer_epoch == w->epoch && p->last_sequence == w->sequence && p->last_timestamp_ms == w->timestamp &&
	    p->coordinator_epoch == w->coordinator && p->txn_first_offset == w->txn;
}

static void
check_producer_line(struct fixture *f, const char *line)
{
	struct wanted w = { 0 };
	char topic[64];
	struct log *log;

	REQUIRE(sscanf(line, "producer %63s id %lld epoch %d sequence %d timestamp %lld coordinator %d txn %lld", topic, &w.id, &w.epoch, &w.sequence, &w.timestamp,
	    &w.coordinator, &w.txn) == 7);
	log = log_dirs_find(f->dirs, topic, 0);
	REQUIRE(log != NULL);
	log_producers(log, match, &w);
	CHECK_EQ(w.found, 1);
	log_unref(&log);
}

static void
check_against(struct fixture *f, const char *name)
{
	char *text = golden_text(name), *save = NULL;
	int lines = 0;

	REQUIRE(text != NULL);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save), lines++) {
		if (strncmp(line, "log ", 4) == 0)
			check_log_line(f, line);
		else if (strncmp(line, "time ", 5) == 0)
			check_time_line(f, line);
		else
			check_producer_line(f, line);
	}
	CHECK_EQ(lines, 14);
	free(text);
}

static void
check_aborted(struct fixture *f)
{
	struct log_read_options ro = { .offset = 0, .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_LAST_STABLE };
	struct log *log = log_dirs_find(f->dirs, "txn", 0);
	struct log_read_result r;
	struct arena a;

	REQUIRE(log != NULL);
	arena_init(&a, 65536);
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	CHECK_EQ(r.last_stable_offset, 15);
	CHECK_EQ(r.naborted, 1);
	if (r.naborted == 1) {
		CHECK_EQ(r.aborted[0].producer_id, 2);
		CHECK_EQ(r.aborted[0].first_offset, 6);
	}
	log_read_result_fini(&r);
	arena_fini(&a);
	log_unref(&log);
}

/* ---- bytes ---- */

struct listing {
	char	*names[256];
	char	*bytes[256];
	size_t	 len[256];
	unsigned n;
	char	 dir[1024];
};

static bool take_dir(void *, const char *, bool);

static bool
take_file(void *ctx, const char *name, bool is_dir)
{
	struct listing *l = ctx;
	char path[2048];

	if (is_dir || l->n == NELEM(l->names))
		return (true);
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	CHECK_EQ(fs_read_file(fs_real(), path, 1 << 24, &l->bytes[l->n], &l->len[l->n], NULL), OK);
	l->names[l->n++] = xstrdup(path);
	return (true);
}

static bool
take_dir(void *ctx, const char *name, bool is_dir)
{
	struct listing *l = ctx;
	char top[1024];

	if (!is_dir)
		return (take_file(ctx, name, false));
	snprintf(top, sizeof(top), "%s", l->dir);
	snprintf(l->dir, sizeof(l->dir), "%.500s/%.500s", top, name);
	CHECK_EQ(fs_real()->ops->list(fs_real(), l->dir, take_file, l, NULL), OK);
	snprintf(l->dir, sizeof(l->dir), "%s", top);
	return (true);
}

static void
listing_take(struct listing *l, const char *dir)
{
	memset(l, 0, sizeof(*l));
	snprintf(l->dir, sizeof(l->dir), "%s", dir);
	CHECK_EQ(fs_real()->ops->list(fs_real(), dir, take_dir, l, NULL), OK);
}

static void
listing_free(struct listing *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		free(l->names[i]);
		free(l->bytes[i]);
	}
}

static int
line_cmp(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

/* Java too removes this one at its next start (it is not in crashed.tar.gz): a snapshot at or below the log start. */
static void
forget_stale_snapshot(struct fixture *f)
{
	CHECK_EQ(f->fs->ops->unlink(f->fs, fixture_file(f, "trimmed-0/%020d.snapshot", 31), NULL), OK);
}

/* Lines of a checkpoint may stand in any order. */
static void
sort_lines(char *text)
{
	char *lines[256], *copy = xstrdup(text), *save = NULL;
	size_t n = 0, at = 0;

	for (char *line = strtok_r(copy, "\n", &save); line != NULL && n < NELEM(lines); line = strtok_r(NULL, "\n", &save))
		lines[n++] = line;
	qsort(lines, n, sizeof(lines[0]), line_cmp);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(lines[i]);

		memcpy(text + at, lines[i], len);
		text[at + len] = '\n';
		at += len + 1;
	}
	free(copy);
}

static unsigned
same_files(const struct listing *a, const struct listing *b, const char *suffix)
{
	unsigned same = 0;

	for (unsigned i = 0; i < a->n; i++) {
		size_t n = strlen(a->names[i]), s = strlen(suffix);
		bool found = false;

		if (n < s || strcmp(a->names[i] + n - s, suffix) != 0)
			continue;
		for (unsigned k = 0; k < b->n && !found; k++) {
			if (strcmp(a->names[i], b->names[k]) != 0)
				continue;
			found = true;
			if (strstr(suffix, "offset-checkpoint") != NULL) {
				sort_lines(a->bytes[i]);
				sort_lines(b->bytes[k]);
			}
			unit_check(a->len[i] == b->len[k] && memcmp(a->bytes[i], b->bytes[k], a->len[i]) == 0, __FILE__, __LINE__, "%s is unchanged", a->names[i]);
			same++;
		}
		unit_check(found, __FILE__, __LINE__, "%s is still there", a->names[i]);
	}
	return (same);
}

TEST(a_java_directory_says_to_us_what_it_said_to_java)
{
	struct fixture f;

	if (!unpack(&f, "clean"))
		return;
	REQUIRE(open_java(&f));
	CHECK(log_dirs_was_clean(f.dirs));
	CHECK_EQ(log_dirs_count(f.dirs), 6);
	CHECK_EQ(log_dirs_broker_id(f.dirs), 7);
	CHECK_EQ(log_dirs_stored_high_watermark(f.dirs, "plain", 0), 200);
	check_against(&f, "clean");
	check_aborted(&f);
	fixture_fini(&f);
}

TEST(a_crashed_java_directory_loses_nothing)
{
	struct fixture f;

	if (!unpack(&f, "crashed"))
		return;
	REQUIRE(open_java(&f));
	CHECK(!log_dirs_was_clean(f.dirs));
	check_against(&f, "crashed");
	check_aborted(&f);
	fixture_close(&f);
	/* And once more, as we left it. */
	REQUIRE(open_java(&f));
	CHECK(log_dirs_was_clean(f.dirs));
	check_against(&f, "crashed");
	check_aborted(&f);
	fixture_fini(&f);
}

enum { MANY = 100 };

/* The batches of producer 1 as Java wrote them. */
static unsigned
java_batches(struct fixture *f, struct batch_header *v)
{
	struct log_read_options ro = { .offset = 0, .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_END };
	struct log *log = log_dirs_find(f->dirs, "idem", 0);
	unsigned n = 0;

	while (log != NULL && ro.offset < log_end_offset(log)) {
		struct log_read_result r;
		struct batch_iter it;
		struct batch_header h;
		struct slice whole;
		struct arena a;
		char *bytes = xmalloc(1 << 20);
		size_t got = 0;

		arena_init(&a, 65536);
		must(log_read(log, &ro, &a, &r) == KERR_NONE && r.range.len > 0);
		must(file_pread(r.range.file, bytes, r.range.len, r.range.pos, &got, NULL) == OK && got == r.range.len);
		it = batch_iter_of(slice_of(bytes, got));
		while (batch_iter_next(&it, &h, &whole) == OK && n < MANY) {
			ro.offset = h.last_offset + 1;
			if (h.producer_id == 1)
				v[n++] = h;
		}
		log_read_result_fini(&r);
		arena_fini(&a);
		free(bytes);
	}
	log_unref(&log);
	return (n);
}

static struct append_result
send_again(struct fixture *f, struct log *log, const struct batch_header *h)
{
	return (fixture_append(f, log, &(struct batch_spec){ .records = (unsigned)h->record_count, .producer_id = 1, .producer_epoch = h->producer_epoch,
	    .sequence = h->base_sequence }));
}

TEST(what_a_producer_sent_to_java_is_known_when_it_comes_again_to_us)
{
	static const char *const ends[] = { "clean", "crashed" };

	for (size_t k = 0; k < NELEM(ends); k++) {
		struct batch_header v[MANY];
		struct append_result r;
		struct fixture f;
		struct log *log;
		int64_t end;
		unsigned n;

		if (!unpack(&f, ends[k]))
			return;
		REQUIRE(open_java(&f));
		n = java_batches(&f, v);
		REQUIRE(n > 5);
		log = log_dirs_find(f.dirs, "idem", 0);
		REQUIRE(log != NULL);
		end = log_end_offset(log);
		fixture_lead(log, 5);
		for (unsigned i = n - 5; i < n; i++) {
			r = send_again(&f, log, &v[i]);
			CHECK(r.duplicate);
			CHECK_EQ(r.base_offset, v[i].base_offset);
			CHECK_EQ(r.last_offset, v[i].last_offset);
			CHECK_EQ(r.log_append_time_ms, v[i].max_timestamp);
		}
		CHECK_EQ(send_again(&f, log, &v[n - 6]).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
		CHECK_EQ(log_end_offset(log), end);
		v[n - 1].base_sequence = batch_last_sequence(&v[n - 1]) + 1;
		CHECK_EQ(send_again(&f, log, &v[n - 1]).base_offset, end);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(opening_and_closing_changes_no_byte_of_a_java_directory)
{
	static const char *const suffixes[] = { ".log", ".index", ".timeindex", ".txnindex", ".snapshot", "leader-epoch-checkpoint", "partition.metadata", "meta.properties",
	    "replication-offset-checkpoint", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint", ".kafka_cleanshutdown" };
	struct listing before, after;
	unsigned files = 0;
	struct fixture f;

	if (!unpack(&f, "clean"))
		return;
	forget_stale_snapshot(&f);
	listing_take(&before, f.path[0]);
	REQUIRE(open_java(&f));
	fixture_close(&f);
	listing_take(&after, f.path[0]);
	for (size_t i = 0; i < NELEM(suffixes); i++)
		files += same_files(&before, &after, suffixes[i]);
	CHECK_GE(files, 40);
	CHECK_EQ(before.n + 1, after.n);	/* .lock, which Java takes away at a clean end */
	listing_free(&before);
	listing_free(&after);
	fixture_fini(&f);
}

TEST(indexes_rebuilt_from_the_data_are_java_s_to_the_byte)
{
	static const char *const suffixes[] = { ".log", ".index", ".timeindex", ".txnindex", ".snapshot", "leader-epoch-checkpoint" };
	struct listing before, after;
	struct fixture f;
	char cmd[2048];
	unsigned files = 0;

	if (!unpack(&f, "clean"))
		return;
	forget_stale_snapshot(&f);
	listing_take(&before, f.path[0]);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f */*.index */*.timeindex */*.txnindex */*.snapshot */leader-epoch-checkpoint .kafka_cleanshutdown recovery-point*",
	    f.path[0]);
	REQUIRE(system(cmd) == 0);
	REQUIRE(open_java(&f));
	check_against(&f, "clean");
	fixture_close(&f);
	listing_take(&after, f.path[0]);
	for (size_t i = 0; i < NELEM(suffixes); i++)
		files += same_files(&before, &after, suffixes[i]);
	CHECK_GE(files, 30);
	listing_free(&before);
	listing_free(&after);
	fixture_fini(&f);
}

/* ---- formats 0 and 1 ---- */

static void
check_old_read(struct log *log, const char *line)
{
	struct log_read_options o = { .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_END };
	long long offset, position, size;
	struct log_read_result r;
	struct arena a;

	REQUIRE(sscanf(line, "read %*s %lld %lld %lld", &offset, &position, &size) == 3);
	arena_init(&a, 4096);
	o.offset = offset;
	CHECK_EQ(log_read(log, &o, &a, &r), KERR_NONE);
	CHECK_EQ(r.range.pos, position);
	CHECK_EQ(r.first_batch_len, size);
	log_read_result_fini(&r);
	arena_fini(&a);
}

static void
check_old_time(struct log *log, const char *line)
{
	long long when, offset, timestamp;
	struct log_time_offset t;

	REQUIRE(sscanf(line, "time %*s %lld offset %lld timestamp %lld", &when, &offset, &timestamp) == 3);
	CHECK_EQ(log_offset_for_time(log, when, &t), KERR_NONE);
	unit_check(t.offset == offset && t.timestamp_ms == timestamp, __FILE__, __LINE__, "%s: here %lld at %lld", line, (long long)t.timestamp_ms, (long long)t.offset);
}

static uint32_t
crc_record(uint32_t crc, const struct record *r)
{
	uint8_t head[24];
	struct writer w = writer_of(head, sizeof(head));

	wr_i64(&w, r->offset);
	wr_i64(&w, r->timestamp);
	wr_i32(&w, r->key_len);
	wr_i32(&w, r->value_len);
	crc = (uint32_t)crc32_z(crc, head, sizeof(head));
	crc = r->key_len > 0 ? (uint32_t)crc32_z(crc, r->key.p, r->key.len) : crc;
	return (r->value_len > 0 ? (uint32_t)crc32_z(crc, r->value.p, r->value.len) : crc);
}

static void
records_of(struct slice bytes, unsigned *n, uint32_t *crc, int64_t *next)
{
	struct batch_iter bi = batch_iter_of(bytes);
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct batch_header h;
	struct slice whole;
	struct record r;

	while (batch_iter_next(&bi, &h, &whole) == OK) {
		CHECK_EQ(record_iter_init(&it, NULL, whole, &h, RECORD_FULL, &eb), OK);
		for (; record_iter_next(&it, &r, &eb) == OK; (*n)++)
			*crc = crc_record(*crc, &r);
		record_iter_fini(&it);
		*next = h.last_offset + 1;
	}
}

/* Everything, as a consumer reads it: from the end of what it got before. */
static void
check_old_records(struct log *log, const char *line)
{
	struct log_read_options o = { .bytes_max = 700, .min_one = true, .bound = LOG_BOUND_END };
	unsigned want_n, want_crc, n = 0;
	struct log_read_result r;
	uint32_t crc = 0;
	struct arena a;
	uint8_t *buf;

	REQUIRE(sscanf(line, "records %*s %u %u", &want_n, &want_crc) == 2);
	arena_init(&a, 4096);
	while (o.offset < log_end_offset(log)) {
		int64_t before = o.offset;

		CHECK_EQ(log_read(log, &o, &a, &r), KERR_NONE);
		buf = malloc(r.range.len + 1);
		CHECK_EQ(file_pread_full(r.range.file, buf, r.range.len, r.range.pos, NULL), OK);
		records_of(slice_of(buf, r.range.len), &n, &crc, &o.offset);
		free(buf);
		log_read_result_fini(&r);
		if (!CHECK(o.offset > before))
			break;
	}
	CHECK_EQ(n, want_n);
	CHECK_EQ(crc, want_crc);
	arena_fini(&a);
}

static void
check_old(struct fixture *f)
{
	char *text = golden_text("old"), *save = NULL;
	unsigned lines = 0;

	REQUIRE(text != NULL);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save), lines++) {
		char topic[32] = "";
		struct log *log;

		REQUIRE(sscanf(line, "%*s %31s", topic) == 1);
		log = log_dirs_find(f->dirs, topic, 0);
		REQUIRE(log != NULL);
		if (line[0] == 'r' && line[3] == 'd')
			check_old_read(log, line);
		else
			(line[0] == 't' ? check_old_time : check_old_records)(log, line);
		CHECK_EQ(log_latest_epoch(log), -1);
		log_unref(&log);
	}
	CHECK_GE(lines, 1000);
	free(text);
}

/* A cut in the middle of a wrapper takes all of it, as in Kafka; the log ends at the cut all the same. */
static void
check_old_cut(struct fixture *f, const char *topic, int64_t offset)
{
	struct log_read_options o = { .offset = offset, .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_END };
	struct log *log = log_dirs_find(f->dirs, topic, 0);
	struct log_read_result r, rest;
	struct errbuf eb = ERRBUF_INIT;
	struct arena a;
	uint64_t position;

	REQUIRE(log != NULL);
	arena_init(&a, 4096);
	CHECK_EQ(log_read(log, &o, &a, &r), KERR_NONE);
	position = r.range.pos;
	CHECK(r.range.len > 0);
	log_read_result_fini(&r);
	CHECK_EQ(log_truncate_to(log, offset, &eb), OK);
	CHECK_EQ(log_end_offset(log), offset);
	o.offset = r.segment_base;
	if (r.segment_base < offset) {
		CHECK_EQ(log_read(log, &o, &a, &rest), KERR_NONE);
		CHECK_EQ(rest.range.len, position);
		log_read_result_fini(&rest);
	}
	log_check(log);
	arena_fini(&a);
	log_unref(&log);
}

TEST(segments_of_old_formats_are_read_and_recovered_as_kafka_does)
{
	static const char *const suffixes[] = { ".log", ".index", ".timeindex" };
	struct listing before, after;
	struct fixture f;
	char cmd[2048];
	unsigned files = 0;

	if (!codec_built_in(CODEC_LZ4) || !unpack(&f, "old"))
		return;
	listing_take(&before, f.path[0]);
	snprintf(cmd, sizeof(cmd), "cd %s && rm -f */*.index */*.timeindex */*.txnindex", f.path[0]);
	REQUIRE(system(cmd) == 0);
	REQUIRE(open_java(&f));
	check_old(&f);
	fixture_close(&f);
	listing_take(&after, f.path[0]);
	for (size_t i = 0; i < NELEM(suffixes); i++)
		files += same_files(&before, &after, suffixes[i]);
	CHECK_EQ(files, 30);
	listing_free(&before);
	listing_free(&after);
	REQUIRE(open_java(&f));		/* after a clean end: with indexes that are believed */
	check_old(&f);
	for (int64_t cut = 250; cut > 0; cut -= 19) {	/* no wrapper is that long */
		check_old_cut(&f, "v0", cut);
		check_old_cut(&f, "v1", cut);
	}
	fixture_close(&f);
	fixture_fini(&f);
}

UNIT_MAIN("log/golden",
    T(a_java_directory_says_to_us_what_it_said_to_java), T(a_crashed_java_directory_loses_nothing),
    T(what_a_producer_sent_to_java_is_known_when_it_comes_again_to_us),
    T(opening_and_closing_changes_no_byte_of_a_java_directory), T(indexes_rebuilt_from_the_data_are_java_s_to_the_byte),
    T(segments_of_old_formats_are_read_and_recovered_as_kafka_does))
