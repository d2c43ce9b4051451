/* SPDX-License-Identifier: Apache-2.0
 *
 * log/retain.c - taking away the oldest segments: by start offset, size and time, as Kafka's retention does.
 *
 * A segment goes when the high watermark has passed it and a rule says so; always from the oldest on, without gaps.  When all go, a new empty
 * one is begun first.
 *   1. the start offset rises to the first one left (log_retain_begin, for every log of a directory)
 *   2. it is written to log-start-offset-checkpoint (once for all of them)
 *   3. the list without the others is published, their files are renamed to .deleted, to be unlinked after file.delete.delay.ms; readers that hold
 *	one go on reading.  The directory is synced; until then the row stays in the checkpoint
 *
 * CRASH   After 2 the new start holds, whichever names have come back: a segment below it, whole or in parts, is deleted again.  Without 2 the
 *         first of two could come back without the second, and the log would begin with a hole; and records that were deleted for good once
 *         (DeleteRecords, and its checkpoint) would be there again.  On a full disk 2 is left out: room is made first.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/log_int.h"
#include "log/names_int.h"

static const char *const suffixes[] = { SUFFIX_DATA, SUFFIX_INDEX, SUFFIX_TIME, SUFFIX_TXN };

enum err
log_doom_segment(struct log *log, struct segment *s, struct errbuf *eb)
{
	int64_t now = clock_wall_ms(log->env->clock);
	enum err e = segment_mark_deleted(s, eb);

	for (size_t i = 0; i < NELEM(suffixes); i++) {
		char *path = segment_path(log->path, s->base, suffixes[i]);
		struct doomed *d = xcalloc(1, sizeof(*d));

		d->path = xasprintf("%s%s", path, SUFFIX_DELETED);
		lock_acquire(&log->lock);
		d->due_ms = now + log->options.file_delete_delay_ms;
		STAILQ_INSERT_TAIL(&log->doomed, d, link);
		lock_release(&log->lock);
		free(path);
	}
	return (e);
}

enum err
log_remove_segments(struct log *log, uint32_t from, uint32_t n, struct errbuf *eb)
{
	struct segment_list *l = log_hold_segments(log);
	struct segment **kept = xreallocarray(NULL, l->n, sizeof(*kept));
	uint32_t nkept = 0;
	enum err e = OK;

	must(n < l->n && from + n <= l->n);
	for (uint32_t i = 0; i < l->n; i++)
		if (i < from || i >= from + n)
			kept[nkept++] = l->segments[i];
	log_publish_segments(log, kept, nkept);
	for (uint32_t i = from; i < from + n && e == OK; i++) {
		e = log_doom_segment(log, l->segments[i], eb);
		if (e == OK)
			e = snapshots_remove(log, l->segments[i]->base, true, eb);
	}
	metric_add(log->env->metrics, METRIC_segments_deleted_total, n);
	free(kept);
	segment_list_free(l);
	return (e);
}

/* ---- the rules ---- */

struct rules {
	struct log_options options;
	int64_t now_ms, start;
	int64_t excess;			/* bytes above retention.bytes that are left to delete; set by first_kept */
};

static bool
breaches_start(const struct rules *r, const struct segment *next)
{
	return (next != NULL && next->base <= r->start);
}

static bool
breaches_size(struct rules *r, const struct segment *s)
{
	if (r->options.retention_bytes < 0 || r->excess < (int64_t)s->size)
		return (false);
	r->excess -= s->size;
	return (true);
}

static bool
breaches_time(const struct rules *r, struct segment *s)
{
	int64_t ts;

	if (r->options.retention_ms < 0)
		return (false);
	ts = segment_max_timestamp(s, NULL);
	if (segment_check_disk(s, NULL) != OK)	/* the next read takes the directory offline; nobody has to lose records before */
		return (false);
	if (ts < 0)
		ts = segment_mtime_ms(s);
	return (r->now_ms - ts > r->options.retention_ms);
}

enum rule { RULE_START, RULE_SIZE, RULE_TIME };

static bool
breaches(struct rules *r, enum rule rule, struct segment *s, const struct segment *next)
{
	switch (rule) {
	case RULE_START:
		return (breaches_start(r, next));
	case RULE_SIZE:
		return (breaches_size(r, s));
	case RULE_TIME:
		return (breaches_time(r, s));
	}
	unreachable("retention rule");
}

