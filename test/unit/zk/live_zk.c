/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zk/live_zk.c - zk/ against a real ZooKeeper server:  live_zk HOST:PORT [TEST...]
 *
 * Not part of `make check` (it needs a server).  Each test works below a chroot of its own.  Prints one line per test; exit 0: all passed.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/random.h"
#include "event/workers.h"
#include "zk/acl.h"
#include "zk/attach_int.h"
#include "zk/election.h"
#include "zk/fake.h"
#include "zk/keeper.h"
#include "zk/notify.h"
#include "zk/paths.h"
#include "zk/registration.h"
#include "zk/session.h"
#include "zk/session_record.h"

enum { WAIT_MS = 15000 };

static const char *server;
static const char *test_name;
static unsigned failed_checks;

#define CHECK(x)	check(!!(x), __LINE__, #x)
static bool
check(bool ok, int line, const char *what)
{
	if (!ok) {
		failed_checks++;
		fprintf(stderr, "%s: line %d: failed: %s\n", test_name, line, what);
	}
	return (ok);
}

/* ---- one process's side of ZooKeeper ---- */
struct side {
	struct loop    *loop;
	struct workers *workers;
	struct diag    *diag;
	struct zk_session *session;
	struct zk      *zk;
	char		connect[256];
	struct zk_session_ident ident;
	unsigned	established;
	bool		opened, closed;
	enum err	open_err;
	struct zk_listener listener;
	char		events[64];
	struct keeper  *keeper;
	const char     *record_dir;
	const struct zk_session_auth *auth;
	uint32_t	nauth;
};

static int64_t
now(void)
{
	return (clock_mono_ms(clock_real()));
}

#define WAIT_UNTIL(side, x)	do { int64_t end_ = now() + WAIT_MS; while (!(x) && now() < end_) loop_turn((side)->loop, 20); \
				    CHECK(x); } while (0)

static void
on_opened(void *ctx, enum err e, const struct errbuf *why)
{
	struct side *s = ctx;

	s->opened = true;
	s->open_err = e;
	if (e != OK)
		fprintf(stderr, "open: %s\n", why->text);
}

static void
on_established(void *ctx, struct zk_session *session, const struct zk_session_ident *ident)
{
	struct side *s = ctx;
	struct errbuf eb = ERRBUF_INIT;

	s->established++;
	s->ident = *ident;
	if (s->keeper != NULL)
		CHECK(keeper_session(s->keeper, s->connect, ident, &eb) == OK);
	if (s->record_dir != NULL)
		CHECK(session_record_write(s->record_dir, ident, 1, "cluster", s->connect, &eb) == OK);
	zk_session_proceed(session);
}

static void
on_event(struct zk_listener *l, enum zk_session_event e)
{
	struct side *s = CONTAINER_OF(l, struct side, listener);

	if (strlen(s->events) + 1 < sizeof(s->events))
		s->events[strlen(s->events)] = "CDEA"[e];
}

static void
on_closed(void *ctx)
{
	((struct side *)ctx)->closed = true;
}

static void
side_open_at(struct side *s, const char *connect, int32_t timeout_ms, int32_t connect_timeout_ms)
{
	struct loop_options lo = { .name = "live", .clock = clock_real() };
	struct diag_options dopt = { .level = getenv("LIVE_DEBUG") != NULL ? DIAG_DEBUG : DIAG_ERROR, .clock = clock_real() };
	struct zk_session_options o = { .timeout_ms = timeout_ms, .connect_timeout_ms = connect_timeout_ms, .max_in_flight = 10,
	    .established = on_established, .auth = s->auth, .nauth = s->nauth };
	struct errbuf eb = ERRBUF_INIT;

	snprintf(s->connect, sizeof(s->connect), "%s", connect);
	must(loop_new(&lo, &s->loop, NULL) == OK);
	must(workers_new(2, "live", &s->workers, NULL) == OK);
	must(diag_new(&dopt, &s->diag, NULL) == OK);
	o.connect = s->connect;
	o.loop = s->loop;
	o.workers = s->workers;
	o.diag = s->diag;
	o.ctx = s;
	must(zk_session_open(&o, on_opened, s, &s->session, &eb) == OK);
	s->zk = zk_session_client(s->session, s->loop);
	s->listener.fn = on_event;
	zk_listen(s->zk, &s->listener);
	WAIT_UNTIL(s, s->opened);
}

static void
side_open(struct side *s, const char *chroot, int32_t timeout_ms)
{
	char connect[256];

	snprintf(connect, sizeof(connect), "%s%s", server, chroot);
	side_open_at(s, connect, timeout_ms, 10000);
	CHECK(s->open_err == OK);
}

static void
side_close(struct side *s)
{
	zk_close(&s->zk);
	zk_session_close(&s->session, on_closed, s);
	WAIT_UNTIL(s, s->closed);
	workers_free(&s->workers);
	loop_free(&s->loop);
	diag_free(&s->diag);
}

/* Another handle attaches and closes.  The side may win the session back between the two: then once more. */
static void
expire(struct side *s)
{
	struct zk_session_ident ident = s->ident;
	unsigned before = s->established, tries;
	struct errbuf eb = ERRBUF_INIT;
	int64_t end;

	for (tries = 0; tries < 5 && s->established == before; tries++) {
		CHECK(zk_attach_and_close(s->connect, &ident, INT64_MAX, &eb) == OK);
		for (end = now() + 4000; s->established == before && now() < end;)
			loop_turn(s->loop, 20);
	}
	CHECK(s->established == before + 1);
}

