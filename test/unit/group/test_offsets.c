/* SPDX-License-Identifier: Apache-2.0
 *
 * Committed offsets of a group: order, transactions, expiry; and a random run against a model that is too simple to be wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/str.h"
#include "group/offsets.h"
#include "test/unit/group/bed.h"

#define A SLICE_LIT("a")
#define B SLICE_LIT("b")

static struct offset_value
at(int64_t offset)
{
	return ((struct offset_value){ .offset = offset, .leader_epoch = 2, .metadata = SLICE_LIT("m"), .commit_timestamp_ms = 1000, .expire_timestamp_ms = -1 });
}

static int64_t
got(const struct offsets *o, struct slice topic, int32_t partition)
{
	struct offset_value v;

	return (offsets_get(o, topic, partition, &v) ? v.offset : -1);
}

static void
commit(struct offsets *o, struct slice topic, int32_t partition, int64_t offset, int64_t record)
{
	struct offset_value v = at(offset);

	offsets_begin(o, topic, partition);
	offsets_appended(o, topic, partition, &v, record);
}

static void
count(void *ctx, struct slice topic, int32_t partition, const struct offset_value *v)
{
	(void)topic;
	(void)partition;
	(void)v;
	++*(unsigned *)ctx;
}

TEST(a_commit_counts_when_it_is_in_the_log)
{
	struct offset_value v = at(7);
	struct offsets o;

	offsets_init(&o, unit_seed());
	CHECK(!offsets_any(&o));
	offsets_begin(&o, A, 3);
	CHECK(offsets_any(&o));
	CHECK_EQ(got(&o, A, 3), -1);
	offsets_appended(&o, A, 3, &v, 10);
	CHECK(offsets_get(&o, A, 3, &v));
	CHECK_EQ(v.offset, 7);
	CHECK_EQ(v.leader_epoch, 2);
	CHECK(slice_eq_str(v.metadata, "m"));
	offsets_begin(&o, A, 3);
	offsets_failed(&o, A, 3);
	CHECK_EQ(got(&o, A, 3), 7);
	offsets_begin(&o, B, 0);
	offsets_failed(&o, B, 0);
	CHECK_EQ(got(&o, B, 0), -1);
	offsets_check(&o);
	offsets_fini(&o);
}

TEST(of_two_commits_the_later_record_wins_whatever_the_order_of_the_answers)
{
	struct offset_value v = at(1), w = at(2);
	struct offsets o;

	offsets_init(&o, unit_seed());
	offsets_begin(&o, A, 0);
	offsets_begin(&o, A, 0);
	offsets_appended(&o, A, 0, &w, 11);
	offsets_appended(&o, A, 0, &v, 10);
	CHECK_EQ(got(&o, A, 0), 2);
	offsets_fini(&o);
}

TEST(a_transactional_commit_counts_with_its_transaction)
{
	struct offset_value v = at(5), w = at(6);
	struct offsets o;

	offsets_init(&o, unit_seed());
	commit(&o, A, 0, 1, 1);
	offsets_txn_begin(&o, 77, A, 0);
	CHECK(offsets_unstable(&o, A, 0));
	CHECK_EQ(got(&o, A, 0), 1);
	offsets_txn_appended(&o, 77, A, 0, &v, 2);
	offsets_txn_begin(&o, 77, B, 9);
	offsets_txn_failed(&o, 77, B, 9);
	CHECK(!offsets_unstable(&o, B, 9));
	offsets_txn_end(&o, 77, true);
	CHECK(!offsets_unstable(&o, A, 0));
	CHECK_EQ(got(&o, A, 0), 5);

	offsets_txn_begin(&o, 78, A, 0);	/* aborted */
	offsets_txn_appended(&o, 78, A, 0, &w, 3);
	offsets_txn_end(&o, 78, false);
	CHECK_EQ(got(&o, A, 0), 5);

	offsets_txn_begin(&o, 79, A, 0);	/* committed, but an ordinary commit came behind its record */
	offsets_txn_appended(&o, 79, A, 0, &w, 4);
	commit(&o, A, 0, 9, 5);
	offsets_txn_end(&o, 79, true);
	CHECK_EQ(got(&o, A, 0), 9);
	offsets_txn_end(&o, 79, true);		/* a marker twice, or of a producer that committed nothing here */
	offsets_check(&o);
	offsets_fini(&o);
}

