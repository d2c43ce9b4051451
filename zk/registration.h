/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/registration.h - a broker's place in ZooKeeper: the paths it needs, cluster id, broker id, and its own node in /brokers/ids.
 *
 * All asynchronous, on the client's loop.  Every step is safe to repeat and survives a lost connection before and after the server
 * applied it.  `why` is borrowed, never NULL, and "" when err is OK.  ERR_ZK_EXPIRED: the session ended in the middle; start over.
 */
#ifndef ZK_REGISTRATION_H
#define ZK_REGISTRATION_H

#include "base/clock.h"
#include "base/random.h"
#include "zk/client.h"
#include "zk/json.h"

typedef void zk_step_fn(void *ctx, enum err, const struct errbuf *why);

/* Every path of zk_top_level_paths, null data, parents as needed; what exists is left alone. */
void zk_create_top_level_paths(struct zk *, zk_step_fn *, void *ctx);

/* The cluster's id; made from `random` when the cluster has none.  If two brokers make one at once, both get the first. */
typedef void zk_cluster_id_fn(void *ctx, enum err, const char *id, const struct errbuf *why);
void zk_cluster_id_get_or_create(struct zk *, struct random *, zk_cluster_id_fn *, void *ctx);

/* A broker id for a broker that has none: counts /brokers/seqid up, adds reserved.broker.max.id.  First: reserved_max + 1. */
typedef void zk_broker_id_fn(void *ctx, enum err, int32_t id, const struct errbuf *why);
void zk_broker_id_generate(struct zk *, int32_t reserved_max, zk_broker_id_fn *, void *ctx);

/* All registered brokers, ascending by id.  Kept by the callee until fn returns.  One whose node is gone meanwhile is left out; one
 * whose node cannot be decoded fails the whole, as in Kafka.  `watcher` (may be NULL) is armed on the list of ids
 * and on each node: it fires when a broker comes, goes, or changes what it advertises. */
struct zk_broker_entry {
	struct zk_broker_info info;
	int64_t epoch;			/* czxid of the node */
	int64_t session_id;		/* its owner */
};
typedef void zk_brokers_fn(void *ctx, enum err, const struct zk_broker_entry *, uint32_t n, const struct errbuf *why);
void zk_brokers_list(struct zk *, struct zk_watcher *watcher, zk_brokers_fn *, void *ctx);

/* ---- /brokers/ids/N ---- */
struct zk_registrar;		/* one per broker, for its whole life: remembers which sessions were its own */

struct zk_registrar *zk_registrar_new(struct zk *, int32_t broker_id);
void zk_registrar_free(struct zk_registrar **);	/* an answer still to come is not given; the znode stays until the session ends */

/* Registers in the current session.  On OK broker_epoch is the czxid, also if this session had registered before (then the node keeps
 * its content).  One call at a time.
 *   ERR_EXISTS   another live session holds the id, or (check_endpoints) another id advertises one of our host:port pairs; `why` says which
 */
typedef void zk_registered_fn(void *ctx, enum err, int64_t broker_epoch, const struct errbuf *why);
void zk_registrar_register(struct zk_registrar *, const struct zk_broker_info *, bool check_endpoints, zk_registered_fn *, void *ctx);
/* New content, same epoch (a listener changed while running). */
void zk_registrar_update(struct zk_registrar *, const struct zk_broker_info *, zk_step_fn *, void *ctx);

#endif
