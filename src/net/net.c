/* SPDX-License-Identifier: Apache-2.0
 *
 * net/net.c - see net.h for the interface.
 *
 * Each loop keeps its connections in about the order of their last activity: the front is the next to be idle too long, and the one to go when
 * the inter-broker listener takes a connection beyond max.connections.
 *
 * MEMORY of requests (queued.max.request.bytes) is one counter for all loops.  Whoever is refused parks on its loop and sets that loop's
 * `parked` flag, then asks again; whoever frees memory looks at the flags and posts one unpark task per loop.  Flag before second try, count
 * before flag look: one of the two sees the other.
 *
 * SHUTDOWN `alive` counts the loops that still serve and the connections that travel from an accepting loop to theirs.  The one who takes
 * it to zero posts the caller's task, so nothing of ours runs on any loop after that.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/net_int.h"

static void idle_check(struct timer *);
static void grace_over(struct timer *);
static void unpark(struct task *);
static void loop_begin(struct task *);
static void loop_shut(struct task *);

static void
loop_part_init(struct net *n, unsigned i)
{
	struct net_loop *nl = &n->loops[i];

	nl->net = n;
	nl->loop = n->opt.loops[i];
	nl->index = i;
	TAILQ_INIT(&nl->conns);
	TAILQ_INIT(&nl->parked_conns);
	TAILQ_INIT(&nl->spare_requests);
	timer_init(&nl->idle_timer, idle_check);
	timer_init(&nl->grace_timer, grace_over);
	held_init(nl);
	nl->unpark_task.fn = unpark;
	nl->start_task.fn = loop_begin;
	nl->shutdown_task.fn = loop_shut;
	nl->scratch = xmalloc(SCRATCH_BYTES);
	nl->held = true;
}

enum err
net_new(const struct net_options *opt, struct net **np, struct errbuf *eb)
{
	struct net *n = xcalloc(1, sizeof(*n));
	struct loop **loops;
	enum err e;

	must(opt->nloops > 0 && opt->handler.request != NULL && *np == NULL);
	n->magic.value = NET_MAGIC;
	n->opt = *opt;
	loops = xcalloc(opt->nloops, sizeof(struct loop *));
	memcpy(loops, opt->loops, opt->nloops * sizeof(struct loop *));
	n->opt.loops = loops;
	n->loops = xcalloc(opt->nloops, sizeof(*n->loops));
	n->listeners = xcalloc(1, sizeof(*n->listeners));
	n->alive = (int32_t)opt->nloops;
	quota_init(&n->quota);
	for (unsigned i = 0; i < opt->nloops; i++)
		loop_part_init(n, i);
	e = quota_set(&n->quota, &opt->limits, eb);
	if (e != OK) {
		net_free(&n);
		return (e);
	}
	*np = n;
	return (OK);
}

void
net_free(struct net **np)
{
	struct net_listener *l;
	struct net *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	MAGIC_OK(n, NET_MAGIC);
	for (unsigned i = 0; i < n->listeners->n; i++)
		listener_free(n->listeners->v[i]);
	while ((l = n->removed) != NULL) {
		n->removed = l->next;
		listener_free(l);
	}
	for (unsigned i = 0; i < n->opt.nloops; i++) {
		must(n->loops[i].nconns == 0);
		must(!n->loops[i].idle_timer.armed && !n->loops[i].grace_timer.armed && !n->loops[i].held_timer.armed);
		must(n->loops[i].held_bytes == 0);
		rxblock_unref(&n->loops[i].rx_spare);
		conn_free_spare(&n->loops[i]);
		free(n->loops[i].scratch);
	}
	quota_fini(&n->quota);
	free((void *)(uintptr_t)n->listeners);
	free(n->loops);
	free((void *)(uintptr_t)n->opt.loops);
	n->magic.value = 0;
	free(n);
}

/* ---- start ---- */

static void
loop_begin(struct task *t)
{
	struct net_loop *nl = CONTAINER_OF(t, struct net_loop, start_task);
	const struct listener_set *set = listeners_of(nl->net);

	for (unsigned i = 0; i < set->n; i++)
		if (set->v[i]->nl == nl)
			listener_start(set->v[i]);
}

void
net_start(struct net *n)
{
	for (unsigned i = 0; i < n->opt.nloops; i++)
		loop_post(n->loops[i].loop, &n->loops[i].start_task);
}

enum err
net_set_limits(struct net *n, const struct net_limits *l, struct errbuf *eb)
{
	enum err e = quota_set(&n->quota, l, eb);
	const struct listener_set *set = listeners_of(n);

	for (unsigned i = 0; e == OK && i < set->n; i++)
		listener_wake(set->v[i]);
	return (e);
}

