/* SPDX-License-Identifier: Apache-2.0
 *
 * log/index.c - see index_int.h for the interface.
 *
 * FILES  <base>.index	    8-byte entries, big endian: i32 offset - base, i32 position of a batch in the data file
 *        <base>.timeindex  12-byte entries: i64 timestamp, i32 offset - base
 *
 * INVARIANTS
 *   (1) Entries increase in both fields (timestamps strictly, offsets not strictly in the time index).
 *   (2) The file of an active segment is presized with zeros; `entries` says how many slots count.  Every other file is exactly its
 *       entries: Java takes each slot of a file for an entry and does not look at the contents (see README, "Indexes").
 *   (3) An entry's bytes are in the file before `entries` counts it, so a look-up never sees half of one.  After a truncation a reader
 *       that still has the old count may see a slot being overwritten: callers verify what they find against the data file.
 *   (4) A view maps at least `entries` slots or is replaced; the old one is freed when no reader can hold it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "log/index_int.h"
#include "log/names_int.h"

struct index_view {
	struct fs      *fs;
	struct file    *file;	/* keeps the mapping's file alive in simulated file systems */
	struct file_map map;
};

static void
view_free(void *p)
{
	struct index_view *v = p;

	v->fs->ops->unmap(&v->map);
	file_unref(&v->file);
	free(v);
}

static void
view_drop(struct sparse_index *ix)
{
	struct index_view *old;

	lock_acquire(&ix->map_lock);
	old = ix->view;
	reclaim_publish(&ix->view, NULL);
	lock_release(&ix->map_lock);
	if (old != NULL)
		reclaim_defer(view_free, old);
}

/* ---- life ---- */

void
index_init(struct sparse_index *ix, struct fs *fs, const char *dir, int64_t base, uint32_t entry_size)
{
	memset(ix, 0, sizeof(*ix));
	ix->fs = fs;
	ix->path = segment_path(dir, base, entry_size == OFFSET_ENTRY ? SUFFIX_INDEX : SUFFIX_TIME);
	ix->base = base;
	ix->entry_size = entry_size;
	ix->last_key = -1;
	ix->last_offset = base;
	lock_init(&ix->map_lock, LOCK_index_maps);
}

void
index_fini(struct sparse_index *ix)
{
	if (ix->view != NULL)
		view_free(ix->view);	/* no reader: the segment itself is gone */
	file_unref(&ix->file);
	free(ix->path);
	ix->path = NULL;
	lock_fini(&ix->map_lock);
}

static void
decode_entry(const struct sparse_index *ix, const uint8_t *p, struct index_entry *out)
{
	if (ix->entry_size == OFFSET_ENTRY) {
		out->key = out->offset = ix->base + (int32_t)be32dec(p);
		out->position = be32dec(p + 4);
	} else {
		out->key = (int64_t)be64dec(p);
		out->offset = ix->base + (int32_t)be32dec(p + 8);
		out->position = 0;
	}
}

enum err
index_read_entry(struct sparse_index *ix, uint32_t n, struct index_entry *out, struct errbuf *eb)
{
	uint8_t buf[TIME_ENTRY];
	enum err e;

	must(ix->file != NULL && n < ix->entries);
	e = file_pread_full(ix->file, buf, ix->entry_size, (uint64_t)n * ix->entry_size, eb);
	if (e == OK)
		decode_entry(ix, buf, out);
	return (e);
}

static enum err
note_last(struct sparse_index *ix, struct errbuf *eb)
{
	struct index_entry last = { .key = -1, .offset = ix->base };
	enum err e = ix->entries > 0 ? index_read_entry(ix, ix->entries - 1, &last, eb) : OK;

	ix->last_key = last.key;
	ix->last_offset = last.offset;
	return (e);
}

enum err
index_load(struct sparse_index *ix, struct errbuf *eb)
{
	struct fs_stat st;
	enum err e = ix->fs->ops->stat(ix->fs, ix->path, &st, eb);

	if (e != OK)
		return (e);
	ix->entries = (uint32_t)MIN(st.size / ix->entry_size, (uint64_t)INT32_MAX);
	return (OK);
}

