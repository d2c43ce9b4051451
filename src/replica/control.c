/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/control.c - LeaderAndIsr, StopReplica and UpdateMetadata take effect (ReplicaManager.becomeLeaderOrFollower, stopReplicas,
 * maybeUpdateMetadataCache).
 *
 * CHECKS     In this order: broker epoch (STALE_BROKER_EPOCH), controller epoch (STALE_CONTROLLER_EPOCH), then partition by partition.
 *
 * LeaderAndIsr in four steps:
 *   1 control loop   which partitions change, which are refused; new partition objects enter the table
 *   2 (ZooKeeper)    the configurations of topics whose logs must be made
 *   3 workers        logs are made, topic ids stored, roles told to the logs, leader epochs begun: everything that touches a disk, or waits for
 *                    a set that is being written to one.  For logs that were there, most of it is waiting for syncs of single files, which a file
 *                    system does together when they are asked for together: many partitions are shared out among several workers, each taking the next.
 *   4 control loop   states published, high watermarks raised, answer; logs that were made go to the disk behind it (log_dirs_establish): empty as
 *                    they are, the controller's next request would make them again
 *
 * A DISK THAT HANGS  Where directories have threads of their own, those carry out step 3 for the logs that stand there, and deletions.  So it holds up
 *                    its own partitions: those of other directories in the same request take effect when theirs are done, no common worker is
 *                    held but for a new log that is to be made there, and the control loop goes on.  The answer, and with it the next request,
 *                    waits for all: the order of requests is what the controller relies on.  (Java's broker holds a lock that long.)
 *
 * INVARIANTS
 *   (1) The log learns the new role before the state that admits requests of that role is published; so no set is queued under a role
 *       the log does not know.  Until then a new leader's log refuses acks=all: nobody who could ask is let in.
 *   (2) The leader epoch is durable (leader-epoch-checkpoint) before the first append in that epoch: by step 3, of a new log by the append.
 *   (3) A state changes only with a greater leader epoch (or partition epoch); a repeated request changes nothing.
 *   (4) A move may put another log in a log's place at any time, before, within or after a step.  What step 3 told the old one has gone over to it, or
 *       does (log.h, Moves); each step looks which it is now, and step 4 publishes that.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "cluster/update.h"
#include "replica/replica_int.h"
#include "wire/walker.h"


/* One partition of a LeaderAndIsr request that will change. */
struct change {
	const struct wire_leader_and_isr_request_partition_state *want;
	struct partition *p;
	char		 *topic;	/* p's */
	struct uuid	  topic_id;
	int16_t		 *error_code;	/* in the response */
	bool		  leads;
	struct replica_topic_config config;
	struct log	 *log;		/* that stood here at step 1, or NULL; then found or made by step 3.  Referenced.  A move may replace it (invariant (4)) */
	struct workers	*pool;		/* carries it out */
	bool		  follows;	/* or leads: there is somebody to follow */
	bool		  tell;		/* the log its new role, in step 3 */
	_Atomic bool	  taken;	/* by one of the pool */
	_Atomic bool	  ready;	/* to be published */
	bool		  published;
	enum kerr	  error;
};

enum {
	PART_MIN = 16,			/* changes for each worker, at least */
	PARTS_MAX = 4,
};

struct lisr_part {			/* one worker's */
	struct job	 job;
	struct lisr	*l;
	struct workers	*pool;
};

struct lisr {
	struct replica_manager *m;
	struct control_request *c;
	struct change	*changes;
	uint32_t	 n, size;
	uint32_t	 unmade;	/* of them have no log */
	const char     **topics;	/* distinct, for the configuration */
	struct lisr_part *parts;
	uint32_t	 nparts;
	uint32_t	 left;		/* parts under way; of the control loop */
	uint32_t	 reconfigured;	/* the manager's at step 2 */
};

/* ---- epochs ---- */

static enum kerr
check_epochs(struct replica_manager *m, int64_t broker_epoch, int32_t controller_epoch)
{
	int64_t own = m->opt.broker_epoch(m->opt.broker_epoch_ctx);

	if (broker_epoch != -1 && broker_epoch < own)
		return (KERR_STALE_BROKER_EPOCH);
	if (controller_epoch < m->controller_epoch)
		return (KERR_STALE_CONTROLLER_EPOCH);
	m->controller_epoch = controller_epoch;
	return (KERR_NONE);
}

/* ---- LeaderAndIsr ---- */

/* The answer names every partition of the request; errors are filled in as they become known. */
static bool
lisr_response_make(struct control_request *c)
{
	const struct wire_leader_and_isr_request *rq = c->leader_and_isr;
	struct wire_leader_and_isr_response *rs = WIRE_NEW(c->arena, leader_and_isr_response);

	c->leader_and_isr_response = rs;
	if (rs == NULL)
		return (false);
	rs->topics.n = rq->topic_states.n;
	rs->topics.v = WIRE_NEW_ARRAY(c->arena, leader_and_isr_response_topic_error, MAX(rq->topic_states.n, 0));
	if (rq->topic_states.n > 0 && rs->topics.v == NULL)
		return (false);
	for (int32_t i = 0; i < rq->topic_states.n; i++) {
		const struct wire_leader_and_isr_request_topic_state *t = &rq->topic_states.v[i];
		struct wire_leader_and_isr_response_topic_error *e = &rs->topics.v[i];

		e->topic_id = t->topic_id;
		e->partition_errors.n = t->partition_states.n;
		e->partition_errors.v = WIRE_NEW_ARRAY(c->arena, leader_and_isr_response_partition_error, MAX(t->partition_states.n, 0));
		if (t->partition_states.n > 0 && e->partition_errors.v == NULL)
			return (false);
		for (int32_t j = 0; j < t->partition_states.n; j++) {
			e->partition_errors.v[j].topic_name = t->topic_name;
			e->partition_errors.v[j].partition_index = t->partition_states.v[j].partition_index;
		}
	}
	return (true);
}

static void
lisr_answer_all(struct control_request *c, enum kerr k)
{
	struct wire_leader_and_isr_response *rs = c->leader_and_isr_response;

	rs->error_code = (int16_t)k;
	if (k == KERR_STALE_BROKER_EPOCH) {	/* Java answers with empty lists then */
		rs->topics.n = 0;
		return;
	}
	for (int32_t i = 0; i < rs->topics.n; i++)
		for (int32_t j = 0; j < rs->topics.v[i].partition_errors.n; j++)
			rs->topics.v[i].partition_errors.v[j].error_code = (int16_t)k;
}

static bool
names(const int32_t *ids, int32_t n, int32_t id)
{
	for (int32_t i = 0; i < n; i++)
		if (ids[i] == id)
			return (true);
	return (false);
}

/* Referenced, or NULL; also one that no partition object knows yet. */
static struct log *
log_here(struct replica_manager *m, const struct partition *p)
{
	return (p->log != NULL ? log_ref(p->log) : log_dirs_find(m->opt.log_dirs, p->topic, p->number));
}

static struct uuid
stored_topic_id(const struct partition *p, const struct log *log)
{
	struct uuid id = p->box->topic_id;

	return (uuid_is_zero(id) && log != NULL ? log_topic_id(log) : id);
}

static void
say_wrong_id(const struct replica_manager *m, const struct partition *p, struct uuid theirs, struct uuid ours)
{
	char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];

	uuid_format(theirs, a);
	uuid_format(ours, b);
	diag_error(m->opt.diag, "replica",
	    "%s-%d is not served: its topic has the id %s in /brokers/topics/%s, but %s in the partition's partition.metadata; if the topic was made "
	    "again, move the directory away, else put the id of partition.metadata back into the znode",
	    p->topic, p->number, a, p->topic, b);
}

