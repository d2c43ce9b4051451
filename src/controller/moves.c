/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/moves.c - partitions get other replicas (AlterPartitionReassignments; KafkaController.onPartitionReassignment).
 *
 * One partition after the other:
 *   1 the topic's node says where it goes: all replicas, old and new, and which of them come (adding) and go (removing)
 *   2 replicas that an earlier, unfinished reassignment was adding and this one does not want are stopped
 *   3 if the new replicas are not all in the ISR: the leader epoch is raised, all are told, and that is all for now
 *   4 else it is completed: the new replicas stand alone in memory, one of them leads under a raised epoch, those that go leave the ISR and are
 *     deleted, and the topic's node says so last
 *
 * DEATH    Until the last write of 4 the topic's node names what comes and goes, so the next controller begins again at 3 (moves_resume); each
 *          step of 4 can be done twice.
 * LOST ANSWER  Nodes are written by compare-and-set.  One that has changed is read again; what we wrote may stand there already.
 * FOREIGN  Kafka writes the topic's node from memory, whatever stands there.  Here partitions that somebody has just added are kept.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "controller/controller_int.h"

struct assignment { struct id_list replicas, adding, removing; };	/* in c->work */

struct move {
	struct ctl_partition *p;		/* NULL: answered without a move */
	struct assignment to;
	enum kerr	 error;
	const char	*message;
};

struct moves {
	struct move	*v;
	uint32_t	 n, at;
	void	       (*next)(struct controller *);
	/* ---- of the partition at hand ---- */
	void	       (*then)(struct controller *);
	struct assignment writing;
	bool		 written;		/* once at least, and the answer was no success */
	struct id_list	 leaving;
	struct leadership proposed;
};

static void move_begin(struct controller *);
static void judge_read(struct controller *);
static void complete(struct controller *);

/* ---- lists ---- */

static struct id_list
minus(struct controller *c, struct id_list a, struct id_list b)
{
	struct id_list out = { ARENA_ARRAY(&c->work, int32_t, (size_t)a.n + 1), 0 };

	for (uint32_t i = 0; i < a.n; i++)
		if (!id_list_has(b, a.v[i]))
			out.v[out.n++] = a.v[i];
	return (out);
}

static struct id_list
plus(struct controller *c, struct id_list a, struct id_list b)
{
	struct id_list rest = minus(c, b, a), out = { ARENA_ARRAY(&c->work, int32_t, (size_t)a.n + rest.n + 1), a.n + rest.n };

	for (uint32_t i = 0; i < out.n; i++)
		out.v[i] = i < a.n ? a.v[i] : rest.v[i - a.n];
	return (out);
}

static bool
ids_equal(struct id_list a, struct id_list b)
{
	return (a.n == b.n && (a.n == 0 || memcmp(a.v, b.v, a.n * sizeof(*a.v)) == 0));
}

static bool
within(struct id_list a, struct id_list b)
{
	for (uint32_t i = 0; i < a.n; i++)
		if (!id_list_has(b, a.v[i]))
			return (false);
	return (true);
}

static struct id_list
origin(struct controller *c, const struct ctl_partition *p)
{
	return (minus(c, p->replicas, p->adding));
}

static struct assignment
assignment_to(struct controller *c, const struct ctl_partition *p, struct id_list target)
{
	struct id_list from = origin(c, p);
	struct assignment a = { .replicas = plus(c, target, from) };

	a.adding = minus(c, a.replicas, from);
	a.removing = minus(c, a.replicas, target);
	return (a);
}

static struct move *
at_hand(struct controller *c)
{
	return (&c->moves->v[c->moves->at]);
}

/* ---- from one partition to the next ---- */

static void
move_end(struct controller *c, enum kerr error)
{
	at_hand(c)->error = error;
	batch_send(c);
	c->moves->at++;
	move_begin(c);
}

static void
move_failed(struct controller *c, const char *why)
{
	const struct ctl_partition *p = at_hand(c)->p;

	diag_error(c->opt.diag, "controller", "reassignment of %s-%d fails: %s", p->topic->name, p->id, why);
	move_end(c, KERR_UNKNOWN_SERVER_ERROR);
}

/* ---- the topic's node ---- */

