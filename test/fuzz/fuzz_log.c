/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_log.c - a log directory with one partition, whatever its files say: verified, repaired, recovered, used.
 *
 * INPUT   u8 flags | parts: u8 which file | u16 length | its bytes.  flags: bit 0: checksums of batches are made right before;
 *	   bit 1: it is repaired, else a broker starts on it
 * HOLDS   recovery after a crash leaves a log that works and, closed, has nothing that verification minds; a repair leaves nothing that
 *	   verification minds, unless it said so; both agree where the log ends (unless a batch with a right checksum lies about its records); all that can be read is whole batches with right checksums.
 *	   (With a clean marker or a recovery point a broker believes what lies below it: then only that nothing panics.)
 *	   What recovery leaves of the data is, byte for byte, what `expected` says from the input alone.  So there is no hole between the two segments
 *	   but one that the input had, or that damage explains: the first was cut, and it may have been flushed, for all that is known.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/reclaim.h"
#include "log/inspect.h"
#include "log/log_dirs.h"
#include "record/record.h"
#include "record/validate.h"
#include "test/fuzz/fs_mem.h"
#include "test/fuzz/fuzz.h"

enum { MEND = 1 << 0, REPAIR = 1 << 1, PARTS_MAX = 12 };

#define NOW		INT64_C(1700000000000)
#define DIR_		"/d"
#define LOG		DIR_ "/t-0"

static const struct {
	const char *path;
	bool	    data;
	bool	    trusted;		/* a broker that finds it believes other files unread */
} places[] = {
	{ LOG "/00000000000000000000.log", true, false },
	{ LOG "/00000000000000000000.index", false, false },
	{ LOG "/00000000000000000000.timeindex", false, false },
	{ LOG "/00000000000000000000.txnindex", false, false },
	{ LOG "/00000000000000000010.log", true, false },
	{ LOG "/00000000000000000010.index", false, false },
	{ LOG "/00000000000000000010.timeindex", false, false },
	{ LOG "/00000000000000000010.txnindex", false, false },
	{ LOG "/00000000000000000010.snapshot", false, false },
	{ LOG "/leader-epoch-checkpoint", false, false },
	{ LOG "/partition.metadata", false, false },
	{ DIR_ "/recovery-point-offset-checkpoint", false, true },
	{ DIR_ "/log-start-offset-checkpoint", false, true },
	{ DIR_ "/replication-offset-checkpoint", false, false },
	{ DIR_ "/.kafka_cleanshutdown", false, true },
	{ LOG "/00000000000000000010.log.deleted", true, false },
	{ LOG "/00000000000000000005.snapshot", false, false },
};

/* ---- the directory ---- */

static void
mend(uint8_t *p, size_t len)
{
	struct batch_iter it = batch_iter_of(slice_of(p, len));
	struct batch_header h;
	struct slice whole;

	while (batch_iter_next(&it, &h, &whole) == OK)
		be32enc((uint8_t *)(uintptr_t)whole.p + (h.magic == 2 ? BATCH_CRC : LEGACY_CRC), batch_crc(whole));
}

static struct fs *
unpack(struct slice in, bool *trusted)
{
	struct fs *fs = fs_mem_new();
	uint8_t flags = fuzz_u8(&in);

	*trusted = false;
	fs_mem_put(fs, DIR_ "/meta.properties", SLICE_LIT("version=0\nbroker.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n"));
	FUZZ_CHECK(fs_mkdir_p(fs, LOG, NULL) == OK);
	for (int i = 0; i < PARTS_MAX && in.len > 0; i++) {
		unsigned which = fuzz_u8(&in) % NELEM(places);
		struct slice part = fuzz_take(&in, fuzz_u16(&in));
		uint8_t *copy = xmalloc(part.len + 1);

		if (part.len > 0)
			memcpy(copy, part.p, part.len);
		if (places[which].data && (flags & MEND) != 0)
			mend(copy, part.len);
		fs_mem_put(fs, places[which].path, slice_of(copy, part.len));
		*trusted |= places[which].trusted;
		free(copy);
	}
	return (fs);
}

/* ---- verification and repair ---- */

static const struct log_finding *
violation(const struct log_findings *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->v[i].violation && f->v[i].rule < LOG_RULE_METADATA)
			return (&f->v[i]);
	return (NULL);
}

