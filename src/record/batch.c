/* SPDX-License-Identifier: Apache-2.0
 *
 * record/batch.c - headers of batches: decode, patch, step.
 *
 * Every magic begins with offset i64 and length i32 and has its magic at byte 16; that is all a walker needs to step over what it does not
 * understand.  A magic 2 batch has one checksum (CRC-32C) over everything from its attributes on, so offset and leader epoch can be stamped without
 * touching it; a legacy message has a CRC-32 from its magic on.
 */
#include <zlib.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "record/record_int.h"

static uint32_t
batch_size_min(int8_t magic)
{
	switch (magic) {
	case 0:
		return (LEGACY_V0_OVERHEAD);
	case 1:
		return (LEGACY_V1_OVERHEAD);
	default:
		return (BATCH_OVERHEAD);
	}
}

enum err
batch_peek(struct slice s, struct batch_peek *p)
{
	int32_t length;

	if (s.len < BATCH_PEEK_BYTES)
		return (ERR_AGAIN);
	length = (int32_t)be32dec(s.p + BATCH_LENGTH);
	p->offset = (int64_t)be64dec(s.p + BATCH_BASE_OFFSET);
	p->magic = (int8_t)s.p[BATCH_MAGIC];
	if (length < 0 || length > INT32_MAX - BATCH_LOG_OVERHEAD || p->magic < 0 || p->magic > 2)
		return (ERR_CORRUPT);
	p->size = (uint32_t)length + BATCH_LOG_OVERHEAD;
	return (p->size < batch_size_min(p->magic) ? ERR_CORRUPT : OK);
}

static void
batch_v2_decode(const uint8_t *b, struct batch_header *h)
{
	h->header_size = BATCH_OVERHEAD;
	h->leader_epoch = (int32_t)be32dec(b + BATCH_LEADER_EPOCH);
	h->crc = be32dec(b + BATCH_CRC);
	h->attributes = be16dec(b + BATCH_ATTRIBUTES);
	h->last_offset_delta = (int32_t)be32dec(b + BATCH_LAST_OFFSET_DELTA);
	h->base_timestamp = (int64_t)be64dec(b + BATCH_BASE_TIMESTAMP);
	h->max_timestamp = (int64_t)be64dec(b + BATCH_MAX_TIMESTAMP);
	h->producer_id = (int64_t)be64dec(b + BATCH_PRODUCER_ID);
	h->producer_epoch = (int16_t)be16dec(b + BATCH_PRODUCER_EPOCH);
	h->base_sequence = (int32_t)be32dec(b + BATCH_BASE_SEQUENCE);
	h->record_count = (int32_t)be32dec(b + BATCH_RECORD_COUNT);
	h->last_offset = (int64_t)((uint64_t)h->base_offset + (uint64_t)(int64_t)h->last_offset_delta);
}

/* `b` has the bytes of the smallest message of its magic. */
static void
batch_legacy_decode(const uint8_t *b, struct batch_header *h)
{
	bool wrapper;

	h->header_size = batch_size_min(h->magic);
	h->leader_epoch = -1;
	h->crc = be32dec(b + LEGACY_CRC);
	h->attributes = b[LEGACY_ATTRIBUTES];
	h->base_timestamp = h->magic == 0 ? BATCH_NO_TIMESTAMP : (int64_t)be64dec(b + LEGACY_V1_TIMESTAMP);
	h->max_timestamp = h->base_timestamp;
	h->producer_id = BATCH_NO_PRODUCER;
	h->producer_epoch = BATCH_NO_EPOCH;
	h->base_sequence = BATCH_NO_SEQUENCE;
	wrapper = batch_codec(h) != CODEC_NONE;
	h->last_offset = h->base_offset;
	h->record_count = wrapper ? -1 : 1;
	if (wrapper)
		h->base_offset = -1;
}

