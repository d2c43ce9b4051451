/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/watches.c - the watches one client has armed: path -> watchers and kinds.
 *
 * The table mirrors what the server keeps for the session.  Events and answers come in the order the server sent them, an entry is made when
 * the answer that armed it is delivered and removed when its event is, so: an event finds exactly the watchers that were armed when
 * it happened.  Firing moves the matched entries to a list of its own first, and takes them off one by one, because a callback may unwatch
 * any of those still to be called.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zk/client_int.h"

struct zk_watch_point {
	UT_hash_handle hh;
	struct zk_watch_entries entries;
	char	path[];
};

void
zk_watches_init(struct zk_watches *t)
{
	t->points = NULL;
	LIST_INIT(&t->firing);
}

static void
entry_free(struct zk_watch_entry *e)
{
	LIST_REMOVE(e, link);
	e->watcher->armed--;
	free(e);
}

static void
point_free(struct zk_watches *t, struct zk_watch_point *point)
{
	HASH_DEL(t->points, point);
	free(point);
}

void
zk_watches_fini(struct zk_watches *t)
{
	struct zk_watch_point *point, *next;

	while (!LIST_EMPTY(&t->firing))
		entry_free(LIST_FIRST(&t->firing));
	HASH_ITER(hh, t->points, point, next) {
		while (!LIST_EMPTY(&point->entries))
			entry_free(LIST_FIRST(&point->entries));
		point_free(t, point);
	}
}

static struct zk_watch_point *
point_find(const struct zk_watches *t, const char *path)
{
	struct zk_watch_point *point;

	HASH_FIND_STR(t->points, path, point);
	return (point);
}

static struct zk_watch_point *
point_make(struct zk_watches *t, const char *path)
{
	struct zk_watch_point *point = point_find(t, path);

	if (point == NULL) {
		point = xcalloc(1, sizeof(*point) + strlen(path) + 1);
		memcpy(point->path, path, strlen(path));
		LIST_INIT(&point->entries);
		HASH_ADD_KEYPTR(hh, t->points, point->path, strlen(path), point);
	}
	return (point);
}

void
zk_watches_arm(struct zk_watches *t, struct zk_watcher *w, const char *path, unsigned kind)
{
	struct zk_watch_point *point = point_make(t, path);
	struct zk_watch_entry *e;

	LIST_FOREACH(e, &point->entries, link)
		if (e->watcher == w) {
			e->kinds |= kind;
			return;
		}
	e = xcalloc(1, sizeof(*e));
	e->watcher = w;
	e->kinds = kind;
	w->armed++;
	LIST_INSERT_HEAD(&point->entries, e, link);
}

static void
entries_remove(struct zk_watch_entries *list, struct zk_watcher *w)
{
	struct zk_watch_entry *e, *next;

	for (e = LIST_FIRST(list); e != NULL; e = next) {
		next = LIST_NEXT(e, link);
		if (e->watcher == w)
			entry_free(e);
	}
}

static void
point_remove(struct zk_watches *t, struct zk_watch_point *point, struct zk_watcher *w)
{
	entries_remove(&point->entries, w);
	if (LIST_EMPTY(&point->entries))
		point_free(t, point);
}

void
zk_watches_remove(struct zk_watches *t, struct zk_watcher *w, const char *path)
{
	struct zk_watch_point *point, *next;

	entries_remove(&t->firing, w);
	if (w->armed == 0)
		return;
	if (path != NULL) {
		if ((point = point_find(t, path)) != NULL)
			point_remove(t, point, w);
		return;
	}
	HASH_ITER(hh, t->points, point, next)
		point_remove(t, point, w);
}

static unsigned
kinds_of(enum zk_event event)
{
	switch (event) {
	case ZK_CREATED: case ZK_CHANGED:
		return (ZK_KIND_DATA);
	case ZK_CHILDREN:
		return (ZK_KIND_CHILDREN);
	case ZK_DELETED:
		return (ZK_KIND_DATA | ZK_KIND_CHILDREN);
	}
	return (0);
}

/* An entry that matches in one of its two kinds keeps the other. */
static void
collect(struct zk_watches *t, struct zk_watch_point *point, unsigned kinds)
{
	struct zk_watch_entry *e, *next, *fired;

	for (e = LIST_FIRST(&point->entries); e != NULL; e = next) {
		next = LIST_NEXT(e, link);
		if ((e->kinds & kinds) == 0)
			continue;
		e->kinds &= ~kinds;
		fired = e;
		if (e->kinds == 0)
			LIST_REMOVE(e, link);
		else {
			fired = xcalloc(1, sizeof(*fired));
			fired->watcher = e->watcher;
			e->watcher->armed++;
		}
		LIST_INSERT_HEAD(&t->firing, fired, link);	/* twice reversed: in the order they were armed */
	}
	if (LIST_EMPTY(&point->entries))
		point_free(t, point);
}

void
zk_watches_fire(struct zk_watches *t, enum zk_event event, const char *path)
{
	struct zk_watch_point *point = point_find(t, path);
	struct zk_watcher *w;
	char *kept;

	if (point == NULL)
		return;
	must(LIST_EMPTY(&t->firing));
	kept = xstrdup(path);
	collect(t, point, kinds_of(event));
	while (!LIST_EMPTY(&t->firing)) {
		w = LIST_FIRST(&t->firing)->watcher;
		entry_free(LIST_FIRST(&t->firing));
		w->fn(w, event, kept);
	}
	free(kept);
}

unsigned
zk_watches_kinds(const struct zk_watches *t, const char *path)
{
	struct zk_watch_point *point = point_find(t, path);
	struct zk_watch_entry *e;
	unsigned kinds = 0;

	if (point != NULL)
		LIST_FOREACH(e, &point->entries, link)
			kinds |= e->kinds;
	return (kinds);
}