struct verdict {
	uint32_t mendable;		/* violations that a repair does something about */
	uint32_t of_log;		/* those of what recovery makes anew or takes away: not the topic's id, nor the directory's own files */
	int64_t	 end;
	bool	 beyond_repair;
	bool	 lies;			/* a batch with a right checksum says what is not so: recovery, like Kafka's, does not look into batches */
	char	 words[600];
};

static struct verdict
verify(struct fs *fs, bool repair)
{
	struct log_findings of_place = LOG_FINDINGS_INIT;
	struct log_place place = LOG_PLACE_INIT;
	struct log_report report = LOG_REPORT_INIT;
	struct log_repair_plan plan;
	struct verdict v = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	const struct log_finding *f;

	FUZZ_CHECKF(log_place_read(fs, DIR_, true, &place, &of_place, &eb) == OK, "%s", eb.text);
	FUZZ_CHECKF(log_verify(fs, LOG, &place, NULL, &report, &eb) == OK, "%s", eb.text);
	log_repair_plan(fs, LOG, &place, &report, &plan);
	v = (struct verdict){ .end = report.end, .beyond_repair = plan.beyond_repair };
	for (uint32_t i = 0; i < report.findings.n; i++)
		v.of_log += report.findings.v[i].violation && report.findings.v[i].rule < LOG_RULE_METADATA;
	for (uint32_t i = 0; i < report.findings.n; i++)
		v.mendable += report.findings.v[i].violation && strncmp(log_rule_mend(report.findings.v[i].rule), "nothing", 7) != 0;
	for (uint32_t i = 0; i < report.findings.n; i++)
		v.lies |= report.findings.v[i].rule >= LOG_RULE_RECORDS && report.findings.v[i].rule <= LOG_RULE_SEQUENCES;
	f = violation(&report.findings);
	if (f != NULL)
		snprintf(v.words, sizeof(v.words), "%s: %s: %s", f->path, log_rule_code(f->rule), f->words);
	if (repair) {
		FUZZ_CHECKF(log_repair(fs, LOG, &place, &report, &eb) == OK, "repair: %s", eb.text);
		FUZZ_CHECKF(log_place_repair(fs, &place, &of_place, &eb) == OK, "repair: %s", eb.text);
	}
	log_repair_plan_fini(&plan);
	log_report_fini(&report);
	log_place_fini(&place);
	log_findings_fini(&of_place);
	return (v);
}

static void
repair(struct slice in)
{
	bool trusted;
	struct fs *fs = unpack(in, &trusted);
	struct verdict before = verify(fs, true), after = verify(fs, false);

	FUZZ_CHECKF(after.mendable == 0 || before.beyond_repair, "after a repair: %s (before: %s)", after.words, before.words);
	FUZZ_CHECKF(fs_mem_free(&fs) == 0, "no file stays open");
}

/* ---- a broker ---- */

struct broker {
	struct fs	*fs;
	struct clock_manual clock;
	struct random_seeded random;
	struct log_dirs	*dirs;
	unsigned	 offline;
};

static void
on_offline(void *ctx, const char *dir, const char *why)
{
	(void)dir;
	(void)why;
	((struct broker *)ctx)->offline++;
}

static bool
start(struct broker *b, struct errbuf *eb)
{
	static const char *const paths[] = { DIR_ };
	struct log_dirs_options o = { .fs = b->fs, .clock = &b->clock.clock, .random = &b->random.random, .dirs = paths, .ndirs = 1,
	    .events = { .ctx = b, .dir_offline = on_offline } };

	log_options_default(&o.defaults);
	o.defaults.segment_bytes = 16384;
	o.defaults.segment_index_bytes = 4096;
	o.defaults.index_interval_bytes = 200;
	if (log_dirs_new(&o, &b->dirs, eb) == OK && log_dirs_load(b->dirs, eb) == OK)
		return (true);
	FUZZ_CHECKF(eb->text[0] != '\0', "refused without words");
	log_dirs_free(&b->dirs);
	return (false);
}

/* -> the offset to go on from */
static int64_t
read_one(struct log_read_result *r, int64_t from, bool believe)
{
	uint8_t *bytes = xmalloc(r->range.len + 1);
	struct batch_iter it = batch_iter_of(slice_of(bytes, r->range.len));
	struct batch_header h;
	struct slice whole;
	int64_t next = from;

	FUZZ_CHECK(file_pread_full(r->range.file, bytes, r->range.len, r->range.pos, NULL) == OK);
	while (batch_iter_next(&it, &h, &whole) == OK) {
		FUZZ_CHECKF(!believe || (batch_crc_ok(whole) && h.last_offset >= next), "a batch that is read is whole");
		next = MAX(next, h.last_offset + 1);
	}
	FUZZ_CHECKF(!believe || next > from, "a batch at least is read");
	free(bytes);
	log_read_result_fini(r);
	return (next > from ? next : INT64_MAX);
}

