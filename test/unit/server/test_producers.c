/* SPDX-License-Identifier: Apache-2.0
 *
 * InitProducerId and DescribeProducers over a connection.
 */
#include "base/crc32c.h"
#include "base/must.h"
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

enum { NO_ID = -1 };

static struct wire_init_producer_id_request *
request(struct world *w, const char *transactional_id, int32_t timeout_ms, int64_t id, int16_t epoch)
{
	struct wire_init_producer_id_request *q = WIRE_NEW(&w->bed.arena, init_producer_id_request);

	q->transactional_id = transactional_id == NULL ? SLICE_NULL : slice_str(transactional_id);
	q->transaction_timeout_ms = timeout_ms;
	q->producer_id = id;
	q->producer_epoch = epoch;
	return (q);
}

/* The id; with an error, which answers no id, minus a thousand and its code. */
static int64_t
ask(struct world *w, int version, const char *transactional_id, int32_t timeout_ms, int64_t id, int16_t epoch)
{
	struct wire_init_producer_id_response *a = world_ask(w, 0, API_INIT_PRODUCER_ID, version, request(w, transactional_id, timeout_ms, id, epoch));

	if (a == NULL)
		return (-9999);
	CHECK_EQ(a->producer_epoch, a->error_code == 0 ? 0 : -1);
	CHECK_EQ(a->throttle_time_ms, 0);
	if (a->error_code == 0)
		return (a->producer_id);
	CHECK_EQ(a->producer_id, NO_ID);
	return (-1000 - a->error_code);
}

#define REFUSED(k)	(-1000 - (k))

TEST(every_version_gives_another_id)
{
	struct world w;
	int64_t next = 0;

	world_init(&w, NULL, 0);
	CHECK_EQ(ask(&w, 4, NULL, 0, NO_ID, -1), REFUSED(KERR_COORDINATOR_LOAD_IN_PROGRESS));	/* the block is being fetched */
	for (int v = 0; v <= 5; v++) {
		CHECK_EQ(ask(&w, v, NULL, 60000, NO_ID, -1), next++);
		CHECK_EQ(ask(&w, v, NULL, -7, NO_ID, -1), next++);	/* the time-out is of transactions only */
	}
	for (int v = 3; v <= 5; v++)
		CHECK_EQ(ask(&w, v, NULL, 0, 4, 7), next++);		/* nothing to resume */
	world_fini(&w);
}

static void
find_block(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	(void)data;
	(void)stat;
	*(bool *)ctx |= strcmp(path, "/latest_producer_id_block") == 0;
}

static bool
block_taken(struct world *w)
{
	bool found = false;

	bed_run(&w->bed);
	zk_tree_walk(zk_fake_tree(w->zk), find_block, &found);
	return (found);
}

TEST(a_transactional_id_is_checked_and_then_has_no_coordinator_here)
{
	static const char *const overrides[] = { "transaction.max.timeout.ms=5000" };
	struct world w;

	world_init(&w, overrides, NELEM(overrides));
	for (int v = 0; v <= 5; v++) {
		CHECK_EQ(ask(&w, v, "t", 5000, NO_ID, -1), REFUSED(KERR_NOT_COORDINATOR));
		CHECK_EQ(ask(&w, v, "t", 1, NO_ID, -1), REFUSED(KERR_NOT_COORDINATOR));
		CHECK_EQ(ask(&w, v, "t", 5001, NO_ID, -1), REFUSED(KERR_INVALID_TRANSACTION_TIMEOUT));
		CHECK_EQ(ask(&w, v, "t", 0, NO_ID, -1), REFUSED(KERR_INVALID_TRANSACTION_TIMEOUT));
		CHECK_EQ(ask(&w, v, "", 0, NO_ID, -1), REFUSED(KERR_INVALID_REQUEST));
	}
	for (int v = 3; v <= 5; v++) {
		CHECK_EQ(ask(&w, v, "t", 5000, 4, 7), REFUSED(KERR_NOT_COORDINATOR));
		CHECK_EQ(ask(&w, v, "t", 0, 4, -1), REFUSED(KERR_INVALID_REQUEST));	/* before the time-out */
		CHECK_EQ(ask(&w, v, NULL, 0, NO_ID, 7), REFUSED(KERR_INVALID_REQUEST));
		CHECK_EQ(ask(&w, v, NULL, 0, 4, -1), REFUSED(KERR_INVALID_REQUEST));
	}
	CHECK(!block_taken(&w));	/* no id was taken for all that */
	CHECK_EQ(ask(&w, 4, NULL, 0, NO_ID, -1), REFUSED(KERR_COORDINATOR_LOAD_IN_PROGRESS));
	CHECK(block_taken(&w));
	world_fini(&w);
}

/* ---- DescribeProducers ---- */

static struct wire_describe_producers_request *
describe_request(struct world *w, const char *topic, int32_t *partitions, int32_t n)
{
	struct wire_describe_producers_request *q = WIRE_NEW(&w->bed.arena, describe_producers_request);

	q->topics.v = WIRE_NEW(&w->bed.arena, describe_producers_request_topic);
	q->topics.n = 1;
	q->topics.v[0].name = slice_str(topic);
	q->topics.v[0].partition_indexes.v = partitions;
	q->topics.v[0].partition_indexes.n = n;
	return (q);
}

static struct wire_describe_producers_response_partition *
describe(struct world *w, const char *topic, int32_t partition)
{
	static struct wire_describe_producers_response_partition none = { .error_code = -99 };
	struct wire_describe_producers_response *a = world_ask(w, 0, API_DESCRIBE_PRODUCERS, 0, describe_request(w, topic, &partition, 1));

	if (a == NULL || a->topics.n != 1 || !slice_eq_str(a->topics.v[0].name, topic) || a->topics.v[0].partitions.n != 1)
		return (&none);
	CHECK_EQ(a->topics.v[0].partitions.v[0].partition_index, partition);
	return (&a->topics.v[0].partitions.v[0]);
}

