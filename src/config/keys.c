/* SPDX-License-Identifier: Apache-2.0
 *
 * config/keys.c - see keys.h for the interface.  The tables are the rows of the .def files; both are sorted by name, so look-ups bisect.
 */
#include <string.h>

#include "base/str.h"
#include "config/config_int.h"

#define ANY				{ CONFIG_VALID_ANY, 0, 0, NULL }
#define AT_LEAST(n)			{ CONFIG_VALID_MIN, n, 0, NULL }
#define BETWEEN(lo, hi)			{ CONFIG_VALID_RANGE, lo, hi, NULL }
#define AT_LEAST_OR_MINUS_ONE(n)	{ CONFIG_VALID_MIN_OR_MINUS_ONE, n, 0, NULL }
#define GZIP_LEVEL			{ CONFIG_VALID_RANGE_OR_MINUS_ONE, 1, 9, NULL }
#define ONE_OF(words)			{ CONFIG_VALID_ONE_OF, 0, 0, words }
#define ONE_OF_NOCASE(words)		{ CONFIG_VALID_ONE_OF_NOCASE, 0, 0, words }
#define EACH_OF(words)			{ CONFIG_VALID_EACH_OF, 0, 0, words }
#define NON_EMPTY			{ CONFIG_VALID_NON_EMPTY, 0, 0, NULL }
#define NON_NULL			{ CONFIG_VALID_NON_NULL, 0, 0, NULL }
#define VERSION_TEXT			{ CONFIG_VALID_VERSION, 0, 0, NULL }
#define THROTTLED			{ CONFIG_VALID_THROTTLED, 0, 0, NULL }

enum { CONFIG_0 = 0 };		/* a row without flags */

const struct config_key config_broker_keys[] = {
#define CFG(type, name, field, def, valid, mode, impl, flags, doc) \
	{ name, CONFIG_##type, offsetof(struct config, field), def, valid, CONFIG_##mode, CONFIG_##impl, CONFIG_##flags, doc },
#include "config/broker.def"
#undef CFG
};
const size_t config_broker_key_count = NELEM(config_broker_keys);

const struct config_key config_topic_keys[] = {
#define CFG(type, name, field, def, valid, doc) \
	{ name, CONFIG_##type, offsetof(struct topic_config, field), def, valid, CONFIG_CLUSTER_WIDE, CONFIG_HONOURED, 0, doc },
#include "config/topic.def"
#undef CFG
};
const size_t config_topic_key_count = NELEM(config_topic_keys);

static const struct config_key dynamic_keys[] = {
#define DYN(type, name, def, valid, doc) \
	{ name, CONFIG_##type, 0, def, valid, CONFIG_CLUSTER_WIDE, CONFIG_HARMLESS_REPLICATION, 0, doc },
#include "config/dynamic.def"
#undef DYN
};

static const struct {
	const char *topic, *broker;
} topic_synonyms[] = {
#define SYNONYM(topic, field, broker)	{ topic, broker },
#include "config/topic_synonyms.def"
#undef SYNONYM
};

static const struct {
	enum config_impl_kind kind;
	const char *words;
} impls[] = {
#define IMPL(id, kind, words)	{ CONFIG_IMPL_##kind, words },
#include "config/impl.def"
#undef IMPL
};

static const struct config_key *
find(const struct config_key *keys, size_t n, const char *name)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(name, keys[mid].name);

		if (c == 0)
			return (&keys[mid]);
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (NULL);
}

const struct config_key *
config_broker_key(const char *name)
{
	return (find(config_broker_keys, config_broker_key_count, name));
}

const struct config_key *
config_topic_key(const char *name)
{
	return (find(config_topic_keys, config_topic_key_count, name));
}

const struct config_key *
config_dynamic_key(const char *name)
{
	const struct config_key *key = config_broker_key(name);

	if (key != NULL)
		return (key->mode == CONFIG_READ_ONLY ? NULL : key);
	return (find(dynamic_keys, NELEM(dynamic_keys), name));
}

const char *
config_listener_base(const char *name)
{
	static const char prefix[] = "listener.name.";
	const char *dot;

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return (NULL);
	dot = strchr(name + sizeof(prefix) - 1, '.');
	return (dot == NULL ? NULL : dot + 1);
}

/* Keys that may stand as listener.name.X.mechanism.key. */
static const char *
mechanism_key(const char *base)
{
	static const char *const keys[] = { "sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class",
		"sasl.server.callback.handler.class", "connections.max.reauth.ms" };
	size_t i, len = strlen(base);

	for (i = 0; i < NELEM(keys); i++) {
		size_t n = strlen(keys[i]);

		if (len >= n && strcmp(base + len - n, keys[i]) == 0)
			return (keys[i]);
	}
	return (NULL);
}

size_t
config_broker_synonyms(const char *name, bool match_listener, const char *names[4])
{
	static const char *const groups[][4] = {
		{ "log.roll.ms", "log.roll.hours" },
		{ "log.roll.jitter.ms", "log.roll.jitter.hours" },
		{ "log.retention.ms", "log.retention.minutes", "log.retention.hours" },
	};
	const char *base;
	size_t i, j, n;

	for (i = 0; i < NELEM(groups); i++) {
		bool in = false;

		for (n = 0; groups[i][n] != NULL; n++)
			in |= strcmp(name, groups[i][n]) == 0;
		for (j = 0; in && j < n; j++)
			names[j] = groups[i][j];
		if (in)
			return (n);
	}
	names[0] = name;
	if (strcmp(name, "log.flush.interval.ms") == 0) {	/* one way only: the scheduler's interval stands for it, not it for the scheduler's */
		names[1] = "log.flush.scheduler.interval.ms";
		return (2);
	}
	if (!match_listener || (base = config_listener_base(name)) == NULL)
		return (1);
	names[1] = mechanism_key(base) != NULL ? mechanism_key(base) : base;
	return (2);
}

const struct config_key *
config_broker_key_of(const char *name)
{
	const struct config_key *key = config_broker_key(name);
	const char *names[4];
	size_t i, n;

	if (key == NULL)
		key = find(dynamic_keys, NELEM(dynamic_keys), name);
	n = config_broker_synonyms(name, true, names);
	for (i = 0; key == NULL && i < n; i++)
		key = config_broker_key(names[i]);
	return (key);
}

const char *
config_topic_synonym(const char *topic_name)
{
	size_t i;

	for (i = 0; i < NELEM(topic_synonyms); i++) {
		if (strcmp(topic_synonyms[i].topic, topic_name) == 0)
			return (topic_synonyms[i].broker);
	}
	return (NULL);
}

const char *
config_nearest_broker_key(const char *name)
{
	unsigned best = (unsigned)MIN(strlen(name) / 4, 4) + 1, d;
	const char *nearest = NULL;
	size_t i;

	for (i = 0; i < config_broker_key_count; i++) {
		d = str_distance(name, config_broker_keys[i].name, best);
		if (d < best) {
			best = d;
			nearest = config_broker_keys[i].name;
		}
	}
	return (nearest);
}

enum config_impl_kind
config_impl_kind(enum config_impl impl)
{
	return (impls[impl].kind);
}

const char *
config_impl_words(enum config_impl impl)
{
	return (impls[impl].words);
}

const char *
config_type_name(enum config_type type)
{
	static const char *const names[] = { "unknown", "boolean", "string", "int", "short", "long", "double", "list", "class", "password" };

	return (names[type]);
}
