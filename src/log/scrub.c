/* SPDX-License-Identifier: Apache-2.0
 *
 * log/scrub.c - see scrub.h.
 *
 * STATES     pass (names of all logs, in order) -> log (by name; found again at each turn) -> segment (a struct walk of verify_*.c and a
 *            struct batch_scan over a descriptor of its own).
 * INVARIANTS
 *   (1) Between turns no log, segment or file of a log is referenced: only names, numbers and our own open file.
 *   (2) Bytes may change under us only where a log is cut, and then its segment is no more what it was: at each turn, and before anything is
 *       told, the segment must still be closed and of the same size.
 *   (3) Every byte read counts, those of indexes and of the second look, too.  What a large batch takes above the rate is waited for after it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "log/inspect_int.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"
#include "log/scrub.h"

enum {
	SCRUB_WINDOW = 131072,		/* one read */
	LOGS_PER_TURN = 1000,		/* without anything to read in them */
	PASS_MS = 10000,		/* from the beginning of a pass to that of the next, at least */
	AGAIN_MS = 3600000,		/* until what was told is told again */
	TOLD_MAX = 1000			/* findings remembered as told; what is beyond them is told in each pass */
};

struct log_name {
	char   *topic;
	int32_t partition;
};

struct scrubber {
	struct log_dirs *ld;
	struct log_env	*env;
	uint64_t	 rate;
	int64_t		 allowance;	/* bytes; below zero: owed */
	int64_t		 last_ms;	/* of the last turn; -1 */
	_Atomic bool	 stopping;
	/* the pass */
	struct log_name *logs;
	uint32_t	 nlogs, next, left;
	int64_t		 began_ms;
	bool		 first;
	uint64_t	 read, found;	/* in this pass */
	/* what was told, so that a small broker does not say the same every PASS_MS */
	uint64_t	 told[TOLD_MAX];	/* hashes, unordered */
	uint32_t	 ntold;
	int64_t		 told_ms;	/* when they began to be gathered; -1 */
	int64_t		 said_ms;	/* when a pass was last reported; -1 */
	uint64_t	 said_found;
	/* the log */
	struct log_name	 at;		/* borrowed; topic NULL: none */
	int64_t		 done;		/* the base of its last segment looked at */
	/* the segment */
	bool		 open;
	bool		 again;		/* the second look */
	char		*dir;
	struct file	*file;
	struct batch_scan scan;
	struct walk	 walk;
	struct log_report report;
};

/* ---- the segment ---- */

/* What is still to be said of the indexes; the rows themselves nobody wants. */
static void
end_indexes(struct scrubber *s)
{
	struct log_segment_report unused = { 0 };

	indexes_end(&s->walk, &unused);
	segment_report_fini(&unused);
}

static void
segment_close(struct scrubber *s)
{
	if (!s->open)
		return;
	batch_scan_fini(&s->scan);
	s->report.cut_offset = 0;		/* nothing more is said of the indexes */
	end_indexes(s);
	log_findings_fini(&s->report.findings);
	file_unref(&s->file);
	free(s->walk.path);
	producer_state_free(&s->walk.producers);
	free(s->dir);
	s->dir = NULL;
	s->open = false;
}

static void
count(struct scrubber *s, uint64_t bytes)
{
	s->allowance -= (int64_t)bytes;
	s->read += bytes;
	metric_add(s->env->metrics, METRIC_scrubbed_bytes_total, (int64_t)bytes);
}

/* Whether this was told within AGAIN_MS; it has been, from now on. */
static bool
told_before(struct scrubber *s, const char *path, uint64_t what, int64_t offset)
{
	uint64_t h = hash_mix(hash_bytes(what, path, strlen(path)), (uint64_t)offset + 1);

	for (uint32_t i = 0; i < s->ntold; i++)
		if (s->told[i] == h)
			return (true);
	if (s->ntold < TOLD_MAX)
		s->told[s->ntold++] = h;
	return (false);
}

static void
tell(struct scrubber *s, const struct log_finding *f)
{
	char where[40] = "";

	if (f->position >= 0)		/* of indexes the words say it */
		snprintf(where, sizeof(where), "position %" PRId64 ", ", f->position);
	s->found++;
	metric_add(s->env->metrics, METRIC_scrub_damage_total, 1);
	if (told_before(s, f->path, (uint64_t)f->rule + 1, f->offset))
		return;
	diag_error(s->env->diag, "scrub", "%s: %soffset %" PRId64 ": %s (%s: %s).  Nothing was changed.  Stop the broker and run ottla log repair on %s, or let "
	    "this replica be made anew from another one", f->path, where, f->offset, f->words, log_rule_code(f->rule), log_rule_text(f->rule), s->dir);
}

static void
tell_unreadable(struct scrubber *s, const char *why)
{
	s->found++;
	metric_add(s->env->metrics, METRIC_scrub_damage_total, 1);
	if (told_before(s, s->walk.path, 0, s->walk.base))
		return;
	diag_error(s->env->diag, "scrub", "segment %020" PRId64 " cannot be read: %s.  Nothing was changed.  Look at the disk before somebody asks for these "
	    "records: then the directory goes offline", s->walk.base, why);
}

