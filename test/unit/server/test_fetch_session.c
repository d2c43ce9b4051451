/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetch sessions by themselves: ids, epochs, what an answer names, who makes room for whom.
 */
#include "base/limits.h"
#include "cluster/cluster.h"
#include "server/fetch_session.h"
#include "test/unit/unit.h"
#include "wire/walker.h"

struct bench {
	struct clock_manual clock;
	struct random_seeded random;
	struct metrics	 metrics;
	struct cluster	*cluster;
	struct arena	 arena;
	struct fetch_sessions *sessions;
};

static void
bench_init(struct bench *b, int32_t slots)
{
	memset(b, 0, sizeof(*b));
	clock_manual_init(&b->clock, 1000000);
	random_seeded_init(&b->random, unit_seed());
	b->cluster = cluster_new("x");
	arena_init(&b->arena, 256 << 20);
	b->sessions = fetch_sessions_new(slots, &b->clock.clock, &b->random.random, &b->metrics);
}

static void
bench_fini(struct bench *b)
{
	fetch_sessions_free(&b->sessions);
	CHECK_EQ(metric_get(&b->metrics, METRIC_fetch_sessions), 0);
	CHECK_EQ(metric_get(&b->metrics, METRIC_fetch_session_partitions), 0);
	cluster_free(&b->cluster);
	arena_fini(&b->arena);
}

/* Partitions [from, from + n) of topic "t" at offset 0. */
static struct wire_fetch_request *
request(struct bench *b, int32_t id, int32_t epoch, int32_t from, int32_t n)
{
	struct wire_fetch_request *q = WIRE_NEW(&b->arena, fetch_request);
	struct wire_fetch_request_topic *t = WIRE_NEW(&b->arena, fetch_request_topic);

	q->session_id = id;
	q->session_epoch = epoch;
	q->topics.v = t;
	q->topics.n = n > 0;
	t->topic = slice_str("t");
	t->partitions.v = WIRE_NEW_ARRAY(&b->arena, fetch_request_partition, n);
	t->partitions.n = n;
	for (int32_t i = 0; i < n; i++)
		t->partitions.v[i].partition = from + i;
	return (q);
}

static void
forget(struct bench *b, struct wire_fetch_request *q, int32_t partition)
{
	struct wire_fetch_request_forgotten_topic *t = WIRE_NEW(&b->arena, fetch_request_forgotten_topic);
	int32_t *p = ARENA_ARRAY(&b->arena, int32_t, 1);

	*p = partition;
	t->topic = slice_str("t");
	t->partitions.v = p;
	t->partitions.n = 1;
	q->forgotten_topics_data.v = t;
	q->forgotten_topics_data.n = 1;
}

static struct fetch_context
begin(struct bench *b, const struct wire_fetch_request *q, bool follower)
{
	struct fetch_context x;

	CHECK(fetch_session_begin(b->sessions, q, 12, follower, cluster_read(b->cluster), &b->arena, &x));
	for (uint32_t i = 0; i < x.nparts; i++) {		/* every partition has high watermark 10 and starts at 0 */
		x.parts[i].high_watermark = 10;
		x.parts[i].answer_log_start_offset = 0;
	}
	return (x);
}

/* Begins and ends; the parts sent in *sent as text "0 2 ". */
static struct fetch_context
run(struct bench *b, const struct wire_fetch_request *q, bool follower)
{
	struct fetch_context x = begin(b, q, follower);

	fetch_session_end(b->sessions, &x);
	return (x);
}

static const char *
parts(struct bench *b, const struct fetch_context *x, bool only_sent)
{
	const char *text = "";

	for (uint32_t i = 0; i < x->nparts; i++)
		if (x->parts[i].send || !only_sent)
			text = arena_printf(&b->arena, "%s%d ", text, x->parts[i].partition);
	return (text);
}

#define ALL(x)	parts(&b, &(x), false)
#define SENT(x)	parts(&b, &(x), true)

TEST(a_session_is_made_on_request_and_not_otherwise)
{
	struct bench b;
	struct fetch_context x;

	bench_init(&b, 1000);
	x = run(&b, request(&b, 0, -1, 0, 3), false);
	CHECK_EQ(x.session_id, 0);
	CHECK_STR(SENT(x), "0 1 2 ");
	x = run(&b, request(&b, 0, 0, 0, 3), false);
	CHECK(x.session_id > 0);
	CHECK_STR(SENT(x), "0 1 2 ");
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_sessions), 1);
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_session_partitions), 3);
	x = run(&b, request(&b, x.session_id, -1, 0, 3), false);	/* closed, and a last full answer */
	CHECK_EQ(x.session_id, 0);
	CHECK_STR(SENT(x), "0 1 2 ");
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_sessions), 0);
	x = run(&b, request(&b, 0, 0, 0, 0), false);			/* even an empty one can be had */
	CHECK(x.session_id > 0);
	bench_fini(&b);
}

