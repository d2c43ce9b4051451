/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs_move.c - a log moves to another of the log directories (Kafka's future log, KIP-113).
 *
 *   begin     <topic>-<partition>.<32 hex>-future is made in the other directory, a log of its own
 *   copy      batches from the current log, as a follower would fetch them; a bounded number of bytes a call.  First (align) what the future log
 *             has more than, or other than, the current one is cut off, by leader epochs
 *   swap      the rest is copied while the current log is owned, so that nothing is appended; then the names change, and the state of the current
 *             log (role, producers, epochs, high watermark, the sets that wait in its queue) goes over.  Whoever still has the old
 *             pointer and appends, or tells it a role, an epoch or options, is sent on to the new log
 *   retire    when nobody can be reading from the old log any more: <topic>-<partition>.<32 hex>-delete, removed after the delay.  Until then the
 *             old directory has the partition's name: no other log moves there, and a deletion takes it along, before the new one
 *   cancel    the future log becomes -delete instead
 *
 * IF IT DIES
 *   before the renaming         the current log stands, the future one is a -future directory that the next start goes on with.  Its directory's
 *                               recovery points cover all but its last segment by then: from the renaming on they are this log's.
 *   between renaming the new    two directories have the name.  The new one has a file `ottla.moved-from` that names the other; it was synced before
 *   one and retiring the old    the renaming.  Both hold everything up to the swap (the new log was flushed before it), and at most one of them was
 *                               appended to after it: the one that ends later is kept (the new one when they are equal), the other becomes -delete.
 *                               Java refuses such a pair, ours as its own, and asks the operator.  The old directory's checkpoints go on to tell
 *                               of the old log, which may be all that is left if the new directory is lost with the broker.
 *   after retiring              the file alone is left over; the next start removes it.
 *   A directory that fails is the same as a death as far as its files go: the other one serves on.
 *
 * ORDER OF LOCKS  The current log is owned before the future one; nobody waits in the other order.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"

enum {
	MOVE_CHUNK = 1 << 20,		/* bytes read and appended at once; one batch may be larger */
	MOVE_SWAP_BYTES = 4 << 20,	/* bytes copied while nobody can append */
	FUTURE_EPOCH = 0,		/* the role's, not the batches': this log has one writer */
	MARKER_BYTES_MAX = 8192,
};
#define MOVED_FROM	"ottla.moved-from"

/* ---- directories by name ---- */

struct dir *
dir_by_path(struct log_dirs *ld, const char *path)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		if (strcmp(ld->dirs[i].base.path, path) == 0)
			return (&ld->dirs[i]);
	return (NULL);
}

enum err
log_dirs_check_path(struct log_dirs *ld, const char *path)
{
	const struct dir *d = dir_by_path(ld, path);

	if (d == NULL)
		return (ERR_NOTFOUND);
	return (dir_is_online(d) ? OK : ERR_OFFLINE);
}

/* ---- begin ---- */

static char *
future_dir_name(struct log_dirs *ld, const char *topic, int32_t partition)
{
	char hex[33];

	uuid_hex(uuid_random(ld->env.random), hex);
	return (xasprintf("%s-%" PRId32 ".%s-future", topic, partition, hex));
}

static enum err
make_future(struct log_dirs *ld, struct dir *d, struct log *current, const struct log_options *o, struct log **out, struct errbuf *eb)
{
	char *name = future_dir_name(ld, current->topic, current->partition), *path = path_join(d->base.path, name);
	struct log *log = log_new(&ld->env, &d->base, current->topic, current->partition, path, o);
	enum err e;

	log->future = true;
	e = log_dirs_make_log(ld, d, log, log_topic_id(current), false, eb);
	if (e == OK)		/* nobody else knows it yet */
		e = log_establish(log, eb);
	free(name);
	free(path);
	if (e == OK)
		*out = log;
	else {
		log_unref(&log);
		if (e != ERR_NOSPACE)
			log_dir_fail(&d->base, eb != NULL ? eb->text : err_text(e));
	}
	return (e);
}

enum err
log_dirs_move_begin(struct log_dirs *ld, const char *topic, int32_t partition, const char *path, const struct log_options *o, struct log **out,
    struct errbuf *eb)
{
	struct dir *d = dir_by_path(ld, path);
	struct log *current, *future;
	enum err e = OK;

