/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/schedule.c - what happens from time to time: checkpoints, retention, flushes, deletions.
 *
 * Each is a timer on the control loop that submits one job to the workers; the timer is set again when the job is done, so a slow disk delays
 * its own next turn and nothing piles up.
 */
#include "broker/broker_int.h"

enum { DELETE_DUE_MS = 1000, SCRUB_MS = 100 };

static void
periodic_run(struct job *job)
{
	struct periodic *p = CONTAINER_OF(job, struct periodic, job);

	p->run(p->broker->log_dirs);
}

static void
periodic_done(struct job *job)
{
	struct periodic *p = CONTAINER_OF(job, struct periodic, job);

	p->running = false;
	if (p->broker->state == BROKER_RUNNING || p->broker->state == BROKER_STARTING)
		timer_set(p->broker->opt.control, &p->timer, p->interval_ms);
}

static void
periodic_due(struct timer *timer)
{
	struct periodic *p = CONTAINER_OF(timer, struct periodic, timer);

	p->running = true;
	p->job = (struct job){ .run = periodic_run, .done = periodic_done, .loop = p->broker->opt.control };
	workers_submit(p->broker->workers, &p->job);
}

static void
add(struct broker *b, int64_t first_ms, int64_t interval_ms, void (*run)(struct log_dirs *))
{
	struct periodic *p = &b->periodic[b->nperiodic++];

	if (interval_ms <= 0 || interval_ms == INT64_MAX) {
		b->nperiodic--;
		return;
	}
	p->broker = b;
	p->interval_ms = interval_ms;
	p->run = run;
	timer_init(&p->timer, periodic_due);
	timer_set(b->opt.control, &p->timer, MAX(first_ms, 0));
}

void
schedule_start(struct broker *b)
{
	const struct config *c = b->config;
	int64_t first = c->log_initial_task_delay_ms;

	add(b, first, c->log_retention_check_interval_ms, log_dirs_retain);
	add(b, first, c->log_flush_scheduler_interval_ms, log_dirs_flush_due);
	add(b, first, c->log_flush_offset_checkpoint_interval_ms, log_dirs_checkpoint_recovery_points);
	add(b, first, c->log_flush_start_offset_checkpoint_interval_ms, log_dirs_checkpoint_start_offsets);
	add(b, c->replica_high_watermark_checkpoint_interval_ms, c->replica_high_watermark_checkpoint_interval_ms,
	    log_dirs_checkpoint_high_watermarks);
	add(b, DELETE_DUE_MS, DELETE_DUE_MS, log_dirs_delete_due);
	if (c->ottla_log_scrub_bytes_per_second > 0)
		add(b, SCRUB_MS, SCRUB_MS, log_dirs_scrub);
	add(b, c->producer_id_expiration_check_interval_ms, c->producer_id_expiration_check_interval_ms, log_dirs_expire_producers);
}

void
schedule_stop(struct broker *b)
{
	for (unsigned i = 0; i < b->nperiodic; i++)
		timer_cancel(b->opt.control, &b->periodic[i].timer);
	if (b->log_dirs != NULL)
		log_dirs_stop_scrub(b->log_dirs);
}
