/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/server/world.c - see world.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/must.h"
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

enum { CORRELATION = 77 };

static void
on_shut(struct task *t)
{
	CONTAINER_OF(t, struct world, shut_task)->shut = true;
}

static void
join(struct world *w, int client)
{
	struct net_conn *conn;
	int sv[2];

	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(w->net, 0, sv[0], NULL, &conn, NULL) == OK);
	w->fd[client] = sv[1];
}

static void
load_config(struct world *w, const char *const *overrides, size_t n)
{
	static const char text[] = "zookeeper.connect=x:1\n";
	const struct config_input in = { .file = "unit", .text = slice_of(text, sizeof(text) - 1), .overrides = overrides, .override_count = n };
	struct config_report report = CONFIG_REPORT_INIT;
	struct config *config = NULL;

	if (config_load(&in, &config, &report) != OK)
		for (size_t i = 0; i < report.count; i++)
			fprintf(stderr, "%s\n", report.notes[i].text);
	must(config != NULL);
	config_report_fini(&report);
	w->config = config;
}

static void
make_producer_ids(struct world *w)
{
	struct producer_ids_options opt = { .loop = w->bed.control, .broker_id = 1, .clock = &w->bed.clock.clock, .diag = w->bed.diag };

	w->zk = zk_fake_new(&w->bed.clock.clock);
	opt.zk = zk_fake_client(w->zk, w->bed.control);
	w->producer_ids = producer_ids_new(&opt);
}

void
world_init(struct world *w, const char *const *overrides, size_t n)
{
	struct server_options so = { 0 };
	struct net_options no = { 0 };

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	bed_init(&w->bed);
	load_config(w, overrides, n);
	make_producer_ids(w);
	so.broker_id = 1;
	so.cluster = w->bed.cluster;
	so.replicas = w->bed.manager;
	so.producer_ids = w->producer_ids;
	so.control = w->bed.control;
	so.loops = &w->bed.loop;
	so.nloops = 1;
	so.workers = w->bed.workers;
	so.clock = &w->bed.clock.clock;
	so.random = &w->bed.random.random;
	so.diag = w->bed.diag;
	so.metrics = &w->bed.metrics;
	so.config = w->config;
	w->server = server_new(&so);
	no.loops = &w->bed.loop;
	no.nloops = 1;
	no.metrics = &w->bed.metrics;
	no.handler = server_net_handler(w->server);
	no.request_bytes_max = LIMIT_REQUEST_BYTES_MAX;
	no.limits = NET_LIMITS_NONE;
	must(net_new(&no, &w->net, NULL) == OK);
	w->shut_task.fn = on_shut;
	join(w, 0);
	join(w, 1);
}

void
world_fini(struct world *w)
{
	struct config *config = (void *)(uintptr_t)w->config;

	for (int i = 0; i < 2; i++)
		if (w->fd[i] >= 0)
			close(w->fd[i]);
	bed_run(&w->bed);
	net_shutdown(w->net, 1000, w->bed.loop, &w->shut_task);
	bed_run(&w->bed);
	CHECK(w->shut);
	net_free(&w->net);
	server_free(&w->server);
	producer_ids_stop(w->producer_ids);
	bed_run(&w->bed);
	producer_ids_free(&w->producer_ids);
	zk_fake_free(&w->zk);
	CHECK_EQ(metric_get(&w->bed.metrics, METRIC_fetch_sessions), 0);
	CHECK_EQ(metric_get(&w->bed.metrics, METRIC_fetch_session_partitions), 0);
	config_unref(&config);
	bed_fini(&w->bed);
}

void
world_send(struct world *w, int client, int key, int version, void *body)
{
	struct chain out;
	struct errbuf eb = ERRBUF_INIT;

	chain_init(&out);
	must(wire_request_frame(wire_api(key), version, CORRELATION, slice_str("unit"), body, &w->bed.arena, &out, &eb) == OK);
	for (const struct chain_item *it = out.first; it != NULL; it = it->next)
		must(send(w->fd[client], it->mem.p, it->mem.len, MSG_NOSIGNAL) == (ssize_t)it->mem.len);
	chain_fini(&out);
	bed_run(&w->bed);
}

struct slice
world_take(struct world *w, int client, bool *closed)
{
	enum { ROOM = 1 << 20 };
	static uint8_t buf[ROOM];
	struct slice copy;
	size_t n = 0;
	ssize_t got;

	do {
		while ((got = recv(w->fd[client], buf + n, ROOM - n, 0)) > 0)
			n += (size_t)got;
		bed_run(&w->bed);
		got = recv(w->fd[client], buf + n, ROOM - n, 0);
		n += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	*closed = got == 0 || (got < 0 && errno == ECONNRESET);
	copy = arena_dup(&w->bed.arena, slice_of(buf, n));
	must(copy.p != NULL);
	return (copy);
}

void *
world_answer(struct world *w, int client, int key, int version)
{
	bool closed;
	struct slice s = world_take(w, client, &closed);
	void *body = NULL;
	struct errbuf eb = ERRBUF_INIT;

	if (s.len == 0 && !closed)
		return (NULL);
	if (!unit_check(!closed && s.len >= 8 && be32dec(s.p) == s.len - 4 && be32dec(s.p + 4) == CORRELATION, __FILE__, __LINE__,
	    "an answer to %s version %d", wire_api(key)->name, version))
		return (NULL);
	s.p += 4;
	s.len -= 4;
	if (!unit_check(wire_response_decode(wire_api(key), version, s, &w->bed.arena, &body, &eb) == OK, __FILE__, __LINE__, "%s", eb.text))
		return (NULL);
	return (body);
}

void *
world_ask(struct world *w, int client, int key, int version, void *body)
{
	void *answer;

	world_send(w, client, key, version, body);
	answer = world_answer(w, client, key, version);
	unit_check(answer != NULL, __FILE__, __LINE__, "%s version %d is answered at once", wire_api(key)->name, version);
	return (answer);
}
