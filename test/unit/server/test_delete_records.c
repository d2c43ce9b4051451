/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteRecords and OffsetForLeaderEpoch over a connection, in every version.
 */
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

static void
lead(struct world *w)
{
	world_init(w, NULL, 0);
	CHECK_EQ(bed_metadata(&w->bed, &(struct bed_role){ .leader_epoch = 6 }, false), KERR_NONE);
	CHECK_EQ(bed_lead(&w->bed, "t", 0, 6), KERR_NONE);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(bed_put(&w->bed, "t", 0), i);
}

struct row {
	const char *topic;
	int32_t partition;
	int64_t offset;
};

/* Each row in a topic of its own. */
static struct wire_delete_records_request *
request(struct world *w, const struct row *rows, int32_t n)
{
	struct wire_delete_records_request *q = WIRE_NEW(&w->bed.arena, delete_records_request);

	q->topics.v = WIRE_NEW_ARRAY(&w->bed.arena, delete_records_request_topic, n);
	q->topics.n = n;
	for (int32_t i = 0; i < n; i++) {
		struct wire_delete_records_request_partition *p = WIRE_NEW(&w->bed.arena, delete_records_request_partition);

		p->partition_index = rows[i].partition;
		p->offset = rows[i].offset;
		q->topics.v[i].name = slice_str(rows[i].topic);
		q->topics.v[i].partitions.v = p;
		q->topics.v[i].partitions.n = 1;
	}
	return (q);
}

static const struct wire_delete_records_response_partition_result *
find_row(const struct wire_delete_records_response *a, const char *topic, int32_t partition)
{
	static const struct wire_delete_records_response_partition_result none = { .error_code = -99 };

	for (int32_t i = 0; a != NULL && i < a->topics.n; i++)
		for (int32_t j = 0; slice_eq_str(a->topics.v[i].name, topic) && j < a->topics.v[i].partitions.n; j++)
			if (a->topics.v[i].partitions.v[j].partition_index == partition)
				return (&a->topics.v[i].partitions.v[j]);
	return (&none);
}