static const char *
fresh_chroot(void)
{
	static char chroot[128];
	static unsigned n;

	snprintf(chroot, sizeof(chroot), "/live/%d-%" PRId64 "-%u/kafka", (int)getpid(), clock_wall_ms(clock_real()), n++);
	return (chroot);
}

/* ---- one answer ---- */
struct answer {
	bool done;
	enum zke error;
	struct zk_stat stat, stats[8];
	enum zke errors[8];
	char path[256], data[512], children[512];
	bool null;
};

static int
by_name(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

static void
join_sorted(char *out, size_t size, const struct zk_result *r)
{
	const char **names = xcalloc((size_t)r->nchildren + 1, sizeof(char *));
	uint32_t i;

	out[0] = '\0';
	for (i = 0; i < r->nchildren; i++)
		names[i] = r->children[i];
	qsort(names, r->nchildren, sizeof(char *), by_name);
	for (i = 0; i < r->nchildren; i++)
		snprintf(out + strlen(out), size - strlen(out), "%s,", names[i]);
	free(names);
}

static void
on_answer(void *ctx, const struct zk_result *r)
{
	struct answer *a = ctx;
	uint32_t i;

	*a = (struct answer){ .done = true, .error = r->error, .stat = r->stat, .null = r->data.p == NULL };
	snprintf(a->path, sizeof(a->path), "%s", r->path == NULL ? "" : r->path);
	snprintf(a->data, sizeof(a->data), "%.*s", (int)r->data.len, r->data.p == NULL ? "" : (const char *)r->data.p);
	join_sorted(a->children, sizeof(a->children), r);
	for (i = 0; i < r->nresults && i < 8; i++) {
		a->errors[i] = r->results[i].error;
		a->stats[i] = r->results[i].stat;
	}
}

static struct answer
act(struct side *s, struct zk_op op)
{
	struct answer a = { .done = false };

	zk_submit(s->zk, &op, on_answer, &a);
	WAIT_UNTIL(s, a.done);
	return (a);
}

struct step {
	bool done;
	enum err err;
	int64_t epoch;
	enum session_reclaim_outcome outcome;
	char why[600];
};

static void
on_step(void *ctx, enum err e, const struct errbuf *why)
{
	struct step *s = ctx;

	s->done = true;
	s->err = e;
	snprintf(s->why, sizeof(s->why), "%s", why->text);
}

static void
on_registered(void *ctx, enum err e, int64_t epoch, const struct errbuf *why)
{
	((struct step *)ctx)->epoch = epoch;
	on_step(ctx, e, why);
}

static void
on_reclaimed(void *ctx, enum err e, enum session_reclaim_outcome outcome, const struct errbuf *why)
{
	((struct step *)ctx)->outcome = outcome;
	on_step(ctx, e, why);
}

static struct step
register_broker(struct side *s, struct zk_registrar *r)
{
	static struct zk_endpoint endpoint = { "PLAINTEXT", ZK_PLAINTEXT, "127.0.0.1", 9092 };
	struct zk_broker_info info = { .id = 1, .version = 5, .endpoints = &endpoint, .nendpoints = 1, .jmx_port = -1 };
	struct step step = { .done = false };

	zk_registrar_register(r, &info, true, on_registered, &step);
	WAIT_UNTIL(s, step.done);
	return (step);
}

static void
make_paths(struct side *s)
{
	struct step step = { .done = false };

	zk_create_top_level_paths(s->zk, on_step, &step);
	WAIT_UNTIL(s, step.done);
	CHECK(step.err == OK);
}

/* ---- tests ---- */
static void
test_operations(void)
{
	struct side s = { .loop = NULL };
	struct answer a = { .done = false };

	side_open(&s, fresh_chroot(), 6000);
	CHECK(strcmp(s.events, "C") == 0);
	CHECK(s.established == 1);
	CHECK(act(&s, ZK_GET("/", NULL)).null);
	a = act(&s, ZK_CREATE("/a", SLICE_NULL));
	CHECK(a.error == ZKE_OK && strcmp(a.path, "/a") == 0 && a.stat.czxid > 0);
	CHECK(act(&s, ZK_GET("/a", NULL)).null);
	CHECK(act(&s, ZK_SET("/a", SLICE_LIT(""), 0)).error == ZKE_OK);
	CHECK(!act(&s, ZK_GET("/a", NULL)).null);
	a = act(&s, ZK_CREATE_SEQUENTIAL("/a/n_", SLICE_LIT("x")));
	CHECK(strcmp(a.path, "/a/n_0000000000") == 0);
	CHECK(strcmp(act(&s, ZK_GET_CHILDREN("/a", NULL)).children, "n_0000000000,") == 0);
	CHECK(act(&s, ZK_SYNC("/a")).error == ZKE_OK);
	zk_multi(s.zk, (struct zk_op[]){ ZK_CREATE_EPHEMERAL("/e", SLICE_NULL), ZK_SET("/e", SLICE_LIT("v"), 0), ZK_CHECK("/a", 1) }, 3, on_answer, &a);
	a.done = false;
	WAIT_UNTIL(&s, a.done);
	CHECK(a.error == ZKE_OK && a.stats[1].version == 1 && a.stats[1].ephemeral_owner == zk_session_id(s.zk) && a.stats[1].czxid > 0);
	zk_multi(s.zk, (struct zk_op[]){ ZK_DELETE("/e", -1), ZK_DELETE("/none", -1), ZK_CHECK("/a", 1) }, 3, on_answer, &a);
	a.done = false;
	WAIT_UNTIL(&s, a.done);
	CHECK(a.error == ZKE_NO_NODE && a.errors[0] == ZKE_OK && a.errors[1] == ZKE_NO_NODE && a.errors[2] == ZKE_RUNTIME_INCONSISTENCY);
	side_close(&s);
}

/* One who has said who he is, and one who has not. */
struct acl_answer {
	bool done;
	enum zke error;
	int32_t aversion;
	uint32_t n;
	char text[256];
};

static void
on_acl(void *ctx, const struct zk_result *r)
{
	struct acl_answer *a = ctx;
	struct zk_acl_entry *entries;
	uint32_t i;

	*a = (struct acl_answer){ .done = true, .error = r->error, .aversion = r->stat.aversion };
	if (!CHECK(zk_acl_read(r->acl, &entries, &a->n)))
		return;
	for (i = 0; i < a->n; i++)
		snprintf(a->text + strlen(a->text), sizeof(a->text) - strlen(a->text), "%.*s:%.*s:%d,", (int)entries[i].scheme.len,
		    (const char *)entries[i].scheme.p, (int)entries[i].id.len, (const char *)entries[i].id.p, (int)entries[i].perms);
	free(entries);
}

static struct acl_answer
acl_of(struct side *s, const char *path)
{
	struct acl_answer a = { .done = false };

	zk_submit(s->zk, &ZK_GET_ACL(path), on_acl, &a);
	WAIT_UNTIL(s, a.done);
	return (a);
}

static void
test_acls(void)
{
	static const struct zk_session_auth ann[] = { { "digest", SLICE_LIT("ann:secret") } };
	static const struct zk_acl_entry auth = { ZK_PERM_ALL, SLICE_LIT("auth"), SLICE_LIT("") },
	    secret[] = { { ZK_PERM_ALL, SLICE_LIT("digest"), SLICE_LIT("ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=") }, { ZK_PERM_READ, SLICE_LIT("world"), SLICE_LIT("anyone") } };
	struct slice mine = zk_acl_write(&auth, 1), shown = zk_acl_write(secret, 2);
	struct side a = { .auth = ann, .nauth = 1 }, b = { .loop = NULL };
	struct answer many = { .done = false };
	char chroot[128];

	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	side_open(&a, chroot, 6000);
	side_open(&b, chroot, 6000);
	CHECK(act(&a, ZK_CREATE("/open", SLICE_NULL)).error == ZKE_OK);
	CHECK(strcmp(acl_of(&b, "/open").text, "world:anyone:31,") == 0);
	CHECK(act(&a, (struct zk_op){ .kind = ZK_OP_CREATE, .path = "/mine", .data = SLICE_LIT("x"), .acl = mine }).error == ZKE_OK);
	CHECK(strcmp(acl_of(&a, "/mine").text, "digest:ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=:31,") == 0);
	CHECK(acl_of(&b, "/mine").error == ZKE_NO_AUTH);
	CHECK(act(&b, ZK_GET("/mine", NULL)).error == ZKE_NO_AUTH);
	CHECK(act(&b, ZK_SET_ACL("/mine", SLICE_NULL, ZK_ANY_VERSION)).error == ZKE_NO_AUTH);
	CHECK(act(&b, (struct zk_op){ .kind = ZK_OP_CREATE, .path = "/none", .acl = mine }).error == ZKE_INVALID_ACL);	/* it has proved nothing */
	CHECK(act(&a, ZK_SET_ACL("/mine", shown, 0)).error == ZKE_OK);
	CHECK(strcmp(acl_of(&b, "/mine").text, "digest:ann:x:31,world:anyone:1,") == 0);
	expire(&a);								/* the next session says it again */
	CHECK(acl_of(&a, "/mine").aversion == 1);
	CHECK(strcmp(acl_of(&a, "/mine").text, "digest:ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM=:31,world:anyone:1,") == 0);
	zk_multi(a.zk, (struct zk_op[]){ { .kind = ZK_OP_CREATE, .path = "/m", .acl = mine }, ZK_CREATE("/m/open", SLICE_NULL) }, 2, on_answer, &many);
	WAIT_UNTIL(&a, many.done);
	CHECK(many.error == ZKE_OK);
	CHECK(acl_of(&b, "/m").error == ZKE_NO_AUTH);
	CHECK(acl_of(&b, "/m/open").error == ZKE_OK);
	CHECK(act(&a, ZK_SET_ACL("/mine", SLICE_NULL, ZK_ANY_VERSION)).error == ZKE_OK);
	CHECK(strcmp(acl_of(&b, "/mine").text, "world:anyone:31,") == 0);
	free((void *)(uintptr_t)mine.p);
	free((void *)(uintptr_t)shown.p);
	side_close(&a);
	side_close(&b);
}

static void
test_unreachable(void)
{
	struct side s = { .loop = NULL };
	int64_t begin = now();

	side_open_at(&s, "127.0.0.1:1/x", 6000, 700);
	CHECK(s.open_err == ERR_TIMEOUT);
	CHECK(now() - begin < 5000);
	side_close(&s);
}

struct watching {
	struct zk_watcher watcher;
	unsigned fired;
	enum zk_event event;
	int64_t at;
};

static void
on_watch(struct zk_watcher *w, enum zk_event event, const char *path)
{
	struct watching *x = CONTAINER_OF(w, struct watching, watcher);

	(void)path;
	x->fired++;
	x->event = event;
	x->at = now();
}

/* Another handle closes our session: we hear EXPIRED, get a new one, register again with a new epoch, and are elected again. */
struct office { unsigned elected, lost; int32_t epoch; };
static void on_elected(void *ctx, int32_t epoch, int32_t v) { (void)v; ((struct office *)ctx)->elected++; ((struct office *)ctx)->epoch = epoch; }
static void on_lost(void *ctx, const char *why) { (void)why; ((struct office *)ctx)->lost++; }
static void on_observed(void *ctx, int32_t id) { (void)ctx; (void)id; }

static void
test_expiry(void)
{
	static const struct zk_election_callbacks callbacks = { on_elected, on_lost, on_observed };
	struct watching x = { .fired = 0 };
	struct side s = { .loop = NULL };
	struct office office = { 0, 0, 0 };
	struct zk_election *election;
	struct zk_registrar *r;
	struct step first, again;
	int64_t old;

	side_open(&s, fresh_chroot(), 6000);
	make_paths(&s);
	r = zk_registrar_new(s.zk, 1);
	election = zk_election_new(s.zk, 1, clock_real(), NULL, &callbacks, &office);
	first = register_broker(&s, r);
	CHECK(first.err == OK);
	zk_election_start(election);
	WAIT_UNTIL(&s, office.elected == 1);
	zk_watcher_init(&x.watcher, on_watch);
	act(&s, ZK_EXISTS("/never", &x.watcher));
	old = zk_session_id(s.zk);
	expire(&s);
	WAIT_UNTIL(&s, zk_session_id(s.zk) != old);
	CHECK(strchr(s.events, 'E') != NULL);
	CHECK(x.watcher.armed == 0 && x.fired == 0);
	WAIT_UNTIL(&s, office.elected == 2);
	CHECK(office.lost == 1 && office.epoch == 2);
	again = register_broker(&s, r);
	CHECK(again.err == OK && again.epoch > first.epoch);
	CHECK(s.established == 2);
	zk_election_free(&election);
	zk_registrar_free(&r);
	side_close(&s);
}

static void
test_watches(void)
{
	struct watching node = { .fired = 0 }, kids = { .fired = 0 };
	struct side a = { .loop = NULL }, b = { .loop = NULL };
	char chroot[128];

	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	side_open(&a, chroot, 6000);
	side_open(&b, chroot, 6000);
	zk_watcher_init(&node.watcher, on_watch);
	zk_watcher_init(&kids.watcher, on_watch);
	act(&a, ZK_EXISTS("/n", &node.watcher));
	act(&a, ZK_GET_CHILDREN("/", &kids.watcher));
	act(&b, ZK_CREATE("/n", SLICE_NULL));
	WAIT_UNTIL(&a, node.fired == 1 && kids.fired == 1);
	CHECK(node.event == ZK_CREATED && kids.event == ZK_CHILDREN);
	act(&a, ZK_GET("/n", &node.watcher));
	act(&a, ZK_GET_CHILDREN("/n", &node.watcher));
	act(&b, ZK_DELETE("/n", -1));
	WAIT_UNTIL(&a, node.fired == 2);
	CHECK(node.event == ZK_DELETED && node.watcher.armed == 0);
	side_close(&a);
	side_close(&b);
}

static unsigned changes_seen;
static bool changes_ready;
static char change_seen[256];
static void
on_changed(void *ctx, const struct zk_entity *e, const struct zk_config *c)
{
	(void)ctx;
	changes_seen++;
	snprintf(change_seen, sizeof(change_seen), "%s=%s", e->name, c->nitems > 0 ? c->items[0].value : "");
}
static void on_ready(void *ctx, enum err e, const struct errbuf *why) { (void)ctx; (void)why; changes_ready = e == OK; }

static void
test_configs(void)
{
	static const struct zk_config_watch_callbacks callbacks = { on_changed, on_ready };
	struct zk_config_item item = { "retention.ms", "1000" };
	struct zk_config config = { &item, 1, SLICE_NULL };
	struct zk_entity entity = { ZK_ENTITY_TOPIC, "t", NULL };
	struct side a = { .loop = NULL };
	struct step step = { .done = false };
	struct zk_config_watch *w;

	side_open(&a, fresh_chroot(), 6000);
	make_paths(&a);
	zk_config_write(a.zk, &entity, &config, ZK_CONFIG_NOTIFY, on_step, &step);
	WAIT_UNTIL(&a, step.done);
	CHECK(step.err == ERR_FENCED);
	act(&a, ZK_CREATE_EPHEMERAL(ZK_CONTROLLER, slice_str("{\"version\":2,\"brokerid\":1,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}")));
	w = zk_config_watch_new(a.zk, clock_real(), NULL, &callbacks, NULL);
	WAIT_UNTIL(&a, changes_ready);
	step.done = false;
	zk_config_write(a.zk, &entity, &config, ZK_CONFIG_NOTIFY, on_step, &step);
	WAIT_UNTIL(&a, step.done && changes_seen == 1);
	CHECK(step.err == OK && strcmp(change_seen, "t=1000") == 0);
	zk_config_watch_free(&w);
	side_close(&a);
}

/* ---- the keeper and the record: a child process plays the daemon ---- */
struct daemon {
	pid_t pid, keeper;
};

static void
daemon_main(const char *chroot, const char *record_dir, bool with_keeper, int32_t timeout_ms, int out)
{
	struct side s = { .record_dir = record_dir };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_registrar *r;
	pid_t pid = 0;

	if (with_keeper) {
		must(keeper_start(&s.keeper, &eb) == OK);
		pid = keeper_pid(s.keeper);
	}
	side_open(&s, chroot, timeout_ms);
	make_paths(&s);
	r = zk_registrar_new(s.zk, 1);
	CHECK(register_broker(&s, r).err == OK);
	must(write(out, &pid, sizeof(pid)) == sizeof(pid));
	close(out);
	for (;;)
		loop_turn(s.loop, 1000);
}

static struct daemon
daemon_start(const char *chroot, const char *record_dir, bool with_keeper, int32_t timeout_ms)
{
	struct daemon d = { 0, 0 };
	int fds[2];

	must(pipe2(fds, O_CLOEXEC) == 0);
	fflush(NULL);
	d.pid = fork();
	if (d.pid == 0) {
		close(fds[0]);
		daemon_main(chroot, record_dir, with_keeper, timeout_ms, fds[1]);
	}
	close(fds[1]);
	CHECK(read(fds[0], &d.keeper, sizeof(d.keeper)) == sizeof(d.keeper));
	close(fds[0]);
	return (d);
}

static void
kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static bool
process_exists(pid_t pid)
{
	return (kill(pid, 0) == 0);
}

static void
test_keeper(void)
{
	struct watching x = { .fired = 0 };
	struct side s = { .loop = NULL };
	char chroot[128];
	struct daemon d;
	int64_t died, end;

	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	d = daemon_start(chroot, NULL, true, 18000);
	side_open(&s, chroot, 6000);
	zk_watcher_init(&x.watcher, on_watch);
	CHECK(act(&s, ZK_EXISTS("/brokers/ids/1", &x.watcher)).error == ZKE_OK);
	kill(d.pid, SIGSTOP);
	for (end = now() + 1500; now() < end;)
		loop_turn(s.loop, 50);
	CHECK(x.fired == 0);			/* stopped is not dead */
	kill(d.keeper, SIGTERM);		/* which it ignores */
	kill(d.pid, SIGKILL);
	died = now();
	(void)waitpid(d.pid, NULL, 0);
	WAIT_UNTIL(&s, x.fired == 1);
	CHECK(x.event == ZK_DELETED);
	fprintf(stderr, "  the node was gone %" PRId64 " ms after the kill\n", x.at - died);
	CHECK(x.at - died < 3000);
	for (end = now() + 6000; process_exists(d.keeper) && now() < end;)
		loop_turn(s.loop, 20);
	CHECK(!process_exists(d.keeper));
	side_close(&s);
}

static void
test_keeper_clean_end(void)
{
	struct errbuf eb = ERRBUF_INIT;
	struct keeper *k = NULL;
	int64_t end;
	pid_t pid;

	CHECK(keeper_start(&k, &eb) == OK);
	pid = keeper_pid(k);
	CHECK(keeper_clean_end(k, &eb) == OK);
	close(open("/dev/null", O_RDONLY));
	keeper_free(&k);
	for (end = now() + 5000; waitpid(pid, NULL, WNOHANG) == 0 && now() < end;)
		poll(NULL, 0, 10);
	CHECK(!process_exists(pid));
}

static const char *
make_dir(void)
{
	static char dir[64];
	char lock[80];
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/ottla-live-XXXXXX");
	must(mkdtemp(dir) != NULL);
	snprintf(lock, sizeof(lock), "%s/.lock", dir);
	fd = open(lock, O_CREAT | O_RDWR, 0644);
	must(fd >= 0);
	close(fd);
	return (dir);
}

static void
remove_dir(const char *dir)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/.lock", dir);
	unlink(path);
	CHECK(session_record_remove(dir, NULL) == OK);
	rmdir(dir);
}

