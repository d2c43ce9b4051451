/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs_periodic.c - what a scheduler calls on workers: checkpoints, retention, flushes, removal of what was deleted.
 *
 * Each directory that has a thread for it has its own turns, one after the other; while one waits for a disk, later ones of its kind are left out, and
 * the other directories have theirs.  With one directory, and in simulations, the caller does it all.
 *
 * A checkpoint file holds one row per log of its directory and is written as a whole.  One writer per directory at a time: a delete and the
 * schedule may meet.  A write that fails takes the directory offline, unless it found no room: the older file is true enough (a recovery
 * point or start offset too low costs work, a high watermark too low is raised again), and a full disk must be able to serve and delete.  What it
 * says of logs that are gone must not meet a new log of their name: log_dirs_create looks at `behind`.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"
#include "log/scrub.h"

/* ---- recovery points on the disk ---- */

/* The last offset at which s may not be believed: its end is where the next segment will begin. */
static int64_t
limit_of(const struct segment_list *l, uint32_t i, int64_t end)
{
	if (i + 1 < l->n)
		end = l->segments[i + 1]->base;
	return (MAX(end - 1, l->segments[i]->base));
}

int64_t
log_recovery_point_to_store(struct log *log)
{
	int64_t rp = log->recovery_point;	/* first: it never passes what the list below shows as synced */
	struct segment_list *l;
	struct tail t;

	for (;;) {
		t = log_tail(log);
		l = log_hold_segments(log);
		if (l->segments[l->n - 1]->base == t.base || log->dir->offline)
			break;			/* the disk of a truncation failed between the two: they stay apart */
		segment_list_free(l);		/* rolled meanwhile */
	}
	for (uint32_t i = 0; i < l->n; i++)
		if (l->segments[i]->active || l->segments[i]->unsynced) {
			rp = MIN(rp, limit_of(l, i, t.end));
			break;
		}
	segment_list_free(l);
	return (rp);
}

typedef bool offset_fn(struct log_dirs *, struct dir *, struct log *, int64_t *offset);

struct look {			/* at the logs of a directory */
	struct log **logs;
	int64_t	    *offsets;
	bool	    *rows;	/* this one gets a row */
	uint32_t     n;
};

static void
look_at_logs(struct log_dirs *ld, struct dir *d, offset_fn *offset_of, struct look *k)
{
	k->logs = log_dirs_hold_rows(ld, d, &k->n);
	k->offsets = xcalloc((size_t)k->n + 1, sizeof(*k->offsets));
	k->rows = xcalloc((size_t)k->n + 1, sizeof(*k->rows));
	for (uint32_t i = 0; i < k->n; i++)
		k->rows[i] = offset_of(ld, d, k->logs[i], &k->offsets[i]);
}

static void
look_fini(struct look *k)
{
	log_dirs_release(k->logs, k->n);
	free(k->offsets);
	free(k->rows);
}

/* Under checkpoints.  A recovery point that was lowered meanwhile must not be written higher: who lowers it comes here next, and may find that
 * there is nothing to do. */
static void
fill_checkpoint(const struct look *k, enum dir_file which, struct checkpoint *cp)
{
	for (uint32_t i = 0; i < k->n; i++) {
		if (which == DIR_RECOVERY)
			k->offsets[i] = MIN(k->offsets[i], (int64_t)k->logs[i]->recovery_point);
		if (k->rows[i])
			checkpoint_add(cp, k->logs[i]->topic, k->logs[i]->partition, k->offsets[i]);
	}
}

/* Under checkpoints. */
static void
note_stored(const struct look *k, enum dir_file which)
{
	for (uint32_t i = 0; i < k->n; i++) {
		if (which == DIR_RECOVERY)
			k->logs[i]->stored_recovery_point = k->offsets[i];
		if (which == DIR_STARTS)
			k->logs[i]->stored_start = MAX(k->offsets[i], (int64_t)k->logs[i]->stored_start);
	}
}

/* Under checkpoints. */
static enum err
note_room(struct log_dirs *ld, struct dir *d, enum dir_file which, enum err e, const struct errbuf *eb)
{
	if (e == ERR_NOSPACE && !d->behind[which])
		diag_error(ld->env.diag, "log", "%s: make room, or give the topics less retention; the file stays as it is until there is some", eb->text);
	d->behind[which] = e == ERR_NOSPACE;
	return (e == ERR_NOSPACE ? OK : e);
}

