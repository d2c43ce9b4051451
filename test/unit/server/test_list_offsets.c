/* SPDX-License-Identifier: Apache-2.0
 *
 * ListOffsets over a connection, in every version.
 */
#include "log/read.h"
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

/* One topic "t", n partitions from 0 on, all with this timestamp. */
static struct wire_list_offsets_request *
request(struct world *w, int32_t n, int64_t timestamp)
{
	struct wire_list_offsets_request *q = WIRE_NEW(&w->bed.arena, list_offsets_request);
	struct wire_list_offsets_request_topic *t = WIRE_NEW(&w->bed.arena, list_offsets_request_topic);

	q->replica_id = -1;
	q->topics.v = t;
	q->topics.n = 1;
	t->name = slice_str("t");
	t->partitions.v = WIRE_NEW_ARRAY(&w->bed.arena, list_offsets_request_partition, n);
	t->partitions.n = n;
	for (int32_t i = 0; i < n; i++) {
		t->partitions.v[i].partition_index = i;
		t->partitions.v[i].timestamp = timestamp;
	}
	return (q);
}

static struct wire_list_offsets_response_partition *
ask(struct world *w, int version, struct wire_list_offsets_request *q)
{
	static struct wire_list_offsets_response_partition none = { .error_code = -99 };
	struct wire_list_offsets_response *a = world_ask(w, 0, API_LIST_OFFSETS, version, q);

	if (a == NULL || a->topics.n != 1 || !slice_eq_str(a->topics.v[0].name, "t") || a->topics.v[0].partitions.n != q->topics.v[0].partitions.n)
		return (&none);
	return (a->topics.v[0].partitions.v);
}

static void
lead(struct world *w)
{
	CHECK_EQ(bed_metadata(&w->bed, &(struct bed_role){ .leader_epoch = 6 }, false), KERR_NONE);
	CHECK_EQ(bed_lead(&w->bed, "t", 0, 6), KERR_NONE);
}

TEST(an_answer_byte_for_byte)
{
	static const char v1[] = "\0\0\0\x25" "\0\0\0\x4d" "\0\0\0\1" "\0\1t" "\0\0\0\1" "\0\0\0\0" "\0\0" "\xff\xff\xff\xff\xff\xff\xff\xff"
	    "\0\0\0\0\0\0\0\2";
	static const char v9[] = "\0\0\0\x2a" "\0\0\0\x4d" "\0" "\0\0\0\0" "\2" "\2t" "\2" "\0\0\0\0" "\0\0" "\xff\xff\xff\xff\xff\xff\xff\xff"
	    "\0\0\0\0\0\0\0\2" "\0\0\0\6" "\0\0\0";
	static const char v0[] = "\0\0\0\x29" "\0\0\0\x4d" "\0\0\0\1" "\0\1t" "\0\0\0\1" "\0\0\0\0" "\0\0" "\0\0\0\2" "\0\0\0\0\0\0\0\2"
	    "\0\0\0\0\0\0\0\0";
	struct world w;
	struct slice got;
	struct wire_list_offsets_request *q;
	bool closed;

	world_init(&w, NULL, 0);
	lead(&w);
	bed_put(&w.bed, "t", 0);
	bed_put(&w.bed, "t", 0);
	world_send(&w, 0, API_LIST_OFFSETS, 1, request(&w, 1, LOG_TIME_LATEST));
	got = world_take(&w, 0, &closed);
	CHECK_EQ(got.len, sizeof(v1) - 1);
	CHECK_MEM(got.p, v1, sizeof(v1) - 1);
	world_send(&w, 0, API_LIST_OFFSETS, 9, request(&w, 1, LOG_TIME_LATEST));
	got = world_take(&w, 0, &closed);
	CHECK_EQ(got.len, sizeof(v9) - 1);
	CHECK_MEM(got.p, v9, sizeof(v9) - 1);
	q = request(&w, 1, LOG_TIME_LATEST);
	q->topics.v[0].partitions.v[0].max_num_offsets = 5;
	world_send(&w, 0, API_LIST_OFFSETS, 0, q);
	got = world_take(&w, 0, &closed);
	CHECK_EQ(got.len, sizeof(v0) - 1);
	CHECK_MEM(got.p, v0, sizeof(v0) - 1);
	world_fini(&w);
}

TEST(each_name_of_an_offset_has_the_version_that_brought_it)
{
	static const struct { int64_t timestamp; int since; int64_t offset; } rows[] = {
		{ LOG_TIME_LATEST, 0, 2 }, { LOG_TIME_EARLIEST, 0, 0 }, { LOG_TIME_MAX, 7, 0 }, { LOG_TIME_EARLIEST_LOCAL, 8, 0 },
		{ LOG_TIME_LATEST_TIERED, 9, -1 }, { -6, 99, -1 }, { INT64_MIN, 99, -1 }, { BED_NOW, 1, 0 }, { BED_NOW + 1, 1, -1 },
	};
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w);
	bed_put(&w.bed, "t", 0);
	bed_put(&w.bed, "t", 0);
	for (int v = 1; v <= 9; v++)
		for (size_t i = 0; i < NELEM(rows); i++) {
			struct wire_list_offsets_response_partition *p = ask(&w, v, request(&w, 1, rows[i].timestamp));
			bool known = v >= rows[i].since;

			unit_check(p->error_code == (known ? 0 : KERR_UNSUPPORTED_VERSION) && p->offset == (known ? rows[i].offset : -1), __FILE__,
			    __LINE__, "version %d, row %zu: %d, %lld", v, i, p->error_code, (long long)p->offset);
			CHECK_EQ(p->leader_epoch, v >= 4 && known && rows[i].offset >= 0 ? 6 : -1);
			CHECK_EQ(p->timestamp, p->offset >= 0 && (rows[i].timestamp > 0 || rows[i].timestamp == LOG_TIME_MAX) ? BED_NOW : -1);
		}
	world_fini(&w);
}

