/* SPDX-License-Identifier: Apache-2.0
 *
 * log/append.c - the queue of a log, and the write of a set; see append.h for the contract.
 *
 * THE QUEUE  log_append puts its set at the end.  When nobody owns the log it takes ownership and drains: first its own set (the queue was
 *            empty), then what others put behind it meanwhile, up to LIMIT_DRAIN_BYTES_MAX; what is left goes to a worker.  When
 *            somebody owns the log the set stays for him: PENDING.  So a loop never sleeps on another's write.
 *            Logs that flush before they acknowledge (flush.messages) are drained by workers only, and so is a log that is new (establish.c).
 *
 * A DISK THAT HANGS  With several directories no loop ever writes a set: log_append always answers PENDING, and a thread of the directory drains.
 *            So a disk that hangs stops the threads of its directory, and nothing of the others: not their logs, not the loops, not the common
 *            workers.  (To write on the loop until a write has been slow is not enough: nobody knows of the first one before it hangs.)
 *            What waits behind it is bounded by LIMIT_LOG_QUEUE_BYTES_MAX per log, and by what peers' memory is.
 *            With one directory there is nothing to protect but what needs no disk, and a change of threads is dear: the loop writes, unless the
 *            directory is slow.  It is when its last write was, or when writes are under way and none has ended for a while: so those loops that are
 *            in a write when the hang begins are stopped, each for one write, and no other; from then on its drains run one after the other, so
 *            that they do not stop all workers.
 *
 * ONE SET    role and epoch -> offsets assigned -> a new log established (establish.c); epoch row durable when new -> roll when full -> producers asked -> data written ->
 *            producers told, transaction index -> index entry, end offset published.  Until the data is written a refusal leaves no
 *            trace.  A write that fails is cut back to the old end; when the cut fails too, or the fault is not a full disk, the
 *            directory goes offline.
 *
 * CRASH      Nothing here syncs (but for the epoch row, and what a new log needs).  What a crash leaves is a prefix of the written sets and perhaps a torn one: recovery
 *            cuts that.  With flush.messages reached, the sync comes before the answers of the sets it covers.  With group commit an answer says
 *            written, and nobody is told more than what is settled (settle.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "log/log_int.h"
#include "log/names_int.h"

enum { SLOW_WRITE_MS = 50 };

STAILQ_HEAD(set_queue, append_set);

/* ---- answers ---- */

static void
done_task(struct task *t)
{
	struct append_set *s = CONTAINER_OF(t, struct append_set, task);

	s->done(s);
}

/* own: the caller of log_append gets the result from the call. */
void
log_complete(struct append_set *s, bool own)
{
	if (s->result.error != KERR_NONE)
		s->result.base_offset = s->result.last_offset = s->result.log_append_time_ms = s->result.log_start_offset = -1;
	if (own)
		return;
	s->task.fn = done_task;
	if (s->loop != NULL)
		loop_post(s->loop, &s->task);
	else
		s->done(s);
}

static enum kerr
refuse(struct append_set *s, enum kerr k, const char *words)
{
	s->result.error = k;
	snprintf(s->result.message, sizeof(s->result.message), "%s", words);
	return (k);
}

/* ---- one set: what it is ---- */

struct write {
	struct log		*log;
	struct append_set	*s;
	struct tail		 tail;		/* before the write */
	struct segment_set	 set;
	int64_t			 first_offset;	/* of the set; the first batch's last offset for legacy wrappers */
	uint32_t		 batches;
	struct batch_header	 first;		/* header of the first batch */
	struct log_options	 options;
	int64_t			 now_ms;
	bool			 epoch_changed;
};

