/* SPDX-License-Identifier: Apache-2.0
 *
 * record/codec.h - the four compression codecs of record batches, as streams.
 *
 * Reading  What Kafka 3.9's Java reader accepts is accepted, and nothing else: gzip (members may follow one another), snappy in xerial
 *          framing or as one raw block, lz4 frames with independent blocks, zstd frames with a window of at most 128 MiB.
 * Writing  What that reader, and every client of its time, understands: gzip, xerial snappy in 32 KiB blocks, lz4 frames of 64 KiB
 *          independent blocks, zstd.
 * Memory   Bounded by one window (gzip 64 KiB), block (lz4 4 MiB, snappy LIMIT_SNAPPY_BLOCK_MAX) or zstd's own window, never by the
 *          size of what comes out.  LIMIT_DECOMPRESSED_BYTES_MAX ends a bomb.
 * Threads  A codec_ctx, and every reader and writer made with it, belongs to one thread at a time.  One reader and one writer of
 *          each codec may be open on a context at once.
 * Built without lz4 or zstd, those two give ERR_UNSUPPORTED and say so.
 */
#ifndef RECORD_CODEC_H
#define RECORD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/slice.h"

enum codec {		/* the numbers of bits 0-2 of a batch's attributes */
	CODEC_NONE,
	CODEC_GZIP,
	CODEC_SNAPPY,
	CODEC_LZ4,
	CODEC_ZSTD,
	CODEC_COUNT_
};

#define CODEC_LEVEL_DEFAULT	INT32_MIN	/* gzip -1, lz4 9 (its fast compressor), zstd 3 */

const char *codec_name(enum codec);			/* "none", "gzip", ... as compression.type spells them; "?" for an unknown one */
bool codec_from_name(const char *, enum codec *);	/* false: none of the five */
bool codec_built_in(enum codec);			/* compiled in here */
bool codec_level_ok(enum codec, int level);		/* Kafka's range of compression.<codec>.level */

/* Decompression and compression states kept from one batch to the next, so that a batch costs no set-up. */
struct codec_ctx;
struct codec_ctx *codec_ctx_new(void) MUST_CHECK;
void codec_ctx_free(struct codec_ctx *);		/* NULL is fine; no reader or writer may be open */

/* ---- pulling decompressed bytes ---- */
struct codec_reader {
	struct codec_ctx *ctx;
	const struct codec_ops *ops;
	struct slice	  in;		/* compressed bytes not consumed yet */
	uint64_t	  out;		/* bytes handed out so far */
	size_t		  block_max;	/* lz4: of this frame */
	enum codec	  codec;
	uint8_t		  state, flags;
	bool		  ended;
	int8_t		  magic;	/* of the batch: 0 has lz4's historic header checksum, which nobody verifies */
};

/* Opens the body of a batch or the value of a legacy wrapper.  The bytes are borrowed until fini. */
enum err codec_reader_init(struct codec_reader *, struct codec_ctx *, enum codec, int8_t magic, struct slice body, struct errbuf *) MUST_CHECK;
/* The next piece, valid until the next call on the context's reader; OK with an empty piece at the end of the stream.
 * ERR_CORRUPT: not a stream of this codec, or cut short.  ERR_LIMIT: more than LIMIT_DECOMPRESSED_BYTES_MAX. */
enum err codec_reader_next(struct codec_reader *, struct slice *piece, struct errbuf *) MUST_CHECK;
void codec_reader_fini(struct codec_reader *);

/* ---- pushing bytes to be compressed ---- */
struct codec_out {		/* a growing buffer with a cap; free() it, or hand it on */
	uint8_t	*p;
	size_t	 len, room;
	size_t	 cap;		/* len never passes it: ERR_LIMIT */
};

struct codec_writer {
	struct codec_ctx *ctx;
	const struct codec_ops *ops;
	struct codec_out *out;
	uint8_t		 *pending;	/* an incomplete block */
	size_t		  pending_len;
	int		  level;
	enum codec	  codec;
	int8_t		  magic;
};

/* Output is appended to *out, which outlives the writer. */
enum err codec_writer_init(struct codec_writer *, struct codec_ctx *, enum codec, int level, int8_t magic, struct codec_out *out, struct errbuf *) MUST_CHECK;
enum err codec_writer_put(struct codec_writer *, const void *, size_t) MUST_CHECK;
enum err codec_writer_finish(struct codec_writer *) MUST_CHECK;	/* the last bytes; the writer is closed, whatever the result */
void codec_writer_abort(struct codec_writer *);			/* closes it without; harmless after finish */

#endif
