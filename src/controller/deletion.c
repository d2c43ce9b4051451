/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/deletion.c - topics go (kafka.controller.TopicDeletionManager).
 *
 * A topic in /admin/delete_topics is queued.  When it may be deleted (all its replicas are on usable brokers, none is being reassigned):
 *   1 UpdateMetadata with leader -2 for all its partitions: clients stop seeing it
 *   2 StopReplica without delete, and every replica leaves the ISR in ZooKeeper
 *   3 StopReplica with delete; each answer is an event
 *   4 when all replicas have answered well: /config/topics/T, /brokers/topics/T and /admin/delete_topics/T are deleted, in this order, and
 *     the topic is forgotten.  A death in between is taken up by the next controller: the request node goes last.  (Kafka deletes the
 *     settings behind the topic; its next controller finds no topic, drops the request and leaves the settings for ever.)
 * A replica that answers an error, or whose broker goes before it answers, makes its topic ineligible; it is tried again with the next request
 * for a deletion, change of brokers or failover.
 */
#include "controller/controller_int.h"

static void deletion_next(struct controller *);

/* ---- the queue ---- */

static bool
all_usable(struct controller *c, const struct ctl_topic *t)
{
	for (uint32_t i = 0; i < t->npartitions; i++)
		for (uint32_t j = 0; j < t->partitions[i].replicas.n; j++)
			if (!replica_usable(c, &t->partitions[i], j))
				return (false);
	return (true);
}

void
deletion_mark(struct controller *c, const char *const *names, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_topic *t = context_topic(&c->ctx, names[i]);

		if (t == NULL)
			continue;
		t->deleting = true;
		t->ineligible = !all_usable(c, t) || topic_moving(t);
		if (t->ineligible)
			diag_warning(c->opt.diag, "controller", "topic %s cannot be deleted yet: %s", t->name, topic_moving(t) ?
			    "it is being reassigned" : "it has replicas on brokers or in log directories that are not there");
	}
}

static bool
all_deleted(const struct ctl_topic *t)
{
	for (uint32_t i = 0; i < t->npartitions; i++)
		for (uint32_t j = 0; j < t->partitions[i].replicas.n; j++)
			if (t->partitions[i].replica_states[j] != REPLICA_DELETED)
				return (false);
	return (true);
}

/* ---- 3: ask for the files to go ---- */

static void
ask_delete(struct controller *c)
{
	struct ctl_topic *t, *tmp;

	HASH_ITER(hh, c->ctx.topics, t, tmp) {
		if (!t->deletion_started)
			continue;
		for (uint32_t i = 0; i < t->npartitions; i++) {
			struct ctl_partition *p = &t->partitions[i];

			for (uint32_t j = 0; j < p->replicas.n; j++)
				if (p->replica_states[j] == REPLICA_OFFLINE && replica_move(p, j, REPLICA_DELETION_STARTED, c->opt.diag))
					batch_stop_replica(c, p, p->replicas.v[j], true);
		}
	}
	batch_send(c);
	deletion_next(c);
}

/* ---- 1 and 2 ---- */

static void
topic_start(struct controller *c, struct ctl_topic *t, struct partition_list *shrink)
{
	t->deletion_started = true;
	for (uint32_t i = 0; i < t->npartitions; i++) {
		struct ctl_partition *p = &t->partitions[i];

		if (p->state != PARTITION_NONEXISTENT) {	/* else a deletion that failed before, and is tried again */
			if (p->state != PARTITION_OFFLINE)
				partition_move(p, PARTITION_OFFLINE, c->opt.diag);
			partition_move(p, PARTITION_NONEXISTENT, c->opt.diag);
		}
		batch_metadata(c, p);
		for (uint32_t j = 0; j < p->replicas.n; j++)
			batch_stop_replica(c, p, p->replicas.v[j], false);
		list_add(shrink, p);
	}
}

static bool
loses_answer(struct ctl_topic *t, int32_t broker_id, struct diag *diag)
{
	bool lost = false;

	for (uint32_t i = 0; i < t->npartitions; i++)
		for (uint32_t j = 0; j < t->partitions[i].replicas.n; j++)
			if (t->partitions[i].replicas.v[j] == broker_id && t->partitions[i].replica_states[j] == REPLICA_DELETION_STARTED)
				lost = replica_move(&t->partitions[i], j, REPLICA_INELIGIBLE, diag) || lost;
	return (lost);
}

void
deletion_broker_lost(struct controller *c, int32_t broker_id)
{
	struct ctl_topic *t, *tmp;

	HASH_ITER(hh, c->ctx.topics, t, tmp)
		if (t->deletion_started && loses_answer(t, broker_id, c->opt.diag)) {
			t->ineligible = true;
			t->deletion_started = false;
		}
}

