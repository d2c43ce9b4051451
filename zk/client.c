/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/client.c - see client.h; what does not depend on what stands behind a struct zk.
 *
 * COPIES   A call is one allocation: the implementation's structure, the operations, then their strings.  A kept result is one
 *          allocation too: the structure, arrays, then bytes.  Both are measured first, then filled; `take` hands out the pieces.
 *
 * LISTENERS are told in order.  A listener may unlisten itself or any other while being told: the walk keeps its next element in the client
 *          (next_listener), which unlisten moves on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "zk/acl.h"
#include "zk/client_int.h"
#include "zk/paths.h"

static const struct {
	enum zke    code;
	enum err    err;
	const char *name, *text;
} errors[] = {
#define ZKE(name, number, err, text)	{ name, err, #name, text },
#include "zk/errors.def"
#undef ZKE
};

static size_t
error_row(enum zke code)
{
	size_t i;

	for (i = 0; i < NELEM(errors); i++)
		if (errors[i].code == code)
			return (i);
	return (NELEM(errors) - 1);	/* ZKE_OTHER is the last row */
}

const char *zke_name(enum zke e) { return (errors[error_row(e)].name); }
const char *zke_text(enum zke e) { return (errors[error_row(e)].text); }
enum err    zke_err(enum zke e) { return (errors[error_row(e)].err); }
enum zke    zke_from_code(int code) { return (errors[error_row((enum zke)code)].code); }

/* ---- paths and sizes ---- */
static bool
segment_is_valid(const char *s, size_t len)
{
	return (len > 0 && !(len == 1 && s[0] == '.') && !(len == 2 && s[0] == '.' && s[1] == '.'));
}

/* Absolute, no empty or relative segments, no control characters, UTF-8 without what ZooKeeper refuses (U+D800-F8FF and all beyond U+FFEF). */
static bool
characters_are_valid(const char *path)
{
	const uint8_t *p = (const uint8_t *)path;

	if (!str_is_utf8(slice_str(path)))
		return (false);
	for (; *p != 0; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return (false);
		if (*p == 0xc2 && p[1] < 0xa0)
			return (false);			/* U+0080-U+009F */
		if (*p == 0xee || *p >= 0xf0)
			return (false);			/* private use; what Java writes as surrogates */
		if (*p == 0xef && (p[1] < 0xa4 || (p[1] == 0xbf && p[2] >= 0xb0)))
			return (false);
	}
	return (true);
}

bool
zk_path_is_valid(const char *path)
{
	const char *s, *end;

	if (path == NULL || path[0] != '/' || !characters_are_valid(path))
		return (false);
	if (path[1] == '\0')
		return (true);
	for (s = path + 1;; s = end + 1) {
		end = strchrnul(s, '/');
		if (!segment_is_valid(s, (size_t)(end - s)))
			return (false);
		if (*end == '\0')
			return (true);
	}
}

size_t
zk_op_bytes(const struct zk_op *op)
{
	/* MultiHeader 9, lengths 8, version or flags 4, a two-entry ACL with its ids about 64 */
	return (85 + strlen(op->path) + op->data.len + op->acl.len);
}

static bool
kind_fits(enum zk_op_kind kind, bool multi)
{
	switch (kind) {
	case ZK_OP_CREATE: case ZK_OP_DELETE: case ZK_OP_SET:
		return (true);
	case ZK_OP_CHECK:
		return (multi);
	default:
		return (!multi);
	}
}

/* A sequential name may end in '/': the number is the whole last segment then. */
static bool
op_path_is_valid(const struct zk_op *op)
{
	size_t len;
	char *probe;
	bool ok;

	if (op->path == NULL || op->kind != ZK_OP_CREATE || op->mode < ZK_PERSISTENT_SEQUENTIAL)
		return (zk_path_is_valid(op->path) && !(op->kind == ZK_OP_CREATE && op->path[1] == '\0'));
	len = strlen(op->path);
	probe = xasprintf("%s0", op->path);
	ok = len > 0 && zk_path_is_valid(probe);
	free(probe);
	return (ok);
}

static bool
op_acl_is_valid(const struct zk_op *op)
{
	struct zk_acl_entry *entries;
	uint32_t n;

	if (op->acl.p == NULL)
		return (true);
	if (!zk_acl_read(op->acl, &entries, &n))
		return (false);
	free(entries);
	return (n > 0);
}

