/* SPDX-License-Identifier: Apache-2.0
 *
 * What the members of a group see, case by case; expected answers are Kafka 3.9's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "group/tables.h"
#include "test/unit/group/bed.h"

/* n dynamic members in a stable group, the first one leading. */
static void
stable(struct bed *b, struct client *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "c%u", i);
		if (c[i].client_id[0] == '\0')
			client_init(&c[i], b, name);
		client_join(&c[i]);
	}
	for (int i = 0; i < 100 && c[0].joining; i++)
		bed_later(b, 100);	/* the initial delay, prolonged or not */
	for (unsigned i = n; i > 0; i--)
		client_sync(&c[i - 1]);
	must(group_state(b->group) == GROUP_STABLE);
	group_check(b->group);
}

/* Everybody joins again, as clients do that are told of a rebalance, and syncs. */
static void
rejoin(struct client *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!c[i].joining)
			client_join(&c[i]);
	for (unsigned i = 0; i < n; i++)
		if (c[i].join_error == KERR_NONE)
			client_sync(&c[i]);
}

TEST(a_new_member_is_given_an_id_and_joins_with_it)
{
	struct bed b;
	struct client c;

	bed_init(&b, unit_seed());
	client_init(&c, &b, "app");
	c.id_required = true;
	client_join(&c);
	CHECK_EQ(c.join_error, KERR_MEMBER_ID_REQUIRED);
	CHECK(strncmp(c.id, "app-", 4) == 0 && strlen(c.id) == 4 + 36);
	CHECK(!group_is_idle(b.group));
	client_join(&c);
	CHECK(c.joining);
	bed_later(&b, 2999);
	CHECK(c.joining);			/* group.initial.rebalance.delay.ms */
	bed_later(&b, 1);
	CHECK_EQ(c.join_error, KERR_NONE);
	CHECK_EQ(c.generation, 1);
	CHECK_STR(c.protocol, "range");
	CHECK_STR(c.type, "consumer");
	CHECK(c.leads);
	CHECK_EQ(c.nmembers, 1);
	CHECK_STR(c.member_metadata[0], "meta");
	CHECK_EQ(group_state(b.group), GROUP_COMPLETING);
	CHECK_EQ(client_beat(&c), KERR_NONE);
	CHECK_EQ(client_commit(&c), KERR_REBALANCE_IN_PROGRESS);
	client_sync(&c);
	CHECK_EQ(c.sync_error, KERR_NONE);
	CHECK(strncmp(c.assignment, "1-app-", 6) == 0);
	CHECK_EQ(group_state(b.group), GROUP_STABLE);
	CHECK_EQ(client_beat(&c), KERR_NONE);
	CHECK_EQ(client_commit(&c), KERR_NONE);
	bed_fini(&b);
}

TEST(an_id_nobody_joins_with_is_forgotten)
{
	struct bed b;
	struct client c;

	bed_init(&b, unit_seed());
	client_init(&c, &b, "app");
	c.id_required = true;
	client_join(&c);
	bed_later(&b, c.session_ms);
	CHECK(group_is_idle(b.group));
	client_join(&c);
	CHECK_EQ(c.join_error, KERR_UNKNOWN_MEMBER_ID);
	c.id[0] = '\0';
	client_join(&c);
	CHECK_EQ(client_leave(&c), KERR_NONE);		/* it may also be given back */
	CHECK(group_is_idle(b.group));
	bed_fini(&b);
}

TEST(a_rebalance_waits_for_ids_that_were_given_out)
{
	struct bed b;
	struct client c[3] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	client_init(&c[2], &b, "late");
	c[2].id_required = true;
	client_join(&c[2]);
	CHECK_EQ(client_beat(&c[0]), KERR_NONE);	/* an id alone moves nothing */
	client_join(&c[0]);				/* the leader: rebalance */
	client_join(&c[1]);
	CHECK(c[0].joining && c[1].joining);
	client_join(&c[2]);
	CHECK(!c[0].joining && !c[1].joining && !c[2].joining);
	CHECK_EQ(c[0].nmembers, 3);
	CHECK_EQ(c[2].generation, 2);
	bed_fini(&b);
}

TEST(the_initial_delay_grows_while_members_come_but_not_past_the_rebalance_time_out)
{
	struct bed b;
	struct client c[4];

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 4; i++) {
		client_init(&c[i], &b, "c");
		c[i].rebalance_ms = 8000;
	}
	client_join(&c[0]);
	bed_later(&b, 2000);
	client_join(&c[1]);
	bed_later(&b, 2000);
	CHECK(c[0].joining);		/* 4 s: prolonged to 6 */
	client_join(&c[2]);
	bed_later(&b, 2500);
	CHECK(c[0].joining);		/* 6.5 s: prolonged to 8, no further */
	client_join(&c[3]);
	bed_later(&b, 1500);
	CHECK(!c[0].joining);
	CHECK_EQ(c[0].nmembers, 4);
	bed_fini(&b);
}

