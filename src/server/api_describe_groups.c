/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_describe_groups.c - what administrators ask about groups: DescribeGroups, ListGroups, DeleteGroups.
 */
#include <stdlib.h>

#include "base/str.h"
#include "server/authorized.h"
#include "server/group_call.h"
#include "server/rows.h"

enum { OPERATIONS_SINCE = 3, STATES_SINCE = 4, TYPES_SINCE = 5 };

#define TYPE_CLASSIC	"classic"	/* the only type there is without KRaft */

/* ---- DescribeGroups ---- */

struct describe {
	struct api_request *r;
	struct group_describe_call call;
};

void *
fail_describe_groups(struct api_request *r, enum kerr error)
{
	const struct wire_describe_groups_request *q = r->body;
	struct wire_describe_groups_response *a = WIRE_NEW(r->arena, describe_groups_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->groups, describe_groups_response_group, MAX(q->groups.n, 0)))
		return (NULL);
	ROWS_SET_ERROR(&a->groups, error);
	for (int32_t i = 0; i < a->groups.n; i++)
		a->groups.v[i].group_id = q->groups.v[i];
	return (a);
}

static bool
show_members(struct api_request *r, const struct group_describe_item *it, struct wire_describe_groups_response_group *w)
{
	if (!ROWS_NEW(r->arena, &w->members, describe_groups_response_member, (int32_t)it->nmembers))
		return (false);
	for (uint32_t i = 0; i < it->nmembers; i++) {
		const struct group_member_view *m = &it->members[i];

		w->members.v[i].member_id = m->member_id;
		w->members.v[i].group_instance_id = m->instance_id;
		w->members.v[i].client_id = m->client_id;
		w->members.v[i].client_host = m->client_host;
		w->members.v[i].member_metadata = m->metadata.p == NULL ? slice_of("", 0) : m->metadata;
		w->members.v[i].member_assignment = m->assignment.p == NULL ? slice_of("", 0) : m->assignment;
	}
	return (true);
}

static struct wire_describe_groups_response *
show_description(const struct describe *d)
{
	const struct wire_describe_groups_request *q = d->r->body;
	bool operations = d->r->head.version >= OPERATIONS_SINCE && q->include_authorized_operations;
	struct wire_describe_groups_response *a = fail_describe_groups(d->r, KERR_NONE);

	for (uint32_t i = 0; a != NULL && i < d->call.nitems; i++) {
		const struct group_describe_item *it = &d->call.items[i];
		struct wire_describe_groups_response_group *w = &a->groups.v[i];

		w->error_code = (int16_t)it->error;
		w->group_state = it->state;
		w->protocol_type = it->protocol_type;
		w->protocol_data = it->protocol;
		if (operations && it->error == KERR_NONE)
			w->authorized_operations = AUTHORIZED_GROUP_ALL;
		if (!show_members(d->r, it, w))
			return (NULL);
	}
	return (a);
}

static void
described(struct group_call *call)
{
	struct describe *d = CONTAINER_OF(CONTAINER_OF(call, struct group_describe_call, call), struct describe, call);

	if (call->error != KERR_NONE)
		api_fail(d->r, call->error);
	else
		api_answer(d->r, show_description(d));
}

