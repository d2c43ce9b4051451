/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets on the loopback, on real loops.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "net/net_int.h"
#include "test/unit/unit.h"

enum { LOOPS = 3, WAIT_MS = 10000 };

struct world {
	struct loop	*loops[LOOPS], *control;
	struct net	*net;
	struct metrics	 metrics;
	struct task	 shut_task;
	bool		 shut;
	_Atomic unsigned per_loop[LOOPS];
};

static void
w_opened(void *ctx, struct net_conn *c)
{
	struct world *w = ctx;

	w->per_loop[net_conn_loop_index(c)]++;
}

static void
w_request(void *ctx, struct net_request *r)
{
	struct chain ch;
	uint8_t *b = arena_alloc(&r->arena, 4 + r->frame.len);

	(void)ctx;
	chain_init(&ch);
	be32enc(b, (uint32_t)r->frame.len);
	memcpy(b + 4, r->frame.p, r->frame.len);
	must(chain_add_mem(&ch, &r->arena, slice_of(b, 4 + r->frame.len)));
	net_reply(r, &ch);
}

static void
w_shut(struct task *t)
{
	CONTAINER_OF(t, struct world, shut_task)->shut = true;
}

static void
world_init(struct world *w, const struct net_limits *limits)
{
	struct net_options o = { 0 };
	char name[16];

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	must(loop_new(&(struct loop_options){ .name = "control", .clock = clock_real() }, &w->control, NULL) == OK);
	for (int i = 0; i < LOOPS; i++) {
		snprintf(name, sizeof(name), "net-%d", i);
		must(loop_new(&(struct loop_options){ .name = name, .clock = clock_real() }, &w->loops[i], NULL) == OK);
	}
	o.loops = w->loops;
	o.nloops = LOOPS;
	o.metrics = &w->metrics;
	o.handler.ctx = w;
	o.handler.opened = w_opened;
	o.handler.request = w_request;
	o.request_bytes_max = 1 << 20;
	o.limits = limits != NULL ? *limits : NET_LIMITS_NONE;
	must(net_new(&o, &w->net, NULL) == OK);
	w->shut_task.fn = w_shut;
}

static struct net_listener_options
listener(const char *name)
{
	return ((struct net_listener_options){ .name = name, .host = "127.0.0.1", .backlog = 2000, .send_buffer = -1, .receive_buffer = -1,
	    .connections_max = INT32_MAX, .connection_rate_max = INT32_MAX });
}

static struct net_listener *
add(struct world *w, const struct net_listener_options *o)
{
	struct errbuf eb = ERRBUF_INIT;
	struct net_listener *l = NULL;

	if (!unit_check(net_listen(w->net, o, &l, &eb) == OK, __FILE__, __LINE__, "listen: %s", eb.text))
		abort();
	return (l);
}

static void
start(struct world *w)
{
	net_start(w->net);
	for (int i = 0; i < LOOPS; i++)
		must(loop_start(w->loops[i], NULL) == OK);
}

static void
world_fini(struct world *w)
{
	net_shutdown(w->net, 1000, w->control, &w->shut_task);
	for (int i = 0; i < 1000 && !w->shut; i++)
		loop_turn(w->control, 10);
	CHECK(w->shut);
	for (int i = 0; i < LOOPS; i++) {
		loop_stop(w->loops[i]);
		loop_join(w->loops[i]);
	}
	CHECK_EQ(metric_get(&w->metrics, METRIC_connections), 0);
	net_free(&w->net);
	for (int i = 0; i < LOOPS; i++)
		loop_free(&w->loops[i]);
	loop_free(&w->control);
}

static int
dial_from(uint16_t port, uint32_t from)
{
	struct sockaddr_in s = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(from) };
	struct timeval tv = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(fd >= 0);
	if (from != 0)
		must_zero(bind(fd, (struct sockaddr *)&me, sizeof(me)));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&s, sizeof(s)) != 0) {
		close(fd);
		return (-1);
	}
	return (fd);
}

static int
dial(uint16_t port)
{
	return (dial_from(port, 0));
}