/* Asked after a look: it may have found the table empty. */
static bool
is_ending(struct log_dirs *ld)
{
	bool ending;

	lock_acquire(&ld->lock);
	ending = ld->ending;
	lock_release(&ld->lock);
	return (ending);
}

/* Who began later has looked later: an older look never replaces a newer file. */
static void
write_checkpoint(struct log_dirs *ld, struct dir *d, const char *name, enum dir_file which, offset_fn *offset_of)
{
	char *path = path_join(d->base.path, name);
	struct checkpoint cp = CHECKPOINT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	uint64_t turn = ++d->turn;
	bool blind;
	struct look k;
	enum err e = OK;

	if (dir_is_online(d)) {
		look_at_logs(ld, d, offset_of, &k);
		blind = is_ending(ld);
		lock_acquire(&d->checkpoints);
		if (turn > d->written[which] && !blind) {
			fill_checkpoint(&k, which, &cp);
			e = note_room(ld, d, which, checkpoint_write(ld->env.fs, path, &cp, &eb), &eb);
			if (e == OK && !d->behind[which])
				note_stored(&k, which);
			d->written[which] = turn;
		}
		lock_release(&d->checkpoints);
		checkpoint_fini(&cp);
		look_fini(&k);
	}
	if (e != OK)
		log_dir_fail(&d->base, eb.text);
	free(path);
}

static bool
recovery_of(struct log_dirs *ld, struct dir *d, struct log *log, int64_t *offset)
{
	(void)ld;
	(void)d;
	*offset = log_recovery_point_to_store(log);
	return (true);
}

/* Only where it says more than the first segment's name does, or as long as names below it might come back. */
static bool
start_of(struct log_dirs *ld, struct dir *d, struct log *log, int64_t *offset)
{
	struct segment_list *l = log_hold_segments(log);
	int64_t base = l->segments[0]->base;

	(void)ld;
	(void)d;
	segment_list_free(l);
	*offset = log->start;
	return (*offset > base || (log->removals != log->removals_synced && *offset > 0));
}

/* A log that got no role in this run keeps what was stored. */
static bool
mark_of(struct log_dirs *ld, struct dir *d, struct log *log, int64_t *offset)
{
	const struct checkpoint_entry *row;
	bool has_role;

	(void)ld;
	lock_acquire(&log->lock);
	has_role = log->has_role;
	lock_release(&log->lock);
	*offset = log->high_watermark;
	if (has_role)
		return (true);
	row = checkpoint_find(&d->marks, log->topic, log->partition);
	if (row != NULL)
		*offset = __atomic_load_n(&row->offset, __ATOMIC_RELAXED);
	return (row != NULL);
}

void
dir_checkpoint_recovery(struct log_dirs *ld, struct dir *d)
{
	write_checkpoint(ld, d, "recovery-point-offset-checkpoint", DIR_RECOVERY, recovery_of);
}

void
dir_checkpoint_starts(struct log_dirs *ld, struct dir *d)
{
	write_checkpoint(ld, d, "log-start-offset-checkpoint", DIR_STARTS, start_of);
}

void
dir_checkpoint_marks(struct log_dirs *ld, struct dir *d)
{
	write_checkpoint(ld, d, "replication-offset-checkpoint", DIR_MARKS, mark_of);
}

/* Under checkpoints: what was read of the file is written again, with this row lowered. */
static enum err
lower_row(struct log_dirs *ld, struct dir *d, struct log *log, int64_t to, struct errbuf *eb)
{
	const struct checkpoint_entry *row = checkpoint_find(&d->recovery, log->topic, log->partition);
	char *path = path_join(d->base.path, "recovery-point-offset-checkpoint");
	enum err e = OK;

	if (row != NULL && row->offset > to) {
		__atomic_store_n(&d->recovery.entries[row - d->recovery.entries].offset, to, __ATOMIC_RELAXED);
		e = checkpoint_write(ld->env.fs, path, &d->recovery, eb);
	}
	free(path);
	if (e == OK)
		log->stored_recovery_point = MIN((int64_t)log->stored_recovery_point, to);
	return (e);
}

