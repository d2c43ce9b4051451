/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/failover.c - a broker has just been elected: it reads the cluster and puts it in order (KafkaController.onControllerFailover).
 *
 * ORDER (as Kafka's)
 *    1 /feature exists and says what this version says
 *    2 stale notifications of log directories and ISRs are deleted, their parents watched
 *    3 live brokers                                 (watched).  Waits until our own registration is among them: after a session expiry
 *      the election may be faster than it, and without us every partition would look leaderless
 *    4 topics, their assignments                    (watched); topics without an id get one
 *    5 partition states
 *    6 topics waiting for deletion                  (watched)
 *    7 UpdateMetadata with the live brokers, so that they are known before the first LeaderAndIsr
 *    8 replicas: those on live brokers come online (LeaderAndIsr for every partition with a state), those on dead ones leave the ISRs
 *    9 partitions: elections for those without a live leader, states for those without any
 *   10 the legacy admin nodes, reassignments that were begun, then topic deletions
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/controller_int.h"

static void fo_notes(struct controller *);
static void fo_brokers(struct controller *);
static void fo_topics(struct controller *);
static void fo_states(struct controller *);
static void fo_deletions(struct controller *);
static void fo_replicas(struct controller *);
static void fo_partitions(struct controller *);
static void fo_rest(struct controller *);

/* ---- 1 ---- */

static void
feature_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	(void)n;
	if (r->error != ZKE_OK && r->error != ZKE_NODE_EXISTS) {
		controller_trouble(c, r->error, "writing /feature");
		return;
	}
	fo_notes(c);
}

/* A ZooKeeper-mode broker of 3.9 finalises no feature of its own; levels that stand there are kept. */
static void
feature_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_feature_info f = { .version = 2, .status = 1 };
	struct errbuf eb = ERRBUF_INIT;
	struct zk_op op;

	(void)n;
	if (r->error == ZKE_NO_NODE) {
		op = ZK_CREATE(ZK_FEATURE, zk_feature_encode(&c->work, &f));
		step_read(c, &op, 1, feature_written);	/* unfenced, as in Kafka */
		return;
	}
	if (r->error != ZKE_OK) {
		controller_trouble(c, r->error, "reading /feature");
		return;
	}
	if (zk_feature_decode(&c->work, r->data, &f, &eb) == OK && f.version == 2 && f.status == 1) {
		fo_notes(c);
		return;
	}
	f.version = 2;
	f.status = 1;
	op = ZK_SET(ZK_FEATURE, zk_feature_encode(&c->work, &f), r->stat.version);
	step_read(c, &op, 1, feature_written);
}

void
failover_run(struct controller *c)
{
	struct zk_op op = ZK_GET(ZK_FEATURE, NULL);

	step_read(c, &op, 1, feature_read);
}

/* ---- 2 ---- */

static void
notes_deleted(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "deleting stale notifications"))
		fo_brokers(c);
}

static uint32_t
notes_ops(struct controller *c, const struct zk_result *r, const char *parent, struct zk_op *ops)
{
	for (uint32_t i = 0; i < r->nchildren; i++)
		ops[i] = ZK_DELETE(work_path(c, zk_path_child(parent, r->children[i])), ZK_ANY_VERSION);
	return (r->nchildren);
}

static void
notes_listed(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops;
	uint32_t total;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].error != ZKE_OK) {
			controller_trouble(c, r[i].error, "listing notifications");
			return;
		}
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)r[0].nchildren + r[1].nchildren + 1);
	total = notes_ops(c, &r[0], ZK_LOG_DIR_EVENTS, ops);
	total += notes_ops(c, &r[1], ZK_ISR_CHANGES, ops + total);
	step_write(c, ops, total, notes_deleted);
}

static void
fo_notes(struct controller *c)
{
	struct zk_op ops[2] = { ZK_GET_CHILDREN(ZK_LOG_DIR_EVENTS, &c->log_dir_watch), ZK_GET_CHILDREN(ZK_ISR_CHANGES, &c->isr_watch) };

	step_read(c, ops, 2, notes_listed);
}

/* ---- 3, and EVENT_BROKERS ---- */

enum { REGISTRATION_POLL_MS = 20 };

struct brokers_ask { struct controller *c; uint64_t reign; };

static bool
lists(const struct zk_broker_entry *entries, uint32_t n, int32_t id)
{
	for (uint32_t i = 0; i < n; i++)
		if (entries[i].info.id == id)
			return (true);
	return (false);
}

