/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_api.c - see bare.h: just enough of the protocol that clients take it for a broker.
 *
 * Versions   what the tables have, but topics are named, never numbered.  A group's coordinator is never available: clients that were given
 *            their partitions and offsets go on without.
 */
#include <err.h>
#include <string.h>

#include "bare.h"
#include "base/must.h"
#include "base/str.h"

enum { METADATA_BY_NAME = 9, FETCH_BY_NAME = 12, AUTHORIZED_UNKNOWN = INT32_MIN };

static const struct api_row { int16_t key, max; } served[] = {		/* max 0: the table's */
	{ API_PRODUCE, 0 }, { API_FETCH, FETCH_BY_NAME }, { API_LIST_OFFSETS, 0 }, { API_METADATA, METADATA_BY_NAME }, { API_FIND_COORDINATOR, 0 },
	{ API_API_VERSIONS, 0 },
};

static int16_t
max_of(const struct api_row *row)
{
	return (row->max != 0 ? row->max : wire_api(row->key)->max);
}

/* What the program has no memory for is no request that a bench makes. */
static void *
got(void *p)
{
	if (p == NULL)
		errx(1, "an answer beyond the arena's limit");
	return (p);
}

#define NEW(arena, name)		((struct wire_##name *)got(WIRE_NEW(arena, name)))
#define NEW_ARRAY(arena, name, n)	((struct wire_##name *)got(WIRE_NEW_ARRAY(arena, name, n)))

static void *
api_versions(struct arena *arena)
{
	struct wire_api_versions_response *a = NEW(arena, api_versions_response);

	a->api_keys.n = NELEM(served);
	a->api_keys.v = NEW_ARRAY(arena, api_versions_response_api_version, a->api_keys.n);
	for (size_t i = 0; i < NELEM(served); i++) {
		a->api_keys.v[i].api_key = served[i].key;
		a->api_keys.v[i].min_version = wire_api(served[i].key)->min;
		a->api_keys.v[i].max_version = max_of(&served[i]);
	}
	return (a);
}

static struct wire_i32_array
node_zero(struct arena *arena)
{
	return ((struct wire_i32_array){ got(arena_calloc(arena, 1, sizeof(int32_t))), 1 });
}

static void *
metadata(struct bare *b, const struct wire_metadata_request *q, struct arena *arena)
{
	struct wire_metadata_response *a = NEW(arena, metadata_response);

	a->brokers.n = 1;
	a->brokers.v = NEW_ARRAY(arena, metadata_response_broker, 1);
	a->brokers.v->host = SLICE_LIT("127.0.0.1");
	a->brokers.v->port = b->port;
	a->controller_id = 0;
	a->topics.n = MAX(q->topics.n, 0);
	a->topics.v = NEW_ARRAY(arena, metadata_response_topic, a->topics.n);
	for (int32_t i = 0; i < a->topics.n; i++) {
		struct wire_metadata_response_topic *t = &a->topics.v[i];

		t->name = q->topics.v[i].name;
		t->topic_authorized_operations = AUTHORIZED_UNKNOWN;
		t->partitions.n = b->partitions;
		t->partitions.v = NEW_ARRAY(arena, metadata_response_partition, b->partitions);
		for (int32_t p = 0; p < b->partitions; p++) {
			t->partitions.v[p].partition_index = p;
			t->partitions.v[p].leader_epoch = 0;
			t->partitions.v[p].replica_nodes = node_zero(arena);
			t->partitions.v[p].isr_nodes = node_zero(arena);
		}
	}
	return (a);
}

static void *
find_coordinator(const struct wire_find_coordinator_request *q, int version, struct arena *arena)
{
	struct wire_find_coordinator_response *a = NEW(arena, find_coordinator_response);

	if (version < 4) {
		a->error_code = KERR_COORDINATOR_NOT_AVAILABLE;
		return (a);
	}
	a->coordinators.n = MAX(q->coordinator_keys.n, 0);
	a->coordinators.v = NEW_ARRAY(arena, find_coordinator_response_coordinator, a->coordinators.n);
	for (int32_t i = 0; i < a->coordinators.n; i++) {
		a->coordinators.v[i].key = q->coordinator_keys.v[i];
		a->coordinators.v[i].error_code = KERR_COORDINATOR_NOT_AVAILABLE;
	}
	return (a);
}

