/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/topic.c - ottla topic list, describe, create, alter, delete.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tools/cluster.h"

enum { TOPIC_RESOURCE = 2, SOURCE_TOPIC = 1 };

/* ---- the state of a topic ---- */

struct health { int32_t leaderless, behind; };

static struct health
health_of(const struct wire_metadata_response_topic *t)
{
	struct health h = { 0, 0 };

	for (int32_t i = 0; i < t->partitions.n; i++) {
		h.leaderless += t->partitions.v[i].leader_id < 0;
		h.behind += t->partitions.v[i].isr_nodes.n < t->partitions.v[i].replica_nodes.n;
	}
	return (h);
}

static int
topics_by_name(const void *a, const void *b)
{
	return (slice_cmp(((const struct wire_metadata_response_topic *)a)->name, ((const struct wire_metadata_response_topic *)b)->name));
}

static int
partitions_by_number(const void *a, const void *b)
{
	int32_t x = ((const struct wire_metadata_response_partition *)a)->partition_index, y = ((const struct wire_metadata_response_partition *)b)->partition_index;

	return (x < y ? -1 : x > y);
}

static void
sort_topics(const struct wire_metadata_response *m)
{
	if (m->topics.n > 1)
		qsort(m->topics.v, (size_t)m->topics.n, sizeof(*m->topics.v), topics_by_name);
	for (int32_t i = 0; i < m->topics.n; i++)
		if (m->topics.v[i].partitions.n > 1)
			qsort(m->topics.v[i].partitions.v, (size_t)m->topics.v[i].partitions.n, sizeof(*m->topics.v[i].partitions.v), partitions_by_number);
}

static int32_t
replicas_of(const struct wire_metadata_response_topic *t)
{
	return (t->partitions.n == 0 ? 0 : t->partitions.v[0].replica_nodes.n);
}

/* ---- list ---- */

static void
list_one(const struct arguments *a, struct table *table, const struct wire_metadata_response_topic *t, const char *name)
{
	struct health h = health_of(t);
	struct line j;

	if (!given(a, OPT_json)) {
		table_cell(table, "%s", name);
		table_cell(table, "%" PRId32, t->partitions.n);
		table_cell(table, "%" PRId32, replicas_of(t));
		table_cell(table, "%" PRId32, h.leaderless);
		table_cell(table, "%" PRId32, h.behind);
		return;
	}
	line_begin(&j, "topic");
	line_string(&j, "topic", name);
	line_int(&j, "partitions", t->partitions.n);
	line_int(&j, "replication_factor", replicas_of(t));
	line_int(&j, "without_leader", h.leaderless);
	line_int(&j, "under_replicated", h.behind);
	line_bool(&j, "internal", t->is_internal);
	line_end(&j);
}

static enum status
list(const struct arguments *a, struct cluster *c)
{
	static const char *const heads[] = { "TOPIC", "PARTITIONS", "REPLICAS", "NO-LEADER", "UNDER-REPLICATED" };
	const struct wire_metadata_response *m = cluster_metadata(c, NULL, 0);
	struct table *table;

	if (m == NULL)
		return (STATUS_FAILED);
	table = table_new(heads, NELEM(heads));
	sort_topics(m);
	for (int32_t i = 0; i < m->topics.n; i++) {
		const char *name = text_of(c, m->topics.v[i].name);

		if (is_wanted(a, name))
			list_one(a, table, &m->topics.v[i], name);
	}
	table_print(&table);
	return (STATUS_CLEAN);
}

/* ---- describe ---- */

