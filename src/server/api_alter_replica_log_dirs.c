/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_alter_replica_log_dirs.c - AlterReplicaLogDirs, versions 0 to 2: replicas of this broker are to stand in other log directories.
 *
 * The answer says that a move has begun (replica/move.c), not that it is over; DescribeLogDirs shows how far it is.  A partition that is named
 * twice goes where it was named last.
 */
#include <stdlib.h>

#include "replica/dirs.h"
#include "server/dispatch.h"
#include "wire/walker.h"

struct alter_dirs {
	struct api_request *r;
	struct replica_alter_dirs alter;	/* items by topic and partition */
};

static int
item_order(const void *av, const void *bv)
{
	const struct replica_dir_item *a = av, *b = bv;
	int c = slice_cmp(a->topic, b->topic);

	return (c != 0 ? c : (a->partition > b->partition) - (a->partition < b->partition));
}

/* In the order of the request among equals. */
static int
item_order_stable(const void *av, const void *bv)
{
	const struct replica_dir_item *a = av, *b = bv;
	int c = item_order(av, bv);

	return (c != 0 ? c : (a->place > b->place) - (a->place < b->place));
}

static void
last_word_counts(struct replica_alter_dirs *d)
{
	uint32_t n = 0;

	qsort(d->items, d->nitems, sizeof(*d->items), item_order_stable);
	for (uint32_t i = 0; i < d->nitems; i++) {
		if (n > 0 && item_order(&d->items[n - 1], &d->items[i]) == 0)
			n--;
		d->items[n++] = d->items[i];
	}
	d->nitems = n;
}

static bool
collect(struct api_request *r, struct replica_alter_dirs *d)
{
	const struct wire_alter_replica_log_dirs_request *q = r->body;
	size_t total = 0;

	for (int32_t i = 0; i < q->dirs.n; i++)
		for (int32_t j = 0; j < q->dirs.v[i].topics.n; j++)
			total += (size_t)q->dirs.v[i].topics.v[j].partitions.n;
	d->items = ARENA_ARRAY(r->arena, struct replica_dir_item, total + 1);
	if (d->items == NULL)
		return (false);
	for (int32_t i = 0; i < q->dirs.n; i++)
		for (int32_t j = 0; j < q->dirs.v[i].topics.n; j++) {
			const struct wire_alter_replica_log_dirs_request_topic *t = &q->dirs.v[i].topics.v[j];

			for (int32_t k = 0; k < t->partitions.n; k++) {
				d->items[d->nitems] = (struct replica_dir_item){ .topic = t->name, .partition = t->partitions.v[k],
				    .dir = q->dirs.v[i].path, .place = d->nitems };
				d->nitems++;
			}
		}
	last_word_counts(d);
	return (true);
}

/* ---- the answer ---- */

static struct wire_alter_replica_log_dirs_response *
make_response(struct api_request *r, const struct replica_alter_dirs *d)
{
	struct wire_alter_replica_log_dirs_response *w = WIRE_NEW(r->arena, alter_replica_log_dirs_response);
	struct wire_alter_replica_log_dirs_response_topic *t = NULL;
	uint32_t topics = 0, same;

	for (uint32_t i = 0; i < d->nitems; i++)
		topics += i == 0 || !slice_eq(d->items[i].topic, d->items[i - 1].topic);
	if (w == NULL || (w->results.v = WIRE_NEW_ARRAY(r->arena, alter_replica_log_dirs_response_topic, (int32_t)topics)) == NULL)
		return (w != NULL && topics == 0 ? w : NULL);
	for (uint32_t i = 0; i < d->nitems; i++) {
		if (i == 0 || !slice_eq(d->items[i].topic, d->items[i - 1].topic)) {
			t = &w->results.v[w->results.n++];
			t->topic_name = d->items[i].topic;
			for (same = i; same < d->nitems && slice_eq(d->items[same].topic, d->items[i].topic); same++)
				;
			t->partitions.v = WIRE_NEW_ARRAY(r->arena, alter_replica_log_dirs_response_partition, (int32_t)(same - i));
			if (t->partitions.v == NULL)
				return (NULL);
		}
		t->partitions.v[t->partitions.n++] = (struct wire_alter_replica_log_dirs_response_partition){
		    .partition_index = d->items[i].partition, .error_code = (int16_t)d->items[i].error };
	}
	return (w);
}

static void
on_done(struct replica_alter_dirs *alter)
{
	struct alter_dirs *d = CONTAINER_OF(alter, struct alter_dirs, alter);
	void *w = make_response(d->r, alter);

	if (w == NULL)
		api_fail(d->r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(d->r, w);
}

void *
fail_alter_replica_log_dirs(struct api_request *r, enum kerr error)
{
	struct replica_alter_dirs d = { .items = NULL };

	if (!collect(r, &d))
		return (NULL);
	for (uint32_t i = 0; i < d.nitems; i++)
		d.items[i].error = error;
	return (make_response(r, &d));
}

void
serve_alter_replica_log_dirs(struct api_request *r)
{
	struct alter_dirs *d = ARENA_NEW(r->arena, struct alter_dirs);

	if (d == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	*d = (struct alter_dirs){ .r = r, .alter = { .loop = api_loop(r), .done = on_done } };
	if (collect(r, &d->alter))
		replica_alter_dirs(r->server->opt.replicas, &d->alter);
	else
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
}
