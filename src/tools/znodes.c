/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znodes.c - see znodes.h.
 *
 * READING  breadth first, every answer asks for the children it names; ZooKeeper's client keeps as many requests under way as it may.  Nodes
 *          that go while the tree is read are left out, as if they had gone a moment earlier: what is read is no snapshot of one moment.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "event/workers.h"
#include "tools/znodes.h"
#include "zk/session.h"

enum { SAVED_MAX = 1 << 30, IN_FLIGHT = 64, SESSION_MS = 10000, TIMEOUT_MS = 10000 };

/* ---- the tree ---- */

void
znodes_add(struct znodes *t, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct znode *n;

	if (t->n == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->v = xreallocarray(t->v, t->room, sizeof(*t->v));
	}
	n = &t->v[t->n++];
	*n = (struct znode){ .path = xstrdup(path), .len = data.len };
	if (data.p != NULL)
		n->data = xstrndup((const char *)data.p, data.len);
	if (data.p != NULL && memchr(data.p, 0, data.len) != NULL) {
		free(n->data);
		n->data = xcalloc(data.len + 1, 1);
		memcpy(n->data, data.p, data.len);
	}
	if (stat != NULL)
		n->stat = *stat;
}

static int
by_path(const void *a, const void *b)
{
	return (strcmp(((const struct znode *)a)->path, ((const struct znode *)b)->path));
}

void
znodes_sort(struct znodes *t)
{
	if (t->n > 0)
		qsort(t->v, t->n, sizeof(*t->v), by_path);
}

const struct znode *
znodes_find(const struct znodes *t, const char *path)
{
	const struct znode key = { .path = (char *)(uintptr_t)path };

	return (t->n == 0 ? NULL : bsearch(&key, t->v, t->n, sizeof(key), by_path));
}

void
znodes_fini(struct znodes *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].path);
		free(t->v[i].data);
	}
	free(t->v);
	*t = (struct znodes){ NULL, 0, 0 };
}

/* ---- from ZooKeeper ---- */

struct fetch {
	struct loop *loop;
	struct workers *workers;
	struct zk_session *session;
	struct zk *zk;
	struct znodes *tree;
	char *hosts, *chroot;
	const char *under;
	uint64_t asked, answered;
	bool opened, closed, timed_out;
	enum err err;
	struct errbuf eb;
	struct timer timer;
};

struct visit {
	struct fetch *f;
	char *path;		/* with the chroot */
};

static void ask(struct fetch *, const char *path);

static const char *
below_chroot(const struct fetch *f, const char *path)
{
	const char *p = path + strlen(f->chroot);

	return (*p == '\0' ? "/" : p);
}

static void
failed(struct fetch *f, const struct zk_result *r, const char *path)
{
	if (r->error == ZKE_NO_NODE || f->err != OK)
		return;
	f->err = zke_err(r->error);
	errbuf_set(&f->eb, "%s: %s", path, zke_text(r->error));
}

static void
got_children(void *ctx, const struct zk_result *r)
{
	struct visit *v = ctx;
	struct fetch *f = v->f;

	f->answered++;
	if (r->error != ZKE_OK)
		failed(f, r, v->path);
	for (uint32_t i = 0; r->error == ZKE_OK && i < r->nchildren; i++) {
		char *path = xasprintf("%s/%s", strcmp(v->path, "/") == 0 ? "" : v->path, r->children[i]);

		if (strcmp(path, "/zookeeper") != 0)	/* the ensemble's own */
			ask(f, path);
		free(path);
	}
	free(v->path);
	free(v);
}

static void
got_data(void *ctx, const struct zk_result *r)
{
	struct visit *v = ctx;
	struct fetch *f = v->f;
	const char *name = below_chroot(f, v->path);

	f->answered++;
	if (r->error == ZKE_OK || r->error == ZKE_NO_AUTH) {
		znodes_add(f->tree, name, r->error == ZKE_OK ? r->data : SLICE_NULL, r->error == ZKE_OK ? &r->stat : NULL);
		f->tree->v[f->tree->n - 1].unreadable = r->error == ZKE_NO_AUTH;
		f->asked++;
		zk_children(f->zk, v->path, NULL, got_children, v);
		return;
	}
	failed(f, r, v->path);
	free(v->path);
	free(v);
}

