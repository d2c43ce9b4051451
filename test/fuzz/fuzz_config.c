/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_config.c - settings: the text of server.properties, values, listeners, providers, passwords, quotas, and what is stored for topics
 * and brokers.
 *
 * INPUT   u8 which | text
 * HOLDS   properties written as Java stores them are read again as they were; a configuration that loads prints, and each of its values is
 *	   one that may be set; a topic's settings that are valid are taken without a word; listeners keep what they said.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/alter.h"
#include "config/config_int.h"
#include "config/describe.h"
#include "config/password.h"
#include "config/properties.h"
#include "config/quota.h"
#include "test/fuzz/fs_mem.h"
#include "test/fuzz/fuzz.h"

enum { ARENA = 64 << 20, SEED_MAX = 8192 };

/* ---- the syntax ---- */

static struct properties *
parse(struct slice text, bool must_parse)
{
	struct errbuf eb = ERRBUF_INIT;
	struct properties *p = NULL;
	enum err e = properties_parse(text, "f", LIMIT_CONFIG_FILE_MAX, &p, &eb);

	FUZZ_CHECKF(e == OK || eb.text[0] != '\0', "refused without words");
	FUZZ_CHECKF(e == OK || !must_parse, "what we write is read: %s", eb.text);
	return (e == OK ? p : NULL);
}

static void
syntax(struct slice in)
{
	struct properties *p = parse(in, false), *back;
	struct strbuf text = STRBUF_INIT;

	if (p == NULL)
		return;
	for (size_t i = 0; i < properties_count(p); i++)
		properties_write(&text, properties_at(p, i)->key, properties_at(p, i)->value);
	back = parse(slice_of(strbuf_str(&text), text.len), true);
	FUZZ_CHECK(properties_count(back) == properties_count(p));
	for (size_t i = 0; i < properties_count(p); i++) {
		const struct property *a = properties_at(p, i), *b = properties_at(back, i);

		FUZZ_CHECKF(strcmp(a->key, b->key) == 0 && strcmp(a->value, b->value) == 0, "%s=%s, and then %s=%s", a->key, a->value, b->key, b->value);
	}
	strbuf_fini(&text);
	properties_free(&back);
	properties_free(&p);
}

/* ---- a whole file ---- */

static void
values_are_valid(const struct config *c)
{
	for (size_t i = 0; i < config_broker_key_count; i++) {
		const struct config_key *key = &config_broker_keys[i];
		char *text = config_value_text(c, key), *shown = text == NULL ? NULL : config_value_shown(key, text);
		struct errbuf eb = ERRBUF_INIT;

		FUZZ_CHECKF(text == NULL || config_value_test(key, text, &eb), "%s = %s: %s", key->name, text, eb.text);
		free(text);
		free(shown);
	}
}

static void
describe(const struct config *c, struct config_map *topic)
{
	const struct config_names all = { NULL, 0 };
	struct config_description d;
	struct arena a;

	arena_init(&a, ARENA);
	FUZZ_CHECK(config_describe_broker(c, all, &a, &d) && d.count >= config_broker_key_count / 2);
	FUZZ_CHECK(config_describe_topic(c, topic, all, &a, &d));
	arena_fini(&a);
}

static struct config *
load(struct slice text, struct config_report *report)
{
	static char environment[] = "SECRET=from-the-environment";
	char *const env[] = { environment, NULL };
	struct fs *fs = fs_mem_new();
	struct config_input in = { .file = "f", .text = text, .fs = fs, .environment = env };
	struct config *c = NULL;
	enum err e;

	fs_mem_put(fs, "/d/secrets", SLICE_LIT("a=from a file\nb=\\u00e9\n"));
	fs_mem_put(fs, "/d/dir/one", SLICE_LIT("a whole file"));
	e = config_load(&in, &c, report);
	FUZZ_CHECK((e == OK) == (c != NULL) && (e == OK) == (report->errors == 0));
	FUZZ_CHECK(fs_mem_free(&fs) == 0);
	return (c);
}

static void
file(struct slice in)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct config *c = load(in, &report);
	struct strbuf page = STRBUF_INIT;

	config_check(c, &report, &page);
	if (c != NULL) {
		values_are_valid(c);
		describe(c, NULL);
	}
	strbuf_fini(&page);
	config_report_fini(&report);
	config_unref(&c);
}

/* ---- settings as they are stored or asked for: lines of a properties file become a map ---- */

static bool
map_of(struct slice in, struct config_map *map)
{
	struct properties *p = parse(in, false);

	*map = (struct config_map)CONFIG_MAP_INIT;
	for (size_t i = 0; p != NULL && i < properties_count(p); i++)
		config_map_set(map, properties_at(p, i)->key, properties_at(p, i)->value);
	if (p == NULL)
		return (false);
	properties_free(&p);
	return (true);
}

static struct config *
minimal(void)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct config *c = load(SLICE_LIT("zookeeper.connect=x:1\nlisteners=A://:9092,B://:9093\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\n"
	    "inter.broker.listener.name=A\nadvertised.listeners=A://h:9092,B://h:9093\n"), &report);

	FUZZ_CHECK(c != NULL);
	config_report_fini(&report);
	return (c);
}

