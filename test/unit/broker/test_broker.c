/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker in one thread (world.h).  So a test decides at which step something happens: a stop, a lost session, an operation that fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/reclaim.h"
#include "config/password.h"
#include "test/unit/broker/world.h"
#include "zk/election.h"
#include "zk/session_record.h"

/* ---- tests ---- */

TEST(a_broker_starts_and_ends_and_leaves_nothing_behind)
{
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	CHECK(node_start(&n));
	CHECK(there(&w, "/brokers/ids/1"));
	CHECK(there(&w, "/controller"));
	CHECK(file_there("a", SESSION_RECORD_NAME));
	CHECK(strstr(strbuf_str(&w.said), "no.such.key") == NULL);	/* whoever read the file has said so */
	node_end(&n);
	CHECK(!there(&w, "/brokers/ids/1"));
	CHECK(!there(&w, "/controller"));
	CHECK(file_there("a", ".kafka_cleanshutdown"));
	CHECK(!file_there("a", SESSION_RECORD_NAME));
	world_fini(&w);
}

TEST(a_broker_can_be_stopped_at_every_step_of_its_start)
{
	bool complete = false;
	struct world w;
	struct node n;
	char dir[16];

	world_init(&w);
	for (int k = 0; k < 400 && !complete; k++) {
		snprintf(dir, sizeof(dir), "d%d", k % 3);	/* empty ones, and such that were loaded before */
		node_make(&n, &w, 1, dir);
		broker_start(n.broker);
		for (int i = 0; i < k; i++)
			if (!turn(&n))
				usleep(200);
		complete = n.started;
		CHECK(!n.ended);
		node_end(&n);
		CHECK(!there(&w, "/brokers/ids/1"));
	}
	CHECK(complete);
	world_fini(&w);
}

static void
session_fault(struct node *n, enum zk_fault kind, uint64_t at)
{
	broker_start(n->broker);
	while (n->session == NULL)
		turn(n);
	zk_fake_fault(n->session->own, kind, at);
	for (int i = 0; i < 20000 && !n->started && !n->ended; i++)
		if (!turn(n))
			idle(n);
}

/* A start with this fault at every operation in turn; survive: it must come up all the same. */
static void
start_with_faults(enum zk_fault kind, bool survive)
{
	bool pending = false;
	struct world w;
	struct node n;
	char dir[16];

	for (uint64_t k = 1; k < 400 && !pending; k++) {
		world_init(&w);
		w.skips = true;
		snprintf(dir, sizeof(dir), "d%d", (int)k);
		node_make(&n, &w, 1, dir);
		session_fault(&n, kind, k);
		if (!n.ended) {
			if (!n.started)
				fprintf(stderr, "neither up nor down after a fault at operation %" PRIu64 ":\n%s", k, strbuf_str(&w.said));
			CHECK(n.started);
			turn_for(&n, 5);
			pending = zk_fake_faults_pending(n.session->own);
			node_end(&n);
		} else {
			if (survive)
				fprintf(stderr, "fault at operation %" PRIu64 ": %s\n", k, n.why);
			CHECK(!survive);
			CHECK(n.failed != OK && n.why[0] != '\0');
			node_free(&n);
		}
		CHECK(!there(&w, "/brokers/ids/1"));
		world_fini(&w);
	}
	CHECK(pending);
}

TEST(a_connection_lost_before_any_operation_does_not_fail_a_start) { start_with_faults(ZK_FAULT_LOSS_BEFORE, true); }
TEST(a_connection_lost_after_any_operation_does_not_fail_a_start) { start_with_faults(ZK_FAULT_LOSS_AFTER, true); }
TEST(a_session_that_expires_during_a_start_ends_it_or_not_but_in_order) { start_with_faults(ZK_FAULT_EXPIRE_BEFORE, false); }
TEST(an_error_of_the_server_during_a_start_ends_it_or_not_but_in_order) { start_with_faults(ZK_FAULT_SYSTEM_ERROR, false); }

