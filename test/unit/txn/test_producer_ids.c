/* SPDX-License-Identifier: Apache-2.0
 *
 * Producer ids: each once, in rising blocks, fetched before they are gone, and never by waiting.
 */
#include "test/unit/zk/zk_test.h"
#include "txn/producer_ids.h"
#include "zk/json.h"

enum { BROKER = 3, BLOCK = 1000 };

struct fixture {
	struct world w;
	struct diag *diag;
	struct producer_ids *ids;
	unsigned complaints;
	char	 last[600];
};

static void
on_line(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct fixture *f = ctx;

	CHECK_STR(area, "producer-ids");
	if (level < DIAG_WARNING)
		return;
	f->complaints++;
	snprintf(f->last, sizeof(f->last), "%s", text);
}

static void
begin(struct fixture *f)
{
	struct producer_ids_options opt;

	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	f->diag = diag_capture(on_line, f);
	opt = (struct producer_ids_options){ .loop = f->w.loop, .zk = f->w.zk, .broker_id = BROKER, .clock = &f->w.clock.clock, .diag = f->diag };
	f->ids = producer_ids_new(&opt);
	CHECK_EQ(act(&f->w, f->w.other, ZK_CREATE(ZK_PRODUCER_ID_BLOCK, SLICE_NULL)).error, ZKE_OK);
}

static void
end(struct fixture *f)
{
	producer_ids_stop(f->ids);
	zk_fake_settle(f->w.loop);
	producer_ids_free(&f->ids);
	diag_free(&f->diag);
	f->w.zk = zk_fake_client(f->w.fake, f->w.loop);		/* world_close wants one */
	world_close(&f->w);
}

/* -1: come again. */
static int64_t
claim(struct fixture *f)
{
	int64_t id = -7;
	enum kerr k = producer_ids_claim(f->ids, &id);

	CHECK(k == KERR_NONE || k == KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(k == KERR_NONE, id != -7);
	return (k == KERR_NONE ? id : -1);
}

/* As a client does it: again and again, with time passing. */
static int64_t
claim_in_the_end(struct fixture *f)
{
	int64_t id = -1;

	for (int i = 0; i < 20 && (id = claim(f)) < 0; i++) {
		zk_fake_settle(f->w.loop);
		clock_manual_advance_ns(&f->w.clock, INT64_C(100) * 1000000);
	}
	CHECK(id >= 0);
	return (id);
}

static void
put(struct fixture *f, const char *text)
{
	CHECK_EQ(act(&f->w, f->w.other, ZK_SET(ZK_PRODUCER_ID_BLOCK, slice_str(text), ZK_ANY_VERSION)).error, ZKE_OK);
}

static int64_t
end_in_zookeeper(struct fixture *f)
{
	struct kept k = act(&f->w, f->w.other, ZK_GET(ZK_PRODUCER_ID_BLOCK, NULL));
	struct zk_producer_id_block b;

	if (k.null)
		return (-1);
	CHECK_EQ(zk_producer_id_block_decode(slice_str(k.data), &b, NULL), OK);
	CHECK_EQ(b.broker_id, BROKER);
	return (b.last);
}

TEST(no_block_is_taken_before_somebody_asks)
{
	struct fixture f;

	begin(&f);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(end_in_zookeeper(&f), -1);
	CHECK_EQ(claim(&f), -1);
	CHECK_EQ(claim(&f), -1);		/* the answer is not there yet; one fetch is enough */
	zk_fake_settle(f.w.loop);
	CHECK_EQ(end_in_zookeeper(&f), BLOCK - 1);
	CHECK_EQ(claim(&f), 0);
	CHECK_EQ(claim(&f), 1);
	end(&f);
}

TEST(the_next_block_is_there_before_the_last_is_gone)
{
	struct fixture f;

	begin(&f);
	CHECK_EQ(claim_in_the_end(&f), 0);
	for (int64_t i = 1; i < 3 * BLOCK; i++) {
		CHECK_EQ(claim(&f), i);
		zk_fake_settle(f.w.loop);
		/* Fetched when a tenth is left, and only one. */
		CHECK_EQ(end_in_zookeeper(&f), (i % BLOCK < BLOCK - BLOCK / 10 - 1 ? i / BLOCK + 1 : i / BLOCK + 2) * BLOCK - 1);
	}
	CHECK_EQ(f.complaints, 0);
	end(&f);
}

TEST(blocks_of_other_brokers_are_stepped_over)
{
	struct fixture f;

	begin(&f);
	CHECK_EQ(claim_in_the_end(&f), 0);
	put(&f, "{\"version\":1,\"broker\":9,\"block_start\":\"1000\",\"block_end\":\"4999\"}");
	for (int64_t i = 1; i < BLOCK; i++) {
		CHECK_EQ(claim(&f), i);
		zk_fake_settle(f.w.loop);
	}
	CHECK_EQ(claim(&f), 5000);
	end(&f);
}

TEST(without_zookeeper_the_ids_at_hand_are_given_and_then_clients_come_again)
{
	struct fixture f;

	begin(&f);
	CHECK_EQ(claim_in_the_end(&f), 0);
	zk_fake_disconnect(f.w.zk);
	for (int64_t i = 1; i < BLOCK; i++)
		CHECK_EQ(claim(&f), i);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(claim(&f), -1);
		zk_fake_settle(f.w.loop);
		clock_manual_advance_ns(&f.w.clock, INT64_C(1000) * 1000000);
	}
	zk_fake_reconnect(f.w.zk);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(claim(&f), BLOCK);
	end(&f);
}

