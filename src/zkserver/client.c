/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/client.c - one client's connection: frames in, answers out.
 *
 * MEMORY  What a client makes us keep: the frame it is sending (packet_max at most, grown with the bytes that came) and its answers.  Above
 *         UNSENT_MAX of those nothing more is read from it, so that its next request waits.  Events come unasked, and one answer may be large:
 *         a client that holds more than ZK_CONNECTION_BYTES_MAX is closed, and while all together hold more than ZK_CONNECTIONS_BYTES_MAX
 *         whoever holds most.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zkserver/server_int.h"

enum {
	UNSENT_MAX = 1 << 20,
	FRAMES_PER_TURN = 256,		/* of one client, so that others have their turn */
	KEEP_MAX = 64 << 10,		/* a larger empty buffer is given back */
};

static size_t
unsent(const struct client *c)
{
	return (c->out.len - c->sent + c->held[HOLD_WRITING].len + c->held[HOLD_PENDING].len);
}

/* ---- memory ---- */

static void
count(struct client *c)
{
	struct zkserver *s = c->s;
	size_t now = c->out.room + c->held[HOLD_WRITING].room + c->held[HOLD_PENDING].room + (c->rx.block == NULL ? 0 : c->rx.block->size);

	if (c->doomed)
		return;
	s->held = s->held - c->counted + now;
	c->counted = now;
}

static void
end_doomed(struct task *t)
{
	struct client *c = CONTAINER_OF(t, struct client, doom_task);

	zkconn_close(c);
}

/* Its watches cannot be dropped here: this may be inside an operation of the tree. */
static void
doom(struct client *c)
{
	struct zkserver *s = c->s;

	diag_warning(s->opt.diag, "zkserver", "%s:%u is closed: it makes us keep %zu bytes (all connections together: %zu)", c->host, (unsigned)c->port,
	    c->counted, s->held);
	c->doomed = c->closing = true;
	s->held -= c->counted;
	c->counted = 0;
	c->doom_task.fn = end_doomed;
	loop_at_end(s->opt.loop, &c->doom_task);
}

/* Of those that hold much; NULL: none does. */
static struct client *
largest(struct zkserver *s)
{
	struct client *c, *most = NULL;

	TAILQ_FOREACH(c, &s->clients, link)
		if (c->counted > (most == NULL ? LIMIT_HELD_MUCH : most->counted))
			most = c;
	return (most);
}

void
zkconn_said(struct client *c)
{
	struct zkserver *s = c->s;
	struct client *most;

	count(c);
	if (c->counted > LIMIT_ZK_CONNECTION_BYTES_MAX)
		doom(c);
	while (s->held > s->opt.held_max && (most = largest(s)) != NULL)
		doom(most);
}

void
zkconn_no_session(struct client *c)
{
	c->session = NULL;
	c->deadline_ms = loop_now_ms(c->s->opt.loop) + SESSIONLESS_MS;
}

void
zkconn_tick(struct client *c)
{
	if (c->session == NULL && loop_now_ms(c->s->opt.loop) >= c->deadline_ms) {
		diag_info(c->s->opt.diag, "zkserver", "%s:%u is closed: it has had no session for %d ms", c->host, (unsigned)c->port, (int)SESSIONLESS_MS);
		zkconn_close(c);
		return;
	}
	rxbuf_trim(&c->rx, NULL);
	if (c->out.len == 0)
		jute_out_fini(&c->out);
	count(c);
}

static void
want(struct client *c)
{
	unsigned w = 0;

	if (c->gone)
		return;
	if (!c->closing && unsent(c) < UNSENT_MAX)
		w |= WATCH_READ;
	if (c->sent < c->out.len)
		w |= WATCH_WRITE;
	watch_want(c->s->opt.loop, &c->watch, w);
}

static void
zkconn_free(struct task *t)
{
	struct client *c = CONTAINER_OF(t, struct client, free_task);

	rxbuf_fini(&c->rx);
	jute_out_fini(&c->out);
	for (int i = 0; i < HOLDS; i++)
		jute_out_fini(&c->held[i]);
	acl_identities_fini(&c->ids);
	free(c);
}

void
zkconn_close(struct client *c)
{
	struct zkserver *s = c->s;

	if (c->gone)
		return;
	c->gone = true;
	if (c->session != NULL) {
		zk_tree_drop_watches(s->tree, c->session->id);
		c->session->conn = NULL;
		c->session = NULL;
	}
	if (c->is_waiting)
		TAILQ_REMOVE(&s->waiting, c, waiting);
	TAILQ_REMOVE(&s->clients, c, link);
	s->nclients--;
	s->held -= c->counted;
	c->counted = 0;
	watch_remove(s->opt.loop, &c->watch);
	transport_close(&c->t);
	c->free_task.fn = zkconn_free;
	if (!c->more_posted)	/* else that task does it */
		loop_at_end(s->opt.loop, &c->free_task);
}

void
zkconn_close_after(struct client *c)
{
	c->closing = true;
	zkconn_flush(c);
}

struct jute_out *
zkconn_out(struct client *c)
{
	bool pending = c->s->dirty;

	if (!pending && c->s->writing == NULL)
		return (&c->out);
	if (!c->is_waiting) {
		c->is_waiting = true;
		TAILQ_INSERT_TAIL(&c->s->waiting, c, waiting);
	}
	return (&c->held[pending ? HOLD_PENDING : HOLD_WRITING]);
}

void
zkconn_release(struct client *c)
{
	struct jute_out *held = &c->held[HOLD_WRITING];

	jute_put_raw(&c->out, slice_of(held->p, held->len));
	jute_out_fini(held);
	if (c->held[HOLD_PENDING].len == 0) {
		c->is_waiting = false;
		TAILQ_REMOVE(&c->s->waiting, c, waiting);
	}
	zkconn_flush(c);
}

