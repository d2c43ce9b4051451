/* SPDX-License-Identifier: Apache-2.0
 *
 * group/rebalance.c - what moves a group: members that join, sync, beat, leave or fall silent, and the two timers of a rebalance.
 *
 * A REBALANCE
 *   Members join; each waits (member.join).  When all have, or the longest rebalance time-out has passed, the generation begins: who did not
 *   join again is out (dynamic members only), a protocol is voted for, everybody gets the answer, the leader with all metadata.  Each then asks
 *   for its assignment (member.sync); the leader brings it.  It is written to the log first, then handed out: a generation that members
 *   have seen as stable survives us.
 *
 * TIME
 *   session	from the last sign of life, session_timeout_ms; a member that waits for an answer of ours is alive by that, so the timer then
 *		fires into nothing and is set anew with the answer.  A member that never had an answer to its first join is given
 *		NEW_MEMBER_JOIN_MS instead: its client may be gone, and its socket tells nothing while the request waits.
 *   join	PREPARING: the largest rebalance time-out of the members; out of EMPTY the initial delay, prolonged while members come.
 *   sync	from the answer to the joins: who has not asked for the assignment by then is out.
 *
 * Different from Kafka 3.9 on purpose: a request that can no longer be answered properly (its member left, or asked again on another
 * connection) gets an error at once; Kafka forgets it and its client waits for its own time-out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/uuid.h"
#include "group/group_int.h"

enum { NEW_MEMBER_JOIN_MS = 5 * 60 * 1000, REBALANCE_AGAIN_MIN_MS = 100 };

static void remove_and_update(struct member *, const char *reason);
static void maybe_complete_join(struct group *);

/* ---- answers ---- */

/* To nobody of this generation; what it says of the group is asked for with the error. */
static void
answer_error(struct group_join *j, enum kerr e, int32_t generation, struct slice protocol_type, struct slice protocol, struct slice leader, struct slice member_id)
{
	j->answer.error = e;
	j->answer.generation = generation;
	j->answer.protocol_type = protocol_type;
	j->answer.protocol = protocol;
	j->answer.leader = leader;
	j->answer.member_id = member_id;
	j->answer.skip_assignment = false;
	j->answer.nmembers = 0;
	j->answer.members = NULL;
	j->done(j);
}

static void
answer_join(struct group_join *j, enum kerr e, struct slice member_id)
{
	answer_error(j, e, -1, SLICE_NULL, SLICE_NULL, SLICE_LIT(""), member_id);
}

/* What a static member cannot come back to, with the error: as Kafka it names the generation that stands, and no member. */
static void
answer_not_back(struct group_join *j, enum kerr e, const struct group *g, struct slice leader)
{
	answer_error(j, e, g->generation, g->protocol_type, g->protocol, leader, SLICE_LIT(""));
}

/* The present generation, for a member of it.  with_members: it is to assign. */
static void
answer_generation(struct group_join *j, const struct member *m, struct slice leader, bool with_members, bool skip)
{
	struct group *g = m->group;
	struct group_joined_member *rows = NULL;
	struct member *each;

	j->answer.error = KERR_NONE;
	j->answer.generation = g->generation;
	j->answer.protocol_type = g->protocol_type;
	j->answer.protocol = g->protocol;
	j->answer.leader = leader;
	j->answer.member_id = m->id;
	j->answer.skip_assignment = skip;
	j->answer.nmembers = 0;
	if (with_members) {
		rows = xcalloc(g->nmembers, sizeof(*rows));
		TAILQ_FOREACH(each, &g->order, link)
			rows[j->answer.nmembers++] = (struct group_joined_member){ each->id, each->instance_id, member_metadata(each, g->protocol) };
	}
	j->answer.members = rows;
	j->done(j);
	free(rows);
}

static struct group_join *
take_join(struct member *m)
{
	struct group_join *j = m->join;

	m->join = NULL;
	if (j != NULL)
		m->group->nwaiting--;
	return (j);
}

static void
set_join(struct member *m, struct group_join *j)
{
	member_answer_join_error(m, KERR_REBALANCE_IN_PROGRESS);	/* the same member asked before, on a connection it gave up */
	m->join = j;
	m->group->nwaiting++;
}

void
member_answer_join_error(struct member *m, enum kerr e)
{
	struct group_join *j = take_join(m);

	if (j != NULL)
		answer_join(j, e, e == KERR_UNKNOWN_MEMBER_ID ? SLICE_LIT("") : m->id);
}

