/* SPDX-License-Identifier: Apache-2.0
 *
 * record/varint.h - the zigzag numbers of records, decoded from one piece of memory.
 *
 * As Kafka's ByteUtils does: at most 5 (10) bytes, the bits of the last one that do not fit are dropped.  base/slice.h's readers are
 * stricter about that last byte, which is right for message fields and wrong for records somebody already stored.
 * A NULL position is sticky: it comes back from every later call.
 */
#ifndef RECORD_VARINT_H
#define RECORD_VARINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

const uint8_t *varlong_slow(const uint8_t *p, const uint8_t *end, int bytes_max, uint64_t *raw);

/* Up to three bytes in line, which is nearly every number in a record. */
static inline const uint8_t *
varint_raw(const uint8_t *p, const uint8_t *end, int bytes_max, uint64_t *raw)
{
	ptrdiff_t n = p == NULL ? 0 : end - p;

	if (LIKELY(n >= 1 && p[0] < 0x80)) {
		*raw = p[0];
		return (p + 1);
	}
	if (LIKELY(n >= 2 && p[1] < 0x80)) {
		*raw = (uint64_t)(p[0] & 0x7f) | (uint64_t)p[1] << 7;
		return (p + 2);
	}
	if (LIKELY(n >= 3 && p[2] < 0x80)) {
		*raw = (uint64_t)(p[0] & 0x7f) | (uint64_t)(p[1] & 0x7f) << 7 | (uint64_t)p[2] << 14;
		return (p + 3);
	}
	return (varlong_slow(p, end, bytes_max, raw));
}

static inline const uint8_t *
varint_get(const uint8_t *p, const uint8_t *end, int32_t *v)
{
	uint64_t raw = 0;

	p = varint_raw(p, end, 5, &raw);
	*v = unzigzag32((uint32_t)raw);
	return (p);
}

static inline const uint8_t *
varlong_get(const uint8_t *p, const uint8_t *end, int64_t *v)
{
	uint64_t raw = 0;

	p = varint_raw(p, end, 10, &raw);
	*v = unzigzag64(raw);
	return (p);
}

#endif
