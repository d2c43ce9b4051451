/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/tree.c - see tree.h.
 *
 * NODES    A hash by full path finds a node; each node links to its parent and lists its children.
 *
 * INVARIANTS
 *   (1) Every node but "/" has a parent that lists it; parents of nodes are not ephemeral.
 *   (2) A node's ephemeral owner is 0 or a live session, whose list holds it.
 *   (3) `creates` counts the children ever made (those that a server's own start makes are not counted): the next sequence number.  The cversion
 *       clients see is 2 * creates - children (each create and each delete counts one).  It and versions go on behind INT32_MAX at INT32_MIN,
 *       as Java's do.
 *   (4) zxid grows by one per write operation, transaction, session begun or ended - also when the write fails, as on a real server.
 *
 * TRANSACTIONS  Operations change the tree at once and leave an undo record; at the first failure the records are played back.  What watches
 *       would see is written down meanwhile and fired only when all went well.
 *
 * WATCHES  Kept per path: (session, kinds).  A delete fires one event to a session with both kinds at that path.  As on a server, a persistent watch
 *       is made an ordinary one when an ordinary one is set at the same place, and the other way round; the paths above are looked at for
 *       recursive ones only while there are any.
 *
 * CHANGES  With zk_tree_track, each path that a write may have changed is remembered until zk_tree_changes.  A transaction undone leaves some that
 *       have not changed: whoever stores them stores what is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/must.h"
#include "zk/client_int.h"
#include "zk/tree.h"

#define COUNTER_MAX	(INT64_MAX / 2)		/* of zxids and session ids: never reached by counting */

struct node {
	UT_hash_handle hh;
	TAILQ_ENTRY(node) sibling;
	LIST_ENTRY(node) owned;		/* by its session, when ephemeral */
	struct node	*parent;
	TAILQ_HEAD(nodes, node) children;
	struct zk_stat	 stat;		/* cversion and num_children are computed on the way out */
	int32_t		 creates;	/* rule (3) */
	int32_t		 nchildren;
	uint8_t		*data;		/* malloc'ed, a 0 behind it; NULL: ZooKeeper's null */
	size_t		 data_len;
	struct acl	*acl;		/* NULL: open to everybody */
	char		 path[];
};

struct acl {				/* few lists, many nodes */
	UT_hash_handle hh;
	uint32_t refs;
	size_t	 len;
	uint8_t	 bytes[];
};

struct session {
	UT_hash_handle hh;
	int64_t id;
	LIST_HEAD(, node) ephemerals;
	LIST_HEAD(, watch_mark) marks;
	size_t	 watch_bytes;		/* of them, each with its path */
	uint64_t fired;			/* by the trigger of this number: once is enough */
};

struct watch_point;
struct watch_mark {			/* one session at one path */
	LIST_ENTRY(watch_mark) link, by_session;
	struct watch_point *at;
	struct session *session;
	unsigned kinds;
	unsigned persistent, recursive;	/* of these kinds */
};

struct change {				/* a path written since the last zk_tree_changes */
	UT_hash_handle hh;
	char path[];
};

struct watch_point {
	UT_hash_handle hh;
	LIST_HEAD(, watch_mark) marks;
	char path[];
};

enum undo_kind { UNDO_NONE, UNDO_CREATE, UNDO_DELETE, UNDO_SET, UNDO_SET_ACL };

struct undo {
	enum undo_kind kind;
	enum zk_event  event;		/* what watches see if it stays */
	struct node   *node;
	struct zk_stat stat;		/* set: as it was before */
	uint8_t	      *data;
	size_t	       data_len;
	struct acl    *acl;		/* set_acl: as it was before */
	struct zk_stat parent_stat;
	int32_t	       parent_creates;
};

struct zk_tree {
	struct node	   *nodes;
	struct node	   *root;
	struct session	   *sessions;
	struct watch_point *watches;
	uint32_t	    nwatches, nrecursive;	/* marks; of them recursive */
	size_t		    watch_bytes;	/* of marks and points */
	size_t		    watch_bytes_max, session_watch_bytes_max;	/* 0: no limit */
	uint64_t	    firing;		/* number of the trigger under way */
	struct acl	   *acls;
	struct change	   *changes;
	bool		    track;
	zk_tree_event_fn   *fire;
	zk_tree_permit_fn  *permit;	/* NULL: everything is permitted */
	void		   *ctx;
	int64_t		    zxid;
	int64_t		    next_session;
	struct arena	    answer;	/* what the last answer points to */
};

/* ---- nodes ---- */
static struct node *
node_find(const struct zk_tree *t, const char *path)
{
	struct node *n;

	if (path[0] == '\0')	/* as a server has it */
		return (t->root);
	HASH_FIND_STR(t->nodes, path, n);
	return (n);
}

static struct acl *
acl_ref(struct zk_tree *t, struct slice bytes)
{
	struct acl *a;

	if (bytes.p == NULL)
		return (NULL);
	HASH_FIND(hh, t->acls, bytes.p, bytes.len, a);
	if (a == NULL) {
		a = xcalloc(1, sizeof(*a) + bytes.len);
		a->len = bytes.len;
		memcpy(a->bytes, bytes.p, bytes.len);
		HASH_ADD_KEYPTR(hh, t->acls, a->bytes, a->len, a);
	}
	a->refs++;
	return (a);
}

static void
acl_unref(struct zk_tree *t, struct acl *a)
{
	if (a != NULL && --a->refs == 0) {
		HASH_DEL(t->acls, a);
		free(a);
	}
}

static struct slice
acl_of(const struct node *n)
{
	return (n->acl == NULL ? SLICE_NULL : slice_of(n->acl->bytes, n->acl->len));
}

static void
changed(struct zk_tree *t, const char *path)
{
	size_t len = strlen(path);
	struct change *c;

	if (!t->track)
		return;
	HASH_FIND(hh, t->changes, path, len, c);
	if (c != NULL)
		return;
	c = xcalloc(1, sizeof(*c) + len + 1);
	memcpy(c->path, path, len);
	HASH_ADD_KEYPTR(hh, t->changes, c->path, len, c);
}

static void
changes_drop(struct zk_tree *t)
{
	struct change *c, *next;

	HASH_ITER(hh, t->changes, c, next) {
		HASH_DEL(t->changes, c);
		free(c);
	}
}

static struct node *
node_new(const char *path, struct slice data)
{
	struct node *n = xcalloc(1, sizeof(*n) + strlen(path) + 1);

	memcpy(n->path, path, strlen(path));
	TAILQ_INIT(&n->children);
	n->data = xslicedup(data);
	n->data_len = data.len;
	return (n);
}

static void
node_free(struct zk_tree *t, struct node *n)
{
	acl_unref(t, n->acl);
	free(n->data);
	free(n);
}

static struct session *
session_find(const struct zk_tree *t, int64_t id)
{
	struct session *s;

	HASH_FIND(hh, t->sessions, &id, sizeof(id), s);
	return (s);
}

/* Containers have an owner, too, but it is no session. */
static bool
is_ephemeral(const struct node *n)
{
	return (n->stat.ephemeral_owner != 0 && n->stat.ephemeral_owner != ZK_CONTAINER_OWNER);
}

static void
node_link(struct zk_tree *t, struct node *n)
{
	HASH_ADD_KEYPTR(hh, t->nodes, n->path, strlen(n->path), n);
	TAILQ_INSERT_TAIL(&n->parent->children, n, sibling);
	n->parent->nchildren++;
	if (is_ephemeral(n))
		LIST_INSERT_HEAD(&session_find(t, n->stat.ephemeral_owner)->ephemerals, n, owned);
}

static void
node_unlink(struct zk_tree *t, struct node *n)
{
	HASH_DEL(t->nodes, n);
	TAILQ_REMOVE(&n->parent->children, n, sibling);
	n->parent->nchildren--;
	if (is_ephemeral(n))
		LIST_REMOVE(n, owned);
}

static struct node *
parent_of(const struct zk_tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct node *n;
	char *parent;

	if (slash == path)
		return (t->root);
	parent = xstrndup(path, (size_t)(slash - path));
	n = node_find(t, parent);
	free(parent);
	return (n);
}

static struct zk_stat
stat_of(const struct node *n)
{
	struct zk_stat s = n->stat;

	s.cversion = (int32_t)((uint32_t)n->creates * 2 - (uint32_t)n->nchildren);
	s.num_children = n->nchildren;
	s.data_length = (int32_t)n->data_len;
	return (s);
}

static int32_t
next_version(int32_t v)
{
	return ((int32_t)((uint32_t)v + 1));
}

static bool
permitted(const struct zk_tree *t, int64_t session, const struct node *n, unsigned perms)
{
	return (t->permit == NULL || n->acl == NULL || t->permit(t->ctx, session, acl_of(n), perms));
}

/* ---- watches ---- */
static struct watch_point *
watch_point(const struct zk_tree *t, const char *path)
{
	struct watch_point *w;

	HASH_FIND_STR(t->watches, path, w);
	return (w);
}

static size_t
point_bytes(const char *path)
{
	return (sizeof(struct watch_point) + strlen(path) + 1);
}

static void
watch_point_drop_if_empty(struct zk_tree *t, struct watch_point *w)
{
	if (LIST_EMPTY(&w->marks)) {
		HASH_DEL(t->watches, w);
		t->watch_bytes -= point_bytes(w->path);
		free(w);
	}
}

static void
mark_drop(struct zk_tree *t, struct watch_mark *m)
{
	LIST_REMOVE(m, link);
	LIST_REMOVE(m, by_session);
	m->session->watch_bytes -= sizeof(*m) + point_bytes(m->at->path);
	t->watch_bytes -= sizeof(*m);
	t->nwatches--;
	if (m->recursive != 0)
		t->nrecursive--;
	free(m);
}

static struct watch_mark *
mark_find(const struct watch_point *w, int64_t session)
{
	struct watch_mark *m;

	if (w != NULL)
		LIST_FOREACH(m, &w->marks, link)
			if (m->session->id == session)
				return (m);
	return (NULL);
}

static bool
mark_fits(const struct zk_tree *t, const struct session *s, const char *path)
{
	size_t bytes = sizeof(struct watch_mark) + point_bytes(path);

	return ((t->session_watch_bytes_max == 0 || s->watch_bytes + bytes <= t->session_watch_bytes_max) &&
	    (t->watch_bytes_max == 0 || t->watch_bytes + bytes <= t->watch_bytes_max));
}

static struct watch_point *
point_get(struct zk_tree *t, const char *path)
{
	struct watch_point *w = watch_point(t, path);

	if (w != NULL)
		return (w);
	w = xcalloc(1, point_bytes(path));
	memcpy(w->path, path, strlen(path));
	HASH_ADD_KEYPTR(hh, t->watches, w->path, strlen(path), w);
	t->watch_bytes += point_bytes(path);
	return (w);
}

/* NULL: the limit is reached. */
static struct watch_mark *
mark_get(struct zk_tree *t, struct session *s, const char *path)
{
	struct watch_mark *m = mark_find(watch_point(t, path), s->id);

	if (m != NULL)
		return (m);
	if (!mark_fits(t, s, path))
		return (NULL);
	m = xcalloc(1, sizeof(*m));
	m->session = s;
	m->at = point_get(t, path);
	LIST_INSERT_HEAD(&m->at->marks, m, link);
	LIST_INSERT_HEAD(&s->marks, m, by_session);
	s->watch_bytes += sizeof(*m) + point_bytes(path);
	t->watch_bytes += sizeof(*m);
	t->nwatches++;
	return (m);
}

static bool
mark_add(struct zk_tree *t, struct session *s, const char *path, unsigned kinds, unsigned mode)
{
	struct watch_mark *m = mark_get(t, s, path);
	bool was;

	if (m == NULL)
		return (false);
	was = m->recursive != 0;
	m->kinds |= kinds;
	m->persistent = (m->persistent & ~kinds) | (mode != 0 ? kinds : 0);
	m->recursive = (m->recursive & ~kinds) | ((mode & ZK_WATCH_RECURSIVE) != 0 ? kinds : 0);
	if (was != (m->recursive != 0))
		t->nrecursive += was ? -1U : 1;
	return (true);
}

static void
mark_reduce(struct zk_tree *t, struct watch_mark *m, unsigned kinds)
{
	bool was = m->recursive != 0;

	m->kinds &= ~kinds;
	m->persistent &= ~kinds;
	m->recursive &= ~kinds;
	if (was && m->recursive == 0)
		t->nrecursive--;
	if (m->kinds == 0)
		mark_drop(t, m);
}

/* The marks at one path.  above: it is a parent of the one that changed, so that only recursive ones see it. */
static void
fire_at(struct zk_tree *t, const char *at, bool above, enum zk_event event, const struct node *n, unsigned kinds)
{
	struct watch_point *w = watch_point(t, at);
	struct watch_mark *m, *next;
	unsigned had;

	if (w == NULL)
		return;
	for (m = LIST_FIRST(&w->marks); m != NULL; m = next) {
		next = LIST_NEXT(m, link);
		had = m->kinds & kinds & (above ? m->recursive : event == ZK_CHILDREN ? ~m->recursive : ~0U);
		if (had == 0 || m->session->fired == t->firing)
			continue;
		m->session->fired = t->firing;
		if (permitted(t, m->session->id, n, ZK_PERM_READ))	/* else it has learned nothing, and its watch is gone all the same */
			t->fire(t->ctx, m->session->id, event, n->path, had);
		if (!above)
			mark_reduce(t, m, had & ~m->persistent);
	}
	watch_point_drop_if_empty(t, w);
}

static void
watch_trigger(struct zk_tree *t, const struct node *n, enum zk_event event, unsigned kinds)
{
	char *at, *slash;

	t->firing++;
	fire_at(t, n->path, false, event, n, kinds);
	if (t->nrecursive == 0 || event == ZK_CHILDREN)
		return;
	at = xstrdup(n->path);
	while ((slash = strrchr(at, '/')) != NULL && at[1] != '\0') {
		slash[slash == at] = '\0';
		fire_at(t, at, true, event, n, kinds);
	}
	free(at);
}

static void
fire_change(struct zk_tree *t, enum zk_event event, const struct node *n)
{
	watch_trigger(t, n, event, event == ZK_DELETED ? ZK_WATCH_DATA | ZK_WATCH_CHILDREN : ZK_WATCH_DATA);
	if (event != ZK_CHANGED && n->parent != NULL)
		watch_trigger(t, n->parent, ZK_CHILDREN, ZK_WATCH_CHILDREN);
}

/* ---- writes: each checks everything, then changes the tree and fills the undo record ---- */
struct write {				/* what one write knows */
	int64_t	session, now_ms, zxid;
	enum zke refused;		/* by whoever decoded it */
	const struct zk_op *op;
	struct undo *undo;
	struct zk_result *r;
};

static bool
version_fits(const struct node *n, int32_t expected)
{
	return (expected == ZK_ANY_VERSION || expected == n->stat.version);
}

static const char *
name_to_create(struct zk_tree *t, const struct zk_op *op, const struct node *parent)
{
	if (op->mode == ZK_PERSISTENT || op->mode == ZK_EPHEMERAL || op->mode == ZK_CONTAINER)
		return (arena_printf(&t->answer, "%s", op->path));
	return (arena_printf(&t->answer, "%s%010d", op->path, parent->creates));
}

static enum zke
write_create(struct zk_tree *t, struct write *w)
{
	struct node *n, *parent = parent_of(t, w->op->path);
	const char *path;

	if (parent == NULL)
		return (ZKE_NO_NODE);
	if (!permitted(t, w->session, parent, ZK_PERM_CREATE))
		return (ZKE_NO_AUTH);
	path = name_to_create(t, w->op, parent);
	if (path == NULL)
		return (ZKE_SYSTEM_ERROR);
	if (!zk_path_is_valid(path))
		return (ZKE_BAD_ARGUMENTS);
	if (node_find(t, path) != NULL)
		return (ZKE_NODE_EXISTS);
	if (is_ephemeral(parent))
		return (ZKE_NO_CHILDREN_FOR_EPHEMERALS);
	*w->undo = (struct undo){ UNDO_CREATE, ZK_CREATED, .parent_stat = parent->stat, .parent_creates = parent->creates };
	n = w->undo->node = node_new(path, w->op->data);
	n->parent = parent;
	n->stat.czxid = n->stat.mzxid = n->stat.pzxid = w->zxid;
	n->stat.ctime_ms = n->stat.mtime_ms = w->now_ms;
	if (w->op->mode == ZK_EPHEMERAL || w->op->mode == ZK_EPHEMERAL_SEQUENTIAL)
		n->stat.ephemeral_owner = w->session;
	else if (w->op->mode == ZK_CONTAINER)
		n->stat.ephemeral_owner = ZK_CONTAINER_OWNER;
	n->acl = acl_ref(t, w->op->acl);
	node_link(t, n);
	changed(t, n->path);
	changed(t, parent->path);
	parent->creates = next_version(parent->creates);
	parent->stat.pzxid = w->zxid;
	w->r->path = path;
	w->r->stat = stat_of(n);
	return (ZKE_OK);
}

static void
node_detach(struct zk_tree *t, struct node *n, int64_t zxid)
{
	node_unlink(t, n);
	n->parent->stat.pzxid = zxid;
	changed(t, n->path);
	changed(t, n->parent->path);
}

/* Nodes that a server makes by itself and keeps. */
static bool
is_special(const char *path)
{
	return (strcmp(path, "/") == 0 || strcmp(path, "/zookeeper") == 0 || strcmp(path, "/zookeeper/quota") == 0 ||
	    strcmp(path, "/zookeeper/config") == 0);
}

static enum zke
write_delete(struct zk_tree *t, struct write *w)
{
	struct node *parent, *n;

	if (is_special(w->op->path))
		return (ZKE_BAD_ARGUMENTS);
	parent = parent_of(t, w->op->path);
	if (parent == NULL)
		return (ZKE_NO_NODE);
	if (!permitted(t, w->session, parent, ZK_PERM_DELETE))
		return (ZKE_NO_AUTH);
	n = node_find(t, w->op->path);
	if (n == NULL)
		return (ZKE_NO_NODE);
	if (!version_fits(n, w->op->version))
		return (ZKE_BAD_VERSION);
	if (n->nchildren > 0)
		return (ZKE_NOT_EMPTY);
	*w->undo = (struct undo){ UNDO_DELETE, ZK_DELETED, .node = n, .parent_stat = n->parent->stat, .parent_creates = n->parent->creates };
	node_detach(t, n, w->zxid);
	return (ZKE_OK);
}

static enum zke
write_set(struct zk_tree *t, struct write *w)
{
	struct node *n = node_find(t, w->op->path);

	if (n == NULL)
		return (ZKE_NO_NODE);
	if (!permitted(t, w->session, n, ZK_PERM_WRITE))
		return (ZKE_NO_AUTH);
	if (!version_fits(n, w->op->version))
		return (ZKE_BAD_VERSION);
	*w->undo = (struct undo){ UNDO_SET, ZK_CHANGED, .node = n,
	    .stat = n->stat, .data = n->data, .data_len = n->data_len };
	n->data = xslicedup(w->op->data);
	n->data_len = w->op->data.len;
	n->stat.version = next_version(n->stat.version);
	n->stat.mzxid = w->zxid;
	n->stat.mtime_ms = w->now_ms;
	changed(t, n->path);
	w->r->stat = stat_of(n);
	return (ZKE_OK);
}

static enum zke
write_set_acl(struct zk_tree *t, struct write *w)
{
	struct node *n = node_find(t, w->op->path);

	if (n == NULL)
		return (ZKE_NO_NODE);
	if (!permitted(t, w->session, n, ZK_PERM_ADMIN))
		return (ZKE_NO_AUTH);
	if (w->op->version != ZK_ANY_VERSION && w->op->version != n->stat.aversion)
		return (ZKE_BAD_VERSION);
	*w->undo = (struct undo){ UNDO_SET_ACL, .node = n, .stat = n->stat, .acl = n->acl };
	n->acl = acl_ref(t, w->op->acl);
	n->stat.aversion = next_version(n->stat.aversion);
	changed(t, n->path);
	w->r->stat = stat_of(n);
	return (ZKE_OK);
}

static enum zke
write_check(struct zk_tree *t, struct write *w)
{
	struct node *n = node_find(t, w->op->path);

	if (n == NULL)
		return (ZKE_NO_NODE);
	if (!permitted(t, w->session, n, ZK_PERM_READ))
		return (ZKE_NO_AUTH);
	return (version_fits(n, w->op->version) ? ZKE_OK : ZKE_BAD_VERSION);
}

static enum zke
write_one(struct zk_tree *t, struct write *w)
{
	w->undo->kind = UNDO_NONE;
	w->r->path = w->op->path;
	if (w->refused != ZKE_OK)
		return (w->refused);
	switch (w->op->kind) {
	case ZK_OP_CREATE:
		return (write_create(t, w));
	case ZK_OP_DELETE:
		return (write_delete(t, w));
	case ZK_OP_SET:
		return (write_set(t, w));
	case ZK_OP_SET_ACL:
		return (write_set_acl(t, w));
	case ZK_OP_CHECK:
		return (write_check(t, w));
	default:
		return (ZKE_UNIMPLEMENTED);
	}
}

static void
parent_restore(struct node *parent, const struct undo *u)
{
	parent->stat = u->parent_stat;
	parent->creates = u->parent_creates;
}

static void
undo_one(struct zk_tree *t, struct undo *u)
{
	switch (u->kind) {
	case UNDO_CREATE:
		node_unlink(t, u->node);
		parent_restore(u->node->parent, u);
		node_free(t, u->node);
		break;
	case UNDO_DELETE:
		node_link(t, u->node);
		parent_restore(u->node->parent, u);
		break;
	case UNDO_SET:
		free(u->node->data);
		u->node->data = u->data;
		u->node->data_len = u->data_len;
		u->node->stat = u->stat;
		break;
	case UNDO_SET_ACL:
		acl_unref(t, u->node->acl);
		u->node->acl = u->acl;
		u->node->stat = u->stat;
		break;
	case UNDO_NONE:
		break;
	}
}

/* Nodes deleted later in the same transaction are freed by their own record, behind all that mention them. */
static void
keep_one(struct zk_tree *t, struct undo *u)
{
	if (u->kind == UNDO_SET_ACL)
		acl_unref(t, u->acl);
	else if (u->kind != UNDO_NONE)
		fire_change(t, u->event, u->node);
	if (u->kind == UNDO_SET)
		free(u->data);
}

static void
write_all(struct zk_tree *t, int64_t session, int64_t now_ms, const struct zk_op *ops, const enum zke *refused, uint32_t n, struct zk_result *each,
    uint32_t *failed)
{
	struct undo *undo = xcalloc(n, sizeof(*undo));
	struct write w = { .session = session, .now_ms = now_ms, .zxid = ++t->zxid };
	uint32_t i, done;

	for (done = 0; done < n; done++) {
		w.refused = refused == NULL ? ZKE_OK : refused[done];
		w.op = &ops[done];
		w.undo = &undo[done];
		w.r = &each[done];
		if ((each[done].error = write_one(t, &w)) != ZKE_OK)
			break;
	}
	*failed = done;
	if (done < n) {
		for (i = done; i-- > 0;)
			undo_one(t, &undo[i]);
	} else {
		for (i = 0; i < n; i++)
			keep_one(t, &undo[i]);
		for (i = 0; i < n; i++)
			if (undo[i].kind == UNDO_DELETE)
				node_free(t, undo[i].node);
	}
	free(undo);
}

/* ---- reads ---- */
static enum zke
read_children(struct zk_tree *t, const struct node *n, struct zk_result *r)
{
	const char **names = ARENA_ARRAY(&t->answer, const char *, (size_t)n->nchildren + 1);
	const struct node *c;

	if (names == NULL)
		return (ZKE_SYSTEM_ERROR);
	TAILQ_FOREACH(c, &n->children, sibling)
		names[r->nchildren++] = strrchr(c->path, '/') + 1;
	r->children = names;
	return (ZKE_OK);
}

static unsigned
perms_to_read(enum zk_op_kind kind)
{
	return (kind == ZK_OP_GET_ACL ? ZK_PERM_READ | ZK_PERM_ADMIN : ZK_PERM_READ);
}

static void
read_one(struct zk_tree *t, int64_t session, const struct zk_op *op, struct zk_result *r)
{
	struct node *n = node_find(t, op->path);

	r->path = op->path;
	if (op->kind == ZK_OP_SYNC)
		return;
	/* ZooKeeper 3.8 tells everybody that a node exists. */
	if (n != NULL && op->kind != ZK_OP_EXISTS && !permitted(t, session, n, perms_to_read(op->kind))) {
		r->error = ZKE_NO_AUTH;
		return;
	}
	if (op->watcher != NULL && (n != NULL || op->kind == ZK_OP_EXISTS) &&
	    !mark_add(t, session_find(t, session), op->path, op->kind == ZK_OP_CHILDREN ? ZK_WATCH_CHILDREN : ZK_WATCH_DATA, 0)) {
		r->error = ZKE_QUOTA_EXCEEDED;
		return;
	}
	if (n == NULL) {
		r->error = ZKE_NO_NODE;
		return;
	}
	r->stat = stat_of(n);
	if (op->kind == ZK_OP_GET)
		r->data = slice_of(n->data, n->data_len);
	else if (op->kind == ZK_OP_GET_ACL)
		r->acl = acl_of(n);
	else if (op->kind == ZK_OP_CHILDREN)
		r->error = read_children(t, n, r);
}

/* ---- public ---- */
struct zk_tree *
zk_tree_new(zk_tree_event_fn *fire, void *ctx)
{
	struct zk_tree *t = xcalloc(1, sizeof(*t));

	t->fire = fire;
	t->ctx = ctx;
	t->next_session = 0x100000001000000;
	arena_init(&t->answer, (size_t)1 << 30);
	t->root = node_new("/", slice_str(""));
	HASH_ADD_KEYPTR(hh, t->nodes, t->root->path, 1, t->root);
	return (t);
}

void
zk_tree_free(struct zk_tree **tp)
{
	struct zk_tree *t = *tp;
	struct session *s, *snext;
	struct node *n, *nnext;
	struct watch_point *w, *wnext;

	if (t == NULL)
		return;
	*tp = NULL;
	HASH_ITER(hh, t->sessions, s, snext) {
		zk_tree_drop_watches(t, s->id);
		HASH_DEL(t->sessions, s);
		free(s);
	}
	HASH_ITER(hh, t->watches, w, wnext) {
		HASH_DEL(t->watches, w);
		free(w);
	}
	HASH_ITER(hh, t->nodes, n, nnext) {
		HASH_DEL(t->nodes, n);
		node_free(t, n);
	}
	changes_drop(t);
	arena_fini(&t->answer);
	free(t);
}

static struct session *
session_add(struct zk_tree *t, int64_t id)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->id = id;
	LIST_INIT(&s->ephemerals);
	LIST_INIT(&s->marks);
	HASH_ADD(hh, t->sessions, id, sizeof(s->id), s);
	return (s);
}

