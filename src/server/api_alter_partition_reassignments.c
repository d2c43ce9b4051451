/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_alter_partition_reassignments.c - AlterPartitionReassignments: partitions get other replicas, or a reassignment is taken back (null).
 * The controller does it.  A partition that is named more than once gets what is named last, as in Java.
 */
#include <stdlib.h>

#include "controller/controller.h"
#include "server/dispatch.h"
#include "server/rows.h"

struct move_call {
	struct api_request *r;
	struct controller_move mv;	/* items by topic and partition */
};

/* ---- what is asked ---- */

static int
place_cmp(const struct controller_move_item *a, const struct controller_move_item *b)
{
	int c = slice_cmp(a->topic, b->topic);

	return (c != 0 ? c : (a->partition > b->partition) - (a->partition < b->partition));
}

/* The last one of a partition first. */
static int
item_cmp(const void *av, const void *bv)
{
	const struct controller_move_item *a = av, *b = bv;
	int c = place_cmp(a, b);

	return (c != 0 ? c : (a->order < b->order) - (a->order > b->order));
}

static bool
ask(struct move_call *call)
{
	const struct wire_alter_partition_reassignments_request *q = call->r->body;
	struct controller_move_item *v;
	size_t total = 0, n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		total += (size_t)q->topics.v[i].partitions.n;
	v = call->mv.items = ARENA_ARRAY(call->r->arena, struct controller_move_item, total + 1);
	if (v == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].partitions.n; j++, n++) {
			const struct wire_alter_partition_reassignments_request_partition *p = &q->topics.v[i].partitions.v[j];

			v[n] = (struct controller_move_item){ .topic = q->topics.v[i].name, .partition = p->partition_index, .order = (uint32_t)n,
			    .cancel = p->replicas.n < 0, .target = { p->replicas.v, p->replicas.n } };
		}
	if (n > 1)
		qsort(v, n, sizeof(*v), item_cmp);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || place_cmp(&v[call->mv.nitems - 1], &v[i]) != 0)
			v[call->mv.nitems++] = v[i];
	return (true);
}

/* ---- the answer ---- */

static int32_t
of_topic(const struct controller_move *mv, uint32_t from)
{
	int32_t n = 0;

	for (uint32_t i = from; i < mv->nitems && slice_eq(mv->items[i].topic, mv->items[from].topic); i++)
		n++;
	return (n);
}

static void *
show(const struct move_call *call)
{
	struct arena *arena = call->r->arena;
	const struct controller_move *mv = &call->mv;
	struct wire_alter_partition_reassignments_response *a = WIRE_NEW(arena, alter_partition_reassignments_response);
	struct wire_alter_partition_reassignments_response_topic *t = NULL;

	if (a == NULL || !ROWS_NEW(arena, &a->responses, alter_partition_reassignments_response_topic, (int32_t)mv->nitems))
		return (NULL);
	a->responses.n = 0;
	if (mv->error != KERR_NONE) {
		a->error_code = (int16_t)mv->error;
		a->error_message = slice_str(kerr_text(mv->error));
		return (a);
	}
	for (uint32_t i = 0; i < mv->nitems; i++) {
		struct wire_alter_partition_reassignments_response_partition *row;

		if (t == NULL || !slice_eq(t->name, mv->items[i].topic)) {
			t = &a->responses.v[a->responses.n++];
			t->name = mv->items[i].topic;
			if (!ROWS_NEW(arena, &t->partitions, alter_partition_reassignments_response_partition, of_topic(mv, i)))
				return (NULL);
			t->partitions.n = 0;
		}
		row = &t->partitions.v[t->partitions.n++];
		row->partition_index = mv->items[i].partition;
		row->error_code = (int16_t)mv->items[i].error;
		row->error_message = slice_str(mv->items[i].message);
	}
	return (a);
}

/* The whole list is named again, as it came. */
void *
fail_alter_partition_reassignments(struct api_request *r, enum kerr error)
{
	const struct wire_alter_partition_reassignments_request *q = r->body;
	struct wire_alter_partition_reassignments_response *a = WIRE_NEW(r->arena, alter_partition_reassignments_response);
	struct slice words = error == KERR_UNKNOWN_SERVER_ERROR ? SLICE_NULL : slice_str(kerr_text(error));

	if (a == NULL || !ROWS_NEW(r->arena, &a->responses, alter_partition_reassignments_response_topic, q->topics.n))
		return (NULL);
	a->error_code = (int16_t)error;
	a->error_message = words;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct wire_alter_partition_reassignments_response_topic *t = &a->responses.v[i];

		t->name = q->topics.v[i].name;
		if (!ROWS_NEW(r->arena, &t->partitions, alter_partition_reassignments_response_partition, q->topics.v[i].partitions.n))
			return (NULL);
		for (int32_t j = 0; j < t->partitions.n; j++) {
			t->partitions.v[j].partition_index = q->topics.v[i].partitions.v[j].partition_index;
			t->partitions.v[j].error_code = (int16_t)error;
			t->partitions.v[j].error_message = words;
		}
	}
	return (a);
}

/* ---- there and back ---- */

static void
moved(struct controller_move *mv)
{
	struct move_call *call = CONTAINER_OF(mv, struct move_call, mv);

	api_answer(call->r, show(call));
}

void
serve_alter_partition_reassignments(struct api_request *r)
{
	struct move_call *call = ARENA_NEW(r->arena, struct move_call);

	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->mv.loop = api_loop(r);
	call->mv.done = moved;
	controller_move(r->server->opt.controller, &call->mv);
}