TEST(after_an_expired_session_the_broker_is_back_and_no_leadership_has_changed)
{
	static const char state[] = "/brokers/topics/t/partitions/0/state";
	struct finder before, after, f;
	int64_t old_owner;
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	make_topic(&w, "t", 1);
	REQUIRE(turn_until_node(&n, state, "\"leader\":1"));
	turn_for(&n, 20);
	REQUIRE(look(&w, state, &before));
	for (int round = 0; round < 3; round++) {
		REQUIRE(look(&w, "/brokers/ids/1", &f));
		old_owner = f.stat.ephemeral_owner;
		/* The registration is slow, so that the controller is elected first. */
		zk_fake_expire(n.session->own);
		turn_for(&n, 150);
		REQUIRE(look(&w, "/brokers/ids/1", &f));
		CHECK(f.stat.ephemeral_owner != old_owner);
		CHECK(there(&w, "/controller"));
		REQUIRE(look(&w, state, &after));
		CHECK_STR(before.data, after.data);
		CHECK_EQ(before.stat.version, after.stat.version);
	}
	CHECK(!n.ended && !n.must_stop);
	make_topic(&w, "later", 1);
	CHECK(turn_until_node(&n, "/brokers/topics/later/partitions/0/state", "\"leader\":1"));
	node_end(&n);
	world_fini(&w);
}

TEST(a_topic_made_while_the_session_expires_gets_its_log)
{
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	for (uint64_t k = 1; k < 30; k++) {
		char name[16], path[64];

		snprintf(name, sizeof(name), "t%d", (int)k);
		snprintf(path, sizeof(path), "%s-0/partition.metadata", name);
		zk_fake_fault(n.session->own, k % 2 == 0 ? ZK_FAULT_EXPIRE_BEFORE : ZK_FAULT_EXPIRE_AFTER, k);
		make_topic(&w, name, 1);
		for (int i = 0; i < 4000 && !file_there("a", path); i++)
			if (!turn(&n))
				usleep(200);
		CHECK(file_there("a", path));
	}
	CHECK(!n.must_stop);
	node_end(&n);
	world_fini(&w);
}

TEST(zookeeper_that_is_away_does_not_hold_up_an_end)
{
	int64_t began;
	struct world w;
	struct node n;

	world_init(&w);
	for (int round = 0; round < 3; round++) {
		node_make(&n, &w, 1, "a");
		REQUIRE(node_start(&n));
		if (round == 1)
			make_topic(&w, "t", 1);	/* something is under way */
		for (int i = 0; i < 3 && round == 1; i++)
			turn(&n);
		zk_fake_disconnect(n.session->own);
		if (round == 2)
			turn_for(&n, 30);
		w.skips = true;
		began = clock_mono_ns(&w.time.clock);
		broker_stop(n.broker);
		CHECK(turn_until(&n, &n.ended, 8000));
		CHECK(clock_mono_ns(&w.time.clock) - began < INT64_C(7000000000));
		CHECK(file_there("a", ".kafka_cleanshutdown"));
		if (round == 2)		/* it knew: who starts next may close what is left */
			CHECK(file_there("a", SESSION_RECORD_NAME));
		node_free(&n);
	}
	world_fini(&w);
}

/* What comes of a request on this connection: 1 an answer, 0 its end. */
static int
ask(struct node *n, int fd)
{
	static const uint8_t api_versions[] = { 0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 1, 0, 1, 'x' };
	uint8_t answer[4096];
	ssize_t got = -1;

	(void)!send(fd, api_versions, sizeof(api_versions), MSG_NOSIGNAL);
	for (int i = 0; i < 20000 && got < 0; i++) {
		if (!turn(n))
			usleep(200);
		got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (got < 0 && errno == ECONNRESET)
			got = 0;
	}
	return (got > 0 ? 1 : (int)got);
}

