/* SPDX-License-Identifier: Apache-2.0
 *
 * group/members.c - the coordinator's calls about members: join, sync, heartbeat, leave; describe, list.
 *
 * A group answers joins and syncs from inside its own functions and timers.  So their answers are copied and posted, never given at once:
 * the caller may ask the next thing from inside its callback.
 */
#include <stdlib.h>

#include "base/must.h"
#include "base/str.h"
#include "group/coordinator_int.h"

/* Absent becomes "". */
static struct slice
text_copy(struct arena *a, struct slice s)
{
	return (s.p == NULL || s.len == 0 ? SLICE_LIT("") : arena_dup(a, s));
}

/* ---- JoinGroup ---- */

static void
join_refuse(struct group_join_call *j, enum kerr k, struct slice member_id)
{
	memset(&j->join.answer, 0, sizeof(j->join.answer));
	j->join.answer.error = j->call.error = k;
	j->join.answer.generation = -1;
	j->join.answer.member_id = member_id;
	j->join.answer.leader = SLICE_LIT("");
}

static bool
join_copy_members(struct group_join_call *j)
{
	struct arena *a = j->call.arena;
	uint32_t n = j->join.answer.nmembers;
	struct group_joined_member *v = ARENA_ARRAY(a, struct group_joined_member, (size_t)n + 1);

	for (uint32_t i = 0; v != NULL && i < n; i++) {
		v[i].member_id = arena_dup(a, j->join.answer.members[i].member_id);
		v[i].instance_id = arena_dup(a, j->join.answer.members[i].instance_id);
		v[i].metadata = text_copy(a, j->join.answer.members[i].metadata);
	}
	j->join.answer.members = v;
	return (v != NULL);
}

static void
joined(struct group_join *join)
{
	struct group_join_call *j = CONTAINER_OF(join, struct group_join_call, join);
	struct arena *a = j->call.arena;

	j->call.error = join->answer.error;
	join->answer.protocol_type = arena_dup(a, join->answer.protocol_type);
	join->answer.protocol = arena_dup(a, join->answer.protocol);
	join->answer.leader = text_copy(a, join->answer.leader);
	join->answer.member_id = text_copy(a, join->answer.member_id);
	if (!join_copy_members(j) || a->full)
		join_refuse(j, KERR_UNKNOWN_SERVER_ERROR, SLICE_LIT(""));
	call_done_later(&j->call);
}

static size_t
join_bytes(const struct group_join *j)
{
	size_t n = j->instance_id.len + j->client_id.len;

	for (uint32_t i = 0; i < j->nprotocols; i++)
		n += j->protocols[i].name.len + j->protocols[i].metadata.len + sizeof(struct group_protocol);
	return (n);
}

/* A client can make groups, and members as large as a request, as it likes, and they stay for a session's time-out. */
static bool
has_memory(struct coordinator_loop *l, const struct group_join_call *j, const struct hosted *g)
{
	return (loop_has_memory(l, j->group, join_bytes(&j->join) + (g == NULL ? j->group.len : 0),
	    g == NULL ? 0 : group_member_bytes(g->group, j->join.member_id)));
}

static void
run_join(struct group_call *call)
{
	struct group_join_call *j = CONTAINER_OF(call, struct group_join_call, call);
	const struct group_coordinator_options *opt = &call->coordinator->opt;
	struct hosted *g = NULL;
	struct home *home;
	enum kerr k = home_of(call->coordinator, j->group, false, &home);

	if (k == KERR_NONE && (j->join.session_timeout_ms < opt->min_session_timeout_ms || j->join.session_timeout_ms > opt->max_session_timeout_ms))
		k = KERR_INVALID_SESSION_TIMEOUT;
	if (k == KERR_NONE) {
		g = hosted_find(home, j->group);
		if (g == NULL && j->join.member_id.len > 0)
			k = KERR_UNKNOWN_MEMBER_ID;
		else if (!has_memory(home->on, j, g))
			k = KERR_COORDINATOR_NOT_AVAILABLE;	/* clients come again */
	}
	if (k != KERR_NONE) {
		join_refuse(j, k, j->join.member_id);
		call_done(call);
		return;
	}
	if (g == NULL)
		g = hosted_create(home, j->group);
	j->join.done = joined;
	group_join(g->group, &j->join);
}

void
group_coordinator_join(struct group_coordinator *c, struct group_join_call *j)
{
	call_to_owner(c, &j->call, j->group, run_join);
}

/* ---- SyncGroup ---- */

static void
sync_refuse(struct group_sync_call *s, enum kerr k)
{
	memset(&s->sync.answer, 0, sizeof(s->sync.answer));
	s->sync.answer.error = s->call.error = k;
	s->sync.answer.assignment = SLICE_LIT("");
}

