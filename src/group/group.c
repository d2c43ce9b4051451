/* SPDX-License-Identifier: Apache-2.0
 *
 * group/group.c - see group.h for the interface, rebalance.c for what moves a group.
 *
 * INVARIANTS
 *   (1) A group has a leader exactly when it has members; the leader is one of them.
 *   (2) EMPTY and DEAD (by deletion) have no members.  Only a DEAD group (unloaded) may have members that nobody will ask about again.
 *   (3) nwaiting counts the members with a join waiting; nsync_due those whose sync is due.
 *   (4) COMPLETING and STABLE: every member supports the chosen protocol.  PREPARING: `protocol` is that of the last generation.
 *   (5) supported[p].members = the members that name p; a name that nobody names has no entry.
 *   (6) A sync waits only in COMPLETING.  A join waits in PREPARING, or in STABLE for the record of a static member that came back.
 *   (7) The generation never goes back.
 *   (8) An id is a member's or pending, never both.
 *   (9) A generation has one record of an assignment on its way at most, and only while it is COMPLETING: what is handed out is the last of its log.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/must.h"
#include "group/group_int.h"

/* ---- states ---- */

const char *
group_state_name(enum group_state s)
{
	static const char *const names[] = {
#define GROUP_STATE(name, words) words,
#define GROUP_MOVE(from, to, cause)
#include "group/states.def"
#undef GROUP_STATE
#undef GROUP_MOVE
	};

	must((unsigned)s < NELEM(names));
	return (names[s]);
}