TEST(a_client_that_waits_for_zookeeper_does_not_hold_up_an_end)
{
	static const uint8_t create_topics[] = {
	    0, 0, 0, 37, 0, 19, 0, 2, 0, 0, 0, 1, 0, 1, 'x',			/* CreateTopics 2, correlation 1, client "x" */
	    0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,	/* one topic "t": a partition, a replica */
	    0x7f, 0xff, 0xff, 0xff, 0,						/* for ever */
	};
	struct world w;
	struct node n;
	int fd;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	turn_for(&n, 50);
	fd = dial(&n);
	zk_fake_disconnect(n.session->own);
	turn_for(&n, 20);
	CHECK_EQ(write(fd, create_topics, sizeof(create_topics)), sizeof(create_topics));
	turn_for(&n, 50);
	w.skips = true;
	broker_stop(n.broker);
	CHECK(turn_until(&n, &n.ended, 15000));
	node_free(&n);
	close(fd);
	world_fini(&w);
}

TEST(a_refused_produce_of_an_old_version_is_answered)
{
	static const uint8_t produce[] = {
	    0, 0, 0, 99, 0, 0, 0, 7, 0, 0, 0, 9, 0, 1, 'x',			/* Produce 7, correlation 9, client "x" */
	    0xff, 0xff, 0, 1, 0, 0, 3, 0xe8,					/* no transaction, acks 1, one second */
	    0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0,			/* topic "t", partition 0 */
	    0, 0, 0, 61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 49, 0xff, 0xff, 0xff, 0xff, 2, [103 - 1] = 0 };	/* one batch of format 2 */
	uint8_t answer[128];
	struct world w;
	struct node n;
	ssize_t got;
	int fd;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	make_topic(&w, "t", 1);
	REQUIRE(turn_until_node(&n, "/brokers/topics/t/partitions/0/state", "\"leader\":1"));
	turn_for(&n, 50);
	replica_manager_refuse_appends(n.broker->replicas);	/* the leader is known, so later versions name it */
	fd = dial(&n);
	CHECK_EQ(write(fd, produce, sizeof(produce)), sizeof(produce));
	turn_for(&n, 100);
	got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
	REQUIRE(got >= 25);
	CHECK_EQ(answer[7], 9);					/* correlation */
	CHECK_EQ(answer[24], KERR_NOT_LEADER_OR_FOLLOWER);
	close(fd);
	node_end(&n);
	world_fini(&w);
}

TEST(a_foreign_controller_ends_the_broker)
{
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	zk_delete(w.user, "/controller", ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w.user, "/controller", slice_str("{\"version\":2,\"brokerid\":7,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}"), ZK_EPHEMERAL,
	    ignore_result, NULL);
	CHECK(turn_until(&n, &n.ended, 10000));
	CHECK(n.must_stop);
	CHECK(strstr(n.why, "broker 7 holds /controller") != NULL);
	node_free(&n);
	world_fini(&w);
}

static void
refused(struct world *w, const char *dir, const char *words)
{
	struct node n;

	node_make(&n, w, 1, dir);
	CHECK(!node_start(&n));
	CHECK(n.ended && n.failed != OK);
	if (strstr(n.why, words) == NULL)
		fprintf(stderr, "it said: %s\n", n.why);
	CHECK(strstr(n.why, words) != NULL);
	node_free(&n);
}

TEST(another_broker_a_kraft_migration_and_a_taken_id_refuse_the_start)
{
	static const char other[] = "{\"version\":5,\"host\":\"h\",\"port\":1,\"jmx_port\":-1,\"timestamp\":\"1\",\"endpoints\":[\"PLAINTEXT://h:1\"],"
	    "\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"},\"features\":{}}";
	struct world w;

	world_init(&w);
	make_paths(&w);
	zk_create(w.user, "/brokers/ids/7", slice_str(other), ZK_EPHEMERAL, ignore_result, NULL);
	zk_fake_settle(w.control);
	refused(&w, "a", "broker 7 is registered");
	zk_delete(w.user, "/brokers/ids/7", ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w.user, "/brokers/ids/1", slice_str(other), ZK_EPHEMERAL, ignore_result, NULL);
	zk_fake_settle(w.control);
	refused(&w, "a", "in use");
	zk_delete(w.user, "/brokers/ids/1", ZK_ANY_VERSION, ignore_result, NULL);
	zk_create(w.user, ZK_MIGRATION, slice_str("{\"version\":0,\"kraft_controller_id\":3000,\"kraft_controller_epoch\":1,"
	    "\"kraft_metadata_offset\":1,\"kraft_metadata_epoch\":1}"), ZK_PERSISTENT, ignore_result, NULL);
	zk_fake_settle(w.control);
	refused(&w, "a", "KRaft");
	world_fini(&w);
}