static struct bare_log *
log_of(struct bare *b, int32_t partition)
{
	return (partition >= 0 && partition < b->partitions ? &b->logs[partition] : NULL);
}

static void *
list_offsets(struct bare *b, const struct wire_list_offsets_request *q, struct arena *arena)
{
	struct wire_list_offsets_response *a = NEW(arena, list_offsets_response);

	a->topics.n = MAX(q->topics.n, 0);
	a->topics.v = NEW_ARRAY(arena, list_offsets_response_topic, a->topics.n);
	for (int32_t i = 0; i < a->topics.n; i++) {
		const struct wire_list_offsets_request_topic *qt = &q->topics.v[i];
		struct wire_list_offsets_response_topic *t = &a->topics.v[i];

		t->name = qt->name;
		t->partitions.n = MAX(qt->partitions.n, 0);
		t->partitions.v = NEW_ARRAY(arena, list_offsets_response_partition, t->partitions.n);
		for (int32_t p = 0; p < t->partitions.n; p++) {
			const struct bare_log *l = log_of(b, qt->partitions.v[p].partition_index);

			t->partitions.v[p].partition_index = qt->partitions.v[p].partition_index;
			t->partitions.v[p].error_code = l == NULL ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE;
			t->partitions.v[p].leader_epoch = 0;
			t->partitions.v[p].offset = l == NULL || qt->partitions.v[p].timestamp != -1 ? 0 : l->next_offset;
		}
	}
	return (a);
}

static enum kerr
produce_one(struct bare *b, const struct wire_produce_request_partition *q, int64_t *base_offset)
{
	struct bare_log *l = log_of(b, q->index);

	*base_offset = -1;
	if (l == NULL)
		return (KERR_UNKNOWN_TOPIC_OR_PARTITION);
	if (q->records.first == NULL)
		return (KERR_INVALID_RECORD);
	b->appended = b->appended == BARE_NONE || b->appended == q->index ? q->index : BARE_ANY;
	return (bare_log_append(l, b->work, b->codec, q->records.first->mem, base_offset));	/* decoded: one piece of memory */
}

static void *
produce(struct bare *b, const struct wire_produce_request *q, struct arena *arena)
{
	struct wire_produce_response *a = NEW(arena, produce_response);

	a->responses.n = MAX(q->topic_data.n, 0);
	a->responses.v = NEW_ARRAY(arena, produce_response_topic, a->responses.n);
	for (int32_t i = 0; i < a->responses.n; i++) {
		const struct wire_produce_request_topic *qt = &q->topic_data.v[i];
		struct wire_produce_response_topic *t = &a->responses.v[i];

		t->name = qt->name;
		t->partition_responses.n = MAX(qt->partition_data.n, 0);
		t->partition_responses.v = NEW_ARRAY(arena, produce_response_partition, t->partition_responses.n);
		for (int32_t p = 0; p < t->partition_responses.n; p++) {
			struct wire_produce_response_partition *r = &t->partition_responses.v[p];

			r->index = qt->partition_data.v[p].index;
			r->error_code = (int16_t)produce_one(b, &qt->partition_data.v[p], &r->base_offset);
			r->log_start_offset = 0;
		}
	}
	return (q->acks == 0 ? NULL : a);
}

/* -> bytes of records found */
static uint64_t
fetch_one(struct bare *b, const struct wire_fetch_request_partition *q, uint64_t left, struct arena *arena, struct wire_fetch_response_partition *r)
{
	const struct bare_log *l = log_of(b, q->partition);
	struct file_range range;

	chain_init(&r->records);
	r->partition_index = q->partition;
	if (l == NULL || q->fetch_offset < 0 || q->fetch_offset > l->next_offset) {
		r->error_code = l == NULL ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_OFFSET_OUT_OF_RANGE;
		return (1);	/* to be told at once */
	}
	r->high_watermark = r->last_stable_offset = l->next_offset;
	r->log_start_offset = 0;
	if (left == 0 || !bare_log_read(l, q->fetch_offset, MIN(left, (uint64_t)MAX(q->partition_max_bytes, 0)), &range))
		return (0);
	if (!chain_add_file(&r->records, arena, &range))
		errx(1, "an answer beyond the arena's limit");
	return (r->records.len);
}