/* The settings of a topic's own: "a=b,c=d" for people, an object for scripts.  NULL: complained. */
static const char *
settings_of(const struct arguments *a, struct cluster *c, const char *topic)
{
	const struct wire_describe_configs_response_result *all = cluster_settings(c, cluster_any(c), TOPIC_RESOURCE, slice_str(topic), topic);
	struct strbuf sb = STRBUF_INIT;
	const char *text;

	if (all == NULL)
		return (NULL);
	for (int32_t i = 0; i < all->configs.n; i++) {
		const struct wire_describe_configs_response_resource_result *k = &all->configs.v[i];

		if (k->config_source != SOURCE_TOPIC)
			continue;
		if (given(a, OPT_json)) {
			strbuf_add(&sb, sb.len == 0 ? "{" : ",");
			strbuf_add_json_string(&sb, k->name);
			strbuf_add(&sb, ":");
			strbuf_add_json_string(&sb, k->is_sensitive ? SLICE_NULL : k->value);
		} else
			strbuf_add(&sb, "%s%s=%s", sb.len == 0 ? "" : ",", text_of(c, k->name), k->is_sensitive ? "********" : text_of(c, k->value));
	}
	if (given(a, OPT_json))
		strbuf_add(&sb, sb.len == 0 ? "{}" : "}");
	text = arena_printf(cluster_arena(c), "%s", strbuf_str(&sb));
	strbuf_fini(&sb);
	return (text);
}

static void
partition_json(struct cluster *c, const char *topic, const char *id, const char *settings, const struct wire_metadata_response_partition *p)
{
	struct line j;

	line_begin(&j, "partition");
	line_string(&j, "topic", topic);
	line_string(&j, "topic_id", id);
	line_int(&j, "partition", p->partition_index);
	line_int(&j, "leader", p->leader_id);
	line_int(&j, "leader_epoch", p->leader_epoch);
	line_raw(&j, "replicas", arena_printf(cluster_arena(c), "[%s]", ids_text(c, &p->replica_nodes)));
	line_raw(&j, "isr", arena_printf(cluster_arena(c), "[%s]", ids_text(c, &p->isr_nodes)));
	line_raw(&j, "offline", arena_printf(cluster_arena(c), "[%s]", ids_text(c, &p->offline_replicas)));
	line_raw(&j, "configs", settings);
	line_end(&j);
}

static void
partition_row(struct cluster *c, struct table *t, const struct wire_metadata_response_partition *p)
{
	table_cell(t, "%" PRId32, p->partition_index);
	if (p->leader_id < 0)
		table_cell(t, "none");
	else
		table_cell(t, "%" PRId32, p->leader_id);
	table_cell(t, "%s", ids_text(c, &p->replica_nodes));
	table_cell(t, "%s", ids_text(c, &p->isr_nodes));
	table_cell(t, "%s", p->leader_id < 0 ? "no leader" : p->isr_nodes.n < p->replica_nodes.n ? "not all in sync" : "");
}

static enum status
describe_one(const struct arguments *a, struct cluster *c, const struct wire_metadata_response_topic *t)
{
	static const char *const heads[] = { "PARTITION", "LEADER", "REPLICAS", "ISR", "" };
	const char *name = text_of(c, t->name), *settings = settings_of(a, c, name);
	struct health h = health_of(t);
	struct table *table;
	char id[UUID_TEXT_LEN + 1];

	if (settings == NULL)
		return (STATUS_FAILED);
	uuid_format(t->topic_id, id);
	if (!given(a, OPT_json))
		printf("%s  id %s  partitions %" PRId32 "  replicas %" PRId32 "%s%s%s\n", name, id, t->partitions.n, replicas_of(t), t->is_internal ? "  internal" : "",
		    settings[0] == '\0' ? "" : "  settings ", settings);
	table = table_new(heads, NELEM(heads));
	for (int32_t i = 0; i < t->partitions.n; i++) {
		if (given(a, OPT_json))
			partition_json(c, name, id, settings, &t->partitions.v[i]);
		else
			partition_row(c, table, &t->partitions.v[i]);
	}
	table_print(&table);
	return (h.leaderless > 0 || h.behind > 0 ? STATUS_FOUND : STATUS_CLEAN);
}

