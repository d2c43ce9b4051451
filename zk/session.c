/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session.c - see session.h.
 *
 * ACTORS   The home loop owns struct zk_session.  A client (struct session_client) belongs to its own loop, which may be the home loop;
 *	    client and home speak by posted tasks only, so each hears the other in order.  The C client's threads post to home (session_call.c).
 *		submit:   client --call--> home: waiting -> in_flight --C client--> home --call with result--> client: done()
 *		events:   C client --> home --one message per client--> client: watches, listeners
 *
 * RULES
 *   (1) A call is sent only while UP (or, for the internal client that makes the chroot, once proceeded), at most max_in_flight at a time,
 *	 in order of submission.  A call answered CONNECTION_LOSS goes back to its place in `waiting`.
 *   (2) `generation` counts ended ZooKeeper sessions, at home and as each client has heard.  A call meant for an ended one answers
 *	 SESSION_EXPIRED.  EXPIRED is told after the old handle was closed and every in-flight call answered (by us, if the library
 *	 forgot it), so a client's pending calls all answer before its listeners hear EXPIRED.
 *   (3) The next handle is made only when every client has heard EXPIRED (acks_due == 0); there is always one, the internal client.
 *   (4) A session, its handle or a client is freed only when nothing posted can mention it: a handle by the job that closed it (which
 *	 joins the library's threads; what they posted before is processed before the job's own `done`), a client when its calls are
 *	 answered and home has let go, the session when the handle, the clients and the acks are gone.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zk/session_int.h"

enum { REINIT_MS = 1000 };		/* as Kafka: between two attempts to make a session */

static void handle_open(struct zk_session *);
static void handle_close(struct zk_session *);
static void session_free_if_done(struct zk_session *);
static void pump(struct zk_session *);

/* ---- messages from home to a client ---- */
struct client_message {
	struct task	       task;
	struct session_client *client;
	enum zk_session_event  session_event;
	int64_t		       session_id;
	enum zk_event	       event;
	char		      *path;	/* a watch event; NULL: a session event */
};

struct client_ack {			/* from a client to home */
	struct task	   task;
	struct zk_session *session;
};

static struct session_client *
client_of(const struct zk *zk)
{
	return (CONTAINER_OF(zk, struct session_client, zk));
}

static void
client_free_if_done(struct session_client *c)
{
	if (!c->closed || !c->unbound || !TAILQ_EMPTY(&c->calls))
		return;
	zk_watches_fini(&c->watches);
	free(c);
}

static void
ack_arrived(struct task *t)
{
	struct client_ack *ack = CONTAINER_OF(t, struct client_ack, task);
	struct zk_session *s = ack->session;

	free(ack);
	must(s->acks_due > 0);
	if (--s->acks_due == 0 && s->state == SESSION_EXPIRED)
		handle_open(s);
	session_free_if_done(s);
}

static void
client_hear_expired(struct session_client *c)
{
	struct client_ack *ack = xcalloc(1, sizeof(*ack));

	c->generation++;
	zk_watches_fini(&c->watches);
	zk_tell(&c->zk, ZK_EXPIRED);
	ack->session = c->session;
	ack->task.fn = ack_arrived;
	loop_post(c->session->options.loop, &ack->task);
}

static void
client_hear(struct task *t)
{
	struct client_message *m = CONTAINER_OF(t, struct client_message, task);
	struct session_client *c = m->client;

	if (m->path != NULL)
		zk_watches_fire(&c->watches, m->event, m->path);
	else {
		c->zk.connected = m->session_event == ZK_CONNECTED;
		if (m->session_event == ZK_CONNECTED)
			c->zk.session_id = m->session_id;
		if (m->session_event == ZK_EXPIRED)
			client_hear_expired(c);
		else
			zk_tell(&c->zk, m->session_event);
	}
	free(m->path);
	free(m);
}

