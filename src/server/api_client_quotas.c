/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_client_quotas.c - DescribeClientQuotas and AlterClientQuotas.  All checks but one are in admin/quotas.c.
 *
 * That one: an address of a change may be a host's name, as in Java, and asking for it may take its time.  So a request with such names goes through
 * a worker first.
 *
 * An entity is a set of types with one name each: of a type that is there twice the last name counts, and of an entity that is there twice the answer
 * has one row, with the last outcome.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "admin/quotas.h"
#include "net/addr.h"
#include "server/admin_call.h"
#include "server/rows.h"

/* ---- describe ---- */

struct describe_call {
	struct api_request *r;
	struct admin_describe_quotas d;
};

static void *
describe_refusal(struct api_request *r, enum kerr error, const char *words)
{
	struct wire_describe_client_quotas_response *a = WIRE_NEW(r->arena, describe_client_quotas_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->error_message = slice_str(words);
	a->entries.v = NULL;
	a->entries.n = -1;	/* null */
	return (a);
}

void *
fail_describe_client_quotas(struct api_request *r, enum kerr error)
{
	return (describe_refusal(r, error, kerr_text(error)));
}

static bool
show_row(struct arena *arena, const struct admin_quota_row *row, struct wire_describe_client_quotas_response_entry_data *e)
{
	if (!ROWS_NEW(arena, &e->entity, describe_client_quotas_response_entity_data, ADMIN_QUOTA_TYPES) ||
	    !ROWS_NEW(arena, &e->values, describe_client_quotas_response_value_data, row->nvalues))
		return (false);
	e->entity.n = 0;
	for (int t = 0; t < ADMIN_QUOTA_TYPES; t++)
		if (row->given[t]) {
			e->entity.v[e->entity.n].entity_type = slice_str(admin_quota_type_names[t]);
			e->entity.v[e->entity.n++].entity_name = row->names[t];
		}
	for (int32_t i = 0; i < row->nvalues; i++) {
		e->values.v[i].key = slice_str(row->values[i].name);
		e->values.v[i].value = row->values[i].value;
	}
	return (true);
}

static void *
show(struct describe_call *call)
{
	struct wire_describe_client_quotas_response *a = WIRE_NEW(call->r->arena, describe_client_quotas_response);
	int32_t i = 0;

	if (a == NULL || !ROWS_NEW(call->r->arena, &a->entries, describe_client_quotas_response_entry_data, call->d.nrows))
		return (NULL);
	for (const struct admin_quota_row *row = call->d.rows; row != NULL; row = row->next)
		if (!show_row(call->r->arena, row, &a->entries.v[i++]))
			return (NULL);
	return (a);
}

static void
described(struct admin_job *j)
{
	struct describe_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_describe_quotas, job), struct describe_call, d);

	if (call->d.outcome.error != KERR_NONE)
		api_answer(call->r, describe_refusal(call->r, call->d.outcome.error, call->d.outcome.message));
	else
		api_answer(call->r, show(call));
}

void
serve_describe_client_quotas(struct api_request *r)
{
	const struct wire_describe_client_quotas_request *q = r->body;
	struct describe_call *call = ARENA_NEW(r->arena, struct describe_call);
	struct admin_quota_filter *v = ARENA_ARRAY(r->arena, struct admin_quota_filter, (size_t)q->components.n + 1);

	if (call == NULL || v == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	for (int32_t i = 0; i < q->components.n; i++)
		v[i] = (struct admin_quota_filter){ q->components.v[i].entity_type, q->components.v[i].match_type, q->components.v[i].match };
	call->r = r;
	call->d.filters = v;
	call->d.nfilters = q->components.n;
	call->d.strict = q->strict;
	admin_call(r, &call->d.job, described);
	admin_describe_quotas(r->server->opt.admin, &call->d);
}

/* ---- alter: questions ---- */

struct alter_call {
	struct api_request *r;
	struct admin_alter_quotas c;
	bool		*hidden;	/* of each change: a later one has the same entity */
	struct job	 job;
};

struct part_ref {
	struct admin_quota_part part;
	int32_t		 i;
};

static int
part_cmp(const void *av, const void *bv)
{
	const struct part_ref *a = av, *b = bv;
	int c = slice_cmp(a->part.type, b->part.type);

	return (c != 0 ? c : a->i < b->i ? -1 : 1);
}

/* By type; of one that is there twice the last name counts. */
static bool
ask_parts(struct arena *arena, const struct wire_alter_client_quotas_request_entry_data *e, struct admin_quota_change *c)
{
	size_t n = (size_t)e->entity.n;
	struct part_ref *refs = ARENA_ARRAY(arena, struct part_ref, n + 1);
	struct admin_quota_part *v = ARENA_ARRAY(arena, struct admin_quota_part, n + 1);

	if (refs == NULL || v == NULL)
		return (false);
	for (size_t i = 0; i < n; i++)
		refs[i] = (struct part_ref){ { e->entity.v[i].entity_type, e->entity.v[i].entity_name }, (int32_t)i };
	if (n > 1)
		qsort(refs, n, sizeof(*refs), part_cmp);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !slice_eq(refs[i].part.type, refs[i + 1].part.type))
			v[c->nparts++] = refs[i].part;
	c->parts = v;
	return (true);
}