	*out = NULL;
	if (d == NULL)
		return (ERR_NOTFOUND);
	current = log_dirs_find(ld, topic, partition);
	future = log_dirs_find_future(ld, topic, partition);
	if (current == NULL)
		e = ERR_NOTFOUND;
	else if (current->dir == &d->base || future != NULL)
		e = ERR_EXISTS;
	else if (log_dirs_any_offline(ld)) {	/* it may hold a future log of this partition already */
		errbuf_set(eb, "%s-%" PRId32 " cannot be moved to %s while a log directory is offline", topic, partition, path);
		e = ERR_OFFLINE;
	} else if ((e = log_dirs_establish_now(current, eb)) == OK)	/* what is taken away later has to be there */
		e = make_future(ld, d, current, o, out, eb);
	if (e == OK)
		e = log_dirs_add(ld, d, *out, eb);
	if (e != OK)
		log_unref(out);
	log_unref(&current);
	log_unref(&future);
	return (e);
}

/* ---- copy ---- */

/* KIP-279: down to the largest prefix that both have. */
static enum err
align(struct log *current, struct log *future, struct errbuf *eb)
{
	enum err e = OK;

	while (e == OK && log_end_offset(future) > log_start_offset(future)) {
		int32_t mine = log_latest_epoch(future), theirs, again;
		int64_t end, mine_end;

		if (mine < 0) {		/* old formats have no epochs: what was committed */
			if (log_end_offset(future) > log_end_offset(current))
				e = log_truncate_to(future, log_high_watermark(current), eb);
			break;
		}
		log_end_of_epoch(current, mine, &theirs, &end);
		if (theirs < 0) {
			e = log_truncate_fully_and_start_at(future, log_start_offset(current), eb);
			break;
		}
		if (theirs == mine) {
			e = log_truncate_to(future, end, eb);
			break;
		}
		log_end_of_epoch(future, theirs, &again, &mine_end);
		e = log_truncate_to(future, again < 0 ? log_start_offset(future) : MIN(end, mine_end), eb);
		if (again == theirs)
			break;
	}
	return (e);
}

static enum err
append_chunk(struct log *future, uint8_t *bytes, uint32_t len, struct errbuf *eb)
{
	struct append_set s = { .records = bytes, .len = len, .origin = APPEND_REPLICATION, .leader_epoch = FUTURE_EPOCH };
	struct log_options o;

	/* A batch that was taken when segment.bytes was larger. */
	lock_acquire(&future->lock);
	o = future->options;
	lock_release(&future->lock);
	if (len > (uint32_t)o.segment_bytes) {
		o.segment_bytes = (int32_t)len;
		log_set_options(future, &o);
	}
	log_own(future);
	log_write_owned(future, &s);
	log_disown(future);
	if (s.result.error == KERR_NONE)
		return (OK);
	errbuf_set(eb, "%s: %s %s", future->path, kerr_name(s.result.error), s.result.message);
	if (future->dir->offline)
		return (ERR_OFFLINE);
	return (s.result.error == KERR_KAFKA_STORAGE_ERROR ? ERR_NOSPACE : s.result.error == KERR_NOT_LEADER_OR_FOLLOWER ? ERR_CLOSED : ERR_CORRUPT);
}

static enum err
copy_range(struct log *future, const struct log_read_result *r, struct errbuf *eb)
{
	uint32_t len = (uint32_t)r->range.len;
	uint8_t *bytes = xmalloc(len);
	enum err e = file_pread_full(r->range.file, bytes, len, r->range.pos, eb);

	if (e == OK)
		e = append_chunk(future, bytes, len, eb);
	free(bytes);
	return (e);
}

/* The future log's start and high watermark follow. */
static void
follow(struct log *current, struct log *future)
{
	log_set_high_watermark(future, MIN(log_high_watermark(current), log_end_offset(future)));
	log_raise_start_offset(future, log_start_offset(current));
}

/* The next batch holds offsets below the future log's end.  A cut took a part of it away: all of it goes.  Or the current log begins in the middle of
 * it (DeleteRecords), and so does the future log, which has nothing else: it begins with the batch then, until its start follows. */
static enum err
meet_batch(struct log *future, int64_t first_offset, struct errbuf *eb)
{
	if (first_offset >= log_start_offset(future))
		return (log_truncate_to(future, first_offset, eb));
	return (log_truncate_fully_and_start_at(future, first_offset, eb));
}

