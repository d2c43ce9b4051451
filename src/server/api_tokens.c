/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_tokens.c - delegation tokens, for connections that may not ask for them.
 *
 * Tokens are given to those who have proved who they are, by SASL or by a certificate.  Our listeners are PLAINTEXT, so everybody is
 * User:ANONYMOUS, and DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
 */
#include "server/dispatch.h"

#define PRINCIPAL_TYPE	"User"
#define ANONYMOUS	"ANONYMOUS"
enum { NO_TIME = -1, REQUESTER_SINCE = 3 };

/* The owner as named; null or empty: who asks. */
static void *
create_answer(struct api_request *r, enum kerr error, struct slice type, struct slice name)
{
	struct wire_create_delegation_token_response *a = WIRE_NEW(r->arena, create_delegation_token_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	a->principal_type = name.len == 0 ? SLICE_LIT(PRINCIPAL_TYPE) : type;
	a->principal_name = name.len == 0 ? SLICE_LIT(ANONYMOUS) : name;
	if (r->head.version >= REQUESTER_SINCE) {
		a->token_requester_principal_type = SLICE_LIT(PRINCIPAL_TYPE);
		a->token_requester_principal_name = SLICE_LIT(ANONYMOUS);
	}
	a->issue_timestamp_ms = a->expiry_timestamp_ms = a->max_timestamp_ms = NO_TIME;
	return (a);
}

void *
fail_create_delegation_token(struct api_request *r, enum kerr error)
{
	return (create_answer(r, error, SLICE_NULL, SLICE_NULL));
}

void
serve_create_delegation_token(struct api_request *r)
{
	const struct wire_create_delegation_token_request *q = r->body;

	if (q->owner_principal_name.len > 0 && q->owner_principal_type.p == NULL)	/* a name of no kind is none of Java's principals */
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_answer(r, create_answer(r, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, q->owner_principal_type, q->owner_principal_name));
}

static void *
renew_answer(struct api_request *r, enum kerr error, int64_t expiry_ms)
{
	struct wire_renew_delegation_token_response *a = WIRE_NEW(r->arena, renew_delegation_token_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->expiry_timestamp_ms = expiry_ms;
	}
	return (a);
}

void *
fail_renew_delegation_token(struct api_request *r, enum kerr error)
{
	return (renew_answer(r, error, 0));
}

void
serve_renew_delegation_token(struct api_request *r)
{
	api_answer(r, renew_answer(r, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TIME));
}

static void *
expire_answer(struct api_request *r, enum kerr error, int64_t expiry_ms)
{
	struct wire_expire_delegation_token_response *a = WIRE_NEW(r->arena, expire_delegation_token_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->expiry_timestamp_ms = expiry_ms;
	}
	return (a);
}

void *
fail_expire_delegation_token(struct api_request *r, enum kerr error)
{
	return (expire_answer(r, error, 0));
}

void
serve_expire_delegation_token(struct api_request *r)
{
	api_answer(r, expire_answer(r, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TIME));
}

void *
fail_describe_delegation_token(struct api_request *r, enum kerr error)
{
	struct wire_describe_delegation_token_response *a = WIRE_NEW(r->arena, describe_delegation_token_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

void
serve_describe_delegation_token(struct api_request *r)
{
	api_answer(r, fail_describe_delegation_token(r, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED));
}
