/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of producer ids: no id is given twice, whatever happens to the connection at any operation.
 */
#include <inttypes.h>

#include "test/unit/zk/zk_test.h"
#include "zk/producer_block.h"

struct taken {
	unsigned answers;
	enum err err;
	struct zk_producer_id_block block;
	char	 text[600];
};

static void
on_block(void *ctx, enum err e, const struct zk_producer_id_block *b, const struct errbuf *why)
{
	struct taken *t = ctx;

	t->answers++;
	t->err = e;
	t->block = *b;
	snprintf(t->text, sizeof(t->text), "%s", why->text);
	CHECK((e == OK) == (why->text[0] == '\0'));
}

static struct taken
take_once(struct world *w, struct zk *zk, int32_t broker_id)
{
	struct taken t = { .answers = 0 };

	zk_producer_block_take(zk, broker_id, on_block, &t);
	zk_fake_settle(w->loop);
	CHECK_EQ(t.answers, 1);
	return (t);
}

/* Until it is not the session's end that stops it. */
static struct taken
take(struct world *w, struct zk *zk, int32_t broker_id)
{
	struct taken t;
	unsigned tries = 0;

	do
		t = take_once(w, zk, broker_id);
	while (t.err == ERR_ZK_EXPIRED && ++tries < 5);
	return (t);
}

static void
put(struct world *w, const char *text)
{
	struct slice data = text == NULL ? SLICE_NULL : slice_str(text);
	struct kept k = act(w, w->other, ZK_CREATE(ZK_PRODUCER_ID_BLOCK, data));

	if (k.error == ZKE_NODE_EXISTS)
		k = act(w, w->other, ZK_SET(ZK_PRODUCER_ID_BLOCK, data, ZK_ANY_VERSION));
	CHECK_EQ(k.error, ZKE_OK);
}

static void
check_node(struct world *w, int32_t broker_id, int64_t first)
{
	struct kept k = act(w, w->other, ZK_GET(ZK_PRODUCER_ID_BLOCK, NULL));
	struct zk_producer_id_block b;
	struct errbuf eb = ERRBUF_INIT;

	CHECK_EQ(zk_producer_id_block_decode(slice_str(k.data), &b, &eb), OK);
	CHECK_EQ(b.broker_id, broker_id);
	CHECK_EQ(b.first, first);
	CHECK_EQ(b.last, first + 999);
	CHECK(strstr(k.data, "\"version\":1") != NULL);
}

TEST(the_first_block_begins_at_zero_and_each_is_behind_the_last)
{
	for (int node = 0; node < 2; node++) {		/* null data as Java makes it at start; none at all */
		struct world w;
		struct taken t;

		world_open(&w);
		if (node == 0)
			put(&w, NULL);
		t = take(&w, w.zk, 4);
		CHECK_EQ(t.err, OK);
		CHECK_EQ(t.block.first, 0);
		CHECK_EQ(t.block.last, 999);
		check_node(&w, 4, 0);
		CHECK_EQ(take(&w, w.other, 5).block.first, 1000);
		check_node(&w, 5, 1000);
		CHECK_EQ(take(&w, w.zk, 4).block.first, 2000);
		world_close(&w);
	}
}

TEST(a_java_block_is_followed_whatever_its_size)
{
	struct world w;
	struct taken t;

	world_open(&w);
	put(&w, "{\"version\":1,\"broker\":0,\"block_start\":\"40\",\"block_end\":\"41\"}");
	t = take(&w, w.zk, 2);
	CHECK_EQ(t.err, OK);
	CHECK_EQ(t.block.first, 42);
	CHECK_EQ(t.block.last, 1041);
	world_close(&w);
}

TEST(fields_of_a_newer_broker_are_kept)
{
	struct world w;
	struct kept k;

	world_open(&w);
	put(&w, "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"999\",\"colour\":\"blue\"}");
	CHECK_EQ(take(&w, w.zk, 2).block.first, 1000);
	k = act(&w, w.other, ZK_GET(ZK_PRODUCER_ID_BLOCK, NULL));
	CHECK(strstr(k.data, "\"colour\":\"blue\"") != NULL);
	world_close(&w);
}

