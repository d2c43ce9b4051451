/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_int.h - the inside of a log, for the files of this directory.
 *
 * OWNERSHIP  `owned` is the right to write files, to change the segment list, the producer map and the epochs.  It is a flag under `lock`, not
 *            the lock itself: the owner works without holding the lock, so nobody ever waits on a mutex for a disk.  Appenders that find the
 *            log owned leave their set in the queue and go; others (log_own) wait on `freed`.  Fields say who may touch them:
 *              [O] the owner only              [L] under lock            [OL] changed by the owner under lock, read under lock
 *              [A] atomic, any thread          [R] published with base/reclaim, readers take no lock
 */
#ifndef LOG_LOG_INT_H
#define LOG_LOG_INT_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/lock.h"
#include "base/metrics.h"
#include "base/must.h"
#include "base/random.h"
#include "base/reclaim.h"
#include "event/workers.h"
#include "log/epoch_cache.h"
#include "log/log.h"
#include "log/log_dirs.h"
#include "log/producer_state.h"
#include "log/segment_int.h"

#define LOG_MAGIC	0x6c6f6731u

struct log_env {		/* the world, as log_dirs was given it */
	struct fs	 *fs;
	struct clock	 *clock;
	struct diag	 *diag;
	struct metrics	 *metrics;
	struct random	 *random;
	struct workers	 *workers;	/* may be NULL */
	bool		  sync_appends;	/* constant: group commit (settle.c) */
	struct log_events events;
	struct open_indexes open;
};

/* Syncs of a fast disk are mostly CPU: many at once take turns anyway, and each answers for less. */
struct turns {
	struct lock	 lock;
	struct condition left;
	uint32_t	 running, max;
	uint32_t	 waiting, passed_on;	/* passed_on: turns, counted as running, that a waiting one is to take */
	int64_t		 patience_ms;
};

struct log_dir {
	struct log_env *env;
	char	       *path;
	_Atomic bool	offline;
	/* Constant.  Apart: it is one of several, so no set is written on a loop.  Its own threads are the only ones that a drain or a flush of a roll
	 * may stop; NULL: env's workers serve (there are none, or they are stepped by hand). */
	bool		apart;
	struct workers *writer;		/* one thread: drains */
	struct workers *syncer;		/* a few: flushes after rolls, and drains that flush before they answer */
	struct workers *readers;	/* a few: reads of what is not in memory, for requests */
	struct workers *committer;	/* several, with group commit, also in an only directory: syncs of what was appended */
	struct turns	turns;		/* the committer's */
	struct workers *keeper;		/* one thread: what runs on schedule, but flush.ms */
	_Atomic uint64_t names_made;	/* directories of new logs, counted when they have been made ... */
	_Atomic uint64_t names_synced;	/* ... and up to which their names are on the disk */
	_Atomic bool	short_told;	/* that new logs found no room, since one last did */
	_Atomic bool	slow;		/* its last write took long: sets are drained by workers, one after the other */
	char		flushes;	/* its address is the key of the jobs that flush logs of this directory; their sets have another (the directory) */
	_Atomic uint32_t writers;	/* writes of sets under way ... */
	_Atomic int64_t	progress_ms;	/* ... and when the last one ended, or the first of them began */
	_Atomic uint32_t recovered;	/* logs whose recovered segments are still to be flushed */
};

struct segment_list {		/* immutable once published; holds a reference to each */
	uint32_t	n;
	struct segment *segments[];	/* by base; the last is the active one */
};

struct doomed {			/* files renamed to .deleted, to be unlinked when due */
	STAILQ_ENTRY(doomed) link;
	int64_t due_ms;
	char   *path;
};

enum log_state { LOG_OPEN, LOG_CLOSED };

struct log {
	struct magic	    magic;
	_Atomic uint32_t    refs;
	struct log_env	   *env;
	struct log_dir	   *dir;
	char		   *topic;
	int32_t		    partition;
	struct log	   *moved_to;		/* [L] set once, referenced: another log has taken its place */
	_Atomic bool	    future;		/* its directory is named -future */
	_Atomic bool	    gone;		/* its directory is named -delete: no checkpoint may tell of it */
	char		   *path;		/* [O]; borrowed by others until the log is deleted */
	_Atomic bool	    young;		/* it was made and nothing of it is synced yet (establish.c); cleared by the owner, and never set again */
	bool		    id_unstored;	/* [O] of a young one: partition.metadata is still to be written */
	bool		    nameless;		/* [O] of a young one: its directory is still to be made */
	uint64_t	    born;		/* [O] the number of its name (names_made), once it has one */

