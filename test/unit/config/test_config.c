/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration file as an operator meets it: what is taken, what is said about it, what is refused and with which words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/random.h"
#include "config/topic.h"
#include "test/unit/unit.h"

#define MINIMUM	"broker.id=1\nzookeeper.connect=localhost:2181\nlog.dirs=/a\n"

static struct config *
load_with(const char *text, const char *const *overrides, size_t n, struct config_report *r)
{
	struct config_input input = { "test.properties", slice_str(text), overrides, n };
	struct config *c = NULL;
	enum err e = config_load(&input, &c, r);

	CHECK((e == OK) == (c != NULL));
	return (c);
}

static struct config *
load(const char *text, struct config_report *r)
{
	return (load_with(text, NULL, 0, r));
}

static bool
says(const struct config_report *r, enum config_severity severity, const char *words)
{
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (r->notes[i].severity == severity && strstr(r->notes[i].text, words) != NULL)
			return (true);
	}
	return (false);
}

static void
show(const struct config_report *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		fprintf(stderr, "    %s\n", r->notes[i].text);
}

/* MINIMUM and `text` load with exactly one note, a warning with these words. */
static void
warns(const char *text, const char *words)
{
	struct config_report r = CONFIG_REPORT_INIT;
	char *all = xasprintf("%s%s\n", MINIMUM, text);
	struct config *c = load(all, &r);

	unit_check(c != NULL && r.count == 1 && says(&r, CONFIG_WARNING, words), __FILE__, __LINE__, "<%s>: no warning <%s>", text, words);
	if (r.count != 1 || !says(&r, CONFIG_WARNING, words))
		show(&r);
	config_unref(&c);
	config_report_fini(&r);
	free(all);
}

static void
refuses(const char *text, const char *words)
{
	struct config_report r = CONFIG_REPORT_INIT;
	char *all = xasprintf("%s%s\n", MINIMUM, text);
	struct config *c = load(all, &r);

	unit_check(c == NULL && says(&r, CONFIG_ERROR, words), __FILE__, __LINE__, "<%s>: no error <%s>", text, words);
	if (!says(&r, CONFIG_ERROR, words))
		show(&r);
	config_unref(&c);
	config_report_fini(&r);
	free(all);
}

static void
silent(const char *text)
{
	struct config_report r = CONFIG_REPORT_INIT;
	char *all = xasprintf("%s%s\n", MINIMUM, text);
	struct config *c = load(all, &r);

	unit_check(c != NULL && r.count == 0, __FILE__, __LINE__, "<%s> is spoken of", text);
	show(&r);
	config_unref(&c);
	config_report_fini(&r);
	free(all);
}

/* ---- loading ---- */

TEST(the_minimum_gives_kafkas_defaults)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load(MINIMUM, &r);

	REQUIRE(c != NULL);
	CHECK_EQ(r.count, 0);
	CHECK_EQ(c->broker_id, 1);
	CHECK_EQ(c->node_id, 1);
	CHECK_EQ(c->num_network_threads, 3);
	CHECK(!c->num_network_threads_set);
	CHECK(!c->num_recovery_threads_set);
	CHECK_EQ(c->log_segment_bytes, 1 << 30);
	CHECK_EQ(c->log_retention_time_ms, 7 * 24 * 3600 * INT64_C(1000));
	CHECK_EQ(c->log_roll_time_ms, 7 * 24 * 3600 * INT64_C(1000));
	CHECK_EQ(c->log_roll_jitter_time_ms, 0);
	CHECK_EQ(c->log_flush_time_ms, INT64_MAX);
	CHECK_EQ(c->zookeeper_connection_timeout, 18000);
	CHECK(config_is_null(c, "log.retention.ms"));
	CHECK(!config_is_null(c, "log.retention.hours"));
	REQUIRE(c->log_directories.count == 1);
	CHECK_STR(c->log_directories.items[0], "/a");
	REQUIRE(c->bind.count == 1 && c->advertised.count == 1);
	CHECK_STR(c->bind.items[0].host, "");
	CHECK_EQ(c->bind.items[0].port, 9092);
	CHECK_STR(c->inter_broker_name, "PLAINTEXT");
	CHECK(c->ottla_keeper_enable && c->ottla_session_record_enable);
	CHECK_STR(c->ottla_diagnostics_format, "text");
	CHECK(c->ottla_diagnostics_file == NULL);
	config_unref(&c);
}

