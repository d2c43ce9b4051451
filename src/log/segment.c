/* SPDX-License-Identifier: Apache-2.0
 *
 * log/segment.c - see segment_int.h for the interface; recovery and truncation are in segment_recover.c.
 *
 * FILES   <base>.log        batches, byte for byte as written (Fetch is sendfile of a range)
 *         <base>.index, <base>.timeindex: index.c     <base>.txnindex: txn_index.c
 *
 * INVARIANTS
 *   (1) data in [0, size) is whole batches with increasing offsets, all >= base and < base + 2^31.
 *   (2) One index entry per write at most, added when the write is counted, for which room was made before it: (last offset of the write, position where
 *       it began), when more than index.interval.bytes came since the last entry.  So an entry's position is that of a batch at or before its offset.
 *   (3) The time index gets (max timestamp so far, offset of the batch that has it) at the same moments, and at last when sealed.
 *   (4) A sealed segment's index files are exactly their entries, its data file exactly its data.
 *   (5) Bytes below size never change; segment_truncate says what happens when a reader still holds the file.
 *
 * CRASH   Of a write any part may be on disk: recovery keeps whole valid batches.  Index entries may be missing (the newest were in memory only, whatever
 *         was synced) or ahead of the data: the segments at and past the recovery point get theirs rebuilt, and it does not pass one that is not
 *         sealed, with all its entries in the files, and synced after that.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reclaim.h"
#include "log/names_int.h"
#include "log/segment_int.h"

enum { FIND_WINDOW = 8192, INDEX_TRIES = 3 };

/* ---- life ---- */

static struct segment *
segment_new(const char *dir, int64_t base, const struct segment_options *o)
{
	struct segment *s = xcalloc(1, sizeof(*s));

	s->magic.value = SEGMENT_MAGIC;
	s->refs = 1;
	s->fs = o->fs;
	s->readers = o->readers;
	s->open = o->open;
	s->dir = xstrdup(dir);
	s->base = base;
	s->index_interval = o->index_interval;
	s->index_bytes = o->index_bytes;
	s->preallocate_bytes = o->preallocate_bytes;
	s->created_ms = o->now_ms;
	s->jitter_ms = o->jitter_ms;
	s->first_timestamp_ms = ROLL_TIME_UNKNOWN;
	s->max_timestamp_ms = -1;
	s->max_timestamp_offset = base;
	index_init(&s->offsets, o->fs, dir, base, OFFSET_ENTRY);
	index_init(&s->times, o->fs, dir, base, TIME_ENTRY);
	txn_index_init(&s->txns, o->fs, dir, base);
	return (s);
}

static void
close_data(struct segment *s)
{
	struct file *f = s->data;

	s->data = NULL;
	file_unref(&f);
}

struct segment *
segment_ref(struct segment *s)
{
	MAGIC_OK(s, SEGMENT_MAGIC);
	s->refs++;
	return (s);
}

void
segment_unref(struct segment **sp)
{
	struct segment *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	MAGIC_OK(s, SEGMENT_MAGIC);
	if (--s->refs > 0)
		return;
	open_indexes_forget(s);
	index_fini(&s->offsets);
	index_fini(&s->times);
	txn_index_fini(&s->txns);
	close_data(s);
	s->magic.value = 0;
	free(s->dir);
	free(s);
}

static void
replace_path(char **path, char *new)
{
	reclaim_defer(free, *path);	/* somebody may be printing it */
	*path = new;
}

void
segment_set_dir(struct segment *s, const char *dir)
{
	replace_path(&s->dir, xstrdup(dir));
	replace_path(&s->offsets.path, segment_path(dir, s->base, SUFFIX_INDEX));
	replace_path(&s->times.path, segment_path(dir, s->base, SUFFIX_TIME));
	replace_path(&s->txns.path, segment_path(dir, s->base, SUFFIX_TXN));
}

