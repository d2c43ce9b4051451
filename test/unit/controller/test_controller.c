/* SPDX-License-Identifier: Apache-2.0
 *
 * The controller on a ZooKeeper tree in memory, with a channel that answers at once: what stands in ZooKeeper and what brokers are told.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "controller/context.h"
#include "controller/controller.h"
#include "test/unit/unit.h"
#include "wire/walker.h"
#include "zk/fake.h"
#include "zk/json.h"
#include "zk/paths.h"

/* ---- a world with one broker ---- */

struct world {
	struct clock_manual clock;
	struct random_seeded random;
	struct loop	*loop;
	struct zk_fake	*fake;
	struct zk	*zk;		/* the controller's session, which also holds the registration */
	struct zk	*user;		/* somebody who makes topics */
	struct controller *c;
	struct zk_registrar *registrar;
	struct zk_listener listener;
	struct strbuf	 told;		/* every request, a line each */
	unsigned	 foreign, channels;
	int32_t		 observed;
	enum kerr	 stop_answer;
	bool		 all_online;	/* ... NONE instead */
	char		 offline[64];	/* LeaderAndIsr for this partition ("t-0") answers KAFKA_STORAGE_ERROR; the others are stale */
	bool		 stopped;
	bool		 mute;		/* what the broker is sent from now on, it does not answer */
};

struct test_channel {
	struct controller_channel channel;
	struct world *w;
	STAILQ_HEAD(, controller_message) queue;
	struct task task;
	bool	busy;
};

static void
told_leader_and_isr(struct world *w, struct controller_message *m)
{
	const struct wire_leader_and_isr_request *rq = m->request.leader_and_isr;
	struct wire_leader_and_isr_response *rs = WIRE_NEW(&m->arena, leader_and_isr_response);

	m->request.leader_and_isr_response = rs;
	rs->topics.n = rq->topic_states.n;
	rs->topics.v = WIRE_NEW_ARRAY(&m->arena, leader_and_isr_response_topic_error, rs->topics.n);
	for (int32_t i = 0; i < rq->topic_states.n; i++) {
		int32_t n = rq->topic_states.v[i].partition_states.n;

		rs->topics.v[i].partition_errors.n = n;
		rs->topics.v[i].partition_errors.v = WIRE_NEW_ARRAY(&m->arena, leader_and_isr_response_partition_error, n);
		for (int32_t j = 0; j < n; j++) {
			int32_t id = rq->topic_states.v[i].partition_states.v[j].partition_index;
			char name[64];

			str_format(name, sizeof(name), "%.*s-%d", (int)rq->topic_states.v[i].topic_name.len, rq->topic_states.v[i].topic_name.p, id);
			rs->topics.v[i].partition_errors.v[j].partition_index = id;
			rs->topics.v[i].partition_errors.v[j].error_code = strcmp(name, w->offline) == 0 ? KERR_KAFKA_STORAGE_ERROR :
			    w->all_online ? KERR_NONE : KERR_STALE_CONTROLLER_EPOCH;
		}
	}
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		for (int32_t j = 0; j < rq->topic_states.v[i].partition_states.n; j++) {
			const struct wire_leader_and_isr_request_partition_state *s = &rq->topic_states.v[i].partition_states.v[j];

			strbuf_add(&w->told, "lisr %.*s-%d leader=%d epoch=%d isr=%d%s\n", (int)rq->topic_states.v[i].topic_name.len,
			    rq->topic_states.v[i].topic_name.p, s->partition_index, s->leader, s->leader_epoch, s->isr.n, s->is_new ? " new" : "");
		}
}

static void
told_metadata(struct world *w, const struct wire_update_metadata_request *rq)
{
	strbuf_add(&w->told, "um brokers=%d\n", rq->live_brokers.n);
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		for (int32_t j = 0; j < rq->topic_states.v[i].partition_states.n; j++)
			strbuf_add(&w->told, "um %.*s-%d leader=%d%s\n", (int)rq->topic_states.v[i].topic_name.len, rq->topic_states.v[i].topic_name.p,
			    rq->topic_states.v[i].partition_states.v[j].partition_index, rq->topic_states.v[i].partition_states.v[j].leader,
			    rq->topic_states.v[i].partition_states.v[j].offline_replicas.n > 0 ? " offline" : "");
}

static void
told_stop(struct world *w, struct controller_message *m)
{
	const struct wire_stop_replica_request *rq = m->request.stop_replica;
	struct wire_stop_replica_response *rs = WIRE_NEW(&m->arena, stop_replica_response);

	rs->partition_errors.v = WIRE_NEW_ARRAY(&m->arena, stop_replica_response_partition_error, 100);
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		for (int32_t j = 0; j < rq->topic_states.v[i].partition_states.n; j++) {
			const struct wire_stop_replica_request_partition_state *s = &rq->topic_states.v[i].partition_states.v[j];

			strbuf_add(&w->told, "stop %.*s-%d epoch=%d%s\n", (int)rq->topic_states.v[i].topic_name.len, rq->topic_states.v[i].topic_name.p,
			    s->partition_index, s->leader_epoch, s->delete_partition ? " delete" : "");
			rs->partition_errors.v[rs->partition_errors.n++].error_code = s->delete_partition ? (int16_t)w->stop_answer : 0;
		}
	m->request.stop_replica_response = rs;
}

static void
channel_run(struct task *task)
{
	struct test_channel *ch = CONTAINER_OF(task, struct test_channel, task);
	struct controller_message *m = STAILQ_FIRST(&ch->queue);

	ch->busy = false;
	if (m == NULL || ch->w->mute)
		return;
	STAILQ_REMOVE_HEAD(&ch->queue, link);
	switch (m->request.kind) {
	case CONTROL_LEADER_AND_ISR:
		told_leader_and_isr(ch->w, m);
		break;
	case CONTROL_UPDATE_METADATA:
		told_metadata(ch->w, m->request.update_metadata);
		break;
	case CONTROL_STOP_REPLICA:
		told_stop(ch->w, m);
		break;
	case CONTROL_ALTER_DIRS:
		break;
	}
	if (m->answered != NULL)
		m->answered(m, m->ctx);
	controller_message_free(&m);
	if (!STAILQ_EMPTY(&ch->queue)) {
		ch->busy = true;
		loop_post(ch->w->loop, &ch->task);
	}
}

static void
channel_send(struct controller_channel *c, struct controller_message *m)
{
	struct test_channel *ch = CONTAINER_OF(c, struct test_channel, channel);

	STAILQ_INSERT_TAIL(&ch->queue, m, link);
	if (!ch->busy) {
		ch->busy = true;
		ch->task.fn = channel_run;
		loop_post(ch->w->loop, &ch->task);
	}
}

static void
channel_free(struct task *task)
{
	free(CONTAINER_OF(task, struct test_channel, task));
}