TEST(a_directory_of_another_cluster_is_refused_and_stays_as_it_is)
{
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	node_end(&n);
	world_fini(&w);
	world_init(&w);		/* another ZooKeeper, another cluster id */
	refused(&w, "a", "cluster");
	CHECK(!there(&w, "/brokers/ids/1"));
	CHECK(file_there("a", ".kafka_cleanshutdown"));
	world_fini(&w);
}

TEST(a_start_that_fails_keeps_the_record_of_the_run_before)
{
	struct zk_session_ident ident = { .id = 77, .timeout_ms = 18000 };
	struct errbuf eb = ERRBUF_INIT;
	char dir[600];
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	node_end(&n);
	snprintf(dir, sizeof(dir), "%s/a", unit_tmpdir());
	REQUIRE(session_record_write(dir, &ident, 1, "x", "fake:1", &eb) == OK);
	node_make(&n, &w, 1, "a");
	broker_start(n.broker);
	while (!there(&w, "/brokers/ids/1") && strstr(strbuf_str(&w.said), "logs") == NULL && n.session == NULL)
		turn(&n);
	node_end(&n);
	CHECK(file_there("a", SESSION_RECORD_NAME));
	world_fini(&w);
}

TEST(advertised_listeners_changed_while_it_runs_reach_the_registration)
{
	static const char config[] = "{\"version\":1,\"config\":{\"advertised.listeners\":\"PLAINTEXT://example.org:1234\"}}";
	struct world w;
	struct finder f;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	REQUIRE(look(&w, "/brokers/ids/1", &f));
	CHECK(strstr(f.data, "127.0.0.1") != NULL);
	zk_create(w.user, "/config/brokers/1", slice_str(config), ZK_PERSISTENT, ignore_result, NULL);
	zk_create(w.user, "/config/changes/config_change_", slice_str("{\"version\":2,\"entity_path\":\"brokers/1\"}"), ZK_PERSISTENT_SEQUENTIAL,
	    ignore_result, NULL);
	CHECK(turn_until_node(&n, "/brokers/ids/1", "example.org"));
	zk_fake_expire(n.session->own);
	turn_for(&n, 100);
	CHECK(turn_until_node(&n, "/brokers/ids/1", "example.org"));
	node_end(&n);
	world_fini(&w);
}

#define TWO_NAMES	"\"listener.security.protocol.map\":\"PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT\","

TEST(listeners_come_move_and_go_while_it_runs)
{
	struct world w;
	struct finder f;
	struct node n;
	char words[64];
	uint16_t port;
	int a, b, c = 0;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	a = dial(&n);
	put_config(&w, "brokers/1", TWO_NAMES "\"listeners\":\"PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:0\"");
	REQUIRE(turn_until_node(&n, "/brokers/ids/1", "OTHER://127.0.0.1:"));
	port = port_of(&n, "OTHER");
	snprintf(words, sizeof(words), "OTHER://127.0.0.1:%u\"", port);
	CHECK(turn_until_node(&n, "/brokers/ids/1", words));
	b = dial_port(port);
	REQUIRE(b >= 0);
	CHECK_EQ(ask(&n, b), 1);
	/* The other one moves: registered is where it listens now, and the old socket is gone with its connections. */
	put_config(&w, "brokers/1", TWO_NAMES "\"listeners\":\"PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.2:0\"");
	CHECK(turn_until_node(&n, "/brokers/ids/1", "OTHER://127.0.0.2:"));
	CHECK_EQ(ask(&n, b), 0);
	close(b);
	/* It goes. */
	put_config(&w, "brokers/1", "");
	for (int i = 0; i < 4000 && look(&w, "/brokers/ids/1", &f) && strstr(f.data, "OTHER") != NULL; i++)
		if (!turn(&n))
			usleep(200);
	CHECK(strstr(f.data, "OTHER") == NULL);
	for (int i = 0; i < 1000 && (c = dial_port(port)) >= 0; i++) {
		close(c);
		turn(&n);
	}
	CHECK_EQ(c, -1);
	CHECK_EQ(ask(&n, a), 1);
	close(a);
	node_end(&n);
	world_fini(&w);
}

