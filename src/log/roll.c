/* SPDX-License-Identifier: Apache-2.0
 *
 * log/roll.c - a new segment, what makes old ones durable, and producer snapshots.
 *
 * ROLL   (by the owner, on whatever thread appends; no syncs)
 *   1. the new segment's files are made
 *   2. <new base>.snapshot is written
 *   3. the old one is sealed: last time index entry, the entries that wait in memory are written, data and indexes trimmed
 *   4. the new list and tail are published; a flush is given to a worker
 *   1 to 3 fail for want of space: the new files are removed again and the old segment goes on (sealing makes it inactive last; a snapshot
 *   at the end offset is true and may stay).  2 or 3 fail otherwise: directory offline.
 * FLUSH  (by a worker, under the right to flush)
 *   the directory, for the names; then, of each segment not yet below the recovery point, oldest first, the snapshot at its base, data, offset index, time
 *   index, transaction index, and the snapshot at its end.  The recovery point moves with each: a broker that is killed again and again before a
 *   long flush is over must not begin from the same place every time.  Of an active segment, whose owner may be appending, index entries that wait in
 *   memory stay there: what is stored of the point does not pass it, so its indexes are not believed (log_recovery_point_to_store).
 *   A sync that fails is never repeated: the directory goes offline.
 *   What a recovery has read is flushed like that as soon as everything is loaded, and then the recovery points are written: else logs that
 *   nobody appends to would be recovered by each start after a crash.
 * CRASH  Before 4 the log is the old one, with perhaps an empty newer segment: the loader takes it as the active one (its base is the end).
 *        After 4 and before the flush ends, the recovery point is still below: recovery walks both.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log_int.h"
#include "log/names_int.h"

/* ---- the list of snapshot files ---- */

bool
snapshots_find(const struct log *log, int64_t offset)
{
	for (uint32_t i = 0; i < log->nsnapshots; i++)
		if (log->snapshots[i] == offset)
			return (true);
	return (false);
}

void
snapshots_add(struct log *log, int64_t offset)
{
	uint32_t at = log->nsnapshots;

	if (snapshots_find(log, offset))
		return;
	log->snapshots = xreallocarray(log->snapshots, log->nsnapshots + 1, sizeof(*log->snapshots));
	while (at > 0 && log->snapshots[at - 1] > offset) {
		log->snapshots[at] = log->snapshots[at - 1];
		at--;
	}
	log->snapshots[at] = offset;
	log->nsnapshots++;
}

static void
doom_file(struct log *log, char *path)
{
	struct doomed *d = xcalloc(1, sizeof(*d));

	d->path = path;
	lock_acquire(&log->lock);
	d->due_ms = clock_wall_ms(log->env->clock) + log->options.file_delete_delay_ms;
	STAILQ_INSERT_TAIL(&log->doomed, d, link);
	lock_release(&log->lock);
}

enum err
snapshots_remove(struct log *log, int64_t offset, bool later, struct errbuf *eb)
{
	char *path = segment_path(log->path, offset, SUFFIX_SNAPSHOT), *to;
	uint32_t kept = 0;
	enum err e;

	for (uint32_t i = 0; i < log->nsnapshots; i++)
		if (log->snapshots[i] != offset)
			log->snapshots[kept++] = log->snapshots[i];
	log->nsnapshots = kept;
	if (later) {
		to = xasprintf("%s%s", path, SUFFIX_DELETED);
		e = log->env->fs->ops->rename(log->env->fs, path, to, eb);
		if (e == OK)
			doom_file(log, to);
		else
			free(to);
	} else
		e = log->env->fs->ops->unlink(log->env->fs, path, eb);
	free(path);
	return (e == ERR_NOENT ? OK : e);
}

static enum err
write_snapshot(struct fs *fs, const char *path, const uint8_t *bytes, size_t len, struct errbuf *eb)
{
	struct file *f = NULL;
	enum err e = file_open(fs, path, FS_RDWR | FS_CREATE | FS_TRUNC, &f, eb);

	if (e == OK)
		e = file_pwrite(f, bytes, len, 0, eb);
	if (f != NULL && e != OK)
		(void)fs->ops->unlink(fs, path, NULL);
	file_unref(&f);
	return (e);
}