static struct client_message *
message_to(struct session_client *c)
{
	struct client_message *m = xcalloc(1, sizeof(*m));

	m->client = c;
	m->task.fn = client_hear;
	return (m);
}

static void
tell_clients(struct zk_session *s, enum zk_session_event event)
{
	struct session_client *c;
	struct client_message *m;

	s->told_connected = event == ZK_CONNECTED;
	TAILQ_FOREACH(c, &s->clients, link) {
		m = message_to(c);
		m->session_event = event;
		m->session_id = s->ident.id;
		if (event == ZK_EXPIRED)
			s->acks_due++;
		loop_post(c->zk.loop, &m->task);
	}
}

static void
tell_watch(struct zk_session *s, enum zk_event event, const char *path)
{
	struct session_client *c;
	struct client_message *m;

	TAILQ_FOREACH(c, &s->clients, link) {
		m = message_to(c);
		m->event = event;
		m->path = xstrdup(path);
		loop_post(c->zk.loop, &m->task);
	}
}

/* ---- calls ---- */
static void
client_answered(struct task *t)
{
	struct zk_call *call = CONTAINER_OF(t, struct zk_call, task);
	struct session_client *c = client_of(call->zk);

	TAILQ_REMOVE(&c->calls, call, link);
	zk_call_answer(call, &c->watches);
	client_free_if_done(c);
}

/* The call leaves home with its result. */
static void
call_to_client(struct session_call *c)
{
	session_call_drop_scratch(c);
	c->call.task.fn = client_answered;
	loop_post(c->client->zk.loop, &c->call.task);
}

static void
call_fail(struct session_call *c, enum zke error)
{
	free(c->call.result);
	c->call.result = zk_result_error(error, c->call.ops, c->call.nops, c->call.multi);
	call_to_client(c);
}

static void
fail_waiting(struct zk_session *s, enum zke error)
{
	struct session_call *c;

	while ((c = TAILQ_FIRST(&s->waiting)) != NULL) {
		TAILQ_REMOVE(&s->waiting, c, home);
		call_fail(c, error);
	}
}

/* Back to its place: calls sent before it and lost as well stand before it. */
static void
call_wait_again(struct zk_session *s, struct session_call *c)
{
	struct session_call *at;

	free(c->call.result);
	c->call.result = NULL;
	session_call_drop_scratch(c);
	TAILQ_FOREACH(at, &s->waiting, home)
		if (at->sequence > c->sequence) {
			TAILQ_INSERT_BEFORE(at, c, home);
			return;
		}
	TAILQ_INSERT_TAIL(&s->waiting, c, home);
}

static bool
may_go(const struct zk_session *s, const struct session_call *c)
{
	return (s->ready || c->client->raw);
}

static void
pump(struct zk_session *s)
{
	struct session_call *c, *next;
	int rc;

	for (c = TAILQ_FIRST(&s->waiting); c != NULL && s->state == SESSION_UP && s->in_flight_count < s->options.max_in_flight; c = next) {
		next = TAILQ_NEXT(c, home);
		if (!may_go(s, c))
			continue;
		rc = session_call_send(s, c);
		if (rc == ZINVALIDSTATE)
			return;		/* expired: the event is on its way */
		TAILQ_REMOVE(&s->waiting, c, home);
		if (rc != ZOK) {
			call_fail(c, zke_from_code(rc));
			continue;
		}
		TAILQ_INSERT_TAIL(&s->in_flight, c, home);
		s->in_flight_count++;
	}
}

void
session_call_answered(struct task *t)
{
	struct session_call *c = CONTAINER_OF(t, struct session_call, call.task);
	struct zk_session *s = c->client->session;

	TAILQ_REMOVE(&s->in_flight, c, home);
	s->in_flight_count--;
	if (c->rc == ZCONNECTIONLOSS || c->rc == ZOPERATIONTIMEOUT || c->rc == ZCLOSING || c->rc == ZINVALIDSTATE ||
	    (c->rc == ZRUNTIMEINCONSISTENCY && !c->call.multi)) {
		if (s->state == SESSION_CLOSING || c->orphan)
			call_fail(c, ZKE_CLOSING);
		else if (c->generation != s->generation)
			call_fail(c, ZKE_SESSION_EXPIRED);
		else
			call_wait_again(s, c);
	} else
		call_to_client(c);
	pump(s);
}

