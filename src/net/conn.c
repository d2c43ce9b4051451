/* SPDX-License-Identifier: Apache-2.0
 *
 * net/conn.c - see conn.h for the interface, conn_state.def for the states.
 *
 * A connection does all it can in conn_work, called when its socket is ready, when a timer of its own fires, and once at the end of a turn in
 * which a request was answered from elsewhere:
 *
 *	socket -> rx -> next -> requests (running, answered) -> out -> socket
 *
 *   receive    into rx, only while the next frame could be executed: a connection that waits for an answer reads nothing (as Kafka's
 *              muted channel), so its memory is one frame, or the pipeline's.
 *   next       one whole frame that waits because of the execution rule or a throttle; the bytes behind it stay in rx.
 *   requests   in the order received.  Whatever order they are answered in, only the oldest moves on to out.
 *
 * INVARIANTS
 *   (1) answers enter out in the order of requests, and a request is handed up only when the execution rule of conn.h allows.
 *   (2) reserved counts in net->request_bytes for the frame at the front of rx; a request counts frame_bytes there until released.
 *   (3) a dead connection has no transport, no output, no next; it is freed at the end of a turn when no request runs.
 *   (4) no handler is called for a dead connection except `abandoned` and `closed`.
 *   (5) DRAINING takes no frame any more; it dies when nothing runs and out is empty.
 *
 * Why no deadlock by memory: a connection that is refused memory for its next frame parks with what it has received; memory is held by
 * frames of requests that run or whose answers leave, and by frames whose peer is still sending (cut when idle too long).
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/net_int.h"

static void conn_work(struct net_conn *);
static void throttle_over(struct timer *);
static void prefetched(void *);
static void request_sent(struct out_message *);

static bool
transition_allowed(enum conn_state from, enum conn_state to)
{
	static const struct { enum conn_state from, to; } rows[] = {
#define CONN(from_, to_, cause)	{ CONN_##from_, CONN_##to_ },
#include "net/conn_state.def"
#undef CONN
	};

	for (size_t i = 0; i < NELEM(rows); i++)
		if (rows[i].from == from && rows[i].to == to)
			return (true);
	return (false);
}

static void
conn_set_state(struct net_conn *c, enum conn_state to)
{
	must(transition_allowed(c->state, to));
	c->state = to;
}

void
conn_at_end(struct net_conn *c)
{
	if (c->end_posted)
		return;
	c->end_posted = true;
	loop_at_end(c->nl->loop, &c->end);
}

/* ---- life ---- */

struct net_conn *
conn_new(struct net_loop *nl, struct net_listener *l, struct transport *t, const struct sockaddr_storage *peer)
{
	struct net_conn *c = xcalloc(1, sizeof(*c));
	struct outq_options oo = { .loop = nl->loop, .workers = nl->net->opt.workers, .scratch = nl->scratch,
	    .scratch_size = SCRATCH_BYTES, .ready = prefetched, .ctx = c };

	c->magic.value = CONN_MAGIC;
	c->net = nl->net;
	c->nl = nl;
	c->listener = l;
	c->transport = t;
	c->state = CONN_HANDSHAKE;
	c->doing = "handshake";
	c->end.fn = conn_end;
	watch_init(&c->watch, t->fd, conn_event);
	timer_init(&c->throttle, throttle_over);
	rxbuf_init(&c->rx);
	TAILQ_INIT(&c->requests);
	outq_init(&c->out, &oo);
	c->addr = addr_key(peer);
	addr_text(peer, c->peer_host);
	c->peer_port = addr_port(peer);
	return (c);
}

static void
conn_free(struct net_conn *c)
{
	must(c->state == CONN_DEAD && c->running == 0 && TAILQ_EMPTY(&c->requests) && c->next == NULL);
	must(!c->end_posted && !c->parked && !c->is_short && c->held == 0 && c->unsent_held == 0);
	if (c->opened && c->net->opt.handler.closed != NULL)
		c->net->opt.handler.closed(c->net->opt.handler.ctx, c);
	rxbuf_fini(&c->rx);
	net_loop_remove(c->nl, c);
	if (c->travels)
		net_alive_release(c->net);
	c->magic.value = 0;
	free(c);
}

