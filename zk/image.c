/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/image.c - see image.h.
 *
 * READING  breadth first: each answer asks for the children it names, and the client keeps as many requests under way as it may.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "zk/image.h"

/* ---- the tree ---- */

struct znode *
znodes_add(struct znodes *t, const char *path, struct slice data, struct slice acl, const struct zk_stat *stat)
{
	struct znode *n;

	if (t->n == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->v = xreallocarray(t->v, t->room, sizeof(*t->v));
	}
	n = &t->v[t->n++];
	*n = (struct znode){ .path = xstrdup(path), .data = (char *)xslicedup(data), .len = data.len, .acl = slice_of(xslicedup(acl), acl.len) };
	if (stat != NULL)
		n->stat = *stat;
	return (n);
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
		free((void *)(uintptr_t)t->v[i].acl.p);
	}
	free(t->v);
	*t = (struct znodes){ NULL, 0, 0 };
}

/* ---- from ZooKeeper ---- */

struct fetch {
	struct zk *zk;
	struct znodes *tree;
	size_t chroot_len;
	bool with_acls;
	uint64_t asked, got, *answered;
	enum err err;
	struct errbuf eb;
	znodes_read_fn *done;
	void *ctx;
};

struct visit {
	struct fetch *f;
	size_t at;		/* of the tree, once it is in it: the array moves */
	char *path;		/* with the chroot */
};

static void ask(struct fetch *, const char *path);

static const char *
below_chroot(const struct fetch *f, const char *path)
{
	const char *p = path + f->chroot_len;

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
answered(struct fetch *f)
{
	++*f->answered;
	if (++f->got < f->asked)
		return;
	znodes_sort(f->tree);
	f->done(f->ctx, f->err, &f->eb);
	free(f);
}

static void
visit_end(struct visit *v)
{
	struct fetch *f = v->f;

	free(v->path);
	free(v);
	answered(f);
}

static void
got_children(void *ctx, const struct zk_result *r)
{
	struct visit *v = ctx;

	if (r->error != ZKE_OK)
		failed(v->f, r, v->path);
	for (uint32_t i = 0; r->error == ZKE_OK && i < r->nchildren; i++) {
		char *path = xasprintf("%s/%s", strcmp(v->path, "/") == 0 ? "" : v->path, r->children[i]);

		if (strcmp(path, "/zookeeper") != 0)
			ask(v->f, path);
		free(path);
	}
	visit_end(v);
}

static void
got_acl(void *ctx, const struct zk_result *r)
{
	struct visit *v = ctx;
	struct znode *n = &v->f->tree->v[v->at];

	if (r->error == ZKE_OK)
		n->acl = slice_of(xslicedup(r->acl), r->acl.len);
	else if (r->error == ZKE_NO_AUTH)
		n->acl_unreadable = true;
	else
		failed(v->f, r, v->path);
	zk_children(v->f->zk, v->path, NULL, got_children, v);
}

static void
got_data(void *ctx, const struct zk_result *r)
{
	struct visit *v = ctx;
	struct fetch *f = v->f;
	bool readable = r->error == ZKE_OK;

	if (!readable && r->error != ZKE_NO_AUTH) {
		failed(f, r, v->path);
		visit_end(v);
		return;
	}
	v->at = f->tree->n;
	znodes_add(f->tree, below_chroot(f, v->path), readable ? r->data : SLICE_NULL, SLICE_NULL, readable ? &r->stat : NULL)->unreadable = !readable;
	if (f->with_acls)
		zk_submit(f->zk, &ZK_GET_ACL(v->path), got_acl, v);
	else
		zk_children(f->zk, v->path, NULL, got_children, v);
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

void
znodes_fetch(struct zk *zk, const char *chroot, const char *under, bool with_acls, struct znodes *t, uint64_t *progress, znodes_read_fn *done, void *ctx)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	char *root = xasprintf("%s%s", chroot, under == NULL || strcmp(under, "/") == 0 ? "" : under);

	*f = (struct fetch){ .zk = zk, .tree = t, .chroot_len = strlen(chroot), .with_acls = with_acls, .answered = progress, .done = done, .ctx = ctx };
	ask(f, root[0] == '\0' ? "/" : root);
	free(root);
}
