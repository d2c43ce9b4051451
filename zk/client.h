/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/client.h - ZooKeeper as the rest of the broker sees it: asynchronous operations, one-shot watches, session events.
 *
 * A struct zk is one loop's access to a ZooKeeper session.  Several may share a session (zk/session.h), or a tree in memory (zk/fake.h).
 *
 * Threads    Every function here is called on the loop the client is bound to, and every callback runs on it, never from inside the
 *            call that caused it.
 * Ownership  Paths and data are copied before a call returns.  What a callback receives is borrowed until the callback returns.
 *            Each operation is answered exactly once, also when the client is closed (ZKE_CLOSING), so `ctx` must live until then.
 * Order      Operations of one client are sent in the order submitted (at most max_in_flight unanswered).  A watch event arrives before
 *            any answer that shows the state after the change.
 * Failure    A lost connection is no error here: the operation is sent again, for ever, after the session is back.  So it may have been
 *            applied twice: a create may answer NODE_EXISTS, a delete NO_NODE, a conditional write BAD_VERSION because of its own first
 *            sending.  Callers that care look again (zk/registration.h, zk/election.h).
 *            At expiry each pending operation answers SESSION_EXPIRED, all watches are dropped without a call, then ZK_EXPIRED is told to
 *            each listener.  Operations submitted from then on belong to the next session and wait for it.
 */
#ifndef ZK_CLIENT_H
#define ZK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/slice.h"
#include "event/loop.h"

struct arena;
struct zk;

enum zke {
#define ZKE(name, number, err, text)	name = number,
#include "zk/errors.def"
#undef ZKE
};
const char *zke_name(enum zke);		/* "ZKE_NO_NODE" */
const char *zke_text(enum zke);
enum err    zke_err(enum zke);
enum zke    zke_from_code(int code);	/* ZKE_OTHER for what has no row */

struct zk_stat {
	int64_t	czxid, mzxid, pzxid;	/* transactions that created the node, last changed it, last changed its children */
	int64_t	ctime_ms, mtime_ms;
	int32_t	version, cversion, aversion;
	int64_t	ephemeral_owner;	/* session id; 0: persistent */
	int32_t	data_length, num_children;
};

enum { ZK_ANY_VERSION = -1 };

/* As the server knows them.  A container (ZooKeeper 3.5.3 on) is deleted some time after its last child; its owner says what it is.  zk/tree.h
 * knows it; a session makes none. */
enum zk_create_mode { ZK_PERSISTENT, ZK_EPHEMERAL, ZK_PERSISTENT_SEQUENTIAL, ZK_EPHEMERAL_SEQUENTIAL, ZK_CONTAINER };
#define ZK_CONTAINER_OWNER	INT64_MIN

bool	zk_path_is_valid(const char *path);	/* by ZooKeeper's rules */

/* ---- watches: one shot each, as ZooKeeper's ---- */
enum zk_event { ZK_CREATED, ZK_DELETED, ZK_CHANGED, ZK_CHILDREN };

/* The caller's memory.  One watcher may wait on many paths at once; armed twice at one path and kind it still fires once.
 * Kinds: exists and get arm for created, deleted, changed; children arms for deleted, children. */
struct zk_watcher {
	void (*fn)(struct zk_watcher *, enum zk_event, const char *path);
	uint32_t armed;			/* the client's: paths and kinds it waits on */
	uint32_t pending;		/* the client's: reads under way that will arm it */
};
static inline void zk_watcher_init(struct zk_watcher *w, void (*fn)(struct zk_watcher *, enum zk_event, const char *))
{
	*w = (struct zk_watcher){ fn, 0, 0 };
}

/* ---- operations ---- */
enum zk_op_kind {
	ZK_OP_CREATE, ZK_OP_DELETE, ZK_OP_EXISTS, ZK_OP_GET, ZK_OP_SET, ZK_OP_CHILDREN, ZK_OP_CHECK, ZK_OP_SYNC, ZK_OP_GET_ACL, ZK_OP_SET_ACL
};