/* What it holds now.  Only while its arena is this loop's: when it is decoded, when its frame is given back, when it is answered. */
static void
request_count(struct net_request *r)
{
	held_set(r->conn, &r->held, r->frame_bytes + r->arena.used);
}

static void
request_free(struct net_request *r)
{
	struct net_loop *nl = r->conn->nl;

	net_request_release_bytes(r);
	held_set(r->conn, &r->held, 0);
	if (nl->nspare < SPARE_REQUESTS) {
		arena_reset(&r->arena);
		TAILQ_INSERT_HEAD(&nl->spare_requests, r, link);
		nl->nspare++;
		return;
	}
	arena_fini(&r->arena);
	free(r);
}

void
conn_free_spare(struct net_loop *nl)
{
	struct net_request *r;

	while ((r = TAILQ_FIRST(&nl->spare_requests)) != NULL) {
		TAILQ_REMOVE(&nl->spare_requests, r, link);
		arena_fini(&r->arena);
		free(r);
	}
	nl->nspare = 0;
}

/* All zero, but for the memory that its arena may have. */
static struct net_request *
request_get(struct net_loop *nl, size_t cap)
{
	struct net_request *r = TAILQ_FIRST(&nl->spare_requests);
	struct arena arena;

	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		arena_init(&r->arena, cap);
		return (r);
	}
	TAILQ_REMOVE(&nl->spare_requests, r, link);
	nl->nspare--;
	arena = r->arena;
	*r = (struct net_request){ .arena = arena };
	r->arena.cap = cap;
	return (r);
}

static void
conn_leave_parked(struct net_conn *c)
{
	if (c->parked)
		TAILQ_REMOVE(&c->nl->parked_conns, c, parked_link);
	c->parked = false;
}

static void
drop_next(struct net_conn *c)
{
	if (c->next == NULL)
		return;
	atomic_fetch_sub_explicit(&c->net->queued_requests, 1, memory_order_relaxed);
	request_free(c->next);
	c->next = NULL;
}

static void
count_received(struct net_conn *c)
{
	held_set(c, &c->held_rx, c->rx.block == NULL ? 0 : c->rx.block->size);
}

/* What was received and not handed up. */
static void
drop_input(struct net_conn *c)
{
	conn_leave_parked(c);
	drop_next(c);
	net_bytes_release(c->net, c->reserved);
	c->reserved = 0;
	c->admitted = false;
	rxbuf_fini(&c->rx);
	count_received(c);
	held_short(c, false);
}

/* Everything but the requests that still run. */
static void
drop_queues(struct net_conn *c)
{
	struct net_request *r = TAILQ_FIRST(&c->requests), *next;

	drop_input(c);
	for (; r != NULL; r = next) {
		next = TAILQ_NEXT(r, link);
		if (r->state != NET_REQUEST_ANSWERED)
			continue;
		TAILQ_REMOVE(&c->requests, r, link);
		chain_fini(&r->out.chain);
		request_free(r);
	}
	outq_fini(&c->out);
}

static struct net_request *
next_untold(struct net_conn *c)
{
	struct net_request *r;

	TAILQ_FOREACH(r, &c->requests, link)
		if (!r->told)
			return (r);
	return (NULL);
}

/* The handler may answer this request, and others, from inside. */
static void
tell_running(struct net_conn *c)
{
	struct net_request *r;

	if (c->net->opt.handler.abandoned == NULL)
		return;
	while ((r = next_untold(c)) != NULL) {
		r->told = true;
		c->net->opt.handler.abandoned(c->net->opt.handler.ctx, r);
	}
}

void
net_conn_close(struct net_conn *c)
{
	MAGIC_OK(c, CONN_MAGIC);
	if (c->state == CONN_DEAD)
		return;
	conn_set_state(c, CONN_DEAD);
	watch_remove(c->nl->loop, &c->watch);
	timer_cancel(c->nl->loop, &c->throttle);
	drop_queues(c);
	transport_close(&c->transport);
	net_connection_gone(c->net, c->listener, &c->addr);
	conn_at_end(c);
}