static enum err
segment_begin(struct scrubber *s, const struct segment *seg, int64_t limit, struct errbuf *eb)
{
	struct walk *w = &s->walk;
	enum err e;

	s->report = (struct log_report)LOG_REPORT_INIT;
	s->dir = xstrdup(seg->dir);
	*w = (struct walk){ .fs = s->env->fs, .dir = s->dir, .report = &s->report, .base = seg->base, .next = seg->base, .limit = limit, .strict = true };
	w->path = segment_path(s->dir, seg->base, SUFFIX_DATA);
	w->producers = producer_state_new(INT64_MAX);
	s->open = true;
	e = file_open(s->env->fs, w->path, FS_RDONLY, &s->file, eb);
	if (e == OK)
		file_advise(s->file, FS_ADVISE_RANDOM, 0, 0);
	batch_scan_init(&s->scan, s->file, 0, seg->size, NULL, SCRUB_WINDOW);
	s->scan.forget = true;
	if (e == OK)
		e = indexes_begin(w, eb);
	count(s, (uint64_t)w->offsets.rows.n * OFFSET_ENTRY + (uint64_t)w->times.rows.n * TIME_ENTRY + (uint64_t)w->txns.rows.n * TXN_ENTRY);
	return (e);
}

static void
take_marker(struct walk *w, const struct batch_header *h, struct slice whole)
{
	struct producer_batch_facts f;

	if (batch_is_control(h) && producer_facts(h, whole, &f, NULL) == OK && f.marker)
		indexes_marker(w, h, &f, NULL);
}

static void
take_batch(struct scrubber *s, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct walk *w = &s->walk;

	if (batch_verify_outside(w, h, whole, at)) {
		if (s->report.cut_offset < 0) {
			indexes_batch(w, h, at);
			take_marker(w, h, whole);
		}
		w->next = h->last_offset + 1;
	} else if (s->report.cut_offset < 0)
		s->report.cut_offset = w->next;
}

/* One batch.  ERR_NOTFOUND: the segment is through. */
static enum err
segment_step(struct scrubber *s, struct errbuf *eb)
{
	struct batch_header h;
	struct slice whole;
	uint64_t at;
	enum err e = batch_scan_whole(&s->scan, &h, &whole, &at, eb);

	if (e == OK) {
		count(s, h.size);
		take_batch(s, &h, whole, at);
	} else if (e == ERR_CORRUPT) {
		finding_add(&s->report.findings, LOG_RULE_FRAMING, true, s->walk.path, s->walk.next, (int64_t)s->scan.pos, "no whole batch begins here");
		s->report.cut_offset = s->walk.next;
		e = ERR_NOTFOUND;
	}
	return (e);
}

/* ---- the log ---- */

/* The first closed segment above `done`; referenced with its list. */
static const struct segment *
next_segment(const struct segment_list *l, int64_t done, int64_t *limit)
{
	for (uint32_t i = 0; i + 1 < l->n; i++)
		if (l->segments[i]->base > done && !l->segments[i]->active) {
			*limit = l->segments[i + 1]->base;
			return (l->segments[i]);
		}
	return (NULL);
}

/* (2) */
static bool
is_as_it_was(const struct scrubber *s, const struct segment_list *l)
{
	int64_t limit;
	const struct segment *seg = next_segment(l, s->walk.base - 1, &limit);

	return (seg != NULL && seg->base == s->walk.base && limit == s->walk.limit && seg->size == s->scan.end && strcmp(seg->dir, s->dir) == 0);
}

static struct segment_list *
hold(struct scrubber *s)
{
	struct log *log = log_dirs_find(s->ld, s->at.topic, s->at.partition);
	struct segment_list *l = log == NULL || log_is_offline(log) ? NULL : log_hold_segments(log);

	log_unref(&log);
	return (l);
}

static void
begin_next(struct scrubber *s, const struct segment_list *l)
{
	struct errbuf why = ERRBUF_INIT;
	int64_t limit;
	const struct segment *seg = next_segment(l, s->again ? s->done - 1 : s->done, &limit);
	enum err e;

	if (seg == NULL) {
		s->at.topic = NULL;
		s->again = false;
		return;
	}
	s->again = s->again && seg->base == s->done;
	s->done = seg->base;
	e = segment_begin(s, seg, limit, &why);
	if (e != OK && e != ERR_NOENT)		/* NOENT: taken away meanwhile */
		tell_unreadable(s, why.text);
	if (e != OK) {
		s->again = false;
		segment_close(s);
	}
}

static void
segment_through(struct scrubber *s, const struct segment_list *l)
{
	struct log_findings *fs = &s->report.findings;
	bool suspicious;

	end_indexes(s);
	suspicious = fs->violations > 0;
	for (uint32_t i = 0; i < fs->n && s->again && is_as_it_was(s, l); i++)
		tell(s, &fs->v[i]);
	s->again = suspicious && !s->again;
	segment_close(s);
}

