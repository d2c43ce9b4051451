/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/fake.c - see fake.h.
 *
 * Each client has two queues.  `waiting` are calls not applied yet, in order of submission.  `items` is what the client is about to hear, in the
 * order "the server" said it: answers, watch events, session events.  One task per client makes one step: it applies one waiting call,
 * or, when there is none to apply, delivers one item.  So pipelined calls are all applied before the first is answered, as in life.
 *
 * LOSS     A lost call stays at the head of `waiting`, so it is sent again.  A read is never applied before its answer is lost: the
 *          watch it would have set died with the connection.  While disconnected, watch events are held back; they follow CONNECTED.
 * EXPIRY   The tree's session ends at once; waiting calls become SESSION_EXPIRED answers in front of the EXPIRED item, and so do
 *          calls submitted before that item is delivered.  Once every client of the session has heard it, the next session begins.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/client_int.h"
#include "zk/fake.h"

enum { SETTLE_TURNS_MAX = 10000000 };

enum item_kind { ITEM_ANSWER, ITEM_WATCH, ITEM_SESSION };

struct item {
	TAILQ_ENTRY(item) link;
	enum item_kind	      kind;
	struct zk_call	     *call;		/* ANSWER, with its result */
	enum zk_event	      event;		/* WATCH */
	char		     *path;
	enum zk_session_event session_event;	/* SESSION */
	int64_t		      session_id;	/* CONNECTED: this one */
};
TAILQ_HEAD(items, item);

struct fault {
	LIST_ENTRY(fault) link;
	enum zk_fault kind;
	uint64_t      at;
};

struct fake_session {
	TAILQ_ENTRY(fake_session) link;
	struct zk_fake *fake;
	TAILQ_HEAD(, fake_client) clients;
	LIST_HEAD(, fault) faults;
	uint64_t operations;
	int64_t	 id;			/* 0: between two sessions */
	int64_t	 delay_ms;
	bool	 cut;			/* disconnected by hand */
	bool	 expired_unheard;	/* expired while cut: the clients hear it at the reconnect */
};

struct fake_client {
	struct zk	     zk;
	TAILQ_ENTRY(fake_client) link;
	struct fake_session *session;	/* NULL once closed */
	struct zk_watches    watches;
	struct zk_calls	     waiting;
	struct items	     items, held;
	struct item	    *expired;	/* the EXPIRED item in `items`, not delivered yet */
	struct task	     task;
	struct timer	     timer;	/* instead of the task, when calls take time */
	bool		     posted;
};

struct zk_fake {
	struct clock   *clock;
	struct zk_tree *tree;
	TAILQ_HEAD(, fake_session) sessions;
};

static struct fake_client *
client_of(const struct zk *zk)
{
	return (CONTAINER_OF(zk, struct fake_client, zk));
}

/* ---- scheduling ---- */
static bool
can_apply(const struct fake_client *c)
{
	return (c->session != NULL && c->session->id != 0 && !c->session->cut && !TAILQ_EMPTY(&c->waiting));
}

static void
schedule(struct fake_client *c)
{
	bool apply = can_apply(c);

	if (c->posted)
		return;
	if (apply && c->session->delay_ms > 0 && TAILQ_EMPTY(&c->items)) {
		if (!c->timer.armed)
			timer_set(c->zk.loop, &c->timer, c->session->delay_ms);
	} else if (apply || !TAILQ_EMPTY(&c->items) || c->session == NULL) {
		c->posted = true;
		loop_post(c->zk.loop, &c->task);
	}
}

/* ---- items ---- */
static struct item *
item_add(struct fake_client *c, enum item_kind kind)
{
	struct item *i = xcalloc(1, sizeof(*i));

	i->kind = kind;
	TAILQ_INSERT_TAIL(&c->items, i, link);
	schedule(c);
	return (i);
}

static void
item_free(struct item *i)
{
	free(i->path);
	free(i);
}

static void
add_answer(struct fake_client *c, struct zk_call *call, struct zk_result *result)
{
	struct item *i = item_add(c, ITEM_ANSWER);

	i->call = call;
	call->result = result;
	if (c->expired != NULL && c->expired != i) {
		TAILQ_REMOVE(&c->items, i, link);
		TAILQ_INSERT_BEFORE(c->expired, i, link);
	}
}

static void
add_error(struct fake_client *c, struct zk_call *call, enum zke error)
{
	add_answer(c, call, zk_result_error(error, call->ops, call->nops, call->multi));
}

static void
fail_waiting(struct fake_client *c, enum zke error)
{
	struct zk_call *call;

	while ((call = TAILQ_FIRST(&c->waiting)) != NULL) {
		TAILQ_REMOVE(&c->waiting, call, link);
		add_error(c, call, error);
	}
}

