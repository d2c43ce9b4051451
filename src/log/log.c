/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log.c - see log.h for the interface, log_int.h for who may touch what, README for the crash arguments.
 *
 * INVARIANTS
 *   (1) start <= high watermark <= end; the last stable offset is computed, never stored.
 *   (2) The end offset, the active segment and its size are published together (tail_seq), after a whole set is in the file and its
 *       producers are in the map: whoever sees an end sees the segment list and the unstable offset that belong to it.
 *   (3) Everything below the recovery point is on stable storage, indexes and snapshots included.
 *   (4) At most one thread owns the log.  Ownership is never held across a return to an event loop, a callback or a wait for another log
 *       (but for a move's: the current log, then the future one; log_dirs_move.c).
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/checkpoint.h"
#include "log/log_int.h"
#include "log/names_int.h"

void
log_options_default(struct log_options *o)
{
	*o = (struct log_options){
		.segment_ms = INT64_C(604800000),
		.retention_ms = INT64_C(604800000),
		.retention_bytes = -1,
		.flush_messages = INT64_MAX,
		.flush_ms = INT64_MAX,
		.file_delete_delay_ms = 60000,
		.producer_expiration_ms = 86400000,
		.segment_bytes = 1 << 30,
		.segment_index_bytes = 10 << 20,
		.index_interval_bytes = 4096,
		.cleanup_delete = true,
	};
}

/* ---- life ---- */

struct log *
log_new(struct log_env *env, struct log_dir *dir, const char *topic, int32_t partition, const char *path, const struct log_options *o)
{
	struct log *log = xcalloc(1, sizeof(*log));

	log->magic.value = LOG_MAGIC;
	log->refs = 1;
	log->env = env;
	log->dir = dir;
	log->topic = xstrdup(topic);
	log->partition = partition;
	log->path = xstrdup(path);
	log->options = *o;
	log->first_unstable = log->named = -1;
	log->producers = producer_state_new(o->producer_expiration_ms);
	STAILQ_INIT(&log->queue);
	STAILQ_INIT(&log->doomed);
	lock_init(&log->lock, LOCK_log);
	lock_init(&log->epochs_file, LOCK_log_checkpoint);
	condition_init(&log->freed);
	log->last_flush_ms = clock_wall_ms(env->clock);
	return (log);
}

void
segment_list_free(void *p)
{
	struct segment_list *l = p;

	for (uint32_t i = 0; i < l->n; i++)
		segment_unref(&l->segments[i]);
	free(l);
}

static void
log_free(void *p)
{
	struct log *log = p;
	struct doomed *d;

	MAGIC_OK(log, LOG_MAGIC);
	must(STAILQ_EMPTY(&log->queue) && !log->owned);
	while ((d = STAILQ_FIRST(&log->doomed)) != NULL) {
		STAILQ_REMOVE_HEAD(&log->doomed, link);
		free(d->path);
		free(d);
	}
	if (log->segments != NULL)
		segment_list_free(log->segments);
	producer_state_free(&log->producers);
	log_unref(&log->moved_to);
	epoch_cache_fini(&log->epochs);
	condition_fini(&log->freed);
	lock_fini(&log->epochs_file);
	lock_fini(&log->lock);
	log->magic.value = 0;
	free(log->snapshots);
	free(log->topic);
	free(log->path);
	free(log);
}

struct log *
log_ref(struct log *log)
{
	MAGIC_OK(log, LOG_MAGIC);
	log->refs++;
	return (log);
}

void
log_unref(struct log **logp)
{
	struct log *log = *logp;

	*logp = NULL;
	if (log != NULL && --log->refs == 0)
		reclaim_defer(log_free, log);
}

const char *log_topic(const struct log *log) { return (log->topic); }
int32_t	    log_partition(const struct log *log) { return (log->partition); }
bool log_is_future(const struct log *log) { return (log->future); }
const char *log_dir(const struct log *log) { return (log->dir->path); }
const char *log_path(const struct log *log) { return (log->path); }
bool	    log_is_offline(const struct log *log) { return (log->dir->offline); }
bool	    log_is_apart(const struct log *log) { return (log->dir->apart); }
struct workers *log_syncers(const struct log *log) { return (log->dir->syncer != NULL ? log->dir->syncer : log->env->workers); }
struct workers *log_readers(const struct log *log) { return (log->dir->readers != NULL ? log->dir->readers : log->env->workers); }

struct uuid
log_topic_id(const struct log *clog)
{
	struct log *log = (struct log *)(uintptr_t)clog;
	struct uuid id;

	lock_acquire(&log->lock);
	id = log->topic_id;
	lock_release(&log->lock);
	return (id);
}

enum err
log_set_topic_id(struct log *log, struct uuid id, struct errbuf *eb)
{
	char have[UUID_TEXT_LEN + 1], want[UUID_TEXT_LEN + 1];
	struct uuid old = log_topic_id(log);
	struct log *to;
	enum err e = OK;

	if (uuid_eq(old, id))
		return (OK);
	if (!uuid_is_zero(old)) {
		uuid_format(old, have);
		uuid_format(id, want);
		errbuf_set(eb, "%s belongs to topic id %s, not %s", log->path, have, want);
		return (ERR_CONFLICT);
	}
	log_own(log);
	to = log_moved_to(log);
	if (to == NULL) {
		log->id_unstored = log->young;		/* then log_establish writes it */
		e = log->young ? OK : partition_metadata_write(log->env->fs, log->path, id, eb);
	}
	if (to == NULL && e == OK) {
		lock_acquire(&log->lock);
		log->topic_id = id;
		lock_release(&log->lock);
	}
	log_disown(log);
	if (to != NULL)
		return (log_set_topic_id(to, id, eb));
	if (e != OK)
		(void)log_fail(log, "writing partition.metadata", e, eb);
	return (e);
}

void
log_set_options(struct log *log, const struct log_options *o)
{
	struct log *to;

	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL) {
		log->options = *o;
		producer_state_set_expiration(log->producers, o->producer_expiration_ms);
	}
	lock_release(&log->lock);
	if (to != NULL)
		log_set_options(to, o);
}