static enum err
open_data(struct segment *s, struct errbuf *eb)
{
	char *path = segment_path(s->dir, s->base, SUFFIX_DATA);
	struct file *f = NULL;
	uint64_t size = 0;
	enum err e = file_open(s->fs, path, FS_RDWR, &f, eb);

	if (e == OK) {
		f->readers = s->readers;
		e = file_size(f, &size, eb);
	}
	if (e == OK && size > INT32_MAX) {
		errbuf_set(eb, "%s: %" PRIu64 " bytes, no segment can be that large", path, size);
		e = ERR_CORRUPT;
	}
	if (e == OK)
		s->size = (uint32_t)size;
	s->data = f;
	free(path);
	return (e);
}

static const char *const suffixes[] = { SUFFIX_DATA, SUFFIX_INDEX, SUFFIX_TIME, SUFFIX_TXN };

static enum err
unlink_files(struct segment *s, const char *suffix, struct errbuf *eb)
{
	enum err first = OK;

	for (size_t i = 0; i < NELEM(suffixes); i++) {
		char *all = xasprintf("%s%s", suffixes[i], suffix), *path = segment_path(s->dir, s->base, all);
		enum err e = s->fs->ops->unlink(s->fs, path, eb);

		if (e != OK && e != ERR_NOENT && first == OK)
			first = e;
		free(path);
		free(all);
	}
	return (first);
}

/* bare: nothing of an interrupted roll can be there.  Its data last: who sees that finds the indexes, too. */
static enum err
make_files(struct segment *s, bool bare, struct errbuf *eb)
{
	char *path = segment_path(s->dir, s->base, SUFFIX_DATA);
	struct file *f = NULL;
	enum err e = file_open(s->fs, path, FS_RDWR | FS_CREATE | FS_TRUNC, &f, eb);
	bool made = e == OK;

	if (e == OK && s->preallocate_bytes > 0)
		e = s->fs->ops->allocate(f, s->preallocate_bytes, eb);
	if (e == OK)
		e = index_reset(&s->offsets, s->index_bytes, eb);
	if (e == OK)
		e = index_reset(&s->times, s->index_bytes, eb);
	if (e == OK && !bare)
		e = txn_index_reset(&s->txns, eb);
	if (e == OK)
		e = open_indexes_count(s, eb);
	free(path);
	if (e == OK) {
		f->readers = s->readers;
		s->data = f;
		return (OK);
	}
	file_unref(&f);
	open_indexes_forget(s);
	if (made)	/* it stays what it was, and may be made another time */
		(void)unlink_files(s, "", NULL);
	return (e);
}

struct segment *
segment_plan(const char *dir, int64_t base, const struct segment_options *o)
{
	struct segment *s = segment_new(dir, base, o);

	s->active = true;
	s->max_known = true;
	return (s);
}

enum err
segment_make(struct segment *s, struct errbuf *eb)
{
	must(!segment_is_made(s) && s->size == 0);
	return (make_files(s, true, eb));
}

enum err
segment_create(const char *dir, int64_t base, const struct segment_options *o, struct segment **out, struct errbuf *eb)
{
	struct segment *s = segment_plan(dir, base, o);
	enum err e = make_files(s, false, eb);

	if (e == OK)
		*out = s;
	else
		segment_unref(&s);
	return (e);
}

enum err
segment_open_data(const char *dir, int64_t base, const struct segment_options *o, struct segment **out, struct errbuf *eb)
{
	struct segment *s = segment_new(dir, base, o);
	enum err e = open_data(s, eb);

	if (e != OK)
		segment_unref(&s);
	else
		*out = s;
	return (e);
}

