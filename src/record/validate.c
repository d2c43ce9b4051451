/* SPDX-License-Identifier: Apache-2.0
 *
 * record/validate.c - a leader's checks, in Kafka's order, so that a batch with two faults gets the error Kafka gives.
 *
 *  1. exactly one whole batch, of magic 2; a beginning of another behind it is cut off silently	INVALID_RECORD, CORRUPT_MESSAGE
 *     (Produce 0 to 2: validate_legacy.c)
 *  2. zstd in a Produce below version 7							UNSUPPORTED_COMPRESSION_TYPE
 *  3. base offset 0 (clients)								INVALID_RECORD
 *  4. size										MESSAGE_TOO_LARGE
 *  5. checksum										CORRUPT_MESSAGE
 *  6. codec known; built in								UNKNOWN_SERVER_ERROR; UNSUPPORTED_COMPRESSION_TYPE
 *  7. offsets, count, no control batch, sequence with a producer id (clients)		INVALID_RECORD
 *  8. every record: framing								INVALID_RECORD
 *     a compressed stream that does not inflate						UNKNOWN_SERVER_ERROR, as Java's KafkaException becomes
 *     key on compacted topics, then timestamp: all records are looked at, and listed		INVALID_TIMESTAMP if any is one, else INVALID_RECORD
 *  9. no gaps between the offsets of a compressed batch that is stored as it is		UNKNOWN_SERVER_ERROR
 * 10. not larger than a segment								RECORD_LIST_TOO_LARGE
 *
 * test/golden/record/MakeVerdicts.java asks Kafka; test_verdicts compares.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/must.h"
#include "record/validate_int.h"

enum {
	LARGE_PLAIN	= (1 << 20) + 4096,	/* bytes from which a worker should validate.  The loop that has received a megabyte, and will write it, spends a
				 * fifth more on checksum and walk; another processor begins with a cold cache, after two wake-ups */
	LARGE_FAST	= 4 << 10,	/* lz4 and snappy inflate at most 255-fold */
	LARGE_SLOW	= 512		/* gzip a thousandfold, zstd far more */
};

enum kerr
check_fail(struct check *c, enum kerr code, const char *detail)
{
	*c->failure = (struct record_failure){ .code = code, .detail = detail != NULL ? detail : kerr_text(code) };
	return (code);
}

/* ---- the batch ---- */

static enum kerr
check_framing(struct check *c, struct slice bytes, struct slice *whole)
{
	struct batch_iter it = batch_iter_of(bytes);
	struct batch_header second;
	struct slice rest;
	enum err e = bytes.len == 0 ? ERR_NOTFOUND : batch_iter_next(&it, &c->info->header, whole);

	if (e == ERR_NOTFOUND || e == ERR_AGAIN)
		return (check_fail(c, KERR_INVALID_RECORD, "no whole record batch"));
	if (e != OK)
		return (check_fail(c, KERR_CORRUPT_MESSAGE, "what stands there is not a record batch"));
	if (c->info->header.magic != 2)
		return (FAILF(c, KERR_INVALID_RECORD, "a batch of magic %d, where only 2 is allowed", c->info->header.magic));
	if (c->request->origin == RECORD_FROM_CLIENT && c->request->produce_version < 7 && batch_codec(&c->info->header) == CODEC_ZSTD)
		return (check_fail(c, KERR_UNSUPPORTED_COMPRESSION_TYPE, "zstd in a Produce request below version 7"));
	if (c->request->origin == RECORD_FROM_CLIENT && c->request->produce_version < 7 && (unsigned)batch_codec(&c->info->header) >= CODEC_COUNT_)
		return (check_fail(c, KERR_UNKNOWN_SERVER_ERROR, "a compression codec that is unknown"));
	e = batch_iter_next(&it, &second, &rest);
	if (e == OK)
		return (check_fail(c, KERR_INVALID_RECORD, "more than one record batch"));
	if (e == ERR_CORRUPT)
		return (check_fail(c, KERR_CORRUPT_MESSAGE, "something other than a record batch follows the first"));
	return (KERR_NONE);
}

