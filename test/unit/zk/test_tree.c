/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zk/test_tree.c - the data tree alone: what a server, a store or a hostile client does to it that our own client never would.
 * What each operation answers is compared with a real server by test/unit/zk/live_zk.c and test/func/test_embedded.py.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit.h"
#include "base/alloc.h"
#include "base/must.h"
#include "zk/tree.h"

static void
no_event(void *ctx, int64_t session, enum zk_event event, const char *path, unsigned kinds)
{
	(void)ctx;
	(void)session;
	(void)event;
	(void)path;
	(void)kinds;
}

static struct zk_result
create(struct zk_tree *t, int64_t session, const char *path, enum zk_create_mode mode)
{
	struct zk_result r;

	zk_tree_apply(t, session, 1, &(struct zk_op){ .kind = ZK_OP_CREATE, .path = path, .data = SLICE_LIT(""), .mode = mode }, &r);
	return (r);
}

/* ---- how deep ---- */

enum { DEPTH = 4000 };

struct deep {
	struct zk_tree *t;
	uint32_t all, half;
};

static void *
count(void *arg)
{
	struct deep *d = arg;
	char *path = xcalloc(1, DEPTH + 1);

	d->all = zk_tree_descendants(d->t, "/");
	for (int i = 0; i < DEPTH; i += 2)
		memcpy(path + i, "/a", 2);
	d->half = zk_tree_descendants(d->t, path);
	free(path);
	return (NULL);
}

TEST(a_deep_path_is_counted_on_a_small_stack)
{
	struct deep d = { .t = zk_tree_new(no_event, NULL) };
	int64_t session = zk_tree_session_new(d.t);
	char *path = xcalloc(1, (size_t)DEPTH * 2 + 3);
	pthread_attr_t small;
	pthread_t thread;

	for (int i = 0; i < DEPTH; i++) {
		memcpy(path + (size_t)i * 2, "/a", 2);
		CHECK_EQ(create(d.t, session, path, ZK_PERSISTENT).error, ZKE_OK);
	}
	memcpy(path, "/b", 3);
	CHECK_EQ(create(d.t, session, path, ZK_PERSISTENT).error, ZKE_OK);
	must(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 << 10) == 0);
	must(pthread_create(&thread, &small, count, &d) == 0 && pthread_join(thread, NULL) == 0);
	pthread_attr_destroy(&small);
	CHECK_EQ(d.all, DEPTH + 1);
	CHECK_EQ(d.half, DEPTH / 2);
	CHECK_EQ(zk_tree_descendants(d.t, "/b"), 0);
	CHECK_EQ(zk_tree_descendants(d.t, "/c"), 0);
	free(path);
	zk_tree_free(&d.t);
}

/* ---- numbers that end ---- */

TEST(versions_and_sequences_go_on_behind_their_largest_number)
{
	struct zk_tree *t = zk_tree_new(no_event, NULL);
	struct zk_tree_node n = { .data = SLICE_LIT(""), .stat = { .version = INT32_MAX, .aversion = INT32_MAX }, .creates = INT32_MAX };
	struct zk_result r;
	int64_t session = zk_tree_session_new(t);
	struct zk_stat stat;

	must(zk_tree_load(t, "/a", &n, NULL) == OK);
	must(zk_tree_stat(t, "/a", &stat));
	CHECK_EQ(stat.cversion, -2);
	CHECK_STR(create(t, session, "/a/n", ZK_PERSISTENT_SEQUENTIAL).path, "/a/n2147483647");
	CHECK_STR(create(t, session, "/a/n", ZK_PERSISTENT_SEQUENTIAL).path, "/a/n-2147483648");
	must(zk_tree_stat(t, "/a", &stat));
	CHECK_EQ(stat.cversion, 0);		/* twice -2147483647 is 2, as Java counts, less two children */
	zk_tree_apply(t, session, 1, &(struct zk_op){ .kind = ZK_OP_SET, .path = "/a", .version = INT32_MAX }, &r);
	CHECK(r.error == ZKE_OK && r.stat.version == INT32_MIN);
	zk_tree_apply(t, session, 1, &(struct zk_op){ .kind = ZK_OP_SET_ACL, .path = "/a", .version = INT32_MAX }, &r);
	CHECK(r.error == ZKE_OK && r.stat.aversion == INT32_MIN);
	zk_tree_free(&t);
}

/* ---- watches ---- */

TEST(watches_of_all_sessions_together_are_bounded)
{
	struct zk_tree *t = zk_tree_new(no_event, NULL);
	int64_t a = zk_tree_session_new(t), b = zk_tree_session_new(t);
	size_t empty = zk_tree_watch_bytes(t), one;
	struct zk_result r;

	CHECK(zk_tree_watch(t, a, "/a", ZK_WATCH_DATA, 0));
	one = zk_tree_watch_bytes(t) - empty;
	zk_tree_limit_watches(t, 2 * one, 3 * one);
	CHECK(zk_tree_watch(t, a, "/a", ZK_WATCH_CHILDREN, ZK_WATCH_PERSISTENT));	/* nothing new is kept */
	CHECK(zk_tree_watch(t, a, "/b", ZK_WATCH_DATA, 0));
	CHECK(!zk_tree_watch(t, a, "/c", ZK_WATCH_DATA, 0));		/* its own share */
	CHECK(zk_tree_watch(t, b, "/c", ZK_WATCH_DATA, 0));
	CHECK(!zk_tree_watch(t, b, "/d", ZK_WATCH_DATA, 0));		/* everybody's */
	zk_tree_apply(t, b, 1, &(struct zk_op){ .kind = ZK_OP_EXISTS, .path = "/d", .watcher = &(struct zk_watcher){ 0 } }, &r);
	CHECK_EQ(r.error, ZKE_QUOTA_EXCEEDED);
	CHECK_EQ(create(t, a, "/b", ZK_PERSISTENT).error, ZKE_OK);		/* fires, and is gone */
	CHECK(zk_tree_watch(t, b, "/d", ZK_WATCH_DATA, 0));
	zk_tree_session_end(t, a, 1);
	zk_tree_drop_watches(t, b);
	CHECK_EQ(zk_tree_watch_bytes(t), empty);
	CHECK_EQ(zk_tree_watch_count(t), 0);
	zk_tree_free(&t);
}

UNIT_MAIN("zk/tree", T(a_deep_path_is_counted_on_a_small_stack), T(versions_and_sequences_go_on_behind_their_largest_number),
    T(watches_of_all_sessions_together_are_bounded))
