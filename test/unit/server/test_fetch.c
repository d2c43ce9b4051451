/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetch over a connection: what comes back, byte for byte and field by field, in every version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "test/unit/fs_fault.h"
#include "test/unit/server/world.h"
#include "test/unit/unit.h"

/* One topic, n partitions from 0 on at offset 0, everything allowed. */
static struct wire_fetch_request *
request(struct world *w, int version, const char *topic, int32_t n)
{
	struct wire_fetch_request *q = WIRE_NEW(&w->bed.arena, fetch_request);
	struct wire_fetch_request_topic *t = WIRE_NEW(&w->bed.arena, fetch_request_topic);

	q->max_bytes = 1 << 20;
	q->min_bytes = 0;
	q->topics.v = t;
	q->topics.n = n == 0 ? 0 : 1;
	if (version < 13)
		t->topic = slice_str(topic);
	else
		t->topic_id = BED_ID;
	t->partitions.v = WIRE_NEW_ARRAY(&w->bed.arena, fetch_request_partition, n);
	t->partitions.n = n;
	for (int32_t i = 0; i < n; i++) {
		t->partitions.v[i].partition = i;
		t->partitions.v[i].partition_max_bytes = 1 << 20;
	}
	return (q);
}

static struct wire_fetch_response *
ask(struct world *w, int version, struct wire_fetch_request *q)
{
	return (world_ask(w, 0, API_FETCH, version, q));
}

/* t-0 .. t-(n-1) led and known to the metadata. */
static void
lead(struct world *w, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		CHECK_EQ(bed_metadata(&w->bed, &(struct bed_role){ .partition = i }, false), KERR_NONE);
		CHECK_EQ(bed_lead(&w->bed, "t", i, 0), KERR_NONE);
	}
}

static struct wire_fetch_response_partition *
only(struct wire_fetch_response *a)
{
	static struct wire_fetch_response_partition none = { .error_code = -99 };

	if (a == NULL || a->responses.n != 1 || a->responses.v[0].partitions.n != 1) {
		CHECK(!"one topic, one partition");
		return (&none);
	}
	return (&a->responses.v[0].partitions.v[0]);
}

TEST(an_answer_byte_for_byte)
{
	struct world w;
	struct wire_fetch_request *q;
	struct bed_append *put;
	uint8_t want[512];
	struct writer wr = writer_of(want, sizeof(want));
	struct slice got;
	bool closed;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	put = bed_append(&w.bed, "t", 0, 1, 0);		/* the log has patched base offset and epoch into these bytes: what is stored */
	q = request(&w, 4, "t", 1);
	world_send(&w, 0, API_FETCH, 4, q);
	got = world_take(&w, 0, &closed);
	wr_i32(&wr, (int32_t)(4 + 4 + 4 + 3 + 4 + 4 + 2 + 8 + 8 + 4 + 4 + put->item[0].records_len));
	wr_i32(&wr, 77);
	wr_i32(&wr, 0);					/* throttle */
	wr_i32(&wr, 1);					/* topics */
	wr_bytes(&wr, "\0\1t", 3);
	wr_i32(&wr, 1);					/* partitions */
	wr_i32(&wr, 0);
	wr_i16(&wr, 0);
	wr_i64(&wr, 1);					/* high watermark */
	wr_i64(&wr, 1);					/* last stable offset */
	wr_i32(&wr, -1);				/* aborted transactions: null, for this is read_uncommitted */
	wr_i32(&wr, (int32_t)put->item[0].records_len);
	wr_bytes(&wr, put->item[0].records, put->item[0].records_len);
	CHECK_EQ(got.len, wr_len(&wr));
	if (got.len == wr_len(&wr))
		CHECK_MEM(got.p, want, got.len);

	q = request(&w, 17, NULL, 1);
	q->topics.v[0].partitions.v[0].fetch_offset = 1;
	q->isolation_level = 1;
	world_send(&w, 0, API_FETCH, 17, q);
	got = world_take(&w, 0, &closed);
	wr = writer_of(want, sizeof(want));
	wr_i32(&wr, 4 + 1 + 4 + 2 + 4 + 1 + 16 + 1 + 4 + 2 + 8 + 8 + 8 + 1 + 4 + 1 + 1 + 1 + 1);
	wr_i32(&wr, 77);
	wr_i8(&wr, 0);					/* tags of the header */
	wr_i32(&wr, 0);
	wr_i16(&wr, 0);					/* error */
	wr_i32(&wr, 0);					/* session */
	wr_i8(&wr, 2);					/* one topic */
	wr_bytes(&wr, BED_ID.b, 16);
	wr_i8(&wr, 2);
	wr_i32(&wr, 0);
	wr_i16(&wr, 0);
	wr_i64(&wr, 1);
	wr_i64(&wr, 1);
	wr_i64(&wr, 0);					/* log start */
	wr_i8(&wr, 1);					/* aborted transactions: none */
	wr_i32(&wr, -1);				/* preferred read replica */
	wr_i8(&wr, 1);					/* records: empty, not null */
	wr_i8(&wr, 0);
	wr_i8(&wr, 0);
	wr_i8(&wr, 0);
	CHECK_EQ(got.len, wr_len(&wr));
	if (got.len == wr_len(&wr))
		CHECK_MEM(got.p, want, got.len);
	world_fini(&w);
}

