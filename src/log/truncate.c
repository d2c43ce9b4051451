/* SPDX-License-Identifier: Apache-2.0
 *
 * log/truncate.c - dropping the end of a log (a follower that diverged), or all of it.
 *
 * ORDER  under ownership and the right to flush:
 *   1. about_to_truncate: connections with queued ranges above the cut are closed
 *   2. the published end, high watermark and recovery point go down: no new reader gets anything above the cut; the recovery point on the disk, too,
 *	before any file is touched: whoever starts on what a crash leaves of this must not believe the segments above it
 *   3. readers that looked before are waited for (what they took, they hold by reference); not by base/reclaim, whose grace period
 *      would wait for threads that wait for this log
 *   4. whole segments above go (renamed to .deleted), the one that holds the cut is cut (segment_truncate), the list is published
 *   5. snapshots above go; the cut and all removals are synced: later batches have other epochs, and the old ones must not come back below them
 *   6. epochs, producers follow
 * CRASH  A truncation that was not finished is repeated by replica/ after the restart: it decides the cut from leader epochs; data above the
 *        cut that is still there is well-formed and diverges as before.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/log_int.h"

static void
lower_published(struct log *log, int64_t end)
{
	struct tail t = log_tail(log);

	lock_acquire(&log->lock);
	t.end = end;
	log_publish_tail(log, t);
	log->high_watermark = MIN((int64_t)log->high_watermark, end);
	log->recovery_point = MIN((int64_t)log->recovery_point, end);
	log->settled = MIN((int64_t)log->settled, end);
	log->named = -1;
	lock_release(&log->lock);
	log_wait_for_readers(log);
}

/* Takes ownership and the right to flush; ERR_OFFLINE, ERR_CLOSED. */
static enum err
begin(struct log *log, int64_t offset)
{
	bool open;

	if (log->dir->offline)
		return (ERR_OFFLINE);
	if (log->env->events.about_to_truncate != NULL)
		log->env->events.about_to_truncate(log->env->events.ctx, log, offset);
	log_own(log);
	log_flush_begin(log);
	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	if (open)
		return (OK);
	log_flush_end(log);
	log_disown(log);
	return (ERR_CLOSED);
}

static enum err
finish(struct log *log, enum err e, const char *doing, struct errbuf *eb)
{
	log_flush_end(log);
	log_disown(log);
	if (e != OK && e != ERR_CLOSED)	/* CLOSED: it is being deleted, and that is nothing the disk did */
		(void)log_fail(log, doing, e, eb);
	return (e);
}

/* Segments from `keep` on go; keep >= 1. */
static enum err
drop_above(struct log *log, uint32_t keep, struct errbuf *eb)
{
	uint32_t n = log->segments->n - keep;

	return (n == 0 ? OK : log_remove_segments(log, keep, n, eb));
}

static enum err
cut_last(struct log *log, int64_t offset, struct errbuf *eb)
{
	struct segment_list *l = log_hold_segments(log);
	struct segment *s = l->segments[l->n - 1];
	struct segment_options so;
	enum err e;

	log_segment_options(log, &so);
	e = segment_truncate(&s, offset, &so, eb);
	l->segments[l->n - 1] = s;	/* another object when it was copied; the list's reference went with it */
	if (e == OK) {
		log_publish_segments(log, l->segments, l->n);
		log_publish_tail(log, (struct tail){ offset, s->base, s->size });
	}
	segment_list_free(l);
	return (e);
}

static enum err
cut_state(struct log *log, int64_t offset, struct errbuf *eb)
{
	struct segment_list *l = log_hold_segments(log);
	enum err e = OK;

	for (uint32_t i = log->nsnapshots; i-- > 0 && e == OK;)
		if (log->snapshots[i] > offset)
			e = snapshots_remove(log, log->snapshots[i], false, eb);
	if (e == OK)
		e = log->env->fs->ops->sync(l->segments[l->n - 1]->data, eb);
	if (e == OK)
		e = log->env->fs->ops->sync_dir(log->env->fs, log->path, eb);
	lock_acquire(&log->lock);
	log->epochs_version += epoch_cache_truncate_from_end(&log->epochs, offset);
	lock_release(&log->lock);
	if (e == OK)
		e = log_store_epochs(log, eb);
	if (e == OK)
		e = log_rebuild_producers(log, l->segments, l->n, log->start, offset, false, eb);
	segment_list_free(l);
	return (e);
}

