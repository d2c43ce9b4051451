/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/sim.h - two whole brokers of one cluster, their clients, their disks and what lies between, in one thread and on virtual time,
 * from a seed.
 *
 * What is simulated
 *   brokers    broker/startup.c and all below, by hand: every loop and the workers of each broker are actors; the seed says who has the next turn.
 *              Time passes only when nobody has anything to do, to the next timer.
 *   ZooKeeper  one tree in memory (zk/fake.h), a session for each broker: lost connections, expiries, a session that outlives its broker
 *   disks      the files of a temporary directory behind fs_fault: full, failing, dead; sorted listings, no times
 *   network    clients over socket pairs, a piece at a time with delays, cut at any byte; the controller's requests to the other broker late, or
 *              twice because the answer was lost
 *   deaths     a killed broker's files change no more, its session stays for a while, and it comes back on what it had written; a paused one
 *              goes on after its session has expired
 *
 * Trace      Every turn, request, answer, fault and diagnostic with its virtual time and ZooKeeper's last transaction, hashed; printed with
 *            OTTLA_TEST_VERBOSE.
 * Checked    no two brokers are controller in one epoch; generations of a group do not go back behind one that was synchronised; at the end, with
 *            everything healed: ZooKeeper, images and logs agree (agree.h), every acknowledged record is at its offset, every acknowledged
 *            commit is there.
 * Kept out   real sockets' accept (a client's socket is handed to the broker), the C library's ZooKeeper session (zk/session.c), the keeper and the
 *            session records (they are between processes), main.c, the followers that do not exist yet.
 */
#ifndef TEST_BROKER_SIM_H
#define TEST_BROKER_SIM_H

#include "test/unit/broker/agree.h"

enum { SIM_BROKERS = 2, SIM_CLIENTS = 5, SIM_TOPICS = 2 };

struct sim;

struct sim_broker {
	struct sim	*s;
	struct node	 n;
	int32_t		 id;
	struct loop	*control;
	struct fs	*disk;
	struct diag	*diag;
	struct random_seeded random;
	struct broker_peers peers;
	struct zk	*ghost;		/* keeps the session of a killed one */
	struct timer	 timer, ghost_timer;
	unsigned	 life;		/* counts its starts */
	bool		 running;	/* made and not yet freed */
	bool		 paused, dying;
};

enum sim_kind { SIM_ADMIN, SIM_PRODUCER, SIM_MEMBER };

struct sim_client {
	struct sim	*s;
	enum sim_kind	 kind;
	uint32_t	 id, target;
	int		 fd;		/* -1: not connected */
	struct timer	 timer;
	struct arena	 arena;		/* of one request and its answer */
	uint8_t		*out, *in;
	size_t		 out_len, sent, cut_at, got;
	int		 key, version;
	int64_t		 deadline_ms;
	bool		 waiting;	/* for an answer; else for a whim */
	/* what it is about */
	uint32_t	 counter, made;
	char		 topic[16], value[32], member[100];
	int32_t		 partition, generation;
	int64_t		 committing, committed;
	enum { MEMBER_JOINS, MEMBER_SYNCS, MEMBER_STAYS } phase;
	bool		 leads;
};

struct sim_ack { char topic[16], value[32]; int32_t partition; int64_t offset; };

struct sim {
	struct world	 w;
	struct agree	 agree;
	struct random_seeded random;
	struct sim_broker brokers[SIM_BROKERS];
	struct sim_client clients[SIM_CLIENTS];
	struct timer	 fault_timer;
	bool		 healing;
	uint64_t	 hash, seed;
	uint64_t	 steps, answers, faults, failovers;
	int32_t		 synced;	/* the highest generation that a member has synchronised with */
	int32_t		 reigns[4096];	/* controller epoch -> who */
	struct sim_ack	*acks;
	size_t		 nacks;
	char		*prefix;	/* of paths, not to be traced */
};

struct sim_outcome { uint64_t hash, steps, answers, faults, failovers; size_t acks; int64_t virtual_ms; };

/* So many seconds of virtual time, then healing and the checks. */
struct sim_outcome sim_run(uint64_t seed, int64_t seconds);

/* ---- parts ---- */
void	 sim_trace(struct sim *, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint32_t sim_below(struct sim *, uint32_t bound);
bool	 sim_wrong(struct sim *, bool ok, const char *what, int64_t got, int64_t limit);	/* a check that names the seed */
bool	 sim_step(struct sim *);
bool	 sim_serves(const struct sim_broker *);
struct controller_channel *sim_channel(void *ctx, const struct zk_broker_entry *, struct loop *home);	/* ctx: the struct sim_broker that speaks */
void	 sim_client_start(struct sim *, uint32_t id);
void	 sim_client_end(struct sim_client *);
void	 sim_check_records(struct sim *);	/* healed, clients have ended */
void	 sim_check_commits(struct sim *);

#endif
