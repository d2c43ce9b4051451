/* SPDX-License-Identifier: Apache-2.0
 *
 * Entity configs, their change notifications, and the session record file.
 */
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "test/unit/zk/zk_test.h"
#include "zk/notify.h"
#include "zk/session_record.h"

#define CONTROLLER	"{\"version\":2,\"brokerid\":1,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}"

struct step {
	unsigned answers;
	enum err err;
	char	 why[600];
};

static void
on_step(void *ctx, enum err e, const struct errbuf *why)
{
	struct step *s = ctx;

	s->answers++;
	s->err = e;
	snprintf(s->why, sizeof(s->why), "%s", why->text);
}

static void
paths(struct world *w)
{
	struct step s = { .answers = 0 };

	zk_create_top_level_paths(w->other, on_step, &s);
	zk_fake_settle(w->loop);
	CHECK_EQ(s.err, OK);
	CHECK_EQ(act(w, w->other, ZK_CREATE(ZK_CONTROLLER, SLICE_LIT(CONTROLLER))).error, ZKE_OK);
}

static struct step
write_config(struct world *w, struct zk *zk, struct zk_entity e, const char *value, unsigned flags)
{
	struct zk_config_item item = { "retention.ms", value };
	struct zk_config config = { &item, value == NULL ? 0 : 1, SLICE_NULL };
	struct step s = { .answers = 0 };
	unsigned tries = 0;

	do {
		s.answers = 0;
		zk_config_write(zk, &e, &config, flags, on_step, &s);
		zk_fake_settle(w->loop);
		CHECK_EQ(s.answers, 1);
	} while (s.err == ERR_ZK_EXPIRED && ++tries < 5);
	return (s);
}

static const struct zk_entity topic_t = { ZK_ENTITY_TOPIC, "t", NULL };
static const struct zk_entity user_client = { ZK_ENTITY_USER_CLIENT, "u", "c" };

struct reading {
	unsigned answers;
	bool found;
	char value[64];
	enum err err;
};

static void
on_config(void *ctx, enum err e, const struct zk_config *c, bool found, const struct errbuf *why)
{
	struct reading *r = ctx;

	(void)why;
	r->answers++;
	r->err = e;
	r->found = found;
	snprintf(r->value, sizeof(r->value), "%s", c->nitems > 0 ? c->items[0].value : "");
}

static struct reading
read_config(struct world *w, struct zk_entity e)
{
	struct reading r = { .answers = 0 };

	zk_config_read(w->other, &e, on_config, &r);
	zk_fake_settle(w->loop);
	CHECK_EQ(r.answers, 1);
	return (r);
}

static bool
written_under(enum zk_fault fault, uint64_t n)
{
	struct reading r;
	struct world w;
	bool reached;

	world_open(&w);
	paths(&w);
	zk_fake_fault(w.zk, fault, n);
	CHECK_EQ(write_config(&w, w.zk, topic_t, "1000", ZK_CONFIG_NOTIFY).err, OK);
	reached = !zk_fake_faults_pending(w.zk);
	r = read_config(&w, topic_t);
	CHECK(r.found);
	CHECK_STR(r.value, "1000");
	CHECK_GE(act(&w, w.other, ZK_GET_CHILDREN(ZK_CONFIG_CHANGES, NULL)).nchildren, 1);
	world_close(&w);
	return (reached);
}

TEST(a_config_is_written_and_notified_under_any_fault)
{
	at_every_operation(written_under);
}

/* ZooKeeper hangs up on what is larger than its jute.maxbuffer, and the client would send it again for ever. */
TEST(a_config_that_zookeeper_would_not_take_is_not_sent)
{
	char *long_value = xcalloc(1, 1100001), *control = xcalloc(1, 300001);
	struct world w;
	struct step s;
	int64_t before;

	world_open(&w);
	paths(&w);
	before = zk_tree_zxid(zk_fake_tree(w.fake));
	memset(long_value, 'a', 1100000);
	memset(control, 1, 300000);	/* six bytes each in JSON */
	s = write_config(&w, w.zk, topic_t, long_value, ZK_CONFIG_NOTIFY);
	CHECK_EQ(s.err, ERR_INVALID);
	CHECK(strstr(s.why, "too large") != NULL);
	CHECK_EQ(write_config(&w, w.zk, topic_t, control, ZK_CONFIG_NOTIFY).err, ERR_INVALID);
	CHECK_EQ(zk_tree_zxid(zk_fake_tree(w.fake)), before);
	world_close(&w);
	free(long_value);
	free(control);
}

