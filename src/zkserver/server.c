/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/server.c - see zkserver.h: sessions, batches, life.
 *
 * INVARIANTS
 *   (1) What leaves tells of nothing that is not on disk: an answer made while the pending batch holds something waits for it; one made while a
 *       batch is written waits for that one.  Within a connection nothing overtakes.
 *   (2) `writing` belongs to the job until job_done, which runs on the loop; there is one job at a time.
 *   (3) A session is in the tree, in `sessions` and, with the batch that tells of it, in the store; its connection is attached to it and it to
 *       its connection.
 *
 * BATCHES  At the end of a turn in which something was written: so all that many clients asked for in that turn is one transaction, and while it
 * is written the next one gathers.
 *
 * IF IT DIES HERE  Before the batch is on disk: nobody has heard of it.  After: it is there.  Clients whose answer was lost ask again, as with
 * any ZooKeeper.
 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zkserver/server_int.h"

enum {
	TICKS_MIN = 2, TICKS_MAX = 20,	/* minSessionTimeout, maxSessionTimeout */
	CONTAINER_CHECK_MS = 60000,	/* znode.container.checkIntervalMs */
	ACCEPTS_PER_TURN = 64,
	ACCEPT_PAUSE_MS = 100,
	BACKLOG = 128,
};

int64_t
server_wall_ms(const struct zkserver *s)
{
	return (clock_wall_ms(loop_clock(s->opt.loop)));
}

void
server_password(const struct zkserver *s, int64_t id, uint8_t password[SESSION_PASSWORD_LEN])
{
	uint8_t mac[EVP_MAX_MD_SIZE], bytes[8];
	unsigned len = 0;

	be64enc(bytes, (uint64_t)id);
	must(HMAC(EVP_sha256(), s->secret, sizeof(s->secret), bytes, sizeof(bytes), mac, &len) != NULL && len >= SESSION_PASSWORD_LEN);
	memcpy(password, mac, SESSION_PASSWORD_LEN);
}

/* ---- sessions ---- */

static struct live *
live_add(struct zkserver *s, int64_t id, int32_t timeout_ms)
{
	struct live *l = xcalloc(1, sizeof(*l));

	l->id = id;
	l->timeout_ms = timeout_ms;
	HASH_ADD(hh, s->sessions, id, sizeof(l->id), l);
	return (l);
}

struct live *
server_session_new(struct zkserver *s, int32_t timeout_ms)
{
	int32_t least = TICKS_MIN * s->opt.tick_ms, most = TICKS_MAX * s->opt.tick_ms;
	struct live *l;

	server_dirty(s);
	l = live_add(s, zk_tree_session_new(s->tree), MAX(least, MIN(most, timeout_ms)));
	store_batch_session(s->pending, l->id, l->timeout_ms, false);
	server_session_touch(s, l);
	return (l);
}

struct live *
server_session_find(struct zkserver *s, int64_t id)
{
	struct live *l;

	HASH_FIND(hh, s->sessions, &id, sizeof(id), l);
	return (l);
}

void
server_session_touch(struct zkserver *s, struct live *l)
{
	l->deadline_ms = loop_now_ms(s->opt.loop) + l->timeout_ms;
}

void
server_session_end(struct zkserver *s, struct live *l)
{
	server_dirty(s);
	zk_tree_session_end(s->tree, l->id, server_wall_ms(s));
	if (l->conn != NULL)
		zkconn_no_session(l->conn);
	store_batch_session_gone(s->pending, l->id);
	HASH_DEL(s->sessions, l);
	free(l);
}

static void
expire(struct timer *t)
{
	struct zkserver *s = CONTAINER_OF(t, struct zkserver, tick);
	int64_t now = loop_now_ms(s->opt.loop);
	struct live *l, *next;
	struct client *c, *after;

	HASH_ITER(hh, s->sessions, l, next) {
		if (l->deadline_ms > now)
			continue;
		c = l->conn;
		diag_info(s->opt.diag, "zkserver", "session 0x%" PRIx64 " has expired: nothing was heard of it for %d ms", (uint64_t)l->id,
		    (int)l->timeout_ms);
		server_session_end(s, l);
		if (c != NULL)
			zkconn_close(c);
	}
	for (c = TAILQ_FIRST(&s->clients); c != NULL; c = after) {
		after = TAILQ_NEXT(c, link);
		zkconn_tick(c);
	}
	timer_set(s->opt.loop, &s->tick, s->opt.tick_ms);
}

static void
delete_containers(struct timer *t)
{
	struct zkserver *s = CONTAINER_OF(t, struct zkserver, containers);

	if (zk_tree_has_empty_containers(s->tree)) {
		server_dirty(s);
		zk_tree_delete_empty_containers(s->tree);
	}
	timer_set(s->opt.loop, &s->containers, CONTAINER_CHECK_MS);
}

