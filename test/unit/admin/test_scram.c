/* SPDX-License-Identifier: Apache-2.0
 *
 * SCRAM credentials: what stands in ZooKeeper, what is refused, and what losses and expiries do to a change.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/scram.h"
#include "base/alloc.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"

static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER };

static struct admin_scram_upsertion
put(const char *user, int8_t mechanism, int32_t iterations)
{
	return ((struct admin_scram_upsertion){ slice_str(user), mechanism, iterations, SLICE_LIT("salt"), SLICE_LIT("salted password of 32 bytes or so") });
}

static void
alter(struct world *w, struct admin_alter_scram *a)
{
	unsigned before = w->done;

	world_job(w, &a->job);
	admin_alter_scram(w->admin, a);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
}

static struct admin_outcome
alter_one(struct world *w, struct admin_scram_upsertion u)
{
	struct admin_alter_scram a = { .upsertions = &u, .nupsertions = 1 };

	alter(w, &a);
	return (a.users == NULL || a.nusers != 1 ? (struct admin_outcome){ KERR_UNKNOWN_SERVER_ERROR, NULL } : a.users[0].outcome);
}

static enum kerr
delete_one(struct world *w, const char *user, int8_t mechanism)
{
	struct admin_scram_deletion d = { slice_str(user), mechanism };
	struct admin_alter_scram a = { .deletions = &d, .ndeletions = 1 };

	alter(w, &a);
	return (a.nusers != 1 ? KERR_UNKNOWN_SERVER_ERROR : a.users[0].outcome.error);
}

/* As Python's hmac and hashlib make it of the same salt and salted password. */
TEST(a_credential_is_what_the_standard_says)
{
	struct world w;
	struct node n;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(alter_one(&w, put("al ice", ADMIN_SCRAM_SHA_256, 4096)).error, KERR_NONE);
	n = world_node(&w, "/config/users/al%20ice");
	REQUIRE(n.found);
	CHECK_STR(n.data, "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":\"salt=c2FsdA==,stored_key=MyQG668Sjwv6NfpVskXfdW4iy8UtVRQwEvEQd1wtDd8=,server_key=BcVmaEMTSqQSKi7t3ovbS71C0ECwdyMY13Ot2r3Blj0=,iterations=4096\"}}");
	CHECK(world_has(&w, "/config/changes/config_change_0000000000"));
	CHECK_EQ(delete_one(&w, "al ice", ADMIN_SCRAM_SHA_512), KERR_RESOURCE_NOT_FOUND);
	CHECK_EQ(delete_one(&w, "al ice", ADMIN_SCRAM_SHA_256), KERR_NONE);
	CHECK(!world_has(&w, "/config/users/al%20ice"));
	world_fini(&w);
}

TEST(fields_that_nobody_knows_stay_when_credentials_change)
{
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(alter_one(&w, put("a", 1, 4096)).error, KERR_NONE);
	world_put(&w, "/config/users/a", "{\"version\":1,\"surprise\":7,\"config\":{\"producer_byte_rate\":\"1\"}}");
	CHECK_EQ(alter_one(&w, put("a", 2, 4096)).error, KERR_NONE);
	CHECK(has_text(world_node(&w, "/config/users/a").data, "\"surprise\":7"));
	CHECK(has_text(world_node(&w, "/config/users/a").data, "SCRAM-SHA-512"));
	world_fini(&w);
}

