/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_call.c - operations through the ZooKeeper C client, and its callbacks.  See session.c for what they mean.
 *
 * The completion functions and watchers here run on the C client's threads.  They copy what they are given and post it to the home loop;
 * they touch nothing else.  The library calls them in the order of the server's answers, and one thread posts them all, so that order
 * is kept.
 *
 * CHROOT   The C client's own is not used (it misbehaves while the node is missing): every path gets the prefix here, and loses it here.
 * NULL     A null slice is sent as length -1 and read back as such: ZooKeeper's null data.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "zk/acl.h"
#include "zk/paths.h"
#include "zk/session_int.h"

/* ---- the library's log ---- */
static struct {				/* the library's log callback has no context: the exception to "no mutable globals" */
	struct lock  lock;
	struct diag *diag;
} log_sink = { .lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_zk_session } };

void
session_log_to(struct diag *diag)
{
	lock_acquire(&log_sink.lock);
	log_sink.diag = diag;
	lock_release(&log_sink.lock);
}

/* "2026-11-22 18:20:39,123:4711(0x7f...):ZOO_INFO@function@line: words" */
void
session_log(const char *message)
{
	const char *words = strstr(message, "ZOO_");
	enum diag_level level = DIAG_DEBUG;

	if (words != NULL && strncmp(words, "ZOO_ERROR", 9) == 0)
		level = DIAG_WARNING;
	else if (words != NULL && strncmp(words, "ZOO_WARN", 8) == 0)
		level = DIAG_INFO;
	lock_acquire(&log_sink.lock);
	diag_line(log_sink.diag, level, "zookeeper", "%s", words == NULL ? message : words);
	lock_release(&log_sink.lock);
}

/* ---- paths ---- */
static char *
full_path(const struct zk_session *s, const struct session_call *c, const char *path)
{
	if (c->client->raw || s->chroot[0] == '\0')
		return (xstrdup(path));
	return (xasprintf("%s%s", s->chroot, strcmp(path, "/") == 0 ? "" : path));
}

static const char *
without_chroot(const char *chroot, const char *path)
{
	size_t len = strlen(chroot);

	if (strncmp(path, chroot, len) != 0)
		return (path);
	return (path[len] == '\0' ? "/" : path + len);
}

static const char *
strip(const struct session_call *c, const char *path)
{
	return (path == NULL ? NULL : c->client->raw ? path : without_chroot(c->client->session->chroot, path));
}

/* ---- ACLs ---- */
static const struct ACL_vector *
acl_by_default(const struct zk_session *s, const struct session_call *c, const char *path)
{
	const char *in_chroot = c->client->raw && s->chroot[0] != '\0' ? "/" : path;

	if (!s->options.set_acl || strcmp(in_chroot, ZK_CONSUMERS) == 0)
		return (&ZOO_OPEN_ACL_UNSAFE);
	return (zk_path_is_sensitive(in_chroot) ? &ZOO_CREATOR_ALL_ACL : &s->acl_read);
}

/* What the library takes for a list of its own; acl_free it when it has been sent. */
struct acl_copy {
	struct ACL_vector vector;
	char *text;			/* schemes and ids, each with its NUL */
};

static char *
put_text(char **p, struct slice s)
{
	char *at = *p;

	if (s.len > 0)
		memcpy(at, s.p, s.len);
	at[s.len] = '\0';
	*p += s.len + 1;
	return (at);
}

static void
acl_copy(struct acl_copy *copy, struct slice acl)
{
	struct zk_acl_entry *entries = NULL;
	uint32_t n = 0;
	char *p;

	must(zk_acl_read(acl, &entries, &n));	/* zk_ops_invalid has looked at it */
	copy->vector = (struct ACL_vector){ (int32_t)n, xcalloc(n, sizeof(struct ACL)) };
	p = copy->text = xmalloc(acl.len + 64);
	for (uint32_t i = 0; i < n; i++) {
		copy->vector.data[i].perms = entries[i].perms;
		copy->vector.data[i].id.scheme = put_text(&p, entries[i].scheme);
		copy->vector.data[i].id.id = put_text(&p, entries[i].id);
	}
	free(entries);
}

