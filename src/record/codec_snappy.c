/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec_snappy.c - snappy blocks in the xerial framing of snappy-java.
 *
 * Stream: 16 bytes of header (magic, version, lowest compatible version), then chunks: i32 length, one raw snappy block.  Read as
 * SnappyInputStream 1.1.10 reads: a body that does not begin with the magic is one raw block (librdkafka writes those); a header
 * may come again between chunks (streams glued together), and only there is its version looked at; fewer than four bytes behind a chunk end the stream.
 *
 * A raw block cannot be inflated in pieces.  What it claims to inflate to is believed only within what the format can express in its length
 * (a three-byte copy gives 64 bytes) and within LIMIT_SNAPPY_BLOCK_MAX.
 */
#include <string.h>

#include <snappy-c.h>

#include "base/limits.h"
#include "record/codec_int.h"

enum {
	XERIAL_HEADER	= 16,
	XERIAL_VERSION	= 1,
	SNAPPY_BLOCK	= 32 << 10,
	SNAPPY_EXPANSION = 22
};

static const uint8_t xerial_header[XERIAL_HEADER] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, XERIAL_VERSION, 0, 0, 0, XERIAL_VERSION };

enum { SNAPPY_CHUNKS, SNAPPY_RAW, SNAPPY_END };

static enum err
snappy_bad(struct errbuf *eb, const char *why)
{
	errbuf_set(eb, "snappy: %s", why);
	return (ERR_CORRUPT);
}

static bool
xerial_magic_here(struct slice s)
{
	return (s.len >= XERIAL_HEADER && memcmp(s.p, xerial_header, 8) == 0);
}

static enum err
xerial_skip_header(struct codec_reader *r, struct errbuf *eb)
{
	if ((int32_t)be32dec(r->in.p + 8) < XERIAL_VERSION)
		return (snappy_bad(eb, "a framing version that nobody reads"));
	r->in.p += XERIAL_HEADER;
	r->in.len -= XERIAL_HEADER;
	return (OK);
}

static enum err
snappy_open(struct codec_reader *r, struct errbuf *eb)
{
	if (r->in.len == 0)
		return (snappy_bad(eb, "an empty body"));
	if (!xerial_magic_here(r->in)) {
		r->state = SNAPPY_RAW;
		return (OK);
	}
	r->in.p += XERIAL_HEADER;
	r->in.len -= XERIAL_HEADER;
	return (OK);
}

static enum err
snappy_block(struct codec_reader *r, const uint8_t *p, size_t len, struct slice *piece, struct errbuf *eb)
{
	struct codec_buf *b = &r->ctx->in[CODEC_SNAPPY];
	size_t out;

	if (snappy_uncompressed_length((const char *)p, len, &out) != SNAPPY_OK || out > len * SNAPPY_EXPANSION)
		return (snappy_bad(eb, "a block without a believable length"));
	if (out > LIMIT_SNAPPY_BLOCK_MAX) {
		errbuf_set(eb, "snappy: a block of %zu bytes, more than %d", out, LIMIT_SNAPPY_BLOCK_MAX);
		return (ERR_LIMIT);
	}
	if (codec_buf_room(b, MAX(out, (size_t)SNAPPY_BLOCK)) != OK)
		return (ERR_NOMEM);
	if (snappy_uncompress((const char *)p, len, (char *)b->p, &out) != SNAPPY_OK)
		return (snappy_bad(eb, "a damaged block"));
	*piece = slice_of(b->p, out);
	return (OK);
}

/* The next chunk, stepping over headers between chunks.  A null slice: the end. */
static enum err
snappy_chunk(struct codec_reader *r, struct slice *chunk, struct errbuf *eb)
{
	int32_t len;

	*chunk = SLICE_NULL;
	while (r->in.len >= 4) {
		len = (int32_t)be32dec(r->in.p);
		if (memcmp(r->in.p, xerial_header, 4) == 0) {	/* no chunk length can be that: it is negative */
			if (r->in.len < XERIAL_HEADER)
				return (snappy_bad(eb, "a framing header cut short"));
			if (!xerial_magic_here(r->in))
				return (OK);
			if (xerial_skip_header(r, eb) != OK)
				return (ERR_CORRUPT);
			continue;
		}
		if (len < 0 || (size_t)len > r->in.len - 4)
			return (snappy_bad(eb, "a chunk longer than the body"));
		*chunk = slice_of(r->in.p + 4, (size_t)len);
		r->in.p += 4 + len;
		r->in.len -= 4 + (size_t)len;
		return (OK);
	}
	return (OK);
}

static enum err
snappy_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb)
{
	struct slice chunk;
	enum err e;

	if (r->state == SNAPPY_RAW) {
		r->state = SNAPPY_END;
		return (snappy_block(r, r->in.p, r->in.len, piece, eb));
	}
	while (r->state == SNAPPY_CHUNKS && piece->len == 0) {
		e = snappy_chunk(r, &chunk, eb);
		if (e != OK)
			return (e);
		if (chunk.p == NULL)
			break;
		e = snappy_block(r, chunk.p, chunk.len, piece, eb);
		if (e != OK)
			return (e);
	}
	return (OK);
}

static enum err
snappy_begin(struct codec_writer *w, struct errbuf *eb UNUSED)
{
	w->pending_len = 0;
	if (codec_buf_room(&w->ctx->pending[CODEC_SNAPPY], SNAPPY_BLOCK) != OK)
		return (ERR_NOMEM);
	w->pending = w->ctx->pending[CODEC_SNAPPY].p;
	return (codec_out_put(w->out, xerial_header, XERIAL_HEADER));
}

static enum err
snappy_write_block(struct codec_writer *w, const uint8_t *p, size_t len)
{
	struct codec_buf *b = &w->ctx->packed;
	uint8_t head[4];
	size_t out = snappy_max_compressed_length(len);

	if (codec_buf_room(b, out) != OK)
		return (ERR_NOMEM);
	if (snappy_compress((const char *)p, len, (char *)b->p, &out) != SNAPPY_OK)
		return (ERR_INVALID);
	be32enc(head, (uint32_t)out);
	if (codec_out_put(w->out, head, sizeof(head)) != OK)
		return (ERR_LIMIT);
	return (codec_out_put(w->out, b->p, out));
}

static enum err
snappy_put(struct codec_writer *w, const uint8_t *p, size_t len)
{
	return (codec_blocks_put(w, p, len, SNAPPY_BLOCK, snappy_write_block));
}

static enum err
snappy_finish(struct codec_writer *w)
{
	return (w->pending_len == 0 ? OK : snappy_write_block(w, w->pending, w->pending_len));
}

const struct codec_ops codec_snappy_ops = {
	.open = snappy_open, .next = snappy_next, .begin = snappy_begin, .put = snappy_put, .finish = snappy_finish,
};