static enum kerr
check_role(struct write *w)
{
	struct log *log = w->log;
	struct append_set *s = w->s;
	struct log_role role;
	bool has;

	lock_acquire(&log->lock);
	role = log->role;
	has = log->has_role && log->state == LOG_OPEN;
	w->options = log->options;
	lock_release(&log->lock);
	if (log->dir->offline)
		return (refuse(s, KERR_KAFKA_STORAGE_ERROR, "the log directory is offline"));
	if (!has || role.leader_epoch != s->leader_epoch || role.leader != (s->origin != APPEND_REPLICATION))
		return (refuse(s, KERR_NOT_LEADER_OR_FOLLOWER, ""));
	if (s->acks_all && !role.min_isr_met)
		return (refuse(s, KERR_NOT_ENOUGH_REPLICAS, ""));
	return (KERR_NONE);
}

static void
note_batch(struct write *w, const struct batch_header *h)
{
	if (w->batches++ == 0) {
		w->first = *h;
		w->first_offset = h->base_offset >= 0 ? h->base_offset : h->last_offset;
		w->set.max_timestamp_ms = w->set.max_timestamp_offset = -1;
	}
	if (h->max_timestamp > w->set.max_timestamp_ms) {
		w->set.max_timestamp_ms = h->max_timestamp;
		w->set.max_timestamp_offset = h->last_offset;
	}
	w->set.last_offset = h->last_offset;
}

/* Coordinators' batches: whole and well made by us; their place is put in here. */
static void
assign_batch(struct write *w, uint8_t *bytes, struct batch_header *h, int64_t base)
{
	batch_set_base_offset(bytes, base);
	batch_set_leader_epoch(bytes, w->s->leader_epoch);
	if (w->s->log_append_time) {
		batch_set_max_timestamp(bytes, h->size, TIMESTAMP_LOG_APPEND_TIME, w->now_ms);
		h->max_timestamp = w->now_ms;
	}
	h->base_offset = base;
	h->last_offset = base + h->last_offset_delta;
	h->leader_epoch = w->s->leader_epoch;
}

#define NO_OFFSETS	"no offsets are left in this log"

static bool
offsets_left(int64_t next, int32_t delta)
{
	return (delta < LOG_OFFSET_MAX - next);
}

static enum kerr
assign_client(struct write *w)
{
	struct append_set *s = w->s;
	struct record_assigned a;
	struct batch_header h;

	must(s->info != NULL && s->info->size == s->len && !s->info->needs_rebuild);
	if (!offsets_left(w->tail.end, s->info->last_offset_delta))
		return (refuse(s, KERR_UNKNOWN_SERVER_ERROR, NO_OFFSETS));
	record_assign(s->records, s->info, s->log_append_time ? TIMESTAMP_LOG_APPEND_TIME : TIMESTAMP_CREATE_TIME, w->tail.end, s->leader_epoch, w->now_ms, &a);
	must(batch_header_decode(slice_of(s->records, s->len), &h) == OK);
	note_batch(w, &h);
	return (KERR_NONE);
}

static enum kerr
assign_coordinator(struct write *w)
{
	struct batch_iter it = batch_iter_of(slice_of(w->s->records, w->s->len));
	int64_t next = w->tail.end;
	struct batch_header h;
	struct slice whole;
	enum err e;

	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		must(h.magic == 2 && h.last_offset_delta >= 0);
		if (!offsets_left(next, h.last_offset_delta))
			return (refuse(w->s, KERR_UNKNOWN_SERVER_ERROR, NO_OFFSETS));
		assign_batch(w, (uint8_t *)(uintptr_t)whole.p, &h, next);
		note_batch(w, &h);
		next = h.last_offset + 1;
	}
	must(e == ERR_NOTFOUND && w->batches > 0);
	return (KERR_NONE);
}

