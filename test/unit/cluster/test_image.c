/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/reclaim.h"
#include "cluster/cluster.h"
#include "test/unit/unit.h"

static const int32_t one[] = { 1 };

static struct image_partition
part(int32_t id, int32_t leader, int32_t epoch)
{
	return ((struct image_partition){ .id = id, .leader = leader, .leader_epoch = epoch, .nreplicas = 1, .nisr = 1,
	    .replicas = one, .isr = one });
}

static void
put(struct image_edit *e, const char *topic, uint8_t idbyte, int32_t partition, int32_t leader, int32_t epoch)
{
	struct image_partition p = part(partition, leader, epoch);
	struct uuid id = UUID_ZERO;

	id.b[3] = idbyte;
	cluster_edit_put_partitions(e, slice_str(topic), id, &p, 1);
}

TEST(an_empty_image_answers_every_question)
{
	struct cluster *c = cluster_new("y5lu0CmPQu6TvqqmHuwOuw");
	const struct image *im = cluster_read(c);

	CHECK_EQ(im->controller_id, -1);
	CHECK(image_topic(im, slice_str("t")) == NULL);
	CHECK(image_topic_by_id(im, UUID_ZERO) == NULL);
	CHECK(image_broker(im, 1) == NULL);
	CHECK_STR(cluster_id(c), "y5lu0CmPQu6TvqqmHuwOuw");
	cluster_free(&c);
}

TEST(brokers_are_replaced_as_a_whole)
{
	struct cluster *c = cluster_new("c");
	struct image_endpoint ep = { "PLAINTEXT", "127.0.0.1", 9092, 0 };
	struct image_broker b[2] = { { 7, "r1", 1, &ep }, { 3, NULL, 1, &ep } };
	struct image_edit *e = cluster_edit_begin(c);
	const struct image_broker *got;

	cluster_edit_set_brokers(e, b, 2);
	cluster_edit_set_controller(e, 3);
	cluster_edit_publish(&e);
	got = image_broker(cluster_read(c), 7);
	REQUIRE(got != NULL);
	CHECK_STR(got->rack, "r1");
	REQUIRE(image_broker_endpoint(got, "PLAINTEXT") != NULL);
	CHECK_EQ(image_broker_endpoint(got, "PLAINTEXT")->port, 9092);
	CHECK(image_broker_endpoint(got, "SSL") == NULL);
	CHECK_EQ(cluster_read(c)->brokers[0]->id, 3);
	e = cluster_edit_begin(c);
	cluster_edit_set_brokers(e, &b[1], 1);
	cluster_edit_set_brokers(e, &b[1], 1);
	cluster_edit_publish(&e);
	CHECK(image_broker(cluster_read(c), 7) == NULL);
	CHECK_EQ(cluster_read(c)->controller_id, 3);
	cluster_free(&c);
}

TEST(partitions_merge_into_their_topic)
{
	struct cluster *c = cluster_new("c");
	struct image_edit *e = cluster_edit_begin(c);
	const struct image_topic *t;

	put(e, "t", 9, 1, 5, 2);
	put(e, "t", 0, 0, 5, 1);
	put(e, "t", 0, 1, 6, 3);
	cluster_edit_publish(&e);
	t = image_topic(cluster_read(c), slice_str("t"));
	REQUIRE(t != NULL);
	CHECK_EQ(t->npartitions, 2);
	CHECK_EQ(t->id.b[3], 9);
	CHECK_EQ(image_partition(t, 1)->leader, 6);
	CHECK_EQ(image_partition(t, 1)->leader_epoch, 3);
	CHECK_EQ(image_partition(t, 0)->replicas[0], 1);
	CHECK(image_partition(t, 2) == NULL);
	CHECK(image_partition(t, -1) == NULL);
	CHECK(image_topic_by_id(cluster_read(c), t->id) == t);
	CHECK_EQ(cluster_read(c)->npartitions, 2);
	cluster_free(&c);
}

