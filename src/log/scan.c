/* SPDX-License-Identifier: Apache-2.0
 *
 * log/scan.c - see scan_int.h.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "log/scan_int.h"

enum { PAGE = 4096, PAGES_MAX = 256 };	/* what is read at once beyond a megabyte is for one large batch: there nothing is dropped */

void
batch_scan_init(struct batch_scan *sc, struct file *file, uint64_t pos, uint64_t end, void *buf, size_t room)
{
	must(room >= BATCH_OVERHEAD);
	*sc = (struct batch_scan){ .file = file, .pos = pos, .end = end, .buf = buf, .room = room, .own = buf == NULL };
	if (sc->own)
		sc->buf = xmalloc(room);
}

void
batch_scan_fini(struct batch_scan *sc)
{
	if (sc->own)
		free(sc->buf);
	sc->buf = NULL;
}

/* Which pages of a read were there before. */
static void
note_cached(const struct batch_scan *sc, size_t want, bool *was)
{
	for (size_t i = 0; i * PAGE < want && i < PAGES_MAX; i++)
		was[i] = sc->file->fs->ops->cached(sc->file, sc->pos / PAGE * PAGE + i * PAGE, 1);
}

static void
forget_new(const struct batch_scan *sc, size_t want, const bool *was)
{
	for (size_t i = 0; i * PAGE < want && i < PAGES_MAX; i++)
		if (!was[i])
			file_advise(sc->file, FS_ADVISE_FORGET, sc->pos / PAGE * PAGE + i * PAGE, PAGE);
}

/* At least n bytes from pos on in the window; n <= room, pos + n <= end. */
static enum err
fill(struct batch_scan *sc, size_t n, struct errbuf *eb)
{
	bool was[PAGES_MAX] = { false };
	size_t want;
	enum err e;

	if (sc->pos >= sc->buf_pos && sc->pos + n <= sc->buf_pos + sc->have)
		return (OK);
	want = (size_t)MIN((uint64_t)sc->room, sc->end - sc->pos);
	if (sc->no_wait && !sc->file->fs->ops->cached(sc->file, sc->pos, want))
		return (ERR_AGAIN);
	sc->have = 0;
	sc->buf_pos = sc->pos;
	if (sc->forget)
		note_cached(sc, want, was);
	e = file_pread(sc->file, sc->buf, want, sc->pos, &sc->have, eb);
	if (sc->forget)
		forget_new(sc, want, was);
	if (e == OK && sc->have < n) {
		errbuf_set(eb, "%s: ends at %" PRIu64 ", %" PRIu64 " expected", sc->file->path, sc->pos + sc->have, sc->end);
		return (ERR_CORRUPT);
	}
	return (e);
}

static enum err
no_batch(const struct batch_scan *sc, struct errbuf *eb)
{
	errbuf_set(eb, "%s: no whole batch at position %" PRIu64, sc->file->path, sc->pos);
	return (ERR_CORRUPT);
}

static enum err
peek(struct batch_scan *sc, struct batch_header *h, struct errbuf *eb)
{
	uint64_t left = sc->end - sc->pos;
	enum err e;

	if (left == 0)
		return (ERR_NOTFOUND);
	if (left < BATCH_PEEK_BYTES)
		return (no_batch(sc, eb));
	e = fill(sc, (size_t)MIN(left, (uint64_t)BATCH_OVERHEAD), eb);
	if (e != OK)
		return (e);
	e = batch_header_decode(slice_of(sc->buf + (sc->pos - sc->buf_pos), sc->have - (size_t)(sc->pos - sc->buf_pos)), h);
	return (e != OK || h->size > left ? no_batch(sc, eb) : OK);
}

enum err
batch_scan_header(struct batch_scan *sc, struct batch_header *h, uint64_t *at, struct errbuf *eb)
{
	enum err e = peek(sc, h, eb);

	if (e != OK)
		return (e);
	*at = sc->pos;
	sc->pos += h->size;
	return (OK);
}

enum err
batch_scan_whole(struct batch_scan *sc, struct batch_header *h, struct slice *whole, uint64_t *at, struct errbuf *eb)
{
	enum err e = peek(sc, h, eb);

	must(sc->own);
	if (e != OK)
		return (e);
	if (h->size > sc->room) {
		sc->room = h->size;
		free(sc->buf);
		sc->buf = xmalloc(sc->room);
		sc->have = 0;
	}
	e = fill(sc, h->size, eb);
	if (e != OK)
		return (e);
	*whole = slice_of(sc->buf + (sc->pos - sc->buf_pos), h->size);
	*at = sc->pos;
	sc->pos += h->size;
	return (OK);
}