static bool
claims_under(enum zk_fault fault, uint64_t n)
{
	struct fixture f;
	int64_t before = -1, id;
	bool reached;

	begin(&f);
	zk_fake_fault(f.w.zk, fault, n);
	for (int i = 0; i < 2 * BLOCK + 1; i++) {
		id = claim_in_the_end(&f);
		CHECK(id > before);		/* hence none twice */
		before = id;
	}
	CHECK(before <= 4 * BLOCK);		/* a fault loses one block at most */
	reached = !zk_fake_faults_pending(f.w.zk);
	end(&f);
	return (reached);
}

TEST(no_id_is_given_twice_whatever_is_lost) { at_every_operation(claims_under); }

TEST(an_odd_znode_is_named_once_and_tried_again_not_too_soon)
{
	struct fixture f;
	uint64_t asked;

	begin(&f);
	put(&f, "{\"version\":1}");
	CHECK_EQ(claim(&f), -1);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(f.complaints, 1);
	CHECK(strstr(f.last, ZK_PRODUCER_ID_BLOCK) != NULL);
	asked = zk_fake_operations(f.w.zk);
	CHECK_EQ(claim(&f), -1);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(zk_fake_operations(f.w.zk), asked);	/* too soon */
	clock_manual_advance_ns(&f.w.clock, INT64_C(60) * 1000000);
	CHECK_EQ(claim(&f), -1);
	zk_fake_settle(f.w.loop);
	CHECK(zk_fake_operations(f.w.zk) > asked);
	CHECK_EQ(f.complaints, 1);
	put(&f, "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"999\"}");
	CHECK_EQ(claim_in_the_end(&f), BLOCK);
	end(&f);
}

TEST(a_znode_that_was_set_back_does_not_bring_old_ids_back)
{
	struct fixture f;
	int64_t id = -1;

	begin(&f);
	put(&f, "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"2999\"}");
	for (int i = 0; i < BLOCK - 200; i++)
		id = claim_in_the_end(&f);
	CHECK_EQ(id, 3 * BLOCK + BLOCK - 201);
	CHECK_EQ(act(&f.w, f.w.other, ZK_DELETE(ZK_PRODUCER_ID_BLOCK, ZK_ANY_VERSION)).error, ZKE_OK);
	for (int i = 0; i < BLOCK; i++) {
		int64_t next = claim_in_the_end(&f);

		CHECK(next > id);
		id = next;
	}
	CHECK_EQ(f.complaints, 1);
	CHECK(strstr(f.last, "set back") != NULL);
	end(&f);
}

