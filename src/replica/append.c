/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/append.c - see append.h.
 *
 * PATH       prepare (partition, role, ISR) -> validate (here, or one worker job for all large items) -> log_append per item -> written ->
 *            acks = -1: wait for the high watermark; acks = 1: until it is settled, which without group commit it is -> done.
 *
 * INVARIANTS
 *   (1) Callbacks run on the request's loop, in the order queued, written, done, each once, none inside replica_append: what could be told
 *       at once is told by a task.
 *   (2) After an item was given to log_append, its answer is what the log says; what was true before (role, ISR) was only a quick refusal.
 *   (3) An item that waits has been written.  Its answer then depends on the high watermark and on this broker leading without a break since
 *       it was written: under another leader the record may have been cut away.  A new epoch of our own takes nothing away.  A duplicate
 *       waits as what it repeats does.
 *   (4) Nobody waits once the manager is stopping: the flag is set before each loop's stop_task is posted, and looked at before each wait.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "replica/append.h"
#include "replica/replica_int.h"

static void append_advance(struct replica_append *);

static void
item_refuse(struct replica_append_item *it, enum kerr error, const char *message)
{
	it->error = error;
	it->error_message = message;
	it->base_offset = -1;
	it->log_append_time_ms = -1;
	it->log_start_offset = -1;
}

/* Java gives the log start offset with those errors that are found while the log is at hand, except the ones listed here. */
static void
item_refuse_with_start(struct replica_append_item *it, enum kerr error, const char *message)
{
	struct log *log = it->p == NULL ? NULL : partition_log(it->p);

	item_refuse(it, error, message);
	switch (error) {
	case KERR_UNKNOWN_TOPIC_OR_PARTITION:
	case KERR_NOT_LEADER_OR_FOLLOWER:
	case KERR_INVALID_REQUIRED_ACKS:
	case KERR_INVALID_TOPIC_EXCEPTION:
	case KERR_MESSAGE_TOO_LARGE:
	case KERR_RECORD_LIST_TOO_LARGE:
	case KERR_CORRUPT_MESSAGE:
	case KERR_KAFKA_STORAGE_ERROR:
		break;
	default:
		if (log != NULL)
			it->log_start_offset = log_start_offset(log);
	}
}

/* ---- prepare ---- */

static enum kerr
item_check(struct replica_append *r, struct replica_append_item *it)
{
	struct replica_manager *m = r->manager;
	const struct partition_state *st;
	enum kerr k;

	it->p = replica_partition(m, it->topic, it->partition);
	k = it->p != NULL ? KERR_NONE : replica_missing(m, it->topic, it->partition);
	if (k == KERR_UNKNOWN_TOPIC_OR_PARTITION)	/* comes before all else, as in Java */
		return (k);
	if (r->acks < -1 || r->acks > 1)
		return (KERR_INVALID_REQUIRED_ACKS);
	if (topic_is_internal(it->topic) && !r->internal_topics_allowed)
		return (KERR_INVALID_TOPIC_EXCEPTION);
	if (m->refusing || m->stopping)
		return (KERR_NOT_LEADER_OR_FOLLOWER);
	if (it->p == NULL)
		return (k);
	k = partition_check_leader(it->p, -1);
	if (k != KERR_NONE)
		return (k);
	st = partition_state(it->p);
	if (r->acks == APPEND_ACKS_ALL && (int32_t)st->nisr < partition_effective_min_isr(it->p, st))
		return (KERR_NOT_ENOUGH_REPLICAS);
	return (KERR_NONE);
}

/* A transactional batch needs a transaction coordinator that says the partition belongs to the transaction; there is none.  Java asks it before it
 * looks at the records, about batches that name a producer, and answers as if replicas were missing, so that producers try again. */
static const char not_verified[] = "The transaction coordinator that could verify the partition's part in the transaction is not available.";

static bool
item_needs_verification(const struct replica_append *r, const struct replica_append_item *it)
{
	struct batch_iter i = batch_iter_of(slice_of(it->records, it->records_len));
	struct batch_header h;
	struct slice whole;

	while (r->origin == RECORD_FROM_CLIENT && batch_iter_next(&i, &h, &whole) == OK)
		if (batch_is_transactional(&h) && batch_has_producer(&h))
			return (true);
	return (false);
}

