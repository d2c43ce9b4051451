/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_power.c - power is lost, or the process killed, at every call to the disk that matters, in every kind of life a log leads; then
 * the directories are opened again, and during that power is lost again.
 *
 * A scenario runs once on fs_power.h.  Before each sync, rename, unlink, mkdir and rmdir (and each write and truncation in the long run) a copy of
 * the world is kept, with what was promised by then.  Afterwards each copy is looked at as a kill (seed 0) and as several losses of power:
 *
 *   trusted    before anything is opened: what a broker, Java's or ours, will believe unread (segments below the recovery point, their
 *		indexes, snapshots, epochs, every checkpoint) breaks no rule of log/rules.def, and no index entry is missing
 *   opened     loading succeeds, no directory goes offline.  Data files below the recovery point are read only when that is said
 *   promised   flushed records are there, with their bytes; after a kill all that was acknowledged; start offsets that were checkpointed hold;
 *		topics that were answered for exist, deleted ones do not
 *   whole	every record stands where it was once written, offsets have no gaps, batches have their checksums
 *   a second life on it: a new epoch, more records; calls of that and of the loading are points, too, at which power is lost again
 *   closed     after a clean end the rules hold for every file
 *
 * OTTLA_TEST_SEED repeats a run, OTTLA_TEST_POWER=n takes n losses per point instead of a few, and every write as a point.  AddressSanitizer makes
 * it ten times slower: then only every few points are looked at, others with each seed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "log/checkpoint.h"
#include "log/inspect.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/fs_power.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { OFFSETS_MAX = 1024, VALUES_MAX = 1 << 16, POINTS_MAX = 8192, DEPTH_MAX = 2, FAILURES_MAX = 5, SECOND_LIFE = 1000 };
enum { POINTS = FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_RENAME | FS_FAULT_UNLINK | FS_FAULT_MKDIR | FS_FAULT_RMDIR,
	ALL_POINTS = POINTS | FS_FAULT_WRITE | FS_FAULT_TRUNCATE };

#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 5 };
#else
enum { STRIDE = 1 };
#endif

struct promise {
	bool	 there;			/* log t-0 exists: it was established, or something was put in it */
	struct uuid id;			/* its topic's, then */
	bool	 gone;			/* it was deleted, and that was answered */
	uint8_t	 generation;		/* which log of that name */
	int64_t	 start;			/* nothing below is shown again */
	int64_t	 flushed, end;		/* below: on the disk; acknowledged */
	uint32_t now[OFFSETS_MAX];	/* the value at each offset; 0: a marker */
};

struct point {
	struct fs     *fs;
	char	       what[160];
	struct promise p;
};

struct scenario {
	const char *name;
	unsigned    ndirs;		/* 0: one */
	void	  (*live)(struct scenario *);
	void	  (*prepare)(struct fixture *);
	bool	    recalls;		/* has producers: loading reads a little before their snapshot */
	bool	    lazy;		/* jobs given to workers run when the scenario says so */
	/* the run */
	struct fixture f;
	struct log    *log;
	struct promise p;
	struct point  *points;
	unsigned       npoints;
	bool	       every_call;
	unsigned       failures;
	struct random_seeded random;
	uint32_t       sequence;	/* of values */
	bool	       starts[OFFSETS_MAX];	/* a batch begins there */
};

static int64_t home[VALUES_MAX];	/* the offset each value was written at */
static uint8_t generation[VALUES_MAX];	/* of the topic it was written to */

/* ---- what the user is told when it fails ---- */

static char trail[4][200];		/* where we are: scenario, point, point of the second life */
static unsigned ntrail;

static void fail(struct scenario *, const char *, ...) __attribute__((format(printf, 2, 3)));