static void
conn_fail(struct net_conn *c, enum diag_level level, const char *why)
{
	if (diag_enabled(c->net->opt.diag, level))
		diag_line(c->net->opt.diag, level, "net", "connection from %s:%u on listener %s: %s: %s", c->peer_host, c->peer_port,
		    c->listener == NULL ? "-" : net_listener_name(c->listener), c->doing, why);
	net_conn_close(c);
}

/* No frame is taken any more; what was handed up is answered. */
static void
conn_drain(struct net_conn *c)
{
	if (c->state == CONN_HANDSHAKE) {
		net_conn_close(c);
		return;
	}
	if (c->state != CONN_READY)
		return;
	conn_set_state(c, CONN_DRAINING);
	drop_input(c);
}

void
conn_stop_input(struct net_conn *c)
{
	conn_drain(c);
	conn_work(c);
}

void
conn_end(struct task *t)
{
	struct net_conn *c = CONTAINER_OF(t, struct net_conn, end);

	if (c->state != CONN_DEAD)
		conn_work(c);
	c->end_posted = false;		/* what conn_work asks for is done here */
	if (c->state != CONN_DEAD) {
		conn_move_if_still(c);
		return;
	}
	tell_running(c);
	if (c->running == 0 && !c->end_posted)
		conn_free(c);
}

/* ---- answers ---- */

/* A request asked for a close, and it is the oldest: what runs behind it is for nobody, what left before it is still sent. */
static void
close_behind(struct net_conn *c)
{
	conn_drain(c);
	c->close_asked = true;
}

/* Moves answered requests from the front of `requests` to the output. */
static void
advance(struct net_conn *c)
{
	struct net_request *r;

	while ((r = TAILQ_FIRST(&c->requests)) != NULL && r->state == NET_REQUEST_ANSWERED) {
		TAILQ_REMOVE(&c->requests, r, link);
		if (r->answer == NET_ANSWER_SEND && !c->close_asked) {
			c->unsent_held += r->held;
			outq_add(&c->out, &r->out);
			continue;
		}
		if (r->answer == NET_ANSWER_CLOSE)
			close_behind(c);
		chain_fini(&r->out.chain);
		request_free(r);
	}
}

static void
request_answered(struct net_request *r, enum net_answer a)
{
	struct net_conn *c = r->conn;

	MAGIC_OK(c, CONN_MAGIC);
	must(r->state == NET_REQUEST_RUNNING);
	r->state = NET_REQUEST_ANSWERED;
	r->answer = a;
	request_count(r);
	c->running--;
	c->running_bytes -= r->frame_bytes;
	if (!r->allow_next)
		c->blocking--;
	if (c->state == CONN_DEAD) {
		TAILQ_REMOVE(&c->requests, r, link);
		chain_fini(&r->out.chain);
		request_free(r);
	}
	if (!c->working)
		conn_at_end(c);
}

void
net_reply(struct net_request *r, struct chain *answer)
{
	chain_append(&r->out.chain, answer);
	request_answered(r, NET_ANSWER_SEND);
}

void
net_no_reply(struct net_request *r)
{
	request_answered(r, NET_ANSWER_SILENT);
}

void
net_close_after(struct net_request *r)
{
	request_answered(r, NET_ANSWER_CLOSE);
}

static void
request_sent(struct out_message *m)
{
	struct net_request *r = CONTAINER_OF(m, struct net_request, out);

	must(r->conn->unsent_held >= r->held);
	r->conn->unsent_held -= r->held;
	held_done(r->conn);
	request_free(r);
}

/* ---- running requests ---- */

void
net_request_allow_next(struct net_request *r)
{
	must(r->state == NET_REQUEST_RUNNING);
	if (r->allow_next)
		return;
	r->allow_next = true;
	r->conn->blocking--;
	if (!r->conn->working)
		conn_at_end(r->conn);
}

