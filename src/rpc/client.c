/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/client.c - see client.h for the contract.
 *
 *	HANDSHAKE --(transport connected)--> NEGOTIATING --(ApiVersions understood)--> READY --> CLOSED
 *	     |                                    |                                      |
 *	     +------------------------------------+------- any failure -----------------+
 *
 * INVARIANTS
 *   (1) `calls` holds the calls without answer in the order of their correlation ids; only a call that has left entirely may be answered.
 *   (2) after CLOSED there are no calls, no watch, no timer and no transport.
 *   (3) callbacks are made with `busy` raised; rpc_free inside one leaves the freeing to whoever lowers it last.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/kerr.h"
#include "base/limits.h"
#include "base/must.h"
#include "rpc/client.h"

enum rpc_state { RPC_HANDSHAKE, RPC_NEGOTIATING, RPC_READY, RPC_CLOSED };

enum {
	OUR_API_VERSIONS = 3,		/* version 4 says nothing that we want to know */
	REQUEST_ARENA_MAX = INT32_MAX,	/* our own requests: what the wire can carry */
	API_KEYS = 128,
	WITH_THE_CONNECTION = -1,	/* time-out of a call: only that of getting ready */
	BYTES_PER_TURN = LIMIT_RECEIVE_PER_TURN
};

struct rpc_client {
	struct rpc_options opt;
	char		*client_id;
	enum rpc_state	 state;
	struct transport *transport;
	struct watch	 watch;
	struct timer	 timer;			/* until ready */
	struct rxbuf	 rx;
	struct outq	 outq;
	TAILQ_HEAD(, rpc_call) calls;
	int32_t		 next_correlation_id;
	struct rpc_call	 hello;
	struct { int16_t min, max; } versions[API_KEYS];	/* max < min: not there */
	enum err	 err;
	struct errbuf	 why;
	unsigned	 busy;
	bool		 freed;
};

static void rpc_event(struct watch *, unsigned ready);
static void rpc_too_late(struct timer *);
static void negotiate(struct rpc_client *, int version);

/* ---- life ---- */

static void
client_destroy(struct rpc_client *c)
{
	free(c->client_id);
	free(c);
}

static void
busy_end(struct rpc_client *c)
{
	must(c->busy > 0);
	if (--c->busy == 0 && c->freed)
		client_destroy(c);
}

static void
versions_assume(struct rpc_client *c)
{
	for (size_t i = 0; i < NELEM(c->versions); i++) {
		const struct wire_api *api = wire_api((int)i);

		c->versions[i].min = api == NULL ? 0 : api->min;
		c->versions[i].max = api == NULL ? -1 : api->max;
	}
}

enum err
rpc_adopt(const struct rpc_options *opt, struct transport **t, struct rpc_client **cp, struct errbuf *eb)
{
	struct rpc_client *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->opt = *opt;
	c->client_id = xstrdup(opt->client_id);
	if (c->opt.response_bytes_max == 0)
		c->opt.response_bytes_max = LIMIT_RESPONSE_BYTES_MAX;
	c->transport = *t;
	*t = NULL;
	TAILQ_INIT(&c->calls);
	rxbuf_init(&c->rx);
	outq_init(&c->outq, &(struct outq_options){ .loop = opt->loop });
	rpc_call_init(&c->hello);
	versions_assume(c);
	watch_init(&c->watch, c->transport->fd, rpc_event);
	timer_init(&c->timer, rpc_too_late);
	e = watch_add(opt->loop, &c->watch, WATCH_READ | WATCH_WRITE, eb);
	if (e != OK) {
		transport_close(&c->transport);
		client_destroy(c);
		return (e);
	}
	timer_set(opt->loop, &c->timer, opt->connect_timeout_ms);
	*cp = c;
	return (OK);
}

enum err
rpc_dial(const struct rpc_options *opt, const struct sockaddr_storage *ss, socklen_t len, struct rpc_client **cp, struct errbuf *eb)
{
	struct transport *t;
	enum err e = transport_tcp_dial(ss, len, &t, eb);

	return (e != OK ? e : rpc_adopt(opt, &t, cp, eb));
}

static void
call_done(struct rpc_call *call, enum err e, const char *why)
{
	TAILQ_REMOVE(&call->client->calls, call, link);
	timer_cancel(call->client->opt.loop, &call->timer);
	call->client = NULL;
	call->is_done = true;
	call->err = e;
	if (e != OK)
		errbuf_set(&call->why, "%s", why);
	if (call->done != NULL)
		call->done(call);
}

/* Everything that holds memory or the descriptor, but for the calls. */
static void
disconnect(struct rpc_client *c)
{
	c->state = RPC_CLOSED;
	watch_remove(c->opt.loop, &c->watch);
	timer_cancel(c->opt.loop, &c->timer);
	transport_close(&c->transport);
	outq_fini(&c->outq);
	rxbuf_fini(&c->rx);
}

