/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/manager.c - see manager.h: life, events of log/, configuration.  What the controller says is in control.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "replica/replica_int.h"

struct replica_manager *
replica_manager_new(const struct replica_manager_options *opt)
{
	struct replica_manager *m = xcalloc(1, sizeof(*m));

	must(opt->nloops > 0 && opt->nloops <= REPLICA_LOOPS_MAX);
	m->opt = *opt;
	m->loops = xcalloc(opt->nloops, sizeof(*m->loops));
	for (uint32_t i = 0; i < opt->nloops; i++) {
		m->loops[i].loop = opt->loops[i];
		m->loops[i].waits = wait_table_new(opt->loops[i]);
		m->loops[i].codec = codec_ctx_new();
		m->loops[i].manager = m;
	}
	m->table = table_empty();
	STAILQ_INIT(&m->control);
	STAILQ_INIT(&m->moves_waiting);
	TAILQ_INIT(&m->moves_paused);
	m->move_rate = INT64_MAX;
	return (m);
}

void
replica_manager_free(struct replica_manager **mp)
{
	struct replica_manager *m = *mp;

	if (m == NULL)
		return;
	must(STAILQ_EMPTY(&m->control) && m->moves_running == 0 && m->retiring == 0);
	for (uint32_t i = 0; i < m->table->nslots; i++) {
		struct partition *p = m->table->slots[i];

		partition_unref(&p);
	}
	for (uint32_t i = 0; i < m->opt.nloops; i++) {
		wait_table_free(&m->loops[i].waits);
		codec_ctx_free(m->loops[i].codec);
	}
	free((void *)(uintptr_t)m->table);
	free(m->loops);
	free(m);
	*mp = NULL;
}

uint32_t
manager_loop_index(const struct replica_manager *m, const struct loop *loop)
{
	for (uint32_t i = 0; i < m->opt.nloops; i++)
		if (m->loops[i].loop == loop)
			return (i);
	unreachable("a loop that the replica manager was not told of");
}

/* On each loop: every waiter looks once more, and finds that the manager is stopping. */
static void
stop_on_loop(struct task *task)
{
	struct replica_loop *l = CONTAINER_OF(task, struct replica_loop, stop_task);
	const struct partition_table *t = reclaim_read(&l->manager->table);

	for (uint32_t i = 0; i < t->nslots; i++)
		if (t->slots[i] != NULL)
			wait_wake(l->waits, t->slots[i]);
}

void
replica_manager_stop(struct replica_manager *m)
{
	m->stopping = true;
	moves_stop(m);
	for (uint32_t i = 0; i < m->opt.nloops; i++) {
		m->loops[i].stop_task.fn = stop_on_loop;
		loop_post(m->loops[i].loop, &m->loops[i].stop_task);
	}
}

bool
replica_manager_busy(const struct replica_manager *m)
{
	return (m->control_busy || !STAILQ_EMPTY(&m->control) || m->moves_running > 0 || m->retiring > 0);
}

void
replica_manager_refuse_appends(struct replica_manager *m)
{
	m->refusing = true;
}

/* ---- what log/ tells ---- */

void
replica_end_offset_moved(struct replica_manager *m, struct log *log)
{
	struct partition *p = table_find(reclaim_read(&m->table), slice_str(log_topic(log)), log_partition(log));

	/* A log without a partition is one that the controller has not named yet, or has just dropped. */
	if (p != NULL && partition_log(p) == log)
		partition_progress(p);
}

struct dir_news {
	struct replica_manager *m;
	char dir[];
};

static void
partition_go_offline(struct partition *p)
{
	struct partition_state st = p->box->state;

	st.offline = true;
	st.leader = false;
	partition_set_state(p, &st, p->box->topic_id);
	partition_wake(p);
	partition_tell_leadership(p, false, st.leader_epoch);
}

static void
dir_went_offline(void *v)
{
	struct dir_news *n = v;
	const struct partition_table *t = n->m->table;

	for (uint32_t i = 0; i < t->nslots; i++) {
		struct partition *p = t->slots[i];

		if (p != NULL && p->log != NULL && strcmp(log_dir(p->log), n->dir) == 0)
			partition_go_offline(p);
	}
	free(n);
}

void
replica_dir_offline(struct replica_manager *m, const char *dir)
{
	struct dir_news *n = xmalloc(sizeof(*n) + strlen(dir) + 1);

	n->m = m;
	memcpy(n->dir, dir, strlen(dir) + 1);
	loop_call(m->opt.control, dir_went_offline, n);
}

/* ---- configuration ---- */

void
replica_topic_config_changed(struct replica_manager *m, const char *topic)
{
	struct replica_topic_config config;

	m->reconfigured++;
	for (uint32_t i = 0; i < m->table->nslots; i++) {
		struct partition *p = m->table->slots[i];

		if (p == NULL || (topic != NULL && strcmp(p->topic, topic) != 0))
			continue;
		m->opt.configs.get(m->opt.configs.ctx, p->topic, &config);
		partition_set_config(p, &config);
		partition_tell_min_isr(p);
		partition_progress(p);	/* a lower min.insync.replicas may let the high watermark go on */
	}
}

void
replica_count(struct replica_manager *m, struct replica_counts *c)
{
	*c = (struct replica_counts){ 0 };
	for (uint32_t i = 0; i < m->table->nslots; i++) {
		const struct partition *p = m->table->slots[i];
		const struct partition_state *st;

		if (p == NULL)
			continue;
		st = &p->box->state;
		c->partitions++;
		c->leaders += st->leader;
		c->offline += st->offline;
		c->under_min_isr += st->leader && (int32_t)st->nisr < partition_effective_min_isr(p, st);
	}
}

bool
replica_has_epoch(struct replica_manager *m, struct slice topic, int32_t partition, int32_t leader_epoch)
{
	const struct partition *p = table_find(m->table, topic, partition);

	return (p != NULL && (p->box->state.offline || p->box->state.leader_epoch >= leader_epoch));
}

/* ---- control requests, one at a time ---- */

static void
control_next(struct replica_manager *m)
{
	while (!m->control_busy && !STAILQ_EMPTY(&m->control)) {
		struct control_request *c = STAILQ_FIRST(&m->control);

		STAILQ_REMOVE_HEAD(&m->control, link);
		m->control_busy = true;
		control_run(m, c);
	}
}

void
control_finished(struct replica_manager *m, struct control_request *c)
{
	m->control_busy = false;
	c->done(c);
	control_next(m);
}

void
replica_control(struct replica_manager *m, struct control_request *c)
{
	STAILQ_INSERT_TAIL(&m->control, c, link);
	control_next(m);
}
