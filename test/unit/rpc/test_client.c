/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against a fake broker at the other end of a socketpair, on a manual clock.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/kerr.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/random.h"
#include "rpc/client.h"
#include "test/unit/unit.h"

enum { ROOM = 1 << 20 };

struct world {
	struct clock_manual clock;
	struct loop	*loop;
	struct rpc_client *c;
	int		 fd;			/* the broker's end */
	unsigned	 nready, nclosed;
	enum err	 err;
	struct errbuf	 why;
	bool		 free_in_callback;
	struct arena	 arena;			/* the broker's */
	uint8_t		*in;			/* what it got */
	size_t		 nin;
};

static void
w_ready(void *ctx)
{
	struct world *w = ctx;

	w->nready++;
	if (w->free_in_callback)
		rpc_free(&w->c);
}

static void
w_closed(void *ctx, enum err e, const char *why)
{
	struct world *w = ctx;

	w->nclosed++;
	w->err = e;
	errbuf_set(&w->why, "%s", why);
	if (w->free_in_callback)
		rpc_free(&w->c);
}

static void
turns(struct world *w)
{
	for (int i = 0; i < 1000 && loop_turn(w->loop, 0); i++)
		;
}

static void
advance_ms(struct world *w, int64_t ms)
{
	clock_manual_advance_ns(&w->clock, ms * 1000000);
	turns(w);
}

static void
world_init(struct world *w, bool negotiate)
{
	struct transport *t;
	int sv[2];

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	clock_manual_init(&w->clock, 1000000);
	arena_init(&w->arena, SIZE_MAX);
	w->in = calloc(1, ROOM);
	must(loop_new(&(struct loop_options){ .name = "t", .clock = &w->clock.clock }, &w->loop, NULL) == OK);
	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	w->fd = sv[1];
	t = transport_tcp_new(sv[0]);
	must(rpc_adopt(&(struct rpc_options){ .loop = w->loop, .client_id = "test", .negotiate = negotiate, .connect_timeout_ms = 5000,
	    .response_bytes_max = 65536, .ctx = w, .ready = w_ready, .closed = w_closed }, &t, &w->c, NULL) == OK);
	CHECK(t == NULL);
	turns(w);
}

static void
world_fini(struct world *w)
{
	rpc_free(&w->c);
	if (w->fd >= 0)
		close(w->fd);
	turns(w);
	loop_free(&w->loop);
	arena_fini(&w->arena);
	free(w->in);
}

/* ---- the broker ---- */

/* The next request that it got; false: none. */
static bool
broker_request(struct world *w, struct wire_request_head *h)
{
	ssize_t n = recv(w->fd, w->in + w->nin, ROOM - w->nin, MSG_DONTWAIT);
	uint8_t *frame;
	size_t len;

	if (n > 0)
		w->nin += (size_t)n;
	if (w->nin < 4 || w->nin < 4 + (len = be32dec(w->in)))
		return (false);
	frame = arena_alloc(&w->arena, len);
	memcpy(frame, w->in + 4, len);
	memmove(w->in, w->in + 4 + len, w->nin - 4 - len);
	w->nin -= 4 + len;
	return (wire_request_parse(slice_of(frame, len), &w->arena, h, NULL) == OK);
}

