/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversion to the old formats, against what the Java client 3.9.1 made of the same batches (test/golden/record/MakeConverted.java): byte for byte where
 * nothing is compressed, else every field of the wrapper and every byte of what was compressed.
 */
#include <stdlib.h>

#include "record/downconvert.h"
#include "record/record.h"
#include "test/unit/record/facts.h"
#include "test/unit/unit.h"

struct line {
	long long position, len, magic, first, result;
	char	  verdict[16];
};

/* The body of a wrapper, inflated; null when it cannot be. */
static struct slice
inflated(struct codec_ctx *ctx, const struct batch_header *h, struct slice whole)
{
	struct legacy_message m;
	struct codec_reader r;
	struct errbuf eb = ERRBUF_INIT;
	struct slice piece;
	uint8_t *p = malloc(1);
	size_t len = 0;
	enum err e = legacy_message_decode(whole, &m);

	if (e == OK)
		e = codec_reader_init(&r, ctx, batch_codec(h), h->magic, m.value, &eb);
	if (e != OK)
		return (free(p), SLICE_NULL);
	while ((e = codec_reader_next(&r, &piece, &eb)) == OK && piece.len > 0) {
		p = realloc(p, len + piece.len);
		memcpy(p + len, piece.p, piece.len);
		len += piece.len;
	}
	codec_reader_fini(&r);
	return (e == OK ? slice_of(p, len) : (free(p), SLICE_NULL));
}

static bool
same_wrapper(struct codec_ctx *ctx, const struct batch_header *a, struct slice x, const struct batch_header *b, struct slice y)
{
	struct slice p = inflated(ctx, a, x), q = inflated(ctx, b, y);
	bool same = p.p != NULL && slice_eq(p, q) && a->magic == b->magic && a->attributes == b->attributes && a->last_offset == b->last_offset &&
	    a->max_timestamp == b->max_timestamp && batch_crc_ok(x);

	free((void *)(uintptr_t)p.p);
	free((void *)(uintptr_t)q.p);
	return (same);
}

static bool
same_records(struct codec_ctx *ctx, struct slice ours, struct slice javas)
{
	struct batch_iter i = batch_iter_of(ours), j = batch_iter_of(javas);
	struct batch_header a, b;
	struct slice x, y;
	enum err e, f;

	for (;;) {
		e = batch_iter_next(&i, &a, &x);
		f = batch_iter_next(&j, &b, &y);
		if (e != OK || f != OK)
			return (e == f && e == ERR_NOTFOUND);
		if (!slice_eq(x, y) && (batch_codec(&a) == CODEC_NONE || !same_wrapper(ctx, &a, x, &b, y)))
			return (false);
	}
}

static const char *
verdict_of(enum err e)
{
	return (e == OK ? "ok" : e == ERR_UNSUPPORTED ? "zstd" : "failed");
}

static void
check_line(struct codec_ctx *ctx, struct slice all, const struct line *l, unsigned n)
{
	struct slice source = slice_of(all.p + l->position, (size_t)l->len);
	struct slice expected = slice_of(source.p + source.len, (size_t)l->result);
	struct codec_out out = { .cap = INT32_MAX };
	struct errbuf eb = ERRBUF_INIT;
	enum err e = record_downconvert(ctx, source, (int8_t)l->magic, l->first, &out, &eb);

	unit_check(strcmp(verdict_of(e), l->verdict) == 0, __FILE__, __LINE__, "set %u: %s (%s), Java: %s", n, verdict_of(e), eb.text, l->verdict);
	if (e == OK && strcmp(l->verdict, "ok") == 0)
		unit_check(same_records(ctx, slice_of(out.p, out.len), expected), __FILE__, __LINE__, "set %u differs from Java's", n);
	else
		CHECK_EQ(out.len, 0);
	free(out.p);
}

TEST(batches_become_what_java_makes_of_them)
{
	struct slice all = golden_bytes("converted.bin.gz");
	struct codec_ctx *ctx = codec_ctx_new();
	char path[4096], text[256];
	FILE *f = fopen(golden_path("converted.txt", path, sizeof(path)), "r");
	struct line l;
	unsigned n = 0, bad = 0;

	REQUIRE(all.p != NULL && f != NULL);
	if (!golden_codecs())
		goto out;
	while (fgets(text, sizeof(text), f) != NULL) {
		REQUIRE(sscanf(text, "%lld %lld %lld %lld %15s %lld", &l.position, &l.len, &l.magic, &l.first, l.verdict, &l.result) == 6);
		REQUIRE(l.position >= 0 && l.len >= 0 && l.result >= 0 && l.magic >= 0 && l.magic <= 1);
		REQUIRE((size_t)l.position <= all.len && (size_t)l.len <= all.len - (size_t)l.position &&
		    (size_t)l.result <= all.len - (size_t)l.position - (size_t)l.len);
		check_line(ctx, all, &l, n++);
		bad += strcmp(l.verdict, "ok") != 0;
	}
	CHECK(n >= 700 && bad > 50 && bad < n / 2);
out:
	fclose(f);
	free((void *)(uintptr_t)all.p);
	codec_ctx_free(ctx);
}

/* A failure in the second batch takes back what the first had become; what stood in the buffer before stays. */
TEST(a_failure_leaves_the_output_alone)
{
	struct slice all = golden_bytes("batches.bin.gz"), plain = golden_group(all, "v2-none-CreateTime-plain"), zstd = golden_group(all, "v2-zstd-CreateTime-plain");
	uint8_t *both = malloc(plain.len + zstd.len);
	struct codec_out out = { .cap = INT32_MAX };
	struct codec_ctx *ctx = codec_ctx_new();
	struct errbuf eb = ERRBUF_INIT;
	size_t before;

	REQUIRE(plain.p != NULL && zstd.p != NULL);
	memcpy(both, plain.p, plain.len);
	memcpy(both + plain.len, zstd.p, zstd.len);
	CHECK_EQ(record_downconvert(ctx, plain, 1, 0, &out, &eb), OK);
	before = out.len;
	CHECK(before > 0);
	CHECK_EQ(record_downconvert(ctx, slice_of(both, plain.len + zstd.len), 1, 0, &out, &eb), ERR_UNSUPPORTED);
	CHECK_EQ(out.len, before);
	out.cap = before + 10;
	CHECK_EQ(record_downconvert(ctx, plain, 1, 0, &out, &eb), ERR_LIMIT);
	CHECK_EQ(out.len, before);
	free(out.p);
	free(both);
	free((void *)(uintptr_t)all.p);
	codec_ctx_free(ctx);
}

UNIT_MAIN("record/downconvert", T(batches_become_what_java_makes_of_them), T(a_failure_leaves_the_output_alone))