TEST(a_topic_goes_with_its_last_partition)
{
	struct cluster *c = cluster_new("c");
	struct image_edit *e = cluster_edit_begin(c);
	struct uuid id = UUID_ZERO;
	int32_t both[] = { 0, 5 };

	id.b[3] = 1;
	put(e, "t", 1, 0, 1, 1);
	put(e, "t", 1, 5, 1, 1);
	cluster_edit_publish(&e);
	CHECK_EQ(image_partition(image_topic(cluster_read(c), slice_str("t")), 5)->id, 5);	/* with a gap */
	e = cluster_edit_begin(c);
	cluster_edit_remove_partitions(e, slice_str("t"), both, 1);
	CHECK(image_topic(cluster_read(c), slice_str("t"))->npartitions == 2);			/* not before publish */
	cluster_edit_publish(&e);
	CHECK_EQ(image_topic(cluster_read(c), slice_str("t"))->npartitions, 1);
	e = cluster_edit_begin(c);
	cluster_edit_remove_partitions(e, slice_str("t"), both, 2);
	cluster_edit_remove_partitions(e, slice_str("no such topic"), both, 2);
	cluster_edit_publish(&e);
	CHECK(image_topic(cluster_read(c), slice_str("t")) == NULL);
	CHECK(image_topic_by_id(cluster_read(c), id) == NULL);
	CHECK_EQ(cluster_read(c)->ntopics, 0);
	CHECK_EQ(cluster_read(c)->npartitions, 0);
	cluster_free(&c);
}

TEST(a_recreated_topic_is_found_by_its_new_id_only)
{
	struct cluster *c = cluster_new("c");
	struct image_edit *e = cluster_edit_begin(c);
	struct uuid old = UUID_ZERO, new = UUID_ZERO;

	old.b[3] = 1;
	new.b[3] = 2;
	put(e, "t", 1, 0, 1, 1);
	cluster_edit_publish(&e);
	e = cluster_edit_begin(c);
	put(e, "t", 2, 0, 1, 0);
	cluster_edit_publish(&e);
	CHECK(image_topic_by_id(cluster_read(c), old) == NULL);
	CHECK(image_topic_by_id(cluster_read(c), new) != NULL);
	cluster_free(&c);
}

static bool
count_topics(void *ctx, const struct image_topic *t)
{
	(void)t;
	(*(int *)ctx)++;
	return (true);
}

TEST(thousands_of_topics_come_and_go_and_old_images_stay_whole)
{
	struct cluster *c = cluster_new("c");
	const struct image *before;
	struct image_edit *e;
	int32_t zero = 0;
	char name[32];
	int n = 0;

	for (int round = 0; round < 3; round++) {
		e = cluster_edit_begin(c);
		for (int i = 0; i < 2000; i++) {
			snprintf(name, sizeof(name), "topic-%d-%d", round, i);
			put(e, name, 0, 0, round, i);
		}
		cluster_edit_publish(&e);
	}
	before = cluster_read(c);
	image_topics(before, count_topics, &n);
	CHECK_EQ(n, 6000);
	e = cluster_edit_begin(c);
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "topic-1-%d", i);
		cluster_edit_remove_partitions(e, slice_str(name), &zero, 1);
	}
	cluster_edit_discard(&e);
	CHECK(cluster_read(c) == before);
	CHECK_EQ(image_partition(image_topic(before, slice_str("topic-1-77")), 0)->leader_epoch, 77);
	cluster_free(&c);
	reclaim_barrier();
}

static int told;

static void
changed(struct cluster_listener *l)
{
	(void)l;
	told++;
}

TEST(listeners_are_told_once_for_several_changes)
{
	struct loop_options opt = { .name = "test", .clock = clock_real() };
	struct loop *loop = NULL;
	struct cluster *c = cluster_new("c");
	struct cluster_listener l = { .changed = changed };
	struct image_edit *e;

	REQUIRE(loop_new(&opt, &loop, NULL) == OK);
	l.loop = loop;
	cluster_listen(c, &l);
	told = 0;
	for (int i = 0; i < 3; i++) {
		e = cluster_edit_begin(c);
		put(e, "t", 0, i, 1, 1);
		cluster_edit_publish(&e);
	}
	loop_turn(loop, 0);
	CHECK_EQ(told, 1);
	e = cluster_edit_begin(c);
	put(e, "t", 0, 9, 1, 1);
	cluster_edit_publish(&e);
	loop_turn(loop, 0);
	CHECK_EQ(told, 2);
	loop_free(&loop);
	cluster_free(&c);
	reclaim_barrier();
}

UNIT_MAIN("cluster/image",
    T(an_empty_image_answers_every_question),
    T(brokers_are_replaced_as_a_whole),
    T(partitions_merge_into_their_topic),
    T(a_topic_goes_with_its_last_partition),
    T(a_recreated_topic_is_found_by_its_new_id_only),
    T(thousands_of_topics_come_and_go_and_old_images_stay_whole),
    T(listeners_are_told_once_for_several_changes))