TEST(ids_tell_their_shard_and_go_round)
{
	struct bench b;

	bench_init(&b, 1000);
	for (int i = 0; i < 40; i++) {
		struct fetch_context x = run(&b, request(&b, 0, 0, 0, 1), false);

		CHECK(x.session_id > 0);
		CHECK_EQ(x.session_id / (INT32_MAX / FETCH_SESSION_SHARDS), i % FETCH_SESSION_SHARDS);
	}
	bench_fini(&b);
}

TEST(epochs_count_from_one_and_are_insisted_on)
{
	struct bench b;
	struct fetch_context x;
	int32_t id;

	bench_init(&b, 1000);
	id = run(&b, request(&b, 0, 0, 0, 2), false).session_id;
	for (int32_t e = -5; e < 5; e++) {
		if (e >= -1 && e <= 1)
			continue;
		x = run(&b, request(&b, id, e, 0, 0), false);
		CHECK_EQ(x.error, KERR_INVALID_FETCH_SESSION_EPOCH);
		CHECK_EQ(x.session_id, 0);
		CHECK_EQ(x.nparts, 0);
	}
	for (int32_t e = 1; e < 5; e++) {
		x = run(&b, request(&b, id, e, 0, 0), false);
		CHECK_EQ(x.error, KERR_NONE);
		CHECK_EQ(x.session_id, id);
		CHECK_STR(ALL(x), "0 1 ");
		CHECK_STR(SENT(x), "");
	}
	static const int32_t ids[] = { 0, 1, -1, INT32_MAX, INT32_MAX - 1, INT32_MIN };
	for (size_t i = 0; i < NELEM(ids); i++) {
		x = run(&b, request(&b, ids[i], 5, 0, 0), false);
		CHECK_EQ(x.error, KERR_FETCH_SESSION_ID_NOT_FOUND);
		run(&b, request(&b, ids[i], -1, 0, 0), false);		/* closing what is not there */
	}
	CHECK(fetch_session_begin(b.sessions, request(&b, id, 5, 0, 0), 13, false, cluster_read(b.cluster), &b.arena, &x));
	CHECK_EQ(x.error, KERR_FETCH_SESSION_TOPIC_ID_ERROR);
	x = run(&b, request(&b, id, 5, 0, 0), false);			/* none of that has harmed it */
	CHECK_EQ(x.error, KERR_NONE);
	bench_fini(&b);
}

TEST(what_a_request_adds_changes_and_forgets)
{
	struct bench b;
	struct fetch_context x;
	struct wire_fetch_request *q;
	int32_t id;

	bench_init(&b, 1000);
	id = run(&b, request(&b, 0, 0, 0, 3), false).session_id;
	q = request(&b, id, 1, 2, 2);					/* 2 is changed, 3 added, 0 forgotten */
	q->topics.v[0].partitions.v[0].fetch_offset = 7;
	q->topics.v[0].partitions.v[0].partition_max_bytes = 99;
	q->topics.v[0].partitions.v[0].current_leader_epoch = 4;
	forget(&b, q, 0);
	x = run(&b, q, false);
	CHECK_STR(ALL(x), "1 2 3 ");
	CHECK_STR(SENT(x), "3 ");					/* new here: its high watermark was not told yet */
	CHECK_EQ(x.parts[1].fetch_offset, 7);
	CHECK_EQ(x.parts[1].max_bytes, 99);
	CHECK_EQ(x.parts[1].current_leader_epoch, 4);
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_session_partitions), 3);
	q = request(&b, id, 2, 9, 1);					/* added and forgotten at once is forgotten */
	forget(&b, q, 9);
	x = run(&b, q, false);
	CHECK_STR(ALL(x), "1 2 3 ");
	CHECK_EQ(x.parts[1].fetch_offset, 7);				/* remembered */
	q = request(&b, id, 3, 0, 0);
	forget(&b, q, 77);						/* never was there */
	x = run(&b, q, false);
	CHECK_STR(ALL(x), "1 2 3 ");
	for (int32_t i = 1; i <= 3; i++) {
		q = request(&b, id, 3 + i, 0, 0);
		forget(&b, q, i);
		x = run(&b, q, false);
	}
	CHECK_EQ(x.error, KERR_NONE);					/* nothing is left: the session ends by itself */
	CHECK_EQ(x.session_id, 0);
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_sessions), 0);
	bench_fini(&b);
}