static struct step
reclaim(struct side *s, const char *dir, const char *cluster, int32_t timeout_ms)
{
	struct session_reclaim_options o = { .dirs = &dir, .ndirs = 1, .broker_id = 1, .cluster_id = cluster, .connect = s->connect,
	    .session_timeout_ms = timeout_ms, .allow_close = true, .workers = s->workers };
	struct step step = { .done = false };

	session_record_reclaim(s->zk, &o, on_reclaimed, &step);
	WAIT_UNTIL(s, step.done);
	return (step);
}

static void
test_reclaim(void)
{
	struct side s = { .loop = NULL };
	struct zk_registrar *r;
	struct step step;
	const char *dir = make_dir();
	char chroot[128];
	struct daemon d;
	int64_t begin;

	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	d = daemon_start(chroot, dir, true, 18000);
	kill(d.keeper, SIGKILL);
	kill_and_wait(d.pid);
	side_open(&s, chroot, 6000);
	r = zk_registrar_new(s.zk, 1);
	CHECK(register_broker(&s, r).err == ERR_EXISTS);
	begin = now();
	step = reclaim(&s, dir, "cluster", 18000);
	CHECK(step.err == OK && step.outcome == RECLAIM_CLOSED);
	CHECK(now() - begin < 4000);
	CHECK(register_broker(&s, r).err == OK);
	CHECK(reclaim(&s, dir, "cluster", 2000).outcome == RECLAIM_FOREIGN);	/* our own session is not in the record */
	zk_registrar_free(&r);
	side_close(&s);
	remove_dir(dir);
}