TEST(every_version_brings_the_records)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w, 2);
	for (int i = 0; i < 3; i++)
		bed_put(&w.bed, "t", 0);
	for (int v = 4; v <= 17; v++) {
		struct wire_fetch_request *q = request(&w, v, "t", 2);
		struct wire_fetch_response *a = ask(&w, v, q);

		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, 0);
		CHECK_EQ(a->session_id, 0);
		REQUIRE(a->responses.n == 1 && a->responses.v[0].partitions.n == 2);
		CHECK(v >= 13 ? uuid_eq(a->responses.v[0].topic_id, BED_ID) : slice_eq_str(a->responses.v[0].topic, "t"));
		CHECK_EQ(a->responses.v[0].partitions.v[0].error_code, 0);
		CHECK_EQ(a->responses.v[0].partitions.v[0].high_watermark, 3);
		CHECK_EQ(a->responses.v[0].partitions.v[0].last_stable_offset, 3);
		CHECK_EQ(a->responses.v[0].partitions.v[0].log_start_offset, v >= 5 ? 0 : -1);
		CHECK_EQ(a->responses.v[0].partitions.v[0].preferred_read_replica, -1);
		CHECK_EQ(a->responses.v[0].partitions.v[0].aborted_transactions.n, -1);
		CHECK(a->responses.v[0].partitions.v[0].records.len > 100);
		CHECK_EQ(a->responses.v[0].partitions.v[1].high_watermark, 0);
		CHECK_EQ(a->responses.v[0].partitions.v[1].records.len, 0);
		CHECK(!a->responses.v[0].partitions.v[1].records.null);
	}
	world_fini(&w);
}

