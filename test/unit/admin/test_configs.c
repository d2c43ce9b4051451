/* SPDX-License-Identifier: Apache-2.0
 *
 * Describing and changing settings: what a client sees, what stands in ZooKeeper, who hears of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "config/password.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"
#include "zk/paths.h"

#define TOPIC_NODE	"{\"version\":3,\"partitions\":{\"0\":[1]}}"
#define CONFIG_NODE	"{\"version\":1,\"config\":{\"retention.ms\":\"5000\",\"cleanup.policy\":\"delete\"}}"

static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER };

static void
begin(struct world *w, const char *properties)
{
	world_init(w, properties);
	world_put(w, "/brokers/topics/t", TOPIC_NODE);
	world_put(w, "/config/topics/t", CONFIG_NODE);
	world_turn(w);
}

/* ---- describing ---- */

static void
describe_with(struct world *w, struct admin_described *r, int32_t n)
{
	struct admin_describe_configs d = { .resources = r, .nresources = n };
	unsigned before = w->done;

	world_job(w, &d.job);
	admin_describe_configs(w->admin, &d);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
}

static struct admin_described
describe(struct world *w, int8_t type, const char *name, const char *only)
{
	struct slice *names = ARENA_ARRAY(&w->arena, struct slice, 1);
	struct admin_described r = { .type = type, .name = slice_str(name), .names = { names, only != NULL } };

	names[0] = slice_str(only);
	describe_with(w, &r, 1);
	return (r);
}

static const struct config_entry *
entry(const struct admin_described *r, const char *name)
{
	static const struct config_entry none = { .name = "", .value = "" };

	for (size_t i = 0; i < r->description.count; i++)
		if (strcmp(r->description.entries[i].name, name) == 0)
			return (&r->description.entries[i]);
	return (&none);
}

TEST(a_topics_settings_come_from_zookeeper_and_the_broker)
{
	struct world w;
	struct admin_described r;

	begin(&w, "log.segment.bytes=1000000\n");
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", NULL);
	CHECK_EQ(r.outcome.error, KERR_NONE);
	CHECK(r.description.count > 30);
	CHECK_STR(entry(&r, "retention.ms")->value, "5000");
	CHECK_EQ(entry(&r, "retention.ms")->source, CONFIG_SOURCE_TOPIC);
	CHECK_STR(entry(&r, "segment.bytes")->value, "1000000");
	CHECK_EQ(entry(&r, "segment.bytes")->source, CONFIG_SOURCE_STATIC_BROKER);
	CHECK_EQ(entry(&r, "flush.ms")->source, CONFIG_SOURCE_DEFAULT);
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", "retention.ms");
	CHECK_EQ(r.description.count, 1);
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", "no.such");
	CHECK_EQ(r.outcome.error, KERR_NONE);
	CHECK_EQ(r.description.count, 0);
	world_put(&w, "/config/topics/t", "{\"version\":1,\"config\":{\"retention.ms\":\"7\"}}");	/* nobody told us */
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", NULL);
	CHECK_STR(entry(&r, "retention.ms")->value, "7");
	world_remove(&w, "/config/topics/t");
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", NULL);
	CHECK_EQ(r.outcome.error, KERR_NONE);
	CHECK_EQ(entry(&r, "retention.ms")->source, CONFIG_SOURCE_DEFAULT);
	world_put(&w, "/config/topics/t", "[}");
	r = describe(&w, ADMIN_RESOURCE_TOPIC, "t", NULL);
	CHECK_EQ(r.outcome.error, KERR_NONE);		/* as Java: no settings */
	CHECK_EQ(entry(&r, "retention.ms")->source, CONFIG_SOURCE_DEFAULT);
	world_fini(&w);
}

TEST(what_cannot_be_described_says_so)
{
	static const struct { int8_t type; const char *name; enum kerr error; bool words; } rows[] = {
		{ ADMIN_RESOURCE_TOPIC, "never", KERR_UNKNOWN_TOPIC_OR_PARTITION, false },
		{ ADMIN_RESOURCE_TOPIC, "a/b", KERR_INVALID_TOPIC_EXCEPTION, true },
		{ ADMIN_RESOURCE_TOPIC, "", KERR_INVALID_TOPIC_EXCEPTION, true },
		{ ADMIN_RESOURCE_BROKER, "2", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_BROKER, "one", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "2", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_CLIENT_METRICS, "", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_CLIENT_METRICS, "m", KERR_INVALID_REQUEST, true },
		{ ADMIN_RESOURCE_UNKNOWN, "m", KERR_INVALID_REQUEST, true },
	};
	struct world w;

	begin(&w, "");
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct admin_described r = describe(&w, rows[i].type, rows[i].name, NULL);

		CHECK_EQ(r.outcome.error, rows[i].error);
		CHECK_EQ(r.outcome.message != NULL, rows[i].words);
		CHECK_EQ(r.description.count, 0);
	}
	world_fini(&w);
}