static void
channel_close(struct controller_channel *c)
{
	struct test_channel *ch = CONTAINER_OF(c, struct test_channel, channel);
	struct controller_message *m;

	while ((m = STAILQ_FIRST(&ch->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&ch->queue, link);
		controller_message_free(&m);
	}
	ch->w->channels--;
	ch->task.fn = channel_free;
	if (!ch->busy)
		free(ch);
}

static struct controller_channel *
channel_open(void *ctx, const struct zk_broker_entry *e)
{
	struct world *w = ctx;
	struct test_channel *ch;

	if (e->info.id != 1)
		return (NULL);
	ch = xcalloc(1, sizeof(*ch));
	ch->channel = (struct controller_channel){ channel_send, channel_close };
	ch->w = w;
	STAILQ_INIT(&ch->queue);
	w->channels++;
	return (&ch->channel);
}

static void
observed(void *ctx, int32_t id)
{
	((struct world *)ctx)->observed = id;
}

static void
foreign(void *ctx, int32_t id)
{
	(void)id;
	((struct world *)ctx)->foreign++;
}

static void
registered(void *ctx, enum err e, int64_t epoch, const struct errbuf *why)
{
	(void)ctx;
	(void)epoch;
	if (e != OK && e != ERR_ZK_EXPIRED)
		fprintf(stderr, "registration: %s\n", why->text);
}

static void
world_register(struct world *w)
{
	struct zk_endpoint ep = { "PLAINTEXT", ZK_PLAINTEXT, "127.0.0.1", 9092 };
	struct zk_broker_info info = { .id = 1, .version = 5, .endpoints = &ep, .nendpoints = 1, .jmx_port = -1 };

	zk_registrar_register(w->registrar, &info, false, registered, w);
}

static void
session_event(struct zk_listener *l, enum zk_session_event e)
{
	struct world *w = CONTAINER_OF(l, struct world, listener);

	if (e == ZK_EXPIRED)
		world_register(w);	/* waits for the next session */
}

static void
ignore_step(void *ctx, enum err e, const struct errbuf *why)
{
	(void)ctx;
	(void)e;
	(void)why;
}

static void
ignore_result(void *ctx, const struct zk_result *r)
{
	(void)ctx;
	(void)r;
}

static void
world_init(struct world *w)
{
	struct loop_options lopt = { .name = "test" };

	memset(w, 0, sizeof(*w));
	clock_manual_init(&w->clock, 1700000000000);
	random_seeded_init(&w->random, unit_seed());
	lopt.clock = &w->clock.clock;
	w->told = (struct strbuf)STRBUF_INIT;
	w->observed = -2;
	if (loop_new(&lopt, &w->loop, NULL) != OK)
		abort();
	w->fake = zk_fake_new(&w->clock.clock);
	w->user = zk_fake_client(w->fake, w->loop);
	w->zk = zk_fake_client(w->fake, w->loop);
	zk_create_top_level_paths(w->user, ignore_step, NULL);
	zk_fake_settle(w->loop);
	w->registrar = zk_registrar_new(w->zk, 1);
	w->listener.fn = session_event;
	zk_listen(w->zk, &w->listener);
	world_register(w);
	zk_fake_settle(w->loop);
}

static void
world_start_slowly(struct world *w)
{
	struct controller_options opt = {
	    .loop = w->loop, .zk = w->zk, .broker_id = 1, .clock = &w->clock.clock, .random = &w->random.random, .diag = NULL,
	    .delete_topic_enable = true, .channel_open = channel_open, .observed = observed, .foreign_broker = foreign, .ctx = w,
	};

	w->c = controller_new(&opt);
	controller_start(w->c);
}

static void
world_start(struct world *w)
{
	world_start_slowly(w);
	zk_fake_settle(w->loop);
}

/* Until nothing happens any more, timers of up to ten seconds included. */
static void
world_settle(struct world *w)
{
	for (int i = 0; i < 100; i++) {
		zk_fake_settle(w->loop);
		clock_manual_advance_ns(&w->clock, 100 * INT64_C(1000000));
	}
	zk_fake_settle(w->loop);
}

static void
stopped(void *ctx)
{
	((struct world *)ctx)->stopped = true;
}

static void
world_fini(struct world *w)
{
	if (w->c != NULL) {
		controller_stop(w->c, stopped, w);
		world_settle(w);
		CHECK(w->stopped);
		controller_free(&w->c);
	}
	CHECK_EQ(w->channels, 0);
	zk_unlisten(w->zk, &w->listener);
	zk_registrar_free(&w->registrar);
	zk_close(&w->zk);
	zk_close(&w->user);
	zk_fake_settle(w->loop);
	zk_fake_free(&w->fake);
	loop_free(&w->loop);
	strbuf_fini(&w->told);
}

static void
forget(struct world *w)
{
	strbuf_fini(&w->told);
	w->told = (struct strbuf)STRBUF_INIT;
}

static bool
told(const struct world *w, const char *line)
{
	return (strstr(strbuf_str(&w->told), line) != NULL);
}

static void
make_topic(struct world *w, const char *name, uint32_t partitions, int32_t replica, bool with_id)
{
	struct zk_topic_partition p[16];
	struct zk_topic_info info = { .partitions = p, .npartitions = partitions };
	struct arena a;

	arena_init(&a, 1 << 20);
	if (with_id)
		info.id = uuid_random(&w->random.random);
	for (uint32_t i = 0; i < partitions; i++)
		p[i] = (struct zk_topic_partition){ .id = (int32_t)i, .replicas = { &replica, 1 } };
	zk_create(w->user, zk_path_topic(name).s, zk_topic_encode(&a, &info), ZK_PERSISTENT, ignore_result, NULL);
	arena_fini(&a);
}

struct finder { const char *path; bool found; char data[512]; int32_t version; int64_t czxid; };

static void
find_node(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct finder *f = ctx;

	if (strcmp(path, f->path) != 0)
		return;
	f->found = true;
	f->version = stat->version;
	f->czxid = stat->czxid;
	str_format(f->data, sizeof(f->data), "%.*s", (int)data.len, data.p == NULL ? "" : (const char *)data.p);
}

static struct finder
node(struct world *w, const char *path)
{
	struct finder f = { .path = path };

	zk_tree_walk(zk_fake_tree(w->fake), find_node, &f);
	return (f);
}

static bool
exists(struct world *w, const char *path)
{
	return (node(w, path).found);
}

/* The state node as a structure; leader -99 when it is not there. */
static struct zk_partition_state
state(struct world *w, struct arena *a, const char *topic, int32_t partition)
{
	struct finder f = node(w, zk_path_partition_state(topic, partition).s);
	struct zk_partition_state s = { .leader = -99 };

	if (f.found && zk_partition_state_decode(a, slice_str(arena_strndup(a, f.data, strlen(f.data))), &s, NULL) != OK)
		s.leader = -98;
	return (s);
}

/* ---- tests ---- */

TEST(the_first_broker_becomes_controller_and_hears_of_itself)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	CHECK(controller_active(w.c));
	CHECK_EQ(controller_id(w.c), 1);
	CHECK_EQ(w.observed, 1);
	CHECK(told(&w, "um brokers=1\n"));
	CHECK(exists(&w, "/controller"));
	CHECK_STR(node(&w, "/controller_epoch").data, "1");
	CHECK(exists(&w, "/feature"));
	world_fini(&w);
}

TEST(a_broker_that_advertises_other_addresses_is_told_of_to_all)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	for (int round = 0; round < 3; round++) {	/* a watch is for one change */
		forget(&w);
		zk_set(w.user, "/brokers/ids/1", SLICE_LIT("{\"version\":5,\"host\":\"h\",\"port\":1,\"jmx_port\":-1,\"endpoints\":[\"PLAINTEXT://h:1\","
		    "\"OTHER://h:2\"],\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\",\"OTHER\":\"PLAINTEXT\"}}"), ZK_ANY_VERSION, ignore_result, NULL);
		world_settle(&w);
		CHECK(told(&w, "um brokers=1\n"));
	}
	world_fini(&w);
}