TEST(each_partition_has_one_row_and_the_last_word_counts)
{
	static const struct row rows[] = { { "t", 0, 3 }, { "u", 0, 0 }, { "t", 1, 0 }, { "t", 0, 2 }, { "a", -1, -1 } };
	struct world w;

	lead(&w);
	for (int v = 0; v <= 2; v++) {
		struct wire_delete_records_response *a = world_ask(&w, 0, API_DELETE_RECORDS, v, request(&w, rows, NELEM(rows)));

		REQUIRE(a != NULL);
		CHECK_EQ(a->topics.n, 3);
		CHECK_EQ(find_row(a, "t", 0)->error_code, KERR_NONE);
		CHECK_EQ(find_row(a, "t", 0)->low_watermark, 2);
		CHECK_EQ(find_row(a, "t", 1)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(find_row(a, "t", 1)->low_watermark, -1);
		CHECK_EQ(find_row(a, "u", 0)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(find_row(a, "a", -1)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		a = world_ask(&w, 0, API_DELETE_RECORDS, v, request(&w, rows, 0));
		REQUIRE(a != NULL);
		CHECK_EQ(a->topics.n, 0);
	}
	world_fini(&w);
}

TEST(an_answer_that_waits_comes_in_time_and_in_order)
{
	static const struct row rows[] = { { "t", 0, 3 } };
	const struct bed_role two = { .leader_epoch = 7, .partition_epoch = 7, .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 }, .nreplicas = 2 };
	struct world w;
	struct wire_delete_records_request *q;
	struct wire_delete_records_response *a;

	lead(&w);
	CHECK_EQ(bed_metadata(&w.bed, &two, true), KERR_NONE);
	CHECK_EQ(bed_role(&w.bed, &two), KERR_NONE);
	q = request(&w, rows, 1);
	q->timeout_ms = 300;
	world_send(&w, 0, API_DELETE_RECORDS, 2, q);
	bed_pass(&w.bed, 299);
	a = world_answer(&w, 0, API_DELETE_RECORDS, 2);
	CHECK(a == NULL);
	bed_pass(&w.bed, 1);
	a = world_answer(&w, 0, API_DELETE_RECORDS, 2);
	CHECK_EQ(find_row(a, "t", 0)->error_code, KERR_REQUEST_TIMED_OUT);
	world_fini(&w);
}

static struct wire_offset_for_leader_epoch_response_epoch_end_offset *
ask_epoch(struct world *w, int version, int32_t partition, int32_t current, int32_t epoch)
{
	static struct wire_offset_for_leader_epoch_response_epoch_end_offset none = { .error_code = -99 };
	struct wire_offset_for_leader_epoch_request *q = WIRE_NEW(&w->bed.arena, offset_for_leader_epoch_request);
	struct wire_offset_for_leader_epoch_request_topic *t = WIRE_NEW(&w->bed.arena, offset_for_leader_epoch_request_topic);
	struct wire_offset_for_leader_epoch_request_partition *p = WIRE_NEW(&w->bed.arena, offset_for_leader_epoch_request_partition);
	struct wire_offset_for_leader_epoch_response *a;

	q->topics.v = t;
	q->topics.n = 1;
	t->topic = slice_str("t");
	t->partitions.v = p;
	t->partitions.n = 1;
	p->partition = partition;
	p->current_leader_epoch = current;
	p->leader_epoch = epoch;
	a = world_ask(w, 0, API_OFFSET_FOR_LEADER_EPOCH, version, q);
	if (a == NULL || a->topics.n != 1 || !slice_eq_str(a->topics.v[0].topic, "t") || a->topics.v[0].partitions.n != 1)
		return (&none);
	return (a->topics.v[0].partitions.v);
}

TEST(epochs_are_answered_in_every_version)
{
	struct world w;
	struct wire_offset_for_leader_epoch_response_epoch_end_offset *row;

	lead(&w);
	for (int v = 0; v <= 4; v++) {
		row = ask_epoch(&w, v, 0, -1, 6);
		CHECK_EQ(row->error_code, KERR_NONE);
		CHECK_EQ(row->end_offset, 4);
		CHECK_EQ(row->leader_epoch, v == 0 ? -1 : 6);
		row = ask_epoch(&w, v, 0, 7, 6);	/* versions before 2 do not carry it */
		CHECK_EQ(row->error_code, v < 2 ? KERR_NONE : KERR_UNKNOWN_LEADER_EPOCH);
		row = ask_epoch(&w, v, 3, -1, 6);
		CHECK_EQ(row->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		CHECK_EQ(row->end_offset, -1);
		CHECK_EQ(row->partition, 3);
	}
	world_fini(&w);
}

TEST(random_requests_harm_nobody)
{
	static const int keys[] = { API_DELETE_RECORDS, API_OFFSET_FOR_LEADER_EPOCH };
	struct world w;
	struct random *rnd;
	bool closed;

	lead(&w);
	rnd = &w.bed.random.random;
	for (int i = 0; i < 400; i++) {
		const struct wire_api *api = wire_api(keys[i % 2]);
		int v = i / 2 % (api->max + 1);
		void *q = wire_random(api->request, v, rnd, &w.bed.arena);

		world_send(&w, 0, api->key, v, q);
		if (!unit_check(world_take(&w, 0, &closed).len > 0 && !closed, __FILE__, __LINE__, "request %d, version %d", i, v))
			break;
		arena_reset(&w.bed.arena);
		w.bed.path = "";
	}
	world_fini(&w);
}

UNIT_MAIN("server/delete_records", T(each_partition_has_one_row_and_the_last_word_counts), T(an_answer_that_waits_comes_in_time_and_in_order),
    T(epochs_are_answered_in_every_version), T(random_requests_harm_nobody))
