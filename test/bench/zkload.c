/* SPDX-License-Identifier: Apache-2.0
 *
 * test/bench/zkload.c - create, setData, delete, again and again, by sessions that do not wait for one answer before the next question:
 *	zkload PORT [SESSIONS [IN-FLIGHT [SECONDS [DATA-BYTES]]]]
 *
 * ZooKeeper's protocol by hand over the loopback, one thread: the same client whatever serves, and it costs little.  Each session works below a node of
 * its own and has up to IN-FLIGHT requests unanswered.  A third of SECONDS warms up first and is not counted.  Prints the operations answered a
 * second; any error ends it with status 1.
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/must.h"
#include "zkserver/jute.h"

enum { SESSIONS_MAX = 1000, SESSION_MS = 30000, READ_BYTES = 1 << 18, PERMS_ALL = 31 };
enum { OP_CREATE = 1, OP_DELETE = 2, OP_SET = 5 };
enum { KINDS = 3 };

struct session {
	int		fd;
	unsigned	number;
	int32_t		asked, answered;	/* xids, from 1: the node of this session first, then three for each node */
	struct jute_out out;
	size_t		sent;
	uint8_t		in[READ_BYTES];
	size_t		have;
};

struct load {
	uint16_t	port;
	unsigned	sessions, in_flight, seconds;
	struct slice	data;
	struct session *v[SESSIONS_MAX];
	uint64_t	answered;
};

NORETURN static void
die(const char *what)
{
	fprintf(stderr, "zkload: %s\n", what);
	exit(1);
}

/* ---- requests ---- */

static void
put_create(struct jute_out *out, const char *path, struct slice data)
{
	jute_put_string(out, path);
	jute_put_bytes(out, data);
	jute_put_i32(out, 1);
	jute_put_i32(out, PERMS_ALL);
	jute_put_string(out, "world");
	jute_put_string(out, "anyone");
	jute_put_i32(out, 0);
}

static void
put_set(struct jute_out *out, const char *path, struct slice data)
{
	jute_put_string(out, path);
	jute_put_bytes(out, data);
	jute_put_i32(out, -1);
}

/* xid 1 makes the session's own node; behind it each node is made, changed, deleted. */
static void
ask(const struct load *l, struct session *s)
{
	static const int32_t types[KINDS] = { OP_CREATE, OP_SET, OP_DELETE };
	int32_t xid = ++s->asked, type = xid == 1 ? OP_CREATE : types[(xid - 2) % KINDS];
	size_t begun = jute_frame_begin(&s->out);
	char path[64];

	if (xid == 1)
		snprintf(path, sizeof(path), "/zkload-%d-%u", (int)getpid(), s->number);
	else
		snprintf(path, sizeof(path), "/zkload-%d-%u/n%d", (int)getpid(), s->number, (int)((xid - 2) / KINDS));
	jute_put_i32(&s->out, xid);
	jute_put_i32(&s->out, type);
	if (type == OP_CREATE) {
		put_create(&s->out, path, xid == 1 ? SLICE_LIT("") : l->data);
	} else if (type == OP_SET) {
		put_set(&s->out, path, l->data);
	} else {
		jute_put_string(&s->out, path);
		jute_put_i32(&s->out, -1);
	}
	jute_frame_end(&s->out, begun);
}

static void
put_connect(struct jute_out *out)
{
	static const uint8_t none[16];
	size_t begun = jute_frame_begin(out);

	jute_put_i32(out, 0);
	jute_put_i64(out, 0);
	jute_put_i32(out, SESSION_MS);
	jute_put_i64(out, 0);
	jute_put_bytes(out, slice_of(none, sizeof(none)));
	jute_put_bool(out, false);
	jute_frame_end(out, begun);
}

/* ---- bytes ---- */

