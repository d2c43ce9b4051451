/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/fixture.c - see fixture.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

static void
take_line(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct fixture *f = ctx;
	size_t n = strlen(f->lines);

	(void)level;
	(void)area;
	snprintf(f->lines + n, sizeof(f->lines) - n, "%s\n", text);
	if (getenv("OTTLA_TEST_VERBOSE") != NULL)
		fprintf(stderr, "  | %s\n", text);
}

struct fs *
fixture_fs(void)
{
	return (fs_unsynced());
}

void
fixture_init(struct fixture *f, unsigned ndirs)
{
	static unsigned turn;

	turn++;
	memset(f, 0, sizeof(*f));
	reclaim_thread_register();
	f->fs = fixture_fs();
	clock_manual_init(&f->clock, FIXTURE_NOW);
	random_seeded_init(&f->random, unit_seed());
	log_options_default(&f->options);
	f->options.segment_bytes = 16384;
	f->options.segment_index_bytes = 4096;
	f->options.index_interval_bytes = 200;
	f->diag = diag_capture(take_line, f);
	f->npaths = ndirs;
	f->cut_at = -1;
	f->open_indexes_max = 1;
	for (unsigned i = 0; i < ndirs; i++)
		snprintf(f->path[i], sizeof(f->path[i]), "%s/data-%u-%u", unit_tmpdir(), turn, i);
}

static void on_moved(void *ctx, struct log *log) { (void)log; ((struct fixture *)ctx)->moved++; }
static void on_offline(void *ctx, const char *dir, const char *why) { (void)dir; (void)why; ((struct fixture *)ctx)->offline++; }
static void on_all(void *ctx) { ((struct fixture *)ctx)->all_offline++; }
static void on_truncate(void *ctx, struct log *log, int64_t at) { (void)log; ((struct fixture *)ctx)->cut_at = at; }

enum err
fixture_open(struct fixture *f, struct errbuf *eb)
{
	const char *paths[2] = { f->path[0], f->path[1] };
	const struct log_dirs_options o = {
		.fs = f->fs, .clock = &f->clock.clock, .diag = f->diag, .random = &f->random.random, .workers = f->workers,
		.dirs = paths, .ndirs = f->npaths, .recovery_threads_per_dir = f->recovery_threads, .sync_appends = f->sync_appends, .open_indexes_max = f->open_indexes_max, .defaults = f->options,
		.events = { f, on_moved, on_offline, on_all, on_truncate },
	};
	enum err e = log_dirs_new(&o, &f->dirs, eb);

	if (e == OK)
		e = log_dirs_set_identity(f->dirs, 1, "AAAAAAAAAAAAAAAAAAAAAA", eb);
	if (e == OK)
		e = log_dirs_load(f->dirs, eb);
	return (e);
}

void
fixture_close(struct fixture *f)
{
	log_dirs_shutdown(f->dirs);
	log_dirs_free(&f->dirs);
}

void
fixture_crash(struct fixture *f)
{
	log_dirs_free(&f->dirs);
}

void
fixture_fini(struct fixture *f)
{
	log_dirs_free(&f->dirs);
	workers_free(&f->workers);
	diag_free(&f->diag);
	reclaim_thread_unregister();
}

void
fixture_lead(struct log *log, int32_t epoch)
{
	const struct log_role role = { .leader = true, .min_isr_met = true, .leader_epoch = epoch };

	CHECK_EQ(log_begin_leader_epoch(log, epoch, NULL), OK);
	log_set_role(log, &role);
}

void
fixture_follow(struct log *log, int32_t epoch)
{
	const struct log_role role = { .leader = false, .leader_epoch = epoch };

	log_set_role(log, &role);
}

void
fixture_establish(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;

	log_own(log);
	CHECK_EQ(log_establish(log, &eb), OK);
	CHECK_STR(eb.text, "");
	log_disown(log);
}

struct log *
fixture_young(struct fixture *f)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log = NULL;
	enum err e = log_dirs_create(f->dirs, "t", 0, UUID_ZERO, &f->options, &log, &eb);

	if (e != OK) {
		CHECK_STR(eb.text, "");
		abort();
	}
	fixture_lead(log, 5);
	return (log);
}

struct log *
fixture_log(struct fixture *f)
{
	struct log *log = fixture_young(f);

	fixture_establish(log);
	return (log);
}

static void
fill_value(struct fixture *f, char *value, size_t len)
{
	snprintf(value, len + 1, "%016llx", (unsigned long long)++f->sequence);
	if (len > 16)
		memset(value + 16, 'a' + (int)(f->sequence % 26), len - 16);
}

uint8_t *
fixture_batch(struct fixture *f, const struct batch_spec *spec, size_t *len)
{
	struct batch_builder_options bo = BATCH_BUILDER_OPTIONS;
	unsigned n = spec->records == 0 ? 1 : spec->records, value_len = spec->value_len == 0 ? 20 : spec->value_len;
	char *value = xmalloc(value_len + 32);
	struct batch_builder *b;
	uint8_t *bytes = NULL;

	bo.base_offset = spec->base_offset;
	bo.leader_epoch = spec->base_offset > 0 || spec->leader_epoch > 0 ? spec->leader_epoch : -1;
	bo.codec = spec->codec;
	if (spec->producer_id != 0) {
		bo.producer_id = spec->producer_id;
		bo.producer_epoch = spec->producer_epoch;
		bo.base_sequence = spec->sequence;
		bo.transactional = spec->transactional;
	}
	b = batch_builder_new(NULL, &bo, NULL);
	for (unsigned i = 0; i < n; i++) {
		fill_value(f, value, value_len);
		CHECK_EQ(batch_builder_append(b, spec->timestamp_ms == 0 ? clock_wall_ms(&f->clock.clock) : spec->timestamp_ms, SLICE_LIT("k"),
		    slice_of(value, value_len), NULL, 0), OK);
	}
	CHECK_EQ(batch_builder_finish(b, &bytes, len, NULL), OK);
	batch_builder_free(b);
	free(value);
	return (bytes);
}

