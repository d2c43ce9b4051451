/* SPDX-License-Identifier: Apache-2.0
 *
 * log/segment_recover.c - a segment after a crash, and a segment that is cut; see segment_int.h.
 *
 * RECOVERY  reads every batch: whole, checksum right, offsets increasing and within the segment.  The first that is not ends the segment:
 *           the file is cut there before anybody can read it.  The indexes are written anew with the rule of an append per batch, so they
 *           are what the same batches appended one by one would have made.  Where the recovery point lies above (durable) the offset index is
 *           made under another name: a segment without one is recovered by every start, of Java's too.
 * CUTTING   Bytes that a range refers to are never rewritten (ARCHITECTURE, "Ranges and truncation").  When the data file is held by
 *           somebody else, the kept prefix is copied to <base>.log.cleaned, synced and renamed over <base>.log: a crash leaves either file, and
 *           both Kafka and we remove a stray .cleaned at load.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/names_int.h"
#include "log/segment_int.h"

enum { RECOVERY_WINDOW = 1 << 20, COPY_BYTES = 1 << 18 };

/* ---- recovery ---- */

struct progress {
	uint64_t valid;			/* bytes of whole valid batches */
	uint64_t last_indexed;		/* position of the last index entry's batch */
	int64_t	 next_offset;
};

static bool
batch_acceptable(const struct segment *s, const struct batch_header *h, struct slice whole, const struct progress *p, int64_t limit, struct errbuf *why)
{
	int64_t first = batch_first_offset(h);

	if (!batch_crc_ok(whole)) {
		errbuf_set(why, "the checksum of a batch of %" PRIu32 " bytes is wrong", h->size);
		return (false);
	}
	if (h->last_offset >= p->next_offset && first >= s->base && first >= p->next_offset && first <= h->last_offset &&
	    h->last_offset - s->base <= INT32_MAX && h->last_offset < limit)
		return (true);
	errbuf_set(why, "a batch of offsets %" PRId64 " to %" PRId64, first, h->last_offset);
	return (false);
}

static enum err
index_batch(struct segment *s, const struct batch_header *h, uint64_t at, struct progress *p, struct errbuf *eb)
{
	enum err e = OK;

	if (h->max_timestamp > s->max_timestamp_ms) {
		s->max_timestamp_offset = h->last_offset;
		s->max_timestamp_ms = h->max_timestamp;
	}
	if (at - p->last_indexed > s->index_interval && !index_is_full(&s->offsets, 0)) {
		e = segment_index_room(s, eb);
		if (e != OK)
			return (e);
		offset_index_add(&s->offsets, h->last_offset, (uint32_t)at);
		if (!index_is_full(&s->times, 1))
			time_index_add(&s->times, s->max_timestamp_ms, s->max_timestamp_offset);
		p->last_indexed = at;
	}
	p->valid = at + h->size;
	p->next_offset = h->last_offset + 1;
	return (e);
}

static enum err
recover_batches(struct segment *s, struct segment_recovery *r, struct progress *p, struct errbuf *eb)
{
	struct batch_header h;
	struct batch_scan sc;
	struct slice whole;
	uint64_t at;
	enum err e;

	batch_scan_init(&sc, s->data, 0, s->size, NULL, RECOVERY_WINDOW);
	errbuf_set(&r->why, "no whole batch");
	while ((e = batch_scan_whole(&sc, &h, &whole, &at, eb)) == OK && batch_acceptable(s, &h, whole, p, r->limit, &r->why)) {
		e = index_batch(s, &h, at, p, eb);
		if (e == OK && r->batch != NULL)
			e = r->batch(r->ctx, s, &h, whole, eb);
		if (e != OK)
			break;
	}
	batch_scan_fini(&sc);
	/* What is not a batch ends the segment; what cannot be read is an error. */
	return (e == ERR_NOTFOUND || e == ERR_CORRUPT ? OK : e);
}

static enum err
reset_indexes(struct segment *s, struct errbuf *eb)
{
	enum err e = index_reset(&s->offsets, s->index_bytes, eb);

	if (e == OK)
		e = index_reset(&s->times, s->index_bytes, eb);
	if (e == OK)
		e = txn_index_reset(&s->txns, eb);
	s->active = e == OK;
	s->max_timestamp_ms = -1;
	s->max_timestamp_offset = s->base;
	s->max_known = true;
	s->first_timestamp_ms = ROLL_TIME_UNKNOWN;
	s->unindexed = 0;
	return (e);
}

static enum err
recover(struct segment *s, struct segment_recovery *r, struct errbuf *eb)
{
	struct progress p = { .next_offset = s->base };
	uint32_t size = s->size;
	enum err e = recover_batches(s, r, &p, eb);

	if (e != OK)
		return (e);
	s->size = (uint32_t)p.valid;
	r->cut = size - p.valid;
	r->next_offset = p.next_offset;
	e = s->fs->ops->truncate(s->data, s->size, eb);
	if (e == OK && r->cut > 0)	/* else what was cut could come back behind what is appended now */
		e = s->fs->ops->sync(s->data, eb);
	/* As when it is closed: the largest timestamp stands in the time index. */
	if (e == OK)
		e = segment_index_room(s, eb);
	if (e == OK && s->max_timestamp_ms >= 0)
		time_index_add(&s->times, s->max_timestamp_ms, s->max_timestamp_offset);
	return (e);
}

static enum err
hide_index(struct segment *s, struct errbuf *eb)
{
	enum err e = index_hide(&s->offsets, eb);

	return (e == OK ? s->fs->ops->sync_dir(s->fs, s->dir, eb) : e);
}

