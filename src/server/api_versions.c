/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_versions.c - ApiVersions: what handlers.def holds.
 *
 * A version we do not know is answered in version 0 with UNSUPPORTED_VERSION and one row, our range of ApiVersions itself, so that the client
 * can ask again.  From version 3 on the client names its software; a name or version outside [A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])? is
 * INVALID_REQUEST.  A broker in ZooKeeper mode supports and finalizes no features; the epoch is the version of /feature.
 */
#include "base/must.h"
#include "base/str.h"
#include "server/dispatch.h"

static bool
is_alnum(uint8_t c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
}

static bool
software_text_valid(struct slice s)
{
	if (s.len == 0 || !is_alnum(s.p[0]) || !is_alnum(s.p[s.len - 1]))
		return (false);
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '.')
			return (false);
	return (true);
}

static void
fill_row(struct wire_api_versions_response_api_version *row, const struct api_handler *h)
{
	row->api_key = h->key;
	row->min_version = h->min;
	row->max_version = h->max;
}

void *
fail_api_versions(struct api_request *r, enum kerr error)
{
	struct wire_api_versions_response *a = WIRE_NEW(r->arena, api_versions_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)error;
	if (error != KERR_UNSUPPORTED_VERSION)
		return (a);
	a->api_keys.v = WIRE_NEW_ARRAY(r->arena, api_versions_response_api_version, 1);
	if (a->api_keys.v == NULL)
		return (NULL);
	a->api_keys.n = 1;
	fill_row(a->api_keys.v, r->handler);
	return (a);
}

static struct wire_api_versions_response *
all_versions(struct api_request *r)
{
	struct wire_api_versions_response *a = WIRE_NEW(r->arena, api_versions_response);
	struct wire_api_versions_response_api_version *rows =
	    WIRE_NEW_ARRAY(r->arena, api_versions_response_api_version, (int32_t)api_handlers_n);

	if (a == NULL || rows == NULL)
		return (NULL);
	for (size_t i = 0; i < api_handlers_n; i++)
		fill_row(&rows[i], &api_handlers[i]);
	a->api_keys.v = rows;
	a->api_keys.n = (int32_t)api_handlers_n;
	a->finalized_features_epoch = r->server->features_epoch;
	return (a);
}

void
serve_api_versions(struct api_request *r)
{
	const struct wire_api_versions_request *q = r->body;
	struct wire_api_versions_response *a;

	if (!r->supported) {
		api_fail(r, KERR_UNSUPPORTED_VERSION);
		return;
	}
	if (r->head.version >= 3) {
		if (!software_text_valid(q->client_software_name) || !software_text_valid(q->client_software_version)) {
			api_fail(r, KERR_INVALID_REQUEST);
			return;
		}
	}
	a = all_versions(r);
	if (a == NULL)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(r, a);
}
