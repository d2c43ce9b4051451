/* SPDX-License-Identifier: Apache-2.0
 *
 * What a leader takes, refuses and changes: each row of Kafka's order of checks, and two faults at once where the order shows.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "record/record.h"
#include "record/validate.h"
#include "test/unit/unit.h"

#define NOW	INT64_C(1700000000000)

struct probe {
	struct record_rules   rules;
	struct record_request request;
	struct arena	      arena;
	struct codec_ctx     *ctx;
	struct record_info    info;
	struct record_failure failure;
};

static void
probe_init(struct probe *p)
{
	*p = (struct probe){ .rules = RECORD_RULES_DEFAULT, .request = { .produce_version = 9, .now_ms = NOW, .topic = "t", .partition = 0 } };
	arena_init(&p->arena, 1 << 20);
	p->ctx = codec_ctx_new();
}

static void
probe_fini(struct probe *p)
{
	arena_fini(&p->arena);
	codec_ctx_free(p->ctx);
}

struct bytes { uint8_t *p; size_t len; };

struct rec { int64_t ts; const char *key, *value; };

static struct bytes
make(const struct batch_builder_options *o, const struct rec *recs, size_t n)
{
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b = batch_builder_new(NULL, o, &eb);
	struct bytes out = { NULL, 0 };

	for (size_t i = 0; i < n; i++)
		CHECK_EQ(batch_builder_append(b, recs[i].ts, slice_str(recs[i].key), slice_str(recs[i].value), NULL, 0), OK);
	CHECK_EQ(batch_builder_finish(b, &out.p, &out.len, NULL), OK);
	batch_builder_free(b);
	return (out);
}

static const struct rec three[] = { { NOW - 5, "a", "1" }, { NOW, "b", "2" }, { NOW - 3, NULL, "3" } };

static struct bytes
three_with(enum codec c)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;

	o.codec = c;
	return (make(&o, three, 3));
}

static void
fix_crc(struct bytes b)
{
	be32enc(b.p + BATCH_CRC, batch_crc(slice_of(b.p, b.len)));
}

static enum kerr
validate(struct probe *p, struct bytes b)
{
	enum kerr k;
	uint8_t *copy = malloc(b.len + 1);	/* exactly its size, for ASan; and to see that nothing changes */

	memcpy(copy, b.p, b.len);
	k = record_validate(slice_of(copy, b.len), &p->rules, &p->request, p->ctx, &p->arena, &p->info, &p->failure);
	CHECK(b.len == 0 || memcmp(copy, b.p, b.len) == 0);
	CHECK_EQ(k, p->failure.code);
	if (k != KERR_NONE)
		CHECK(p->failure.detail != NULL && p->failure.detail[0] != '\0');
	free(copy);
	return (k);
}

/* The error that a change to a good batch gives; the checksum is made right again. */
static enum kerr
with_field(struct probe *p, enum codec c, int at, int size, int64_t value)
{
	struct bytes b = three_with(c);
	enum kerr k;

	for (int i = 0; i < size; i++)
		b.p[at + i] = (uint8_t)((uint64_t)value >> 8 * (size - 1 - i));
	fix_crc(b);
	k = validate(p, b);
	free(b.p);
	return (k);
}

TEST(good_batches_of_every_codec_are_taken_as_they_are)
{
	struct probe p;

	probe_init(&p);
	for (enum codec c = CODEC_NONE; c < CODEC_COUNT_; c++) {
		struct bytes b;

		if (!codec_built_in(c))
			continue;
		b = three_with(c);
		CHECK_EQ(validate(&p, b), KERR_NONE);
		CHECK(p.info.record_count == 3 && p.info.last_offset_delta == 2 && p.info.size == b.len && p.info.codec == c);
		CHECK_EQ(p.info.max_timestamp, NOW);
		CHECK(!p.info.needs_rebuild && !p.info.transactional && !p.info.control);
		CHECK(p.info.producer_id == -1 && p.info.base_sequence == -1 && p.info.last_sequence == -1);
		free(b.p);
	}
	probe_fini(&p);
}

