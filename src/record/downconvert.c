/* SPDX-License-Identifier: Apache-2.0
 *
 * record/downconvert.c - see downconvert.h.
 *
 * A message goes out in four pieces (header, key, length, value), either straight to the output or through the codec of a wrapper.  The checksum
 * stands before what it covers, so it is computed first, over the same pieces.  A wrapper's own header is written last, into room left for it:
 * its offset is the last message's, its time the largest.  Inside, magic 0 keeps absolute offsets, magic 1 counts from the first message.
 */
#include <zlib.h>

#include "base/must.h"
#include "record/codec_int.h"
#include "record/downconvert.h"
#include "record/record.h"

enum {
	HEAD_MAX = BATCH_LOG_OVERHEAD + 4 + 2 + 8 + 4,	/* up to and with the key's length */
	LENGTH_BYTES = 4
};

struct conversion {
	struct codec_ctx   *ctx;
	struct codec_out   *out;
	struct errbuf	   *eb;
	int64_t		    first_offset;
	int8_t		    magic;
	/* of the batch at hand */
	enum codec	    codec;
	bool		    append_time;
	struct codec_writer writer;
	bool		    open;		/* the writer, at the first record of a compressed batch */
	size_t		    start;		/* where this batch begins in *out */
	uint32_t	    n;
	int64_t		    base_offset, last_offset, max_timestamp;
};

static size_t
message_overhead(int8_t magic)
{
	return (magic == 0 ? LEGACY_V0_OVERHEAD : LEGACY_V1_OVERHEAD);
}

static enum err
put(struct conversion *c, const void *p, size_t n)
{
	if (n == 0)
		return (OK);
	return (c->open ? codec_writer_put(&c->writer, p, n) : codec_out_put(c->out, p, n));
}

/* ---- one message ---- */

static int32_t
length_of(struct slice s)
{
	return (s.p == NULL ? -1 : (int32_t)s.len);
}

static uint32_t
crc_of(uint32_t crc, struct slice s)
{
	return (s.len == 0 ? crc : (uint32_t)crc32_z(crc, s.p, s.len));
}

/* Everything before the key; the checksum covers what lies behind it, key and value included. */
static size_t
message_head(const struct conversion *c, uint8_t head[static HEAD_MAX], int64_t offset, size_t size, uint8_t attributes, int64_t timestamp, struct slice key)
{
	struct writer w = writer_of(head, HEAD_MAX);

	wr_i64(&w, offset);
	wr_i32(&w, (int32_t)(size - BATCH_LOG_OVERHEAD));
	wr_i32(&w, 0);
	wr_i8(&w, c->magic);
	wr_i8(&w, (int8_t)attributes);
	if (c->magic > 0)
		wr_i64(&w, timestamp);
	wr_i32(&w, length_of(key));
	return (wr_len(&w));
}

static enum err
put_message(struct conversion *c, int64_t offset, int64_t timestamp, struct slice key, struct slice value)
{
	uint8_t head[HEAD_MAX], length[LENGTH_BYTES];
	size_t n, size = message_overhead(c->magic) + key.len + value.len;
	uint32_t crc;
	enum err e;

	if (size > INT32_MAX)
		return (ERR_LIMIT);
	n = message_head(c, head, offset, size, c->magic > 0 && c->append_time ? BATCH_ATTR_APPEND_TIME : 0, timestamp, key);
	be32enc(length, (uint32_t)length_of(value));
	crc = crc_of(0, slice_of(head + LEGACY_MAGIC, n - LEGACY_MAGIC));
	crc = crc_of(crc_of(crc_of(crc, key), slice_of(length, sizeof(length))), value);
	be32enc(head + LEGACY_CRC, crc);
	e = put(c, head, n);
	if (e == OK)
		e = put(c, key.p, key.len);
	if (e == OK)
		e = put(c, length, sizeof(length));
	return (e == OK ? put(c, value.p, value.len) : e);
}

/* ---- a wrapper ---- */

static enum err
wrapper_begin(struct conversion *c)
{
	static const uint8_t room[LEGACY_V1_OVERHEAD];
	enum err e = codec_out_put(c->out, room, message_overhead(c->magic));

	if (e == OK)
		e = codec_writer_init(&c->writer, c->ctx, c->codec, CODEC_LEVEL_DEFAULT, c->magic, c->out, c->eb);
	c->open = e == OK;
	return (e);
}