/* What the request means for this partition: NONE and *change, or the answer. */
static enum kerr
partition_judge(struct replica_manager *m, const struct partition *p, const struct log *log, struct uuid topic_id,
    const struct wire_leader_and_isr_request_partition_state *want, bool *change)
{
	const struct partition_state *st = &p->box->state;
	struct uuid stored = stored_topic_id(p, log);

	*change = false;
	if (st->offline)
		return (KERR_KAFKA_STORAGE_ERROR);
	if (!uuid_is_zero(topic_id) && !uuid_is_zero(stored) && !uuid_eq(topic_id, stored)) {
		say_wrong_id(m, p, topic_id, stored);
		return (KERR_INCONSISTENT_TOPIC_ID);
	}
	if (want->leader_epoch < st->leader_epoch)
		return (KERR_STALE_CONTROLLER_EPOCH);
	if (want->leader_epoch == st->leader_epoch) {
		/* An old log learns its topic's id from a repeated request; anything else that is repeated is stale. */
		if (uuid_is_zero(topic_id) || !uuid_is_zero(p->box->topic_id))
			return (KERR_STALE_CONTROLLER_EPOCH);
		*change = true;
		return (KERR_NONE);
	}
	if (!names(want->replicas.v, want->replicas.n, m->opt.broker_id))
		return (KERR_UNKNOWN_TOPIC_OR_PARTITION);
	*change = want->partition_epoch >= st->partition_epoch;
	return (KERR_NONE);
}

