/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zkserver/bed.c - see bed.h.
 */
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bed.h"

enum { STEP_MS = ZKSERVER_TICK_MS / 10, OPEN_ACL_PERMS = 31 };

static void
failed(void *ctx, const char *why)
{
	struct bed *b = ctx;

	b->failures++;
	snprintf(b->failed, sizeof(b->failed), "%s", why);
}

bool
bed_open(struct bed *b)
{
	struct zkserver_options opt = { .loop = b->loop, .workers = b->workers, .fs = b->fs, .random = &b->random.random, .dir = "/d",
	    .host = b->host, .tick_ms = ZKSERVER_TICK_MS, .connections_per_host = b->connections_per_host, .connections_max = b->connections_max,
	    .held_max = b->held_max, .packet_max = 1 << 20, .failed = failed, .ctx = b };

	b->words.text[0] = b->failed[0] = '\0';
	b->open_error = zkserver_open(&opt, &b->server, &b->words);
	if (b->open_error == OK) {
		if (b->opened != NULL)
			b->opened(b);
		zkserver_start(b->server);
		bed_settle(b);
	}
	return (b->open_error == OK);
}

void
bed_init_on(struct bed *b, struct fs *fs)
{
	struct errbuf eb = ERRBUF_INIT;

	*b = (struct bed){ .fs = fs, .connections_per_host = 0 };
	clock_manual_init(&b->clock, 1700000000000);
	random_seeded_init(&b->random, 1);
	must(loop_new(&(struct loop_options){ .name = "test", .clock = &b->clock.clock }, &b->loop, &eb) == OK);
	must(workers_new(0, "test", &b->workers, &eb) == OK);
	(void)bed_open(b);
}

void
bed_init(struct bed *b)
{
	static struct clock_manual clock;
	struct errbuf eb = ERRBUF_INIT;
	struct fs *fs;

	clock_manual_init(&clock, 1700000000000);
	fs = fs_power_new(&clock.clock);
	must(fs_mkdir_p(fs, "/d", &eb) == OK && fs->ops->sync_dir(fs, "/", &eb) == OK);
	bed_init_on(b, fs);
	must(b->server != NULL);
}

bool
bed_turn(struct bed *b)
{
	return (loop_turn(b->loop, 0));
}

void
bed_settle(struct bed *b)
{
	unsigned idle = 0;

	while (idle < 3) {	/* what one end of a socketpair writes, the other sees in the next turn */
		bool some = bed_turn(b);

		some = workers_step(b->workers) || some;
		idle = some ? 0 : idle + 1;
	}
}

void
bed_advance(struct bed *b, int64_t ms)
{
	for (; ms > 0; ms -= STEP_MS) {
		clock_manual_advance_ns(&b->clock, (ms < STEP_MS ? ms : STEP_MS) * 1000000);
		bed_settle(b);
	}
}

struct stopped {
	struct task task;
	bool yes;
};

static void
stopped(struct task *t)
{
	CONTAINER_OF(t, struct stopped, task)->yes = true;
}

void
bed_stop(struct bed *b)
{
	struct stopped s = { .task.fn = stopped };

	if (b->server == NULL)
		return;
	zkserver_stop(b->server, b->loop, &s.task);
	bed_settle(b);
	must(s.yes);
	zkserver_free(&b->server);
}

/* The files as they are now go on; the server is ended on files that nobody looks at. */
void
bed_abandon(struct bed *b)
{
	struct fs *now = fs_power_copy(b->fs);

	bed_stop(b);
	fs_power_free(&b->fs);
	b->fs = now;
}

void
bed_fini(struct bed *b)
{
	bed_stop(b);
	workers_free(&b->workers);
	loop_free(&b->loop);
	fs_power_free(&b->fs);
}

/* ---- a client ---- */

struct peer *
peer_raw(struct bed *b)
{
	struct peer *p = xcalloc(1, sizeof(*p));
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	p->b = b;
	p->fd = fd[0];
	zkserver_adopt(b->server, fd[1]);
	return (p);
}

void
peer_free(struct peer **pp)
{
	if (*pp == NULL)
		return;
	close((*pp)->fd);
	free((*pp)->bytes);
	free(*pp);
	*pp = NULL;
}

void
peer_send(struct peer *p, struct slice s)
{
	ssize_t n;

	while (s.len > 0) {
		n = send(p->fd, s.p, s.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			bed_settle(p->b);
			continue;
		}
		if (n <= 0)
			return;		/* it was closed on us: the reader will see */
		s.p += n;
		s.len -= (size_t)n;
	}
}