TEST(the_assignment_is_in_the_log_before_a_member_sees_it)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	client_init(&c[1], &b, "b");
	client_join(&c[0]);
	client_join(&c[1]);
	bed_later(&b, 6000);
	CHECK_EQ(c[1].nmembers, 0);		/* only the leader is told who they are */
	CHECK_STR(c[1].leader, c[0].id);
	b.holds = true;
	client_sync(&c[1]);
	CHECK(c[1].syncing);
	client_sync(&c[0]);
	CHECK(c[0].syncing && c[1].syncing);
	CHECK_EQ(b.nstores, 1);
	CHECK_EQ(b.waiting_records[0].r.nmembers, 2);
	CHECK_EQ(b.waiting_records[0].r.generation, 1);
	CHECK(slice_eq_str(b.waiting_records[0].r.members[1].assignment, c[0].texts[1]));
	CHECK(slice_eq_str(b.waiting_records[0].r.members[1].subscription, "meta"));
	CHECK(slice_eq_str(b.waiting_records[0].r.members[1].client_host, "/127.0.0.1"));
	bed_store_done(&b, 0, KERR_NONE);
	CHECK(!c[0].syncing && !c[1].syncing);
	CHECK_STR(c[1].assignment, c[0].texts[1]);
	bed_fini(&b);
}

/* A client whose connection was lost asks again, and may have computed anew.  What the first request stored counts, whatever comes of it. */
static void
leader_assigns_twice(enum kerr stored)
{
	struct bed b;
	struct client c[2] = { 0 }, again;

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	client_init(&c[1], &b, "b");
	client_join(&c[0]);
	client_join(&c[1]);
	bed_later(&b, 6000);
	b.holds = true;
	client_sync(&c[1]);
	client_sync(&c[0]);
	again = c[0];
	again.syncing = false;
	client_sync(&again);
	group_check(b.group);
	CHECK_EQ(c[0].sync_error, KERR_REBALANCE_IN_PROGRESS);	/* on the connection that it gave up */
	CHECK(again.syncing && c[1].syncing);
	CHECK(strcmp(again.texts[1], c[0].texts[1]) != 0);
	bed_store_done(&b, 0, stored);
	CHECK(!again.syncing && !c[1].syncing);
	CHECK(again.sync_error == stored && c[1].sync_error == stored);
	while (b.nstores > 0)
		bed_store_done(&b, 0, KERR_NONE);
	if (stored == KERR_NONE) {
		CHECK_STR(again.assignment, c[0].texts[0]);
		CHECK_STR(c[1].assignment, c[0].texts[1]);
		bed_restart(&b);
		client_sync(&c[1]);
		CHECK_STR(c[1].assignment, c[0].texts[1]);	/* the log has what it was handed */
	} else {
		client_join(&c[0]);
		client_join(&c[1]);
		client_sync(&c[0]);
		CHECK_EQ(b.nstores, 1);
		CHECK_EQ(b.waiting_records[0].r.generation, 2);
	}
	bed_fini(&b);
}

TEST(of_two_assignments_of_a_leader_the_first_is_handed_out_and_in_the_log)
{
	leader_assigns_twice(KERR_NONE);
	leader_assigns_twice(KERR_NOT_COORDINATOR);
}

TEST(an_assignment_that_cannot_be_stored_makes_everybody_join_again)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	client_init(&c[1], &b, "b");
	client_join(&c[0]);
	client_join(&c[1]);
	bed_later(&b, 6000);
	client_sync(&c[1]);
	b.store_error = KERR_NOT_COORDINATOR;
	client_sync(&c[0]);
	CHECK_EQ(c[0].sync_error, KERR_NOT_COORDINATOR);
	CHECK_EQ(c[1].sync_error, KERR_NOT_COORDINATOR);
	CHECK_STR(c[1].assignment, "");
	CHECK_EQ(group_state(b.group), GROUP_PREPARING);
	b.store_error = KERR_NONE;
	rejoin(c, 2);
	CHECK_EQ(c[1].sync_error, KERR_NONE);
	CHECK_EQ(c[1].generation, 2);
	bed_fini(&b);
}

TEST(an_answer_of_the_log_to_an_old_generation_changes_nothing)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	client_init(&c[1], &b, "b");
	client_join(&c[0]);
	bed_later(&b, 3000);
	b.holds = true;
	client_sync(&c[0]);
	client_join(&c[1]);			/* a rebalance begins while the record is on its way */
	CHECK_EQ(c[0].sync_error, KERR_REBALANCE_IN_PROGRESS);
	client_join(&c[0]);
	CHECK_EQ(c[0].generation, 2);
	bed_store_done(&b, 0, KERR_NONE);
	CHECK_EQ(group_state(b.group), GROUP_COMPLETING);
	client_sync(&c[0]);
	bed_store_done(&b, 0, KERR_NONE);
	CHECK_EQ(c[0].sync_error, KERR_NONE);
	bed_fini(&b);
}