static void
fail(struct scenario *sc, const char *format, ...)
{
	char words[1200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	if (sc->failures++ < FAILURES_MAX) {
		for (unsigned i = 0; i < ntrail; i++)
			fprintf(stderr, "%*s%s\n", (int)(4 + 2 * i), "", trail[i]);
		unit_check(false, __FILE__, __LINE__, "%s: %s", sc->name, words);
	}
}

/* ---- a life ---- */

static void
keep_point(void *ctx, const char *what)
{
	struct scenario *sc = ctx;
	struct point *pt;

	if (sc->npoints == POINTS_MAX)
		return;
	pt = &sc->points[sc->npoints++];
	pt->fs = fs_power_copy(sc->f.fs);
	snprintf(pt->what, sizeof(pt->what), "%s", what);
	pt->p = sc->p;
}

static void
note_values(struct fixture *f, const struct promise *p, int64_t at, unsigned n)
{
	must(f->sequence + n < VALUES_MAX && at + n <= OFFSETS_MAX);
	for (unsigned i = 0; i < n; i++) {
		home[f->sequence + 1 + i] = at + i;
		generation[f->sequence + 1 + i] = p->generation;
	}
}

static void
took(struct promise *p, uint64_t first_value, int64_t at, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p->now[at + i] = (uint32_t)(first_value + i);
	p->end = at + n;
}

static void
append(struct scenario *sc, struct batch_spec spec)
{
	unsigned n = spec.records == 0 ? 1 : spec.records;
	int64_t at = log_end_offset(sc->log);
	uint64_t first = sc->f.sequence + 1;
	struct append_result r;

	clock_manual_advance_ns(&sc->f.clock, 7000000);
	note_values(&sc->f, &sc->p, at, n);
	sc->starts[at] = true;
	r = fixture_append(&sc->f, sc->log, &spec);
	CHECK_EQ(r.error, KERR_NONE);
	took(&sc->p, first, at, n);
	sc->p.there = true;
	log_raise_high_watermark(sc->log, sc->p.end);
}

static void
append_some(struct scenario *sc, int n, unsigned value_len)
{
	for (int i = 0; i < n; i++)
		append(sc, (struct batch_spec){ .records = 1 + (unsigned)i % 3, .value_len = value_len + (unsigned)(i * 37 % 200) });
}

static void
marker(struct scenario *sc, int64_t producer_id, bool commit)
{
	int64_t at = log_end_offset(sc->log);

	CHECK_EQ(fixture_marker(&sc->f, sc->log, producer_id, 0, commit, 1).error, KERR_NONE);
	sc->p.now[at] = 0;
	sc->p.end = at + 1;
	log_raise_high_watermark(sc->log, sc->p.end);
}

static void
flush(struct scenario *sc)
{
	CHECK_EQ(log_flush(sc->log, NULL), OK);
	sc->p.flushed = sc->p.end;
}

static void
lead(struct scenario *sc, int32_t epoch)
{
	fixture_lead(sc->log, epoch);
}

static void
create(struct scenario *sc, struct uuid id)
{
	struct errbuf eb = ERRBUF_INIT;

	sc->p = (struct promise){ .generation = sc->p.generation, .id = id };
	CHECK_EQ(log_dirs_create(sc->f.dirs, "t", 0, id, &sc->f.options, &sc->log, &eb), OK);
	lead(sc, 5);
}

/* ---- trusted unread ---- */

static int64_t
checkpointed(struct fs *fs, const char *dir, const char *name)
{
	struct checkpoint cp = CHECKPOINT_INIT;
	const struct checkpoint_entry *row;
	char path[600];
	int64_t rp = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (checkpoint_read(fs, path, &cp, NULL) == OK && (row = checkpoint_find(&cp, "t", 0)) != NULL)
		rp = row->offset;
	checkpoint_fini(&cp);
	return (rp);
}

static int64_t
recovery_point_in(struct fs *fs, const char *dir)
{
	return (checkpointed(fs, dir, "recovery-point-offset-checkpoint"));
}

static int64_t
start_in(struct fs *fs, const char *dir)
{
	return (checkpointed(fs, dir, "log-start-offset-checkpoint"));
}

static int64_t
floor_base(struct fs *fs, const char *log_path, int64_t rp)
{
	struct log_files files;
	int64_t base = -1;

	if (log_files_list(fs, log_path, &files, NULL) != OK)
		return (-1);
	for (uint32_t i = 0; i < files.n; i++)
		if (files.bases[i] <= rp)
			base = files.bases[i];
	log_files_fini(&files);
	return (base);
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return (n >= k && strcmp(s + n - k, end) == 0);
}

/* Its segment has no offset index: every broker will recover it. */
static bool
lacks_index(const struct log_findings *found, const struct log_finding *fi)
{
	size_t len = (size_t)(strrchr(fi->path, '/') + 1 - fi->path) + 20;

	for (uint32_t i = 0; i < found->n; i++)
		if (found->v[i].rule == LOG_RULE_INDEX_FILES && ends_with(found->v[i].path, ".index") && strncmp(found->v[i].path, fi->path, len) == 0)
			return (ends_with(fi->path, "index"));
	return (false);
}

/* Will somebody believe this file as it is?  first: the segment that holds the checkpointed start; what is below goes at the next retention. */
static bool
is_trusted(const struct log_finding *fi, int64_t first, int64_t floor, int64_t rp)
{
	const char *name = strrchr(fi->path, '/') + 1;
	int64_t base = strtoll(name, NULL, 10);

	if (fi->rule == LOG_RULE_CHECKPOINT_END || fi->rule == LOG_RULE_CHECKPOINT_ROW || fi->rule == LOG_RULE_LEFTOVER || fi->rule == LOG_RULE_ORPHAN)
		return (false);		/* the next start puts these right */
	if (ends_with(name, ".snapshot"))
		return (base <= floor);
	if (ends_with(name, ".log") || ends_with(name, "index"))
		return (base >= first && base < floor);
	return (fi->rule != LOG_RULE_EPOCH_END && (fi->rule != LOG_RULE_EPOCH_ROWS || fi->offset < rp));
}

/* A left-over of a deletion, to be deleted again. */
static bool
is_below(const struct log_finding *fi, int64_t first)
{
	const char *name = strrchr(fi->path, '/') + 1;

	return (ends_with(name, "index") && strtoll(name, NULL, 10) < first);
}

static void
check_findings(struct scenario *sc, const struct log_findings *found, int64_t first, int64_t floor, int64_t rp, bool all)
{
	for (uint32_t i = 0; i < found->n; i++) {
		const struct log_finding *fi = &found->v[i];

		if (fi->violation && (all ? !is_below(fi, first) : is_trusted(fi, first, floor, rp) && !lacks_index(found, fi)))
			fail(sc, "%s: %s: %s (%s), recovery point %" PRId64, all ? "after a clean end" : "believed unread", fi->path, fi->words, log_rule_code(fi->rule), rp);
	}
}

struct gaps {
	uint64_t largest;		/* batch */
	uint64_t end;
};

static bool
note_size(void *ctx, const struct batch_header *h, struct slice whole, uint64_t position)
{
	struct gaps *g = ctx;

	(void)whole;
	g->largest = MAX(g->largest, h->size);
	g->end = position + h->size;
	return (true);
}

/* An entry is due a little behind the last one (and behind a cut).  The rules do not ask for it: without them all is found, only slower. */
static void
check_no_entry_is_missing(struct scenario *sc, struct fs *fs, const char *log_path, int64_t base)
{
	char *data = log_file_path(log_path, base, ".log"), *index = log_file_path(log_path, base, ".index");
	struct log_index_rows rows;
	struct gaps g = { 0 };
	uint64_t at, size, last = 0;

	if (log_each_batch(fs, data, 0, note_size, &g, &at, &size, NULL) == OK && log_index_read(fs, index, LOG_FILE_INDEX, base, &rows, NULL) == OK) {
		for (uint32_t i = 0; i <= rows.n; i++) {
			uint64_t next = i < rows.n ? rows.v[i].position : g.end;

			if (next > last + 2 * (g.largest + (uint64_t)sc->f.options.index_interval_bytes))
				fail(sc, "%s: no entry from position %" PRIu64 " to %" PRIu64, index, last, next);
			last = next;
		}
		log_index_rows_fini(&rows);
	}
	free(data);
	free(index);
}

static void
check_entries(struct scenario *sc, struct fs *fs, const char *log_path, int64_t first, int64_t floor, bool all)
{
	struct log_files files;

	if (log_files_list(fs, log_path, &files, NULL) != OK)
		return;
	for (uint32_t i = 0; i < files.n; i++)
		if (all || (files.bases[i] >= first && files.bases[i] < floor))
			check_no_entry_is_missing(sc, fs, log_path, files.bases[i]);
	log_files_fini(&files);
}

/* all: everything must be right (a clean end). */
static void
check_files(struct scenario *sc, struct fs *fs, const char *dir, bool all)
{
	struct log_findings found = LOG_FINDINGS_INIT;
	struct log_place place;
	struct log_report r;
	char path[700];

	if (!fs_exists(fs, dir))
		return;
	if (log_place_read(fs, dir, true, &place, &found, NULL) != OK) {
		fail(sc, "%s cannot be looked at", dir);
		return;
	}
	check_findings(sc, &found, 0, 0, 0, all);
	for (uint32_t i = 0; i < place.nlogs; i++) {
		int64_t rp = strncmp(place.logs[i], "t-0", 3) == 0 ? recovery_point_in(fs, dir) : 0;

		if (strchr(place.logs[i], '.') != NULL)		/* -future: no log that anybody reads */
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, place.logs[i]);
		check_entries(sc, fs, path, floor_base(fs, path, start_in(fs, dir)), floor_base(fs, path, rp), all);
		if (log_verify(fs, path, &place, NULL, &r, NULL) == OK)
			check_findings(sc, &r.findings, floor_base(fs, path, start_in(fs, dir)), floor_base(fs, path, rp), rp, all);
		else
			fail(sc, "%s cannot be verified", path);
		log_report_fini(&r);
	}
	log_place_fini(&place);
	log_findings_fini(&found);
}

