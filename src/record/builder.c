/* SPDX-License-Identifier: Apache-2.0
 *
 * record/builder.c - building batches of magic 2, as Kafka's MemoryRecordsBuilder does.
 *
 * The output begins with 61 bytes kept free for the header; each record goes through the codec as it comes; finish() closes the stream, writes
 * the header in front and the checksum over all.  The base timestamp is the first record's, the maximum the largest of all (-1 if none has one),
 * or the append time.  `broken` after a failed write: what is in the stream then is not a batch.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "record/codec_int.h"
#include "record/record.h"

enum { RECORD_HEAD_MAX = 5 + 1 + 10 + 5 + 5, VARINT_MAX = 5 };

struct batch_builder {
	struct batch_builder_options o;
	struct codec_ctx   *ctx;
	bool		    own_ctx, open, broken;
	struct codec_out    out;
	struct codec_writer writer;
	int32_t		    count;
	int64_t		    last_offset;
	int64_t		    base_timestamp, max_timestamp;
	size_t		    plain;	/* bytes of records before compression */
};

static enum err
builder_start(struct batch_builder *b, struct errbuf *eb)
{
	uint8_t *space;
	enum err e;

	b->out.cap = MIN(b->o.bytes_max, (size_t)INT32_MAX);
	space = codec_out_room(&b->out, MAX(MIN(b->o.bytes_likely, b->out.cap), (size_t)BATCH_OVERHEAD));
	if (space == NULL) {
		errbuf_set(eb, "no room for a batch header in %zu bytes", b->o.bytes_max);
		return (ERR_LIMIT);
	}
	memset(space, 0, BATCH_OVERHEAD);
	b->out.len = BATCH_OVERHEAD;
	e = codec_writer_init(&b->writer, b->ctx, b->o.codec, b->o.level, 2, &b->out, eb);
	b->open = e == OK;
	return (e);
}

struct batch_builder *
batch_builder_new(struct codec_ctx *ctx, const struct batch_builder_options *o, struct errbuf *eb)
{
	struct batch_builder *b = xcalloc(1, sizeof(*b));

	b->o = *o;
	b->ctx = ctx;
	b->max_timestamp = BATCH_NO_TIMESTAMP;
	b->last_offset = o->base_offset - 1;
	if (ctx == NULL) {
		b->ctx = codec_ctx_new();
		b->own_ctx = true;
	}
	if (builder_start(b, eb) == OK)
		return (b);
	batch_builder_free(b);
	return (NULL);
}

void
batch_builder_free(struct batch_builder *b)
{
	if (b == NULL)
		return;
	if (b->open)
		codec_writer_abort(&b->writer);
	if (b->own_ctx)
		codec_ctx_free(b->ctx);
	free(b->out.p);
	free(b);
}

int32_t
batch_builder_count(const struct batch_builder *b)
{
	return (b->count);
}

size_t
batch_builder_bytes(const struct batch_builder *b)
{
	return (BATCH_OVERHEAD + b->plain);
}

/* ---- a record ---- */

struct parts {		/* of the record being written */
	int64_t	     timestamp_delta;
	int32_t	     offset_delta;
	struct slice key, value;
	const struct record_header *headers;
	size_t	     n_headers;
};

static uint64_t
field_size(struct slice s)
{
	return (s.p == NULL ? 1 : (uint64_t)varint_size((int32_t)s.len) + s.len);
}

/* What the record's length field says; beyond INT32_MAX: too large. */
static uint64_t
body_size(const struct parts *p)
{
	uint64_t n = 1 + varlong_size(p->timestamp_delta) + varint_size(p->offset_delta) + field_size(p->key) + field_size(p->value);

	n += varint_size((int32_t)p->n_headers);
	for (size_t i = 0; i < p->n_headers; i++)
		n += field_size(p->headers[i].key) + field_size(p->headers[i].value);
	return (n);
}