struct zk_op {
	enum zk_op_kind	     kind;
	const char	    *path;	/* without the chroot; starts with '/' */
	struct slice	     data;	/* create, set; a null slice stores ZooKeeper's null */
	int32_t		     version;	/* delete, set, check; ZK_ANY_VERSION */
	enum zk_create_mode  mode;	/* create */
	struct slice	     acl;	/* create, set_acl: bytes as of zk/acl.h; a null slice: open to everybody, but in a create of a session what
					 * zookeeper.set.acl says */
	struct zk_watcher   *watcher;	/* exists, get, children; NULL: none.  Armed when the answer is OK (exists: also NO_NODE) */
};
#define ZK_CREATE(p, d)		((struct zk_op){ .kind = ZK_OP_CREATE, .path = (p), .data = (d) })
#define ZK_CREATE_EPHEMERAL(p, d) ((struct zk_op){ .kind = ZK_OP_CREATE, .path = (p), .data = (d), .mode = ZK_EPHEMERAL })
#define ZK_CREATE_SEQUENTIAL(p, d) ((struct zk_op){ .kind = ZK_OP_CREATE, .path = (p), .data = (d), .mode = ZK_PERSISTENT_SEQUENTIAL })
#define ZK_DELETE(p, v)		((struct zk_op){ .kind = ZK_OP_DELETE, .path = (p), .version = (v) })
#define ZK_EXISTS(p, w)		((struct zk_op){ .kind = ZK_OP_EXISTS, .path = (p), .watcher = (w) })
#define ZK_GET(p, w)		((struct zk_op){ .kind = ZK_OP_GET, .path = (p), .watcher = (w) })
#define ZK_SET(p, d, v)		((struct zk_op){ .kind = ZK_OP_SET, .path = (p), .data = (d), .version = (v) })
#define ZK_GET_CHILDREN(p, w)	((struct zk_op){ .kind = ZK_OP_CHILDREN, .path = (p), .watcher = (w) })
#define ZK_CHECK(p, v)		((struct zk_op){ .kind = ZK_OP_CHECK, .path = (p), .version = (v) })	/* only inside a multi */
#define ZK_GET_ACL(p)		((struct zk_op){ .kind = ZK_OP_GET_ACL, .path = (p) })
#define ZK_SET_ACL(p, a, v)	((struct zk_op){ .kind = ZK_OP_SET_ACL, .path = (p), .acl = (a), .version = (v) })	/* version: of the ACL */
#define ZK_SYNC(p)		((struct zk_op){ .kind = ZK_OP_SYNC, .path = (p) })	/* later reads see all writes acknowledged to anybody before */

struct zk_result {
	enum zke	    error;
	struct zk_stat	    stat;	/* create, exists, get, set, children, get_acl; in a multi: set only */
	const char	   *path;	/* create: the name made (sequence number included), without the chroot; else the path asked for */
	struct slice	    data;	/* get; a null slice when the node holds null.  p[len] is readable and 0 */
	struct slice	    acl;	/* get_acl; null: open to everybody.  Who may not administrate the node sees "x" for a password's digest */
	const char *const  *children;	/* children: names, in no order */
	uint32_t	    nchildren;
	const struct zk_result *results;	/* multi: one per op.  When it failed: the culprit has its own error, those before it OK's */
	uint32_t	    nresults;		/* place holder ZKE_OK, those behind RUNTIME_INCONSISTENCY; `error` is the culprit's */
};

typedef void zk_done_fn(void *ctx, const struct zk_result *);

void zk_submit(struct zk *, const struct zk_op *, zk_done_fn *, void *ctx);
void zk_multi(struct zk *, const struct zk_op *, uint32_t n, zk_done_fn *, void *ctx);	/* create, delete, set, check: all or nothing */

static inline void zk_create(struct zk *zk, const char *path, struct slice data, enum zk_create_mode mode, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &(struct zk_op){ .kind = ZK_OP_CREATE, .path = path, .data = data, .mode = mode }, done, ctx); }
static inline void zk_delete(struct zk *zk, const char *path, int32_t version, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &ZK_DELETE(path, version), done, ctx); }
static inline void zk_exists(struct zk *zk, const char *path, struct zk_watcher *w, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &ZK_EXISTS(path, w), done, ctx); }
static inline void zk_get(struct zk *zk, const char *path, struct zk_watcher *w, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &ZK_GET(path, w), done, ctx); }
static inline void zk_set(struct zk *zk, const char *path, struct slice data, int32_t version, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &ZK_SET(path, data, version), done, ctx); }
static inline void zk_children(struct zk *zk, const char *path, struct zk_watcher *w, zk_done_fn *done, void *ctx)
{ zk_submit(zk, &ZK_GET_CHILDREN(path, w), done, ctx); }