TEST(an_answer_names_what_has_changed)
{
	struct bench b;
	struct fetch_context x;
	int32_t id, e = 1;

	bench_init(&b, 1000);
	id = run(&b, request(&b, 0, 0, 0, 5), false).session_id;
	x = begin(&b, request(&b, id, e++, 0, 0), false);
	x.parts[0].has_records = true;
	x.parts[1].high_watermark = 11;
	x.parts[2].answer_log_start_offset = 1;
	x.parts[3].error = KERR_NOT_LEADER_OR_FOLLOWER;
	x.parts[3].high_watermark = x.parts[3].answer_log_start_offset = -1;
	x.parts[4].diverging = true;
	fetch_session_end(b.sessions, &x);
	CHECK_STR(SENT(x), "0 1 2 3 4 ");
	x = begin(&b, request(&b, id, e++, 0, 0), false);
	CHECK_STR(ALL(x), "1 2 3 4 0 ");				/* what had records goes behind the others */
	x.parts[0].high_watermark = 11;
	x.parts[1].answer_log_start_offset = 1;
	x.parts[2].error = KERR_NOT_LEADER_OR_FOLLOWER;
	x.parts[2].high_watermark = x.parts[2].answer_log_start_offset = -1;
	fetch_session_end(b.sessions, &x);
	CHECK_STR(SENT(x), "3 ");					/* errors are said each time */
	x = begin(&b, request(&b, id, e++, 0, 0), false);
	x.parts[0].high_watermark = 11;
	x.parts[1].answer_log_start_offset = 1;
	fetch_session_end(b.sessions, &x);
	CHECK_STR(SENT(x), "3 ");					/* the error is gone: said once */
	x = begin(&b, request(&b, id, e++, 0, 0), false);
	x.parts[0].high_watermark = 11;
	x.parts[1].answer_log_start_offset = 1;
	fetch_session_end(b.sessions, &x);
	CHECK_STR(SENT(x), "");
	bench_fini(&b);
}

TEST(served_partitions_rotate)
{
	struct bench b;
	struct fetch_context x;
	int32_t id;

	bench_init(&b, 1000);
	id = run(&b, request(&b, 0, 0, 0, 4), false).session_id;
	x = begin(&b, request(&b, id, 1, 0, 0), false);
	x.parts[0].has_records = x.parts[2].has_records = true;
	fetch_session_end(b.sessions, &x);
	x = begin(&b, request(&b, id, 2, 0, 0), false);
	CHECK_STR(ALL(x), "1 3 0 2 ");
	x.parts[0].has_records = true;
	fetch_session_end(b.sessions, &x);
	x = run(&b, request(&b, id, 3, 0, 0), false);
	CHECK_STR(ALL(x), "3 0 2 1 ");
	bench_fini(&b);
}

TEST(an_abandoned_request_leaves_the_session_usable)
{
	struct bench b;
	struct fetch_context x;
	int32_t id;

	bench_init(&b, 1000);
	id = run(&b, request(&b, 0, 0, 0, 2), false).session_id;
	x = begin(&b, request(&b, id, 1, 0, 0), false);
	fetch_session_abandon(b.sessions, &x);
	fetch_session_abandon(b.sessions, &x);
	x = run(&b, request(&b, id, 2, 0, 0), false);
	CHECK_EQ(x.error, KERR_NONE);
	bench_fini(&b);
}

/* ---- room: 8 slots are one per shard, and the shards are taken in turn ---- */

static int32_t
fill_shards(struct bench *b, int32_t n, bool follower)
{
	int32_t first = 0;

	for (int i = 0; i < FETCH_SESSION_SHARDS; i++) {
		int32_t id = run(b, request(b, 0, 0, 0, n), follower).session_id;

		first = i == 0 ? id : first;
	}
	return (first);
}

static void
pass(struct bench *b, int64_t ms)
{
	clock_manual_advance_ns(&b->clock, ms * 1000000);
}

TEST(too_few_slots_are_none)
{
	struct bench b;

	bench_init(&b, 7);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(run(&b, request(&b, 0, 0, 0, 1), true).session_id, 0);
	bench_fini(&b);
}

