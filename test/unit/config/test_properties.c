/* SPDX-License-Identifier: Apache-2.0
 *
 * The properties syntax: what java.util.Properties reads, we read; what we write, both read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "config/properties.h"
#include "test/unit/unit.h"

static struct properties *
parse(const char *text)
{
	struct properties *p = NULL;
	struct errbuf eb = ERRBUF_INIT;

	CHECK_EQ(properties_parse(slice_str(text), "test.properties", 1 << 20, &p, &eb), OK);
	CHECK_STR(eb.text, "");
	return (p);
}

static void
expect(const char *text, const char *key, const char *value)
{
	struct properties *p = parse(text);

	REQUIRE(p != NULL);
	CHECK_EQ(properties_count(p), 1);
	unit_check(properties_get(p, key) != NULL && strcmp(properties_get(p, key), value) == 0, __FILE__, __LINE__,
	    "<%s> gives <%s>=<%s>, not <%s>=<%s>", text, properties_count(p) ? properties_at(p, 0)->key : "-",
	    properties_count(p) ? properties_at(p, 0)->value : "-", key, value);
	properties_free(&p);
}

TEST(every_separator_and_blank_is_javas)
{
	expect("a=b", "a", "b");
	expect("a:b\n", "a", "b");
	expect("a b\r\n", "a", "b");
	expect("  a\t=  b c  \n", "a", "b c  ");
	expect("a = = b", "a", "= b");
	expect("a : = b", "a", "= b");
	expect("a\f:\fb", "a", "b");
	expect("key", "key", "");
	expect("key=", "key", "");
	expect("=value", "", "value");
	expect("a\\ b\\=c\\:d=e", "a b=c:d", "e");
	expect("a=b=c:d #not a comment", "a", "b=c:d #not a comment");
	expect("fruit: apple \\\n   pear\\\n\tplum", "fruit", "apple pearplum");
	expect("a=b\\\\\n", "a", "b\\");
	expect("a=b\\\\\\\nc", "a", "b\\c");
	expect("a=b\\\r\n   c", "a", "bc");
	expect("a=b\\", "a", "b");
	expect("a=\\\n\n", "a", "");
	expect("a\\\nb=c", "ab", "c");
	expect("\r\r\na=1\r\r", "a", "1");
	expect("\\", "", "");
	expect("\\\n", "", "");
	expect("\\\na=1", "a", "1");
}

TEST(escapes_are_worked_out)
{
	expect("a=\\t\\n\\r\\f\\q\\\\\\\"", "a", "\t\n\r\fq\\\"");
	expect("a=\\u0041\\u00e9\\u20AC", "a", "A\xc3\xa9\xe2\x82\xac");
	expect("a=\\uD83D\\uDE00!", "a", "\xf0\x9f\x98\x80!");
	expect("a=\\uD83Dx\\uDE00", "a", "\xef\xbf\xbdx\xef\xbf\xbd");
	expect("\\u006b\\u003d=v", "k=", "v");
	expect("a=\xe9", "a", "\xc3\xa9");		/* the bytes are ISO-8859-1 */
}

TEST(comments_are_not_continued_and_do_not_continue)
{
	struct properties *p = parse("# first \\\n! second\n\n  # third\na=1\\\n# part of a\n#b=2\n");

	REQUIRE(p != NULL);
	CHECK_EQ(properties_count(p), 1);
	CHECK_STR(properties_get(p, "a"), "1# part of a");
	properties_free(&p);
}

TEST(the_last_of_repeated_keys_counts_with_its_line)
{
	struct properties *p = parse("a=1\nb=2\n\na=3\nc=\\\n  4\na=5\n");

	REQUIRE(p != NULL);
	REQUIRE(properties_count(p) == 3);
	CHECK_STR(properties_at(p, 0)->key, "b");
	CHECK_STR(properties_at(p, 1)->key, "c");
	CHECK_EQ(properties_at(p, 1)->line, 5);
	CHECK_STR(properties_at(p, 2)->value, "5");
	CHECK_EQ(properties_find(p, "a")->line, 7);
	CHECK(properties_find(p, "aa") == NULL && properties_get(p, "") == NULL && properties_at(p, 3) == NULL);
	CHECK_STR(properties_file(p), "test.properties");
	properties_free(&p);
	CHECK(p == NULL);
	properties_free(&p);
}

static void
refused(const char *text, size_t len, enum err expected, const char *place)
{
	struct properties *p;
	struct errbuf eb = ERRBUF_INIT;

	CHECK_EQ(properties_parse(slice_of(text, len), "f", 64, &p, &eb), expected);
	CHECK(p == NULL);
	CHECK(strncmp(eb.text, place, strlen(place)) == 0);
}

TEST(malformed_and_oversized_files_are_refused_with_their_line)
{
	char big[65];

	memset(big, 'x', sizeof(big));
	refused("a=1\nb=\\u12\n", 11, ERR_MALFORMED, "f:2:");
	refused("a=\\u12G4", 8, ERR_MALFORMED, "f:1:");
	refused("\n\na\\u=1", 7, ERR_MALFORMED, "f:3:");
	refused("a=\\u0000", 8, ERR_MALFORMED, "f:1:");
	refused("a=b\0c", 5, ERR_MALFORMED, "f:1:");
	refused(big, sizeof(big), ERR_LIMIT, "f: 65 bytes");
}

