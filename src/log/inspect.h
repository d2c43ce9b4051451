/* SPDX-License-Identifier: Apache-2.0
 *
 * log/inspect.h - the files of a log seen from outside: what breaks a rule, what differs between two replicas, and how it is mended.
 *
 * For tools.  A broker (ours, Java's) may be running on the files, or has stopped, or was killed; nothing here writes but log_repair.
 *
 * Verifying  reads every byte of a partition and reports what breaks a row of rules.def.  Three things change what counts:
 *              live      a process holds the directory's .lock: the tail of the active segment is being written, its indexes are presized;
 *                        what is reported must still be so at a second look, after a third pass
 *              clean     the clean marker stands: a broker will believe every byte at its next start, so every rule holds everywhere
 *              neither   the next start recovers from the recovery point on: a torn end of the last segment and indexes from there on are
 *                        notes, not violations.  A bad batch with whole ones behind it is one: recovery would drop these, too
 * Repairing  see log_repair below.
 *
 * Ownership  Reports own what they hold; *_fini frees.  Threads: any, one call per object at a time; all calls block.
 * Memory     One batch (at most what the file holds), the indexes of one segment, the producers of one log.
 * Failure    The disk's errors, in words.  What a file *says* is never an error of a call: it is a finding.
 */
#ifndef LOG_INSPECT_H
#define LOG_INSPECT_H

#include "base/fs.h"
#include "log/checkpoint.h"
#include "log/epoch_cache.h"
#include "record/batch.h"

enum log_rule {
#define LOG_RULE(name, code, text, mend) LOG_RULE_##name,
#include "log/rules.def"
#undef LOG_RULE
	LOG_RULE_COUNT_
};

const char *log_rule_code(enum log_rule);	/* "B2" */
const char *log_rule_text(enum log_rule);	/* what holds */
const char *log_rule_mend(enum log_rule);	/* what a repair does */

struct log_finding {
	enum log_rule rule;
	bool	      violation;	/* else a note: the next start deals with it */
	char	     *path;
	char	     *words;
	int64_t	      offset, position;	/* in the log, in the file; -1: none */
};

struct log_findings {			/* LOG_FINDINGS_INIT */
	struct log_finding *v;
	uint32_t n, room;
	uint32_t violations;
	uint64_t unlisted;		/* more of the same rule in the same file than LOG_FINDINGS_PER_FILE */
};
#define LOG_FINDINGS_INIT { NULL, 0, 0, 0, 0 }
enum { LOG_FINDINGS_PER_FILE = 8 };
void log_findings_fini(struct log_findings *);

struct log_progress {			/* may be NULL everywhere */
	void (*fn)(void *ctx, const char *path, uint64_t done, uint64_t total);
	void *ctx;
};

/* ---- a log directory ---- */

struct log_place {			/* LOG_PLACE_INIT; of a directory that is none: is_log_dir false, the rest empty */
	char *path;
	bool  is_log_dir;		/* it has a meta.properties, a .lock or a recovery point file */
	bool  clean;			/* .kafka_cleanshutdown stands there */
	int   holder;			/* pid of the process that holds .lock; 0: nobody; -1: one that cannot be seen from here */
	struct checkpoint recovery, starts, marks, cleaned;	/* sorted; empty when missing or malformed */
	char **logs;			/* names of partition directories, sorted; -future and -stray too, -delete not */
	uint32_t nlogs;
};
#define LOG_PLACE_INIT { NULL, false, false, 0, CHECKPOINT_INIT, CHECKPOINT_INIT, CHECKPOINT_INIT, CHECKPOINT_INIT, NULL, 0 }
/* Reports M1, D1, C1, C3, F3.  The checkpoints are read before anything else, so a running broker is never behind them. */
/* ours: this process holds the lock (log_lock).  Then .lock is not opened: closing it again would drop the lock. */
enum err log_place_read(struct fs *, const char *dir, bool ours, struct log_place *, struct log_findings *, struct errbuf *) MUST_CHECK;
void	 log_place_fini(struct log_place *);
enum err log_place_holder(struct fs *, const char *dir, int *pid, struct errbuf *) MUST_CHECK;	/* no .lock: 0 */

/* ---- the files of one partition ---- */

struct log_files {			/* by offset, ascending */
	int64_t	*bases, *snapshots;
	uint32_t n, nsnapshots;
	char   **others;		/* every other name, sorted */
	uint32_t nothers;
};
enum err log_files_list(struct fs *, const char *dir, struct log_files *, struct errbuf *) MUST_CHECK;
void	 log_files_fini(struct log_files *);
char	*log_file_path(const char *dir, int64_t base, const char *suffix);	/* malloc'ed; suffix ".log", ".index", ... */

enum log_file_kind { LOG_FILE_DATA, LOG_FILE_INDEX, LOG_FILE_TIME, LOG_FILE_TXN, LOG_FILE_SNAPSHOT, LOG_FILE_EPOCHS, LOG_FILE_METADATA,
	LOG_FILE_PROPERTIES, LOG_FILE_CHECKPOINT, LOG_FILE_UNKNOWN };
/* By name, a suffix .deleted, .cleaned or .swap taken off.  *base: of data, indexes and snapshots. */
enum log_file_kind log_file_kind(const char *path, int64_t *base);

struct log_index_row {			/* of whichever index: what it does not have is 0 */
	int64_t offset;			/* txn: of the marker */
	int64_t timestamp_ms;
	int64_t producer_id, first_offset, last_stable_offset;
	uint32_t position;
};
struct log_index_rows {
	struct log_index_row *v;
	uint32_t n;
	uint64_t tail_bytes;		/* behind the last row: zeros of a presized file, or an odd rest */
	bool	 odd;			/* the file is not whole entries, or (txn) a version is unknown */
};
/* What the file says, unjudged.  ERR_NOENT.  kind: INDEX, TIME or TXN. */
enum err log_index_read(struct fs *, const char *path, enum log_file_kind, int64_t base, struct log_index_rows *, struct errbuf *) MUST_CHECK;
void	 log_index_rows_fini(struct log_index_rows *);

