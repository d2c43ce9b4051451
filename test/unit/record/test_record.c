/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <snappy-c.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "record/record.h"
#include "test/unit/unit.h"

static uint64_t seed;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed);
}

static struct batch_builder *
builder(enum codec c)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;

	o.codec = c;
	return (batch_builder_new(NULL, &o, &eb));
}

static uint8_t *
finish(struct batch_builder *b, size_t *len)
{
	uint8_t *p = NULL;

	CHECK_EQ(batch_builder_finish(b, &p, len, NULL), OK);
	batch_builder_free(b);
	return (p);
}

/* A batch around any body: count, codec, right size and checksum. */
static uint8_t *
around(const uint8_t *body, size_t n, int32_t count, enum codec c, size_t *len)
{
	struct batch_header h = { .size = (uint32_t)(BATCH_OVERHEAD + n), .attributes = (uint16_t)c, .record_count = count, .last_offset_delta = count - 1,
	    .producer_id = -1, .producer_epoch = -1, .base_sequence = -1, .base_timestamp = 1000, .max_timestamp = 1000 };
	uint8_t *p = malloc(BATCH_OVERHEAD + n);

	if (n > 0)
		memcpy(p + BATCH_OVERHEAD, body, n);
	batch_header_encode(p, &h);
	*len = BATCH_OVERHEAD + n;
	return (p);
}

/* Walks to the end; returns the error that ended it and the number of records. */
static enum err
walk(const uint8_t *p, size_t len, enum record_walk how, int *n, uint32_t *digest)
{
	struct errbuf eb = ERRBUF_INIT;
	struct batch_header h;
	struct record_iter it;
	struct record r;
	enum err e = batch_header_decode(slice_of(p, len), &h);

	*n = 0;
	*digest = 0;
	if (e != OK || h.size != len)
		return (ERR_CORRUPT);
	e = record_iter_init(&it, NULL, slice_of(p, len), &h, how, &eb);
	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK) {
		int64_t facts[] = { r.offset, r.timestamp, r.key_len, r.value_len, r.header_count, r.size, r.attributes };

		*digest = crc32c_extend(*digest, facts, sizeof(facts));
		if (how == RECORD_FULL) {	/* touch what it points to */
			struct reader rd = reader_of(r.headers);
			struct record_header rh;

			(void)crc32c(r.key.p, r.key.len);
			(void)crc32c(r.value.p, r.value.len);
			for (int32_t i = 0; i < r.header_count; i++) {
				CHECK_EQ(record_header_next(&rd, &rh), OK);
				(void)crc32c(rh.value.p, rh.value.len);
			}
			CHECK(rd.p == rd.end);
		} else {
			CHECK(it.gather == NULL || h.magic < 2);
		}
		(*n)++;
	}
	if (e != ERR_NOTFOUND)
		CHECK(eb.text[0] != '\0');
	record_iter_fini(&it);
	return (e);
}

static enum err
walk_body(const void *body, size_t n, int32_t count)
{
	uint32_t d1, d2;
	size_t len;
	int n1, n2;
	uint8_t *p = around(body, n, count, CODEC_NONE, &len);
	enum err a = walk(p, len, RECORD_FRAMING, &n1, &d1), b = walk(p, len, RECORD_FULL, &n2, &d2);

	CHECK_EQ(a, b);
	CHECK_EQ(n1, n2);
	CHECK_EQ(d1, d2);
	free(p);
	return (a);
}

#define BODY(count, ...) walk_body((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), count)

/* length, attributes, timestamp delta, offset delta, key length.., value length.., header count */
TEST(records_that_add_up_are_read)
{
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 1, 1, 0), ERR_NOTFOUND);
	CHECK_EQ(BODY(1, 16, 0, 0, 0, 2, 'k', 2, 'v', 0), ERR_NOTFOUND);
	CHECK_EQ(BODY(2, 12, 0, 0, 0, 1, 1, 0, 12, 0, 2, 2, 0, 0, 0), ERR_NOTFOUND);
	CHECK_EQ(BODY(1, 18, 0, 0, 0, 1, 1, 2, 2, 'h', 1), ERR_NOTFOUND);
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 3, 9, 0), ERR_NOTFOUND);			/* any negative length is null */
	CHECK_EQ(BODY(1, 20, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x70, 1, 1, 0), ERR_NOTFOUND);	/* the last of five bytes has bits to drop */
	CHECK_EQ(BODY(0, 1, 2, 3), ERR_NOTFOUND);				/* nobody looks behind no records */
}

