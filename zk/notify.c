/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/notify.c - see notify.h: following /config/changes.
 *
 * A PASS   list the notifications (arming the watch), get them all, decode those numbered above `last` in order, get the entities they name,
 *	    report, then delete the notifications older than 15 minutes.  `last` moves to the highest number only when the entities were read,
 *	    so that a pass cut short by an expired session is repeated.  One pass at a time; a watch event meanwhile asks for another.
 * A notification that cannot be decoded is reported to diag and passed over; so is one that vanished between list and get (somebody's purge).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/notify_int.h"
#include "zk/paths.h"
#include "zk/step_int.h"

enum { EXPIRATION_MS = 15 * 60 * 1000, RETRY_MS = 1000 };

struct change {
	int64_t		 number;
	char		*node;		/* malloc'ed */
	int64_t		 ctime_ms;	/* -1: not read */
	bool		 named;		/* entity is what it is about */
	struct zk_entity entity;	/* in the pass's arena */
};

struct zk_config_watch {
	struct zk	  *zk;
	struct clock	  *clock;
	struct diag	  *diag;
	struct zk_config_watch_callbacks callbacks;
	void		  *ctx;
	struct zk_watcher  watcher;
	struct zk_listener listener;
	struct timer	   retry;
	int64_t		   last;	/* highest number reported; -1 */
	bool		   busy, again, freed, was_ready;
	struct arena	   arena;	/* of the pass */
	struct change	  *changes;	/* by number */
	uint32_t	   n;
};

static void pass_begin(struct zk_config_watch *);

static void
pass_forget(struct zk_config_watch *w)
{
	uint32_t i;

	for (i = 0; i < w->n; i++)
		free(w->changes[i].node);
	free(w->changes);
	w->changes = NULL;
	w->n = 0;
	arena_reset(&w->arena);
}

static void
watch_free(struct zk_config_watch *w)
{
	pass_forget(w);
	arena_fini(&w->arena);
	free(w);
}

static void
pass_end(struct zk_config_watch *w, enum err e, const struct errbuf *why)
{
	pass_forget(w);
	w->busy = false;
	if (w->freed) {
		watch_free(w);
		return;
	}
	if (e == ERR_ZK_EXPIRED || e == ERR_STOPPED) {
		w->again = true;	/* CONNECTED begins it */
		return;
	}
	if (e != OK) {
		diag_line(w->diag, DIAG_ERROR, "config", "reading config changes: %s; trying again", why->text);
		timer_set(zk_loop(w->zk), &w->retry, RETRY_MS);
	}
	if (!w->was_ready) {
		w->was_ready = true;
		w->callbacks.ready(w->ctx, e, why);
	}
	if (w->again && e == OK)
		pass_begin(w);
}

/* true: freed meanwhile, or `r` is an error; the pass is over then. */
static bool
pass_broken(struct zk_config_watch *w, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;

	if (!w->freed && r->error == ZKE_OK)
		return (false);
	pass_end(w, w->freed ? OK : zk_step_error(&eb, r, "reading"), &eb);
	return (true);
}

/* ---- delete the old ---- */
static void
pass_purged(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct zk_config_watch *w = ctx;
	struct errbuf none = ERRBUF_INIT;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (results[i].error == ZKE_SESSION_EXPIRED || results[i].error == ZKE_CLOSING) {
			pass_end(w, zke_err(results[i].error), &none);
			return;
		}
	pass_end(w, OK, &none);
}

static void
pass_purge(struct zk_config_watch *w)
{
	struct zk_op *ops = xcalloc((size_t)w->n + 1, sizeof(*ops));
	int64_t now = clock_wall_ms(w->clock);
	uint32_t i, n = 0;

	for (i = 0; i < w->n; i++)
		if (w->changes[i].ctime_ms >= 0 && now - w->changes[i].ctime_ms > EXPIRATION_MS)
			ops[n++] = ZK_DELETE(w->changes[i].node, ZK_ANY_VERSION);
	zk_many(w->zk, ops, n, pass_purged, w);
	free(ops);
}

/* ---- report ---- */
static void
report(struct zk_config_watch *w, const struct zk_entity *entity, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_config config;
	struct arena a;
	bool found;

	arena_init(&a, CONFIG_ARENA_MAX);
	if (zk_config_of_result(&a, r, &config, &found, &eb) == OK)
		w->callbacks.changed(w->ctx, entity, &config);
	else
		diag_line(w->diag, DIAG_ERROR, "config", "a changed config is passed over: %s", eb.text);
	arena_fini(&a);
}

static void
pass_entities_read(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct zk_config_watch *w = ctx;
	uint32_t i, k = 0;

	for (i = 0; i < n; i++)
		if (results[i].error != ZKE_NO_NODE && pass_broken(w, &results[i]))
			return;
	for (i = 0; i < w->n && !w->freed; i++)
		if (w->changes[i].named)
			report(w, &w->changes[i].entity, &results[k++]);
	if (w->n > 0 && w->changes[w->n - 1].number > w->last)
		w->last = w->changes[w->n - 1].number;
	pass_purge(w);
}

static void
pass_read_entities(struct zk_config_watch *w)
{
	struct zk_op *ops = xcalloc((size_t)w->n + 1, sizeof(*ops));
	uint32_t i, n = 0;

	for (i = 0; i < w->n; i++)
		if (w->changes[i].named)
			ops[n++] = ZK_GET(zk_config_node(&w->arena, &w->changes[i].entity), NULL);
	zk_many(w->zk, ops, n, pass_entities_read, w);
	free(ops);
}

static void
change_decode(struct zk_config_watch *w, struct change *c, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;

	c->ctime_ms = r->error == ZKE_OK ? r->stat.ctime_ms : -1;
	if (c->number <= w->last || r->error == ZKE_NO_NODE)
		return;
	c->named = zk_config_change_decode(&w->arena, r->data, &c->entity, &eb) == OK;
	if (!c->named)
		diag_line(w->diag, DIAG_ERROR, "config", "%s is passed over: %s", c->node, eb.text);
}

static void
pass_changes_read(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct zk_config_watch *w = ctx;
	uint32_t i;

	if (w->freed) {
		pass_end(w, OK, NULL);
		return;
	}
	must(n == w->n);
	for (i = 0; i < n; i++)
		if (results[i].error != ZKE_NO_NODE && pass_broken(w, &results[i]))
			return;
	for (i = 0; i < n; i++)
		change_decode(w, &w->changes[i], &results[i]);
	pass_read_entities(w);
}

/* ---- list ---- */
static int
by_number(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	return ((x->number > y->number) - (x->number < y->number));
}

static void
collect(struct zk_config_watch *w, const struct zk_result *r)
{
	struct change *c;
	uint32_t i;

	w->changes = xcalloc((size_t)r->nchildren + 1, sizeof(*w->changes));
	for (i = 0; i < r->nchildren; i++) {
		c = &w->changes[w->n];
		if (!zk_sequence_of(r->children[i], ZK_CONFIG_CHANGE_PREFIX, &c->number))
			continue;
		c->node = xasprintf("%s/%s", ZK_CONFIG_CHANGES, r->children[i]);
		c->ctime_ms = -1;
		w->n++;
	}
	qsort(w->changes, w->n, sizeof(*w->changes), by_number);
}

static void
pass_listed(void *ctx, const struct zk_result *r)
{
	struct zk_config_watch *w = ctx;
	struct zk_op *ops;
	uint32_t i;

	if (pass_broken(w, r))
		return;
	collect(w, r);
	ops = xcalloc((size_t)w->n + 1, sizeof(*ops));
	for (i = 0; i < w->n; i++)
		ops[i] = ZK_GET(w->changes[i].node, NULL);
	zk_many(w->zk, ops, w->n, pass_changes_read, w);
	free(ops);
}

static void
pass_begin(struct zk_config_watch *w)
{
	if (w->busy) {
		w->again = true;
		return;
	}
	w->again = false;
	w->busy = true;
	timer_cancel(zk_loop(w->zk), &w->retry);
	zk_children(w->zk, ZK_CONFIG_CHANGES, &w->watcher, pass_listed, w);
}

/* ---- what begins a pass ---- */
static void
on_watch(struct zk_watcher *watcher, enum zk_event event, const char *path)
{
	(void)event;
	(void)path;
	pass_begin(CONTAINER_OF(watcher, struct zk_config_watch, watcher));
}

static void
on_retry(struct timer *t)
{
	pass_begin(CONTAINER_OF(t, struct zk_config_watch, retry));
}

static void
on_session(struct zk_listener *l, enum zk_session_event event)
{
	struct zk_config_watch *w = CONTAINER_OF(l, struct zk_config_watch, listener);

	if (event == ZK_EXPIRED)
		w->again = true;
	else if (event == ZK_CONNECTED && w->again)
		pass_begin(w);
}

struct zk_config_watch *
zk_config_watch_new(struct zk *zk, struct clock *clock, struct diag *diag, const struct zk_config_watch_callbacks *callbacks, void *ctx)
{
	struct zk_config_watch *w = xcalloc(1, sizeof(*w));

	*w = (struct zk_config_watch){ .zk = zk, .clock = clock, .diag = diag, .callbacks = *callbacks, .ctx = ctx, .last = -1 };
	arena_init(&w->arena, CONFIG_ARENA_MAX);
	zk_watcher_init(&w->watcher, on_watch);
	timer_init(&w->retry, on_retry);
	w->listener.fn = on_session;
	zk_listen(zk, &w->listener);
	pass_begin(w);
	return (w);
}

void
zk_config_watch_free(struct zk_config_watch **wp)
{
	struct zk_config_watch *w = *wp;

	if (w == NULL)
		return;
	*wp = NULL;
	zk_unwatch(w->zk, &w->watcher);
	zk_unlisten(w->zk, &w->listener);
	timer_cancel(zk_loop(w->zk), &w->retry);
	w->freed = true;
	if (!w->busy)
		watch_free(w);
}
