/* SPDX-License-Identifier: Apache-2.0
 *
 * config/cross.c - what follows from several settings together: the derived fields, and the rules of KafkaConfig.validateValues.
 *
 * Every rule that is broken is reported with the place of the setting to change.  Rules of KRaft mode are not here: its switches are refused
 * by name (impl.def).
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "config/config_int.h"

struct cross {
	struct config		*c;
	struct config_report	*r;
};

/* "PLACE: key = value: words" */
static void PRINTF_LIKE(3, 4)
broken(struct cross *x, const char *name, const char *fmt, ...)
{
	struct strbuf place = STRBUF_INIT, words = STRBUF_INIT;
	va_list ap;

	config_place(x->c->internal->file, &x->c->internal->merged, name, &place);
	va_start(ap, fmt);
	strbuf_vadd(&words, fmt, ap);
	va_end(ap);
	config_report_add(x->r, CONFIG_ERROR, "%s: %s", strbuf_str(&place), strbuf_str(&words));
	strbuf_fini(&place);
	strbuf_fini(&words);
}

static bool
given(const struct cross *x, const char *name)
{
	return (config_map_find(&x->c->internal->merged, name) != NULL);
}

/* ---- numbers with several names ---- */

/* Hours and minutes are ints and never overflow an int64 of milliseconds. */
static int64_t
first_of(const struct config *c, const char *ms, int64_t ms_value, int64_t otherwise)
{
	return (config_is_null(c, ms) ? otherwise : ms_value);
}

static void
derive_times(struct config *c)
{
	int64_t minute = 60 * 1000, hour = 60 * minute;
	int64_t retention = config_is_null(c, "log.retention.minutes") ? c->log_retention_hours * hour : c->log_retention_minutes * minute;

	retention = first_of(c, "log.retention.ms", c->log_retention_ms, retention);
	c->log_retention_time_ms = retention < 0 ? -1 : retention;
	c->log_roll_time_ms = first_of(c, "log.roll.ms", c->log_roll_ms, c->log_roll_hours * hour);
	c->log_roll_jitter_time_ms = first_of(c, "log.roll.jitter.ms", c->log_roll_jitter_ms, c->log_roll_jitter_hours * hour);
	c->log_flush_time_ms = first_of(c, "log.flush.interval.ms", c->log_flush_interval_ms, c->log_flush_scheduler_interval_ms);
	c->log_timestamp_before_max_ms = c->log_message_timestamp_before_max_ms != INT64_MAX ? c->log_message_timestamp_before_max_ms :
	    c->log_message_timestamp_difference_max_ms;
	c->log_timestamp_after_max_ms = c->log_message_timestamp_after_max_ms != INT64_MAX ? c->log_message_timestamp_after_max_ms :
	    c->log_message_timestamp_difference_max_ms;
	c->log_message_format_effective = "3.0-IV1";
	c->zookeeper_connection_timeout = config_is_null(c, "zookeeper.connection.timeout.ms") ? c->zookeeper_session_timeout_ms :
	    c->zookeeper_connection_timeout_ms;
}

static void
check_times(struct cross *x)
{
	struct config *c = x->c;

	if (c->log_roll_time_ms < 1)
		broken(x, "log.roll.ms", "a segment must live at least 1 ms");
	if (c->log_roll_jitter_time_ms < 0)
		broken(x, "log.roll.jitter.ms", "expected 0 or more");
	if (c->log_retention_time_ms == 0)
		broken(x, given(x, "log.retention.ms") ? "log.retention.ms" : given(x, "log.retention.minutes") ? "log.retention.minutes" :
		    "log.retention.hours", "expected at least 1 ms, or -1 for no limit");
}

/* ---- identity, ZooKeeper, directories ---- */

/* "embedded", "embedded:DIR" */
static void
derive_embedded(struct cross *x)
{
	static const char word[] = "embedded";
	struct config *c = x->c;
	const char *rest = c->zookeeper_connect, *listener = c->ottla_embedded_zookeeper_listener, *colon = strrchr(listener, ':');
	char *end = NULL;
	long port = colon == NULL || colon[1] == '\0' ? -1 : strtol(colon + 1, &end, 10);

	if (port < 0 || port > UINT16_MAX || *end != '\0' || colon == listener) {
		broken(x, "ottla.embedded.zookeeper.listener", "%s: expected HOST:PORT, for example 127.0.0.1:2181", listener);
		return;
	}
	if (listener[0] != '[' && memchr(listener, ':', (size_t)(colon - listener)) != NULL) {
		broken(x, "ottla.embedded.zookeeper.listener", "%s: an IPv6 address stands in brackets, for example [::1]:2181", listener);
		return;
	}
	c->zookeeper_embedded_host = xstrndup(listener, (size_t)(colon - listener));
	c->zookeeper_embedded_port = (uint16_t)port;
	if (rest == NULL || strncmp(rest, word, sizeof(word) - 1) != 0)
		return;
	rest += sizeof(word) - 1;
	c->zookeeper_embedded = *rest == '\0' || *rest == ':';
	if (*rest == ':' && rest[1] != '/')
		broken(x, "zookeeper.connect", "embedded:%s: expected the path of a directory, for example embedded:/var/lib/ottla", rest + 1);
	else if (*rest == ':')
		c->zookeeper_embedded_dir = rest + 1;
}