static void
ask(struct fetch *f, const char *path)
{
	struct visit *v = xcalloc(1, sizeof(*v));

	v->f = f;
	v->path = xstrdup(path);
	f->asked++;
	zk_get(f->zk, v->path, NULL, got_data, v);
}

static void
on_opened(void *ctx, enum err e, const struct errbuf *why)
{
	struct fetch *f = ctx;

	f->opened = true;
	f->err = e;
	if (e != OK)
		f->eb = *why;
}

static void
on_closed(void *ctx)
{
	((struct fetch *)ctx)->closed = true;
}

static void
on_timer(struct timer *t)
{
	CONTAINER_OF(t, struct fetch, timer)->timed_out = true;
}

static void
read_all(struct fetch *f, int64_t timeout_ms)
{
	char *root = xasprintf("%s%s", f->chroot, f->under == NULL || strcmp(f->under, "/") == 0 ? "" : f->under);
	uint64_t before = 0;

	ask(f, root[0] == '\0' ? "/" : root);
	/* The time counts from the last answer: a large tree may take its time. */
	while (f->answered < f->asked && !f->timed_out) {
		if (f->answered != before) {
			timer_set(f->loop, &f->timer, timeout_ms);
			before = f->answered;
		}
		loop_turn(f->loop, 100);
	}
	timer_cancel(f->loop, &f->timer);
	if (f->timed_out && f->err == OK) {
		f->err = ERR_TIMEOUT;
		errbuf_set(&f->eb, "%s: no answer for %" PRId64 " ms", f->hosts, timeout_ms);
	}
	free(root);
}

static enum err
start(struct fetch *f, int64_t timeout_ms)
{
	const struct loop_options lo = { .name = "ottla", .clock = clock_real() };
	struct zk_session_options o = { .connect = f->hosts, .timeout_ms = SESSION_MS, .connect_timeout_ms = (int32_t)timeout_ms, .max_in_flight = IN_FLIGHT };
	enum err e = loop_new(&lo, &f->loop, &f->eb);

	if (e == OK)
		e = workers_new(2, "ottla", &f->workers, &f->eb);
	if (e != OK)
		return (e);
	timer_init(&f->timer, on_timer);
	o.loop = f->loop;
	o.workers = f->workers;
	return (zk_session_open(&o, on_opened, f, &f->session, &f->eb));
}

static void
finish(struct fetch *f)
{
	if (f->zk != NULL)
		zk_close(&f->zk);
	if (f->session != NULL) {
		zk_session_close(&f->session, on_closed, f);
		while (!f->closed || f->answered < f->asked)
			loop_turn(f->loop, 100);
	}
	workers_free(&f->workers);
	loop_free(&f->loop);
	free(f->hosts);
	free(f->chroot);
}

static bool
read_live(const struct arguments *a, const char *connect, const char *under, struct znodes *t)
{
	struct fetch f = { .tree = t, .under = under };
	int64_t timeout_ms = TIMEOUT_MS;
	bool good;

	if (!option_i64(a, OPT_timeout, &timeout_ms))
		return (false);
	timeout_ms = MAX((int64_t)1, MIN(timeout_ms, (int64_t)INT32_MAX));
	f.err = zk_connect_parse(connect, &f.hosts, &f.chroot, &f.eb);
	if (f.err == OK)
		f.err = start(&f, timeout_ms);
	while (f.err == OK && !f.opened)
		loop_turn(f.loop, 100);
	if (f.err == OK) {
		f.zk = zk_session_client(f.session, f.loop);
		read_all(&f, timeout_ms);
	}
	good = f.err == OK;
	if (good && t->n == 0) {
		(void)failure(a, "%s: there is no node %s%s", connect, f.chroot[0] == '\0' && under == NULL ? "/" : f.chroot, under == NULL ? "" : under);
		good = false;
	} else if (!good)
		(void)failure(a, "%s: %s\n  is that what zookeeper.connect says, and is the ensemble up? (--timeout MS waits longer)", connect, f.eb.text);
	finish(&f);
	return (good);
}

/* ---- from a file ---- */

static int64_t
number(json_t *o, const char *key)
{
	return ((int64_t)json_integer_value(json_object_get(o, key)));
}