enum err
log_dirs_lower_recovery_point(struct log *log, int64_t to, struct errbuf *eb)
{
	struct log_dirs *ld = CONTAINER_OF(log->env, struct log_dirs, env);
	struct dir *d = CONTAINER_OF(log->dir, struct dir, base);
	bool low;
	enum err e = OK;

	lock_acquire(&d->checkpoints);
	low = log->stored_recovery_point <= to;
	if (!low && !d->loaded) {
		e = lower_row(ld, d, log, to, eb);
		low = true;
	}
	lock_release(&d->checkpoints);
	if (low)
		return (e);
	must(log->recovery_point <= to);
	dir_checkpoint_recovery(ld, d);
	if (!dir_is_online(d))
		return (ERR_OFFLINE);
	if (log->stored_recovery_point <= to)
		return (OK);
	if (!log_dirs_holds(ld, log)) {		/* no look sees it; who took it out waits for its owner, and then renames it */
		errbuf_set(eb, "%s is being deleted", log->path);
		return (ERR_CLOSED);
	}
	errbuf_set(eb, "%s: no room for the checkpoint of recovery points", d->base.path);
	return (ERR_NOSPACE);
}

void
log_dirs_note_flushed(struct log *log)
{
	if (--log->dir->recovered == 0)
		dir_checkpoint_recovery(CONTAINER_OF(log->env, struct log_dirs, env), CONTAINER_OF(log->dir, struct dir, base));
}

enum err
log_dirs_store_start(struct log *log, int64_t *start, struct errbuf *eb)
{
	struct log_dirs *ld = CONTAINER_OF(log->env, struct log_dirs, env);
	struct dir *d = CONTAINER_OF(log->dir, struct dir, base);

	*start = log->start;
	if (log->stored_start < *start)
		dir_checkpoint_starts(ld, d);
	if (!d->behind[DIR_STARTS])
		*start = log->stored_start;
	if (dir_is_online(d))
		return (OK);
	errbuf_set(eb, "%s is offline", d->base.path);
	return (ERR_OFFLINE);
}

/* ---- turns ---- */

static void
turn_run(struct job *job)
{
	struct upkeep_turn *t = CONTAINER_OF(job, struct upkeep_turn, job);

	t->run(t->ld, t->dir);
	t->busy = false;
}

static void
turn_of(struct log_dirs *ld, struct dir *d, enum upkeep kind, void (*run)(struct log_dirs *, struct dir *))
{
	struct upkeep_turn *t = &d->upkeep[kind];

	if (d->base.keeper == NULL) {
		run(ld, d);
		return;
	}
	if (atomic_exchange(&t->busy, true))
		return;
	t->job = (struct job){ .run = turn_run };
	t->ld = ld;
	t->dir = d;
	t->run = run;
	workers_submit(d->base.keeper, &t->job);
}

static void
each_dir(struct log_dirs *ld, enum upkeep kind, void (*run)(struct log_dirs *, struct dir *))
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		turn_of(ld, &ld->dirs[i], kind, run);
}

/* only: NULL = of every directory */
static void
each_log(struct log_dirs *ld, const struct dir *only, void (*fn)(struct log *))
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, only, &n);

	for (uint32_t i = 0; i < n; i++)
		if (!log_is_offline(logs[i]))
			fn(logs[i]);
	log_dirs_release(logs, n);
}

void
log_dirs_checkpoint_recovery_points(struct log_dirs *ld)
{
	each_dir(ld, UPKEEP_RECOVERY, dir_checkpoint_recovery);
}

static void
store_epochs(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;
	bool open;
	enum err e;

	log_own(log);		/* its directory must not be renamed meanwhile */
	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	e = open ? log_store_epochs(log, &eb) : OK;
	log_disown(log);
	if (e != OK && e != ERR_NOSPACE)	/* tried again next time: what is not stored yet only forgets epochs below the start */
		(void)log_fail(log, "writing leader-epoch-checkpoint", e, &eb);
}

static void
starts_and_epochs(struct log_dirs *ld, struct dir *d)
{
	dir_checkpoint_starts(ld, d);
	each_log(ld, d, store_epochs);
}

void
log_dirs_checkpoint_start_offsets(struct log_dirs *ld)
{
	each_dir(ld, UPKEEP_STARTS, starts_and_epochs);
}