/* ---- opened: what was read ---- */

struct reads {
	struct scenario *sc;		/* a point of a second life, when it keeps them */
	int64_t floor[2];		/* of t-0 in each directory: no data file below */
	char	below[200];		/* one that was */
	struct point *points;
	unsigned npoints, room;
	struct promise *p;
	struct fs *fs;
};

static void
watch_second(void *ctx, const char *what)
{
	struct reads *r = ctx;
	int64_t base;
	unsigned dir;

	if (strncmp(what, "read ", 5) == 0) {
		if (sscanf(what, "read /d%u/t-0/%" SCNd64 ".log", &dir, &base) == 2 && dir < 2 && base < r->floor[dir] && ends_with(what, ".log"))
			snprintf(r->below, sizeof(r->below), "%s", what);
		return;
	}
	if (r->room == 0)
		return;
	if (r->npoints == r->room) {
		r->room *= 2;
		r->points = xreallocarray(r->points, r->room, sizeof(*r->points));
	}
	r->points[r->npoints].fs = fs_power_copy(r->fs);
	snprintf(r->points[r->npoints].what, sizeof(r->points[0].what), "second life: %s", what);
	r->points[r->npoints++].p = *r->p;
}

/* ---- promised, whole ---- */

struct content {
	struct scenario *sc;
	struct promise *p;
	int64_t next, below;		/* below: values must be the promised ones */
	bool	bad;
};

static void
check_record(struct content *c, const struct record *rec)
{
	uint64_t value = strtoull((const char *)rec->value.p, NULL, 16);

	if (rec->offset != c->next) {
		fail(c->sc, "offset %" PRId64 " follows %" PRId64, rec->offset, c->next - 1);
		c->bad = true;
	} else if (value == 0 || value >= VALUES_MAX || home[value] != rec->offset || generation[value] != c->p->generation) {
		fail(c->sc, "offset %" PRId64 " holds a value that was never written there (%" PRIu64 ")", rec->offset, value);
		c->bad = true;
	} else if (rec->offset < c->below && c->p->now[rec->offset] != value) {
		fail(c->sc, "offset %" PRId64 " holds value %" PRIu64 ", %" PRIu32 " was promised", rec->offset, value, c->p->now[rec->offset]);
		c->bad = true;
	}
	if (!c->bad && rec->offset < OFFSETS_MAX)	/* not promised, but here: from now on it is what this offset holds */
		c->p->now[rec->offset] = (uint32_t)value;
}

static void
check_marker(struct content *c, int64_t offset)
{
	if (offset != c->next || (offset < c->below && c->p->now[offset] != 0)) {
		fail(c->sc, "a marker stands at %" PRId64 ", %" PRId64 " was expected", offset, c->next);
		c->bad = true;
	} else if (offset < OFFSETS_MAX)
		c->p->now[offset] = 0;
}

static void
check_batch(struct content *c, const struct batch_header *h, struct slice whole, int64_t from)
{
	struct record_iter it;
	struct record rec;
	char text[17];

	if (!batch_crc_ok(whole) || record_iter_init(&it, NULL, whole, h, RECORD_FULL, NULL) != OK) {
		fail(c->sc, "the batch at %" PRId64 " is torn", h->base_offset);
		c->bad = true;
		return;
	}
	while (!c->bad && record_iter_next(&it, &rec, NULL) == OK) {
		if (rec.offset < from)
			continue;
		if (batch_is_control(h))
			check_marker(c, rec.offset);
		else {
			memcpy(text, rec.value.p, 16);
			text[16] = '\0';
			rec.value.p = (const uint8_t *)text;
			check_record(c, &rec);
		}
		c->next = rec.offset + 1;
	}
	record_iter_fini(&it);
	c->next = MAX(c->next, h->last_offset + 1);
}

static void
check_content(struct scenario *sc, struct log *log, struct promise *p, int64_t below)
{
	struct content c = { .sc = sc, .p = p, .next = log_start_offset(log), .below = below };
	struct log_read_options o = { .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_END };
	int64_t from = c.next;

	while (!c.bad && c.next < log_end_offset(log)) {
		struct log_read_result r;
		struct batch_header h;
		struct batch_iter it;
		struct slice whole;
		uint8_t *buf;

		o.offset = c.next;
		if (log_read(log, &o, NULL, &r) != KERR_NONE || r.range.file == NULL) {
			fail(sc, "offset %" PRId64 " cannot be read", c.next);
			log_read_result_fini(&r);
			return;
		}
		buf = xmalloc(r.range.len);
		c.bad = file_pread_full(r.range.file, buf, r.range.len, r.range.pos, NULL) != OK;
		it = batch_iter_of(slice_of(buf, r.range.len));
		while (!c.bad && batch_iter_next(&it, &h, &whole) == OK)
			check_batch(&c, &h, whole, from);
		free(buf);
		log_read_result_fini(&r);
	}
}

static void
check_log(struct scenario *sc, struct log *log, struct promise *p, bool killed)
{
	int64_t below = killed ? p->end : p->flushed;

	if (p->start > log_start_offset(log))
		fail(sc, "starts at %" PRId64 ", although %" PRId64 " was on the disk", log_start_offset(log), p->start);
	if (log_end_offset(log) < below)
		fail(sc, "ends at %" PRId64 ", %" PRId64 " was promised", log_end_offset(log), below);
	log_check(log);
	check_content(sc, log, p, below);
}

