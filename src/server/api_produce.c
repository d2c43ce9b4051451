/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_produce.c - Produce.  From version 3 on each partition carries one batch of format 2; what the older ones carry is converted to one
 *                         (record/validate.h).
 *
 * PATH       items in the request's arena -> replica_append -> queued: the next Produce of the connection may start -> written: the frame's
 *            bytes go -> done: the answer.
 *
 * INVARIANTS
 *   (1) The frame is not touched after `written`: topic names were copied before, records are in the log.
 *   (2) acks = 0: no answer; the next request starts only after the write, and an error closes the connection, as in Java.  So a failed batch
 *       is never followed by a later one that succeeds.
 */
#include <stdlib.h>

#include "record/batch.h"
#include "replica/append.h"
#include "server/dispatch.h"

enum {				/* of a batch or a message of any format: base offset, length, 4 bytes, magic */
	LENGTH_END	= 12,
	MAGIC_AT	= 16,
	RECORD_LENGTH_MIN = 14	/* what follows the length in a message of format 0 without key and value */
};

#define ADMIN_CLIENT_ID	"__admin_client"	/* may write to internal topics (AdminUtils) */

struct produce {
	struct api_request *r;
	struct replica_append append;
	const struct wire_produce_request *q;
	struct slice	*names;		/* one per topic of the request, in the arena */
	int32_t		*indexes;	/* one per item */
	uint32_t	*counts;	/* items per topic */
	int32_t		 ntopics;
};

static uint32_t
count_items(const struct wire_produce_request *q)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < q->topic_data.n; i++)
		n += (uint32_t)q->topic_data.v[i].partition_data.n;
	return (n);
}

/* The records of one partition: one piece of the frame, which belongs to this request and is patched in place; NULL for null, which is not empty. */
static void
take_records(struct replica_append_item *it, const struct chain *records)
{
	static uint8_t nothing[1];

	it->records = records->null ? NULL : nothing;
	it->records_len = 0;
	if (records->null || records->first == NULL)
		return;
	it->records = (uint8_t *)(uintptr_t)records->first->mem.p;
	it->records_len = (uint32_t)records->first->mem.len;
}

static bool
fill_items(struct produce *p, struct arena *a)
{
	const struct wire_produce_request *q = p->q;
	uint32_t n = count_items(q), at = 0;

	p->ntopics = q->topic_data.n;
	p->names = ARENA_ARRAY(a, struct slice, (size_t)p->ntopics + 1);
	p->counts = ARENA_ARRAY(a, uint32_t, (size_t)p->ntopics + 1);
	p->indexes = ARENA_ARRAY(a, int32_t, (size_t)n + 1);
	p->append.items = ARENA_ARRAY(a, struct replica_append_item, (size_t)n + 1);
	p->append.nitems = n;
	if (p->names == NULL || p->counts == NULL || p->indexes == NULL || p->append.items == NULL)
		return (false);
	for (int32_t i = 0; i < p->ntopics; i++) {
		const struct wire_produce_request_topic *t = &q->topic_data.v[i];

		p->names[i] = arena_dup(a, t->name);
		p->counts[i] = (uint32_t)t->partition_data.n;
		if (p->names[i].p == NULL)
			return (false);
		for (int32_t j = 0; j < t->partition_data.n; j++, at++) {
			p->indexes[at] = t->partition_data.v[j].index;
			p->append.items[at].topic = p->names[i];
			p->append.items[at].partition = t->partition_data.v[j].index;
			take_records(&p->append.items[at], &t->partition_data.v[j].records);
		}
	}
	return (true);
}

/* By topic, partition, place in the request. */
static int
item_order(const void *a, const void *b)
{
	const struct replica_append_item *x = *(struct replica_append_item *const *)a, *y = *(struct replica_append_item *const *)b;
	int by_topic = slice_cmp(x->topic, y->topic);

	if (by_topic != 0)
		return (by_topic);
	if (x->partition != y->partition)
		return (x->partition < y->partition ? -1 : 1);
	return (x < y ? -1 : 1);
}

/* Takes the items in this order, the last of each partition; the answer's topics follow. */
static bool
take_ordered(struct produce *p, struct replica_append_item **order, uint32_t n, struct arena *a)
{
	struct replica_append_item *items = ARENA_ARRAY(a, struct replica_append_item, (size_t)n + 1);
	uint32_t taken = 0;
	int32_t t = -1;

	if (items == NULL)
		return (false);
	for (uint32_t i = 0; i < n; i++) {
		bool same_topic = i > 0 && slice_eq(order[i - 1]->topic, order[i]->topic);

		if (!same_topic) {
			p->names[++t] = order[i]->topic;
			p->counts[t] = 0;
		}
		if (same_topic && order[i - 1]->partition == order[i]->partition) {
			taken--;
			p->counts[t]--;
		}
		p->indexes[taken] = order[i]->partition;
		items[taken++] = *order[i];
		p->counts[t]++;
	}
	p->append.items = items;
	p->append.nitems = taken;
	p->ntopics = t + 1;
	return (true);
}

