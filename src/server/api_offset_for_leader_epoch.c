/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_offset_for_leader_epoch.c - OffsetForLeaderEpoch: where an epoch of a leader's log ends.  Followers and consumers (KIP-320) find with
 * it whether what they have read is still there.
 *
 * The answer's rows are those of the request, in its order.  Who asks (replica_id) makes no difference: only leaders answer.
 */
#include "replica/offsets.h"
#include "server/dispatch.h"
#include "server/rows.h"

static void
look_up(struct replica_manager *m, struct slice topic, const struct wire_offset_for_leader_epoch_request_partition *q,
    struct wire_offset_for_leader_epoch_response_epoch_end_offset *row)
{
	row->error_code = (int16_t)replica_end_of_epoch(m, topic, q->partition, q->current_leader_epoch, q->leader_epoch, &row->leader_epoch,
	    &row->end_offset);
}

/* Every row looked up, or with this error. */
static void *
answer(struct api_request *r, enum kerr error)
{
	const struct wire_offset_for_leader_epoch_request *q = r->body;
	struct wire_offset_for_leader_epoch_response *a = WIRE_NEW(r->arena, offset_for_leader_epoch_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->topics, offset_for_leader_epoch_response_topic, q->topics.n))
		return (NULL);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_offset_for_leader_epoch_request_topic *t = &q->topics.v[i];
		struct wire_offset_for_leader_epoch_response_topic *rows = &a->topics.v[i];

		rows->topic = t->topic;
		if (!ROWS_NEW(r->arena, &rows->partitions, offset_for_leader_epoch_response_epoch_end_offset, t->partitions.n))
			return (NULL);
		for (int32_t j = 0; j < t->partitions.n; j++) {
			rows->partitions.v[j].partition = t->partitions.v[j].partition;
			rows->partitions.v[j].error_code = (int16_t)error;
			if (error == KERR_NONE)
				look_up(r->server->opt.replicas, t->topic, &t->partitions.v[j], &rows->partitions.v[j]);
		}
	}
	return (a);
}

void *
fail_offset_for_leader_epoch(struct api_request *r, enum kerr error)
{
	return (answer(r, error));
}

void
serve_offset_for_leader_epoch(struct api_request *r)
{
	api_answer(r, answer(r, KERR_NONE));
}