/* From the nth on; the number of the first that stays. */
static uint32_t
first_kept(struct log *log, struct rules *r, enum rule rule, uint32_t n)
{
	const struct segment_list *l = log->segments;

	r->excess = (int64_t)log_size(log) - MAX(r->options.retention_bytes, 0);	/* below 0 there is no such rule; any number is allowed */
	for (uint32_t i = 0; i < n; i++)
		r->excess -= l->segments[i]->size;
	for (; n < l->n; n++) {
		struct segment *s = l->segments[n], *next = n + 1 < l->n ? l->segments[n + 1] : NULL;
		int64_t upper = next != NULL ? next->base : log->tail_end;

		if (log->high_watermark < upper || (next == NULL && s->size == 0) || !breaches(r, rule, s, next))
			break;
	}
	return (n);
}

static uint32_t
apply_rules(struct log *log, struct rules *r)
{
	uint32_t n = first_kept(log, r, RULE_START, 0);

	if (r->options.cleanup_delete)
		n = first_kept(log, r, RULE_SIZE, n);
	return (r->options.cleanup_delete ? first_kept(log, r, RULE_TIME, n) : n);
}

/* Owner. */
static enum err
raise_start(struct log *log, struct errbuf *eb)
{
	struct rules r = { .now_ms = clock_wall_ms(log->env->clock), .start = log->start };
	enum err e = OK;
	uint32_t n;

	lock_acquire(&log->lock);
	r.options = log->options;
	lock_release(&log->lock);
	n = apply_rules(log, &r);
	if (n > 0 && n == log->segments->n)
		e = log_roll_to(log, log->tail_end, eb);
	if (n == 0 || e != OK)
		return (e);
	lock_acquire(&log->lock);
	log_raise_start_locked(log, log->segments->segments[n]->base);
	lock_release(&log->lock);
	return (OK);
}

/* Owner. */
static enum err
remove_below(struct log *log, int64_t start, uint32_t *deleted, struct errbuf *eb)
{
	const struct segment_list *l = log->segments;
	uint32_t n = 0;
	enum err e;

	while (n + 1 < l->n && l->segments[n + 1]->base <= start)
		n++;
	if (n == 0)
		return (OK);
	*deleted = n;
	log->removals++;
	e = log_remove_segments(log, 0, n, eb);
	log->removals++;		/* a sync that began in between does not count */
	return (e == OK ? log_sync_removals(log, eb) : e);
}

static enum err
own_open(struct log *log)
{
	bool open;

	if (log->dir->offline)
		return (ERR_OFFLINE);
	log_own(log);
	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	if (open)
		return (OK);
	log_disown(log);
	return (ERR_CLOSED);
}

static enum err
finish(struct log *log, enum err e, const struct errbuf *eb)
{
	log_disown(log);
	if (e != OK && e != ERR_OFFLINE && e != ERR_NOSPACE)
		(void)log_fail(log, "retention", e, eb);
	return (e);
}

enum err
log_retain_begin(struct log *log, struct errbuf *eb)
{
	enum err e = own_open(log);

	if (e != OK)
		return (e == ERR_CLOSED ? OK : e);
	return (finish(log, raise_start(log, eb), eb));
}

bool
log_has_below_start(struct log *log)
{
	struct segment_list *l = log_hold_segments(log);
	bool has = l->n > 1 && l->segments[1]->base <= log->start;

	segment_list_free(l);
	return (has);
}

enum err
log_retain(struct log *log, uint32_t *deleted, struct errbuf *eb)
{
	enum err e = log_retain_begin(log, eb);
	int64_t start;

	*deleted = 0;
	if (e != OK || !log_has_below_start(log))
		return (e);
	e = log_dirs_store_start(log, &start, eb);
	if (e == OK)
		e = own_open(log);
	if (e != OK)
		return (e == ERR_CLOSED ? OK : e);
	return (finish(log, remove_below(log, start, deleted, eb), eb));
}

/* ---- files whose delay has passed ---- */

static struct doomed *
next_due(struct log *log, int64_t now_ms)
{
	struct doomed *d;

	lock_acquire(&log->lock);
	d = STAILQ_FIRST(&log->doomed);
	if (d != NULL && d->due_ms <= now_ms)
		STAILQ_REMOVE_HEAD(&log->doomed, link);
	else
		d = NULL;
	lock_release(&log->lock);
	return (d);
}

enum err
log_delete_due_files(struct log *log, struct errbuf *eb)
{
	int64_t now = clock_wall_ms(log->env->clock);
	struct doomed *d;
	enum err e = OK;

	if (log->dir->offline)
		return (ERR_OFFLINE);
	while (e == OK && (d = next_due(log, now)) != NULL) {
		e = log->env->fs->ops->unlink(log->env->fs, d->path, eb);
		if (e == ERR_NOENT)
			e = OK;
		free(d->path);
		free(d);
	}
	if (e != OK)
		(void)log_fail(log, "removing deleted files", e, eb);
	return (e);
}
