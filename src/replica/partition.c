/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/partition.c - see partition.h.
 *
 * STATE      One immutable struct state_box at a time; the control loop publishes the next.  The log pointer and the topic's configuration are
 *            published in the same way, each by itself: a request reads the state once and works with that.
 *
 * WAITING    A request that waits on loop i sets bit i of `waiting` first, and looks at offsets, state and log again after that.  Whoever moves
 *            one of these stores it first and looks at `waiting` after that.  Both touch `waiting` by a read-modify-write: these stand in one
 *            order, so either the mover sees the bit or the waiter sees what was stored, and no wake is lost.  (A plain load would not do: a
 *            processor may read `waiting` before its own earlier store is visible to others.)  The bit is cleared by the wake on its own
 *            loop before the waiters look; those that stay set it again.
 *
 * HIGH WATERMARK
 *   (1) Only a leader moves it, and never back.
 *   (2) It stands still while the ISR is smaller than the effective min.insync.replicas (KIP-966, part 1).
 *   (3) It is at most the end offset of every member of the ISR.  The end of another member is known from its fetches; a member that has not
 *       fetched yet keeps it where it is.
 *   (4) With group commit it is at most this log's settled offset: nobody reads, or has acknowledged, what a loss of power may take away here.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "replica/replica_int.h"

static void wake_run(struct task *);

static void
state_publish(struct partition *p, const struct state_box *box)
{
	const struct state_box *old = p->box;

	reclaim_publish(&p->box, box);
	if (old != NULL)
		reclaim_defer(free, (void *)(uintptr_t)old);
}

void
partition_set_state(struct partition *p, const struct partition_state *st, struct uuid topic_id)
{
	size_t ids = ((size_t)st->nisr + st->nreplicas) * sizeof(int32_t);
	struct state_box *box = xmalloc(sizeof(*box) + ids);
	int32_t *list = (int32_t *)(box + 1);

	box->state = *st;
	box->topic_id = topic_id;
	box->state.isr = list;
	if (st->nisr > 0)
		memcpy(list, st->isr, st->nisr * sizeof(*list));
	box->state.replicas = list + st->nisr;
	if (st->nreplicas > 0)
		memcpy(list + st->nisr, st->replicas, st->nreplicas * sizeof(*list));
	state_publish(p, box);
}

struct partition *
partition_new(struct replica_manager *m, const char *topic, int32_t number)
{
	struct partition *p = xcalloc(1, sizeof(*p) + m->opt.nloops * sizeof(p->wakes[0]));
	struct partition_state none = { .leader_id = -1, .leader_epoch = -1, .partition_epoch = -1, .controller_epoch = -1,
	    .leader_since = -1, .epoch_start = -1 };
	struct replica_topic_config *config = xcalloc(1, sizeof(*config));

	p->magic.value = PARTITION_MAGIC;
	p->refs = 1;
	p->manager = m;
	p->topic = xstrdup(topic);
	p->number = number;
	for (uint32_t i = 0; i < m->opt.nloops; i++) {
		p->wakes[i].task.fn = wake_run;
		p->wakes[i].p = p;
		p->wakes[i].loop = i;
	}
	log_options_default(&config->log);
	config->rules = (struct record_rules)RECORD_RULES_DEFAULT;
	config->min_insync_replicas = 1;
	p->config = config;
	partition_set_state(p, &none, UUID_ZERO);
	return (p);
}

struct partition *
partition_ref(struct partition *p)
{
	MAGIC_OK(p, PARTITION_MAGIC);
	__atomic_fetch_add((uint32_t *)&p->refs, 1, __ATOMIC_RELAXED);
	return (p);
}

