/* SPDX-License-Identifier: Apache-2.0
 *
 * A cluster's nodes come to another place as they were, whatever happens on the way; what is there already is not taken away unasked.
 */
#include "test/unit/zk/zk_test.h"
#include "zk/acl.h"
#include "zk/copy.h"

static const struct zk_acl_entry two[] = { { ZK_PERM_ALL, SLICE_LIT("digest"), SLICE_LIT("ann:x") }, { ZK_PERM_READ, SLICE_LIT("world"), SLICE_LIT("anyone") } };

struct fetched {
	struct znodes t;
	bool done;
	enum err e;
};

static void
on_fetched(void *ctx, enum err e, const struct errbuf *why)
{
	struct fetched *f = ctx;

	(void)why;
	f->done = true;
	f->e = e;
}

static struct znodes
fetch(struct world *w, struct zk *zk, const char *chroot)
{
	struct fetched f = { .done = false };
	uint64_t answered = 0;

	znodes_fetch(zk, chroot, NULL, true, &f.t, &answered, on_fetched, &f);
	world_run(w, 5);
	CHECK(f.done);
	CHECK_EQ(f.e, OK);
	return (f.t);
}

static enum err
copy(struct world *w, struct zk *zk, const char *from, const char *to, const struct zk_copy_options *o, uint32_t *conflicts)
{
	struct znodes source = fetch(w, w->other, from), target = fetch(w, w->other, to);
	struct fetched done = { .done = false };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_copy_plan plan;
	uint64_t answered = 0;
	enum err e = zk_copy_plan_make(&source, &target, o, &plan, &eb);

	if (e == OK) {
		*conflicts = plan.conflicts;
		zk_copy_write(zk, to, &plan, &answered, on_fetched, &done);
		world_run(w, 50);
		CHECK(done.done);
		e = done.e;
		zk_copy_plan_fini(&plan);
	}
	znodes_fini(&source);
	znodes_fini(&target);
	return (e);
}

/* What a cluster leaves when its brokers have gone, and some that they do not. */
static void
make_cluster(struct world *w, const char *chroot)
{
	static const struct { const char *path, *data; bool acl; } nodes[] = {
		{ "", NULL, false }, { "/brokers", NULL, false }, { "/brokers/seqid", NULL, false }, { "/brokers/topics", NULL, true },
		{ "/brokers/topics/t", "{\"partitions\":{\"0\":[1]}}", false }, { "/brokers/topics/t/partitions", NULL, false },
		{ "/brokers/topics/t/partitions/0", NULL, false }, { "/brokers/topics/t/partitions/0/state", "{\"leader\":1}", false },
		{ "/brokers/topics-", "x", false }, { "/config", "", false }, { "/config/changes", NULL, false }, { "/config/users", NULL, true },
		{ "/config/users/ann", "secret", true }, { "/feature", "f", false }, { "/others", "not Kafka's", false },
	};
	struct slice acl = zk_acl_write(two, 2);
	char path[200];

	for (size_t i = 0; i < NELEM(nodes); i++) {
		snprintf(path, sizeof(path), "%s%s", chroot, nodes[i].path);
		if (path[0] == '\0')
			continue;
		CHECK_EQ(act(w, w->other, (struct zk_op){ .kind = ZK_OP_CREATE, .path = path, .data = slice_str(nodes[i].data),
		    .acl = nodes[i].acl ? acl : SLICE_NULL }).error, ZKE_OK);
	}
	snprintf(path, sizeof(path), "%s/brokers/seqid", chroot);
	for (unsigned i = 0; i < 3; i++)
		act(w, w->other, ZK_SET(path, SLICE_NULL, ZK_ANY_VERSION));
	snprintf(path, sizeof(path), "%s/config/changes/config_change_", chroot);
	act(w, w->other, ZK_CREATE_SEQUENTIAL(path, SLICE_LIT("{}")));
	snprintf(path, sizeof(path), "%s/controller", chroot);
	act(w, w->other, ZK_CREATE_EPHEMERAL(path, SLICE_LIT("{}")));
	free((void *)(uintptr_t)acl.p);
}

