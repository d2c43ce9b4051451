/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/dirs.h - the log directories as clients see them (DescribeLogDirs), and replicas that move between them (AlterReplicaLogDirs).
 */
#ifndef REPLICA_DIRS_H
#define REPLICA_DIRS_H

#include "log/log_dirs.h"
#include "replica/manager.h"

struct replica_dir_log {
	struct log *log;		/* one reference */
	uint32_t    dir;		/* index in dirs */
	uint64_t    size;
	int64_t	    lag;		/* of a future log: how far it is behind; -1: this broker does not know (offline, or not told of it yet) */
	bool	    future;
};

struct replica_dirs {
	struct log_dir_info *dirs;	/* in the order of log.dirs */
	uint32_t	     ndirs;
	struct replica_dir_log *logs;	/* by dir, topic, partition; none of offline directories */
	uint32_t	     nlogs;
};

/* worker: asks the file systems for their space. */
void replica_dirs_look(struct replica_manager *, struct replica_dirs *);
void replica_dirs_fini(struct replica_dirs *);


/* ---- moves ---- */
struct replica_dir_item {
	/* ---- asked: borrowed until done; no partition twice ---- */
	struct slice	topic;
	int32_t		partition;
	struct slice	dir;		/* as in log.dirs: an absolute path */
	uint32_t	place;		/* the caller's */
	/* ---- answered ---- */
	enum kerr	error;		/* NONE: it is there, or it moves now */
	/* ---- private ---- */
	struct partition *p;
	struct log_options options;
};

struct replica_alter_dirs {
	struct replica_dir_item *items;
	uint32_t	nitems;
	struct loop    *loop;
	void (*done)(struct replica_alter_dirs *);	/* on that loop, never from inside the call */
	/* ---- private ---- */
	struct replica_manager *manager;
	struct control_request request;
	struct task	task;
};
/* Any loop.  The moves themselves go on after the answer; to ask for the directory that a replica is in ends its move. */
void replica_alter_dirs(struct replica_manager *, struct replica_alter_dirs *);
/* replica.alter.log.dirs.io.max.bytes.per.second, of all moves together.  Control loop; INT64_MAX, the default: no limit. */
void replica_set_move_rate(struct replica_manager *, int64_t bytes_per_second);

#endif
