/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/leaders.h - waiting until the metadata image shows the leaders that an election has given (Java's DelayedElectLeader).
 */
#ifndef ADMIN_LEADERS_H
#define ADMIN_LEADERS_H

#include "admin/admin.h"

struct admin_leader {
	struct slice	 topic;
	int32_t		 partition, leader;
	bool		 shown;		/* answered */
};

struct admin_await_leaders {
	struct admin_job job;
	struct admin_leader *leaders;
	int32_t		 n;
	int32_t		 timeout_ms;	/* 0 or less: looks once */
};
void	 admin_await_leaders(struct admin *, struct admin_await_leaders *);

#endif
