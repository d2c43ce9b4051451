/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/configs.c - the one holder of configuration: the effective broker settings, and every topic's overrides as ZooKeeper has them.
 *
 * Topic overrides are read once at start, kept current by /config/changes, and read again when a log of the topic is made here (a topic is
 * created with its configuration but without a notification).  Dynamic broker settings replace the struct config as a whole.
 */
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "broker/broker_int.h"
#include "config/alter.h"
#include "zk/json.h"
#include "zk/paths.h"

/* ---- topic overrides ---- */

static struct topic_overrides *
overrides_find(const struct broker *b, const char *topic)
{
	struct topic_overrides *o;

	HASH_FIND_STR(b->topics, topic, o);
	return (o);
}

static void
overrides_drop(struct broker *b, struct topic_overrides *o)
{
	HASH_DEL(b->topics, o);
	config_map_fini(&o->map);
	free(o->topic);
	free(o);
}

void
configs_map_of(const struct zk_config *config, struct config_map *map)
{
	for (uint32_t i = 0; i < config->nitems; i++)
		config_map_set(map, config->items[i].key, config->items[i].value);
}

/* Once per change of the node, not once per use. */
static void
warn_of(const struct broker *b, const char *topic, const struct config_map *map)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct topic_config *t = topic_config_new(b->config, map, &report);

	for (size_t i = 0; i < report.count; i++)
		diag_warning(b->opt.diag, "config", "/config/topics/%s: %s", topic, report.notes[i].text);
	if (t->compact && config_map_get(map, "cleanup.policy") != NULL)
		diag_warning(b->opt.diag, "config", "/config/topics/%s: cleanup.policy has compact: accepted, but compaction is not built yet, so all "
		    "records stay", topic);
	config_report_fini(&report);
	topic_config_unref(&t);
}

void
configs_topic_set(struct broker *b, const char *topic, const struct zk_config *config)
{
	struct topic_overrides *o = overrides_find(b, topic);
	struct config_map map = CONFIG_MAP_INIT;

	if (config->nitems == 0) {
		if (o != NULL)
			overrides_drop(b, o);
		return;
	}
	configs_map_of(config, &map);
	if (o != NULL && config_map_equal(&o->map, &map)) {
		config_map_fini(&map);
		return;
	}
	if (o == NULL) {
		o = xcalloc(1, sizeof(*o));
		o->topic = xstrdup(topic);
		HASH_ADD_KEYPTR(hh, b->topics, o->topic, strlen(o->topic), o);
	}
	config_map_fini(&o->map);
	o->map = map;
	warn_of(b, topic, &o->map);
}

void
configs_free(struct broker *b)
{
	struct topic_overrides *o, *next;

	HASH_ITER(hh, b->topics, o, next)
		overrides_drop(b, o);
	config_map_fini(&b->dynamic_default);
	config_map_fini(&b->dynamic_broker);
}

/* ---- what log/ and replica/ need ---- */

static void
fill_log_options(const struct config *config, const struct topic_config *t, struct log_options *o)
{
	o->segment_ms = t->segment_ms;
	o->segment_jitter_ms = t->segment_jitter_ms;
	o->retention_ms = t->retention_ms;
	o->retention_bytes = t->retention_bytes;
	o->flush_messages = t->flush_messages;
	o->flush_ms = t->flush_ms;
	o->file_delete_delay_ms = t->file_delete_delay_ms;
	o->producer_expiration_ms = config->producer_id_expiration_ms;
	o->segment_bytes = t->segment_bytes;
	o->segment_index_bytes = t->segment_index_bytes;
	o->index_interval_bytes = t->index_interval_bytes;
	o->preallocate = t->preallocate;
	o->cleanup_delete = t->delete_;
	o->cleanup_compact = t->compact;
}

static int
compression_of(const struct topic_config *t)
{
	return (t->compression == CONFIG_COMPRESSION_PRODUCER ? RECORD_COMPRESSION_PRODUCER : (int)t->compression);
}

static struct topic_config *
effective(const struct broker *b, const char *topic)
{
	const struct topic_overrides *o = overrides_find(b, topic);

	return (topic_config_new(b->config, o == NULL ? NULL : &o->map, NULL));
}