static struct zk_topic_partition *
said_of(struct zk_topic_info *info, int32_t id)
{
	for (uint32_t i = 0; i < info->npartitions; i++)
		if (info->partitions[i].id == id)
			return (&info->partitions[i]);
	return (NULL);
}

static bool
says(const struct zk_topic_partition *said, const struct assignment *a)
{
	return (ids_equal((struct id_list){ said->replicas.v, said->replicas.n }, a->replicas) &&
	    ids_equal((struct id_list){ said->adding.v, said->adding.n }, a->adding) &&
	    ids_equal((struct id_list){ said->removing.v, said->removing.n }, a->removing));
}

static void assignment_read(struct controller *);

static void
assignment_written(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (step_lost(c, r, n, "writing an assignment"))
		return;
	if (r->error == ZKE_OK)
		c->moves->then(c);
	else if (r->error == ZKE_BAD_VERSION) {
		c->moves->written = true;
		assignment_read(c);
	} else
		move_failed(c, zke_text(r->error));
}

static void
assignment_got(struct controller *c, const struct zk_result *r, uint32_t n)
{
	const struct assignment *a = &c->moves->writing;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_partition *said;
	struct zk_topic_info info;
	struct zk_op op;

	if (step_lost(c, r, n, "reading an assignment"))
		return;
	if (r->error != ZKE_OK || zk_topic_decode(&c->work, r->data, &info, &eb) != OK) {
		move_failed(c, r->error != ZKE_OK ? zke_text(r->error) : eb.text);
		return;
	}
	said = said_of(&info, at_hand(c)->p->id);
	if (said == NULL) {
		move_failed(c, "the topic's node does not have the partition");
		return;
	}
	if (c->moves->written && says(said, a)) {
		c->moves->then(c);
		return;
	}
	said->replicas = (struct zk_ints){ a->replicas.v, a->replicas.n };
	said->adding = (struct zk_ints){ a->adding.v, a->adding.n };
	said->removing = (struct zk_ints){ a->removing.v, a->removing.n };
	op = ZK_SET(work_path(c, zk_path_topic(at_hand(c)->p->topic->name)), zk_topic_encode(&c->work, &info), r->stat.version);
	step_write(c, &op, 1, assignment_written);
}

static void
assignment_read(struct controller *c)
{
	struct zk_op op = ZK_GET(work_path(c, zk_path_topic(at_hand(c)->p->topic->name)), NULL);

	step_read(c, &op, 1, assignment_got);
}

static void
assignment_write(struct controller *c, struct assignment a, void (*then)(struct controller *))
{
	c->moves->writing = a;
	c->moves->written = false;
	c->moves->then = then;
	assignment_read(c);
}

/* ---- the partition's state node ---- */

/* false: the partition has failed. */
static bool
take_state(struct controller *c, const struct zk_result *r)
{
	struct ctl_partition *p = at_hand(c)->p;

	if (r->error != ZKE_OK)
		move_failed(c, zke_text(r->error));
	else if (!machine_take_state(c, p, r))
		move_failed(c, "its state cannot be understood");
	else if (p->l.controller_epoch > c->ctx.epoch)
		move_failed(c, "its state was written by a later controller");
	else
		return (true);
	return (false);
}

static void
state_read(struct controller *c, step_fn *fn)
{
	struct zk_op op = machine_read_op(c, at_hand(c)->p);

	step_read(c, &op, 1, fn);
}

/* c->moves->proposed goes there.  true: it stands and is in the context; else conflict() sees what stands there now, or nothing is left to do. */
static bool
proposal_stands(struct controller *c, const struct zk_result *r, step_fn *conflict)
{
	if (r->error == ZKE_OK) {
		c->moves->proposed.partition_epoch = r->stat.version;
		partition_set_leadership(at_hand(c)->p, &c->moves->proposed);
		return (true);
	}
	if (r->error == ZKE_BAD_VERSION)
		state_read(c, conflict);
	else
		move_failed(c, zke_text(r->error));
	return (false);
}

static void raise_epoch(struct controller *);

static void
raise_conflict(struct controller *c, const struct zk_result *r, uint32_t n)
{
	const struct ctl_partition *p = at_hand(c)->p;

	if (step_lost(c, r, n, "reading a partition state") || !take_state(c, r))
		return;
	if (p->l.controller_epoch == c->ctx.epoch && p->l.leader_epoch == c->moves->proposed.leader_epoch)
		c->moves->then(c);	/* our own: nobody else raises the epoch while we rule */
	else
		raise_epoch(c);
}