static void
acl_free(struct acl_copy *copy)
{
	free(copy->vector.data);
	free(copy->text);
}

/* Of a create: its own list (copied) or what zookeeper.set.acl says. */
static const struct ACL_vector *
acl_to_create(const struct zk_session *s, const struct session_call *c, const struct zk_op *op, struct acl_copy *copy)
{
	if (op->acl.p == NULL)
		return (acl_by_default(s, c, op->path));
	acl_copy(copy, op->acl);
	return (&copy->vector);
}

void
session_authenticate(const struct zk_session *s, zhandle_t *zh)
{
	const struct zk_session_auth *a;

	for (a = s->options.auth; a < s->options.auth + s->options.nauth; a++)
		(void)zoo_add_auth(zh, a->scheme, (const char *)a->credentials.p, (int)a->credentials.len, NULL, NULL);
}

static int
mode_of(enum zk_create_mode mode)
{
	switch (mode) {
	case ZK_EPHEMERAL:
		return (ZOO_EPHEMERAL);
	case ZK_PERSISTENT_SEQUENTIAL:
		return (ZOO_PERSISTENT_SEQUENTIAL);
	case ZK_EPHEMERAL_SEQUENTIAL:
		return (ZOO_EPHEMERAL_SEQUENTIAL);
	default:
		return (ZOO_PERSISTENT);
	}
}

static int
length_of(struct slice s)
{
	return (s.p == NULL ? -1 : (int)s.len);
}

static void
copy_stat(struct zk_stat *to, const struct Stat *from)
{
	if (from == NULL)
		return;
	*to = (struct zk_stat){ .czxid = from->czxid, .mzxid = from->mzxid, .pzxid = from->pzxid, .ctime_ms = from->ctime,
	    .mtime_ms = from->mtime, .version = from->version, .cversion = from->cversion, .aversion = from->aversion,
	    .ephemeral_owner = from->ephemeralOwner, .data_length = from->dataLength, .num_children = from->numChildren };
}

/* ---- completions, on the library's thread ---- */
static void
go_home(struct session_call *c, int rc, struct zk_result *r)
{
	c->rc = rc;
	r->error = zke_from_code(rc);
	if (r->path == NULL)
		r->path = c->call.ops[0].path;
	c->call.result = zk_result_dup(r);
	c->call.task.fn = session_call_answered;
	loop_post(c->client->session->options.loop, &c->call.task);
}

static void
on_void(int rc, const void *ctx)
{
	struct zk_result r = { .error = ZKE_OK };

	go_home((struct session_call *)(uintptr_t)ctx, rc, &r);
}

static void
on_string(int rc, const char *value, const void *ctx)
{
	(void)value;
	on_void(rc, ctx);
}

static void
on_created(int rc, const char *value, const struct Stat *stat, const void *ctx)
{
	struct session_call *c = (struct session_call *)(uintptr_t)ctx;
	struct zk_result r = { .path = strip(c, value) };

	copy_stat(&r.stat, stat);
	go_home(c, rc, &r);
}

static void
on_stat(int rc, const struct Stat *stat, const void *ctx)
{
	struct zk_result r = { .error = ZKE_OK };

	copy_stat(&r.stat, stat);
	go_home((struct session_call *)(uintptr_t)ctx, rc, &r);
}

static void
on_data(int rc, const char *value, int len, const struct Stat *stat, const void *ctx)
{
	struct zk_result r = { .error = ZKE_OK };

	copy_stat(&r.stat, stat);
	if (rc == ZOK && len >= 0)
		r.data = slice_of(value == NULL ? "" : value, (size_t)len);
	go_home((struct session_call *)(uintptr_t)ctx, rc, &r);
}

static void
on_children(int rc, const struct String_vector *names, const struct Stat *stat, const void *ctx)
{
	struct zk_result r = { .error = ZKE_OK };

	copy_stat(&r.stat, stat);
	if (rc == ZOK && names != NULL) {
		r.children = (const char *const *)names->data;
		r.nchildren = (uint32_t)names->count;
	}
	go_home((struct session_call *)(uintptr_t)ctx, rc, &r);
}