static void
note_answer(struct append_set *s)
{
	s->done = NULL;
}

/* A new log takes its first set on a worker: that is stepped until it has answered. */
static void
put(struct fixture *f, struct log *log, struct append_set *s)
{
	s->done = note_answer;
	if (log_append(log, s) == LOG_DONE)
		return;
	while (s->done != NULL && f->workers != NULL && workers_count(f->workers) == 0 && workers_step(f->workers))
		;
	CHECK(s->done == NULL);
}

struct append_result
fixture_append(struct fixture *f, struct log *log, const struct batch_spec *spec)
{
	struct record_rules rules = RECORD_RULES_DEFAULT;
	const struct record_request rq = { .origin = RECORD_FROM_CLIENT, .produce_version = 9, .now_ms = clock_wall_ms(&f->clock.clock), .topic = "t" };
	struct record_failure why;
	struct record_info info;
	struct append_set s;
	struct arena arena;
	uint8_t *bytes;
	size_t len;

	arena_init(&arena, 1 << 20);
	bytes = fixture_batch(f, spec, &len);
	CHECK_EQ(record_validate(slice_of(bytes, len), &rules, &rq, NULL, &arena, &info, &why), KERR_NONE);
	s = (struct append_set){ .records = bytes, .len = (uint32_t)len, .origin = APPEND_CLIENT, .leader_epoch = log_latest_epoch(log), .info = &info,
	    .txn_verified = true, .acks_all = spec->acks_all };
	put(f, log, &s);
	arena_fini(&arena);
	free(bytes);
	return (s.result);
}

int64_t
fixture_put(struct fixture *f, struct log *log)
{
	struct append_result r = fixture_append(f, log, &(struct batch_spec){ 0 });

	CHECK_EQ(r.error, KERR_NONE);
	return (r.base_offset);
}

struct append_result
fixture_replicate(struct fixture *f, struct log *log, const struct batch_spec *specs, unsigned n)
{
	struct append_set s = { .origin = APPEND_REPLICATION, .leader_epoch = 7 };
	uint8_t *all = NULL;
	size_t used = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t len;
		uint8_t *b = fixture_batch(f, &specs[i], &len);

		all = xreallocarray(all, used + len, 1);
		memcpy(all + used, b, len);
		used += len;
		free(b);
	}
	s.records = all;
	s.len = (uint32_t)used;
	put(f, log, &s);
	free(all);
	return (s.result);
}

struct append_result
fixture_marker(struct fixture *f, struct log *log, int64_t producer_id, int16_t epoch, bool commit, int32_t coordinator_epoch)
{
	const struct end_txn_marker m = { .timestamp_ms = clock_wall_ms(&f->clock.clock), .producer_id = producer_id, .leader_epoch = -1,
	    .coordinator_epoch = coordinator_epoch, .producer_epoch = epoch, .type = commit ? CONTROL_COMMIT : CONTROL_ABORT };
	uint8_t bytes[BATCH_END_TXN_BYTES];
	struct append_set s = { .records = bytes, .len = sizeof(bytes), .origin = APPEND_COORDINATOR, .leader_epoch = log_latest_epoch(log) };

	batch_end_txn_encode(bytes, &m);
	put(f, log, &s);
	return (s.result);
}

static int64_t
count_range(struct file_range *range, int64_t *next, bool *bad)
{
	uint8_t *buf = xmalloc(range->len);
	struct batch_iter it = batch_iter_of(slice_of(buf, range->len));
	struct batch_header h;
	struct slice whole;
	int64_t n = 0;

	*bad = file_pread_full(range->file, buf, range->len, range->pos, NULL) != OK;
	while (!*bad && batch_iter_next(&it, &h, &whole) == OK) {
		*bad = !batch_crc_ok(whole) || h.last_offset < *next;
		n += h.record_count;
		*next = h.last_offset + 1;
	}
	free(buf);
	return (n);
}

int64_t
fixture_read_all(struct log *log, int64_t offset)
{
	struct log_read_options o = { .bytes_max = 3000, .min_one = true, .bound = LOG_BOUND_END };
	struct log_read_result r;
	struct arena arena;
	int64_t n = 0;
	bool bad = false;

	arena_init(&arena, 1 << 20);
	while (!bad && offset < log_end_offset(log)) {
		o.offset = offset;
		bad = log_read(log, &o, &arena, &r) != KERR_NONE || r.range.file == NULL;
		if (!bad)
			n += count_range(&r.range, &offset, &bad);
		log_read_result_fini(&r);
	}
	arena_fini(&arena);
	return (bad ? -1 : n);
}

char *
fixture_file(struct fixture *f, const char *format, ...)
{
	static char ring[4][1024];
	static unsigned turn;
	char name[256], *out = ring[turn++ % 4];
	va_list ap;

	va_start(ap, format);
	vsnprintf(name, sizeof(name), format, ap);
	va_end(ap);
	snprintf(out, sizeof(ring[0]), "%s/%s", f->path[0], name);
	return (out);
}

int64_t
fixture_size(struct fixture *f, const char *path)
{
	struct fs_stat st;

	return (f->fs->ops->stat(f->fs, path, &st, NULL) == OK ? (int64_t)st.size : -1);
}
