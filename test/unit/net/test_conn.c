/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections over socketpairs on a loop that is stepped by hand, on a manual clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "base/limits.h"
#include "base/random.h"
#include "net/net_int.h"
#include "test/unit/unit.h"

enum { SEEN_MAX = 4096 };

/* A broker's worth of network with one loop, and a handler that remembers. */
struct world {
	struct clock_manual clock;
	struct loop	*loop;
	struct net	*net;
	struct metrics	 metrics;
	struct net_request *seen[SEEN_MAX];	/* handed up, in order; NULL once answered */
	unsigned	 nseen, nopened, nclosed, nabandoned;
	bool		 echo;			/* answer at once */
	bool		 answer_abandoned;
	bool		 shut;
	struct task	 shut_task;
};

static void
w_opened(void *ctx, struct net_conn *c)
{
	struct world *w = ctx;

	w->nopened++;
	net_conn_set_data(c, w);
}

static void
w_closed(void *ctx, struct net_conn *c)
{
	struct world *w = ctx;

	CHECK(net_conn_data(c) == w);
	w->nclosed++;
}

static void
reply_bytes(struct net_request *r, const void *bytes, size_t n)
{
	struct chain ch;
	uint8_t *len = arena_alloc(&r->arena, 4 + n);

	must(len != NULL);
	chain_init(&ch);
	be32enc(len, (uint32_t)n);
	memcpy(len + 4, bytes, n);
	must(chain_add_mem(&ch, &r->arena, slice_of(len, 4 + n)));
	net_reply(r, &ch);
}

static void
reply_echo(struct net_request *r)
{
	reply_bytes(r, r->frame.p, r->frame.len);
}

static void
w_request(void *ctx, struct net_request *r)
{
	struct world *w = ctx;

	must(w->nseen < SEEN_MAX);
	w->seen[w->nseen++] = r;
	if (r->frame.len > 0 && r->frame.p[0] == 'L')
		net_conn_lazy(r->conn);
	if (w->echo) {
		w->seen[w->nseen - 1] = NULL;
		reply_echo(r);
	}
}

/* Frames that begin with P are this test's Produce; those with L say that what comes next is in no hurry. */
static bool
w_may_pipeline(void *ctx, struct net_conn *c, struct slice frame)
{
	(void)ctx;
	(void)c;
	return (frame.len > 0 && frame.p[0] == 'P');
}

static void
w_abandoned(void *ctx, struct net_request *r)
{
	struct world *w = ctx;

	w->nabandoned++;
	CHECK(net_request_is_dead(r));
	if (w->answer_abandoned)
		reply_bytes(r, "x", 1);
}

static void
w_shut(struct task *t)
{
	CONTAINER_OF(t, struct world, shut_task)->shut = true;
}

static void
world_init(struct world *w, void (*change)(struct net_options *))
{
	struct net_options o = { 0 };

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	clock_manual_init(&w->clock, 1000000);
	must(loop_new(&(struct loop_options){ .name = "t", .clock = &w->clock.clock }, &w->loop, NULL) == OK);
	o.loops = &w->loop;
	o.nloops = 1;
	o.metrics = &w->metrics;
	o.handler = (struct net_handler){ w, w_opened, w_request, w_may_pipeline, w_abandoned, w_closed };
	o.request_bytes_max = 1 << 20;
	o.limits = NET_LIMITS_NONE;
	if (change != NULL)
		change(&o);
	must(net_new(&o, &w->net, NULL) == OK);
	w->shut_task.fn = w_shut;
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
world_fini(struct world *w)
{
	struct net_stats st;

	net_shutdown(w->net, 1000, w->loop, &w->shut_task);
	turns(w);
	advance_ms(w, 2000);
	CHECK(w->shut);
	CHECK_EQ(w->nopened, w->nclosed);
	net_stats(w->net, &st);
	CHECK_EQ(st.connections, 0);
	CHECK_EQ(st.queued_requests, 0);
	CHECK_EQ(st.request_bytes, 0);
	net_free(&w->net);
	loop_free(&w->loop);
}

/* One end is the broker's, the other is ours (non-blocking). */
static int
join(struct world *w, struct net_conn **cp)
{
	int sv[2];

	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(w->net, 0, sv[0], NULL, cp, NULL) == OK);
	return (sv[1]);
}

