/* SPDX-License-Identifier: Apache-2.0
 *
 * log/epoch_cache.h - which leader epoch wrote which offsets: the rows of leader-epoch-checkpoint.
 *
 * File	"0\n<count>\n" then "<epoch> <start offset>\n"; both strictly increasing.  A row says: from start offset on, records carry epoch,
 * until the next row.  Assignments are durable before the records that made them are acknowledged to anybody but this log's own page
 * cache; truncations of the cache may reach the disk late, a load cuts the rows to [log start, end] anyway.
 *
 * Threads    One owner at a time (the log's lock).  Failure: the disk's; the cache in memory is then ahead of the file.
 */
#ifndef LOG_EPOCH_CACHE_H
#define LOG_EPOCH_CACHE_H

#include "base/fs.h"

struct epoch_entry {
	int32_t epoch;
	int64_t start_offset;
};

struct epoch_cache {
	struct epoch_entry *entries;	/* increasing in both fields */
	uint32_t	    n, room;
	bool		    dirty;	/* the file is behind */
};
#define EPOCH_CACHE_INIT { NULL, 0, 0, false }

void	 epoch_cache_fini(struct epoch_cache *);
enum err epoch_cache_read(struct fs *, const char *dir, struct epoch_cache *, struct errbuf *) MUST_CHECK;	/* no file: empty */
enum err epoch_cache_write(struct fs *, const char *dir, struct epoch_cache *, struct errbuf *) MUST_CHECK;	/* clears dirty */
enum err epoch_cache_put(struct fs *, const char *dir, struct epoch_cache *, struct errbuf *) MUST_CHECK;	/* so, but the caller syncs dir */

/* true: the cache changed.  An epoch or offset that is not above the last row removes the rows it contradicts, as Kafka does. */
bool	 epoch_cache_assign(struct epoch_cache *, int32_t epoch, int64_t start_offset);
int32_t	 epoch_cache_latest(const struct epoch_cache *);			/* -1: empty */
int32_t	 epoch_cache_of_offset(const struct epoch_cache *, int64_t offset);	/* -1: before the first row */
void	 epoch_cache_end_of(const struct epoch_cache *, int32_t requested, int64_t log_end, int32_t *epoch, int64_t *end_offset);
bool	 epoch_cache_truncate_from_end(struct epoch_cache *, int64_t end_offset);	/* rows that start at or after it go */
bool	 epoch_cache_truncate_from_start(struct epoch_cache *, int64_t start_offset);	/* the row it falls in begins there now */
void	 epoch_cache_clear(struct epoch_cache *);

#endif
