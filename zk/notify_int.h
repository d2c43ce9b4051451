/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/notify_int.h - shared by notify.c and config_*.c.
 */
#ifndef ZK_NOTIFY_INT_H
#define ZK_NOTIFY_INT_H

#include "base/limits.h"
#include "zk/notify.h"

enum {
	CONFIG_ARENA_MAX = 16 * LIMIT_JUTE_MAX,		/* one decoded entity, or one list of entity names */
};

/* "/config/topics/foo"; "" when the arena is full. */
const char *zk_config_node(struct arena *, const struct zk_entity *);
/* A get's result as a config; NO_NODE is an empty one.  *found as in zk_config_fn. */
enum err zk_config_of_result(struct arena *, const struct zk_result *, struct zk_config *, bool *found, struct errbuf *);

#endif
