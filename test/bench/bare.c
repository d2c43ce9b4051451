/* SPDX-License-Identifier: Apache-2.0
 *
 * bare.c - programs that do the least that a broker can do, to be measured beside brokers under the same client (see bare.h):
 *
 *	bare walk DIRECTORY PARTITIONS		recv, CRC-32C, a step over every record, pwrite; Fetch is one sendfile
 *	bare inflate DIRECTORY PARTITIONS	the same, and what is compressed is decompressed
 *	bare echo DIRECTORY PARTITIONS		an epoll loop that appends what it gets and answers with the same bytes every time
 *	bare pages DIRECTORY MEGABYTES FILES	no server: the cost of fresh pages in the page cache.  Writes so many bytes to so many new files in turn,
 *						prints the CPU seconds of that as JSON, removes them
 *
 * A server says the port it listens on, on standard output, and ends when its standard input does.
 *
 * BUFFERS  Of its sockets: what Kafka's defaults ask for (socket.send.buffer.bytes, socket.receive.buffer.bytes: 102400), as the brokers beside it have
 *          them.  With the kernel's own choice a megabyte leaves in one call, which no broker with these defaults can do.
 *
 * LOOP   One thread, level-triggered.  A connection's frames are answered one after the other: while an answer is on its way nothing more is read
 *        from it.  Behind a Fetch that waits no client of a bench sends more than READ_MIN bytes: with more of them the loop would spin.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bare.h"
#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"

enum { BACKLOG = 1024, EVENTS = 256, READ_MIN = 16384, FRAME_MAX = 100 << 20, ARENA_MAX = 64 << 20, CANNED_MAX = 512, PAGES_PIECE = 1000000,
	PARTITIONS_MAX = 10000, SOCKET_BUFFER = 102400 };

struct conn {
	LIST_ENTRY(conn) all;
	TAILQ_ENTRY(conn) waiting;
	int		 fd;
	bool		 writes;	/* watched for room to write, and for nothing else */
	uint8_t		*in;
	size_t		 len, room;
	struct arena	 arena;		/* of the answer on its way */
	struct chain	 out;
	int64_t		 late_ms;	/* a Fetch waits until then; 0: none does */
	int32_t		 waits_for;	/* bare_wait.partition */
	uint8_t		 canned[CANNED_MAX];	/* BARE_ECHO: the answer to the first Produce request, and so to all */
	size_t		 canned_len;
	int32_t		 canned_partition;
};

struct server {
	struct bare	 bare;
	int		 epoll, listener;
	LIST_HEAD(, conn) conns;
	TAILQ_HEAD(conns, conn) waiting;	/* who is late first stands first */
	int32_t		 appended;	/* bare.appended since those who wait were last asked */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000);
}

/* ---- sending ---- */

static void
watch(struct server *s, struct conn *c, int op, bool writes)
{
	struct epoll_event ev = { .events = writes ? EPOLLOUT : EPOLLIN, .data.ptr = c };

	if (epoll_ctl(s->epoll, op, c->fd, &ev) != 0)
		err(1, "epoll_ctl");
	c->writes = writes;
}

static ssize_t
item_send(int fd, const struct chain_item *i)
{
	off_t at;

	if (i->kind == CHAIN_MEM)
		return (send(fd, i->mem.p, i->mem.len, MSG_DONTWAIT | MSG_NOSIGNAL | (i->next != NULL ? MSG_MORE : 0)));
	must(i->kind == CHAIN_FILE);
	at = (off_t)i->file.pos;
	return (sendfile(fd, i->file.file->fd, &at, i->file.len));
}

static uint64_t
item_sent(struct chain_item *i, size_t n)
{
	if (i->kind == CHAIN_MEM) {
		i->mem = slice_of(i->mem.p + n, i->mem.len - n);
		return (i->mem.len);
	}
	i->file.pos += n;
	i->file.len -= n;
	return (i->file.len);
}

