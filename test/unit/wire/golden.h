/* SPDX-License-Identifier: Apache-2.0
 *
 * golden.h - the lines of test/golden/messages/messages.txt.
 */
#ifndef TEST_WIRE_GOLDEN_H
#define TEST_WIRE_GOLDEN_H

#include "wire/api.h"

struct golden {
	const struct wire_message *message;
	int			   version;
	char			   variant[16];
	uint8_t			  *bytes;	/* exactly len of them on the heap, so that ASan sees the byte behind */
	size_t			   len;
};

struct golden_api {
	int	key, min, max;
	char	name[64];
	int	request_header[32], response_header[32];	/* by version - min */
};

/* Calls message and api for every line; either may be NULL.  False: the file is missing or has a line that makes no sense. */
bool golden_each(void (*message)(const struct golden *, void *), void (*api)(const struct golden_api *, void *), void *ctx);

#endif