static void
lisr_add_change(struct lisr *l, struct partition *p, struct log *log, struct uuid topic_id,
    const struct wire_leader_and_isr_request_partition_state *want, int16_t *error_code)
{
	p->changing = true;
	l->unmade += log == NULL;
	l->changes[l->n++] = (struct change){
	    .want = want,
	    .p = p,
	    .topic = p->topic,
	    .topic_id = topic_id,
	    .error_code = error_code,
	    .log = log,
	    .leads = want->leader == l->m->opt.broker_id,
	};
}

/* Step 1.  The requests of one topic; new partition objects go into the next table. */
static void
lisr_judge_topic(struct lisr *l, int32_t t, struct partition_table *next)
{
	const struct wire_leader_and_isr_request_topic_state *ts = &l->c->leader_and_isr->topic_states.v[t];
	struct wire_leader_and_isr_response_topic_error *errors = &l->c->leader_and_isr_response->topics.v[t];
	char name[LIMIT_TOPIC_NAME_MAX + 1];

	if (topic_name_invalid(ts->topic_name) != NULL) {
		for (int32_t i = 0; i < errors->partition_errors.n; i++)
			errors->partition_errors.v[i].error_code = KERR_INVALID_TOPIC_EXCEPTION;
		return;
	}
	memcpy(name, ts->topic_name.p, ts->topic_name.len);
	name[ts->topic_name.len] = '\0';
	for (int32_t i = 0; i < ts->partition_states.n; i++) {
		const struct wire_leader_and_isr_request_partition_state *want = &ts->partition_states.v[i];
		struct partition *p = table_find(next, ts->topic_name, want->partition_index);
		struct log *log;
		bool change;
		enum kerr k;

		if (want->partition_index < 0) {
			errors->partition_errors.v[i].error_code = KERR_INVALID_REQUEST;
			continue;
		}
		if (p == NULL) {
			p = partition_new(l->m, name, want->partition_index);
			table_add(next, p);
		}
		/* Twice in one request, which no controller does: the first word stands.  Java takes the last, and answers once. */
		if (p->changing) {
			errors->partition_errors.v[i].error_code = KERR_INVALID_REQUEST;
			continue;
		}
		log = log_here(l->m, p);
		k = partition_judge(l->m, p, log, ts->topic_id, want, &change);
		errors->partition_errors.v[i].error_code = (int16_t)k;
		if (change)
			lisr_add_change(l, p, log, ts->topic_id, want, &errors->partition_errors.v[i].error_code);
		else
			log_unref(&log);
	}
}

static void
lisr_judge(struct lisr *l)
{
	const struct wire_leader_and_isr_request *rq = l->c->leader_and_isr;
	struct partition_table *next;
	uint32_t total = 0;

	for (int32_t i = 0; i < rq->topic_states.n; i++)
		total += (uint32_t)MAX(rq->topic_states.v[i].partition_states.n, 0);
	next = table_copy(l->m->table, total);
	l->changes = xcalloc((size_t)total + 1, sizeof(*l->changes));
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		lisr_judge_topic(l, i, next);
	if (next->n > l->m->table->n)
		manager_publish_table(l->m, next);
	else
		free(next);
}

