/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/notify.h - entity configs (/config/TYPE/NAME) and the change notifications that make every broker look at them.
 *
 * Threads    The client's loop.
 */
#ifndef ZK_NOTIFY_H
#define ZK_NOTIFY_H

#include "base/clock.h"
#include "base/diag.h"
#include "zk/client.h"
#include "zk/json.h"
#include "zk/registration.h"

/* ---- reading ---- */
/* A missing node, or one with null data, is an empty config (found says which). */
typedef void zk_config_fn(void *ctx, enum err, const struct zk_config *, bool found, const struct errbuf *why);
void zk_config_read(struct zk *, const struct zk_entity *, zk_config_fn *, void *ctx);

/* Calls each() once per existing entity of this type (users: also their clients), then done.  An entity that cannot be decoded is
 * reported to diag and left out. */
typedef void zk_config_each_fn(void *ctx, const struct zk_entity *, const struct zk_config *);
void zk_config_read_all(struct zk *, enum zk_entity_type, struct diag *, zk_config_each_fn *each, zk_step_fn *done, void *ctx);

/* ---- writing ---- */
/* Replaces the whole config as Kafka does: needs a controller in /controller (ERR_FENCED: there is none, or it changed, or it is a KRaft
 * one); creates the node when it is missing; then, if `notify`, makes a change notification.  Topic creation writes without notifying.
 * ERR_INVALID: larger as JSON than LIMIT_TOPIC_NODE_BYTES_MAX, or not UTF-8; nothing was sent.
 * remove_when_empty: client, user and ip entities without items are deleted instead, with empty parents. */
enum { ZK_CONFIG_NOTIFY = 1, ZK_CONFIG_REMOVE_WHEN_EMPTY = 2 };
void zk_config_write(struct zk *, const struct zk_entity *, const struct zk_config *, unsigned flags, zk_step_fn *, void *ctx);

/* ---- following /config/changes ---- */
struct zk_config_watch;		/* ZkNodeChangeNotificationListener and the handler's re-read of the entity */

struct zk_config_watch_callbacks {
	/* The entity's config as it is in ZooKeeper now (empty when its node is gone).  Called for every notification in order, so more than
	 * once for the same state; must be idempotent. */
	void (*changed)(void *ctx, const struct zk_entity *, const struct zk_config *);
	/* The first pass over the notifications that existed at start is done.  Called once.  err: ZooKeeper could not be read. */
	void (*ready)(void *ctx, enum err, const struct errbuf *why);
};

/* Starts at once.  Keeps itself armed, also over session expiry.  Deletes notifications older than 15 minutes as Kafka's brokers do. */
struct zk_config_watch *zk_config_watch_new(struct zk *, struct clock *, struct diag *, const struct zk_config_watch_callbacks *, void *ctx);
void zk_config_watch_free(struct zk_config_watch **);	/* no callbacks afterwards */

#endif