/* From another broker: believed only after its checksums and offsets were looked at.  What a fetch response ends with may be cut. */
static enum kerr
take_replicated(struct write *w)
{
	struct batch_iter it = batch_iter_of(slice_of(w->s->records, w->s->len));
	struct batch_header h;
	struct slice whole;
	enum err e;

	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		if (!batch_crc_ok(whole))
			return (refuse(w->s, KERR_CORRUPT_MESSAGE, "a replicated batch has a wrong checksum"));
		if (w->batches > 0 && h.last_offset <= w->set.last_offset)
			return (refuse(w->s, KERR_CORRUPT_MESSAGE, "offsets of replicated batches do not increase"));
		if (h.last_offset < 0 || h.last_offset_delta < 0)
			return (refuse(w->s, KERR_CORRUPT_MESSAGE, "a replicated batch has no offsets"));
		if (h.last_offset >= LOG_OFFSET_MAX)
			return (refuse(w->s, KERR_CORRUPT_MESSAGE, "offsets of a replicated batch that no log may have"));
		note_batch(w, &h);
	}
	if (e == ERR_CORRUPT)
		return (refuse(w->s, KERR_CORRUPT_MESSAGE, "replicated bytes are no batches"));
	w->set.bytes.len = (size_t)it.position;
	if (w->batches > 0 && w->first_offset < w->tail.end) {
		snprintf(w->s->result.message, sizeof(w->s->result.message), "replicated offset %" PRId64 " is below the end %" PRId64, w->first_offset, w->tail.end);
		return (w->s->result.error = KERR_OFFSET_OUT_OF_RANGE);
	}
	return (KERR_NONE);
}

static enum kerr
place(struct write *w)
{
	switch (w->s->origin) {
	case APPEND_CLIENT:
		return (assign_client(w));
	case APPEND_COORDINATOR:
		return (assign_coordinator(w));
	case APPEND_REPLICATION:
		return (take_replicated(w));
	}
	unreachable("append origin");
}

/* ---- one set: epochs, producers ---- */

typedef enum err batch_fn(void *ctx, const struct batch_header *, struct slice whole, struct errbuf *);

static enum err
each_batch(const struct write *w, batch_fn *fn, void *ctx, struct errbuf *eb)
{
	struct batch_iter it = batch_iter_of(w->set.bytes);
	struct batch_header h;
	struct slice whole;
	enum err e = OK;

	while (e == OK && batch_iter_next(&it, &h, &whole) == OK)
		e = fn(ctx, &h, whole, eb);
	return (e);
}

static enum err
assign_epoch(void *ctx, const struct batch_header *h, struct slice whole, struct errbuf *eb)
{
	struct write *w = ctx;

	(void)whole;
	(void)eb;
	if (h->magic >= 2)
		w->epoch_changed |= epoch_cache_assign(&w->log->epochs, h->leader_epoch, h->base_offset);
	else if (w->log->epochs.n > 0) {	/* as Kafka: back to truncation by high watermark */
		epoch_cache_clear(&w->log->epochs);
		w->epoch_changed = true;
	}
	return (OK);
}

/* Once in a shortage: producers try again and again. */
static void
say_full(struct log *log, const char *why)
{
	if (!log->full)
		diag_error(log->env->diag, "log", "%s-%" PRId32 ": nothing can be appended until there is room: %s", log->topic, log->partition, why);
	log->full = true;
}

static enum kerr
take_epochs(struct write *w)
{
	struct errbuf eb = ERRBUF_INIT;
	bool unstored;
	enum err e;

	lock_acquire(&w->log->lock);
	(void)each_batch(w, assign_epoch, w, NULL);
	w->log->epochs_version += w->epoch_changed;
	unstored = w->epoch_changed || w->log->epochs_unstored;
	lock_release(&w->log->lock);
	e = log_establish(w->log, &eb);		/* with what was assigned just now */
	if (e == OK && unstored)
		e = log_store_epochs(w->log, &eb);
	if (e == OK)
		return (KERR_NONE);
	if (e != ERR_NOSPACE)
		return (refuse(w->s, log_fail(w->log, "writing leader-epoch-checkpoint, or what a new log needs", e, &eb), eb.text));
	say_full(w->log, eb.text);
	return (refuse(w->s, KERR_KAFKA_STORAGE_ERROR, eb.text));
}

