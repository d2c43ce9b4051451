/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_verify.c - log/inspect.h: each rule is broken in a copy of a good log, seen, and mended; a repair may die at every step;
 * what Java left behind is clean; two replicas are compared.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/str.h"
#include "log/inspect.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { BATCHES = 160 };

/* ---- a good log: four segments and more, every codec, producers, transactions, three epochs ---- */

static void
fill(struct fixture *f, struct log *log)
{
	for (int i = 0; i < BATCHES; i++) {
		struct batch_spec s = { .records = (unsigned)i % 5 + 1, .value_len = 150, .codec = (enum codec)(i % 5) };

		if (!codec_built_in(s.codec))
			s.codec = CODEC_NONE;
		if (i == 60 || i == 120)
			fixture_lead(log, 5 + i / 60);
		if (i % 4 == 1) {
			s.producer_id = 7;
			s.sequence = i / 4 * 10;
			s.records = 10;
		}
		clock_manual_advance_ns(&f->clock, INT64_C(1000000000));
		CHECK_EQ(fixture_append(f, log, &s).error, KERR_NONE);
		if (i % 40 == 10) {
			s = (struct batch_spec){ .records = 3, .producer_id = 8, .sequence = i / 40 * 3, .transactional = true };
			CHECK_EQ(fixture_append(f, log, &s).error, KERR_NONE);
			CHECK_EQ(fixture_marker(f, log, 8, 0, i % 80 == 50, 1).error, KERR_NONE);
		}
	}
}

static char template_dir[600];

static void
make_good(struct fixture *f)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log;

	fixture_init(f, 1);
	f->options.segment_bytes = 12000;
	CHECK_EQ(fixture_open(f, &eb), OK);
	log = fixture_log(f);
	fill(f, log);
	log_set_high_watermark(log, log_end_offset(log));
	log_unref(&log);
	fixture_close(f);
	snprintf(template_dir, sizeof(template_dir), "%s.good", f->path[0]);
}

static void
run(const char *fmt, const char *a, const char *b)
{
	char cmd[4096];

	snprintf(cmd, sizeof(cmd), fmt, a, b);
	CHECK_EQ(system(cmd), 0);
}

/* ---- looking ---- */

struct look {
	struct log_place place;
	struct log_findings of_place;
	struct log_report report;
};

static void
look_fini(struct look *l)
{
	log_place_fini(&l->place);
	log_findings_fini(&l->of_place);
	log_report_fini(&l->report);
}

static void
look(struct fixture *f, struct look *l)
{
	struct errbuf eb = ERRBUF_INIT;

	l->of_place = (struct log_findings)LOG_FINDINGS_INIT;
	CHECK_EQ(log_place_read(f->fs, f->path[0], false, &l->place, &l->of_place, &eb), OK);
	CHECK_EQ(log_verify(f->fs, fixture_file(f, "t-0"), &l->place, NULL, &l->report, &eb), OK);
	CHECK_STR(eb.text, "");
}

static void
print_findings(const struct log_findings *fs)
{
	for (uint32_t i = 0; i < fs->n; i++)
		printf("    %s %s %s @%lld: %s\n", log_rule_code(fs->v[i].rule), fs->v[i].violation ? "violation" : "note", fs->v[i].path,
		    (long long)fs->v[i].offset, fs->v[i].words);
}

static bool
seen(const struct log_findings *fs, enum log_rule rule, bool violation)
{
	for (uint32_t i = 0; i < fs->n; i++)
		if (fs->v[i].rule == rule && fs->v[i].violation == violation)
			return (true);
	return (false);
}

/* ---- breaking ---- */

static char *
segment(struct fixture *f, unsigned nth, const char *suffix)
{
	struct log_files lf;
	char *path;

	CHECK_EQ(log_files_list(f->fs, fixture_file(f, "t-0"), &lf, NULL), OK);
	path = log_file_path(fixture_file(f, "t-0"), lf.bases[nth], suffix);
	log_files_fini(&lf);
	return (path);
}

static void
patch(const char *path, uint64_t pos, const void *bytes, size_t n)
{
	struct file *file = NULL;

	CHECK_EQ(file_open(fixture_fs(), path, FS_RDWR | FS_CREATE, &file, NULL), OK);
	CHECK_EQ(file_pwrite(file, bytes, n, pos, NULL), OK);
	file_unref(&file);
}

static uint64_t
size_of(const char *path)
{
	struct fs_stat st = { 0 };

	(void)fixture_fs()->ops->stat(fixture_fs(), path, &st, NULL);
	return (st.size);
}