/* The keys and values of Kafka 3.9's own example. */
TEST(kafkas_stock_configuration_starts_without_a_warning)
{
	static const char stock[] = "broker.id=0\nnum.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
	    "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\nlog.dirs=/tmp/kafka-logs\nnum.partitions=1\n"
	    "num.recovery.threads.per.data.dir=1\noffsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
	    "transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.retention.check.interval.ms=300000\nzookeeper.connect=localhost:2181\n"
	    "zookeeper.connection.timeout.ms=18000\ngroup.initial.rebalance.delay.ms=0\n"
	    /* the lines that stand there commented out */
	    "listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://your.host.name:9092\n"
	    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
	    "log.flush.interval.messages=10000\nlog.flush.interval.ms=1000\nlog.retention.bytes=1073741824\nlog.segment.bytes=1073741824\n";
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load(stock, &r);

	REQUIRE(c != NULL);
	CHECK_EQ(r.count, 0);
	show(&r);
	CHECK(c->num_network_threads_set && c->num_io_threads_set && c->num_recovery_threads_set);
	CHECK_STR(c->advertised.items[0].host, "your.host.name");
	CHECK_EQ(c->log_flush_time_ms, 1000);
	config_unref(&c);
}

TEST(our_own_example_starts_without_a_warning)
{
	struct config_report r = CONFIG_REPORT_INIT;
	char *path = xasprintf("%s/conf/server.properties", unit_srcdir()), text[32768];
	FILE *f = fopen(path, "r");
	struct config *c;
	size_t n;

	REQUIRE(f != NULL);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	c = load(text, &r);
	REQUIRE(c != NULL);
	CHECK_EQ(r.count, 0);
	show(&r);
	CHECK_STR(c->advertised.items[0].host, "localhost");
	CHECK_STR(c->log_directories.items[0], "/var/lib/ottla");
	config_unref(&c);
	free(path);
}

/* Every key=value in a comment of our example is a key, with its default or a value that is valid. */
TEST(what_our_example_comments_out_is_valid_too)
{
	struct config_report r = CONFIG_REPORT_INIT;
	char *path = xasprintf("%s/conf/server.properties", unit_srcdir()), line[512];
	struct strbuf all = STRBUF_INIT;
	FILE *f = fopen(path, "r");
	struct config *c;
	size_t uncommented = 0;

	REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL) {
		bool off = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';

		uncommented += off;
		strbuf_add(&all, "%s", off ? line + 1 : line);
	}
	fclose(f);
	CHECK_GE(uncommented, 10);
	c = load(strbuf_str(&all), &r);
	CHECK(c != NULL);
	CHECK_EQ(r.count, 0);
	show(&r);
	config_unref(&c);
	config_report_fini(&r);
	strbuf_fini(&all);
	free(path);
}

TEST(overrides_win_over_the_file)
{
	static const char *const overrides[] = { "log.retention.hours=1", "num.partitions = 7", "broker.id=5", "log.dirs=/b,/c=d" };
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load_with(MINIMUM "num.partitions=3\n", overrides, 4, &r);

	REQUIRE(c != NULL);
	CHECK_EQ(r.count, 0);
	CHECK_EQ(c->broker_id, 5);
	CHECK_EQ(c->node_id, 5);
	CHECK_EQ(c->num_partitions, 7);
	CHECK_EQ(c->log_retention_time_ms, 3600000);
	CHECK_STR(c->log_directories.items[1], "/c=d");
	config_unref(&c);
}

TEST(overrides_alone_are_enough)
{
	static const char *const overrides[] = { "zookeeper.connect=z:1" };
	struct config_input input = { NULL, SLICE_NULL, overrides, 1 };
	struct config *c;

	REQUIRE(config_load(&input, &c, NULL) == OK);
	CHECK_EQ(c->broker_id, -1);
	CHECK_STR(c->log_directories.items[0], "/tmp/kafka-logs");
	config_unref(&c);
}