static void
flush(struct session *s)
{
	ssize_t n = send(s->fd, s->out.p + s->sent, s->out.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		die(strerror(errno));
	s->sent += n < 0 ? 0 : (size_t)n;
	if (s->sent == s->out.len)
		s->sent = s->out.len = 0;
}

static void
take_answer(struct load *l, struct session *s, struct slice frame)
{
	struct reader in = reader_of(frame);
	char words[80];
	int32_t xid = rd_i32(&in), error;

	(void)rd_i64(&in);
	error = rd_i32(&in);
	if (in.bad || xid != s->answered + 1 || error != 0) {
		snprintf(words, sizeof(words), "xid %d answered with error %d after xid %d", (int)xid, (int)error, (int)s->answered);
		die(words);
	}
	s->answered = xid;
	l->answered++;
}

static void
receive(struct load *l, struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->have, sizeof(s->in) - s->have, MSG_DONTWAIT);
	size_t at = 0, len;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die(n == 0 ? "the server has closed a connection" : strerror(errno));
	s->have += n < 0 ? 0 : (size_t)n;
	while (s->have - at >= 4 && s->have - at - 4 >= (len = be32dec(s->in + at))) {
		take_answer(l, s, slice_of(s->in + at + 4, len));
		at += 4 + len;
	}
	memmove(s->in, s->in + at, s->have - at);
	s->have -= at;
}

/* Connected, with a session. */
static struct session *
session_new(const struct load *l, unsigned number)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(l->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct session *s = xcalloc(1, sizeof(*s));
	uint8_t answer[64];
	int on = 1;

	s->number = number;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(strerror(errno));
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	put_connect(&s->out);
	flush(s);
	if (recv(s->fd, answer, 4, MSG_WAITALL) != 4 || be32dec(answer) > sizeof(answer) ||
	    recv(s->fd, answer, be32dec(answer), MSG_WAITALL) <= 16)
		die("no session");
	return (s);
}

/* ---- time ---- */

/* -> operations answered a second */
static double
run_for(struct load *l, int64_t ms)
{
	int64_t begun = clock_mono_ns(clock_real()), now = begun;
	uint64_t before = l->answered;
	struct pollfd p[SESSIONS_MAX];

	for (; now < begun + ms * 1000000; now = clock_mono_ns(clock_real())) {
		for (unsigned i = 0; i < l->sessions; i++) {
			struct session *s = l->v[i];

			while (s->asked - s->answered < (int32_t)l->in_flight)
				ask(l, s);
			flush(s);
			p[i] = (struct pollfd){ .fd = s->fd, .events = (short)(POLLIN | (s->out.len > 0 ? POLLOUT : 0)) };
		}
		must(poll(p, l->sessions, 100) >= 0);
		for (unsigned i = 0; i < l->sessions; i++)
			if (p[i].revents != 0)
				receive(l, l->v[i]);
	}
	return ((double)(l->answered - before) * 1e9 / (double)(now - begun));
}

static unsigned
argument(int argc, char **argv, int i, unsigned otherwise)
{
	return (argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise);
}

int
main(int argc, char **argv)
{
	struct load l = { .port = (uint16_t)argument(argc, argv, 1, 0), .sessions = argument(argc, argv, 2, 10),
	    .in_flight = argument(argc, argv, 3, 100), .seconds = argument(argc, argv, 4, 6) };
	size_t len = argument(argc, argv, 5, 100);

	if (l.port == 0 || l.sessions == 0 || l.sessions > SESSIONS_MAX || l.in_flight == 0)
		die("usage: zkload PORT [SESSIONS [IN-FLIGHT [SECONDS [DATA-BYTES]]]]");
	l.data = slice_of(xcalloc(1, len + 1), len);
	for (unsigned i = 0; i < l.sessions; i++)
		l.v[i] = session_new(&l, i);
	(void)run_for(&l, (int64_t)l.seconds * 1000 / 3);
	printf("%.0f\n", run_for(&l, (int64_t)l.seconds * 1000 * 2 / 3));
	return (0);
}