TEST(what_is_wrong_with_a_change_is_said_and_nothing_of_that_user_changes)
{
	static const struct { int8_t mechanism; int32_t iterations; enum kerr error; } rows[] = {
		{ 1, 4095, KERR_UNACCEPTABLE_CREDENTIAL }, { 1, 16385, KERR_UNACCEPTABLE_CREDENTIAL }, { 0, 4096, KERR_UNSUPPORTED_SASL_MECHANISM },
		{ 3, 4096, KERR_UNSUPPORTED_SASL_MECHANISM }, { -128, 4096, KERR_UNSUPPORTED_SASL_MECHANISM }, { 2, 16384, KERR_NONE },
	};
	struct admin_scram_upsertion twice[3] = { put("b", 1, 4096), put("b", 2, 4096), put("b", 1, 5000) };
	struct admin_alter_scram a = { .upsertions = twice, .nupsertions = 3 };
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(alter_one(&w, put("", 1, 4096)).error, KERR_UNACCEPTABLE_CREDENTIAL);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct admin_outcome o = alter_one(&w, put("a", rows[i].mechanism, rows[i].iterations));

		CHECK_EQ(o.error, rows[i].error);
		CHECK((o.message != NULL) == (o.error != KERR_NONE));
	}
	alter(&w, &a);
	CHECK_EQ(a.nusers, 1);
	CHECK_EQ(a.users[0].outcome.error, KERR_DUPLICATE_RESOURCE);
	CHECK(!world_has(&w, "/config/users/b"));
	twice[2].salted_password = SLICE_LIT("");
	twice[2].user = SLICE_LIT("c");
	alter(&w, &a);
	CHECK_EQ(a.nusers, 2);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(a.users[i].outcome.error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK(!world_has(&w, "/config/users/b"));
	a.nupsertions = 2;
	world_put(&w, "/config/users/b", "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":5}}");
	alter(&w, &a);
	CHECK(a.users == NULL);
	world_put(&w, "/config/users/b", "no json");	/* the change is the way out */
	alter(&w, &a);
	REQUIRE(a.nusers == 1);
	CHECK_EQ(a.users[0].outcome.error, KERR_NONE);
	world_fini(&w);
}

TEST(a_salt_that_no_node_takes_is_refused_and_the_others_are_changed)
{
	struct admin_scram_upsertion ups[2] = { put("a", 1, 4096), put("b", 1, 4096) };
	struct admin_alter_scram a = { .upsertions = ups, .nupsertions = 2 };
	uint8_t *salt = xcalloc(1, 1000000);
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	ups[0].salt = slice_of(salt, 1000000);
	alter(&w, &a);
	REQUIRE(a.nusers == 2);
	CHECK_EQ(a.users[0].outcome.error, KERR_UNACCEPTABLE_CREDENTIAL);
	CHECK_EQ(a.users[1].outcome.error, KERR_NONE);
	CHECK(!world_has(&w, "/config/users/a"));
	CHECK(world_has(&w, "/config/users/b"));
	world_fini(&w);
	free(salt);
}

static struct admin_describe_scram
describe(struct world *w, const struct slice *names, int32_t n)
{
	struct admin_describe_scram d = { .names = names, .nnames = n };
	unsigned before = w->done;

	world_job(w, &d.job);
	admin_describe_scram(w->admin, &d);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	return (d);
}

TEST(credentials_are_described_without_their_secrets)
{
	static const struct slice names[] = { SLICE_LIT("z"), SLICE_LIT("nobody"), SLICE_LIT(""), SLICE_LIT("a"), SLICE_LIT("nobody") };
	struct world w;
	struct admin_describe_scram d;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(alter_one(&w, put("z", 1, 5000)).error, KERR_NONE);
	CHECK_EQ(alter_one(&w, put("a", 1, 4096)).error, KERR_NONE);
	CHECK_EQ(alter_one(&w, put("a", 2, 6000)).error, KERR_NONE);
	world_put(&w, "/config/users/quota", "{\"version\":1,\"config\":{\"producer_byte_rate\":\"5\"}}");
	world_put(&w, "/config/users/bad", "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":\"salt=,salt=\"}}");
	d = describe(&w, NULL, 0);
	CHECK_EQ(d.error, KERR_NONE);
	REQUIRE(d.nusers == 3);
	CHECK(slice_eq_str(d.users[0].name, "a"));
	CHECK_EQ(d.users[0].iterations[ADMIN_SCRAM_SHA_256], 4096);
	CHECK_EQ(d.users[0].iterations[ADMIN_SCRAM_SHA_512], 6000);
	CHECK_EQ(d.users[1].outcome.error, KERR_UNKNOWN_SERVER_ERROR);
	CHECK(slice_eq_str(d.users[2].name, "z"));
	d = describe(&w, names, NELEM(names));
	REQUIRE(d.nusers == 4);
	CHECK_EQ(d.users[0].outcome.error, KERR_NONE);
	CHECK_EQ(d.users[1].outcome.error, KERR_DUPLICATE_RESOURCE);
	CHECK_EQ(d.users[2].outcome.error, KERR_RESOURCE_NOT_FOUND);
	CHECK_EQ(d.users[3].iterations[ADMIN_SCRAM_SHA_512], 6000);
	d = describe(&w, &names[1], 1);
	CHECK_EQ(d.users[0].outcome.error, KERR_RESOURCE_NOT_FOUND);
	world_fini(&w);
}

