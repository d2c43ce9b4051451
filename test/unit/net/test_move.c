/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that change their loop: stepped by hand, and with threads.  A frame "M1..." asks to move to loop 1.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/reclaim.h"
#include "net/net_int.h"
#include "test/unit/unit.h"

enum { LOOPS = 3 };

struct world {
	struct clock_manual clock;
	struct loop	*loops[LOOPS], *control;
	struct net	*net;
	struct metrics	 metrics;
	struct net_request *last;	/* handed up and not answered, when `hold` */
	bool		 hold, shut;
	_Atomic unsigned opened, closed;
	unsigned	 served[LOOPS];	/* each its loop's */
	struct task	 shut_task;
};

static void
w_opened(void *ctx, struct net_conn *c)
{
	(void)c;
	atomic_fetch_add(&((struct world *)ctx)->opened, 1);
}

static void
w_closed(void *ctx, struct net_conn *c)
{
	(void)c;
	atomic_fetch_add(&((struct world *)ctx)->closed, 1);
}

static void
echo(struct net_request *r)
{
	struct chain ch;
	uint8_t *len = arena_alloc(&r->arena, 4 + r->frame.len);

	must(len != NULL);
	chain_init(&ch);
	be32enc(len, (uint32_t)r->frame.len);
	memcpy(len + 4, r->frame.p, r->frame.len);
	must(chain_add_mem(&ch, &r->arena, slice_of(len, 4 + r->frame.len)));
	net_reply(r, &ch);
}

static void
w_request(void *ctx, struct net_request *r)
{
	struct world *w = ctx;

	must(loop_is_current(net_request_loop(r)));
	w->served[net_conn_loop_index(r->conn)]++;
	if (r->frame.len >= 2 && r->frame.p[0] == 'M')
		net_conn_move(r->conn, (unsigned)(r->frame.p[1] - '0'));
	if (w->hold)
		w->last = r;
	else
		echo(r);
}

static void
w_shut(struct task *t)
{
	CONTAINER_OF(t, struct world, shut_task)->shut = true;
}

static void
world_init(struct world *w, struct clock *clock)
{
	struct net_options o = { .loops = w->loops, .nloops = LOOPS, .metrics = &w->metrics, .request_bytes_max = 1 << 20, .limits = NET_LIMITS_NONE };

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	clock_manual_init(&w->clock, 1000000);
	if (clock == NULL)
		clock = &w->clock.clock;
	must(loop_new(&(struct loop_options){ .name = "control", .clock = clock }, &w->control, NULL) == OK);
	for (int i = 0; i < LOOPS; i++)
		must(loop_new(&(struct loop_options){ .name = "net", .clock = clock }, &w->loops[i], NULL) == OK);
	o.handler = (struct net_handler){ .ctx = w, .opened = w_opened, .request = w_request, .closed = w_closed };
	must(net_new(&o, &w->net, NULL) == OK);
	w->shut_task.fn = w_shut;
}

static void
world_free(struct world *w)
{
	struct net_stats st;

	CHECK(w->shut);
	CHECK_EQ(w->opened, w->closed);
	net_stats(w->net, &st);
	CHECK_EQ(st.connections, 0);
	CHECK_EQ(st.held_bytes, 0);
	net_free(&w->net);
	for (int i = 0; i < LOOPS; i++)
		loop_free(&w->loops[i]);
	loop_free(&w->control);
}

static void
turns(struct world *w, unsigned loop)
{
	for (int i = 0; i < 100 && loop_turn(w->loops[loop], 0); i++)
		;
}

static void
all_turns(struct world *w)
{
	for (int k = 0; k < 4; k++)
		for (unsigned i = 0; i < LOOPS; i++)
			turns(w, i);
	loop_turn(w->control, 0);
}

static void
shut(struct world *w)
{
	net_shutdown(w->net, 1000, w->control, &w->shut_task);
	all_turns(w);
}

static int
join(struct world *w, unsigned loop)
{
	int sv[2];

	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(w->net, loop, sv[0], NULL, NULL, NULL) == OK);
	return (sv[1]);
}

