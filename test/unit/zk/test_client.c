/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree behaves as ZooKeeper's; the client's promises hold: order, watches, lost connections, expiry, packed and recursive writes.
 */
#include "test/unit/zk/zk_test.h"
#include "zk/acl.h"

TEST(stats_and_versions_count_as_zookeepers)
{
	struct world w;
	struct kept k;

	world_open(&w);
	k = act(&w, w.zk, ZK_CREATE("/a", SLICE_LIT("x")));
	CHECK_EQ(k.error, ZKE_OK);
	CHECK_STR(k.path, "/a");
	CHECK_EQ(k.stat.czxid, k.stat.mzxid);
	CHECK_EQ(k.stat.version, 0);
	CHECK_EQ(act(&w, w.zk, ZK_SET("/a", SLICE_LIT("yy"), 0)).stat.version, 1);
	CHECK_EQ(act(&w, w.zk, ZK_SET("/a", SLICE_LIT("yy"), 0)).error, ZKE_BAD_VERSION);
	act(&w, w.zk, ZK_CREATE("/a/b", SLICE_NULL));
	act(&w, w.zk, ZK_CREATE("/a/c", SLICE_LIT("")));
	act(&w, w.zk, ZK_DELETE("/a/b", 0));
	k = act(&w, w.zk, ZK_GET("/a", NULL));
	CHECK_EQ(k.stat.cversion, 3);
	CHECK_EQ(k.stat.num_children, 1);
	CHECK_EQ(k.stat.data_length, 2);
	CHECK_GE(k.stat.mzxid, k.stat.czxid + 1);
	CHECK_EQ(act(&w, w.zk, ZK_DELETE("/a", ZK_ANY_VERSION)).error, ZKE_NOT_EMPTY);
	CHECK(!act(&w, w.zk, ZK_GET("/a/c", NULL)).null);
	CHECK_STR(act(&w, w.zk, ZK_GET_CHILDREN("/a", NULL)).children, "c,");
	world_close(&w);
}

TEST(errors_are_those_of_the_server)
{
	struct world w;

	world_open(&w);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE("/x/y", SLICE_NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/x", NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE_EPHEMERAL("/e", SLICE_NULL)).error, ZKE_OK);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE("/e/c", SLICE_NULL)).error, ZKE_NO_CHILDREN_FOR_EPHEMERALS);
	CHECK_EQ(act(&w, w.other, ZK_CREATE("/e", SLICE_NULL)).error, ZKE_NODE_EXISTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET("x", NULL)).error, ZKE_BAD_ARGUMENTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/x/", NULL)).error, ZKE_BAD_ARGUMENTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/x//y", NULL)).error, ZKE_BAD_ARGUMENTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/x/../y", NULL)).error, ZKE_BAD_ARGUMENTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET("", NULL)).error, ZKE_BAD_ARGUMENTS);
	CHECK_EQ(act(&w, w.zk, ZK_GET(zk_path_topic((char[500]){ [0 ... 498] = 'a' }).s, NULL)).error, ZKE_BAD_ARGUMENTS);
	world_close(&w);
}

TEST(sequence_numbers_go_on_after_deletes)
{
	struct world w;

	world_open(&w);
	act(&w, w.zk, ZK_CREATE("/q", SLICE_NULL));
	CHECK_STR(act(&w, w.zk, ZK_CREATE_SEQUENTIAL("/q/n_", SLICE_NULL)).path, "/q/n_0000000000");
	act(&w, w.zk, ZK_DELETE("/q/n_0000000000", ZK_ANY_VERSION));
	CHECK_STR(act(&w, w.zk, ZK_CREATE_SEQUENTIAL("/q/n_", SLICE_NULL)).path, "/q/n_0000000001");
	world_close(&w);
}