TEST(a_listener_that_cannot_be_bound_is_not_registered_and_the_rest_goes_on)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), a;
	socklen_t len = sizeof(me);
	char config[256], words[64];
	struct finder before, after;
	struct world w;
	struct node n;

	REQUIRE(taken >= 0 && bind(taken, (struct sockaddr *)&me, sizeof(me)) == 0 && listen(taken, 1) == 0);
	must_zero(getsockname(taken, (struct sockaddr *)&me, &len));
	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	a = dial(&n);
	REQUIRE(look(&w, "/brokers/ids/1", &before));
	snprintf(config, sizeof(config), TWO_NAMES "\"listeners\":\"PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:%u\"", ntohs(me.sin_port));
	put_config(&w, "brokers/1", config);
	for (int i = 0; i < 4000 && strstr(strbuf_str(&w.said), "listeners: ") == NULL; i++)
		if (!turn(&n))
			usleep(200);
	CHECK(strstr(strbuf_str(&w.said), "clients and brokers are not told of it") != NULL);
	zk_fake_expire(n.session->own);		/* also a new registration names only what listens */
	turn_for(&n, 150);
	REQUIRE(look(&w, "/brokers/ids/1", &after));
	CHECK(strstr(after.data, "OTHER://") == NULL);
	CHECK(after.stat.ephemeral_owner != before.stat.ephemeral_owner);
	CHECK_EQ(ask(&n, a), 1);
	close(taken);		/* the next change tries again */
	put_config(&w, "brokers/<default>", "\"log.retention.ms\":\"5555\"");
	snprintf(words, sizeof(words), "OTHER://127.0.0.1:%u", ntohs(me.sin_port));
	CHECK(turn_until_node(&n, "/brokers/ids/1", words));
	close(a);
	node_end(&n);
	world_fini(&w);
}

TEST(limits_of_connections_are_taken_from_the_settings_while_it_runs)
{
	struct world w;
	struct node n;
	int a, b;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	a = dial(&n);
	CHECK_EQ(ask(&n, a), 1);
	put_config(&w, "brokers/<default>", "\"max.connections.per.ip.overrides\":\"127.0.0.9:7, localhost:1\"");
	turn_for(&n, 50);
	b = dial(&n);
	CHECK_EQ(ask(&n, b), 0);
	close(b);
	put_config(&w, "brokers/<default>", "\"max.connections.per.ip\":\"0\",\"max.connections.per.ip.overrides\":\"localhost:2\"");
	turn_for(&n, 50);
	b = dial(&n);
	CHECK_EQ(ask(&n, b), 1);
	put_config(&w, "brokers/<default>", "");
	put_config(&w, "brokers/1", "\"listener.name.plaintext.max.connections\":\"1\"");
	turn_for(&n, 50);
	close(b);
	b = dial(&n);		/* waits in the backlog until the first one has gone */
	turn_for(&n, 50);
	CHECK_EQ(metric_get(&n.broker->metrics, METRIC_connections), 1);
	close(a);
	CHECK_EQ(ask(&n, b), 1);
	close(b);
	node_end(&n);
	world_fini(&w);
}

static unsigned
times_said(const struct world *w, const char *words)
{
	const char *at = strbuf_str(&w->said);
	unsigned n = 0;

	while ((at = strstr(at, words)) != NULL) {
		at++;
		n++;
	}
	return (n);
}

TEST(a_wrong_topic_setting_is_spoken_of_once)
{
	struct world w;
	struct node n;

	world_init(&w);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	put_config(&w, "topics/t", "\"retention.ms\":\"many\"");
	make_topic(&w, "t", 1);
	CHECK(turn_until_node(&n, "/brokers/topics/t/partitions/0/state", "\"leader\":1"));
	put_config(&w, "brokers/<default>", "\"log.retention.ms\":\"5555\"");
	put_config(&w, "topics/t", "\"retention.ms\":\"many\"");
	turn_for(&n, 100);
	CHECK_EQ(times_said(&w, "/config/topics/t: topic setting retention.ms = many"), 1);
	put_config(&w, "topics/t", "\"retention.ms\":\"more\"");
	turn_for(&n, 100);
	CHECK_EQ(times_said(&w, "/config/topics/t: topic setting retention.ms"), 2);
	node_end(&n);
	world_fini(&w);
}

