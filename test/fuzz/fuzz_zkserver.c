/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_zkserver.c - the embedded ZooKeeper: bytes into its connections, over sessions that begin, end, expire, move and survive a restart.
 *
 * INPUT   steps: u8 what (the lowest 3 bits) and which of four clients (the next 2) | what it needs:
 *	   CONNECT nothing | REQUEST u8 type, u16 length, its body | BYTES u16 length, bytes as they are | READ nothing | WAIT u8, in 200 ms |
 *	   HANG_UP nothing | BACK nothing (another connection of the session it had) | RESTART nothing
 * HOLDS   nothing panics, and the loop comes to rest; the tree keeps its invariants; whoever comes afterwards is served; the connections hold no more than
 *	   they may; what the server holds when it stops is what it holds when it is opened again, and its zxid does not go back.
 */
#include <sys/socket.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "test/fuzz/fs_mem.h"
#include "test/fuzz/fuzz.h"
#include "zkserver/server_int.h"

enum { CONNECT, REQUEST, BYTES, READ, WAIT, HANG_UP, BACK, RESTART, WHATS };
enum {
	CLIENTS = 4,
	STEPS_MAX = 400, RESTARTS_MAX = 2,
	TURNS_MAX = 20000,	/* until it must have come to rest: a frame of 8 KiB holds some hundreds of requests at most */
	WAIT_UNIT_MS = 200, STEP_MS = 1000,
	SESSION_MS = 6000,
};

struct peer {
	int	fd;			/* -1: none */
	int32_t	xid;
	int64_t	session;
	uint8_t	password[SESSION_PASSWORD_LEN];
};

struct world {
	struct clock_manual clock;
	struct random_seeded random;
	struct fs	*fs;
	struct loop	*loop;
	struct workers	*workers;
	struct zkserver	*s;
	struct peer	 peers[CLIENTS];
	unsigned	 restarts;
};

/* ---- the server ---- */

static void
failed(void *ctx, const char *why)
{
	(void)ctx;
	FUZZ_CHECKF(false, "the store failed: %s", why);
}

static void
settle(struct world *w)
{
	unsigned turns = 0;

	for (unsigned idle = 0; idle < 3; turns++) {	/* what one end of a socket pair writes, the other sees in the next turn */
		bool some = loop_turn(w->loop, 0);

		some = workers_step(w->workers) || some;
		idle = some ? 0 : idle + 1;
		FUZZ_CHECK(turns < TURNS_MAX);
	}
	zk_tree_check(w->s->tree);
	FUZZ_CHECK(w->s->held <= LIMIT_ZK_CONNECTIONS_BYTES_MAX);
}

