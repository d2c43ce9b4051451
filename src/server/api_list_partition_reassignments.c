/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_list_partition_reassignments.c - ListPartitionReassignments: those of the partitions named (null: of all) that are being reassigned.
 */
#include <stdlib.h>

#include "controller/controller.h"
#include "server/dispatch.h"
#include "server/rows.h"

struct list_call {
	struct api_request *r;
	struct controller_reassignments q;
};

/* Java names what was asked for again, when the request as a whole fails. */
void *
fail_list_partition_reassignments(struct api_request *r, enum kerr error)
{
	const struct wire_list_partition_reassignments_request *q = r->body;
	struct wire_list_partition_reassignments_response *a = WIRE_NEW(r->arena, list_partition_reassignments_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->topics, list_partition_reassignments_response_topic, MAX(q->topics.n, 0)))
		return (NULL);
	a->error_code = (int16_t)error;
	a->error_message = error == KERR_UNKNOWN_SERVER_ERROR ? SLICE_NULL : slice_str(kerr_text(error));
	for (int32_t i = 0; i < a->topics.n; i++) {
		a->topics.v[i].name = q->topics.v[i].name;
		if (!ROWS_NEW(r->arena, &a->topics.v[i].partitions, list_partition_reassignments_response_partition, q->topics.v[i].partition_indexes.n))
			return (NULL);
		for (int32_t j = 0; j < q->topics.v[i].partition_indexes.n; j++)
			a->topics.v[i].partitions.v[j].partition_index = q->topics.v[i].partition_indexes.v[j];
	}
	return (a);
}

/* What the request names, sorted: a large one meets a large reassignment without comparing each with each. */
struct named {
	struct slice topic;
	int32_t partition;
};
struct wanted {
	bool all;
	struct named *v;
	size_t n;
};

static int
compare_named(const void *x, const void *y)
{
	const struct named *a = x, *b = y;
	int d = slice_cmp(a->topic, b->topic);

	return (d != 0 ? d : (a->partition > b->partition) - (a->partition < b->partition));
}

/* false: the arena is full. */
static bool
wanted_make(struct arena *arena, const struct wire_list_partition_reassignments_request *q, struct wanted *w)
{
	size_t n = 0;

	*w = (struct wanted){ .all = q->topics.n < 0 };
	for (int32_t i = 0; i < q->topics.n; i++)
		n += (size_t)MAX(q->topics.v[i].partition_indexes.n, 0);
	if (n == 0)
		return (true);
	w->v = ARENA_ARRAY(arena, struct named, n);
	if (w->v == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].partition_indexes.n; j++)
			w->v[w->n++] = (struct named){ q->topics.v[i].name, q->topics.v[i].partition_indexes.v[j] };
	qsort(w->v, w->n, sizeof(*w->v), compare_named);
	return (true);
}

static bool
asked_for(const struct wanted *w, const struct controller_reassignment *row)
{
	struct named key = { row->topic, row->partition };

	return (w->all || (w->n > 0 && bsearch(&key, w->v, w->n, sizeof(key), compare_named) != NULL));
}

/* Rows of one topic stand together. */
static int32_t
rows_of_topic(const struct controller_reassignment *row)
{
	struct slice topic = row->topic;
	int32_t n = 0;

	for (; row != NULL && slice_eq(row->topic, topic); row = row->next)
		n++;
	return (n);
}

static int32_t
length(const struct controller_reassignment *row)
{
	int32_t n = 0;

	for (; row != NULL; row = row->next)
		n++;
	return (n);
}

static void
show_row(const struct controller_reassignment *row, struct wire_list_partition_reassignments_response_partition *p)
{
	p->partition_index = row->partition;
	p->replicas.v = row->replicas.v;
	p->replicas.n = row->replicas.n;
	p->adding_replicas.v = row->adding.v;
	p->adding_replicas.n = row->adding.n;
	p->removing_replicas.v = row->removing.v;
	p->removing_replicas.n = row->removing.n;
}

static void *
show(const struct list_call *call)
{
	const struct wire_list_partition_reassignments_request *q = call->r->body;
	struct wire_list_partition_reassignments_response *a = WIRE_NEW(call->r->arena, list_partition_reassignments_response);
	struct wire_list_partition_reassignments_response_topic *t = NULL;
	struct wanted w;

	if (a == NULL || !ROWS_NEW(call->r->arena, &a->topics, list_partition_reassignments_response_topic, length(call->q.list)) ||
	    !wanted_make(call->r->arena, q, &w))
		return (NULL);
	a->topics.n = 0;
	for (const struct controller_reassignment *row = call->q.list; row != NULL; row = row->next) {
		if (!asked_for(&w, row))
			continue;
		if (t == NULL || !slice_eq(t->name, row->topic)) {
			t = &a->topics.v[a->topics.n++];
			t->name = row->topic;
			if (!ROWS_NEW(call->r->arena, &t->partitions, list_partition_reassignments_response_partition, rows_of_topic(row)))
				return (NULL);
			t->partitions.n = 0;
		}
		show_row(row, &t->partitions.v[t->partitions.n++]);
	}
	return (a);
}

static void *
not_controller(struct api_request *r)
{
	struct wire_list_partition_reassignments_response *a = WIRE_NEW(r->arena, list_partition_reassignments_response);

	if (a != NULL) {
		a->error_code = KERR_NOT_CONTROLLER;
		a->error_message = slice_str(kerr_text(KERR_NOT_CONTROLLER));
	}
	return (a);
}

static void
listed(struct controller_reassignments *q)
{
	struct list_call *call = CONTAINER_OF(q, struct list_call, q);

	if (q->error == KERR_NOT_CONTROLLER)
		api_answer(call->r, not_controller(call->r));
	else if (q->error != KERR_NONE)
		api_fail(call->r, q->error);
	else
		api_answer(call->r, show(call));
}

void
serve_list_partition_reassignments(struct api_request *r)
{
	struct list_call *call = ARENA_NEW(r->arena, struct list_call);

	if (call == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->r = r;
	call->q.loop = api_loop(r);
	call->q.arena = r->arena;
	call->q.done = listed;
	controller_list_reassignments(r->server->opt.controller, &call->q);
}