TEST(what_cannot_be_looked_up_stands_behind_what_was_read)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	bed_put(&w.bed, "t", 0);
	for (int v = 11; v <= 17; v += 2) {
		struct wire_fetch_request *q = request(&w, v, "t", 2);	/* t-1 does not exist */
		struct wire_fetch_request_topic *t = WIRE_NEW_ARRAY(&w.bed.arena, fetch_request_topic, 2);
		struct wire_fetch_request_partition p;
		struct wire_fetch_response *a;

		WIRE_INIT(fetch_request_partition, &p);
		p.partition_max_bytes = 1;
		t[0].topic = slice_str(v < 13 ? "nowhere" : "");
		if (v >= 13)
			t[0].topic_id = (struct uuid){ { 1, 2, 3 } };
		t[0].partitions.v = &p;
		t[0].partitions.n = 1;
		t[1] = q->topics.v[0];
		q->topics.v = t;
		q->topics.n = 2;
		q->max_wait_ms = 1000000;
		a = ask(&w, v, q);
		REQUIRE(a != NULL);
		REQUIRE(a->responses.n == 3);			/* t-0, nowhere-0, t-1: adjacent ones only are put together */
		CHECK_EQ(a->responses.v[0].partitions.v[0].error_code, 0);
		CHECK_EQ(a->responses.v[1].partitions.v[0].error_code, v < 13 ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_UNKNOWN_TOPIC_ID);
		CHECK_EQ(a->responses.v[1].partitions.v[0].high_watermark, -1);
		CHECK_EQ(a->responses.v[1].partitions.v[0].last_stable_offset, -1);
		CHECK_EQ(a->responses.v[1].partitions.v[0].log_start_offset, -1);
		CHECK_EQ(a->responses.v[1].partitions.v[0].aborted_transactions.n, 0);	/* empty here, null for what was read */
		CHECK(!a->responses.v[1].partitions.v[0].records.null);
		CHECK_EQ(a->responses.v[2].partitions.v[0].partition_index, 1);
		CHECK_EQ(a->responses.v[2].partitions.v[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	}
	world_fini(&w);
}

TEST(consumers_hear_of_unknown_ids_before_unknown_names)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	for (int32_t replica = -1; replica <= 2; replica += 3) {	/* followers hear of both as they come */
		struct wire_fetch_request *q = request(&w, 14, NULL, 2);	/* t-0, and t-1, which does not exist */
		struct wire_fetch_request_topic *t = WIRE_NEW_ARRAY(&w.bed.arena, fetch_request_topic, 2);
		struct wire_fetch_response *a;

		t[0] = q->topics.v[0];
		t[1] = t[0];
		t[1].topic_id = (struct uuid){ { 1, 2, 3 } };
		t[1].partitions.n = 1;
		q->topics.v = t;
		q->topics.n = 2;
		q->replica_id = replica;
		a = ask(&w, 14, q);
		REQUIRE(a != NULL);
		CHECK_EQ(a->responses.n, replica < 0 ? 3 : 2);
		CHECK(uuid_eq(a->responses.v[1].topic_id, t[1].topic_id));
		if (replica < 0)
			CHECK_EQ(a->responses.v[2].partitions.v[0].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
		else
			CHECK_EQ(a->responses.v[0].partitions.v[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	}
	world_fini(&w);
}

TEST(an_answer_that_the_version_cannot_carry)
{
	struct world w;
	struct wire_fetch_request *q;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	CHECK_EQ(bed_lead(&w.bed, "t", 0, 4), KERR_NONE);
	q = request(&w, 12, "t", 1);
	q->session_epoch = 0;
	q->topics.v[0].partitions.v[0].fetch_offset = 5;
	q->topics.v[0].partitions.v[0].last_fetched_epoch = 3;
	a = ask(&w, 12, q);
	CHECK_EQ(only(a)->diverging_epoch.epoch, 3);
	q = request(&w, 11, "t", 0);		/* the session remembers what version 11 has no words for */
	q->session_id = a->session_id;
	q->session_epoch = 1;
	a = ask(&w, 11, q);
	REQUIRE(a != NULL);
	CHECK_EQ(a->error_code, KERR_UNSUPPORTED_VERSION);
	world_fini(&w);
}

TEST(an_unknown_partition_does_not_cut_the_wait_short)
{
	struct world w;
	struct wire_fetch_request *q;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	q = request(&w, 12, "t", 2);
	q->min_bytes = 1;
	q->max_wait_ms = 500;
	world_send(&w, 0, API_FETCH, 12, q);
	CHECK(world_answer(&w, 0, API_FETCH, 12) == NULL);
	bed_pass(&w.bed, 502);
	a = world_answer(&w, 0, API_FETCH, 12);
	REQUIRE(a != NULL && a->responses.n == 1 && a->responses.v[0].partitions.n == 2);
	CHECK_EQ(a->responses.v[0].partitions.v[0].error_code, 0);
	CHECK_EQ(a->responses.v[0].partitions.v[1].error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);
	world_fini(&w);
}

TEST(a_partition_named_twice_is_read_once)
{
	struct world w;
	struct wire_fetch_request *q;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 2);
	bed_put(&w.bed, "t", 0);
	q = request(&w, 12, "t", 3);
	q->topics.v[0].partitions.v[2].partition = 0;
	q->topics.v[0].partitions.v[2].fetch_offset = 1;	/* what was said last counts, at the place of the first */
	a = ask(&w, 12, q);
	REQUIRE(a != NULL && a->responses.n == 1 && a->responses.v[0].partitions.n == 2);
	CHECK_EQ(a->responses.v[0].partitions.v[0].partition_index, 0);
	CHECK_EQ(a->responses.v[0].partitions.v[0].records.len, 0);
	CHECK_EQ(a->responses.v[0].partitions.v[1].partition_index, 1);
	world_fini(&w);
}

TEST(committed_readers_get_a_list_of_aborted_transactions)
{
	struct world w;
	struct wire_fetch_request *q;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	bed_put(&w.bed, "t", 0);
	q = request(&w, 12, "t", 1);
	q->isolation_level = 1;
	CHECK_EQ(only(ask(&w, 12, q))->aborted_transactions.n, 0);
	q->topics.v[0].partitions.v[0].fetch_offset = 9;	/* an error: null again */
	CHECK_EQ(only(ask(&w, 12, q))->error_code, KERR_OFFSET_OUT_OF_RANGE);
	CHECK_EQ(only(ask(&w, 12, q))->aborted_transactions.n, -1);
	world_fini(&w);
}

TEST(an_isolation_level_that_does_not_exist)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	for (int v = 4; v <= 17; v++) {
		struct wire_fetch_request *q = request(&w, v, "t", 1);
		struct wire_fetch_response *a;

		q->isolation_level = 5;
		if (v >= 7) {
			q->session_id = 99;
			q->session_epoch = -1;
		}
		a = ask(&w, v, q);
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, v >= 7 ? KERR_UNKNOWN_SERVER_ERROR : 0);
		CHECK_EQ(a->session_id, v >= 7 ? 99 : 0);
		CHECK_EQ(a->responses.n, v < 13 ? 1 : 0);
		if (v < 13) {
			CHECK_EQ(only(a)->error_code, KERR_UNKNOWN_SERVER_ERROR);
			CHECK(only(a)->records.null);
			CHECK_EQ(only(a)->aborted_transactions.n, 0);
		}
		q = request(&w, v, "t", 0);		/* with nothing to read nobody looks at it */
		q->isolation_level = 5;
		a = ask(&w, v, q);
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, 0);
	}
	world_fini(&w);
}

