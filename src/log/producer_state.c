/* SPDX-License-Identifier: Apache-2.0
 *
 * log/producer_state.c - see producer_state.h for the interface and the snapshot's bytes.
 *
 * The rules are those of ProducerStateManager, ProducerAppendInfo and ProducerStateEntry of Kafka 3.9.
 *
 * INVARIANTS
 *   (1) `ongoing` holds one row per entry with an open transaction, sorted by first offset; offsets are distinct.
 *   (2) `unreplicated` holds transactions whose marker is written but may still be cut off (marker at or above the high watermark).
 *   (3) The first unstable offset is the smallest first offset in both: what read_committed consumers must not pass.
 *   (4) `end` is the offset up to which every batch of the log has been applied.
 *   (5) The hash table keeps its rows in the order they came.
 *
 * ORDER  Snapshots and DescribeProducers list producers as Kafka does, whose order is that of a java.util.HashMap<Long, ...>: by slot, within a slot
 *	as they came.  `slots` is the size that map would have: it doubles when three quarters are used, and never shrinks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/must.h"
#include "log/producer_state.h"
#include "record/batch.h"

#include <uthash.h>

enum {
	SNAPSHOT_VERSION = 1,
	SNAPSHOT_HEAD	 = 10,	/* version, crc, count */
	SNAPSHOT_CRC	 = 2,
	SNAPSHOT_BODY	 = 6,	/* what the crc covers begins here */
	SNAPSHOT_ROW	 = 46,
	JAVA_SLOTS	 = 16,	/* of a new HashMap */
};

struct producer {
	struct producer_entry entry;
	UT_hash_handle	      hh;
};

struct txn {
	int64_t producer_id, first_offset;
	int64_t last_offset;		/* of the marker; -1 while undecided */
};

struct txn_list {
	struct txn *rows;		/* sorted by first_offset */
	uint32_t    n, room;
};

struct producer_state {
	struct producer *producers;
	struct txn_list	 ongoing, unreplicated;
	int64_t		 end;
	int64_t		 expiration_ms;
	uint32_t	 slots;		/* a power of two */
};

/* ---- lists of transactions ---- */

static uint32_t
txn_slot(const struct txn_list *l, int64_t first)	/* first row not below */
{
	uint32_t lo = 0, hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (l->rows[mid].first_offset < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

static void
txn_put(struct txn_list *l, struct txn t)
{
	uint32_t at = txn_slot(l, t.first_offset);

	if (at < l->n && l->rows[at].first_offset == t.first_offset) {
		l->rows[at] = t;
		return;
	}
	if (l->n == l->room) {
		l->room = l->room == 0 ? 8 : l->room * 2;
		l->rows = xreallocarray(l->rows, l->room, sizeof(*l->rows));
	}
	memmove(l->rows + at + 1, l->rows + at, (l->n - at) * sizeof(*l->rows));
	l->rows[at] = t;
	l->n++;
}

static bool
txn_take(struct txn_list *l, int64_t first, struct txn *out)
{
	uint32_t at = txn_slot(l, first);

	if (at == l->n || l->rows[at].first_offset != first)
		return (false);
	*out = l->rows[at];
	l->n--;
	memmove(l->rows + at, l->rows + at + 1, (l->n - at) * sizeof(*l->rows));
	return (true);
}

static void
txn_forget_decided_below(struct txn_list *l, int64_t offset)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->rows[i].last_offset < 0 || l->rows[i].last_offset >= offset)
			l->rows[kept++] = l->rows[i];
	l->n = kept;
}

/* ---- life ---- */

struct producer_state *
producer_state_new(int64_t expiration_ms)
{
	struct producer_state *ps = xcalloc(1, sizeof(*ps));

	ps->expiration_ms = expiration_ms;
	ps->slots = JAVA_SLOTS;
	return (ps);
}

void
producer_state_set_expiration(struct producer_state *ps, int64_t expiration_ms)
{
	ps->expiration_ms = expiration_ms;
}

void
producer_state_clear(struct producer_state *ps)
{
	struct producer *p, *tmp;

	HASH_ITER(hh, ps->producers, p, tmp) {
		HASH_DEL(ps->producers, p);
		free(p);
	}
	ps->ongoing.n = ps->unreplicated.n = 0;
}

