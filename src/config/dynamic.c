/* SPDX-License-Identifier: Apache-2.0
 *
 * config/dynamic.c - settings that change while the broker runs: what may be set where, and what a change may do (DynamicBrokerConfig).
 *
 * Two moments with two tempers, as in Kafka.  A request (config_validate_dynamic) is refused as a whole for one bad entry.  What already
 * stands in ZooKeeper (config_with_dynamic) was put there by somebody who is not listening any more: bad entries are dropped, the rest counts.
 *
 * RULES
 *   (1) a known key whose row says READ_ONLY is not dynamic; a name without a row may stand anywhere (plug-ins have theirs).
 *   (2) key stores and trust stores only with listener.name.X. in front.
 *   (3) the value is right for the key, or for the key behind listener.name.X.
 *   (4) PER_BROKER keys and listener.name.X. keys not for the whole cluster, except the three that also exist cluster-wide.
 *   (5) the sum of file, cluster default and broker keeps the rules of cross.c.
 *   (6) a pool of threads grows to at most twice and shrinks to at least half of what it is.
 *   (7) listeners that exist keep their protocol.
 *   (8) a change of listeners or of what belongs to them is refused while an existing listener has listener.name.X. settings that the file
 *       does not have, but for limits of connections, network threads and stores.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config_int.h"

/* ---- rules (1) to (4): one entry by itself; NULL = allowed ---- */

static bool
is_store_key(const char *name)
{
	static const char *const keys[] = { "ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.key.password",
		"ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password", "ssl.keystore.certificate.chain",
		"ssl.keystore.key", "ssl.truststore.certificates" };
	size_t i;

	for (i = 0; i < NELEM(keys); i++) {
		if (strcmp(name, keys[i]) == 0)
			return (true);
	}
	return (false);
}

static bool
is_per_broker(const char *name)
{
	static const char *const both[] = { "max.connections", "max.connection.creation.rate", "num.network.threads" };
	const char *base = config_listener_base(name);
	const struct config_key *key = config_broker_key(name);
	size_t i;

	for (i = 0; base != NULL && i < NELEM(both); i++) {
		if (strcmp(base, both[i]) == 0)
			return (false);
	}
	return (base != NULL || (key != NULL && key->mode == CONFIG_PER_BROKER));
}

static const char *
not_allowed(const char *name, bool per_broker)
{
	const struct config_key *key = config_broker_key(name);

	if (key != NULL && key->mode == CONFIG_READ_ONLY)
		return ("cannot be changed while the broker runs; it is set in its file");
	if (is_store_key(name))
		return ("can be changed only for a listener, as listener.name.NAME.KEY");
	if (!per_broker && is_per_broker(name))
		return ("can be set for one broker, not for the whole cluster");
	return (NULL);
}

/* Rule (3). */
static bool
test_value(const char *name, const char *value, struct errbuf *eb)
{
	const char *base = config_listener_base(name);
	const struct config_key *key = config_dynamic_key(base != NULL ? base : name);
	struct strbuf words = STRBUF_INIT;

	if (key == NULL || config_value_test(key, value, eb))
		return (true);
	config_valid_words(key, &words);
	errbuf_set(eb, "%s = %s is not valid; expected %s", name, key->type == CONFIG_PASSWORD ? "[hidden]" : value, strbuf_str(&words));
	strbuf_fini(&words);
	return (false);
}

/* ---- what stands in ZooKeeper ---- */

/* Decodes a password in place.  NULL: done, or none. */
static const char *
open_secret(const struct config *c, struct config_map *m, size_t i, struct errbuf *eb)
{
	char *clear;

	if (!config_is_secret(m->entries[i].name))
		return (NULL);
	if (!config_secret_open(c, m->entries[i].value, &clear, eb)) {
		errbuf_add(eb, "the password cannot be decoded");
		return (eb->text);
	}
	config_map_set(m, m->entries[i].name, clear);
	free(clear);
	return (NULL);
}

void
config_drop_bad(const struct config *c, struct config_map *m, bool per_broker, const char *path, struct config_report *r)
{
	const char *why;
	size_t i = 0;

	while (i < m->count) {
		const char *name = m->entries[i].name;
		struct errbuf eb = ERRBUF_INIT;

		why = not_allowed(name, per_broker);
		if (why == NULL && !test_value(name, m->entries[i].value, &eb))
			why = eb.text;
		if (why == NULL)
			why = open_secret(c, m, i, &eb);
		if (why == NULL) {
			i++;
			continue;
		}
		config_report_add(r, CONFIG_ERROR, "%s: %s is ignored: %s; set it again or delete it with kafka-configs", path, name, why);
		config_map_remove(m, name);
	}
}