/* Every batch from the start: right checksums, offsets that increase. */
static void
read_all(struct log *log, bool believe)
{
	struct log_read_options o = { .bytes_max = 3000, .min_one = true, .bound = LOG_BOUND_END, .offset = log_start_offset(log) };
	struct log_read_result r;
	struct arena arena;

	arena_init(&arena, 1 << 20);
	while (o.offset < log_end_offset(log)) {
		enum kerr k = log_read(log, &o, &arena, &r);

		FUZZ_CHECKF(!believe || k == KERR_NONE, "%s at %lld", kerr_name(k), (long long)o.offset);
		if (k != KERR_NONE || r.range.file == NULL)	/* the latter: no batch is left, offsets may have gaps */
			break;
		o.offset = read_one(&r, o.offset, believe);
	}
	arena_fini(&arena);
}
static void
append(struct broker *b, struct log *log, int64_t producer)
{
	struct batch_builder_options bo = BATCH_BUILDER_OPTIONS;
	const struct record_request rq = { .origin = RECORD_FROM_CLIENT, .produce_version = 9, .now_ms = clock_wall_ms(&b->clock.clock), .topic = "t" };
	const struct record_rules rules = RECORD_RULES_DEFAULT;
	struct record_failure why;
	struct record_info info;
	struct batch_builder *bb;
	struct append_set s;
	struct arena arena;
	uint8_t *bytes;
	size_t len;

	if (producer >= 0) {
		bo.producer_id = producer;
		bo.producer_epoch = 0;
		bo.base_sequence = 0;
	}
	bb = batch_builder_new(NULL, &bo, NULL);
	FUZZ_CHECK(batch_builder_append(bb, clock_wall_ms(&b->clock.clock), SLICE_LIT("k"), SLICE_LIT("v"), NULL, 0) == OK);
	FUZZ_CHECK(batch_builder_finish(bb, &bytes, &len, NULL) == OK);
	batch_builder_free(bb);
	arena_init(&arena, 1 << 20);
	FUZZ_CHECK(record_validate(slice_of(bytes, len), &rules, &rq, NULL, &arena, &info, &why) == KERR_NONE);
	s = (struct append_set){ .records = bytes, .len = (uint32_t)len, .origin = APPEND_CLIENT, .leader_epoch = log_latest_epoch(log), .info = &info,
	    .txn_verified = true };
	FUZZ_CHECK(log_append(log, &s) == LOG_DONE);
	arena_fini(&arena);
	free(bytes);
}

static void
use(struct broker *b, struct log *log, bool believe)
{
	struct log_time_offset found;
	uint32_t deleted;

	read_all(log, believe);
	if (log_offset_for_time(log, NOW, &found) == KERR_NONE)
		FUZZ_CHECK(!believe || found.offset < log_end_offset(log));
	if (log_offset_for_time(log, LOG_TIME_MAX, &found) == KERR_NONE)
		FUZZ_CHECK(!believe || found.offset < log_end_offset(log));
	if (log_latest_epoch(log) < 1000 && log_begin_leader_epoch(log, 1000, NULL) == OK) {
		const struct log_role role = { .leader = true, .min_isr_met = true, .leader_epoch = 1000 };

		log_set_role(log, &role);
		append(b, log, -1);
		append(b, log, 7);
	}
	(void)log_set_high_watermark(log, log_end_offset(log));
	if (log_end_offset(log) > log_start_offset(log) + 2)
		FUZZ_CHECK(log_truncate_to(log, log_end_offset(log) - 1, NULL) == OK || log_is_offline(log));
	FUZZ_CHECK(log_roll(log, NULL) == OK || log_is_offline(log));
	FUZZ_CHECK(log_retain(log, &deleted, NULL) == OK || log_is_offline(log));
	if (believe)
		log_check(log);
}

/* ---- what must be left, from the input alone ---- */

enum { SECOND_BASE = 10 };