enum zke
zk_ops_invalid(const struct zk *zk, const struct zk_op *ops, uint32_t n, bool multi)
{
	size_t bytes = 64;
	uint32_t i;

	for (i = 0; i < n; i++) {
		must(kind_fits(ops[i].kind, multi));
		if (!op_path_is_valid(&ops[i]))
			return (ZKE_BAD_ARGUMENTS);
		if (!op_acl_is_valid(&ops[i]))
			return (ZKE_INVALID_ACL);
		bytes += zk_op_bytes(&ops[i]);
	}
	return (bytes > zk->packet_max ? ZKE_TOO_LARGE : ZKE_OK);
}

/* ---- calls ---- */
static size_t
round_up(size_t n)
{
	return ((n + 15) & ~(size_t)15);
}

static void *
take(char **p, const void *src, size_t len)
{
	void *at = *p;

	if (len > 0)
		memcpy(at, src, len);
	*p += len;
	return (at);
}

static const char *
take_str(char **p, const char *s)
{
	return (take(p, s, strlen(s) + 1));
}

/* One more byte than the data, 0: text can be read as text.  An empty slice stays empty, a null one null. */
static struct slice
take_data(char **p, struct slice s)
{
	struct slice copy;

	if (s.p == NULL)
		return (SLICE_NULL);
	copy = slice_of(take(p, s.p, s.len), s.len);
	*(*p)++ = '\0';
	return (copy);
}

struct zk_call *
zk_call_new(size_t size, struct zk *zk, const struct zk_op *ops, uint32_t n, bool multi, zk_done_fn *done, void *ctx)
{
	size_t total = round_up(size) + round_up(n * sizeof(*ops));
	struct zk_call *call;
	uint32_t i;
	char *p;

	for (i = 0; i < n; i++)
		total += strlen(ops[i].path == NULL ? "" : ops[i].path) + 1 + ops[i].data.len + 1 + ops[i].acl.len + 1;
	call = xcalloc(1, total);
	call->zk = zk;
	call->done = done;
	call->ctx = ctx;
	call->nops = n;
	call->multi = multi;
	call->ops = (void *)((char *)call + round_up(size));
	p = (char *)call->ops + round_up(n * sizeof(*ops));
	for (i = 0; i < n; i++) {
		call->ops[i] = ops[i];
		call->ops[i].path = take_str(&p, ops[i].path == NULL ? "" : ops[i].path);
		call->ops[i].data = take_data(&p, ops[i].data);
		call->ops[i].acl = take_data(&p, ops[i].acl);
		if (ops[i].watcher != NULL)
			ops[i].watcher->pending++;
	}
	return (call);
}

void
zk_call_free(struct zk_call *call)
{
	uint32_t i;

	for (i = 0; i < call->nops; i++)
		if (call->ops[i].watcher != NULL)
			call->ops[i].watcher->pending--;
	free(call->result);
	free(call);
}

static size_t
result_bytes(const struct zk_result *r)
{
	size_t total = sizeof(*r);
	uint32_t i;

	total += r->path == NULL ? 0 : strlen(r->path) + 1;
	total += r->data.p == NULL ? 0 : r->data.len + 1;
	total += r->acl.p == NULL ? 0 : r->acl.len + 1;
	total += r->nchildren * sizeof(char *);
	for (i = 0; i < r->nchildren; i++)
		total += strlen(r->children[i]) + 1;
	for (i = 0; i < r->nresults; i++)
		total += sizeof(*r) + result_bytes(&r->results[i]);
	return (round_up(total) + 64);
}

static void
result_fill(struct zk_result *copy, const struct zk_result *r, char **p)
{
	struct zk_result *results;
	const char **children;
	uint32_t i;

	*copy = *r;
	*p = (char *)round_up((size_t)*p);
	results = (void *)*p;
	*p += r->nresults * sizeof(*results);
	children = (void *)*p;
	*p += r->nchildren * sizeof(*children);
	if (r->path != NULL)
		copy->path = take_str(p, r->path);
	copy->data = take_data(p, r->data);
	copy->acl = take_data(p, r->acl);
	for (i = 0; i < r->nchildren; i++)
		children[i] = take_str(p, r->children[i]);
	copy->children = children;
	for (i = 0; i < r->nresults; i++)
		result_fill(&results[i], &r->results[i], p);
	copy->results = results;
}

