/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/frame.c - headers and frames, see frame.h.
 *
 * The version of a request's header follows from the key and version in its first four bytes, so those are read first; that is why
 * they can never move.  For ApiVersions the header must be readable in versions newer than ours: its rule is that of our newest.
 */
#include "wire/frame.h"
#include "wire/walker_int.h"

static enum err
head_fill(struct wire_request_head *head, const struct wire_api *api, const struct wire_request_header *h, struct slice rest,
    struct errbuf *eb)
{
	*head = (struct wire_request_head){
		.api = api, .version = h->request_api_version, .correlation_id = h->correlation_id, .client_id = h->client_id, .body = rest,
		.supported = h->request_api_version >= api->min && h->request_api_version <= api->max };
	if (head->client_id.p == NULL)
		head->client_id = SLICE_LIT("");
	if (!head->supported && api->key != API_API_VERSIONS) {
		errbuf_set(eb, "%s version %d is not one of %d to %d", api->name, head->version, api->min, api->max);
		return (ERR_UNSUPPORTED);
	}
	return (OK);
}

enum err
wire_request_parse(struct slice frame, struct arena *arena, struct wire_request_head *head, struct errbuf *eb)
{
	struct wire_request_header h;
	const struct wire_api *api;
	int key, version;
	enum err e;

	if (frame.len < 4) {
		errbuf_set(eb, "a request of %zu bytes", frame.len);
		return (ERR_MALFORMED);
	}
	key = (int16_t)be16dec(frame.p);
	version = (int16_t)be16dec(frame.p + 2);
	api = wire_api(key);
	if (api == NULL) {
		errbuf_set(eb, "API key %d is not known", key);
		return (ERR_UNSUPPORTED);
	}
	e = wire_decode(&wire_msg_request_header, wire_request_header_version(api, version), &frame, arena, &h, eb);
	if (e != OK) {
		errbuf_add(eb, "header of %s version %d", api->name, version);
		return (e);
	}
	return (head_fill(head, api, &h, frame, eb));
}

/* *bodyp := a new root structure of the message, read from the front of *in. */
static enum err
body_decode(const struct wire_message *m, int version, struct slice *in, struct arena *arena, void **bodyp, struct errbuf *eb)
{
	void *body = arena_alloc(arena, m->root->size);

	if (body == NULL) {
		errbuf_set(eb, "the request's memory is used up");
		return (ERR_LIMIT);
	}
	*bodyp = body;
	return (wire_decode(m, version, in, arena, body, eb));
}

enum err
wire_request_decode(const struct wire_request_head *head, struct arena *arena, void **bodyp, struct errbuf *eb)
{
	struct slice in = head->body;

	must(head->supported);
	return (body_decode(head->api->request, head->version, &in, arena, bodyp, eb));
}

enum err
wire_response_frame(const struct wire_api *api, int version, int32_t correlation_id, void *response, struct arena *arena,
    struct chain *out, struct errbuf *eb)
{
	struct wire_response_header h = { .correlation_id = correlation_id };
	struct wire_part parts[] = {
		{ &wire_msg_response_header, wire_response_header_version(api, version), &h },
		{ api->response, version, response },
	};

	return (wire_encode_parts(parts, 2, true, arena, out, eb));
}

enum err
wire_request_frame(const struct wire_api *api, int version, int32_t correlation_id, struct slice client_id, void *request,
    struct arena *arena, struct chain *out, struct errbuf *eb)
{
	struct wire_request_header h = { .request_api_key = api->key, .request_api_version = (int16_t)version,
		.correlation_id = correlation_id, .client_id = client_id };
	struct wire_part parts[] = {
		{ &wire_msg_request_header, wire_request_header_version(api, version), &h },
		{ api->request, version, request },
	};

	return (wire_encode_parts(parts, 2, true, arena, out, eb));
}

enum err
wire_response_correlation(struct slice frame, int32_t *idp)
{
	if (frame.len < 4)
		return (ERR_MALFORMED);
	*idp = (int32_t)be32dec(frame.p);
	return (OK);
}

/* A broker that does not know the version of our ApiVersions request answers in v0, without saying so. */
static enum err
api_versions_fallback(const struct wire_api *api, int version, struct slice body, struct arena *arena, void **bodyp)
{
	if (api->key != API_API_VERSIONS || version == 0)
		return (ERR_MALFORMED);
	return (body_decode(api->response, 0, &body, arena, bodyp, NULL));
}

enum err
wire_response_decode(const struct wire_api *api, int version, struct slice frame, struct arena *arena, void **bodyp, struct errbuf *eb)
{
	struct wire_response_header h;
	struct slice body;
	enum err e;

	e = wire_decode(&wire_msg_response_header, wire_response_header_version(api, version), &frame, arena, &h, eb);
	if (e != OK)
		return (e);
	body = frame;
	e = body_decode(api->response, version, &frame, arena, bodyp, eb);
	if (e == ERR_MALFORMED && api_versions_fallback(api, version, body, arena, bodyp) == OK)
		e = OK;
	return (e);
}
