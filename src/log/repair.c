/* SPDX-License-Identifier: Apache-2.0
 *
 * log/repair.c - mending what log_verify found; see inspect.h for the order and why it may be interrupted anywhere.
 *
 * A plan is a list of actions made from the report alone; printing it is the dry run, carrying it out is the repair.  Nothing that a repair
 * takes away is lost: data goes to files named ottla-cut.*, what cannot be read to ottla-bad.*.  Neither Kafka nor we take such a name for
 * one of a log.  Indexes that go can be made from the data again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { COPY_BYTES = 1 << 18, ASIDE_TRIES = 1000 };

enum action_kind {
	DROP_MARKER,
	KEEP_TAIL,		/* copies what a cut takes away */
	DROP_SEGMENT,		/* a whole one above the cut, with its indexes */
	CUT_DATA,
	WRITE_FILE,		/* an index, whole and anew; of no bytes for a transaction index: it goes */
	DROP_FILE,
	PUT_ASIDE,
	WRITE_EPOCHS,
	LOWER_ROW
};

struct action {
	enum action_kind kind;
	char *path;			/* what it is done to */
	char *words;
	int64_t base;
	uint64_t position;
	struct slice content;		/* borrowed from the report */
	bool anew;			/* WRITE_EPOCHS: from the batches, else cut only */
};

struct plan {
	const char *dir;
	const struct log_place *place;
	const struct log_report *report;
	struct action *v;
	uint32_t n;
};

static PRINTF_LIKE(4, 5) struct action *
add(struct plan *p, enum action_kind kind, char *path, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	p->v = xreallocarray(p->v, (size_t)p->n + 1, sizeof(*p->v));
	p->v[p->n] = (struct action){ .kind = kind, .path = path, .words = strbuf_take(&sb) };
	return (&p->v[p->n++]);
}

static void
plan_fini(struct plan *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		free(p->v[i].path);
		free(p->v[i].words);
	}
	free(p->v);
}

/* ---- planning ---- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (slash == NULL ? path : slash + 1);
}

static bool
has_violation(const struct log_report *r, enum log_rule rule)
{
	for (uint32_t i = 0; i < r->findings.n; i++)
		if (r->findings.v[i].violation && r->findings.v[i].rule == rule)
			return (true);
	return (false);
}

static void
plan_cut(struct plan *p)
{
	const struct log_report *r = p->report;
	struct action *a;
	uint32_t above = 0;

	if (r->cut_offset < 0)
		return;
	for (uint32_t i = 0; i < r->nsegments; i++)
		above += r->segments[i].base > r->cut_base;
	a = add(p, KEEP_TAIL, segment_path(p->dir, r->cut_base, SUFFIX_DATA), "keep the bytes of %020" PRId64 ".log from position %" PRIu64 " on in ottla-cut.%020" PRId64
	    ".log.%" PRIu64, r->cut_base, r->cut_position, r->cut_base, r->cut_position);
	a->base = r->cut_base;
	a->position = r->cut_position;
	for (uint32_t i = r->nsegments; above-- > 0;) {
		int64_t base = r->segments[--i].base;

		add(p, DROP_SEGMENT, segment_path(p->dir, base, SUFFIX_DATA), "take away segment %020" PRId64 " (%" PRIu64 " bytes): its data goes to ottla-cut.%020" PRId64
		    ".log.0", base, r->segments[i].size, base)->base = base;
	}
	a = add(p, CUT_DATA, segment_path(p->dir, r->cut_base, SUFFIX_DATA), "cut %020" PRId64 ".log at position %" PRIu64 ": the log ends at offset %" PRId64 " then",
	    r->cut_base, r->cut_position, r->cut_offset);
	a->position = r->cut_position;
}

static void
plan_index(struct plan *p, const struct log_segment_report *s, const char *suffix, const char *bytes, size_t len)
{
	char *path = segment_path(p->dir, s->base, suffix);

	add(p, WRITE_FILE, path, "write %s anew (%zu bytes)", base_name(path), len)->content = slice_of(bytes == NULL ? "" : bytes, len);
}

static void
plan_indexes(struct plan *p)
{
	const struct log_report *r = p->report;

	for (uint32_t i = 0; i < r->nsegments; i++) {
		const struct log_segment_report *s = &r->segments[i];
		bool cut = r->cut_offset >= 0 && s->base == r->cut_base;

		if (r->cut_offset >= 0 && s->base > r->cut_base)
			break;
		if (cut || s->rebuild_index)
			plan_index(p, s, SUFFIX_INDEX, s->index, s->index_len);
		if (cut || s->rebuild_time)
			plan_index(p, s, SUFFIX_TIME, s->time, s->time_len);
		if (cut || s->rebuild_txn)
			plan_index(p, s, SUFFIX_TXN, s->txn, s->txn_len);
	}
}

static bool
planned(const struct plan *p, const char *path)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->v[i].path != NULL && strcmp(p->v[i].path, path) == 0)
			return (true);
	return (false);
}

static void
plan_snapshots(struct plan *p, const struct log_files *files)
{
	const struct log_report *r = p->report;

	for (uint32_t i = 0; i < files->nsnapshots && r->cut_offset >= 0; i++)
		if (files->snapshots[i] > r->cut_offset)
			add(p, DROP_FILE, segment_path(p->dir, files->snapshots[i], SUFFIX_SNAPSHOT), "remove %020" PRId64 ".snapshot, which knows of offsets above the cut",
			    files->snapshots[i]);
	for (uint32_t i = 0; i < r->findings.n; i++) {
		const struct log_finding *f = &r->findings.v[i];
		bool aside = f->rule == LOG_RULE_SNAPSHOT || f->rule == LOG_RULE_SNAPSHOT_STATE || f->rule == LOG_RULE_METADATA;

		if (aside && !planned(p, f->path))
			add(p, PUT_ASIDE, xstrdup(f->path), "put %s aside as ottla-bad.%s", base_name(f->path), base_name(f->path));
	}
}

static void
plan_epochs(struct plan *p)
{
	const struct log_report *r = p->report;
	/* Epochs lie outside the checksum: when those of the batches contradict each other, a file that can be read is the better witness. */
	bool anew = has_violation(r, LOG_RULE_EPOCH_FILE) || (has_violation(r, LOG_RULE_EPOCH_ROWS) && !has_violation(r, LOG_RULE_EPOCH_ORDER));

	if (!anew && r->cut_offset < 0 && !has_violation(r, LOG_RULE_EPOCH_END))
		return;
	add(p, WRITE_EPOCHS, path_join(p->dir, "leader-epoch-checkpoint"), anew ? "write leader-epoch-checkpoint anew from the batches (end %" PRId64 ")"
	    : "cut leader-epoch-checkpoint at offset %" PRId64, r->end)->anew = anew;
}

