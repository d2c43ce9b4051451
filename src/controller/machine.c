/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/machine.c - partitions come online, get leaders, lose members of their ISR (kafka.controller.ZkPartitionStateMachine,
 * ZkReplicaStateMachine, PartitionLeaderElectionAlgorithms).
 *
 * Each machine works on a list of partitions in rounds of pipelined, fenced ZooKeeper operations, and calls `next` at its end.
 *
 * INVARIANTS
 *   (1) A state znode is changed only by compare-and-set with the partition epoch we know; a conflict leaves the partition as it is, to be tried
 *       again by a later event, after reading it anew.
 *   (2) The context changes only after ZooKeeper has taken the change.  So what we tell brokers always stands in ZooKeeper.
 *   (3) Every election and every shrink raises the leader epoch by one.
 *
 * LOST ANSWER  A create that answers NODE_EXISTS may have been ours: the node is read, and what stands there is the truth, whoever wrote it.
 *	An election whose write finds another version reads it back: a live leader of our own controller epoch is the one we wrote.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/controller_int.h"

/* ---- shared ---- */

static const char *
path_state(struct controller *c, const struct ctl_partition *p)
{
	return (work_path(c, zk_path_partition_state(p->topic->name, p->id)));
}

static struct slice
encode_leadership(struct controller *c, const struct leadership *l)
{
	struct zk_partition_state s = {
	    .controller_epoch = l->controller_epoch,
	    .leader = l->leader,
	    .leader_epoch = l->leader_epoch,
	    .isr = { l->isr.v, l->isr.n },
	    .leader_recovery_state = l->recovery_state,
	};

	return (zk_partition_state_encode(&c->work, &s));
}

struct zk_op
machine_read_op(struct controller *c, const struct ctl_partition *p)
{
	return (ZK_GET(path_state(c, p), NULL));
}

struct zk_op
machine_write_op(struct controller *c, const struct ctl_partition *p, const struct leadership *l)
{
	return (ZK_SET(path_state(c, p), encode_leadership(c, l), p->l.partition_epoch));
}

bool
machine_take_state(struct controller *c, struct ctl_partition *p, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_partition_state s;
	struct leadership l;

	if (zk_partition_state_decode(&c->work, r->data, &s, &eb) != OK) {
		diag_error(c->opt.diag, "controller", "state of %s-%d cannot be understood and is left alone: %s", p->topic->name, p->id, eb.text);
		return (false);
	}
	l = (struct leadership){
	    .leader = s.leader,
	    .leader_epoch = s.leader_epoch,
	    .controller_epoch = s.controller_epoch,
	    .partition_epoch = r->stat.version,
	    .recovery_state = s.leader_recovery_state,
	    .isr = { s.isr.v, s.isr.n },
	};
	partition_set_leadership(p, &l);
	return (true);
}

static void
replicas_online(struct controller *c, struct ctl_partition *p)
{
	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (replica_usable(c, p, i))
			replica_move(p, i, REPLICA_ONLINE, c->opt.diag);
}

/* ---- create: New -> Online ---- */

static void create_done(struct controller *);

static void
create_came_online(struct controller *c, struct ctl_partition *p)
{
	if (!partition_move(p, PARTITION_ONLINE, c->opt.diag))
		return;
	replicas_online(c, p);
	for (uint32_t i = 0; i < p->l.isr.n; i++)
		if (broker_usable(c, p->l.isr.v[i]))
			batch_leader_and_isr(c, p, p->l.isr.v[i], true);
}

/* Those whose create found a node: read it, it may be our own first sending. */
static void
create_read_back(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "reading partition states"))
		return;
	for (uint32_t i = 0; i < n; i++)
		if (r[i].error == ZKE_OK && machine_take_state(c, c->todo2.v[i], &r[i]))
			create_came_online(c, c->todo2.v[i]);
	create_done(c);
}

static void
read_states(struct controller *c, const struct partition_list *list, step_fn *fn)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)list->n + 1);

	for (uint32_t i = 0; i < list->n; i++)
		ops[i] = ZK_GET(path_state(c, list->v[i]), NULL);
	step_read(c, ops, list->n, fn);
}