TEST(a_broker_and_its_logger_are_described)
{
	struct world w;
	struct admin_described r;

	begin(&w, "num.io.threads=3\n");
	r = describe(&w, ADMIN_RESOURCE_BROKER, "1", NULL);
	CHECK_EQ(r.outcome.error, KERR_NONE);
	CHECK(r.description.count > 200);
	CHECK_STR(entry(&r, "num.io.threads")->value, "3");
	r = describe(&w, ADMIN_RESOURCE_BROKER, "", NULL);
	CHECK_EQ(r.outcome.error, KERR_NONE);
	CHECK_EQ(r.description.count, 0);
	r = describe(&w, ADMIN_RESOURCE_BROKER_LOGGER, "1", NULL);
	CHECK_EQ(r.description.count, 1);
	CHECK_STR(entry(&r, "root")->value, "DEBUG");		/* a capture takes every line */
	CHECK_EQ(entry(&r, "root")->source, CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER);
	r = describe(&w, ADMIN_RESOURCE_BROKER_LOGGER, "1", "kafka");
	CHECK_EQ(r.description.count, 0);
	world_fini(&w);
}

TEST(many_resources_are_described_in_the_order_asked)
{
	struct world w;
	struct admin_described r[4] = { { .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("never") }, { .type = ADMIN_RESOURCE_TOPIC,
	    .name = SLICE_LIT("t") }, { .type = ADMIN_RESOURCE_BROKER, .name = SLICE_LIT("1") }, { .type = ADMIN_RESOURCE_TOPIC,
	    .name = SLICE_LIT("t") } };

	begin(&w, "");
	describe_with(&w, r, 4);
	CHECK_EQ(r[0].outcome.error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_STR(entry(&r[1], "retention.ms")->value, "5000");
	CHECK(r[2].description.count > 200);
	CHECK_STR(entry(&r[3], "retention.ms")->value, "5000");
	world_fini(&w);
}

/* ---- changing ---- */

static struct admin_outcome
alter_with(struct world *w, struct admin_altered *r, int32_t n, bool incremental, bool validate_only)
{
	struct admin_alter_configs c = { .resources = r, .nresources = n, .incremental = incremental, .validate_only = validate_only };
	unsigned before = w->done;

	world_job(w, &c.job);
	admin_alter_configs(w->admin, &c);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	return (r[0].outcome);
}

static struct config_wish
wish(const char *name, const char *value, int8_t op)
{
	return ((struct config_wish){ slice_str(name), slice_str(value), op });
}

static struct admin_outcome
alter(struct world *w, int8_t type, const char *entity, const char *name, const char *value, int8_t op)
{
	struct config_wish one = wish(name, value, op);
	struct admin_altered r = { .type = type, .name = slice_str(entity), .wishes = &one, .nwishes = 1 };

	return (alter_with(w, &r, 1, true, false));
}

static const char *
config_of(struct world *w, const char *entity)
{
	return (world_node(w, arena_printf(&w->arena, "/config/%s", entity)).data);
}

TEST(single_settings_change_and_everybody_is_told)
{
	struct world w;

	begin(&w, "");
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "segment.bytes", "2000", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "topics/t"), "\"segment.bytes\":\"2000\""));
	CHECK(has_text(config_of(&w, "topics/t"), "\"retention.ms\":\"5000\""));
	CHECK_EQ(world_node(&w, ZK_CONFIG_CHANGES).children, 1);
	CHECK(has_text(config_of(&w, "changes/config_change_0000000000"), "topics/t"));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "retention.ms", NULL, CONFIG_OP_DELETE).error, KERR_NONE);
	CHECK(!has_text(config_of(&w, "topics/t"), "retention.ms"));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "cleanup.policy", "compact", CONFIG_OP_APPEND).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "topics/t"), "\"cleanup.policy\":\"delete,compact\""));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "cleanup.policy", "delete", CONFIG_OP_SUBTRACT).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "topics/t"), "\"cleanup.policy\":\"compact\""));
	CHECK_EQ(world_node(&w, ZK_CONFIG_CHANGES).children, 4);
	world_fini(&w);
}

