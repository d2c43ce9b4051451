/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/table.c - the table of hosted partitions.
 *
 * INVARIANTS
 *   (1) A published table is never written; a change makes a copy.  Copies are made once per control request, not per partition.
 *   (2) A partition in a published table has at least the table's reference; dropping it waits until no thread can still be looking
 *       through an older table (base/reclaim), so partition_ref on what a look-up found is always safe.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "replica/replica_int.h"

static uint32_t
hash(struct slice topic, int32_t partition)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < topic.len; i++)
		h = (h ^ topic.p[i]) * 16777619u;
	h = (h ^ (uint32_t)partition) * 0x9e3779b1u;
	return (h ^ (h >> 16));
}

const struct partition_table *
table_empty(void)
{
	struct partition_table *t = xcalloc(1, sizeof(*t) + 2 * sizeof(t->slots[0]));

	t->nslots = 2;
	return (t);
}

struct partition *
table_find(const struct partition_table *t, struct slice topic, int32_t partition)
{
	for (uint32_t i = hash(topic, partition);; i++) {
		struct partition *p = t->slots[i & (t->nslots - 1)];

		if (p == NULL)
			return (NULL);
		if (p->number == partition && strlen(p->topic) == topic.len && memcmp(p->topic, topic.p, topic.len) == 0)
			return (p);
	}
}

void
table_add(struct partition_table *t, struct partition *p)
{
	uint32_t i = hash(slice_str(p->topic), p->number);

	while (t->slots[i & (t->nslots - 1)] != NULL)
		i++;
	t->slots[i & (t->nslots - 1)] = p;
	t->n++;
}

struct partition_table *
table_copy(const struct partition_table *old, uint32_t room)
{
	struct partition_table *t;
	uint32_t nslots = 2;

	while (nslots < 2 * (old->n + room + 1))
		nslots *= 2;
	t = xcalloc(1, sizeof(*t) + nslots * sizeof(t->slots[0]));
	t->nslots = nslots;
	for (uint32_t i = 0; i < old->nslots; i++)
		if (old->slots[i] != NULL && !old->slots[i]->leaving)
			table_add(t, old->slots[i]);
	return (t);
}

void
manager_publish_table(struct replica_manager *m, struct partition_table *t)
{
	const struct partition_table *old = m->table;

	reclaim_publish(&m->table, (const struct partition_table *)t);
	reclaim_defer(free, (void *)(uintptr_t)old);
}

static void
unref_later(void *v)
{
	struct partition *p = v;

	partition_unref(&p);
}

/* The reference that the table held goes when nobody can be looking through an older table. */
void
table_release(struct partition *p)
{
	reclaim_defer(unref_later, p);
}