static void
on_acl(int rc, struct ACL_vector *acl, struct Stat *stat, const void *ctx)
{
	struct zk_result r = { .error = ZKE_OK };
	uint32_t n = rc == ZOK && acl != NULL ? (uint32_t)acl->count : 0;
	struct zk_acl_entry *entries = xcalloc((size_t)n + 1, sizeof(*entries));

	copy_stat(&r.stat, stat);
	for (uint32_t i = 0; i < n; i++)
		entries[i] = (struct zk_acl_entry){ acl->data[i].perms, slice_str(acl->data[i].id.scheme), slice_str(acl->data[i].id.id) };
	if (n > 0)
		r.acl = zk_acl_write(entries, n);
	go_home((struct session_call *)(uintptr_t)ctx, rc, &r);
	free((void *)(uintptr_t)r.acl.p);
	free(entries);
}

/* ---- multi ---- */
struct multi_scratch {
	zoo_op_t	*ops;
	zoo_op_result_t *results;
	struct Stat	*stats;
	char	       **made;		/* names of created nodes */
	char	       **paths;
	struct acl_copy *acls;
	uint32_t	 n;
};

static void
multi_free(struct multi_scratch *m)
{
	uint32_t i;

	for (i = 0; i < m->n; i++) {
		free(m->made[i]);
		free(m->paths[i]);
		acl_free(&m->acls[i]);
	}
	free(m->ops);
	free(m->results);
	free(m->stats);
	free(m->made);
	free(m->paths);
	free(m->acls);
	free(m);
}

static struct multi_scratch *
multi_new(uint32_t n)
{
	struct multi_scratch *m = xcalloc(1, sizeof(*m));

	m->n = n;
	m->ops = xcalloc(n, sizeof(*m->ops));
	m->results = xcalloc(n, sizeof(*m->results));
	m->stats = xcalloc(n, sizeof(*m->stats));
	m->made = xcalloc(n, sizeof(char *));
	m->paths = xcalloc(n, sizeof(char *));
	m->acls = xcalloc(n, sizeof(*m->acls));
	return (m);
}

static void
multi_add(const struct zk_session *s, struct session_call *c, struct multi_scratch *m, uint32_t i)
{
	const struct zk_op *op = &c->call.ops[i];
	const char *path = m->paths[i] = full_path(s, c, op->path);
	size_t made_size = strlen(path) + 16;	/* room for a sequence number */

	switch (op->kind) {
	case ZK_OP_CREATE:
		m->made[i] = xcalloc(1, made_size);
		zoo_create_op_init(&m->ops[i], path, (const char *)op->data.p, length_of(op->data), acl_to_create(s, c, op, &m->acls[i]),
		    mode_of(op->mode), m->made[i], (int)made_size);
		break;
	case ZK_OP_DELETE:
		zoo_delete_op_init(&m->ops[i], path, op->version);
		break;
	case ZK_OP_SET:
		zoo_set_op_init(&m->ops[i], path, (const char *)op->data.p, length_of(op->data), op->version, &m->stats[i]);
		break;
	default:
		must(op->kind == ZK_OP_CHECK);
		zoo_check_op_init(&m->ops[i], path, op->version);
		break;
	}
}

static void
on_multi(int rc, const void *ctx)
{
	struct session_call *c = (struct session_call *)(uintptr_t)ctx;
	struct multi_scratch *m = c->scratch;
	struct zk_result *each = xcalloc(m->n, sizeof(*each)), r = { .results = each, .nresults = m->n };
	uint32_t i;

	for (i = 0; i < m->n; i++) {
		each[i].error = zke_from_code(m->results[i].err);
		each[i].path = c->call.ops[i].path;
		if (rc != ZOK)
			continue;
		if (m->made[i] != NULL)
			each[i].path = strip(c, m->made[i]);
		if (c->call.ops[i].kind == ZK_OP_SET)
			copy_stat(&each[i].stat, &m->stats[i]);
	}
	go_home(c, rc, &r);
	free(each);
	/* c may be gone already; m is freed by whoever takes the call at home */
}