TEST(anything_but_one_batch_of_magic_2_is_refused)
{
	struct probe p;
	struct bytes b = three_with(CODEC_NONE), two = { malloc(2 * b.len), 2 * b.len };

	probe_init(&p);
	CHECK_EQ(validate(&p, (struct bytes){ b.p, 0 }), KERR_INVALID_RECORD);
	CHECK_EQ(record_validate(SLICE_NULL, &p.rules, &p.request, p.ctx, &p.arena, &p.info, &p.failure), KERR_INVALID_RECORD);
	for (size_t n = 1; n < b.len; n++)
		CHECK_EQ(validate(&p, (struct bytes){ b.p, n }), KERR_INVALID_RECORD);
	memcpy(two.p, b.p, b.len);
	memcpy(two.p + b.len, b.p, b.len);
	CHECK_EQ(validate(&p, two), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_MAGIC, 1, 1), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_MAGIC, 1, 0), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_MAGIC, 1, 3), KERR_CORRUPT_MESSAGE);
	be32enc(b.p + BATCH_LENGTH, 3);
	CHECK_EQ(validate(&p, b), KERR_CORRUPT_MESSAGE);
	free(two.p);
	free(b.p);
	probe_fini(&p);
}

TEST(the_beginning_of_a_second_batch_is_cut_off)
{
	struct probe p;
	struct bytes b = three_with(CODEC_NONE), more = { malloc(2 * b.len), 0 };

	probe_init(&p);
	memcpy(more.p, b.p, b.len);
	memcpy(more.p + b.len, b.p, b.len);
	for (more.len = b.len + 1; more.len < 2 * b.len; more.len++) {
		CHECK_EQ(validate(&p, more), KERR_NONE);
		CHECK_EQ(p.info.size, b.len);
	}
	memset(more.p + b.len, 0, 20);
	more.len = b.len + 20;
	CHECK_EQ(validate(&p, more), KERR_CORRUPT_MESSAGE);
	free(more.p);
	free(b.p);
	probe_fini(&p);
}

TEST(headers_that_contradict_themselves_are_refused)
{
	struct probe p;

	probe_init(&p);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_BASE_OFFSET, 8, 1), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_RECORD_COUNT, 4, 0), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_RECORD_COUNT, 4, -1), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_RECORD_COUNT, 4, INT32_MIN), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_RECORD_COUNT, 4, 2), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_LAST_OFFSET_DELTA, 4, -1), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_LAST_OFFSET_DELTA, 4, 3), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_ATTRIBUTES, 2, BATCH_ATTR_CONTROL), KERR_INVALID_RECORD);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_PRODUCER_ID, 8, 7), KERR_INVALID_RECORD);	/* sequence -1 */
	CHECK(p.failure.error_message == NULL && p.failure.n_errors == 0);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_ATTRIBUTES, 2, 5), KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(with_field(&p, CODEC_NONE, BATCH_ATTRIBUTES, 2, 0x0100), KERR_NONE);	/* bits nobody looks at */
	probe_fini(&p);
}

TEST(a_count_that_the_records_do_not_have_is_refused)
{
	struct probe p;
	struct bytes b;

	probe_init(&p);
	for (enum codec c = CODEC_NONE; c < CODEC_COUNT_; c++) {
		if (!codec_built_in(c))
			continue;
		for (uint32_t count = 2; count <= 4; count += 2) {
			b = three_with(c);
			be32enc(b.p + BATCH_RECORD_COUNT, count);
			be32enc(b.p + BATCH_LAST_OFFSET_DELTA, count - 1);
			fix_crc(b);
			CHECK_EQ(validate(&p, b), KERR_INVALID_RECORD);
			free(b.p);
		}
	}
	probe_fini(&p);
}

