/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/world.c - see world.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/reclaim.h"
#include "test/unit/broker/world.h"
#include "test/unit/fs_fault.h"
#include "wire/api.h"
#include "wire/frame.h"

static void
capture(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct world *w = ctx;

	if (level >= DIAG_INFO)
		strbuf_add(&w->said, "%d %s: %s\n", (int)level, area, text);
}

static int64_t
skipping_mono_ns(struct clock *c)
{
	struct skipping_clock *s = CONTAINER_OF(c, struct skipping_clock, clock);

	return ((s->virtual ? INT64_C(1000000000) : clock_mono_ns(clock_real())) + s->skipped_ns);
}

static int64_t
skipping_wall_ms(struct clock *c)
{
	struct skipping_clock *s = CONTAINER_OF(c, struct skipping_clock, clock);

	return ((s->virtual ? INT64_C(1795362210511) : clock_wall_ms(clock_real())) + s->skipped_ns / 1000000);
}

static void
world_make(struct world *w, bool virtual)
{
	struct loop_options opt = { .name = "control", .clock = &w->time.clock };

	memset(w, 0, sizeof(*w));
	w->time.clock = (struct clock){ skipping_mono_ns, skipping_wall_ms };
	w->time.virtual = w->skips = virtual;	/* before there are loops: their timers know no time that goes back */
	reclaim_thread_register();
	w->said = (struct strbuf)STRBUF_INIT;
	w->diag = diag_capture(capture, w);
	if (loop_new(&opt, &w->control, NULL) != OK)
		abort();
	w->fake = zk_fake_new(&w->time.clock);
	w->user = zk_fake_client(w->fake, w->control);
}

void
world_init(struct world *w)
{
	world_make(w, false);
}

void
world_init_virtual(struct world *w)
{
	world_make(w, true);
}

void
world_fini(struct world *w)
{
	zk_close(&w->user);
	zk_fake_settle(w->control);
	zk_fake_free(&w->fake);
	loop_free(&w->control);
	diag_free(&w->diag);
	strbuf_fini(&w->said);
	reclaim_thread_unregister();
}

/* ---- sessions ---- */

static struct session *
session_of(const struct zk_session *s)
{
	return ((struct session *)(uintptr_t)s);
}

static bool
session_ident(const struct zk_session *zs, struct zk_session_ident *ident)
{
	struct session *s = session_of(zs);

	*ident = (struct zk_session_ident){ .id = zk_session_id(s->own), .timeout_ms = 18000 };
	return (zk_is_connected(s->own) && ident->id != 0);
}

static void
session_proceed(struct zk_session *zs)
{
	must(session_of(zs)->holds-- == 1);
}

static void
session_is_open(void *v)
{
	struct session *s = v;
	struct errbuf none = ERRBUF_INIT;

	if (s->opened != NULL)
		s->opened(s->octx, OK, &none);
}

static enum err
session_open(void *ctx, const struct zk_session_options *o, zk_opened_fn *fn, void *octx, struct zk_session **sp, struct errbuf *eb)
{
	struct node *n = ctx;
	struct session *s = xcalloc(1, sizeof(*s));
	struct zk_session_ident ident;

	(void)eb;
	s->w = n->w;
	s->options = *o;
	s->opened = fn;
	s->octx = octx;
	s->own = zk_fake_client(n->w->fake, o->loop);
	n->session = s;
	*sp = (struct zk_session *)s;
	must(session_ident(*sp, &ident));
	s->holds = 1;
	o->established(o->ctx, *sp, &ident);
	loop_call(o->loop, session_is_open, s);
	return (OK);
}

static struct zk *
session_client(struct zk_session *zs, struct loop *loop)
{
	return (zk_fake_client_sharing(session_of(zs)->own, loop));
}

/* As a real one: when every call of its clients has been answered.  The fake delivers one answer a turn. */
static void
session_is_closed(void *v)
{
	struct session *s = v;

	if (++s->turns < 200) {
		loop_call(s->options.loop, session_is_closed, s);
		return;
	}
	s->closed(s->cctx);
	free(s);
}

static void
session_close(struct zk_session **sp, void (*closed)(void *), void *ctx)
{
	struct session *s = session_of(*sp);

	*sp = NULL;
	s->opened = NULL;
	s->closed = closed;
	s->cctx = ctx;
	zk_close(&s->own);
	loop_call(s->options.loop, session_is_closed, s);
}

/* ---- brokers ---- */

static void
on_started(void *ctx, enum err e, const struct errbuf *why)
{
	struct node *n = ctx;

	struct replica_counts counts = { 0 };

	n->started = e == OK;
	if (e == OK)
		replica_count(n->broker->replicas, &counts);
	n->leaders = counts.leaders;
	n->failing_over = e == OK && controller_failing_over(n->broker->controller);
	n->failed = e;
	snprintf(n->why, sizeof(n->why), "%s", why->text);
	n->ended = e != OK;
}

