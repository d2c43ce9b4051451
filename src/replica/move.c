/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/move.c - replicas move between this broker's log directories (ReplicaManager.alterReplicaLogDirs, ReplicaAlterLogDirsThread).
 *
 * AlterReplicaLogDirs is one of the requests that the control loop carries out in order (replica/control.c).  What it asks for is judged here; the
 * future log is made or deleted on a worker.  Then, and after a start that found a future log, a move runs by itself:
 *
 *	turn (worker)   aligns once, copies up to MOVE_TURN_BYTES, swaps when it has caught up
 *	turn_over       (control loop) the next turn, after a pause when the rate is limited; or the new log is published
 *	retire (worker) when no thread can have the old log any more
 *
 * At most as many moves as there are log directories take turns at once, as Java has threads; the others wait in line.
 *
 * IF A DIRECTORY FAILS  The one moved to: the move ends, the partition serves on; its future log goes on after a restart with the directory.
 * The one moved from: the partition is offline, the move ends.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "replica/dirs.h"
#include "replica/replica_int.h"

enum { MOVE_TURN_BYTES = 8 << 20, FULL_PAUSE_MS = 1000, RETIRE_PAUSE_MS = 10, PAUSE_MAX_MS = 60000, FUTURE_NAME_MAX = 255, FUTURE_SUFFIX = 40 };

struct move {
	struct replica_manager *m;
	struct partition *p;		/* referenced */
	struct log	*current, *future;	/* referenced */
	bool		 aligned;
	bool		 full;		/* the disk is, and that was said */
	/* ---- what a turn says ---- */
	uint64_t	 turn_bytes, copied;
	bool		 swapped;
	enum err	 e;
	struct errbuf	 why;
	struct job	 job;
	struct timer	 timer;
	STAILQ_ENTRY(move) link;	/* in line */
	TAILQ_ENTRY(move) paused;
};

static void turn_submit(struct move *);

/* ---- turns ---- */

static void
turn_run(struct job *job)
{
	struct move *v = CONTAINER_OF(job, struct move, job);
	struct log_dirs *dirs = v->m->opt.log_dirs;
	bool caught_up = false;

	v->copied = 0;
	v->why = (struct errbuf)ERRBUF_INIT;
	v->e = v->aligned ? OK : log_dirs_move_align(dirs, v->current, v->future, &v->why);
	v->aligned = true;
	if (v->e == OK)
		v->e = log_dirs_move_copy(dirs, v->current, v->future, v->turn_bytes, &v->copied, &caught_up, &v->why);
	if (v->e == OK && caught_up)
		v->e = log_dirs_move_swap(dirs, v->current, v->future, &v->swapped, &v->why);
}

static void
next_in_line(struct replica_manager *m)
{
	struct move *v = STAILQ_FIRST(&m->moves_waiting);

	if (v == NULL || m->moves_running >= MAX(1u, log_dirs_info(m->opt.log_dirs, NULL, 0)))
		return;
	STAILQ_REMOVE_HEAD(&m->moves_waiting, link);
	m->moves_running++;
	turn_submit(v);
}

static void
move_free(struct move *v)
{
	log_unref(&v->current);
	log_unref(&v->future);
	partition_unref(&v->p);
	free(v);
}

static void
move_end(struct move *v)
{
	struct replica_manager *m = v->m;
	struct partition *p = v->p;

	p->move = NULL;
	m->moves_running--;
	/* It may have been sent elsewhere meanwhile.  After an error that time does not mend it rests until somebody asks again. */
	if (v->e == OK || v->e == ERR_CLOSED || v->e == ERR_OFFLINE)
		move_consider(p);
	move_free(v);
	next_in_line(m);
}

/* ---- retiring ---- */

struct retire {
	struct replica_manager *m;
	struct log *old;
	struct job  job;
};

static void
retire_run(struct job *job)
{
	struct retire *r = CONTAINER_OF(job, struct retire, job);

	log_dirs_move_retire(r->m->opt.log_dirs, r->old);
}