TEST(a_member_that_falls_silent_is_out_and_the_others_are_told)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	for (int i = 0; i < 3; i++) {
		bed_later(&b, 4000);
		CHECK_EQ(client_beat(&c[0]), i < 2 ? KERR_NONE : KERR_REBALANCE_IN_PROGRESS);
	}
	CHECK_EQ(client_beat(&c[1]), KERR_UNKNOWN_MEMBER_ID);
	rejoin(c, 1);
	CHECK_EQ(c[0].generation, 2);
	CHECK_EQ(c[0].nmembers, 1);
	CHECK_EQ(client_commit(&c[1]), KERR_UNKNOWN_MEMBER_ID);
	bed_fini(&b);
}

TEST(who_does_not_join_again_in_time_is_out_but_static_members_stay_until_their_session_ends)
{
	struct bed b;
	struct client c[3] = { 0 };

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 3; i++) {
		client_init(&c[i], &b, "c");
		c[i].rebalance_ms = 5000;
		c[i].session_ms = 30000;
	}
	str_copy(c[2].instance, sizeof(c[2].instance), "i2");
	stable(&b, c, 3);
	client_join(&c[0]);
	bed_later(&b, 4999);
	CHECK(c[0].joining);
	bed_later(&b, 1);
	CHECK_EQ(c[0].nmembers, 2);		/* itself and the static one */
	CHECK_EQ(client_beat(&c[1]), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(client_beat(&c[2]), KERR_ILLEGAL_GENERATION);
	client_sync(&c[0]);
	for (int i = 0; i < 7; i++) {		/* neither joined nor synced: out with the sync's time-out */
		bed_later(&b, 1000);
		(void)client_beat(&c[0]);
	}
	CHECK_EQ(client_beat(&c[2]), KERR_UNKNOWN_MEMBER_ID);
	bed_fini(&b);
}

TEST(static_members_alone_that_do_not_return_are_waited_for_until_their_sessions_end)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 2; i++) {
		client_init(&c[i], &b, "c");
		(void)snprintf(c[i].instance, sizeof(c[i].instance), "i%u", i);
		c[i].rebalance_ms = 1000;
		c[i].session_ms = 9000;
	}
	stable(&b, c, 2);
	CHECK_EQ(group_leave(b.group, SLICE_LIT(""), SLICE_LIT("i1"), SLICE_NULL), KERR_NONE);
	bed_later(&b, 8000);
	CHECK_EQ(group_state(b.group), GROUP_PREPARING);
	CHECK_EQ(group_size(b.group), 1);
	bed_later(&b, 1000);
	CHECK_EQ(group_state(b.group), GROUP_EMPTY);
	CHECK_EQ(b.last.r.nmembers, 0);
	CHECK(b.last.r.protocol.p == NULL && b.last.r.leader.p == NULL);
	CHECK(slice_eq_str(b.last.r.protocol_type, "consumer"));
	CHECK_EQ(b.last.r.generation, 2);
	bed_fini(&b);
}

TEST(a_static_member_comes_back_without_a_rebalance)
{
	for (int skip = 0; skip < 2; skip++) {
		struct bed b;
		struct client c[2] = { 0 }, back;
		char old[128];

		bed_init(&b, unit_seed());
		client_init(&c[0], &b, "a");
		str_copy(c[0].instance, sizeof(c[0].instance), "inst");
		client_init(&c[1], &b, "b");
		stable(&b, c, 2);
		CHECK(strncmp(c[0].id, "inst-", 5) == 0);
		str_copy(old, sizeof(old), c[0].id);
		back = c[0];
		back.id[0] = '\0';
		back.may_skip = skip;
		b.holds = true;
		client_join(&back);
		CHECK(back.joining);
		CHECK_EQ(b.nstores, 1);
		bed_store_done(&b, 0, KERR_NONE);
		CHECK_EQ(back.join_error, KERR_NONE);
		CHECK_EQ(back.generation, 1);
		CHECK(strcmp(back.id, old) != 0);
		CHECK_STR(back.leader, skip ? back.id : old);	/* before version 9 it is not to assign */
		CHECK_EQ(back.skip, skip);
		CHECK_EQ(back.nmembers, skip ? 2 : 0);
		client_sync(&back);
		CHECK_STR(back.assignment, c[0].assignment);
		CHECK_EQ(client_beat(&c[1]), KERR_NONE);
		CHECK_EQ(client_beat(&c[0]), KERR_FENCED_INSTANCE_ID);
		CHECK_EQ(client_commit(&c[0]), KERR_FENCED_INSTANCE_ID);
		client_join(&c[0]);
		CHECK_EQ(c[0].join_error, KERR_FENCED_INSTANCE_ID);
		CHECK_EQ(group_state(b.group), GROUP_STABLE);
		bed_fini(&b);
	}
}

