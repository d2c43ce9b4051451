/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_sasl.c - SaslHandshake and SaslAuthenticate where they have no business.
 *
 * A connection that has to authenticate does so before any request of it comes here.  Who sends them on a connection that is through with that, or
 * never had to, is told so.
 */
#include "server/dispatch.h"

void *
fail_sasl_handshake(struct api_request *r, enum kerr error)
{
	struct wire_sasl_handshake_response *a = WIRE_NEW(r->arena, sasl_handshake_response);

	if (a != NULL)
		a->error_code = (int16_t)error;
	return (a);
}

void
serve_sasl_handshake(struct api_request *r)
{
	api_answer(r, fail_sasl_handshake(r, KERR_ILLEGAL_SASL_STATE));
}

static void *
refuse_authentication(struct api_request *r, enum kerr error, const char *words)
{
	struct wire_sasl_authenticate_response *a = WIRE_NEW(r->arena, sasl_authenticate_response);

	if (a != NULL) {
		a->error_code = (int16_t)error;
		a->error_message = slice_str(words);
	}
	return (a);
}

void *
fail_sasl_authenticate(struct api_request *r, enum kerr error)
{
	return (refuse_authentication(r, error, kerr_text(error)));
}

void
serve_sasl_authenticate(struct api_request *r)
{
	api_answer(r, refuse_authentication(r, KERR_ILLEGAL_SASL_STATE, "there is nothing to authenticate on this connection any more"));
}
