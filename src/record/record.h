/* SPDX-License-Identifier: Apache-2.0
 *
 * record/record.h - the records inside a batch: walking them, and building batches of magic 2.
 *
 * Walking is a stream: a compressed body is never inflated as a whole.  A framing walk (RECORD_FRAMING) gives lengths, timestamps and
 * offsets and steps over key, value and headers; a full walk (RECORD_FULL) gives them as slices.  Either finds every framing error that
 * Kafka's reader finds, and both serve all magics (the messages of a legacy wrapper come with absolute offsets).
 *
 * Ownership  Bytes of the batch are borrowed for the life of the iterator; the slices of a record are valid until the next call.
 * Memory     Framing: one codec window.  Full: also one record that crosses windows, at most LIMIT_RECORD_BYTES_MAX.
 * Threads    An iterator or builder belongs to one thread at a time, together with its codec_ctx.
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/slice.h"
#include "record/batch.h"
#include "record/codec.h"

enum record_walk { RECORD_FRAMING, RECORD_FULL };

struct record {
	int64_t	 offset;		/* absolute */
	int64_t	 timestamp;		/* the batch's maximum under LogAppendTime; v0: -1 */
	int64_t	 timestamp_delta;	/* as stored; legacy: 0 */
	int32_t	 offset_delta;		/* as stored; legacy: 0 */
	uint32_t size;			/* in the uncompressed body, with its own length */
	int32_t	 key_len, value_len;	/* -1 (or below) = null */
	int32_t	 header_count;
	uint8_t	 attributes;
	struct slice key, value;	/* RECORD_FULL only */
	struct slice headers;		/* RECORD_FULL only: raw, see record_header_next */
};

struct record_header {
	struct slice key, value;	/* key is UTF-8 and never null; value may be */
};

struct record_iter {
	struct codec_ctx   *ctx;
	bool		    own_ctx;
	struct codec_reader reader;
	const uint8_t	   *p, *end;	/* the piece being read */
	bool		    stream;	/* more pieces may come from the reader */
	enum record_walk    walk;
	struct batch_header header;
	struct slice	    batch;
	int64_t		    relative;	/* legacy v1 wrapper: added to inner offsets */
	int32_t		    seen;	/* records given */
	uint8_t		   *gather;	/* a record that crosses pieces */
	size_t		    gather_room;
	bool		    done;
};

/* `whole` is exactly one batch whose header is *h.  ctx may be NULL: then the iterator makes its own when one is needed.
 * ERR_CORRUPT, ERR_MALFORMED, ERR_UNSUPPORTED with words in the errbuf; ERR_INVALID for a legacy wrapper with an inner message shorter than any;
 * fini is harmless after a failure. */
enum err record_iter_init(struct record_iter *, struct codec_ctx *, struct slice whole, const struct batch_header *h, enum record_walk, struct errbuf *) MUST_CHECK;
/* OK: a record.  ERR_NOTFOUND: all of them came, and nothing was left over.
 * ERR_MALFORMED: the framing does not add up (Kafka: InvalidRecordException).  ERR_CORRUPT: the compressed stream is broken. */
enum err record_iter_next(struct record_iter *, struct record *, struct errbuf *) MUST_CHECK;
void record_iter_fini(struct record_iter *);

/* Steps through record.headers; call it record.header_count times.  ERR_MALFORMED cannot happen on what an iterator gave. */
enum err record_header_next(struct reader *, struct record_header *) MUST_CHECK;

/* ---- building ---- */
struct batch_builder_options {
	int64_t	 base_offset;
	int32_t	 leader_epoch;
	enum codec codec;
	int	 level;			/* CODEC_LEVEL_DEFAULT */
	enum timestamp_type timestamp_type;
	int64_t	 log_append_time_ms;	/* for TIMESTAMP_LOG_APPEND_TIME: becomes the maximum timestamp */
	int64_t	 producer_id;
	int16_t	 producer_epoch;
	int32_t	 base_sequence;
	bool	 transactional, control;
	size_t	 bytes_max;		/* of the finished batch; more is ERR_LIMIT */
	size_t	 bytes_likely;		/* the first allocation, when it is more than usual: a good guess saves the others */
};
#define BATCH_BUILDER_OPTIONS	{ .leader_epoch = -1, .codec = CODEC_NONE, .level = CODEC_LEVEL_DEFAULT, .log_append_time_ms = -1, \
	.producer_id = -1, .producer_epoch = -1, .base_sequence = -1, .bytes_max = INT32_MAX }

struct batch_builder;
/* ctx may be NULL.  NULL: the codec is not built in or the level is wrong, words in the errbuf. */
struct batch_builder *batch_builder_new(struct codec_ctx *, const struct batch_builder_options *, struct errbuf *) MUST_CHECK;
/* Appends at the next offset.  ERR_LIMIT: the batch would pass bytes_max (or INT32_MAX records); ERR_INVALID: a header without key,
 * an offset not above the last one, or a negative timestamp other than -1.  After an error other than ERR_INVALID the builder can only be freed. */
enum err batch_builder_append(struct batch_builder *, int64_t timestamp_ms, struct slice key, struct slice value,
    const struct record_header *headers, size_t n_headers) MUST_CHECK;
enum err batch_builder_append_at(struct batch_builder *, int64_t offset, int64_t timestamp_ms, struct slice key, struct slice value,
    const struct record_header *headers, size_t n_headers) MUST_CHECK;
int32_t batch_builder_count(const struct batch_builder *);
size_t batch_builder_bytes(const struct batch_builder *);	/* so far, before compression, with the header */
/* The finished batch: malloc'd bytes, the caller's (free()).  ERR_INVALID: no record was appended, or producer
 * id, epoch, sequence and transactional do not go together.
 * The header as written in *h (may be NULL).  The builder can only be freed afterwards. */
enum err batch_builder_finish(struct batch_builder *, uint8_t **bytes, size_t *size, struct batch_header *h) MUST_CHECK;
void batch_builder_free(struct batch_builder *);

#endif