static void
lisr_finish(struct lisr *l)
{
	struct replica_manager *m = l->m;
	struct control_request *c = l->c;

	free(l->changes);
	free(l->topics);
	free(l->parts);
	free(l);
	control_finished(m, c);
}

/* Step 4. */
static void
change_publish(struct lisr *l, struct change *ch)
{
	const struct wire_leader_and_isr_request_partition_state *want = ch->want;
	struct partition *p = ch->p;
	struct partition_state st = {
	    .leader = ch->leads,
	    .leader_id = want->leader,
	    .leader_epoch = want->leader_epoch,
	    .partition_epoch = want->partition_epoch,
	    .controller_epoch = want->controller_epoch,
	    .leader_since = -1,
	    .epoch_start = -1,
	    .nisr = ch->leads ? (uint32_t)MAX(want->isr.n, 0) : 0,	/* a follower never reports an ISR */
	    .nreplicas = (uint32_t)MAX(want->replicas.n, 0),
	    .isr = want->isr.v,
	    .replicas = want->replicas.v,
	};
	struct uuid id = uuid_is_zero(ch->topic_id) ? p->box->topic_id : ch->topic_id;
	struct log_role role = { .leader = ch->leads, .leader_epoch = want->leader_epoch };

	p->changing = false;
	log_follow_move(&ch->log);	/* invariant (4) */
	if (ch->error == KERR_NONE && log_is_offline(ch->log))	/* its directory failed since; nobody could tell this partition then */
		ch->error = KERR_KAFKA_STORAGE_ERROR;
	if (ch->error != KERR_NONE) {
		*ch->error_code = (int16_t)ch->error;
		log_unref(&ch->log);
		if (ch->error == KERR_KAFKA_STORAGE_ERROR) {
			st = p->box->state;
			st.offline = true;
			st.leader = false;
			partition_set_state(p, &st, id);
			partition_wake(p);
			partition_tell_leadership(p, false, st.leader_epoch);
		}
		return;
	}
	partition_set_log(p, ch->log);
	ch->log = NULL;
	if (l->reconfigured != l->m->reconfigured)	/* since step 2, perhaps this topic */
		l->m->opt.configs.get(l->m->opt.configs.ctx, ch->topic, &ch->config);
	partition_set_config(p, &ch->config);
	if (!ch->follows)	/* the log is made, everything else stays as it was */
		return;
	if (ch->leads) {
		const struct partition_state *old = &p->box->state;

		st.leader_since = old->leader ? old->leader_since : want->leader_epoch;
		/* A repeated request (a topic id to learn) begins no epoch. */
		st.epoch_start = old->leader && old->leader_epoch == want->leader_epoch ? old->epoch_start : log_end_offset(p->log);
	}
	role.min_isr_met = (int32_t)st.nisr >= partition_effective_min_isr(p, &st);
	log_set_role(p->log, &role);			/* invariant (1) */
	partition_set_state(p, &st, id);
	partition_progress(p);
	partition_wake(p);	/* who waits under an older role must look again */
	partition_tell_leadership(p, ch->leads, want->leader_epoch);
	move_consider(p);	/* a move that a restart broke off goes on */
}

static void
lisr_done(struct job *job)
{
	struct lisr *l = CONTAINER_OF(job, struct lisr_part, job)->l;

	for (uint32_t i = 0; i < l->n; i++) {
		struct change *ch = &l->changes[i];

		if (ch->published || !ch->ready)
			continue;
		ch->published = true;
		change_publish(l, ch);
	}
	if (--l->left > 0)
		return;
	log_dirs_establish(l->m->opt.log_dirs);
	lisr_finish(l);
}

/* A partition that existed before may stand in a directory that is offline: another, empty log of it must not be made. */
static enum err
check_may_be_made(struct log_dirs *dirs, const struct change *ch, struct errbuf *eb)
{
	struct log *log = log_dirs_find(dirs, ch->topic, ch->p->number);
	bool here = log != NULL;

	log_unref(&log);
	if (here || !log_dirs_any_offline(dirs))
		return (OK);
	errbuf_set(eb, "it is in none of the live log directories, and may be in one that is offline");
	return (ERR_OFFLINE);
}

