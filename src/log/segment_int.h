/* SPDX-License-Identifier: Apache-2.0
 *
 * log/segment_int.h - one segment of a log: a data file and its indexes.
 *
 * Ownership  The log owns its segments; a published segment list holds a reference to each, so that readers may go on with one that
 *            retention has taken away (its file stays open).
 * Threads    create, open, activate, write, seal, truncate: the log's owner.  sync: a worker, on sealed segments and on the active one.
 *            find, max_timestamp and the fields marked "published": any thread that base/reclaim protects.
 * Failure    write: on an error nothing of the set counts; the caller cuts back (segment_cut_back) or takes the log offline.
 */
#ifndef LOG_SEGMENT_INT_H
#define LOG_SEGMENT_INT_H

#include "base/fs.h"
#include "base/must.h"
#include "log/index_int.h"
#include "log/log.h"
#include "log/open_indexes_int.h"
#include "log/scan_int.h"
#include "log/txn_index_int.h"

#define SEGMENT_MAGIC	0x73656731u
#define ROLL_TIME_UNKNOWN INT64_MIN

struct segment {
	struct magic	    magic;
	_Atomic uint32_t    refs;
	struct fs	   *fs;
	struct workers	   *readers;		/* of data */
	char		   *dir;		/* of the log */
	int64_t		    base;		/* smallest offset it may hold; also the file names */
	struct file *_Atomic data;		/* NULL: not made yet, or not all of its files; then it is empty */
	_Atomic uint32_t    size;		/* published: bytes of whole batches in data */
	struct sparse_index offsets, times;
	struct txn_index    txns;
	/* of open_indexes */
	struct open_indexes *open;		/* NULL: no limit */
	TAILQ_ENTRY(segment) open_link;
	uint32_t	    held;
	bool		    listed;
	/* of the owner */
	uint32_t	    index_interval;
	uint32_t	    index_bytes, preallocate_bytes;
	uint32_t	    unindexed;		/* bytes since the last index entry */
	int64_t		    first_timestamp_ms;	/* of the first set; ROLL_TIME_UNKNOWN: not read yet, or empty */
	int64_t		    created_ms;
	int64_t		    jitter_ms;		/* roll this much earlier than segment.ms */
	/* published */
	_Atomic int64_t	    max_timestamp_ms;	/* -1: none */
	_Atomic int64_t	    max_timestamp_offset;
	_Atomic bool	    max_known;
	_Atomic bool	    active;		/* indexes presized, and open while they are held; changed by the owner */
	_Atomic bool	    unsynced;		/* sealed, and not synced since: the recovery point may have come this far by a flush of
						 * everything, but Java trusts the indexes only when their trim is on disk, too */
	_Atomic bool	    misled;		/* a look-up met an offset index entry that does not fit the data (and did without) */
	_Atomic bool	    misled_told;
	_Atomic bool	    deleted;		/* files renamed or gone: a failing sync no longer matters */
};

struct segment_options {
	struct fs *fs;
	uint32_t   index_interval, index_bytes;
	uint32_t   preallocate_bytes;		/* new data files get this size at once; 0: no */
	struct workers *readers;		/* of its data file (base/fs.h) */
	struct open_indexes *open;		/* NULL: index files of active segments stay open */
	int64_t	   now_ms;
	int64_t	   jitter_ms;
};

struct segment_set {		/* what is written at once */
	struct slice bytes;
	int64_t	     last_offset;
	int64_t	     max_timestamp_ms, max_timestamp_offset;	/* -1: no record has one */
};

struct segment_hit {
	uint64_t	    position;
	struct batch_header header;
};

/* New and active.  A file that is there already is emptied (an interrupted roll). */
enum err segment_create(const char *dir, int64_t base, const struct segment_options *, struct segment **, struct errbuf *) MUST_CHECK;
/* The same in two steps.  Planned, it is empty, and active, and has no files; all that only reads takes it for what it is, and segment_sync does
 * nothing.  make, by the owner, before the first write: a directory that was made for it holds nothing of an interrupted roll.  When it fails it is
 * as it was. */