static void
send_raw(int fd, const void *p, size_t n)
{
	must(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void
send_frame(int fd, const char *text)
{
	uint8_t b[256];
	size_t n = strlen(text);

	be32enc(b, (uint32_t)n);
	memcpy(b + 4, text, n);
	send_raw(fd, b, 4 + n);
}

/* What has arrived: frames joined with spaces, "|" at the end when the other side closed. */
static const char *
take_all(int fd)
{
	static char text[65536];
	static uint8_t raw[65536];
	size_t n = 0, used = 0;
	ssize_t got;

	while ((got = recv(fd, raw + n, sizeof(raw) - n, 0)) > 0)
		n += (size_t)got;
	text[0] = '\0';
	for (size_t p = 0; p + 4 <= n;) {
		uint32_t len = be32dec(raw + p);

		must(p + 4 + len <= n);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", used > 0 ? " " : "", (int)len, raw + p + 4);
		p += 4 + len;
	}
	if (got == 0)
		snprintf(text + used, sizeof(text) - used, "|");
	return (text);
}

static void
answer(struct world *w, unsigned i)
{
	struct net_request *r = w->seen[i];

	must(r != NULL);
	w->seen[i] = NULL;
	reply_echo(r);
}

TEST(a_request_is_heard_whole_however_it_is_cut)
{
	static const char bytes[] = "\0\0\0\5hello\0\0\0\0\0\0\0\3you";
	struct world w;

	for (size_t cut = 0; cut <= sizeof(bytes) - 1; cut++) {
		int fd;

		world_init(&w, NULL);
		w.echo = true;
		fd = join(&w, NULL);
		send_raw(fd, bytes, cut);
		turns(&w);
		send_raw(fd, bytes + cut, sizeof(bytes) - 1 - cut);
		turns(&w);
		CHECK_EQ(w.nseen, 3);
		CHECK_STR(take_all(fd), "hello  you");
		close(fd);
		turns(&w);
		CHECK_EQ(w.nclosed, 1);
		world_fini(&w);
	}
}

TEST(requests_run_one_at_a_time)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "F1");
	send_frame(fd, "F2");
	send_frame(fd, "P3");
	turns(&w);
	CHECK_EQ(w.nseen, 1);
	answer(&w, 0);
	turns(&w);
	CHECK_EQ(w.nseen, 2);
	CHECK_STR(take_all(fd), "F1");
	answer(&w, 1);
	turns(&w);
	CHECK_EQ(w.nseen, 3);
	answer(&w, 2);
	turns(&w);
	CHECK_STR(take_all(fd), "F2 P3");
	close(fd);
	world_fini(&w);
}

TEST(produces_may_overtake_nothing_but_each_others_waiting)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	for (const char *const *f = (const char *const[]){ "P1", "P2", "P3", "F4", "P5", NULL }; *f != NULL; f++)
		send_frame(fd, *f);
	turns(&w);
	CHECK_EQ(w.nseen, 1);		/* P1 is not written yet */
	net_request_allow_next(w.seen[0]);
	turns(&w);
	CHECK_EQ(w.nseen, 2);
	net_request_allow_next(w.seen[1]);
	turns(&w);
	CHECK_EQ(w.nseen, 3);
	net_request_allow_next(w.seen[2]);
	turns(&w);
	CHECK_EQ(w.nseen, 3);		/* F4 waits for all of them */
	answer(&w, 2);
	answer(&w, 1);
	turns(&w);
	CHECK_STR(take_all(fd), "");
	CHECK_EQ(w.nseen, 3);
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(fd), "P1 P2 P3");
	CHECK_EQ(w.nseen, 4);
	net_request_allow_next(w.seen[3]);	/* a Fetch would not say so, but what matters is its own answer */
	turns(&w);
	CHECK_EQ(w.nseen, 5);
	answer(&w, 4);
	answer(&w, 3);
	turns(&w);
	CHECK_STR(take_all(fd), "F4 P5");
	close(fd);
	world_fini(&w);
}

TEST(a_pipeline_has_a_bounded_number_of_slots)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	for (int i = 0; i < LIMIT_PIPELINE_REQUESTS_MAX + 10; i++)
		send_frame(fd, "P");
	turns(&w);
	for (unsigned i = 0; i < w.nseen; i++) {
		net_request_allow_next(w.seen[i]);
		turns(&w);
	}
	CHECK_EQ(w.nseen, LIMIT_PIPELINE_REQUESTS_MAX);
	answer(&w, 5);
	turns(&w);
	CHECK_EQ(w.nseen, LIMIT_PIPELINE_REQUESTS_MAX + 1);
	for (unsigned i = 0; i < w.nseen; i++)
		if (w.seen[i] != NULL)
			answer(&w, i);
	turns(&w);
	w.echo = true;
	for (unsigned i = 0; i < w.nseen; i++)
		if (w.seen[i] != NULL)
			answer(&w, i);
	turns(&w);
	close(fd);
	world_fini(&w);
}

static uint8_t *
big_frame(size_t n)
{
	uint8_t *b = xcalloc(1, 4 + n);

	be32enc(b, (uint32_t)n);
	b[4] = 'P';
	return (b);
}

static void
raise_request_max(struct net_options *o)
{
	o->request_bytes_max = 64 << 20;
}

/* Sends all of it while the loop turns. */
static void
pump_in(struct world *w, int fd, const uint8_t *p, size_t n, size_t *done)
{
	for (int idle = 0; *done < n && idle < 3;) {
		ssize_t put = send(fd, p + *done, n - *done, MSG_NOSIGNAL);

		idle = put > 0 ? 0 : idle + 1;
		*done += put > 0 ? (size_t)put : 0;
		turns(w);
	}
}