void
net_stats(struct net *n, struct net_stats *out)
{
	out->connections = (unsigned)MAX(0, n->connections);
	out->queued_requests = (unsigned)MAX(0, n->queued_requests);
	out->request_bytes = (uint64_t)MAX(0, n->request_bytes);
	out->held_bytes = held_total(n);
}

/* ---- connections of one loop ---- */

/* The order is by the time a connection was put to the back, and that is written down once in this while: keeping it exact costs three other
 * connections' cache lines per request. */
static int64_t
order_grain_ms(const struct net_loop *nl)
{
	return (nl->net->opt.idle_max_ms > 0 ? nl->net->opt.idle_max_ms / 64 : 1000);
}

/* Since its active_ms: then its last byte moved idle_max_ms ago at least. */
static int64_t
idle_limit_ms(const struct net_loop *nl)
{
	return (nl->net->opt.idle_max_ms + order_grain_ms(nl));
}

static void
arm_idle(struct net_loop *nl)
{
	struct net_conn *c = TAILQ_FIRST(&nl->conns);

	if (nl->net->opt.idle_max_ms <= 0)
		return;
	if (c == NULL)
		timer_cancel(nl->loop, &nl->idle_timer);
	else
		timer_set(nl->loop, &nl->idle_timer, MAX(1, c->active_ms + idle_limit_ms(nl) - loop_now_ms(nl->loop)));
}

void
net_loop_touch(struct net_loop *nl, struct net_conn *c)
{
	int64_t now = loop_now_ms(nl->loop);

	if (now - c->active_ms < order_grain_ms(nl))
		return;
	c->active_ms = now;
	if (TAILQ_NEXT(c, link) == NULL)
		return;
	TAILQ_REMOVE(&nl->conns, c, link);
	TAILQ_INSERT_TAIL(&nl->conns, c, link);
}

void
net_loop_add(struct net_loop *nl, struct net_conn *c)
{
	c->active_ms = loop_now_ms(nl->loop);
	TAILQ_INSERT_TAIL(&nl->conns, c, link);
	nl->nconns++;
	if (nl->nconns == 1)
		arm_idle(nl);
}

void
net_loop_remove(struct net_loop *nl, struct net_conn *c)
{
	TAILQ_REMOVE(&nl->conns, c, link);
	must(nl->nconns > 0);
	nl->nconns--;
	if (nl->nconns == 0 && nl->stopping && nl->held) {
		nl->held = false;
		timer_cancel(nl->loop, &nl->grace_timer);
		timer_cancel(nl->loop, &nl->idle_timer);
		timer_cancel(nl->loop, &nl->held_timer);
		net_alive_release(nl->net);
	}
}

/* A connection with a running request is not idle, however long its answer takes; it goes to the back.  But a peer that is gone may have asked
 * for an answer in weeks (Fetch with a long wait), and nothing is read meanwhile that would tell. */
static bool
is_busy(const struct net_conn *c)
{
	return (c->state == CONN_DEAD || (c->running > 0 && !transport_peer_ended(c->transport)));
}

static void
idle_check(struct timer *t)
{
	struct net_loop *nl = CONTAINER_OF(t, struct net_loop, idle_timer);
	int64_t before = loop_now_ms(nl->loop) - idle_limit_ms(nl);
	struct net_conn *c = TAILQ_FIRST(&nl->conns), *next;

	for (; c != NULL && c->active_ms <= before; c = next) {
		next = TAILQ_NEXT(c, link);
		if (is_busy(c))
			net_loop_touch(nl, c);
		else
			net_conn_close(c);
	}
	arm_idle(nl);
}

/* Closes the connection that was idle longest, of those that max.connections counts. */
static bool
close_oldest(struct net_loop *nl)
{
	struct net_conn *c;

	TAILQ_FOREACH(c, &nl->conns, link)
		if (c->state != CONN_DEAD && c->listener != NULL && !c->listener->quota.protected) {
			diag_info(nl->net->opt.diag, "net", "closing the connection from %s:%u: max.connections is exceeded", c->peer_host,
			    c->peer_port);
			metric_add(nl->net->opt.metrics, METRIC_connections_refused_total, 1);
			net_conn_close(c);
			return (true);
		}
	return (false);
}

struct trim {
	struct task	 task;
	struct net_loop	*nl;
	unsigned	 tries;
};

