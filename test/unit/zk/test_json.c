/* SPDX-License-Identifier: Apache-2.0
 *
 * What Kafka writes to znodes we read, and what we write says the same: against the znodes of a real 3.9.1 broker, and by hand.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/must.h"
#include "base/str.h"
#include "test/unit/unit.h"
#include "zk/json.h"
#include "zk/paths.h"

static struct arena arena;

/* ---- the golden znodes: decode, forget the original, encode, compare as JSON ---- */
static bool
same_json(struct slice a, const char *b)
{
	json_t *x = json_loadb((const char *)a.p, a.len, 0, NULL), *y = json_loads(b, 0, NULL);
	bool same = x != NULL && y != NULL && json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return (same);
}

static bool
starts(const char *s, const char *with)
{
	return (strncmp(s, with, strlen(with)) == 0);
}

#define ROUND_TRIP(decode, encode) do { \
		if (decode != OK) \
			return (SLICE_NULL); \
		v.raw = SLICE_NULL; \
		return (encode(&arena, &v)); \
	} while (0)

static struct slice
broker_again(struct slice s, struct errbuf *eb)
{
	struct zk_broker_info v;

	ROUND_TRIP(zk_broker_decode(&arena, 7, s, &v, eb), zk_broker_encode);
}

static struct slice
topic_again(struct slice s, struct errbuf *eb)
{
	struct zk_topic_info v;

	ROUND_TRIP(zk_topic_decode(&arena, s, &v, eb), zk_topic_encode);
}

static struct slice
state_again(struct slice s, struct errbuf *eb)
{
	struct zk_partition_state v;

	ROUND_TRIP(zk_partition_state_decode(&arena, s, &v, eb), zk_partition_state_encode);
}

static struct slice
config_again(struct slice s, struct errbuf *eb)
{
	struct zk_config v;

	ROUND_TRIP(zk_config_decode(&arena, s, &v, eb), zk_config_encode);
}

static struct slice
feature_again(struct slice s, struct errbuf *eb)
{
	struct zk_feature_info v;

	ROUND_TRIP(zk_feature_decode(&arena, s, &v, eb), zk_feature_encode);
}

static struct slice
change_again(struct slice s, struct errbuf *eb)
{
	struct zk_entity e;

	return (zk_config_change_decode(&arena, s, &e, eb) == OK ? zk_config_change_encode(&arena, &e) : SLICE_NULL);
}

static struct slice
controller_again(struct slice s, struct errbuf *eb)
{
	struct zk_controller_info c;

	return (zk_controller_decode(s, &c, eb) == OK ? zk_controller_encode(&arena, &c) : SLICE_NULL);
}

static struct slice
cluster_again(struct slice s, struct errbuf *eb)
{
	const char *id;

	return (zk_cluster_id_decode(&arena, s, &id, eb) == OK ? zk_cluster_id_encode(&arena, id) : SLICE_NULL);
}

static struct slice
epoch_again(struct slice s, struct errbuf *eb)
{
	int32_t epoch;

	return (zk_controller_epoch_decode(s, &epoch, eb) == OK ? zk_controller_epoch_encode(&arena, epoch) : SLICE_NULL);
}

static struct slice
block_again(struct slice s, struct errbuf *eb)
{
	struct zk_producer_id_block b;

	return (zk_producer_id_block_decode(s, &b, eb) == OK ? zk_producer_id_block_encode(&arena, &b) : SLICE_NULL);
}

static const struct {
	const char *below;
	const char *end;		/* the path ends so; NULL: any */
	struct slice (*again)(struct slice, struct errbuf *);
	unsigned expected;		/* that many in the golden file at least */
} kinds[] = {
	{ "/brokers/ids/", NULL, broker_again, 1 },
	{ "/brokers/topics/", "/state", state_again, 3 },
	{ "/brokers/topics/", NULL, topic_again, 1 },
	{ "/config/changes/", NULL, change_again, 2 },
	{ "/config/", NULL, config_again, 3 },
	{ "/controller_epoch", NULL, epoch_again, 1 },
	{ "/controller", NULL, controller_again, 1 },
	{ "/cluster/id", NULL, cluster_again, 1 },
	{ "/latest_producer_id_block", NULL, block_again, 1 },
	{ "/feature", NULL, feature_again, 1 },
};

