/* SPDX-License-Identifier: Apache-2.0
 *
 * group/coordinator.c - see coordinator.h: life, partitions and who owns them, how a call gets to its loop and back.
 *
 * INVARIANTS
 *   (1) Partition p belongs to loop p mod the number of loops.  Everything in its struct home and below is touched on that loop only; what a
 *       load has read is the worker's until it is handed over.
 *   (2) A home that is not OWNED has no groups in its table.  A call that finds a group does so in an OWNED home.
 *   (3) A call is in one place at a time: with its caller, in a mailbox, or on the loop call.at.  Its arena goes with it.
 *   (4) The caller is called back from inside its own call only when nothing of a group is under way.
 *   (5) on_the_way counts what will come back to a loop by itself: loads, appends, deletions of topics.  While it is not zero the coordinator is not freed.
 *
 * IF IT DIES HERE  What was answered stands in the log (appends.c); what was not is asked again by the clients.  Nothing else is kept.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "group/coordinator_int.h"

/* ---- life ---- */

struct group_coordinator *
group_coordinator_new(const struct group_coordinator_options *opt)
{
	struct group_coordinator *c = xcalloc(1, sizeof(*c));

	must(opt->nloops > 0);
	c->opt = *opt;
	c->seed = random_u64(opt->random);
	c->loops = xcalloc(opt->nloops, sizeof(*c->loops));
	for (uint32_t i = 0; i < opt->nloops; i++) {
		struct coordinator_loop *l = &c->loops[i];

		l->c = c;
		l->loop = opt->loops[i];
		l->codec = codec_ctx_new();
		l->host = (struct group_host){ .loop = l->loop, .random = opt->random, .diag = opt->diag, .seed = c->seed,
		    .initial_rebalance_delay_ms = opt->initial_rebalance_delay_ms, .size_max = opt->size_max, .store = appends_store_group,
		    .bytes_max = opt->groups_bytes_max > 0 ? opt->groups_bytes_max : LIMIT_GROUPS_BYTES_MAX };
		timer_init(&l->expiry, expiry_fired);
		STAILQ_INIT(&l->deletions);
		l->forgetting_task.fn = deletions_go_on;
	}
	return (c);
}

static void
loop_starts(void *v)
{
	struct coordinator_loop *l = v;

	if (l->c->active)
		timer_set(l->loop, &l->expiry, l->c->opt.retention_check_ms);
}

void
group_coordinator_start(struct group_coordinator *c, uint32_t npartitions)
{
	must(npartitions > 0 && c->npartitions == 0);
	c->npartitions = npartitions;
	c->homes = xcalloc(npartitions, sizeof(*c->homes));
	for (uint32_t i = 0; i < npartitions; i++)
		c->homes[i] = (struct home){ .on = &c->loops[i % c->opt.nloops], .number = (int32_t)i, .epoch = -1 };
	for (uint32_t i = 0; i < npartitions; i++)
		STAILQ_INIT(&c->homes[i].behind);
	c->active = true;
	for (uint32_t i = 0; i < c->opt.nloops; i++)
		loop_call(c->loops[i].loop, loop_starts, &c->loops[i]);
}

static void
loop_stops(void *v)
{
	struct coordinator_loop *l = v;

	timer_cancel(l->loop, &l->expiry);
	for (uint32_t i = 0; i < l->c->npartitions; i++)
		if (l->c->homes[i].on == l)
			home_drop(&l->c->homes[i]);
}

void
group_coordinator_stop(struct group_coordinator *c)
{
	if (!c->active)
		return;
	c->active = false;
	for (uint32_t i = 0; i < c->opt.nloops; i++)
		loop_call(c->loops[i].loop, loop_stops, &c->loops[i]);
}

bool
group_coordinator_busy(const struct group_coordinator *c)
{
	return (c->on_the_way != 0);
}

void
group_coordinator_free(struct group_coordinator **cp)
{
	struct group_coordinator *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	must(!c->active && c->on_the_way == 0);
	for (uint32_t i = 0; i < c->npartitions; i++)
		must(c->homes[i].groups == NULL);
	for (uint32_t i = 0; i < c->opt.nloops; i++) {
		must(c->loops[i].offsets_bytes == 0 && STAILQ_EMPTY(&c->loops[i].deletions));
		codec_ctx_free(c->loops[i].codec);
	}
	free(c->homes);
	free(c->loops);
	free(c);
}

