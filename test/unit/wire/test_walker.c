/* SPDX-License-Identifier: Apache-2.0
 *
 * The walker on messages of our own: random ones, hostile ones, and the rules of absent, null and tagged fields.
 */
#include "base/random.h"
#include "test/unit/wire/wire_test.h"
#include "wire/walker_int.h"

/* Calls fn for every message and version. */
static void
each_version(void (*fn)(const struct wire_message *, int, struct arena *, struct random *))
{
	struct random_seeded random;
	struct arena arena;

	random_seeded_init(&random, unit_seed());
	arena_init(&arena, 1 << 24);
	for (size_t i = 0; i < wire_messages_n; i++)
		for (int v = wire_messages[i]->first; v <= wire_messages[i]->last; v++) {
			fn(wire_messages[i], v, &arena, &random.random);
			arena_reset(&arena);
		}
	arena_fini(&arena);
}

/* ---- properties ---- */

static void
random_round_trip(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	for (int i = 0; i < 40; i++) {
		struct errbuf eb = ERRBUF_INIT;
		void *msg = wire_random(m, v, random, arena), *back;
		struct slice first, second = SLICE_NULL;
		uint64_t size = 0;

		REQUIRE(msg != NULL);
		CHECK_EQ(wire_size(m, v, msg, &size, &eb), OK);
		first = encoded(m, v, msg, arena, &eb);
		if (!unit_check(first.p != NULL && first.len == size, __FILE__, __LINE__, "%s %d encodes: %s", m->name, v, eb.text))
			return;
		if (unit_check(decoded(m, v, first, arena, &back, &eb) == OK, __FILE__, __LINE__, "%s %d decodes: %s", m->name, v, eb.text))
			second = encoded(m, v, back, arena, &eb);
		unit_check(slice_eq(first, second), __FILE__, __LINE__, "%s %d: same bytes again: %s", m->name, v, eb.text);
		slice_free(first);
		slice_free(second);
		arena_reset(arena);
	}
}

TEST(random_messages_survive_encoding_and_decoding)
{
	each_version(random_round_trip);
}

static void
random_garbage(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	uint8_t *p;
	void *msg;

	for (int i = 0; i < 40; i++) {
		size_t n = random_below(random, 200), cap = 4096 + n * LIMIT_ARENA_FACTOR;
		struct arena small;

		p = malloc(n > 0 ? n : 1);
		random->fill(random, p, n);
		for (size_t k = 0; k < n; k++)	/* mostly small numbers: they get further */
			p[k] &= (random_below(random, 4) == 0) ? 0xff : 3;
		arena_init(&small, 1 << 24);
		if (decoded(m, v, slice_of(p, n), &small, &msg, NULL) == OK) {
			struct slice again = encoded(m, v, msg, arena, NULL);

			unit_check(again.p != NULL, __FILE__, __LINE__, "%s %d: what decodes can be encoded", m->name, v);
			slice_free(again);
		}
		unit_check(small.used <= cap, __FILE__, __LINE__, "%s %d: %zu bytes take %zu of memory", m->name, v, n, small.used);
		arena_fini(&small);
		free(p);
		arena_reset(arena);
	}
}

TEST(garbage_neither_breaks_the_decoder_nor_takes_memory_it_has_not_paid_for)
{
	each_version(random_garbage);
}

/* With every cap from nothing upwards: an error or the whole message, no crash. */
static void
starve(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	struct slice bytes = encoded(m, v, wire_random(m, v, random, arena), arena, NULL);
	struct arena small;
	struct chain out;
	void *msg;

	REQUIRE(bytes.p != NULL);
	for (size_t cap = 0; cap < 2048; cap += 48) {
		struct errbuf eb = ERRBUF_INIT;
		enum err e;

		arena_init(&small, cap);
		e = decoded(m, v, bytes, &small, &msg, &eb);
		unit_check(e == OK || e == ERR_LIMIT, __FILE__, __LINE__, "%s %d with %zu bytes: %s", m->name, v, cap, eb.text);
		chain_init(&out);
		if (e == OK)
			e = wire_encode(m, v, msg, &small, &out, &eb);
		unit_check(e == OK || e == ERR_LIMIT, __FILE__, __LINE__, "%s %d with %zu bytes: %s", m->name, v, cap, eb.text);
		arena_fini(&small);
	}
	slice_free(bytes);
}

TEST(a_full_arena_is_an_error_and_not_a_crash)
{
	each_version(starve);
}

/* ---- cut, and lengths that lie ---- */

