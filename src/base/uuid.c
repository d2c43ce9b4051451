/* SPDX-License-Identifier: Apache-2.0
 *
 * base/uuid.c - see uuid.h.
 */
#include <stdio.h>

#include "base/uuid.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The ids Kafka keeps for itself are 0 and 1 in a high half of zeros: the version bits of RFC 4122 shut them out. */
struct uuid
uuid_random(struct random *rnd)
{
	struct uuid u;

	do {
		rnd->fill(rnd, u.b, sizeof(u.b));
		u.b[6] = (u.b[6] & 0x0f) | 0x40;
		u.b[8] = (u.b[8] & 0x3f) | 0x80;
	} while (alphabet[u.b[0] >> 2] == '-');	/* command lines would take it for an option */
	return (u);
}

void
uuid_format(struct uuid u, char out[UUID_TEXT_LEN + 1])
{
	uint32_t acc = 0;
	unsigned bits = 0;
	char *p = out;

	for (unsigned i = 0; i < 16; i++) {
		acc = acc << 8 | u.b[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*p++ = alphabet[(acc >> (bits - 6)) & 0x3f];
	}
	*p++ = alphabet[(acc << (6 - bits)) & 0x3f];
	*p = '\0';
}

bool
uuid_parse(struct slice text, struct uuid *out)
{
	struct uuid u;
	uint32_t acc = 0;
	unsigned bits = 0, n = 0;

	if (text.len != UUID_TEXT_LEN)
		return (false);
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] == '\0' ? NULL : strchr(alphabet, text.p[i]);

		if (at == NULL)
			return (false);
		acc = acc << 6 | (uint32_t)(at - alphabet);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			u.b[n++] = (uint8_t)(acc >> bits);
		}
	}
	*out = u;	/* the four bits left over are ignored, as Java's decoder does */
	return (true);
}

void
uuid_hex(struct uuid u, char out[33])
{
	for (unsigned i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", u.b[i]);
}
