/* SPDX-License-Identifier: Apache-2.0
 *
 * log/txn_index_int.h - the aborted transactions whose marker lies in one segment.
 *
 * File	<base>.txnindex, only when there is an entry; 34 bytes each, big endian:
 *	i16 version 0 | i64 producer id | i64 first offset | i64 last offset (the marker) | i64 last stable offset after it
 * Entries increase in last offset.
 *
 * Threads    append, truncate: the log's owner.  collect: any thread (it opens the file for itself).
 */
#ifndef LOG_TXN_INDEX_INT_H
#define LOG_TXN_INDEX_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"

enum { TXN_ENTRY = 34 };

struct txn_index {
	struct fs	*fs;
	char		*path;
	struct file	*file;		/* open once something was appended here */
	_Atomic uint32_t entries;
	bool		 dirty;		/* appended since the last sync */
};

struct txn_entry {
	int64_t producer_id, first_offset, last_offset, last_stable_offset;
};

void	 txn_index_init(struct txn_index *, struct fs *, const char *dir, int64_t base);
void	 txn_index_fini(struct txn_index *);
/* No file: no entries.  ERR_CORRUPT: a size that is no multiple, another version, entries that do not increase or lie outside. */
enum err txn_index_load(struct txn_index *, int64_t base, struct errbuf *) MUST_CHECK;
enum err txn_index_append(struct txn_index *, const struct txn_entry *, struct errbuf *) MUST_CHECK;
enum err txn_index_truncate(struct txn_index *, int64_t offset, struct errbuf *) MUST_CHECK;	/* entries with a marker at or above go */
enum err txn_index_reset(struct txn_index *, struct errbuf *) MUST_CHECK;			/* no entries; the file goes */
enum err txn_index_sync(struct txn_index *, struct errbuf *) MUST_CHECK;
/* Calls fn for each transaction that touches [from, to).  *complete: no later segment can add one. */
enum err txn_index_collect(struct txn_index *, int64_t from, int64_t to, void (*fn)(void *, const struct txn_entry *), void *ctx, bool *complete,
    struct errbuf *) MUST_CHECK;

#endif
