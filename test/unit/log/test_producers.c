/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_producers.c - idempotent and transactional producers: what the log refuses, what it remembers, what readers may see.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/producer_state.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define OPEN(f) do { struct errbuf eb_ = ERRBUF_INIT; enum err e_ = fixture_open((f), &eb_); \
	if (e_ != OK) { CHECK_STR(eb_.text, ""); fixture_fini(f); return; } } while (0)

static struct append_result
idem(struct fixture *f, struct log *log, int16_t epoch, int32_t sequence, unsigned n)
{
	return (fixture_append(f, log, &(struct batch_spec){ .records = n, .producer_id = 9, .producer_epoch = epoch, .sequence = sequence }));
}

static struct append_result
txn(struct fixture *f, struct log *log, int64_t id, int32_t sequence, unsigned n)
{
	return (fixture_append(f, log, &(struct batch_spec){ .records = n, .producer_id = id, .producer_epoch = 2, .sequence = sequence, .transactional = true }));
}

TEST(a_retried_batch_is_answered_with_its_first_offsets)
{
	struct append_result r;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 7; i++)
		CHECK_EQ(idem(&f, log, 0, i * 2, 2).base_offset, i * 2);
	r = idem(&f, log, 0, 12, 2);			/* the last one */
	CHECK_EQ(r.error, KERR_NONE);
	CHECK(r.duplicate);
	CHECK_EQ(r.base_offset, 12);
	CHECK_EQ(r.last_offset, 13);
	r = idem(&f, log, 0, 4, 2);			/* the fifth last */
	CHECK(r.duplicate);
	CHECK_EQ(r.base_offset, 4);
	CHECK_EQ(idem(&f, log, 0, 2, 2).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);	/* too old to be known */
	CHECK_EQ(idem(&f, log, 0, 12, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);	/* another shape */
	CHECK_EQ(log_end_offset(log), 14);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(sequences_must_follow_and_epochs_must_not_fall)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(idem(&f, log, 1, 40, 3).error, KERR_NONE);	/* unknown producer: any sequence */
	CHECK_EQ(idem(&f, log, 1, 44, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CHECK_EQ(idem(&f, log, 1, 43, 1).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 0, 44, 1).error, KERR_INVALID_PRODUCER_EPOCH);
	CHECK_EQ(idem(&f, log, 2, 5, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CHECK_EQ(idem(&f, log, 2, 0, 1).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 2, INT32_MAX, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	/* A refusal leaves no trace. */
	CHECK_EQ(idem(&f, log, 2, 1, 1).error, KERR_NONE);
	CHECK_EQ(log_end_offset(log), 6);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(sequences_wrap_to_zero)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(idem(&f, log, 0, INT32_MAX - 1, 2).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 0, 0, 1).error, KERR_NONE);
	CHECK(idem(&f, log, 0, INT32_MAX - 1, 2).duplicate);
	log_unref(&log);
	fixture_fini(&f);
}

static void
count_entry(void *ctx, const struct log_producer *p)
{
	(void)p;
	++*(int *)ctx;
}

TEST(producers_are_remembered_across_clean_ends_crashes_and_rolls)
{
	for (int kind = 0; kind < 2; kind++) {
		struct append_result r;
		struct fixture f;
		struct log *log;
		int n = 0;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 200; i++)
			CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .value_len = 300, .producer_id = 20 + i % 3, .sequence = i / 3 }).error, KERR_NONE);
		CHECK_GE(log_segment_count(log), 3);
		log_unref(&log);
		if (kind == 0)
			fixture_close(&f);
		else
			fixture_crash(&f);
		OPEN(&f);
		log = fixture_log(&f);
		log_producers(log, count_entry, &n);
		CHECK_EQ(n, 3);
		r = fixture_append(&f, log, &(struct batch_spec){ .value_len = 300, .producer_id = 21, .sequence = 66 });
		CHECK_EQ(r.error, KERR_NONE);
		CHECK(r.duplicate);
		CHECK_EQ(r.base_offset, 199);
		CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .producer_id = 21, .sequence = 68 }).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
		CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .producer_id = 21, .sequence = 67 }).error, KERR_NONE);
		log_unref(&log);
		fixture_fini(&f);
	}
}

