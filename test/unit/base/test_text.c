/* SPDX-License-Identifier: Apache-2.0
 *
 * Text: growing buffers, numbers, UTF-8, the string rules Kafka has from Java, topic names.
 */
#include <stdlib.h>

#include "base/random.h"
#include "base/str.h"
#include "test/unit/unit.h"

TEST(buffers_grow_and_are_always_text)
{
	struct strbuf b = STRBUF_INIT;
	char *taken;

	CHECK_STR(strbuf_str(&b), "");
	taken = strbuf_take(&b);
	CHECK_STR(taken, "");
	free(taken);
	for (unsigned i = 0; i < 1000; i++)
		strbuf_add(&b, "%u,", i % 10);
	strbuf_add_bytes(&b, "\0x", 2);
	strbuf_add_bytes(&b, NULL, 0);
	CHECK_EQ(b.len, 2002);
	CHECK_MEM(b.s + 1998, "9,\0x", 5);
	taken = strbuf_take(&b);
	CHECK_MEM(taken, "0,1,2,", 6);
	CHECK_STR(strbuf_str(&b), "");
	free(taken);
	strbuf_fini(&b);
}

static void
check_json(struct slice in, const char *expected)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_add_json_string(&b, in);
	CHECK_STR(strbuf_str(&b), expected);
	strbuf_fini(&b);
}

TEST(json_strings_are_escaped)
{
	check_json(SLICE_LIT("plain"), "\"plain\"");
	check_json(SLICE_NULL, "\"\"");
	check_json(SLICE_LIT("a\"b\\c\n\r\t\b\f\x01\x7f\0z"), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u007f\\u0000z\"");
	check_json(SLICE_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	check_json(SLICE_LIT("a\xff z"), "\"a\xef\xbf\xbd z\"");
}

TEST(utf8_is_told_from_what_only_looks_like_it)
{
	CHECK(str_is_utf8(SLICE_NULL));
	CHECK(str_is_utf8(SLICE_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80")));
	CHECK(!str_is_utf8(SLICE_LIT("\x80")));
	CHECK(!str_is_utf8(SLICE_LIT("\xc3")));			/* cut */
	CHECK(!str_is_utf8(SLICE_LIT("\xc0\x80")));		/* overlong */
	CHECK(!str_is_utf8(SLICE_LIT("\xe0\x9f\xbf")));
	CHECK(!str_is_utf8(SLICE_LIT("\xf0\x8f\xbf\xbf")));
	CHECK(!str_is_utf8(SLICE_LIT("\xed\xa0\x80")));		/* a surrogate */
	CHECK(!str_is_utf8(SLICE_LIT("\xf4\x90\x80\x80")));	/* past U+10FFFF */
	CHECK(!str_is_utf8(SLICE_LIT("\xf8\x88\x80\x80\x80")));
}

TEST(java_hashes_count_utf16_units)
{
	CHECK_EQ(java_string_hash(SLICE_LIT("")), 0);
	CHECK_EQ(java_string_hash(SLICE_LIT("hello")), 99162322);
	CHECK_EQ(java_string_hash(SLICE_LIT("polygenelubricants")), INT32_MIN);
	CHECK_EQ(java_string_hash(SLICE_LIT("\xc3\xa9")), 0xe9);
	CHECK_EQ(java_string_hash(SLICE_LIT("\xf0\x9f\x98\x80")), 0xd83d * 31 + 0xde00);
	CHECK_EQ(java_string_hash(SLICE_LIT("\xe2\x82")), 0xfffd);	/* one replacement for a cut sequence, as Java decodes it */
	CHECK_EQ(java_string_hash(SLICE_LIT("\xff\xfe")), 0xfffd * 31 + 0xfffd);
	CHECK_EQ(java_string_length(SLICE_NULL), 0);
	CHECK_EQ(java_string_length(SLICE_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")), 5);
	CHECK_EQ(java_abs(INT32_MIN), 0);
	CHECK_EQ(java_abs(-7), 7);
	CHECK_EQ(java_abs(INT32_MAX), INT32_MAX);
}

TEST(murmur2_is_the_producers)
{
	static const struct { const char *key; int32_t hash; } rows[] = {	/* Kafka's values */
		{ "21", -973932308 }, { "foobar", -790332482 }, { "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 }, { "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};

	for (size_t i = 0; i < NELEM(rows); i++)
		CHECK_EQ((int32_t)kafka_murmur2(slice_str(rows[i].key)), rows[i].hash);
}

TEST(numbers_are_the_whole_text_or_none)
{
	static const char *const bad[] = { "", "-", "+", " 1", "1 ", "1x", "0x10", "9223372036854775808", "-9223372036854775809",
		"99999999999999999999999", "--1", "1.0" };
	int64_t x = 77;
	int32_t y = 77;

	for (size_t i = 0; i < NELEM(bad); i++)
		CHECK(!str_to_i64(slice_str(bad[i]), &x));
	CHECK(!str_to_i64(SLICE_NULL, &x));
	CHECK_EQ(x, 77);
	CHECK(str_to_i64(SLICE_LIT("9223372036854775807"), &x) && x == INT64_MAX);
	CHECK(str_to_i64(SLICE_LIT("-9223372036854775808"), &x) && x == INT64_MIN);
	CHECK(str_to_i64(SLICE_LIT("+0012"), &x) && x == 12);
	CHECK(!str_to_i32(SLICE_LIT("2147483648"), &y) && y == 77);
	CHECK(str_to_i32(SLICE_LIT("-2147483648"), &y) && y == INT32_MIN);
}

TEST(doubles_are_decimal)
{
	static const char *const bad[] = { "", ".", "e5", "1e", "nan", "inf", "0x1p3", " 1", "1 ", "1,5", "1e999", "--1" };
	double x = 7;

	for (size_t i = 0; i < NELEM(bad); i++)
		CHECK(!str_to_double(slice_str(bad[i]), &x));
	CHECK(x > 6.9 && x < 7.1);
	CHECK(str_to_double(SLICE_LIT("0.75"), &x) && x > 0.749 && x < 0.751);
	CHECK(str_to_double(SLICE_LIT("-1E3"), &x) && x < -999 && x > -1001);
	CHECK(str_to_double(SLICE_LIT("1e-999"), &x) && x >= 0 && x < 1e-300);
}

TEST(copies_into_arrays_say_when_they_were_cut)
{
	char small[4];

	CHECK(str_copy(small, sizeof(small), "abc"));
	CHECK_STR(small, "abc");
	CHECK(!str_copy(small, sizeof(small), "abcd"));
	CHECK_STR(small, "abc");
	CHECK(str_format(small, sizeof(small), "%d", 12));
	CHECK(!str_format(small, sizeof(small), "%d", 1234));
	CHECK(str_eq_nocase(SLICE_LIT("GzIp"), "gzip"));
	CHECK(!str_eq_nocase(SLICE_LIT("gzi"), "gzip"));
	CHECK(!str_eq_nocase(SLICE_NULL, ""));
}

TEST(the_nearest_name_is_found_by_distance)
{
	CHECK_EQ(str_distance("log.dirs", "log.dirs", 3), 0);
	CHECK_EQ(str_distance("log.dris", "log.dirs", 3), 1);	/* neighbours swapped */
	CHECK_EQ(str_distance("log.dir", "log.dirs", 3), 1);
	CHECK_EQ(str_distance("lgg.dirs", "log.dirs", 3), 1);
	CHECK_EQ(str_distance("", "abc", 5), 3);
	CHECK_EQ(str_distance("kitten", "sitting", 9), 3);
	CHECK_EQ(str_distance("abcdef", "uvwxyz", 3), 4);	/* max + 1: further than asked */
}

TEST(topic_names_are_judged_as_kafka_does)
{
	char name[251];

	memset(name, 'a', sizeof(name) - 1);
	name[250] = '\0';
	CHECK(topic_name_invalid(slice_of(name, 249)) == NULL);
	CHECK(topic_name_invalid(slice_of(name, 250)) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("a.B_c-9")) == NULL);
	CHECK(topic_name_invalid(SLICE_LIT("...")) == NULL);
	CHECK(topic_name_invalid(SLICE_LIT("")) != NULL);
	CHECK(topic_name_invalid(SLICE_NULL) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT(".")) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("..")) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("a/b")) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("a b")) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("a\0b")) != NULL);
	CHECK(topic_name_invalid(SLICE_LIT("caf\xc3\xa9")) != NULL);
	CHECK(topic_names_collide(SLICE_LIT("a.b_c"), SLICE_LIT("a_b.c")));
	CHECK(topic_names_collide(SLICE_LIT("a.b"), SLICE_LIT("a.b")));
	CHECK(!topic_names_collide(SLICE_LIT("a.b"), SLICE_LIT("a-b")));
	CHECK(!topic_names_collide(SLICE_LIT("a.b"), SLICE_LIT("a.bb")));
	CHECK(topic_is_internal(SLICE_LIT("__consumer_offsets")));
	CHECK(topic_is_internal(SLICE_LIT("__transaction_state")));
	CHECK(!topic_is_internal(SLICE_LIT("__consumer_offsets2")));
}

