/* SPDX-License-Identifier: Apache-2.0
 *
 * log/read.c - see read.h.
 *
 * A read looks at the offsets first (high watermark, unstable offset, tail), then at the segment list: the list is at least as new as the
 * tail (log_publish_segments comes before log_publish_tail), so the segment of every offset below the end is in it, unless retention or
 * a truncation took it away meanwhile; then the offset is out of range by now.
 *
 * The range ends at a position, and the bound is an offset.  When the bound is the end, its position is published with it; else it is the
 * start of the batch that holds the bound.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "log/log_int.h"
#include "record/record.h"

struct view {			/* one consistent look */
	struct log *log;
	struct tail tail;
	int64_t	    start, high_watermark, last_stable;
	int64_t	    bound;
	const struct segment_list *list;
	bool	    no_wait;
};

static void
look(struct log *log, enum log_bound bound, struct view *v)
{
	int64_t unstable;

	v->log = log;
	v->no_wait = false;
	v->high_watermark = log->high_watermark;
	unstable = log->first_unstable;
	v->last_stable = unstable >= 0 && unstable < v->high_watermark ? unstable : v->high_watermark;
	v->tail = log_tail(log);
	v->list = reclaim_read(&log->segments);
	v->start = log->start;
	v->high_watermark = MIN(v->high_watermark, v->tail.end);
	v->last_stable = MIN(v->last_stable, v->tail.end);
	v->bound = bound == LOG_BOUND_END ? v->tail.end : bound == LOG_BOUND_HIGH_WATERMARK ? v->high_watermark : v->last_stable;
}

/* Index of the last segment whose base is at or below; -1: none. */
static int64_t
floor_segment(const struct segment_list *l, int64_t offset)
{
	uint32_t lo = 0, hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->segments[mid]->base <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return ((int64_t)lo - 1);
}

static uint64_t
data_end(const struct view *v, const struct segment *s)
{
	return (s->base == v->tail.base ? MIN(v->tail.size, (uint32_t)s->size) : s->size);
}

static enum err
find(const struct view *v, struct segment *s, int64_t offset, uint64_t end, struct segment_hit *hit, struct errbuf *eb)
{
	return (v->no_wait ? segment_find_warm(s, offset, end, hit, eb) : segment_find(s, offset, end, hit, eb));
}

/* Where the bound lies in segment i. */
static enum err
bound_position(const struct view *v, uint32_t i, uint64_t *pos, struct errbuf *eb)
{
	struct segment *s = v->list->segments[i];
	struct segment_hit hit;
	enum err e;

	*pos = data_end(v, s);
	if (v->bound >= v->tail.end || (i + 1 < v->list->n && v->list->segments[i + 1]->base <= v->bound))
		return (OK);
	e = find(v, s, v->bound, *pos, &hit, eb);
	if (e == OK)
		*pos = hit.position;
	return (e == ERR_NOTFOUND ? OK : e);
}

/* ---- aborted transactions ---- */

struct aborted_list {
	struct arena	   *arena;
	struct aborted_txn *rows;
	uint32_t	    n, room;
	bool		    full;
};

static void
add_aborted(void *ctx, const struct txn_entry *te)
{
	struct aborted_list *l = ctx;
	struct aborted_txn *more;

	if (l->n == l->room) {
		more = ARENA_ARRAY(l->arena, struct aborted_txn, l->room == 0 ? 8 : l->room * 2);
		if (more == NULL) {
			l->full = true;
			return;
		}
		if (l->n > 0)
			memcpy(more, l->rows, l->n * sizeof(*more));
		l->rows = more;
		l->room = l->room == 0 ? 8 : l->room * 2;
	}
	l->rows[l->n++] = (struct aborted_txn){ te->producer_id, te->first_offset };
}

/* Up to which offset the range may reach, as Kafka says it; further, when the index would say too little. */
static int64_t
upper_bound(const struct view *v, uint32_t i, uint64_t position)
{
	struct segment *s = v->list->segments[i];
	int64_t upper = i + 1 < v->list->n ? v->list->segments[i + 1]->base : v->tail.end;
	struct index_entry above;

	if (offset_index_at_position(&s->offsets, position, &above) && segment_entry_fits(s, &above, data_end(v, s)))
		upper = above.offset;
	return (upper);
}

static bool
has_aborted(const struct view *v, uint32_t i)
{
	while (i < v->list->n && v->list->segments[i]->txns.entries == 0)
		i++;
	return (i < v->list->n);
}