TEST(idempotent_and_transactional_batches_tell_their_producer)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct probe p;
	struct bytes b;

	o.producer_id = 4711;
	o.producer_epoch = 3;
	o.base_sequence = INT32_MAX;
	o.transactional = true;
	b = make(&o, three, 3);
	probe_init(&p);
	CHECK_EQ(validate(&p, b), KERR_NONE);
	CHECK(p.info.producer_id == 4711 && p.info.producer_epoch == 3 && p.info.base_sequence == INT32_MAX && p.info.last_sequence == 1 && p.info.transactional);
	free(b.p);
	probe_fini(&p);
}

TEST(size_comes_before_checksum_and_offset_before_size)
{
	struct probe p;
	struct bytes b = three_with(CODEC_NONE);

	probe_init(&p);
	p.rules.max_message_bytes = (int32_t)b.len;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	p.rules.max_message_bytes = (int32_t)b.len - 1;
	b.p[b.len - 1] ^= 1;
	CHECK_EQ(validate(&p, b), KERR_MESSAGE_TOO_LARGE);
	be64enc(b.p, 1);
	CHECK_EQ(validate(&p, b), KERR_INVALID_RECORD);
	be64enc(b.p, 0);
	p.rules.max_message_bytes = 1000;
	CHECK_EQ(validate(&p, b), KERR_CORRUPT_MESSAGE);
	fix_crc(b);
	b.p[b.len - 1] ^= 1;
	p.rules.segment_bytes = (int32_t)b.len - 1;
	fix_crc(b);
	CHECK_EQ(validate(&p, b), KERR_RECORD_LIST_TOO_LARGE);
	p.rules.segment_bytes++;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	free(b.p);
	probe_fini(&p);
}

TEST(every_damaged_bit_is_refused)
{
	struct probe p;
	struct bytes b = three_with(CODEC_NONE);

	probe_init(&p);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		enum kerr k;

		if (bit / 8 >= BATCH_LEADER_EPOCH && bit / 8 < BATCH_MAGIC)
			continue;	/* the epoch is the leader's to write */
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		k = validate(&p, b);
		CHECK(k == KERR_CORRUPT_MESSAGE || k == KERR_INVALID_RECORD || k == KERR_MESSAGE_TOO_LARGE);
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		arena_reset(&p.arena);
	}
	free(b.p);
	probe_fini(&p);
}

#ifdef HAVE_ZSTD
TEST(zstd_needs_produce_7)
{
	struct probe p;
	struct bytes b = three_with(CODEC_ZSTD);

	probe_init(&p);
	p.request.produce_version = 6;
	CHECK_EQ(validate(&p, b), KERR_UNSUPPORTED_COMPRESSION_TYPE);
	p.request.produce_version = 7;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	free(b.p);
	probe_fini(&p);
}
#endif

TEST(streams_that_do_not_inflate_are_javas_server_error)
{
	struct probe p;
	struct bytes b = three_with(CODEC_GZIP);

	probe_init(&p);
	b.p[BATCH_OVERHEAD] ^= 0xff;
	fix_crc(b);
	CHECK_EQ(validate(&p, b), KERR_UNKNOWN_SERVER_ERROR);
	CHECK(p.failure.error_message == NULL);
	free(b.p);
	probe_fini(&p);
}

/* ---- records ---- */

TEST(compacted_topics_want_keys_and_each_missing_one_is_listed)
{
	static const struct rec recs[] = { { NOW, NULL, "1" }, { NOW, "", "2" }, { NOW, "k", NULL }, { NOW, NULL, "4" } };
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct probe p;
	struct bytes b = make(&o, recs, 4);

	probe_init(&p);
	CHECK_EQ(validate(&p, b), KERR_NONE);
	p.rules.compacted = true;
	CHECK_EQ(validate(&p, b), KERR_INVALID_RECORD);
	REQUIRE(p.failure.n_errors == 2);
	CHECK_EQ(p.failure.errors[0].index, 0);
	CHECK_EQ(p.failure.errors[1].index, 3);
	CHECK(p.failure.errors[0].message != NULL && strstr(p.failure.errors[0].message, "key") != NULL);
	CHECK(p.failure.error_message != NULL);
	free(b.p);
	probe_fini(&p);
}