static void
cut_everywhere(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	for (int i = 0; i < 4; i++) {
		struct slice whole = encoded(m, v, wire_random(m, v, random, arena), arena, NULL);
		void *msg;

		REQUIRE(whole.p != NULL);
		for (size_t n = 0; n < whole.len; n++) {
			uint8_t *p = malloc(n > 0 ? n : 1);	/* of just that size: the sanitizer sees a byte too far */
			struct errbuf eb = ERRBUF_INIT;

			memcpy(p, whole.p, n);
			unit_check(decoded(m, v, slice_of(p, n), arena, &msg, &eb) == ERR_MALFORMED, __FILE__, __LINE__, "%s %d cut after %zu of %zu bytes",
			    m->name, v, n, whole.len);
			free(p);
		}
		slice_free(whole);
		arena_reset(arena);
	}
}

TEST(a_message_cut_after_any_byte_is_malformed)
{
	each_version(cut_everywhere);
}

/* Every place is overwritten, so every length and every count is, in either form. */
static const struct hostile {
	const char *bytes;
	size_t len;
} hostile[] = {
	{ "\x7f\xff\xff\xff", 4 }, { "\x80\0\0\0", 4 }, { "\xff\xff\xff\xfe", 4 }, { "\0\x10\0\0", 4 },		/* 2^31-1, -2^31, -2, 2^20 */
	{ "\x7f\xff", 2 }, { "\x80\0", 2 }, { "\xff\xfe", 2 },
	{ "\xff\xff\xff\xff\x07", 5 }, { "\xff\xff\xff\xff\x0f", 5 }, { "\x81\x80\x40", 3 },			/* the same, compact */
	{ "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10 }, { "\xff\xff\xff\xff\x1f", 5 }, { "\x81\x80\x80\0", 4 },	/* too long, too much, longer than needed */
};

static void
overwrite(const struct wire_message *m, int v, struct slice whole, size_t at, const struct hostile *h)
{
	size_t len = MAX(whole.len, at + h->len), cap = 4096 + len * LIMIT_ARENA_FACTOR;
	uint8_t *p = malloc(len);
	struct arena small;
	void *msg;

	memcpy(p, whole.p, whole.len);
	memcpy(p + at, h->bytes, h->len);
	arena_init(&small, 1 << 24);
	(void)decoded(m, v, slice_of(p, len), &small, &msg, NULL);
	unit_check(small.used <= cap, __FILE__, __LINE__, "%s %d: %zu bytes take %zu of memory", m->name, v, len, small.used);
	arena_fini(&small);
	free(p);
}

static void
lie_everywhere(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	struct slice whole = encoded(m, v, wire_random(m, v, random, arena), arena, NULL);

	REQUIRE(whole.p != NULL);
	for (size_t at = 0; at < whole.len; at++)
		for (size_t i = 0; i < NELEM(hostile); i++)
			overwrite(m, v, whole, at, &hostile[i]);
	slice_free(whole);
}

TEST(a_length_that_lies_at_any_place_takes_no_memory_it_has_not_paid_for)
{
	each_version(lie_everywhere);
}

/* ---- hostile counts ---- */

TEST(an_array_cannot_announce_more_than_its_bytes_can_hold)
{
	struct wire_metadata_request req;
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;
	struct slice in;

	arena_init(&arena, 1 << 20);
	in = slice_of("\x7f\xff\xff\xff", 4);
	CHECK_EQ(wire_decode(&wire_msg_metadata_request, 1, &in, &arena, &req, &eb), ERR_MALFORMED);
	CHECK_STR(eb.text, "metadata_request: topics: more elements than bytes for them");
	CHECK_EQ(in.len, 4);		/* untouched after an error */
	in = slice_of("\xff\xff\xff\xff\x0f", 5);
	CHECK_EQ(wire_decode(&wire_msg_metadata_request, 12, &in, &arena, &req, &eb), ERR_MALFORMED);
	in = slice_of("\xff\xff\xff\xff\xff\x01", 6);	/* not even a number */
	CHECK_EQ(wire_decode(&wire_msg_metadata_request, 12, &in, &arena, &req, &eb), ERR_MALFORMED);
	CHECK_EQ(arena.used, 0);
	arena_fini(&arena);
}

TEST(an_array_of_large_elements_is_counted_by_their_least_size)
{
	/* Fetch v0: replica_id, max_wait_ms, min_bytes, topics: 200 topics need 6 bytes each and 1000 are there. */
	uint8_t fetch[12 + 4 + 1000] = { 0 };
	struct wire_fetch_request req;
	struct arena arena;
	struct slice in;

	be32enc(fetch + 12, 200);
	arena_init(&arena, 1 << 20);
	in = slice_of(fetch, sizeof(fetch));
	CHECK_EQ(wire_decode(&wire_msg_fetch_request, 0, &in, &arena, &req, NULL), ERR_MALFORMED);
	CHECK_EQ(arena.used, 0);
	be32enc(fetch + 12, 166);	/* 166 * 6 = 996 */
	in = slice_of(fetch, sizeof(fetch));
	CHECK_EQ(wire_decode(&wire_msg_fetch_request, 0, &in, &arena, &req, NULL), OK);
	CHECK_EQ(req.topics.n, 166);
	CHECK_EQ(in.len, 4);		/* what follows the message is the caller's */
	arena_fini(&arena);
}

/* LIMIT_ARENA_FACTOR says how much memory a request may take per byte: no row of the tables may need more. */
static size_t worst;

static size_t
rounded(size_t n)
{
	return ((n + 15) & ~(size_t)15);
}

/* Arrays inside arrays may have one element each, so the arena's rounding counts for them (and no length: that is in the minimum of
 * the structure around). */
static void
widest(const struct wire_struct *s, int v, bool flexible, const char *message, bool nested)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct wire_field *f = &s->fields[i];
		size_t size, min;

		if (!field_present(f, v))
			continue;
		if (f->type == WIRE_ARRAY) {
			size = elem_size(f);
			min = wire_elem_min(f, v, flexible);
			for (unsigned k = 0; f->elem == WIRE_STRUCT && k < f->child->n; k++)
				if (f->child->fields[k].type == WIRE_RECORDS) {	/* a chain item, if there is one byte at least */
					size += rounded(sizeof(struct chain_item));
					min++;
				}
			size = nested ? rounded(size) : size;
			unit_check(size <= min * LIMIT_ARENA_FACTOR, __FILE__, __LINE__, "%s %d, %s: %zu bytes of memory for %zu", message, v,
			    f->name, size, min);
			worst = MAX(worst, (size + min - 1) / min);
		}
		if (f->child != NULL)
			widest(f->child, v, flexible, message, nested || f->type == WIRE_ARRAY);
	}
}

