/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_elect_leaders.c - ElectLeaders: the preferred replica, or (since version 1) any that lives.
 *
 * The controller elects; then the metadata image has the time of the request to show who leads.  A null list means every partition, and then those
 * that need no election are left out of the answer.
 */
#include <stdlib.h>

#include "admin/leaders.h"
#include "controller/controller.h"
#include "server/admin_call.h"
#include "server/rows.h"

enum { PREFERRED = 0, UNCLEAN = 1, TYPE_SINCE = 1 };

struct elect_call {
	struct api_request *r;
	struct controller_election el;	/* items by topic and partition */
	struct admin_await_leaders w;
	uint32_t	*item;		/* of each leader waited for */
};

/* ---- what is asked ---- */

struct counter {
	struct elect_call *call;
	uint32_t n;
	bool full;
};

static bool
count_topic(void *ctx, const struct image_topic *t)
{
	struct counter *k = ctx;

	k->n += t->npartitions;
	return (true);
}

static bool
add_topic(void *ctx, const struct image_topic *t)
{
	struct counter *k = ctx;
	struct slice name = arena_dup(k->call->r->arena, t->name);

	k->full = name.p == NULL;
	for (uint32_t i = 0; !k->full && i < t->npartitions && k->call->el.nitems < k->n; i++) {
		k->call->el.items[k->call->el.nitems].topic = name;
		k->call->el.items[k->call->el.nitems++].partition = t->partitions[i].id;
	}
	return (!k->full);
}

static bool
ask_all(struct elect_call *call)
{
	const struct image *im = cluster_read(call->r->server->opt.cluster);
	struct counter k = { .call = call };

	image_topics(im, count_topic, &k);
	call->el.items = ARENA_ARRAY(call->r->arena, struct controller_election_item, (size_t)k.n + 1);
	if (call->el.items == NULL)
		return (false);
	image_topics(im, add_topic, &k);
	return (!k.full);
}

static int
item_cmp(const void *av, const void *bv)
{
	const struct controller_election_item *a = av, *b = bv;
	int c = slice_cmp(a->topic, b->topic);

	return (c != 0 ? c : a->partition < b->partition ? -1 : a->partition > b->partition);
}

static bool
ask_some(struct elect_call *call)
{
	const struct wire_elect_leaders_request *q = call->r->body;
	size_t total = 0, n = 0;
	struct controller_election_item *v;

	for (int32_t i = 0; i < q->topic_partitions.n; i++)
		total += (size_t)q->topic_partitions.v[i].partitions.n;
	v = call->el.items = ARENA_ARRAY(call->r->arena, struct controller_election_item, total + 1);
	if (v == NULL)
		return (false);
	for (int32_t i = 0; i < q->topic_partitions.n; i++)
		for (int32_t j = 0; j < q->topic_partitions.v[i].partitions.n; j++) {
			v[n].topic = q->topic_partitions.v[i].topic;
			v[n++].partition = q->topic_partitions.v[i].partitions.v[j];
		}
	if (n > 1)
		qsort(v, n, sizeof(*v), item_cmp);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || item_cmp(&v[call->el.nitems - 1], &v[i]) != 0)
			v[call->el.nitems++] = v[i];
	return (true);
}

static bool
ask(struct elect_call *call)
{
	const struct wire_elect_leaders_request *q = call->r->body;

	return (q->topic_partitions.n < 0 ? ask_all(call) : ask_some(call));
}

/* ---- the answer ---- */

static bool
is_shown(const struct elect_call *call, const struct controller_election_item *it)
{
	const struct wire_elect_leaders_request *q = call->r->body;

	return (q->topic_partitions.n >= 0 || it->error != KERR_ELECTION_NOT_NEEDED);
}

static void
show_item(const struct controller_election_item *it, struct wire_elect_leaders_response_partition *row)
{
	row->partition_id = it->partition;
	row->error_code = (int16_t)it->error;
	row->error_message = slice_str(it->message);
}