/* Whatever the bytes: JSON comes out as UTF-8, and the hash reads nothing past the end. */
TEST(random_bytes_become_valid_json_text)
{
	struct random_seeded rnd;

	random_seeded_init(&rnd, unit_seed());
	for (unsigned i = 0; i < 5000; i++) {
		size_t n = random_below(&rnd.random, 24);
		uint8_t *exact = malloc(n + 1);
		struct strbuf b = STRBUF_INIT;

		rnd.random.fill(&rnd.random, exact, n);
		for (size_t j = 0; j < n && i % 2 == 0; j++)
			exact[j] |= 0xc0;	/* many lead bytes */
		strbuf_add_json_string(&b, slice_of(exact, n));
		CHECK(str_is_utf8(slice_of(b.s, b.len)));
		(void)java_string_hash(slice_of(exact, n));
		strbuf_fini(&b);
		free(exact);
	}
}

UNIT_MAIN("base/text", T(buffers_grow_and_are_always_text), T(json_strings_are_escaped), T(utf8_is_told_from_what_only_looks_like_it),
    T(java_hashes_count_utf16_units), T(murmur2_is_the_producers), T(numbers_are_the_whole_text_or_none), T(doubles_are_decimal),
    T(copies_into_arrays_say_when_they_were_cut), T(the_nearest_name_is_found_by_distance), T(topic_names_are_judged_as_kafka_does),
    T(random_bytes_become_valid_json_text))
