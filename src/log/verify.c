/* SPDX-License-Identifier: Apache-2.0
 *
 * log/verify.c - one pass over the files of a partition, segment by segment; see inspect.h.
 *
 * Per segment: its indexes are read first, then the size of its data file is asked for, then the batches are walked.  So with a broker that
 * appends meanwhile every index row has its batch.  What races with a broker still (a roll, retention, a truncation) is gone at another pass:
 * of a live directory only what three passes agree on is told, see log_verify.
 *
 * INVARIANT  Nothing is opened for writing here.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { WALK_WINDOW = 1 << 20, TELL_BYTES = 8 << 20, SEARCH_BYTES = 64 << 20, LIVE_PASSES = 3, LIVE_RETRIES = 20 };

/* ---- the end of a data file that is no whole batch ---- */

static bool
all_zero(const uint8_t *p, size_t n)
{
	return (n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0));
}

/* Does a whole batch begin in the bytes behind a bad one?  Then these are no torn end, and recovery would drop good batches. */
static bool
find_batch(const struct walk *w, const uint8_t *p, size_t n, size_t *at, struct batch_header *h)
{
	for (size_t i = 1; i + BATCH_OVERHEAD <= n; i++) {
		if (p[i + BATCH_MAGIC] != 2 || batch_header_decode(slice_of(p + i, n - i), h) != OK || h->size > n - i)
			continue;
		if (h->base_offset < w->next || h->base_offset - w->base > INT32_MAX || !batch_crc_ok(slice_of(p + i, h->size)))
			continue;
		*at = i;
		return (true);
	}
	return (false);
}

static void
judge_tail(struct walk *w, uint64_t pos, const uint8_t *p, size_t n, uint64_t left)
{
	bool lenient = w->last && (w->place == NULL || !w->place->clean), zeros = all_zero(p, n);
	struct batch_header h;
	size_t at = 0;

	if (!zeros && find_batch(w, p, n, &at, &h)) {
		finding_add(&w->report->findings, LOG_RULE_FRAMING, true, w->path, w->next, (int64_t)pos,
		    "no batch begins here; whole ones follow %zu bytes further on, with offset %" PRId64, at, h.base_offset);
		return;
	}
	if (lenient && walk_is_live(w))
		return;				/* being written, or preallocated */
	finding_add(&w->report->findings, LOG_RULE_FRAMING, !lenient, w->path, w->next, (int64_t)pos, "the last %" PRIu64 " bytes are %s%s", left,
	    zeros ? "zeros" : "no whole batch", lenient ? " (the next start cuts them off)" : "");
}

static void
note_cut(struct walk *w, uint64_t pos)
{
	struct log_report *r = w->report;

	if (r->cut_offset >= 0)
		return;
	r->cut_offset = r->end = w->next;
	r->cut_base = w->base;
	r->cut_position = pos;
	w->stopped = true;
}

static enum err
look_at_tail(struct walk *w, struct file *f, uint64_t pos, uint64_t end, struct errbuf *eb)
{
	size_t n = (size_t)MIN(end - pos, (uint64_t)SEARCH_BYTES), got = 0;
	uint8_t *p = xmalloc(n + 1);
	uint32_t before = w->report->findings.violations;
	enum err e = file_pread(f, p, n, pos, &got, eb);

	if (e == OK)
		judge_tail(w, pos, p, got, end - pos);
	if (e == OK && w->report->findings.violations > before)
		note_cut(w, pos);
	free(p);
	return (e);
}

/* ---- one segment ---- */

static void
tell(struct walk *w, uint64_t at)
{
	if (w->progress == NULL || w->done + at < w->told + TELL_BYTES)
		return;
	w->told = w->done + at;
	w->progress->fn(w->progress->ctx, w->path, w->told, w->total);
}

static void
take_batch(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	w->report->batches++;
	tell(w, at);
	if (!batch_verify(w, h, whole, at)) {
		note_cut(w, at);
		if (h->last_offset >= w->next && h->base_offset >= w->next && h->last_offset < w->limit && h->last_offset - h->base_offset <= INT32_MAX)
			w->next = h->last_offset + 1;
		return;
	}
	if (w->report->cut_offset < 0) {
		indexes_batch(w, h, at);
		state_batch(w, h, whole, at);
	}
	w->next = h->last_offset + 1;
}

