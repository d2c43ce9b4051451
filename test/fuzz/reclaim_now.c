/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/reclaim_now.c - base/reclaim for a process with one thread: what was deferred is freed at the next quiescent state or barrier.
 *
 * The real one hands it to a thread that wakes every ten milliseconds: a hundred inputs a second would be all there is.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"

struct deferred {
	struct deferred *next;
	void	       (*fn)(void *);
	void	        *p;
};

static bool registered;
static struct deferred *waiting;

void
reclaim_thread_register(void)
{
	must(!registered);
	registered = true;
}

void
reclaim_thread_unregister(void)
{
	must(registered);
	registered = false;
}

bool
reclaim_thread_registered(void)
{
	return (registered);
}

void
reclaim_quiescent(void)
{
	reclaim_barrier();
}

void
reclaim_offline(void)
{
}

void
reclaim_online(void)
{
}

void
reclaim_defer(void (*fn)(void *), void *p)
{
	struct deferred *d = xmalloc(sizeof(*d));

	*d = (struct deferred){ waiting, fn, p };
	waiting = d;
}

void
reclaim_barrier(void)
{
	struct deferred *d;

	while ((d = waiting) != NULL) {
		waiting = d->next;
		d->fn(d->p);
		free(d);
	}
}
