/* SPDX-License-Identifier: Apache-2.0
 *
 * Creating, deleting and enlarging topics: what stands in ZooKeeper afterwards, what the client is told, and that under every fault the two fit.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/assign.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"
#include "zk/json.h"
#include "zk/paths.h"

static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER,
	ZK_FAULT_SYSTEM_ERROR };

static bool
is_loss(enum zk_fault f)
{
	return (f == ZK_FAULT_LOSS_BEFORE || f == ZK_FAULT_LOSS_AFTER);
}

/* ---- creation ---- */

static struct admin_topic
plain(const char *name, int32_t partitions, int16_t rf)
{
	return ((struct admin_topic){ .name = slice_str(name), .num_partitions = partitions, .replication_factor = rf });
}

static void
create_with(struct world *w, struct admin_topic *topics, int32_t n, bool validate_only, int32_t timeout_ms)
{
	struct admin_create_topics c = { .topics = topics, .ntopics = n, .validate_only = validate_only, .describe = true, .timeout_ms = timeout_ms };
	unsigned before = w->done;

	world_job(w, &c.job);
	admin_create_topics(w->admin, &c);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
}

static enum kerr
create(struct world *w, struct admin_topic *t)
{
	create_with(w, t, 1, false, 1000);
	return (t->outcome.error);
}

static struct zk_topic_info
topic_in_zookeeper(struct world *w, const char *name)
{
	struct node n = world_node(w, zk_path_topic(name).s);
	struct zk_topic_info info = { .npartitions = 0 };

	if (n.found)
		CHECK_EQ(zk_topic_decode(&w->arena, slice_str(n.data), &info, NULL), OK);
	return (info);
}

TEST(a_topic_gets_its_settings_and_an_id)
{
	struct world w;
	struct config_wish wish[] = { { SLICE_LIT("retention.ms"), SLICE_LIT("1000"), 0 }, { SLICE_LIT("cleanup.policy"), SLICE_LIT("compact"), 0 } };
	struct admin_topic t = plain("a.topic", 3, 1);
	struct zk_topic_info info;
	unsigned seen = 0;

	world_init(&w, "");
	t.configs = wish;
	t.nconfigs = 2;
	CHECK_EQ(create(&w, &t), KERR_NONE);
	CHECK(t.outcome.message == NULL);
	CHECK_EQ(t.partitions, 3);
	CHECK_EQ(t.replicas, 1);
	info = topic_in_zookeeper(&w, "a.topic");
	CHECK_EQ(info.npartitions, 3);
	CHECK(!uuid_is_zero(info.id) && uuid_eq(info.id, t.id));
	CHECK_EQ(info.partitions[2].replicas.v[0], 1);
	CHECK(has_text(world_node(&w, "/config/topics/a.topic").data, "\"retention.ms\":\"1000\""));
	CHECK_EQ(world_node(&w, ZK_CONFIG_CHANGES).children, 0);	/* no notification */
	for (size_t i = 0; i < t.described.count; i++) {
		const struct config_entry *e = &t.described.entries[i];

		if (strcmp(e->name, "retention.ms") == 0) {
			CHECK_STR(e->value, "1000");
			CHECK_EQ(e->source, CONFIG_SOURCE_TOPIC);
			seen++;
		} else if (strcmp(e->name, "segment.bytes") == 0) {
			CHECK_EQ(e->source, CONFIG_SOURCE_DEFAULT);
			seen++;
		}
	}
	CHECK_EQ(seen, 2);
	world_fini(&w);
}

TEST(minus_one_means_the_brokers_own_numbers)
{
	struct world w;
	struct admin_topic t = plain("t", -1, -1);

	world_init(&w, "num.partitions=4\n");
	CHECK_EQ(create(&w, &t), KERR_NONE);
	CHECK_EQ(topic_in_zookeeper(&w, "t").npartitions, 4);
	world_fini(&w);
}