static enum err
walk_data(struct walk *w, struct file *f, uint64_t size, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	struct batch_header h;
	struct batch_scan sc;
	struct slice whole;
	uint64_t at, pos;
	enum err e;

	if (size == 0)
		return (OK);
	batch_scan_init(&sc, f, 0, size, NULL, WALK_WINDOW);
	while ((e = batch_scan_whole(&sc, &h, &whole, &at, &why)) == OK)
		take_batch(w, &h, whole, at);
	pos = sc.pos;
	batch_scan_fini(&sc);
	if (e == ERR_CORRUPT)
		return (look_at_tail(w, f, pos, size, eb));
	if (e != ERR_NOTFOUND)
		errbuf_set(eb, "%s", why.text);
	return (e == ERR_NOTFOUND ? OK : e);
}

static void
choose_rigour(struct walk *w)
{
	const struct log_place *p = w->place;
	int64_t end = w->last ? INT64_MAX : w->limit;

	w->strict = !w->last || (p != NULL && p->clean);
	w->rebuilt = p != NULL && p->is_log_dir && p->holder == 0 && !p->clean && end > w->recovery_point;
}

static enum err
walk_segment(struct walk *w, uint32_t i, struct errbuf *eb)
{
	struct log_segment_report *s = &w->report->segments[i];
	struct file *f = NULL;
	enum err e;

	w->segment = i;
	w->base = s->base = w->files.bases[i];
	w->last = i + 1 == w->files.n;
	w->limit = w->last ? LOG_OFFSET_MAX : w->files.bases[i + 1];
	w->path = segment_path(w->dir, w->base, SUFFIX_DATA);
	choose_rigour(w);
	if (i == 0)
		w->next = w->base;
	e = indexes_begin(w, eb);
	if (e == OK)
		e = file_open(w->fs, w->path, FS_RDONLY, &f, eb);
	if (e == OK)
		e = file_size(f, &s->size, eb);
	if (e == OK && w->last && s->size == 0)		/* rolled, or cut to nothing: the log ends where it begins */
		w->next = MAX(w->next, w->base);
	if (e == OK)
		e = walk_data(w, f, s->size, eb);
	indexes_end(w, s);
	w->report->bytes += s->size;
	w->done += s->size;
	file_unref(&f);
	free(w->path);
	w->path = NULL;
	return (e);
}

/* ---- names ---- */

static void
check_orphan(struct walk *w, const char *name, int64_t base)
{
	char *path = path_join(w->dir, name);
	bool found = false;

	for (uint32_t i = 0; i < w->files.n; i++)
		found |= w->files.bases[i] == base;
	if (!found && !walk_is_live(w))
		finding_add(&w->report->findings, LOG_RULE_ORPHAN, true, path, base, -1, "no %020" PRId64 ".log beside it", base);
	free(path);
}

static void
check_names(struct walk *w)
{
	static const char *const indexes[] = { SUFFIX_INDEX, SUFFIX_TIME, SUFFIX_TXN }, *const states[] = { SUFFIX_DELETED, SUFFIX_CLEANED, SUFFIX_SWAP, ".tmp" };
	int64_t base;

	for (uint32_t i = 0; i < w->files.nothers; i++) {
		const char *name = w->files.others[i];

		for (size_t k = 0; k < NELEM(indexes); k++)
			if (name_parse_offset(name, indexes[k], &base))
				check_orphan(w, name, base);
		for (size_t k = 0; k < NELEM(states); k++)
			if (name_has_suffix(name, states[k]) && !walk_is_live(w)) {
				char *path = path_join(w->dir, name);

				finding_add(&w->report->findings, LOG_RULE_LEFTOVER, false, path, -1, -1, "the next start of a broker deals with it");
				free(path);
			}
	}
}

static void
check_metadata(struct walk *w)
{
	struct errbuf why = ERRBUF_INIT;
	char *path = path_join(w->dir, "partition.metadata");
	struct uuid id;
	enum err e = partition_metadata_read(w->fs, w->dir, &id, &why);

	if (e != OK && e != ERR_NOENT)
		finding_add(&w->report->findings, LOG_RULE_METADATA, true, path, -1, -1, "%s", why.text);
	free(path);
}

/* ---- what the directory says of the log ---- */

static void
name_log(struct walk *w)
{
	const char *slash = strrchr(w->dir, '/');
	struct log_report *r = w->report;
	enum log_dir_kind kind = name_parse_log_dir(slash == NULL ? w->dir : slash + 1, &r->topic, &r->partition);

	r->future = kind == LOG_DIR_FUTURE || kind == LOG_DIR_STRAY;
}