/* One connection too many: each loop in turn is asked to give one up. */
static void
trim_run(struct task *t)
{
	struct trim *tr = CONTAINER_OF(t, struct trim, task);
	struct net *n = tr->nl->net;

	if (!quota_exceeded(&n->quota) || close_oldest(tr->nl) || --tr->tries == 0) {
		free(tr);
		net_alive_release(n);
		return;
	}
	tr->nl = &n->loops[(tr->nl->index + 1) % n->opt.nloops];
	loop_post(tr->nl->loop, &tr->task);
}

static void
trim(struct net *n, struct net_loop *first)
{
	struct trim *tr = xcalloc(1, sizeof(*tr));

	atomic_fetch_add(&n->alive, 1);
	tr->task.fn = trim_run;
	tr->nl = first;
	tr->tries = n->opt.nloops;
	loop_post(first->loop, &tr->task);
}

/* ---- new connections ---- */

/* A socket on its way from the loop that accepted it to the loop it will live on. */
struct arrival {
	struct task	 task;
	struct net_loop	*nl;
	struct net_listener *listener;
	int		 fd;
	struct sockaddr_storage peer;
};

static enum err
begin_conn(struct net_loop *nl, struct net_listener *l, int fd, const struct sockaddr_storage *peer, struct net_conn **cp, struct errbuf *eb)
{
	struct net_conn *c = conn_new(nl, l, transport_tcp_new(fd), peer);
	enum err e;

	metric_add(nl->net->opt.metrics, METRIC_connections, 1);
	atomic_fetch_add_explicit(&nl->net->connections, 1, memory_order_relaxed);
	net_loop_add(nl, c);
	*cp = c;
	e = conn_start(c, eb);
	if (e != OK)
		net_conn_close(c);
	return (e);
}

static void
arrive(struct task *t)
{
	struct arrival *a = CONTAINER_OF(t, struct arrival, task);
	struct net *n = a->nl->net;
	struct in6_addr addr = addr_key(&a->peer);
	struct errbuf eb = ERRBUF_INIT;
	struct net_conn *c;

	if (a->nl->stopping || a->listener->closed) {
		close(a->fd);
		quota_release(&n->quota, &a->listener->quota, &addr);
	} else if (begin_conn(a->nl, a->listener, a->fd, &a->peer, &c, &eb) != OK)
		diag_error(n->opt.diag, "net", "a connection could not be watched: %s", eb.text);
	free(a);
	net_alive_release(n);
}

/* The socket passed the limits: it goes to the next loop in turn. */
void
net_connection_came(struct net *n, struct net_listener *l, int fd, const struct sockaddr_storage *peer, bool excess)
{
	struct arrival *a = xcalloc(1, sizeof(*a));
	unsigned i = atomic_fetch_add_explicit(&n->next_loop, 1, memory_order_relaxed) % n->opt.nloops;

	metric_add(n->opt.metrics, METRIC_connections_accepted_total, 1);
	atomic_fetch_add(&n->alive, 1);
	a->task.fn = arrive;
	a->nl = &n->loops[i];
	a->listener = l;
	a->fd = fd;
	a->peer = *peer;
	loop_post(a->nl->loop, &a->task);
	if (excess)
		trim(n, &n->loops[(i + 1) % n->opt.nloops]);
}

enum err
net_adopt(struct net *n, unsigned index, int fd, struct net_listener *l, struct net_conn **cp, struct errbuf *eb)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	struct in6_addr addr = addr_key(&peer);
	struct net_conn *c;
	enum err e;

	must(index < n->opt.nloops);
	if (l != NULL && quota_take(&n->quota, &l->quota, &addr) == QUOTA_REFUSE) {
		close(fd);
		errbuf_set(eb, "too many connections");
		return (ERR_LIMIT);
	}
	e = begin_conn(&n->loops[index], l, fd, &peer, &c, eb);
	if (e == OK && cp != NULL)
		*cp = c;
	return (e);
}

void
net_connection_gone(struct net *n, struct net_listener *l, const struct in6_addr *addr)
{
	const struct listener_set *set = listeners_of(n);

	metric_add(n->opt.metrics, METRIC_connections, -1);
	atomic_fetch_sub_explicit(&n->connections, 1, memory_order_relaxed);
	if (l == NULL)
		return;
	quota_release(&n->quota, &l->quota, addr);
	for (unsigned i = 0; i < set->n; i++)
		if (quota_wakes(&n->quota, &set->v[i]->quota))
			listener_wake(set->v[i]);
}

/* ---- memory of requests ---- */

bool
net_bytes_reserve(struct net *n, int64_t bytes)
{
	int64_t max = n->opt.queued_bytes_max;

	if (max > 0 && atomic_load(&n->request_bytes) >= max)
		return (false);
	atomic_fetch_add(&n->request_bytes, bytes);
	return (true);
}