/* false: the connection is broken.  What does not fit stays in `out`. */
static bool
conn_flush(struct server *s, struct conn *c)
{
	struct chain_item *i = c->out.first;
	ssize_t n;

	while (i != NULL) {
		n = item_send(c->fd, i);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			return (false);
		if (item_sent(i, (size_t)n) > 0)
			continue;
		if (i->kind == CHAIN_FILE)
			file_range_fini(&i->file);
		i = c->out.first = i->next;
	}
	if ((i != NULL) != c->writes)
		watch(s, c, EPOLL_CTL_MOD, i != NULL);
	if (i == NULL) {
		chain_init(&c->out);
		arena_reset(&c->arena);
	}
	return (true);
}

/* ---- answering ---- */

static bool
is_produce(struct slice frame)
{
	return (frame.len >= 8 && be16dec(frame.p) == API_PRODUCE);
}

/* Keeps the answer that was made, and the partition it was for. */
static void
can(struct conn *c, struct slice frame)
{
	struct wire_request_head h;
	struct wire_produce_request *q;
	struct errbuf eb = ERRBUF_INIT;
	struct arena arena;

	for (const struct chain_item *i = c->out.first; i != NULL; i = i->next) {
		if (i->mem.len > CANNED_MAX - c->canned_len)
			errx(1, "echo serves small answers");
		memcpy(c->canned + c->canned_len, i->mem.p, i->mem.len);
		c->canned_len += i->mem.len;
	}
	arena_init(&arena, ARENA_MAX);
	must(wire_request_parse(frame, &arena, &h, &eb) == OK && wire_request_decode(&h, &arena, (void **)&q, &eb) == OK);
	c->canned_partition = q->topic_data.n > 0 && q->topic_data.v->partition_data.n > 0 ? q->topic_data.v->partition_data.v->index : 0;
	arena_fini(&arena);
}

/* The frame with its length, as it came. */
static void
echo(struct server *s, struct conn *c, struct slice frame)
{
	bare_log_append_bytes(&s->bare.logs[c->canned_partition], slice_of(frame.p - 4, frame.len + 4));
	memcpy(c->canned + 4, frame.p + 4, 4);		/* its correlation id */
	must(chain_add_mem(&c->out, &c->arena, slice_of(c->canned, c->canned_len)));
}

static void
wait_begin(struct server *s, struct conn *c, const struct bare_wait *w)
{
	struct conn *before;

	if (c->late_ms != 0)
		return;		/* asked again in vain */
	c->late_ms = now_ms() + w->ms;
	c->waits_for = w->partition;
	before = TAILQ_LAST(&s->waiting, conns);
	while (before != NULL && before->late_ms > c->late_ms)
		before = TAILQ_PREV(before, conns, waiting);
	if (before == NULL)
		TAILQ_INSERT_HEAD(&s->waiting, c, waiting);
	else
		TAILQ_INSERT_AFTER(&s->waiting, before, c, waiting);
}

static void
wait_end(struct server *s, struct conn *c)
{
	if (c->late_ms != 0)
		TAILQ_REMOVE(&s->waiting, c, waiting);
	c->late_ms = 0;
}

/* false: close it.  BARE_LATER leaves the frame where it is. */
static bool
conn_answer(struct server *s, struct conn *c, struct slice frame, bool late)
{
	bool echoes = s->bare.work == BARE_ECHO && is_produce(frame);
	struct bare_wait wait;

	if (echoes && c->canned_len > 0) {
		echo(s, c, frame);
		return (true);
	}
	switch (bare_answer(&s->bare, frame, late, &c->arena, &c->out, &wait)) {
	case BARE_REFUSED:
		return (false);
	case BARE_LATER:
		arena_reset(&c->arena);
		wait_begin(s, c, &wait);
		return (true);
	case BARE_ANSWERED:
		break;
	}
	wait_end(s, c);
	if (s->bare.appended != BARE_NONE)
		s->appended = s->appended == BARE_NONE ? s->bare.appended : BARE_ANY;
	if (echoes)
		can(c, frame);
	return (true);
}