struct ask {
	struct write *w;
	enum kerr     k;
};

static bool
answer_duplicate(struct append_set *s, const struct producer_entry *entry, const struct producer_batch_facts *f)
{
	const struct producer_batch *b = producer_entry_duplicate(entry, f);

	if (b == NULL)
		return (false);
	s->result.duplicate = true;
	s->result.last_offset = b->last_offset;
	s->result.base_offset = b->last_offset - b->offset_delta;
	s->result.log_append_time_ms = b->timestamp_ms;
	return (true);
}

static enum err
ask_producer(void *ctx, const struct batch_header *h, struct slice whole, struct errbuf *eb)
{
	struct ask *a = ctx;
	struct append_set *s = a->w->s;
	struct producer_batch_facts f;
	const struct producer_entry *entry;
	enum err e;

	if (!batch_has_producer(h))
		return (OK);
	e = producer_facts(h, whole, &f, eb);
	if (e != OK) {
		if (s->origin == APPEND_REPLICATION)	/* stored as the leader stored it; it ends no transaction here either */
			return (OK);
		a->k = refuse(s, KERR_INVALID_RECORD, "a control record cannot be read");
		return (e);
	}
	entry = producer_state_find(a->w->log->producers, f.producer_id);
	if (s->origin == APPEND_CLIENT && entry != NULL && answer_duplicate(s, entry, &f))
		return (OK);
	a->k = producer_state_validate(a->w->log->producers, &f, s->origin, s->txn_verified, s->result.message, sizeof(s->result.message));
	s->result.error = a->k;
	return (a->k == KERR_NONE ? OK : ERR_INVALID);
}

static enum kerr
ask_producers(struct write *w)
{
	struct ask a = { w, KERR_NONE };

	lock_acquire(&w->log->lock);
	(void)each_batch(w, ask_producer, &a, NULL);
	lock_release(&w->log->lock);
	return (a.k);
}

/* The file is written without the lock; nobody but the owner applies batches. */
static enum err
index_aborted(struct log *log, const struct completed_txn *done, struct errbuf *eb)
{
	struct txn_entry te = { done->producer_id, done->first_offset, done->last_offset, 0 };

	lock_acquire(&log->lock);
	te.last_stable_offset = producer_state_last_stable_after(log->producers, done);
	lock_release(&log->lock);
	return (txn_index_append(&log_active(log)->txns, &te, eb));
}

static enum err
tell_producer(void *ctx, const struct batch_header *h, struct slice whole, struct errbuf *eb)
{
	struct log *log = ctx;
	struct producer_batch_facts f;
	struct completed_txn done;
	bool completed;
	enum err e;

	if (!batch_has_producer(h) || producer_facts(h, whole, &f, NULL) != OK)
		return (OK);
	lock_acquire(&log->lock);
	completed = producer_state_apply(log->producers, &f, &done);
	lock_release(&log->lock);
	if (!completed)
		return (OK);
	e = done.aborted ? index_aborted(log, &done, eb) : OK;
	lock_acquire(&log->lock);
	producer_state_complete(log->producers, &done);
	lock_release(&log->lock);
	return (e);
}

static enum kerr
tell_producers(struct write *w)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e = each_batch(w, tell_producer, w->log, &eb);

	lock_acquire(&w->log->lock);
	producer_state_set_end(w->log->producers, w->set.last_offset + 1);
	log_update_first_unstable(w->log);
	lock_release(&w->log->lock);
	if (e == OK)
		return (KERR_NONE);
	return (refuse(w->s, log_fail(w->log, "writing the transaction index", e, &eb), eb.text));
}

/* ---- one set: the write ---- */

