/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "record/codec.h"
#include "test/unit/unit.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif
#include <snappy-c.h>

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed);
}

/* Half text, half noise, so that codecs meet both. */
static uint8_t *
some_bytes(size_t len)
{
	uint8_t *p = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		p[i] = (i / 5000) % 2 ? (uint8_t)rnd() : (uint8_t)("lorem ipsum dolor sit amet "[i % 27] + i / 10000 % 3);
	return (p);
}

static enum err
pack(struct codec_ctx *ctx, enum codec c, int level, const uint8_t *p, size_t len, size_t step, struct codec_out *out)
{
	struct errbuf eb = ERRBUF_INIT;
	struct codec_writer w;
	enum err e = codec_writer_init(&w, ctx, c, level, 2, out, &eb);

	for (size_t i = 0; e == OK && i < len; i += step)
		e = codec_writer_put(&w, p + i, MIN(step, len - i));
	if (e == OK)
		return (codec_writer_finish(&w));
	codec_writer_abort(&w);
	return (e);
}

/* Reads to the end; *got is what came, compared with p on the way. */
static enum err
unpack(struct codec_ctx *ctx, enum codec c, struct slice body, const uint8_t *p, size_t len, size_t *got)
{
	struct errbuf eb = ERRBUF_INIT;
	struct codec_reader r;
	struct slice piece;
	enum err e = codec_reader_init(&r, ctx, c, 2, body, &eb);

	*got = 0;
	while (e == OK) {
		e = codec_reader_next(&r, &piece, &eb);
		if (e != OK || piece.len == 0)
			break;
		if (p != NULL && (*got + piece.len > len || memcmp(p + *got, piece.p, piece.len) != 0)) {
			CHECK(!"other bytes came out");
			break;
		}
		*got += piece.len;
	}
	if (e != OK && e != ERR_NOMEM)
		CHECK(eb.text[0] != '\0');
	codec_reader_fini(&r);
	return (e);
}

TEST(every_codec_and_level_gives_back_what_went_in)
{
	static const size_t sizes[] = { 0, 1, 13, 32767, 32768, 32769, 65536, 65537, 500000 }, steps[] = { 1, 100, 40000, 1 << 20 };
	static const int levels[][4] = { { 0, 0, 0, 0 }, { -1, 1, 6, 9 }, { 0, 0, 0, 0 }, { 9, 1, 12, 17 }, { 3, -5, 1, 12 } };
	struct codec_ctx *ctx = codec_ctx_new();

	seed = 88172645463325252u;
	for (size_t s = 0; s < NELEM(sizes); s++) {
		uint8_t *p = some_bytes(sizes[s]);

		for (enum codec c = CODEC_NONE; c < CODEC_COUNT_; c++) {
			for (size_t i = 0; i < 4 && codec_built_in(c); i++) {
				struct codec_out out = { .cap = 1 << 20 };
				size_t got;

				CHECK_EQ(pack(ctx, c, levels[c][i], p, sizes[s], sizes[s] < 100000 ? steps[i] : 70000, &out), OK);
				CHECK_EQ(unpack(ctx, c, slice_of(out.p, out.len), p, sizes[s], &got), OK);
				CHECK_EQ(got, sizes[s]);
				free(out.p);
			}
		}
		free(p);
	}
	codec_ctx_free(ctx);
}

TEST(levels_are_kafkas)
{
	CHECK(codec_level_ok(CODEC_GZIP, -1) && codec_level_ok(CODEC_GZIP, 1) && codec_level_ok(CODEC_GZIP, 9));
	CHECK(!codec_level_ok(CODEC_GZIP, 0) && !codec_level_ok(CODEC_GZIP, 10) && !codec_level_ok(CODEC_GZIP, -2));
	CHECK(!codec_level_ok(CODEC_SNAPPY, 3) && codec_level_ok(CODEC_SNAPPY, CODEC_LEVEL_DEFAULT));
#ifdef HAVE_LZ4
	CHECK(codec_level_ok(CODEC_LZ4, 1) && codec_level_ok(CODEC_LZ4, 17) && !codec_level_ok(CODEC_LZ4, 0) && !codec_level_ok(CODEC_LZ4, 18));
#endif
#ifdef HAVE_ZSTD
	CHECK(codec_level_ok(CODEC_ZSTD, -131072) && codec_level_ok(CODEC_ZSTD, 22) && !codec_level_ok(CODEC_ZSTD, 23));
#endif
	CHECK(!codec_level_ok((enum codec)6, 1));
}