static void
open_server(struct world *w)
{
	struct zkserver_options opt = { .loop = w->loop, .workers = w->workers, .fs = w->fs, .random = &w->random.random, .dir = "/d",
	    .tick_ms = ZKSERVER_TICK_MS, .packet_max = ZKSERVER_PACKET_MAX, .failed = failed, .ctx = w };
	struct errbuf eb = ERRBUF_INIT;

	FUZZ_CHECKF(zkserver_open(&opt, &w->s, &eb) == OK, "%s", eb.text);
	zkserver_start(w->s);
	settle(w);
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

static void
close_server(struct world *w)
{
	struct stopped s = { .task.fn = stopped };

	zkserver_stop(w->s, w->loop, &s.task);
	settle(w);
	FUZZ_CHECK(s.yes);
	zkserver_free(&w->s);
}

static void
put_node(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	jute_put_string(ctx, path);
	jute_put_bytes(ctx, data);
	jute_put_stat(ctx, stat);
}

static void
restart(struct world *w)
{
	struct jute_out before = { 0 }, after = { 0 };
	int64_t zxid;

	settle(w);
	zk_tree_walk(w->s->tree, put_node, &before);
	zxid = zk_tree_zxid(w->s->tree);
	close_server(w);
	open_server(w);
	zk_tree_walk(w->s->tree, put_node, &after);
	FUZZ_CHECK(slice_eq(slice_of(before.p, before.len), slice_of(after.p, after.len)));
	FUZZ_CHECK(zk_tree_zxid(w->s->tree) >= zxid);
	jute_out_fini(&before);
	jute_out_fini(&after);
}

static void
wait(struct world *w, int64_t ms)
{
	for (; ms > 0; ms -= STEP_MS) {
		clock_manual_advance_ns(&w->clock, MIN(ms, (int64_t)STEP_MS) * 1000000);
		settle(w);
	}
}

/* ---- clients ---- */

static void
hang_up(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* What does not fit into the socket is lost, which is one more way to be hostile. */
static void
say(struct peer *p, struct slice s)
{
	if (p->fd >= 0 && s.len > 0)
		(void)!send(p->fd, s.p, s.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
listen_to(struct peer *p)
{
	uint8_t bytes[65536];

	while (p->fd >= 0 && recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
}

static void
say_frame(struct peer *p, struct jute_out *out)
{
	jute_frame_end(out, 4);
	say(p, slice_of(out->p, out->len));
	jute_out_fini(out);
}

static void
connect_peer(struct world *w, struct peer *p, bool again)
{
	static const struct peer nobody;
	const struct peer *who = again ? p : &nobody;
	struct jute_out out = { 0 };
	struct reader in;
	uint8_t answer[64];
	ssize_t n;
	int fd[2];

	hang_up(p);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	p->fd = fd[0];
	zkserver_adopt(w->s, fd[1]);
	jute_frame_begin(&out);
	jute_put_i32(&out, 0);
	jute_put_i64(&out, 0);
	jute_put_i32(&out, SESSION_MS);
	jute_put_i64(&out, who->session);
	jute_put_bytes(&out, slice_of(who->password, sizeof(who->password)));
	jute_put_bool(&out, false);
	say_frame(p, &out);
	settle(w);
	n = recv(p->fd, answer, sizeof(answer), MSG_DONTWAIT);
	in = reader_of(slice_of(answer, n < 0 ? 0 : (size_t)n));
	(void)rd_i64(&in);		/* length, protocol version */
	(void)rd_i32(&in);
	p->session = rd_i64(&in);
	FUZZ_CHECK(!in.bad && (again || p->session != 0));
	memcpy(p->password, jute_bytes(&in).p, sizeof(p->password));
}

static struct jute_out
request_of(struct peer *p, int32_t type)
{
	struct jute_out out = { 0 };

	jute_frame_begin(&out);
	jute_put_i32(&out, ++p->xid);
	jute_put_i32(&out, type);
	return (out);
}

static const int32_t types[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105, 106, 107, -11, 0, 99 };

static void
step(struct world *w, struct slice *in)
{
	uint8_t what = fuzz_u8(in), type;
	struct peer *p = &w->peers[what / WHATS % CLIENTS];
	struct jute_out out;

	switch (what % WHATS) {
	case CONNECT:
		connect_peer(w, p, false);
		break;
	case BACK:
		connect_peer(w, p, true);
		break;
	case REQUEST:
		type = fuzz_u8(in);
		out = request_of(p, types[type % NELEM(types)]);
		jute_put_raw(&out, fuzz_take(in, fuzz_u16(in)));
		say_frame(p, &out);
		break;
	case BYTES:
		say(p, fuzz_take(in, fuzz_u16(in)));
		break;
	case READ:
		settle(w);
		listen_to(p);
		break;
	case WAIT:
		wait(w, (int64_t)fuzz_u8(in) * WAIT_UNIT_MS);
		break;
	case HANG_UP:
		hang_up(p);
		break;
	case RESTART:
		if (w->restarts++ < RESTARTS_MAX)
			restart(w);
		break;
	}
}

static void
somebody_is_served(struct world *w)
{
	struct peer p = { .fd = -1 };
	struct jute_out out;
	uint8_t answer[20];

	connect_peer(w, &p, false);
	out = request_of(&p, 11);
	say_frame(&p, &out);
	settle(w);
	FUZZ_CHECK(recv(p.fd, answer, sizeof(answer), MSG_DONTWAIT) == (ssize_t)sizeof(answer) && be32dec(answer) == 16);
	hang_up(&p);
	settle(w);
}

void
fuzz_one(struct slice in)
{
	struct world w = { 0 };

	clock_manual_init(&w.clock, INT64_C(1700000000000));
	random_seeded_init(&w.random, 1);
	w.fs = fs_mem_new();
	FUZZ_CHECK(fs_mkdir_p(w.fs, "/d", NULL) == OK);
	FUZZ_CHECK(loop_new(&(struct loop_options){ .name = "f", .clock = &w.clock.clock }, &w.loop, NULL) == OK);
	FUZZ_CHECK(workers_new(0, "f", &w.workers, NULL) == OK);
	for (int i = 0; i < CLIENTS; i++)
		w.peers[i].fd = -1;
	open_server(&w);
	for (int i = 0; i < STEPS_MAX && in.len > 0; i++)
		step(&w, &in);
	settle(&w);
	somebody_is_served(&w);
	restart(&w);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&w.peers[i]);
	close_server(&w);
	workers_free(&w.workers);
	loop_free(&w.loop);
	FUZZ_CHECK(fs_mem_free(&w.fs) == 0);
}

/* ---- seeds ---- */

static void
put_step(struct jute_out *out, unsigned who, unsigned what)
{
	uint8_t b = (uint8_t)(who * WHATS + what);

	jute_put_raw(out, slice_of(&b, 1));
}

static void
put_u16(struct jute_out *out, size_t n)
{
	uint8_t b[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	jute_put_raw(out, slice_of(b, 2));
}

/* The body is freed. */
static void
put_request(struct jute_out *out, unsigned who, int32_t type, struct jute_out *body)
{
	uint8_t which = 0;

	while (types[which] != type)
		which++;
	put_step(out, who, REQUEST);
	jute_put_raw(out, slice_of(&which, 1));
	put_u16(out, body->len);
	jute_put_raw(out, slice_of(body->p, body->len));
	jute_out_fini(body);
}

static void
put_create(struct jute_out *body, const char *path, const char *data, int32_t flags)
{
	jute_put_string(body, path);
	jute_put_string(body, data);
	jute_put_i32(body, 1);
	jute_put_i32(body, 31);
	jute_put_string(body, "world");
	jute_put_string(body, "anyone");
	jute_put_i32(body, flags);
}

static void
seed_create(struct jute_out *out, unsigned who, const char *path, int32_t flags)
{
	struct jute_out body = { 0 };

	put_create(&body, path, "data", flags);
	put_request(out, who, 1, &body);
}

/* A path and a number, or a flag: most requests look so. */
static void
seed_path(struct jute_out *out, unsigned who, int32_t type, const char *path, bool wide, int32_t n)
{
	struct jute_out body = { 0 };

	jute_put_string(&body, path);
	if (wide)
		jute_put_i32(&body, n);
	else
		jute_put_bool(&body, n != 0);
	put_request(out, who, type, &body);
}

static void
multi_part(struct jute_out *body, int32_t type, bool done)
{
	jute_put_i32(body, type);
	jute_put_bool(body, done);
	jute_put_i32(body, -1);
}

static void
seed_multi(struct jute_out *out, unsigned who)
{
	struct jute_out body = { 0 };

	multi_part(&body, 1, false);
	put_create(&body, "/m", "", 0);
	multi_part(&body, 5, false);
	jute_put_string(&body, "/a");
	jute_put_string(&body, "more");
	jute_put_i32(&body, -1);
	multi_part(&body, 2, false);
	jute_put_string(&body, "/m");
	jute_put_i32(&body, 0);
	multi_part(&body, -1, true);
	put_request(out, who, 14, &body);
	multi_part(&body, 4, false);
	jute_put_string(&body, "/a");
	jute_put_bool(&body, false);
	multi_part(&body, 8, false);
	jute_put_string(&body, "/");
	jute_put_bool(&body, false);
	multi_part(&body, -1, true);
	put_request(out, who, 22, &body);
}

static void
seed_set_watches(struct jute_out *out, unsigned who)
{
	struct jute_out body = { 0 };

	jute_put_i64(&body, 1);
	for (int i = 0; i < 5; i++) {
		jute_put_i32(&body, 2);
		jute_put_string(&body, "/a");
		jute_put_string(&body, "/gone");
	}
	put_request(out, who, 105, &body);
}

static void
seed_auth(struct jute_out *out, unsigned who)
{
	struct jute_out body = { 0 };

	jute_put_i32(&body, 0);
	jute_put_string(&body, "digest");
	jute_put_string(&body, "ann:secret");
	put_request(out, who, 100, &body);
	jute_put_string(&body, "/a");
	jute_put_i32(&body, 1);
	jute_put_i32(&body, 31);
	jute_put_string(&body, "auth");
	jute_put_string(&body, "");
	jute_put_i32(&body, -1);
	put_request(out, who, 7, &body);
}

static void
give_and_forget(fuzz_give *give, void *ctx, struct jute_out *seed)
{
	give(ctx, slice_of(seed->p, seed->len));
	jute_out_fini(seed);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	struct jute_out s = { 0 }, none = { 0 };

	/* nodes and watches of two sessions, one of which goes */
	put_step(&s, 0, CONNECT);
	put_step(&s, 1, CONNECT);
	seed_path(&s, 1, 3, "/a", false, 1);
	seed_path(&s, 1, 106, "/", true, 1);
	seed_create(&s, 0, "/a", 0);
	seed_create(&s, 0, "/a/s-", 3);
	seed_create(&s, 0, "/a/c", 4);
	seed_path(&s, 0, 4, "/a", false, 1);
	seed_path(&s, 0, 8, "/a", false, 1);
	seed_path(&s, 0, 104, "/", false, 0);
	seed_path(&s, 1, 2, "/a/c", true, -1);
	put_step(&s, 1, READ);
	put_step(&s, 0, HANG_UP);
	put_step(&s, 0, WAIT);
	jute_put_raw(&s, SLICE_LIT("\x64"));	/* 20 s: both expire */
	give_and_forget(give, ctx, &s);
	/* transactions, watches that are set again, over a restart */
	put_step(&s, 0, CONNECT);
	seed_create(&s, 0, "/a", 0);
	seed_multi(&s, 0);
	put_step(&s, 0, RESTART);
	put_step(&s, 0, BACK);
	seed_set_watches(&s, 0);
	seed_path(&s, 0, 17, "/a", true, 3);
	seed_path(&s, 0, 18, "/a", true, 3);
	put_request(&s, 0, -11, &none);
	give_and_forget(give, ctx, &s);
	/* ACLs and who one is */
	put_step(&s, 2, CONNECT);
	seed_create(&s, 2, "/a", 1);
	seed_auth(&s, 2);
	seed_path(&s, 2, 6, "/a", false, 0);
	put_request(&s, 2, 107, &none);
	seed_path(&s, 2, 103, "/", false, 0);
	put_step(&s, 3, CONNECT);
	seed_path(&s, 3, 13, "/a", true, 0);
	seed_path(&s, 3, 9, "/a", false, 0);
	give_and_forget(give, ctx, &s);
	/* words, and bytes that are no frame */
	put_step(&s, 0, CONNECT);
	put_step(&s, 0, BYTES);
	put_u16(&s, 8);
	jute_put_raw(&s, SLICE_LIT("\x7f\xff\xff\xffstat"));
	give_and_forget(give, ctx, &s);
}
