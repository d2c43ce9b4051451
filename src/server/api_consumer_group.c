/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_consumer_group.c - ConsumerGroupHeartbeat and ConsumerGroupDescribe: the consumer protocol of KIP-848 needs KRaft.  A broker of
 * ZooKeeper's advertises both and says UNSUPPORTED_VERSION.
 */
#include "server/dispatch.h"
#include "server/rows.h"

void *
fail_consumer_group_heartbeat(struct api_request *r, enum kerr error)
{
	struct wire_consumer_group_heartbeat_response *a = WIRE_NEW(r->arena, consumer_group_heartbeat_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

void
serve_consumer_group_heartbeat(struct api_request *r)
{
	api_answer(r, fail_consumer_group_heartbeat(r, KERR_UNSUPPORTED_VERSION));
}

void *
fail_consumer_group_describe(struct api_request *r, enum kerr error)
{
	const struct wire_consumer_group_describe_request *q = r->body;
	struct wire_consumer_group_describe_response *a = WIRE_NEW(r->arena, consumer_group_describe_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->groups, consumer_group_describe_response_group, q->group_ids.n))
		return (NULL);
	ROWS_SET_ERROR(&a->groups, error);
	for (int32_t i = 0; i < a->groups.n; i++)
		a->groups.v[i].group_id = q->group_ids.v[i];
	return (a);
}

void
serve_consumer_group_describe(struct api_request *r)
{
	api_answer(r, fail_consumer_group_describe(r, KERR_UNSUPPORTED_VERSION));
}
