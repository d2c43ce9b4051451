/* SPDX-License-Identifier: Apache-2.0
 *
 * base/slice.h - borrowed bytes, and cursors that read and write big-endian fields.
 *
 * A reader is sticky: after the first short read `bad` is set and every later read gives 0 (or an empty slice), so a decoder tests
 * once, at its end.  A writer is sticky in the same way (`full`), and goes on counting in `need`, so that one pass over a NULL
 * buffer measures.  Neither owns memory.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cdefs.h"

struct slice {
	const uint8_t	*p;	/* NULL = absent (Kafka's null); non-NULL with len 0 = empty */
	size_t		 len;
};

#define SLICE_NULL	((struct slice){ NULL, 0 })
#define SLICE_LIT(s)	((struct slice){ (const uint8_t *)(s), sizeof(s) - 1 })

static inline struct slice
slice_of(const void *p, size_t len)
{
	return ((struct slice){ p, len });
}

static inline struct slice
slice_str(const char *s)
{
	return (s == NULL ? SLICE_NULL : (struct slice){ (const uint8_t *)s, strlen(s) });
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return (a.len == b.len && (a.p == NULL) == (b.p == NULL) && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0));
}

static inline bool
slice_eq_str(struct slice a, const char *s)
{
	return (slice_eq(a, slice_str(s)));
}

int slice_cmp(struct slice a, struct slice b);	/* bytewise, shorter first */

/* ---- fixed big-endian fields ---- */
static inline uint16_t be16dec(const void *v) { uint16_t x; memcpy(&x, v, 2); return (__builtin_bswap16(x)); }
static inline uint32_t be32dec(const void *v) { uint32_t x; memcpy(&x, v, 4); return (__builtin_bswap32(x)); }
static inline uint64_t be64dec(const void *v) { uint64_t x; memcpy(&x, v, 8); return (__builtin_bswap64(x)); }
static inline void be16enc(void *v, uint16_t x) { x = __builtin_bswap16(x); memcpy(v, &x, 2); }
static inline void be32enc(void *v, uint32_t x) { x = __builtin_bswap32(x); memcpy(v, &x, 4); }
static inline void be64enc(void *v, uint64_t x) { x = __builtin_bswap64(x); memcpy(v, &x, 8); }
static inline uint32_t le32dec(const void *v) { uint32_t x; memcpy(&x, v, 4); return (x); }
static inline void le32enc(void *v, uint32_t x) { memcpy(v, &x, 4); }

/* ---- reader ---- */
struct reader {
	const uint8_t	*p, *end;
	bool		 bad;
};

static inline struct reader
reader_of(struct slice s)
{
	return ((struct reader){ s.p, s.len == 0 ? s.p : s.p + s.len, false });
}

static inline size_t
rd_left(const struct reader *r)
{
	return ((size_t)(r->end - r->p));
}

static inline const uint8_t *
rd_take(struct reader *r, size_t n)	/* n bytes, or NULL and bad */
{
	const uint8_t *p = r->p;

	if (UNLIKELY(rd_left(r) < n)) {
		r->bad = true;
		r->p = r->end;
		return (NULL);
	}
	if (n > 0)	/* a null slice may be read to its end, too */
		r->p += n;
	return (p);
}

static inline int8_t  rd_i8(struct reader *r)  { const uint8_t *p = rd_take(r, 1); return (p ? (int8_t)*p : 0); }
static inline int16_t rd_i16(struct reader *r) { const uint8_t *p = rd_take(r, 2); return (p ? (int16_t)be16dec(p) : 0); }
static inline int32_t rd_i32(struct reader *r) { const uint8_t *p = rd_take(r, 4); return (p ? (int32_t)be32dec(p) : 0); }
static inline int64_t rd_i64(struct reader *r) { const uint8_t *p = rd_take(r, 8); return (p ? (int64_t)be64dec(p) : 0); }
static inline uint16_t rd_u16(struct reader *r) { return ((uint16_t)rd_i16(r)); }
static inline uint32_t rd_u32(struct reader *r) { return ((uint32_t)rd_i32(r)); }
static inline uint64_t rd_u64(struct reader *r) { return ((uint64_t)rd_i64(r)); }

static inline struct slice
rd_slice(struct reader *r, size_t n)	/* borrowed from the reader's buffer */
{
	const uint8_t *p = rd_take(r, n);

	return (p ? slice_of(p, n) : SLICE_NULL);
}