static void
topic(const struct config *c, struct config_map *map)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = topic_config_validate(c, map, &eb);
	struct topic_config *t = topic_config_new(c, map, &report);

	FUZZ_CHECK(t != NULL && report.errors == 0);
	FUZZ_CHECKF(k == KERR_NONE || eb.text[0] != '\0', "refused without words");
	FUZZ_CHECKF(k != KERR_NONE || report.count == 0, "valid, and yet: %s", report.notes[0].text);
	for (size_t i = 0; i < config_topic_key_count; i++) {
		char *text = topic_config_value_text(t, &config_topic_keys[i]);

		FUZZ_CHECKF(text == NULL || config_value_test(&config_topic_keys[i], text, &eb), "%s = %s: %s", config_topic_keys[i].name, text, eb.text);
		free(text);
	}
	describe(c, map);
	topic_config_unref(&t);
	config_report_fini(&report);
}

static void
dynamic(const struct config *c, const struct config_map *map, bool per_broker)
{
	const struct config_map none = CONFIG_MAP_INIT;
	struct config_report report = CONFIG_REPORT_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct config *with = NULL;
	enum kerr k = config_validate_dynamic(c, map, per_broker, &eb);
	enum err e = config_with_dynamic(c, 1, per_broker ? &none : map, per_broker ? map : &none, &with, &report);

	FUZZ_CHECK((e == OK) == (with != NULL));
	FUZZ_CHECKF(k == KERR_NONE || eb.text[0] != '\0', "refused without words");
	FUZZ_CHECKF(k != KERR_NONE || e == OK, "valid, and yet refused: %s", report.count > 0 ? report.notes[0].text : "");
	if (with != NULL) {
		values_are_valid(with);
		describe(with, NULL);
	}
	config_report_fini(&report);
	config_unref(&with);
}

static void
alter(const struct config *c, const struct config_map *map)
{
	struct config_wish *wishes = xcalloc(map->count + 1, sizeof(*wishes));
	struct config_map current = CONFIG_MAP_INIT, out = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;

	config_map_set(&current, "cleanup.policy", "delete");
	for (size_t i = 0; i < map->count; i++)
		wishes[i] = (struct config_wish){ slice_str(map->entries[i].name), slice_str(map->entries[i].value), (int8_t)(i % 5) };
	if (config_alter_topic(c, &current, wishes, map->count, &out, &eb) == KERR_NONE)
		FUZZ_CHECKF(topic_config_validate(c, &out, &eb) == KERR_NONE, "what was made of it is valid: %s", eb.text);
	config_map_fini(&out);
	(void)config_alter_broker(c, true, &current, wishes, map->count, &out, &eb);
	config_map_fini(&out);
	config_map_fini(&current);
	free(wishes);
}

static void
stored(struct slice in, unsigned how)
{
	struct config_map map;
	struct config *c;

	if (!map_of(in, &map))
		return;
	c = minimal();
	switch (how) {
	case 0: topic(c, &map); break;
	case 1: dynamic(c, &map, true); break;
	case 2: dynamic(c, &map, false); break;
	default: alter(c, &map); break;
	}
	(void)config_quotas_valid(QUOTA_OF_CLIENTS, &map, true);
	config_unref(&c);
	config_map_fini(&map);
}

/* ---- single texts ---- */

static void
listeners(const char *text)
{
	struct listener_protocols protocols = { NULL, 0 };
	struct config_listeners l = { NULL, 0 };
	struct errbuf eb = ERRBUF_INIT;

	if (listener_protocols_parse(text, &protocols, &eb) != OK)
		FUZZ_CHECK(eb.text[0] != '\0');
	listener_protocols_fini(&protocols);
	FUZZ_CHECK(listener_protocols_parse("PLAINTEXT:PLAINTEXT,SSL:SSL,X:SASL_SSL", &protocols, &eb) == OK);
	if (config_listeners_parse(text, &protocols, true, &l, &eb) == OK)
		for (size_t i = 0; i < l.count; i++)
			FUZZ_CHECK(l.items[i].host != NULL && config_listeners_find(&l, l.items[i].name) == &l.items[i]);
	else
		FUZZ_CHECK(eb.text[0] != '\0');
	config_listeners_fini(&l);
	listener_protocols_fini(&protocols);
}

/* A text that asks for a million rounds of hashing is right, and takes its time. */
static bool
costs_much(const char *text)
{
	const char *n = strstr(text, "iterations:");

	return (n != NULL && strtoul(n + 11, NULL, 10) > 5000);
}

