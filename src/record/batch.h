/* SPDX-License-Identifier: Apache-2.0
 *
 * record/batch.h - record batches (magic 2) and the two legacy message formats (magic 0 and 1) seen from outside: headers, checksums,
 * steps from one to the next.  The records inside are record/record.h's.
 *
 * A batch has the same bytes on the wire, in memory and on disk.  Nothing here allocates or keeps a pointer beyond the call; any
 * thread may call anything.  Malformed input is an error of the call (enum err), never an assertion.
 * Format: org.apache.kafka.common.record.DefaultRecordBatch and LegacyRecord, version 3.9.
 */
#ifndef RECORD_BATCH_H
#define RECORD_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/err.h"
#include "base/slice.h"
#include "record/codec.h"

/* Where the fields lie, big-endian all. */
enum {
	BATCH_BASE_OFFSET	= 0,	/* i64 */
	BATCH_LENGTH		= 8,	/* i32, bytes after this field */
	BATCH_LEADER_EPOCH	= 12,	/* i32, outside the checksum */
	BATCH_MAGIC		= 16,	/* i8 */
	BATCH_CRC		= 17,	/* u32, CRC-32C from BATCH_ATTRIBUTES to the end */
	BATCH_ATTRIBUTES	= 21,	/* i16 */
	BATCH_LAST_OFFSET_DELTA	= 23,	/* i32 */
	BATCH_BASE_TIMESTAMP	= 27,	/* i64, the delete horizon when BATCH_ATTR_HORIZON is set */
	BATCH_MAX_TIMESTAMP	= 35,	/* i64 */
	BATCH_PRODUCER_ID	= 43,	/* i64 */
	BATCH_PRODUCER_EPOCH	= 51,	/* i16 */
	BATCH_BASE_SEQUENCE	= 53,	/* i32 */
	BATCH_RECORD_COUNT	= 57,	/* i32 */
	BATCH_OVERHEAD		= 61,	/* records follow */

	BATCH_LOG_OVERHEAD	= 12,	/* offset and length, in every magic */
	BATCH_PEEK_BYTES	= 17,	/* up to and with the magic, in every magic */

	LEGACY_CRC		= 12,	/* u32, CRC-32 from LEGACY_MAGIC to the end */
	LEGACY_MAGIC		= 16,
	LEGACY_ATTRIBUTES	= 17,	/* i8 */
	LEGACY_V0_OVERHEAD	= 26,	/* with both length fields */
	LEGACY_V1_TIMESTAMP	= 18,	/* i64 */
	LEGACY_V1_OVERHEAD	= 34,

	BATCH_ATTR_CODEC	= 0x07,
	BATCH_ATTR_APPEND_TIME	= 0x08,
	BATCH_ATTR_TRANSACTIONAL = 0x10,
	BATCH_ATTR_CONTROL	= 0x20,
	BATCH_ATTR_HORIZON	= 0x40,

	BATCH_END_TXN_BYTES	= 78	/* a whole transaction marker */
};

#define BATCH_NO_TIMESTAMP	((int64_t)-1)
#define BATCH_NO_PRODUCER	((int64_t)-1)
#define BATCH_NO_EPOCH		(-1)
#define BATCH_NO_SEQUENCE	(-1)

enum timestamp_type { TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME };

/* ---- what 17 bytes tell ---- */
struct batch_peek {
	int64_t	 offset;	/* magic 2: first offset; magic 0 and 1: the message's, and a wrapper's last */
	uint32_t size;		/* whole batch, with offset and length; never above INT32_MAX */
	int8_t	 magic;		/* 0, 1 or 2 */
};

/* ERR_AGAIN: fewer than 17 bytes.  ERR_CORRUPT: a length below the smallest of its format, or a magic nobody wrote. */
enum err batch_peek(struct slice, struct batch_peek *) MUST_CHECK;

/* ---- the whole header, all magics alike ---- */
struct batch_header {
	int64_t	 base_offset;	/* legacy wrapper: -1, not known without reading it (record/record.h) */
	int64_t	 last_offset;
	uint32_t size;
	uint32_t header_size;	/* where the body begins: 61, or 26 or 34 before key and value of a legacy message */
	int32_t	 leader_epoch;	/* -1 for legacy, and from clients */
	int8_t	 magic;
	uint32_t crc;
	uint16_t attributes;	/* legacy: the low byte */
	int32_t	 last_offset_delta; /* legacy: 0 */
	int64_t	 base_timestamp; /* legacy: the message's; v0: -1 */
	int64_t	 max_timestamp;
	int64_t	 producer_id;
	int16_t	 producer_epoch;
	int32_t	 base_sequence;
	int32_t	 record_count;	/* legacy: 1, or -1 for a wrapper; may be anything an i32 can be: check it */
};

/* Decodes the header in the first bytes of the slice, which need not hold the whole batch.  ERR_AGAIN: more header bytes are needed
 * (BATCH_OVERHEAD always suffice).  ERR_CORRUPT as batch_peek.  Does not look at the checksum. */
enum err batch_header_decode(struct slice, struct batch_header *) MUST_CHECK;

static inline enum codec
batch_codec(const struct batch_header *h)	/* may be 5..7, which no codec has: codec_reader_init refuses them */
{
	return ((enum codec)(h->attributes & BATCH_ATTR_CODEC));
}