TEST(a_pipeline_has_a_bounded_number_of_bytes_and_released_ones_do_not_count)
{
	enum { BIG = 6 << 20 };
	struct world w;
	uint8_t *b = big_frame(BIG);
	size_t done;
	int fd;

	world_init(&w, raise_request_max);
	fd = join(&w, NULL);
	for (unsigned i = 0; i < 2; i++) {
		done = 0;
		pump_in(&w, fd, b, BIG + 4, &done);
		REQUIRE(w.nseen == i + 1);
		net_request_allow_next(w.seen[i]);
		turns(&w);
	}
	done = 0;
	pump_in(&w, fd, b, BIG + 4, &done);
	CHECK_EQ(w.nseen, 2);			/* 18 MiB would be too much */
	net_request_release_bytes(w.seen[0]);
	CHECK(w.seen[0]->frame.p == NULL);
	net_request_allow_next(w.seen[1]);
	reply_bytes(w.seen[1], "b", 1);
	turns(&w);
	pump_in(&w, fd, b, BIG + 4, &done);
	CHECK_EQ(w.nseen, 3);
	CHECK_STR(take_all(fd), "");		/* the first still has its place in front */
	reply_bytes(w.seen[2], "c", 1);
	reply_bytes(w.seen[0], "a", 1);
	turns(&w);
	CHECK_STR(take_all(fd), "a b c");
	close(fd);
	free(b);
	world_fini(&w);
}

TEST(no_reply_frees_the_place_and_sends_nothing)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "P1");
	send_frame(fd, "F2");
	turns(&w);
	net_no_reply(w.seen[0]);
	turns(&w);
	CHECK_EQ(w.nseen, 2);
	answer(&w, 1);
	turns(&w);
	CHECK_STR(take_all(fd), "F2");
	close(fd);
	world_fini(&w);
}

TEST(a_close_waits_for_its_turn_and_drops_what_came_behind)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "P1");
	send_frame(fd, "P2");
	send_frame(fd, "P3");
	send_frame(fd, "P4");
	turns(&w);
	for (int i = 0; i < 3; i++) {
		net_request_allow_next(w.seen[i]);
		turns(&w);
	}
	REQUIRE(w.nseen == 4);
	net_close_after(w.seen[1]);
	answer(&w, 3);
	turns(&w);
	CHECK_STR(take_all(fd), "");		/* P1 may still be answered */
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(fd), "P1|");
	CHECK_EQ(w.nclosed, 0);			/* P3 still runs */
	CHECK(net_request_is_dead(w.seen[2]));
	answer(&w, 2);
	turns(&w);
	CHECK_EQ(w.nclosed, 1);
	close(fd);
	world_fini(&w);
}

TEST(a_bad_length_closes_after_what_was_asked_before_is_answered)
{
	static const uint8_t negative[] = { 0xff, 0xff, 0xff, 0xff }, oversized[] = { 0, 0x10, 0, 1 };

	for (int i = 0; i < 2; i++) {
		struct world w;
		int fd;

		world_init(&w, NULL);
		fd = join(&w, NULL);
		send_frame(fd, "F1");
		send_raw(fd, i == 0 ? negative : oversized, 4);
		turns(&w);
		CHECK_EQ(w.nseen, 1);
		answer(&w, 0);
		turns(&w);
		CHECK_STR(take_all(fd), "F1|");
		CHECK_EQ(metric_get(&w.metrics, METRIC_requests_malformed_total), 1);
		CHECK_EQ(w.nclosed, 1);
		close(fd);
		world_fini(&w);
	}
}

TEST(a_peer_that_shuts_its_side_still_gets_its_answers)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "F1");
	send_frame(fd, "F2");
	shutdown(fd, SHUT_WR);
	turns(&w);
	CHECK_EQ(w.nseen, 1);
	answer(&w, 0);
	turns(&w);
	REQUIRE(w.nseen == 2);
	answer(&w, 1);
	turns(&w);
	CHECK_STR(take_all(fd), "F1 F2|");
	CHECK_EQ(w.nclosed, 1);
	close(fd);
	world_fini(&w);
}

TEST(requests_outlive_a_peer_that_vanished)
{
	for (int inside = 0; inside < 2; inside++) {
		struct world w;
		int fd;

		world_init(&w, NULL);
		w.answer_abandoned = inside;
		fd = join(&w, NULL);
		send_frame(fd, "P1");
		send_frame(fd, "P2");
		turns(&w);
		net_request_allow_next(w.seen[0]);
		turns(&w);
		REQUIRE(w.nseen == 2);
		answer(&w, 1);			/* done, but behind P1: dies with the connection */
		turns(&w);
		close(fd);
		turns(&w);
		CHECK_EQ(w.nabandoned, 1);
		if (!inside) {
			CHECK(net_request_is_dead(w.seen[0]));
			CHECK_EQ(w.nclosed, 0);
			net_request_allow_next(w.seen[0]);
			answer(&w, 0);
			turns(&w);
		}
		CHECK_EQ(w.nclosed, 1);
		world_fini(&w);
	}
}

static void
unsent_answer(struct net_request *r, size_t n)
{
	struct chain ch;
	static uint8_t bytes[4 << 20];

	must(n <= sizeof(bytes));
	chain_init(&ch);
	be32enc(bytes, (uint32_t)n - 4);
	must(chain_add_mem(&ch, &r->arena, slice_of(bytes, n)));
	net_reply(r, &ch);
}

