/* SPDX-License-Identifier: Apache-2.0
 *
 * The handlers of topics, settings and DescribeCluster: requests as bytes over a socketpair, every version, with an admin on a ZooKeeper in
 * memory behind them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "group/coordinator.h"
#include "server/authorized.h"
#include "server/dispatch.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"

enum { HEAD = 77 };

struct desk {
	struct world	 w;
	struct net	*net_;
	struct server	*server;
	struct net_conn	*conn;
	struct group_coordinator *groups;
	int		 fd;		/* the client's end */
	bool		 shut;
	struct task	 shut_task;
};

static void
shut(struct task *t)
{
	CONTAINER_OF(t, struct desk, shut_task)->shut = true;
}

static void
brokers_of_the_listener(struct desk *d)
{
	struct image_endpoint ep = { "", "localhost", 9092, 0 };	/* an adopted connection has a listener without name */
	struct image_broker b = { 1, "rack-a", 1, &ep };
	struct image_edit *e = cluster_edit_begin(d->w.cluster);

	cluster_edit_set_brokers(e, &b, 1);
	cluster_edit_set_controller(e, 1);
	cluster_edit_publish(&e);
}

/* It leads nothing, but knows how many partitions there are. */
static void
make_groups(struct desk *d)
{
	struct group_coordinator_options opt = { .loops = &d->w.net, .nloops = 1, .clock = &d->w.clock.clock, .random = &d->w.random.random,
	    .diag = d->w.diag, .retention_check_ms = 600000 };

	d->groups = group_coordinator_new(&opt);
	group_coordinator_start(d->groups, (uint32_t)d->w.config->offsets_topic_num_partitions);
}

static void
desk_init(struct desk *d, const char *properties)
{
	struct server_options so = { .broker_id = 1 };
	struct net_options no = { .nloops = 1, .request_bytes_max = LIMIT_REQUEST_BYTES_MAX, .limits = NET_LIMITS_NONE };
	int sv[2];

	memset(d, 0, sizeof(*d));
	signal(SIGPIPE, SIG_IGN);
	world_init(&d->w, properties);
	brokers_of_the_listener(d);
	make_groups(d);
	so.admin = d->w.admin;
	so.groups = d->groups;
	so.cluster = d->w.cluster;
	so.config = d->w.config;
	so.diag = d->w.diag;
	d->server = server_new(&so);
	no.loops = &d->w.net;
	no.handler = server_net_handler(d->server);
	must(net_new(&no, &d->net_, NULL) == OK);
	d->shut_task.fn = shut;
	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(d->net_, 0, sv[0], NULL, &d->conn, NULL) == OK);
	d->fd = sv[1];
}

static void
desk_fini(struct desk *d)
{
	close(d->fd);
	world_turn(&d->w);
	group_coordinator_stop(d->groups);
	world_turn(&d->w);
	net_shutdown(d->net_, 1000, d->w.net, &d->shut_task);
	world_turn(&d->w);
	CHECK(d->shut);
	net_free(&d->net_);
	server_free(&d->server);
	CHECK(!group_coordinator_busy(d->groups));
	group_coordinator_free(&d->groups);
	world_fini(&d->w);
}

#define NEW(d, name)		WIRE_NEW(&(d)->w.arena, name)
#define ARRAY(d, name, n)	WIRE_NEW_ARRAY(&(d)->w.arena, name, n)

static void
send_request(struct desk *d, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	struct chain out;

	chain_init(&out);
	if (wire_request_frame(wire_api(key), version, HEAD, slice_str("unit"), body, &d->w.arena, &out, &eb) != OK)
		fprintf(stderr, "%s\n", eb.text);
	for (const struct chain_item *it = out.first; it != NULL; it = it->next)
		must(send(d->fd, it->mem.p, it->mem.len, MSG_NOSIGNAL) == (ssize_t)it->mem.len);
	chain_fini(&out);
	world_turn(&d->w);
}

static struct slice
take(struct desk *d)
{
	uint8_t *buf = arena_alloc(&d->w.arena, 1 << 20);
	size_t n = 0;
	ssize_t got;

	for (int i = 0; i < 100; i++) {
		while ((got = recv(d->fd, buf + n, (1 << 20) - n, 0)) > 0)
			n += (size_t)got;
		world_turn(&d->w);
	}
	return (slice_of(buf, n));
}

static void *
call(struct desk *d, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	struct slice s;
	void *a = NULL;

	send_request(d, key, version, body);
	s = take(d);
	if (!unit_check(s.len >= 8 && be32dec(s.p) == s.len - 4 && be32dec(s.p + 4) == HEAD, __FILE__, __LINE__, "an answer to %s version %d",
	    wire_api(key)->name, version))
		exit(1);
	s.p += 4;
	s.len -= 4;
	CHECK_EQ(wire_response_decode(wire_api(key), version, s, &d->w.arena, &a, &eb), OK);
	must(a != NULL);
	return (a);
}

/* ---- CreateTopics ---- */