static int
send_multi(struct zk_session *s, struct session_call *c)
{
	struct multi_scratch *m = multi_new(c->call.nops);
	uint32_t i;
	int rc;

	for (i = 0; i < m->n; i++)
		multi_add(s, c, m, i);
	c->scratch = m;
	rc = zoo_amulti(s->handle->zh, (int)m->n, m->ops, m->results, on_multi, c);
	if (rc != ZOK)
		session_call_drop_scratch(c);
	return (rc);
}

void
session_call_drop_scratch(struct session_call *c)
{
	if (c->scratch != NULL)
		multi_free(c->scratch);
	c->scratch = NULL;
}

/* ---- sending ---- */
static void on_watch(zhandle_t *, int, int, const char *, void *);

static int
send_set_acl(zhandle_t *zh, struct session_call *c, const char *path)
{
	const struct zk_op *op = &c->call.ops[0];
	struct acl_copy copy;
	int rc;

	acl_copy(&copy, op->acl);
	rc = zoo_aset_acl(zh, path, op->version, &copy.vector, on_void, c);
	acl_free(&copy);
	return (rc);
}

static int
send_create(struct zk_session *s, struct session_call *c, const char *path)
{
	const struct zk_op *op = &c->call.ops[0];
	struct acl_copy copy = { .text = NULL };
	int rc;

	rc = zoo_acreate2(s->handle->zh, path, (const char *)op->data.p, length_of(op->data), acl_to_create(s, c, op, &copy), mode_of(op->mode),
	    on_created, c);
	acl_free(&copy);
	return (rc);
}

static int
send_one(struct zk_session *s, struct session_call *c, const char *path)
{
	const struct zk_op *op = &c->call.ops[0];
	zhandle_t *zh = s->handle->zh;
	watcher_fn watch = c->watch ? on_watch : NULL;

	switch (op->kind) {
	case ZK_OP_CREATE:
		return (send_create(s, c, path));
	case ZK_OP_DELETE:
		return (zoo_adelete(zh, path, op->version, on_void, c));
	case ZK_OP_EXISTS:
		return (zoo_awexists(zh, path, watch, s->handle, on_stat, c));
	case ZK_OP_GET:
		return (zoo_awget(zh, path, watch, s->handle, on_data, c));
	case ZK_OP_SET:
		return (zoo_aset(zh, path, (const char *)op->data.p, length_of(op->data), op->version, on_stat, c));
	case ZK_OP_CHILDREN:
		return (zoo_awget_children2(zh, path, watch, s->handle, on_children, c));
	case ZK_OP_SYNC:
		return (zoo_async(zh, path, on_string, c));
	case ZK_OP_GET_ACL:
		return (zoo_aget_acl(zh, path, on_acl, c));
	case ZK_OP_SET_ACL:
		return (send_set_acl(zh, c, path));
	default:
		return (ZUNIMPLEMENTED);
	}
}

int
session_call_send(struct zk_session *s, struct session_call *c)
{
	char *path;
	int rc;

	if (c->call.multi)
		return (send_multi(s, c));
	path = full_path(s, c, c->call.ops[0].path);
	rc = send_one(s, c, path);
	free(path);
	return (rc);
}

/* ---- events, on the library's thread ---- */
static void
post_event(struct session_handle *h, zhandle_t *zh, int type, int state, const char *path)
{
	struct session_event *e = xcalloc(1, sizeof(*e));

	e->handle = h;
	e->zh = zh;
	e->type = type;
	e->state = state;
	if (path != NULL)
		e->path = xstrdup(without_chroot(h->session->chroot, path));
	e->task.fn = session_event_arrived;
	loop_post(h->session->options.loop, &e->task);
}

static void
on_watch(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
	if (type != ZOO_SESSION_EVENT && type != ZOO_NOTWATCHING_EVENT)
		post_event(ctx, zh, type, state, path);
}

void
session_watcher(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
	(void)path;
	if (type == ZOO_SESSION_EVENT)
		post_event(ctx, zh, type, state, NULL);
}
