/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec.c - the table of codecs and what they have in common.
 *
 * A reader hands out pieces of its context's buffer for that codec, so a context serves one open reader per codec; `reading` and `writing`
 * hold a bit for each and make a second one a bug that shows at once.  Every limit on what comes out is enforced here, in one place,
 * whatever the codec says of itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "record/codec_int.h"

static const struct codec_row {
	const char *name;
	const struct codec_ops *ops;	/* NULL: left out of this build */
} codecs[CODEC_COUNT_] = {
	[CODEC_NONE]   = { "none",   &codec_none_ops },
	[CODEC_GZIP]   = { "gzip",   &codec_gzip_ops },
	[CODEC_SNAPPY] = { "snappy", &codec_snappy_ops },
	[CODEC_LZ4]    = { "lz4",
#ifdef HAVE_LZ4
	    &codec_lz4_ops
#endif
	},
	[CODEC_ZSTD]   = { "zstd",
#ifdef HAVE_ZSTD
	    &codec_zstd_ops
#endif
	},
};

static bool
codec_known(enum codec c)
{
	return ((unsigned)c < CODEC_COUNT_);
}

const char *
codec_name(enum codec c)
{
	return (codec_known(c) ? codecs[c].name : "?");
}

bool
codec_from_name(const char *name, enum codec *c)
{
	for (unsigned i = 0; i < CODEC_COUNT_; i++) {
		if (strcmp(name, codecs[i].name) == 0) {
			*c = (enum codec)i;
			return (true);
		}
	}
	return (false);
}

bool
codec_built_in(enum codec c)
{
	return (codec_known(c) && codecs[c].ops != NULL);
}

bool
codec_level_ok(enum codec c, int level)
{
	const struct codec_ops *ops = codec_known(c) ? codecs[c].ops : NULL;

	if (ops == NULL)
		return (false);
	return (level == CODEC_LEVEL_DEFAULT || level == ops->level_default || (level >= ops->level_min && level <= ops->level_max));
}

/* ---- contexts ---- */

struct codec_ctx *
codec_ctx_new(void)
{
	return (xcalloc(1, sizeof(struct codec_ctx)));
}

void
codec_ctx_free(struct codec_ctx *ctx)
{
	if (ctx == NULL)
		return;
	must_zero(ctx->reading);
	must_zero(ctx->writing);
	for (unsigned i = 0; i < CODEC_COUNT_; i++) {
		free(ctx->in[i].p);
		free(ctx->pending[i].p);
	}
	free(ctx->packed.p);
	if (ctx->inflate_ready)
		(void)inflateEnd(&ctx->inflate);
	if (ctx->deflate_ready)
		(void)deflateEnd(&ctx->deflate);
#ifdef HAVE_LZ4
	codec_lz4_ctx_free(ctx);
#endif
#ifdef HAVE_ZSTD
	codec_zstd_ctx_free(ctx);
#endif
	free(ctx);
}

enum err
codec_buf_room(struct codec_buf *b, size_t room)
{
	uint8_t *p;

	if (b->room >= room)
		return (OK);
	p = malloc(room);
	if (p == NULL)
		return (ERR_NOMEM);
	free(b->p);
	b->p = p;
	b->room = room;
	return (OK);
}

static void
codec_buf_trim(struct codec_buf *b)
{
	if (b->room <= CODEC_BUF_KEEP)
		return;
	free(b->p);
	*b = (struct codec_buf){ NULL, 0 };
}

/* ---- reading ---- */

enum err
codec_reader_init(struct codec_reader *r, struct codec_ctx *ctx, enum codec c, int8_t magic, struct slice body, struct errbuf *eb)
{
	enum err e;

	*r = (struct codec_reader){ .codec = c, .in = body, .magic = magic };
	if (!codec_known(c)) {
		errbuf_set(eb, "compression codec %d is unknown", (int)c);
		return (ERR_CORRUPT);
	}
	if (codecs[c].ops == NULL) {
		errbuf_set(eb, "this broker was built without the %s codec", codecs[c].name);
		return (ERR_UNSUPPORTED);
	}
	must((ctx->reading & (1 << c)) == 0);
	ctx->reading |= (uint8_t)(1 << c);
	r->ctx = ctx;
	r->ops = codecs[c].ops;
	e = r->ops->open(r, eb);
	if (e != OK)
		codec_reader_fini(r);
	return (e);
}

enum err
codec_reader_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb)
{
	enum err e;

	*piece = slice_of("", 0);
	if (r->ended)
		return (OK);
	e = r->ops->next(r, piece, eb);
	if (e != OK || piece->len == 0)
		r->ended = true;
	if (e != OK)
		return (e);
	r->out += piece->len;
	if (r->out > LIMIT_DECOMPRESSED_BYTES_MAX) {
		r->ended = true;
		errbuf_set(eb, "the %s stream inflates to more than %d bytes", codec_name(r->codec), LIMIT_DECOMPRESSED_BYTES_MAX);
		return (ERR_LIMIT);
	}
	return (OK);
}