/* ---- batches ---- */

void
server_dirty(struct zkserver *s)
{
	if (s->pending == NULL)
		s->pending = store_batch_new();
	s->dirty = true;
	if (!s->end_posted) {
		s->end_posted = true;
		loop_at_end(s->opt.loop, &s->end_of_turn);
	}
}

static void
changed_node(void *ctx, const char *path, const struct zk_tree_node *n)
{
	store_batch_node(ctx, path, n);
}

static void
write_batch(struct job *j)
{
	struct zkserver *s = CONTAINER_OF(j, struct zkserver, job);

	s->write_error = store_write(s->store, s->writing, &s->write_words);
}

/* What gathered goes to a worker.  While one is there the end of that batch does this again. */
static void
submit_batch(struct zkserver *s)
{
	struct store_counters counters = { zk_tree_zxid(s->tree), zk_tree_next_session(s->tree) };
	struct client *c;

	if (!s->dirty || s->writing != NULL || s->failed)
		return;
	zk_tree_changes(s->tree, changed_node, s->pending);
	store_batch_counters(s->pending, &counters);
	s->writing = s->pending;
	s->pending = NULL;
	s->dirty = false;
	TAILQ_FOREACH(c, &s->waiting, waiting) {
		must(c->held[HOLD_WRITING].len == 0);
		c->held[HOLD_WRITING] = c->held[HOLD_PENDING];
		c->held[HOLD_PENDING] = (struct jute_out){ 0 };
	}
	workers_submit(s->opt.workers, &s->job);
}

static void
end_of_turn(struct task *t)
{
	struct zkserver *s = CONTAINER_OF(t, struct zkserver, end_of_turn);

	s->end_posted = false;
	submit_batch(s);
}

static void
close_all(struct zkserver *s)
{
	struct client *c;

	timer_cancel(s->opt.loop, &s->accept_pause);
	if (s->listen_fd >= 0) {
		watch_remove(s->opt.loop, &s->listening);
		close(s->listen_fd);
		s->listen_fd = -1;
	}
	while ((c = TAILQ_FIRST(&s->clients)) != NULL)
		zkconn_close(c);
}

static void
stopped(struct zkserver *s)
{
	timer_cancel(s->opt.loop, &s->tick);
	timer_cancel(s->opt.loop, &s->containers);
	close_all(s);
	loop_post(s->done_loop, s->done);
	s->done = NULL;
}

/* For good, and told once. */
static void
fail(struct zkserver *s, const char *why)
{
	if (s->failed)
		return;
	s->failed = true;
	close_all(s);
	s->opt.failed(s->opt.ctx, why);
}

static void
store_failed(struct zkserver *s)
{
	diag_error(s->opt.diag, "zkserver", "%s: what changes in ZooKeeper's tree can no longer be kept: %s; mend that and start again", s->dir,
	    s->write_words.text);
	fail(s, s->write_words.text);
}

static void
batch_written(struct job *j)
{
	struct zkserver *s = CONTAINER_OF(j, struct zkserver, job);
	struct client *c, *next;

	store_batch_free(&s->writing);
	if (s->write_error != OK) {
		store_failed(s);
	} else {
		for (c = TAILQ_FIRST(&s->waiting); c != NULL; c = next) {
			next = TAILQ_NEXT(c, waiting);
			zkconn_release(c);
		}
		if (s->dirty) {
			submit_batch(s);
			return;
		}
	}
	if (s->stopping)
		stopped(s);
}

/* ---- connections ---- */

/* Without descriptors or memory the kernel keeps who comes, and tells of it again and again: for a while nobody listens. */
static void
accept_failed(struct zkserver *s, int errnum)
{
	if (errnum != EMFILE && errnum != ENFILE && errnum != ENOBUFS && errnum != ENOMEM)
		return;
	if (!s->no_descriptors)
		diag_error(s->opt.diag, "zkserver", "accepting pauses: %s (raise the limit of open files)", strerror(errnum));
	s->no_descriptors = true;
	watch_want(s->opt.loop, &s->listening, 0);
	timer_set(s->opt.loop, &s->accept_pause, ACCEPT_PAUSE_MS);
}

static void
accept_again(struct timer *t)
{
	struct zkserver *s = CONTAINER_OF(t, struct zkserver, accept_pause);

	watch_want(s->opt.loop, &s->listening, WATCH_READ);
}

static void
accept_some(struct watch *w, unsigned ready)
{
	struct zkserver *s = CONTAINER_OF(w, struct zkserver, listening);
	int fd;

	(void)ready;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		fd = transport_tcp_accept(w->fd);
		if (fd < 0) {
			accept_failed(s, errno);
			return;
		}
		s->no_descriptors = false;
		zkconn_new(s, fd);
	}
}