static bool
frame_whole(const struct conn *c, size_t at, size_t *len)
{
	if (c->len - at < 4)
		return (false);
	*len = be32dec(c->in + at);
	return (*len <= FRAME_MAX && c->len - at - 4 >= *len);
}

/* Answers what is there, as far as answers leave; false: close it. */
static bool
conn_step(struct server *s, struct conn *c, bool late)
{
	size_t at = 0, len;
	bool well = true;

	while (well && c->out.first == NULL && frame_whole(c, at, &len)) {
		well = conn_answer(s, c, slice_of(c->in + at + 4, len), late);
		if (!well || c->late_ms != 0)
			break;
		at += 4 + len;
		late = false;
		well = conn_flush(s, c);
	}
	if (at > 0)
		memmove(c->in, c->in + at, c->len - at);
	c->len -= at;
	return (well);
}

/* ---- receiving ---- */

/* To the end of the frame that has begun, so that a large one is never copied; small ones come together. */
static bool
conn_read(struct conn *c)
{
	size_t need = c->len < 4 ? READ_MIN : (size_t)be32dec(c->in) + 4;
	ssize_t n;

	if (need > FRAME_MAX)
		return (false);
	need = MAX(need, (size_t)READ_MIN);
	if (need > c->room) {
		c->in = xreallocarray(c->in, need, 1);
		c->room = need;
	}
	if (c->len >= need)
		return (true);		/* whole frames that wait for their turn */
	n = recv(c->fd, c->in + c->len, need - c->len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return (true);
	c->len += n < 0 ? 0 : (size_t)n;
	return (n > 0);
}

static void
conn_open(struct server *s)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	int one = 1;

	c->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0)
		err(1, "accept");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	arena_init(&c->arena, ARENA_MAX);
	chain_init(&c->out);
	LIST_INSERT_HEAD(&s->conns, c, all);
	watch(s, c, EPOLL_CTL_ADD, false);
}

static void
conn_close(struct server *s, struct conn *c)
{
	wait_end(s, c);
	LIST_REMOVE(c, all);
	close(c->fd);
	chain_fini(&c->out);
	arena_fini(&c->arena);
	free(c->in);
	free(c);
}

static void
conn_ready(struct server *s, struct conn *c)
{
	bool well = c->writes ? conn_flush(s, c) : conn_read(c);

	if (!well || (c->late_ms == 0 && !conn_step(s, c, false)))
		conn_close(s, c);
}

/* ---- the loop ---- */

/* Something may have come for this one. */
static bool
concerns(const struct server *s, const struct conn *c)
{
	return (s->appended != BARE_NONE && (s->appended == BARE_ANY || c->waits_for == BARE_ANY || c->waits_for == s->appended));
}

/* -> milliseconds until the next Fetch is late; -1: none waits */
static int
ask_again(struct server *s)
{
	int64_t now = now_ms();
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&s->waiting); c != NULL && (s->appended != BARE_NONE || c->late_ms <= now); c = next) {
		next = TAILQ_NEXT(c, waiting);
		if ((concerns(s, c) || c->late_ms <= now) && !conn_step(s, c, c->late_ms <= now))
			conn_close(s, c);
	}
	s->appended = BARE_NONE;
	c = TAILQ_FIRST(&s->waiting);
	return (c == NULL ? -1 : (int)MAX(c->late_ms - now, 0));
}

static void
serve(struct server *s)
{
	struct epoll_event ev[EVENTS];
	int n, wait = -1;

	for (;;) {
		n = epoll_wait(s->epoll, ev, EVENTS, wait);
		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == &s->listener)
				conn_open(s);
			else if (ev[i].data.ptr == s)
				return;
			else
				conn_ready(s, ev[i].data.ptr);
		}
		wait = ask_again(s);
	}
}

