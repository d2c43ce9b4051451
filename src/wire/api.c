/* SPDX-License-Identifier: Apache-2.0
 *
 * wire/api.c - the rows of apis.def, joined with the versions of their messages; see api.h.
 */
#include <assert.h>

#include "base/cdefs.h"
#include "wire/api.h"
#include "wire/messages.h"

#define CLUSTER_ACTION		WIRE_API_CLUSTER_ACTION
#define FORWARDABLE		WIRE_API_FORWARDABLE
#define RESPONSE_HEADER_0	WIRE_API_RESPONSE_HEADER_0
#define REQUEST_0_HEADER_0	WIRE_API_REQUEST_0_HEADER_0

/* A request and its response share their versions. */
#define API(key, constant, base, name, flags) \
	static_assert((int)WIRE_FIRST_##base##_request == (int)WIRE_FIRST_##base##_response, name); \
	static_assert((int)WIRE_LAST_##base##_request == (int)WIRE_LAST_##base##_response, name); \
	static_assert((int)WIRE_FLEXIBLE_##base##_request == (int)WIRE_FLEXIBLE_##base##_response, name);
#include "wire/apis.def"
#undef API

const struct wire_api wire_apis[] = {
#define API(key_, constant, base, name_, flags_) \
	{ .key = key_, .min = WIRE_FIRST_##base##_request, .max = WIRE_LAST_##base##_request, \
	  .flexible_from = WIRE_FLEXIBLE_##base##_request, .name = name_, .request = &wire_msg_##base##_request, \
	  .response = &wire_msg_##base##_response, .flags = flags_ },
#include "wire/apis.def"
#undef API
};
const size_t wire_apis_n = NELEM(wire_apis);

enum {
#define API(key, constant, base, name, flags)	ROW_##base,
#include "wire/apis.def"
#undef API
};

static const uint8_t row_of_key[] = {	/* row + 1; 0 for the keys between */
#define API(key, constant, base, name, flags)	[key] = ROW_##base + 1,
#include "wire/apis.def"
#undef API
};

const struct wire_api *
wire_api(int key)
{
	if (key < 0 || key >= (int)NELEM(row_of_key) || row_of_key[key] == 0)
		return (NULL);
	return (&wire_apis[row_of_key[key] - 1]);
}

int
wire_request_header_version(const struct wire_api *api, int version)
{
	if ((api->flags & WIRE_API_REQUEST_0_HEADER_0) != 0 && version == 0)
		return (0);
	return (version >= api->flexible_from ? 2 : 1);
}

int
wire_response_header_version(const struct wire_api *api, int version)
{
	if ((api->flags & WIRE_API_RESPONSE_HEADER_0) != 0)
		return (0);
	return (version >= api->flexible_from ? 1 : 0);
}
