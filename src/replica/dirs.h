/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/dirs.h - the log directories as clients see them (DescribeLogDirs).
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

#endif