static enum err
listen_on(struct zkserver *s, struct errbuf *eb)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	enum err e = addr_resolve(s->opt.host, s->opt.port, &a, &len, eb);

	if (e == OK)
		e = transport_tcp_listen(&a, len, BACKLOG, &s->listen_fd, &s->port, eb);
	if (e != OK)
		errbuf_add(eb, "%s:%u", s->opt.host, (unsigned)s->opt.port);
	return (e);
}

/* ---- opening ---- */

/* 0 and 0: the store was made, and nothing was written into it. */
static enum err
read_counters(void *ctx, const struct store_counters *c, const uint8_t secret[STORE_SECRET_LEN], struct errbuf *eb)
{
	struct zkserver *s = ctx;

	memcpy(s->secret, secret, STORE_SECRET_LEN);
	s->empty = c->zxid == 0 && c->next_session == 0;
	return (s->empty ? OK : zk_tree_set_counters(s->tree, c->zxid, c->next_session, eb));
}

static enum err
not_empty(const struct zkserver *s, struct errbuf *eb)
{
	if (s->empty)
		errbuf_set(eb, "the counters say that nothing was ever written");
	return (s->empty ? ERR_CORRUPT : OK);
}

static enum err
read_session(void *ctx, int64_t id, int32_t timeout_ms, bool own, struct errbuf *eb)
{
	struct zkserver *s = ctx;
	enum err e = not_empty(s, eb);

	if (e == OK)
		e = zk_tree_session_load(s->tree, id, eb);
	if (e == OK)
		live_add(s, id, timeout_ms)->own = own;
	return (e);
}

static enum err
read_node(void *ctx, const char *path, const struct zk_tree_node *n, struct errbuf *eb)
{
	struct zkserver *s = ctx;
	enum err e = not_empty(s, eb);

	return (e == OK ? zk_tree_load(s->tree, path, n, eb) : e);
}

static enum err
write_now(struct zkserver *s, struct errbuf *eb)
{
	struct store_counters counters = { zk_tree_zxid(s->tree), zk_tree_next_session(s->tree) };
	enum err e;

	zk_tree_changes(s->tree, changed_node, s->pending);
	store_batch_counters(s->pending, &counters);
	e = store_write(s->store, s->pending, eb);
	store_batch_free(&s->pending);
	return (e);
}

/* What a server has from its first moment: the node for its own matters, which nobody but an administrator changes. */
static void
make_system_nodes(struct zkserver *s)
{
	static const char *const paths[] = { "/zookeeper", "/zookeeper/config", "/zookeeper/quota" };
	static const uint8_t read_only[] = { 0, 0, 0, 1, 0, 0, 0, ZK_PERM_READ, 0, 0, 0, 5, 'w', 'o', 'r', 'l', 'd', 0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e' };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct zk_tree_node n = { .data = SLICE_LIT("") };

		if (i == 1) {
			n.acl = slice_of(read_only, sizeof(read_only));
			n.stat.aversion = -1;
		}
		must(zk_tree_load(s->tree, paths[i], &n, NULL) == OK);
		store_batch_node(s->pending, paths[i], &n);
	}
}

static void
end_own_sessions(struct zkserver *s)
{
	struct live *l, *next;

	HASH_ITER(hh, s->sessions, l, next) {
		if (!l->own)
			continue;
		zk_tree_session_end(s->tree, l->id, server_wall_ms(s));
		store_batch_session_gone(s->pending, l->id);
		HASH_DEL(s->sessions, l);
		free(l);
	}
}

static enum err
load(struct zkserver *s, struct errbuf *eb)
{
	struct store_reader reader = { s, read_counters, read_session, read_node };
	enum err e = store_read(s->store, &reader, eb);
	struct zk_stat stat;

	if (e != OK)
		return (e);
	zk_tree_track(s->tree);
	s->pending = store_batch_new();
	if (!zk_tree_stat(s->tree, "/zookeeper", &stat))
		make_system_nodes(s);
	end_own_sessions(s);
	return (write_now(s, eb));
}

/* ---- events ---- */

static void
fired(void *ctx, int64_t session, enum zk_event event, const char *path, unsigned kinds)
{
	struct zkserver *s = ctx;
	struct live *l = server_session_find(s, session);

	(void)kinds;
	if (l != NULL && l->conn != NULL)
		request_event(l->conn, event, path);
}

static bool
permit(void *ctx, int64_t session, struct slice acl, unsigned perms)
{
	struct live *l = server_session_find(ctx, session);

	return (l != NULL && l->conn != NULL && acl_permits(acl, &l->conn->ids, perms));
}

