/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_znode.c - what stands in ZooKeeper: the JSON of every znode, names, entity paths.
 *
 * INPUT   u8 which | text
 * HOLDS   a refusal has words; what was decoded can be encoded, is decoded from that again, and both are the same when what is unknown to us is
 *	   forgotten; a name sanitized and desanitized is itself.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "test/fuzz/fuzz.h"
#include "base/str.h"
#include "zk/json.h"
#include "zk/paths.h"

enum { ARENA = 32 << 20, SEED_MAX = 4096 };

/* One kind: decodes s and encodes what came out.  keep: with what is unknown. */
typedef enum err again_fn(struct arena *, struct slice s, bool keep, struct slice *out, struct errbuf *);

#define WITH_RAW(name, type, decode, encode) \
	static enum err \
	name(struct arena *a, struct slice s, bool keep, struct slice *out, struct errbuf *eb) \
	{ \
		struct type v; \
		enum err e = decode; \
		if (e != OK) \
			return (e); \
		if (!keep) \
			v.raw = SLICE_NULL; \
		*out = encode(a, &v); \
		return (OK); \
	}
WITH_RAW(broker, zk_broker_info, zk_broker_decode(a, 7, s, &v, eb), zk_broker_encode)
WITH_RAW(topic, zk_topic_info, zk_topic_decode(a, s, &v, eb), zk_topic_encode)
WITH_RAW(partition_state, zk_partition_state, zk_partition_state_decode(a, s, &v, eb), zk_partition_state_encode)
WITH_RAW(config, zk_config, zk_config_decode(a, s, &v, eb), zk_config_encode)
WITH_RAW(producer_ids, zk_producer_id_block, zk_producer_id_block_decode(s, &v, eb), zk_producer_id_block_encode)
WITH_RAW(feature, zk_feature_info, zk_feature_decode(a, s, &v, eb), zk_feature_encode)

#define WITHOUT(name, type, decode, encode) \
	static enum err \
	name(struct arena *a, struct slice s, bool keep, struct slice *out, struct errbuf *eb) \
	{ \
		type v; \
		enum err e = decode; \
		(void)keep; \
		if (e == OK) \
			*out = encode; \
		return (e); \
	}
WITHOUT(cluster_id, const char *, zk_cluster_id_decode(a, s, &v, eb), zk_cluster_id_encode(a, v))
WITHOUT(controller, struct zk_controller_info, zk_controller_decode(s, &v, eb), zk_controller_encode(a, &v))
WITHOUT(controller_epoch, int32_t, zk_controller_epoch_decode(s, &v, eb), zk_controller_epoch_encode(a, v))
WITHOUT(config_change, struct zk_entity, zk_config_change_decode(a, s, &v, eb), zk_config_change_encode(a, &v))
WITHOUT(partitions, struct zk_partition_list, zk_partition_list_decode(a, s, &v, eb), zk_partition_list_encode(a, &v))
WITHOUT(reassignment, struct zk_partition_list, zk_reassignment_decode(a, s, &v, eb), zk_reassignment_encode(a, &v))
WITHOUT(log_dir_event, int32_t, zk_log_dir_event_decode(s, &v, eb), zk_log_dir_event_encode(a, v))

static const struct kind {
	const char *prefix;		/* of golden paths */
	again_fn   *again;
} kinds[] = {
	{ "/brokers/ids/", broker }, { "/brokers/topics/", topic }, { "/brokers/topics/", partition_state }, { "/config/", config },
	{ "/latest_producer_id_block", producer_ids }, { "/feature", feature }, { "/cluster/id", cluster_id }, { "/controller", controller },
	{ "/controller_epoch", controller_epoch }, { "/config/changes/", config_change }, { "/isr_change_notification", partitions },
	{ "/admin/reassign_partitions", reassignment }, { "/log_dir_event", log_dir_event },
};

static void
json(const struct kind *k, struct slice in)
{
	struct slice kept = SLICE_NULL, plain = SLICE_NULL, again = SLICE_NULL;
	struct errbuf eb = ERRBUF_INIT;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA);
	e = k->again(&a, in, true, &kept, &eb);
	FUZZ_CHECKF(e == OK || (eb.text[0] != '\0' && (e == ERR_MALFORMED || e == ERR_INVALID || e == ERR_LIMIT)), "%s: %s, %s", k->prefix, err_name(e),
	    eb.text);
	if (e == OK && !a.full) {
		FUZZ_CHECKF(kept.p != NULL, "%s: what was read can be written", k->prefix);
		FUZZ_CHECK(k->again(&a, in, false, &plain, &eb) == OK && plain.p != NULL);
		e = k->again(&a, kept, false, &again, &eb);
		FUZZ_CHECKF(e == OK, "%s: what we write is read: %s: %.*s", k->prefix, eb.text, (int)kept.len, (const char *)kept.p);
		FUZZ_CHECKF(slice_eq(plain, again), "%s: %.*s, and then %.*s", k->prefix, (int)plain.len, (const char *)plain.p, (int)again.len,
		    (const char *)again.p);
	}
	arena_fini(&a);
}

static void
migration(struct slice in)
{
	struct zk_migration_info v;
	struct errbuf eb = ERRBUF_INIT;

	FUZZ_CHECK(zk_migration_decode(in, &v, &eb) == OK || eb.text[0] != '\0');
}

