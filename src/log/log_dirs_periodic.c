/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs_periodic.c - what a scheduler calls on workers: checkpoints, retention, flushes, removal of what was deleted.
 *
 * A checkpoint file holds one row per log of its directory and is written as a whole.  One writer per directory at a time: a delete and the
 * schedule may meet.  A write that fails takes the directory offline, unless it found no room: the older file is true enough (a recovery
 * point or start offset too low costs work, a high watermark too low is raised again), and a full disk must be able to serve and delete.  What it
 * says of logs that are gone must not meet a new log of their name: log_dirs_create looks at `behind`.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "log/log_dirs_int.h"
#include "log/names_int.h"

typedef bool offset_fn(struct log_dirs *, struct dir *, struct log *, int64_t *offset);

static void
gather(struct log_dirs *ld, struct dir *d, offset_fn *offset_of, struct checkpoint *cp)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, d, &n);
	int64_t offset;

	for (uint32_t i = 0; i < n; i++)
		if (offset_of(ld, d, logs[i], &offset))
			checkpoint_add(cp, logs[i]->topic, logs[i]->partition, offset);
	log_dirs_release(logs, n);
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

/* Who began later has looked later: an older look never replaces a newer file. */
static void
write_checkpoint(struct log_dirs *ld, struct dir *d, const char *name, enum dir_file which, offset_fn *offset_of)
{
	char *path = path_join(d->base.path, name);
	struct checkpoint cp = CHECKPOINT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	uint64_t turn = ++d->turn;
	enum err e = OK;

	if (dir_is_online(d)) {
		gather(ld, d, offset_of, &cp);
		lock_acquire(&d->checkpoints);
		if (turn > d->written[which]) {
			e = note_room(ld, d, which, checkpoint_write(ld->env.fs, path, &cp, &eb), &eb);
			d->written[which] = turn;
		}
		lock_release(&d->checkpoints);
		checkpoint_fini(&cp);
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
	*offset = log->recovery_point;
	return (true);
}

/* Only where it says more than the first segment's name does. */
static bool
start_of(struct log_dirs *ld, struct dir *d, struct log *log, int64_t *offset)
{
	struct segment_list *l = log_hold_segments(log);
	int64_t base = l->segments[0]->base;

	(void)ld;
	(void)d;
	segment_list_free(l);
	*offset = log->start;
	return (*offset > base);
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

void
log_dirs_checkpoint_recovery_points(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		dir_checkpoint_recovery(ld, &ld->dirs[i]);
}

static void
each_log(struct log_dirs *ld, void (*fn)(struct log *))
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, NULL, &n);

	for (uint32_t i = 0; i < n; i++)
		if (!log_is_offline(logs[i]))
			fn(logs[i]);
	log_dirs_release(logs, n);
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

void
log_dirs_checkpoint_start_offsets(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		dir_checkpoint_starts(ld, &ld->dirs[i]);
	each_log(ld, store_epochs);
}

void
log_dirs_checkpoint_high_watermarks(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		dir_checkpoint_marks(ld, &ld->dirs[i]);
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

void
log_dirs_retain(struct log_dirs *ld)
{
	each_log(ld, retain);
}

static void
flush_due(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;
	int64_t flush_ms;

	lock_acquire(&log->lock);
	flush_ms = log->options.flush_ms;
	lock_release(&log->lock);
	if (flush_ms == INT64_MAX || log->recovery_point >= log->tail_end ||
	    clock_wall_ms(log->env->clock) - log->last_flush_ms < flush_ms)
		return;
	(void)!log_flush(log, &eb);	/* an error has taken the directory offline */
}

void
log_dirs_flush_due(struct log_dirs *ld)
{
	each_log(ld, flush_due);
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
log_dirs_expire_producers(struct log_dirs *ld)
{
	each_log(ld, expire);
}

static void
delete_files(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;

	(void)!log_delete_due_files(log, &eb);	/* as above */
}

static struct deletion *
next_due(struct log_dirs *ld, int64_t now_ms)
{
	struct deletion *del;

	lock_acquire(&ld->lock);
	del = STAILQ_FIRST(&ld->deletions);
	if (del != NULL && del->due_ms <= now_ms)
		STAILQ_REMOVE_HEAD(&ld->deletions, link);
	else
		del = NULL;
	lock_release(&ld->lock);
	return (del);
}

void
log_dirs_delete_due(struct log_dirs *ld)
{
	int64_t now = clock_wall_ms(ld->env.clock);
	struct deletion *del;

	each_log(ld, delete_files);
	while ((del = next_due(ld, now)) != NULL) {
		struct errbuf eb = ERRBUF_INIT;
		enum err e = dir_is_online(del->dir) ? fs_remove_tree(ld->env.fs, del->path, &eb) : OK;

		if (e != OK)
			log_dir_fail(&del->dir->base, eb.text);
		free(del->path);
		free(del);
	}
}
