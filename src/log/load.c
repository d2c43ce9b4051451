/* SPDX-License-Identifier: Apache-2.0
 *
 * log/load.c - opening the log that stands in a directory, after a clean end or a crash; Kafka's LogLoader.
 *
 *   0. in a directory that was made a moment ago, or is not made yet (bare): there is nothing to be looked for, and the first segment gets its files with all else that
 *      a new log needs (establish.c)
 *   1. leftovers: .deleted and .cleaned files go; .swap files from the lowest .cleaned base on go (their compaction was not committed); the others
 *      are a committed compaction: the segments they replace go, then they get their names
 *   2. every <base>.log is a segment; index files without one go
 *   3. oldest first are recovered: a segment without offset index or with a bad transaction index;
 *	without the clean marker every one from the recovery point on, and below it one whose indexes were never trimmed (Kafka would believe
 *	the zeros).  Where one is cut, all later ones go.  In this order, because the producers' state at one's base is made of those before it
 *   4. end offset = behind the last batch; below the checkpointed start: nothing is left of this log, it begins empty at the start
 *   5. epochs cut to [start, end], read from the batches where their file is unreadable or a recovered batch contradicts it (Kafka believes the
 *	file, and a follower would be told a wrong place to truncate to); producers from snapshots and batches
 *
 * INVARIANTS
 *   (1) What a reader is shown afterwards is the longest prefix of whole, valid batches, and in what was not flushed without a hole.  Nothing above it
 *	 keeps its name: a cut, and the removal of segments behind it, are on the disk before anything is written after it; else the bytes of
 *	 a former life would come back behind the new ones at the next loss of power.
 *   (2) A segment below the recovery point has lost its offset index on the disk before anything of it is changed, and gets it back when all the rest is on
 *	 the disk: a crash during recovery makes the next start repeat it, and a Java broker does not believe what was half rewritten.  The point
 *	 stays: it tells the next start, too, that what stands behind a cut, or an old hole, had been flushed.  It is lowered (lower_point), and the
 *	 segment flushed later, where it lies inside the segment.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/checkpoint.h"
#include "log/log_int.h"
#include "log/names_int.h"

struct names {
	char	**names;
	uint32_t  n, room;
};

struct load {
	struct log	      *log;
	const struct log_load *in;
	int64_t		       recovery_point;	/* as on the disk: lowered there before anything below it is changed */
	struct fs	      *fs;
	struct segment_options so;
	struct segment	     **segs;	/* by base */
	bool		      *broken;	/* of each: only its data is open, it must be recovered */
	uint32_t	       n;
	int64_t		       end;
	struct epochs_met     *met;
};

/* What the batches that were recovered say of leader epochs. */
struct epochs_met {
	int32_t highest;	/* -1: none yet */
	bool	contradict;	/* the file: it gives one of them another epoch */
};

/* ---- the files of the directory ---- */

static bool
add_name(void *ctx, const char *name, bool is_dir)
{
	struct names *ns = ctx;

	if (is_dir)
		return (true);
	if (ns->n == ns->room) {
		ns->room = ns->room == 0 ? 32 : ns->room * 2;
		ns->names = xreallocarray(ns->names, ns->room, sizeof(*ns->names));
	}
	ns->names[ns->n++] = xstrdup(name);
	return (true);
}

