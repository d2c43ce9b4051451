/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znode_copy.c - ottla znode export, import, copy: a cluster's znodes to a file, from one, and from one place to another.
 *
 * What is kept, lost and left is zk/copy.h's to say.  Here: that nothing is written that was not asked for.
 *	(1) Neither side has a live broker, before and after.
 *	(2) All of the source was read, ACLs as they are (ZooKeeper hides digests from those who may not administrate a node).
 *	(3) What the target has already is the same, or --overwrite was given.
 *	(4) Afterwards the target is read again: "done" is what was seen there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tools/zkplace.h"
#include "tools/znodes.h"
#include "zk/acl.h"
#include "zk/copy.h"
#include "zk/paths.h"

enum { NAMED_MAX = 10 };	/* nodes named in a complaint */

/* ---- may it be copied? ---- */

static bool
nobody_lives(const struct arguments *a, const char *where, const struct znodes *t)
{
	struct strbuf ids = STRBUF_INIT;
	bool none;

	for (size_t i = 0; i < t->n; i++)
		if (zk_path_below(t->v[i].path, ZK_BROKER_IDS) != NULL)
			strbuf_add(&ids, "%s%s", ids.len == 0 ? "" : ", ", zk_path_below(t->v[i].path, ZK_BROKER_IDS));
	none = ids.len == 0;
	if (!none)
		(void)failure(a, "%s: brokers are live there: %s\n  stop them first; of one that was killed the session must end (zookeeper.session.timeout.ms)",
		    where, strbuf_str(&ids));
	strbuf_fini(&ids);
	return (none);
}

/* ZooKeeper says "user:x" to those who may not administrate the node. */
static bool
digest_is_hidden(struct slice acl)
{
	struct zk_acl_entry *e;
	bool hidden = false;
	uint32_t n;

	if (acl.p == NULL || !zk_acl_read(acl, &e, &n))
		return (false);
	for (uint32_t i = 0; i < n; i++)
		hidden = hidden || (slice_eq_str(e[i].scheme, "digest") && e[i].id.len > 2 && memcmp(e[i].id.p + e[i].id.len - 2, ":x", 2) == 0);
	free(e);
	return (hidden);
}

static bool
all_was_told(const struct arguments *a, const char *where, const struct znodes *t)
{
	bool no_acls = given(a, OPT_no_acls);
	unsigned hidden = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct znode *n = &t->v[i];

		if (!n->unreadable && (no_acls || (!n->acl_unreadable && !digest_is_hidden(n->acl))))
			continue;
		if (++hidden <= NAMED_MAX)
			(void)failure(a, "%s: %s: its ACL keeps %s from us", where, n->path, n->unreadable ? "the data" : "itself, or a digest in it,");
	}
	if (hidden > 0)
		(void)failure(a, "%s: %u nodes cannot be told as they are; say who you are with --auth-file%s", where, hidden,
		    no_acls ? "" : ", or leave ACLs out with --no-acls");
	return (hidden == 0);
}

static bool
read_place(const struct arguments *a, struct zkplace *p, struct znodes *t)
{
	if (!zkplace_read(a, p, NULL, true, t))
		return (false);
	if (nobody_lives(a, zkplace_text(p), t) && all_was_told(a, zkplace_text(p), t))
		return (true);
	znodes_fini(t);
	return (false);
}

static bool
read_source(const struct arguments *a, const char *text, struct znodes *t)
{
	struct zkplace *p;
	bool good;

	if (!zkplace_open(a, text, ZKPLACE_READ, &p))
		return (false);
	good = read_place(a, p, t);
	zkplace_close(&p);
	return (good);
}

/* At the end: whoever started meanwhile has changed what was read. */
static bool
still_quiet(const struct arguments *a, const char *text)
{
	struct zkplace *p;
	struct znodes t;
	bool good;

	if (!zkplace_open(a, text, ZKPLACE_READ, &p))
		return (false);
	good = zkplace_read(a, p, ZK_BROKER_IDS, false, &t);
	good = good && nobody_lives(a, text, &t);
	znodes_fini(&t);
	zkplace_close(&p);
	return (good);
}

/* ---- telling ---- */

static const char *const left_words[] = { NULL, "ephemeral", "notification", "not Kafka's" };