static void
refused(struct admin_topic t, enum kerr error, const char *words)
{
	struct world w;
	uint64_t before;

	world_init(&w, "");
	world_put(&w, "/brokers/topics/old_one", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
	world_put(&w, "/brokers/topics/dying", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
	w.no_controller_work = true;
	world_put(&w, "/admin/delete_topics/dying", "");
	before = (uint64_t)zk_tree_zxid(zk_fake_tree(w.fake));
	CHECK_EQ(create(&w, &t), error);
	unit_check(t.outcome.message != NULL && strstr(t.outcome.message, words) != NULL, __FILE__, __LINE__, "%s: \"%s\" says \"%s\"",
	    kerr_name(error), t.outcome.message == NULL ? "(null)" : t.outcome.message, words);
	CHECK_EQ(t.partitions, -1);
	CHECK_EQ(t.replicas, -1);
	CHECK_EQ(t.described.count, 0);
	CHECK(uuid_is_zero(t.id));
	CHECK_EQ((uint64_t)zk_tree_zxid(zk_fake_tree(w.fake)), before);	/* nothing written */
	world_fini(&w);
}

static void
refused_configs(const char *name, const char *value, enum kerr error, const char *words)
{
	struct config_wish wish = { slice_str(name), slice_str(value), 0 };
	struct admin_topic t = plain("t", 1, 1);

	t.configs = &wish;
	t.nconfigs = 1;
	refused(t, error, words);
}

TEST(a_topic_that_cannot_be_is_refused_and_leaves_nothing)
{
	char huge[LIMIT_TOPIC_NAME_MAX + 3];

	memset(huge, 'x', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	refused(plain("t", 0, 1), KERR_INVALID_PARTITIONS, "at least one");
	refused(plain("t", -2, 1), KERR_INVALID_PARTITIONS, "at least one");
	refused(plain("t", INT32_MAX, 1), KERR_INVALID_PARTITIONS, "do not fit");
	refused(plain("t", 110000, 1), KERR_INVALID_PARTITIONS, "do not fit");
	refused(plain("t", 1, 0), KERR_INVALID_REPLICATION_FACTOR, "at least 1");
	refused(plain("t", 1, 2), KERR_INVALID_REPLICATION_FACTOR, "available brokers");
	refused(plain("", 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "");
	refused(plain("a b", 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "");
	refused(plain("..", 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "");
	refused(plain("a/../b", 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "");
	refused(plain(huge, 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "");
	refused(plain("old.one", 1, 1), KERR_INVALID_TOPIC_EXCEPTION, "old_one");
	refused(plain("old_one", 1, 1), KERR_TOPIC_ALREADY_EXISTS, "exists already");
	refused(plain("dying", 1, 1), KERR_TOPIC_ALREADY_EXISTS, "being deleted");
	refused_configs("no.such", "1", KERR_INVALID_CONFIG, "no.such");
	refused_configs("retention.ms", "a week", KERR_INVALID_CONFIG, "retention.ms");
	refused_configs("retention.ms", NULL, KERR_INVALID_CONFIG, "no value");
}

TEST(a_topic_that_the_image_knows_exists)
{
	struct world w;
	struct admin_topic t = plain("t", 1, 1), again = plain("t", -7, 99);

	world_init(&w, "");
	CHECK_EQ(create(&w, &t), KERR_NONE);
	CHECK_EQ(create(&w, &again), KERR_TOPIC_ALREADY_EXISTS);	/* before its numbers are looked at */
	world_fini(&w);
}

/* ---- assignments by hand ---- */

static enum kerr
create_by_hand(struct world *w, const char *name, const struct admin_replicas *v, int32_t n)
{
	struct admin_topic t = plain(name, -1, -1);

	t.assignments = v;
	t.nassignments = n;
	return (create(w, &t));
}

#define BROKERS(...)	(const int32_t[]){ __VA_ARGS__ }, (int32_t)NELEM(((const int32_t[]){ __VA_ARGS__ }))

TEST(an_assignment_by_hand_is_taken_as_it_is)
{
	struct world w;
	static const struct assign_broker three[] = { { 1, NULL }, { 2, NULL }, { 3, NULL } };
	struct admin_replicas v[] = { { 1, BROKERS(3, 1) }, { 0, BROKERS(2, 3) } };
	struct zk_topic_info info;

	world_init(&w, "");
	world_brokers(&w, three, 3);
	CHECK_EQ(create_by_hand(&w, "t", v, 2), KERR_NONE);
	info = topic_in_zookeeper(&w, "t");
	REQUIRE(info.npartitions == 2);
	CHECK_EQ(info.partitions[0].replicas.v[0], 2);
	CHECK_EQ(info.partitions[1].replicas.v[0], 3);
	CHECK_EQ(info.partitions[1].replicas.v[1], 1);
	world_fini(&w);
}

TEST(a_bad_assignment_by_hand_is_refused)
{
	struct world w;
	static const struct assign_broker two[] = { { 1, NULL }, { 2, NULL } };
	struct admin_replicas gap[] = { { 0, BROKERS(1) }, { 2, BROKERS(1) } }, uneven[] = { { 0, BROKERS(1) }, { 1, BROKERS(1, 2) } };
	struct admin_replicas twice[] = { { 0, BROKERS(1, 1) } }, stranger[] = { { 0, BROKERS(7) } }, none[] = { { 0, NULL, 0 } };
	struct admin_replicas negative[] = { { -1, BROKERS(1) } };
	struct admin_topic both = plain("t", 1, -1);

	world_init(&w, "");
	world_brokers(&w, two, 2);
	CHECK_EQ(create_by_hand(&w, "t", gap, 2), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(create_by_hand(&w, "t", uneven, 2), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(create_by_hand(&w, "t", twice, 1), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(create_by_hand(&w, "t", stranger, 1), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(create_by_hand(&w, "t", none, 1), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(create_by_hand(&w, "t", negative, 1), KERR_INVALID_REPLICA_ASSIGNMENT);
	both.assignments = twice;
	both.nassignments = 1;
	CHECK_EQ(create(&w, &both), KERR_INVALID_REQUEST);
	CHECK(!world_has(&w, "/brokers/topics/t"));
	world_fini(&w);
}

/* ---- validate_only, waiting ---- */

TEST(validating_writes_nothing_and_shows_everything)
{
	struct world w;
	struct admin_topic t[2] = { plain("t", 2, 1), plain("u", 1, 5) };
	int64_t before;

	world_init(&w, "");
	before = zk_tree_zxid(zk_fake_tree(w.fake));
	create_with(&w, t, 2, true, 1000);
	CHECK_EQ(t[0].outcome.error, KERR_NONE);
	CHECK_EQ(t[0].partitions, 2);
	CHECK(t[0].described.count > 30);
	CHECK(uuid_is_zero(t[0].id));
	CHECK_EQ(t[1].outcome.error, KERR_INVALID_REPLICATION_FACTOR);
	CHECK_EQ(zk_tree_zxid(zk_fake_tree(w.fake)), before);
	world_fini(&w);
}

TEST(without_time_to_wait_the_topic_is_made_all_the_same)
{
	struct world w;
	struct admin_topic t = plain("t", 1, 1);

	world_init(&w, "");
	create_with(&w, &t, 1, false, 0);
	CHECK_EQ(t.outcome.error, KERR_REQUEST_TIMED_OUT);
	CHECK(t.outcome.message == NULL);
	CHECK_EQ(t.partitions, -1);
	CHECK_EQ(t.described.count, 0);
	CHECK(!uuid_is_zero(t.id) && uuid_eq(t.id, topic_in_zookeeper(&w, "t").id));
	world_fini(&w);
}

TEST(the_answer_waits_for_leaders_and_no_longer_than_asked)
{
	struct world w;
	struct admin_topic t = plain("t", 1, 1), u = plain("u", 1, 1);
	struct admin_create_topics c = { .topics = &t, .ntopics = 1, .timeout_ms = 5000 };

	world_init(&w, "");
	w.no_controller_work = true;
	world_job(&w, &c.job);
	admin_create_topics(w.admin, &c);
	world_turn(&w);
	clock_manual_advance_ns(&w.clock, 4000 * INT64_C(1000000));
	world_turn(&w);
	CHECK_EQ(w.done, 0);
	w.no_controller_work = false;
	world_turn(&w);
	CHECK_EQ(w.done, 1);
	CHECK_EQ(t.outcome.error, KERR_NONE);
	w.no_controller_work = true;
	c.topics = &u;
	admin_create_topics(w.admin, &c);
	world_turn(&w);
	clock_manual_advance_ns(&w.clock, 5001 * INT64_C(1000000));
	world_turn(&w);
	CHECK_EQ(w.done, 2);
	CHECK_EQ(u.outcome.error, KERR_REQUEST_TIMED_OUT);
	world_fini(&w);
}

TEST(a_client_that_leaves_is_not_waited_for)
{
	struct world w;

	for (int turns = 0; turns < 60; turns++) {
		struct admin_topic t = plain("t", 1, 1);
		struct admin_create_topics c = { .topics = &t, .ntopics = 1, .timeout_ms = INT32_MAX };

		world_init(&w, "");
		w.no_controller_work = true;
		world_job(&w, &c.job);
		admin_create_topics(w.admin, &c);
		for (int i = 0; i < turns && w.done == 0; i++) {
			(void)loop_turn(w.loop, 0);
			(void)loop_turn(w.net, 0);
		}
		CHECK_EQ(w.done, 0);
		admin_abandon(&c.job);
		world_turn(&w);
		CHECK_EQ(w.done, 1);
		world_fini(&w);
	}
}

TEST(the_topics_of_a_request_collide_with_each_other)
{
	struct world w;
	struct admin_topic t[3] = { plain("a.b", 1, 1), plain("a_b", 1, 1), plain("c", 1, 1) };

	world_init(&w, "");
	create_with(&w, t, 3, false, 1000);
	CHECK_EQ(t[0].outcome.error, KERR_NONE);
	CHECK_EQ(t[1].outcome.error, KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(t[2].outcome.error, KERR_NONE);
	CHECK(!world_has(&w, "/brokers/topics/a_b"));
	world_fini(&w);
}

TEST(many_topics_of_one_request_are_all_made)
{
	enum { MANY = 150 };
	struct world w;
	struct admin_topic *t = xcalloc(MANY, sizeof(*t));

	world_init(&w, "");
	for (int i = 0; i < MANY; i++)
		t[i] = plain(arena_printf(&w.arena, "topic-%d", i), 2, i % 10 == 9 ? 3 : 1);
	create_with(&w, t, MANY, false, 1000);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(t[i].outcome.error, i % 10 == 9 ? KERR_INVALID_REPLICATION_FACTOR : KERR_NONE);
	CHECK_EQ(world_node(&w, ZK_TOPICS).children, MANY - MANY / 10);
	free(t);
	world_fini(&w);
}

/* ---- faults ---- */

static void
create_under(enum zk_fault f, uint64_t nth, bool *happened)
{
	struct world w;
	struct admin_topic t = plain("t", 2, 1), again = plain("t", 2, 1);
	struct zk_topic_info info;

	world_init(&w, "");
	zk_fake_fault(w.zk, f, nth);
	(void)create(&w, &t);
	*happened = !zk_fake_faults_pending(w.zk);
	info = topic_in_zookeeper(&w, "t");
	if (is_loss(f) || !*happened)
		CHECK_EQ(t.outcome.error, KERR_NONE);
	if (t.outcome.error == KERR_NONE) {
		CHECK_EQ(info.npartitions, 2);
		CHECK(uuid_eq(info.id, t.id));
		CHECK(world_has(&w, "/config/topics/t"));
	} else {
		CHECK_EQ(t.outcome.error, f == ZK_FAULT_SYSTEM_ERROR ? KERR_UNKNOWN_SERVER_ERROR : KERR_NOT_CONTROLLER);
		CHECK_EQ(info.npartitions, 0);		/* an error means that there is none */
		CHECK_EQ(create(&w, &again), KERR_NONE);
	}
	world_fini(&w);
}

TEST(under_every_fault_creation_ends_and_its_answer_is_true)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 40 && happened; nth++)
			create_under(faults[f], nth, &happened);
		CHECK(nth > 6 && nth < 40);
	}
}

TEST(somebody_elses_topic_is_not_taken_for_ours)
{
	struct world w;
	struct admin_topic t = plain("t", 2, 1);
	struct admin_create_topics c = { .topics = &t, .ntopics = 1, .timeout_ms = 1000 };
	bool put = false;

	world_init(&w, "");
	world_job(&w, &c.job);
	admin_create_topics(w.admin, &c);
	for (int i = 0; i < 1000 && w.done == 0; i++) {
		(void)loop_turn(w.loop, 0);
		(void)loop_turn(w.net, 0);
		if (!put && world_has(&w, "/config/topics/t")) {	/* between the last look and our node */
			world_put(&w, "/brokers/topics/t", "{\"version\":3,\"topic_id\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"partitions\":{\"0\":[1]}}");
			put = true;
		}
	}
	CHECK(put);
	CHECK_EQ(w.done, 1);
	CHECK_EQ(t.outcome.error, KERR_TOPIC_ALREADY_EXISTS);
	world_fini(&w);
}

TEST(without_a_controller_nothing_is_made)
{
	struct world w;
	struct admin_topic t = plain("t", 2, 1);

	world_init(&w, "");
	world_remove(&w, ZK_CONTROLLER);
	CHECK_EQ(create(&w, &t), KERR_NOT_CONTROLLER);
	CHECK(!world_has(&w, "/brokers/topics/t"));
	world_fini(&w);
}

TEST(stopping_ends_every_job)
{
	for (int turns = 0; turns < 60; turns++) {
		struct world w;
		struct admin_topic t[2] = { plain("t", 1, 1), plain("u", 1, 1) };
		struct admin_doomed d = { .name = SLICE_LIT("old") };
		struct admin_growth g = { .name = SLICE_LIT("old"), .count = 3 };
		struct admin_create_topics c = { .topics = t, .ntopics = 2, .timeout_ms = INT32_MAX };
		struct admin_delete_topics dj = { .topics = &d, .ntopics = 1, .timeout_ms = INT32_MAX };
		struct admin_create_partitions gj = { .topics = &g, .ntopics = 1, .timeout_ms = INT32_MAX };

		world_init(&w, "");
		world_put(&w, "/brokers/topics/old", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
		world_turn(&w);
		w.no_controller_work = true;
		world_job(&w, &c.job);
		world_job(&w, &dj.job);
		world_job(&w, &gj.job);
		admin_create_topics(w.admin, &c);
		admin_create_partitions(w.admin, &gj);
		admin_delete_topics(w.admin, &dj);
		for (int i = 0; i < turns; i++)
			(void)loop_turn(w.loop, 0);
		admin_stop(w.admin);
		world_turn(&w);
		CHECK_EQ(w.done, 3);
		CHECK(t[0].outcome.error != KERR_NONE && t[1].outcome.error != KERR_NONE);
		world_fini(&w);
	}
}

/* ---- deletion ---- */

static void
delete_with(struct world *w, struct admin_doomed *topics, int32_t n, int32_t timeout_ms)
{
	struct admin_delete_topics d = { .topics = topics, .ntopics = n, .timeout_ms = timeout_ms };
	unsigned before = w->done;

	world_job(w, &d.job);
	admin_delete_topics(w->admin, &d);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
}

TEST(a_deleted_topic_is_gone_when_the_answer_comes)
{
	struct world w;
	struct admin_topic t[2] = { plain("t", 3, 1), plain("u", 1, 1) };
	struct admin_doomed d[2] = { { .name = SLICE_LIT("t") }, { .name = SLICE_LIT("never") } };

	world_init(&w, "");
	create_with(&w, t, 2, false, 1000);
	delete_with(&w, d, 2, 1000);
	CHECK_EQ(d[0].error, KERR_NONE);
	CHECK_EQ(d[1].error, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK(image_topic(cluster_read(w.cluster), slice_str("t")) == NULL);
	CHECK(image_topic(cluster_read(w.cluster), slice_str("u")) != NULL);
	CHECK(!world_has(&w, "/brokers/topics/t"));
	world_fini(&w);
}

TEST(a_deletion_already_asked_for_is_waited_for)
{
	struct world w;
	struct admin_topic t = plain("t", 1, 1);
	struct admin_doomed d = { .name = SLICE_LIT("t") };

	world_init(&w, "");
	CHECK_EQ(create(&w, &t), KERR_NONE);
	w.no_controller_work = true;
	delete_with(&w, &d, 1, 0);
	CHECK_EQ(d.error, KERR_REQUEST_TIMED_OUT);
	CHECK(world_has(&w, "/admin/delete_topics/t"));
	w.no_controller_work = false;
	delete_with(&w, &d, 1, 1000);
	CHECK_EQ(d.error, KERR_NONE);
	world_fini(&w);
}

static void
delete_under(enum zk_fault f, uint64_t nth, bool *happened)
{
	struct world w;
	struct admin_topic t = plain("t", 1, 1);
	struct admin_doomed d = { .name = SLICE_LIT("t") };

	world_init(&w, "");
	CHECK_EQ(create(&w, &t), KERR_NONE);
	zk_fake_fault(w.zk, f, nth);
	delete_with(&w, &d, 1, 1000);
	*happened = !zk_fake_faults_pending(w.zk);
	if (is_loss(f) || !*happened)
		CHECK_EQ(d.error, KERR_NONE);
	else
		CHECK_EQ(d.error, f == ZK_FAULT_SYSTEM_ERROR ? KERR_UNKNOWN_SERVER_ERROR : KERR_NOT_CONTROLLER);
	if (d.error != KERR_NONE && world_has(&w, "/brokers/topics/t")) {
		delete_with(&w, &d, 1, 1000);
		CHECK_EQ(d.error, KERR_NONE);
	}
	CHECK(!world_has(&w, "/brokers/topics/t"));
	world_fini(&w);
}

TEST(under_every_fault_a_deletion_can_be_repeated)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 20 && happened; nth++)
			delete_under(faults[f], nth, &happened);
		CHECK(nth > 3 && nth < 20);
	}
}

/* ---- partitions ---- */

static enum kerr
grow_with(struct world *w, struct admin_growth *g, bool validate_only, int32_t timeout_ms)
{
	struct admin_create_partitions c = { .topics = g, .ntopics = 1, .validate_only = validate_only, .timeout_ms = timeout_ms };
	unsigned before = w->done;

	world_job(w, &c.job);
	admin_create_partitions(w->admin, &c);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	return (g->outcome.error);
}

static enum kerr
grow(struct world *w, const char *name, int32_t count)
{
	struct admin_growth g = { .name = slice_str(name), .count = count };

	return (grow_with(w, &g, false, 1000));
}

TEST(a_topic_grows_and_keeps_what_it_has)
{
	struct world w;
	struct zk_topic_info info;

	world_init(&w, "");
	world_put(&w, "/brokers/topics/t",
	    "{\"version\":3,\"topic_id\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"partitions\":{\"0\":[1],\"1\":[1]},\"later\":\"kept\"}");
	world_turn(&w);
	CHECK_EQ(grow(&w, "t", 5), KERR_NONE);
	info = topic_in_zookeeper(&w, "t");
	CHECK_EQ(info.npartitions, 5);
	CHECK_EQ(info.id.b[15], 1);
	CHECK_EQ(info.partitions[4].replicas.v[0], 1);
	CHECK(has_text(world_node(&w, "/brokers/topics/t").data, "\"later\":\"kept\""));
	world_fini(&w);
}

TEST(new_partitions_go_where_they_are_told)
{
	struct world w;
	static const struct assign_broker two[] = { { 1, NULL }, { 2, NULL } };
	struct admin_replicas v[] = { { -1, BROKERS(2) }, { -1, BROKERS(1) } };
	struct admin_growth g = { .name = SLICE_LIT("t"), .count = 3, .assignments = v, .nassignments = 2 };

	world_init(&w, "");
	world_brokers(&w, two, 2);
	world_put(&w, "/brokers/topics/t", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
	world_turn(&w);
	CHECK_EQ(grow_with(&w, &g, true, 1000), KERR_NONE);
	CHECK_EQ(topic_in_zookeeper(&w, "t").npartitions, 1);
	CHECK_EQ(grow_with(&w, &g, false, 1000), KERR_NONE);
	CHECK_EQ(topic_in_zookeeper(&w, "t").partitions[1].replicas.v[0], 2);
	CHECK_EQ(topic_in_zookeeper(&w, "t").partitions[2].replicas.v[0], 1);
	world_fini(&w);
}

TEST(growth_that_cannot_be_is_refused)
{
	struct world w;
	struct admin_replicas one[] = { { -1, BROKERS(1) } }, stranger[] = { { -1, BROKERS(9) } }, twice[] = { { -1, BROKERS(1, 1) } };
	struct admin_replicas none[] = { { -1, NULL, 0 } };
	struct { struct admin_growth g; enum kerr error; } rows[] = {
		{ { .name = SLICE_LIT("t"), .count = 2 }, KERR_INVALID_PARTITIONS },
		{ { .name = SLICE_LIT("t"), .count = 1 }, KERR_INVALID_PARTITIONS },
		{ { .name = SLICE_LIT("t"), .count = -1 }, KERR_INVALID_PARTITIONS },
		{ { .name = SLICE_LIT("t"), .count = INT32_MAX }, KERR_INVALID_PARTITIONS },
		{ { .name = SLICE_LIT("never"), .count = 3 }, KERR_UNKNOWN_TOPIC_OR_PARTITION },
		{ { .name = SLICE_LIT(""), .count = 3 }, KERR_UNKNOWN_TOPIC_OR_PARTITION },
		{ { .name = SLICE_LIT("a/b"), .count = 3 }, KERR_UNKNOWN_TOPIC_OR_PARTITION },
		{ { .name = SLICE_LIT("dying"), .count = 3 }, KERR_INVALID_TOPIC_EXCEPTION },
		{ { .name = SLICE_LIT("moving"), .count = 3 }, KERR_REASSIGNMENT_IN_PROGRESS },
		{ { .name = SLICE_LIT("wide"), .count = 3 }, KERR_INVALID_REPLICATION_FACTOR },
		{ { .name = SLICE_LIT("broken"), .count = 3 }, KERR_UNKNOWN_SERVER_ERROR },
		{ { .name = SLICE_LIT("gap"), .count = 7 }, KERR_UNKNOWN_SERVER_ERROR },
		{ { .name = SLICE_LIT("t"), .count = 4, .assignments = one, .nassignments = 1 }, KERR_INVALID_REPLICA_ASSIGNMENT },
		{ { .name = SLICE_LIT("t"), .count = 3, .assignments = stranger, .nassignments = 1 }, KERR_INVALID_REPLICA_ASSIGNMENT },
		{ { .name = SLICE_LIT("t"), .count = 3, .assignments = twice, .nassignments = 1 }, KERR_INVALID_REPLICA_ASSIGNMENT },
		{ { .name = SLICE_LIT("t"), .count = 3, .assignments = none, .nassignments = 1 }, KERR_INVALID_REPLICA_ASSIGNMENT },
		{ { .name = SLICE_LIT("t"), .count = 3, .assignments = none, .nassignments = 0 }, KERR_INVALID_REPLICA_ASSIGNMENT },
	};

	world_init(&w, "");
	w.no_controller_work = true;
	world_put(&w, "/brokers/topics/t", "{\"version\":3,\"partitions\":{\"0\":[1],\"1\":[1]}}");
	world_put(&w, "/brokers/topics/dying", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
	world_put(&w, "/admin/delete_topics/dying", "");
	world_put(&w, "/brokers/topics/moving", "{\"version\":3,\"partitions\":{\"0\":[1]},\"adding_replicas\":{\"0\":[1]}}");
	world_put(&w, "/brokers/topics/wide", "{\"version\":3,\"partitions\":{\"0\":[1,2]}}");
	world_put(&w, "/brokers/topics/gap", "{\"version\":3,\"partitions\":{\"0\":[1],\"5\":[1]}}");
	world_put(&w, "/brokers/topics/broken", "{\"version\":3,\"partitions\":7}");
	for (size_t i = 0; i < NELEM(rows); i++) {
		(void)grow_with(&w, &rows[i].g, false, 0);
		unit_check(rows[i].g.outcome.error == rows[i].error, __FILE__, __LINE__, "row %zu: %s, not %s", i,
		    kerr_name(rows[i].g.outcome.error), kerr_name(rows[i].error));
		CHECK(rows[i].error == KERR_UNKNOWN_SERVER_ERROR || rows[i].g.outcome.message != NULL);
	}
	CHECK_EQ(topic_in_zookeeper(&w, "t").npartitions, 2);
	world_fini(&w);
}

static void
grow_under(enum zk_fault f, uint64_t nth, bool *happened)
{
	struct world w;
	enum kerr k;

	world_init(&w, "");
	world_put(&w, "/brokers/topics/t", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
	world_turn(&w);
	zk_fake_fault(w.zk, f, nth);
	k = grow(&w, "t", 3);
	*happened = !zk_fake_faults_pending(w.zk);
	if (is_loss(f) || !*happened)
		CHECK_EQ(k, KERR_NONE);
	else if (k != KERR_NONE)
		CHECK_EQ(k, f == ZK_FAULT_SYSTEM_ERROR ? KERR_UNKNOWN_SERVER_ERROR : KERR_NOT_CONTROLLER);
	CHECK_EQ(topic_in_zookeeper(&w, "t").npartitions, k == KERR_NONE ? 3 : 1);
	world_fini(&w);
}

TEST(under_every_fault_growth_is_done_or_not_as_the_answer_says)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 20 && happened; nth++)
			grow_under(faults[f], nth, &happened);
		CHECK(nth > 3 && nth < 20);
	}
}

static void
ignore_result(void *ctx, const struct zk_result *r)
{
	(void)ctx;
	(void)r;
}

TEST(growth_does_not_undo_what_somebody_else_wrote_meanwhile)
{
	for (int turns = 0; turns < 30; turns++) {
		struct world w;
		struct admin_growth g = { .name = SLICE_LIT("t"), .count = 3 };
		struct admin_create_partitions c = { .topics = &g, .ntopics = 1, .timeout_ms = 0 };
		uint32_t n;

		world_init(&w, "");
		w.no_controller_work = true;
		world_put(&w, "/brokers/topics/t", "{\"version\":3,\"partitions\":{\"0\":[1]}}");
		world_job(&w, &c.job);
		admin_create_partitions(w.admin, &c);
		for (int i = 0; i < turns && w.done == 0; i++) {
			(void)loop_turn(w.loop, 0);
			(void)loop_turn(w.net, 0);
		}
		if (w.done == 0 && topic_in_zookeeper(&w, "t").npartitions == 1)
			zk_set(w.user, "/brokers/topics/t", slice_str("{\"version\":3,\"partitions\":{\"0\":[1],\"1\":[1],\"2\":[1],\"3\":[1]}}"),
			    world_node(&w, "/brokers/topics/t").version, ignore_result, NULL);
		world_turn(&w);
		n = topic_in_zookeeper(&w, "t").npartitions;
		CHECK((n == 4 && g.outcome.error == KERR_INVALID_PARTITIONS) || (n == 3 && g.outcome.error == KERR_REQUEST_TIMED_OUT));
		world_fini(&w);
	}
}

/* ---- automatic creation ---- */

static enum kerr
auto_create(struct world *w, const char *name)
{
	struct slice s = slice_str(name);
	enum kerr k = KERR_NONE;

	admin_auto_create(w->admin, &s, 1, &k);
	return (k);
}

TEST(a_topic_asked_for_is_made_once)
{
	struct world w;

	world_init(&w, "num.partitions=2\n");
	CHECK_EQ(auto_create(&w, "t"), KERR_LEADER_NOT_AVAILABLE);
	CHECK_EQ(auto_create(&w, "t"), KERR_LEADER_NOT_AVAILABLE);	/* not Java's UNKNOWN: librdkafka gives up a topic that it hears that of */
	CHECK_EQ(auto_create(&w, "u"), KERR_LEADER_NOT_AVAILABLE);
	world_turn(&w);
	CHECK_EQ(topic_in_zookeeper(&w, "t").npartitions, 2);
	CHECK_EQ(topic_in_zookeeper(&w, "u").npartitions, 2);
	CHECK_EQ(auto_create(&w, "t"), KERR_LEADER_NOT_AVAILABLE);	/* the image knows it by now; who asks has not looked */
	world_turn(&w);
	world_fini(&w);
}

TEST(a_topic_that_cannot_be_made_automatically_says_why_at_once)
{
	struct world w;

	world_init(&w, "");
	CHECK_EQ(auto_create(&w, "a b"), KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(auto_create(&w, ""), KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(auto_create(&w, "a.b"), KERR_LEADER_NOT_AVAILABLE);
	world_turn(&w);
	CHECK_EQ(auto_create(&w, "a_b"), KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(auto_create(&w, "__consumer_offsets"), KERR_INVALID_REPLICATION_FACTOR);	/* offsets.topic.replication.factor is 3 */
	world_fini(&w);
	world_init(&w, "default.replication.factor=2\n");
	CHECK_EQ(auto_create(&w, "t"), KERR_INVALID_REPLICATION_FACTOR);
	world_turn(&w);
	CHECK(!world_has(&w, "/brokers/topics/t"));
	world_fini(&w);
}

/* Clients ask for their coordinator ten times a second. */
TEST(the_operator_hears_once_that_there_are_too_few_brokers_for_groups)
{
	struct assign_broker two[] = { { 1, NULL }, { 2, NULL } };
	struct world w;

	world_init(&w, "");
	for (int i = 0; i < 100; i++)
		CHECK_EQ(auto_create(&w, "__consumer_offsets"), KERR_INVALID_REPLICATION_FACTOR);
	CHECK_EQ(w.warnings, 1);
	world_brokers(&w, two, 2);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(auto_create(&w, "__consumer_offsets"), KERR_INVALID_REPLICATION_FACTOR);
	CHECK_EQ(w.warnings, 2);
	world_fini(&w);
}

TEST(internal_topics_get_their_own_settings)
{
	struct world w;

	world_init(&w, "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=7\ntransaction.state.log.replication.factor=1\n"
	    "transaction.state.log.min.isr=1\n");
	CHECK_EQ(auto_create(&w, "__consumer_offsets"), KERR_LEADER_NOT_AVAILABLE);
	CHECK_EQ(auto_create(&w, "__transaction_state"), KERR_LEADER_NOT_AVAILABLE);
	world_turn(&w);
	CHECK_EQ(topic_in_zookeeper(&w, "__consumer_offsets").npartitions, 7);
	CHECK_EQ(topic_in_zookeeper(&w, "__transaction_state").npartitions, 50);
	CHECK(has_text(world_node(&w, "/config/topics/__consumer_offsets").data, "\"segment.bytes\":\"104857600\""));
	CHECK(has_text(world_node(&w, "/config/topics/__transaction_state").data, "\"unclean.leader.election.enable\":\"false\""));
	world_fini(&w);
}

/* 300000 of them would fit into the bytes of a node, and sorting them in takes minutes of the loop that the session lives on. */
TEST(a_topic_with_endless_settings_is_refused_at_once)
{
	struct admin_topic t = plain("a", 1, 1);
	struct config_wish *v;
	struct world w;

	world_init(&w, "");
	t.configs = v = ARENA_ARRAY(&w.arena, struct config_wish, LIMIT_WISHES_MAX + 1);
	t.nconfigs = LIMIT_WISHES_MAX + 1;
	for (int32_t i = 0; i < t.nconfigs; i++)
		v[i] = (struct config_wish){ slice_str(arena_printf(&w.arena, "%05x", t.nconfigs - i)), SLICE_LIT(""), 0 };
	CHECK_EQ(create(&w, &t), KERR_INVALID_CONFIG);
	CHECK(has_text(t.outcome.message, "at most"));
	world_fini(&w);
}

TEST(names_that_come_twice_are_found)
{
	static const struct slice names[] = { SLICE_LIT("b"), SLICE_LIT("a"), SLICE_LIT("b"), SLICE_LIT(""), SLICE_LIT("b"), SLICE_LIT("") };
	static const enum admin_mention want[] = { ADMIN_FIRST_OF_SEVERAL, ADMIN_UNIQUE, ADMIN_FURTHER, ADMIN_FIRST_OF_SEVERAL, ADMIN_FURTHER,
	    ADMIN_FURTHER };
	enum admin_mention got[NELEM(names)];

	admin_find_repeated(names, NELEM(names), got);
	for (size_t i = 0; i < NELEM(names); i++)
		CHECK_EQ(got[i], want[i]);
}

UNIT_MAIN("admin/topics", T(a_topic_gets_its_settings_and_an_id), T(minus_one_means_the_brokers_own_numbers),
    T(a_topic_that_cannot_be_is_refused_and_leaves_nothing), T(a_topic_that_the_image_knows_exists),
    T(an_assignment_by_hand_is_taken_as_it_is), T(a_bad_assignment_by_hand_is_refused), T(validating_writes_nothing_and_shows_everything),
    T(without_time_to_wait_the_topic_is_made_all_the_same), T(the_answer_waits_for_leaders_and_no_longer_than_asked),
    T(a_client_that_leaves_is_not_waited_for), T(the_topics_of_a_request_collide_with_each_other),
    T(many_topics_of_one_request_are_all_made), T(under_every_fault_creation_ends_and_its_answer_is_true),
    T(somebody_elses_topic_is_not_taken_for_ours), T(without_a_controller_nothing_is_made), T(stopping_ends_every_job),
    T(a_deleted_topic_is_gone_when_the_answer_comes), T(a_deletion_already_asked_for_is_waited_for),
    T(under_every_fault_a_deletion_can_be_repeated), T(a_topic_grows_and_keeps_what_it_has), T(new_partitions_go_where_they_are_told),
    T(growth_that_cannot_be_is_refused), T(under_every_fault_growth_is_done_or_not_as_the_answer_says),
    T(growth_does_not_undo_what_somebody_else_wrote_meanwhile), T(a_topic_asked_for_is_made_once),
    T(a_topic_that_cannot_be_made_automatically_says_why_at_once), T(the_operator_hears_once_that_there_are_too_few_brokers_for_groups),
    T(internal_topics_get_their_own_settings), T(a_topic_with_endless_settings_is_refused_at_once), T(names_that_come_twice_are_found))
