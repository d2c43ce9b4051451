/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/tree.h - ZooKeeper's data tree as a pure state machine: nodes, versions, sequences, ephemerals, transactions, sessions, watches.
 *
 * No clock, no I/O, no threads of its own: time is handed in, expiry is a call, events go to a callback.  Result codes and stat fields are
 * those of ZooKeeper 3.8.  One thread at a time.
 */
#ifndef ZK_TREE_H
#define ZK_TREE_H

#include "zk/client.h"

struct zk_tree;

/* Kinds of watch, as ZooKeeper keeps them: data and exists share one, children the other. */
enum zk_watch_kind { ZK_WATCH_DATA = 1, ZK_WATCH_CHILDREN = 2 };

/* A watch of this session fired (and is gone).  Called during the operation that caused it, before that operation returns. */
typedef void zk_tree_event_fn(void *ctx, int64_t session_id, enum zk_event, const char *path, unsigned kinds);

struct zk_tree *zk_tree_new(zk_tree_event_fn *, void *ctx);
void zk_tree_free(struct zk_tree **);

int64_t zk_tree_session_new(struct zk_tree *);		/* an id, never 0 */
bool	zk_tree_session_alive(const struct zk_tree *, int64_t id);
void	zk_tree_session_end(struct zk_tree *, int64_t id, int64_t now_ms);	/* expiry or close: ephemerals go, each with its events */

/* What an operation answers.  Memory in `r` belongs to the tree until its next call. */
void zk_tree_apply(struct zk_tree *, int64_t session_id, int64_t now_ms, const struct zk_op *, struct zk_result *r);
void zk_tree_multi(struct zk_tree *, int64_t session_id, int64_t now_ms, const struct zk_op *, uint32_t n, struct zk_result *r);
/* Arms or disarms by hand what op.watcher != NULL does in zk_tree_apply. */
void zk_tree_unwatch(struct zk_tree *, int64_t session_id, const char *path, unsigned kinds);
void zk_tree_drop_watches(struct zk_tree *, int64_t session_id);

int64_t zk_tree_zxid(const struct zk_tree *);
/* Depth-first, parents first, names sorted.  For tests: what does the tree hold? */
void zk_tree_walk(const struct zk_tree *, void (*fn)(void *ctx, const char *path, struct slice data, const struct zk_stat *), void *ctx);
void zk_tree_check(const struct zk_tree *);		/* asserts every invariant */

#endif
