/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/election.c - see election.h.
 *
 * ELECTING  read /controller_epoch (value e, znode version v; created as 0 when missing), then
 *		multi[ create /controller ephemeral, set /controller_epoch to e + 1 at version v ]
 *	     NODE_EXISTS or BAD_VERSION may be the echo of our own lost success: then /controller is owned by this very session and the
 *	     epoch is e + 1.  Anything else means somebody was faster.
 *
 * THE WHOLE  Everything is caused by `look`: read /controller, which arms the watch, then act.  At most one operation is under way; a reason
 *	     to look that comes meanwhile is kept (again).  While the session is gone nothing is done; CONNECTED with a new session looks.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/election.h"
#include "zk/paths.h"
#include "zk/step_int.h"

enum { RETRY_MS = 1000, SMALL_ARENA = 65536 };

/* ---- reading ---- */
struct reading {
	struct zk	  *zk;
	struct zk_watcher *watcher;
	zk_controller_fn  *done;
	void		  *ctx;
};

static void reading_got(void *, const struct zk_result *);

static void
reading_end(struct reading *g, enum err e, const struct zk_controller_info *info, int32_t version, const struct errbuf *why)
{
	g->done(g->ctx, e, info, version, why);
	free(g);
}

static void
reading_exists(void *ctx, const struct zk_result *r)
{
	struct zk_controller_info none = { .broker_id = -1, .kraft_epoch = -1 };
	struct reading *g = ctx;
	struct errbuf eb = ERRBUF_INIT;
	enum err e = OK;

	if (r->error == ZKE_OK) {	/* created in between */
		zk_get(g->zk, ZK_CONTROLLER, g->watcher, reading_got, g);
		return;
	}
	if (r->error != ZKE_NO_NODE)
		e = zk_step_error(&eb, r, "reading");
	reading_end(g, e, &none, -1, &eb);
}

static void
reading_got(void *ctx, const struct zk_result *r)
{
	struct zk_controller_info info = { .broker_id = -1, .kraft_epoch = -1 };
	struct reading *g = ctx;
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	if (r->error == ZKE_NO_NODE) {	/* a get of a missing node arms nothing; exists does */
		zk_exists(g->zk, ZK_CONTROLLER, g->watcher, reading_exists, g);
		return;
	}
	e = r->error != ZKE_OK ? zk_step_error(&eb, r, "reading") : zk_controller_decode(r->data, &info, &eb);
	reading_end(g, e, &info, r->stat.version, &eb);
}

void
zk_controller_read(struct zk *zk, struct zk_watcher *watcher, zk_controller_fn *done, void *ctx)
{
	struct reading *g = xcalloc(1, sizeof(*g));

	*g = (struct reading){ zk, watcher, done, ctx };
	zk_get(zk, ZK_CONTROLLER, watcher, reading_got, g);
}

/* ---- electing ---- */
struct electing {
	struct zk     *zk;
	int32_t	       broker_id;
	struct clock  *clock;
	zk_elected_fn *done;
	void	      *ctx;
	int32_t	       epoch;		/* as read; we want this + 1 */
	int32_t	       version;
	struct errbuf  eb;
};

static void electing_epoch_read(void *, const struct zk_result *);

/* The node may say any number; behind the last there is none (Java's turns negative). */
static int32_t
epoch_after(int32_t epoch)
{
	return (epoch == INT32_MAX ? epoch : epoch + 1);
}

static void
electing_end(struct electing *g, enum err e, int32_t epoch, int32_t version)
{
	g->done(g->ctx, e, epoch, version, &g->eb);
	free(g);
}

static void
electing_lost(struct electing *g)
{
	errbuf_set(&g->eb, "another broker was elected");
	electing_end(g, ERR_EXISTS, 0, 0);
}

static void
electing_looked(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct electing *g = ctx;
	const struct zk_result *controller = &results[0], *epoch = &results[1];
	int32_t value;

	(void)n;
	if (controller->error == ZKE_NO_NODE || epoch->error == ZKE_NO_NODE)
		electing_lost(g);
	else if (controller->error != ZKE_OK || epoch->error != ZKE_OK)
		electing_end(g, zk_step_error(&g->eb, controller->error != ZKE_OK ? controller : epoch, "reading"), 0, 0);
	else if (controller->stat.ephemeral_owner == zk_session_id(g->zk) && zk_controller_epoch_decode(epoch->data, &value, &g->eb) == OK &&
	    value == epoch_after(g->epoch))
		electing_end(g, OK, value, epoch->stat.version);
	else
		electing_lost(g);
}