TEST(old_clients_do_not_hear_of_storage_errors)
{
	struct world w;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	fs_fault_arm(w.bed.fs, FS_FAULT_WRITE, 1, ERR_IO);
	CHECK_EQ(bed_append(&w.bed, "t", 0, 1, 0)->item[0].error, KERR_KAFKA_STORAGE_ERROR);
	for (int v = 4; v <= 17; v++)
		CHECK_EQ(only(ask(&w, v, request(&w, v, "t", 1)))->error_code,
		    v < 6 ? KERR_NOT_LEADER_OR_FOLLOWER : KERR_KAFKA_STORAGE_ERROR);
	world_fini(&w);
}

TEST(topics_of_zstd_are_not_for_old_clients)
{
	struct world w;

	world_init(&w, NULL, 0);
	w.bed.config.rules.compression = CODEC_ZSTD;
	lead(&w, 1);
	bed_put(&w.bed, "t", 0);
	for (int v = 4; v <= 17; v++) {
		struct wire_fetch_response_partition *p = only(ask(&w, v, request(&w, v, "t", 1)));

		CHECK_EQ(p->error_code, v < 10 ? KERR_UNSUPPORTED_COMPRESSION_TYPE : 0);
		CHECK_EQ(p->high_watermark, v < 10 ? -1 : 1);
		CHECK_EQ(p->records.null, v < 10);
	}
	world_fini(&w);
}