static void
end_somehow(struct fixture *f, int kind)
{
	if (kind == 0)
		fixture_close(f);
	else
		fixture_crash(f);
}

/* Where a snapshot stands between the five, and where none does; in one segment and in many. */
TEST(each_of_the_last_five_is_known_after_a_clean_end_and_a_crash)
{
	for (int kind = 0; kind < 4; kind++)		/* 2, 3: records of some hours ago, as when events are replayed */
		for (int n = 1; n < 120; n += n < 10 ? 1 : 7) {
			struct append_result r;
			struct fixture f;
			struct log *log;

			fixture_init(&f, 1);
			OPEN(&f);
			log = fixture_log(&f);
			for (int i = 0; i < n; i++)
				CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .records = 2, .value_len = 100 + i * 10, .producer_id = 9,
				    .sequence = 2 * i, .timestamp_ms = kind < 2 ? 0 : FIXTURE_NOW - INT64_C(10800000) }).error, KERR_NONE);
			log_unref(&log);
			end_somehow(&f, kind % 2);
			OPEN(&f);
			log = fixture_log(&f);
			for (int i = MAX(0, n - 5); i < n; i++) {
				r = idem(&f, log, 0, 2 * i, 2);
				unit_check(r.error == KERR_NONE && r.duplicate && r.base_offset == 2 * i, __FILE__, __LINE__,
				    "batch %d of %d after end %d: %d", i, n, kind, r.error);
			}
			if (n > 5)
				CHECK_EQ(idem(&f, log, 0, 2 * (n - 6), 2).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
			CHECK_EQ(log_end_offset(log), 2 * n);
			CHECK_EQ(idem(&f, log, 0, 2 * n, 2).base_offset, 2 * n);
			log_unref(&log);
			fixture_fini(&f);
		}
}