/* ---- one world ---- */

static void look_at(struct scenario *, const struct point *, uint64_t seed, unsigned depth);

/* More records on what was recovered, in another epoch; half of them flushed. */
static void
second_life(struct scenario *sc, struct fixture *f, struct log *log, struct promise *p, unsigned depth)
{
	int64_t end = log_end_offset(log);

	if (end > OFFSETS_MAX - 30 || f->offline > 0)
		return;
	fixture_lead(log, 30 + 10 * (int32_t)depth);	/* a controller's numbers never fall */
	p->id = log_topic_id(log);	/* of a log that had not been promised it may be gone; LeaderAndIsr would give it again here */
	p->flushed = MIN(p->flushed, end);
	p->end = end;
	for (unsigned i = 0; i < 7; i++) {
		unsigned n = 1 + i % 2;
		struct append_result r;
		uint64_t first = f->sequence + 1;

		clock_manual_advance_ns(&f->clock, 7000000);
		end = log_end_offset(log);
		note_values(f, p, end, n);
		r = fixture_append(f, log, &(struct batch_spec){ .records = n, .value_len = 40 + 900 * (i % 3) });
		if (r.error != KERR_NONE) {
			fail(sc, "nothing can be appended after it: %s", r.message);
			return;
		}
		took(p, first, end, n);
		p->there = true;
		log_raise_high_watermark(log, p->end);
		if (i == 3 && depth == 0) {
			if (log_flush(log, NULL) != OK)
				fail(sc, "cannot be flushed");
			p->flushed = p->end;
			log_dirs_checkpoint_recovery_points(f->dirs);
		}
	}
}

static void
look_inside(struct scenario *sc, struct reads *r, uint64_t seed, unsigned depth)
{
	unsigned take = r->npoints == 0 ? 0 : sc->every_call ? 6 : 2;

	for (unsigned i = 0; i < take; i++) {
		unsigned at = i == 0 ? r->npoints - 1 : random_below(&sc->random.random, r->npoints);

		look_at(sc, &r->points[at], seed * 31 + i, depth + 1);
	}
	for (unsigned i = 0; i < r->npoints; i++)
		fs_power_free(&r->points[i].fs);
	free(r->points);
}

static bool
says_so(const struct fixture *f)
{
	return (strstr(f->lines, "recover") != NULL || strstr(f->lines, "new indexes") != NULL || strstr(f->lines, "are read from the batches") != NULL ||
	    strstr(f->lines, "taken as empty") != NULL || strstr(f->lines, "an older one or the batches will do") != NULL);
}

static void
use(struct scenario *sc, struct fixture *f, struct promise *p, struct reads *r, bool killed, unsigned depth)
{
	struct log *log = log_dirs_find(f->dirs, "t", 0);

	if (r->below[0] != '\0' && !sc->recalls && !says_so(f))
		fail(sc, "%s, below the recovery point, and nobody says so", r->below);
	if (log == NULL) {
		if (p->there)
			fail(sc, "the topic is gone");
		return;
	}
	if (p->gone)
		fail(sc, "the deleted topic is back");
	if (p->there && !uuid_eq(log_topic_id(log), p->id))
		fail(sc, "the topic's id is lost");
	check_log(sc, log, p, killed);
	if (sc->failures == 0 && !p->gone) {
		second_life(sc, f, log, p, depth);
		if (f->offline == 0)
			check_log(sc, log, p, true);
	}
	log_unref(&log);
}

/* seed 0: killed. */
static void
look_at(struct scenario *sc, const struct point *pt, uint64_t seed, unsigned depth)
{
	struct fs *after = seed == 0 ? fs_power_copy(pt->fs) : fs_power_lost(pt->fs, seed);
	struct promise p = pt->p;
	struct reads r = { .sc = sc, .floor = { -1, -1 }, .p = &p, .fs = after };
	struct errbuf eb = ERRBUF_INIT;
	struct fixture f;
	enum err e;

	if (sc->failures >= FAILURES_MAX) {
		fs_power_free(&after);
		return;
	}
	snprintf(trail[ntrail++], sizeof(trail[0]), "%s before %.140s, seed %" PRIu64, seed == 0 ? "killed" : "power lost", pt->what, seed);
	fixture_init(&f, sc->ndirs);
	f.clock = sc->f.clock;
	f.options = sc->f.options;
	f.sync_appends = sc->f.sync_appends;
	f.sequence = sc->sequence;
	f.fs = after;
	for (unsigned i = 0; i < sc->ndirs; i++) {
		char path[64];

		snprintf(f.path[i], sizeof(f.path[i]), "/d%u", i);
		snprintf(path, sizeof(path), "/d%u/t-0", i);
		if (seed != 0)
			check_files(sc, after, f.path[i], false);
		r.floor[i] = floor_base(after, path, recovery_point_in(after, f.path[i]));
	}
	if (depth + 1 < DEPTH_MAX) {
		r.room = 64;
		r.points = xreallocarray(NULL, r.room, sizeof(*r.points));
	}
	fs_power_watch(after, FS_FAULT_READ | (sc->every_call ? ALL_POINTS : POINTS), watch_second, &r);
	e = fixture_open(&f, &eb);
	if (e != OK || f.offline > 0)
		fail(sc, "cannot be opened: %s; %s", eb.text, f.lines);
	else
		use(sc, &f, &p, &r, seed == 0, depth);
	if (e == OK && depth + 1 < DEPTH_MAX)
		watch_second(&r, "end");
	sc->sequence = (uint32_t)f.sequence;
	fs_power_watch(after, 0, NULL, NULL);
	if (f.dirs != NULL && f.offline == 0 && sc->failures == 0) {
		fixture_close(&f);
		for (unsigned i = 0; i < sc->ndirs; i++)
			check_files(sc, after, f.path[i], true);
	}
	fixture_fini(&f);
	fs_power_free(&after);
	look_inside(sc, &r, seed, depth);
	sc->sequence = sc->sequence > VALUES_MAX - 1000 ? SECOND_LIFE * 4 : sc->sequence;
	ntrail--;
}

/* ---- a scenario ---- */