static void
check_identity(struct cross *x)
{
	struct config *c = x->c;

	if (c->node_id != c->broker_id)
		broken(x, "node.id", "broker.id is %d, and the two must be equal", c->broker_id);
	if (c->broker_id_generation_enable && (c->broker_id < -1 || c->broker_id > c->reserved_broker_max_id))
		broken(x, "broker.id", "expected -1 (an id is generated) to %d (reserved.broker.max.id); ids above it are those that "
		    "broker.id.generation.enable gives out", c->reserved_broker_max_id);
	if (!c->broker_id_generation_enable && c->broker_id < 0)
		broken(x, "broker.id", "expected 0 or more, because broker.id.generation.enable is false");
	if (c->zookeeper_connect == NULL || *c->zookeeper_connect == '\0')
		broken(x, "zookeeper.connect", "must be set, for example zookeeper.connect=localhost:2181");
	derive_embedded(x);
	if (c->zookeeper_session_timeout_ms <= 0)
		broken(x, "zookeeper.session.timeout.ms", "expected 1 or more");
}

static void
derive_directories(struct cross *x)
{
	struct config *c = x->c;
	const char *name = c->log_dirs != NULL ? "log.dirs" : "log.dir";
	size_t i, j;

	c->log_directories = config_list_split(c->log_dirs != NULL ? c->log_dirs : c->log_dir, true);
	if (c->log_directories.count == 0)
		broken(x, name, "at least one directory must be given");
	for (i = 0; i < c->log_directories.count; i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(c->log_directories.items[i], c->log_directories.items[j]) == 0)
				broken(x, name, "%s is there twice", c->log_directories.items[i]);
		}
	}
}

/* ---- listeners ---- */

static void
check_not_built(struct cross *x, const char *name, const struct config_listeners *ls)
{
	size_t i;

	for (i = 0; i < ls->count; i++) {
		if (ls->items[i].protocol != PROTOCOL_PLAINTEXT)
			broken(x, name, "listener %s uses %s, and TLS and SASL are not built yet; use PLAINTEXT on a network you trust",
			    ls->items[i].name, security_protocol_name(ls->items[i].protocol));
	}
}

static bool
parse_protocols(struct cross *x)
{
	struct errbuf eb = ERRBUF_INIT;

	if (listener_protocols_parse(x->c->listener_security_protocol_map, &x->c->protocols, &eb) == OK)
		return (true);
	broken(x, "listener.security.protocol.map", "%s", eb.text);
	return (false);
}

static bool
parse_listeners(struct cross *x, const char *name, const char *text, bool distinct_ports, struct config_listeners *ls)
{
	struct errbuf eb = ERRBUF_INIT;

	if (config_listeners_parse(text, &x->c->protocols, distinct_ports, ls, &eb) != OK) {
		broken(x, name, "%s", eb.text);
		return (false);
	}
	if (ls->count == 0) {
		broken(x, name, "at least one listener must be given");
		return (false);
	}
	return (true);
}

static void
derive_inter_broker(struct cross *x)
{
	struct config *c = x->c;
	const char *name = c->inter_broker_listener_name;
	char *s;

	if (name != NULL && given(x, "security.inter.broker.protocol"))
		broken(x, "security.inter.broker.protocol", "only one of it and inter.broker.listener.name may be set");
	if (name == NULL)
		name = c->security_inter_broker_protocol;
	s = xstrdup(name);
	for (c->inter_broker_name = s; *s != '\0'; s++)
		*s = *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
	if (!listener_protocols_find(&c->protocols, c->inter_broker_name, &c->inter_broker_protocol) &&
	    (c->inter_broker_listener_name != NULL || !security_protocol_parse(c->inter_broker_name, &c->inter_broker_protocol)))
		broken(x, "inter.broker.listener.name", "%s has no protocol in listener.security.protocol.map", c->inter_broker_name);
}

