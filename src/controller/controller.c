/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/controller.c - see controller.h: election, the event queue, and the steps of an event.
 *
 * INVARIANTS
 *   (1) At most one event is in progress.  It ends by event_done, or because the reign ends.
 *   (2) A reign is a number.  Every ZooKeeper answer is compared with the reign it was asked in; an answer from an older one is dropped, so
 *       no code after a loss of office sees a half-cleared context.
 *   (3) The context holds data only while we are elected.
 *   (4) Answers, and our own task, may come after controller_free (the caller closes the ZooKeeper client after it): each counts in `steps`,
 *       and the last one frees the memory.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"
#include "controller/controller_int.h"

/* ---- events ---- */

void
event_free(struct event *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < e->nanswers; i++)
		free(e->answers[i].topic);
	free(e->answers);
	if (e->election != NULL)
		election_refuse(e->election);
	if (e->move != NULL)
		move_refuse(e->move);
	free(e->topic);
	free(e);
}

static void
event_run(struct controller *c, struct event *e)
{
	switch (e->kind) {
	case EVENT_FAILOVER:
		failover_run(c);
		return;
	case EVENT_BROKERS:
		brokers_run(c);
		return;
	case EVENT_TOPICS:
		topics_run(c);
		return;
	case EVENT_PARTITIONS:
		partitions_run(c, e->topic);
		return;
	case EVENT_DELETIONS:
		deletions_run(c);
		return;
	case EVENT_ISR_NOTES:
		isr_notes_run(c);
		return;
	case EVENT_LOG_DIR_NOTES:
		dir_notes_run(c);
		return;
	case EVENT_PREFERRED:
		admin_node_run(c, ZK_PREFERRED_ELECTION, &c->preferred_watch);
		return;
	case EVENT_REASSIGN:
		admin_node_run(c, ZK_REASSIGN_PARTITIONS, &c->reassign_watch);
		return;
	case EVENT_REPLICA_DELETED:
		deletion_answer_run(c, e);
		return;
	case EVENT_ELECT:
		elect_run(c, e);
		return;
	case EVENT_MOVE:
		move_run(c, e);
		return;
	case EVENT_LEADER_AND_ISR_ANSWER:
		leader_and_isr_answer_run(c, e);
		return;
	case EVENT_KINDS_:
		break;
	}
	unreachable("event of no kind");
}

static void
run_next(struct task *task)
{
	struct controller *c = CONTAINER_OF(task, struct controller, run_task);
	struct event *e;

	c->run_queued = false;
	if (!step_release(c, c->reign))
		return;
	if (c->busy || !c->elected || (e = STAILQ_FIRST(&c->events)) == NULL)
		return;
	STAILQ_REMOVE_HEAD(&c->events, link);
	if (e->topic == NULL && e->election == NULL && e->move == NULL)
		c->queued[e->kind] = false;
	c->busy = true;
	c->current = e;
	event_run(c, e);
}

static void
schedule(struct controller *c)
{
	if (c->run_queued || c->busy || !c->elected || STAILQ_EMPTY(&c->events))
		return;
	c->run_queued = true;
	step_hold(c);
	c->run_task.fn = run_next;
	loop_post(c->opt.loop, &c->run_task);
}

void
event_push(struct controller *c, enum event_kind kind, const char *topic)
{
	struct event *e;

	if (!c->elected || (topic == NULL && c->queued[kind]))
		return;
	e = xcalloc(1, sizeof(*e));
	e->kind = kind;
	e->topic = topic == NULL ? NULL : xstrdup(topic);
	if (topic == NULL)
		c->queued[kind] = true;
	STAILQ_INSERT_TAIL(&c->events, e, link);
	schedule(c);
}

void
event_push_made(struct controller *c, struct event *e)
{
	if (!c->elected) {
		event_free(e);
		return;
	}
	STAILQ_INSERT_TAIL(&c->events, e, link);
	schedule(c);
}