/* Called while logs are loaded, from several threads: the table does not change then. */
void
configs_log_options(void *ctx, const char *topic, struct log_options *o)
{
	struct broker *b = ctx;
	struct topic_config *t = effective(b, topic);

	fill_log_options(b->config, t, o);
	topic_config_unref(&t);
}

static void
configs_get(void *ctx, const char *topic, struct replica_topic_config *out)
{
	struct broker *b = ctx;
	struct topic_config *t = effective(b, topic);

	*out = (struct replica_topic_config){ .rules = RECORD_RULES_DEFAULT };
	fill_log_options(b->config, t, &out->log);
	out->rules.compression = compression_of(t);
	out->rules.level = t->compression_level;
	out->rules.timestamp_type = t->log_append_time ? TIMESTAMP_LOG_APPEND_TIME : TIMESTAMP_CREATE_TIME;
	out->rules.timestamp_before_max_ms = t->timestamp_before_max_ms;
	out->rules.timestamp_after_max_ms = t->timestamp_after_max_ms;
	out->rules.max_message_bytes = t->max_message_bytes;
	out->rules.segment_bytes = t->segment_bytes;
	out->rules.compacted = t->compact;
	out->downconversion = t->message_downconversion_enable;
	out->min_insync_replicas = t->min_insync_replicas;
	topic_config_unref(&t);
}

/* ---- refresh: the nodes of these topics, read now ---- */

struct refresh {
	struct refresh *next;		/* broker.refreshes */
	uint32_t       since;		/* broker.expiries when it was sent */
	struct broker *b;
	char	     **topics;
	uint32_t       n;
	void	     (*done)(void *);
	void	      *dctx;
};

static void
refresh_take(struct refresh *r, const char *topic, const struct zk_result *res)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_config config = { 0 };
	struct arena a;

	if (res->error != ZKE_OK && res->error != ZKE_NO_NODE) {
		diag_warning(r->b->opt.diag, "config", "topic %s: its configuration cannot be read (%s); what was known before stays", topic,
		    zke_text(res->error));
		return;
	}
	arena_init(&a, LIMIT_JUTE_MAX * 2u);
	if (res->error == ZKE_OK && zk_config_decode(&a, res->data, &config, &eb) != OK)
		diag_warning(r->b->opt.diag, "config", "topic %s: its configuration cannot be understood: %s", topic, eb.text);
	else
		configs_topic_set(r->b, topic, &config);
	arena_fini(&a);
}

static void refresh_read(struct refresh *);

static void
refresh_end(struct refresh *r)
{
	r->done(r->dctx);
	for (uint32_t i = 0; i < r->n; i++)
		free(r->topics[i]);
	free(r->topics);
	free(r);
}

static void
refresh_answered(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct refresh *r = ctx;

	/* Asked again in the next session: a topic that is new here would keep the defaults for ever. */
	for (uint32_t i = 0; i < n; i++)
		if (results[i].error == ZKE_SESSION_EXPIRED) {
			r->next = r->b->refreshes;
			r->b->refreshes = r;
			if (r->since != r->b->expiries)		/* its end was told already */
				configs_next_session(r->b);
			return;
		}
	for (uint32_t i = 0; i < n; i++)
		refresh_take(r, r->topics[i], &results[i]);
	refresh_end(r);
}

void
configs_next_session(struct broker *b)
{
	struct refresh *r = b->refreshes, *next;

	b->refreshes = NULL;
	for (; r != NULL; r = next) {
		next = r->next;
		if (b->zk != NULL)
			refresh_read(r);
		else
			refresh_end(r);
	}
}

static void
refresh_read(struct refresh *r)
{
	struct zk_op *ops = xcalloc((size_t)r->n + 1, sizeof(*ops));
	struct zk_path *paths = xcalloc((size_t)r->n + 1, sizeof(*paths));

	for (uint32_t i = 0; i < r->n; i++) {
		paths[i] = zk_path_topic_config(r->topics[i]);
		ops[i] = ZK_GET(paths[i].s, NULL);
	}
	r->since = r->b->expiries;
	zk_many(r->b->zk, ops, r->n, refresh_answered, r);
	free(paths);
	free(ops);
}

