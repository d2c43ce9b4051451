/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_reclaim.c - see session_record.h: closing the session of the run that was killed.
 *
 * ORDER  on a worker: read the records.  On the loop: look at /brokers/ids/N through our own session.
 *	  No node			NOTHING
 *	  owner is no recorded session	FOREIGN: registration will refuse, at once, as Java does
 *	  owner is recorded, here	close that session on a worker, then wait for the node to go: CLOSED
 *	  owner is recorded, elsewhere	(another boot, a copied directory) or closing is switched off: only wait: WAITED, or FOREIGN
 *	  A wait ends after one session time-out, the server's rounding included (see longest_wait).
 * "Here" is decided record by record, before ZooKeeper is asked anything: boot id, device and inode of .lock, broker id, cluster id, connect string.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/attach_int.h"
#include "zk/paths.h"
#include "zk/session_record_int.h"
#include "zk/step_int.h"

enum { RECORDS_MAX = 256, TIMEOUT_MAX_MS = 3600000 };

struct candidate {
	struct session_record record;
	bool here;			/* everything matches: may be closed */
};

struct session_reclaim {
	struct zk	 *zk;
	struct workers	 *workers;
	struct diag	 *diag;
	session_reclaim_fn *done;
	void		 *ctx;
	char		**dirs;
	unsigned	  ndirs;
	int32_t		  broker_id, session_timeout_ms;
	char		 *cluster_id, *connect;
	bool		  allow_close;
	struct candidate *candidates;
	unsigned	  n;
	struct candidate *chosen;
	struct zk_path	  path;
	struct job	  job;
	struct zk_watcher watcher;
	struct timer	  timer;
	bool		  waiting, closing, looking, timed_out, attached;
	bool		  on_worker;	/* a job is under way */
	bool		  cancelled;
	struct errbuf	  attach_why;
};

static void
reclaim_free(struct session_reclaim *g)
{
	unsigned i;

	for (i = 0; i < g->n; i++)
		session_record_fini(&g->candidates[i].record);
	for (i = 0; i < g->ndirs; i++)
		free(g->dirs[i]);
	free(g->dirs);
	free(g->candidates);
	free(g->cluster_id);
	free(g->connect);
	free(g);
}

static void
reclaim_end(struct session_reclaim *g, enum err e, enum session_reclaim_outcome outcome, const struct errbuf *why)
{
	struct errbuf none = ERRBUF_INIT;

	zk_unwatch(g->zk, &g->watcher);
	timer_cancel(zk_loop(g->zk), &g->timer);
	g->done(g->ctx, e, outcome, why == NULL ? &none : why);
	reclaim_free(g);
}

/* ---- the records, on a worker ---- */
static bool
is_here(const struct session_reclaim *g, const char *dir, const struct session_record *r)
{
	char boot_id[40];
	uint64_t dev, ino;

	return (session_record_boot_id(boot_id) && strcmp(boot_id, r->boot_id) == 0 && session_record_lock_identity(dir, &dev, &ino) &&
	    dev == r->lock_dev && ino == r->lock_ino && r->broker_id == g->broker_id && strcmp(r->cluster_id, g->cluster_id) == 0 &&
	    strcmp(r->connect, g->connect) == 0);
}

static void
read_records(struct job *job)
{
	struct session_reclaim *g = CONTAINER_OF(job, struct session_reclaim, job);
	struct errbuf eb = ERRBUF_INIT;
	struct candidate *c;
	unsigned i;
	enum err e;

	for (i = 0; i < g->ndirs && i < RECORDS_MAX; i++) {
		c = &g->candidates[g->n];
		e = session_record_read(g->dirs[i], &c->record, &eb);
		if (e == ERR_NOTFOUND)
			continue;
		if (e != OK) {
			diag_line(g->diag, DIAG_WARNING, "zookeeper", "session record ignored: %s", eb.text);
			continue;
		}
		c->here = is_here(g, g->dirs[i], &c->record);
		g->n++;
	}
}

/* ---- the end before the end ---- */
static void
reclaim_end_cancelled(struct session_reclaim *g)
{
	struct errbuf eb = ERRBUF_INIT;

	errbuf_set(&eb, "stopped");
	reclaim_end(g, ERR_STOPPED, RECLAIM_NOTHING, &eb);
}

static bool
cancelled_job_done(struct session_reclaim *g)
{
	g->on_worker = false;
	if (!g->cancelled)
		return (false);
	reclaim_end_cancelled(g);
	return (true);
}

/* A look under way is answered when the client is closed at the latest. */
void
session_reclaim_cancel(struct session_reclaim *g)
{
	g->cancelled = true;
	timer_cancel(zk_loop(g->zk), &g->timer);
	if (!g->on_worker && !g->looking)
		reclaim_end_cancelled(g);
}

bool
session_reclaim_blocks(const struct session_reclaim *g)
{
	return (g->on_worker);
}

/* ---- closing, on a worker ---- */
static void
close_session(struct job *job)
{
	struct session_reclaim *g = CONTAINER_OF(job, struct session_reclaim, job);
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	g->attached = zk_attach_and_close(g->chosen->record.connect, &g->chosen->record.ident, now + g->chosen->record.ident.timeout_ms / 3,
	    &g->attach_why) == OK;
}

/* The session that is waited for counts, when it was given more than we ask for; and the server looks for expired ones once in a tick, which is
 * at most half of the shortest time-out it gives. */
static int64_t
longest_wait(const struct session_reclaim *g)
{
	int64_t given = MIN(g->chosen->record.ident.timeout_ms, TIMEOUT_MAX_MS), longest = MAX(g->session_timeout_ms, given);

	return (longest + longest / 2);
}

