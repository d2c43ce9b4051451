/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/copy.c - see copy.h.
 *
 * ORDER    What only the target has goes first, the deepest first; then creates, writes and raised versions by path, so parents come before what is
 *          below them; ACLs last.  A new node that nothing is made below gets its ACL with its create: secrets are never open.  One with nodes below it
 *          is made open, because its own ACL may keep us from making them.
 *
 * IF IT DIES HERE  Every operation leaves a tree in which a plan made anew finds what is missing.  An inner node that is open still, but for its ACL
 *          the same, is no conflict.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"
#include "zk/acl.h"
#include "zk/copy.h"
#include "zk/paths.h"

enum {
	OPS_AT_ONCE = 1000,		/* under way: copies of their data are in memory */
	RAISES_MAX = 65536,		/* broker ids ever given out, changes of features */
};

/* ---- whose is it? ---- */

static const char *const kafkas[] = {
	"admin", "brokers", "cluster", "config", "consumers", "controller", "controller_epoch", "delegation_token", "feature", "isr_change_notification",
	"kafka-acl", "kafka-acl-changes", "kafka-acl-extended", "kafka-acl-extended-changes", "latest_producer_id_block", "log_dir_event_notification",
	"migration",
};

static bool
is_kafkas(const char *path)
{
	size_t len = strcspn(path + 1, "/");

	for (size_t i = 0; i < NELEM(kafkas); i++)
		if (strlen(kafkas[i]) == len && strncmp(kafkas[i], path + 1, len) == 0)
			return (true);
	return (false);
}

static bool
is_notification(const char *path)
{
	static const char *const parents[] = {
		ZK_CONFIG_CHANGES, ZK_ISR_CHANGES, ZK_LOG_DIR_EVENTS, ZK_ACL_CHANGES, ZK_ACL_EXTENDED_CHANGES, ZK_TOKEN_CHANGES,
	};

	for (size_t i = 0; i < NELEM(parents); i++)
		if (zk_path_below(path, parents[i]) != NULL)
			return (true);
	return (false);
}

/* A container has an owner, but is no session's: it is copied as an ordinary node. */
static bool
is_ephemeral(const struct znode *n)
{
	return (n->stat.ephemeral_owner != 0 && n->stat.ephemeral_owner != ZK_CONTAINER_OWNER);
}

static bool
version_counts(const char *path)
{
	return (strcmp(path, ZK_BROKER_SEQID) == 0 || strcmp(path, ZK_FEATURE) == 0);
}

static const struct znode *
parent_in(const struct znodes *t, const char *path)
{
	char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	const struct znode *n = znodes_find(t, parent[0] == '\0' ? "/" : parent);

	free(parent);
	return (n);
}

/* ---- the plan ---- */

static struct zk_copy_step *
step_add(struct zk_copy_plan *p, const struct znode *node, const struct znode *there)
{
	if (p->n == p->room) {
		p->room = p->room == 0 ? 64 : p->room * 2;
		p->v = xreallocarray(p->v, p->room, sizeof(*p->v));
	}
	p->v[p->n] = (struct zk_copy_step){ .node = node, .there = there };
	return (&p->v[p->n++]);
}

static enum zk_copy_left
left_out(const struct zk_copy_options *o, const struct znode *n)
{
	if (is_ephemeral(n))
		return (ZK_COPY_EPHEMERAL);
	if (is_notification(n->path))
		return (ZK_COPY_NOTIFICATION);
	return (o->everything || is_kafkas(n->path) ? ZK_COPY_TAKEN : ZK_COPY_FOREIGN);
}

/* How often the same data is to be written so that the version is what it was. */
static enum err
raise(struct zk_copy_step *s, struct errbuf *eb)
{
	int64_t is = s->there == NULL ? 0 : (int64_t)s->there->stat.version + ((s->what & ZK_COPY_SET) != 0), n = s->node->stat.version - is;

	if (!version_counts(s->node->path) || n <= 0)
		return (OK);
	if (n > RAISES_MAX) {
		errbuf_set(eb, "%s: version %" PRId32 ": to get there takes %" PRId64 " writes, which no cluster needs", s->node->path, s->node->stat.version, n);
		return (ERR_LIMIT);
	}
	s->what |= ZK_COPY_RAISE;
	s->raises = (uint32_t)n;
	return (OK);
}