/* unsigned LEB128, at most 5 bytes; more, or bits past 32, is bad */
uint32_t rd_uvarint_long(struct reader *);
static inline uint32_t
rd_uvarint(struct reader *r)	/* most are of one byte */
{
	return (LIKELY(r->p != r->end && *r->p < 0x80) ? *r->p++ : rd_uvarint_long(r));
}
uint64_t rd_uvarint64(struct reader *);	/* at most 10 bytes */
int32_t	 rd_varint(struct reader *);	/* zigzag, as in records */
int64_t	 rd_varlong(struct reader *);

/* ---- writer ---- */
struct writer {
	uint8_t	*base, *p, *end;	/* base may be NULL: only `need` advances */
	size_t	 need;			/* bytes that everything written so far takes */
	bool	 full;
};

static inline struct writer
writer_of(void *p, size_t len)
{
	return ((struct writer){ p, p, p == NULL ? NULL : (uint8_t *)p + len, 0, false });
}

static inline size_t
wr_len(const struct writer *w)	/* bytes really in the buffer */
{
	return (w->base == NULL ? 0 : (size_t)(w->p - w->base));
}

static inline uint8_t *
wr_take(struct writer *w, size_t n)	/* room for n bytes, or NULL (measuring, or full) */
{
	uint8_t *p = w->p;

	w->need += n;
	if (p == NULL || w->full || (size_t)(w->end - p) < n) {
		w->full = true;
		return (NULL);
	}
	w->p += n;
	return (p);
}

static inline void wr_i8(struct writer *w, int8_t x)   { uint8_t *p = wr_take(w, 1); if (p) *p = (uint8_t)x; }
static inline void wr_i16(struct writer *w, int16_t x) { uint8_t *p = wr_take(w, 2); if (p) be16enc(p, (uint16_t)x); }
static inline void wr_i32(struct writer *w, int32_t x) { uint8_t *p = wr_take(w, 4); if (p) be32enc(p, (uint32_t)x); }
static inline void wr_i64(struct writer *w, int64_t x) { uint8_t *p = wr_take(w, 8); if (p) be64enc(p, (uint64_t)x); }
static inline void wr_u16(struct writer *w, uint16_t x) { wr_i16(w, (int16_t)x); }
static inline void wr_u32(struct writer *w, uint32_t x) { wr_i32(w, (int32_t)x); }

static inline void
wr_bytes(struct writer *w, const void *src, size_t n)
{
	uint8_t *p = wr_take(w, n);

	if (p != NULL && n > 0)
		memcpy(p, src, n);
}

/* ---- numbers of variable length: LEB128, signed ones zigzag (0, -1, 1, -2 ... become 0, 1, 2, 3 ...) ---- */
static inline uint32_t zigzag32(int32_t x) { return (((uint32_t)x << 1) ^ (x < 0 ? UINT32_MAX : 0)); }
static inline uint64_t zigzag64(int64_t x) { return (((uint64_t)x << 1) ^ (x < 0 ? UINT64_MAX : 0)); }
static inline int32_t unzigzag32(uint32_t x) { return ((int32_t)((x >> 1) ^ (0u - (x & 1)))); }
static inline int64_t unzigzag64(uint64_t x) { return ((int64_t)((x >> 1) ^ (0u - (x & 1)))); }
static inline size_t leb128_size(uint64_t x) { return (LIKELY(x < 0x80) ? 1 : (size_t)(63 - __builtin_clzll(x)) / 7 + 1); }
static inline size_t uvarint_size(uint32_t x) { return (leb128_size(x)); }
static inline size_t varint_size(int32_t x) { return (leb128_size(zigzag32(x))); }
static inline size_t varlong_size(int64_t x) { return (leb128_size(zigzag64(x))); }

static inline uint8_t *
leb128_put(uint8_t *p, uint64_t x)	/* where there is room; returns what follows */
{
	for (; x >= 0x80; x >>= 7)
		*p++ = (uint8_t)(x | 0x80);
	*p++ = (uint8_t)x;
	return (p);
}

static inline void
wr_leb128(struct writer *w, uint64_t x)
{
	uint8_t *p = wr_take(w, leb128_size(x));

	if (p != NULL)
		(void)leb128_put(p, x);
}

static inline void wr_uvarint(struct writer *w, uint32_t x) { wr_leb128(w, x); }
static inline void wr_varint(struct writer *w, int32_t x) { wr_leb128(w, zigzag32(x)); }
static inline void wr_varlong(struct writer *w, int64_t x) { wr_leb128(w, zigzag64(x)); }

#endif