static void
synced(struct group_sync *sync)
{
	struct group_sync_call *s = CONTAINER_OF(sync, struct group_sync_call, sync);
	struct arena *a = s->call.arena;

	s->call.error = sync->answer.error;
	sync->answer.protocol_type = arena_dup(a, sync->answer.protocol_type);
	sync->answer.protocol = arena_dup(a, sync->answer.protocol);
	sync->answer.assignment = text_copy(a, sync->answer.assignment);
	if (a->full)
		sync_refuse(s, KERR_UNKNOWN_SERVER_ERROR);
	call_done_later(&s->call);
}

static size_t
assignments_bytes(const struct group_sync *s)
{
	size_t n = 0;

	for (uint32_t i = 0; i < s->nassignments; i++)
		n += s->assignments[i].assignment.len;
	return (n);
}

static void
run_sync(struct group_call *call)
{
	struct group_sync_call *s = CONTAINER_OF(call, struct group_sync_call, call);
	struct hosted *g = NULL;
	struct home *home;
	enum kerr k = home_of(call->coordinator, s->group, false, &home);

	if (k == KERR_COORDINATOR_LOAD_IN_PROGRESS)	/* old clients do not expect that one here; the rebalance is lost in any case */
		k = KERR_REBALANCE_IN_PROGRESS;
	if (k == KERR_NONE && (g = hosted_find(home, s->group)) == NULL)
		k = KERR_UNKNOWN_MEMBER_ID;
	if (k == KERR_NONE && s->sync.nassignments > 0 &&
	    !loop_has_memory(home->on, s->group, assignments_bytes(&s->sync), group_assignment_bytes(g->group)))
		k = KERR_COORDINATOR_NOT_AVAILABLE;
	if (k != KERR_NONE) {
		sync_refuse(s, k);
		call_done(call);
		return;
	}
	s->sync.done = synced;
	group_sync(g->group, &s->sync);
}

void
group_coordinator_sync(struct group_coordinator *c, struct group_sync_call *s)
{
	call_to_owner(c, &s->call, s->group, run_sync);
}

/* ---- Heartbeat, LeaveGroup ---- */

static void
run_heartbeat(struct group_call *call)
{
	struct group_heartbeat_call *b = CONTAINER_OF(call, struct group_heartbeat_call, call);
	struct hosted *g = NULL;
	struct home *home;

	call->error = home_of(call->coordinator, b->group, false, &home);
	if (call->error == KERR_COORDINATOR_LOAD_IN_PROGRESS)	/* nobody may be told to go before it is known who is there */
		call->error = KERR_NONE;
	else if (call->error == KERR_NONE && (g = hosted_find(home, b->group)) == NULL)
		call->error = KERR_UNKNOWN_MEMBER_ID;
	if (g != NULL)
		call->error = group_heartbeat(g->group, b->member_id, b->instance_id, b->generation);
	call_done(call);
}

void
group_coordinator_heartbeat(struct group_coordinator *c, struct group_heartbeat_call *b)
{
	call_to_owner(c, &b->call, b->group, run_heartbeat);
}

static void
run_leave(struct group_call *call)
{
	struct group_leave_call *l = CONTAINER_OF(call, struct group_leave_call, call);
	struct hosted *g = NULL;
	struct home *home;

	call->error = home_of(call->coordinator, l->group, false, &home);
	if (call->error == KERR_NONE)
		g = hosted_find(home, l->group);
	for (uint32_t i = 0; i < l->nmembers; i++)
		l->members[i].error = g == NULL ? KERR_UNKNOWN_MEMBER_ID :
		    group_leave(g->group, l->members[i].member_id, l->members[i].instance_id, l->members[i].reason);
	call_done(call);
}

void
group_coordinator_leave(struct group_coordinator *c, struct group_leave_call *l)
{
	call_to_owner(c, &l->call, l->group, run_leave);
}

/* ---- DescribeGroups ---- */

struct describing {
	struct group_describe_item *item;
	struct arena *arena;
	uint32_t room;
};

static void
describe_member(void *ctx, const struct group_member_view *m)
{
	struct describing *d = ctx;
	struct group_member_view *to = &d->item->members[d->item->nmembers];

	must(d->item->nmembers < d->room);
	to->member_id = arena_dup(d->arena, m->member_id);
	to->instance_id = arena_dup(d->arena, m->instance_id);
	to->client_id = text_copy(d->arena, m->client_id);
	to->client_host = text_copy(d->arena, m->client_host);
	to->metadata = text_copy(d->arena, m->metadata);
	to->assignment = text_copy(d->arena, m->assignment);
	d->item->nmembers++;
}

