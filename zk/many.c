/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/many.c - operations made of several (see client.h): pipelined, fenced, packed, recursive.
 *
 * PACKING  A server takes packets below its jute.maxbuffer (1 MiB - 1 unless configured) and drops the connection on a larger one,
 *          after which the client would send it again for ever.  So packed writes stay at half of that, whatever our own limit is.
 *
 * RECURSIVE CREATE walks up from the leaf while the answer is NO_NODE and down again while it is OK or NODE_EXISTS: it never touches
 *          an existing ancestor that it may not be allowed to write to.
 * RECURSIVE DELETE lists level by level, then deletes in reverse order.  A child that appeared meanwhile answers NOT_EMPTY: the whole starts over.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/client_int.h"
#include "zk/paths.h"

enum {
	PACKED_BYTES_MAX   = 512 * 1024,
	PACKED_OPS_MAX     = 4096,
	CREATE_STEPS_MAX   = 400,	/* ups and downs: several times the deepest path, should parents vanish under us */
	DELETE_ATTEMPTS_MAX = 8,
};

/* ---- many ---- */
struct many_slot {
	struct many *many;
	uint32_t     index;
};

struct many {
	zk_many_fn	  *done;
	void		  *ctx;
	uint32_t	   n, left;
	struct zk_result **results;	/* owned copies */
	struct many_slot   slots[];
};

static void
many_finish(struct many *m)
{
	struct zk_result *all = xcalloc((size_t)m->n + 1, sizeof(*all));
	uint32_t i;

	for (i = 0; i < m->n; i++)
		all[i] = *m->results[i];
	m->done(m->ctx, all, m->n);
	for (i = 0; i < m->n; i++)
		free(m->results[i]);
	free(m->results);
	free(all);
	free(m);
}

static void
many_finish_empty(void *ctx)
{
	many_finish(ctx);
}

static struct many *
many_new(struct zk *zk, uint32_t n, zk_many_fn *done, void *ctx)
{
	struct many *m = xcalloc(1, sizeof(*m) + n * sizeof(m->slots[0]));
	uint32_t i;

	m->done = done;
	m->ctx = ctx;
	m->n = m->left = n;
	m->results = xcalloc((size_t)n + 1, sizeof(struct zk_result *));
	for (i = 0; i < n; i++)
		m->slots[i] = (struct many_slot){ m, i };
	if (n == 0)
		loop_call(zk_loop(zk), many_finish_empty, m);
	return (m);
}

static void
many_store(struct many *m, uint32_t index, const struct zk_result *r)
{
	must(m->results[index] == NULL);
	m->results[index] = zk_result_dup(r);
	if (--m->left == 0)
		many_finish(m);
}

static void
many_answered(void *ctx, const struct zk_result *r)
{
	struct many_slot *slot = ctx;

	many_store(slot->many, slot->index, r);
}

void
zk_many(struct zk *zk, const struct zk_op *ops, uint32_t n, zk_many_fn *done, void *ctx)
{
	struct many *m = many_new(zk, n, done, ctx);
	uint32_t i;

	for (i = 0; i < n; i++)
		zk_submit(zk, &ops[i], many_answered, &m->slots[i]);
}

/* ---- one fenced write ---- */
struct fenced {
	zk_done_fn *done;
	void	   *ctx;
};

static bool
check_failed(enum zke e)
{
	return (e == ZKE_BAD_VERSION || e == ZKE_NO_NODE);
}

/* The result of the op behind the epoch check, as if it had been sent alone. */
static struct zk_result
behind_check(const struct zk_result *r, uint32_t index)
{
	struct zk_result op = r->results[index];

	if (r->error == ZKE_OK)
		return (op);
	if (check_failed(r->results[0].error))
		op.error = ZKE_FENCED;
	else if (op.error == ZKE_OK || op.error == ZKE_RUNTIME_INCONSISTENCY)
		op.error = r->error;
	return (op);
}

static void
fenced_answered(void *ctx, const struct zk_result *r)
{
	struct fenced *f = ctx;
	struct zk_result op = behind_check(r, 1);

	f->done(f->ctx, &op);
	free(f);
}

void
zk_fenced(struct zk *zk, int32_t epoch_zk_version, const struct zk_op *op, zk_done_fn *done, void *ctx)
{
	struct zk_op ops[2] = { ZK_CHECK(ZK_CONTROLLER_EPOCH, epoch_zk_version), *op };
	struct fenced *f;

	if (epoch_zk_version == ZK_ANY_VERSION) {
		zk_submit(zk, op, done, ctx);
		return;
	}
	f = xcalloc(1, sizeof(*f));
	f->done = done;
	f->ctx = ctx;
	zk_multi(zk, ops, 2, fenced_answered, f);
}

