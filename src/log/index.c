/* SPDX-License-Identifier: Apache-2.0
 *
 * log/index.c - see index_int.h for the interface.
 *
 * FILES  <base>.index	    8-byte entries, big endian: i32 offset - base, i32 position of a batch in the data file
 *        <base>.timeindex  12-byte entries: i64 timestamp, i32 offset - base
 *
 * THE TAIL  An entry is due once in index.interval.bytes of a partition: a write each, and where index files are closed in between (open_indexes.c) an
 *         opening and a closing as well.  So the newest entries wait in memory, already as the bytes they will be, and go to the file INDEX_TAIL at a time.
 *         Eight leave an eighth of these calls, for 192 bytes (with what malloc takes) of each segment that is written; sixteen would leave a sixteenth, for
 *         352.  It is made by the first entry, and given up when the file is trimmed.
 *
 * INVARIANTS
 *   (1) Entries increase in both fields (timestamps strictly, offsets not strictly in the time index).
 *   (2) The file of an active segment is presized; the first `in_file` slots are entries.  What stands behind them is zeros, or what a write that failed
 *       has left, which the next one writes over.  Every other file is exactly its entries, and there is no tail: Java takes each slot of a file
 *       for an entry and does not look at the contents (see README, "Indexes").
 *   (3) in_file <= entries <= in_file + INDEX_TAIL, but for a moment of a truncation.  An entry's bytes are in the tail before `entries` counts it, and in the
 *       file before `in_file` does.  A slot of the tail is written over only after `in_file` rose, or `changes` did.  So who has read entries and in_file,
 *       in this order, then slots, and finds in_file and `changes` as they were, has read whole entries; else it looks again, and finds
 *       in the file what it missed.  (Slots are stored with release and loaded with acquire: who sees a new one sees the new in_file.)  While `changes` is odd
 *       nobody looks at the tail: a look-up that finds less scans more.
 *   (3a) After a truncation a reader that still has the old in_file may see a slot of the file being overwritten: callers verify what they find
 *       against the data file.
 *   (4) A view maps at least `in_file` slots or is replaced; the old one is freed when no reader can hold it, and so is a tail.
 */
#include <inttypes.h>
#include <stdatomic.h>
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
	free(ix->tail);
	ix->tail = NULL;
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

/* ---- the tail ---- */

enum { ENTRY_WORDS_MAX = TIME_ENTRY / sizeof(uint32_t) };

static uint32_t
words_of(const struct sparse_index *ix)
{
	return (ix->entry_size / sizeof(uint32_t));
}

/* n entries from the first slot on. */
static void
load_slots(const struct sparse_index *ix, const _Atomic uint32_t *tail, uint32_t *to, uint32_t n)
{
	for (uint32_t i = 0; i < n * words_of(ix); i++)
		to[i] = atomic_load_explicit(&tail[i], memory_order_acquire);
}

static const uint8_t *
slot_at(const struct sparse_index *ix, const uint32_t *words, uint32_t n)
{
	return ((const uint8_t *)(words + n * words_of(ix)));
}

/* What a look-up sees at one moment. */
struct moment {
	uint32_t seen;		/* `changes`; odd: n is 0 */
	uint32_t in_file;
	uint32_t n;		/* entries of the tail */
	uint32_t words[INDEX_TAIL * ENTRY_WORDS_MAX];
};

static bool
try_moment(struct sparse_index *ix, struct moment *m)
{
	const _Atomic uint32_t *tail;
	uint32_t entries;

	m->seen = ix->changes;
	entries = ix->entries;
	m->in_file = ix->in_file;
	m->n = 0;
	if ((m->seen & 1) != 0 || entries <= m->in_file) {
		m->in_file = MIN(m->in_file, entries);
		return (true);
	}
	tail = reclaim_read(&ix->tail);
	if (tail == NULL || entries - m->in_file > INDEX_TAIL)	/* written, or cut, between the two */
		return (false);
	m->n = entries - m->in_file;
	load_slots(ix, tail, m->words, m->n);
	return (ix->in_file == m->in_file && ix->changes == m->seen);	/* (3) */
}

static void
take_moment(struct sparse_index *ix, struct moment *m)
{
	while (!try_moment(ix, m))
		;
}

