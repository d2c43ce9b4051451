/* SPDX-License-Identifier: Apache-2.0
 *
 * Against the batches that the Java client 3.9.1 built (test/golden/record): we read in them what it reads, and write what it wrote.
 */
#include <stdlib.h>

#include "test/unit/record/facts.h"
#include "test/unit/unit.h"

static char *
read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 4 << 20);

	if (f == NULL || text == NULL)
		return (text);
	text[fread(text, 1, (4 << 20) - 1, f)] = '\0';
	fclose(f);
	return (text);
}

/* Compares line by line, so that a difference shows the line. */
static void
check_lines(char *expected, char *got)
{
	char *e, *g, *se = NULL, *sg = NULL;
	int bad = 0;

	e = strtok_r(expected, "\n", &se);
	g = strtok_r(got, "\n", &sg);
	while ((e != NULL || g != NULL) && bad < 5) {
		bad += unit_check(e != NULL && g != NULL && strcmp(e, g) == 0, __FILE__, __LINE__, "\n  Java: %s\n  here: %s", e ? e : "(end)", g ? g : "(end)") ? 0 : 1;
		e = e != NULL ? strtok_r(NULL, "\n", &se) : NULL;
		g = g != NULL ? strtok_r(NULL, "\n", &sg) : NULL;
	}
}

static void
check_we_read_what_java_reads(void)
{
	struct slice all = golden_bytes("batches.bin.gz");
	struct codec_ctx *ctx = codec_ctx_new();
	char path[4096], *expected, *got = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&got, &len);

	REQUIRE(all.p != NULL && all.len > 100000);
	CHECK(facts_print(f, all, ctx));
	fclose(f);
	expected = read_text(golden_path("batches.txt", path, sizeof(path)));
	REQUIRE(expected != NULL && strlen(expected) > 10000);
	check_lines(expected, got);
	free(expected);
	free(got);
	codec_ctx_free(ctx);
	free((void *)(uintptr_t)all.p);
}

/* The framing walk gives the same numbers as the full one, for every batch. */
static void
check_both_walks_agree(void)
{
	struct slice all = golden_bytes("batches.bin.gz"), whole;
	struct batch_iter it = batch_iter_of(all);
	struct codec_ctx *a = codec_ctx_new(), *b = codec_ctx_new();
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter framing, full;
	struct record x, y;
	struct batch_header h;
	enum err ex, ey;

	REQUIRE(all.p != NULL);
	while (batch_iter_next(&it, &h, &whole) == OK) {
		CHECK_EQ(record_iter_init(&framing, a, whole, &h, RECORD_FRAMING, &eb), OK);
		CHECK_EQ(record_iter_init(&full, b, whole, &h, RECORD_FULL, &eb), OK);
		do {
			ex = record_iter_next(&framing, &x, &eb);
			ey = record_iter_next(&full, &y, &eb);
			if (ex != ey || (ex == OK && (x.offset != y.offset || x.timestamp != y.timestamp || x.size != y.size || x.key_len != y.key_len ||
			    x.value_len != y.value_len || x.header_count != y.header_count)))
				CHECK(!"the walks differ");
		} while (ex == OK && ey == OK);
		CHECK_EQ(ex, ERR_NOTFOUND);
		record_iter_fini(&framing);
		record_iter_fini(&full);
	}
	codec_ctx_free(a);
	codec_ctx_free(b);
	free((void *)(uintptr_t)all.p);
}

static struct batch_builder *
builder_like(const struct batch_header *h, enum codec c, struct codec_ctx *ctx)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;

	o.base_offset = h->base_offset;
	o.leader_epoch = h->leader_epoch;
	o.codec = c;
	o.timestamp_type = batch_timestamp_type(h);
	o.log_append_time_ms = h->max_timestamp;
	o.producer_id = h->producer_id;
	o.producer_epoch = h->producer_epoch;
	o.base_sequence = h->base_sequence;
	o.transactional = batch_is_transactional(h);
	o.control = batch_is_control(h);
	return (batch_builder_new(ctx, &o, &eb));
}

static enum err
add_record(struct batch_builder *b, const struct batch_header *h, const struct record *r)
{
	struct record_header headers[16];
	struct reader rd = reader_of(r->headers);

	for (int32_t i = 0; i < r->header_count; i++) {
		if (record_header_next(&rd, &headers[i]) != OK)
			return (ERR_MALFORMED);
	}
	return (batch_builder_append_at(b, r->offset, h->base_timestamp + r->timestamp_delta, r->key, r->value, headers, (size_t)r->header_count));
}

static bool
rebuild(struct slice whole, const struct batch_header *h, enum codec c, struct codec_ctx *ctx, uint8_t **out, size_t *len)
{
	struct batch_builder *b = builder_like(h, c, ctx);
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;
	enum err e = record_iter_init(&it, ctx, whole, h, RECORD_FULL, &eb);

	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK)
		e = add_record(b, h, &r);
	record_iter_fini(&it);
	if (e == ERR_NOTFOUND)
		e = batch_builder_finish(b, out, len, NULL);
	batch_builder_free(b);
	return (e == OK);
}

