/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zkserver/test_server.c - the embedded server byte by byte, on virtual time: answers, sessions, watches, ACLs, hostile clients.
 * What ZooKeeper itself answers is compared in test/func/test_embedded.py.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bed.h"

/* ---- what leaves when ---- */

TEST(an_answer_leaves_when_its_batch_is_on_disk)
{
	struct peer *writer, *reader;
	struct bed b;

	bed_init(&b);
	writer = peer_new(&b);
	reader = peer_new(&b);
	peer_get(reader, "/a", false);
	while (bed_turn(&b))
		continue;
	CHECK(peer_next(reader) != NULL && reader->answer.error == -101);	/* nothing is under way: at once */

	peer_create(writer, "/a", "x", 0);
	while (bed_turn(&b))
		continue;
	peer_get(reader, "/a", false);
	peer_ping(reader);
	while (bed_turn(&b))
		continue;
	CHECK(peer_next(writer) == NULL && peer_next(reader) == NULL);		/* it would tell of what may yet be lost */
	bed_settle(&b);
	CHECK(peer_next(writer) != NULL && writer->answer.error == 0);
	CHECK(peer_next(reader) != NULL && reader->answer.error == 0);
	CHECK(peer_next(reader) != NULL && reader->answer.xid == -2);
	peer_free(&writer);
	peer_free(&reader);
	bed_fini(&b);
}

static unsigned syncs;

static void
count_sync(void *ctx, const char *what)
{
	(void)ctx;
	(void)what;
	syncs++;
}

TEST(many_clients_share_one_sync)
{
	enum { N = 50 };
	struct peer *p[N];
	char path[16];
	struct bed b;

	bed_init(&b);
	for (int i = 0; i < N; i++)
		p[i] = peer_new(&b);
	syncs = 0;
	fs_power_watch(b.fs, FS_FAULT_SYNC, count_sync, NULL);
	for (int i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/n%d", i);
		peer_create(p[i], path, "", 0);
	}
	bed_settle(&b);
	fs_power_watch(b.fs, 0, NULL, NULL);
	for (int i = 0; i < N; i++) {
		CHECK(peer_next(p[i]) != NULL && p[i]->answer.error == 0);
		peer_free(&p[i]);
	}
	CHECK(syncs >= 1 && syncs <= 3);
	bed_fini(&b);
}

/* In one turn: a write, the end of the batch before it, and another write. */
TEST(a_batch_that_ends_between_two_writes_of_a_turn_is_followed_by_one)
{
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	for (int round = 0; round < 3; round++) {
		peer_create(p, "/s-", "", 2);
		bed_turn(&b);				/* the batch goes to the worker */
		CHECK(workers_step(b.workers));		/* and is done: the loop is told behind this */
		zkserver_own(b.server, p->session);	/* a write behind that */
		peer_create(p, "/s-", "", 2);
		bed_settle(&b);
		CHECK(peer_next(p) != NULL && p->answer.error == 0);
		CHECK(peer_next(p) != NULL && p->answer.error == 0);
	}
	peer_children(p, "/", false);
	CHECK_EQ(peer_error(p), 0);
	CHECK_EQ(rd_i32(&p->answer.body), 7);		/* six, and /zookeeper */
	peer_free(&p);
	bed_fini(&b);
}

/* ---- operations ---- */

TEST(a_node_is_made_read_changed_and_deleted)
{
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/a", "one", 0);
	CHECK_EQ(peer_error(p), 0);
	CHECK(slice_eq_str(jute_bytes(&p->answer.body), "/a"));
	CHECK(peer_has(p, "/a", "one"));
	peer_set(p, "/a", "two", 1);
	CHECK_EQ(peer_error(p), -103);
	peer_set(p, "/a", "two", 0);
	CHECK_EQ(peer_error(p), 0);
	CHECK(peer_has(p, "/a", "two"));
	peer_create(p, "/a", "", 0);
	CHECK_EQ(peer_error(p), -110);
	peer_create(p, "/x/y", "", 0);
	CHECK_EQ(peer_error(p), -101);
	peer_create(p, "/a/s-", "", 2);
	CHECK_EQ(peer_error(p), 0);
	CHECK(slice_eq_str(jute_bytes(&p->answer.body), "/a/s-0000000000"));
	peer_delete(p, "/a", -1);
	CHECK_EQ(peer_error(p), -111);
	peer_delete(p, "/a/s-0000000000", -1);
	CHECK_EQ(peer_error(p), 0);
	peer_delete(p, "/a", 1);
	CHECK_EQ(peer_error(p), 0);
	peer_exists(p, "/a", false);
	CHECK_EQ(peer_error(p), -101);
	peer_delete(p, "/zookeeper", -1);
	CHECK_EQ(peer_error(p), -8);
	peer_free(&p);
	bed_fini(&b);
}