static int
name_cmp(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

static void
names_fini(struct names *ns)
{
	for (uint32_t i = 0; i < ns->n; i++)
		free(ns->names[i]);
	free(ns->names);
	*ns = (struct names){ NULL, 0, 0 };
}

static enum err
names_read(struct load *ld, struct names *ns, struct errbuf *eb)
{
	enum err e;

	*ns = (struct names){ NULL, 0, 0 };
	e = ld->fs->ops->list(ld->fs, ld->log->path, add_name, ns, eb);
	if (e == OK && ns->n > 0)
		qsort(ns->names, ns->n, sizeof(*ns->names), name_cmp);
	return (e);
}

static bool
names_has(const struct names *ns, const char *name)
{
	return (ns->n > 0 && bsearch(&name, ns->names, ns->n, sizeof(name), name_cmp) != NULL);
}

static enum err
remove_file(struct load *ld, const char *name, struct errbuf *eb)
{
	char *path = path_join(ld->log->path, name);
	enum err e = ld->fs->ops->unlink(ld->fs, path, eb);

	diag_info(ld->log->env->diag, "log", "%s: removed while loading", path);
	free(path);
	return (e == ERR_NOENT ? OK : e);
}

/* ---- 1. leftovers ---- */

static int64_t
lowest_cleaned(const struct names *ns)
{
	int64_t lowest = INT64_MAX, base;

	for (uint32_t i = 0; i < ns->n; i++)
		if (name_has_suffix(ns->names[i], SUFFIX_CLEANED) && name_leading_offset(ns->names[i], &base))
			lowest = MIN(lowest, base);
	return (lowest);
}

static bool
is_leftover(const char *name, int64_t lowest)
{
	int64_t base;

	if (name_has_suffix(name, SUFFIX_DELETED) || name_has_suffix(name, SUFFIX_CLEANED))
		return (true);
	if (name_has_suffix(name, SUFFIX_TMP))	/* a checkpoint, partition.metadata or index that was being replaced */
		return (true);
	return (name_has_suffix(name, SUFFIX_SWAP) && name_leading_offset(name, &base) && base >= lowest);
}

static enum err
remove_leftovers(struct load *ld, const struct names *ns, struct errbuf *eb)
{
	int64_t lowest = lowest_cleaned(ns);
	enum err e = OK;

	for (uint32_t i = 0; i < ns->n && e == OK; i++)
		if (is_leftover(ns->names[i], lowest))
			e = remove_file(ld, ns->names[i], eb);
	return (e);
}

/* [from, to) of what a committed compaction replaces. */
static enum err
swap_range(struct load *ld, const struct names *ns, int64_t *from, int64_t *to, struct errbuf *eb)
{
	struct batch_header h;
	struct batch_scan sc;
	int64_t base, next;
	uint64_t at, size = 0;
	enum err e = OK;

	*from = INT64_MAX;
	*to = -1;
	for (uint32_t i = 0; i < ns->n && e == OK; i++) {
		struct file *f = NULL;
		char *path;

		if (!name_parse_offset(ns->names[i], SUFFIX_DATA SUFFIX_SWAP, &base))
			continue;
		path = path_join(ld->log->path, ns->names[i]);
		e = file_open(ld->fs, path, FS_RDONLY, &f, eb);
		if (e == OK)
			e = file_size(f, &size, eb);
		next = base;
		if (e == OK) {
			batch_scan_init(&sc, f, 0, size, NULL, 65536);
			while (batch_scan_header(&sc, &h, &at, NULL) == OK)
				next = batch_next_offset(&h);
			batch_scan_fini(&sc);
		}
		*from = MIN(*from, base);
		*to = MAX(*to, next);
		file_unref(&f);
		free(path);
	}
	return (e);
}

static enum err
finish_swap(struct load *ld, const char *name, struct errbuf *eb)
{
	char *from = path_join(ld->log->path, name), *to = xstrndup(from, strlen(from) - strlen(SUFFIX_SWAP));
	enum err e = ld->fs->ops->rename(ld->fs, from, to, eb);

	diag_info(ld->log->env->diag, "log", "%s: completed an interrupted compaction", to);
	free(from);
	free(to);
	return (e);
}

static enum err
complete_swaps(struct load *ld, const struct names *ns, struct errbuf *eb)
{
	int64_t from, to, base;
	enum err e = swap_range(ld, ns, &from, &to, eb);

	for (uint32_t i = 0; i < ns->n && e == OK; i++)
		if (!name_has_suffix(ns->names[i], SUFFIX_SWAP) && name_leading_offset(ns->names[i], &base) && base >= from && base < to)
			e = remove_file(ld, ns->names[i], eb);
	for (uint32_t i = 0; i < ns->n && e == OK; i++)
		if (name_has_suffix(ns->names[i], SUFFIX_SWAP))
			e = finish_swap(ld, ns->names[i], eb);
	return (e);
}

static enum err
clean_up(struct load *ld, struct errbuf *eb)
{
	struct names ns;
	enum err e = names_read(ld, &ns, eb);

	if (e == OK)
		e = remove_leftovers(ld, &ns, eb);
	names_fini(&ns);
	if (e == OK)
		e = names_read(ld, &ns, eb);
	if (e == OK)
		e = complete_swaps(ld, &ns, eb);
	names_fini(&ns);
	return (e);
}

/* ---- recovering one segment ---- */

/* Where epochs fall from one batch to the next no file agrees with all of them: the lower ones say nothing. */
static void
recovered_epoch(struct load *ld, const struct batch_header *h)
{
	struct log *log = ld->log;

	if (h->leader_epoch > epoch_cache_latest(&log->epochs))
		log->epochs_version += epoch_cache_assign(&log->epochs, h->leader_epoch, h->base_offset);
	if (h->leader_epoch < MAX(0, ld->met->highest))
		return;
	ld->met->highest = h->leader_epoch;
	if (epoch_cache_of_offset(&log->epochs, h->base_offset) != h->leader_epoch)
		ld->met->contradict = true;
}

static enum err
recovered_batch(void *ctx, struct segment *s, const struct batch_header *h, struct slice whole, struct errbuf *eb)
{
	struct load *ld = ctx;

	if (h->magic < 2)
		return (OK);
	recovered_epoch(ld, h);
	return (producer_replay(ld->log->producers, h, whole, &s->txns, eb));
}

static enum err
lower_point(struct load *ld, int64_t to, struct errbuf *eb)
{
	enum err e;

	if (to >= ld->recovery_point)
		return (OK);
	e = log_dirs_lower_recovery_point(ld->log, to, eb);
	if (e == OK)
		ld->recovery_point = to;
	return (e);
}

/* The segments before it are in ld->segs: the producers' state at its base comes from them. */
static enum err
recover_segment(struct load *ld, struct segment *s, int64_t limit, uint64_t *cut, int64_t *next, struct errbuf *eb)
{
	bool below = limit < LOG_OFFSET_MAX && limit <= ld->recovery_point;
	struct segment_recovery r = { .batch = recovered_batch, .ctx = ld, .limit = limit, .durable = below, .why = ERRBUF_INIT };
	enum err e = below ? OK : lower_point(ld, s->base, eb);

	if (e == OK && (producer_state_end(ld->log->producers) != s->base || ld->n == 0))
		e = log_rebuild_producers(ld->log, ld->segs, ld->n, ld->in->start_offset, s->base, false, eb);
	if (e == OK)
		e = segment_recover(s, &r, eb);
	if (e == OK)	/* at the base of the next segment, if that was not flushed, the flush that takes the recovery point there syncs it; a half one is known by its checksum */
		e = log_snapshot(ld->log, below || r.next_offset != limit, eb);
	*cut = r.cut;
	*next = r.next_offset;
	if (e == OK && r.cut > 0)
		diag_warning(ld->log->env->diag, "log", "%s/%020" PRId64 ".log: position %" PRIu32 ", where offset %" PRId64 " was expected: %s; the last %" PRIu64
		    " bytes are cut off.  What was acknowledged from there on must come from another replica", ld->log->path, s->base, (uint32_t)s->size, r.next_offset,
		    r.why.text, r.cut);
	return (e);
}

/* ---- 2. opening ---- */

static void
add_segment(struct load *ld, struct segment *s, bool broken)
{
	ld->segs = xreallocarray(ld->segs, ld->n + 1, sizeof(*ld->segs));
	ld->broken = xreallocarray(ld->broken, ld->n + 1, sizeof(*ld->broken));
	ld->broken[ld->n] = broken;
	ld->segs[ld->n++] = s;
}

static enum err
open_segment(struct load *ld, int64_t base, struct errbuf *eb)
{
	struct segment *s = NULL;
	struct errbuf why = ERRBUF_INIT;
	enum err e = segment_open(ld->log->path, base, &ld->so, &s, &why);
	bool broken = e == ERR_NOENT || e == ERR_CORRUPT;

	if (broken) {
		if (ld->in->clean || base < ld->recovery_point)
			diag_warning(ld->log->env->diag, "log", "%s: segment %" PRId64 " gets new indexes: %s", ld->log->path, base, why.text);
		e = segment_open_data(ld->log->path, base, &ld->so, &s, eb);
	} else if (e != OK)
		errbuf_set(eb, "%s", why.text);
	if (e == OK)
		add_segment(ld, s, broken);
	else
		segment_unref(&s);
	return (e);
}

static enum err
open_or_drop(struct load *ld, const struct names *ns, const char *name, struct errbuf *eb)
{
	static const char *const suffixes[] = { SUFFIX_INDEX, SUFFIX_TIME, SUFFIX_TXN };
	int64_t base;
	char *data;
	enum err e = OK;

	if (name_parse_offset(name, SUFFIX_DATA, &base))
		return (open_segment(ld, base, eb));
	for (size_t i = 0; i < NELEM(suffixes) && e == OK; i++) {
		if (!name_parse_offset(name, suffixes[i], &base))
			continue;
		data = xasprintf("%020" PRId64 "%s", base, SUFFIX_DATA);
		if (!names_has(ns, data))
			e = remove_file(ld, name, eb);
		free(data);
	}
	if (name_parse_offset(name, SUFFIX_SNAPSHOT, &base))
		snapshots_add(ld->log, base);
	return (e);
}

static enum err
open_all(struct load *ld, struct errbuf *eb)
{
	struct names ns;
	enum err e = names_read(ld, &ns, eb);

	for (uint32_t i = 0; i < ns.n && e == OK; i++)
		e = open_or_drop(ld, &ns, ns.names[i], eb);
	names_fini(&ns);
	return (e);
}

/* ---- 3. recovery ---- */

static enum err
drop_segments(struct load *ld, uint32_t from, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = from; i < ld->n; i++) {
		if (e == OK)
			e = segment_unlink(ld->segs[i], "", eb);
		if (e == OK)
			e = snapshots_remove(ld->log, ld->segs[i]->base, false, eb);
		segment_unref(&ld->segs[i]);
	}
	ld->n = from;
	if (e == OK)
		e = ld->fs->ops->sync_dir(ld->fs, ld->log->path, eb);
	return (e);
}