/* What lies above the cut never was; of what lies below, the last five are known. */
TEST(each_of_the_last_five_below_a_cut_is_known)
{
	for (int cut = 1; cut < 60; cut += 3) {
		struct append_result r;
		struct fixture f;
		struct log *log;

		fixture_init(&f, 1);
		OPEN(&f);
		log = fixture_log(&f);
		for (int i = 0; i < 60; i++)
			CHECK_EQ(fixture_append(&f, log, &(struct batch_spec){ .value_len = 500, .producer_id = 9, .sequence = i }).error, KERR_NONE);
		CHECK_GE(log_segment_count(log), 3);
		CHECK_EQ(log_truncate_to(log, cut, NULL), OK);
		for (int i = MAX(0, cut - 5); i < cut; i++) {
			r = idem(&f, log, 0, i, 1);
			unit_check(r.duplicate && r.base_offset == i, __FILE__, __LINE__, "batch %d below the cut at %d: %d", i, cut, r.error);
		}
		CHECK_EQ(idem(&f, log, 0, cut + 1, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
		CHECK_EQ(idem(&f, log, 0, cut, 1).base_offset, cut);
		log_check(log);
		log_unref(&log);
		fixture_fini(&f);
	}
}

TEST(what_a_producer_did_under_an_older_epoch_is_not_recalled)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(idem(&f, log, 0, i, 1).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 1, 0, 1).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 1, 1, 1).error, KERR_NONE);
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(idem(&f, log, 0, 2, 1).error, KERR_INVALID_PRODUCER_EPOCH);
	CHECK(idem(&f, log, 1, 0, 1).duplicate);
	CHECK(idem(&f, log, 1, 1, 1).duplicate);
	CHECK_EQ(idem(&f, log, 1, 2, 1).base_offset, 5);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(batches_below_the_start_are_not_recalled_and_the_numbers_go_on)
{
	int64_t start;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(idem(&f, log, 0, i, 1).error, KERR_NONE);
	log_raise_high_watermark(log, 4);
	CHECK_EQ(log_delete_records(log, 2, &start), KERR_NONE);
	CHECK(idem(&f, log, 0, 0, 1).duplicate);		/* known as long as the log is open */
	log_unref(&log);
	fixture_close(&f);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(log_start_offset(log), 2);
	CHECK_EQ(idem(&f, log, 0, 1, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CHECK(idem(&f, log, 0, 2, 1).duplicate);
	CHECK(idem(&f, log, 0, 3, 1).duplicate);
	CHECK_EQ(idem(&f, log, 0, 4, 1).base_offset, 4);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(read_committed_stops_at_the_first_open_transaction)
{
	struct log_read_options ro = { .bytes_max = 1 << 20, .min_one = true, .bound = LOG_BOUND_LAST_STABLE };
	struct log_read_result r;
	struct fixture f;
	struct arena a;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	arena_init(&a, 65536);
	(void)fixture_put(&f, log);				/* 0 */
	CHECK_EQ(txn(&f, log, 30, 0, 2).base_offset, 1);	/* 1 2 */
	CHECK_EQ(txn(&f, log, 31, 0, 2).base_offset, 3);	/* 3 4 */
	log_raise_high_watermark(log, 5);
	CHECK_EQ(log_last_stable_offset(log), 1);
	CHECK(log_has_ongoing_txn(log, 30, 2));
	CHECK_EQ(fixture_marker(&f, log, 30, 2, false, 1).base_offset, 5);	/* 5: abort */
	CHECK_EQ(log_last_stable_offset(log), 1);		/* the marker is not replicated yet */
	log_raise_high_watermark(log, 6);
	CHECK_EQ(log_last_stable_offset(log), 3);
	CHECK(!log_has_ongoing_txn(log, 30, 2));
	CHECK_EQ(fixture_marker(&f, log, 31, 2, true, 1).base_offset, 6);
	log_raise_high_watermark(log, 7);
	CHECK_EQ(log_last_stable_offset(log), 7);
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	CHECK_EQ(r.naborted, 1);
	CHECK_EQ(r.aborted[0].producer_id, 30);
	CHECK_EQ(r.aborted[0].first_offset, 1);
	log_read_result_fini(&r);
	arena_fini(&a);
	log_check(log);
	log_unref(&log);
	fixture_crash(&f);
	/* The transaction index is rebuilt. */
	OPEN(&f);
	log = fixture_log(&f);
	log_raise_high_watermark(log, 7);
	arena_init(&a, 65536);
	CHECK_EQ(log_read(log, &ro, &a, &r), KERR_NONE);
	CHECK_EQ(r.naborted, 1);
	log_read_result_fini(&r);
	arena_fini(&a);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(markers_and_mixed_batches_are_checked)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	CHECK_EQ(txn(&f, log, 9, 0, 2).error, KERR_NONE);
	CHECK_EQ(idem(&f, log, 2, 2, 1).error, KERR_INVALID_TXN_STATE);		/* not transactional while one is open */
	CHECK_EQ(fixture_marker(&f, log, 9, 1, true, 4).error, KERR_INVALID_PRODUCER_EPOCH);
	CHECK_EQ(fixture_marker(&f, log, 9, 2, true, 4).error, KERR_NONE);
	CHECK_EQ(fixture_marker(&f, log, 9, 2, true, 3).error, KERR_TRANSACTION_COORDINATOR_FENCED);
	CHECK_EQ(fixture_marker(&f, log, 9, 3, false, 4).error, KERR_NONE);	/* bumps the epoch: the next sequence is 0 */
	CHECK_EQ(idem(&f, log, 3, 2, 1).error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CHECK_EQ(idem(&f, log, 3, 0, 1).error, KERR_NONE);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_truncated_transaction_is_open_again_or_gone)
{
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	(void)fixture_put(&f, log);
	(void)txn(&f, log, 30, 0, 2);
	(void)fixture_marker(&f, log, 30, 2, false, 1);
	CHECK_EQ(log_truncate_to(log, 3, NULL), OK);
	log_raise_high_watermark(log, 3);
	CHECK_EQ(log_last_stable_offset(log), 1);
	CHECK(log_has_ongoing_txn(log, 30, 2));
	CHECK_EQ(log_truncate_to(log, 1, NULL), OK);
	CHECK(!log_has_ongoing_txn(log, 30, 2));
	log_raise_high_watermark(log, 1);
	CHECK_EQ(log_last_stable_offset(log), 1);
	log_check(log);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(producers_expire_but_not_with_an_open_transaction)
{
	struct fixture f;
	struct log *log;
	int n = 0;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	(void)idem(&f, log, 0, 0, 1);
	(void)txn(&f, log, 30, 0, 1);
	clock_manual_advance_ns(&f.clock, INT64_C(86400001) * 1000000);
	log_expire_producers(log);
	log_producers(log, count_entry, &n);
	CHECK_EQ(n, 1);
	log_unref(&log);
	fixture_fini(&f);
}

TEST(a_damaged_snapshot_is_replaced_by_the_batches)
{
	struct file *file = NULL;
	struct append_result r;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	for (int i = 0; i < 10; i++)
		(void)idem(&f, log, 0, i, 1);
	log_unref(&log);
	fixture_close(&f);
	REQUIRE(file_open(f.fs, fixture_file(&f, "t-0/%020d.snapshot", 10), FS_RDWR, &file, NULL) == OK);
	CHECK_EQ(file_pwrite(file, "!", 1, 30, NULL), OK);
	file_unref(&file);
	/* A second snapshot, so that this is not the directory of an old version without any. */
	REQUIRE(file_open(f.fs, fixture_file(&f, "t-0/%020d.snapshot", 0), FS_RDWR | FS_CREATE, &file, NULL) == OK);
	file_unref(&file);
	OPEN(&f);
	CHECK(strstr(f.lines, "checksum") != NULL);
	log = fixture_log(&f);
	r = idem(&f, log, 0, 9, 1);
	CHECK(r.duplicate);
	CHECK_EQ(r.base_offset, 9);
	log_unref(&log);
	fixture_fini(&f);
}

static void
note_id(void *ctx, const struct producer_entry *e)
{
	struct errbuf *eb = ctx;

	snprintf(eb->text + strlen(eb->text), sizeof(eb->text) - strlen(eb->text), " %" PRId64, e->producer_id);
}

/* The expected orders were printed by a java.util.HashMap<Long, Long>. */
TEST(producers_are_listed_in_the_order_of_a_java_hash_map)
{
	static const int64_t few[] = { 5, 21, 37, 4711, INT64_C(1) << 33, 16, 0, 1, INT64_C(1) << 62, 1000, 32 };
	struct producer_state *ps = producer_state_new(1000), *again = producer_state_new(1000);
	struct errbuf order = ERRBUF_INIT, order_again = ERRBUF_INIT;
	struct completed_txn done;
	uint8_t *bytes;
	size_t len;

	for (size_t i = 0; i < NELEM(few); i++) {
		struct producer_batch_facts f = { .base_offset = (int64_t)i, .last_offset = (int64_t)i, .producer_id = few[i], .max_timestamp_ms = 7 };

		(void)producer_state_apply(ps, &f, &done);
	}
	producer_state_each(ps, note_id, &order);
	CHECK_STR(order.text, " 16 0 4611686018427387904 32 1 8589934592 5 21 37 4711 1000");
	/* What is read back has come in the order of the file, and stays in it. */
	producer_state_encode(ps, &bytes, &len);
	CHECK_EQ(producer_state_decode(again, bytes, len, 11, 8, NULL), OK);
	producer_state_each(again, note_id, &order_again);
	CHECK_STR(order_again.text, order.text);
	free(bytes);
	/* Thirteen are more than three quarters of sixteen slots. */
	for (int64_t id = 17; id <= 18; id++)
		(void)producer_state_apply(ps, &(struct producer_batch_facts){ .producer_id = id, .max_timestamp_ms = 7 }, &done);
	order.text[0] = '\0';
	producer_state_each(ps, note_id, &order);
	CHECK_STR(order.text, " 0 4611686018427387904 32 1 8589934592 5 37 4711 1000 16 17 18 21");
	producer_state_free(&ps);
	producer_state_free(&again);
}

TEST(a_shorter_expiration_holds_for_producers_already_known)
{
	struct log_options o;
	struct fixture f;
	struct log *log;

	fixture_init(&f, 1);
	OPEN(&f);
	log = fixture_log(&f);
	(void)idem(&f, log, 0, 0, 1);
	log_options_default(&o);
	clock_manual_advance_ns(&f.clock, INT64_C(5000) * 1000000);
	log_expire_producers(log);
	CHECK_EQ(log_producer_count(log), 1);
	o.producer_expiration_ms = 5001;
	log_set_options(log, &o);
	log_expire_producers(log);
	CHECK_EQ(log_producer_count(log), 1);
	o.producer_expiration_ms = 5000;
	log_set_options(log, &o);
	log_expire_producers(log);
	CHECK_EQ(log_producer_count(log), 0);
	CHECK_EQ(idem(&f, log, 0, 7, 1).error, KERR_NONE);	/* it may begin anywhere again */
	log_unref(&log);
	fixture_fini(&f);
}

TEST(snapshots_of_any_bytes_are_read_or_refused)
{
	struct producer_state *ps = producer_state_new(1000);
	struct random_seeded rnd;
	struct errbuf eb = ERRBUF_INIT;
	uint8_t *good;
	size_t len;
	const struct producer_batch_facts facts = { .base_offset = 4, .last_offset = 6, .producer_id = 5, .max_timestamp_ms = 7, .base_sequence = 0, .last_sequence = 2 };
	struct completed_txn done;

	random_seeded_init(&rnd, unit_seed());
	(void)producer_state_apply(ps, &facts, &done);
	producer_state_encode(ps, &good, &len);
	CHECK_EQ(len, 56);
	CHECK_EQ(producer_state_decode(ps, good, len, 9, 10, &eb), OK);
	CHECK_EQ(producer_state_count(ps), 1);
	CHECK_EQ(producer_state_end(ps), 9);
	for (size_t cut = 0; cut < len; cut++)
		CHECK_EQ(producer_state_decode(ps, good, cut, 9, 10, &eb), ERR_CORRUPT);
	for (int i = 0; i < 2000; i++) {
		size_t at = random_below(&rnd.random, (uint32_t)len);
		uint8_t was = good[at];

		good[at] ^= (uint8_t)(1 + random_below(&rnd.random, 255));
		CHECK_EQ(producer_state_decode(ps, good, len, 9, 10, &eb), ERR_CORRUPT);
		good[at] = was;
	}
	free(good);
	producer_state_free(&ps);
}

UNIT_MAIN("log/producers",
    T(a_retried_batch_is_answered_with_its_first_offsets), T(sequences_must_follow_and_epochs_must_not_fall), T(sequences_wrap_to_zero),
    T(producers_are_remembered_across_clean_ends_crashes_and_rolls), T(each_of_the_last_five_is_known_after_a_clean_end_and_a_crash),
    T(each_of_the_last_five_below_a_cut_is_known), T(what_a_producer_did_under_an_older_epoch_is_not_recalled),
    T(batches_below_the_start_are_not_recalled_and_the_numbers_go_on),
    T(read_committed_stops_at_the_first_open_transaction),
    T(markers_and_mixed_batches_are_checked), T(a_truncated_transaction_is_open_again_or_gone), T(producers_expire_but_not_with_an_open_transaction),
    T(a_damaged_snapshot_is_replaced_by_the_batches), T(producers_are_listed_in_the_order_of_a_java_hash_map),
    T(a_shorter_expiration_holds_for_producers_already_known), T(snapshots_of_any_bytes_are_read_or_refused))
