/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_allocate_producer_ids.c - AllocateProducerIds: a broker asks its controller for a block of producer ids.
 *
 * Two steps on two loops: the controller says whether it is one and knows the broker, then the block is taken in that broker's name.
 */
#include "controller/controller.h"
#include "server/dispatch.h"
#include "txn/producer_ids.h"

struct allocate_call {
	struct api_request *r;
	struct controller_check check;
	struct producer_ids_block block;
};

static void *
answer(struct api_request *r, enum kerr error, int64_t start, int32_t n)
{
	struct wire_allocate_producer_ids_response *a = WIRE_NEW(r->arena, allocate_producer_ids_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->producer_id_start = start;
	a->producer_id_len = n;
	return (a);
}

void *
fail_allocate_producer_ids(struct api_request *r, enum kerr error)
{
	return (answer(r, error, 0, 0));
}

static void
taken(struct producer_ids_block *b)
{
	struct api_request *r = CONTAINER_OF(b, struct allocate_call, block)->r;
	void *a;

	if (b->error != OK) {
		api_fail(r, b->error == ERR_ZK_EXPIRED ? KERR_NOT_CONTROLLER : KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	a = answer(r, KERR_NONE, b->first, (int32_t)(b->last - b->first + 1));
	if (a == NULL)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(r, a);
}

static void
checked(struct controller_check *k)
{
	struct allocate_call *call = CONTAINER_OF(k, struct allocate_call, check);

	if (k->error != KERR_NONE) {
		api_fail(call->r, k->error);
		return;
	}
	call->block.broker_id = k->broker_id;
	call->block.loop = api_loop(call->r);
	call->block.done = taken;
	producer_ids_take_block(call->r->server->opt.producer_ids, &call->block);
}

void
serve_allocate_producer_ids(struct api_request *r)
{
	const struct wire_allocate_producer_ids_request *q = r->body;
	struct allocate_call *call = ARENA_NEW(r->arena, struct allocate_call);

	if (call == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->r = r;
	call->check.broker_id = q->broker_id;
	call->check.broker_epoch = q->broker_epoch;
	call->check.loop = api_loop(r);
	call->check.done = checked;
	controller_check_broker(r->server->opt.controller, &call->check);
}