/* Behind segment i there is a hole, and it is none of a compaction, or of a leader that had one: not in what was flushed, and where the recovery points
 * are not known it may have been.  (A kill alone leaves no hole: then it is an old one of a follower that had not been flushed.  It gets them again.) */
static bool
is_loss(const struct load *ld, uint32_t i, int64_t next)
{
	const struct log_load *in = ld->in;
	int64_t above = i + 1 < ld->n ? ld->segs[i + 1]->base : -1;

	return (above > MAX(next, in->start_offset) && above > in->recovery_point && !in->clean && !in->points_lost && !ld->log->options.cleanup_compact);
}

static enum err
recover_at(struct load *ld, uint32_t i, bool *cut_short, struct errbuf *eb)
{
	struct load before = *ld;
	uint64_t cut = 0;
	int64_t next = 0;
	enum err e;

	before.n = i;
	e = recover_segment(&before, ld->segs[i], i + 1 < ld->n ? ld->segs[i + 1]->base : LOG_OFFSET_MAX, &cut, &next, eb);
	ld->recovery_point = before.recovery_point;
	ld->broken[i] = false;
	*cut_short = cut > 0;
	if (e == OK && cut == 0 && is_loss(ld, i, next)) {
		diag_warning(ld->log->env->diag, "log", "%s: segment %" PRId64 " ends at %" PRId64 ", the next one begins at %" PRId64 ": what was between is lost",
		    ld->log->path, ld->segs[i]->base, next, ld->segs[i + 1]->base);
		*cut_short = true;
	}
	return (e);
}

