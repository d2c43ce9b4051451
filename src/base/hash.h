/* SPDX-License-Identifier: Apache-2.0
 *
 * base/hash.h - the keyed hash of tables whose keys peers choose: with a seed of the table's own (from struct random) nobody outside can make
 * keys collide.  Fast, not cryptographic.  For uthash's *_BYHASHVALUE macros.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t
hash_mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 x = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15) * (b ^ 0xd1b54a32d192ed03);

	return ((uint64_t)x ^ (uint64_t)(x >> 64));
}

static inline uint64_t
hash_bytes(uint64_t seed, const void *v, size_t len)
{
	const uint8_t *p = v;
	uint64_t h = hash_mix(seed, len), word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = hash_mix(h ^ word, seed);
	}
	word = 0;
	if (len > 0)
		memcpy(&word, p, len);
	/* Twice: one product of names that count upwards steps evenly, and with one seed of eight its low bits, which choose the bucket, meet in few places. */
	return (hash_mix(hash_mix(h ^ word, seed), len));
}

#endif