static void
multi_create(struct jute_out *out, const char *path)
{
	jute_put_i32(out, 1);
	jute_put_bool(out, false);
	jute_put_i32(out, -1);
	jute_put_string(out, path);
	jute_put_string(out, "m");
	put_open_acl(out);
	jute_put_i32(out, 0);
}

static void
multi_end(struct jute_out *out)
{
	jute_put_i32(out, -1);
	jute_put_bool(out, true);
	jute_put_i32(out, -1);
}

TEST(a_multi_is_done_whole_or_not_at_all)
{
	static const int32_t failed[] = { 0, -110, -2 };
	struct jute_out out;
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/there", "", 0);
	CHECK_EQ(peer_error(p), 0);
	out = peer_begin(p, MULTI);
	multi_create(&out, "/a");
	multi_create(&out, "/there");
	multi_create(&out, "/b");
	multi_end(&out);
	peer_end(p, &out);
	CHECK_EQ(peer_error(p), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(rd_i32(&p->answer.body), -1);
		CHECK_EQ(rd_i8(&p->answer.body), 0);
		CHECK_EQ(rd_i32(&p->answer.body), failed[i]);
		CHECK_EQ(rd_i32(&p->answer.body), failed[i]);
	}
	peer_exists(p, "/a", false);
	CHECK_EQ(peer_error(p), -101);
	out = peer_begin(p, MULTI);
	multi_create(&out, "/a");
	multi_create(&out, "/b");
	multi_end(&out);
	peer_end(p, &out);
	CHECK_EQ(peer_error(p), 0);
	CHECK(peer_has(p, "/a", "m") && peer_has(p, "/b", "m"));
	peer_free(&p);
	bed_fini(&b);
}

/* ---- sessions ---- */

TEST(a_session_that_is_silent_expires_and_takes_its_ephemerals_along)
{
	struct peer *silent, *watcher;
	struct bed b;

	bed_init(&b);
	silent = peer_new(&b);
	watcher = peer_new(&b);
	CHECK_EQ(silent->timeout_ms, 6000);
	peer_create(silent, "/e", "", 1);
	CHECK_EQ(peer_error(silent), 0);
	peer_exists(watcher, "/e", true);
	CHECK_EQ(peer_error(watcher), 0);
	for (int i = 0; i < 5; i++) {
		bed_advance(&b, 1000);
		peer_ping(watcher);
		CHECK_EQ(peer_error(watcher), 0);
	}
	peer_exists(watcher, "/e", false);
	CHECK_EQ(peer_error(watcher), 0);	/* not yet */
	for (int i = 0; i < 4; i++) {
		bed_advance(&b, 1000);
		peer_ping(watcher);
		bed_settle(&b);
		if (peer_next(watcher) != NULL && watcher->answer.event != 0)
			break;
	}
	CHECK_EQ(watcher->answer.event, 2);
	CHECK_STR(watcher->answer.path, "/e");
	CHECK(peer_next(silent) == NULL && silent->ended);
	CHECK(peer_again(silent) == NULL);
	peer_free(&silent);
	peer_free(&watcher);
	bed_fini(&b);
}

TEST(a_session_is_found_again_by_its_password_also_after_a_restart)
{
	struct peer *p, *again, *stranger;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/e", "", 1);
	CHECK_EQ(peer_error(p), 0);
	stranger = peer_raw(&b);
	CHECK(!peer_connect(stranger, p->session, (const uint8_t *)"sixteen bytes .."));
	bed_settle(&b);
	CHECK(peer_next(stranger) == NULL && stranger->ended);
	CHECK(peer_has(p, "/e", ""));		/* the stranger has not cut it off */
	again = peer_again(p);
	REQUIRE(again != NULL);
	CHECK_EQ(again->session, p->session);
	CHECK(peer_next(p) == NULL && p->ended);	/* one connection per session */
	peer_free(&p);
	p = again;
	bed_abandon(&b);
	REQUIRE(bed_open(&b));
	again = peer_again(p);
	REQUIRE(again != NULL);
	CHECK(peer_has(again, "/e", ""));
	peer_free(&p);
	bed_advance(&b, 5000);
	CHECK(peer_has(again, "/e", ""));
	peer_free(&again);
	peer_free(&stranger);
	bed_advance(&b, 9000);			/* nobody is attached: it expires all the same */
	p = peer_new(&b);
	peer_exists(p, "/e", false);
	CHECK_EQ(peer_error(p), -101);
	peer_free(&p);
	bed_fini(&b);
}

TEST(an_own_session_ends_with_the_process)
{
	struct peer *own, *other;
	struct bed b;

	bed_init(&b);
	own = peer_new(&b);
	other = peer_new(&b);
	zkserver_own(b.server, own->session);
	peer_create(own, "/own", "", 1);
	peer_create(other, "/other", "", 1);
	CHECK(peer_error(own) == 0 && peer_error(other) == 0);
	bed_abandon(&b);
	REQUIRE(bed_open(&b));
	CHECK(peer_again(own) == NULL);
	peer_free(&own);
	own = peer_new(&b);
	peer_exists(own, "/own", false);
	CHECK_EQ(peer_error(own), -101);
	CHECK(peer_has(own, "/other", ""));
	peer_free(&own);
	peer_free(&other);
	bed_fini(&b);
}