void
log_segment_options(struct log *log, struct segment_options *out)
{
	int64_t jitter;

	lock_acquire(&log->lock);
	jitter = MIN(log->options.segment_jitter_ms, log->options.segment_ms);
	*out = (struct segment_options){
		.fs = log->env->fs,
		.readers = log->dir->readers,
		.open = &log->env->open,
		.index_interval = (uint32_t)log->options.index_interval_bytes,
		.index_bytes = (uint32_t)log->options.segment_index_bytes,
		.preallocate_bytes = log->options.preallocate ? (uint32_t)log->options.segment_bytes : 0,
	};
	lock_release(&log->lock);
	out->now_ms = clock_wall_ms(log->env->clock);
	out->jitter_ms = jitter <= 0 ? 0 : (int64_t)(random_u64(log->env->random) % (uint64_t)jitter);
}

/* ---- ownership ---- */

void
log_own(struct log *log)
{
	lock_acquire(&log->lock);
	log->wanted++;
	while (log->owned)
		condition_wait(&log->freed, &log->lock);
	log->wanted--;
	log->owned = true;
	lock_release(&log->lock);
}

void
log_disown(struct log *log)
{
	bool more;

	lock_acquire(&log->lock);
	must(log->owned);
	log->owned = false;
	more = !STAILQ_EMPTY(&log->queue);
	condition_broadcast(&log->freed);
	lock_release(&log->lock);
	if (more)
		log_drain_later(log);
}

void
log_flush_begin(struct log *log)
{
	lock_acquire(&log->lock);
	while (log->flushing)
		condition_wait(&log->freed, &log->lock);
	log->flushing = true;
	lock_release(&log->lock);
}

void
log_flush_end(struct log *log)
{
	lock_acquire(&log->lock);
	must(log->flushing);
	log->flushing = false;
	condition_broadcast(&log->freed);
	lock_release(&log->lock);
}

/* ---- readers, as a truncation sees them ---- */

/* A reader that counts itself after the check below looks at the tail after that, and sees it lowered. */
uint32_t
log_read_enter(struct log *log)
{
	uint32_t phase = log->read_phase & 1;

	log->readers[phase]++;
	return (phase);
}

void
log_read_leave(struct log *log, uint32_t phase)
{
	if (--log->readers[phase] > 0 || !log->cutting)
		return;
	lock_acquire(&log->lock);
	condition_broadcast(&log->freed);
	lock_release(&log->lock);
}

