/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/fake.h - a ZooKeeper in memory behind the ordinary struct zk, for the unit tests of every layer above, with faults on demand.
 *
 * Deterministic: an operation is applied to the tree when its task runs on the client's loop, one per turn of the task queue, and
 * answered in a later turn.  Drive it with loop_turn(loop, 0) until nothing happens (zk_fake_settle does).
 *
 *	struct zk_fake *fake = zk_fake_new(&clock);
 *	struct zk *zk = zk_fake_client(fake, loop);	// connected, own session
 *	zk_fake_fault(zk, ZK_FAULT_LOSS_AFTER, 2);	// the second operation from now is applied, its answer lost; it is sent again
 *	...
 *	zk_close(&zk); zk_fake_free(&fake);
 *
 * Threads    All clients of a fake on one thread (several loops are fine when the same thread turns them).
 */
#ifndef ZK_FAKE_H
#define ZK_FAKE_H

#include "base/clock.h"
#include "zk/client.h"
#include "zk/tree.h"

struct zk_fake;

struct zk_fake *zk_fake_new(struct clock *);		/* ctime, mtime come from it */
void zk_fake_free(struct zk_fake **);			/* all clients closed */
struct zk_tree *zk_fake_tree(struct zk_fake *);		/* to look at, or to change behind everybody's back */
struct zk *zk_fake_client(struct zk_fake *, struct loop *);	/* a new client with a session of its own, connected */
struct zk *zk_fake_client_sharing(struct zk *, struct loop *);	/* another client of the same session */

/* ---- faults: at the n-th operation of this session from now (1: the next one).  A multi counts as one.  Several may wait. ---- */
enum zk_fault {
	ZK_FAULT_LOSS_BEFORE,	/* connection lost before it is applied; DISCONNECTED, CONNECTED, sent again */
	ZK_FAULT_LOSS_AFTER,	/* applied, the answer lost; DISCONNECTED, CONNECTED, sent again */
	ZK_FAULT_EXPIRE_BEFORE,	/* the session expires first: SESSION_EXPIRED, EXPIRED, then CONNECTED with a new session */
	ZK_FAULT_EXPIRE_AFTER,	/* applied, the answer lost, then the session expires */
	ZK_FAULT_SYSTEM_ERROR,	/* not applied, answers SYSTEM_ERROR once */
};
void zk_fake_fault(struct zk *, enum zk_fault, uint64_t nth);
void zk_fake_forget_faults(struct zk *);			/* those that have not happened yet */
bool zk_fake_faults_pending(const struct zk *);		/* some injected fault has not happened yet */
uint64_t zk_fake_operations(const struct zk *);		/* applied or lost so far, resends included */

/* By hand. */
void zk_fake_disconnect(struct zk *);			/* nothing is answered until reconnect; operations wait */
void zk_fake_reconnect(struct zk *);
void zk_fake_expire(struct zk *);			/* and a new session is connected by itself, unless disconnected */
void zk_fake_delay(struct zk *, int64_t ms);		/* from now on each operation takes so long (a timer on the client's loop); 0: none */

/* Turns the loop until nothing more happens without time passing. */
void zk_fake_settle(struct loop *);

#endif