static void
create_states_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "creating partition states"))
		return;
	list_clear(&c->todo2);
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_partition *p = c->todo.v[i];

		if (r[i].error == ZKE_OK) {
			p->has_leadership = true;
			p->l.partition_epoch = 0;
			create_came_online(c, p);
		} else if (r[i].error == ZKE_NODE_EXISTS) {
			list_add(&c->todo2, p);
		} else {
			diag_error(c->opt.diag, "controller", "%s-%d cannot be created: %s", p->topic->name, p->id, zke_text(r[i].error));
		}
	}
	if (c->todo2.n > 0)
		read_states(c, &c->todo2, create_read_back);
	else
		create_done(c);
}

static void
create_write_states(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)c->todo.n + 1);

	if (step_lost(c, r, n, "creating partition nodes"))
		return;
	for (uint32_t i = 0; i < c->todo.n; i++)
		ops[i] = ZK_CREATE(path_state(c, c->todo.v[i]), encode_leadership(c, &c->todo.v[i]->l));
	step_write(c, ops, c->todo.n, create_states_written);
}

static void
create_partition_nodes(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)c->todo.n + 1);

	if (step_lost(c, r, n, "creating partition nodes"))
		return;
	for (uint32_t i = 0; i < c->todo.n; i++) {
		const struct ctl_partition *p = c->todo.v[i];

		ops[i] = ZK_CREATE(work_path(c, zk_path_partition(p->topic->name, p->id)), SLICE_NULL);
	}
	step_write(c, ops, c->todo.n, create_write_states);
}

static void
create_topic_nodes(struct controller *c)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)c->todo.n + 1);
	uint32_t n = 0;

	/* The list stands topic by topic. */
	for (uint32_t i = 0; i < c->todo.n; i++) {
		const char *topic = c->todo.v[i]->topic->name;

		if (i == 0 || c->todo.v[i - 1]->topic != c->todo.v[i]->topic)
			ops[n++] = ZK_CREATE(work_path(c, zk_path_topic_partitions(topic)), SLICE_NULL);
	}
	step_write(c, ops, n, create_partition_nodes);
}

/* First usable replica leads; all usable ones are the ISR.  false: nobody is there. */
static bool
create_choose(struct controller *c, struct ctl_partition *p)
{
	struct leadership l = { .leader = -1, .controller_epoch = c->ctx.epoch };

	l.isr.v = ARENA_ARRAY(&c->work, int32_t, (size_t)p->replicas.n + 1);
	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (replica_usable(c, p, i))
			l.isr.v[l.isr.n++] = p->replicas.v[i];
	if (l.isr.n == 0) {
		diag_error(c->opt.diag, "controller", "%s-%d stays without a leader: none of its replicas is a live broker", p->topic->name, p->id);
		return (false);
	}
	l.leader = l.isr.v[0];
	partition_set_leadership(p, &l);
	p->has_leadership = false;	/* not before ZooKeeper has it */
	return (true);
}

static void
create_done(struct controller *c)
{
	void (*next)(struct controller *) = c->next;

	c->next = NULL;
	next(c);
}

void
machine_create(struct controller *c, const struct partition_list *list, void (*next)(struct controller *))
{
	struct partition_list todo = { NULL, 0, 0 };

	c->next = next;
	for (uint32_t i = 0; i < list->n; i++) {
		struct ctl_partition *p = list->v[i];

		if (p->state == PARTITION_NONEXISTENT) {
			partition_move(p, PARTITION_NEW, c->opt.diag);
			for (uint32_t j = 0; j < p->replicas.n; j++)
				if (p->replica_states[j] == REPLICA_NONEXISTENT)
					replica_move(p, j, REPLICA_NEW, c->opt.diag);
		}
		if (p->state == PARTITION_NEW && create_choose(c, p))
			list_add(&todo, p);
	}
	list_clear(&c->todo);
	c->todo = todo;
	create_topic_nodes(c);
}

/* ---- elect: Offline -> Online ---- */