static bool
ask_ops(struct arena *arena, const struct wire_alter_client_quotas_request_entry_data *e, struct admin_quota_change *c)
{
	struct admin_quota_op *v = ARENA_ARRAY(arena, struct admin_quota_op, (size_t)e->ops.n + 1);

	for (int32_t i = 0; v != NULL && i < e->ops.n; i++)
		v[i] = (struct admin_quota_op){ e->ops.v[i].key, e->ops.v[i].value, e->ops.v[i].remove };
	c->ops = v;
	c->nops = e->ops.n;
	return (v != NULL);
}

struct change_ref {
	const struct admin_quota_change *c;
	int32_t		 i;
};

/* By entity, then by position. */
static int
entity_cmp(const struct admin_quota_change *a, const struct admin_quota_change *b)
{
	int c;

	if (a->nparts != b->nparts)
		return (a->nparts < b->nparts ? -1 : 1);
	for (int32_t i = 0; i < a->nparts; i++) {
		if ((c = slice_cmp(a->parts[i].type, b->parts[i].type)) != 0)
			return (c);
		if ((a->parts[i].name.p == NULL) != (b->parts[i].name.p == NULL))
			return (a->parts[i].name.p == NULL ? -1 : 1);
		if ((c = slice_cmp(a->parts[i].name, b->parts[i].name)) != 0)
			return (c);
	}
	return (0);
}

static int
ref_cmp(const void *av, const void *bv)
{
	const struct change_ref *a = av, *b = bv;
	int c = entity_cmp(a->c, b->c);

	return (c != 0 ? c : a->i < b->i ? -1 : 1);
}

/* Rows of entities that come again are not shown.  false: the arena is full. */
static bool
find_repeated(struct alter_call *call)
{
	size_t n = (size_t)call->c.nchanges;
	struct change_ref *refs = ARENA_ARRAY(call->r->arena, struct change_ref, n + 1);

	call->hidden = ARENA_ARRAY(call->r->arena, bool, n + 1);
	if (refs == NULL || call->hidden == NULL)
		return (false);
	for (size_t i = 0; i < n; i++)
		refs[i] = (struct change_ref){ &call->c.changes[i], (int32_t)i };
	if (n > 1)
		qsort(refs, n, sizeof(*refs), ref_cmp);
	for (size_t i = 1; i < n; i++)
		call->hidden[refs[i - 1].i] = entity_cmp(refs[i - 1].c, refs[i].c) == 0;
	return (true);
}

static bool
ask(struct alter_call *call)
{
	const struct wire_alter_client_quotas_request *q = call->r->body;
	struct arena *arena = call->r->arena;

	call->c.validate_only = q->validate_only;
	call->c.nchanges = q->entries.n;
	call->c.changes = ARENA_ARRAY(arena, struct admin_quota_change, (size_t)q->entries.n + 1);
	if (call->c.changes == NULL)
		return (false);
	for (int32_t i = 0; i < q->entries.n; i++)
		if (!ask_parts(arena, &q->entries.v[i], &call->c.changes[i]) || !ask_ops(arena, &q->entries.v[i], &call->c.changes[i]))
			return (false);
	return (find_repeated(call));
}

/* ---- alter: addresses ---- */