static void
listen_somewhere(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int bytes = SOCKET_BUFFER;

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);	/* its connections inherit its buffers */
	if (s->listener < 0 || setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0 ||
	    setsockopt(s->listener, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0 ||
	    bind(s->listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(s->listener, BACKLOG) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) != 0)
		err(1, "listen");
	s->bare.port = ntohs(a.sin_port);
	printf("%d\n", (int)s->bare.port);
	fflush(stdout);
}

static int
server_main(enum bare_work work, const char *directory, int32_t partitions)
{
	struct server s = { .bare = { .work = work, .partitions = partitions, .codec = codec_ctx_new() } };
	struct epoll_event listener = { .events = EPOLLIN, .data.ptr = &s.listener }, end = { .events = EPOLLIN, .data.ptr = &s };

	signal(SIGPIPE, SIG_IGN);
	LIST_INIT(&s.conns);
	TAILQ_INIT(&s.waiting);
	s.appended = BARE_NONE;
	s.bare.logs = xcalloc((size_t)partitions, sizeof(*s.bare.logs));
	for (int32_t p = 0; p < partitions; p++)
		bare_log_open(&s.bare.logs[p], directory, p);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	listen_somewhere(&s);
	if (epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener, &listener) != 0 || epoll_ctl(s.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &end) != 0)
		err(1, "epoll_ctl");	/* standard input must be a pipe */
	serve(&s);
	while (!LIST_EMPTY(&s.conns))
		conn_close(&s, LIST_FIRST(&s.conns));
	for (int32_t p = 0; p < partitions; p++)
		bare_log_close(&s.bare.logs[p]);
	free(s.bare.logs);
	codec_ctx_free(s.bare.codec);
	close(s.listener);
	close(s.epoll);
	return (0);
}

/* ---- pages ---- */

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

static int
pages_main(const char *directory, int64_t megabytes, int32_t files)
{
	struct bare_log *logs = xcalloc((size_t)files, sizeof(*logs));
	uint8_t *piece = memset(xmalloc(PAGES_PIECE), 'x', PAGES_PIECE);
	char *path;
	double began;

	for (int32_t f = 0; f < files; f++)
		bare_log_open(&logs[f], directory, f);
	began = cpu_seconds();
	for (int64_t i = 0; i < megabytes; i++)
		bare_log_append_bytes(&logs[i % files], slice_of(piece, PAGES_PIECE));
	printf("{\"bytes\": %" PRId64 ", \"cpu\": %.6f}\n", megabytes * PAGES_PIECE, cpu_seconds() - began);
	for (int32_t f = 0; f < files; f++) {
		bare_log_close(&logs[f]);
		path = xasprintf("%s/%d.log", directory, (int)f);
		if (unlink(path) != 0)
			err(1, "%s", path);
		free(path);
	}
	free(logs);
	free(piece);
	return (0);
}

static int64_t
number(const char *text, int64_t max)
{
	int64_t n;

	if (!str_to_i64(slice_str(text), &n) || n < 1 || n > max)
		errx(1, "%s: not a number from 1 to %" PRId64, text, max);
	return (n);
}

int
main(int argc, char **argv)
{
	static const char *const works[] = { [BARE_WALK] = "walk", [BARE_INFLATE] = "inflate", [BARE_ECHO] = "echo" };

	if (argc == 5 && strcmp(argv[1], "pages") == 0)
		return (pages_main(argv[2], number(argv[3], INT32_MAX), (int32_t)number(argv[4], PARTITIONS_MAX)));
	for (size_t i = 0; argc == 4 && i < NELEM(works); i++)
		if (strcmp(argv[1], works[i]) == 0)
			return (server_main((enum bare_work)i, argv[2], (int32_t)number(argv[3], PARTITIONS_MAX)));
	errx(1, "usage: bare walk|inflate|echo DIRECTORY PARTITIONS, or bare pages DIRECTORY MEGABYTES FILES");
}