static void
put_file(struct sparse_index *ix, struct file *f)
{
	lock_acquire(&ix->map_lock);
	ix->file = f;
	lock_release(&ix->map_lock);
}

static enum err
presize(struct sparse_index *ix, unsigned flags, uint32_t entries, uint32_t bytes_max, struct errbuf *eb)
{
	uint64_t used = (uint64_t)entries * ix->entry_size;
	bool emptied = ix->file == NULL && (flags & FS_TRUNC) != 0;
	enum err e = OK;

	ix->entries_max = bytes_max / ix->entry_size;
	if (ix->file == NULL) {
		struct file *f = NULL;

		e = file_open(ix->fs, ix->path, FS_RDWR | flags, &f, eb);
		put_file(ix, f);
	}
	/* Cut first: what stands behind the entries must read as zeros. */
	if (e == OK && !emptied)
		e = ix->fs->ops->truncate(ix->file, used, eb);
	if (e == OK)
		e = ix->fs->ops->allocate(ix->file, MAX(used, (uint64_t)ix->entries_max * ix->entry_size), eb);
	if (e != OK)
		return (e);
	ix->entries = entries;
	ix->trouble = INDEX_GOOD;
	view_drop(ix);
	return (note_last(ix, eb));
}

static enum err
open_presized(struct sparse_index *ix, unsigned flags, uint32_t entries, uint32_t bytes_max, struct errbuf *eb)
{
	enum err e;

	ix->changes++;
	e = presize(ix, flags, entries, bytes_max, eb);
	ix->changes++;
	return (e);
}

enum err
index_activate(struct sparse_index *ix, uint32_t bytes_max, struct errbuf *eb)
{
	return (open_presized(ix, FS_CREATE, ix->entries, bytes_max, eb));
}

enum err
index_reset(struct sparse_index *ix, uint32_t bytes_max, struct errbuf *eb)
{
	return (open_presized(ix, FS_CREATE | FS_TRUNC, 0, bytes_max, eb));
}

enum err
index_trim(struct sparse_index *ix, struct errbuf *eb)
{
	enum err e;

	must(ix->file != NULL);
	ix->changes++;
	e = ix->fs->ops->truncate(ix->file, (uint64_t)ix->entries * ix->entry_size, eb);
	ix->changes++;
	return (e);
}

void
index_let_go(struct sparse_index *ix)
{
	ix->changes |= 1;
}

enum err
index_open_again(struct sparse_index *ix, struct errbuf *eb)
{
	struct file *f = NULL;
	enum err e;

	if (ix->file != NULL)
		return (OK);
	e = file_open(ix->fs, ix->path, FS_RDWR, &f, eb);
	if (e == OK)
		put_file(ix, f);
	return (e);
}

struct file *
index_take_file(struct sparse_index *ix)
{
	struct file *f;

	lock_acquire(&ix->map_lock);
	f = ix->file;
	ix->file = NULL;
	lock_release(&ix->map_lock);
	return (f);
}

/* Another thread may be about to close it. */
static struct file *
file_if_open(struct sparse_index *ix)
{
	struct file *f;

	lock_acquire(&ix->map_lock);
	f = ix->file == NULL ? NULL : file_ref(ix->file);
	lock_release(&ix->map_lock);
	return (f);
}

enum err
index_sync(struct sparse_index *ix, struct errbuf *eb)
{
	struct file *f = file_if_open(ix);
	enum err e = OK;

	if (f == NULL)
		e = file_open(ix->fs, ix->path, FS_RDWR, &f, eb);
	if (e == OK)
		e = ix->fs->ops->sync(f, eb);
	file_unref(&f);
	return (e);
}

bool
index_is_full(const struct sparse_index *ix, uint32_t reserve)
{
	return (ix->entries + reserve >= ix->entries_max);
}

/* ---- writing ---- */

static enum err
append_entry(struct sparse_index *ix, const uint8_t *bytes, int64_t key, int64_t offset, struct errbuf *eb)
{
	enum err e;

	must(ix->file != NULL);
	e = file_pwrite(ix->file, bytes, ix->entry_size, (uint64_t)ix->entries * ix->entry_size, eb);
	if (e != OK)
		return (e);
	ix->last_key = key;
	ix->last_offset = offset;
	ix->entries++;
	return (OK);
}