static void
on_must_stop(void *ctx, const char *why)
{
	struct node *n = ctx;

	n->must_stop = true;
	snprintf(n->why, sizeof(n->why), "%s", why);
	broker_stop(n->broker);
}

static void
on_ended(void *ctx)
{
	((struct node *)ctx)->ended = true;
}

void
node_make_of(struct node *n, struct world *w, int id, const char *dir, const char *more, const struct broker_options *parts)
{
	struct config_report report = CONFIG_REPORT_INIT;
	char *text = xasprintf("broker.id=%d\nlisteners=PLAINTEXT://127.0.0.1:0\nlog.dirs=%s/%s\nzookeeper.connect=fake:1\n"
	    "num.network.threads=2\nqueued.max.requests=100\nno.such.key=1\n%s", id, unit_tmpdir(), dir, more);
	struct config_input input = { .file = "test", .text = slice_str(text) };
	struct broker_options opt = {
	    .fs = parts->fs == NULL ? fs_unsynced() : parts->fs, .random = parts->random == NULL ? random_real() : parts->random,
	    .diag = parts->diag == NULL ? w->diag : parts->diag, .control = parts->control == NULL ? w->control : parts->control,
	    .peers = parts->peers, .clock = &w->time.clock, .by_hand = true,
	    .started = on_started, .must_stop = on_must_stop, .ended = on_ended, .ctx = n,
	};

	memset(n, 0, sizeof(*n));
	n->w = w;
	n->control = opt.control;
	n->source = (struct broker_zookeeper){ n, session_open, session_client, session_ident, session_proceed, session_close };
	if (config_load(&input, &n->config, &report) != OK) {
		fprintf(stderr, "%s\n", report.count > 0 ? report.notes[0].text : "configuration");
		abort();
	}
	config_report_fini(&report);
	opt.config = n->config;
	opt.zookeeper = &n->source;
	n->broker = broker_new(&opt);
	free(text);
}

void
node_make_with(struct node *n, struct world *w, int id, const char *dir, const char *more)
{
	node_make_of(n, w, id, dir, more, &(struct broker_options){ .by_hand = true });
}

void
node_make(struct node *n, struct world *w, int id, const char *dir)
{
	node_make_with(n, w, id, dir, "");
}

bool
turn(struct node *n)
{
	bool some = loop_turn(n->control, 0);

	return ((n->broker != NULL && broker_turn(n->broker)) || some);
}

void
idle(struct node *n)
{
	int64_t next = loop_next_ns(n->control), now = clock_mono_ns(&n->w->time.clock);
	struct broker *b = n->broker;

	for (uint32_t i = 0; b != NULL && i < b->nloops; i++)
		if (b->loops[i] != NULL)
			next = MIN(next, loop_next_ns(b->loops[i]));
	if (b != NULL && b->controller_loop != NULL)
		next = MIN(next, loop_next_ns(b->controller_loop));
	if (n->w->skips && next != INT64_MAX && next > now)
		n->w->time.skipped_ns += next - now;
	else
		usleep(200);
}

bool
turn_until(struct node *n, const bool *flag, int64_t ms)
{
	int64_t until = clock_mono_ns(clock_real()) + ms * 1000000;

	while (!*flag && clock_mono_ns(clock_real()) < until)
		if (!turn(n))
			idle(n);
	return (*flag);
}

void
turn_for(struct node *n, int64_t ms)
{
	bool never = false;

	(void)turn_until(n, &never, ms);
}

void
node_free(struct node *n)
{
	broker_free(&n->broker);
	config_unref(&n->config);
}

void
node_end(struct node *n)
{
	broker_stop(n->broker);
	CHECK(turn_until(n, &n->ended, 10000));
	node_free(n);
}

bool
node_start(struct node *n)
{
	int64_t until = clock_mono_ns(clock_real()) + INT64_C(10000000000);

	broker_start(n->broker);
	while (!n->started && !n->ended && clock_mono_ns(clock_real()) < until)
		if (!turn(n))
			idle(n);
	return (n->started);
}

/* ---- what stands in ZooKeeper ---- */

static void
find_node(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct finder *f = ctx;

	if (strcmp(path, f->path) != 0)
		return;
	f->found = true;
	f->stat = *stat;
	snprintf(f->data, sizeof(f->data), "%.*s", (int)data.len, data.p == NULL ? "" : (const char *)data.p);
}

bool
look(struct world *w, const char *path, struct finder *f)
{
	*f = (struct finder){ .path = path };
	zk_tree_walk(zk_fake_tree(w->fake), find_node, f);
	return (f->found);
}

bool
there(struct world *w, const char *path)
{
	struct finder f;

	return (look(w, path, &f));
}

void
ignore_result(void *ctx, const struct zk_result *r)
{
	(void)ctx;
	(void)r;
}

void
ignore_step(void *ctx, enum err e, const struct errbuf *why)
{
	(void)ctx;
	(void)e;
	(void)why;
}