/* A crash in the middle of a roll, after a flush of everything, leaves one below the recovery point that is not sealed yet. */
static bool
must_recover(const struct load *ld, uint32_t i, uint32_t first)
{
	return (ld->broken[i] || (!ld->in->clean && (i >= first || !segment_is_sealed(ld->segs[i]))));
}

/* Segment i lost its end.  What is behind it goes only where it had not been flushed: elsewhere the cut is the damage of one segment, read because
 * its index was gone, say, and no reason to lose good ones.  Readers step over the hole, as in a log of Java's. */
static enum err
after_cut(struct load *ld, uint32_t i, bool unflushed, struct errbuf *eb)
{
	if (unflushed) {
		diag_warning(ld->log->env->diag, "log", "%s: %" PRIu32 " segments behind the cut are removed", ld->log->path, ld->n - i - 1);
		return (drop_segments(ld, i + 1, eb));
	}
	diag_error(ld->log->env->diag, "log", "%s: segment %" PRId64 " is damaged and was cut, although it had been flushed, as far as is known; the %" PRIu32
	    " segments behind it are kept, and there is a hole before them", ld->log->path, ld->segs[i]->base, ld->n - i - 1);
	return (OK);
}

static enum err
recover_unflushed(struct load *ld, struct errbuf *eb)
{
	uint32_t first = 0;
	bool cut = false;
	enum err e = OK;

	while (first + 1 < ld->n && ld->segs[first + 1]->base <= ld->recovery_point)
		first++;
	for (uint32_t i = 0; i < ld->n && e == OK; i++) {
		bool needed, unknown = ld->broken[i] && ld->in->points_lost;	/* unknown: whether it had been flushed: read only for its index, as Java reads it first */

		needed = must_recover(ld, i, first);
		e = segment_check_disk(ld->segs[i], eb);
		if (!needed || e != OK)
			continue;
		if (i < first && !ld->broken[i])
			diag_warning(ld->log->env->diag, "log", "%s: segment %" PRId64 " was never closed well, although it lies below the recovery point; it is recovered",
			    ld->log->path, ld->segs[i]->base);
		e = recover_at(ld, i, &cut, eb);
		if (e == OK && cut && i + 1 < ld->n && ld->segs[i + 1]->base > ld->in->start_offset)
			e = after_cut(ld, i, !ld->in->clean && i >= first && !unknown, eb);
	}
	return (e);
}

