/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/partition.h - one partition replica hosted here: its role, its log, who waits for it.
 *
 * The facts the controller decided (leader, epochs, ISR, replicas) stand together in an immutable struct partition_state; a change
 * publishes a new one.  So a request sees one consistent state without a lock.
 *
 * Ownership  Referenced.  The manager's table holds one reference; a request that waits holds its own.  `log` is referenced by the partition.
 * Threads    Look-ups and reads: any registered thread.  A state pointer is valid until the thread's next quiescent state.
 */
#ifndef REPLICA_PARTITION_H
#define REPLICA_PARTITION_H

#include "base/kerr.h"
#include "replica/manager.h"

struct partition;

struct partition_state {
	bool	 leader;		/* this broker leads and takes appends */
	bool	 offline;		/* its log directory failed */
	int32_t	 leader_id;		/* -1 none */
	int32_t	 leader_epoch, partition_epoch, controller_epoch;
	int32_t	 leader_since;		/* leader: the epoch since which it leads without a break; else -1 */
	int64_t	 epoch_start;		/* leader: the end offset when it became so in this epoch; else -1 */
	uint32_t nisr, nreplicas;
	const int32_t *isr, *replicas;
};

/* Referenced; NULL: not hosted here.  Network loops. */
struct partition *replica_partition(struct replica_manager *, struct slice topic, int32_t partition) MUST_CHECK;
struct partition *partition_ref(struct partition *);
void	partition_unref(struct partition **);

const char *partition_topic(const struct partition *);
int32_t	partition_number(const struct partition *);
struct uuid partition_topic_id(const struct partition *);
struct log *partition_log(const struct partition *);	/* borrowed; NULL: none (offline, or not made yet) */
const struct partition_state *partition_state(const struct partition *);
const struct replica_topic_config *partition_config(const struct partition *);	/* never NULL */

/* The checks before any read on behalf of a client or follower, in Kafka's order: current leader epoch (-1: not given) against ours
 * (FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH), then leadership (NOT_LEADER_OR_FOLLOWER), then the log (KAFKA_STORAGE_ERROR). */
enum kerr partition_check_leader(const struct partition *, int32_t current_leader_epoch) MUST_CHECK;
/* The same without leadership: whoever debugs may read a follower. */
enum kerr partition_check_hosted(const struct partition *, int32_t current_leader_epoch) MUST_CHECK;

/* Why a partition that replica_partition does not find is missing: UNKNOWN_TOPIC_OR_PARTITION, or NOT_LEADER_OR_FOLLOWER when the
 * metadata image knows it (hosted elsewhere, or not yet made here). */
enum kerr replica_missing(struct replica_manager *, struct slice topic, int32_t partition);

#endif
