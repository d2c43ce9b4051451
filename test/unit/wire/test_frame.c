/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and responses as they travel: headers, frames, the quirks of ApiVersions and ControlledShutdown.
 */
#include <stdio.h>

#include "base/fs.h"
#include "base/random.h"
#include "test/unit/wire/wire_test.h"
#include "wire/frame.h"

/* A frame without its length, which must say what follows it. */
static struct slice
unframed(const struct chain *c)
{
	struct slice flat = chain_flat(c);

	CHECK_GE(flat.len, 4);
	CHECK_EQ(be32dec(flat.p), flat.len - 4);
	return (flat);
}

static struct slice
behind_length(struct slice flat)
{
	return (slice_of(flat.p + 4, flat.len - 4));
}

static void
request_round_trip(const struct wire_api *api, int v, struct arena *arena, struct random *random)
{
	struct wire_request_head head;
	struct errbuf eb = ERRBUF_INIT;
	struct slice flat, again;
	struct chain out;
	void *msg = wire_random(api->request, v, random, arena), *back;
	bool id = !(api->key == API_CONTROLLED_SHUTDOWN && v == 0);

	chain_init(&out);
	REQUIRE(msg != NULL);
	/* The message loses its records to the frame, so it is encoded a second time from what was decoded. */
	REQUIRE(wire_request_frame(api, v, 77, SLICE_LIT("me"), msg, arena, &out, &eb) == OK);
	flat = unframed(&out);
	unit_check(wire_request_parse(behind_length(flat), arena, &head, &eb) == OK, __FILE__, __LINE__, "%s %d: %s", api->name, v, eb.text);
	CHECK(head.api == api && head.supported);
	CHECK_EQ(head.version, v);
	CHECK_EQ(head.correlation_id, 77);
	CHECK(slice_eq(head.client_id, id ? SLICE_LIT("me") : SLICE_LIT("")));
	REQUIRE(wire_request_decode(&head, arena, &back, &eb) == OK);
	again = encoded(api->request, v, back, arena, &eb);
	CHECK(slice_eq(again, head.body));
	slice_free(again);
	slice_free(flat);
}

static void
response_round_trip(const struct wire_api *api, int v, struct arena *arena, struct random *random)
{
	struct errbuf eb = ERRBUF_INIT;
	struct slice flat, again;
	struct chain out;
	int32_t id = 0;
	void *msg = wire_random(api->response, v, random, arena), *back;
	size_t header = 4 + (wire_response_header_version(api, v) > 0 ? 1 : 0);

	chain_init(&out);
	REQUIRE(msg != NULL);
	REQUIRE(wire_response_frame(api, v, -5, msg, arena, &out, &eb) == OK);
	flat = unframed(&out);
	CHECK_EQ(wire_response_correlation(behind_length(flat), &id), OK);
	CHECK_EQ(id, -5);
	REQUIRE(wire_response_decode(api, v, behind_length(flat), arena, &back, &eb) == OK);
	again = encoded(api->response, v, back, arena, &eb);
	CHECK_EQ(again.len, flat.len - 4 - header);
	CHECK_MEM(again.p, flat.p + 4 + header, again.len);
	slice_free(again);
	slice_free(flat);
}

TEST(requests_and_responses_of_every_api_travel_in_frames)
{
	struct random_seeded random;
	struct arena arena;

	random_seeded_init(&random, unit_seed());
	arena_init(&arena, 1 << 24);
	for (size_t i = 0; i < wire_apis_n; i++)
		for (int v = wire_apis[i].min; v <= wire_apis[i].max; v++) {
			request_round_trip(&wire_apis[i], v, &arena, &random.random);
			response_round_trip(&wire_apis[i], v, &arena, &random.random);
			arena_reset(&arena);
		}
	arena_fini(&arena);
}

TEST(unknown_keys_and_versions_are_refused)
{
	struct wire_request_head head;
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;

	arena_init(&arena, 4096);
	/* 52 is Vote, which only KRaft speaks. */
	CHECK_EQ(wire_request_parse(slice_of("\0\x34\0\0\0\0\0\1\xff\xff", 10), &arena, &head, &eb), ERR_UNSUPPORTED);
	CHECK_EQ(wire_request_parse(slice_of("\x7f\xff\0\0\0\0\0\1\xff\xff", 10), &arena, &head, &eb), ERR_UNSUPPORTED);
	CHECK_EQ(wire_request_parse(slice_of("\xff\xff\0\0\0\0\0\1\xff\xff", 10), &arena, &head, &eb), ERR_UNSUPPORTED);
	/* Produce 12, then -1 */
	CHECK_EQ(wire_request_parse(slice_of("\0\0\0\xc\0\0\0\1\xff\xff\0", 11), &arena, &head, &eb), ERR_UNSUPPORTED);
	CHECK_STR(eb.text, "Produce version 12 is not one of 0 to 11");
	CHECK_EQ(wire_request_parse(slice_of("\0\0\xff\xff\0\0\0\1\xff\xff\0", 11), &arena, &head, &eb), ERR_UNSUPPORTED);
	arena_fini(&arena);
}

