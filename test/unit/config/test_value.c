/* SPDX-License-Identifier: Apache-2.0
 *
 * Values, tables and listeners: Java's rules, one text at a time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_int.h"
#include "test/unit/unit.h"

static void
double_is(double d, const char *expected)
{
	char *s = config_double_text(d);

	CHECK_STR(s, expected);
	free(s);
}

TEST(doubles_print_as_javas)
{
	double_is(0.0, "0.0");
	double_is(-0.0, "-0.0");
	double_is(1, "1.0");
	double_is(-2.5, "-2.5");
	double_is(100, "100.0");
	double_is(1234567, "1234567.0");
	double_is(9999999, "9999999.0");
	double_is(1e7, "1.0E7");
	double_is(12345678.9, "1.23456789E7");
	double_is(0.001, "0.001");
	double_is(0.00123, "0.00123");
	double_is(0.0009, "9.0E-4");
	double_is(0.00005, "5.0E-5");
	double_is(0.1 + 0.2, "0.30000000000000004");
	double_is(1.7976931348623157e308, "1.7976931348623157E308");
	double_is(4.9e-324, "4.9E-324");
	double_is((double)NAN, "NaN");
	double_is((double)-INFINITY, "-Infinity");
}

static const struct config_key *
key(const char *name)
{
	const struct config_key *k = config_broker_key(name);

	CHECK(k != NULL);
	return (k);
}

static void
good(const char *name, const char *text)
{
	struct errbuf eb = ERRBUF_INIT;

	unit_check(config_value_test(key(name), text, &eb), __FILE__, __LINE__, "%s = <%s>: %s", name, text, eb.text);
}

static void
bad(const char *name, const char *text)
{
	struct errbuf eb = ERRBUF_INIT;

	unit_check(!config_value_test(key(name), text, &eb), __FILE__, __LINE__, "%s = <%s> is taken", name, text);
	CHECK(eb.text[0] != '\0');
}

TEST(numbers_and_booleans_follow_javas_rules)
{
	good("broker.id", " 2147483647\t");
	good("broker.id", "-2147483648");
	good("broker.id", "+7");
	good("broker.id", "007");
	bad("broker.id", "2147483648");
	bad("broker.id", "-2147483649");
	bad("broker.id", "");
	bad("broker.id", "1.0");
	bad("broker.id", "0x10");
	bad("broker.id", "1 2");
	bad("broker.id", "+-1");
	bad("broker.id", "+");
	good("offsets.commit.required.acks", "-32768");
	bad("offsets.commit.required.acks", "32768");
	good("connections.max.idle.ms", "9223372036854775807");
	bad("connections.max.idle.ms", "9223372036854775808");
	good("auto.create.topics.enable", " TrUe ");
	bad("auto.create.topics.enable", "1");
	bad("auto.create.topics.enable", "yes");
	bad("auto.create.topics.enable", "");
}

TEST(doubles_follow_javas_grammar)
{
	static const char *const ok[] = { "0.5", ".5", "1.", "1e-1", "1E+0", "0.5f", "0.5D", "0x1p-1", "0X.8P0", "NaN", "+0.5" };
	static const char *const no[] = { "", ".", "e1", "0.5x", "nan", "inf", "infinity", "0x1", "1e", "0,5", "1_0", "--1", "Infinity", "1.01", "-0.1" };
	size_t i;

	for (i = 0; i < NELEM(ok); i++)
		good("log.cleaner.min.cleanable.ratio", ok[i]);
	for (i = 0; i < NELEM(no); i++)
		bad("log.cleaner.min.cleanable.ratio", no[i]);
}

TEST(ranges_hold_at_both_ends)
{
	bad("num.io.threads", "0");
	good("num.io.threads", "1");
	good("compression.gzip.level", "-1");
	bad("compression.gzip.level", "0");
	good("compression.gzip.level", "9");
	bad("compression.gzip.level", "10");
	good("compression.zstd.level", "-131072");
	bad("compression.zstd.level", "23");
	good("remote.log.manager.copier.thread.pool.size", "-1");
	bad("remote.log.manager.copier.thread.pool.size", "0");
	bad("compression.type", "none");
	good("compression.type", "uncompressed");
	good("group.consumer.migration.policy", "UPGRADE");
	bad("group.consumer.migration.policy", "sideways");
	good("log.cleanup.policy", "delete , compact");
	good("log.cleanup.policy", "");
	bad("log.cleanup.policy", "delete,,compact");
	good("inter.broker.protocol.version", "3.9");
	good("inter.broker.protocol.version", "3.9.1");
	good("inter.broker.protocol.version", "0.10.0-IV1");
	bad("inter.broker.protocol.version", "3");
	bad("inter.broker.protocol.version", "3.9-IV1");
}

TEST(the_tables_are_sorted_and_complete)
{
	const char *names[4];
	size_t i;

	for (i = 0; i < config_broker_key_count; i++) {
		const struct config_key *k = &config_broker_keys[i];
		struct errbuf eb = ERRBUF_INIT;

		CHECK(i == 0 || strcmp(config_broker_keys[i - 1].name, k->name) < 0);
		CHECK(config_broker_key(k->name) == k);
		CHECK(strlen(k->doc) > 10);
		CHECK(k->default_text == NULL || config_value_test(k, k->default_text, &eb));
		CHECK_GE(config_broker_synonyms(k->name, true, names), 1);
	}
	for (i = 0; i < config_topic_key_count; i++) {
		const struct config_key *k = &config_topic_keys[i];

		CHECK(i == 0 || strcmp(config_topic_keys[i - 1].name, k->name) < 0);
		CHECK(strlen(k->doc) > 10);
		if (config_topic_synonym(k->name) != NULL)
			CHECK(config_broker_key(config_topic_synonym(k->name)) != NULL);
	}
	CHECK_EQ(config_broker_key_count, 328 + 9);	/* Kafka 3.9's, and ours */
	CHECK_EQ(config_topic_key_count, 36);
}