enum err
segment_open(const char *dir, int64_t base, const struct segment_options *o, struct segment **out, struct errbuf *eb)
{
	struct segment *s = NULL;
	enum err e = segment_open_data(dir, base, o, &s, eb);

	if (e != OK)
		return (e == ERR_NOENT ? ERR_IO : e);	/* the data file was listed a moment ago */
	e = index_load(&s->offsets, eb);
	if (e == OK) {
		e = index_load(&s->times, eb);
		if (e == ERR_NOENT)			/* as Kafka: an empty time index will do */
			e = OK;
	}
	if (e == OK)
		e = txn_index_load(&s->txns, base, eb);
	if (e != OK)
		segment_unref(&s);
	else
		*out = s;
	return (e);
}

enum err
segment_activate(struct segment *s, struct errbuf *eb)
{
	enum err e;

	if (s->active)
		return (OK);
	open_indexes_forget(s);		/* sealed and not flushed yet: nobody holds its files, so another thread may be about to close them */
	e = index_activate(&s->offsets, s->index_bytes, eb);
	if (e == OK)
		e = index_activate(&s->times, s->index_bytes, eb);
	if (e == OK && !s->max_known) {
		s->max_timestamp_offset = s->times.last_offset;
		s->max_timestamp_ms = MAX(s->times.last_key, (int64_t)-1);
		s->max_known = true;
	}
	s->active = e == OK;
	return (e == OK ? open_indexes_count(s, eb) : e);
}

/* ---- appending ---- */

static bool
fits_relative(const struct segment *s, int64_t offset)
{
	return (offset >= s->base && offset - s->base <= INT32_MAX);
}

static int64_t
first_timestamp(struct segment *s)
{
	struct batch_header h;
	struct batch_scan sc;
	uint64_t at;
	uint8_t buf[BATCH_OVERHEAD];

	if (s->first_timestamp_ms == ROLL_TIME_UNKNOWN && s->size > 0) {
		batch_scan_init(&sc, s->data, 0, s->size, buf, sizeof(buf));
		s->first_timestamp_ms = batch_scan_header(&sc, &h, &at, NULL) == OK ? h.max_timestamp : -1;
		batch_scan_fini(&sc);
	}
	return (s->first_timestamp_ms == ROLL_TIME_UNKNOWN ? -1 : s->first_timestamp_ms);
}

bool
segment_is_full(struct segment *s, const struct segment_set *set, const struct log_options *o, int64_t now_ms)
{
	int64_t first = first_timestamp(s);
	int64_t waited = first >= 0 ? set->max_timestamp_ms - first : now_ms - s->created_ms;

	if ((int64_t)s->size > (int64_t)o->segment_bytes - (int64_t)set->bytes.len)
		return (true);
	if (s->size > 0 && waited > o->segment_ms - s->jitter_ms)
		return (true);
	return (index_is_full(&s->offsets, 0) || index_is_full(&s->times, 1) || !fits_relative(s, set->last_offset));
}

enum err
segment_write_tails(struct segment *s, struct errbuf *eb)
{
	enum err e;

	if (index_is_written(&s->offsets) && index_is_written(&s->times))
		return (OK);
	e = open_indexes_hold(s, eb);
	if (e != OK)
		return (e);
	e = index_write_tail(&s->offsets, eb);
	if (e == OK)
		e = index_write_tail(&s->times, eb);
	open_indexes_release(s);
	return (e);
}

/* Both when one is full: their files may have to be opened. */
enum err
segment_index_room(struct segment *s, struct errbuf *eb)
{
	return (index_has_room(&s->offsets) && index_has_room(&s->times) ? OK : segment_write_tails(s, eb));
}

static void
add_to_indexes(struct segment *s, const struct segment_set *set)
{
	int64_t ts = s->max_timestamp_ms, at = s->max_timestamp_offset;

	if (set->max_timestamp_ms > ts) {
		ts = set->max_timestamp_ms;
		at = set->max_timestamp_offset;
	}
	offset_index_add(&s->offsets, set->last_offset, s->size);
	time_index_add(&s->times, ts, at);
}

static bool
entry_is_due(const struct segment *s)
{
	return (s->unindexed > s->index_interval);
}