TEST(timestamps_outside_the_topics_range_are_listed)
{
	static const struct rec recs[] = { { NOW - 101, "k", "" }, { NOW - 100, "k", "" }, { NOW + 50, "k", "" }, { NOW + 51, NULL, "" }, { -1, "k", "" } };
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct probe p;
	struct bytes b = make(&o, recs, 5);

	probe_init(&p);
	p.rules.timestamp_before_max_ms = 100;
	p.rules.timestamp_after_max_ms = 50;
	CHECK_EQ(validate(&p, b), KERR_INVALID_TIMESTAMP);
	REQUIRE(p.failure.n_errors == 2);
	CHECK_EQ(p.failure.errors[0].index, 0);
	CHECK_EQ(p.failure.errors[1].index, 3);
	p.rules.compacted = true;	/* the key is looked at first, but one timestamp decides the code */
	CHECK_EQ(validate(&p, b), KERR_INVALID_TIMESTAMP);
	REQUIRE(p.failure.n_errors == 2);
	CHECK(strstr(p.failure.errors[1].message, "key") != NULL);
	p.rules.compacted = false;
	p.rules.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;	/* then nobody looks */
	CHECK_EQ(validate(&p, b), KERR_NONE);
	free(b.p);
	probe_fini(&p);
}

TEST(extreme_timestamps_do_not_overflow)
{
	static const int64_t odd[] = { INT64_MAX, 0, 1 };
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct probe p;

	probe_init(&p);
	for (size_t i = 0; i < NELEM(odd); i++) {
		struct rec r = { odd[i], "k", "v" };
		struct bytes b = make(&o, &r, 1);

		CHECK_EQ(validate(&p, b), KERR_NONE);
		CHECK_EQ(p.info.max_timestamp, odd[i]);
		be64enc(b.p + BATCH_BASE_TIMESTAMP, (uint64_t)INT64_MIN);
		fix_crc(b);
		(void)validate(&p, b);
		free(b.p);
	}
	probe_fini(&p);
}

TEST(a_client_may_set_log_append_time_only_where_it_does_not_count)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct record_assigned a;
	struct batch_header h;
	struct probe p;
	struct bytes b;

	o.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;
	o.log_append_time_ms = NOW - 7;
	b = make(&o, three, 3);
	probe_init(&p);
	p.rules.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;
	CHECK_EQ(validate(&p, b), KERR_INVALID_TIMESTAMP);
	CHECK_EQ(p.failure.n_errors, 3);
	p.rules.timestamp_type = TIMESTAMP_CREATE_TIME;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	CHECK_EQ(p.info.max_timestamp, NOW - 7);
	record_assign(b.p, &p.info, TIMESTAMP_CREATE_TIME, 0, 0, NOW, &a);
	CHECK_EQ(batch_header_decode(slice_of(b.p, b.len), &h), OK);
	CHECK(batch_timestamp_type(&h) == TIMESTAMP_CREATE_TIME && batch_crc_ok(slice_of(b.p, b.len)));
	free(b.p);
	probe_fini(&p);
}