static void
run(struct scenario *sc)
{
	const char *many = getenv("OTTLA_TEST_POWER");
	unsigned losses = many != NULL ? (unsigned)atoi(many) : 2, stride = many != NULL ? 1 : STRIDE;
	struct fs *fs;

	sc->ndirs = MAX(sc->ndirs, 1u);
	memset(home, 0xff, sizeof(home));
	random_seeded_init(&sc->random, unit_seed());
	sc->every_call = many != NULL;
	sc->points = xcalloc(POINTS_MAX, sizeof(*sc->points));
	fixture_init(&sc->f, sc->ndirs);
	if (sc->lazy)
		CHECK_EQ(workers_new(0, "lazy", &sc->f.workers, NULL), OK);
	fs = sc->f.fs = fs_power_new(&sc->f.clock.clock);
	sc->f.options.segment_bytes = 6000;
	for (unsigned i = 0; i < sc->ndirs; i++)
		snprintf(sc->f.path[i], sizeof(sc->f.path[i]), "/d%u", i);
	if (sc->prepare != NULL)
		sc->prepare(&sc->f);
	fs_power_watch(fs, sc->every_call ? ALL_POINTS : POINTS, keep_point, sc);
	REQUIRE(fixture_open(&sc->f, NULL) == OK);
	sc->live(sc);
	keep_point(sc, "the end");
	fs_power_watch(fs, 0, NULL, NULL);
	log_unref(&sc->log);
	must(sc->f.sequence < SECOND_LIFE * 4);
	sc->sequence = SECOND_LIFE * 4;
	CHECK_EQ(sc->f.offline, 0);
	fixture_fini(&sc->f);
	fs_power_free(&fs);
	for (unsigned i = (unsigned)(unit_seed() % stride); i < sc->npoints; i += stride) {
		snprintf(trail[0], sizeof(trail[0]), "point %u of %u", i, sc->npoints);
		ntrail = 1;
		look_at(sc, &sc->points[i], 0, 0);
		for (unsigned k = 0; k < losses; k++)
			look_at(sc, &sc->points[i], 1 + random_below(&sc->random.random, 1u << 30), 0);
	}
	for (unsigned i = 0; i < sc->npoints; i++)
		fs_power_free(&sc->points[i].fs);
	if (getenv("OTTLA_TEST_VERBOSE") != NULL)
		fprintf(stderr, "%s: %u points\n", sc->name, sc->npoints);
	CHECK(sc->npoints > 20);
	free(sc->points);
}

#define SCENARIO(test, ...) \
TEST(test) \
{ \
	struct scenario *sc = xcalloc(1, sizeof(*sc)); \
\
	*sc = (struct scenario){ .name = #test, __VA_ARGS__ }; \
	run(sc); \
	free(sc); \
}

/* ---- the lives ---- */

static void
live_flushes(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 4; i++) {
		append_some(sc, 7, 500);
		flush(sc);
		if (i % 2)
			log_dirs_checkpoint_recovery_points(sc->f.dirs);
		append_some(sc, 3, 300);
		if (i == 1)
			lead(sc, 6);
	}
}
SCENARIO(flushed_records_survive_appends_rolls_and_checkpoints, .live = live_flushes)

static void
prepare_dense(struct fixture *f)
{
	f->options.index_interval_bytes = 1;
}

/* Twenty entries in a segment: some in the file, some in memory, when it is flushed, cut, closed. */
static void
live_dense(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 4; i++) {
		append_some(sc, 12, 30);
		if (i % 2)
			flush(sc);
		append_some(sc, 5, 30);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		if (i == 1)
			CHECK_EQ(log_roll(sc->log, NULL), OK);
	}
	CHECK(log_segment_count(sc->log) > 3);
}
SCENARIO(index_entries_that_wait_in_memory, .live = live_dense, .prepare = prepare_dense)

static void
prepare_each(struct fixture *f)
{
	f->options.flush_messages = 1;
}

static void
live_each(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 14; i++) {
		append(sc, (struct batch_spec){ .value_len = 700, .records = 1 + (unsigned)i % 2 });
		sc->p.flushed = sc->p.end;
		if (i % 3 == 0)
			log_dirs_checkpoint_recovery_points(sc->f.dirs);
	}
}
SCENARIO(with_flush_messages_1_an_answer_is_a_promise, .live = live_each, .prepare = prepare_each)

static void
step(struct scenario *sc, int jobs)
{
	while (jobs-- > 0 && sc->f.workers != NULL && workers_step(sc->f.workers))
		;
}

static void
prepare_group_commit(struct fixture *f)
{
	f->sync_appends = true;
}

/* The flush of a roll syncs the name of the new segment, too: without it the commit must have done so. */
static void
no_flushes(struct scenario *sc)
{
	if (sc->lazy)
		sc->log->flush_scheduled = true;
}

/* What is settled is promised; the recovery point is not there yet. */
static void
live_settles(struct scenario *sc)
{
	bool behind = false;

	create(sc, UUID_ZERO);
	no_flushes(sc);
	for (int i = 0; i < 20; i++) {
		append(sc, (struct batch_spec){ .value_len = 900, .records = 1 + (unsigned)i % 2 });
		if (sc->lazy)
			step(sc, i % 5 == 4 ? 9 : i % 2);
		sc->p.flushed = log_settled_offset(sc->log);
		CHECK(sc->lazy || sc->p.flushed == sc->p.end);
		behind |= log_recovery_point(sc->log) < sc->p.flushed;
		if (i % 3 == 0)
			log_dirs_checkpoint_recovery_points(sc->f.dirs);
		if (i == 11)
			lead(sc, 6);
	}
	CHECK(behind && log_segment_count(sc->log) > 2);
}
SCENARIO(with_group_commit_what_is_settled_is_a_promise, .live = live_settles, .prepare = prepare_group_commit)
SCENARIO(with_group_commit_and_syncs_that_come_late, .live = live_settles, .prepare = prepare_group_commit, .lazy = true)

/* A cut between: what was settled above it is promised no more, what comes after it is settled anew, its name, too. */
static void
live_settles_and_cuts(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	no_flushes(sc);
	for (int i = 0; i < 3; i++) {
		int64_t to;

		append_some(sc, 14, 500);
		step(sc, 9);
		sc->p.flushed = log_settled_offset(sc->log);
		CHECK_EQ(sc->p.flushed, sc->p.end);
		for (to = sc->p.end - 20; to > 0 && !sc->starts[to]; to--)
			;
		sc->p.flushed = sc->p.end = to;
		CHECK_EQ(log_truncate_to(sc->log, to, NULL), OK);
		CHECK_EQ(log_settled_offset(sc->log), to);
		lead(sc, 6 + i);
		append_some(sc, 7, 450);
		step(sc, 9);
		sc->p.flushed = log_settled_offset(sc->log);
		CHECK_EQ(sc->p.flushed, sc->p.end);
	}
}
SCENARIO(with_group_commit_a_log_that_is_cut_and_goes_on, .live = live_settles_and_cuts, .prepare = prepare_group_commit, .lazy = true)