static enum err
collect_aborted(const struct view *v, uint32_t i, int64_t from, struct log_read_result *r, struct arena *arena, struct errbuf *eb)
{
	struct aborted_list l = { .arena = arena };
	int64_t upper;
	bool complete = false;
	enum err e = OK;

	if (!has_aborted(v, i))
		return (OK);
	upper = upper_bound(v, i, r->range.pos + r->range.len);
	for (; i < v->list->n && e == OK && !complete; i++)
		e = txn_index_collect(&v->list->segments[i]->txns, from, upper, add_aborted, &l, &complete, eb);
	r->aborted = l.rows;
	r->naborted = l.n;
	return (e == OK && l.full ? ERR_LIMIT : e);
}

/* ---- the read ---- */

/* Once per segment and start of the broker. */
static void
tell_misled(const struct view *v, struct segment *s)
{
	struct log *log = v->log;

	if (!s->misled || atomic_exchange(&s->misled_told, true))
		return;
	if (s->offsets.trouble == INDEX_CUT)
		diag_error(log->env->diag, "log", "%s: somebody has cut it or taken it away; read without it.  After a stop, ottla log repair writes it anew",
		    s->offsets.path);
	else
		diag_error(log->env->diag, "log", "%s: an entry does not fit the batches of %020" PRId64 ".log; read without it.  After a stop, ottla log repair "
		    "writes it anew; at the next stop and start it misleads Java brokers", s->offsets.path, s->base);
}

static enum err
first_error(enum err a, enum err b)
{
	return (a != OK ? a : b);
}

static enum err
read_at(const struct view *v, uint32_t i, const struct log_read_options *o, struct log_read_result *r, struct errbuf *eb)
{
	struct segment *s = v->list->segments[i];
	struct segment_hit hit;
	uint64_t end = 0, max;
	enum err e = bound_position(v, i, &end, eb);

	if (e == OK)
		e = find(v, s, o->offset, data_end(v, s), &hit, eb);
	tell_misled(v, s);
	if (e == OK || e == ERR_NOTFOUND)
		e = first_error(segment_check_disk(s, eb), e);
	if (e != OK)
		return (e);
	max = o->min_one ? MAX(o->bytes_max, (uint64_t)hit.header.size) : o->bytes_max;
	if (max == 0 || hit.position >= end)
		return (OK);
	r->segment_base = s->base;
	r->first_offset = hit.header.base_offset >= 0 ? hit.header.base_offset : hit.header.last_offset;
	r->first_batch_len = hit.header.size;
	r->range = (struct file_range){ file_ref(s->data), hit.position, MIN(end - hit.position, max) };
	return (OK);
}

static enum err
read_from(const struct view *v, const struct log_read_options *o, struct arena *arena, struct log_read_result *r, struct errbuf *eb)
{
	int64_t i = floor_segment(v->list, o->offset);
	enum err e = ERR_RANGE;

	if (i < 0)
		return (ERR_RANGE);
	for (; i < v->list->n; i++) {
		/* NOTFOUND: the offset lies behind the last batch of this segment (a gap); the next one begins above it. */
		e = read_at(v, (uint32_t)i, o, r, eb);
		if (e != ERR_NOTFOUND)
			break;
	}
	if (e == OK && r->range.file != NULL && o->bound == LOG_BOUND_LAST_STABLE)
		e = collect_aborted(v, (uint32_t)i, o->offset, r, arena, eb);
	return (e == ERR_NOTFOUND ? OK : e);
}

static enum kerr
read_error(struct log *log, enum err e, const struct errbuf *eb)
{
	switch (e) {
	case OK:
		return (KERR_NONE);
	case ERR_RANGE:
		return (KERR_OFFSET_OUT_OF_RANGE);
	case ERR_LIMIT:
		return (KERR_UNKNOWN_SERVER_ERROR);
	case ERR_CORRUPT:
		diag_error(log->env->diag, "log", "%s-%" PRId32 ": reading: %s", log->topic, log->partition, eb->text);
		return (KERR_CORRUPT_MESSAGE);
	default:
		return (log_fail(log, "reading", e, eb));
	}
}