static void
cut_file(const char *path, uint64_t size)
{
	struct file *file = NULL;

	CHECK_EQ(file_open(fixture_fs(), path, FS_RDWR, &file, NULL), OK);
	CHECK_EQ(file->fs->ops->truncate(file, size, NULL), OK);
	file_unref(&file);
}

static void
put_text(const char *path, const char *text)
{
	CHECK_EQ(fs_write_file_atomic(fixture_fs(), path, slice_str(text), NULL), OK);
}

struct found {
	int64_t	 producer, after;
	int	 skip;
	uint64_t at;
	uint8_t *bytes;
	size_t	 len;
	struct batch_header h;
};

static bool
take(void *ctx, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct found *f = ctx;

	if ((f->producer != 0 && h->producer_id != f->producer) || batch_is_control(h) || h->leader_epoch < f->after || f->skip-- > 0)
		return (true);
	f->at = at;
	f->h = *h;
	f->len = whole.len;
	f->bytes = memcpy(xmalloc(whole.len), whole.p, whole.len);
	return (false);
}

/* A batch in the middle of the second segment, changed by fn, with a right checksum if asked for. */
static void
change_batch(struct fixture *f, int64_t producer, void (*fn)(struct found *), bool checksum)
{
	struct found found = { .producer = producer, .skip = producer != 0 ? 1 : 5 };
	char *path = segment(f, 1, ".log");
	uint64_t at, size;

	CHECK_EQ(log_each_batch(f->fs, path, 0, take, &found, &at, &size, NULL), OK);
	REQUIRE(found.bytes != NULL);
	fn(&found);
	if (checksum)
		be32enc(found.bytes + BATCH_CRC, batch_crc(slice_of(found.bytes, found.len)));
	patch(path, found.at, found.bytes, found.len);
	free(found.bytes);
	free(path);
}

static void set_length(struct found *b) { be32enc(b->bytes + BATCH_LENGTH, 0x7fffff00); }
static void flip_value(struct found *b) { b->bytes[b->len - 7] ^= 0x10; }
static void lower_offset(struct found *b) { be64enc(b->bytes + BATCH_BASE_OFFSET, (uint64_t)(b->h.base_offset - 3)); }
static void wrong_count(struct found *b) { be32enc(b->bytes + BATCH_RECORD_COUNT, (uint32_t)(b->h.record_count + 1)); }
static void raise_time(struct found *b) { be64enc(b->bytes + BATCH_MAX_TIMESTAMP, (uint64_t)(b->h.max_timestamp + 1)); }
static void odd_attributes(struct found *b) { be16enc(b->bytes + BATCH_ATTRIBUTES, b->h.attributes | 0x100); }
static void lower_epoch(struct found *b) { be32enc(b->bytes + BATCH_LEADER_EPOCH, 2); }
static void lower_sequence(struct found *b) { be32enc(b->bytes + BATCH_BASE_SEQUENCE, 0); }

static void break_framing(struct fixture *f) { change_batch(f, 0, set_length, false); }
static void break_crc(struct fixture *f) { change_batch(f, 0, flip_value, false); }
static void break_offsets(struct fixture *f) { change_batch(f, 0, lower_offset, false); }
static void break_records(struct fixture *f) { change_batch(f, 0, wrong_count, true); }
static void break_max_timestamp(struct fixture *f) { change_batch(f, 0, raise_time, true); }
static void break_attributes(struct fixture *f) { change_batch(f, 0, odd_attributes, true); }
static void break_epoch_order(struct fixture *f) { change_batch(f, 0, lower_epoch, false); }
static void break_sequences(struct fixture *f) { change_batch(f, 7, lower_sequence, true); }

static void
change_file(struct fixture *f, const char *suffix, int64_t pos, const void *bytes, size_t n)
{
	char *path = segment(f, 1, suffix);

	patch(path, pos < 0 ? size_of(path) : (uint64_t)pos, bytes, n);
	free(path);
}

static void break_index_shape(struct fixture *f) { change_file(f, ".index", 8, "\0\0\0\1\0\0\0\1", 8); }
static void break_index_target(struct fixture *f) { change_file(f, ".index", 7, "\x3", 1); }
static void break_index_trimmed(struct fixture *f) { change_file(f, ".index", -1, "\0\0\0\0\0\0\0", 8); }
static void break_time_shape(struct fixture *f) { change_file(f, ".timeindex", 12, "\0\0\0\0\0\0\0\1\0\0\0\1", 12); }
static void break_time_target(struct fixture *f) { change_file(f, ".timeindex", 7, "\x3", 1); }
static void break_time_trimmed(struct fixture *f) { change_file(f, ".timeindex", -1, "\0\0\0\0\0\0\0\0\0\0\0", 12); }

