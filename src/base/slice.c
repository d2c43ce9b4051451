/* SPDX-License-Identifier: Apache-2.0
 *
 * base/slice.c - variable-length integers and the slower parts of slice.h.
 *
 * FORMAT  LEB128: seven bits a byte, least significant first, the top bit says that another byte follows.  Signed values are
 *         zigzag: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...  Kafka accepts encodings with needless trailing groups (0x80 0x00 is zero),
 *         so does this reader; what does not fit the width is bad.
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
rd_uvarint(struct reader *r)
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
	uint32_t x = rd_uvarint(r);

	return ((int32_t)((x >> 1) ^ (0u - (x & 1))));
}

int64_t
rd_varlong(struct reader *r)
{
	uint64_t x = rd_uvarint64(r);

	return ((int64_t)((x >> 1) ^ (0u - (x & 1))));
}

static uint32_t
zigzag32(int32_t x)
{
	return (((uint32_t)x << 1) ^ (x < 0 ? UINT32_MAX : 0));
}

static uint64_t
zigzag64(int64_t x)
{
	return (((uint64_t)x << 1) ^ (x < 0 ? UINT64_MAX : 0));
}

static size_t
leb128_size(uint64_t x)
{
	return ((size_t)(63 - __builtin_clzll(x | 1)) / 7 + 1);
}

static void
write_leb128(struct writer *w, uint64_t x)
{
	uint8_t *p = wr_take(w, leb128_size(x));

	if (p == NULL)
		return;
	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p = (uint8_t)x;
}

void
wr_uvarint(struct writer *w, uint32_t x)
{
	write_leb128(w, x);
}

void
wr_varint(struct writer *w, int32_t x)
{
	write_leb128(w, zigzag32(x));
}

void
wr_varlong(struct writer *w, int64_t x)
{
	write_leb128(w, zigzag64(x));
}

size_t
uvarint_size(uint32_t x)
{
	return (leb128_size(x));
}

size_t
varint_size(int32_t x)
{
	return (leb128_size(zigzag32(x)));
}

size_t
varlong_size(int64_t x)
{
	return (leb128_size(zigzag64(x)));
}