TEST(a_bad_value_is_reported_with_file_line_key_value_and_range)
{
	static const char *const overrides[] = { "num.io.threads=many", "nonsense" };
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load_with(MINIMUM "\n# comment\nlog.segment.bytes=13\nauto.create.topics.enable=maybe\ncompression.type=rar\n"
	    "log.cleaner.min.cleanable.ratio=2\nnum.partitions=99999999999\n", overrides, 2, &r);

	CHECK(c == NULL);
	CHECK_EQ(r.errors, 7);
	CHECK(says(&r, CONFIG_ERROR, "test.properties:6: log.segment.bytes = 13: out of range; expected a whole number from 14 to 2147483647"));
	CHECK(says(&r, CONFIG_ERROR, "test.properties:7: auto.create.topics.enable = maybe: neither true nor false; expected true or false"));
	CHECK(says(&r, CONFIG_ERROR, "test.properties:8: compression.type = rar: not a value it may have; expected one of uncompressed,zstd,"));
	CHECK(says(&r, CONFIG_ERROR, "test.properties:9: log.cleaner.min.cleanable.ratio = 2: out of range; expected a number from 0.0 to 1.0"));
	CHECK(says(&r, CONFIG_ERROR, "test.properties:10: num.partitions = 99999999999: out of range; expected a whole number from 1 to 2147483647"));
	CHECK(says(&r, CONFIG_ERROR, "--override: num.io.threads = many: not a whole number that fits; expected a whole number from 1"));
	CHECK(says(&r, CONFIG_ERROR, "--override nonsense: expected key=value"));
	if (r.errors != 7)
		show(&r);
	config_report_fini(&r);
}

TEST(a_file_that_is_no_properties_file_is_refused)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load("broker.id=\\uzzzz\n", &r);

	CHECK(c == NULL);
	CHECK(says(&r, CONFIG_ERROR, "test.properties:1: malformed"));
	config_report_fini(&r);
}

TEST(rules_between_settings_are_checked)
{
	refuses("node.id=2", "broker.id is 1");
	refuses("broker.id=1001", "expected -1 (an id is generated) to 1000");
	refuses("broker.id=-2", "expected -1");
	refuses("broker.id=-1\nbroker.id.generation.enable=false", "expected 0 or more");
	silent("broker.id=5000\nbroker.id.generation.enable=false");
	refuses("zookeeper.connect=", "must be set");
	refuses("ottla.embedded.zookeeper.listener=2181", "expected HOST:PORT");
	refuses("ottla.embedded.zookeeper.listener=::1:2181", "stands in brackets, for example [::1]:2181");
	silent("ottla.embedded.zookeeper.listener=[::1]:2181");
	refuses("log.roll.ms=0", "at least 1 ms");
	refuses("log.roll.jitter.ms=-1", "log.roll.jitter.ms = -1: expected 0 or more");
	refuses("log.retention.ms=0", "log.retention.ms = 0: expected at least 1 ms");
	refuses("log.retention.hours=0", "log.retention.hours = 0: expected at least 1 ms");
	silent("log.retention.minutes=-7");
	refuses("log.dirs=,", "at least one directory");
	refuses("log.dirs=/a,/b,/a", "/a is there twice");
	refuses("log.cleaner.threads=200", "more than 1 MiB");
	refuses("log.cleaner.threads=0", "expected 1 or more");
	refuses("replica.fetch.wait.max.ms=30001", "at most replica.socket.timeout.ms");
	refuses("replica.fetch.wait.max.ms=30001", "at most replica.lag.time.max.ms");
	refuses("inter.broker.protocol.version=3.8", "only 3.9 is built");
	silent("inter.broker.protocol.version=3.9.1");
	refuses("queued.max.request.bytes=100", "at least socket.request.max.bytes");
	refuses("max.connections.per.ip=0", "0 is allowed only when");
	silent("max.connections.per.ip=0\nmax.connections.per.ip.overrides=10.0.0.1:5, ::1 : 7");
	refuses("max.connections.per.ip.overrides=host", "is not HOST:COUNT");
	refuses("max.connections.per.ip.overrides=ho/st:1", "no host name");
	refuses("connections.max.idle.ms=100", "is not less than connections.max.idle.ms");
	silent("connections.max.idle.ms=-1");
	refuses("group.coordinator.rebalance.protocols=consumer,classic", "only in KRaft mode");
	refuses("group.coordinator.rebalance.protocols=share", "classic cannot be switched off");
	refuses("listener.name.plaintext.max.connections=x", "listener.name.plaintext.max.connections = x: not a whole number");
}