static void
break_time_last(struct fixture *f)
{
	char *path = segment(f, 1, ".timeindex");

	cut_file(path, size_of(path) - 12);
	free(path);
}

static char *
txn_file(struct fixture *f)
{
	struct log_files lf;
	char *path = NULL;

	CHECK_EQ(log_files_list(f->fs, fixture_file(f, "t-0"), &lf, NULL), OK);
	for (uint32_t i = 0; i < lf.n && (path == NULL || !fs_exists(f->fs, path)); i++) {
		free(path);
		path = log_file_path(fixture_file(f, "t-0"), lf.bases[i], ".txnindex");
	}
	log_files_fini(&lf);
	return (path);
}

static void
change_txn(struct fixture *f, uint64_t pos, const void *bytes, size_t n)
{
	char *path = txn_file(f);

	if (n == 0)
		CHECK_EQ(f->fs->ops->unlink(f->fs, path, NULL), OK);
	else
		patch(path, pos, bytes, n);
	free(path);
}

static void break_txn_shape(struct fixture *f) { change_txn(f, 0, "\0\7", 2); }
static void break_txn_target(struct fixture *f) { change_txn(f, 9, "\11", 1); }
static void break_txn_missing(struct fixture *f) { change_txn(f, 0, "", 0); }

static void
change_snapshot(struct fixture *f, bool checksum)
{
	char *path = segment(f, 2, ".snapshot"), *text = NULL;
	size_t len = 0;

	CHECK_EQ(fs_read_file(f->fs, path, 1 << 20, &text, &len, NULL), OK);
	text[10 + 8 + 2 + 4 + 7] ^= 1;		/* last offset of the first row */
	if (checksum)
		be32enc(text + 2, crc32c(text + 6, len - 6));
	patch(path, 0, text, len);
	free(text);
	free(path);
}

static void break_snapshot(struct fixture *f) { change_snapshot(f, false); }
static void break_snapshot_state(struct fixture *f) { change_snapshot(f, true); }

static void break_epoch_file(struct fixture *f) { put_text(fixture_file(f, "t-0/leader-epoch-checkpoint"), "0\n2\n5 0\n"); }
static void break_epoch_rows(struct fixture *f) { put_text(fixture_file(f, "t-0/leader-epoch-checkpoint"), "0\n1\n5 0\n"); }

static void
break_epoch_end(struct fixture *f)
{
	struct epoch_cache ec = EPOCH_CACHE_INIT;

	CHECK_EQ(epoch_cache_read(f->fs, fixture_file(f, "t-0"), &ec, NULL), OK);
	(void)epoch_cache_assign(&ec, 9, 1000000);
	CHECK_EQ(epoch_cache_write(f->fs, fixture_file(f, "t-0"), &ec, NULL), OK);
	epoch_cache_fini(&ec);
}

static void
break_index_files(struct fixture *f)
{
	char *path = segment(f, 1, ".timeindex");

	CHECK_EQ(f->fs->ops->unlink(f->fs, path, NULL), OK);
	free(path);
}

static void break_orphan(struct fixture *f) { put_text(fixture_file(f, "t-0/00000000000000777777.index"), ""); }
static void break_leftover(struct fixture *f) { put_text(fixture_file(f, "t-0/00000000000000777777.log.deleted"), ""); }
static void break_metadata(struct fixture *f) { put_text(fixture_file(f, "t-0/partition.metadata"), "version: 0\ntopic_id: ?"); }
static void break_properties(struct fixture *f) { put_text(fixture_file(f, "meta.properties"), "version=1\nnode.id=1\n"); }
static void break_names(struct fixture *f) { CHECK_EQ(f->fs->ops->mkdir(f->fs, fixture_file(f, "rubbish"), NULL), OK); }
static void break_checkpoint(struct fixture *f) { put_text(fixture_file(f, "replication-offset-checkpoint"), "0\n7\nt 0 3\n"); }
static void break_checkpoint_end(struct fixture *f) { put_text(fixture_file(f, "recovery-point-offset-checkpoint"), "0\n1\nt 0 99999999\n"); }
static void break_checkpoint_row(struct fixture *f) { put_text(fixture_file(f, "log-start-offset-checkpoint"), "0\n1\nu 0 7\n"); }