TEST(a_whole_set_replaces_the_old_one)
{
	struct world w;
	struct config_wish one = wish("segment.bytes", "2000", 0);
	struct admin_altered r = { .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &one, .nwishes = 1 };

	begin(&w, "");
	CHECK_EQ(alter_with(&w, &r, 1, false, false).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "topics/t"), "\"segment.bytes\":\"2000\""));
	CHECK(!has_text(config_of(&w, "topics/t"), "retention.ms"));
	r.nwishes = 0;
	CHECK_EQ(alter_with(&w, &r, 1, false, false).error, KERR_NONE);
	CHECK(!has_text(config_of(&w, "topics/t"), "segment"));
	world_fini(&w);
}

TEST(fields_that_nobody_knows_stay_when_settings_change_or_are_replaced)
{
	static const struct { int8_t type; const char *name, *node, *key; } rows[] = {
		{ ADMIN_RESOURCE_TOPIC, "t", "topics/t", "segment.bytes" }, { ADMIN_RESOURCE_BROKER, "1", "brokers/1", "log.retention.ms" },
		{ ADMIN_RESOURCE_BROKER, "", "brokers/<default>", "log.retention.ms" },
	};
	struct world w;

	begin(&w, "");
	for (size_t i = 0; i < NELEM(rows); i++) {
		for (int incremental = 0; incremental < 2; incremental++) {
			struct config_wish one = wish(rows[i].key, "2000", CONFIG_OP_SET);
			struct admin_altered r = { .type = rows[i].type, .name = slice_str(rows[i].name), .wishes = &one, .nwishes = 1 };

			CHECK_EQ(alter_with(&w, &r, 1, incremental != 0, false).error, KERR_NONE);
			world_put(&w, arena_printf(&w.arena, "/config/%s", rows[i].node),
			    "{\"version\":1,\"surprise\":{\"a\":[1,null]},\"config\":{\"flush.ms\":\"5\"}}");
			CHECK_EQ(alter_with(&w, &r, 1, incremental != 0, false).error, KERR_NONE);
			CHECK(has_text(config_of(&w, rows[i].node), "\"surprise\":{\"a\":[1,null]}"));
			CHECK(has_text(config_of(&w, rows[i].node), "2000"));
			CHECK_EQ(has_text(config_of(&w, rows[i].node), "flush.ms"), incremental != 0);
		}
	}
	world_fini(&w);
}

TEST(brokers_have_settings_of_their_own_and_of_all)
{
	struct world w;

	begin(&w, "");
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", "log.retention.ms", "9", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "brokers/1"), "\"log.retention.ms\":\"9\""));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "", "log.retention.ms", "8", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "brokers/<default>"), "\"log.retention.ms\":\"8\""));
	CHECK(has_text(config_of(&w, "changes/config_change_0000000001"), "brokers/<default>"));
	world_fini(&w);
}

TEST(what_cannot_be_changed_says_so_and_stays)
{
	static const struct { int8_t type; const char *entity, *name, *value; int8_t op; enum kerr error; } rows[] = {
		{ ADMIN_RESOURCE_TOPIC, "t", "no.such", "1", 0, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_TOPIC, "t", "retention.ms", "soon", 0, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_TOPIC, "t", "retention.ms", "1", CONFIG_OP_APPEND, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_TOPIC, "t", "retention.ms", NULL, 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_TOPIC, "never", "retention.ms", "1", 0, KERR_UNKNOWN_TOPIC_OR_PARTITION },
		{ ADMIN_RESOURCE_TOPIC, "", "retention.ms", "1", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER, "2", "log.retention.ms", "1", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER, "x", "log.retention.ms", "1", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER, "1", "log.dirs", "/b", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER, "1", "log.retention.ms", "soon", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER, "1", "listener.name.plaintext.ssl.key.password", "hunter2", 0, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_CLIENT_METRICS, "m", "interval.ms", "1", 0, KERR_INVALID_REQUEST },
		{ 77, "m", "a", "1", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "2", "root", "INFO", 0, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "1", "kafka", "INFO", 0, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "1", "root", "LOUD", 0, KERR_INVALID_CONFIG },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "1", "root", NULL, CONFIG_OP_DELETE, KERR_INVALID_REQUEST },
		{ ADMIN_RESOURCE_BROKER_LOGGER, "1", "root", "INFO", CONFIG_OP_APPEND, KERR_INVALID_REQUEST },
	};
	struct world w;
	int64_t before;

	begin(&w, "");
	before = zk_tree_zxid(zk_fake_tree(w.fake));
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct admin_outcome o = alter(&w, rows[i].type, rows[i].entity, rows[i].name, rows[i].value, rows[i].op);

		unit_check(o.error == rows[i].error, __FILE__, __LINE__, "row %zu: %s (%s)", i, kerr_name(o.error), o.message);
		CHECK(o.message != NULL && !has_text(o.message, "hunter2"));
	}
	CHECK_EQ(zk_tree_zxid(zk_fake_tree(w.fake)), before);
	world_fini(&w);
}

