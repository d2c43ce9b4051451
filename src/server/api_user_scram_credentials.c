/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_user_scram_credentials.c - DescribeUserScramCredentials and AlterUserScramCredentials.  All checks are in admin/scram.c.
 */
#include <stdlib.h>

#include "admin/scram.h"
#include "server/admin_call.h"
#include "server/rows.h"

/* ---- describe ---- */

struct describe_call {
	struct api_request *r;
	struct admin_describe_scram d;
};

static bool
show_user(struct arena *arena, const struct admin_scram_user *u, struct wire_describe_user_scram_credentials_response_result *row)
{
	row->user = u->name;
	row->error_code = (int16_t)u->outcome.error;
	if (u->outcome.error != KERR_NONE)	/* else Java's is empty, not null */
		row->error_message = slice_str(u->outcome.message);
	if (!ROWS_NEW(arena, &row->credential_infos, describe_user_scram_credentials_response_credential, ADMIN_SCRAM_END))
		return (false);
	row->credential_infos.n = 0;
	for (int8_t m = 0; m < ADMIN_SCRAM_END; m++)
		if (u->iterations[m] > 0) {
			row->credential_infos.v[row->credential_infos.n].mechanism = m;
			row->credential_infos.v[row->credential_infos.n++].iterations = u->iterations[m];
		}
	return (true);
}

static void *
show_users(struct api_request *r, const struct admin_describe_scram *d)
{
	struct wire_describe_user_scram_credentials_response *a = WIRE_NEW(r->arena, describe_user_scram_credentials_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, describe_user_scram_credentials_response_result, d->nusers))
		return (NULL);
	a->error_code = (int16_t)d->error;
	if (d->error != KERR_NONE)
		a->error_message = slice_str(kerr_text(d->error));
	for (int32_t i = 0; i < d->nusers; i++)
		if (!show_user(r->arena, &d->users[i], &a->results.v[i]))
			return (NULL);
	return (a);
}

/* Java names no users then, but has a row for each. */
void *
fail_describe_user_scram_credentials(struct api_request *r, enum kerr error)
{
	const struct wire_describe_user_scram_credentials_request *q = r->body;
	struct wire_describe_user_scram_credentials_response *a = WIRE_NEW(r->arena, describe_user_scram_credentials_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, describe_user_scram_credentials_response_result, q->users.n > 0 ? q->users.n : 0))
		return (NULL);
	a->error_code = (int16_t)error;
	a->error_message = slice_str(kerr_text(error));
	ROWS_SET_ERROR(&a->results, error);
	for (int32_t i = 0; i < a->results.n; i++)
		a->results.v[i].error_message = slice_str(kerr_text(error));
	return (a);
}

static void
described(struct admin_job *j)
{
	struct describe_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_describe_scram, job), struct describe_call, d);

	api_answer(call->r, show_users(call->r, &call->d));
}

void
serve_describe_user_scram_credentials(struct api_request *r)
{
	const struct wire_describe_user_scram_credentials_request *q = r->body;
	size_t n = q->users.n > 0 ? (size_t)q->users.n : 0;
	struct describe_call *call = ARENA_NEW(r->arena, struct describe_call);
	struct slice *names = ARENA_ARRAY(r->arena, struct slice, n + 1);

	if (call == NULL || names == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	for (size_t i = 0; i < n; i++)
		names[i] = q->users.v[i].name;
	call->r = r;
	call->d.names = names;
	call->d.nnames = (int32_t)n;
	admin_call(r, &call->d.job, described);
	admin_describe_scram(r->server->opt.admin, &call->d);
}

/* ---- alter ---- */

struct alter_call {
	struct api_request *r;
	struct admin_alter_scram c;
};

static void *
show_changes(struct api_request *r, const struct admin_alter_scram *c)
{
	struct wire_alter_user_scram_credentials_response *a = WIRE_NEW(r->arena, alter_user_scram_credentials_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, alter_user_scram_credentials_response_result, c->nusers))
		return (NULL);
	for (int32_t i = 0; i < c->nusers; i++) {
		a->results.v[i].user = c->users[i].name;
		a->results.v[i].error_code = (int16_t)c->users[i].outcome.error;
		if (c->users[i].outcome.error != KERR_NONE)
			a->results.v[i].error_message = slice_str(c->users[i].outcome.message);
	}
	return (a);
}

