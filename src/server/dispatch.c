/* SPDX-License-Identifier: Apache-2.0
 *
 * server/dispatch.c - see dispatch.h and server.h.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "net/listener.h"
#include "server/dispatch.h"
#include "server/fetch_session.h"

const struct api_handler api_handlers[] = {
#define HANDLER(constant, min, max, name)	{ API_##constant, min, max, #name, serve_##name, fail_##name },
#include "server/handlers.def"
#undef HANDLER
};
const size_t api_handlers_n = NELEM(api_handlers);

static const struct api_handler *
find_handler(int16_t key)
{
	for (size_t i = 0; i < api_handlers_n; i++)
		if (api_handlers[i].key == key)
			return (&api_handlers[i]);
	return (NULL);
}

/* ---- the server ---- */

/* The rows are sorted, and the tables of wire/ know what they promise. */
static void
check_handlers(void)
{
	for (size_t i = 0; i < api_handlers_n; i++) {
		const struct api_handler *h = &api_handlers[i];
		const struct wire_api *api = wire_api(h->key);

		must(api != NULL && h->min >= api->min && h->max <= api->max && h->min <= h->max);
		must(i == 0 || api_handlers[i - 1].key < h->key);
	}
}

struct server *
server_new(const struct server_options *opt)
{
	struct server *s = xcalloc(1, sizeof(*s));

	check_handlers();
	s->opt = *opt;
	s->config = opt->config == NULL ? NULL : config_ref(opt->config);
	s->features_epoch = -1;
	s->fetch_sessions = fetch_sessions_new(opt->config == NULL ? 0 : opt->config->max_incremental_fetch_session_cache_slots, opt->clock,
	    opt->random, opt->metrics);
	return (s);
}

static void
config_drop(void *p)
{
	struct config *c = p;

	config_unref(&c);
}

void
server_free(struct server **sp)
{
	struct server *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	fetch_sessions_free(&s->fetch_sessions);
	if (s->config != NULL)
		config_drop((void *)(uintptr_t)s->config);
	free(s);
}

const struct config *
server_config(struct server *s)
{
	return (reclaim_read(&s->config));
}

void
server_set_config(struct server *s, const struct config *c)
{
	const struct config *old = s->config;

	reclaim_publish(&s->config, (const struct config *)config_ref(c));
	if (old != NULL)
		reclaim_defer(config_drop, (void *)(uintptr_t)old);
}

void
server_set_features_epoch(struct server *s, int64_t epoch)
{
	s->features_epoch = epoch;
}

/* ---- from the frame ---- */

static void
refuse(struct server *s, struct net_request *nr, const char *why)
{
	metric_add(s->opt.metrics, METRIC_requests_malformed_total, 1);
	diag_info(s->opt.diag, "server", "connection from %s:%u is closed: %s", net_conn_peer_host(nr->conn), net_conn_peer_port(nr->conn), why);
	net_close_after(nr);
}

/* The handler of an advertised version; NULL: there is none, and *eb says so. */
static const struct api_handler *
admit(const struct wire_request_head *head, struct errbuf *eb)
{
	const struct api_handler *h = find_handler(head->api->key);

	if (h == NULL) {
		errbuf_set(eb, "%s is not served", head->api->name);
		return (NULL);
	}
	if (head->supported && (head->version < h->min || head->version > h->max)) {
		errbuf_set(eb, "%s version %d is not served (%d to %d are)", head->api->name, head->version, h->min, h->max);
		return (NULL);
	}
	return (h);
}

/* The request, decoded, in its arena; NULL: *eb says why not. */
static struct api_request *
request_parse(struct server *s, struct net_request *nr, struct errbuf *eb)
{
	struct api_request *r = ARENA_NEW(&nr->arena, struct api_request);

	must(r != NULL);	/* the first thing in a fresh arena */
	if (wire_request_parse(nr->frame, &nr->arena, &r->head, eb) != OK)
		return (NULL);
	r->handler = admit(&r->head, eb);
	if (r->handler == NULL)
		return (NULL);
	r->server = s;
	r->supported = r->head.supported;
	r->answer_version = r->supported ? r->head.version : 0;
	r->arena = &nr->arena;
	r->net = nr;
	if (r->supported && wire_request_decode(&r->head, &nr->arena, &r->body, eb) != OK) {
		errbuf_add(eb, "%s version %d", r->head.api->name, r->head.version);
		return (NULL);
	}
	/* From here on memory follows what we know, not what the peer sent: a short Metadata request has a long answer. */
	r->arena->cap = r->arena->used + LIMIT_RESPONSE_ARENA_MAX;
	return (r);
}

