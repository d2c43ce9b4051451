/* SPDX-License-Identifier: Apache-2.0
 *
 * base/reclaim.c - see reclaim.h: production, on liburcu's quiescent-state flavour.  Its registry and its reclaimer thread belong to the
 * process, as the library has it.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"

struct deferred {
	struct rcu_head head;
	void (*fn)(void *);
	void *p;
};

static _Thread_local bool registered;
static _Atomic int64_t waiting;	/* deferred and not run yet: with none, a barrier need not wait for a grace period */

void
reclaim_thread_register(void)
{
	must(!registered);
	urcu_qsbr_register_thread();
	registered = true;
}

void
reclaim_thread_unregister(void)
{
	must(registered);
	urcu_qsbr_unregister_thread();
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
	urcu_qsbr_quiescent_state();
}

void
reclaim_offline(void)
{
	urcu_qsbr_thread_offline();
}

void
reclaim_online(void)
{
	urcu_qsbr_thread_online();
}

static void
run_deferred(struct rcu_head *head)
{
	struct deferred *d = CONTAINER_OF(head, struct deferred, head);
	void (*fn)(void *) = d->fn;
	void *p = d->p;

	free(d);
	fn(p);
	atomic_fetch_sub(&waiting, 1);
}

void
reclaim_defer(void (*fn)(void *), void *p)
{
	struct deferred *d = xmalloc(sizeof(*d));

	must(fn != NULL);
	d->fn = fn;
	d->p = p;
	atomic_fetch_add(&waiting, 1);
	urcu_qsbr_call_rcu(&d->head, run_deferred);
}

void
reclaim_barrier(void)
{
	if (atomic_load(&waiting) > 0)
		urcu_qsbr_barrier();	/* takes an online caller offline for its length */
}