TEST(new_clients_are_told_where_the_leader_is)
{
	static const struct bed_role two = { .leader = 2, .leader_epoch = 3, .partition_epoch = 3, .isr = { 1, 2 }, .nisr = 2 };
	struct world w;

	world_init(&w, NULL, 0);
	CHECK_EQ(bed_metadata(&w.bed, &two, true), KERR_NONE);
	CHECK_EQ(bed_role(&w.bed, &two), KERR_NONE);
	for (int v = 12; v <= 17; v++) {
		struct wire_fetch_response *a = ask(&w, v, request(&w, v, "t", 1));

		CHECK_EQ(only(a)->error_code, KERR_NOT_LEADER_OR_FOLLOWER);
		CHECK_EQ(only(a)->current_leader.leader_id, v >= 16 ? 2 : -1);
		CHECK_EQ(only(a)->current_leader.leader_epoch, v >= 16 ? 3 : -1);
		/* Our clients here came by no listener, so there is no address for them. */
		CHECK_EQ(a->node_endpoints.n, 0);
	}
	world_fini(&w);
}

TEST(the_broker_s_own_limit_caps_an_answer)
{
	static const char *const small[] = { "fetch.max.bytes=1024" };
	struct world w;
	struct wire_fetch_request *q;

	world_init(&w, small, 1);
	lead(&w, 1);
	for (int i = 0; i < 50; i++)
		bed_put(&w.bed, "t", 0);
	q = request(&w, 12, "t", 1);
	q->min_bytes = INT32_MAX;		/* capped too, else it would wait for ever */
	q->max_wait_ms = 1000000;
	CHECK_EQ(only(ask(&w, 12, q))->records.len, 1024);
	world_fini(&w);
}

TEST(a_waiting_client_is_woken_by_another_s_records)
{
	struct world w;
	struct wire_fetch_request *q;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	q = request(&w, 17, NULL, 1);
	q->min_bytes = 1;
	q->max_wait_ms = 1000000;
	world_send(&w, 0, API_FETCH, 17, q);
	CHECK(world_answer(&w, 0, API_FETCH, 17) == NULL);
	bed_put(&w.bed, "t", 0);
	CHECK(only(world_answer(&w, 0, API_FETCH, 17))->records.len > 0);
	world_fini(&w);
}

TEST(a_client_that_leaves_does_not_wait_on)
{
	struct world w;
	struct wire_fetch_request *q;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	q = request(&w, 17, NULL, 1);
	q->min_bytes = 1;
	q->max_wait_ms = 1000000;
	world_send(&w, 0, API_FETCH, 17, q);
	CHECK_EQ(metric_get(&w.bed.metrics, METRIC_connections), 2);
	close(w.fd[0]);
	w.fd[0] = -1;
	bed_run(&w.bed);
	CHECK_EQ(metric_get(&w.bed.metrics, METRIC_connections), 1);
	bed_put(&w.bed, "t", 0);		/* nobody is there any more */
	world_fini(&w);
}

/* ---- sessions, over the wire ---- */

/* Makes a session over t-0 .. t-(n-1); its id. */
static int32_t
open_session(struct world *w, int version, int32_t n)
{
	struct wire_fetch_request *q = request(w, version, "t", n);
	struct wire_fetch_response *a;

	q->session_epoch = 0;
	a = ask(w, version, q);
	if (a == NULL)
		return (0);
	CHECK_EQ(a->error_code, 0);
	CHECK(a->session_id > 0);
	return (a->session_id);
}

static struct wire_fetch_request *
incremental(struct world *w, int version, int32_t id, int32_t epoch)
{
	struct wire_fetch_request *q = request(w, version, "t", 0);

	q->session_id = id;
	q->session_epoch = epoch;
	return (q);
}

static int32_t
parts_in(const struct wire_fetch_response *a)
{
	int32_t n = 0;

	for (int32_t i = 0; a != NULL && i < a->responses.n; i++)
		n += a->responses.v[i].partitions.n;
	return (n);
}

