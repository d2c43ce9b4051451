/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec_gzip.c - RFC 1952 through zlib.
 *
 * Java's GZIPInputStream reads several members one after another, checks each trailer, and takes what follows a member and is no member
 * for the end: so do we.
 */
#include <limits.h>
#include <string.h>

#include "record/codec_int.h"

enum { GZIP_WRAP = 16, GZIP_BITS = 15, GZIP_MEMBER_MIN = 18 };

enum { GZIP_OPEN, GZIP_ENDED, GZIP_BAD_TRAILER };	/* state */

static enum err
gzip_zlib_error(const z_stream *z, int rc, struct errbuf *eb)
{
	if (rc == Z_MEM_ERROR)
		return (ERR_NOMEM);
	errbuf_set(eb, "gzip: %s", z->msg != NULL ? z->msg : "the stream is cut short");
	return (ERR_CORRUPT);
}

static enum err
gzip_open(struct codec_reader *r, struct errbuf *eb)
{
	z_stream *z = &r->ctx->inflate;
	int rc;

	if (r->ctx->inflate_ready)
		rc = inflateReset(z);
	else
		rc = inflateInit2(z, GZIP_BITS + GZIP_WRAP);
	if (rc != Z_OK)
		return (gzip_zlib_error(z, rc, eb));
	r->ctx->inflate_ready = true;
	return (codec_buf_room(&r->ctx->in[CODEC_GZIP], CODEC_WINDOW));
}

static bool
gzip_another_member(struct codec_reader *r)
{
	return (r->in.len >= GZIP_MEMBER_MIN && r->in.p[0] == 0x1f && r->in.p[1] == 0x8b && r->in.p[2] == Z_DEFLATED &&
	    inflateReset(&r->ctx->inflate) == Z_OK);
}

static bool
gzip_bad_trailer(const z_stream *z, int rc)
{
	return (rc == Z_DATA_ERROR && z->msg != NULL && strncmp(z->msg, "incorrect ", 10) == 0 && strstr(z->msg, "header") == NULL);
}

static enum err
gzip_next(struct codec_reader *r, struct slice *piece, struct errbuf *eb)
{
	z_stream *z = &r->ctx->inflate;
	struct codec_buf *b = &r->ctx->in[CODEC_GZIP];
	size_t given;
	int rc;

	if (r->state == GZIP_BAD_TRAILER)
		return (gzip_zlib_error(z, Z_DATA_ERROR, eb));
	if (r->state == GZIP_ENDED)
		return (OK);
	z->next_out = b->p;
	z->avail_out = CODEC_WINDOW;
	while (z->avail_out == CODEC_WINDOW) {
		given = MIN(r->in.len, (size_t)INT_MAX);
		z->next_in = (uint8_t *)(uintptr_t)r->in.p;
		z->avail_in = (unsigned)given;
		rc = inflate(z, Z_NO_FLUSH);
		given -= z->avail_in;
		r->in.p += given;
		r->in.len -= given;
		if (rc == Z_STREAM_END && !gzip_another_member(r)) {
			r->state = GZIP_ENDED;
			break;
		}
		if (gzip_bad_trailer(z, rc) && z->avail_out < CODEC_WINDOW) {	/* the bytes before it come first, as in Java */
			r->state = GZIP_BAD_TRAILER;
			break;
		}
		if (rc != Z_OK && rc != Z_STREAM_END)
			return (gzip_zlib_error(z, rc, eb));
	}
	*piece = slice_of(b->p, CODEC_WINDOW - z->avail_out);
	return (OK);
}

static enum err
gzip_begin(struct codec_writer *w, struct errbuf *eb)
{
	z_stream *z = &w->ctx->deflate;
	int rc;

	if (w->ctx->deflate_ready && w->ctx->deflate_level != w->level) {
		(void)deflateEnd(z);
		w->ctx->deflate_ready = false;
	}
	if (w->ctx->deflate_ready)
		rc = deflateReset(z);
	else
		rc = deflateInit2(z, w->level, Z_DEFLATED, GZIP_BITS + GZIP_WRAP, 8, Z_DEFAULT_STRATEGY);
	if (rc != Z_OK)
		return (gzip_zlib_error(z, rc, eb));
	w->ctx->deflate_ready = true;
	w->ctx->deflate_level = w->level;
	return (OK);
}

/* Runs deflate until it has taken all input (and, with Z_FINISH, ended its stream), making room 8 KiB at a time, less near the cap. */
static enum err
gzip_deflate(struct codec_writer *w, int flush)
{
	z_stream *z = &w->ctx->deflate;
	struct codec_out *o = w->out;
	size_t room;
	int rc;

	do {
		room = MIN(o->cap - o->len, (size_t)8192);
		z->next_out = codec_out_room(o, room);
		if (room == 0 || z->next_out == NULL)
			return (ERR_LIMIT);
		z->avail_out = (unsigned)room;
		rc = deflate(z, flush);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return (ERR_INVALID);
		o->len += room - z->avail_out;
	} while (flush == Z_FINISH ? rc != Z_STREAM_END : z->avail_in > 0);
	return (OK);
}

static enum err
gzip_put(struct codec_writer *w, const uint8_t *p, size_t len)
{
	enum err e = OK;
	size_t n;

	for (; len > 0 && e == OK; p += n, len -= n) {
		n = MIN(len, (size_t)INT_MAX);
		w->ctx->deflate.next_in = (uint8_t *)(uintptr_t)p;
		w->ctx->deflate.avail_in = (unsigned)n;
		e = gzip_deflate(w, Z_NO_FLUSH);
	}
	return (e);
}

static enum err
gzip_finish(struct codec_writer *w)
{
	w->ctx->deflate.next_in = NULL;
	w->ctx->deflate.avail_in = 0;
	return (gzip_deflate(w, Z_FINISH));
}

const struct codec_ops codec_gzip_ops = {
	.open = gzip_open, .next = gzip_next, .begin = gzip_begin, .put = gzip_put, .finish = gzip_finish,
	.level_default = Z_DEFAULT_COMPRESSION, .level_min = 1, .level_max = 9,
};
