/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_offset_commit.c - OffsetCommit and OffsetDelete: topics and partitions are looked at here, the group by its coordinator.
 *
 * What this broker's metadata does not know is UNKNOWN_TOPIC_OR_PARTITION, whatever the coordinator says of the rest.  A commit of which nothing is
 * known is answered without it; a deletion asks it all the same, and its error leaves only itself in the answer.
 *
 * Version 0 of OffsetCommit keeps offsets in ZooKeeper (admin/old_offsets.h), without any group.
 */
#include "admin/old_offsets.h"
#include "server/admin_call.h"
#include "server/group_call.h"
#include "server/rows.h"

enum { ZOOKEEPER_UNTIL = 0 };

/* ---- OffsetCommit: rows ---- */

struct commit {
	struct api_request *r;
	struct part_row	*rows;
	uint32_t	 nrows;
	struct group_commit_call call;
	struct old_offsets old;
};

static void
row_add(struct part_row *rows, uint32_t *n, struct part_row row)
{
	row.at = *n;
	rows[(*n)++] = row;
}

/* Every partition of the request; a topic without any is one row.  false: the arena is full. */
static bool
commit_rows(struct api_request *r, struct commit *m)
{
	const struct wire_offset_commit_request *q = r->body;
	size_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		n += (size_t)MAX(q->topics.v[i].partitions.n, 1);
	m->rows = ARENA_ARRAY(r->arena, struct part_row, n + 1);
	if (m->rows == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_offset_commit_request_topic *t = &q->topics.v[i];

		if (t->partitions.n <= 0)
			row_add(m->rows, &m->nrows, (struct part_row){ .topic = t->name, .none = true });
		for (int32_t j = 0; j < t->partitions.n; j++)
			row_add(m->rows, &m->nrows, (struct part_row){ .topic = t->name, .partition = t->partitions.v[j].partition_index,
			    .data = &t->partitions.v[j] });
	}
	return (true);
}

static bool
show_committed_topic(struct api_request *r, const struct part_row *v, uint32_t n, struct wire_offset_commit_response_topic *t)
{
	t->name = v[0].topic;
	if (!ROWS_NEW(r->arena, &t->partitions, offset_commit_response_partition, (int32_t)n))
		return (false);
	t->partitions.n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!v[i].none)
			t->partitions.v[t->partitions.n++] = (struct wire_offset_commit_response_partition){ .partition_index = v[i].partition,
			    .error_code = (int16_t)v[i].error };
	return (true);
}

/* Of rows in order.  A topic that has nothing to say is left out. */
static struct wire_offset_commit_response *
show_committed(struct api_request *r, const struct part_row *v, uint32_t n)
{
	struct wire_offset_commit_response *a = WIRE_NEW(r->arena, offset_commit_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->topics, offset_commit_response_topic, (int32_t)part_rows_topics(v, n)))
		return (NULL);
	a->topics.n = 0;
	for (uint32_t i = 0, many; i < n; i += many) {
		many = part_rows_of_topic(v, n, i);
		if (many == 1 && v[i].none && v[i].error == KERR_NONE)
			continue;
		if (!show_committed_topic(r, &v[i], many, &a->topics.v[a->topics.n++]))
			return (NULL);
	}
	return (a);
}

/* Each row of the request as it is, in its order. */
void *
fail_offset_commit(struct api_request *r, enum kerr error)
{
	const struct wire_offset_commit_request *q = r->body;
	struct wire_offset_commit_response *a = WIRE_NEW(r->arena, offset_commit_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->topics, offset_commit_response_topic, MAX(q->topics.n, 0)))
		return (NULL);
	for (int32_t i = 0; i < a->topics.n; i++) {
		const struct wire_offset_commit_request_topic *t = &q->topics.v[i];

		a->topics.v[i].name = t->name;
		if (!ROWS_NEW(r->arena, &a->topics.v[i].partitions, offset_commit_response_partition, MAX(t->partitions.n, 0)))
			return (NULL);
		ROWS_SET_ERROR(&a->topics.v[i].partitions, error);
		for (int32_t j = 0; j < t->partitions.n; j++)
			a->topics.v[i].partitions.v[j].partition_index = t->partitions.v[j].partition_index;
	}
	return (a);
}