static void
widest_of(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	(void)arena;
	(void)random;
	widest(m->root, v, message_flexible(m, v), m->name, false);
}

TEST(decoded_messages_fit_into_the_arena_that_their_bytes_entitle_them_to)
{
	worst = 0;
	each_version(widest_of);
	CHECK_EQ(worst, LIMIT_ARENA_FACTOR);	/* lower it when this fails from below */
}

/* ---- absent fields ---- */

TEST(a_field_that_the_version_does_not_carry_has_its_default)
{
	struct wire_fetch_request req;
	struct arena arena;
	struct slice in = slice_of("\0\0\0\7\0\0\0\1\0\0\0\2\0\0\0\0", 16);

	arena_init(&arena, 1 << 20);
	memset(&req, 0x5a, sizeof(req));
	CHECK_EQ(wire_decode(&wire_msg_fetch_request, 0, &in, &arena, &req, NULL), OK);
	CHECK_EQ(req.replica_id, 7);
	CHECK_EQ(req.max_wait_ms, 1);
	CHECK_EQ(req.min_bytes, 2);
	CHECK_EQ(req.max_bytes, INT32_MAX);
	CHECK_EQ(req.session_epoch, -1);
	CHECK_EQ(req.replica_state.replica_epoch, -1);
	CHECK_EQ(req.topics.n, 0);
	CHECK(req.cluster_id.p == NULL);
	CHECK(req.rack_id.p != NULL);
	CHECK_EQ(req.rack_id.len, 0);
	arena_fini(&arena);
}

TEST(a_value_that_the_version_cannot_carry_is_refused_unless_it_may_be_ignored)
{
	struct wire_fetch_request req;
	struct errbuf eb = ERRBUF_INIT;
	uint64_t size;

	WIRE_INIT(fetch_request, &req);
	req.max_bytes = 1;			/* v3, ignorable */
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 0, &req, &size, &eb), OK);
	CHECK_EQ(size, 16);
	req.replica_state.replica_id = 3;	/* v15, not ignorable */
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 14, &req, &size, &eb), ERR_UNSUPPORTED);
	CHECK_STR(eb.text, "fetch_request: replica_state: has a value that cannot be sent in version 14");
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 15, &req, &size, &eb), OK);
	req.replica_id = 3;			/* up to v14 */
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 15, &req, &size, &eb), ERR_UNSUPPORTED);
}