TEST(a_node_that_is_no_json_may_be_replaced_and_one_with_values_that_are_no_text_is_not)
{
	static const struct { const char *node; enum kerr error; } rows[] = {
		{ "no json", KERR_NONE }, { "[]", KERR_NONE }, { "{\"config\":[]}", KERR_NONE },
		{ "{\"version\":1,\"config\":{\"segment.ms\":\"7000\",\"retention.ms\":5}}", KERR_UNKNOWN_SERVER_ERROR },
		{ "{\"version\":1,\"config\":{\"retention.ms\":null,\"segment.ms\":\"7000\"}}", KERR_UNKNOWN_SERVER_ERROR },
	};
	struct world w;

	begin(&w, "");
	for (size_t i = 0; i < NELEM(rows); i++) {
		world_put(&w, "/config/topics/t", rows[i].node);
		CHECK_EQ(describe(&w, ADMIN_RESOURCE_TOPIC, "t", NULL).outcome.error, rows[i].error);
		CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "max.message.bytes", "9000", CONFIG_OP_SET).error, rows[i].error);
		CHECK_EQ(has_text(config_of(&w, "topics/t"), "\"max.message.bytes\":\"9000\""), rows[i].error == KERR_NONE);
	}
	CHECK(has_text(config_of(&w, "topics/t"), "\"segment.ms\":\"7000\""));
	world_fini(&w);
}

#define SECRET_KEY	"listener.name.plaintext.ssl.key.password"

/* The password in the node, opened with this secret; NULL: it cannot be.  Caller frees. */
static char *
password_of(struct world *w, const char *secret)
{
	const char *text = config_of(w, "brokers/1"), *at = strstr(text, SECRET_KEY "\":\""), *end;
	struct errbuf eb = ERRBUF_INIT;
	char *encoded, *clear;

	must(at != NULL);
	at += strlen(SECRET_KEY "\":\"");
	end = strchr(at, '"');
	must(end != NULL);
	encoded = xstrndup(at, (size_t)(end - at));
	(void)!password_decode(secret, encoded, &clear, &eb);
	free(encoded);
	return (clear);
}

TEST(a_password_is_kept_encoded_and_comes_through_other_changes)
{
	struct admin_outcome o;
	struct world w;
	char *clear;

	begin(&w, "password.encoder.secret=key one\n");
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", SECRET_KEY, "hunter2", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(!has_text(config_of(&w, "brokers/1"), "hunter2"));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", "log.retention.ms", "9", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(has_text(config_of(&w, "brokers/1"), "\"log.retention.ms\":\"9\""));
	clear = password_of(&w, "key one");
	CHECK_STR(clear, "hunter2");
	free(clear);
	CHECK(password_of(&w, "key two") == NULL);
	o = alter(&w, ADMIN_RESOURCE_BROKER, "", "my.sasl.jaas.config", "hunter2", CONFIG_OP_SET);
	CHECK_EQ(o.error, KERR_INVALID_CONFIG);		/* any name that ends so, and only for one broker */
	CHECK(!has_text(o.message, "hunter2"));
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", SECRET_KEY, NULL, CONFIG_OP_DELETE).error, KERR_NONE);
	CHECK(!has_text(config_of(&w, "brokers/1"), SECRET_KEY));
	world_fini(&w);
}

