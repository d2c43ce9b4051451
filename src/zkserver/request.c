/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/request.c - see server_int.h: one packet of a client to the tree, and the answer.
 *
 * A request that cannot be decoded is answered MARSHALLING_ERROR; one of an unknown type UNIMPLEMENTED, and the connection closed.  Both as
 * ZooKeeper does.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zkserver/server_int.h"

enum op_code {			/* ZooDefs.OpCode */
	OP_CREATE = 1, OP_DELETE = 2, OP_EXISTS = 3, OP_GET_DATA = 4, OP_SET_DATA = 5, OP_GET_ACL = 6, OP_SET_ACL = 7, OP_GET_CHILDREN = 8, OP_SYNC = 9,
	OP_PING = 11, OP_GET_CHILDREN2 = 12, OP_CHECK = 13, OP_MULTI = 14, OP_CREATE2 = 15, OP_RECONFIG = 16, OP_CHECK_WATCHES = 17,
	OP_REMOVE_WATCHES = 18, OP_CREATE_CONTAINER = 19, OP_CREATE_TTL = 21, OP_MULTI_READ = 22, OP_AUTH = 100, OP_SET_WATCHES = 101,
	OP_GET_EPHEMERALS = 103, OP_GET_ALL_CHILDREN_NUMBER = 104, OP_SET_WATCHES2 = 105, OP_ADD_WATCH = 106, OP_WHO_AM_I = 107,
	OP_CLOSE_SESSION = -11, OP_ERROR = -1,
};

enum {
	XID_EVENT = -1,
	KEEPER_STATE_CONNECTED = 3,
	RECONFIG_DISABLED = -123,
	WATCHES_CHILDREN = 1, WATCHES_DATA = 2, WATCHES_ANY = 3,	/* checkWatches, removeWatches */
	FLAG_CONTAINER = 4, FLAG_TTL = 5, FLAG_TTL_SEQUENTIAL = 6,
	MULTI_OPS_MAX = 1 << 20,
	MULTI_READ_MAX = 64 << 20,	/* bytes of its answer: small questions may ask for one large node again and again */
	ARENA_MAX = 64 << 20,
};

struct call {
	struct client	*c;
	struct reader	 in;
	struct arena	 arena;
	int32_t		 xid, type;
	bool		 odd;		/* a string with a 0 inside */
	bool		 in_multi;
	bool		 no_room;	/* a watch that could not be set */
};

/* ---- answers ---- */

/* The header, and room for the frame's length; the zxid is the tree's now. */
static size_t
answer_begin(struct call *k, int32_t error, struct jute_out **out)
{
	struct zkserver *s = k->c->s;
	size_t begun;

	*out = zkconn_out(k->c);
	begun = jute_frame_begin(*out);
	jute_put_i32(*out, k->xid);
	jute_put_i64(*out, zk_tree_zxid(s->tree));
	jute_put_i32(*out, error);
	k->c->answered++;
	s->answered++;
	return (begun);
}

static void
answer_error(struct call *k, int32_t error)
{
	struct jute_out *out;
	size_t begun = answer_begin(k, error, &out);

	jute_frame_end(out, begun);
}

void
request_event(struct client *c, enum zk_event event, const char *path)
{
	static const int32_t types[] = { [ZK_CREATED] = 1, [ZK_DELETED] = 2, [ZK_CHANGED] = 3, [ZK_CHILDREN] = 4 };
	struct jute_out *out;
	size_t begun;

	if (c->doomed)
		return;
	out = zkconn_out(c);
	begun = jute_frame_begin(out);
	jute_put_i32(out, XID_EVENT);
	jute_put_i64(out, -1);
	jute_put_i32(out, 0);
	jute_put_i32(out, types[event]);
	jute_put_i32(out, KEEPER_STATE_CONNECTED);
	jute_put_string(out, path);
	jute_frame_end(out, begun);
	zkconn_said(c);
}