	struct lock	    lock;
	struct condition    freed;		/* owned or flushing became false */
	bool		    owned;		/* [L] */
	unsigned	    wanted;		/* [L] threads in log_own: the drainer yields */
	bool		    drain_scheduled;	/* [L] */
	bool		    flushing;		/* [L] somebody holds the right to sync files */
	bool		    flush_scheduled;	/* [L] */
	bool		    flush_all;		/* [L] by that job: the active segment, too */
	bool		    flush_recovered;	/* [L] it flushes what was recovered: log_dirs hears when it has ended */
	bool		    settle_scheduled;	/* [L] a sync of what was appended is to begin */
	enum log_state	    state;		/* [L] */
	STAILQ_HEAD(, append_set) queue;	/* [L] */
	uint64_t	    queue_bytes;	/* [L] */
	struct log_role	    role;		/* [L] */
	bool		    has_role;		/* [L] */
	struct log_options  options;		/* [L] */
	bool		    full;		/* [O] an append found no room, and that was said */
	struct uuid	    topic_id;		/* [OL] */
	struct job	    drain_job, flush_job, settle_job;
	int64_t		    named;		/* with the right to flush: segments up to this base have their names on the disk; -1: unknown */

	struct segment_list *segments;		/* [R], replaced by the owner */
	_Atomic uint32_t    tail_seq;		/* odd while the three below change together */
	_Atomic int64_t	    tail_end;		/* [A] end offset */
	_Atomic int64_t	    tail_base;		/* [A] base of the active segment */
	_Atomic uint32_t    tail_size;		/* [A] its bytes that belong to offsets below end */
	_Atomic int64_t	    start, high_watermark, recovery_point;	/* [A] */
	_Atomic int64_t	    settled;		/* [A] with group commit: data below is on the disk; raised with the right to flush */
	_Atomic int64_t	    stored_recovery_point;	/* [A] no smaller than what the checkpoint on the disk says */
	_Atomic int64_t	    stored_start;	/* [A] no larger than what the checkpoint on the disk says, or than the first segment's base */
	_Atomic uint64_t    removals, removals_synced;	/* [A] equal: what segments below the start were called is gone on the disk, too */
	_Atomic int64_t	    first_unstable;	/* [A] -1: none; set before the end offset that covers it is published */
	_Atomic int64_t	    last_flush_ms;	/* [A] */
	_Atomic uint32_t    readers[2];		/* [A] reads under way, by the phase they began in */
	_Atomic uint32_t    read_phase;		/* [A] flipped by a truncation, which then waits for the old phase's readers */
	_Atomic bool	    cutting;		/* [A] somebody waits for readers: the last one out says so */
	_Atomic uint64_t    sealed_bytes;	/* [A] data bytes of all but the active segment */

	struct epoch_cache  epochs;		/* [OL]; truncations of it also by others, under lock */
	uint64_t	    epochs_version;	/* [L] */
	bool		    epochs_unstored; /* [L] the disk was full: stored before the next batch */
	struct lock	    epochs_file;	/* one writer of leader-epoch-checkpoint */
	uint64_t	    epochs_stored;	/* under epochs_file: the version the file holds */
	struct producer_state *producers;	/* [L] */
	int64_t		   *snapshots;		/* [O] offsets of the .snapshot files, ascending */
	uint32_t	    nsnapshots;
	STAILQ_HEAD(, doomed) doomed;		/* [L] */
};

struct tail {
	int64_t	 end, base;
	uint32_t size;
};

/* ---- log.c ---- */
struct log *log_new(struct log_env *, struct log_dir *, const char *topic, int32_t partition, const char *path, const struct log_options *);
void	    log_own(struct log *);		/* waits for the set being written; then nobody else writes */
void	    log_disown(struct log *);		/* and lets the queue go on */
/* The right to sync and to lower the recovery point; taken after ownership, when both are needed. */
void	    log_flush_begin(struct log *);
void	    log_flush_end(struct log *);
uint32_t    log_read_enter(struct log *);		/* the phase, for log_read_leave */
void	    log_read_leave(struct log *, uint32_t phase);
/* Owner, after it lowered what is published: until every read that may have seen more is over. */
void	    log_wait_for_readers(struct log *);
struct segment_list *log_hold_segments(struct log *);	/* a referenced copy, for threads that base/reclaim need not know */
void	    segment_list_free(void *);
struct tail log_tail(const struct log *);
void	    log_publish_tail(struct log *, struct tail);	/* owner */
void	    log_publish_segments(struct log *, struct segment *const *, uint32_t n);	/* owner; references are taken */
struct segment *log_active(const struct log *);			/* owner */
void	    log_update_first_unstable(struct log *);		/* under lock */
void	    log_raise_start_locked(struct log *, int64_t);	/* under lock */
int64_t	    log_set_high_watermark_locked(struct log *, int64_t);	/* likewise */
void	    log_segment_options(struct log *, struct segment_options *);
/* The disk failed: the directory goes offline.  Returns KAFKA_STORAGE_ERROR. */
enum kerr   log_fail(struct log *, const char *doing, enum err, const struct errbuf *);
void	    log_dir_fail(struct log_dir *, const char *why);
/* Writes the epoch file when it is behind.  Of a young log nothing is written: log_establish does it, by the second function, and syncs the name. */
enum err    log_store_epochs(struct log *, struct errbuf *) MUST_CHECK;
enum err    log_put_epochs(struct log *, struct errbuf *) MUST_CHECK;
struct log *log_moved_to(struct log *);		/* borrowed; NULL: nothing has taken its place */
void	    log_fail_queue(struct log *, enum kerr, const char *words);	/* owner: completes every queued set */
enum err    log_close(struct log *, bool clean, struct errbuf *) MUST_CHECK;	/* clean: flush, trim, snapshot */

