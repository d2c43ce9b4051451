/* SPDX-License-Identifier: Apache-2.0
 *
 * config/topic.c - see topic.h for the interface (LogConfig).
 *
 * The value of a topic setting is its override, else the broker setting behind it (topic_synonyms.def), else the default of its row.  The
 * broker's value goes through text, so that one parser and one set of ranges decide for both sources.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "config/config_int.h"

/* ---- what the broker says ---- */

static char *text_bool(bool b) { return (xstrdup(b ? "true" : "false")); }
static char *text_int(int64_t n) { return (xasprintf("%lld", (long long)n)); }
static char *text_string(const char *s) { return (s == NULL ? NULL : xstrdup(s)); }
static char *text_list(struct config_list l) { return (config_list_text(&l)); }

#define TEXT_OF(x) _Generic((x), bool: text_bool, int32_t: text_int, int64_t: text_int, double: config_double_text, \
	    const char *: text_string, struct config_list: text_list)(x)

/* Fresh; NULL when no broker setting stands behind it. */
static char *
broker_text(const struct config *c, const char *topic_name)
{
#define SYNONYM(topic, field, broker) \
	if (strcmp(topic_name, topic) == 0) \
		return (TEXT_OF(c->field));
#include "config/topic_synonyms.def"
#undef SYNONYM
	return (NULL);
}

/* ---- building ---- */

static void
derive(struct topic_config *t)
{
	static const char *const names[] = { "uncompressed", "gzip", "snappy", "lz4", "zstd", "producer" };
	size_t i;

	for (i = 0; i < t->cleanup_policy.count; i++) {
		t->compact |= strcmp(t->cleanup_policy.items[i], "compact") == 0;
		t->delete_ |= strcmp(t->cleanup_policy.items[i], "delete") == 0;
	}
	for (i = 0; i < NELEM(names); i++) {
		if (strcmp(t->compression_type, names[i]) == 0)
			t->compression = (enum config_compression)i;
	}
	t->compression_level = t->compression == CONFIG_COMPRESSION_GZIP ? t->compression_gzip_level :
	    t->compression == CONFIG_COMPRESSION_LZ4 ? t->compression_lz4_level :
	    t->compression == CONFIG_COMPRESSION_ZSTD ? t->compression_zstd_level : 0;
	t->log_append_time = strcmp(t->message_timestamp_type, "LogAppendTime") == 0;
	t->timestamp_before_max_ms = t->message_timestamp_before_max_ms != INT64_MAX ? t->message_timestamp_before_max_ms :
	    t->message_timestamp_difference_max_ms;
	t->timestamp_after_max_ms = t->message_timestamp_after_max_ms != INT64_MAX ? t->message_timestamp_after_max_ms :
	    t->message_timestamp_difference_max_ms;
}

/* false when the override is no value for it; then nothing is in the field. */
static bool
parse_override(struct topic_config *t, const struct config_key *key, const char *text, struct errbuf *eb)
{
	bool is_null;

	return (text != NULL && config_value_parse(key, text, config_field(t, key), &is_null, eb));
}

static void
parse_fallback(struct topic_config *t, const struct config_key *key, const struct config *c)
{
	char *text = broker_text(c, key->name);
	struct errbuf eb = ERRBUF_INIT;
	bool is_null, ok;

	ok = text != NULL && config_value_parse(key, text, config_field(t, key), &is_null, &eb);
	free(text);
	if (!ok)	/* a broker value that its own row allows but the topic's refuses, as a negative flush interval */
		ok = config_value_parse(key, key->default_text, config_field(t, key), &is_null, &eb);
	must(ok);
}

static void
report_unknown(const struct config_map *overrides, struct config_report *r)
{
	size_t i;

	for (i = 0; overrides != NULL && i < overrides->count; i++) {
		if (config_topic_key(overrides->entries[i].name) == NULL)
			config_report_add(r, CONFIG_WARNING, "unknown topic setting %s, ignored", overrides->entries[i].name);
	}
}

struct topic_config *
topic_config_new(const struct config *c, const struct config_map *overrides, struct config_report *r)
{
	struct topic_config *t = xcalloc(1, sizeof(*t));
	size_t i;

	t->internal = xcalloc(1, sizeof(*t->internal));
	t->internal->refs = 1;
	for (i = 0; i < config_topic_key_count; i++) {
		const struct config_key *key = &config_topic_keys[i];
		const char *text = config_map_get(overrides, key->name);
		struct errbuf eb = ERRBUF_INIT;

		if (parse_override(t, key, text, &eb))
			continue;
		if (text != NULL)
			config_report_add(r, CONFIG_WARNING, "topic setting %s = %s: %s; the broker's value is used", key->name, text, eb.text);
		parse_fallback(t, key, c);
	}
	report_unknown(overrides, r);
	derive(t);
	return (t);
}

struct topic_config *
topic_config_ref(const struct topic_config *t)
{
	atomic_fetch_add_explicit(&t->internal->refs, 1, memory_order_relaxed);
	return ((struct topic_config *)(uintptr_t)t);
}

void
topic_config_unref(struct topic_config **tp)
{
	struct topic_config *t = *tp;
	size_t i;

	*tp = NULL;
	if (t == NULL || atomic_fetch_sub_explicit(&t->internal->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (i = 0; i < config_topic_key_count; i++)
		config_value_fini(&config_topic_keys[i], config_field(t, &config_topic_keys[i]));
	free(t->internal);
	free(t);
}

char *
topic_config_value_text(const struct topic_config *t, const struct config_key *key)
{
	return (config_value_format(key, config_field(t, key)));
}

/* ---- validation ---- */

static bool
override_ok(const struct config_map_entry *e, struct errbuf *eb)
{
	const struct config_key *key = config_topic_key(e->name);
	struct strbuf words = STRBUF_INIT;

	if (key == NULL) {
		errbuf_set(eb, "unknown topic setting %s", e->name);
		return (false);
	}
	if (config_value_test(key, e->value, eb))
		return (true);
	config_valid_words(key, &words);
	errbuf_set(eb, "%s = %s is not valid; expected %s", e->name, e->value, strbuf_str(&words));
	strbuf_fini(&words);
	return (false);
}

/* The rules between settings; every value by itself is already right. */
static bool
combination_ok(const struct topic_config *t, struct errbuf *eb)
{
	if (t->min_compaction_lag_ms > t->max_compaction_lag_ms) {
		errbuf_set(eb, "min.compaction.lag.ms (%lld) is above max.compaction.lag.ms (%lld)", (long long)t->min_compaction_lag_ms,
		    (long long)t->max_compaction_lag_ms);
		return (false);
	}
	if (t->remote_log_copy_disable || t->remote_log_delete_on_disable) {
		errbuf_set(eb, "remote.log.copy.disable and remote.log.delete.on.disable cannot be set in ZooKeeper mode");
		return (false);
	}
	if (t->remote_storage_enable) {
		errbuf_set(eb, "remote.storage.enable: tiered storage is not enabled on this broker");
		return (false);
	}
	return (true);
}

enum kerr
topic_config_validate(const struct config *c, const struct config_map *overrides, struct errbuf *eb)
{
	struct topic_config *t;
	bool ok = true;
	size_t i;

	for (i = 0; ok && overrides != NULL && i < overrides->count; i++)
		ok = override_ok(&overrides->entries[i], eb);
	if (!ok)
		return (KERR_INVALID_CONFIG);
	t = topic_config_new(c, overrides, NULL);
	ok = combination_ok(t, eb);
	topic_config_unref(&t);
	return (ok ? KERR_NONE : KERR_INVALID_CONFIG);
}