static void
call_arrived(struct task *t)
{
	struct session_call *c = CONTAINER_OF(t, struct session_call, call.task);
	struct zk_session *s = c->client->session;

	c->sequence = s->next_sequence++;
	if (s->state == SESSION_CLOSING)
		call_fail(c, ZKE_CLOSING);
	else if (c->generation != s->generation)
		call_fail(c, ZKE_SESSION_EXPIRED);
	else {
		TAILQ_INSERT_TAIL(&s->waiting, c, home);
		pump(s);
	}
}

/* ---- the C client's session events ---- */
static void
expired(struct zk_session *s)
{
	diag_line(s->options.diag, DIAG_WARNING, "zookeeper", "session 0x%" PRIx64 " %s", (uint64_t)s->ident.id,
	    s->auth_failed ? "ended: authentication failed" : "expired");
	s->state = SESSION_EXPIRED;
	s->generation++;
	s->ident_known = false;
	if (s->auth_failed)
		tell_clients(s, ZK_AUTH_FAILED);
	fail_waiting(s, ZKE_SESSION_EXPIRED);
	handle_close(s);		/* goes on in handle_close_done */
}

static void
open_done(struct zk_session *s, enum err e, const struct errbuf *why)
{
	zk_opened_fn *opened = s->opened;

	s->opened = NULL;
	timer_cancel(s->options.loop, &s->open_timer);
	if (opened != NULL)
		opened(s->opened_ctx, e, why);
}

/* Posted, so that a client at home has heard CONNECTED when opened() is called. */
static void
open_ok(void *ctx)
{
	struct errbuf none = ERRBUF_INIT;

	open_done(ctx, OK, &none);
}

static void
clients_may_go(struct zk_session *s)
{
	s->ready = true;
	tell_clients(s, ZK_CONNECTED);
	if (s->opened != NULL)
		loop_call(s->options.loop, open_ok, s);
	pump(s);
}

static void
chroot_made(void *ctx, const struct zk_result *r)
{
	struct zk_session *s = ctx;
	struct errbuf eb = ERRBUF_INIT;

	if (s->state == SESSION_CLOSING)
		return;
	if (r->error != ZKE_OK && r->error != ZKE_NODE_EXISTS) {
		if (r->error == ZKE_SESSION_EXPIRED)
			return;		/* the next session tries again */
		errbuf_set(&eb, "creating the chroot %s in ZooKeeper: %s", s->chroot, zke_text(r->error));
		open_done(s, zke_err(r->error), &eb);
		return;
	}
	clients_may_go(s);
}

static void
chroot_ready(struct zk_session *s)
{
	if (!s->ready && s->chroot[0] != '\0')
		zk_create_recursive(s->raw, s->chroot, SLICE_NULL, chroot_made, s);
	else
		clients_may_go(s);
}

void
zk_session_proceed(struct zk_session *s)
{
	must(s->holds > 0);
	if (--s->holds > 0 || s->state != SESSION_HELD)
		return;			/* meant for a session that has ended meanwhile */
	s->state = SESSION_UP;
	chroot_ready(s);
}

static void
established(struct zk_session *s, zhandle_t *zh)
{
	const clientid_t *id = zoo_client_id(zh);
	int timeout_ms = zoo_recv_timeout(zh);

	s->ident.id = id->client_id;
	memcpy(s->ident.password, id->passwd, ZK_PASSWORD_LEN);
	s->ident.timeout_ms = timeout_ms;
	s->ident_known = true;
	s->state = SESSION_HELD;
	s->holds++;
	session_authenticate(s, zh);
	diag_line(s->options.diag, DIAG_INFO, "zookeeper", "connected, session 0x%" PRIx64 ", time-out %d ms", (uint64_t)s->ident.id, timeout_ms);
	if (s->options.established != NULL)
		s->options.established(s->options.ctx, s, &s->ident);
	else
		zk_session_proceed(s);
}

