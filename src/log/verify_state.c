/* SPDX-License-Identifier: Apache-2.0
 *
 * log/verify_state.c - what follows from the batches of a whole log: producers (B8, S1, S2, X3) and leader epochs (B7, E1, E2, E3).
 *
 * The producers are replayed from the first batch on, or from the snapshot at the first segment's base when there is one.  A snapshot may know
 * less than the replay (a producer expired), and of a compacted log more (batches it saw are gone), so it is judged where both speak.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { SNAPSHOT_BYTES_MAX = 1 << 30, TXN_ROW = TXN_ENTRY };

static struct producer_state *
read_snapshot(struct walk *w, int64_t offset, char **path, struct errbuf *why)
{
	struct producer_state *ps = producer_state_new(INT64_MAX);
	char *text = NULL;
	size_t len = 0;
	enum err e;

	*path = segment_path(w->dir, offset, SUFFIX_SNAPSHOT);
	e = fs_read_file(w->fs, *path, SNAPSHOT_BYTES_MAX, &text, &len, why);
	if (e == OK)
		e = producer_state_decode(ps, (const uint8_t *)text, len, offset, 0, why);
	free(text);
	if (e != OK)
		producer_state_free(&ps);
	return (ps);
}

void
state_begin(struct walk *w)
{
	struct errbuf why = ERRBUF_INIT;
	int64_t first = w->files.n > 0 ? w->files.bases[0] : 0;
	char *path = NULL;

	w->producers = NULL;
	for (uint32_t i = 0; i < w->files.nsnapshots && first > 0; i++)
		if (w->files.snapshots[i] == first) {
			w->producers = read_snapshot(w, first, &path, &why);
			free(path);
		}
	w->whole_history = first == 0 || w->producers != NULL;
	if (w->producers == NULL)
		w->producers = producer_state_new(INT64_MAX);
}

/* ---- snapshots ---- */

struct comparison {
	struct walk *w;
	const struct producer_state *other;
	const char *path;
	int64_t first;			/* offset of the log's first batch */
};

static int64_t
last_offset_of(const struct producer_entry *e)
{
	return (e->nbatches == 0 ? -1 : e->batches[e->nbatches - 1].last_offset);
}

static int32_t
last_sequence_of(const struct producer_entry *e)
{
	return (e->nbatches == 0 ? -1 : e->batches[e->nbatches - 1].last_sequence);
}

static bool
same_entry(const struct walk *w, const struct producer_entry *a, const struct producer_entry *b)
{
	if (a->producer_epoch != b->producer_epoch || last_offset_of(a) != last_offset_of(b) || last_sequence_of(a) != last_sequence_of(b))
		return (false);
	return (!w->whole_history || w->gaps || a->txn_first_offset == b->txn_first_offset);
}

static void
compare_entry(void *ctx, const struct producer_entry *said)
{
	struct comparison *c = ctx;
	struct walk *w = c->w;
	const struct producer_entry *found = producer_state_find(w->producers, said->producer_id);

	if (found == NULL && last_offset_of(said) < c->first)
		return;
	if (found == NULL ? w->gaps : same_entry(w, said, found) || (w->gaps && last_offset_of(said) >= last_offset_of(found)))
		return;
	finding_add(&w->report->findings, LOG_RULE_SNAPSHOT_STATE, !w->rebuilt, c->path, last_offset_of(said), -1,
	    "producer %" PRId64 ": epoch %d, sequence %" PRId32 ", last offset %" PRId64 ", transaction %" PRId64
	    "; the batches say epoch %d, sequence %" PRId32 ", last offset %" PRId64 ", transaction %" PRId64,
	    said->producer_id, said->producer_epoch, last_sequence_of(said), last_offset_of(said), said->txn_first_offset, found == NULL ? -1 : found->producer_epoch,
	    found == NULL ? -1 : last_sequence_of(found), found == NULL ? -1 : last_offset_of(found), found == NULL ? -1 : found->txn_first_offset);
}

