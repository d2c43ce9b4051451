/* SPDX-License-Identifier: Apache-2.0
 *
 * record/legacy.c - the messages of magic 0 and 1, which may stand in segments that an old broker wrote, and which old clients produce.
 *
 * An uncompressed message is a batch of one.  A wrapper's value is a compressed sequence of messages: with magic 0 their offsets are absolute, with
 * magic 1 they count from the first, and the wrapper's offset is the last one's, so the stream is read twice: for the last inner offset, then for the
 * messages.  (A wrapper offset of 0 comes from old librdkafka and means that the inner offsets are right as they are.)  Under LogAppendTime the
 * wrapper's timestamp is everyone's.
 */
#include "record/record_int.h"

static enum err
wrapper_bad(struct errbuf *eb, const char *why)
{
	errbuf_set(eb, "compressed message set: %s", why);
	return (ERR_MALFORMED);
}

enum err
legacy_inner_next(struct record_iter *it, int64_t *offset, struct slice *from_crc, struct errbuf *eb)
{
	const uint8_t *p;
	int64_t its_offset;
	int32_t len;
	enum err e = record_iter_take(it, BATCH_LOG_OVERHEAD, &p, eb);

	if (e != OK)
		return (e);
	its_offset = (int64_t)be64dec(p);
	len = (int32_t)be32dec(p + BATCH_LENGTH);
	if (len < LEGACY_BODY_MIN) {
		(void)wrapper_bad(eb, "an inner message shorter than any");
		return (ERR_INVALID);
	}
	e = record_iter_take(it, (size_t)len, &p, eb);
	if (e != OK)
		return (e);
	*offset = its_offset;
	*from_crc = slice_of(p, (size_t)len);
	return (OK);
}

static enum err
inner_next(struct record_iter *it, struct legacy_message *m, struct errbuf *eb)
{
	struct slice body;
	enum err e = legacy_inner_next(it, &m->offset, &body, eb);

	if (e != OK)
		return (e);
	if (legacy_body_decode(body, m) != OK)
		return (wrapper_bad(eb, "an inner message whose length and parts do not agree"));
	m->size = (uint32_t)body.len + BATCH_LOG_OVERHEAD;
	return (OK);
}

static enum err
wrapper_last_inner(struct record_iter *it, int64_t *last, struct errbuf *eb)
{
	struct slice body;
	bool any = false;
	enum err e;

	while ((e = legacy_inner_next(it, last, &body, eb)) == OK)
		any = true;
	if (e != ERR_NOTFOUND)
		return (e);
	return (any ? OK : wrapper_bad(eb, "nothing in it"));
}

enum err
legacy_iter_init(struct record_iter *it, struct errbuf *eb)
{
	struct legacy_message wrapper;
	int64_t last = 0;
	enum err e = legacy_message_decode(it->batch, &wrapper);

	if (e != OK)
		return (wrapper_bad(eb, "length and parts of the message do not agree"));
	if (batch_codec(&it->header) == CODEC_NONE)
		return (OK);
	if (wrapper.value.p == NULL || batch_codec(&it->header) == CODEC_ZSTD)
		return (wrapper_bad(eb, "without a value, or with a codec younger than the format"));
	e = record_iter_open(it, wrapper.value, eb);
	if (e == OK)
		e = wrapper_last_inner(it, &last, eb);
	if (e != OK)
		return (e);
	if (it->header.magic == 1 && wrapper.offset != 0) {
		if (wrapper.offset < last)
			return (wrapper_bad(eb, "its offset is below the last one in it"));
		it->relative = (int64_t)((uint64_t)wrapper.offset - (uint64_t)last);
	}
	return (record_iter_open(it, wrapper.value, eb));
}

static void
legacy_record(const struct record_iter *it, const struct legacy_message *m, struct record *r)
{
	*r = (struct record){ .offset = (int64_t)((uint64_t)m->offset + (uint64_t)it->relative), .timestamp = m->timestamp, .size = m->size,
	    .attributes = m->attributes, .key = m->key, .value = m->value };
	r->key_len = m->key.p == NULL ? -1 : (int32_t)m->key.len;
	r->value_len = m->value.p == NULL ? -1 : (int32_t)m->value.len;
	if (it->header.magic == 1 && m->magic == 1 && batch_timestamp_type(&it->header) == TIMESTAMP_LOG_APPEND_TIME)
		r->timestamp = it->header.max_timestamp;
}

enum err
legacy_iter_next(struct record_iter *it, struct record *r, struct errbuf *eb)
{
	struct legacy_message m;
	enum err e;

	if (it->done)
		return (ERR_NOTFOUND);
	if (!it->stream) {
		it->done = true;
		e = legacy_message_decode(it->batch, &m);
	} else {
		e = inner_next(it, &m, eb);
		if (e == OK && (m.attributes & BATCH_ATTR_CODEC) != CODEC_NONE)
			e = wrapper_bad(eb, "a compressed message inside");
	}
	if (e != OK) {
		it->done = true;
		return (e);
	}
	it->seen++;
	legacy_record(it, &m, r);
	return (OK);
}