/* ---- 4. the end ---- */

static enum err
find_end(struct load *ld, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	bool cut;
	enum err e;

	if (ld->n == 0)
		return (OK);
	e = segment_next_offset(ld->segs[ld->n - 1], &ld->end, &why);
	if (e == ERR_CORRUPT) {		/* a clean marker does not make damage good */
		diag_warning(ld->log->env->diag, "log", "%s; the segment is recovered", why.text);
		e = recover_at(ld, ld->n - 1, &cut, eb);
		if (e == OK)
			e = segment_next_offset(ld->segs[ld->n - 1], &ld->end, eb);
	} else if (e != OK)
		errbuf_set(eb, "%s", why.text);
	if (e != OK || ld->end >= ld->in->start_offset)
		return (e);
	diag_warning(ld->log->env->diag, "log", "%s: ends at %" PRId64 ", below its start %" PRId64 ": nothing is left", ld->log->path, ld->end,
	    ld->in->start_offset);
	epoch_cache_clear(&ld->log->epochs);
	ld->log->epochs_version++;
	return (drop_segments(ld, 0, eb));
}

static enum err
ensure_active(struct load *ld, struct errbuf *eb)
{
	struct segment *s = NULL;
	enum err e;

	if (ld->n > 0)
		return (segment_activate(ld->segs[ld->n - 1], eb));
	e = segment_create(ld->log->path, ld->in->start_offset, &ld->so, &s, eb);
	if (e == OK) {
		add_segment(ld, s, false);
		ld->end = s->base;
	}
	return (e);
}

static void
set_offsets(struct load *ld)
{
	struct log *log = ld->log;
	int64_t start = MAX(ld->in->start_offset, ld->segs[0]->base);

	log->removals = !ld->in->clean;		/* names that went before a kill may be gone in the page cache only */
	log->stored_start = start;
	log->start = start;
	log->high_watermark = start;
	log->recovery_point = MIN(ld->recovery_point, ld->end);
	log->recovery_point = MAX((int64_t)log->recovery_point, MIN(start, ld->end));
	log->epochs_version += epoch_cache_truncate_from_end(&log->epochs, ld->end);
	log->epochs_version += epoch_cache_truncate_from_start(&log->epochs, start);
}

/* ---- 5. epochs, producers ---- */

/* Batch headers tell what the file should have said. */
static enum err
scan_epochs(struct load *ld, struct errbuf *eb)
{
	struct batch_header h;
	struct batch_scan sc;
	uint64_t at;

	(void)eb;
	epoch_cache_clear(&ld->log->epochs);
	for (uint32_t i = 0; i < ld->n; i++) {
		batch_scan_init(&sc, ld->segs[i]->data, 0, ld->segs[i]->size, NULL, 65536);
		while (batch_scan_header(&sc, &h, &at, NULL) == OK)
			if (h.magic >= 2 && h.leader_epoch > epoch_cache_latest(&ld->log->epochs))
				(void)epoch_cache_assign(&ld->log->epochs, h.leader_epoch, h.base_offset);
		batch_scan_fini(&sc);
	}
	ld->log->epochs_version++;
	return (OK);
}