/* A transaction may be open for ever: its producer never expires. */
static void
look_for_open(void *ctx, const struct producer_entry *e)
{
	struct comparison *c = ctx;

	if (e->txn_first_offset >= 0 && producer_state_find(c->other, e->producer_id) == NULL)
		finding_add(&c->w->report->findings, LOG_RULE_SNAPSHOT_STATE, !c->w->rebuilt, c->path, e->txn_first_offset, -1,
		    "the transaction of producer %" PRId64 " that began at %" PRId64 " is missing", e->producer_id, e->txn_first_offset);
}

static void
compare_snapshot(struct walk *w, int64_t offset)
{
	struct comparison c = { .w = w, .first = w->files.n > 0 ? w->files.bases[0] : 0 };
	struct errbuf why = ERRBUF_INIT;
	char *path = NULL;
	struct producer_state *ps = read_snapshot(w, offset, &path, &why);

	c.other = ps;
	c.path = path;
	if (ps == NULL)
		finding_add(&w->report->findings, LOG_RULE_SNAPSHOT, !w->rebuilt, path, offset, -1, "%s", why.text);
	else if (!w->stopped && offset >= c.first) {
		producer_state_each(ps, compare_entry, &c);
		producer_state_each(w->producers, look_for_open, &c);
	}
	producer_state_free(&ps);
	free(path);
}

void
state_snapshots_to(struct walk *w, int64_t offset)
{
	for (; w->next_snapshot < w->files.nsnapshots && w->files.snapshots[w->next_snapshot] <= offset; w->next_snapshot++)
		compare_snapshot(w, w->files.snapshots[w->next_snapshot]);
}

/* ---- one batch ---- */

/* Sequences run in a circle of 2^31: half of it ahead is ahead. */
static bool
goes_back(int32_t sequence, int32_t last)
{
	uint32_t ahead = ((uint32_t)sequence - (uint32_t)batch_sequence_add(last, 1)) & INT32_MAX;

	return (ahead > INT32_MAX / 2);
}

static void
check_sequence(struct walk *w, const struct producer_batch_facts *f, uint64_t at)
{
	const struct producer_entry *e = f->producer_id < 0 ? NULL : producer_state_find(w->producers, f->producer_id);
	int32_t last = e == NULL ? -1 : last_sequence_of(e);

	if (e == NULL || (f->control && !f->marker))
		return;
	if (f->producer_epoch < e->producer_epoch)
		finding_add(&w->report->findings, LOG_RULE_SEQUENCES, true, w->path, f->base_offset, (int64_t)at,
		    "producer %" PRId64 ": epoch %d after epoch %d", f->producer_id, f->producer_epoch, e->producer_epoch);
	else if (!f->control && f->producer_epoch == e->producer_epoch && f->base_sequence >= 0 && last >= 0 && goes_back(f->base_sequence, last))
		finding_add(&w->report->findings, LOG_RULE_SEQUENCES, true, w->path, f->base_offset, (int64_t)at,
		    "producer %" PRId64 ", epoch %d: sequence %" PRId32 " after %" PRId32, f->producer_id, f->producer_epoch, f->base_sequence, last);
}

static void
note_txn(struct walk *w, const struct completed_txn *t)
{
	uint8_t row[TXN_ROW];

	be16enc(row, 0);
	be64enc(row + 2, (uint64_t)t->producer_id);
	be64enc(row + 10, (uint64_t)t->first_offset);
	be64enc(row + 18, (uint64_t)t->last_offset);
	be64enc(row + 26, (uint64_t)producer_state_last_stable_after(w->producers, t));
	bytes_add(&w->txns.anew, row, sizeof(row));
}