/* Twice: a reader that looked at the phase before an earlier truncation may count itself in the other one. */
void
log_wait_for_readers(struct log *log)
{
	log->cutting = true;
	for (int i = 0; i < 2; i++) {
		uint32_t old = log->read_phase++ & 1;

		lock_acquire(&log->lock);
		while (log->readers[old] > 0)
			condition_wait(&log->freed, &log->lock);
		lock_release(&log->lock);
	}
	log->cutting = false;
}

/* ---- what readers see ---- */

struct tail
log_tail(const struct log *log)
{
	struct tail t;
	uint32_t before;

	do {
		before = log->tail_seq;
		t = (struct tail){ log->tail_end, log->tail_base, log->tail_size };
	} while ((before & 1) != 0 || before != log->tail_seq);
	return (t);
}

void
log_publish_tail(struct log *log, struct tail t)
{
	log->tail_seq++;
	log->tail_end = t.end;
	log->tail_base = t.base;
	log->tail_size = t.size;
	log->tail_seq++;
}

void
log_publish_segments(struct log *log, struct segment *const *segs, uint32_t n)
{
	struct segment_list *l = xmalloc(sizeof(*l) + n * sizeof(l->segments[0])), *old = log->segments;
	uint64_t sealed = 0;

	must(n > 0);
	l->n = n;
	for (uint32_t i = 0; i < n; i++) {
		l->segments[i] = segment_ref(segs[i]);
		if (i + 1 < n)
			sealed += segs[i]->size;
	}
	lock_acquire(&log->lock);
	log->sealed_bytes = sealed;
	reclaim_publish(&log->segments, l);
	lock_release(&log->lock);
	if (old != NULL)
		reclaim_defer(segment_list_free, old);
}

struct segment_list *
log_hold_segments(struct log *log)
{
	struct segment_list *l;

	lock_acquire(&log->lock);
	l = xmalloc(sizeof(*l) + log->segments->n * sizeof(l->segments[0]));
	l->n = log->segments->n;
	for (uint32_t i = 0; i < l->n; i++)
		l->segments[i] = segment_ref(log->segments->segments[i]);
	lock_release(&log->lock);
	return (l);
}

struct segment *
log_active(const struct log *log)
{
	return (log->segments->segments[log->segments->n - 1]);
}

int64_t log_start_offset(const struct log *log) { return (log->start); }
int64_t log_end_offset(const struct log *log) { return (log->tail_end); }
int64_t log_high_watermark(const struct log *log) { return (log->high_watermark); }
int64_t log_recovery_point(const struct log *log) { return (log->recovery_point); }
uint64_t log_size(const struct log *log) { return (log->sealed_bytes + log->tail_size); }
uint32_t log_segment_count(const struct log *log) { return (reclaim_read(&log->segments)->n); }

int64_t
log_last_stable_offset(const struct log *log)
{
	int64_t hw = log->high_watermark, unstable = log->first_unstable;	/* in this order: rule (2) */

	return (unstable >= 0 && unstable < hw ? unstable : hw);
}

void
log_update_first_unstable(struct log *log)
{
	int64_t unstable = producer_state_first_unstable(log->producers);

	log->first_unstable = unstable < 0 ? -1 : MAX(unstable, (int64_t)log->start);
}

int64_t
log_set_high_watermark_locked(struct log *log, int64_t hw)
{
	hw = MAX(MIN(hw, (int64_t)log->tail_end), (int64_t)log->start);
	log->high_watermark = hw;
	producer_state_high_watermark(log->producers, hw);
	log_update_first_unstable(log);
	return (hw);
}

int64_t
log_set_high_watermark(struct log *log, int64_t hw)
{
	lock_acquire(&log->lock);
	hw = log_set_high_watermark_locked(log, hw);
	lock_release(&log->lock);
	return (hw);
}

int64_t
log_raise_high_watermark(struct log *log, int64_t hw)
{
	int64_t now = log->high_watermark;

	hw = MIN(hw, (int64_t)log->tail_end);
	while (hw > now)
		if (atomic_compare_exchange_strong(&log->high_watermark, &now, hw))
			now = hw;
	if (log->first_unstable >= 0) {
		lock_acquire(&log->lock);
		producer_state_high_watermark(log->producers, log->high_watermark);
		log_update_first_unstable(log);
		lock_release(&log->lock);
	}
	return (now);
}

/* ---- role ---- */