static bool
ends(const char *s, const char *end)
{
	return (end == NULL || (strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0));
}

static void
check_golden(const char *path, const char *data, unsigned *seen)
{
	struct errbuf eb = ERRBUF_INIT;
	struct slice again;
	size_t i;

	for (i = 0; i < NELEM(kinds); i++)
		if (starts(path, kinds[i].below) && ends(path, kinds[i].end))
			break;
	if (i == NELEM(kinds)) {
		unit_check(false, __FILE__, __LINE__, "no decoder for %s", path);
		return;
	}
	seen[i]++;
	again = kinds[i].again(slice_str(data), &eb);
	unit_check(again.p != NULL && (same_json(again, data) || slice_eq_str(again, data)), __FILE__, __LINE__, "%s: %s became %.*s (%s)", path, data,
	    (int)again.len, (const char *)again.p, eb.text);
}

TEST(the_znodes_of_a_java_broker_are_read_and_written_alike)
{
	char name[512], line[4096], *path, *kind, *data, *rest;
	unsigned seen[NELEM(kinds)] = { 0 };
	FILE *f;
	size_t i;

	snprintf(name, sizeof(name), "%s/test/golden/znodes/kafka-3.9.1.txt", unit_srcdir());
	f = fopen(name, "r");
	REQUIRE(f != NULL);
	arena_init(&arena, 1 << 20);
	while (fgets(line, sizeof(line), f) != NULL) {
		rest = line;
		line[strcspn(line, "\n")] = '\0';
		path = strsep(&rest, "\t");
		kind = strsep(&rest, "\t");
		data = rest;
		CHECK(kind != NULL && data != NULL);
		if (data != NULL && strcmp(data, "(null)") != 0)
			check_golden(path, data, seen);
	}
	fclose(f);
	for (i = 0; i < NELEM(kinds); i++)
		CHECK_GE(seen[i], kinds[i].expected);
	arena_fini(&arena);
}

/* ---- by hand ---- */
TEST(a_rewrite_keeps_what_it_does_not_know)
{
	struct zk_partition_state s;
	struct zk_topic_info t;

	arena_init(&arena, 1 << 20);
	CHECK_EQ(zk_partition_state_decode(&arena, slice_str("{\"controller_epoch\":1,\"leader\":0,\"version\":1,\"leader_epoch\":0,\"isr\":[0],"
	    "\"leader_recovery_state\":1,\"new\":{\"a\":[1,2.5,null]}}"), &s, NULL), OK);
	CHECK_EQ(s.leader_recovery_state, 1);
	s.leader = -1;
	s.leader_recovery_state = 0;
	CHECK(same_json(zk_partition_state_encode(&arena, &s), "{\"controller_epoch\":1,\"leader\":-1,\"version\":1,\"leader_epoch\":0,\"isr\":[0],"
	    "\"new\":{\"a\":[1,2.5,null]}}"));
	CHECK_EQ(zk_topic_decode(&arena, slice_str("{\"partitions\":{\"10\":[1],\"2\":[1,2]},\"adding_replicas\":{\"2\":[2]},\"x\":1}"), &t, NULL), OK);
	CHECK_EQ(t.npartitions, 2);
	CHECK_EQ(t.partitions[0].id, 2);
	CHECK_EQ(t.partitions[0].adding.n, 1);
	CHECK(uuid_is_zero(t.id));
	CHECK(same_json(zk_topic_encode(&arena, &t), "{\"version\":3,\"partitions\":{\"10\":[1],\"2\":[1,2]},\"adding_replicas\":{\"2\":[2]},"
	    "\"removing_replicas\":{},\"x\":1}"));
	arena_fini(&arena);
}

