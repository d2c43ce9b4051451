/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/frame.h - requests and responses as they travel: 4 bytes of length, a header, the message.
 *
 *	request   i32 length | i16 key, i16 version, i32 correlation id, [client id], [tagged fields] | body
 *	response  i32 length | i32 correlation id, [tagged fields] | body
 *
 * Parsing starts behind the length, which the network layer has used up.  Ownership and errors as in wire/walker.h.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "wire/api.h"
#include "wire/walker.h"

struct wire_request_head {
	const struct wire_api	*api;
	int16_t			 version;
	bool			 supported;	/* false: an ApiVersions request of a version we do not know: to be answered in
						 * v0 with UNSUPPORTED_VERSION, its body unread */
	int32_t			 correlation_id;
	struct slice		 client_id;	/* null and absent become "", as in Kafka */
	struct slice		 body;
};

/* Reads the header of a request.  ERR_UNSUPPORTED: unknown key, or a version of it that we do not speak; ERR_MALFORMED: no header.
 * Both end the connection.  The arena is used for the moment only. */
enum err wire_request_parse(struct slice frame, struct arena *, struct wire_request_head *, struct errbuf *) MUST_CHECK;

/* Its body.  *bodyp is the root structure of api->request.  Bytes behind the message are ignored, as Kafka's server does. */
enum err wire_request_decode(const struct wire_request_head *, struct arena *, void **bodyp, struct errbuf *) MUST_CHECK;

/* Appends length, header and message to *out.  On an error *out is as it was. */
enum err wire_response_frame(const struct wire_api *, int version, int32_t correlation_id, void *response, struct arena *,
    struct chain *out, struct errbuf *) MUST_CHECK;
enum err wire_request_frame(const struct wire_api *, int version, int32_t correlation_id, struct slice client_id, void *request,
    struct arena *, struct chain *out, struct errbuf *) MUST_CHECK;

/* The client's side: the correlation id of a response (its first 4 bytes in every version), then the whole of it.  An ApiVersions
 * response that cannot be read in `version` is tried in v0: that is how a broker answers a version it does not know. */
enum err wire_response_correlation(struct slice frame, int32_t *) MUST_CHECK;
enum err wire_response_decode(const struct wire_api *, int version, struct slice frame, struct arena *, void **bodyp,
    struct errbuf *) MUST_CHECK;

#endif