/* ---- append.c ---- */
void	    log_write_owned(struct log *, struct append_set *);	/* owner, past the queue; the result is in the set */
void	    log_drain_later(struct log *);
void	    log_complete(struct append_set *, bool own);

/* ---- roll.c ---- */
enum err    log_roll_to(struct log *, int64_t base, struct errbuf *) MUST_CHECK;	/* owner */
enum err    log_flush_to(struct log *, int64_t up_to, bool active_too, struct errbuf *) MUST_CHECK;	/* between flush_begin and _end;
					 * an error has taken the directory offline */
void	    log_flush_later(struct log *, bool all);	/* any; all: the active segment, too.  Soon, on a worker; with no workers at once */
void	    log_flush_recovered(struct log *);	/* the same, and then log_dirs_note_flushed */
enum err    log_snapshot(struct log *, bool sync, struct errbuf *) MUST_CHECK;	/* owner: producer state at its end offset */
enum err    log_snapshot_of(struct log *, struct producer_state *, bool sync, struct errbuf *) MUST_CHECK;
enum err    log_sync_removals(struct log *, struct errbuf *) MUST_CHECK;	/* syncs the names of its directory */
enum err    log_sync_snapshot(struct log *, int64_t offset, struct errbuf *) MUST_CHECK;
bool	    snapshots_find(const struct log *, int64_t offset);
void	    snapshots_add(struct log *, int64_t offset);
enum err    snapshots_remove(struct log *, int64_t offset, bool later, struct errbuf *) MUST_CHECK;

/* ---- establish.c ---- */
/* Owner.  A young log and all that belongs to it is on the disk when this returns OK; of another one nothing is done.  ERR_NOSPACE: it stays young;
 * any other error is for log_fail. */
enum err    log_make_name(struct log *, struct errbuf *) MUST_CHECK;	/* owner, or who alone knows it: its directory, if there is none yet */
enum err    log_establish(struct log *, struct errbuf *) MUST_CHECK;

/* ---- settle.c ---- */
void	    log_settle_later(struct log *);	/* any, without locks.  Nothing without group commit; with no workers at once */

/* ---- retain.c ---- */
enum err    log_retain_begin(struct log *, struct errbuf *) MUST_CHECK;	/* the start rises above what log_retain will remove */
bool	    log_has_below_start(struct log *);	/* segments that log_retain will remove */
enum err    log_remove_segments(struct log *, uint32_t from, uint32_t n, struct errbuf *) MUST_CHECK;	/* owner; list never gets empty */
enum err    log_doom_segment(struct log *, struct segment *, struct errbuf *) MUST_CHECK;		/* renames, queues for unlinking */

/* ---- facts.c ---- */
enum err    producer_facts(const struct batch_header *, struct slice whole, struct producer_batch_facts *, struct errbuf *) MUST_CHECK;
/* Replays one stored batch into a producer state; an ended transaction goes to txns (may be NULL). */
enum err    producer_replay(struct producer_state *, const struct batch_header *, struct slice whole, struct txn_index *txns, struct errbuf *) MUST_CHECK;

/* ---- load.c ---- */
struct log_load {
	bool	clean;			/* the directory had its clean marker */
	bool	bare;			/* the log's directory was made a moment ago, or is not made yet: nothing is there to be looked for */
	bool	points_lost;		/* the checkpoint of recovery points is damaged or missing */
	int64_t recovery_point;		/* checkpoints; 0: none */
	int64_t start_offset;
};
/* Opens what stands in log->path (which exists), recovering as needed. */
enum err    log_load(struct log *, const struct log_load *, struct errbuf *) MUST_CHECK;

/* ---- log_dirs_periodic.c ---- */
/* What may stand on the disk: below the end of a segment that is not closed and synced, so that it is recovered even if another one is rolled at
 * its end.  (It would be recovered anyway: it is the last.) */
int64_t	    log_recovery_point_to_store(struct log *);
/* On the disk, before anything below it is changed.  While a directory is loaded, or later: then log->recovery_point has been lowered.
 * ERR_CLOSED: the log is out of the table, to be deleted; nothing of it needs to be changed any more.  ERR_NOSPACE. */
enum err    log_dirs_lower_recovery_point(struct log *, int64_t to, struct errbuf *) MUST_CHECK;
/* *start: what is on the disk; when there was no room for it, what should be.  ERR_OFFLINE. */
enum err    log_dirs_store_start(struct log *, int64_t *start, struct errbuf *) MUST_CHECK;

/* worker.  What was recovered of this log is flushed, or nobody will: the last one of a directory has its recovery points written. */
void	    log_dirs_note_flushed(struct log *);

/* ---- producers.c ---- */
enum err    log_rebuild_producers(struct log *, struct segment *const *, uint32_t n, int64_t start, int64_t end, bool clean, struct errbuf *) MUST_CHECK;

#endif
