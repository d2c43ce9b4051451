/* SPDX-License-Identifier: Apache-2.0
 *
 * config/describe.h - what DescribeConfigs answers: every setting of a broker or a topic with its source and synonyms, as Java's ConfigHelper
 * gives them.  The order of the entries is ours (by name); Java's is that of a hash map.
 *
 * Ownership  Everything is allocated in the arena or borrowed from the config, the map and constant tables.
 * Failure    false: the arena is full.
 */
#ifndef CONFIG_DESCRIBE_H
#define CONFIG_DESCRIBE_H

#include "base/arena.h"
#include "config/topic.h"

/* The numbers are DescribeConfigs' config_source. */
enum config_source {
	CONFIG_SOURCE_UNKNOWN = 0, CONFIG_SOURCE_TOPIC = 1, CONFIG_SOURCE_DYNAMIC_BROKER = 2, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER = 3,
	CONFIG_SOURCE_STATIC_BROKER = 4, CONFIG_SOURCE_DEFAULT = 5, CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER = 6
};

struct config_synonym {
	const char	*name, *value;		/* value NULL when sensitive */
	enum config_source source;
};

struct config_entry {
	const char	*name, *value;		/* value NULL when sensitive, or null */
	enum config_source source;
	enum config_type type;
	bool		 read_only, sensitive;
	const char	*documentation;		/* NULL for a name without a row */
	const struct config_synonym *synonyms;
	size_t		 synonym_count;
};

struct config_description {
	struct config_entry *entries;
	size_t		 count;
};

/* Which settings are asked for; count 0 = all. */
struct config_names {
	const struct slice *names;
	size_t		 count;
};

bool	 config_describe_broker(const struct config *, struct config_names, struct arena *, struct config_description *) MUST_CHECK;
bool	 config_describe_cluster_default(const struct config *, struct config_names, struct arena *, struct config_description *) MUST_CHECK;
bool	 config_describe_topic(const struct config *, const struct config_map *overrides, struct config_names, struct arena *,
    struct config_description *) MUST_CHECK;

#endif