/* ---- which partition ---- */

int32_t
group_coordinator_partition(const struct group_coordinator *c, struct slice group)
{
	must(c->npartitions > 0);
	return ((int32_t)((uint32_t)java_abs(java_string_hash(group)) % c->npartitions));
}

/* ---- leadership ---- */

struct news {
	struct home	*home;
	int32_t		 epoch;
	bool		 leads;
};

/* News of an older epoch than one told before come too late.  -1: the topic is gone, and one of the same name begins with epoch 0 again. */
static bool
epoch_counts(struct home *h, int32_t epoch)
{
	if (epoch >= 0 && epoch < h->epoch)
		return (false);
	h->epoch = epoch;
	return (true);
}

static void
leadership_changed(void *v)
{
	struct news *n = v;
	struct home *h = n->home;

	if (epoch_counts(h, n->epoch) && h->on->c->active) {
		if (!n->leads)
			home_drop(h);
		else if (h->state == HOME_AWAY)	/* else the new epoch follows its own: the groups stay */
			load_begin(h);
	}
	free(n);
}

static void
leadership_tell(struct group_coordinator *c, int32_t partition, int32_t epoch, bool leads)
{
	struct news *n;

	if (partition < 0 || (uint32_t)partition >= c->npartitions)
		return;		/* added since the start: no group belongs to it */
	n = xmalloc(sizeof(*n));
	*n = (struct news){ &c->homes[partition], epoch, leads };
	loop_call(n->home->on->loop, leadership_changed, n);
}

void
group_coordinator_elected(struct group_coordinator *c, int32_t partition, int32_t leader_epoch)
{
	leadership_tell(c, partition, leader_epoch, true);
}

void
group_coordinator_resigned(struct group_coordinator *c, int32_t partition, int32_t leader_epoch)
{
	leadership_tell(c, partition, leader_epoch, false);
}

/* ---- groups ---- */

struct hosted *
hosted_new(struct home *home, struct slice id)
{
	struct hosted *g = xcalloc(1, sizeof(*g) + id.len + 1);

	g->home = home;
	g->refs = 1;
	g->id_len = (uint32_t)id.len;
	if (id.len > 0)
		memcpy(g->id, id.p, id.len);
	offsets_init(&g->offsets, home->on->c->seed);
	return (g);
}

bool
loop_has_memory(struct coordinator_loop *l, struct slice group, size_t more, size_t is)
{
	const struct group_host *h = &l->host;
	bool room = more <= is || group_has_room(h, more - is);

	if (!room && !l->full) {
		l->full = true;
		diag_warning(l->c->opt.diag, "group", "the groups of one loop take %zu bytes, and %zu are allowed: joins, assignments and new groups are refused "
		    "until members are gone, %.*s's first", h->bytes, h->bytes_max, (int)MIN(group.len, 200), (const char *)group.p);
	} else if (h->bytes < h->bytes_max / 8 * 7) {
		l->full = false;	/* there is something to say again */
	}
	return (room);
}

struct hosted *
hosted_find_in(struct hosted *table, uint64_t seed, struct slice id)
{
	struct hosted *g;

	HASH_FIND_BYHASHVALUE(hh, table, id.p, (unsigned)id.len, (unsigned)hash_bytes(seed, id.p, id.len), g);
	return (g);
}

struct hosted *
hosted_find(struct home *home, struct slice id)
{
	struct hosted *g = hosted_find_in(home->groups, home->on->c->seed, id);

	return (g != NULL && hosted_forgets(g) ? g : NULL);
}

void
hosted_add_to(struct hosted **table, uint64_t seed, struct hosted *g)
{
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, *table, g->id, g->id_len, (unsigned)hash_bytes(seed, g->id, g->id_len), g);
}

struct hosted *
hosted_create(struct home *home, struct slice id)
{
	struct hosted *g = hosted_new(home, id);

	g->group = group_new(&home->on->host, id);
	g->forgot = home->on->ndeletions;
	hosted_add_to(&home->groups, home->on->c->seed, g);
	return (g);
}

void
hosted_unref(struct hosted **gp)
{
	struct hosted *g = *gp;

	*gp = NULL;
	if (g == NULL || --g->refs > 0)
		return;
	g->home->on->offsets_bytes -= g->weight;
	offsets_fini(&g->offsets);
	group_unref(&g->group);
	free(g->record);
	free(g);
}