static void
plan_row(struct plan *p, const struct checkpoint *cp, const char *name, const char *what)
{
	const struct log_report *r = p->report;
	const struct checkpoint_entry *row = r->topic == NULL || r->future ? NULL : checkpoint_find(cp, r->topic, r->partition);

	if (row == NULL || row->offset <= r->end)
		return;
	add(p, LOWER_ROW, path_join(p->place->path, name), "lower the %s from %" PRId64 " to %" PRId64, what, row->offset, r->end);
}

static void
plan_rows(struct plan *p)
{
	if (p->place == NULL)
		return;
	plan_row(p, &p->place->recovery, "recovery-point-offset-checkpoint", "recovery point");
	plan_row(p, &p->place->marks, "replication-offset-checkpoint", "high watermark");
	plan_row(p, &p->place->cleaned, "cleaner-offset-checkpoint", "cleaner point");
}

static void
plan_all(struct plan *p, const struct log_files *files)
{
	add(p, DROP_MARKER, p->place == NULL ? NULL : path_join(p->place->path, ".kafka_cleanshutdown"),
	    "remove the clean marker: the next start recovers this directory");
	plan_cut(p);
	plan_indexes(p);
	plan_snapshots(p, files);
	plan_epochs(p);
	plan_rows(p);
	if (p->n == 1) {	/* nothing to do: the marker may stay */
		plan_fini(p);
		p->v = NULL;
		p->n = 0;
	}
}

static bool
cannot_be_mended(enum log_rule r)
{
	switch (r) {
	case LOG_RULE_MAX_TIMESTAMP:
	case LOG_RULE_ATTRIBUTES:
	case LOG_RULE_EPOCH_ORDER:
	case LOG_RULE_SEQUENCES:
	case LOG_RULE_PROPERTIES:
	case LOG_RULE_NAMES:
		return (true);
	default:
		return (false);
	}
}

static void
start_behind_end(const struct plan *p, struct log_repair_plan *out)
{
	const struct log_report *r = p->report;
	const struct checkpoint_entry *row = p->place == NULL || r->topic == NULL ? NULL : checkpoint_find(&p->place->starts, r->topic, r->partition);

	out->beyond_repair |= row != NULL && row->offset > r->end;	/* the next start empties the log: said, and left to it */
}