/* ---- reads ---- */

static void
put_children(struct jute_out *out, const struct zk_result *r)
{
	jute_put_i32(out, (int32_t)r->nchildren);
	for (uint32_t i = 0; i < r->nchildren; i++)
		jute_put_string(out, r->children[i]);
}

static bool
may_administrate(struct call *k, const char *path)
{
	struct zk_result r;

	zk_tree_apply(k->c->s->tree, k->c->session->id, 0, &(struct zk_op){ .kind = ZK_OP_GET_ACL, .path = path }, &r);
	return (acl_permits(r.acl, &k->c->ids, ZK_PERM_ADMIN));
}

static void
put_read(struct call *k, struct jute_out *out, const struct zk_op *op, const struct zk_result *r)
{
	switch (k->type) {
	case OP_EXISTS:
		jute_put_stat(out, &r->stat);
		break;
	case OP_GET_DATA:
		jute_put_bytes(out, r->data);
		jute_put_stat(out, &r->stat);
		break;
	case OP_GET_ACL:
		acl_put(out, r->acl, !may_administrate(k, op->path));
		jute_put_stat(out, &r->stat);
		break;
	case OP_GET_CHILDREN:
	case OP_GET_CHILDREN2:
		put_children(out, r);
		if (k->type == OP_GET_CHILDREN2)
			jute_put_stat(out, &r->stat);
		break;
	case OP_GET_ALL_CHILDREN_NUMBER:
		jute_put_i32(out, (int32_t)zk_tree_descendants(k->c->s->tree, op->path));
		break;
	case OP_SYNC:
		jute_put_string(out, op->path);
		break;
	default:
		must(false);
	}
}

static enum zk_op_kind
kind_of_read(int32_t type)
{
	switch (type) {
	case OP_EXISTS:
		return (ZK_OP_EXISTS);
	case OP_GET_DATA:
		return (ZK_OP_GET);
	case OP_GET_ACL:
		return (ZK_OP_GET_ACL);
	case OP_SYNC:
		return (ZK_OP_SYNC);
	default:
		return (ZK_OP_CHILDREN);
	}
}

static bool
has_watch(int32_t type)
{
	return (type == OP_EXISTS || type == OP_GET_DATA || type == OP_GET_CHILDREN || type == OP_GET_CHILDREN2);
}

/* path, and for some whether to watch */
static bool
read_decode(struct call *k, struct zk_op *op)
{
	static struct zk_watcher armed;		/* the tree asks only whether there is one */

	*op = (struct zk_op){ .kind = kind_of_read(k->type), .path = jute_string(&k->in, &k->arena, &k->odd) };
	if (has_watch(k->type) && rd_i8(&k->in) != 0)
		op->watcher = &armed;
	return (!k->in.bad && op->path != NULL);
}

static void
do_read(struct call *k)
{
	struct client *c = k->c;
	struct jute_out *out;
	struct zk_result r;
	struct zk_op op;
	size_t begun;

	if (!read_decode(k, &op)) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
	} else if (k->odd) {		/* no node is called that, and only exists says more of it */
		answer_error(k, k->type == OP_EXISTS ? ZKE_BAD_ARGUMENTS : ZKE_NO_NODE);
	} else {
		zk_tree_apply(c->s->tree, c->session->id, 0, &op, &r);
		begun = answer_begin(k, (int32_t)r.error, &out);
		if (r.error == ZKE_OK)
			put_read(k, out, &op, &r);
		jute_frame_end(out, begun);
	}
}

/* ---- writes ---- */

struct write_op {
	struct zk_op op;
	enum zke     refused;
};

static bool
has_slash(const char *path)
{
	return (strchr(path, '/') != NULL);
}