TEST(an_incremental_answer_names_only_what_is_new)
{
	struct world w;

	for (int v = 7; v <= 17; v += 5) {
		int32_t id;
		struct wire_fetch_response *a;

		world_init(&w, NULL, 0);
		lead(&w, 3);
		id = open_session(&w, v, 3);
		a = ask(&w, v, incremental(&w, v, id, 1));
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, 0);
		CHECK_EQ(a->session_id, id);
		CHECK_EQ(parts_in(a), 0);
		bed_put(&w.bed, "t", 1);
		a = ask(&w, v, incremental(&w, v, id, 2));
		CHECK_EQ(only(a)->partition_index, 1);
		CHECK(only(a)->records.len > 0);
		a = ask(&w, v, incremental(&w, v, id, 3));	/* records are sent again until the offset moves */
		CHECK_EQ(only(a)->partition_index, 1);
		world_fini(&w);
	}
}

TEST(a_session_may_be_used_from_another_connection)
{
	struct world w;
	int32_t id;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	id = open_session(&w, 17, 1);
	a = world_ask(&w, 1, API_FETCH, 17, incremental(&w, 17, id, 1));
	REQUIRE(a != NULL);
	CHECK_EQ(a->error_code, 0);
	CHECK_EQ(a->session_id, id);
	world_fini(&w);
}

TEST(the_earlier_of_two_requests_at_once_is_refused)
{
	struct world w;
	struct wire_fetch_request *q;
	int32_t id;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	id = open_session(&w, 17, 1);
	q = incremental(&w, 17, id, 1);
	q->min_bytes = 1;
	q->max_wait_ms = 100;
	world_send(&w, 0, API_FETCH, 17, q);
	a = world_ask(&w, 1, API_FETCH, 17, incremental(&w, 17, id, 2));
	CHECK_EQ(a->error_code, 0);
	bed_pass(&w.bed, 102);
	a = world_answer(&w, 0, API_FETCH, 17);
	REQUIRE(a != NULL);
	CHECK_EQ(a->error_code, KERR_INVALID_FETCH_SESSION_EPOCH);
	CHECK_EQ(a->session_id, id);
	CHECK_EQ(parts_in(a), 0);
	world_fini(&w);
}

TEST(a_session_closed_under_a_waiting_request)
{
	struct world w;
	struct wire_fetch_request *q;
	int32_t id;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	lead(&w, 1);
	id = open_session(&w, 17, 1);
	q = incremental(&w, 17, id, 1);
	q->min_bytes = 1;
	q->max_wait_ms = 100000;
	world_send(&w, 0, API_FETCH, 17, q);
	a = world_ask(&w, 1, API_FETCH, 17, incremental(&w, 17, id, -1));
	CHECK_EQ(a->error_code, 0);
	CHECK_EQ(a->session_id, 0);
	CHECK_EQ(metric_get(&w.bed.metrics, METRIC_fetch_sessions), 0);
	bed_put(&w.bed, "t", 0);
	a = world_answer(&w, 0, API_FETCH, 17);		/* answered as if nothing had happened */
	CHECK_EQ(only(a)->error_code, 0);
	CHECK(only(a)->records.len > 0);
	a = ask(&w, 17, incremental(&w, 17, id, 2));
	CHECK_EQ(a->error_code, KERR_FETCH_SESSION_ID_NOT_FOUND);
	CHECK_EQ(a->session_id, 0);
	/* ... and one whose client is gone as well */
	id = open_session(&w, 17, 1);
	q = incremental(&w, 17, id, 1);
	q->topics = request(&w, 17, NULL, 1)->topics;
	q->topics.v[0].partitions.v[0].fetch_offset = 1;
	q->min_bytes = 1;
	q->max_wait_ms = 100000;
	world_send(&w, 0, API_FETCH, 17, q);
	world_ask(&w, 1, API_FETCH, 17, incremental(&w, 17, id, -1));
	close(w.fd[0]);
	w.fd[0] = -1;
	bed_run(&w.bed);
	world_fini(&w);
}

