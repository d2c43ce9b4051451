/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/fixture.h - log directories in a temporary place on a clock that only moves when told, and batches to put into them.
 *
 * Everything is deterministic and on the calling thread: there are no workers unless a test asks for them.
 */
#ifndef TEST_LOG_FIXTURE_H
#define TEST_LOG_FIXTURE_H

#include "base/clock.h"
#include "base/random.h"
#include "log/log_dirs.h"
#include "record/record.h"
#include "record/validate.h"

#define FIXTURE_NOW	INT64_C(1700000000000)

struct fixture {
	struct fs	     *fs;
	struct clock_manual   clock;
	struct random_seeded  random;
	struct log_options    options;
	struct workers	     *workers;
	bool		      sync_appends;	/* group commit */
	unsigned	      recovery_threads;	/* 0: the calling one */
	uint32_t	      open_indexes_max;	/* 1: whatever works with two logs does it with index files that were closed */
	struct log_dirs	     *dirs;
	struct diag	     *diag;
	char		      lines[16384];	/* what was said */
	char		      path[2][512];
	unsigned	      npaths;
	_Atomic unsigned      offline, all_offline, moved;	/* events */
	int64_t		      cut_at;		/* about_to_truncate */
	uint64_t	      sequence;		/* values of records: distinct */
};

struct fs *fixture_fs(void);	/* the real one without syncs: no test here loses power, and they take most of the time */
void	 fixture_init(struct fixture *, unsigned ndirs);	/* small segments (16 KiB), options to be changed before open */
enum err fixture_open(struct fixture *, struct errbuf *);	/* new, identity, load */
void	 fixture_close(struct fixture *);			/* clean */
void	 fixture_crash(struct fixture *);			/* as kill -9 */
void	 fixture_fini(struct fixture *);

/* The log t-0 with the role of a leader in epoch 5; the caller unrefs. */
void	    fixture_establish(struct log *);	/* puts a new log on the disk, as log_dirs_establish does later */
struct log *fixture_young(struct fixture *);	/* as it is just made */
struct log *fixture_log(struct fixture *);	/* established */
void	 fixture_lead(struct log *, int32_t epoch);
void	 fixture_follow(struct log *, int32_t epoch);

struct batch_spec {
	unsigned   records;	/* 0: one */
	unsigned   value_len;	/* 0: 20 */
	enum codec codec;
	int64_t	   timestamp_ms;	/* 0: now; of all records */
	int64_t	   producer_id;		/* 0: none */
	int16_t	   producer_epoch;
	int32_t	   sequence;
	bool	   transactional;
	int64_t	   base_offset;		/* as follower only */
	int32_t	   leader_epoch;	/* as follower only */
	bool	   acks_all;
};
/* One batch, as a client; the answer. */
struct append_result fixture_append(struct fixture *, struct log *, const struct batch_spec *);
int64_t	 fixture_put(struct fixture *, struct log *);	/* one small record; its offset, CHECKed */
struct append_result fixture_replicate(struct fixture *, struct log *, const struct batch_spec *, unsigned n);	/* n batches in one set */
struct append_result fixture_marker(struct fixture *, struct log *, int64_t producer_id, int16_t epoch, bool commit, int32_t coordinator_epoch);
uint8_t *fixture_batch(struct fixture *, const struct batch_spec *, size_t *len);	/* malloc'ed */

/* Reads from `offset` to the end in steps; the number of records, or -1 when offsets are not increasing or a batch is bad. */
int64_t	 fixture_read_all(struct log *, int64_t offset);
char	*fixture_file(struct fixture *, const char *format, ...) __attribute__((format(printf, 2, 3)));	/* path below path[0]; static ring */
int64_t	 fixture_size(struct fixture *, const char *path);	/* -1: no such file */

#endif