void
codec_reader_fini(struct codec_reader *r)
{
	if (r->ctx == NULL)
		return;
	codec_buf_trim(&r->ctx->in[r->codec]);
#ifdef HAVE_ZSTD
	if (r->codec == CODEC_ZSTD)
		codec_zstd_reader_trim(r->ctx);
#endif
	r->ctx->reading &= (uint8_t)(~(1 << r->codec));
	r->ctx = NULL;
	r->ended = true;
}

/* ---- writing ---- */

enum err
codec_writer_init(struct codec_writer *w, struct codec_ctx *ctx, enum codec c, int level, int8_t magic, struct codec_out *out, struct errbuf *eb)
{
	enum err e;

	*w = (struct codec_writer){ .codec = c, .magic = magic, .out = out };
	if (!codec_built_in(c)) {
		errbuf_set(eb, "this broker was built without the %s codec", codec_name(c));
		return (ERR_UNSUPPORTED);
	}
	if (!codec_level_ok(c, level)) {
		errbuf_set(eb, "%s has no compression level %d", codec_name(c), level);
		return (ERR_INVALID);
	}
	must((ctx->writing & (1 << c)) == 0);
	w->ops = codecs[c].ops;
	w->level = level == CODEC_LEVEL_DEFAULT ? w->ops->level_default : level;
	w->ctx = ctx;
	ctx->writing |= (uint8_t)(1 << c);
	e = w->ops->begin(w, eb);
	if (e != OK)
		codec_writer_abort(w);
	return (e);
}

enum err
codec_writer_put(struct codec_writer *w, const void *p, size_t len)
{
	return (len == 0 ? OK : w->ops->put(w, p, len));
}

enum err
codec_writer_finish(struct codec_writer *w)
{
	enum err e = w->ops->finish(w);

	codec_writer_abort(w);
	return (e);
}

void
codec_writer_abort(struct codec_writer *w)
{
	if (w->ctx == NULL)
		return;
	w->ctx->writing &= (uint8_t)(~(1 << w->codec));
	w->ctx = NULL;
}

/* What grows by halves is copied often while it is small; a batch of a few records fits into what malloc hands out at once (glibc: 1032 bytes). */
enum { OUT_FIRST = 1008, OUT_DOUBLES_BELOW = 65536 };

uint8_t *
codec_out_room(struct codec_out *o, size_t n)
{
	size_t room;
	uint8_t *p;

	if (n > o->cap - o->len)
		return (NULL);
	if (o->room - o->len < n) {
		room = MAX(o->room + (o->room < OUT_DOUBLES_BELOW ? o->room : o->room / 2), o->len + n);
		room = MIN(MAX(room, (size_t)OUT_FIRST), o->cap);
		p = realloc(o->p, room);
		if (p == NULL)
			return (NULL);
		o->p = p;
		o->room = room;
	}
	return (o->p + o->len);
}

enum err
codec_out_put(struct codec_out *o, const void *src, size_t n)
{
	uint8_t *p = codec_out_room(o, n);

	if (p == NULL)
		return (ERR_LIMIT);
	if (n > 0)
		memcpy(p, src, n);
	o->len += n;
	return (OK);
}

enum err
codec_blocks_put(struct codec_writer *w, const uint8_t *p, size_t len, size_t block, enum err (*write)(struct codec_writer *, const uint8_t *, size_t))
{
	enum err e = OK;
	size_t n;

	for (; len > 0 && e == OK; p += n, len -= n) {
		if (w->pending_len == 0 && len >= block) {
			n = block;
			e = write(w, p, block);
			continue;
		}
		n = MIN(len, block - w->pending_len);
		memcpy(w->pending + w->pending_len, p, n);
		w->pending_len += n;
		if (w->pending_len == block) {
			w->pending_len = 0;
			e = write(w, w->pending, block);
		}
	}
	return (e);
}

/* ---- no compression ---- */

static enum err
none_open(struct codec_reader *r UNUSED, struct errbuf *eb UNUSED)
{
	return (OK);
}

static enum err
none_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb UNUSED)
{
	if (r->in.len > 0)
		*piece = r->in;
	r->in.len = 0;
	return (OK);
}

static enum err
none_begin(struct codec_writer *w UNUSED, struct errbuf *eb UNUSED)
{
	return (OK);
}

static enum err
none_put(struct codec_writer *w, const uint8_t *p, size_t len)
{
	return (codec_out_put(w->out, p, len));
}

static enum err
none_finish(struct codec_writer *w UNUSED)
{
	return (OK);
}

const struct codec_ops codec_none_ops = {
	.open = none_open, .next = none_next, .begin = none_begin, .put = none_put, .finish = none_finish,
};