void
net_request_release_bytes(struct net_request *r)
{
	if (r->state == NET_REQUEST_RUNNING)
		r->conn->running_bytes -= r->frame_bytes;
	net_bytes_release(r->conn->net, (int64_t)r->frame_bytes);
	r->frame_bytes = 0;
	r->frame = SLICE_NULL;
	rxblock_unref(&r->block);
	if (r->state == NET_REQUEST_RUNNING)
		request_count(r);
}

void
net_request_decoded(struct net_request *r)
{
	must(r->state == NET_REQUEST_RUNNING);
	request_count(r);
}

bool
net_request_is_dead(const struct net_request *r)
{
	return (r->conn->state == CONN_DEAD);
}

struct loop *
net_request_loop(const struct net_request *r)
{
	return (r->conn->nl->loop);
}

/* ---- execution ---- */

/* May one more request of `bytes` run beside those that do?  Its kind is may_pipeline's question. */
static bool
pipeline_room(const struct net_conn *c, size_t bytes)
{
	if (c->running == 0)
		return (true);
	return (c->blocking == 0 && c->running < LIMIT_PIPELINE_REQUESTS_MAX && c->running_bytes + bytes <= LIMIT_PIPELINE_BYTES_MAX);
}

static bool
may_take_work(const struct net_conn *c)
{
	return (c->state == CONN_READY && !c->throttled && outq_bytes(&c->out) <= LIMIT_UNSENT_BYTES_MAX && c->unsent_held <= LIMIT_UNSENT_BYTES_MAX);
}

static bool
may_execute(struct net_conn *c, const struct net_request *r)
{
	const struct net_handler *h = &c->net->opt.handler;

	if (!may_take_work(c) || !pipeline_room(c, r->frame_bytes))
		return (false);
	return (c->running == 0 || (h->may_pipeline != NULL && h->may_pipeline(h->ctx, c, r->frame)));
}

static void
execute(struct net_conn *c, struct net_request *r)
{
	const struct net_handler *h = &c->net->opt.handler;

	atomic_fetch_sub_explicit(&c->net->queued_requests, 1, memory_order_relaxed);
	metric_add(c->net->opt.metrics, METRIC_requests_total, 1);
	c->next = NULL;
	if (c->lazy > 0)
		c->lazy--;
	c->executed++;
	TAILQ_INSERT_TAIL(&c->requests, r, link);
	r->state = NET_REQUEST_RUNNING;
	c->running++;
	c->blocking++;
	c->running_bytes += r->frame_bytes;
	held_done(c);
	h->request(h->ctx, r);		/* the arena may be another thread's by now */
}

static size_t
arena_cap(size_t frame)
{
	return (MAX((size_t)LIMIT_ARENA_FLOOR, MIN(frame, LIMIT_REQUEST_ARENA_MAX / LIMIT_ARENA_FACTOR) * LIMIT_ARENA_FACTOR));
}

static struct net_request *
request_new(struct net_conn *c)
{
	size_t len = rxbuf_peek(&c->rx).len;
	struct net_request *r = request_get(c->nl, arena_cap(len));

	r->conn = c;
	r->frame = rxbuf_take(&c->rx, &r->block);
	r->frame_bytes = len;
	must((int64_t)r->frame_bytes == c->reserved);
	c->reserved = 0;			/* counted by the request from here on */
	request_count(r);
	r->received_ns = clock_mono_ns(loop_clock(c->nl->loop));
	chain_init(&r->out.chain);
	r->out.sent = request_sent;
	return (r);
}

static void
park(struct net_conn *c)
{
	if (c->parked)
		return;
	c->parked = true;
	TAILQ_INSERT_TAIL(&c->nl->parked_conns, c, parked_link);
	atomic_store(&c->nl->parked, true);
}

