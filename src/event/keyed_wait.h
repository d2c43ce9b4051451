/* SPDX-License-Identifier: Apache-2.0
 *
 * event/keyed_wait.h - requests that wait on one loop for something to happen to a key, with a deadline.
 *
 * A waiter may wait on several keys at once (a Fetch over many partitions).  It belongs to one loop.  wake(key) offers the event to every
 * waiter of the key, oldest first: the waiter's `try` decides whether it is satisfied or stays.  When it is, it leaves all its keys
 * and then `done` is called.  At the deadline `expire` is called instead.  Exactly one of done and expire ends a wait; wait_cancel ends it silently.
 *
 * Memory     `try` must not free the waiter or its links (the table still has to unlink them) unless it calls wait_cancel first; its
 *            result is ignored then.  `done` and `expire` may free both.  Any callback may begin, cancel and wake other waits.
 * Threads    The loop's only.
 *
 * Keys are pointers (the identity of a partition or topic object) compared by value only.
 */
#ifndef EVENT_KEYED_WAIT_H
#define EVENT_KEYED_WAIT_H

#include "event/loop.h"

struct wait_table;		/* one per loop and purpose */
struct waiter;

struct wait_link {		/* one per key that a waiter waits on; caller's memory, alive until the wait ended */
	struct waiter	*waiter;
	const void	*key;
	TAILQ_ENTRY(wait_link) link;
	bool		 linked;
};

struct waiter {
	bool (*try)(struct waiter *, const void *key);	/* true: satisfied; must not free the waiter: see Memory above */
	void (*done)(struct waiter *);			/* after try said true and the waiter left the table; may free it */
	void (*expire)(struct waiter *);		/* deadline; may free the waiter */
	struct timer	 timer;				/* the table's */
	struct wait_table *table;
	struct wait_link  *links;
	unsigned	   nlinks;
};

struct wait_table *wait_table_new(struct loop *);
void	 wait_table_free(struct wait_table **);		/* must be empty */
unsigned wait_table_count(const struct wait_table *);
void	 wait_begin(struct wait_table *, struct waiter *, struct wait_link *links, unsigned n, const void *const *keys, int64_t timeout_ms);
void	 wait_cancel(struct waiter *);		/* fine when the wait has ended, or (zeroed) never began */
void	 wait_wake(struct wait_table *, const void *key);

#endif