/* A directory copied while its owner lives: another .lock, so the session is not closed, and the owner is unharmed. */
static void
test_reclaim_of_a_copy(void)
{
	struct side s = { .loop = NULL };
	const char *dir = make_dir();
	char chroot[128], lock[80], other[80];
	struct daemon d;
	struct step step;

	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	d = daemon_start(chroot, dir, false, 4000);
	snprintf(lock, sizeof(lock), "%s/.lock", dir);
	snprintf(other, sizeof(other), "%s/.lock2", dir);
	close(open(other, O_CREAT | O_RDWR, 0644));
	CHECK(rename(other, lock) == 0);		/* another inode under the same name */
	side_open(&s, chroot, 6000);
	step = reclaim(&s, dir, "cluster", 1500);
	CHECK(step.err == OK && step.outcome == RECLAIM_FOREIGN);
	CHECK(act(&s, ZK_EXISTS("/brokers/ids/1", NULL)).error == ZKE_OK);
	CHECK(reclaim(&s, dir, "another cluster", 500).outcome == RECLAIM_FOREIGN);
	kill_and_wait(d.pid);
	step = reclaim(&s, dir, "cluster", 500);	/* the session times out by itself: its own time-out counts, not ours */
	CHECK(step.outcome == RECLAIM_WAITED);
	CHECK(reclaim(&s, dir, "cluster", 500).outcome == RECLAIM_NOTHING);
	side_close(&s);
	remove_dir(dir);
}

