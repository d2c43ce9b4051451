/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znode_check.c - what a cluster needs in ZooKeeper: ottla znode dump --check.
 *
 * Each node is read as the broker reads it (zk/json.h), so "malformed" here is what a broker would refuse.  Fields and nodes that nobody knows
 * are notes: a newer broker may have written them, and both Kafka and we leave them alone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "tools/znodes.h"
#include "zk/json.h"
#include "zk/paths.h"

enum { NODE_ARENA_MAX = 1 << 28 };

enum kind { CLUSTER_ID, CONTROLLER, EPOCH, BROKER, CONTAINER, TOPIC, STATE, REASSIGNMENT, PARTITIONS, CONFIG_CHANGE, CONFIG, LOG_DIR_EVENT, PRODUCER_IDS, FEATURE,
	MIGRATION, JSON, ANY };

static const struct row {
	const char *pattern;
	enum kind kind;
	const char *fields;
} rows[] = {
#define ZNODE(pattern, kind, fields) { pattern, kind, fields },
#include "tools/znodes.def"
#undef ZNODE
};

struct check {
	const struct arguments *args;
	const struct znodes *t;
	struct arena arena;
	unsigned problems, notes;
};

static void PRINTF_LIKE(4, 5)
say(struct check *c, bool problem, const char *path, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	struct line j;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	c->problems += problem;
	c->notes += !problem;
	if (given(c->args, OPT_json)) {
		line_begin(&j, "finding");
		line_string(&j, "path", path);
		line_bool(&j, "problem", problem);
		line_string(&j, "message", strbuf_str(&sb));
		line_end(&j);
	} else
		printf("%s: %s%s\n", path, problem ? "" : "note: ", strbuf_str(&sb));
	strbuf_fini(&sb);
}

/* ---- which row ---- */

static bool
fits(const char *pattern, const char *path)
{
	while (*pattern != '\0') {
		if (strcmp(pattern, "**") == 0)
			return (true);
		if (*pattern == '*' && *path != '/' && *path != '\0') {
			path += strcspn(path, "/");
			pattern++;
		} else if (*pattern != *path)
			return (false);
		else {
			pattern++;
			path++;
		}
	}
	return (*path == '\0');
}

static const struct row *
row_of(const char *path)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		if (fits(rows[i].pattern, path))
			return (&rows[i]);
	return (NULL);
}

static bool
is_word_of(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; *p != '\0'; p += strcspn(p, " ") + (p[strcspn(p, " ")] == ' '))
		if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
			return (true);
	return (false);
}

/* ---- one node ---- */

static const char *
last_name(const char *path)
{
	return (strrchr(path, '/') + 1);
}

static enum err
decode(struct check *c, const struct znode *n, enum kind kind, struct errbuf *eb)
{
	const struct slice s = slice_of(n->data, n->len);
	struct arena *a = &c->arena;
	int64_t id = -1;

	switch (kind) {
	case CLUSTER_ID: { const char *text; return (zk_cluster_id_decode(a, s, &text, eb)); }
	case CONTROLLER: { struct zk_controller_info i; return (zk_controller_decode(s, &i, eb)); }
	case EPOCH: { int32_t epoch; return (zk_controller_epoch_decode(s, &epoch, eb)); }
	case BROKER: {
		struct zk_broker_info i;

		if (!str_to_i64(slice_str(last_name(n->path)), &id) || id < 0 || id > INT32_MAX) {
			errbuf_set(eb, "its name is no broker id");
			return (ERR_MALFORMED);
		}
		return (zk_broker_decode(a, (int32_t)id, s, &i, eb));
	}
	case TOPIC: { struct zk_topic_info i; return (zk_topic_decode(a, s, &i, eb)); }
	case STATE: { struct zk_partition_state i; return (zk_partition_state_decode(a, s, &i, eb)); }
	case REASSIGNMENT: { struct zk_partition_list l; return (zk_reassignment_decode(a, s, &l, eb)); }
	case PARTITIONS: { struct zk_partition_list l; return (zk_partition_list_decode(a, s, &l, eb)); }
	case CONFIG_CHANGE: { struct zk_entity e; return (zk_config_change_decode(a, s, &e, eb)); }
	case CONFIG: { struct zk_config i; return (zk_config_decode(a, s, &i, eb)); }
	case LOG_DIR_EVENT: { int32_t broker; return (zk_log_dir_event_decode(s, &broker, eb)); }
	case PRODUCER_IDS: { struct zk_producer_id_block b; return (s.len == 0 ? OK : zk_producer_id_block_decode(s, &b, eb)); }
	case FEATURE: { struct zk_feature_info i; return (zk_feature_decode(a, s, &i, eb)); }
	case MIGRATION: { struct zk_migration_info i; return (zk_migration_decode(s, &i, eb)); }
	case JSON: {
		json_t *o = znode_json(n);
		bool good = json_is_object(o);

		json_decref(o);
		if (!good)
			errbuf_set(eb, "not a JSON object");
		return (good ? OK : ERR_MALFORMED);
	}
	case CONTAINER:
	case ANY:
		return (OK);
	}
	return (OK);
}

static void
check_fields(struct check *c, const struct znode *n, const struct row *r)
{
	json_t *o = r->fields[0] == '\0' ? NULL : znode_json(n), *value;
	const char *key;

	if (json_is_object(o))
		json_object_foreach(o, key, value)
			if (!is_word_of(r->fields, key))
				say(c, false, n->path, "the field \"%s\" is unknown", key);
	json_decref(o);
}

