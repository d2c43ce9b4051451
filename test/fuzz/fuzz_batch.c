/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_batch.c - record batches of all three formats: steps, records, validation, rebuilding, down-conversion.
 *
 * INPUT   u8 flags | u8 rules | u8 version | batches.  flags: bit 0: checksums are made right before (what a hostile client does, too); bits 1-3:
 *	   the body of the first batch, if it is one of magic 2, is compressed with that codec before
 * HOLDS   every whole batch has a header that says what the first 17 bytes say; a framing walk and a full walk find the same records and both
 *	   end well or with an error; what validation takes, rebuilt or not, can be assigned its offsets, has a right checksum and is walked without an
 *	   error, with as many records as validation counted; a coordinator's validation takes it again; what down-conversion makes is
 *	   of the format asked for, with right checksums, and is walked, too.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "record/downconvert.h"
#include "record/record.h"
#include "record/validate.h"
#include "test/fuzz/fuzz.h"

enum { MEND = 1 << 0, ARENA = 16 << 20, OUT_MAX = 8 << 20, RECORDS_MAX = 200000, SEED_MAX = 1500, SEED_STEP = 13 };

#define NOW		INT64_C(1700000000000)

struct walk {
	enum err end;		/* OK: given up, there are too many */
	int64_t	 records, bytes, last_offset;
};

static void
headers_of(const struct record *r)
{
	struct reader rd = reader_of(r->headers);
	struct record_header h;

	for (int32_t i = 0; i < r->header_count; i++)
		FUZZ_CHECK(record_header_next(&rd, &h) == OK && h.key.p != NULL);
	FUZZ_CHECK(rd_left(&rd) == 0 && !rd.bad);
}

static struct walk
walk(struct codec_ctx *c, struct slice whole, const struct batch_header *h, enum record_walk how)
{
	struct walk w = { OK, 0, 0, -1 };
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;

	w.end = record_iter_init(&it, c, whole, h, how, &eb);
	while (w.end == OK && w.records < RECORDS_MAX && (w.end = record_iter_next(&it, &r, &eb)) == OK) {
		w.records++;
		w.bytes += r.size;
		w.last_offset = r.offset;
		if (how == RECORD_FULL) {
			FUZZ_CHECK((r.key.p == NULL) == (r.key_len < 0) && (r.key.p == NULL || r.key.len == (size_t)r.key_len));
			FUZZ_CHECK((r.value.p == NULL) == (r.value_len < 0) && (r.value.p == NULL || r.value.len == (size_t)r.value_len));
			headers_of(&r);
		}
	}
	FUZZ_CHECKF(w.end == OK || w.end == ERR_NOTFOUND || eb.text[0] != '\0', "%s without words", err_name(w.end));
	record_iter_fini(&it);
	return (w);
}

static void
walk_both(struct codec_ctx *c, struct slice whole, const struct batch_header *h)
{
	struct walk framing = walk(c, whole, h, RECORD_FRAMING), full = walk(c, whole, h, RECORD_FULL);

	/* A record too large to be gathered is one that only the full walk minds.  One that is broken in two ways (its parts, and the stream
	 * that it comes from) may fail by either. */
	FUZZ_CHECKF(full.end == ERR_LIMIT || full.end == ERR_NOMEM || (framing.records == full.records && framing.bytes == full.bytes &&
	    (framing.end == OK) == (full.end == OK) && (framing.end == ERR_NOTFOUND) == (full.end == ERR_NOTFOUND)),
	    "framing: %s after %lld; full: %s after %lld", err_name(framing.end), (long long)framing.records, err_name(full.end), (long long)full.records);
}