void
producer_state_free(struct producer_state **psp)
{
	struct producer_state *ps = *psp;

	if (ps == NULL)
		return;
	producer_state_clear(ps);
	free(ps->ongoing.rows);
	free(ps->unreplicated.rows);
	free(ps);
	*psp = NULL;
}

static struct producer *
find(const struct producer_state *ps, int64_t id)
{
	struct producer *p = NULL;

	HASH_FIND(hh, ps->producers, &id, sizeof(id), p);
	return (p);
}

const struct producer_entry *
producer_state_find(const struct producer_state *ps, int64_t id)
{
	const struct producer *p = find(ps, id);

	return (p == NULL ? NULL : &p->entry);
}

static struct producer_entry *
find_or_add(struct producer_state *ps, int64_t id)
{
	struct producer *p = find(ps, id);

	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->entry.producer_id = id;
		p->entry.txn_first_offset = p->entry.last_timestamp_ms = -1;
		p->entry.producer_epoch = -1;
		p->entry.coordinator_epoch = -1;
		HASH_ADD(hh, ps->producers, entry.producer_id, sizeof(p->entry.producer_id), p);
		if (HASH_COUNT(ps->producers) > ps->slots / 4 * 3 && ps->slots < 1u << 30)
			ps->slots *= 2;
	}
	return (&p->entry);
}

/* ---- checks ---- */

static const struct producer_batch *
last_batch(const struct producer_entry *e)
{
	return (e->nbatches == 0 ? NULL : &e->batches[e->nbatches - 1]);
}

static int32_t
batch_first_sequence(const struct producer_batch *b)
{
	return (batch_sequence_sub(b->last_sequence, b->offset_delta));
}

const struct producer_batch *
producer_entry_duplicate(const struct producer_entry *e, const struct producer_batch_facts *f)
{
	if (f->producer_epoch != e->producer_epoch || f->control)
		return (NULL);
	for (unsigned i = 0; i < e->nbatches; i++)
		if (e->batches[i].last_sequence == f->last_sequence && batch_first_sequence(&e->batches[i]) == f->base_sequence)
			return (&e->batches[i]);
	return (NULL);
}

static bool
in_sequence(int32_t last, int32_t next)
{
	return ((int64_t)next == (int64_t)last + 1 || (next == 0 && last == INT32_MAX));
}