static void
refuse_other_roles(struct log *log, struct log_role now)
{
	STAILQ_HEAD(, append_set) refused = STAILQ_HEAD_INITIALIZER(refused), kept = STAILQ_HEAD_INITIALIZER(kept);
	struct append_set *s;

	lock_acquire(&log->lock);
	while ((s = STAILQ_FIRST(&log->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&log->queue, link);
		if (s->leader_epoch == now.leader_epoch && (s->origin != APPEND_REPLICATION) == now.leader) {
			STAILQ_INSERT_TAIL(&kept, s, link);
			continue;
		}
		log->queue_bytes -= s->len;
		STAILQ_INSERT_TAIL(&refused, s, link);
	}
	STAILQ_CONCAT(&log->queue, &kept);
	lock_release(&log->lock);
	while ((s = STAILQ_FIRST(&refused)) != NULL) {
		STAILQ_REMOVE_HEAD(&refused, link);
		s->result.error = KERR_NOT_LEADER_OR_FOLLOWER;
		log_complete(s, false);
	}
}

/* What has taken its place before it could be owned, or NULL: done. */
static struct log *
begin_role(struct log *log, const struct log_role *role)
{
	struct log *to;

	log_own(log);
	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL) {
		log->role = *role;
		log->has_role = true;
	}
	lock_release(&log->lock);
	if (to == NULL)
		refuse_other_roles(log, *role);
	log_disown(log);
	if (to == NULL && role->leader)	/* what a start found, and nobody has synced since */
		log_settle_later(log);
	return (to);
}

void
log_set_role(struct log *log, const struct log_role *role)
{
	struct log *to;
	bool same;

	lock_acquire(&log->lock);
	to = log->moved_to;
	same = to == NULL && log->has_role && log->role.leader == role->leader && log->role.leader_epoch == role->leader_epoch;
	if (same)
		log->role = *role;
	lock_release(&log->lock);
	if (to == NULL && !same)
		to = begin_role(log, role);
	if (to != NULL)
		log_set_role(to, role);
}

void
log_set_min_isr_met(struct log *log, int32_t leader_epoch, bool met)
{
	struct log *to;

	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL && log->has_role && log->role.leader_epoch == leader_epoch)
		log->role.min_isr_met = met;
	lock_release(&log->lock);
	if (to != NULL)
		log_set_min_isr_met(to, leader_epoch, met);
}

void
log_fail_queue(struct log *log, enum kerr k, const char *words)
{
	struct append_set *s;

	for (;;) {
		lock_acquire(&log->lock);
		if ((s = STAILQ_FIRST(&log->queue)) != NULL) {
			STAILQ_REMOVE_HEAD(&log->queue, link);
			log->queue_bytes -= s->len;
		}
		lock_release(&log->lock);
		if (s == NULL)
			return;
		s->result.error = k;
		snprintf(s->result.message, sizeof(s->result.message), "%s", words);
		log_complete(s, false);
	}
}

/* ---- leader epochs ---- */

static enum err
store_epochs(struct log *log, enum err (*write)(struct fs *, const char *, struct epoch_cache *, struct errbuf *), struct errbuf *eb)
{
	struct epoch_cache copy = EPOCH_CACHE_INIT;
	uint64_t version;
	enum err e = OK;

	lock_acquire(&log->lock);
	version = log->epochs_version;
	copy.n = log->epochs.n;
	copy.entries = xreallocarray(NULL, MAX(copy.n, 1u), sizeof(*copy.entries));
	if (copy.n > 0)
		memcpy(copy.entries, log->epochs.entries, copy.n * sizeof(*copy.entries));
	lock_release(&log->lock);
	lock_acquire(&log->epochs_file);
	if (log->epochs_stored < version) {
		e = write(log->env->fs, log->path, &copy, eb);
		if (e == OK)
			log->epochs_stored = version;
	}
	lock_release(&log->epochs_file);
	lock_acquire(&log->lock);
	log->epochs_unstored = e != OK;
	lock_release(&log->lock);
	epoch_cache_fini(&copy);
	return (e);
}

enum err
log_store_epochs(struct log *log, struct errbuf *eb)
{
	return (log->young ? OK : store_epochs(log, epoch_cache_write, eb));
}

enum err
log_put_epochs(struct log *log, struct errbuf *eb)
{
	return (store_epochs(log, epoch_cache_put, eb));
}

