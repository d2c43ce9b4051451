/* SPDX-License-Identifier: Apache-2.0
 *
 * event/wheel_int.h - the timer wheel of a loop: set, cancel and expire in constant time, for any number of timers.
 *
 * Time is a count of ticks.  One owner, one thread.
 */
#ifndef EVENT_WHEEL_INT_H
#define EVENT_WHEEL_INT_H

#include "event/loop.h"

#define WHEEL_BITS	6u
#define WHEEL_SLOTS	(1u << WHEEL_BITS)
#define WHEEL_LEVELS	8u		/* 64^8 ticks: at 1 ms, 8,900 years */

LIST_HEAD(timer_list, timer);

struct wheel {
	uint64_t	  tick;				/* every timer due at or before it is in `expired`, or has fired */
	uint64_t	  used[WHEEL_LEVELS];		/* one bit per slot that may hold timers */
	struct timer_list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	struct timer_list expired;			/* newest first */
};

void	 wheel_init(struct wheel *, uint64_t tick);
void	 wheel_add(struct wheel *, struct timer *, uint64_t due_tick);	/* in the past: expires with the next wheel_expire */
void	 wheel_remove(struct timer *);
void	 wheel_advance(struct wheel *, uint64_t tick);			/* moves what is due to `expired` */
uint64_t wheel_next_work(struct wheel *);	/* no timer is due before this tick; UINT64_MAX: no timers */
uint64_t wheel_next_due(struct wheel *);	/* when the next timer is due, exactly; walks one slot */

#endif