TEST(a_static_member_whose_return_cannot_be_stored_is_still_the_old_one)
{
	struct bed b;
	struct client c[1] = { 0 }, back;

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	str_copy(c[0].instance, sizeof(c[0].instance), "inst");
	stable(&b, c, 1);
	back = c[0];
	back.id[0] = '\0';
	b.store_error = KERR_COORDINATOR_NOT_AVAILABLE;
	back.session_ms = 300000;
	back.rebalance_ms = 300000;
	client_join(&back);
	CHECK_EQ(back.join_error, KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(back.error_generation, c[0].generation);	/* Kafka names what stands */
	CHECK_STR(back.leader, c[0].id);
	CHECK_STR(back.id, "");
	CHECK_EQ(client_beat(&c[0]), KERR_NONE);
	group_check(b.group);
	bed_later(&b, c[0].session_ms);		/* its own, not what the other asked for */
	CHECK_EQ(client_beat(&c[0]), KERR_UNKNOWN_MEMBER_ID);
	bed_fini(&b);
}

TEST(of_two_that_claim_an_instance_id_the_later_wins)
{
	struct bed b;
	struct client c[1] = { 0 }, first, second;

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	str_copy(c[0].instance, sizeof(c[0].instance), "inst");
	stable(&b, c, 1);
	first = second = c[0];
	first.id[0] = second.id[0] = '\0';
	b.holds = true;
	client_join(&first);
	client_join(&second);
	CHECK_EQ(first.join_error, KERR_FENCED_INSTANCE_ID);
	bed_store_done(&b, 0, KERR_NONE);
	CHECK(second.joining);
	bed_store_done(&b, 0, KERR_NONE);
	CHECK_EQ(second.join_error, KERR_NONE);
	CHECK_EQ(client_beat(&second), KERR_NONE);
	bed_fini(&b);
}

TEST(a_static_member_that_changes_the_protocol_or_returns_during_assignment_makes_a_rebalance)
{
	struct bed b;
	struct client c[2] = { 0 }, back;

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	str_copy(c[0].instance, sizeof(c[0].instance), "inst");
	c[0].protocols[1] = "roundrobin";
	c[0].metadata[1] = "meta";
	stable(&b, c, 1);
	back = c[0];
	back.id[0] = '\0';
	back.protocols[0] = "roundrobin";
	back.protocols[1] = NULL;
	client_join(&back);
	CHECK_EQ(back.generation, 2);
	CHECK_STR(back.protocol, "roundrobin");
	c[1] = back;
	c[1].id[0] = '\0';
	client_join(&c[1]);		/* before back has synced */
	CHECK_EQ(c[1].generation, 3);
	client_sync(&back);
	CHECK_EQ(back.sync_error, KERR_FENCED_INSTANCE_ID);
	bed_fini(&b);
}

TEST(the_protocol_that_all_support_and_most_prefer_is_chosen)
{
	struct bed b;
	struct client c[3] = { 0 }, odd;

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 3; i++)
		client_init(&c[i], &b, "c");
	c[0].protocols[1] = "sticky"; c[0].metadata[1] = "s0";
	c[1].protocols[0] = "sticky"; c[1].protocols[1] = "range"; c[1].metadata[1] = "s1";
	c[2].protocols[0] = "mine"; c[2].protocols[1] = "sticky"; c[2].protocols[2] = "range"; c[2].metadata[1] = c[2].metadata[2] = "s2";
	stable(&b, c, 3);
	CHECK_STR(c[0].protocol, "sticky");
	CHECK_STR(c[0].member_metadata[0], "s0");
	client_init(&odd, &b, "odd");
	odd.protocols[0] = "mine";
	client_join(&odd);
	CHECK_EQ(odd.join_error, KERR_INCONSISTENT_GROUP_PROTOCOL);
	CHECK_EQ(group_state(b.group), GROUP_STABLE);
	bed_fini(&b);
}

TEST(joins_and_syncs_that_are_repeated_get_the_present_answer)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	client_join(&c[1]);			/* a follower, nothing new: the answer was lost */
	CHECK_EQ(c[1].join_error, KERR_NONE);
	CHECK_EQ(c[1].generation, 1);
	client_sync(&c[1]);
	CHECK_EQ(c[1].sync_error, KERR_NONE);
	c[1].metadata[0] = "new topics";
	client_join(&c[1]);
	CHECK(c[1].joining);
	CHECK_EQ(client_beat(&c[0]), KERR_REBALANCE_IN_PROGRESS);
	client_sync(&c[0]);
	CHECK_EQ(c[0].sync_error, KERR_REBALANCE_IN_PROGRESS);
	CHECK_EQ(client_commit(&c[0]), KERR_NONE);	/* the old generation may still commit */
	client_join(&c[0]);
	CHECK_EQ(c[0].generation, 2);
	CHECK_STR(c[0].member_metadata[1], "new topics");
	client_join(&c[1]);			/* COMPLETING, same metadata */
	CHECK_EQ(c[1].generation, 2);
	bed_fini(&b);
}