TEST(a_slow_reader_gets_no_further_request_executed)
{
	struct world w;
	uint8_t *sink = malloc(1 << 20);
	int64_t total = 0;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "F1");
	send_frame(fd, "F2");
	turns(&w);
	unsent_answer(w.seen[0], 4 << 20);
	turns(&w);
	CHECK_EQ(w.nseen, 1);
	for (int i = 0; i < 10000 && total < 4 << 20; i++) {
		ssize_t got = recv(fd, sink, 1 << 20, 0);

		if (got > 0)
			total += got;
		turns(&w);
	}
	CHECK_EQ(total, 4 << 20);
	CHECK_EQ(w.nseen, 2);
	answer(&w, 1);
	turns(&w);
	CHECK_STR(take_all(fd), "F2");
	free(sink);
	close(fd);
	world_fini(&w);
}

TEST(a_peer_that_goes_in_the_middle_of_an_answer_costs_only_its_connection)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "F1");
	turns(&w);
	unsent_answer(w.seen[0], 4 << 20);
	turns(&w);
	close(fd);
	turns(&w);
	CHECK_EQ(w.nclosed, 1);
	CHECK_EQ(w.nabandoned, 0);
	world_fini(&w);
}

TEST(a_throttled_connection_waits_its_time)
{
	struct world w;
	struct net_conn *c;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, &c);
	send_frame(fd, "F1");
	send_frame(fd, "F2");
	turns(&w);
	net_throttle(c, 500);
	net_throttle(c, 100);		/* the longer one holds */
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(fd), "F1");
	advance_ms(&w, 499);
	CHECK_EQ(w.nseen, 1);
	advance_ms(&w, 2);
	CHECK_EQ(w.nseen, 2);
	answer(&w, 1);
	turns(&w);
	close(fd);
	world_fini(&w);
}

static void
idle_one_second(struct net_options *o)
{
	o->idle_max_ms = 1000;
}

TEST(idle_connections_are_closed_busy_ones_are_not)
{
	struct world w;
	int quiet, busy, waiting;

	world_init(&w, idle_one_second);
	quiet = join(&w, NULL);
	busy = join(&w, NULL);
	waiting = join(&w, NULL);
	send_frame(waiting, "F1");
	turns(&w);
	for (int i = 0; i < 3; i++) {
		advance_ms(&w, 400);
		send_frame(busy, "F");
		turns(&w);
		reply_echo(w.seen[w.nseen - 1]);
		turns(&w);
	}
	CHECK_EQ(w.nclosed, 1);
	CHECK_STR(take_all(quiet), "|");
	CHECK_STR(take_all(busy), "F F F");
	advance_ms(&w, 5000);
	CHECK_EQ(w.nclosed, 2);
	CHECK_STR(take_all(waiting), "");	/* its request still runs */
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(waiting), "F1");
	advance_ms(&w, 3000);
	CHECK_EQ(w.nclosed, 3);
	close(quiet);
	close(busy);
	close(waiting);
	world_fini(&w);
}

TEST(a_waiting_connection_whose_peer_is_gone_ends_when_it_was_idle_too_long)
{
	struct world w;
	int gone, there;

	world_init(&w, idle_one_second);
	gone = join(&w, NULL);
	there = join(&w, NULL);
	send_frame(gone, "F1");
	send_frame(there, "F2");
	turns(&w);
	CHECK_EQ(shutdown(gone, SHUT_WR), 0);
	advance_ms(&w, 500);
	CHECK_EQ(w.nclosed, 0);
	advance_ms(&w, 3000);
	CHECK_STR(take_all(gone), "|");
	CHECK_STR(take_all(there), "");
	answer(&w, 0);
	answer(&w, 1);
	turns(&w);
	CHECK_EQ(w.nclosed, 1);
	CHECK_STR(take_all(there), "F2");
	close(gone);
	close(there);
	world_fini(&w);
}

static void
little_memory(struct net_options *o)
{
	o->queued_bytes_max = 10;
}

TEST(request_memory_is_bounded_over_all_connections)
{
	struct world w;
	int a, b, c;

	world_init(&w, little_memory);
	a = join(&w, NULL);
	b = join(&w, NULL);
	c = join(&w, NULL);
	send_frame(a, "F123456789012");		/* may overshoot alone */
	turns(&w);
	CHECK_EQ(w.nseen, 1);
	send_frame(b, "F2");
	send_frame(c, "F3");
	turns(&w);
	CHECK_EQ(w.nseen, 1);
	net_request_release_bytes(w.seen[0]);
	turns(&w);
	CHECK_EQ(w.nseen, 3);
	reply_bytes(w.seen[0], "x", 1);
	answer(&w, 1);
	turns(&w);
	send_frame(b, "F1234567890");
	turns(&w);
	send_frame(a, "F4");
	turns(&w);
	CHECK_EQ(w.nseen, 4);
	close(b);				/* a dead connection's frames count until its requests are answered */
	turns(&w);
	CHECK_EQ(w.nseen, 4);
	answer(&w, 3);
	turns(&w);
	CHECK_EQ(w.nseen, 5);
	answer(&w, 4);
	answer(&w, 2);
	turns(&w);
	close(a);
	close(c);
	world_fini(&w);
}