static int
name_cmp(const void *a, const void *b)
{
	return (slice_cmp(*(const struct slice *)a, *(const struct slice *)b));
}

/* Each user once, by name. */
void *
fail_alter_user_scram_credentials(struct api_request *r, enum kerr error)
{
	const struct wire_alter_user_scram_credentials_request *q = r->body;
	struct wire_alter_user_scram_credentials_response *a = WIRE_NEW(r->arena, alter_user_scram_credentials_response);
	int32_t n = q->deletions.n + q->upsertions.n;
	struct slice *names = ARENA_ARRAY(r->arena, struct slice, (size_t)n + 1);

	if (a == NULL || names == NULL || !ROWS_NEW(r->arena, &a->results, alter_user_scram_credentials_response_result, n))
		return (NULL);
	for (int32_t i = 0; i < n; i++)
		names[i] = i < q->deletions.n ? q->deletions.v[i].name : q->upsertions.v[i - q->deletions.n].name;
	qsort(names, (size_t)n, sizeof(*names), name_cmp);
	a->results.n = 0;
	for (int32_t i = 0; i < n; i++)
		if (i == 0 || !slice_eq(names[i], names[i - 1])) {
			struct wire_alter_user_scram_credentials_response_result *row = &a->results.v[a->results.n++];

			row->user = names[i];
			row->error_code = (int16_t)error;
			row->error_message = error == KERR_UNKNOWN_SERVER_ERROR ? SLICE_NULL : slice_str(kerr_text(error));
		}
	return (a);
}

static void
altered(struct admin_job *j)
{
	struct alter_call *call = CONTAINER_OF(CONTAINER_OF(j, struct admin_alter_scram, job), struct alter_call, c);

	if (call->c.users == NULL)
		api_fail(call->r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_answer(call->r, show_changes(call->r, &call->c));
}

static bool
ask(struct alter_call *call)
{
	const struct wire_alter_user_scram_credentials_request *q = call->r->body;
	struct admin_scram_deletion *d = ARENA_ARRAY(call->r->arena, struct admin_scram_deletion, (size_t)q->deletions.n + 1);
	struct admin_scram_upsertion *u = ARENA_ARRAY(call->r->arena, struct admin_scram_upsertion, (size_t)q->upsertions.n + 1);

	if (d == NULL || u == NULL)
		return (false);
	for (int32_t i = 0; i < q->deletions.n; i++)
		d[i] = (struct admin_scram_deletion){ q->deletions.v[i].name, q->deletions.v[i].mechanism };
	for (int32_t i = 0; i < q->upsertions.n; i++)
		u[i] = (struct admin_scram_upsertion){ q->upsertions.v[i].name, q->upsertions.v[i].mechanism, q->upsertions.v[i].iterations,
		    q->upsertions.v[i].salt, q->upsertions.v[i].salted_password };
	call->c.deletions = d;
	call->c.ndeletions = q->deletions.n;
	call->c.upsertions = u;
	call->c.nupsertions = q->upsertions.n;
	return (true);
}

void
serve_alter_user_scram_credentials(struct api_request *r)
{
	struct alter_call *call = ARENA_NEW(r->arena, struct alter_call);

	if (!admin_controller_active(r->server->opt.admin)) {
		api_fail(r, KERR_NOT_CONTROLLER);
		return;
	}
	if (call != NULL)
		call->r = r;
	if (call == NULL || !ask(call)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	admin_call(r, &call->c.job, altered);
	admin_alter_scram(r->server->opt.admin, &call->c);
}
