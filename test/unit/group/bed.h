/* SPDX-License-Identifier: Apache-2.0
 *
 * A group on virtual time, with a log that answers when the test says so, and members that remember what they were told.
 */
#ifndef TEST_GROUP_BED_H
#define TEST_GROUP_BED_H

#include "base/arena.h"
#include "group/group.h"
#include "test/unit/unit.h"

enum { BED_STORES_MAX = 64, BED_ASSIGNMENTS_MAX = 64 };

struct bed_record {		/* a record as it went to the log, copied */
	struct arena	 arena;
	struct group_record r;
	bool		 made;
};

struct bed {
	struct clock_manual clock;
	struct random_seeded random;
	struct loop	*loop;
	struct group_host host;
	struct group	*group;
	bool		 holds;		/* stores wait for bed_store_done, and so do those behind them */
	enum kerr	 store_error;	/* what the others are answered at once */
	bool		 keeps_failed;	/* the log has them all the same: replicas were too slow, say */
	unsigned	 nstores, stores;	/* waiting; ever */
	unsigned	 nonce;		/* of the last assignment that a leader sent */
	struct group_store *waiting[BED_STORES_MAX];
	struct bed_record waiting_records[BED_STORES_MAX], last;	/* last: as the log has it */
};

void	 bed_init(struct bed *, uint64_t seed);
void	 bed_fini(struct bed *);
void	 bed_store_done(struct bed *, unsigned i, enum kerr);
void	 bed_logged(struct bed *, unsigned i);	/* the log has the record of that one, and of those before; nobody was told */
void	 bed_later(struct bed *, int64_t ms);	/* time passes; every timer on the way fires */
void	 bed_restart(struct bed *);		/* the broker dies; the next one loads the last record */

/* One member's client: its last requests and what came back. */
struct client {
	struct bed	*bed;
	char		 id[128], instance[32], client_id[32];
	const char	*protocols[4], *metadata[4];
	int32_t		 session_ms, rebalance_ms;
	bool		 id_required, may_skip;
	/* join */
	struct group_join join;
	struct group_protocol join_protocols[4];
	bool		 joining;
	enum kerr	 join_error;
	int32_t		 generation, error_generation;
	char		 leader[128], protocol[32], type[32];
	bool		 skip, leads;
	unsigned	 nmembers, answers;
	char		 members[BED_ASSIGNMENTS_MAX][128];
	char		 member_metadata[BED_ASSIGNMENTS_MAX][32];
	/* sync */
	struct group_sync sync;
	struct group_assignment assignments[BED_ASSIGNMENTS_MAX];
	char		 texts[BED_ASSIGNMENTS_MAX][128];
	bool		 syncing;
	enum kerr	 sync_error;
	char		 assignment[128];
};

void	 client_init(struct client *, struct bed *, const char *client_id);
void	 client_join(struct client *);			/* with the id it has */
void	 client_sync(struct client *);			/* the leader assigns "<generation>-<member id>#<nonce>" to everybody it was told of */
enum kerr client_beat(struct client *);
enum kerr client_leave(struct client *);
enum kerr client_commit(struct client *);
struct slice client_member(const struct client *);
struct slice client_instance(const struct client *);

#endif