TEST(listener_rules_are_checked)
{
	refuses("listeners=PLAINTEXT://0.0.0.0:9092", "0.0.0.0 is no address a client could connect to");
	silent("listeners=PLAINTEXT://0.0.0.0:9092\nadvertised.listeners=PLAINTEXT://h:9092");
	refuses("listeners=", "at least one listener");
	refuses("advertised.listeners=OTHER://h:1", "OTHER has no protocol");
	refuses("advertised.listeners=PLAINTEXT://h:1,SSL://h:2", "SSL is not one of the listeners");
	refuses("listeners=INT://:1\nlistener.security.protocol.map=INT:PLAINTEXT", "brokers would use listener PLAINTEXT");
	silent("listeners=INT://:1\nlistener.security.protocol.map=INT:PLAINTEXT\ninter.broker.listener.name=int");
	refuses("inter.broker.listener.name=NONE", "NONE has no protocol");
	refuses("inter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT", "only one of it and");
	refuses("listeners=SSL://:9093,PLAINTEXT://:9092", "listener SSL uses SSL, and TLS and SASL are not built yet");
	refuses("listeners=PLAINTEXT://:9092\nlistener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT", "uses SASL_PLAINTEXT");
	refuses("listener.security.protocol.map=PLAINTEXT:NOPE", "no security protocol");
}

TEST(several_listeners_with_their_own_limits)
{
	struct config *c = load(MINIMUM "listeners=A://:1,B://[::1]:2\nadvertised.listeners=B://b.example.com:3,A://a.example.com:3\n"
	    "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\ninter.broker.listener.name=B\nmax.connections=50\n"
	    "listener.name.a.max.connections=7\n", NULL);

	REQUIRE(c != NULL);
	CHECK_EQ(c->bind.items[0].max_connections, 7);
	CHECK_EQ(c->bind.items[1].max_connections, 50);
	CHECK_STR(c->advertised.items[0].name, "B");
	CHECK_STR(c->inter_broker_name, "B");
	CHECK_EQ(c->inter_broker_protocol, PROTOCOL_PLAINTEXT);
	config_unref(&c);
}

TEST(what_is_not_built_is_refused_by_name)
{
	refuses("authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "authorizer.class.name = kafka.security.authorizer.AclAuthorizer: refused: ");
	refuses("delegation.token.secret.key=abc", "delegation.token.secret.key = [hidden]: refused");
	refuses("zookeeper.ssl.client.enable=true", "TLS to ZooKeeper");
	refuses("zookeeper.set.acl=true", "zookeeper.set.acl = true: refused");
	refuses("control.plane.listener.name=X", "refused");
	refuses("process.roles=broker", "only ZooKeeper mode");
	refuses("controller.listener.names=C", "only ZooKeeper mode");
	refuses("zookeeper.metadata.migration.enable=true", "only ZooKeeper mode");
	refuses("remote.log.storage.system.enable=true", "tiered storage");
	refuses("create.topic.policy.class.name=a.B", "Java classes cannot be loaded");
	refuses("replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector", "refused");
	silent("authorizer.class.name=\nzookeeper.set.acl=FALSE\nprocess.roles=");
	silent("principal.builder.class=org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder");
}

TEST(what_has_no_effect_is_warned_about_once)
{
	warns("log.cleaner.threads=2", "log.cleaner.threads = 2: accepted, but without effect: compaction");
	warns("log.cleanup.policy=delete,compact", "compaction is not built yet: all records of compacted topics stay");
	warns("ssl.keystore.password=secret", "ssl.keystore.password = [hidden]: accepted");
	warns("num.replica.fetchers=4", "replication between brokers");
	warns("quota.window.num=12", "quotas");
	warns("metric.reporters=a.b.C", "Java's runtime");
	warns("listener.name.plaintext.ssl.keystore.location=/x", "TLS and SASL");
	warns("listener.name.plaintext.num.network.threads=2", "share the network threads");
	silent("log.cleaner.threads= 1\nlog.cleaner.min.cleanable.ratio=0.50\nnum.replica.fetchers=1\nquota.window.num=011");
	silent("metric.reporters=\nauto.include.jmx.reporter=TRUE");
	silent("metric.reporters=org.apache.kafka.common.metrics.JmxReporter");
}

TEST(coordinator_keys_are_checked_and_kept_in_silence)
{
	struct config *c = load(MINIMUM "offsets.topic.num.partitions=7\ntransaction.max.timeout.ms=5\ngroup.max.size=9\n", NULL);

	REQUIRE(c != NULL);
	CHECK_EQ(c->offsets_topic_num_partitions, 7);
	CHECK_EQ(c->transaction_max_timeout_ms, 5);
	CHECK_EQ(c->group_max_size, 9);
	config_unref(&c);
	silent("offsets.retention.minutes=5\ntransactional.id.expiration.ms=1\ntransaction.partition.verification.enable=false");
	refuses("offsets.topic.num.partitions=0", "expected a whole number from 1");
	refuses("offsets.topic.compression.codec=5", "4 (zstd)");
	refuses("offsets.commit.required.acks=4", "expected -1 (all) to offsets.topic.replication.factor (3)");
	refuses("group.consumer.heartbeat.interval.ms=1", "expected at least group.consumer.min.heartbeat.interval.ms (5000)");
	refuses("group.share.min.session.timeout.ms=60001", "expected at most group.share.max.session.timeout.ms (60000)");
}

TEST(unknown_keys_are_named_with_what_was_meant)
{
	warns("log.retention.hour=5", "log.retention.hour = [hidden]: unknown key, ignored; did you mean log.retention.hours?");
	warns("auto.create.topic.enable=true", "did you mean auto.create.topics.enable?");
	warns("something.else.entirely=5", "unknown key, ignored");
	warns("listener.name.plaintext.nothing=5", "unknown key");
	silent("super.users=User:a\nallow.everyone.if.no.acl.found=true\nauthorizer.zookeeper.url=x\nconfluent.support.metrics.enable=false");
	warns("broker.rack=caf\xc3\xa9", "read as ISO-8859-1");
}

TEST(secrets_are_never_shown)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct strbuf page = STRBUF_INIT;
	struct config *c = load(MINIMUM "ssl.key.password=hunter2\nlistener.name.plaintext.plain.sasl.jaas.config=hunter2\nsome.secret.of.a.plugin=hunter2\n"
	    "zookeeper.ssl.keystore.password=hunter2\npassword.encoder.secret=hunter2\n", &r);

	REQUIRE(c != NULL);
	config_check(c, &r, &page);
	CHECK(strstr(strbuf_str(&page), "ssl.key.password=[hidden]") != NULL);
	CHECK(strstr(strbuf_str(&page), "hunter2") == NULL);
	CHECK(strstr(strbuf_str(&page), "listener PLAINTEXT (PLAINTEXT) on every address:9092") != NULL);
	CHECK(strstr(strbuf_str(&page), "log directory /a") != NULL);
	CHECK(strstr(strbuf_str(&page), "broker.id=1  (file)") != NULL);
	strbuf_fini(&page);
	config_unref(&c);
	config_report_fini(&r);
	c = load("ssl.key.password=hunter2\nbroker.id=x\ndelegation.token.secret.key=hunter2", &r);
	CHECK(c == NULL);
	config_check(c, &r, &page);
	CHECK(strstr(strbuf_str(&page), "hunter2") == NULL);
	CHECK(strstr(strbuf_str(&page), "error: test.properties:2: broker.id = x") != NULL);
	CHECK(strstr(strbuf_str(&page), "3 errors, ") != NULL);
	strbuf_fini(&page);
	config_report_fini(&r);
}