static void
describe_group(struct group_describe_item *it, const struct group *g, struct arena *a)
{
	struct describing d = { it, a, group_size(g) };

	it->state = slice_str(group_state_name(group_state(g)));
	it->protocol_type = text_copy(a, group_protocol_type(g));
	if (group_state(g) == GROUP_STABLE)
		it->protocol = text_copy(a, group_protocol_name(g));
	it->members = ARENA_ARRAY(a, struct group_member_view, (size_t)d.room + 1);
	if (it->members != NULL)
		group_each_member(g, describe_member, &d);
}

static void
visit_describe(struct group_call *call)
{
	struct group_describe_call *d = CONTAINER_OF(call, struct group_describe_call, call);

	for (uint32_t i = 0; i < d->nitems; i++) {
		struct group_describe_item *it = &d->items[i];
		const struct hosted *g;
		struct home *home;

		if (!call_here(call, it->group))
			continue;
		it->state = it->protocol_type = it->protocol = SLICE_LIT("");
		it->nmembers = 0;
		it->error = home_of(call->coordinator, it->group, true, &home);
		if (it->error != KERR_NONE)
			continue;
		g = hosted_find(home, it->group);
		if (g == NULL)
			it->state = slice_str(group_state_name(GROUP_DEAD));
		else
			describe_group(it, g->group, call->arena);
	}
	if (call->arena->full)
		call->error = KERR_UNKNOWN_SERVER_ERROR;
}

static bool
wants_describe(const struct group_call *call)
{
	const struct group_describe_call *d = CONTAINER_OF(call, const struct group_describe_call, call);

	for (uint32_t i = 0; i < d->nitems; i++)
		if (call_here(call, d->items[i].group))
			return (true);
	return (false);
}

void
group_coordinator_describe(struct group_coordinator *c, struct group_describe_call *d)
{
	call_to_loops(c, &d->call, visit_describe, wants_describe);
}

/* ---- ListGroups ---- */

/* As bits: a request may name millions, and there may be thousands of groups. */
static uint32_t
states_wanted(const struct group_list_call *l)
{
	uint32_t wanted = l->nstates == 0 ? UINT32_MAX : 0;

	for (uint32_t i = 0; i < l->nstates; i++)
		for (int s = GROUP_EMPTY; s <= GROUP_DEAD; s++)
			if (str_eq_nocase(l->states[i], group_state_name((enum group_state)s)))
				wanted |= 1u << s;
	return (wanted);
}

static bool
list_room(struct group_list_call *l)
{
	uint32_t room = l->room == 0 ? 64 : l->room * 2;
	struct group_list_row *rows;

	if (l->nrows < l->room)
		return (true);
	rows = ARENA_ARRAY(l->call.arena, struct group_list_row, room);
	if (rows == NULL)
		return (false);
	if (l->nrows > 0)
		memcpy(rows, l->rows, l->nrows * sizeof(*rows));
	l->rows = rows;
	l->room = room;
	return (true);
}

static void
list_home(struct group_list_call *l, const struct home *home)
{
	const struct hosted *g;

	if (home->state == HOME_LOADING)
		l->call.error = KERR_COORDINATOR_LOAD_IN_PROGRESS;
	for (g = home->groups; g != NULL; g = g->hh.next) {
		if ((l->wanted & 1u << group_state(g->group)) == 0)
			continue;
		if (!list_room(l))
			return;
		l->rows[l->nrows++] = (struct group_list_row){ text_copy(l->call.arena, group_id(g->group)),
		    text_copy(l->call.arena, group_protocol_type(g->group)), group_state(g->group) };
	}
}

static void
visit_list(struct group_call *call)
{
	struct group_list_call *l = CONTAINER_OF(call, struct group_list_call, call);
	struct group_coordinator *c = call->coordinator;

	if (!c->active) {
		call->error = KERR_COORDINATOR_NOT_AVAILABLE;
		l->nrows = 0;
		return;
	}
	for (uint32_t i = 0; i < c->npartitions; i++)
		if (c->homes[i].on == &c->loops[call->at])
			list_home(l, &c->homes[i]);
	if (call->arena->full) {
		call->error = KERR_UNKNOWN_SERVER_ERROR;
		l->nrows = 0;
	}
}

static bool
wants_list(const struct group_call *call)
{
	return (call->error != KERR_COORDINATOR_NOT_AVAILABLE && call->error != KERR_UNKNOWN_SERVER_ERROR);
}

void
group_coordinator_list(struct group_coordinator *c, struct group_list_call *l)
{
	l->rows = NULL;
	l->nrows = l->room = 0;
	l->wanted = states_wanted(l);
	call_to_loops(c, &l->call, visit_list, wants_list);
}
