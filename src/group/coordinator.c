/* SPDX-License-Identifier: Apache-2.0
 *
 * group/coordinator.c - see coordinator.h.
 *
 * Not finished: it never takes a partition up, so every call is answered COORDINATOR_NOT_AVAILABLE, which is what clients retry.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "group/coordinator.h"

struct group_coordinator {
	struct group_coordinator_options opt;
	uint32_t	npartitions;		/* 0: not started */
};

struct group_coordinator *
group_coordinator_new(const struct group_coordinator_options *opt)
{
	struct group_coordinator *c = xcalloc(1, sizeof(*c));

	c->opt = *opt;
	return (c);
}

void
group_coordinator_start(struct group_coordinator *c, uint32_t npartitions)
{
	must(npartitions > 0);
	c->npartitions = npartitions;
}

void
group_coordinator_stop(struct group_coordinator *c)
{
	(void)c;
}

bool
group_coordinator_busy(const struct group_coordinator *c)
{
	(void)c;
	return (false);
}

void
group_coordinator_free(struct group_coordinator **cp)
{
	free(*cp);
	*cp = NULL;
}

/* ---- which partition ---- */

/* One step of UTF-8, as Java decodes it: what is no character gives U+FFFD. */
static uint32_t
next_character(const uint8_t **pp, const uint8_t *end)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = *pp;
	unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	*pp = p + 1;
	if (n == 1)
		return (p[0]);
	if (n == 0 || (size_t)(end - p) < n)
		return (0xfffd);
	c = p[0] & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (0xfffd);
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return (0xfffd);
	*pp = p + n;
	return (c);
}

/* String.hashCode: over UTF-16 units. */
static uint32_t
java_hash(struct slice s)
{
	const uint8_t *p = s.p, *end = s.len == 0 ? s.p : s.p + s.len;
	uint32_t h = 0;

	while (p < end) {
		uint32_t c = next_character(&p, end);

		if (c >= 0x10000) {
			h = 31 * h + (0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		h = 31 * h + c;
	}
	return (h);
}

int32_t
group_coordinator_partition(const struct group_coordinator *c, struct slice group)
{
	uint32_t h = java_hash(group);

	must(c->npartitions > 0);
	h = h == UINT32_C(0x80000000) ? 0 : h > UINT32_C(0x80000000) ? 0 - h : h;	/* Utils.abs */
	return ((int32_t)(h % c->npartitions));
}

/* ---- leadership ---- */

void
group_coordinator_elected(struct group_coordinator *c, int32_t partition, int32_t leader_epoch)
{
	(void)c;
	(void)partition;
	(void)leader_epoch;
}

void
group_coordinator_resigned(struct group_coordinator *c, int32_t partition, int32_t leader_epoch)
{
	(void)c;
	(void)partition;
	(void)leader_epoch;
}

void
group_coordinator_topic_deleted(struct group_coordinator *c, struct slice topic)
{
	(void)c;
	(void)topic;
}

/* ---- calls ---- */

/* An id may be "" where groups without members have their offsets. */
static enum kerr
judge(struct slice group, bool empty_allowed)
{
	return (group.p == NULL || (group.len == 0 && !empty_allowed) ? KERR_INVALID_GROUP_ID : KERR_COORDINATOR_NOT_AVAILABLE);
}

static void
answer(struct group_coordinator *c, struct group_call *call, enum kerr error)
{
	call->coordinator = c;
	call->error = error;
	call->done(call);
}

void
group_coordinator_join(struct group_coordinator *c, struct group_join_call *j)
{
	j->join.answer.error = judge(j->group, false);
	j->join.answer.generation = -1;
	j->join.answer.member_id = j->join.member_id;
	j->join.answer.leader = SLICE_LIT("");
	answer(c, &j->call, j->join.answer.error);
}

void
group_coordinator_sync(struct group_coordinator *c, struct group_sync_call *s)
{
	s->sync.answer.error = judge(s->group, false);
	answer(c, &s->call, s->sync.answer.error);
}

void
group_coordinator_heartbeat(struct group_coordinator *c, struct group_heartbeat_call *h)
{
	answer(c, &h->call, judge(h->group, false));
}

void
group_coordinator_leave(struct group_coordinator *c, struct group_leave_call *l)
{
	answer(c, &l->call, judge(l->group, false));
}

void
group_coordinator_commit(struct group_coordinator *c, struct group_commit_call *m)
{
	for (uint32_t i = 0; i < m->nitems; i++)
		m->items[i].error = judge(m->group, true);
	answer(c, &m->call, KERR_NONE);
}

void
group_coordinator_fetch_offsets(struct group_coordinator *c, struct group_fetch_call *f)
{
	for (uint32_t i = 0; i < f->nitems; i++)
		f->items[i].error = judge(f->items[i].group, true);
	answer(c, &f->call, KERR_NONE);
}

void
group_coordinator_delete_offsets(struct group_coordinator *c, struct group_delete_offsets_call *d)
{
	answer(c, &d->call, judge(d->group, false));
}

void
group_coordinator_delete_groups(struct group_coordinator *c, struct group_delete_call *d)
{
	for (uint32_t i = 0; i < d->nitems; i++)
		d->items[i].error = judge(d->items[i].group, true);
	answer(c, &d->call, KERR_NONE);
}

void
group_coordinator_describe(struct group_coordinator *c, struct group_describe_call *d)
{
	for (uint32_t i = 0; i < d->nitems; i++) {
		d->items[i].error = judge(d->items[i].group, true);
		d->items[i].state = d->items[i].protocol_type = d->items[i].protocol = SLICE_LIT("");
		d->items[i].nmembers = 0;
	}
	answer(c, &d->call, KERR_NONE);
}

void
group_coordinator_list(struct group_coordinator *c, struct group_list_call *l)
{
	l->nrows = 0;
	answer(c, &l->call, KERR_COORDINATOR_NOT_AVAILABLE);
}
