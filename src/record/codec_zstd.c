/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec_zstd.c - zstd frames, one after another, through libzstd's streams.
 *
 * A frame may ask for a window; zstd-jni, and so every Java consumer, grants 128 MiB.  The context keeps its window between batches unless it
 * has grown large.  What follows a frame must be another frame: garbage behind it is an error, as in Java.
 */
#include <zstd.h>

#include "record/codec_int.h"

enum { ZSTD_WINDOW_LOG = 27, ZSTD_KEEP = 16 << 20, ZSTD_DEFAULT_LEVEL = 3 };

enum { ZSTD_BETWEEN_FRAMES = 1 };	/* state: the last frame is complete */

static enum err
zstd_bad(struct errbuf *eb, const char *why)
{
	errbuf_set(eb, "zstd: %s", why);
	return (ERR_CORRUPT);
}

static enum err
zstd_open(struct codec_reader *r, struct errbuf *eb UNUSED)
{
	if (r->ctx->zstd_in == NULL) {
		r->ctx->zstd_in = ZSTD_createDCtx();
		if (r->ctx->zstd_in == NULL)
			return (ERR_NOMEM);
	}
	(void)ZSTD_DCtx_reset(r->ctx->zstd_in, ZSTD_reset_session_only);
	r->state = ZSTD_BETWEEN_FRAMES;		/* no frame at all is an empty stream */
	(void)ZSTD_DCtx_setParameter(r->ctx->zstd_in, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	return (codec_buf_room(&r->ctx->in[CODEC_ZSTD], CODEC_WINDOW));
}

static enum err
zstd_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb)
{
	ZSTD_outBuffer out = { r->ctx->in[CODEC_ZSTD].p, CODEC_WINDOW, 0 };
	ZSTD_inBuffer in = { r->in.p, r->in.len, 0 };
	size_t rc, before;

	while (out.pos == 0) {
		if (in.pos == in.size && r->state == ZSTD_BETWEEN_FRAMES)
			break;
		before = in.pos;
		rc = ZSTD_decompressStream(r->ctx->zstd_in, &out, &in);
		if (ZSTD_isError(rc))
			return (zstd_bad(eb, ZSTD_getErrorName(rc)));
		r->state = rc == 0 ? ZSTD_BETWEEN_FRAMES : 0;
		if (out.pos == 0 && rc != 0 && in.pos == in.size && in.pos == before)
			return (zstd_bad(eb, "the stream is cut short"));
	}
	r->in.p += in.pos;
	r->in.len -= in.pos;
	*piece = slice_of(r->ctx->in[CODEC_ZSTD].p, out.pos);
	return (OK);
}

static enum err
zstd_begin(struct codec_writer *w, struct errbuf *eb UNUSED)
{
	if (w->ctx->zstd_out == NULL) {
		w->ctx->zstd_out = ZSTD_createCCtx();
		if (w->ctx->zstd_out == NULL)
			return (ERR_NOMEM);
	}
	(void)ZSTD_CCtx_reset(w->ctx->zstd_out, ZSTD_reset_session_and_parameters);
	(void)ZSTD_CCtx_setParameter(w->ctx->zstd_out, ZSTD_c_compressionLevel, w->level);
	return (OK);
}

/* Feeds `in` and writes what comes out, 8 KiB of room at a time, less near the cap. */
static enum err
zstd_feed(struct codec_writer *w, ZSTD_inBuffer *in, ZSTD_EndDirective how)
{
	struct codec_out *o = w->out;
	ZSTD_outBuffer out;
	size_t left, room;

	do {
		room = MIN(o->cap - o->len, (size_t)8192);
		out = (ZSTD_outBuffer){ codec_out_room(o, room), room, 0 };
		if (room == 0 || out.dst == NULL)
			return (ERR_LIMIT);
		left = ZSTD_compressStream2(w->ctx->zstd_out, &out, in, how);
		if (ZSTD_isError(left))
			return (ERR_INVALID);
		o->len += out.pos;
	} while (how == ZSTD_e_end ? left > 0 : in->pos < in->size);
	return (OK);
}

static enum err
zstd_put(struct codec_writer *w, const uint8_t *p, size_t len)
{
	ZSTD_inBuffer in = { p, len, 0 };

	return (zstd_feed(w, &in, ZSTD_e_continue));
}

static enum err
zstd_finish(struct codec_writer *w)
{
	ZSTD_inBuffer in = { NULL, 0, 0 };

	return (zstd_feed(w, &in, ZSTD_e_end));
}

void
codec_zstd_reader_trim(struct codec_ctx *ctx)
{
	if (ctx->zstd_in != NULL && ZSTD_sizeof_DCtx(ctx->zstd_in) > ZSTD_KEEP) {
		ZSTD_freeDCtx(ctx->zstd_in);
		ctx->zstd_in = NULL;
	}
}

void
codec_zstd_ctx_free(struct codec_ctx *ctx)
{
	ZSTD_freeDCtx(ctx->zstd_in);
	ZSTD_freeCCtx(ctx->zstd_out);
}

const struct codec_ops codec_zstd_ops = {
	.open = zstd_open, .next = zstd_next, .begin = zstd_begin, .put = zstd_put, .finish = zstd_finish,
	.level_default = ZSTD_DEFAULT_LEVEL, .level_min = -131072, .level_max = 22,
};