struct segment *segment_plan(const char *dir, int64_t base, const struct segment_options *);
enum err segment_make(struct segment *, struct errbuf *) MUST_CHECK;
static inline bool segment_is_made(const struct segment *s) { return (s->data != NULL); }
/* What stands on disk, sealed; ERR_NOENT without offset index, ERR_CORRUPT for a bad transaction index: the caller recovers it. */
enum err segment_open(const char *dir, int64_t base, const struct segment_options *, struct segment **, struct errbuf *) MUST_CHECK;
enum err segment_activate(struct segment *, struct errbuf *) MUST_CHECK;
struct segment *segment_ref(struct segment *);
void	 segment_unref(struct segment **);
/* Its directory was renamed: every path it keeps.  Owner of the log, with the right to flush, and no reader. */
void	 segment_set_dir(struct segment *, const char *dir);

enum err segment_write(struct segment *, const struct segment_set *, struct errbuf *) MUST_CHECK;
void	 segment_publish(struct segment *, const struct segment_set *);	/* after a write: the bytes count */
enum err segment_cut_back(struct segment *, struct errbuf *) MUST_CHECK;	/* after a failed write */
/* An entry may be added to each index then; perhaps their tails are written for that.  On an error all is as it was. */
enum err segment_index_room(struct segment *, struct errbuf *) MUST_CHECK;
enum err segment_write_tails(struct segment *, struct errbuf *) MUST_CHECK;	/* all entries are in the files then */
bool	 segment_is_full(struct segment *, const struct segment_set *, const struct log_options *, int64_t now_ms);
enum err segment_seal(struct segment *, struct errbuf *) MUST_CHECK;
/* Of a segment that was opened: its indexes end where their entries end.  (An active one that a crash left behind says false.) */
bool	 segment_is_sealed(struct segment *);
enum err segment_sync(struct segment *, struct errbuf *) MUST_CHECK;

/* First batch whose last offset is at or above, before position `end`.  ERR_NOTFOUND: none. */
enum err segment_find(struct segment *, int64_t offset, uint64_t end, struct segment_hit *, struct errbuf *) MUST_CHECK;
/* The same where nobody may wait for a disk; ERR_AGAIN: one would have to.  segment_warm, on a worker, makes that unlikely. */
enum err segment_find_warm(struct segment *, int64_t offset, uint64_t end, struct segment_hit *, struct errbuf *) MUST_CHECK;
void	 segment_warm(struct segment *, int64_t offset, uint64_t end);
/* Does the entry lead to a batch at or before its offset?  Reads a header. */
bool	 segment_entry_fits(struct segment *, const struct index_entry *, uint64_t end);
enum err segment_next_offset(struct segment *, int64_t *, struct errbuf *) MUST_CHECK;	/* behind its last batch; base when empty */
/* ERR_IO: a look-up in one of its indexes met a disk that does not give it.  What was found is right all the same (it came from the data file). */
enum err segment_check_disk(const struct segment *, struct errbuf *) MUST_CHECK;
int64_t	 segment_max_timestamp(struct segment *, int64_t *offset);			/* -1: none */
int64_t	 segment_mtime_ms(struct segment *);

/* Rebuilds the indexes from the data, and cuts off what is not whole valid batches.  batch() sees every kept one in order. */
struct segment_recovery {
	enum err (*batch)(void *ctx, struct segment *, const struct batch_header *, struct slice whole, struct errbuf *);
	void	*ctx;
	int64_t	 limit;		/* offsets of this segment lie below: where the next one begins; INT64_MAX: it is the last */
	uint64_t cut;		/* out: bytes cut off ... */
	struct errbuf why;	/* ... and what was wrong with the first batch of them */
	int64_t	 next_offset;	/* out */
	bool	 keep_open;	/* leave it active (else sealed) */
	bool	 durable;	/* all of it is on the disk afterwards; it has no offset index there, so every broker will recover it, from before anything is
				 * changed until then */
};
enum err segment_recover(struct segment *, struct segment_recovery *, struct errbuf *) MUST_CHECK;
/* Opens only the data, for segment_recover. */
enum err segment_open_data(const char *dir, int64_t base, const struct segment_options *, struct segment **, struct errbuf *) MUST_CHECK;

/* Drops batches that reach offset or beyond; leaves it active.  No new reader may come while it runs; when ranges still refer to the
 * data, the kept part goes to a new file and *sp becomes another segment of the same base (the old one keeps the old file). */
enum err segment_truncate(struct segment **sp, int64_t offset, const struct segment_options *, struct errbuf *) MUST_CHECK;
enum err segment_mark_deleted(struct segment *, struct errbuf *) MUST_CHECK;	/* renames its files to .deleted */
enum err segment_unlink(struct segment *, const char *suffix, struct errbuf *);	/* "" or ".deleted"; missing files are fine */
void	 segment_check(struct segment *);

#endif
