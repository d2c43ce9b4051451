/* SPDX-License-Identifier: Apache-2.0
 *
 * log/verify_index.c - the indexes of a segment against its batches: the rules I, T, X and F1 of rules.def.
 *
 * Rows and batches are both in order, so one walk along the data file meets every row: the offset index by position, the time index by
 * offset, the transaction index by the offset of the marker.  Besides, what each file should be is noted (`anew`), as a broker that recovers
 * the segment would write it: a row after every INDEX_INTERVAL bytes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { INDEX_INTERVAL = 4096 };		/* index.interval.bytes; the topic's own is not known here, and any will do */

void
bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (b->len + n > b->room) {
		b->room = (b->len + n) * 2;
		b->p = xreallocarray(b->p, b->room, 1);
	}
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

static void PRINTF_LIKE(5, 6)
bad(struct walk *w, struct index_walk *ix, enum log_rule rule, int64_t offset, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	finding_add(&w->report->findings, rule, !w->rebuilt, ix->path, offset, -1, "%s%s", strbuf_str(&sb),
	    w->rebuilt ? " (the next start makes it anew)" : "");
	strbuf_fini(&sb);
	ix->bad = true;
}

/* ---- what the file alone says ---- */

static void
check_offset_rows(struct walk *w)
{
	const struct log_index_row *v = w->offsets.rows.v;

	for (uint32_t i = 0; i < w->offsets.rows.n; i++) {
		if (v[i].offset < w->base || (i > 0 && (v[i].offset <= v[i - 1].offset || v[i].position <= v[i - 1].position))) {
			bad(w, &w->offsets, LOG_RULE_INDEX_SHAPE, v[i].offset, "entry %" PRIu32 " (offset %" PRId64 ", position %" PRIu32 ") does not increase", i,
			    v[i].offset, v[i].position);
			w->offsets.next = w->offsets.rows.n;	/* no order: nothing to walk along */
			return;
		}
	}
}

static void
check_time_rows(struct walk *w)
{
	const struct log_index_row *v = w->times.rows.v;

	for (uint32_t i = 0; i < w->times.rows.n; i++) {
		if (v[i].offset < w->base || (i > 0 && (v[i].offset < v[i - 1].offset || v[i].timestamp_ms <= v[i - 1].timestamp_ms))) {
			bad(w, &w->times, LOG_RULE_TIME_SHAPE, v[i].offset, "entry %" PRIu32 " (timestamp %" PRId64 ", offset %" PRId64 ") does not increase", i,
			    v[i].timestamp_ms, v[i].offset);
			w->times.next = w->times.rows.n;
			return;
		}
	}
}

static void
check_txn_rows(struct walk *w)
{
	const struct log_index_row *v = w->txns.rows.v;

	for (uint32_t i = 0; i < w->txns.rows.n; i++) {
		if (v[i].offset < w->base || v[i].offset >= w->limit || v[i].first_offset < 0 || v[i].first_offset > v[i].offset ||
		    (i > 0 && v[i].offset <= v[i - 1].offset)) {
			bad(w, &w->txns, LOG_RULE_TXN_SHAPE, v[i].offset, "entry %" PRIu32 " (offsets %" PRId64 " to %" PRId64 ") is out of place", i,
			    v[i].first_offset, v[i].offset);
			w->txns.next = w->txns.rows.n;
			return;
		}
	}
}

static enum err
read_rows(struct walk *w, struct index_walk *ix, enum log_file_kind kind, const char *suffix, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e;

	*ix = (struct index_walk){ .path = segment_path(w->dir, w->base, suffix) };
	e = log_index_read(w->fs, ix->path, kind, w->base, &ix->rows, &why);
	ix->missing = e == ERR_NOENT;
	if (e != OK && e != ERR_NOENT)
		errbuf_set(eb, "%s", why.text);
	return (e == ERR_NOENT ? OK : e);
}

static void
check_end(struct walk *w, struct index_walk *ix, enum log_rule shape, enum log_rule trimmed)
{
	if (ix->missing)
		bad(w, ix, LOG_RULE_INDEX_FILES, -1, "missing");
	else if (ix->rows.odd)
		bad(w, ix, shape, -1, "not whole entries");
	else if (ix->rows.tail_bytes > 0 && w->strict)
		bad(w, ix, trimmed, -1, "%" PRIu64 " bytes of zeros behind entry %" PRIu32 ": a Java broker takes them for entries", ix->rows.tail_bytes, ix->rows.n);
}