TEST(records_that_do_not_add_up_are_refused)
{
	CHECK_EQ(BODY(1, 14, 0, 0, 0, 1, 1, 0), ERR_MALFORMED);			/* longer than the batch */
	CHECK_EQ(BODY(1, 14, 0, 0, 0, 1, 1, 0, 0), ERR_MALFORMED);		/* longer than its parts */
	CHECK_EQ(BODY(1, 10, 0, 0, 0, 1, 1, 0), ERR_MALFORMED);			/* shorter */
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 1, 1, 0, 0), ERR_MALFORMED);		/* something behind the last */
	CHECK_EQ(BODY(2, 12, 0, 0, 0, 1, 1, 0), ERR_MALFORMED);			/* fewer than the count */
	CHECK_EQ(BODY(-1, 12, 0, 0, 0, 1, 1, 0), ERR_MALFORMED);
	CHECK_EQ(BODY(1, 0), ERR_MALFORMED);					/* length 0 */
	CHECK_EQ(BODY(1, 1), ERR_MALFORMED);					/* length -1 */
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 40, 1, 0), ERR_MALFORMED);		/* key past the record */
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 1, 40, 0), ERR_MALFORMED);		/* value past the record */
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 1, 1, 1), ERR_MALFORMED);			/* -1 headers */
	CHECK_EQ(BODY(1, 12, 0, 0, 0, 1, 1, 8), ERR_MALFORMED);			/* more headers than bytes */
	CHECK_EQ(BODY(1, 16, 0, 0, 0, 1, 1, 2, 1, 1), ERR_MALFORMED);		/* a null header key */
	CHECK_EQ(BODY(1, 22, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 1, 0), ERR_MALFORMED);	/* six bytes of varint */
	CHECK_EQ(BODY(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0), ERR_MALFORMED);
	CHECK_EQ(BODY(1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0), ERR_MALFORMED);	/* 2 GiB */
	CHECK_EQ(walk_body("", 0, 1), ERR_MALFORMED);
	CHECK_EQ(walk_body("", 0, INT32_MAX), ERR_MALFORMED);
}

/* Records of all shapes, uncompressed. */
static uint8_t *
varied_body(size_t records, size_t *body_len, int32_t *count)
{
	struct batch_builder *b = builder(CODEC_NONE);
	uint8_t noise[300], *p;
	size_t len;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)rnd();
	for (size_t i = 0; i < records; i++) {
		struct record_header h[3] = { { SLICE_LIT("a"), SLICE_NULL }, { SLICE_LIT(""), slice_of(noise, rnd() % 140) }, { SLICE_LIT("ccc"), SLICE_LIT("") } };
		struct slice key = rnd() % 4 ? slice_of(noise, rnd() % 70) : SLICE_NULL, value = rnd() % 4 ? slice_of(noise, rnd() % 300) : SLICE_NULL;

		if (batch_builder_append(b, (int64_t)(rnd() % 3 ? 1000 + rnd() % 100 : rnd() >> 2), key, value, h, rnd() % 4) != OK)
			abort();
	}
	*count = (int32_t)records;
	p = finish(b, &len);
	*body_len = len - BATCH_OVERHEAD;
	memmove(p, p + BATCH_OVERHEAD, *body_len);
	return (p);
}