/* Whole frames that wait in the buffer are nothing the socket would tell of. */
static void
go_on(struct client *c)
{
	if (!c->more_posted && !c->closing && unsent(c) < UNSENT_MAX && rxbuf_has_frame(&c->rx)) {
		c->more_posted = true;
		loop_post(c->s->opt.loop, &c->more);
	}
}

void
zkconn_flush(struct client *c)
{
	enum net_io io = NET_IO_OK;
	size_t n;
	int error = 0;

	while (!c->gone && !c->doomed && c->sent < c->out.len && io == NET_IO_OK) {
		struct iovec v = { c->out.p + c->sent, c->out.len - c->sent };

		n = 0;
		io = c->t->ops->send(c->t, &v, 1, false, &n, &error);
		c->sent += n;
	}
	if (c->gone)
		return;
	if (io == NET_IO_ERROR || c->doomed) {
		zkconn_close(c);
		return;
	}
	if (c->sent == c->out.len) {
		c->sent = c->out.len = 0;
		if (c->out.room > KEEP_MAX)
			jute_out_fini(&c->out);
		if (c->closing && !c->is_waiting) {
			zkconn_close(c);
			return;
		}
	}
	zkconn_said(c);
	if (c->doomed)
		return;
	go_on(c);
	want(c);
}

/* ---- bytes in ---- */

static void
take_frame(struct client *c)
{
	struct rxblock *block = NULL;
	struct slice frame = rxbuf_take(&c->rx, &block);

	c->received++;
	c->s->received++;
	if (c->connected)
		request(c, frame);
	else
		request_connect(c, frame);
	rxblock_unref(&block);
}

/* false: nothing whole is there, or nothing more is wanted. */
static bool
take_next(struct client *c)
{
	int32_t len;

	if (c->gone || c->closing || !rxbuf_announced(&c->rx, &len))
		return (false);
	if (!c->connected && words(c, (uint32_t)len))
		return (false);
	if (len < 0 || len > c->s->opt.packet_max) {
		diag_warning(c->s->opt.diag, "zkserver", "%s:%u: a packet of %d bytes: the connection is closed (jute.maxbuffer is %d)", c->host,
		    (unsigned)c->port, (int)len, (int)c->s->opt.packet_max);
		zkconn_close(c);
		return (false);
	}
	if (!rxbuf_has_frame(&c->rx))
		return (false);
	take_frame(c);
	return (true);
}

static bool
receive(struct client *c)
{
	enum net_io io;
	size_t room, n = 0;
	int error = 0;
	uint8_t *p = rxbuf_room(&c->rx, NULL, &room);

	io = c->t->ops->recv(c->t, p, room, &n, &error);
	if (io == NET_IO_OK)
		rxbuf_received(&c->rx, n);
	else if (io != NET_IO_AGAIN)
		zkconn_close(c);
	return (io == NET_IO_OK);
}

static void
take_frames(struct client *c)
{
	for (unsigned i = 0; i < FRAMES_PER_TURN && unsent(c) < UNSENT_MAX && take_next(c); i++)
		continue;
	if (!c->gone)
		zkconn_flush(c);
}

static void
take_more(struct task *t)
{
	struct client *c = CONTAINER_OF(t, struct client, more);

	c->more_posted = false;
	if (c->gone)
		loop_at_end(c->s->opt.loop, &c->free_task);	/* behind doom_task, if that waits there */
	else
		take_frames(c);
}

static void
on_ready(struct watch *w, unsigned ready)
{
	struct client *c = CONTAINER_OF(w, struct client, watch);

	if ((ready & WATCH_READ) == 0 && (ready & WATCH_CLOSED) != 0)
		zkconn_close(c);
	else if ((ready & WATCH_READ) != 0 && !c->closing && !rxbuf_has_frame(&c->rx) && !receive(c))
		return;
	else
		take_frames(c);
}

/* ---- birth ---- */

static bool
host_is_full(struct zkserver *s, const char *host)
{
	const struct client *c;
	int32_t n = 0;

	if (s->opt.connections_per_host <= 0)
		return (false);
	TAILQ_FOREACH(c, &s->clients, link)
		n += strcmp(c->host, host) == 0;
	return (n >= s->opt.connections_per_host);
}

static bool
has_room(struct zkserver *s, const char *host)
{
	if (s->stopping || s->failed)
		return (false);
	if (s->nclients >= (uint32_t)s->opt.connections_max)
		diag_warning(s->opt.diag, "zkserver", "too many connections, the last from %s: %d are allowed", host, (int)s->opt.connections_max);
	else if (host_is_full(s, host))
		diag_warning(s->opt.diag, "zkserver", "too many connections from %s: %d are allowed", host, (int)s->opt.connections_per_host);
	else
		return (true);
	return (false);
}

void
zkconn_new(struct zkserver *s, int fd)
{
	struct sockaddr_storage peer = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	socklen_t len = sizeof(peer);
	char host[ADDR_TEXT_MAX] = "";
	struct client *c;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
		addr_text(&peer, host);
	if (!has_room(s, host)) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->t = transport_tcp_new(fd);
	c->port = addr_port(&peer);
	memcpy(c->host, host, sizeof(host));
	c->more.fn = take_more;
	zkconn_no_session(c);
	rxbuf_init(&c->rx);
	must(acl_identity_add(&c->ids, "ip", host));
	watch_init(&c->watch, fd, on_ready);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->nclients++;
	if (watch_add(s->opt.loop, &c->watch, WATCH_READ, &eb) != OK) {
		diag_warning(s->opt.diag, "zkserver", "%s:%u: %s", c->host, (unsigned)c->port, eb.text);
		zkconn_close(c);
	}
}
