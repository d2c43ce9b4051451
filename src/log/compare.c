/* SPDX-License-Identifier: Apache-2.0
 *
 * log/compare.c - two replicas of one log, batch by batch; see inspect.h.
 *
 * A follower stores the very bytes its leader sent, so from the larger start offset on both hold the same batches; only where segments begin
 * differs.  The walk goes over the batches, not over the files.  (Compaction runs on each replica by itself: compacted logs may differ in
 * old offsets and be right.)
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { COMPARE_WINDOW = 1 << 20, TELL_BATCHES = 4096 };

struct side {			/* a walk over all batches of one log */
	struct fs *fs;
	const char *dir;
	struct log_files files;
	uint32_t next;		/* segment to open next */
	struct file *f;
	struct batch_scan scan;
	struct batch_header h;	/* of the batch in hand */
	struct slice whole;
	uint64_t at;
	bool	 have, torn;
	int64_t	 end, base;
	uint64_t total;
};

static void
close_segment(struct side *s)
{
	if (s->f != NULL)
		batch_scan_fini(&s->scan);
	file_unref(&s->f);
}

static enum err
open_segment(struct side *s, struct errbuf *eb)
{
	char *path = segment_path(s->dir, s->files.bases[s->next], SUFFIX_DATA);
	uint64_t size = 0;
	enum err e = file_open(s->fs, path, FS_RDONLY, &s->f, eb);

	if (e == OK)
		e = file_size(s->f, &size, eb);
	if (e == OK) {
		batch_scan_init(&s->scan, s->f, 0, size, NULL, COMPARE_WINDOW);
		s->base = s->files.bases[s->next++];
		s->total += size;
	} else
		file_unref(&s->f);
	free(path);
	return (e);
}

/* have = false at the end, or where no whole batch begins (torn). */
static enum err
step(struct side *s, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e = ERR_NOTFOUND;

	s->have = false;
	while (!s->torn) {
		if (s->f == NULL && s->next == s->files.n)
			return (OK);
		if (s->f == NULL && (e = open_segment(s, eb)) != OK)
			return (e);
		e = batch_scan_whole(&s->scan, &s->h, &s->whole, &s->at, &why);
		if (e == OK) {
			s->have = true;
			s->end = batch_next_offset(&s->h);
			return (OK);
		}
		if (e != ERR_NOTFOUND && e != ERR_CORRUPT) {
			errbuf_set(eb, "%s", why.text);
			return (e);
		}
		s->torn = e == ERR_CORRUPT;
		s->at = s->scan.pos;
		close_segment(s);
	}
	return (OK);
}

static enum err
side_open(struct side *s, struct fs *fs, const char *dir, struct errbuf *eb)
{
	enum err e;

	*s = (struct side){ .fs = fs, .dir = dir };
	e = log_files_list(fs, dir, &s->files, eb);
	if (e == OK && s->files.n == 0) {
		errbuf_set(eb, "%s: no segment (no <offset>.log) is in it", dir);
		e = ERR_NOTFOUND;
	}
	if (e == OK)
		s->end = s->files.bases[0];
	return (e == OK ? step(s, eb) : e);
}

static void
side_close(struct side *s)
{
	close_segment(s);
	log_files_fini(&s->files);
}

static enum err
skip_below(struct side *s, int64_t from, struct errbuf *eb)
{
	enum err e = OK;

	while (e == OK && s->have && s->h.last_offset < from)
		e = step(s, eb);
	return (e);
}

static void
note_place(struct log_comparison *c, const struct side *s)
{
	for (int i = 0; i < 2; i++) {
		c->position[i] = s[i].have || s[i].torn ? (int64_t)s[i].at : -1;
		c->base[i] = s[i].have || s[i].torn ? s[i].base : -1;
		c->epoch[i] = s[i].have ? s[i].h.leader_epoch : -1;
	}
}

static uint32_t
first_difference(struct slice a, struct slice b)
{
	uint32_t i = 0;

	while (i < a.len && i < b.len && a.p[i] == b.p[i])
		i++;
	return (i);
}

static void
differ(struct log_comparison *c, const struct side *s)
{
	int64_t a = batch_first_offset(&s[0].h), b = batch_first_offset(&s[1].h);

	c->difference = a == b ? LOG_DIFFERENT_BYTES : LOG_DIFFERENT_OFFSETS;
	c->offset = MIN(a, b);
	c->byte = first_difference(s[0].whole, s[1].whole);
}

static enum err
run_to_end(struct side *s, struct errbuf *eb)
{
	enum err e = OK;

	while (e == OK && s->have)
		e = step(s, eb);
	return (e);
}

static enum err
walk_both(struct side *s, const struct log_progress *progress, struct log_comparison *c, struct errbuf *eb)
{
	enum err e = OK;

	while (e == OK && s[0].have && s[1].have) {
		if (!slice_eq(s[0].whole, s[1].whole)) {
			differ(c, s);
			return (OK);
		}
		c->offset = batch_next_offset(&s[0].h);
		c->common_epoch = s[0].h.leader_epoch;
		c->batches++;
		c->bytes += s[0].whole.len;
		if (progress != NULL && c->batches % TELL_BATCHES == 0)
			progress->fn(progress->ctx, s[0].dir, c->bytes, 0);
		e = step(&s[0], eb);
		if (e == OK)
			e = step(&s[1], eb);
	}
	if (s[0].have != s[1].have)
		c->difference = s[0].have ? LOG_B_IS_SHORTER : LOG_A_IS_SHORTER;
	return (e);
}

static enum err
compare(struct side *s, const struct log_progress *progress, struct log_comparison *c, struct errbuf *eb)
{
	enum err e;

	for (int i = 0; i < 2; i++)
		c->start[i] = s[i].have ? batch_first_offset(&s[i].h) : s[i].end;
	c->from = c->offset = MAX(c->start[0], c->start[1]);
	e = skip_below(&s[0], c->from, eb);
	if (e == OK)
		e = skip_below(&s[1], c->from, eb);
	if (e == OK)
		e = walk_both(s, progress, c, eb);
	note_place(c, s);
	for (int i = 0; i < 2 && e == OK; i++)
		e = run_to_end(&s[i], eb);
	for (int i = 0; i < 2; i++) {
		c->end[i] = s[i].end;
		c->torn[i] = s[i].torn;
	}
	if (c->batches == 0 && (c->end[0] < c->start[1] || c->end[1] < c->start[0]))
		c->difference = LOG_NOTHING_IN_COMMON;
	return (e);
}

enum err
log_compare(struct fs *fs, const char *a, const char *b, const struct log_progress *progress, struct log_comparison *out, struct errbuf *eb)
{
	struct side s[2];
	enum err e = side_open(&s[0], fs, a, eb), e2 = OK;

	*out = (struct log_comparison){ .difference = LOG_SAME, .common_epoch = -1 };
	if (e == OK) {
		e2 = side_open(&s[1], fs, b, eb);
		if (e2 == OK)
			e = compare(s, progress, out, eb);
		side_close(&s[1]);
	}
	side_close(&s[0]);
	return (e == OK ? e2 : e);
}
