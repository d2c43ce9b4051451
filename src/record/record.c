/* SPDX-License-Identifier: Apache-2.0
 *
 * record/record.c - walking the records of a batch.
 *
 * Record: length varint (of what follows), attributes i8, timestamp delta varlong, offset delta varint, key length varint (-1 null), key,
 * value length, value, header count, headers (key length, key, value length, value).  The parts must fill the length exactly.
 *
 * A body is a sequence of pieces: one for an uncompressed body, else what the codec hands out.  A record that lies within a piece, which is
 * nearly every one, is parsed where it lies.  One that crosses pieces is stepped through byte by byte against its length (framing walk, so
 * that a record of any size costs no memory), or gathered first (full walk).
 *
 * Kafka compares the length with the parts only where it reads whole records, which its leader does not do with compressed batches; such a
 * batch could be produced but not consumed.  We compare always.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/must.h"
#include "record/record_int.h"
#include "record/varint.h"

const uint8_t *
varlong_slow(const uint8_t *p, const uint8_t *end, int bytes_max, uint64_t *raw)
{
	uint64_t x = 0;

	if (p == NULL)
		return (NULL);
	for (int i = 0; i < bytes_max && p < end; i++, p++) {
		x |= (uint64_t)(*p & 0x7f) << (7 * i);
		if (*p < 0x80) {
			*raw = x;
			return (p + 1);
		}
	}
	return (NULL);
}

static enum err
malformed(const struct record_iter *it, struct errbuf *eb, const char *what)
{
	errbuf_set(eb, "record %d of the batch: %s", (int)it->seen, what);
	return (ERR_MALFORMED);
}

/* ---- bytes ---- */

/* The next piece.  ERR_NOTFOUND: there is none. */
static enum err
iter_refill(struct record_iter *it, struct errbuf *eb)
{
	struct slice piece;
	enum err e;

	if (!it->stream)
		return (ERR_NOTFOUND);
	e = codec_reader_next(&it->reader, &piece, eb);
	if (e != OK)
		return (e);
	it->p = piece.p;
	it->end = piece.p + piece.len;
	return (piece.len == 0 ? ERR_NOTFOUND : OK);
}

static enum err
gather_room(struct record_iter *it, size_t n)
{
	size_t room;
	uint8_t *p;

	if (n <= it->gather_room)
		return (OK);
	room = MAX(n, MIN(it->gather_room * 2, (size_t)LIMIT_RECORD_BYTES_MAX));
	p = realloc(it->gather, room);
	if (p == NULL)
		return (ERR_NOMEM);
	it->gather = p;
	it->gather_room = room;
	return (OK);
}

enum err
record_iter_take(struct record_iter *it, size_t n, const uint8_t **p, struct errbuf *eb)
{
	size_t have = 0, some;
	enum err e;

	if ((size_t)(it->end - it->p) >= n) {
		*p = it->p;
		it->p += n;
		return (OK);
	}
	if (n > LIMIT_RECORD_BYTES_MAX) {
		errbuf_set(eb, "a record of %zu bytes, more than %d", n, LIMIT_RECORD_BYTES_MAX);
		return (ERR_LIMIT);
	}
	while (have < n) {	/* the buffer grows with what really comes, whatever n promises */
		some = MIN((size_t)(it->end - it->p), n - have);
		e = some == 0 ? iter_refill(it, eb) : gather_room(it, have + some);
		if (e != OK)
			return (e);
		if (some == 0)
			continue;
		memcpy(it->gather + have, it->p, some);
		it->p += some;
		have += some;
	}
	*p = it->gather;
	return (OK);
}

enum err
record_iter_open(struct record_iter *it, struct slice body, struct errbuf *eb)
{
	enum codec c = batch_codec(&it->header);
	enum err e;

	if (c == CODEC_NONE) {
		it->p = body.p;
		it->end = body.p + body.len;
		return (OK);
	}
	if (it->stream)
		codec_reader_fini(&it->reader);
	it->stream = false;
	if (it->ctx == NULL) {
		it->ctx = codec_ctx_new();
		it->own_ctx = true;
	}
	e = codec_reader_init(&it->reader, it->ctx, c, it->header.magic, body, eb);
	if (e != OK)
		return (e);
	it->stream = true;
	it->p = it->end = (const uint8_t *)"";
	return (OK);
}

/* ---- one record in one piece ---- */

static const uint8_t *
skip_bytes(const uint8_t *p, const uint8_t *end, int32_t n)
{
	if (p == NULL || n > end - p)
		return (NULL);
	return (n > 0 ? p + n : p);
}