static void
configs_refresh(void *ctx, const char *const *topics, uint32_t n, void (*done)(void *), void *dctx)
{
	struct broker *b = ctx;
	struct refresh *r;

	if (b->zk == NULL) {	/* at the end: ZooKeeper was given up */
		done(dctx);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	*r = (struct refresh){ .b = b, .topics = xcalloc((size_t)n + 1, sizeof(char *)), .n = n, .done = done, .dctx = dctx };
	for (uint32_t i = 0; i < n; i++)
		r->topics[i] = xstrdup(topics[i]);
	refresh_read(r);
}

struct replica_configs
configs_for_replicas(struct broker *b)
{
	return ((struct replica_configs){ b, configs_refresh, configs_get });
}

/* ---- dynamic broker settings ---- */

static void
report_notes(struct broker *b, struct config_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		diag_line(b->opt.diag, report->notes[i].severity == CONFIG_ERROR ? DIAG_ERROR : DIAG_WARNING, "config", "%s",
		    report->notes[i].text);
	config_report_fini(report);
}

/* Accepted and kept, as by Java; somebody may expect more of it. */
static void
warn_idle(const struct broker *b, const struct config_map *now, const struct config_map *before, const char *node)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct config_map_entry *e = &now->entries[i];
		const struct config_key *key = config_broker_key_of(e->name);
		const char *old = config_map_get(before, e->name), *base = config_listener_base(e->name);

		if (base != NULL && strcmp(base, "num.network.threads") == 0 && (old == NULL || strcmp(old, e->value) != 0))
			diag_warning(b->opt.diag, "config", "/config/brokers/%s: %s: accepted, but without effect: all listeners share the network "
			    "threads", node, e->name);
		else if (key != NULL && config_impl_kind(key->impl) == CONFIG_IMPL_HARMLESS && (old == NULL || strcmp(old, e->value) != 0))
			diag_warning(b->opt.diag, "config", "/config/brokers/%s: %s: accepted, but without effect: %s", node, e->name,
			    config_impl_words(key->impl));
	}
}

static void
warn_all_idle(const struct broker *b, const struct config *now, const struct config *before)
{
	char own[16];

	str_format(own, sizeof(own), "%d", b->id);
	warn_idle(b, config_dynamic_default(now), config_dynamic_default(before), ZK_DEFAULT_ENTITY);
	warn_idle(b, config_dynamic_broker(now), config_dynamic_broker(before), own);
}

static bool
same_listeners(const struct config_listeners *a, const struct config_listeners *b)
{
	for (size_t i = 0; i < a->count && a->count == b->count; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 || strcmp(a->items[i].host, b->items[i].host) != 0 ||
		    a->items[i].port != b->items[i].port || a->items[i].protocol != b->items[i].protocol)
			return (false);
	return (a->count == b->count);
}

/* A key that stands in ZooKeeper only: this broker's own, else the cluster's. */
void
configs_tell_move_rate(struct broker *b)
{
	static const char key[] = "replica.alter.log.dirs.io.max.bytes.per.second";
	const char *text = config_map_get(&b->dynamic_broker, key);
	int64_t rate = INT64_MAX;

	if (text == NULL)
		text = config_map_get(&b->dynamic_default, key);
	if (text != NULL && !str_to_i64(slice_str(text), &rate))
		rate = INT64_MAX;
	replica_set_move_rate(b->replicas, rate);
}

static void
tell_parts(struct broker *b)
{
	if (b->server != NULL)
		server_set_config(b->server, b->config);
	if (b->replicas != NULL) {
		replica_topic_config_changed(b->replicas, NULL);
		configs_tell_move_rate(b);
	}
	if (b->log_dirs != NULL)
		log_dirs_set_recovery_threads(b->log_dirs, broker_recovery_threads(b));
	if (b->controller != NULL)
		controller_set_unclean_election(b->controller, b->config->unclean_leader_election_enable);
	broker_resize_workers(b);
	listeners_follow(b);
}

