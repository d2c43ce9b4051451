/* SPDX-License-Identifier: Apache-2.0
 *
 * log/retain.c - taking away the oldest segments: by start offset, size and time, as Kafka's retention does.
 *
 * A segment goes when the high watermark has passed it and a rule says so; always from the oldest on, without gaps.  When all go, a new empty
 * one is begun first.  Then the list without them is published, their files are renamed to .deleted and unlinked after
 * file.delete.delay.ms; readers that hold one go on reading.  The start offset rises to the first one left.
 *
 * CRASH   Nothing is synced: after a crash a segment may stand under its old name again and is simply taken up again (or deleted
 *         again); one whose files were partly renamed lacks its data file and its indexes are removed as orphans.
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
	int64_t excess;			/* bytes above retention.bytes that are left to delete */
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

static uint32_t
count_deletable(struct log *log, struct rules *r, enum rule rule)
{
	const struct segment_list *l = log->segments;
	uint32_t n;

	for (n = 0; n < l->n; n++) {
		struct segment *s = l->segments[n], *next = n + 1 < l->n ? l->segments[n + 1] : NULL;
		int64_t upper = next != NULL ? next->base : log->tail_end;

		if (log->high_watermark < upper || (next == NULL && s->size == 0) || !breaches(r, rule, s, next))
			break;
	}
	return (n);
}

static enum err
apply_rule(struct log *log, struct rules *r, enum rule rule, uint32_t *deleted, struct errbuf *eb)
{
	uint32_t n;
	enum err e = OK;

	r->start = log->start;
	r->excess = (int64_t)log_size(log) - r->options.retention_bytes;
	n = count_deletable(log, r, rule);
	if (n > 0 && n == log->segments->n)
		e = log_roll_to(log, log->tail_end, eb);
	if (n == 0 || e != OK)
		return (e);
	e = log_remove_segments(log, 0, n, eb);
	*deleted += n;
	lock_acquire(&log->lock);
	log_raise_start_locked(log, log->segments->segments[0]->base);
	lock_release(&log->lock);
	return (e);
}

enum err
log_retain(struct log *log, uint32_t *deleted, struct errbuf *eb)
{
	struct rules r = { .now_ms = clock_wall_ms(log->env->clock) };
	enum err e;

	*deleted = 0;
	if (log->dir->offline)
		return (ERR_OFFLINE);
	log_own(log);
	lock_acquire(&log->lock);
	r.options = log->options;
	e = log->state == LOG_OPEN ? OK : ERR_CLOSED;
	lock_release(&log->lock);
	if (e == OK)
		e = apply_rule(log, &r, RULE_START, deleted, eb);
	if (e == OK && r.options.cleanup_delete)
		e = apply_rule(log, &r, RULE_SIZE, deleted, eb);
	if (e == OK && r.options.cleanup_delete)
		e = apply_rule(log, &r, RULE_TIME, deleted, eb);
	log_disown(log);
	if (e != OK && e != ERR_CLOSED && e != ERR_OFFLINE && e != ERR_NOSPACE)
		(void)log_fail(log, "retention", e, eb);
	return (e == ERR_CLOSED ? OK : e);
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