static void
connected(struct zk_session *s, zhandle_t *zh)
{
	const clientid_t *id = zoo_client_id(zh);

	if (s->state != SESSION_CONNECTING && s->state != SESSION_OPENING)
		return;
	if (!s->ident_known || s->ident.id != id->client_id) {
		established(s, zh);
		return;
	}
	s->state = SESSION_UP;
	diag_line(s->options.diag, DIAG_INFO, "zookeeper", "connected again, session 0x%" PRIx64, (uint64_t)s->ident.id);
	if (s->ready)
		tell_clients(s, ZK_CONNECTED);
	pump(s);
}

static void
disconnected(struct zk_session *s)
{
	if (s->state != SESSION_UP && s->state != SESSION_HELD)
		return;
	if (s->state == SESSION_HELD)
		s->ident_known = false;		/* established once more, so that nothing is sent without `proceed` */
	s->state = SESSION_CONNECTING;
	diag_line(s->options.diag, DIAG_WARNING, "zookeeper", "connection lost, session 0x%" PRIx64, (uint64_t)s->ident.id);
	if (s->told_connected)
		tell_clients(s, ZK_DISCONNECTED);
}

static void
session_event(struct zk_session *s, zhandle_t *zh, int state)
{
	if (state == ZOO_CONNECTED_STATE)
		connected(s, zh);
	else if (state == ZOO_CONNECTING_STATE || state == ZOO_NOTCONNECTED_STATE)
		disconnected(s);
	else if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
		s->auth_failed = state == ZOO_AUTH_FAILED_STATE;
		expired(s);
	}
}

static bool
event_of(int type, enum zk_event *event)
{
	if (type == ZOO_CREATED_EVENT)
		*event = ZK_CREATED;
	else if (type == ZOO_DELETED_EVENT)
		*event = ZK_DELETED;
	else if (type == ZOO_CHANGED_EVENT)
		*event = ZK_CHANGED;
	else if (type == ZOO_CHILD_EVENT)
		*event = ZK_CHILDREN;
	else
		return (false);
	return (true);
}

void
session_event_arrived(struct task *t)
{
	struct session_event *e = CONTAINER_OF(t, struct session_event, task);
	struct session_handle *h = e->handle;
	struct zk_session *s = h->session;
	enum zk_event event;

	if (h == s->handle && s->state != SESSION_CLOSING && s->state != SESSION_EXPIRED) {
		if (h->zh == NULL)
			h->zh = e->zh;	/* it speaks before zookeeper_init has returned to the worker's `done` */
		if (e->path == NULL)
			session_event(s, e->zh, e->state);
		else if (event_of(e->type, &event))
			tell_watch(s, event, e->path);
	}
	free(e->path);
	free(e);
}

/* ---- handles ---- */
static void
handle_open_run(struct job *job)
{
	struct session_handle *h = CONTAINER_OF(job, struct session_handle, job);

	h->made = zookeeper_init2(h->session->hosts, session_watcher, h->session->options.timeout_ms, NULL, h, ZOO_NO_LOG_CLIENTENV, session_log);
}

static void
handle_open_done(struct job *job)
{
	struct session_handle *h = CONTAINER_OF(job, struct session_handle, job);
	struct zk_session *s = h->session;

	if (h->made == NULL) {
		must(h->zh == NULL);
		s->handle = NULL;
		free(h);
		diag_line(s->options.diag, DIAG_WARNING, "zookeeper", "%s: cannot connect, trying again", s->hosts);
		if (s->state == SESSION_CLOSING)
			session_free_if_done(s);
		else
			timer_set(s->options.loop, &s->retry_timer, REINIT_MS);
		return;
	}
	h->zh = h->made;
	h->ready = true;
	if (s->state == SESSION_CLOSING || s->state == SESSION_EXPIRED)
		handle_close(s);
	else if (s->state == SESSION_OPENING)
		s->state = SESSION_CONNECTING;
}