static void
send_bytes(int fd, const void *p, size_t n)
{
	must(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void
send_frame(int fd, const char *text)
{
	uint8_t b[64];
	size_t n = strlen(text);

	be32enc(b, (uint32_t)n);
	memcpy(b + 4, text, n);
	send_bytes(fd, b, 4 + n);
}

/* One whole answer, or "" when nothing is there, or "|" when the other side has closed. */
static const char *
answer(int fd)
{
	static _Thread_local char text[64];
	uint8_t b[64];
	ssize_t n = recv(fd, b, 4, 0);

	if (n == 0)
		return ("|");
	if (n != 4)
		return ("");
	n = recv(fd, text, be32dec(b), 0);
	must(n == (ssize_t)be32dec(b));
	text[n] = '\0';
	return (text);
}

TEST(a_connection_moves_when_its_answer_has_left_and_lives_on_there)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, 0);
	w.hold = true;
	send_frame(fd, "M2");
	all_turns(&w);
	CHECK_EQ(w.served[0], 1);
	CHECK(net_request_loop(w.last) == w.loops[0]);
	echo(w.last);
	w.hold = false;
	send_frame(fd, "a");
	all_turns(&w);
	CHECK_STR(answer(fd), "M2");
	CHECK_STR(answer(fd), "a");
	send_frame(fd, "b");
	all_turns(&w);
	CHECK_STR(answer(fd), "b");
	CHECK_EQ(w.served[0] + w.served[2], 3);
	CHECK(w.served[2] >= 1);
	send_frame(fd, "M0");		/* answered from inside */
	all_turns(&w);
	CHECK_STR(answer(fd), "M0");
	send_frame(fd, "c");
	all_turns(&w);
	CHECK_STR(answer(fd), "c");
	CHECK(w.served[0] >= 2);
	close(fd);
	all_turns(&w);
	CHECK_EQ(w.closed, 1);
	shut(&w);
	world_free(&w);
}

TEST(it_stays_while_half_a_frame_is_there_and_nothing_is_lost)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, 0);
	send_bytes(fd, "\0\0\0\2M1\0\0\0\3yo", 12);
	all_turns(&w);
	CHECK_STR(answer(fd), "M1");
	send_bytes(fd, "u", 1);
	all_turns(&w);
	CHECK_STR(answer(fd), "you");
	CHECK_EQ(w.served[0], 2);
	send_frame(fd, "now");
	all_turns(&w);
	CHECK_STR(answer(fd), "now");
	CHECK_EQ(w.served[1], 1);
	close(fd);
	shut(&w);
	world_free(&w);
}

TEST(what_the_peer_sends_or_does_meanwhile_is_seen_on_arrival)
{
	struct world w;
	int fd[2];

	world_init(&w, NULL);
	for (int i = 0; i < 2; i++) {
		fd[i] = join(&w, 0);
		send_frame(fd[i], "M1");
	}
	turns(&w, 0);
	CHECK_STR(answer(fd[0]), "M1");
	send_frame(fd[0], "on the way");
	close(fd[1]);
	all_turns(&w);
	CHECK_STR(answer(fd[0]), "on the way");
	CHECK_EQ(w.served[1], 1);
	CHECK_EQ(w.closed, 1);
	close(fd[0]);
	shut(&w);
	world_free(&w);
}

TEST(a_shutdown_waits_for_those_on_their_way)
{
	struct world w;
	int fd, stays;

	for (int stopped_first = 0; stopped_first < 2; stopped_first++) {
		world_init(&w, NULL);
		stays = join(&w, 1);
		fd = join(&w, 0);
		send_frame(fd, "M1");
		if (!stopped_first)
			close(stays);
		turns(&w, 1);
		turns(&w, 0);
		CHECK_STR(answer(fd), "M1");
		net_shutdown(w.net, 1000, w.control, &w.shut_task);
		turns(&w, 0);
		turns(&w, 2);
		loop_turn(w.control, 0);
		CHECK(!w.shut);
		all_turns(&w);
		CHECK_STR(answer(fd), "|");
		close(fd);
		if (stopped_first)
			close(stays);
		world_free(&w);
	}
}

