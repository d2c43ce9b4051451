/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords in ZooKeeper: what Java wrote (test/golden/config/passwords.golden) is read, what we write is read again, what is damaged is refused.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "config/alter.h"
#include "config/password.h"
#include "test/unit/unit.h"

#define MINIMUM	"zookeeper.connect=z:1\n"
#define KEY	"listener.name.plaintext.ssl.key.password"

static char *
golden(void)
{
	char *path = xasprintf("%s/test/golden/config/passwords.golden", unit_srcdir()), *text = xcalloc(1, 1 << 20);
	FILE *f = fopen(path, "r");

	must(f != NULL);
	must(fread(text, 1, (1 << 20) - 1, f) > 1000);
	fclose(f);
	free(path);
	return (text);
}

/* The next line's three fields; NULL at the end. */
static char *
next_line(char *at, char *fields[3])
{
	if (*at == '\0')
		return (NULL);
	for (int i = 0; i < 3; i++) {
		fields[i] = at;
		at += strcspn(at, i == 2 ? "\n" : "\t");
		must(*at != '\0');
		*at++ = '\0';
	}
	return (at);
}

TEST(what_java_encoded_is_read_and_only_with_its_secret)
{
	char *text = golden(), *at = text, *fields[3], *clear;
	struct errbuf eb = ERRBUF_INIT;
	unsigned n = 0;

	while ((at = next_line(at, fields)) != NULL) {
		unit_check(password_decode(fields[0], fields[2], &clear, &eb) == OK, __FILE__, __LINE__, "line %u: %s", n, eb.text);
		CHECK_STR(clear == NULL ? "" : clear, fields[1]);
		free(clear);
		/* A stream cipher without padding cannot notice but by the length of what comes out, and UTF-8. */
		if (strstr(fields[2], "/CBC/") != NULL || strstr(fields[2], "/GCM/") != NULL) {
			(void)!password_decode("another", fields[2], &clear, &eb);
			CHECK(clear == NULL || strcmp(clear, fields[1]) != 0 || *fields[1] == '\0');
			free(clear);
		}
		n++;
	}
	CHECK(n >= 80);
	free(text);
}

TEST(what_is_encoded_is_read_again_and_never_twice_the_same)
{
	static const struct { const char *factory, *cipher; int32_t bits; } rows[] = {
		{ NULL, "AES/CBC/PKCS5Padding", 128 }, { "PBKDF2WithHmacSHA1", "AES/GCM/NoPadding", 256 }, { NULL, "AES/CTR/NoPadding", 192 },
		{ "pbkdf2withhmacsha256", "aes/cbc/pkcs5padding", 256 }, { NULL, "DESede/CBC/PKCS5Padding", 192 },
	};
	static const char *const passwords[] = { "", "hunter2", "exactly sixteen!", "f\xc3\xbcr \xf0\x9f\x98\x80" };
	struct errbuf eb = ERRBUF_INIT;
	char *one, *two, *clear;

	for (size_t i = 0; i < NELEM(rows); i++)
		for (size_t j = 0; j < NELEM(passwords); j++) {
			struct password_encoder pe = { "key", rows[i].factory, rows[i].cipher, rows[i].bits, 1024 };

			REQUIRE(password_encode(&pe, passwords[j], random_real(), &one, &eb) == OK);
			REQUIRE(password_encode(&pe, passwords[j], random_real(), &two, &eb) == OK);
			CHECK(strcmp(one, two) != 0);
			CHECK(*passwords[j] == '\0' || strstr(one, passwords[j]) == NULL);
			CHECK_EQ(password_decode("key", one, &clear, &eb), OK);
			CHECK_STR(clear == NULL ? "?" : clear, passwords[j]);
			free(clear);
			free(one);
			free(two);
		}
}

TEST(what_nobody_can_encode_with_is_named)
{
	static const struct password_encoder bad[] = {
		{ "key", "PBKDF2WithHmacMD5", "AES/CBC/PKCS5Padding", 128, 1024 }, { "key", NULL, "ROT13", 128, 1024 },
		{ "key", NULL, "AES/CBC/PKCS5Padding", 100, 1024 }, { "key", NULL, "AES/CBC/PKCS5Padding", 128, 0 },
		{ "key", NULL, "AES/CBC/PKCS5Padding", 128, LIMIT_PASSWORD_ITERATIONS_MAX + 1 },
	};

	for (size_t i = 0; i < NELEM(bad); i++) {
		struct errbuf eb = ERRBUF_INIT;
		char *out;

		CHECK(password_encode(&bad[i], "hunter2", random_real(), &out, &eb) != OK);
		CHECK(out == NULL && strlen(eb.text) > 10 && strstr(eb.text, "hunter2") == NULL);
	}
}