TEST(the_list_of_errors_is_bounded_and_the_count_is_not)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct rec *recs = calloc(3000, sizeof(*recs));
	struct probe p;
	struct bytes b;

	for (int i = 0; i < 3000; i++)
		recs[i].ts = NOW;
	b = make(&o, recs, 3000);
	probe_init(&p);
	p.rules.compacted = true;
	CHECK_EQ(validate(&p, b), KERR_INVALID_RECORD);
	CHECK_EQ(p.failure.n_errors, LIMIT_RECORD_ERRORS_MAX);
	CHECK(strstr(p.failure.error_message, "3000") != NULL);
	arena_fini(&p.arena);
	arena_init(&p.arena, 100);	/* no room for any of it: still an answer */
	CHECK_EQ(validate(&p, b), KERR_INVALID_RECORD);
	free(recs);
	free(b.p);
	probe_fini(&p);
}

/* ---- assignment ---- */

TEST(assignment_leaves_a_good_create_time_batch_and_its_checksum)
{
	struct bytes b = three_with(CODEC_NONE);
	uint32_t crc = be32dec(b.p + BATCH_CRC);
	struct record_assigned a;
	struct batch_header h;
	struct probe p;

	probe_init(&p);
	CHECK_EQ(validate(&p, b), KERR_NONE);
	record_assign(b.p, &p.info, TIMESTAMP_CREATE_TIME, 1000, 42, NOW + 9, &a);
	CHECK(a.base_offset == 1000 && a.last_offset == 1002 && a.max_timestamp == NOW && a.offset_of_max_timestamp == 1002 && a.log_append_time_ms == -1);
	REQUIRE(batch_header_decode(slice_of(b.p, b.len), &h) == OK);
	CHECK(h.base_offset == 1000 && h.leader_epoch == 42 && h.crc == crc && batch_crc_ok(slice_of(b.p, b.len)));
	free(b.p);
	probe_fini(&p);
}

TEST(log_append_time_goes_into_the_header)
{
	struct bytes b = three_with(CODEC_GZIP);
	struct errbuf eb = ERRBUF_INIT;
	struct record_assigned a;
	struct batch_header h;
	struct record_iter it;
	struct record r;
	struct probe p;

	probe_init(&p);
	p.rules.timestamp_type = TIMESTAMP_LOG_APPEND_TIME;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	record_assign(b.p, &p.info, TIMESTAMP_LOG_APPEND_TIME, 5, 1, NOW + 9, &a);
	CHECK(a.max_timestamp == NOW + 9 && a.log_append_time_ms == NOW + 9 && a.offset_of_max_timestamp == 7);
	REQUIRE(batch_header_decode(slice_of(b.p, b.len), &h) == OK);
	CHECK(batch_timestamp_type(&h) == TIMESTAMP_LOG_APPEND_TIME && h.max_timestamp == NOW + 9 && h.base_timestamp == NOW - 5);
	CHECK(batch_crc_ok(slice_of(b.p, b.len)));
	CHECK_EQ(record_iter_init(&it, p.ctx, slice_of(b.p, b.len), &h, RECORD_FRAMING, &eb), OK);
	while (record_iter_next(&it, &r, &eb) == OK)
		CHECK_EQ(r.timestamp, NOW + 9);
	record_iter_fini(&it);
	free(b.p);
	probe_fini(&p);
}

TEST(a_wrong_maximum_timestamp_is_put_right)
{
	struct bytes b = three_with(CODEC_NONE);
	struct record_assigned a;
	struct probe p;

	be64enc(b.p + BATCH_MAX_TIMESTAMP, 12345);
	fix_crc(b);
	probe_init(&p);
	CHECK_EQ(validate(&p, b), KERR_NONE);
	record_assign(b.p, &p.info, TIMESTAMP_CREATE_TIME, 0, 0, NOW, &a);
	CHECK_EQ(be64dec(b.p + BATCH_MAX_TIMESTAMP), NOW);
	CHECK(batch_crc_ok(slice_of(b.p, b.len)));
	free(b.p);
	probe_fini(&p);
}

/* ---- rebuilding ---- */