int64_t
zk_tree_session_new(struct zk_tree *t)
{
	t->zxid++;
	return (session_add(t, t->next_session++)->id);
}

enum err
zk_tree_session_load(struct zk_tree *t, int64_t id, struct errbuf *eb)
{
	if (id <= 0 || id >= t->next_session || session_find(t, id) != NULL) {
		errbuf_set(eb, "session %" PRId64 " is not below the next one, %" PRId64, id, t->next_session);
		return (ERR_CORRUPT);
	}
	(void)session_add(t, id);
	return (OK);
}

bool
zk_tree_session_alive(const struct zk_tree *t, int64_t id)
{
	return (session_find(t, id) != NULL);
}

void
zk_tree_session_end(struct zk_tree *t, int64_t id, int64_t now_ms)
{
	struct session *s = session_find(t, id);
	struct node *n;

	(void)now_ms;
	if (s == NULL)
		return;
	t->zxid++;
	while ((n = LIST_FIRST(&s->ephemerals)) != NULL) {
		node_detach(t, n, t->zxid);
		fire_change(t, ZK_DELETED, n);
		node_free(t, n);
	}
	zk_tree_drop_watches(t, id);	/* it hears of the end of its own nodes */
	HASH_DEL(t->sessions, s);
	free(s);
}