struct expected {
	uint8_t *bytes[2];
	size_t	 len[2], valid[2];	/* valid: whole batches in order */
	bool	 there[2];		/* in the input */
	int64_t	 next;			/* behind the valid ones of the first */
	bool	 second_goes, second_may_go;
};

static bool
fits(const struct batch_header *h, struct slice whole, int64_t base, int64_t next, int64_t limit)
{
	int64_t first = batch_first_offset(h);

	return (batch_crc_ok(whole) && first >= MAX(base, next) && first <= h->last_offset && h->last_offset - base <= INT32_MAX && h->last_offset < limit);
}

/* -> position behind the last batch that fits */
static size_t
valid_prefix(const uint8_t *p, size_t len, int64_t base, int64_t limit, int64_t *next)
{
	struct batch_iter it = batch_iter_of(slice_of(p, len));
	struct batch_header h;
	struct slice whole;
	size_t valid = 0;

	*next = base;
	while (batch_iter_next(&it, &h, &whole) == OK && fits(&h, whole, base, *next, limit)) {
		valid += whole.len;
		*next = h.last_offset + 1;
	}
	return (valid);
}

static void
expect(struct expected *x, struct fs *fs)
{
	static const char *const data[] = { LOG "/00000000000000000000.log", LOG "/00000000000000000010.log" };
	bool cut, flushed_for_all_we_know;
	int64_t next;

	*x = (struct expected){ 0 };
	for (int i = 0; i < 2; i++) {
		struct slice s = fs_mem_get(fs, data[i]);

		x->there[i] = s.p != NULL;
		x->len[i] = s.len;
		x->bytes[i] = xmalloc(s.len + 1);
		if (s.len > 0)
			memcpy(x->bytes[i], s.p, s.len);
	}
	x->valid[0] = valid_prefix(x->bytes[0], x->len[0], 0, x->there[1] ? SECOND_BASE : INT64_MAX - 1, &x->next);
	x->valid[1] = valid_prefix(x->bytes[1], x->len[1], SECOND_BASE, INT64_MAX - 1, &next);
	/* Its index is gone, and no recovery point says that it had not been flushed: read for the index alone.  (A transaction index that is bad does the same.) */
	cut = x->valid[0] < x->len[0];
	flushed_for_all_we_know = fs_mem_get(fs, LOG "/00000000000000000000.index").p == NULL;
	x->second_goes = x->there[0] && x->there[1] && cut && !flushed_for_all_we_know;
	x->second_may_go = x->second_goes && fs_mem_get(fs, LOG "/00000000000000000000.txnindex").p != NULL;
}

static void
expected_fini(struct expected *x)
{
	free(x->bytes[0]);
	free(x->bytes[1]);
}

static void
check_left(const struct expected *x, struct fs *fs)
{
	struct slice first = fs_mem_get(fs, LOG "/00000000000000000000.log"), second;

	FUZZ_CHECKF(!x->there[0] || (first.len == x->valid[0] && (first.len == 0 || memcmp(first.p, x->bytes[0], first.len) == 0)),
	    "of the first segment %zu bytes are left, %zu are whole batches in order", first.len, x->valid[0]);
	second = fs_mem_get(fs, LOG "/00000000000000000010.log");
	if (x->second_may_go && second.p == NULL)
		return;
	FUZZ_CHECKF(x->second_may_go || (second.p != NULL) == (x->there[1] && !x->second_goes), "the second segment is %s, behind a first that ends at %lld%s",
	    second.p == NULL ? "gone" : "left", (long long)x->next, x->valid[0] < x->len[0] ? " and was cut" : "");
	FUZZ_CHECKF(second.p == NULL || (second.len == x->valid[1] && (second.len == 0 || memcmp(second.p, x->bytes[1], second.len) == 0)),
	    "of the second segment %zu bytes are left, %zu are whole batches in order", second.len, x->valid[1]);
}

/* Verification ends at damage with something behind it; so nobody can ask that its end is recovery's. */
static bool
has_hole(const struct expected *x, struct fs *fs)
{
	return (x->there[0] && x->next < SECOND_BASE && fs_mem_get(fs, LOG "/00000000000000000010.log").p != NULL);
}