/* The flags of a create; the type says more than they do. */
static enum zke
create_mode(const struct call *k, int32_t type, int32_t flags, int64_t ttl, enum zk_create_mode *mode)
{
	bool container = k->in_multi ? flags == FLAG_CONTAINER : type == OP_CREATE_CONTAINER;

	if (flags < 0 || flags > FLAG_TTL_SEQUENTIAL)
		return (ZKE_BAD_ARGUMENTS);
	if (flags == FLAG_TTL || flags == FLAG_TTL_SEQUENTIAL)	/* extended types are off, as by default in ZooKeeper */
		return (k->in_multi && type != OP_CREATE_TTL ? ZKE_MARSHALLING_ERROR : ZKE_UNIMPLEMENTED);
	if (ttl >= 0)
		return (ZKE_BAD_ARGUMENTS);
	*mode = container ? ZK_CONTAINER : flags == FLAG_CONTAINER ? ZK_PERSISTENT : (enum zk_create_mode)flags;
	return (ZKE_OK);
}

static void
decode_create(struct call *k, int32_t type, struct write_op *w)
{
	enum zke acl, mode;
	int32_t flags;
	int64_t ttl = -1;

	w->op.kind = ZK_OP_CREATE;
	w->op.path = jute_string(&k->in, &k->arena, &k->odd);
	w->op.data = jute_bytes(&k->in);
	acl = acl_fix(&k->in, &k->c->ids, &k->arena, &w->op.acl);
	flags = rd_i32(&k->in);
	if (type == OP_CREATE_TTL)
		ttl = rd_i64(&k->in);
	mode = create_mode(k, type, flags, ttl, &w->op.mode);
	if (w->op.path == NULL || k->in.bad)
		return;
	w->refused = mode != ZKE_OK ? mode : k->odd || !has_slash(w->op.path) ? ZKE_BAD_ARGUMENTS : acl;
}

static void
decode_delete(struct call *k, struct write_op *w)
{
	w->op.kind = ZK_OP_DELETE;
	w->op.path = jute_string(&k->in, &k->arena, &k->odd);
	w->op.version = rd_i32(&k->in);
	if (w->op.path != NULL && (k->odd || !has_slash(w->op.path)))
		w->refused = ZKE_BAD_ARGUMENTS;
}

static void
decode_set(struct call *k, int32_t type, struct write_op *w)
{
	enum zke acl = ZKE_OK;

	w->op.kind = type == OP_SET_DATA ? ZK_OP_SET : type == OP_SET_ACL ? ZK_OP_SET_ACL : ZK_OP_CHECK;
	w->op.path = jute_string(&k->in, &k->arena, &k->odd);
	if (type == OP_SET_DATA)
		w->op.data = jute_bytes(&k->in);
	else if (type == OP_SET_ACL)
		acl = acl_fix(&k->in, &k->c->ids, &k->arena, &w->op.acl);
	w->op.version = rd_i32(&k->in);
	if (w->op.path != NULL)
		w->refused = k->odd || !zk_path_is_valid(w->op.path) ? ZKE_BAD_ARGUMENTS : acl;
}

/* false: it cannot be read. */
static bool
write_decode(struct call *k, int32_t type, struct write_op *w)
{
	*w = (struct write_op){ .refused = ZKE_OK };
	k->odd = false;
	switch (type) {
	case OP_CREATE: case OP_CREATE2: case OP_CREATE_CONTAINER: case OP_CREATE_TTL:
		decode_create(k, type, w);
		break;
	case OP_DELETE:
		decode_delete(k, w);
		break;
	case OP_SET_DATA: case OP_SET_ACL: case OP_CHECK:
		decode_set(k, type, w);
		break;
	default:
		return (false);
	}
	return (!k->in.bad && w->op.path != NULL);
}

static void
put_written(struct jute_out *out, int32_t type, const struct zk_result *r)
{
	switch (type) {
	case OP_CREATE:
		jute_put_string(out, r->path);
		break;
	case OP_CREATE2: case OP_CREATE_CONTAINER: case OP_CREATE_TTL:
		jute_put_string(out, r->path);
		jute_put_stat(out, &r->stat);
		break;
	case OP_SET_DATA: case OP_SET_ACL:
		jute_put_stat(out, &r->stat);
		break;
	default:		/* delete, check: nothing to say */
		break;
	}
}