enum err
indexes_begin(struct walk *w, struct errbuf *eb)
{
	enum err e = read_rows(w, &w->offsets, LOG_FILE_INDEX, SUFFIX_INDEX, eb);

	w->max_timestamp = -1;
	w->max_timestamp_offset = w->base;
	w->last_indexed = 0;
	w->last_index_offset = -1;
	if (e == OK)
		e = read_rows(w, &w->times, LOG_FILE_TIME, SUFFIX_TIME, eb);
	if (e == OK)
		e = read_rows(w, &w->txns, LOG_FILE_TXN, SUFFIX_TXN, eb);
	if (e != OK)
		return (e);
	check_end(w, &w->offsets, LOG_RULE_INDEX_SHAPE, LOG_RULE_INDEX_TRIMMED);
	check_end(w, &w->times, LOG_RULE_TIME_SHAPE, LOG_RULE_TIME_TRIMMED);
	if (w->txns.rows.odd)
		bad(w, &w->txns, LOG_RULE_TXN_SHAPE, -1, "not whole entries of version 0");
	check_offset_rows(w);
	check_time_rows(w);
	check_txn_rows(w);
	return (OK);
}

/* ---- along the batches ---- */

static void
meet_offset_rows(struct walk *w, const struct batch_header *h, uint64_t at)
{
	struct index_walk *ix = &w->offsets;

	for (; ix->next < ix->rows.n && ix->rows.v[ix->next].position <= at; ix->next++) {
		const struct log_index_row *r = &ix->rows.v[ix->next];
		int64_t first = batch_first_offset(h);

		if (r->position != at)
			bad(w, ix, LOG_RULE_INDEX_TARGET, r->offset, "offset %" PRId64 " points to position %" PRIu32 ", where no batch begins", r->offset,
			    r->position);
		else if (r->offset < first)
			bad(w, ix, LOG_RULE_INDEX_TARGET, r->offset, "offset %" PRId64 " points behind it, to the batch of offset %" PRId64, r->offset, first);
		else if (w->last_index_offset >= first)
			bad(w, ix, LOG_RULE_INDEX_TARGET, w->last_index_offset, "offset %" PRId64 " points before a batch that lies behind position %" PRIu32,
			    w->last_index_offset, r->position);
		w->last_index_offset = r->offset;
	}
}

static void
meet_time_rows(struct walk *w, const struct batch_header *h)
{
	struct index_walk *ix = &w->times;

	for (; ix->next < ix->rows.n && ix->rows.v[ix->next].offset <= h->last_offset; ix->next++) {
		const struct log_index_row *r = &ix->rows.v[ix->next];
		bool here = h->magic < 2 || r->offset >= h->base_offset;

		if (!here || r->timestamp_ms != h->max_timestamp || r->timestamp_ms < w->max_timestamp)
			bad(w, ix, LOG_RULE_TIME_TARGET, r->offset, "timestamp %" PRId64 " is said to be that of offset %" PRId64 " and the largest so far; there: %" PRId64
			    ", the largest before: %" PRId64, r->timestamp_ms, r->offset, here ? h->max_timestamp : -1, w->max_timestamp);
	}
}

static void
note_anew(struct walk *w, const struct batch_header *h, uint64_t at)
{
	uint8_t buf[TIME_ENTRY];

	if (h->max_timestamp > w->max_timestamp) {
		w->max_timestamp = h->max_timestamp;
		w->max_timestamp_offset = h->last_offset;
	}
	if (at - w->last_indexed <= INDEX_INTERVAL)
		return;
	w->last_indexed = at;
	be32enc(buf, (uint32_t)(h->last_offset - w->base));
	be32enc(buf + 4, (uint32_t)at);
	bytes_add(&w->offsets.anew, buf, OFFSET_ENTRY);
	be64enc(buf, (uint64_t)w->max_timestamp);
	be32enc(buf + 8, (uint32_t)(w->max_timestamp_offset - w->base));
	if (w->times.anew.len == 0 ? w->max_timestamp >= 0 : memcmp(w->times.anew.p + w->times.anew.len - TIME_ENTRY, buf, 8) < 0)
		bytes_add(&w->times.anew, buf, TIME_ENTRY);
}

void
indexes_batch(struct walk *w, const struct batch_header *h, uint64_t at)
{
	meet_offset_rows(w, h, at);
	meet_time_rows(w, h);
	note_anew(w, h, at);
}

/* ---- transactions ---- */

static void
expect_row(struct walk *w, const struct batch_header *h, const struct log_index_row *r, const struct completed_txn *ended)
{
	int64_t stable;

	if (ended == NULL || !ended->aborted)
		return;
	stable = producer_state_last_stable_after(w->producers, ended);
	if (r == NULL && !(walk_is_live(w) && w->last))
		bad(w, &w->txns, LOG_RULE_TXN_MISSING, h->last_offset, "no entry for the transaction of producer %" PRId64 " that began at %" PRId64
		    " and was aborted at %" PRId64, ended->producer_id, ended->first_offset, ended->last_offset);
	else if (r != NULL && r->first_offset != ended->first_offset && w->whole_history && !w->gaps)
		bad(w, &w->txns, LOG_RULE_TXN_TARGET, h->last_offset, "the transaction aborted at %" PRId64 " began at %" PRId64 ", not at %" PRId64, h->last_offset,
		    ended->first_offset, r->first_offset);
	else if (r != NULL && r->last_stable_offset != stable && w->whole_history && !w->gaps)
		bad(w, &w->txns, LOG_RULE_TXN_TARGET, h->last_offset, "when the transaction was aborted at %" PRId64 " everything below %" PRId64
		    " was decided, not below %" PRId64, h->last_offset, stable, r->last_stable_offset);
}