static enum status
describe(const struct arguments *a, struct cluster *c)
{
	const struct wire_metadata_response *m = cluster_metadata(c, NULL, 0);
	enum status s = STATUS_CLEAN;

	if (m == NULL)
		return (STATUS_FAILED);
	sort_topics(m);
	for (int32_t i = 0; a->noperands == 0 && i < m->topics.n; i++)
		s = worse(s, describe_one(a, c, &m->topics.v[i]));
	for (unsigned i = 0; i < a->noperands; i++) {
		const struct wire_metadata_response_topic *t = cluster_topic(c, m, a->operands[i]);

		s = worse(s, t == NULL ? STATUS_FAILED : describe_one(a, c, t));
	}
	return (s);
}

/* ---- what changes ---- */

static void
say_done(const struct arguments *a, const char *topic, const char *what, int32_t partitions)
{
	struct line j;

	if (!given(a, OPT_json)) {
		printf("%s: %s%s\n", topic, given(a, OPT_dry_run) ? "would be " : "", what);
		return;
	}
	line_begin(&j, "topic");
	line_string(&j, "topic", topic);
	line_string(&j, "result", what);
	line_bool(&j, "dry_run", given(a, OPT_dry_run));
	if (partitions > 0)
		line_int(&j, "partitions", partitions);
	line_end(&j);
}

static bool
option_count(const struct arguments *a, enum option o, int64_t most, int64_t *v)
{
	if (!option_i64(a, o, v))
		return (false);
	if (!given(a, o) || (*v > 0 && *v <= most))
		return (true);
	(void)usage_error(a, "a number from 1 to %" PRId64 " is wanted, not %" PRId64, most, *v);
	return (false);
}

/* *v := the operands that are settings; the others are topics, put to the front. */
static unsigned
split_operands(const struct arguments *a, struct cluster *c, struct wire_create_topics_request_config **v, int32_t *n)
{
	unsigned topics = 0;

	*v = WIRE_NEW_ARRAY(cluster_arena(c), create_topics_request_config, (int32_t)a->noperands);
	*n = 0;
	for (unsigned i = 0; i < a->noperands; i++) {
		const char *eq = strchr(a->operands[i], '=');

		if (eq == NULL) {
			a->operands[topics++] = a->operands[i];
			continue;
		}
		(*v)[*n].name = slice_of(a->operands[i], (size_t)(eq - a->operands[i]));
		(*v)[(*n)++].value = slice_str(eq + 1);
	}
	return (topics);
}

/* What the broker says of each topic that it was asked about, once; of others only errors are told. */
struct verdict {
	const char *topic;
	bool told;
	enum kerr error;
	struct slice message;
	int32_t partitions;
};

static struct verdict *
verdict_find(struct verdict *v, unsigned n, const char *topic)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(v[i].topic, topic) == 0)
			return (&v[i]);
	return (NULL);
}

/* Of the first n operands.  *n := how many they are without those named twice. */
static struct verdict *
verdicts_of(const struct arguments *a, struct cluster *c, unsigned *n)
{
	struct verdict *v = ARENA_ARRAY(cluster_arena(c), struct verdict, *n);
	unsigned kept = 0;

	must(v != NULL);
	for (unsigned i = 0; i < *n; i++)
		if (verdict_find(v, kept, a->operands[i]) == NULL)
			v[kept++].topic = a->operands[i];
	*n = kept;
	return (v);
}

/* Of two about one topic an error counts, else the first. */
static enum status
verdict_hear(const struct arguments *a, struct cluster *c, struct verdict *v, unsigned n, struct slice topic, const struct verdict *heard)
{
	const char *name = text_of(c, topic);
	struct verdict *t = verdict_find(v, n, name);

	if (t == NULL)
		return (heard->error == KERR_NONE ? STATUS_CLEAN : broker_refused(a, name, heard->error, heard->message));
	if (!t->told || (t->error == KERR_NONE && heard->error != KERR_NONE)) {
		*t = *heard;
		t->topic = name;
		t->told = true;
	}
	return (STATUS_CLEAN);
}