static void
action_of(const struct zk_copy_step *s, struct strbuf *sb)
{
	static const struct { unsigned bit; const char *word; } words[] = {
		{ ZK_COPY_CREATE, "create" }, { ZK_COPY_SET, "write" }, { ZK_COPY_ACL, "acl" }, { ZK_COPY_RAISE, "version" }, { ZK_COPY_DELETE, "delete" },
	};

	if (s->left != ZK_COPY_TAKEN)
		strbuf_add(sb, "leave");
	else if (s->what == 0)
		strbuf_add(sb, "same");
	for (size_t i = 0; i < NELEM(words); i++)
		if ((s->what & words[i].bit) != 0 && !(words[i].bit == ZK_COPY_ACL && (s->what & ZK_COPY_CREATE) != 0))
			strbuf_add(sb, "%s%s", sb->len == 0 ? "" : ",", words[i].word);
}

static void
tell_json(const struct zk_copy_plan *p, bool done)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct zk_copy_step *s = &p->v[i];
		struct strbuf action = STRBUF_INIT;
		struct line j;

		action_of(s, &action);
		line_begin(&j, "node");
		line_string(&j, "path", s->node->path);
		line_string(&j, "action", strbuf_str(&action));
		line_string(&j, "reason", left_words[s->left]);
		line_bool(&j, "conflict", s->conflict);
		line_int(&j, "bytes", (int64_t)s->node->len);
		line_bool(&j, "done", done && s->what != 0);
		line_end(&j);
		strbuf_fini(&action);
	}
}

/* The steps, for people; only_conflicts: of these a part. */
static void
tell_steps(const struct zk_copy_plan *p, bool only_conflicts)
{
	static const char *const heads[] = { "ACTION", "BYTES", "NODE", "" };
	struct table *t = table_new(heads, NELEM(heads));

	for (size_t i = 0; i < p->n; i++) {
		const struct zk_copy_step *s = &p->v[i];
		struct strbuf action = STRBUF_INIT;

		if (only_conflicts ? !s->conflict : s->what == 0 && s->left == ZK_COPY_TAKEN)
			continue;
		action_of(s, &action);
		table_cell(t, "%s", strbuf_str(&action));
		table_cell(t, "%zu", s->node->len);
		table_cell(t, "%s", s->node->path);
		table_cell(t, "%s", s->left != ZK_COPY_TAKEN ? left_words[s->left] : s->conflict ? "the target has something else" : "");
		strbuf_fini(&action);
	}
	table_print(&t);
}

struct counts {
	uint64_t created, written, acls, raised, deleted, same, ephemeral, notifications, foreign;
};

static struct counts
count(const struct zk_copy_plan *p)
{
	struct counts c = { 0 };

	for (size_t i = 0; i < p->n; i++) {
		const struct zk_copy_step *s = &p->v[i];

		c.created += (s->what & ZK_COPY_CREATE) != 0;
		c.written += (s->what & ZK_COPY_SET) != 0;
		c.acls += (s->what & ZK_COPY_ACL) != 0 && (s->what & ZK_COPY_CREATE) == 0;
		c.raised += (s->what & ZK_COPY_RAISE) != 0;
		c.deleted += (s->what & ZK_COPY_DELETE) != 0;
		c.same += s->what == 0 && s->left == ZK_COPY_TAKEN;
		c.ephemeral += s->left == ZK_COPY_EPHEMERAL;
		c.notifications += s->left == ZK_COPY_NOTIFICATION;
		c.foreign += s->left == ZK_COPY_FOREIGN;
	}
	return (c);
}