TEST(the_very_last_id_is_given_once)
{
	struct fixture f;
	int64_t id = -1;

	begin(&f);
	put(&f, "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"9223372036854774807\"}");
	for (int i = 0; i < BLOCK; i++)
		id = claim_in_the_end(&f);
	CHECK(id == INT64_MAX);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(claim(&f), -1);
		zk_fake_settle(f.w.loop);
		clock_manual_advance_ns(&f.w.clock, INT64_C(100) * 1000000);
	}
	CHECK_EQ(f.complaints, 1);
	CHECK(strstr(f.last, "used up") != NULL);
	end(&f);
}

static void
note_block(struct producer_ids_block *b)
{
	b->broker_id = -100;		/* answered */
}

static struct producer_ids_block
take_block(struct fixture *f, int32_t broker_id)
{
	struct producer_ids_block b = { .broker_id = broker_id, .loop = f->w.loop, .done = note_block };

	producer_ids_take_block(f->ids, &b);
	zk_fake_settle(f->w.loop);
	CHECK_EQ(b.broker_id, -100);
	return (b);
}

TEST(a_block_for_another_broker_is_none_of_ours)
{
	struct producer_ids_block b;
	struct fixture f;

	begin(&f);
	b = take_block(&f, BROKER);
	CHECK_EQ(b.error, OK);
	CHECK_EQ(b.first, 0);
	CHECK_EQ(b.last, BLOCK - 1);
	CHECK_EQ(end_in_zookeeper(&f), BLOCK - 1);
	CHECK_EQ(claim_in_the_end(&f), BLOCK);
	b = take_block(&f, 9);
	CHECK_EQ(b.first, 2 * BLOCK);
	put(&f, "nonsense");
	CHECK_EQ(take_block(&f, 9).error, ERR_MALFORMED);
	CHECK_EQ(f.complaints, 1);
	CHECK(strstr(f.last, "broker 9") != NULL);
	zk_fake_fault(f.w.zk, ZK_FAULT_EXPIRE_BEFORE, 1);
	CHECK_EQ(take_block(&f, 9).error, ERR_ZK_EXPIRED);
	end(&f);
}

TEST(a_block_that_waits_for_zookeeper_is_answered_at_the_stop)
{
	struct producer_ids_block b;
	struct fixture f;

	begin(&f);
	b = (struct producer_ids_block){ .broker_id = 9, .loop = f.w.loop, .done = note_block };
	zk_fake_disconnect(f.w.zk);
	producer_ids_take_block(f.ids, &b);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(b.broker_id, 9);
	producer_ids_stop(f.ids);
	zk_fake_settle(f.w.loop);
	CHECK_EQ(b.broker_id, -100);
	CHECK_EQ(b.error, ERR_STOPPED);
	CHECK_EQ(take_block(&f, 9).error, ERR_STOPPED);
	CHECK_EQ(f.complaints, 0);
	end(&f);
}

TEST(a_stop_in_the_middle_of_a_fetch_ends_it)
{
	struct fixture f;

	begin(&f);
	CHECK_EQ(claim(&f), -1);
	zk_fake_disconnect(f.w.zk);
	loop_turn(f.w.loop, 0);
	producer_ids_stop(f.ids);
	CHECK_EQ(claim(&f), -1);
	zk_fake_settle(f.w.loop);
	clock_manual_advance_ns(&f.w.clock, INT64_C(1000) * 1000000);
	CHECK_EQ(claim(&f), -1);		/* after the stop: nothing happens */
	CHECK_EQ(f.complaints, 0);
	end(&f);
}

UNIT_MAIN("txn/producer_ids",
    T(no_block_is_taken_before_somebody_asks), T(the_next_block_is_there_before_the_last_is_gone), T(blocks_of_other_brokers_are_stepped_over),
    T(without_zookeeper_the_ids_at_hand_are_given_and_then_clients_come_again), T(no_id_is_given_twice_whatever_is_lost),
    T(an_odd_znode_is_named_once_and_tried_again_not_too_soon), T(a_znode_that_was_set_back_does_not_bring_old_ids_back),
    T(the_very_last_id_is_given_once), T(a_block_for_another_broker_is_none_of_ours),
    T(a_block_that_waits_for_zookeeper_is_answered_at_the_stop), T(a_stop_in_the_middle_of_a_fetch_ends_it))