static enum kerr
check_sequence(const struct producer_entry *e, const struct producer_batch_facts *f, char *words, size_t size)
{
	const struct producer_batch *last = last_batch(e);
	int32_t last_sequence = last == NULL ? BATCH_NO_SEQUENCE : last->last_sequence;

	if (e->producer_epoch == -1)		/* nothing known of it: any sequence may begin */
		return (KERR_NONE);
	if (f->producer_epoch != e->producer_epoch) {
		if (f->base_sequence == 0)
			return (KERR_NONE);
		snprintf(words, size, "producer %" PRId64 ": sequence %" PRId32 " begins epoch %d, after epoch %d; it must be 0", f->producer_id,
		    f->base_sequence, f->producer_epoch, e->producer_epoch);
		return (KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	}
	if (in_sequence(last_sequence, f->base_sequence))
		return (KERR_NONE);
	snprintf(words, size, "producer %" PRId64 ": sequence %" PRId32 " does not follow %" PRId32, f->producer_id, f->base_sequence, last_sequence);
	return (KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

static enum kerr
check_marker(const struct producer_entry *e, const struct producer_batch_facts *f, char *words, size_t size)
{
	if (!f->marker || e->coordinator_epoch <= f->coordinator_epoch)
		return (KERR_NONE);
	snprintf(words, size, "producer %" PRId64 ": marker of coordinator epoch %" PRId32 ", %" PRId32 " was seen", f->producer_id, f->coordinator_epoch,
	    e->coordinator_epoch);
	return (KERR_TRANSACTION_COORDINATOR_FENCED);
}

static enum kerr
check_data(const struct producer_entry *e, const struct producer_batch_facts *f, enum append_origin origin, char *words, size_t size)
{
	enum kerr k = origin == APPEND_CLIENT ? check_sequence(e, f, words, size) : KERR_NONE;

	if (k == KERR_NONE && e->txn_first_offset >= 0 && !f->transactional) {
		snprintf(words, size, "producer %" PRId64 ": not transactional while its transaction from offset %" PRId64 " is open", f->producer_id,
		    e->txn_first_offset);
		k = KERR_INVALID_TXN_STATE;
	}
	return (k);
}

enum kerr
producer_state_validate(const struct producer_state *ps, const struct producer_batch_facts *f, enum append_origin origin, bool txn_verified,
    char *words, size_t size)
{
	static const struct producer_entry unknown = { .producer_epoch = -1, .coordinator_epoch = -1, .txn_first_offset = -1, .last_timestamp_ms = -1 };
	const struct producer_entry *e;

	if (f->producer_id < 0 || origin == APPEND_REPLICATION)
		return (KERR_NONE);
	e = producer_state_find(ps, f->producer_id);
	if (e == NULL)
		e = &unknown;
	if (f->transactional && !f->control && !txn_verified && e->txn_first_offset < 0) {
		snprintf(words, size, "producer %" PRId64 ": no transaction is open for this partition", f->producer_id);
		return (KERR_INVALID_TXN_STATE);
	}
	if (f->producer_epoch < e->producer_epoch) {
		snprintf(words, size, "producer %" PRId64 ": epoch %d, but %d was seen", f->producer_id, f->producer_epoch, e->producer_epoch);
		return (KERR_INVALID_PRODUCER_EPOCH);
	}
	return (f->control ? check_marker(e, f, words, size) : check_data(e, f, origin, words, size));
}

/* ---- taking batches in ---- */

static void
set_epoch(struct producer_entry *e, int16_t epoch)
{
	if (e->producer_epoch != epoch)
		e->nbatches = 0;
	e->producer_epoch = epoch;
}

static void
apply_data(struct producer_state *ps, struct producer_entry *e, const struct producer_batch_facts *f)
{
	set_epoch(e, f->producer_epoch);
	if (e->nbatches == PRODUCER_BATCHES_MAX) {
		memmove(e->batches, e->batches + 1, (PRODUCER_BATCHES_MAX - 1) * sizeof(e->batches[0]));
		e->nbatches--;
	}
	e->batches[e->nbatches++] = (struct producer_batch){
		.last_sequence = f->last_sequence,
		.offset_delta = (int32_t)((uint64_t)f->last_offset - (uint64_t)f->base_offset),	/* as the header has it, whatever that is */
		.last_offset = f->last_offset,
		.timestamp_ms = f->max_timestamp_ms,
	};
	e->last_timestamp_ms = f->max_timestamp_ms;
	if (f->transactional && e->txn_first_offset < 0) {
		e->txn_first_offset = f->base_offset;
		txn_put(&ps->ongoing, (struct txn){ f->producer_id, f->base_offset, -1 });
	}
}

static bool
apply_marker(struct producer_entry *e, const struct producer_batch_facts *f, struct completed_txn *done)
{
	bool completed = e->txn_first_offset >= 0;

	if (completed)
		*done = (struct completed_txn){ f->producer_id, e->txn_first_offset, f->base_offset, f->marker_abort };
	set_epoch(e, f->producer_epoch);
	e->coordinator_epoch = f->coordinator_epoch;
	e->last_timestamp_ms = f->marker_timestamp_ms;
	e->txn_first_offset = -1;
	return (completed);
}

bool
producer_state_apply(struct producer_state *ps, const struct producer_batch_facts *f, struct completed_txn *done)
{
	if (f->producer_id < 0 || (f->control && !f->marker))
		return (false);
	if (f->control)
		return (apply_marker(find_or_add(ps, f->producer_id), f, done));
	apply_data(ps, find_or_add(ps, f->producer_id), f);
	return (false);
}

int64_t
producer_state_last_stable_after(const struct producer_state *ps, const struct completed_txn *done)
{
	for (uint32_t i = 0; i < ps->ongoing.n; i++)
		if (ps->ongoing.rows[i].producer_id != done->producer_id)
			return (ps->ongoing.rows[i].first_offset);
	return (done->last_offset + 1);
}

void
producer_state_complete(struct producer_state *ps, const struct completed_txn *done)
{
	struct txn t;

	if (!txn_take(&ps->ongoing, done->first_offset, &t))
		return;
	t.last_offset = done->last_offset;
	txn_put(&ps->unreplicated, t);
}

/* ---- offsets ---- */

int64_t producer_state_end(const struct producer_state *ps) { return (ps->end); }
void	producer_state_set_end(struct producer_state *ps, int64_t end) { ps->end = end; }
uint32_t producer_state_count(const struct producer_state *ps) { return (HASH_COUNT(ps->producers)); }

int64_t
producer_state_first_unstable(const struct producer_state *ps)
{
	int64_t a = ps->ongoing.n > 0 ? ps->ongoing.rows[0].first_offset : INT64_MAX;
	int64_t b = ps->unreplicated.n > 0 ? ps->unreplicated.rows[0].first_offset : INT64_MAX;

	return (a == INT64_MAX && b == INT64_MAX ? -1 : MIN(a, b));
}

void
producer_state_high_watermark(struct producer_state *ps, int64_t hw)
{
	txn_forget_decided_below(&ps->unreplicated, hw);
}

void
producer_state_start_offset(struct producer_state *ps, int64_t start)
{
	txn_forget_decided_below(&ps->unreplicated, start);
	ps->end = MAX(ps->end, start);
}

static bool
expired(const struct producer_state *ps, const struct producer_entry *e, int64_t now_ms)
{
	int64_t age = (int64_t)((uint64_t)now_ms - (uint64_t)e->last_timestamp_ms);	/* a client chose the latter; wraps as Java's does */

	return (e->txn_first_offset < 0 && age >= ps->expiration_ms);
}

void
producer_state_expire(struct producer_state *ps, int64_t now_ms)
{
	struct producer *p, *tmp;

	HASH_ITER(hh, ps->producers, p, tmp) {
		if (expired(ps, &p->entry, now_ms)) {
			HASH_DEL(ps->producers, p);
			free(p);
		}
	}
}

/* ---- Kafka's order ---- */

struct ordered {
	const struct producer *p;
	uint32_t slot, place;
};

static uint32_t
java_slot(const struct producer_state *ps, int64_t id)
{
	uint32_t h = (uint32_t)((uint64_t)id ^ (uint64_t)id >> 32);	/* Long.hashCode */

	return ((h ^ h >> 16) & (ps->slots - 1));
}

static int
by_slot(const void *av, const void *bv)
{
	const struct ordered *a = av, *b = bv;

	if (a->slot != b->slot)
		return (a->slot < b->slot ? -1 : 1);
	return ((a->place > b->place) - (a->place < b->place));
}

/* malloc'ed; HASH_COUNT of them. */
static struct ordered *
in_order(const struct producer_state *ps)
{
	struct ordered *o = xcalloc((size_t)HASH_COUNT(ps->producers) + 1, sizeof(*o));
	uint32_t n = 0;

	for (const struct producer *p = ps->producers; p != NULL; p = p->hh.next, n++)
		o[n] = (struct ordered){ p, java_slot(ps, p->entry.producer_id), n };
	qsort(o, n, sizeof(*o), by_slot);
	return (o);
}

void
producer_state_each(const struct producer_state *ps, void (*fn)(void *, const struct producer_entry *), void *ctx)
{
	struct ordered *o = in_order(ps);

	for (uint32_t i = 0; i < HASH_COUNT(ps->producers); i++)
		fn(ctx, &o[i].p->entry);
	free(o);
}

/* ---- snapshots ---- */

static void
encode_row(void *ctx, const struct producer_entry *e)
{
	struct writer *w = ctx;
	const struct producer_batch *last = last_batch(e);

	wr_i64(w, e->producer_id);
	wr_i16(w, e->producer_epoch);
	wr_i32(w, last == NULL ? BATCH_NO_SEQUENCE : last->last_sequence);
	wr_i64(w, last == NULL ? -1 : last->last_offset);
	wr_i32(w, last == NULL ? 0 : last->offset_delta);
	wr_i64(w, e->last_timestamp_ms);
	wr_i32(w, e->coordinator_epoch);
	wr_i64(w, e->txn_first_offset);
}

void
producer_state_encode(const struct producer_state *ps, uint8_t **out, size_t *len)
{
	struct writer w;

	*len = SNAPSHOT_HEAD + (size_t)HASH_COUNT(ps->producers) * SNAPSHOT_ROW;
	*out = xmalloc(*len);
	w = writer_of(*out, *len);
	wr_i16(&w, SNAPSHOT_VERSION);
	wr_u32(&w, 0);
	wr_i32(&w, (int32_t)HASH_COUNT(ps->producers));
	producer_state_each(ps, encode_row, &w);
	must(!w.full && wr_len(&w) == *len);
	be32enc(*out + SNAPSHOT_CRC, crc32c(*out + SNAPSHOT_BODY, *len - SNAPSHOT_BODY));
}

static bool
decode_row(struct reader *r, struct producer_entry *e)
{
	struct producer_batch b;

	memset(e, 0, sizeof(*e));
	e->producer_id = rd_i64(r);
	e->producer_epoch = rd_i16(r);
	b.last_sequence = rd_i32(r);
	b.last_offset = rd_i64(r);
	b.offset_delta = rd_i32(r);
	b.timestamp_ms = e->last_timestamp_ms = rd_i64(r);
	e->coordinator_epoch = rd_i32(r);
	e->txn_first_offset = rd_i64(r);
	if (e->txn_first_offset < 0)
		e->txn_first_offset = -1;
	if (b.last_offset >= 0)
		e->batches[e->nbatches++] = b;
	return (!r->bad && e->producer_id >= 0);
}

static enum err
decode_head(const uint8_t *p, size_t len, int32_t *count, struct errbuf *eb)
{
	if (len < SNAPSHOT_HEAD || be16dec(p) != SNAPSHOT_VERSION) {
		errbuf_set(eb, "not a producer snapshot of version %d", SNAPSHOT_VERSION);
		return (ERR_CORRUPT);
	}
	if (be32dec(p + SNAPSHOT_CRC) != crc32c(p + SNAPSHOT_BODY, len - SNAPSHOT_BODY)) {
		errbuf_set(eb, "the checksum of the producer snapshot is wrong");
		return (ERR_CORRUPT);
	}
	*count = (int32_t)be32dec(p + SNAPSHOT_BODY);
	if (*count < 0 || (size_t)*count > (len - SNAPSHOT_HEAD) / SNAPSHOT_ROW) {
		errbuf_set(eb, "the producer snapshot announces %" PRId32 " producers in %zu bytes", *count, len);
		return (ERR_CORRUPT);
	}
	return (OK);
}

enum err
producer_state_decode(struct producer_state *ps, const uint8_t *bytes, size_t len, int64_t snapshot_offset, int64_t now_ms, struct errbuf *eb)
{
	struct producer_entry e;
	struct reader r;
	int32_t count = 0;
	enum err err = decode_head(bytes, len, &count, eb);

	if (err != OK)
		return (err);
	producer_state_clear(ps);
	r = reader_of(slice_of(bytes + SNAPSHOT_HEAD, len - SNAPSHOT_HEAD));
	for (int32_t i = 0; i < count; i++) {
		if (!decode_row(&r, &e)) {
			errbuf_set(eb, "row %" PRId32 " of the producer snapshot is malformed", i);
			producer_state_clear(ps);
			return (ERR_CORRUPT);
		}
		if (expired(ps, &e, now_ms))
			continue;
		*find_or_add(ps, e.producer_id) = e;
		if (e.txn_first_offset >= 0)
			txn_put(&ps->ongoing, (struct txn){ e.producer_id, e.txn_first_offset, -1 });
	}
	ps->end = snapshot_offset;
	return (OK);
}

/* ---- what snapshots leave out ---- */

/* The same last batch, so the same story. */
static bool
same_last(const struct producer_entry *a, const struct producer_entry *b)
{
	const struct producer_batch *x = last_batch(a), *y = last_batch(b);

	return (a->producer_epoch == b->producer_epoch && x != NULL && y != NULL && x->last_offset == y->last_offset && x->last_sequence == y->last_sequence);
}

static bool
knows_all(const struct producer_entry *e)
{
	return (e->nbatches == 0 || e->nbatches == PRODUCER_BATCHES_MAX || batch_first_sequence(&e->batches[0]) == 0);
}

bool
producer_state_recall(struct producer_state *ps, const struct producer_state *history, int64_t since_ms)
{
	bool all = true;

	for (struct producer *p = ps->producers; p != NULL; p = p->hh.next) {
		const struct producer_entry *h = producer_state_find(history, p->entry.producer_id);

		if (h != NULL && h->nbatches > p->entry.nbatches && same_last(&p->entry, h)) {
			memcpy(p->entry.batches, h->batches, sizeof(h->batches));
			p->entry.nbatches = h->nbatches;
		}
		all &= knows_all(&p->entry) || p->entry.last_timestamp_ms < since_ms;
	}
	return (all);
}