bool
file_there(const char *dir, const char *name)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/%s", unit_tmpdir(), dir, name);
	return (stat(path, &st) == 0);
}

void
make_topic(struct world *w, const char *name, int32_t replica)
{
	struct zk_topic_partition p = { .id = 0, .replicas = { &replica, 1 } };
	struct zk_topic_info info = { .id = uuid_random(random_real()), .partitions = &p, .npartitions = 1 };
	struct arena a;

	arena_init(&a, 1 << 20);
	zk_create(w->user, zk_path_topic(name).s, zk_topic_encode(&a, &info), ZK_PERSISTENT, ignore_result, NULL);
	arena_fini(&a);
}

uint16_t
port_of(struct node *n, const char *listener)
{
	struct strbuf words = STRBUF_INIT;
	const char *at;
	uint16_t port;

	broker_describe(n->broker, &words);
	at = strstr(strbuf_str(&words), listener);
	port = at == NULL ? 0 : (uint16_t)atoi(strchr(strchr(at, ':') + 1, ':') + 1);
	strbuf_fini(&words);
	return (port);
}

int
dial_port(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return (fd);
	close(fd);
	return (-1);
}

int
dial(struct node *n)
{
	int fd = dial_port(port_of(n, "PLAINTEXT"));

	must(fd >= 0);
	return (fd);
}

void
put_config(struct world *w, const char *entity, const char *config)
{
	char path[128], change[160], *text = xasprintf("{\"version\":1,\"config\":{%s}}", config);

	snprintf(path, sizeof(path), "/config/%s", entity);
	snprintf(change, sizeof(change), "{\"version\":2,\"entity_path\":\"%s\"}", entity);
	zk_create(w->user, path, slice_str(text), ZK_PERSISTENT, ignore_result, NULL);
	zk_set(w->user, path, slice_str(text), ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w->user, "/config/changes/config_change_", slice_str(change), ZK_PERSISTENT_SEQUENTIAL, ignore_result, NULL);
	free(text);
}

void
make_paths(struct world *w)
{
	zk_create_top_level_paths(w->user, ignore_step, NULL);
	zk_fake_settle(w->control);
}

bool
turn_until_node(struct node *n, const char *path, const char *what)
{
	struct finder f;

	for (int i = 0; i < 4000; i++) {
		if (look(n->w, path, &f) && strstr(f.data, what) != NULL)
			return (true);
		if (!turn(n))
			idle(n);
	}
	return (false);
}

/* ---- clients ---- */

enum { CORRELATION = 77, PATIENCE_S = 60 };

void
client_open(struct client *c, struct node *n)
{
	struct net_conn *conn;
	int sv[2];

	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
	must(net_adopt(n->broker->net, 0, sv[0], n->broker->bound[0].net, &conn, NULL) == OK);
	c->n = n;
	c->fd = sv[1];
	c->got = 0;
	arena_init(&c->arena, 64 << 20);
}

void
client_close(struct client *c)
{
	close(c->fd);
	arena_fini(&c->arena);
}

void
client_reset(struct client *c)
{
	arena_reset(&c->arena);
}

static void
client_send(struct client *c, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	struct chain out;

	chain_init(&out);
	must(wire_request_frame(wire_api(key), version, CORRELATION, slice_str("unit"), body, &c->arena, &out, &eb) == OK);
	for (const struct chain_item *it = out.first; it != NULL; it = it->next)
		must(send(c->fd, it->mem.p, it->mem.len, MSG_NOSIGNAL) == (ssize_t)it->mem.len);
	chain_fini(&out);
}

/* A whole frame has come; false: the end. */
static bool
client_receive(struct client *c)
{
	int64_t until = clock_mono_ms(&c->n->w->time.clock) + PATIENCE_S * 1000;

	c->got = 0;
	for (;;) {
		ssize_t got = recv(c->fd, c->buf + c->got, sizeof(c->buf) - c->got, 0);

		if (got == 0 || (got < 0 && errno != EAGAIN))
			return (false);
		c->got += got > 0 ? (size_t)got : 0;
		if (c->got >= 4 && c->got == be32dec(c->buf) + 4)
			return (true);
		if (clock_mono_ms(&c->n->w->time.clock) > until || c->n->ended)
			return (false);
		if (!turn(c->n))
			idle(c->n);
	}
}

void *
client_ask(struct client *c, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	void *answer = NULL;
	struct slice frame;

	client_send(c, key, version, body);
	if (!client_receive(c) || !unit_check(c->got >= 8 && be32dec(c->buf + 4) == CORRELATION, __FILE__, __LINE__, "whose answer is this?"))
		return (NULL);
	frame = arena_dup(&c->arena, slice_of(c->buf + 4, c->got - 4));
	if (!unit_check(wire_response_decode(wire_api(key), version, frame, &c->arena, &answer, &eb) == OK, __FILE__, __LINE__, "%s", eb.text))
		return (NULL);
	return (answer);
}