TEST(broker_settings_in_zookeeper_that_are_no_json_are_named_and_ignored)
{
	struct world w;
	struct node n;

	world_init(&w);
	make_paths(&w);
	zk_create(w.user, "/config/brokers/1", slice_str("[}"), ZK_PERSISTENT, ignore_result, NULL);
	zk_create(w.user, "/config/brokers/<default>", slice_str("{\"version\":1,\"config\":{\"log.retention.ms\":\"soon\",\"num.io.threads\":\"9\"}}"),
	    ZK_PERSISTENT, ignore_result, NULL);
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	CHECK_EQ(times_said(&w, "/config/brokers/1: "), 1);
	CHECK(times_said(&w, "/config/brokers/<default>: log.retention.ms is ignored") >= 1);
	CHECK_EQ(n.broker->config->num_io_threads, 9);
	put_config(&w, "brokers/1", "\"num.io.threads\":\"5\",\"listener.name.plaintext.ssl.keystore.location\":\"/k\"");
	turn_for(&n, 50);
	CHECK_EQ(n.broker->config->num_io_threads, 5);
	put_config(&w, "brokers/<default>", "");
	turn_for(&n, 50);
	CHECK_EQ(times_said(&w, "/config/brokers/1: listener.name.plaintext.ssl.keystore.location: accepted, but without effect"), 1);
	node_end(&n);
	world_fini(&w);
}

TEST(passwords_of_the_old_secret_are_written_anew_after_the_start)
{
	static const char key[] = "listener.name.plaintext.ssl.key.password";
	struct password_encoder old = { "old one", NULL, "AES/CBC/PKCS5Padding", 128, 1024 };
	struct errbuf eb = ERRBUF_INIT;
	char *sealed, *node;
	struct finder f;
	struct world w;
	struct node n;

	world_init(&w);
	make_paths(&w);
	REQUIRE(password_encode(&old, "hunter2", random_real(), &sealed, &eb) == OK);
	node = xasprintf("{\"version\":1,\"config\":{\"%s\":\"%s\",\"log.retention.ms\":\"5555\"}}", key, sealed);
	zk_create(w.user, "/config/brokers/1", slice_str(node), ZK_PERSISTENT, ignore_result, NULL);
	/* One who came before us has left his notification: the node is read again before it is written. */
	zk_create(w.user, "/config/changes/config_change_", slice_str("{\"version\":2,\"entity_path\":\"brokers/1\"}"), ZK_PERSISTENT_SEQUENTIAL,
	    ignore_result, NULL);
	zk_fake_settle(w.control);
	node_make_with(&n, &w, 1, "a", "password.encoder.secret=new one\npassword.encoder.old.secret=old one\n");
	REQUIRE(node_start(&n));
	CHECK_STR(config_map_get(config_dynamic_broker(n.broker->config), key), "hunter2");
	turn_for(&n, 100);
	REQUIRE(look(&w, "/config/brokers/1", &f));
	CHECK(strstr(f.data, key) != NULL && strstr(f.data, sealed) == NULL && strstr(f.data, "hunter2") == NULL);
	CHECK(strstr(f.data, "\"log.retention.ms\":\"5555\"") != NULL);
	CHECK_EQ(f.stat.version, 1);
	node_end(&n);
	CHECK(strstr(strbuf_str(&w.said), "hunter2") == NULL && strstr(strbuf_str(&w.said), "cannot be decoded") == NULL);
	node_make_with(&n, &w, 1, "a", "password.encoder.secret=new one\npassword.encoder.old.secret=old one\n");
	REQUIRE(node_start(&n));	/* the old secret is still there: nothing is left to be done */
	turn_for(&n, 100);
	REQUIRE(look(&w, "/config/brokers/1", &f));
	CHECK_EQ(f.stat.version, 1);
	CHECK_STR(config_map_get(config_dynamic_broker(n.broker->config), key), "hunter2");
	node_end(&n);
	free(sealed);
	free(node);
	world_fini(&w);
}