static void
raised(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "raising a leader epoch") && proposal_stands(c, r, raise_conflict))
		c->moves->then(c);
}

static void
raise_epoch(struct controller *c)
{
	struct ctl_partition *p = at_hand(c)->p;
	struct leadership *l = &c->moves->proposed;
	struct zk_op op;

	*l = p->l;
	l->leader_epoch = leader_epoch_after(l->leader_epoch);
	l->controller_epoch = c->ctx.epoch;
	op = machine_write_op(c, p, l);
	step_write(c, &op, 1, raised);
}

/* ---- replicas that go ---- */

static void
leaving_told(struct controller *c)
{
	struct ctl_partition *p = at_hand(c)->p;
	struct id_list leaving = c->moves->leaving;

	batch_metadata(c, p);
	for (uint32_t i = 0; i < p->replicas.n && p->has_leadership; i++)
		if (replica_usable(c, p, i) && !id_list_has(leaving, p->replicas.v[i]))
			batch_leader_and_isr(c, p, p->replicas.v[i], false);
	for (uint32_t i = 0; i < leaving.n; i++)
		batch_stop_replica(c, p, leaving.v[i], true);
	batch_send(c);
	c->moves->then(c);
}

/* The last member of an ISR stays in it.  false: none of them is there. */
static bool
leave_isr(struct controller *c, const struct ctl_partition *p, struct leadership *l)
{
	bool found = false;

	*l = p->l;
	l->controller_epoch = c->ctx.epoch;
	for (uint32_t i = 0; i < c->moves->leaving.n; i++) {
		struct id_list one = { &c->moves->leaving.v[i], 1 };

		if (!id_list_has(l->isr, one.v[0]))
			continue;
		found = true;
		l->leader_epoch = leader_epoch_after(l->leader_epoch);
		if (l->leader == one.v[0])
			l->leader = -1;
		if (l->isr.n > 1)
			l->isr = minus(c, l->isr, one);
	}
	return (found);
}

static void leaving_state(struct controller *, const struct zk_result *, uint32_t);

static void
left_isr(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "shrinking an ISR") && proposal_stands(c, r, leaving_state))
		leaving_told(c);
}

static void
leaving_state(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct ctl_partition *p = at_hand(c)->p;
	struct zk_op op;

	if (step_lost(c, r, n, "reading a partition state") || !take_state(c, r))
		return;
	if (!leave_isr(c, p, &c->moves->proposed)) {
		leaving_told(c);
		return;
	}
	op = machine_write_op(c, p, &c->moves->proposed);
	step_write(c, &op, 1, left_isr);
}

static void
stop_replicas(struct controller *c, struct id_list leaving, void (*then)(struct controller *))
{
	c->moves->leaving = leaving;
	c->moves->then = then;
	if (leaving.n == 0)
		then(c);
	else if (at_hand(c)->p->has_leadership)
		state_read(c, leaving_state);
	else
		leaving_told(c);
}

/* ---- 1 and 2 ---- */

static void
under_way(struct controller *c)
{
	struct move *m = at_hand(c);
	struct id_list unwanted = minus(c, m->p->replicas, m->to.replicas);

	partition_set_assignment(m->p, m->to.replicas, m->to.adding, m->to.removing);
	stop_replicas(c, unwanted, judge_read);
}

static void
move_begin(struct controller *c)
{
	struct moves *ms = c->moves;
	const struct move *m;

	while (ms->at < ms->n && ms->v[ms->at].p == NULL)
		ms->at++;
	if (ms->at == ms->n) {
		ms->next(c);
		return;
	}
	m = at_hand(c);
	if (ids_equal(m->p->replicas, m->to.replicas) && ids_equal(m->p->adding, m->to.adding) && ids_equal(m->p->removing, m->to.removing))
		judge_read(c);
	else
		assignment_write(c, m->to, under_way);
}

/* ---- 3 ---- */

static void
waits(struct controller *c)
{
	struct ctl_partition *p = at_hand(c)->p;

	for (uint32_t i = 0; i < p->replicas.n; i++) {
		bool comes = id_list_has(p->adding, p->replicas.v[i]);

		if (comes && p->replica_states[i] == REPLICA_NONEXISTENT)
			replica_move(p, i, REPLICA_NEW, c->opt.diag);
		if (replica_usable(c, p, i))
			batch_leader_and_isr(c, p, p->replicas.v[i], comes);
	}
	move_end(c, KERR_NONE);
}