TEST(what_is_removed_while_it_is_on_its_way_does_not_come_back)
{
	struct offset_value v = at(5);
	struct offsets o;
	unsigned n = 0;

	offsets_init(&o, unit_seed());
	commit(&o, A, 0, 1, 1);
	commit(&o, A, 1, 1, 1);
	offsets_begin(&o, A, 0);
	offsets_remove_topic(&o, A, count, &n);
	CHECK_EQ(n, 2);
	offsets_appended(&o, A, 0, &v, 2);
	CHECK_EQ(got(&o, A, 0), -1);
	CHECK(!offsets_any(&o));
	offsets_txn_begin(&o, 1, A, 0);		/* undecided ones wait for their marker */
	offsets_txn_appended(&o, 1, A, 0, &v, 4);
	offsets_remove_all(&o, count, &n);
	CHECK_EQ(n, 2);
	offsets_txn_end(&o, 1, true);
	CHECK_EQ(got(&o, A, 0), 5);
	offsets_check(&o);
	offsets_fini(&o);
}

/* The rules of KIP-211, row by row. */
TEST(offsets_expire_by_the_state_of_their_group)
{
	static const char meta[] = "\0\0\0\0\0\1\0\1a\0\0\0\0";
	struct group_record_member m = { SLICE_LIT("m"), SLICE_NULL, SLICE_LIT("c"), SLICE_LIT("/h"), 1000, 1000, slice_of(meta, sizeof(meta) - 1), SLICE_LIT("") };
	struct {
		const char *type;
		uint32_t members;
		int64_t since, now;
		unsigned expired;
	} rows[] = {
		{ "", 0, 5000, 1999, 0 }, { "", 0, 5000, 2000, 2 },			/* simple: from the commit at 1000 */
		{ "consumer", 0, 5000, 5999, 0 }, { "consumer", 0, 5000, 6000, 2 },	/* from the moment it became empty */
		{ "consumer", 0, -1, 2000, 2 },						/* unknown: from the commit */
		{ "consumer", 1, 5000, 1999, 0 }, { "consumer", 1, 5000, 2000, 1 },	/* only b: nobody is subscribed to it */
		{ "connect", 1, 5000, 900000, 0 },
	};
	struct bed b;

	bed_init(&b, unit_seed());
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct group_record r = { .protocol_type = slice_str(rows[i].type), .protocol = rows[i].members > 0 ? SLICE_LIT("range") : SLICE_NULL,
			.generation = 1, .state_timestamp_ms = rows[i].since, .nmembers = rows[i].members, .members = &m };
		struct group *g = group_load(&b.host, SLICE_LIT("x"), &r);
		struct offsets o;
		unsigned n = 0;

		REQUIRE(g != NULL);
		offsets_init(&o, 1);
		commit(&o, A, 0, 1, 1);
		commit(&o, B, 0, 1, 2);
		offsets_expire(&o, g, rows[i].now, 1000, count, &n);
		unit_check(n == rows[i].expired, __FILE__, __LINE__, "row %zu: %u expired", i, n);
		offsets_begin(&o, B, 0);
		n = 0;
		offsets_expire(&o, g, INT64_MAX / 2, 1000, count, &n);	/* one with a commit on its way stays */
		CHECK(rows[i].expired > 0 || got(&o, B, 0) == 1);
		offsets_fini(&o);
		group_unref(&g);
	}
	bed_fini(&b);
}

TEST(an_explicit_expiry_of_an_old_client_is_kept)
{
	struct offset_value v = at(1);
	struct offsets o;
	struct bed b;
	unsigned n = 0;

	bed_init(&b, unit_seed());
	offsets_init(&o, 1);
	v.expire_timestamp_ms = 50000;
	offsets_load(&o, A, 0, &v, 1);
	offsets_expire(&o, b.group, 49999, 1, count, &n);
	CHECK_EQ(n, 0);
	offsets_expire(&o, b.group, 50000, INT64_MAX, count, &n);
	CHECK_EQ(n, 1);
	offsets_fini(&o);
	bed_fini(&b);
}