/* xerial snappy in blocks so small that every record crosses some. */
static uint8_t *
chopped(const uint8_t *body, size_t n, size_t block, size_t *len)
{
	static const uint8_t head[16] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1 };
	uint8_t *p = malloc(16 + (n / block + 1) * (4 + snappy_max_compressed_length(block)));
	size_t at = sizeof(head), out, step;

	memcpy(p, head, sizeof(head));
	for (size_t i = 0; i < n; i += step) {
		step = MIN(block, n - i);
		out = snappy_max_compressed_length(step);
		if (snappy_compress((const char *)body + i, step, (char *)p + at + 4, &out) != SNAPPY_OK)
			abort();
		be32enc(p + at, (uint32_t)out);
		at += 4 + out;
	}
	*len = at;
	return (p);
}

TEST(records_that_cross_pieces_are_the_same_records)
{
	static const size_t blocks[] = { 1, 2, 3, 7, 50, 1000 };
	size_t n, plain_len, packed_len, len;
	uint32_t d0, d1;
	int32_t count;
	int n0, n1;

	seed = 20240101;
	for (size_t i = 0; i < NELEM(blocks); i++) {
		uint8_t *body = varied_body(60, &n, &count), *plain = around(body, n, count, CODEC_NONE, &plain_len);
		uint8_t *packed = chopped(body, n, blocks[i], &packed_len), *p = around(packed, packed_len, count, CODEC_SNAPPY, &len);

		CHECK_EQ(walk(plain, plain_len, RECORD_FULL, &n0, &d0), ERR_NOTFOUND);
		CHECK_EQ(walk(p, len, RECORD_FRAMING, &n1, &d1), ERR_NOTFOUND);
		CHECK(n0 == 60 && n1 == 60 && d0 == d1);
		CHECK_EQ(walk(p, len, RECORD_FULL, &n1, &d1), ERR_NOTFOUND);
		CHECK(n1 == 60 && d0 == d1);
		free(body);
		free(plain);
		free(packed);
		free(p);
	}
}

/* A damaged body is judged alike wherever its pieces end. */
TEST(damage_is_judged_alike_in_one_piece_and_in_many)
{
	size_t n, plain_len, packed_len, len;
	int refused = 0;

	seed = unit_seed() | 1;
	for (int round = 0; round < 2000; round++) {
		int32_t count;
		int n0, n1, n2;
		uint32_t d0, d1, d2;
		uint8_t *body = varied_body(1 + rnd() % 8, &n, &count), *plain, *packed, *p;
		enum err e0, e1, e2;

		for (size_t i = 0; i < 1 + rnd() % 3; i++)
			body[rnd() % n] = rnd() % 2 ? (uint8_t)rnd() : body[rnd() % n] ^ 1;
		n -= rnd() % 4 ? 0 : rnd() % n;
		plain = around(body, n, count, CODEC_NONE, &plain_len);
		packed = chopped(body, n, 1 + rnd() % 20, &packed_len);
		p = around(packed, packed_len, count, CODEC_SNAPPY, &len);
		e0 = walk(plain, plain_len, RECORD_FRAMING, &n0, &d0);
		e1 = walk(p, len, RECORD_FRAMING, &n1, &d1);
		e2 = walk(p, len, RECORD_FULL, &n2, &d2);
		if (e0 != e1 || e1 != e2 || n0 != n1 || n1 != n2 || d0 != d1 || d1 != d2)
			unit_check(false, __FILE__, __LINE__, "seed %" PRIu64 " round %d: %s/%d %s/%d %s/%d", unit_seed(), round, err_name(e0), n0, err_name(e1), n1, err_name(e2), n2);
		refused += e0 != ERR_NOTFOUND;
		free(body);
		free(plain);
		free(packed);
		free(p);
	}
	CHECK_GE(refused, 200);
	CHECK_GE(1990, refused);
}

TEST(every_truncation_is_refused)
{
	size_t n, len;
	int32_t count;
	int got;
	uint32_t d;
	uint8_t *body;

	seed = 3;
	body = varied_body(5, &n, &count);
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = around(body, i, count, CODEC_NONE, &len);

		CHECK_EQ(walk(p, len, RECORD_FRAMING, &got, &d), ERR_MALFORMED);
		CHECK_EQ(walk(p, len, RECORD_FULL, &got, &d), ERR_MALFORMED);
		free(p);
	}
	free(body);
}

