/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/log_dirs.c - log directories of brokers fail (KafkaController: processLogDirEventNotification, processLeaderAndIsrResponseReceived,
 * onReplicasBecomeOffline).
 *
 * A broker that lost a directory does not say which replicas stood in it.  It leaves a node in /log_dir_event_notification; the controller sends
 * it a LeaderAndIsr for every replica it has, with the epochs it knows already, and the answers tell: KAFKA_STORAGE_ERROR is an offline replica,
 * NONE an online one, everything else (STALE_CONTROLLER_EPOCH above all) says nothing.  Any other LeaderAndIsr is answered in the same way, so a
 * directory that was away at the start of a broker is found out by the first one.
 *
 * A replica that has become offline leads no more (leader -1 when there is no other) and leaves the ISR, but for its last member.
 * Marks live until the broker answers otherwise or registers anew; they stand in no znode, so the next controller asks again.
 *
 * A DEATH BETWEEN the query and the deletion of the nodes leaves them for the next controller, which deletes them unread: it asks everybody
 * anyway.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/controller_int.h"

bool
replica_usable(const struct controller *c, const struct ctl_partition *p, uint32_t i)
{
	return (!p->dir_offline[i] && broker_usable(c, p->replicas.v[i]));
}

bool
replica_usable_on(const struct controller *c, const struct ctl_partition *p, int32_t broker_id)
{
	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (p->replicas.v[i] == broker_id)
			return (replica_usable(c, p, i));
	return (broker_usable(c, broker_id));	/* a member of the ISR that is not assigned any more */
}

/* ---- the notification nodes ---- */

static void
query_broker(struct controller *c, int32_t broker_id)
{
	struct ctl_topic *t, *tmp;

	diag_warning(c->opt.diag, "controller", "broker %d lost a log directory: asking it for its replicas", broker_id);
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++) {
			struct ctl_partition *p = &t->partitions[i];

			for (uint32_t j = 0; j < p->replicas.n; j++)
				if (p->replicas.v[j] == broker_id && p->has_leadership && replica_move_allowed(p->replica_states[j], REPLICA_ONLINE)) {
					replica_move(p, j, REPLICA_ONLINE, c->opt.diag);
					batch_leader_and_isr(c, p, broker_id, false);
				}
		}
}

static void
dir_notes_gone(struct controller *c, const struct zk_result *r, uint32_t n)
{
	if (!step_lost(c, r, n, "deleting notifications of log directories"))
		event_done(c);
}

static void
dir_notes_read(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)n + 1);
	struct id_list asked = { ARENA_ARRAY(&c->work, int32_t, (size_t)n + 1), 0 };

	if (step_lost(c, r, n, "reading notifications of log directories"))
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct errbuf eb = ERRBUF_INIT;
		int32_t id;

		ops[i] = ZK_DELETE(arena_strndup(&c->work, r[i].path, strlen(r[i].path)), ZK_ANY_VERSION);
		if (r[i].error != ZKE_OK)
			continue;
		if (zk_log_dir_event_decode(r[i].data, &id, &eb) != OK)
			diag_error(c->opt.diag, "controller", "%s is dropped: %s", r[i].path, eb.text);
		else if (!id_list_has(asked, id)) {
			asked.v[asked.n++] = id;
			query_broker(c, id);
		}
	}
	batch_send(c);
	step_write(c, ops, n, dir_notes_gone);
}

static void
dir_notes_listed(struct controller *c, const struct zk_result *r, uint32_t n)
{
	struct zk_op *ops;

	(void)n;
	if (r->error != ZKE_OK) {
		controller_trouble(c, r->error, "listing notifications of log directories");
		return;
	}
	ops = ARENA_ARRAY(&c->work, struct zk_op, (size_t)r->nchildren + 1);
	for (uint32_t i = 0; i < r->nchildren; i++)
		ops[i] = ZK_GET(work_path(c, zk_path_child(ZK_LOG_DIR_EVENTS, r->children[i])), NULL);
	step_read(c, ops, r->nchildren, dir_notes_read);
}

void
dir_notes_run(struct controller *c)
{
	struct zk_op op = ZK_GET_CHILDREN(ZK_LOG_DIR_EVENTS, &c->log_dir_watch);

	step_read(c, &op, 1, dir_notes_listed);
}

/* ---- what brokers answer ---- */

static bool
replica_index(const struct ctl_partition *p, int32_t broker_id, uint32_t *i)
{
	for (*i = 0; *i < p->replicas.n; (*i)++)
		if (p->replicas.v[*i] == broker_id)
			return (true);
	return (false);
}