static void
live_settles_and_restarts(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 3; i++) {
		append_some(sc, 6, 500);
		sc->p.flushed = log_settled_offset(sc->log);
		log_unref(&sc->log);
		log_dirs_free(&sc->f.dirs);	/* killed */
		keep_point(sc, "a start");
		REQUIRE(fixture_open(&sc->f, NULL) == OK);
		sc->log = log_dirs_find(sc->f.dirs, "t", 0);
		REQUIRE(sc->log != NULL);
		CHECK_EQ(log_end_offset(sc->log), sc->p.end);
		lead(sc, 6 + i);		/* syncs what the start has found */
		CHECK_EQ(log_settled_offset(sc->log), sc->p.end);
		sc->p.flushed = sc->p.end;
	}
}
SCENARIO(with_group_commit_killed_and_started_again, .live = live_settles_and_restarts, .prepare = prepare_group_commit)

/* The flush that a roll asks for comes late. */
static void
live_lazy(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 6; i++) {
		append_some(sc, 6, 600);
		if (i == 1 || i == 4)
			flush(sc);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		if (i % 2)
			step(sc, 9);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
	}
	CHECK_EQ(log_roll(sc->log, NULL), OK);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	step(sc, 9);
}
SCENARIO(a_roll_whose_flush_comes_late, .live = live_lazy, .lazy = true)

static void
live_roll(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 4; i++) {
		append_some(sc, 3, 300);
		flush(sc);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		CHECK_EQ(log_roll(sc->log, NULL), OK);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
	}
}
SCENARIO(a_segment_that_is_closed_after_all_of_it_was_flushed, .live = live_roll)
SCENARIO(the_same_with_a_flush_that_comes_late, .live = live_roll, .lazy = true)

static void
prepare_preallocate(struct fixture *f)
{
	f->options.preallocate = true;
}
SCENARIO(preallocated_segments, .live = live_flushes, .prepare = prepare_preallocate)

static void
live_producers(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 24; i++) {
		append(sc, (struct batch_spec){ .value_len = 400, .producer_id = 77, .sequence = i });
		append(sc, (struct batch_spec){ .value_len = 100, .producer_id = 100 + i / 6, .sequence = i % 6, .transactional = true });
		if (i % 6 == 5)
			marker(sc, 100 + i / 6, i % 12 == 5);
		if (i % 8 == 7) {
			flush(sc);
			log_dirs_checkpoint_recovery_points(sc->f.dirs);
		}
	}
}
SCENARIO(producers_transactions_and_their_snapshots, .live = live_producers, .recalls = true)

static void
live_deletes(struct scenario *sc)
{
	int64_t start;

	create(sc, UUID_ZERO);
	append_some(sc, 30, 500);
	flush(sc);
	for (int i = 1; i <= 3; i++) {
		CHECK_EQ(log_delete_records(sc->log, i * 13, &start), KERR_NONE);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		log_dirs_checkpoint_start_offsets(sc->f.dirs);
		sc->p.start = i * 13;
		log_dirs_retain(sc->f.dirs);
		log_dirs_checkpoint_start_offsets(sc->f.dirs);
		append_some(sc, 3, 500);
		log_dirs_checkpoint_high_watermarks(sc->f.dirs);
		clock_manual_advance_ns(&sc->f.clock, INT64_C(60001) * 1000000);
		log_dirs_delete_due(sc->f.dirs);
	}
}
SCENARIO(deleted_records_and_retention_by_start_offset, .live = live_deletes)

static void
live_retention(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	sc->f.options.retention_bytes = 14000;
	log_set_options(sc->log, &sc->f.options);
	for (int i = 0; i < 4; i++) {
		append_some(sc, 12, 500);
		flush(sc);
		log_dirs_retain(sc->f.dirs);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		log_dirs_checkpoint_start_offsets(sc->f.dirs);
		clock_manual_advance_ns(&sc->f.clock, INT64_C(30001) * 1000000);
		log_dirs_delete_due(sc->f.dirs);
	}
	sc->f.options.retention_bytes = -1;
	sc->f.options.retention_ms = 1000;
	log_set_options(sc->log, &sc->f.options);
	clock_manual_advance_ns(&sc->f.clock, INT64_C(60001) * 1000000);
	sc->p.flushed = sc->p.start;		/* all goes */
	log_dirs_retain(sc->f.dirs);
	append_some(sc, 2, 100);
}
SCENARIO(retention_by_size_and_time, .live = live_retention)

static void
live_topics(struct scenario *sc)
{
	struct log *other = NULL;

	for (int i = 0; i < 3; i++) {
		sc->p.generation = (uint8_t)i;
		create(sc, uuid_random(&sc->f.random.random));
		append_some(sc, 4 + 3 * i, 500);
		flush(sc);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		log_dirs_checkpoint_start_offsets(sc->f.dirs);
		log_dirs_checkpoint_high_watermarks(sc->f.dirs);
		if (i == 2)
			break;
		CHECK_EQ(log_dirs_create(sc->f.dirs, "other", i, UUID_ZERO, &sc->f.options, &other, NULL), OK);
		log_unref(&other);
		sc->p.there = false;		/* under way: either */
		log_unref(&sc->log);
		CHECK_EQ(log_dirs_delete(sc->f.dirs, "t", 0, NULL), OK);
		sc->p = (struct promise){ .gone = true, .generation = (uint8_t)i };
		if (i == 1) {
			clock_manual_advance_ns(&sc->f.clock, INT64_C(60001) * 1000000);
			log_dirs_delete_due(sc->f.dirs);
		}
	}
}
SCENARIO(topics_made_deleted_and_made_again, .live = live_topics)

