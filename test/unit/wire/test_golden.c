/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages encoded by Kafka's Java client: every API, version and direction.
 */
#include "test/unit/wire/golden.h"
#include "test/unit/wire/wire_test.h"

static void
round_trip(const struct golden *g, void *ctx)
{
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;
	struct slice again;
	uint64_t size = 0;
	void *msg;
	enum err e;

	arena_init(&arena, 1 << 22);
	e = decoded(g->message, g->version, slice_of(g->bytes, g->len), &arena, &msg, &eb);
	unit_check(e == OK, __FILE__, __LINE__, "%s %d %s decodes: %s", g->message->name, g->version, g->variant, eb.text);
	if (e == OK) {
		e = wire_size(g->message, g->version, msg, &size, &eb);
		unit_check(e == OK && size == g->len, __FILE__, __LINE__, "%s %d %s has its size: %s", g->message->name, g->version,
		    g->variant, eb.text);
		again = encoded(g->message, g->version, msg, &arena, &eb);
		unit_check(slice_eq(again, slice_of(g->bytes, g->len)), __FILE__, __LINE__, "%s %d %s encodes to the same bytes: %s",
		    g->message->name, g->version, g->variant, eb.text);
		slice_free(again);
	}
	arena_fini(&arena);
	++*(int *)ctx;
}

TEST(every_java_message_decodes_and_encodes_to_the_same_bytes)
{
	int n = 0;

	CHECK(golden_each(round_trip, NULL, &n));
	CHECK_GE(n, 1400);
}

/* Cut anywhere, a message is an error and never a read past its end (the bytes are alone on the heap). */
static void
truncate(const struct golden *g, void *ctx)
{
	struct arena arena;
	uint8_t *cut;
	void *msg;

	arena_init(&arena, 1 << 22);
	for (size_t len = 0; len < g->len; len++) {
		struct errbuf eb = ERRBUF_INIT;
		enum err e;

		cut = malloc(len > 0 ? len : 1);
		memcpy(cut, g->bytes, len);
		e = decoded(g->message, g->version, slice_of(cut, len), &arena, &msg, &eb);
		if (e != ERR_MALFORMED || eb.text[0] == '\0')
			unit_check(false, __FILE__, __LINE__, "%s %d %s cut at %zu: %s", g->message->name, g->version, g->variant, len,
			    err_name(e));
		free(cut);
		arena_reset(&arena);
	}
	arena_fini(&arena);
	++*(int *)ctx;
}

TEST(a_message_cut_short_anywhere_is_refused)
{
	int n = 0;

	CHECK(golden_each(truncate, NULL, &n));
	CHECK_GE(n, 1400);
}

/* Each byte replaced in turn: decodes or not, but keeps to its memory; what decodes and can be encoded again decodes to that. */
static void
damage(const struct golden *g, void *ctx)
{
	static const uint8_t values[] = { 0x00, 0x7f, 0x80, 0xff };
	struct arena arena;
	void *msg;

	arena_init(&arena, LIMIT_ARENA_FLOOR);
	for (size_t i = 0; i < g->len; i++) {
		uint8_t was = g->bytes[i];

		for (size_t k = 0; k < NELEM(values); k++) {
			g->bytes[i] = values[k];
			if (decoded(g->message, g->version, slice_of(g->bytes, g->len), &arena, &msg, NULL) == OK) {
				struct slice again = encoded(g->message, g->version, msg, &arena, NULL);

				unit_check(again.p != NULL, __FILE__, __LINE__, "%s %d can be encoded", g->message->name, g->version);
				slice_free(again);
			}
			arena_reset(&arena);
		}
		g->bytes[i] = was;
	}
	arena_fini(&arena);
	++*(int *)ctx;
}

TEST(damaged_messages_never_break_the_decoder)
{
	int n = 0;

	CHECK(golden_each(damage, NULL, &n));
	CHECK_GE(n, 1400);
}

static void
check_api(const struct golden_api *g, void *ctx)
{
	const struct wire_api *a = wire_api(g->key);

	REQUIRE(a != NULL);
	CHECK_EQ(a->key, g->key);
	CHECK_STR(a->name, g->name);
	CHECK_EQ(a->min, g->min);
	CHECK_EQ(a->max, g->max);
	for (int v = a->min; v <= a->max; v++) {
		CHECK_EQ(wire_request_header_version(a, v), g->request_header[v - g->min]);
		CHECK_EQ(wire_response_header_version(a, v), g->response_header[v - g->min]);
	}
	++*(int *)ctx;
}

TEST(the_api_table_has_javas_names_versions_and_header_versions)
{
	int n = 0;

	CHECK(golden_each(NULL, check_api, &n));
	CHECK_EQ(n, wire_apis_n);
}

UNIT_MAIN("wire/golden", T(every_java_message_decodes_and_encodes_to_the_same_bytes), T(a_message_cut_short_anywhere_is_refused),
    T(damaged_messages_never_break_the_decoder), T(the_api_table_has_javas_names_versions_and_header_versions))