static void
under(enum zk_fault fault, uint64_t nth, bool *happened)
{
	struct admin_scram_deletion del = { SLICE_LIT("a"), ADMIN_SCRAM_SHA_256 };
	struct admin_scram_upsertion up = put("a", ADMIN_SCRAM_SHA_512, 4096);
	struct admin_alter_scram a = { .deletions = &del, .ndeletions = 1, .upsertions = &up, .nupsertions = 1 };
	struct world w;
	struct node n;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(alter_one(&w, put("a", ADMIN_SCRAM_SHA_256, 4096)).error, KERR_NONE);
	zk_fake_fault(w.zk, fault, nth);
	alter(&w, &a);
	*happened = !zk_fake_faults_pending(w.zk);
	CHECK_EQ(a.nusers, 1);
	CHECK_EQ(a.users[0].outcome.error, KERR_NONE);	/* its own deletion is never taken for somebody else's */
	n = world_node(&w, "/config/users/a");
	CHECK(n.found && has_text(n.data, "SCRAM-SHA-512") && !has_text(n.data, "SCRAM-SHA-256"));
	CHECK_EQ(describe(&w, NULL, 0).nusers, 1);
	world_fini(&w);
}

TEST(under_every_loss_and_expiry_a_change_is_made_once)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 20 && happened; nth++)
			under(faults[f], nth, &happened);
		CHECK(nth > 4 && nth < 20);
	}
}

TEST(stopping_ends_what_is_under_way_and_what_waits_its_turn)
{
	for (int turns = 0; turns < 30; turns++) {
		struct admin_scram_upsertion up = put("a", ADMIN_SCRAM_SHA_512, 4096);
		struct admin_alter_scram a = { .upsertions = &up, .nupsertions = 1 }, b = a;
		struct admin_describe_scram d = { .nnames = 0 };
		struct world w;

		world_init(&w, "");
		world_turn(&w);
		world_job(&w, &a.job);
		world_job(&w, &b.job);
		world_job(&w, &d.job);
		admin_alter_scram(w.admin, &a);
		admin_alter_scram(w.admin, &b);
		admin_describe_scram(w.admin, &d);
		for (int i = 0; i < turns; i++)
			(void)loop_turn(w.loop, 0);
		admin_stop(w.admin);
		world_turn(&w);
		CHECK_EQ(w.done, 3);
		world_fini(&w);
	}
}

UNIT_MAIN("admin/scram", T(a_credential_is_what_the_standard_says), T(fields_that_nobody_knows_stay_when_credentials_change),
    T(what_is_wrong_with_a_change_is_said_and_nothing_of_that_user_changes), T(a_salt_that_no_node_takes_is_refused_and_the_others_are_changed),
    T(credentials_are_described_without_their_secrets), T(under_every_loss_and_expiry_a_change_is_made_once),
    T(stopping_ends_what_is_under_way_and_what_waits_its_turn))