void
log_repair_plan(struct fs *fs, const char *dir, const struct log_place *place, const struct log_report *r, struct log_repair_plan *out)
{
	struct plan p = { .dir = dir, .place = place, .report = r };
	struct log_files files;

	*out = (struct log_repair_plan){ NULL, 0, false, false };
	if (log_files_list(fs, dir, &files, NULL) == OK)
		plan_all(&p, &files);
	log_files_fini(&files);
	out->steps = xcalloc((size_t)p.n + 1, sizeof(*out->steps));
	for (; out->n < p.n; out->n++)
		out->steps[out->n].words = xstrdup(p.v[out->n].words);
	out->below_high_watermark = r->cut_offset >= 0 && r->cut_offset < r->high_watermark;
	for (uint32_t i = 0; i < r->findings.n; i++)
		out->beyond_repair |= r->findings.v[i].violation && cannot_be_mended(r->findings.v[i].rule);
	start_behind_end(&p, out);
	plan_fini(&p);
}

void
log_repair_plan_fini(struct log_repair_plan *plan)
{
	for (uint32_t i = 0; i < plan->n; i++)
		free(plan->steps[i].words);
	free(plan->steps);
	*plan = (struct log_repair_plan){ NULL, 0, false, false };
}

/* ---- doing ---- */

static enum err
drop(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e = fs->ops->unlink(fs, path, &why);

	if (e != OK && e != ERR_NOENT)
		errbuf_set(eb, "%s", why.text);
	return (e == ERR_NOENT ? OK : e);
}

/* A name nobody has: what an earlier repair kept stays. */
static char *
free_name(struct fs *fs, char *path)
{
	char *plain = path;

	for (int i = 1; i < ASIDE_TRIES && fs_exists(fs, path); i++) {
		if (path != plain)
			free(path);
		path = xasprintf("%s.%d", plain, i);
	}
	if (path != plain)
		free(plain);
	return (path);
}

static char *
cut_name(struct fs *fs, const char *dir, int64_t base, uint64_t position)
{
	return (free_name(fs, xasprintf("%s/ottla-cut.%020" PRId64 ".log.%" PRIu64, dir, base, position)));
}

static enum err
copy_from(struct fs *fs, struct file *from, uint64_t pos, struct file *to, struct errbuf *eb)
{
	uint8_t *buf = xmalloc(COPY_BYTES);
	uint64_t at = pos;
	size_t got = 0;
	enum err e;

	while ((e = file_pread(from, buf, COPY_BYTES, at, &got, eb)) == OK && got > 0) {
		e = file_pwrite(to, buf, got, at - pos, eb);
		if (e != OK)
			break;
		at += got;
	}
	free(buf);
	return (e == OK ? fs->ops->sync(to, eb) : e);
}

static enum err
keep_tail(struct fs *fs, const struct plan *p, const struct action *a, struct errbuf *eb)
{
	char *to = cut_name(fs, p->dir, a->base, a->position);
	struct file *from = NULL, *f = NULL;
	enum err e = file_open(fs, a->path, FS_RDONLY, &from, eb);

	if (e == OK)
		e = file_open(fs, to, FS_RDWR | FS_CREATE | FS_EXCL, &f, eb);
	if (e == OK)
		e = copy_from(fs, from, a->position, f, eb);
	if (e == OK)
		e = fs->ops->sync_dir(fs, p->dir, eb);
	file_unref(&f);
	file_unref(&from);
	free(to);
	return (e);
}

static enum err
drop_segment(struct fs *fs, const struct plan *p, const struct action *a, struct errbuf *eb)
{
	static const char *const suffixes[] = { SUFFIX_INDEX, SUFFIX_TIME, SUFFIX_TXN };
	char *to = cut_name(fs, p->dir, a->base, 0), *path;
	enum err e = fs->ops->rename(fs, a->path, to, eb);

	if (e == OK)
		e = fs->ops->sync_dir(fs, p->dir, eb);
	for (size_t i = 0; i < NELEM(suffixes) && e == OK; i++) {
		path = segment_path(p->dir, a->base, suffixes[i]);
		e = drop(fs, path, eb);
		free(path);
	}
	free(to);
	return (e);
}

static enum err
cut_data(struct fs *fs, const struct action *a, struct errbuf *eb)
{
	struct file *f = NULL;
	enum err e = file_open(fs, a->path, FS_RDWR, &f, eb);

	if (e == OK)
		e = fs->ops->truncate(f, a->position, eb);
	if (e == OK)
		e = fs->ops->sync(f, eb);
	file_unref(&f);
	return (e);
}

