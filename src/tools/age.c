/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/age.c - see age.h.
 *
 * No API tells the time of a record by its offset: its batch must be fetched.  Of the partitions of a Fetch the first that has anything gives a whole
 * batch, however large; each other as many as fit into its own limit and into what is left of the answer's, or nothing.  So as many are asked at
 * once as fit whatever they give.  Those whose batch was too large are asked again with more room, fewer at once, the last time each alone.
 *
 * INVARIANTS
 *   (1) each answer is freed before the next question: memory does not grow with the partitions, but by their rows.
 *   (2) a partition whose answer settled nothing has moved on, STEPS_MAX times at most, or is asked with more room: no broker can make this endless.
 */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "record/record.h"
#include "tools/age.h"

enum {
	ANSWER_BYTES = 16 << 20,
	SMALL_BYTES = 64 << 10,
	USUAL_BYTES = (1 << 20) + SMALL_BYTES,	/* message.max.bytes as it comes, and a little */
	AT_ONCE_MAX = ANSWER_BYTES / SMALL_BYTES,
	STEPS_MAX = 64
};

static const int32_t room[] = { SMALL_BYTES, USUAL_BYTES, ANSWER_BYTES };
enum { SETTLED = NELEM(room) };		/* the level of what is asked no more */

static int
age_cmp(const void *a, const void *b)
{
	const struct age *x = a, *y = b;
	int d = x->leader < y->leader ? -1 : x->leader > y->leader;

	if (d == 0)
		d = slice_cmp(slice_str(x->topic), slice_str(y->topic));
	return (d != 0 ? d : x->partition < y->partition ? -1 : x->partition > y->partition);
}

struct key {
	struct slice topic;
	int32_t partition;
};

static int
key_cmp(const void *a, const void *b)
{
	const struct key *k = a;
	const struct age *y = b;
	int d = slice_cmp(k->topic, slice_str(y->topic));

	return (d != 0 ? d : k->partition < y->partition ? -1 : k->partition > y->partition);
}

/* ---- what came ---- */

/* ERR_NOTFOUND: the batch holds no such record, compaction took it. */
static enum err
timestamp_in_batch(struct slice whole, const struct batch_header *h, int64_t offset, int64_t *ms)
{
	struct record_iter it;
	struct record r;
	enum err e = record_iter_init(&it, NULL, whole, h, RECORD_FRAMING, NULL);

	for (bool found = false; e == OK && !found;)
		if ((e = record_iter_next(&it, &r, NULL)) == OK && r.offset >= offset) {
			*ms = r.timestamp;
			found = true;
		}
	record_iter_fini(&it);
	return (e);
}

static void
settle(struct age *a, int64_t ms)
{
	*a->ms = ms;
	a->level = SETTLED;
}

/* To the record, or over what holds none: transaction markers, which no consumer sees, and what compaction has emptied. */
static void
look_through(struct age *a, struct slice records)
{
	struct batch_iter it = batch_iter_of(records);
	struct batch_header h;
	struct slice whole;
	int64_t ms = -1;
	enum err e;

	while (a->level != SETTLED && batch_iter_next(&it, &h, &whole) == OK) {
		if (h.last_offset < a->offset)
			continue;
		e = batch_is_control(&h) ? ERR_NOTFOUND : timestamp_in_batch(whole, &h, a->offset, &ms);
		if (e == OK && ms >= 0)
			settle(a, MAX(clock_wall_ms(clock_real()) - ms, 0));
		else if (e != ERR_NOTFOUND)	/* without a time (magic 0), or it cannot be read */
			a->level = SETTLED;
		else if ((a->offset = batch_next_offset(&h)) >= a->end)
			settle(a, 0);
	}
}

static void
take_partition(struct age *a, const struct wire_fetch_response_partition *p)
{
	int64_t was = a->offset;

	a->asked = false;
	if (p->error_code == KERR_NONE && p->records.first != NULL)
		look_through(a, p->records.first->mem);
	if (p->error_code != KERR_NONE || (a->offset > was && ++a->steps == STEPS_MAX))
		a->level = SETTLED;
	else if (a->offset == was && a->level != SETTLED)
		a->level++;
}