/* ---- life ---- */

enum err
zkserver_open(const struct zkserver_options *opt, struct zkserver **sp, struct errbuf *eb)
{
	struct zkserver *s = xcalloc(1, sizeof(*s));
	char *path;
	enum err e;

	s->opt = *opt;
	if (s->opt.connections_max <= 0)
		s->opt.connections_max = LIMIT_ZK_CONNECTIONS_MAX;
	if (s->opt.held_max == 0)
		s->opt.held_max = LIMIT_ZK_CONNECTIONS_BYTES_MAX;
	s->dir = xstrdup(opt->dir);
	s->listen_fd = -1;
	TAILQ_INIT(&s->clients);
	TAILQ_INIT(&s->waiting);
	s->end_of_turn.fn = end_of_turn;
	s->job = (struct job){ .run = write_batch, .done = batch_written, .loop = opt->loop };
	timer_init(&s->tick, expire);
	timer_init(&s->containers, delete_containers);
	timer_init(&s->accept_pause, accept_again);
	s->tree = zk_tree_new(fired, s);
	zk_tree_permit(s->tree, permit);
	zk_tree_limit_watches(s->tree, LIMIT_ZK_SESSION_WATCH_BYTES_MAX, LIMIT_ZK_WATCH_BYTES_MAX);
	path = xasprintf("%s/ottla.coordination.db", opt->dir);
	e = store_open(opt->fs, opt->random, path, &s->store, eb);
	free(path);
	if (e == OK)
		e = load(s, eb);
	if (e == OK && opt->host != NULL)
		e = listen_on(s, eb);
	if (e != OK)
		zkserver_free(&s);
	*sp = s;
	return (e);
}

uint16_t
zkserver_port(const struct zkserver *s)
{
	return (s->port);
}

static void
start(void *ctx)
{
	struct zkserver *s = ctx;
	struct errbuf eb = ERRBUF_INIT;
	struct live *l, *next;

	HASH_ITER(hh, s->sessions, l, next)	/* their clients may come back as if nothing had been */
		server_session_touch(s, l);
	timer_set(s->opt.loop, &s->tick, s->opt.tick_ms);
	timer_set(s->opt.loop, &s->containers, CONTAINER_CHECK_MS);
	if (s->listen_fd < 0)
		return;
	watch_init(&s->listening, s->listen_fd, accept_some);
	if (watch_add(s->opt.loop, &s->listening, WATCH_READ, &eb) != OK)
		fail(s, eb.text);
}

void
zkserver_start(struct zkserver *s)
{
	loop_call(s->opt.loop, start, s);
}

struct with_number {
	struct zkserver *s;
	int64_t number;
};

static void
with_number(struct zkserver *s, int64_t number, void (*fn)(void *))
{
	struct with_number *w = xcalloc(1, sizeof(*w));

	*w = (struct with_number){ s, number };
	loop_call(s->opt.loop, fn, w);
}

static void
adopt(void *ctx)
{
	struct with_number *w = ctx;

	zkconn_new(w->s, (int)w->number);
	free(w);
}

void
zkserver_adopt(struct zkserver *s, int fd)
{
	with_number(s, fd, adopt);
}

static void
own(void *ctx)
{
	struct with_number *w = ctx;
	struct live *l = server_session_find(w->s, w->number);

	if (l != NULL) {
		server_dirty(w->s);
		l->own = true;
		store_batch_session(w->s->pending, l->id, l->timeout_ms, true);
	}
	free(w);
}

void
zkserver_own(struct zkserver *s, int64_t session_id)
{
	with_number(s, session_id, own);
}

static void
stop(void *ctx)
{
	struct zkserver *s = ctx;
	struct client *c;

	s->stopping = true;
	TAILQ_FOREACH(c, &s->clients, link)
		c->closing = true;	/* nothing more is taken; what is owed leaves */
	if (s->writing == NULL && (!s->dirty || s->failed))
		stopped(s);
}

void
zkserver_stop(struct zkserver *s, struct loop *done_loop, struct task *done)
{
	s->done_loop = done_loop;
	s->done = done;
	loop_call(s->opt.loop, stop, s);
}

void
zkserver_free(struct zkserver **sp)
{
	struct zkserver *s = *sp;
	struct live *l, *next;

	if (s == NULL)
		return;
	*sp = NULL;
	must(TAILQ_EMPTY(&s->clients));
	HASH_ITER(hh, s->sessions, l, next) {
		HASH_DEL(s->sessions, l);
		free(l);
	}
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	store_batch_free(&s->pending);
	store_batch_free(&s->writing);
	store_close(&s->store);
	zk_tree_free(&s->tree);
	free(s->dir);
	free(s);
}
