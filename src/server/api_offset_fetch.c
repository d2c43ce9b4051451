/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_offset_fetch.c - OffsetFetch: one group, or since version 8 several.
 *
 * Nobody asks whether a topic exists: what was never committed is offset -1 without an error.  An error of the group stands alone: its topics are not
 * in the answer, in version 1 not even the error, as in Java.  Version 0 reads offsets from ZooKeeper (admin/old_offsets.h).
 */
#include "admin/old_offsets.h"
#include "server/admin_call.h"
#include "server/group_call.h"
#include "server/rows.h"

enum { ZOOKEEPER_UNTIL = 0, TOP_ERROR_SINCE = 2, GROUPS_SINCE = 8 };

struct offset_fetch {
	struct api_request *r;
	struct group_fetch_call call;
	struct part_row	*rows;		/* version 0 */
	uint32_t	 nrows;
	struct old_offsets old;
};

/* ---- when everything fails ---- */

static bool
fail_partitions(struct api_request *r, enum kerr error, struct wire_offset_fetch_response *a)
{
	const struct wire_offset_fetch_request *q = r->body;

	if (!ROWS_NEW(r->arena, &a->topics, offset_fetch_response_topic, MAX(q->topics.n, 0)))
		return (false);
	for (int32_t i = 0; i < a->topics.n; i++) {
		const struct wire_offset_fetch_request_topic *t = &q->topics.v[i];

		a->topics.v[i].name = t->name;
		if (!ROWS_NEW(r->arena, &a->topics.v[i].partitions, offset_fetch_response_partition, MAX(t->partition_indexes.n, 0)))
			return (false);
		ROWS_SET_ERROR(&a->topics.v[i].partitions, error);
		for (int32_t j = 0; j < t->partition_indexes.n; j++) {
			a->topics.v[i].partitions.v[j].partition_index = t->partition_indexes.v[j];
			a->topics.v[i].partitions.v[j].committed_offset = -1;
		}
	}
	return (true);
}

void *
fail_offset_fetch(struct api_request *r, enum kerr error)
{
	const struct wire_offset_fetch_request *q = r->body;
	struct wire_offset_fetch_response *a = WIRE_NEW(r->arena, offset_fetch_response);

	if (a == NULL)
		return (NULL);
	if (r->head.version < TOP_ERROR_SINCE)
		return (fail_partitions(r, error, a) ? a : NULL);
	if (r->head.version < GROUPS_SINCE) {
		a->error_code = (int16_t)error;
		return (a);
	}
	if (!ROWS_NEW(r->arena, &a->groups, offset_fetch_response_group, MAX(q->groups.n, 0)))
		return (NULL);
	ROWS_SET_ERROR(&a->groups, error);
	for (int32_t i = 0; i < a->groups.n; i++)
		a->groups.v[i].group_id = q->groups.v[i].group_id;
	return (a);
}

/* ---- what is asked ---- */

/* Rows of a group, each partition once. */
static bool
arrange(struct api_request *r, struct part_row *v, uint32_t n, struct group_fetch_item *it)
{
	for (uint32_t i = 0; i < n; i++)
		v[i].asked = true;
	n = part_rows_arrange(v, n, true);
	it->rows = ARENA_ARRAY(r->arena, struct group_fetch_row, (size_t)n + 1);
	if (it->rows == NULL)
		return (false);
	for (uint32_t i = 0; i < n; i++)
		it->rows[i] = (struct group_fetch_row){ .topic = v[i].topic, .partition = v[i].partition };
	it->nrows = n;
	return (true);
}