/* An answer's zxid, and the batch it waits for, are those after the change. */
static void
do_write(struct call *k)
{
	struct client *c = k->c;
	struct zk_result r;
	struct write_op w;
	struct jute_out *out;
	size_t begun;
	bool ok = write_decode(k, k->type, &w);

	server_dirty(c->s);
	if (!ok) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
		return;
	}
	zk_tree_multi(c->s->tree, c->session->id, server_wall_ms(c->s), &w.op, &w.refused, 1, &r);
	begun = answer_begin(k, (int32_t)r.error, &out);
	if (r.error == ZKE_OK)
		put_written(out, k->type, &r.results[0]);
	jute_frame_end(out, begun);
}

/* ---- several at once ---- */

static void
multi_header(struct jute_out *out, int32_t type, bool done, int32_t error)
{
	jute_put_i32(out, type);
	jute_put_bool(out, done);
	jute_put_i32(out, error);
}

static void
multi_error(struct jute_out *out, int32_t error)
{
	multi_header(out, OP_ERROR, false, error);
	jute_put_i32(out, error);
}

struct ops {
	struct zk_op *ops;
	enum zke     *refused;
	int32_t	     *types;
	uint32_t      n, room;
};

static void
ops_fini(struct ops *o)
{
	free(o->ops);
	free(o->refused);
	free(o->types);
}

static void
ops_add(struct ops *o, int32_t type, const struct write_op *w)
{
	if (o->n == o->room) {
		o->room = o->room * 2 + 8;
		o->ops = xreallocarray(o->ops, o->room, sizeof(*o->ops));
		o->refused = xreallocarray(o->refused, o->room, sizeof(*o->refused));
		o->types = xreallocarray(o->types, o->room, sizeof(*o->types));
	}
	o->ops[o->n] = w->op;
	o->refused[o->n] = w->refused;
	o->types[o->n++] = type;
}

/* The next header of a multi's request: false at its end, or when it cannot be read. */
static bool
multi_next(struct call *k, int32_t *type)
{
	bool done;

	*type = rd_i32(&k->in);
	done = rd_i8(&k->in) != 0;
	(void)rd_i32(&k->in);
	return (!k->in.bad && !done);
}

/* Inside a multi it is the flags that say what a create is; a container's result is given as create2's. */
static int32_t
type_in_multi(int32_t type, const struct write_op *w)
{
	if (w->op.kind != ZK_OP_CREATE)
		return (type);
	return (w->op.mode == ZK_CONTAINER ? OP_CREATE2 : OP_CREATE);
}

static bool
multi_decode(struct call *k, struct ops *o)
{
	struct write_op w;
	int32_t type;

	k->in_multi = true;
	while (multi_next(k, &type)) {
		if (type == OP_SET_ACL || !write_decode(k, type, &w) || o->n == MULTI_OPS_MAX)
			return (false);
		ops_add(o, type_in_multi(type, &w), &w);
	}
	return (!k->in.bad);
}

static void
put_multi(struct jute_out *out, const struct ops *o, const struct zk_result *r)
{
	for (uint32_t i = 0; i < o->n; i++) {
		if (r->error != ZKE_OK) {
			multi_error(out, (int32_t)r->results[i].error);
			continue;
		}
		multi_header(out, o->types[i], false, 0);
		put_written(out, o->types[i], &r->results[i]);
	}
	multi_header(out, -1, true, -1);
}