/* Neither gone nor registered anew: its channel stays, and the answers that are under way come. */
static bool
goes_on(const struct zk_broker_entry *entries, uint32_t n, const struct ctl_broker *b)
{
	for (uint32_t i = 0; i < n; i++)
		if (entries[i].info.id == b->id)
			return (entries[i].epoch == b->epoch);
	return (false);
}

static void
brokers_listed(void *v, enum err e, const struct zk_broker_entry *entries, uint32_t n, const struct errbuf *why)
{
	struct brokers_ask ask = *(struct brokers_ask *)v;
	struct controller *c = ask.c;
	bool failover;

	free(v);
	if (ask.reign != c->reign) {
		/* The list went on after its reign had ended and its watches were dropped: it has armed some again. */
		zk_unwatch(c->opt.zk, &c->brokers_watch);
		event_push(c, EVENT_BROKERS, NULL);	/* a new reign lost its own with them */
	}
	if (!step_release(c, ask.reign))
		return;
	if (e != OK) {
		diag_error(c->opt.diag, "controller", "listing brokers: %s", why->text);
		controller_trouble(c, e == ERR_ZK_EXPIRED ? ZKE_SESSION_EXPIRED : ZKE_OTHER, "listing brokers");
		return;
	}
	failover = c->current->kind == EVENT_FAILOVER;
	if (failover && !lists(entries, n, c->opt.broker_id)) {
		timer_set(c->opt.loop, &c->wait_timer, REGISTRATION_POLL_MS);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		if (entries[i].info.id != c->opt.broker_id && context_broker(&c->ctx, entries[i].info.id) == NULL && c->opt.foreign_broker != NULL)
			c->opt.foreign_broker(c->opt.ctx, entries[i].info.id);
	for (uint32_t i = 0; i < c->ctx.nbrokers; i++)
		if (!goes_on(entries, n, c->ctx.brokers[i]))
			deletion_broker_lost(c, c->ctx.brokers[i]->id);
	context_set_brokers(&c->ctx, entries, n, c->opt.channel_open, c->opt.ctx);
	if (failover)
		fo_topics(c);
	else
		fo_replicas(c);
}

static void
fo_brokers(struct controller *c)
{
	struct brokers_ask *ask = xmalloc(sizeof(*ask));

	*ask = (struct brokers_ask){ c, c->reign };
	step_hold(c);
	zk_brokers_list(c->opt.zk, &c->brokers_watch, brokers_listed, ask);
}

void
failover_wait_over(struct timer *timer)
{
	fo_brokers(CONTAINER_OF(timer, struct controller, wait_timer));
}

/* Brokers came or went.  What follows is what a failover does after reading: everybody is told, replicas of the dead leave, leaders are
 * elected.  The requests that repeat what a broker knows already are refused by their epochs and change nothing. */
void
brokers_run(struct controller *c)
{
	fo_brokers(c);
}

/* ---- 4 ---- */

static void
ids_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "giving topics their ids"))
		return;
	/* A node that changed since it was read may have the id we chose (a lost answer) or another one: only reading all anew tells.  A
	 * topic that is gone needs none. */
	for (uint32_t i = 0; i < n; i++)
		if (r[i].error != ZKE_OK && r[i].error != ZKE_NO_NODE) {
			controller_trouble(c, r[i].error, "giving topics their ids");
			return;
		}
	fo_states(c);
}

static struct zk_op
id_op(struct controller *c, struct ctl_topic *t, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_info info;

	must(zk_topic_decode(&c->work, r->data, &info, &eb) == OK);	/* it was decoded a moment ago */
	info.id = t->id = uuid_random(c->opt.random);
	return (ZK_SET(work_path(c, zk_path_topic(t->name)), zk_topic_encode(&c->work, &info), r->stat.version));
}

static void
topics_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)n + 1);
	struct partition_list fresh = { NULL, 0, 0 };
	uint32_t nops = 0;

	if (step_lost(c, r, n, "reading topics"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_topic *t = context_topic(&c->ctx, zk_path_below(r[i].path, ZK_TOPICS));
		bool lacks_id = false;

		if (t == NULL)
			continue;
		if (!topic_take(c, t, &r[i], &fresh, &lacks_id)) {
			zk_unwatch(c->opt.zk, &t->watcher);
			context_remove_topic(&c->ctx, t);
		} else if (lacks_id) {
			ops[nops++] = id_op(c, t, &r[i]);
		}
	}
	list_clear(&fresh);
	step_write(c, ops, nops, ids_written);
}

