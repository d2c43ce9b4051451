/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_init_producer_id.c - InitProducerId, versions 0 to 5, before there is a transaction coordinator.
 *
 * Without a transactional id: the next producer id, epoch 0.  With one: Java's checks, in its order, and then NOT_COORDINATOR, what a Java broker
 * answers that owns no partition of __transaction_state.  Nothing is created for it.  A producer id and epoch to resume from must be
 * given both or not at all; an idempotent producer that gives them gets a new id all the same.
 */
#include "server/dispatch.h"
#include "txn/producer_ids.h"

enum { NO_PRODUCER_ID = -1, NO_PRODUCER_EPOCH = -1 };

static void *
answer(struct api_request *r, enum kerr error, int64_t producer_id, int16_t epoch)
{
	struct wire_init_producer_id_response *a = WIRE_NEW(r->arena, init_producer_id_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->producer_id = producer_id;
	a->producer_epoch = epoch;
	return (a);
}

void *
fail_init_producer_id(struct api_request *r, enum kerr error)
{
	return (answer(r, error, NO_PRODUCER_ID, NO_PRODUCER_EPOCH));
}

static enum kerr
judge_transactional(const struct wire_init_producer_id_request *q, const struct config *c)
{
	if (q->transactional_id.len == 0)
		return (KERR_INVALID_REQUEST);
	if (q->transaction_timeout_ms <= 0 || q->transaction_timeout_ms > c->transaction_max_timeout_ms)
		return (KERR_INVALID_TRANSACTION_TIMEOUT);
	return (KERR_NOT_COORDINATOR);
}

void
serve_init_producer_id(struct api_request *r)
{
	const struct wire_init_producer_id_request *q = r->body;
	int64_t id = NO_PRODUCER_ID;
	enum kerr k;
	void *a;

	if ((q->producer_id == NO_PRODUCER_ID) != (q->producer_epoch == NO_PRODUCER_EPOCH))
		k = KERR_INVALID_REQUEST;
	else if (q->transactional_id.p != NULL)
		k = judge_transactional(q, server_config(r->server));
	else
		k = producer_ids_claim(r->server->opt.producer_ids, &id);
	if (k != KERR_NONE) {
		api_fail(r, k);
		return;
	}
	a = answer(r, KERR_NONE, id, 0);
	if (a == NULL)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(r, a);
}