TEST(a_topic_made_in_zookeeper_gets_states_and_a_leader)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	world_start(&w);
	forget(&w);
	make_topic(&w, "t", 3, 1, true);
	world_settle(&w);
	for (int32_t i = 0; i < 3; i++) {
		struct zk_partition_state s = state(&w, &a, "t", i);

		CHECK_EQ(s.leader, 1);
		CHECK_EQ(s.leader_epoch, 0);
		CHECK_EQ(s.controller_epoch, 1);
		CHECK_EQ(s.isr.n, 1);
	}
	CHECK(told(&w, "lisr t-0 leader=1 epoch=0 isr=1 new\n"));
	CHECK(told(&w, "lisr t-2 leader=1 epoch=0 isr=1 new\n"));
	CHECK(told(&w, "um t-1 leader=1\n"));
	world_fini(&w);
	arena_fini(&a);
}

TEST(topics_that_stand_already_are_served_again_after_a_restart)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	make_topic(&w, "fresh", 1, 1, false);
	zk_fake_settle(w.loop);
	world_start(&w);
	CHECK_EQ(state(&w, &a, "fresh", 0).leader, 1);
	CHECK(strstr(node(&w, "/brokers/topics/fresh").data, "topic_id") != NULL);	/* an old topic got its id */
	controller_stop(w.c, stopped, &w);
	world_settle(&w);
	controller_free(&w.c);
	w.stopped = false;
	forget(&w);
	world_start(&w);
	CHECK(told(&w, "lisr fresh-0 leader=1 epoch=0 isr=1\n"));	/* not new, same epoch */
	CHECK_STR(node(&w, "/controller_epoch").data, "2");
	CHECK_EQ(state(&w, &a, "fresh", 0).controller_epoch, 1);
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_topic_grows)
{
	struct world w;
	struct arena a;
	int32_t one = 1;
	struct zk_topic_partition p[2] = { { .id = 0, .replicas = { &one, 1 } }, { .id = 1, .replicas = { &one, 1 } } };
	struct zk_topic_info info = { .partitions = p, .npartitions = 2 };

	arena_init(&a, 1 << 20);
	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 1, 1, true);
	world_settle(&w);
	forget(&w);
	zk_set(w.user, "/brokers/topics/t", zk_topic_encode(&a, &info), ZK_ANY_VERSION, ignore_result, NULL);
	world_settle(&w);
	CHECK_EQ(state(&w, &a, "t", 1).leader, 1);
	CHECK(told(&w, "lisr t-1 leader=1 epoch=0 isr=1 new\n"));
	CHECK(!told(&w, "lisr t-0"));
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_topic_is_deleted_with_everything_that_belongs_to_it)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 2, 1, true);
	make_topic(&w, "other", 1, 1, true);
	zk_create(w.user, "/config/topics/t", SLICE_LIT("{\"version\":1,\"config\":{}}"), ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	forget(&w);
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	zk_create(w.user, "/admin/delete_topics/never-was", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(!exists(&w, "/brokers/topics/t"));
	CHECK(!exists(&w, "/config/topics/t"));
	CHECK(!exists(&w, "/admin/delete_topics/t"));
	CHECK(!exists(&w, "/admin/delete_topics/never-was"));
	CHECK(exists(&w, "/brokers/topics/other/partitions/0/state"));
	CHECK(told(&w, "um t-0 leader=-2\n"));
	CHECK(told(&w, "stop t-1 epoch=-2\n"));
	CHECK(told(&w, "stop t-1 epoch=-2 delete\n"));
	/* The name is free again. */
	forget(&w);
	make_topic(&w, "t", 1, 1, true);
	world_settle(&w);
	CHECK(told(&w, "lisr t-0 leader=1 epoch=0 isr=1 new\n"));
	world_fini(&w);
}

TEST(a_replica_that_cannot_be_deleted_keeps_the_request)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 1, 1, true);
	world_settle(&w);
	w.stop_answer = KERR_KAFKA_STORAGE_ERROR;
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(exists(&w, "/admin/delete_topics/t"));
	CHECK(exists(&w, "/brokers/topics/t"));
	/* The next controller tries again. */
	w.stop_answer = KERR_NONE;
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK(controller_active(w.c));
	CHECK(!exists(&w, "/brokers/topics/t"));
	CHECK(!exists(&w, "/admin/delete_topics/t"));
	world_fini(&w);
}

TEST(a_deletion_whose_broker_goes_before_it_answers_begins_again)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 2, 1, true);
	world_settle(&w);
	w.mute = true;
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(exists(&w, "/brokers/topics/t"));
	w.mute = false;
	zk_delete(w.user, "/brokers/ids/1", ZK_ANY_VERSION, ignore_result, NULL);
	zk_fake_settle(w.loop);
	world_register(&w);
	world_settle(&w);
	CHECK(controller_active(w.c));
	CHECK(!exists(&w, "/brokers/topics/t"));
	CHECK(!exists(&w, "/admin/delete_topics/t"));
	world_fini(&w);
}

TEST(a_deletion_that_failed_is_tried_again_with_the_next_one)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 2, 1, true);
	make_topic(&w, "u", 1, 1, true);
	world_settle(&w);
	w.stop_answer = KERR_KAFKA_STORAGE_ERROR;
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(exists(&w, "/brokers/topics/t"));
	w.stop_answer = KERR_NONE;
	zk_create(w.user, "/admin/delete_topics/u", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(!exists(&w, "/brokers/topics/t"));
	CHECK(!exists(&w, "/brokers/topics/u"));
	CHECK(!exists(&w, "/admin/delete_topics/t"));
	world_fini(&w);
}

static void
notify_dir(struct world *w, const char *json)
{
	zk_create(w->user, "/log_dir_event_notification/log_dir_event_", slice_str(json), ZK_PERSISTENT_SEQUENTIAL, ignore_result, NULL);
}

static unsigned
dir_notes(struct world *w)
{
	unsigned n = 0;
	char path[128];

	for (int i = 0; i < 20; i++) {
		str_format(path, sizeof(path), "/log_dir_event_notification/log_dir_event_%010d", i);
		n += exists(w, path);
	}
	return (n);
}