TEST(old_and_unusual_broker_registrations_are_understood)
{
	struct zk_broker_info b;

	arena_init(&arena, 1 << 20);
	CHECK_EQ(zk_broker_decode(&arena, 1, slice_str("{\"version\":1,\"host\":\"h\",\"port\":9092,\"jmx_port\":9999,\"timestamp\":\"1\"}"), &b, NULL), OK);
	CHECK_EQ(b.nendpoints, 1);
	CHECK_STR(b.endpoints[0].host, "h");
	CHECK_EQ(zk_broker_decode(&arena, 1, slice_str("{\"version\":2,\"jmx_port\":-1,\"endpoints\":[\"SSL://[::1]:9093\",\"PLAINTEXT://h:1\"]}"), &b, NULL), OK);
	CHECK_STR(b.endpoints[0].host, "::1");
	CHECK_EQ(b.endpoints[0].protocol, ZK_SSL);
	CHECK(strstr((const char *)zk_broker_encode(&arena, &b).p, "SSL://[::1]:9093") != NULL);
	CHECK_EQ(zk_broker_decode(&arena, 1, slice_str("{\"version\":5,\"jmx_port\":-1,\"rack\":null,\"endpoints\":[\"INTERNAL://h:1\"],"
	    "\"listener_security_protocol_map\":{\"INTERNAL\":\"SASL_SSL\"},\"features\":{\"f\":{\"min_version\":1,\"max_version\":3}}}"), &b, NULL), OK);
	CHECK_EQ(b.endpoints[0].protocol, ZK_SASL_SSL);
	CHECK(b.rack == NULL);
	CHECK_EQ(b.features[0].max_version, 3);
	CHECK(zk_broker_endpoint(&b, "INTERNAL") == &b.endpoints[0]);
	CHECK(same_json(zk_broker_encode(&arena, &b), "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"INTERNAL://h:1\"],\"host\":null,\"port\":-1,"
	    "\"listener_security_protocol_map\":{\"INTERNAL\":\"SASL_SSL\"},\"features\":{\"f\":{\"min_version\":1,\"max_version\":3}},\"timestamp\":\"0\"}"));
	arena_fini(&arena);
}

TEST(entities_and_their_paths)
{
	static const struct { struct zk_entity e; const char *path; } rows[] = {
		{ { ZK_ENTITY_TOPIC, "a.b_c", NULL }, "topics/a.b_c" },
		{ { ZK_ENTITY_BROKER, "1", NULL }, "brokers/1" },
		{ { ZK_ENTITY_BROKER, ZK_DEFAULT_ENTITY, NULL }, "brokers/<default>" },
		{ { ZK_ENTITY_CLIENT, "c/1 *", NULL }, "clients/c%2F1%20%2A" },
		{ { ZK_ENTITY_USER, "CN=\xc3\xa9~", NULL }, "users/CN%3D%C3%A9%7E" },
		{ { ZK_ENTITY_USER_CLIENT, "u/1", ZK_DEFAULT_ENTITY }, "users/u%2F1/clients/<default>" },
		{ { ZK_ENTITY_USER_CLIENT, ZK_DEFAULT_ENTITY, "c" }, "users/<default>/clients/c" },
		{ { ZK_ENTITY_IP, "10.0.0.1", NULL }, "ips/10.0.0.1" },
	};
	struct zk_entity e;
	size_t i;

	arena_init(&arena, 1 << 20);
	for (i = 0; i < NELEM(rows); i++) {
		CHECK_STR(zk_entity_path(&arena, &rows[i].e), rows[i].path);
		CHECK_EQ(zk_entity_parse(&arena, rows[i].path, &e, NULL), OK);
		CHECK_EQ(e.type, rows[i].e.type);
		CHECK_STR(e.name, rows[i].e.name);
		if (rows[i].e.client != NULL)
			CHECK_STR(e.client, rows[i].e.client);
	}
	for (i = 0; i < 8; i++) {
		static const char *const bad[] = { "", "topics", "topics/", "nothing/x", "topics/a/b", "users/u/clients/", "users/u/x/c", "clients/%zz" };
		CHECK(zk_entity_parse(&arena, bad[i], &e, NULL) != OK);
	}
	CHECK_EQ(zk_config_change_decode(&arena, slice_str("{\"version\":1,\"entity_type\":\"clients\",\"entity_name\":\"c\"}"), &e, NULL), OK);
	CHECK_EQ(e.type, ZK_ENTITY_CLIENT);
	CHECK(zk_config_change_decode(&arena, slice_str("{\"version\":1,\"entity_type\":\"users\",\"entity_name\":\"c\"}"), &e, NULL) != OK);
	CHECK(zk_config_change_decode(&arena, slice_str("{\"version\":3}"), &e, NULL) != OK);
	arena_fini(&arena);
}

