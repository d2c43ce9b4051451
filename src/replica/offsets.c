/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/offsets.c - see offsets.h.
 *
 * One pool after the other looks at its items: those that touch a disk belong to the threads of their directory, where it has any, all others to the
 * common workers, which come first.  So an ordinary request is one job.  (A look-up by time reads an index and inflates a batch.)
 * A request of only cheap look-ups costs that hop too, and no client sends these often.
 */
#include "replica/offsets.h"
#include "replica/replica_int.h"

enum { REPLICA_CONSUMER = -1, REPLICA_DEBUG = -2 };

static int64_t
fetchable_end(const struct replica_offsets *r, struct log *log)
{
	if (r->replica_id != REPLICA_CONSUMER)
		return (log_end_offset(log));
	return (r->read_committed ? log_last_stable_offset(log) : log_high_watermark(log));
}

/* Said instead of an answer that depends on a high watermark which lags behind what former leaders may have shown. */
static enum kerr
not_yet(const struct replica_offsets *r, const struct replica_offset_item *it, struct log *log)
{
	int64_t epoch_start = partition_state(it->p)->epoch_start;

	return (r->replica_id == REPLICA_CONSUMER && epoch_start > log_high_watermark(log) ? KERR_OFFSET_NOT_AVAILABLE : KERR_NONE);
}

static enum kerr
item_latest(const struct replica_offsets *r, struct replica_offset_item *it, struct log *log)
{
	enum kerr k = not_yet(r, it, log);

	if (k != KERR_NONE)
		return (k);
	it->offset = fetchable_end(r, log);
	it->leader_epoch = partition_state(it->p)->leader_epoch;
	return (KERR_NONE);
}

static enum kerr
item_look_up(struct replica_offsets *r, struct replica_offset_item *it, struct log *log)
{
	bool is_start = it->timestamp_ms == LOG_TIME_EARLIEST || it->timestamp_ms == LOG_TIME_EARLIEST_LOCAL;
	struct log_time_offset found;
	enum kerr k;

	if (it->timestamp_ms == LOG_TIME_LATEST)
		return (item_latest(r, it, log));
	if (it->timestamp_ms == LOG_TIME_LATEST_TIERED)
		return (KERR_NONE);	/* nothing is tiered: -1 */
	k = log_offset_for_time(log, it->timestamp_ms, &found);
	if (k != KERR_NONE)
		return (k);
	/* What a consumer may not read yet is not found. */
	if (!is_start && (!found.found || found.offset >= fetchable_end(r, log)))
		return (not_yet(r, it, log));
	it->offset = found.offset;
	it->found_timestamp_ms = found.timestamp_ms;
	it->leader_epoch = found.leader_epoch;
	return (KERR_NONE);
}

/* ---- v0 ---- */

/* How many of the rows, counted from the oldest, are not younger than asked. */
static uint32_t
rows_until(const struct log_file_time *rows, uint32_t n, int64_t timestamp_ms)
{
	if (timestamp_ms == LOG_TIME_LATEST)
		return (n);
	if (timestamp_ms == LOG_TIME_EARLIEST)
		return (1);
	while (n > 0 && rows[n - 1].time_ms > timestamp_ms)
		n--;
	return (n);
}

/* A consumer sees no offset above the high watermark: it stands for all of those. */
static void
hide_above(struct replica_offset_item *it, int64_t high_watermark)
{
	uint32_t above = 0;

	while (above < it->noffsets && it->offsets[above] > high_watermark)
		above++;
	if (above == 0)
		return;
	it->offsets += above - 1;
	it->noffsets -= above - 1;
	it->offsets[0] = high_watermark;
}

static enum kerr
item_list_files(struct replica_offsets *r, struct replica_offset_item *it, struct log *log)
{
	struct log_file_time *rows;
	uint32_t n;

	if (it->max_offsets < 0)
		return (KERR_UNKNOWN_SERVER_ERROR);	/* Java fails to make such an array */
	if (!log_file_times(log, r->arena, &rows, &n))
		return (KERR_UNKNOWN_SERVER_ERROR);
	n = rows_until(rows, n, it->timestamp_ms);
	it->offsets = ARENA_ARRAY(r->arena, int64_t, (size_t)n + 1);
	if (it->offsets == NULL)
		return (KERR_UNKNOWN_SERVER_ERROR);
	while (n > 0 && it->noffsets < (uint32_t)it->max_offsets)
		it->offsets[it->noffsets++] = rows[--n].offset;
	if (r->replica_id == REPLICA_CONSUMER)
		hide_above(it, log_high_watermark(log));
	return (KERR_NONE);
}

/* ---- the request ---- */

