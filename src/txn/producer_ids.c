/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/producer_ids.c - see producer_ids.h.  Facts: RPCProducerIdManager of Kafka 3.9; the controller it asks takes the block from
 * /latest_producer_id_block in the asker's name, and so do we, without asking it.
 *
 * INVARIANTS
 *   (1) An id leaves `now` once: first counts up under the lock.
 *   (2) Blocks only rise: one that does not lie above all ids we have had is dropped (somebody has set the znode back), and the next claim asks
 *	for another.
 *   (3) One fetch at a time: `fetching` is set by the claim that posts it and cleared when it is over.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "txn/producer_ids.h"
#include "zk/producer_block.h"

enum { RETRY_MS = 50, FETCH_AHEAD = ZK_PRODUCER_BLOCK_SIZE / 10 };

struct ids {			/* empty: first > last */
	int64_t first, last;
	bool	used_up;	/* INT64_MAX itself was given: first cannot pass it */
};

struct producer_ids {
	struct producer_ids_options opt;	/* the control loop's; zk is NULL once stopped */
	struct task	 task;
	enum err	 failing;		/* the last fetch; OK: it went well.  The control loop's */
	struct lock	 lock;			/* the rest */
	struct ids	 now, next;
	int64_t		 highest;		/* of all blocks; -1: none yet */
	bool		 fetching;
	int64_t		 not_before_ms;
};

static bool
ids_empty(const struct ids *b)
{
	return (b->used_up || b->first > b->last);
}

static bool
ids_take(struct ids *b, int64_t *id)
{
	if (ids_empty(b))
		return (false);
	*id = b->first;
	if (b->first == b->last)
		b->used_up = true;
	else
		b->first++;
	return (true);
}

/* ---- fetching: the control loop ---- */

static void
over(struct producer_ids *p, int64_t not_before_ms)
{
	lock_acquire(&p->lock);
	p->fetching = false;
	p->not_before_ms = not_before_ms;
	lock_release(&p->lock);
}

static void
failed(struct producer_ids *p, enum err e, const char *why)
{
	if (e != p->failing && e != ERR_ZK_EXPIRED && p->opt.zk != NULL)	/* of an expiry the broker speaks itself */
		diag_error(p->opt.diag, "producer-ids", "no block of producer ids, so new idempotent producers must wait: %s", why);
	p->failing = e;
	over(p, clock_mono_ms(p->opt.clock) + RETRY_MS);
}

static void
put(struct producer_ids *p, const struct zk_producer_id_block *b)
{
	lock_acquire(&p->lock);
	p->next = (struct ids){ b->first, b->last, false };
	p->highest = b->last;
	lock_release(&p->lock);
	diag_info(p->opt.diag, "producer-ids", "producer ids %" PRId64 " to %" PRId64 " are ours", b->first, b->last);
	p->failing = OK;
	over(p, 0);
}

static void
fetched(void *ctx, enum err e, const struct zk_producer_id_block *b, const struct errbuf *why)
{
	struct producer_ids *p = ctx;

	if (e != OK)
		failed(p, e, why->text);
	else if (b->first <= p->highest)	/* (2); only this loop writes `highest` */
		failed(p, ERR_CONFLICT, "the znode /latest_producer_id_block was set back below ids that have been given");
	else
		put(p, b);
}

static void
fetch(struct task *t)
{
	struct producer_ids *p = CONTAINER_OF(t, struct producer_ids, task);

	if (p->opt.zk == NULL)
		failed(p, ERR_STOPPED, "");
	else
		zk_producer_block_take(p->opt.zk, p->opt.broker_id, fetched, p);
}

/* ---- claims: any thread ---- */

/* Under the lock. */
static bool
wants_more(const struct producer_ids *p)
{
	return (!p->fetching && ids_empty(&p->next) && (ids_empty(&p->now) || p->now.last - p->now.first < FETCH_AHEAD) &&
	    clock_mono_ms(p->opt.clock) >= p->not_before_ms);
}

enum kerr
producer_ids_claim(struct producer_ids *p, int64_t *id)
{
	bool got, more;

	lock_acquire(&p->lock);
	if (ids_empty(&p->now) && !ids_empty(&p->next)) {
		p->now = p->next;
		p->next.used_up = true;
	}
	got = ids_take(&p->now, id);
	more = wants_more(p);
	p->fetching |= more;
	lock_release(&p->lock);
	if (more)
		loop_post(p->opt.loop, &p->task);
	return (got ? KERR_NONE : KERR_COORDINATOR_LOAD_IN_PROGRESS);
}

/* ---- for others ---- */

static void
block_answered(struct task *t)
{
	struct producer_ids_block *b = CONTAINER_OF(t, struct producer_ids_block, task);

	b->done(b);
}

static void
block_taken(void *ctx, enum err e, const struct zk_producer_id_block *zb, const struct errbuf *why)
{
	struct producer_ids_block *b = ctx;

	b->error = e;
	b->first = zb->first;
	b->last = zb->last;
	if (e != OK && e != ERR_STOPPED)
		diag_error(b->ids->opt.diag, "producer-ids", "no block of producer ids for broker %" PRId32 ": %s", b->broker_id, why->text);
	b->task.fn = block_answered;
	loop_post(b->loop, &b->task);
}

static void
take_block(struct task *t)
{
	static const struct zk_producer_id_block none = { .first = -1, .last = -1 };
	struct producer_ids_block *b = CONTAINER_OF(t, struct producer_ids_block, task);

	if (b->ids->opt.zk == NULL)
		block_taken(b, ERR_STOPPED, &none, NULL);
	else
		zk_producer_block_take(b->ids->opt.zk, b->broker_id, block_taken, b);
}

void
producer_ids_take_block(struct producer_ids *p, struct producer_ids_block *b)
{
	b->ids = p;
	b->task.fn = take_block;
	loop_post(p->opt.loop, &b->task);
}

/* ---- life ---- */

struct producer_ids *
producer_ids_new(const struct producer_ids_options *opt)
{
	struct producer_ids *p = xcalloc(1, sizeof(*p));

	p->opt = *opt;
	p->task.fn = fetch;
	p->now.used_up = p->next.used_up = true;
	p->highest = -1;
	lock_init(&p->lock, LOCK_producer_ids);
	return (p);
}

void
producer_ids_stop(struct producer_ids *p)
{
	if (p->opt.zk != NULL)
		zk_close(&p->opt.zk);
}

void
producer_ids_free(struct producer_ids **pp)
{
	struct producer_ids *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	must(p->opt.zk == NULL && !p->fetching);
	lock_fini(&p->lock);
	free(p);
}