/* Before it is refused for its acks, leader or transaction: records that are no batch are refused for that, as in Java. */
static bool
item_refuse_framing(struct replica_append *r, struct replica_append_item *it)
{
	struct record_request rq = { .origin = r->origin, .produce_version = r->produce_version };
	struct record_failure f;
	enum kerr k = record_validate_framing(slice_of(it->records, it->records_len), &rq, r->arena, &f);

	if (k != KERR_NONE)
		item_refuse(it, k, f.error_message);
	return (k != KERR_NONE);
}

static void
item_prepare(struct replica_append *r, struct replica_append_item *it)
{
	enum kerr k;
	bool verify;

	it->request = r;
	it->p = NULL;
	it->rebuilt = NULL;
	it->record_errors = NULL;
	it->nrecord_errors = 0;
	it->wait_for = -1;
	it->leader_id = it->leader_epoch = -1;
	it->large = false;
	item_refuse(it, KERR_NONE, NULL);
	k = item_check(r, it);
	verify = k == KERR_NONE && item_needs_verification(r, it);
	if ((verify || (k != KERR_NONE && k != KERR_UNKNOWN_TOPIC_OR_PARTITION)) && item_refuse_framing(r, it))
		return;
	if (verify) {
		item_refuse(it, KERR_NOT_ENOUGH_REPLICAS, not_verified);
		return;
	}
	if (k != KERR_NONE) {
		item_refuse_with_start(it, k, NULL);
		return;
	}
	it->large = record_validate_is_large(slice_of(it->records, it->records_len), &reclaim_read(&it->p->config)->rules);
}

/* ---- validate: the loop, or a worker ---- */

static void
item_validate(struct replica_append *r, struct replica_append_item *it, struct codec_ctx *codec)
{
	const struct record_rules *rules = &reclaim_read(&it->p->config)->rules;
	struct slice bytes = slice_of(it->records, it->records_len);
	struct record_request rq = {
	    .origin = r->origin,
	    .produce_version = r->produce_version,
	    .now_ms = clock_wall_ms(r->manager->opt.clock),
	    .topic = it->p->topic,
	    .partition = it->partition,
	};
	struct record_failure f = { .code = KERR_NONE };
	enum kerr k;

	k = record_validate(bytes, rules, &rq, codec, r->arena, &it->info, &f);
	if (k == KERR_NONE && it->info.needs_rebuild)
		k = record_rebuild(bytes, rules, &rq, codec, r->arena, &it->info, &it->rebuilt, &f);
	if (k == KERR_NONE)
		return;
	if (f.of_framing)
		item_refuse(it, k, f.error_message);
	else
		item_refuse_with_start(it, k, f.error_message);
	it->record_errors = f.errors;
	it->nrecord_errors = (uint32_t)f.n_errors;
}

static void
validate_on_worker(struct job *job)
{
	struct replica_append *r = CONTAINER_OF(job, struct replica_append, job);
	struct codec_ctx *codec = codec_ctx_new();

	for (uint32_t i = 0; i < r->nitems; i++)
		if (r->items[i].error == KERR_NONE && r->items[i].large)
			item_validate(r, &r->items[i], codec);
	codec_ctx_free(codec);
}

static void
validate_here(struct replica_append *r)
{
	uint32_t loop = manager_loop_index(r->manager, r->loop);

	for (uint32_t i = 0; i < r->nitems; i++)
		if (r->items[i].error == KERR_NONE && !r->items[i].large)
			item_validate(r, &r->items[i], r->manager->loops[loop].codec);
}

/* ---- write ---- */

static void
item_written(struct replica_append_item *it)
{
	struct append_result *res = &it->set.result;

	if (res->error != KERR_NONE) {
		item_refuse_with_start(it, res->error, NULL);
		return;
	}
	it->base_offset = res->base_offset;
	it->log_append_time_ms = res->log_append_time_ms;
	it->log_start_offset = res->log_start_offset;
	partition_progress(it->p);
	if (it->request->acks == APPEND_ACKS_ALL || (it->request->acks == 1 && !res->settled))
		it->wait_for = res->last_offset + 1;
}

