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

	offsets_appended(o, offsets_begin(o, topic, partition), topic, partition, &v, record);
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
	uint64_t t;

	offsets_init(&o, unit_seed());
	CHECK(!offsets_any(&o));
	t = offsets_begin(&o, A, 3);
	CHECK(offsets_any(&o));
	CHECK_EQ(got(&o, A, 3), -1);
	offsets_appended(&o, t, A, 3, &v, 10);
	CHECK(offsets_get(&o, A, 3, &v));
	CHECK_EQ(v.offset, 7);
	CHECK_EQ(v.leader_epoch, 2);
	CHECK(slice_eq_str(v.metadata, "m"));
	offsets_failed(&o, offsets_begin(&o, A, 3), A, 3);
	CHECK_EQ(got(&o, A, 3), 7);
	offsets_failed(&o, offsets_begin(&o, B, 0), B, 0);
	CHECK_EQ(got(&o, B, 0), -1);
	offsets_check(&o);
	offsets_fini(&o);
}

TEST(of_two_commits_the_later_record_wins_whatever_the_order_of_the_answers)
{
	struct offset_value v = at(1), w = at(2);
	struct offsets o;
	uint64_t t, u;

	offsets_init(&o, unit_seed());
	t = offsets_begin(&o, A, 0);
	u = offsets_begin(&o, A, 0);
	offsets_appended(&o, u, A, 0, &w, 11);
	offsets_appended(&o, t, A, 0, &v, 10);
	CHECK_EQ(got(&o, A, 0), 2);
	offsets_fini(&o);
}