/* Step 3, on a worker. */
static enum err
change_prepare(struct lisr *l, struct change *ch, struct errbuf *eb)
{
	struct log_dirs *dirs = l->m->opt.log_dirs;
	enum err e;

	log_unref(&ch->log);		/* it is looked for where it stands now, or made */
	e = ch->want->is_new ? OK : check_may_be_made(dirs, ch, eb);
	if (e == OK)
		e = log_dirs_create(dirs, ch->topic, ch->p->number, ch->topic_id, &ch->config.log, &ch->log, eb);
	if (e != OK)
		return (e);
	if (!uuid_is_zero(ch->topic_id) && uuid_is_zero(log_topic_id(ch->log))) {
		e = log_set_topic_id(ch->log, ch->topic_id, eb);
		if (e != OK)
			return (e);
	}
	if (partition_log(ch->p) == NULL)
		log_set_high_watermark(ch->log, log_dirs_stored_high_watermark(dirs, ch->topic, ch->p->number));
	if (ch->tell)
		log_set_role(ch->log, &(struct log_role){ .leader = ch->leads, .leader_epoch = ch->want->leader_epoch });
	if (ch->leads)		/* only now: an older set behind the new row would take it away, and that of its own epoch */
		e = log_begin_leader_epoch(ch->log, ch->want->leader_epoch, eb);	/* invariant (2) */
	return (e);
}

static void
change_carry_out(struct lisr *l, struct change *ch)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e = change_prepare(l, ch, &eb);

	if (e != OK) {
		ch->error = e == ERR_CONFLICT ? KERR_INCONSISTENT_TOPIC_ID : KERR_KAFKA_STORAGE_ERROR;
		diag_error(l->m->opt.diag, "replica", "%s-%d cannot be opened: %s: %s", ch->topic, ch->p->number, err_text(e), eb.text);
	}
	ch->ready = true;
}

static void
lisr_run(struct job *job)
{
	const struct lisr_part *part = CONTAINER_OF(job, struct lisr_part, job);
	struct lisr *l = part->l;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->changes[i].pool == part->pool && !atomic_exchange(&l->changes[i].taken, true))
			change_carry_out(l, &l->changes[i]);
}

/* No more than half of a pool: a disk that hangs must not have them all. */
static uint32_t
parts_for(struct workers *pool, uint32_t changes)
{
	return (MAX(1U, MIN(MIN(workers_count(pool) / 2, changes / PART_MIN), (uint32_t)PARTS_MAX)));
}

static void
lisr_add_parts(struct lisr *l, struct workers *pool)
{
	uint32_t changes = 0, n;

	for (uint32_t i = 0; i < l->nparts; i++)
		if (l->parts[i].pool == pool)
			return;
	for (uint32_t i = 0; i < l->n; i++)
		changes += l->changes[i].pool == pool;
	n = parts_for(pool, changes);
	l->parts = xreallocarray(l->parts, l->nparts + n, sizeof(*l->parts));
	while (n-- > 0)
		l->parts[l->nparts++] = (struct lisr_part){ { .run = lisr_run, .done = lisr_done, .loop = l->m->opt.control }, l, pool };
}

/* The threads of the directory it stands in; a log that is to be made stands nowhere yet (NULL). */
static struct workers *
pool_of(struct replica_manager *m, const struct log *log)
{
	struct workers *pool = log == NULL ? NULL : log_syncers(log);

	return (pool == NULL ? m->opt.workers : pool);
}

/* before: the one before it, or NULL; mostly of the same topic, whose thousands of partitions share what its settings come to. */
static void
change_ready_to_go(struct lisr *l, struct change *ch, const struct change *before)
{
	struct replica_manager *m = l->m;

	if (before != NULL && strcmp(before->topic, ch->topic) == 0)
		ch->config = before->config;
	else
		m->opt.configs.get(m->opt.configs.ctx, ch->topic, &ch->config);
	log_follow_move(&ch->log);	/* invariant (4) */
	ch->pool = pool_of(m, ch->log);
	/* A leader that the metadata image does not know as alive is none to follow.  A repeated request changes no role. */
	ch->follows = ch->leads || image_broker(cluster_read(m->opt.cluster), ch->want->leader) != NULL;
	ch->tell = ch->follows && ch->want->leader_epoch != ch->p->box->state.leader_epoch;
}