TEST(names_are_those_of_compression_type)
{
	enum codec c;

	CHECK(codec_from_name("zstd", &c) && c == CODEC_ZSTD);
	CHECK(codec_from_name("none", &c) && c == CODEC_NONE);
	CHECK(!codec_from_name("producer", &c) && !codec_from_name("GZIP", &c) && !codec_from_name("", &c));
	CHECK_STR(codec_name(CODEC_SNAPPY), "snappy");
	CHECK_STR(codec_name((enum codec)7), "?");
}

TEST(unknown_codecs_are_refused_in_words)
{
	struct codec_ctx *ctx = codec_ctx_new();
	size_t got;

	for (int c = 5; c < 8; c++)
		CHECK_EQ(unpack(ctx, (enum codec)c, SLICE_LIT("abc"), NULL, 0, &got), ERR_CORRUPT);
	codec_ctx_free(ctx);
}

TEST(output_stops_at_its_cap)
{
	struct codec_ctx *ctx = codec_ctx_new();
	uint8_t *p;

	seed = 4711;
	p = some_bytes(300000);
	for (enum codec c = CODEC_NONE; c < CODEC_COUNT_; c++) {
		for (size_t cap = 0; codec_built_in(c) && cap < 100000; cap = cap * 3 + 1) {
			struct codec_out out = { .cap = cap };

			CHECK_EQ(pack(ctx, c, CODEC_LEVEL_DEFAULT, p, 300000, 7000, &out), ERR_LIMIT);
			CHECK(out.len <= cap && out.room <= MAX(cap, (size_t)256));
			free(out.p);
		}
	}
	free(p);
	codec_ctx_free(ctx);
}

/* A stream cut anywhere is an error or, where the format cannot tell, a shorter stream; never other bytes, never a crash. */
TEST(streams_cut_short_are_found)
{
	struct codec_ctx *ctx = codec_ctx_new();
	uint8_t *p, *copy;
	size_t got;

	seed = 99;
	p = some_bytes(3000);
	for (enum codec c = CODEC_GZIP; c < CODEC_COUNT_; c++) {
		struct codec_out out = { .cap = 1 << 20 };

		if (!codec_built_in(c))
			continue;
		REQUIRE(pack(ctx, c, CODEC_LEVEL_DEFAULT, p, 3000, 3000, &out) == OK);
		for (size_t n = 0; n < out.len; n++) {
			enum err e;

			copy = malloc(n + 1);	/* exactly as long as it says, for ASan */
			memcpy(copy, out.p, n);
			e = unpack(ctx, c, slice_of(copy, n), c == CODEC_SNAPPY && n < 16 ? NULL : p, 3000, &got);
			CHECK(e == ERR_CORRUPT || (c == CODEC_SNAPPY && e == OK && got < 3000) || (c == CODEC_ZSTD && n == 0 && got == 0));
			free(copy);
		}
		free(out.p);
	}
	free(p);
	codec_ctx_free(ctx);
}

TEST(garbage_is_an_error_and_nothing_worse)
{
	struct codec_ctx *ctx = codec_ctx_new();
	size_t got;
	uint8_t *p;

	seed = unit_seed() | 1;
	for (int round = 0; round < 3000; round++) {
		enum codec c = (enum codec)(1 + rnd() % 4);
		struct codec_out out = { .cap = 1 << 20 };

		if (!codec_built_in(c))
			continue;
		p = some_bytes(2000);
		REQUIRE(pack(ctx, c, CODEC_LEVEL_DEFAULT, p, 1 + rnd() % 2000, 500, &out) == OK);
		for (size_t i = 0; i < 1 + rnd() % 4; i++)
			out.p[rnd() % out.len] ^= (uint8_t)(1 << rnd() % 8);
		(void)unpack(ctx, c, slice_of(out.p, out.len), NULL, 0, &got);
		CHECK(got <= (size_t)64 << 20);
		free(p);
		free(out.p);
	}
	codec_ctx_free(ctx);
}