struct choice {
	struct leadership l;
	bool	chosen;
	bool	unclean_asked;		/* only an unclean election could help */
};

/* The first of the first n replicas that lives and is in the ISR, which stays as it is. */
static void
prefer(struct controller *c, const struct ctl_partition *p, uint32_t n, struct choice *ch)
{
	uint32_t i = 0;

	*ch = (struct choice){ .l = p->l };
	while (i < n && (!replica_usable(c, p, i) || !id_list_has(p->l.isr, p->replicas.v[i])))
		i++;
	if (i == n)
		return;
	ch->chosen = true;
	ch->l.leader = p->replicas.v[i];
	ch->l.leader_epoch = leader_epoch_after(ch->l.leader_epoch);
	ch->l.controller_epoch = c->ctx.epoch;
}

static void
elect_choose(struct controller *c, const struct ctl_partition *p, bool unclean, struct choice *ch)
{
	*ch = (struct choice){ .l = p->l };
	ch->l.isr = (struct id_list){ ARENA_ARRAY(&c->work, int32_t, (size_t)p->l.isr.n + 1), 0 };
	ch->l.leader = -1;
	for (uint32_t i = 0; i < p->l.isr.n; i++)
		if (replica_usable_on(c, p, p->l.isr.v[i]))
			ch->l.isr.v[ch->l.isr.n++] = p->l.isr.v[i];
	for (uint32_t i = 0; i < p->replicas.n && ch->l.leader < 0; i++)
		if (id_list_has(ch->l.isr, p->replicas.v[i]))
			ch->l.leader = p->replicas.v[i];
	for (uint32_t i = 0; i < p->replicas.n && ch->l.leader < 0; i++) {
		if (!replica_usable(c, p, i))
			continue;
		ch->unclean_asked = true;
		if (!unclean)
			return;
		ch->l.leader = ch->l.isr.v[0] = p->replicas.v[i];
		ch->l.isr.n = 1;
		ch->l.recovery_state = 1;
	}
	ch->chosen = ch->l.leader >= 0;
	ch->l.leader_epoch = leader_epoch_after(ch->l.leader_epoch);
	ch->l.controller_epoch = c->ctx.epoch;
}

static void
elect_done(struct controller *c)
{
	create_done(c);
}

static void
elect_came_online(struct controller *c, struct ctl_partition *p)
{
	if (!partition_move(p, PARTITION_ONLINE, c->opt.diag))
		return;
	p->elected = true;
	replicas_online(c, p);
	for (uint32_t j = 0; j < p->replicas.n; j++)
		if (broker_usable(c, p->replicas.v[j]))
			batch_leader_and_isr(c, p, p->replicas.v[j], false);
}

/* Those whose version was another: if it is our own leader that stands there, the answer to our write was lost. */
static void
elect_read_back(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "reading partition states"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_partition *p = c->todo.v[i];

		if (r[i].error == ZKE_OK && machine_take_state(c, p, &r[i]) && p->l.controller_epoch == c->ctx.epoch &&
		    replica_usable_on(c, p, p->l.leader))
			elect_came_online(c, p);
		else
			diag_warning(c->opt.diag, "controller", "%s-%d: no leader elected: somebody else changed its state", p->topic->name, p->id);
	}
	elect_done(c);
}

/* c->todo2 are the partitions of the writes, c->proposed what they say. */
static void
elect_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct leadership *new = c->proposed;

	if (step_lost(c, r, n, "electing leaders"))
		return;
	list_clear(&c->todo);
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_partition *p = c->todo2.v[i];

		if (r[i].error == ZKE_OK) {
			new[i].partition_epoch = r[i].stat.version;
			partition_set_leadership(p, &new[i]);
			elect_came_online(c, p);
		} else if (r[i].error == ZKE_BAD_VERSION)
			list_add(&c->todo, p);
		else
			diag_warning(c->opt.diag, "controller", "%s-%d: no leader elected: %s", p->topic->name, p->id, zke_text(r[i].error));
	}
	if (c->todo.n > 0)
		read_states(c, &c->todo, elect_read_back);
	else
		elect_done(c);
}