static void
tell_summary(const struct arguments *a, const struct zk_copy_plan *p, bool done)
{
	struct counts c = count(p);
	struct line j;

	if (!given(a, OPT_json)) {
		printf("%s%" PRIu64 " created, %" PRIu64 " written over, %" PRIu64 " ACLs set, %" PRIu64 " versions raised, %" PRIu64 " deleted, %" PRIu64 " the same\n",
		    done ? "" : "nothing was written; it would be: ", c.created, c.written, c.acls, c.raised, c.deleted, c.same);
		printf("left out: %" PRIu64 " ephemeral, %" PRIu64 " notifications, %" PRIu64 " not Kafka's; zxids, times and versions (but for /brokers/seqid, /feature) begin anew\n",
		    c.ephemeral, c.notifications, c.foreign);
		return;
	}
	line_begin(&j, "summary");
	line_int(&j, "created", (int64_t)c.created);
	line_int(&j, "written", (int64_t)c.written);
	line_int(&j, "acls", (int64_t)c.acls);
	line_int(&j, "versions", (int64_t)c.raised);
	line_int(&j, "deleted", (int64_t)c.deleted);
	line_int(&j, "same", (int64_t)c.same);
	line_int(&j, "ephemeral", (int64_t)c.ephemeral);
	line_int(&j, "notifications", (int64_t)c.notifications);
	line_int(&j, "foreign", (int64_t)c.foreign);
	line_int(&j, "conflicts", p->conflicts);
	line_bool(&j, "done", done);
	line_end(&j);
}

static enum status
tell(const struct arguments *a, const struct zk_copy_plan *p, bool done)
{
	if (given(a, OPT_json))
		tell_json(p, done);
	else if (!done)
		tell_steps(p, false);
	tell_summary(a, p, done);
	return (done || p->conflicts == 0 || given(a, OPT_overwrite) ? STATUS_CLEAN : STATUS_FOUND);
}

/* ---- writing ---- */

struct copying {
	const struct arguments *a;
	const struct znodes *source;
	struct zk_copy_options options;
	struct zkplace *to;
	struct zk_copy_plan plan;
	struct znodes target;
	bool done;
	enum err err;
	struct errbuf eb;
};

static void
on_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct copying *c = ctx;

	c->err = e;
	c->eb = *why;
	c->done = true;
}

static bool
make_plan(struct copying *c)
{
	struct errbuf eb = ERRBUF_INIT;

	if (!read_place(c->a, c->to, &c->target))
		return (false);
	if (zk_copy_plan_make(c->source, &c->target, &c->options, &c->plan, &eb) == OK)
		return (true);
	(void)failure(c->a, "%s", eb.text);
	znodes_fini(&c->target);
	return (false);
}

static void
drop_plan(struct copying *c)
{
	zk_copy_plan_fini(&c->plan);
	znodes_fini(&c->target);
}

static bool
write_it(struct copying *c)
{
	uint64_t answered = 0;

	zk_copy_write(zkplace_zk(c->to), zkplace_chroot(c->to), &c->plan, &answered, on_written, c);
	if (!zkplace_wait(c->a, c->to, &answered, &c->done))
		return (false);
	if (c->err == OK)
		return (true);
	(void)failure(c->a, "%s: %s%s\n  what is missing is written when this is run again", zkplace_text(c->to), c->eb.text,
	    c->err == ERR_ZK_AUTH ? ": the server does not know the scheme of its ACL (--no-acls leaves them out), or does not let us (--auth-file)" : "");
	return (false);
}

/* (4) */
static bool
look_again(struct copying *c)
{
	unsigned missing = 0;

	if (!make_plan(c))
		return (false);
	for (size_t i = 0; i < c->plan.n; i++)
		if (c->plan.v[i].what != 0 && ++missing <= NAMED_MAX)
			(void)failure(c->a, "%s: %s is not as it was written", zkplace_text(c->to), c->plan.v[i].node->path);
	drop_plan(c);
	if (missing > 0)
		(void)failure(c->a, "%s: somebody else writes there; run this again when nobody does", zkplace_text(c->to));
	return (missing == 0);
}

static enum status
bring(struct copying *c, const char *from)
{
	const struct arguments *a = c->a;
	enum status status;

	if (!make_plan(c))
		return (STATUS_FAILED);
	if (given(a, OPT_dry_run) || (c->plan.conflicts > 0 && !given(a, OPT_overwrite))) {
		status = tell(a, &c->plan, false);
		if (status == STATUS_FOUND)
			(void)failure(a, "%s has %" PRIu32 " nodes that are not as they would be; --overwrite makes them the same, and deletes those of Kafka's that only it has",
			    zkplace_text(c->to), c->plan.conflicts);
		drop_plan(c);
		return (status);
	}
	status = write_it(c) ? STATUS_CLEAN : STATUS_FAILED;
	if (status == STATUS_CLEAN) {
		struct copying again = *c;

		if (!look_again(&again) || (from != NULL && !still_quiet(a, from)))
			status = STATUS_FAILED;
	}
	if (status == STATUS_CLEAN) {
		(void)tell(a, &c->plan, true);
		if (!given(a, OPT_json))
			printf("now zookeeper.connect=%s, and the brokers may start\n", zkplace_text(c->to));
	}
	drop_plan(c);
	return (status);
}