static enum err
show_index(struct segment *s, struct errbuf *eb)
{
	enum err e = segment_sync(s, eb);

	if (e == OK)
		e = index_show(&s->offsets, eb);
	if (e == OK)
		e = s->fs->ops->sync_dir(s->fs, s->dir, eb);
	s->unsynced = e != OK;
	return (e);
}

enum err
segment_recover(struct segment *s, struct segment_recovery *r, struct errbuf *eb)
{
	enum err e = r->durable ? hide_index(s, eb) : OK;

	if (e == OK)
		e = reset_indexes(s, eb);
	if (e == OK)
		e = open_indexes_hold(s, eb);
	if (e != OK)
		return (e);
	e = recover(s, r, eb);
	open_indexes_release(s);
	if (e == OK && !r->keep_open) {
		e = segment_seal(s, eb);
		open_indexes_forget(s);
	}
	return (e == OK && r->durable ? show_index(s, eb) : e);
}

/* ---- cutting ---- */

static enum err
copy_prefix(struct fs *fs, struct file *from, const char *to, uint64_t len, struct errbuf *eb)
{
	uint8_t *buf = xmalloc(COPY_BYTES);
	struct file *f = NULL;
	uint64_t at = 0;
	enum err e = file_open(fs, to, FS_RDWR | FS_CREATE | FS_TRUNC, &f, eb);

	while (e == OK && at < len) {
		size_t n = (size_t)MIN(len - at, (uint64_t)COPY_BYTES);

		e = file_pread_full(from, buf, n, at, eb);
		if (e == OK)
			e = file_pwrite(f, buf, n, at, eb);
		at += n;
	}
	if (e == OK)
		e = fs->ops->sync(f, eb);
	file_unref(&f);
	free(buf);
	return (e);
}

static enum err
replace_data(struct segment *s, uint64_t keep, struct errbuf *eb)
{
	char *path = segment_path(s->dir, s->base, SUFFIX_DATA), *tmp = segment_path(s->dir, s->base, SUFFIX_DATA SUFFIX_CLEANED);
	enum err e = copy_prefix(s->fs, s->data, tmp, keep, eb);

	if (e == OK)
		e = s->fs->ops->rename(s->fs, tmp, path, eb);
	if (e == OK)
		e = s->fs->ops->sync_dir(s->fs, s->dir, eb);
	free(tmp);
	free(path);
	return (e);
}

/* A segment of the same base on the file that now has its name; the old one stays with whoever holds it. */
static enum err
reopen(struct segment **sp, uint64_t keep, const struct segment_options *o, struct errbuf *eb)
{
	struct segment *s = *sp, *fresh = NULL;
	enum err e = segment_write_tails(s, eb);

	if (e == OK)
		e = replace_data(s, keep, eb);
	if (e == OK) {
		open_indexes_forget(s);
		index_let_go(&s->offsets);
		index_let_go(&s->times);
		s->active = false;
		e = segment_open(s->dir, s->base, o, &fresh, eb);
	}
	if (e != OK)
		return (e);
	index_take_count(&fresh->offsets, &s->offsets);
	index_take_count(&fresh->times, &s->times);
	fresh->first_timestamp_ms = s->first_timestamp_ms;
	segment_unref(sp);
	*sp = fresh;
	return (OK);
}

static enum err
find_max_timestamp(struct segment *s, struct errbuf *eb)
{
	struct segment_hit near;
	struct batch_header h;
	struct batch_scan sc;
	uint64_t at, from = 0;
	enum err e;

	s->max_timestamp_offset = s->times.last_offset;
	s->max_timestamp_ms = s->times.last_key;
	if (segment_find(s, s->times.last_offset, s->size, &near, NULL) == OK)
		from = near.position;
	batch_scan_init(&sc, s->data, from, s->size, NULL, 65536);
	while ((e = batch_scan_header(&sc, &h, &at, eb)) == OK) {
		if (h.max_timestamp > s->max_timestamp_ms) {
			s->max_timestamp_offset = h.last_offset;
			s->max_timestamp_ms = h.max_timestamp;
		}
	}
	batch_scan_fini(&sc);
	s->max_known = true;
	return (e == ERR_NOTFOUND ? OK : e);
}

static enum err
truncate_indexes(struct segment *s, int64_t offset, struct errbuf *eb)
{
	enum err e = segment_activate(s, eb);

	if (e == OK)
		e = open_indexes_hold(s, eb);
	if (e != OK)
		return (e);
	e = index_truncate_offset(&s->offsets, offset, eb);
	if (e == OK)
		e = index_truncate_offset(&s->times, offset, eb);
	open_indexes_release(s);
	return (e == OK ? txn_index_truncate(&s->txns, offset, eb) : e);
}

enum err
segment_truncate(struct segment **sp, int64_t offset, const struct segment_options *o, struct errbuf *eb)
{
	struct segment *s = *sp;
	struct segment_hit hit;
	uint64_t keep = s->size;
	enum err e = segment_find(s, offset, s->size, &hit, eb);

	if (e == OK)
		keep = hit.position;
	else if (e != ERR_NOTFOUND)
		return (e);
	if (keep < s->size && s->data->refs > 1) {
		e = reopen(sp, keep, o, eb);
		if (e != OK)
			return (e);
		s = *sp;
	}
	s->size = (uint32_t)keep;
	e = truncate_indexes(s, offset, eb);
	if (e == OK)
		e = s->fs->ops->truncate(s->data, keep, eb);
	if (e != OK)
		return (e);
	if (keep == 0) {
		s->created_ms = o->now_ms;
		s->first_timestamp_ms = ROLL_TIME_UNKNOWN;
	}
	s->unindexed = 0;
	return (find_max_timestamp(s, eb));
}