/* The list of topics is one of two types that are the same but for the name. */
#define COLLECT(r, topics, rows, count) do { \
	size_t room_ = 1; \
	for (int32_t i_ = 0; i_ < (topics)->n; i_++) \
		room_ += (size_t)MAX((topics)->v[i_].partition_indexes.n, 0); \
	(count) = 0; \
	(rows) = ARENA_ARRAY((r)->arena, struct part_row, room_); \
	for (int32_t i_ = 0; (rows) != NULL && i_ < (topics)->n; i_++) \
		for (int32_t j_ = 0; j_ < (topics)->v[i_].partition_indexes.n; j_++, (count)++) \
			(rows)[count] = (struct part_row){ .topic = (topics)->v[i_].name, .partition = (topics)->v[i_].partition_indexes.v[j_], .at = (count) }; \
} while (0)

static bool
ask_one(struct offset_fetch *f)
{
	const struct wire_offset_fetch_request *q = f->r->body;
	struct group_fetch_item *it = &f->call.items[0];

	it->group = q->group_id;
	it->all = q->topics.n < 0;
	if (it->all)
		return (true);
	COLLECT(f->r, &q->topics, f->rows, f->nrows);
	return (f->rows != NULL && arrange(f->r, f->rows, f->nrows, it));
}

static bool
ask_group(struct offset_fetch *f, const struct wire_offset_fetch_request_group *g, struct group_fetch_item *it)
{
	struct part_row *rows;
	uint32_t n;

	it->group = g->group_id;
	it->all = g->topics.n < 0;
	if (it->all)
		return (true);
	COLLECT(f->r, &g->topics, rows, n);
	return (rows != NULL && arrange(f->r, rows, n, it));
}

static bool
ask(struct offset_fetch *f)
{
	const struct wire_offset_fetch_request *q = f->r->body;
	bool many = f->r->head.version >= GROUPS_SINCE;

	f->call.nitems = many ? (uint32_t)MAX(q->groups.n, 0) : 1;
	f->call.items = ARENA_ARRAY(f->r->arena, struct group_fetch_item, (size_t)f->call.nitems + 1);
	if (f->call.items == NULL)
		return (false);
	for (uint32_t i = 0; many && i < f->call.nitems; i++)
		if (!ask_group(f, &q->groups.v[i], &f->call.items[i]))
			return (false);
	return (many || ask_one(f));
}

/* ---- what is answered ---- */

static uint32_t
rows_of_topic(const struct group_fetch_item *it, uint32_t from)
{
	uint32_t i = from;

	while (i < it->nrows && slice_eq(it->rows[i].topic, it->rows[from].topic))
		i++;
	return (i - from);
}

/* As above: two types for the same. */
#define SHOW(r, it, topics, type_topic, type_partition, fits) do { \
	uint32_t many_; \
	(fits) = ROWS_NEW((r)->arena, (topics), type_topic, (int32_t)(it)->nrows); \
	(topics)->n = 0; \
	for (uint32_t i_ = 0; (fits) && i_ < (it)->nrows; i_ += many_) { \
		struct wire_##type_topic *t_ = &(topics)->v[(topics)->n++]; \
		many_ = rows_of_topic((it), i_); \
		t_->name = (it)->rows[i_].topic; \
		(fits) = ROWS_NEW((r)->arena, &t_->partitions, type_partition, (int32_t)many_); \
		for (uint32_t j_ = 0; (fits) && j_ < many_; j_++) { \
			const struct group_fetch_row *row_ = &(it)->rows[i_ + j_]; \
			t_->partitions.v[j_].partition_index = row_->partition; \
			t_->partitions.v[j_].committed_offset = row_->offset; \
			t_->partitions.v[j_].committed_leader_epoch = row_->leader_epoch; \
			t_->partitions.v[j_].metadata = row_->metadata; \
			t_->partitions.v[j_].error_code = (int16_t)row_->error; \
		} \
	} \
} while (0)