static void
add_session_event(struct fake_session *s, enum zk_session_event event)
{
	struct fake_client *c;
	struct item *i;

	TAILQ_FOREACH(c, &s->clients, link) {
		i = item_add(c, ITEM_SESSION);
		i->session_event = event;
		i->session_id = s->id;
		if (event == ZK_EXPIRED)
			c->expired = i;
		if (event == ZK_CONNECTED)
			TAILQ_CONCAT(&c->items, &c->held, link);
	}
}

static void
tree_event(void *ctx, int64_t session_id, enum zk_event event, const char *path, unsigned kinds)
{
	struct zk_fake *fake = ctx;
	struct fake_session *s;
	struct fake_client *c;
	struct item *i;

	(void)kinds;
	TAILQ_FOREACH(s, &fake->sessions, link) {
		if (s->id != session_id)
			continue;
		TAILQ_FOREACH(c, &s->clients, link) {
			i = item_add(c, ITEM_WATCH);
			i->event = event;
			i->path = xstrdup(path);
			if (s->cut) {
				TAILQ_REMOVE(&c->items, i, link);
				TAILQ_INSERT_TAIL(&c->held, i, link);
			}
		}
	}
}

/* ---- sessions ---- */
static void
session_tell_expired(struct fake_session *s)
{
	struct fake_client *c;
	struct item *i;

	TAILQ_FOREACH(c, &s->clients, link) {
		fail_waiting(c, ZKE_SESSION_EXPIRED);
		while ((i = TAILQ_FIRST(&c->held)) != NULL) {
			TAILQ_REMOVE(&c->held, i, link);
			item_free(i);
		}
	}
	add_session_event(s, ZK_EXPIRED);
}

static void
session_expire(struct fake_session *s)
{
	int64_t id = s->id;

	if (id == 0)
		return;
	s->id = 0;
	zk_tree_session_end(s->fake->tree, id, clock_wall_ms(s->fake->clock));
	if (s->cut)
		s->expired_unheard = true;
	else
		session_tell_expired(s);
}

static void
session_begin_if_all_heard(struct fake_session *s)
{
	struct fake_client *c;

	if (s->id != 0 || s->cut || s->expired_unheard)
		return;
	TAILQ_FOREACH(c, &s->clients, link)
		if (c->expired != NULL)
			return;
	s->id = zk_tree_session_new(s->fake->tree);
	add_session_event(s, ZK_CONNECTED);
}

static void
session_blip(struct fake_session *s)
{
	add_session_event(s, ZK_DISCONNECTED);
	add_session_event(s, ZK_CONNECTED);
}

static void
forget_faults(struct fake_session *s)
{
	struct fault *f;

	while ((f = LIST_FIRST(&s->faults)) != NULL) {
		LIST_REMOVE(f, link);
		free(f);
	}
}

static void
session_free(struct fake_session *s)
{
	forget_faults(s);
	TAILQ_REMOVE(&s->fake->sessions, s, link);
	free(s);
}

/* ---- applying ---- */
static bool
fault_due(struct fake_session *s, enum zk_fault *kind)
{
	struct fault *f;

	s->operations++;
	LIST_FOREACH(f, &s->faults, link)
		if (f->at == s->operations) {
			*kind = f->kind;
			LIST_REMOVE(f, link);
			free(f);
			return (true);
		}
	return (false);
}

static bool
call_writes(const struct zk_call *call)
{
	return (call->multi || call->ops[0].kind == ZK_OP_CREATE || call->ops[0].kind == ZK_OP_DELETE || call->ops[0].kind == ZK_OP_SET ||
	    call->ops[0].kind == ZK_OP_SET_ACL);
}

/* What a create made is not in a multi's answer: the protocol has no room for it. */
static struct zk_result *
multi_result(const struct zk_result *r, const struct zk_op *ops)
{
	struct zk_result *copy = zk_result_dup(r), *each = (struct zk_result *)(uintptr_t)copy->results;

	for (uint32_t i = 0; i < copy->nresults; i++)
		if (ops[i].kind == ZK_OP_CREATE)
			each[i].stat = (struct zk_stat){ .version = 0 };
	return (copy);
}

static struct zk_result *
apply(struct fake_session *s, struct zk_call *call)
{
	int64_t now = clock_wall_ms(s->fake->clock);
	struct zk_result r;

	if (call->multi) {
		zk_tree_multi(s->fake->tree, s->id, now, call->ops, NULL, call->nops, &r);
		return (multi_result(&r, call->ops));
	}
	zk_tree_apply(s->fake->tree, s->id, now, call->ops, &r);
	return (zk_result_dup(&r));
}