struct zk_result *
zk_result_dup(const struct zk_result *r)
{
	struct zk_result *copy = xcalloc(1, result_bytes(r) + sizeof(*r));
	char *p = (char *)(copy + 1);

	result_fill(copy, r, &p);
	return (copy);
}

struct zk_result *
zk_result_error(enum zke error, const struct zk_op *ops, uint32_t n, bool multi)
{
	struct zk_result *each, r = { .error = error }, *copy;
	uint32_t i;

	if (!multi) {
		r.path = ops[0].path;
		return (zk_result_dup(&r));
	}
	each = xcalloc(n + 1, sizeof(*each));
	for (i = 0; i < n; i++)
		each[i] = (struct zk_result){ .error = error, .path = ops[i].path };
	r.results = each;
	r.nresults = n;
	copy = zk_result_dup(&r);
	free(each);
	return (copy);
}

static unsigned
arms(const struct zk_op *op, enum zke error)
{
	if (op->watcher == NULL)
		return (0);
	if (error == ZKE_OK)
		return (op->kind == ZK_OP_CHILDREN ? ZK_KIND_CHILDREN : ZK_KIND_DATA);
	return (error == ZKE_NO_NODE && op->kind == ZK_OP_EXISTS ? ZK_KIND_DATA : 0);
}

void
zk_call_answer(struct zk_call *call, struct zk_watches *watches)
{
	unsigned kind = call->multi ? 0 : arms(&call->ops[0], call->result->error);
	struct zk_result *r = call->result;
	zk_done_fn *done = call->done;
	void *ctx = call->ctx;

	if (kind != 0)
		zk_watches_arm(watches, call->ops[0].watcher, call->ops[0].path, kind);
	call->result = NULL;
	zk_call_free(call);	/* first: the callback may free the watcher */
	done(ctx, r);
	free(r);
}

/* ---- the table's front ---- */
void
zk_submit(struct zk *zk, const struct zk_op *op, zk_done_fn *done, void *ctx)
{
	zk->ops->submit(zk, op, 1, false, done, ctx);
}

void
zk_multi(struct zk *zk, const struct zk_op *ops, uint32_t n, zk_done_fn *done, void *ctx)
{
	must(n > 0);
	zk->ops->submit(zk, ops, n, true, done, ctx);
}

void
zk_unwatch(struct zk *zk, struct zk_watcher *w)
{
	zk->ops->unwatch(zk, w, NULL);
}

void
zk_unwatch_path(struct zk *zk, struct zk_watcher *w, const char *path)
{
	zk->ops->unwatch(zk, w, path);
}

void
zk_close(struct zk **zkp)
{
	struct zk *zk = *zkp;

	*zkp = NULL;
	if (zk != NULL)
		zk->ops->close(zk);
}

bool zk_is_connected(const struct zk *zk) { return (zk->connected); }
int64_t zk_session_id(const struct zk *zk) { return (zk->session_id); }
struct loop *zk_loop(const struct zk *zk) { return (zk->loop); }

/* ---- listeners ---- */
void
zk_client_init(struct zk *zk, const struct zk_ops *ops, struct loop *loop)
{
	*zk = (struct zk){ .ops = ops, .loop = loop, .packet_max = LIMIT_JUTE_MAX };
	TAILQ_INIT(&zk->listeners);
}

void
zk_listen(struct zk *zk, struct zk_listener *l)
{
	TAILQ_INSERT_TAIL(&zk->listeners, l, link);
}

void
zk_unlisten(struct zk *zk, struct zk_listener *l)
{
	if (zk->next_listener == l)
		zk->next_listener = TAILQ_NEXT(l, link);
	TAILQ_REMOVE(&zk->listeners, l, link);
}

void
zk_tell(struct zk *zk, enum zk_session_event event)
{
	struct zk_listener *l;

	for (l = TAILQ_FIRST(&zk->listeners); l != NULL; l = zk->next_listener) {
		zk->next_listener = TAILQ_NEXT(l, link);
		l->fn(l, event);
	}
	zk->next_listener = NULL;
}