bool
group_state_may_follow(enum group_state from, enum group_state to)
{
#define GROUP_STATE(name, words)
#define GROUP_MOVE(a, b, cause) \
	if (from == GROUP_##a && to == GROUP_##b) \
		return (true);
#include "group/states.def"
#undef GROUP_STATE
#undef GROUP_MOVE
	return (false);
}

void
group_set_state(struct group *g, enum group_state to, const char *cause)
{
	must(group_state_may_follow(g->state, to));
	diag_debug(g->host->diag, "group", "%s: %s -> %s (%s)", (const char *)g->id.p, group_state_name(g->state), group_state_name(to), cause);
	g->state = to;
	g->state_timestamp_ms = clock_wall_ms(loop_clock(g->host->loop));
}

struct slice
owned_copy(struct slice s)
{
	return (s.p == NULL ? SLICE_NULL : slice_of(xslicedup(s), s.len));
}

void
owned_free(struct slice *s)
{
	free((void *)(uintptr_t)s->p);
	*s = SLICE_NULL;
}

/* ---- life ---- */

void
group_gain(struct group *g, size_t n)
{
	g->bytes += n;
	g->host->bytes += n;
}

void
group_lose(struct group *g, size_t n)
{
	must(n <= g->bytes && g->bytes <= g->host->bytes);
	g->bytes -= n;
	g->host->bytes -= n;
}

bool
group_has_room(const struct group_host *h, size_t more)
{
	return (h->bytes_max == 0 || (h->bytes <= h->bytes_max && more <= h->bytes_max - h->bytes));
}

struct group *
group_new(struct group_host *host, struct slice id)
{
	struct group *g = xcalloc(1, sizeof(*g));

	g->host = host;
	g->refs = 1;
	g->id = owned_copy(id);
	group_gain(g, sizeof(*g) + id.len);
	g->state = GROUP_EMPTY;
	g->state_timestamp_ms = clock_wall_ms(loop_clock(host->loop));
	TAILQ_INIT(&g->order);
	rebalance_init(g);
	return (g);
}

struct group *
group_load(struct group_host *host, struct slice id, const struct group_record *r)
{
	struct group *g = group_new(host, id);
	struct member *m;

	g->generation = r->generation;
	g->protocol_type = owned_copy(r->protocol_type.len == 0 ? SLICE_NULL : r->protocol_type);
	g->protocol = owned_copy(r->protocol);
	for (uint32_t i = 0; i < r->nmembers; i++) {
		const struct group_record_member *from = &r->members[i];
		struct group_protocol only = { r->protocol, from->subscription };

		if (r->protocol.p == NULL || member_find(g, from->member_id) != NULL || (from->instance_id.p != NULL && member_find_static(g, from->instance_id) != NULL)) {
			group_unref(&g);
			return (NULL);
		}
		m = member_add(g, from->member_id, from->instance_id, from->client_id, from->client_host);
		m->session_timeout_ms = from->session_timeout_ms;
		m->rebalance_timeout_ms = from->rebalance_timeout_ms;
		member_set_protocols(m, &only, 1);
		member_set_assignment(m, from->assignment);
	}
	m = r->leader.p == NULL ? NULL : member_find(g, r->leader);
	if (m != NULL)
		g->leader = m;
	g->state = g->nmembers > 0 ? GROUP_STABLE : GROUP_EMPTY;
	g->state_timestamp_ms = r->state_timestamp_ms;
	subscriptions_compute(g);
	return (g);
}

void
group_loaded(struct group *g)
{
	struct member *m;

	must(g->state == GROUP_STABLE || g->state == GROUP_EMPTY);
	if (g->nmembers > (uint32_t)MAX(g->host->size_max, 0))
		rebalance_prepare(g, "it is larger than group.max.size");
	TAILQ_FOREACH(m, &g->order, link)
		member_arm(m, m->session_timeout_ms);
}

struct group *
group_ref(struct group *g)
{
	g->refs++;
	return (g);
}

void
group_unref(struct group **gp)
{
	struct group *g = *gp;
	struct member *m;
	struct pending_member *p, *next;

	*gp = NULL;
	if (g == NULL || --g->refs > 0)
		return;
	while ((m = TAILQ_FIRST(&g->order)) != NULL) {
		must(m->join == NULL && m->sync == NULL);
		member_remove(m);
	}
	HASH_ITER(hh, g->pending, p, next)
		pending_remove(p);
	must(g->supported == NULL);
	timer_cancel(g->host->loop, &g->join_timer);
	timer_cancel(g->host->loop, &g->sync_timer);
	subscriptions_forget(g);
	owned_free(&g->protocol_type);
	owned_free(&g->protocol);
	group_lose(g, g->bytes);
	owned_free(&g->id);
	free(g);
}

void
group_unload(struct group *g)
{
	struct pending_member *p, *next;
	struct member *m;

	if (g->state != GROUP_DEAD)
		group_set_state(g, GROUP_DEAD, "coordinated elsewhere");
	timer_cancel(g->host->loop, &g->join_timer);
	sync_cleared(g);
	g->assigning = NULL;
	TAILQ_FOREACH(m, &g->order, link) {
		timer_cancel(g->host->loop, &m->session);
		member_answer_join_error(m, KERR_NOT_COORDINATOR);
		member_answer_sync_error(m, KERR_NOT_COORDINATOR);
	}
	HASH_ITER(hh, g->pending, p, next)
		pending_remove(p);
}

enum kerr
group_delete(struct group *g)
{
	struct pending_member *p, *next;

	if (g->state != GROUP_EMPTY)
		return (KERR_NON_EMPTY_GROUP);
	group_set_state(g, GROUP_DEAD, "deleted");
	HASH_ITER(hh, g->pending, p, next)
		pending_remove(p);
	return (KERR_NONE);
}

/* ---- protocols and how many support them ---- */

static struct supported *
supported_find(const struct group *g, const void *name, size_t len, unsigned *hashp)
{
	struct supported *s;

	*hashp = (unsigned)hash_bytes(g->host->seed, name, len);
	HASH_FIND_BYHASHVALUE(hh, g->supported, name, (unsigned)len, *hashp, s);
	return (s);
}

uint32_t
supported_by(const struct group *g, struct slice protocol)
{
	unsigned hash;
	struct supported *s = supported_find(g, protocol.p, protocol.len, &hash);

	return (s == NULL ? 0 : s->members);
}

/* The first choice of each member among what all support; the most votes win, of equals what the earliest member likes. */
struct slice
protocol_vote(struct group *g)
{
	struct slice best = SLICE_NULL;
	const struct member *m;
	struct supported *s, *next;
	uint32_t most = 0;
	unsigned hash;

	HASH_ITER(hh, g->supported, s, next)
		s->votes = 0;
	for (int pass = 0; pass < 2; pass++)
		TAILQ_FOREACH(m, &g->order, link)
			for (uint32_t i = 0; i < m->nprotocols; i++) {
				s = supported_find(g, m->protocols[i].name.p, m->protocols[i].name.len, &hash);
				must(s != NULL);
				if (s->members < g->nmembers)
					continue;
				if (pass == 0) {
					s->votes++;
				} else if (s->votes > most) {
					most = s->votes;
					best = m->protocols[i].name;
				}
				break;
			}
	must(best.p != NULL);	/* joins that share nothing with the others are refused */
	return (best);
}

/* A name that the member gives twice counts once: it has the pass's mark then. */
static void
supported_count(struct group *g, struct slice name, int by)
{
	unsigned hash;
	struct supported *s = supported_find(g, name.p, name.len, &hash);

	if (s != NULL && s->mark == g->marks)
		return;
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s) + name.len + 1);
		s->name_len = name.len;
		if (name.len > 0)
			memcpy(s->name, name.p, name.len);
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->supported, s->name, (unsigned)name.len, hash, s);
	}
	s->mark = g->marks;
	s->members += (uint32_t)by;
}