enum err
log_begin_leader_epoch(struct log *log, int32_t epoch, struct errbuf *eb)
{
	struct log *to;
	bool changed = false;
	enum err e = OK;

	if (log->dir->offline && log_moved_to(log) == NULL)
		return (ERR_OFFLINE);
	log_own(log);
	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL)
		changed = epoch_cache_assign(&log->epochs, epoch, log->tail_end);
	log->epochs_version += changed;
	lock_release(&log->lock);
	if (changed)
		e = log_store_epochs(log, eb);
	log_disown(log);
	if (to != NULL)
		return (log_begin_leader_epoch(to, epoch, eb));
	if (e == ERR_NOSPACE)	/* the first batch of the epoch tries again, before it is written */
		return (OK);
	if (e != OK)
		(void)log_fail(log, "writing leader-epoch-checkpoint", e, eb);
	return (e);
}

int32_t
log_latest_epoch(struct log *log)
{
	int32_t epoch;

	lock_acquire(&log->lock);
	epoch = epoch_cache_latest(&log->epochs);
	lock_release(&log->lock);
	return (epoch);
}

int32_t
log_epoch_of_offset(struct log *log, int64_t offset)
{
	int32_t epoch;

	lock_acquire(&log->lock);
	epoch = epoch_cache_of_offset(&log->epochs, offset);
	lock_release(&log->lock);
	return (epoch);
}

void
log_end_of_epoch(struct log *log, int32_t requested, int32_t *epoch, int64_t *end)
{
	lock_acquire(&log->lock);
	epoch_cache_end_of(&log->epochs, requested, log->tail_end, epoch, end);
	lock_release(&log->lock);
}

/* ---- the start offset ---- */

void
log_raise_start_locked(struct log *log, int64_t start)
{
	int64_t rp = log->recovery_point;

	if (start <= log->start)
		return;
	log->start = start;
	if (log->high_watermark < start)
		log->high_watermark = start;
	while (rp < start && !atomic_compare_exchange_strong(&log->recovery_point, &rp, start))
		;
	log->epochs_version += epoch_cache_truncate_from_start(&log->epochs, start);
	producer_state_start_offset(log->producers, start);
	log_update_first_unstable(log);
}

struct log *
log_moved_to(struct log *log)
{
	struct log *to;

	lock_acquire(&log->lock);
	to = log->moved_to;
	lock_release(&log->lock);
	return (to);
}

void
log_follow_move(struct log **logp)
{
	struct log *to;

	while (*logp != NULL && (to = log_moved_to(*logp)) != NULL) {
		(void)log_ref(to);
		log_unref(logp);
		*logp = to;
	}
}

static enum kerr
delete_records_locked(struct log *log, int64_t offset)
{
	if (log->dir->offline)
		return (KERR_KAFKA_STORAGE_ERROR);
	if (offset == -1)
		offset = log->high_watermark;
	if (offset < 0 || offset > log->high_watermark)
		return (KERR_OFFSET_OUT_OF_RANGE);
	log_raise_start_locked(log, offset);
	return (KERR_NONE);
}

/* Under the lock either this start is raised, and a move hands it over, or the move has been: never one that has handed over its start. */
enum kerr
log_delete_records(struct log *log, int64_t offset, int64_t *start)
{
	enum kerr k = KERR_NONE;
	struct log *to;

	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL)
		k = delete_records_locked(log, offset);
	*start = log->start;
	lock_release(&log->lock);
	return (to == NULL ? k : log_delete_records(to, offset, start));
}

void
log_raise_start_offset(struct log *log, int64_t offset)
{
	lock_acquire(&log->lock);
	log_raise_start_locked(log, MIN(offset, (int64_t)log->high_watermark));
	lock_release(&log->lock);
}

/* ---- producers ---- */

struct producer_visit {
	void (*fn)(void *, const struct log_producer *);
	void  *ctx;
};

static void
visit_producer(void *ctx, const struct producer_entry *e)
{
	const struct producer_visit *v = ctx;
	const struct log_producer row = {
		.producer_id = e->producer_id,
		.last_timestamp_ms = e->last_timestamp_ms,
		.txn_first_offset = e->txn_first_offset,
		.producer_epoch = e->producer_epoch,
		.last_sequence = e->nbatches == 0 ? -1 : e->batches[e->nbatches - 1].last_sequence,
		.coordinator_epoch = e->coordinator_epoch,
	};

	v->fn(v->ctx, &row);
}