TEST(random_bodies_of_any_codec_are_survived)
{
	uint8_t body[200];
	size_t len;
	uint32_t d;
	int got;

	seed = unit_seed() | 1;
	for (int round = 0; round < 20000; round++) {
		size_t n = rnd() % sizeof(body);
		uint8_t *p;

		for (size_t i = 0; i < n; i++)
			body[i] = rnd() % 3 ? (uint8_t)(rnd() % 24) : (uint8_t)rnd();
		p = around(body, n, (int32_t)(rnd() % 5), (enum codec)(rnd() % 8), &len);
		(void)walk(p, len, rnd() % 2 ? RECORD_FRAMING : RECORD_FULL, &got, &d);
		free(p);
	}
}

TEST(a_framing_walk_of_a_huge_record_needs_no_memory)
{
	struct batch_builder *b = builder(CODEC_GZIP);
	uint8_t *value = calloc(1, 40 << 20), *p;
	size_t len;
	uint32_t d;
	int n;

	CHECK_EQ(batch_builder_append(b, 1, SLICE_NULL, slice_of(value, 40 << 20), NULL, 0), OK);
	CHECK_EQ(batch_builder_append(b, 1, SLICE_LIT("next"), SLICE_NULL, NULL, 0), OK);
	p = finish(b, &len);
	CHECK(len < 100000);
	CHECK_EQ(walk(p, len, RECORD_FRAMING, &n, &d), ERR_NOTFOUND);	/* walk() checks that nothing was gathered */
	CHECK_EQ(n, 2);
	free(p);
	free(value);
}

TEST(a_record_beyond_the_limit_is_not_gathered)
{
	static uint8_t zeros[1 << 20];
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 16 << 20 };
	struct codec_writer w;
	struct errbuf eb = ERRBUF_INIT;
	uint8_t head[32], *p;
	struct writer hw = writer_of(head, sizeof(head));
	int32_t value = 300 << 20;
	size_t len;
	uint32_t d;
	int n;

	wr_varint(&hw, (int32_t)(1 + 1 + 1 + 1 + varint_size(value) + (size_t)value + 1));
	wr_bytes(&hw, "\0\0\0\1", 4);
	wr_varint(&hw, value);
	REQUIRE(codec_writer_init(&w, ctx, CODEC_GZIP, 1, 2, &out, &eb) == OK && codec_writer_put(&w, head, wr_len(&hw)) == OK);
	for (int i = 0; i < 300; i++)
		REQUIRE(codec_writer_put(&w, zeros, sizeof(zeros)) == OK);
	REQUIRE(codec_writer_put(&w, zeros, 1) == OK && codec_writer_finish(&w) == OK);
	p = around(out.p, out.len, 1, CODEC_GZIP, &len);
	CHECK_EQ(walk(p, len, RECORD_FRAMING, &n, &d), ERR_NOTFOUND);
	CHECK_EQ(walk(p, len, RECORD_FULL, &n, &d), ERR_LIMIT);
	free(p);
	free(out.p);
	codec_ctx_free(ctx);
}

/* ---- the builder ---- */

TEST(a_builder_refuses_what_kafkas_refuses)
{
	struct batch_builder *b = builder(CODEC_NONE);
	struct record_header nameless = { SLICE_NULL, SLICE_LIT("v") };
	uint8_t *p;
	size_t len;

	CHECK_EQ(batch_builder_finish(b, &p, &len, NULL), ERR_INVALID);
	CHECK_EQ(batch_builder_append_at(b, 5, 1, SLICE_NULL, SLICE_NULL, NULL, 0), OK);
	CHECK_EQ(batch_builder_append_at(b, 5, 1, SLICE_NULL, SLICE_NULL, NULL, 0), ERR_INVALID);
	CHECK_EQ(batch_builder_append_at(b, 6, -2, SLICE_NULL, SLICE_NULL, NULL, 0), ERR_INVALID);
	CHECK_EQ(batch_builder_append_at(b, (int64_t)INT32_MAX + 1, 1, SLICE_NULL, SLICE_NULL, NULL, 0), ERR_INVALID);
	CHECK_EQ(batch_builder_append(b, 1, SLICE_NULL, SLICE_NULL, &nameless, 1), ERR_INVALID);
	CHECK_EQ(batch_builder_append_at(b, INT32_MAX, -1, SLICE_NULL, SLICE_NULL, NULL, 0), OK);
	CHECK_EQ(batch_builder_count(b), 2);
	p = finish(b, &len);
	CHECK_EQ(len, be32dec(p + BATCH_LENGTH) + BATCH_LOG_OVERHEAD);
	CHECK_EQ(be32dec(p + BATCH_LAST_OFFSET_DELTA), INT32_MAX);
	free(p);
}