static enum err
put_aside(struct fs *fs, const char *path, struct errbuf *eb)
{
	char *dir = xstrndup(path, (size_t)(base_name(path) - path)), *to = free_name(fs, xasprintf("%sottla-bad.%s", dir, base_name(path)));
	enum err e = fs->ops->rename(fs, path, to, eb);

	if (e == OK)
		e = fs_sync_parent(fs, path, eb);
	free(dir);
	free(to);
	return (e == ERR_NOENT ? OK : e);
}

static enum err
write_epochs(struct fs *fs, const struct plan *p, bool anew, struct errbuf *eb)
{
	const struct log_report *r = p->report;
	struct epoch_cache ec = EPOCH_CACHE_INIT;
	enum err e = OK;

	if (anew)
		for (uint32_t i = 0; i < r->epochs.n; i++)
			(void)epoch_cache_assign(&ec, r->epochs.entries[i].epoch, r->epochs.entries[i].start_offset);
	else
		e = epoch_cache_read(fs, p->dir, &ec, eb);
	if (e == OK) {
		(void)epoch_cache_truncate_from_end(&ec, r->end);
		(void)epoch_cache_truncate_from_start(&ec, r->start);
		e = epoch_cache_write(fs, p->dir, &ec, eb);
	}
	epoch_cache_fini(&ec);
	return (e);
}

static enum err
lower_row(struct fs *fs, const struct plan *p, const char *path, struct errbuf *eb)
{
	struct checkpoint cp = CHECKPOINT_INIT;
	enum err e = checkpoint_read(fs, path, &cp, eb);

	for (uint32_t i = 0; i < cp.n && e == OK; i++)
		if (strcmp(cp.entries[i].topic, p->report->topic) == 0 && cp.entries[i].partition == p->report->partition)
			cp.entries[i].offset = MIN(cp.entries[i].offset, p->report->end);
	if (e == OK)
		e = checkpoint_write(fs, path, &cp, eb);
	checkpoint_fini(&cp);
	return (e);
}

static enum err
drop_marker(struct fs *fs, const struct log_place *place, const char *path, struct errbuf *eb)
{
	enum err e;

	if (place == NULL || !fs_exists(fs, path))
		return (OK);
	e = drop(fs, path, eb);
	return (e == OK ? fs->ops->sync_dir(fs, place->path, eb) : e);
}

static enum err
carry_out(struct fs *fs, const struct plan *p, const struct action *a, struct errbuf *eb)
{
	switch (a->kind) {
	case DROP_MARKER:
		return (drop_marker(fs, p->place, a->path, eb));
	case KEEP_TAIL:
		return (keep_tail(fs, p, a, eb));
	case DROP_SEGMENT:
		return (drop_segment(fs, p, a, eb));
	case CUT_DATA:
		return (cut_data(fs, a, eb));
	case WRITE_FILE:
		if (a->content.len == 0 && name_has_suffix(a->path, SUFFIX_TXN))
			return (drop(fs, a->path, eb));
		return (fs_write_file_atomic(fs, a->path, a->content, eb));
	case DROP_FILE:
		return (drop(fs, a->path, eb));
	case PUT_ASIDE:
		return (put_aside(fs, a->path, eb));
	case WRITE_EPOCHS:
		return (write_epochs(fs, p, a->anew, eb));
	case LOWER_ROW:
		return (lower_row(fs, p, a->path, eb));
	}
	unreachable("an action of no kind");
}

enum err
log_repair(struct fs *fs, const char *dir, const struct log_place *place, const struct log_report *r, struct errbuf *eb)
{
	struct plan p = { .dir = dir, .place = place, .report = r };
	struct log_files files;
	enum err e = log_files_list(fs, dir, &files, eb);

	if (e == OK)
		plan_all(&p, &files);
	for (uint32_t i = 0; i < p.n && e == OK; i++) {
		e = carry_out(fs, &p, &p.v[i], eb);
		if (e != OK)
			errbuf_add(eb, "step %" PRIu32 " of %" PRIu32 " (%s)", i + 1, p.n, p.v[i].words);
	}
	if (e == OK && p.n > 0)
		e = fs->ops->sync_dir(fs, dir, eb);
	log_files_fini(&files);
	plan_fini(&p);
	return (e);
}

enum err
log_place_repair(struct fs *fs, const struct log_place *place, const struct log_findings *found, struct errbuf *eb)
{
	char *marker = path_join(place->path, ".kafka_cleanshutdown");
	enum err e = OK;

	for (uint32_t i = 0; i < found->n && e == OK; i++) {
		if (found->v[i].rule != LOG_RULE_CHECKPOINT)
			continue;
		e = drop_marker(fs, place, marker, eb);
		if (e == OK)
			e = put_aside(fs, found->v[i].path, eb);
	}
	free(marker);
	return (e);
}
