/* SPDX-License-Identifier: Apache-2.0
 *
 * log/epoch_cache.c - see epoch_cache.h for the format.
 *
 * (1) Rows increase strictly in epoch and in start offset.  Behaviour: LeaderEpochFileCache of Kafka 3.9.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"
#include "log/epoch_cache.h"
#include "log/lines_int.h"
#include "log/names_int.h"

#define EPOCH_FILE "leader-epoch-checkpoint"

void
epoch_cache_fini(struct epoch_cache *ec)
{
	free(ec->entries);
	*ec = (struct epoch_cache)EPOCH_CACHE_INIT;
}

static void
push(struct epoch_cache *ec, int32_t epoch, int64_t start)
{
	if (ec->n == ec->room) {
		ec->room = ec->room == 0 ? 4 : ec->room * 2;
		ec->entries = xreallocarray(ec->entries, ec->room, sizeof(*ec->entries));
	}
	ec->entries[ec->n++] = (struct epoch_entry){ epoch, start };
}

bool
epoch_cache_assign(struct epoch_cache *ec, int32_t epoch, int64_t start)
{
	if (epoch < 0 || start < 0)
		return (false);
	if (ec->n > 0) {
		const struct epoch_entry *last = &ec->entries[ec->n - 1];

		if (last->epoch == epoch && last->start_offset <= start)
			return (false);
	}
	while (ec->n > 0 && (ec->entries[ec->n - 1].epoch >= epoch || ec->entries[ec->n - 1].start_offset >= start))
		ec->n--;
	push(ec, epoch, start);
	ec->dirty = true;
	return (true);
}

int32_t
epoch_cache_latest(const struct epoch_cache *ec)
{
	return (ec->n == 0 ? -1 : ec->entries[ec->n - 1].epoch);
}

int32_t
epoch_cache_of_offset(const struct epoch_cache *ec, int64_t offset)
{
	uint32_t lo = 0, hi = ec->n;	/* rows before lo begin at or below, those from hi on above */

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ec->entries[mid].start_offset <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo == 0 ? -1 : ec->entries[lo - 1].epoch);
}

void
epoch_cache_end_of(const struct epoch_cache *ec, int32_t requested, int64_t log_end, int32_t *epoch, int64_t *end)
{
	uint32_t higher = 0;

	*epoch = -1;
	*end = -1;
	if (requested == -1 || ec->n == 0)
		return;
	if (requested == epoch_cache_latest(ec)) {	/* the epoch still being written */
		*epoch = requested;
		*end = log_end;
		return;
	}
	while (higher < ec->n && ec->entries[higher].epoch <= requested)
		higher++;
	if (higher == ec->n)				/* above every known epoch */
		return;
	/* Below every known epoch: its records are gone, it ended at or before the first row. */
	*epoch = higher == 0 ? requested : ec->entries[higher - 1].epoch;
	*end = ec->entries[higher].start_offset;
}

bool
epoch_cache_truncate_from_end(struct epoch_cache *ec, int64_t end)
{
	uint32_t n = ec->n;

	while (end >= 0 && ec->n > 0 && ec->entries[ec->n - 1].start_offset >= end)
		ec->n--;
	if (ec->n == n)
		return (false);
	ec->dirty = true;
	return (true);
}

bool
epoch_cache_truncate_from_start(struct epoch_cache *ec, int64_t start)
{
	uint32_t covered = 0;

	while (covered < ec->n && ec->entries[covered].start_offset <= start)
		covered++;
	if (covered == 0 || (covered == 1 && ec->entries[0].start_offset == start))
		return (false);
	memmove(ec->entries, ec->entries + covered - 1, (ec->n - (covered - 1)) * sizeof(*ec->entries));
	ec->n -= covered - 1;
	ec->entries[0].start_offset = start;
	ec->dirty = true;
	return (true);
}

void
epoch_cache_clear(struct epoch_cache *ec)
{
	ec->dirty = ec->dirty || ec->n > 0;
	ec->n = 0;
}

static bool
parse_line(struct slice line, struct epoch_cache *out)
{
	struct slice epoch, start;
	int32_t e;
	int64_t s;

	if (!line_field(&line, &epoch) || !line_field(&line, &start) || line.len != 0 || !str_to_i32(epoch, &e) || !str_to_i64(start, &s))
		return (false);
	if (e < 0 || s < 0 || (out->n > 0 && (out->entries[out->n - 1].epoch >= e || out->entries[out->n - 1].start_offset >= s)))
		return (false);
	push(out, e, s);
	return (true);
}

enum err
epoch_cache_read(struct fs *fs, const char *dir, struct epoch_cache *out, struct errbuf *eb)
{
	char *path = path_join(dir, EPOCH_FILE);
	struct line_file lf;
	struct slice line;
	enum err e = line_file_open(fs, path, 0, &lf, eb);

	*out = (struct epoch_cache)EPOCH_CACHE_INIT;
	if (e == OK) {
		while (e == OK && line_file_next(&lf, &line))
			if (!parse_line(line, out))
				e = line_file_bad(&lf, eb);
		if (e == OK)
			e = line_file_end(&lf, eb);
		line_file_close(&lf);
	} else if (e == ERR_NOENT)
		e = OK;
	if (e != OK)
		epoch_cache_fini(out);
	free(path);
	return (e);
}

enum err
epoch_cache_put(struct fs *fs, const char *dir, struct epoch_cache *ec, struct errbuf *eb)
{
	char *path = path_join(dir, EPOCH_FILE);
	struct strbuf sb = STRBUF_INIT;
	enum err e;

	strbuf_add(&sb, "0\n%" PRIu32 "\n", ec->n);
	for (uint32_t i = 0; i < ec->n; i++)
		strbuf_add(&sb, "%" PRId32 " %" PRId64 "\n", ec->entries[i].epoch, ec->entries[i].start_offset);
	e = fs_replace_file(fs, path, slice_of(strbuf_str(&sb), sb.len), eb);
	if (e == OK)
		ec->dirty = false;
	strbuf_fini(&sb);
	free(path);
	return (e);
}

enum err
epoch_cache_write(struct fs *fs, const char *dir, struct epoch_cache *ec, struct errbuf *eb)
{
	enum err e = epoch_cache_put(fs, dir, ec, eb);

	return (e == OK ? fs->ops->sync_dir(fs, dir, eb) : e);
}