/* from: NULL for a file. */
static enum status
bring_to(const struct arguments *a, const struct znodes *source, const char *from, const char *to)
{
	struct copying c = { .a = a, .source = source, .options = { .everything = from == NULL || given(a, OPT_all_nodes), .no_acls = given(a, OPT_no_acls) } };
	enum status status;

	if (!zkplace_open(a, to, given(a, OPT_dry_run) ? ZKPLACE_PREVIEW : ZKPLACE_WRITE, &c.to))
		return (STATUS_FAILED);
	status = bring(&c, from);
	zkplace_close(&c.to);
	return (status);
}

/* ---- the verbs ---- */

/* Those that would be copied to an empty place; they still belong to t. */
static void
only_taken(const struct zk_copy_plan *p, struct znodes *taken)
{
	*taken = (struct znodes){ .v = xcalloc(p->n + 1, sizeof(*taken->v)) };
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].left == ZK_COPY_TAKEN)
			taken->v[taken->n++] = *p->v[i].node;
}

static bool
plan_alone(const struct arguments *a, const char *where, const struct znodes *t, bool everything, struct zk_copy_plan *p)
{
	const struct zk_copy_options o = { .everything = everything };
	const struct znodes nothing = { NULL, 0, 0 };
	struct errbuf eb = ERRBUF_INIT;

	if (zk_copy_plan_make(t, &nothing, &o, p, &eb) != OK) {
		(void)failure(a, "%s: %s", where, eb.text);
		return (false);
	}
	if (count(p).created > 0)
		return (true);
	(void)failure(a, "%s: no cluster is there: none of Kafka's nodes (is the chroot right?)", where);
	zk_copy_plan_fini(p);
	return (false);
}

enum status
verb_znode_export(const struct arguments *a)
{
	const char *from = a->operands[0], *file = a->operands[1];
	enum status status = STATUS_FAILED;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_copy_plan plan;
	struct znodes t, taken;

	if (!read_source(a, from, &t))
		return (STATUS_FAILED);
	if (plan_alone(a, from, &t, given(a, OPT_all_nodes), &plan)) {
		only_taken(&plan, &taken);
		if (znode_file_write(file, from, &taken, given(a, OPT_overwrite), &eb) != OK)
			(void)failure(a, "%s", eb.text);
		else if (still_quiet(a, from)) {
			struct counts c = count(&plan);

			status = STATUS_CLEAN;
			printf("%s: %zu nodes; left out: %" PRIu64 " ephemeral, %" PRIu64 " notifications, %" PRIu64 " not Kafka's\n", file, taken.n, c.ephemeral,
			    c.notifications, c.foreign);
		}
		free(taken.v);
		zk_copy_plan_fini(&plan);
	}
	znodes_fini(&t);
	return (status);
}

enum status
verb_znode_import(const struct arguments *a)
{
	const char *file = a->operands[0];
	struct errbuf eb = ERRBUF_INIT;
	enum status status = STATUS_FAILED;
	struct zk_copy_plan plan;
	struct znodes t;

	if (znode_file_read(file, &t, &eb) != OK)
		return (failure(a, "%s: %s", file, eb.text));
	if (nobody_lives(a, file, &t) && plan_alone(a, file, &t, true, &plan)) {
		zk_copy_plan_fini(&plan);
		status = bring_to(a, &t, NULL, a->operands[1]);
	}
	znodes_fini(&t);
	return (status);
}

enum status
verb_znode_copy(const struct arguments *a)
{
	const char *from = a->operands[0];
	enum status status = STATUS_FAILED;
	struct zk_copy_plan plan;
	struct znodes t;

	if (!read_source(a, from, &t))
		return (STATUS_FAILED);
	if (plan_alone(a, from, &t, given(a, OPT_all_nodes), &plan)) {
		zk_copy_plan_fini(&plan);
		status = bring_to(a, &t, from, a->operands[1]);
	}
	znodes_fini(&t);
	return (status);
}