TEST(a_multi_is_all_or_nothing_and_names_the_culprit)
{
	struct kept k = { .answered = false };
	struct world w;

	world_open(&w);
	act(&w, w.zk, ZK_CREATE("/a", SLICE_LIT("1")));
	zk_multi(w.zk, (struct zk_op[]){ ZK_CREATE("/b", SLICE_NULL), ZK_SET("/a", SLICE_LIT("2"), 0), ZK_DELETE("/nowhere", -1), ZK_CHECK("/a", 1) }, 4,
	    keep, &k);
	zk_fake_settle(w.loop);
	CHECK_EQ(k.error, ZKE_NO_NODE);
	CHECK_EQ(k.each[0], ZKE_OK);
	CHECK_EQ(k.each[1], ZKE_OK);
	CHECK_EQ(k.each[2], ZKE_NO_NODE);
	CHECK_EQ(k.each[3], ZKE_RUNTIME_INCONSISTENCY);
	CHECK_EQ(act(&w, w.zk, ZK_EXISTS("/b", NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/a", NULL)).stat.version, 0);
	zk_multi(w.zk, (struct zk_op[]){ ZK_CREATE("/b", SLICE_NULL), ZK_CREATE("/b/c", SLICE_NULL), ZK_DELETE("/b/c", 0), ZK_SET("/b", SLICE_LIT("2"), 0) },
	    4, keep, &k);
	zk_fake_settle(w.loop);
	CHECK_EQ(k.error, ZKE_OK);
	CHECK_EQ(k.each_stat[3].version, 1);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/b", NULL)).stat.num_children, 0);
	world_close(&w);
}

/* ---- watches ---- */
struct watching {
	struct zk_watcher watcher;
	unsigned fired;
	enum zk_event last;
	char path[64];
};

static void
on_watch(struct zk_watcher *watcher, enum zk_event event, const char *path)
{
	struct watching *x = CONTAINER_OF(watcher, struct watching, watcher);

	x->fired++;
	x->last = event;
	snprintf(x->path, sizeof(x->path), "%s", path);
}

TEST(watches_fire_once_and_only_what_they_are_for)
{
	struct watching node = { .fired = 0 }, kids = { .fired = 0 };
	struct world w;

	world_open(&w);
	zk_watcher_init(&node.watcher, on_watch);
	zk_watcher_init(&kids.watcher, on_watch);
	act(&w, w.zk, ZK_EXISTS("/a", &node.watcher));
	CHECK_EQ(act(&w, w.zk, ZK_GET_CHILDREN("/a", &kids.watcher)).error, ZKE_NO_NODE);
	act(&w, w.other, ZK_CREATE("/a", SLICE_NULL));
	CHECK_EQ(node.fired, 1);
	CHECK_EQ(node.last, ZK_CREATED);
	CHECK_STR(node.path, "/a");
	act(&w, w.zk, ZK_GET("/a", &node.watcher));
	act(&w, w.zk, ZK_GET_CHILDREN("/a", &kids.watcher));
	act(&w, w.other, ZK_CREATE("/a/b", SLICE_NULL));
	CHECK_EQ(node.fired, 1);
	CHECK_EQ(kids.fired, 1);
	CHECK_EQ(kids.last, ZK_CHILDREN);
	act(&w, w.other, ZK_CREATE("/a/c", SLICE_NULL));
	CHECK_EQ(kids.fired, 1);
	act(&w, w.other, ZK_SET("/a", SLICE_LIT("1"), -1));
	act(&w, w.other, ZK_SET("/a", SLICE_LIT("2"), -1));
	CHECK_EQ(node.fired, 2);
	CHECK_EQ(node.last, ZK_CHANGED);
	CHECK_EQ(node.watcher.armed, 0);
	world_close(&w);
}

TEST(one_watcher_for_node_and_children_hears_a_delete_once)
{
	struct watching x = { .fired = 0 };
	struct world w;

	world_open(&w);
	zk_watcher_init(&x.watcher, on_watch);
	act(&w, w.zk, ZK_CREATE("/a", SLICE_NULL));
	act(&w, w.zk, ZK_GET("/a", &x.watcher));
	act(&w, w.zk, ZK_GET_CHILDREN("/a", &x.watcher));
	act(&w, w.other, ZK_DELETE("/a", -1));
	CHECK_EQ(x.fired, 1);
	CHECK_EQ(x.last, ZK_DELETED);
	world_close(&w);
}

TEST(an_unwatched_watcher_is_silent_even_if_its_read_is_under_way)
{
	struct watching x = { .fired = 0 };
	struct kept k = { .answered = false };
	struct world w;

	world_open(&w);
	zk_watcher_init(&x.watcher, on_watch);
	act(&w, w.zk, ZK_CREATE("/a", SLICE_NULL));
	zk_get(w.zk, "/a", &x.watcher, keep, &k);
	CHECK_EQ(x.watcher.pending, 1);
	zk_unwatch(w.zk, &x.watcher);
	CHECK_EQ(x.watcher.pending, 0);
	zk_fake_settle(w.loop);
	CHECK(k.answered);
	act(&w, w.zk, ZK_GET("/a", &x.watcher));
	zk_unwatch_path(w.zk, &x.watcher, "/a");
	act(&w, w.other, ZK_SET("/a", SLICE_LIT("1"), -1));
	CHECK_EQ(x.fired, 0);
	world_close(&w);
}

TEST(a_watch_event_comes_before_an_answer_that_shows_the_change)
{
	struct watching x = { .fired = 0 };
	struct kept set = { .answered = false }, get = { .answered = false };
	struct world w;

	world_open(&w);
	zk_watcher_init(&x.watcher, on_watch);
	act(&w, w.zk, ZK_CREATE("/a", SLICE_LIT("0")));
	act(&w, w.zk, ZK_GET("/a", &x.watcher));
	zk_set(w.other, "/a", SLICE_LIT("1"), -1, keep, &set);
	zk_get(w.zk, "/a", NULL, keep, &get);
	while (!get.answered && loop_turn(w.loop, 0))
		if (get.answered && strcmp(get.data, "1") == 0)
			CHECK_EQ(x.fired, 1);
	zk_fake_settle(w.loop);
	CHECK_EQ(x.fired, 1);
	world_close(&w);
}

/* ---- session ---- */
struct hearing {
	struct zk_listener listener;
	char text[256];
	struct kept *pending;		/* must be answered when EXPIRED is told */
};

static void
on_session(struct zk_listener *l, enum zk_session_event event)
{
	struct hearing *h = CONTAINER_OF(l, struct hearing, listener);
	static const char letters[] = "CDEA";

	snprintf(h->text + strlen(h->text), sizeof(h->text) - strlen(h->text), "%c", letters[event]);
	if (event == ZK_EXPIRED && h->pending != NULL)
		CHECK(h->pending->answered);
}

TEST(a_lost_operation_is_sent_again_and_may_meet_itself)
{
	struct hearing h = { .listener = { .fn = on_session } };
	struct world w;

	world_open(&w);
	zk_listen(w.zk, &h.listener);
	zk_fake_fault(w.zk, ZK_FAULT_LOSS_BEFORE, 1);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE("/a", SLICE_NULL)).error, ZKE_OK);
	zk_fake_fault(w.zk, ZK_FAULT_LOSS_AFTER, 1);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE("/b", SLICE_NULL)).error, ZKE_NODE_EXISTS);
	zk_fake_fault(w.zk, ZK_FAULT_LOSS_AFTER, 1);
	CHECK_EQ(act(&w, w.zk, ZK_DELETE("/b", 0)).error, ZKE_NO_NODE);
	CHECK_STR(h.text, "DCDCDC");
	world_close(&w);
}