static void
ask(int fd)
{
	must(send(fd, "\0\0\0\4ping", 8, MSG_NOSIGNAL) == 8);
}

/* 1: answered, 0: closed, -1: nothing within ms. */
static int
answered(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char b[8];

	if (poll(&p, 1, ms) == 0)
		return (-1);
	return (recv(fd, b, 8, MSG_WAITALL) == 8 && memcmp(b + 4, "ping", 4) == 0 ? 1 : 0);
}

static int
ask_answered(int fd, int ms)
{
	if (send(fd, "\0\0\0\4ping", 8, MSG_NOSIGNAL) != 8)
		return (0);
	return (answered(fd, ms));
}

TEST(a_listener_is_bound_before_it_serves)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int fd;

	world_init(&w, NULL);
	l = add(&w, &o);
	CHECK(net_listener_port(l) != 0);
	CHECK_STR(net_listener_name(l), "PLAINTEXT");
	fd = dial(net_listener_port(l));
	REQUIRE(fd >= 0);
	ask(fd);
	CHECK_EQ(answered(fd, 50), -1);
	start(&w);
	CHECK_EQ(answered(fd, WAIT_MS), 1);
	close(fd);
	world_fini(&w);
}

TEST(a_listener_on_every_address_hears_ipv4_and_says_who_is_there)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int fd;

	world_init(&w, NULL);
	o.host = "";
	l = add(&w, &o);
	start(&w);
	fd = dial(net_listener_port(l));
	REQUIRE(fd >= 0);
	CHECK_EQ(ask_answered(fd, WAIT_MS), 1);
	close(fd);
	world_fini(&w);
}

TEST(addresses_that_cannot_be_had_are_told_apart)
{
	struct world w;
	struct net_listener_options o = listener("A");
	struct net_listener *l, *none = NULL;
	struct errbuf eb = ERRBUF_INIT;

	world_init(&w, NULL);
	l = add(&w, &o);
	o.port = net_listener_port(l);
	CHECK_EQ(net_listen(w.net, &o, &none, &eb), ERR_CONFLICT);
	CHECK(strstr(eb.text, "listener A") != NULL);
	o.host = "host.invalid";
	CHECK_EQ(net_listen(w.net, &o, &none, &eb), ERR_NOTFOUND);
	o.host = "192.0.2.1";
	CHECK_EQ(net_listen(w.net, &o, &none, &eb), ERR_NOTFOUND);
	o = listener("B");
	o.protocol = NET_SSL;
	CHECK_EQ(net_listen(w.net, &o, &none, &eb), ERR_UNSUPPORTED);
	start(&w);
	world_fini(&w);
}

TEST(connections_are_spread_over_the_loops)
{
	enum { CONNS = 1000 };
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int *fd = xcalloc(CONNS, sizeof(int));
	struct rlimit rl;

	must_zero(getrlimit(RLIMIT_NOFILE, &rl));
	if (rl.rlim_cur < 2 * CONNS + 64) {
		rl.rlim_cur = MIN(rl.rlim_max, (rlim_t)(2 * CONNS + 64));
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	world_init(&w, NULL);
	l = add(&w, &o);
	start(&w);
	for (int i = 0; i < CONNS; i++) {
		fd[i] = dial(net_listener_port(l));
		REQUIRE(fd[i] >= 0);
		ask(fd[i]);
	}
	for (int i = 0; i < CONNS; i++)
		CHECK_EQ(answered(fd[i], WAIT_MS), 1);
	for (int i = 0; i < LOOPS; i++)
		CHECK_GE(w.per_loop[i], CONNS / LOOPS);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_accepted_total), CONNS);
	for (int i = 0; i < CONNS; i++)
		close(fd[i]);
	free(fd);
	world_fini(&w);
}

