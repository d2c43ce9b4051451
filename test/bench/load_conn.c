/* SPDX-License-Identifier: Apache-2.0
 *
 * load_conn.c - connections of the load, their loop, and frames.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "groupload.h"

enum { INBOX = 1 << 20, EVENTS = 256, CORRELATION_AT = 8, ARENA_MAX = 64 << 20, FETCH_BY_NAME = 12 };

int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (t.tv_sec * INT64_C(1000000000) + t.tv_nsec);
}

void
load_init(struct load *l)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->epoll < 0 || l->timer < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) != 0)
		err(1, "epoll");
	arena_init(&l->arena, ARENA_MAX);
	l->inbox = xmalloc(INBOX);
}

void
load_fini(struct load *l)
{
	close(l->timer);
	close(l->epoll);
	arena_fini(&l->arena);
	free(l->inbox);
	free(l->frame);
}

struct slice
group_name(struct load *l, int group)
{
	return (slice_str(arena_printf(&l->arena, "%s%d", l->prefix, group)));
}

/* ---- frames ---- */

/* The newest there is; of Fetch the newest that names topics. */
static int
version_of(const struct wire_api *api)
{
	return (api->key == API_FETCH ? FETCH_BY_NAME : api->max);
}

void
frame_make(struct load *l, enum api_key key, int32_t correlation, void *request)
{
	const struct wire_api *api = wire_api((int)key);
	struct errbuf eb = ERRBUF_INIT;
	struct chain chain;

	chain_init(&chain);
	if (wire_request_frame(api, version_of(api), correlation, SLICE_LIT("groupload"), request, &l->arena, &chain, &eb) != OK)
		errx(1, "%s cannot be encoded: %s", api->name, eb.text);
	if (chain.len > l->frame_room) {
		free(l->frame);
		l->frame_room = chain.len;
		l->frame = xmalloc(l->frame_room);
	}
	l->frame_len = 0;
	for (struct chain_item *i = chain.first; i != NULL; i = i->next) {
		memcpy(l->frame + l->frame_len, i->mem.p, i->mem.len);
		l->frame_len += i->mem.len;
	}
	chain_fini(&chain);
}

static const void *
answer_of(struct load *l, const struct wire_api *api, int32_t correlation, struct slice frame)
{
	struct errbuf eb = ERRBUF_INIT;
	int32_t got;
	void *body;

	arena_reset(&l->arena);
	if (wire_response_correlation(frame, &got) != OK || got != correlation)
		errx(1, "%s was answered with another question's answer", api->name);
	if (wire_response_decode(api, version_of(api), frame, &l->arena, &body, &eb) != OK)
		errx(1, "the answer to %s cannot be read: %s", api->name, eb.text);
	return (body);
}

static uint32_t
frame_length(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	n = ntohl(n);
	if (n > INBOX - sizeof(n))
		errx(1, "an answer of %u bytes", n);
	return (n);
}

/* ---- connections ---- */

static void
watch(struct conn *c, int op, bool write)
{
	struct epoll_event ev = { .events = EPOLLIN | (write ? (unsigned)EPOLLOUT : 0U), .data.ptr = c };

	if (epoll_ctl(c->load->epoll, op, c->fd, &ev) != 0)
		err(1, "epoll_ctl");
	c->wants_write = write;
}