enum kerr
check_bytes(struct check *c, struct slice whole)
{
	const struct batch_header *h = &c->info->header;

	if (c->request->origin == RECORD_FROM_CLIENT && h->magic == 2 && h->base_offset != 0)
		return (FAILF(c, KERR_INVALID_RECORD, "base offset %lld in a produced batch", (long long)h->base_offset));
	if ((int64_t)h->size > c->rules->max_message_bytes)
		return (FAILF(c, KERR_MESSAGE_TOO_LARGE, "a batch of %u bytes, more than max.message.bytes %d", h->size, (int)c->rules->max_message_bytes));
	if (!batch_crc_ok(whole))
		return (FAILF(c, KERR_CORRUPT_MESSAGE, "the checksum is not the stored %08x", h->crc));
	if ((unsigned)batch_codec(h) >= CODEC_COUNT_)
		return (FAILF(c, KERR_UNKNOWN_SERVER_ERROR, "compression codec %d is unknown", (int)batch_codec(h)));
	if (!codec_built_in(batch_codec(h)))
		return (FAILF(c, KERR_UNSUPPORTED_COMPRESSION_TYPE, "this broker was built without the %s codec", codec_name(batch_codec(h))));
	return (KERR_NONE);
}

static enum kerr
check_header(struct check *c)
{
	const struct batch_header *h = &c->info->header;

	if (c->request->origin != RECORD_FROM_CLIENT)
		return (KERR_NONE);
	if (h->last_offset_delta < 0 || h->record_count <= 0 || h->record_count - 1 != h->last_offset_delta)
		return (FAILF(c, KERR_INVALID_RECORD, "%d records over offsets 0..%d", (int)h->record_count, (int)h->last_offset_delta));
	if (batch_is_control(h))
		return (check_fail(c, KERR_INVALID_RECORD, "a control batch from a client"));
	if (batch_has_producer(h) && h->base_sequence < 0)
		return (FAILF(c, KERR_INVALID_RECORD, "producer %lld with sequence %d", (long long)h->producer_id, (int)h->base_sequence));
	return (KERR_NONE);
}

/* ---- its records ---- */

void
reject_record(struct check *c, int32_t index, const char *message)
{
	struct record_failure *f = c->failure;
	int32_t count = c->info->header.record_count;	/* unknown in a legacy wrapper */

	if (f->errors == NULL)
		f->errors = ARENA_ARRAY(c->arena, struct record_error, (size_t)(count < 0 ? LIMIT_RECORD_ERRORS_MAX : MIN(LIMIT_RECORD_ERRORS_MAX, count)));
	if (f->errors != NULL && f->n_errors < LIMIT_RECORD_ERRORS_MAX)
		f->errors[f->n_errors++] = (struct record_error){ index, message != NULL ? message : "rejected" };
	c->rejected++;
}

static bool
timestamp_in_range(const struct check *c, int64_t ts)
{
	int64_t age = (int64_t)((uint64_t)c->request->now_ms - (uint64_t)ts);	/* wraps as Java's does */

	return (age <= c->rules->timestamp_before_max_ms && (int64_t)(0 - (uint64_t)age) <= c->rules->timestamp_after_max_ms);
}

static void
reject_timestamp(struct check *c, int32_t index, int64_t ts)
{
	const struct record_rules *ru = c->rules;
	uint64_t now = (uint64_t)c->request->now_ms;

	c->bad_timestamp = true;
	reject_record(c, index, arena_printf(c->arena, "timestamp %lld is outside of %lld..%lld, which topic %s accepts", (long long)ts,
	    (long long)(now - (uint64_t)ru->timestamp_before_max_ms), (long long)(now + (uint64_t)ru->timestamp_after_max_ms), c->request->topic));
}

void
check_record(struct check *c, int32_t index, const struct record *r)
{
	if (UNLIKELY(c->rules->compacted && r->key_len < 0)) {
		reject_record(c, index, arena_printf(c->arena, "a record without a key cannot be kept by compacted topic %s", c->request->topic));
	} else if (c->rules->timestamp_type == TIMESTAMP_CREATE_TIME && r->timestamp != BATCH_NO_TIMESTAMP) {
		if (UNLIKELY(!timestamp_in_range(c, r->timestamp)))
			reject_timestamp(c, index, r->timestamp);
	} else if (UNLIKELY(batch_timestamp_type(&c->info->header) == TIMESTAMP_LOG_APPEND_TIME)) {
		c->bad_timestamp = true;
		reject_record(c, index, "the producer set the timestamp type LogAppendTime, which is the broker's to set");
	}
}