static void
few_queued(struct net_options *o)
{
	o->queued_requests_max = 1;
}

/* ---- memory that peers make us hold ---- */

enum { BUDGET = 1 << 20, STUCK_MS = 10000 };

static void
budget(struct net_options *o)
{
	o->held_max = BUDGET;
	o->request_bytes_max = 64 << 20;
}

static uint64_t
held(struct world *w)
{
	struct net_stats st;

	net_stats(w->net, &st);
	return (st.held_bytes);
}

/* The front of a frame of `len` bytes; as much of it as is taken, up to n. */
static size_t
send_part(struct world *w, int fd, uint32_t len, size_t n)
{
	uint8_t *b = calloc(1, 4 + n);
	size_t done = 0;
	ssize_t got = 0;

	be32enc(b, len);
	for (int tries = 0; done < 4 + n && tries < 200; tries++) {
		got = send(fd, b + done, 4 + n - done, MSG_NOSIGNAL);
		done += got > 0 ? (size_t)got : 0;
		turns(w);
	}
	free(b);
	return (done);
}

TEST(what_is_held_is_counted_and_given_back)
{
	struct world w;
	int a, b;

	world_init(&w, budget);
	a = join(&w, NULL);
	b = join(&w, NULL);
	CHECK_EQ(held(&w), 0);
	send_part(&w, a, 3000, 10);
	CHECK_EQ(held(&w), RX_BLOCK);
	send_part(&w, b, 100000, 100000);
	CHECK_EQ(w.nseen, 1);
	CHECK(held(&w) >= RX_BLOCK + 100000);
	net_request_release_bytes(w.seen[0]);
	CHECK(held(&w) < RX_BLOCK + 100000);
	reply_bytes(w.seen[0], "x", 1);
	turns(&w);
	close(a);
	close(b);
	turns(&w);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

TEST(large_frames_wait_for_memory_and_small_ones_do_not)
{
	struct world w;
	int fd[8], small;

	world_init(&w, budget);
	for (int i = 0; i < 8; i++) {
		fd[i] = join(&w, NULL);
		send_part(&w, fd[i], 8 << 20, 4 << 20);		/* 32 MiB altogether, of 64 announced */
	}
	CHECK(held(&w) <= BUDGET + 8 * 2 * RX_BLOCK);
	small = join(&w, NULL);
	w.echo = true;
	for (int i = 0; i < 10; i++) {
		send_frame(small, "F1");
		advance_ms(&w, 100);
		CHECK_STR(take_all(small), "F1");
	}
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 0);
	for (int i = 0; i < 8; i++)
		close(fd[i]);
	close(small);
	turns(&w);
	advance_ms(&w, STUCK_MS + 200);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

TEST(who_holds_much_and_gets_nothing_done_makes_room_for_those_who_do)
{
	struct world w;
	int stuck[3], honest;
	size_t n = 300000, sent;

	world_init(&w, budget);
	for (int i = 0; i < 3; i++) {
		stuck[i] = join(&w, NULL);
		send_part(&w, stuck[i], 8 << 20, 400000);	/* room for one, and half of another */
	}
	CHECK(held(&w) > BUDGET / 2 && held(&w) <= BUDGET + 3 * 2 * RX_BLOCK);
	advance_ms(&w, STUCK_MS / 2);
	honest = join(&w, NULL);
	sent = send_part(&w, honest, (uint32_t)n, n);
	CHECK(sent < 4 + n);					/* it waits */
	advance_ms(&w, STUCK_MS / 2 - 200);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 0);
	CHECK_EQ(w.nseen, 0);
	advance_ms(&w, 300);
	CHECK(metric_get(&w.metrics, METRIC_connections_shed_total) > 0);
	CHECK_STR(take_all(stuck[0]), "|");
	for (int tries = 0; sent < 4 + n && tries < 100; tries++) {
		uint8_t b[8192] = { 0 };
		ssize_t got = send(honest, b, MIN(sizeof(b), 4 + n - sent), MSG_NOSIGNAL);

		sent += got > 0 ? (size_t)got : 0;
		advance_ms(&w, 100);		/* an eighth of the limit at a look */
	}
	CHECK_EQ(w.nseen, 1);
	for (unsigned i = 0; i < w.nseen; i++)
		reply_bytes(w.seen[i], "x", 1);
	turns(&w);
	for (int i = 0; i < 3; i++)
		close(stuck[i]);
	close(honest);
	turns(&w);
	advance_ms(&w, 200);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

/* A large frame that waits for memory; the rest of it, when there is some. */
struct waiting {
	int    fd;
	size_t len, sent;
};

static void
begin_waiting(struct world *w, struct waiting *h, size_t len)
{
	unsigned seen = w->nseen;

	h->fd = join(w, NULL);
	h->len = 4 + len;
	h->sent = send_part(w, h->fd, (uint32_t)len, len);	/* the kernel may take it all */
	CHECK_EQ(w->nseen, seen);
}

static void
send_rest(struct world *w, struct waiting *h)
{
	static const uint8_t b[8192];

	for (int tries = 0; h->sent < h->len && tries < 200; tries++) {
		ssize_t got = send(h->fd, b, MIN(sizeof(b), h->len - h->sent), MSG_NOSIGNAL);

		h->sent += got > 0 ? (size_t)got : 0;
		turns(w);
	}
}

static void
end_waiting(struct world *w, struct waiting *h)
{
	for (unsigned i = 0; i < w->nseen; i++)
		if (w->seen[i] != NULL)
			reply_bytes(w->seen[i], "x", 1);
	w->nseen = 0;
	turns(w);
	close(h->fd);
	turns(w);
}

TEST(small_halves_of_many_peers_make_room)
{
	enum { MANY = 66 };
	struct waiting honest;
	struct world w;
	int fd[MANY];

	world_init(&w, budget);
	for (int i = 0; i < MANY; i++) {
		fd[i] = join(&w, NULL);
		send_part(&w, fd[i], 1000, 10);
	}
	CHECK_EQ(held(&w), MANY * RX_BLOCK);
	begin_waiting(&w, &honest, 300000);
	advance_ms(&w, STUCK_MS - 200);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 0);
	for (int i = 0; i < 20; i++) {
		advance_ms(&w, 100);
		send_rest(&w, &honest);
	}
	CHECK_EQ(w.nseen, 1);
	CHECK(metric_get(&w.metrics, METRIC_connections_shed_total) < MANY);	/* as many as needed, not all */
	end_waiting(&w, &honest);
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	turns(&w);
	advance_ms(&w, 200);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

/* Both have sent a large part, and go on: 60 KB and 10 bytes in ten seconds. */
TEST(a_slow_sender_keeps_its_place_and_one_that_trickles_does_not)
{
	static const uint8_t some[6000];
	struct waiting honest;
	struct world w;
	int slow, trickle;

	world_init(&w, budget);
	slow = join(&w, NULL);
	send_part(&w, slow, 500000, 300000);
	trickle = join(&w, NULL);
	send_part(&w, trickle, 8 << 20, 200000);
	begin_waiting(&w, &honest, 400000);
	for (int i = 0; i < STUCK_MS / 1000 + 5; i++) {
		advance_ms(&w, 1000);
		CHECK_EQ(send(slow, some, sizeof(some), MSG_NOSIGNAL), sizeof(some));
		(void)!send(trickle, some, 1, MSG_NOSIGNAL);
		turns(&w);
		send_rest(&w, &honest);
	}
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 1);
	CHECK_STR(take_all(trickle), "|");
	CHECK_STR(take_all(slow), "");
	CHECK_EQ(w.nseen, 1);
	end_waiting(&w, &honest);
	close(slow);
	close(trickle);
	turns(&w);
	advance_ms(&w, 200);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

TEST(a_request_that_waits_protects_no_half_of_another_behind_it)
{
	struct waiting honest;
	struct world w;
	char byte;
	int fd;

	world_init(&w, budget);
	w.answer_abandoned = true;
	fd = join(&w, NULL);
	send_frame(fd, "P1");
	turns(&w);
	REQUIRE(w.nseen == 1);
	net_request_allow_next(w.seen[0]);
	send_part(&w, fd, 8 << 20, 600000);
	begin_waiting(&w, &honest, 600000);
	advance_ms(&w, STUCK_MS + 200);
	send_rest(&w, &honest);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 1);
	CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);	/* RESET: what it sent last was not read */
	CHECK_EQ(w.nseen, 2);
	w.seen[0] = NULL;
	end_waiting(&w, &honest);
	close(fd);
	turns(&w);
	advance_ms(&w, 200);
	CHECK_EQ(held(&w), 0);
	world_fini(&w);
}

