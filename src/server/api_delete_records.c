/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_delete_records.c - DeleteRecords.
 *
 * The answer has one row per partition, topic by topic.  Of a partition that the request names twice the last offset counts, as in Java.
 */
#include <stdlib.h>

#include "replica/delete_records.h"
#include "server/dispatch.h"
#include "server/rows.h"

struct delete_call {
	struct api_request *r;
	struct replica_delete d;	/* items by topic and partition, each once */
};

/* ---- what is asked ---- */

struct wish {
	struct replica_delete_item item;
	uint32_t position;		/* in the request */
};

static int
wish_cmp(const void *av, const void *bv)
{
	const struct wish *a = av, *b = bv;
	int c = slice_cmp(a->item.topic, b->item.topic);

	if (c != 0)
		return (c);
	if (a->item.partition != b->item.partition)
		return (a->item.partition < b->item.partition ? -1 : 1);
	return (a->position < b->position ? -1 : 1);
}

static size_t
count_wishes(const struct wire_delete_records_request *q)
{
	size_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		n += (size_t)q->topics.v[i].partitions.n;
	return (n);
}

static void
collect_wishes(const struct wire_delete_records_request *q, struct wish *v)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].partitions.n; j++, n++) {
			v[n].item.topic = q->topics.v[i].name;
			v[n].item.partition = q->topics.v[i].partitions.v[j].partition_index;
			v[n].item.offset = q->topics.v[i].partitions.v[j].offset;
			v[n].position = n;
		}
}

static bool
same_partition(const struct replica_delete_item *a, const struct replica_delete_item *b)
{
	return (a->partition == b->partition && slice_eq(a->topic, b->topic));
}

/* false: the arena is full. */
static bool
ask(struct delete_call *call)
{
	const struct wire_delete_records_request *q = call->r->body;
	size_t n = count_wishes(q);
	struct wish *v = ARENA_ARRAY(call->r->arena, struct wish, n + 1);

	call->d.items = ARENA_ARRAY(call->r->arena, struct replica_delete_item, n + 1);
	if (v == NULL || call->d.items == NULL)
		return (false);
	collect_wishes(q, v);
	qsort(v, n, sizeof(*v), wish_cmp);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !same_partition(&v[i].item, &v[i + 1].item))
			call->d.items[call->d.nitems++] = v[i].item;
	return (true);
}

/* ---- the answer ---- */

static uint32_t
rows_of_topic(const struct replica_delete *d, uint32_t from)
{
	uint32_t n = from;

	while (n < d->nitems && slice_eq(d->items[n].topic, d->items[from].topic))
		n++;
	return (n - from);
}

static bool
show_topic(struct arena *arena, const struct replica_delete_item *items, uint32_t n, struct wire_delete_records_response_topic_result *t)
{
	t->name = items[0].topic;
	if (!ROWS_NEW(arena, &t->partitions, delete_records_response_partition_result, (int32_t)n))
		return (false);
	for (uint32_t i = 0; i < n; i++) {
		t->partitions.v[i].partition_index = items[i].partition;
		t->partitions.v[i].low_watermark = items[i].low_watermark;
		t->partitions.v[i].error_code = (int16_t)items[i].error;
	}
	return (true);
}

static struct wire_delete_records_response *
show(const struct delete_call *call)
{
	struct arena *arena = call->r->arena;
	struct wire_delete_records_response *a = WIRE_NEW(arena, delete_records_response);
	uint32_t n;

	if (a == NULL || !ROWS_NEW(arena, &a->topics, delete_records_response_topic_result, (int32_t)call->d.nitems))
		return (NULL);
	a->topics.n = 0;
	for (uint32_t i = 0; i < call->d.nitems; i += n) {
		n = rows_of_topic(&call->d, i);
		if (!show_topic(arena, &call->d.items[i], n, &a->topics.v[a->topics.n++]))
			return (NULL);
	}
	return (a);
}

void *
fail_delete_records(struct api_request *r, enum kerr error)
{
	struct delete_call call = { .r = r };

	if (!ask(&call))
		return (NULL);
	for (uint32_t i = 0; i < call.d.nitems; i++) {
		call.d.items[i].error = error;
		call.d.items[i].low_watermark = -1;
	}
	return (show(&call));
}

/* ---- steps ---- */

static void
deleted(struct replica_delete *d)
{
	struct delete_call *call = CONTAINER_OF(d, struct delete_call, d);

	api_answer(call->r, show(call));
}

void
serve_delete_records(struct api_request *r)
{
	const struct wire_delete_records_request *q = r->body;
	struct delete_call *call = ARENA_NEW(r->arena, struct delete_call);

	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->d.loop = api_loop(r);
	call->d.timeout_ms = q->timeout_ms;
	call->d.done = deleted;
	replica_delete_records(r->server->opt.replicas, &call->d);
}