TEST(a_failed_log_directory_is_asked_about_and_its_partitions_lose_their_leader)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 2, 1, true);
	world_settle(&w);
	str_format(w.offline, sizeof(w.offline), "t-0");
	forget(&w);
	notify_dir(&w, "{\"version\":1,\"broker\":1,\"event\":1}");
	world_settle(&w);
	CHECK_EQ(dir_notes(&w), 0);
	/* Both were asked about with the epoch they had; the one that is offline is led by nobody, and keeps its ISR. */
	CHECK(told(&w, "lisr t-0 leader=1 epoch=0 isr=1\n"));
	CHECK(told(&w, "lisr t-1 leader=1 epoch=0 isr=1\n"));
	CHECK(told(&w, "stop t-0"));
	CHECK(!told(&w, "stop t-1"));
	CHECK(told(&w, "um t-0 leader=-1 offline\n"));
	CHECK(!told(&w, "um t-1 leader=-1"));
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"leader\":-1") != NULL);
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"leader_epoch\":1") != NULL);
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"isr\":[1]") != NULL);
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/1/state").data, "\"leader\":1") != NULL);
	/* The second time there is nothing new. */
	forget(&w);
	notify_dir(&w, "{\"version\":1,\"broker\":1,\"event\":1}");
	world_settle(&w);
	CHECK_EQ(dir_notes(&w), 0);
	CHECK(!told(&w, "stop t-0"));
	CHECK_EQ(node(&w, "/brokers/topics/t/partitions/0/state").version, 1);
	/* A new registration with the directory back: it leads again. */
	w.offline[0] = '\0';
	w.all_online = true;
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK(controller_active(w.c));
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"leader\":1") != NULL);
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"leader_epoch\":2") != NULL);
	world_fini(&w);
}

TEST(a_directory_that_was_away_at_the_start_is_found_by_the_first_leader_and_isr)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 2, 1, true);
	world_settle(&w);
	str_format(w.offline, sizeof(w.offline), "t-1");
	forget(&w);
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK(controller_active(w.c));
	CHECK(told(&w, "um t-1 leader=-1 offline\n"));
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/1/state").data, "\"leader\":-1") != NULL);
	CHECK(strstr(node(&w, "/brokers/topics/t/partitions/0/state").data, "\"leader\":1") != NULL);
	/* Its topic cannot be deleted now, and is when the directory is back. */
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK(exists(&w, "/brokers/topics/t"));
	w.offline[0] = '\0';
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK(!exists(&w, "/brokers/topics/t"));
	world_fini(&w);
}

TEST(a_notification_that_cannot_be_understood_is_dropped)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 1, 1, true);
	world_settle(&w);
	forget(&w);
	notify_dir(&w, "nonsense");
	notify_dir(&w, "{\"version\":1,\"broker\":77,\"event\":1}");
	world_settle(&w);
	CHECK_EQ(dir_notes(&w), 0);
	CHECK(controller_active(w.c));
	CHECK(!told(&w, "lisr"));
	world_fini(&w);
}

TEST(nodes_that_are_no_topics_do_not_disturb_the_others)
{
	char path[1000] = "/brokers/topics/";
	struct arena a;
	struct world w;

	arena_init(&a, 1 << 20);
	memset(path + strlen(path), 'x', 900);
	world_init(&w);
	for (int round = 0; round < 2; round++) {	/* while it rules, and at a failover */
		zk_create(w.user, round == 0 ? path : "/brokers/topics/not a topic", slice_str("{}"), ZK_PERSISTENT, ignore_result, NULL);
		path[300] = '\0';	/* one whose own path fits, but no message or directory */
		zk_create(w.user, path, slice_str("{\"version\":2,\"partitions\":{\"0\":[1]},\"adding_replicas\":{},\"removing_replicas\":{}}"),
		    ZK_PERSISTENT, ignore_result, NULL);
		if (round == 0)
			world_start(&w);
		make_topic(&w, round == 0 ? "t" : "u", 1, 1, true);
		world_settle(&w);
		CHECK(controller_active(w.c));
		CHECK_EQ(state(&w, &a, round == 0 ? "t" : "u", 0).leader, 1);
	}
	CHECK(!told(&w, "xxx"));
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_failover_waits_for_the_registration_of_its_own_broker)
{
	struct zk_partition_state s;
	struct arena a;
	struct world w;

	arena_init(&a, 1 << 20);
	world_init(&w);
	world_start(&w);
	make_topic(&w, "t", 1, 1, true);
	world_settle(&w);
	zk_unlisten(w.zk, &w.listener);		/* nobody registers again for a while */
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK(exists(&w, "/controller"));
	CHECK(!controller_active(w.c));
	s = state(&w, &a, "t", 0);
	CHECK_EQ(s.leader, 1);
	CHECK_EQ(s.leader_epoch, 0);
	zk_listen(w.zk, &w.listener);
	world_register(&w);
	world_settle(&w);
	CHECK(controller_active(w.c));
	s = state(&w, &a, "t", 0);
	CHECK_EQ(s.leader, 1);
	CHECK_EQ(s.leader_epoch, 0);
	world_fini(&w);
	arena_fini(&a);
}

static void
never(void *ctx)
{
	(void)ctx;
	CHECK(false);
}

/* What a broker does that ends while ZooKeeper is away: it does not wait for the resignation. */
TEST(a_controller_can_be_freed_at_any_operation)
{
	for (int turns = 0; turns < 120; turns++) {
		struct world w;

		world_init(&w);
		make_topic(&w, "t", 2, 1, false);
		make_topic(&w, "d", 1, 1, true);
		zk_create(w.user, "/admin/delete_topics/d", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
		zk_fake_settle(w.loop);
		world_start_slowly(&w);
		for (int i = 0; i < turns; i++)
			loop_turn(w.loop, 0);
		zk_fake_disconnect(w.zk);
		controller_stop(w.c, never, &w);
		controller_free(&w.c);
		world_fini(&w);
	}
}

TEST(a_foreign_broker_is_reported_and_gets_nothing)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	world_start(&w);
	forget(&w);
	zk_create(w.user, "/brokers/ids/7",
	    SLICE_LIT("{\"version\":5,\"host\":\"h\",\"port\":1,\"jmx_port\":-1,\"endpoints\":[\"PLAINTEXT://h:1\"]}"), ZK_EPHEMERAL, ignore_result, NULL);
	world_settle(&w);
	CHECK_EQ(w.foreign, 1);
	CHECK(!told(&w, "um brokers=2"));
	make_topic(&w, "elsewhere", 1, 7, true);
	world_settle(&w);
	CHECK_EQ(state(&w, &a, "elsewhere", 0).leader, -99);	/* nobody can lead it */
	CHECK(!told(&w, "lisr elsewhere-0"));
	world_fini(&w);
	arena_fini(&a);
}

/* Partition 0 of a topic t with these two replicas, in this state: written by somebody before our controller began. */
static void
left_behind(struct world *w, struct arena *a, int32_t *replicas, const struct zk_partition_state *s)
{
	struct zk_topic_partition p = { .id = 0, .replicas = { replicas, 2 } };
	struct zk_topic_info info = { .partitions = &p, .npartitions = 1, .id = uuid_random(&w->random.random) };

	zk_create(w->user, "/brokers/topics/t", zk_topic_encode(a, &info), ZK_PERSISTENT, ignore_result, NULL);
	zk_create_recursive(w->user, "/brokers/topics/t/partitions/0/state", zk_partition_state_encode(a, s), ignore_result, NULL);
	zk_fake_settle(w->loop);
}

/* t-0 on 7 and 1, of which 7 alone has what was acknowledged, and is dead. */
static void
bereave(struct world *w, struct arena *a)
{
	int32_t both[] = { 7, 1 }, seven[] = { 7 };
	struct zk_partition_state s = { .leader = 7, .leader_epoch = 4, .isr = { seven, 1 } };

	left_behind(w, a, both, &s);
	world_start(w);
}