static void
do_multi(struct call *k)
{
	struct client *c = k->c;
	struct ops o = { 0 };
	struct zk_result r;
	struct jute_out *out;
	size_t begun;
	bool ok = multi_decode(k, &o);

	server_dirty(c->s);
	if (!ok) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
	} else {
		zk_tree_multi(c->s->tree, c->session->id, server_wall_ms(c->s), o.ops, o.refused, o.n, &r);
		if (r.error == ZKE_MARSHALLING_ERROR) {
			answer_error(k, r.error);
			ops_fini(&o);
			return;
		}
		begun = answer_begin(k, 0, &out);
		put_multi(out, &o, &r);
		jute_frame_end(out, begun);
	}
	ops_fini(&o);
}

static void
read_in_multi(struct call *k, struct jute_out *out, int32_t type, const struct zk_op *op)
{
	struct zk_result r;

	if (k->odd)
		r = (struct zk_result){ .error = ZKE_BAD_ARGUMENTS };
	else
		zk_tree_apply(k->c->s->tree, k->c->session->id, 0, op, &r);
	if (r.error != ZKE_OK) {
		multi_error(out, (int32_t)r.error);
		return;
	}
	multi_header(out, type, false, 0);
	put_read(k, out, op, &r);
}

static void
do_multi_read(struct call *k)
{
	struct jute_out body = { 0 }, *out;
	int32_t type;
	bool bad = false;
	struct zk_op op;
	size_t begun;

	while (!bad && body.len <= MULTI_READ_MAX && multi_next(k, &type)) {
		k->type = type;
		k->odd = false;
		bad = (type != OP_GET_DATA && type != OP_GET_CHILDREN) || !read_decode(k, &op);
		if (!bad)
			read_in_multi(k, &body, type, &op);
	}
	if (bad || k->in.bad) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
	} else if (body.len > MULTI_READ_MAX) {
		diag_warning(k->c->s->opt.diag, "zkserver", "%s:%u asks for more than %d bytes at once: the connection is closed", k->c->host,
		    (unsigned)k->c->port, (int)MULTI_READ_MAX);
		zkconn_close(k->c);
	} else {
		multi_header(&body, -1, true, -1);
		begun = answer_begin(k, 0, &out);
		jute_put_raw(out, slice_of(body.p, body.len));
		jute_frame_end(out, begun);
	}
	jute_out_fini(&body);
}

/* ---- watches ---- */

static void
watch(struct call *k, const char *path, unsigned kinds, unsigned mode)
{
	if (!zk_tree_watch(k->c->s->tree, k->c->session->id, path, kinds, mode))
		k->no_room = true;
}

typedef void again_fn(struct call *, const char *path, bool there, const struct zk_stat *, int64_t zxid);

/* A client that is back says what it watched, and what was the last it has seen: what happened since is told now. */
static void
again_data(struct call *k, const char *path, bool there, const struct zk_stat *stat, int64_t zxid)
{
	if (!there)
		request_event(k->c, ZK_DELETED, path);
	else if (stat->mzxid > zxid)
		request_event(k->c, ZK_CHANGED, path);
	else
		watch(k, path, ZK_WATCH_DATA, 0);
}

static void
again_exists(struct call *k, const char *path, bool there, const struct zk_stat *stat, int64_t zxid)
{
	(void)stat;
	(void)zxid;
	if (there)
		request_event(k->c, ZK_CREATED, path);
	else
		watch(k, path, ZK_WATCH_DATA, 0);
}

static void
again_children(struct call *k, const char *path, bool there, const struct zk_stat *stat, int64_t zxid)
{
	if (!there)
		request_event(k->c, ZK_DELETED, path);
	else if (stat->pzxid > zxid)
		request_event(k->c, ZK_CHILDREN, path);
	else
		watch(k, path, ZK_WATCH_CHILDREN, 0);
}

static void
again_persistent(struct call *k, const char *path, bool there, const struct zk_stat *stat, int64_t zxid)
{
	(void)there;
	(void)stat;
	(void)zxid;
	watch(k, path, ZK_WATCH_DATA | ZK_WATCH_CHILDREN, ZK_WATCH_PERSISTENT);
}

