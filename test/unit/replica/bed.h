/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/replica/bed.h - a replica manager over real log directories in a temporary place, broker 1.
 *
 * Everything runs on the calling thread: loops are turned and jobs stepped by bed_run, the clock moves only with bed_pass.
 */
#ifndef TEST_REPLICA_BED_H
#define TEST_REPLICA_BED_H

#include "base/random.h"
#include "record/record.h"
#include "replica/append.h"
#include "replica/fetch.h"
#include "replica/offsets.h"

#define BED_NOW		INT64_C(1700000000000)
#define BED_EPOCH	50		/* broker epoch */
#define BED_ID		((struct uuid){ { 0xaa, 0xbb, 7 } })	/* of every topic, unless said otherwise */

struct bed {
	struct fs	*fs;		/* faults can be armed in it */
	struct clock_manual clock;
	struct random_seeded random;
	struct diag	*diag;
	struct metrics	 metrics;
	struct loop	*control, *loop, *loop2;	/* loop2: for those who need two network loops */
	void		(*leadership)(void *ctx, const char *topic, int32_t partition, bool leads, int32_t leader_epoch);	/* as in the manager */
	void		*leadership_ctx;
	struct workers	*workers;
	struct log_dirs	*dirs;
	struct cluster	*cluster;
	struct replica_manager *manager;
	struct replica_topic_config config;	/* of every topic, but that BED_OTHER wants 7 in-sync replicas more; refresh looks here */
	unsigned	 config_gets;	/* how often that was worked out */
	struct arena	 arena;
	const char	*path;		/* the first directory */
	const char	*paths[2];
	unsigned	 npaths;
	bool		 all_offline;
	bool		 sync_appends;	/* group commit, from the next bed_restart on */
	struct log	*busy;		/* a set of it is being written whenever the control loop has its turn: it must not wait for that */
	unsigned	 values;	/* distinct values of records */
	char		 deleted[64];	/* topics that the manager told of, each with a blank behind it */
};

void	 bed_init(struct bed *);
void	 bed_init_dirs(struct bed *, unsigned ndirs);	/* 1 or 2 log directories */
void	 bed_init_synced(struct bed *);		/* with group commit */
void	 bed_init_on(struct bed *, struct fs *under);	/* always the same directory; the world of an fs_power that lost its power, say */
void	 bed_fini(struct bed *);
void	 bed_restart(struct bed *);		/* clean shutdown, and the same directories again */
void	 bed_restart_with(struct bed *, void (*meanwhile)(struct bed *));	/* ... changed while nobody has them open */
void	 bed_turn(struct bed *);		/* loops only: no worker finishes anything, as if the disk hung */
void	 bed_run(struct bed *);			/* until nothing is left to do now */
void	 bed_settle(struct bed *);		/* ... and until moves and what they leave to base/reclaim are over */
void	 bed_pass(struct bed *, int64_t ms);	/* time, then bed_run */

/* ---- the controller speaks ---- */
struct bed_role {			/* zeroes mean: */
	const char *topic;		/* "t" */
	int32_t	 partition;
	int32_t	 controller_epoch;	/* 1 */
	int64_t	 broker_epoch;		/* BED_EPOCH */
	struct uuid id;			/* BED_ID; see no_id */
	bool	 no_id;
	int32_t	 leader;		/* 1 */
	int32_t	 leader_epoch, partition_epoch;
	int32_t	 isr[3], nisr;		/* { 1 } */
	int32_t	 replicas[3], nreplicas;	/* the ISR */
};
enum kerr bed_role(struct bed *, const struct bed_role *);		/* LeaderAndIsr; the partition's error, or the request's */
enum kerr bed_lead(struct bed *, const char *topic, int32_t partition, int32_t leader_epoch);
/* LeaderAndIsr of the first partitions of "t", for whoever steps loops and workers himself. */
struct bed_roles {
	struct control_request c;
	bool	 done;
};
struct bed_roles *bed_roles_begin(struct bed *, int32_t n, int32_t leader, int32_t leader_epoch);
enum kerr bed_roles_error(const struct bed_roles *, int32_t partition);
#define BED_OTHER	"other"
enum { BED_MANY = 5 };
enum kerr bed_lead_topics(struct bed *, const char *const *topics, int32_t n);	/* one request, new topics of BED_MANY partitions; the last error */
struct bed_stop {
	const char *topic;		/* NULL: "t" */
	int32_t	 partition, controller_epoch /* 0: 1 */, leader_epoch;
	int64_t	 broker_epoch;
	bool	 delete;
};
enum kerr bed_stop(struct bed *, const struct bed_stop *);
/* UpdateMetadata: broker 1 at one:9092, broker 2 at two:9092 if alive, and this partition. */
enum kerr bed_metadata(struct bed *, const struct bed_role *, bool two_lives);

/* ---- clients speak ---- */
uint8_t *bed_batch(struct bed *, unsigned records, unsigned value_len, int64_t timestamp_ms, size_t *len);	/* in the arena */
struct bed_append {
	struct replica_append a;
	struct replica_append_item item[3];
	unsigned queued, written, done;
};
struct bed_append *bed_append_begin(struct bed *, const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms);	/* one record */
struct bed_append *bed_append(struct bed *, const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms);	/* ... and run */
int64_t	 bed_put(struct bed *, const char *topic, int32_t partition);	/* acks=1; its offset, CHECKed */
struct bed_fetch {
	struct replica_fetch f;
	struct replica_fetch_item item[3];
	bool	 now, done;
};
struct bed_fetch *bed_fetch_new(struct bed *, const char *topic, int32_t partition, int64_t offset);	/* one item, waits for nothing */
bool	 bed_fetch(struct bed *, struct bed_fetch *);	/* starts it and runs; true: answered */
void	 bed_fetch_drop(struct bed_fetch *);		/* its ranges */
struct replica_offset_item bed_offset(struct bed *, const char *topic, int32_t partition, int64_t timestamp_ms);
struct replica_offset_item bed_offset_as(struct bed *, const struct replica_offset_item *, int32_t replica_id, bool read_committed, bool by_files);

#endif
