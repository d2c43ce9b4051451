/* SPDX-License-Identifier: Apache-2.0
 *
 * net/rxbuf.h - the receive buffer of one connection: bytes become frames.
 *
 *	| [0, parsed) given out as frames | [parsed, recvd) not given out yet | free, up to size |
 *
 * The buffer grows with the bytes that arrived, never with the length that was announced: at most to twice what is there, or to the size
 * of the largest frame this peer has really sent before (up to RX_HINT_MAX).
 *
 * Ownership  A frame given out holds a reference to its block; blocks die with their last reference.  Small frames are copied out, so that
 *            a request that waits does not keep a whole receive block.
 *            `spare` is the loop's: one block of RX_BLOCK bytes, or NULL, which its buffers take and give
 *            back; freed by rxblock_unref.  No address: no spare.
 * Threads    One loop.
 */
#ifndef NET_RXBUF_H
#define NET_RXBUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	RX_BLOCK = 16384,	/* smallest receive block */
	RX_COPY_MAX = 2048,	/* frames up to this are copied out */
	RX_HINT_MAX = 2097152,	/* a first allocation for a frame is at most this, whatever the peer sent before */
};

struct rxblock {
	uint32_t refs;
	size_t	 size;
	uint8_t	 bytes[];
};
void rxblock_unref(struct rxblock **);

struct rxbuf {
	struct rxblock	*block;		/* NULL when nothing is buffered */
	size_t		 parsed, recvd;
	size_t		 largest;	/* frame completed so far, with its length field */
};

void	 rxbuf_init(struct rxbuf *);
void	 rxbuf_fini(struct rxbuf *);
size_t	 rxbuf_growth(const struct rxbuf *);		/* bytes of memory that the next rxbuf_room may take beyond what is held */
uint8_t *rxbuf_room(struct rxbuf *, struct rxblock **spare, size_t *len);	/* where to receive; *len >= 1.  Not while a whole frame waits */
void	 rxbuf_received(struct rxbuf *, size_t n);	/* n bytes were put there */
void	 rxbuf_trim(struct rxbuf *, struct rxblock **spare);	/* after a burst: an empty buffer holds no memory */
static inline size_t rxbuf_unparsed(const struct rxbuf *rx) { return (rx->recvd - rx->parsed); }

/* The length field of the next frame; false: its four bytes are not there yet. */
bool	 rxbuf_announced(const struct rxbuf *, int32_t *len);
bool	 rxbuf_has_frame(const struct rxbuf *);		/* whole, and its length not negative */
struct slice rxbuf_peek(const struct rxbuf *);		/* the next whole frame, still in the buffer */
/* Takes the next whole frame out; the block is the caller's reference. */
struct slice rxbuf_take(struct rxbuf *, struct rxblock **);
void	 rxbuf_check(const struct rxbuf *);

#endif