static void
again_recursive(struct call *k, const char *path, bool there, const struct zk_stat *stat, int64_t zxid)
{
	(void)there;
	(void)stat;
	(void)zxid;
	watch(k, path, ZK_WATCH_DATA | ZK_WATCH_CHILDREN, ZK_WATCH_PERSISTENT | ZK_WATCH_RECURSIVE);
}

static void
again(struct call *k, int64_t zxid, again_fn *fn)
{
	int32_t n = jute_count(&k->in, sizeof(int32_t));

	for (int32_t i = 0; i < n && !k->in.bad && !k->no_room; i++) {
		struct zk_stat stat = { 0 };
		bool odd = false;
		char *path = jute_string(&k->in, &k->arena, &odd);

		if (path != NULL && !odd)
			fn(k, path, zk_tree_stat(k->c->s->tree, path, &stat), &stat, zxid);
	}
}

static void
do_set_watches(struct call *k)
{
	static again_fn *const kinds[] = { again_data, again_exists, again_children, again_persistent, again_recursive };
	int64_t zxid = rd_i64(&k->in);
	size_t n = k->type == OP_SET_WATCHES2 ? 5 : 3;

	for (size_t i = 0; i < n; i++)
		again(k, zxid, kinds[i]);
	if (k->no_room) {	/* clients do not look at this answer: they would believe that they watch */
		diag_warning(k->c->s->opt.diag, "zkserver", "%s:%u watches more than %d bytes of watches allow: the connection is closed", k->c->host,
		    (unsigned)k->c->port, (int)LIMIT_ZK_SESSION_WATCH_BYTES_MAX);
		zkconn_close(k->c);
		return;
	}
	answer_error(k, k->in.bad ? ZKE_MARSHALLING_ERROR : ZKE_OK);
}

static void
do_add_watch(struct call *k)
{
	char *path = jute_string(&k->in, &k->arena, &k->odd);
	int32_t mode = rd_i32(&k->in);
	struct jute_out *out;
	size_t begun;

	if (k->in.bad || path == NULL || k->odd || mode < 0 || mode > 1) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
		return;
	}
	watch(k, path, ZK_WATCH_DATA | ZK_WATCH_CHILDREN, ZK_WATCH_PERSISTENT | (mode == 1 ? ZK_WATCH_RECURSIVE : 0));
	if (k->no_room) {
		answer_error(k, ZKE_QUOTA_EXCEEDED);
		return;
	}
	begun = answer_begin(k, 0, &out);
	jute_put_i32(out, 0);
	jute_frame_end(out, begun);
}

static void
do_look_at_watches(struct call *k)
{
	char *path = jute_string(&k->in, &k->arena, &k->odd);
	int32_t type = rd_i32(&k->in);
	struct zk_tree *t = k->c->s->tree;
	int64_t id = k->c->session->id;
	unsigned kinds;
	bool there;

	if (k->in.bad || path == NULL || type < WATCHES_CHILDREN || type > WATCHES_ANY) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
		return;
	}
	kinds = type == WATCHES_CHILDREN ? ZK_WATCH_CHILDREN : type == WATCHES_DATA ? ZK_WATCH_DATA : ZK_WATCH_DATA | ZK_WATCH_CHILDREN;
	there = k->type == OP_REMOVE_WATCHES ? zk_tree_unwatch(t, id, path, kinds) : zk_tree_watches(t, id, path, kinds);
	answer_error(k, there ? ZKE_OK : ZKE_NO_WATCHER);
}

/* ---- of the session ---- */

static void
do_auth(struct call *k)
{
	struct slice credentials;
	char *scheme;

	(void)rd_i32(&k->in);		/* an auth type that nobody uses */
	scheme = jute_string(&k->in, &k->arena, &k->odd);
	credentials = jute_bytes(&k->in);
	if (!k->in.bad && acl_authenticate(&k->c->ids, k->c->host, scheme, credentials)) {
		answer_error(k, ZKE_OK);
		return;
	}
	diag_warning(k->c->s->opt.diag, "zkserver", "%s:%u: authentication by scheme %s is refused", k->c->host, (unsigned)k->c->port,
	    scheme == NULL ? "(none)" : scheme);
	answer_error(k, ZKE_AUTH_FAILED);
	zkconn_close_after(k->c);
}

