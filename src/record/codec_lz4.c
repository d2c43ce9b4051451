/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec_lz4.c - lz4 frames, read with the rules of Kafka's Lz4BlockInputStream and written with the header of its writer.
 *
 * Frame, little-endian: magic u32, FLG, BD, [content size u64], HC = second byte of xxh32(FLG..content size); blocks: u32 length (bit 31: stored),
 * bytes, [xxh32 of the bytes]; a length of 0 ends; [xxh32 of the content].  Kafka's reader wants independent blocks, checks HC and block checksums,
 * leaves the content checksum alone and does not look behind the end mark.  Magic 0 batches carry an HC over magic, FLG and BD, which their readers
 * ignore.  Blocks are at most 4 MiB, so a frame is inflated with one block buffer.
 *
 * We walk the frame ourselves, with liblz4 for the blocks only: its own frame reader accepts dependent blocks, which every Java consumer would choke on.
 */
#include <stdlib.h>

#include <lz4.h>
#include <lz4hc.h>

#include "base/alloc.h"
#include "record/codec_int.h"

enum {
	LZ4_MAGIC	= 0x184d2204,
	LZ4_HEAD_MIN	= 6,
	LZ4_FLG		= 0x60,		/* version 01, independent blocks */
	LZ4_BD		= 0x40,		/* blocks of 64 KiB */
	LZ4_BLOCK	= 64 << 10,
	LZ4_FLG_SIZE	= 0x08,		/* bits of FLG */
	LZ4_FLG_CONTENT	= 0x04,
	LZ4_FLG_BLOCK	= 0x10,
	LZ4_FAST_LEVEL	= 9
};
#define LZ4_STORED	0x80000000u

static enum err
lz4_bad(struct errbuf *eb, const char *why)
{
	errbuf_set(eb, "lz4: %s", why);
	return (ERR_CORRUPT);
}

static uint8_t
lz4_header_checksum(const uint8_t *p, size_t len)
{
	return ((uint8_t)(xxh32(p, len) >> 8));
}

static enum err
lz4_open(struct codec_reader *r, struct errbuf *eb)
{
	const uint8_t *p = r->in.p;
	size_t described;

	if (r->in.len < LZ4_HEAD_MIN || le32dec(p) != LZ4_MAGIC)
		return (lz4_bad(eb, "no frame begins here"));
	if ((p[4] & 0xc3) != 0x40 || (p[5] & 0x8f) != 0 || (p[5] >> 4) < 4)
		return (lz4_bad(eb, "a frame descriptor of another format"));
	if ((p[4] & 0x20) == 0)
		return (lz4_bad(eb, "blocks that depend on each other, which Kafka does not read"));
	described = p[4] & LZ4_FLG_SIZE ? 10 : 2;
	if (r->in.len < 4 + described + 1)
		return (lz4_bad(eb, "the frame descriptor is cut short"));
	if (r->magic != 0 && p[4 + described] != lz4_header_checksum(p + 4, described))
		return (lz4_bad(eb, "the frame descriptor's checksum is wrong"));
	r->flags = p[4];
	r->block_max = (size_t)1 << (2 * (p[5] >> 4) + 8);
	r->in.p += 4 + described + 1;
	r->in.len -= 4 + described + 1;
	return (codec_buf_room(&r->ctx->in[CODEC_LZ4], r->block_max));
}

static enum err
lz4_block(struct codec_reader *r, const uint8_t *p, size_t len, bool stored, struct slice *piece, struct errbuf *eb)
{
	struct codec_buf *b = &r->ctx->in[CODEC_LZ4];
	int out;

	if (r->flags & LZ4_FLG_BLOCK && le32dec(p + len) != xxh32(p, len))
		return (lz4_bad(eb, "a block's checksum is wrong"));
	if (stored) {
		*piece = slice_of(p, len);
		return (OK);
	}
	out = LZ4_decompress_safe((const char *)p, (char *)b->p, (int)len, (int)r->block_max);
	if (out < 0)
		return (lz4_bad(eb, "a damaged block"));
	*piece = slice_of(b->p, (size_t)out);
	return (OK);
}