static const uint8_t *
headers_skip(const uint8_t *p, const uint8_t *end, int32_t n)
{
	int32_t len;

	if (p == NULL || n < 0 || n > end - p)
		return (NULL);
	while (n-- > 0 && p != NULL) {
		p = varint_get(p, end, &len);
		if (len < 0)
			return (NULL);
		p = skip_bytes(p, end, len);
		p = varint_get(p, end, &len);
		p = skip_bytes(p, end, len);
	}
	return (p);
}

/* Everything after the length; true if it fills p..end exactly. */
static bool
record_parse(const uint8_t *p, const uint8_t *end, struct record *r)
{
	if (p == end)
		return (false);
	r->attributes = *p++;
	p = varlong_get(p, end, &r->timestamp_delta);
	p = varint_get(p, end, &r->offset_delta);
	p = varint_get(p, end, &r->key_len);
	r->key = r->key_len < 0 ? SLICE_NULL : slice_of(p, (size_t)r->key_len);
	p = skip_bytes(p, end, r->key_len);
	p = varint_get(p, end, &r->value_len);
	r->value = r->value_len < 0 ? SLICE_NULL : slice_of(p, (size_t)r->value_len);
	p = skip_bytes(p, end, r->value_len);
	p = varint_get(p, end, &r->header_count);
	if (p == NULL)
		return (false);
	r->headers = slice_of(p, (size_t)(end - p));
	if (r->header_count == 0)
		return (p == end);
	return (headers_skip(p, end, r->header_count) == end);
}

/* ---- one record across pieces, framing only ---- */

struct crossing {
	struct record_iter *it;
	struct errbuf	   *eb;
	uint32_t	    left;	/* of the record's length */
	enum err	    e;		/* sticky */
};

static uint8_t
crossing_byte(struct crossing *c)
{
	if (c->e == OK && c->left == 0)
		c->e = ERR_MALFORMED;
	if (c->e == OK && c->it->p == c->it->end)
		c->e = iter_refill(c->it, c->eb);
	if (c->e != OK)
		return (0);
	c->left--;
	return (*c->it->p++);
}

static void
crossing_skip(struct crossing *c, int32_t n)
{
	uint32_t todo = n < 0 ? 0 : (uint32_t)n, some;

	if (c->e == OK && todo > c->left)
		c->e = ERR_MALFORMED;
	while (c->e == OK && todo > 0) {
		if (c->it->p == c->it->end) {
			c->e = iter_refill(c->it, c->eb);
			continue;
		}
		some = (uint32_t)MIN((size_t)(c->it->end - c->it->p), (size_t)todo);
		c->it->p += some;
		c->left -= some;
		todo -= some;
	}
}

static uint64_t
crossing_raw(struct crossing *c, int bytes_max)
{
	uint64_t x = 0;
	uint8_t b;

	for (int i = 0; i < bytes_max; i++) {
		b = crossing_byte(c);
		x |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80)
			return (x);
	}
	if (c->e == OK)
		c->e = ERR_MALFORMED;
	return (0);
}

static int32_t
crossing_varint(struct crossing *c)
{
	return (unzigzag32((uint32_t)crossing_raw(c, 5)));
}

static void
crossing_headers(struct crossing *c, int32_t n)
{
	int32_t len;

	if (c->e == OK && (n < 0 || (uint32_t)n > c->left))
		c->e = ERR_MALFORMED;
	while (c->e == OK && n-- > 0) {
		len = crossing_varint(c);
		if (c->e == OK && len < 0)
			c->e = ERR_MALFORMED;
		crossing_skip(c, len);
		crossing_skip(c, crossing_varint(c));
	}
}

static enum err
record_cross(struct record_iter *it, uint32_t len, struct record *r, struct errbuf *eb)
{
	struct crossing c = { it, eb, len, OK };

	r->attributes = crossing_byte(&c);
	r->timestamp_delta = unzigzag64(crossing_raw(&c, 10));
	r->offset_delta = crossing_varint(&c);
	r->key_len = crossing_varint(&c);
	crossing_skip(&c, r->key_len);
	r->value_len = crossing_varint(&c);
	crossing_skip(&c, r->value_len);
	r->header_count = crossing_varint(&c);
	crossing_headers(&c, r->header_count);
	r->key = r->value = r->headers = SLICE_NULL;
	if (c.e == OK && c.left != 0)
		c.e = ERR_MALFORMED;
	return (c.e);
}

/* ---- the iterator ---- */