/* Of all that were asked.  Whom it leaves out it had no room for. */
static void
take_answer(struct age *v, size_t n, const struct wire_fetch_response *f)
{
	for (int32_t t = 0; t < f->responses.n; t++)
		for (int32_t p = 0; p < f->responses.v[t].partitions.n; p++) {
			const struct wire_fetch_response_partition *q = &f->responses.v[t].partitions.v[p];
			struct key key = { f->responses.v[t].topic, q->partition_index };
			struct age *a = bsearch(&key, v, n, sizeof(*v), key_cmp);

			if (a != NULL && a->asked)
				take_partition(a, q);
		}
	for (size_t i = 0; i < n; i++)
		if (v[i].asked) {
			v[i].asked = false;
			v[i].level++;
		}
}

/* ---- what is asked ---- */

struct question {
	struct wire_fetch_request r;
	struct wire_fetch_request_topic topics[AT_ONCE_MAX];
	struct wire_fetch_request_partition partitions[AT_ONCE_MAX];
	size_t n;
};

static void
question_begin(struct question *q)
{
	WIRE_INIT(fetch_request, &q->r);
	q->r.max_bytes = ANSWER_BYTES;
	q->r.min_bytes = 1;
	q->r.topics.v = q->topics;
	q->n = 0;
}

static void
question_add(struct question *q, struct age *a)
{
	struct wire_fetch_request_topic *t = q->n == 0 ? NULL : &q->topics[q->r.topics.n - 1];
	struct wire_fetch_request_partition *p = &q->partitions[q->n++];

	if (t == NULL || !slice_eq_str(t->topic, a->topic)) {
		t = &q->topics[q->r.topics.n++];
		WIRE_INIT(fetch_request_topic, t);
		t->topic = slice_str(a->topic);
		t->partitions.v = p;
	}
	WIRE_INIT(fetch_request_partition, p);
	p->partition = a->partition;
	p->fetch_offset = a->offset;
	p->partition_max_bytes = room[a->level];
	t->partitions.n++;
	a->asked = true;
}

static bool
question_ask(struct cluster *c, struct question *q, struct age *v, size_t n)
{
	struct node *leader = cluster_node(c, v[0].leader);
	int version = leader == NULL ? -1 : cluster_version(c, leader, API_FETCH, 4, 12);	/* from 13 on topics have no names */
	const struct wire_fetch_response *f = version < 0 ? NULL : cluster_call(c, leader, API_FETCH, version, &q->r);

	if (f == NULL)
		return (false);
	take_answer(v, n, f);
	cluster_drop(c, f);
	return (true);
}

/* Once through those of a level, all of one leader.  How many were asked; *ok := false, and no further: it could not be. */
static size_t
ask_level(struct cluster *c, struct question *q, struct age *v, size_t n, unsigned level, bool *ok)
{
	size_t asked = 0;

	for (size_t i = 0; i < n && *ok; asked += q->n) {
		size_t from = i;

		question_begin(q);
		for (; i < n && q->n < (size_t)(ANSWER_BYTES / room[level]); i++)
			if (v[i].level == level)
				question_add(q, &v[i]);
		if (q->n > 0)
			*ok = question_ask(c, q, v + from, i - from);
	}
	return (asked);
}

bool
ages_find(struct cluster *c, struct age *v, size_t n)
{
	struct question *q = ARENA_ARRAY(cluster_arena(c), struct question, 1);
	bool all = true;
	size_t k;

	must(q != NULL);
	if (n > 1)
		qsort(v, n, sizeof(*v), age_cmp);
	for (size_t i = 0; i < n; i += k) {
		bool ok = true;

		for (k = 1; i + k < n && v[i + k].leader == v[i].leader;)
			k++;
		for (unsigned level = 0; level < SETTLED && ok; level++)
			while (ask_level(c, q, v + i, k, level, &ok) > 0 && ok)
				;
		all = all && ok;
	}
	return (all);
}
