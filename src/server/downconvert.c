/* SPDX-License-Identifier: Apache-2.0
 *
 * server/downconvert.c - see downconvert.h.
 *
 * Pieces are cut where Kafka cuts them (as many batches as fit into 128 KiB, at least one), which matters when one of a piece cannot be converted: then
 * none of that piece is sent.
 *
 * Where Java differs: when the first batches vanish (control batches), it sends the first that stays twice; after a failure it can fill 128 KiB only, then
 * the connection breaks; it also breaks when the failure is another than zstd.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "record/batch.h"
#include "record/downconvert.h"
#include "server/downconvert.h"

enum {
	PIECE = 128 << 10,
	FILLER_MIN = BATCH_LOG_OVERHEAD
};

struct lazy {
	struct chain_source source;
	struct file_range range;	/* what is not read yet: pos and len move */
	int8_t	       magic;
	int64_t	       first_offset;
	bool	       ended;		/* fill from here */
	uint64_t       ready;		/* bytes in out that are not given yet: those of the first batch */
	struct codec_out in, out;
};

/* ---- reading batches ---- */

/* Size of the batch `at` bytes behind what is read; ERR_NOTFOUND: no whole one is left. */
static enum err
batch_size(struct lazy *z, uint64_t at, uint32_t *size, struct errbuf *eb)
{
	uint8_t head[BATCH_PEEK_BYTES];
	struct batch_peek peek;
	enum err e;

	if (z->range.len - at <= sizeof(head))
		return (ERR_NOTFOUND);
	e = file_pread_full(z->range.file, head, sizeof(head), z->range.pos + at, eb);
	if (e != OK)
		return (e);
	e = batch_peek(slice_of(head, sizeof(head)), &peek);
	if (e != OK) {
		errbuf_set(eb, "no batch stands at position %llu of %s", (unsigned long long)(z->range.pos + at), z->range.file->path);
		return (e);
	}
	*size = peek.size;
	return (peek.size > z->range.len - at ? ERR_NOTFOUND : OK);
}

/* Bytes of the next batches: one, and those that fit with it into `max`. */
static enum err
piece_size(struct lazy *z, uint64_t max, uint64_t *len, struct errbuf *eb)
{
	uint32_t size;
	enum err e = batch_size(z, 0, &size, eb);

	if (e != OK)
		return (e);
	*len = size;
	while (*len < max && batch_size(z, *len, &size, eb) == OK && *len + size <= max)
		*len += size;	/* damage is met when it comes first */
	return (OK);
}

static enum err
piece_read(struct lazy *z, uint64_t len, struct errbuf *eb)
{
	enum err e;

	if (z->in.room < len) {
		free(z->in.p);
		z->in.p = xmalloc((size_t)len);
		z->in.room = (size_t)len;
	}
	e = file_pread_full(z->range.file, z->in.p, (size_t)len, z->range.pos, eb);
	if (e == OK) {
		z->range.pos += len;
		z->range.len -= len;
	}
	return (e);
}

/* Converts the next batches that become anything into out.  ERR_NOTFOUND: none is left.  *from: where they stood. */
static enum err
piece_convert(struct lazy *z, struct codec_ctx *ctx, uint64_t max, struct file_range *from, struct errbuf *eb)
{
	uint64_t len;
	enum err e;

	z->out.len = 0;
	do {
		*from = z->range;
		e = piece_size(z, max, &len, eb);
		if (e == OK)
			e = piece_read(z, len, eb);
		if (e == OK)
			e = record_downconvert(ctx, slice_of(z->in.p, (size_t)len), z->magic, z->first_offset, &z->out, eb);
	} while (e == OK && z->out.len == 0);
	return (e);
}

/* ---- giving them ---- */

static void
out_drop(struct lazy *z)
{
	free(z->in.p);
	free(z->out.p);
	z->in = z->out = (struct codec_out){ .cap = INT32_MAX };
	z->ready = 0;
}