static enum err
wrapper_end(struct conversion *c)
{
	size_t n, size, overhead = message_overhead(c->magic);
	uint8_t *p, attributes = (uint8_t)c->codec;
	enum err e;

	c->open = false;
	e = codec_writer_finish(&c->writer);
	if (e != OK)
		return (e);
	p = c->out->p + c->start;
	size = c->out->len - c->start;
	if (c->magic > 0 && c->append_time)
		attributes |= BATCH_ATTR_APPEND_TIME;
	n = message_head(c, p, c->last_offset, size, attributes, c->max_timestamp, SLICE_NULL);
	be32enc(p + n, (uint32_t)(size - overhead));
	be32enc(p + LEGACY_CRC, crc_of(0, slice_of(p + LEGACY_MAGIC, size - LEGACY_MAGIC)));
	return (OK);
}

/* ---- a batch ---- */

static enum err
record_refused(struct conversion *c, const struct record *r, const char *why)
{
	errbuf_set(c->eb, "offset %lld: %s", (long long)r->offset, why);
	return (ERR_INVALID);
}

static enum err
convert_record(struct conversion *c, const struct record *r)
{
	bool wrapped = c->codec != CODEC_NONE;
	enum err e = OK;

	if (!wrapped && r->offset < c->first_offset)
		return (OK);
	if (c->n == 0) {
		c->base_offset = r->offset;
		e = wrapped ? wrapper_begin(c) : OK;
	} else if (r->offset <= c->last_offset || (uint64_t)r->offset - (uint64_t)c->base_offset > INT32_MAX)
		return (record_refused(c, r, "does not follow the one before it"));
	if (r->timestamp < 0 && r->timestamp != BATCH_NO_TIMESTAMP)
		return (record_refused(c, r, "a negative timestamp"));
	if (e == OK)
		e = put_message(c, wrapped && c->magic > 0 ? r->offset - c->base_offset : r->offset, r->timestamp, r->key, r->value);
	c->n++;
	c->last_offset = r->offset;
	c->max_timestamp = MAX(c->max_timestamp, r->timestamp);
	return (e);
}

static enum err
convert_records(struct conversion *c, struct slice whole, const struct batch_header *h)
{
	struct record_iter it;
	struct record r;
	enum err e = record_iter_init(&it, c->ctx, whole, h, RECORD_FULL, c->eb);

	while (e == OK && (e = record_iter_next(&it, &r, c->eb)) == OK)
		e = convert_record(c, &r);
	record_iter_fini(&it);
	if (e == ERR_NOTFOUND)
		e = c->open ? wrapper_end(c) : OK;
	if (c->open)
		codec_writer_abort(&c->writer);
	c->open = false;
	return (e);
}

static enum err
zstd_refused(struct errbuf *eb)
{
	errbuf_set(eb, "a batch compressed with zstd, which formats before 2 do not know");
	return (ERR_UNSUPPORTED);
}

static enum err
convert_batch(struct conversion *c, struct slice whole, const struct batch_header *h)
{
	if (batch_is_control(h))
		return (OK);
	if (batch_codec(h) == CODEC_ZSTD)
		return (zstd_refused(c->eb));
	if (h->magic <= c->magic)
		return (codec_out_put(c->out, whole.p, whole.len));
	c->codec = batch_codec(h);
	c->append_time = batch_timestamp_type(h) == TIMESTAMP_LOG_APPEND_TIME;
	c->start = c->out->len;
	c->n = 0;
	c->max_timestamp = BATCH_NO_TIMESTAMP;
	return (convert_records(c, whole, h));
}

/* Kafka reads all batches before it writes any, so that zstd in a later one comes before a record that cannot be written. */
static enum err
failed(struct batch_iter it, enum err e, struct errbuf *eb)
{
	struct batch_header h;
	struct slice whole;

	while (e == ERR_INVALID && batch_iter_next(&it, &h, &whole) == OK)
		if (!batch_is_control(&h) && batch_codec(&h) == CODEC_ZSTD)
			return (zstd_refused(eb));
	if (e == ERR_CORRUPT && eb->text[0] == '\0')
		errbuf_set(eb, "what stands there is no batch");
	return (e);
}

enum err
record_downconvert(struct codec_ctx *ctx, struct slice batches, int8_t to_magic, int64_t first_offset, struct codec_out *out, struct errbuf *eb)
{
	struct conversion c = { .ctx = ctx, .out = out, .eb = eb, .magic = to_magic, .first_offset = first_offset };
	struct batch_iter it = batch_iter_of(batches);
	size_t before = out->len;
	struct batch_header h;
	struct slice whole;
	enum err e;

	must(to_magic == 0 || to_magic == 1);
	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		e = convert_batch(&c, whole, &h);
		if (e != OK)
			break;
	}
	if (e == ERR_NOTFOUND || e == ERR_AGAIN)
		return (OK);
	out->len = before;
	return (failed(it, e, eb));
}
