/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/assign.c - see assign.h for the interface.
 *
 * POSITIONS  With n brokers in a row, the leader of partition p is at (p + start) mod n.  Candidate k for its followers is at
 *	(leader + 1 + (shift + k) mod (n - 1)) mod n: every other broker comes up once before any comes twice.  The shift grows by one each time p
 *	begins another round.
 * RACKS      The row is the brokers of all racks in turn, racks in the order of Java's strings; the shift counts whole rounds of racks.
 *	A candidate is passed over while its rack has a replica and another rack has none, or while it has one itself and another broker has none.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/assign.h"

struct row {
	const struct assign_broker *b;	/* in order of use */
	uint32_t	*rack;		/* of each, numbered from 0 */
	uint32_t	 n, nracks;	/* nracks 0: racks do not count */
};

struct marks {				/* of the partition at work: equal to its number means taken */
	int32_t		*broker, *rack;
	uint32_t	 nbrokers, nracks;
};

static int
by_rack_then_id(const void *x, const void *y)
{
	const struct assign_broker *a = x, *b = y;
	int c = strcmp(a->rack, b->rack);

	return (c != 0 ? c : (a->id > b->id) - (a->id < b->id));
}

static uint32_t
count_racks(const struct assign_broker *b, uint32_t n)
{
	uint32_t racks = 0;

	for (uint32_t i = 0; i < n; i++)
		racks += i == 0 || strcmp(b[i].rack, b[i - 1].rack) != 0;
	return (racks);
}

/* Takes one broker of each rack in turn until all are taken. */
static bool
alternate(struct row *row, struct arena *a)
{
	struct assign_broker *sorted = ARENA_ARRAY(a, struct assign_broker, row->n);
	struct assign_broker *out = ARENA_ARRAY(a, struct assign_broker, row->n);
	uint32_t done = 0;

	row->rack = ARENA_ARRAY(a, uint32_t, row->n);
	if (sorted == NULL || out == NULL || row->rack == NULL)
		return (false);
	memcpy(sorted, row->b, row->n * sizeof(*sorted));
	qsort(sorted, row->n, sizeof(*sorted), by_rack_then_id);
	row->nracks = count_racks(sorted, row->n);
	for (uint32_t round = 0; done < row->n; round++) {
		uint32_t rack = 0, place = 0;

		for (uint32_t i = 0; i < row->n; i++, place++) {
			if (i > 0 && strcmp(sorted[i].rack, sorted[i - 1].rack) != 0) {
				rack++;
				place = 0;
			}
			if (place == round) {
				out[done] = sorted[i];
				row->rack[done++] = rack;
			}
		}
	}
	row->b = out;
	return (true);
}

static enum kerr
row_of(const struct assign_options *o, struct arena *a, struct row *row, struct errbuf *eb)
{
	uint32_t with_rack = 0;

	*row = (struct row){ .b = o->brokers, .n = o->nbrokers };
	for (uint32_t i = 0; i < o->nbrokers; i++)
		with_rack += o->brokers[i].rack != NULL;
	if (with_rack == 0)
		return (KERR_NONE);
	if (with_rack < o->nbrokers) {
		errbuf_set(eb, "some brokers have a rack and some have none: replicas cannot be spread over racks");
		return (KERR_UNKNOWN_SERVER_ERROR);
	}
	return (alternate(row, a) ? KERR_NONE : KERR_UNKNOWN_SERVER_ERROR);
}

static bool
may_take(const struct row *row, const struct marks *m, uint32_t at, int32_t p)
{
	if (row->nracks == 0)
		return (true);
	return ((m->rack[row->rack[at]] != p || m->nracks == row->nracks) && (m->broker[at] != p || m->nbrokers == row->n));
}

static void
mark(const struct row *row, struct marks *m, uint32_t at, int32_t p)
{
	if (row->nracks == 0)
		return;
	m->nbrokers += m->broker[at] != p;
	m->broker[at] = p;
	m->nracks += m->rack[row->rack[at]] != p;
	m->rack[row->rack[at]] = p;
}

static void
assign_one(const struct row *row, struct marks *m, int32_t p, uint64_t start, uint64_t shift, int32_t rf, int32_t *out)
{
	uint32_t leader = (uint32_t)(((uint64_t)p + start) % row->n);
	uint64_t k = 0, base = shift * (row->nracks == 0 ? 1 : row->nracks);

	m->nbrokers = m->nracks = 0;
	mark(row, m, leader, p);
	out[0] = row->b[leader].id;
	for (int32_t j = 1; j < rf; k++) {
		uint32_t at = (uint32_t)((leader + 1 + (base + k) % (row->n - 1)) % row->n);

		if (!may_take(row, m, at, p))
			continue;
		mark(row, m, at, p);
		out[j++] = row->b[at].id;
	}
}

static enum kerr
check(const struct assign_options *o, struct errbuf *eb)
{
	if (o->partitions <= 0) {
		errbuf_set(eb, "a topic needs at least one partition, not %d", o->partitions);
		return (KERR_INVALID_PARTITIONS);
	}
	if (o->replication_factor <= 0) {
		errbuf_set(eb, "the replication factor is at least 1, not %d", o->replication_factor);
		return (KERR_INVALID_REPLICATION_FACTOR);
	}
	if ((uint32_t)o->replication_factor > o->nbrokers) {
		errbuf_set(eb, "the replication factor %d is larger than the number of available brokers, %u", o->replication_factor,
		    o->nbrokers);
		return (KERR_INVALID_REPLICATION_FACTOR);
	}
	return (KERR_NONE);
}

static bool
marks_init(const struct row *row, struct arena *a, struct marks *m)
{
	*m = (struct marks){ 0 };
	if (row->nracks == 0)
		return (true);
	m->broker = ARENA_ARRAY(a, int32_t, row->n);
	m->rack = ARENA_ARRAY(a, int32_t, row->nracks);
	if (m->broker == NULL || m->rack == NULL)
		return (false);
	memset(m->broker, 0xff, row->n * sizeof(*m->broker));
	memset(m->rack, 0xff, row->nracks * sizeof(*m->rack));
	return (true);
}

enum kerr
assign_replicas(const struct assign_options *o, struct arena *a, int32_t **out, struct errbuf *eb)
{
	enum kerr k = check(o, eb);
	struct marks m = { 0 };
	struct row row;
	uint64_t start, shift;

	if (k != KERR_NONE || (k = row_of(o, a, &row, eb)) != KERR_NONE)
		return (k);
	*out = arena_calloc(a, (size_t)o->partitions, sizeof(int32_t) * (size_t)o->replication_factor);
	if (*out == NULL || !marks_init(&row, a, &m))
		return (KERR_UNKNOWN_SERVER_ERROR);
	start = o->start >= 0 ? (uint64_t)o->start : random_below(o->random, row.n);
	shift = o->start >= 0 ? (uint64_t)o->start : random_below(o->random, row.n);
	for (int32_t i = 0; i < o->partitions; i++) {
		int32_t p = o->first_partition + i;

		if (p > 0 && (uint32_t)p % row.n == 0)
			shift++;
		assign_one(&row, &m, p, start, shift, o->replication_factor, *out + (size_t)i * (size_t)o->replication_factor);
	}
	return (KERR_NONE);
}