static void
do_close_session(struct call *k)
{
	server_session_end(k->c->s, k->c->session);
	answer_error(k, ZKE_OK);
	zkconn_close_after(k->c);
}

struct names {
	const char *prefix;
	struct jute_out out;
	uint32_t n;
};

static void
name_one(void *ctx, const char *path)
{
	struct names *n = ctx;

	if (strncmp(path, n->prefix, strlen(n->prefix)) == 0) {
		jute_put_string(&n->out, path);
		n->n++;
	}
}

static void
do_get_ephemerals(struct call *k)
{
	struct names n = { .prefix = jute_string(&k->in, &k->arena, &k->odd) };
	struct jute_out *out;
	size_t begun;

	if (k->in.bad) {
		answer_error(k, ZKE_MARSHALLING_ERROR);
		return;
	}
	if (n.prefix == NULL)
		n.prefix = "";
	zk_tree_ephemerals(k->c->s->tree, k->c->session->id, name_one, &n);
	begun = answer_begin(k, 0, &out);
	jute_put_i32(out, (int32_t)n.n);
	jute_put_raw(out, slice_of(n.out.p, n.out.len));
	jute_frame_end(out, begun);
	jute_out_fini(&n.out);
}

static void
do_who_am_i(struct call *k)
{
	const struct acl_identities *ids = &k->c->ids;
	struct jute_out *out;
	size_t begun = answer_begin(k, 0, &out);

	jute_put_i32(out, (int32_t)ids->n);
	for (uint32_t i = 0; i < ids->n; i++) {
		const char *colon = strcmp(ids->v[i].scheme, "digest") == 0 ? strchr(ids->v[i].id, ':') : NULL;

		jute_put_string(out, ids->v[i].scheme);
		jute_put_bytes(out, colon == NULL ? slice_str(ids->v[i].id) : slice_of(ids->v[i].id, (size_t)(colon - ids->v[i].id)));
	}
	jute_frame_end(out, begun);
}

static void
do_ping(struct call *k)
{
	answer_error(k, ZKE_OK);
}

static void
do_reconfig(struct call *k)
{
	server_dirty(k->c->s);
	answer_error(k, RECONFIG_DISABLED);
}

/* ---- which is which ---- */

static const struct {
	int32_t type;
	void (*fn)(struct call *);
} rows[] = {
	{ OP_PING, do_ping }, { OP_EXISTS, do_read }, { OP_GET_DATA, do_read }, { OP_GET_CHILDREN, do_read }, { OP_GET_CHILDREN2, do_read },
	{ OP_GET_ACL, do_read }, { OP_SYNC, do_read }, { OP_GET_ALL_CHILDREN_NUMBER, do_read }, { OP_CREATE, do_write }, { OP_CREATE2, do_write },
	{ OP_CREATE_CONTAINER, do_write }, { OP_CREATE_TTL, do_write }, { OP_DELETE, do_write }, { OP_SET_DATA, do_write }, { OP_SET_ACL, do_write },
	{ OP_CHECK, do_write }, { OP_MULTI, do_multi }, { OP_MULTI_READ, do_multi_read }, { OP_SET_WATCHES, do_set_watches },
	{ OP_SET_WATCHES2, do_set_watches }, { OP_ADD_WATCH, do_add_watch }, { OP_CHECK_WATCHES, do_look_at_watches },
	{ OP_REMOVE_WATCHES, do_look_at_watches }, { OP_GET_EPHEMERALS, do_get_ephemerals }, { OP_WHO_AM_I, do_who_am_i },
	{ OP_RECONFIG, do_reconfig }, { OP_CLOSE_SESSION, do_close_session },
};