enum kerr
records_rejected(struct check *c)
{
	struct record_failure *f = c->failure;

	if (c->rejected == 0)
		return (KERR_NONE);
	f->code = c->bad_timestamp ? KERR_INVALID_TIMESTAMP : KERR_INVALID_RECORD;
	if (c->bad_timestamp)
		f->error_message = "one or more records were rejected because of their timestamp";
	else
		f->error_message = arena_printf(c->arena, "%zu records were rejected", c->rejected);
	f->detail = f->error_message != NULL ? f->error_message : kerr_text(f->code);
	return (f->code);
}

enum kerr
walk_failed(struct check *c, enum err e, const struct errbuf *eb)
{
	switch (e) {
	case ERR_MALFORMED:
		return (FAILF(c, KERR_INVALID_RECORD, "%s", eb->text));
	case ERR_LIMIT:
		return (FAILF(c, KERR_MESSAGE_TOO_LARGE, "%s", eb->text));
	case ERR_UNSUPPORTED:
		return (FAILF(c, KERR_UNSUPPORTED_COMPRESSION_TYPE, "%s", eb->text));
	default:
		return (FAILF(c, KERR_UNKNOWN_SERVER_ERROR, "%s", e == ERR_NOMEM ? err_text(e) : eb->text));
	}
}

static enum kerr
check_records(struct check *c, struct slice whole)
{
	struct record_info *info = c->info;
	struct errbuf eb = ERRBUF_INIT;
	struct record_iter it;
	struct record r;
	int32_t index = 0;
	bool consecutive = true;
	enum err e = record_iter_init(&it, c->ctx, whole, &info->header, RECORD_FRAMING, &eb);

	info->max_timestamp = BATCH_NO_TIMESTAMP;
	while (e == OK && (e = record_iter_next(&it, &r, &eb)) == OK) {
		check_record(c, index, &r);
		consecutive &= r.offset == index;
		info->max_timestamp = MAX(info->max_timestamp, r.timestamp);
		index++;
	}
	record_iter_fini(&it);
	if (e != ERR_NOTFOUND)
		return (walk_failed(c, e, &eb));
	info->record_count = index;
	c->gaps = !consecutive;
	return (records_rejected(c));
}

static void
info_fill(struct check *c)
{
	const struct batch_header *h = &c->info->header;
	struct record_info *info = c->info;
	enum codec target = target_codec(c->rules, batch_codec(h));

	info->size = h->size;
	info->codec = batch_codec(h);
	info->last_offset_delta = h->last_offset_delta;
	info->producer_id = h->producer_id;
	info->producer_epoch = h->producer_epoch;
	info->base_sequence = h->base_sequence;
	info->last_sequence = batch_last_sequence(h);
	info->transactional = batch_is_transactional(h);
	info->control = batch_is_control(h);
	/* Kafka writes an uncompressed control batch as it is. */
	info->needs_rebuild = target != info->codec && !(info->control && info->codec == CODEC_NONE);
}

/* A compressed batch that would be stored as it is must have no gaps.  (Kafka means to rebuild it, but has stepped over keys and values by then and
 * fails.)  One that is rebuilt anyway loses its gaps; one without compression keeps them. */
static enum kerr
check_gaps(struct check *c)
{
	const struct record_info *info = c->info;

	if (!c->gaps || info->needs_rebuild || (info->codec == CODEC_NONE && target_codec(c->rules, CODEC_NONE) == CODEC_NONE))
		return (KERR_NONE);
	return (check_fail(c, KERR_UNKNOWN_SERVER_ERROR, "offsets of a compressed batch that do not count 0, 1, 2.."));
}

static enum kerr
check_segment(struct check *c)
{
	if (!c->info->needs_rebuild && (int64_t)c->info->size > c->rules->segment_bytes)
		return (FAILF(c, KERR_RECORD_LIST_TOO_LARGE, "a batch of %u bytes, more than segment.bytes %d", c->info->size, (int)c->rules->segment_bytes));
	return (KERR_NONE);
}

