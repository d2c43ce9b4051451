/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/topics.c - topics that appear, grow and vanish in ZooKeeper (TopicChange, PartitionModifications), and the nodes that other
 * programs leave for the controller.
 */
#include "controller/controller_int.h"

/* ---- the data of one topic ---- */

static void
topic_fired(struct zk_watcher *w, enum zk_event e, const char *path)
{
	struct ctl_topic *t = CONTAINER_OF(w, struct ctl_topic, watcher);

	(void)path;
	if (e != ZK_DELETED)	/* that one comes through the list of topics */
		event_push(t->owner, EVENT_PARTITIONS, t->name);
}

void
topics_watch(struct controller *c, struct ctl_topic *t)
{
	t->owner = c;
	zk_watcher_init(&t->watcher, topic_fired);
}

bool
topic_take(struct controller *c, struct ctl_topic *t, const struct zk_result *r, struct partition_list *fresh, bool *lacks_id)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_info info;
	uint32_t before = t->npartitions;

	if (r->error == ZKE_NO_NODE)
		return (false);
	if (r->error != ZKE_OK || zk_topic_decode(&c->work, r->data, &info, &eb) != OK) {
		diag_error(c->opt.diag, "controller", "topic %s cannot be understood and is left alone: %s", t->name,
		    r->error != ZKE_OK ? zke_text(r->error) : eb.text);
		return (false);
	}
	for (uint32_t i = 0; i < info.npartitions; i++)
		if (info.partitions[i].replicas.n == 0)
			diag_error(c->opt.diag, "controller", "topic %s: partition %d has no replicas in /brokers/topics/%s", t->name, info.partitions[i].id, t->name);
	if (info.npartitions == 0)
		diag_error(c->opt.diag, "controller", "topic %s has no partitions in /brokers/topics/%s: what brokers hold of it is not served", t->name, t->name);
	*lacks_id = uuid_is_zero(info.id) && uuid_is_zero(t->id);
	if (uuid_is_zero(t->id))
		t->id = info.id;
	for (uint32_t i = 0; i < info.npartitions; i++) {
		const struct zk_topic_partition *said = &info.partitions[i];
		struct ctl_partition *p;

		if (topic_partition(t, said->id) != NULL)
			continue;
		p = context_add_partition(t, said->id, said->replicas.v, said->replicas.n);
		p->adding = id_list_copy(said->adding.v, said->adding.n);
		p->removing = id_list_copy(said->removing.v, said->removing.n);
	}
	if (t->npartitions == before)
		return (true);
	/* Pointers are taken after the last one was added: adding moves them. */
	for (uint32_t i = 0; i < t->npartitions; i++)
		if (t->partitions[i].state == PARTITION_NONEXISTENT)
			list_add(fresh, &t->partitions[i]);
	return (true);
}

/* ---- TopicChange ---- */

static void
created(struct controller *c)
{
	batch_send(c);
	event_done(c);
}

static void
new_topics_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct partition_list fresh = { NULL, 0, 0 };

	if (step_lost(c, r, n, "reading topics"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_topic *t = context_topic(&c->ctx, zk_path_below(r[i].path, ZK_TOPICS));
		bool lacks_id = false;

		if (t != NULL && !topic_take(c, t, &r[i], &fresh, &lacks_id)) {
			zk_unwatch(c->opt.zk, &t->watcher);
			context_remove_topic(&c->ctx, t);
		}
		if (lacks_id)
			diag_warning(c->opt.diag, "controller", "topic %s was made without an id; it gets one at the next failover", t->name);
	}
	machine_create(c, &fresh, created);
	list_clear(&fresh);
}

static bool
listed(const struct zk_result *r, const char *name)
{
	for (uint32_t i = 0; i < r->nchildren; i++)
		if (strcmp(r->children[i], name) == 0)
			return (true);
	return (false);
}

