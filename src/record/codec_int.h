/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec_int.h - what the codecs share: the table of their functions and the states that a codec_ctx keeps for them.
 */
#ifndef RECORD_CODEC_INT_H
#define RECORD_CODEC_INT_H

#include <zlib.h>

#include "record/codec.h"

struct codec_ops {
	/* Called with r->in set to the body, everything else zero.  Errors carry words. */
	enum err (*open)(struct codec_reader *, struct errbuf *);
	/* A non-empty piece, or OK with an empty one at the end; never called again after the end or an error. */
	enum err (*next)(struct codec_reader *, struct slice *, struct errbuf *);
	enum err (*begin)(struct codec_writer *, struct errbuf *);
	enum err (*put)(struct codec_writer *, const uint8_t *, size_t);
	enum err (*finish)(struct codec_writer *);
	int	 level_default, level_min, level_max;	/* all 0: the codec has no levels */
};

struct codec_buf {
	uint8_t	*p;
	size_t	 room;
};

struct codec_ctx {
	struct codec_buf in[CODEC_COUNT_];	/* decompressed pieces, one buffer per codec */
	struct codec_buf pending[CODEC_COUNT_];	/* blocks being filled by writers */
	struct codec_buf packed;		/* one compressed block on its way out */
	z_stream	 inflate, deflate;
	bool		 inflate_ready, deflate_ready;
	int		 deflate_level;
	void		*zstd_in, *zstd_out;	/* ZSTD_DCtx, ZSTD_CCtx */
	void		*lz4_fast, *lz4_hc;	/* states of liblz4's compressors */
	uint8_t		 reading, writing;	/* bit per codec: somebody has it open */
};

enum {
	CODEC_BUF_KEEP	= 4 << 20,	/* a larger buffer is not kept between batches */
	CODEC_WINDOW	= 64 << 10	/* bytes per piece of gzip and zstd */
};

extern const struct codec_ops codec_none_ops, codec_gzip_ops, codec_snappy_ops, codec_lz4_ops, codec_zstd_ops;

void codec_lz4_ctx_free(struct codec_ctx *);
void codec_zstd_ctx_free(struct codec_ctx *);
void codec_zstd_reader_trim(struct codec_ctx *);	/* gives a large window back */

enum err codec_buf_room(struct codec_buf *, size_t);	/* at least that much; contents are not kept; ERR_NOMEM */
uint8_t *codec_out_room(struct codec_out *, size_t n);	/* where n more bytes may be written; NULL: cap or memory */
enum err codec_out_put(struct codec_out *, const void *, size_t);

/* Cuts a writer's input into blocks of `block` bytes, gathered in w->pending, and hands each full one on. */
enum err codec_blocks_put(struct codec_writer *w, const uint8_t *p, size_t len, size_t block,
    enum err (*write)(struct codec_writer *, const uint8_t *, size_t));

uint32_t xxh32(const uint8_t *, size_t);		/* xxHash32 with seed 0 */

#endif
