/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_create_partitions.c - CreatePartitions.
 *
 * One row per topic, in the order of the request; a topic named more than once has one row, INVALID_REQUEST.
 */
#include "admin/topics.h"
#include "server/admin_call.h"
#include "server/rows.h"

struct grow_call {
	struct api_request *r;
	struct wire_create_partitions_response *a;
	struct admin_create_partitions c;
	int32_t		*row;		/* of each topic of c in the answer */
};

static struct wire_create_partitions_response *
new_answer(struct api_request *r)
{
	const struct wire_create_partitions_request *q = r->body;
	struct wire_create_partitions_response *a = WIRE_NEW(r->arena, create_partitions_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, create_partitions_response_topic_result, q->topics.n))
		return (NULL);
	for (int32_t i = 0; i < q->topics.n; i++)
		a->results.v[i].name = q->topics.v[i].name;
	return (a);
}

void *
fail_create_partitions(struct api_request *r, enum kerr error)
{
	struct wire_create_partitions_response *a = new_answer(r);

	if (a != NULL)
		ROWS_SET_ERROR(&a->results, error);
	return (a);
}

static bool
add_topic(struct grow_call *call, int32_t row, const struct wire_create_partitions_request_topic *q)
{
	struct admin_growth *t = &call->c.topics[call->c.ntopics];
	struct admin_replicas *v = NULL;

	call->row[call->c.ntopics++] = row;
	t->name = q->name;
	t->count = q->count;
	if (q->assignments.n >= 0) {
		v = ARENA_ARRAY(call->r->arena, struct admin_replicas, (size_t)q->assignments.n + 1);
		if (v == NULL)
			return (false);
		t->nassignments = q->assignments.n;
	}
	for (int32_t i = 0; i < q->assignments.n; i++)
		v[i] = (struct admin_replicas){ -1, q->assignments.v[i].broker_ids.v, q->assignments.v[i].broker_ids.n };
	t->assignments = v;
	return (true);
}

/* A row of its own for everything but the further mentions of a topic. */
static bool
sort_out(struct grow_call *call, bool controller)
{
	const struct wire_create_partitions_request *q = call->r->body;
	size_t n = (size_t)q->topics.n;
	struct slice *names = ARENA_ARRAY(call->r->arena, struct slice, n + 1);
	enum admin_mention *mention = ARENA_ARRAY(call->r->arena, enum admin_mention, n + 1);

	call->c.topics = ARENA_ARRAY(call->r->arena, struct admin_growth, n + 1);
	call->row = ARENA_ARRAY(call->r->arena, int32_t, n + 1);
	if (names == NULL || mention == NULL || call->c.topics == NULL || call->row == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++)
		names[i] = q->topics.v[i].name;
	admin_find_repeated(names, q->topics.n, mention);
	call->a->results.n = 0;
	for (int32_t i = 0; i < q->topics.n; i++) {
		struct wire_create_partitions_response_topic_result *row = &call->a->results.v[call->a->results.n];

		if (mention[i] == ADMIN_FURTHER)
			continue;
		row->name = names[i];
		if (!controller)
			row->error_code = KERR_NOT_CONTROLLER;
		else if (mention[i] == ADMIN_FIRST_OF_SEVERAL) {
			row->error_code = KERR_INVALID_REQUEST;
			row->error_message = SLICE_LIT("the request names this topic more than once");
		} else if (!add_topic(call, call->a->results.n, &q->topics.v[i]))
			return (false);
		call->a->results.n++;
	}
	return (true);
}

static void
grown(struct admin_job *j)
{
	struct grow_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_create_partitions, job), struct grow_call, c);

	for (int32_t i = 0; i < call->c.ntopics; i++) {
		struct wire_create_partitions_response_topic_result *row = &call->a->results.v[call->row[i]];

		row->error_code = (int16_t)call->c.topics[i].outcome.error;
		row->error_message = slice_str(call->c.topics[i].outcome.message);
	}
	api_respond(call->r, call->a);
}

void
serve_create_partitions(struct api_request *r)
{
	const struct wire_create_partitions_request *q = r->body;
	struct grow_call *call = ARENA_NEW(r->arena, struct grow_call);

	if (call != NULL)
		call->r = r;
	if (call == NULL || (call->a = new_answer(r)) == NULL || !sort_out(call, admin_controller_active(r->server->opt.admin))) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (call->c.ntopics == 0) {
		api_respond(r, call->a);
		return;
	}
	admin_call(r, &call->c.job, grown);
	call->c.validate_only = q->validate_only;
	call->c.timeout_ms = q->timeout_ms;
	admin_create_partitions(r->server->opt.admin, &call->c);
}
