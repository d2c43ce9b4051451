/* SPDX-License-Identifier: Apache-2.0
 *
 * record/xxh32.c - xxHash32 with seed 0, for the header and block checksums of lz4 frames (liblz4 keeps its own copy to itself).
 *
 * Format: the xxHash fast digest algorithm, github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
 */
#include "record/codec_int.h"

#define P1 2654435761u
#define P2 2246822519u
#define P3 3266489917u
#define P4 668265263u
#define P5 374761393u

static uint32_t
rotl(uint32_t x, int n)
{
	return (x << n | x >> (32 - n));
}

static uint32_t
lane(uint32_t acc, const uint8_t *p)
{
	return (rotl(acc + le32dec(p) * P2, 13) * P1);
}

uint32_t
xxh32(const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;
	uint32_t acc[4] = { P1 + P2, P2, 0, 0u - P1 }, h;

	if (len >= 16) {
		for (; end - p >= 16; p += 16) {
			for (int i = 0; i < 4; i++)
				acc[i] = lane(acc[i], p + 4 * i);
		}
		h = rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18);
	} else {
		h = P5;
	}
	h += (uint32_t)len;
	for (; end - p >= 4; p += 4)
		h = rotl(h + le32dec(p) * P3, 17) * P4;
	for (; p < end; p++)
		h = rotl(h + *p * P5, 11) * P1;
	h = (h ^ h >> 15) * P2;
	h = (h ^ h >> 13) * P3;
	return (h ^ h >> 16);
}