/* Between 2 and 3. */
static void
lisr_configured(void *v)
{
	struct lisr *l = v;

	l->reconfigured = l->m->reconfigured;
	for (uint32_t i = 0; i < l->n; i++)
		change_ready_to_go(l, &l->changes[i], i == 0 ? NULL : &l->changes[i - 1]);
	for (uint32_t i = 0; i < l->n; i++)
		lisr_add_parts(l, l->changes[i].pool);
	l->left = l->nparts;
	log_dirs_expect(l->m->opt.log_dirs, l->unmade);
	for (uint32_t i = 0; i < l->nparts; i++)
		workers_submit(l->parts[i].pool, &l->parts[i].job);
}

/* Changes stand topic by topic, so neighbours are compared. */
static uint32_t
lisr_topics(struct lisr *l)
{
	uint32_t n = 0;

	l->topics = xcalloc((size_t)l->n + 1, sizeof(*l->topics));
	for (uint32_t i = 0; i < l->n; i++)
		if (n == 0 || strcmp(l->topics[n - 1], l->changes[i].topic) != 0)
			l->topics[n++] = l->changes[i].topic;
	return (n);
}

static void
control_leader_and_isr(struct replica_manager *m, struct control_request *c)
{
	const struct wire_leader_and_isr_request *rq = c->leader_and_isr;
	uint32_t ntopics;
	struct lisr *l;
	enum kerr k;

	if (!lisr_response_make(c)) {
		control_finished(m, c);
		return;
	}
	k = check_epochs(m, rq->broker_epoch, rq->controller_epoch);
	if (k != KERR_NONE) {
		lisr_answer_all(c, k);
		control_finished(m, c);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->m = m;
	l->c = c;
	lisr_judge(l);
	if (l->n == 0) {
		lisr_finish(l);
		return;
	}
	ntopics = lisr_topics(l);	/* not among the arguments: it sets l->topics, and they have no order */
	m->opt.configs.refresh(m->opt.configs.ctx, l->topics, ntopics, lisr_configured, l);
}

/* ---- StopReplica ---- */

struct stop_item {
	struct partition *p;		/* NULL: not hosted; a log may lie there all the same */
	char		  topic[LIMIT_TOPIC_NAME_MAX + 1];
	int32_t		  number;
	bool		  delete;
	struct workers	 *pool;		/* deletes it */
	struct log	 *log;		/* to be told that it has no role */
	int32_t		  leader_epoch;
	enum kerr	  error;
	int16_t		 *error_code;
};

struct stop_part {			/* a pool's */
	struct job	  job;
	struct stop	 *s;
	struct workers	 *pool;
};

struct stop {
	struct replica_manager *m;
	struct control_request *c;
	struct stop_item *items;
	uint32_t	  n;
	struct stop_part *parts;
	uint32_t	  nparts, left;	/* left: of the control loop */
};

static enum kerr
stop_judge(const struct partition *p, int32_t leader_epoch)
{
	if (p != NULL && p->box->state.offline)		/* before the epoch, also when there is none to compare */
		return (KERR_KAFKA_STORAGE_ERROR);
	if (p == NULL || leader_epoch == -2 || leader_epoch == -1)
		return (KERR_NONE);
	return (leader_epoch >= p->box->state.leader_epoch ? KERR_NONE : KERR_FENCED_LEADER_EPOCH);
}

/* Its log hears of it from who deletes it, who may wait for a write. */
static void
stop_role(struct stop_item *it)
{
	struct partition *p = it->p;
	struct partition_state st = p->box->state;

	if (p->log != NULL && !st.offline)
		it->log = log_ref(p->log);
	it->leader_epoch = st.leader_epoch;
	st.leader = false;
	partition_set_state(p, &st, p->box->topic_id);
	partition_wake(p);
}

static void
stop_item_run(struct stop *s, struct stop_item *it)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	if (it->log != NULL)
		log_set_role(it->log, &(struct log_role){ .leader = false, .leader_epoch = it->leader_epoch });
	log_unref(&it->log);
	e = log_dirs_delete(s->m->opt.log_dirs, it->topic, it->number, &eb);
	if (e == OK || e == ERR_NOTFOUND)
		return;
	it->error = KERR_KAFKA_STORAGE_ERROR;
	diag_error(s->m->opt.diag, "replica", "%s-%d cannot be deleted: %s: %s", it->topic, it->number, err_text(e), eb.text);
}

