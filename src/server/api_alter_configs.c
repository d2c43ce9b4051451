/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_alter_configs.c - AlterConfigs: what a resource is to have of its own from now on, the whole of it.
 *
 * One row per resource, in the order of the request; all checks are in admin/alter.c.
 */
#include "admin/configs.h"
#include "server/dispatch.h"

struct alter_call {
	struct api_request *r;
	struct admin_alter_configs c;
};

static struct wire_alter_configs_response *
new_answer(struct api_request *r)
{
	const struct wire_alter_configs_request *q = r->body;
	struct wire_alter_configs_response *a = WIRE_NEW(r->arena, alter_configs_response);

	if (a == NULL)
		return (NULL);
	a->responses.v = WIRE_NEW_ARRAY(r->arena, alter_configs_response_resource, q->resources.n);
	if (a->responses.v == NULL && q->resources.n > 0)
		return (NULL);
	a->responses.n = q->resources.n;
	for (int32_t i = 0; i < q->resources.n; i++) {
		a->responses.v[i].resource_type = q->resources.v[i].resource_type;
		a->responses.v[i].resource_name = q->resources.v[i].resource_name;
		a->responses.v[i].error_message = SLICE_NULL;
	}
	return (a);
}

void *
fail_alter_configs(struct api_request *r, enum kerr error)
{
	struct wire_alter_configs_response *a = new_answer(r);

	for (int32_t i = 0; a != NULL && i < a->responses.n; i++)
		a->responses.v[i].error_code = (int16_t)error;
	return (a);
}

static bool
copy_wishes(struct arena *arena, const struct wire_alter_configs_request_resource *q, struct admin_altered *r)
{
	struct config_wish *v = ARENA_ARRAY(arena, struct config_wish, (size_t)q->configs.n + 1);

	for (int32_t i = 0; v != NULL && i < q->configs.n; i++)
		v[i] = (struct config_wish){ q->configs.v[i].name, q->configs.v[i].value, CONFIG_OP_SET };
	r->wishes = v;
	r->nwishes = q->configs.n;
	return (v != NULL);
}

static bool
ask(struct alter_call *call)
{
	const struct wire_alter_configs_request *q = call->r->body;

	call->c.resources = ARENA_ARRAY(call->r->arena, struct admin_altered, (size_t)q->resources.n + 1);
	if (call->c.resources == NULL)
		return (false);
	call->c.nresources = q->resources.n;
	for (int32_t i = 0; i < q->resources.n; i++) {
		call->c.resources[i].type = q->resources.v[i].resource_type;
		call->c.resources[i].name = q->resources.v[i].resource_name;
		if (!copy_wishes(call->r->arena, &q->resources.v[i], &call->c.resources[i]))
			return (false);
	}
	return (true);
}

static void
altered(struct admin_job *j)
{
	struct alter_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_alter_configs, job), struct alter_call, c);
	struct wire_alter_configs_response *a = new_answer(call->r);

	if (a == NULL) {
		api_fail(call->r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	for (int32_t i = 0; i < a->responses.n; i++) {
		a->responses.v[i].error_code = (int16_t)call->c.resources[i].outcome.error;
		a->responses.v[i].error_message = slice_str(call->c.resources[i].outcome.message);
	}
	api_respond(call->r, a);
}

static void
abandoned(struct api_request *r)
{
	struct alter_call *call = r->state;

	admin_abandon(&call->c.job);
}

void
serve_alter_configs(struct api_request *r)
{
	const struct wire_alter_configs_request *q = r->body;
	struct alter_call *call = ARENA_NEW(r->arena, struct alter_call);

	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	call->c.job.loop = api_loop(r);
	call->c.job.done = altered;
	call->c.job.arena = r->arena;
	call->c.incremental = false;
	call->c.validate_only = q->validate_only;
	r->state = call;
	r->abandoned = abandoned;
	admin_alter_configs(r->server->opt.admin, &call->c);
}