static void
electing_tried(void *ctx, const struct zk_result *r)
{
	struct zk_op look[2] = { ZK_GET(ZK_CONTROLLER, NULL), ZK_GET(ZK_CONTROLLER_EPOCH, NULL) };
	struct electing *g = ctx;

	if (r->error == ZKE_OK)
		electing_end(g, OK, epoch_after(g->epoch), r->results[1].stat.version);
	else if (r->error == ZKE_NODE_EXISTS || r->error == ZKE_BAD_VERSION)
		zk_many(g->zk, look, 2, electing_looked, g);
	else {
		errbuf_set(&g->eb, "taking %s: %s", ZK_CONTROLLER, zke_text(r->error));
		electing_end(g, zke_err(r->error), 0, 0);
	}
}

static void
electing_try(struct electing *g)
{
	struct zk_controller_info info = { g->broker_id, clock_wall_ms(g->clock), -1 };
	struct zk_op ops[2];
	struct arena a;

	arena_init(&a, SMALL_ARENA);
	ops[0] = ZK_CREATE_EPHEMERAL(ZK_CONTROLLER, zk_controller_encode(&a, &info));
	ops[1] = ZK_SET(ZK_CONTROLLER_EPOCH, zk_controller_epoch_encode(&a, epoch_after(g->epoch)), g->version);
	zk_multi(g->zk, ops, 2, electing_tried, g);
	arena_fini(&a);
}

static void
electing_epoch_created(void *ctx, const struct zk_result *r)
{
	struct electing *g = ctx;

	if (r->error == ZKE_OK || r->error == ZKE_NODE_EXISTS)
		zk_get(g->zk, ZK_CONTROLLER_EPOCH, NULL, electing_epoch_read, g);
	else
		electing_end(g, zk_step_error(&g->eb, r, "creating"), 0, 0);
}

static void
electing_epoch_read(void *ctx, const struct zk_result *r)
{
	struct electing *g = ctx;
	enum err e;

	if (r->error == ZKE_NO_NODE) {
		zk_create(g->zk, ZK_CONTROLLER_EPOCH, SLICE_LIT("0"), ZK_PERSISTENT, electing_epoch_created, g);
		return;
	}
	e = r->error != ZKE_OK ? zk_step_error(&g->eb, r, "reading") : zk_controller_epoch_decode(r->data, &g->epoch, &g->eb);
	if (e == OK && g->epoch == INT32_MAX) {
		errbuf_set(&g->eb, "the controller epoch has reached its end");
		e = ERR_RANGE;
	}
	if (e != OK) {
		electing_end(g, e, 0, 0);
		return;
	}
	g->version = r->stat.version;
	electing_try(g);
}

void
zk_controller_elect(struct zk *zk, int32_t broker_id, struct clock *clock, zk_elected_fn *done, void *ctx)
{
	struct electing *g = xcalloc(1, sizeof(*g));

	*g = (struct electing){ .zk = zk, .broker_id = broker_id, .clock = clock, .done = done, .ctx = ctx };
	zk_get(zk, ZK_CONTROLLER_EPOCH, NULL, electing_epoch_read, g);
}

/* ---- resigning ---- */
struct resigning {
	zk_step_fn *done;
	void	   *ctx;
};

static void
resigned(void *ctx, const struct zk_result *r)
{
	struct resigning *g = ctx;
	struct errbuf eb = ERRBUF_INIT;
	enum err e = OK;

	if (r->error != ZKE_OK && r->error != ZKE_NO_NODE)
		e = zk_step_error(&eb, r, "deleting");
	g->done(g->ctx, e, &eb);
	free(g);
}

void
zk_controller_resign(struct zk *zk, int32_t epoch_zk_version, zk_step_fn *done, void *ctx)
{
	struct resigning *g = xcalloc(1, sizeof(*g));

	g->done = done;
	g->ctx = ctx;
	zk_fenced(zk, epoch_zk_version, &ZK_DELETE(ZK_CONTROLLER, ZK_ANY_VERSION), resigned, g);
}