/* ---- the connection cut again and again: a forwarding process that drops its connections on SIGUSR1 ---- */
static volatile sig_atomic_t cut_now;
static void on_cut(int sig) { (void)sig; cut_now = 1; }

static int
connect_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return (fd);
	close(fd);
	return (-1);
}

static bool
forward(int from, int to)
{
	char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	return (n > 0 && write(to, buf, (size_t)n) == n);
}

/* One connection at a time is enough for one session. */
static void
proxy_main(int listener, int port)
{
	struct sigaction sa = { .sa_handler = on_cut };
	struct pollfd p[2];
	int in, out;

	sigaction(SIGUSR1, &sa, NULL);
	for (;;) {
		in = accept(listener, NULL, NULL);
		if (in < 0)
			continue;
		out = connect_to(port);
		cut_now = 0;
		while (!cut_now && out >= 0) {
			p[0] = (struct pollfd){ in, POLLIN, 0 };
			p[1] = (struct pollfd){ out, POLLIN, 0 };
			if (poll(p, 2, 1000) < 0)
				continue;
			if ((p[0].revents != 0 && !forward(in, out)) || (p[1].revents != 0 && !forward(out, in)))
				break;
		}
		close(in);
		close(out);
	}
}

static pid_t
proxy_start(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	pid_t pid;

	must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	*port = ntohs(a.sin_port);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		proxy_main(fd, atoi(strrchr(server, ':') + 1));
	close(fd);
	return (pid);
}