TEST(a_transactional_commit_counts_with_its_transaction)
{
	struct offset_value v = at(5), w = at(6);
	struct offsets o;
	uint64_t t;

	offsets_init(&o, unit_seed());
	commit(&o, A, 0, 1, 1);
	t = offsets_txn_begin(&o, 77, A, 0);
	CHECK(offsets_unstable(&o, A, 0));
	CHECK_EQ(got(&o, A, 0), 1);
	offsets_txn_appended(&o, t, 77, A, 0, &v, 2);
	t = offsets_txn_begin(&o, 77, B, 9);
	offsets_txn_failed(&o, t, 77, B, 9);
	CHECK(!offsets_unstable(&o, B, 9));
	offsets_txn_end(&o, 77, true);
	CHECK(!offsets_unstable(&o, A, 0));
	CHECK_EQ(got(&o, A, 0), 5);

	t = offsets_txn_begin(&o, 78, A, 0);	/* aborted */
	offsets_txn_appended(&o, t, 78, A, 0, &w, 3);
	offsets_txn_end(&o, 78, false);
	CHECK_EQ(got(&o, A, 0), 5);

	t = offsets_txn_begin(&o, 79, A, 0);	/* committed, but an ordinary commit came behind its record */
	offsets_txn_appended(&o, t, 79, A, 0, &w, 4);
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
	uint64_t t;
	unsigned n = 0;

	offsets_init(&o, unit_seed());
	commit(&o, A, 0, 1, 1);
	commit(&o, A, 1, 1, 1);
	t = offsets_begin(&o, A, 0);
	offsets_remove_topic(&o, A, count, &n);
	CHECK_EQ(n, 2);
	offsets_appended(&o, t, A, 0, &v, 2);
	CHECK_EQ(got(&o, A, 0), -1);
	CHECK(!offsets_any(&o));
	t = offsets_txn_begin(&o, 1, A, 0);		/* nor does an undecided one with its marker */
	offsets_txn_appended(&o, t, 1, A, 0, &v, 4);
	offsets_remove_all(&o, count, &n);
	CHECK_EQ(n, 3);
	offsets_txn_end(&o, 1, true);
	CHECK_EQ(got(&o, A, 0), -1);
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
		(void)offsets_begin(&o, B, 0);
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

/* ---- a random run beside the log it would leave ----
 *
 * Commits and tombstones are queued in the order of the calls; the log takes or refuses them in that order; answers come in any.  At every step what
 * is in memory is what a load of the log gives, without the records whose answers have not come and with the tombstones that are queued.
 */
enum { PLACES = 6, PRODUCERS = 2, RECORDS = 96 };
enum kind { COMMIT, TOMBSTONE, TXN_COMMIT, MARKER };
struct entry {
	enum kind kind;
	unsigned place, producer;
	int64_t	 value;
	uint64_t ticket;
	bool	 in_log, answered, commits;
};
struct run {
	struct offsets o;
	struct random_seeded random;
	struct entry log[RECORDS];	/* in_log or refused up to `landed`, then queued */
	unsigned n, landed;
};

static struct slice
place_topic(unsigned place)
{
	return (place < PLACES / 2 ? A : B);
}

static int32_t
place_partition(unsigned place)
{
	return ((int32_t)(place % (PLACES / 2)) * 7);
}

static unsigned
any(struct run *r, unsigned below)
{
	return (random_below(&r->random.random, below));
}

static void
replay(struct run *r, bool everything, struct offsets *o)
{
	offsets_init(o, 5);
	for (unsigned i = 0; i < r->n; i++) {
		const struct entry *e = &r->log[i];
		struct offset_value v = at(e->value);

		if (i < r->landed && !e->in_log)
			continue;
		if (e->kind == MARKER)
			offsets_txn_end(o, e->producer, e->commits);
		else if (e->kind == TOMBSTONE)
			offsets_load_tombstone(o, place_topic(e->place), place_partition(e->place));
		else if (!everything && !e->answered)
			continue;
		else if (e->kind == COMMIT)
			offsets_load(o, place_topic(e->place), place_partition(e->place), &v, i);
		else
			offsets_load_txn(o, e->producer, place_topic(e->place), place_partition(e->place), &v, i);
	}
}

static void
compare(struct run *r)
{
	struct offsets loaded;

	offsets_check(&r->o);
	replay(r, false, &loaded);
	for (unsigned i = 0; i < PLACES; i++) {
		CHECK_EQ(got(&r->o, place_topic(i), place_partition(i)), got(&loaded, place_topic(i), place_partition(i)));
		if (offsets_unstable(&loaded, place_topic(i), place_partition(i)))
			CHECK(offsets_unstable(&r->o, place_topic(i), place_partition(i)));
	}
	offsets_fini(&loaded);
}

static struct entry *
enqueue(struct run *r, enum kind kind, unsigned place)
{
	struct entry *e = &r->log[r->n++];

	must(r->n <= RECORDS);
	*e = (struct entry){ .kind = kind, .place = place, .value = r->n * 10, .producer = any(r, PRODUCERS) };
	return (e);
}

static bool
held(const struct offsets *o, unsigned place)
{
	return (got(o, place_topic(place), place_partition(place)) >= 0 || offsets_unstable(o, place_topic(place), place_partition(place)));
}

static void
run_remove(struct run *r, unsigned place)
{
	struct offsets all;
	bool needed, told;

	replay(r, true, &all);
	needed = held(&all, place);
	offsets_fini(&all);
	told = offsets_remove(&r->o, place_topic(place), place_partition(place));
	CHECK(told || !needed);
	if (told)
		(void)enqueue(r, TOMBSTONE, place);
}

/* A marker is written when the transaction has its answers. */
static void
run_marker(struct run *r, unsigned producer)
{
	struct entry *e;

	for (unsigned i = 0; i < r->n; i++)
		if (r->log[i].kind == TXN_COMMIT && r->log[i].producer == producer && !r->log[i].answered)
			return;
	if (r->landed != r->n)
		return;
	e = enqueue(r, MARKER, 0);
	e->producer = producer;
	e->commits = any(r, 3) > 0;
	e->in_log = e->answered = true;
	r->landed = r->n;
	offsets_txn_end(&r->o, producer, e->commits);
}

static void
run_lands(struct run *r)
{
	struct entry *e = &r->log[r->landed];

	if (r->landed == r->n)
		return;
	r->landed++;
	e->in_log = e->kind == TOMBSTONE || any(r, 4) > 0;
	e->answered = e->kind == TOMBSTONE;
}

static void
run_answer(struct run *r, struct entry *e)
{
	struct offset_value v = at(e->value);

	e->answered = true;
	if (e->kind == COMMIT && e->in_log)
		offsets_appended(&r->o, e->ticket, place_topic(e->place), place_partition(e->place), &v, e - r->log);
	else if (e->kind == COMMIT)
		offsets_failed(&r->o, e->ticket, place_topic(e->place), place_partition(e->place));
	else if (e->in_log)
		offsets_txn_appended(&r->o, e->ticket, e->producer, place_topic(e->place), place_partition(e->place), &v, e - r->log);
	else
		offsets_txn_failed(&r->o, e->ticket, e->producer, place_topic(e->place), place_partition(e->place));
}

static void
run_any_answer(struct run *r)
{
	unsigned from = r->landed == 0 ? 0 : any(r, r->landed);

	for (unsigned i = 0; i < r->landed; i++)
		if (!r->log[(from + i) % r->landed].answered) {
			run_answer(r, &r->log[(from + i) % r->landed]);
			return;
		}
}

static void
run_step(struct run *r)
{
	unsigned place = any(r, PLACES);
	struct entry *e;

	switch (any(r, 10)) {
	case 0: case 1:
		e = enqueue(r, COMMIT, place);
		e->ticket = offsets_begin(&r->o, place_topic(place), place_partition(place));
		break;
	case 2:
		e = enqueue(r, TXN_COMMIT, place);
		e->ticket = offsets_txn_begin(&r->o, e->producer, place_topic(place), place_partition(place));
		break;
	case 3:
		run_remove(r, place);
		break;
	case 4:
		run_marker(r, any(r, PRODUCERS));
		break;
	case 5: case 6: case 7:
		run_lands(r);
		break;
	default:
		run_any_answer(r);
	}
}

TEST(memory_is_what_a_load_of_the_log_would_give_whatever_the_order_of_the_answers)
{
	struct run r;

	random_seeded_init(&r.random, unit_seed());
	for (unsigned round = 0; round < 1500; round++) {
		offsets_init(&r.o, unit_seed());
		r.n = r.landed = 0;
		while (r.n < RECORDS - 4) {
			run_step(&r);
			compare(&r);
		}
		while (r.landed < r.n)
			run_lands(&r);
		for (unsigned i = 0; i < r.n; i++)
			run_any_answer(&r);
		compare(&r);
		for (unsigned i = 0; i < PRODUCERS; i++)
			run_marker(&r, i);
		compare(&r);
		CHECK_EQ(r.o.npending, 0);
		CHECK(r.o.producers == NULL);
		offsets_fini(&r.o);
	}
}

TEST(a_commit_before_a_removal_is_not_taken_for_one_behind_it)
{
	struct offset_value v = at(1), w = at(2);
	uint64_t a, b, c;
	struct offsets o;

	offsets_init(&o, unit_seed());
	a = offsets_begin(&o, A, 0);
	CHECK(offsets_remove(&o, A, 0));	/* it will be in the log: the tombstone has to be behind it */
	CHECK(!offsets_remove(&o, A, 0));
	CHECK(!offsets_unstable(&o, A, 0));
	b = offsets_begin(&o, A, 0);
	CHECK(offsets_unstable(&o, A, 0));
	offsets_appended(&o, a, A, 0, &v, 1);
	CHECK_EQ(got(&o, A, 0), -1);
	offsets_appended(&o, b, A, 0, &w, 3);
	CHECK_EQ(got(&o, A, 0), 2);
	a = offsets_begin(&o, A, 0);
	CHECK(offsets_remove(&o, A, 0));
	c = offsets_begin(&o, A, 0);
	offsets_appended(&o, c, A, 0, &w, 6);
	offsets_appended(&o, a, A, 0, &v, 4);
	CHECK_EQ(got(&o, A, 0), 2);
	offsets_check(&o);
	offsets_fini(&o);
}

TEST(a_transaction_that_commits_twice_keeps_the_one_that_was_appended)
{
	struct offset_value v = at(1), w = at(2);
	uint64_t a, b;
	struct offsets o;

	offsets_init(&o, unit_seed());
	a = offsets_txn_begin(&o, 7, A, 0);
	b = offsets_txn_begin(&o, 7, A, 0);
	offsets_txn_appended(&o, a, 7, A, 0, &v, 1);
	offsets_txn_failed(&o, b, 7, A, 0);
	offsets_txn_end(&o, 7, true);
	CHECK_EQ(got(&o, A, 0), 1);
	a = offsets_txn_begin(&o, 7, A, 0);
	CHECK(offsets_remove(&o, A, 0));
	b = offsets_txn_begin(&o, 7, A, 0);
	offsets_txn_appended(&o, a, 7, A, 0, &w, 3);
	offsets_txn_failed(&o, b, 7, A, 0);
	offsets_txn_end(&o, 7, true);
	CHECK_EQ(got(&o, A, 0), -1);
	offsets_check(&o);
	offsets_fini(&o);
}

TEST(what_is_expected_of_a_topic_is_taken_at_once_and_no_more)
{
	struct offsets o;
	uint64_t before, t[20];

	offsets_init(&o, 1);
	offsets_expect(&o, A, 20);
	before = o.bytes;
	for (int32_t i = 0; i < 20; i++)
		t[i] = offsets_begin(&o, A, i);
	CHECK_EQ(o.bytes, before);
	offsets_check(&o);
	offsets_expect(&o, A, 3);
	CHECK_EQ(o.bytes, before);
	for (int32_t i = 0; i < 20; i++)
		offsets_failed(&o, t[i], A, i);
	CHECK_EQ(o.bytes, 0);
	offsets_fini(&o);
}

UNIT_MAIN("group/offsets", T(a_commit_counts_when_it_is_in_the_log), T(of_two_commits_the_later_record_wins_whatever_the_order_of_the_answers),
    T(a_transactional_commit_counts_with_its_transaction), T(what_is_removed_while_it_is_on_its_way_does_not_come_back),
    T(offsets_expire_by_the_state_of_their_group), T(an_explicit_expiry_of_an_old_client_is_kept), T(loading_takes_the_last_record_and_tombstones_remove),
    T(memory_is_what_a_load_of_the_log_would_give_whatever_the_order_of_the_answers), T(a_commit_before_a_removal_is_not_taken_for_one_behind_it),
    T(a_transaction_that_commits_twice_keeps_the_one_that_was_appended),
    T(what_is_expected_of_a_topic_is_taken_at_once_and_no_more))