TEST(a_dead_leader_is_replaced_from_the_isr)
{
	struct world w;
	struct arena a;
	int32_t both[] = { 7, 1 };
	struct zk_partition_state s = { .controller_epoch = 0, .leader = 7, .leader_epoch = 4, .isr = { both, 2 } };

	arena_init(&a, 1 << 20);
	world_init(&w);
	left_behind(&w, &a, both, &s);
	world_start(&w);
	s = state(&w, &a, "t", 0);
	CHECK_EQ(s.leader, 1);
	CHECK_EQ(s.isr.n, 1);
	CHECK_GE(s.leader_epoch, 5);
	CHECK(told(&w, "um t-0 leader=1 offline\n"));
	world_fini(&w);
	arena_fini(&a);
}

TEST(the_largest_leader_epoch_that_a_state_node_can_have_does_not_overflow)
{
	struct world w;
	struct arena a;
	int32_t both[] = { 7, 1 };
	struct zk_partition_state s = { .controller_epoch = 0, .leader = 7, .leader_epoch = INT32_MAX, .isr = { both, 2 } };

	arena_init(&a, 1 << 20);
	world_init(&w);
	left_behind(&w, &a, both, &s);
	world_start(&w);
	s = state(&w, &a, "t", 0);
	CHECK_EQ(s.leader, 1);
	CHECK_EQ(s.leader_epoch, INT32_MAX);
	world_fini(&w);
	arena_fini(&a);
}

TEST(acknowledged_records_are_not_given_up_without_permission)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	bereave(&w, &a);
	CHECK_EQ(state(&w, &a, "t", 0).leader, -1);	/* no leader: 7 has what was acknowledged */
	CHECK_EQ(state(&w, &a, "t", 0).isr.v[0], 7);
	/* With the operator's permission the next failover elects. */
	zk_create(w.user, "/config/topics/t", SLICE_LIT("{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}"), ZK_PERSISTENT,
	    ignore_result, NULL);
	zk_fake_settle(w.loop);
	zk_fake_expire(w.zk);
	world_settle(&w);
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "t", 0).leader_recovery_state, 1);
	world_fini(&w);
	arena_fini(&a);
}

/* ---- elections that are asked for ---- */

struct asked {
	struct controller_election el;
	struct controller_election_item item[3];
	unsigned done;
};

static void
on_elected(struct controller_election *el)
{
	CONTAINER_OF(el, struct asked, el)->done++;
}

static void
ask(struct world *w, struct asked *a, bool unclean, const char *topic, int32_t partition)
{
	*a = (struct asked){ .el = { .loop = w->loop, .unclean = unclean, .items = a->item, .nitems = 1, .done = on_elected } };
	a->item[0] = (struct controller_election_item){ .topic = slice_str(topic), .partition = partition };
	controller_elect(w->c, &a->el);
}

static enum kerr
elect(struct world *w, bool unclean, const char *topic, int32_t partition)
{
	struct asked a;

	ask(w, &a, unclean, topic, partition);
	world_settle(w);
	CHECK_EQ(a.done, 1);
	CHECK(a.item[0].error != KERR_NONE || a.item[0].leader == 1);
	return (a.item[0].error);
}

TEST(a_leader_can_be_asked_for)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	bereave(&w, &a);
	make_topic(&w, "u", 1, 1, true);
	make_topic(&w, "v", 1, 7, true);	/* never had anybody */
	world_settle(&w);
	CHECK_EQ(elect(&w, false, "u", 0), KERR_ELECTION_NOT_NEEDED);
	CHECK_EQ(elect(&w, true, "u", 0), KERR_ELECTION_NOT_NEEDED);
	CHECK_EQ(elect(&w, false, "v", 0), KERR_PREFERRED_LEADER_NOT_AVAILABLE);
	CHECK_EQ(elect(&w, true, "v", 0), KERR_ELIGIBLE_LEADERS_NOT_AVAILABLE);
	CHECK_EQ(elect(&w, false, "u", 1), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(elect(&w, false, "no such", 0), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(elect(&w, false, "nobody", -1), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(elect(&w, false, "t", 0), KERR_PREFERRED_LEADER_NOT_AVAILABLE);
	CHECK_EQ(state(&w, &a, "t", 0).leader, -1);
	forget(&w);
	CHECK_EQ(elect(&w, true, "t", 0), KERR_NONE);
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "t", 0).leader_recovery_state, 1);
	CHECK(told(&w, "lisr t-0 leader=1"));
	CHECK(told(&w, "um t-0 leader=1"));
	CHECK_EQ(elect(&w, true, "t", 0), KERR_ELECTION_NOT_NEEDED);
	CHECK_EQ(elect(&w, false, "t", 0), KERR_PREFERRED_LEADER_NOT_AVAILABLE);
	world_fini(&w);
	arena_fini(&a);
}

static void
on_listed(struct controller_reassignments *q)
{
	q->loop = NULL;
}