/* ---- dynamic ---- */

TEST(dynamic_settings_cover_the_file_and_its_synonyms)
{
	struct config *base = load(MINIMUM "log.retention.hours=1\nlog.roll.hours=2\n", NULL), *c;
	struct config_map by_default = CONFIG_MAP_INIT, by_broker = CONFIG_MAP_INIT;
	struct config_report r = CONFIG_REPORT_INIT;

	REQUIRE(base != NULL);
	config_map_set(&by_default, "log.retention.ms", "500");
	config_map_set(&by_default, "num.io.threads", "9");
	config_map_set(&by_broker, "num.io.threads", "10");
	REQUIRE(config_with_dynamic(base, 1, &by_default, &by_broker, &c, &r) == OK);
	CHECK_EQ(r.count, 0);
	CHECK_EQ(c->log_retention_time_ms, 500);
	CHECK_EQ(c->log_roll_time_ms, 7200000);
	CHECK_EQ(c->num_io_threads, 10);
	CHECK(c->num_io_threads_set);
	CHECK_EQ(base->num_io_threads, 8);
	config_unref(&base);
	CHECK_EQ(c->broker_id, 1);		/* it stands alone */
	config_unref(&c);
	config_map_fini(&by_default);
	config_map_fini(&by_broker);
}

TEST(bad_entries_in_zookeeper_are_dropped_and_the_rest_counts)
{
	struct config *base = load(MINIMUM, NULL), *c;
	struct config_map by_default = CONFIG_MAP_INIT, by_broker = CONFIG_MAP_INIT;
	struct config_report r = CONFIG_REPORT_INIT;

	REQUIRE(base != NULL);
	config_map_set(&by_default, "num.io.threads", "x");
	config_map_set(&by_default, "log.dirs", "/x");
	config_map_set(&by_default, "advertised.listeners", "PLAINTEXT://h:1");
	config_map_set(&by_default, "message.max.bytes", "5");
	config_map_set(&by_broker, "ssl.keystore.location", "/x");
	config_map_set(&by_broker, "listener.name.plaintext.ssl.key.password", "cipher text");
	config_map_set(&by_broker, "custom", "kept");
	REQUIRE(config_with_dynamic(base, 1, &by_default, &by_broker, &c, &r) == OK);
	CHECK_EQ(r.errors, 5);
	CHECK_EQ(c->message_max_bytes, 5);
	CHECK_EQ(c->num_io_threads, 8);
	CHECK_EQ(config_dynamic_default(c)->count, 1);
	CHECK_EQ(config_dynamic_broker(c)->count, 1);
	CHECK_STR(config_map_get(config_dynamic_broker(c), "custom"), "kept");
	CHECK(!says(&r, CONFIG_ERROR, "cipher text"));
	config_unref(&c);
	config_report_fini(&r);
	config_map_set(&by_default, "log.retention.ms", "0");
	CHECK_EQ(config_with_dynamic(base, 1, &by_default, NULL, &c, &r), ERR_INVALID);
	CHECK(c == NULL);
	CHECK(says(&r, CONFIG_ERROR, "dynamic setting: log.retention.ms = 0"));
	config_report_fini(&r);
	config_map_fini(&by_default);
	config_map_fini(&by_broker);
	config_unref(&base);
}