void
partition_unref(struct partition **pp)
{
	struct partition *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	MAGIC_OK(p, PARTITION_MAGIC);
	if (__atomic_sub_fetch((uint32_t *)&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	log_unref(&p->log);
	free((void *)(uintptr_t)p->box);
	free((void *)(uintptr_t)p->config);
	free(p->topic);
	p->magic.value = 0;
	free(p);
}

struct partition *
replica_partition(struct replica_manager *m, struct slice topic, int32_t partition)
{
	struct partition *p = table_find(reclaim_read(&m->table), topic, partition);

	return (p == NULL ? NULL : partition_ref(p));
}

const char *
partition_topic(const struct partition *p)
{
	return (p->topic);
}

int32_t
partition_number(const struct partition *p)
{
	return (p->number);
}

struct uuid
partition_topic_id(const struct partition *p)
{
	return (reclaim_read(&p->box)->topic_id);
}

struct log *
partition_log(const struct partition *p)
{
	return (reclaim_read(&p->log));
}

const struct partition_state *
partition_state(const struct partition *p)
{
	return (&reclaim_read(&p->box)->state);
}

const struct replica_topic_config *
partition_config(const struct partition *p)
{
	return (reclaim_read(&p->config));
}

static void
log_unref_later(void *v)
{
	struct log *log = v;

	log_unref(&log);
}

void
partition_set_log(struct partition *p, struct log *log)
{
	struct log *old = p->log;

	if (old == log) {
		log_unref(&log);
		return;
	}
	reclaim_publish(&p->log, log);
	if (old != NULL)
		reclaim_defer(log_unref_later, old);
}

void
partition_set_config(struct partition *p, const struct replica_topic_config *config)
{
	const struct replica_topic_config *old = p->config;
	struct replica_topic_config *new = xmalloc(sizeof(*new));

	*new = *config;
	reclaim_publish(&p->config, (const struct replica_topic_config *)new);
	reclaim_defer(free, (void *)(uintptr_t)old);
	if (p->log != NULL)
		log_set_options(p->log, &config->log);
}

static enum kerr
check(const struct partition *p, int32_t current_leader_epoch, bool any_role)
{
	const struct partition_state *st = partition_state(p);
	struct log *log = partition_log(p);	/* once: a deletion takes it away at any moment */

	if (st->offline)
		return (KERR_KAFKA_STORAGE_ERROR);
	if (current_leader_epoch >= 0) {
		if (current_leader_epoch < st->leader_epoch)
			return (KERR_FENCED_LEADER_EPOCH);
		if (current_leader_epoch > st->leader_epoch)
			return (KERR_UNKNOWN_LEADER_EPOCH);
	}
	if (!(st->leader || any_role) || log == NULL)
		return (KERR_NOT_LEADER_OR_FOLLOWER);
	if (log_is_offline(log))
		return (KERR_KAFKA_STORAGE_ERROR);
	return (KERR_NONE);
}

enum kerr
partition_check_leader(const struct partition *p, int32_t current_leader_epoch)
{
	return (check(p, current_leader_epoch, false));
}

enum kerr
partition_check_hosted(const struct partition *p, int32_t current_leader_epoch)
{
	return (check(p, current_leader_epoch, true));
}

enum kerr
replica_missing(struct replica_manager *m, struct slice topic, int32_t partition)
{
	const struct image_topic *t = image_topic(cluster_read(m->opt.cluster), topic);

	return (t != NULL && image_partition(t, partition) != NULL ? KERR_NOT_LEADER_OR_FOLLOWER : KERR_UNKNOWN_TOPIC_OR_PARTITION);
}

void
partition_name_leader(struct replica_manager *m, const struct partition *p, struct slice topic, int32_t number, int32_t *id, int32_t *epoch)
{
	const struct image_topic *t;
	const struct image_partition *known;

	if (p != NULL) {
		*id = partition_state(p)->leader_id;
		*epoch = partition_state(p)->leader_epoch;
		return;
	}
	t = image_topic(cluster_read(m->opt.cluster), topic);
	known = t == NULL ? NULL : image_partition(t, number);
	if (known == NULL)
		return;
	*id = known->leader;
	*epoch = known->leader_epoch;
}

/* ---- waiting ---- */

void
partition_note_waiter(struct partition *p, uint32_t loop)
{
	__atomic_fetch_or((uint64_t *)&p->waiting, UINT64_C(1) << loop, __ATOMIC_SEQ_CST);
}

void
partition_wake(struct partition *p)
{
	uint64_t loops = __atomic_fetch_or((uint64_t *)&p->waiting, 0, __ATOMIC_SEQ_CST);

	for (; loops != 0; loops &= loops - 1) {
		struct partition_wake *w = &p->wakes[__builtin_ctzll(loops)];

		if (__atomic_exchange_n((bool *)&w->queued, true, __ATOMIC_ACQ_REL))
			continue;
		partition_ref(p);
		loop_post(p->manager->loops[w->loop].loop, &w->task);
	}
}

static void
wake_run(struct task *task)
{
	struct partition_wake *w = CONTAINER_OF(task, struct partition_wake, task);
	struct partition *p = w->p;

	(void)__atomic_exchange_n((bool *)&w->queued, false, __ATOMIC_ACQ_REL);	/* who found it queued has stored his news before */
	__atomic_fetch_and((uint64_t *)&p->waiting, ~(UINT64_C(1) << w->loop), __ATOMIC_SEQ_CST);
	wait_wake(p->manager->loops[w->loop].waits, p);
	partition_unref(&p);
}

/* ---- the high watermark ---- */

int32_t
partition_effective_min_isr(const struct partition *p, const struct partition_state *st)
{
	int32_t min = reclaim_read(&p->config)->min_insync_replicas;

	return (MIN(min, (int32_t)st->nreplicas));
}

/* The smallest end offset in the ISR, ours as far as it is settled; -1 while a member's is unknown. */
static int64_t
isr_end(const struct partition *p, const struct partition_state *st, struct log *log)
{
	for (uint32_t i = 0; i < st->nisr; i++)
		if (st->isr[i] != p->manager->opt.broker_id)
			return (-1);
	return (log_settled_offset(log));
}

void
partition_progress(struct partition *p)
{
	const struct partition_state *st = partition_state(p);
	struct log *log = partition_log(p);

	if (!st->leader || log == NULL)
		return;
	if ((int32_t)st->nisr >= partition_effective_min_isr(p, st))
		log_raise_high_watermark(log, isr_end(p, st, log));	/* an unknown end (-1) raises nothing */
	partition_wake(p);	/* in any case: followers wait for the end, not for the high watermark */
}

void
partition_tell_leadership(struct partition *p, bool leads, int32_t leader_epoch)
{
	const struct replica_manager_options *opt = &p->manager->opt;

	if (opt->leadership != NULL)
		opt->leadership(opt->leadership_ctx, p->topic, p->number, leads, leader_epoch);
}

void
partition_tell_min_isr(struct partition *p)
{
	const struct partition_state *st = partition_state(p);

	if (p->log != NULL && st->leader)
		log_set_min_isr_met(p->log, st->leader_epoch, (int32_t)st->nisr >= partition_effective_min_isr(p, st));
}