static void
elect_write(struct controller *c, const bool *unclean)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)c->todo.n + 1);
	uint32_t n = 0;

	c->proposed = ARENA_ARRAY(&c->work, struct leadership, (size_t)c->todo.n + 1);
	list_clear(&c->todo2);
	for (uint32_t i = 0; i < c->todo.n; i++) {
		struct ctl_partition *p = c->todo.v[i];
		struct choice ch;

		if (c->elect_how == ELECT_PREFERRED)
			prefer(c, p, MIN(p->replicas.n, 1), &ch);
		else if (c->elect_how == ELECT_ANY_IN_SYNC)
			prefer(c, p, p->replicas.n, &ch);
		else
			elect_choose(c, p, unclean[i], &ch);
		if (!ch.chosen) {
			if (c->elect_how == ELECT_AS_CONFIGURED)
				diag_warning(c->opt.diag, "controller", "%s-%d has no leader: no member of its ISR is alive%s", p->topic->name, p->id,
				    ch.unclean_asked ? ", and unclean.leader.election.enable is false" : "");
			continue;
		}
		if (ch.l.recovery_state != 0)
			diag_warning(c->opt.diag, "controller", "%s-%d: unclean election of %d, acknowledged records may be lost", p->topic->name,
			    p->id, ch.l.leader);
		ops[n] = ZK_SET(path_state(c, p), encode_leadership(c, &ch.l), p->l.partition_epoch);
		c->proposed[n++] = ch.l;
		list_add(&c->todo2, p);
	}
	step_write(c, ops, n, elect_written);
}

static bool
config_says_unclean(struct controller *c, const struct zk_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_config config;
	const char *value;

	if (r->error != ZKE_OK || zk_config_decode(&c->work, r->data, &config, &eb) != OK)
		return (c->opt.unclean_election);
	value = zk_config_value(&config, "unclean.leader.election.enable");
	return (value == NULL ? c->opt.unclean_election : strcasecmp(value, "true") == 0);
}

static void
elect_configs_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	bool *unclean = ARENA_ARRAY(&c->work, bool, (size_t)c->todo.n + 1);

	if (step_lost(c, r, n, "reading topic configurations"))
		return;
	for (uint32_t i = 0; i < n; i++)
		unclean[i] = c->elect_how == ELECT_UNCLEAN || config_says_unclean(c, &r[i]);
	elect_write(c, unclean);
}

/* States as they are now; a newer controller's are not touched. */
static void
elect_states_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct partition_list still = { NULL, 0, 0 };
	struct zk_op *ops;

	if (step_lost(c, r, n, "reading partition states"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_partition *p = c->todo.v[i];

		if (r[i].error != ZKE_OK || !machine_take_state(c, p, &r[i]))
			continue;
		if (p->l.controller_epoch > c->ctx.epoch) {
			diag_error(c->opt.diag, "controller", "%s-%d was last written by controller epoch %d, ours is %d", p->topic->name, p->id,
			    p->l.controller_epoch, c->ctx.epoch);
			continue;
		}
		list_add(&still, p);
	}
	list_clear(&c->todo);
	c->todo = still;
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)still.n + 1);
	for (uint32_t i = 0; i < still.n; i++)
		ops[i] = ZK_GET(work_path(c, zk_path_topic_config(still.v[i]->topic->name)), NULL);
	step_read(c, ops, still.n, elect_configs_read);
}

void
machine_elect(struct controller *c, const struct partition_list *list, enum elect_how how, void (*next)(struct controller *))
{
	c->next = next;
	c->elect_how = how;
	list_clear(&c->todo);
	for (uint32_t i = 0; i < list->n; i++) {
		list->v[i]->elected = false;
		list_add(&c->todo, list->v[i]);
	}
	read_states(c, &c->todo, elect_states_read);
}

static void
elect_begin(struct controller *c)
{
	struct ctl_topic *t, *tmp;

	c->elect_how = ELECT_AS_CONFIGURED;
	c->next = c->next_elect;
	c->next_elect = NULL;
	list_clear(&c->todo);
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions && !t->deleting; i++)
			if (t->partitions[i].state == PARTITION_OFFLINE)
				list_add(&c->todo, &t->partitions[i]);
	read_states(c, &c->todo, elect_states_read);
}

