/* SPDX-License-Identifier: Apache-2.0
 *
 * group/offsets.h - the committed offsets of one group: what is committed, what is on its way to the log, what waits for a transaction.
 *
 * A commit is begun when its record is queued and ends appended or failed; only an appended one can be fetched.  Of two for one partition that with
 * the later record wins, whatever the order of the answers (so does the log, when it is loaded).  A transactional commit is appended first and
 * counts when its transaction is committed.  A removal counts at once; its tombstone is the caller's to queue.
 *
 * Order      Records are queued in the order of offsets_begin and the removals, and the log takes them in that order; answers come in any.  Then what
 *            is here is what a load of the log would give, with the tombstones that are still on their way.
 *            A commit that was on its way or undecided when its partition was removed has that tombstone behind it, and never counts, whenever its
 *            answer or its marker comes.  (Kafka forgets it, too, but finds it again when it loads the log before it is cleaned.)
 * Ownership  Embedded in whoever keeps the group; all strings are copied.
 * Threads    One owner at a time (the group's loop, or the worker that loads).
 * Failure    None: what peers can make grow is bounded by the caller (metadata by offset.metadata.max.bytes, partitions by the request).
 * Source     Kafka's GroupMetadata (offsets, pendingOffsetCommits, pendingTransactionalOffsetCommits), KIP-211, KIP-447.
 */
#ifndef GROUP_OFFSETS_H
#define GROUP_OFFSETS_H

#include "group/records.h"

struct offset_topic;
struct offset_producer;

struct offsets {
	uint64_t	 seed;			/* of the hash tables */
	struct offset_topic *topics, *last;	/* last: the one looked for last, or NULL */
	struct offset_producer *producers;	/* with transactional commits undecided */
	uint64_t	 order;			/* of the last commit begun, or removal */
	uint32_t	 ncommitted, npending;
	uint64_t	 bytes;			/* heap memory, about */
};

void	 offsets_init(struct offsets *, uint64_t seed);
void	 offsets_fini(struct offsets *);

/* ---- commits ---- */
/* So many partitions of it begin now, at least one: of a topic that is new here they get their memory in one piece. */
void	 offsets_expect(struct offsets *, struct slice topic, uint32_t partitions);
/* Its ticket, which ends it: each goes to appended or failed, once, with the same partition. */
uint64_t offsets_begin(struct offsets *, struct slice topic, int32_t partition);
/* record_offset: where the record stands in the log. */
void	 offsets_appended(struct offsets *, uint64_t ticket, struct slice topic, int32_t partition, const struct offset_value *, int64_t record_offset);
void	 offsets_failed(struct offsets *, uint64_t ticket, struct slice topic, int32_t partition);

/* ---- of transactions: one that commits a partition twice begins and ends twice; what is appended last counts ---- */
uint64_t offsets_txn_begin(struct offsets *, int64_t producer_id, struct slice topic, int32_t partition);
void	 offsets_txn_appended(struct offsets *, uint64_t ticket, int64_t producer_id, struct slice topic, int32_t partition, const struct offset_value *,
    int64_t record_offset);
void	 offsets_txn_failed(struct offsets *, uint64_t ticket, int64_t producer_id, struct slice topic, int32_t partition);
void	 offsets_txn_end(struct offsets *, int64_t producer_id, bool commit);	/* its marker is in the log */

/* ---- from the log, record by record ---- */
void	 offsets_load(struct offsets *, struct slice topic, int32_t partition, const struct offset_value *, int64_t record_offset);
void	 offsets_load_tombstone(struct offsets *, struct slice topic, int32_t partition);
/* NULL: the transaction takes back what it committed. */
void	 offsets_load_txn(struct offsets *, int64_t producer_id, struct slice topic, int32_t partition, const struct offset_value *, int64_t record_offset);

/* ---- questions; slices are valid until the next change ---- */
bool	 offsets_get(const struct offsets *, struct slice topic, int32_t partition, struct offset_value *);
bool	 offsets_unstable(const struct offsets *, struct slice topic, int32_t partition);	/* a transaction or a commit on its way may change it */
bool	 offsets_any(const struct offsets *);	/* committed, on their way, or undecided */
typedef void offsets_fn(void *ctx, struct slice topic, int32_t partition, const struct offset_value *);
void	 offsets_each(const struct offsets *, offsets_fn *, void *ctx);		/* the committed ones */

/* ---- ends: each tells what needs a tombstone: what was committed, or on its way or undecided (NULL: no value) ---- */
bool	 offsets_remove(struct offsets *, struct slice topic, int32_t partition);	/* true: it needs one */
void	 offsets_remove_topic(struct offsets *, struct slice topic, offsets_fn *, void *ctx);
void	 offsets_remove_all(struct offsets *, offsets_fn *, void *ctx);
/* By the rules of KIP-211, which look at the group's state: see offsets.c.  Partitions with a commit on its way or undecided stay. */
void	 offsets_expire(struct offsets *, const struct group *, int64_t now_ms, int64_t retention_ms, offsets_fn *, void *ctx);

void	 offsets_check(const struct offsets *);	/* every invariant; panics */

#endif
