/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_describe_configs.c - DescribeConfigs.
 *
 * One row per resource, in the order of the request.  A type that is none of Kafka's fails the whole request.  The error message is null where
 * Java's is null, and empty where Java leaves it at the default: on success and for an unknown topic.
 */
#include "admin/configs.h"
#include "server/admin_call.h"
#include "server/rows.h"

struct describe_call {
	struct api_request *r;
	struct wire_describe_configs_response *a;
	struct admin_describe_configs d;
};

static struct wire_describe_configs_response *
new_answer(struct api_request *r)
{
	const struct wire_describe_configs_request *q = r->body;
	struct wire_describe_configs_response *a = WIRE_NEW(r->arena, describe_configs_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, describe_configs_response_result, q->resources.n))
		return (NULL);
	for (int32_t i = 0; i < q->resources.n; i++) {
		a->results.v[i].resource_type = q->resources.v[i].resource_type;
		a->results.v[i].resource_name = q->resources.v[i].resource_name;
	}
	return (a);
}

void *
fail_describe_configs(struct api_request *r, enum kerr error)
{
	struct wire_describe_configs_response *a = new_answer(r);

	for (int32_t i = 0; a != NULL && i < a->results.n; i++) {
		a->results.v[i].error_code = (int16_t)error;
		a->results.v[i].error_message = slice_str(kerr_text(error));
	}
	return (a);
}

/* ---- the answer ---- */

static bool
show_synonyms(struct arena *arena, const struct config_entry *e, struct wire_describe_configs_response_resource_result *row)
{
	if (!ROWS_NEW(arena, &row->synonyms, describe_configs_response_synonym, (int32_t)e->synonym_count))
		return (false);
	for (size_t i = 0; i < e->synonym_count; i++) {
		row->synonyms.v[i].name = slice_str(e->synonyms[i].name);
		row->synonyms.v[i].value = slice_str(e->synonyms[i].value);
		row->synonyms.v[i].source = (int8_t)e->synonyms[i].source;
	}
	return (true);
}

static bool
show_entry(const struct describe_call *call, const struct config_entry *e, bool logger, struct wire_describe_configs_response_resource_result *row)
{
	const struct wire_describe_configs_request *q = call->r->body;

	row->name = slice_str(e->name);
	row->value = slice_str(e->value);
	row->read_only = e->read_only;
	row->config_source = (int8_t)e->source;
	row->is_sensitive = e->sensitive;
	if (logger)
		return (true);
	row->config_type = (int8_t)e->type;
	row->documentation = q->include_documentation ? slice_str(e->documentation) : SLICE_NULL;
	return (!q->include_synonyms || show_synonyms(call->r->arena, e, row));
}

static bool
show(const struct describe_call *call, const struct admin_described *d, struct wire_describe_configs_response_result *row)
{
	row->error_code = (int16_t)d->outcome.error;
	if (d->outcome.error != KERR_NONE && d->outcome.error != KERR_UNKNOWN_TOPIC_OR_PARTITION)
		row->error_message = slice_str(d->outcome.message);
	if (!ROWS_NEW(call->r->arena, &row->configs, describe_configs_response_resource_result, (int32_t)d->description.count))
		return (false);
	for (int32_t i = 0; i < row->configs.n; i++)
		if (!show_entry(call, &d->description.entries[i], d->type == ADMIN_RESOURCE_BROKER_LOGGER, &row->configs.v[i]))
			return (false);
	return (true);
}

static void
described(struct admin_job *j)
{
	struct describe_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_describe_configs, job), struct describe_call, d);
	bool fits = true;

	for (int32_t i = 0; fits && i < call->d.nresources; i++)
		fits = show(call, &call->d.resources[i], &call->a->results.v[i]);
	if (fits)
		api_respond(call->r, call->a);
	else
		api_fail(call->r, KERR_UNKNOWN_SERVER_ERROR);
}

/* ---- the question ---- */

static bool
type_is_known(int8_t type)
{
	return (type == ADMIN_RESOURCE_TOPIC || type == ADMIN_RESOURCE_BROKER || type == ADMIN_RESOURCE_BROKER_LOGGER ||
	    type == ADMIN_RESOURCE_CLIENT_METRICS);
}

static bool
types_are_known(const struct wire_describe_configs_request *q)
{
	for (int32_t i = 0; i < q->resources.n; i++)
		if (!type_is_known(q->resources.v[i].resource_type))
			return (false);
	return (true);
}

static bool
ask(struct describe_call *call)
{
	const struct wire_describe_configs_request *q = call->r->body;

	call->d.resources = ARENA_ARRAY(call->r->arena, struct admin_described, (size_t)q->resources.n + 1);
	if (call->d.resources == NULL)
		return (false);
	call->d.nresources = q->resources.n;
	for (int32_t i = 0; i < q->resources.n; i++) {
		struct admin_described *d = &call->d.resources[i];

		d->type = q->resources.v[i].resource_type;
		d->name = q->resources.v[i].resource_name;
		if (q->resources.v[i].configuration_keys.n > 0)
			d->names = (struct config_names){ q->resources.v[i].configuration_keys.v, (size_t)q->resources.v[i].configuration_keys.n };
	}
	return (true);
}

void
serve_describe_configs(struct api_request *r)
{
	struct describe_call *call = ARENA_NEW(r->arena, struct describe_call);

	if (!types_are_known(r->body)) {
		api_fail(r, KERR_INVALID_REQUEST);
		return;
	}
	if (call != NULL)
		call->r = r;
	if (call == NULL || (call->a = new_answer(r)) == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	admin_call(r, &call->d.job, described);
	admin_describe_configs(r->server->opt.admin, &call->d);
}