void
configs_apply_dynamic(struct broker *b)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct config *next = NULL, *old = (struct config *)(uintptr_t)b->config;
	enum err e;

	e = config_with_dynamic(b->opt.config, b->id, &b->dynamic_default, &b->dynamic_broker, &next, &report);
	report_notes(b, &report);
	if (e != OK) {
		diag_error(b->opt.diag, "config", "the dynamic settings in ZooKeeper do not fit together; the former ones stay in force");
		return;
	}
	b->registration_stale = b->registration_stale || !same_listeners(&b->config->advertised, &next->advertised);
	warn_all_idle(b, next, b->config);
	if (b->nloops > 0 && next->num_network_threads != b->config->num_network_threads)
		diag_warning(b->opt.diag, "config", "num.network.threads: %d from the next start on; %u network threads run now",
		    next->num_network_threads, b->nloops);
	b->config = next;
	config_unref(&old);
	tell_parts(b);
}

/* ---- password.encoder.old.secret ---- */

void
configs_reseal(struct broker *b)
{
	struct config_report report = CONFIG_REPORT_INIT;

	b->resealed = config_reseal(b->opt.config, &b->dynamic_broker, b->opt.random, &report) || b->resealed;
	report_notes(b, &report);
}

static void
resealed_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct broker *b = ctx;

	if (e == OK)
		diag_info(b->opt.diag, "config", "/config/brokers/%d: passwords are encoded with password.encoder.secret now; password.encoder.old.secret "
		    "can go", b->id);
	else
		diag_warning(b->opt.diag, "config", "/config/brokers/%d: passwords are still encoded with password.encoder.old.secret (%s); the next "
		    "start tries again", b->id, why->text);
}

/* Read anew: somebody may have changed it since the start. */
static void
resealed_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct config_report report = CONFIG_REPORT_INIT;
	struct config_map map = CONFIG_MAP_INIT;
	struct zk_entity entity = { .type = ZK_ENTITY_BROKER };
	struct zk_config out = { 0 };
	struct broker *b = ctx;
	char own[16];

	(void)found;
	if (e != OK) {
		resealed_written(b, e, why);
		return;
	}
	configs_map_of(config, &map);
	if (config_reseal(b->opt.config, &map, b->opt.random, &report) && b->zk != NULL) {
		str_format(own, sizeof(own), "%d", b->id);
		entity.name = own;
		out.items = xcalloc(map.count, sizeof(*out.items));
		out.raw = config->raw;
		for (size_t i = 0; i < map.count; i++)
			out.items[out.nitems++] = (struct zk_config_item){ map.entries[i].name, map.entries[i].value };
		zk_config_write(b->zk, &entity, &out, ZK_CONFIG_NOTIFY, resealed_written, b);
		free(out.items);
	}
	report_notes(b, &report);
	config_map_fini(&map);
}

void
configs_store_resealed(struct broker *b)
{
	struct zk_entity entity = { .type = ZK_ENTITY_BROKER };
	char own[16];

	b->resealed = false;
	str_format(own, sizeof(own), "%d", b->id);
	entity.name = own;
	zk_config_read(b->zk, &entity, resealed_read, b);
}

/* ---- news ---- */

static bool
allows_unclean(const struct zk_config *config)
{
	const char *value = zk_config_value(config, "unclean.leader.election.enable");

	return (value != NULL && strcasecmp(value, "true") == 0);
}

void
configs_changed(void *ctx, const struct zk_entity *entity, const struct zk_config *config)
{
	struct broker *b = ctx;
	char own[16];

	str_format(own, sizeof(own), "%d", b->id);
	switch (entity->type) {
	case ZK_ENTITY_TOPIC:
		configs_topic_set(b, entity->name, config);
		replica_topic_config_changed(b->replicas, entity->name);
		if (allows_unclean(config))
			controller_elect_again(b->controller);
		return;
	case ZK_ENTITY_BROKER:
		if (strcmp(entity->name, ZK_DEFAULT_ENTITY) == 0) {
			config_map_fini(&b->dynamic_default);
			b->dynamic_default = (struct config_map)CONFIG_MAP_INIT;
			configs_map_of(config, &b->dynamic_default);
		} else if (strcmp(entity->name, own) == 0) {
			config_map_fini(&b->dynamic_broker);
			b->dynamic_broker = (struct config_map)CONFIG_MAP_INIT;
			configs_map_of(config, &b->dynamic_broker);
			configs_reseal(b);	/* perhaps ZooKeeper does not know yet */
		} else {
			return;
		}
		configs_apply_dynamic(b);
		return;
	default:	/* quotas: not built yet */
		return;
	}
}