static void
event_end(struct controller *c)
{
	event_free(c->current);
	c->current = NULL;
	c->busy = false;
	list_clear(&c->todo);
	list_clear(&c->todo2);
	list_clear(&c->newly_offline);
	arena_reset(&c->work);
}

void
event_done(struct controller *c)
{
	must(c->busy);
	if (c->current->kind == EVENT_FAILOVER) {
		c->active = true;
		diag_info(c->opt.diag, "controller", "broker %d is the active controller, epoch %d: %u brokers, %u topics", c->opt.broker_id,
		    c->ctx.epoch, c->ctx.nbrokers, HASH_COUNT(c->ctx.topics));
		if (c->opt.active != NULL)
			c->opt.active(c->opt.ctx);
	}
	event_end(c);
	schedule(c);
}

const char *
work_path(struct controller *c, struct zk_path path)
{
	return (arena_strndup(&c->work, path.s, strlen(path.s)));
}

bool
topic_name_usable(struct controller *c, const char *name)
{
	const char *why = topic_name_invalid(slice_str(name));

	if (why != NULL)
		diag_error(c->opt.diag, "controller", "node %.64s%s in " ZK_TOPICS " is left alone, it is no topic's name: %s", name,
		    strlen(name) > 64 ? "..." : "", why);
	return (why == NULL);
}

void
list_add(struct partition_list *l, struct ctl_partition *p)
{
	if (l->n == l->size) {
		l->size = l->size == 0 ? 16 : l->size * 2;
		l->v = xreallocarray(l->v, l->size, sizeof(*l->v));
	}
	l->v[l->n++] = p;
}

void
list_clear(struct partition_list *l)
{
	free(l->v);
	*l = (struct partition_list){ NULL, 0, 0 };
}

bool
broker_usable(const struct controller *c, int32_t id)
{
	const struct ctl_broker *b = context_broker(&c->ctx, id);

	return (b != NULL && b->channel != NULL);
}

/* ---- steps ---- */

struct step {
	struct controller *c;
	uint64_t	   reign;
	step_fn		  *fn;
};

void
step_hold(struct controller *c)
{
	c->steps++;
}

/* Invariant (4). */
bool
step_release(struct controller *c, uint64_t reign)
{
	must(c->steps > 0);
	c->steps--;
	if (c->freed && c->steps == 0) {
		free(c);
		return (false);
	}
	return (!c->freed && !c->stopped && reign == c->reign);
}

static void
step_answered(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct step *s = ctx;
	struct step copy = *s;

	free(s);
	if (step_release(copy.c, copy.reign))
		copy.fn(copy.c, results, n);
}

static struct step *
step_new(struct controller *c, step_fn *fn)
{
	struct step *s = xmalloc(sizeof(*s));

	*s = (struct step){ c, c->reign, fn };
	step_hold(c);
	return (s);
}

void
step_read(struct controller *c, const struct zk_op *ops, uint32_t n, step_fn *fn)
{
	zk_many(c->opt.zk, ops, n, step_answered, step_new(c, fn));
}

void
step_write(struct controller *c, const struct zk_op *ops, uint32_t n, step_fn *fn)
{
	zk_fenced_many(c->opt.zk, c->ctx.epoch_zk_version, ops, n, step_answered, step_new(c, fn));
}

static void
tree_deleted(void *ctx, const struct zk_result *r)
{
	step_answered(ctx, r, 1);
}

void
step_delete_tree(struct controller *c, const char *path, step_fn *fn)
{
	zk_delete_recursive(c->opt.zk, c->ctx.epoch_zk_version, path, tree_deleted, step_new(c, fn));
}

void
controller_trouble(struct controller *c, enum zke e, const char *doing)
{
	diag_error(c->opt.diag, "controller", "%s: %s; giving the office back", doing, zke_text(e));
	if (e != ZKE_SESSION_EXPIRED && e != ZKE_CLOSING)
		zk_election_yield(c->election);
}