static void
iterate(struct codec_ctx *c, struct slice all)
{
	struct batch_iter it = batch_iter_of(all);
	struct batch_header h;
	struct batch_peek peek;
	struct slice whole;
	struct control_record control;

	while (batch_iter_next(&it, &h, &whole) == OK) {
		FUZZ_CHECK(batch_peek(whole, &peek) == OK && peek.size == whole.len && peek.size == h.size && peek.magic == h.magic);
		FUZZ_CHECK(it.position <= all.len && h.header_size <= h.size);
		(void)batch_crc_ok(whole);
		(void)batch_last_sequence(&h);
		if (batch_is_control(&h) && batch_control_decode(whole, &control, NULL) == OK)
			FUZZ_CHECK(control.type == CONTROL_ABORT || control.type == CONTROL_COMMIT || control.type == CONTROL_UNKNOWN);
		walk_both(c, whole, &h);
	}
}

/* ---- what a leader does with it ---- */

static struct record_rules
rules_of(uint8_t b)
{
	struct record_rules r = RECORD_RULES_DEFAULT;
	int codec = b & 7;

	if (codec < CODEC_COUNT_ && codec_built_in((enum codec)codec))
		r.compression = codec;
	r.timestamp_type = (b & 8) != 0 ? TIMESTAMP_LOG_APPEND_TIME : TIMESTAMP_CREATE_TIME;
	r.compacted = (b & 16) != 0;
	if ((b & 32) != 0)
		r.timestamp_before_max_ms = r.timestamp_after_max_ms = 1000;
	if ((b & 64) != 0)
		r.max_message_bytes = 200;
	return (r);
}

static void
assigned(struct codec_ctx *c, uint8_t *bytes, const struct record_rules *rules, const struct record_info *info, struct arena *a)
{
	const struct record_request again = { RECORD_FROM_COORDINATOR, 11, NOW, "t", 0 };
	struct record_rules any = RECORD_RULES_DEFAULT;
	struct record_failure failure = { 0 };
	struct record_info info2;
	struct record_assigned out;
	struct batch_header h;
	struct slice whole = slice_of(bytes, info->size);
	struct walk w;

	record_assign(bytes, info, rules->timestamp_type, 1000, 7, NOW, &out);
	FUZZ_CHECK(batch_header_decode(whole, &h) == OK && h.size == whole.len && h.magic == 2);
	FUZZ_CHECK(h.base_offset == 1000 && h.last_offset == out.last_offset && h.leader_epoch == 7);
	FUZZ_CHECKF(batch_crc_ok(whole), "a batch that was assigned its offsets has a right checksum");
	FUZZ_CHECK(out.last_offset - out.base_offset == info->last_offset_delta);
	w = walk(c, whole, &h, RECORD_FULL);
	FUZZ_CHECKF(w.end == OK || w.end == ERR_LIMIT || (w.end == ERR_NOTFOUND && w.records == info->record_count), "%lld records of %d, then %s",
	    (long long)w.records, (int)info->record_count, err_name(w.end));
	any.max_message_bytes = INT32_MAX;
	batch_set_base_offset(bytes, 0);	/* outside the checksum; ours begin with it */
	FUZZ_CHECKF(record_validate(whole, &any, &again, c, a, &info2, &failure) == KERR_NONE, "what we took is taken again: %s",
	    failure.detail == NULL ? "" : failure.detail);
}

static void
produce(struct codec_ctx *c, struct slice all, uint8_t b, uint8_t version)
{
	const struct record_request request = { RECORD_FROM_CLIENT, (int16_t)(version % 12), NOW, "t", 0 };
	const struct record_rules rules = rules_of(b);
	struct record_failure failure = { 0 };
	struct record_info info;
	struct arena a;
	uint8_t *bytes = NULL;
	enum kerr k;

	arena_init(&a, ARENA);
	(void)record_validate_is_large(all, &rules);
	k = record_validate(all, &rules, &request, c, &a, &info, &failure);
	FUZZ_CHECKF(k == failure.code, "the answer is the failure's code");
	FUZZ_CHECKF((k == KERR_NONE) == (failure.detail == NULL), "words when it is refused");
	if (k == KERR_NONE && info.size > 0) {
		if (info.needs_rebuild)
			k = record_rebuild(all, &rules, &request, c, &a, &info, &bytes, &failure);
		else {
			FUZZ_CHECK(info.size <= all.len);
			bytes = xmalloc(info.size);
			memcpy(bytes, all.p, info.size);
		}
		if (k == KERR_NONE)
			assigned(c, bytes, &rules, &info, &a);
	}
	free(bytes);
	arena_fini(&a);
}