static void
broker_bytes(struct world *w, const void *p, size_t n)
{
	must(send(w->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
	turns(w);
}

/* The bytes of an answer; *n their number. */
static const uint8_t *
answer_bytes(struct world *w, const struct wire_request_head *h, int version, void *response, size_t *n)
{
	struct chain ch;

	chain_init(&ch);
	must(wire_response_frame(h->api, version, h->correlation_id, response, &w->arena, &ch, NULL) == OK);
	must(ch.first->next == NULL);
	*n = ch.first->mem.len;
	return (ch.first->mem.p);
}

static void
broker_answer(struct world *w, const struct wire_request_head *h, void *response)
{
	size_t n;
	const uint8_t *p = answer_bytes(w, h, h->version, response, &n);

	broker_bytes(w, p, n);
}

static struct wire_api_versions_response *
versions_of(struct world *w, enum kerr e, int n, const int16_t rows[][3])
{
	struct wire_api_versions_response *r = WIRE_NEW(&w->arena, api_versions_response);

	r->error_code = (int16_t)e;
	r->api_keys.n = n;
	r->api_keys.v = WIRE_NEW_ARRAY(&w->arena, api_versions_response_api_version, n);
	for (int i = 0; i < n; i++) {
		r->api_keys.v[i].api_key = rows[i][0];
		r->api_keys.v[i].min_version = rows[i][1];
		r->api_keys.v[i].max_version = rows[i][2];
	}
	return (r);
}

static const int16_t usual[][3] = { { API_METADATA, 0, 9 }, { API_API_VERSIONS, 0, 3 }, { API_LIST_GROUPS, 0, 99 }, { 30000, 0, 1 }, { -5, 0, 1 },
	{ API_FIND_COORDINATOR, 3, 1 } };

static bool
broker_greets(struct world *w)
{
	struct wire_request_head h;

	if (!broker_request(w, &h) || h.api->key != API_API_VERSIONS)
		return (false);
	broker_answer(w, &h, versions_of(w, KERR_NONE, (int)NELEM(usual), usual));
	return (w->nready == 1 && rpc_is_ready(w->c));
}

/* ---- calls ---- */

struct asked {
	struct rpc_call call;
	unsigned ndone;
	bool fini_in_done;
};

static void
asked_done(struct rpc_call *call)
{
	struct asked *a = call->ctx;

	a->ndone++;
	if (a->fini_in_done)
		rpc_call_fini(call);
}

static enum err
ask(struct world *w, struct asked *a, int64_t timeout_ms)
{
	struct wire_metadata_request r;

	memset(a, 0, sizeof(*a));
	rpc_call_init(&a->call);
	a->call.ctx = a;
	a->call.done = asked_done;
	WIRE_INIT(metadata_request, &r);
	r.topics.n = -1;
	return (rpc_send(w->c, &a->call, API_METADATA, 1, &r, timeout_ms, NULL));
}

static struct wire_metadata_response *
metadata_of(struct world *w, int32_t controller)
{
	struct wire_metadata_response *r = WIRE_NEW(&w->arena, metadata_response);

	r->controller_id = controller;
	return (r);
}

static int32_t
controller_in(const struct asked *a)
{
	const struct wire_metadata_response *r = a->call.response;

	return (a->call.err == OK && r != NULL ? r->controller_id : -999);
}

TEST(the_newest_common_version_is_agreed_on)
{
	struct world w;

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(rpc_version(w.c, API_METADATA, 0, 100), 9);
	CHECK_EQ(rpc_version(w.c, API_METADATA, 0, 4), 4);
	CHECK_EQ(rpc_version(w.c, API_METADATA, 10, 12), -1);
	CHECK_EQ(rpc_version(w.c, API_LIST_GROUPS, 0, 100), WIRE_LAST_list_groups_request);	/* the broker's 99 is beyond us */
	CHECK_EQ(rpc_version(w.c, API_FIND_COORDINATOR, 0, 100), -1);	/* 3 to 1 */
	CHECK_EQ(rpc_version(w.c, API_FETCH, 0, 100), -1);
	world_fini(&w);
	world_init(&w, false);
	CHECK(rpc_is_ready(w.c));
	CHECK_EQ(rpc_version(w.c, API_FETCH, 0, 100), WIRE_LAST_fetch_request);
	world_fini(&w);
}

/* In v0, with the version that it knows; and as brokers before 2.4, with nothing. */
TEST(a_broker_that_does_not_know_our_api_versions_is_asked_again_in_its_own)
{
	static const int16_t own[][3] = { { API_API_VERSIONS, 0, 2 } };

	for (int with = 0; with < 2; with++) {
		struct wire_request_head h;
		struct world w;
		const uint8_t *p;
		size_t n;

		world_init(&w, true);
		REQUIRE(broker_request(&w, &h));
		CHECK_EQ(h.version, 3);
		p = answer_bytes(&w, &h, 0, versions_of(&w, KERR_UNSUPPORTED_VERSION, with, own), &n);
		broker_bytes(&w, p, n);
		REQUIRE(broker_request(&w, &h));
		CHECK_EQ(h.version, with ? 2 : 0);
		broker_answer(&w, &h, versions_of(&w, KERR_NONE, (int)NELEM(usual), usual));
		CHECK_EQ(w.nready, 1);
		world_fini(&w);
	}
}

/* It says UNSUPPORTED_VERSION to everything: no endless asking. */
TEST(a_broker_that_refuses_every_version_is_given_up)
{
	static const int16_t own[][3] = { { API_API_VERSIONS, 0, 3 } };
	struct wire_request_head h;
	struct world w;
	unsigned asked = 0;

	world_init(&w, true);
	while (broker_request(&w, &h) && asked++ < 10) {
		size_t n;
		const uint8_t *p = answer_bytes(&w, &h, 0, versions_of(&w, KERR_UNSUPPORTED_VERSION, 1, own), &n);

		broker_bytes(&w, p, n);
	}
	CHECK_EQ(asked, 4);	/* 3, 2, 1, 0 */
	CHECK_EQ(w.nclosed, 1);
	CHECK_EQ(w.err, ERR_UNSUPPORTED);
	world_fini(&w);
}

TEST(answers_find_their_calls_also_byte_by_byte)
{
	struct wire_request_head h[3];
	struct asked a[3];
	struct world w;

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ask(&w, &a[i], 1000), OK);
	turns(&w);
	for (int i = 0; i < 3; i++)
		REQUIRE(broker_request(&w, &h[i]));
	CHECK(slice_eq_str(h[0].client_id, "test"));
	for (int i = 0; i < 3; i++) {
		size_t n;
		const uint8_t *p = answer_bytes(&w, &h[i], h[i].version, metadata_of(&w, 70 + i), &n);

		for (size_t k = 0; k < n; k++) {
			CHECK_EQ(a[i].ndone, 0);
			broker_bytes(&w, p + k, 1);
		}
		CHECK_EQ(a[i].ndone, 1);
		CHECK_EQ(controller_in(&a[i]), 70 + i);
		rpc_call_fini(&a[i].call);
	}
	CHECK_EQ(w.nclosed, 0);
	advance_ms(&w, 100000);		/* no timer is left */
	CHECK_EQ(w.nclosed, 0);
	world_fini(&w);
}

TEST(a_call_that_is_late_ends_the_connection_and_says_so)
{
	struct asked late, other;
	struct world w;

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &late, 1000), OK);
	CHECK_EQ(ask(&w, &other, 9000), OK);
	advance_ms(&w, 900);
	CHECK_EQ(late.ndone, 0);
	advance_ms(&w, 200);
	CHECK_EQ(late.ndone, 1);
	CHECK_EQ(late.call.err, ERR_TIMEOUT);
	CHECK_STR(late.call.why.text, "Metadata was not answered in time");
	CHECK_EQ(other.ndone, 1);
	CHECK_EQ(other.call.err, ERR_CLOSED);
	CHECK_EQ(w.nclosed, 1);
	rpc_call_fini(&late.call);
	rpc_call_fini(&other.call);
	CHECK_EQ(ask(&w, &late, 1000), ERR_CLOSED);
	rpc_call_fini(&late.call);
	world_fini(&w);
}

