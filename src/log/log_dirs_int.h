/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs_int.h - the inside of log_dirs, for its three files.
 */
#ifndef LOG_LOG_DIRS_INT_H
#define LOG_LOG_DIRS_INT_H

#include <uthash.h>

#include "log/checkpoint.h"
#include "log/log_int.h"

#define LOG_DIRS_MAGIC	0x6c646972u

struct log_entry {
	char		 *key;		/* "<topic>-<partition>" */
	struct log	 *log;		/* one reference; NULL while log_dirs_create is at work */
	bool		  swapping;	/* of a current log: it must stay in the table */
	struct log	 *before;	/* referenced: what this log has replaced, until that is retired.  Its directory has the name still */
	UT_hash_handle	  hh;
};

enum dir_file { DIR_RECOVERY, DIR_STARTS, DIR_MARKS, DIR_FILE_COUNT_ };

enum upkeep { UPKEEP_RECOVERY, UPKEEP_STARTS, UPKEEP_MARKS, UPKEEP_RETAIN, UPKEEP_DELETE, UPKEEP_COUNT_ };

struct upkeep_turn {			/* of one directory that has a thread for it */
	struct job	 job;
	struct log_dirs *ld;
	struct dir	*dir;
	void	       (*run)(struct log_dirs *, struct dir *);
	_Atomic bool	 busy;
};

/* The names that stand in a log directory, read once when many new logs are about to be made there.  (To look for each costs more than all else of
 * making them.)  A clear bit: no such name; a set one: look. */
struct names {
	struct lock lock;
	bool	    read;		/* this time; bits may be NULL all the same */
	uint8_t	   *bits;
	uint32_t    nbits;		/* a power of two */
};

struct dir {
	struct log_dir	  base;
	struct upkeep_turn upkeep[UPKEEP_COUNT_];
	struct file	 *lock_file;	/* holds the fcntl lock; never opened twice in this process, a close would drop the lock */
	bool		  was_clean, loaded;
	bool		  points_lost;	/* its recovery points could not be read: damaged, or no file */
	bool		  has_meta;
	struct meta_properties meta;
	struct checkpoint recovery, starts, marks;	/* as read at load; recovery: as lowered during it, under checkpoints */
	struct lock	  checkpoints;	/* one writer of this directory's files at a time */
	_Atomic uint64_t  turn;		/* counts looks at the logs, for checkpoints */
	uint64_t	  written[DIR_FILE_COUNT_];	/* under checkpoints: the look that each file shows */
	_Atomic bool	  behind[DIR_FILE_COUNT_];	/* the disk was too full for the newest look: the file shows an older one */
	uint32_t	  logs;		/* under log_dirs.lock */
	struct log	**young;	/* under log_dirs.lock, as the next three: new logs that nobody has established yet; referenced */
	uint32_t	  nyoung, young_room;
	uint32_t	  establishers;	/* jobs that take from it */
	struct names	  names;
};

struct deletion {			/* a -delete directory, to be removed when due */
	STAILQ_ENTRY(deletion) link;
	int64_t	    due_ms;
	struct dir *dir;
	char	   *path;
};

struct preference {			/* a partition that is not here yet, and its directory */
	char	      *key;
	struct dir    *dir;
	UT_hash_handle hh;
};

struct log_dirs {
	struct magic	 magic;
	struct log_env	 env;
	struct log_dirs_options options;	/* env has the parts that logs use */
	struct dir	*dirs;
	uint32_t	 ndirs;
	int32_t		 broker_id;
	char		 cluster_id[128];
	_Atomic bool	 all_offline_told;
	_Atomic uint32_t recovery_threads;	/* per directory */
	struct lock	 lock;			/* the table, deletions, dir.logs */
	bool		 ending;		/* under lock: the table has been emptied, and the checkpoints go on to tell of what was in it */
	struct condition created;
	struct log_entry *table, *futures;
	struct preference *preferred;
	STAILQ_HEAD(, deletion) deletions;
	struct scrubber	*scrubber;		/* NULL: not wanted */
	_Atomic uint32_t expected;		/* log_dirs_expect */
};