enum err
offset_index_append(struct sparse_index *ix, int64_t offset, uint32_t position, struct errbuf *eb)
{
	uint8_t buf[OFFSET_ENTRY];

	be32enc(buf, (uint32_t)(offset - ix->base));
	be32enc(buf + 4, position);
	return (append_entry(ix, buf, offset, offset, eb));
}

enum err
time_index_append(struct sparse_index *ix, int64_t timestamp_ms, int64_t offset, struct errbuf *eb)
{
	uint8_t buf[TIME_ENTRY];

	if (timestamp_ms <= ix->last_key)
		return (OK);
	be64enc(buf, (uint64_t)timestamp_ms);
	be32enc(buf + 8, (uint32_t)(offset - ix->base));
	return (append_entry(ix, buf, timestamp_ms, offset, eb));
}

enum err
index_truncate_entries(struct sparse_index *ix, uint32_t entries, struct errbuf *eb)
{
	if (entries >= ix->entries)
		return (OK);
	must(ix->file != NULL);
	return (open_presized(ix, 0, entries, ix->entries_max * ix->entry_size, eb));
}

enum err
index_truncate_offset(struct sparse_index *ix, int64_t offset, struct errbuf *eb)
{
	struct index_entry last;
	uint32_t n = ix->entries;
	enum err e = OK;

	for (; n > 0; n--) {
		e = index_read_entry(ix, n - 1, &last, eb);
		if (e != OK || last.offset < offset)
			break;
	}
	return (e == OK ? index_truncate_entries(ix, n, eb) : e);
}

/* ---- look-up ---- */

/* ERR_CORRUPT: the file is shorter than its entries; ERR_NOENT: it was taken away.  NOMEM and the like pass.  seen: `changes` before the look-up
 * read `entries`; a truncation since then explains whatever was met. */
static void
note_trouble(struct sparse_index *ix, uint32_t seen, enum err e)
{
	if ((seen & 1) != 0 || ix->changes != seen)
		return;
	if (e == ERR_IO)
		ix->trouble = INDEX_UNREADABLE;
	else if ((e == ERR_CORRUPT || e == ERR_NOENT) && ix->trouble == INDEX_GOOD)
		ix->trouble = INDEX_CUT;
}

/* A page of the view could not be touched.  Of a file that is as long as it should be that is the disk. */
static void
note_fault(struct sparse_index *ix, uint32_t seen, uint32_t entries)
{
	struct fs_stat st;
	enum err e = ix->fs->ops->stat(ix->fs, ix->path, &st, NULL);

	if (e == OK)
		e = st.size < (uint64_t)entries * ix->entry_size ? ERR_CORRUPT : ERR_IO;
	note_trouble(ix, seen, e);
}

static struct index_view *
view_make(struct sparse_index *ix, uint32_t seen, size_t need)
{
	struct index_view *v = xcalloc(1, sizeof(*v));
	struct fs_stat st;
	enum err e = OK;

	v->fs = ix->fs;
	if (ix->file != NULL)
		v->file = file_ref(ix->file);
	else
		e = file_open(ix->fs, ix->path, FS_RDONLY, &v->file, NULL);
	if (e == OK)
		e = ix->fs->ops->fstat(v->file, &st, NULL);
	if (e == OK && st.size < need)
		e = ERR_CORRUPT;
	if (e == OK)
		e = ix->fs->ops->map(v->file, (size_t)st.size, &v->map, NULL);
	if (e != OK) {
		note_trouble(ix, seen, e);
		file_unref(&v->file);
		free(v);
		return (NULL);
	}
	/* A mapping outlives its descriptor; a simulated file system (no descriptor) keeps the file. */
	if (v->file->fd >= 0)
		file_unref(&v->file);
	return (v);
}