static const struct breakage {
	enum log_rule rule;
	void (*fn)(struct fixture *);
	bool violation;		/* else a note */
	bool mended;		/* by log_repair or log_place_repair */
} breakages[] = {
#define BREAK(NAME, name, violation, mended) { LOG_RULE_##NAME, break_##name, violation, mended }
	BREAK(FRAMING, framing, true, true), BREAK(CRC, crc, true, true), BREAK(OFFSETS, offsets, true, true), BREAK(RECORDS, records, true, true),
	BREAK(MAX_TIMESTAMP, max_timestamp, true, false), BREAK(ATTRIBUTES, attributes, true, false), BREAK(EPOCH_ORDER, epoch_order, true, false),
	BREAK(SEQUENCES, sequences, true, false),
	BREAK(INDEX_SHAPE, index_shape, true, true), BREAK(INDEX_TARGET, index_target, true, true), BREAK(INDEX_TRIMMED, index_trimmed, true, true),
	BREAK(TIME_SHAPE, time_shape, true, true), BREAK(TIME_TARGET, time_target, true, true), BREAK(TIME_TRIMMED, time_trimmed, true, true),
	BREAK(TIME_LAST, time_last, true, true),
	BREAK(TXN_SHAPE, txn_shape, true, true), BREAK(TXN_TARGET, txn_target, true, true), BREAK(TXN_MISSING, txn_missing, true, true),
	BREAK(SNAPSHOT, snapshot, true, true), BREAK(SNAPSHOT_STATE, snapshot_state, true, true),
	BREAK(EPOCH_FILE, epoch_file, true, true), BREAK(EPOCH_ROWS, epoch_rows, true, true), BREAK(EPOCH_END, epoch_end, true, true),
	BREAK(INDEX_FILES, index_files, true, true), BREAK(ORPHAN, orphan, true, false), BREAK(LEFTOVER, leftover, false, false),
	BREAK(METADATA, metadata, true, true), BREAK(PROPERTIES, properties, true, false), BREAK(NAMES, names, true, false),
	BREAK(CHECKPOINT, checkpoint, true, true), BREAK(CHECKPOINT_END, checkpoint_end, true, true), BREAK(CHECKPOINT_ROW, checkpoint_row, false, false),
};

/* ---- the tests ---- */

static void
restore(struct fixture *f)
{
	run("rm -rf %s%s", f->path[0], "");
	run("cp -r %s %s", template_dir, f->path[0]);
}

TEST(a_good_log_breaks_no_rule)
{
	struct fixture f;
	struct look l;

	make_good(&f);
	look(&f, &l);
	print_findings(&l.of_place);
	print_findings(&l.report.findings);
	CHECK_EQ(l.of_place.n, 0);
	CHECK_EQ(l.report.findings.n, 0);
	CHECK_GE(l.report.nsegments, 4);
	CHECK_EQ(l.report.batches, BATCHES + 8);
	CHECK_EQ(l.report.latest_epoch, 7);
	CHECK_EQ(l.report.cut_offset, -1);
	CHECK_EQ(l.report.high_watermark, l.report.end);
	look_fini(&l);
	fixture_fini(&f);
}

/* Opens what a repair left, reads all of it, closes it: the broker's own opinion. */
static int64_t
start_on(struct fixture *f, bool whole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log;
	int64_t end = -1;

	CHECK_EQ(fixture_open(f, &eb), OK);
	CHECK_STR(eb.text, "");
	log = log_dirs_find(f->dirs, "t", 0);
	CHECK(log != NULL);
	if (log != NULL) {
		end = log_end_offset(log);
		log_set_high_watermark(log, end);
		if (whole) {
			/* Damage in the very first batch: everything was cut (and kept beside). */
			CHECK_EQ(fixture_read_all(log, log_start_offset(log)) >= 1, end > log_start_offset(log));
			log_check(log);
		}
	}
	log_unref(&log);
	fixture_close(f);
	return (end);
}

static void
mend(struct fixture *f, const struct breakage *b)
{
	struct errbuf eb = ERRBUF_INIT;
	struct look l;
	int64_t end;

	look(f, &l);
	CHECK_EQ(log_place_repair(f->fs, &l.place, &l.of_place, &eb), OK);
	CHECK_EQ(log_repair(f->fs, fixture_file(f, "t-0"), &l.place, &l.report, &eb), OK);
	CHECK_STR(eb.text, "");
	end = l.report.end;
	look_fini(&l);
	look(f, &l);
	CHECK_EQ(l.report.findings.violations + l.of_place.violations, 0);
	if (l.report.findings.violations + l.of_place.violations > 0) {
		printf("  after mending %s\n", log_rule_code(b->rule));
		print_findings(&l.of_place);
		print_findings(&l.report.findings);
	}
	CHECK(!l.place.clean);
	look_fini(&l);
	CHECK_EQ(start_on(f, true), end);
	look(f, &l);
	CHECK_EQ(l.report.findings.violations, 0);
	look_fini(&l);
}