static enum err
plan_node(struct zk_copy_plan *p, const struct znode *n, const struct znodes *target, const struct zk_copy_options *o, struct errbuf *eb)
{
	struct zk_copy_step *s = step_add(p, n, znodes_find(target, n->path));

	s->acl = o->no_acls ? SLICE_NULL : n->acl;
	s->left = left_out(o, n);
	if (s->left != ZK_COPY_TAKEN)
		return (OK);
	if (s->there == NULL) {
		s->what = ZK_COPY_CREATE;
	} else {
		if (is_ephemeral(s->there)) {
			errbuf_set(eb, "%s: an ephemeral node stands there, of a session that is not over", n->path);
			return (ERR_CONFLICT);
		}
		if (!slice_eq(znode_data(n), znode_data(s->there))) {
			s->what |= ZK_COPY_SET;
			s->conflict = true;
		}
		if (!slice_eq(s->acl, s->there->acl)) {
			s->what |= ZK_COPY_ACL;
			s->conflict = s->conflict || s->there->acl.p != NULL;
		}
	}
	p->conflicts += s->conflict;
	return (raise(s, eb));
}

/* Nodes that are made and have nodes made below them get their ACL at the end.  Steps stand as the source's nodes do, "/" left out. */
static void
plan_late_acls(struct zk_copy_plan *p, const struct znodes *source)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct znode *parent = (p->v[i].what & ZK_COPY_CREATE) == 0 ? NULL : parent_in(source, p->v[i].node->path);
		struct zk_copy_step *above;

		if (parent == NULL || strcmp(parent->path, "/") == 0)
			continue;
		above = &p->v[(size_t)(parent - source->v) - (source->n - p->n)];
		must(above->node == parent);
		if ((above->what & ZK_COPY_CREATE) != 0 && above->acl.p != NULL)
			above->what |= ZK_COPY_ACL;
	}
}

static void
plan_deletes(struct zk_copy_plan *p, const struct znodes *source, const struct znodes *target)
{
	for (size_t i = target->n; i-- > 0;) {
		const struct znode *n = &target->v[i];
		struct zk_copy_step *s;

		if (strcmp(n->path, "/") == 0 || !is_kafkas(n->path) || is_ephemeral(n) || znodes_find(source, n->path) != NULL ||
		    (is_notification(n->path) && parent_in(source, n->path) != NULL))
			continue;
		s = step_add(p, n, n);
		s->what = ZK_COPY_DELETE;
		s->conflict = true;
		p->conflicts++;
	}
}

enum err
zk_copy_plan_make(const struct znodes *source, const struct znodes *target, const struct zk_copy_options *o, struct zk_copy_plan *p, struct errbuf *eb)
{
	enum err e = OK;

	*p = (struct zk_copy_plan){ 0 };
	for (size_t i = 0; i < source->n && e == OK; i++)
		if (strcmp(source->v[i].path, "/") != 0)
			e = plan_node(p, &source->v[i], target, o, eb);
	if (e != OK) {
		zk_copy_plan_fini(p);
		return (e);
	}
	plan_late_acls(p, source);
	plan_deletes(p, source, target);
	return (OK);
}

void
zk_copy_plan_fini(struct zk_copy_plan *p)
{
	free(p->v);
	*p = (struct zk_copy_plan){ 0 };
}

/* ---- writing ---- */

enum phase { DELETES, WRITES, ACLS, DONE };

struct writing {
	struct zk *zk;
	char *chroot;
	const struct zk_copy_plan *plan;
	enum phase phase;
	size_t at;			/* the next step of the phase */
	uint32_t raised;		/* of that step */
	struct zk_op *ops;		/* under way; their paths are ours */
	uint32_t n;
	uint64_t *answered;
	enum err err;
	struct errbuf eb;
	zk_copy_done_fn *done;
	void *ctx;
};

static void go_on(struct writing *);

static void
finish(void *ctx)
{
	struct writing *w = ctx;

	w->done(w->ctx, w->err, &w->eb);
	free(w->ops);
	free(w->chroot);
	free(w);
}

static struct zk_op *
op_add(struct writing *w, enum zk_op_kind kind, const struct znode *n)
{
	struct zk_op *op = &w->ops[w->n++];

	*op = (struct zk_op){ .kind = kind, .path = xasprintf("%s%s", w->chroot, n->path), .version = ZK_ANY_VERSION };
	if (kind == ZK_OP_CREATE || kind == ZK_OP_SET)
		op->data = znode_data(n);
	return (op);
}