void
net_bytes_release(struct net *n, int64_t bytes)
{
	if (bytes == 0)
		return;
	atomic_fetch_sub(&n->request_bytes, bytes);
	if (n->opt.queued_bytes_max <= 0)
		return;
	for (unsigned i = 0; i < n->opt.nloops; i++)
		if (atomic_load(&n->loops[i].parked) && !atomic_exchange(&n->loops[i].unpark_posted, true)) {
			atomic_fetch_add(&n->alive, 1);
			loop_post(n->loops[i].loop, &n->loops[i].unpark_task);
		}
}

/* Lets every parked connection try once; those refused again park again. */
static void
unpark(struct task *t)
{
	struct net_loop *nl = CONTAINER_OF(t, struct net_loop, unpark_task);
	struct net_conn *c, *last;
	bool was_last = false;

	atomic_store(&nl->unpark_posted, false);
	last = TAILQ_LAST(&nl->parked_conns, conn_list);
	while (!was_last && (c = TAILQ_FIRST(&nl->parked_conns)) != NULL) {
		was_last = c == last;
		conn_unpark(c);
	}
	if (TAILQ_EMPTY(&nl->parked_conns))
		atomic_store(&nl->parked, false);
	net_alive_release(nl->net);
}

/* ---- shutdown ---- */

void
net_alive_release(struct net *n)
{
	if (atomic_fetch_sub(&n->alive, 1) == 1)
		loop_post(n->done_loop, n->done);
}

static void
each_conn(struct net_loop *nl, void (*fn)(struct net_conn *))
{
	struct net_conn *c = TAILQ_FIRST(&nl->conns), *next;

	for (unsigned n = nl->nconns; n > 0 && c != NULL; n--, c = next) {	/* fn may move c to the back */
		next = TAILQ_NEXT(c, link);
		fn(c);
	}
}

/* ---- a listener that is removed takes its connections along ---- */

struct drop {
	struct net_loop	*nl;
	struct net_listener *listener;
};

static void
drop_run(void *ctx)
{
	struct drop *d = ctx;
	struct net *n = d->nl->net;
	struct net_conn *c = TAILQ_FIRST(&d->nl->conns), *next;

	for (unsigned i = d->nl->nconns; i > 0 && c != NULL; i--, c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->listener == d->listener)
			net_conn_close(c);
	}
	free(d);
	net_alive_release(n);
}

void
net_drop_connections(struct net_listener *l)
{
	struct net *n = l->net;

	for (unsigned i = 0; i < n->opt.nloops; i++) {
		struct drop *d = xmalloc(sizeof(*d));

		*d = (struct drop){ &n->loops[i], l };
		atomic_fetch_add(&n->alive, 1);
		loop_call(n->loops[i].loop, drop_run, d);
	}
}

static void
grace_over(struct timer *t)
{
	each_conn(CONTAINER_OF(t, struct net_loop, grace_timer), net_conn_close);
}

static void
stop_listeners(struct net_loop *nl)
{
	const struct listener_set *set = listeners_of(nl->net);

	for (unsigned i = 0; i < set->n; i++)
		if (set->v[i]->nl == nl)
			listener_stop(set->v[i]);
}

static void
loop_shut(struct task *t)
{
	struct net_loop *nl = CONTAINER_OF(t, struct net_loop, shutdown_task);

	stop_listeners(nl);
	nl->stopping = true;
	if (nl->nconns == 0) {
		nl->held = false;
		timer_cancel(nl->loop, &nl->idle_timer);
		timer_cancel(nl->loop, &nl->held_timer);
		net_alive_release(nl->net);
		return;
	}
	timer_set(nl->loop, &nl->grace_timer, nl->net->grace_ms);
	each_conn(nl, conn_stop_input);
}

static void
stop_accepting(void *ctx)
{
	struct net_loop *nl = ctx;
	struct net *n = nl->net;

	stop_listeners(nl);
	net_alive_release(n);
}

void
net_stop_accepting(struct net *n)
{
	for (unsigned i = 0; i < n->opt.nloops; i++) {
		atomic_fetch_add(&n->alive, 1);
		loop_call(n->loops[i].loop, stop_accepting, &n->loops[i]);
	}
}

void
net_shutdown(struct net *n, int64_t grace_ms, struct loop *done_loop, struct task *done)
{
	must(n->done == NULL && done != NULL);
	n->grace_ms = MAX(1, grace_ms);
	n->done_loop = done_loop;
	n->done = done;
	for (unsigned i = 0; i < n->opt.nloops; i++)
		loop_post(n->loops[i].loop, &n->loops[i].shutdown_task);
}