TEST(a_silent_port_is_given_up_when_the_time_is_over)
{
	struct world w;

	world_init(&w, true);
	advance_ms(&w, 4900);
	CHECK_EQ(w.nclosed, 0);
	advance_ms(&w, 200);
	CHECK_EQ(w.err, ERR_TIMEOUT);
	CHECK_STR(w.why.text, "connected, but no answer to ApiVersions within 5000 ms");
	world_fini(&w);
}

static void
greeted_with(const void *p, size_t n, enum err e, const char *words)
{
	struct world w;

	world_init(&w, true);
	broker_bytes(&w, p, n);
	CHECK_EQ(w.nclosed, 1);
	CHECK_EQ(w.err, e);
	unit_check(strstr(w.why.text, words) != NULL, __FILE__, __LINE__, "\"%s\" in \"%s\"", words, w.why.text);
	world_fini(&w);
}

TEST(strangers_are_called_by_their_names)
{
	static const uint8_t tls[] = { 0x15, 3, 3, 0, 2, 2, 80 }, negative[] = { 0xff, 0xff, 0xff, 0xff }, nothing[] = { 0, 0, 0, 0 },
	    three[] = { 0, 0, 0, 3, 1, 2, 3 }, huge[] = { 0x7f, 0xff, 0xff, 0xff };

	greeted_with(tls, sizeof(tls), ERR_LIMIT, "TLS");
	greeted_with("HTTP/1.1 400 Bad Request\r\n", 26, ERR_LIMIT, "HTTP");
	greeted_with(negative, sizeof(negative), ERR_MALFORMED, "no Kafka broker");
	greeted_with(nothing, sizeof(nothing), ERR_MALFORMED, "no Kafka broker");
	greeted_with(three, sizeof(three), ERR_MALFORMED, "no Kafka broker");
	greeted_with(huge, sizeof(huge), ERR_LIMIT, "at most 65536");
}