/* As Kafka: none when nothing came since the last one. */
enum err
log_snapshot_of(struct log *log, struct producer_state *ps, bool sync, struct errbuf *eb)
{
	int64_t last = log->nsnapshots > 0 ? log->snapshots[log->nsnapshots - 1] : (int64_t)log->start, end;
	uint8_t *bytes = NULL;
	size_t len = 0;
	char *path;
	enum err e;

	lock_acquire(&log->lock);
	end = producer_state_end(ps);
	if (end > last)
		producer_state_encode(ps, &bytes, &len);
	lock_release(&log->lock);
	if (bytes == NULL)
		return (OK);
	path = segment_path(log->path, end, SUFFIX_SNAPSHOT);
	if (sync)	/* whole or not at all: it may stand below the recovery point */
		e = fs_replace_file(log->env->fs, path, slice_of(bytes, len), eb);
	else
		e = write_snapshot(log->env->fs, path, bytes, len, eb);
	if (e == OK)
		snapshots_add(log, end);
	free(bytes);
	free(path);
	return (e);
}

enum err
log_snapshot(struct log *log, bool sync, struct errbuf *eb)
{
	return (log_snapshot_of(log, log->producers, sync, eb));
}

enum err
log_sync_snapshot(struct log *log, int64_t offset, struct errbuf *eb)
{
	char *path = segment_path(log->path, offset, SUFFIX_SNAPSHOT);
	struct file *f = NULL;
	enum err e = file_open(log->env->fs, path, FS_RDWR, &f, eb);

	if (e == OK)
		e = log->env->fs->ops->sync(f, eb);
	file_unref(&f);
	free(path);
	return (e == ERR_NOENT ? OK : e);
}

/* What has lost its name before is gone for good afterwards. */
enum err
log_sync_removals(struct log *log, struct errbuf *eb)
{
	uint64_t before = log->removals;
	enum err e = log->env->fs->ops->sync_dir(log->env->fs, log->path, eb);

	if (e == OK)
		log->removals_synced = before;
	return (e);
}

/* ---- flush ---- */

static void
raise_recovery_point(struct log *log, int64_t to)
{
	int64_t rp = log->recovery_point;

	while (rp < to && !atomic_compare_exchange_strong(&log->recovery_point, &rp, to))
		;
}

static enum err
flush_segment(struct log *log, struct segment *s, bool active, struct errbuf *eb)
{
	bool sealed = !s->active;
	enum err e = log_sync_snapshot(log, s->base, eb);

	if (e == OK)
		e = segment_sync(s, eb);
	if (e == OK && sealed)		/* sealed before the sync began */
		s->unsynced = false;
	if (e == OK && !active)
		open_indexes_forget(s);
	return (e);
}

/* Which of a list a flush is for. */
struct flush {
	const struct segment_list *l;
	int64_t from, up_to;		/* the recovery point before; after */
	bool	active_too;
	int64_t snapshot;		/* the newest one that is on the disk */
};

static bool
flush_takes(const struct flush *fl, uint32_t i)
{
	bool active = i + 1 == fl->l->n;
	struct segment *s = fl->l->segments[i];

	if (active)
		return (fl->active_too && s->base <= fl->up_to);
	return (s->base <= fl->up_to && (fl->l->segments[i + 1]->base > fl->from || s->unsynced));
}

static bool
flush_needs_names(const struct flush *fl)
{
	bool needs = fl->active_too;

	for (uint32_t i = 0; i + 1 < fl->l->n && !needs; i++)
		needs = flush_takes(fl, i);
	return (needs);
}

/* All below the base of the next one is on the disk now. */
static enum err
flush_step(struct log *log, struct flush *fl, uint32_t i, struct errbuf *eb)
{
	int64_t next = i + 1 < fl->l->n ? MIN(fl->l->segments[i + 1]->base, fl->up_to) : fl->up_to;
	enum err e = flush_segment(log, fl->l->segments[i], i + 1 == fl->l->n && fl->l->segments[i]->active, eb);

	if (e == OK)
		e = log_sync_snapshot(log, next, eb);
	if (e == OK)
		raise_recovery_point(log, next);
	fl->snapshot = next;
	return (e);
}

enum err
log_flush_to(struct log *log, int64_t up_to, bool active_too, struct errbuf *eb)
{
	struct segment_list *l;
	struct flush fl = { .from = log->recovery_point, .up_to = up_to, .active_too = active_too, .snapshot = -1 };
	enum err e = OK;

	if (log->dir->offline)
		return (ERR_OFFLINE);
	fl.l = l = log_hold_segments(log);
	if (!segment_is_made(l->segments[l->n - 1])) {	/* a new log: there is nothing of it */
		segment_list_free(l);
		return (OK);
	}
	if (flush_needs_names(&fl))
		e = log_sync_removals(log, eb);
	for (uint32_t i = 0; i < l->n && e == OK; i++)
		if (flush_takes(&fl, i))
			e = flush_step(log, &fl, i, eb);
	if (e == OK && fl.snapshot != up_to)
		e = log_sync_snapshot(log, up_to, eb);
	segment_list_free(l);
	if (e == OK) {
		raise_recovery_point(log, up_to);
		log->last_flush_ms = clock_wall_ms(log->env->clock);
	} else	/* before anybody else may sync: the kernel reports a lost page once, and a second sync would succeed */
		(void)log_fail(log, "flushing", e, eb);
	return (e);
}