/* Looks at the length at the front of rx: bad, or memory is reserved for it, or the connection parks.  true: the frame may be received. */
static bool
admit_frame(struct net_conn *c)
{
	int32_t len;

	if (c->admitted || !rxbuf_announced(&c->rx, &len))
		return (!c->parked);
	if (len < 0 || len > c->net->opt.request_bytes_max) {
		metric_add(c->net->opt.metrics, METRIC_requests_malformed_total, 1);
		diag_warning(c->net->opt.diag, "net", "connection from %s:%u: a frame of %d bytes (socket.request.max.bytes is %d): closed",
		    c->peer_host, c->peer_port, (int)len, (int)c->net->opt.request_bytes_max);
		conn_drain(c);
		return (false);
	}
	if (!net_bytes_reserve(c->net, len)) {
		park(c);
		/* Memory may have been freed between the refusal and the flag: then nobody would wake us. */
		if (!net_bytes_reserve(c->net, len))
			return (false);
		conn_leave_parked(c);
	}
	c->reserved = len;
	c->admitted = true;
	return (true);
}

/* The next whole frame becomes `next`.  false: there is none, or it may not be taken now. */
static bool
take_frame(struct net_conn *c)
{
	if (c->next != NULL)
		return (true);
	if (c->state != CONN_READY || !admit_frame(c) || !rxbuf_has_frame(&c->rx))
		return (false);
	c->next = request_new(c);
	c->admitted = false;
	atomic_fetch_add_explicit(&c->net->queued_requests, 1, memory_order_relaxed);
	return (true);
}

static void
run_requests(struct net_conn *c)
{
	advance(c);
	while (may_take_work(c) && take_frame(c) && may_execute(c, c->next)) {
		execute(c, c->next);
		if (c->state == CONN_DEAD)
			return;
		advance(c);
	}
}

/* ---- receiving ---- */

/* There is room for a request, and none in memory for more of it. */
static bool
lacks_memory(const struct net_conn *c)
{
	return (c->next == NULL && !c->parked && may_take_work(c) && !rxbuf_has_frame(&c->rx) && !held_may_grow(c));
}

/* Reading ahead of an unanswered request is only worth it when the frame could be executed, and only while few frames wait broker-wide. */
static bool
may_receive(const struct net_conn *c)
{
	if (c->next != NULL || c->parked || !may_take_work(c) || rxbuf_has_frame(&c->rx) || !held_may_grow(c))
		return (false);
	if (c->running == 0)
		return (true);
	if (c->net->opt.queued_requests_max > 0 &&
	    atomic_load_explicit(&c->net->queued_requests, memory_order_relaxed) >= c->net->opt.queued_requests_max)
		return (false);
	return (pipeline_room(c, 0));
}

/* Who lacks memory for the rest is among them: it may be what the others wait for, and they what it waits for. */
bool
conn_awaits_bytes(const struct net_conn *c)
{
	return (rxbuf_unparsed(&c->rx) > 0 && (c->is_short || may_receive(c)));
}

static void
received(struct net_conn *c, size_t n)
{
	rxbuf_received(&c->rx, n);
	count_received(c);
	held_moved(c, n);
	metric_add(c->net->opt.metrics, METRIC_received_bytes_total, (int64_t)n);
	net_loop_touch(c->nl, c);
}

static void
receive_ended(struct net_conn *c, enum net_io io, int errnum)
{
	char why[128];

	if (io == NET_IO_EOF)
		conn_drain(c);		/* no whole frame waits: all that came was handed up (may_receive) */
	else if (io == NET_IO_ERROR)
		conn_fail(c, DIAG_DEBUG, strerror_r(errnum, why, sizeof(why)));
	else
		c->want_write_to_receive = io == NET_IO_WANT_WRITE;
}

/* One recv; true: bytes came, and more may be there. */
static bool
receive_once(struct net_conn *c, size_t *total)
{
	size_t room, n = 0;
	uint8_t *p = rxbuf_room(&c->rx, &c->nl->rx_spare, &room);
	int errnum = 0;
	enum net_io io = c->transport->ops->recv(c->transport, p, room, &n, &errnum);

	if (io != NET_IO_OK) {
		receive_ended(c, io, errnum);
		return (false);
	}
	c->want_write_to_receive = false;
	received(c, n);
	*total += n;
	return (n == room && *total < LIMIT_RECEIVE_PER_TURN);
}