static void
check_rebuilt(struct probe *p, struct bytes b, enum codec to)
{
	struct errbuf eb = ERRBUF_INIT;
	struct record_assigned a;
	struct batch_header h;
	struct record_iter it;
	struct record r;
	uint8_t *out;
	int n = 0;

	CHECK_EQ(validate(p, b), KERR_NONE);
	REQUIRE(p->info.needs_rebuild);
	CHECK_EQ(record_rebuild(slice_of(b.p, b.len), &p->rules, &p->request, p->ctx, &p->arena, &p->info, &out, &p->failure), KERR_NONE);
	REQUIRE(out != NULL);
	CHECK(!p->info.needs_rebuild && p->info.codec == to && p->info.record_count == 3 && p->info.last_offset_delta == 2 && p->info.max_timestamp == NOW);
	record_assign(out, &p->info, TIMESTAMP_CREATE_TIME, 70, 2, NOW, &a);
	REQUIRE(batch_header_decode(slice_of(out, p->info.size), &h) == OK);
	CHECK(batch_crc_ok(slice_of(out, p->info.size)) && batch_codec(&h) == to && h.last_offset == 72);
	CHECK_EQ(record_iter_init(&it, p->ctx, slice_of(out, p->info.size), &h, RECORD_FULL, &eb), OK);
	for (; record_iter_next(&it, &r, &eb) == OK; n++) {
		CHECK_EQ(r.offset, 70 + n);
		CHECK(n < 3 && r.timestamp == three[n].ts && slice_eq_str(r.key, three[n].key) && slice_eq_str(r.value, three[n].value));
	}
	CHECK_EQ(n, 3);
	record_iter_fini(&it);
	free(out);
}

TEST(the_topics_codec_replaces_the_producers)
{
	struct probe p;

	probe_init(&p);
	for (enum codec from = CODEC_NONE; from < CODEC_COUNT_; from++) {
		for (enum codec to = CODEC_NONE; to < CODEC_COUNT_; to++) {
			struct bytes b;

			if (!codec_built_in(from) || !codec_built_in(to))
				continue;
			b = three_with(from);
			p.rules.compression = (int)to;
			if (from != to)
				check_rebuilt(&p, b, to);
			else
				CHECK(validate(&p, b) == KERR_NONE && !p.info.needs_rebuild);
			free(b.p);
		}
	}
	probe_fini(&p);
}

TEST(gaps_between_offsets_matter_only_where_kafka_looks)
{
	struct probe p;

	probe_init(&p);
	for (enum codec c = CODEC_NONE; c <= CODEC_GZIP; c++) {
		struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
		struct errbuf eb = ERRBUF_INIT;
		struct batch_builder *bb;
		struct bytes b;

		o.codec = c;
		bb = batch_builder_new(NULL, &o, &eb);
		for (int i = 0; i < 3; i++)
			CHECK_EQ(batch_builder_append_at(bb, 10 * i, three[i].ts, slice_str(three[i].key), slice_str(three[i].value), NULL, 0), OK);
		CHECK_EQ(batch_builder_finish(bb, &b.p, &b.len, NULL), OK);
		batch_builder_free(bb);
		be32enc(b.p + BATCH_LAST_OFFSET_DELTA, 2);
		fix_crc(b);
		p.rules.compression = RECORD_COMPRESSION_PRODUCER;
		CHECK_EQ(validate(&p, b), c == CODEC_NONE ? KERR_NONE : KERR_UNKNOWN_SERVER_ERROR);
		CHECK(!p.info.needs_rebuild);
		p.rules.compression = CODEC_SNAPPY;
		check_rebuilt(&p, b, CODEC_SNAPPY);
		free(b.p);
	}
	probe_fini(&p);
}

