/* SPDX-License-Identifier: Apache-2.0
 *
 * Controller election: one controller, its epoch, and no doubt about a lost acknowledgement.
 */
#include "test/unit/zk/zk_test.h"
#include "zk/election.h"

struct seen {
	unsigned elected, lost, observed, stopped;
	int32_t	 epoch, version, controller;
	bool	 in_office;
};

static void
on_elected(void *ctx, int32_t epoch, int32_t version)
{
	struct seen *s = ctx;

	CHECK(!s->in_office);
	s->in_office = true;
	s->elected++;
	s->epoch = epoch;
	s->version = version;
}

static void
on_lost(void *ctx, const char *why)
{
	struct seen *s = ctx;

	CHECK(s->in_office);
	CHECK(why[0] != '\0');
	s->in_office = false;
	s->lost++;
}

static void
on_observed(void *ctx, int32_t id)
{
	struct seen *s = ctx;

	CHECK(id != s->controller);
	s->controller = id;
	s->observed++;
}

static void
on_stopped(void *ctx, enum err e, const struct errbuf *why)
{
	(void)why;
	CHECK_EQ(e, OK);
	((struct seen *)ctx)->stopped++;
}

static const struct zk_election_callbacks callbacks = { on_elected, on_lost, on_observed };

static struct zk_election *
candidate(struct world *w, struct zk *zk, int32_t id, struct seen *s)
{
	struct zk_election *e = zk_election_new(zk, id, &w->clock.clock, NULL, &callbacks, s);

	*s = (struct seen){ .controller = -1 };
	zk_election_start(e);
	return (e);
}

static void
check_office(struct world *w, const struct seen *s, int32_t id, struct zk *zk)
{
	struct kept controller = act(w, w->other, ZK_GET(ZK_CONTROLLER, NULL)), epoch = act(w, w->other, ZK_GET(ZK_CONTROLLER_EPOCH, NULL));
	char text[32];

	CHECK(s->in_office);
	CHECK_EQ(s->controller, id);
	CHECK_EQ(controller.error, ZKE_OK);
	CHECK_EQ(controller.stat.ephemeral_owner, zk_session_id(zk));
	snprintf(text, sizeof(text), "\"brokerid\":%" PRId32, id);
	CHECK(strstr(controller.data, text) != NULL);
	snprintf(text, sizeof(text), "%" PRId32, s->epoch);
	CHECK_STR(epoch.data, text);
	CHECK_EQ(epoch.stat.version, s->version);
}

static bool
elected_under(enum zk_fault fault, uint64_t n)
{
	struct zk_election *e;
	struct world w;
	struct seen s;
	bool reached;

	world_open(&w);
	zk_fake_fault(w.zk, fault, n);
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 3);
	reached = !zk_fake_faults_pending(w.zk);
	check_office(&w, &s, 1, w.zk);
	CHECK(s.elected >= 1 && s.elected == s.lost + 1);
	zk_election_free(&e);
	world_close(&w);
	return (reached);
}

TEST(a_lone_candidate_is_elected_under_any_fault)
{
	at_every_operation(elected_under);
}

/* A lost acknowledgement of the winning transaction does not cost a second epoch. */
TEST(a_lost_acknowledgement_is_recognised)
{
	struct zk_election *e;
	struct world w;
	struct seen s;

	world_open(&w);
	act(&w, w.other, ZK_CREATE(ZK_CONTROLLER_EPOCH, SLICE_LIT("41")));
	zk_fake_fault(w.zk, ZK_FAULT_LOSS_AFTER, 4);	/* get, exists, get epoch, multi */
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 3);
	CHECK(!zk_fake_faults_pending(w.zk));
	CHECK_EQ(s.elected, 1);
	CHECK_EQ(s.lost, 0);
	CHECK_EQ(s.epoch, 42);
	CHECK_EQ(s.version, 1);
	check_office(&w, &s, 1, w.zk);
	zk_election_free(&e);
	world_close(&w);
}

TEST(one_of_two_is_elected_and_the_other_follows_when_it_goes)
{
	struct zk_election *a, *b;
	struct seen sa, sb;
	struct world w;

	world_open(&w);
	a = candidate(&w, w.zk, 1, &sa);
	b = candidate(&w, w.other, 2, &sb);
	world_run(&w, 2);
	CHECK_EQ(sa.in_office + sb.in_office, 1);
	CHECK_EQ(sa.controller, sb.controller);
	zk_fake_expire(sa.in_office ? w.zk : w.other);
	world_run(&w, 2);
	CHECK_EQ(sa.in_office + sb.in_office, 1);
	CHECK_EQ(sa.controller, sb.controller);
	CHECK_EQ(MAX(sa.epoch, sb.epoch), 2);
	zk_election_free(&a);
	zk_election_free(&b);
	world_close(&w);
}