enum err
log_truncate_to(struct log *log, int64_t offset, struct errbuf *eb)
{
	uint32_t keep = 0;
	enum err e;

	must(offset >= 0);
	if (offset >= log->tail_end)
		return (OK);
	if (offset < reclaim_read(&log->segments)->segments[0]->base)	/* not owned yet: a roll may publish another list */
		return (log_truncate_fully_and_start_at(log, offset, eb));
	e = begin(log, offset);
	if (e != OK)
		return (e);
	diag_info(log->env->diag, "log", "%s-%" PRId32 ": truncated from %" PRId64 " to %" PRId64, log->topic, log->partition, (int64_t)log->tail_end, offset);
	lower_published(log, offset);
	while (keep < log->segments->n && log->segments->segments[keep]->base <= offset)
		keep++;
	e = log_dirs_lower_recovery_point(log, offset, eb);
	if (e == OK)
		e = drop_above(log, MAX(keep, 1u), eb);
	if (e == OK)
		e = cut_last(log, offset, eb);
	if (e == OK)
		e = cut_state(log, offset, eb);
	return (finish(log, e, "truncating", eb));
}

/* ---- all of it ---- */

static enum err
begin_anew(struct log *log, int64_t offset, struct errbuf *eb)
{
	struct segment_list *old = log_hold_segments(log);
	struct segment *fresh = NULL;
	struct segment_options so;
	enum err e = OK;

	/* Old files first: one of them may have the new one's name. */
	for (uint32_t i = 0; i < old->n && e == OK; i++)
		e = log_doom_segment(log, old->segments[i], eb);
	log_segment_options(log, &so);
	if (e == OK)
		e = segment_create(log->path, offset, &so, &fresh, eb);
	if (e == OK) {
		log_publish_segments(log, &fresh, 1);
		log_publish_tail(log, (struct tail){ offset, offset, 0 });
	}
	segment_unref(&fresh);
	segment_list_free(old);
	return (e);
}

static enum err
forget_state(struct log *log, int64_t offset, struct errbuf *eb)
{
	enum err e = OK;

	while (log->nsnapshots > 0 && e == OK)
		e = snapshots_remove(log, log->snapshots[log->nsnapshots - 1], false, eb);
	if (e == OK)
		e = log->env->fs->ops->sync_dir(log->env->fs, log->path, eb);
	lock_acquire(&log->lock);
	log->start = offset;
	log->high_watermark = offset;
	log->recovery_point = MIN((int64_t)log->recovery_point, offset);
	epoch_cache_clear(&log->epochs);
	log->epochs_version++;
	producer_state_clear(log->producers);
	producer_state_set_end(log->producers, offset);
	log_update_first_unstable(log);
	lock_release(&log->lock);
	return (e == OK ? log_store_epochs(log, eb) : e);
}

enum err
log_truncate_fully_and_start_at(struct log *log, int64_t offset, struct errbuf *eb)
{
	enum err e = begin(log, MIN(offset, (int64_t)log->start));

	must(offset >= 0);
	if (e != OK)
		return (e);
	diag_info(log->env->diag, "log", "%s-%" PRId32 ": emptied, begins at %" PRId64, log->topic, log->partition, offset);
	lower_published(log, MIN(offset, (int64_t)log->start));
	e = log_establish(log, eb);
	if (e == OK)
		e = log_dirs_lower_recovery_point(log, log->recovery_point, eb);
	if (e == OK)
		e = begin_anew(log, offset, eb);
	if (e == OK)
		e = forget_state(log, offset, eb);
	return (finish(log, e, "truncating", eb));
}
