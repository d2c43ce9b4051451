/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_list_offsets.c - ListOffsets, versions 0 to 9.
 *
 * Version 0 asks for up to max_num_offsets offsets at which files begin that are not younger than the timestamp; later ones ask for one record:
 * the first that is not older.  Negative timestamps are names of offsets, and each has a version that brought it.
 */
#include <stdlib.h>

#include "replica/offsets.h"
#include "server/dispatch.h"
#include "server/rows.h"

enum {
	RECORDS_SINCE = 1,		/* before, lists of file offsets */
	OFFSET_NOT_AVAILABLE_SINCE = 5,
	LEADER_EPOCH_SINCE = 4,
};

struct list_offsets {
	struct api_request *r;
	struct replica_offsets find;	/* items in the order of the request */
};

/* The version that brought a named timestamp; above all versions: no such name. */
static int
name_since(int64_t timestamp)
{
	switch (timestamp) {
	case LOG_TIME_LATEST:
	case LOG_TIME_EARLIEST:
		return (0);
	case LOG_TIME_MAX:
		return (7);
	case LOG_TIME_EARLIEST_LOCAL:
		return (8);
	case LOG_TIME_LATEST_TIERED:
		return (9);
	default:
		return (timestamp < 0 ? INT16_MAX : 0);
	}
}

/* ---- what to find ---- */

static int
item_cmp(const void *av, const void *bv)
{
	const struct replica_offset_item *a = *(struct replica_offset_item *const *)av, *b = *(struct replica_offset_item *const *)bv;

	if (a->partition != b->partition)
		return (a->partition < b->partition ? -1 : 1);
	return (slice_cmp(a->topic, b->topic));
}

/* A partition that is named twice is refused wherever it is named.  false: the arena is full. */
static bool
refuse_duplicates(struct list_offsets *l)
{
	uint32_t n = l->find.nitems;
	struct replica_offset_item **sorted = ARENA_ARRAY(l->r->arena, struct replica_offset_item *, (size_t)n + 1);

	if (sorted == NULL)
		return (false);
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &l->find.items[i];
	qsort(sorted, n, sizeof(sorted[0]), item_cmp);
	for (uint32_t i = 1; i < n; i++)
		if (item_cmp(&sorted[i - 1], &sorted[i]) == 0)
			sorted[i - 1]->preset = sorted[i]->preset = KERR_INVALID_REQUEST;
	return (true);
}

static enum kerr
item_judge(const struct list_offsets *l, int64_t timestamp)
{
	const struct wire_list_offsets_request *q = l->r->body;

	if (l->r->head.version < name_since(timestamp))
		return (KERR_UNSUPPORTED_VERSION);
	/* Java meets an isolation level that there is not while it looks up, and only for consumers. */
	if (q->replica_id == -1 && q->isolation_level != 0 && q->isolation_level != 1)
		return (KERR_UNKNOWN_SERVER_ERROR);
	return (KERR_NONE);
}

static bool
fill_items(struct list_offsets *l)
{
	const struct wire_list_offsets_request *q = l->r->body;
	size_t total = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		total += (size_t)q->topics.v[i].partitions.n;
	l->find.items = ARENA_ARRAY(l->r->arena, struct replica_offset_item, total + 1);
	if (l->find.items == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_list_offsets_request_topic *t = &q->topics.v[i];

		for (int32_t j = 0; j < t->partitions.n; j++) {
			const struct wire_list_offsets_request_partition *p = &t->partitions.v[j];

			l->find.items[l->find.nitems++] = (struct replica_offset_item){ .topic = t->name, .partition = p->partition_index,
			    .current_leader_epoch = p->current_leader_epoch, .timestamp_ms = p->timestamp,
			    .max_offsets = p->max_num_offsets, .preset = item_judge(l, p->timestamp) };
		}
	}
	return (l->r->head.version < RECORDS_SINCE || refuse_duplicates(l));
}

/* ---- the answer ---- */

static int16_t
error_code(const struct api_request *r, enum kerr error)
{
	if (error == KERR_OFFSET_NOT_AVAILABLE && r->head.version < OFFSET_NOT_AVAILABLE_SINCE)
		return (KERR_LEADER_NOT_AVAILABLE);
	return ((int16_t)error);
}

static void
fill_partition(const struct api_request *r, struct wire_list_offsets_response_partition *w, const struct replica_offset_item *it)
{
	w->partition_index = it->partition;
	w->error_code = error_code(r, it->error);
	if (it->error != KERR_NONE)
		return;
	if (r->head.version < RECORDS_SINCE) {
		w->old_style_offsets.v = it->offsets;
		w->old_style_offsets.n = (int32_t)it->noffsets;
		return;
	}
	w->timestamp = it->found_timestamp_ms;
	w->offset = it->offset;
	if (r->head.version >= LEADER_EPOCH_SINCE)
		w->leader_epoch = it->leader_epoch;
}

static struct wire_list_offsets_response *
make_response(struct api_request *r, const struct replica_offset_item *it)
{
	const struct wire_list_offsets_request *q = r->body;
	struct wire_list_offsets_response *w = WIRE_NEW(r->arena, list_offsets_response);

	if (w == NULL || !ROWS_NEW(r->arena, &w->topics, list_offsets_response_topic, q->topics.n))
		return (NULL);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_list_offsets_request_topic *t = &q->topics.v[i];
		struct wire_list_offsets_response_topic *wt = &w->topics.v[i];

		wt->name = t->name;
		if (!ROWS_NEW(r->arena, &wt->partitions, list_offsets_response_partition, t->partitions.n))
			return (NULL);
		for (int32_t j = 0; j < t->partitions.n; j++)
			fill_partition(r, &wt->partitions.v[j], it++);
	}
	return (w);
}

/* ---- steps ---- */

static void
on_done(struct replica_offsets *find)
{
	struct list_offsets *l = CONTAINER_OF(find, struct list_offsets, find);

	api_answer(l->r, make_response(l->r, find->items));
}

void *
fail_list_offsets(struct api_request *r, enum kerr error)
{
	const struct wire_list_offsets_request *q = r->body;
	struct replica_offset_item *items;
	size_t total = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		total += (size_t)q->topics.v[i].partitions.n;
	items = ARENA_ARRAY(r->arena, struct replica_offset_item, total + 1);
	if (items == NULL)
		return (NULL);
	total = 0;
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].partitions.n; j++, total++) {
			items[total].partition = q->topics.v[i].partitions.v[j].partition_index;
			items[total].error = error;
		}
	return (make_response(r, items));
}

void
serve_list_offsets(struct api_request *r)
{
	const struct wire_list_offsets_request *q = r->body;
	struct list_offsets *l = ARENA_NEW(r->arena, struct list_offsets);

	if (l == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	l->r = r;
	l->find = (struct replica_offsets){ .loop = api_loop(r), .replica_id = q->replica_id, .read_committed = q->isolation_level == 1,
	    .by_files = r->head.version < RECORDS_SINCE, .arena = r->arena, .done = on_done };
	if (!fill_items(l)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	replica_list_offsets(r->server->opt.replicas, &l->find);
}
