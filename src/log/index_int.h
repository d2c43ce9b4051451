/* SPDX-License-Identifier: Apache-2.0
 *
 * log/index_int.h - the two sparse indexes of a segment: offset -> file position, and timestamp -> offset.
 *
 * One type serves both; they differ in the size of an entry and of its key.  The newest entries of an active segment stay in memory (its tail)
 * until there are INDEX_TAIL of them, or somebody needs them in the file: then one pwrite takes them there.  Look-ups see the tail at once, and the
 * rest through a read-only mapping that is made when first needed and kept in one place (index.c).
 *
 * Ownership  The segment owns both.  Threads: add, resize, truncate, write by the log's owner; sync also by a worker, of what is in the file;
 *            look-ups by any thread that base/reclaim protects.
 * Crash      The tail is lost.  It is in the file before the file is trimmed, and until that is done and synced the recovery point on the disk stays
 *            below the segment's end (roll.c): so both brokers write the indexes of such a segment anew.
 * Failure    A look-up that cannot be made answers "no entry": the caller then scans from the beginning.  Why, is left in `trouble`: the disk does not
 *            give the file or a page of it (the log takes its directory offline), or somebody has cut it (that is told, and done without).
 */
#ifndef LOG_INDEX_INT_H
#define LOG_INDEX_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"
#include "base/lock.h"

enum {
	OFFSET_ENTRY = 8,	/* i32 offset - base, i32 position */
	TIME_ENTRY = 12,	/* i64 timestamp, i32 offset - base */
	INDEX_TAIL = 8,		/* entries; index.c, THE TAIL, why so many */
};

struct index_view;

enum index_trouble { INDEX_GOOD, INDEX_CUT, INDEX_UNREADABLE };	/* the worst that was met */

struct sparse_index {
	struct fs	  *fs;
	char		  *path;	/* of the file, for opening it again and for words */
	int64_t		   base;	/* of the segment */
	uint32_t	   entry_size;	/* OFFSET_ENTRY or TIME_ENTRY */
	uint32_t	   entries_max;	/* what segment.index.bytes allows */
	_Atomic uint32_t   entries;	/* published after the entry's bytes */
	_Atomic uint32_t   in_file;	/* of these; the others are in the tail */
	_Atomic uint32_t  *tail;	/* the bytes of entries from in_file on, in words; published with base/reclaim; NULL: there was none yet, or no more */
	struct file	  *file;	/* open while the segment is being rebuilt, or active and held (open_indexes_int.h); else perhaps NULL */
	struct index_view *view;	/* published with base/reclaim; NULL: not mapped yet */
	struct lock	   map_lock;	/* who makes the view */
	_Atomic enum index_trouble trouble;
	_Atomic uint32_t   changes;	/* odd: we ourselves cut or grow the file, or let it go: what a look-up meets then says nothing of the disk */
	int64_t		   last_key;	/* of the last entry: offset, or timestamp; -1: none (only known since it was activated or rebuilt) */
	int64_t		   last_offset;
};

void	 index_init(struct sparse_index *, struct fs *, const char *dir, int64_t base, uint32_t entry_size);
void	 index_fini(struct sparse_index *);		/* closes; the view dies with the last reader */
/* The file as it stands: every whole slot counts as an entry, as in Kafka.  ERR_NOENT. */
enum err index_load(struct sparse_index *, struct errbuf *) MUST_CHECK;
/* Opens for appending, presized to bytes_max (rounded down to entries) with zeros behind the entries. */
enum err index_activate(struct sparse_index *, uint32_t bytes_max, struct errbuf *) MUST_CHECK;
/* As index_activate on a file without entries, made when missing (recovery, new segments). */
enum err index_reset(struct sparse_index *, uint32_t bytes_max, struct errbuf *) MUST_CHECK;
/* Of one that is closed: its file goes, and until show it has another name, which the next start removes. */
enum err index_hide(struct sparse_index *, struct errbuf *) MUST_CHECK;
enum err index_show(struct sparse_index *, struct errbuf *) MUST_CHECK;
/* All entries are in the file then, and nothing else.  It stays open, so that a worker can sync it. */
enum err index_trim(struct sparse_index *, struct errbuf *) MUST_CHECK;
enum err index_open_again(struct sparse_index *, struct errbuf *) MUST_CHECK;	/* as it was, when it is closed */
struct file *index_take_file(struct sparse_index *);	/* the caller's to unref, without locks; NULL: it is not open */
void	 index_let_go(struct sparse_index *);		/* its file is deleted, or another object's from now on; old readers may still look */
enum err index_sync(struct sparse_index *, struct errbuf *) MUST_CHECK;
bool	 index_is_full(const struct sparse_index *, uint32_t reserve);	/* fewer than reserve + 1 slots left */

/* The tail takes another entry, or must be written first.  write_tail: the file is open, or the tail empty; on an error all is as it was. */
bool	 index_has_room(const struct sparse_index *);
enum err index_write_tail(struct sparse_index *, struct errbuf *) MUST_CHECK;
bool	 index_is_written(const struct sparse_index *);	/* nothing is in the tail */
/* There is room. */
void	 offset_index_add(struct sparse_index *, int64_t offset, uint32_t position);
void	 time_index_add(struct sparse_index *, int64_t timestamp_ms, int64_t offset);	/* only when timestamp is above the last entry's */
void	 index_take_count(struct sparse_index *, const struct sparse_index *from);	/* of the same file, which may be presized and is written */
enum err index_truncate_entries(struct sparse_index *, uint32_t entries, struct errbuf *) MUST_CHECK;	/* the file is open */
/* Entries whose offset is at or above go. */
enum err index_truncate_offset(struct sparse_index *, int64_t offset, struct errbuf *) MUST_CHECK;

struct index_entry {
	int64_t	 key;		/* offset, or timestamp */
	int64_t	 offset;
	uint32_t position;	/* offset index only */
};
/* A look-up will not wait for a disk: the tail has the answer, or the file is mapped, and all entries are in memory.  (A guess.) */
bool	 index_is_warm(struct sparse_index *, int64_t target);
void	 index_warm(struct sparse_index *);		/* worker: makes it so */
/* The greatest entry with key <= target; false: none. */
bool	 index_lookup(struct sparse_index *, int64_t target, struct index_entry *);
bool	 index_get(struct sparse_index *, uint32_t n, struct index_entry *);		/* false: no such entry, or unreadable */
bool	 index_last(struct sparse_index *, struct index_entry *);
/* For the owner, who must know: from the tail, or by reading the open file.  n < entries. */
enum err index_read_entry(struct sparse_index *, uint32_t n, struct index_entry *, struct errbuf *) MUST_CHECK;
/* The first offset entry whose position is at or after; false: none. */
bool	 offset_index_at_position(struct sparse_index *, uint64_t position, struct index_entry *);

#endif