/* Topics whose node is gone without a deletion of ours: somebody removed it by hand.  Kafka forgets them too; the replicas' files stay. */
static void
forget_vanished(struct controller *c, const struct zk_result *r)
{
	struct ctl_topic *t, *tmp;

	if (HASH_COUNT(c->ctx.topics) <= r->nchildren - c->new_topics)
		return;
	HASH_ITER(hh, c->ctx.topics, t, tmp) {
		if (listed(r, t->name))
			continue;
		diag_warning(c->opt.diag, "controller", "topic %s has vanished from ZooKeeper", t->name);
		zk_unwatch(c->opt.zk, &t->watcher);
		context_remove_topic(&c->ctx, t);
	}
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
	c->new_topics = 0;
	for (uint32_t i = 0; i < r->nchildren; i++)
		c->new_topics += context_topic(&c->ctx, r->children[i]) == NULL;
	forget_vanished(c, r);
	for (uint32_t i = 0; i < r->nchildren; i++) {
		struct ctl_topic *t;

		if (context_topic(&c->ctx, r->children[i]) != NULL || !topic_name_usable(c, r->children[i]))
			continue;
		t = context_add_topic(&c->ctx, r->children[i], UUID_ZERO);
		topics_watch(c, t);
		ops[nops++] = ZK_GET(work_path(c, zk_path_topic(t->name)), &t->watcher);
	}
	step_read(c, ops, nops, new_topics_read);
}

void
topics_run(struct controller *c)
{
	struct zk_op op = ZK_GET_CHILDREN(ZK_TOPICS, &c->topics_watch);

	step_read(c, &op, 1, topics_listed);
}

/* ---- PartitionModifications ---- */

static void
topic_reread(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct ctl_topic *t = context_topic(&c->ctx, c->current->topic);
	struct partition_list fresh = { NULL, 0, 0 };
	bool lacks_id = false;

	if (step_lost(c, r, n, "reading a topic"))
		return;
	if (t == NULL || r->error != ZKE_OK || t->deleting) {
		if (t != NULL && t->deleting)
			diag_warning(c->opt.diag, "controller", "topic %s is being deleted: new partitions are ignored", t->name);
		event_done(c);
		return;
	}
	topic_take(c, t, r, &fresh, &lacks_id);
	machine_create(c, &fresh, created);
	list_clear(&fresh);
}

void
partitions_run(struct controller *c, const char *topic)
{
	struct ctl_topic *t = context_topic(&c->ctx, topic);
	struct zk_op op;

	if (t == NULL) {
		event_done(c);
		return;
	}
	op = ZK_GET(work_path(c, zk_path_topic(topic)), &t->watcher);
	step_read(c, &op, 1, topic_reread);
}

/* ---- notifications of ISR changes: looked at and removed ---- */

static void
notes_gone(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "deleting notifications"))
		event_done(c);
}

static void
notes_seen(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops;

	(void)n;
	if (r->error != ZKE_OK) {
		controller_trouble(c, r->error, "listing notifications");
		return;
	}
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)r->nchildren + 1);
	for (uint32_t i = 0; i < r->nchildren; i++)
		ops[i] = ZK_DELETE(work_path(c, zk_path_child(ZK_ISR_CHANGES, r->children[i])), ZK_ANY_VERSION);
	step_write(c, ops, r->nchildren, notes_gone);
}

void
isr_notes_run(struct controller *c)
{
	struct zk_op op = ZK_GET_CHILDREN(ZK_ISR_CHANGES, &c->isr_watch);

	step_read(c, &op, 1, notes_seen);
}

/* ---- /admin/preferred_replica_election and /admin/reassign_partitions: legacy requests of old tools ---- */

static void
admin_node_gone(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "deleting an admin request"))
		event_done(c);
}

/* With one broker that can hold replicas, every partition is led by its only possible leader, and there is nowhere to move one to. */
static void
admin_node_seen(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op op;

	(void)n;
	if (r->error != ZKE_OK) {
		if (r->error != ZKE_NO_NODE) {
			controller_trouble(c, r->error, "reading an admin request");
			return;
		}
		if (r[1].error == ZKE_OK)	/* it came between the two: its watch will not tell */
			event_push(c, c->current->kind, NULL);
		event_done(c);
		return;
	}
	diag_warning(c->opt.diag, "controller", "%s: removed; this cluster has one broker that can hold replicas", r->path);
	op = ZK_DELETE(work_path(c, (c->current->kind == EVENT_PREFERRED ? zk_path_child("/admin", "preferred_replica_election") :
	    zk_path_child("/admin", "reassign_partitions"))), ZK_ANY_VERSION);
	step_write(c, &op, 1, admin_node_gone);
}

void
admin_node_run(struct controller *c, const char *path, struct zk_watcher *w)
{
	struct zk_op ops[2] = { ZK_GET(path, NULL), ZK_EXISTS(path, w) };

	step_read(c, ops, 2, admin_node_seen);
}