TEST(names_lead_to_their_keys)
{
	CHECK_STR(config_broker_key_of("listener.name.internal.ssl.keystore.type")->name, "ssl.keystore.type");
	CHECK_STR(config_broker_key_of("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config")->name, "sasl.jaas.config");
	CHECK_STR(config_broker_key_of("leader.replication.throttled.rate")->name, "leader.replication.throttled.rate");
	CHECK(config_broker_key_of("listener.name.x") == NULL);
	CHECK(config_broker_key_of("listener.name.x.nothing") == NULL);
	CHECK(config_dynamic_key("log.dirs") == NULL);
	CHECK(config_dynamic_key("num.io.threads") != NULL);
	CHECK_STR(config_nearest_broker_key("log.retention.hour"), "log.retention.hours");
	CHECK_STR(config_nearest_broker_key("advertized.listeners"), "advertised.listeners");
	CHECK(config_nearest_broker_key("zzz.nothing.like.it") == NULL);
}

/* ---- listeners ---- */

static enum err
listeners(const char *text, bool distinct, struct config_listeners *ls)
{
	struct listener_protocols m;
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	CHECK_EQ(listener_protocols_parse("PLAINTEXT:PLAINTEXT, internal : plaintext,SSL:SSL,EXT:SASL_SSL", &m, &eb), OK);
	e = config_listeners_parse(text, &m, distinct, ls, &eb);
	CHECK((e == OK) == (eb.text[0] == '\0'));
	listener_protocols_fini(&m);
	return (e);
}

TEST(listeners_are_read_with_names_hosts_and_ports)
{
	struct config_listeners ls;
	const struct config_listener *l;

	REQUIRE(listeners(" plaintext://:9092 , Internal://[::1]:9093,EXT://host-1.example.com:0,SSL://fe80::1%eth0:9094", true, &ls) == OK);
	REQUIRE(ls.count == 4);
	CHECK_STR(ls.items[0].name, "PLAINTEXT");
	CHECK_STR(ls.items[0].host, "");
	CHECK_EQ(ls.items[0].port, 9092);
	l = config_listeners_find(&ls, "INTERNAL");
	REQUIRE(l != NULL);
	CHECK_STR(l->host, "::1");
	CHECK_EQ(l->protocol, PROTOCOL_PLAINTEXT);
	CHECK_EQ(ls.items[2].protocol, PROTOCOL_SASL_SSL);
	CHECK_STR(ls.items[3].host, "fe80::1%eth0");
	CHECK(config_listeners_find(&ls, "internal") == NULL);
	config_listeners_fini(&ls);
}

TEST(wrong_listeners_are_refused)
{
	static const char *const no[] = { "PLAINTEXT", "PLAINTEXT://", "PLAINTEXT://host", "PLAINTEXT:/host:1", "PLAINTEXT://host:65536",
		"PLAINTEXT://host:-1", "PLAINTEXT://ho st:1", "PLAINTEXT://host:1x", "PLAINTEXT://host:+1", "OTHER://:1", "PLAINTEXT://:1,plaintext://:2",
		"PLAINTEXT://:1,SSL://:1", "PLAINTEXT://1.2.3.4:1,SSL://5.6.7.8:1", "PLAINTEXT://1.2.3.4:1,SSL://[::1]:1,EXT://:1",
		"PLAINTEXT://a:1,SSL://[::1]:1", "://:1" };
	struct config_listeners ls;
	size_t i;

	for (i = 0; i < NELEM(no); i++)
		unit_check(listeners(no[i], true, &ls) == ERR_INVALID && ls.items == NULL, __FILE__, __LINE__, "<%s> is taken", no[i]);
	CHECK_EQ(listeners("PLAINTEXT://1.2.3.4:1,SSL://[::1]:1", true, &ls), OK);
	config_listeners_fini(&ls);
	CHECK_EQ(listeners("PLAINTEXT://a:1,SSL://b:1", false, &ls), OK);
	config_listeners_fini(&ls);
	CHECK_EQ(listeners("PLAINTEXT://:0,SSL://:0", true, &ls), OK);
	config_listeners_fini(&ls);
}

TEST(wrong_protocol_maps_are_refused)
{
	struct listener_protocols m;
	struct errbuf eb = ERRBUF_INIT;
	enum security_protocol p;

	CHECK_EQ(listener_protocols_parse("PLAINTEXT", &m, &eb), ERR_INVALID);
	CHECK_EQ(listener_protocols_parse("A:TLS", &m, &eb), ERR_INVALID);
	CHECK_EQ(listener_protocols_parse("", &m, &eb), OK);
	CHECK_EQ(m.count, 0);
	listener_protocols_fini(&m);
	CHECK_EQ(listener_protocols_parse("A:SSL,a:PLAINTEXT", &m, &eb), OK);
	CHECK(listener_protocols_find(&m, "A", &p) && p == PROTOCOL_PLAINTEXT);
	listener_protocols_fini(&m);
}

UNIT_MAIN("config/value", T(doubles_print_as_javas), T(numbers_and_booleans_follow_javas_rules), T(doubles_follow_javas_grammar),
    T(ranges_hold_at_both_ends), T(the_tables_are_sorted_and_complete), T(names_lead_to_their_keys),
    T(listeners_are_read_with_names_hosts_and_ports), T(wrong_listeners_are_refused), T(wrong_protocol_maps_are_refused))