TEST(listeners_cannot_be_added_while_running)
{
	struct config *base = load(MINIMUM, NULL);
	struct config_map props = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;

	REQUIRE(base != NULL);
	config_map_set(&props, "listeners", "PLAINTEXT://:9092");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_NONE);
	config_map_set(&props, "listeners", "PLAINTEXT://:9093");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_NONE);
	config_map_set(&props, "listeners", "PLAINTEXT://:9093,X://:9094");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_INVALID_REQUEST);	/* no protocol */
	config_map_set(&props, "listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,X:PLAINTEXT");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_NONE);
	config_map_set(&props, "listeners", "X://:9094");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_INVALID_REQUEST);	/* where would brokers go? */
	config_map_set(&props, "listeners", "PLAINTEXT://:9093,X://:9094");
	config_map_set(&props, "listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,X:SSL");
	CHECK_EQ(config_validate_dynamic(base, &props, true, &eb), KERR_INVALID_REQUEST);
	CHECK(strstr(eb.text, "not built yet") != NULL);
	config_map_fini(&props);
	config_unref(&base);
}

/* ---- ${provider:path:key} ---- */

static void
put_file(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", unit_tmpdir(), name);
	FILE *f = fopen(path, "w");

	must(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
	free(path);
}

#define PROVIDERS	"config.providers=f,d,e\nconfig.providers.f.class=org.apache.kafka.common.config.provider.FileConfigProvider\n" \
	"config.providers.d.class=org.apache.kafka.common.config.provider.DirectoryConfigProvider\n" \
	"config.providers.e.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n"

/* NULL: it was refused.  @ stands for the test's directory. */
static struct config *
load_from_elsewhere(const char *text, struct config_report *r)
{
	static char io[] = "IO=9", iox[] = "IOX=10", empty[] = "EMPTY=";
	static char *const env[] = { io, iox, empty, NULL };
	struct config_input input = { .file = "test", .fs = fs_real(), .environment = env };
	struct strbuf sb = STRBUF_INIT;
	struct config *c = NULL;

	strbuf_add(&sb, MINIMUM PROVIDERS);
	for (; *text != '\0'; text++)
		if (*text == '@')
			strbuf_add(&sb, "%s", unit_tmpdir());
		else
			strbuf_add_bytes(&sb, text, 1);
	input.text = slice_of(strbuf_str(&sb), sb.len);
	(void)!config_load(&input, &c, r);
	strbuf_fini(&sb);
	return (c);
}

static void
resolves(const char *text, const char *key, const char *value)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load_from_elsewhere(text, &r);
	char *got = c == NULL ? NULL : config_value_text(c, config_broker_key(key));

	unit_check(got != NULL && strcmp(got, value) == 0, __FILE__, __LINE__, "%s: %s, expected %s (%s)", text, got, value,
	    r.count > 0 ? r.notes[0].text : "");
	free(got);
	config_unref(&c);
	config_report_fini(&r);
}