enum err
segment_write(struct segment *s, const struct segment_set *set, struct errbuf *eb)
{
	enum err e = OK;

	must(s->active);
	if (!fits_relative(s, set->last_offset)) {
		errbuf_set(eb, "offset %" PRId64 " does not fit in the segment from %" PRId64, set->last_offset, s->base);
		return (ERR_RANGE);
	}
	if (entry_is_due(s))
		e = segment_index_room(s, eb);
	return (e == OK ? s->fs->ops->pwritev(s->data, &set->bytes, 1, s->size, eb) : e);
}

void
segment_publish(struct segment *s, const struct segment_set *set)
{
	if (s->size == 0)
		s->first_timestamp_ms = set->max_timestamp_ms;
	if (entry_is_due(s)) {
		add_to_indexes(s, set);
		s->unindexed = 0;
	}
	s->unindexed += (uint32_t)set->bytes.len;
	if (set->max_timestamp_ms > s->max_timestamp_ms) {
		s->max_timestamp_offset = set->max_timestamp_offset;
		s->max_timestamp_ms = set->max_timestamp_ms;
	}
	s->size += (uint32_t)set->bytes.len;
}

enum err
segment_cut_back(struct segment *s, struct errbuf *eb)
{
	return (s->fs->ops->truncate(s->data, s->size, eb));
}

static enum err
seal(struct segment *s, struct errbuf *eb)
{
	int64_t at, ts = segment_max_timestamp(s, &at);
	enum err e = segment_index_room(s, eb);

	if (e == OK && ts >= 0)
		time_index_add(&s->times, ts, at);
	if (e == OK)		/* what may find no room, before anything is cut */
		e = segment_write_tails(s, eb);
	if (e == OK)
		e = s->fs->ops->truncate(s->data, s->size, eb);
	if (e == OK)
		e = index_trim(&s->times, eb);
	if (e == OK)		/* last: segment_is_sealed looks at it */
		e = index_trim(&s->offsets, eb);
	return (e);
}

enum err
segment_seal(struct segment *s, struct errbuf *eb)
{
	enum err e;

	if (!s->active)
		return (OK);
	e = open_indexes_hold(s, eb);
	if (e != OK)
		return (e);
	e = seal(s, eb);
	open_indexes_release(s);
	if (e == OK) {
		s->unsynced = true;
		s->active = false;
	}
	return (e);
}

enum err
segment_sync(struct segment *s, struct errbuf *eb)
{
	enum err e = OK;

	if (!segment_is_made(s))
		return (OK);
	e = s->fs->ops->sync(s->data, eb);
	if (e == OK)
		e = index_sync(&s->offsets, eb);
	if (e == OK)
		e = index_sync(&s->times, eb);
	if (e == OK)
		e = txn_index_sync(&s->txns, eb);
	return (e == ERR_NOENT && s->deleted ? OK : e);
}

bool
segment_is_sealed(struct segment *s)
{
	struct index_entry last;

	/* No entry has position 0: the first write of a segment gets none.  A slot behind the entries is all zeros. */
	if (s->offsets.entries > 0 && (!index_last(&s->offsets, &last) || last.position == 0 || last.position >= s->size))
		return (false);
	return (s->times.entries == 0 || (index_last(&s->times, &last) && (last.key != 0 || last.offset != s->base)));
}

/* ---- finding ---- */

static bool
is_whole(struct segment *s, const struct segment_hit *hit)
{
	uint8_t *bytes = xmalloc(hit->header.size);
	bool whole = file_pread_full(s->data, bytes, hit->header.size, hit->position, NULL) != OK || batch_crc_ok(slice_of(bytes, hit->header.size));

	free(bytes);
	return (whole);
}

/* A gap before the batch that was found: compaction, or the last offset in the header before it is damaged.  Then that one is the hit, and its
 * reader meets the wrong checksum. */