static void
check_advertised(struct cross *x)
{
	struct config *c = x->c;
	const char *name = c->advertised_listeners != NULL ? "advertised.listeners" : "listeners";
	size_t i;

	for (i = 0; i < c->advertised.count; i++) {
		if (config_listeners_find(&c->bind, c->advertised.items[i].name) == NULL)
			broken(x, "advertised.listeners", "%s is not one of the listeners", c->advertised.items[i].name);
		if (strcmp(c->advertised.items[i].host, "0.0.0.0") == 0)
			broken(x, name, "0.0.0.0 is no address a client could connect to; set advertised.listeners to a name or address "
			    "that clients can reach");
	}
	if (config_listeners_find(&c->advertised, c->inter_broker_name) == NULL)
		broken(x, c->inter_broker_listener_name != NULL ? "inter.broker.listener.name" : "security.inter.broker.protocol",
		    "brokers would use listener %s, which is none of %s", c->inter_broker_name, name);
}

static void
listener_number(const struct config *c, const char *listener, const char *key, int32_t *n)
{
	const char *text = config_listener_text(c, listener, key);
	char *trimmed;

	if (text == NULL)
		return;
	trimmed = config_trim(text);
	(void)!str_to_i32(slice_str(trimmed), n);	/* what is no number was reported with its row */
	free(trimmed);
}

static void
derive_listener_limits(struct config *c)
{
	size_t i;

	for (i = 0; i < c->bind.count; i++) {
		struct config_listener *l = &c->bind.items[i];

		listener_number(c, l->name, "max.connections", &l->max_connections);
		listener_number(c, l->name, "max.connection.creation.rate", &l->max_connection_rate);
	}
}

static void
derive_listeners(struct cross *x)
{
	struct config *c = x->c;
	const char *advertised = c->advertised_listeners != NULL ? c->advertised_listeners : c->listeners;
	const char *name = c->advertised_listeners != NULL ? "advertised.listeners" : "listeners";
	bool ok;

	if (!parse_protocols(x))
		return;
	derive_inter_broker(x);
	ok = parse_listeners(x, "listeners", c->listeners, true, &c->bind);
	if (!ok || !parse_listeners(x, name, advertised, c->advertised_listeners == NULL, &c->advertised))
		return;
	check_not_built(x, "listeners", &c->bind);
	check_advertised(x);
	derive_listener_limits(c);
}

/* ---- the network ---- */