TEST(one_element_or_one_byte_is_not_empty)
{
	struct wire_fetch_request req;
	struct wire_fetch_request_forgotten_topic forgotten;
	struct wire_fetch_response resp;
	struct wire_fetch_response_node_endpoint node;
	struct wire_leave_group_request leave;
	uint64_t without, with;

	WIRE_INIT(fetch_request, &req);
	WIRE_INIT(fetch_request_forgotten_topic, &forgotten);
	req.forgotten_topics_data.v = &forgotten;
	req.forgotten_topics_data.n = 1;
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 6, &req, &with, NULL), ERR_UNSUPPORTED);
	CHECK_EQ(wire_size(&wire_msg_fetch_request, 7, &req, &with, NULL), OK);

	WIRE_INIT(fetch_response, &resp);
	WIRE_INIT(fetch_response_node_endpoint, &node);
	CHECK_EQ(wire_size(&wire_msg_fetch_response, 16, &resp, &without, NULL), OK);
	resp.node_endpoints.v = &node;
	resp.node_endpoints.n = 1;
	CHECK_EQ(wire_size(&wire_msg_fetch_response, 16, &resp, &with, NULL), OK);
	CHECK_EQ(with, without + 2 + 1 + 11);	/* tag and size; count; node_id, "", port, null, no tags */

	WIRE_INIT(leave_group_request, &leave);
	leave.member_id = SLICE_LIT("m");
	CHECK_EQ(wire_size(&wire_msg_leave_group_request, 3, &leave, &with, NULL), ERR_UNSUPPORTED);
}

TEST(new_structures_hold_defaults)
{
	struct arena arena;
	struct wire_fetch_response_partition *p;

	arena_init(&arena, 1 << 20);
	p = WIRE_NEW_ARRAY(&arena, fetch_response_partition, 3);
	REQUIRE(p != NULL);
	CHECK_EQ(p[2].preferred_read_replica, -1);
	CHECK_EQ(p[2].last_stable_offset, -1);
	CHECK(p[2].records.null);
	CHECK_EQ(p[2].records.len, 0);
	arena_fini(&arena);
}

/* ---- null ---- */

TEST(null_is_refused_where_it_is_not_allowed)
{
	struct wire_metadata_request req;
	struct wire_heartbeat_request hb;
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;
	uint64_t size;
	struct slice in;

	arena_init(&arena, 1 << 20);
	in = slice_of("\xff\xff\xff\xff", 4);
	CHECK_EQ(wire_decode(&wire_msg_metadata_request, 0, &in, &arena, &req, &eb), ERR_MALFORMED);
	CHECK_STR(eb.text, "metadata_request: topics: null is not allowed");
	CHECK_EQ(wire_decode(&wire_msg_metadata_request, 1, &in, &arena, &req, &eb), OK);
	CHECK_EQ(req.topics.n, -1);
	CHECK_EQ(wire_size(&wire_msg_metadata_request, 0, &req, &size, &eb), ERR_INVALID);
	CHECK_EQ(wire_size(&wire_msg_metadata_request, 1, &req, &size, &eb), OK);

	WIRE_INIT(heartbeat_request, &hb);
	hb.group_id = SLICE_NULL;
	CHECK_EQ(wire_size(&wire_msg_heartbeat_request, 0, &hb, &size, &eb), ERR_INVALID);
	CHECK_STR(eb.text, "heartbeat_request: group_id: null is not allowed in version 0");
	arena_fini(&arena);
}

TEST(null_and_empty_records_are_different)
{
	struct wire_fetch_response resp;
	struct wire_fetch_response_topic topic;
	struct wire_fetch_response_partition parts[2];
	struct arena arena;
	struct slice bytes;
	void *back;

	arena_init(&arena, 1 << 20);
	WIRE_INIT(fetch_response, &resp);
	WIRE_INIT(fetch_response_topic, &topic);
	WIRE_INIT(fetch_response_partition, &parts[0]);
	WIRE_INIT(fetch_response_partition, &parts[1]);
	parts[1].records.null = false;
	topic.partitions.v = parts;
	topic.partitions.n = 2;
	resp.responses.v = &topic;
	resp.responses.n = 1;
	for (int v = WIRE_FIRST_fetch_response; v <= WIRE_LAST_fetch_response; v++) {
		struct wire_fetch_response *r;

		bytes = encoded(&wire_msg_fetch_response, v, &resp, &arena, NULL);
		REQUIRE(bytes.p != NULL);
		REQUIRE(decoded(&wire_msg_fetch_response, v, bytes, &arena, &back, NULL) == OK);
		r = back;
		CHECK(r->responses.v[0].partitions.v[0].records.null);
		CHECK(!r->responses.v[0].partitions.v[1].records.null);
		CHECK_EQ(r->responses.v[0].partitions.v[1].records.len, 0);
		slice_free(bytes);
	}
	arena_fini(&arena);
}