static bool
is_write(const struct zk_op *op)
{
	return (op->kind == ZK_OP_CREATE || op->kind == ZK_OP_DELETE || op->kind == ZK_OP_SET || op->kind == ZK_OP_SET_ACL);
}

void
zk_tree_apply(struct zk_tree *t, int64_t session, int64_t now_ms, const struct zk_op *op, struct zk_result *r)
{
	uint32_t failed;

	arena_reset(&t->answer);
	*r = (struct zk_result){ .error = ZKE_OK };
	if (session_find(t, session) == NULL)
		r->error = ZKE_SESSION_EXPIRED;
	else if (is_write(op))
		write_all(t, session, now_ms, op, NULL, 1, r, &failed);
	else
		read_one(t, session, op, r);
}

/* What the server says of a failed transaction: 0 before the culprit, its own error, RUNTIME_INCONSISTENCY behind. */
static void
results_of_failure(struct zk_result *each, uint32_t n, uint32_t failed, struct zk_result *r)
{
	uint32_t i;

	r->error = each[failed].error;
	for (i = 0; i < n; i++)
		each[i] = (struct zk_result){ .path = each[i].path,
		    .error = i < failed ? ZKE_OK : i > failed ? ZKE_RUNTIME_INCONSISTENCY : r->error };
}

