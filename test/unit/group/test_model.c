/* SPDX-License-Identifier: Apache-2.0
 *
 * A group under random joins, syncs, heartbeats, commits, leaves, silences, failed and late writes, and crashes of its coordinator, on virtual time.
 *
 * A model beside it holds what must be true whatever happens:
 *	one generation	whoever is told a generation in one coordinator's life is told the same leader and protocol for it
 *	no way back	in one coordinator's life generations only grow; no member is handed an assignment of a generation older than one that a
 *			member was handed before, across crashes too
 *	one assignment	what a member is handed is what the leader of that generation sent for it, and it was in the log before; all members of a generation
 *			are handed shares of one SyncGroup of the leader (each has a nonce), and what a crash at any time loads has those
 *	old commits	a commit under another generation than the group's is refused
 *	answers		every join and sync is answered exactly once (also at a crash), and in the end without any crash
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/str.h"
#include "test/unit/group/bed.h"

enum { CLIENTS = 7, CONNECTIONS = 2 * CLIENTS, STEPS = 1000000 };

struct share {			/* what a member was handed */
	char	 member[128], text[128];
};

struct model {
	struct bed	 b;
	struct random_seeded random;
	struct client	 c[CONNECTIONS];	/* c[CLIENTS + i]: on which client i asks again, while the request on c[i] still waits */
	int32_t		 seen;			/* largest generation told in this life of the coordinator ... */
	char		 leader[128], protocol[32];	/* ... and what was told with it */
	int32_t		 handed;		/* largest generation of an assignment handed out, ever; its nonce, what its members were handed */
	unsigned	 nonce;			/* 0: only empty ones */
	struct share	 shares[64];
	unsigned	 nshares;
	unsigned	 joined, synced, again, crashes, failures, stables;
};

static uint32_t
below(struct model *m, uint32_t n)
{
	return (random_below(&m->random.random, n));
}

static void
note_join(struct model *m, const struct client *c)
{
	if (c->join_error != KERR_NONE)
		return;
	m->joined++;
	CHECK(c->generation >= m->seen);
	if (c->generation > m->seen) {
		m->seen = c->generation;
		str_copy(m->leader, sizeof(m->leader), c->leader);
		str_copy(m->protocol, sizeof(m->protocol), c->protocol);
	}
	CHECK_STR(c->protocol, m->protocol);
	/* A static member that came back under version 8 is told the old leader's id, or is the leader now. */
	if (c->instance[0] == '\0' && slice_eq_str(group_leader(m->b.group), m->leader))
		CHECK_STR(c->leader, m->leader);
}

static unsigned
nonce_of(const char *text)
{
	const char *p = strrchr(text, '#');

	return (p == NULL ? 0 : (unsigned)strtoul(p + 1, NULL, 10));
}

/* A crash now would load the generation with the shares that its members have, or a later one. */
static void
look_at_log(const struct model *m)
{
	const struct group_record *r = &m->b.last.r;

	if (m->handed == 0)
		return;
	REQUIRE(m->b.last.made && r->generation >= m->handed);
	for (uint32_t i = 0; r->generation == m->handed && i < r->nmembers; i++) {
		char text[128];

		(void)snprintf(text, sizeof(text), "%.*s", (int)r->members[i].assignment.len, (const char *)r->members[i].assignment.p);
		CHECK(text[0] == '\0' || m->nonce == 0 || nonce_of(text) == m->nonce);
		for (unsigned j = 0; j < m->nshares; j++)
			if (slice_eq_str(r->members[i].member_id, m->shares[j].member))
				CHECK_STR(text, m->shares[j].text);
	}
}

static void
note_share(struct model *m, const struct client *c)
{
	if (c->generation > m->handed) {
		m->handed = c->generation;
		m->nonce = m->nshares = 0;
	}
	if (c->assignment[0] != '\0') {
		if (m->nonce == 0)
			m->nonce = nonce_of(c->assignment);
		CHECK_EQ(nonce_of(c->assignment), m->nonce);
	}
	for (unsigned i = 0; i < m->nshares; i++)
		if (strcmp(m->shares[i].member, c->id) == 0) {
			CHECK_STR(c->assignment, m->shares[i].text);
			return;
		}
	if (m->nshares < NELEM(m->shares)) {
		str_copy(m->shares[m->nshares].member, sizeof(m->shares[0].member), c->id);
		str_copy(m->shares[m->nshares++].text, sizeof(m->shares[0].text), c->assignment);
	}
}

static void
note_sync(struct model *m, const struct client *c)
{
	char expected[128];

	if (c->sync_error != KERR_NONE)
		return;
	m->synced++;
	CHECK(c->generation >= m->handed);
	note_share(m, c);
	/* Empty: the leader did not know of it under this id (a static member that changed its id meanwhile).  A static member inherits what its
	 * predecessor was given, so only the generation must fit. */
	if (c->assignment[0] == '\0')
		return;
	if (c->instance[0] != '\0')
		(void)snprintf(expected, sizeof(expected), "%d-%s-", c->generation, c->instance);
	else
		(void)snprintf(expected, sizeof(expected), "%d-%.100s", c->generation, c->id);
	CHECK(strncmp(c->assignment, expected, strlen(expected)) == 0);
	CHECK(m->b.last.made && m->b.last.r.generation >= c->generation);
}

/* What came in since the last step. */
static void
listen(struct model *m, const unsigned *answers, const bool *joining, const bool *syncing)
{
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct client *c = &m->c[i];

		if (c->answers == answers[i])
			continue;
		if (joining[i] && !c->joining)
			note_join(m, c);
		if (syncing[i] && !c->syncing)
			note_sync(m, c);
	}
}

