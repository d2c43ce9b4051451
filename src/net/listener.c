/* SPDX-License-Identifier: Apache-2.0
 *
 * net/listener.c - see listener.h for the interface.
 *
 * A listener accepts while its watch wants WATCH_READ.  It stops wanting for three reasons, each with its own way back: no slot
 * (quota_release of some connection wakes it), the creation rate (a timer), no descriptors or memory in the kernel (a timer; level-triggered
 * readiness would spin otherwise).  Peers wait in the kernel's backlog meanwhile.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/reclaim.h"
#include "net/net_int.h"

enum {
	ACCEPTS_PER_TURN = 64,
	SHORTAGE_PAUSE_MS = 100,
};

static void accept_ready(struct watch *, unsigned);
static void pause_over(struct timer *);
static void resume(struct task *);

/* ---- binding ---- */

static enum err
socket_failed(int errnum, const char *what, const struct net_listener_options *o, struct errbuf *eb)
{
	const char *host = o->host == NULL ? "" : o->host;

	errbuf_errno(eb, errnum, "%s", what);
	errbuf_add(eb, "listener %s (%s:%u)", o->name, host, (unsigned)o->port);
	if (errnum == EADDRINUSE)
		return (ERR_CONFLICT);
	if (errnum == EADDRNOTAVAIL)
		return (ERR_NOTFOUND);
	return (errnum == EACCES || errnum == EPERM ? ERR_PERM : ERR_NET);
}

/* Every address: an IPv6 socket takes IPv4 as well; where the kernel has no IPv6, an IPv4 one. */
static int
open_socket(struct sockaddr_storage *ss, socklen_t *len, bool any)
{
	int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0;
	struct sockaddr_in *s4 = (struct sockaddr_in *)ss;
	uint16_t port = htons(addr_port(ss));

	if (fd >= 0 && any)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd >= 0 || !any || errno != EAFNOSUPPORT)
		return (fd);
	memset(ss, 0, sizeof(*ss));
	s4->sin_family = AF_INET;
	s4->sin_port = port;
	*len = sizeof(*s4);
	return (socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static enum err
bind_socket(int fd, const struct sockaddr_storage *ss, socklen_t len, const struct net_listener_options *o, struct errbuf *eb)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
		return (socket_failed(errno, "SO_REUSEADDR", o, eb));
	if (o->receive_buffer > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o->receive_buffer, sizeof(o->receive_buffer)) != 0)
		return (socket_failed(errno, "socket.receive.buffer.bytes", o, eb));
	if (bind(fd, (const struct sockaddr *)ss, len) != 0)
		return (socket_failed(errno, "bind", o, eb));
	if (listen(fd, o->backlog > 0 ? o->backlog : 50) != 0)	/* Java's ServerSocket takes 50 for what is not positive */
		return (socket_failed(errno, "listen", o, eb));
	return (OK);
}

static struct net_listener *
listener_new(struct net *n, const struct net_listener_options *o, int fd)
{
	struct net_listener *l = xcalloc(1, sizeof(*l));
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	must_zero(getsockname(fd, (struct sockaddr *)&ss, &len));
	l->net = n;
	l->nl = &n->loops[n->nmade++ % n->opt.nloops];
	l->name = xstrdup(o->name);
	l->host = xstrdup(o->host == NULL ? "" : o->host);
	l->protocol = o->protocol;
	l->port = addr_port(&ss);
	l->send_buffer = o->send_buffer;
	l->inter_broker = o->inter_broker;
	watch_init(&l->watch, fd, accept_ready);
	timer_init(&l->pause, pause_over);
	l->resume_task.fn = resume;
	quota_listener_init(&l->quota, o->connections_max, o->connection_rate_max);
	return (l);
}

/* The set without `gone`, with `come`; either may be NULL. */
static void
publish_set(struct net *n, const struct net_listener *gone, struct net_listener *come)
{
	const struct listener_set *old = n->listeners;
	struct listener_set *set = xcalloc(1, sizeof(*set) + (old->n + 1) * sizeof(old->v[0]));

	for (unsigned i = 0; i < old->n; i++)
		if (old->v[i] != gone)
			set->v[set->n++] = old->v[i];
	if (come != NULL)
		set->v[set->n++] = come;
	for (unsigned i = 0; i < set->n; i++)
		set->v[i]->quota.protected = set->v[i]->inter_broker && set->n > 1;
	reclaim_publish(&n->listeners, (const struct listener_set *)set);
	reclaim_defer(free, (void *)(uintptr_t)old);
}

const struct listener_set *
listeners_of(struct net *n)
{
	return (reclaim_read(&n->listeners));
}

enum err
net_listen(struct net *n, const struct net_listener_options *o, struct net_listener **lp, struct errbuf *eb)
{
	struct sockaddr_storage ss;
	bool any = o->host == NULL || o->host[0] == '\0';
	socklen_t len;
	enum err e;
	int fd;

	if (o->protocol != NET_PLAINTEXT) {
		errbuf_set(eb, "listener %s: only PLAINTEXT is built", o->name);
		return (ERR_UNSUPPORTED);
	}
	e = addr_resolve(o->host, o->port, &ss, &len, eb);
	if (e != OK) {
		errbuf_add(eb, "listener %s", o->name);
		return (e);
	}
	fd = open_socket(&ss, &len, any);
	if (fd < 0)
		return (socket_failed(errno, "socket", o, eb));
	e = bind_socket(fd, &ss, len, o, eb);
	if (e != OK) {
		close(fd);
		return (e);
	}
	*lp = listener_new(n, o, fd);
	publish_set(n, NULL, *lp);
	return (OK);
}

/* ---- accepting ---- */