TEST(a_client_of_another_zookeeper_is_sent_away)
{
	static const uint8_t none[16];
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_raw(&b);
	p->zxid_seen = INT64_C(0x500000000);
	CHECK(!peer_connect(p, 0, none) && p->ended);
	peer_free(&p);
	bed_fini(&b);
}

/* ---- watches ---- */

static const char *
event(struct peer *p)
{
	static const char names[] = "-cdCk";
	static char text[300];
	const struct answer *a;

	bed_settle(p->b);
	while ((a = peer_next(p)) != NULL && a->event == 0)
		continue;
	snprintf(text, sizeof(text), "%c%s", names[a == NULL ? 0 : a->event], a == NULL ? "" : a->path);
	return (text);
}

TEST(watches_fire_once_and_before_the_answer_that_shows_it)
{
	struct peer *p, *q;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	q = peer_new(&b);
	peer_exists(p, "/a", true);
	CHECK_EQ(peer_error(p), -101);
	peer_children(p, "/", true);
	CHECK_EQ(peer_error(p), 0);
	peer_create(q, "/a", "", 0);
	peer_set(q, "/a", "x", -1);
	peer_get(p, "/a", true);
	bed_settle(&b);
	CHECK_STR(event(p), "c/a");
	CHECK_STR(event(p), "k/");
	CHECK_STR(event(p), "-");
	peer_delete(q, "/a", -1);
	CHECK_STR(event(p), "d/a");
	CHECK_STR(event(p), "-");
	peer_free(&p);
	peer_free(&q);
	bed_fini(&b);
}

static void
add_watch(struct peer *p, const char *path, int32_t mode)
{
	struct jute_out out = peer_begin(p, ADDED_WATCH);

	jute_put_string(&out, path);
	jute_put_i32(&out, mode);
	peer_end(p, &out);
	CHECK_EQ(peer_error(p), 0);
}

static int32_t
look_at_watch(struct peer *p, int32_t type, const char *path, int32_t which)
{
	struct jute_out out = peer_begin(p, type);

	jute_put_string(&out, path);
	jute_put_i32(&out, which);
	peer_end(p, &out);
	return (peer_error(p));
}

TEST(persistent_watches_stay_and_recursive_ones_see_below)
{
	struct peer *p, *q, *w;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	q = peer_new(&b);
	w = peer_new(&b);
	peer_create(w, "/a", "", 0);
	CHECK_EQ(peer_error(w), 0);
	add_watch(p, "/a", 0);
	add_watch(q, "/a", 1);
	peer_set(w, "/a", "1", -1);
	peer_set(w, "/a", "2", -1);
	peer_create(w, "/a/b", "", 0);
	peer_create(w, "/a/b/c", "", 0);
	bed_settle(&b);
	CHECK_STR(event(p), "C/a");
	CHECK_STR(event(p), "C/a");
	CHECK_STR(event(p), "k/a");
	CHECK_STR(event(p), "-");
	CHECK_STR(event(q), "C/a");
	CHECK_STR(event(q), "C/a");
	CHECK_STR(event(q), "c/a/b");
	CHECK_STR(event(q), "c/a/b/c");
	CHECK_STR(event(q), "-");
	CHECK_EQ(look_at_watch(q, 17, "/a", 3), 0);
	CHECK_EQ(look_at_watch(q, 18, "/a", 3), 0);
	CHECK_EQ(look_at_watch(q, 18, "/a", 3), -121);
	CHECK_EQ(look_at_watch(q, 17, "/a", 3), -121);
	peer_delete(w, "/a/b/c", -1);
	CHECK_STR(event(q), "-");
	peer_free(&p);
	peer_free(&q);
	peer_free(&w);
	bed_fini(&b);
}

TEST(who_comes_back_is_told_what_was_missed)
{
	struct peer *p, *q;
	struct jute_out out;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	q = peer_new(&b);
	peer_create(p, "/changed", "", 0);
	peer_create(p, "/same", "", 0);
	bed_settle(&b);
	while (peer_next(p) != NULL)
		continue;
	peer_set(q, "/changed", "x", -1);
	peer_create(q, "/made", "", 0);
	CHECK(peer_error(q) == 0 && peer_error(q) == 0);
	out = peer_begin(p, 101);
	jute_put_i64(&out, p->zxid_seen);
	jute_put_i32(&out, 3);
	jute_put_string(&out, "/changed");
	jute_put_string(&out, "/same");
	jute_put_string(&out, "/gone");
	jute_put_i32(&out, 1);
	jute_put_string(&out, "/made");
	jute_put_i32(&out, 1);
	jute_put_string(&out, "/");
	peer_end(p, &out);
	bed_settle(&b);
	CHECK_STR(event(p), "C/changed");
	CHECK_STR(event(p), "d/gone");
	CHECK_STR(event(p), "c/made");
	CHECK_STR(event(p), "k/");
	CHECK_STR(event(p), "-");
	peer_set(q, "/same", "x", -1);
	CHECK_STR(event(p), "C/same");
	peer_free(&p);
	peer_free(&q);
	bed_fini(&b);
}