static void
answer_sync(struct group_sync *s, enum kerr e, const struct member *m)
{
	s->answer.error = e;
	s->answer.protocol_type = s->answer.protocol = SLICE_NULL;
	s->answer.assignment = SLICE_LIT("");
	if (e == KERR_NONE) {
		s->answer.protocol_type = m->group->protocol_type;
		s->answer.protocol = m->group->protocol;
		if (m->assignment != NULL)
			s->answer.assignment = slice_of(m->assignment, m->assignment_len);
	}
	s->done(s);
}

static bool
answer_waiting_sync(struct member *m, enum kerr e)
{
	struct group_sync *s = m->sync;

	m->sync = NULL;
	if (s != NULL)
		answer_sync(s, e, m);
	return (s != NULL);
}

void
member_answer_sync_error(struct member *m, enum kerr e)
{
	(void)answer_waiting_sync(m, e);
}

/* ---- sessions ---- */

/* A member that waits for us is alive; a new one may be gone though it waits. */
static bool
silent(const struct member *m)
{
	return (m->is_new || (m->join == NULL && m->sync == NULL));
}

static void
on_session(struct timer *t)
{
	struct member *m = CONTAINER_OF(t, struct member, session);

	if (!silent(m))
		return;
	diag_info(m->group->host->diag, "group", "%s: member %s was silent for its session time-out and is out", (const char *)m->group->id.p,
	    (const char *)m->id.p);
	remove_and_update(m, "a member's session has timed out");
}

static void
on_pending_session(struct timer *t)
{
	struct pending_member *p = CONTAINER_OF(t, struct pending_member, session);
	struct group *g = p->group;

	pending_remove(p);
	maybe_complete_join(g);
}

void
member_arm(struct member *m, int64_t timeout_ms)
{
	timer_init(&m->session, on_session);
	timer_set(m->group->host->loop, &m->session, timeout_ms);
}

static void
alive(struct member *m)
{
	timer_set(m->group->host->loop, &m->session, m->session_timeout_ms);
}

/* ---- syncs that are due ---- */

static void
sync_not_due(struct member *m)
{
	struct group *g = m->group;

	if (!m->sync_due)
		return;
	m->sync_due = false;
	if (--g->nsync_due == 0)
		timer_cancel(g->host->loop, &g->sync_timer);
}

void
sync_cleared(struct group *g)
{
	struct member *m;

	TAILQ_FOREACH(m, &g->order, link)
		sync_not_due(m);
	timer_cancel(g->host->loop, &g->sync_timer);
}

static void
on_sync_time(struct timer *t)
{
	struct group *g = CONTAINER_OF(t, struct group, sync_timer);
	struct member *m, *next;

	must(g->state == GROUP_COMPLETING || g->state == GROUP_STABLE);
	for (m = TAILQ_FIRST(&g->order); m != NULL; m = next) {
		next = TAILQ_NEXT(m, link);
		if (m->sync_due) {
			member_answer_join_error(m, KERR_UNKNOWN_MEMBER_ID);
			member_answer_sync_error(m, KERR_UNKNOWN_MEMBER_ID);
			member_remove(m);
		}
	}
	rebalance_prepare(g, "members did not ask for their assignment in time");
}

/* ---- the rebalance ---- */

static int32_t
longest_rebalance(const struct group *g)
{
	const struct member *m;
	int32_t longest = 0;

	TAILQ_FOREACH(m, &g->order, link)
		longest = MAX(longest, m->rebalance_timeout_ms);
	return (longest);
}

static void
drop_assignments(struct group *g, enum kerr e)
{
	struct member *m;

	TAILQ_FOREACH(m, &g->order, link) {
		member_set_assignment(m, SLICE_NULL);
		if (answer_waiting_sync(m, e))
			alive(m);
	}
}