void
conn_open(struct load *l, struct conn *c, void *owner)
{
	int one = 1;

	memset(c, 0, sizeof(*c));
	c->load = l;
	c->owner = owner;
	c->fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(1, "socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&l->address, l->address_len) != 0 && errno != EINPROGRESS)
		err(1, "connect");
	watch(c, EPOLL_CTL_ADD, true);
}

void
conn_close(struct conn *c)
{
	close(c->fd);
	free(c->asks);
	free(c->in);
	free(c->out);
}

static struct ask *
ask_new(struct conn *c)
{
	struct ask *ring;

	if (c->n == c->room) {
		ring = xreallocarray(NULL, (size_t)c->room * 2 + 4, sizeof(*ring));
		for (uint32_t i = 0; i < c->n; i++)
			ring[i] = c->asks[(c->head + i) % c->room];
		free(c->asks);
		c->asks = ring;
		c->head = 0;
		c->room = c->room * 2 + 4;
	}
	return (&c->asks[(c->head + c->n++) % c->room]);
}

static void
conn_write(struct conn *c, const uint8_t *p, size_t len)
{
	ssize_t n = 0;

	if (c->out_len == 0 && !c->wants_write) {
		n = write(c->fd, p, len);
		if (n < 0 && errno != EAGAIN)
			err(1, "write");
		n = n < 0 ? 0 : n;
	}
	if ((size_t)n == len)
		return;
	c->out = xreallocarray(c->out, c->out_len + len - (size_t)n, 1);
	memcpy(c->out + c->out_len, p + n, len - (size_t)n);
	c->out_len += len - (size_t)n;
	if (!c->wants_write)
		watch(c, EPOLL_CTL_MOD, true);
}

void
conn_ask_frame(struct conn *c, enum api_key key, uint8_t *frame, size_t len, int64_t due_ns,
    void (*answered)(struct conn *, const struct ask *, const void *))
{
	uint32_t correlation = htonl((uint32_t)c->next_correlation);
	struct ask *a = ask_new(c);

	*a = (struct ask){ .api = wire_api((int)key), .correlation = c->next_correlation++, .due_ns = due_ns, .answered = answered };
	memcpy(frame + CORRELATION_AT, &correlation, sizeof(correlation));
	conn_write(c, frame, len);
}

void
conn_ask(struct conn *c, enum api_key key, void *request, int64_t due_ns, void (*answered)(struct conn *, const struct ask *, const void *))
{
	frame_make(c->load, key, 0, request);
	conn_ask_frame(c, key, c->load->frame, c->load->frame_len, due_ns, answered);
}

static void
conn_writable(struct conn *c)
{
	ssize_t n = c->out_len == 0 ? 0 : write(c->fd, c->out, c->out_len);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		err(1, "write");
	if (n > 0)
		memmove(c->out, c->out + n, c->out_len - (size_t)n);
	c->out_len -= (size_t)n;
	if (c->out_len == 0) {
		free(c->out);
		c->out = NULL;
		watch(c, EPOLL_CTL_MOD, false);
	}
}

static void
conn_answer(struct conn *c, struct slice frame)
{
	struct ask a;

	if (c->n == 0)
		errx(1, "an answer that nobody asked for");
	a = c->asks[c->head];
	c->head = (c->head + 1) % c->room;
	c->n--;
	a.answered(c, &a, answer_of(c->load, a.api, a.correlation, frame));
}

static void
conn_readable(struct conn *c)
{
	uint8_t *inbox = c->load->inbox;
	size_t len = c->in_len, at = 0;
	ssize_t n;

	if (len > 0)
		memcpy(inbox, c->in, len);
	n = read(c->fd, inbox + len, INBOX - len);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		errx(1, "the broker closed a connection: %s", n < 0 ? strerror(errno) : "end of file");
	len += (size_t)n;
	while (len - at >= 4 && len - at - 4 >= frame_length(inbox + at)) {
		size_t body = frame_length(inbox + at);

		conn_answer(c, slice_of(inbox + at + 4, body));
		at += 4 + body;
	}
	free(c->in);
	c->in_len = len - at;
	c->in = c->in_len == 0 ? NULL : memcpy(xmalloc(c->in_len), inbox + at, c->in_len);
}

/* ---- the loop ---- */

static void
timer_arm(struct load *l, int64_t until_ns)
{
	struct itimerspec t = { .it_value = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 } };

	if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL) != 0)
		err(1, "timerfd_settime");
}

void
load_turn(struct load *l, int64_t until_ns)
{
	bool wait = until_ns > now_ns();
	struct epoll_event ev[EVENTS];
	int n;

	if (wait)
		timer_arm(l, until_ns);
	n = epoll_wait(l->epoll, ev, EVENTS, wait ? -1 : 0);
	if (n < 0 && errno != EINTR)
		err(1, "epoll_wait");
	for (int i = 0; i < n; i++) {
		struct conn *c = ev[i].data.ptr;
		uint64_t expired;

		if (c == NULL) {
			(void)!read(l->timer, &expired, sizeof(expired));
			continue;
		}
		if (ev[i].events & EPOLLOUT)
			conn_writable(c);
		if (ev[i].events & ~(unsigned)EPOLLOUT)
			conn_readable(c);
	}
}

/* ---- without the loop ---- */

int
plain_connect(struct load *l)
{
	int fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&l->address, l->address_len) == 0)
		return (fd);
	close(fd);
	return (-1);
}

bool
plain_send(struct load *l, int fd, enum api_key key, void *request)
{
	ssize_t n;

	frame_make(l, key, 0, request);
	for (size_t at = 0; at < l->frame_len; at += (size_t)n) {
		n = send(fd, l->frame + at, l->frame_len - at, MSG_NOSIGNAL);
		if (n <= 0)
			return (false);
	}
	return (true);
}

static bool
plain_read(int fd, uint8_t *p, size_t len)
{
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n) {
		n = read(fd, p + at, len - at);
		if (n <= 0)
			return (false);
	}
	return (true);
}

const void *
plain_receive(struct load *l, int fd, enum api_key key)
{
	uint32_t len;

	if (!plain_read(fd, l->inbox, 4))
		return (NULL);
	len = frame_length(l->inbox);
	if (!plain_read(fd, l->inbox, len))
		return (NULL);
	return (answer_of(l, wire_api((int)key), 0, slice_of(l->inbox, len)));
}

/* ---- figures ---- */

double
cpu_seconds(int pid)
{
	struct timespec t;
	clockid_t id;

	if (pid < 0)
		return (0);
	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0)
		errx(1, "process %d: no CPU time", pid);
	return ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

void
latencies_print(const char *name, const struct histogram *h)
{
	printf(", \"%s\": {\"n\": %" PRIu64 ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}", name, h->count,
	    (double)histogram_percentile(h, 50) / 1e3, (double)histogram_percentile(h, 99) / 1e3, (double)histogram_percentile(h, 99.9) / 1e3,
	    (double)h->max / 1e3);
}