static enum kerr
make_room(struct write *w)
{
	struct errbuf eb = ERRBUF_INIT;
	int64_t expected = w->first.base_offset >= 0 ? w->first_offset : w->set.last_offset - INT32_MAX;
	struct segment *active = log_active(w->log);
	enum err e;

	if (w->set.bytes.len > (size_t)w->options.segment_bytes)
		return (refuse(w->s, KERR_RECORD_LIST_TOO_LARGE, "the set is larger than segment.bytes"));
	if (!segment_is_full(active, &w->set, &w->options, w->now_ms))
		return (KERR_NONE);
	e = log_roll_to(w->log, MAX(expected, w->tail.end), &eb);
	if (e == OK) {
		w->tail = log_tail(w->log);
		return (KERR_NONE);
	}
	if (e == ERR_NOSPACE) {	/* nothing has changed: the old segment goes on */
		say_full(w->log, eb.text);
		return (refuse(w->s, KERR_KAFKA_STORAGE_ERROR, eb.text));
	}
	return (refuse(w->s, log_fail(w->log, "beginning a new segment", e, &eb), eb.text));
}

static enum kerr
write_failed(struct write *w, enum err e, const struct errbuf *why)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err cut = segment_cut_back(log_active(w->log), &eb);

	(void)refuse(w->s, KERR_KAFKA_STORAGE_ERROR, why->text);
	if (cut != OK)
		return (log_fail(w->log, "cutting back a failed write", cut, &eb));
	if (e != ERR_NOSPACE)
		return (log_fail(w->log, "appending", e, why));
	say_full(w->log, why->text);
	return (KERR_KAFKA_STORAGE_ERROR);
}

static bool
dir_is_slow(const struct log_dir *dir)
{
	return (dir->slow || (dir->writers > 0 && clock_mono_ms(dir->env->clock) - dir->progress_ms >= SLOW_WRITE_MS));
}

static enum kerr
write_data(struct write *w)
{
	struct errbuf eb = ERRBUF_INIT;
	struct segment *active = log_active(w->log);
	struct log_dir *dir = w->log->dir;
	int64_t before = clock_mono_ms(dir->env->clock), after;
	enum err e;

	if (dir->writers++ == 0)
		dir->progress_ms = before;
	e = segment_write(active, &w->set, &eb);
	after = clock_mono_ms(dir->env->clock);
	dir->progress_ms = after;
	dir->writers--;
	dir->slow = after - before >= SLOW_WRITE_MS;
	return (e == OK ? KERR_NONE : write_failed(w, e, &eb));
}

static void
publish(struct write *w)
{
	struct segment *active = log_active(w->log);

	if (w->log->full)
		diag_info(w->log->env->diag, "log", "%s-%" PRId32 ": appended again", w->log->topic, w->log->partition);
	w->log->full = false;
	segment_publish(active, &w->set);
	log_publish_tail(w->log, (struct tail){ w->set.last_offset + 1, active->base, active->size });
	metric_add(w->log->env->metrics, METRIC_appended_bytes_total, (int64_t)w->set.bytes.len);
	metric_add(w->log->env->metrics, METRIC_appended_batches_total, w->batches);
}

static void
fill_result(struct write *w)
{
	struct append_result *r = &w->s->result;

	r->error = KERR_NONE;
	r->base_offset = w->first_offset;
	r->last_offset = w->set.last_offset;
	r->log_append_time_ms = w->s->log_append_time && w->s->origin != APPEND_REPLICATION ? w->now_ms : -1;
	r->log_start_offset = w->log->start;
	r->settled = log_settled_offset(w->log) > r->last_offset;
}

static enum kerr
write_steps(struct write *w)
{
	enum kerr k;

	if ((k = check_role(w)) != KERR_NONE || (k = place(w)) != KERR_NONE)
		return (k);
	if (w->batches == 0)		/* a fetch response without one whole batch */
		return (KERR_NONE);
	if ((k = take_epochs(w)) != KERR_NONE || (k = make_room(w)) != KERR_NONE || (k = ask_producers(w)) != KERR_NONE)
		return (k);
	if (w->s->result.duplicate) {
		w->s->result.log_start_offset = w->log->start;
		w->s->result.settled = log_settled_offset(w->log) > w->s->result.last_offset;
		return (KERR_NONE);
	}
	if ((k = write_data(w)) != KERR_NONE || (k = tell_producers(w)) != KERR_NONE)
		return (k);
	publish(w);
	fill_result(w);
	return (KERR_NONE);
}