static bool
is_open(struct log *log)
{
	bool open;

	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	return (open && !log->dir->offline);
}

enum err
log_flush(struct log *log, struct errbuf *eb)
{
	enum err e = ERR_OFFLINE;

	log_flush_begin(log);
	if (is_open(log))
		e = log_flush_to(log, log->tail_end, true, eb);
	log_flush_end(log);
	return (e);
}

static void
flush_job(struct job *j)
{
	struct log *log = CONTAINER_OF(j, struct log, flush_job);
	struct errbuf eb = ERRBUF_INIT;
	bool all, recovered;

	lock_acquire(&log->lock);
	log->flush_scheduled = false;
	all = log->flush_all;
	recovered = log->flush_recovered;
	log->flush_all = log->flush_recovered = false;
	lock_release(&log->lock);
	log_flush_begin(log);
	if (is_open(log))	/* an error has taken the directory offline */
		(void)!log_flush_to(log, all ? log->tail_end : log->tail_base, all, &eb);
	log_flush_end(log);
	if (recovered)
		log_dirs_note_flushed(log);
	log_unref(&log);
}

/* By the threads of its directory; where there are none, one at a time of it by the common ones: all would be held by a disk that hangs. */
static void
flush_later(struct log *log, bool all, bool recovered)
{
	struct workers *syncer;
	bool submit;

	lock_acquire(&log->lock);
	submit = !log->flush_scheduled;
	log->flush_scheduled = true;
	log->flush_all |= all;
	log->flush_recovered |= recovered;
	lock_release(&log->lock);
	if (!submit)
		return;
	(void)log_ref(log);
	log->flush_job = (struct job){ .run = flush_job, .key = log->dir->syncer != NULL ? NULL : &log->dir->flushes };
	syncer = log->dir->syncer != NULL ? log->dir->syncer : log->env->workers;
	if (syncer != NULL)
		workers_submit(syncer, &log->flush_job);
	else
		flush_job(&log->flush_job);
}

void
log_flush_later(struct log *log, bool all)
{
	flush_later(log, all, false);
}

void
log_flush_recovered(struct log *log)
{
	flush_later(log, false, true);
}

/* ---- roll ---- */

static void
publish_with(struct log *log, struct segment *fresh)
{
	struct segment_list *l = log->segments;
	struct segment **segs = xreallocarray(NULL, l->n + 1, sizeof(*segs));

	memcpy(segs, l->segments, l->n * sizeof(*segs));
	segs[l->n] = fresh;
	log_publish_segments(log, segs, l->n + 1);
	log_publish_tail(log, (struct tail){ log->tail_end, fresh->base, 0 });
	free(segs);
}

static enum err
snapshot_at(struct log *log, int64_t base, struct errbuf *eb)
{
	lock_acquire(&log->lock);
	producer_state_set_end(log->producers, base);
	lock_release(&log->lock);
	return (log_snapshot(log, false, eb));
}

enum err
log_roll_to(struct log *log, int64_t base, struct errbuf *eb)
{
	struct segment *active = log_active(log), *fresh = NULL;
	struct segment_options so;
	enum err e;

	if (active->size == 0 && active->base >= base)
		return (OK);		/* as good as new */
	log_segment_options(log, &so);
	e = segment_create(log->path, base, &so, &fresh, eb);
	if (e != OK)
		return (e);
	e = snapshot_at(log, base, eb);
	if (e == OK)
		e = segment_seal(active, eb);
	if (e == ERR_NOSPACE && segment_unlink(fresh, "", NULL) == OK) {
		segment_unref(&fresh);
		return (ERR_NOSPACE);
	}
	if (e != OK) {
		segment_unref(&fresh);
		(void)log_fail(log, "closing a segment", e, eb);
		return (ERR_OFFLINE);
	}
	publish_with(log, fresh);
	segment_unref(&fresh);
	metric_add(log->env->metrics, METRIC_segments_rolled_total, 1);
	log_flush_later(log, false);
	return (OK);
}

enum err
log_roll(struct log *log, struct errbuf *eb)
{
	enum err e;

	if (log->dir->offline)
		return (ERR_OFFLINE);
	log_own(log);
	e = log_roll_to(log, log->tail_end, eb);
	log_disown(log);
	if (e != OK && e != ERR_OFFLINE && e != ERR_NOSPACE)
		(void)log_fail(log, "beginning a new segment", e, eb);
	return (e);
}