/* A coordinator has built the batch itself (record/builder.c): when its header leaves nothing to refuse, a walk would find what the header says. */
static bool
header_says_all(const struct check *c)
{
	const struct batch_header *h = &c->info->header;

	return (c->request->origin == RECORD_FROM_COORDINATOR && batch_codec(h) == CODEC_NONE && !batch_is_control(h) &&
	    batch_timestamp_type(h) == TIMESTAMP_CREATE_TIME && h->record_count - 1 == h->last_offset_delta &&
	    c->rules->timestamp_before_max_ms == INT64_MAX && timestamp_in_range(c, h->max_timestamp));
}

enum kerr
check_batch(struct check *c, struct slice whole)
{
	enum kerr k = check_header(c);

	if (k == KERR_NONE && header_says_all(c)) {
		c->info->max_timestamp = c->info->header.max_timestamp;
		c->info->record_count = c->info->header.record_count;
	} else if (k == KERR_NONE)
		k = check_records(c, whole);
	if (k != KERR_NONE)
		return (k);
	info_fill(c);
	k = check_gaps(c);
	return (k != KERR_NONE ? k : check_segment(c));
}

enum kerr
record_validate(struct slice bytes, const struct record_rules *rules, const struct record_request *request, struct codec_ctx *ctx, struct arena *arena,
    struct record_info *info, struct record_failure *failure)
{
	struct check c = { .rules = rules, .request = request, .ctx = ctx, .arena = arena, .info = info, .failure = failure };
	struct slice whole = SLICE_NULL;
	enum kerr k;

	*info = (struct record_info){ 0 };
	*failure = (struct record_failure){ 0 };
	if (request->origin == RECORD_FROM_CLIENT && request->produce_version < PRODUCE_ONE_BATCH)
		return (check_old_produce(&c, bytes));
	k = check_framing(&c, bytes, &whole);
	failure->of_framing = k != KERR_NONE;
	if (k == KERR_NONE)
		k = check_bytes(&c, whole);
	return (k != KERR_NONE ? k : check_batch(&c, whole));
}

enum kerr
record_validate_framing(struct slice bytes, const struct record_request *request, struct arena *arena, struct record_failure *failure)
{
	struct record_info info = { 0 };
	struct check c = { .request = request, .arena = arena, .info = &info, .failure = failure };
	struct slice whole = SLICE_NULL;

	*failure = (struct record_failure){ 0 };
	if (request->origin == RECORD_FROM_CLIENT && request->produce_version < PRODUCE_ONE_BATCH)
		return (KERR_NONE);
	return (check_framing(&c, bytes, &whole));
}

bool
record_validate_is_large(struct slice bytes, const struct record_rules *rules)
{
	struct batch_header h;

	if (bytes.len > LARGE_PLAIN)
		return (true);
	if (batch_header_decode(bytes, &h) != OK)
		return (false);
	if (target_codec(rules, batch_codec(&h)) != batch_codec(&h))
		return (bytes.len > LARGE_SLOW);
	if (h.magic != 2)	/* built anew, always */
		return (batch_codec(&h) != CODEC_NONE && bytes.len > LARGE_SLOW);
	switch (batch_codec(&h)) {
	case CODEC_NONE:
		return (false);
	case CODEC_SNAPPY:
	case CODEC_LZ4:
		return (bytes.len > LARGE_FAST);
	default:
		return (bytes.len > LARGE_SLOW);
	}
}

/* ---- the other batch ---- */

static struct batch_builder *
rebuild_start(const struct check *c, struct errbuf *eb)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;

	o.codec = target_codec(c->rules, c->info->codec);
	o.level = c->rules->compression == RECORD_COMPRESSION_PRODUCER ? CODEC_LEVEL_DEFAULT : c->rules->level;
	o.producer_id = c->info->producer_id;
	o.producer_epoch = c->info->producer_epoch;
	o.base_sequence = c->info->base_sequence;
	o.transactional = c->info->transactional;
	o.control = c->info->control;
	o.bytes_max = (size_t)MAX(c->rules->max_message_bytes, BATCH_OVERHEAD);
	return (batch_builder_new(c->ctx, &o, eb));
}

static enum err
rebuild_record(struct batch_builder *b, const struct record *r, struct arena *scratch)
{
	struct reader rd = reader_of(r->headers);
	struct record_header *h = NULL;

	if (r->header_count > 0) {
		arena_reset(scratch);
		h = ARENA_ARRAY(scratch, struct record_header, (size_t)r->header_count);
		if (h == NULL)
			return (ERR_LIMIT);
	}
	for (int32_t i = 0; i < r->header_count; i++) {
		if (record_header_next(&rd, &h[i]) != OK)
			return (ERR_MALFORMED);
	}
	return (batch_builder_append(b, r->timestamp, r->key, r->value, h, (size_t)r->header_count));
}