static void
judge(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct ctl_partition *p = at_hand(c)->p;

	if (step_lost(c, r, n, "reading a partition state") || !take_state(c, r))
		return;
	if (!partition_moving(p) || within(minus(c, p->replicas, p->removing), p->l.isr)) {
		complete(c);
		return;
	}
	c->moves->then = waits;
	raise_epoch(c);
}

static void
judge_read(struct controller *c)
{
	state_read(c, judge);
}

/* ---- 4 ---- */

static void
completed(struct controller *c)
{
	batch_metadata(c, at_hand(c)->p);
	move_end(c, KERR_NONE);
}

static void
settle(struct controller *c)
{
	const struct ctl_partition *p = at_hand(c)->p;

	assignment_write(c, (struct assignment){ .replicas = plus(c, p->replicas, (struct id_list){ NULL, 0 }) }, completed);
}

static void
leader_elected(struct controller *c)
{
	const struct ctl_partition *p = at_hand(c)->p;

	if (!p->elected)
		diag_warning(c->opt.diag, "controller", "%s-%d has no leader: none of its new replicas is alive and in sync", p->topic->name, p->id);
	batch_send(c);
	stop_replicas(c, at_hand(c)->to.removing, settle);
}

static void
leader_stays(struct controller *c)
{
	struct ctl_partition *p = at_hand(c)->p;

	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (replica_usable(c, p, i))
			batch_leader_and_isr(c, p, p->replicas.v[i], false);
	batch_send(c);
	stop_replicas(c, at_hand(c)->to.removing, settle);
}

static void
complete(struct controller *c)
{
	struct ctl_partition *p = at_hand(c)->p;
	struct id_list none = { NULL, 0 };
	struct partition_list one = { &p, 1, 1 };

	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (p->replica_states[i] == REPLICA_NONEXISTENT && replica_move(p, i, REPLICA_NEW, c->opt.diag) && replica_usable(c, p, i))
			replica_move(p, i, REPLICA_ONLINE, c->opt.diag);
	partition_set_assignment(p, minus(c, p->replicas, p->removing), none, none);
	if (id_list_has(p->replicas, p->l.leader) && replica_usable_on(c, p, p->l.leader)) {
		c->moves->then = leader_stays;
		raise_epoch(c);
	} else
		machine_elect(c, &one, ELECT_ANY_IN_SYNC, leader_elected);
}

/* ---- what is asked ---- */

static struct ctl_partition *
find(const struct controller *c, const struct controller_move_item *it)
{
	char name[LIMIT_TOPIC_NAME_MAX + 1];
	struct ctl_topic *t;

	if (topic_name_invalid(it->topic) != NULL)
		return (NULL);
	memcpy(name, it->topic.p, it->topic.len);
	name[it->topic.len] = '\0';
	t = context_topic(&c->ctx, name);
	return (t == NULL ? NULL : topic_partition(t, it->partition));
}

static int
id_cmp(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return ((x > y) - (x < y));
}

/* The peer chooses how many: sorted, not compared each with each. */
static bool
has_doubles(struct controller *c, struct id_list ids)
{
	int32_t *v = ARENA_ARRAY(&c->work, int32_t, (size_t)ids.n + 1);

	memcpy(v, ids.v, ids.n * sizeof(*v));
	qsort(v, ids.n, sizeof(*v), id_cmp);
	for (uint32_t i = 1; i < ids.n; i++)
		if (v[i - 1] == v[i])
			return (true);
	return (false);
}

static const char *
target_invalid(struct controller *c, const struct ctl_partition *p, struct id_list target)
{
	struct id_list from = p == NULL ? (struct id_list){ NULL, 0 } : origin(c, p);

	if (target.n == 0)
		return ("the list of replicas is empty");
	if (has_doubles(c, target))
		return ("a replica is listed twice");
	for (uint32_t i = 0; i < target.n; i++)
		if (target.v[i] < 0)
			return ("a replica has a negative id");
	for (uint32_t i = 0; i < target.n; i++)
		if (!id_list_has(from, target.v[i]) && !broker_usable(c, target.v[i]))
			return ("a new replica is not on a live broker");
	return (NULL);
}