enum err
batch_header_decode(struct slice s, struct batch_header *h)
{
	struct batch_peek p;
	enum err e = batch_peek(s, &p);

	if (e != OK)
		return (e);
	if (s.len < batch_size_min(p.magic))
		return (ERR_AGAIN);
	*h = (struct batch_header){ .base_offset = p.offset, .size = p.size, .magic = p.magic };
	if (p.magic == 2)
		batch_v2_decode(s.p, h);
	else
		batch_legacy_decode(s.p, h);
	return (OK);
}

int32_t
batch_sequence_add(int32_t sequence, int32_t n)
{
	if (sequence > INT32_MAX - n)
		return (n - (INT32_MAX - sequence) - 1);
	return (sequence + n);
}

int32_t
batch_sequence_sub(int32_t sequence, int32_t n)
{
	if (sequence < n)
		return (INT32_MAX - (n - sequence) + 1);
	return (sequence - n);
}

int32_t
batch_last_sequence(const struct batch_header *h)
{
	if (h->base_sequence < 0 || h->last_offset_delta < 0)
		return (h->base_sequence < 0 ? BATCH_NO_SEQUENCE : h->base_sequence);
	return (batch_sequence_add(h->base_sequence, h->last_offset_delta));
}

uint32_t
batch_crc(struct slice whole)
{
	must(whole.len >= BATCH_PEEK_BYTES);
	if (whole.p[BATCH_MAGIC] < 2)
		return ((uint32_t)crc32(0, whole.p + LEGACY_MAGIC, (unsigned)(whole.len - LEGACY_MAGIC)));
	if (whole.len <= BATCH_ATTRIBUTES)
		return (0);
	return (crc32c(whole.p + BATCH_ATTRIBUTES, whole.len - BATCH_ATTRIBUTES));
}

bool
batch_crc_ok(struct slice whole)
{
	struct batch_peek p;

	if (batch_peek(whole, &p) != OK || p.size != whole.len)
		return (false);
	return (be32dec(whole.p + (p.magic == 2 ? (int)BATCH_CRC : (int)LEGACY_CRC)) == batch_crc(whole));
}

enum err
batch_iter_next(struct batch_iter *it, struct batch_header *h, struct slice *whole)
{
	struct batch_peek p;
	enum err e;

	if (it->left.len == 0)
		return (ERR_NOTFOUND);
	e = batch_peek(it->left, &p);
	if (e != OK)
		return (e);
	if (it->left.len < p.size)
		return (ERR_AGAIN);
	*whole = slice_of(it->left.p, p.size);
	e = batch_header_decode(*whole, h);
	must(e == OK);
	it->left.p += p.size;
	it->left.len -= p.size;
	it->position += p.size;
	return (OK);
}

/* ---- changing a batch ---- */

void
batch_set_base_offset(uint8_t *b, int64_t offset)
{
	be64enc(b + BATCH_BASE_OFFSET, (uint64_t)offset);
}

void
batch_set_leader_epoch(uint8_t *b, int32_t epoch)
{
	be32enc(b + BATCH_LEADER_EPOCH, (uint32_t)epoch);
}

void
batch_set_max_timestamp(uint8_t *b, size_t size, enum timestamp_type type, int64_t ms)
{
	uint16_t old = be16dec(b + BATCH_ATTRIBUTES), bit = type == TIMESTAMP_LOG_APPEND_TIME ? BATCH_ATTR_APPEND_TIME : 0;

	if ((old & BATCH_ATTR_APPEND_TIME) == bit && (int64_t)be64dec(b + BATCH_MAX_TIMESTAMP) == ms)
		return;
	/* Kafka writes only the bits it knows: what a client left in the others goes. */
	old &= BATCH_ATTR_CODEC | BATCH_ATTR_TRANSACTIONAL | BATCH_ATTR_CONTROL | BATCH_ATTR_HORIZON;
	be16enc(b + BATCH_ATTRIBUTES, old | bit);
	be64enc(b + BATCH_MAX_TIMESTAMP, (uint64_t)ms);
	be32enc(b + BATCH_CRC, crc32c(b + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES));
}