static void
recover(struct slice in)
{
	struct broker b = { 0 };
	struct expected x;
	struct errbuf eb = ERRBUF_INIT;
	struct verdict before, after;
	struct log *log;
	bool trusted, hole = false;

	clock_manual_init(&b.clock, NOW);
	random_seeded_init(&b.random, 1);
	b.fs = unpack(in, &trusted);
	expect(&x, b.fs);
	before = verify(b.fs, false);
	if (start(&b, &eb)) {
		log = log_dirs_find(b.dirs, "t", 0);
		if (log != NULL) {
			hole = has_hole(&x, b.fs);
			if (!trusted && b.offline == 0)
				check_left(&x, b.fs);
			FUZZ_CHECKF(trusted || before.lies || b.offline > 0 || hole || before.end == log_end_offset(log),
			    "verification says that the log ends at %lld, recovery at %lld: %s", (long long)before.end, (long long)log_end_offset(log), before.words);
			use(&b, log, !trusted && !before.lies && b.offline == 0);
		}
		log_unref(&log);
		log_dirs_shutdown(b.dirs);
		log_dirs_free(&b.dirs);
		after = verify(b.fs, false);
		FUZZ_CHECKF(trusted || hole || after.lies || b.offline > 0 || after.of_log == 0, "after recovery and a clean end: %s", after.words);
	}
	expected_fini(&x);
	reclaim_barrier();
	FUZZ_CHECKF(fs_mem_free(&b.fs) == 0, "no file stays open");
}

void
fuzz_one(struct slice in)
{
	reclaim_thread_register();
	if (in.len > 0 && (in.p[0] & REPAIR) != 0)
		repair(in);
	else
		recover(in);
	reclaim_thread_unregister();
}

/* ---- seeds: two segments, made by a log of ours ---- */

static void
pack(struct fs *fs, uint8_t flags, uint32_t which, fuzz_give *give, void *ctx)
{
	uint8_t *all = xmalloc(1 << 17);
	size_t n = 0;

	all[n++] = flags;
	for (uint8_t i = 0; i < NELEM(places); i++) {
		struct slice s = fs_mem_get(fs, places[i].path);

		if (s.p == NULL || (which & (1u << i)) == 0 || s.len > 4000)
			continue;
		all[n++] = i;
		be16enc(all + n, (uint16_t)s.len);
		n += 2;
		memcpy(all + n, s.p, s.len);
		n += s.len;
	}
	give(ctx, slice_of(all, n));
	free(all);
}

/* The directory is given when it is closed and no thread of reclamation is registered: who takes a seed may run it. */
void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	const struct log_role role = { .leader = true, .min_isr_met = true, .leader_epoch = 1 };
	struct broker b = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	struct log_options lo;
	struct log *log = NULL;
	bool trusted;

	reclaim_thread_register();
	clock_manual_init(&b.clock, NOW);
	random_seeded_init(&b.random, 1);
	b.fs = unpack(SLICE_LIT(""), &trusted);
	FUZZ_CHECKF(start(&b, &eb), "%s", eb.text);
	log_options_default(&lo);
	lo.index_interval_bytes = 100;
	lo.segment_index_bytes = 4096;
	FUZZ_CHECK(log_dirs_create(b.dirs, "t", 0, UUID_ZERO, &lo, &log, &eb) == OK);
	FUZZ_CHECK(log_begin_leader_epoch(log, 1, &eb) == OK);
	log_set_role(log, &role);
	for (int i = 0; i < 20; i++) {
		if (i == 10)
			FUZZ_CHECK(log_roll(log, &eb) == OK);
		append(&b, log, i % 3 == 0 ? 100 + i : -1);
		clock_manual_advance_ns(&b.clock, INT64_C(1000000000));
	}
	log_unref(&log);
	log_dirs_shutdown(b.dirs);
	log_dirs_free(&b.dirs);
	reclaim_barrier();
	reclaim_thread_unregister();
	pack(b.fs, 0, 0x7ff, give, ctx);
	pack(b.fs, REPAIR, 0x7ff, give, ctx);
	pack(b.fs, MEND, 0x7ff, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x7ff, give, ctx);
	pack(b.fs, MEND, 0x001, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x001, give, ctx);
	pack(b.fs, MEND, 0x00f, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x00f, give, ctx);
	pack(b.fs, MEND, 0x011, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x011, give, ctx);
	pack(b.fs, MEND, 0x3fff, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x3fff, give, ctx);
	pack(b.fs, MEND, 0x1ffff, give, ctx);
	pack(b.fs, MEND | REPAIR, 0x1ffff, give, ctx);
	FUZZ_CHECK(fs_mem_free(&b.fs) == 0);
}