static struct admin_outcome
alter_many(struct world *w, const char *format, size_t n)
{
	struct config_wish *v = ARENA_ARRAY(&w->arena, struct config_wish, n);
	struct admin_altered r = { .type = ADMIN_RESOURCE_BROKER, .name = SLICE_LIT("1"), .wishes = v, .nwishes = (int32_t)n };
	struct admin_alter_configs c = { .resources = &r, .nresources = 1, .incremental = true };
	unsigned before = w->done;

	for (size_t i = 0; i < n; i++) {	/* downwards: each would go to the front of what there is */
		char name[100];

		str_format(name, sizeof(name), format, (unsigned)(n - i));
		v[i] = (struct config_wish){ arena_dup(&w->arena, slice_str(name)), SLICE_LIT("x"), CONFIG_OP_SET };
	}
	world_job(w, &c.job);
	admin_alter_configs(w->admin, &c);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	return (r.outcome);
}

/* The loop they are worked on is ZooKeeper's, too: what takes minutes there costs the session. */
TEST(what_one_request_may_make_the_loop_do_is_bounded)
{
	struct admin_outcome o;
	struct world w;

	begin(&w, "password.encoder.secret=key one\n");
	o = alter_many(&w, "listener.name.l%u.ssl.key.password", LIMIT_DYNAMIC_PASSWORDS_MAX + 1);
	CHECK_EQ(o.error, KERR_INVALID_CONFIG);
	CHECK(o.message != NULL && has_text(o.message, "passwords"));
	CHECK(!world_has(&w, "/config/brokers/1"));
	CHECK_EQ(alter_many(&w, "listener.name.l%u.ssl.key.password", LIMIT_DYNAMIC_PASSWORDS_MAX).error, KERR_NONE);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", SECRET_KEY, "hunter2", CONFIG_OP_SET).error, KERR_INVALID_CONFIG);
	CHECK_EQ(alter_many(&w, "some.%08u", LIMIT_WISHES_MAX + 1).error, KERR_INVALID_REQUEST);
	CHECK_EQ(alter_many(&w, "some.%08u", LIMIT_WISHES_MAX).error, KERR_NONE);
	world_fini(&w);
}

TEST(a_password_that_cannot_be_read_is_not_lost_with_the_next_change)
{
	struct password_encoder pe = { "another key", NULL, "AES/CBC/PKCS5Padding", 128, 1024 };
	struct errbuf eb = ERRBUF_INIT;
	struct world w;
	char *sealed, *clear, *node;

	begin(&w, "password.encoder.secret=key one\n");
	REQUIRE(password_encode(&pe, "hunter2", random_real(), &sealed, &eb) == OK);
	node = xasprintf("{\"version\":1,\"config\":{\"" SECRET_KEY "\":\"%s\",\"num.io.threads\":\"many\"}}", sealed);
	world_put(&w, "/config/brokers/1", node);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", "log.retention.ms", "9", CONFIG_OP_SET).error, KERR_NONE);
	CHECK(!has_text(config_of(&w, "brokers/1"), "num.io.threads"));		/* what is wrong goes, as with Java */
	clear = password_of(&w, "another key");
	CHECK_STR(clear, "hunter2");
	free(clear);
	free(sealed);
	free(node);
	world_fini(&w);
}

TEST(an_operation_nobody_knows_is_javas_stumble)
{
	struct world w;
	struct admin_outcome o;

	begin(&w, "");
	o = alter(&w, ADMIN_RESOURCE_TOPIC, "t", "retention.ms", "1", 9);
	CHECK_EQ(o.error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK(o.message == NULL);
	o = alter(&w, ADMIN_RESOURCE_TOPIC, "never", "no.such", "1", CONFIG_OP_APPEND);	/* before the topic is looked for */
	CHECK_EQ(o.error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "never", "retention.ms", "1", CONFIG_OP_SUBTRACT).error, KERR_INVALID_CONFIG);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "never", "cleanup.policy", "compact", CONFIG_OP_APPEND).error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_BROKER, "1", "log.retention.ms", "1", 9).error, KERR_INVALID_REQUEST);
	world_fini(&w);
}