static enum err
rebuild_batch(struct check *c, struct slice whole, const struct batch_header *h, struct batch_builder *b, struct arena *scratch, struct errbuf *eb)
{
	struct record_iter it;
	struct record r;
	enum err e = record_iter_init(&it, c->ctx, whole, h, RECORD_FULL, eb);

	while (e == OK) {
		e = record_iter_next(&it, &r, eb);
		if (e == OK)
			e = rebuild_record(b, &r, scratch);
	}
	record_iter_fini(&it);
	return (e == ERR_NOTFOUND ? OK : e);
}

/* One batch, or the messages of an old client. */
static enum err
rebuild_records(struct check *c, struct slice bytes, struct batch_builder *b, struct errbuf *eb)
{
	struct batch_iter it = batch_iter_of(bytes);
	struct batch_header h;
	struct slice whole;
	struct arena scratch;
	enum err e;

	arena_init(&scratch, (size_t)LIMIT_REQUEST_BYTES_MAX * LIMIT_ARENA_FACTOR);
	while ((e = batch_iter_next(&it, &h, &whole)) == OK) {
		e = rebuild_batch(c, whole, &h, b, &scratch, eb);
		if (e != OK)
			break;
	}
	arena_fini(&scratch);
	return (e == ERR_NOTFOUND ? OK : e);
}

static enum kerr
rebuild_failed(struct check *c, enum err e, const struct errbuf *eb)
{
	if (e == ERR_LIMIT)
		return (FAILF(c, KERR_MESSAGE_TOO_LARGE, "written with %s the batch passes max.message.bytes %d",
		    codec_name(target_codec(c->rules, c->info->codec)), (int)c->rules->max_message_bytes));
	if (e == ERR_INVALID)
		return (check_fail(c, KERR_UNKNOWN_SERVER_ERROR, "a negative timestamp, or a producer id without epoch or sequence, cannot be written again"));
	return (walk_failed(c, e, eb));
}

enum kerr
record_rebuild(struct slice bytes, const struct record_rules *rules, const struct record_request *request, struct codec_ctx *ctx, struct arena *arena,
    struct record_info *info, uint8_t **out, struct record_failure *failure)
{
	struct check c = { .rules = rules, .request = request, .ctx = ctx, .arena = arena, .info = info, .failure = failure };
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b;
	size_t size;
	enum err e;

	must(info->needs_rebuild && bytes.len >= info->size);
	*out = NULL;
	*failure = (struct record_failure){ 0 };
	b = rebuild_start(&c, &eb);
	if (b == NULL)
		return (walk_failed(&c, ERR_UNSUPPORTED, &eb));
	e = rebuild_records(&c, slice_of(bytes.p, info->size), b, &eb);
	if (e == OK)
		e = batch_builder_finish(b, out, &size, &info->header);
	batch_builder_free(b);
	if (e != OK)
		return (rebuild_failed(&c, e, &eb));
	info_fill(&c);
	info->needs_rebuild = false;
	if (check_segment(&c) != KERR_NONE) {
		free(*out);
		*out = NULL;
	}
	return (failure->code);
}

/* ---- its place in the log ---- */

void
record_assign(uint8_t *bytes, const struct record_info *info, enum timestamp_type type, int64_t base_offset, int32_t leader_epoch, int64_t now_ms,
    struct record_assigned *out)
{
	int64_t max = type == TIMESTAMP_LOG_APPEND_TIME ? now_ms : info->max_timestamp;

	must(!info->needs_rebuild);
	batch_set_base_offset(bytes, base_offset);
	batch_set_leader_epoch(bytes, leader_epoch);
	batch_set_max_timestamp(bytes, info->size, type, max);
	out->base_offset = base_offset;
	out->last_offset = base_offset + info->last_offset_delta;
	out->max_timestamp = max;
	out->offset_of_max_timestamp = max == BATCH_NO_TIMESTAMP ? -1 : out->last_offset;
	out->log_append_time_ms = type == TIMESTAMP_LOG_APPEND_TIME ? now_ms : -1;
}