static void
single(const char *text)
{
	struct errbuf eb = ERRBUF_INIT;
	char *clear = NULL;
	double d;

	listeners(text);
	FUZZ_CHECK(config_quota_value(text, &d) || !config_quota_value(text, &d));
	(void)config_broker_key_of(text);
	(void)config_nearest_broker_key(text);
	if (config_double_parse(slice_str(text), &d)) {
		char *again = config_double_text(d);
		double e = 0;

		FUZZ_CHECKF(config_double_parse(slice_str(again), &e) && (memcmp(&d, &e, sizeof(d)) == 0 || (d != d && e != e)), "%s, and then %s", text, again);
		free(again);
	}
	if (!costs_much(text))
		FUZZ_CHECK(password_decode("secret", text, &clear, &eb) == OK || eb.text[0] != '\0');
	free(clear);
}

enum { SYNTAX, FILE_, TOPIC, BROKER, CLUSTER, ALTER, SINGLE, KINDS };

void
fuzz_one(struct slice in)
{
	unsigned which = fuzz_u8(&in) % KINDS;
	char *text;

	switch (which) {
	case SYNTAX:
		syntax(in);
		break;
	case FILE_:
		file(in);
		break;
	case SINGLE:
		text = fuzz_text(in);
		single(text);
		free(text);
		break;
	default:
		stored(in, which - TOPIC);
	}
}

/* ---- seeds ---- */

static void
seed_text(uint8_t which, struct slice text, fuzz_give *give, void *ctx)
{
	if (text.len <= SEED_MAX)
		fuzz_give2(give, ctx, &which, 1, text);
}

/* Java's verdicts on properties: "hex of the text<tab>what came out". */
static void
seed_golden(fuzz_give *give, void *ctx)
{
	struct slice all = fuzz_golden("test/golden/config/properties.golden");
	const char *p = (const char *)all.p, *end;
	uint8_t bytes[1024];

	FUZZ_CHECK(p != NULL);
	for (unsigned n = 0; (end = strchr(p, '\n')) != NULL; p = end + 1)
		if (n++ % 8 == 0)
			seed_text(SYNTAX, slice_of(bytes, fuzz_unhex(p, strcspn(p, "\t\n"), bytes, sizeof(bytes))), give, ctx);
	free((void *)(uintptr_t)all.p);
}

static void
seed_keys(fuzz_give *give, void *ctx)
{
	char *line;

	for (size_t i = 0; i < config_topic_key_count; i++) {
		const struct config_key *k = &config_topic_keys[i];

		line = xasprintf("%s=%s\n", k->name, k->default_text == NULL ? "" : k->default_text);
		seed_text(TOPIC, slice_str(line), give, ctx);
		seed_text(ALTER, slice_str(line), give, ctx);
		free(line);
	}
	for (size_t i = 0; i < config_broker_key_count; i += 5) {	/* loading a configuration takes a millisecond */
		const struct config_key *k = &config_broker_keys[i];

		line = xasprintf("zookeeper.connect=x:1\n%s=%s\n", k->name, k->default_text == NULL ? "" : k->default_text);
		seed_text(FILE_, slice_str(line), give, ctx);
		if (k->mode != CONFIG_READ_ONLY)
			seed_text(k->mode == CONFIG_PER_BROKER ? BROKER : CLUSTER, slice_str(strchr(line, '\n') + 1), give, ctx);
		free(line);
	}
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const struct { uint8_t which; const char *text; } more[] = {
		{ FILE_, "zookeeper.connect=x:1\nconfig.providers=file,dir,env\n"
		    "config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n"
		    "config.providers.dir.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n"
		    "config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n"
		    "config.providers.file.param.allowed.paths=/d\nconfig.providers.env.param.allowlist.pattern=S.*T\n"
		    "ssl.key.password=${file:/d/secrets:a}${dir:/d/dir:one}\nbroker.rack=${env:SECRET} ${file:/d/secrets:b} ${env::SECRET} ${file:/x:y}\n" },
		{ SINGLE, "PLAINTEXT://:9092,SSL://[::1]:9093,X://h:0" }, { SINGLE, "A:PLAINTEXT,B:SASL_SSL" }, { SINGLE, "1.5e-300" },
		{ SINGLE, "initializationVector:AAAAAAAAAAAAAAAAAAAAAA==,keyLength:128,salt:AAAA,keyFactoryAlgorithm:PBKDF2WithHmacSHA512,"
		    "cipherAlgorithm:AES/CBC/PKCS5Padding,iterations:4,passwordLength:6,encryptedPassword:AAAAAAAAAAAAAAAAAAAAAA==" },
		{ TOPIC, "cleanup.policy=compact,delete\nretention.ms=-1\nmin.insync.replicas=2\nleader.replication.throttled.replicas=0:1,1:2\n" },
		{ BROKER, "listener.name.a.ssl.keystore.password=x\nlog.retention.hours=3\nleader.replication.throttled.rate=5\n" },
	};
	struct slice conf = fuzz_golden("test/golden/config/server.properties");

	seed_golden(give, ctx);
	seed_keys(give, ctx);
	if (conf.p != NULL)
		seed_text(FILE_, conf, give, ctx);
	free((void *)(uintptr_t)conf.p);
	for (size_t i = 0; i < NELEM(more); i++)
		seed_text(more[i].which, slice_str(more[i].text), give, ctx);
}
