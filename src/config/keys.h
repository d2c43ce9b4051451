/* SPDX-License-Identifier: Apache-2.0
 *
 * config/keys.h - the tables of settings as data: what a name means, its type, range, default, who may change it, what we do with it.
 *
 * The rows are in broker.def (server.properties, Kafka's and our own), topic.def (topic settings) and dynamic.def (broker settings
 * that exist only in ZooKeeper).  Everything here is constant and safe from any thread.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* The numbers are DescribeConfigs' config_type. */
enum config_type {
	CONFIG_UNKNOWN = 0, CONFIG_BOOLEAN, CONFIG_STRING, CONFIG_INT, CONFIG_SHORT, CONFIG_LONG, CONFIG_DOUBLE, CONFIG_LIST, CONFIG_CLASS,
	CONFIG_PASSWORD
};

enum config_mode { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };

enum config_impl {
#define IMPL(id, kind, words)	CONFIG_##id,
#include "config/impl.def"
#undef IMPL
};
enum config_impl_kind { CONFIG_IMPL_HONOURED, CONFIG_IMPL_SILENT, CONFIG_IMPL_HARMLESS, CONFIG_IMPL_NOT_BUILT };

enum config_flags { CONFIG_INTERNAL = 1 };	/* described only when somebody set it */

enum config_valid_kind {
	CONFIG_VALID_ANY, CONFIG_VALID_MIN, CONFIG_VALID_RANGE, CONFIG_VALID_MIN_OR_MINUS_ONE, CONFIG_VALID_RANGE_OR_MINUS_ONE,
	CONFIG_VALID_ONE_OF, CONFIG_VALID_ONE_OF_NOCASE, CONFIG_VALID_EACH_OF, CONFIG_VALID_NON_EMPTY, CONFIG_VALID_NON_NULL,
	CONFIG_VALID_VERSION, CONFIG_VALID_THROTTLED
};

struct config_valid {
	enum config_valid_kind kind;
	double		 lo, hi;
	const char	*words;		/* ONE_OF, EACH_OF: the values, comma-separated */
};

struct config_key {
	const char		*name;
	enum config_type	 type;
	size_t			 offset;	/* of the field in struct config or struct topic_config */
	const char		*default_text;	/* as Java prints it; NULL = null */
	struct config_valid	 valid;
	enum config_mode	 mode;		/* broker settings */
	enum config_impl	 impl;
	unsigned		 flags;
	const char		*doc;
};

extern const struct config_key config_broker_keys[];	/* sorted by name */
extern const size_t config_broker_key_count;
extern const struct config_key config_topic_keys[];	/* sorted by name */
extern const size_t config_topic_key_count;

const struct config_key *config_broker_key(const char *name);	/* NULL = unknown */
const struct config_key *config_topic_key(const char *name);
const struct config_key *config_dynamic_key(const char *name);	/* cluster-wide or per-broker row, or one of dynamic.def; else NULL */
/* The key whose value a broker setting's name carries: itself, or what follows listener.name.X. (and a mechanism); else NULL. */
const struct config_key *config_broker_key_of(const char *name);
const char *config_nearest_broker_key(const char *name);	/* for "did you mean"; NULL when nothing is near */
enum config_impl_kind config_impl_kind(enum config_impl);
const char *config_impl_words(enum config_impl);		/* why, or the remedy */
const char *config_type_name(enum config_type);			/* "int" */

/* Names of broker settings that mean the same thing, most precise first (log.retention.ms, .minutes, .hours); at least the name itself.
 * With match_listener, listener.name.X.key also gives key.  Returns how many were written to names[4]; they borrow from `name`. */
size_t	 config_broker_synonyms(const char *name, bool match_listener, const char *names[4]);
/* The broker setting a topic setting falls back to first, or NULL. */
const char *config_topic_synonym(const char *topic_name);
/* What follows "listener.name.<one label>.", or NULL. */
const char *config_listener_base(const char *name);

#endif