static void *
show(const struct elect_call *call)
{
	struct arena *arena = call->r->arena;
	const struct controller_election *el = &call->el;
	struct wire_elect_leaders_response *a = WIRE_NEW(arena, elect_leaders_response);
	struct wire_elect_leaders_response_topic *t = NULL;

	if (a == NULL || !ROWS_NEW(arena, &a->replica_election_results, elect_leaders_response_topic, (int32_t)el->nitems))
		return (NULL);
	a->replica_election_results.n = 0;
	for (uint32_t i = 0; i < el->nitems; i++) {
		uint32_t rest = 0;

		if (!is_shown(call, &el->items[i]))
			continue;
		if (t == NULL || !slice_eq(t->topic, el->items[i].topic)) {
			while (i + rest < el->nitems && slice_eq(el->items[i + rest].topic, el->items[i].topic))
				rest++;
			t = &a->replica_election_results.v[a->replica_election_results.n++];
			t->topic = el->items[i].topic;
			if (!ROWS_NEW(arena, &t->partition_result, elect_leaders_response_partition, (int32_t)rest))
				return (NULL);
			t->partition_result.n = 0;
		}
		show_item(&el->items[i], &t->partition_result.v[t->partition_result.n++]);
	}
	return (a);
}

/* The whole list is named again, as it came; null is an empty one. */
void *
fail_elect_leaders(struct api_request *r, enum kerr error)
{
	const struct wire_elect_leaders_request *q = r->body;
	struct wire_elect_leaders_response *a = WIRE_NEW(r->arena, elect_leaders_response);
	const char *words = error == KERR_UNKNOWN_SERVER_ERROR ? NULL : kerr_text(error);

	if (a == NULL || !ROWS_NEW(r->arena, &a->replica_election_results, elect_leaders_response_topic, MAX(q->topic_partitions.n, 0)))
		return (NULL);
	a->error_code = (int16_t)error;
	for (int32_t i = 0; i < a->replica_election_results.n; i++) {
		const struct wire_elect_leaders_request_topic *t = &q->topic_partitions.v[i];
		struct wire_elect_leaders_response_topic *rows = &a->replica_election_results.v[i];

		rows->topic = t->topic;
		if (!ROWS_NEW(r->arena, &rows->partition_result, elect_leaders_response_partition, t->partitions.n))
			return (NULL);
		for (int32_t j = 0; j < t->partitions.n; j++) {
			rows->partition_result.v[j].partition_id = t->partitions.v[j];
			rows->partition_result.v[j].error_code = (int16_t)error;
			rows->partition_result.v[j].error_message = slice_str(words);
		}
	}
	return (a);
}

/* ---- steps ---- */

static void
waited(struct admin_job *j)
{
	struct elect_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_await_leaders, job), struct elect_call, w);

	for (int32_t i = 0; i < call->w.n; i++)
		if (!call->w.leaders[i].shown)
			call->el.items[call->item[i]].error = KERR_REQUEST_TIMED_OUT;
	api_answer(call->r, show(call));
}

/* false: the arena is full. */
static bool
collect_leaders(struct elect_call *call)
{
	call->w.leaders = ARENA_ARRAY(call->r->arena, struct admin_leader, (size_t)call->el.nitems + 1);
	call->item = ARENA_ARRAY(call->r->arena, uint32_t, (size_t)call->el.nitems + 1);
	if (call->w.leaders == NULL || call->item == NULL)
		return (false);
	for (uint32_t i = 0; i < call->el.nitems; i++) {
		const struct controller_election_item *it = &call->el.items[i];

		if (it->error != KERR_NONE)
			continue;
		call->item[call->w.n] = i;
		call->w.leaders[call->w.n++] = (struct admin_leader){ .topic = it->topic, .partition = it->partition, .leader = it->leader };
	}
	return (true);
}

static void
elected(struct controller_election *el)
{
	struct elect_call *call = CONTAINER_OF(el, struct elect_call, el);
	const struct wire_elect_leaders_request *q = call->r->body;

	if (!collect_leaders(call)) {
		api_fail(call->r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (call->w.n == 0) {
		api_answer(call->r, show(call));
		return;
	}
	call->w.timeout_ms = q->timeout_ms;
	admin_call(call->r, &call->w.job, waited);
	admin_await_leaders(call->r->server->opt.admin, &call->w);
}

void
serve_elect_leaders(struct api_request *r)
{
	const struct wire_elect_leaders_request *q = r->body;
	struct elect_call *call = ARENA_NEW(r->arena, struct elect_call);

	if (r->head.version >= TYPE_SINCE && q->election_type != PREFERRED && q->election_type != UNCLEAN) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);	/* as Java, which does not look for it */
		return;
	}
	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->el.loop = api_loop(r);
	call->el.unclean = r->head.version >= TYPE_SINCE && q->election_type == UNCLEAN;
	call->el.done = elected;
	controller_elect(r->server->opt.controller, &call->el);
}
