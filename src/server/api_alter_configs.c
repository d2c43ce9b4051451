/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_alter_configs.c - AlterConfigs (what a resource is to have of its own from now on, the whole of it) and IncrementalAlterConfigs
 * (settings to set, delete, append to and subtract from).
 *
 * One row per resource, in the order of the request; all checks are in admin/alter.c.  The two differ in the types of their messages only.
 */
#include "admin/configs.h"
#include "server/admin_call.h"
#include "server/rows.h"

struct alter_call {
	struct api_request *r;
	const struct kind *kind;
	struct admin_alter_configs c;
};

struct kind {
	bool (*ask)(struct alter_call *);		/* the request into c; false: the arena is full */
	void *(*show)(const struct alter_call *);	/* the outcomes as an answer; NULL: the arena is full */
};

/* ---- questions ---- */

static bool
ask_resources(struct alter_call *call, int32_t n)
{
	call->c.resources = ARENA_ARRAY(call->r->arena, struct admin_altered, (size_t)n + 1);
	return (call->c.resources != NULL);
}

/* The wishes of the next resource, to be filled in; NULL: the arena is full. */
static struct config_wish *
ask_resource(struct alter_call *call, int8_t type, struct slice name, int32_t n)
{
	struct config_wish *v = ARENA_ARRAY(call->r->arena, struct config_wish, (size_t)n + 1);

	call->c.resources[call->c.nresources++] = (struct admin_altered){ .type = type, .name = name, .wishes = v, .nwishes = n };
	return (v);
}

static bool
ask_whole(struct alter_call *call)
{
	const struct wire_alter_configs_request *q = call->r->body;

	call->c.validate_only = q->validate_only;
	if (!ask_resources(call, q->resources.n))
		return (false);
	for (int32_t i = 0; i < q->resources.n; i++) {
		const struct wire_alter_configs_request_resource *res = &q->resources.v[i];
		struct config_wish *v = ask_resource(call, res->resource_type, res->resource_name, res->configs.n);

		for (int32_t j = 0; v != NULL && j < res->configs.n; j++)
			v[j] = (struct config_wish){ res->configs.v[j].name, res->configs.v[j].value, CONFIG_OP_SET };
		if (v == NULL)
			return (false);
	}
	return (true);
}

static bool
ask_incremental(struct alter_call *call)
{
	const struct wire_incremental_alter_configs_request *q = call->r->body;

	call->c.validate_only = q->validate_only;
	call->c.incremental = true;
	if (!ask_resources(call, q->resources.n))
		return (false);
	for (int32_t i = 0; i < q->resources.n; i++) {
		const struct wire_incremental_alter_configs_request_resource *res = &q->resources.v[i];
		struct config_wish *v = ask_resource(call, res->resource_type, res->resource_name, res->configs.n);

		for (int32_t j = 0; v != NULL && j < res->configs.n; j++)
			v[j] = (struct config_wish){ res->configs.v[j].name, res->configs.v[j].value, res->configs.v[j].config_operation };
		if (v == NULL)
			return (false);
	}
	return (true);
}

/* ---- answers ---- */

#define SHOW_ROW(row, resource) do { \
	(row)->resource_type = (resource)->type; \
	(row)->resource_name = (resource)->name; \
	(row)->error_code = (int16_t)(resource)->outcome.error; \
	(row)->error_message = slice_str((resource)->outcome.message); \
} while (0)

static void *
show_whole(const struct alter_call *call)
{
	struct wire_alter_configs_response *a = WIRE_NEW(call->r->arena, alter_configs_response);

	if (a == NULL || !ROWS_NEW(call->r->arena, &a->responses, alter_configs_response_resource, call->c.nresources))
		return (NULL);
	for (int32_t i = 0; i < a->responses.n; i++)
		SHOW_ROW(&a->responses.v[i], &call->c.resources[i]);
	return (a);
}

static void *
show_incremental(const struct alter_call *call)
{
	struct wire_incremental_alter_configs_response *a = WIRE_NEW(call->r->arena, incremental_alter_configs_response);

	if (a == NULL || !ROWS_NEW(call->r->arena, &a->responses, incremental_alter_configs_response_resource, call->c.nresources))
		return (NULL);
	for (int32_t i = 0; i < a->responses.n; i++)
		SHOW_ROW(&a->responses.v[i], &call->c.resources[i]);
	return (a);
}

static void *
fail(struct api_request *r, const struct kind *kind, enum kerr error)
{
	struct alter_call call = { .r = r };

	if (!kind->ask(&call))
		return (NULL);
	for (int32_t i = 0; i < call.c.nresources; i++)
		call.c.resources[i].outcome = (struct admin_outcome){ error, NULL };
	return (kind->show(&call));
}

/* ---- steps ---- */

static void
altered(struct admin_job *j)
{
	struct alter_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_alter_configs, job), struct alter_call, c);

	api_answer(call->r, call->kind->show(call));
}

static void
serve(struct api_request *r, const struct kind *kind)
{
	struct alter_call *call = ARENA_NEW(r->arena, struct alter_call);

	if (call != NULL)
		*call = (struct alter_call){ .r = r, .kind = kind };
	if (call == NULL || !kind->ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	admin_call(r, &call->c.job, altered);
	admin_alter_configs(r->server->opt.admin, &call->c);
}

static const struct kind whole = { ask_whole, show_whole };
static const struct kind incremental = { ask_incremental, show_incremental };

void *
fail_alter_configs(struct api_request *r, enum kerr error)
{
	return (fail(r, &whole, error));
}

void
serve_alter_configs(struct api_request *r)
{
	serve(r, &whole);
}

void *
fail_incremental_alter_configs(struct api_request *r, enum kerr error)
{
	return (fail(r, &incremental, error));
}

void
serve_incremental_alter_configs(struct api_request *r)
{
	serve(r, &incremental);
}