/* Batches while the allowance lasts. */
static void
read_on(struct scrubber *s, const struct segment_list *l)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e = OK;

	while (e == OK && s->allowance > 0 && !s->stopping)
		e = segment_step(s, &why);
	if (e == OK)
		return;
	if (e == ERR_NOTFOUND) {
		segment_through(s, l);
		return;
	}
	tell_unreadable(s, why.text);
	s->again = false;
	segment_close(s);
}

static void
leave_if_changed(struct scrubber *s, const struct segment_list *l)
{
	if (!s->open || (l != NULL && is_as_it_was(s, l)))
		return;
	s->again = false;
	segment_close(s);
}

/* Also while bytes are owed: a deleted file takes room on the disk as long as we have it open. */
static void
leave_what_is_gone(struct scrubber *s)
{
	struct segment_list *l = s->open ? hold(s) : NULL;

	leave_if_changed(s, l);
	if (l != NULL)
		segment_list_free(l);
}

static void
log_turn(struct scrubber *s)
{
	struct segment_list *l = hold(s);

	leave_if_changed(s, l);
	if (l == NULL)
		s->at.topic = NULL;
	else if (s->open)
		read_on(s, l);
	else
		begin_next(s, l);
	if (l != NULL)
		segment_list_free(l);
}

/* ---- the pass ---- */

static int
name_cmp(const void *a, const void *b)
{
	const struct log_name *x = a, *y = b;
	int c = strcmp(x->topic, y->topic);

	return (c != 0 ? c : (x->partition > y->partition) - (x->partition < y->partition));
}

static void
names_free(struct scrubber *s)
{
	for (uint32_t i = 0; i < s->nlogs; i++)
		free(s->logs[i].topic);
	free(s->logs);
	s->logs = NULL;
	s->nlogs = s->left = 0;
}

static void
pass_begin(struct scrubber *s, int64_t now_ms)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(s->ld, NULL, &n);

	names_free(s);
	s->logs = xcalloc((size_t)n + 1, sizeof(*s->logs));
	for (uint32_t i = 0; i < n; i++)
		if (!logs[i]->future)
			s->logs[s->nlogs++] = (struct log_name){ xstrdup(logs[i]->topic), logs[i]->partition };
	log_dirs_release(logs, n);
	if (s->nlogs > 0)
		qsort(s->logs, s->nlogs, sizeof(*s->logs), name_cmp);
	s->next = s->first && s->nlogs > 0 ? (uint32_t)random_below(s->env->random, s->nlogs) : 0;
	s->first = false;
	s->left = s->nlogs;
	s->began_ms = now_ms;
	s->read = s->found = 0;
	if (s->told_ms < 0 || now_ms - s->told_ms >= AGAIN_MS) {
		s->ntold = 0;
		s->told_ms = now_ms;
	}
}

/* The first pass, one with another result, and one an hour. */
static void
pass_end(struct scrubber *s)
{
	int64_t now = clock_mono_ms(s->env->clock);

	metric_add(s->env->metrics, METRIC_scrub_passes_total, 1);
	if (s->read > 0 && (s->said_ms < 0 || s->found != s->said_found || now - s->said_ms >= AGAIN_MS)) {
		diag_info(s->env->diag, "scrub", "all closed segments were read: %" PRIu64 " bytes, %" PRIu64 " findings", s->read, s->found);
		s->said_ms = now;
		s->said_found = s->found;
	}
	names_free(s);
}

static void
next_log(struct scrubber *s)
{
	s->at = s->logs[s->next];
	s->next = (s->next + 1) % s->nlogs;
	s->left--;
	s->done = -1;
}

void
scrubber_turn(struct scrubber *s)
{
	int64_t now = clock_mono_ms(s->env->clock), passed = s->last_ms < 0 ? 0 : MIN(now - s->last_ms, INT64_C(1000));

	s->last_ms = now;
	s->allowance = MIN(s->allowance + (int64_t)(s->rate * (uint64_t)passed / 1000), (int64_t)s->rate);
	leave_what_is_gone(s);
	for (unsigned logs = 0; s->allowance > 0 && !s->stopping && logs < LOGS_PER_TURN;) {
		if (s->at.topic != NULL)
			log_turn(s);
		else if (s->left > 0) {
			next_log(s);
			logs++;
		} else if (s->logs != NULL)
			pass_end(s);
		else if (s->began_ms < 0 || now - s->began_ms >= PASS_MS)
			pass_begin(s, now);
		else
			break;
	}
}

void
scrubber_stop(struct scrubber *s)
{
	s->stopping = true;
}

struct scrubber *
scrubber_new(struct log_dirs *ld, uint64_t bytes_per_second)
{
	struct scrubber *s = xcalloc(1, sizeof(*s));

	s->ld = ld;
	s->env = &ld->env;
	s->rate = bytes_per_second;
	s->last_ms = s->began_ms = s->told_ms = s->said_ms = -1;
	s->first = true;
	return (s);
}

void
scrubber_free(struct scrubber **sp)
{
	struct scrubber *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	segment_close(s);
	names_free(s);
	free(s);
}
