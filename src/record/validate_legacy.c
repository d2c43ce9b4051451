/* SPDX-License-Identifier: Apache-2.0
 *
 * record/validate_legacy.c - what a leader checks in the records of Produce 0, 1 and 2.
 *
 * Those versions promise nothing about the records: none at all (an answer without error and without offset), messages of magic 0 or 1, one wrapper with
 * compressed messages, even one batch of magic 2 (then checked as in later versions, zstd too).  The end may be cut off.  What is not magic 2 is
 * built anew: the log of a leader grows by batches of magic 2 only.  Kafka's order:
 *
 *  1. each message or batch: size, checksum, codec; a magic 2 batch's offset	MESSAGE_TOO_LARGE, CORRUPT_MESSAGE, UNKNOWN_SERVER_ERROR; INVALID_RECORD
 *  2. when nothing is and gets compressed: keys and values within their messages	UNKNOWN_SERVER_ERROR
 *  3. one wrapper, or messages without compression; all of one magic			INVALID_RECORD
 *  4. a wrapper as a whole: value, lz4, snappy or gzip, a message in it, its offset	INVALID_RECORD
 *     a stream that does not inflate							UNKNOWN_SERVER_ERROR
 *     a length below the smallest message's						CORRUPT_MESSAGE
 *  5. each message: not compressed inside a wrapper, its magic, its own checksum, key, timestamp;
 *     of messages without compression the first bad one alone is listed
 *  6. keys and values within their messages, no negative timestamps			UNKNOWN_SERVER_ERROR
 *
 * Java meets 2 and 6 as exceptions of its buffers, which producers see as UNKNOWN_SERVER_ERROR; we say so without the detour.
 * One difference: a magic 1 message of 26 to 33 bytes is CORRUPT_MESSAGE here at once.
 */
#include "record/record_int.h"
#include "record/validate_int.h"

struct message_set {
	struct slice	    bytes;	/* whole messages only */
	struct batch_header first;
	uint32_t	    n;
	enum codec	    codec;	/* of the last compressed one */
	bool		    plain;	/* nothing is, and nothing gets compressed */
	bool		    damaged;	/* parts of a message lie outside of it */
};

/* A magic 2 batch is no message: ERR_UNSUPPORTED. */
static bool
parts_fit(enum err e)
{
	return (e != ERR_MALFORMED);
}

/* ---- the set ---- */

/* Where the walk stopped.  Java's knows one smallest length for all magics, and compares it before it looks whether the whole is there. */
static enum kerr
check_tail(struct check *c, struct slice left)
{
	int32_t length = left.len < BATCH_LOG_OVERHEAD ? 0 : (int32_t)be32dec(left.p + BATCH_LENGTH);

	if (left.len < BATCH_LOG_OVERHEAD)
		return (KERR_NONE);
	if (length < LEGACY_BODY_MIN || (left.len >= BATCH_PEEK_BYTES && left.p[BATCH_MAGIC] > 2))
		return (check_fail(c, KERR_CORRUPT_MESSAGE, "what stands there is no message"));
	if (left.len - BATCH_LOG_OVERHEAD < (size_t)length)
		return (KERR_NONE);
	if (left.p[BATCH_MAGIC] == 2 && be64dec(left.p + BATCH_BASE_OFFSET) != 0)
		return (check_fail(c, KERR_INVALID_RECORD, "a batch that is too short and does not begin at offset 0"));
	return (check_fail(c, KERR_CORRUPT_MESSAGE, "a message shorter than any of its magic"));
}

static enum kerr
set_scan(struct check *c, struct slice bytes, struct message_set *set)
{
	struct batch_header *h = &c->info->header;
	struct batch_iter it = batch_iter_of(bytes);
	struct legacy_message m;
	struct slice whole;
	enum kerr k;

	while (batch_iter_next(&it, h, &whole) == OK) {
		k = check_bytes(c, whole);
		if (k != KERR_NONE)
			return (k);
		if (set->n++ == 0)
			set->first = *h;
		if (batch_codec(h) != CODEC_NONE)
			set->codec = batch_codec(h);
		set->damaged |= !parts_fit(legacy_message_decode(whole, &m));
	}
	k = check_tail(c, it.left);
	if (k != KERR_NONE)
		return (k);
	*h = set->first;
	set->bytes = slice_of(bytes.p, it.position);
	set->plain = set->codec == CODEC_NONE && target_codec(c->rules, CODEC_NONE) == CODEC_NONE;
	return (KERR_NONE);
}

/* ---- its messages ---- */

static enum kerr
message_damaged(struct check *c)
{
	return (check_fail(c, KERR_UNKNOWN_SERVER_ERROR, "a message whose length and parts do not agree"));
}

/* Key and timestamp of a message whose parts need not fit. */
static void
check_message(struct check *c, int32_t index, struct slice from_crc, int64_t timestamp)
{
	size_t at = (from_crc.p[LEGACY_MAGIC - LEGACY_CRC] == 0 ? LEGACY_V0_OVERHEAD : LEGACY_V1_OVERHEAD) - 8 - LEGACY_CRC;
	struct record r = { .timestamp = timestamp, .key_len = from_crc.len < at + 4 ? 0 : (int32_t)be32dec(from_crc.p + at) };

	check_record(c, index, &r);
	c->info->max_timestamp = MAX(c->info->max_timestamp, timestamp);
}