TEST(who_arrives_at_a_loop_that_has_stopped_is_closed)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, 0);
	net_shutdown(w.net, 1000, w.control, &w.shut_task);
	turns(&w, 1);			/* it had no connection: it is done */
	send_frame(fd, "M1");
	loop_turn(w.loops[0], 0);
	all_turns(&w);
	CHECK(w.shut);
	close(fd);
	world_free(&w);
}

TEST(whose_listener_is_gone_on_arrival_is_closed)
{
	struct net_listener_options lo = { .name = "X", .host = "127.0.0.1", .backlog = 8, .send_buffer = -1, .receive_buffer = -1,
	    .connections_max = INT32_MAX, .connection_rate_max = INT32_MAX };
	struct net_listener *l = NULL;
	struct world w;
	int sv[2];

	reclaim_thread_register();
	world_init(&w, NULL);
	must(net_listen(w.net, &lo, &l, NULL) == OK);
	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(w.net, 0, sv[0], l, NULL, NULL) == OK);
	send_frame(sv[1], "M1");
	loop_turn(w.loops[0], 0);
	CHECK_STR(answer(sv[1]), "M1");
	net_listener_remove(l);
	turns(&w, 0);
	turns(&w, 2);
	all_turns(&w);
	CHECK_STR(answer(sv[1]), "|");
	CHECK_EQ(w.closed, 1);
	close(sv[1]);
	shut(&w);
	world_free(&w);
	reclaim_thread_unregister();
}

/* ---- with threads ---- */

struct client {
	pthread_t  thread;
	struct world *w;
	int	   fd;
	unsigned   seed, wrong;
};

static void *
client_main(void *arg)
{
	struct client *c = arg;
	char text[16];

	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%c%u-%d", i % 3 == 0 ? 'x' : 'M', (c->seed + (unsigned)i / 3) % LOOPS, i);
		send_frame(c->fd, text);
		if (i % 5 == 0)
			send_frame(c->fd, "two");
		c->wrong += strcmp(answer(c->fd), text) != 0;
		if (i % 5 == 0)
			c->wrong += strcmp(answer(c->fd), "two") != 0;
	}
	return (NULL);
}

TEST(clients_that_ask_and_move_all_the_time_get_their_answers)
{
	enum { CLIENTS = 8 };
	struct timeval tv = { .tv_sec = 30 };
	struct client c[CLIENTS];
	struct world w;

	world_init(&w, clock_real());
	for (unsigned i = 0; i < CLIENTS; i++) {
		int sv[2];

		must_zero(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
		must_zero(fcntl(sv[0], F_SETFL, O_NONBLOCK));
		must_zero(setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
		must(net_adopt(w.net, i % LOOPS, sv[0], NULL, NULL, NULL) == OK);
		c[i] = (struct client){ .w = &w, .fd = sv[1], .seed = i };
	}
	for (int i = 0; i < LOOPS; i++)
		must(loop_start(w.loops[i], NULL) == OK);
	for (int i = 0; i < CLIENTS; i++)
		must_zero(pthread_create(&c[i].thread, NULL, client_main, &c[i]));
	for (int i = 0; i < CLIENTS; i++) {
		must_zero(pthread_join(c[i].thread, NULL));
		CHECK_EQ(c[i].wrong, 0);
	}
	net_shutdown(w.net, 1000, w.control, &w.shut_task);
	for (int i = 0; i < 1000 && !w.shut; i++)
		loop_turn(w.control, 10);
	for (int i = 0; i < LOOPS; i++) {
		loop_stop(w.loops[i]);
		loop_join(w.loops[i]);
		CHECK(w.served[i] > 0);
	}
	for (int i = 0; i < CLIENTS; i++)
		close(c[i].fd);
	world_free(&w);
}

UNIT_MAIN("net/move", T(a_connection_moves_when_its_answer_has_left_and_lives_on_there), T(it_stays_while_half_a_frame_is_there_and_nothing_is_lost),
    T(what_the_peer_sends_or_does_meanwhile_is_seen_on_arrival), T(a_shutdown_waits_for_those_on_their_way),
    T(who_arrives_at_a_loop_that_has_stopped_is_closed), T(whose_listener_is_gone_on_arrival_is_closed),
    T(clients_that_ask_and_move_all_the_time_get_their_answers))