/* ---- what an old client is given ---- */

static void
downconvert(struct codec_ctx *c, struct slice all, int8_t magic)
{
	struct codec_out out = { .cap = OUT_MAX };
	struct errbuf eb = ERRBUF_INIT;
	enum err e = record_downconvert(c, all, magic, 0, &out, &eb);
	struct batch_iter it;
	struct batch_header h;
	struct slice whole;

	FUZZ_CHECK(e != OK || out.len <= OUT_MAX);
	FUZZ_CHECK(e == OK || out.len == 0);
	it = batch_iter_of(slice_of(out.p, out.len));
	while (e == OK && (e = batch_iter_next(&it, &h, &whole)) == OK)
		FUZZ_CHECK(h.magic <= magic);
	FUZZ_CHECKF(e == ERR_NOTFOUND || out.len == 0, "what was converted is whole messages: %s", err_name(e));
	free(out.p);
}

/* ---- what the input asks to be done before ---- */

static void
mend(uint8_t *p, size_t len)
{
	struct batch_iter it = batch_iter_of(slice_of(p, len));
	struct batch_header h;
	struct slice whole;

	while (batch_iter_next(&it, &h, &whole) == OK)
		be32enc((uint8_t *)(uintptr_t)whole.p + (h.magic == 2 ? BATCH_CRC : LEGACY_CRC), batch_crc(whole));
}

/* Body of the first batch through a codec; the rest is left out. */
static struct slice
compressed(struct codec_ctx *c, enum codec codec, struct slice all)
{
	struct codec_out out = { .cap = OUT_MAX };
	struct batch_iter it = batch_iter_of(all);
	struct batch_header h;
	struct codec_writer w;
	struct slice whole;
	uint8_t *p;

	if (batch_iter_next(&it, &h, &whole) != OK || h.magic != 2)
		return (SLICE_NULL);
	FUZZ_CHECK(codec_writer_init(&w, c, codec, CODEC_LEVEL_DEFAULT, 2, &out, NULL) == OK);
	FUZZ_CHECK(codec_writer_put(&w, whole.p + BATCH_OVERHEAD, whole.len - BATCH_OVERHEAD) == OK && codec_writer_finish(&w) == OK);
	p = xmalloc(BATCH_OVERHEAD + out.len);
	memcpy(p, whole.p, BATCH_OVERHEAD);
	if (out.len > 0)
		memcpy(p + BATCH_OVERHEAD, out.p, out.len);
	be32enc(p + BATCH_LENGTH, (uint32_t)(BATCH_OVERHEAD + out.len - BATCH_LOG_OVERHEAD));
	be16enc(p + BATCH_ATTRIBUTES, (uint16_t)((h.attributes & ~BATCH_ATTR_CODEC) | codec));
	free(out.p);
	return (slice_of(p, BATCH_OVERHEAD + out.len));
}

static struct slice
prepared(struct codec_ctx *c, uint8_t flags, struct slice in)
{
	unsigned codec = (flags >> 1) & 7;
	struct slice s = SLICE_NULL;
	uint8_t *p;

	if (codec > CODEC_NONE && codec < CODEC_COUNT_ && codec_built_in((enum codec)codec))
		s = compressed(c, (enum codec)codec, in);
	if (s.p == NULL) {
		p = xmalloc(in.len + 1);
		if (in.len > 0)
			memcpy(p, in.p, in.len);
		s = slice_of(p, in.len);
	}
	p = (uint8_t *)(uintptr_t)s.p;
	if ((flags & MEND) != 0)
		mend(p, s.len);
	return (s);
}

