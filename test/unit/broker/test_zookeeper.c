/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker whose ZooKeeper loses connections and ends sessions: at every single operation of a start, of each request that changes the cluster,
 * and of what the controller does about it.  Afterwards the client's answer is true and everybody agrees (agree.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "test/unit/broker/agree.h"
#include "wire/api.h"

static const struct { enum zk_fault kind; const char *name; bool expires; } faults[] = {
	{ ZK_FAULT_LOSS_BEFORE, "connection lost before", false }, { ZK_FAULT_LOSS_AFTER, "connection lost after", false },
	{ ZK_FAULT_EXPIRE_BEFORE, "session expired before", true }, { ZK_FAULT_EXPIRE_AFTER, "session expired after", true },
};

struct scene {
	struct world w;
	struct node n;
	struct client c;
	struct agree agree;
	unsigned round;
	int64_t	 producer_id, producer_id_before;
	char topic[32];		/* this round's */
	char when[128];
};

static const char settings[] = "offsets.topic.num.partitions=2\n";

static void
scene_start(struct scene *s)
{
	node_make_with(&s->n, &s->w, 1, "a", settings);
	must(node_start(&s->n));
	client_open(&s->c, &s->n);
}

static void
scene_open(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->producer_id_before = -1;
	world_init_virtual(&s->w);
	scene_start(s);
}

static void
scene_close(struct scene *s)
{
	client_close(&s->c);
	node_end(&s->n);
	CHECK(!there(&s->w, "/brokers/ids/1"));
	CHECK(!there(&s->w, "/controller"));
	CHECK(!s->n.must_stop);
	zk_tree_check(zk_fake_tree(s->w.fake));
	world_fini(&s->w);
	agree_fini(&s->agree);
}

/* ---- what a client asks ---- */

#define NEW(s, name)		WIRE_NEW(&(s)->c.arena, name)
#define ARRAY(s, name, n)	WIRE_NEW_ARRAY(&(s)->c.arena, name, n)

/* No answer counts as an error, which none of the tests takes for a success. */
#define ERROR_OF(a, list, i)	((a) == NULL || (a)->list.n <= (i) ? KERR_UNKNOWN_SERVER_ERROR : (enum kerr)(a)->list.v[i].error_code)