static void
set_done(struct append_set *set)
{
	struct replica_append_item *it = CONTAINER_OF(set, struct replica_append_item, set);
	struct replica_append *r = it->request;

	item_written(it);
	must(r->unwritten > 0);
	if (--r->unwritten == 0 && r->told_queued)
		append_advance(r);
}

static enum append_origin
log_origin(const struct replica_append *r)
{
	return (r->origin == RECORD_FROM_CLIENT ? APPEND_CLIENT : APPEND_COORDINATOR);
}

static void
item_queue(struct replica_append *r, struct replica_append_item *it)
{
	const struct replica_topic_config *config = reclaim_read(&it->p->config);
	const struct partition_state *st = partition_state(it->p);
	struct log *log = partition_log(it->p);

	if (log == NULL || !st->leader) {	/* lost while a worker validated */
		item_refuse_with_start(it, st->offline ? KERR_KAFKA_STORAGE_ERROR : KERR_NOT_LEADER_OR_FOLLOWER, NULL);
		return;
	}
	if (it->info.size == 0) {	/* an old client's empty set: no error, no offset */
		it->log_start_offset = log_start_offset(log);
		return;
	}
	it->set = (struct append_set){
	    .records = it->rebuilt != NULL ? it->rebuilt : it->records,
	    .len = it->info.size,
	    .origin = log_origin(r),
	    .info = r->origin == RECORD_FROM_CLIENT ? &it->info : NULL,
	    .leader_epoch = st->leader_epoch,
	    .acks_all = r->acks == APPEND_ACKS_ALL,
	    .log_append_time = config->rules.timestamp_type == TIMESTAMP_LOG_APPEND_TIME,
	    .loop = r->loop,
	    .done = set_done,
	};
	r->unwritten++;
	if (log_append(log, &it->set) == LOG_PENDING)
		return;
	r->unwritten--;
	item_written(it);
}

static void
queue_all(struct replica_append *r)
{
	for (uint32_t i = 0; i < r->nitems; i++)
		if (r->items[i].error == KERR_NONE)
			item_queue(r, &r->items[i]);
}

/* ---- wait ---- */

/* Why a written item cannot be waited for any longer. */
static enum kerr
item_lost(const struct replica_append_item *it)
{
	struct replica_manager *m = it->request->manager;
	struct partition *p = replica_partition(m, it->topic, it->partition);
	enum kerr k;

	if (p == NULL)
		return (replica_missing(m, it->topic, it->partition));
	k = partition_state(p)->offline ? KERR_KAFKA_STORAGE_ERROR : KERR_NOT_LEADER_OR_FOLLOWER;
	partition_unref(&p);
	return (k);
}

static bool
item_reached(const struct replica_append_item *it, struct log *log)
{
	int64_t offset = it->request->acks == APPEND_ACKS_ALL ? log_high_watermark(log) : log_settled_offset(log);

	return (offset >= it->wait_for);
}

/* Has this written item its answer?  Whatever it is, the offsets stay in it, as in Java. */
static bool
item_answered(struct replica_append_item *it)
{
	const struct partition_state *st;
	struct log *log;

	if (it->wait_for < 0)	/* not written, perhaps of a partition that does not exist */
		return (true);
	st = partition_state(it->p);
	log = partition_log(it->p);
	if (!st->leader || log == NULL || it->set.leader_epoch < st->leader_since)
		it->error = item_lost(it);
	else if (!item_reached(it, log))
		return (false);
	else if (it->request->acks == APPEND_ACKS_ALL && (int32_t)st->nisr < partition_effective_min_isr(it->p, st))
		it->error = KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
	it->wait_for = -1;
	return (true);
}

static bool
all_answered(struct replica_append *r)
{
	bool all = true;

	for (uint32_t i = 0; i < r->nitems; i++)
		all = item_answered(&r->items[i]) && all;
	return (all);
}