static void
topics_listed(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops;
	uint32_t nops = 0;

	(void)n;
	if (r->error != ZKE_OK) {
		controller_trouble(c, r->error, "listing topics");
		return;
	}
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)r->nchildren + 1);
	for (uint32_t i = 0; i < r->nchildren; i++) {
		struct ctl_topic *t;

		if (!topic_name_usable(c, r->children[i]))
			continue;
		t = context_add_topic(&c->ctx, r->children[i], UUID_ZERO);
		topics_watch(c, t);
		ops[nops++] = ZK_GET(work_path(c, zk_path_topic(t->name)), &t->watcher);
	}
	step_read(c, ops, nops, topics_read);
}

static void
fo_topics(struct controller *c)
{
	struct zk_op op = ZK_GET_CHILDREN(ZK_TOPICS, &c->topics_watch);

	step_read(c, &op, 1, topics_listed);
}

/* ---- 5 ---- */

static void
states_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "reading partition states"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		if (r[i].error == ZKE_OK)
			machine_take_state(c, c->todo.v[i], &r[i]);
		else if (r[i].error != ZKE_NO_NODE) {
			controller_trouble(c, r[i].error, "reading partition states");
			return;
		}
	}
	fo_deletions(c);
}

static void
fo_states(struct controller *c)
{
	struct ctl_topic *t, *tmp;
	struct zk_op *ops;

	list_clear(&c->todo);
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++)
			list_add(&c->todo, &t->partitions[i]);
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)c->todo.n + 1);
	for (uint32_t i = 0; i < c->todo.n; i++)
		ops[i] = ZK_GET(work_path(c, zk_path_partition_state(c->todo.v[i]->topic->name, c->todo.v[i]->id)), NULL);
	step_read(c, ops, c->todo.n, states_read);
}

/* ---- 6 and 7 ---- */

static void
requests_dropped(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "deleting requests for topics that are not there"))
		return;
	batch_metadata(c, NULL);
	batch_send(c);
	fo_replicas(c);
}

static void
fo_deletions(struct controller *c)
{
	deletion_take_requests(c, requests_dropped);
}

/* ---- 8 ---- */

static void
replica_start(struct controller *c, struct ctl_partition *p, uint32_t i)
{
	bool usable = replica_usable(c, p, i);
	enum replica_machine_state s = p->replica_states[i];

	/* The first look at a replica that exists: Kafka calls those on dead brokers ineligible for deletion. */
	if (s == REPLICA_NONEXISTENT)
		p->replica_states[i] = s = usable ? REPLICA_ONLINE : REPLICA_INELIGIBLE;
	if (!usable || p->topic->deletion_started)
		return;
	if (replica_move_allowed(s, REPLICA_ONLINE))
		replica_move(p, i, REPLICA_ONLINE, c->opt.diag);
	if (p->has_leadership)
		batch_leader_and_isr(c, p, p->replicas.v[i], false);
}

static bool
has_unusable(struct controller *c, const struct ctl_partition *p)
{
	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (!replica_usable(c, p, i))
			return (true);
	return (false);
}

static void
fo_replicas(struct controller *c)
{
	struct partition_list lame = { NULL, 0, 0 };
	struct ctl_topic *t, *tmp;

	batch_metadata(c, NULL);
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++) {
			struct ctl_partition *p = &t->partitions[i];

			for (uint32_t j = 0; j < p->replicas.n; j++)
				replica_start(c, p, j);
			if (!t->deleting && has_unusable(c, p))
				list_add(&lame, p);
		}
	batch_send(c);
	machine_shrink(c, &lame, false, fo_partitions);
	list_clear(&lame);
}

/* ---- 9 ---- */

static void
partition_start(struct controller *c, struct ctl_partition *p)
{
	if (p->state == PARTITION_NONEXISTENT)
		p->state = !p->has_leadership ? PARTITION_NEW : PARTITION_ONLINE;
	if (p->state == PARTITION_ONLINE && !replica_usable_on(c, p, p->l.leader))
		partition_move(p, PARTITION_OFFLINE, c->opt.diag);
}

static void
fo_partitions(struct controller *c)
{
	struct ctl_topic *t, *tmp;

	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++)
			partition_start(c, &t->partitions[i]);
	machine_elect_offline(c, fo_rest);
}

/* ---- 10 ---- */

static void
fo_moved(struct controller *c)
{
	deletion_resume(c, event_done);
}

static void
fo_rest(struct controller *c)
{
	batch_send(c);
	if (c->current->kind != EVENT_FAILOVER) {
		fo_moved(c);
		return;
	}
	event_push(c, EVENT_PREFERRED, NULL);
	event_push(c, EVENT_REASSIGN, NULL);
	moves_resume(c, fo_moved);
}