static void
refuse(struct move *m, enum kerr error, const char *message)
{
	m->p = NULL;
	m->error = error;
	m->message = message;
}

static void
look_at(struct controller *c, const struct controller_move_item *it, struct move *m)
{
	struct id_list target = { it->target.v, (uint32_t)MAX(it->target.n, 0) };
	const char *why;

	m->p = find(c, it);
	why = it->cancel ? NULL : target_invalid(c, m->p, target);
	if (why != NULL)
		refuse(m, KERR_INVALID_REPLICA_ASSIGNMENT, why);
	else if (it->cancel && (m->p == NULL || !partition_moving(m->p)))
		refuse(m, KERR_NO_REASSIGNMENT_IN_PROGRESS, kerr_text(KERR_NO_REASSIGNMENT_IN_PROGRESS));
	else if (m->p == NULL || m->p->topic->deleting || m->p->replicas.n == 0)
		refuse(m, KERR_UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition");
	else
		m->to = assignment_to(c, m->p, it->cancel ? origin(c, m->p) : target);
}

static struct moves *
moves_new(struct controller *c, uint32_t n, void (*next)(struct controller *))
{
	struct moves *ms = ARENA_NEW(&c->work, struct moves);

	*ms = (struct moves){ .v = ARENA_ARRAY(&c->work, struct move, (size_t)n + 1), .n = n, .next = next };
	memset(ms->v, 0, ((size_t)n + 1) * sizeof(*ms->v));
	c->moves = ms;
	return (ms);
}

static void
on_done(struct task *task)
{
	struct controller_move *mv = CONTAINER_OF(task, struct controller_move, task);

	mv->done(mv);
}

static void
answer(struct controller_move *mv, enum kerr error)
{
	mv->error = error;
	mv->task.fn = on_done;
	loop_post(mv->loop, &mv->task);
}

void
move_refuse(struct controller_move *mv)
{
	answer(mv, KERR_NOT_CONTROLLER);
}

static void
moved(struct controller *c)
{
	struct controller_move *mv = c->current->move;

	c->current->move = NULL;
	for (uint32_t i = 0; mv != NULL && i < mv->nitems; i++) {
		mv->items[i].error = c->moves->v[i].error;
		mv->items[i].message = c->moves->v[i].message;
	}
	if (mv != NULL)
		answer(mv, KERR_NONE);
	deletion_resume(c, event_done);		/* some may have waited for this */
}

void
move_run(struct controller *c, struct event *e)
{
	struct controller_move *mv = e->move;
	struct moves *ms = moves_new(c, mv == NULL ? 0 : mv->nitems, moved);

	for (uint32_t i = 0; i < ms->n; i++)
		look_at(c, &mv->items[i], &ms->v[i]);
	move_begin(c);
}

static void
arrived(struct task *task)
{
	struct controller_move *mv = CONTAINER_OF(task, struct controller_move, task);
	struct controller *c = mv->controller;
	struct event *e;

	if (!c->elected || c->refusing_elections) {
		move_refuse(mv);
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->kind = EVENT_MOVE;
	e->move = mv;
	event_push_made(c, e);
}

void
controller_move(struct controller *c, struct controller_move *mv)
{
	mv->controller = c;
	mv->task.fn = arrived;
	loop_post(c->opt.loop, &mv->task);
}

/* ---- what was begun ---- */

void
moves_resume(struct controller *c, void (*next)(struct controller *))
{
	struct partition_list list = { NULL, 0, 0 };
	struct ctl_topic *t, *tmp;
	struct moves *ms;

	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++)
			if (partition_moving(&t->partitions[i]))
				list_add(&list, &t->partitions[i]);
	ms = moves_new(c, list.n, next);
	for (uint32_t i = 0; i < list.n; i++) {
		struct ctl_partition *p = ms->v[i].p = list.v[i];

		ms->v[i].to = (struct assignment){ plus(c, p->replicas, (struct id_list){ NULL, 0 }), minus(c, p->adding, (struct id_list){ NULL, 0 }),
		    minus(c, p->removing, (struct id_list){ NULL, 0 }) };
		diag_info(c->opt.diag, "controller", "%s-%d is being reassigned: taken up", p->topic->name, p->id);
	}
	list_clear(&list);
	move_begin(c);
}