static int64_t
checkpointed(const struct walk *w, const struct checkpoint *cp, int64_t none)
{
	const struct log_report *r = w->report;
	const struct checkpoint_entry *row = r->topic == NULL || r->future ? NULL : checkpoint_find(cp, r->topic, r->partition);

	return (row == NULL ? none : row->offset);
}

static void
check_row(struct walk *w, const struct checkpoint *cp, const char *name, const char *what)
{
	int64_t at = checkpointed(w, cp, -1);
	char *path;

	if (at <= w->report->end)
		return;
	path = path_join(w->place->path, name);
	finding_add(&w->report->findings, LOG_RULE_CHECKPOINT_END, true, path, at, -1, "the %s of %s-%" PRId32 " is %" PRId64 ", its log ends at %" PRId64, what,
	    w->report->topic, w->report->partition, at, w->report->end);
	free(path);
}

static void
check_rows(struct walk *w)
{
	if (w->place == NULL)
		return;
	check_row(w, &w->place->recovery, "recovery-point-offset-checkpoint", "recovery point");
	check_row(w, &w->place->marks, "replication-offset-checkpoint", "high watermark");
	check_row(w, &w->place->starts, "log-start-offset-checkpoint", "start offset");
	w->report->high_watermark = checkpointed(w, &w->place->marks, -1);
}

/* ---- a pass ---- */

static void
sum_sizes(struct walk *w)
{
	for (uint32_t i = 0; i < w->files.n; i++) {
		char *path = segment_path(w->dir, w->files.bases[i], SUFFIX_DATA);
		struct fs_stat st;

		if (w->fs->ops->stat(w->fs, path, &st, NULL) == OK)
			w->total += st.size;
		free(path);
	}
}

static enum err
walk_segments(struct walk *w, struct errbuf *eb)
{
	struct log_report *r = w->report;
	enum err e = OK;

	r->segments = xcalloc((size_t)w->files.n + 1, sizeof(*r->segments));
	r->nsegments = w->files.n;
	state_begin(w);
	for (uint32_t i = 0; i < w->files.n && e == OK; i++)
		e = walk_segment(w, i, eb);
	if (e != OK)
		return (e);
	state_snapshots_to(w, w->stopped ? INT64_MAX : w->next);
	state_end(w);
	if (r->cut_offset < 0)
		r->end = w->next;
	r->start = MAX(w->start, w->files.n > 0 ? w->files.bases[0] : 0);
	return (OK);
}

static enum err
pass(struct walk *w, struct errbuf *eb)
{
	enum err e = log_files_list(w->fs, w->dir, &w->files, eb);

	name_log(w);
	if (e == OK && w->place != NULL) {
		w->recovery_point = checkpointed(w, &w->place->recovery, 0);
		w->start = MAX((int64_t)0, checkpointed(w, &w->place->starts, 0));
	}
	if (e == OK) {
		sum_sizes(w);
		check_names(w);
		check_metadata(w);
		e = walk_segments(w, eb);
	}
	if (e == OK)
		check_rows(w);
	log_files_fini(&w->files);
	producer_state_free(&w->producers);
	free(w->runs);
	return (e);
}

enum err
log_verify(struct fs *fs, const char *dir, const struct log_place *place, const struct log_progress *progress, struct log_report *out, struct errbuf *eb)
{
	struct codec_ctx *codecs = codec_ctx_new();
	int passes = place != NULL && place->holder != 0 ? LIVE_PASSES : 1, retries = passes > 1 ? LIVE_RETRIES : 0;
	enum err e = OK;

	*out = (struct log_report)LOG_REPORT_INIT;
	while (passes > 0) {
		struct walk w = { .fs = fs, .dir = dir, .place = place, .progress = progress, .report = out, .codecs = codecs };

		log_report_fini(out);
		e = pass(&w, eb);
		/* A segment that retention took away between the listing and the opening: look again. */
		if (e == ERR_NOENT && retries-- > 0 && fs_exists(fs, dir))
			continue;
		if (e != OK || out->findings.violations == 0)
			break;
		passes--;
	}
	codec_ctx_free(codecs);
	return (e);
}

void
segment_report_fini(struct log_segment_report *r)
{
	free(r->index);
	free(r->time);
	free(r->txn);
}

void
log_report_fini(struct log_report *r)
{
	for (uint32_t i = 0; i < r->nsegments; i++)
		segment_report_fini(&r->segments[i]);
	free(r->segments);
	free(r->topic);
	epoch_cache_fini(&r->epochs);
	log_findings_fini(&r->findings);
	*r = (struct log_report)LOG_REPORT_INIT;
}