/* ---- what only a crafted stream does ---- */

TEST(a_bomb_costs_a_window_and_ends_at_the_limit)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 64 << 20 };
	uint8_t *zeros = calloc(1, 1 << 20);
	struct codec_writer w;
	struct errbuf eb = ERRBUF_INIT;
	size_t got;
#ifdef HAVE_ZSTD
	enum codec c = CODEC_ZSTD;
#else
	enum codec c = CODEC_GZIP;
#endif

	REQUIRE(codec_writer_init(&w, ctx, c, c == CODEC_ZSTD ? 1 : 9, 2, &out, &eb) == OK);
	for (int i = 0; i < 2049; i++)
		REQUIRE(codec_writer_put(&w, zeros, 1 << 20) == OK);
	REQUIRE(codec_writer_finish(&w) == OK);
	CHECK_EQ(unpack(ctx, c, slice_of(out.p, out.len), NULL, 0, &got), ERR_LIMIT);
	CHECK_GE(got, (size_t)LIMIT_DECOMPRESSED_BYTES_MAX - (1 << 20));
	free(out.p);
	free(zeros);
	codec_ctx_free(ctx);
}

TEST(snappy_blocks_that_promise_too_much_cost_nothing)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x' }, large[] = { 0x80, 0x80, 0x80, 0x40, 0, 'x' };
	struct codec_ctx *ctx = codec_ctx_new();
	size_t got;

	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(huge, sizeof(huge)), NULL, 0, &got), ERR_CORRUPT);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(large, sizeof(large)), NULL, 0, &got), ERR_CORRUPT);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of("", 0), NULL, 0, &got), ERR_CORRUPT);
	codec_ctx_free(ctx);
}

TEST(snappy_of_a_repeated_byte_is_believed)
{
	struct codec_ctx *ctx = codec_ctx_new();
	uint8_t *p = calloc(1, 1 << 20);
	size_t room = snappy_max_compressed_length(1 << 20), got;
	char *packed = malloc(room);

	REQUIRE(snappy_compress((char *)p, 1 << 20, packed, &room) == SNAPPY_OK);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(packed, room), p, 1 << 20, &got), OK);
	CHECK_EQ(got, 1 << 20);
	free(p);
	free(packed);
	codec_ctx_free(ctx);
}

TEST(snappy_headers_are_read_as_java_reads_them)
{
	static const uint8_t magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };
	struct codec_ctx *ctx = codec_ctx_new();
	uint8_t b[32] = { 0 };
	size_t got;

	memcpy(b, magic, 8);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 16), NULL, 0, &got), OK);	/* the first version is not looked at */
	CHECK_EQ(got, 0);
	memcpy(b + 16, magic, 8);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 32), NULL, 0, &got), ERR_CORRUPT);	/* a later one is: 0 */
	b[27] = 1;
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 32), NULL, 0, &got), OK);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 31), NULL, 0, &got), ERR_CORRUPT);
	be32enc(b + 16, 0x7fffffff);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 20), NULL, 0, &got), ERR_CORRUPT);
	be32enc(b + 16, 0xffffffff);
	CHECK_EQ(unpack(ctx, CODEC_SNAPPY, slice_of(b, 20), NULL, 0, &got), ERR_CORRUPT);
	codec_ctx_free(ctx);
}