TEST(partitions_that_are_being_reassigned_are_listed)
{
	struct world w;
	struct arena a;
	struct controller_reassignments q = { .done = on_listed };

	arena_init(&a, 1 << 20);
	world_init(&w);
	q.arena = &a;
	world_start(&w);
	make_topic(&w, "u", 2, 1, true);
	zk_create(w.user, "/brokers/topics/t", SLICE_LIT("{\"version\":3,\"topic_id\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"partitions\":{\"0\":[1],\"1\":[1,7]},"
	    "\"adding_replicas\":{\"1\":[7]},\"removing_replicas\":{}}"), ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	q.loop = w.loop;
	controller_list_reassignments(w.c, &q);
	world_settle(&w);
	CHECK(q.loop == NULL);
	CHECK_EQ(q.error, KERR_NONE);
	REQUIRE(q.list != NULL);
	CHECK(slice_eq_str(q.list->topic, "t"));
	CHECK_EQ(q.list->partition, 1);
	CHECK_EQ(q.list->replicas.n, 2);
	CHECK_EQ(q.list->adding.n, 1);
	CHECK_EQ(q.list->adding.v[0], 7);
	CHECK_EQ(q.list->removing.n, 0);
	CHECK(q.list->next == NULL);
	world_fini(&w);
	arena_fini(&a);
}

/* ---- reassignments ---- */

struct shift {
	struct controller_move mv;
	struct controller_move_item item[4];
	int32_t target[4][4];
	unsigned done;
};

static void
on_moved(struct controller_move *mv)
{
	CONTAINER_OF(mv, struct shift, mv)->done++;
}

/* Another item; targets end with -2, cancel when there is none. */
static void
shift_add(struct shift *s, const char *topic, int32_t partition, const int32_t *target)
{
	struct controller_move_item *it = &s->item[s->mv.nitems];

	*it = (struct controller_move_item){ .topic = slice_str(topic), .partition = partition, .cancel = target == NULL };
	it->target.v = s->target[s->mv.nitems++];
	for (; target != NULL && *target != -2; target++)
		it->target.v[it->target.n++] = *target;
}

static void
shift_send(struct world *w, struct shift *s)
{
	s->mv.loop = w->loop;
	s->mv.items = s->item;
	s->mv.done = on_moved;
	controller_move(w->c, &s->mv);
}

static enum kerr
move_to(struct world *w, const char *topic, int32_t partition, const int32_t *target)
{
	struct shift s = { .done = 0 };

	shift_add(&s, topic, partition, target);
	shift_send(w, &s);
	world_settle(w);
	CHECK_EQ(s.done, 1);
	CHECK_EQ(s.mv.error, KERR_NONE);
	return (s.item[0].error);
}
#define TO(...)	((const int32_t[]){ __VA_ARGS__, -2 })

/* What the topic's node says of partition 0: "replicas +adding -removing". */
static const char *
assigned(struct world *w, struct arena *a, const char *topic)
{
	struct finder f = node(w, zk_path_topic(topic).s);
	struct strbuf b = STRBUF_INIT;
	struct zk_topic_info info;
	const char *out;

	if (!f.found || zk_topic_decode(a, slice_str(arena_strndup(a, f.data, strlen(f.data))), &info, NULL) != OK || info.npartitions == 0)
		return ("?");
	for (uint32_t i = 0; i < info.partitions[0].replicas.n; i++)
		strbuf_add(&b, "%d ", info.partitions[0].replicas.v[i]);
	for (uint32_t i = 0; i < info.partitions[0].adding.n; i++)
		strbuf_add(&b, "+%d ", info.partitions[0].adding.v[i]);
	for (uint32_t i = 0; i < info.partitions[0].removing.n; i++)
		strbuf_add(&b, "-%d ", info.partitions[0].removing.v[i]);
	out = arena_strndup(a, strbuf_str(&b), strlen(strbuf_str(&b)));
	strbuf_fini(&b);
	return (out);
}

/* A topic of one partition as a cluster of more brokers left it. */
static void
leave(struct world *w, const char *topic, const char *replicas, const char *adding, const char *removing, const char *isr, int32_t leader)
{
	char path[128], data[512];

	str_format(data, sizeof(data), "{\"version\":3,\"topic_id\":\"AAAAAAAAAAAAAAAAAAAAAQ\",\"partitions\":{\"0\":[%s]},\"adding_replicas\":{%s},"
	    "\"removing_replicas\":{%s}}", replicas, adding, removing);
	zk_create(w->user, zk_path_topic(topic).s, slice_str(data), ZK_PERSISTENT, ignore_result, NULL);
	str_format(path, sizeof(path), "/brokers/topics/%s/partitions/0/state", topic);
	str_format(data, sizeof(data), "{\"controller_epoch\":0,\"leader\":%d,\"version\":1,\"leader_epoch\":4,\"isr\":[%s]}", leader, isr);
	zk_create_recursive(w->user, path, slice_str(data), ignore_result, NULL);
	zk_fake_settle(w->loop);
}

static unsigned
moving(struct world *w, struct arena *a)
{
	struct controller_reassignments q = { .done = on_listed, .arena = a, .loop = w->loop };
	unsigned n = 0;

	controller_list_reassignments(w->c, &q);
	world_settle(w);
	CHECK_EQ(q.error, KERR_NONE);
	for (const struct controller_reassignment *row = q.list; row != NULL; row = row->next)
		n++;
	return (n);
}

TEST(dead_brokers_leave_an_assignment)
{
	struct world w;
	struct arena a;
	int32_t before;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "7,1,8", "", "", "1,7,8", 1);
	leave(&w, "u", "7,1", "", "", "1,7", 7);
	world_start(&w);
	before = state(&w, &a, "t", 0).leader_epoch;
	forget(&w);
	CHECK_EQ(move_to(&w, "t", 0, TO(1)), KERR_NONE);
	CHECK_STR(assigned(&w, &a, "t"), "1 ");
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "t", 0).leader_epoch, before + 1);
	CHECK_EQ(state(&w, &a, "t", 0).isr.n, 1);
	CHECK(told(&w, "lisr t-0 leader=1"));
	CHECK(told(&w, "um t-0 leader=1\n"));
	CHECK(!told(&w, "stop"));
	CHECK_EQ(node(&w, "/brokers/topics/t").version, 2);
	CHECK_EQ(move_to(&w, "u", 0, TO(1, 7)), KERR_NONE);	/* only the order */
	CHECK_STR(assigned(&w, &a, "u"), "1 7 ");
	CHECK_EQ(move_to(&w, "t", 0, TO(1)), KERR_NONE);	/* nothing: written all the same, as in Java */
	CHECK_EQ(node(&w, "/brokers/topics/t").version, 3);
	CHECK_EQ(state(&w, &a, "t", 0).leader_epoch, before + 2);
	CHECK_EQ(moving(&w, &a), 0);
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_reassignment_that_cannot_be_done_is_refused)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "7,1", "", "", "1", 1);
	world_start(&w);
	CHECK_EQ(move_to(&w, "t", 0, TO(-2)), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(move_to(&w, "t", 0, TO(1, -1)), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(move_to(&w, "t", 0, TO(1, 1)), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(move_to(&w, "t", 0, TO(1, 9)), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(move_to(&w, "nobody", 0, TO(9)), KERR_INVALID_REPLICA_ASSIGNMENT);
	CHECK_EQ(move_to(&w, "nobody", 0, TO(1)), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(move_to(&w, "no such", 0, TO(1)), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(move_to(&w, "t", 1, TO(1)), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(move_to(&w, "t", -1, TO(1)), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(move_to(&w, "t", 0, NULL), KERR_NO_REASSIGNMENT_IN_PROGRESS);
	CHECK_EQ(move_to(&w, "nobody", 0, NULL), KERR_NO_REASSIGNMENT_IN_PROGRESS);
	CHECK_EQ(node(&w, "/brokers/topics/t").version, 0);
	zk_create(w.user, "/admin/delete_topics/t", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	CHECK_EQ(move_to(&w, "t", 0, TO(1)), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_STR(assigned(&w, &a, "t"), "7 1 ");
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_reassignment_to_a_dead_replica_waits_and_can_be_taken_back)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "1,7", "", "", "1", 1);
	world_start(&w);
	forget(&w);
	CHECK_EQ(move_to(&w, "t", 0, TO(7)), KERR_NONE);	/* dead, but a replica already */
	CHECK_STR(assigned(&w, &a, "t"), "7 1 -1 ");
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK(told(&w, "lisr t-0 leader=1"));
	CHECK_EQ(moving(&w, &a), 1);
	zk_fake_expire(w.zk);					/* the next reign finds it */
	world_settle(&w);
	CHECK_EQ(moving(&w, &a), 1);
	CHECK_EQ(move_to(&w, "t", 0, NULL), KERR_NONE);
	CHECK_STR(assigned(&w, &a, "t"), "7 1 ");		/* not the first order: nothing tells it any more */
	CHECK_EQ(moving(&w, &a), 0);
	CHECK_EQ(move_to(&w, "t", 0, NULL), KERR_NO_REASSIGNMENT_IN_PROGRESS);
	CHECK(!told(&w, "stop"));
	world_fini(&w);
	arena_fini(&a);
}

TEST(a_replica_that_leaves_us_is_deleted)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "1,7", "", "", "7", 7);		/* all of it is on 7 */
	leave(&w, "u", "7,1", "\"0\":[1]", "\"0\":[7]", "7", 7);
	world_start(&w);
	forget(&w);
	CHECK_EQ(state(&w, &a, "t", 0).leader, -1);
	CHECK_EQ(move_to(&w, "t", 0, TO(7)), KERR_NONE);
	CHECK_STR(assigned(&w, &a, "t"), "7 ");
	CHECK_EQ(state(&w, &a, "t", 0).leader, -1);
	CHECK(told(&w, "stop t-0"));
	forget(&w);
	CHECK_EQ(moving(&w, &a), 1);
	CHECK_EQ(move_to(&w, "u", 0, NULL), KERR_NONE);	/* we were being added */
	CHECK_STR(assigned(&w, &a, "u"), "7 ");
	CHECK(told(&w, "stop u-0"));
	CHECK(told(&w, " delete\n"));
	CHECK_EQ(moving(&w, &a), 0);
	world_fini(&w);
	arena_fini(&a);
}

TEST(what_another_controller_began_is_finished)
{
	struct world w;
	struct arena a;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "1,7", "", "\"0\":[7]", "1,7", 7);
	leave(&w, "u", "1,7", "\"0\":[1]", "\"0\":[7]", "1,7", 7);
	leave(&w, "v", "1,7", "", "\"0\":[7]", "1", 1);
	zk_create(w.user, "/admin/delete_topics/v", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_start(&w);
	world_settle(&w);
	CHECK_STR(assigned(&w, &a, "t"), "1 ");
	CHECK_STR(assigned(&w, &a, "u"), "1 ");
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "u", 0).leader, 1);
	CHECK(!exists(&w, "/brokers/topics/v"));	/* its deletion waited for it */
	CHECK_EQ(moving(&w, &a), 0);
	world_fini(&w);
	arena_fini(&a);
}

static bool
either(const char *s, const char *a, const char *b)
{
	return (strcmp(s, a) == 0 || strcmp(s, b) == 0);
}

/* Three reassignments under one fault: in the end they are done, or the asker was told that nobody rules. */
static bool
moves_story(enum zk_fault fault, uint64_t nth)
{
	struct world w;
	struct arena a;
	struct shift s = { .done = 0 };
	bool happened;

	arena_init(&a, 1 << 20);
	world_init(&w);
	leave(&w, "t", "7,1", "", "", "1,7", 7);
	leave(&w, "u", "1,7", "", "", "1", 1);
	leave(&w, "v", "1,7", "", "\"0\":[1]", "1", 1);	/* waits for 7 */
	world_start(&w);
	forget(&w);
	shift_add(&s, "t", 0, TO(1));
	shift_add(&s, "u", 0, TO(7));
	shift_add(&s, "v", 0, NULL);
	zk_fake_fault(w.zk, fault, nth);
	shift_send(&w, &s);
	world_settle(&w);
	happened = !zk_fake_faults_pending(w.zk);
	CHECK_EQ(s.done, 1);
	CHECK(controller_active(w.c));
	if (fault == ZK_FAULT_LOSS_BEFORE || fault == ZK_FAULT_LOSS_AFTER || !happened)
		CHECK_EQ(s.mv.error, KERR_NONE);
	if (s.mv.error != KERR_NONE) {
		CHECK_EQ(s.mv.error, KERR_NOT_CONTROLLER);
		(void)move_to(&w, "t", 0, TO(1));
		(void)move_to(&w, "u", 0, TO(7));
		(void)move_to(&w, "v", 0, NULL);
	} else
		for (uint32_t i = 0; i < 3; i++)
			CHECK_EQ(s.item[i].error, KERR_NONE);
	CHECK_STR(assigned(&w, &a, "t"), "1 ");
	CHECK_STR(assigned(&w, &a, "u"), "7 1 -1 ");
	CHECK(either(assigned(&w, &a, "v"), "1 7 ", "7 1 "));
	CHECK_EQ(moving(&w, &a), 1);
	CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "u", 0).leader, 1);
	CHECK(told(&w, "lisr t-0 leader=1"));
	zk_tree_check(zk_fake_tree(w.fake));
	world_fini(&w);
	arena_fini(&a);
	return (happened);
}

TEST(a_reassignment_survives_a_fault_at_every_operation)
{
	static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER,
	    ZK_FAULT_SYSTEM_ERROR };

	for (size_t i = 0; i < NELEM(faults); i++) {
		uint64_t n = 1;

		while (moves_story(faults[i], n) && n < 1000)
			n++;
		CHECK_GE(n, 10);
		CHECK(n < 1000);
	}
}