TEST(each_rule_is_broken_seen_and_mended)
{
	bool covered[LOG_RULE_COUNT_] = { false };
	struct fixture f;
	struct look l;

	make_good(&f);
	run("cp -r %s %s", f.path[0], template_dir);
	for (size_t i = 0; i < NELEM(breakages); i++) {
		const struct breakage *b = &breakages[i];
		bool found;

		restore(&f);
		b->fn(&f);
		look(&f, &l);
		found = seen(&l.report.findings, b->rule, b->violation) || seen(&l.of_place, b->rule, b->violation);
		if (!found) {
			printf("  %s was not seen\n", log_rule_code(b->rule));
			print_findings(&l.report.findings);
		}
		CHECK(found);
		covered[b->rule] = true;
		look_fini(&l);
		if (b->mended)
			mend(&f, b);
	}
	for (int r = 0; r < LOG_RULE_COUNT_; r++)
		CHECK(covered[r]);
	fixture_fini(&f);
}

/* ---- a repair dies ---- */

static void
repair_dying_at(struct fixture *f, unsigned nth, bool *died)
{
	struct fs *faulty = fs_fault_new(f->fs);
	struct errbuf eb = ERRBUF_INIT;
	struct look l;

	look(f, &l);
	CHECK_GE(l.report.cut_offset, 1);
	fs_fault_stay(faulty, true);
	fs_fault_arm(faulty, FS_FAULT_ANY, nth, ERR_IO);
	*died = log_repair(faulty, fixture_file(f, "t-0"), &l.place, &l.report, &eb) != OK;
	CHECK_EQ(*died, fs_fault_fired(faulty));
	CHECK_EQ(fs_fault_open_files(faulty), 0);
	fs_fault_free(&faulty);
	look_fini(&l);
}

/* From wherever it was interrupted: a broker starts and has all that stood before the damage, and another repair ends the work. */
TEST(a_repair_may_die_at_every_step)
{
	struct fixture f;
	bool died = true;

	make_good(&f);
	break_crc(&f);
	break_epoch_rows(&f);
	run("cp -r %s %s", f.path[0], template_dir);
	for (unsigned n = 1; died; n++) {
		struct errbuf eb = ERRBUF_INIT;
		struct look l;
		int64_t cut;

		restore(&f);
		look(&f, &l);
		cut = l.report.cut_offset;
		look_fini(&l);
		repair_dying_at(&f, n, &died);
		if (n % 2 == 0) {
			look(&f, &l);
			CHECK_EQ(log_repair(f.fs, fixture_file(&f, "t-0"), &l.place, &l.report, &eb), OK);
			look_fini(&l);
			look(&f, &l);
			CHECK(!seen(&l.report.findings, LOG_RULE_CRC, true));
			CHECK_EQ(l.report.end, cut);
			look_fini(&l);
		}
		CHECK_GE(start_on(&f, n % 2 == 0), cut);
	}
	fixture_fini(&f);
}

/* ---- what a cut takes is kept, and what it says ---- */

TEST(what_a_cut_takes_away_is_kept_beside_the_log)
{
	struct log_repair_plan plan;
	struct errbuf eb = ERRBUF_INIT;
	uint64_t before = 0, kept = 0;
	struct log_files lf;
	struct fixture f;
	struct look l;

	make_good(&f);
	break_crc(&f);
	look(&f, &l);
	before = l.report.bytes;
	log_repair_plan(f.fs, fixture_file(&f, "t-0"), &l.place, &l.report, &plan);
	CHECK(plan.below_high_watermark);
	CHECK(!plan.beyond_repair);
	CHECK_STR(plan.steps[0].words, "remove the clean marker: the next start recovers this directory");
	log_repair_plan_fini(&plan);
	CHECK_EQ(log_repair(f.fs, fixture_file(&f, "t-0"), &l.place, &l.report, &eb), OK);
	look_fini(&l);
	look(&f, &l);
	CHECK_EQ(log_files_list(f.fs, fixture_file(&f, "t-0"), &lf, NULL), OK);
	for (uint32_t i = 0; i < lf.nothers; i++)
		if (strncmp(lf.others[i], "ottla-cut.", 10) == 0)
			kept += size_of(fixture_file(&f, "t-0/%s", lf.others[i]));
	CHECK_EQ(l.report.bytes + kept, before);
	CHECK_EQ(checkpoint_find(&l.place.marks, "t", 0)->offset, l.report.end);
	CHECK_EQ(checkpoint_find(&l.place.recovery, "t", 0)->offset, l.report.end);
	for (uint32_t i = 0; i < lf.nsnapshots; i++)
		CHECK_GE(l.report.end, lf.snapshots[i]);
	log_files_fini(&lf);
	look_fini(&l);
	fixture_fini(&f);
}