void
batch_header_encode(uint8_t *b, struct batch_header *h)
{
	must(h->size >= BATCH_OVERHEAD && h->size <= INT32_MAX);
	be64enc(b + BATCH_BASE_OFFSET, (uint64_t)h->base_offset);
	be32enc(b + BATCH_LENGTH, h->size - BATCH_LOG_OVERHEAD);
	be32enc(b + BATCH_LEADER_EPOCH, (uint32_t)h->leader_epoch);
	b[BATCH_MAGIC] = 2;
	be16enc(b + BATCH_ATTRIBUTES, h->attributes);
	be32enc(b + BATCH_LAST_OFFSET_DELTA, (uint32_t)h->last_offset_delta);
	be64enc(b + BATCH_BASE_TIMESTAMP, (uint64_t)h->base_timestamp);
	be64enc(b + BATCH_MAX_TIMESTAMP, (uint64_t)h->max_timestamp);
	be64enc(b + BATCH_PRODUCER_ID, (uint64_t)h->producer_id);
	be16enc(b + BATCH_PRODUCER_EPOCH, (uint16_t)h->producer_epoch);
	be32enc(b + BATCH_BASE_SEQUENCE, (uint32_t)h->base_sequence);
	be32enc(b + BATCH_RECORD_COUNT, (uint32_t)h->record_count);
	h->magic = 2;
	h->header_size = BATCH_OVERHEAD;
	h->last_offset = h->base_offset + h->last_offset_delta;
	h->crc = crc32c(b + BATCH_ATTRIBUTES, h->size - BATCH_ATTRIBUTES);
	be32enc(b + BATCH_CRC, h->crc);
}

void
batch_empty_encode(uint8_t out[static BATCH_OVERHEAD], struct batch_header *h)
{
	h->size = BATCH_OVERHEAD;
	h->record_count = 0;
	h->attributes &= (uint16_t)~BATCH_ATTR_CODEC;
	h->base_timestamp = BATCH_NO_TIMESTAMP;
	batch_header_encode(out, h);
}

/* ---- legacy ---- */

/* A length-prefixed field: -1 (or below) is null. */
static struct slice
legacy_field(struct reader *r)
{
	int32_t len = rd_i32(r);

	return (len < 0 ? SLICE_NULL : rd_slice(r, (size_t)len));
}

enum err
legacy_body_decode(struct slice s, struct legacy_message *m)
{
	struct reader r = reader_of(s);

	(void)rd_u32(&r);	/* checksum */
	m->magic = rd_i8(&r);
	m->attributes = (uint8_t)rd_i8(&r);
	m->timestamp = m->magic == 0 ? BATCH_NO_TIMESTAMP : rd_i64(&r);
	m->key = legacy_field(&r);
	m->value = legacy_field(&r);
	if (r.bad)
		return (ERR_MALFORMED);
	return (m->magic < 0 || m->magic > 1 ? ERR_UNSUPPORTED : OK);
}

bool
legacy_body_crc_ok(struct slice s)
{
	return (be32dec(s.p) == (uint32_t)crc32(0, s.p + (LEGACY_MAGIC - LEGACY_CRC), (unsigned)(s.len - (LEGACY_MAGIC - LEGACY_CRC))));
}

enum err
legacy_message_decode(struct slice s, struct legacy_message *m)
{
	struct batch_peek p;
	enum err e = batch_peek(s, &p);

	if (e != OK)
		return (e);
	if (p.magic == 2)
		return (ERR_UNSUPPORTED);
	if (s.len < p.size)
		return (ERR_AGAIN);
	m->offset = p.offset;
	m->size = p.size;
	return (legacy_body_decode(slice_of(s.p + LEGACY_CRC, p.size - LEGACY_CRC), m));
}