TEST(a_config_needs_a_zookeeper_controller)
{
	struct world w;

	world_open(&w);
	paths(&w);
	act(&w, w.other, ZK_SET(ZK_CONTROLLER, SLICE_LIT("{\"version\":2,\"brokerid\":3000,\"timestamp\":\"1\",\"kraftControllerEpoch\":5}"), -1));
	CHECK_EQ(write_config(&w, w.zk, topic_t, "1", 0).err, ERR_FENCED);
	act(&w, w.other, ZK_DELETE(ZK_CONTROLLER, -1));
	CHECK_EQ(write_config(&w, w.zk, topic_t, "1", 0).err, ERR_FENCED);
	CHECK(!read_config(&w, topic_t).found);
	world_close(&w);
}

TEST(topic_creation_writes_without_notifying)
{
	struct world w;

	world_open(&w);
	paths(&w);
	CHECK_EQ(write_config(&w, w.zk, topic_t, "1", 0).err, OK);
	CHECK_EQ(act(&w, w.other, ZK_GET_CHILDREN(ZK_CONFIG_CHANGES, NULL)).nchildren, 0);
	world_close(&w);
}

TEST(an_empty_quota_goes_with_its_empty_parents)
{
	struct world w;

	world_open(&w);
	paths(&w);
	CHECK_EQ(write_config(&w, w.zk, user_client, "1", ZK_CONFIG_NOTIFY | ZK_CONFIG_REMOVE_WHEN_EMPTY).err, OK);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/config/users/u/clients/c", NULL)).error, ZKE_OK);
	CHECK_EQ(write_config(&w, w.zk, user_client, NULL, ZK_CONFIG_NOTIFY | ZK_CONFIG_REMOVE_WHEN_EMPTY).err, OK);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/config/users/u", NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.other, ZK_GET_CHILDREN(ZK_CONFIG_CHANGES, NULL)).nchildren, 2);
	/* a user that has a config of its own stays, and so does one with another client */
	CHECK_EQ(write_config(&w, w.zk, (struct zk_entity){ ZK_ENTITY_USER, "u", NULL }, "9", 0).err, OK);
	CHECK_EQ(write_config(&w, w.zk, user_client, "1", 0).err, OK);
	CHECK_EQ(write_config(&w, w.zk, (struct zk_entity){ ZK_ENTITY_USER, "u", NULL }, NULL, ZK_CONFIG_REMOVE_WHEN_EMPTY).err, OK);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/config/users/u/clients/c", NULL)).error, ZKE_OK);
	CHECK_EQ(write_config(&w, w.zk, user_client, NULL, ZK_CONFIG_REMOVE_WHEN_EMPTY).err, OK);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/config/users/u", NULL)).error, ZKE_NO_NODE);
	world_close(&w);
}

/* ---- following ---- */
struct seen {
	char	 text[512];
	unsigned ready;
};

static void
on_changed(void *ctx, const struct zk_entity *e, const struct zk_config *c)
{
	struct seen *s = ctx;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s=%s ", e->name, c->nitems > 0 ? c->items[0].value : "");
}

static void
on_ready(void *ctx, enum err e, const struct errbuf *why)
{
	(void)why;
	CHECK_EQ(e, OK);
	((struct seen *)ctx)->ready++;
}

static const struct zk_config_watch_callbacks callbacks = { on_changed, on_ready };

static bool
followed_under(enum zk_fault fault, uint64_t n)
{
	struct seen s = { .ready = 0 };
	struct zk_config_watch *watch;
	struct world w;
	bool reached;

	world_open(&w);
	paths(&w);
	write_config(&w, w.other, topic_t, "1", ZK_CONFIG_NOTIFY);
	zk_fake_fault(w.zk, fault, n);
	watch = zk_config_watch_new(w.zk, &w.clock.clock, NULL, &callbacks, &s);
	world_run(&w, 3);
	write_config(&w, w.other, topic_t, "2", ZK_CONFIG_NOTIFY);
	world_run(&w, 3);
	write_config(&w, w.other, topic_t, "3", ZK_CONFIG_NOTIFY);
	world_run(&w, 3);
	reached = !zk_fake_faults_pending(w.zk);
	CHECK_EQ(s.ready, 1);
	CHECK(strncmp(s.text, "t=1 ", 4) == 0);
	CHECK(strlen(s.text) >= 4 && strcmp(s.text + strlen(s.text) - 4, "t=3 ") == 0);
	zk_config_watch_free(&watch);
	world_close(&w);
	return (reached);
}

TEST(every_change_arrives_under_any_fault)
{
	at_every_operation(followed_under);
}