/* ---- ACLs ---- */

static void
authenticate(struct peer *p, const char *scheme, const char *credentials)
{
	struct jute_out out = peer_begin(p, 100);

	jute_put_i32(&out, 0);
	jute_put_string(&out, scheme);
	jute_put_string(&out, credentials);
	peer_end(p, &out);
}

static void
create_with_acl(struct peer *p, const char *path, int32_t perms, const char *scheme, const char *id)
{
	struct jute_out out = peer_begin(p, 1);

	jute_put_string(&out, path);
	jute_put_string(&out, "");
	jute_put_i32(&out, 1);
	jute_put_i32(&out, perms);
	jute_put_string(&out, scheme);
	jute_put_string(&out, id);
	jute_put_i32(&out, 0);
	peer_end(p, &out);
}

TEST(an_acl_keeps_others_out)
{
	struct peer *owner, *other;
	struct jute_out out;
	struct slice id;
	struct bed b;

	bed_init(&b);
	owner = peer_new(&b);
	other = peer_new(&b);
	create_with_acl(owner, "/early", 31, "auth", "");
	CHECK_EQ(peer_error(owner), -114);		/* nothing is proved yet */
	authenticate(owner, "digest", "ann:secret");
	CHECK_EQ(peer_error(owner), 0);
	create_with_acl(owner, "/mine", 31, "auth", "");
	CHECK_EQ(peer_error(owner), 0);
	create_with_acl(owner, "/shown", 1, "world", "anyone");
	CHECK_EQ(peer_error(owner), 0);
	CHECK(peer_has(owner, "/mine", ""));
	peer_get(other, "/mine", false);
	CHECK_EQ(peer_error(other), -102);
	peer_create(other, "/mine/x", "", 0);
	CHECK_EQ(peer_error(other), -102);
	peer_set(other, "/shown", "x", -1);
	CHECK_EQ(peer_error(other), -102);
	CHECK(peer_has(other, "/shown", ""));
	out = peer_begin(owner, 6);
	jute_put_string(&out, "/mine");
	peer_end(owner, &out);
	CHECK_EQ(peer_error(owner), 0);
	CHECK_EQ(rd_i32(&owner->answer.body), 1);
	CHECK_EQ(rd_i32(&owner->answer.body), 31);
	CHECK(slice_eq_str(jute_bytes(&owner->answer.body), "digest"));
	id = jute_bytes(&owner->answer.body);
	CHECK(slice_eq_str(id, "ann:7RJfAeIvrl4zdj6sS2fXrQHDvHM="));
	create_with_acl(other, "/x", 31, "kerberos", "ann");
	CHECK_EQ(peer_error(other), -114);
	create_with_acl(other, "/x", 31, "ip", "10.0.0.0/33");
	CHECK_EQ(peer_error(other), -114);
	bed_abandon(&b);
	REQUIRE(bed_open(&b));
	peer_free(&other);
	other = peer_new(&b);
	peer_get(other, "/mine", false);
	CHECK_EQ(peer_error(other), -102);
	authenticate(other, "digest", "ann:secret");
	CHECK_EQ(peer_error(other), 0);
	CHECK(peer_has(other, "/mine", ""));
	authenticate(other, "sesame", "open");
	CHECK_EQ(peer_error(other), -115);
	CHECK(peer_next(other) == NULL && other->ended);
	peer_free(&owner);
	peer_free(&other);
	bed_fini(&b);
}

/* ---- what is bounded ---- */

TEST(a_connection_without_a_session_ends)
{
	static const uint8_t beginning[] = { 0, 0, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct peer *silent, *slow, *left, *live;
	char *large = xcalloc(1, 500001);
	struct bed b;

	memset(large, 'x', 500000);
	bed_init(&b);
	silent = peer_raw(&b);
	slow = peer_raw(&b);
	live = peer_new(&b);
	left = peer_new(&b);			/* ends its session, and reads nothing of what it had asked for */
	peer_create(left, "/large", large, 0);
	CHECK_EQ(peer_error(left), 0);
	peer_get(left, "/large", false);
	peer_get(left, "/large", false);
	peer_simple(left, -11);
	for (int i = 0; i < 12; i++) {
		peer_send(slow, slice_of(beginning + i, 1));
		peer_ping(live);
		bed_advance(&b, 1000);
		CHECK(peer_next(live) != NULL);
		CHECK(peer_next(silent) == NULL && silent->ended == (i >= 9));
	}
	CHECK(peer_next(slow) == NULL && slow->ended);
	CHECK(peer_next(left) == NULL || peer_next(left) == NULL);	/* one of two answers at most */
	CHECK(left->ended && !live->ended);
	peer_free(&silent);
	peer_free(&slow);
	peer_free(&left);
	peer_free(&live);
	free(large);
	bed_fini(&b);
}

/* A connected socket; -1: refused. */
static int
dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return (fd);
}

