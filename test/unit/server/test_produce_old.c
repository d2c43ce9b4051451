/* SPDX-License-Identifier: Apache-2.0
 *
 * Produce 0, 1 and 2 over a connection, byte for byte: messages of magic 0 and 1 come out of the log as batches of magic 2.
 */
#include <sys/socket.h>

#include "base/must.h"
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

/* Offsets 5 and 6, which are the client's own idea; the second without key and value. */
static const uint8_t two_of_magic_0[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x10, 0x1f, 0xec, 0xd7, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x6b, 0x00,
    0x00, 0x00, 0x01, 0x76, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x0e, 0xa7, 0xec, 0x68, 0x03, 0x00, 0x00, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff
};
static const uint8_t one_of_magic_1[] = {	/* timestamp BED_NOW */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x18, 0x39, 0x26, 0x8c, 0x33, 0x01, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5,
    0x68, 0x00, 0x00, 0x00, 0x00, 0x01, 0x6b, 0x00, 0x00, 0x00, 0x01, 0x76
};
/* The one, then the other, as Kafka's leader of epoch 6 stores them: magic 0 has no timestamps, so they are -1. */
static const uint8_t stored[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x41, 0x00, 0x00, 0x00, 0x06, 0x02, 0x7e, 0xb0, 0x3f, 0x23, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x02, 0x10, 0x00, 0x00, 0x00, 0x02, 0x6b, 0x02, 0x76, 0x00, 0x0c, 0x00,
    0x00, 0x02, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x3a, 0x00, 0x00, 0x00, 0x06, 0x02, 0xe9, 0x9b,
    0x8d, 0xd8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00, 0x02, 0x6b,
    0x02, 0x76, 0x00
};

static void
lead(struct world *w)
{
	CHECK_EQ(bed_metadata(&w->bed, &(struct bed_role){ .leader_epoch = 6 }, false), KERR_NONE);
	CHECK_EQ(bed_lead(&w->bed, "t", 0, 6), KERR_NONE);
}

/* len -1: null records. */
static void
produce(struct world *w, int version, int acks, const uint8_t *records, int32_t len)
{
	uint8_t bytes[512];
	struct writer wr = writer_of(bytes, sizeof(bytes));

	wr_i32(&wr, 0);
	wr_i16(&wr, API_PRODUCE);
	wr_i16(&wr, (int16_t)version);
	wr_i32(&wr, 77);
	wr_bytes(&wr, "\0\4unit", 6);
	wr_i16(&wr, (int16_t)acks);
	wr_i32(&wr, 1000);
	wr_i32(&wr, 1);
	wr_bytes(&wr, "\0\1t", 3);
	wr_i32(&wr, 1);
	wr_i32(&wr, 0);
	wr_i32(&wr, len);
	wr_bytes(&wr, records, len < 0 ? 0 : (size_t)len);
	be32enc(bytes, (uint32_t)wr_len(&wr) - 4);
	must(send(w->fd[0], bytes, wr_len(&wr), MSG_NOSIGNAL) == (ssize_t)wr_len(&wr));
	bed_run(&w->bed);
}

/* Nothing but this came. */
static bool
answered(struct world *w, int version, enum kerr error, int64_t base_offset)
{
	uint8_t want[64];
	struct writer wr = writer_of(want, sizeof(want));
	struct slice got;
	bool closed;

	wr_i32(&wr, 4 + 4 + 3 + 4 + 4 + 2 + 8 + (version >= 2 ? 8 : 0) + (version >= 1 ? 4 : 0));
	wr_i32(&wr, 77);
	wr_i32(&wr, 1);
	wr_bytes(&wr, "\0\1t", 3);
	wr_i32(&wr, 1);
	wr_i32(&wr, 0);
	wr_i16(&wr, (int16_t)error);
	wr_i64(&wr, base_offset);
	if (version >= 2)
		wr_i64(&wr, -1);		/* log append time */
	if (version >= 1)
		wr_i32(&wr, 0);			/* throttle */
	got = world_take(w, 0, &closed);
	return (!closed && got.len == wr_len(&wr) && memcmp(got.p, want, got.len) == 0);
}

