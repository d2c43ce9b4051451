/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker without SASL, authorizer, tokens and KRaft says, in every version.
 */
#include <string.h>

#include "test/unit/server/world.h"
#include "test/unit/unit.h"

TEST(there_is_nothing_to_authenticate)
{
	struct world w;

	world_init(&w, NULL, 0);
	for (int v = 0; v <= 2; v++) {
		struct wire_sasl_handshake_response *h;
		struct wire_sasl_authenticate_response *a;

		h = v > 1 ? NULL : world_ask(&w, 0, API_SASL_HANDSHAKE, v, WIRE_NEW(&w.bed.arena, sasl_handshake_request));
		if (h != NULL) {
			CHECK_EQ(h->error_code, KERR_ILLEGAL_SASL_STATE);
			CHECK_EQ(h->mechanisms.n, 0);
		}
		a = world_ask(&w, 0, API_SASL_AUTHENTICATE, v, WIRE_NEW(&w.bed.arena, sasl_authenticate_request));
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, KERR_ILLEGAL_SASL_STATE);
		CHECK(a->error_message.len > 0);
		CHECK_EQ(a->auth_bytes.len, 0);
	}
	world_fini(&w);
}

static struct wire_create_acls_request *
creations(struct world *w, int32_t n)
{
	struct wire_create_acls_request *q = WIRE_NEW(&w->bed.arena, create_acls_request);

	q->creations.v = WIRE_NEW_ARRAY(&w->bed.arena, create_acls_request_acl_creation, n);
	q->creations.n = n;
	for (int32_t i = 0; i < n; i++) {
		q->creations.v[i].resource_type = 2;
		q->creations.v[i].operation = 3;
		q->creations.v[i].permission_type = 3;
	}
	return (q);
}

TEST(every_acl_of_a_request_hears_that_there_is_no_authorizer)
{
	struct world w;

	world_init(&w, NULL, 0);
	for (int v = 0; v <= 3; v++)
		for (int32_t n = 0; n <= 3; n++) {
			struct wire_create_acls_response *a = world_ask(&w, 0, API_CREATE_ACLS, v, creations(&w, n));

			REQUIRE(a != NULL && a->results.n == n);
			for (int32_t i = 0; i < n; i++) {
				CHECK_EQ(a->results.v[i].error_code, KERR_SECURITY_DISABLED);
				CHECK(a->results.v[i].error_message.len > 0);
			}
		}
	world_fini(&w);
}

TEST(an_acl_of_no_kind_closes_the_connection)
{
	struct world w;
	struct wire_create_acls_request *q;
	bool closed;

	world_init(&w, NULL, 0);
	q = creations(&w, 2);
	q->creations.v[1].operation = 0;
	world_send(&w, 0, API_CREATE_ACLS, 3, q);
	CHECK_EQ(world_take(&w, 0, &closed).len, 0);
	CHECK(closed);
	world_send(&w, 1, API_DESCRIBE_ACLS, 3, WIRE_NEW(&w.bed.arena, describe_acls_request));
	CHECK_EQ(world_take(&w, 1, &closed).len, 0);
	CHECK(closed);
	world_fini(&w);
}

TEST(nobody_may_ask_for_tokens)
{
	struct world w;
	struct wire_create_delegation_token_request *q;
	struct wire_create_delegation_token_response *a;
	struct wire_renew_delegation_token_response *n;
	struct wire_describe_delegation_token_response *d;

	world_init(&w, NULL, 0);
	q = WIRE_NEW(&w.bed.arena, create_delegation_token_request);
	for (int v = 0; v <= 3; v++) {
		a = world_ask(&w, 0, API_CREATE_DELEGATION_TOKEN, v, q);
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
		CHECK(slice_eq_str(a->principal_name, "ANONYMOUS"));
		CHECK_EQ(a->issue_timestamp_ms, -1);
		CHECK_EQ(a->token_requester_principal_name.len, v < 3 ? 0 : strlen("ANONYMOUS"));
		d = world_ask(&w, 0, API_DESCRIBE_DELEGATION_TOKEN, v, WIRE_NEW(&w.bed.arena, describe_delegation_token_request));
		CHECK_EQ(d->error_code, KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
		n = v > 2 ? NULL : world_ask(&w, 0, API_RENEW_DELEGATION_TOKEN, v, WIRE_NEW(&w.bed.arena, renew_delegation_token_request));
		CHECK(n == NULL || (n->error_code == KERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED && n->expiry_timestamp_ms == -1));
	}
	q->owner_principal_name = slice_str("alice");
	q->owner_principal_type = SLICE_NULL;
	a = world_ask(&w, 0, API_CREATE_DELEGATION_TOKEN, 3, q);
	CHECK_EQ(a->error_code, KERR_UNKNOWN_SERVER_ERROR);
	CHECK(slice_eq_str(a->principal_name, "ANONYMOUS"));
	world_fini(&w);
}

TEST(random_requests_harm_nobody)
{
	static const int keys[] = { API_SASL_HANDSHAKE, API_SASL_AUTHENTICATE, API_DESCRIBE_ACLS, API_CREATE_ACLS, API_DELETE_ACLS,
		API_CREATE_DELEGATION_TOKEN, API_RENEW_DELEGATION_TOKEN, API_EXPIRE_DELEGATION_TOKEN, API_DESCRIBE_DELEGATION_TOKEN,
		API_CONSUMER_GROUP_HEARTBEAT, API_CONSUMER_GROUP_DESCRIBE };
	bool closed = true;
	struct world w;

	for (int i = 0; i < 600; i++) {
		const struct wire_api *api = wire_api(keys[(size_t)i % NELEM(keys)]);
		int v;
		size_t n;

		if (closed)
			world_init(&w, NULL, 0);
		v = (int)random_below(&w.bed.random.random, (uint64_t)api->max + 1);
		world_send(&w, 0, api->key, v, wire_random(api->request, v, &w.bed.random.random, &w.bed.arena));
		n = world_take(&w, 0, &closed).len;
		unit_check((n > 0) != closed, __FILE__, __LINE__, "request %d, %s version %d: answered or closed", i, api->name, v);
		if (closed || i == 599)
			world_fini(&w);
		else {
			arena_reset(&w.bed.arena);
			w.bed.path = "";
		}
	}
}

UNIT_MAIN("server/refusals", T(there_is_nothing_to_authenticate), T(every_acl_of_a_request_hears_that_there_is_no_authorizer),
    T(an_acl_of_no_kind_closes_the_connection), T(nobody_may_ask_for_tokens), T(random_requests_harm_nobody))