static enum err
copy_step(struct log *current, struct log *future, uint64_t bytes_max, uint64_t *copied, bool *caught_up, struct errbuf *eb)
{
	struct log_read_options o = { .offset = log_end_offset(future), .bytes_max = bytes_max, .min_one = true, .bound = LOG_BOUND_END };
	struct log_read_result r;
	enum kerr k;
	enum err e = OK;

	if (o.offset > log_end_offset(current))
		return (align(current, future, eb));
	if (o.offset < log_start_offset(current))	/* retention was faster */
		return (log_truncate_fully_and_start_at(future, log_start_offset(current), eb));
	k = log_read(current, &o, NULL, &r);
	if (k != KERR_NONE) {
		errbuf_set(eb, "%s: reading at %" PRId64 ": %s", current->path, o.offset, kerr_name(k));
		return (k == KERR_OFFSET_OUT_OF_RANGE ? OK : current->dir->offline ? ERR_OFFLINE : ERR_CORRUPT);
	}
	*caught_up = r.range.len == 0;
	if (r.range.len > 0 && r.first_offset >= 0 && r.first_offset < o.offset)
		e = meet_batch(future, r.first_offset, eb);
	if (r.range.len > 0 && e == OK) {
		e = copy_range(future, &r, eb);
		*copied += r.range.len;
	}
	log_read_result_fini(&r);
	return (e);
}

static void
give_role(struct log *future)
{
	struct log_role role = { .leader = false, .leader_epoch = FUTURE_EPOCH };

	log_set_role(future, &role);
}

enum err
log_dirs_move_align(struct log_dirs *ld, struct log *current, struct log *future, struct errbuf *eb)
{
	(void)ld;
	give_role(future);
	return (align(current, future, eb));
}

enum err
log_dirs_move_copy(struct log_dirs *ld, struct log *current, struct log *future, uint64_t bytes_max, uint64_t *copied, bool *caught_up,
    struct errbuf *eb)
{
	enum err e = OK;

	(void)ld;
	*copied = 0;
	*caught_up = false;
	while (e == OK && !*caught_up && *copied < bytes_max) {
		if (current->dir->offline)
			return (ERR_OFFLINE);
		e = copy_step(current, future, MIN(bytes_max - *copied, (uint64_t)MOVE_CHUNK), copied, caught_up, eb);
	}
	if (e == OK)
		follow(current, future);
	return (e);
}

/* ---- swap ---- */

/* The directory it is in knows what is flushed of it.  Under its name, and killed before the next checkpoint, it would be read from its beginning as if
 * it had never been flushed, and cut where a compaction once left a hole between two segments: so every segment but the last lies below the point. */
static enum err
store_point(struct log_dirs *ld, struct log *future, struct errbuf *eb)
{
	struct dir *d = CONTAINER_OF(future->dir, struct dir, base);

	if (future->stored_recovery_point < future->tail_base)
		dir_checkpoint_recovery(ld, d);
	if (!dir_is_online(d))
		return (ERR_OFFLINE);
	if (future->stored_recovery_point >= future->tail_base || !d->behind[DIR_RECOVERY])
		return (OK);
	errbuf_set(eb, "%s: no room for the checkpoint of recovery points", d->base.path);
	return (ERR_NOSPACE);
}

static enum err
write_marker(struct log_dirs *ld, const struct log *current, const struct log *future, struct errbuf *eb)
{
	char *path = path_join(future->path, MOVED_FROM);
	enum err e = fs_write_file_atomic(ld->env.fs, path, slice_str(current->path), eb);

	free(path);
	return (e);
}

/* Everything that remembers where the files of this log are.  Owner, with the right to flush; no reader yet. */
static void
new_path(struct log *log, char *to)
{
	char *old = log->path;
	struct doomed *d;

	for (uint32_t i = 0; i < log->segments->n; i++)
		segment_set_dir(log->segments->segments[i], to);
	lock_acquire(&log->lock);
	STAILQ_FOREACH(d, &log->doomed, link) {
		char *name = xstrdup(strrchr(d->path, '/') + 1);

		free(d->path);
		d->path = path_join(to, name);
		free(name);
	}
	log->path = to;
	lock_release(&log->lock);
	reclaim_defer(free, old);
}