/* What Fetch 4 gives from offset 0 on. */
static struct slice
fetched(struct world *w)
{
	struct wire_fetch_request *q = WIRE_NEW(&w->bed.arena, fetch_request);
	struct wire_fetch_request_topic *t = WIRE_NEW(&w->bed.arena, fetch_request_topic);
	struct wire_fetch_request_partition *p = WIRE_NEW(&w->bed.arena, fetch_request_partition);
	struct wire_fetch_response *a;
	const struct chain *records;

	q->replica_id = -1;
	q->max_bytes = 1 << 20;
	q->topics.v = t;
	q->topics.n = 1;
	t->topic = slice_str("t");
	t->partitions.v = p;
	t->partitions.n = 1;
	p->partition_max_bytes = 1 << 20;
	a = world_ask(w, 1, API_FETCH, 4, q);
	if (a == NULL || a->responses.n != 1 || a->responses.v[0].partitions.n != 1)
		return (SLICE_NULL);
	records = &a->responses.v[0].partitions.v[0].records;
	return (records->first == NULL ? SLICE_NULL : slice_of(records->first->mem.p, records->first->mem.len));
}

TEST(old_messages_are_stored_as_batches_of_magic_2)
{
	struct world w;
	struct slice got;

	world_init(&w, NULL, 0);
	lead(&w);
	produce(&w, 0, 1, two_of_magic_0, sizeof(two_of_magic_0));
	CHECK(answered(&w, 0, KERR_NONE, 0));
	produce(&w, 1, -1, one_of_magic_1, sizeof(one_of_magic_1));
	CHECK(answered(&w, 1, KERR_NONE, 2));
	got = fetched(&w);
	CHECK_EQ(got.len, sizeof(stored));
	if (got.len == sizeof(stored))
		CHECK_MEM(got.p, stored, got.len);
	for (int v = 0; v <= 2; v++) {		/* no version insists on a magic */
		produce(&w, v, -1, two_of_magic_0, sizeof(two_of_magic_0));
		CHECK(answered(&w, v, KERR_NONE, 3 + 3 * v));
		produce(&w, v, 1, one_of_magic_1, sizeof(one_of_magic_1));
		CHECK(answered(&w, v, KERR_NONE, 5 + 3 * v));
	}
	world_fini(&w);
}

TEST(an_empty_set_is_no_error_and_has_no_offset)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w);
	for (int v = 0; v <= 2; v++)
		for (int acks = -1; acks <= 1; acks += 2) {
			produce(&w, v, acks, NULL, 0);
			CHECK(answered(&w, v, KERR_NONE, -1));
			produce(&w, v, acks, one_of_magic_1, sizeof(one_of_magic_1) - 1);	/* not one message is whole */
			CHECK(answered(&w, v, KERR_NONE, -1));
			produce(&w, v, acks, NULL, -1);
			CHECK(answered(&w, v, KERR_UNKNOWN_SERVER_ERROR, -1));
		}
	CHECK_EQ(fetched(&w).len, 0);
	world_fini(&w);
}

TEST(a_damaged_message_is_refused)
{
	uint8_t bad[sizeof(two_of_magic_0)];
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w);
	for (int v = 0; v <= 2; v++) {
		memcpy(bad, two_of_magic_0, sizeof(bad));
		bad[27] ^= 1;
		produce(&w, v, -1, bad, sizeof(bad));
		CHECK(answered(&w, v, KERR_CORRUPT_MESSAGE, -1));
		produce(&w, v, -1, two_of_magic_0, sizeof(two_of_magic_0) - 1);	/* only the second is incomplete */
		CHECK(answered(&w, v, KERR_NONE, v));
	}
	world_fini(&w);
}

TEST(without_acks_there_is_no_answer_and_an_error_closes)
{
	uint8_t bad[sizeof(two_of_magic_0)];
	struct world w;
	bool closed;

	world_init(&w, NULL, 0);
	lead(&w);
	produce(&w, 0, 0, two_of_magic_0, sizeof(two_of_magic_0));
	produce(&w, 0, 0, NULL, 0);
	CHECK_EQ(world_take(&w, 0, &closed).len, 0);
	CHECK(!closed);
	CHECK_EQ(fetched(&w).len, 77);
	memcpy(bad, two_of_magic_0, sizeof(bad));
	bad[27] ^= 1;
	produce(&w, 0, 0, bad, sizeof(bad));
	CHECK_EQ(world_take(&w, 0, &closed).len, 0);
	CHECK(closed);
	world_fini(&w);
}

UNIT_MAIN("server/produce_old", T(old_messages_are_stored_as_batches_of_magic_2), T(an_empty_set_is_no_error_and_has_no_offset),
    T(a_damaged_message_is_refused), T(without_acks_there_is_no_answer_and_an_error_closes))