TEST(a_batch_that_grows_past_the_limit_is_refused)
{
	static char text[20001];
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct rec r = { NOW, "k", memset(text, 'x', 20000) };
	struct probe p;
	struct bytes b;
	uint8_t *out;

	o.codec = CODEC_GZIP;
	b = make(&o, &r, 1);
	probe_init(&p);
	p.rules.max_message_bytes = 10000;
	p.rules.compression = CODEC_NONE;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	CHECK_EQ(record_rebuild(slice_of(b.p, b.len), &p.rules, &p.request, p.ctx, &p.arena, &p.info, &out, &p.failure), KERR_MESSAGE_TOO_LARGE);
	CHECK(out == NULL);
	p.rules.max_message_bytes = 30000;
	p.rules.segment_bytes = 20000;
	CHECK_EQ(validate(&p, b), KERR_NONE);
	CHECK_EQ(record_rebuild(slice_of(b.p, b.len), &p.rules, &p.request, p.ctx, &p.arena, &p.info, &out, &p.failure), KERR_RECORD_LIST_TOO_LARGE);
	CHECK(out == NULL);
	free(b.p);
	probe_fini(&p);
}

TEST(coordinators_may_write_control_batches_and_topics_codecs_leave_them_alone)
{
	struct end_txn_marker m = { .base_offset = 0, .timestamp_ms = NOW, .producer_id = 7, .leader_epoch = -1, .producer_epoch = 1, .coordinator_epoch = 2,
	    .type = CONTROL_COMMIT };
	uint8_t bytes[BATCH_END_TXN_BYTES];
	struct probe p;

	batch_end_txn_encode(bytes, &m);
	probe_init(&p);
	CHECK_EQ(validate(&p, (struct bytes){ bytes, sizeof(bytes) }), KERR_INVALID_RECORD);
	p.request.origin = RECORD_FROM_COORDINATOR;
	p.rules.compression = CODEC_GZIP;
	CHECK_EQ(validate(&p, (struct bytes){ bytes, sizeof(bytes) }), KERR_NONE);
	CHECK(p.info.control && p.info.transactional && !p.info.needs_rebuild && p.info.producer_id == 7 && p.info.last_sequence == -1);
	probe_fini(&p);
}

/* Its records are not walked when the header says all: that must be what a walk finds. */
TEST(a_batch_of_a_coordinator_is_judged_as_one_of_a_client)
{
	static const struct rec same[] = { { NOW, "a", "1" }, { NOW, "b", "2" }, { NOW, "c", "3" } }, early[] = { { NOW, "a", "1" }, { NOW - 1000, "b", "2" } },
	    late[] = { { NOW, "a", "1" }, { NOW + 1000, "b", "2" } };
	static const struct { const struct rec *v; size_t n; int64_t before; enum kerr k; } cases[] = { { same, 3, INT64_MAX, KERR_NONE },
		{ same, 3, 500, KERR_NONE }, { early, 2, INT64_MAX, KERR_NONE }, { early, 2, 500, KERR_INVALID_TIMESTAMP }, { late, 2, INT64_MAX, KERR_INVALID_TIMESTAMP } };
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes b = make(&o, cases[i].v, cases[i].n);
		struct record_info client;
		struct probe p;

		probe_init(&p);
		p.rules.timestamp_before_max_ms = cases[i].before;
		p.rules.timestamp_after_max_ms = 500;
		p.rules.compacted = true;
		CHECK_EQ(validate(&p, b), cases[i].k);
		client = p.info;
		p.request.origin = RECORD_FROM_COORDINATOR;
		CHECK_EQ(validate(&p, b), cases[i].k);
		CHECK(client.record_count == p.info.record_count && client.max_timestamp == p.info.max_timestamp && client.size == p.info.size);
		CHECK(client.last_offset_delta == p.info.last_offset_delta && client.codec == p.info.codec && client.needs_rebuild == p.info.needs_rebuild);
		probe_fini(&p);
		free(b.p);
	}
}