/* Java keeps the records by partition: of a partition named twice the last records count, a topic named twice is answered once and a topic
 * without partitions not at all.  Requests of real clients are none of that and stay as they are. */
static bool
unite_items(struct produce *p, struct arena *a)
{
	uint32_t n = p->append.nitems, partitions = n > 0;
	int32_t topics = n > 0;
	struct replica_append_item **order;

	if (n == 1 && p->ntopics == 1)
		return (true);
	order = ARENA_ARRAY(a, struct replica_append_item *, (size_t)n + 1);
	if (order == NULL)
		return (false);
	for (uint32_t i = 0; i < n; i++)
		order[i] = &p->append.items[i];
	qsort(order, n, sizeof(struct replica_append_item *), item_order);
	for (uint32_t i = 1; i < n; i++) {
		bool same_topic = slice_eq(order[i - 1]->topic, order[i]->topic);

		topics += !same_topic;
		partitions += !same_topic || order[i - 1]->partition != order[i]->partition;
	}
	if (partitions == n && topics == p->ntopics)
		return (true);
	return (take_ordered(p, order, n, a));
}

/* ---- the answer ---- */

static bool
fill_record_errors(struct arena *a, struct wire_produce_response_partition *w, const struct replica_append_item *it)
{
	if (it->nrecord_errors == 0)
		return (true);
	w->record_errors.v = WIRE_NEW_ARRAY(a, produce_response_record_error, (int32_t)it->nrecord_errors);
	if (w->record_errors.v == NULL)
		return (false);
	w->record_errors.n = (int32_t)it->nrecord_errors;
	for (uint32_t i = 0; i < it->nrecord_errors; i++) {
		w->record_errors.v[i].batch_index = it->record_errors[i].index;
		w->record_errors.v[i].batch_index_error_message = slice_str(it->record_errors[i].message);
	}
	return (true);
}

/* Older versions have no place for a leader, and what has none is not written at all. */
enum { LEADER_HINTS_SINCE = 10 };

static bool
names_leader(const struct produce *p, const struct replica_append_item *it)
{
	return (p->r->head.version >= LEADER_HINTS_SINCE && it->error == KERR_NOT_LEADER_OR_FOLLOWER);
}

static bool
fill_partition(const struct produce *p, struct wire_produce_response_partition *w, const struct replica_append_item *it, int32_t index)
{
	w->index = index;
	w->error_code = (int16_t)it->error;
	w->base_offset = it->base_offset;
	w->log_append_time_ms = it->log_append_time_ms;
	w->log_start_offset = it->log_start_offset;
	w->error_message = slice_str(it->error_message);
	if (names_leader(p, it)) {
		w->current_leader.leader_id = it->leader_id;
		w->current_leader.leader_epoch = it->leader_epoch;
	}
	return (fill_record_errors(p->r->arena, w, it));
}

/* Where the leaders that were named live, each once. */
static bool
fill_endpoints(struct produce *p, struct wire_produce_response *a)
{
	const struct image *im = cluster_read(p->r->server->opt.cluster);
	struct arena *arena = p->r->arena;

	a->node_endpoints.v = WIRE_NEW_ARRAY(arena, produce_response_node_endpoint, (int32_t)im->nbrokers);
	if (a->node_endpoints.v == NULL && im->nbrokers > 0)
		return (false);
	for (uint32_t b = 0; b < im->nbrokers; b++) {
		const struct image_endpoint *e = image_broker_endpoint(im->brokers[b], api_listener(p->r));
		bool named = false;

		for (uint32_t i = 0; i < p->append.nitems && !named; i++)
			named = names_leader(p, &p->append.items[i]) && p->append.items[i].leader_id == im->brokers[b]->id;
		if (!named || e == NULL)
			continue;
		a->node_endpoints.v[a->node_endpoints.n++] = (struct wire_produce_response_node_endpoint){
		    .node_id = im->brokers[b]->id, .host = arena_dup(arena, slice_str(e->host)), .port = e->port,
		    .rack = arena_dup(arena, slice_str(im->brokers[b]->rack)) };
	}
	return (true);
}

static struct wire_produce_response *
make_response(struct produce *p)
{
	struct arena *arena = p->r->arena;
	struct wire_produce_response *a = WIRE_NEW(arena, produce_response);
	uint32_t at = 0;

	if (a == NULL)
		return (NULL);
	a->responses.v = WIRE_NEW_ARRAY(arena, produce_response_topic, p->ntopics);
	if (a->responses.v == NULL && p->ntopics > 0)
		return (NULL);
	a->responses.n = p->ntopics;
	for (int32_t i = 0; i < p->ntopics; i++) {
		struct wire_produce_response_topic *t = &a->responses.v[i];

		t->name = p->names[i];
		t->partition_responses.v = WIRE_NEW_ARRAY(arena, produce_response_partition, (int32_t)p->counts[i]);
		if (t->partition_responses.v == NULL && p->counts[i] > 0)
			return (NULL);
		t->partition_responses.n = (int32_t)p->counts[i];
		for (uint32_t j = 0; j < p->counts[i]; j++, at++)
			if (!fill_partition(p, &t->partition_responses.v[j], &p->append.items[at], p->indexes[at]))
				return (NULL);
	}
	return (fill_endpoints(p, a) ? a : NULL);
}

