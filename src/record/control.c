/* SPDX-License-Identifier: Apache-2.0
 *
 * record/control.c - control batches: what ends a transaction.
 *
 * A control batch holds one record.  Key: version i16, type i16.  Value of a transaction marker: version i16, coordinator epoch i32.  Newer
 * versions may append fields, so a longer key or value is read as the version we know; types that never occur without KRaft are stepped over.
 */
#include "base/crc32c.h"
#include "base/must.h"
#include "record/record.h"

enum { CONTROL_KEY_BYTES = 4, CONTROL_VALUE_BYTES = 6 };

static enum err
control_bad(struct errbuf *eb, const char *why)
{
	errbuf_set(eb, "control batch: %s", why);
	return (ERR_MALFORMED);
}

static enum err
control_record_decode(const struct record *r, struct control_record *c, struct errbuf *eb)
{
	int16_t type;

	if (r->key.len < CONTROL_KEY_BYTES || (int16_t)be16dec(r->key.p) < 0)
		return (control_bad(eb, "a key that is none"));
	type = (int16_t)be16dec(r->key.p + 2);
	*c = (struct control_record){ CONTROL_UNKNOWN, -1 };
	if (type != CONTROL_ABORT && type != CONTROL_COMMIT)
		return (OK);
	if (r->value.len < CONTROL_VALUE_BYTES || (int16_t)be16dec(r->value.p) < 0)
		return (control_bad(eb, "a transaction marker without its value"));
	c->type = type == CONTROL_ABORT ? CONTROL_ABORT : CONTROL_COMMIT;
	c->coordinator_epoch = (int32_t)be32dec(r->value.p + 2);
	return (OK);
}

enum err
batch_control_decode(struct slice whole, struct control_record *c, struct errbuf *eb)
{
	struct batch_header h;
	struct record_iter it;
	struct record r;
	enum err e = batch_header_decode(whole, &h);

	if (e != OK)
		return (e);
	if (!batch_is_control(&h) || whole.len != h.size)
		return (control_bad(eb, "not a whole control batch"));
	e = record_iter_init(&it, NULL, whole, &h, RECORD_FULL, eb);
	if (e == OK)
		e = record_iter_next(&it, &r, eb);
	if (e == OK)
		e = control_record_decode(&r, c, eb);
	record_iter_fini(&it);
	return (e == ERR_NOTFOUND ? control_bad(eb, "no record in it") : e);
}

void
batch_end_txn_encode(uint8_t out[static BATCH_END_TXN_BYTES], const struct end_txn_marker *m)
{
	struct batch_header h = { .base_offset = m->base_offset, .size = BATCH_END_TXN_BYTES, .leader_epoch = m->leader_epoch,
	    .attributes = BATCH_ATTR_TRANSACTIONAL | BATCH_ATTR_CONTROL, .base_timestamp = m->timestamp_ms, .max_timestamp = m->timestamp_ms,
	    .producer_id = m->producer_id, .producer_epoch = m->producer_epoch, .base_sequence = BATCH_NO_SEQUENCE, .record_count = 1 };
	struct writer w = writer_of(out + BATCH_OVERHEAD, BATCH_END_TXN_BYTES - BATCH_OVERHEAD);

	must(m->type == CONTROL_ABORT || m->type == CONTROL_COMMIT);
	wr_varint(&w, BATCH_END_TXN_BYTES - BATCH_OVERHEAD - 1);
	wr_i8(&w, 0);
	wr_varlong(&w, 0);
	wr_varint(&w, 0);
	wr_varint(&w, CONTROL_KEY_BYTES);
	wr_i16(&w, 0);
	wr_i16(&w, (int16_t)m->type);
	wr_varint(&w, CONTROL_VALUE_BYTES);
	wr_i16(&w, 0);
	wr_i32(&w, m->coordinator_epoch);
	wr_varint(&w, 0);
	must(!w.full && wr_len(&w) == BATCH_END_TXN_BYTES - BATCH_OVERHEAD);
	batch_header_encode(out, &h);
}