TEST(a_young_session_stays_and_a_forgotten_one_goes)
{
	struct bench b;
	int32_t id;

	bench_init(&b, 8);
	id = fill_shards(&b, 5, false);
	CHECK_EQ(run(&b, request(&b, 0, 0, 0, 100), false).session_id, 0);	/* larger, but the other is young */
	for (int i = 1; i < FETCH_SESSION_SHARDS; i++)
		run(&b, request(&b, 0, 0, 0, 1), false);
	pass(&b, FETCH_SESSION_EVICTABLE_MS);
	CHECK_EQ(run(&b, request(&b, 0, 0, 0, 1), false).session_id, 0);	/* not longer than that */
	for (int i = 1; i < FETCH_SESSION_SHARDS; i++)
		run(&b, request(&b, 0, 0, 0, 1), false);
	pass(&b, 1);
	CHECK(run(&b, request(&b, 0, 0, 0, 1), false).session_id > 0);
	CHECK_EQ(metric_get(&b.metrics, METRIC_fetch_session_evictions_total), 1);
	CHECK_EQ(run(&b, request(&b, id, 1, 0, 0), false).error, KERR_FETCH_SESSION_ID_NOT_FOUND);
	bench_fini(&b);
}

TEST(an_old_session_makes_room_for_a_larger_one)
{
	struct bench b;
	int32_t id;

	bench_init(&b, 8);
	id = fill_shards(&b, 5, false);
	pass(&b, FETCH_SESSION_EVICTABLE_MS);
	CHECK_EQ(run(&b, request(&b, id, 1, 0, 0), false).error, KERR_NONE);
	pass(&b, 1000);
	CHECK_EQ(run(&b, request(&b, id, 2, 0, 0), false).error, KERR_NONE);	/* used just now, and now old enough */
	CHECK_EQ(run(&b, request(&b, 0, 0, 0, 5), false).session_id, 0);	/* as large is not larger */
	for (int i = 1; i < FETCH_SESSION_SHARDS; i++)
		run(&b, request(&b, 0, -1, 0, 1), false);
	for (int i = 1; i < FETCH_SESSION_SHARDS; i++)			/* (go round to the same shard) */
		run(&b, request(&b, 0, 0, 0, 1), false);
	CHECK(run(&b, request(&b, 0, 0, 0, 6), false).session_id > 0);
	CHECK_EQ(run(&b, request(&b, id, 3, 0, 0), false).error, KERR_FETCH_SESSION_ID_NOT_FOUND);
	bench_fini(&b);
}

TEST(followers_go_before_consumers)
{
	struct bench b;
	int32_t id;

	bench_init(&b, 8);
	id = fill_shards(&b, 50, false);
	CHECK(run(&b, request(&b, 0, 0, 0, 1), true).session_id > 0);		/* at once, and smaller */
	CHECK_EQ(run(&b, request(&b, id, 1, 0, 0), false).error, KERR_FETCH_SESSION_ID_NOT_FOUND);
	for (int i = 1; i < FETCH_SESSION_SHARDS; i++)
		CHECK(run(&b, request(&b, 0, 0, 0, 1), true).session_id > 0);
	CHECK_EQ(run(&b, request(&b, 0, 0, 0, 2), true).session_id, 0);	/* but not before young followers */
	CHECK_EQ(run(&b, request(&b, 0, 0, 0, 100), false).session_id, 0);
	bench_fini(&b);
}

/* A peer that invents partitions gets full answers and no memory. */
TEST(sessions_have_a_weight_limit)
{
	enum { N = 100000 };
	struct bench b;
	int32_t made = 0, last = 0;

	bench_init(&b, 100000);
	for (int i = 0; i < 8; i++) {
		struct fetch_context x = run(&b, request(&b, 0, 0, i * N, N), false);

		CHECK_EQ(x.error, KERR_NONE);
		CHECK_EQ(x.nparts, N);
		made += x.session_id > 0;
		last = x.session_id > 0 ? x.session_id : last;
		for (int k = 1; k < FETCH_SESSION_SHARDS; k++)	/* the other shards: all of it goes to the first */
			CHECK(run(&b, request(&b, 0, 0, 0, 1), false).session_id > 0);
		arena_reset(&b.arena);
	}
	CHECK_GE(made, 2);
	CHECK_GE(6, made);
	for (int32_t i = 0, e = 1;; i++) {		/* and a session that grows beyond it is closed */
		struct fetch_context x = run(&b, request(&b, last, e++, 20000000 + i * N, N), false);

		arena_reset(&b.arena);
		if (x.error == KERR_NONE && i < 8)
			continue;
		CHECK_EQ(x.error, KERR_FETCH_SESSION_ID_NOT_FOUND);
		break;
	}
	bench_fini(&b);
}