/* An answer of n bytes, whose making took a hundred times as much memory. */
static void
reply_costly(struct net_request *r, size_t n)
{
	uint8_t *b = calloc(1, n);

	r->arena.cap = SIZE_MAX;
	must(arena_alloc(&r->arena, 100 * n) != NULL);
	reply_bytes(r, b, n);
	free(b);
}

TEST(answers_that_nobody_reads_count_with_the_memory_they_hold)
{
	struct world w;
	unsigned answered = 0;
	int fd, small = 4096;

	world_init(&w, budget);
	fd = join(&w, NULL);
	must_zero(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
	for (int i = 0; i < 100; i++)
		send_frame(fd, "F1");
	turns(&w);
	while (answered < w.nseen) {
		reply_costly(w.seen[answered], 20000);
		w.seen[answered++] = NULL;
		turns(&w);
	}
	CHECK(answered < 50);			/* 2 MB each, and the socket takes some of them */
	CHECK(held(&w) < 2 * (1 << 20) + 3 * 2020000);
	advance_ms(&w, STUCK_MS + 200);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), held(&w) > 0 ? 0 : 1);
	CHECK_EQ(held(&w), 0);
	close(fd);
	world_fini(&w);
}

TEST(memory_that_grows_past_twice_the_limit_is_taken_back_at_once)
{
	struct world w;
	int fd[4];

	world_init(&w, budget);
	for (int i = 0; i < 4; i++) {
		fd[i] = join(&w, NULL);
		send_frame(fd[i], "F1");
		turns(&w);
		w.seen[i]->arena.cap = SIZE_MAX;
		must(arena_alloc(&w.seen[i]->arena, 900000) != NULL);
		net_request_release_bytes(w.seen[i]);		/* counts what it has by now */
	}
	w.answer_abandoned = true;
	CHECK(held(&w) > 3 * BUDGET);
	advance_ms(&w, 150);
	CHECK(held(&w) <= 2 * BUDGET);
	CHECK_EQ(metric_get(&w.metrics, METRIC_connections_shed_total), 2);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	turns(&w);
	advance_ms(&w, 150);
	world_fini(&w);
}