/* Rows for offsets below this marker have none. */
static void
pass_rows(struct walk *w, int64_t offset)
{
	struct index_walk *ix = &w->txns;

	for (; ix->next < ix->rows.n && ix->rows.v[ix->next].offset < offset; ix->next++)
		bad(w, ix, LOG_RULE_TXN_TARGET, ix->rows.v[ix->next].offset, "no abort marker of producer %" PRId64 " at offset %" PRId64,
		    ix->rows.v[ix->next].producer_id, ix->rows.v[ix->next].offset);
}

void
indexes_marker(struct walk *w, const struct batch_header *h, const struct producer_batch_facts *f, const struct completed_txn *ended)
{
	struct index_walk *ix = &w->txns;
	const struct log_index_row *r = NULL;

	pass_rows(w, h->last_offset);
	if (ix->next < ix->rows.n && ix->rows.v[ix->next].offset == h->last_offset) {
		r = &ix->rows.v[ix->next++];
		if (!f->marker_abort || r->producer_id != f->producer_id)
			bad(w, ix, LOG_RULE_TXN_TARGET, r->offset, "the marker at offset %" PRId64 " does not abort a transaction of producer %" PRId64, r->offset,
			    r->producer_id);
	}
	expect_row(w, h, r, ended);
}

/* ---- the end of a segment ---- */

static void
check_rest(struct walk *w)
{
	struct index_walk *ix = &w->offsets;

	if (ix->next < ix->rows.n)
		bad(w, ix, LOG_RULE_INDEX_TARGET, ix->rows.v[ix->next].offset, "offset %" PRId64 " points to position %" PRIu32 ", behind the last batch",
		    ix->rows.v[ix->next].offset, ix->rows.v[ix->next].position);
	else if (ix->rows.n > 0 && w->last_index_offset >= w->next)
		bad(w, ix, LOG_RULE_INDEX_TARGET, w->last_index_offset, "offset %" PRId64 " lies behind the last batch", w->last_index_offset);
	ix = &w->times;
	if (ix->next < ix->rows.n)
		bad(w, ix, LOG_RULE_TIME_TARGET, ix->rows.v[ix->next].offset, "offset %" PRId64 " lies behind the last batch", ix->rows.v[ix->next].offset);
	pass_rows(w, INT64_MAX);
}

static void
check_largest(struct walk *w)
{
	const struct log_index_rows *rows = &w->times.rows;
	int64_t said = rows->n > 0 ? rows->v[rows->n - 1].timestamp_ms : -1;

	if (w->strict && !w->times.bad && w->max_timestamp >= 0 && said != w->max_timestamp)
		bad(w, &w->times, LOG_RULE_TIME_LAST, w->max_timestamp_offset,
		    "the last entry says %" PRId64 ", the batches %" PRId64 ": retention takes the segment for %s than it is", said, w->max_timestamp,
		    said < w->max_timestamp ? "older" : "younger");
}

static void
finish_anew(struct walk *w)
{
	uint8_t buf[TIME_ENTRY];

	be64enc(buf, (uint64_t)w->max_timestamp);
	be32enc(buf + 8, (uint32_t)(w->max_timestamp_offset - w->base));
	if (w->max_timestamp >= 0 && (w->times.anew.len == 0 || memcmp(w->times.anew.p + w->times.anew.len - TIME_ENTRY, buf, 8) < 0))
		bytes_add(&w->times.anew, buf, TIME_ENTRY);
}

static void
hand_over(struct index_walk *ix, bool *rebuild, char **to, size_t *len)
{
	*rebuild = ix->bad;
	*to = (char *)ix->anew.p;
	*len = ix->anew.len;
	free(ix->path);
	log_index_rows_fini(&ix->rows);
	*ix = (struct index_walk){ 0 };
}

/* After a bad batch everything behind it is uncertain: rows that point there say nothing new. */
void
indexes_end(struct walk *w, struct log_segment_report *s)
{
	if (w->report->cut_offset < 0) {
		check_rest(w);
		check_largest(w);
	}
	finish_anew(w);
	hand_over(&w->offsets, &s->rebuild_index, &s->index, &s->index_len);
	hand_over(&w->times, &s->rebuild_time, &s->time, &s->time_len);
	hand_over(&w->txns, &s->rebuild_txn, &s->txn, &s->txn_len);
	if (!s->rebuild_index && !s->rebuild_time && !s->rebuild_txn && w->report->cut_offset < 0) {
		free(s->index);
		free(s->time);
		free(s->txn);
		s->index = s->time = s->txn = NULL;
		s->index_len = s->time_len = s->txn_len = 0;
	}
}