static void
receive(struct net_conn *c)
{
	uint64_t stop = c->executed + LIMIT_REQUESTS_PER_TURN;
	size_t total = 0;

	c->doing = "receiving";
	while (may_receive(c) && c->executed < stop) {
		bool more = receive_once(c, &total);

		if (c->state != CONN_READY)
			break;
		run_requests(c);
		if (!more || c->state != CONN_READY)
			break;
	}
	if (c->state == CONN_READY)
		rxbuf_trim(&c->rx, &c->nl->rx_spare);
	count_received(c);
}

/* ---- sending ---- */

static void
flush(struct net_conn *c)
{
	struct errbuf eb = ERRBUF_INIT;
	uint64_t sent = 0;
	enum outq_result r;

	if (TAILQ_EMPTY(&c->out.messages))
		return;
	c->doing = "sending";
	r = outq_flush(&c->out, c->transport, LIMIT_SEND_BYTES_PER_TURN, &sent, &eb);
	c->fetching = r == OUTQ_FETCHING;
	c->send_blocked = r == OUTQ_BLOCKED;
	c->send_more = r == OUTQ_MORE;
	if (sent > 0) {
		metric_add(c->net->opt.metrics, METRIC_sent_bytes_total, (int64_t)sent);
		held_moved(c, sent);
		net_loop_touch(c->nl, c);
	}
	if (r == OUTQ_ERROR)
		conn_fail(c, c->out.file_ended ? DIAG_WARNING : DIAG_DEBUG, eb.text);
}

static void
prefetched(void *ctx)
{
	struct net_conn *c = ctx;

	c->fetching = false;
	conn_work(c);
}

/* ---- all of it ---- */

static unsigned
wanted(const struct net_conn *c)
{
	unsigned want = 0;

	if (c->state == CONN_HANDSHAKE)
		return (c->want_write_to_receive ? WATCH_WRITE : WATCH_READ);
	if (may_receive(c))
		want |= c->want_write_to_receive ? WATCH_WRITE : WATCH_READ;
	if (c->send_blocked || c->send_more)
		want |= WATCH_WRITE;
	return (want);
}

/* Interest in reading is only taken back when an event came that could not be used (unused): most connections are answered before the
 * peer sends again, and would otherwise cost two system calls per request. */
static void
set_interest(struct net_conn *c, unsigned unused)
{
	unsigned want = wanted(c);

	if ((c->watch.want & WATCH_READ) && !(unused & WATCH_READ))
		want |= WATCH_READ;
	if (want != c->watch.want)
		watch_want(c->nl->loop, &c->watch, want);
}

/* A half frame is somebody's who hurries. */
static void
set_lazy(struct net_conn *c)
{
	bool lazy = c->lazy > 0 && c->rx.block == NULL;

	if (c->running == 0 && lazy != c->watch.lazy)
		watch_lazy(c->nl->loop, &c->watch, lazy);
}

static bool
drained(const struct net_conn *c)
{
	if (c->state != CONN_DRAINING || !TAILQ_EMPTY(&c->out.messages))
		return (false);
	return (c->close_asked || TAILQ_EMPTY(&c->requests));
}

static void
conn_work_unused(struct net_conn *c, unsigned unused)
{
	if (c->working || c->state == CONN_DEAD || c->state == CONN_HANDSHAKE)
		return;
	c->working = true;
	do {
		run_requests(c);
		if (c->state != CONN_DEAD && !c->fetching)
			flush(c);
	} while (c->state == CONN_READY && take_frame(c) && may_execute(c, c->next));
	c->working = false;
	if (drained(c))
		net_conn_close(c);
	if (c->state == CONN_DEAD)
		return;
	held_short(c, lacks_memory(c));
	set_interest(c, unused);
	set_lazy(c);
	if (c->moves && conn_stands_still(c))
		conn_at_end(c);
}

static void
conn_work(struct net_conn *c)
{
	conn_work_unused(c, 0);
}