/* ---- OffsetCommit: the coordinator ---- */

static void
committed(struct group_call *call)
{
	struct commit *m = CONTAINER_OF(CONTAINER_OF(call, struct group_commit_call, call), struct commit, call);
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->nrows; i++)
		if (m->rows[i].asked)
			m->rows[i].error = m->call.items[n++].error;
	api_answer(m->r, show_committed(m->r, m->rows, m->nrows));
}

static uint32_t
count_asked(const struct part_row *v, uint32_t n)
{
	uint32_t asked = 0;

	for (uint32_t i = 0; i < n; i++)
		asked += v[i].asked;
	return (asked);
}

static void
commit_to_coordinator(struct commit *m)
{
	const struct wire_offset_commit_request *q = m->r->body;

	for (uint32_t i = 0; i < m->nrows; i++) {
		const struct wire_offset_commit_request_partition *p = m->rows[i].data;

		if (m->rows[i].asked)
			m->call.items[m->call.nitems++] = (struct group_commit_item){ .topic = m->rows[i].topic, .partition = m->rows[i].partition,
			    .offset = p->committed_offset, .leader_epoch = p->committed_leader_epoch, .metadata = p->committed_metadata,
			    .commit_timestamp_ms = p->commit_timestamp };
	}
	m->call.group = q->group_id;
	m->call.member_id = q->member_id;
	m->call.instance_id = q->group_instance_id;
	m->call.generation = q->generation_id_or_member_epoch;
	m->call.retention_ms = q->retention_time_ms;
	group_call_of(m->r, &m->call.call, m->call.group, committed);
	group_coordinator_commit(m->r->server->opt.groups, &m->call);
}

/* ---- OffsetCommit: ZooKeeper ---- */

static void
old_committed(struct admin_job *job)
{
	struct commit *m = CONTAINER_OF(CONTAINER_OF(job, struct old_offsets, job), struct commit, old);
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->nrows; i++)
		if (m->rows[i].asked)
			m->rows[i].error = m->old.items[n++].error;
	api_answer(m->r, show_committed(m->r, m->rows, m->nrows));
}