static struct wire_create_topics_request *
creation(struct desk *d, int n)
{
	struct wire_create_topics_request *q = NEW(d, create_topics_request);

	q->topics.v = ARRAY(d, create_topics_request_topic, n);
	q->topics.n = n;
	q->timeout_ms = 1000;
	for (int i = 0; i < n; i++) {
		q->topics.v[i].name = slice_str(arena_printf(&d->w.arena, "topic-%d", i));
		q->topics.v[i].num_partitions = 2;
		q->topics.v[i].replication_factor = 1;
	}
	return (q);
}

TEST(topics_are_created_in_every_version)
{
	for (int v = 0; v <= 7; v++) {
		struct desk d;
		struct wire_create_topics_response *a;

		desk_init(&d, "");
		a = call(&d, API_CREATE_TOPICS, v, creation(&d, 2));
		REQUIRE(a->topics.n == 2);
		CHECK(slice_eq_str(a->topics.v[1].name, "topic-1"));
		CHECK_EQ(a->topics.v[1].error_code, 0);
		CHECK(v < 1 || a->topics.v[1].error_message.p == NULL);
		CHECK_EQ(a->topics.v[1].num_partitions, v >= 5 ? 2 : -1);
		CHECK_EQ(a->topics.v[1].replication_factor, v >= 5 ? 1 : -1);
		CHECK_EQ(a->topics.v[1].configs.n > 30, v >= 5);
		CHECK_EQ(!uuid_is_zero(a->topics.v[1].topic_id), v >= 7);
		CHECK(world_has(&d.w, "/brokers/topics/topic-1"));
		desk_fini(&d);
	}
}

TEST(only_the_controller_creates)
{
	struct desk d;
	struct wire_create_topics_response *a;

	desk_init(&d, "");
	d.w.active = false;
	a = call(&d, API_CREATE_TOPICS, 7, creation(&d, 2));
	REQUIRE(a->topics.n == 2);
	CHECK_EQ(a->topics.v[0].error_code, KERR_NOT_CONTROLLER);
	CHECK(a->topics.v[0].error_message.p != NULL && a->topics.v[0].error_message.len == 0);	/* Java's default, not null */
	CHECK(!world_has(&d.w, "/brokers/topics/topic-0"));
	desk_fini(&d);
}

TEST(a_topic_named_twice_is_refused_in_each_of_its_rows)
{
	struct desk d;
	struct wire_create_topics_request *q;
	struct wire_create_topics_response *a;

	desk_init(&d, "");
	q = creation(&d, 4);
	q->topics.v[2].name = q->topics.v[0].name;
	q->topics.v[3].name = slice_str("__cluster_metadata");
	a = call(&d, API_CREATE_TOPICS, 7, q);
	REQUIRE(a->topics.n == 4);
	CHECK_EQ(a->topics.v[0].error_code, KERR_INVALID_REQUEST);
	CHECK_EQ(a->topics.v[1].error_code, KERR_NONE);
	CHECK_EQ(a->topics.v[2].error_code, KERR_INVALID_REQUEST);
	CHECK_EQ(a->topics.v[3].error_code, KERR_INVALID_REQUEST);
	CHECK(a->topics.v[2].error_message.len > 0);
	desk_fini(&d);
}

TEST(settings_and_assignments_of_a_request_arrive)
{
	struct desk d;
	struct wire_create_topics_request *q;
	struct wire_create_topics_response *a;
	struct wire_create_topics_request_topic *t;
	int32_t one = 1;

	desk_init(&d, "");
	q = creation(&d, 1);
	t = q->topics.v;
	t->num_partitions = t->replication_factor = -1;
	t->assignments.v = ARRAY(&d, create_topics_request_assignment, 1);
	t->assignments.n = 1;
	t->assignments.v[0].broker_ids.v = &one;
	t->assignments.v[0].broker_ids.n = 1;
	t->configs.v = ARRAY(&d, create_topics_request_config, 1);
	t->configs.n = 1;
	t->configs.v[0].name = slice_str("retention.ms");
	t->configs.v[0].value = slice_str("4711");
	a = call(&d, API_CREATE_TOPICS, 7, q);
	CHECK_EQ(a->topics.v[0].error_code, 0);
	CHECK_EQ(a->topics.v[0].num_partitions, 1);
	CHECK(has_text(world_node(&d.w, "/config/topics/topic-0").data, "4711"));
	desk_fini(&d);
}