/* ---- against a model that is written as plainly as it can be ---- */

struct model_part { int32_t partition; int64_t hw, start; };
struct model { struct model_part v[64]; int n; };

static int
model_find(const struct model *m, int32_t partition)
{
	for (int i = 0; i < m->n; i++)
		if (m->v[i].partition == partition)
			return (i);
	return (-1);
}

static void
model_remove(struct model *m, int at)
{
	memmove(&m->v[at], &m->v[at + 1], (size_t)(m->n - at - 1) * sizeof(m->v[0]));
	m->n--;
}

static void
model_answer(struct model *m, struct fetch_context *x)
{
	struct model order = *m;

	for (uint32_t i = 0; i < x->nparts; i++) {
		struct fetch_part *p = &x->parts[i];
		int at = model_find(m, p->partition);
		struct model_part was;
		bool send;

		CHECK_EQ(order.v[i].partition, p->partition);
		if (at < 0)
			return;
		was = m->v[at];
		send = p->has_records || p->error != KERR_NONE || p->high_watermark != was.hw || p->answer_log_start_offset != was.start;
		CHECK_EQ(send, p->send);
		m->v[at].hw = p->error != KERR_NONE ? -1 : p->high_watermark;
		m->v[at].start = p->answer_log_start_offset;
		if (p->has_records) {
			was = m->v[at];
			model_remove(m, at);
			m->v[m->n++] = was;
		}
	}
}

TEST(random_sessions_behave_as_a_plain_model)
{
	struct bench b;
	struct random *rnd;
	struct model m = { .n = 0 };
	int32_t id = 0, epoch = 0;

	bench_init(&b, 1000);
	rnd = &b.random.random;
	for (int step = 0; step < 20000; step++) {
		struct wire_fetch_request *q = request(&b, id, epoch, (int32_t)random_below(rnd, 30), id == 0 ? 8 : (int32_t)random_below(rnd, 4));
		struct fetch_context x;

		for (int32_t i = 0; q->topics.n > 0 && i < q->topics.v[0].partitions.n; i++)
			if (model_find(&m, q->topics.v[0].partitions.v[i].partition) < 0)
				m.v[m.n++] = (struct model_part){ q->topics.v[0].partitions.v[i].partition, -1, -1 };
		if (id != 0 && m.n > 1 && random_below(rnd, 2) == 0) {
			int at = (int)random_below(rnd, (uint32_t)m.n);

			forget(&b, q, m.v[at].partition);
			model_remove(&m, at);
		}
		x = begin(&b, q, false);
		REQUIRE((int)x.nparts == m.n && x.error == KERR_NONE);
		for (uint32_t i = 0; i < x.nparts; i++) {
			x.parts[i].has_records = random_below(rnd, 5) == 0;
			x.parts[i].high_watermark = random_below(rnd, 2);
			if (!x.parts[i].has_records && random_below(rnd, 9) == 0) {
				x.parts[i].error = KERR_OFFSET_OUT_OF_RANGE;
				x.parts[i].high_watermark = x.parts[i].answer_log_start_offset = -1;
			}
		}
		fetch_session_end(b.sessions, &x);
		if (id == 0) {				/* the full answer: everything is sent and remembered as it came */
			for (uint32_t i = 0; i < x.nparts; i++) {
				CHECK(x.parts[i].send);
				m.v[i].hw = x.parts[i].high_watermark;
				m.v[i].start = x.parts[i].answer_log_start_offset;
			}
			id = x.session_id;
			REQUIRE(id > 0);
		} else
			model_answer(&m, &x);
		epoch++;
		if (random_below(rnd, 500) == 0) {
			run(&b, request(&b, id, -1, 0, 0), false);
			id = epoch = m.n = 0;
		}
		arena_reset(&b.arena);
	}
	bench_fini(&b);
}

UNIT_MAIN("server/fetch_session", T(a_session_is_made_on_request_and_not_otherwise), T(ids_tell_their_shard_and_go_round),
    T(epochs_count_from_one_and_are_insisted_on), T(what_a_request_adds_changes_and_forgets), T(an_answer_names_what_has_changed),
    T(served_partitions_rotate), T(an_abandoned_request_leaves_the_session_usable), T(too_few_slots_are_none),
    T(a_young_session_stays_and_a_forgotten_one_goes), T(an_old_session_makes_room_for_a_larger_one), T(followers_go_before_consumers),
    T(sessions_have_a_weight_limit), T(random_sessions_behave_as_a_plain_model))