/* `passable` is no error: then `passed` is said, not `what`. */
static enum status
verdicts_say(const struct arguments *a, const struct verdict *v, unsigned n, const char *what, enum kerr passable, const char *passed)
{
	enum status s = STATUS_CLEAN;

	for (unsigned i = 0; i < n; i++) {
		if (!v[i].told)
			s = worse(s, failure(a, "%s: the broker says nothing of it; whether it was %s is not known", v[i].topic, what));
		else if (v[i].error == KERR_NONE)
			say_done(a, v[i].topic, what, v[i].partitions);
		else if (v[i].error == passable)
			say_done(a, v[i].topic, passed, -1);
		else
			s = worse(s, broker_refused(a, v[i].topic, v[i].error, v[i].message));
	}
	return (s);
}

static enum status
create(const struct arguments *a, struct cluster *c)
{
	int64_t partitions = -1, replicas = -1;
	struct wire_create_topics_request r;
	struct wire_create_topics_request_config *settings;
	const struct wire_create_topics_response *answer;
	enum status s = STATUS_CLEAN;
	struct node *controller;
	struct verdict *v;
	unsigned topics;
	int32_t n;
	int version;

	if (!option_count(a, OPT_partitions, INT32_MAX, &partitions) || !option_count(a, OPT_replication_factor, INT16_MAX, &replicas))
		return (STATUS_USAGE);
	topics = split_operands(a, c, &settings, &n);
	if (topics == 0)
		return (usage_error(a, "no topic is named"));
	v = verdicts_of(a, c, &topics);
	controller = cluster_controller(c);
	/* From version 4 on the broker's own defaults can be asked for. */
	if (controller == NULL || (version = cluster_version(c, controller, API_CREATE_TOPICS, 4, ANY_VERSION)) < 0)
		return (STATUS_FAILED);
	WIRE_INIT(create_topics_request, &r);
	r.validate_only = given(a, OPT_dry_run);
	r.timeout_ms = cluster_timeout_ms(c);
	r.topics.n = (int32_t)topics;
	r.topics.v = WIRE_NEW_ARRAY(cluster_arena(c), create_topics_request_topic, (int32_t)topics);
	for (unsigned i = 0; i < topics; i++) {
		r.topics.v[i].name = slice_str(v[i].topic);
		r.topics.v[i].num_partitions = (int32_t)partitions;
		r.topics.v[i].replication_factor = (int16_t)replicas;
		r.topics.v[i].configs.v = settings;
		r.topics.v[i].configs.n = n;
	}
	answer = cluster_call(c, controller, API_CREATE_TOPICS, version, &r);
	if (answer == NULL)
		return (STATUS_FAILED);
	for (int32_t i = 0; i < answer->topics.n; i++) {
		const struct wire_create_topics_response_topic *t = &answer->topics.v[i];

		s = worse(s, verdict_hear(a, c, v, topics, t->name,
		    &(struct verdict){ .error = (enum kerr)t->error_code, .message = t->error_message, .partitions = t->num_partitions }));
	}
	return (worse(s, verdicts_say(a, v, topics, "created", given(a, OPT_if_not_exists) ? KERR_TOPIC_ALREADY_EXISTS : KERR_NONE, "there already")));
}

/* Every named topic is there: a wrong name among right ones changes nothing. */
static bool
all_there(const struct arguments *a, struct cluster *c)
{
	const struct wire_metadata_response *m = cluster_metadata(c, NULL, 0);
	bool ok = m != NULL;

	for (unsigned i = 0; m != NULL && i < a->noperands; i++)
		ok = cluster_topic(c, m, a->operands[i]) != NULL && ok;
	return (ok);
}