/* ---- a killed broker ---- */

TEST(a_torn_tail_of_a_killed_broker_is_a_note_and_of_a_clean_one_a_violation)
{
	struct fixture f;
	struct look l;
	char *path;

	make_good(&f);
	look(&f, &l);
	path = segment(&f, l.report.nsegments - 1, ".log");
	look_fini(&l);
	patch(path, size_of(path), "\0\0\0\0\0\0\0\1\0\0\1\0", 12);
	look(&f, &l);
	CHECK(seen(&l.report.findings, LOG_RULE_FRAMING, true));
	look_fini(&l);
	CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, ".kafka_cleanshutdown"), NULL), OK);
	look(&f, &l);
	CHECK_EQ(l.report.findings.violations, 0);
	CHECK(seen(&l.report.findings, LOG_RULE_FRAMING, false));
	CHECK_EQ(l.report.cut_offset, -1);
	look_fini(&l);
	free(path);
	fixture_fini(&f);
}

TEST(a_length_that_hides_whole_batches_is_no_torn_tail)
{
	struct found found = { .skip = 0 };
	struct fixture f;
	struct look l;
	uint64_t at, size;
	char *path;

	make_good(&f);
	CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, ".kafka_cleanshutdown"), NULL), OK);
	look(&f, &l);
	path = segment(&f, l.report.nsegments - 1, ".log");
	look_fini(&l);
	CHECK_EQ(log_each_batch(f.fs, path, 0, take, &found, &at, &size, NULL), OK);
	set_length(&found);
	patch(path, found.at, found.bytes, found.len);
	look(&f, &l);
	CHECK(seen(&l.report.findings, LOG_RULE_FRAMING, true));
	CHECK_EQ(l.report.cut_position, found.at);
	look_fini(&l);
	free(found.bytes);
	free(path);
	fixture_fini(&f);
}

/* ---- any byte under a checksum ---- */

TEST(a_changed_byte_under_a_checksum_is_found_wherever_it_is)
{
	struct random_seeded rnd;
	struct fixture f;
	struct look l;

	make_good(&f);
	random_seeded_init(&rnd, unit_seed());
	for (int i = 0; i < 60; i++) {
		struct found found = { .skip = (int)random_below(&rnd.random, 20) };
		char *path = segment(&f, (unsigned)random_below(&rnd.random, 4), ".log");
		uint64_t at, size, pos;
		uint8_t was, now;

		CHECK_EQ(log_each_batch(f.fs, path, 0, take, &found, &at, &size, NULL), OK);
		REQUIRE(found.bytes != NULL);
		pos = BATCH_ATTRIBUTES + random_below(&rnd.random, found.len - BATCH_ATTRIBUTES);
		was = found.bytes[pos];
		now = was ^ (uint8_t)(1 + random_below(&rnd.random, 255));
		patch(path, found.at + pos, &now, 1);
		look(&f, &l);
		CHECK(seen(&l.report.findings, LOG_RULE_CRC, true));
		CHECK_EQ(l.report.cut_offset, found.h.base_offset);
		look_fini(&l);
		patch(path, found.at + pos, &was, 1);
		free(found.bytes);
		free(path);
	}
	look(&f, &l);
	CHECK_EQ(l.report.findings.n, 0);
	look_fini(&l);
	fixture_fini(&f);
}

/* ---- any damage at all ---- */

struct names {
	char	 v[256][64];
	unsigned n;
};

static bool
take_file(void *ctx, const char *name, bool is_dir)
{
	struct names *ns = ctx;

	if (!is_dir && ns->n < 256)
		snprintf(ns->v[ns->n++], sizeof(ns->v[0]), "%s", name);
	return (true);
}