TEST(a_topic_that_appears_later_is_found_by_its_id)
{
	struct world w;
	int32_t id;
	struct wire_fetch_response *a;

	world_init(&w, NULL, 0);
	id = open_session(&w, 17, 1);
	a = ask(&w, 17, incremental(&w, 17, id, 1));
	CHECK_EQ(only(a)->error_code, KERR_UNKNOWN_TOPIC_ID);	/* an error is said each time */
	lead(&w, 1);
	a = ask(&w, 17, incremental(&w, 17, id, 2));
	CHECK_EQ(only(a)->error_code, 0);			/* and the recovery once */
	a = ask(&w, 17, incremental(&w, 17, id, 3));
	CHECK_EQ(parts_in(a), 0);
	CHECK_EQ(bed_metadata(&w.bed, &(struct bed_role){ .leader = -2 }, false), KERR_NONE);
	a = ask(&w, 17, incremental(&w, 17, id, 4));
	CHECK_EQ(only(a)->error_code, KERR_UNKNOWN_TOPIC_OR_PARTITION);	/* known once, so it has a name now */
	world_fini(&w);
}

/* Any request that decodes is answered or closes the connection; nothing leaks (ASan, open files). */
TEST(random_requests_harm_nobody)
{
	struct world w;
	struct random *rnd;
	bool closed;

	world_init(&w, NULL, 0);
	lead(&w, 3);
	for (int i = 0; i < 20; i++)
		bed_put(&w.bed, "t", i % 3);
	rnd = &w.bed.random.random;
	for (int i = 0; i < 3000; i++) {
		int v = (int)random_below(rnd, 18);
		struct wire_fetch_request *q = wire_random(wire_api(API_FETCH)->request, v, rnd, &w.bed.arena);

		REQUIRE(q != NULL);
		q->max_wait_ms = (int32_t)random_below(rnd, 50);
		if (random_below(rnd, 2) == 0)
			q->isolation_level = (int8_t)random_below(rnd, 2);
		if (v >= 7 && random_below(rnd, 4) != 0) {
			q->session_epoch = (int32_t)random_below(rnd, 4) - 1;
			q->session_id = 0;
		}
		for (int32_t t = 0; t < q->topics.n; t++) {
			if (random_below(rnd, 2) == 0)
				continue;
			if (v < 13)
				q->topics.v[t].topic = slice_str("t");
			else
				q->topics.v[t].topic_id = BED_ID;
			for (int32_t p = 0; p < q->topics.v[t].partitions.n; p++) {
				q->topics.v[t].partitions.v[p].partition = (int32_t)random_below(rnd, 4);
				q->topics.v[t].partitions.v[p].fetch_offset = (int64_t)random_below(rnd, 9) - 1;
			}
		}
		world_send(&w, 0, API_FETCH, v, q);
		bed_pass(&w.bed, 60);
		if (!unit_check(world_take(&w, 0, &closed).len > 0 && !closed, __FILE__, __LINE__, "request %d, version %d", i, v))
			break;
		arena_reset(&w.bed.arena);
		w.bed.path = "";
	}
	world_fini(&w);
}

UNIT_MAIN("server/fetch", T(an_answer_byte_for_byte), T(every_version_brings_the_records),
    T(what_cannot_be_looked_up_stands_behind_what_was_read), T(consumers_hear_of_unknown_ids_before_unknown_names), T(an_answer_that_the_version_cannot_carry),
    T(an_unknown_partition_does_not_cut_the_wait_short),
    T(a_partition_named_twice_is_read_once), T(committed_readers_get_a_list_of_aborted_transactions),
    T(an_isolation_level_that_does_not_exist), T(old_clients_do_not_hear_of_storage_errors), T(topics_of_zstd_are_not_for_old_clients),
    T(new_clients_are_told_where_the_leader_is), T(the_broker_s_own_limit_caps_an_answer),
    T(a_waiting_client_is_woken_by_another_s_records), T(a_client_that_leaves_does_not_wait_on),
    T(an_incremental_answer_names_only_what_is_new), T(a_session_may_be_used_from_another_connection),
    T(the_earlier_of_two_requests_at_once_is_refused), T(a_session_closed_under_a_waiting_request),
    T(a_topic_that_appears_later_is_found_by_its_id), T(random_requests_harm_nobody))