static bool
write_set(struct log *log, struct append_set *s)
{
	struct write w = { .log = log, .s = s, .tail = log_tail(log), .now_ms = clock_wall_ms(log->env->clock) };
	enum kerr k;

	w.set.bytes = slice_of(s->records, s->len);
	s->result = (struct append_result){ .base_offset = -1, .last_offset = -1, .log_append_time_ms = -1, .log_start_offset = -1 };
	k = write_steps(&w);
	must(s->result.error == k);
	if (k != KERR_NONE)
		metric_add(log->env->metrics, METRIC_append_failed_total, 1);
	return (k == KERR_NONE && !s->result.duplicate && w.batches > 0);
}

/* ---- draining ---- */

/* on_loop: a slow disk is waited for once. */
static struct append_set *
take_next(struct log *log, uint64_t written, bool on_loop)
{
	bool enough = written >= LIMIT_DRAIN_BYTES_MAX || (on_loop && log->dir->slow && log->env->workers != NULL);
	struct append_set *s = NULL;

	lock_acquire(&log->lock);
	/* The first one always: log_append has promised it to its caller. */
	if ((written == 0 || (log->wanted == 0 && !enough)) && (s = STAILQ_FIRST(&log->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&log->queue, link);
		log->queue_bytes -= s->len;
	}
	lock_release(&log->lock);
	return (s);
}

static bool
flush_messages_due(struct log *log)
{
	bool due;

	lock_acquire(&log->lock);
	due = log->tail_end - log->recovery_point >= log->options.flush_messages;
	lock_release(&log->lock);
	return (due);
}

static void
fail_written(struct set_queue *sets, enum kerr k, const char *words)
{
	struct append_set *s;

	STAILQ_FOREACH(s, sets, link)
		if (s->result.error == KERR_NONE)
			(void)refuse(s, k, words);
}

static void
flush_before_answers(struct log *log, struct set_queue *sets)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	log_flush_begin(log);
	e = log_flush_to(log, log->tail_end, true, &eb);
	log_flush_end(log);
	if (e != OK)
		fail_written(sets, KERR_KAFKA_STORAGE_ERROR, e == ERR_OFFLINE ? "the log directory is offline" : eb.text);
}

static void
complete_all(struct set_queue *sets, const struct append_set *own)
{
	struct append_set *s;

	while ((s = STAILQ_FIRST(sets)) != NULL) {
		STAILQ_REMOVE_HEAD(sets, link);
		log_complete(s, s == own);
	}
}

/* The caller has taken ownership; it is given up here.  `own` may be NULL. */
static void
drain(struct log *log, const struct append_set *own)
{
	struct set_queue sets = STAILQ_HEAD_INITIALIZER(sets);
	struct append_set *s;
	uint64_t written = 0;
	bool moved = false;

	while ((s = take_next(log, written, own != NULL)) != NULL) {
		written += s->len;
		moved |= write_set(log, s);
		STAILQ_INSERT_TAIL(&sets, s, link);
	}
	if (moved && flush_messages_due(log))
		flush_before_answers(log, &sets);
	log_disown(log);
	if (moved)
		log_settle_later(log);
	if (moved && log->env->events.end_offset_moved != NULL)
		log->env->events.end_offset_moved(log->env->events.ctx, log);
	complete_all(&sets, own);
}

/* Who waits in log_own comes first: a worker that has just given the log up would always be faster than he is.  What is left then is drained after him. */
static bool
try_own(struct log *log)
{
	bool got;

	lock_acquire(&log->lock);
	log->drain_scheduled = false;
	got = !log->owned && log->wanted == 0 && !STAILQ_EMPTY(&log->queue);
	log->owned = log->owned || got;
	lock_release(&log->lock);
	return (got);
}

