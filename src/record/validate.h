/* SPDX-License-Identifier: Apache-2.0
 *
 * record/validate.h - what a leader checks in a produced batch, and what it then writes into it.
 *
 * Two steps.  record_validate runs before the batch is queued, on any thread, without a lock: checksum, framing of every record (inflating as
 * a stream), counts, keys, timestamps.  It changes nothing.  record_assign runs at the write, under the log's ownership: it patches offset,
 * leader epoch and time into the header, in place.  Between them, only when info.needs_rebuild, record_rebuild makes the other batch that
 * the topic's compression.type asks for; it too runs before queueing.
 *
 * Producer state (sequences, epochs, transactions) is log/'s.  Order of checks and error codes: Kafka 3.9's
 * ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator.
 */
#ifndef RECORD_VALIDATE_H
#define RECORD_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cdefs.h"
#include "base/kerr.h"
#include "base/slice.h"
#include "record/batch.h"
#include "record/codec.h"

enum record_origin {
	RECORD_FROM_CLIENT,		/* a Produce request */
	RECORD_FROM_COORDINATOR		/* our group and transaction coordinators: control batches, any base offset.  Built in this process, with keys:
					 * the records are not walked when the header says all */
};

#define RECORD_COMPRESSION_PRODUCER	(-1)

struct record_rules {		/* of the topic */
	int	compression;		/* RECORD_COMPRESSION_PRODUCER or an enum codec */
	int	level;			/* of that codec, for rebuilding: CODEC_LEVEL_DEFAULT; without meaning under COMPRESSION_PRODUCER */
	enum timestamp_type timestamp_type;
	int64_t	timestamp_before_max_ms; /* INT64_MAX = any */
	int64_t	timestamp_after_max_ms;
	int32_t	max_message_bytes;
	int32_t	segment_bytes;
	bool	compacted;		/* cleanup.policy contains compact: keys are required */
};
#define RECORD_RULES_DEFAULT	{ .compression = RECORD_COMPRESSION_PRODUCER, .level = CODEC_LEVEL_DEFAULT, .timestamp_before_max_ms = INT64_MAX, \
	.timestamp_after_max_ms = INT64_MAX, .max_message_bytes = 1048588, .segment_bytes = 1073741824 }

struct record_request {
	enum record_origin origin;
	int16_t	produce_version;	/* below 3: legacy messages; zstd needs 7.  Ignored for coordinators */
	int64_t	now_ms;
	const char *topic;		/* for error texts */
	int32_t	partition;
};

struct record_info {		/* of a valid batch */
	struct batch_header header;	/* as received; the first of legacy messages */
	uint32_t size;			/* bytes to write: one batch, nothing behind it (legacy: to rebuild).  0: Produce 0 to 2 with nothing whole
					 * in it, which is valid and writes nothing; neither rebuild nor assign it */
	int32_t	 record_count;
	int32_t	 last_offset_delta;	/* first delta is 0: assigned offsets are base .. base + this */
	int64_t	 max_timestamp;		/* of the records; -1 if all are */
	enum codec codec;
	int64_t	 producer_id;
	int16_t	 producer_epoch;
	int32_t	 base_sequence, last_sequence;
	bool	 transactional, control;
	bool	 needs_rebuild;		/* record_assign must not be called on these bytes: record_rebuild first */
};

struct record_error {
	int32_t	    index;		/* batch_index: position in the batch */
	const char *message;		/* batch_index_error_message */
};

struct record_failure {		/* texts and array live in the arena */
	enum kerr	     code;
	struct record_error *errors;	/* record_errors of ProduceResponse v8+; NULL when n is 0 */
	size_t		     n_errors;	/* at most LIMIT_RECORD_ERRORS_MAX */
	const char	    *error_message; /* for ProduceResponse v8+: NULL where Kafka sends none */
	const char	    *detail;	/* for diagnostics: always words when code is not NONE */
	bool		     of_framing; /* Kafka judges these before it has the partition's log: the answer carries no log start offset */
};

/* Validates the records of one partition of one request.  KERR_NONE: *info is filled.  Otherwise *failure is, code is also returned.
 * ctx may be NULL (then one is made when needed).  Nothing in bytes changes. */
enum kerr record_validate(struct slice bytes, const struct record_rules *, const struct record_request *, struct codec_ctx *, struct arena *,
    struct record_info *info, struct record_failure *failure) MUST_CHECK;

/* What record_validate judges first: that these are the bytes of one batch of format 2.  Kafka does so before it looks at acks or leaders.  KERR_NONE
 * for Produce below 3. */
enum kerr record_validate_framing(struct slice bytes, const struct record_request *, struct arena *, struct record_failure *failure) MUST_CHECK;

/* Would validation take long enough that a loop should hand it to a worker?  Needs no valid input. */
bool record_validate_is_large(struct slice bytes, const struct record_rules *);

/* Re-encodes a validated batch: the topic's codec, consecutive offsets.  *out is malloc'd and the caller's; *info is updated to describe it
 * (needs_rebuild false).  KERR_MESSAGE_TOO_LARGE when it comes out above max_message_bytes. */
enum kerr record_rebuild(struct slice bytes, const struct record_rules *, const struct record_request *, struct codec_ctx *, struct arena *,
    struct record_info *info, uint8_t **out, struct record_failure *failure) MUST_CHECK;

struct record_assigned {
	int64_t	base_offset, last_offset;
	int64_t	max_timestamp;			/* what the header now says */
	int64_t	offset_of_max_timestamp;	/* as Kafka counts it: the batch's last offset; -1 when no record has a timestamp */
	int64_t	log_append_time_ms;		/* -1 under CreateTime */
};

/* Patches the batch at `bytes` (info->size bytes) for its place in the log.  Cannot fail.  The checksum is computed anew only when attributes or
 * the maximum timestamp change. */
void record_assign(uint8_t *bytes, const struct record_info *, enum timestamp_type, int64_t base_offset, int32_t leader_epoch, int64_t now_ms,
    struct record_assigned *out);

#endif