enum err
record_iter_init(struct record_iter *it, struct codec_ctx *ctx, struct slice whole, const struct batch_header *h, enum record_walk walk, struct errbuf *eb)
{
	must(whole.len == h->size);
	*it = (struct record_iter){ .ctx = ctx, .walk = walk, .header = *h, .batch = whole };
	if (h->magic < 2)
		return (legacy_iter_init(it, eb));
	if (h->record_count < 0) {
		errbuf_set(eb, "a record count of %d", (int)h->record_count);
		return (ERR_MALFORMED);
	}
	if (h->record_count == 0)
		return (OK);
	return (record_iter_open(it, slice_of(whole.p + BATCH_OVERHEAD, whole.len - BATCH_OVERHEAD), eb));
}

/* After the last record nothing may be left. */
static enum err
iter_end(struct record_iter *it, struct errbuf *eb)
{
	enum err e;

	if (it->header.record_count == 0 || it->done)
		return (ERR_NOTFOUND);
	e = it->p != it->end ? OK : iter_refill(it, eb);
	if (e == OK)
		return (malformed(it, eb, "bytes follow the last one"));
	it->done = e == ERR_NOTFOUND;
	return (e);
}

static enum err
iter_length(struct record_iter *it, int32_t *len, struct errbuf *eb)
{
	const uint8_t *p = varint_get(it->p, it->end, len);
	struct crossing c = { it, eb, 5, OK };

	if (LIKELY(p != NULL)) {
		it->p = p;
		return (OK);
	}
	*len = crossing_varint(&c);
	return (c.e);
}

static enum err
iter_record(struct record_iter *it, int32_t len, struct record *r, struct errbuf *eb)
{
	const uint8_t *p = it->p;
	enum err e;

	if (LIKELY(len <= it->end - p)) {
		it->p = p + len;
	} else if (!it->stream) {
		return (ERR_NOTFOUND);
	} else if (it->walk == RECORD_FRAMING) {
		return (record_cross(it, (uint32_t)len, r, eb));
	} else {
		e = record_iter_take(it, (size_t)len, &p, eb);
		if (e != OK)
			return (e);
	}
	return (record_parse(p, p + len, r) ? OK : ERR_MALFORMED);
}

static uint32_t
varint_bytes(int32_t v)	/* of a length >= 0 */
{
	uint32_t x = (uint32_t)v << 1, n = 1;

	while (x >= 0x80) {
		x >>= 7;
		n++;
	}
	return (n);
}

enum err
record_iter_next(struct record_iter *it, struct record *r, struct errbuf *eb)
{
	const struct batch_header *h = &it->header;
	int32_t len;
	enum err e;

	if (h->magic < 2)
		return (legacy_iter_next(it, r, eb));
	if (it->seen >= h->record_count)
		return (iter_end(it, eb));
	e = iter_length(it, &len, eb);
	if (e == OK && len < 0)
		e = ERR_MALFORMED;
	if (e == OK)
		e = iter_record(it, len, r, eb);
	if (UNLIKELY(e == ERR_NOTFOUND))
		return (malformed(it, eb, "the batch ends before it"));
	if (UNLIKELY(e == ERR_MALFORMED))
		return (malformed(it, eb, "its length and its parts do not agree"));
	if (UNLIKELY(e != OK))
		return (e);
	it->seen++;
	r->size = (uint32_t)len + varint_bytes(len);
	r->offset = (int64_t)((uint64_t)h->base_offset + (uint64_t)(int64_t)r->offset_delta);
	r->timestamp = batch_timestamp_type(h) == TIMESTAMP_LOG_APPEND_TIME ? h->max_timestamp :
	    (int64_t)((uint64_t)h->base_timestamp + (uint64_t)r->timestamp_delta);
	return (OK);
}

void
record_iter_fini(struct record_iter *it)
{
	if (it->stream)
		codec_reader_fini(&it->reader);
	it->stream = false;
	if (it->own_ctx)
		codec_ctx_free(it->ctx);
	it->own_ctx = false;
	it->ctx = NULL;
	free(it->gather);
	it->gather = NULL;
	it->gather_room = 0;
}

enum err
record_header_next(struct reader *rd, struct record_header *h)
{
	const uint8_t *p = rd->p;
	int32_t len;

	p = varint_get(p, rd->end, &len);
	h->key = slice_of(p, len < 0 ? 0 : (size_t)len);
	p = len < 0 ? NULL : skip_bytes(p, rd->end, len);
	p = varint_get(p, rd->end, &len);
	h->value = p == NULL || len < 0 ? SLICE_NULL : slice_of(p, (size_t)len);
	p = skip_bytes(p, rd->end, len);
	if (p == NULL) {
		rd->bad = true;
		return (ERR_MALFORMED);
	}
	rd->p = p;
	return (OK);
}