static void
resolves_not(const char *text, const char *words)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c = load_from_elsewhere(text, &r);

	unit_check(c == NULL && says(&r, CONFIG_ERROR, words), __FILE__, __LINE__, "%s: %s", text, r.count > 0 ? r.notes[0].text : "accepted");
	config_unref(&c);
	config_report_fini(&r);
}

TEST(values_are_read_from_files_directories_and_the_environment)
{
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c;

	put_file("values", "io = 11\nrack: r\xc3\xa4" "ck \\u20ac\nodd=a\\\xc3\xa4" "b\nwith:colon=x\n");
	put_file("io", "12\n");
	resolves("num.io.threads=${f:@/values:io}", "num.io.threads", "11");
	resolves("num.io.threads=1${f:@/values:io}0${e:IO}", "num.io.threads", "11109");
	resolves("broker.rack=${f:@/values:rack}", "broker.rack", "r\xc3\xa4" "ck \xe2\x82\xac");
	resolves("broker.rack=${f:@/values:odd}", "broker.rack", "a\xc3\xa4" "b");
	resolves("num.io.threads=${d:@:io}", "num.io.threads", "12");
	resolves("num.io.threads=${e:IO}", "num.io.threads", "9");
	resolves("num.io.threads=${e::IO}", "num.io.threads", "9");
	resolves("broker.rack=${e:EMPTY}", "broker.rack", "");
	resolves("config.providers.f.param.allowed.paths=/usr/..,@\nnum.io.threads=${f:@/x/../values:io}", "num.io.threads", "11");
	resolves("config.providers.e.param.allowlist.pattern=I.\nnum.io.threads=${e:IO}", "num.io.threads", "9");
	/* What has no value stays as it is written; so does what is no variable of ours. */
	resolves("broker.rack=${other:a:b}${}${nothing}$ {e:IO}${e:IO", "broker.rack", "${other:a:b}${}${nothing}$ {e:IO}${e:IO");
	resolves("broker.rack=${e:NOT_SET}", "broker.rack", "${e:NOT_SET}");
	resolves("config.providers.e.param.allowlist.pattern=I.\nbroker.rack=${e:IOX}", "broker.rack", "${e:IOX}");
	c = load_from_elsewhere("broker.rack=${e:NOT_SET}", &r);
	CHECK(says(&r, CONFIG_WARNING, "broker.rack: ${e:NOT_SET} has no value and stays as it is written"));
	config_unref(&c);
	config_report_fini(&r);
	resolves_not("num.io.threads=${f:@/missing:io}", "missing cannot be read");
	resolves_not("num.io.threads=${e:/path:IO}", "environment variables have no path");
	resolves_not("config.providers.f.param.allowed.paths=@/no.such.place\nnum.io.threads=${f:@/values:io}", "is not an absolute path that exists");
	resolves_not("config.providers.f.param.allowed.paths=@/io\nnum.io.threads=${f:@/values:io}", "num.io.threads");
	resolves_not("config.providers.e.param.allowlist.pattern=(", "is not an extended regular expression");
	resolves_not("config.providers.f.class=com.example.Vault", "com.example.Vault cannot be loaded here");
	put_file("broken", "a=\\u12\n");
	resolves_not("num.io.threads=${f:@/broken:a}", "broken:1");
	put_file("latin", "a=\xe4\n");
	resolves_not("num.io.threads=${f:@/latin:a}", "not text in UTF-8");
}

/* ---- topics ---- */

TEST(a_topic_takes_its_own_settings_then_the_brokers)
{
	struct config *c = load(MINIMUM "log.segment.bytes=1000\nlog.retention.minutes=1\nlog.cleanup.policy=compact\nlog.flush.scheduler.interval.ms=77\n"
	    "log.message.timestamp.difference.max.ms=9\nlog.message.format.version=0.10.2\ncompression.gzip.level=3\n", NULL);
	struct config_map o = CONFIG_MAP_INIT;
	struct topic_config *t;

	REQUIRE(c != NULL);
	t = topic_config_new(c, NULL, NULL);
	CHECK_EQ(t->segment_bytes, 1000);
	CHECK_EQ(t->retention_ms, 60000);
	CHECK_EQ(t->flush_ms, 77);
	CHECK(t->compact && !t->delete_);
	CHECK_EQ(t->compression, CONFIG_COMPRESSION_PRODUCER);
	CHECK_EQ(t->timestamp_before_max_ms, 9);
	CHECK_EQ(t->timestamp_after_max_ms, 9);
	CHECK(!t->log_append_time);
	CHECK_STR(t->message_format_version, "3.0-IV1");
	topic_config_unref(&t);
	config_map_set(&o, "segment.bytes", " 2000 ");
	config_map_set(&o, "cleanup.policy", "delete,compact");
	config_map_set(&o, "compression.type", "gzip");
	config_map_set(&o, "message.timestamp.type", "LogAppendTime");
	config_map_set(&o, "message.timestamp.before.max.ms", "4");
	config_map_set(&o, "retention.ms", "-1");
	t = topic_config_new(c, &o, NULL);
	config_unref(&c);			/* a topic's settings outlive the broker's */
	CHECK_EQ(t->segment_bytes, 2000);
	CHECK(t->compact && t->delete_);
	CHECK_EQ(t->compression, CONFIG_COMPRESSION_GZIP);
	CHECK_EQ(t->compression_level, 3);
	CHECK(t->log_append_time);
	CHECK_EQ(t->timestamp_before_max_ms, 4);
	CHECK_EQ(t->retention_ms, -1);
	topic_config_unref(&t);
	config_map_fini(&o);
}