static void
commit_to_zookeeper(struct commit *m)
{
	const struct wire_offset_commit_request *q = m->r->body;

	m->old.items = ARENA_ARRAY(m->r->arena, struct old_offset, (size_t)m->nrows + 1);
	if (m->old.items == NULL) {
		api_fail(m->r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	for (uint32_t i = 0; i < m->nrows; i++) {
		const struct wire_offset_commit_request_partition *p = m->rows[i].data;

		if (m->rows[i].asked)
			m->old.items[m->old.nitems++] = (struct old_offset){ .topic = m->rows[i].topic, .partition = m->rows[i].partition,
			    .offset = p->committed_offset, .metadata = p->committed_metadata };
	}
	m->old.group = q->group_id;
	admin_call(m->r, &m->old.job, old_committed);
	admin_store_old_offsets(m->r->server->opt.admin, &m->old);
}

void
serve_offset_commit(struct api_request *r)
{
	struct commit *m = ARENA_NEW(r->arena, struct commit);

	if (m == NULL || !commit_rows(r, m) || (m->call.items = ARENA_ARRAY(r->arena, struct group_commit_item, (size_t)m->nrows + 1)) == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	m->r = r;
	part_rows_check(r, m->rows, m->nrows);
	m->nrows = part_rows_arrange(m->rows, m->nrows, r->head.version > ZOOKEEPER_UNTIL);	/* Java stores each in ZooKeeper */
	if (count_asked(m->rows, m->nrows) == 0)
		api_answer(r, show_committed(r, m->rows, m->nrows));
	else if (r->head.version <= ZOOKEEPER_UNTIL)
		commit_to_zookeeper(m);
	else
		commit_to_coordinator(m);
}

/* ---- OffsetDelete ---- */

struct offset_delete {
	struct api_request *r;
	struct part_row	*rows;
	uint32_t	 nrows;
	struct group_delete_offsets_call call;
};

void *
fail_offset_delete(struct api_request *r, enum kerr error)
{
	struct wire_offset_delete_response *a = WIRE_NEW(r->arena, offset_delete_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

static bool
delete_rows(struct api_request *r, struct offset_delete *d)
{
	const struct wire_offset_delete_request *q = r->body;
	size_t n = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		n += (size_t)MAX(q->topics.v[i].partitions.n, 1);
	d->rows = ARENA_ARRAY(r->arena, struct part_row, n + 1);
	d->call.items = ARENA_ARRAY(r->arena, struct group_delete_offset, n + 1);
	if (d->rows == NULL || d->call.items == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_offset_delete_request_topic *t = &q->topics.v[i];

		if (t->partitions.n <= 0)
			row_add(d->rows, &d->nrows, (struct part_row){ .topic = t->name, .none = true });
		for (int32_t j = 0; j < t->partitions.n; j++)
			row_add(d->rows, &d->nrows, (struct part_row){ .topic = t->name, .partition = t->partitions.v[j].partition_index });
	}
	return (true);
}

static bool
show_deleted_topic(struct api_request *r, const struct part_row *v, uint32_t n, struct wire_offset_delete_response_topic *t)
{
	t->name = v[0].topic;
	if (!ROWS_NEW(r->arena, &t->partitions, offset_delete_response_partition, (int32_t)n))
		return (false);
	t->partitions.n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!v[i].none)
			t->partitions.v[t->partitions.n++] = (struct wire_offset_delete_response_partition){ .partition_index = v[i].partition,
			    .error_code = (int16_t)v[i].error };
	return (true);
}

static struct wire_offset_delete_response *
show_deleted(const struct offset_delete *d)
{
	struct wire_offset_delete_response *a = fail_offset_delete(d->r, KERR_NONE);

	if (a == NULL || !ROWS_NEW(d->r->arena, &a->topics, offset_delete_response_topic, (int32_t)part_rows_topics(d->rows, d->nrows)))
		return (NULL);
	a->topics.n = 0;
	for (uint32_t i = 0, many; i < d->nrows; i += many) {
		many = part_rows_of_topic(d->rows, d->nrows, i);
		if (many == 1 && d->rows[i].none && d->rows[i].error == KERR_NONE)
			continue;
		if (!show_deleted_topic(d->r, &d->rows[i], many, &a->topics.v[a->topics.n++]))
			return (NULL);
	}
	return (a);
}

static void
offsets_deleted(struct group_call *call)
{
	struct offset_delete *d = CONTAINER_OF(CONTAINER_OF(call, struct group_delete_offsets_call, call), struct offset_delete, call);
	uint32_t n = 0;

	if (call->error != KERR_NONE) {
		api_fail(d->r, call->error);
		return;
	}
	for (uint32_t i = 0; i < d->nrows; i++)
		if (d->rows[i].asked)
			d->rows[i].error = d->call.items[n++].error;
	api_answer(d->r, show_deleted(d));
}

void
serve_offset_delete(struct api_request *r)
{
	const struct wire_offset_delete_request *q = r->body;
	struct offset_delete *d = ARENA_NEW(r->arena, struct offset_delete);

	if (d == NULL || !delete_rows(r, d)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	d->r = r;
	part_rows_check(r, d->rows, d->nrows);
	d->nrows = part_rows_arrange(d->rows, d->nrows, true);
	for (uint32_t i = 0; i < d->nrows; i++)
		if (d->rows[i].asked)
			d->call.items[d->call.nitems++] = (struct group_delete_offset){ .topic = d->rows[i].topic, .partition = d->rows[i].partition };
	d->call.group = q->group_id;
	group_call(r, &d->call.call, offsets_deleted);
	group_coordinator_delete_offsets(r->server->opt.groups, &d->call);
}