TEST(headers_cut_short_are_refused)
{
	static const uint8_t whole[] = { 0, 3, 0, 12, 0, 0, 0, 1, 0, 2, 'm', 'e', 1, 5, 2, 'x', 'y' };
	struct wire_request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	for (size_t n = 0; n < sizeof(whole); n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, whole, n);
		CHECK_EQ(wire_request_parse(slice_of(cut, n), &arena, &head, NULL), ERR_MALFORMED);
		free(cut);
	}
	CHECK_EQ(wire_request_parse(slice_of(whole, sizeof(whole)), &arena, &head, NULL), OK);
	CHECK(slice_eq_str(head.client_id, "me"));
	CHECK_EQ(head.body.len, 0);
	arena_fini(&arena);
}

TEST(a_null_client_id_is_an_empty_one)
{
	struct wire_request_head head;
	struct arena arena;

	arena_init(&arena, 4096);
	CHECK_EQ(wire_request_parse(slice_of("\0\3\0\1\0\0\0\1\xff\xff", 10), &arena, &head, NULL), OK);
	CHECK(slice_eq_str(head.client_id, ""));
	CHECK_EQ(wire_request_parse(slice_of("\0\7\0\0\0\0\0\1", 8), &arena, &head, NULL), OK);	/* ControlledShutdown 0 */
	CHECK(slice_eq_str(head.client_id, ""));
	arena_fini(&arena);
}

TEST(api_versions_of_the_future_can_be_answered)
{
	struct wire_request_head head;
	struct wire_api_versions_response *answer, *read;
	struct arena arena;
	struct chain out;
	struct slice flat;
	void *body;

	arena_init(&arena, 1 << 16);
	/* version 99: header v2 with one unknown tagged field, and a body nobody knows */
	CHECK_EQ(wire_request_parse(slice_of("\0\x12\0\x63\0\0\0\x9\0\1c\1\7\1z???", 19), &arena, &head, NULL), OK);
	CHECK(!head.supported);
	CHECK_EQ(head.api->key, API_API_VERSIONS);
	CHECK_EQ(head.version, 99);
	CHECK_EQ(head.correlation_id, 9);
	CHECK(slice_eq_str(head.client_id, "c"));
	CHECK_EQ(wire_request_parse(slice_of("\0\x12\xff\xff\0\0\0\x9\0\1c", 11), &arena, &head, NULL), OK);	/* and -1 */
	CHECK(!head.supported);

	/* A client that asked in v4 reads the answer in v0. */
	answer = WIRE_NEW(&arena, api_versions_response);
	answer->error_code = 35;
	answer->api_keys.v = WIRE_NEW_ARRAY(&arena, api_versions_response_api_version, 1);
	answer->api_keys.n = 1;
	answer->api_keys.v[0].api_key = 18;
	answer->api_keys.v[0].max_version = 3;
	chain_init(&out);
	CHECK_EQ(wire_response_frame(head.api, 0, 9, answer, &arena, &out, NULL), OK);
	flat = unframed(&out);
	CHECK_EQ(flat.len, 4 + 4 + 2 + 4 + 6);	/* header v0: nothing behind the correlation id */
	CHECK_EQ(wire_response_decode(head.api, 4, behind_length(flat), &arena, &body, NULL), OK);
	read = body;
	CHECK_EQ(read->error_code, 35);
	CHECK_EQ(read->api_keys.n, 1);
	CHECK_EQ(read->api_keys.v[0].max_version, 3);
	slice_free(flat);
	arena_fini(&arena);
}

TEST(bytes_behind_a_request_are_ignored_as_in_kafka)
{
	struct wire_request_head head;
	struct wire_metadata_request *req;
	struct arena arena;
	void *body;

	arena_init(&arena, 4096);
	REQUIRE(wire_request_parse(slice_of("\0\3\0\1\0\0\0\1\xff\xff\0\0\0\0more", 18), &arena, &head, NULL) == OK);
	CHECK_EQ(wire_request_decode(&head, &arena, &body, NULL), OK);
	req = body;
	CHECK_EQ(req->topics.n, 0);
	arena_fini(&arena);
}