TEST(what_is_written_is_read_again)
{
	static const char *const texts[] = { "plain", "", " leading", "trailing ", "a=b:c#d!e", "back\\slash", "tab\tnew\nline\rfeed\f", "\x01\x7f",
		"caf\xc3\xa9", "\xf0\x9f\x98\x80", "#comment", "!x" };
	struct strbuf sb = STRBUF_INIT;
	size_t i, j;

	for (i = 0; i < NELEM(texts); i++) {
		for (j = 0; j < NELEM(texts); j++) {
			properties_write(&sb, texts[i], texts[j]);
			expect(strbuf_str(&sb), texts[i], texts[j]);
			strbuf_fini(&sb);
		}
	}
}

TEST(writing_escapes_as_java_does)
{
	struct strbuf sb = STRBUF_INIT;

	properties_write(&sb, "a b", " c d=e#\xc3\xa9\xf0\x9f\x98\x80\xff\n");
	CHECK_STR(strbuf_str(&sb), "a\\ b=\\ c d\\=e\\#\\u00E9\\uD83D\\uDE00\\uFFFD\\n\n");
	strbuf_fini(&sb);
}

/* ---- what Java makes of random texts (test/golden/config/properties.golden) ---- */

static size_t
unhex(const char *s, char *out)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(s, "%2x", &byte) == 1 && s[1] != '\0'; s += 2)
		out[n++] = (char)byte;
	out[n] = '\0';
	return (n);
}

static void
compare(const struct properties *p, char *expected, unsigned line)
{
	char key[256], value[256], *pair, *equals, *save = NULL;
	size_t n = 0;

	for (pair = strtok_r(expected, " ", &save); pair != NULL; pair = strtok_r(NULL, " ", &save), n++) {
		equals = strchr(pair, '=');
		REQUIRE(equals != NULL);
		*equals = '\0';
		unhex(pair, key);
		unhex(equals + 1, value);
		unit_check(properties_get(p, key) != NULL && strcmp(properties_get(p, key), value) == 0, __FILE__, __LINE__,
		    "line %u: <%s> is <%s>, Java's <%s>", line, key, properties_get(p, key) ? properties_get(p, key) : "absent", value);
	}
	unit_check(n == properties_count(p), __FILE__, __LINE__, "line %u: %zu entries, Java %zu", line, properties_count(p), n);
}

TEST(random_texts_are_read_as_java_reads_them)
{
	char *path = xasprintf("%s/test/golden/config/properties.golden", unit_srcdir()), line[2048], text[256];
	FILE *f = fopen(path, "r");
	unsigned number = 0;

	REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *tab = strchr(line, '\t');
		struct properties *p;
		struct errbuf eb;
		enum err e;

		number++;
		REQUIRE(tab != NULL);
		*tab++ = '\0';
		tab[strcspn(tab, "\n")] = '\0';
		e = properties_parse(slice_of(text, unhex(line, text)), "golden", sizeof(text), &p, &eb);
		unit_check((e == OK) == (strcmp(tab, "BAD") != 0), __FILE__, __LINE__, "line %u: %s", number, err_name(e));
		if (e == OK)
			compare(p, tab, number);
		properties_free(&p);
	}
	CHECK_EQ(number, 500);
	fclose(f);
	free(path);
}

/* Random text out of the characters that matter, in a block of its own so that ASan sees a step outside. */
TEST(no_bytes_break_the_parser)
{
	static const char letters[] = "a=: \t\f\r\n\\#!u0d8Dcfe\xff\x01";
	struct random_seeded rs;
	struct properties *p;
	struct errbuf eb;
	int round;

	random_seeded_init(&rs, unit_seed());
	for (round = 0; round < 20000; round++) {
		size_t i, len = random_below(&rs.random, 64), n;
		uint8_t *text = xmalloc(len ? len : 1);

		for (i = 0; i < len; i++)
			text[i] = random_below(&rs.random, 50) == 0 ? (uint8_t)random_below(&rs.random, 256) :
			    (uint8_t)letters[random_below(&rs.random, sizeof(letters) - 1)];
		if (properties_parse(slice_of(text, len), "fuzz", 1 << 20, &p, &eb) == OK) {
			for (n = 0; n < properties_count(p); n++) {
				const struct property *e = properties_at(p, n);

				CHECK(str_is_utf8(slice_str(e->key)) && str_is_utf8(slice_str(e->value)));
				CHECK(properties_find(p, e->key) == e);
				CHECK(e->line >= 1);
			}
			properties_free(&p);
		} else {
			CHECK(p == NULL);
		}
		free(text);
	}
}

UNIT_MAIN("config/properties", T(every_separator_and_blank_is_javas), T(escapes_are_worked_out),
    T(comments_are_not_continued_and_do_not_continue), T(the_last_of_repeated_keys_counts_with_its_line),
    T(malformed_and_oversized_files_are_refused_with_their_line), T(what_is_written_is_read_again), T(writing_escapes_as_java_does),
    T(random_texts_are_read_as_java_reads_them), T(no_bytes_break_the_parser))
