/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/fetch.c - see fetch.h.
 *
 * A fetch is read at once.  When that gives too little, its ranges are dropped, it waits for its partitions, and is read once more at the end:
 * nothing is kept open while it waits.  What it waits for is counted from offsets alone, without touching a file.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "replica/fetch.h"
#include "replica/replica_int.h"

enum {
	REPLICA_FUTURE = -3,	/* Java's threads that move a replica between directories call themselves so */
	WARM_TRIES = 32,	/* each for one directory; then the memory is too short for what is warmed, and the loop reads: a fetch comes to its end */
};

static enum log_bound
fetch_bound(const struct replica_fetch *f)
{
	if (f->replica_id >= 0 || f->replica_id == REPLICA_FUTURE)
		return (LOG_BOUND_END);
	return (f->read_committed ? LOG_BOUND_LAST_STABLE : LOG_BOUND_HIGH_WATERMARK);
}

static void
item_reset(struct replica_fetch_item *it)
{
	file_range_fini(&it->range);
	partition_unref(&it->p);
	it->error = KERR_NONE;
	it->high_watermark = it->last_stable_offset = it->log_start_offset = -1;
	it->range = (struct file_range){ NULL, 0, 0 };
	it->withheld = it->cold = false;
	it->aborted = NULL;
	it->naborted = 0;
	it->diverging_epoch = -1;
	it->diverging_end_offset = -1;
	it->leader_id = it->leader_epoch = -1;
}

/* As we know it ourselves, else as the metadata say. */
/* A follower must be one of the other replicas that the controller named; else it, or we, have not heard the latest. */
static enum kerr
item_check_follower(const struct replica_fetch *f, const struct replica_fetch_item *it)
{
	const struct partition_state *st = partition_state(it->p);

	if (f->replica_id < 0)
		return (KERR_NONE);
	for (uint32_t i = 0; i < st->nreplicas; i++)
		if (st->replicas[i] == f->replica_id && f->replica_id != f->manager->opt.broker_id)
			return (KERR_NONE);
	return (it->current_leader_epoch >= 0 ? KERR_UNKNOWN_LEADER_EPOCH : KERR_NOT_LEADER_OR_FOLLOWER);
}

/* Looks the partition up and makes every check that comes before the offset. */
static enum kerr
item_open(struct replica_fetch *f, struct replica_fetch_item *it)
{
	struct uuid id;
	enum kerr k;

	if (it->preset != KERR_NONE)
		return (it->preset);
	it->p = replica_partition(f->manager, it->topic, it->partition);
	if (it->p == NULL)
		return (replica_missing(f->manager, it->topic, it->partition));
	id = partition_topic_id(it->p);
	if (!uuid_is_zero(it->topic_id) && !uuid_is_zero(id) && !uuid_eq(it->topic_id, id))
		return (KERR_INCONSISTENT_TOPIC_ID);
	k = partition_check_leader(it->p, it->current_leader_epoch);
	return (k == KERR_NONE ? item_check_follower(f, it) : k);
}

/* KIP-595: did the fetcher's last epoch end before where it wants to go on? */
static enum kerr
item_check_divergence(struct replica_fetch_item *it, struct log *log)
{
	int32_t epoch;
	int64_t end;

	if (it->last_fetched_epoch < 0)
		return (KERR_NONE);
	log_end_of_epoch(log, it->last_fetched_epoch, &epoch, &end);
	if (epoch < 0 || end < 0)
		return (KERR_OFFSET_OUT_OF_RANGE);
	if (it->fetch_offset < log_start_offset(log))
		return (KERR_OFFSET_OUT_OF_RANGE);
	if (epoch < it->last_fetched_epoch || end < it->fetch_offset) {
		it->diverging_epoch = epoch;
		it->diverging_end_offset = end;
	}
	return (KERR_NONE);
}

static void
item_take_offsets(struct replica_fetch_item *it, const struct log_read_result *res)
{
	it->high_watermark = res->high_watermark;
	it->last_stable_offset = res->last_stable_offset;
	it->log_start_offset = res->log_start_offset;
}

/* Is there something to read for this fetcher at this offset, which lies in the log? */
static bool
item_has_more(const struct replica_fetch *f, const struct replica_fetch_item *it, const struct log *log, const struct log_read_result *res)
{
	switch (fetch_bound(f)) {
	case LOG_BOUND_LAST_STABLE:
		return (it->fetch_offset < res->last_stable_offset);
	case LOG_BOUND_HIGH_WATERMARK:
		return (it->fetch_offset < res->high_watermark);
	default:
		return (it->fetch_offset < log_end_offset(log));
	}
}

/* ---- reading ---- */