static enum kerr
check_single(struct check *c, const struct message_set *set, struct slice whole)
{
	const struct batch_header *h = &c->info->header;
	enum kerr k;

	if (h->magic != set->first.magic)
		return (FAILF(c, KERR_INVALID_RECORD, "messages of magic %d and %d", set->first.magic, h->magic));
	check_message(c, 0, slice_of(whole.p + LEGACY_CRC, whole.len - LEGACY_CRC), h->max_timestamp);
	k = records_rejected(c);
	if (k == KERR_NONE && set->plain && h->max_timestamp < BATCH_NO_TIMESTAMP)
		return (FAILF(c, KERR_UNKNOWN_SERVER_ERROR, "timestamp %lld", (long long)h->max_timestamp));
	return (k);
}

static enum kerr
check_singles(struct check *c, const struct message_set *set)
{
	struct batch_iter it = batch_iter_of(set->bytes);
	struct slice whole;
	enum kerr k = KERR_NONE;

	if (set->plain && set->damaged)
		return (message_damaged(c));
	while (k == KERR_NONE && batch_iter_next(&it, &c->info->header, &whole) == OK)
		k = check_single(c, set, whole);
	if (k == KERR_NONE && set->damaged)
		k = message_damaged(c);
	c->info->record_count = (int32_t)set->n;
	return (k);
}

/* ---- messages in a wrapper ---- */

static enum kerr
check_inner(struct check *c, int32_t index, struct slice from_crc, bool *damaged)
{
	const struct batch_header *h = &c->info->header;
	struct legacy_message m;
	bool fits = parts_fit(legacy_body_decode(from_crc, &m));
	unsigned codec = m.attributes & BATCH_ATTR_CODEC;

	*damaged |= !fits;
	if (codec >= CODEC_COUNT_)
		return (FAILF(c, KERR_UNKNOWN_SERVER_ERROR, "compression codec %u is unknown", codec));
	if (codec != CODEC_NONE)
		return (check_fail(c, KERR_INVALID_RECORD, "a compressed message inside a compressed one"));
	if (m.magic != h->magic) {
		if (!fits)
			return (message_damaged(c));
		reject_record(c, index, arena_printf(c->arena, "magic %d in a wrapper of magic %d", m.magic, h->magic));
		return (KERR_NONE);
	}
	if (!legacy_body_crc_ok(from_crc))
		return (check_fail(c, KERR_CORRUPT_MESSAGE, "an inner message whose checksum is not the stored one"));
	check_message(c, index, from_crc, batch_timestamp_type(h) == TIMESTAMP_LOG_APPEND_TIME ? h->max_timestamp : m.timestamp);
	return (KERR_NONE);
}

static enum kerr
wrapper_failed(struct check *c, enum err e, const struct errbuf *eb)
{
	return (e == ERR_INVALID ? FAILF(c, KERR_CORRUPT_MESSAGE, "%s", eb->text) : walk_failed(c, e, eb));
}

static enum kerr
check_inners(struct check *c, struct slice whole)
{
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct slice body;
	int64_t offset;
	int32_t index = 0;
	bool damaged = false;
	enum kerr k = KERR_NONE;
	enum err e = record_iter_init(&it, c->ctx, whole, &c->info->header, RECORD_FULL, &eb);

	while (k == KERR_NONE && e == OK && (e = legacy_inner_next(&it, &offset, &body, &eb)) == OK)
		k = check_inner(c, index++, body, &damaged);
	record_iter_fini(&it);
	if (k == KERR_NONE && e != ERR_NOTFOUND)
		k = wrapper_failed(c, e, &eb);
	if (k == KERR_NONE)
		k = records_rejected(c);
	if (k == KERR_NONE && damaged)
		k = message_damaged(c);
	c->info->record_count = index;
	return (k);
}

static enum kerr
check_wrapper(struct check *c, const struct message_set *set)
{
	if (set->damaged && set->codec != CODEC_ZSTD)
		return (message_damaged(c));
	return (check_inners(c, set->bytes));
}

enum kerr
check_old_produce(struct check *c, struct slice bytes)
{
	struct message_set set = { .n = 0 };
	struct record_info *info = c->info;
	enum kerr k;

	if (bytes.p == NULL)
		return (check_fail(c, KERR_UNKNOWN_SERVER_ERROR, "no records, not even an empty set"));
	k = set_scan(c, bytes, &set);
	if (k != KERR_NONE || set.n == 0)
		return (k);
	if (set.n > 1 && (set.first.magic == 2 || set.codec != CODEC_NONE))
		return (check_fail(c, KERR_INVALID_RECORD, "more than one compressed message or record batch"));
	if (set.first.magic == 2)
		return (check_batch(c, set.bytes));
	info->max_timestamp = BATCH_NO_TIMESTAMP;
	k = set.codec == CODEC_NONE ? check_singles(c, &set) : check_wrapper(c, &set);
	info->header = set.first;
	info->size = (uint32_t)set.bytes.len;
	info->codec = set.codec;
	info->last_offset_delta = info->record_count - 1;
	info->producer_id = BATCH_NO_PRODUCER;
	info->producer_epoch = BATCH_NO_EPOCH;
	info->base_sequence = info->last_sequence = BATCH_NO_SEQUENCE;
	info->needs_rebuild = true;
	return (k);
}