enum err
config_with_dynamic(const struct config *base, int32_t id, const struct config_map *cluster_default, const struct config_map *broker,
    struct config **configp, struct config_report *r)
{
	struct config_report build = CONFIG_REPORT_INIT;
	struct config_map by_default, by_broker;
	struct config *c;
	char path[40];
	size_t i;

	*configp = NULL;
	str_format(path, sizeof(path), "/config/brokers/%d", id);
	config_map_copy(&by_default, cluster_default);
	config_map_copy(&by_broker, broker);
	config_drop_bad(base, &by_default, false, "/config/brokers/<default>", r);
	config_drop_bad(base, &by_broker, true, path, r);
	c = config_build(base->internal->file, &base->internal->fixed, &by_default, &by_broker, &build);
	for (i = 0; i < build.count; i++)
		config_report_add(r, build.notes[i].severity, "%s", build.notes[i].text);
	if (build.errors == 0)
		*configp = c;
	else
		config_unref(&c);
	config_map_fini(&by_default);
	config_map_fini(&by_broker);
	config_report_fini(&build);
	return (*configp != NULL ? OK : ERR_INVALID);
}

/* ---- a request ---- */

/* Rule (6). */
static bool
threads_ok(const char *name, int32_t old, int32_t wanted, struct errbuf *eb)
{
	if (wanted == old || (wanted >= 1 && wanted >= old / 2 && (int64_t)wanted <= 2 * (int64_t)old))
		return (true);
	errbuf_set(eb, "%s = %d: expected %d to %lld, because there are %d now", name, wanted, MAX(old / 2, 1), 2 * (long long)old, old);
	return (false);
}

static bool
network_threads_ok(const struct config *old, const struct config *new, struct errbuf *eb)
{
	static const char name[] = "num.network.threads";
	bool ok = true;
	size_t i;

	for (i = 0; ok && i < new->bind.count; i++) {
		const char *o = config_listener_text(old, new->bind.items[i].name, name);
		const char *n = config_listener_text(new, new->bind.items[i].name, name);
		int32_t from = old->num_network_threads, to = new->num_network_threads;

		(void)(o != NULL && str_to_i32(slice_str(o), &from));
		(void)(n != NULL && str_to_i32(slice_str(n), &to));
		ok = threads_ok(name, from, to, eb);
	}
	return (ok);
}

static bool
all_threads_ok(const struct config *old, const struct config *new, struct errbuf *eb)
{
	return (threads_ok("num.io.threads", old->num_io_threads, new->num_io_threads, eb) &&
	    threads_ok("num.replica.fetchers", old->num_replica_fetchers, new->num_replica_fetchers, eb) &&
	    threads_ok("num.recovery.threads.per.data.dir", old->num_recovery_threads_per_data_dir,
	    new->num_recovery_threads_per_data_dir, eb) &&
	    threads_ok("background.threads", old->background_threads, new->background_threads, eb) &&
	    threads_ok("log.cleaner.threads", old->log_cleaner_threads, new->log_cleaner_threads, eb) &&
	    network_threads_ok(old, new, eb));
}

/* Rule (8).  Java compares with the file, not with what is in force, so also settings that were taken before stand in the way. */
static bool
is_fixed_for_listener(const char *base)
{
	static const char *const free_ones[] = { "max.connections", "max.connection.creation.rate", "num.network.threads" };
	size_t i;

	for (i = 0; i < NELEM(free_ones); i++)
		if (strcmp(base, free_ones[i]) == 0)
			return (false);
	return (!is_store_key(base));
}

static bool
is_of_listener(const char *name, const char *listener)
{
	const char *base = config_listener_base(name);
	size_t n = strlen("listener.name.");

	return (base != NULL && (size_t)(base - name) == n + strlen(listener) + 1 && str_eq_nocase(slice_of(name + n, strlen(listener)), listener));
}

static bool
has_fixed_beside(const struct config_map *m, const struct config_map *other, const char *listener, struct errbuf *eb)
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		const struct config_map_entry *e = &m->entries[i];
		const char *value = config_map_get(other, e->name);

		if (!is_of_listener(e->name, listener) || !is_fixed_for_listener(config_listener_base(e->name)) ||
		    (value != NULL && strcmp(value, e->value) == 0))
			continue;
		errbuf_set(eb, "%s cannot change while listener %s exists: restart the broker, or use another listener", e->name, listener);
		return (true);
	}
	return (false);
}

static bool
same_text(const struct config *a, const struct config *b, const char *name)
{
	const char *x = config_map_get(&a->internal->merged, name), *y = config_map_get(&b->internal->merged, name);

	return (x == NULL || y == NULL ? x == y : strcmp(x, y) == 0);
}

/* Something changes that Java's handler of listeners looks at. */
static bool
touches_listeners(const struct config *old, const struct config *new)
{
	static const char *const more[] = { "max.connections", "max.connection.creation.rate", "num.network.threads" };
	size_t i;

	for (i = 0; i < config_broker_key_count; i++)
		if (config_broker_keys[i].mode == CONFIG_PER_BROKER && !same_text(old, new, config_broker_keys[i].name))
			return (true);
	for (i = 0; i < NELEM(more); i++)
		if (!same_text(old, new, more[i]))
			return (true);
	return (false);
}

