/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_codec.c - compression: streams from outside, and what our writers make of any bytes.
 *
 * INPUT   u8 flags | bytes.  flags: bits 0-2 codec, bit 3 write, bit 4 magic 0 (else 2), bits 5-7 how the bytes are cut for the writer
 * HOLDS   reading ends with the stream's end, or an error in words; the pieces are never empty before the end; what a writer made of bytes is read
 *	   back as these bytes, in any level.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "record/codec.h"
#include "test/fuzz/fuzz.h"

/* A bomb of a few KiB inflates to some MiB (gzip, zstd: to GiB).  Enough is seen after this much; LIMIT_DECOMPRESSED_BYTES_MAX has a unit test. */
enum { READ_MAX = 8 << 20, OUT_MAX = 64 << 20, MAGIC_OLD = 1 << 4, WRITE = 1 << 3 };

struct sum {
	uint64_t len;
	struct slice expected;		/* p NULL: anything */
};

static enum err
read_all(struct codec_ctx *c, enum codec codec, int8_t magic, struct slice in, struct sum *sum)
{
	struct errbuf eb = ERRBUF_INIT;
	struct codec_reader r;
	struct slice piece = SLICE_NULL;
	enum err e = codec_reader_init(&r, c, codec, magic, in, &eb);

	FUZZ_CHECKF(e == OK || eb.text[0] != '\0', "%s: refused without words", codec_name(codec));
	if (e != OK)
		return (e);
	while ((e = codec_reader_next(&r, &piece, &eb)) == OK && piece.len > 0 && sum->len < READ_MAX) {
		if (sum->expected.p != NULL)
			FUZZ_CHECKF(piece.len <= sum->expected.len - sum->len && memcmp(piece.p, sum->expected.p + sum->len, piece.len) == 0,
			    "%s: the bytes that were written", codec_name(codec));
		sum->len += piece.len;
	}
	FUZZ_CHECKF(e == OK || ((e == ERR_CORRUPT || e == ERR_LIMIT || e == ERR_UNSUPPORTED) && eb.text[0] != '\0'), "%s: %s, %s",
	    codec_name(codec), err_name(e), eb.text);
	codec_reader_fini(&r);
	return (e);
}

static void
write_and_read(struct codec_ctx *c, enum codec codec, int8_t magic, unsigned cut, int level, struct slice in)
{
	struct codec_out out = { .cap = OUT_MAX };
	struct sum sum = { .expected = in };
	struct codec_writer w;
	size_t step = cut == 0 ? in.len : (in.len >> cut) + 1;

	FUZZ_CHECK(codec_writer_init(&w, c, codec, level, magic, &out, NULL) == OK);
	for (size_t at = 0; at < in.len; at += step)
		FUZZ_CHECK(codec_writer_put(&w, in.p + at, MIN(step, in.len - at)) == OK);
	FUZZ_CHECK(codec_writer_finish(&w) == OK);
	if (in.p == NULL)
		sum.expected = SLICE_LIT("");
	FUZZ_CHECKF(read_all(c, codec, magic, slice_of(out.p == NULL ? (uint8_t *)"" : out.p, out.len), &sum) == OK, "%s: what we write is read",
	    codec_name(codec));
	FUZZ_CHECKF(sum.len == MIN(in.len, (size_t)READ_MAX), "%s: all of it", codec_name(codec));
	free(out.p);
}

static int
level_of(enum codec codec, uint8_t n)
{
	int level = (int)n % 24 - 1;

	return (level > -1 && codec_level_ok(codec, level) ? level : CODEC_LEVEL_DEFAULT);
}

void
fuzz_one(struct slice in)
{
	uint8_t flags = fuzz_u8(&in);
	enum codec codec = (enum codec)(flags & 7);
	int8_t magic = (flags & MAGIC_OLD) != 0 ? 0 : 2;
	struct codec_ctx *c = codec_ctx_new();
	struct sum sum = { .expected = SLICE_NULL };

	if ((flags & WRITE) == 0)
		(void)read_all(c, codec, magic, in, &sum);
	else if (codec < CODEC_COUNT_ && codec_built_in(codec)) {
		int level = level_of(codec, fuzz_u8(&in));

		write_and_read(c, codec, magic, flags >> 5, level, in);
		write_and_read(c, codec, magic, flags >> 5, level, in);	/* states are kept from one stream to the next */
	}
	codec_ctx_free(c);
}

/* ---- seeds ---- */

static void
seed_stream(enum codec codec, struct slice text, fuzz_give *give, void *ctx)
{
	struct codec_ctx *c = codec_ctx_new();
	struct codec_out out = { .cap = OUT_MAX };
	struct codec_writer w;
	uint8_t flags = (uint8_t)codec;

	FUZZ_CHECK(codec_writer_init(&w, c, codec, CODEC_LEVEL_DEFAULT, 2, &out, NULL) == OK);
	FUZZ_CHECK(codec_writer_put(&w, text.p, text.len) == OK && codec_writer_finish(&w) == OK);
	fuzz_give2(give, ctx, &flags, 1, slice_of(out.p, out.len));
	free(out.p);
	codec_ctx_free(c);
}

/* zeros: a bomb, as far as this codec goes. */
static void
seed_bomb(enum codec codec, fuzz_give *give, void *ctx)
{
	uint8_t *zeros = xcalloc(1, 1 << 20);

	seed_stream(codec, slice_of(zeros, 1 << 20), give, ctx);
	free(zeros);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const char text[] = "a key, and a key, and a value that goes on and on and on and on\n";

	for (int codec = CODEC_NONE; codec < CODEC_COUNT_; codec++) {
		uint8_t head[2] = { (uint8_t)(codec | WRITE), 0 };

		fuzz_give2(give, ctx, head, sizeof(head), SLICE_LIT(text));
		if (!codec_built_in((enum codec)codec))
			continue;
		seed_stream((enum codec)codec, SLICE_LIT(text), give, ctx);
		seed_stream((enum codec)codec, slice_of("", 0), give, ctx);
		if (codec != CODEC_NONE && codec != CODEC_SNAPPY)
			seed_bomb((enum codec)codec, give, ctx);
	}
}