static void
calls_end(struct rpc_client *c, enum err e, const char *why)
{
	struct rpc_call *call;

	while ((call = TAILQ_FIRST(&c->calls)) != NULL)
		call_done(call, e, why);
	rpc_call_fini(&c->hello);
}

/* The end of a connection.  `late` has another error than its companions. */
static void
fail(struct rpc_client *c, enum err e, struct rpc_call *late, const char *why)
{
	if (c->state == RPC_CLOSED)
		return;
	disconnect(c);
	c->err = e;
	errbuf_set(&c->why, "%s", why);
	c->busy++;
	if (late != NULL)
		call_done(late, e, c->why.text);
	calls_end(c, e == ERR_TIMEOUT ? ERR_CLOSED : e, c->why.text);
	if (!c->freed && c->opt.closed != NULL)
		c->opt.closed(c->opt.ctx, e, c->why.text);
	busy_end(c);
}

void
rpc_free(struct rpc_client **cp)
{
	struct rpc_client *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	must(!c->freed);
	c->freed = true;
	c->busy++;
	if (c->state != RPC_CLOSED) {
		disconnect(c);
		c->err = ERR_STOPPED;
	}
	calls_end(c, ERR_STOPPED, "the connection was given up");
	busy_end(c);
}

bool
rpc_is_ready(const struct rpc_client *c)
{
	return (c->state == RPC_READY);
}

bool
rpc_is_closed(const struct rpc_client *c)
{
	return (c->state == RPC_CLOSED);
}

enum err
rpc_why(const struct rpc_client *c, struct errbuf *eb)
{
	if (c->state != RPC_CLOSED)
		return (OK);
	errbuf_set(eb, "%s", c->why.text);
	return (c->err);
}

static void
rpc_too_late(struct timer *t)
{
	struct rpc_client *c = CONTAINER_OF(t, struct rpc_client, timer);
	struct errbuf eb = ERRBUF_INIT;

	errbuf_set(&eb, c->state == RPC_HANDSHAKE ? "no connection within %" PRId64 " ms" : "connected, but no answer to ApiVersions within %" PRId64 " ms",
	    c->opt.connect_timeout_ms);
	fail(c, ERR_TIMEOUT, NULL, eb.text);
}

/* ---- versions ---- */

int
rpc_version(const struct rpc_client *c, enum api_key key, int min, int max)
{
	const struct wire_api *api = wire_api((int)key);

	if (api == NULL || (size_t)key >= NELEM(c->versions))
		return (-1);
	min = MAX(MAX(min, (int)c->versions[key].min), (int)api->min);
	max = MIN(MIN(max, (int)c->versions[key].max), (int)api->max);
	return (max < min ? -1 : max);
}

static void
become_ready(struct rpc_client *c)
{
	c->state = RPC_READY;
	timer_cancel(c->opt.loop, &c->timer);
	if (c->opt.ready != NULL)
		c->opt.ready(c->opt.ctx);
}

static void
versions_take(struct rpc_client *c, const struct wire_api_versions_response *r)
{
	for (size_t i = 0; i < NELEM(c->versions); i++)
		c->versions[i].max = -1;
	for (int32_t i = 0; i < r->api_keys.n; i++) {
		const struct wire_api_versions_response_api_version *v = &r->api_keys.v[i];

		if (v->api_key >= 0 && (size_t)v->api_key < NELEM(c->versions)) {
			c->versions[v->api_key].min = v->min_version;
			c->versions[v->api_key].max = v->max_version;
		}
	}
}

/* UNSUPPORTED_VERSION comes with the versions that would do, from brokers that know them; else the first one does. */
static int
version_that_would_do(const struct wire_api_versions_response *r, int tried)
{
	for (int32_t i = 0; i < r->api_keys.n; i++)
		if (r->api_keys.v[i].api_key == API_API_VERSIONS && r->api_keys.v[i].min_version <= r->api_keys.v[i].max_version)
			return (MAX(MIN(r->api_keys.v[i].max_version, tried - 1), 0));
	return (0);
}

static void
hello_done(struct rpc_call *hello)
{
	struct rpc_client *c = hello->ctx;
	const struct wire_api_versions_response *r = hello->response;
	struct errbuf eb = ERRBUF_INIT;
	int tried = hello->version, next;

	if (hello->err != OK || c->state != RPC_NEGOTIATING)
		return;
	if (r->error_code == KERR_UNSUPPORTED_VERSION && tried > 0) {
		next = version_that_would_do(r, tried);
		rpc_call_fini(hello);
		negotiate(c, next);
		return;
	}
	if (r->error_code != KERR_NONE) {
		errbuf_set(&eb, "ApiVersions was answered with %s", kerr_name((enum kerr)r->error_code));
		fail(c, ERR_UNSUPPORTED, NULL, eb.text);
		return;
	}
	versions_take(c, r);
	rpc_call_fini(hello);
	become_ready(c);
}