TEST(two_brokers_live_in_one_process)
{
	struct world w, v;
	struct node n, m;

	world_init(&w);
	reclaim_thread_unregister();
	world_init(&v);
	node_make(&n, &w, 1, "a");
	node_make(&m, &v, 1, "b");
	broker_start(n.broker);
	broker_start(m.broker);
	for (int i = 0; i < 20000 && !(n.started && m.started); i++)
		if (((int)turn(&n) | (int)turn(&m)) == 0)		/* both, always */
			usleep(200);
	CHECK(n.started && m.started);
	node_end(&n);
	make_topic(&v, "t", 1);
	CHECK(turn_until_node(&m, "/brokers/topics/t/partitions/0/state", "\"leader\":1"));
	node_end(&m);
	world_fini(&w);
	reclaim_thread_register();
	world_fini(&v);
}

/* ---- ready ---- */

/* A cluster that has been used before. */
static void
world_init_used(struct world *w)
{
	world_init(w);
	zk_create_recursive(w->user, ZK_TOPICS, slice_str(""), ignore_result, NULL);
	zk_fake_settle(w->control);
}

TEST(a_broker_that_says_ready_leads_every_partition_it_is_to_lead)
{
	enum { TOPICS = 40 };
	struct world w;
	struct node n;

	world_init_used(&w);
	for (int i = 0; i < TOPICS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%d", i);
		make_topic(&w, name, 1);
	}
	zk_fake_settle(w.control);
	for (int run = 0; run < 2; run++) {		/* new logs, then old ones */
		node_make(&n, &w, 1, "a");
		REQUIRE(node_start(&n));
		CHECK_EQ(n.leaders, TOPICS);
		CHECK(!n.failing_over);
		node_end(&n);
	}
	CHECK(strstr(strbuf_str(&w.said), "ready, but") == NULL);
	world_fini(&w);
}

TEST(a_broker_that_says_ready_is_through_with_its_failover_as_the_controller)
{
	struct world w;
	struct node n;

	world_init_used(&w);
	for (int run = 0; run < 2; run++) {
		node_make(&n, &w, 1, "a");
		REQUIRE(node_start(&n));
		CHECK(!n.failing_over);
		node_end(&n);
	}
	world_fini(&w);
}

/* A topic that the controller cannot read: it will never speak of it. */
static void
make_unreadable_topic(struct world *w, const char *name)
{
	zk_create(w->user, zk_path_topic(name).s, slice_str("no json"), ZK_PERSISTENT, ignore_result, NULL);
}

TEST(a_topic_that_nobody_can_read_is_named_and_does_not_keep_the_broker_from_being_ready)
{
	struct world w;
	struct node n;

	world_init_used(&w);
	make_topic(&w, "good", 1);
	make_unreadable_topic(&w, "bad");
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	n.broker->opt.ready_wait_ms = 200;
	REQUIRE(node_start(&n));
	CHECK_EQ(n.leaders, 1);
	CHECK(strstr(strbuf_str(&w.said), "start: ready, but the controller has said nothing of 1 topics, bad for one") != NULL);
	node_end(&n);
	world_fini(&w);
}

TEST(a_topic_that_is_deleted_during_the_start_is_not_waited_for)
{
	struct world w;
	struct node n;
	bool never = false;

	world_init_used(&w);
	make_unreadable_topic(&w, "bad");
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	n.broker->opt.ready_wait_ms = 3600000;
	broker_start(n.broker);
	for (int i = 0; i < 20000 && !n.broker->ready_listed; i++)
		if (!turn(&n))
			usleep(200);
	REQUIRE(n.broker->ready_listed);
	(void)turn_until(&n, &never, 100);
	CHECK(!n.started);
	zk_delete(w.user, zk_path_topic("bad").s, -1, ignore_result, NULL);
	w.skips = true;
	CHECK(turn_until(&n, &n.started, 10000));
	CHECK(strstr(strbuf_str(&w.said), "ready, but") == NULL);
	node_end(&n);
	world_fini(&w);
}