static enum status
alter(const struct arguments *a, struct cluster *c)
{
	struct wire_create_partitions_request r;
	const struct wire_create_partitions_response *answer;
	struct node *controller;
	unsigned n = a->noperands;
	struct verdict *v = verdicts_of(a, c, &n);
	enum status s = STATUS_CLEAN;
	int64_t partitions = -1;
	int version;

	if (!option_count(a, OPT_partitions, INT32_MAX, &partitions))
		return (STATUS_USAGE);
	if (partitions < 0)
		return (usage_error(a, "wants --partitions N; settings are changed with ottla config alter topic"));
	controller = all_there(a, c) ? cluster_controller(c) : NULL;
	if (controller == NULL || (version = cluster_version(c, controller, API_CREATE_PARTITIONS, 0, ANY_VERSION)) < 0)
		return (STATUS_FAILED);
	WIRE_INIT(create_partitions_request, &r);
	r.validate_only = given(a, OPT_dry_run);
	r.timeout_ms = cluster_timeout_ms(c);
	r.topics.n = (int32_t)n;
	r.topics.v = WIRE_NEW_ARRAY(cluster_arena(c), create_partitions_request_topic, r.topics.n);
	for (unsigned i = 0; i < n; i++) {
		r.topics.v[i].name = slice_str(v[i].topic);
		r.topics.v[i].count = (int32_t)partitions;
		r.topics.v[i].assignments.n = -1;
	}
	answer = cluster_call(c, controller, API_CREATE_PARTITIONS, version, &r);
	if (answer == NULL)
		return (STATUS_FAILED);
	for (int32_t i = 0; i < answer->results.n; i++)
		s = worse(s, verdict_hear(a, c, v, n, answer->results.v[i].name, &(struct verdict){ .error = (enum kerr)answer->results.v[i].error_code,
		    .message = answer->results.v[i].error_message, .partitions = (int32_t)partitions }));
	return (worse(s, verdicts_say(a, v, n, "altered", KERR_NONE, NULL)));
}

static enum status
delete_topics(const struct arguments *a, struct cluster *c)
{
	struct wire_delete_topics_request r;
	const struct wire_delete_topics_response *answer;
	struct node *controller;
	unsigned n = a->noperands;
	struct verdict *v = verdicts_of(a, c, &n);
	enum status s = STATUS_CLEAN;
	int version;

	controller = given(a, OPT_if_exists) || all_there(a, c) ? cluster_controller(c) : NULL;
	if (controller == NULL || (version = cluster_version(c, controller, API_DELETE_TOPICS, 1, ANY_VERSION)) < 0)
		return (STATUS_FAILED);
	WIRE_INIT(delete_topics_request, &r);
	r.timeout_ms = cluster_timeout_ms(c);
	if (version >= 6) {
		r.topics.n = (int32_t)n;
		r.topics.v = WIRE_NEW_ARRAY(cluster_arena(c), delete_topics_request_topic, r.topics.n);
	} else {
		r.topic_names.n = (int32_t)n;
		r.topic_names.v = ARENA_ARRAY(cluster_arena(c), struct slice, n);
	}
	for (unsigned i = 0; i < n; i++)
		*(version >= 6 ? &r.topics.v[i].name : &r.topic_names.v[i]) = slice_str(v[i].topic);
	answer = cluster_call(c, controller, API_DELETE_TOPICS, version, &r);
	if (answer == NULL)
		return (STATUS_FAILED);
	for (int32_t i = 0; i < answer->responses.n; i++)
		s = worse(s, verdict_hear(a, c, v, n, answer->responses.v[i].name, &(struct verdict){ .error = (enum kerr)answer->responses.v[i].error_code,
		    .message = answer->responses.v[i].error_message, .partitions = -1 }));
	return (worse(s, verdicts_say(a, v, n, "deleted", given(a, OPT_if_exists) ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE, "not there")));
}

/* ---- the verbs ---- */

enum status verb_topic_list(const struct arguments *a) { return (on_cluster(a, list)); }
enum status verb_topic_describe(const struct arguments *a) { return (on_cluster(a, describe)); }
enum status verb_topic_create(const struct arguments *a) { return (on_cluster(a, create)); }
enum status verb_topic_alter(const struct arguments *a) { return (on_cluster(a, alter)); }
enum status verb_topic_delete(const struct arguments *a) { return (on_cluster(a, delete_topics)); }