static int16_t
put_as(struct world *w, const char *transactional_id, bool transactional, int64_t id, int16_t epoch, int32_t sequence)
{
	struct wire_produce_request *q = WIRE_NEW(&w->bed.arena, produce_request);
	struct wire_produce_response *a;
	size_t len;
	uint8_t *b = bed_batch(&w->bed, 1, 10, BED_NOW, &len);

	be64enc(b + 43, (uint64_t)id);
	be16enc(b + 51, (uint16_t)epoch);
	be32enc(b + 53, (uint32_t)sequence);
	be16enc(b + 21, (uint16_t)(transactional ? BATCH_ATTR_TRANSACTIONAL : 0));
	be32enc(b + 17, crc32c(b + 21, len - 21));
	q->transactional_id = transactional_id == NULL ? SLICE_NULL : slice_str(transactional_id);
	q->acks = 1;
	q->topic_data.v = WIRE_NEW(&w->bed.arena, produce_request_topic);
	q->topic_data.n = 1;
	q->topic_data.v[0].name = slice_str("t");
	q->topic_data.v[0].partition_data.v = WIRE_NEW(&w->bed.arena, produce_request_partition);
	q->topic_data.v[0].partition_data.n = 1;
	chain_init(&q->topic_data.v[0].partition_data.v[0].records);
	must(chain_add_mem(&q->topic_data.v[0].partition_data.v[0].records, &w->bed.arena, slice_of(b, len)));
	a = world_ask(w, 0, API_PRODUCE, 9, q);
	return (a == NULL ? -99 : a->responses.v[0].partition_responses.v[0].error_code);
}

static int16_t
put(struct world *w, int64_t id, int16_t epoch, int32_t sequence)
{
	return (put_as(w, NULL, false, id, epoch, sequence));
}

TEST(a_transactional_batch_needs_an_id_and_then_a_coordinator)
{
	struct world w;

	world_init(&w, NULL, 0);
	CHECK_EQ(bed_metadata(&w.bed, &(struct bed_role){ .partition = 0 }, false), KERR_NONE);
	CHECK_EQ(bed_lead(&w.bed, "t", 0, 0), KERR_NONE);
	CHECK_EQ(put_as(&w, NULL, true, 5, 0, 0), KERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	CHECK_EQ(put_as(&w, "tx", true, 5, 0, 0), KERR_NOT_ENOUGH_REPLICAS);
	CHECK_EQ(put_as(&w, "tx", false, 5, 0, 0), KERR_NONE);		/* the id alone means nothing */
	CHECK_EQ(put_as(&w, NULL, false, 5, 0, 1), KERR_NONE);		/* nothing of the refused ones was taken for the producer's */
	world_fini(&w);
}

TEST(producers_are_described_and_what_is_not_here_says_so)
{
	struct wire_describe_producers_response_partition *p;
	struct wire_describe_producers_response *a;
	int32_t two[] = { 0, 0 };
	struct world w;

	world_init(&w, NULL, 0);
	CHECK_EQ(bed_metadata(&w.bed, &(struct bed_role){ .partition = 0 }, false), KERR_NONE);
	CHECK_EQ(bed_metadata(&w.bed, &(struct bed_role){ .partition = 1, .leader = 2 }, true), KERR_NONE);
	CHECK_EQ(bed_lead(&w.bed, "t", 0, 0), KERR_NONE);
	p = describe(&w, "t", 0);
	CHECK_EQ(p->error_code, 0);
	CHECK_EQ(p->active_producers.n, 0);
	CHECK_EQ(put(&w, 5, 3, 9), 0);
	CHECK_EQ(put(&w, 4, 0, 0), 0);
	p = describe(&w, "t", 0);
	CHECK_EQ(p->error_code, 0);
	CHECK(p->error_message.p == NULL);
	CHECK_EQ(p->active_producers.n, 2);
	if (p->active_producers.n == 2) {
		struct wire_describe_producers_response_producer_state *s = &p->active_producers.v[1];

		CHECK_EQ(p->active_producers.v[0].producer_id, 4);
		CHECK_EQ(s->producer_id, 5);
		CHECK_EQ(s->producer_epoch, 3);
		CHECK_EQ(s->last_sequence, 9);
		CHECK_EQ(s->last_timestamp, BED_NOW);
		CHECK_EQ(s->coordinator_epoch, -1);
		CHECK_EQ(s->current_txn_start_offset, -1);
	}
	CHECK_EQ(describe(&w, "t", 1)->error_code, KERR_NOT_LEADER_OR_FOLLOWER);	/* on another broker */
	p = describe(&w, "t", 9);
	CHECK_EQ(p->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK(p->error_message.p == NULL);
	p = describe(&w, "u", 0);
	CHECK_EQ(p->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK(p->error_message.len > 0);
	p = describe(&w, "no topic", 0);
	CHECK_EQ(p->error_code, KERR_INVALID_TOPIC_EXCEPTION);
	CHECK(p->error_message.len > 0);
	a = world_ask(&w, 0, API_DESCRIBE_PRODUCERS, 0, describe_request(&w, "t", two, 2));
	CHECK(a != NULL && a->topics.v[0].partitions.n == 2 && a->topics.v[0].partitions.v[1].active_producers.n == 2);
	world_fini(&w);
}

UNIT_MAIN("server/producers", T(every_version_gives_another_id), T(a_transactional_id_is_checked_and_then_has_no_coordinator_here),
    T(a_transactional_batch_needs_an_id_and_then_a_coordinator), T(producers_are_described_and_what_is_not_here_says_so))