void
rebalance_prepare(struct group *g, const char *reason)
{
	if (g->state == GROUP_COMPLETING)
		drop_assignments(g, KERR_REBALANCE_IN_PROGRESS);
	g->assigning = NULL;
	sync_cleared(g);
	g->initial = g->state == GROUP_EMPTY;
	diag_info(g->host->diag, "group", "%s: preparing to rebalance in state %s with generation %d: %s", (const char *)g->id.p,
	    group_state_name(g->state), g->generation, reason);
	group_set_state(g, GROUP_PREPARING, reason);
	if (g->initial) {
		g->delay_ms = g->host->initial_rebalance_delay_ms;
		g->remaining_ms = (int32_t)MAX((int64_t)longest_rebalance(g) - g->delay_ms, 0);
		timer_set(g->host->loop, &g->join_timer, g->delay_ms);
	} else {
		timer_set(g->host->loop, &g->join_timer, longest_rebalance(g));
		maybe_complete_join(g);
	}
}

static bool
may_rebalance(const struct group *g)
{
	return (group_state_may_follow(g->state, GROUP_PREPARING));
}

static void
maybe_prepare(struct group *g, const char *reason)
{
	if (may_rebalance(g))
		rebalance_prepare(g, reason);
}

static struct group_store *
store_new(int kind)
{
	struct group_store *s = xcalloc(1, sizeof(*s));

	s->kind = kind;
	return (s);
}

static void
next_generation(struct group *g)
{
	struct slice chosen = g->nmembers > 0 ? owned_copy(protocol_vote(g)) : SLICE_NULL;

	g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
	owned_free(&g->protocol);
	g->protocol = chosen;
	subscriptions_compute(g);
	group_set_state(g, g->nmembers > 0 ? GROUP_COMPLETING : GROUP_EMPTY, "a new generation");
}

static void
begin_generation(struct group *g)
{
	struct member *m;

	next_generation(g);
	diag_info(g->host->diag, "group", "%s: generation %d begins with %u members", (const char *)g->id.p, g->generation, g->nmembers);
	if (g->state == GROUP_EMPTY) {
		group_write(g, store_new(STORE_EMPTY));
		return;
	}
	TAILQ_FOREACH(m, &g->order, link) {
		struct group_join *j = take_join(m);

		m->is_new = false;
		m->sync_due = true;
		g->nsync_due++;
		alive(m);
		if (j != NULL)
			answer_generation(j, m, g->leader->id, m == g->leader, false);
	}
	timer_set(g->host->loop, &g->sync_timer, longest_rebalance(g));
}

/* The leader must have joined; another takes its place when it did not.  False: nobody has joined. */
static bool
leader_has_joined(struct group *g)
{
	struct member *m;

	if (g->leader == NULL || g->leader->join != NULL)
		return (g->leader != NULL);
	TAILQ_FOREACH(m, &g->order, link)
		if (m->join != NULL) {
			g->leader = m;
			return (true);
		}
	return (false);
}

static void
complete_join(struct group *g)
{
	struct member *m, *next;

	must(g->state == GROUP_PREPARING);
	g->initial = false;
	timer_cancel(g->host->loop, &g->join_timer);
	for (m = TAILQ_FIRST(&g->order); m != NULL; m = next) {
		next = TAILQ_NEXT(m, link);
		if (m->join == NULL && m->instance_id.p == NULL)
			member_remove(m);
	}
	if (!leader_has_joined(g) && g->nmembers > 0) {
		/* Static members only, none of them back: their sessions decide.  A client may ask for a rebalance time-out of 0. */
		timer_set(g->host->loop, &g->join_timer, MAX(longest_rebalance(g), REBALANCE_AGAIN_MIN_MS));
		return;
	}
	begin_generation(g);
}

static void
maybe_complete_join(struct group *g)
{
	if (g->state == GROUP_PREPARING && !g->initial && g->nwaiting == g->nmembers && g->pending == NULL)
		complete_join(g);
}

static void
on_join_time(struct timer *t)
{
	struct group *g = CONTAINER_OF(t, struct group, join_timer);

	if (g->initial && g->joined_since && g->remaining_ms != 0) {
		int32_t delay = MIN(g->host->initial_rebalance_delay_ms, g->remaining_ms);

		g->joined_since = false;
		g->remaining_ms = MAX(g->remaining_ms - g->delay_ms, 0);
		g->delay_ms = delay;
		timer_set(g->host->loop, &g->join_timer, delay);
		return;
	}
	complete_join(g);
}

void
rebalance_init(struct group *g)
{
	timer_init(&g->join_timer, on_join_time);
	timer_init(&g->sync_timer, on_sync_time);
}