void
hosted_weigh(struct hosted *g)
{
	g->home->on->offsets_bytes += g->offsets.bytes - g->weight;
	g->weight = g->offsets.bytes;
}

void
hosted_leave(struct hosted *g)
{
	must(!g->out);
	g->out = true;
	round_leaves(&g->home->on->expiring, g);
	round_leaves(&g->home->on->forgetting, g);
	HASH_DELETE(hh, g->home->groups, g);
	hosted_unref(&g);
}

void
home_drop(struct home *home)
{
	struct hosted *g, *next;
	uint32_t n = 0;

	if (home->load != NULL)
		load_cancel(home);
	HASH_ITER(hh, home->groups, g, next) {
		group_unload(g->group);
		hosted_leave(g);
		n++;
	}
	if (home->state == HOME_OWNED)
		diag_info(home->on->c->opt.diag, "group", GROUP_OFFSETS_TOPIC "-%d: no longer coordinated here, %u groups dropped", (int)home->number, (unsigned)n);
	home->state = HOME_AWAY;
	home->term++;
}

/* ---- calls ---- */

enum kerr
home_of(struct group_coordinator *c, struct slice group, bool empty_allowed, struct home **home)
{
	*home = NULL;
	if (group.p == NULL || (group.len == 0 && !empty_allowed) || group.len > INT16_MAX)
		return (KERR_INVALID_GROUP_ID);
	if (!c->active)
		return (KERR_COORDINATOR_NOT_AVAILABLE);
	*home = &c->homes[group_coordinator_partition(c, group)];
	switch ((*home)->state) {
	case HOME_LOADING:
		return (KERR_COORDINATOR_LOAD_IN_PROGRESS);
	case HOME_AWAY:
		return (KERR_NOT_COORDINATOR);
	case HOME_OWNED:
		break;
	}
	return (KERR_NONE);
}

static void
run_task(struct task *task)
{
	struct group_call *call = CONTAINER_OF(task, struct group_call, task);

	call->run(call);
}

static void
done_task(struct task *task)
{
	struct group_call *call = CONTAINER_OF(task, struct group_call, task);

	call->done(call);
}

static void
call_go(struct group_call *call)
{
	struct loop *owner = call->coordinator->loops[call->at].loop;

	if (loop_is_current(owner)) {
		call->run(call);
		return;
	}
	call->task.fn = run_task;
	loop_post(owner, &call->task);
}

void
call_done_later(struct group_call *call)
{
	call->task.fn = done_task;
	loop_post(call->loop, &call->task);
}

void
call_done(struct group_call *call)
{
	if (loop_is_current(call->loop))
		call->done(call);
	else
		call_done_later(call);
}

static void
call_init(struct group_coordinator *c, struct group_call *call, void (*run)(struct group_call *))
{
	call->coordinator = c;
	call->run = run;
	call->error = KERR_NONE;
	call->appends = 0;
}

/* What cannot be judged (no such group, not started) may run anywhere: it is refused there. */
uint32_t
group_coordinator_loop(const struct group_coordinator *c, struct slice group)
{
	return (c->npartitions == 0 ? 0 : (uint32_t)group_coordinator_partition(c, group) % c->opt.nloops);
}

void
call_to_owner(struct group_coordinator *c, struct group_call *call, struct slice group, void (*run)(struct group_call *))
{
	call_init(c, call, run);
	call->at = group_coordinator_loop(c, group);
	call_go(call);
}

bool
call_here(const struct group_call *call, struct slice group)
{
	return (group_coordinator_loop(call->coordinator, group) == call->at);
}

static void
call_next(struct group_call *call)
{
	do
		call->at++;
	while (call->at < call->coordinator->opt.nloops && !call->wants(call));
	if (call->at < call->coordinator->opt.nloops)
		call_go(call);
	else
		call_done(call);
}

static void
visit(struct group_call *call)
{
	call->appends = 1;	/* the visit itself */
	call->visit(call);
	if (--call->appends == 0)
		call_next(call);
}

void
call_appended(struct group_call *call)
{
	must(call->appends > 0);
	if (--call->appends == 0)
		call_next(call);
}

void
call_to_loops(struct group_coordinator *c, struct group_call *call, void (*fn)(struct group_call *), bool (*wants)(const struct group_call *))
{
	call_init(c, call, visit);
	call->visit = fn;
	call->wants = wants;
	call->at = UINT32_MAX;	/* before the first */
	call_next(call);
}