#ifdef HAVE_LZ4
TEST(lz4_frames_are_read_by_kafkas_rules)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 1 << 20 };
	size_t got;

	REQUIRE(pack(ctx, CODEC_LZ4, CODEC_LEVEL_DEFAULT, (const uint8_t *)"hello", 5, 5, &out) == OK);
	CHECK_EQ(le32dec(out.p), 0x184d2204);
	CHECK_EQ(out.p[4], 0x60);
	CHECK_EQ(out.p[5], 0x40);
	CHECK_EQ(out.p[6], 0x82);
	CHECK_EQ(le32dec(out.p + out.len - 4), 0);
	out.p[6] ^= 1;
	CHECK_EQ(unpack(ctx, CODEC_LZ4, slice_of(out.p, out.len), NULL, 0, &got), ERR_CORRUPT);
	out.p[4] = 0x40;	/* dependent blocks, with the checksum that goes with them */
	out.p[6] = 0xc0;
	CHECK_EQ(unpack(ctx, CODEC_LZ4, slice_of(out.p, out.len), NULL, 0, &got), ERR_CORRUPT);
	free(out.p);
	codec_ctx_free(ctx);
}

TEST(lz4_of_magic_0_carries_the_historic_checksum)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 1 << 20 };
	struct errbuf eb = ERRBUF_INIT;
	struct codec_writer w;
	struct codec_reader r;
	size_t got;

	REQUIRE(codec_writer_init(&w, ctx, CODEC_LZ4, CODEC_LEVEL_DEFAULT, 0, &out, &eb) == OK);
	REQUIRE(codec_writer_finish(&w) == OK);
	CHECK(out.p[6] != 0x82);
	CHECK_EQ(unpack(ctx, CODEC_LZ4, slice_of(out.p, out.len), NULL, 0, &got), ERR_CORRUPT);
	CHECK_EQ(codec_reader_init(&r, ctx, CODEC_LZ4, 0, slice_of(out.p, out.len), &eb), OK);
	codec_reader_fini(&r);
	free(out.p);
	codec_ctx_free(ctx);
}
#endif

#ifdef HAVE_ZSTD
TEST(zstd_windows_are_granted_up_to_128_mib)
{
	uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0x01, 0, 0 };	/* no sizes, window byte, one empty raw block */
	struct codec_ctx *ctx = codec_ctx_new();
	size_t got;

	frame[5] = (27 - 10) << 3;
	CHECK_EQ(unpack(ctx, CODEC_ZSTD, slice_of(frame, sizeof(frame)), NULL, 0, &got), OK);
	frame[5] = (28 - 10) << 3;
	CHECK_EQ(unpack(ctx, CODEC_ZSTD, slice_of(frame, sizeof(frame)), NULL, 0, &got), ERR_CORRUPT);
	codec_ctx_free(ctx);
}

TEST(garbage_behind_a_zstd_frame_is_an_error)
{
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 1 << 20 };
	size_t got;

	REQUIRE(pack(ctx, CODEC_ZSTD, CODEC_LEVEL_DEFAULT, (const uint8_t *)"hello", 5, 5, &out) == OK);
	REQUIRE(out.room > out.len + 8);
	memcpy(out.p + out.len, "garbage!", 8);
	CHECK_EQ(unpack(ctx, CODEC_ZSTD, slice_of(out.p, out.len + 8), (const uint8_t *)"hello", 5, &got), ERR_CORRUPT);
	free(out.p);
	codec_ctx_free(ctx);
}
#endif

UNIT_MAIN("record/codec", T(every_codec_and_level_gives_back_what_went_in), T(levels_are_kafkas), T(names_are_those_of_compression_type),
    T(unknown_codecs_are_refused_in_words), T(output_stops_at_its_cap), T(streams_cut_short_are_found), T(garbage_is_an_error_and_nothing_worse),
    T(a_bomb_costs_a_window_and_ends_at_the_limit), T(snappy_blocks_that_promise_too_much_cost_nothing), T(snappy_of_a_repeated_byte_is_believed),
    T(snappy_headers_are_read_as_java_reads_them),
#ifdef HAVE_LZ4
    T(lz4_frames_are_read_by_kafkas_rules), T(lz4_of_magic_0_carries_the_historic_checksum),
#endif
#ifdef HAVE_ZSTD
    T(zstd_windows_are_granted_up_to_128_mib), T(garbage_behind_a_zstd_frame_is_an_error),
#endif
)