static void
remove_and_update(struct member *m, const char *reason)
{
	struct group *g = m->group;

	member_answer_join_error(m, KERR_UNKNOWN_MEMBER_ID);
	member_answer_sync_error(m, KERR_UNKNOWN_MEMBER_ID);
	sync_not_due(m);
	member_remove(m);
	maybe_prepare(g, reason);
	maybe_complete_join(g);
}

/* ---- who is it? ---- */

/* The instance id must be known and belong to that member id; the member id must be known. */
static enum kerr
identify(const struct group *g, struct slice member_id, struct slice instance_id, struct member **mp)
{
	struct member *by_instance;

	*mp = member_find(g, member_id);
	if (instance_id.p != NULL) {
		by_instance = member_find_static(g, instance_id);
		if (by_instance == NULL)
			return (KERR_UNKNOWN_MEMBER_ID);
		if (by_instance != *mp)
			return (KERR_FENCED_INSTANCE_ID);
	}
	return (*mp == NULL ? KERR_UNKNOWN_MEMBER_ID : KERR_NONE);
}

/* ---- join ---- */

/* Room for one more?  While members join again those that wait are counted, so that the last to come are the ones left out when
 * group.max.size was lowered. */
static bool
has_room(const struct group *g, struct slice member_id)
{
	const struct member *m = member_find(g, member_id);
	uint32_t max = (uint32_t)MAX(g->host->size_max, 0);

	switch (g->state) {
	case GROUP_EMPTY:
	case GROUP_DEAD:
		return (true);
	case GROUP_PREPARING:
		return ((m != NULL && m->join != NULL) || g->nwaiting < max);
	default:
		return (m != NULL || g->nmembers < max);
	}
}

static bool
shares_a_protocol(const struct group *g, const struct group_join *j)
{
	if (g->state == GROUP_EMPTY)
		return (j->protocol_type.len > 0 && j->nprotocols > 0);
	if (slice_cmp(g->protocol_type, j->protocol_type) != 0 || g->protocol_type.p == NULL)
		return (false);
	for (uint32_t i = 0; i < j->nprotocols; i++)
		if (supported_by(g, j->protocols[i].name) == g->nmembers)
			return (true);
	return (false);
}

static struct slice
new_member_id(struct group *g, const struct group_join *j, char *buf, size_t size)
{
	struct slice prefix = j->instance_id.p != NULL ? j->instance_id : j->client_id;
	struct uuid id;
	size_t len = MIN(prefix.len, size - 38);

	g->host->random->fill(g->host->random, id.b, sizeof(id.b));
	id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
	id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
	if (len > 0)
		memcpy(buf, prefix.p, len);
	(void)snprintf(buf + len, size - len, "-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id.b[0], id.b[1], id.b[2], id.b[3],
	    id.b[4], id.b[5], id.b[6], id.b[7], id.b[8], id.b[9], id.b[10], id.b[11], id.b[12], id.b[13], id.b[14], id.b[15]);
	return (slice_of(buf, len + 37));
}

static void
take_settings(struct member *m, const struct group_join *j)
{
	member_set_protocols(m, j->protocols, j->nprotocols);
	m->rebalance_timeout_ms = j->rebalance_timeout_ms;
	m->session_timeout_ms = j->session_timeout_ms;
}

static void
add_and_rebalance(struct group *g, struct slice id, struct group_join *j)
{
	struct member *m;

	if (g->state == GROUP_PREPARING && g->generation == 0)
		g->joined_since = true;
	if (g->nmembers == 0) {
		owned_free(&g->protocol_type);
		g->protocol_type = owned_copy(j->protocol_type);
	}
	m = member_add(g, id, j->instance_id, j->client_id, j->client_host);
	m->is_new = true;
	take_settings(m, j);
	set_join(m, j);
	member_arm(m, NEW_MEMBER_JOIN_MS);
	maybe_prepare(g, "a member joins");
}

static void
update_and_rebalance(struct member *m, struct group_join *j, const char *reason)
{
	take_settings(m, j);
	set_join(m, j);
	maybe_prepare(m->group, reason);
}

/* A static member is back under a new id: it takes over what the old one was.  In a stable group whose protocol stays nobody else notices; the
 * record is written, so that the new id is known to whoever coordinates next. */