static void
retire_done(struct job *job)
{
	struct retire *r = CONTAINER_OF(job, struct retire, job);

	r->m->retiring--;
	log_unref(&r->old);
	free(r);
}

/* Whoever had read the old pointer is through with it. */
static void
retire_now(void *v)
{
	struct retire *r = v;

	workers_submit(r->m->opt.workers, &r->job);
}

/* A LeaderAndIsr may have published it already.  What the old log was told since the swap, the new one knows (log.h, Moves). */
static void
move_publish(struct move *v)
{
	struct partition *p = v->p;

	partition_set_log(p, log_ref(v->future));
	partition_progress(p);
	partition_wake(p);	/* whoever waits for the old log's offsets looks at the new one's */
	diag_info(v->m->opt.diag, "replica", "%s-%d has moved to %s", p->topic, p->number, log_dir(v->future));
}

/* Also when the partition has gone meanwhile. */
static void
retire_later(struct move *v)
{
	struct retire *r = xcalloc(1, sizeof(*r));

	*r = (struct retire){ .m = v->m, .old = log_ref(v->current),
	    .job = { .run = retire_run, .done = retire_done, .loop = v->m->opt.control } };
	v->m->retiring++;
	reclaim_defer(retire_now, r);
}

static void
pause_for(struct move *v, int64_t ms)
{
	TAILQ_INSERT_TAIL(&v->m->moves_paused, v, paused);
	timer_set(v->m->opt.control, &v->timer, ms);
}

/* The rate is that of all moves together. */
static int64_t
pause_ms(const struct replica_manager *m, uint64_t copied)
{
	return ((int64_t)MIN(copied * 1000 * m->moves_running / (uint64_t)MAX(m->move_rate, 1), (uint64_t)PAUSE_MAX_MS));
}

static void
wait_for_room(struct move *v)
{
	if (!v->full)
		diag_error(v->m->opt.diag, "replica", "%s-%d waits in its move to %s: %s", v->p->topic, v->p->number, log_dir(v->future), v->why.text);
	v->full = true;
	pause_for(v, FULL_PAUSE_MS);
}

static void
turn_over(struct job *job)
{
	struct move *v = CONTAINER_OF(job, struct move, job);
	struct replica_manager *m = v->m;
	struct partition *p = v->p;

	if (v->swapped && !p->leaving)
		move_publish(v);
	if (v->swapped)
		retire_later(v);
	if (v->e == ERR_NOSPACE && !p->leaving && !m->stopping && !log_is_offline(v->future)) {
		wait_for_room(v);
		return;
	}
	if (v->e != OK && v->e != ERR_CLOSED)
		diag_error(m->opt.diag, "replica", "%s-%d is not moved to %s: %s", p->topic, p->number, log_dir(v->future),
		    v->why.text[0] != '\0' ? v->why.text : err_text(v->e));
	if (v->e == ERR_OFFLINE || (v->e != OK && log_is_offline(v->future)))
		log_dirs_move_drop(m->opt.log_dirs, p->topic, p->number);
	if (v->e != OK || v->swapped || p->leaving || p->box->state.offline || m->stopping) {
		move_end(v);
		return;
	}
	if (v->copied == 0)	/* the log that an earlier move replaced is being retired */
		pause_for(v, RETIRE_PAUSE_MS);
	else if (m->move_rate < INT64_MAX)
		pause_for(v, pause_ms(m, v->copied));
	else {		/* to the end of the line */
		STAILQ_INSERT_TAIL(&m->moves_waiting, v, link);
		m->moves_running--;
		next_in_line(m);
	}
}

static void
turn_submit(struct move *v)
{
	v->turn_bytes = (uint64_t)MAX(1, MIN((int64_t)MOVE_TURN_BYTES, v->m->move_rate));	/* at most a second's worth */
	v->job = (struct job){ .run = turn_run, .done = turn_over, .loop = v->m->opt.control };
	workers_submit(v->m->opt.workers, &v->job);
}