TEST(expiry_answers_what_is_pending_then_tells_then_begins_anew)
{
	struct hearing h = { .listener = { .fn = on_session } };
	struct kept first = { .answered = false }, second = { .answered = false };
	struct watching x = { .fired = 0 };
	struct world w;
	int64_t before;

	world_open(&w);
	zk_watcher_init(&x.watcher, on_watch);
	zk_listen(w.zk, &h.listener);
	h.pending = &second;
	before = zk_session_id(w.zk);
	act(&w, w.zk, ZK_CREATE_EPHEMERAL("/e", SLICE_NULL));
	act(&w, w.zk, ZK_EXISTS("/x", &x.watcher));
	zk_fake_fault(w.zk, ZK_FAULT_EXPIRE_AFTER, 1);
	zk_create(w.zk, "/a", SLICE_NULL, ZK_PERSISTENT, keep, &first);
	zk_create(w.zk, "/b", SLICE_NULL, ZK_PERSISTENT, keep, &second);
	zk_fake_settle(w.loop);
	CHECK_EQ(first.error, ZKE_SESSION_EXPIRED);
	CHECK_EQ(second.error, ZKE_SESSION_EXPIRED);
	CHECK_STR(h.text, "EC");
	CHECK(zk_session_id(w.zk) != before);
	CHECK_EQ(x.watcher.armed, 0);
	CHECK_EQ(act(&w, w.zk, ZK_EXISTS("/a", NULL)).error, ZKE_OK);
	CHECK_EQ(act(&w, w.zk, ZK_EXISTS("/b", NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.zk, ZK_EXISTS("/e", NULL)).error, ZKE_NO_NODE);
	world_close(&w);
}

TEST(two_clients_of_a_session_hear_expiry_before_the_next_begins)
{
	struct hearing a = { .listener = { .fn = on_session } }, b = { .listener = { .fn = on_session } };
	struct world w;
	struct zk *twin;

	world_open(&w);
	twin = zk_fake_client_sharing(w.zk, w.loop);
	zk_listen(w.zk, &a.listener);
	zk_listen(twin, &b.listener);
	zk_fake_expire(w.zk);
	zk_fake_settle(w.loop);
	CHECK_STR(a.text, "EC");
	CHECK_STR(b.text, "EC");
	CHECK_EQ(zk_session_id(w.zk), zk_session_id(twin));
	zk_close(&twin);
	world_close(&w);
}

TEST(closing_answers_what_is_pending)
{
	struct kept k = { .answered = false };
	struct world w;
	struct zk *third;

	world_open(&w);
	third = zk_fake_client(w.fake, w.loop);
	zk_create(third, "/a", SLICE_NULL, ZK_EPHEMERAL, keep, &k);
	zk_close(&third);
	CHECK(!k.answered);
	zk_fake_settle(w.loop);
	CHECK_EQ(k.error, ZKE_CLOSING);
	world_close(&w);
}

/* ---- made of several ---- */
struct kept_many {
	unsigned answers;
	uint32_t n;
	enum zke errors[4200];
};

static void
keep_many(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct kept_many *k = ctx;
	uint32_t i;

	k->answers++;
	k->n = n;
	for (i = 0; i < n && i < NELEM(k->errors); i++)
		k->errors[i] = r[i].error;
}

static bool
create_recursive_under(enum zk_fault fault, uint64_t n)
{
	struct kept k = { .answered = false };
	struct world w;
	bool reached;

	world_open(&w);
	zk_fake_fault(w.zk, fault, n);
	do {
		k.answered = false;
		zk_create_recursive(w.zk, "/a/b/c", SLICE_LIT("x"), keep, &k);
		zk_fake_settle(w.loop);
		CHECK(k.answered);
	} while (k.error == ZKE_SESSION_EXPIRED);
	reached = !zk_fake_faults_pending(w.zk);
	CHECK(k.error == ZKE_OK || (k.error == ZKE_NODE_EXISTS && (fault == ZK_FAULT_LOSS_AFTER || fault == ZK_FAULT_EXPIRE_AFTER)));
	k = act(&w, w.other, ZK_GET("/a/b/c", NULL));
	CHECK_STR(k.data, "x");
	CHECK(act(&w, w.other, ZK_GET("/a/b", NULL)).null);
	world_close(&w);
	return (reached);
}

TEST(recursive_create_under_any_fault)
{
	at_every_operation(create_recursive_under);
}

static bool
delete_recursive_under(enum zk_fault fault, uint64_t n)
{
	struct kept k = { .answered = false };
	struct world w;
	bool reached;

	world_open(&w);
	act(&w, w.other, ZK_CREATE(ZK_CONTROLLER_EPOCH, SLICE_LIT("1")));
	zk_create_recursive(w.other, "/t/partitions/0/state", SLICE_LIT("s"), keep, &k);
	zk_create_recursive(w.other, "/t/partitions/1/state", SLICE_LIT("s"), keep, &k);
	zk_fake_settle(w.loop);
	zk_fake_fault(w.zk, fault, n);
	do {
		k.answered = false;
		zk_delete_recursive(w.zk, 0, "/t", keep, &k);
		zk_fake_settle(w.loop);
		CHECK(k.answered);
	} while (k.error == ZKE_SESSION_EXPIRED);
	reached = !zk_fake_faults_pending(w.zk);
	CHECK(k.error == ZKE_OK || (k.error == ZKE_NO_NODE && fault == ZK_FAULT_EXPIRE_AFTER));
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/t", NULL)).error, ZKE_NO_NODE);
	world_close(&w);
	return (reached);
}

TEST(recursive_delete_under_any_fault)
{
	at_every_operation(delete_recursive_under);
}

TEST(a_stale_fence_stops_every_write)
{
	static struct kept_many many;
	struct kept k = { .answered = false };
	struct zk_op ops[3];
	struct world w;

	world_open(&w);
	many = (struct kept_many){ .answers = 0 };
	act(&w, w.other, ZK_CREATE(ZK_CONTROLLER_EPOCH, SLICE_LIT("1")));
	act(&w, w.other, ZK_SET(ZK_CONTROLLER_EPOCH, SLICE_LIT("2"), -1));
	zk_fenced(w.zk, 0, &ZK_CREATE("/a", SLICE_NULL), keep, &k);
	ops[0] = ZK_CREATE("/b", SLICE_NULL);
	ops[1] = ZK_CREATE("/c", SLICE_NULL);
	ops[2] = ZK_CREATE("/d", SLICE_NULL);
	zk_fenced_many(w.zk, 0, ops, 3, keep_many, &many);
	zk_fake_settle(w.loop);
	CHECK_EQ(k.error, ZKE_FENCED);
	CHECK_EQ(many.answers, 1);
	CHECK_EQ(many.errors[0], ZKE_FENCED);
	CHECK_EQ(many.errors[2], ZKE_FENCED);
	CHECK_EQ(act(&w, w.zk, ZK_GET_CHILDREN("/", NULL)).nchildren, 1);
	zk_fenced(w.zk, 1, &ZK_CREATE("/a", SLICE_NULL), keep, &k);
	zk_fake_settle(w.loop);
	CHECK_EQ(k.error, ZKE_OK);
	world_close(&w);
}

TEST(packed_writes_report_each_on_its_own)
{
	static struct kept_many many;
	static struct zk_op ops[3000];
	static char paths[3000][24];
	struct world w;
	uint64_t before;
	unsigned i;

	world_open(&w);
	many = (struct kept_many){ .answers = 0 };
	act(&w, w.other, ZK_CREATE(ZK_CONTROLLER_EPOCH, SLICE_LIT("1")));
	for (i = 0; i < 3000; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/n%u", i);
		ops[i] = ZK_CREATE(paths[i], SLICE_LIT("x"));
	}
	before = zk_fake_operations(w.zk);
	zk_fenced_many(w.zk, 0, ops, 3000, keep_many, &many);
	zk_fake_settle(w.loop);
	CHECK_EQ(many.n, 3000);
	for (i = 0; i < 3000; i++)
		CHECK_EQ(many.errors[i], ZKE_OK);
	CHECK(zk_fake_operations(w.zk) - before <= 2);
	act(&w, w.other, ZK_DELETE("/n7", -1));
	many.answers = 0;
	zk_fenced_many(w.zk, 0, ops, 20, keep_many, &many);
	zk_fake_settle(w.loop);
	CHECK_EQ(many.answers, 1);
	for (i = 0; i < 20; i++)
		CHECK_EQ(many.errors[i], i == 7 ? ZKE_OK : ZKE_NODE_EXISTS);
	many.answers = 0;
	zk_many(w.zk, NULL, 0, keep_many, &many);
	CHECK_EQ(many.answers, 0);
	zk_fake_settle(w.loop);
	CHECK_EQ(many.answers, 1);
	world_close(&w);
}

TEST(what_cannot_fit_in_a_packet_is_refused_at_once)
{
	struct world w;
	char *big = calloc(1, 5 * 1024 * 1024);

	world_open(&w);
	CHECK_EQ(act(&w, w.zk, ZK_CREATE("/a", slice_of(big, 5 * 1024 * 1024))).error, ZKE_TOO_LARGE);
	free(big);
	world_close(&w);
}

static const struct zk_acl_entry two[] = { { ZK_PERM_ALL, SLICE_LIT("digest"), SLICE_LIT("ann:x") }, { ZK_PERM_READ, SLICE_LIT("world"), SLICE_LIT("anyone") } };

struct kept_acl {
	enum zke error;
	int32_t	 aversion;
	uint32_t n;
	int32_t	 perms[4];
	char	 ids[4][32];
};

static void
keep_acl(void *ctx, const struct zk_result *r)
{
	struct zk_acl_entry *entries;
	struct kept_acl *k = ctx;

	k->error = r->error;
	k->aversion = r->stat.aversion;
	must(zk_acl_read(r->acl, &entries, &k->n) && k->n <= 4);
	for (uint32_t i = 0; i < k->n; i++) {
		k->perms[i] = entries[i].perms;
		snprintf(k->ids[i], sizeof(k->ids[i]), "%.*s:%.*s", (int)entries[i].scheme.len, (const char *)entries[i].scheme.p, (int)entries[i].id.len,
		    (const char *)entries[i].id.p);
	}
	free(entries);
}

static struct kept_acl
acl_at(struct world *w, const char *path)
{
	struct kept_acl k = { .error = ZKE_OTHER };

	zk_submit(w->zk, &ZK_GET_ACL(path), keep_acl, &k);
	zk_fake_settle(w->loop);
	return (k);
}

TEST(acls_are_read_set_and_given_to_new_nodes)
{
	struct slice acl = zk_acl_write(two, 2);
	struct kept_acl k;
	struct world w;

	world_open(&w);
	act(&w, w.zk, ZK_CREATE("/a", SLICE_NULL));
	k = acl_at(&w, "/a");
	CHECK_EQ(k.error, ZKE_OK);
	CHECK_EQ(k.n, 1);
	CHECK_STR(k.ids[0], "world:anyone");
	zk_fake_fault(w.zk, ZK_FAULT_LOSS_AFTER, 1);		/* it was done, and is done again: the ACL counts two changes */
	CHECK_EQ(act(&w, w.zk, ZK_SET_ACL("/a", acl, ZK_ANY_VERSION)).error, ZKE_OK);
	k = acl_at(&w, "/a");
	CHECK_EQ(k.n, 2);
	CHECK_EQ(k.aversion, 2);
	CHECK_EQ(k.perms[0], ZK_PERM_ALL);
	CHECK_EQ(k.perms[1], ZK_PERM_READ);
	CHECK_STR(k.ids[0], "digest:ann:x");
	CHECK_EQ(act(&w, w.zk, ZK_SET_ACL("/a", SLICE_NULL, 0)).error, ZKE_BAD_VERSION);
	CHECK_EQ(act(&w, w.zk, ZK_SET_ACL("/a", SLICE_NULL, 2)).error, ZKE_OK);
	CHECK_EQ(acl_at(&w, "/a").n, 1);
	act(&w, w.zk, (struct zk_op){ .kind = ZK_OP_CREATE, .path = "/b", .acl = acl });
	CHECK_EQ(acl_at(&w, "/b").n, 2);
	CHECK_EQ(acl_at(&w, "/nowhere").error, ZKE_NO_NODE);
	CHECK_EQ(act(&w, w.zk, ZK_SET_ACL("/a", slice_of(acl.p, acl.len - 1), ZK_ANY_VERSION)).error, ZKE_INVALID_ACL);
	CHECK_EQ(act(&w, w.zk, ZK_SET_ACL("/a", SLICE_LIT("\0\0\0\0"), ZK_ANY_VERSION)).error, ZKE_INVALID_ACL);
	free((void *)(uintptr_t)acl.p);
	world_close(&w);
}

TEST(no_bytes_pass_for_an_acl_that_are_none)
{
	struct slice acl = zk_acl_write(two, 2);
	uint8_t *copy = malloc(acl.len + 1);
	struct zk_acl_entry *entries;
	uint32_t n;

	memcpy(copy, acl.p, acl.len);
	copy[acl.len] = 0;
	for (size_t len = 0; len < acl.len; len++) {
		uint8_t *exact = malloc(len + 1);		/* so that a byte too far is seen */

		memcpy(exact, copy, len);
		CHECK(!zk_acl_read(slice_of(exact, len), &entries, &n));
		free(exact);
	}
	CHECK(!zk_acl_read(slice_of(copy, acl.len + 1), &entries, &n));
	copy[12] = 0;						/* inside of "digest" */
	CHECK(!zk_acl_read(slice_of(copy, acl.len), &entries, &n));
	CHECK(!zk_acl_read(SLICE_LIT("\377\377\377\377"), &entries, &n));
	CHECK(!zk_acl_read(SLICE_LIT("\177\377\377\377"), &entries, &n));
	free(copy);
	free((void *)(uintptr_t)acl.p);
}

TEST(delays_keep_the_order)
{
	struct kept a = { .answered = false }, b = { .answered = false };
	struct world w;

	world_open(&w);
	zk_fake_delay(w.zk, 50);
	zk_create(w.zk, "/a", SLICE_NULL, ZK_PERSISTENT, keep, &a);
	zk_create(w.zk, "/a/b", SLICE_NULL, ZK_PERSISTENT, keep, &b);
	zk_fake_settle(w.loop);
	CHECK(!a.answered);
	world_run(&w, 8);
	CHECK_EQ(a.error, ZKE_OK);
	CHECK(a.answered && b.answered);
	CHECK_EQ(b.error, ZKE_OK);
	world_close(&w);
}

UNIT_MAIN("zk/client", T(stats_and_versions_count_as_zookeepers), T(errors_are_those_of_the_server), T(sequence_numbers_go_on_after_deletes),
    T(a_multi_is_all_or_nothing_and_names_the_culprit), T(watches_fire_once_and_only_what_they_are_for),
    T(one_watcher_for_node_and_children_hears_a_delete_once), T(an_unwatched_watcher_is_silent_even_if_its_read_is_under_way),
    T(a_watch_event_comes_before_an_answer_that_shows_the_change), T(a_lost_operation_is_sent_again_and_may_meet_itself),
    T(expiry_answers_what_is_pending_then_tells_then_begins_anew), T(two_clients_of_a_session_hear_expiry_before_the_next_begins),
    T(closing_answers_what_is_pending), T(recursive_create_under_any_fault), T(recursive_delete_under_any_fault),
    T(a_stale_fence_stops_every_write), T(packed_writes_report_each_on_its_own), T(what_cannot_fit_in_a_packet_is_refused_at_once),
    T(acls_are_read_set_and_given_to_new_nodes), T(no_bytes_pass_for_an_acl_that_are_none), T(delays_keep_the_order))
