/* SPDX-License-Identifier: Apache-2.0
 *
 * log/settle.c - group commit (ottla.produce.sync.enable): nothing is acknowledged or shown to consumers before it is on the disk.
 *
 * SETTLED  log_settled_offset: what is below it survives a loss of power.  replica/ lets the high watermark go no further, and acknowledges acks=1 from
 *          there (acks=all waits for the high watermark).  Without group commit it is the end offset, and nothing here runs.
 *
 * THE SYNC By a thread of the directory, under the log's right to flush.  A set that was written asks for it; the first that asks starts it, those
 *          that are written while it waits for a thread are in it, those that come while it runs are in the next: one sync per log answers
 *          for all that was written before it.  Several logs are synced side by side, by as many threads as a directory has for this: that is what makes
 *          a file system put them into one commit of its journal.  Where a sync takes less than two milliseconds, only half as many as there are
 *          processors (one at least, eight at most) run at once in a directory (turn_take): the others gather records meanwhile, and the loops get
 *          their share.  It is enough to sync the data (and, once per segment, its name): indexes, snapshots
 *          and the transaction index are rebuilt from the data at and past the recovery point, which stays where it is.
 *
 * INVARIANTS
 *   (1) settled and recovery point are at most the end; both go down before a truncation touches files, and only under the right to flush.
 *   (2) The end is read before the list of segments: every byte below that end is in a file of the list.  A segment whose end was settled
 *       before is not synced again; one that has an unsettled offset is, whether it is the active one or not.
 *   (3) No two syncs of one file run side by side: the kernel tells a lost page to one of them only, and the other would believe its own success.
 *   (4) A failed sync takes the directory offline before the right to flush is given up.  Settled stays: what waits is never acknowledged.
 *
 * IF IT DIES HERE  Nobody was told.  What is below settled is found by the walk from the recovery point at the next start; what is above may be.
 *          After a start settled is the recovery point; becoming leader asks for a sync of the rest.
 */
#include <stdatomic.h>

#include "log/log_int.h"

int64_t
log_settled_offset(const struct log *log)
{
	int64_t settled = log->settled, rp = log->recovery_point;

	return (log->env->sync_appends ? MAX(settled, rp) : log->tail_end);
}

static enum err
sync_data(struct log *log, const struct segment_list *l, int64_t from, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = 0; i < l->n && e == OK; i++) {
		if (i + 1 < l->n && l->segments[i + 1]->base <= from)
			continue;
		e = log->env->fs->ops->sync(l->segments[i]->data, eb);
		metric_add(log->env->metrics, METRIC_commit_syncs_total, 1);
	}
	return (e);
}

static enum err
sync_name(struct log *log, int64_t base, struct errbuf *eb)
{
	enum err e;

	if (base <= log->named)
		return (OK);
	e = log_sync_removals(log, eb);
	if (e == OK)
		log->named = base;
	return (e);
}

/* Under the right to flush. */
static enum err
settle(struct log *log, struct errbuf *eb)
{
	int64_t end = log->tail_end, from = log_settled_offset(log);	/* (2) */
	struct segment_list *l;
	enum err e;

	if (end <= from)
		return (OK);
	l = log_hold_segments(log);
	e = sync_data(log, l, from, eb);
	if (e == OK)
		e = sync_name(log, l->segments[l->n - 1]->base, eb);
	segment_list_free(l);
	if (e == OK)
		log->settled = end;
	else
		(void)log_fail(log, "syncing what was appended", e, eb);
	return (e);
}

/* Who waits longer than its patience goes all the same: a slow disk takes all at once, and what hangs there holds nobody up. */
static void
turn_take(struct turns *t)
{
	struct timespec deadline;
	bool told;

	lock_acquire(&t->lock);
	if (t->running < t->max) {
		t->running++;
	} else {
		deadline = condition_deadline(t->patience_ms);
		t->waiting++;
		do	/* again when another has taken what was passed on */
			told = condition_wait_until(&t->left, &t->lock, &deadline);
		while (told && t->passed_on == 0);
		t->waiting--;
		if (t->passed_on > 0)
			t->passed_on--;
		else
			t->running++;
	}
	lock_release(&t->lock);
}

/* To one that waits, if any: not to whoever comes first, who may be the same again. */
static void
turn_leave(struct turns *t)
{
	lock_acquire(&t->lock);
	if (t->waiting > t->passed_on && t->running <= t->max) {
		t->passed_on++;
		condition_signal(&t->left);
	} else
		t->running--;
	lock_release(&t->lock);
}

/* The turn comes behind the right to flush: it is for who syncs, not for who waits. */
static bool
begin(struct log *log)
{
	bool open;

	log_flush_begin(log);
	turn_take(&log->dir->turns);
	lock_acquire(&log->lock);
	log->settle_scheduled = false;		/* whoever writes from now on asks again */
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	return (open && !log->dir->offline);
}

static void
settle_job(struct job *j)
{
	struct log *log = CONTAINER_OF(j, struct log, settle_job);
	struct errbuf eb = ERRBUF_INIT;
	bool settled;

	settled = begin(log) && settle(log, &eb) == OK;
	turn_leave(&log->dir->turns);
	log_flush_end(log);
	if (settled && log->env->events.end_offset_moved != NULL)
		log->env->events.end_offset_moved(log->env->events.ctx, log);
	log_unref(&log);
}

/* One thread at a time for a log (the key): the others are for other logs. */
void
log_settle_later(struct log *log)
{
	struct workers *committer = log->dir->committer != NULL ? log->dir->committer : log->env->workers;
	bool submit;

	if (!log->env->sync_appends || log_settled_offset(log) >= log->tail_end)
		return;
	lock_acquire(&log->lock);
	submit = !log->settle_scheduled && log->state == LOG_OPEN;
	log->settle_scheduled |= submit;
	lock_release(&log->lock);
	if (!submit)
		return;
	(void)log_ref(log);
	log->settle_job = (struct job){ .run = settle_job, .key = &log->settle_job };
	if (committer != NULL)
		workers_submit(committer, &log->settle_job);
	else
		settle_job(&log->settle_job);
}