static void
stop_run(struct job *job)
{
	const struct stop_part *part = CONTAINER_OF(job, struct stop_part, job);
	struct stop *s = part->s;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->items[i].pool == part->pool)
			stop_item_run(s, &s->items[i]);
}

static void
stop_finish(struct stop *s)
{
	struct replica_manager *m = s->m;
	struct control_request *c = s->c;

	for (uint32_t i = 0; i < s->n; i++)
		*s->items[i].error_code = (int16_t)s->items[i].error;
	free(s->items);
	free(s->parts);
	free(s);
	control_finished(m, c);
}

static void
stop_done(struct job *job)
{
	struct stop *s = CONTAINER_OF(job, struct stop_part, job)->s;

	if (--s->left == 0)
		stop_finish(s);
}

static void
stop_add_part(struct stop *s, struct workers *pool)
{
	for (uint32_t i = 0; i < s->nparts; i++)
		if (s->parts[i].pool == pool)
			return;
	s->parts = xreallocarray(s->parts, s->nparts + 1, sizeof(*s->parts));
	s->parts[s->nparts++] = (struct stop_part){ { .run = stop_run, .done = stop_done, .loop = s->m->opt.control }, s, pool };
}

static void
stop_delete(struct stop *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct stop_item *it = &s->items[i];
		struct log *log;

		if (it->error != KERR_NONE || !it->delete)
			continue;
		log = log_dirs_find(s->m->opt.log_dirs, it->topic, it->number);
		it->pool = pool_of(s->m, log);
		log_unref(&log);
		stop_add_part(s, it->pool);
	}
	if (s->nparts == 0)	/* an answer that nothing waits for takes the same way */
		stop_add_part(s, s->m->opt.workers);
	s->left = s->nparts;
	for (uint32_t i = 0; i < s->nparts; i++)
		workers_submit(s->parts[i].pool, &s->parts[i].job);
}

/* Partitions to be deleted leave the table before their logs go, so that no request finds them in between. */
static void
stop_take_out(struct stop *s)
{
	struct partition **drop = xcalloc((size_t)s->n + 1, sizeof(*drop));
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct stop_item *it = &s->items[i];

		if (it->error != KERR_NONE || !it->delete || it->p == NULL || it->p->leaving)
			continue;
		stop_role(it);
		partition_tell_leadership(it->p, false, -1);
		it->p->leaving = true;
		drop[n++] = it->p;
	}
	if (n > 0)
		manager_publish_table(s->m, table_copy(s->m->table, 0));
	for (uint32_t i = 0; i < n; i++) {
		partition_set_log(drop[i], NULL);
		table_release(drop[i]);
	}
	free(drop);
}

static void
stop_add(struct stop *s, struct slice topic, const struct wire_stop_replica_request_partition_state *want, int16_t *error_code)
{
	struct stop_item *it = &s->items[s->n];

	if (topic_name_invalid(topic) != NULL || want->partition_index < 0) {	/* there is none to stop; Java has no more to say of it */
		*error_code = KERR_NONE;
		return;
	}
	s->n++;
	memcpy(it->topic, topic.p, topic.len);
	it->topic[topic.len] = '\0';
	it->number = want->partition_index;
	it->delete = want->delete_partition;
	it->p = table_find(s->m->table, topic, want->partition_index);
	it->error = stop_judge(it->p, want->leader_epoch);
	it->error_code = error_code;
}

static bool
stop_response_make(struct control_request *c, uint32_t total)
{
	struct wire_stop_replica_response *rs = WIRE_NEW(c->arena, stop_replica_response);

	c->stop_replica_response = rs;
	if (rs == NULL)
		return (false);
	rs->partition_errors.v = WIRE_NEW_ARRAY(c->arena, stop_replica_response_partition_error, (int32_t)total);
	return (total == 0 || rs->partition_errors.v != NULL);
}