/* Every batch from the beginning on.  fn returns false to stop.  *at: where it ended; OK also when no whole batch stands there. */
typedef bool log_batch_fn(void *ctx, const struct batch_header *, struct slice whole, uint64_t position);
enum err log_each_batch(struct fs *, const char *path, uint64_t from, log_batch_fn *, void *ctx, uint64_t *at, uint64_t *size, struct errbuf *) MUST_CHECK;

/* ---- verifying one partition ---- */

struct log_segment_report {
	int64_t	 base;
	uint64_t size;
	bool	 rebuild_index, rebuild_time, rebuild_txn;
	char	*index, *time, *txn;	/* what these files should be, where they are to be rebuilt */
	size_t	 index_len, time_len, txn_len;
};

struct log_report {			/* LOG_REPORT_INIT */
	char	*topic;			/* as the directory's name says; NULL: it says none */
	int32_t	 partition;
	bool	 future;		/* -future: the checkpoints do not speak of it */
	struct log_segment_report *segments;
	uint32_t nsegments;
	uint64_t bytes, batches, records;
	int64_t	 start, end;		/* of what could be read: end is behind the last good batch before the cut */
	int64_t	 high_watermark;	/* as checkpointed; -1: no row */
	int32_t	 latest_epoch;		/* of the batches; -1 */
	struct epoch_cache epochs;	/* as the batches say */
	/* where a repair would cut: the first bad batch.  cut_offset -1: nowhere */
	int64_t	 cut_offset, cut_base;
	uint64_t cut_position;
	struct log_findings findings;
};
#define LOG_REPORT_INIT { .partition = -1, .cut_offset = -1, .high_watermark = -1, .latest_epoch = -1 }
/* place: of the directory that holds dir; NULL: nothing is known of it (a copy), then only the last segment counts as active. */
enum err log_verify(struct fs *, const char *dir, const struct log_place *, const struct log_progress *, struct log_report *, struct errbuf *) MUST_CHECK;
void	 log_report_fini(struct log_report *);

/* ---- repairing ---- */

/* What a repair of one partition does, and in which order; every step leaves a directory that a broker starts on, because the first one
 * makes the next start recover:
 *   1. the clean marker goes
 *   2. a cut: the bytes from the bad batch on are copied to ottla-cut.<base>.log.<position> beside the log and synced; segments above, the last
 *      first, get such a name, then their indexes go; the data file is cut
 *   3. index files are written anew (.tmp, rename), so that never half an index stands below the recovery point
 *   4. snapshots above the cut go; bad ones and a bad partition.metadata are renamed to ottla-bad.<name>
 *   5. leader-epoch-checkpoint is cut, or written anew
 *   6. recovery point, high watermark and cleaner point are lowered to the new end
 * Only the holder of the directory's .lock may call it (log_lock).  After an error the steps done stay done; call it again after a new log_verify. */
struct log_repair_step {
	char *words;			/* for people: "cut 00..00.log at position 4711: 300 bytes go to ..." */
};
struct log_repair_plan {
	struct log_repair_step *steps;
	uint32_t n;
	bool	 below_high_watermark;	/* records that may have been acknowledged go */
	bool	 beyond_repair;		/* violations remain that no step mends */
};
void	 log_repair_plan(struct fs *, const char *dir, const struct log_place *, const struct log_report *, struct log_repair_plan *);
void	 log_repair_plan_fini(struct log_repair_plan *);
enum err log_repair(struct fs *, const char *dir, const struct log_place *, const struct log_report *, struct errbuf *) MUST_CHECK;
/* Malformed checkpoints of the log directory itself are put aside. */
enum err log_place_repair(struct fs *, const struct log_place *, const struct log_findings *, struct errbuf *) MUST_CHECK;

/* The lock of a log directory, as a broker takes it.  ERR_LOCKED: *holder says who (0: it cannot be seen).  Hold it by keeping the file. */
enum err log_lock(struct fs *, const char *dir, struct file **, int *holder, struct errbuf *) MUST_CHECK;

/* ---- comparing two replicas ---- */

enum log_difference {
	LOG_SAME,
	LOG_DIFFERENT_BYTES,		/* both have a batch that begins there, and not the same one */
	LOG_DIFFERENT_OFFSETS,		/* one has a batch where the other has a gap */
	LOG_A_IS_SHORTER, LOG_B_IS_SHORTER,	/* the same up to the end of one of them */
	LOG_NOTHING_IN_COMMON		/* one ends before the other begins */
};
struct log_comparison {
	enum log_difference difference;
	int64_t	 start[2], end[2];	/* of A and B, as far as batches are whole */
	int64_t	 from;			/* the first offset compared */
	int64_t	 offset;		/* of the first difference; with SAME the common end */
	int64_t	 position[2], base[2];	/* where it lies: in which segment, where; -1 */
	int32_t	 epoch[2];		/* of the batches there; -1: none */
	int32_t	 common_epoch;		/* of the last batch that is the same; -1 */
	uint32_t byte;			/* first differing byte of the batch */
	uint64_t batches, bytes;	/* the same in both */
	bool	 torn[2];		/* it ends in the middle of a batch */
};
enum err log_compare(struct fs *, const char *a, const char *b, const struct log_progress *, struct log_comparison *, struct errbuf *) MUST_CHECK;

#endif