static struct wire_offset_fetch_response *
show_one(const struct offset_fetch *f)
{
	struct wire_offset_fetch_response *a = WIRE_NEW(f->r->arena, offset_fetch_response);
	const struct group_fetch_item *it = &f->call.items[0];
	bool fits = a != NULL;

	if (fits && it->error != KERR_NONE)
		a->error_code = (int16_t)it->error;
	else if (fits)
		SHOW(f->r, it, &a->topics, offset_fetch_response_topic, offset_fetch_response_partition, fits);
	return (fits ? a : NULL);
}

static bool
show_group(const struct offset_fetch *f, const struct group_fetch_item *it, struct wire_offset_fetch_response_group *g)
{
	bool fits = true;

	g->group_id = it->group;
	g->error_code = (int16_t)it->error;
	if (it->error == KERR_NONE)
		SHOW(f->r, it, &g->topics, offset_fetch_response_topics, offset_fetch_response_partitions, fits);
	return (fits);
}

static struct wire_offset_fetch_response *
show_groups(const struct offset_fetch *f)
{
	struct wire_offset_fetch_response *a = WIRE_NEW(f->r->arena, offset_fetch_response);

	if (a == NULL || !ROWS_NEW(f->r->arena, &a->groups, offset_fetch_response_group, (int32_t)f->call.nitems))
		return (NULL);
	for (uint32_t i = 0; i < f->call.nitems; i++)
		if (!show_group(f, &f->call.items[i], &a->groups.v[i]))
			return (NULL);
	return (a);
}

static void
fetched(struct group_call *call)
{
	struct offset_fetch *f = CONTAINER_OF(CONTAINER_OF(call, struct group_fetch_call, call), struct offset_fetch, call);

	if (call->error != KERR_NONE)
		api_fail(f->r, call->error);
	else
		api_answer(f->r, f->r->head.version < GROUPS_SINCE ? (void *)show_one(f) : (void *)show_groups(f));
}

/* ---- version 0 ---- */

static void
old_fetched(struct admin_job *job)
{
	struct offset_fetch *f = CONTAINER_OF(CONTAINER_OF(job, struct old_offsets, job), struct offset_fetch, old);
	struct group_fetch_item *it = &f->call.items[0];
	uint32_t n = 0;

	for (uint32_t i = 0; i < it->nrows; i++) {
		struct group_fetch_row *row = &it->rows[i];
		const struct old_offset *o = f->rows[i].asked ? &f->old.items[n++] : NULL;

		row->error = o == NULL ? f->rows[i].error : o->error;
		row->offset = o == NULL || o->error != KERR_NONE ? -1 : o->offset;
		row->leader_epoch = -1;
		row->metadata = slice_of("", 0);
	}
	api_answer(f->r, show_one(f));
}

static void
fetch_from_zookeeper(struct offset_fetch *f)
{
	const struct group_fetch_item *it = &f->call.items[0];

	f->old.items = ARENA_ARRAY(f->r->arena, struct old_offset, (size_t)it->nrows + 1);
	if (f->old.items == NULL) {
		api_fail(f->r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	part_rows_check(f->r, f->rows, it->nrows);
	for (uint32_t i = 0; i < it->nrows; i++)
		if (f->rows[i].asked)
			f->old.items[f->old.nitems++] = (struct old_offset){ .topic = f->rows[i].topic, .partition = f->rows[i].partition };
	f->old.group = it->group;
	admin_call(f->r, &f->old.job, old_fetched);
	admin_load_old_offsets(f->r->server->opt.admin, &f->old);
}

void
serve_offset_fetch(struct api_request *r)
{
	const struct wire_offset_fetch_request *q = r->body;
	struct offset_fetch *f = ARENA_NEW(r->arena, struct offset_fetch);

	if (f != NULL)
		f->r = r;
	if (f == NULL || !ask(f)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (r->head.version <= ZOOKEEPER_UNTIL) {
		fetch_from_zookeeper(f);
		return;
	}
	f->call.require_stable = q->require_stable;
	group_call(r, &f->call.call, fetched);
	group_coordinator_fetch_offsets(r->server->opt.groups, &f->call);
}