/* ---- text ---- */

TEST(text_above_32767_bytes_is_refused_both_ways)
{
	struct wire_heartbeat_request hb;
	struct arena arena;
	uint8_t *text = calloc(1, 40000), *bytes = calloc(1, 40010);
	uint64_t size;
	struct slice in;
	struct writer w = writer_of(bytes, 40010);

	arena_init(&arena, 1 << 20);
	WIRE_INIT(heartbeat_request, &hb);
	hb.group_id = slice_of(text, 32768);
	CHECK_EQ(wire_size(&wire_msg_heartbeat_request, 4, &hb, &size, NULL), ERR_INVALID);
	hb.group_id.len = 32767;
	CHECK_EQ(wire_size(&wire_msg_heartbeat_request, 4, &hb, &size, NULL), OK);
	wr_uvarint(&w, 32768 + 1);
	in = slice_of(bytes, 40010);
	CHECK_EQ(wire_decode(&wire_msg_heartbeat_request, 4, &in, &arena, &hb, NULL), ERR_MALFORMED);
	free(text);
	free(bytes);
	arena_fini(&arena);
}

/* ---- tagged fields ---- */

static enum err
decode_fetch_tags(const void *tags, size_t len, int version, struct wire_fetch_request *req)
{
	/* Fetch v12..14: replica_id max_wait min_bytes max_bytes isolation session epoch topics forgotten rack, then the tags */
	static const uint8_t head[] = { 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1 };
	struct arena arena;
	struct slice in;
	uint8_t *p = malloc(sizeof(head) + len);
	size_t skip = version >= 15 ? 4 : 0;	/* no replica_id */
	enum err e;

	memcpy(p, head, sizeof(head));
	memcpy(p + sizeof(head), tags, len);
	arena_init(&arena, 1 << 20);
	in = slice_of(p + skip, sizeof(head) + len - skip);
	e = wire_decode(&wire_msg_fetch_request, version, &in, &arena, req, NULL);
	if (e == OK)
		CHECK_EQ(in.len, 0);
	arena_fini(&arena);
	free(p);
	return (e);
}

TEST(unknown_tagged_fields_are_skipped)
{
	struct wire_fetch_request req;

	CHECK_EQ(decode_fetch_tags("\0", 1, 12, &req), OK);
	CHECK_EQ(decode_fetch_tags("\2\x20\3abc\xff\xff\xff\xff\x0f\0", 12, 12, &req), OK);
	CHECK_EQ(req.replica_id, 7);
	CHECK_EQ(decode_fetch_tags("\2\x20\3abc", 6, 12, &req), ERR_MALFORMED);
	CHECK_EQ(decode_fetch_tags("\1\x20\3ab", 5, 12, &req), ERR_MALFORMED);
}

TEST(known_tagged_fields_are_read_to_their_end)
{
	struct wire_fetch_request req;

	CHECK_EQ(decode_fetch_tags("\1\1\xd\0\0\0\5\0\0\0\0\0\0\0\6\0", 16, 15, &req), OK);
	CHECK_EQ(req.replica_state.replica_id, 5);
	CHECK_EQ(req.replica_state.replica_epoch, 6);
	CHECK_EQ(decode_fetch_tags("\1\1\xe\0\0\0\5\0\0\0\0\0\0\0\6\0\0", 17, 15, &req), ERR_MALFORMED);	/* one byte too long */
	CHECK_EQ(decode_fetch_tags("\1\1\xc\0\0\0\5\0\0\0\0\0\0\0\6\0", 16, 15, &req), ERR_MALFORMED);	/* one too short */
	CHECK_EQ(decode_fetch_tags("\1\1\xd\0\0\0\5\0\0\0\0\0\0\0\6\0", 16, 14, &req), ERR_MALFORMED);	/* not in this version */
	CHECK_EQ(decode_fetch_tags("\2\1\xd\0\0\0\5\0\0\0\0\0\0\0\6\0\1\xd\0\0\0\7\0\0\0\0\0\0\0\x8\0", 31, 15, &req), OK);
	CHECK_EQ(req.replica_state.replica_id, 7);	/* as in Java, the last one counts */
}