TEST(who_asks_for_a_reassignment_is_answered_whenever_the_controller_goes)
{
	for (int turns = 0; turns < 40; turns++)
		for (int how = 0; how < 2; how++) {
			struct world w;
			struct arena a;
			struct shift s = { .done = 0 };

			arena_init(&a, 1 << 20);
			world_init(&w);
			leave(&w, "t", "7,1", "", "", "1", 1);
			world_start(&w);
			shift_add(&s, "t", 0, TO(1));
			shift_send(&w, &s);
			for (int i = 0; i < turns; i++)
				(void)loop_turn(w.loop, 0);
			if (how == 0)
				zk_fake_expire(w.zk);
			else
				controller_refuse_elections(w.c);
			world_settle(&w);
			CHECK_EQ(s.done, 1);
			CHECK(s.mv.error == KERR_NOT_CONTROLLER || s.item[0].error == KERR_NONE);
			CHECK(either(assigned(&w, &a, "t"), "1 ", "7 1 "));	/* never left half-way */
			CHECK_EQ(moving(&w, &a), 0);
			world_fini(&w);
			arena_fini(&a);
		}
}

TEST(who_asks_for_an_election_is_answered_whatever_happens)
{
	for (int turns = 0; turns < 20; turns++)
		for (int how = 0; how < 3; how++) {
			struct world w;
			struct arena a;
			struct asked x;

			arena_init(&a, 1 << 20);
			world_init(&w);
			bereave(&w, &a);
			ask(&w, &x, true, "t", 0);
			for (int i = 0; i < turns; i++)
				(void)loop_turn(w.loop, 0);
			if (how == 0)
				zk_fake_expire(w.zk);
			else if (how == 1)
				zk_fake_fault(w.zk, ZK_FAULT_LOSS_AFTER, 1);
			else
				controller_refuse_elections(w.c);
			world_settle(&w);
			CHECK_EQ(x.done, 1);
			CHECK(x.item[0].error == KERR_NONE || (how != 1 && x.item[0].error == KERR_NOT_CONTROLLER));
			CHECK_EQ(elect(&w, true, "t", 1), how == 2 ? KERR_NOT_CONTROLLER : KERR_UNKNOWN_TOPIC_OR_PARTITION);
			world_fini(&w);
			arena_fini(&a);
		}
}

TEST(a_permission_given_while_it_rules_counts_at_once)
{
	for (int of_topic = 0; of_topic < 2; of_topic++) {
		struct world w;
		struct arena a;

		arena_init(&a, 1 << 20);
		world_init(&w);
		bereave(&w, &a);
		controller_set_unclean_election(w.c, false);
		world_settle(&w);
		CHECK_EQ(state(&w, &a, "t", 0).leader, -1);
		if (of_topic) {
			zk_create(w.user, "/config/topics/t", SLICE_LIT("{\"version\":1,\"config\":{\"unclean.leader.election.enable\":\"true\"}}"),
			    ZK_PERSISTENT, ignore_result, NULL);
			zk_fake_settle(w.loop);
			controller_elect_again(w.c);
		} else
			controller_set_unclean_election(w.c, true);
		world_settle(&w);
		CHECK_EQ(state(&w, &a, "t", 0).leader, 1);
		CHECK_EQ(state(&w, &a, "t", 0).leader_recovery_state, 1);
		world_fini(&w);
		arena_fini(&a);
	}
}