/* ---- packed fenced writes ---- */
struct pack {
	struct zk   *zk;
	struct many *many;
	int32_t	     epoch_zk_version;
	uint32_t     first, n;		/* which of the many */
	struct zk_call *kept;		/* copies of the operations, for the repetition */
};

static void
pack_repeat(struct pack *p)
{
	uint32_t i;

	for (i = 0; i < p->n; i++)
		zk_fenced(p->zk, p->epoch_zk_version, &p->kept->ops[i], many_answered, &p->many->slots[p->first + i]);
}

static bool
is_op_error(enum zke e)
{
	return (e == ZKE_NO_NODE || e == ZKE_NODE_EXISTS || e == ZKE_BAD_VERSION || e == ZKE_NOT_EMPTY ||
	    e == ZKE_NO_CHILDREN_FOR_EPHEMERALS || e == ZKE_NO_AUTH || e == ZKE_INVALID_ACL || e == ZKE_BAD_ARGUMENTS ||
	    e == ZKE_QUOTA_EXCEEDED || e == ZKE_TOO_LARGE);
}

static void
pack_answered(void *ctx, const struct zk_result *r)
{
	struct pack *p = ctx;
	uint32_t i, skip = p->epoch_zk_version == ZK_ANY_VERSION ? 0 : 1;
	bool fenced = skip == 1 && r->error != ZKE_OK && check_failed(r->results[0].error);
	struct zk_result one;

	if (!fenced && is_op_error(r->error))
		pack_repeat(p);
	else
		for (i = 0; i < p->n; i++) {
			one = r->results[i + skip];
			if (r->error != ZKE_OK)
				one.error = fenced ? ZKE_FENCED : r->error;
			many_store(p->many, p->first + i, &one);
		}
	zk_call_free(p->kept);
	free(p);
}