static void
pause_over(struct timer *timer)
{
	struct move *v = CONTAINER_OF(timer, struct move, timer);

	TAILQ_REMOVE(&v->m->moves_paused, v, paused);
	turn_submit(v);
}

void
move_consider(struct partition *p)
{
	struct replica_manager *m = p->manager;
	struct log *future;
	struct move *v;

	if (p->move != NULL || p->leaving || p->log == NULL || p->box->state.offline || m->stopping)
		return;
	future = log_dirs_find_future(m->opt.log_dirs, p->topic, p->number);
	if (future == NULL)
		return;
	if (log_is_offline(future)) {
		log_unref(&future);
		return;
	}
	v = xcalloc(1, sizeof(*v));
	v->m = m;
	v->p = partition_ref(p);
	v->current = log_ref(p->log);
	v->future = future;
	timer_init(&v->timer, pause_over);
	p->move = v;
	diag_info(m->opt.diag, "replica", "%s-%d moves from %s to %s", p->topic, p->number, log_dir(p->log), log_dir(future));
	STAILQ_INSERT_TAIL(&m->moves_waiting, v, link);
	next_in_line(m);
}

void
moves_stop(struct replica_manager *m)
{
	struct move *v;

	while ((v = STAILQ_FIRST(&m->moves_waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&m->moves_waiting, link);
		v->p->move = NULL;
		move_free(v);
	}
	while ((v = TAILQ_FIRST(&m->moves_paused)) != NULL) {
		TAILQ_REMOVE(&m->moves_paused, v, paused);
		timer_cancel(m->opt.control, &v->timer);
		move_end(v);
	}
}

void
replica_set_move_rate(struct replica_manager *m, int64_t bytes_per_second)
{
	m->move_rate = bytes_per_second;
}

/* ---- AlterReplicaLogDirs ---- */

struct alter {
	struct replica_manager *m;
	struct control_request *c;
	struct job job;
};

/* As Java: a directory that is none, one that is offline, a partition that is, then one that is not here. */
static enum kerr
judge(struct replica_manager *m, struct replica_dir_item *it)
{
	struct partition *p = table_find(m->table, it->topic, it->partition);
	char number[12], dir[PATH_ROOM], topic[LIMIT_TOPIC_NAME_MAX + 1];
	enum err e = ERR_NOTFOUND;

	it->p = p == NULL ? NULL : partition_ref(p);
	str_format(number, sizeof(number), "%d", it->partition);
	if (it->topic.len + strlen(number) + 1 + FUTURE_SUFFIX > FUTURE_NAME_MAX)
		return (KERR_INVALID_TOPIC_EXCEPTION);
	if (it->dir.len < sizeof(dir)) {
		memcpy(dir, it->dir.p, it->dir.len);
		dir[it->dir.len] = '\0';
		if (strlen(dir) == it->dir.len)
			e = log_dirs_check_path(m->opt.log_dirs, dir);
	}
	if (e == ERR_NOTFOUND)
		return (KERR_LOG_DIR_NOT_FOUND);
	if (e != OK || (p != NULL && p->box->state.offline))
		return (KERR_KAFKA_STORAGE_ERROR);
	if (p != NULL && p->log != NULL)
		return (KERR_NONE);
	memcpy(topic, it->topic.p, it->topic.len);
	topic[it->topic.len] = '\0';
	if (topic_name_invalid(it->topic) == NULL && log_dirs_prefer(m->opt.log_dirs, topic, it->partition, dir) == ERR_LIMIT)
		diag_warning(m->opt.diag, "replica", "the directory of %s-%d is not remembered: too many are", topic, it->partition);
	if (p == NULL && replica_missing(m, it->topic, it->partition) == KERR_UNKNOWN_TOPIC_OR_PARTITION)
		return (KERR_UNKNOWN_TOPIC_OR_PARTITION);
	return (KERR_REPLICA_NOT_AVAILABLE);
}

static enum kerr
alter_kerr(enum err e)
{
	switch (e) {
	case OK:
	case ERR_EXISTS:
		return (KERR_NONE);
	case ERR_NOTFOUND:
		return (KERR_REPLICA_NOT_AVAILABLE);
	case ERR_OFFLINE:
	case ERR_IO:
	case ERR_NOSPACE:
	case ERR_READONLY:
		return (KERR_KAFKA_STORAGE_ERROR);
	default:
		return (KERR_UNKNOWN_SERVER_ERROR);
	}
}

/* Worker.  A future log elsewhere goes first; to ask for the directory that the log is in means only that. */
static enum kerr
alter_one(struct replica_manager *m, struct replica_dir_item *it)
{
	struct log_dirs *dirs = m->opt.log_dirs;
	struct partition *p = it->p;
	char *dir = xstrndup((const char *)it->dir.p, it->dir.len);
	struct errbuf eb = ERRBUF_INIT;
	struct log *future = log_dirs_find_future(dirs, p->topic, p->number);
	enum err e = OK;

	if (future != NULL && strcmp(log_dir(future), dir) != 0)
		e = log_dirs_move_cancel(dirs, p->topic, p->number, &eb);
	log_unref(&future);
	if (e == OK || e == ERR_NOTFOUND)	/* not found: it has just taken its place */
		e = log_dirs_move_begin(dirs, p->topic, p->number, dir, &it->options, &future, &eb);
	log_unref(&future);
	if (alter_kerr(e) != KERR_NONE)
		diag_warning(m->opt.diag, "replica", "%s-%d cannot be moved to %s: %s: %s", p->topic, p->number, dir, err_text(e), eb.text);
	free(dir);
	return (alter_kerr(e));
}

static void
alter_run(struct job *job)
{
	struct alter *a = CONTAINER_OF(job, struct alter, job);

	for (uint32_t i = 0; i < a->c->alter_dirs->nitems; i++) {
		struct replica_dir_item *it = &a->c->alter_dirs->items[i];

		if (it->error == KERR_NONE)
			it->error = alter_one(a->m, it);
	}
}

static void
alter_done(struct job *job)
{
	struct alter *a = CONTAINER_OF(job, struct alter, job);
	struct replica_manager *m = a->m;
	struct control_request *c = a->c;

	for (uint32_t i = 0; i < c->alter_dirs->nitems; i++) {
		struct replica_dir_item *it = &c->alter_dirs->items[i];

		if (it->p != NULL && it->error == KERR_NONE)
			move_consider(it->p);
		partition_unref(&it->p);
	}
	free(a);
	control_finished(m, c);
}

void
control_alter_dirs(struct replica_manager *m, struct control_request *c)
{
	struct alter *a = xcalloc(1, sizeof(*a));

	a->m = m;
	a->c = c;
	for (uint32_t i = 0; i < c->alter_dirs->nitems; i++) {
		struct replica_dir_item *it = &c->alter_dirs->items[i];

		it->error = judge(m, it);
		if (it->error == KERR_NONE)
			it->options = it->p->config->log;
	}
	a->job = (struct job){ .run = alter_run, .done = alter_done, .loop = m->opt.control };
	workers_submit(m->opt.workers, &a->job);
}

/* ---- from another loop and back ---- */

static void
alter_back(struct task *task)
{
	struct replica_alter_dirs *r = CONTAINER_OF(task, struct replica_alter_dirs, task);

	r->done(r);
}

static void
alter_carried_out(struct control_request *c)
{
	struct replica_alter_dirs *r = CONTAINER_OF(c, struct replica_alter_dirs, request);

	r->task.fn = alter_back;
	loop_post(r->loop, &r->task);
}

static void
alter_arrived(struct task *task)
{
	struct replica_alter_dirs *r = CONTAINER_OF(task, struct replica_alter_dirs, task);

	r->request = (struct control_request){ .kind = CONTROL_ALTER_DIRS, .alter_dirs = r, .done = alter_carried_out };
	replica_control(r->manager, &r->request);
}

void
replica_alter_dirs(struct replica_manager *m, struct replica_alter_dirs *r)
{
	r->manager = m;
	r->task.fn = alter_arrived;
	loop_post(m->opt.control, &r->task);
}