static void
static_member_returns(struct member *m, struct slice id, struct group_join *j)
{
	struct group *g = m->group;
	struct slice old_leader = owned_copy(g->leader->id), old_id = owned_copy(m->id), chosen;
	int32_t old_session_ms = m->session_timeout_ms, old_rebalance_ms = m->rebalance_timeout_ms;
	struct group_store *s;

	diag_info(g->host->diag, "group", "%s: static member %s is back, with the member id %s", (const char *)g->id.p,
	    (const char *)m->instance_id.p, (const char *)id.p);
	member_answer_join_error(m, KERR_FENCED_INSTANCE_ID);
	member_answer_sync_error(m, KERR_FENCED_INSTANCE_ID);
	member_rename(m, id);
	take_settings(m, j);
	set_join(m, j);
	alive(m);
	if (g->state == GROUP_STABLE) {
		chosen = protocol_vote(g);
		if (slice_cmp(chosen, g->protocol) == 0) {
			s = store_new(STORE_STATIC);
			s->join = j;
			s->old_id = old_id;
			s->new_id = owned_copy(id);
			s->old_leader = old_leader;
			s->old_session_timeout_ms = old_session_ms;
			s->old_rebalance_timeout_ms = old_rebalance_ms;
			s->skip = j->may_skip_assignment;
			group_write(g, s);
			return;
		}
		rebalance_prepare(g, "a static member came back and changes the protocol");
	} else if (g->state == GROUP_COMPLETING) {
		rebalance_prepare(g, "a static member came back while the leader assigns");
	}
	owned_free(&old_id);
	owned_free(&old_leader);
}

static void
join_new(struct group *g, struct group_join *j)
{
	char buf[INT16_MAX + 1];		/* the id must be a string of the protocol again: a prefix too long for that is cut */
	struct slice id = new_member_id(g, j, buf, sizeof(buf));
	struct member *known = j->instance_id.p == NULL ? NULL : member_find_static(g, j->instance_id);

	if (known != NULL) {
		static_member_returns(known, id, j);
	} else if (j->instance_id.p == NULL && j->member_id_required) {
		pending_add(g, id, j->session_timeout_ms, on_pending_session);
		answer_join(j, KERR_MEMBER_ID_REQUIRED, id);
	} else {
		add_and_rebalance(g, id, j);
	}
}

static void
join_known(struct group *g, struct group_join *j)
{
	struct member *m;
	enum kerr e;

	if (pending_find(g, j->member_id) != NULL) {
		/* Kafka throws here: ids are pending for dynamic members only. */
		if (j->instance_id.p != NULL)
			answer_join(j, KERR_UNKNOWN_SERVER_ERROR, j->member_id);
		else
			add_and_rebalance(g, j->member_id, j);
		return;
	}
	e = identify(g, j->member_id, j->instance_id, &m);
	if (e != KERR_NONE) {
		answer_join(j, e, j->member_id);
		return;
	}
	switch (g->state) {
	case GROUP_PREPARING:
		update_and_rebalance(m, j, "a member joins again");
		break;
	case GROUP_COMPLETING:
		/* With the same metadata: the answer to its join was lost. */
		if (member_protocols_equal(m, j->protocols, j->nprotocols))
			answer_generation(j, m, g->leader->id, m == g->leader, false);
		else
			update_and_rebalance(m, j, "a member's metadata changes");
		break;
	case GROUP_STABLE:
		if (m == g->leader)
			update_and_rebalance(m, j, "the leader joins again");
		else if (!member_protocols_equal(m, j->protocols, j->nprotocols))
			update_and_rebalance(m, j, "a member's metadata changes");
		else
			answer_generation(j, m, g->leader->id, false, false);
		break;
	default:
		unreachable("an empty or dead group has no members");
	}
}

void
group_join(struct group *g, struct group_join *j)
{
	bool fresh = j->member_id.len == 0;
	struct pending_member *p;
	struct member *m;

	if (!has_room(g, j->member_id)) {
		if ((p = pending_find(g, j->member_id)) != NULL)
			pending_remove(p);
		if ((m = member_find(g, j->member_id)) != NULL)
			member_remove(m);
		answer_join(j, KERR_GROUP_MAX_SIZE_REACHED, SLICE_LIT(""));
	} else if (g->state == GROUP_DEAD) {
		answer_join(j, KERR_COORDINATOR_NOT_AVAILABLE, j->member_id);
	} else if (!shares_a_protocol(g, j)) {
		answer_join(j, KERR_INCONSISTENT_GROUP_PROTOCOL, j->member_id);
	} else if (fresh) {
		join_new(g, j);
	} else {
		join_known(g, j);
	}
	maybe_complete_join(g);
}