/* A batch that cannot end within `left` bytes. */
static struct slice
filler(struct lazy *z, uint64_t left)
{
	uint64_t claimed = MIN(left + 1, (uint64_t)INT32_MAX), size = MAX((uint64_t)FILLER_MIN, MIN(claimed, (uint64_t)PIECE));

	out_drop(z);
	z->out.p = xcalloc(1, (size_t)size);
	be64enc(z->out.p, UINT64_MAX);
	be32enc(z->out.p + BATCH_LENGTH, (uint32_t)MAX(claimed, (uint64_t)BATCH_OVERHEAD));
	return (slice_of(z->out.p, (size_t)MIN(size, left)));
}

static void
make_ready(struct lazy *z)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct errbuf eb = ERRBUF_INIT;
	struct file_range from;

	z->ended = piece_convert(z, ctx, PIECE, &from, &eb) != OK;
	codec_ctx_free(ctx);
}

static struct slice
lazy_make(struct chain_source *s, uint64_t left)
{
	struct lazy *z = CONTAINER_OF(s, struct lazy, source);

	if (z->ready == 0 && !z->ended)
		make_ready(z);
	z->ready = 0;
	return (z->ended ? filler(z, left) : slice_of(z->out.p, (size_t)MIN(left, (uint64_t)z->out.len)));
}

static void
lazy_free(struct chain_source *s)
{
	struct lazy *z = CONTAINER_OF(s, struct lazy, source);

	out_drop(z);
	file_range_fini(&z->range);
	free(z);
}

/* ---- the first batch ---- */

static enum kerr
error_of(enum err e)
{
	switch (e) {
	case ERR_UNSUPPORTED:
		return (KERR_UNSUPPORTED_COMPRESSION_TYPE);
	case ERR_CORRUPT:
		return (KERR_CORRUPT_MESSAGE);
	case ERR_MALFORMED:
		return (KERR_INVALID_RECORD);
	default:
		return (KERR_UNKNOWN_SERVER_ERROR);
	}
}

static void
promise(struct downconvert *d, struct lazy *z, uint64_t stored, const struct file_range *from)
{
	d->len = MAX(stored, (uint64_t)z->out.len);
	if (d->keep) {
		z->ready = z->out.len;
		free(z->in.p);
		z->in = (struct codec_out){ .cap = INT32_MAX };
		d->kept = z->out.room;
	} else {
		out_drop(z);
		z->range.pos = from->pos;
		z->range.len = from->len;
	}
}

void
downconvert_begin(struct downconvert *d, struct codec_ctx *ctx, struct errbuf *eb)
{
	static const struct chain_source_ops ops = { lazy_make, lazy_free };
	struct lazy *z = xcalloc(1, sizeof(*z));
	uint64_t stored = d->range.len;
	struct file_range from;
	uint32_t size;
	enum err e;

	*z = (struct lazy){ .source = { &ops, d->range.file->readers }, .range = d->range, .magic = d->magic, .first_offset = d->first_offset };
	out_drop(z);
	d->range = (struct file_range){ 0 };
	d->error = KERR_NONE;
	d->len = d->kept = 0;
	d->source = &z->source;
	from = z->range;
	e = batch_size(z, 0, &size, eb);
	if (e == OK) {
		e = piece_convert(z, ctx, 0, &from, eb);
		if (e == OK)
			promise(d, z, stored, &from);
		else if (e == ERR_NOTFOUND) {	/* all of them vanish: room for a batch that is too large, so that the client asks for more */
			z->ended = true;
			d->len = FILLER_MIN;
			e = OK;
		}
	} else if (e == ERR_NOTFOUND)	/* not one whole batch */
		e = OK;
	if (e != OK)
		d->error = error_of(e);
	if (d->len == 0 || e != OK) {
		d->len = 0;
		d->source = NULL;
		lazy_free(&z->source);
	}
}
