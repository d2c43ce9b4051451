/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/assign.h - which brokers get the replicas of new partitions (Kafka's AdminUtils.assignReplicasToBrokers).
 *
 * Leaders go round the brokers from a random start; the followers of each partition lie a shift behind it that grows with every round, so that
 * the load of a failed broker spreads.  With racks the brokers are taken rack by rack in turn, and a rack gets a second replica only when every
 * rack has one.
 */
#ifndef ADMIN_ASSIGN_H
#define ADMIN_ASSIGN_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/kerr.h"
#include "base/random.h"

struct assign_broker {
	int32_t		 id;
	const char	*rack;		/* NULL: none */
};

struct assign_options {
	const struct assign_broker *brokers;	/* ascending by id */
	uint32_t	 nbrokers;
	int32_t		 partitions;	/* how many are new */
	int32_t		 replication_factor;
	int32_t		 start;		/* index of the first leader; -1: random, as is the shift */
	int32_t		 first_partition;	/* how many there are already */
	struct random	*random;
};

/* *out has `partitions` lists of `replication_factor` brokers, one after the other.  INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR, or
 * UNKNOWN_SERVER_ERROR (only some brokers have a rack; the arena is full). */
enum kerr assign_replicas(const struct assign_options *, struct arena *, int32_t **out, struct errbuf *);

#endif