static void
stop_collect(struct stop *s)
{
	const struct wire_stop_replica_request *rq = s->c->stop_replica;
	struct wire_stop_replica_response *rs = s->c->stop_replica_response;

	for (int32_t i = 0; i < rq->topic_states.n; i++)
		for (int32_t j = 0; j < rq->topic_states.v[i].partition_states.n; j++) {
			const struct wire_stop_replica_request_partition_state *want = &rq->topic_states.v[i].partition_states.v[j];
			struct wire_stop_replica_response_partition_error *e = &rs->partition_errors.v[rs->partition_errors.n++];

			e->topic_name = rq->topic_states.v[i].topic_name;
			e->partition_index = want->partition_index;
			stop_add(s, e->topic_name, want, &e->error_code);
		}
}

static void
control_stop_replica(struct replica_manager *m, struct control_request *c)
{
	const struct wire_stop_replica_request *rq = c->stop_replica;
	uint32_t total = 0;
	struct stop *s;
	enum kerr k;

	for (int32_t i = 0; i < rq->topic_states.n; i++)
		total += (uint32_t)MAX(rq->topic_states.v[i].partition_states.n, 0);
	if (!stop_response_make(c, total)) {
		control_finished(m, c);
		return;
	}
	k = check_epochs(m, rq->broker_epoch, rq->controller_epoch);
	if (k != KERR_NONE) {
		c->stop_replica_response->error_code = (int16_t)k;
		c->stop_replica_response->partition_errors.n = 0;
		control_finished(m, c);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->m = m;
	s->c = c;
	s->items = xcalloc((size_t)total + 1, sizeof(*s->items));
	stop_collect(s);
	stop_take_out(s);
	stop_delete(s);
}

/* ---- UpdateMetadata ---- */

static bool
deletes_any(const struct wire_update_metadata_request_topic_state *t)
{
	for (int32_t i = 0; i < t->partition_states.n; i++)
		if (t->partition_states.v[i].leader == LEADER_DURING_DELETE)
			return (true);
	return (false);
}

static void
tell_of_deletions(struct replica_manager *m, const struct wire_update_metadata_request *rq)
{
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		if (deletes_any(&rq->topic_states.v[i]))
			m->opt.topic_deleted(m->opt.topic_deleted_ctx, rq->topic_states.v[i].topic_name);
	for (int32_t i = 0; i < rq->ungrouped_partition_states.n; i++)
		if (rq->ungrouped_partition_states.v[i].leader == LEADER_DURING_DELETE)
			m->opt.topic_deleted(m->opt.topic_deleted_ctx, rq->ungrouped_partition_states.v[i].topic_name);
}

static void
control_update_metadata(struct replica_manager *m, struct control_request *c)
{
	const struct wire_update_metadata_request *rq = c->update_metadata;
	struct wire_update_metadata_response *rs = WIRE_NEW(c->arena, update_metadata_response);
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = check_epochs(m, rq->broker_epoch, rq->controller_epoch);

	c->update_metadata_response = rs;
	if (k == KERR_NONE && cluster_update_metadata(m->opt.cluster, rq, &eb) != OK) {
		diag_error(m->opt.diag, "replica", "UpdateMetadata refused: %s", eb.text);
		k = KERR_UNKNOWN_SERVER_ERROR;
	} else if (k == KERR_NONE && m->opt.topic_deleted != NULL) {
		tell_of_deletions(m, rq);
	}
	if (rs != NULL)
		rs->error_code = (int16_t)k;
	control_finished(m, c);
}

void
control_run(struct replica_manager *m, struct control_request *c)
{
	switch (c->kind) {
	case CONTROL_LEADER_AND_ISR:
		control_leader_and_isr(m, c);
		return;
	case CONTROL_STOP_REPLICA:
		control_stop_replica(m, c);
		return;
	case CONTROL_UPDATE_METADATA:
		control_update_metadata(m, c);
		return;
	case CONTROL_ALTER_DIRS:
		control_alter_dirs(m, c);
		return;
	}
	unreachable("control request of no kind");
}