static void
forget(struct client *c)
{
	c->id[0] = '\0';
	c->generation = -1;
	c->leads = false;
	c->nmembers = 0;
}

/* It has lost the connection and asks on another one; the leader has computed anew. */
static void
sync_again(struct model *m, struct client *c)
{
	struct client *other = c + CLIENTS;
	unsigned answers = other->answers;

	if (other->syncing || (!c->leads && below(m, 4) != 0))
		return;
	m->again += c->leads;
	*other = *c;
	other->answers = answers;
	other->joining = other->syncing = false;
	client_sync(other);
}

static void
one_client(struct model *m, struct client *c)
{
	enum kerr e;

	switch (below(m, 12)) {
	case 0: case 1: case 2:
		if (c->joining)
			break;
		if (c->join_error == KERR_UNKNOWN_MEMBER_ID || c->join_error == KERR_FENCED_INSTANCE_ID)
			forget(c);
		if (below(m, 20) == 0)
			c->metadata[0] = below(m, 2) ? "meta" : "other";
		c->join_error = KERR_UNKNOWN_SERVER_ERROR;
		client_join(c);
		break;
	case 3: case 4: case 5: case 6:
		if (!c->syncing && !c->joining)
			client_sync(c);
		else if (c->syncing)
			sync_again(m, c);
		break;
	case 7: case 8: case 9:
		e = client_beat(c);
		if (e == KERR_NONE || e == KERR_REBALANCE_IN_PROGRESS)
			CHECK_EQ(c->generation, group_generation(m->b.group));
		break;
	case 10:
		e = client_commit(c);
		if (e == KERR_NONE && c->generation >= 0)
			CHECK_EQ(c->generation, group_generation(m->b.group));
		break;
	default:
		if (below(m, 8) == 0 && client_leave(c) == KERR_NONE && !c->joining)
			forget(c);
		else if (below(m, 40) == 0 && !c->joining && !c->syncing)
			forget(c);	/* its process is gone; the session tells */
	}
}

static void
crash(struct model *m)
{
	m->crashes++;
	if (m->b.nstores > 0 && below(m, 2))
		bed_logged(&m->b, below(m, m->b.nstores));
	bed_restart(&m->b);
	m->seen = group_generation(m->b.group);
	m->protocol[0] = m->leader[0] = '\0';
	m->seen--;		/* the loaded generation is told anew, with its own leader and protocol */
	look_at_log(m);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		CHECK(!m->c[i].joining && !m->c[i].syncing);
}

static void
step(struct model *m)
{
	unsigned answers[CONNECTIONS], before = group_state(m->b.group);
	bool joining[CONNECTIONS], syncing[CONNECTIONS];
	int32_t generation = group_generation(m->b.group);

	for (unsigned i = 0; i < CONNECTIONS; i++) {
		answers[i] = m->c[i].answers;
		joining[i] = m->c[i].joining;
		syncing[i] = m->c[i].syncing;
	}
	switch (below(m, 20)) {
	case 0:
		bed_later(&m->b, below(m, below(m, 10) == 0 ? 12000 : 300));
		break;
	case 1:
		m->b.holds = below(m, 2);
		m->b.store_error = below(m, 10) == 0 ? KERR_COORDINATOR_NOT_AVAILABLE : KERR_NONE;
		m->b.keeps_failed = below(m, 2);
		m->failures += m->b.store_error != KERR_NONE;
		break;
	case 2: case 3: case 4:
		if (m->b.nstores > 0)	/* the log answers in order */
			bed_store_done(&m->b, 0, below(m, 15) == 0 ? KERR_NOT_COORDINATOR : KERR_NONE);
		look_at_log(m);
		break;
	case 5:
		if (below(m, 200) == 0) {
			crash(m);
			return;
		}
		break;
	default:
		one_client(m, &m->c[below(m, CLIENTS)]);
	}
	group_check(m->b.group);
	CHECK(group_generation(m->b.group) >= generation);
	m->stables += group_state(m->b.group) == GROUP_STABLE && before != GROUP_STABLE;
	listen(m, answers, joining, syncing);
}

TEST(a_million_random_steps_break_no_promise)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t seed = unit_seed();
	unsigned i;

	REQUIRE(m != NULL);
	bed_init(&m->b, seed);
	random_seeded_init(&m->random, seed ^ 0x5eed);
	for (i = 0; i < CLIENTS; i++) {
		client_init(&m->c[i], &m->b, "c");
		m->c[i].id_required = i % 2;
		m->c[i].may_skip = i % 3 == 0;
		m->c[i].rebalance_ms = 2000 + 1000 * (int32_t)i;
		m->c[i].session_ms = 3000 + 500 * (int32_t)i;
		m->c[i].protocols[1] = i % 4 == 0 ? "sticky" : NULL;
		m->c[i].metadata[1] = "s";
		if (i >= CLIENTS - 2)
			(void)snprintf(m->c[i].instance, sizeof(m->c[i].instance), "inst%u", i);
	}
	for (i = 0; i < STEPS; i++)
		step(m);
	/* Left alone, everybody gets an answer. */
	m->b.holds = false;
	m->b.store_error = KERR_NONE;
	while (m->b.nstores > 0)
		bed_store_done(&m->b, 0, KERR_NONE);
	bed_later(&m->b, 400000);
	for (i = 0; i < CONNECTIONS; i++)
		CHECK(!m->c[i].joining && !m->c[i].syncing);
	/* The test has seen what it is there to see. */
	CHECK(m->joined > 10000 && m->synced > 5000 && m->again > 100 && m->crashes > 50 && m->failures > 100 && m->stables > 1000);
	bed_fini(&m->b);
	free(m);
}

UNIT_MAIN("group/model", T(a_million_random_steps_break_no_promise))
