/* SPDX-License-Identifier: Apache-2.0
 *
 * log/producers.c - building the producer map of a log from its snapshots and its batches.
 *
 * The newest readable snapshot at or below the end is taken and the batches from there on are replayed.  On the way snapshots are written at
 * the last two segment bases and at the end, so that the next start replays little.  When a clean log has no snapshot at all (a version of
 * Kafka that had none), empty ones are written instead of a replay, as Kafka does.
 *
 * RECALL  A snapshot has only the last batch of each producer.  A producer that had five on the way when the broker died sends all of them again, and
 *	those before the last would be out of order: Java's producer then takes another epoch, and what was written already is written twice.
 *	So the batches just before the snapshot are read: a little of a log that was written to within RECALL_MS (no client retries longer by default),
 *	and more, step by step, while there is a producer with a record of that time of whom not all is known.  (A record's time is the client's and
 *	may be anything: hence the little.)  Kafka does not do this.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/log_int.h"
#include "log/names_int.h"

enum { SNAPSHOT_BYTES_MAX = 1 << 30, REPLAY_WINDOW = 1 << 18, RECALL_MS = 3600 * 1000 };
static const uint64_t recall_bytes[] = { 1 << 17, 1 << 20, 1 << 23 };	/* before the snapshot */

static enum err
load_one(struct log *log, struct producer_state *ps, int64_t offset, struct errbuf *eb)
{
	char *path = segment_path(log->path, offset, SUFFIX_SNAPSHOT), *bytes = NULL;
	size_t len = 0;
	enum err e = fs_read_file(log->env->fs, path, SNAPSHOT_BYTES_MAX, &bytes, &len, eb);

	if (e == OK)
		e = producer_state_decode(ps, (const uint8_t *)bytes, len, offset, clock_wall_ms(log->env->clock), eb);
	if (e != OK)
		errbuf_add(eb, "%s", path);
	free(bytes);
	free(path);
	return (e);
}

static enum err
load_newest(struct log *log, struct producer_state *ps, int64_t start, struct errbuf *eb)
{
	while (log->nsnapshots > 0) {
		int64_t offset = log->snapshots[log->nsnapshots - 1];
		struct errbuf why = ERRBUF_INIT;
		enum err e = load_one(log, ps, offset, &why);

		if (e == OK)
			return (OK);
		if (e != ERR_CORRUPT && e != ERR_NOENT && e != ERR_LIMIT) {
			errbuf_set(eb, "%s", why.text);
			return (e);
		}
		diag_warning(log->env->diag, "log", "%s; it is removed, an older one or the batches will do", why.text);
		e = snapshots_remove(log, offset, false, eb);
		if (e != OK)
			return (e);
	}
	producer_state_set_end(ps, start);
	return (OK);
}

/* ---- what the snapshot leaves out ---- */

/* Batches of a segment from the first one at or behind `from` (a position) on, below the offset `end`. */
static enum err
recall_segment(struct producer_state *history, struct segment *s, uint64_t from, int64_t start, int64_t end)
{
	struct errbuf why = ERRBUF_INIT;
	struct index_entry ie = { .position = 0 };
	struct completed_txn done;
	struct batch_header h;
	struct batch_scan sc;
	struct slice whole;
	uint64_t at;
	enum err e;

	if (from > 0 && (!offset_index_at_position(&s->offsets, from, &ie) || ie.position < from))
		return (OK);		/* nothing is indexed there (the segment's last few batches), or wrongly: no place to begin */
	batch_scan_init(&sc, s->data, from == 0 ? 0 : ie.position, s->size, NULL, REPLAY_WINDOW);
	while ((e = batch_scan_whole(&sc, &h, &whole, &at, &why)) == OK && h.last_offset < end) {
		struct producer_batch_facts f;

		if (h.last_offset >= start && batch_has_producer(&h) && producer_facts(&h, whole, &f, NULL) == OK &&
		    producer_state_apply(history, &f, &done))
			producer_state_complete(history, &done);
	}
	batch_scan_fini(&sc);
	return (e == ERR_IO ? e : OK);	/* an index that leads astray: then there is no history */
}

/* The batches in the `bytes` before the offset `end`; *whole: back to the start of the log. */
static enum err
recall_bytes_before(struct producer_state *history, struct segment *const *segs, uint32_t n, int64_t start, int64_t end, uint64_t bytes, bool *whole)
{
	struct segment_hit hit;
	uint64_t position;
	uint32_t first;
	enum err e;

	while (n > 0 && segs[n - 1]->base >= end)
		n--;
	*whole = n == 0;
	if (n == 0)
		return (OK);
	e = segment_find(segs[n - 1], end, segs[n - 1]->size, &hit, NULL);
	if (e != OK && e != ERR_NOTFOUND)
		return (e == ERR_IO ? e : OK);
	position = e == OK ? hit.position : segs[n - 1]->size;
	for (first = n - 1; first > 0 && position < bytes && segs[first]->base > start; first--) {
		bytes -= position;
		position = segs[first - 1]->size;
	}
	*whole = position <= bytes;
	e = OK;
	for (uint32_t i = first; i < n && e == OK; i++)
		e = recall_segment(history, segs[i], i == first && position > bytes ? position - bytes : 0, start, end);
	return (e);
}