TEST(partition_lists_events_and_the_rest)
{
	struct zk_partition_list l;
	struct zk_producer_id_block b;
	struct zk_migration_info m;
	struct zk_feature_info f;
	int32_t id;

	arena_init(&arena, 1 << 20);
	CHECK_EQ(zk_reassignment_decode(&arena, slice_str("{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2]}]}"), &l, NULL), OK);
	CHECK_EQ(l.v[0].replicas.v[1], 2);
	CHECK(same_json(zk_reassignment_encode(&arena, &l), "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2]}]}"));
	CHECK_EQ(zk_partition_list_decode(&arena, slice_str("{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":3}]}"), &l, NULL), OK);
	CHECK(same_json(zk_partition_list_encode(&arena, &l), "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":3}]}"));
	CHECK_EQ(zk_log_dir_event_decode(slice_str("{\"version\":1,\"broker\":3,\"event\":1}"), &id, NULL), OK);
	CHECK_EQ(id, 3);
	CHECK(same_json(zk_log_dir_event_encode(&arena, 3), "{\"version\":1,\"broker\":3,\"event\":1}"));
	CHECK_EQ(zk_producer_id_block_decode(slice_str("{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"9223372036854775807\"}"), &b, NULL), OK);
	CHECK(b.last == INT64_MAX);
	CHECK(zk_producer_id_block_decode(slice_str("{\"version\":1,\"broker\":0,\"block_start\":0,\"block_end\":\"1\"}"), &b, NULL) != OK);
	CHECK_EQ(zk_migration_decode(slice_str("{\"version\":0,\"kraft_controller_id\":3000,\"kraft_controller_epoch\":1,\"kraft_metadata_offset\":100,"
	    "\"kraft_metadata_epoch\":1}"), &m, NULL), OK);
	CHECK_EQ(m.kraft_controller_id, 3000);
	CHECK_EQ(zk_feature_decode(&arena, slice_str("{\"version\":1,\"status\":0,\"features\":{\"f\":{\"min_version_level\":1,\"max_version_level\":2}}}"), &f,
	    NULL), OK);
	CHECK_EQ(f.levels[0].min_version_level, 1);
	arena_fini(&arena);
}