static void
accept_pause(struct net_listener *l, int64_t ms)
{
	watch_want(l->nl->loop, &l->watch, 0);
	if (ms > 0)
		timer_set(l->nl->loop, &l->pause, ms);
}

static void
tune_socket(const struct net_listener *l, int fd)
{
	int on = 1;

	/* Kafka sets these; none of them is worth refusing a connection for. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (l->send_buffer > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &l->send_buffer, sizeof(l->send_buffer));
}

static void
accepted(struct net_listener *l, int fd, const struct sockaddr_storage *peer)
{
	struct net *n = l->net;
	struct in6_addr addr = addr_key(peer);
	enum quota_verdict v = quota_take(&n->quota, &l->quota, &addr);
	char text[ADDR_TEXT_MAX];

	if (v == QUOTA_REFUSE) {
		metric_add(n->opt.metrics, METRIC_connections_refused_total, 1);
		addr_text(peer, text);
		diag_debug(n->opt.diag, "net", "connection from %s on listener %s refused: max.connections.per.ip", text, l->name);
		close(fd);
		return;
	}
	tune_socket(l, fd);
	net_connection_came(n, l, fd, peer, v == QUOTA_EXCESS);
}

/* accept(2) failed.  true: try the next one. */
static bool
accept_failed(struct net_listener *l, int errnum)
{
	switch (errnum) {
	case EAGAIN:
		return (false);
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		if (!l->no_descriptors)
			diag_error(l->net->opt.diag, "net", "listener %s: accepting pauses: %s (raise the limit of open files)", l->name,
			    strerror(errnum));
		l->no_descriptors = true;
		accept_pause(l, SHORTAGE_PAUSE_MS);
		return (false);
	default:	/* ECONNABORTED and the network's errors belong to the one connection that went away */
		return (errnum != EBADF && errnum != EINVAL);
	}
}

static bool
accept_one(struct net_listener *l)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	int64_t delay_ms;
	int fd;

	if (!quota_may_accept(&l->net->quota, &l->quota, loop_now_ms(l->nl->loop), &delay_ms)) {
		accept_pause(l, delay_ms);
		return (false);
	}
	fd = accept4(l->watch.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return (accept_failed(l, errno));
	l->no_descriptors = false;
	accepted(l, fd, &peer);
	return (true);
}

static void
accept_ready(struct watch *w, unsigned ready)
{
	struct net_listener *l = CONTAINER_OF(w, struct net_listener, watch);

	(void)ready;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++)
		if (!accept_one(l))
			break;
}

static void
accept_again(struct net_listener *l)
{
	if (l->started && !l->closed)
		watch_want(l->nl->loop, &l->watch, WATCH_READ);
}

static void
pause_over(struct timer *t)
{
	accept_again(CONTAINER_OF(t, struct net_listener, pause));
}

static void
resume(struct task *t)
{
	struct net_listener *l = CONTAINER_OF(t, struct net_listener, resume_task);

	atomic_store(&l->resume_posted, false);
	if (!l->pause.armed)
		accept_again(l);
	net_alive_release(l->net);
}

void
listener_wake(struct net_listener *l)
{
	if (atomic_exchange(&l->resume_posted, true))
		return;
	atomic_fetch_add(&l->net->alive, 1);
	loop_post(l->nl->loop, &l->resume_task);
}

/* ---- life ---- */

void
listener_start(struct net_listener *l)
{
	struct errbuf eb = ERRBUF_INIT;

	if (l->closed || l->started || l->nl->stopping)
		return;
	if (watch_add(l->nl->loop, &l->watch, WATCH_READ, &eb) != OK) {
		diag_error(l->net->opt.diag, "net", "listener %s cannot be watched: %s", l->name, eb.text);
		return;
	}
	l->started = true;
}

static void
start_run(void *ctx)
{
	struct net_listener *l = ctx;
	struct net *n = l->net;

	listener_start(l);
	net_alive_release(n);
}

void
net_listener_start(struct net_listener *l)
{
	atomic_fetch_add(&l->net->alive, 1);
	loop_call(l->nl->loop, start_run, l);
}

static void
remove_run(void *ctx)
{
	struct net_listener *l = ctx;
	struct net *n = l->net;

	listener_stop(l);	/* before the loops are asked: what was accepted until now is on its way ahead of that */
	net_drop_connections(l);
	net_alive_release(n);
}

void
net_listener_remove(struct net_listener *l)
{
	struct net *n = l->net;

	publish_set(n, l, NULL);
	l->next = n->removed;
	n->removed = l;
	atomic_fetch_add(&n->alive, 1);
	loop_call(l->nl->loop, remove_run, l);
}

void
listener_stop(struct net_listener *l)
{
	if (l->closed)
		return;
	l->closed = true;
	watch_remove(l->nl->loop, &l->watch);
	timer_cancel(l->nl->loop, &l->pause);
	close(l->watch.fd);
	l->watch.fd = -1;
}

void
listener_free(struct net_listener *l)
{
	must(!l->watch.added && !l->pause.armed);	/* never started, or shut down */
	if (!l->closed)
		close(l->watch.fd);
	free(l->name);
	free(l->host);
	free(l);
}

const char *
net_listener_name(const struct net_listener *l)
{
	return (l->name);
}

enum net_protocol
net_listener_protocol(const struct net_listener *l)
{
	return (l->protocol);
}

uint16_t
net_listener_port(const struct net_listener *l)
{
	return (l->port);
}

const char *
net_listener_host(const struct net_listener *l)
{
	return (l->host);
}

void
net_listener_set_limits(struct net_listener *l, int32_t connections_max, int32_t connection_rate_max)
{
	quota_listener_set(&l->net->quota, &l->quota, connections_max, connection_rate_max);
	listener_wake(l);
}