static void
apply_with_fault(struct fake_client *c, struct zk_call *call, enum zk_fault kind)
{
	struct fake_session *s = c->session;

	if ((kind == ZK_FAULT_LOSS_AFTER || kind == ZK_FAULT_EXPIRE_AFTER) && call_writes(call))
		free(apply(s, call));
	switch (kind) {
	case ZK_FAULT_LOSS_BEFORE:
	case ZK_FAULT_LOSS_AFTER:
		session_blip(s);
		break;
	case ZK_FAULT_EXPIRE_BEFORE:
	case ZK_FAULT_EXPIRE_AFTER:
		session_expire(s);
		break;
	case ZK_FAULT_SYSTEM_ERROR:
		TAILQ_REMOVE(&c->waiting, call, link);
		add_error(c, call, ZKE_SYSTEM_ERROR);
		break;
	}
}

static void
apply_next(struct fake_client *c)
{
	struct zk_call *call = TAILQ_FIRST(&c->waiting);
	struct zk_result *result;
	enum zk_fault kind;

	if (fault_due(c->session, &kind)) {
		apply_with_fault(c, call, kind);
		return;
	}
	TAILQ_REMOVE(&c->waiting, call, link);
	result = apply(c->session, call);
	add_answer(c, call, result);
}

/* ---- delivering ---- */
static void
deliver_session_event(struct fake_client *c, const struct item *i)
{
	c->zk.connected = i->session_event == ZK_CONNECTED;
	if (i->session_event == ZK_CONNECTED)
		c->zk.session_id = i->session_id;
	if (i->session_event == ZK_EXPIRED) {
		zk_watches_fini(&c->watches);
		c->expired = NULL;
	}
	zk_tell(&c->zk, i->session_event);
	if (i->session_event == ZK_EXPIRED && c->session != NULL)
		session_begin_if_all_heard(c->session);
}

static void
deliver(struct fake_client *c, struct item *i)
{
	if (i->kind == ITEM_ANSWER)
		zk_call_answer(i->call, &c->watches);
	else if (c->session != NULL && i->kind == ITEM_WATCH)
		zk_watches_fire(&c->watches, i->event, i->path);
	else if (c->session != NULL)
		deliver_session_event(c, i);
	item_free(i);
}

static void
client_free(struct fake_client *c)
{
	zk_watches_fini(&c->watches);
	free(c);
}

/* Watch events of the time before an expiry must not be taken for those of the next session: items keep their order, so they are not. */
static void
step(struct fake_client *c)
{
	struct item *i;

	if (can_apply(c) && (c->session->delay_ms == 0 || TAILQ_EMPTY(&c->items)))
		apply_next(c);
	else if ((i = TAILQ_FIRST(&c->items)) != NULL) {
		TAILQ_REMOVE(&c->items, i, link);
		deliver(c, i);
	}
	if (c->session == NULL && TAILQ_EMPTY(&c->items) && !c->posted)
		client_free(c);
	else
		schedule(c);
}

static void
step_task(struct task *task)
{
	struct fake_client *c = CONTAINER_OF(task, struct fake_client, task);

	c->posted = false;
	step(c);
}

static void
step_timer(struct timer *timer)
{
	step(CONTAINER_OF(timer, struct fake_client, timer));
}

/* ---- the table ---- */
static void
fake_submit(struct zk *zk, const struct zk_op *ops, uint32_t n, bool multi, zk_done_fn *done, void *ctx)
{
	struct fake_client *c = client_of(zk);
	struct zk_call *call = zk_call_new(sizeof(*call), zk, ops, n, multi, done, ctx);
	enum zke invalid = zk_ops_invalid(zk, ops, n, multi);

	if (c->session == NULL)
		add_error(c, call, ZKE_CLOSING);
	else if (invalid != ZKE_OK)
		add_error(c, call, invalid);
	else if (c->expired != NULL)
		add_error(c, call, ZKE_SESSION_EXPIRED);
	else {
		TAILQ_INSERT_TAIL(&c->waiting, call, link);
		schedule(c);
	}
}

static void
forget_watcher(struct zk_call *call, struct zk_watcher *w, const char *path)
{
	uint32_t i;

	for (i = 0; i < call->nops; i++)
		if (call->ops[i].watcher == w && (path == NULL || strcmp(path, call->ops[i].path) == 0)) {
			call->ops[i].watcher = NULL;
			w->pending--;
		}
}

static void
fake_unwatch(struct zk *zk, struct zk_watcher *w, const char *path)
{
	struct fake_client *c = client_of(zk);
	struct zk_call *call;
	struct item *i;

	zk_watches_remove(&c->watches, w, path);
	TAILQ_FOREACH(call, &c->waiting, link)
		forget_watcher(call, w, path);
	TAILQ_FOREACH(i, &c->items, link)
		if (i->kind == ITEM_ANSWER)
			forget_watcher(i->call, w, path);
}