void
serve_describe_groups(struct api_request *r)
{
	const struct wire_describe_groups_request *q = r->body;
	struct describe *d = ARENA_NEW(r->arena, struct describe);
	uint32_t n = (uint32_t)MAX(q->groups.n, 0);

	if (d == NULL || (d->call.items = ARENA_ARRAY(r->arena, struct group_describe_item, (size_t)n + 1)) == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	d->r = r;
	d->call.nitems = n;
	for (uint32_t i = 0; i < n; i++)
		d->call.items[i].group = q->groups.v[i];
	group_call(r, &d->call.call, described);
	group_coordinator_describe(r->server->opt.groups, &d->call);
}

/* ---- ListGroups ---- */

struct list {
	struct api_request *r;
	struct group_list_call call;
};

void *
fail_list_groups(struct api_request *r, enum kerr error)
{
	struct wire_list_groups_response *a = WIRE_NEW(r->arena, list_groups_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

/* While something loads, the answer has that error and the groups there are. */
static struct wire_list_groups_response *
show_list(const struct list *l)
{
	struct wire_list_groups_response *a = fail_list_groups(l->r, l->call.call.error);

	if (a == NULL || !ROWS_NEW(l->r->arena, &a->groups, list_groups_response_listed_group, (int32_t)l->call.nrows))
		return (NULL);
	for (uint32_t i = 0; i < l->call.nrows; i++) {
		a->groups.v[i].group_id = l->call.rows[i].group;
		a->groups.v[i].protocol_type = l->call.rows[i].protocol_type;
		a->groups.v[i].group_state = slice_str(group_state_name(l->call.rows[i].state));
		a->groups.v[i].group_type = slice_str(TYPE_CLASSIC);
	}
	return (a);
}

/* Does the filter leave any?  A type that nobody knows is a type of no group. */
static bool
asks_for_classic(const struct wire_list_groups_request *q)
{
	for (int32_t i = 0; i < q->types_filter.n; i++)
		if (str_eq_nocase(q->types_filter.v[i], TYPE_CLASSIC))
			return (true);
	return (q->types_filter.n <= 0);
}

static void
listed(struct group_call *call)
{
	struct list *l = CONTAINER_OF(CONTAINER_OF(call, struct group_list_call, call), struct list, call);

	if (!asks_for_classic(l->r->body))
		l->call.nrows = 0;
	api_answer(l->r, show_list(l));
}

void
serve_list_groups(struct api_request *r)
{
	const struct wire_list_groups_request *q = r->body;
	struct list *l = ARENA_NEW(r->arena, struct list);

	if (l == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	l->r = r;
	l->call.states = q->states_filter.v;
	l->call.nstates = (uint32_t)MAX(q->states_filter.n, 0);
	group_call(r, &l->call.call, listed);
	group_coordinator_list(r->server->opt.groups, &l->call);
}

/* ---- DeleteGroups ---- */

struct delete {
	struct api_request *r;
	struct group_delete_call call;
};

void *
fail_delete_groups(struct api_request *r, enum kerr error)
{
	const struct wire_delete_groups_request *q = r->body;
	struct wire_delete_groups_response *a = WIRE_NEW(r->arena, delete_groups_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, delete_groups_response_result, MAX(q->groups_names.n, 0)))
		return (NULL);
	ROWS_SET_ERROR(&a->results, error);
	for (int32_t i = 0; i < a->results.n; i++)
		a->results.v[i].group_id = q->groups_names.v[i];
	return (a);
}

static void
deleted(struct group_call *call)
{
	struct delete *d = CONTAINER_OF(CONTAINER_OF(call, struct group_delete_call, call), struct delete, call);
	struct wire_delete_groups_response *a = WIRE_NEW(d->r->arena, delete_groups_response);

	if (call->error != KERR_NONE) {
		api_fail(d->r, call->error);
		return;
	}
	if (a == NULL || !ROWS_NEW(d->r->arena, &a->results, delete_groups_response_result, (int32_t)d->call.nitems)) {
		api_fail(d->r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	for (uint32_t i = 0; i < d->call.nitems; i++) {
		a->results.v[i].group_id = d->call.items[i].group;
		a->results.v[i].error_code = (int16_t)d->call.items[i].error;
	}
	api_respond(d->r, a);
}

static int
slice_order(const void *a, const void *b)
{
	return (slice_cmp(*(const struct slice *)a, *(const struct slice *)b));
}

/* Each name once. */
static bool
take_doomed(struct api_request *r, struct group_delete_call *call)
{
	const struct wire_delete_groups_request *q = r->body;
	size_t n = (size_t)MAX(q->groups_names.n, 0);
	struct slice *names = ARENA_ARRAY(r->arena, struct slice, n + 1);

	call->items = ARENA_ARRAY(r->arena, struct group_delete_item, n + 1);
	if (call->items == NULL || names == NULL)
		return (false);
	for (size_t i = 0; i < n; i++)
		names[i] = q->groups_names.v[i];
	qsort(names, n, sizeof(*names), slice_order);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !slice_eq(names[i - 1], names[i]))
			call->items[call->nitems++].group = names[i];
	return (true);
}

void
serve_delete_groups(struct api_request *r)
{
	struct delete *d = ARENA_NEW(r->arena, struct delete);

	if (d == NULL || !take_doomed(r, &d->call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	d->r = r;
	group_call(r, &d->call.call, deleted);
	group_coordinator_delete_groups(r->server->opt.groups, &d->call);
}
