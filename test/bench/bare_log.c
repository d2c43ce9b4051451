/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_log.c - see bare.h: batches checked, numbered, written, found again.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bare.h"
#include "base/alloc.h"
#include "base/must.h"
#include "record/record.h"

void
bare_log_open(struct bare_log *l, const char *directory, int32_t partition)
{
	char *path = xasprintf("%s/%d.log", directory, (int)partition);
	struct errbuf eb = ERRBUF_INIT;

	*l = (struct bare_log){ 0 };
	if (file_open(fs_real(), path, FS_RDWR | FS_CREATE | FS_TRUNC, &l->file, &eb) != OK)
		errx(1, "%s", eb.text);
	free(path);
}

void
bare_log_close(struct bare_log *l)
{
	file_unref(&l->file);
	free(l->batches);
}

void
bare_log_append_bytes(struct bare_log *l, struct slice s)
{
	ssize_t n;

	for (; s.len > 0; s = slice_of(s.p + n, s.len - (size_t)n)) {
		n = pwrite(l->file->fd, s.p, s.len, (off_t)l->size);
		if (n <= 0)
			err(1, "pwrite");
		l->size += (uint64_t)n;
	}
}

static enum kerr
walk(struct codec_ctx *codec, struct slice whole, const struct batch_header *h)
{
	struct record_iter it;
	struct record r;
	int32_t n = 0;
	enum err e = record_iter_init(&it, codec, whole, h, RECORD_FRAMING, NULL);

	while (e == OK && (e = record_iter_next(&it, &r, NULL)) == OK)
		n++;
	record_iter_fini(&it);
	return (e == ERR_NOTFOUND && n == h->record_count ? KERR_NONE : KERR_INVALID_RECORD);
}

static enum kerr
check(enum bare_work work, struct codec_ctx *codec, struct slice whole, const struct batch_header *h)
{
	if (h->magic != 2 || !batch_crc_ok(whole))
		return (KERR_CORRUPT_MESSAGE);
	if (batch_codec(h) != CODEC_NONE && work != BARE_INFLATE)
		return (KERR_NONE);
	return (walk(codec, whole, h));
}

static void
batch_remember(struct bare_log *l)
{
	if (l->n == l->room) {
		l->room = l->room * 2 + 1024;
		l->batches = xreallocarray(l->batches, l->room, sizeof(*l->batches));
	}
	l->batches[l->n++] = (struct bare_batch){ l->next_offset, l->size };
}

enum kerr
bare_log_append(struct bare_log *l, enum bare_work work, struct codec_ctx *codec, struct slice records, int64_t *base_offset)
{
	struct batch_iter it = batch_iter_of(records);
	struct batch_header h;
	struct slice whole;
	enum kerr k;
	enum err e;

	*base_offset = l->next_offset;
	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		k = check(work, codec, whole, &h);
		if (k != KERR_NONE)
			return (k);
		batch_set_base_offset((uint8_t *)(uintptr_t)whole.p, l->next_offset);
		batch_set_leader_epoch((uint8_t *)(uintptr_t)whole.p, 0);
		batch_remember(l);
		bare_log_append_bytes(l, whole);
		l->next_offset += (int64_t)h.last_offset_delta + 1;
	}
	return (e == ERR_NOTFOUND ? KERR_NONE : KERR_CORRUPT_MESSAGE);
}

/* The last batch that begins at `offset` or before it; there is one. */
static size_t
batch_find(const struct bare_log *l, int64_t offset)
{
	size_t low = 0, high = l->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (l->batches[middle].base_offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return (low);
}

static uint64_t
batch_position(const struct bare_log *l, size_t i)
{
	return (i == l->n ? l->size : l->batches[i].position);
}

bool
bare_log_read(const struct bare_log *l, int64_t offset, uint64_t len_max, struct file_range *range)
{
	uint64_t begin;
	size_t i;

	if (offset < 0 || offset >= l->next_offset)
		return (false);
	i = batch_find(l, offset);
	begin = batch_position(l, i++);
	while (i < l->n && batch_position(l, i + 1) - begin <= len_max)
		i++;
	*range = (struct file_range){ file_ref(l->file), begin, batch_position(l, i) - begin };
	return (true);
}