TEST(a_client_that_hangs_up_while_its_topic_is_made_harms_nobody)
{
	struct desk d;

	desk_init(&d, "");
	d.w.no_controller_work = true;
	send_request(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
	CHECK(world_has(&d.w, "/brokers/topics/topic-0"));
	desk_fini(&d);		/* hangs up; nothing is left waiting */
}

/* ---- DeleteTopics ---- */

static struct wire_delete_topics_request *
deletion(struct desk *d, int version, const char *a, const char *b)
{
	struct wire_delete_topics_request *q = NEW(d, delete_topics_request);

	q->timeout_ms = 1000;
	if (version < 6) {
		q->topic_names.v = ARENA_ARRAY(&d->w.arena, struct slice, 2);
		q->topic_names.n = 2;
		q->topic_names.v[0] = slice_str(a);
		q->topic_names.v[1] = slice_str(b);
	} else {
		q->topics.v = ARRAY(d, delete_topics_request_topic, 2);
		q->topics.n = 2;
		q->topics.v[0].name = slice_str(a);
		q->topics.v[1].name = slice_str(b);
	}
	return (q);
}

TEST(topics_are_deleted_in_every_version)
{
	for (int v = 0; v <= 6; v++) {
		struct desk d;
		struct wire_delete_topics_response *a;

		desk_init(&d, "");
		(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 2));
		a = call(&d, API_DELETE_TOPICS, v, deletion(&d, v, "never", "topic-1"));
		REQUIRE(a->responses.n == 2);
		CHECK_EQ(a->responses.v[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(a->responses.v[1].error_code, 0);
		CHECK(slice_eq_str(a->responses.v[1].name, "topic-1"));
		CHECK(v < 5 || a->responses.v[0].error_message.p == NULL);
		CHECK(!world_has(&d.w, "/brokers/topics/topic-1"));
		CHECK(world_has(&d.w, "/brokers/topics/topic-0"));
		desk_fini(&d);
	}
}

TEST(a_topic_is_deleted_by_its_id)
{
	struct desk d;
	struct wire_create_topics_response *made;
	struct wire_delete_topics_request *q;
	struct wire_delete_topics_response *a;

	desk_init(&d, "");
	made = call(&d, API_CREATE_TOPICS, 7, creation(&d, 2));
	q = deletion(&d, 6, NULL, NULL);
	q->topics.v[0].topic_id = made->topics.v[1].topic_id;
	q->topics.v[1].topic_id.b[3] = 9;
	a = call(&d, API_DELETE_TOPICS, 6, q);
	CHECK_EQ(a->responses.v[0].error_code, 0);
	CHECK(slice_eq_str(a->responses.v[0].name, "topic-1"));
	CHECK(uuid_eq(a->responses.v[0].topic_id, made->topics.v[1].topic_id));
	CHECK_EQ(a->responses.v[1].error_code, KERR_UNKNOWN_TOPIC_ID);
	CHECK(a->responses.v[1].name.p == NULL);
	CHECK(!world_has(&d.w, "/brokers/topics/topic-1"));
	desk_fini(&d);
}

TEST(deletion_is_refused_as_a_whole_or_row_by_row)
{
	struct desk d;
	struct wire_delete_topics_request *q;
	struct wire_delete_topics_response *a;

	desk_init(&d, "");
	(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
	q = deletion(&d, 6, "topic-0", NULL);
	a = call(&d, API_DELETE_TOPICS, 6, (q->topics.v[0].topic_id.b[0] = 1, q));
	CHECK_EQ(a->responses.v[0].error_code, KERR_INVALID_REQUEST);	/* name and id */
	CHECK_EQ(a->responses.v[1].error_code, KERR_INVALID_REQUEST);
	q = deletion(&d, 6, NULL, "topic-0");
	a = call(&d, API_DELETE_TOPICS, 6, (q->timeout_ms = 0, q));
	CHECK_EQ(a->responses.v[0].error_code, KERR_TOPIC_AUTHORIZATION_FAILED);	/* neither */
	CHECK_EQ(a->responses.v[1].error_code, KERR_REQUEST_TIMED_OUT);
	d.w.active = false;
	a = call(&d, API_DELETE_TOPICS, 3, deletion(&d, 3, "x", "y"));
	CHECK_EQ(a->responses.v[0].error_code, KERR_NOT_CONTROLLER);
	desk_fini(&d);
	desk_init(&d, "delete.topic.enable=false\n");
	a = call(&d, API_DELETE_TOPICS, 2, deletion(&d, 2, "x", "y"));
	CHECK_EQ(a->responses.v[0].error_code, KERR_INVALID_REQUEST);
	a = call(&d, API_DELETE_TOPICS, 3, deletion(&d, 3, "x", "y"));
	CHECK_EQ(a->responses.v[0].error_code, KERR_TOPIC_DELETION_DISABLED);
	desk_fini(&d);
}

TEST(a_topic_named_twice_is_deleted_once)
{
	struct desk d;
	struct wire_delete_topics_response *a;

	desk_init(&d, "");
	(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
	a = call(&d, API_DELETE_TOPICS, 5, deletion(&d, 5, "topic-0", "topic-0"));
	CHECK_EQ(a->responses.v[0].error_code, 0);
	CHECK_EQ(a->responses.v[1].error_code, 0);
	desk_fini(&d);
}

/* ---- CreatePartitions ---- */

static struct wire_create_partitions_request *
growth(struct desk *d, int n, int32_t count)
{
	struct wire_create_partitions_request *q = NEW(d, create_partitions_request);

	q->topics.v = ARRAY(d, create_partitions_request_topic, n);
	q->topics.n = n;
	q->timeout_ms = 1000;
	for (int i = 0; i < n; i++) {
		q->topics.v[i].name = slice_str(arena_printf(&d->w.arena, "topic-%d", i));
		q->topics.v[i].count = count;
		q->topics.v[i].assignments.n = -1;
	}
	return (q);
}

TEST(partitions_are_added_in_every_version)
{
	for (int v = 0; v <= 3; v++) {
		struct desk d;
		struct wire_create_partitions_request *q;
		struct wire_create_partitions_response *a;

		desk_init(&d, "");
		(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 3));
		q = growth(&d, 5, 4);
		q->topics.v[2].name = q->topics.v[1].name;
		q->topics.v[3].name = q->topics.v[1].name;
		q->topics.v[4].name = slice_str("never");
		a = call(&d, API_CREATE_PARTITIONS, v, q);
		REQUIRE(a->results.n == 3);
		CHECK_EQ(a->results.v[0].error_code, 0);
		CHECK(a->results.v[0].error_message.p == NULL);
		CHECK_EQ(a->results.v[1].error_code, KERR_INVALID_REQUEST);
		CHECK(slice_eq_str(a->results.v[1].name, "topic-1"));
		CHECK_EQ(a->results.v[2].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(image_topic(cluster_read(d.w.cluster), slice_str("topic-0"))->npartitions, 4);
		d.w.active = false;
		a = call(&d, API_CREATE_PARTITIONS, v, growth(&d, 1, 9));
		CHECK_EQ(a->results.v[0].error_code, KERR_NOT_CONTROLLER);
		CHECK(a->results.v[0].error_message.p == NULL);
		desk_fini(&d);
	}
}

/* ---- DescribeConfigs ---- */

static struct wire_describe_configs_request *
question(struct desk *d, int8_t type, const char *name)
{
	struct wire_describe_configs_request *q = NEW(d, describe_configs_request);

	q->resources.v = ARRAY(d, describe_configs_request_resource, 2);
	q->resources.n = 2;
	for (int i = 0; i < 2; i++)
		q->resources.v[i].configuration_keys.n = -1;
	q->resources.v[0].resource_type = type;
	q->resources.v[0].resource_name = slice_str(name);
	q->resources.v[1].resource_type = ADMIN_RESOURCE_TOPIC;
	q->resources.v[1].resource_name = slice_str("never");
	return (q);
}

TEST(settings_are_described_in_every_version)
{
	for (int v = 0; v <= 4; v++) {
		struct desk d;
		struct wire_describe_configs_request *q;
		struct wire_describe_configs_response *a;
		struct wire_describe_configs_response_resource_result *c;
		struct slice key = slice_str("segment.bytes");

		desk_init(&d, "log.segment.bytes=12345\n");
		(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
		q = question(&d, ADMIN_RESOURCE_TOPIC, "topic-0");
		q->resources.v[0].configuration_keys.v = &key;
		q->resources.v[0].configuration_keys.n = 1;
		q->include_synonyms = v >= 1;
		q->include_documentation = v >= 3;
		a = call(&d, API_DESCRIBE_CONFIGS, v, q);
		REQUIRE(a->results.n == 2 && a->results.v[0].configs.n == 1);
		CHECK(a->results.v[0].error_message.p != NULL && a->results.v[0].error_message.len == 0);
		c = a->results.v[0].configs.v;
		CHECK(slice_eq_str(c->name, "segment.bytes"));
		CHECK(slice_eq_str(c->value, "12345"));
		CHECK(v < 1 || (c->config_source == 4 && c->synonyms.n == 2 && c->synonyms.v[1].source == 5));
		CHECK(v < 3 || (c->config_type == 3 && c->documentation.len > 10));
		CHECK_EQ(a->results.v[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK(a->results.v[1].error_message.p != NULL && a->results.v[1].error_message.len == 0);
		CHECK_EQ(a->results.v[1].resource_type, ADMIN_RESOURCE_TOPIC);
		q->include_synonyms = q->include_documentation = false;
		q->resources.v[0].configuration_keys.n = 0;	/* none named: all */
		c = ((struct wire_describe_configs_response *)call(&d, API_DESCRIBE_CONFIGS, v, q))->results.v[0].configs.v;
		CHECK(v < 1 || c->synonyms.n == 0);
		CHECK(v < 3 || c->documentation.p == NULL);
		desk_fini(&d);
	}
}

TEST(brokers_and_loggers_are_described)
{
	struct desk d;
	struct wire_describe_configs_request *q;
	struct wire_describe_configs_response *a;

	desk_init(&d, "");
	q = question(&d, ADMIN_RESOURCE_BROKER, "1");
	q->include_synonyms = q->include_documentation = true;
	a = call(&d, API_DESCRIBE_CONFIGS, 4, q);
	CHECK(a->results.v[0].configs.n > 200);
	a = call(&d, API_DESCRIBE_CONFIGS, 4, question(&d, ADMIN_RESOURCE_BROKER, "2"));
	CHECK_EQ(a->results.v[0].error_code, KERR_INVALID_REQUEST);
	CHECK(a->results.v[0].error_message.len > 0);
	a = call(&d, API_DESCRIBE_CONFIGS, 4, question(&d, ADMIN_RESOURCE_BROKER_LOGGER, "1"));
	REQUIRE(a->results.v[0].configs.n == 1);
	CHECK_EQ(a->results.v[0].configs.v[0].config_source, 6);
	CHECK_EQ(a->results.v[0].configs.v[0].config_type, 0);
	a = call(&d, API_DESCRIBE_CONFIGS, 4, question(&d, 32, "g"));		/* an unknown type fails the whole request */
	CHECK_EQ(a->results.v[0].error_code, KERR_INVALID_REQUEST);
	CHECK_EQ(a->results.v[1].error_code, KERR_INVALID_REQUEST);
	CHECK(a->results.v[1].error_message.len > 0);
	desk_fini(&d);
}

/* ---- AlterConfigs, IncrementalAlterConfigs ---- */

static void
alter_in(int v)
{
	struct desk d;
	struct wire_alter_configs_request *q;
	struct wire_alter_configs_response *a;

	desk_init(&d, "");
	(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
	q = NEW(&d, alter_configs_request);
	q->resources.v = ARRAY(&d, alter_configs_request_resource, 2);
	q->resources.n = 2;
	q->resources.v[0].resource_type = ADMIN_RESOURCE_TOPIC;
	q->resources.v[0].resource_name = slice_str("topic-0");
	q->resources.v[0].configs.v = ARRAY(&d, alter_configs_request_config, 1);
	q->resources.v[0].configs.n = 1;
	q->resources.v[0].configs.v[0].name = slice_str("flush.ms");
	q->resources.v[0].configs.v[0].value = slice_str("77");
	q->resources.v[1].resource_type = ADMIN_RESOURCE_BROKER;
	q->resources.v[1].resource_name = slice_str("9");
	a = call(&d, API_ALTER_CONFIGS, v, q);
	REQUIRE(a->responses.n == 2);
	CHECK_EQ(a->responses.v[0].error_code, 0);
	CHECK(a->responses.v[0].error_message.p == NULL);
	CHECK_EQ(a->responses.v[1].error_code, KERR_INVALID_REQUEST);
	CHECK(a->responses.v[1].error_message.len > 0);
	CHECK(slice_eq_str(a->responses.v[1].resource_name, "9"));
	CHECK_EQ(a->responses.v[1].resource_type, ADMIN_RESOURCE_BROKER);
	CHECK(has_text(world_node(&d.w, "/config/topics/topic-0").data, "\"flush.ms\":\"77\""));
	desk_fini(&d);
}

static void
alter_incrementally_in(int v)
{
	struct desk d;
	struct wire_incremental_alter_configs_request *q;
	struct wire_incremental_alter_configs_response *a;
	struct wire_incremental_alter_configs_request_config *c;

	desk_init(&d, "");
	(void)call(&d, API_CREATE_TOPICS, 7, creation(&d, 1));
	q = NEW(&d, incremental_alter_configs_request);
	q->resources.v = ARRAY(&d, incremental_alter_configs_request_resource, 1);
	q->resources.n = 1;
	q->resources.v[0].resource_type = ADMIN_RESOURCE_TOPIC;
	q->resources.v[0].resource_name = slice_str("topic-0");
	c = q->resources.v[0].configs.v = ARRAY(&d, incremental_alter_configs_request_config, 2);
	q->resources.v[0].configs.n = 2;
	c[0].name = slice_str("cleanup.policy");
	c[0].value = slice_str("compact");
	c[0].config_operation = CONFIG_OP_APPEND;
	c[1].name = slice_str("flush.ms");
	c[1].value = SLICE_NULL;
	c[1].config_operation = CONFIG_OP_DELETE;
	a = call(&d, API_INCREMENTAL_ALTER_CONFIGS, v, q);
	REQUIRE(a->responses.n == 1);
	CHECK_EQ(a->responses.v[0].error_code, 0);
	CHECK(a->responses.v[0].error_message.p == NULL);
	CHECK(has_text(world_node(&d.w, "/config/topics/topic-0").data, "\"cleanup.policy\":\"delete,compact\""));
	q->validate_only = true;
	c[1].value = slice_str("never");
	c[1].config_operation = CONFIG_OP_SET;
	a = call(&d, API_INCREMENTAL_ALTER_CONFIGS, v, q);
	CHECK_EQ(a->responses.v[0].error_code, KERR_INVALID_CONFIG);
	desk_fini(&d);
}

TEST(settings_are_changed_in_every_version)
{
	for (int v = 0; v <= 2; v++)
		alter_in(v);
	for (int v = 0; v <= 1; v++)
		alter_incrementally_in(v);
}

/* ---- DescribeCluster ---- */

TEST(the_cluster_is_described_as_the_listener_sees_it)
{
	for (int v = 0; v <= 1; v++) {
		struct desk d;
		struct wire_describe_cluster_request *q;
		struct wire_describe_cluster_response *a;

		desk_init(&d, "");
		q = NEW(&d, describe_cluster_request);
		a = call(&d, API_DESCRIBE_CLUSTER, v, q);
		CHECK_EQ(a->error_code, 0);
		CHECK(a->error_message.p == NULL);
		CHECK_EQ(a->endpoint_type, 1);
		CHECK(slice_eq_str(a->cluster_id, "cluster-of-a-test"));
		CHECK_EQ(a->controller_id, 1);
		REQUIRE(a->brokers.n == 1);
		CHECK(slice_eq_str(a->brokers.v[0].host, "localhost"));
		CHECK_EQ(a->brokers.v[0].port, 9092);
		CHECK(slice_eq_str(a->brokers.v[0].rack, "rack-a"));
		CHECK_EQ(a->cluster_authorized_operations, INT32_MIN);
		q->include_cluster_authorized_operations = true;
		a = call(&d, API_DESCRIBE_CLUSTER, v, q);
		CHECK_EQ(a->cluster_authorized_operations, AUTHORIZED_CLUSTER_ALL);
		world_brokers(&d.w, &(struct assign_broker){ 1, NULL }, 1);	/* another listener only */
		a = call(&d, API_DESCRIBE_CLUSTER, v, q);
		CHECK_EQ(a->brokers.n, 0);
		CHECK_EQ(a->controller_id, -1);
		desk_fini(&d);
	}
}

TEST(endpoints_that_a_broker_is_not_are_refused)
{
	struct desk d;
	struct wire_describe_cluster_request *q;
	struct wire_describe_cluster_response *a;

	desk_init(&d, "");
	q = NEW(&d, describe_cluster_request);
	q->endpoint_type = 2;
	a = call(&d, API_DESCRIBE_CLUSTER, 1, q);
	CHECK_EQ(a->error_code, KERR_MISMATCHED_ENDPOINT_TYPE);
	CHECK(a->error_message.len > 0);
	CHECK_EQ(a->brokers.n, 0);
	q->endpoint_type = 3;
	a = call(&d, API_DESCRIBE_CLUSTER, 1, q);
	CHECK_EQ(a->error_code, KERR_UNSUPPORTED_ENDPOINT_TYPE);
	desk_fini(&d);
}

TEST(there_are_no_features_to_update)
{
	struct desk d;

	desk_init(&d, "");
	for (int v = 0; v <= 1; v++) {
		struct wire_update_features_request *q = NEW(&d, update_features_request);
		struct wire_update_features_response *a;

		q->feature_updates.v = ARRAY(&d, update_features_request_feature, 3);
		q->feature_updates.n = 3;
		q->feature_updates.v[0].feature = q->feature_updates.v[2].feature = slice_str("metadata.version");
		d.w.active = true;
		a = call(&d, API_UPDATE_FEATURES, v, q);
		CHECK_EQ(a->error_code, KERR_NONE);
		CHECK(a->error_message.p == NULL);
		CHECK_EQ(a->results.n, 2);
		for (int32_t i = 0; i < a->results.n; i++) {
			CHECK_EQ(a->results.v[i].error_code, KERR_INVALID_REQUEST);
			CHECK(a->results.v[i].error_message.len > 0);
		}
		d.w.active = false;
		a = call(&d, API_UPDATE_FEATURES, v, q);
		CHECK_EQ(a->error_code, KERR_NOT_CONTROLLER);
		CHECK_EQ(a->results.n, 0);
	}
	desk_fini(&d);
}

/* ---- FindCoordinator: the topic of the groups is made when it is asked for ---- */

/* One key's answer, whatever the version. */
static struct wire_find_coordinator_response_coordinator
find(struct desk *d, int version, int8_t type, const char *key)
{
	struct wire_find_coordinator_request *q = NEW(d, find_coordinator_request);
	struct wire_find_coordinator_response *a;
	struct slice k = slice_str(key);

	q->key_type = type;
	if (version < 4)
		q->key = k;
	else
		q->coordinator_keys = (struct wire_str_array){ .v = &k, .n = 1 };
	a = call(d, API_FIND_COORDINATOR, version, q);
	if (version < 4)
		return ((struct wire_find_coordinator_response_coordinator){ .key = k, .node_id = a->node_id, .host = a->host, .port = a->port,
		    .error_code = a->error_code, .error_message = a->error_message });
	must(a->coordinators.n == 1);
	return (a->coordinators.v[0]);
}

static void
without_leader(struct desk *d, int32_t partition)
{
	struct image_partition p = { .id = partition, .leader = -1 };
	struct image_edit *e = cluster_edit_begin(d->w.cluster);

	cluster_edit_put_partitions(e, slice_str("__consumer_offsets"), UUID_ZERO, &p, 1);
	cluster_edit_publish(&e);
}

TEST(the_topic_of_the_groups_is_made_when_a_group_asks)
{
	for (int v = 0; v <= 6; v++) {
		struct wire_find_coordinator_response_coordinator c;
		struct desk d;

		desk_init(&d, "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=7\nauto.create.topics.enable=false\n");
		c = find(&d, v, 0, "g");
		CHECK_EQ(c.error_code, KERR_COORDINATOR_NOT_AVAILABLE);
		CHECK_EQ(c.node_id, -1);
		CHECK(world_has(&d.w, "/brokers/topics/__consumer_offsets"));
		CHECK(has_text(world_node(&d.w, "/config/topics/__consumer_offsets").data, "\"cleanup.policy\":\"compact\""));
		c = find(&d, v, 0, "g");
		CHECK_EQ(c.error_code, 0);
		CHECK_EQ(c.node_id, 1);
		CHECK_EQ(c.port, 9092);
		CHECK(slice_eq_str(c.host, "localhost"));
		CHECK(v < 1 || v > 3 || slice_eq_str(c.error_message, "NONE"));		/* Java's words for it, before version 4 */
		CHECK(v < 4 || c.error_message.len == 0);
		desk_fini(&d);
	}
}

/* "g" is 103, which is 5 of 7; the other hashes to the one int that has no absolute value, which Java calls 0. */
TEST(a_group_belongs_to_the_partition_that_javas_hash_says)
{
	static const struct { const char *group; int32_t partition; } cases[] = { { "g", 5 }, { "", 0 }, { "polygenelubricants", 0 },
	    { "\xf0\x9f\x98\x80", 1772899 % 7 } };

	for (size_t i = 0; i < NELEM(cases); i++) {
		struct desk d;

		desk_init(&d, "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=7\n");
		(void)find(&d, 3, 0, "g");
		CHECK_EQ(find(&d, 3, 0, cases[i].group).error_code, 0);
		without_leader(&d, cases[i].partition);
		unit_check(find(&d, 3, 0, cases[i].group).error_code == KERR_COORDINATOR_NOT_AVAILABLE, __FILE__, __LINE__, "case %zu", i);
		desk_fini(&d);
	}
}

TEST(no_topic_is_made_for_transactional_ids_and_share_groups_or_without_the_brokers_for_it)
{
	struct desk d;

	desk_init(&d, "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n");
	CHECK_EQ(find(&d, 6, 1, "t").error_code, KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(find(&d, 6, 2, "s").error_code, KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(find(&d, 6, 0, "g").error_code, KERR_COORDINATOR_NOT_AVAILABLE);	/* offsets.topic.replication.factor is 3 */
	CHECK(!world_has(&d.w, "/brokers/topics/__consumer_offsets"));
	CHECK(!world_has(&d.w, "/brokers/topics/__transaction_state"));
	desk_fini(&d);
}

/* ---- OffsetCommit, OffsetFetch of version 0: ZooKeeper ---- */

static struct wire_offset_commit_request *
old_commit(struct desk *d, const char *group, const char *metadata)
{
	static const struct { const char *topic; int n; int32_t partitions[3]; } rows[] = { { "topic-0", 3, { 1, 0, 1 } }, { "nobody", 2, { 0, 0 } },
	    { "topic-0", 1, { 9 } }, { "topic-1", 0, { 0 } }, { "nothing", 0, { 0 } } };
	struct wire_offset_commit_request *q = NEW(d, offset_commit_request);
	int64_t offset = 40;

	q->group_id = slice_str(group);
	q->topics.v = ARRAY(d, offset_commit_request_topic, (int32_t)NELEM(rows));
	q->topics.n = (int32_t)NELEM(rows);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct wire_offset_commit_request_topic *t = &q->topics.v[i];

		t->name = slice_str(rows[i].topic);
		t->partitions.v = ARRAY(d, offset_commit_request_partition, rows[i].n);
		t->partitions.n = rows[i].n;
		for (int j = 0; j < rows[i].n; j++) {
			t->partitions.v[j].partition_index = rows[i].partitions[j];
			t->partitions.v[j].committed_offset = offset++;
			t->partitions.v[j].committed_metadata = slice_str(metadata);
		}
	}
	return (q);
}

/* "topic-0: 0=0 1=0 9=3" and so on, of what came. */
static const char *
said_of_commit(struct desk *d, const struct wire_offset_commit_response *a)
{
	const char *text = "";

	for (int32_t i = 0; i < a->topics.n; i++) {
		text = arena_printf(&d->w.arena, "%s%s%.*s:", text, i == 0 ? "" : ", ", (int)a->topics.v[i].name.len, (const char *)a->topics.v[i].name.p);
		for (int32_t j = 0; j < a->topics.v[i].partitions.n; j++)
			text = arena_printf(&d->w.arena, "%s %d=%d", text, a->topics.v[i].partitions.v[j].partition_index,
			    a->topics.v[i].partitions.v[j].error_code);
	}
	return (text);
}

static const char *
said_of_fetch(struct desk *d, const char *group, const char *topic)
{
	struct wire_offset_fetch_request *q = NEW(d, offset_fetch_request);
	struct wire_offset_fetch_response *a;
	int32_t partitions[] = { 1, 0, 1, 9 };
	const char *text = "";

	q->group_id = slice_str(group);
	q->topics.v = ARRAY(d, offset_fetch_request_topic, 1);
	q->topics.n = 1;
	q->topics.v[0].name = slice_str(topic);
	q->topics.v[0].partition_indexes = (struct wire_i32_array){ .v = partitions, .n = 4 };
	a = call(d, API_OFFSET_FETCH, 0, q);
	must(a->topics.n == 1);
	for (int32_t j = 0; j < a->topics.v[0].partitions.n; j++)
		text = arena_printf(&d->w.arena, "%s %d=%lld/%d", text, a->topics.v[0].partitions.v[j].partition_index,
		    (long long)a->topics.v[0].partitions.v[j].committed_offset, a->topics.v[0].partitions.v[j].error_code);
	return (text);
}

TEST(offsets_of_the_oldest_consumers_are_kept_in_zookeeper)
{
	static const char fine[] = "nobody: 0=3 0=3, nothing:, topic-0: 0=0 1=0 1=0 9=3";	/* a topic with nothing to say is not there */
	struct desk d;

	desk_init(&d, "");
	(void)call(&d, API_CREATE_TOPICS, 4, creation(&d, 2));
	CHECK(strcmp(said_of_fetch(&d, "g", "topic-0"), " 0=-1/3 1=-1/3 9=-1/3") == 0);
	CHECK(strcmp(said_of_commit(&d, call(&d, API_OFFSET_COMMIT, 0, old_commit(&d, "g", ""))), fine) == 0);
	CHECK(strcmp(world_node(&d.w, "/consumers/g/offsets/topic-0/0").data, "41") == 0);
	CHECK_EQ(world_node(&d.w, "/consumers/g/offsets/topic-0/0").version, 0);
	CHECK_EQ(world_node(&d.w, "/consumers/g/offsets/topic-0/1").version, 1);
	CHECK(strcmp(world_node(&d.w, "/consumers/g/offsets/topic-0/1").data, "42") == 0);	/* of two for one partition the last */
	CHECK(strcmp(said_of_commit(&d, call(&d, API_OFFSET_COMMIT, 0, old_commit(&d, "g", "m"))), fine) == 0);
	CHECK(strcmp(said_of_fetch(&d, "g", "topic-0"), " 0=41/0 1=42/0 9=-1/3") == 0);
	CHECK(strcmp(said_of_fetch(&d, "g", "nobody"), " 0=-1/3 1=-1/3 9=-1/3") == 0);
	desk_fini(&d);
}

TEST(a_group_that_is_no_path_and_metadata_too_long_are_refused_in_version_0)
{
	static const char *const bad[] = { "", "a//b", "/a", "a/", ".", "a/../b", "a\x01" };
	struct desk d;

	desk_init(&d, "offset.metadata.max.bytes=3\n");
	(void)call(&d, API_CREATE_TOPICS, 4, creation(&d, 2));
	for (size_t i = 0; i < NELEM(bad); i++) {
		CHECK(strstr(said_of_commit(&d, call(&d, API_OFFSET_COMMIT, 0, old_commit(&d, bad[i], ""))), "topic-0: 0=-1 1=-1 1=-1 9=3") != NULL);
		CHECK(strcmp(said_of_fetch(&d, bad[i], "topic-0"), " 0=-1/-1 1=-1/-1 9=-1/3") == 0);
	}
	CHECK(strstr(said_of_commit(&d, call(&d, API_OFFSET_COMMIT, 0, old_commit(&d, "a/b", "\xc3\xbc\xc3\xbc\xc3\xbc"))), "topic-0: 0=0 1=0") != NULL);
	CHECK(strcmp(world_node(&d.w, "/consumers/a/b/offsets/topic-0/0").data, "41") == 0);	/* as in Java, the group goes in as it is */
	CHECK(strstr(said_of_commit(&d, call(&d, API_OFFSET_COMMIT, 0, old_commit(&d, "g", "long"))), "topic-0: 0=12 1=12") != NULL);
	CHECK(!world_has(&d.w, "/consumers/g"));
	world_put(&d.w, "/consumers/a/b/offsets/topic-0/0", "no number");
	CHECK(strcmp(said_of_fetch(&d, "a/b", "topic-0"), " 0=-1/-1 1=42/0 9=-1/3") == 0);
	desk_fini(&d);
}

UNIT_MAIN("server/admin", T(there_are_no_features_to_update), T(topics_are_created_in_every_version), T(only_the_controller_creates),
    T(a_topic_named_twice_is_refused_in_each_of_its_rows), T(settings_and_assignments_of_a_request_arrive),
    T(a_client_that_hangs_up_while_its_topic_is_made_harms_nobody), T(topics_are_deleted_in_every_version), T(a_topic_is_deleted_by_its_id),
    T(deletion_is_refused_as_a_whole_or_row_by_row), T(a_topic_named_twice_is_deleted_once), T(partitions_are_added_in_every_version),
    T(settings_are_described_in_every_version), T(brokers_and_loggers_are_described), T(settings_are_changed_in_every_version),
    T(the_cluster_is_described_as_the_listener_sees_it), T(endpoints_that_a_broker_is_not_are_refused),
    T(the_topic_of_the_groups_is_made_when_a_group_asks), T(a_group_belongs_to_the_partition_that_javas_hash_says),
    T(no_topic_is_made_for_transactional_ids_and_share_groups_or_without_the_brokers_for_it),
    T(offsets_of_the_oldest_consumers_are_kept_in_zookeeper), T(a_group_that_is_no_path_and_metadata_too_long_are_refused_in_version_0))
