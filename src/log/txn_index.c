/* SPDX-License-Identifier: Apache-2.0
 *
 * log/txn_index.c - see txn_index_int.h.
 *
 * (1) The file is exactly `entries` whole entries, or there is no file.
 * (2) The last stable offset of an entry lets a reader stop: when it is at or above the reader's bound, every transaction whose marker
 *     comes later began at or after the bound.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/names_int.h"
#include "log/txn_index_int.h"

enum { READ_ENTRIES = 128 };

void
txn_index_init(struct txn_index *ti, struct fs *fs, const char *dir, int64_t base)
{
	*ti = (struct txn_index){ .fs = fs, .path = segment_path(dir, base, SUFFIX_TXN) };
}

void
txn_index_fini(struct txn_index *ti)
{
	file_unref(&ti->file);
	free(ti->path);
	ti->path = NULL;
}

static void
encode(uint8_t *buf, const struct txn_entry *e)
{
	be16enc(buf, 0);
	be64enc(buf + 2, (uint64_t)e->producer_id);
	be64enc(buf + 10, (uint64_t)e->first_offset);
	be64enc(buf + 18, (uint64_t)e->last_offset);
	be64enc(buf + 26, (uint64_t)e->last_stable_offset);
}

static bool
decode(const uint8_t *buf, struct txn_entry *e)
{
	e->producer_id = (int64_t)be64dec(buf + 2);
	e->first_offset = (int64_t)be64dec(buf + 10);
	e->last_offset = (int64_t)be64dec(buf + 18);
	e->last_stable_offset = (int64_t)be64dec(buf + 26);
	return (be16dec(buf) == 0);
}

/* Every entry in order until fn says stop. */
static enum err
walk(struct txn_index *ti, bool (*fn)(void *, const struct txn_entry *, uint32_t at), void *ctx, struct errbuf *eb)
{
	uint32_t n = ti->entries, at = 0, got;
	uint8_t buf[READ_ENTRIES * TXN_ENTRY];
	struct txn_entry te;
	struct file *f = NULL;
	enum err e = OK;

	if (n == 0)
		return (OK);
	e = file_open(ti->fs, ti->path, FS_RDONLY, &f, eb);
	for (; e == OK && at < n; at += got) {
		got = MIN(n - at, (uint32_t)READ_ENTRIES);
		e = file_pread_full(f, buf, (size_t)got * TXN_ENTRY, (uint64_t)at * TXN_ENTRY, eb);
		for (uint32_t i = 0; e == OK && i < got; i++) {
			if (!decode(buf + (size_t)i * TXN_ENTRY, &te)) {
				errbuf_set(eb, "%s: entry %" PRIu32 " has an unknown version", ti->path, at + i);
				e = ERR_CORRUPT;
			} else if (!fn(ctx, &te, at + i))
				goto out;
		}
	}
out:
	file_unref(&f);
	return (e);
}

struct check {
	int64_t base, last;
	bool	bad;
};

static bool
check_entry(void *ctx, const struct txn_entry *te, uint32_t at)
{
	struct check *c = ctx;

	(void)at;
	c->bad = te->last_offset < c->base || te->last_offset <= c->last || te->first_offset > te->last_offset || te->first_offset < 0;
	c->last = te->last_offset;
	return (!c->bad);
}

enum err
txn_index_load(struct txn_index *ti, int64_t base, struct errbuf *eb)
{
	struct check c = { base, -1, false };
	struct fs_stat st;
	enum err e = ti->fs->ops->stat(ti->fs, ti->path, &st, eb);

	if (e == ERR_NOENT)
		return (OK);
	if (e != OK)
		return (e);
	ti->entries = (uint32_t)MIN(st.size / TXN_ENTRY, (uint64_t)INT32_MAX);
	e = walk(ti, check_entry, &c, eb);
	if (e == OK && (c.bad || st.size % TXN_ENTRY != 0)) {
		errbuf_set(eb, "%s: not a transaction index of this segment", ti->path);
		e = ERR_CORRUPT;
	}
	return (e);
}

static enum err
open_file(struct txn_index *ti, struct errbuf *eb)
{
	return (ti->file != NULL ? OK : file_open(ti->fs, ti->path, FS_RDWR | FS_CREATE, &ti->file, eb));
}

enum err
txn_index_append(struct txn_index *ti, const struct txn_entry *te, struct errbuf *eb)
{
	uint8_t buf[TXN_ENTRY];
	enum err e = open_file(ti, eb);

	encode(buf, te);
	if (e == OK)
		e = file_pwrite(ti->file, buf, sizeof(buf), (uint64_t)ti->entries * TXN_ENTRY, eb);
	if (e == OK) {
		ti->entries++;
		ti->dirty = true;
	}
	return (e);
}

struct cut {
	int64_t	 offset;
	uint32_t kept;
};

static bool
cut_entry(void *ctx, const struct txn_entry *te, uint32_t at)
{
	struct cut *c = ctx;

	if (te->last_offset >= c->offset)
		return (false);
	c->kept = at + 1;
	return (true);
}

enum err
txn_index_truncate(struct txn_index *ti, int64_t offset, struct errbuf *eb)
{
	struct cut c = { offset, 0 };
	enum err e = walk(ti, cut_entry, &c, eb);

	if (e != OK || c.kept == ti->entries)
		return (e);
	e = open_file(ti, eb);
	if (e == OK)
		e = ti->fs->ops->truncate(ti->file, (uint64_t)c.kept * TXN_ENTRY, eb);
	if (e == OK) {
		ti->entries = c.kept;
		ti->dirty = true;
	}
	return (e);
}

enum err
txn_index_reset(struct txn_index *ti, struct errbuf *eb)
{
	enum err e;

	file_unref(&ti->file);
	ti->entries = 0;
	ti->dirty = false;
	e = ti->fs->ops->unlink(ti->fs, ti->path, eb);
	return (e == ERR_NOENT ? OK : e);
}

enum err
txn_index_sync(struct txn_index *ti, struct errbuf *eb)
{
	struct file *f = NULL;
	enum err e;

	if (ti->entries == 0 && !ti->dirty)
		return (OK);
	e = file_open(ti->fs, ti->path, FS_RDWR, &f, eb);
	if (e == OK)
		e = ti->fs->ops->sync(f, eb);
	file_unref(&f);
	return (e);
}

struct collect {
	int64_t from, to;
	void  (*fn)(void *, const struct txn_entry *);
	void   *ctx;
	bool	complete;
};

static bool
collect_entry(void *ctx, const struct txn_entry *te, uint32_t at)
{
	struct collect *c = ctx;

	(void)at;
	if (te->last_offset >= c->from && te->first_offset < c->to)
		c->fn(c->ctx, te);
	c->complete = te->last_stable_offset >= c->to;
	return (!c->complete);
}

enum err
txn_index_collect(struct txn_index *ti, int64_t from, int64_t to, void (*fn)(void *, const struct txn_entry *), void *ctx, bool *complete,
    struct errbuf *eb)
{
	struct collect c = { from, to, fn, ctx, false };
	enum err e = walk(ti, collect_entry, &c, eb);

	*complete = c.complete;
	return (e);
}