static void
on_request(void *ctx, struct net_request *nr)
{
	struct server *s = ctx;
	struct errbuf eb = ERRBUF_INIT;
	struct api_request *r = request_parse(s, nr, &eb);

	if (r == NULL) {
		refuse(s, nr, eb.text);
		return;
	}
	nr->data = r;
	net_request_decoded(nr);
	r->handler->serve(r);
}

static void
on_abandoned(void *ctx, struct net_request *nr)
{
	struct api_request *r = nr->data;

	(void)ctx;
	if (r->abandoned != NULL)
		r->abandoned(r);
}

/* Produce begins with its key, like every request. */
static bool
may_pipeline(void *ctx, struct net_conn *c, struct slice frame)
{
	(void)ctx;
	(void)c;
	return (frame.len >= 2 && (int16_t)be16dec(frame.p) == API_PRODUCE);
}

static void
on_opened(void *ctx, struct net_conn *c)
{
	(void)ctx;
	net_conn_set_data(c, xcalloc(1, sizeof(struct api_session)));
}

static void
on_closed(void *ctx, struct net_conn *c)
{
	(void)ctx;
	free(net_conn_data(c));
	net_conn_set_data(c, NULL);
}

struct net_handler
server_net_handler(struct server *s)
{
	return ((struct net_handler){
		.ctx = s,
		.opened = on_opened,
		.request = on_request,
		.may_pipeline = may_pipeline,
		.abandoned = on_abandoned,
		.closed = on_closed,
	});
}

/* ---- to the frame ---- */

void
api_respond(struct api_request *r, void *response)
{
	struct errbuf eb = ERRBUF_INIT;
	struct chain out;
	enum err e;

	chain_init(&out);
	e = wire_response_frame(r->head.api, r->answer_version, r->head.correlation_id, response, r->arena, &out, &eb);
	if (e == OK) {
		net_reply(r->net, &out);
		return;
	}
	diag_error(r->server->opt.diag, "server", "an answer to %s version %d cannot be written: %s", r->head.api->name, r->answer_version,
	    eb.text);
	wire_drop(r->head.api->response->root, response);
	chain_fini(&out);
	api_fail(r, e == ERR_UNSUPPORTED ? KERR_UNSUPPORTED_VERSION : KERR_UNKNOWN_SERVER_ERROR);
}

void
api_fail(struct api_request *r, enum kerr error)
{
	void *response = NULL;

	if (!r->failing) {
		r->failing = true;
		response = r->handler->fail(r, error);
	}
	if (response != NULL)
		api_respond(r, response);
	else
		api_close(r);
}

void
api_answer(struct api_request *r, void *response)
{
	if (response == NULL)
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(r, response);
}

void
api_no_response(struct api_request *r)
{
	net_no_reply(r->net);
}

void
api_close(struct api_request *r)
{
	net_close_after(r->net);
}

/* ---- while it runs ---- */

void
api_allow_next(struct api_request *r)
{
	net_request_allow_next(r->net);
}

void
api_release_bytes(struct api_request *r)
{
	r->head.client_id = arena_dup(r->arena, r->head.client_id);	/* null when the arena is full: it is for people and quotas */
	r->head.body = SLICE_NULL;
	r->body = NULL;
	net_request_release_bytes(r->net);
}

void
api_throttle(struct api_request *r, int32_t ms)
{
	net_throttle(r->net->conn, ms);
}

struct loop *
api_loop(const struct api_request *r)
{
	return (net_request_loop(r->net));
}

const char *
api_listener(const struct api_request *r)
{
	const struct net_listener *l = net_conn_listener(r->net->conn);

	return (l == NULL ? "" : net_listener_name(l));
}

struct api_session *
api_session(const struct api_request *r)
{
	return (net_conn_data(r->net->conn));
}