static bool
answers(struct bed *b, int fd)
{
	char text[8] = "";

	must(send(fd, "ruok", 4, MSG_NOSIGNAL) == 4);
	bed_settle(b);
	return (recv(fd, text, 4, MSG_DONTWAIT) == 4 && memcmp(text, "imok", 4) == 0);
}

static void
listening(struct bed *b)
{
	bed_init(b);
	bed_stop(b);
	b->host = "127.0.0.1";
	must(bed_open(b));
}

TEST(accepting_pauses_while_there_are_no_descriptors)
{
	struct rlimit rl, low;
	unsigned busy = 0;
	struct bed b;
	int fd, none;

	listening(&b);
	fd = dial(zkserver_port(b.server));
	must(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	low = rl;
	none = dup(0);
	must(none >= 0);
	low.rlim_cur = (rlim_t)none;
	close(none);
	must(setrlimit(RLIMIT_NOFILE, &low) == 0);
	for (unsigned i = 0; i < 20; i++)
		busy += bed_turn(&b);
	must(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	CHECK(busy < 5);			/* it does not spin */
	CHECK(!answers(&b, fd));
	bed_advance(&b, 200);
	CHECK(answers(&b, fd));
	close(fd);
	bed_fini(&b);
}

TEST(connections_are_counted_over_all_hosts)
{
	int fd[5];
	struct bed b;

	listening(&b);
	bed_stop(&b);
	b.connections_max = 3;
	REQUIRE(bed_open(&b));
	for (int i = 0; i < 5; i++)
		fd[i] = dial(zkserver_port(b.server));
	bed_settle(&b);
	for (int i = 0; i < 5; i++) {
		char byte;

		CHECK_EQ(recv(fd[i], &byte, 1, MSG_DONTWAIT), i < 3 ? -1 : 0);
	}
	CHECK(answers(&b, fd[0]));		/* and is closed behind it */
	close(fd[4]);
	fd[4] = dial(zkserver_port(b.server));
	bed_settle(&b);
	CHECK(answers(&b, fd[4]));
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	bed_fini(&b);
}

/* A request with that path of len bytes, "/nnnnn...". */
static void
put_long_path(struct jute_out *out, unsigned n, size_t len)
{
	char *path = xcalloc(1, len + 1);

	memset(path, 'x', len);
	path[snprintf(path, len, "/%u", n)] = '-';
	jute_put_string(out, path);
	free(path);
}

static int32_t
watch_long_path(struct peer *p, int32_t type, unsigned n, size_t len)
{
	struct jute_out out = peer_begin(p, type);

	put_long_path(&out, n, len);
	if (type == 3)
		jute_put_bool(&out, true);
	else
		jute_put_i32(&out, type == 18 ? 3 : 0);
	peer_end(p, &out);
	return (peer_error(p));
}

TEST(the_memory_of_watches_is_bounded)
{
	enum { LONG = 1000000, FIT = 67 };	/* 64 MiB */
	struct jute_out out;
	struct peer *p, *q;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	q = peer_new(&b);
	for (unsigned i = 0; i < FIT; i++)
		CHECK_EQ(watch_long_path(p, 3, i, LONG), -101);
	CHECK_EQ(watch_long_path(p, 3, FIT, LONG), -125);
	CHECK_EQ(watch_long_path(p, ADDED_WATCH, FIT, LONG), -125);
	CHECK_EQ(watch_long_path(p, 3, 0, LONG), -101);			/* is there already */
	CHECK_EQ(watch_long_path(p, 3, 0, 100), -101);			/* the small rest */
	CHECK_EQ(watch_long_path(q, 3, FIT, LONG), -101);		/* another's share is its own */
	CHECK_EQ(watch_long_path(p, 18, 5, LONG), 0);			/* removeWatches */
	CHECK_EQ(watch_long_path(p, ADDED_WATCH, FIT, LONG), 0);
	CHECK(peer_has(p, "/zookeeper", ""));
	out = peer_begin(p, 101);					/* setWatches: none has an answer that is looked at */
	jute_put_i64(&out, INT64_MAX);
	jute_put_i32(&out, 0);
	jute_put_i32(&out, 1);
	put_long_path(&out, FIT + 1, LONG);
	jute_put_i32(&out, 0);
	peer_end(p, &out);
	bed_settle(&b);
	CHECK(peer_next(p) == NULL && p->ended);
	peer_free(&p);
	p = peer_new(&b);
	for (unsigned i = 0; i < FIT; i++)				/* it all came back */
		CHECK_EQ(watch_long_path(p, 3, i, LONG), -101);
	peer_free(&p);
	peer_free(&q);
	bed_fini(&b);
}

/* Made and deleted again in one transaction: on disk nothing changes, and whoever watches is told twice. */
static void
make_and_delete(struct peer *p, unsigned n, size_t len)
{
	struct jute_out out = peer_begin(p, MULTI);

	for (int i = 0; i < 2; i++) {
		jute_put_i32(&out, i == 0 ? 1 : 2);
		jute_put_bool(&out, false);
		jute_put_i32(&out, -1);
		put_long_path(&out, n, len);
		if (i == 0) {
			jute_put_string(&out, "");
			put_open_acl(&out);
			jute_put_i32(&out, 0);
		} else {
			jute_put_i32(&out, -1);
		}
	}
	multi_end(&out);
	peer_end(p, &out);
	for (int i = 0; i < 100; i++) {		/* the answer is larger than what a socket takes at once */
		bed_settle(p->b);
		if (peer_next(p) != NULL)
			break;
	}
	CHECK_EQ(p->answer.error, 0);
}

/* How many rounds of events until the one that does not read is closed. */
static unsigned
rounds_until_closed(struct peer *deaf, struct peer *loud, unsigned most)
{
	unsigned n = 0;

	do {
		make_and_delete(loud, n++, 500000);
	} while (n < most && (send(deaf->fd, "", 1, MSG_NOSIGNAL) >= 0 || errno != EPIPE));
	return (n);
}

TEST(who_never_reads_its_events_is_closed)
{
	struct peer *deaf, *loud;
	unsigned n;
	struct bed b;

	bed_init(&b);
	deaf = peer_new(&b);
	loud = peer_new(&b);
	add_watch(deaf, "/", 1);
	n = rounds_until_closed(deaf, loud, 400);
	unit_check(n > 60 && n < 200, __FILE__, __LINE__, "closed after %u rounds of 1 MB, of 128 MiB", n);
	CHECK(peer_has(loud, "/zookeeper", ""));
	peer_free(&deaf);
	deaf = peer_new(&b);
	peer_free(&deaf);
	peer_free(&loud);
	bed_fini(&b);
}

TEST(what_all_connections_hold_is_bounded)
{
	struct peer *deaf[4], *loud;
	unsigned n;
	struct bed b;

	bed_init(&b);
	bed_stop(&b);
	b.held_max = 8 << 20;
	REQUIRE(bed_open(&b));
	loud = peer_new(&b);
	for (int i = 0; i < 4; i++) {
		deaf[i] = peer_new(&b);
		add_watch(deaf[i], "/", 1);
	}
	n = rounds_until_closed(deaf[0], loud, 100);
	unit_check(n <= 8, __FILE__, __LINE__, "closed after %u rounds of 1 MB to each of four, of 8 MiB", n);
	CHECK(peer_has(loud, "/zookeeper", ""));
	for (int i = 0; i < 4; i++)
		peer_free(&deaf[i]);
	peer_free(&loud);
	bed_fini(&b);
}

TEST(what_a_connection_proves_is_bounded)
{
	enum { LONG = 40000 };
	struct peer *p, *q;
	char *user = xcalloc(1, LONG + 8);
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	q = peer_new(&b);
	memset(user, 'u', LONG);
	memcpy(user + LONG, ":word", 6);
	authenticate(p, "digest", user);
	CHECK_EQ(peer_error(p), 0);
	authenticate(p, "digest", user);	/* the same again costs nothing */
	CHECK_EQ(peer_error(p), 0);
	user[0] = 'v';
	authenticate(p, "digest", user);
	CHECK_EQ(peer_error(p), -115);
	CHECK(peer_next(p) == NULL && p->ended);
	for (int i = 0; i < 64 && !q->ended; i++) {	/* one of 64 is its address */
		snprintf(user, LONG, "user%d:word", i);
		authenticate(q, "digest", user);
		CHECK_EQ(peer_error(q), i < 63 ? 0 : -115);
	}
	peer_free(&p);
	peer_free(&q);
	free(user);
	bed_fini(&b);
}

/* Entries that differ only in what nobody looks at: each `auth` stands for all that is proved. */
static int32_t
many_entries(struct peer *p, const char *scheme, int n)
{
	struct jute_out out = peer_begin(p, 7);
	char id[32];

	jute_put_string(&out, "/a");
	jute_put_i32(&out, n);
	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "u%d:x", i);
		jute_put_i32(&out, 31);
		jute_put_string(&out, scheme);
		jute_put_string(&out, id);
	}
	jute_put_i32(&out, -1);
	peer_end(p, &out);
	return (peer_error(p));
}