TEST(the_number_of_tagged_fields_has_a_limit)
{
	uint8_t tags[3 + 2 * (LIMIT_TAGGED_FIELDS_MAX + 1)];
	struct wire_fetch_request req;

	for (uint32_t n = LIMIT_TAGGED_FIELDS_MAX; n <= LIMIT_TAGGED_FIELDS_MAX + 1; n++) {
		struct writer w = writer_of(tags, sizeof(tags));

		wr_uvarint(&w, n);
		for (uint32_t i = 0; i < n; i++) {
			wr_i8(&w, 100);
			wr_i8(&w, 0);
		}
		CHECK_EQ(decode_fetch_tags(tags, wr_len(&w), 12, &req), n > LIMIT_TAGGED_FIELDS_MAX ? ERR_LIMIT : OK);
	}
}

/* Each repetition of a tag makes its value again, and the last one counts: what the others took is paid for by their bytes. */
TEST(a_tag_repeated_until_the_end_takes_no_more_memory_than_its_bytes_pay_for)
{
	enum { TIMES = LIMIT_TAGGED_FIELDS_MAX };
	static uint8_t bytes[64 + TIMES * 16];
	struct wire_fetch_response resp;
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct arena arena;
	struct slice in;

	arena_init(&arena, 1 << 24);
	for (int i = 0; i < 10; i++)		/* throttle, error, session */
		wr_i8(&w, 0);
	wr_uvarint(&w, 1);			/* no responses */
	wr_uvarint(&w, TIMES);
	for (int i = 0; i < TIMES; i++) {	/* node_endpoints: one, without a rack */
		wr_uvarint(&w, 0);
		wr_uvarint(&w, 12);
		wr_uvarint(&w, 2);
		wr_i32(&w, i);
		wr_uvarint(&w, 1);
		wr_i32(&w, 9092);
		wr_uvarint(&w, 0);
		wr_uvarint(&w, 0);
	}
	in = slice_of(bytes, wr_len(&w));
	CHECK_EQ(wire_decode(&wire_msg_fetch_response, 16, &in, &arena, &resp, NULL), OK);
	CHECK_EQ(resp.node_endpoints.n, 1);
	CHECK_EQ(resp.node_endpoints.v[0].node_id, TIMES - 1);
	CHECK(arena.used <= 4096 + wr_len(&w) * LIMIT_ARENA_FACTOR);
	arena_fini(&arena);
}

/* ---- records ---- */

TEST(records_move_into_the_output_unread)
{
	struct wire_produce_request req;
	struct wire_produce_request_topic topic;
	struct wire_produce_request_partition part;
	struct arena arena;
	struct chain out;
	struct chain_item *second;
	static const char records[] = "0123456789";

	arena_init(&arena, 1 << 20);
	WIRE_INIT(produce_request, &req);
	WIRE_INIT(produce_request_topic, &topic);
	WIRE_INIT(produce_request_partition, &part);
	topic.name = SLICE_LIT("t");
	part.records.null = false;
	REQUIRE(chain_add_mem(&part.records, &arena, SLICE_LIT(records)));
	topic.partition_data.v = &part;
	topic.partition_data.n = 1;
	req.topic_data.v = &topic;
	req.topic_data.n = 1;
	chain_init(&out);
	CHECK_EQ(wire_encode(&wire_msg_produce_request, 9, &req, &arena, &out, NULL), OK);
	REQUIRE(out.first != NULL && out.first->next != NULL);
	second = out.first->next;
	CHECK(second->mem.p == (const uint8_t *)records);
	CHECK_EQ(part.records.len, 0);
	REQUIRE(second->next != NULL);
	CHECK_EQ(second->next->mem.len, 3);		/* the tag counts of partition, topic, request */
	CHECK_EQ(out.len, out.first->mem.len + 10 + 3);
	arena_fini(&arena);
}

