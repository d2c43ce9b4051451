/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_acls.c - DescribeAcls, CreateAcls and DeleteAcls on a broker without an authorizer: SECURITY_DISABLED, once per row asked for.
 *
 * What Java's constructors of these requests refuse closes the connection, as it does there: an enumeration's UNKNOWN (0), and in version 0,
 * which has no pattern types on the wire, nothing more.
 */
#include "server/dispatch.h"
#include "server/rows.h"

static const char no_authorizer[] = "this broker has no authorizer (authorizer.class.name)";

/* One of four enumerations is UNKNOWN: what kind of resource, how its name matches, what may be done, whether. */
static bool
any_unknown(int8_t resource_type, int8_t pattern_type, int8_t operation, int8_t permission_type)
{
	return (resource_type == 0 || pattern_type == 0 || operation == 0 || permission_type == 0);
}

/* ---- describe ---- */

static void *
describe_answer(struct api_request *r, enum kerr error, const char *words)
{
	struct wire_describe_acls_response *a = WIRE_NEW(r->arena, describe_acls_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->error_message = slice_str(words);
	}
	return (a);
}

void *
fail_describe_acls(struct api_request *r, enum kerr error)
{
	return (describe_answer(r, error, kerr_text(error)));
}

void
serve_describe_acls(struct api_request *r)
{
	const struct wire_describe_acls_request *q = r->body;

	if (any_unknown(q->resource_type_filter, q->pattern_type_filter, q->operation, q->permission_type))
		api_close(r);
	else
		api_answer(r, describe_answer(r, KERR_SECURITY_DISABLED, no_authorizer));
}

/* ---- create ---- */

static void *
create_answer(struct api_request *r, enum kerr error, const char *words)
{
	const struct wire_create_acls_request *q = r->body;
	struct wire_create_acls_response *a = WIRE_NEW(r->arena, create_acls_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->results, create_acls_response_acl_creation_result, q->creations.n))
		return (NULL);
	ROWS_SET_ERROR(&a->results, error);
	for (int32_t i = 0; i < a->results.n; i++)
		a->results.v[i].error_message = slice_str(words);
	return (a);
}

void *
fail_create_acls(struct api_request *r, enum kerr error)
{
	return (create_answer(r, error, kerr_text(error)));
}

void
serve_create_acls(struct api_request *r)
{
	const struct wire_create_acls_request *q = r->body;

	for (int32_t i = 0; i < q->creations.n; i++)
		if (any_unknown(q->creations.v[i].resource_type, q->creations.v[i].resource_pattern_type, q->creations.v[i].operation,
		    q->creations.v[i].permission_type)) {
			api_close(r);
			return;
		}
	api_answer(r, create_answer(r, KERR_SECURITY_DISABLED, no_authorizer));
}

/* ---- delete ---- */

static void *
delete_answer(struct api_request *r, enum kerr error, const char *words)
{
	const struct wire_delete_acls_request *q = r->body;
	struct wire_delete_acls_response *a = WIRE_NEW(r->arena, delete_acls_response);

	if (a == NULL || !ROWS_NEW(r->arena, &a->filter_results, delete_acls_response_filter_result, q->filters.n))
		return (NULL);
	ROWS_SET_ERROR(&a->filter_results, error);
	for (int32_t i = 0; i < a->filter_results.n; i++)
		a->filter_results.v[i].error_message = slice_str(words);
	return (a);
}

void *
fail_delete_acls(struct api_request *r, enum kerr error)
{
	return (delete_answer(r, error, kerr_text(error)));
}

void
serve_delete_acls(struct api_request *r)
{
	const struct wire_delete_acls_request *q = r->body;

	for (int32_t i = 0; i < q->filters.n; i++)
		if (any_unknown(q->filters.v[i].resource_type_filter, q->filters.v[i].pattern_type_filter, q->filters.v[i].operation,
		    q->filters.v[i].permission_type)) {
			api_close(r);
			return;
		}
	api_answer(r, delete_answer(r, KERR_SECURITY_DISABLED, no_authorizer));
}