TEST(bad_notifications_are_passed_over_and_old_ones_deleted)
{
	struct seen s = { .ready = 0 };
	struct zk_config_watch *watch;
	struct world w;

	world_open(&w);
	paths(&w);
	act(&w, w.other, ZK_CREATE_SEQUENTIAL("/config/changes/config_change_", SLICE_LIT("garbage")));
	act(&w, w.other, ZK_CREATE_SEQUENTIAL("/config/changes/config_change_", SLICE_NULL));
	act(&w, w.other, ZK_CREATE("/config/changes/else", SLICE_NULL));
	write_config(&w, w.other, topic_t, "1", ZK_CONFIG_NOTIFY);
	watch = zk_config_watch_new(w.zk, &w.clock.clock, NULL, &callbacks, &s);
	world_run(&w, 2);
	CHECK_EQ(s.ready, 1);
	CHECK_STR(s.text, "t=1 ");
	clock_manual_advance_ns(&w.clock, INT64_C(15) * 60 * 1000 * 1000000 + 1000000);
	write_config(&w, w.other, (struct zk_entity){ ZK_ENTITY_BROKER, "1", NULL }, "2", ZK_CONFIG_NOTIFY);
	world_run(&w, 2);
	CHECK_STR(s.text, "t=1 1=2 ");
	CHECK_EQ(act(&w, w.other, ZK_GET_CHILDREN(ZK_CONFIG_CHANGES, NULL)).nchildren, 2);	/* the new one and the stranger */
	zk_config_watch_free(&watch);
	world_close(&w);
}

TEST(a_watch_freed_in_the_middle_is_silent)
{
	struct seen s = { .ready = 0 };
	struct zk_config_watch *watch;
	struct world w;
	unsigned turns, i;

	for (turns = 0; turns < 16; turns++) {
		world_open(&w);
		paths(&w);
		write_config(&w, w.other, topic_t, "1", ZK_CONFIG_NOTIFY);
		watch = zk_config_watch_new(w.zk, &w.clock.clock, NULL, &callbacks, &s);
		for (i = 0; i < turns; i++)
			loop_turn(w.loop, 0);
		zk_config_watch_free(&watch);
		s.text[0] = '\0';
		world_run(&w, 2);
		CHECK_STR(s.text, "");
		world_close(&w);
	}
}

struct all {
	struct step step;		/* first: on_step's */
	char text[512];
};

static void
on_each(void *ctx, const struct zk_entity *e, const struct zk_config *c)
{
	struct all *s = ctx;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s%s%s=%s ", e->name, e->client == NULL ? "" : "/",
	    e->client == NULL ? "" : e->client, c->items[0].value);
}

TEST(all_entities_of_a_type_are_read_users_with_their_clients)
{
	struct all s = { .step = { .answers = 0 } };
	struct world w;

	world_open(&w);
	paths(&w);
	write_config(&w, w.other, (struct zk_entity){ ZK_ENTITY_USER, "a b", NULL }, "1", 0);
	write_config(&w, w.other, (struct zk_entity){ ZK_ENTITY_USER_CLIENT, "a b", ZK_DEFAULT_ENTITY }, "2", 0);
	act(&w, w.other, ZK_CREATE("/config/users/%zz", SLICE_LIT("{}")));
	zk_config_read_all(w.zk, ZK_ENTITY_USER, NULL, on_each, on_step, &s);
	zk_fake_settle(w.loop);
	CHECK_EQ(s.step.answers, 1);
	CHECK_EQ(s.step.err, OK);
	CHECK_STR(s.text, "a b=1 a b/<default>=2 ");
	zk_config_read_all(w.zk, ZK_ENTITY_IP, NULL, on_each, on_step, &s);
	zk_fake_settle(w.loop);
	CHECK_EQ(s.step.answers, 2);
	world_close(&w);
}

/* ---- the record ---- */
static struct zk_session_ident ident = { .id = 0x1000000000000ab, .password = { 1, 2, 0xff }, .timeout_ms = 18000 };

static char *
with_lock(const char *dir)
{
	static char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/.lock", dir);
	fd = open(path, O_CREAT | O_RDWR, 0644);
	close(fd);
	snprintf(path, sizeof(path), "%s/%s", dir, SESSION_RECORD_NAME);
	return (path);
}

static void
spoil(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	fchmod(fd, mode);
	close(fd);
}