TEST(a_foreign_hand_in_zookeeper_does_not_break_a_topic)
{
	struct config *c = load(MINIMUM, NULL);
	struct config_report r = CONFIG_REPORT_INIT;
	struct config_map o = CONFIG_MAP_INIT;
	struct topic_config *t;

	REQUIRE(c != NULL);
	config_map_set(&o, "segment.bytes", "13");
	config_map_set(&o, "no.such", "1");
	config_map_set(&o, "max.message.bytes", "7");
	t = topic_config_new(c, &o, &r);
	CHECK_EQ(t->segment_bytes, 1 << 30);
	CHECK_EQ(t->max_message_bytes, 7);
	CHECK_EQ(r.count, 2);
	CHECK(says(&r, CONFIG_WARNING, "segment.bytes = 13"));
	topic_config_unref(&t);
	config_report_fini(&r);
	config_map_fini(&o);
	config_unref(&c);
}

/* ---- anything at all ---- */

TEST(no_file_breaks_the_loader)
{
	static const char *const values[] = { "", "-1", "0", "1", "99999999999999999999", "true", "a,b,,c", "PLAINTEXT://:9092", "A:SSL,", "*", "\\u0041", ":", "://:" };
	struct random_seeded rs;
	int round;

	random_seeded_init(&rs, unit_seed());
	for (round = 0; round < 300; round++) {
		struct strbuf text = STRBUF_INIT, page = STRBUF_INIT;
		struct config_report r = CONFIG_REPORT_INIT;
		struct config *c;
		uint32_t i, n = random_below(&rs.random, 30);

		strbuf_add(&text, MINIMUM);
		for (i = 0; i < n; i++)
			strbuf_add(&text, "%s%s=%s\n", random_below(&rs.random, 8) == 0 ? "listener.name.plaintext." : "",
			    config_broker_keys[random_below(&rs.random, (uint32_t)config_broker_key_count)].name,
			    values[random_below(&rs.random, NELEM(values))]);
		c = load(strbuf_str(&text), &r);
		CHECK((c == NULL) == (r.errors > 0));
		config_check(c, &r, &page);
		config_unref(&c);
		config_report_fini(&r);
		strbuf_fini(&text);
		strbuf_fini(&page);
	}
}

UNIT_MAIN("config/config", T(the_minimum_gives_kafkas_defaults), T(kafkas_stock_configuration_starts_without_a_warning),
    T(our_own_example_starts_without_a_warning), T(what_our_example_comments_out_is_valid_too), T(overrides_win_over_the_file),
    T(overrides_alone_are_enough), T(a_bad_value_is_reported_with_file_line_key_value_and_range), T(a_file_that_is_no_properties_file_is_refused),
    T(rules_between_settings_are_checked), T(listener_rules_are_checked), T(several_listeners_with_their_own_limits),
    T(what_is_not_built_is_refused_by_name), T(what_has_no_effect_is_warned_about_once), T(coordinator_keys_are_checked_and_kept_in_silence),
    T(unknown_keys_are_named_with_what_was_meant), T(secrets_are_never_shown), T(dynamic_settings_cover_the_file_and_its_synonyms),
    T(bad_entries_in_zookeeper_are_dropped_and_the_rest_counts), T(listeners_cannot_be_added_while_running),
    T(values_are_read_from_files_directories_and_the_environment),
    T(a_topic_takes_its_own_settings_then_the_brokers), T(a_foreign_hand_in_zookeeper_does_not_break_a_topic), T(no_file_breaks_the_loader))
