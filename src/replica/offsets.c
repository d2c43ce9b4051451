/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/offsets.c - see offsets.h.
 *
 * The whole request goes through one worker job: a look-up by time reads an index and inflates a batch, and a request mixes them with cheap ones.
 * A request of only cheap look-ups costs that hop too, and no client sends these often.
 */
#include "replica/offsets.h"
#include "replica/replica_int.h"

static void
item_latest(struct replica_offsets *r, struct replica_offset_item *it, struct log *log)
{
	it->leader_epoch = partition_state(it->p)->leader_epoch;
	if (r->replica_id != -1)
		it->offset = log_end_offset(log);
	else
		it->offset = r->read_committed ? log_last_stable_offset(log) : log_high_watermark(log);
}

static int64_t
fetchable_end(const struct replica_offsets *r, struct log *log)
{
	if (r->replica_id != -1)
		return (log_end_offset(log));
	return (r->read_committed ? log_last_stable_offset(log) : log_high_watermark(log));
}

static enum kerr
item_look_up(struct replica_offsets *r, struct replica_offset_item *it)
{
	struct log *log = partition_log(it->p);
	struct log_time_offset found;
	enum kerr k;

	if (log == NULL)
		return (KERR_NOT_LEADER_OR_FOLLOWER);
	if (it->timestamp_ms == LOG_TIME_LATEST) {
		item_latest(r, it, log);
		return (KERR_NONE);
	}
	k = log_offset_for_time(log, it->timestamp_ms, &found);
	if (k != KERR_NONE || !found.found)
		return (k);
	/* What a consumer may not read yet is not found, except the two ends. */
	if (it->timestamp_ms != LOG_TIME_EARLIEST && it->timestamp_ms != LOG_TIME_EARLIEST_LOCAL && found.offset >= fetchable_end(r, log))
		return (KERR_NONE);
	it->offset = found.offset;
	it->found_timestamp_ms = found.timestamp_ms;
	it->leader_epoch = found.leader_epoch;
	return (KERR_NONE);
}

static void
offsets_run(struct job *job)
{
	struct replica_offsets *r = CONTAINER_OF(job, struct replica_offsets, job);

	for (uint32_t i = 0; i < r->nitems; i++)
		if (r->items[i].error == KERR_NONE)
			r->items[i].error = item_look_up(r, &r->items[i]);
}

static void
offsets_done(struct job *job)
{
	struct replica_offsets *r = CONTAINER_OF(job, struct replica_offsets, job);

	for (uint32_t i = 0; i < r->nitems; i++)
		partition_unref(&r->items[i].p);
	r->done(r);
}

static enum kerr
item_open(struct replica_manager *m, struct replica_offset_item *it)
{
	if (it->preset != KERR_NONE)
		return (it->preset);
	it->p = replica_partition(m, it->topic, it->partition);
	if (it->p == NULL)
		return (replica_missing(m, it->topic, it->partition));
	return (partition_check_leader(it->p, it->current_leader_epoch));
}

void
replica_list_offsets(struct replica_manager *m, struct replica_offsets *r)
{
	for (uint32_t i = 0; i < r->nitems; i++) {
		struct replica_offset_item *it = &r->items[i];

		it->p = NULL;
		it->found_timestamp_ms = it->offset = -1;
		it->leader_epoch = -1;
		it->error = item_open(m, it);
	}
	r->job = (struct job){ .run = offsets_run, .done = offsets_done, .loop = r->loop };
	workers_submit(m->opt.workers, &r->job);
}