void
zk_tree_multi(struct zk_tree *t, int64_t session, int64_t now_ms, const struct zk_op *ops, const enum zke *refused, uint32_t n, struct zk_result *r)
{
	struct zk_result *each;
	uint32_t failed;

	arena_reset(&t->answer);
	*r = (struct zk_result){ .error = ZKE_OK, .nresults = n };
	each = ARENA_ARRAY(&t->answer, struct zk_result, n);
	must(each != NULL);
	r->results = each;
	if (session_find(t, session) == NULL) {
		r->error = ZKE_SESSION_EXPIRED;
		for (failed = 0; failed < n; failed++)
			each[failed].error = ZKE_SESSION_EXPIRED;
		return;
	}
	write_all(t, session, now_ms, ops, refused, n, each, &failed);
	if (failed < n)
		results_of_failure(each, n, failed, r);
}

void
zk_tree_limit_watches(struct zk_tree *t, size_t session_bytes_max, size_t bytes_max)
{
	t->session_watch_bytes_max = session_bytes_max;
	t->watch_bytes_max = bytes_max;
}

bool
zk_tree_watch(struct zk_tree *t, int64_t session, const char *path, unsigned kinds, unsigned mode)
{
	struct session *s = session_find(t, session);

	return (s != NULL && mark_add(t, s, path, kinds, mode));
}

