/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/api.h - the APIs a broker answers: key, name, messages, versions and the quirks of their headers.
 */
#ifndef WIRE_API_H
#define WIRE_API_H

#include "wire/schema.h"

enum api_key {
#define API(key, constant, base, name, flags)	API_##constant = key,
#include "wire/apis.def"
#undef API
};

enum wire_api_flags {
	WIRE_API_CLUSTER_ACTION	  = 1 << 0,	/* sent by brokers only */
	WIRE_API_FORWARDABLE	  = 1 << 1,	/* what a broker would wrap in Envelope for a KRaft controller */
	WIRE_API_RESPONSE_HEADER_0 = 1 << 2,	/* the response header is v0 in every version (ApiVersions) */
	WIRE_API_REQUEST_0_HEADER_0 = 1 << 3	/* request v0 has header v0, without client id (ControlledShutdown) */
};

struct wire_api {
	int16_t			   key;
	int16_t			   min, max;		/* advertised versions, both included */
	int16_t			   flexible_from;	/* or WIRE_NEVER */
	const char		  *name;		/* "Produce", as Kafka spells it */
	const struct wire_message *request, *response;
	unsigned		   flags;		/* enum wire_api_flags */
};

/* Every row, by key: what ApiVersions advertises. */
extern const struct wire_api wire_apis[];
extern const size_t wire_apis_n;

const struct wire_api *wire_api(int key);	/* NULL: a key we do not speak */

/* Version of the header in front; `version` may lie outside min..max, for an ApiVersions request newer than we are. */
int wire_request_header_version(const struct wire_api *, int version);
int wire_response_header_version(const struct wire_api *, int version);

#endif