TEST(our_uncompressed_batches_are_javas_bytes)
{
	struct slice all = golden_bytes("batches.bin.gz"), whole;
	struct batch_iter it = batch_iter_of(all);
	struct codec_ctx *ctx = codec_ctx_new();
	struct batch_header h;
	uint8_t *mine;
	size_t len;
	int compared = 0;

	REQUIRE(all.p != NULL);
	while (batch_iter_next(&it, &h, &whole) == OK) {
		if (h.magic != 2 || batch_codec(&h) != CODEC_NONE || batch_has_delete_horizon(&h) || h.record_count == 0)
			continue;
		REQUIRE(rebuild(whole, &h, CODEC_NONE, ctx, &mine, &len));
		CHECK_EQ(len, whole.len);
		CHECK_MEM(mine, whole.p, MIN(len, whole.len));
		free(mine);
		compared++;
	}
	CHECK_GE(compared, 20);
	codec_ctx_free(ctx);
	free((void *)(uintptr_t)all.p);
}

/* Every batch written with every codec reads back to the same records (the digest is in the facts). */
TEST(our_compressed_batches_hold_the_same_records)
{
	struct slice all = golden_bytes("batches.bin.gz"), whole;
	struct batch_iter it = batch_iter_of(all);
	struct codec_ctx *ctx = codec_ctx_new();
	struct batch_header h, h2;
	uint8_t *mine, *again;
	size_t len, len2;

	REQUIRE(all.p != NULL);
	while (batch_iter_next(&it, &h, &whole) == OK) {
		if (h.magic != 2 || batch_codec(&h) != CODEC_NONE || batch_has_delete_horizon(&h) || h.record_count == 0)
			continue;
		for (enum codec c = CODEC_GZIP; c <= CODEC_ZSTD; c++) {
			if (!codec_built_in(c))
				continue;
			REQUIRE(rebuild(whole, &h, c, ctx, &mine, &len));
			CHECK(batch_crc_ok(slice_of(mine, len)));
			REQUIRE(batch_header_decode(slice_of(mine, len), &h2) == OK);
			CHECK_EQ(batch_codec(&h2), c);
			REQUIRE(rebuild(slice_of(mine, len), &h2, CODEC_NONE, ctx, &again, &len2));
			CHECK_EQ(len2, whole.len);
			CHECK_MEM(again, whole.p, MIN(len2, whole.len));
			free(mine);
			free(again);
		}
	}
	codec_ctx_free(ctx);
	free((void *)(uintptr_t)all.p);
}

TEST(our_markers_and_empty_batches_are_javas_bytes)
{
	struct slice all = golden_bytes("batches.bin.gz"), java;
	uint8_t b[BATCH_END_TXN_BYTES];
	struct end_txn_marker m = { .base_offset = 77, .timestamp_ms = 1700000000009, .producer_id = 4711, .leader_epoch = 8, .coordinator_epoch = 12,
	    .producer_epoch = 2, .type = CONTROL_COMMIT };
	struct batch_header h = { .base_offset = 500, .last_offset_delta = 12, .leader_epoch = 9, .max_timestamp = 1700000000000, .producer_id = 4711,
	    .producer_epoch = 2, .base_sequence = 99 };

	REQUIRE(all.p != NULL);
	java = golden_group(all, "commit");
	REQUIRE(java.len == BATCH_END_TXN_BYTES);
	batch_end_txn_encode(b, &m);
	CHECK_MEM(b, java.p, java.len);
	java = golden_group(all, "abort");
	REQUIRE(java.len == BATCH_END_TXN_BYTES);
	m = (struct end_txn_marker){ .base_offset = 78, .timestamp_ms = 1700000000010, .producer_id = 4712, .leader_epoch = 8, .type = CONTROL_ABORT };
	batch_end_txn_encode(b, &m);
	CHECK_MEM(b, java.p, java.len);
	java = golden_group(all, "empty");
	REQUIRE(java.len == BATCH_OVERHEAD);
	batch_empty_encode(b, &h);
	CHECK_MEM(b, java.p, java.len);
	free((void *)(uintptr_t)all.p);
}

TEST(we_read_what_java_reads)
{
	if (golden_codecs())
		check_we_read_what_java_reads();
}

TEST(both_walks_agree)
{
	if (golden_codecs())
		check_both_walks_agree();
}

UNIT_MAIN("record/golden", T(we_read_what_java_reads), T(both_walks_agree), T(our_uncompressed_batches_are_javas_bytes),
    T(our_compressed_batches_hold_the_same_records), T(our_markers_and_empty_batches_are_javas_bytes))