/* The name of an address, or of a host; null: the change has none, or that of all. */
static struct slice
address_of(const struct admin_quota_change *c)
{
	for (int32_t i = 0; i < c->nparts; i++)
		if (slice_eq_str(c->parts[i].type, admin_quota_type_names[ADMIN_QUOTA_IP]))
			return (c->parts[i].name);
	return (SLICE_NULL);
}

/* Java looks for the name as it would stand in ZooKeeper, where a colon is %3A: no IPv6 address gets through. */
static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '.' && s.p[i] != '-' &&
		    s.p[i] != '_')
			return (false);
	return (true);
}

static bool
is_address(struct slice s)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr addr;

	if (s.len >= sizeof(text))
		return (false);
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return (inet_pton(AF_INET, text, &addr) == 1);
}

static bool
must_be_resolved(const struct admin_quota_change *c)
{
	struct slice s = address_of(c);

	return (s.len > 0 && !is_address(s));
}

static void
resolve_all(struct job *job)
{
	struct alter_call *call = CONTAINER_OF(job, struct alter_call, job);
	struct errbuf eb = ERRBUF_INIT;
	struct sockaddr_storage addr;
	socklen_t len;
	char name[256];

	for (int32_t i = 0; i < call->c.nchanges; i++) {
		struct admin_quota_change *c = &call->c.changes[i];
		struct slice s = address_of(c);

		if (!must_be_resolved(c))
			continue;
		c->unresolvable = true;
		if (s.len >= sizeof(name) || !is_plain(s))
			continue;
		memcpy(name, s.p, s.len);
		name[s.len] = '\0';
		c->unresolvable = addr_resolve(name, 0, &addr, &len, &eb) != OK;
	}
}

/* ---- alter: answers ---- */

static bool
show_entity(struct arena *arena, const struct admin_quota_change *c, struct wire_alter_client_quotas_response_entry_data *row)
{
	if (!ROWS_NEW(arena, &row->entity, alter_client_quotas_response_entity_data, c->nparts))
		return (false);
	for (int32_t i = 0; i < c->nparts; i++) {
		row->entity.v[i].entity_type = c->parts[i].type;
		row->entity.v[i].entity_name = c->parts[i].name;
	}
	row->error_code = (int16_t)c->outcome.error;
	row->error_message = slice_str(c->outcome.message);
	return (true);
}

static void *
show_changes(struct alter_call *call)
{
	struct wire_alter_client_quotas_response *a = WIRE_NEW(call->r->arena, alter_client_quotas_response);

	if (a == NULL || !ROWS_NEW(call->r->arena, &a->entries, alter_client_quotas_response_entry_data, call->c.nchanges))
		return (NULL);
	a->entries.n = 0;
	for (int32_t i = 0; i < call->c.nchanges; i++)
		if (!call->hidden[i] && !show_entity(call->r->arena, &call->c.changes[i], &a->entries.v[a->entries.n++]))
			return (NULL);
	return (a);
}

void *
fail_alter_client_quotas(struct api_request *r, enum kerr error)
{
	struct alter_call call = { .r = r };

	if (!ask(&call))
		return (NULL);
	for (int32_t i = 0; i < call.c.nchanges; i++)
		call.c.changes[i].outcome = (struct admin_outcome){ error, kerr_text(error) };
	return (show_changes(&call));
}

static void
altered(struct admin_job *j)
{
	struct alter_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_alter_quotas, job), struct alter_call, c);

	api_answer(call->r, show_changes(call));
}

static void
start(struct alter_call *call)
{
	admin_call(call->r, &call->c.job, altered);
	admin_alter_quotas(call->r->server->opt.admin, &call->c);
}

static void
resolved(struct job *job)
{
	start(CONTAINER_OF(job, struct alter_call, job));
}

static bool
any_to_resolve(const struct alter_call *call)
{
	for (int32_t i = 0; i < call->c.nchanges; i++)
		if (must_be_resolved(&call->c.changes[i]))
			return (true);
	return (false);
}

void
serve_alter_client_quotas(struct api_request *r)
{
	struct alter_call *call = ARENA_NEW(r->arena, struct alter_call);

	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	if (!any_to_resolve(call)) {
		start(call);
		return;
	}
	call->job = (struct job){ .run = resolve_all, .done = resolved, .loop = api_loop(r) };
	workers_submit(r->server->opt.workers, &call->job);
}