TEST(no_message_grows_past_two_gigabytes)
{
	struct wire_produce_request req;
	struct wire_produce_request_topic topic;
	struct wire_produce_request_partition parts[2];
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;
	uint64_t size;

	arena_init(&arena, 1 << 16);
	WIRE_INIT(produce_request, &req);
	WIRE_INIT(produce_request_topic, &topic);
	for (int i = 0; i < 2; i++) {	/* only measured: nobody reads these bytes */
		WIRE_INIT(produce_request_partition, &parts[i]);
		parts[i].records.null = false;
		REQUIRE(chain_add_mem(&parts[i].records, &arena, slice_of(parts, 1200000000)));
	}
	topic.partition_data.v = parts;
	topic.partition_data.n = 1;
	req.topic_data.v = &topic;
	req.topic_data.n = 1;
	CHECK_EQ(wire_size(&wire_msg_produce_request, 9, &req, &size, &eb), OK);
	CHECK_GE(size, 1200000000);
	topic.partition_data.n = 2;
	CHECK_EQ(wire_size(&wire_msg_produce_request, 9, &req, &size, &eb), ERR_LIMIT);
	CHECK_STR(eb.text, "produce_request: more than 2 GiB");
	topic.partition_data.n = 1;
	REQUIRE(chain_add_mem(&parts[0].records, &arena, slice_of(parts, 1200000000)));
	CHECK_EQ(wire_size(&wire_msg_produce_request, 9, &req, &size, &eb), ERR_LIMIT);
	arena_fini(&arena);
}

TEST(decoded_text_and_records_lie_in_the_receive_buffer)
{
	struct arena arena;
	struct random_seeded random;
	void *msg, *back;
	struct slice bytes;

	random_seeded_init(&random, 7);
	arena_init(&arena, 1 << 20);
	for (int i = 0; i < 50; i++) {
		struct wire_produce_request *req;

		msg = wire_random(&wire_msg_produce_request, 11, &random.random, &arena);
		bytes = encoded(&wire_msg_produce_request, 11, msg, &arena, NULL);
		REQUIRE(decoded(&wire_msg_produce_request, 11, bytes, &arena, &back, NULL) == OK);
		req = back;
		for (int32_t k = 0; k < req->topic_data.n; k++) {
			struct slice name = req->topic_data.v[k].name;

			CHECK(name.len == 0 || (name.p > bytes.p && name.p + name.len < bytes.p + bytes.len));
		}
		slice_free(bytes);
		arena_reset(&arena);
	}
	arena_fini(&arena);
}

/* ---- dump ---- */

TEST(a_dump_shows_the_version_and_hides_secrets)
{
	struct wire_sasl_authenticate_request auth;
	struct wire_incremental_alter_configs_request_config config;
	struct wire_incremental_alter_configs_request_resource resource;
	struct wire_incremental_alter_configs_request alter;
	struct wire_fetch_request fetch;
	struct strbuf sb = STRBUF_INIT;

	WIRE_INIT(sasl_authenticate_request, &auth);
	auth.auth_bytes = SLICE_LIT("\0user\0hunter2");
	wire_dump(&wire_msg_sasl_authenticate_request, 2, &auth, 1000, &sb);
	CHECK_STR(strbuf_str(&sb), "{auth_bytes: <13 bytes>}");
	strbuf_fini(&sb);

	WIRE_INIT(incremental_alter_configs_request, &alter);
	WIRE_INIT(incremental_alter_configs_request_resource, &resource);
	WIRE_INIT(incremental_alter_configs_request_config, &config);
	config.name = SLICE_LIT("ssl.key.password");
	config.value = SLICE_LIT("hunter2");
	resource.configs.v = &config;
	resource.configs.n = 1;
	alter.resources.v = &resource;
	alter.resources.n = 1;
	wire_dump(&wire_msg_incremental_alter_configs_request, 1, &alter, 1000, &sb);
	CHECK(strstr(strbuf_str(&sb), "ssl.key.password") != NULL);
	CHECK(strstr(strbuf_str(&sb), "hunter2") == NULL);
	strbuf_fini(&sb);

	WIRE_INIT(fetch_request, &fetch);
	wire_dump(&wire_msg_fetch_request, 0, &fetch, 1000, &sb);
	CHECK_STR(strbuf_str(&sb), "{replica_id: -1, max_wait_ms: 0, min_bytes: 0, topics: []}");
	strbuf_fini(&sb);
}

static void
dump_one(const struct wire_message *m, int v, struct arena *arena, struct random *random)
{
	for (int i = 0; i < 5; i++) {
		struct strbuf sb = STRBUF_INIT;

		wire_dump(m, v, wire_random(m, v, random, arena), 300, &sb);
		CHECK(sb.len > 0);
		unit_check(sb.len <= 300 + 3, __FILE__, __LINE__, "%s %d: a dump of %zu bytes", m->name, v, sb.len);
		strbuf_fini(&sb);
	}
}