static struct workers *
item_pool(const struct replica_offsets *r, const struct replica_offset_item *it)
{
	bool of_disk = r->by_files || it->timestamp_ms >= 0 || it->timestamp_ms == LOG_TIME_MAX;
	struct log *log = it->error != KERR_NONE || !of_disk ? NULL : partition_log(it->p);
	struct workers *readers = log == NULL ? NULL : log_readers(log);

	return (readers == NULL ? r->manager->opt.workers : readers);
}

static void
item_look(struct replica_offsets *r, struct replica_offset_item *it)
{
	struct log *log = it->error != KERR_NONE ? NULL : partition_log(it->p);

	it->looked = true;
	if (it->error != KERR_NONE)
		return;
	if (log == NULL)	/* gone since it was looked up */
		it->error = KERR_NOT_LEADER_OR_FOLLOWER;
	else
		it->error = r->by_files ? item_list_files(r, it, log) : item_look_up(r, it, log);
}

static void
offsets_run(struct job *job)
{
	struct replica_offsets *r = CONTAINER_OF(job, struct replica_offsets, job);

	for (uint32_t i = 0; i < r->nitems; i++)
		if (!r->items[i].looked && item_pool(r, &r->items[i]) == r->pool)
			item_look(r, &r->items[i]);
}

static void offsets_done(struct job *);

/* false: all has been looked at.  A log that has moved since belongs to another pool now, and has its turn there. */
static bool
offsets_next(struct replica_offsets *r)
{
	struct workers *common = r->manager->opt.workers;

	r->pool = NULL;
	for (uint32_t i = 0; i < r->nitems && r->pool != common; i++)
		if (!r->items[i].looked)
			r->pool = item_pool(r, &r->items[i]);
	if (r->pool == NULL)
		return (false);
	r->job = (struct job){ .run = offsets_run, .done = offsets_done, .loop = r->loop };
	workers_submit(r->pool, &r->job);
	return (true);
}

static void
offsets_done(struct job *job)
{
	struct replica_offsets *r = CONTAINER_OF(job, struct replica_offsets, job);

	if (offsets_next(r))
		return;
	for (uint32_t i = 0; i < r->nitems; i++)
		partition_unref(&r->items[i].p);
	r->done(r);
}

/* Only -1 means "not given" here; what lies below is an epoch, and an old one. */
static enum kerr
below_any_epoch(int32_t current_leader_epoch, enum kerr k)
{
	return (current_leader_epoch < -1 && k != KERR_KAFKA_STORAGE_ERROR ? KERR_FENCED_LEADER_EPOCH : k);
}

static enum kerr
item_open(struct replica_manager *m, const struct replica_offsets *r, struct replica_offset_item *it)
{
	enum kerr k;

	if (it->preset != KERR_NONE)
		return (it->preset);
	it->p = replica_partition(m, it->topic, it->partition);
	if (it->p == NULL)
		return (replica_missing(m, it->topic, it->partition));
	k = r->replica_id == REPLICA_DEBUG ? partition_check_hosted(it->p, it->current_leader_epoch) :
	    partition_check_leader(it->p, it->current_leader_epoch);
	return (below_any_epoch(it->current_leader_epoch, k));
}

void
replica_list_offsets(struct replica_manager *m, struct replica_offsets *r)
{
	r->manager = m;
	for (uint32_t i = 0; i < r->nitems; i++) {
		struct replica_offset_item *it = &r->items[i];

		it->p = NULL;
		it->looked = false;
		it->found_timestamp_ms = it->offset = -1;
		it->leader_epoch = -1;
		it->offsets = NULL;
		it->noffsets = 0;
		it->error = item_open(m, r, it);
	}
	if (offsets_next(r))
		return;
	r->pool = m->opt.workers;	/* nothing is asked: the answer is not given from inside the call */
	r->job = (struct job){ .run = offsets_run, .done = offsets_done, .loop = r->loop };
	workers_submit(m->opt.workers, &r->job);
}

/* ---- by epoch ---- */

enum kerr
replica_end_of_epoch(struct replica_manager *m, struct slice topic, int32_t partition, int32_t current_leader_epoch, int32_t leader_epoch,
    int32_t *epoch, int64_t *end_offset)
{
	struct partition *p = replica_partition(m, topic, partition);
	struct log *log;
	enum kerr k;

	*epoch = -1;
	*end_offset = -1;
	if (p == NULL)
		return (replica_missing(m, topic, partition));
	k = below_any_epoch(current_leader_epoch, partition_check_leader(p, current_leader_epoch));
	log = partition_log(p);
	if (k == KERR_NONE && log == NULL)	/* gone since it was checked */
		k = KERR_NOT_LEADER_OR_FOLLOWER;
	if (k == KERR_NONE)
		log_end_of_epoch(log, leader_epoch, epoch, end_offset);
	partition_unref(&p);
	return (k);
}