static struct slice
unhex(const char *s, char **to)
{
	size_t n = strlen(s) / 2;
	unsigned byte;

	*to = xcalloc(n + 1, 1);
	for (size_t i = 0; i < n && sscanf(s + 2 * i, "%2x", &byte) == 1; i++)
		(*to)[i] = (char)byte;
	return (slice_of(*to, n));
}

static bool
take_line(const char *line, const char *under, struct znodes *t)
{
	json_t *o = json_loads(line, 0, NULL), *data = json_object_get(o, "data");
	const char *path = json_string_value(json_object_get(o, "path")), *hex = json_string_value(json_object_get(o, "data_hex")), *owner;
	struct zk_stat st = { 0 };
	size_t n = under == NULL ? 0 : strlen(under);
	char *bytes = NULL;

	if (path == NULL) {
		json_decref(o);
		return (o != NULL);
	}
	owner = json_string_value(json_object_get(o, "ephemeral_owner"));
	st.ephemeral_owner = owner == NULL ? 0 : (int64_t)strtoull(owner, NULL, 16);
	st.version = (int32_t)number(o, "version");
	st.czxid = number(o, "czxid");
	st.mzxid = number(o, "mzxid");
	st.ctime_ms = number(o, "ctime");
	st.mtime_ms = number(o, "mtime");
	if (under == NULL || (strncmp(path, under, n) == 0 && (path[n] == '\0' || path[n] == '/')))
		znodes_add(t, path, hex != NULL ? unhex(hex, &bytes) : json_is_string(data) ? slice_of(json_string_value(data), json_string_length(data)) : SLICE_NULL, &st);
	free(bytes);
	json_decref(o);
	return (true);
}

static bool
read_saved(const struct arguments *a, const char *file, const char *under, struct znodes *t)
{
	struct errbuf eb = ERRBUF_INIT;
	char *text = NULL, *save = NULL;
	unsigned n = 0;
	size_t len = 0;
	bool good = true;

	if (fs_read_file(fs_real(), file, SAVED_MAX, &text, &len, &eb) != OK) {
		(void)failure(a, "%s", eb.text);
		return (false);
	}
	for (char *line = strtok_r(text, "\n", &save); line != NULL && good; line = strtok_r(NULL, "\n", &save)) {
		n++;
		good = take_line(line, under, t);
	}
	if (!good)
		(void)failure(a, "%s: line %u was not written by ottla znode dump --json", file, n);
	free(text);
	return (good);
}

bool
znodes_read(const struct arguments *a, const char *text, const char *under, struct znodes *t)
{
	bool good;

	*t = (struct znodes){ NULL, 0, 0 };
	if (under != NULL && (under[0] != '/' || (under[1] != '\0' && under[strlen(under) - 1] == '/'))) {
		(void)usage_error(a, "--path %s: begins with / and does not end with it", under);
		return (false);
	}
	if (under != NULL && under[1] == '\0')
		under = NULL;
	good = fs_exists(fs_real(), text) ? read_saved(a, text, under, t) : read_live(a, text, under, t);
	znodes_sort(t);
	if (!good)
		znodes_fini(t);
	return (good);
}

/* ---- contents ---- */

json_t *
znode_json(const struct znode *n)
{
	json_t *o = n->data == NULL ? NULL : json_loadb(n->data, n->len, 0, NULL);

	return (o);
}

bool
znode_is_secret(const char *path)
{
	return (strncmp(path, "/config/users/", 14) == 0 || strncmp(path, "/config/brokers/", 16) == 0 || strncmp(path, "/delegation_token/tokens/", 25) == 0);
}

static bool
is_secret_key(const char *key)
{
	static const char *const parts[] = { "password", "secret", "jaas", "keystore.key", "private", "SCRAM-SHA" };

	for (size_t i = 0; i < NELEM(parts); i++)
		if (strcasestr(key, parts[i]) != NULL)
			return (true);
	return (false);
}

void
znode_mask(const char *path, json_t *o)
{
	json_t *config = json_object_get(o, "config"), *value;
	const char *key;
	void *tmp;

	if (strncmp(path, "/config/", 8) != 0)
		return;
	json_object_foreach_safe(config, tmp, key, value)
		if (is_secret_key(key))
			json_object_set_new(config, key, json_string("********"));
}