TEST(hanging_up_ends_every_call_once)
{
	struct asked a, b;
	struct world w;

	world_init(&w, true);
	close(w.fd);
	w.fd = -1;
	turns(&w);
	CHECK_EQ(w.err, ERR_CLOSED);
	CHECK(strstr(w.why.text, "hung up") != NULL);
	world_fini(&w);

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	CHECK_EQ(ask(&w, &b, 1000), OK);
	a.fini_in_done = true;
	turns(&w);
	broker_bytes(&w, "\0\0\0\x50 half a frame", 17);
	close(w.fd);
	w.fd = -1;
	turns(&w);
	CHECK_EQ(a.ndone, 1);
	CHECK_EQ(b.ndone, 1);
	CHECK_EQ(b.call.err, ERR_CLOSED);
	CHECK(strstr(b.call.why.text, "middle of an answer") != NULL);
	rpc_call_fini(&b.call);
	world_fini(&w);
}

TEST(an_answer_that_is_not_the_next_one_ends_the_connection)
{
	struct wire_request_head h;
	struct asked a;
	struct world w;

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	turns(&w);
	REQUIRE(broker_request(&w, &h));
	h.correlation_id += 1;
	broker_answer(&w, &h, metadata_of(&w, 1));
	CHECK_EQ(a.ndone, 1);
	CHECK_EQ(a.call.err, ERR_MALFORMED);
	rpc_call_fini(&a.call);
	world_fini(&w);

	world_init(&w, true);		/* answered before it was asked */
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	h.correlation_id = 1;	/* right, but too early */
	broker_answer(&w, &h, metadata_of(&w, 1));
	CHECK_EQ(a.ndone, 1);
	rpc_call_fini(&a.call);
	world_fini(&w);

	world_init(&w, true);		/* nobody asked */
	REQUIRE(broker_greets(&w));
	broker_answer(&w, &h, metadata_of(&w, 1));
	CHECK_EQ(w.err, ERR_MALFORMED);
	world_fini(&w);
}

TEST(hostile_counts_cost_nothing)
{
	/* Metadata v1: correlation id, then an array of brokers that claims two thousand million of them. */
	uint8_t bytes[] = { 0, 0, 0, 8, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff };
	struct asked a;
	struct world w;

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	turns(&w);
	broker_bytes(&w, bytes, sizeof(bytes));
	CHECK_EQ(a.ndone, 1);
	CHECK(a.call.err == ERR_MALFORMED || a.call.err == ERR_LIMIT);
	CHECK(a.call.response == NULL);
	CHECK(strstr(a.call.why.text, "Metadata") != NULL);
	CHECK_EQ(w.nclosed, 1);
	rpc_call_fini(&a.call);
	world_fini(&w);
}