static void
fake_close(struct zk *zk)
{
	struct fake_client *c = client_of(zk);
	struct fake_session *s = c->session;
	struct item *i;

	c->expired = NULL;
	fail_waiting(c, ZKE_CLOSING);
	while ((i = TAILQ_FIRST(&c->held)) != NULL) {
		TAILQ_REMOVE(&c->held, i, link);
		item_free(i);
	}
	zk_watches_fini(&c->watches);
	TAILQ_INIT(&c->zk.listeners);
	c->zk.next_listener = NULL;
	timer_cancel(c->zk.loop, &c->timer);
	TAILQ_REMOVE(&s->clients, c, link);
	c->session = NULL;
	if (TAILQ_EMPTY(&s->clients)) {
		if (s->id != 0)
			zk_tree_session_end(s->fake->tree, s->id, clock_wall_ms(s->fake->clock));
		session_free(s);
	} else {
		session_begin_if_all_heard(s);
	}
	schedule(c);
}

static const struct zk_ops fake_ops = { fake_submit, fake_unwatch, fake_close };

/* ---- public ---- */
struct zk_fake *
zk_fake_new(struct clock *clock)
{
	struct zk_fake *fake = xcalloc(1, sizeof(*fake));

	fake->clock = clock;
	fake->tree = zk_tree_new(tree_event, fake);
	TAILQ_INIT(&fake->sessions);
	return (fake);
}

void
zk_fake_free(struct zk_fake **fakep)
{
	struct zk_fake *fake = *fakep;

	if (fake == NULL)
		return;
	*fakep = NULL;
	must(TAILQ_EMPTY(&fake->sessions));
	zk_tree_free(&fake->tree);
	free(fake);
}

struct zk_tree *
zk_fake_tree(struct zk_fake *fake)
{
	return (fake->tree);
}

static struct zk *
client_new(struct fake_session *s, struct loop *loop)
{
	struct fake_client *c = xcalloc(1, sizeof(*c));

	zk_client_init(&c->zk, &fake_ops, loop);
	c->session = s;
	c->zk.session_id = s->id;
	c->zk.connected = s->id != 0 && !s->cut;
	c->task.fn = step_task;
	timer_init(&c->timer, step_timer);
	zk_watches_init(&c->watches);
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->items);
	TAILQ_INIT(&c->held);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	return (&c->zk);
}

struct zk *
zk_fake_client(struct zk_fake *fake, struct loop *loop)
{
	struct fake_session *s = xcalloc(1, sizeof(*s));

	s->fake = fake;
	TAILQ_INIT(&s->clients);
	LIST_INIT(&s->faults);
	s->id = zk_tree_session_new(fake->tree);
	TAILQ_INSERT_TAIL(&fake->sessions, s, link);
	return (client_new(s, loop));
}

struct zk *
zk_fake_client_sharing(struct zk *zk, struct loop *loop)
{
	return (client_new(client_of(zk)->session, loop));
}

void
zk_fake_fault(struct zk *zk, enum zk_fault kind, uint64_t nth)
{
	struct fake_session *s = client_of(zk)->session;
	struct fault *f = xcalloc(1, sizeof(*f));

	must(nth > 0);
	f->kind = kind;
	f->at = s->operations + nth;
	LIST_INSERT_HEAD(&s->faults, f, link);
}

void
zk_fake_forget_faults(struct zk *zk)
{
	forget_faults(client_of(zk)->session);
}

bool
zk_fake_faults_pending(const struct zk *zk)
{
	return (!LIST_EMPTY(&client_of(zk)->session->faults));
}

uint64_t
zk_fake_operations(const struct zk *zk)
{
	return (client_of(zk)->session->operations);
}

void
zk_fake_disconnect(struct zk *zk)
{
	struct fake_session *s = client_of(zk)->session;

	if (s->cut)
		return;
	s->cut = true;
	add_session_event(s, ZK_DISCONNECTED);
}

void
zk_fake_reconnect(struct zk *zk)
{
	struct fake_session *s = client_of(zk)->session;

	if (!s->cut)
		return;
	s->cut = false;
	if (s->id != 0)
		add_session_event(s, ZK_CONNECTED);
	else if (s->expired_unheard) {
		s->expired_unheard = false;
		session_tell_expired(s);
	}
	else
		session_begin_if_all_heard(s);
}

void
zk_fake_expire(struct zk *zk)
{
	session_expire(client_of(zk)->session);
}

void
zk_fake_delay(struct zk *zk, int64_t ms)
{
	client_of(zk)->session->delay_ms = ms;
}

void
zk_fake_settle(struct loop *loop)
{
	unsigned turns = 0;

	while (loop_turn(loop, 0))
		must(++turns < SETTLE_TURNS_MAX);
}
