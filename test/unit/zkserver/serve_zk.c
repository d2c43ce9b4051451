/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zkserver/serve_zk.c - the embedded server alone:  serve_zk DIR PORT [TICK-MS]
 *
 * For tests that compare it with a ZooKeeper, and for those that kill it.  Prints its port, serves until its standard input ends.  Exit status 0;
 * 1: it could not start; 3: its store failed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "zkserver/zkserver.h"

struct side {
	struct loop	*loop;
	struct zkserver *server;
	struct watch	 input;
	struct task	 done;
	bool		 over, broken;
};

static void
failed(void *ctx, const char *why)
{
	struct side *s = ctx;

	fprintf(stderr, "serve_zk: %s\n", why);
	s->broken = s->over = true;
}

static void
stopped(struct task *t)
{
	CONTAINER_OF(t, struct side, done)->over = true;
}

static void
input(struct watch *w, unsigned ready)
{
	struct side *s = CONTAINER_OF(w, struct side, input);
	char byte;

	(void)ready;
	if (read(w->fd, &byte, 1) > 0)
		return;
	watch_remove(s->loop, w);
	zkserver_stop(s->server, s->loop, &s->done);
}

static void
complain(const struct errbuf *eb)
{
	fprintf(stderr, "serve_zk: %s\n", eb->text);
	exit(1);
}

int
main(int argc, char **argv)
{
	struct errbuf eb = ERRBUF_INIT;
	struct workers *workers = NULL;
	struct side s = { .done.fn = stopped };
	struct zkserver_options opt = { .failed = failed, .ctx = &s, .host = "127.0.0.1", .connections_per_host = ZKSERVER_CONNECTIONS_PER_HOST,
	    .packet_max = ZKSERVER_PACKET_MAX, .fs = fs_real(), .random = random_real() };

	if (argc < 3) {
		fprintf(stderr, "usage: serve_zk DIR PORT [TICK-MS]\n");
		return (1);
	}
	signal(SIGPIPE, SIG_IGN);
	opt.dir = argv[1];
	opt.port = (uint16_t)atoi(argv[2]);
	opt.tick_ms = argc > 3 ? atoi(argv[3]) : ZKSERVER_TICK_MS;
	if (loop_new(&(struct loop_options){ .name = "zkserver", .clock = clock_real() }, &s.loop, &eb) != OK ||
	    workers_new(1, "zkstore", &workers, &eb) != OK)
		complain(&eb);
	opt.loop = s.loop;
	opt.workers = workers;
	if (zkserver_open(&opt, &s.server, &eb) != OK)
		complain(&eb);
	zkserver_start(s.server);
	watch_init(&s.input, STDIN_FILENO, input);
	if (watch_add(s.loop, &s.input, WATCH_READ, &eb) != OK)
		complain(&eb);
	printf("%u\n", (unsigned)zkserver_port(s.server));
	fflush(stdout);
	while (!s.over)
		loop_turn(s.loop, 1000);
	if (s.broken)
		return (3);
	zkserver_free(&s.server);
	workers_free(&workers);
	loop_free(&s.loop);
	return (0);
}