/* Bytes for this item under the limit; 0 on errors, which stand in the item.  A limit below zero is an error where there is something to read. */
static uint64_t
item_read(struct replica_fetch *f, struct replica_fetch_item *it, int64_t limit, bool min_one)
{
	int64_t bytes_max = MIN((int64_t)it->max_bytes, limit);
	struct log_read_options opt = { .offset = it->fetch_offset, .min_one = min_one, .bound = fetch_bound(f) };
	struct log_read_result res;
	struct log *log;

	item_reset(it);
	it->error = item_open(f, it);
	log = it->error == KERR_NONE ? partition_log(it->p) : NULL;
	if (it->error == KERR_NONE)	/* a deletion may have taken the log since item_open looked */
		it->error = log == NULL ? KERR_NOT_LEADER_OR_FOLLOWER : item_check_divergence(it, log);
	if (it->error != KERR_NONE) {
		if (it->error == KERR_NOT_LEADER_OR_FOLLOWER || it->error == KERR_FENCED_LEADER_EPOCH)
			partition_name_leader(f->manager, it->p, it->topic, it->partition, &it->leader_id, &it->leader_epoch);
		return (0);
	}
	opt.bytes_max = it->diverging_epoch >= 0 ? 0 : (uint64_t)MAX(bytes_max, 0);
	opt.min_one = min_one && it->diverging_epoch < 0;
	opt.no_wait = log_is_apart(log) && f->warmed < WARM_TRIES;
	it->error = log_read(log, &opt, f->arena, &res);
	if (it->error == KERR_NONE && res.cold) {
		it->cold = true;
		return (0);
	}
	if (it->error != KERR_NONE) {
		if (it->diverging_epoch < 0)
			return (0);
		it->error = KERR_NONE;	/* truncation comes first: the offset itself may be beyond our end */
		it->high_watermark = log_high_watermark(log);
		it->last_stable_offset = log_last_stable_offset(log);
		it->log_start_offset = log_start_offset(log);
		return (0);
	}
	if (bytes_max < 0 && it->diverging_epoch < 0 && item_has_more(f, it, log, &res)) {
		it->error = KERR_UNKNOWN_SERVER_ERROR;
		log_read_result_fini(&res);
		return (0);
	}
	item_take_offsets(it, &res);
	/* A client that is promised whole batches gets none rather than a part of one. */
	if (f->min_one && res.range.len < res.first_batch_len) {
		it->withheld = true;
		log_read_result_fini(&res);
		return (0);
	}
	it->range = res.range;
	it->aborted = res.aborted;
	it->naborted = res.naborted;
	return (res.range.len);
}

/* Reads every item; true: the answer may go out (enough bytes, or something that should not wait). */
static bool
fetch_read(struct replica_fetch *f)
{
	uint64_t total = 0;
	int64_t left = f->max_bytes;
	bool min_one = f->min_one, urgent = false;

	for (uint32_t i = 0; i < f->nitems; i++) {
		uint64_t got = item_read(f, &f->items[i], left, min_one);

		if (got > 0)
			min_one = false;
		left = MAX(left - (int64_t)got, 0);
		total += got;
		urgent = urgent || f->items[i].error != KERR_NONE || f->items[i].diverging_epoch >= 0;
	}
	return (urgent || total >= (uint64_t)MAX(f->min_bytes, 0));
}

static void
fetch_release(struct replica_fetch *f)
{
	free(f->links);
	free(f->keys);
	f->links = NULL;
	f->keys = NULL;
	for (uint32_t i = 0; i < f->nitems; i++)
		partition_unref(&f->items[i].p);
}

/* ---- waiting ---- */

static uint64_t
item_available(const struct replica_fetch *f, const struct replica_fetch_item *it, bool *changed)
{
	struct log *log = partition_log(it->p);

	if (partition_check_leader(it->p, it->current_leader_epoch) != KERR_NONE || log == NULL ||
	    it->fetch_offset > log_end_offset(log) || it->fetch_offset < log_start_offset(log)) {
		*changed = true;
		return (0);
	}
	return (MIN(log_bytes_available(log, it->fetch_offset, fetch_bound(f)), (uint64_t)MAX(it->max_bytes, 0)));
}

/* Would reading now give an answer?  `key` is the partition that moved, NULL when all should be looked at. */
static bool
fetch_is_due(struct replica_fetch *f, const void *key)
{
	uint64_t total = 0, moved = 0;
	bool changed = false;

	for (uint32_t i = 0; i < f->nitems && key != NULL; i++)
		if (f->items[i].p == key)
			moved += item_available(f, &f->items[i], &changed);
	if (changed || (key != NULL && moved >= (uint64_t)MAX(f->min_bytes, 0)))
		return (true);
	if (key != NULL && moved == 0)
		return (false);
	for (uint32_t i = 0; i < f->nitems && !changed; i++)
		total += item_available(f, &f->items[i], &changed);
	return (changed || total >= (uint64_t)MAX(f->min_bytes, 0));
}

static bool
wait_try(struct waiter *w, const void *key)
{
	struct replica_fetch *f = CONTAINER_OF(w, struct replica_fetch, waiter);

	if (key != NULL)
		partition_note_waiter((struct partition *)(uintptr_t)key, manager_loop_index(f->manager, f->loop));
	return (f->manager->stopping || fetch_is_due(f, key));
}