char	    *log_key(const char *topic, int32_t partition);		/* malloc'ed */
struct log **log_dirs_hold(struct log_dirs *, const struct dir *only, uint32_t *n);	/* referenced; only: NULL = every directory */
/* Those of a directory that its checkpoints tell of: also what a swap has replaced, as long as its files have the name.  They are all there is if the
 * other directory is lost then.  (Where a future log of the same partition stands already, the one row there can be is that one's.) */
struct log **log_dirs_hold_rows(struct log_dirs *, const struct dir *, uint32_t *n);
bool	     log_dirs_holds(struct log_dirs *, const struct log *);	/* it is in the table, in whatever part */
void	     log_dirs_release(struct log **, uint32_t n);
enum err     log_dirs_add(struct log_dirs *, struct dir *, struct log *, struct errbuf *) MUST_CHECK;	/* ERR_CONFLICT: already there */
void	     log_dirs_add_deletion(struct log_dirs *, struct dir *, const char *path);	/* due after the delay */
bool	     dir_is_online(const struct dir *);
void	     log_dirs_options_for(struct log_dirs *, const char *topic, struct log_options *);
/* Runs fn for every item, on up to `threads` threads (0, 1: the calling one); returns when all are done.  The caller holds no pointer of base/reclaim. */
void	     run_parallel(unsigned threads, const char *name, void (*fn)(void *), void *const *items, uint32_t n);
void	     log_dirs_await_upkeep(struct log_dirs *);	/* what the directories' threads were given is over */
void	     dir_checkpoint_recovery(struct log_dirs *, struct dir *);
void	     dir_checkpoint_starts(struct log_dirs *, struct dir *);
void	     dir_checkpoint_marks(struct log_dirs *, struct dir *);

/* ---- establish.c ---- */
void	     log_dirs_add_young(struct dir *, struct log *);	/* under log_dirs.lock */
void	     log_dirs_drop_young(struct log_dirs *, struct dir *);
bool	     log_dirs_name_is_free(struct log_dirs *, struct dir *, const struct log *);	/* nothing stands where its directory is to be */
void	     names_drop(struct names *);
enum err     log_dirs_establish_now(struct log *, struct errbuf *) MUST_CHECK;	/* log_establish by whoever has no rights; offline when it fails */

/* ---- for log_dirs_move.c ---- */
struct dir  *dir_by_path(struct log_dirs *, const char *path);
/* A young one; lazy: perhaps without its directory. */
enum err     log_dirs_make_log(struct log_dirs *, struct dir *, struct log *, struct uuid topic_id, bool lazy, struct errbuf *) MUST_CHECK;
enum err     log_dirs_rename_for_deletion(struct log_dirs *, struct log *, struct errbuf *) MUST_CHECK;
void	     log_dirs_forget(struct log_dirs *, struct dir *, const char *topic, int32_t partition);	/* the checkpoints of that directory do */
void	     log_dirs_replace(struct log_dirs *, struct log *current, struct log *future);	/* in the table; the caller holds references */
/* ERR_CLOSED: one is gone; ERR_AGAIN: what the current one has replaced is not retired yet, and its directory may be in the way. */
enum err     log_dirs_hold_move(struct log_dirs *, const struct log *current, const struct log *future) MUST_CHECK;
bool	     log_dirs_hold_retired(struct log_dirs *, const struct log *old);	/* false: a deletion has taken it along */
void	     log_dirs_release_retired(struct log_dirs *, const struct log *old);	/* and it is forgotten */
void	     log_dirs_put_away(struct log_dirs *, struct log *old);	/* to -delete, whoever may be reading */
void	     log_dirs_release_move(struct log_dirs *, const struct log *);
struct log  *log_dirs_take_future(struct log_dirs *, const char *topic, int32_t partition);	/* out of the table, with its reference */
struct log  *log_dirs_loser(struct log_dirs *, struct log *, struct log *);	/* of two logs with one name; NULL: nobody can tell */
void	     log_dirs_settle_markers(struct log_dirs *);	/* after loading */

#endif