static void look(struct session_reclaim *);

static void
session_closed(struct job *job)
{
	struct session_reclaim *g = CONTAINER_OF(job, struct session_reclaim, job);

	g->closing = false;
	if (cancelled_job_done(g))
		return;
	if (!g->attached)
		diag_line(g->diag, DIAG_WARNING, "zookeeper", "the previous session was not closed: %s; waiting for its time-out", g->attach_why.text);
	g->waiting = true;
	timer_set(zk_loop(g->zk), &g->timer, longest_wait(g));
	look(g);
}

static void
close_on_worker(struct session_reclaim *g)
{
	diag_line(g->diag, DIAG_INFO, "zookeeper", "closing session 0x%" PRIx64 " of the previous run of this broker", (uint64_t)g->chosen->record.ident.id);
	g->closing = g->on_worker = true;
	g->job = (struct job){ .run = close_session, .done = session_closed, .loop = zk_loop(g->zk) };
	workers_submit(g->workers, &g->job);
}

/* ---- looking ---- */
static struct candidate *
find_owner(struct session_reclaim *g, int64_t owner)
{
	struct candidate *found = NULL;
	unsigned i;

	for (i = 0; i < g->n; i++)
		if (g->candidates[i].record.ident.id == owner && (found == NULL || g->candidates[i].here))
			found = &g->candidates[i];
	return (found);
}

static void
owned_by_foreigner(struct session_reclaim *g, int64_t owner)
{
	struct errbuf eb = ERRBUF_INIT;

	errbuf_set(&eb, "%s belongs to session 0x%" PRIx64 ", which is not one of this directory's", g->path.s, (uint64_t)owner);
	reclaim_end(g, OK, RECLAIM_FOREIGN, &eb);
}

static void
first_look(struct session_reclaim *g, int64_t owner)
{
	g->chosen = find_owner(g, owner);
	if (g->chosen == NULL)
		owned_by_foreigner(g, owner);
	else if (g->chosen->here && g->allow_close)
		close_on_worker(g);
	else {
		diag_line(g->diag, DIAG_INFO, "zookeeper", "session 0x%" PRIx64 " of a previous run holds %s; it may not be closed from here, "
		    "waiting at most %" PRId64 " ms for its end", (uint64_t)owner, g->path.s, longest_wait(g));
		g->waiting = true;
		timer_set(zk_loop(g->zk), &g->timer, longest_wait(g));
	}
}

static void
looked(void *ctx, const struct zk_result *r)
{
	struct session_reclaim *g = ctx;
	struct errbuf eb = ERRBUF_INIT;

	g->looking = false;
	if (g->cancelled)
		reclaim_end_cancelled(g);
	else if (r->error == ZKE_NO_NODE)
		reclaim_end(g, OK, !g->waiting ? RECLAIM_NOTHING : g->attached ? RECLAIM_CLOSED : RECLAIM_WAITED, NULL);
	else if (r->error != ZKE_OK)
		reclaim_end(g, zk_step_error(&eb, r, "looking at"), RECLAIM_NOTHING, &eb);
	else if (!g->waiting)
		first_look(g, r->stat.ephemeral_owner);
	else if (r->stat.ephemeral_owner != g->chosen->record.ident.id || g->timed_out)
		owned_by_foreigner(g, r->stat.ephemeral_owner);
}

static void
look(struct session_reclaim *g)
{
	if (g->looking || g->closing)
		return;
	g->looking = true;
	zk_exists(g->zk, g->path.s, &g->watcher, looked, g);
}

static void
on_watch(struct zk_watcher *w, enum zk_event event, const char *path)
{
	(void)event;
	(void)path;
	look(CONTAINER_OF(w, struct session_reclaim, watcher));
}

static void
on_timer(struct timer *t)
{
	struct session_reclaim *g = CONTAINER_OF(t, struct session_reclaim, timer);

	g->timed_out = true;
	look(g);
}

static void
records_read(struct job *job)
{
	struct session_reclaim *g = CONTAINER_OF(job, struct session_reclaim, job);

	if (cancelled_job_done(g))
		return;
	if (g->n == 0)
		reclaim_end(g, OK, RECLAIM_NOTHING, NULL);
	else
		look(g);
}

struct session_reclaim *
session_record_reclaim(struct zk *zk, const struct session_reclaim_options *o, session_reclaim_fn *done, void *ctx)
{
	struct session_reclaim *g = xcalloc(1, sizeof(*g));
	unsigned i;

	*g = (struct session_reclaim){ .zk = zk, .workers = o->workers, .diag = o->diag, .done = done, .ctx = ctx, .ndirs = o->ndirs,
	    .broker_id = o->broker_id, .session_timeout_ms = o->session_timeout_ms, .allow_close = o->allow_close };
	g->dirs = xcalloc((size_t)o->ndirs + 1, sizeof(char *));
	for (i = 0; i < o->ndirs; i++)
		g->dirs[i] = xstrdup(o->dirs[i]);
	g->candidates = xcalloc((size_t)MIN(o->ndirs, RECORDS_MAX) + 1, sizeof(*g->candidates));
	g->cluster_id = xstrdup(o->cluster_id);
	g->connect = xstrdup(o->connect);
	g->path = zk_path_broker(o->broker_id);
	zk_watcher_init(&g->watcher, on_watch);
	timer_init(&g->timer, on_timer);
	g->job = (struct job){ .run = read_records, .done = records_read, .loop = zk_loop(zk) };
	g->on_worker = true;
	workers_submit(o->workers, &g->job);
	return (g);
}