TEST(an_acl_has_a_bounded_number_of_entries_and_bytes)
{
	enum { LONG = 60000 };
	char *user = xcalloc(1, LONG + 8);
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/a", "", 0);
	CHECK_EQ(peer_error(p), 0);
	memset(user, 'u', LONG);
	memcpy(user + LONG, ":word", 6);
	authenticate(p, "digest", user);
	CHECK_EQ(peer_error(p), 0);
	CHECK_EQ(many_entries(p, "auth", 1000), -114);	/* 60 MB */
	CHECK_EQ(many_entries(p, "digest", 1001), -114);
	CHECK_EQ(many_entries(p, "auth", 10), 0);
	CHECK_EQ(many_entries(p, "digest", 1000), 0);
	peer_free(&p);
	free(user);
	bed_fini(&b);
}

/* ---- words ---- */

TEST(words_of_four_letters_are_answered)
{
	static const char *const asked[] = { "ruok", "srvr", "stat", "mntr", "cons", "dump" };
	static const char *const expected[] = { "imok", "Mode: standalone", "Clients:", "zk_znode_count\t5", "sid=0x", "/e" };
	struct peer *p, *w;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/e", "", 1);
	CHECK_EQ(peer_error(p), 0);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		w = peer_raw(&b);
		peer_send(w, slice_str(asked[i]));
		bed_settle(&b);
		(void)peer_next(w);		/* it is no frame, but now it is here */
		w->bytes = xreallocarray(w->bytes, w->len + 1, 1);
		w->bytes[w->len] = 0;
		unit_check(strstr((char *)w->bytes, expected[i]) != NULL, __FILE__, __LINE__, "%s answers %s", asked[i], (char *)w->bytes);
		CHECK(w->ended);
		peer_free(&w);
	}
	peer_free(&p);
	bed_fini(&b);
}