static void
pack_send(struct zk *zk, struct many *m, int32_t epoch_zk_version, const struct zk_op *ops, uint32_t first, uint32_t n)
{
	uint32_t skip = epoch_zk_version == ZK_ANY_VERSION ? 0 : 1;
	struct zk_op *all;
	struct pack *p;

	if (n == 1) {
		zk_fenced(zk, epoch_zk_version, &ops[first], many_answered, &m->slots[first]);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	*p = (struct pack){ zk, m, epoch_zk_version, first, n, zk_call_new(sizeof(struct zk_call), zk, &ops[first], n, true, NULL, NULL) };
	all = xcalloc((size_t)n + 1, sizeof(*all));
	all[0] = ZK_CHECK(ZK_CONTROLLER_EPOCH, epoch_zk_version);
	memcpy(all + skip, &ops[first], n * sizeof(*all));
	zk_multi(zk, all, n + skip, pack_answered, p);
	free(all);
}

void
zk_fenced_many(struct zk *zk, int32_t epoch_zk_version, const struct zk_op *ops, uint32_t n, zk_many_fn *done, void *ctx)
{
	struct many *m = many_new(zk, n, done, ctx);
	size_t bytes, limit = MIN((size_t)PACKED_BYTES_MAX, zk->packet_max / 2);
	uint32_t i, first;

	for (first = 0; first < n; first = i) {
		bytes = zk_op_bytes(&ops[first]);
		for (i = first + 1; i < n && i - first < PACKED_OPS_MAX; i++) {
			bytes += zk_op_bytes(&ops[i]);
			if (bytes > limit)
				break;
		}
		pack_send(zk, m, epoch_zk_version, ops, first, i - first);
	}
}

/* ---- create with parents ---- */
struct create_walk {
	struct zk    *zk;
	zk_done_fn   *done;
	void	     *ctx;
	struct slice  data;
	size_t	      path_len;		/* of the whole */
	size_t	      at_len;		/* of the ancestor being created now */
	unsigned      steps;
	char	     *at;		/* path cut at at_len */
	char	      path[];
};

static void create_step(struct create_walk *);

static void
create_up(struct create_walk *w)
{
	while (w->at_len > 1 && w->path[w->at_len - 1] != '/')
		w->at_len--;
	w->at_len--;
}

static void
create_down(struct create_walk *w)
{
	w->at_len++;
	while (w->at_len < w->path_len && w->path[w->at_len] != '/')
		w->at_len++;
}

static void
create_end(struct create_walk *w, const struct zk_result *r)
{
	w->done(w->ctx, r);
	free((void *)(uintptr_t)w->data.p);
	free(w->at);
	free(w);
}

static void
create_answered(void *ctx, const struct zk_result *r)
{
	struct create_walk *w = ctx;
	bool made = r->error == ZKE_OK || r->error == ZKE_NODE_EXISTS;

	w->steps++;
	if (w->at_len == w->path_len && r->error != ZKE_NO_NODE)
		create_end(w, r);
	else if ((!made && r->error != ZKE_NO_NODE) || w->steps > CREATE_STEPS_MAX)
		create_end(w, r);
	else {
		if (made)
			create_down(w);
		else
			create_up(w);
		if (w->at_len == 0)
			create_end(w, r);	/* the root is missing: cannot be */
		else
			create_step(w);
	}
}

static void
create_step(struct create_walk *w)
{
	memcpy(w->at, w->path, w->at_len);
	w->at[w->at_len] = '\0';
	zk_create(w->zk, w->at, w->at_len == w->path_len ? w->data : SLICE_NULL, ZK_PERSISTENT, create_answered, w);
}

void
zk_create_recursive(struct zk *zk, const char *path, struct slice data, zk_done_fn *done, void *ctx)
{
	size_t len = strlen(path);
	struct create_walk *w = xcalloc(1, sizeof(*w) + len + 1);
	uint8_t *copy;

	memcpy(w->path, path, len);
	w->zk = zk;
	w->done = done;
	w->ctx = ctx;
	w->path_len = w->at_len = len;
	w->at = xcalloc(1, len + 1);
	if (data.p != NULL) {
		copy = xmalloc(data.len + 1);
		memcpy(copy, data.p, data.len);
		w->data = slice_of(copy, data.len);
	}
	create_step(w);
}

/* ---- delete with everything below ---- */
struct delete_walk {
	struct zk  *zk;
	zk_done_fn *done;
	void	   *ctx;
	int32_t	    epoch_zk_version;
	unsigned    attempts;
	char	  **paths;	/* level by level, the root first */
	uint32_t    n, size;
	uint32_t    listed;	/* paths whose children are known or asked for */
};

static void delete_list_level(struct delete_walk *);

static void
delete_forget_paths(struct delete_walk *w)
{
	while (w->n > 1)
		free(w->paths[--w->n]);
	w->listed = 0;
}

static void
delete_end(struct delete_walk *w, enum zke error)
{
	struct zk_result r = { .error = error, .path = w->paths[0] };

	w->done(w->ctx, &r);
	delete_forget_paths(w);
	free(w->paths[0]);
	free(w->paths);
	free(w);
}

static void
delete_add(struct delete_walk *w, char *path)
{
	if (w->n == w->size) {
		w->size = w->size == 0 ? 16 : w->size * 2;
		w->paths = xreallocarray(w->paths, w->size, sizeof(char *));
	}
	w->paths[w->n++] = path;
}

static void
delete_answered(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct delete_walk *w = ctx;
	enum zke worst = ZKE_OK;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (results[i].error != ZKE_OK && results[i].error != ZKE_NO_NODE && (worst == ZKE_OK || worst == ZKE_NOT_EMPTY))
			worst = results[i].error;
	if (worst == ZKE_NOT_EMPTY && ++w->attempts < DELETE_ATTEMPTS_MAX) {
		delete_forget_paths(w);
		delete_list_level(w);
	} else
		delete_end(w, worst);
}

static void
delete_all(struct delete_walk *w)
{
	struct zk_op *ops = xcalloc(w->n, sizeof(*ops));
	uint32_t i;

	for (i = 0; i < w->n; i++)
		ops[i] = ZK_DELETE(w->paths[w->n - 1 - i], ZK_ANY_VERSION);
	zk_fenced_many(w->zk, w->epoch_zk_version, ops, w->n, delete_answered, w);
	free(ops);
}

static void
delete_listed(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct delete_walk *w = ctx;
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		if (results[i].error == ZKE_NO_NODE && (w->n > 1 || w->attempts > 0))
			continue;
		if (results[i].error != ZKE_OK) {
			delete_end(w, results[i].error);
			return;
		}
		for (j = 0; j < results[i].nchildren; j++)
			delete_add(w, xasprintf("%s/%s", results[i].path, results[i].children[j]));
	}
	if (w->listed < w->n)
		delete_list_level(w);
	else
		delete_all(w);
}

static void
delete_list_level(struct delete_walk *w)
{
	uint32_t i, n = w->n - w->listed;
	struct zk_op *ops = xcalloc(n, sizeof(*ops));

	for (i = 0; i < n; i++)
		ops[i] = ZK_GET_CHILDREN(w->paths[w->listed + i], NULL);
	w->listed = w->n;
	zk_many(w->zk, ops, n, delete_listed, w);
	free(ops);
}

void
zk_delete_recursive(struct zk *zk, int32_t epoch_zk_version, const char *path, zk_done_fn *done, void *ctx)
{
	struct delete_walk *w = xcalloc(1, sizeof(*w));

	w->zk = zk;
	w->done = done;
	w->ctx = ctx;
	w->epoch_zk_version = epoch_zk_version;
	delete_add(w, xstrdup(path));
	delete_list_level(w);
}