static enum err
put_field(struct codec_writer *cw, struct slice s)
{
	uint8_t buf[VARINT_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	enum err e;

	wr_varint(&w, s.p == NULL ? -1 : (int32_t)s.len);
	e = codec_writer_put(cw, buf, wr_len(&w));
	return (e != OK ? e : codec_writer_put(cw, s.p, s.p == NULL ? 0 : s.len));
}

static enum err
put_record(struct codec_writer *cw, const struct parts *p, uint32_t size)
{
	uint8_t buf[RECORD_HEAD_MAX];
	struct writer w = writer_of(buf, sizeof(buf));
	enum err e;

	wr_varint(&w, (int32_t)size);
	wr_i8(&w, 0);
	wr_varlong(&w, p->timestamp_delta);
	wr_varint(&w, p->offset_delta);
	e = codec_writer_put(cw, buf, wr_len(&w));
	if (e == OK)
		e = put_field(cw, p->key);
	if (e == OK)
		e = put_field(cw, p->value);
	w = writer_of(buf, sizeof(buf));
	wr_varint(&w, (int32_t)p->n_headers);
	if (e == OK)
		e = codec_writer_put(cw, buf, wr_len(&w));
	for (size_t i = 0; e == OK && i < p->n_headers; i++) {
		e = put_field(cw, p->headers[i].key);
		if (e == OK)
			e = put_field(cw, p->headers[i].value);
	}
	return (e);
}

static uint8_t *
copy_field(uint8_t *p, struct slice s)
{
	size_t n = s.p == NULL ? 0 : s.len;

	p = leb128_put(p, zigzag32(s.p == NULL ? -1 : (int32_t)n));
	if (n > 0)
		memcpy(p, s.p, n);
	return (p + n);
}

/* A record as most are, uncompressed and without headers: in one piece, where put_record passes seven through the codec. */
static enum err
put_plain(struct codec_out *out, const struct parts *p, uint32_t size)
{
	size_t whole = varint_size((int32_t)size) + size;
	uint8_t *room = codec_out_room(out, whole), *at;

	if (room == NULL)
		return (ERR_LIMIT);
	at = leb128_put(room, zigzag32((int32_t)size));
	*at++ = 0;		/* attributes */
	at = leb128_put(at, zigzag64(p->timestamp_delta));
	at = leb128_put(at, zigzag32(p->offset_delta));
	at = copy_field(at, p->key);
	at = copy_field(at, p->value);
	*at++ = 0;		/* headers */
	must((size_t)(at - room) == whole);
	out->len += whole;
	return (OK);
}

static bool
too_long(const struct parts *p)
{
	bool bad = p->key.len > INT32_MAX || p->value.len > INT32_MAX || p->n_headers > INT32_MAX;

	for (size_t i = 0; !bad && i < p->n_headers; i++)
		bad = p->headers[i].key.len > INT32_MAX || p->headers[i].value.len > INT32_MAX;
	return (bad);
}

static bool
acceptable(const struct batch_builder *b, int64_t offset, int64_t timestamp, const struct parts *p)
{
	if (offset <= b->last_offset || offset - b->o.base_offset > INT32_MAX)
		return (false);
	if (timestamp < 0 && timestamp != BATCH_NO_TIMESTAMP)
		return (false);
	for (size_t i = 0; i < p->n_headers; i++) {
		if (p->headers[i].key.p == NULL)
			return (false);
	}
	return (true);
}

enum err
batch_builder_append_at(struct batch_builder *b, int64_t offset, int64_t timestamp, struct slice key, struct slice value,
    const struct record_header *headers, size_t n_headers)
{
	struct parts p = { .key = key, .value = value, .headers = headers, .n_headers = n_headers };
	uint64_t size;
	enum err e;

	must(b->open && !b->broken);
	if (!acceptable(b, offset, timestamp, &p))
		return (ERR_INVALID);
	if (too_long(&p) || b->count == INT32_MAX)
		return (ERR_LIMIT);
	if (b->count == 0)
		b->base_timestamp = timestamp;
	p.timestamp_delta = (int64_t)((uint64_t)timestamp - (uint64_t)b->base_timestamp);
	p.offset_delta = (int32_t)(offset - b->o.base_offset);
	size = body_size(&p);
	if (size > INT32_MAX)
		return (ERR_LIMIT);
	e = b->o.codec == CODEC_NONE && n_headers == 0 ? put_plain(&b->out, &p, (uint32_t)size) : put_record(&b->writer, &p, (uint32_t)size);
	if (e != OK) {
		b->broken = true;
		return (e);
	}
	b->count++;
	b->last_offset = offset;
	b->plain += size + varint_size((int32_t)size);
	b->max_timestamp = MAX(b->max_timestamp, timestamp);
	return (OK);
}

enum err
batch_builder_append(struct batch_builder *b, int64_t timestamp, struct slice key, struct slice value, const struct record_header *headers, size_t n)
{
	return (batch_builder_append_at(b, b->last_offset + 1, timestamp, key, value, headers, n));
}

/* ---- the end ---- */

static void
builder_header(const struct batch_builder *b, struct batch_header *h)
{
	const struct batch_builder_options *o = &b->o;
	bool append_time = o->timestamp_type == TIMESTAMP_LOG_APPEND_TIME;
	uint16_t attributes = (uint16_t)o->codec;

	attributes |= append_time ? BATCH_ATTR_APPEND_TIME : 0;
	attributes |= o->transactional ? BATCH_ATTR_TRANSACTIONAL : 0;
	attributes |= o->control ? BATCH_ATTR_CONTROL : 0;
	*h = (struct batch_header){ .base_offset = o->base_offset, .size = (uint32_t)b->out.len, .leader_epoch = o->leader_epoch,
	    .attributes = attributes, .last_offset_delta = (int32_t)(b->last_offset - o->base_offset), .base_timestamp = b->base_timestamp,
	    .max_timestamp = append_time ? o->log_append_time_ms : b->max_timestamp, .producer_id = o->producer_id,
	    .producer_epoch = o->producer_epoch, .base_sequence = o->base_sequence, .record_count = b->count };
}

static bool
producer_makes_sense(const struct batch_builder_options *o)
{
	if (o->producer_id == BATCH_NO_PRODUCER)
		return (!o->transactional);
	return (o->producer_epoch != BATCH_NO_EPOCH && (o->base_sequence >= 0 || o->control));
}

enum err
batch_builder_finish(struct batch_builder *b, uint8_t **bytes, size_t *size, struct batch_header *h)
{
	struct batch_header mine;
	enum err e;

	must(b->open && !b->broken);
	if (b->count == 0 || !producer_makes_sense(&b->o))
		return (ERR_INVALID);
	b->open = false;
	e = codec_writer_finish(&b->writer);
	if (e != OK)
		return (e);
	builder_header(b, &mine);
	batch_header_encode(b->out.p, &mine);
	*bytes = b->out.p;
	*size = b->out.len;
	b->out.p = NULL;
	if (h != NULL)
		*h = mine;
	return (OK);
}