/* One step's creates and writes, or a part of them; false: there is more. */
static bool
add_writes(struct writing *w, const struct zk_copy_step *s)
{
	if (w->raised == 0 && (s->what & ZK_COPY_CREATE) != 0) {
		struct zk_op *op = op_add(w, ZK_OP_CREATE, s->node);

		if ((s->what & ZK_COPY_ACL) == 0)
			op->acl = s->acl;
	} else if (w->raised == 0 && (s->what & ZK_COPY_SET) != 0)
		op_add(w, ZK_OP_SET, s->node)->version = s->there->stat.version;
	for (; (s->what & ZK_COPY_RAISE) != 0 && w->raised < s->raises; w->raised++) {
		if (w->n == OPS_AT_ONCE)
			return (false);
		(void)op_add(w, ZK_OP_SET, s->node);
	}
	w->raised = 0;
	return (true);
}

static void
gather(struct writing *w)
{
	for (; w->at < w->plan->n && w->n < OPS_AT_ONCE; w->at++) {
		const struct zk_copy_step *s = &w->plan->v[w->at];

		if (w->phase == DELETES && (s->what & ZK_COPY_DELETE) != 0)
			(void)op_add(w, ZK_OP_DELETE, s->node);
		else if (w->phase == ACLS && (s->what & ZK_COPY_ACL) != 0)
			op_add(w, ZK_OP_SET_ACL, s->node)->acl = s->acl;
		else if (w->phase == WRITES && !add_writes(w, s))
			return;
	}
}

/* What an operation says that had been done before, its first answer lost: the second look tells whether it was. */
static bool
may_be_done(const struct zk_op *op, enum zke e)
{
	return (e == ZKE_OK || (op->kind == ZK_OP_CREATE && e == ZKE_NODE_EXISTS) || (op->kind == ZK_OP_DELETE && e == ZKE_NO_NODE) ||
	    (op->kind == ZK_OP_SET && e == ZKE_BAD_VERSION));
}

static void
got_answers(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct writing *w = ctx;

	for (uint32_t i = 0; i < n; i++) {
		if (w->err == OK && !may_be_done(&w->ops[i], r[i].error)) {
			w->err = zke_err(r[i].error);
			errbuf_set(&w->eb, "%s: %s", w->ops[i].path, zke_text(r[i].error));
		}
		free((void *)(uintptr_t)w->ops[i].path);
	}
	w->n = 0;
	++*w->answered;
	go_on(w);
}

static void
go_on(struct writing *w)
{
	while (w->err == OK && w->n == 0 && w->phase != DONE) {
		gather(w);
		if (w->n == 0) {
			w->phase++;
			w->at = 0;
		}
	}
	if (w->n == 0)
		finish(w);
	else if (w->phase == ACLS)
		zk_many(w->zk, w->ops, w->n, got_answers, w);
	else
		zk_fenced_many(w->zk, ZK_ANY_VERSION, w->ops, w->n, got_answers, w);
}

static void
got_chroot(void *ctx, const struct zk_result *r)
{
	struct writing *w = ctx;

	if (r->error != ZKE_OK && r->error != ZKE_NODE_EXISTS) {
		w->err = zke_err(r->error);
		errbuf_set(&w->eb, "%s: %s", w->chroot, zke_text(r->error));
	}
	++*w->answered;
	go_on(w);
}

static void
begin(void *ctx)
{
	go_on(ctx);
}

void
zk_copy_write(struct zk *zk, const char *chroot, const struct zk_copy_plan *plan, uint64_t *answered, zk_copy_done_fn *done, void *ctx)
{
	struct writing *w = xcalloc(1, sizeof(*w));

	*w = (struct writing){ .zk = zk, .chroot = xstrdup(chroot), .plan = plan, .ops = xcalloc(OPS_AT_ONCE + 1, sizeof(struct zk_op)),
	    .answered = answered, .done = done, .ctx = ctx };
	if (chroot[0] == '\0')
		loop_call(zk_loop(zk), begin, w);
	else
		zk_create_recursive(zk, chroot, SLICE_NULL, got_chroot, w);
}