static void
handle_open(struct zk_session *s)
{
	struct session_handle *h;

	if (s->handle != NULL)
		return;
	s->state = SESSION_OPENING;
	if (s->auth_failed) {
		s->auth_failed = false;
		timer_set(s->options.loop, &s->retry_timer, REINIT_MS);
		return;
	}
	h = xcalloc(1, sizeof(*h));
	h->session = s;
	h->generation = s->generation;
	h->job = (struct job){ .run = handle_open_run, .done = handle_open_done, .loop = s->options.loop };
	s->handle = h;
	workers_submit(s->options.workers, &h->job);
}

static void
retry_due(struct timer *t)
{
	struct zk_session *s = CONTAINER_OF(t, struct zk_session, retry_timer);

	if (s->state != SESSION_CLOSING)
		handle_open(s);
}

static void
handle_close_run(struct job *job)
{
	struct session_handle *h = CONTAINER_OF(job, struct session_handle, job);

	(void)zookeeper_close(h->made);
}

/* The library forgets the completions that its thread had not come to when it was closed, and those of calls that slipped in behind an
 * expiry.  Its threads are gone, so nobody else will answer these. */
static void
fail_in_flight(struct zk_session *s)
{
	struct session_call *c;

	while ((c = TAILQ_FIRST(&s->in_flight)) != NULL) {
		TAILQ_REMOVE(&s->in_flight, c, home);
		s->in_flight_count--;
		call_fail(c, s->state == SESSION_EXPIRED ? ZKE_SESSION_EXPIRED : ZKE_CLOSING);
	}
}

static void
handle_close_done(struct job *job)
{
	struct session_handle *h = CONTAINER_OF(job, struct session_handle, job);
	struct zk_session *s = h->session;

	must(s->handle == h);
	s->handle = NULL;
	s->handle_closing = false;
	free(h);
	fail_in_flight(s);
	if (s->state == SESSION_EXPIRED)
		tell_clients(s, ZK_EXPIRED);	/* the last of the acks opens the next handle */
	session_free_if_done(s);
}

/* Not while the opening job still owns it: then handle_open_done comes back here. */
static void
handle_close(struct zk_session *s)
{
	struct session_handle *h = s->handle;

	if (h == NULL || s->handle_closing || !h->ready)
		return;
	s->handle_closing = true;
	h->job = (struct job){ .run = handle_close_run, .done = handle_close_done, .loop = s->options.loop };
	workers_submit(s->options.workers, &h->job);
}

/* ---- clients ---- */
static void
session_submit(struct zk *zk, const struct zk_op *ops, uint32_t n, bool multi, zk_done_fn *done, void *ctx)
{
	struct session_client *client = client_of(zk);
	struct session_call *c = CONTAINER_OF(zk_call_new(sizeof(*c), zk, ops, n, multi, done, ctx), struct session_call, call);
	enum zke invalid = zk_ops_invalid(zk, ops, n, multi);

	c->client = client;
	c->generation = client->generation;
	c->watch = ops[0].watcher != NULL;
	TAILQ_INSERT_TAIL(&client->calls, &c->call, link);
	if (client->closed || invalid != ZKE_OK) {	/* closed: one of several steps that goes on; the session may be gone by now */
		call_fail(c, client->closed ? ZKE_CLOSING : invalid);
		return;
	}
	c->call.task.fn = call_arrived;
	loop_post(client->session->options.loop, &c->call.task);
}

