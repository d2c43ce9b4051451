/* SPDX-License-Identifier: Apache-2.0
 *
 * config/topic.h - the settings of one topic: its own, on top of the broker's.
 *
 * Ownership  Reference counted and immutable, like struct config; it keeps no reference to the config it came from.
 * Threads    Any.
 */
#ifndef CONFIG_TOPIC_H
#define CONFIG_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "config/broker.h"

/* One field per row of topic.def. */
struct topic_config {
#define CFG(type, name, field, def, valid, doc)	CONFIG_CTYPE_##type field;
#include "config/topic.def"
#undef CFG

	/* derived */
	bool		 compact, delete_;		/* cleanup.policy */
	enum config_compression compression;		/* compression.type */
	int32_t		 compression_level;		/* of that codec; 0 where it has none */
	bool		 log_append_time;		/* message.timestamp.type */
	int64_t		 timestamp_before_max_ms, timestamp_after_max_ms;	/* message.timestamp.difference.max.ms worked in */

	struct topic_config_internal *internal;
};

/* Never fails: an override that is unknown or malformed (a foreign hand in ZooKeeper) is left out, each a warning in the report.
 * `overrides` may be NULL. */
struct topic_config *topic_config_new(const struct config *, const struct config_map *overrides, struct config_report *);
struct topic_config *topic_config_ref(const struct topic_config *);
void	 topic_config_unref(struct topic_config **);
char	*topic_config_value_text(const struct topic_config *, const struct config_key *);	/* as Java prints it; caller frees */

/* May a topic have these settings (the whole set)?  KERR_NONE or INVALID_CONFIG and words. */
enum kerr topic_config_validate(const struct config *, const struct config_map *overrides, struct errbuf *);

#endif