/* ---- hostile clients ---- */

TEST(lengths_that_lie_cost_the_connection)
{
	static const int32_t lengths[] = { -1, INT32_MIN, INT32_MAX, (1 << 20) + 1 };
	uint8_t bytes[8] = { 0 };
	struct peer *p;
	struct bed b;

	bed_init(&b);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		p = peer_raw(&b);
		be32enc(bytes, (uint32_t)lengths[i]);
		peer_send(p, slice_of(bytes, sizeof(bytes)));
		bed_settle(&b);
		CHECK(peer_next(p) == NULL && p->ended);
		peer_free(&p);
	}
	p = peer_new(&b);
	peer_simple(p, 4711);
	CHECK_EQ(peer_error(p), -6);
	CHECK(peer_next(p) == NULL && p->ended);
	peer_free(&p);
	bed_fini(&b);
}

/* One valid request of many kinds, to be cut and changed. */
static struct jute_out
some_request(struct peer *p, uint32_t which)
{
	static const int32_t types[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105, 106, 107 };
	int32_t type = types[which % (sizeof(types) / sizeof(types[0]))];
	struct jute_out out = peer_begin(p, type);

	if (type == 14) {
		multi_create(&out, "/m");
		multi_create(&out, "/n");
		multi_end(&out);
		return (out);
	}
	if (type == 101 || type == 105)
		jute_put_i64(&out, 1);
	jute_put_string(&out, "/a");
	jute_put_string(&out, "data");
	put_open_acl(&out);
	jute_put_i32(&out, 0);
	jute_put_i64(&out, -1);
	return (out);
}

TEST(changed_and_cut_requests_hurt_nobody_else)
{
	struct random_seeded random;
	struct peer *good, *p = NULL;
	struct jute_out out;
	struct bed b;

	random_seeded_init(&random, unit_seed());
	bed_init(&b);
	good = peer_new(&b);
	peer_create(good, "/good", "x", 0);
	CHECK_EQ(peer_error(good), 0);
	for (int i = 0; i < 3000; i++) {
		if (p == NULL || p->ended) {
			peer_free(&p);
			p = peer_new(&b);
		}
		out = some_request(p, random_below(&random.random, 1000));
		if (random_below(&random.random, 2) == 0)
			out.len = 4 + random_below(&random.random, (uint32_t)out.len - 3);
		for (uint32_t n = random_below(&random.random, 4); n > 0 && out.len > 4; n--)
			out.p[4 + random_below(&random.random, (uint32_t)out.len - 4)] = (uint8_t)random_u64(&random.random);
		peer_end(p, &out);
		bed_settle(&b);
		while (peer_next(p) != NULL)
			continue;
		if (i % 100 == 0)
			unit_check(peer_has(good, "/good", "x"), __FILE__, __LINE__, "seed %" PRIu64 ", request %d", unit_seed(), i);
	}
	peer_free(&p);
	peer_free(&good);
	bed_fini(&b);
}

TEST(who_does_not_read_is_not_read_from)
{
	struct peer *p;
	char *large = xcalloc(1, 100001);
	struct bed b;
	int sent = 0;

	memset(large, 'x', 100000);
	bed_init(&b);
	p = peer_new(&b);
	peer_create(p, "/large", large, 0);
	CHECK_EQ(peer_error(p), 0);
	for (; sent < 200; sent++)
		peer_get(p, "/large", false);
	for (int i = 0; i < 200; i++) {
		bed_settle(&b);
		while (sent > 0 && peer_next(p) != NULL) {
			CHECK_EQ(p->answer.error, 0);
			sent--;
		}
	}
	CHECK_EQ(sent, 0);		/* all of them, once it reads */
	peer_free(&p);
	free(large);
	bed_fini(&b);
}

