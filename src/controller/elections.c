/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/elections.c - elections that an administrator asks for (ElectLeaders; KafkaController.processReplicaLeaderElection).
 *
 * Partitions that are not there, are being deleted, or need no election are answered by what we know; the others go through the machine together.
 * Whoever got no leader is PREFERRED_LEADER_NOT_AVAILABLE or ELIGIBLE_LEADERS_NOT_AVAILABLE.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "controller/controller_int.h"

/* ---- there and back ---- */

static void
on_done(struct task *task)
{
	struct controller_election *el = CONTAINER_OF(task, struct controller_election, task);

	el->done(el);
}

void
election_answer(struct controller_election *el)
{
	el->task.fn = on_done;
	loop_post(el->loop, &el->task);
}

void
election_refuse(struct controller_election *el)
{
	for (uint32_t i = 0; i < el->nitems; i++) {
		el->items[i].error = KERR_NOT_CONTROLLER;
		el->items[i].message = NULL;
	}
	election_answer(el);
}

static void
arrived(struct task *task)
{
	struct controller_election *el = CONTAINER_OF(task, struct controller_election, task);
	struct controller *c = el->controller;
	struct event *e;

	if (!c->elected || c->refusing_elections) {
		election_refuse(el);
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->kind = EVENT_ELECT;
	e->election = el;
	event_push_made(c, e);
}

void
controller_elect(struct controller *c, struct controller_election *el)
{
	el->controller = c;
	el->task.fn = arrived;
	loop_post(c->opt.loop, &el->task);
}

static void
refuse_waiting(struct event *e)
{
	if (e != NULL && e->election != NULL)
		election_refuse(e->election);
	if (e != NULL && e->move != NULL)
		move_refuse(e->move);
	if (e != NULL) {
		e->election = NULL;
		e->move = NULL;
	}
}

static void
refuse_all(void *v)
{
	struct controller *c = v;
	struct event *e;

	c->refusing_elections = true;
	refuse_waiting(c->current);
	STAILQ_FOREACH(e, &c->events, link)
		refuse_waiting(e);
}

void
controller_refuse_elections(struct controller *c)
{
	loop_call(c->opt.loop, refuse_all, c);
}

/* ---- one election ---- */

static struct ctl_partition *
find(const struct controller *c, const struct controller_election_item *it)
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

static bool
needs_leader(const struct controller *c, const struct ctl_partition *p, bool unclean)
{
	if (unclean)
		return (p->l.leader == -1 || context_broker(&c->ctx, p->l.leader) == NULL);
	return (p->replicas.n == 0 || p->l.leader != p->replicas.v[0]);
}

static void
refuse(struct controller_election_item *it, enum kerr error, const char *message)
{
	it->error = error;
	it->message = message;
}

static void
no_candidate(struct controller_election_item *it, bool unclean)
{
	if (unclean)
		refuse(it, KERR_ELIGIBLE_LEADERS_NOT_AVAILABLE, "no replica of this partition is alive");
	else
		refuse(it, KERR_PREFERRED_LEADER_NOT_AVAILABLE, "the first replica is not alive, or not in sync");
}

/* NULL: it has its answer. */
static struct ctl_partition *
judge(const struct controller *c, struct controller_election_item *it, bool unclean)
{
	struct ctl_partition *p = find(c, it);

	it->leader = -1;
	it->wanted = false;
	refuse(it, KERR_NONE, NULL);
	if (p == NULL)
		refuse(it, KERR_UNKNOWN_TOPIC_OR_PARTITION, "there is no such partition");
	else if (p->topic->deleting)
		refuse(it, KERR_INVALID_TOPIC_EXCEPTION, "the topic is being deleted");
	else if (!p->has_leadership)
		no_candidate(it, unclean);	/* it never had a replica alive.  Java's handler stumbles over it and never answers */
	else if (!needs_leader(c, p, unclean))
		refuse(it, KERR_ELECTION_NOT_NEEDED, kerr_text(KERR_ELECTION_NOT_NEEDED));
	else
		it->wanted = true;
	return (it->wanted ? p : NULL);
}

static void
elected(struct controller *c)
{
	struct controller_election *el = c->current->election;

	c->current->election = NULL;
	for (uint32_t i = 0; el != NULL && i < el->nitems; i++) {
		struct controller_election_item *it = &el->items[i];
		const struct ctl_partition *p = it->wanted ? find(c, it) : NULL;

		if (it->wanted && p != NULL && p->elected)
			it->leader = p->l.leader;
		else if (it->wanted)
			no_candidate(it, el->unclean);
	}
	batch_send(c);
	if (el != NULL)
		election_answer(el);
	event_done(c);
}

void
elect_run(struct controller *c, struct event *e)
{
	struct controller_election *el = e->election;
	struct partition_list list = { NULL, 0, 0 };

	for (uint32_t i = 0; el != NULL && i < el->nitems; i++) {
		struct ctl_partition *p = judge(c, &el->items[i], el->unclean);

		if (p != NULL)
			list_add(&list, p);
	}
	machine_elect(c, &list, el != NULL && el->unclean ? ELECT_UNCLEAN : ELECT_PREFERRED, elected);
	list_clear(&list);
}