static enum err
look_before(struct segment *s, enum err e, int64_t offset, bool no_wait, const struct segment_hit *before, struct segment_hit *hit)
{
	if (before->header.size == 0 || (e == OK ? batch_first_offset(&hit->header) <= offset : e != ERR_NOTFOUND))
		return (e);
	if (no_wait && !s->fs->ops->cached(s->data, before->position, before->header.size))
		return (ERR_AGAIN);
	if (is_whole(s, before))
		return (e);
	*hit = *before;
	return (OK);
}

/* key: of the index entry that led to `from`.  The batch there begins at or before it, else the entry lies (or was being cut back). */
static enum err
find_from(struct segment *s, uint64_t from, int64_t key, int64_t offset, uint64_t end, bool no_wait, struct segment_hit *hit, struct errbuf *eb)
{
	struct segment_hit before = { 0 };
	uint8_t buf[FIND_WINDOW];
	struct batch_scan sc;
	enum err e;

	batch_scan_init(&sc, s->data, from, end, buf, sizeof(buf));
	sc.no_wait = no_wait;
	while ((e = batch_scan_header(&sc, &hit->header, &hit->position, eb)) == OK) {
		if (from > 0 && hit->position == from && batch_first_offset(&hit->header) > key)
			e = ERR_CORRUPT;
		if (e != OK || hit->header.last_offset >= offset)
			break;
		before = *hit;
	}
	batch_scan_fini(&sc);
	if (e == OK && from > 0 && (hit->header.last_offset - offset > INT32_MAX || hit->header.last_offset < s->base))
		e = ERR_CORRUPT;
	return (look_before(s, e, offset, no_wait, &before, hit));
}

bool
segment_entry_fits(struct segment *s, const struct index_entry *ie, uint64_t end)
{
	struct segment_hit hit;

	return (ie->position < end && ie->offset >= s->base && find_from(s, ie->position, ie->offset, s->base, end, false, &hit, NULL) == OK);
}

/* The data decides: where an entry leads nowhere, those before it are tried. */
static enum err
find(struct segment *s, int64_t offset, uint64_t end, bool no_wait, struct segment_hit *hit, struct errbuf *eb)
{
	struct index_entry ie;
	int64_t below = offset;
	enum err e;

	for (int tries = 0; tries < INDEX_TRIES && index_lookup(&s->offsets, below, &ie) && ie.position > 0; tries++) {
		e = ie.position < end ? find_from(s, ie.position, ie.key, offset, end, no_wait, hit, eb) : ERR_CORRUPT;
		if (e != ERR_CORRUPT)
			return (e);
		if (ie.position < end)
			s->misled = true;
		below = ie.key - 1;
	}
	if (s->offsets.trouble == INDEX_CUT)
		s->misled = true;
	return (find_from(s, 0, 0, offset, end, no_wait, hit, eb));
}

enum err
segment_find(struct segment *s, int64_t offset, uint64_t end, struct segment_hit *hit, struct errbuf *eb)
{
	return (find(s, offset, end, false, hit, eb));
}

enum err
segment_find_warm(struct segment *s, int64_t offset, uint64_t end, struct segment_hit *hit, struct errbuf *eb)
{
	return (index_is_warm(&s->offsets, offset) ? find(s, offset, end, true, hit, eb) : ERR_AGAIN);
}

void
segment_warm(struct segment *s, int64_t offset, uint64_t end)
{
	struct segment_hit hit;

	index_warm(&s->offsets);
	(void)!find(s, offset, end, false, &hit, NULL);
}

enum err
segment_check_disk(const struct segment *s, struct errbuf *eb)
{
	const struct sparse_index *ix = s->offsets.trouble == INDEX_UNREADABLE ? &s->offsets : &s->times;

	if (ix->trouble != INDEX_UNREADABLE)
		return (OK);
	errbuf_set(eb, "%s: the disk does not give it, or a page of it", ix->path);
	return (ERR_IO);
}