struct counting { unsigned ok, exists, other, answered; };

static void
on_counted(void *ctx, const struct zk_result *r)
{
	struct counting *c = ctx;

	c->answered++;
	c->ok += r->error == ZKE_OK;
	c->exists += r->error == ZKE_NODE_EXISTS;
	c->other += r->error != ZKE_OK && r->error != ZKE_NODE_EXISTS;
}

static void
test_cut(void)
{
	enum { N = 2000 };
	struct watching x = { .fired = 0 };
	struct counting c = { 0, 0, 0, 0 };
	struct side s = { .loop = NULL };
	char connect[256], path[64];
	int64_t id, last;
	unsigned i, cuts = 0;
	pid_t proxy;
	int port;

	proxy = proxy_start(&port);
	snprintf(connect, sizeof(connect), "127.0.0.1:%d%s", port, fresh_chroot());
	side_open_at(&s, connect, 20000, 10000);
	CHECK(s.open_err == OK);
	id = zk_session_id(s.zk);
	act(&s, ZK_CREATE("/c", SLICE_NULL));
	zk_watcher_init(&x.watcher, on_watch);
	act(&s, ZK_EXISTS("/c/1999", &x.watcher));
	for (i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/c/%u", i);
		zk_create(s.zk, path, SLICE_LIT("x"), ZK_PERSISTENT, on_counted, &c);
	}
	for (last = now(); c.answered < N && now() < last + 30000;) {
		loop_turn(s.loop, 5);
		if (cuts < 5 && c.answered > cuts * 300 && zk_is_connected(s.zk)) {
			kill(proxy, SIGUSR1);
			cuts++;
			WAIT_UNTIL(&s, !zk_is_connected(s.zk));
		}
	}
	CHECK(cuts == 5);
	CHECK(c.answered == N && c.ok + c.exists == N && c.other == 0);
	fprintf(stderr, "  %u cuts: %u created, %u met themselves\n", cuts, c.ok, c.exists);
	WAIT_UNTIL(&s, x.fired == 1);		/* the watch survived */
	CHECK(zk_session_id(s.zk) == id && strchr(s.events, 'E') == NULL && s.established == 1);
	snprintf(path, sizeof(path), "%u", act(&s, ZK_GET("/c", NULL)).stat.num_children);
	CHECK(strcmp(path, "2000") == 0);
	side_close(&s);
	kill_and_wait(proxy);
}

/* ---- a client on another thread's loop, closed under way ---- */
struct elsewhere {
	struct zk *zk;
	struct counting c;
	_Atomic bool submitted, closed;
};

static void
submit_elsewhere(void *ctx)
{
	struct elsewhere *e = ctx;
	char path[32];
	unsigned i;

	for (i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "/e%u", i % 100);
		zk_create(e->zk, path, SLICE_NULL, ZK_PERSISTENT, on_counted, &e->c);
	}
	e->submitted = true;
}