void
deletion_resume(struct controller *c, void (*next)(struct controller *))
{
	struct partition_list shrink = { NULL, 0, 0 };
	struct ctl_topic *t, *tmp;

	c->after_deletion = next;
	HASH_ITER(hh, c->ctx.topics, t, tmp) {
		if (!t->deleting || t->deletion_started)
			continue;
		t->ineligible = !all_usable(c, t) || topic_moving(t);
		if (!t->ineligible)
			topic_start(c, t, &shrink);
	}
	batch_send(c);
	machine_shrink(c, &shrink, true, ask_delete);
	list_clear(&shrink);
}

/* ---- 4: the nodes go ---- */

static void
node_trouble(struct controller *c, const struct zk_result *r)
{
	controller_trouble(c, r->error, "deleting the nodes of a topic");
}

static bool
gone(const struct zk_result *r)
{
	return (r->error == ZKE_OK || r->error == ZKE_NO_NODE);
}

static void
request_deleted(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct ctl_topic *t = c->deleting_topic;

	(void)n;
	if (!gone(r)) {
		node_trouble(c, r);
		return;
	}
	diag_info(c->opt.diag, "controller", "topic %s is deleted", t->name);
	zk_unwatch(c->opt.zk, &t->watcher);
	context_remove_topic(&c->ctx, t);
	c->deleting_topic = NULL;
	deletion_next(c);
}

static void
topic_node_deleted(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op op;

	(void)n;
	if (!gone(r)) {
		node_trouble(c, r);
		return;
	}
	op = ZK_DELETE(work_path(c, zk_path_delete_topic(c->deleting_topic->name)), ZK_ANY_VERSION);
	step_write(c, &op, 1, request_deleted);
}

static void
config_deleted(struct controller *c, const struct zk_result *r, uint32_t n)
{
	(void)n;
	if (gone(r))
		step_delete_tree(c, work_path(c, zk_path_topic(c->deleting_topic->name)), topic_node_deleted);
	else
		node_trouble(c, r);
}

/* Takes the next topic whose replicas are all gone; none: the round is over. */
static void
deletion_next(struct controller *c)
{
	void (*next)(struct controller *) = c->after_deletion;
	struct ctl_topic *t, *tmp;
	struct zk_op op;

	HASH_ITER(hh, c->ctx.topics, t, tmp) {
		if (!t->deletion_started || t->ineligible || !all_deleted(t))
			continue;
		c->deleting_topic = t;
		op = ZK_DELETE(work_path(c, zk_path_topic_config(t->name)), ZK_ANY_VERSION);
		step_write(c, &op, 1, config_deleted);
		return;
	}
	c->after_deletion = NULL;
	next(c);
}

/* ---- events ---- */

/* Requests for topics that are not there, or that may not be deleted here, are dropped; the others are queued. */
static void
requests_listed(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops;
	uint32_t nops = 0;

	(void)n;
	if (r->error != ZKE_OK) {
		controller_trouble(c, r->error, "listing topics to be deleted");
		return;
	}
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)r->nchildren + 1);
	for (uint32_t i = 0; i < r->nchildren; i++)
		if (!c->opt.delete_topic_enable || context_topic(&c->ctx, r->children[i]) == NULL)
			ops[nops++] = ZK_DELETE(work_path(c, zk_path_delete_topic(r->children[i])), ZK_ANY_VERSION);
	if (c->opt.delete_topic_enable)
		deletion_mark(c, r->children, r->nchildren);
	step_write(c, ops, nops, c->requests_taken);
}

void
deletion_take_requests(struct controller *c, step_fn *taken)
{
	struct zk_op op = ZK_GET_CHILDREN(ZK_DELETE_TOPICS, &c->deletions_watch);

	c->requests_taken = taken;
	step_read(c, &op, 1, requests_listed);
}

static void
taken_at_run_time(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "deleting requests for topics that are not there"))
		deletion_resume(c, event_done);
}

void
deletions_run(struct controller *c)
{
	deletion_take_requests(c, taken_at_run_time);
}

void
deletion_answer_run(struct controller *c, const struct event *e)
{
	struct ctl_topic *t = context_topic(&c->ctx, e->topic);
	struct ctl_partition *p = t == NULL ? NULL : topic_partition(t, e->partition);

	for (uint32_t j = 0; p != NULL && j < p->replicas.n; j++) {
		if (p->replicas.v[j] != e->broker_id || p->replica_states[j] != REPLICA_DELETION_STARTED)
			continue;
		if (e->error == KERR_NONE) {
			replica_move(p, j, REPLICA_DELETED, c->opt.diag);
			continue;
		}
		diag_error(c->opt.diag, "controller", "broker %d could not delete %s-%d: %s", e->broker_id, e->topic, e->partition, kerr_name(e->error));
		replica_move(p, j, REPLICA_INELIGIBLE, c->opt.diag);
		t->ineligible = true;
		t->deletion_started = false;	/* begun anew by the next deletion_resume */
	}
	c->after_deletion = event_done;
	deletion_next(c);
}