TEST(reading_ahead_stops_while_too_many_frames_wait)
{
	struct world w;
	int a, b;

	world_init(&w, few_queued);
	a = join(&w, NULL);
	b = join(&w, NULL);
	send_frame(a, "P1");
	send_frame(a, "F2");
	turns(&w);
	net_request_allow_next(w.seen[0]);
	turns(&w);				/* F2 was read ahead, and waits */
	send_frame(b, "P3");
	turns(&w);
	CHECK_EQ(w.nseen, 2);			/* nobody who waits for nothing is held up */
	net_request_allow_next(w.seen[1]);
	turns(&w);
	send_frame(b, "P4");
	turns(&w);
	CHECK_EQ(w.nseen, 2);
	answer(&w, 0);
	turns(&w);
	CHECK_EQ(w.nseen, 3);			/* F2 */
	answer(&w, 1);
	turns(&w);
	CHECK_EQ(w.nseen, 4);
	answer(&w, 2);
	answer(&w, 3);
	turns(&w);
	close(a);
	close(b);
	world_fini(&w);
}

TEST(shutdown_answers_what_runs_and_takes_nothing_new)
{
	struct world w;
	int busy, idle;

	world_init(&w, NULL);
	busy = join(&w, NULL);
	idle = join(&w, NULL);
	send_frame(busy, "F1");
	send_frame(busy, "F2");
	turns(&w);
	net_shutdown(w.net, 1000, w.loop, &w.shut_task);
	turns(&w);
	CHECK_STR(take_all(idle), "|");
	CHECK(!w.shut);
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(busy), "F1|");
	CHECK(w.shut);
	CHECK_EQ(w.nseen, 1);
	close(busy);
	close(idle);
	net_free(&w.net);
	loop_free(&w.loop);
}

TEST(shutdown_cuts_after_its_grace_but_waits_for_handlers)
{
	struct world w;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, NULL);
	send_frame(fd, "F1");
	turns(&w);
	net_shutdown(w.net, 1000, w.loop, &w.shut_task);
	turns(&w);
	advance_ms(&w, 1001);
	CHECK_STR(take_all(fd), "|");
	CHECK(!w.shut);
	answer(&w, 0);
	turns(&w);
	CHECK(w.shut);
	close(fd);
	net_free(&w.net);
	loop_free(&w.loop);
}

TEST(a_handler_may_close_its_connection_from_inside)
{
	struct world w;
	struct net_conn *c;
	int fd;

	world_init(&w, NULL);
	fd = join(&w, &c);
	send_frame(fd, "F1");
	turns(&w);
	net_conn_close(c);
	answer(&w, 0);
	turns(&w);
	CHECK_STR(take_all(fd), "|");
	CHECK_EQ(w.nclosed, 1);
	close(fd);
	world_fini(&w);
}

/* Frames arrive in random pieces on many connections, answers are given in random order: every answer reaches its asker, in order. */
/* Two members beat.  What the second sends within a moment of the first's waits for the end of that moment, once. */
TEST(what_comes_after_a_lazy_request_may_be_gathered_with_others_and_only_that)
{
	struct net_conn *c[2];
	struct world w;
	int fd[2], crowd[8];

	world_init(&w, NULL);
	w.echo = true;
	for (int i = 0; i < 2; i++) {
		fd[i] = join(&w, &c[i]);
		send_frame(fd[i], "La");
		turns(&w);
		CHECK_STR(take_all(fd[i]), "La");
		CHECK(c[i]->watch.lazy);
	}
	send_frame(fd[0], "Lb");
	turns(&w);
	CHECK_STR(take_all(fd[0]), "Lb");	/* at once: that was seldom so far */
	for (int j = 0; j < 8; j++) {
		crowd[j] = join(&w, NULL);
		send_frame(crowd[j], "L");
		turns(&w);
	}
	for (int i = 0; i < 100; i++) {		/* many beat all the time */
		for (int j = 0; j < 8; j++)
			send_frame(crowd[j], "Lb");
		advance_ms(&w, LOOP_LAZY_MS + 1);
	}
	take_all(fd[0]);
	take_all(fd[1]);
	send_frame(fd[0], "Lc");
	send_frame(fd[1], "d");
	turns(&w);
	CHECK_STR(take_all(fd[0]), "");
	CHECK_STR(take_all(fd[1]), "");
	advance_ms(&w, LOOP_LAZY_MS + 1);
	CHECK_STR(take_all(fd[0]), "Lc");
	CHECK_STR(take_all(fd[1]), "d");
	CHECK(c[1]->watch.lazy);
	for (const char *more = "e\0f\0g\0"; *more != '\0'; more += 2) {
		send_frame(fd[1], more);
		advance_ms(&w, 100);
	}
	CHECK_STR(take_all(fd[1]), "e f g");
	CHECK(!c[1]->watch.lazy);
	/* The rest of a frame that has begun to come is not kept waiting. */
	send_raw(fd[0], "\0\0", 2);
	advance_ms(&w, LOOP_LAZY_MS + 1);
	CHECK(!c[0]->watch.lazy);
	send_raw(fd[0], "\0\1L", 3);
	turns(&w);
	CHECK_STR(take_all(fd[0]), "L");
	CHECK(c[0]->watch.lazy);
	/* A peer that goes is noticed all the same. */
	close(fd[0]);
	advance_ms(&w, LOOP_LAZY_MS + 1);
	CHECK_EQ(w.nclosed, 1);
	close(fd[1]);
	turns(&w);
	CHECK_EQ(w.nclosed, 2);
	for (int j = 0; j < 8; j++)
		close(crowd[j]);
	world_fini(&w);
}

