/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/tree.h - ZooKeeper's data tree as a pure state machine: nodes, versions, sequences, ephemerals, transactions, sessions, watches.
 *
 * No clock, no I/O, no threads of its own: time is handed in, expiry is a call, events go to a callback.  Result codes and stat fields are
 * those of ZooKeeper 3.8.  One thread at a time.
 */
#ifndef ZK_TREE_H
#define ZK_TREE_H

#include "zk/acl.h"
#include "zk/client.h"

struct zk_tree;

/* Kinds of watch, as ZooKeeper keeps them: data and exists share one, children the other. */
enum zk_watch_kind { ZK_WATCH_DATA = 1, ZK_WATCH_CHILDREN = 2 };
/* How long one lasts: until it fires (0), or until it is taken away; at the node, or at everything below it, too (which says nothing of children). */
enum zk_watch_mode { ZK_WATCH_PERSISTENT = 1, ZK_WATCH_RECURSIVE = 2 };

/* ACLs are bytes here (zk/acl.h).  A null one permits everything. */
/* Has this session one of the permissions? */
typedef bool zk_tree_permit_fn(void *ctx, int64_t session_id, struct slice acl, unsigned perms);

/* A watch of this session fired (and is gone, if it does not last).  Called during the operation that caused it, before that operation returns.
 * It must not call the tree. */
typedef void zk_tree_event_fn(void *ctx, int64_t session_id, enum zk_event, const char *path, unsigned kinds);

struct zk_tree *zk_tree_new(zk_tree_event_fn *, void *ctx);
void zk_tree_free(struct zk_tree **);
void zk_tree_permit(struct zk_tree *, zk_tree_permit_fn *);	/* asked from now on, with the ctx of zk_tree_new */

int64_t zk_tree_session_new(struct zk_tree *);		/* an id, never 0 */
bool	zk_tree_session_alive(const struct zk_tree *, int64_t id);
void	zk_tree_session_end(struct zk_tree *, int64_t id, int64_t now_ms);	/* expiry or close: ephemerals go, each with its events */

/* What an operation answers.  Memory in `r` belongs to the tree until its next call. */
void zk_tree_apply(struct zk_tree *, int64_t session_id, int64_t now_ms, const struct zk_op *, struct zk_result *r);
/* refused: NULL, or for each op ZKE_OK or the error it answers when its turn comes. */
void zk_tree_multi(struct zk_tree *, int64_t session_id, int64_t now_ms, const struct zk_op *, const enum zke *refused, uint32_t n, struct zk_result *r);

/* Memory that watches may take: those of one session (each counted as if nobody else watched that path), and all together; 0: no limit, as at
 * first.  A read that would set one beyond it answers QUOTA_EXCEEDED and does nothing else. */
void zk_tree_limit_watches(struct zk_tree *, size_t session_bytes_max, size_t bytes_max);
/* Sets by hand what op.watcher != NULL sets in zk_tree_apply; mode 0: an ordinary one.  false: there is no such session, or the limit is reached. */
bool zk_tree_watch(struct zk_tree *, int64_t session_id, const char *path, unsigned kinds, unsigned mode);
bool zk_tree_unwatch(struct zk_tree *, int64_t session_id, const char *path, unsigned kinds);	/* true: there was one */
bool zk_tree_watches(const struct zk_tree *, int64_t session_id, const char *path, unsigned kinds);
void zk_tree_drop_watches(struct zk_tree *, int64_t session_id);
uint32_t zk_tree_watch_count(const struct zk_tree *);
size_t	 zk_tree_watch_bytes(const struct zk_tree *);		/* memory of all */

int64_t zk_tree_zxid(const struct zk_tree *);
/* Depth-first, parents first, names sorted.  For tests: what does the tree hold? */
void zk_tree_walk(const struct zk_tree *, void (*fn)(void *ctx, const char *path, struct slice data, const struct zk_stat *), void *ctx);
void zk_tree_check(const struct zk_tree *);		/* asserts every invariant */

/* ---- for a server ---- */
bool	 zk_tree_has_empty_containers(const struct zk_tree *);	/* of those that had children once */
void	 zk_tree_delete_empty_containers(struct zk_tree *);
void	 zk_tree_ephemerals(const struct zk_tree *, int64_t session_id, void (*fn)(void *ctx, const char *path), void *ctx);
uint32_t zk_tree_descendants(const struct zk_tree *, const char *path);
bool	 zk_tree_stat(const struct zk_tree *, const char *path, struct zk_stat *);	/* nobody's permission is asked; false: no such node */
uint32_t zk_tree_nodes(const struct zk_tree *);

/* ---- for a store ---- */
struct zk_tree_node {
	struct slice   data, acl;
	struct zk_stat stat;
	int32_t	       creates;		/* children ever made */
};
void	zk_tree_track(struct zk_tree *);		/* from now on it is remembered what changes */
/* What has changed since the last call: each path once, with the node as it is now, or NULL: it is gone. */
void	zk_tree_changes(struct zk_tree *, void (*fn)(void *ctx, const char *path, const struct zk_tree_node *), void *ctx);
int64_t zk_tree_next_session(const struct zk_tree *);
/* Into an empty tree: the counters, sessions, then nodes, parents first ("/" is there and takes what is given).  ERR_CORRUPT: it contradicts what is
 * there, and the words say how; the tree is as before. */
enum err zk_tree_set_counters(struct zk_tree *, int64_t zxid, int64_t next_session, struct errbuf *) MUST_CHECK;
enum err zk_tree_session_load(struct zk_tree *, int64_t id, struct errbuf *) MUST_CHECK;
enum err zk_tree_load(struct zk_tree *, const char *path, const struct zk_tree_node *, struct errbuf *) MUST_CHECK;

#endif
