/* SPDX-License-Identifier: Apache-2.0
 *
 * test/bench/syncload.c - many producers that each wait for one answer before the next record:
 *	syncload PORT CONNECTIONS SECONDS FRAME-FILE...
 *
 * A frame file is a whole Produce request (version 7, one topic, one partition, acks other than 0), made by the caller; connection i sends the
 * (i mod n)-th again and again.  A third of SECONDS warms up first and is not counted.  Prints {"rate": answers a second, "p50_us": ..., "p99_us": ...};
 * an answer with an error ends it with status 1.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/must.h"

enum { CONNECTIONS_MAX = 5000, ANSWER_MAX = 1024, SAMPLES_MAX = 1 << 22, EVENTS = 256 };

struct frame {
	uint8_t *bytes;
	size_t	 len;
};

struct producer {
	int		    fd;
	const struct frame *frame;
	int64_t		    sent_ns;
	uint8_t		    in[ANSWER_MAX];
	size_t		    have;
};

struct load {
	struct frame	*frames;
	int		 nframes;
	struct producer *producers;
	int		 nproducers;
	uint32_t	*us;
	size_t		 nsamples;
	bool		 counting;
};

static void
die(const char *what)
{
	fprintf(stderr, "syncload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct frame
frame_read(const char *path)
{
	struct frame fr = { .bytes = NULL };
	FILE *f = fopen(path, "rb");
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) <= 0)
		die(path);
	rewind(f);
	fr.len = (size_t)size;
	fr.bytes = xmalloc(fr.len);
	if (fread(fr.bytes, 1, fr.len, f) != fr.len)
		die(path);
	(void)fclose(f);
	return (fr);
}

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Frames are small beside a socket's buffer, and nothing else is under way. */
static void
ask(struct producer *p)
{
	size_t sent = 0;

	p->sent_ns = clock_mono_ns(clock_real());
	while (sent < p->frame->len) {
		ssize_t n = send(p->fd, p->frame->bytes + sent, p->frame->len - sent, MSG_NOSIGNAL);

		if (n < 0)
			die("send");
		sent += (size_t)n;
	}
}

/* length, correlation, 1 topic, its name, 1 partition, index, error */
static int
answer_error(const struct producer *p)
{
	size_t at = 4 + 4 + 4, name = (size_t)p->in[at] << 8 | p->in[at + 1];

	at += 2 + name + 4 + 4;
	must(at + 2 <= p->have);
	return (p->in[at] << 8 | p->in[at + 1]);
}

static void
hear(struct load *l, struct producer *p)
{
	ssize_t n = recv(p->fd, p->in + p->have, sizeof(p->in) - p->have, 0);

	if (n <= 0)
		die(n == 0 ? "the broker has closed a connection" : "recv");
	p->have += (size_t)n;
	if (p->have < 4 || p->have < 4 + be32(p->in))
		return;
	if (answer_error(p) != 0) {
		fprintf(stderr, "syncload: Produce: error %d\n", answer_error(p));
		exit(1);
	}
	p->have = 0;
	if (l->counting && l->nsamples < SAMPLES_MAX)
		l->us[l->nsamples++] = (uint32_t)((clock_mono_ns(clock_real()) - p->sent_ns) / 1000);
	ask(p);
}

static void
open_all(struct load *l, int epoll, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	for (int i = 0; i < l->nproducers; i++) {
		struct producer *p = &l->producers[i];
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };

		p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
			die("connect");
		must_zero(setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
		must_zero(epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &ev));
		p->frame = &l->frames[i % l->nframes];
	}
}

static void
run_until(struct load *l, int epoll, int64_t end_ns)
{
	struct epoll_event ready[EVENTS];

	while (clock_mono_ns(clock_real()) < end_ns) {
		int n = epoll_wait(epoll, ready, EVENTS, 100);

		for (int i = 0; i < n; i++)
			hear(l, ready[i].data.ptr);
	}
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return ((x > y) - (x < y));
}

int
main(int argc, char **argv)
{
	struct load l = { .nframes = argc - 4 };
	double seconds;
	int64_t now;
	int epoll;

	if (argc < 5 || (l.nproducers = atoi(argv[2])) <= 0 || l.nproducers > CONNECTIONS_MAX || (seconds = atof(argv[3])) <= 0) {
		fprintf(stderr, "usage: syncload PORT CONNECTIONS SECONDS FRAME-FILE...\n");
		return (2);
	}
	l.frames = xcalloc((size_t)l.nframes, sizeof(*l.frames));
	for (int i = 0; i < l.nframes; i++)
		l.frames[i] = frame_read(argv[4 + i]);
	l.producers = xcalloc((size_t)l.nproducers, sizeof(*l.producers));
	l.us = xreallocarray(NULL, SAMPLES_MAX, sizeof(*l.us));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	open_all(&l, epoll, atoi(argv[1]));
	for (int i = 0; i < l.nproducers; i++)
		ask(&l.producers[i]);
	now = clock_mono_ns(clock_real());
	run_until(&l, epoll, now + (int64_t)(seconds / 3 * 1e9));
	l.counting = true;
	now = clock_mono_ns(clock_real());
	run_until(&l, epoll, now + (int64_t)(seconds * 2 / 3 * 1e9));
	seconds = (double)(clock_mono_ns(clock_real()) - now) / 1e9;
	if (l.nsamples == 0) {
		fprintf(stderr, "syncload: no answer in %.0f seconds\n", seconds);
		return (1);
	}
	qsort(l.us, l.nsamples, sizeof(*l.us), by_value);
	printf("{\"rate\": %.1f, \"p50_us\": %" PRIu32 ", \"p99_us\": %" PRIu32 "}\n", (double)l.nsamples / seconds, l.us[l.nsamples / 2],
	    l.us[l.nsamples * 99 / 100]);
	return (0);
}