TEST(dumps_are_bounded)
{
	each_version(dump_one);
}

/* ---- the tables themselves ---- */

static bool
may_be_null(unsigned type)
{
	return (type == WIRE_STR || type == WIRE_BYTES || type == WIRE_RECORDS || type == WIRE_ARRAY || type == WIRE_STRUCT_PTR);
}

static void
check_row(const struct wire_message *m, const struct wire_struct *s, const struct wire_field *f, int *tag)
{
	const char *at = f->name;
	bool elem_ok = f->elem != WIRE_ARRAY && f->elem != WIRE_RECORDS && f->elem != WIRE_STRUCT_PTR;

	unit_check(f->since <= f->until && f->since <= m->last, __FILE__, __LINE__, "%s.%s: since %d", s->name, at, f->since);
	unit_check(f->nullable_from == WIRE_NEVER || may_be_null(f->type), __FILE__, __LINE__, "%s.%s cannot be null", s->name, at);
	unit_check(f->nullable_from == WIRE_NEVER || f->nullable_from >= f->since, __FILE__, __LINE__, "%s.%s: null", s->name, at);
	unit_check(f->type != WIRE_ARRAY || elem_ok, __FILE__, __LINE__, "%s.%s: elements", s->name, at);
	unit_check((f->child != NULL) == (f->elem == WIRE_STRUCT || f->elem == WIRE_STRUCT_PTR), __FILE__, __LINE__, "%s.%s", s->name, at);
	if (f->tag == WIRE_NOTAG)
		return;
	unit_check(f->tag > *tag, __FILE__, __LINE__, "%s.%s: tags ascend", s->name, at);
	unit_check(f->since >= m->flexible_from, __FILE__, __LINE__, "%s.%s: tagged before versions are flexible", s->name, at);
	unit_check(f->type != WIRE_STRUCT_PTR && f->type != WIRE_RECORDS, __FILE__, __LINE__, "%s.%s: no such tagged type", s->name, at);
	*tag = f->tag;
}

static void
check_struct(const struct wire_message *m, const struct wire_struct *s)
{
	int tag = -1, tagged = 0;

	for (unsigned i = 0; i < s->n; i++) {
		check_row(m, s, &s->fields[i], &tag);
		tagged += s->fields[i].tag != WIRE_NOTAG;
		if (s->fields[i].child != NULL)
			check_struct(m, s->fields[i].child);
	}
	CHECK_EQ(tagged, s->n_tagged);
}

TEST(the_rows_keep_the_rules_that_the_walker_relies_on)
{
	for (unsigned t = WIRE_BOOL; t <= WIRE_UUID; t++)
		CHECK_EQ(fixed_width(t), wire_type_size(t));
	for (size_t i = 0; i < wire_messages_n; i++) {
		CHECK_EQ(wire_messages[i]->first, 0);
		check_struct(wire_messages[i], wire_messages[i]->root);
	}
}

UNIT_MAIN("wire/walker", T(random_messages_survive_encoding_and_decoding),
    T(garbage_neither_breaks_the_decoder_nor_takes_memory_it_has_not_paid_for), T(a_full_arena_is_an_error_and_not_a_crash),
    T(a_message_cut_after_any_byte_is_malformed), T(a_length_that_lies_at_any_place_takes_no_memory_it_has_not_paid_for),
    T(an_array_cannot_announce_more_than_its_bytes_can_hold), T(an_array_of_large_elements_is_counted_by_their_least_size),
    T(decoded_messages_fit_into_the_arena_that_their_bytes_entitle_them_to), T(a_field_that_the_version_does_not_carry_has_its_default),
    T(a_value_that_the_version_cannot_carry_is_refused_unless_it_may_be_ignored), T(one_element_or_one_byte_is_not_empty),
    T(new_structures_hold_defaults),
    T(null_is_refused_where_it_is_not_allowed), T(null_and_empty_records_are_different),
    T(text_above_32767_bytes_is_refused_both_ways), T(unknown_tagged_fields_are_skipped), T(known_tagged_fields_are_read_to_their_end),
    T(the_number_of_tagged_fields_has_a_limit),
    T(a_tag_repeated_until_the_end_takes_no_more_memory_than_its_bytes_pay_for), T(records_move_into_the_output_unread), T(no_message_grows_past_two_gigabytes),
    T(decoded_text_and_records_lie_in_the_receive_buffer), T(a_dump_shows_the_version_and_hides_secrets), T(dumps_are_bounded),
    T(the_rows_keep_the_rules_that_the_walker_relies_on))