static void
take_epoch(struct walk *w, const struct batch_header *h, uint64_t at)
{
	struct epoch_run *r = w->nruns > 0 ? &w->runs[w->nruns - 1] : NULL;

	if (h->magic < 2 || h->leader_epoch == BATCH_NO_EPOCH)
		return;
	if (h->leader_epoch < 0) {
		finding_add(&w->report->findings, LOG_RULE_EPOCH_ORDER, true, w->path, h->base_offset, (int64_t)at, "leader epoch %" PRId32, h->leader_epoch);
		return;
	}
	if (r != NULL && h->leader_epoch == r->epoch) {
		r->last = h->last_offset;
		return;
	}
	if (r != NULL && h->leader_epoch < r->epoch)
		finding_add(&w->report->findings, LOG_RULE_EPOCH_ORDER, true, w->path, h->base_offset, (int64_t)at,
		    "leader epoch %" PRId32 " after %" PRId32, h->leader_epoch, r->epoch);
	else
		(void)epoch_cache_assign(&w->report->epochs, h->leader_epoch, h->base_offset);
	if (w->nruns == w->runs_room) {
		w->runs_room = w->runs_room == 0 ? 8 : w->runs_room * 2;
		w->runs = xreallocarray(w->runs, w->runs_room, sizeof(*w->runs));
	}
	w->runs[w->nruns++] = (struct epoch_run){ h->leader_epoch, h->base_offset, h->last_offset };
	w->report->latest_epoch = MAX(w->report->latest_epoch, h->leader_epoch);
}

void
state_batch(struct walk *w, const struct batch_header *h, struct slice whole, uint64_t at)
{
	struct producer_batch_facts f;
	struct completed_txn done;
	bool ended;

	state_snapshots_to(w, h->magic == 2 ? h->base_offset : h->last_offset);
	take_epoch(w, h, at);
	if (producer_facts(h, whole, &f, NULL) != OK)
		f.control = true, f.marker = false;	/* a control record nobody can read ends no transaction */
	check_sequence(w, &f, at);
	ended = producer_state_apply(w->producers, &f, &done);
	if (ended && done.aborted)
		note_txn(w, &done);
	if (f.marker)
		indexes_marker(w, h, &f, ended ? &done : NULL);
	if (ended)
		producer_state_complete(w->producers, &done);
	producer_state_set_end(w->producers, h->last_offset + 1);
}

/* ---- the epoch file, at the end ---- */

static void
check_runs(struct walk *w, const struct epoch_cache *file, const char *path)
{
	int64_t start = MAX(w->start, w->files.n > 0 ? w->files.bases[0] : 0);
	bool clean = w->place != NULL && w->place->clean;

	for (uint32_t i = 0; i < w->nruns; i++) {
		const struct epoch_run *r = &w->runs[i];
		int64_t first = MAX(r->first, start), at;
		int32_t said;

		if (r->last < start)
			continue;
		at = epoch_cache_of_offset(file, first) == r->epoch ? r->last : first;
		said = epoch_cache_of_offset(file, at);
		/* Without a clean end the file may know a later start than the checkpoint. */
		if (said == r->epoch || (said < 0 && file->n > 0 && !clean && file->entries[0].epoch >= r->epoch))
			continue;
		finding_add(&w->report->findings, LOG_RULE_EPOCH_ROWS, true, path, at, -1,
		    "offset %" PRId64 " was written in leader epoch %" PRId32 ", the file says %" PRId32, at, r->epoch, said);
	}
}

void
state_end(struct walk *w)
{
	struct epoch_cache file = EPOCH_CACHE_INIT;
	struct errbuf why = ERRBUF_INIT;
	char *path = path_join(w->dir, "leader-epoch-checkpoint");
	enum err e = epoch_cache_read(w->fs, w->dir, &file, &why);
	bool clean = w->place != NULL && w->place->clean;

	if (e != OK)
		finding_add(&w->report->findings, LOG_RULE_EPOCH_FILE, true, path, -1, -1, "%s", why.text);
	else {
		check_runs(w, &file, path);	/* of the batches before the bad one, too: a repair that cuts there leaves these rows */
		for (uint32_t i = 0; i < file.n && !w->stopped; i++)
			if (file.entries[i].start_offset > w->next && !walk_is_live(w))
				finding_add(&w->report->findings, LOG_RULE_EPOCH_END, clean, path, file.entries[i].start_offset, -1,
				    "epoch %" PRId32 " begins at %" PRId64 ", the log ends at %" PRId64, file.entries[i].epoch, file.entries[i].start_offset, w->next);
	}
	epoch_cache_fini(&file);
	free(path);
}