static void
drain_job(struct job *j)
{
	struct log *log = CONTAINER_OF(j, struct log, drain_job);

	/* When it is owned now, or about to be, log_disown will come back here for what is left. */
	if (try_own(log))
		drain(log, NULL);
	log_unref(&log);
}

/* What flushes before it answers does not stand in the way of what only writes. */
void
log_drain_later(struct log *log)
{
	struct workers *drainer;
	bool submit, flushes;

	lock_acquire(&log->lock);
	flushes = log->young || log->options.flush_messages < INT64_MAX;
	submit = !log->drain_scheduled && !STAILQ_EMPTY(&log->queue);
	log->drain_scheduled |= submit;
	lock_release(&log->lock);
	if (!submit)
		return;
	(void)log_ref(log);
	drainer = flushes ? log->dir->syncer : log->dir->writer;
	log->drain_job = (struct job){ .run = drain_job, .key = drainer == NULL && dir_is_slow(log->dir) ? log->dir : NULL };
	if (drainer == NULL)
		drainer = log->env->workers;
	if (drainer != NULL)
		workers_submit(drainer, &log->drain_job);
	else
		drain_job(&log->drain_job);
}

void
log_write_owned(struct log *log, struct append_set *s)
{
	must(log->owned);
	(void)write_set(log, s);
}

/* ---- the call ---- */

enum entry { ENTRY_DRAIN, ENTRY_LATER, ENTRY_LEFT, ENTRY_FULL, ENTRY_CLOSED };

/* Under lock: this set is not for the loop. */
static bool
is_for_workers(const struct log *log)
{
	if (log->dir->apart)
		return (true);
	return (log->env->workers != NULL && (log->young || dir_is_slow(log->dir) || log->options.flush_messages < INT64_MAX));
}

static enum entry
enter(struct log *log, struct append_set *s)
{
	enum entry how = ENTRY_LEFT;

	lock_acquire(&log->lock);
	if (log->state != LOG_OPEN)
		how = ENTRY_CLOSED;
	else if (log->queue_bytes > 0 && log->queue_bytes + s->len > LIMIT_LOG_QUEUE_BYTES_MAX)
		how = ENTRY_FULL;
	else {
		if (STAILQ_EMPTY(&log->queue) && !log->owned)
			how = is_for_workers(log) ? ENTRY_LATER : ENTRY_DRAIN;
		log->owned = log->owned || how == ENTRY_DRAIN;
		STAILQ_INSERT_TAIL(&log->queue, s, link);
		log->queue_bytes += s->len;
	}
	lock_release(&log->lock);
	return (how);
}

enum log_append_status
log_append(struct log *log, struct append_set *s)
{
	struct log *to;

	must(s->len > 0 && s->records != NULL);
	s->result = (struct append_result){ .base_offset = -1, .last_offset = -1, .log_append_time_ms = -1, .log_start_offset = -1 };
	if (log->dir->offline) {
		(void)refuse(s, KERR_KAFKA_STORAGE_ERROR, "the log directory is offline");
		return (LOG_DONE);
	}
	switch (enter(log, s)) {
	case ENTRY_DRAIN:
		drain(log, s);
		return (LOG_DONE);
	case ENTRY_LATER:
		log_drain_later(log);
		return (LOG_PENDING);
	case ENTRY_LEFT:
		return (LOG_PENDING);
	case ENTRY_FULL:
		(void)refuse(s, KERR_REQUEST_TIMED_OUT, "too many bytes wait to be appended to this log");
		return (LOG_DONE);
	case ENTRY_CLOSED:
		if ((to = log_moved_to(log)) != NULL)
			return (log_append(to, s));
		(void)refuse(s, KERR_NOT_LEADER_OR_FOLLOWER, "the log is closed");
		return (LOG_DONE);
	}
	unreachable("append entry");
}