/* The name it will have; on an error it keeps the one it has, and its directory is offline. */
static enum err
rename_future(struct log_dirs *ld, struct log *future, struct errbuf *eb)
{
	char *name = log_key(future->topic, future->partition), *to = path_join(future->dir->path, name);
	struct fs *fs = ld->env.fs;
	bool renamed;
	enum err e = fs->ops->rename(fs, future->path, to, eb);

	renamed = e == OK;
	if (e == OK)
		e = fs->ops->sync_dir(fs, future->dir->path, eb);
	free(name);
	if (e == OK) {
		new_path(future, to);
		return (OK);
	}
	if (renamed)
		(void)fs->ops->rename(fs, to, future->path, NULL);	/* else the next start sees two, and keeps the one that went on */
	free(to);
	(void)log_fail(future, "taking its place", e, eb);
	return (e);
}

/* It may have been learnt since the future log was made. */
static enum err
give_topic_id(struct log *current, struct log *future, struct errbuf *eb)
{
	struct uuid id = log_topic_id(current);

	return (uuid_is_zero(id) ? OK : log_set_topic_id(future, id, eb));
}

/* Of one rank, so the second is only tried: nobody waits for it with the first in hand. */
static void
lock_both(struct log *current, struct log *future)
{
	lock_acquire(&current->lock);
	while (!lock_try(&future->lock)) {
		lock_release(&current->lock);
		lock_acquire(&future->lock);	/* whoever has it gives it up soon */
		lock_release(&future->lock);
		lock_acquire(&current->lock);
	}
}

static struct epoch_cache
copy_epochs(const struct epoch_cache *from)
{
	struct epoch_cache to = *from;

	to.room = MAX(from->n, 1u);
	to.entries = xreallocarray(NULL, to.room, sizeof(*to.entries));
	if (from->n > 0)
		memcpy(to.entries, from->entries, from->n * sizeof(*to.entries));
	return (to);
}

/* The current log is closed, and what it is goes over: both are owned, and what needs no ownership (a set that comes, options, DeleteRecords) meets
 * either log as a whole. */
static void
hand_over(struct log *current, struct log *future)
{
	struct producer_state *unused;
	struct epoch_cache old;

	lock_both(current, future);
	must(STAILQ_EMPTY(&future->queue));	/* nobody knew it */
	STAILQ_CONCAT(&future->queue, &current->queue);
	future->queue_bytes = current->queue_bytes;
	current->queue_bytes = 0;
	future->role = current->role;
	future->has_role = current->has_role;
	future->options = current->options;
	unused = future->producers;
	future->producers = current->producers;
	current->producers = producer_state_new(current->options.producer_expiration_ms);
	producer_state_set_end(future->producers, future->tail_end);
	old = future->epochs;
	future->epochs = copy_epochs(&current->epochs);
	future->epochs_version++;
	future->future = false;
	log_raise_start_locked(future, MIN((int64_t)current->start, (int64_t)future->tail_end));
	(void)log_set_high_watermark_locked(future, current->high_watermark);
	current->state = LOG_CLOSED;
	current->moved_to = log_ref(future);
	lock_release(&future->lock);
	lock_release(&current->lock);
	producer_state_free(&unused);
	epoch_cache_fini(&old);
}