static void
names(struct slice in)
{
	char *text = fuzz_text(in), *safe = zk_sanitize(slice_str(text)), *back = zk_desanitize(safe), *odd = zk_desanitize(text);
	int64_t n;

	FUZZ_CHECKF(back == NULL ? !str_is_utf8(slice_str(text)) : strcmp(back, text) == 0 || !str_is_utf8(slice_str(text)), "%s, %s, %s", text, safe,
	    back == NULL ? "(null)" : back);
	(void)zk_sequence_of(text, ZK_CONFIG_CHANGE_PREFIX, &n);
	(void)zk_path_below(text, ZK_TOPICS);
	(void)zk_path_topic(text);
	(void)zk_path_is_sensitive(text);
	free(text);
	free(safe);
	free(back);
	free(odd);
}

static void
entity(struct slice in)
{
	char *text = fuzz_text(in), *path, *again;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_entity e, e2;
	struct arena a;

	arena_init(&a, ARENA);
	if (zk_entity_parse(&a, text, &e, &eb) == OK) {
		path = zk_entity_path(&a, &e);
		FUZZ_CHECK(path != NULL);
		FUZZ_CHECKF(zk_entity_parse(&a, path, &e2, &eb) == OK && e2.type == e.type, "%s: %s", path, eb.text);
		again = zk_entity_path(&a, &e2);
		FUZZ_CHECKF(strcmp(path, again) == 0, "%s, and then %s", path, again);
	} else
		FUZZ_CHECK(eb.text[0] != '\0');
	arena_fini(&a);
	free(text);
}

enum { MIGRATION = NELEM(kinds), NAMES, ENTITY, KINDS };

void
fuzz_one(struct slice in)
{
	unsigned which = fuzz_u8(&in) % KINDS;

	if (which < NELEM(kinds))
		json(&kinds[which], in);
	else if (which == MIGRATION)
		migration(in);
	else if (which == NAMES)
		names(in);
	else
		entity(in);
}

/* ---- seeds: a Java broker's znodes, each as everything it might be; and some that it did not write that day ---- */

static void
seed_text(uint8_t which, struct slice text, fuzz_give *give, void *ctx)
{
	if (text.len > 0 && text.len <= SEED_MAX)
		fuzz_give2(give, ctx, &which, 1, text);
}

static void
seed_line(const char *line, const char *end, fuzz_give *give, void *ctx)
{
	const char *tab = memchr(line, '\t', (size_t)(end - line)), *data = tab == NULL ? NULL : memchr(tab + 1, '\t', (size_t)(end - tab - 1));

	seed_text(NAMES, slice_of(line, tab == NULL ? 0 : (size_t)(tab - line)), give, ctx);
	for (uint8_t i = 0; data != NULL && i < NELEM(kinds); i++)
		if (strncmp(line, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			seed_text(i, slice_of(data + 1, (size_t)(end - data - 1)), give, ctx);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const struct { uint8_t which; const char *text; } more[] = {
		{ 1, "{\"version\":3,\"topic_id\":\"g_JzYBo6SGu68tHfK5MjQw\",\"partitions\":{\"0\":[1,2,3]},\"adding_replicas\":{\"0\":[3]},"
		    "\"removing_replicas\":{\"0\":[1]},\"later\":{\"a\":[1.5,null,true]}}" },
		{ 10, "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0},{\"topic\":\"t\",\"partition\":1}]}" },
		{ 11, "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1,2]}]}" },
		{ 12, "{\"version\":1,\"broker\":7,\"event\":1}" },
		{ 9, "{\"version\":2,\"entity_path\":\"users/ann/clients/c\"}" },
		{ 9, "{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"t\"}" },
		{ 8, "12" },
		{ MIGRATION, "{\"version\":0,\"kraft_controller_id\":3,\"kraft_controller_epoch\":2,\"kraft_metadata_offset\":5,\"kraft_metadata_epoch\":1}" },
		{ NAMES, "ann e*\xc3\xbc/%41" },
		{ ENTITY, "users/ann%20e%2A/clients/<default>" }, { ENTITY, "brokers/7" }, { ENTITY, "ips/10.0.0.1" }, { ENTITY, "topics/t" },
		{ 0, "{\"version\":4,\"host\":\"h\",\"port\":9,\"jmx_port\":-1,\"timestamp\":\"1\",\"endpoints\":[\"SSL://[::1]:9093\",\"X://h:1\"],"
		    "\"rack\":null,\"listener_security_protocol_map\":{\"X\":\"SASL_SSL\",\"SSL\":\"SSL\"},\"features\":{\"f\":{\"min_version\":1,\"max_version\":2}}}" },
	};
	struct slice all = fuzz_golden("test/golden/znodes/kafka-3.9.1.txt");
	const char *p = (const char *)all.p, *end;

	FUZZ_CHECK(p != NULL);
	for (; (end = strchr(p, '\n')) != NULL; p = end + 1)
		seed_line(p, end, give, ctx);
	free((void *)(uintptr_t)all.p);
	for (size_t i = 0; i < NELEM(more); i++)
		seed_text(more[i].which, slice_str(more[i].text), give, ctx);
}