bool
zk_tree_unwatch(struct zk_tree *t, int64_t session, const char *path, unsigned kinds)
{
	struct watch_point *w = watch_point(t, path);
	struct watch_mark *m = mark_find(w, session);

	if (m == NULL || (m->kinds & kinds) == 0)
		return (false);
	mark_reduce(t, m, kinds);
	watch_point_drop_if_empty(t, w);
	return (true);
}

bool
zk_tree_watches(const struct zk_tree *t, int64_t session, const char *path, unsigned kinds)
{
	struct watch_mark *m = mark_find(watch_point(t, path), session);

	return (m != NULL && (m->kinds & kinds) != 0);
}

void
zk_tree_drop_watches(struct zk_tree *t, int64_t session)
{
	struct session *s = session_find(t, session);
	struct watch_mark *m;
	struct watch_point *w;

	while (s != NULL && (m = LIST_FIRST(&s->marks)) != NULL) {
		w = m->at;
		mark_drop(t, m);
		watch_point_drop_if_empty(t, w);
	}
}

size_t
zk_tree_watch_bytes(const struct zk_tree *t)
{
	return (t->watch_bytes);
}

uint32_t
zk_tree_watch_count(const struct zk_tree *t)
{
	return (t->nwatches);
}

int64_t
zk_tree_zxid(const struct zk_tree *t)
{
	return (t->zxid);
}