TEST(many_small_questions_for_one_large_node_are_not_all_answered)
{
	enum { LARGE = 500000, ASKED = 200 };
	char *large = xcalloc(1, LARGE + 1);
	struct jute_out out;
	struct peer *p, *good;
	struct bed b;

	memset(large, 'x', LARGE);
	bed_init(&b);
	p = peer_new(&b);
	good = peer_new(&b);
	peer_create(p, "/large", large, 0);
	CHECK_EQ(peer_error(p), 0);
	for (int n = 2; n <= ASKED; n = n == 2 ? ASKED : n + 1) {
		out = peer_begin(p, 22);
		for (int i = 0; i < n; i++) {
			jute_put_i32(&out, 4);
			jute_put_bool(&out, false);
			jute_put_i32(&out, -1);
			jute_put_string(&out, "/large");
			jute_put_bool(&out, false);
		}
		multi_end(&out);
		peer_end(p, &out);
		for (int i = 0; i < 20; i++) {
			bed_settle(&b);
			if (peer_next(p) != NULL)
				break;
		}
		CHECK(p->ended == (n == ASKED) && (n == ASKED || p->answer.error == 0));
	}
	CHECK(peer_has(good, "/zookeeper", ""));
	peer_free(&p);
	peer_free(&good);
	free(large);
	bed_fini(&b);
}

/* ---- life ---- */

/* Where it listens there is now a file, which cannot be waited for. */
static void
spoil_listener(struct bed *b)
{
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), yes;

	must(file >= 0);
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in a = { 0 };
		socklen_t len = sizeof(a), yes_len = sizeof(yes);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &yes_len) == 0 && yes && getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
		    a.sin_port == htons(zkserver_port(b->server)))
			must(dup2(file, fd) == fd);
	}
	close(file);
}

TEST(a_server_that_cannot_listen_fails_once)
{
	static const uint8_t none[16];
	struct fs *power, *faulty;
	struct peer *p;
	struct bed b;

	bed_init(&b);
	bed_stop(&b);
	power = b.fs;
	b.fs = faulty = fs_fault_new(power);
	b.host = "127.0.0.1";
	b.opened = spoil_listener;
	REQUIRE(bed_open(&b));
	CHECK_EQ(b.failures, 1);
	fs_fault_arm(faulty, FS_FAULT_WRITE, 1, ERR_IO);
	p = peer_raw(&b);
	CHECK(!peer_connect(p, 0, none) && p->ended);
	CHECK_EQ(b.failures, 1);
	peer_free(&p);
	bed_stop(&b);
	b.fs = power;
	fs_fault_free(&faulty);
	bed_fini(&b);
}

TEST(a_stop_while_frames_wait_frees_their_connections)
{
	struct jute_out many = { 0 };
	struct peer *p;
	struct bed b;

	bed_init(&b);
	p = peer_new(&b);
	for (int i = 0; i < 1000; i++) {	/* more than are taken in a turn */
		size_t begun = jute_frame_begin(&many);

		jute_put_i32(&many, -2);
		jute_put_i32(&many, 11);
		jute_frame_end(&many, begun);
	}
	peer_send(p, slice_of(many.p, many.len));
	bed_turn(&b);
	bed_stop(&b);
	peer_free(&p);
	jute_out_fini(&many);
	bed_fini(&b);
}

UNIT_MAIN("zkserver/server", T(an_answer_leaves_when_its_batch_is_on_disk), T(many_clients_share_one_sync),
    T(a_batch_that_ends_between_two_writes_of_a_turn_is_followed_by_one), T(a_node_is_made_read_changed_and_deleted),
    T(a_multi_is_done_whole_or_not_at_all), T(a_session_that_is_silent_expires_and_takes_its_ephemerals_along),
    T(a_session_is_found_again_by_its_password_also_after_a_restart), T(an_own_session_ends_with_the_process), T(a_client_of_another_zookeeper_is_sent_away),
    T(watches_fire_once_and_before_the_answer_that_shows_it), T(persistent_watches_stay_and_recursive_ones_see_below),
    T(who_comes_back_is_told_what_was_missed), T(an_acl_keeps_others_out), T(words_of_four_letters_are_answered), T(lengths_that_lie_cost_the_connection),
    T(changed_and_cut_requests_hurt_nobody_else), T(who_does_not_read_is_not_read_from),
    T(many_small_questions_for_one_large_node_are_not_all_answered), T(a_connection_without_a_session_ends),
    T(accepting_pauses_while_there_are_no_descriptors), T(connections_are_counted_over_all_hosts), T(the_memory_of_watches_is_bounded),
    T(who_never_reads_its_events_is_closed), T(what_all_connections_hold_is_bounded), T(what_a_connection_proves_is_bounded),
    T(an_acl_has_a_bounded_number_of_entries_and_bytes), T(a_server_that_cannot_listen_fails_once), T(a_stop_while_frames_wait_frees_their_connections))