TEST(another_controller_ends_our_reign)
{
	struct world w;

	world_init(&w);
	world_start(&w);
	zk_delete(w.user, "/controller", ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w.user, "/controller", SLICE_LIT("{\"version\":2,\"brokerid\":7,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}"), ZK_EPHEMERAL,
	    ignore_result, NULL);
	world_settle(&w);
	CHECK(!controller_active(w.c));
	CHECK_EQ(w.observed, 7);
	world_fini(&w);
}

/* The story of a topic under one fault at every operation: in the end everything stands as without it. */
static bool
story(enum zk_fault fault, uint64_t nth)
{
	struct world w;
	struct arena a;
	bool happened;

	arena_init(&a, 1 << 20);
	world_init(&w);
	make_topic(&w, "before", 2, 1, false);
	zk_fake_settle(w.loop);
	zk_fake_fault(w.zk, fault, nth);
	world_start(&w);
	world_settle(&w);
	make_topic(&w, "after", 2, 1, true);
	world_settle(&w);
	zk_create(w.user, "/admin/delete_topics/before", SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
	world_settle(&w);
	happened = !zk_fake_faults_pending(w.zk);
	CHECK(controller_active(w.c));
	CHECK_EQ(state(&w, &a, "after", 0).leader, 1);
	CHECK_EQ(state(&w, &a, "after", 1).leader, 1);
	CHECK(told(&w, "lisr after-1 leader=1"));
	CHECK(told(&w, "um after-1 leader=1"));
	CHECK(!exists(&w, "/brokers/topics/before"));
	CHECK(!exists(&w, "/admin/delete_topics/before"));
	CHECK(told(&w, "stop before-0 epoch=-2 delete"));
	zk_tree_check(zk_fake_tree(w.fake));
	world_fini(&w);
	arena_fini(&a);
	return (happened);
}

TEST(every_operation_survives_a_lost_connection_an_expiry_and_an_error)
{
	static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER,
	    ZK_FAULT_SYSTEM_ERROR };

	for (size_t i = 0; i < NELEM(faults); i++) {
		uint64_t n = 1;

		while (story(faults[i], n) && n < 1000)
			n++;
		CHECK_GE(n, 10);
		CHECK(n < 1000);
	}
}

static void
note_check(struct controller_check *k)
{
	k->broker_id = -100;		/* answered */
}

static enum kerr
ask_as(struct world *w, int32_t broker_id, int64_t broker_epoch)
{
	struct controller_check k = { .broker_id = broker_id, .broker_epoch = broker_epoch, .loop = w->loop, .done = note_check };

	controller_check_broker(w->c, &k);
	CHECK_EQ(k.broker_id, broker_id);	/* not from inside */
	zk_fake_settle(w->loop);
	CHECK_EQ(k.broker_id, -100);
	return (k.error);
}

TEST(who_asks_the_controller_is_known_by_id_and_epoch)
{
	struct world w;
	int64_t epoch;

	world_init(&w);
	world_start(&w);
	epoch = node(&w, "/brokers/ids/1").czxid;
	CHECK_EQ(ask_as(&w, 1, epoch), KERR_NONE);
	CHECK_EQ(ask_as(&w, 1, epoch + 1), KERR_STALE_BROKER_EPOCH);
	CHECK_EQ(ask_as(&w, 1, -1), KERR_STALE_BROKER_EPOCH);
	CHECK_EQ(ask_as(&w, 7, epoch), KERR_BROKER_ID_NOT_REGISTERED);
	CHECK_EQ(ask_as(&w, -1, -1), KERR_BROKER_ID_NOT_REGISTERED);
	zk_delete(w.user, "/controller", ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w.user, "/controller", SLICE_LIT("{\"version\":2,\"brokerid\":7,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}"), ZK_EPHEMERAL,
	    ignore_result, NULL);
	world_settle(&w);
	CHECK_EQ(ask_as(&w, 1, epoch), KERR_NOT_CONTROLLER);
	world_fini(&w);
}

TEST(only_listed_transitions_are_allowed)
{
	unsigned partitions = 0, replicas = 0;

	for (int f = 0; f < PARTITION_STATES_; f++)
		for (int t = 0; t < PARTITION_STATES_; t++)
			partitions += partition_move_allowed(f, t);
	for (int f = 0; f < REPLICA_STATES_; f++)
		for (int t = 0; t < REPLICA_STATES_; t++)
			replicas += replica_move_allowed(f, t);
	CHECK_EQ(partitions, 8);
	CHECK_EQ(replicas, 14);
	CHECK(!partition_move_allowed(PARTITION_ONLINE, PARTITION_NEW));
	CHECK(!partition_move_allowed(PARTITION_NONEXISTENT, PARTITION_ONLINE));
	CHECK(!replica_move_allowed(REPLICA_ONLINE, REPLICA_DELETION_STARTED));
	CHECK(!replica_move_allowed(REPLICA_DELETED, REPLICA_ONLINE));
}

UNIT_MAIN("controller",
    T(the_first_broker_becomes_controller_and_hears_of_itself),
    T(a_broker_that_advertises_other_addresses_is_told_of_to_all),
    T(a_topic_made_in_zookeeper_gets_states_and_a_leader),
    T(topics_that_stand_already_are_served_again_after_a_restart),
    T(a_topic_grows),
    T(a_topic_is_deleted_with_everything_that_belongs_to_it),
    T(a_replica_that_cannot_be_deleted_keeps_the_request),
    T(a_deletion_whose_broker_goes_before_it_answers_begins_again), T(a_deletion_that_failed_is_tried_again_with_the_next_one),
    T(a_failed_log_directory_is_asked_about_and_its_partitions_lose_their_leader),
    T(a_directory_that_was_away_at_the_start_is_found_by_the_first_leader_and_isr),
    T(a_notification_that_cannot_be_understood_is_dropped),
    T(nodes_that_are_no_topics_do_not_disturb_the_others),
    T(a_failover_waits_for_the_registration_of_its_own_broker),
    T(a_controller_can_be_freed_at_any_operation),
    T(a_foreign_broker_is_reported_and_gets_nothing),
    T(a_dead_leader_is_replaced_from_the_isr),
    T(acknowledged_records_are_not_given_up_without_permission), T(the_largest_leader_epoch_that_a_state_node_can_have_does_not_overflow),
    T(a_leader_can_be_asked_for), T(partitions_that_are_being_reassigned_are_listed),
    T(dead_brokers_leave_an_assignment), T(a_reassignment_that_cannot_be_done_is_refused), T(a_reassignment_to_a_dead_replica_waits_and_can_be_taken_back),
    T(a_replica_that_leaves_us_is_deleted), T(what_another_controller_began_is_finished), T(a_reassignment_survives_a_fault_at_every_operation),
    T(who_asks_for_a_reassignment_is_answered_whenever_the_controller_goes),
    T(who_asks_for_an_election_is_answered_whatever_happens), T(a_permission_given_while_it_rules_counts_at_once),
    T(another_controller_ends_our_reign),
    T(every_operation_survives_a_lost_connection_an_expiry_and_an_error),
    T(who_asks_the_controller_is_known_by_id_and_epoch),
    T(only_listed_transitions_are_allowed))