/* Many are made at once; they get to the disk one by one, behind the answer, or when the first record comes. */
static void
live_young(struct scenario *sc)
{
	struct log *others[4] = { NULL };

	for (int i = 0; i < 3; i++) {
		sc->p.generation = (uint8_t)i;
		for (int k = 0; k < 4; k++) {
			CHECK_EQ(log_dirs_create(sc->f.dirs, "other", 4 * i + k, uuid_random(&sc->f.random.random), &sc->f.options, &others[k], NULL), OK);
			fixture_lead(others[k], 5);
			if (k == i)
				create(sc, uuid_random(&sc->f.random.random));
		}
		log_dirs_establish(sc->f.dirs);
		step(sc, 2 * i);
		if (i == 2)
			lead(sc, 7);
		if (i == 1)		/* by the job */
			step(sc, 9);
		sc->p.there = i == 1;
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		log_dirs_checkpoint_high_watermarks(sc->f.dirs);
		keep_point(sc, "the first record");
		append_some(sc, 3, 300);
		(void)fixture_append(&sc->f, others[3], &(struct batch_spec){ .value_len = 100 });
		step(sc, 9);
		for (int k = 0; k < 4; k++) {
			log_check(others[k]);
			log_unref(&others[k]);
		}
		flush(sc);
		log_dirs_checkpoint_recovery_points(sc->f.dirs);
		if (i == 2)
			break;
		sc->p.there = false;		/* under way: either */
		log_unref(&sc->log);
		CHECK_EQ(log_dirs_delete(sc->f.dirs, "t", 0, NULL), OK);
		sc->p = (struct promise){ .gone = true, .generation = (uint8_t)i };
	}
}
SCENARIO(new_logs_get_to_the_disk_behind_the_answer, .live = live_young, .lazy = true)

/* Emptied, moved, deleted, closed: what comes first to a new log may be something else than a record. */
static void
live_young_otherwise(struct scenario *sc)
{
	struct log *future = NULL;
	bool caught_up = false, swapped = false;
	uint64_t copied;

	create(sc, uuid_random(&sc->f.random.random));
	log_unref(&sc->log);
	CHECK_EQ(log_dirs_delete(sc->f.dirs, "t", 0, NULL), OK);
	sc->p.generation = 1;
	create(sc, uuid_random(&sc->f.random.random));
	REQUIRE(log_dirs_move_begin(sc->f.dirs, "t", 0, sc->f.path[strcmp(log_dir(sc->log), sc->f.path[0]) == 0], &sc->f.options, &future, NULL) == OK);
	CHECK_EQ(log_dirs_move_align(sc->f.dirs, sc->log, future, NULL), OK);
	CHECK_EQ(log_dirs_move_copy(sc->f.dirs, sc->log, future, 3000, &copied, &caught_up, NULL), OK);
	CHECK_EQ(log_dirs_move_swap(sc->f.dirs, sc->log, future, &swapped, NULL), OK);
	CHECK(caught_up && swapped);
	log_dirs_move_retire(sc->f.dirs, sc->log);
	log_unref(&sc->log);
	log_unref(&future);
	CHECK_EQ(log_dirs_delete(sc->f.dirs, "t", 0, NULL), OK);
	sc->p.generation = 2;
	create(sc, uuid_random(&sc->f.random.random));
	log_unref(&sc->log);
	log_dirs_shutdown(sc->f.dirs);
	sc->p.there = true;
	log_dirs_free(&sc->f.dirs);
	keep_point(sc, "a start");
	REQUIRE(fixture_open(&sc->f, NULL) == OK);
	sc->p.there = false;		/* under way: either */
	CHECK_EQ(log_dirs_delete(sc->f.dirs, "t", 0, NULL), OK);
	sc->p.generation = 3;
	create(sc, uuid_random(&sc->f.random.random));
	CHECK_EQ(log_truncate_fully_and_start_at(sc->log, 100, NULL), OK);
	sc->p.there = true;
	sc->p.end = sc->p.flushed = 100;
	lead(sc, 6);
	append_some(sc, 2, 300);
	sc->p.flushed = 0;
	flush(sc);
}
SCENARIO(what_comes_first_to_a_new_log_may_be_something_else_than_a_record, .live = live_young_otherwise, .ndirs = 2)

static void
live_truncates(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	append_some(sc, 24, 500);
	flush(sc);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	for (int i = 0; i < 3; i++) {
		int64_t to = sc->p.end - 9 - 4 * i;

		while (!sc->starts[to])
			to--;
		sc->p.flushed = MIN(sc->p.flushed, to);
		sc->p.end = to;
		CHECK_EQ(log_truncate_to(sc->log, to, NULL), OK);
		lead(sc, 6 + i);
		append_some(sc, 4, 450);
		if (i == 1) {
			flush(sc);
			log_dirs_checkpoint_recovery_points(sc->f.dirs);
		}
	}
}
SCENARIO(a_log_that_is_cut_and_goes_on_in_another_epoch, .live = live_truncates)

static void
live_emptied(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	append_some(sc, 20, 500);
	flush(sc);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	sc->p.flushed = sc->p.end = 0;
	CHECK_EQ(log_truncate_fully_and_start_at(sc->log, 100, NULL), OK);
	sc->p.flushed = sc->p.end = 100;
	lead(sc, 6);
	append_some(sc, 6, 500);
	sc->p.flushed = 0;		/* nothing of it was flushed */
}
SCENARIO(a_log_that_is_emptied_and_begins_elsewhere, .live = live_emptied)

static void
live_restarts(struct scenario *sc)
{
	create(sc, UUID_ZERO);
	for (int i = 0; i < 3; i++) {
		append_some(sc, 9, 500);
		log_unref(&sc->log);
		log_dirs_shutdown(sc->f.dirs);
		sc->p.flushed = sc->p.end;
		log_dirs_free(&sc->f.dirs);
		keep_point(sc, "a start");
		REQUIRE(fixture_open(&sc->f, NULL) == OK);
		sc->log = log_dirs_find(sc->f.dirs, "t", 0);
		REQUIRE(sc->log != NULL);
		lead(sc, 6 + i);
		if (i == 1)		/* what was closed is closed again, with nothing new in it */
			CHECK_EQ(log_roll(sc->log, NULL), OK);
	}
	append_some(sc, 4, 500);
}
SCENARIO(clean_ends_and_starts, .live = live_restarts)
SCENARIO(clean_ends_and_starts_with_a_flush_that_comes_late, .live = live_restarts, .lazy = true)