/* Equal but for what is left out; *notifications counts those that the copy has. */
static void
check_copied(struct world *w, const char *from, const char *to)
{
	struct znodes a = fetch(w, w->other, from), b = fetch(w, w->other, to);
	size_t left = 0;

	for (size_t i = 0; i < a.n; i++) {
		const struct znode *n = &a.v[i], *copy = znodes_find(&b, n->path);

		if (strcmp(n->path, "/controller") == 0 || strcmp(n->path, "/others") == 0 || strncmp(n->path, "/config/changes/", 16) == 0) {
			CHECK(copy == NULL);
			left++;
			continue;
		}
		if (!CHECK(copy != NULL) || strcmp(n->path, "/") == 0)
			continue;
		CHECK(slice_eq(znode_data(n), znode_data(copy)));
		CHECK(slice_eq(n->acl, copy->acl));
		if (strcmp(n->path, "/brokers/seqid") == 0)
			CHECK_GE(copy->stat.version, 3);
	}
	CHECK_EQ(left, 3);
	CHECK_EQ(b.n, a.n - left);
	znodes_fini(&a);
	znodes_fini(&b);
}

TEST(a_cluster_is_copied_with_its_acls_and_the_versions_that_count)
{
	const struct zk_copy_options plain = { .everything = false };
	uint32_t conflicts = 9;
	struct znodes t;
	struct world w;

	world_open(&w);
	make_cluster(&w, "/a");
	CHECK_EQ(copy(&w, w.zk, "/a", "/some/where", &plain, &conflicts), OK);
	CHECK_EQ(conflicts, 0);
	check_copied(&w, "/a", "/some/where");
	CHECK_EQ(act(&w, w.other, ZK_GET("/some/where/brokers/seqid", NULL)).stat.version, 3);
	CHECK_EQ(act(&w, w.other, ZK_GET("/some/where/feature", NULL)).stat.version, 0);
	/* The next notification finds its number free. */
	CHECK_STR(act(&w, w.other, ZK_CREATE_SEQUENTIAL("/some/where/config/changes/config_change_", SLICE_NULL)).path,
	    "/some/where/config/changes/config_change_0000000000");
	CHECK_EQ(copy(&w, w.zk, "/a", "/open", &(struct zk_copy_options){ .everything = true, .no_acls = true }, &conflicts), OK);
	t = fetch(&w, w.other, "/open");
	for (size_t i = 0; i < t.n; i++)
		CHECK(t.v[i].acl.p == NULL);
	CHECK(znodes_find(&t, "/others") != NULL);
	znodes_fini(&t);
	world_close(&w);
}

TEST(what_the_target_has_is_a_conflict_until_that_is_wanted)
{
	const struct zk_copy_options plain = { .everything = false };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_copy_plan plan;
	struct znodes a, b;
	uint32_t conflicts;
	struct world w;

	world_open(&w);
	make_cluster(&w, "/a");
	CHECK_EQ(copy(&w, w.zk, "/a", "/b", &plain, &conflicts), OK);
	act(&w, w.other, ZK_SET("/b/brokers/topics/t", SLICE_LIT("other"), ZK_ANY_VERSION));
	act(&w, w.other, ZK_CREATE("/b/brokers/topics/deleted", SLICE_LIT("would come back to life")));
	act(&w, w.other, ZK_CREATE("/b/brokers/topics/deleted/partitions", SLICE_NULL));
	act(&w, w.other, ZK_CREATE("/b/of_others", SLICE_NULL));
	a = fetch(&w, w.other, "/a");
	b = fetch(&w, w.other, "/b");
	CHECK_EQ(zk_copy_plan_make(&a, &b, &plain, &plan, &eb), OK);
	CHECK_EQ(plan.conflicts, 3);
	zk_copy_plan_fini(&plan);
	znodes_fini(&a);
	znodes_fini(&b);
	CHECK_EQ(copy(&w, w.zk, "/a", "/b", &plain, &conflicts), OK);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/b/of_others", NULL)).error, ZKE_OK);
	act(&w, w.other, ZK_DELETE("/b/of_others", ZK_ANY_VERSION));
	check_copied(&w, "/a", "/b");
	act(&w, w.zk, ZK_CREATE("/e", SLICE_NULL));
	act(&w, w.zk, ZK_CREATE_EPHEMERAL("/e/brokers", SLICE_NULL));
	CHECK_EQ(copy(&w, w.zk, "/a", "/e", &plain, &conflicts), ERR_CONFLICT);
	world_close(&w);
}

