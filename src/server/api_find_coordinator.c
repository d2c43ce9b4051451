/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_find_coordinator.c - FindCoordinator, before there are coordinators.
 *
 * Every group and transactional id is COORDINATOR_NOT_AVAILABLE: what Java answers while the internal topic is being made.  Nothing is
 * created.  Share groups (key type 2) are asked for from version 6 on and answered the same; before, they are INVALID_REQUEST per key.
 * Another key type fails the whole request with INVALID_REQUEST, but only if it names a key: Java looks at the type key by key.
 */
#include "server/dispatch.h"
#include "server/rows.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, BATCHED_SINCE = 4, SHARE_SINCE = 6 };

static enum kerr
find(const struct api_request *r, int8_t key_type)
{
	if (key_type == KEY_SHARE && r->head.version < SHARE_SINCE)
		return (KERR_INVALID_REQUEST);
	return (KERR_COORDINATOR_NOT_AVAILABLE);
}

static struct slice
no_host(void)
{
	return (slice_of("", 0));
}

static void *
answer_one(struct api_request *r, enum kerr error)
{
	struct wire_find_coordinator_response *a = WIRE_NEW(r->arena, find_coordinator_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->error_message = slice_str(kerr_text(error));
	a->node_id = -1;
	a->host = no_host();
	a->port = -1;
	return (a);
}

/* Java gives a message with each key only when the whole request failed. */
static void *
answer_batch(struct api_request *r, enum kerr error, bool message)
{
	const struct wire_find_coordinator_request *q = r->body;
	struct wire_find_coordinator_response *a = WIRE_NEW(r->arena, find_coordinator_response);
	int32_t n = q->coordinator_keys.n < 0 ? 0 : q->coordinator_keys.n;

	if (a == NULL || !ROWS_NEW(r->arena, &a->coordinators, find_coordinator_response_coordinator, n))
		return (NULL);
	for (int32_t i = 0; i < n; i++) {
		struct wire_find_coordinator_response_coordinator *c = &a->coordinators.v[i];

		c->key = q->coordinator_keys.v[i];
		c->node_id = -1;
		c->host = no_host();
		c->port = -1;
		c->error_code = (int16_t)error;
		if (message)
			c->error_message = slice_str(kerr_text(error));
	}
	return (a);
}

void *
fail_find_coordinator(struct api_request *r, enum kerr error)
{
	return (r->head.version < BATCHED_SINCE ? answer_one(r, error) : answer_batch(r, error, true));
}

void
serve_find_coordinator(struct api_request *r)
{
	const struct wire_find_coordinator_request *q = r->body;
	bool known = q->key_type >= KEY_GROUP && q->key_type <= KEY_SHARE;
	bool batched = r->head.version >= BATCHED_SINCE;
	void *a;

	if (!known && (!batched || q->coordinator_keys.n > 0)) {
		api_fail(r, KERR_INVALID_REQUEST);
		return;
	}
	a = batched ? answer_batch(r, find(r, q->key_type), false) : answer_one(r, find(r, q->key_type));
	api_answer(r, a);
}
