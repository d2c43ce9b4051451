/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/producer_ids.h - the producer ids that this broker gives to its clients, one by one out of blocks of a thousand.
 *
 * A claim never waits.  When the ids at hand run low (nine tenths are gone, as in Java) or are gone, the next block is fetched; until it is there a
 * claim is COORDINATOR_LOAD_IN_PROGRESS, with which clients come again.  The first claim of a broker's life is answered so: like Java we
 * take no block before somebody asks.
 *
 * Ownership  The zk client is the producer_ids' from _new on.
 * Threads    _new: before the control loop starts, or on it.  _claim: any thread.  _stop: the control loop.  _free: as admin_free.
 * Failure    What cannot be fetched is tried again with a later claim, RETRY_MS after at the earliest; one line of diagnostics per change of the
 *            reason.  Nothing is remembered across runs: what is left of a block is lost with the process.
 */
#ifndef TXN_PRODUCER_IDS_H
#define TXN_PRODUCER_IDS_H

#include "base/diag.h"
#include "base/kerr.h"
#include "event/loop.h"
#include "zk/client.h"

struct producer_ids;

struct producer_ids_options {
	struct loop	*loop;		/* the control loop */
	struct zk	*zk;		/* bound to it */
	int32_t		 broker_id;
	struct clock	*clock;
	struct diag	*diag;		/* may be NULL */
};

struct producer_ids *producer_ids_new(const struct producer_ids_options *);
void	 producer_ids_stop(struct producer_ids *);	/* closes the zk client; nothing is fetched any more */
void	 producer_ids_free(struct producer_ids **);	/* stopped, and the control loop is freed or turns no more */

/* NONE: *id was given to nobody before.  Else COORDINATOR_LOAD_IN_PROGRESS. */
enum kerr producer_ids_claim(struct producer_ids *, int64_t *id) MUST_CHECK;

/* A block for another broker, from this one as its controller. */
struct producer_ids_block {
	int32_t	 broker_id;
	struct loop *loop;		/* where done is called */
	void	(*done)(struct producer_ids_block *);
	enum err error;			/* the answer: as zk_producer_block_take's, and ERR_STOPPED */
	int64_t	 first, last;
	struct producer_ids *ids;	/* the producer_ids' */
	struct task task;
};
/* On block->loop.  Waits for ZooKeeper as long as it takes, or until _stop. */
void	 producer_ids_take_block(struct producer_ids *, struct producer_ids_block *);

#endif