TEST(a_session_record_is_private_and_read_back)
{
	const char *dir = unit_tmpdir(), *path = with_lock(dir);
	struct errbuf eb = ERRBUF_INIT;
	struct session_record r;
	struct stat st;

	CHECK_EQ(session_record_read(dir, &r, &eb), ERR_NOTFOUND);
	CHECK_EQ(session_record_write(dir, &ident, 7, "y5lu0CmPQu6TvqqmHuwOuw", "h1:1,h2:2/k", &eb), OK);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(session_record_read(dir, &r, &eb), OK);
	CHECK(r.ident.id == ident.id && r.ident.timeout_ms == 18000);
	CHECK_MEM(r.ident.password, ident.password, 16);
	CHECK_EQ(r.broker_id, 7);
	CHECK_STR(r.connect, "h1:1,h2:2/k");
	CHECK_STR(r.cluster_id, "y5lu0CmPQu6TvqqmHuwOuw");
	session_record_fini(&r);
	CHECK_EQ(session_record_remove(dir, &eb), OK);
	CHECK_EQ(session_record_remove(dir, &eb), OK);
}

TEST(a_record_that_is_not_ours_is_refused)
{
	static const char *const bad[] = { "", "version=1\n", "garbage", "version=1\nsession=0x0\npassword=00\n" };
	const char *dir = unit_tmpdir(), *path = with_lock(dir);
	struct errbuf eb = ERRBUF_INIT;
	struct session_record r;
	char other[600], text[4096], *session;
	ssize_t n;
	size_t i;
	int fd;

	for (i = 0; i < NELEM(bad); i++) {
		spoil(path, bad[i], 0600);
		CHECK_EQ(session_record_read(dir, &r, &eb), ERR_MALFORMED);
	}
	CHECK_EQ(session_record_write(dir, &ident, 7, "c", "h:1", &eb), OK);
	CHECK_EQ(chmod(path, 0644), 0);
	CHECK_EQ(session_record_read(dir, &r, &eb), ERR_MALFORMED);	/* others could have read the password */
	CHECK_EQ(chmod(path, 0600), 0);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	session = strstr(text, "session=0x");
	REQUIRE(session != NULL);
	memcpy(session, "session=0x0", 11);
	memset(session + 11, '0', strcspn(session + 11, "\n"));
	spoil(path, text, 0600);
	CHECK_EQ(session_record_read(dir, &r, &eb), ERR_MALFORMED);	/* id 0 would open a new session */
	snprintf(other, sizeof(other), "%s/elsewhere", dir);
	CHECK_EQ(rename(path, other), 0);
	CHECK_EQ(symlink(other, path), 0);
	CHECK(session_record_read(dir, &r, &eb) != OK);
	CHECK_EQ(session_record_write(dir, &ident, 7, "c", "h:1\nsession=0x1", &eb), ERR_INVALID);
	CHECK_EQ(session_record_write(dir, &ident, 7, "c", "h:1", &eb), OK);	/* replaces the link, not what it points to */
	CHECK_EQ(session_record_read(dir, &r, &eb), OK);
	session_record_fini(&r);
	(void)unlink(other);
}

TEST(connect_strings)
{
	char *hosts, *chroot;

	CHECK_EQ(zk_connect_parse("a:1,b:2/x/y", &hosts, &chroot, NULL), OK);
	CHECK_STR(hosts, "a:1,b:2");
	CHECK_STR(chroot, "/x/y");
	free(hosts);
	free(chroot);
	CHECK_EQ(zk_connect_parse("a:1/", &hosts, &chroot, NULL), OK);
	CHECK_STR(chroot, "");
	free(hosts);
	free(chroot);
	CHECK_EQ(zk_connect_parse("[::1]:2181,a:1,[fe80::2]:3/x", &hosts, &chroot, NULL), OK);
	CHECK_STR(hosts, "::1:2181,a:1,fe80::2:3");
	free(hosts);
	free(chroot);
	CHECK_EQ(zk_connect_parse("", &hosts, &chroot, NULL), ERR_INVALID);
	CHECK_EQ(zk_connect_parse("/x", &hosts, &chroot, NULL), ERR_INVALID);
	CHECK_EQ(zk_connect_parse("a:1/x/", &hosts, &chroot, NULL), ERR_INVALID);
	CHECK_EQ(zk_connect_parse("a:1/x//y", &hosts, &chroot, NULL), ERR_INVALID);
}

UNIT_MAIN("zk/configs", T(a_config_is_written_and_notified_under_any_fault), T(a_config_that_zookeeper_would_not_take_is_not_sent), T(a_config_needs_a_zookeeper_controller),
    T(topic_creation_writes_without_notifying), T(an_empty_quota_goes_with_its_empty_parents), T(every_change_arrives_under_any_fault),
    T(bad_notifications_are_passed_over_and_old_ones_deleted), T(a_watch_freed_in_the_middle_is_silent),
    T(all_entities_of_a_type_are_read_users_with_their_clients), T(a_session_record_is_private_and_read_back),
    T(a_record_that_is_not_ours_is_refused), T(connect_strings))