TEST(a_request_asked_again_elsewhere_does_not_wait_for_ever)
{
	struct bed b;
	struct client c[2] = { 0 }, again;

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	client_join(&c[0]);
	again = c[0];
	again.joining = false;
	client_join(&again);
	CHECK(!c[0].joining);
	CHECK_EQ(c[0].join_error, KERR_REBALANCE_IN_PROGRESS);
	client_join(&c[1]);
	CHECK_EQ(again.join_error, KERR_NONE);
	client_sync(&c[1]);
	c[0] = c[1];
	c[0].syncing = false;
	client_sync(&c[0]);
	CHECK_EQ(c[1].sync_error, KERR_REBALANCE_IN_PROGRESS);
	CHECK(c[0].syncing);
	CHECK_EQ(client_leave(&c[0]), KERR_NONE);	/* a leaver's sync is answered, too */
	CHECK_EQ(c[0].sync_error, KERR_UNKNOWN_MEMBER_ID);
	bed_fini(&b);
}

TEST(group_max_size_keeps_newcomers_out_and_shrinks_a_loaded_group)
{
	struct bed b;
	struct client c[4] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 3);
	b.host.size_max = 3;
	client_init(&c[3], &b, "c3");
	client_join(&c[3]);
	CHECK_EQ(c[3].join_error, KERR_GROUP_MAX_SIZE_REACHED);
	CHECK_EQ(group_state(b.group), GROUP_STABLE);
	b.host.size_max = 2;
	bed_restart(&b);
	CHECK_EQ(group_state(b.group), GROUP_PREPARING);
	for (int i = 0; i < 3; i++)
		client_join(&c[i]);
	CHECK_EQ(c[2].join_error, KERR_GROUP_MAX_SIZE_REACHED);
	CHECK_EQ(c[0].join_error, KERR_NONE);
	CHECK_EQ(group_size(b.group), 2);
	bed_fini(&b);
}

TEST(members_that_never_sync_are_out)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 2; i++) {
		client_init(&c[i], &b, "c");
		c[i].rebalance_ms = 20000;
	}
	client_join(&c[0]);
	client_join(&c[1]);
	bed_later(&b, 6000);
	client_sync(&c[1]);
	for (int i = 0; i < 20 && c[1].syncing; i++) {
		bed_later(&b, 1000);
		(void)client_beat(&c[0]);	/* it lives, and does not bring the assignment */
	}
	CHECK_EQ(c[1].sync_error, KERR_REBALANCE_IN_PROGRESS);
	CHECK_EQ(client_beat(&c[0]), KERR_UNKNOWN_MEMBER_ID);
	rejoin(&c[1], 1);
	CHECK_EQ(c[1].sync_error, KERR_NONE);
	CHECK_EQ(c[1].generation, 2);
	bed_fini(&b);
}