enum err
segment_next_offset(struct segment *s, int64_t *next, struct errbuf *eb)
{
	struct index_entry ie;
	uint8_t buf[FIND_WINDOW];
	struct batch_header h;
	struct batch_scan sc;
	uint64_t at, from = 0;
	enum err e;

	*next = s->base;
	if (index_last(&s->offsets, &ie) && ie.position < s->size)
		from = ie.position;
	batch_scan_init(&sc, s->data, from, s->size, buf, sizeof(buf));
	while ((e = batch_scan_header(&sc, &h, &at, eb)) == OK) {
		if (!fits_relative(s, h.last_offset) || h.last_offset >= LOG_OFFSET_MAX) {
			errbuf_set(eb, "%s: a batch that ends with offset %" PRId64 " at position %" PRIu64, s->data->path, h.last_offset, at);
			e = ERR_CORRUPT;
			break;
		}
		*next = h.last_offset + 1;
	}
	batch_scan_fini(&sc);
	return (e == ERR_NOTFOUND ? OK : e);
}

int64_t
segment_max_timestamp(struct segment *s, int64_t *offset)
{
	struct index_entry last;

	if (!s->max_known) {
		bool found = index_last(&s->times, &last);

		if (found && last.key >= 0) {
			s->max_timestamp_offset = last.offset;
			s->max_timestamp_ms = last.key;
		}
		s->max_known = found || s->times.entries == 0;	/* else it could not be read now */
	}
	if (offset != NULL)
		*offset = s->max_timestamp_offset;
	return (s->max_timestamp_ms);
}

int64_t
segment_mtime_ms(struct segment *s)
{
	struct fs_stat st;

	if (!segment_is_made(s))
		return (s->created_ms);
	return (s->fs->ops->fstat(s->data, &st, NULL) == OK ? st.mtime_ms : INT64_MAX);
}

/* ---- files ---- */

enum err
segment_mark_deleted(struct segment *s, struct errbuf *eb)
{
	enum err e = OK;

	s->deleted = true;
	index_let_go(&s->offsets);
	index_let_go(&s->times);
	for (size_t i = 0; i < NELEM(suffixes) && e == OK; i++) {
		char *from = segment_path(s->dir, s->base, suffixes[i]), *to = xasprintf("%s%s", from, SUFFIX_DELETED);

		e = s->fs->ops->rename(s->fs, from, to, eb);
		if (e == ERR_NOENT)
			e = OK;
		free(from);
		free(to);
	}
	return (e);
}

enum err
segment_unlink(struct segment *s, const char *suffix, struct errbuf *eb)
{
	s->deleted = true;
	index_let_go(&s->offsets);
	index_let_go(&s->times);
	return (unlink_files(s, suffix, eb));
}

void
segment_check(struct segment *s)
{
	struct batch_header h;
	struct batch_scan sc;
	int64_t last = s->base - 1;
	uint64_t at;
	enum err e;

	MAGIC_OK(s, SEGMENT_MAGIC);
	batch_scan_init(&sc, s->data, 0, s->size, NULL, 65536);
	while ((e = batch_scan_header(&sc, &h, &at, NULL)) == OK) {
		must(h.last_offset > last && h.last_offset - s->base <= INT32_MAX);	/* (1) */
		must(h.magic < 2 || h.base_offset > last);
		last = h.last_offset;
	}
	must(e == ERR_NOTFOUND);
	batch_scan_fini(&sc);
	for (uint32_t i = 0; i < s->offsets.entries; i++) {				/* (2) */
		struct index_entry a, b;

		must(index_get(&s->offsets, i, &a) && a.position < s->size && a.offset >= s->base && a.offset <= last);
		must(i == 0 || (index_get(&s->offsets, i - 1, &b) && b.offset < a.offset && b.position < a.position));
	}
}
