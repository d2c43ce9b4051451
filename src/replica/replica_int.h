/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/replica_int.h - what the files of replica/ share.
 */
#ifndef REPLICA_REPLICA_INT_H
#define REPLICA_REPLICA_INT_H

#include "base/lock.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "event/keyed_wait.h"
#include "record/codec.h"
#include "replica/partition.h"

enum {
	PARTITION_MAGIC = 0x50415254,
	PATH_ROOM = 4096,
	REPLICA_LOOPS_MAX = 64,		/* bits of partition.waiting */
};

/* One loop's share: requests that wait there, and compression states for what is validated there. */
struct replica_loop {
	struct loop	  *loop;
	struct wait_table *waits;
	struct codec_ctx  *codec;
	struct task	   stop_task;
	struct replica_manager *manager;
};

/* News of a partition on their way to one loop; at most one at a time. */
struct partition_wake {
	struct task	   task;
	struct partition  *p;
	uint32_t	   loop;
	_Atomic bool	   queued;
};

/* A state and its lists in one allocation, so that one deferred free ends it. */
struct state_box {
	struct partition_state state;
	struct uuid	       topic_id;
};

struct partition {
	struct magic	   magic;
	_Atomic uint32_t   refs;
	struct replica_manager *manager;
	char		  *topic;
	int32_t		   number;
	bool		   leaving;	/* being deleted: not in the next table.  The control loop's */
	struct move	  *move;	/* to another directory, under way or in line.  The control loop's */
	bool		   changing;	/* named by the LeaderAndIsr under way.  The control loop's */
	struct log	  *log;		/* published; NULL: none.  The control loop changes it */
	const struct state_box *box;	/* published; never NULL.  The control loop changes it */
	const struct replica_topic_config *config;	/* published; never NULL */
	_Atomic uint64_t   waiting;	/* bit i: loop i may have waiters */
	struct partition_wake wakes[];	/* one per loop */
};

/* All partitions, open addressing, copied for every control request that adds or removes some. */
struct partition_table {
	uint32_t	  nslots;	/* a power of two, at most half full */
	uint32_t	  n;
	struct partition *slots[];
};

struct replica_manager {
	struct replica_manager_options opt;
	struct replica_loop	*loops;
	const struct partition_table *table;	/* published */
	int32_t			 controller_epoch;	/* newest seen; control loop */
	uint32_t		 reconfigured;	/* how often settings of topics changed; control loop */
	_Atomic bool		 stopping, refusing;
	STAILQ_HEAD(, control_request) control;
	bool			 control_busy;
	TAILQ_HEAD(, move)	 moves_paused;
	STAILQ_HEAD(, move)	 moves_waiting;	/* move.c; control loop */
	uint32_t		 moves_running, retiring;
	int64_t			 move_rate;
};

/* ---- table.c ---- */
const struct partition_table *table_empty(void);
struct partition *table_find(const struct partition_table *, struct slice topic, int32_t partition);	/* borrowed */
/* A private copy without the partitions that are leaving, with room for `room` more. */
struct partition_table *table_copy(const struct partition_table *, uint32_t room);
void	 table_add(struct partition_table *, struct partition *);	/* only to a private one; takes the reference */
void	 manager_publish_table(struct replica_manager *, struct partition_table *);
void	 table_release(struct partition *);	/* after publishing a table without it */

/* ---- partition.c ---- */
struct partition *partition_new(struct replica_manager *, const char *topic, int32_t number);
void	 partition_set_state(struct partition *, const struct partition_state *, struct uuid topic_id);	/* control loop */
void	 partition_set_log(struct partition *, struct log *);	/* takes the reference; NULL drops */
void	 partition_set_config(struct partition *, const struct replica_topic_config *);
/* Who leads: as we know it ourselves, without a partition here (NULL) as the metadata say; both stay as they are when nobody knows. */
void	 partition_name_leader(struct replica_manager *, const struct partition *, struct slice topic, int32_t number, int32_t *id, int32_t *epoch);
void	 partition_wake(struct partition *);		/* whoever waits for it looks again, each on its loop */
void	 partition_note_waiter(struct partition *, uint32_t loop);	/* before looking: wakes from now on reach this loop */
void	 partition_progress(struct partition *);	/* leader: the end or the ISR moved; raises the high watermark if it may */
int32_t	 partition_effective_min_isr(const struct partition *, const struct partition_state *);
void	 partition_tell_leadership(struct partition *, bool leads, int32_t leader_epoch);	/* upwards, when anybody listens */
void	 partition_tell_min_isr(struct partition *);	/* the log, whether it is met, as the state and the settings say */

/* ---- control.c ---- */
void	 control_run(struct replica_manager *, struct control_request *);	/* by kind; ends with control_finished */
void	 control_finished(struct replica_manager *, struct control_request *);

/* ---- move.c ---- */
void	 move_consider(struct partition *);	/* control loop: it moves when there is a future log of it */
void	 moves_stop(struct replica_manager *);	/* those that wait; those under way end by themselves */
void	 control_alter_dirs(struct replica_manager *, struct control_request *);

uint32_t manager_loop_index(const struct replica_manager *, const struct loop *);

#endif