static enum err
read_metadata(struct load *ld, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e = partition_metadata_read(ld->fs, ld->log->path, &ld->log->topic_id, &why);

	if (e == OK || e == ERR_NOENT)
		return (OK);
	errbuf_set(eb, "%s", why.text);
	if (e != ERR_CORRUPT)
		return (e);
	diag_warning(ld->log->env->diag, "log", "%s; it is written again when the topic id is known", why.text);
	return (OK);
}

/* Snapshots at segment bases stay, and the newest of the others if it lies above all bases. */
static enum err
drop_stray_snapshots(struct load *ld, struct errbuf *eb)
{
	int64_t newest = ld->log->nsnapshots > 0 ? ld->log->snapshots[ld->log->nsnapshots - 1] : -1;
	enum err e = OK;

	for (uint32_t i = ld->log->nsnapshots; i-- > 0 && e == OK;) {
		int64_t at = ld->log->snapshots[i];
		bool base = false;

		for (uint32_t k = 0; k < ld->n; k++)
			base |= ld->segs[k]->base == at;
		if (!base && (at != newest || at < ld->segs[ld->n - 1]->base))
			e = snapshots_remove(ld->log, at, false, eb);
	}
	return (e);
}

static enum err
load_state(struct load *ld, bool epochs_lost, struct errbuf *eb)
{
	struct log *log = ld->log;
	enum err e = OK;

	if (ld->met->contradict && !epochs_lost)
		diag_warning(log->env->diag, "log", "%s/leader-epoch-checkpoint contradicts the batches; the epochs are read from them", log->path);
	if (epochs_lost || ld->met->contradict)
		e = scan_epochs(ld, eb);
	set_offsets(ld);
	if (e == OK)
		e = drop_stray_snapshots(ld, eb);
	if (e == OK)
		e = log_rebuild_producers(log, ld->segs, ld->n, log->start, ld->end, ld->in->clean, eb);
	/* After a kill, names that are gone may be gone in the page cache only: the epoch file must not forget their batches before the disk does. */
	if (e == OK && !ld->in->clean && log->epochs_stored < log->epochs_version)
		e = log_sync_removals(log, eb);
	if (e == OK)
		e = log_store_epochs(log, eb);
	return (e);
}

static enum err
load_bare(struct load *ld, struct errbuf *eb)
{
	ld->end = ld->in->start_offset;
	add_segment(ld, segment_plan(ld->log->path, ld->end, &ld->so), false);
	return (load_state(ld, false, eb));
}

static enum err
load_steps(struct load *ld, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	bool epochs_lost = false;
	enum err e = epoch_cache_read(ld->fs, ld->log->path, &ld->log->epochs, &why);

	if (e == ERR_CORRUPT || e == ERR_LIMIT) {
		diag_warning(ld->log->env->diag, "log", "%s; the epochs are read from the batches", why.text);
		epochs_lost = true;
		e = OK;
	}
	if (e != OK) {
		errbuf_set(eb, "%s", why.text);
		return (e);
	}
	if ((e = read_metadata(ld, eb)) != OK || (e = clean_up(ld, eb)) != OK || (e = open_all(ld, eb)) != OK)
		return (e);
	if ((e = recover_unflushed(ld, eb)) != OK || (e = find_end(ld, eb)) != OK || (e = ensure_active(ld, eb)) != OK)
		return (e);
	return (load_state(ld, epochs_lost, eb));
}

enum err
log_load(struct log *log, const struct log_load *in, struct errbuf *eb)
{
	struct epochs_met met = { -1, false };
	struct log_load bounded = *in;
	struct load ld = { .log = log, .in = &bounded, .recovery_point = in->clean ? INT64_MAX : in->recovery_point, .fs = log->env->fs, .met = &met };
	enum err e;

	bounded.start_offset = MIN(bounded.start_offset, LOG_OFFSET_MAX);	/* a checkpoint may say any number */
	log_segment_options(log, &ld.so);
	producer_state_set_end(log->producers, -1);
	e = in->bare ? load_bare(&ld, eb) : load_steps(&ld, eb);
	if (e == OK) {
		struct segment *active = ld.segs[ld.n - 1];

		log_publish_segments(log, ld.segs, ld.n);
		log_publish_tail(log, (struct tail){ ld.end, active->base, active->size });
	}
	for (uint32_t i = 0; i < ld.n; i++)
		segment_unref(&ld.segs[i]);
	free(ld.segs);
	free(ld.broken);
	return (e);
}