static void
perform(struct call *k)
{
	if (k->type == OP_AUTH) {	/* also before there is a session worth the name */
		do_auth(k);
		return;
	}
	if (k->c->session == NULL) {
		answer_error(k, ZKE_SESSION_EXPIRED);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == k->type) {
			rows[i].fn(k);
			return;
		}
	answer_error(k, ZKE_UNIMPLEMENTED);
	zkconn_close_after(k->c);
}

void
request(struct client *c, struct slice frame)
{
	struct call k = { .c = c, .in = reader_of(frame) };

	k.xid = rd_i32(&k.in);
	k.type = rd_i32(&k.in);
	if (k.in.bad) {
		zkconn_close(c);
		return;
	}
	if (c->session != NULL)
		server_session_touch(c->s, c->session);
	arena_init(&k.arena, ARENA_MAX);
	perform(&k);
	arena_fini(&k.arena);
}

/* ---- the first packet ---- */

struct connect {
	int64_t	zxid_seen, session;
	int32_t	timeout_ms;
	struct slice password;
	bool	has_read_only;		/* clients before 3.4 do not send it, and do not expect it */
};

static bool
connect_decode(struct slice frame, struct connect *k)
{
	struct reader in = reader_of(frame);

	(void)rd_i32(&in);		/* protocol version, 0 */
	k->zxid_seen = rd_i64(&in);
	k->timeout_ms = rd_i32(&in);
	k->session = rd_i64(&in);
	k->password = jute_bytes(&in);
	k->has_read_only = !in.bad && rd_left(&in) > 0;
	return (!in.bad);
}

/* The session it asks for, taken from whatever connection it had; NULL: it has expired, or the password is another's. */
static struct live *
reattach(struct client *c, const struct connect *k)
{
	struct live *l = server_session_find(c->s, k->session);
	uint8_t password[SESSION_PASSWORD_LEN];

	if (l == NULL)
		return (NULL);
	server_password(c->s, l->id, password);
	if (!slice_eq(k->password, slice_of(password, sizeof(password))))
		return (NULL);
	if (l->conn != NULL)
		zkconn_close(l->conn);
	return (l);
}

static void
connect_answer(struct client *c, bool has_read_only)
{
	uint8_t password[SESSION_PASSWORD_LEN] = { 0 };
	struct jute_out *out = zkconn_out(c);
	size_t begun = jute_frame_begin(out);

	if (c->session != NULL)
		server_password(c->s, c->session->id, password);
	jute_put_i32(out, 0);
	jute_put_i32(out, c->session == NULL ? 0 : c->session->timeout_ms);
	jute_put_i64(out, c->session == NULL ? 0 : c->session->id);
	jute_put_bytes(out, slice_of(password, sizeof(password)));
	if (has_read_only)
		jute_put_bool(out, false);
	jute_frame_end(out, begun);
}

void
request_connect(struct client *c, struct slice frame)
{
	struct connect k;
	struct live *l;

	if (!connect_decode(frame, &k)) {
		zkconn_close(c);
		return;
	}
	if (k.zxid_seen > zk_tree_zxid(c->s->tree)) {
		diag_warning(c->s->opt.diag, "zkserver", "%s:%u has seen zxid 0x%" PRIx64 ", which is not here (0x%" PRIx64 "): it belongs to another ZooKeeper",
		    c->host, (unsigned)c->port, (uint64_t)k.zxid_seen, (uint64_t)zk_tree_zxid(c->s->tree));
		zkconn_close(c);
		return;
	}
	c->connected = true;
	l = k.session == 0 ? server_session_new(c->s, k.timeout_ms) : reattach(c, &k);
	if (l != NULL) {
		l->conn = c;
		c->session = l;
		server_session_touch(c->s, l);
	}
	connect_answer(c, k.has_read_only);
	if (l == NULL)
		zkconn_close_after(c);
}