TEST(a_thousand_connections_get_their_own_answers_in_order)
{
	enum { CONNS = 1000, FRAMES = 4 };
	struct world *w = xcalloc(1, sizeof(*w));
	int *fd = xcalloc(CONNS, sizeof(int));
	struct random_seeded rs;
	char text[64], want[128];

	random_seeded_init(&rs, unit_seed());
	world_init(w, NULL);
	for (int i = 0; i < CONNS; i++)
		fd[i] = join(w, NULL);
	for (int k = 0; k < FRAMES; k++)
		for (int i = 0; i < CONNS; i++) {
			snprintf(text, sizeof(text), "P%d-%d", i, k);
			send_frame(fd[i], text);
		}
	turns(w);
	for (unsigned done = 0, i; done < CONNS * FRAMES; done++) {
		if (w->nseen == 0)
			break;
		do {
			i = random_below(&rs.random, w->nseen);
		} while (w->seen[i] == NULL && random_below(&rs.random, 50) > 0);
		for (unsigned j = 0; j < w->nseen && w->seen[i] == NULL; j++)
			i = (i + 1) % w->nseen;
		if (w->seen[i] == NULL)
			break;
		if (random_below(&rs.random, 2) == 0) {
			net_request_allow_next(w->seen[i]);
			loop_turn(w->loop, 0);
		}
		answer(w, i);
		if (random_below(&rs.random, 8) == 0)
			turns(w);
		if (done % 64 == 0)
			turns(w);
	}
	turns(w);
	for (unsigned i = 0; i < w->nseen; i++)
		if (w->seen[i] != NULL) {
			answer(w, i);
			turns(w);
		}
	CHECK_EQ(w->nseen, CONNS * FRAMES);
	for (int i = 0; i < CONNS; i++) {
		snprintf(want, sizeof(want), "P%d-0 P%d-1 P%d-2 P%d-3", i, i, i, i);
		CHECK_STR(take_all(fd[i]), want);
		close(fd[i]);
	}
	free(fd);
	world_fini(w);
	free(w);
}

UNIT_MAIN("net/conn", T(a_request_is_heard_whole_however_it_is_cut), T(requests_run_one_at_a_time),
    T(produces_may_overtake_nothing_but_each_others_waiting), T(a_pipeline_has_a_bounded_number_of_slots),
    T(a_pipeline_has_a_bounded_number_of_bytes_and_released_ones_do_not_count), T(no_reply_frees_the_place_and_sends_nothing),
    T(a_close_waits_for_its_turn_and_drops_what_came_behind), T(a_bad_length_closes_after_what_was_asked_before_is_answered),
    T(a_peer_that_shuts_its_side_still_gets_its_answers), T(requests_outlive_a_peer_that_vanished),
    T(a_slow_reader_gets_no_further_request_executed), T(a_peer_that_goes_in_the_middle_of_an_answer_costs_only_its_connection),
    T(a_throttled_connection_waits_its_time), T(idle_connections_are_closed_busy_ones_are_not),
    T(a_waiting_connection_whose_peer_is_gone_ends_when_it_was_idle_too_long),
    T(request_memory_is_bounded_over_all_connections),
    T(what_is_held_is_counted_and_given_back), T(large_frames_wait_for_memory_and_small_ones_do_not), T(small_halves_of_many_peers_make_room),
    T(a_slow_sender_keeps_its_place_and_one_that_trickles_does_not), T(a_request_that_waits_protects_no_half_of_another_behind_it),
    T(who_holds_much_and_gets_nothing_done_makes_room_for_those_who_do), T(answers_that_nobody_reads_count_with_the_memory_they_hold),
    T(memory_that_grows_past_twice_the_limit_is_taken_back_at_once), T(reading_ahead_stops_while_too_many_frames_wait),
    T(shutdown_answers_what_runs_and_takes_nothing_new), T(shutdown_cuts_after_its_grace_but_waits_for_handlers),
    T(a_handler_may_close_its_connection_from_inside), T(what_comes_after_a_lazy_request_may_be_gathered_with_others_and_only_that), T(a_thousand_connections_get_their_own_answers_in_order))