static void
supported_sweep(struct group *g, struct slice name)
{
	unsigned hash;
	struct supported *s = supported_find(g, name.p, name.len, &hash);

	if (s != NULL && s->members == 0) {
		HASH_DELETE(hh, g->supported, s);
		free(s);
	}
}

static void
protocols_drop(struct member *m)
{
	m->group->marks++;
	for (uint32_t i = 0; i < m->nprotocols; i++)
		supported_count(m->group, m->protocols[i].name, -1);
	for (uint32_t i = 0; i < m->nprotocols; i++)
		supported_sweep(m->group, m->protocols[i].name);
	free(m->protocols);
	free(m->protocol_bytes);
	m->protocols = NULL;
	m->protocol_bytes = NULL;
	m->nprotocols = 0;
}

/* ---- members ---- */

static unsigned
hash_of(const struct group *g, struct slice key)
{
	return ((unsigned)hash_bytes(g->host->seed, key.p, key.len));
}

struct member *
member_find(const struct group *g, struct slice id)
{
	struct member *m;

	HASH_FIND_BYHASHVALUE(hh, g->members, id.p, (unsigned)id.len, hash_of(g, id), m);
	return (m);
}

struct member *
member_find_static(const struct group *g, struct slice instance_id)
{
	struct member *m;

	HASH_FIND_BYHASHVALUE(hh_static, g->statics, instance_id.p, (unsigned)instance_id.len, hash_of(g, instance_id), m);
	return (m);
}

static void
weigh(struct member *m, size_t *of, size_t now)
{
	group_gain(m->group, now);
	group_lose(m->group, *of);
	*of = now;
}

struct member *
member_add(struct group *g, struct slice id, struct slice instance_id, struct slice client_id, struct slice client_host)
{
	struct member *m = xcalloc(1, sizeof(*m));
	struct pending_member *p = pending_find(g, id);

	if (p != NULL)
		pending_remove(p);
	m->group = g;
	m->id = owned_copy(id);
	m->instance_id = owned_copy(instance_id);
	m->client_id = owned_copy(client_id);
	m->client_host = owned_copy(client_host);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->members, m->id.p, (unsigned)m->id.len, hash_of(g, m->id), m);
	if (m->instance_id.p != NULL)
		HASH_ADD_KEYPTR_BYHASHVALUE(hh_static, g->statics, m->instance_id.p, (unsigned)m->instance_id.len, hash_of(g, m->instance_id), m);
	TAILQ_INSERT_TAIL(&g->order, m, link);
	g->nmembers++;
	group_gain(g, sizeof(*m) + id.len + instance_id.len + client_id.len + client_host.len);
	if (g->leader == NULL)
		g->leader = m;
	return (m);
}

void
member_remove(struct member *m)
{
	struct group *g = m->group;

	must(m->sync == NULL && m->join == NULL);
	protocols_drop(m);
	timer_cancel(g->host->loop, &m->session);
	HASH_DELETE(hh, g->members, m);
	if (m->instance_id.p != NULL)
		HASH_DELETE(hh_static, g->statics, m);
	TAILQ_REMOVE(&g->order, m, link);
	g->nmembers--;
	if (m->sync_due)
		g->nsync_due--;
	if (g->leader == m)
		g->leader = TAILQ_FIRST(&g->order);
	group_lose(g, sizeof(*m) + m->id.len + m->instance_id.len + m->client_id.len + m->client_host.len + m->bytes + m->assignment_len);
	owned_free(&m->id);
	owned_free(&m->instance_id);
	owned_free(&m->client_id);
	owned_free(&m->client_host);
	free(m->assignment);
	free(m);
}