/* Whatever arrives: each call is done once, and the connection either lives or has said why. */
TEST(garbage_never_does_more_than_end_the_connection)
{
	struct random_seeded seeded;
	struct random *r = &seeded.random;

	random_seeded_init(&seeded, unit_seed());

	for (int round = 0; round < 400; round++) {
		struct wire_request_head h;
		struct asked a;
		struct world w;
		uint8_t copy[4096];
		size_t n;
		const uint8_t *p;

		world_init(&w, true);
		REQUIRE(broker_greets(&w));
		CHECK_EQ(ask(&w, &a, 1000), OK);
		turns(&w);
		REQUIRE(broker_request(&w, &h));
		p = answer_bytes(&w, &h, h.version, wire_random(h.api->response, h.version, r, &w.arena), &n);
		if (n > sizeof(copy))
			n = sizeof(copy);
		memcpy(copy, p, n);
		for (uint32_t flips = random_below(r, 6); flips > 0; flips--)
			copy[random_below(r, (uint32_t)n)] = (uint8_t)random_below(r, 256);
		broker_bytes(&w, copy, 1 + random_below(r, (uint32_t)n));
		advance_ms(&w, 2000);
		CHECK_EQ(a.ndone, 1);
		CHECK(a.call.err == OK ? a.call.response != NULL : w.nclosed == 1 && a.call.why.text[0] != '\0');
		rpc_call_fini(&a.call);
		world_fini(&w);
	}
}

TEST(it_may_be_freed_inside_any_callback)
{
	struct wire_request_head h;
	struct asked a;
	struct world w;

	world_init(&w, true);
	w.free_in_callback = true;
	REQUIRE(broker_request(&w, &h));
	broker_answer(&w, &h, versions_of(&w, KERR_NONE, (int)NELEM(usual), usual));
	CHECK(w.c == NULL);
	CHECK_EQ(w.nclosed, 0);
	world_fini(&w);

	world_init(&w, true);
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	w.free_in_callback = true;
	close(w.fd);
	w.fd = -1;
	turns(&w);
	CHECK(w.c == NULL);
	CHECK_EQ(w.nclosed, 1);
	CHECK_EQ(a.ndone, 1);
	rpc_call_fini(&a.call);
	world_fini(&w);

	world_init(&w, true);		/* with a call on its way */
	REQUIRE(broker_greets(&w));
	CHECK_EQ(ask(&w, &a, 1000), OK);
	rpc_free(&w.c);
	CHECK_EQ(a.ndone, 1);
	CHECK_EQ(a.call.err, ERR_STOPPED);
	rpc_call_fini(&a.call);
	world_fini(&w);
}

static int
listen_somewhere(struct sockaddr_storage *ss, socklen_t *len)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	memset(ss, 0, sizeof(*ss));
	must_zero(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	must_zero(listen(fd, 1));
	*len = sizeof(*ss);
	must_zero(getsockname(fd, (struct sockaddr *)ss, len));
	return (fd);
}

TEST(a_dialled_connection_is_ready_when_it_is_connected_and_refused_otherwise)
{
	struct rpc_options opt = { .client_id = "test", .connect_timeout_ms = 30000, .ready = w_ready, .closed = w_closed };
	struct sockaddr_storage ss;
	struct world w;
	socklen_t len;
	int fd = listen_somewhere(&ss, &len);

	world_init(&w, true);
	rpc_free(&w.c);
	opt.loop = w.loop;
	opt.ctx = &w;
	CHECK_EQ(rpc_dial(&opt, &ss, len, &w.c, NULL), OK);
	while (w.nready == 0 && w.nclosed == 0)
		loop_turn(w.loop, 100);
	CHECK_EQ(w.nready, 1);
	rpc_free(&w.c);
	close(fd);
	CHECK_EQ(rpc_dial(&opt, &ss, len, &w.c, NULL), OK);
	while (w.nclosed == 0)
		loop_turn(w.loop, 100);
	CHECK_EQ(w.err, ERR_NET);
	CHECK_STR(w.why.text, "Connection refused");
	world_fini(&w);
}

UNIT_MAIN("rpc/client", T(the_newest_common_version_is_agreed_on), T(a_broker_that_does_not_know_our_api_versions_is_asked_again_in_its_own),
    T(a_broker_that_refuses_every_version_is_given_up), T(answers_find_their_calls_also_byte_by_byte), T(a_call_that_is_late_ends_the_connection_and_says_so),
    T(a_silent_port_is_given_up_when_the_time_is_over), T(strangers_are_called_by_their_names), T(hanging_up_ends_every_call_once),
    T(an_answer_that_is_not_the_next_one_ends_the_connection), T(hostile_counts_cost_nothing), T(garbage_never_does_more_than_end_the_connection),
    T(it_may_be_freed_inside_any_callback), T(a_dialled_connection_is_ready_when_it_is_connected_and_refused_otherwise))
