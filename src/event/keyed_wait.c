/* SPDX-License-Identifier: Apache-2.0
 *
 * event/keyed_wait.c - see keyed_wait.h.
 *
 * THEORY  A hash table of keys, each with its links in the order in which the waits began; a key without links has no row.
 *
 * WAKING  A wake walks the links with two marks of its own in the list: `cursor` stands behind the link being tried, `end` where the list
 *         ended when the wake began.  So callbacks may begin, cancel and wake whatever they like: links come and go around the marks, and
 *         who begins to wait now is not offered this event.  A mark is a link without a waiter.
 *         `trying` is the stack of waiters whose try is running: a cancel strikes them out there, and then nothing of them is touched
 *         when try returns.
 */
#include <stdlib.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/must.h"
#include "event/keyed_wait.h"

TAILQ_HEAD(link_list, wait_link);

struct wait_key {
	const void	*key;
	struct link_list links;
	UT_hash_handle	 hh;
};

struct trying {
	struct waiter *waiter;	/* NULL: cancelled meanwhile */
	struct trying *outer;
};

struct wait_table {
	struct loop	*loop;
	struct wait_key *keys;
	unsigned	 count;		/* waiters */
	struct trying	*trying;
};

struct wait_table *
wait_table_new(struct loop *loop)
{
	struct wait_table *t = xcalloc(1, sizeof(*t));

	t->loop = loop;
	return (t);
}

void
wait_table_free(struct wait_table **tp)
{
	struct wait_table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	must(t->count == 0 && t->keys == NULL && t->trying == NULL);
	free(t);
}

unsigned
wait_table_count(const struct wait_table *t)
{
	return (t->count);
}

static struct wait_key *
key_find(struct wait_table *t, const void *key)
{
	struct wait_key *k;

	HASH_FIND_PTR(t->keys, &key, k);
	return (k);
}

static struct wait_key *
key_get(struct wait_table *t, const void *key)
{
	struct wait_key *k = key_find(t, key);

	if (k != NULL)
		return (k);
	k = xcalloc(1, sizeof(*k));
	k->key = key;
	TAILQ_INIT(&k->links);
	HASH_ADD_PTR(t->keys, key, k);
	return (k);
}

static void
unlink_one(struct wait_table *t, struct wait_key *k, struct wait_link *l)
{
	TAILQ_REMOVE(&k->links, l, link);
	l->linked = false;
	if (TAILQ_EMPTY(&k->links)) {
		HASH_DEL(t->keys, k);
		free(k);
	}
}

/* Out of every list: afterwards the memory is the caller's again. */
static void
detach(struct waiter *w)
{
	struct wait_table *t = w->table;

	must(t != NULL && t->count > 0);
	for (unsigned i = 0; i < w->nlinks; i++)
		if (w->links[i].linked)
			unlink_one(t, key_find(t, w->links[i].key), &w->links[i]);
	timer_cancel(t->loop, &w->timer);
	w->table = NULL;
	t->count--;
}

static void
strike_out(struct wait_table *t, struct waiter *w)
{
	for (struct trying *f = t->trying; f != NULL; f = f->outer)
		if (f->waiter == w)
			f->waiter = NULL;
}

static void
on_deadline(struct timer *timer)
{
	struct waiter *w = CONTAINER_OF(timer, struct waiter, timer);

	strike_out(w->table, w);
	detach(w);
	w->expire(w);
}

void
wait_begin(struct wait_table *t, struct waiter *w, struct wait_link *links, unsigned n, const void *const *keys, int64_t timeout_ms)
{
	must(w->try != NULL && w->done != NULL && w->expire != NULL);
	w->table = t;
	w->links = links;
	w->nlinks = n;
	for (unsigned i = 0; i < n; i++) {
		links[i] = (struct wait_link){ .waiter = w, .key = keys[i], .linked = true };
		TAILQ_INSERT_TAIL(&key_get(t, keys[i])->links, &links[i], link);
	}
	timer_init(&w->timer, on_deadline);
	timer_set(t->loop, &w->timer, timeout_ms);
	t->count++;
}

void
wait_cancel(struct waiter *w)
{
	if (w->table == NULL)
		return;
	strike_out(w->table, w);
	detach(w);
}

/* The waiter of a link that was just passed by the cursor. */
static void
offer(struct wait_table *t, struct waiter *w, const void *key)
{
	struct trying frame = { w, t->trying };
	bool satisfied;

	t->trying = &frame;
	satisfied = w->try(w, key);
	t->trying = frame.outer;
	if (!satisfied || frame.waiter == NULL)
		return;
	detach(w);
	w->done(w);
}

void
wait_wake(struct wait_table *t, const void *key)
{
	struct wait_link cursor = { .linked = true }, end = { .linked = true }, *l;
	struct wait_key *k = key_find(t, key);

	if (k == NULL)
		return;
	TAILQ_INSERT_HEAD(&k->links, &cursor, link);
	TAILQ_INSERT_TAIL(&k->links, &end, link);
	while ((l = TAILQ_NEXT(&cursor, link)) != &end) {
		TAILQ_REMOVE(&k->links, &cursor, link);
		TAILQ_INSERT_AFTER(&k->links, l, &cursor, link);
		if (l->waiter != NULL)	/* else a mark of another wake of this key, further out */
			offer(t, l->waiter, key);
	}
	TAILQ_REMOVE(&k->links, &cursor, link);
	unlink_one(t, k, &end);		/* drops the row when nobody is left */
}