static enum err
call_start(struct rpc_client *c, struct rpc_call *call, const struct wire_api *api, int version, void *request, int64_t timeout_ms, struct errbuf *eb);

static void
negotiate(struct rpc_client *c, int version)
{
	struct wire_api_versions_request r = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	c->state = RPC_NEGOTIATING;
	r.client_software_name = SLICE_LIT("ottla");
	r.client_software_version = SLICE_LIT(PACKAGE_VERSION);
	rpc_call_init(&c->hello);
	c->hello.ctx = c;
	c->hello.done = hello_done;
	e = call_start(c, &c->hello, wire_api(API_API_VERSIONS), version, &r, WITH_THE_CONNECTION, &eb);
	if (e != OK)
		fail(c, e, NULL, eb.text);
}

/* ---- calls ---- */

void
rpc_call_init(struct rpc_call *call)
{
	memset(call, 0, sizeof(*call));
	chain_init(&call->out.chain);
	arena_init(&call->arena, REQUEST_ARENA_MAX);
}

void
rpc_call_fini(struct rpc_call *call)
{
	must(call->client == NULL);
	arena_fini(&call->arena);
	rxblock_unref(&call->block);
	call->response = NULL;
}

static void
call_sent(struct out_message *m)
{
	CONTAINER_OF(m, struct rpc_call, out)->sent = true;
}

static void
call_too_late(struct timer *t)
{
	struct rpc_call *call = CONTAINER_OF(t, struct rpc_call, timer);
	struct errbuf eb = ERRBUF_INIT;

	errbuf_set(&eb, "%s was not answered in time", call->api->name);
	fail(call->client, ERR_TIMEOUT, call, eb.text);
}

static enum err
call_start(struct rpc_client *c, struct rpc_call *call, const struct wire_api *api, int version, void *request, int64_t timeout_ms, struct errbuf *eb)
{
	enum err e;

	call->api = api;
	call->version = version;
	call->correlation_id = c->next_correlation_id;
	e = wire_request_frame(api, version, call->correlation_id, slice_str(c->client_id), request, &call->arena, &call->out.chain, eb);
	if (e != OK)
		return (e);
	c->next_correlation_id = c->next_correlation_id == INT32_MAX ? 0 : c->next_correlation_id + 1;
	call->client = c;
	call->out.sent = call_sent;
	timer_init(&call->timer, call_too_late);
	if (timeout_ms != WITH_THE_CONNECTION)
		timer_set(c->opt.loop, &call->timer, timeout_ms);
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	outq_add(&c->outq, &call->out);
	watch_want(c->opt.loop, &c->watch, WATCH_READ | WATCH_WRITE);
	return (OK);
}

enum err
rpc_send(struct rpc_client *c, struct rpc_call *call, enum api_key key, int version, void *request, int64_t timeout_ms, struct errbuf *eb)
{
	const struct wire_api *api = wire_api((int)key);

	must(api != NULL && call->client == NULL && !call->is_done && timeout_ms >= 0);
	if (c->state != RPC_READY) {
		errbuf_set(eb, "%s", c->state == RPC_CLOSED ? c->why.text : "not connected yet");
		return (ERR_CLOSED);
	}
	if (rpc_version(c, key, version, version) != version) {
		errbuf_set(eb, "this broker does not speak version %d of %s", version, api->name);
		return (ERR_UNSUPPORTED);
	}
	return (call_start(c, call, api, version, request, timeout_ms, eb));
}

/* ---- what arrives ---- */

/* Bytes of other protocols, for people who took the wrong port. */
static const char *
stranger(uint32_t announced)
{
	if (announced >> 16 == 0x1503 || announced >> 16 == 0x1603)
		return (": it speaks TLS, which this program does not yet");
	if (announced == 0x48545450)
		return (": it speaks HTTP");
	return (": it is no Kafka broker");
}

static bool
length_ok(struct rpc_client *c)
{
	struct errbuf eb = ERRBUF_INIT;
	int32_t len;

	if (!rxbuf_announced(&c->rx, &len) || (len >= 4 && (uint32_t)len <= c->opt.response_bytes_max))
		return (true);
	errbuf_set(&eb, "an answer of %" PRIu32 " bytes is announced (at most %" PRIu32 ")%s", (uint32_t)len, c->opt.response_bytes_max,
	    c->state == RPC_NEGOTIATING ? stranger((uint32_t)len) : "");
	fail(c, len < 4 ? ERR_MALFORMED : ERR_LIMIT, NULL, eb.text);
	return (false);
}