/* The watcher's fn is not called afterwards, and reads under way will not arm it: its memory may go. */
void zk_unwatch(struct zk *, struct zk_watcher *);
/* Only this path.  (What a handler that stops caring about one deleted topic needs.) */
void zk_unwatch_path(struct zk *, struct zk_watcher *, const char *path);

/* ---- several operations ---- */
/* Fenced by the controller epoch: multi[check(/controller_epoch, epoch_zk_version), op].  ZKE_FENCED when the check fails, else the
 * op's own result.  ZK_ANY_VERSION sends the op plain. */
void zk_fenced(struct zk *, int32_t epoch_zk_version, const struct zk_op *, zk_done_fn *, void *ctx);

/* All ops, pipelined; one answer with all results, in the ops' order.  n == 0 is answered too. */
typedef void zk_many_fn(void *ctx, const struct zk_result *results, uint32_t n);
void zk_many(struct zk *, const struct zk_op *, uint32_t n, zk_many_fn *, void *ctx);

/* Independent writes, each as if by zk_fenced, but packed: one epoch check plus as many ops as a packet holds; a multi that fails
 * is repeated op by op.  Every result is the op's own, or ZKE_FENCED. */
void zk_fenced_many(struct zk *, int32_t epoch_zk_version, const struct zk_op *, uint32_t n, zk_many_fn *, void *ctx);

/* Missing parents are created with null data.  An existing leaf answers NODE_EXISTS and keeps its data.  Persistent or sequential.
 * For ephemerals: the parents only. */
void zk_create_recursive(struct zk *, const char *path, struct slice data, zk_done_fn *, void *ctx);
/* The node and everything below it; NO_NODE on the way is fine (result NO_NODE only if the root was missing at first).  Fenced. */
void zk_delete_recursive(struct zk *, int32_t epoch_zk_version, const char *path, zk_done_fn *, void *ctx);

/* ---- session ---- */
enum zk_session_event {
	ZK_CONNECTED,		/* first time, again after a loss, or a new session after an expiry (compare zk_session_id) */
	ZK_DISCONNECTED,	/* nothing is answered until CONNECTED or EXPIRED */
	ZK_EXPIRED,		/* ephemerals and watches are gone.  The next session begins only after every listener returned from this */
	ZK_AUTH_FAILED		/* a new attempt is made by itself a second later */
};

struct zk_listener {		/* the caller's memory */
	void (*fn)(struct zk_listener *, enum zk_session_event);
	TAILQ_ENTRY(zk_listener) link;
};
void zk_listen(struct zk *, struct zk_listener *);	/* told of what happens from now on, in order of registration */
void zk_unlisten(struct zk *, struct zk_listener *);	/* may be called from inside fn */

bool	 zk_is_connected(const struct zk *);
int64_t	 zk_session_id(const struct zk *);	/* as this client knows it: changes just before ZK_CONNECTED; 0 before the first */
struct loop *zk_loop(const struct zk *);

/* Unbinds: pending operations answer ZKE_CLOSING (on later turns), watches and listeners are dropped now.  *zkp becomes NULL.
 * The session itself lives until its own close (zk/session.h). */
void	 zk_close(struct zk **zkp);

/* ---- for implementations: what stands behind a struct zk ---- */
struct zk_ops {
	void (*submit)(struct zk *, const struct zk_op *, uint32_t n, bool multi, zk_done_fn *, void *ctx);
	void (*unwatch)(struct zk *, struct zk_watcher *, const char *path);	/* NULL path: all */
	void (*close)(struct zk *);
};
TAILQ_HEAD(zk_listeners, zk_listener);
struct zk {				/* first member of every implementation's client */
	const struct zk_ops *ops;
	struct loop	*loop;
	struct zk_listeners listeners;
	struct zk_listener *next_listener;	/* where zk_tell goes on; moved by zk_unlisten */
	bool		 connected;
	int64_t		 session_id;
	uint32_t	 packet_max;	/* bytes one request may take (jute.maxbuffer) */
};
void zk_client_init(struct zk *, const struct zk_ops *, struct loop *);
void zk_tell(struct zk *, enum zk_session_event);

#endif
