/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/election.h - who is the controller, and the epoch that fences its writes.
 *
 * Two levels.  The steps (read, elect, resign) are single operations, for a controller that sequences its own events.  struct
 * zk_election is the same put together: it watches /controller, tries to be elected whenever nobody is, and reports.
 *
 * Threads    The client's loop.
 * Expiry     An election in progress answers ERR_ZK_EXPIRED.  struct zk_election reports LOST at once and tries again in the next session.
 */
#ifndef ZK_ELECTION_H
#define ZK_ELECTION_H

#include "base/clock.h"
#include "base/diag.h"
#include "zk/client.h"
#include "zk/json.h"
#include "zk/registration.h"

/* ---- steps ---- */
/* info.broker_id is -1 when there is no controller.  `watcher` (may be NULL) is armed on /controller in both cases. */
typedef void zk_controller_fn(void *ctx, enum err, const struct zk_controller_info *info, int32_t zk_version, const struct errbuf *why);
void zk_controller_read(struct zk *, struct zk_watcher *watcher, zk_controller_fn *, void *ctx);

/* Takes /controller and raises /controller_epoch in one transaction.
 *   OK           elected; epoch (value) and epoch_zk_version (the fence for zk_fenced).  A lost acknowledgement is recognised.
 *   ERR_EXISTS   somebody else is, or was faster
 *   other        ZooKeeper trouble; nothing is known: read again */
typedef void zk_elected_fn(void *ctx, enum err, int32_t epoch, int32_t epoch_zk_version, const struct errbuf *why);
void zk_controller_elect(struct zk *, int32_t broker_id, struct clock *, zk_elected_fn *, void *ctx);

/* Deletes /controller if our epoch is still the current one.  OK also when it was gone; ERR_FENCED when another controller took over. */
void zk_controller_resign(struct zk *, int32_t epoch_zk_version, zk_step_fn *, void *ctx);

/* ---- the whole ---- */
struct zk_election;

struct zk_election_callbacks {
	/* We are the controller now.  Epoch and fence stay valid until lost() or a ZKE_FENCED answer. */
	void (*elected)(void *ctx, int32_t epoch, int32_t epoch_zk_version);
	/* We were the controller and are no longer: resigned, fenced, /controller gone or taken, session expired.  Called before any
	 * observed() of the successor. */
	void (*lost)(void *ctx, const char *why);
	/* The controller's id changed, ours included; -1: none or unknown. */
	void (*observed)(void *ctx, int32_t controller_id);
};

struct zk_election *zk_election_new(struct zk *, int32_t broker_id, struct clock *, struct diag *,
    const struct zk_election_callbacks *, void *ctx);
void zk_election_start(struct zk_election *);		/* reads and watches /controller; elects when there is none */
/* The controller found out that it is none (a write answered ZKE_FENCED, its start failed): looks, resigns where needed, and stands again. */
void zk_election_yield(struct zk_election *);
void zk_election_stop(struct zk_election *, zk_step_fn *done, void *ctx);	/* resigns if we are it; no callbacks afterwards but done */
void zk_election_free(struct zk_election **);		/* does not resign: the session's end does */
int32_t zk_election_controller(const struct zk_election *);	/* as last observed; -1: none or unknown */
bool	zk_election_is_ours(const struct zk_election *);

#endif