static bool
any_failed(const struct produce *p)
{
	for (uint32_t i = 0; i < p->append.nitems; i++)
		if (p->append.items[i].error != KERR_NONE)
			return (true);
	return (false);
}

/* ---- steps ---- */

static void
on_queued(struct replica_append *append)
{
	struct produce *p = CONTAINER_OF(append, struct produce, append);

	if (append->acks != 0)		/* invariant (2) */
		api_allow_next(p->r);
}

static void
on_written(struct replica_append *append)
{
	struct produce *p = CONTAINER_OF(append, struct produce, append);

	if (append->acks == APPEND_ACKS_ALL)	/* the others are answered at once */
		api_release_bytes(p->r);
}

static void
on_done(struct replica_append *append)
{
	struct produce *p = CONTAINER_OF(append, struct produce, append);
	struct api_request *r = p->r;
	struct wire_produce_response *a;

	if (append->acks == 0) {
		if (any_failed(p))
			api_close(r);
		else
			api_no_response(r);
		return;
	}
	a = make_response(p);
	if (a == NULL)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(r, a);
}

/* Java's answer names every partition of the request; without a decoded body, or after the frame has gone, there is none to name. */
void *
fail_produce(struct api_request *r, enum kerr error)
{
	struct produce *p = r->state;
	const struct wire_produce_request *q = r->body;
	bool worded = error != KERR_UNKNOWN_SERVER_ERROR && error != KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;

	if (q == NULL || p == NULL || p->append.acks == 0)
		return (NULL);
	for (uint32_t i = 0; i < p->append.nitems; i++) {
		p->append.items[i].error = error;
		p->append.items[i].base_offset = p->append.items[i].log_append_time_ms = p->append.items[i].log_start_offset = -1;
		p->append.items[i].nrecord_errors = 0;
		p->append.items[i].error_message = worded ? kerr_text(error) : NULL;
	}
	return (make_response(p));
}

/* Is the first batch of a partition one that cannot even be stepped over?  Java looks at all of them before anything else, and the whole
 * request fails. */
static bool
any_unreadable(const struct produce *p)
{
	for (uint32_t i = 0; i < p->append.nitems; i++) {
		const struct replica_append_item *it = &p->append.items[i];

		if (it->records_len < LENGTH_END)
			continue;
		if ((int32_t)be32dec(it->records + LENGTH_END - 4) < RECORD_LENGTH_MIN)
			return (true);
		if (it->records_len > MAGIC_AT && it->records[MAGIC_AT] > 2)
			return (true);
	}
	return (false);
}

/* What Java asks of the first batches of all partitions before it touches any: transactional ones come with a transactional id and from one
 * producer. */
static enum kerr
check_transactional(const struct produce *p)
{
	int64_t producer = BATCH_NO_PRODUCER;
	bool found = false, several = false;

	for (uint32_t i = 0; i < p->append.nitems; i++) {
		const struct replica_append_item *it = &p->append.items[i];
		struct batch_header h;

		if (batch_header_decode(slice_of(it->records, it->records_len), &h) != OK || !batch_is_transactional(&h))
			continue;
		found = true;
		if (!batch_has_producer(&h))
			continue;
		several |= producer != BATCH_NO_PRODUCER && producer != h.producer_id;
		producer = h.producer_id;
	}
	if (found && p->q->transactional_id.p == NULL)
		return (KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	return (several ? KERR_INVALID_PRODUCER_ID_MAPPING : KERR_NONE);
}

void
serve_produce(struct api_request *r)
{
	const struct wire_produce_request *q = r->body;
	struct produce *p = ARENA_NEW(r->arena, struct produce);
	enum kerr k;

	if (p == NULL) {
		api_close(r);
		return;
	}
	p->r = r;
	p->q = q;
	r->state = p;
	p->append = (struct replica_append){
	    .loop = api_loop(r),
	    .acks = q->acks,
	    .produce_version = r->head.version,
	    .timeout_ms = q->timeout_ms,
	    .internal_topics_allowed = slice_eq_str(r->head.client_id, ADMIN_CLIENT_ID),
	    .origin = RECORD_FROM_CLIENT,
	    .arena = r->arena,
	    .queued = on_queued,
	    .written = on_written,
	    .done = on_done,
	};
	if (!fill_items(p, r->arena) || !unite_items(p, r->arena)) {
		api_close(r);
		return;
	}
	if (any_unreadable(p)) {
		api_fail(r, KERR_CORRUPT_MESSAGE);
		return;
	}
	k = check_transactional(p);
	if (k != KERR_NONE) {
		api_fail(r, k);
		return;
	}
	replica_append(r->server->opt.replicas, &p->append);
}