/* "host:count" */
static void
derive_ip_limit(struct cross *x, const char *item)
{
	static const char name[] = "max.connections.per.ip.overrides";
	const char *colon = strrchr(item, ':');
	char *count = colon == NULL ? NULL : config_trim(colon + 1);
	size_t len = colon == NULL ? 0 : (size_t)(colon - item);
	struct config *c = x->c;
	int32_t n;

	while (len > 0 && item[len - 1] == ' ')
		len--;
	if (count == NULL || !str_to_i32(slice_str(count), &n))
		broken(x, name, "\"%s\" is not HOST:COUNT", item);
	else if (strspn(item, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-%._:") < len)
		broken(x, name, "\"%s\": a character that no host name has", item);
	else
		c->ip_limits[c->ip_limit_count++] = (struct config_ip_limit){ xstrndup(item, len), n };
	free(count);
}

static void
derive_ip_limits(struct cross *x)
{
	struct config_list items = config_list_split(x->c->max_connections_per_ip_overrides, true);
	size_t i;

	x->c->ip_limits = xcalloc(items.count + 1, sizeof(*x->c->ip_limits));
	for (i = 0; i < items.count; i++)
		derive_ip_limit(x, items.items[i]);
	if (x->c->max_connections_per_ip == 0 && items.count == 0)
		broken(x, "max.connections.per.ip", "0 is allowed only when max.connections.per.ip.overrides names the hosts that may connect");
	config_list_fini(&items);
}

static void
check_network(struct cross *x)
{
	struct config *c = x->c;

	if (c->queued_max_request_bytes > 0 && c->queued_max_request_bytes < c->socket_request_max_bytes)
		broken(x, "queued.max.request.bytes", "expected -1, or at least socket.request.max.bytes (%d)", c->socket_request_max_bytes);
	if (c->connections_max_idle_ms >= 0 && c->connection_failed_authentication_delay_ms >= c->connections_max_idle_ms)
		broken(x, "connection.failed.authentication.delay.ms", "%d is not less than connections.max.idle.ms (%lld)",
		    c->connection_failed_authentication_delay_ms, (long long)c->connections_max_idle_ms);
	derive_ip_limits(x);
}

/* ---- the rest ---- */

static void
check_cleaner(struct cross *x)
{
	struct config *c = x->c;

	if (c->log_cleaner_threads == 0)
		broken(x, "log.cleaner.threads", "expected 1 or more");
	else if (c->log_cleaner_dedupe_buffer_size / c->log_cleaner_threads <= 1024 * 1024)
		broken(x, "log.cleaner.dedupe.buffer.size", "expected more than 1 MiB (1048576) for each of %d log.cleaner.threads",
		    c->log_cleaner_threads);
}

static void
check_replication(struct cross *x)
{
	struct config *c = x->c;

	if (c->replica_fetch_wait_max_ms > c->replica_socket_timeout_ms)
		broken(x, "replica.fetch.wait.max.ms", "expected at most replica.socket.timeout.ms (%d)", c->replica_socket_timeout_ms);
	if (c->replica_fetch_wait_max_ms > c->replica_lag_time_max_ms)
		broken(x, "replica.fetch.wait.max.ms", "expected at most replica.lag.time.max.ms (%lld)", (long long)c->replica_lag_time_max_ms);
	if (strcmp(c->inter_broker_protocol_version, "3.9") != 0 && strncmp(c->inter_broker_protocol_version, "3.9-", 4) != 0 &&
	    strncmp(c->inter_broker_protocol_version, "3.9.", 4) != 0)
		broken(x, "inter.broker.protocol.version", "only 3.9 is built; finish the upgrade of the other brokers first");
}

/* The first is at most the second. */
static const char *const ordered[][2] = {
	{ "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms" },
	{ "group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms" },
	{ "group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms" },
	{ "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms" },
	{ "group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms" },
	{ "group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms" },
	{ "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms" },
	{ "group.share.min.heartbeat.interval.ms", "group.share.heartbeat.interval.ms" },
	{ "group.share.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms" },
	{ "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms" },
	{ "group.share.min.session.timeout.ms", "group.share.session.timeout.ms" },
	{ "group.share.session.timeout.ms", "group.share.max.session.timeout.ms" },
	{ "group.share.min.record.lock.duration.ms", "group.share.record.lock.duration.ms" },
	{ "group.share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms" },
};

static int32_t
int_of(const struct config *c, const char *name)
{
	const struct config_key *key = config_broker_key(name);

	must(key != NULL && key->type == CONFIG_INT);
	return (*(const int32_t *)config_field(c, key));
}

static void
check_ordered(struct cross *x)
{
	size_t i;

	for (i = 0; i < NELEM(ordered); i++) {
		const char *low = ordered[i][0], *high = ordered[i][1];

		if (int_of(x->c, low) <= int_of(x->c, high))
			continue;
		if (given(x, high))
			broken(x, high, "expected at least %s (%d)", low, int_of(x->c, low));
		else
			broken(x, low, "expected at most %s (%d)", high, int_of(x->c, high));
	}
}

static void
check_groups(struct cross *x)
{
	const struct config_list *l = &x->c->group_coordinator_rebalance_protocols;
	bool classic = false;
	size_t i;

	for (i = 0; i < l->count; i++) {
		classic |= strcmp(l->items[i], "classic") == 0;
		if (strcmp(l->items[i], "consumer") == 0)
			broken(x, "group.coordinator.rebalance.protocols", "\"consumer\" exists only in KRaft mode; expected classic");
	}
	if (!classic)
		broken(x, "group.coordinator.rebalance.protocols", "classic cannot be switched off");
	if (x->c->offsets_commit_required_acks < -1 || x->c->offsets_commit_required_acks > x->c->offsets_topic_replication_factor)
		broken(x, "offsets.commit.required.acks", "expected -1 (all) to offsets.topic.replication.factor (%d)",
		    x->c->offsets_topic_replication_factor);
	if (x->c->offsets_topic_compression_codec < 0 || x->c->offsets_topic_compression_codec > 4)
		broken(x, "offsets.topic.compression.codec", "expected 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)");
}

void
config_derive(struct config *c, struct config_report *r)
{
	struct cross x = { c, r };

	c->num_network_threads_set = given(&x, "num.network.threads");
	c->num_io_threads_set = given(&x, "num.io.threads");
	c->num_recovery_threads_set = given(&x, "num.recovery.threads.per.data.dir");
	derive_times(c);
	check_times(&x);
	check_identity(&x);
	derive_directories(&x);
	derive_listeners(&x);
	check_network(&x);
	check_cleaner(&x);
	check_replication(&x);
	check_groups(&x);
	check_ordered(&x);
}