void
log_dirs_checkpoint_high_watermarks(struct log_dirs *ld)
{
	each_dir(ld, UPKEEP_MARKS, dir_checkpoint_marks);
}

static void
retain(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;
	uint32_t deleted = 0;
	enum err e = log_retain(log, &deleted, &eb);

	if (e == ERR_NOSPACE)	/* no room for the new segment that would let all others go */
		diag_error(log->env->diag, "log", "%s-%" PRId32 ": retention: %s", log->topic, log->partition, eb.text);
	else if (deleted > 0)
		diag_info(log->env->diag, "log", "%s-%" PRId32 ": retention took %" PRIu32 " segments, the log starts at %" PRId64, log->topic,
		    log->partition, deleted, log_start_offset(log));
}

static void
begin_retain(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;

	(void)!log_retain_begin(log, &eb);	/* an error takes the directory offline; want of room is said by retain */
}

/* The starts of a whole directory are written at once: see retain.c. */
static bool
has_unstored_start(struct log_dirs *ld, const struct dir *d)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, d, &n);
	bool has = false;

	for (uint32_t i = 0; i < n && !has; i++)
		has = log_has_below_start(logs[i]) && logs[i]->stored_start < logs[i]->start;
	log_dirs_release(logs, n);
	return (has);
}

static void
retain_in(struct log_dirs *ld, struct dir *d)
{
	each_log(ld, d, begin_retain);
	if (has_unstored_start(ld, d))
		dir_checkpoint_starts(ld, d);
	each_log(ld, d, retain);
}

void
log_dirs_retain(struct log_dirs *ld)
{
	each_dir(ld, UPKEEP_RETAIN, retain_in);
}

static void
flush_due(struct log *log)
{
	int64_t flush_ms;

	lock_acquire(&log->lock);
	flush_ms = log->options.flush_ms;
	lock_release(&log->lock);
	if (flush_ms == INT64_MAX || log->recovery_point >= log->tail_end ||
	    clock_wall_ms(log->env->clock) - log->last_flush_ms < flush_ms)
		return;
	log_flush_later(log, true);	/* not here: the other directories need not wait for one that hangs */
}

void
log_dirs_flush_due(struct log_dirs *ld)
{
	each_log(ld, NULL, flush_due);
}

static void
expire(struct log *log)
{
	log_expire_producers(log);
}

void
log_dirs_set_recovery_threads(struct log_dirs *ld, uint32_t per_dir)
{
	ld->recovery_threads = per_dir;
}

void
log_dirs_scrub(struct log_dirs *ld)
{
	if (ld->scrubber != NULL)
		scrubber_turn(ld->scrubber);
}

void
log_dirs_stop_scrub(struct log_dirs *ld)
{
	if (ld->scrubber != NULL)
		scrubber_stop(ld->scrubber);
}

void
log_dirs_expire_producers(struct log_dirs *ld)
{
	each_log(ld, NULL, expire);
}

static void
delete_files(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;

	(void)!log_delete_due_files(log, &eb);	/* as above */
}

/* They stand in the order they were made in. */
static struct deletion *
next_due(struct log_dirs *ld, const struct dir *d, int64_t now_ms)
{
	struct deletion *del;

	lock_acquire(&ld->lock);
	STAILQ_FOREACH(del, &ld->deletions, link)
		if (del->dir == d)
			break;
	if (del != NULL && del->due_ms > now_ms)
		del = NULL;
	if (del != NULL)
		STAILQ_REMOVE(&ld->deletions, del, deletion, link);
	lock_release(&ld->lock);
	return (del);
}

static void
delete_due_in(struct log_dirs *ld, struct dir *d)
{
	int64_t now = clock_wall_ms(ld->env.clock);
	struct deletion *del;

	each_log(ld, d, delete_files);
	while ((del = next_due(ld, d, now)) != NULL) {
		struct errbuf eb = ERRBUF_INIT;
		enum err e = dir_is_online(del->dir) ? fs_remove_tree(ld->env.fs, del->path, &eb) : OK;

		if (e != OK)
			log_dir_fail(&del->dir->base, eb.text);
		free(del->path);
		free(del);
	}
}

void
log_dirs_delete_due(struct log_dirs *ld)
{
	each_dir(ld, UPKEEP_DELETE, delete_due_in);
}
