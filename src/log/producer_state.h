/* SPDX-License-Identifier: Apache-2.0
 *
 * log/producer_state.h - what a log knows of each idempotent or transactional producer, and the .snapshot files that keep it.
 *
 * Kept per producer id: epoch, up to five last batches (sequences, offsets), coordinator epoch, first offset of the open transaction.
 * From it follow: duplicate and out-of-order detection, the transactions still undecided, the last stable offset.
 *
 * Snapshot	<offset>.snapshot holds the state of everything below offset (big endian):
 *	i16 version 1 | u32 crc32c of the bytes from 6 on | i32 count | count x 46 bytes:
 *	i64 producer id | i16 epoch | i32 last sequence | i64 last offset | i32 offset delta | i64 timestamp | i32 coordinator epoch | i64 txn first offset
 *
 * Threads    One owner at a time (the log's lock).
 */
#ifndef LOG_PRODUCER_STATE_H
#define LOG_PRODUCER_STATE_H

#include "base/fs.h"
#include "base/kerr.h"
#include "log/append.h"

#define PRODUCER_BATCHES_MAX	5

struct producer_batch {			/* one batch that was written */
	int32_t last_sequence;
	int32_t offset_delta;		/* last offset - first offset */
	int64_t last_offset;
	int64_t timestamp_ms;		/* its max timestamp */
};

struct producer_entry {
	int64_t producer_id;
	int64_t last_timestamp_ms;
	int64_t txn_first_offset;	/* -1: no open transaction */
	int32_t coordinator_epoch;	/* -1: no marker seen */
	int16_t producer_epoch;		/* -1: none */
	uint8_t nbatches;
	struct producer_batch batches[PRODUCER_BATCHES_MAX];	/* oldest first */
};

struct producer_state;			/* opaque: the map and the list of transactions */

struct producer_batch_facts {		/* of one batch about to be written or replayed; from its header */
	int64_t base_offset, last_offset, producer_id, max_timestamp_ms;
	int32_t base_sequence, last_sequence;
	int16_t producer_epoch;
	bool	transactional, control;
	bool	marker_abort;		/* control batches: ABORT, else COMMIT */
	bool	marker;			/* control batch with a transaction marker in it (an emptied one has none) */
	int32_t coordinator_epoch;	/* of the marker */
	int64_t marker_timestamp_ms;
};

struct completed_txn {
	int64_t producer_id, first_offset, last_offset /* of the marker */;
	bool	aborted;
};

struct producer_state *producer_state_new(int64_t expiration_ms);
void	 producer_state_set_expiration(struct producer_state *, int64_t expiration_ms);
void	 producer_state_free(struct producer_state **);
void	 producer_state_clear(struct producer_state *);

const struct producer_entry *producer_state_find(const struct producer_state *, int64_t producer_id);
const struct producer_batch *producer_entry_duplicate(const struct producer_entry *, const struct producer_batch_facts *);	/* NULL: none */
/* The checks of ProducerAppendInfo; INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE,
 * TRANSACTION_COORDINATOR_FENCED.  words: why, at least 160 bytes.  Changes nothing. */
enum kerr producer_state_validate(const struct producer_state *, const struct producer_batch_facts *, enum append_origin, bool txn_verified,
    char *words, size_t words_size);
/* Takes the batch in.  true: *done is a transaction it ended (then producer_state_complete after its index entry). */
bool	 producer_state_apply(struct producer_state *, const struct producer_batch_facts *, struct completed_txn *done);
int64_t	 producer_state_last_stable_after(const struct producer_state *, const struct completed_txn *);	/* the index entry's field */
void	 producer_state_complete(struct producer_state *, const struct completed_txn *);

int64_t	 producer_state_end(const struct producer_state *);		/* everything below is in the state */
void	 producer_state_set_end(struct producer_state *, int64_t);
int64_t	 producer_state_first_unstable(const struct producer_state *);	/* -1: none */
void	 producer_state_high_watermark(struct producer_state *, int64_t);	/* forgets decided transactions below it */
void	 producer_state_start_offset(struct producer_state *, int64_t log_start);
void	 producer_state_expire(struct producer_state *, int64_t now_ms);
uint32_t producer_state_count(const struct producer_state *);
/* In the order of Kafka's table, which is that of its snapshots and of DescribeProducers. */
void	 producer_state_each(const struct producer_state *, void (*fn)(void *, const struct producer_entry *), void *);

/* Snapshot bytes in malloc'ed memory, so that they can be written after the lock was dropped. */
void	 producer_state_encode(const struct producer_state *, uint8_t **, size_t *len);
/* Replaces the state.  ERR_CORRUPT: crc, version or shape. */
enum err producer_state_decode(struct producer_state *, const uint8_t *, size_t len, int64_t snapshot_offset, int64_t now_ms, struct errbuf *) MUST_CHECK;

/* A snapshot keeps only the last batch of each producer; `history`, a state of the batches before it, gives back those before the last.  true: for
 * every producer heard of since `since_ms` there is no more to be had (five are known, or all since sequence 0). */
bool	 producer_state_recall(struct producer_state *, const struct producer_state *history, int64_t since_ms);

#endif
