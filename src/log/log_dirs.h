/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs.h - the log directories of a broker (log.dirs) and the logs in them.
 *
 * Life: log_dirs_new (directories made, locked, their meta.properties read) -> log_dirs_set_identity (ids checked and stored) ->
 * log_dirs_load (every log opened, recovered where needed) -> the running broker -> log_dirs_shutdown -> log_dirs_free.
 *
 * Threads    new, set_identity, load, create, delete, shutdown and the periodic functions block on disks: main thread before the loops
 *            start, or a worker.  find is any thread.  Scheduling (how often which periodic function runs) is the caller's.
 * Failure    A directory that cannot be used at start is offline at once (with a diagnostic); all of them: an error.  Later a failed
 *            write, sync, rename or read of metadata takes its directory offline: events->dir_offline once per directory, then
 *            events->all_offline when it was the last (the process should end, as Kafka's does).  Never back online without a restart.
 * State      meta.properties, .lock, .kafka_cleanshutdown, recovery-point-offset-checkpoint, log-start-offset-checkpoint,
 *            replication-offset-checkpoint, cleaner-offset-checkpoint in each directory; see src/log/README.
 */
#ifndef LOG_LOG_DIRS_H
#define LOG_LOG_DIRS_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/fs.h"
#include "base/metrics.h"
#include "base/random.h"
#include "event/workers.h"
#include "log/log.h"

struct log_dirs;

/* Upward news.  Called without locks, on the thread that met it; ctx is the caller's.  Any may be NULL. */
struct log_events {
	void *ctx;
	/* The end offset of a log has moved after a write (not per set: coalesced by the drainer), or its settled offset after a sync.  Leader: time to
	 * move the high watermark. */
	void (*end_offset_moved)(void *ctx, struct log *);
	/* A directory went offline: its logs answer KAFKA_STORAGE_ERROR from now on. */
	void (*dir_offline)(void *ctx, const char *dir, const char *why);
	void (*all_offline)(void *ctx);
	/* A log is about to be cut: connections with queued ranges at or above `offset` must be closed before this returns. */
	void (*about_to_truncate)(void *ctx, struct log *, int64_t offset);
};

struct log_dirs_options {
	struct fs	  *fs;
	struct clock	  *clock;
	struct diag	  *diag;		/* may be NULL */
	struct metrics	  *metrics;		/* may be NULL */
	struct random	  *random;
	struct workers	  *workers;		/* flush on roll, hand-over of long drains; NULL: done at once on the calling thread */
	const char *const *dirs;		/* absolute paths */
	uint32_t	   ndirs;
	uint32_t	   recovery_threads_per_dir;	/* num.recovery.threads.per.data.dir: at load and shutdown, when all directories are worked on at once;
							 * 0: one after the other, on the calling thread */
	bool		   sync_appends;		/* group commit: what is appended is synced soon after, and told by end_offset_moved */
	uint32_t	   open_indexes_max;		/* active segments with open index files, two each; the others open theirs when entries are to be written.  0: all */
	uint64_t	   scrub_bytes_per_second;	/* 0: closed segments are not looked at */
	struct log_options defaults;
	/* Options of a topic's logs at load time (topic overrides); NULL: the defaults.  May be called from several threads. */
	void (*topic_options)(void *ctx, const char *topic, struct log_options *inout);
	void		  *topic_options_ctx;
	struct log_events  events;
};

/* ERR_LOCKED with the holder's pid in words when another process holds a directory; ERR_CONFLICT when the directories disagree about
 * broker.id or cluster.id; ERR_UNSUPPORTED for a KRaft (version 1) meta.properties. */
enum err log_dirs_new(const struct log_dirs_options *, struct log_dirs **, struct errbuf *) MUST_CHECK;
int32_t	 log_dirs_broker_id(const struct log_dirs *);		/* stored; -1: none */
const char *log_dirs_cluster_id(const struct log_dirs *);	/* stored; NULL: none */
/* ERR_CONFLICT when a directory belongs to another broker or cluster (words say which file and both ids).  Writes what is missing. */
enum err log_dirs_set_identity(struct log_dirs *, int32_t broker_id, const char *cluster_id, struct errbuf *) MUST_CHECK;
/* Opens every log, of all directories side by side: one that hangs or fails (it goes offline, with all its logs) holds up no other, but this returns when
 * all are done.  Progress through diag.  ERR_CONFLICT: a log stands in two directories; ERR_INVALID: a directory that is no log. */
enum err log_dirs_load(struct log_dirs *, struct errbuf *) MUST_CHECK;
/* Clean end: no append may be under way.  Closes every log (flush, trim, snapshot), writes checkpoints and the clean marker; likewise side by side. */
void	 log_dirs_shutdown(struct log_dirs *);
void	 log_dirs_free(struct log_dirs **);	/* without shutdown before: as after a crash */

/* Referenced; NULL: no such log here. */
struct log *log_dirs_find(struct log_dirs *, const char *topic, int32_t partition) MUST_CHECK;
/* Referenced; the existing one or a new one in the live directory with the fewest logs.  topic_id may be UUID_ZERO (unknown);
 * ERR_CONFLICT when another id is stored.  ERR_OFFLINE: stands in, or could only stand in, an offline directory.
 * A new log is nothing but a directory when this returns, and of many that are made at once only the first is that much (a kill leaves it, a loss of
 * power may take it away), and it is empty: who
 * is told of it by ZooKeeper makes it again.  Whoever puts the first thing into it that could be missed (a batch, another start) waits until it is
 * there, with its topic id and epochs; log_dirs_establish does that before anybody has to wait. */
enum err log_dirs_create(struct log_dirs *, const char *topic, int32_t partition, struct uuid topic_id, const struct log_options *,
    struct log **, struct errbuf *) MUST_CHECK;
/* any; does not block (but with no workers, where it does it all).  To be called once after logs were made: they are brought to the disk soon, by few
 * threads of their directories or workers; the names of all that one request made by one sync.  A full disk leaves them as they are, any other error
 * takes their directory offline. */
void	 log_dirs_establish(struct log_dirs *);
/* any, but not while logs are made (the first of them lists the directory, and the others wait for it).  Before one request makes up to n logs, until
 * its log_dirs_establish: where their names may stand is looked up for all at once. */
void	 log_dirs_expect(struct log_dirs *, uint32_t n);
/* The log closes, completes its queue with NOT_LEADER_OR_FOLLOWER, leaves the table and the checkpoints; its directory is renamed to
 * <topic>-<partition>.<uuid>-delete and removed by log_dirs_delete_due after file.delete.delay.ms.  ERR_NOTFOUND. */
enum err log_dirs_delete(struct log_dirs *, const char *topic, int32_t partition, struct errbuf *) MUST_CHECK;
/* Every log, in no order; fn must not keep the pointer without log_ref.  false stops. */
void	 log_dirs_each(struct log_dirs *, bool (*fn)(void *ctx, struct log *), void *ctx);
uint32_t log_dirs_count(struct log_dirs *);			/* logs */
/* The high watermark that the last checkpoint file held for this partition (read at load); 0: none. */
int64_t	 log_dirs_stored_high_watermark(struct log_dirs *, const char *topic, int32_t partition);
/* Some directory is offline: a log that is not here may stand there, so only a partition known to be new may be created. */
bool	 log_dirs_any_offline(struct log_dirs *);
bool	 log_dirs_was_clean(struct log_dirs *);			/* every live directory had its clean marker at load */

/* ---- a log moves to another directory: log_dirs_move.c has the story.  worker, for one log one call at a time unless said otherwise ---- */
/* any.  ERR_NOTFOUND: not one of log.dirs, as it is written there (an absolute path); ERR_OFFLINE. */
enum err log_dirs_check_path(struct log_dirs *, const char *path) MUST_CHECK;
/* any.  Where this partition's log is to be made when it is.  ERR_NOTFOUND as above; ERR_LIMIT: too many are remembered. */
enum err log_dirs_prefer(struct log_dirs *, const char *topic, int32_t partition, const char *path) MUST_CHECK;
struct log *log_dirs_find_future(struct log_dirs *, const char *topic, int32_t partition) MUST_CHECK;	/* any.  Referenced, or NULL */
/* Makes the future log; referenced.  ERR_EXISTS: there is one already, or the log stands in that directory.  ERR_OFFLINE: some directory is. */
enum err log_dirs_move_begin(struct log_dirs *, const char *topic, int32_t partition, const char *path, const struct log_options *, struct log **,
    struct errbuf *) MUST_CHECK;
/* Once before copying, and after each restart of it. */
enum err log_dirs_move_align(struct log_dirs *, struct log *current, struct log *future, struct errbuf *) MUST_CHECK;
/* Copies until caught up, or a little more than bytes_max.  ERR_CLOSED: cancelled or deleted; ERR_OFFLINE: one of the directories is. */
enum err log_dirs_move_copy(struct log_dirs *, struct log *current, struct log *future, uint64_t bytes_max, uint64_t *copied, bool *caught_up,
    struct errbuf *) MUST_CHECK;
/* For the time of the last few bytes, two syncs and a rename the current log takes nothing: sets wait in its queue.  *done: the future log is the
 * log of this partition now, with role and queue; what the old one is given or told goes to it (log.h, Moves).  !*done: copy more, or (nothing to
 * copy) what an earlier move replaced is not retired yet. */
enum err log_dirs_move_swap(struct log_dirs *, struct log *current, struct log *future, bool *done, struct errbuf *) MUST_CHECK;
/* After a swap, when no thread can have the old log from where it was published: its directory goes, unless a deletion has taken it along. */
void	 log_dirs_move_retire(struct log_dirs *, struct log *old);
/* While others use the future log: closes it (they get ERR_CLOSED) and deletes it.  ERR_NOTFOUND: there is none. */
enum err log_dirs_move_cancel(struct log_dirs *, const char *topic, int32_t partition, struct errbuf *) MUST_CHECK;
void	 log_dirs_move_drop(struct log_dirs *, const char *topic, int32_t partition);	/* its directory failed: it is no more in the table */

/* ---- one row per directory, for DescribeLogDirs and metrics ---- */
struct log_dir_info {
	const char *path;
	bool	    online;
	uint32_t    logs;
	uint64_t    total, usable;	/* bytes of the file system; 0 when unknown */
};
uint32_t log_dirs_info(struct log_dirs *, struct log_dir_info *, uint32_t n);	/* fills up to n rows; returns the number of directories */

/* ---- periodic, on a worker; every error takes the directory offline and is not reported otherwise ---- */
void	 log_dirs_checkpoint_recovery_points(struct log_dirs *);	/* log.flush.offset.checkpoint.interval.ms */
void	 log_dirs_checkpoint_start_offsets(struct log_dirs *);		/* log.flush.start.offset.checkpoint.interval.ms */
void	 log_dirs_checkpoint_high_watermarks(struct log_dirs *);	/* replica.high.watermark.checkpoint.interval.ms; only logs with a role */
void	 log_dirs_retain(struct log_dirs *);				/* log.retention.check.interval.ms */
void	 log_dirs_flush_due(struct log_dirs *);				/* log.flush.scheduler.interval.ms: logs past flush.ms */
void	 log_dirs_delete_due(struct log_dirs *);			/* every second or so: files and directories whose delay has passed */
void	 log_dirs_scrub(struct log_dirs *);				/* about ten times a second: what the rate allows (scrub.h) */
void	 log_dirs_stop_scrub(struct log_dirs *);			/* any thread; for good: the turn under way ends after a batch */
void	 log_dirs_set_recovery_threads(struct log_dirs *, uint32_t per_dir);	/* for the next load or shutdown; any thread */
void	 log_dirs_expire_producers(struct log_dirs *);			/* producer.id.expiration.check.interval.ms */

#endif