static bool fetch_step(struct replica_fetch *);

/* Woken, or the time is up. */
static void
wait_over(struct waiter *w)
{
	struct replica_fetch *f = CONTAINER_OF(w, struct replica_fetch, waiter);

	f->last = true;
	if (fetch_step(f))
		f->done(f);
}

/* false: by now it is due after all. */
static bool
fetch_wait(struct replica_fetch *f)
{
	uint32_t loop = manager_loop_index(f->manager, f->loop);

	free(f->links);
	free(f->keys);
	f->links = xcalloc((size_t)f->nitems + 1, sizeof(*f->links));
	f->keys = xcalloc((size_t)f->nitems + 1, sizeof(*f->keys));
	for (uint32_t i = 0; i < f->nitems; i++) {
		file_range_fini(&f->items[i].range);
		partition_note_waiter(f->items[i].p, loop);
		f->keys[i] = f->items[i].p;
	}
	if (fetch_is_due(f, NULL))
		return (false);
	f->waiter = (struct waiter){ .try = wait_try, .done = wait_over, .expire = wait_over };
	wait_begin(f->manager->loops[loop].waits, &f->waiter, f->links, f->nitems, f->keys, f->max_wait_ms);
	return (true);
}

/* ---- cold records ---- */

/* All that is cold in one directory: the directories do not wait for each other's disks. */
struct fetch_warming {
	struct job	      job;
	struct replica_fetch *f;	/* NULL: it was cancelled */
	enum log_bound	      bound;
	uint32_t	      n;
	struct cold {
		struct log *log;	/* referenced, until it was read */
		int64_t	    offset;
	} items[];
};

static void
warm_run(struct job *job)
{
	struct fetch_warming *w = CONTAINER_OF(job, struct fetch_warming, job);

	for (uint32_t i = 0; i < w->n; i++) {
		log_warm(w->items[i].log, w->items[i].offset, w->bound);
		log_unref(&w->items[i].log);
	}
}

static void
warm_done(struct job *job)
{
	struct fetch_warming *w = CONTAINER_OF(job, struct fetch_warming, job);
	struct replica_fetch *f = w->f;

	free(w);
	if (f == NULL)
		return;
	f->warming = NULL;
	f->warmed++;
	if (fetch_step(f))
		f->done(f);
}

/* false: nothing is cold. */
static bool
fetch_warm(struct replica_fetch *f)
{
	struct fetch_warming *w = NULL;
	struct workers *readers = NULL;

	for (uint32_t i = 0; i < f->nitems; i++) {
		struct replica_fetch_item *it = &f->items[i];
		struct log *log = it->cold ? partition_log(it->p) : NULL;

		if (it->cold && log == NULL)	/* deleted since it was read */
			it->error = KERR_NOT_LEADER_OR_FOLLOWER;
		if (log == NULL || (w != NULL && log_dir(log) != log_dir(w->items[0].log)))
			continue;
		if (w == NULL) {
			w = xcalloc(1, sizeof(*w) + (f->nitems - i) * sizeof(w->items[0]));
			readers = log_readers(log);
		}
		w->items[w->n++] = (struct cold){ log_ref(log), it->fetch_offset };
	}
	if (w == NULL)
		return (false);
	w->f = f;
	w->bound = fetch_bound(f);
	w->job = (struct job){ .run = warm_run, .done = warm_done, .loop = f->loop };
	f->warming = w;
	workers_submit(readers, &w->job);
	return (true);
}

/* ---- the request ---- */

/* true: it is answered.  false: it will be, by whatever it waits for. */
static bool
fetch_step(struct replica_fetch *f)
{
	bool enough = fetch_read(f);

	if (fetch_warm(f))
		return (false);
	if (!enough && !f->last && f->max_wait_ms > 0 && f->nitems > 0 && !f->manager->stopping) {
		if (fetch_wait(f))
			return (false);
		f->last = true;
		return (fetch_step(f));
	}
	fetch_release(f);
	return (true);
}

bool
replica_fetch(struct replica_manager *m, struct replica_fetch *f)
{
	f->manager = m;
	f->last = false;
	f->warmed = 0;
	f->warming = NULL;
	f->links = NULL;
	f->keys = NULL;
	for (uint32_t i = 0; i < f->nitems; i++) {
		f->items[i].p = NULL;
		f->items[i].range = (struct file_range){ NULL, 0, 0 };
	}
	return (fetch_step(f));
}

void
replica_fetch_cancel(struct replica_fetch *f)
{
	if (f->warming != NULL)
		f->warming->f = NULL;
	else
		wait_cancel(&f->waiter);
	f->warming = NULL;
	for (uint32_t i = 0; i < f->nitems; i++)
		file_range_fini(&f->items[i].range);
	fetch_release(f);
}