static inline enum timestamp_type
batch_timestamp_type(const struct batch_header *h)	/* magic 0 has no timestamps: CreateTime, and each is -1 */
{
	return (h->magic > 0 && (h->attributes & BATCH_ATTR_APPEND_TIME) ? TIMESTAMP_LOG_APPEND_TIME : TIMESTAMP_CREATE_TIME);
}

/* The smallest offset that the header alone admits: of a legacy wrapper, which does not say where it begins, the last. */
static inline int64_t
batch_first_offset(const struct batch_header *h)
{
	return (h->magic == 2 || h->base_offset >= 0 ? h->base_offset : h->last_offset);
}

/* Behind its last; where a peer or a disk wrote the largest there is, that. */
static inline int64_t
batch_next_offset(const struct batch_header *h)
{
	return (h->last_offset == INT64_MAX ? INT64_MAX : h->last_offset + 1);
}

static inline bool batch_is_transactional(const struct batch_header *h) { return (h->magic == 2 && (h->attributes & BATCH_ATTR_TRANSACTIONAL)); }
static inline bool batch_is_control(const struct batch_header *h) { return (h->magic == 2 && (h->attributes & BATCH_ATTR_CONTROL)); }
static inline bool batch_has_delete_horizon(const struct batch_header *h) { return (h->magic == 2 && (h->attributes & BATCH_ATTR_HORIZON)); }
static inline bool batch_has_producer(const struct batch_header *h) { return (h->producer_id > BATCH_NO_PRODUCER); }
static inline int64_t batch_delete_horizon_ms(const struct batch_header *h) { return (batch_has_delete_horizon(h) ? h->base_timestamp : -1); }

int32_t batch_sequence_add(int32_t sequence, int32_t n);	/* past INT32_MAX comes 0; n >= 0 */
int32_t batch_sequence_sub(int32_t sequence, int32_t n);
int32_t batch_last_sequence(const struct batch_header *);	/* -1 when it has none */

/* The checksum of one whole batch (any magic, exactly its bytes), and whether it is the stored one. */
uint32_t batch_crc(struct slice whole);
bool batch_crc_ok(struct slice whole);

/* ---- walking a buffer ---- */
struct batch_iter {
	struct slice left;
	uint64_t     position;	/* of left, in the buffer */
};

static inline struct batch_iter
batch_iter_of(struct slice s)
{
	return ((struct batch_iter){ s, 0 });
}

/* OK: a whole batch, its header, its bytes; position is now behind it.  ERR_NOTFOUND: the end, exactly.  ERR_AGAIN: the rest is the
 * beginning of a batch (what a fetch response may end with).  ERR_CORRUPT: no batch begins here. */
enum err batch_iter_next(struct batch_iter *, struct batch_header *, struct slice *whole) MUST_CHECK;

/* ---- changing a magic 2 batch in place (the caller owns the bytes and has decoded the header) ---- */
void batch_set_base_offset(uint8_t *batch, int64_t);		/* outside the checksum, as is the next */
void batch_set_leader_epoch(uint8_t *batch, int32_t);
void batch_set_max_timestamp(uint8_t *batch, size_t size, enum timestamp_type, int64_t ms);	/* new checksum only if something changed */
/* Writes all 61 bytes from the header's fields (size, magic 2, last_offset ignored in favour of last_offset_delta), then the checksum
 * over them and the body, which stands in place already.  Sets h->crc. */
void batch_header_encode(uint8_t *batch, struct batch_header *h);

/* ---- control batches ---- */
enum control_type {
	CONTROL_ABORT = 0, CONTROL_COMMIT = 1,
	CONTROL_UNKNOWN = -1	/* raft's and later ones: step over them */
};

struct control_record {
	enum control_type type;
	int32_t		  coordinator_epoch;	/* of a transaction marker */
};

/* Reads the first record of a control batch.  ERR_MALFORMED: key or value too short, or a negative version. */
enum err batch_control_decode(struct slice whole, struct control_record *, struct errbuf *) MUST_CHECK;

struct end_txn_marker {
	int64_t base_offset, timestamp_ms, producer_id;
	int32_t leader_epoch, coordinator_epoch;
	int16_t producer_epoch;
	enum control_type type;		/* CONTROL_ABORT or CONTROL_COMMIT */
};

void batch_end_txn_encode(uint8_t out[static BATCH_END_TXN_BYTES], const struct end_txn_marker *);

/* An empty batch, as compaction keeps one for a producer's last sequence: only a header, record_count 0. */
void batch_empty_encode(uint8_t out[static BATCH_OVERHEAD], struct batch_header *h);

/* ---- legacy messages, read-only ---- */
struct legacy_message {
	int64_t	     offset;
	int64_t	     timestamp;		/* v0: -1 */
	uint32_t     size;		/* with offset and length */
	int8_t	     magic;
	uint8_t	     attributes;
	struct slice key, value;	/* a wrapper's value is its compressed inner set */
};

/* One whole message at the start of the slice; checks that its parts fit into its size (Kafka tolerates bytes behind them), not its checksum.
 * ERR_UNSUPPORTED: a batch of magic 2 stands there. */
enum err legacy_message_decode(struct slice, struct legacy_message *) MUST_CHECK;

#endif