/* The answer is decoded into the call's arena, which is done with the request. */
static enum err
call_decode(struct rpc_call *call, struct slice frame, struct errbuf *eb)
{
	size_t cap = frame.len < LIMIT_RESPONSE_ARENA_MAX / LIMIT_ARENA_FACTOR ? LIMIT_ARENA_FLOOR + frame.len * LIMIT_ARENA_FACTOR : LIMIT_RESPONSE_ARENA_MAX;

	arena_fini(&call->arena);
	arena_init(&call->arena, cap);
	return (wire_response_decode(call->api, call->version, frame, &call->arena, &call->response, eb));
}

/* One whole frame.  false: the connection is gone. */
static bool
answer(struct rpc_client *c)
{
	struct rpc_call *call = TAILQ_FIRST(&c->calls);
	struct errbuf eb = ERRBUF_INIT;
	struct rxblock *block = NULL;
	struct slice frame = rxbuf_take(&c->rx, &block);
	int32_t id = 0;
	enum err e;

	if (call == NULL || !call->sent || wire_response_correlation(frame, &id) != OK || id != call->correlation_id) {
		rxblock_unref(&block);
		fail(c, ERR_MALFORMED, NULL, "an answer came that nobody had asked for");
		return (false);
	}
	rxblock_unref(&call->block);
	call->block = block;
	e = call_decode(call, frame, &eb);
	if (e != OK) {
		call->response = NULL;
		errbuf_add(&eb, "the answer to %s version %d", call->api->name, call->version);
		fail(c, e, call, eb.text);
		return (false);
	}
	call_done(call, OK, "");
	return (c->state != RPC_CLOSED);
}

static bool
answers(struct rpc_client *c)
{
	for (;;) {
		if (!length_ok(c))
			return (false);
		if (!rxbuf_has_frame(&c->rx))
			return (true);
		if (!answer(c))
			return (false);
	}
}

static void
ended(struct rpc_client *c)
{
	if (c->state == RPC_NEGOTIATING)
		fail(c, ERR_CLOSED, NULL, "the other side hung up when it was asked for its versions: no Kafka broker of 0.10 or later, or a listener with TLS");
	else
		fail(c, ERR_CLOSED, NULL, rxbuf_unparsed(&c->rx) > 0 ? "the broker closed the connection in the middle of an answer" : "the broker closed the connection");
}

static bool
receive(struct rpc_client *c)
{
	for (size_t taken = 0, n, room; taken < BYTES_PER_TURN; taken += n) {
		uint8_t *p = rxbuf_room(&c->rx, NULL, &room);
		int errnum = 0;

		switch (c->transport->ops->recv(c->transport, p, room, &n, &errnum)) {
		case NET_IO_OK:
			rxbuf_received(&c->rx, n);
			if (!answers(c))
				return (false);
			break;
		case NET_IO_EOF:
			ended(c);
			return (false);
		case NET_IO_ERROR:
			if (errnum == ECONNRESET || errnum == EPIPE)
				ended(c);
			else
				fail(c, ERR_NET, NULL, strerror(errnum));
			return (false);
		default:
			return (true);
		}
	}
	return (true);
}

static bool
flush(struct rpc_client *c)
{
	struct errbuf eb = ERRBUF_INIT;
	uint64_t sent = 0;

	switch (outq_flush(&c->outq, c->transport, LIMIT_SEND_BYTES_PER_TURN, &sent, &eb)) {
	case OUTQ_ERROR:
		fail(c, ERR_NET, NULL, eb.text);
		return (false);
	case OUTQ_EMPTY:
		watch_want(c->opt.loop, &c->watch, WATCH_READ);
		return (true);
	default:
		return (true);
	}
}

/* false: not yet, or never. */
static bool
shake_hands(struct rpc_client *c)
{
	int errnum = 0;

	switch (c->transport->ops->handshake(c->transport, &errnum)) {
	case NET_IO_OK:
		if (c->opt.negotiate)
			negotiate(c, OUR_API_VERSIONS);
		else
			become_ready(c);
		return (c->state != RPC_CLOSED);
	case NET_IO_ERROR:
		fail(c, ERR_NET, NULL, strerror(errnum));
		return (false);
	case NET_IO_WANT_READ:
		watch_want(c->opt.loop, &c->watch, WATCH_READ);
		return (false);
	default:
		watch_want(c->opt.loop, &c->watch, WATCH_WRITE);
		return (false);
	}
}

static void
rpc_event(struct watch *w, unsigned ready)
{
	struct rpc_client *c = CONTAINER_OF(w, struct rpc_client, watch);

	c->busy++;
	/* Reading comes first: why a broker hangs up may stand in front of the broken pipe. */
	if ((c->state != RPC_HANDSHAKE || shake_hands(c)) && ((ready & (WATCH_READ | WATCH_CLOSED)) == 0 || receive(c)))
		(void)flush(c);
	busy_end(c);
}