static void
session_unwatch(struct zk *zk, struct zk_watcher *w, const char *path)
{
	struct session_client *client = client_of(zk);
	struct zk_call *call;

	zk_watches_remove(&client->watches, w, path);
	TAILQ_FOREACH(call, &client->calls, link)
		if (!call->multi && call->ops[0].watcher == w && (path == NULL || strcmp(path, call->ops[0].path) == 0)) {
			call->ops[0].watcher = NULL;
			w->pending--;
		}
}

static void
client_let_go(void *ctx)		/* on the client's loop: home will not mention it again, but for answers */
{
	struct session_client *c = ctx;

	c->unbound = true;
	client_free_if_done(c);
}

static void
client_unbind(void *ctx)		/* at home */
{
	struct session_client *c = ctx;
	struct zk_session *s = c->session;
	struct session_call *call, *next;

	TAILQ_REMOVE(&s->clients, c, link);
	for (call = TAILQ_FIRST(&s->waiting); call != NULL; call = next) {
		next = TAILQ_NEXT(call, home);
		if (call->client != c)
			continue;
		TAILQ_REMOVE(&s->waiting, call, home);
		call_fail(call, ZKE_CLOSING);
	}
	/* Calls in flight still need the client: it lives until they are answered. */
	TAILQ_FOREACH(call, &s->in_flight, home)
		call->orphan = call->orphan || call->client == c;
	loop_call(c->zk.loop, client_let_go, c);
	session_free_if_done(s);
}

static void
session_client_close(struct zk *zk)
{
	struct session_client *c = client_of(zk);
	struct zk_call *call;

	TAILQ_FOREACH(call, &c->calls, link)
		if (!call->multi && call->ops[0].watcher != NULL) {
			call->ops[0].watcher->pending--;
			call->ops[0].watcher = NULL;
		}
	zk_watches_fini(&c->watches);
	TAILQ_INIT(&c->zk.listeners);
	c->zk.next_listener = NULL;
	c->closed = true;
	loop_call(c->session->options.loop, client_unbind, c);
}

static const struct zk_ops session_ops = { session_submit, session_unwatch, session_client_close };

struct zk *
zk_session_client(struct zk_session *s, struct loop *loop)
{
	struct session_client *c = xcalloc(1, sizeof(*c));

	zk_client_init(&c->zk, &session_ops, loop);
	c->session = s;
	c->generation = s->generation;
	c->zk.packet_max = s->options.packet_max;
	c->zk.connected = s->told_connected;
	c->zk.session_id = s->ident_known && s->told_connected ? s->ident.id : 0;
	zk_watches_init(&c->watches);
	TAILQ_INIT(&c->calls);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	return (&c->zk);
}

/* ---- opening and closing ---- */
static void
open_timed_out(struct timer *t)
{
	struct zk_session *s = CONTAINER_OF(t, struct zk_session, open_timer);
	struct errbuf eb = ERRBUF_INIT;

	errbuf_set(&eb, "no connection to ZooKeeper at %s within %" PRId32 " ms", s->hosts, s->options.connect_timeout_ms);
	open_done(s, ERR_TIMEOUT, &eb);
}

static bool
chroot_is_valid(const char *chroot)
{
	return (chroot[0] == '\0' || zk_path_is_valid(chroot));
}

/* The C library takes what is before the last colon for the host, as it stands: "[::1]:2181" would be a name that is not known. */
static void
without_brackets(char *hosts)
{
	char *to = hosts;

	for (const char *from = hosts; *from != '\0'; from++)
		if (*from != '[' && *from != ']')
			*to++ = *from;
	*to = '\0';
}