static void
close_elsewhere(void *ctx)
{
	struct elsewhere *e = ctx;

	zk_close(&e->zk);
	e->closed = true;
}

static void
test_other_loop(void)
{
	struct loop_options lo = { .name = "elsewhere", .clock = clock_real() };
	struct elsewhere e = { .zk = NULL };
	struct side s = { .loop = NULL };
	struct loop *loop = NULL;

	must(loop_new(&lo, &loop, NULL) == OK);
	side_open(&s, fresh_chroot(), 6000);
	e.zk = zk_session_client(s.session, loop);
	must(loop_start(loop, NULL) == OK);
	loop_call(loop, submit_elsewhere, &e);
	WAIT_UNTIL(&s, e.submitted);
	expire(&s);		/* with operations under way */
	loop_call(loop, submit_elsewhere, &e);
	loop_call(loop, close_elsewhere, &e);
	WAIT_UNTIL(&s, e.closed);
	side_close(&s);
	loop_stop(loop);
	loop_join(loop);
	loop_free(&loop);
	CHECK(e.c.answered == 1000);
}

/* ---- the same random operations on the server and on the tree ---- */
struct both {
	struct zk_tree *tree;
	int64_t	sessions[2];
	struct side sides[2];
	struct random_seeded random;
	unsigned differences;
};

static void
no_event(void *ctx, int64_t session, enum zk_event event, const char *path, unsigned kinds)
{
	(void)ctx; (void)session; (void)event; (void)path; (void)kinds;
}

static const char *
random_path(struct both *b)
{
	static const char *const paths[] = { "/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/a/b", "/b/a/c", "/c" };

	return (paths[random_below(&b->random.random, NELEM(paths))]);
}

static struct zk_op
random_op(struct both *b, bool multi)
{
	static const char *const values[] = { NULL, "", "x", "some data" };
	const char *v = values[random_below(&b->random.random, NELEM(values))];
	struct zk_op op = { .path = random_path(b), .version = (int32_t)random_below(&b->random.random, 4) - 1 };

	switch (random_below(&b->random.random, multi ? 5 : 7)) {
	case 0: case 1:
		op.kind = ZK_OP_CREATE;
		op.data = slice_str(v);
		op.mode = (enum zk_create_mode)random_below(&b->random.random, 4);
		break;
	case 2:
		op.kind = ZK_OP_DELETE;
		break;
	case 3:
		op.kind = ZK_OP_SET;
		op.data = slice_str(v);
		break;
	case 4:
		op.kind = multi ? ZK_OP_CHECK : ZK_OP_EXISTS;
		break;
	case 5:
		op.kind = ZK_OP_GET;
		break;
	default:
		op.kind = ZK_OP_CHILDREN;
		break;
	}
	return (op);
}

static bool
stats_agree(const struct zk_stat *x, const struct zk_stat *y)
{
	return (x->version == y->version && x->cversion == y->cversion && x->aversion == y->aversion && x->data_length == y->data_length &&
	    x->num_children == y->num_children && (x->ephemeral_owner == 0) == (y->ephemeral_owner == 0) &&
	    (x->czxid == x->mzxid) == (y->czxid == y->mzxid) && (x->czxid == x->pzxid) == (y->czxid == y->pzxid) &&
	    y->mzxid - y->czxid == x->mzxid - x->czxid && y->pzxid - y->czxid == x->pzxid - x->czxid);
}

static void
compare(struct both *b, const struct zk_op *op, const struct answer *real, const struct answer *ours)
{
	if (real->error == ours->error && strcmp(real->path, ours->path) == 0 && strcmp(real->data, ours->data) == 0 && real->null == ours->null &&
	    strcmp(real->children, ours->children) == 0 && stats_agree(&real->stat, &ours->stat) &&
	    memcmp(real->errors, ours->errors, sizeof(real->errors)) == 0)
		return;
	if (b->differences++ < 5)
		fprintf(stderr, "  op %d on %s: %s %s \"%s\" {%s} v%d c%d n%d z%" PRId64 "/%" PRId64 " against %s %s \"%s\" {%s} v%d c%d n%d z%" PRId64 "/%" PRId64 "\n",
		    (int)op->kind, op->path, zke_name(real->error), real->path, real->data, real->children, (int)real->stat.version, (int)real->stat.cversion, (int)real->stat.num_children,
		    real->stat.mzxid - real->stat.czxid, real->stat.pzxid - real->stat.czxid,
		    zke_name(ours->error), ours->path, ours->data, ours->children, (int)ours->stat.version, (int)ours->stat.cversion, (int)ours->stat.num_children,
		    ours->stat.mzxid - ours->stat.czxid, ours->stat.pzxid - ours->stat.czxid);
}

static void
random_round(struct both *b)
{
	unsigned who = random_below(&b->random.random, 2);
	bool multi = random_below(&b->random.random, 4) == 0;
	uint32_t i, n = multi ? 1 + random_below(&b->random.random, 4) : 1;
	struct answer real = { .done = false }, ours;
	struct zk_op ops[4];
	struct zk_result r;

	for (i = 0; i < n; i++)
		ops[i] = random_op(b, multi);
	if (multi) {
		zk_multi(b->sides[who].zk, ops, n, on_answer, &real);
		zk_tree_multi(b->tree, b->sessions[who], 1, ops, NULL, n, &r);
	} else {
		zk_submit(b->sides[who].zk, ops, on_answer, &real);
		zk_tree_apply(b->tree, b->sessions[who], 1, ops, &r);
	}
	on_answer(&ours, &r);
	WAIT_UNTIL(&b->sides[who], real.done);
	if (multi)
		ours.path[0] = real.path[0] = '\0';
	compare(b, ops, &real, &ours);
}