static void
append_finish(struct replica_append *r)
{
	free(r->links);
	free(r->keys);
	r->links = NULL;
	r->keys = NULL;
	for (uint32_t i = 0; i < r->nitems; i++) {
		if (r->items[i].error == KERR_NOT_LEADER_OR_FOLLOWER)
			partition_name_leader(r->manager, r->items[i].p, r->items[i].topic, r->items[i].partition, &r->items[i].leader_id,
			    &r->items[i].leader_epoch);
		partition_unref(&r->items[i].p);
	}
	r->done(r);
}

static bool
wait_try(struct waiter *w, const void *key)
{
	struct replica_append *r = CONTAINER_OF(w, struct replica_append, waiter);
	uint32_t loop = manager_loop_index(r->manager, r->loop);

	if (key != NULL)
		partition_note_waiter((struct partition *)(uintptr_t)key, loop);
	return (all_answered(r) || r->manager->stopping);
}

/* The time is up, or all are answered, or the broker ends. */
static void
wait_over(struct waiter *w)
{
	struct replica_append *r = CONTAINER_OF(w, struct replica_append, waiter);

	for (uint32_t i = 0; i < r->nitems; i++)
		if (!item_answered(&r->items[i]))
			r->items[i].error = KERR_REQUEST_TIMED_OUT;
	append_finish(r);
}

static void
wait_for_replicas(struct replica_append *r)
{
	uint32_t loop = manager_loop_index(r->manager, r->loop), n = 0;

	if (all_answered(r)) {		/* most often */
		append_finish(r);
		return;
	}
	r->links = xcalloc((size_t)r->nitems + 1, sizeof(*r->links));
	r->keys = xcalloc((size_t)r->nitems + 1, sizeof(*r->keys));
	for (uint32_t i = 0; i < r->nitems; i++)
		if (r->items[i].wait_for >= 0) {
			partition_note_waiter(r->items[i].p, loop);
			r->keys[n++] = r->items[i].p;
		}
	if (all_answered(r)) {		/* meanwhile: from here on a waiter would be woken */
		append_finish(r);
		return;
	}
	r->waiter = (struct waiter){ .try = wait_try, .done = wait_over, .expire = wait_over };
	if (r->manager->stopping)
		wait_over(&r->waiter);
	else
		wait_begin(r->manager->loops[loop].waits, &r->waiter, r->links, n, r->keys, MAX(r->timeout_ms, 0));
}

/* ---- the request ---- */

static void
records_drop(struct replica_append *r)
{
	for (uint32_t i = 0; i < r->nitems; i++) {
		free(r->items[i].rebuilt);
		r->items[i].rebuilt = NULL;
	}
}

static void
append_advance(struct replica_append *r)
{
	if (!r->told_queued) {
		r->told_queued = true;
		if (r->queued != NULL)
			r->queued(r);
	}
	if (r->unwritten > 0 || r->told_written)
		return;
	r->told_written = true;
	records_drop(r);
	if (r->written != NULL)
		r->written(r);
	wait_for_replicas(r);
}

static void
advance_task(struct task *task)
{
	append_advance(CONTAINER_OF(task, struct replica_append, task));
}

static void
validated(struct job *job)
{
	struct replica_append *r = CONTAINER_OF(job, struct replica_append, job);

	validate_here(r);
	queue_all(r);
	append_advance(r);
}

void
replica_append(struct replica_manager *m, struct replica_append *r)
{
	bool large = false;

	r->manager = m;
	r->unwritten = 0;
	r->told_queued = r->told_written = false;
	r->links = NULL;
	r->keys = NULL;
	for (uint32_t i = 0; i < r->nitems; i++) {
		item_prepare(r, &r->items[i]);
		large = large || (r->items[i].error == KERR_NONE && r->items[i].large);
	}
	r->later = large;
	if (large) {
		r->job = (struct job){ .run = validate_on_worker, .done = validated, .loop = r->loop };
		workers_submit(m->opt.workers, &r->job);
		return;
	}
	validate_here(r);
	queue_all(r);
	r->task.fn = advance_task;
	loop_post(r->loop, &r->task);
}