/* "h:p,h:p/a/b": the first '/' begins the chroot; "/" alone is none. */
enum err
zk_connect_parse(const char *connect, char **hosts, char **chroot, struct errbuf *eb)
{
	const char *slash = strchr(connect, '/');

	*hosts = slash == NULL ? xstrdup(connect) : xstrndup(connect, (size_t)(slash - connect));
	without_brackets(*hosts);
	*chroot = xstrdup(slash == NULL || slash[1] == '\0' ? "" : slash);
	if ((*hosts)[0] != '\0' && chroot_is_valid(*chroot))
		return (OK);
	errbuf_set(eb, "\"%s\" is not host:port,.../chroot", connect);
	free(*hosts);
	free(*chroot);
	*hosts = *chroot = NULL;
	return (ERR_INVALID);
}

static void
fill_options(struct zk_session *s, const struct zk_session_options *o)
{
	s->options = *o;
	s->options.connect = NULL;	/* the caller's; hosts and chroot are what is left of it */
	if (s->options.packet_max == 0)
		s->options.packet_max = LIMIT_JUTE_MAX;
	if (s->options.max_in_flight == 0)
		s->options.max_in_flight = 1;
	s->acl_entries[0] = (struct ACL){ ZOO_PERM_ALL, ZOO_AUTH_IDS };
	s->acl_entries[1] = (struct ACL){ ZOO_PERM_READ, ZOO_ANYONE_ID_UNSAFE };
	s->acl_read = (struct ACL_vector){ 2, s->acl_entries };
}

enum err
zk_session_open(const struct zk_session_options *o, zk_opened_fn *opened, void *ctx, struct zk_session **sp, struct errbuf *eb)
{
	struct zk_session *s;
	char *hosts, *chroot;
	enum err e;

	e = zk_connect_parse(o->connect, &hosts, &chroot, eb);
	if (e != OK)
		return (e);
	s = xcalloc(1, sizeof(*s));
	fill_options(s, o);
	s->hosts = hosts;
	s->chroot = chroot;
	s->opened = opened;
	s->opened_ctx = ctx;
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->in_flight);
	TAILQ_INIT(&s->clients);
	timer_init(&s->open_timer, open_timed_out);
	timer_init(&s->retry_timer, retry_due);
	s->raw = zk_session_client(s, o->loop);
	client_of(s->raw)->raw = true;
	zoo_set_debug_level(ZOO_LOG_LEVEL_INFO);
	session_log_to(o->diag);
	timer_set(o->loop, &s->open_timer, o->connect_timeout_ms);
	handle_open(s);
	*sp = s;
	return (OK);
}

bool
zk_session_ident(const struct zk_session *s, struct zk_session_ident *ident)
{
	if (s->ident_known)
		*ident = s->ident;
	return (s->ident_known);
}

static void
session_free(struct task *t)
{
	struct zk_session *s = CONTAINER_OF(t, struct zk_session, end);
	void (*closed)(void *) = s->closed;
	void *ctx = s->closed_ctx;

	free(s->hosts);
	free(s->chroot);
	free(s);
	if (closed != NULL)
		closed(ctx);
}

/* Orphaned answers mention the client, not the session, once they have left home. */
static void
session_free_if_done(struct zk_session *s)
{
	if (s->state != SESSION_CLOSING || s->handle != NULL || s->acks_due > 0 || !TAILQ_EMPTY(&s->clients) || s->ending)
		return;
	must(TAILQ_EMPTY(&s->waiting) && TAILQ_EMPTY(&s->in_flight));	/* handle_close_done saw to it */
	s->ending = true;
	session_log_to(NULL);
	s->end.fn = session_free;
	loop_at_end(s->options.loop, &s->end);
}

void
zk_session_close(struct zk_session **sp, void (*closed)(void *), void *ctx)
{
	struct zk_session *s = *sp;

	*sp = NULL;
	s->closed = closed;
	s->closed_ctx = ctx;
	s->state = SESSION_CLOSING;
	s->opened = NULL;
	timer_cancel(s->options.loop, &s->open_timer);
	timer_cancel(s->options.loop, &s->retry_timer);
	zk_close(&s->raw);
	fail_waiting(s, ZKE_CLOSING);
	handle_close(s);
}