TEST(leaving_is_answered_by_member)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	client_init(&c[0], &b, "a");
	client_init(&c[1], &b, "b");
	str_copy(c[1].instance, sizeof(c[1].instance), "inst");
	stable(&b, c, 2);
	CHECK_EQ(group_leave(b.group, SLICE_LIT("nobody"), SLICE_NULL, SLICE_NULL), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(group_leave(b.group, SLICE_LIT(""), SLICE_LIT("nobody"), SLICE_NULL), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(group_leave(b.group, SLICE_LIT(""), SLICE_NULL, SLICE_NULL), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(group_leave(b.group, slice_str(c[0].id), SLICE_LIT("inst"), SLICE_NULL), KERR_FENCED_INSTANCE_ID);
	CHECK_EQ(group_leave(b.group, SLICE_LIT(""), SLICE_LIT("inst"), SLICE_NULL), KERR_NONE);
	CHECK_EQ(client_beat(&c[1]), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(client_leave(&c[0]), KERR_NONE);
	CHECK_EQ(group_state(b.group), GROUP_EMPTY);
	CHECK_EQ(group_delete(b.group), KERR_NONE);
	client_join(&c[0]);
	CHECK_EQ(c[0].join_error, KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(client_beat(&c[0]), KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(client_commit(&c[0]), KERR_COORDINATOR_NOT_AVAILABLE);
	bed_fini(&b);
}

TEST(the_next_coordinator_goes_on_with_the_generation)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	bed_restart(&b);
	group_check(b.group);
	CHECK_EQ(client_beat(&c[0]), KERR_NONE);
	CHECK_EQ(client_commit(&c[1]), KERR_NONE);
	client_sync(&c[1]);
	CHECK_STR(c[1].assignment, c[0].texts[1]);
	CHECK(slice_eq_str(group_leader(b.group), c[0].id));
	bed_later(&b, 10000);		/* sessions run from the load on */
	CHECK_EQ(group_state(b.group), GROUP_EMPTY);
	CHECK_EQ(group_delete(b.group), KERR_NONE);
	bed_fini(&b);
}

TEST(whoever_waits_when_the_coordinator_moves_is_told_so)
{
	struct bed b;
	struct client c[2] = { 0 };

	bed_init(&b, unit_seed());
	stable(&b, c, 2);
	client_join(&c[0]);
	group_unload(b.group);
	CHECK_EQ(c[0].join_error, KERR_NOT_COORDINATOR);
	bed_fini(&b);

	bed_init(&b, unit_seed());
	memset(c, 0, sizeof(c));
	client_init(&c[0], &b, "a");
	client_join(&c[0]);
	bed_later(&b, 3000);
	b.holds = true;
	client_sync(&c[0]);
	group_unload(b.group);
	CHECK_EQ(c[0].sync_error, KERR_NOT_COORDINATOR);
	bed_store_done(&b, 0, KERR_NONE);	/* too late to change anything */
	CHECK_EQ(group_state(b.group), GROUP_DEAD);
	bed_fini(&b);
}

TEST(a_new_member_whose_client_is_gone_is_out_after_five_minutes)
{
	struct bed b;
	struct client c[2] = { 0 }, gone;

	bed_init(&b, unit_seed());
	for (unsigned i = 0; i < 2; i++) {
		client_init(&c[i], &b, "c");
		c[i].rebalance_ms = c[i].session_ms = 3600000;
	}
	stable(&b, c, 2);
	client_init(&gone, &b, "gone");
	gone.rebalance_ms = 3600000;
	client_join(&gone);
	bed_later(&b, 299999);
	CHECK(gone.joining);
	bed_later(&b, 1);
	CHECK_EQ(gone.join_error, KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(group_size(b.group), 2);
	bed_fini(&b);
}

TEST(who_may_commit)
{
	struct bed b;
	struct client c[1] = { 0 };
	struct slice none = SLICE_LIT("");

	bed_init(&b, unit_seed());
	CHECK_EQ(group_may_commit(b.group, none, SLICE_NULL, -1, false), KERR_NONE);		/* no members: a simple consumer */
	CHECK_EQ(group_may_commit(b.group, SLICE_LIT("x"), SLICE_NULL, 0, false), KERR_UNKNOWN_MEMBER_ID);
	stable(&b, c, 1);
	CHECK_EQ(group_may_commit(b.group, none, SLICE_NULL, -1, false), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(group_may_commit(b.group, none, SLICE_NULL, -1, true), KERR_NONE);		/* old producers name no member */
	CHECK_EQ(group_may_commit(b.group, client_member(c), SLICE_NULL, 2, false), KERR_ILLEGAL_GENERATION);
	CHECK_EQ(group_may_commit(b.group, client_member(c), SLICE_LIT("i"), 1, false), KERR_UNKNOWN_MEMBER_ID);
	bed_later(&b, 9000);
	CHECK_EQ(client_commit(c), KERR_NONE);
	bed_later(&b, 9000);
	CHECK_EQ(client_commit(c), KERR_NONE);		/* a commit is a sign of life ... */
	bed_later(&b, 9000);
	CHECK_EQ(group_may_commit(b.group, client_member(c), SLICE_NULL, 1, true), KERR_NONE);
	bed_later(&b, 1000);				/* ... a transactional one is not */
	CHECK_EQ(client_commit(c), KERR_UNKNOWN_MEMBER_ID);
	bed_fini(&b);
}

TEST(subscribed_topics_are_read_from_the_members_metadata)
{
	static const char meta[] = "\0\1\0\0\0\2\0\2t1\0\2t2\0\0\0\0";
	struct group_protocol p = { SLICE_LIT("range"), SLICE_LIT("") };
	struct group_record_member m = { SLICE_LIT("m"), SLICE_NULL, SLICE_LIT("c"), SLICE_LIT("/h"), 1000, 1000, slice_of(meta, sizeof(meta) - 1),
		SLICE_LIT("") };
	struct group_record r = { .protocol_type = SLICE_LIT("consumer"), .protocol = p.name, .leader = SLICE_LIT("m"), .generation = 3,
		.nmembers = 1, .members = &m };
	struct bed b;

	bed_init(&b, unit_seed());
	for (size_t cut = 0; cut <= sizeof(meta) - 1; cut++) {
		struct group *g;

		m.subscription = slice_of(meta, cut);
		g = group_load(&b.host, SLICE_LIT("g2"), &r);
		REQUIRE(g != NULL);
		CHECK_EQ(group_subscriptions_known(g), cut == sizeof(meta) - 1);	/* without its user data it is no subscription, in Kafka neither */
		CHECK(group_subscribes(g, SLICE_LIT("t1")));
		CHECK_EQ(group_subscribes(g, SLICE_LIT("t3")), cut < sizeof(meta) - 1);
		group_unref(&g);
	}
	r.protocol = SLICE_NULL;
	CHECK(group_load(&b.host, SLICE_LIT("g2"), &r) == NULL);
	bed_fini(&b);
}

/* 1 MB of metadata would be a hundred of topics. */
TEST(a_subscription_of_more_topics_than_a_cluster_has_is_not_looked_at)
{
	enum { N = LIMIT_GROUP_TOPICS_MAX };
	uint8_t *meta = calloc(6 + (N + 1) * 8 + 4, 1);
	struct writer w = writer_of(meta, 6 + (N + 1) * 8 + 4);
	struct group_record_member m = { .member_id = SLICE_LIT("m"), .client_id = SLICE_LIT("c"), .client_host = SLICE_LIT("/h"), .session_timeout_ms = 1000,
		.rebalance_timeout_ms = 1000, .assignment = SLICE_LIT("") };
	struct group_record r = { .protocol_type = SLICE_LIT("consumer"), .protocol = SLICE_LIT("range"), .leader = SLICE_LIT("m"), .generation = 3,
		.nmembers = 1, .members = &m };
	struct bed b;

	REQUIRE(meta != NULL);
	bed_init(&b, unit_seed());
	for (int32_t n = N; n <= N + 1; n++) {
		struct group *g;

		w = writer_of(meta, 6 + (N + 1) * 8 + 4);
		wr_i16(&w, 0);
		wr_i32(&w, n);
		for (int32_t i = 0; i < n; i++) {
			char name[8];

			(void)snprintf(name, sizeof(name), "%06d", (int)i);
			wr_i16(&w, 6);
			wr_bytes(&w, name, 6);
		}
		wr_i32(&w, -1);
		m.subscription = slice_of(meta, wr_len(&w));
		g = group_load(&b.host, SLICE_LIT("g2"), &r);
		REQUIRE(g != NULL);
		CHECK_EQ(group_subscriptions_known(g), n == N);
		CHECK_EQ(group_subscribes(g, SLICE_LIT("t")), n > N);
		CHECK(n == N || group_bytes(g) < 3 * m.subscription.len);	/* nothing of it is kept */
		group_unref(&g);
		b.host.bytes_max = n == N ? m.subscription.len : 0;	/* or there is no room for it */
		g = group_load(&b.host, SLICE_LIT("g2"), &r);
		REQUIRE(g != NULL);
		CHECK(!group_subscriptions_known(g));
		group_unref(&g);
		b.host.bytes_max = 0;
	}
	bed_fini(&b);
	free(meta);
}

TEST(an_empty_protocol_is_not_the_one_that_is_not_chosen_yet)
{
	struct bed b;
	struct client c;

	bed_init(&b, unit_seed());
	client_init(&c, &b, "app");
	c.id_required = true;
	client_join(&c);
	client_join(&c);
	CHECK(c.joining);
	c.generation = 0;
	c.protocol[0] = '\0';
	client_sync(&c);
	CHECK_EQ(c.sync_error, KERR_INCONSISTENT_GROUP_PROTOCOL);
	bed_later(&b, 3000);
	CHECK_EQ(c.join_error, KERR_NONE);
	bed_fini(&b);
}

TEST(states_move_only_as_the_table_says)
{
	static const bool may[5][5] = {	/* EMPTY, PREPARING, COMPLETING, STABLE, DEAD */
		{ false, true, false, false, true },
		{ true, false, true, false, true },
		{ false, true, false, true, true },
		{ false, true, false, false, true },
		{ false, false, false, false, false },
	};

	for (int from = 0; from < 5; from++)
		for (int to = 0; to < 5; to++)
			CHECK_EQ(group_state_may_follow((enum group_state)from, (enum group_state)to), may[from][to]);
	CHECK_STR(group_state_name(GROUP_COMPLETING), "CompletingRebalance");
}

TEST(a_member_with_many_protocols_costs_no_more_than_their_number)
{
	enum { N = 200000 };
	struct group_protocol *many = calloc(N, sizeof(*many));
	char(*names)[8] = calloc(N, sizeof(*names));
	struct bed b;
	struct client first, crowd = { .generation = -1 };

	REQUIRE(many != NULL && names != NULL);
	bed_init(&b, unit_seed());
	for (int i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "p%d", i / 2);	/* each twice */
		many[i] = (struct group_protocol){ slice_str(names[i]), SLICE_LIT("m") };
	}
	client_init(&first, &b, "first");
	client_join(&first);
	crowd.join = first.join;
	crowd.join.protocols = many;
	crowd.join.nprotocols = N;
	crowd.joining = true;
	group_join(b.group, &crowd.join);
	CHECK_EQ(crowd.join_error, KERR_INCONSISTENT_GROUP_PROTOCOL);
	many[N / 2].name = SLICE_LIT("range");
	crowd.joining = true;
	group_join(b.group, &crowd.join);
	CHECK(crowd.joining);
	group_check(b.group);
	bed_fini(&b);
	free(names);
	free(many);
}

TEST(static_members_with_a_rebalance_time_out_of_zero_do_not_keep_the_loop_busy)
{
	const struct group_record_member m[2] = {
		{ SLICE_LIT("m0"), SLICE_LIT("i0"), SLICE_LIT("c"), SLICE_LIT("/h"), 0, 9000, SLICE_LIT(""), SLICE_LIT("") },
		{ SLICE_LIT("m1"), SLICE_LIT("i1"), SLICE_LIT("c"), SLICE_LIT("/h"), 0, 9000, SLICE_LIT(""), SLICE_LIT("") },
	};
	const struct group_record r = { SLICE_LIT("consumer"), SLICE_LIT("range"), SLICE_LIT("m0"), 1, -1, 2, m };
	struct group *g;
	struct bed b;
	int turns = 0;

	bed_init(&b, unit_seed());
	g = group_load(&b.host, SLICE_LIT("loaded"), &r);
	REQUIRE(g != NULL);
	group_loaded(g);
	CHECK_EQ(group_leave(g, SLICE_LIT(""), SLICE_LIT("i1"), SLICE_NULL), KERR_NONE);
	CHECK_EQ(group_state(g), GROUP_PREPARING);
	while (turns < 100 && loop_turn(b.loop, 0))
		turns++;
	REQUIRE(turns < 100);	/* else it would turn for ever */
	bed_later(&b, 9000);
	CHECK_EQ(group_state(g), GROUP_EMPTY);
	group_unload(g);
	group_unref(&g);
	bed_fini(&b);
}

struct named { UT_hash_handle hh; char name[8]; };

/* With one key in eight it did: then every look-up went through a list. */
TEST(no_key_of_the_process_makes_a_table_stop_growing)
{
	enum { NAMES = 500, KEYS = 2000 };
	static struct named v[NAMES];
	uint64_t key = unit_seed();

	for (int k = 0; k < KEYS; k++, key = hash_mix(key, (uint64_t)k)) {
		struct named *head = NULL, *found;

		for (int i = 0; i < NAMES; i++) {
			(void)snprintf(v[i].name, sizeof(v[i].name), "%06d", i);
			HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, v[i].name, 6, (unsigned)hash_bytes(key, v[i].name, 6), &v[i]);
		}
		CHECK(head->hh.tbl->num_buckets >= NAMES / 4);
		CHECK(head->hh.tbl->num_buckets <= 64 * NAMES);
		HASH_FIND_BYHASHVALUE(hh, head, "000499", 6, (unsigned)hash_bytes(key, "000499", 6), found);
		CHECK(found == &v[499]);
		HASH_CLEAR(hh, head);
	}
}

UNIT_MAIN("group",
    T(a_new_member_is_given_an_id_and_joins_with_it), T(an_id_nobody_joins_with_is_forgotten), T(a_rebalance_waits_for_ids_that_were_given_out),
    T(the_initial_delay_grows_while_members_come_but_not_past_the_rebalance_time_out), T(the_assignment_is_in_the_log_before_a_member_sees_it),
    T(of_two_assignments_of_a_leader_the_first_is_handed_out_and_in_the_log), T(an_assignment_that_cannot_be_stored_makes_everybody_join_again), T(an_answer_of_the_log_to_an_old_generation_changes_nothing),
    T(a_member_that_falls_silent_is_out_and_the_others_are_told),
    T(who_does_not_join_again_in_time_is_out_but_static_members_stay_until_their_session_ends),
    T(static_members_alone_that_do_not_return_are_waited_for_until_their_sessions_end),
    T(static_members_with_a_rebalance_time_out_of_zero_do_not_keep_the_loop_busy), T(a_static_member_comes_back_without_a_rebalance),
    T(a_static_member_whose_return_cannot_be_stored_is_still_the_old_one), T(of_two_that_claim_an_instance_id_the_later_wins),
    T(a_static_member_that_changes_the_protocol_or_returns_during_assignment_makes_a_rebalance),
    T(the_protocol_that_all_support_and_most_prefer_is_chosen), T(joins_and_syncs_that_are_repeated_get_the_present_answer),
    T(a_request_asked_again_elsewhere_does_not_wait_for_ever), T(group_max_size_keeps_newcomers_out_and_shrinks_a_loaded_group),
    T(members_that_never_sync_are_out), T(leaving_is_answered_by_member), T(the_next_coordinator_goes_on_with_the_generation),
    T(whoever_waits_when_the_coordinator_moves_is_told_so), T(a_new_member_whose_client_is_gone_is_out_after_five_minutes),
    T(who_may_commit), T(subscribed_topics_are_read_from_the_members_metadata), T(states_move_only_as_the_table_says),
    T(a_subscription_of_more_topics_than_a_cluster_has_is_not_looked_at), T(an_empty_protocol_is_not_the_one_that_is_not_chosen_yet),
    T(a_member_with_many_protocols_costs_no_more_than_their_number),
    T(no_key_of_the_process_makes_a_table_stop_growing))