/* ---- file ranges ---- */

static struct file *
some_file(void)
{
	struct file *file = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/segment", unit_tmpdir());
	if (fs_write_file_atomic(fs_real(), path, SLICE_LIT("0123456789"), NULL) != OK || file_open(fs_real(), path, 0, &file, NULL) != OK)
		return (NULL);
	return (file);
}

/* One topic with one partition whose records are a range of the file. */
static struct wire_fetch_response *
fetch_of(struct file *file, struct arena *arena)
{
	struct wire_fetch_response *r = WIRE_NEW(arena, fetch_response);
	struct wire_fetch_response_topic *t = WIRE_NEW_ARRAY(arena, fetch_response_topic, 1);
	struct wire_fetch_response_partition *p = WIRE_NEW_ARRAY(arena, fetch_response_partition, 1);
	struct file_range range = { file_ref(file), 2, 5 };

	r->responses.v = t;
	r->responses.n = 1;
	t->partitions.v = p;
	t->partitions.n = 1;
	p->records.null = false;
	CHECK(chain_add_file(&p->records, arena, &range));
	return (r);
}

TEST(a_response_carries_its_records_as_a_file_range)
{
	struct file *file = some_file();
	struct wire_fetch_response *r;
	struct arena arena;
	struct chain out;
	const struct chain_item *item;
	uint64_t size;

	REQUIRE(file != NULL);
	arena_init(&arena, 1 << 16);
	r = fetch_of(file, &arena);
	CHECK_EQ(wire_size(&wire_msg_fetch_response, 12, r, &size, NULL), OK);
	chain_init(&out);
	CHECK_EQ(wire_response_frame(wire_api(API_FETCH), 12, 1, r, &arena, &out, NULL), OK);
	CHECK_EQ(out.len, 4 + 5 + size);
	item = out.first->next;
	REQUIRE(item != NULL);
	CHECK_EQ(item->kind, CHAIN_FILE);
	CHECK_EQ(item->file.pos, 2);
	CHECK_EQ(item->file.len, 5);
	CHECK_EQ(be32dec(out.first->mem.p), out.len - 4);
	chain_fini(&out);
	wire_drop(&wire_struct_fetch_response, r);	/* nothing left in it: the range was moved */
	file_unref(&file);
	arena_fini(&arena);
}

TEST(a_response_that_is_not_sent_gives_its_file_ranges_back)
{
	struct file *file = some_file();
	struct wire_fetch_response *r;
	struct arena arena;
	struct chain out;

	REQUIRE(file != NULL);
	arena_init(&arena, 1 << 16);
	r = fetch_of(file, &arena);
	r->responses.v[0].partitions.v[0].preferred_read_replica = 3;	/* v11; not ignorable */
	chain_init(&out);
	CHECK_EQ(wire_response_frame(wire_api(API_FETCH), 4, 1, r, &arena, &out, NULL), ERR_UNSUPPORTED);
	CHECK(out.first == NULL);
	CHECK_EQ(r->responses.v[0].partitions.v[0].records.len, 5);
	wire_drop(&wire_struct_fetch_response, r);	/* else LeakSanitizer speaks */
	CHECK_EQ(r->responses.v[0].partitions.v[0].records.len, 0);

	/* Memory that ends in the middle of encoding: the range is either still in the message or already released. */
	for (size_t cap = arena.used; cap < arena.used + 400; cap += 16) {
		struct arena small;

		arena_init(&small, 1 << 16);
		r = fetch_of(file, &small);
		small.cap = small.used + (cap - arena.used);
		if (wire_response_frame(wire_api(API_FETCH), 4, 1, r, &small, &out, NULL) == OK)
			chain_fini(&out);
		CHECK(out.first == NULL);
		wire_drop(&wire_struct_fetch_response, r);
		arena_fini(&small);
	}
	file_unref(&file);
	arena_fini(&arena);
}

UNIT_MAIN("wire/frame", T(requests_and_responses_of_every_api_travel_in_frames), T(unknown_keys_and_versions_are_refused),
    T(headers_cut_short_are_refused), T(a_null_client_id_is_an_empty_one), T(api_versions_of_the_future_can_be_answered),
    T(bytes_behind_a_request_are_ignored_as_in_kafka), T(a_response_carries_its_records_as_a_file_range),
    T(a_response_that_is_not_sent_gives_its_file_ranges_back))
