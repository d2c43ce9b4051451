/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/zkplace.c - see zkplace.h.
 *
 * EMBEDDED  The server that ottlad carries, on a port of the loopback that the kernel chooses; we speak to it as to any other, so what can be done
 *           there and what ACLs permit is the same.  Opening it ends the sessions of the daemon that died, as the daemon's next start would.
 *
 * WAITING   What is asked has callbacks into the caller's memory.  zkplace_wait that gives up therefore closes the client and turns the loop until
 *           each has been answered.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "event/workers.h"
#include "tools/zkplace.h"
#include "zk/session.h"
#include "zkserver/zkserver.h"

enum { IN_FLIGHT = 64, SESSION_MS = 10000, TIMEOUT_MS = 10000, AUTH_FILE_MAX = 65536, AUTH_MAX = 16 };

struct store {				/* an embedded server */
	struct loop *loop;
	struct workers *workers;
	struct zkserver *server;
	bool running, stopped;
	struct task stop;
	char *broken;			/* why it answers nothing more; written once, on its loop */
	_Atomic bool failed;
};

struct zkplace {
	char *text, *hosts, *chroot;
	struct loop *loop;
	struct workers *workers;
	struct store store;
	struct zk_session *session;
	struct zk *zk;
	struct zk_session_auth auth[AUTH_MAX];
	uint32_t nauth;
	char *auth_text;
	int64_t timeout_ms;
	bool opened, closed, timed_out;
	enum err err;
	struct errbuf eb;
	struct timer timer;
};

/* ---- who we are: lines "SCHEME CREDENTIALS" ---- */

static bool
auth_line(struct zkplace *p, char *line)
{
	char *blank = strpbrk(line, " \t");

	if (line[0] == '\0' || line[0] == '#')
		return (true);
	if (blank == NULL || blank[1] == '\0' || p->nauth == AUTH_MAX)
		return (false);
	*blank = '\0';
	p->auth[p->nauth++] = (struct zk_session_auth){ line, slice_str(blank + 1) };
	return (true);
}

static bool
read_auth(const struct arguments *a, struct zkplace *p)
{
	const char *file = a->value[OPT_auth_file];
	struct errbuf eb = ERRBUF_INIT;
	unsigned n = 0;
	size_t len;

	if (file == NULL)
		return (true);
	if (fs_read_file(fs_real(), file, AUTH_FILE_MAX, &p->auth_text, &len, &eb) != OK) {
		(void)failure(a, "%s", eb.text);
		return (false);
	}
	for (char *line = p->auth_text, *end; line != NULL; line = end) {
		end = strchr(line, '\n');
		if (end != NULL)
			*end++ = '\0';
		n++;
		if (!auth_line(p, line)) {
			(void)failure(a, "%s: line %u is not \"SCHEME CREDENTIALS\" (such as: digest user:password), or there are more than %d", file, n, AUTH_MAX);
			return (false);
		}
	}
	return (true);
}

/* ---- the store of an embedded server ---- */

/* On its loop. */
static void
store_broke(void *ctx, const char *why)
{
	struct store *s = ctx;

	s->broken = xstrdup(why);
	atomic_store(&s->failed, true);
}

static enum err
store_serve(struct zkplace *p, const char *dir)
{
	struct store *s = &p->store;
	struct zkserver_options opt = {
	    .fs = fs_real(), .random = random_real(), .dir = dir, .host = "127.0.0.1", .tick_ms = ZKSERVER_TICK_MS,
	    .packet_max = ZKSERVER_PACKET_MAX, .failed = store_broke, .ctx = s,
	};
	enum err e = loop_new(&(struct loop_options){ .name = "zookeeper", .clock = clock_real() }, &s->loop, &p->eb);

	if (e == OK)
		e = workers_new(1, "zookeeper-store", &s->workers, &p->eb);
	opt.loop = s->loop;
	opt.workers = s->workers;
	if (e == OK)
		e = zkserver_open(&opt, &s->server, &p->eb);
	if (e == ERR_LOCKED)
		errbuf_add(&p->eb, "is ottlad running on it? Stop it first");
	if (e == OK)
		e = loop_start(s->loop, &p->eb);
	if (e != OK)
		return (e);
	s->running = true;
	zkserver_start(s->server);
	p->hosts = xasprintf("127.0.0.1:%u", (unsigned)zkserver_port(s->server));
	p->chroot = xstrdup("");
	return (OK);
}