static enum err
recall(struct log *log, struct producer_state *ps, struct segment *const *segs, uint32_t n, int64_t start)
{
	int64_t since = clock_wall_ms(log->env->clock) - RECALL_MS;
	bool fresh = n > 0 && segment_mtime_ms(segs[n - 1]) >= since, whole = false, all;
	struct producer_state *history = producer_state_new(INT64_MAX);
	enum err e = OK;

	all = producer_state_recall(ps, history, fresh ? INT64_MIN : since);
	for (size_t i = 0; i < NELEM(recall_bytes) && !all && !whole && e == OK; i++) {
		producer_state_clear(history);
		e = recall_bytes_before(history, segs, n, start, producer_state_end(ps), recall_bytes[i], &whole);
		all = producer_state_recall(ps, history, since);
	}
	producer_state_free(&history);
	return (e);
}

/* ---- replay ---- */

static enum err
replay_segment(struct producer_state *ps, struct segment *s, int64_t from, int64_t end, struct errbuf *eb)
{
	struct segment_hit hit;
	struct batch_header h;
	struct batch_scan sc;
	struct slice whole;
	uint64_t at;
	enum err e = segment_find(s, from, s->size, &hit, eb);

	if (e != OK)
		return (e == ERR_NOTFOUND ? OK : e);
	batch_scan_init(&sc, s->data, hit.position, s->size, NULL, REPLAY_WINDOW);
	while ((e = batch_scan_whole(&sc, &h, &whole, &at, eb)) == OK && h.last_offset < end) {
		e = producer_replay(ps, &h, whole, NULL, eb);
		if (e != OK)
			break;
	}
	batch_scan_fini(&sc);
	return (e == ERR_NOTFOUND ? OK : e);
}

static enum err
replay(struct log *log, struct producer_state *ps, struct segment *const *segs, uint32_t n, int64_t start, int64_t end, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = 0; i < n && e == OK; i++) {
		int64_t from = MAX(MAX(segs[i]->base, producer_state_end(ps)), start);

		if (segs[i]->base >= end || (i + 1 < n && segs[i + 1]->base <= producer_state_end(ps)))
			continue;
		producer_state_set_end(ps, from);
		if (i + 2 >= n)
			e = log_snapshot_of(log, ps, true, eb);
		if (e == OK)
			e = replay_segment(ps, segs[i], from, end, eb);
	}
	return (e);
}

static enum err
write_empty(struct log *log, struct producer_state *ps, struct segment *const *segs, uint32_t n, int64_t end, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = n < 2 ? 0 : n - 2; i < n && e == OK; i++) {
		producer_state_set_end(ps, segs[i]->base);
		e = log_snapshot_of(log, ps, true, eb);
	}
	producer_state_set_end(ps, end);
	return (e == OK ? log_snapshot_of(log, ps, true, eb) : e);
}

static enum err
drop_out_of_range(struct log *log, int64_t start, int64_t end, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = log->nsnapshots; i-- > 0 && e == OK;)
		if (log->snapshots[i] > end || log->snapshots[i] <= start)
			e = snapshots_remove(log, log->snapshots[i], false, eb);
	return (e);
}

static enum err
rebuild(struct log *log, struct producer_state *ps, struct segment *const *segs, uint32_t n, int64_t start, int64_t end, struct errbuf *eb)
{
	enum err e = drop_out_of_range(log, start, end, eb);

	if (e == OK)
		e = load_newest(log, ps, start, eb);
	if (e == OK && (e = recall(log, ps, segs, n, start)) != OK)
		errbuf_set(eb, "reading the batches before a producer snapshot: %s", err_text(e));
	if (e == OK && end > producer_state_end(ps))
		e = replay(log, ps, segs, n, start, end, eb);
	if (e != OK)
		return (e);
	producer_state_set_end(ps, end);
	return (log_snapshot_of(log, ps, true, eb));
}

enum err
log_rebuild_producers(struct log *log, struct segment *const *segs, uint32_t n, int64_t start, int64_t end, bool clean, struct errbuf *eb)
{
	struct producer_state *ps = producer_state_new(log->options.producer_expiration_ms), *old;
	enum err e;

	if (log->nsnapshots == 0 && clean)
		e = write_empty(log, ps, segs, n, end, eb);
	else
		e = rebuild(log, ps, segs, n, start, end, eb);
	if (e != OK) {
		producer_state_free(&ps);
		return (e);
	}
	lock_acquire(&log->lock);
	old = log->producers;
	log->producers = ps;
	log_update_first_unstable(log);
	lock_release(&log->lock);
	producer_state_free(&old);
	return (OK);
}