TEST(an_address_over_its_limit_is_refused_others_are_not)
{
	struct net_ip_limit over = { .host = "127.0.0.3", .max = 0 };
	struct net_limits limits = { INT32_MAX, 2, &over, 1, INT32_MAX };
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int a, b, c, d, e;

	world_init(&w, &limits);
	l = add(&w, &o);
	start(&w);
	a = dial(net_listener_port(l));
	b = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	CHECK_EQ(ask_answered(b, WAIT_MS), 1);
	c = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(c, WAIT_MS), 0);
	d = dial_from(net_listener_port(l), 0x7f000002);
	CHECK_EQ(ask_answered(d, WAIT_MS), 1);
	e = dial_from(net_listener_port(l), 0x7f000003);
	CHECK_EQ(ask_answered(e, WAIT_MS), 0);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_refused_total), 2);
	close(a);
	close(b);
	close(c);
	close(d);
	close(e);
	world_fini(&w);
}

TEST(max_connections_makes_the_next_one_wait)
{
	struct net_limits limits = { 2, INT32_MAX, NULL, 0, INT32_MAX };
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int a, b, c;

	world_init(&w, &limits);
	l = add(&w, &o);
	start(&w);
	a = dial(net_listener_port(l));
	b = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	CHECK_EQ(ask_answered(b, WAIT_MS), 1);
	c = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(c, 100), -1);
	close(a);
	CHECK_EQ(answered(c, WAIT_MS), 1);
	a = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(a, 50), -1);
	limits.connections_max = 3;
	CHECK_EQ(net_set_limits(w.net, &limits, NULL), OK);
	CHECK_EQ(answered(a, WAIT_MS), 1);
	close(a);
	close(b);
	close(c);
	world_fini(&w);
}

TEST(brokers_get_in_beyond_max_connections_and_the_idlest_client_goes)
{
	struct net_limits limits = { 2, INT32_MAX, NULL, 0, INT32_MAX };
	struct world w;
	struct net_listener_options co = listener("CLIENTS"), bo = listener("BROKERS");
	struct net_listener *clients, *brokers;
	int a, b, c;

	world_init(&w, &limits);
	bo.inter_broker = true;
	clients = add(&w, &co);
	brokers = add(&w, &bo);
	start(&w);
	a = dial(net_listener_port(clients));
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	b = dial(net_listener_port(brokers));
	CHECK_EQ(ask_answered(b, WAIT_MS), 1);
	c = dial(net_listener_port(brokers));
	CHECK_EQ(ask_answered(c, WAIT_MS), 1);
	CHECK_EQ(answered(a, WAIT_MS), 0);	/* closed */
	CHECK_EQ(ask_answered(b, WAIT_MS), 1);
	close(a);
	close(b);
	close(c);
	world_fini(&w);
}

TEST(the_creation_rate_delays_and_refuses_nobody)
{
	struct net_limits limits = { INT32_MAX, INT32_MAX, NULL, 0, 2 };
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	int fd[22];

	world_init(&w, &limits);
	l = add(&w, &o);
	start(&w);
	for (int i = 0; i < 22; i++) {
		fd[i] = dial(net_listener_port(l));
		ask(fd[i]);
	}
	for (int i = 0; i < 20; i++)
		CHECK_EQ(answered(fd[i], WAIT_MS), 1);
	CHECK_EQ(answered(fd[21], 50), -1);
	CHECK_EQ(answered(fd[21], WAIT_MS), 1);
	for (int i = 0; i < 22; i++)
		close(fd[i]);
	world_fini(&w);
}

TEST(running_out_of_descriptors_pauses_accepting_only)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	struct rlimit rl, low;
	int a, b, hog[256], nhog = 0;

	world_init(&w, NULL);
	l = add(&w, &o);
	start(&w);
	a = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	must_zero(getrlimit(RLIMIT_NOFILE, &rl));
	low = rl;
	low.rlim_cur = 128;
	b = socket(AF_INET, SOCK_STREAM, 0);
	must_zero(setrlimit(RLIMIT_NOFILE, &low));
	while (nhog < 256 && (hog[nhog] = dup(a)) >= 0)
		nhog++;
	struct sockaddr_in s = { .sin_family = AF_INET, .sin_port = htons(net_listener_port(l)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must_zero(connect(b, (struct sockaddr *)&s, sizeof(s)));
	CHECK_EQ(ask_answered(b, 250), -1);
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);	/* the others are unharmed */
	while (nhog > 0)
		close(hog[--nhog]);
	CHECK_EQ(answered(b, WAIT_MS), 1);
	must_zero(setrlimit(RLIMIT_NOFILE, &rl));
	close(a);
	close(b);
	world_fini(&w);
}

