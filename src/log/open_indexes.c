/* SPDX-License-Identifier: Apache-2.0
 *
 * log/open_indexes.c - see open_indexes_int.h.
 *
 * INVARIANTS
 *   (1) A segment is in the list from its first release until it is forgotten or closed by another's release, or not at all without a limit.
 *   (2) When a release returns, no more than max are in the list, or all that are too many are held.
 *   (3) Files are taken from a segment under the lock, so one that is held after that opens them again; they are closed without the lock.
 */
#include "base/must.h"
#include "log/open_indexes_int.h"
#include "log/segment_int.h"

void
open_indexes_init(struct open_indexes *o, uint32_t max)
{
	*o = (struct open_indexes){ .max = max };
	lock_init(&o->lock, LOCK_open_indexes);
	TAILQ_INIT(&o->list);
}

void
open_indexes_fini(struct open_indexes *o)
{
	must(o->n == 0 && TAILQ_EMPTY(&o->list));
	lock_fini(&o->lock);
}

static bool
is_limited(const struct segment *s)
{
	return (s->open != NULL && s->open->max > 0);
}

static void
leave(struct segment *s)
{
	if (!s->listed)
		return;
	TAILQ_REMOVE(&s->open->list, s, open_link);
	s->open->n--;
	s->listed = false;
}

enum err
open_indexes_hold(struct segment *s, struct errbuf *eb)
{
	enum err e;

	if (!is_limited(s) || !s->active)	/* the files of another are the business of who has it */
		return (OK);
	lock_acquire(&s->open->lock);
	s->held++;
	lock_release(&s->open->lock);
	e = index_open_again(&s->offsets, eb);
	if (e == OK)
		e = index_open_again(&s->times, eb);
	if (e != OK)
		open_indexes_release(s);
	return (e);
}

/* The first that nobody holds, when there are too many; its files are the caller's to close. */
static bool
close_one(struct open_indexes *o, struct file *files[2])
{
	struct segment *s = NULL;

	lock_acquire(&o->lock);
	if (o->n > o->max)
		TAILQ_FOREACH(s, &o->list, open_link)
			if (s->held == 0)
				break;
	if (s != NULL) {
		leave(s);
		files[0] = index_take_file(&s->offsets);
		files[1] = index_take_file(&s->times);
	}
	lock_release(&o->lock);
	return (s != NULL);
}

void
open_indexes_release(struct segment *s)
{
	struct open_indexes *o = s->open;
	struct file *files[2];

	if (!is_limited(s))
		return;
	lock_acquire(&o->lock);
	if (s->held > 0) {		/* 0: it became active, or no longer is, in between */
		s->held--;
		leave(s);
		TAILQ_INSERT_TAIL(&o->list, s, open_link);
		o->n++;
		s->listed = true;
	}
	lock_release(&o->lock);
	while (close_one(o, files)) {
		file_unref(&files[0]);
		file_unref(&files[1]);
	}
}

enum err
open_indexes_count(struct segment *s, struct errbuf *eb)
{
	enum err e = open_indexes_hold(s, eb);

	if (e == OK)
		open_indexes_release(s);
	return (e);
}

void
open_indexes_forget(struct segment *s)
{
	struct file *f;

	if (is_limited(s)) {
		lock_acquire(&s->open->lock);
		leave(s);
		lock_release(&s->open->lock);
	}
	f = index_take_file(&s->offsets);
	file_unref(&f);
	f = index_take_file(&s->times);
	file_unref(&f);
}