/* Somebody has taken an index away from a segment that was flushed. */
static void
live_without_index(struct scenario *sc)
{
	char path[700];

	create(sc, UUID_ZERO);
	append_some(sc, 24, 500);
	flush(sc);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	append_some(sc, 5, 500);
	CHECK_GE(log_segment_count(sc->log), 3);
	snprintf(path, sizeof(path), "%s/%020d.index", log_path(sc->log), 0);
	log_unref(&sc->log);
	log_dirs_free(&sc->f.dirs);
	CHECK_EQ(sc->f.fs->ops->unlink(sc->f.fs, path, NULL), OK);
	keep_point(sc, "a start");
	REQUIRE(fixture_open(&sc->f, NULL) == OK);
	sc->log = log_dirs_find(sc->f.dirs, "t", 0);
	REQUIRE(sc->log != NULL);
	lead(sc, 6);
	append_some(sc, 4, 500);
}
SCENARIO(an_index_below_the_recovery_point_that_is_written_anew, .live = live_without_index)
SCENARIO(the_same_index_with_a_flush_that_comes_late, .live = live_without_index, .lazy = true)

static void
move(struct scenario *sc, unsigned to, int appended)
{
	struct log *future = NULL;
	bool caught_up = false, swapped = false;
	uint64_t copied;

	REQUIRE(log_dirs_move_begin(sc->f.dirs, "t", 0, sc->f.path[to], &sc->f.options, &future, NULL) == OK);
	CHECK_EQ(log_dirs_move_align(sc->f.dirs, sc->log, future, NULL), OK);
	while (!swapped) {
		CHECK_EQ(log_dirs_move_copy(sc->f.dirs, sc->log, future, 3000, &copied, &caught_up, NULL), OK);
		if (caught_up && appended-- > 0)
			append(sc, (struct batch_spec){ .value_len = 300 });
		else if (caught_up)
			CHECK_EQ(log_dirs_move_swap(sc->f.dirs, sc->log, future, &swapped, NULL), OK);
	}
	append(sc, (struct batch_spec){ .value_len = 300 });	/* through the old one */
	log_dirs_move_retire(sc->f.dirs, sc->log);
	log_unref(&sc->log);
	sc->log = future;
}

static void
live_moves(struct scenario *sc)
{
	int64_t start;

	create(sc, UUID_ZERO);
	append_some(sc, 14, 500);
	CHECK_EQ(log_delete_records(sc->log, 8, &start), KERR_NONE);
	log_dirs_checkpoint_start_offsets(sc->f.dirs);
	sc->p.start = 8;
	flush(sc);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	move(sc, 1, 2);
	append_some(sc, 3, 300);
	flush(sc);
	clock_manual_advance_ns(&sc->f.clock, INT64_C(60001) * 1000000);
	log_dirs_delete_due(sc->f.dirs);
	move(sc, 0, 0);
	log_dirs_checkpoint_recovery_points(sc->f.dirs);
	append_some(sc, 3, 300);
}
SCENARIO(a_log_that_moves_to_another_directory_and_back, .live = live_moves, .ndirs = 2)

/* Two segments with a hole between them, as a follower of a compacted log may have: flushed, it stays, whatever has to be rebuilt, and whatever kills the
 * broker in the middle of that: here before anything that it gives to workers. */
static void
old_hole(bool clean, bool flushed, int64_t want_end)
{
	const struct batch_spec below = { .base_offset = 5, .leader_epoch = 7, .value_len = 200 }, above = { .base_offset = 50, .leader_epoch = 7 };
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	REQUIRE(fixture_open(&f, NULL) == OK);
	log = fixture_log(&f);
	fixture_follow(log, 7);
	CHECK_EQ(fixture_replicate(&f, log, &below, 1).error, KERR_NONE);
	f.options.segment_bytes = 300;
	log_set_options(log, &f.options);
	CHECK_EQ(fixture_replicate(&f, log, &above, 1).error, KERR_NONE);
	CHECK_EQ(log_segment_count(log), 2);
	if (flushed) {
		CHECK_EQ(log_flush(log, NULL), OK);
		log_dirs_checkpoint_recovery_points(f.dirs);
	}
	log_unref(&log);
	if (clean)
		fixture_close(&f);
	else
		fixture_crash(&f);
	CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "t-0/%020d.index", 0), NULL), OK);
	if (!flushed)
		CHECK_EQ(f.fs->ops->unlink(f.fs, fixture_file(&f, "recovery-point-offset-checkpoint"), NULL), OK);
	CHECK_EQ(workers_new(0, "never", &f.workers, NULL), OK);
	for (int life = 0; life < 2; life++) {
		REQUIRE(fixture_open(&f, NULL) == OK);
		log = log_dirs_find(f.dirs, "t", 0);
		REQUIRE(log != NULL);
		CHECK_EQ(log_end_offset(log), want_end);
		CHECK_EQ(log_segment_count(log), 2);
		log_unref(&log);
		fixture_crash(&f);
	}
	fixture_fini(&f);
}

TEST(an_old_hole_between_segments_costs_no_records)
{
	old_hole(true, true, 51);
	old_hole(false, true, 51);
	old_hole(false, false, 51);	/* the recovery points are lost */
}

UNIT_MAIN("log/power", T(with_group_commit_what_is_settled_is_a_promise), T(with_group_commit_and_syncs_that_come_late),
    T(with_group_commit_a_log_that_is_cut_and_goes_on), T(with_group_commit_killed_and_started_again),
    T(flushed_records_survive_appends_rolls_and_checkpoints), T(index_entries_that_wait_in_memory), T(with_flush_messages_1_an_answer_is_a_promise),
    T(a_roll_whose_flush_comes_late), T(a_segment_that_is_closed_after_all_of_it_was_flushed), T(the_same_with_a_flush_that_comes_late),
    T(preallocated_segments), T(producers_transactions_and_their_snapshots), T(deleted_records_and_retention_by_start_offset),
    T(retention_by_size_and_time), T(topics_made_deleted_and_made_again), T(a_log_that_is_cut_and_goes_on_in_another_epoch),
    T(a_log_that_is_emptied_and_begins_elsewhere), T(clean_ends_and_starts), T(clean_ends_and_starts_with_a_flush_that_comes_late),
    T(an_index_below_the_recovery_point_that_is_written_anew), T(the_same_index_with_a_flush_that_comes_late),
    T(a_log_that_moves_to_another_directory_and_back), T(new_logs_get_to_the_disk_behind_the_answer),
    T(what_comes_first_to_a_new_log_may_be_something_else_than_a_record), T(an_old_hole_between_segments_costs_no_records))