/* ---- the whole ---- */
struct zk_election {
	struct zk	  *zk;
	int32_t		   broker_id;
	struct clock	  *clock;
	struct diag	  *diag;
	struct zk_election_callbacks callbacks;
	void		  *ctx;
	struct zk_watcher  watcher;
	struct zk_listener listener;
	struct timer	   retry;
	int32_t		   controller;	/* as last observed; -1 */
	int32_t		   epoch_zk_version;
	bool		   ours;
	bool		   started, stopped;
	bool		   busy;	/* an operation is under way */
	bool		   again;	/* look when it is answered */
	bool		   yielding;	/* resign, then look */
	bool		   freed;	/* zk_election_free was called while busy */
	zk_step_fn	  *stop_done;
	void		  *stop_ctx;
};

static void look(struct zk_election *);

static void
tell_lost(struct zk_election *e, const char *why)
{
	if (!e->ours)
		return;
	e->ours = false;
	diag_line(e->diag, DIAG_INFO, "election", "broker %" PRId32 " is no longer the controller: %s", e->broker_id, why);
	if (!e->stopped)
		e->callbacks.lost(e->ctx, why);
}

static void
tell_observed(struct zk_election *e, int32_t id)
{
	if (e->controller == id)
		return;
	e->controller = id;
	if (!e->stopped)
		e->callbacks.observed(e->ctx, id);
}

static void
retry_later(struct zk_election *e, const char *doing, const struct errbuf *why)
{
	diag_line(e->diag, DIAG_WARNING, "election", "%s: %s; trying again", doing, why->text);
	timer_set(zk_loop(e->zk), &e->retry, RETRY_MS);
}

static void
stop_now(struct zk_election *e, enum err err, const struct errbuf *why)
{
	zk_step_fn *done = e->stop_done;

	e->stop_done = NULL;
	if (done != NULL)
		done(e->stop_ctx, err, why);
}

static void election_resign(struct zk_election *);

/* The end of an operation: true when its outcome still matters to anybody. */
static bool
answered(struct zk_election *e)
{
	struct errbuf none = ERRBUF_INIT;

	e->busy = false;
	if (e->freed) {
		zk_unwatch(e->zk, &e->watcher);	/* a read of several steps may have armed it again */
		free(e);
		return (false);
	}
	if (!e->stopped)
		return (true);
	if (e->ours)
		election_resign(e);
	else
		stop_now(e, OK, &none);
	return (false);
}

static void
look_if_wanted(struct zk_election *e)
{
	if ((e->again || e->yielding) && !e->busy && !e->stopped)
		look(e);
}

static void
election_resigned(void *ctx, enum err err, const struct errbuf *why)
{
	struct zk_election *e = ctx;

	e->busy = false;
	e->ours = false;
	if (e->freed)
		free(e);
	else if (e->stopped)
		stop_now(e, err == ERR_FENCED || err == ERR_ZK_EXPIRED ? OK : err, why);
	else if (err != OK && err != ERR_FENCED && err != ERR_ZK_EXPIRED)
		retry_later(e, "resigning", why);
	else
		look(e);
}

static void
election_resign(struct zk_election *e)
{
	e->busy = true;
	zk_controller_resign(e->zk, e->epoch_zk_version, election_resigned, e);
}

static void
election_elected(void *ctx, enum err err, int32_t epoch, int32_t epoch_zk_version, const struct errbuf *why)
{
	struct zk_election *e = ctx;

	if (err == OK) {
		e->ours = true;
		e->epoch_zk_version = epoch_zk_version;
	}
	if (!answered(e))
		return;
	if (err == OK) {
		tell_observed(e, e->broker_id);
		diag_line(e->diag, DIAG_INFO, "election", "broker %" PRId32 " is the controller, epoch %" PRId32, e->broker_id, epoch);
		e->callbacks.elected(e->ctx, epoch, epoch_zk_version);
	} else if (err == ERR_EXISTS)
		e->again = true;
	else if (err != ERR_ZK_EXPIRED && err != ERR_STOPPED)
		retry_later(e, "electing a controller", why);
	look_if_wanted(e);
}