static enum kerr
do_read(struct log *log, const struct log_read_options *o, struct arena *arena, struct log_read_result *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct view v;
	enum err e;

	*r = (struct log_read_result){ .first_offset = -1, .segment_base = -1 };
	if (log->dir->offline)
		return (KERR_KAFKA_STORAGE_ERROR);
	look(log, o->bound, &v);
	r->end_offset = v.tail.end;
	r->high_watermark = v.high_watermark;
	r->last_stable_offset = v.last_stable;
	r->log_start_offset = v.start;
	if (o->offset < v.start || o->offset > v.tail.end)
		return (KERR_OFFSET_OUT_OF_RANGE);
	if (o->offset >= v.bound)
		return (KERR_NONE);
	v.no_wait = o->no_wait;
	e = read_from(&v, o, arena, r, &eb);
	if (e != OK)
		log_read_result_fini(r);
	r->cold = e == ERR_AGAIN;
	return (r->cold ? KERR_NONE : read_error(log, e, &eb));
}

enum kerr
log_read(struct log *log, const struct log_read_options *o, struct arena *arena, struct log_read_result *r)
{
	uint32_t phase = log_read_enter(log);
	enum kerr k = do_read(log, o, arena, r);

	log_read_leave(log, phase);
	return (k);
}

void
log_read_result_fini(struct log_read_result *r)
{
	file_range_fini(&r->range);
}

void
log_warm(struct log *log, int64_t offset, enum log_bound bound)
{
	uint32_t phase = log_read_enter(log);
	struct view v;
	int64_t i;

	look(log, bound, &v);
	i = floor_segment(v.list, offset);
	if (!log->dir->offline && i >= 0 && offset >= v.start && offset < v.bound) {
		/* The bound may lie in the same one; behind a gap it is the next that is read. */
		for (int64_t k = i; k < v.list->n && k <= i + 1; k++) {
			struct segment *s = v.list->segments[k];

			segment_warm(s, MAX(offset, s->base), data_end(&v, s));
			if (v.bound < v.tail.end)
				segment_warm(s, v.bound, data_end(&v, s));
		}
	}
	log_read_leave(log, phase);
}

static uint64_t
measure(struct log *log, int64_t offset, enum log_bound bound)
{
	struct segment_hit hit;
	uint64_t sum = 0, end = 0;
	struct view v;
	int64_t i;

	look(log, bound, &v);
	v.no_wait = log->dir->apart;	/* then it may say too much: who reads finds out */
	if (log->dir->offline || offset < v.start || offset >= v.bound || (i = floor_segment(v.list, offset)) < 0)
		return (0);
	for (int64_t k = i; k < v.list->n && v.list->segments[k]->base < v.bound; k++) {
		if (bound_position(&v, (uint32_t)k, &end, NULL) != OK)
			return (sum);
		sum += end;
	}
	if (find(&v, v.list->segments[i], offset, data_end(&v, v.list->segments[i]), &hit, NULL) == OK)
		sum -= MIN(sum, hit.position);
	return (sum);
}

uint64_t
log_bytes_available(struct log *log, int64_t offset, enum log_bound bound)
{
	uint32_t phase = log_read_enter(log);
	uint64_t n = measure(log, offset, bound);

	log_read_leave(log, phase);
	return (n);
}

/* ---- offsets by time ---- */

struct time_search {
	int64_t timestamp_ms;
	int64_t from;		/* offsets below do not count */
	bool	exact;		/* the record that has exactly this timestamp */
	struct log_time_offset *out;
};

static enum err
search_batch(struct time_search *ts, const struct batch_header *h, struct slice whole, struct errbuf *eb)
{
	struct record_iter it;
	struct record rec;
	enum err e = record_iter_init(&it, NULL, whole, h, RECORD_FRAMING, eb);

	while (e == OK && (e = record_iter_next(&it, &rec, eb)) == OK) {
		if (rec.offset < ts->from || (ts->exact ? rec.timestamp != ts->timestamp_ms : rec.timestamp < ts->timestamp_ms))
			continue;
		*ts->out = (struct log_time_offset){ true, rec.timestamp, rec.offset, h->leader_epoch };
		break;
	}
	record_iter_fini(&it);
	return (e);
}

static enum err
search_segment(struct time_search *ts, struct segment *s, int64_t near, uint64_t end, struct errbuf *eb)
{
	struct segment_hit hit;
	struct batch_header h;
	struct batch_scan sc;
	struct slice whole;
	uint64_t at;
	enum err e = segment_find(s, near, end, &hit, eb);

	if (e != OK)
		return (e == ERR_NOTFOUND ? OK : e);
	batch_scan_init(&sc, s->data, hit.position, end, NULL, 65536);
	while ((e = batch_scan_whole(&sc, &h, &whole, &at, eb)) == OK) {
		if (ts->exact ? h.max_timestamp != ts->timestamp_ms : h.max_timestamp < ts->timestamp_ms)
			continue;
		e = search_batch(ts, &h, whole, eb);
		if (e != ERR_NOTFOUND)
			break;
	}
	batch_scan_fini(&sc);
	return (e == ERR_NOTFOUND ? OK : e);
}