/* ---- what a server needs ---- */
static bool
is_empty_container(const struct node *n)
{
	return (n->stat.ephemeral_owner == ZK_CONTAINER_OWNER && n->creates > 0 && n->nchildren == 0);
}

bool
zk_tree_has_empty_containers(const struct zk_tree *t)
{
	const struct node *n, *next;

	HASH_ITER(hh, t->nodes, n, next)
		if (is_empty_container(n))
			return (true);
	return (false);
}

void
zk_tree_delete_empty_containers(struct zk_tree *t)
{
	struct node *n, *next;

	HASH_ITER(hh, t->nodes, n, next) {
		if (!is_empty_container(n))
			continue;
		node_detach(t, n, ++t->zxid);
		fire_change(t, ZK_DELETED, n);
		node_free(t, n);
	}
}

void
zk_tree_ephemerals(const struct zk_tree *t, int64_t session, void (*fn)(void *, const char *), void *ctx)
{
	const struct session *s = session_find(t, session);
	const struct node *n;

	if (s != NULL)
		LIST_FOREACH(n, &s->ephemerals, owned)
			fn(ctx, n->path);
}

/* The node that follows n when all below `top` are visited, parents first; NULL at the end.  Without recursion: a path may be very deep. */
static const struct node *
next_below(const struct node *top, const struct node *n)
{
	if (!TAILQ_EMPTY(&n->children))
		return (TAILQ_FIRST(&n->children));
	while (n != top && TAILQ_NEXT(n, sibling) == NULL)
		n = n->parent;
	return (n == top ? NULL : TAILQ_NEXT(n, sibling));
}