void
machine_elect_offline(struct controller *c, void (*next)(struct controller *))
{
	struct partition_list new = { NULL, 0, 0 };
	struct ctl_topic *t, *tmp;

	c->next_elect = next;
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions && !t->deleting; i++)
			if (t->partitions[i].state == PARTITION_NEW)
				list_add(&new, &t->partitions[i]);
	machine_create(c, &new, elect_begin);
	list_clear(&new);
}

/* ---- shrink: replicas go Offline ---- */

/* Does replica i have to leave? */
static bool
shrink_takes(struct controller *c, const struct ctl_partition *p, uint32_t i, bool all)
{
	return (all || !replica_usable(c, p, i));
}

/* The leadership without those replicas.  The last member of an ISR stays in it.  false: nothing to write. */
static bool
shrink_leadership(struct controller *c, const struct ctl_partition *p, bool all, struct leadership *new)
{
	bool changed = false;

	*new = p->l;
	new->isr = (struct id_list){ ARENA_ARRAY(&c->work, int32_t, (size_t)p->l.isr.n + 1), p->l.isr.n };
	memcpy(new->isr.v, p->l.isr.v, p->l.isr.n * sizeof(*new->isr.v));
	for (uint32_t i = 0; i < p->replicas.n; i++) {
		int32_t id = p->replicas.v[i];
		uint32_t n = 0;

		if (!shrink_takes(c, p, i, all) || !id_list_has(new->isr, id))
			continue;
		if (new->leader == id) {
			new->leader = -1;
			changed = true;
		}
		if (new->isr.n == 1)
			continue;
		for (uint32_t j = 0; j < new->isr.n; j++)
			if (new->isr.v[j] != id)
				new->isr.v[n++] = new->isr.v[j];
		new->isr.n = n;
		changed = true;
	}
	new->leader_epoch = leader_epoch_after(new->leader_epoch);
	new->controller_epoch = c->ctx.epoch;
	return (changed);
}

static void
shrink_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "shrinking ISRs"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct ctl_partition *p = c->todo2.v[i];

		if (r[i].error != ZKE_OK) {
			diag_warning(c->opt.diag, "controller", "ISR of %s-%d not shrunk: %s", p->topic->name, p->id, zke_text(r[i].error));
			continue;
		}
		c->proposed[i].partition_epoch = r[i].stat.version;
		partition_set_leadership(p, &c->proposed[i]);
		if (p->topic->deleting)
			continue;
		batch_metadata(c, p);	/* also when nobody is left to be told more */
		for (uint32_t j = 0; j < p->replicas.n; j++)
			if (replica_usable(c, p, j))
				batch_leader_and_isr(c, p, p->replicas.v[j], false);
	}
	create_done(c);
}

void
machine_shrink(struct controller *c, const struct partition_list *list, bool all, void (*next)(struct controller *))
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)list->n + 1);
	struct partition_list writes = { NULL, 0, 0 };

	c->next = next;
	c->proposed = ARENA_ARRAY(&c->work, struct leadership, (size_t)list->n + 1);
	for (uint32_t i = 0; i < list->n; i++) {
		struct ctl_partition *p = list->v[i];

		for (uint32_t j = 0; j < p->replicas.n; j++)
			if (shrink_takes(c, p, j, all) && replica_move_allowed(p->replica_states[j], REPLICA_OFFLINE))
				replica_move(p, j, REPLICA_OFFLINE, c->opt.diag);
		if (!p->has_leadership || !shrink_leadership(c, p, all, &c->proposed[writes.n]))
			continue;
		ops[writes.n] = ZK_SET(path_state(c, p), encode_leadership(c, &c->proposed[writes.n]), p->l.partition_epoch);
		list_add(&writes, p);
	}
	list_clear(&c->todo2);
	c->todo2 = writes;
	step_write(c, ops, writes.n, shrink_written);
}