static int64_t
largest_timestamp(struct segment *s)
{
	int64_t ts = segment_max_timestamp(s, NULL);

	return (ts >= 0 ? ts : segment_mtime_ms(s));
}

static enum err
search_time(const struct segment_list *l, struct view *v, struct time_search *ts, struct errbuf *eb)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct segment *s = l->segments[i];
		struct index_entry ie;
		int64_t near = s->base;

		if (largest_timestamp(s) < ts->timestamp_ms) {
			if (segment_check_disk(s, eb) != OK)
				return (ERR_IO);
			continue;
		}
		if (index_lookup(&s->times, ts->timestamp_ms, &ie))
			near = ie.offset;
		return (first_error(segment_check_disk(s, eb), search_segment(ts, s, MAX(near, ts->from), data_end(v, s), eb)));
	}
	return (OK);
}

static enum err
search_max(const struct segment_list *l, struct view *v, struct time_search *ts, struct errbuf *eb)
{
	struct segment *best = l->segments[0];
	int64_t best_ts = -1, near = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		int64_t at, t = segment_max_timestamp(l->segments[i], &at);

		if (segment_check_disk(l->segments[i], eb) != OK)
			return (ERR_IO);
		if (t <= best_ts)
			continue;
		best = l->segments[i];
		best_ts = t;
		near = at;
	}
	ts->timestamp_ms = best_ts;
	ts->exact = true;
	ts->from = 0;		/* as Kafka: not limited by the log start */
	return (best_ts < 0 ? OK : search_segment(ts, best, near, data_end(v, best), eb));
}

enum kerr
log_offset_for_time(struct log *log, int64_t timestamp_ms, struct log_time_offset *out)
{
	struct time_search ts = { .timestamp_ms = timestamp_ms, .out = out };
	struct errbuf eb = ERRBUF_INIT;
	struct segment_list *l;
	struct view v;
	uint32_t phase;
	enum err e;

	*out = (struct log_time_offset){ false, -1, -1, -1 };
	if (log->dir->offline)
		return (KERR_KAFKA_STORAGE_ERROR);
	if (timestamp_ms == LOG_TIME_LATEST) {
		*out = (struct log_time_offset){ true, -1, log_end_offset(log), log_latest_epoch(log) };
		return (KERR_NONE);
	}
	if (timestamp_ms == LOG_TIME_EARLIEST || timestamp_ms == LOG_TIME_EARLIEST_LOCAL) {
		int64_t start = log->start;

		*out = (struct log_time_offset){ true, -1, start, log_epoch_of_offset(log, start) };
		return (KERR_NONE);
	}
	if (timestamp_ms < 0 && timestamp_ms != LOG_TIME_MAX)
		return (KERR_NONE);
	phase = log_read_enter(log);
	look(log, LOG_BOUND_END, &v);
	l = log_hold_segments(log);
	v.list = l;
	ts.from = v.start;
	e = timestamp_ms == LOG_TIME_MAX ? search_max(l, &v, &ts, &eb) : search_time(l, &v, &ts, &eb);
	segment_list_free(l);
	log_read_leave(log, phase);
	return (read_error(log, e == ERR_MALFORMED || e == ERR_UNSUPPORTED ? ERR_CORRUPT : e, &eb));
}

bool
log_file_times(struct log *log, struct arena *arena, struct log_file_time **rows, uint32_t *n)
{
	struct tail tail = log_tail(log);
	struct segment_list *l = log_hold_segments(log);
	struct log_file_time *r = ARENA_ARRAY(arena, struct log_file_time, (size_t)l->n + 1);

	*rows = r;
	*n = 0;
	for (uint32_t i = 0; i < l->n && r != NULL; i++)
		r[(*n)++] = (struct log_file_time){ MAX(l->segments[i]->base, log->start), segment_mtime_ms(l->segments[i]) };
	if (r != NULL && l->segments[l->n - 1]->size > 0)
		r[(*n)++] = (struct log_file_time){ MAX(tail.end, r[l->n - 1].offset), clock_wall_ms(log->env->clock) };
	segment_list_free(l);
	return (r != NULL);
}
