/* SPDX-License-Identifier: Apache-2.0
 *
 * base/slice.c - reading variable-length integers, and the slower parts of slice.h.
 *
 * FORMAT  LEB128: seven bits a byte, least significant first, the top bit says that another byte follows.  Signed values are
 *         zigzag.  Kafka accepts encodings with needless trailing groups (0x80 0x00 is zero), so does this reader; what does not fit
 *         the width is bad.
 */
#include "base/slice.h"

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = MIN(a.len, b.len);
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);

	if (c != 0)
		return (c);
	return (a.len < b.len ? -1 : a.len > b.len);
}

static uint64_t
read_leb128(struct reader *r, unsigned bits)
{
	uint64_t x = 0;

	for (unsigned shift = 0; shift < bits; shift += 7) {
		const uint8_t *p = rd_take(r, 1);

		if (p == NULL)
			return (0);
		/* The last byte may carry only the bits that are left, and no continuation. */
		if (shift + 7 > bits && (*p >> (bits - shift)) != 0)
			break;
		x |= (uint64_t)(*p & 0x7f) << shift;
		if ((*p & 0x80) == 0)
			return (x);
	}
	r->bad = true;
	r->p = r->end;
	return (0);
}

uint32_t
rd_uvarint_long(struct reader *r)
{
	return ((uint32_t)read_leb128(r, 32));
}

uint64_t
rd_uvarint64(struct reader *r)
{
	return (read_leb128(r, 64));
}

int32_t
rd_varint(struct reader *r)
{
	return (unzigzag32(rd_uvarint(r)));
}

int64_t
rd_varlong(struct reader *r)
{
	return (unzigzag64(rd_uvarint64(r)));
}