/* ---- sync ---- */

/* What the leader sent, in the order of the members, copied: it waits for the log.  Who is not named gets nothing; of two for one member the
 * last counts, as in a map. */
static void
keep_assignments(struct group_store *s, struct group *g, const struct group_sync *from)
{
	struct member *m;

	s->assignments = xcalloc(g->nmembers, sizeof(*s->assignments));
	TAILQ_FOREACH(m, &g->order, link) {
		m->index = s->nassignments;
		s->assignments[s->nassignments++] = (struct group_assignment){ owned_copy(m->id), SLICE_NULL };
	}
	for (uint32_t i = 0; i < from->nassignments; i++) {
		m = member_find(g, from->assignments[i].member_id);
		if (m != NULL) {
			owned_free(&s->assignments[m->index].assignment);
			s->assignments[m->index].assignment = owned_copy(from->assignments[i].assignment);
		}
	}
	for (uint32_t i = 0; i < s->nassignments; i++)
		if (s->assignments[i].assignment.p == NULL)
			s->assignments[i].assignment = owned_copy(SLICE_LIT(""));
}

/* What a member says is the group's: an empty name is one, no name is none. */
static bool
is_same(struct slice said, struct slice is)
{
	return (is.p != NULL && slice_cmp(said, is) == 0);
}

void
group_sync(struct group *g, struct group_sync *s)
{
	struct group_store *store;
	struct member *m;
	enum kerr e;

	e = g->state == GROUP_DEAD ? KERR_COORDINATOR_NOT_AVAILABLE : identify(g, s->member_id, s->instance_id, &m);
	if (e == KERR_NONE && s->generation != g->generation)
		e = KERR_ILLEGAL_GENERATION;
	if (e == KERR_NONE && ((s->protocol_type.p != NULL && !is_same(s->protocol_type, g->protocol_type)) ||
	    (s->protocol.p != NULL && !is_same(s->protocol, g->protocol))))
		e = KERR_INCONSISTENT_GROUP_PROTOCOL;
	if (e == KERR_NONE && g->state == GROUP_PREPARING)
		e = KERR_REBALANCE_IN_PROGRESS;
	if (e != KERR_NONE) {
		answer_sync(s, e, NULL);
		return;
	}
	sync_not_due(m);
	if (g->state == GROUP_STABLE) {
		answer_sync(s, KERR_NONE, m);
		alive(m);
		return;
	}
	member_answer_sync_error(m, KERR_REBALANCE_IN_PROGRESS);	/* asked before, on a connection it gave up */
	m->sync = s;
	if (m != g->leader || g->assigning != NULL)	/* of two records the later would be loaded, and the earlier handed out */
		return;
	g->assigning = store = store_new(STORE_ASSIGNMENT);
	keep_assignments(store, g, s);
	group_write(g, store);
}

static void
hand_out(struct group *g, struct group_store *s)
{
	struct member *m;
	uint32_t i = 0;

	/* Nobody came or went since: that would have begun another generation. */
	must(g->state == GROUP_COMPLETING && g->generation == s->generation && s->nassignments == g->nmembers);
	g->assigning = NULL;
	group_set_state(g, GROUP_STABLE, "the assignment is stored");
	TAILQ_FOREACH(m, &g->order, link)
		member_set_assignment(m, s->assignments[i++].assignment);
	TAILQ_FOREACH(m, &g->order, link)
		if (answer_waiting_sync(m, KERR_NONE))
			alive(m);
}

static void
assignment_stored(struct group *g, struct group_store *s, enum kerr e)
{
	if (g->assigning != s)
		return;		/* its generation is over */
	if (e == KERR_NONE) {
		hand_out(g, s);
		return;
	}
	drop_assignments(g, e);
	rebalance_prepare(g, "the assignment could not be stored");
}

static void
static_stored(struct group *g, struct group_store *s, enum kerr e)
{
	struct member *m = member_find(g, s->new_id);
	struct group_join *j;

	/* Gone or fenced by the next one: it has its answer.  A rebalance has begun: it has joined that. */
	if (m == NULL || m->join != s->join || g->state != GROUP_STABLE || g->generation != s->generation)
		return;
	j = take_join(m);
	if (e != KERR_NONE) {
		member_rename(m, s->old_id);
		m->session_timeout_ms = s->old_session_timeout_ms;
		m->rebalance_timeout_ms = s->old_rebalance_timeout_ms;
		alive(m);
		answer_not_back(j, e, g, s->old_leader);
		return;
	}
	alive(m);		/* its session may have ended while it waited */
	/* Before version 9 the old leader's id keeps the new one from assigning: a stable group would not hear it. */
	if (s->skip)
		answer_generation(j, m, g->leader->id, m == g->leader, m == g->leader);
	else
		answer_generation(j, m, s->old_leader, false, false);
}