/* Whatever stands in the node: an error or a password, no crash, and never the clear text of another. */
TEST(damaged_texts_are_refused)
{
	static const char *const bad[] = { "", ":", ",", "hunter2", "salt:AA==", "keyLength:128,keyLength", "a:b,c:d,,,:" };
	struct password_encoder pe = { "key", NULL, "AES/GCM/NoPadding", 128, 1 };
	struct random_seeded r;
	struct errbuf eb = ERRBUF_INIT;
	char *text, *clear;
	size_t len;

	for (size_t i = 0; i < NELEM(bad); i++) {
		CHECK_EQ(password_decode("key", bad[i], &clear, &eb), ERR_MALFORMED);
		CHECK(clear == NULL);
	}
	random_seeded_init(&r, unit_seed());
	REQUIRE(password_encode(&pe, "hunter2", &r.random, &text, &eb) == OK);
	len = strlen(text);
	for (unsigned i = 0; i < 20000; i++) {
		char *copy = xstrdup(text);
		size_t at = random_below(&r.random, (uint32_t)len);

		if (i % 3 == 0)
			copy[at] = '\0';
		else
			copy[at] = (char)(1 + random_below(&r.random, 255));
		if (strstr(copy, "iterations:1,") != NULL && password_decode("key", copy, &clear, &eb) == OK)
			CHECK_STR(clear, "hunter2");
		if (strstr(copy, "iterations:1,") != NULL)
			free(clear);
		free(copy);
	}
	free(text);
}

static struct config *
load(const char *text)
{
	struct config_input input = { .file = "test", .text = slice_str(text) };
	struct config *c = NULL;

	must(config_load(&input, &c, NULL) == OK);
	return (c);
}

TEST(passwords_of_the_old_secret_are_encoded_with_the_new_one)
{
	struct password_encoder old = { "old", NULL, "AES/CBC/PKCS5Padding", 128, 1024 }, new = { "new", NULL, "AES/CBC/PKCS5Padding", 128, 1024 };
	struct config *c = load(MINIMUM "password.encoder.secret=new\npassword.encoder.old.secret=old\n"), *dynamic;
	struct config_map stored = CONFIG_MAP_INIT, none = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;
	char *a, *b, *clear;

	REQUIRE(password_encode(&old, "first", random_real(), &a, &eb) == OK && password_encode(&new, "second", random_real(), &b, &eb) == OK);
	config_map_set(&stored, KEY, a);
	config_map_set(&stored, "listener.name.x.sasl.jaas.config", b);
	config_map_set(&stored, "log.retention.ms", "5");
	CHECK(config_reseal(c, &stored, random_real(), NULL));
	CHECK_EQ(password_decode("new", config_map_get(&stored, KEY), &clear, &eb), OK);
	CHECK_STR(clear, "first");
	free(clear);
	CHECK_STR(config_map_get(&stored, "listener.name.x.sasl.jaas.config"), b);
	CHECK_STR(config_map_get(&stored, "log.retention.ms"), "5");
	CHECK(!config_reseal(c, &stored, random_real(), NULL));
	REQUIRE(config_with_dynamic(c, 1, &none, &stored, &dynamic, NULL) == OK);
	CHECK_STR(config_map_get(config_dynamic_broker(dynamic), KEY), "first");
	CHECK_STR(config_map_get(config_dynamic_broker(dynamic), "listener.name.x.sasl.jaas.config"), "second");
	config_unref(&dynamic);
	config_unref(&c);
	config_map_fini(&stored);
	free(a);
	free(b);
}

TEST(without_a_secret_passwords_in_zookeeper_are_left_alone_and_said)
{
	struct password_encoder pe = { "key", NULL, "AES/CBC/PKCS5Padding", 128, 1024 };
	struct config_report r = CONFIG_REPORT_INIT;
	struct config_map stored = CONFIG_MAP_INIT, none = CONFIG_MAP_INIT;
	struct config *c = load(MINIMUM), *dynamic;
	struct errbuf eb = ERRBUF_INIT;
	char *a;

	REQUIRE(password_encode(&pe, "hunter2", random_real(), &a, &eb) == OK);
	config_map_set(&stored, KEY, a);
	REQUIRE(config_with_dynamic(c, 7, &none, &stored, &dynamic, &r) == OK);
	CHECK_EQ(config_dynamic_broker(dynamic)->count, 0);
	REQUIRE(r.errors == 1);
	CHECK(strstr(r.notes[0].text, "/config/brokers/7: " KEY) != NULL && strstr(r.notes[0].text, "password.encoder.secret is not set") != NULL);
	config_report_fini(&r);
	config_unref(&dynamic);
	config_unref(&c);
	config_map_fini(&stored);
	free(a);
}

UNIT_MAIN("config/password", T(what_java_encoded_is_read_and_only_with_its_secret), T(what_is_encoded_is_read_again_and_never_twice_the_same),
    T(what_nobody_can_encode_with_is_named), T(damaged_texts_are_refused), T(passwords_of_the_old_secret_are_encoded_with_the_new_one),
    T(without_a_secret_passwords_in_zookeeper_are_left_alone_and_said))
