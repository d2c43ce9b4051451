/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_create_topics.c - CreateTopics.
 *
 * One row per topic of the request, in its order.  Rows refused here never reach admin/: a name that is there twice (each of its rows) and
 * __cluster_metadata.  From version 5 on a topic that was made is shown with its settings; on an error there is nothing but the error, except
 * that a time-out keeps the id of the topic that was made (version 7).
 */
#include "admin/topics.h"
#include "server/admin_call.h"
#include "server/rows.h"

#define CLUSTER_METADATA_TOPIC	"__cluster_metadata"
enum { DESCRIBED_SINCE = 5 };

struct create_call {
	struct api_request *r;
	struct wire_create_topics_response *a;
	struct admin_create_topics c;
	int32_t		*row;		/* of each topic of c in the answer */
};

static struct wire_create_topics_response *
new_answer(struct api_request *r)
{
	const struct wire_create_topics_request *q = r->body;
	struct wire_create_topics_response *a = WIRE_NEW(r->arena, create_topics_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->topics, create_topics_response_topic, q->topics.n))
		return (NULL);
	for (int32_t i = 0; i < q->topics.n; i++)
		a->topics.v[i].name = q->topics.v[i].name;
	return (a);
}

void *
fail_create_topics(struct api_request *r, enum kerr error)
{
	struct wire_create_topics_response *a = new_answer(r);

	if (a != NULL)
		ROWS_SET_ERROR(&a->topics, error);
	return (a);
}

/* ---- what admin/ is asked ---- */

static bool
copy_assignments(struct arena *arena, const struct wire_create_topics_request_topic *q, struct admin_topic *t)
{
	struct admin_replicas *v = ARENA_ARRAY(arena, struct admin_replicas, (size_t)q->assignments.n + 1);

	for (int32_t i = 0; v != NULL && i < q->assignments.n; i++)
		v[i] = (struct admin_replicas){ q->assignments.v[i].partition_index, q->assignments.v[i].broker_ids.v,
		    q->assignments.v[i].broker_ids.n };
	t->assignments = v;
	t->nassignments = q->assignments.n;
	return (v != NULL);
}

static bool
copy_configs(struct arena *arena, const struct wire_create_topics_request_topic *q, struct admin_topic *t)
{
	struct config_wish *v = ARENA_ARRAY(arena, struct config_wish, (size_t)q->configs.n + 1);

	for (int32_t i = 0; v != NULL && i < q->configs.n; i++)
		v[i] = (struct config_wish){ q->configs.v[i].name, q->configs.v[i].value, CONFIG_OP_SET };
	t->configs = v;
	t->nconfigs = q->configs.n;
	return (v != NULL);
}

static bool
add_topic(struct create_call *call, int32_t row, const struct wire_create_topics_request_topic *q)
{
	struct admin_topic *t = &call->c.topics[call->c.ntopics];

	t->name = q->name;
	t->num_partitions = q->num_partitions;
	t->replication_factor = q->replication_factor;
	call->row[call->c.ntopics++] = row;
	return (copy_assignments(call->r->arena, q, t) && copy_configs(call->r->arena, q, t));
}

static void
refuse(struct wire_create_topics_response_topic *row, const char *words)
{
	row->error_code = KERR_INVALID_REQUEST;
	row->error_message = slice_str(words);
}

static bool
sort_out(struct create_call *call)
{
	const struct wire_create_topics_request *q = call->r->body;
	size_t n = (size_t)q->topics.n;
	struct slice *names = ARENA_ARRAY(call->r->arena, struct slice, n + 1);
	enum admin_mention *mention = ARENA_ARRAY(call->r->arena, enum admin_mention, n + 1);

	call->c.topics = ARENA_ARRAY(call->r->arena, struct admin_topic, n + 1);
	call->row = ARENA_ARRAY(call->r->arena, int32_t, n + 1);
	if (names == NULL || mention == NULL || call->c.topics == NULL || call->row == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++)
		names[i] = q->topics.v[i].name;
	admin_find_repeated(names, q->topics.n, mention);
	for (int32_t i = 0; i < q->topics.n; i++) {
		if (slice_eq_str(names[i], CLUSTER_METADATA_TOPIC))
			refuse(&call->a->topics.v[i], "the topic " CLUSTER_METADATA_TOPIC " is internal and cannot be created");
		else if (mention[i] != ADMIN_UNIQUE)
			refuse(&call->a->topics.v[i], "the request names this topic more than once");
		else if (!add_topic(call, i, &q->topics.v[i]))
			return (false);
	}
	return (true);
}

/* ---- what it answers ---- */

static bool
show_configs(struct api_request *r, const struct config_description *d, struct wire_create_topics_response_topic *row)
{
	if (!ROWS_NEW(r->arena, &row->configs, create_topics_response_config, (int32_t)d->count))
		return (false);
	for (size_t i = 0; i < d->count; i++) {
		const struct config_entry *e = &d->entries[i];
		struct wire_create_topics_response_config *c = &row->configs.v[i];

		c->name = slice_str(e->name);
		c->value = slice_str(e->value);
		c->read_only = e->read_only;
		c->config_source = (int8_t)e->source;
		c->is_sensitive = e->sensitive;
	}
	return (true);
}

static bool
show(struct create_call *call)
{
	for (int32_t i = 0; i < call->c.ntopics; i++) {
		const struct admin_topic *t = &call->c.topics[i];
		struct wire_create_topics_response_topic *row = &call->a->topics.v[call->row[i]];

		row->topic_id = t->id;
		row->error_code = (int16_t)t->outcome.error;
		row->error_message = slice_str(t->outcome.message);
		row->num_partitions = t->partitions;
		row->replication_factor = t->replicas;
		if (!show_configs(call->r, &t->described, row))
			return (false);
	}
	return (true);
}

static void
created(struct admin_job *j)
{
	struct create_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_create_topics, job), struct create_call, c);

	if (show(call))
		api_respond(call->r, call->a);
	else
		api_fail(call->r, KERR_UNKNOWN_SERVER_ERROR);
}

void
serve_create_topics(struct api_request *r)
{
	const struct wire_create_topics_request *q = r->body;
	struct create_call *call = ARENA_NEW(r->arena, struct create_call);

	if (call == NULL || (call->a = new_answer(r)) == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (!admin_controller_active(r->server->opt.admin)) {
		ROWS_SET_ERROR(&call->a->topics, KERR_NOT_CONTROLLER);
		api_respond(r, call->a);
		return;
	}
	call->r = r;
	if (!sort_out(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	admin_call(r, &call->c.job, created);
	call->c.validate_only = q->validate_only;
	call->c.describe = r->head.version >= DESCRIBED_SINCE;
	call->c.timeout_ms = q->timeout_ms;
	admin_create_topics(r->server->opt.admin, &call->c);
}