static enum kerr
create(struct scene *s)
{
	struct wire_create_topics_request *q = NEW(s, create_topics_request);
	struct wire_create_topics_response *a;

	q->topics.v = ARRAY(s, create_topics_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(s->topic);
	q->topics.v[0].num_partitions = 2;
	q->topics.v[0].replication_factor = 1;
	q->topics.v[0].configs.v = ARRAY(s, create_topics_request_config, q->topics.v[0].configs.n = 1);
	q->topics.v[0].configs.v[0].name = slice_str("retention.ms");
	q->topics.v[0].configs.v[0].value = slice_str("77777777");
	q->timeout_ms = 30000;
	a = client_ask(&s->c, API_CREATE_TOPICS, 7, q);
	return (ERROR_OF(a, topics, 0));
}

static enum kerr
grow(struct scene *s)
{
	struct wire_create_partitions_request *q = NEW(s, create_partitions_request);
	struct wire_create_partitions_response *a;

	q->topics.v = ARRAY(s, create_partitions_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(s->topic);
	q->topics.v[0].count = 4;
	q->topics.v[0].assignments.n = -1;
	q->timeout_ms = 30000;
	a = client_ask(&s->c, API_CREATE_PARTITIONS, 3, q);
	return (ERROR_OF(a, results, 0));
}

static enum kerr
configure(struct scene *s)
{
	struct wire_incremental_alter_configs_request *q = NEW(s, incremental_alter_configs_request);
	struct wire_incremental_alter_configs_response *a;

	q->resources.v = ARRAY(s, incremental_alter_configs_request_resource, q->resources.n = 1);
	q->resources.v[0].resource_type = 2;	/* topic */
	q->resources.v[0].resource_name = slice_str(s->topic);
	q->resources.v[0].configs.v = ARRAY(s, incremental_alter_configs_request_config, q->resources.v[0].configs.n = 1);
	q->resources.v[0].configs.v[0].name = slice_str("retention.ms");
	q->resources.v[0].configs.v[0].value = slice_str("123456789");
	a = client_ask(&s->c, API_INCREMENTAL_ALTER_CONFIGS, 1, q);
	return (ERROR_OF(a, responses, 0));
}

static enum kerr
reassign(struct scene *s)
{
	struct wire_alter_partition_reassignments_request *q = NEW(s, alter_partition_reassignments_request);
	struct wire_alter_partition_reassignments_response *a;
	static int32_t one = 1;

	q->topics.v = ARRAY(s, alter_partition_reassignments_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(s->topic);
	q->topics.v[0].partitions.v = ARRAY(s, alter_partition_reassignments_request_partition, q->topics.v[0].partitions.n = 1);
	q->topics.v[0].partitions.v[0].replicas.v = &one;
	q->topics.v[0].partitions.v[0].replicas.n = 1;
	a = client_ask(&s->c, API_ALTER_PARTITION_REASSIGNMENTS, 0, q);
	if (a == NULL || a->error_code != 0)
		return (a == NULL ? KERR_UNKNOWN_SERVER_ERROR : (enum kerr)a->error_code);
	return (a->responses.n != 1 || a->responses.v[0].partitions.n != 1 ? KERR_UNKNOWN_SERVER_ERROR :
	    (enum kerr)a->responses.v[0].partitions.v[0].error_code);
}

static enum kerr
discard(struct scene *s)
{
	struct wire_delete_topics_request *q = NEW(s, delete_topics_request);
	struct wire_delete_topics_response *a;

	q->topics.v = ARRAY(s, delete_topics_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(s->topic);
	q->timeout_ms = 30000;
	a = client_ask(&s->c, API_DELETE_TOPICS, 6, q);
	return (ERROR_OF(a, responses, 0));
}

static enum kerr
init_producer(struct scene *s)
{
	struct wire_init_producer_id_request *q = NEW(s, init_producer_id_request);
	struct wire_init_producer_id_response *a;

	q->transactional_id = SLICE_NULL;
	q->producer_id = -1;
	q->producer_epoch = -1;
	a = client_ask(&s->c, API_INIT_PRODUCER_ID, 4, q);
	if (a == NULL || a->error_code != 0)
		return (a == NULL ? KERR_UNKNOWN_SERVER_ERROR : (enum kerr)a->error_code);
	s->producer_id = a->producer_id;
	return (KERR_NONE);
}

/* ---- at every operation ---- */

struct deed {
	const char  *name;
	enum kerr  (*ask)(struct scene *);
	enum kerr    done;	/* what an earlier attempt that failed may have left: the next one says this */
	void	   (*prepare)(struct scene *), (*verify)(struct scene *, const char *);
};

static bool
is_clear(enum kerr e)
{
	return (e == KERR_NOT_CONTROLLER || e == KERR_STALE_CONTROLLER_EPOCH || e == KERR_REQUEST_TIMED_OUT);
}

/* The request under this fault at its n-th operation, and again until it has been done; false: there was no n-th operation. */
static bool
one_round(struct scene *s, const struct deed *d, size_t f, uint64_t nth)
{
	enum kerr e = KERR_NONE;
	bool fired;

	str_format(s->topic, sizeof(s->topic), "t%u", s->round++);
	str_format(s->when, sizeof(s->when), "%s, %s operation %" PRIu64, d->name, faults[f].name, nth);
	client_reset(&s->c);
	if (!agree_wait(&s->agree, &s->n, s->when))	/* what verified the last round may have met its fault */
		return (false);
	if (d->prepare != NULL)
		d->prepare(s);
	if (!agree_wait(&s->agree, &s->n, s->when))
		return (false);
	zk_fake_fault(s->n.session->own, faults[f].kind, nth);
	for (int attempt = 0; attempt < 20; attempt++) {
		e = d->ask(s);
		if (e == KERR_NONE || (attempt > 0 && e == d->done))
			break;
		if (!unit_check(e == KERR_COORDINATOR_LOAD_IN_PROGRESS || (faults[f].expires && is_clear(e)), __FILE__, __LINE__, "%s: %s",
		    s->when, kerr_name(e)) ||
		    !agree_wait(&s->agree, &s->n, s->when))
			return (false);
	}
	if (!unit_check(e == KERR_NONE || e == d->done, __FILE__, __LINE__, "%s: in the end %s", s->when, kerr_name(e)) ||
	    !agree_wait(&s->agree, &s->n, s->when))
		return (false);
	d->verify(s, s->when);
	fired = !zk_fake_faults_pending(s->n.session->own);
	zk_fake_forget_faults(s->n.session->own);
	return (fired && !s->n.ended);
}

static void
at_every_operation(const struct deed *d)
{
	struct scene s;

	scene_open(&s);
	for (size_t f = 0; f < NELEM(faults); f++) {
		uint64_t nth = 1;

		while (one_round(&s, d, f, nth))
			nth++;
		if (getenv("OTTLA_TEST_VERBOSE") != NULL)
			fprintf(stderr, "%s, %s: %" PRIu64 " operations\n", d->name, faults[f].name, nth - 1);
		unit_check(nth > 2 && !s.n.ended, __FILE__, __LINE__, "%s was tried in %" PRIu64 " places", d->name, nth - 1);
	}
	scene_close(&s);
}

/* ---- what is to be there afterwards ---- */

static void
with_topic(struct scene *s)
{
	CHECK_EQ(create(s), KERR_NONE);
}

static void
drop_note(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct scene *s = ctx;

	(void)data;
	(void)stat;
	if (zk_path_below(path, ZK_CONFIG_CHANGES) != NULL)
		zk_delete(s->w.user, path, ZK_ANY_VERSION, ignore_result, NULL);
}

/* Old notifications are looked at again with each new one: each round would have one operation more than the one before. */
static void
with_topic_and_no_notes(struct scene *s)
{
	with_topic(s);
	zk_tree_walk(zk_fake_tree(s->w.fake), drop_note, s);
}

static bool
topic_node(struct scene *s, const char *below)
{
	char path[100];

	str_format(path, sizeof(path), "/brokers/topics/%s%s", s->topic, below);
	return (there(&s->w, path));
}

static bool
config_says(struct scene *s, const char *value)
{
	struct topic_overrides *t;
	struct finder f;
	char path[100];

	str_format(path, sizeof(path), "/config/topics/%s", s->topic);
	HASH_FIND_STR(s->n.broker->topics, s->topic, t);
	return (look(&s->w, path, &f) && strstr(f.data, value) != NULL && t != NULL && config_map_get(&t->map, "retention.ms") != NULL &&
	    strcmp(config_map_get(&t->map, "retention.ms"), value) == 0);
}

static void
is_created(struct scene *s, const char *when)
{
	char dir[64];

	unit_check(topic_node(s, "/partitions/1/state"), __FILE__, __LINE__, "%s: the topic is there", when);
	str_format(dir, sizeof(dir), "%s-1/partition.metadata", s->topic);
	unit_check(file_there("a", dir), __FILE__, __LINE__, "%s: its log is there", when);
	unit_check(config_says(s, "77777777"), __FILE__, __LINE__, "%s: its settings are those asked for", when);
}

static void
is_grown(struct scene *s, const char *when)
{
	unit_check(topic_node(s, "/partitions/3/state"), __FILE__, __LINE__, "%s: it has four partitions", when);
}

static void
is_configured(struct scene *s, const char *when)
{
	for (int i = 0; i < 2000 && !config_says(s, "123456789"); i++)
		if (!turn(&s->n))
			idle(&s->n);
	unit_check(config_says(s, "123456789"), __FILE__, __LINE__, "%s: the new setting is in force", when);
}

static void
find_trace(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct scene *s = ctx;
	const char *last = strrchr(path, '/');

	(void)data;
	(void)stat;
	if (strcmp(last + 1, s->topic) == 0)
		unit_check(false, __FILE__, __LINE__, "%s: %s is left over", s->when, path);
}

static void
is_deleted(struct scene *s, const char *when)
{
	char dir[64];

	(void)when;
	zk_tree_walk(zk_fake_tree(s->w.fake), find_trace, s);
	str_format(dir, sizeof(dir), "%s-1", s->topic);
	unit_check(!file_there("a", dir), __FILE__, __LINE__, "%s: its log is gone", s->when);
}

static void
is_unchanged(struct scene *s, const char *when)
{
	unit_check(topic_node(s, "/partitions/1/state") && !topic_node(s, "/partitions/2"), __FILE__, __LINE__, "%s: it is as it was", when);
}

/* A broker that has just started asks ZooKeeper for a block at its first request. */
static void
started_anew(struct scene *s)
{
	client_close(&s->c);
	node_end(&s->n);
	scene_start(s);
}

static void
is_new_id(struct scene *s, const char *when)
{
	unit_check(s->producer_id > s->producer_id_before, __FILE__, __LINE__, "%s: producer id %" PRId64 " after %" PRId64, when, s->producer_id,
	    s->producer_id_before);
	s->producer_id_before = s->producer_id;
}

TEST(a_topic_is_created_under_every_fault)
{
	at_every_operation(&(struct deed){ "creation", create, KERR_TOPIC_ALREADY_EXISTS, NULL, is_created });
}

TEST(a_topic_is_deleted_under_every_fault)
{
	at_every_operation(&(struct deed){ "deletion", discard, KERR_UNKNOWN_TOPIC_OR_PARTITION, with_topic, is_deleted });
}

TEST(a_topic_grows_under_every_fault)
{
	at_every_operation(&(struct deed){ "growth", grow, KERR_INVALID_PARTITIONS, with_topic, is_grown });
}

TEST(a_setting_is_changed_under_every_fault)
{
	at_every_operation(&(struct deed){ "change of a setting", configure, KERR_NONE, with_topic_and_no_notes, is_configured });
}

TEST(a_reassignment_is_carried_out_under_every_fault)
{
	at_every_operation(&(struct deed){ "reassignment", reassign, KERR_NONE, with_topic, is_unchanged });
}

TEST(producer_ids_are_given_out_once_under_every_fault)
{
	at_every_operation(&(struct deed){ "producer id", init_producer, KERR_NONE, started_anew, is_new_id });
}

/* ---- start ---- */

/* A cluster with two topics, one of them to be deleted; a broker that starts in it under this fault; false: there was no such operation. */
static bool
start_under(size_t f, uint64_t nth, struct agree *agree, struct world *w, bool *up)
{
	bool fired;
	struct node n;
	char when[100];

	str_format(when, sizeof(when), "start, %s operation %" PRIu64, faults[f].name, nth);
	node_make_with(&n, w, 1, "a", settings);
	broker_start(n.broker);
	while (n.session == NULL)
		turn(&n);
	zk_fake_fault(n.session->own, faults[f].kind, nth);
	for (int i = 0; i < 20000 && !n.started && !n.ended; i++)
		if (!turn(&n))
			idle(&n);
	*up = n.started;
	if (n.ended) {		/* in order, and it says why: the next start is another attempt */
		unit_check(faults[f].expires && n.failed != OK && n.why[0] != '\0', __FILE__, __LINE__, "%s: it ended: %s", when, n.why);
		node_free(&n);
		fired = true;
	} else {
		unit_check(n.started, __FILE__, __LINE__, "%s: it is up", when);
		(void)agree_wait(agree, &n, when);
		fired = !zk_fake_faults_pending(n.session->own);
		node_end(&n);
	}
	unit_check(!there(w, "/brokers/ids/1") && !there(w, "/controller"), __FILE__, __LINE__, "%s: nothing is left of it", when);
	return (fired);
}

static void
fresh_directory(void)
{
	char path[600];

	str_format(path, sizeof(path), "%s/a", unit_tmpdir());
	CHECK_EQ(fs_remove_tree(fs_real(), path, NULL), OK);
}

/* first: each time in an empty ZooKeeper and empty directories; else in a cluster that has been used. */
static void
starts(bool first)
{
	struct agree agree = { 0 };
	unsigned ended = 0, tried = 0;
	struct world w;
	bool up, more;

	for (size_t f = 0; f < NELEM(faults); f++) {
		for (uint64_t nth = 1;; nth++) {
			if (first || nth == 1) {
				fresh_directory();
				world_init_virtual(&w);
				agree.controller_epoch = 0;
			}
			if (!first) {
				char name[20];

				if (nth == 1)
					make_paths(&w);
				str_format(name, sizeof(name), "new%" PRIu64, nth);	/* a topic that nobody has given its states yet */
				make_topic(&w, name, 1);
				str_format(name, sizeof(name), "new%" PRIu64, nth - 1);	/* one that is to go */
				zk_create(w.user, zk_path_delete_topic(name).s, SLICE_NULL, ZK_PERSISTENT, ignore_result, NULL);
				zk_fake_settle(w.control);
			}
			more = start_under(f, nth, &agree, &w, &up);
			tried++;
			ended += !up;
			if (first || !more)
				world_fini(&w);
			if (!more)
				break;
		}
	}
	if (getenv("OTTLA_TEST_VERBOSE") != NULL)
		fprintf(stderr, "%u starts, %u gave up with a word\n", tried, ended);
	agree_fini(&agree);
}

TEST(the_first_start_succeeds_or_says_why_under_every_fault) { starts(true); }
TEST(a_start_in_a_used_cluster_succeeds_or_says_why_under_every_fault) { starts(false); }

UNIT_MAIN("broker/zookeeper",
    T(the_first_start_succeeds_or_says_why_under_every_fault),
    T(a_start_in_a_used_cluster_succeeds_or_says_why_under_every_fault),
    T(a_topic_is_created_under_every_fault), T(a_topic_is_deleted_under_every_fault), T(a_topic_grows_under_every_fault),
    T(a_setting_is_changed_under_every_fault), T(a_reassignment_is_carried_out_under_every_fault),
    T(producer_ids_are_given_out_once_under_every_fault))