TEST(the_whole_set_of_a_logger_cannot_be_given)
{
	struct world w;
	struct config_wish one = wish("root", "INFO", 0);
	struct admin_altered r = { .type = ADMIN_RESOURCE_BROKER_LOGGER, .name = SLICE_LIT("1"), .wishes = &one, .nwishes = 1 };

	begin(&w, "");
	CHECK_EQ(alter_with(&w, &r, 1, false, false).error, KERR_INVALID_REQUEST);
	world_fini(&w);
}

TEST(a_loggers_level_changes_at_once)
{
	struct world w;
	struct admin_described r;
	struct config_wish one = wish("root", "ERROR", 0);
	struct admin_altered v = { .type = ADMIN_RESOURCE_BROKER_LOGGER, .name = SLICE_LIT("1"), .wishes = &one, .nwishes = 1 };

	begin(&w, "");
	CHECK_EQ(alter_with(&w, &v, 1, true, true).error, KERR_NONE);
	CHECK(diag_enabled(w.diag, DIAG_INFO));
	CHECK_EQ(alter_with(&w, &v, 1, true, false).error, KERR_NONE);
	CHECK(!diag_enabled(w.diag, DIAG_WARNING));
	r = describe(&w, ADMIN_RESOURCE_BROKER_LOGGER, "1", NULL);
	CHECK_STR(entry(&r, "root")->value, "ERROR");
	world_fini(&w);
}

TEST(a_request_that_repeats_itself_is_refused_where_it_does)
{
	struct world w;
	struct config_wish good = wish("segment.bytes", "2000", 0);
	struct config_wish twice[] = { wish("flush.ms", "1", 0), wish("flush.ms", "2", 0) };
	struct admin_altered r[4] = {
		{ .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &good, .nwishes = 1 },
		{ .type = ADMIN_RESOURCE_BROKER, .name = SLICE_LIT("1"), .wishes = twice, .nwishes = 2 },
		{ .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("u"), .wishes = &good, .nwishes = 1 },
		{ .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &good, .nwishes = 1 },
	};

	begin(&w, "");
	world_put(&w, "/brokers/topics/u", TOPIC_NODE);
	world_turn(&w);
	(void)alter_with(&w, r, 4, true, false);
	CHECK_EQ(r[0].outcome.error, KERR_INVALID_REQUEST);
	CHECK_EQ(r[1].outcome.error, KERR_INVALID_REQUEST);
	CHECK_EQ(r[2].outcome.error, KERR_NONE);
	CHECK_EQ(r[3].outcome.error, KERR_INVALID_REQUEST);
	CHECK(!has_text(config_of(&w, "topics/t"), "segment.bytes"));
	CHECK(has_text(config_of(&w, "topics/u"), "segment.bytes"));
	world_fini(&w);
}

TEST(validating_changes_nothing)
{
	struct world w;
	struct config_wish good = wish("segment.bytes", "2000", 0), bad = wish("segment.bytes", "x", 0);
	struct admin_altered r[2] = { { .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &good, .nwishes = 1 } };
	int64_t before;

	begin(&w, "");
	before = zk_tree_zxid(zk_fake_tree(w.fake));
	CHECK_EQ(alter_with(&w, r, 1, true, true).error, KERR_NONE);
	CHECK_EQ(alter_with(&w, r, 1, false, true).error, KERR_NONE);
	r[0].wishes = &bad;
	CHECK_EQ(alter_with(&w, r, 1, true, true).error, KERR_INVALID_CONFIG);
	CHECK_EQ(zk_tree_zxid(zk_fake_tree(w.fake)), before);
	world_fini(&w);
}

TEST(changes_at_the_same_time_are_all_kept)
{
	enum { MANY = 8 };
	static const char *const names[MANY] = { "flush.ms", "flush.messages", "segment.ms", "segment.bytes", "retention.bytes", "index.interval.bytes",
		"max.message.bytes", "file.delete.delay.ms" };
	struct world w;
	struct config_wish wishes[MANY];
	struct admin_altered r[MANY];
	struct admin_alter_configs c[MANY];

	begin(&w, "");
	for (int i = 0; i < MANY; i++) {
		wishes[i] = wish(names[i], "1000", 0);
		r[i] = (struct admin_altered){ .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &wishes[i], .nwishes = 1 };
		c[i] = (struct admin_alter_configs){ .resources = &r[i], .nresources = 1, .incremental = true };
		world_job(&w, &c[i].job);
		admin_alter_configs(w.admin, &c[i]);
	}
	world_turn(&w);
	CHECK_EQ(w.done, MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(r[i].outcome.error, KERR_NONE);
		CHECK(has_text(config_of(&w, "topics/t"), names[i]));
	}
	world_fini(&w);
}