bool
index_has_room(const struct sparse_index *ix)
{
	return (ix->entries - ix->in_file < INDEX_TAIL);
}

bool
index_is_written(const struct sparse_index *ix)
{
	return (ix->entries == ix->in_file);
}

enum err
index_write_tail(struct sparse_index *ix, struct errbuf *eb)
{
	uint32_t words[INDEX_TAIL * ENTRY_WORDS_MAX], n = ix->entries - ix->in_file;
	enum err e;

	if (n == 0)
		return (OK);
	must(ix->file != NULL && n <= INDEX_TAIL);
	load_slots(ix, ix->tail, words, n);
	e = file_pwrite(ix->file, words, (size_t)n * ix->entry_size, (uint64_t)ix->in_file * ix->entry_size, eb);
	if (e == OK)
		ix->in_file += n;
	return (e);
}

/* It is written. */
static void
drop_tail(struct sparse_index *ix)
{
	_Atomic uint32_t *old = ix->tail;

	reclaim_publish(&ix->tail, NULL);
	if (old != NULL)
		reclaim_defer(free, old);
}

static void
add_entry(struct sparse_index *ix, const uint32_t *words, int64_t key, int64_t offset)
{
	uint32_t n = ix->entries - ix->in_file;

	must(n < INDEX_TAIL);
	if (ix->tail == NULL)
		reclaim_publish(&ix->tail, xcalloc((size_t)INDEX_TAIL * words_of(ix), sizeof(*ix->tail)));
	for (uint32_t i = 0; i < words_of(ix); i++)
		atomic_store_explicit(&ix->tail[n * words_of(ix) + i], words[i], memory_order_release);
	ix->last_key = key;
	ix->last_offset = offset;
	ix->entries++;
}

void
offset_index_add(struct sparse_index *ix, int64_t offset, uint32_t position)
{
	uint32_t words[OFFSET_ENTRY / sizeof(uint32_t)];

	be32enc(&words[0], (uint32_t)(offset - ix->base));
	be32enc(&words[1], position);
	add_entry(ix, words, offset, offset);
}

void
time_index_add(struct sparse_index *ix, int64_t timestamp_ms, int64_t offset)
{
	uint32_t words[TIME_ENTRY / sizeof(uint32_t)];

	if (timestamp_ms <= ix->last_key)
		return;
	be64enc(words, (uint64_t)timestamp_ms);
	be32enc(&words[2], (uint32_t)(offset - ix->base));
	add_entry(ix, words, timestamp_ms, offset);
}

enum err
index_read_entry(struct sparse_index *ix, uint32_t n, struct index_entry *out, struct errbuf *eb)
{
	uint32_t words[INDEX_TAIL * ENTRY_WORDS_MAX], in_file = ix->in_file;
	uint8_t buf[TIME_ENTRY];
	enum err e;

	must(n < ix->entries);
	if (n >= in_file) {
		load_slots(ix, ix->tail, words, ix->entries - in_file);
		decode_entry(ix, slot_at(ix, words, n - in_file), out);
		return (OK);
	}
	must(ix->file != NULL);
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
	ix->in_file = (uint32_t)MIN(st.size / ix->entry_size, (uint64_t)INT32_MAX);
	ix->entries = ix->in_file;
	return (OK);
}

void
index_take_count(struct sparse_index *ix, const struct sparse_index *from)
{
	must(index_is_written(ix) && index_is_written(from));
	ix->in_file = from->in_file;
	ix->entries = from->in_file;
}

/* Under an odd `changes`, but for an index that nobody else sees. */
static void
set_count(struct sparse_index *ix, uint32_t entries)
{
	ix->entries = entries;
	ix->in_file = MIN((uint32_t)ix->in_file, entries);
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
	set_count(ix, entries);
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
	must(index_is_written(ix));
	return (open_presized(ix, FS_CREATE, ix->entries, bytes_max, eb));
}

enum err
index_reset(struct sparse_index *ix, uint32_t bytes_max, struct errbuf *eb)
{
	return (open_presized(ix, FS_CREATE | FS_TRUNC, 0, bytes_max, eb));
}

static void
set_path(struct sparse_index *ix, char *path)
{
	free(ix->path);
	ix->path = path;
}