/* Does this answer say anything new?  Most do not, and make no event. */
static bool
answer_matters(struct controller *c, const struct replica_answer *a, int32_t broker_id)
{
	struct ctl_topic *t = context_topic(&c->ctx, a->topic);
	struct ctl_partition *p = t == NULL ? NULL : topic_partition(t, a->partition);
	uint32_t i;

	if (p == NULL || !replica_index(p, broker_id, &i))
		return (false);
	return ((a->error == KERR_KAFKA_STORAGE_ERROR && !p->dir_offline[i]) || (a->error == KERR_NONE && p->dir_offline[i]));
}

void
leader_and_isr_answered(struct controller *c, const struct controller_message *m)
{
	const struct wire_leader_and_isr_request *rq = m->request.leader_and_isr;
	const struct wire_leader_and_isr_response *rs = m->request.leader_and_isr_response;
	struct event *e;

	if (rs == NULL || rs->error_code != 0) {
		diag_error(c->opt.diag, "controller", "broker %d answered LeaderAndIsr with %s", m->broker_id,
		    rs == NULL ? "nothing" : kerr_name((enum kerr)rs->error_code));
		return;
	}
	e = xcalloc(1, sizeof(*e));
	e->kind = EVENT_LEADER_AND_ISR_ANSWER;
	e->broker_id = m->broker_id;
	/* The answer lists the partitions in the order of the request. */
	for (int32_t i = 0; i < rq->topic_states.n && i < rs->topics.n; i++)
		for (int32_t j = 0; j < rs->topics.v[i].partition_errors.n && j < rq->topic_states.v[i].partition_states.n; j++) {
			struct slice name = rq->topic_states.v[i].topic_name;
			struct replica_answer a = {
			    .topic = xstrndup((const char *)name.p, name.len),
			    .partition = rs->topics.v[i].partition_errors.v[j].partition_index,
			    .error = (enum kerr)rs->topics.v[i].partition_errors.v[j].error_code,
			};

			if (!answer_matters(c, &a, m->broker_id)) {
				free(a.topic);
				continue;
			}
			e->answers = xreallocarray(e->answers, e->nanswers + 1, sizeof(*e->answers));
			e->answers[e->nanswers++] = a;
		}
	if (e->nanswers > 0)
		event_push_made(c, e);
	else
		event_free(e);
}

static void offline_elected(struct controller *);
static void offline_shrunk(struct controller *);

/* Into c->newly_offline: those that were online until now. */
static void
take_answers(struct controller *c, const struct event *e)
{
	for (uint32_t i = 0; i < e->nanswers; i++) {
		const struct replica_answer *a = &e->answers[i];
		struct ctl_topic *t = context_topic(&c->ctx, a->topic);
		struct ctl_partition *p = t == NULL ? NULL : topic_partition(t, a->partition);
		uint32_t at;

		if (p == NULL || !answer_matters(c, a, e->broker_id) || !replica_index(p, e->broker_id, &at))
			continue;
		p->dir_offline[at] = a->error == KERR_KAFKA_STORAGE_ERROR;
		if (!p->dir_offline[at])
			continue;
		diag_warning(c->opt.diag, "controller", "the replica of %s-%d on broker %d is offline: its log directory failed", a->topic,
		    a->partition, e->broker_id);
		list_add(&c->newly_offline, p);
	}
}

void
leader_and_isr_answer_run(struct controller *c, const struct event *e)
{
	struct ctl_topic *t, *tmp;

	list_clear(&c->newly_offline);
	take_answers(c, e);
	if (c->newly_offline.n == 0) {
		event_done(c);
		return;
	}
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions && !t->deleting; i++) {
			struct ctl_partition *p = &t->partitions[i];

			if (p->state == PARTITION_ONLINE && !replica_usable_on(c, p, p->l.leader))
				partition_move(p, PARTITION_OFFLINE, c->opt.diag);
		}
	machine_elect_offline(c, offline_elected);
}

/* A topic that is being deleted has to wait for the directory; the others lose the replica. */
static void
offline_elected(struct controller *c)
{
	struct partition_list shrink = { NULL, 0, 0 };

	for (uint32_t i = 0; i < c->newly_offline.n; i++) {
		struct ctl_partition *p = c->newly_offline.v[i];
		uint32_t at;

		must(replica_index(p, c->current->broker_id, &at));
		if (!p->topic->deleting) {
			batch_stop_replica(c, p, c->current->broker_id, false);
			list_add(&shrink, p);
			continue;
		}
		if (replica_move_allowed(p->replica_states[at], REPLICA_INELIGIBLE))
			replica_move(p, at, REPLICA_INELIGIBLE, c->opt.diag);
		p->topic->ineligible = true;
		p->topic->deletion_started = false;
	}
	machine_shrink(c, &shrink, false, offline_shrunk);
	list_clear(&shrink);
}

static void
offline_shrunk(struct controller *c)
{
	batch_metadata(c, NULL);
	batch_send(c);
	event_done(c);
}