TEST(a_node_that_holds_no_block_is_named_and_left_alone)
{
	static const char *const odd[] = {
		"", "no json", "[]", "{}", "{\"version\":1,\"broker\":0,\"block_start\":\"0\"}",
		"{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":999}",
		"{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"9223372036854775808\"}",
		"{\"version\":1,\"broker\":0,\"block_start\":\"-2000\",\"block_end\":\"-1001\"}",
	};

	for (size_t i = 0; i < NELEM(odd); i++) {
		struct world w;
		struct taken t;

		world_open(&w);
		put(&w, odd[i]);
		t = take(&w, w.zk, 2);
		CHECK_EQ(t.err, ERR_MALFORMED);
		CHECK(strstr(t.text, ZK_PRODUCER_ID_BLOCK) != NULL);
		CHECK_STR(act(&w, w.other, ZK_GET(ZK_PRODUCER_ID_BLOCK, NULL)).data, odd[i]);
		world_close(&w);
	}
}

TEST(the_last_ids_of_all_are_given_and_then_no_more)
{
	char text[200];
	struct world w;
	struct taken t;

	world_open(&w);
	snprintf(text, sizeof(text), "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"%" PRId64 "\"}", INT64_MAX - 1000);
	put(&w, text);
	t = take(&w, w.zk, 2);
	CHECK_EQ(t.err, OK);
	CHECK_EQ(t.block.last, INT64_MAX);
	t = take(&w, w.zk, 2);
	CHECK_EQ(t.err, ERR_LIMIT);
	CHECK(strstr(t.text, "used up") != NULL);
	check_node(&w, 2, INT64_MAX - 999);
	world_close(&w);
}

/* Two brokers take in turn; one has the fault.  All blocks differ, and a broker that asks again after it gets one behind all. */
static bool
take_under(enum zk_fault fault, uint64_t n, const char *before)
{
	struct taken t[6];
	struct world w;
	bool reached;

	world_open(&w);
	if (before != NULL)
		put(&w, before);
	zk_fake_fault(w.zk, fault, n);
	for (unsigned i = 0; i < NELEM(t); i++) {
		t[i] = take(&w, i % 2 == 0 ? w.zk : w.other, (int32_t)(i % 2));
		CHECK_EQ(t[i].err, OK);
		CHECK_EQ(t[i].block.last, t[i].block.first + 999);
		for (unsigned j = 0; j < i; j++)
			CHECK(t[j].block.last < t[i].block.first);
	}
	/* A fault loses at most one block. */
	CHECK(t[5].block.first - t[0].block.first <= 6000);
	check_node(&w, 1, t[5].block.first);
	reached = !zk_fake_faults_pending(w.zk);
	world_close(&w);
	return (reached);
}

static bool
take_made(enum zk_fault fault, uint64_t n)
{
	return (take_under(fault, n, "{\"version\":1,\"broker\":0,\"block_start\":\"0\",\"block_end\":\"999\"}"));
}

static bool
take_new(enum zk_fault fault, uint64_t n)
{
	return (take_under(fault, n, NULL));
}

TEST(no_id_is_given_twice_whatever_is_lost)
{
	at_every_operation(take_made);
	at_every_operation(take_new);
}

TEST(brokers_that_ask_at_once_get_different_blocks)
{
	struct taken t[8] = { 0 };
	struct world w;

	world_open(&w);
	for (unsigned i = 0; i < NELEM(t); i++)
		zk_producer_block_take(i % 2 == 0 ? w.zk : w.other, (int32_t)i, on_block, &t[i]);
	zk_fake_settle(w.loop);
	for (unsigned i = 0; i < NELEM(t); i++) {
		CHECK_EQ(t[i].answers, 1);
		CHECK_EQ(t[i].err, OK);
		for (unsigned j = 0; j < i; j++)
			CHECK(t[j].block.first != t[i].block.first);
	}
	world_close(&w);
}

TEST(an_error_of_the_server_is_told)
{
	for (uint64_t n = 1; n <= 2; n++) {
		struct world w;
		struct taken t;

		world_open(&w);
		put(&w, NULL);
		zk_fake_fault(w.zk, ZK_FAULT_SYSTEM_ERROR, n);
		t = take(&w, w.zk, 2);
		CHECK_EQ(t.err, ERR_ZK);
		CHECK(strstr(t.text, ZK_PRODUCER_ID_BLOCK) != NULL);
		CHECK_EQ(take(&w, w.zk, 2).block.first, 0);
		world_close(&w);
	}
}

UNIT_MAIN("zk/producer_block",
    T(the_first_block_begins_at_zero_and_each_is_behind_the_last), T(a_java_block_is_followed_whatever_its_size), T(fields_of_a_newer_broker_are_kept),
    T(a_node_that_holds_no_block_is_named_and_left_alone), T(the_last_ids_of_all_are_given_and_then_no_more), T(no_id_is_given_twice_whatever_is_lost),
    T(brokers_that_ask_at_once_get_different_blocks), T(an_error_of_the_server_is_told))