static void
looked(struct zk_election *e, int32_t id)
{
	if (e->ours && id != e->broker_id)
		tell_lost(e, id < 0 ? "/controller is gone" : "another broker took over");
	tell_observed(e, id);
	if (id >= 0 || e->stopped || e->busy)
		return;
	e->busy = true;
	zk_controller_elect(e->zk, e->broker_id, e->clock, election_elected, e);
}

static void
election_read(void *ctx, enum err err, const struct zk_controller_info *info, int32_t zk_version, const struct errbuf *why)
{
	struct zk_election *e = ctx;

	(void)zk_version;
	if (!answered(e))
		return;
	if (err == OK)
		looked(e, info->broker_id);
	else if (err != ERR_ZK_EXPIRED && err != ERR_STOPPED)
		retry_later(e, "reading /controller", why);
	look_if_wanted(e);
}

static void
look(struct zk_election *e)
{
	if (e->busy || e->stopped || !e->started) {
		e->again = true;
		return;
	}
	e->again = false;
	timer_cancel(zk_loop(e->zk), &e->retry);
	if (e->yielding) {
		e->yielding = false;
		if (e->ours) {
			tell_lost(e, "gave it up");
			election_resign(e);
			return;
		}
	}
	e->busy = true;
	zk_controller_read(e->zk, &e->watcher, election_read, e);
}

static void
election_watch(struct zk_watcher *w, enum zk_event event, const char *path)
{
	(void)event;
	(void)path;
	look(CONTAINER_OF(w, struct zk_election, watcher));
}

static void
election_retry(struct timer *t)
{
	look(CONTAINER_OF(t, struct zk_election, retry));
}

static void
election_session(struct zk_listener *l, enum zk_session_event event)
{
	struct zk_election *e = CONTAINER_OF(l, struct zk_election, listener);

	if (event == ZK_EXPIRED) {
		tell_lost(e, "the ZooKeeper session expired");
		tell_observed(e, -1);
		e->again = true;
	} else if (event == ZK_CONNECTED && e->again)
		look(e);
}

struct zk_election *
zk_election_new(struct zk *zk, int32_t broker_id, struct clock *clock, struct diag *diag, const struct zk_election_callbacks *callbacks, void *ctx)
{
	struct zk_election *e = xcalloc(1, sizeof(*e));

	e->zk = zk;
	e->broker_id = broker_id;
	e->clock = clock;
	e->diag = diag;
	e->callbacks = *callbacks;
	e->ctx = ctx;
	e->controller = -1;
	zk_watcher_init(&e->watcher, election_watch);
	timer_init(&e->retry, election_retry);
	e->listener.fn = election_session;
	zk_listen(zk, &e->listener);
	return (e);
}

void
zk_election_start(struct zk_election *e)
{
	e->started = true;
	look(e);
}

void
zk_election_yield(struct zk_election *e)
{
	e->yielding = true;
	look(e);
}

static void
stop_posted(void *ctx)
{
	struct zk_election *e = ctx;
	struct errbuf none = ERRBUF_INIT;

	e->busy = false;
	if (e->freed)
		free(e);
	else
		stop_now(e, OK, &none);
}

void
zk_election_stop(struct zk_election *e, zk_step_fn *done, void *ctx)
{
	must(!e->stopped);
	e->stopped = true;
	e->stop_done = done;
	e->stop_ctx = ctx;
	zk_unwatch(e->zk, &e->watcher);
	timer_cancel(zk_loop(e->zk), &e->retry);
	if (e->busy)
		return;			/* answered() goes on */
	if (e->ours)
		election_resign(e);
	else {
		e->busy = true;
		loop_call(zk_loop(e->zk), stop_posted, e);
	}
}

void
zk_election_free(struct zk_election **ep)
{
	struct zk_election *e = *ep;

	if (e == NULL)
		return;
	*ep = NULL;
	zk_unwatch(e->zk, &e->watcher);
	zk_unlisten(e->zk, &e->listener);
	timer_cancel(zk_loop(e->zk), &e->retry);
	if (e->busy)
		e->freed = true;
	else
		free(e);
}

int32_t
zk_election_controller(const struct zk_election *e)
{
	return (e->controller);
}

bool
zk_election_is_ours(const struct zk_election *e)
{
	return (e->ours);
}