static void
store_stopped(struct task *t)
{
	CONTAINER_OF(t, struct store, stop)->stopped = true;
}

static void
store_close(struct zkplace *p)
{
	struct store *s = &p->store;

	if (s->running) {
		s->stop.fn = store_stopped;
		zkserver_stop(s->server, p->loop, &s->stop);
		while (!s->stopped)
			loop_turn(p->loop, 100);
		loop_stop(s->loop);
		loop_join(s->loop);
	}
	zkserver_free(&s->server);
	workers_free(&s->workers);
	loop_free(&s->loop);
	free(s->broken);
}

/* *empty: there is no store, and that is all right. */
static enum err
store_open(struct zkplace *p, const char *dir, enum zkplace_use use, bool *empty)
{
	char *file = xasprintf("%s/ottla.coordination.db", dir);
	bool there = fs_exists(fs_real(), file);

	free(file);
	*empty = !there && use == ZKPLACE_PREVIEW;
	if (!there && use == ZKPLACE_READ) {
		errbuf_set(&p->eb, "there is no ottla.coordination.db in it; it is in the DIR of zookeeper.connect=embedded:DIR, without one in the first of log.dirs");
		return (ERR_NOENT);
	}
	if (*empty)
		return (OK);
	if (!there && fs_mkdir_p(fs_real(), dir, &p->eb) != OK)
		return (ERR_IO);
	return (store_serve(p, dir));
}

/* ---- the session ---- */

static void
on_opened(void *ctx, enum err e, const struct errbuf *why)
{
	struct zkplace *p = ctx;

	p->opened = true;
	p->err = e;
	if (e != OK)
		p->eb = *why;
}

static void
on_closed(void *ctx)
{
	((struct zkplace *)ctx)->closed = true;
}

static void
on_timer(struct timer *t)
{
	CONTAINER_OF(t, struct zkplace, timer)->timed_out = true;
}

static enum err
open_session(struct zkplace *p)
{
	struct zk_session_options o = { .connect = p->hosts, .timeout_ms = SESSION_MS, .connect_timeout_ms = (int32_t)p->timeout_ms,
	    .max_in_flight = IN_FLIGHT, .auth = p->auth, .nauth = p->nauth, .loop = p->loop, .workers = p->workers };
	enum err e = zk_session_open(&o, on_opened, p, &p->session, &p->eb);

	if (e != OK)
		return (e);
	while (!p->opened)
		loop_turn(p->loop, 100);
	if (p->err == OK)
		p->zk = zk_session_client(p->session, p->loop);
	return (p->err);
}

/* ---- life ---- */

static enum err
open_it(struct zkplace *p, enum zkplace_use use)
{
	const struct loop_options lo = { .name = "ottla", .clock = clock_real() };
	enum err e = loop_new(&lo, &p->loop, &p->eb);
	bool empty = false;

	timer_init(&p->timer, on_timer);
	if (e == OK)
		e = workers_new(2, "ottla", &p->workers, &p->eb);
	if (e == OK && strncmp(p->text, "embedded:", 9) == 0)
		e = store_open(p, p->text + 9, use, &empty);
	else if (e == OK)
		e = zk_connect_parse(p->text, &p->hosts, &p->chroot, &p->eb);
	return (e != OK || empty ? e : open_session(p));
}