TEST(large_batches_are_for_workers)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	static char text[(1 << 20) + 1 + 8192];
	struct record_rules rules = RECORD_RULES_DEFAULT;
	struct rec r = { NOW, "k", memset(text, 'x', sizeof(text) - 1) };
	struct bytes small = three_with(CODEC_NONE), tiny = three_with(CODEC_GZIP), large = make(&o, &r, 1);

	CHECK(!record_validate_is_large(slice_of(small.p, small.len), &rules));
	CHECK(!record_validate_is_large(slice_of(tiny.p, tiny.len), &rules));
	CHECK(record_validate_is_large(slice_of(large.p, large.len), &rules));
	CHECK(!record_validate_is_large(slice_of(large.p, 100), &rules));
	CHECK(!record_validate_is_large(SLICE_NULL, &rules));
	r.value += 8192;		/* a megabyte, message.max.bytes by default: not large */
	free(large.p);
	large = make(&o, &r, 1);
	CHECK(large.len > 1 << 20);
	CHECK(!record_validate_is_large(slice_of(large.p, large.len), &rules));
	rules.compression = CODEC_GZIP;
	CHECK(record_validate_is_large(slice_of(large.p, large.len), &rules));
	free(small.p);
	free(tiny.p);
	free(large.p);
}

/* Whatever stands behind a right checksum: an answer, and no crash. */
TEST(random_bodies_behind_a_right_checksum_get_an_answer)
{
	uint64_t seed = unit_seed() | 1;
	struct probe p;

	probe_init(&p);
	for (int round = 0; round < 5000; round++) {
		enum codec c = (enum codec)(round % 5);
		struct bytes b;

		if (!codec_built_in(c))
			continue;
		b = three_with(c);
		p.rules.compression = round % 3 == 0 ? CODEC_NONE : RECORD_COMPRESSION_PRODUCER;
		for (int i = 0; i < 3; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			b.p[BATCH_ATTRIBUTES + (seed >> 33) % (b.len - BATCH_ATTRIBUTES)] ^= (uint8_t)(seed >> 20);
		}
		fix_crc(b);
		if (validate(&p, b) == KERR_NONE && p.info.needs_rebuild) {
			uint8_t *out;
			enum kerr k = record_rebuild(slice_of(b.p, b.len), &p.rules, &p.request, p.ctx, &p.arena, &p.info, &out, &p.failure);

			CHECK_EQ(out == NULL, k != KERR_NONE);
			free(out);
		}
		arena_reset(&p.arena);
		free(b.p);
	}
	probe_fini(&p);
}

UNIT_MAIN("record/validate", T(good_batches_of_every_codec_are_taken_as_they_are), T(anything_but_one_batch_of_magic_2_is_refused),
    T(the_beginning_of_a_second_batch_is_cut_off), T(headers_that_contradict_themselves_are_refused), T(a_count_that_the_records_do_not_have_is_refused),
    T(idempotent_and_transactional_batches_tell_their_producer), T(size_comes_before_checksum_and_offset_before_size), T(every_damaged_bit_is_refused),
#ifdef HAVE_ZSTD
    T(zstd_needs_produce_7),
#endif
    T(streams_that_do_not_inflate_are_javas_server_error), T(compacted_topics_want_keys_and_each_missing_one_is_listed),
    T(timestamps_outside_the_topics_range_are_listed), T(extreme_timestamps_do_not_overflow), T(a_client_may_set_log_append_time_only_where_it_does_not_count),
    T(the_list_of_errors_is_bounded_and_the_count_is_not), T(assignment_leaves_a_good_create_time_batch_and_its_checksum),
    T(log_append_time_goes_into_the_header), T(a_wrong_maximum_timestamp_is_put_right), T(the_topics_codec_replaces_the_producers),
    T(gaps_between_offsets_matter_only_where_kafka_looks), T(a_batch_that_grows_past_the_limit_is_refused),
    T(coordinators_may_write_control_batches_and_topics_codecs_leave_them_alone), T(a_batch_of_a_coordinator_is_judged_as_one_of_a_client),
    T(large_batches_are_for_workers),
    T(random_bodies_behind_a_right_checksum_get_an_answer))