static bool
listener_settings_ok(const struct config *old, const struct config *new, struct errbuf *eb)
{
	const struct config_map *file = &old->internal->fixed, *all = &new->internal->merged;
	size_t i;

	if (!touches_listeners(old, new))
		return (true);
	for (i = 0; i < new->bind.count; i++) {
		const char *name = new->bind.items[i].name;

		if (config_listeners_find(&old->bind, name) != NULL &&
		    (has_fixed_beside(all, file, name, eb) || has_fixed_beside(file, all, name, eb)))
			return (false);
	}
	return (true);
}

/* Rule (7), and the limits of a listener. */
static bool
listeners_ok(const struct config *old, const struct config *new, struct errbuf *eb)
{
	size_t i;

	for (i = 0; i < new->bind.count; i++) {
		const struct config_listener *n = &new->bind.items[i], *o = config_listeners_find(&old->bind, n->name);

		if (o == NULL)
			continue;
		if (o->protocol != n->protocol) {
			errbuf_set(eb, "the security protocol of listener %s cannot change while it exists", n->name);
			return (false);
		}
		if (o->max_connections != n->max_connections && n->max_connections <= 0) {
			errbuf_set(eb, "max.connections of listener %s: expected 1 or more", n->name);
			return (false);
		}
	}
	return (true);
}

static bool
local_retention_ok(const char *name, int64_t local, const char *whole_name, int64_t whole, struct errbuf *eb)
{
	if (whole < 0 || local == -2 || (local != -1 && local <= whole))
		return (true);
	errbuf_set(eb, "%s = %lld: expected -2, or at most %s (%lld)", name, (long long)local, whole_name, (long long)whole);
	return (false);
}

/* Java would try to load what is named here. */
static bool
asks_for_unbuilt(const struct config_map *props, struct errbuf *eb)
{
	size_t i;

	for (i = 0; i < props->count; i++) {
		const struct config_map_entry *e = &props->entries[i];
		const struct config_key *key = config_broker_key(e->name);
		bool reporters = strcmp(e->name, "metric.reporters") == 0 && *e->value != '\0' &&
		    strcmp(e->value, "org.apache.kafka.common.metrics.JmxReporter") != 0;

		if (key == NULL || (config_impl_kind(key->impl) != CONFIG_IMPL_NOT_BUILT && !reporters))
			continue;
		if (reporters || key->default_text == NULL || strcmp(e->value, key->default_text) != 0) {
			errbuf_set(eb, "%s: %s", e->name, reporters ? config_impl_words(CONFIG_NB_PLUGIN) : config_impl_words(key->impl));
			return (true);
		}
	}
	return (false);
}

static bool
change_ok(const struct config *old, const struct config *new, struct errbuf *eb)
{
	return (all_threads_ok(old, new, eb) && listener_settings_ok(old, new, eb) && listeners_ok(old, new, eb) &&
	    local_retention_ok("log.local.retention.ms", new->log_local_retention_ms, "log.retention.ms", new->log_retention_time_ms, eb) &&
	    local_retention_ok("log.local.retention.bytes", new->log_local_retention_bytes, "log.retention.bytes", new->log_retention_bytes, eb));
}

static bool
entries_ok(const struct config_map *props, bool per_broker, struct errbuf *eb)
{
	size_t i;

	for (i = 0; i < props->count; i++) {
		const char *why = not_allowed(props->entries[i].name, per_broker);

		if (why != NULL) {
			errbuf_set(eb, "%s %s", props->entries[i].name, why);
			return (false);
		}
		if (!test_value(props->entries[i].name, props->entries[i].value, eb))
			return (false);
	}
	return (!asks_for_unbuilt(props, eb));
}

enum kerr
config_validate_dynamic(const struct config *current, const struct config_map *props, bool per_broker, struct errbuf *eb)
{
	const struct config_internal *in = current->internal;
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *new;
	bool ok;
	size_t i;

	if (!entries_ok(props, per_broker, eb))
		return (KERR_INVALID_REQUEST);
	new = config_build(in->file, &in->fixed, per_broker ? &in->by_default : props, per_broker ? props : &in->by_broker, &r);
	ok = r.errors == 0;
	for (i = 0; !ok && i < r.count; i++) {
		if (r.notes[i].severity == CONFIG_ERROR) {
			errbuf_set(eb, "%s", r.notes[i].text);
			break;
		}
	}
	ok = ok && change_ok(current, new, eb);
	config_unref(&new);
	config_report_fini(&r);
	return (ok ? KERR_NONE : KERR_INVALID_REQUEST);
}