TEST(a_partition_that_cannot_get_its_leader_is_named_and_the_broker_is_ready)
{
	struct world w;
	struct node n;

	world_init_used(&w);
	make_topic(&w, "t", 1);
	make_topic(&w, "u", 1);
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	REQUIRE(node_start(&n));
	node_end(&n);
	zk_delete_recursive(w.user, -1, zk_path_topic("t").s, ignore_result, NULL);	/* and another topic of that name: the log is not its */
	zk_fake_settle(w.control);
	make_topic(&w, "t", 1);
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	n.broker->opt.ready_wait_ms = 200;
	REQUIRE(node_start(&n));
	CHECK_EQ(n.leaders, 1);
	CHECK(strstr(strbuf_str(&w.said), "ready, but the controller has not made this broker the leader of 1 partitions that are its own, t-0") !=
	    NULL);
	node_end(&n);
	world_fini(&w);
}

TEST(a_start_that_no_controller_answers_says_so)
{
	struct world w;
	struct node n;
	bool never = false;

	world_init_used(&w);
	zk_create(w.user, ZK_CONTROLLER, slice_str("{\"version\":1,\"brokerid\":1,\"timestamp\":\"1\"}"), ZK_PERSISTENT, ignore_result, NULL);
	zk_fake_settle(w.control);
	node_make(&n, &w, 1, "a");
	n.broker->opt.ready_wait_ms = 100;
	broker_start(n.broker);
	for (int i = 0; i < 2000 && strstr(strbuf_str(&w.said), "no controller has told") == NULL && !n.ended; i++)
		(void)turn_until(&n, &never, 10);
	CHECK(!n.started);
	CHECK(strstr(strbuf_str(&w.said), "start: not ready yet: no controller has told this broker about itself") != NULL);
	node_end(&n);
	world_fini(&w);
}

UNIT_MAIN("broker",
    T(a_broker_starts_and_ends_and_leaves_nothing_behind),
    T(a_broker_can_be_stopped_at_every_step_of_its_start),
    T(a_connection_lost_before_any_operation_does_not_fail_a_start),
    T(a_connection_lost_after_any_operation_does_not_fail_a_start),
    T(a_session_that_expires_during_a_start_ends_it_or_not_but_in_order),
    T(an_error_of_the_server_during_a_start_ends_it_or_not_but_in_order),
    T(after_an_expired_session_the_broker_is_back_and_no_leadership_has_changed),
    T(a_topic_made_while_the_session_expires_gets_its_log),
    T(zookeeper_that_is_away_does_not_hold_up_an_end),
    T(a_client_that_waits_for_zookeeper_does_not_hold_up_an_end),
    T(a_refused_produce_of_an_old_version_is_answered),
    T(a_foreign_controller_ends_the_broker),
    T(another_broker_a_kraft_migration_and_a_taken_id_refuse_the_start),
    T(a_directory_of_another_cluster_is_refused_and_stays_as_it_is),
    T(a_start_that_fails_keeps_the_record_of_the_run_before),
    T(advertised_listeners_changed_while_it_runs_reach_the_registration),
    T(listeners_come_move_and_go_while_it_runs),
    T(a_listener_that_cannot_be_bound_is_not_registered_and_the_rest_goes_on),
    T(limits_of_connections_are_taken_from_the_settings_while_it_runs),
    T(a_wrong_topic_setting_is_spoken_of_once),
    T(broker_settings_in_zookeeper_that_are_no_json_are_named_and_ignored),
    T(passwords_of_the_old_secret_are_written_anew_after_the_start),
    T(two_brokers_live_in_one_process),
    T(a_broker_that_says_ready_leads_every_partition_it_is_to_lead),
    T(a_broker_that_says_ready_is_through_with_its_failover_as_the_controller),
    T(a_topic_that_nobody_can_read_is_named_and_does_not_keep_the_broker_from_being_ready),
    T(a_topic_that_is_deleted_during_the_start_is_not_waited_for),
    T(a_partition_that_cannot_get_its_leader_is_named_and_the_broker_is_ready),
    T(a_start_that_no_controller_answers_says_so))