static void
check_node(struct check *c, const struct znode *n)
{
	const struct row *r = row_of(n->path);
	struct errbuf eb = ERRBUF_INIT;

	if (n->unreadable) {
		say(c, true, n->path, "may not be read: its ACL keeps us out");
		return;
	}
	if (r == NULL) {
		say(c, false, n->path, "no Kafka 3.9 broker knows this node");
		return;
	}
	arena_reset(&c->arena);
	if (decode(c, n, r->kind, &eb) != OK)
		say(c, true, n->path, "malformed: %s", eb.text);
	else
		check_fields(c, n, r);
	if ((r->kind == BROKER || r->kind == CONTROLLER) && n->stat.ephemeral_owner == 0)
		say(c, true, n->path, "is not ephemeral: it stays when its broker is gone, and keeps it from coming back");
}

/* ---- what must be there, and fit together ---- */

static void
check_top(struct check *c)
{
	static const char *const needed[] = { ZK_CLUSTER_ID, ZK_CONTROLLER_EPOCH };

	for (size_t i = 0; zk_top_level_paths[i] != NULL; i++)
		if (znodes_find(c->t, zk_top_level_paths[i]) == NULL)
			say(c, true, zk_top_level_paths[i], "missing: the start of a broker makes it");
	for (size_t i = 0; i < NELEM(needed); i++)
		if (znodes_find(c->t, needed[i]) == NULL)
			say(c, true, needed[i], "missing: no broker has been started here yet, or it was lost");
	if (znodes_find(c->t, ZK_CONTROLLER) == NULL)
		say(c, false, ZK_CONTROLLER, "missing: there is no active controller now");
	if (znodes_find(c->t, ZK_MIGRATION) != NULL)
		say(c, false, ZK_MIGRATION, "this cluster migrates to KRaft: Ottla refuses to start in it");
}

static void
check_state(struct check *c, const char *topic, const struct zk_topic_partition *p)
{
	const struct znode *n = znodes_find(c->t, zk_path_partition_state(topic, p->id).s);
	struct zk_partition_state st;

	if (n == NULL) {
		say(c, true, zk_path_partition_state(topic, p->id).s, "missing: the partition has never had a leader");
		return;
	}
	if (n->unreadable || zk_partition_state_decode(&c->arena, slice_of(n->data, n->len), &st, NULL) != OK)
		return;			/* said already */
	for (uint32_t i = 0; i < st.isr.n; i++)
		if (!zk_ints_has(p->replicas, st.isr.v[i]))
			say(c, true, n->path, "broker %" PRId32 " is in the ISR and no replica of it", st.isr.v[i]);
	if (st.leader >= 0 && !zk_ints_has(st.isr, st.leader))
		say(c, true, n->path, "the leader %" PRId32 " is not in the ISR", st.leader);
	if (st.leader >= 0 && znodes_find(c->t, zk_path_broker(st.leader).s) == NULL)
		say(c, false, n->path, "its leader, broker %" PRId32 ", is not alive", st.leader);
	if (st.leader < 0)
		say(c, false, n->path, "has no leader");
}

static void
check_topic(struct check *c, const struct znode *n)
{
	const char *topic = zk_path_below(n->path, ZK_TOPICS);
	struct zk_topic_info info;

	arena_reset(&c->arena);
	if (topic == NULL || n->unreadable || zk_topic_decode(&c->arena, slice_of(n->data, n->len), &info, NULL) != OK)
		return;
	if (topic_name_invalid(slice_str(topic)) != NULL)
		say(c, true, n->path, "no topic can have this name: %s", topic_name_invalid(slice_str(topic)));
	if (uuid_is_zero(info.id))
		say(c, false, n->path, "has no topic_id: the next controller gives it one");
	for (uint32_t i = 0; i < info.npartitions; i++) {
		if (info.partitions[i].id != (int32_t)i) {
			say(c, true, n->path, "partitions are not numbered from 0 without a gap: %" PRIu32 " is missing", i);
			break;
		}
		if (info.partitions[i].replicas.n == 0)
			say(c, true, n->path, "partition %" PRIu32 " has no replica", i);
		check_state(c, topic, &info.partitions[i]);
	}
	if (znodes_find(c->t, zk_path_topic_config(topic).s) == NULL)
		say(c, false, n->path, "has no node in /config/topics: it uses the defaults");
}

static void
check_config(struct check *c, const struct znode *n)
{
	const char *topic = zk_path_below(n->path, "/config/topics");

	if (topic != NULL && znodes_find(c->t, zk_path_topic(topic).s) == NULL)
		say(c, false, n->path, "a configuration without its topic");
}

enum status
znodes_check(const struct arguments *a, const struct znodes *t)
{
	struct check c = { .args = a, .t = t };

	arena_init(&c.arena, NODE_ARENA_MAX);
	for (size_t i = 0; i < t->n; i++)
		check_node(&c, &t->v[i]);
	if (!given(a, OPT_path)) {
		check_top(&c);
		for (size_t i = 0; i < t->n; i++) {
			check_topic(&c, &t->v[i]);
			check_config(&c, &t->v[i]);
		}
	}
	arena_fini(&c.arena);
	if (!given(a, OPT_json))
		printf("%zu nodes: %u problems, %u notes\n", t->n, c.problems, c.notes);
	return (c.problems > 0 ? STATUS_FOUND : STATUS_CLEAN);
}