static void
damage(struct random *rnd, const char *path)
{
	uint64_t size = size_of(path), at = size == 0 ? 0 : random_below(rnd, size);
	uint8_t bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random_below(rnd, 256);
	switch (random_below(rnd, 4)) {
	case 0:
		cut_file(path, at);
		break;
	case 1:
		patch(path, size, bytes, 1 + random_below(rnd, sizeof(bytes)));
		break;
	default:
		patch(path, at, bytes, 1 + random_below(rnd, sizeof(bytes)));
		break;
	}
}

static bool
is_mendable(enum log_rule rule)
{
	for (size_t i = 0; i < NELEM(breakages); i++)
		if (breakages[i].rule == rule)
			return (breakages[i].mended);
	return (false);
}

static void
check_mended(const struct log_findings *fs, const char *damaged)
{
	for (uint32_t i = 0; i < fs->n; i++)
		if (fs->v[i].violation && is_mendable(fs->v[i].rule) && !(fs->v[i].rule == LOG_RULE_EPOCH_ROWS && seen(fs, LOG_RULE_EPOCH_ORDER, true))) {
			printf("  %s damaged; after the repair %s: %s\n", damaged, log_rule_code(fs->v[i].rule), fs->v[i].words);
			CHECK(!"mended");
		}
}

/* The epoch of a batch was hit, not the file: a repair must not carry it there, where it would outbid the real leader. */
TEST(an_epoch_that_only_a_damaged_batch_knows_does_not_get_into_the_file)
{
	struct epoch_cache before = EPOCH_CACHE_INIT, after = EPOCH_CACHE_INIT;
	struct found found = { .skip = 5 };
	struct errbuf eb = ERRBUF_INIT;
	uint64_t at, size;
	struct fixture f;
	struct look l;
	char *path;

	make_good(&f);
	path = segment(&f, 1, ".log");
	CHECK_EQ(log_each_batch(f.fs, path, 0, take, &found, &at, &size, NULL), OK);
	patch(path, found.at + BATCH_LEADER_EPOCH, "\x0\x7\x7\x7", 4);
	CHECK_EQ(epoch_cache_read(f.fs, fixture_file(&f, "t-0"), &before, NULL), OK);
	look(&f, &l);
	CHECK(seen(&l.report.findings, LOG_RULE_EPOCH_ORDER, true) && seen(&l.report.findings, LOG_RULE_EPOCH_ROWS, true));
	CHECK_EQ(log_repair(f.fs, fixture_file(&f, "t-0"), &l.place, &l.report, &eb), OK);
	CHECK_EQ(epoch_cache_read(f.fs, fixture_file(&f, "t-0"), &after, NULL), OK);
	CHECK_EQ(after.n, before.n);
	CHECK_EQ(epoch_cache_latest(&after), 7);
	look_fini(&l);
	epoch_cache_fini(&before);
	epoch_cache_fini(&after);
	free(found.bytes);
	free(path);
	fixture_fini(&f);
}

TEST(whatever_is_damaged_a_repair_leaves_a_log_that_a_broker_reads)
{
	struct random_seeded rnd;
	struct fixture f;

	make_good(&f);
	run("cp -r %s %s", f.path[0], template_dir);
	random_seeded_init(&rnd, unit_seed());
	for (int i = 0; i < 150; i++) {
		struct names ns = { .n = 0 };
		struct errbuf eb = ERRBUF_INIT;
		const char *name;
		struct look l;

		restore(&f);
		CHECK_EQ(f.fs->ops->list(f.fs, fixture_file(&f, "t-0"), take_file, &ns, NULL), OK);
		name = ns.v[random_below(&rnd.random, ns.n)];
		damage(&rnd.random, fixture_file(&f, "t-0/%s", name));
		look(&f, &l);
		CHECK_EQ(log_repair(f.fs, fixture_file(&f, "t-0"), &l.place, &l.report, &eb), OK);
		CHECK_STR(eb.text, "");
		look_fini(&l);
		look(&f, &l);
		check_mended(&l.report.findings, name);
		look_fini(&l);
		(void)start_on(&f, true);
	}
	fixture_fini(&f);
}

/* ---- Java's directories ---- */