static const uint8_t *
view_get(struct sparse_index *ix, uint32_t seen, uint32_t entries)
{
	size_t need = (size_t)entries * ix->entry_size;
	struct index_view *v = reclaim_read(&ix->view), *old = NULL;

	if (v != NULL && v->map.len >= need)
		return (v->map.p);
	lock_acquire(&ix->map_lock);
	v = ix->view;
	if (v == NULL || v->map.len < need) {
		old = v;
		v = view_make(ix, seen, need);
		reclaim_publish(&ix->view, v);
	}
	lock_release(&ix->map_lock);
	if (old != NULL)
		reclaim_defer(view_free, old);
	return (v == NULL ? NULL : v->map.p);
}

bool
index_is_warm(struct sparse_index *ix)
{
	size_t need = (size_t)ix->entries * ix->entry_size;
	const struct index_view *v = reclaim_read(&ix->view);

	if (need == 0)
		return (true);
	if (v == NULL || v->map.len < need)
		return (false);
	return (v->fs->ops->map_cached == NULL || v->fs->ops->map_cached(&v->map, need));
}

struct touch {
	const uint8_t *p;
	size_t	       len;
	unsigned       sum;
};

static void
touch_run(void *ctx)
{
	struct touch *t = ctx;

	for (size_t at = 0; at < t->len; at += 4096)
		t->sum += *(const volatile uint8_t *)(t->p + at);
}

void
index_warm(struct sparse_index *ix)
{
	uint32_t seen = ix->changes, entries = ix->entries;
	struct touch t = { .len = (size_t)entries * ix->entry_size };

	if (entries > 0 && (t.p = view_get(ix, seen, entries)) != NULL)
		(void)!map_guard(touch_run, &t);	/* what cannot be read is met again by who looks there */
}

struct search {
	const struct sparse_index *ix;
	const uint8_t *p;
	uint32_t	n;
	int64_t		target;
	bool		by_position;
	bool		found;
	struct index_entry out;
};

/* The last of n entries whose key (or position) is not above the target. */
static void
search_run(void *ctx)
{
	struct search *s = ctx;
	uint32_t lo = 0, hi = s->n;
	struct index_entry e;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		decode_entry(s->ix, s->p + (size_t)mid * s->ix->entry_size, &e);
		if ((s->by_position ? (int64_t)e.position : e.key) <= s->target) {
			s->out = e;
			s->found = true;
			lo = mid + 1;
		} else
			hi = mid;
	}
	s->n = lo;	/* the first entry above */
}

static bool
search(struct sparse_index *ix, struct search *s)
{
	uint32_t seen = ix->changes, entries = ix->entries;

	s->ix = ix;
	s->n = entries;
	if (s->n == 0 || (s->p = view_get(ix, seen, s->n)) == NULL)
		return (false);
	if (map_guard(search_run, s) == OK)
		return (true);
	note_fault(ix, seen, entries);
	return (false);
}

bool
index_lookup(struct sparse_index *ix, int64_t target, struct index_entry *out)
{
	struct search s = { .target = target };

	if (!search(ix, &s) || !s.found)
		return (false);
	*out = s.out;
	return (true);
}

struct get {
	const struct sparse_index *ix;
	const uint8_t *p;
	struct index_entry *out;
};

static void
get_run(void *ctx)
{
	struct get *g = ctx;

	decode_entry(g->ix, g->p, g->out);
}

bool
index_get(struct sparse_index *ix, uint32_t n, struct index_entry *out)
{
	uint32_t seen = ix->changes, entries = ix->entries;
	const uint8_t *p;
	struct get g;

	if (n >= entries || (p = view_get(ix, seen, entries)) == NULL)
		return (false);
	g = (struct get){ ix, p + (size_t)n * ix->entry_size, out };
	if (map_guard(get_run, &g) == OK)
		return (true);
	note_fault(ix, seen, entries);
	return (false);
}

bool
index_last(struct sparse_index *ix, struct index_entry *out)
{
	uint32_t entries = ix->entries;

	return (entries > 0 && index_get(ix, entries - 1, out));
}

bool
offset_index_at_position(struct sparse_index *ix, uint64_t position, struct index_entry *out)
{
	struct search s = { .target = (int64_t)position - 1, .by_position = true };

	if (!search(ix, &s))
		return (false);
	return (index_get(ix, s.n, out));
}