TEST(a_builder_stops_at_its_size)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b;
	uint8_t *p;
	size_t len;

	o.bytes_max = 60;
	CHECK(batch_builder_new(NULL, &o, &eb) == NULL);
	CHECK(eb.text[0] != '\0');
	o.bytes_max = 61 + 7 * 3;
	b = batch_builder_new(NULL, &o, &eb);
	REQUIRE(b != NULL);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(batch_builder_append(b, 1, SLICE_NULL, SLICE_NULL, NULL, 0), OK);
	CHECK_EQ(batch_builder_bytes(b), o.bytes_max);
	CHECK_EQ(batch_builder_finish(b, &p, &len, NULL), OK);
	CHECK_EQ(len, o.bytes_max);
	batch_builder_free(b);
	free(p);
	b = batch_builder_new(NULL, &o, &eb);
	REQUIRE(b != NULL);
	CHECK_EQ(batch_builder_append(b, 1, SLICE_NULL, SLICE_LIT("twenty bytes of value"), NULL, 0), ERR_LIMIT);
	batch_builder_free(b);
}

/* ---- legacy wrappers ---- */

struct inner { int64_t offset, timestamp; int8_t magic; uint8_t attributes; const char *key; };

static void
put_legacy(struct writer *w, const struct inner *m, struct slice value)
{
	uint8_t *start = w->p;

	wr_i64(w, m->offset);
	wr_i32(w, 0);
	wr_i32(w, 0);
	wr_i8(w, m->magic);
	wr_i8(w, (int8_t)m->attributes);
	if (m->magic == 1)
		wr_i64(w, m->timestamp);
	wr_i32(w, m->key == NULL ? -1 : (int32_t)strlen(m->key));
	wr_bytes(w, m->key, m->key == NULL ? 0 : strlen(m->key));
	wr_i32(w, value.p == NULL ? -1 : (int32_t)value.len);
	wr_bytes(w, value.p, value.len);
	be32enc(start + BATCH_LENGTH, (uint32_t)(w->p - start) - BATCH_LOG_OVERHEAD);
	be32enc(start + LEGACY_CRC, (uint32_t)crc32(0, start + LEGACY_MAGIC, (unsigned)(w->p - start - LEGACY_MAGIC)));
}

/* Wraps up to four inner messages with gzip; returns how the walk ended, offsets and timestamps of what came. */
static enum err
wrapped(struct inner outer, const struct inner *in, size_t n, int64_t *offsets, int64_t *timestamps, size_t *got)
{
	uint8_t plain[512], whole[1024];
	struct writer w = writer_of(plain, sizeof(plain)), ww = writer_of(whole, sizeof(whole));
	struct codec_ctx *ctx = codec_ctx_new();
	struct codec_out out = { .cap = 4096 };
	struct errbuf eb = ERRBUF_INIT;
	struct codec_writer cw;
	struct batch_header h;
	struct record_iter it;
	struct record r;
	enum err e;

	for (size_t i = 0; i < n; i++)
		put_legacy(&w, &in[i], SLICE_LIT("value"));
	if (codec_writer_init(&cw, ctx, CODEC_GZIP, -1, outer.magic, &out, &eb) != OK || codec_writer_put(&cw, plain, wr_len(&w)) != OK || codec_writer_finish(&cw) != OK)
		abort();
	outer.attributes |= CODEC_GZIP;
	put_legacy(&ww, &outer, slice_of(out.p, out.len));
	*got = 0;
	e = batch_header_decode(slice_of(whole, wr_len(&ww)), &h);
	CHECK(e == OK && h.base_offset == -1 && h.record_count == -1 && h.last_offset == outer.offset);
	e = record_iter_init(&it, ctx, slice_of(whole, wr_len(&ww)), &h, RECORD_FRAMING, &eb);
	for (; e == OK && (e = record_iter_next(&it, &r, &eb)) == OK; (*got)++) {
		offsets[*got] = r.offset;
		timestamps[*got] = r.timestamp;
	}
	record_iter_fini(&it);
	codec_ctx_free(ctx);
	free(out.p);
	return (e);
}