TEST(the_oldest_version_knows_two_names)
{
	struct world w;
	struct wire_list_offsets_response_partition *p;

	world_init(&w, NULL, 0);
	lead(&w);
	bed_put(&w.bed, "t", 0);
	for (int64_t ts = -6; ts <= 0; ts++) {
		p = ask(&w, 0, request(&w, 1, ts));
		CHECK_EQ(p->error_code, ts < -2 ? KERR_UNSUPPORTED_VERSION : 0);
		CHECK_EQ(p->old_style_offsets.n, ts == -1 || ts == -2 ? 1 : 0);
	}
	CHECK_EQ(ask(&w, 0, request(&w, 1, -1))->old_style_offsets.v[0], 1);
	CHECK_EQ(ask(&w, 0, request(&w, 1, -2))->old_style_offsets.v[0], 0);
	p = ask(&w, 0, request(&w, 2, -1));	/* t-1 is not there */
	CHECK_EQ(p[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	world_fini(&w);
}

TEST(a_partition_named_twice_is_refused_wherever_it_is_named)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w);
	for (int v = 0; v <= 9; v++) {
		struct wire_list_offsets_request *q = request(&w, 3, LOG_TIME_LATEST);
		struct wire_list_offsets_response_partition *p;

		q->topics.v[0].partitions.v[2].partition_index = 0;
		p = ask(&w, v, q);
		CHECK_EQ(p[0].error_code, v == 0 ? 0 : KERR_INVALID_REQUEST);
		CHECK_EQ(p[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(p[2].error_code, v == 0 ? 0 : KERR_INVALID_REQUEST);
		CHECK_EQ(p[2].partition_index, 0);
	}
	world_fini(&w);
}

TEST(not_yet_is_said_in_the_words_of_the_version)
{
	struct world w;

	world_init(&w, NULL, 0);
	CHECK_EQ(bed_role(&w.bed, &(struct bed_role){ .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	bed_put(&w.bed, "t", 0);
	CHECK_EQ(bed_role(&w.bed, &(struct bed_role){ .leader_epoch = 6, .partition_epoch = 1, .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	for (int v = 1; v <= 9; v++)
		CHECK_EQ(ask(&w, v, request(&w, 1, LOG_TIME_LATEST))->error_code, v < 5 ? KERR_LEADER_NOT_AVAILABLE : KERR_OFFSET_NOT_AVAILABLE);
	world_fini(&w);
}

TEST(epochs_and_isolation_levels)
{
	struct world w;
	struct wire_list_offsets_request *q;

	world_init(&w, NULL, 0);
	lead(&w);
	q = request(&w, 1, LOG_TIME_LATEST);
	for (int32_t epoch = -2; epoch <= 8; epoch++) {
		q->topics.v[0].partitions.v[0].current_leader_epoch = epoch;
		CHECK_EQ(ask(&w, 9, q)->error_code, epoch == -1 || epoch == 6 ? 0 : epoch < 6 ? KERR_FENCED_LEADER_EPOCH : KERR_UNKNOWN_LEADER_EPOCH);
	}
	q = request(&w, 1, LOG_TIME_LATEST);
	q->isolation_level = 1;
	CHECK_EQ(ask(&w, 9, q)->error_code, 0);
	q->isolation_level = 2;
	CHECK_EQ(ask(&w, 9, q)->error_code, KERR_UNKNOWN_SERVER_ERROR);
	q->replica_id = 1;			/* brokers are not asked for one */
	CHECK_EQ(ask(&w, 9, q)->error_code, 0);
	world_fini(&w);
}

TEST(random_requests_harm_nobody)
{
	struct world w;
	struct random *rnd;
	bool closed;

	world_init(&w, NULL, 0);
	lead(&w);
	for (int i = 0; i < 5; i++)
		bed_put(&w.bed, "t", 0);
	rnd = &w.bed.random.random;
	for (int i = 0; i < 2000; i++) {
		int v = (int)random_below(rnd, 10);
		struct wire_list_offsets_request *q = wire_random(wire_api(API_LIST_OFFSETS)->request, v, rnd, &w.bed.arena);

		REQUIRE(q != NULL);
		for (int32_t t = 0; t < q->topics.n; t++) {
			if (random_below(rnd, 2) == 0)
				q->topics.v[t].name = slice_str("t");
			for (int32_t p = 0; p < q->topics.v[t].partitions.n; p++) {
				q->topics.v[t].partitions.v[p].partition_index = (int32_t)random_below(rnd, 2);
				if (random_below(rnd, 2) == 0)
					q->topics.v[t].partitions.v[p].timestamp = (int64_t)random_below(rnd, 9) - 6;
			}
		}
		world_send(&w, 0, API_LIST_OFFSETS, v, q);
		if (!unit_check(world_take(&w, 0, &closed).len > 0 && !closed, __FILE__, __LINE__, "request %d, version %d", i, v))
			break;
		arena_reset(&w.bed.arena);
		w.bed.path = "";
	}
	world_fini(&w);
}

UNIT_MAIN("server/list_offsets", T(an_answer_byte_for_byte), T(each_name_of_an_offset_has_the_version_that_brought_it),
    T(the_oldest_version_knows_two_names), T(a_partition_named_twice_is_refused_wherever_it_is_named),
    T(not_yet_is_said_in_the_words_of_the_version), T(epochs_and_isolation_levels), T(random_requests_harm_nobody))