static void
verify_java(const char *name)
{
	struct log_findings of_place = LOG_FINDINGS_INIT;
	struct log_place place;
	struct log_report r;
	char cmd[4096], path[1024];

	snprintf(path, sizeof(path), "%s/%s/data", unit_tmpdir(), name);
	snprintf(cmd, sizeof(cmd), "mkdir -p %s/%s && tar -C %s/%s -xzf %s/test/golden/log/%s.tar.gz", unit_tmpdir(), name, unit_tmpdir(), name, unit_srcdir(), name);
	CHECK_EQ(system(cmd), 0);
	CHECK_EQ(log_place_read(fixture_fs(), path, false, &place, &of_place, NULL), OK);
	print_findings(&of_place);
	CHECK_EQ(of_place.violations, 0);
	CHECK_GE(place.nlogs, 5);
	for (uint32_t i = 0; i < place.nlogs; i++) {
		snprintf(cmd, sizeof(cmd), "%s/%s", path, place.logs[i]);
		CHECK_EQ(log_verify(fixture_fs(), cmd, &place, NULL, &r, NULL), OK);
		print_findings(&r.findings);
		CHECK_EQ(r.findings.violations, 0);
		log_report_fini(&r);
	}
	log_findings_fini(&of_place);
	log_place_fini(&place);
}

TEST(what_java_closed_breaks_no_rule) { verify_java("clean"); }
TEST(what_java_left_when_killed_breaks_no_rule) { verify_java("crashed"); }

/* ---- two replicas ---- */

static void
compare(struct fixture *f, struct log_comparison *c)
{
	char other[1024];

	snprintf(other, sizeof(other), "%s/t-0", template_dir);
	CHECK_EQ(log_compare(f->fs, fixture_file(f, "t-0"), other, NULL, c, NULL), OK);
}

TEST(two_replicas_are_compared_batch_by_batch)
{
	struct found found = { .skip = 3, .after = 6 };
	struct log_comparison c;
	struct fixture f;
	uint64_t at, size;
	char *path;

	make_good(&f);
	run("cp -r %s %s", f.path[0], template_dir);
	compare(&f, &c);
	CHECK_EQ(c.difference, LOG_SAME);
	CHECK_EQ(c.end[0], c.end[1]);
	CHECK_EQ(c.offset, c.end[0]);
	CHECK_EQ(c.batches, BATCHES + 8);

	path = segment(&f, 3, ".log");
	CHECK_EQ(log_each_batch(f.fs, path, 0, take, &found, &at, &size, NULL), OK);
	REQUIRE(found.bytes != NULL);
	patch(path, found.at + BATCH_LEADER_EPOCH + 3, "\x9", 1);
	compare(&f, &c);
	CHECK_EQ(c.difference, LOG_DIFFERENT_BYTES);
	CHECK_EQ(c.offset, found.h.base_offset);
	CHECK_EQ(c.position[0], found.at);
	CHECK_EQ(c.epoch[0], 9);
	CHECK_EQ(c.epoch[1], found.h.leader_epoch);
	CHECK_EQ(c.byte, BATCH_LEADER_EPOCH + 3);
	CHECK_GE(c.common_epoch, 5);

	restore(&f);
	cut_file(path, found.at + 30);
	run("rm -f $(ls %s/t-0/*.log | awk '$0 > \"%s\"')", f.path[0], path);
	compare(&f, &c);
	CHECK_EQ(c.difference, LOG_A_IS_SHORTER);
	CHECK_EQ(c.offset, found.h.base_offset);
	CHECK(c.torn[0] && !c.torn[1]);
	free(path);
	free(found.bytes);

	restore(&f);
	path = segment(&f, 0, ".log");
	CHECK_EQ(f.fs->ops->unlink(f.fs, path, NULL), OK);	/* retention */
	compare(&f, &c);
	CHECK_EQ(c.difference, LOG_SAME);
	CHECK_EQ(c.from, c.start[0]);
	CHECK_GE(c.from, 1);
	free(path);
	fixture_fini(&f);
}

UNIT_MAIN("log/verify", T(a_good_log_breaks_no_rule), T(each_rule_is_broken_seen_and_mended), T(a_repair_may_die_at_every_step),
    T(what_a_cut_takes_away_is_kept_beside_the_log), T(a_torn_tail_of_a_killed_broker_is_a_note_and_of_a_clean_one_a_violation),
    T(a_length_that_hides_whole_batches_is_no_torn_tail), T(a_changed_byte_under_a_checksum_is_found_wherever_it_is), T(whatever_is_damaged_a_repair_leaves_a_log_that_a_broker_reads), T(an_epoch_that_only_a_damaged_batch_knows_does_not_get_into_the_file), T(what_java_closed_breaks_no_rule),
    T(what_java_left_when_killed_breaks_no_rule), T(two_replicas_are_compared_batch_by_batch))
