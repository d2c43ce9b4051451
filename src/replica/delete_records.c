/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/delete_records.c - see delete_records.h.
 *
 * PATH       every item: checks -> the log's own start goes up -> its low watermark.  If one is still below what was asked, the request waits for
 *            that in the loop's wait table, and each item is looked at again whenever its partition has news.
 *
 * INVARIANTS
 *   (1) No item fails for another: what was deleted is deleted, whatever becomes of the rest.
 *   (2) Nobody waits once the manager is stopping.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "replica/delete_records.h"
#include "replica/replica_int.h"

/* A follower's start is known from its fetches; one that lives and has not fetched yet (none of ours has) holds the low watermark at -1. */
static int64_t
low_watermark(const struct partition *p, const struct partition_state *st, struct log *log)
{
	const struct image *im = cluster_read(p->manager->opt.cluster);

	for (uint32_t i = 0; i < st->nreplicas; i++)
		if (st->replicas[i] != p->manager->opt.broker_id && image_broker(im, st->replicas[i]) != NULL)
			return (-1);
	return (log_start_offset(log));
}

/* ---- the first look ---- */

/* In Java's order: whether the metadata know it, Kafka's own topics, presence here, leadership, policy, range. */
static enum kerr
item_delete(struct replica_manager *m, struct replica_delete_item *it)
{
	enum kerr k = replica_missing(m, it->topic, it->partition);
	struct log *log;
	int64_t start;

	if (k == KERR_UNKNOWN_TOPIC_OR_PARTITION)
		return (k);
	if (topic_is_internal(it->topic))
		return (KERR_INVALID_TOPIC_EXCEPTION);
	it->p = replica_partition(m, it->topic, it->partition);
	if (it->p == NULL)
		return (k);
	k = partition_check_leader(it->p, -1);
	if (k != KERR_NONE)
		return (k);
	if (!partition_config(it->p)->log.cleanup_delete)
		return (KERR_POLICY_VIOLATION);
	log = partition_log(it->p);
	if (log == NULL)	/* gone since it was checked */
		return (KERR_NOT_LEADER_OR_FOLLOWER);
	if (it->offset == DELETE_TO_HIGH_WATERMARK)
		it->offset = log_high_watermark(log);
	k = log_delete_records(log, it->offset, &start);
	if (k != KERR_NONE)
		return (k);
	it->low_watermark = low_watermark(it->p, partition_state(it->p), log);
	if (it->low_watermark < it->offset)
		it->wait_for = it->offset;
	return (KERR_NONE);
}

static void
item_begin(struct replica_manager *m, struct replica_delete_item *it)
{
	it->p = NULL;
	it->wait_for = -1;
	it->low_watermark = -1;
	it->error = KERR_NONE;
	it->error = item_delete(m, it);
}

/* ---- waiting ---- */

/* Why a partition that led when its start went up cannot be waited for any longer. */
static enum kerr
item_lost(const struct replica_delete_item *it)
{
	struct partition *now = replica_partition(it->p->manager, it->topic, it->partition);
	enum kerr k = KERR_UNKNOWN_TOPIC_OR_PARTITION;

	if (now != NULL)
		k = partition_state(now)->offline ? KERR_KAFKA_STORAGE_ERROR : KERR_NOT_LEADER_OR_FOLLOWER;
	partition_unref(&now);
	return (k);
}

/* Has it its answer? */
static bool
item_answered(struct replica_delete_item *it)
{
	const struct partition_state *st;
	struct log *log;

	if (it->wait_for < 0)
		return (true);
	st = partition_state(it->p);
	log = partition_log(it->p);
	if (!st->leader || log == NULL) {
		it->error = item_lost(it);
		it->low_watermark = -1;
	} else {
		it->low_watermark = low_watermark(it->p, st, log);
		if (it->low_watermark < it->wait_for)
			return (false);
	}
	it->wait_for = -1;
	return (true);
}

static bool
all_answered(struct replica_delete *d)
{
	bool all = true;

	for (uint32_t i = 0; i < d->nitems; i++)
		all = item_answered(&d->items[i]) && all;
	return (all);
}

static void
delete_finish(struct replica_delete *d)
{
	free(d->links);
	free(d->keys);
	for (uint32_t i = 0; i < d->nitems; i++)
		partition_unref(&d->items[i].p);
	d->done(d);
}

static bool
wait_try(struct waiter *w, const void *key)
{
	struct replica_delete *d = CONTAINER_OF(w, struct replica_delete, waiter);

	if (key != NULL)
		partition_note_waiter((struct partition *)(uintptr_t)key, manager_loop_index(d->manager, d->loop));
	return (all_answered(d) || d->manager->stopping);
}

static void
wait_over(struct waiter *w)
{
	struct replica_delete *d = CONTAINER_OF(w, struct replica_delete, waiter);

	for (uint32_t i = 0; i < d->nitems; i++)
		if (!item_answered(&d->items[i]))
			d->items[i].error = KERR_REQUEST_TIMED_OUT;
	delete_finish(d);
}

static void
wait_for_followers(struct replica_delete *d)
{
	uint32_t loop = manager_loop_index(d->manager, d->loop), n = 0;

	d->links = xcalloc((size_t)d->nitems + 1, sizeof(*d->links));
	d->keys = xcalloc((size_t)d->nitems + 1, sizeof(*d->keys));
	for (uint32_t i = 0; i < d->nitems; i++)
		if (d->items[i].wait_for >= 0) {
			partition_note_waiter(d->items[i].p, loop);
			d->keys[n++] = d->items[i].p;
		}
	d->waiter = (struct waiter){ .try = wait_try, .done = wait_over, .expire = wait_over };
	if (all_answered(d) || d->timeout_ms <= 0 || d->manager->stopping)
		wait_over(&d->waiter);
	else
		wait_begin(d->manager->loops[loop].waits, &d->waiter, d->links, n, d->keys, d->timeout_ms);
}

void
replica_delete_records(struct replica_manager *m, struct replica_delete *d)
{
	bool wait = false;

	d->manager = m;
	d->links = NULL;
	d->keys = NULL;
	for (uint32_t i = 0; i < d->nitems; i++) {
		item_begin(m, &d->items[i]);
		wait = wait || d->items[i].wait_for >= 0;
	}
	if (wait)
		wait_for_followers(d);
	else
		delete_finish(d);
}