TEST(a_version_that_no_cluster_gets_to_is_refused)
{
	struct zk_stat st = { .version = INT32_MAX };
	struct znodes a = { 0 }, none = { 0 };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_copy_plan plan;

	znodes_add(&a, "/brokers/seqid", SLICE_NULL, SLICE_NULL, &st);
	CHECK_EQ(zk_copy_plan_make(&a, &none, &(struct zk_copy_options){ .everything = false }, &plan, &eb), ERR_LIMIT);
	CHECK(strstr(eb.text, "/brokers/seqid") != NULL);
	znodes_fini(&a);
}

/* The writer's session is lost or ends at its n-th operation; what is left is finished by another that begins anew, and nothing was a conflict. */
static bool
interrupted(enum zk_fault fault, uint64_t n)
{
	const struct zk_copy_options plain = { .everything = false };
	uint32_t conflicts = 9;
	struct world w;
	bool reached;

	world_open(&w);
	make_cluster(&w, "/a");
	w.zk->packet_max = 1000;			/* many small packets */
	zk_fake_fault(w.zk, fault, n);
	(void)copy(&w, w.zk, "/a", "/b/c", &plain, &conflicts);
	CHECK_EQ(conflicts, 0);
	reached = !zk_fake_faults_pending(w.zk);
	zk_fake_forget_faults(w.zk);
	CHECK_EQ(copy(&w, w.zk, "/a", "/b/c", &plain, &conflicts), OK);
	CHECK_EQ(conflicts, 0);
	check_copied(&w, "/a", "/b/c");
	world_close(&w);
	return (reached);
}

TEST(a_copy_that_was_interrupted_anywhere_is_finished_by_the_next)
{
	at_every_operation(interrupted);
}

/* The process dies: nothing behind the n-th operation is done, secrets are not open meanwhile. */
TEST(a_copy_whose_process_dies_leaves_no_secret_open)
{
	const struct zk_copy_options plain = { .everything = false };
	struct fetched done = { .done = false };
	struct errbuf eb = ERRBUF_INIT;
	unsigned seen = 0;

	for (uint64_t n = 1; n < 40; n++) {
		struct zk_copy_plan plan;
		struct znodes a, b;
		uint64_t answered = 0;
		uint32_t conflicts;
		const struct znode *ann;
		struct world w;
		struct zk *zk;

		world_open(&w);
		make_cluster(&w, "/a");
		a = fetch(&w, w.other, "/a");
		b = fetch(&w, w.other, "/b");
		CHECK_EQ(zk_copy_plan_make(&a, &b, &plain, &plan, &eb), OK);
		zk = zk_fake_client(w.fake, w.loop);
		zk->packet_max = 1000;
		zk_copy_write(zk, "/b", &plan, &answered, on_fetched, &done);
		while (zk_fake_operations(zk) < n && loop_turn(w.loop, 0))
			;
		zk_close(&zk);
		zk_fake_settle(w.loop);
		zk_copy_plan_fini(&plan);
		znodes_fini(&a);
		znodes_fini(&b);
		b = fetch(&w, w.other, "/b");
		ann = znodes_find(&b, "/config/users/ann");
		if (ann != NULL) {
			seen++;
			CHECK(ann->acl.p != NULL);
		}
		znodes_fini(&b);
		CHECK_EQ(copy(&w, w.zk, "/a", "/b", &plain, &conflicts), OK);
		CHECK_EQ(conflicts, 0);
		check_copied(&w, "/a", "/b");
		world_close(&w);
	}
	CHECK_GE(seen, 1);
}

UNIT_MAIN("zk/copy", T(a_cluster_is_copied_with_its_acls_and_the_versions_that_count), T(what_the_target_has_is_a_conflict_until_that_is_wanted),
    T(a_version_that_no_cluster_gets_to_is_refused), T(a_copy_that_was_interrupted_anywhere_is_finished_by_the_next),
    T(a_copy_whose_process_dies_leaves_no_secret_open))