TEST(a_broker_that_stops_accepting_still_serves_who_is_there)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	uint16_t port;
	int a, b = 0;

	world_init(&w, NULL);
	l = add(&w, &o);
	port = net_listener_port(l);
	start(&w);
	a = dial(port);
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	net_stop_accepting(w.net);
	for (int i = 0; i < 1000 && b >= 0; i++) {
		b = dial(port);
		if (b >= 0)
			close(b);
		usleep(1000);
	}
	CHECK_EQ(b, -1);
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	close(a);
	world_fini(&w);
}

TEST(a_listener_made_later_serves_and_one_that_is_removed_takes_its_connections_along)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT"), o2 = listener("OTHER");
	struct net_listener *l, *m;
	int a, b[7], c = 0;

	world_init(&w, NULL);
	l = add(&w, &o);
	start(&w);
	a = dial(net_listener_port(l));
	CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	for (int round = 0; round < 3; round++) {
		m = add(&w, &o2);
		net_listener_start(m);
		for (size_t i = 0; i < NELEM(b); i++) {
			b[i] = dial(net_listener_port(m));
			if (i > 0)	/* one is perhaps still on its way to its loop */
				CHECK_EQ(ask_answered(b[i], WAIT_MS), 1);
		}
		net_listener_remove(m);
		for (size_t i = 0; i < NELEM(b); i++) {
			CHECK_EQ(answered(b[i], WAIT_MS), 0);
			close(b[i]);
		}
		for (int i = 0; i < 1000 && (c = dial(net_listener_port(m))) >= 0; i++) {
			close(c);
			usleep(1000);
		}
		CHECK_EQ(c, -1);
		CHECK_EQ(ask_answered(a, WAIT_MS), 1);
	}
	close(a);
	world_fini(&w);
}

/* A peer that resets (not closes) in the middle of a large answer. */
TEST(a_reset_costs_one_connection)
{
	struct world w;
	struct net_listener_options o = listener("PLAINTEXT");
	struct net_listener *l;
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	uint8_t *big = xcalloc(1, 4 + (1 << 20));
	int a, b;

	world_init(&w, NULL);
	l = add(&w, &o);
	start(&w);
	be32enc(big, 1 << 20);
	b = dial(net_listener_port(l));
	for (int i = 0; i < 20; i++) {
		a = dial(net_listener_port(l));
		must(send(a, big, 4 + (1 << 20), MSG_NOSIGNAL) > 0);
		must_zero(setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
		close(a);
	}
	CHECK_EQ(ask_answered(b, WAIT_MS), 1);
	for (int i = 0; i < 1000 && metric_get(&w.metrics, METRIC_connections) > 1; i++)
		usleep(10000);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections), 1);
	close(b);
	free(big);
	world_fini(&w);
}

UNIT_MAIN("net/listener", T(a_listener_is_bound_before_it_serves), T(a_listener_on_every_address_hears_ipv4_and_says_who_is_there),
    T(addresses_that_cannot_be_had_are_told_apart), T(connections_are_spread_over_the_loops),
    T(an_address_over_its_limit_is_refused_others_are_not), T(max_connections_makes_the_next_one_wait),
    T(brokers_get_in_beyond_max_connections_and_the_idlest_client_goes), T(the_creation_rate_delays_and_refuses_nobody),
    T(running_out_of_descriptors_pauses_accepting_only), T(a_broker_that_stops_accepting_still_serves_who_is_there),
    T(a_listener_made_later_serves_and_one_that_is_removed_takes_its_connections_along), T(a_reset_costs_one_connection))
