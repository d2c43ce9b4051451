/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "record/batch.h"
#include "record/record.h"
#include "test/unit/unit.h"

static uint8_t *
a_batch(size_t *len, struct batch_header *h)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b;
	uint8_t *bytes = NULL;

	o.base_offset = 10;
	o.leader_epoch = 3;
	b = batch_builder_new(NULL, &o, &eb);
	if (batch_builder_append(b, 1000, SLICE_LIT("k"), SLICE_LIT("v"), NULL, 0) == OK &&
	    batch_builder_append(b, 1005, SLICE_NULL, SLICE_LIT("w"), NULL, 0) == OK && batch_builder_finish(b, &bytes, len, h) != OK)
		bytes = NULL;
	batch_builder_free(b);
	return (bytes);
}

TEST(seventeen_bytes_tell_offset_size_and_magic)
{
	struct batch_header h;
	struct batch_peek p;
	size_t len;
	uint8_t *b = a_batch(&len, &h);

	REQUIRE(b != NULL);
	CHECK_EQ(batch_peek(slice_of(b, 16), &p), ERR_AGAIN);
	CHECK_EQ(batch_peek(slice_of(b, 17), &p), OK);
	CHECK_EQ(p.offset, 10);
	CHECK_EQ(p.size, len);
	CHECK_EQ(p.magic, 2);
	free(b);
}

TEST(impossible_lengths_and_magics_are_corrupt)
{
	static const int32_t lengths[] = { -1, INT32_MIN, 0, 13, 48, INT32_MAX, INT32_MAX - 11 };
	struct batch_peek p;
	struct batch_header h;
	uint8_t b[64] = { 0 };

	b[BATCH_MAGIC] = 2;
	for (size_t i = 0; i < NELEM(lengths); i++) {
		be32enc(b + BATCH_LENGTH, (uint32_t)lengths[i]);
		CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), ERR_CORRUPT);
		CHECK_EQ(batch_header_decode(slice_of(b, sizeof(b)), &h), ERR_CORRUPT);
	}
	be32enc(b + BATCH_LENGTH, INT32_MAX - 12);
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), OK);
	be32enc(b + BATCH_LENGTH, 49);
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), OK);
	b[BATCH_MAGIC] = 3;
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), ERR_CORRUPT);
	b[BATCH_MAGIC] = 0xff;
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), ERR_CORRUPT);
	b[BATCH_MAGIC] = 0;
	be32enc(b + BATCH_LENGTH, 13);
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), ERR_CORRUPT);
	be32enc(b + BATCH_LENGTH, 14);
	CHECK_EQ(batch_peek(slice_of(b, sizeof(b)), &p), OK);
}

TEST(a_header_needs_61_bytes_and_no_more)
{
	struct batch_header made, h;
	size_t len;
	uint8_t *b = a_batch(&len, &made);

	REQUIRE(b != NULL);
	for (size_t n = 0; n < BATCH_OVERHEAD; n++)
		CHECK_EQ(batch_header_decode(slice_of(b, n), &h), ERR_AGAIN);
	CHECK_EQ(batch_header_decode(slice_of(b, BATCH_OVERHEAD), &h), OK);
	CHECK_EQ(h.base_offset, 10);
	CHECK_EQ(h.last_offset, 11);
	CHECK_EQ(h.leader_epoch, 3);
	CHECK_EQ(h.record_count, 2);
	CHECK_EQ(h.base_timestamp, 1000);
	CHECK_EQ(h.max_timestamp, 1005);
	CHECK_EQ(h.producer_id, -1);
	CHECK_EQ(h.crc, made.crc);
	CHECK_EQ(batch_last_sequence(&h), -1);
	CHECK(!batch_has_producer(&h));
	free(b);
}