void
fuzz_one(struct slice in)
{
	uint8_t flags = fuzz_u8(&in), rules = fuzz_u8(&in), version = fuzz_u8(&in);
	struct codec_ctx *c = codec_ctx_new();
	struct slice all = prepared(c, flags, in);

	iterate(c, all);
	produce(c, all, rules, version);
	downconvert(c, all, 0);
	downconvert(c, all, 1);
	free((void *)(uintptr_t)all.p);
	codec_ctx_free(c);
}

/* ---- seeds: Java's batches, in every format and codec ---- */

static void
seed_each(struct slice all, uint8_t version, fuzz_give *give, void *ctx)
{
	static const uint8_t rules[] = { 7, 1, 8, 16 + 4, 7 };
	struct batch_iter it = batch_iter_of(all);
	struct batch_header h;
	struct slice whole;

	for (unsigned n = 0; batch_iter_next(&it, &h, &whole) == OK; n++) {
		uint8_t head[3] = { (uint8_t)(MEND | (h.magic == 2 ? n % CODEC_COUNT_ << 1 : 0)), rules[n % NELEM(rules)], version };

		if (whole.len <= SEED_MAX && n % SEED_STEP == 0)
			fuzz_give2(give, ctx, head, sizeof(head), whole);
	}
}

static void
seed_marker(fuzz_give *give, void *ctx)
{
	const struct end_txn_marker m = { 5, NOW, 7, 3, 1, 0, CONTROL_COMMIT };
	uint8_t head[3] = { MEND, 7, 11 }, bytes[BATCH_END_TXN_BYTES];

	batch_end_txn_encode(bytes, &m);
	fuzz_give2(give, ctx, head, sizeof(head), slice_of(bytes, sizeof(bytes)));
}

static void
seed_built(fuzz_give *give, void *ctx)
{
	const struct record_header headers[2] = { { SLICE_LIT("h"), SLICE_LIT("v") }, { SLICE_LIT("h"), SLICE_NULL } };

	for (int codec = 0; codec < CODEC_COUNT_; codec++) {
		struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
		struct batch_builder *b;
		uint8_t head[3] = { MEND, 7, 11 }, *bytes;
		size_t len;

		o.codec = (enum codec)codec;
		o.producer_id = codec % 2 == 0 ? -1 : 9;
		o.producer_epoch = codec % 2 == 0 ? -1 : 0;
		o.base_sequence = codec % 2 == 0 ? -1 : 5;
		b = batch_builder_new(NULL, &o, NULL);
		if (b == NULL)
			continue;
		for (int i = 0; i < 3; i++)
			FUZZ_CHECK(batch_builder_append(b, NOW + i, SLICE_LIT("key"), SLICE_LIT("a value"), headers, 2) == OK);
		FUZZ_CHECK(batch_builder_finish(b, &bytes, &len, NULL) == OK);
		batch_builder_free(b);
		fuzz_give2(give, ctx, head, sizeof(head), slice_of(bytes, len));
		free(bytes);
	}
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const struct { const char *name; uint8_t version; } golden[] = {
		{ "test/golden/record/batches.bin.gz", 11 }, { "test/golden/record/legacy.bin.gz", 2 }, { "test/golden/record/converted.bin.gz", 1 },
	};
	struct codec_ctx *c = codec_ctx_new();

	for (size_t i = 0; i < NELEM(golden); i++) {
		struct slice packed = fuzz_golden(golden[i].name), piece;
		struct codec_out all = { .cap = OUT_MAX };
		struct codec_reader r;

		FUZZ_CHECK(packed.p != NULL && codec_reader_init(&r, c, CODEC_GZIP, 2, packed, NULL) == OK);
		while (codec_reader_next(&r, &piece, NULL) == OK && piece.len > 0) {
			all.p = xreallocarray(all.p, all.len + piece.len, 1);
			memcpy(all.p + all.len, piece.p, piece.len);
			all.len += piece.len;
		}
		codec_reader_fini(&r);
		seed_each(slice_of(all.p, all.len), golden[i].version, give, ctx);
		free(all.p);
		free((void *)(uintptr_t)packed.p);
	}
	codec_ctx_free(c);
	seed_built(give, ctx);
	seed_marker(give, ctx);
}