void
group_stored(struct group_store *s, enum kerr e)
{
	struct group *g = s->group;

	switch (s->kind) {
	case STORE_EMPTY:
		if (e != KERR_NONE)
			diag_warning(g->host->diag, "group", "%s: that it is empty could not be stored (%s); after a restart its last members stand there "
			    "until their sessions time out", (const char *)g->id.p, kerr_name(e));
		break;
	case STORE_ASSIGNMENT:
		assignment_stored(g, s, e);
		break;
	case STORE_STATIC:
		static_stored(g, s, e);
		break;
	}
	for (uint32_t i = 0; i < s->nassignments; i++) {
		owned_free(&s->assignments[i].member_id);
		owned_free(&s->assignments[i].assignment);
	}
	free(s->assignments);
	owned_free(&s->old_id);
	owned_free(&s->new_id);
	owned_free(&s->old_leader);
	group_unref(&s->group);
	free(s);
}

/* ---- the small requests ---- */

enum kerr
group_heartbeat(struct group *g, struct slice member_id, struct slice instance_id, int32_t generation)
{
	struct member *m;
	enum kerr e;

	if (g->state == GROUP_DEAD)
		return (KERR_COORDINATOR_NOT_AVAILABLE);
	e = identify(g, member_id, instance_id, &m);
	if (e == KERR_NONE && generation != g->generation)
		e = KERR_ILLEGAL_GENERATION;
	if (e != KERR_NONE)
		return (e);
	alive(m);
	return (g->state == GROUP_PREPARING ? KERR_REBALANCE_IN_PROGRESS : KERR_NONE);
}

enum kerr
group_leave(struct group *g, struct slice member_id, struct slice instance_id, struct slice reason)
{
	struct pending_member *p;
	struct member *m;
	enum kerr e;

	if (g->state == GROUP_DEAD)
		return (KERR_COORDINATOR_NOT_AVAILABLE);
	if (member_id.len == 0) {
		m = instance_id.p == NULL ? NULL : member_find_static(g, instance_id);
		e = m == NULL ? KERR_UNKNOWN_MEMBER_ID : KERR_NONE;
	} else if ((p = pending_find(g, member_id)) != NULL) {
		pending_remove(p);
		maybe_complete_join(g);
		return (KERR_NONE);
	} else {
		e = identify(g, member_id, instance_id, &m);
	}
	if (e != KERR_NONE)
		return (e);
	diag_info(g->host->diag, "group", "%s: member %s leaves: %.*s", (const char *)g->id.p, (const char *)m->id.p,
	    reason.len == 0 ? 12 : (int)MIN(reason.len, 255), reason.len == 0 ? "not provided" : (const char *)reason.p);
	remove_and_update(m, "a member leaves");
	return (KERR_NONE);
}

enum kerr
group_may_commit(struct group *g, struct slice member_id, struct slice instance_id, int32_t generation, bool transactional)
{
	struct member *m = NULL;
	enum kerr e;

	if (g->state == GROUP_DEAD)
		return (KERR_COORDINATOR_NOT_AVAILABLE);
	if (generation < 0 && g->state == GROUP_EMPTY)
		return (KERR_NONE);		/* it keeps its offsets here and its members elsewhere; or an administrator */
	if (generation >= 0 || member_id.len > 0 || instance_id.p != NULL) {
		e = identify(g, member_id, instance_id, &m);
		if (e == KERR_NONE && generation != g->generation)
			e = KERR_ILLEGAL_GENERATION;
		if (e != KERR_NONE)
			return (e);
	} else if (!transactional && g->state != GROUP_EMPTY) {
		return (KERR_UNKNOWN_MEMBER_ID);
	}
	if (transactional || g->state == GROUP_EMPTY)
		return (KERR_NONE);
	if (g->state == GROUP_COMPLETING)
		return (KERR_REBALANCE_IN_PROGRESS);
	alive(m);
	return (KERR_NONE);
}