TEST(what_java_refuses_we_refuse_and_nothing_crashes)
{
	static const char *const bad[] = { "", "x", "[]", "1", "null", "\"s\"", "{", "{\"version\":\"5\"}", "{\"version\":5}", "{\"version\":5.0,\"jmx_port\":-1}",
		"{\"version\":99999999999,\"jmx_port\":-1}", "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[1]}", "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"x\"]}",
		"{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"PLAINTEXT://h\"]}", "{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"X://h:1\"]}",
		"{\"version\":5,\"jmx_port\":-1,\"endpoints\":[\"X://h:1\"],\"listener_security_protocol_map\":{\"Y\":\"SSL\"}}",
		"{\"version\":0,\"jmx_port\":-1,\"endpoints\":[]}", "{\"leader\":1}", "{\"partitions\":[]}", "{\"partitions\":{\"x\":[1]}}",
		"{\"partitions\":{\"0\":[\"1\"]}}", "{\"partitions\":{\"0\":{}}}", "{\"partitions\":{\"0\":[1]},\"topic_id\":\"short\"}",
		"{\"config\":{\"a\":1}}", "\xff\xfe{}" };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_partition_state s;
	struct zk_broker_info b;
	struct zk_topic_info t;
	int32_t epoch;
	size_t i;

	arena_init(&arena, 1 << 20);
	for (i = 0; i < NELEM(bad); i++) {
		eb.text[0] = '\0';
		CHECK(zk_broker_decode(&arena, 1, slice_str(bad[i]), &b, &eb) != OK);
		CHECK(eb.text[0] != '\0');
		CHECK(zk_partition_state_decode(&arena, slice_str(bad[i]), &s, &eb) != OK);
	}
	CHECK(zk_partition_state_decode(&arena, slice_str("{\"controller_epoch\":1,\"leader\":0,\"version\":1,\"leader_epoch\":-3,\"isr\":[0]}"), &s, &eb) != OK);
	CHECK(zk_controller_epoch_decode(slice_str("-7"), &epoch, &eb) != OK);
	CHECK(strstr(eb.text, "/controller_epoch") != NULL);
	CHECK_EQ(epoch, 0);
	CHECK_EQ(zk_controller_epoch_decode(slice_str("0"), &epoch, &eb), OK);
	for (i = 18; i < 23; i++)
		CHECK(zk_topic_decode(&arena, slice_str(bad[i]), &t, &eb) != OK);
	arena_fini(&arena);
	arena_init(&arena, 64);
	CHECK_EQ(zk_topic_decode(&arena, slice_str("{\"partitions\":{\"0\":[1],\"1\":[1],\"2\":[1]}}"), &t, &eb), ERR_LIMIT);
	arena_fini(&arena);
}

TEST(config_values_that_are_not_utf8_are_not_written)
{
	struct zk_config_item item = { "k", "\xff" };
	struct zk_config c = { &item, 1, SLICE_NULL };

	arena_init(&arena, 1 << 20);
	CHECK(zk_config_encode(&arena, &c).p == NULL);
	item.value = "v\n\"";
	CHECK(same_json(zk_config_encode(&arena, &c), "{\"version\":1,\"config\":{\"k\":\"v\\n\\\"\"}}"));
	CHECK_EQ(zk_config_decode(&arena, SLICE_NULL, &c, NULL), OK);
	CHECK_EQ(c.nitems, 0);
	arena_fini(&arena);
}

TEST(paths_and_sequences)
{
	int64_t n;

	CHECK_STR(zk_path_partition_state("t", 3).s, "/brokers/topics/t/partitions/3/state");
	CHECK_STR(zk_path_broker_config(-1).s, "/config/brokers/<default>");
	CHECK_STR(zk_path_below("/brokers/topics/t", ZK_TOPICS), "t");
	CHECK(zk_path_below("/brokers/topics/t/x", ZK_TOPICS) == NULL);
	CHECK(zk_path_below("/brokers/topics", ZK_TOPICS) == NULL);
	CHECK(zk_sequence_of("config_change_0000000012", ZK_CONFIG_CHANGE_PREFIX, &n) && n == 12);
	CHECK(!zk_sequence_of("config_change_", ZK_CONFIG_CHANGE_PREFIX, &n));
	CHECK(!zk_sequence_of("config_change_-1", ZK_CONFIG_CHANGE_PREFIX, &n));
	CHECK(!zk_sequence_of("config_change_99999999999999999999", ZK_CONFIG_CHANGE_PREFIX, &n));
	CHECK(zk_path_is_sensitive("/config/users/u"));
	CHECK(!zk_path_is_sensitive("/config/topics/t"));
}

UNIT_MAIN("zk/json", T(the_znodes_of_a_java_broker_are_read_and_written_alike), T(a_rewrite_keeps_what_it_does_not_know),
    T(old_and_unusual_broker_registrations_are_understood), T(entities_and_their_paths), T(partition_lists_events_and_the_rest),
    T(what_java_refuses_we_refuse_and_nothing_crashes), T(config_values_that_are_not_utf8_are_not_written), T(paths_and_sequences))
