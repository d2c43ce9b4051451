/* SPDX-License-Identifier: Apache-2.0
 *
 * group/rounds.c - what goes through all groups of a loop: offsets that expire (offsets.retention.minutes), and those of a topic that is deleted.
 *
 * A loop has other things to do than a hundred thousand groups at once (3 microseconds each that has something to bury): a round does a few in a turn.
 * Between two turns groups come, behind those that are there, and go (hosted_leave steps over the one that is next), and homes are dropped and loaded.
 *
 * A DELETED TOPIC is gone for every call from the first turn on: who asks for a group (hosted_find) has the deletions that have not come to it yet done on
 * it first.  So nobody is told of an offset of the old topic, and one committed for a new topic of that name has the tombstone before it, not
 * behind it.  hosted.forgot says which deletions have been at a group; they go round one after the other.  A home that is being loaded meanwhile is
 * passed over, as in Kafka.
 *
 * IF IT DIES HERE  What has no tombstone yet is back with the next load.  Expiry finds it again; offsets of a deleted topic stay until they expire.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "group/coordinator_int.h"

enum { WORK_PER_TURN = 500 };	/* groups that have few offsets */

/* ---- a round ---- */

/* To the next home; false: there is none, and the next round begins. */
static bool
round_enters(struct coordinator_loop *l, struct round *r)
{
	struct group_coordinator *c = l->c;

	while (r->at < c->npartitions && (c->homes[r->at].on != l || c->homes[r->at].state != HOME_OWNED))
		r->at++;
	if (r->at == c->npartitions) {
		*r = (struct round){ 0 };
		return (false);
	}
	r->home = &c->homes[r->at++];
	r->next = r->home->groups;
	return (true);
}

/* The next group of the home, which may end; NULL: there is none. */
static struct hosted *
round_takes(struct round *r)
{
	struct hosted *g = r->next;

	if (g != NULL)
		r->next = g->hh.next;
	return (g);
}

void
round_leaves(struct round *r, const struct hosted *g)
{
	if (r->next == g)
		r->next = g->hh.next;
}

static uint32_t
work_of(const struct hosted *g)
{
	return (1 + g->offsets.ncommitted / 16);
}

/* ---- expiry ---- */

static void
expire_some(struct coordinator_loop *l)
{
	const struct group_coordinator_options *opt = &l->c->opt;
	int64_t now_ms = clock_wall_ms(opt->clock);
	struct hosted *g;

	for (uint32_t work = 0; work < WORK_PER_TURN && (g = round_takes(&l->expiring)) != NULL;) {
		struct tombstones t = { .hosted = g };
		uint32_t before = g->offsets.ncommitted;

		work += work_of(g);
		offsets_expire(&g->offsets, g->group, now_ms, opt->retention_ms, tombstone_offset, &t);
		l->expired += before - g->offsets.ncommitted;
		l->ended += hosted_bury(g, &t);
	}
	if (l->expiring.next == NULL && l->expired > 0)
		diag_info(opt->diag, "group", GROUP_OFFSETS_TOPIC "-%d: %u offsets have expired, %u groups ended", (int)l->expiring.home->number,
		    (unsigned)l->expired, (unsigned)l->ended);
}

void
expiry_fired(struct timer *timer)
{
	struct coordinator_loop *l = CONTAINER_OF(timer, struct coordinator_loop, expiry);

	if (l->expiring.next == NULL) {
		l->expired = l->ended = 0;
		if (!round_enters(l, &l->expiring)) {
			timer_set(l->loop, timer, l->c->opt.retention_check_ms);
			return;
		}
	}
	expire_some(l);
	timer_set(l->loop, timer, 1);
}

/* ---- deleted topics ---- */

struct deletion {
	STAILQ_ENTRY(deletion) link;	/* loop.deletions */
	struct coordinator_loop *on;
	uint32_t	 number;
	size_t		 len;
	uint8_t		 topic[];
};

/* False: the group has ended. */
static bool
forget(struct hosted *g, const struct deletion *d)
{
	struct tombstones t = { .hosted = g };
	uint64_t before = g->offsets.order;

	g->forgot = d->number;
	offsets_remove_topic(&g->offsets, slice_of(d->topic, d->len), tombstone_offset, &t);
	return (g->offsets.order == before || !hosted_bury(g, &t));
}

bool
hosted_forgets(struct hosted *g)
{
	const struct deletion *d;

	if (g->forgot == g->home->on->ndeletions)	/* nearly always */
		return (true);
	STAILQ_FOREACH(d, &g->home->on->deletions, link)
		if (d->number > g->forgot && !forget(g, d))
			return (false);
	return (true);
}

static void
deletion_over(struct coordinator_loop *l)
{
	struct deletion *d = STAILQ_FIRST(&l->deletions);

	STAILQ_REMOVE_HEAD(&l->deletions, link);
	free(d);
	l->c->on_the_way--;
}

void
deletions_go_on(struct task *task)
{
	struct coordinator_loop *l = CONTAINER_OF(task, struct coordinator_loop, forgetting_task);
	struct hosted *g;
	uint32_t work = 0;

	while (work < WORK_PER_TURN && !STAILQ_EMPTY(&l->deletions)) {
		if ((g = round_takes(&l->forgetting)) == NULL) {
			if (!round_enters(l, &l->forgetting))
				deletion_over(l);
			continue;
		}
		work += work_of(g);
		if (g->forgot < STAILQ_FIRST(&l->deletions)->number)
			(void)forget(g, STAILQ_FIRST(&l->deletions));
	}
	if (!STAILQ_EMPTY(&l->deletions))
		loop_post(l->loop, &l->forgetting_task);
}

static void
topic_gone(void *v)
{
	struct deletion *d = v;
	struct coordinator_loop *l = d->on;
	bool first = STAILQ_EMPTY(&l->deletions);

	d->number = ++l->ndeletions;
	STAILQ_INSERT_TAIL(&l->deletions, d, link);
	if (first)
		deletions_go_on(&l->forgetting_task);
}

void
group_coordinator_topic_deleted(struct group_coordinator *c, struct slice topic)
{
	for (uint32_t i = 0; c->active && i < c->opt.nloops; i++) {
		struct deletion *d = xmalloc(sizeof(*d) + topic.len);

		d->on = &c->loops[i];
		d->len = topic.len;
		if (topic.len > 0)
			memcpy(d->topic, topic.p, topic.len);
		c->on_the_way++;
		loop_call(d->on->loop, topic_gone, d);
	}
}
