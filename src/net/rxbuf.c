/* SPDX-License-Identifier: Apache-2.0
 *
 * net/rxbuf.c - see rxbuf.h for the interface and the picture.
 *
 * INVARIANTS
 *   (1) parsed <= recvd <= block->size; without a block both are 0.
 *   (2) bytes below parsed belong to requests when the block has other references, to nobody when it has none.
 *   (3) bytes in [parsed, recvd) are only ever moved to another block or to the front of one that nobody else refers to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "net/rxbuf.h"

enum { LENGTH_BYTES = 4 };

static struct rxblock *
rxblock_new(size_t size)
{
	struct rxblock *b = xmalloc(sizeof(*b) + size);

	b->refs = 1;
	b->size = size;
	return (b);
}

/* One of the smallest size: the spare one, if there is one. */
static struct rxblock *
rxblock_get(struct rxblock **spare)
{
	struct rxblock *b = spare == NULL ? NULL : *spare;

	if (b == NULL)
		return (rxblock_new(RX_BLOCK));
	*spare = NULL;
	return (b);
}

static void
rxblock_put(struct rxblock **spare, struct rxblock **bp)
{
	if (*bp != NULL && spare != NULL && *spare == NULL && (*bp)->refs == 1 && (*bp)->size == RX_BLOCK) {
		*spare = *bp;
		*bp = NULL;
	}
	rxblock_unref(bp);
}

void
rxblock_unref(struct rxblock **bp)
{
	struct rxblock *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	must(b->refs > 0);
	if (--b->refs == 0)
		free(b);
}

void
rxbuf_init(struct rxbuf *rx)
{
	memset(rx, 0, sizeof(*rx));
}

void
rxbuf_fini(struct rxbuf *rx)
{
	rxblock_unref(&rx->block);
	rx->parsed = rx->recvd = 0;
}

bool
rxbuf_announced(const struct rxbuf *rx, int32_t *len)
{
	if (rxbuf_unparsed(rx) < LENGTH_BYTES)
		return (false);
	*len = (int32_t)be32dec(rx->block->bytes + rx->parsed);
	return (true);
}

bool
rxbuf_has_frame(const struct rxbuf *rx)
{
	int32_t len;

	return (rxbuf_announced(rx, &len) && len >= 0 && rxbuf_unparsed(rx) - LENGTH_BYTES >= (size_t)len);
}

/* ---- room ---- */

/* Bytes the next frame takes as far as known.  What was announced is believed only as an upper bound. */
static size_t
frame_need(const struct rxbuf *rx)
{
	int32_t len;

	if (!rxbuf_announced(rx, &len) || len < 0)
		return (RX_BLOCK);
	return (LENGTH_BYTES + (size_t)len);
}

static size_t
grown_size(const struct rxbuf *rx)
{
	size_t earned = MAX(2 * rxbuf_unparsed(rx), MIN(rx->largest, (size_t)RX_HINT_MAX));

	return (MAX(MIN(frame_need(rx), earned), (size_t)RX_BLOCK));
}

static void
move_to(struct rxbuf *rx, struct rxblock *b)
{
	size_t n = rxbuf_unparsed(rx);

	if (n > 0)
		memcpy(b->bytes, rx->block->bytes + rx->parsed, n);
	rxblock_unref(&rx->block);
	rx->block = b;
	rx->parsed = 0;
	rx->recvd = n;
}

static void
make_room(struct rxbuf *rx)
{
	size_t size = grown_size(rx), n = rxbuf_unparsed(rx);

	if (rx->block->refs > 1) {
		move_to(rx, rxblock_new(size));
		return;
	}
	memmove(rx->block->bytes, rx->block->bytes + rx->parsed, n);
	rx->parsed = 0;
	rx->recvd = n;
	if (rx->block->size < size) {
		rx->block = xreallocarray(rx->block, 1, sizeof(*rx->block) + size);
		rx->block->size = size;
	}
}

/* Must more room be made before anything can be received? */
static bool
is_full(const struct rxbuf *rx)
{
	return (rx->recvd == rx->block->size || (rx->parsed > 0 && frame_need(rx) > rx->block->size - rx->parsed));
}

size_t
rxbuf_growth(const struct rxbuf *rx)
{
	size_t size;

	if (rx->block == NULL)
		return (RX_BLOCK);
	if (!is_full(rx))
		return (0);
	size = grown_size(rx);
	if (rx->block->refs > 1)
		return (size);
	return (size > rx->block->size ? size - rx->block->size : 0);
}

uint8_t *
rxbuf_room(struct rxbuf *rx, struct rxblock **spare, size_t *len)
{
	must(!rxbuf_has_frame(rx));
	if (rx->block == NULL)
		move_to(rx, rxblock_get(spare));
	else if (is_full(rx))
		make_room(rx);
	*len = rx->block->size - rx->recvd;
	must(*len > 0);
	return (rx->block->bytes + rx->recvd);
}

void
rxbuf_received(struct rxbuf *rx, size_t n)
{
	must(rx->block != NULL && n <= rx->block->size - rx->recvd);
	rx->recvd += n;
}

void
rxbuf_trim(struct rxbuf *rx, struct rxblock **spare)
{
	if (rx->block == NULL || rx->parsed != rx->recvd)
		return;
	rxblock_put(spare, &rx->block);
	rx->parsed = rx->recvd = 0;
}

/* ---- frames ---- */

struct slice
rxbuf_peek(const struct rxbuf *rx)
{
	int32_t len = 0;

	must(rxbuf_has_frame(rx) && rxbuf_announced(rx, &len));
	return (slice_of(rx->block->bytes + rx->parsed + LENGTH_BYTES, (size_t)len));
}

struct slice
rxbuf_take(struct rxbuf *rx, struct rxblock **block)
{
	struct slice frame = rxbuf_peek(rx);

	rx->parsed += LENGTH_BYTES + frame.len;
	rx->largest = MAX(rx->largest, LENGTH_BYTES + frame.len);
	if (frame.len <= RX_COPY_MAX || frame.len < rx->block->size / 8) {
		struct rxblock *b = rxblock_new(frame.len);

		memcpy(b->bytes, frame.p, frame.len);
		*block = b;
		return (slice_of(b->bytes, frame.len));
	}
	*block = rx->block;
	rx->block->refs++;
	return (frame);
}

void
rxbuf_check(const struct rxbuf *rx)
{
	must(rx->parsed <= rx->recvd);
	if (rx->block == NULL)
		must(rx->recvd == 0);
	else
		must(rx->block->refs > 0 && rx->recvd <= rx->block->size);
}