static void
fill(struct peer *p)
{
	uint8_t chunk[65536];
	ssize_t n;

	while ((n = recv(p->fd, chunk, sizeof(chunk), 0)) > 0) {
		if (p->taken > 0)
			memmove(p->bytes, p->bytes + p->taken, p->len - p->taken);
		p->len -= p->taken;
		p->taken = 0;
		p->bytes = xreallocarray(p->bytes, p->len + (size_t)n, 1);
		memcpy(p->bytes + p->len, chunk, (size_t)n);
		p->len += (size_t)n;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		p->ended = true;
}

static bool
next_frame(struct peer *p, struct slice *frame)
{
	size_t len;

	fill(p);
	if (p->len - p->taken < 4)
		return (false);
	len = be32dec(p->bytes + p->taken);
	if (p->len - p->taken - 4 < len)
		return (false);
	*frame = slice_of(p->bytes + p->taken + 4, len);
	p->taken += 4 + len;
	return (true);
}

bool
peer_connect(struct peer *p, int64_t session, const uint8_t password[16])
{
	struct jute_out out = { 0 };
	size_t begun = jute_frame_begin(&out);
	struct slice frame;
	struct reader in;

	jute_put_i32(&out, 0);
	jute_put_i64(&out, p->zxid_seen);
	jute_put_i32(&out, 6000);
	jute_put_i64(&out, session);
	jute_put_bytes(&out, slice_of(password, 16));
	jute_put_bool(&out, false);
	jute_frame_end(&out, begun);
	peer_send(p, slice_of(out.p, out.len));
	jute_out_fini(&out);
	bed_settle(p->b);
	if (!next_frame(p, &frame))
		return (false);
	in = reader_of(frame);
	(void)rd_i32(&in);
	p->timeout_ms = rd_i32(&in);
	p->session = rd_i64(&in);
	memcpy(p->password, jute_bytes(&in).p, sizeof(p->password));
	return (!in.bad && p->session != 0);
}

struct peer *
peer_new(struct bed *b)
{
	static const uint8_t none[16];
	struct peer *p = peer_raw(b);

	must(peer_connect(p, 0, none));
	return (p);
}

struct peer *
peer_again(struct peer *old)
{
	struct peer *p = peer_raw(old->b);

	p->zxid_seen = old->zxid_seen;
	if (!peer_connect(p, old->session, old->password))
		peer_free(&p);
	return (p);
}

/* ---- requests ---- */

struct jute_out
peer_begin(struct peer *p, int32_t type)
{
	struct jute_out out = { 0 };

	jute_frame_begin(&out);
	jute_put_i32(&out, type == 11 ? -2 : ++p->xid);
	jute_put_i32(&out, type);
	return (out);
}

void
peer_end(struct peer *p, struct jute_out *out)
{
	jute_frame_end(out, 4);
	peer_send(p, slice_of(out->p, out->len));
	jute_out_fini(out);
}

void
put_open_acl(struct jute_out *out)
{
	jute_put_i32(out, 1);
	jute_put_i32(out, OPEN_ACL_PERMS);
	jute_put_string(out, "world");
	jute_put_string(out, "anyone");
}

void
peer_create(struct peer *p, const char *path, const char *data, int32_t flags)
{
	struct jute_out out = peer_begin(p, 1);

	jute_put_string(&out, path);
	jute_put_string(&out, data);
	put_open_acl(&out);
	jute_put_i32(&out, flags);
	peer_end(p, &out);
}

void
peer_set(struct peer *p, const char *path, const char *data, int32_t version)
{
	struct jute_out out = peer_begin(p, 5);

	jute_put_string(&out, path);
	jute_put_string(&out, data);
	jute_put_i32(&out, version);
	peer_end(p, &out);
}

void
peer_delete(struct peer *p, const char *path, int32_t version)
{
	struct jute_out out = peer_begin(p, 2);

	jute_put_string(&out, path);
	jute_put_i32(&out, version);
	peer_end(p, &out);
}

static void
read_with_watch(struct peer *p, int32_t type, const char *path, bool watch)
{
	struct jute_out out = peer_begin(p, type);

	jute_put_string(&out, path);
	jute_put_bool(&out, watch);
	peer_end(p, &out);
}

void
peer_get(struct peer *p, const char *path, bool watch)
{
	read_with_watch(p, 4, path, watch);
}

void
peer_exists(struct peer *p, const char *path, bool watch)
{
	read_with_watch(p, 3, path, watch);
}

void
peer_children(struct peer *p, const char *path, bool watch)
{
	read_with_watch(p, 8, path, watch);
}

void
peer_simple(struct peer *p, int32_t type)
{
	struct jute_out out = peer_begin(p, type);

	peer_end(p, &out);
}

void
peer_ping(struct peer *p)
{
	peer_simple(p, 11);
}

/* ---- answers ---- */

const struct answer *
peer_next(struct peer *p)
{
	struct answer *a = &p->answer;
	struct slice frame, path;

	if (!next_frame(p, &frame))
		return (NULL);
	*a = (struct answer){ .body = reader_of(frame) };
	a->xid = rd_i32(&a->body);
	a->zxid = rd_i64(&a->body);
	a->error = rd_i32(&a->body);
	if (a->zxid > p->zxid_seen)
		p->zxid_seen = a->zxid;
	if (a->xid == -1) {
		a->event = rd_i32(&a->body);
		(void)rd_i32(&a->body);
		path = jute_bytes(&a->body);
		snprintf(a->path, sizeof(a->path), "%.*s", (int)path.len, (const char *)path.p);
	}
	return (a);
}

int32_t
peer_error(struct peer *p)
{
	const struct answer *a;

	bed_settle(p->b);
	a = peer_next(p);
	CHECK(a != NULL && a->event == 0);
	return (a == NULL ? INT32_MIN : a->error);
}

bool
peer_has(struct peer *p, const char *path, const char *data)
{
	peer_get(p, path, false);
	return (peer_error(p) == 0 && slice_eq(jute_bytes(&p->answer.body), slice_str(data)));
}