uint32_t
zk_tree_descendants(const struct zk_tree *t, const char *path)
{
	const struct node *top = node_find(t, path), *n = top;
	uint32_t count = 0;

	while (n != NULL && (n = next_below(top, n)) != NULL)
		count++;
	return (count);
}

bool
zk_tree_stat(const struct zk_tree *t, const char *path, struct zk_stat *stat)
{
	const struct node *n = node_find(t, path);

	if (n != NULL)
		*stat = stat_of(n);
	return (n != NULL);
}

uint32_t
zk_tree_nodes(const struct zk_tree *t)
{
	return (HASH_COUNT(t->nodes));
}

/* ---- what a store needs ---- */
void
zk_tree_permit(struct zk_tree *t, zk_tree_permit_fn *permit)
{
	t->permit = permit;
}

void
zk_tree_track(struct zk_tree *t)
{
	t->track = true;
}

void
zk_tree_changes(struct zk_tree *t, void (*fn)(void *, const char *, const struct zk_tree_node *), void *ctx)
{
	const struct node *n;
	struct change *c, *next;

	HASH_ITER(hh, t->changes, c, next) {
		n = node_find(t, c->path);
		fn(ctx, c->path, n == NULL ? NULL : &(struct zk_tree_node){ slice_of(n->data, n->data_len), acl_of(n), stat_of(n), n->creates });
	}
	changes_drop(t);
}