static void
test_tree_agrees(void)
{
	struct both b = { .differences = 0 };
	uint64_t seed = getenv("OTTLA_TEST_SEED") != NULL ? strtoull(getenv("OTTLA_TEST_SEED"), NULL, 0) : (uint64_t)clock_wall_ms(clock_real());
	char chroot[128];
	unsigned i;

	fprintf(stderr, "  seed %" PRIu64 "\n", seed);
	random_seeded_init(&b.random, seed);
	snprintf(chroot, sizeof(chroot), "%s", fresh_chroot());
	b.tree = zk_tree_new(no_event, NULL);
	for (i = 0; i < 2; i++) {
		side_open(&b.sides[i], chroot, 30000);
		b.sessions[i] = zk_tree_session_new(b.tree);
	}
	for (i = 0; i < 4000; i++)
		random_round(&b);
	zk_tree_check(b.tree);
	CHECK(b.differences == 0);
	for (i = 0; i < 2; i++)
		side_close(&b.sides[i]);
	zk_tree_free(&b.tree);
}

/* A packed write of many nodes, and a node as large as the server takes. */
static void
on_many(void *ctx, const struct zk_result *r, uint32_t n)
{
	unsigned *good = ctx;
	uint32_t i;

	for (i = 0; i < n; i++)
		*good += r[i].error == ZKE_OK;
	*good += 1000000;
}

static void
test_bulk(void)
{
	enum { N = 10000 };
	struct zk_op *ops = xcalloc(N, sizeof(*ops));
	struct side s = { .loop = NULL };
	struct answer a = { .done = false };
	unsigned i, good = 0;
	int64_t begin;

	side_open(&s, fresh_chroot(), 30000);
	act(&s, ZK_CREATE(ZK_CONTROLLER_EPOCH, SLICE_LIT("1")));
	act(&s, ZK_CREATE("/t", SLICE_NULL));
	for (i = 0; i < N; i++)
		ops[i] = ZK_CREATE(xasprintf("/t/%u", i), SLICE_LIT("{\"controller_epoch\":1,\"leader\":0,\"version\":1,\"leader_epoch\":0,\"isr\":[0]}"));
	begin = now();
	zk_fenced_many(s.zk, 0, ops, N, on_many, &good);
	WAIT_UNTIL(&s, good >= 1000000);
	CHECK(good == 1000000 + N);
	fprintf(stderr, "  %d fenced creates in %" PRId64 " ms\n", N, now() - begin);
	begin = now();
	zk_delete_recursive(s.zk, 0, "/t", on_answer, &a);
	WAIT_UNTIL(&s, a.done);
	CHECK(a.error == ZKE_OK);
	fprintf(stderr, "  deleted in %" PRId64 " ms\n", now() - begin);
	for (i = 0; i < N; i++)
		free((char *)(uintptr_t)ops[i].path);
	free(ops);
	side_close(&s);
}

/* ---- live_zk HOST:PORT/CHROOT --dump: every znode, for test/golden/znodes ---- */
static void
dump(struct side *s, const char *path)
{
	struct answer node = act(s, ZK_GET(path, NULL)), kids = act(s, ZK_GET_CHILDREN(path, NULL));
	char *name, *rest = kids.children, *child;

	printf("%s\t%s\t%s\n", path, node.stat.ephemeral_owner != 0 ? "ephemeral" : "persistent", node.null ? "(null)" : node.data);
	while ((name = strsep(&rest, ",")) != NULL && name[0] != '\0') {
		child = xasprintf("%s/%s", strcmp(path, "/") == 0 ? "" : path, name);
		dump(s, child);
		free(child);
	}
}

static int
dump_all(void)
{
	struct side s = { .loop = NULL };

	test_name = "dump";
	side_open(&s, "", 6000);
	dump(&s, "/");
	side_close(&s);
	return (failed_checks != 0);
}

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
	/* First: it compares distances between transaction ids.  The others leave sessions that nobody closes (killed owners, connections cut
	 * before the server's answer to a new session came), and each takes an id when the server expires it, at any later moment. */
	{ "tree_agrees", test_tree_agrees },
	{ "keeper_clean_end", test_keeper_clean_end },
	{ "keeper", test_keeper },
	{ "reclaim", test_reclaim },
	{ "reclaim_of_a_copy", test_reclaim_of_a_copy },
	{ "cut", test_cut },
	{ "operations", test_operations },
	{ "acls", test_acls },
	{ "other_loop", test_other_loop },
	{ "unreachable", test_unreachable },
	{ "watches", test_watches },
	{ "expiry", test_expiry },
	{ "configs", test_configs },
	{ "bulk", test_bulk },
};

static bool
wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return (true);
	return (argc <= 2);
}

int
main(int argc, char **argv)
{
	unsigned i, before, failed = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: live_zk HOST:PORT [TEST...]\n");
		return (2);
	}
	server = argv[1];
	if (argc == 3 && strcmp(argv[2], "--dump") == 0)
		return (dump_all());
	for (i = 0; i < NELEM(tests); i++) {
		if (!wanted(tests[i].name, argc, argv))
			continue;
		before = failed_checks;
		test_name = tests[i].name;
		tests[i].fn();
		failed += failed_checks != before;
		printf("%s %s\n", failed_checks == before ? "ok" : "FAILED", tests[i].name);
		fflush(stdout);
	}
	return (failed != 0);
}