TEST(without_a_controller_nothing_is_written)
{
	struct world w;
	struct admin_outcome o;

	begin(&w, "");
	world_remove(&w, ZK_CONTROLLER);
	o = alter(&w, ADMIN_RESOURCE_TOPIC, "t", "segment.bytes", "2000", CONFIG_OP_SET);
	CHECK_EQ(o.error, KERR_STALE_CONTROLLER_EPOCH);
	CHECK(o.message != NULL);
	CHECK(!has_text(config_of(&w, "topics/t"), "segment.bytes"));
	world_fini(&w);
}

static void
alter_under(enum zk_fault f, uint64_t nth, bool *happened)
{
	struct world w;

	begin(&w, "");
	zk_fake_fault(w.zk, f, nth);
	CHECK_EQ(alter(&w, ADMIN_RESOURCE_TOPIC, "t", "cleanup.policy", "compact", CONFIG_OP_APPEND).error, KERR_NONE);
	*happened = !zk_fake_faults_pending(w.zk);
	CHECK(has_text(config_of(&w, "topics/t"), "\"cleanup.policy\":\"delete,compact\""));
	CHECK(has_text(config_of(&w, "topics/t"), "\"retention.ms\":\"5000\""));
	CHECK(world_node(&w, ZK_CONFIG_CHANGES).children >= 1);
	world_fini(&w);
}

TEST(under_every_loss_and_expiry_a_change_is_made_once)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 20 && happened; nth++)
			alter_under(faults[f], nth, &happened);
		CHECK(nth > 4 && nth < 20);
	}
}

TEST(stopping_ends_what_is_under_way_and_what_waits_its_turn)
{
	for (int turns = 0; turns < 30; turns++) {
		struct world w;
		struct config_wish one = wish("segment.bytes", "2000", 0);
		struct admin_altered r[2] = { { .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t"), .wishes = &one, .nwishes = 1 } };
		struct admin_described q = { .type = ADMIN_RESOURCE_TOPIC, .name = SLICE_LIT("t") };
		struct admin_alter_configs a = { .resources = &r[0], .nresources = 1, .incremental = true }, b = a;
		struct admin_describe_configs d = { .resources = &q, .nresources = 1 };

		begin(&w, "");
		r[1] = r[0];
		b.resources = &r[1];
		world_job(&w, &a.job);
		world_job(&w, &b.job);
		world_job(&w, &d.job);
		admin_alter_configs(w.admin, &a);
		admin_alter_configs(w.admin, &b);
		admin_describe_configs(w.admin, &d);
		for (int i = 0; i < turns; i++)
			(void)loop_turn(w.loop, 0);
		admin_stop(w.admin);
		world_turn(&w);
		CHECK_EQ(w.done, 3);
		world_fini(&w);
	}
}

UNIT_MAIN("admin/configs", T(a_topics_settings_come_from_zookeeper_and_the_broker), T(what_cannot_be_described_says_so),
    T(a_broker_and_its_logger_are_described), T(many_resources_are_described_in_the_order_asked),
    T(single_settings_change_and_everybody_is_told), T(a_whole_set_replaces_the_old_one),
    T(fields_that_nobody_knows_stay_when_settings_change_or_are_replaced), T(brokers_have_settings_of_their_own_and_of_all),
    T(what_cannot_be_changed_says_so_and_stays), T(a_password_is_kept_encoded_and_comes_through_other_changes),
    T(a_node_that_is_no_json_may_be_replaced_and_one_with_values_that_are_no_text_is_not), T(what_one_request_may_make_the_loop_do_is_bounded), T(a_password_that_cannot_be_read_is_not_lost_with_the_next_change), T(an_operation_nobody_knows_is_javas_stumble), T(the_whole_set_of_a_logger_cannot_be_given), T(a_loggers_level_changes_at_once),
    T(a_request_that_repeats_itself_is_refused_where_it_does), T(validating_changes_nothing), T(changes_at_the_same_time_are_all_kept),
    T(without_a_controller_nothing_is_written), T(under_every_loss_and_expiry_a_change_is_made_once),
    T(stopping_ends_what_is_under_way_and_what_waits_its_turn))