/* A static member that came back under a new id. */
void
member_rename(struct member *m, struct slice id)
{
	struct group *g = m->group;

	HASH_DELETE(hh, g->members, m);
	group_gain(g, id.len);
	group_lose(g, m->id.len);
	owned_free(&m->id);
	m->id = owned_copy(id);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->members, m->id.p, (unsigned)m->id.len, hash_of(g, m->id), m);
}

void
member_set_protocols(struct member *m, const struct group_protocol *from, uint32_t n)
{
	size_t size = 0;
	uint8_t *p;

	protocols_drop(m);
	for (uint32_t i = 0; i < n; i++)
		size += from[i].name.len + from[i].metadata.len;
	m->protocols = xcalloc(MAX(n, 1), sizeof(*m->protocols));
	m->protocol_bytes = p = xmalloc(MAX(size, 1));
	m->nprotocols = n;
	for (uint32_t i = 0; i < n; i++) {
		m->protocols[i] = (struct member_protocol){ slice_of(p, from[i].name.len), slice_of(p + from[i].name.len, from[i].metadata.len) };
		if (from[i].name.len > 0)
			memcpy(p, from[i].name.p, from[i].name.len);
		if (from[i].metadata.len > 0)
			memcpy(p + from[i].name.len, from[i].metadata.p, from[i].metadata.len);
		p += from[i].name.len + from[i].metadata.len;
	}
	m->group->marks++;
	for (uint32_t i = 0; i < n; i++)
		supported_count(m->group, m->protocols[i].name, 1);
	weigh(m, &m->bytes, size + n * sizeof(*m->protocols));
}

bool
member_protocols_equal(const struct member *m, const struct group_protocol *with, uint32_t n)
{
	if (n != m->nprotocols)
		return (false);
	for (uint32_t i = 0; i < n; i++)
		if (slice_cmp(m->protocols[i].name, with[i].name) != 0 || slice_cmp(m->protocols[i].metadata, with[i].metadata) != 0)
			return (false);
	return (true);
}

struct slice
member_metadata(const struct member *m, struct slice protocol)
{
	for (uint32_t i = 0; protocol.p != NULL && i < m->nprotocols; i++)
		if (slice_cmp(m->protocols[i].name, protocol) == 0)
			return (m->protocols[i].metadata);
	return (SLICE_LIT(""));
}

void
member_set_assignment(struct member *m, struct slice assignment)
{
	uint8_t *copy = NULL;

	if (assignment.len > 0) {
		copy = xmalloc(assignment.len);
		memcpy(copy, assignment.p, assignment.len);
	}
	free(m->assignment);
	m->assignment = copy;
	weigh(m, &m->assignment_len, assignment.len);
}

/* ---- ids given out, not joined with yet ---- */

struct pending_member *
pending_find(const struct group *g, struct slice id)
{
	struct pending_member *p;

	HASH_FIND_BYHASHVALUE(hh, g->pending, id.p, (unsigned)id.len, hash_of(g, id), p);
	return (p);
}

void
pending_add(struct group *g, struct slice id, int64_t timeout_ms, void (*expired)(struct timer *))
{
	struct pending_member *p = xcalloc(1, sizeof(*p) + id.len + 1);

	p->group = g;
	p->id_len = id.len;
	memcpy(p->id, id.p, id.len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->pending, p->id, (unsigned)p->id_len, hash_of(g, slice_of(p->id, p->id_len)), p);
	group_gain(g, sizeof(*p) + id.len);
	timer_init(&p->session, expired);
	timer_set(g->host->loop, &p->session, timeout_ms);
}

void
pending_remove(struct pending_member *p)
{
	struct group *g = p->group;

	HASH_DELETE(hh, g->pending, p);
	group_lose(g, sizeof(*p) + p->id_len);
	timer_cancel(g->host->loop, &p->session);
	free(p);
}

/* ---- the record ---- */

static struct slice
assignment_of(const struct member *m)
{
	return (m->assignment == NULL ? SLICE_LIT("") : slice_of(m->assignment, m->assignment_len));
}