bool
zkplace_open(const struct arguments *a, const char *text, enum zkplace_use use, struct zkplace **pp)
{
	struct zkplace *p = xcalloc(1, sizeof(*p));
	enum err e;

	p->text = xstrdup(text);
	p->timeout_ms = TIMEOUT_MS;
	*pp = NULL;
	if (strcmp(text, "embedded") == 0 || strcmp(text, "embedded:") == 0) {
		(void)usage_error(a, "embedded wants the directory: embedded:DIR, that of zookeeper.connect, or the first of log.dirs");
		zkplace_close(&p);
		return (false);
	}
	if (!option_i64(a, OPT_timeout, &p->timeout_ms) || !read_auth(a, p)) {
		zkplace_close(&p);
		return (false);
	}
	p->timeout_ms = MAX((int64_t)1, MIN(p->timeout_ms, (int64_t)INT32_MAX));
	e = open_it(p, use);
	if (e != OK) {
		(void)failure(a, "%s: %s%s", text, p->eb.text, strncmp(text, "embedded:", 9) == 0 ? "" :
		    "\n  is that what zookeeper.connect says, and is the ensemble up? (--timeout MS waits longer)");
		zkplace_close(&p);
		return (false);
	}
	*pp = p;
	return (true);
}

void
zkplace_close(struct zkplace **pp)
{
	struct zkplace *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	if (p->zk != NULL)
		zk_close(&p->zk);
	if (p->session != NULL) {
		zk_session_close(&p->session, on_closed, p);
		while (!p->closed)
			loop_turn(p->loop, 100);
	}
	store_close(p);
	workers_free(&p->workers);
	loop_free(&p->loop);
	free(p->text);
	free(p->hosts);
	free(p->chroot);
	free(p->auth_text);
	free(p);
}

const char *zkplace_text(const struct zkplace *p) { return (p->text); }
struct zk *zkplace_zk(const struct zkplace *p) { return (p->zk); }
const char *zkplace_chroot(const struct zkplace *p) { return (p->chroot == NULL ? "" : p->chroot); }

/* ---- waiting, reading ---- */

bool
zkplace_wait(const struct arguments *a, struct zkplace *p, const uint64_t *answered, const bool *done)
{
	uint64_t before = 0;

	/* The time counts from the last answer: a large tree may take its time. */
	timer_set(p->loop, &p->timer, p->timeout_ms);
	while (!*done && !p->timed_out && !atomic_load(&p->store.failed)) {
		if (*answered != before) {
			timer_set(p->loop, &p->timer, p->timeout_ms);
			before = *answered;
		}
		loop_turn(p->loop, 100);
	}
	timer_cancel(p->loop, &p->timer);
	if (*done)
		return (true);
	if (atomic_load(&p->store.failed))
		(void)failure(a, "%s: %s", p->text, p->store.broken);
	else
		(void)failure(a, "%s: no answer for %" PRId64 " ms (--timeout MS waits longer)", p->text, p->timeout_ms);
	zk_close(&p->zk);
	while (!*done)
		loop_turn(p->loop, 100);
	return (false);
}

struct reading {
	bool done;
	enum err err;
	struct errbuf eb;
};

static void
on_read(void *ctx, enum err e, const struct errbuf *why)
{
	struct reading *r = ctx;

	*r = (struct reading){ true, e, *why };
}

bool
zkplace_read(const struct arguments *a, struct zkplace *p, const char *under, bool with_acls, struct znodes *t)
{
	struct reading r = { .done = false };
	uint64_t answered = 0;
	bool good;

	*t = (struct znodes){ NULL, 0, 0 };
	if (p->zk == NULL)
		return (true);
	znodes_fetch(p->zk, p->chroot, under, with_acls, t, &answered, on_read, &r);
	good = zkplace_wait(a, p, &answered, &r.done);
	if (good && r.err != OK) {
		(void)failure(a, "%s: %s", p->text, r.eb.text);
		good = false;
	}
	if (!good)
		znodes_fini(t);
	return (good);
}