TEST(loading_takes_the_last_record_and_tombstones_remove)
{
	struct offsets o;

	offsets_init(&o, unit_seed());
	for (int32_t i = 0; i < 1000; i++) {
		struct offset_value v = at(i);

		offsets_load(&o, A, i % 100, &v, i);
	}
	CHECK_EQ(o.ncommitted, 100);
	CHECK_EQ(got(&o, A, 42), 942);
	offsets_load_tombstone(&o, A, 42);
	offsets_load_tombstone(&o, B, 1);
	CHECK_EQ(got(&o, A, 42), -1);
	CHECK_EQ(o.ncommitted, 99);
	offsets_check(&o);
	offsets_fini(&o);
}

/* Four partitions of three topics, three producers; every operation at random, the model beside it. */
enum { MODEL = 12, PRODUCERS = 3 };
struct model {
	int64_t	 offset[MODEL], record[MODEL];
	unsigned pending[MODEL];
	bool	 has[PRODUCERS][MODEL];
	int64_t	 txn_offset[PRODUCERS][MODEL], txn_record[PRODUCERS][MODEL];
};

static void
model_take(struct model *m, unsigned i, int64_t offset, int64_t record)
{
	if (m->offset[i] < 0 || record > m->record[i]) {
		m->offset[i] = offset;
		m->record[i] = record;
	}
}

TEST(random_commits_transactions_and_removals_agree_with_a_model)
{
	static const char *const names[] = { "a", "topic-b", "c" };
	struct random_seeded random;
	struct model m;
	struct offsets o;
	int64_t next = 0;

	random_seeded_init(&random, unit_seed());
	memset(&m, 0, sizeof(m));
	for (unsigned i = 0; i < MODEL; i++)
		m.offset[i] = -1;
	offsets_init(&o, unit_seed());
	for (unsigned step = 0; step < 100000; step++) {
		unsigned i = random_below(&random.random, MODEL), p = random_below(&random.random, PRODUCERS), j;
		struct slice topic = slice_str(names[i / 4]);
		int32_t part = (int32_t)(i % 4) * 7;
		struct offset_value v = at(++next);

		switch (random_below(&random.random, 9)) {
		case 0: case 1:
			offsets_begin(&o, topic, part);
			m.pending[i]++;
			break;
		case 2: case 3:
			offsets_appended(&o, topic, part, &v, next);
			if (m.pending[i] > 0) {
				m.pending[i]--;
				model_take(&m, i, next, next);
			}
			break;
		case 4:
			offsets_failed(&o, topic, part);
			m.pending[i] -= m.pending[i] > 0;
			break;
		case 5:
			offsets_txn_begin(&o, (int64_t)p, topic, part);
			m.has[p][i] = true;
			m.txn_record[p][i] = -1;
			break;
		case 6:
			offsets_txn_appended(&o, (int64_t)p, topic, part, &v, next);
			if (m.has[p][i])
				m.txn_offset[p][i] = m.txn_record[p][i] = next;
			break;
		case 7:
			if (random_below(&random.random, 4) != 0)
				break;
			offsets_txn_end(&o, (int64_t)p, step % 2);
			for (j = 0; j < MODEL; j++) {
				if (m.has[p][j] && step % 2 && m.txn_record[p][j] >= 0)
					model_take(&m, j, m.txn_offset[p][j], m.txn_record[p][j]);
				m.has[p][j] = false;
			}
			break;
		default:
			CHECK_EQ(offsets_remove(&o, topic, part), m.offset[i] >= 0);
			m.offset[i] = -1;
			m.pending[i] = 0;
		}
		if (step % 64 == 0)
			offsets_check(&o);
		CHECK_EQ(got(&o, topic, part), m.offset[i]);
		CHECK_EQ(offsets_unstable(&o, topic, part), m.pending[i] > 0 || m.has[0][i] || m.has[1][i] || m.has[2][i]);
	}
	offsets_fini(&o);
}

UNIT_MAIN("group/offsets", T(a_commit_counts_when_it_is_in_the_log), T(of_two_commits_the_later_record_wins_whatever_the_order_of_the_answers),
    T(a_transactional_commit_counts_with_its_transaction), T(what_is_removed_while_it_is_on_its_way_does_not_come_back),
    T(offsets_expire_by_the_state_of_their_group), T(an_explicit_expiry_of_an_old_client_is_kept), T(loading_takes_the_last_record_and_tombstones_remove),
    T(random_commits_transactions_and_removals_agree_with_a_model))