bool
step_lost(struct controller *c, const struct zk_result *results, uint32_t n, const char *doing)
{
	for (uint32_t i = 0; i < n; i++)
		switch (results[i].error) {
		case ZKE_FENCED:
		case ZKE_SESSION_EXPIRED:
		case ZKE_CLOSING:
		case ZKE_SYSTEM_ERROR:
		case ZKE_RUNTIME_INCONSISTENCY:
		case ZKE_OTHER:
			controller_trouble(c, results[i].error, doing);
			return (true);
		default:	/* about this one node: its own affair */
			break;
		}
	return (false);
}

/* ---- watches become events ---- */

#define WATCH_EVENT(name, kind) \
	static void name##_fired(struct zk_watcher *w, enum zk_event e, const char *path) \
	{ \
		(void)e; \
		(void)path; \
		event_push(CONTAINER_OF(w, struct controller, name##_watch), kind, NULL); \
	}
WATCH_EVENT(brokers, EVENT_BROKERS)
WATCH_EVENT(topics, EVENT_TOPICS)
WATCH_EVENT(deletions, EVENT_DELETIONS)
WATCH_EVENT(isr, EVENT_ISR_NOTES)
WATCH_EVENT(log_dir, EVENT_LOG_DIR_NOTES)
WATCH_EVENT(preferred, EVENT_PREFERRED)
WATCH_EVENT(reassign, EVENT_REASSIGN)

static void
watchers_init(struct controller *c)
{
	zk_watcher_init(&c->brokers_watch, brokers_fired);
	zk_watcher_init(&c->topics_watch, topics_fired);
	zk_watcher_init(&c->deletions_watch, deletions_fired);
	zk_watcher_init(&c->isr_watch, isr_fired);
	zk_watcher_init(&c->log_dir_watch, log_dir_fired);
	zk_watcher_init(&c->preferred_watch, preferred_fired);
	zk_watcher_init(&c->reassign_watch, reassign_fired);
}

static void
watchers_drop(struct controller *c)
{
	struct zk_watcher *all[] = { &c->brokers_watch, &c->topics_watch, &c->deletions_watch, &c->isr_watch, &c->log_dir_watch,
	    &c->preferred_watch, &c->reassign_watch };
	struct ctl_topic *t, *next;

	for (size_t i = 0; i < NELEM(all); i++)
		zk_unwatch(c->opt.zk, all[i]);
	HASH_ITER(hh, c->ctx.topics, t, next)
		zk_unwatch(c->opt.zk, &t->watcher);
}

/* ---- reigns ---- */

static void
reign_end(struct controller *c)
{
	struct event *e;

	if (!c->elected)
		return;
	c->elected = false;
	c->active = false;
	c->reign++;
	while ((e = STAILQ_FIRST(&c->events)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->events, link);
		event_free(e);
	}
	for (size_t i = 0; i < EVENT_KINDS_; i++)
		c->queued[i] = false;
	timer_cancel(c->opt.loop, &c->wait_timer);
	if (c->busy)
		event_end(c);
	batch_clear(&c->batch);
	watchers_drop(c);
	context_clear(&c->ctx);
}

static void
on_elected(void *v, int32_t epoch, int32_t epoch_zk_version)
{
	struct controller *c = v;

	reign_end(c);
	c->elected = true;
	c->reign++;
	c->ctx.epoch = epoch;
	c->ctx.epoch_zk_version = epoch_zk_version;
	event_push(c, EVENT_FAILOVER, NULL);
}

static void
on_lost(void *v, const char *why)
{
	struct controller *c = v;

	diag_warning(c->opt.diag, "controller", "broker %d is no longer the controller: %s", c->opt.broker_id, why);
	reign_end(c);
}

static void
on_observed(void *v, int32_t id)
{
	struct controller *c = v;

	c->observed_id = id;
	if (c->opt.observed != NULL)
		c->opt.observed(c->opt.ctx, id);
}

/* ---- life ---- */

struct controller *
controller_new(const struct controller_options *opt)
{
	static const struct zk_election_callbacks callbacks = { on_elected, on_lost, on_observed };
	struct controller *c = xcalloc(1, sizeof(*c));

	c->opt = *opt;
	c->observed_id = -1;
	STAILQ_INIT(&c->events);
	context_init(&c->ctx);
	arena_init(&c->work, SIZE_MAX);		/* grows with the cluster's own metadata */
	watchers_init(c);
	timer_init(&c->wait_timer, failover_wait_over);
	c->election = zk_election_new(opt->zk, opt->broker_id, opt->clock, opt->diag, &callbacks, c);
	return (c);
}

void
controller_start(struct controller *c)
{
	zk_election_start(c->election);
}

static void
resigned(void *v, enum err e, const struct errbuf *why)
{
	struct controller *c = v;

	(void)e;
	(void)why;
	c->stop_done(c->stop_ctx);
}

void
controller_stop(struct controller *c, void (*done)(void *), void *ctx)
{
	reign_end(c);
	c->stopped = true;
	c->stop_done = done;
	c->stop_ctx = ctx;
	zk_election_stop(c->election, resigned, c);
}

void
controller_free(struct controller **cp)
{
	struct controller *c = *cp;

	if (c == NULL)
		return;
	must(!c->elected);
	*cp = NULL;
	zk_election_free(&c->election);
	arena_fini(&c->work);
	c->freed = true;
	if (c->steps == 0)
		free(c);
}

struct unclean_change { struct controller *c; bool unclean, only_elect; };

static void
unclean_changed(void *v)
{
	struct unclean_change u = *(struct unclean_change *)v;
	bool allowed = u.only_elect || (u.unclean && !u.c->opt.unclean_election);

	free(v);
	if (!u.only_elect)
		u.c->opt.unclean_election = u.unclean;
	if (allowed)
		event_push(u.c, EVENT_BROKERS, NULL);	/* its pass ends with the partitions that have no leader */
}

static void
tell_unclean(struct controller *c, struct unclean_change u)
{
	struct unclean_change *copy = xmalloc(sizeof(*copy));

	*copy = u;
	loop_call(c->opt.loop, unclean_changed, copy);
}

void
controller_set_unclean_election(struct controller *c, bool unclean)
{
	tell_unclean(c, (struct unclean_change){ c, unclean, false });
}

void
controller_elect_again(struct controller *c)
{
	tell_unclean(c, (struct unclean_change){ c, true, true });
}

bool
controller_active(const struct controller *c)
{
	return (c->active);
}

bool
controller_failing_over(const struct controller *c)
{
	return (c->elected && !c->active);
}

int32_t
controller_id(const struct controller *c)
{
	return (c->observed_id);
}

/* ---- who asks ---- */

static void
check_answered(struct task *t)
{
	struct controller_check *k = CONTAINER_OF(t, struct controller_check, task);

	k->done(k);
}

static enum kerr
judge_broker(const struct controller *c, const struct controller_check *k)
{
	const struct ctl_broker *b;

	if (!c->active)
		return (KERR_NOT_CONTROLLER);
	b = context_broker(&c->ctx, k->broker_id);
	if (b == NULL)
		return (KERR_BROKER_ID_NOT_REGISTERED);
	return (b->epoch == k->broker_epoch ? KERR_NONE : KERR_STALE_BROKER_EPOCH);
}

static void
check_run(struct task *t)
{
	struct controller_check *k = CONTAINER_OF(t, struct controller_check, task);

	k->error = judge_broker(k->controller, k);
	k->task.fn = check_answered;
	loop_post(k->loop, &k->task);
}

void
controller_check_broker(struct controller *c, struct controller_check *k)
{
	k->controller = c;
	k->task.fn = check_run;
	loop_post(c->opt.loop, &k->task);
}