/* NULL: it can stand there. */
static const char *
why_not(const struct zk_tree *t, const char *path, const struct zk_tree_node *in)
{
	const struct zk_stat *s = &in->stat;
	const struct node *n, *parent;
	int64_t owner = s->ephemeral_owner;

	if (!zk_path_is_valid(path))
		return ("this is no path");
	n = node_find(t, path);
	parent = parent_of(t, path);
	if (n != NULL && n != t->root)
		return ("it is there twice");
	if (n == t->root && owner != 0)
		return ("the root belongs to a session");
	if (parent == NULL)
		return ("its parent is missing");
	if (is_ephemeral(parent))
		return ("its parent is ephemeral");
	if (owner != 0 && owner != ZK_CONTAINER_OWNER && session_find(t, owner) == NULL)
		return ("it belongs to a session that is not there");
	if (s->czxid < 0 || s->mzxid < s->czxid || s->pzxid < s->czxid)
		return ("it was changed before it was made");
	if (s->mzxid > t->zxid || s->pzxid > t->zxid)
		return ("it was changed by a later transaction than the last");
	return (NULL);
}

enum err
zk_tree_load(struct zk_tree *t, const char *path, const struct zk_tree_node *in, struct errbuf *eb)
{
	const char *why = why_not(t, path, in);
	struct node *n;

	if (why != NULL) {
		errbuf_set(eb, "%s", why);
		return (ERR_CORRUPT);
	}
	n = node_find(t, path);
	if (n == NULL) {
		n = node_new(path, in->data);
		n->parent = parent_of(t, path);
		n->stat = in->stat;
		node_link(t, n);
	} else {
		free(n->data);
		n->data = xslicedup(in->data);
		n->data_len = in->data.len;
		n->stat = in->stat;
	}
	n->acl = acl_ref(t, in->acl);
	n->creates = in->creates;
	return (OK);
}

enum err
zk_tree_set_counters(struct zk_tree *t, int64_t zxid, int64_t next_session, struct errbuf *eb)
{
	if (zxid < 0 || zxid > COUNTER_MAX || next_session <= 0 || next_session > COUNTER_MAX) {
		errbuf_set(eb, "zxid %" PRId64 ", next session %" PRId64 ": no server counts so", zxid, next_session);
		return (ERR_CORRUPT);
	}
	t->zxid = zxid;
	t->next_session = next_session;
	return (OK);
}

int64_t
zk_tree_next_session(const struct zk_tree *t)
{
	return (t->next_session);
}

/* ---- for whoever looks at it ---- */
static int
by_path(const void *a, const void *b)
{
	return (strcmp((*(struct node *const *)a)->path, (*(struct node *const *)b)->path));
}

void
zk_tree_walk(const struct zk_tree *t, void (*fn)(void *, const char *, struct slice, const struct zk_stat *), void *ctx)
{
	size_t i = 0, count = HASH_COUNT(t->nodes);
	struct node **all = xcalloc(count, sizeof(struct node *)), *n, *next;
	struct zk_stat stat;

	HASH_ITER(hh, t->nodes, n, next)
		all[i++] = n;
	qsort(all, count, sizeof(struct node *), by_path);
	for (i = 0; i < count; i++) {
		stat = stat_of(all[i]);
		fn(ctx, all[i]->path, slice_of(all[i]->data, all[i]->data_len), &stat);
	}
	free(all);
}

void
zk_tree_check(const struct zk_tree *t)
{
	struct node *n, *next, *c;
	int32_t count;

	HASH_ITER(hh, t->nodes, n, next) {
		must(n == t->root || n->parent == parent_of(t, n->path));			/* (1) */
		must(n == t->root || !is_ephemeral(n->parent));
		must(!is_ephemeral(n) || session_find(t, n->stat.ephemeral_owner) != NULL);	/* (2) */
		count = 0;
		TAILQ_FOREACH(c, &n->children, sibling) {
			must(c->parent == n);
			count++;
		}
		must(count == n->nchildren);
		must(n->stat.mzxid <= t->zxid && n->stat.pzxid <= t->zxid);			/* (4) */
	}
}