uint32_t
log_producer_count(struct log *log)
{
	struct log *to;
	uint32_t n;

	lock_acquire(&log->lock);
	to = log->moved_to;
	n = producer_state_count(log->producers);
	lock_release(&log->lock);
	return (to == NULL ? n : log_producer_count(to));
}

void
log_producers(struct log *log, void (*fn)(void *, const struct log_producer *), void *ctx)
{
	struct producer_visit v = { fn, ctx };
	struct log *to;

	lock_acquire(&log->lock);
	to = log->moved_to;
	if (to == NULL)
		producer_state_each(log->producers, visit_producer, &v);
	lock_release(&log->lock);
	if (to != NULL)
		log_producers(to, fn, ctx);
}

bool
log_has_ongoing_txn(struct log *log, int64_t producer_id, int16_t producer_epoch)
{
	const struct producer_entry *e;
	bool ongoing;

	(void)producer_epoch;	/* as in Kafka 3.9: the epoch is checked at the write */
	lock_acquire(&log->lock);
	e = producer_state_find(log->producers, producer_id);
	ongoing = e != NULL && e->txn_first_offset >= 0;
	lock_release(&log->lock);
	return (ongoing);
}

void
log_expire_producers(struct log *log)
{
	lock_acquire(&log->lock);
	producer_state_expire(log->producers, clock_wall_ms(log->env->clock));
	lock_release(&log->lock);
}

/* ---- failing, closing ---- */

enum kerr
log_fail(struct log *log, const char *doing, enum err e, const struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;

	errbuf_set(&why, "%s-%" PRId32 ": %s: %s", log->topic, log->partition, doing, eb != NULL && eb->text[0] != '\0' ? eb->text : err_text(e));
	log_dir_fail(log->dir, why.text);
	return (KERR_KAFKA_STORAGE_ERROR);
}

static enum err
close_files(struct log *log, struct errbuf *eb)
{
	struct segment *active = log_active(log);
	enum err e = log_establish(log, eb);

	if (e == ERR_NOSPACE && log->young) {	/* or no descriptor.  It is empty: the next start makes what is missing */
		diag_warning(log->env->diag, "log", "%s has not all of its files: %s", log->path, eb->text);
		return (segment_is_made(active) ? segment_seal(active, eb) : OK);	/* Java takes each slot of an index for an entry */
	}
	if (e == OK)
		e = log_snapshot(log, true, eb);
	if (e == OK)
		e = segment_seal(active, eb);
	if (e == OK)
		e = log_flush_to(log, log->tail_end, true, eb);
	if (e == OK)
		e = log_store_epochs(log, eb);
	return (e);
}

enum err
log_close(struct log *log, bool clean, struct errbuf *eb)
{
	enum err e = OK;

	log_own(log);
	lock_acquire(&log->lock);
	log->state = LOG_CLOSED;
	lock_release(&log->lock);
	log_fail_queue(log, KERR_NOT_LEADER_OR_FOLLOWER, "the log was closed");
	log_flush_begin(log);
	if (clean && log->segments != NULL)
		e = log->dir->offline ? ERR_OFFLINE : close_files(log, eb);
	log_flush_end(log);
	log_disown(log);
	if (e != OK && e != ERR_OFFLINE)
		(void)log_fail(log, "closing", e, eb);
	return (e);
}

void
log_check(struct log *log)
{
	const struct segment_list *l;
	struct tail t;

	log_own(log);
	l = log->segments;
	t = log_tail(log);
	must(log->start <= log->high_watermark && log->high_watermark <= t.end);	/* (1) */
	must(log_last_stable_offset(log) <= log->high_watermark);
	must(log_active(log)->base == t.base && log_active(log)->size == t.size);	/* (2) */
	must(log->recovery_point <= t.end && log->settled <= t.end);
	must(!log->young || (t.end == 0 && log->start == 0));
	for (uint32_t i = 0; i < l->n; i++) {
		must(i == 0 || l->segments[i - 1]->base < l->segments[i]->base);
		must(l->segments[i]->active == (i + 1 == l->n));
		segment_check(l->segments[i]);
	}
	for (uint32_t i = 1; i < log->epochs.n; i++)
		must(log->epochs.entries[i - 1].epoch < log->epochs.entries[i].epoch &&
		    log->epochs.entries[i - 1].start_offset < log->epochs.entries[i].start_offset);
	log_disown(log);
}