TEST(sequences_wrap_from_the_largest_to_zero)
{
	struct batch_header h = { .base_sequence = INT32_MAX, .last_offset_delta = 0 };

	CHECK_EQ(batch_sequence_add(5, 3), 8);
	CHECK_EQ(batch_sequence_add(INT32_MAX, 1), 0);
	CHECK_EQ(batch_sequence_add(INT32_MAX - 1, 3), 1);
	CHECK_EQ(batch_sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
	CHECK_EQ(batch_sequence_sub(0, 1), INT32_MAX);
	CHECK_EQ(batch_sequence_sub(1, 3), INT32_MAX - 1);
	CHECK_EQ(batch_sequence_sub(8, 3), 5);
	CHECK_EQ(batch_last_sequence(&h), INT32_MAX);
	h.last_offset_delta = 2;
	CHECK_EQ(batch_last_sequence(&h), 1);
	h.last_offset_delta = -7;	/* a peer's nonsense does not overflow */
	CHECK_EQ(batch_last_sequence(&h), INT32_MAX);
	h.base_sequence = -1;
	CHECK_EQ(batch_last_sequence(&h), -1);
}

TEST(a_buffer_is_walked_to_its_partial_end)
{
	struct batch_header h;
	struct slice whole;
	size_t len;
	uint8_t *b = a_batch(&len, &h), buf[512];

	REQUIRE(b != NULL && len * 3 < sizeof(buf));
	memcpy(buf, b, len);
	memcpy(buf + len, b, len);
	memcpy(buf + 2 * len, b, len);
	for (size_t n = 0; n <= 3 * len; n++) {
		struct batch_iter it = batch_iter_of(slice_of(buf, n));
		size_t got = 0;
		enum err e;

		while ((e = batch_iter_next(&it, &h, &whole)) == OK)
			CHECK(whole.p == buf + got++ * len && whole.len == len && h.size == len);
		CHECK_EQ(got, n / len);
		CHECK_EQ(it.position, got * len);
		CHECK_EQ(e, n % len == 0 ? ERR_NOTFOUND : ERR_AGAIN);
	}
	free(b);
}

TEST(every_flipped_bit_under_the_checksum_is_found)
{
	struct batch_header h;
	size_t len;
	uint8_t *b = a_batch(&len, &h);

	REQUIRE(b != NULL);
	CHECK(batch_crc_ok(slice_of(b, len)));
	for (size_t bit = BATCH_CRC * 8; bit < len * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!batch_crc_ok(slice_of(b, len)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < len; n++)
		CHECK(!batch_crc_ok(slice_of(b, n)));
	free(b);
}

TEST(offset_and_epoch_lie_outside_the_checksum)
{
	struct batch_header h;
	size_t len;
	uint8_t *b = a_batch(&len, &h);

	REQUIRE(b != NULL);
	batch_set_base_offset(b, INT64_C(1) << 60);
	batch_set_leader_epoch(b, 12345);
	CHECK(batch_crc_ok(slice_of(b, len)));
	CHECK_EQ(batch_header_decode(slice_of(b, len), &h), OK);
	CHECK_EQ(h.base_offset, INT64_C(1) << 60);
	CHECK_EQ(h.last_offset, (INT64_C(1) << 60) + 1);
	CHECK_EQ(h.leader_epoch, 12345);
	free(b);
}

TEST(a_new_timestamp_gets_a_new_checksum_and_the_same_one_does_not)
{
	struct batch_header h;
	size_t len;
	uint8_t *b = a_batch(&len, &h), before[256];

	REQUIRE(b != NULL && len < sizeof(before));
	memcpy(before, b, len);
	batch_set_max_timestamp(b, len, TIMESTAMP_CREATE_TIME, 1005);
	CHECK_MEM(b, before, len);
	be16enc(b + BATCH_ATTRIBUTES, 0x8100 | BATCH_ATTR_TRANSACTIONAL);	/* bits nobody knows are dropped when attributes are written */
	batch_set_max_timestamp(b, len, TIMESTAMP_LOG_APPEND_TIME, 99);
	CHECK(batch_crc_ok(slice_of(b, len)));
	CHECK_EQ(batch_header_decode(slice_of(b, len), &h), OK);
	CHECK_EQ(h.attributes, BATCH_ATTR_TRANSACTIONAL | BATCH_ATTR_APPEND_TIME);
	CHECK_EQ(h.max_timestamp, 99);
	CHECK_EQ(h.base_timestamp, 1000);
	batch_set_max_timestamp(b, len, TIMESTAMP_CREATE_TIME, 99);
	CHECK_EQ(batch_header_decode(slice_of(b, len), &h), OK);
	CHECK_EQ(h.attributes, BATCH_ATTR_TRANSACTIONAL);
	free(b);
}

/* ---- control ---- */

static enum err
decode_control(const void *key, size_t key_len, const void *value, size_t value_len, bool control, struct control_record *c)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b;
	uint8_t *bytes;
	size_t len;
	enum err e;

	o.control = control;
	b = batch_builder_new(NULL, &o, &eb);
	if (batch_builder_append(b, 1, slice_of(key, key_len), slice_of(value, value_len), NULL, 0) != OK || batch_builder_finish(b, &bytes, &len, NULL) != OK)
		abort();
	batch_builder_free(b);
	e = batch_control_decode(slice_of(bytes, len), c, &eb);
	free(bytes);
	return (e);
}

TEST(markers_are_read_with_what_newer_versions_append)
{
	struct control_record c;

	CHECK_EQ(decode_control("\0\0\0\1", 4, "\0\0\0\0\0\7", 6, true, &c), OK);
	CHECK_EQ(c.type, CONTROL_COMMIT);
	CHECK_EQ(c.coordinator_epoch, 7);
	CHECK_EQ(decode_control("\0\3\0\0more", 8, "\0\1\0\0\1\0more", 10, true, &c), OK);
	CHECK_EQ(c.type, CONTROL_ABORT);
	CHECK_EQ(c.coordinator_epoch, 256);
	CHECK_EQ(decode_control("\0\0\0\2", 4, NULL, 0, true, &c), OK);
	CHECK_EQ(c.type, CONTROL_UNKNOWN);
}

TEST(broken_markers_are_refused)
{
	struct control_record c;

	CHECK_EQ(decode_control("\0\0\0", 3, "\0\0\0\0\0\7", 6, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control("\xff\xff\0\1", 4, "\0\0\0\0\0\7", 6, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control("\0\0\0\1", 4, "\0\0\0\0\0", 5, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control("\0\0\0\1", 4, "\xff\0\0\0\0\7", 6, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control("\0\0\0\1", 4, NULL, 0, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control(NULL, 0, NULL, 0, true, &c), ERR_MALFORMED);
	CHECK_EQ(decode_control("\0\0\0\1", 4, "\0\0\0\0\0\7", 6, false, &c), ERR_MALFORMED);
}

/* ---- legacy ---- */

static size_t
legacy(uint8_t *b, size_t room, int64_t offset, int8_t magic, const char *key, const char *value, uint8_t attributes)
{
	struct writer w = writer_of(b, room);
	size_t len;

	wr_i64(&w, offset);
	wr_i32(&w, 0);
	wr_i32(&w, 0);
	wr_i8(&w, magic);
	wr_i8(&w, (int8_t)attributes);
	if (magic == 1)
		wr_i64(&w, 4242);
	wr_i32(&w, key == NULL ? -1 : (int32_t)strlen(key));
	wr_bytes(&w, key, key == NULL ? 0 : strlen(key));
	wr_i32(&w, value == NULL ? -1 : (int32_t)strlen(value));
	wr_bytes(&w, value, value == NULL ? 0 : strlen(value));
	len = wr_len(&w);
	be32enc(b + BATCH_LENGTH, (uint32_t)len - BATCH_LOG_OVERHEAD);
	be32enc(b + LEGACY_CRC, (uint32_t)crc32(0, b + LEGACY_MAGIC, (unsigned)(len - LEGACY_MAGIC)));
	return (len);
}

TEST(legacy_messages_are_stepped_over_and_read)
{
	uint8_t b[256];
	size_t a = legacy(b, sizeof(b), 5, 0, "key", "value", 0), n = a + legacy(b + a, sizeof(b) - a, 6, 1, NULL, NULL, BATCH_ATTR_APPEND_TIME);
	struct batch_iter it = batch_iter_of(slice_of(b, n));
	struct batch_header h;
	struct legacy_message m;
	struct slice whole;

	REQUIRE(batch_iter_next(&it, &h, &whole) == OK);
	CHECK(h.magic == 0 && h.base_offset == 5 && h.last_offset == 5 && h.max_timestamp == -1 && h.record_count == 1 && h.leader_epoch == -1);
	CHECK(batch_crc_ok(whole));
	CHECK_EQ(legacy_message_decode(whole, &m), OK);
	CHECK(slice_eq_str(m.key, "key") && slice_eq_str(m.value, "value"));
	REQUIRE(batch_iter_next(&it, &h, &whole) == OK);
	CHECK(h.magic == 1 && h.max_timestamp == 4242 && batch_timestamp_type(&h) == TIMESTAMP_LOG_APPEND_TIME && batch_crc_ok(whole));
	CHECK(!batch_is_transactional(&h) && !batch_is_control(&h));
	CHECK_EQ(legacy_message_decode(whole, &m), OK);
	CHECK(m.key.p == NULL && m.value.p == NULL);
	CHECK_EQ(batch_iter_next(&it, &h, &whole), ERR_NOTFOUND);
	for (size_t bit = LEGACY_CRC * 8; bit < a * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!batch_crc_ok(slice_of(b, a)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

TEST(legacy_fields_longer_than_the_message_are_refused)
{
	uint8_t b[256];
	size_t n = legacy(b, sizeof(b), 5, 0, "key", "value", 0);
	struct legacy_message m;

	be32enc(b + 18, 1000);
	CHECK_EQ(legacy_message_decode(slice_of(b, n), &m), ERR_MALFORMED);
	be32enc(b + 18, 3);
	be32enc(b + 25, 6);
	CHECK_EQ(legacy_message_decode(slice_of(b, n), &m), ERR_MALFORMED);
	be32enc(b + 25, INT32_MAX);
	CHECK_EQ(legacy_message_decode(slice_of(b, n), &m), ERR_MALFORMED);
	be32enc(b + 25, 4);	/* a byte too many is tolerated */
	CHECK_EQ(legacy_message_decode(slice_of(b, n), &m), OK);
	CHECK_EQ(legacy_message_decode(slice_of(b, n - 1), &m), ERR_AGAIN);
}

UNIT_MAIN("record/batch", T(seventeen_bytes_tell_offset_size_and_magic), T(impossible_lengths_and_magics_are_corrupt),
    T(a_header_needs_61_bytes_and_no_more), T(sequences_wrap_from_the_largest_to_zero), T(a_buffer_is_walked_to_its_partial_end),
    T(every_flipped_bit_under_the_checksum_is_found), T(offset_and_epoch_lie_outside_the_checksum),
    T(a_new_timestamp_gets_a_new_checksum_and_the_same_one_does_not), T(markers_are_read_with_what_newer_versions_append),
    T(broken_markers_are_refused), T(legacy_messages_are_stepped_over_and_read), T(legacy_fields_longer_than_the_message_are_refused))