void
group_write(struct group *g, struct group_store *s)
{
	struct group_record_member *rows = xcalloc(MAX(g->nmembers, 1), sizeof(*rows));
	struct group_record r = { .protocol_type = g->protocol_type.p == NULL ? SLICE_LIT("") : g->protocol_type, .protocol = g->protocol,
		.leader = group_leader(g), .generation = g->generation, .state_timestamp_ms = g->state_timestamp_ms, .members = rows };
	struct member *m;

	s->group = group_ref(g);
	s->generation = g->generation;
	TAILQ_FOREACH(m, &g->order, link) {
		rows[r.nmembers] = (struct group_record_member){
			.member_id = m->id,
			.instance_id = m->instance_id,
			.client_id = m->client_id,
			.client_host = m->client_host,
			.rebalance_timeout_ms = m->rebalance_timeout_ms,
			.session_timeout_ms = m->session_timeout_ms,
			.subscription = member_metadata(m, g->protocol),
			.assignment = s->kind == STORE_ASSIGNMENT ? s->assignments[r.nmembers].assignment : assignment_of(m),
		};
		r.nmembers++;
	}
	g->host->store(g->host, g, &r, s);
	free(rows);
}

/* ---- questions ---- */

struct slice
group_id(const struct group *g)
{
	return (g->id);
}

enum group_state
group_state(const struct group *g)
{
	return (g->state);
}

int32_t
group_generation(const struct group *g)
{
	return (g->generation);
}

int64_t
group_state_timestamp_ms(const struct group *g)
{
	return (g->state_timestamp_ms);
}

struct slice
group_protocol_type(const struct group *g)
{
	return (g->protocol_type);
}

struct slice
group_protocol_name(const struct group *g)
{
	return (g->protocol);
}

struct slice
group_leader(const struct group *g)
{
	return (g->leader == NULL ? SLICE_NULL : g->leader->id);
}

uint32_t
group_size(const struct group *g)
{
	return (g->nmembers);
}

bool
group_is_idle(const struct group *g)
{
	return (g->state == GROUP_EMPTY && g->pending == NULL);
}

size_t
group_member_bytes(const struct group *g, struct slice member_id)
{
	const struct member *m = member_find(g, member_id);

	return (m == NULL ? 0 : m->bytes + m->instance_id.len + m->client_id.len);
}

size_t
group_assignment_bytes(const struct group *g)
{
	const struct member *m;
	size_t n = 0;

	TAILQ_FOREACH(m, &g->order, link)
		n += m->assignment_len;
	return (n);
}

uint64_t
group_bytes(const struct group *g)
{
	return (g->bytes);
}

void
group_each_member(const struct group *g, void (*fn)(void *, const struct group_member_view *), void *ctx)
{
	const struct member *m;

	TAILQ_FOREACH(m, &g->order, link) {
		struct group_member_view v = { .member_id = m->id, .instance_id = m->instance_id,
			.client_id = m->client_id, .client_host = m->client_host,
			.metadata = SLICE_LIT(""), .assignment = SLICE_LIT("") };

		if (g->state == GROUP_STABLE) {
			v.metadata = member_metadata(m, g->protocol);
			v.assignment = assignment_of(m);
		}
		fn(ctx, &v);
	}
}

/* ---- the invariants ---- */

void
group_check(const struct group *g)
{
	const struct member *m;
	const struct supported *s, *next;
	uint32_t members = 0, waiting = 0, due = 0, statics = 0;

	TAILQ_FOREACH(m, &g->order, link) {
		members++;
		waiting += m->join != NULL;
		due += m->sync_due;
		statics += m->instance_id.p != NULL;
		must(member_find(g, m->id) == m);
		must(m->instance_id.p == NULL || member_find_static(g, m->instance_id) == m);
		must(pending_find(g, m->id) == NULL);				/* (8) */
		must(m->sync == NULL || g->state == GROUP_COMPLETING);					/* (6) */
		must(m->join == NULL || g->state == GROUP_PREPARING || (g->state == GROUP_STABLE && m->instance_id.p != NULL));
		if (g->state == GROUP_COMPLETING || g->state == GROUP_STABLE)				/* (4) */
			must(g->protocol.p != NULL && supported_by(g, g->protocol) == g->nmembers);
	}
	must(members == g->nmembers && members == HASH_COUNT(g->members));
	must(statics == HASH_CNT(hh_static, g->statics));
	must(waiting == g->nwaiting && due == g->nsync_due);						/* (3) */
	must((g->leader != NULL) == (members > 0));							/* (1) */
	must(g->leader == NULL || member_find(g, g->leader->id) == g->leader);
	must(g->state != GROUP_EMPTY || members == 0);							/* (2) */
	must(g->assigning == NULL || (g->state == GROUP_COMPLETING && g->assigning->generation == g->generation));	/* (9) */
	HASH_ITER(hh, g->supported, s, next)								/* (5) */
		must(s->members > 0 && s->members <= members);
}