static enum err
lz4_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb)
{
	size_t tail = r->flags & LZ4_FLG_BLOCK ? 4 : 0, len;
	const uint8_t *p;
	uint32_t word;
	enum err e;

	while (piece->len == 0) {
		if (r->in.len < 4)
			return (lz4_bad(eb, "the frame is cut short"));
		word = le32dec(r->in.p);
		len = word & ~LZ4_STORED;
		p = r->in.p + 4;
		if (len == 0) {
			if (r->flags & LZ4_FLG_CONTENT && r->in.len < 8)
				return (lz4_bad(eb, "the content checksum is cut short"));
			return (OK);
		}
		if (len > r->block_max || r->in.len - 4 < len + tail)
			return (lz4_bad(eb, "a block longer than the frame"));
		r->in.p += 4 + len + tail;
		r->in.len -= 4 + len + tail;
		e = lz4_block(r, p, len, word & LZ4_STORED, piece, eb);
		if (e != OK)
			return (e);
	}
	return (OK);
}

static enum err
lz4_begin(struct codec_writer *w, struct errbuf *eb UNUSED)
{
	uint8_t head[7];

	w->pending_len = 0;
	if (codec_buf_room(&w->ctx->pending[CODEC_LZ4], LZ4_BLOCK) != OK || codec_buf_room(&w->ctx->packed, LZ4_COMPRESSBOUND(LZ4_BLOCK)) != OK)
		return (ERR_NOMEM);
	w->pending = w->ctx->pending[CODEC_LZ4].p;
	if (w->level == LZ4_FAST_LEVEL && w->ctx->lz4_fast == NULL)
		w->ctx->lz4_fast = xmalloc((size_t)LZ4_sizeofState());
	if (w->level != LZ4_FAST_LEVEL && w->ctx->lz4_hc == NULL)
		w->ctx->lz4_hc = xmalloc((size_t)LZ4_sizeofStateHC());
	le32enc(head, LZ4_MAGIC);
	head[4] = LZ4_FLG;
	head[5] = LZ4_BD;
	head[6] = w->magic == 0 ? lz4_header_checksum(head, 6) : lz4_header_checksum(head + 4, 2);
	return (codec_out_put(w->out, head, sizeof(head)));
}

static int
lz4_pack(struct codec_writer *w, const uint8_t *p, size_t len)
{
	struct codec_buf *b = &w->ctx->packed;

	if (w->level == LZ4_FAST_LEVEL)
		return (LZ4_compress_fast_extState(w->ctx->lz4_fast, (const char *)p, (char *)b->p, (int)len, (int)b->room, 1));
	return (LZ4_compress_HC_extStateHC(w->ctx->lz4_hc, (const char *)p, (char *)b->p, (int)len, (int)b->room, w->level));
}

static enum err
lz4_write_block(struct codec_writer *w, const uint8_t *p, size_t len)
{
	int packed = lz4_pack(w, p, len);
	uint8_t head[4];

	if (packed <= 0)
		return (ERR_INVALID);
	if ((size_t)packed >= len) {
		le32enc(head, (uint32_t)len | LZ4_STORED);
	} else {
		le32enc(head, (uint32_t)packed);
		p = w->ctx->packed.p;
		len = (size_t)packed;
	}
	if (codec_out_put(w->out, head, sizeof(head)) != OK)
		return (ERR_LIMIT);
	return (codec_out_put(w->out, p, len));
}

static enum err
lz4_put(struct codec_writer *w, const uint8_t *p, size_t len)
{
	return (codec_blocks_put(w, p, len, LZ4_BLOCK, lz4_write_block));
}

static enum err
lz4_finish(struct codec_writer *w)
{
	static const uint8_t end_mark[4];
	enum err e = w->pending_len == 0 ? OK : lz4_write_block(w, w->pending, w->pending_len);

	return (e != OK ? e : codec_out_put(w->out, end_mark, sizeof(end_mark)));
}

void
codec_lz4_ctx_free(struct codec_ctx *ctx)
{
	free(ctx->lz4_fast);
	free(ctx->lz4_hc);
}

const struct codec_ops codec_lz4_ops = {
	.open = lz4_open, .next = lz4_next, .begin = lz4_begin, .put = lz4_put, .finish = lz4_finish,
	.level_default = LZ4_FAST_LEVEL, .level_min = 1, .level_max = 17,
};