TEST(expiry_ends_the_office_before_the_next_session_begins)
{
	struct zk_election *e;
	struct world w;
	struct seen s;

	world_open(&w);
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 2);
	CHECK_EQ(s.elected, 1);
	zk_fake_disconnect(w.zk);
	zk_fake_expire(w.zk);
	zk_fake_settle(w.loop);
	CHECK(s.in_office);		/* nobody can know yet */
	zk_fake_reconnect(w.zk);
	world_run(&w, 2);
	CHECK_EQ(s.lost, 1);
	CHECK_EQ(s.elected, 2);
	CHECK_EQ(s.epoch, 2);
	zk_election_free(&e);
	world_close(&w);
}

TEST(a_controller_that_is_replaced_learns_it_and_its_fence_fails)
{
	struct zk_election *e;
	struct kept k = { .answered = false };
	struct world w;
	struct seen s;

	world_open(&w);
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 2);
	CHECK_EQ(s.version, 1);
	act(&w, w.other, ZK_SET(ZK_CONTROLLER_EPOCH, SLICE_LIT("7"), ZK_ANY_VERSION));
	zk_fenced(w.zk, s.version, &ZK_CREATE("/x", SLICE_NULL), keep, &k);
	world_run(&w, 2);
	CHECK_EQ(k.error, ZKE_FENCED);
	act(&w, w.other, ZK_DELETE(ZK_CONTROLLER, ZK_ANY_VERSION));
	world_run(&w, 2);
	CHECK_EQ(s.epoch, 8);
	CHECK_EQ(s.lost, 1);
	CHECK_EQ(s.elected, 2);		/* nobody else took it */
	check_office(&w, &s, 1, w.zk);
	zk_election_free(&e);
	world_close(&w);
}

TEST(yielding_resigns_and_stands_again)
{
	struct zk_election *e;
	struct world w;
	struct seen s;

	world_open(&w);
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 2);
	zk_election_yield(e);
	world_run(&w, 2);
	CHECK_EQ(s.lost, 1);
	CHECK_EQ(s.elected, 2);
	check_office(&w, &s, 1, w.zk);
	zk_election_free(&e);
	world_close(&w);
}

static bool
stopped_under(enum zk_fault fault, uint64_t n)
{
	struct zk_election *e;
	struct world w;
	struct seen s;
	bool reached;

	world_open(&w);
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 2);
	zk_fake_fault(w.zk, fault, n);
	zk_election_stop(e, on_stopped, &s);
	world_run(&w, 2);
	reached = !zk_fake_faults_pending(w.zk);
	CHECK_EQ(s.stopped, 1);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS(ZK_CONTROLLER, NULL)).error, ZKE_NO_NODE);
	zk_election_free(&e);
	world_close(&w);
	return (reached);
}

TEST(stopping_resigns_under_any_fault)
{
	at_every_operation(stopped_under);
}

TEST(an_election_stopped_or_freed_in_the_middle_leaves_nothing_behind)
{
	struct zk_election *e;
	unsigned turns;
	struct world w;
	struct seen s;

	for (turns = 0; turns < 16; turns++) {
		world_open(&w);
		e = candidate(&w, w.zk, 1, &s);
		for (unsigned i = 0; i < turns; i++)
			loop_turn(w.loop, 0);
		if (turns % 2 == 0) {
			zk_election_stop(e, on_stopped, &s);
			world_run(&w, 2);
			CHECK_EQ(s.stopped, 1);
			CHECK_EQ(act(&w, w.other, ZK_EXISTS(ZK_CONTROLLER, NULL)).error, ZKE_NO_NODE);
		}
		zk_election_free(&e);
		world_run(&w, 2);
		world_close(&w);
	}
}

TEST(an_unreadable_controller_node_is_no_controller_and_no_crash)
{
	struct zk_election *e;
	struct world w;
	struct seen s;

	world_open(&w);
	act(&w, w.other, ZK_CREATE(ZK_CONTROLLER, SLICE_LIT("{\"brokerid\":\"x\"}")));
	e = candidate(&w, w.zk, 1, &s);
	world_run(&w, 2);
	CHECK_EQ(s.elected, 0);
	act(&w, w.other, ZK_DELETE(ZK_CONTROLLER, ZK_ANY_VERSION));
	world_run(&w, 2);
	CHECK_EQ(s.elected, 1);
	zk_election_free(&e);
	world_close(&w);
}

UNIT_MAIN("zk/election", T(a_lone_candidate_is_elected_under_any_fault), T(a_lost_acknowledgement_is_recognised),
    T(one_of_two_is_elected_and_the_other_follows_when_it_goes), T(expiry_ends_the_office_before_the_next_session_begins),
    T(a_controller_that_is_replaced_learns_it_and_its_fence_fails), T(yielding_resigns_and_stands_again),
    T(stopping_resigns_under_any_fault), T(an_election_stopped_or_freed_in_the_middle_leaves_nothing_behind),
    T(an_unreadable_controller_node_is_no_controller_and_no_crash))