static enum err
swap_owned(struct log_dirs *ld, struct log *current, struct log *future, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e;

	e = write_marker(ld, current, future, eb);
	if (e == OK)
		e = rename_future(ld, future, eb);
	else if (e != ERR_NOSPACE)
		(void)log_fail(future, "taking its place", e, eb);
	if (e != OK)
		return (e);
	hand_over(current, future);
	log_dirs_replace(ld, current, future);
	e = log_store_epochs(future, &why);
	if (e != OK && e != ERR_NOSPACE)	/* without room the first batch tries again */
		(void)log_fail(future, "writing leader-epoch-checkpoint", e, &why);
	diag_info(ld->env.diag, "log", "%s: takes the place of %s, offsets %" PRId64 " to %" PRId64, future->path, current->path,
	    log_start_offset(future), log_end_offset(future));
	return (OK);
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
log_dirs_move_swap(struct log_dirs *ld, struct log *current, struct log *future, bool *done, struct errbuf *eb)
{
	uint64_t copied = 0;
	bool caught_up = false;
	enum err e;

	*done = false;
	e = log_flush(future, eb);	/* nearly all of it, while others append */
	if (e == OK)
		dir_checkpoint_starts(ld, CONTAINER_OF(future->dir, struct dir, base));
	if (e == OK)
		e = store_point(ld, future, eb);
	if (e == OK)
		e = log_dirs_hold_move(ld, current, future);
	if (e != OK)
		return (e == ERR_AGAIN ? OK : e);
	log_own(current);
	if (!is_open(current) || !is_open(future))
		e = ERR_CLOSED;
	if (e == OK)
		e = log_dirs_move_copy(ld, current, future, MOVE_SWAP_BYTES, &copied, &caught_up, eb);
	if (e == OK && caught_up)
		e = log_flush(future, eb);	/* what was durable in the old place is durable in the new one */
	if (e == OK && caught_up)
		e = store_point(ld, future, eb);	/* writes only when the last bytes began a segment */
	if (e == OK && caught_up)
		e = give_topic_id(current, future, eb);
	if (e == OK && caught_up) {
		log_own(future);
		log_flush_begin(future);
		e = swap_owned(ld, current, future, eb);
		log_flush_end(future);
		log_disown(future);
		*done = e == OK;
	}
	log_disown(current);
	log_dirs_release_move(ld, future);
	return (e);
}

/* ---- retire, cancel ---- */

static void
remove_marker(struct log_dirs *ld, const char *path)
{
	char *marker = path_join(path, MOVED_FROM);

	(void)ld->env.fs->ops->unlink(ld->env.fs, marker, NULL);	/* harmless when it stays */
	free(marker);
}

void
log_dirs_put_away(struct log_dirs *ld, struct log *old)
{
	struct dir *d = CONTAINER_OF(old->dir, struct dir, base);
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	log_own(old);
	e = dir_is_online(d) ? log_dirs_rename_for_deletion(ld, old, &eb) : ERR_OFFLINE;
	log_disown(old);
	if (e == OK) {
		log_dirs_add_deletion(ld, d, old->path);
		log_dirs_forget(ld, d, old->topic, old->partition);
		remove_marker(ld, old->moved_to->path);
	} else if (e != ERR_OFFLINE)
		log_dir_fail(&d->base, eb.text);
}

/* Held in the table meanwhile: a deletion waits, and nobody renames the new log. */
void
log_dirs_move_retire(struct log_dirs *ld, struct log *old)
{
	if (!log_dirs_hold_retired(ld, old))
		return;
	log_wait_for_readers(old);
	log_dirs_put_away(ld, old);
	log_dirs_release_retired(ld, old);
}

enum err
log_dirs_move_cancel(struct log_dirs *ld, const char *topic, int32_t partition, struct errbuf *eb)
{
	struct log *future = log_dirs_take_future(ld, topic, partition);
	struct dir *d;
	enum err e;

	if (future == NULL)
		return (ERR_NOTFOUND);
	d = CONTAINER_OF(future->dir, struct dir, base);
	(void)!log_close(future, false, NULL);
	e = dir_is_online(d) ? log_dirs_rename_for_deletion(ld, future, eb) : ERR_OFFLINE;
	if (e == OK) {
		log_dirs_add_deletion(ld, d, future->path);
		log_dirs_forget(ld, d, topic, partition);
	} else if (e != ERR_OFFLINE)
		log_dir_fail(&d->base, eb != NULL ? eb->text : err_text(e));
	log_unref(&future);
	return (e);
}

void
log_dirs_move_drop(struct log_dirs *ld, const char *topic, int32_t partition)
{
	struct log *future = log_dirs_take_future(ld, topic, partition);

	if (future != NULL)
		(void)!log_close(future, false, NULL);
	log_unref(&future);
}

/* ---- two directories with one name, at load ---- */

static bool
moved_from(struct log_dirs *ld, const struct log *log, const struct log *other)
{
	char *path = path_join(log->path, MOVED_FROM), *text = NULL;
	size_t len = 0;
	bool yes = fs_read_file(ld->env.fs, path, MARKER_BYTES_MAX, &text, &len, NULL) == OK && strcmp(text, other->path) == 0;

	free(text);
	free(path);
	return (yes);
}

struct log *
log_dirs_loser(struct log_dirs *ld, struct log *a, struct log *b)
{
	struct log *new = moved_from(ld, a, b) ? a : moved_from(ld, b, a) ? b : NULL, *old = new == a ? b : a;

	if (new == NULL)
		return (NULL);
	return (log_end_offset(old) > log_end_offset(new) ? new : old);
}

void
log_dirs_settle_markers(struct log_dirs *ld)
{
	uint32_t n;
	struct log **logs;

	if (log_dirs_any_offline(ld))	/* the other one may come back */
		return;
	logs = log_dirs_hold(ld, NULL, &n);
	for (uint32_t i = 0; i < n; i++)
		if (!logs[i]->future)
			remove_marker(ld, logs[i]->path);
	log_dirs_release(logs, n);
}