/* NULL: nothing to tell, and time left */
static void *
fetch(struct bare *b, const struct wire_fetch_request *q, bool late, struct arena *arena)
{
	struct wire_fetch_response *a = NEW(arena, fetch_response);
	uint64_t left = (uint64_t)MAX(q->max_bytes, 0), len, total = 0;

	a->responses.n = MAX(q->topics.n, 0);
	a->responses.v = NEW_ARRAY(arena, fetch_response_topic, a->responses.n);
	for (int32_t i = 0; i < a->responses.n; i++) {
		const struct wire_fetch_request_topic *qt = &q->topics.v[i];
		struct wire_fetch_response_topic *t = &a->responses.v[i];

		t->topic = qt->topic;
		t->partitions.n = MAX(qt->partitions.n, 0);
		t->partitions.v = NEW_ARRAY(arena, fetch_response_partition, t->partitions.n);
		for (int32_t p = 0; p < t->partitions.n; p++) {
			len = fetch_one(b, &qt->partitions.v[p], left, arena, &t->partitions.v[p]);
			total += len;
			left -= MIN(left, len);
		}
	}
	return (total > 0 || late || q->min_bytes <= 0 || q->max_wait_ms <= 0 ? a : NULL);
}

static struct bare_wait
fetch_wait(const struct wire_fetch_request *q)
{
	bool one = q->topics.n == 1 && q->topics.v->partitions.n == 1;

	return ((struct bare_wait){ q->max_wait_ms, one ? q->topics.v->partitions.v->partition : BARE_ANY });
}

static bool
serves(const struct wire_request_head *h)
{
	for (size_t i = 0; i < NELEM(served); i++)
		if (served[i].key == h->api->key)
			return (h->version <= max_of(&served[i]));
	return (false);
}

/* NULL: no answer, or not yet. */
static void *
answer_made(struct bare *b, const struct wire_request_head *h, void *q, bool late, struct arena *arena)
{
	switch (h->api->key) {
	case API_PRODUCE:
		return (produce(b, q, arena));
	case API_FETCH:
		return (fetch(b, q, late, arena));
	case API_LIST_OFFSETS:
		return (list_offsets(b, q, arena));
	case API_METADATA:
		return (metadata(b, q, arena));
	case API_FIND_COORDINATOR:
		return (find_coordinator(q, h->version, arena));
	default:
		return (api_versions(arena));
	}
}

/* A version of ApiVersions that we do not know. */
static void *
versions_unknown(struct arena *arena)
{
	struct wire_api_versions_response *a = api_versions(arena);

	a->error_code = KERR_UNSUPPORTED_VERSION;
	return (a);
}

enum bare_answer
bare_answer(struct bare *b, struct slice frame, bool late, struct arena *arena, struct chain *out, struct bare_wait *wait)
{
	struct errbuf eb = ERRBUF_INIT;
	struct wire_request_head h;
	void *q, *response;

	b->appended = BARE_NONE;
	if (wire_request_parse(frame, arena, &h, &eb) != OK)
		return (BARE_REFUSED);
	if (!h.supported) {
		response = versions_unknown(arena);
		h.version = 0;
	} else {
		if (!serves(&h) || wire_request_decode(&h, arena, &q, &eb) != OK)
			return (BARE_REFUSED);
		response = answer_made(b, &h, q, late, arena);
		if (response == NULL && h.api->key == API_FETCH) {
			*wait = fetch_wait(q);
			return (BARE_LATER);
		}
	}
	if (response != NULL && wire_response_frame(h.api, h.version, h.correlation_id, response, arena, out, &eb) != OK)
		errx(1, "%s cannot be answered: %s", h.api->name, eb.text);
	return (BARE_ANSWERED);
}