enum err
index_hide(struct sparse_index *ix, struct errbuf *eb)
{
	enum err e = ix->fs->ops->unlink(ix->fs, ix->path, eb);

	must(ix->file == NULL && !name_has_suffix(ix->path, SUFFIX_TMP));
	if (e != OK && e != ERR_NOENT)
		return (e);
	set_path(ix, xasprintf("%s%s", ix->path, SUFFIX_TMP));
	return (OK);
}

enum err
index_show(struct sparse_index *ix, struct errbuf *eb)
{
	char *path = xstrndup(ix->path, strlen(ix->path) - strlen(SUFFIX_TMP));
	enum err e = ix->fs->ops->rename(ix->fs, ix->path, path, eb);

	if (e == OK)
		set_path(ix, path);
	else
		free(path);
	return (e);
}

enum err
index_trim(struct sparse_index *ix, struct errbuf *eb)
{
	enum err e = index_write_tail(ix, eb);

	if (e != OK)
		return (e);
	must(ix->file != NULL);
	drop_tail(ix);
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

/* ---- cutting ---- */

enum err
index_truncate_entries(struct sparse_index *ix, uint32_t entries, struct errbuf *eb)
{
	if (entries >= ix->entries)
		return (OK);
	must(ix->file != NULL);
	if (entries < ix->in_file)
		return (open_presized(ix, 0, entries, ix->entries_max * ix->entry_size, eb));
	ix->changes++;
	set_count(ix, entries);
	ix->changes++;
	return (note_last(ix, eb));
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
 * read `in_file`; a truncation since then explains whatever was met. */
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
index_is_warm(struct sparse_index *ix, int64_t target)
{
	const struct index_view *v = reclaim_read(&ix->view);
	struct index_entry first;
	struct moment m;
	size_t need;

	take_moment(ix, &m);
	need = (size_t)m.in_file * ix->entry_size;
	if (m.n > 0)
		decode_entry(ix, slot_at(ix, m.words, 0), &first);
	if (need == 0 || (m.n > 0 && first.key <= target))
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
	uint32_t seen = ix->changes, in_file = ix->in_file;
	struct touch t = { .len = (size_t)in_file * ix->entry_size };

	if (in_file > 0 && (t.p = view_get(ix, seen, in_file)) != NULL)
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

static bool
is_above(const struct search *s, const struct index_entry *e)
{
	return ((s->by_position ? (int64_t)e->position : e->key) > s->target);
}

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
		if (is_above(s, &e)) {
			hi = mid;
		} else {
			s->out = e;
			s->found = true;
			lo = mid + 1;
		}
	}
	s->n = lo;	/* the first entry above */
}

static bool
search_file(struct sparse_index *ix, struct search *s, const struct moment *m)
{
	s->n = m->in_file;
	if (s->n == 0)
		return (true);
	if ((s->p = view_get(ix, m->seen, s->n)) == NULL)
		return (false);
	if (map_guard(search_run, s) == OK)
		return (true);
	note_fault(ix, m->seen, m->in_file);
	return (false);
}

/* The newest first: who reads at the end needs no file. */
static bool
search(struct sparse_index *ix, struct search *s)
{
	struct moment m;

	take_moment(ix, &m);
	s->ix = ix;
	s->p = (const uint8_t *)m.words;
	s->n = m.n;
	search_run(s);
	if (s->found) {
		s->n += m.in_file;
		return (true);
	}
	return (search_file(ix, s, &m));
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
	const uint8_t *p;
	struct moment m;
	struct get g;

	take_moment(ix, &m);
	if (n >= m.in_file) {
		if (n - m.in_file >= m.n)
			return (false);
		decode_entry(ix, slot_at(ix, m.words, n - m.in_file), out);
		return (true);
	}
	if ((p = view_get(ix, m.seen, m.in_file)) == NULL)
		return (false);
	g = (struct get){ ix, p + (size_t)n * ix->entry_size, out };
	if (map_guard(get_run, &g) == OK)
		return (true);
	note_fault(ix, m.seen, m.in_file);
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
	return (index_get(ix, s.n, out) && out->position >= position);	/* a cut may have come between the two */
}