TEST(messages_of_a_wrapper_get_absolute_offsets)
{
	struct inner in[3] = { { 0, 10, 1, 0, "a" }, { 1, 11, 1, 0, NULL }, { 2, 12, 1, 0, "c" } };
	int64_t o[4], t[4];
	size_t n;

	CHECK_EQ(wrapped((struct inner){ 102, 12, 1, 0, NULL }, in, 3, o, t, &n), ERR_NOTFOUND);
	CHECK(n == 3 && o[0] == 100 && o[1] == 101 && o[2] == 102 && t[0] == 10 && t[2] == 12);
	CHECK_EQ(wrapped((struct inner){ 102, 999, 1, BATCH_ATTR_APPEND_TIME, NULL }, in, 3, o, t, &n), ERR_NOTFOUND);
	CHECK(n == 3 && t[0] == 999 && t[2] == 999);
	CHECK_EQ(wrapped((struct inner){ 0, 12, 1, 0, NULL }, in, 3, o, t, &n), ERR_NOTFOUND);	/* old librdkafka */
	CHECK(n == 3 && o[0] == 0 && o[2] == 2);
	CHECK_EQ(wrapped((struct inner){ 1, 12, 1, 0, NULL }, in, 3, o, t, &n), ERR_MALFORMED);
	in[2].offset = INT64_MIN + 1;	/* what a peer may write wraps, as in Kafka; the last message still gets the wrapper's offset */
	CHECK_EQ(wrapped((struct inner){ INT64_MAX, 12, 1, 0, NULL }, in, 3, o, t, &n), ERR_NOTFOUND);
	CHECK(n == 3 && o[2] == INT64_MAX);
	for (int i = 0; i < 3; i++)
		in[i] = (struct inner){ 50 + i, 0, 0, 0, "k" };
	CHECK_EQ(wrapped((struct inner){ 52, 0, 0, 0, NULL }, in, 3, o, t, &n), ERR_NOTFOUND);
	CHECK(n == 3 && o[0] == 50 && o[2] == 52 && t[0] == -1);
}

TEST(wrappers_that_make_no_sense_are_refused)
{
	struct inner in[2] = { { 0, 10, 1, 0, "a" }, { 1, 11, 1, CODEC_GZIP, "nested" } };
	int64_t o[4], t[4];
	size_t n;

	CHECK_EQ(wrapped((struct inner){ 101, 12, 1, 0, NULL }, in, 2, o, t, &n), ERR_MALFORMED);
	CHECK_EQ(n, 1);
	CHECK_EQ(wrapped((struct inner){ 101, 12, 1, 0, NULL }, in, 0, o, t, &n), ERR_MALFORMED);
}

UNIT_MAIN("record/record", T(records_that_add_up_are_read), T(records_that_do_not_add_up_are_refused), T(records_that_cross_pieces_are_the_same_records),
    T(damage_is_judged_alike_in_one_piece_and_in_many), T(every_truncation_is_refused), T(random_bodies_of_any_codec_are_survived),
    T(a_framing_walk_of_a_huge_record_needs_no_memory), T(a_record_beyond_the_limit_is_not_gathered), T(a_builder_refuses_what_kafkas_refuses),
    T(a_builder_stops_at_its_size), T(messages_of_a_wrapper_get_absolute_offsets), T(wrappers_that_make_no_sense_are_refused))