static void
handshake(struct net_conn *c)
{
	int errnum = 0;
	enum net_io io = c->transport->ops->handshake(c->transport, &errnum);
	char why[128];

	if (io == NET_IO_OK) {
		conn_set_state(c, CONN_READY);
		c->want_write_to_receive = false;
		c->opened = true;
		if (c->net->opt.handler.opened != NULL)
			c->net->opt.handler.opened(c->net->opt.handler.ctx, c);
	} else if (io == NET_IO_ERROR || io == NET_IO_EOF)
		conn_fail(c, DIAG_WARNING, io == NET_IO_EOF ? "the peer went away" : strerror_r(errnum, why, sizeof(why)));
	else
		c->want_write_to_receive = io == NET_IO_WANT_WRITE;
}

enum err
conn_start(struct net_conn *c, struct errbuf *eb)
{
	enum err e = watch_add(c->nl->loop, &c->watch, WATCH_READ, eb);

	if (e != OK)
		return (e);
	handshake(c);
	if (c->state != CONN_DEAD)
		set_interest(c, 0);
	return (OK);
}

void
conn_event(struct watch *w, unsigned ready)
{
	struct net_conn *c = CONTAINER_OF(w, struct net_conn, watch);

	if (c->state == CONN_HANDSHAKE)
		handshake(c);
	if (c->state == CONN_HANDSHAKE)
		set_interest(c, ready);
	if (c->state == CONN_HANDSHAKE || c->state == CONN_DEAD)
		return;
	if (may_receive(c)) {
		c->working = true;
		receive(c);
		c->working = false;
		ready &= ~(unsigned)WATCH_READ;
	} else if (ready & WATCH_CLOSED)	/* nobody is left to answer, and nothing may be read that would tell */
		conn_fail(c, DIAG_DEBUG, "the peer went away");
	conn_work_unused(c, ready);
}

void
conn_retry(struct net_conn *c)
{
	conn_work(c);
}

void
conn_unpark(struct net_conn *c)
{
	conn_leave_parked(c);
	conn_work(c);
}

/* ---- the handler's view ---- */

static void
throttle_over(struct timer *t)
{
	struct net_conn *c = CONTAINER_OF(t, struct net_conn, throttle);

	c->throttled = false;
	conn_work(c);
}

void
net_throttle(struct net_conn *c, int64_t ms)
{
	int64_t until = loop_now_ms(c->nl->loop) + ms;

	if (ms <= 0 || c->state == CONN_DEAD || (c->throttled && until <= c->throttled_until_ms))
		return;
	c->throttled = true;
	c->throttled_until_ms = until;
	timer_set(c->nl->loop, &c->throttle, ms);
}

void
net_conn_lazy(struct net_conn *c)
{
	c->lazy = LAZY_REQUESTS;
}

struct loop *
net_conn_loop(const struct net_conn *c)
{
	return (c->nl->loop);
}

unsigned
net_conn_loop_index(const struct net_conn *c)
{
	return (c->nl->index);
}

const struct net_listener *
net_conn_listener(const struct net_conn *c)
{
	return (c->listener);
}

const char *
net_conn_peer_host(const struct net_conn *c)
{
	return (c->peer_host);
}

unsigned
net_conn_peer_port(const struct net_conn *c)
{
	return (c->peer_port);
}

void *
net_conn_data(const struct net_conn *c)
{
	return (c->data);
}

void
net_conn_set_data(struct net_conn *c, void *data)
{
	c->data = data;
}

void
conn_check(const struct net_conn *c)
{
	const struct net_request *r;
	unsigned running = 0, blocking = 0;
	size_t bytes = 0;

	MAGIC_OK(c, CONN_MAGIC);
	TAILQ_FOREACH(r, &c->requests, link)
		if (r->state == NET_REQUEST_RUNNING) {
			running++;
			blocking += r->allow_next ? 0 : 1;
			bytes += r->frame_bytes;
		}
	must(running == c->running && blocking == c->blocking && bytes == c->running_bytes);
	rxbuf_check(&c->rx);
	outq_check(&c->out);
	must(c->state != CONN_DEAD || (c->transport == NULL && c->next == NULL && TAILQ_EMPTY(&c->out.messages)));
}
