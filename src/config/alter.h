/* SPDX-License-Identifier: Apache-2.0
 *
 * config/alter.h - AlterConfigs and IncrementalAlterConfigs as functions over maps: nothing is stored here.
 *
 * Each takes the settings an entity has now and the wishes of a request, and gives the whole new set, validated as Kafka validates it; or the
 * error code for the answer and words for its message.  On error *out is empty.
 */
#ifndef CONFIG_ALTER_H
#define CONFIG_ALTER_H

#include "base/random.h"
#include "config/topic.h"

enum config_op { CONFIG_OP_SET = 0, CONFIG_OP_DELETE = 1, CONFIG_OP_APPEND = 2, CONFIG_OP_SUBTRACT = 3 };

struct config_wish {
	struct slice	 name;
	struct slice	 value;		/* null = none */
	int8_t		 op;		/* enum config_op, as received; AlterConfigs has only SET */
};

/* Too many, duplicate names, null values; the first test of either request, for any kind of entity. */
enum kerr config_wishes_check(const struct config_wish *, size_t n, struct errbuf *);

/* AlterConfigs: the wishes are the new set.  IncrementalAlterConfigs: they are worked into `current`. */
enum kerr config_replace_topic(const struct config *, const struct config_wish *, size_t n, struct config_map *out, struct errbuf *);
enum kerr config_alter_topic(const struct config *, const struct config_map *current, const struct config_wish *, size_t n,
    struct config_map *out, struct errbuf *);
enum kerr config_replace_broker(const struct config *, bool per_broker, const struct config_wish *, size_t n, struct config_map *out,
    struct errbuf *);
enum kerr config_alter_broker(const struct config *, bool per_broker, const struct config_map *current, const struct config_wish *, size_t n,
    struct config_map *out, struct errbuf *);

/* Before a broker's new set is written: encodes the passwords in *out; of `current`, keeps those that cannot be read and that no wish names.
 * INVALID_CONFIG when there are too many, or when the passwords cannot be kept (Java's ConfigException). */
enum kerr config_seal(const struct config *, bool per_broker, const struct config_map *current, const struct config_wish *, size_t n,
    struct config_map *out, struct random *, struct errbuf *);

/* At the start: passwords that password.encoder.old.secret opens are encoded with password.encoder.secret.  Were there any? */
bool	 config_reseal(const struct config *, struct config_map *stored, struct random *, struct config_report *);

#endif
