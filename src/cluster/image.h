/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster/image.h - what this broker knows of the cluster: live brokers, the controller, topics and their partitions.
 *
 * It is Kafka's metadata cache (ZkMetadataCache): fed by UpdateMetadata only, read by every request.  A struct image is an immutable
 * value; an update builds the next one and publishes it by one atomic store.  Consecutive images share every bucket of topics that the
 * update did not touch, so one topic's change does not cost a copy of all.
 *
 * Ownership  A struct image and all it points to belong to its struct cluster and live until the reading thread's next quiescent state
 *            (base/reclaim.h).  Copy what must live longer.
 * Threads    cluster_read and the look-ups: any registered thread, no lock.  Updates: one at a time (the control loop).
 * Failure    Nothing fails except an update that a limit refuses (ERR_LIMIT): then the old image stays.
 */
#ifndef CLUSTER_IMAGE_H
#define CLUSTER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

struct cluster;

struct image_endpoint {
	const char	*listener;	/* upper case, as normalised by Kafka */
	const char	*host;
	int32_t		 port;
	int16_t		 protocol;	/* SecurityProtocol id: 0 PLAINTEXT 1 SSL 2 SASL_PLAINTEXT 3 SASL_SSL */
};

struct image_broker {
	int32_t		 id;
	const char	*rack;		/* NULL: none */
	uint32_t	 nendpoints;
	const struct image_endpoint *endpoints;
};

struct image_partition {
	int32_t	 id;			/* partition number */
	int32_t	 leader;		/* broker id, -1 none */
	int32_t	 leader_epoch;
	int32_t	 partition_epoch;	/* version of the state znode */
	int32_t	 controller_epoch;
	uint32_t nreplicas, nisr, noffline;
	const int32_t *replicas, *isr, *offline;	/* broker ids, in the controller's order */
};

struct image_topic {
	struct slice	 name;
	struct uuid	 id;		/* zero: the topic has none */
	uint32_t	 npartitions;
	const struct image_partition *partitions;	/* sorted by id; may have gaps while the controller has not said all */
};

struct image_bucket;

struct image {
	int32_t		 controller_id;	/* -1: none known */
	uint32_t	 nbrokers;
	const struct image_broker *const *brokers;	/* live ones, sorted by id */
	uint64_t	 ntopics, npartitions;
	uint32_t	 nbuckets;			/* a power of two */
	const struct image_bucket *const *by_name;
	const struct image_bucket *const *by_id;
};

/* ---- reading ---- */
const struct image *cluster_read(struct cluster *);	/* never NULL; at first an empty image */
const struct image_broker *image_broker(const struct image *, int32_t id);	/* NULL: not alive */
const struct image_endpoint *image_broker_endpoint(const struct image_broker *, const char *listener);	/* NULL: lacks it */
const struct image_topic *image_topic(const struct image *, struct slice name);
const struct image_topic *image_topic_by_id(const struct image *, struct uuid id);
const struct image_partition *image_partition(const struct image_topic *, int32_t partition);
/* Every topic, in no order; return false to stop. */
void	 image_topics(const struct image *, bool (*fn)(void *ctx, const struct image_topic *), void *ctx);

/* ---- building the next image: begin, any number of changes, publish ---- */
struct image_edit;
struct image_edit *cluster_edit_begin(struct cluster *);
void	 cluster_edit_set_controller(struct image_edit *, int32_t controller_id);
void	 cluster_edit_set_brokers(struct image_edit *, const struct image_broker *, uint32_t n);	/* copied; replaces all */
/* Merges: the partitions given replace those of the same number, the others stay; a new topic is made.  A zero id leaves a known one. */
void	 cluster_edit_put_partitions(struct image_edit *, struct slice topic, struct uuid id, const struct image_partition *, uint32_t n);
void	 cluster_edit_remove_partitions(struct image_edit *, struct slice topic, const int32_t *ids, uint32_t n);	/* the topic goes with its last one */
void	 cluster_edit_publish(struct image_edit **);	/* visible to readers on return; listeners are told; frees the edit */
void	 cluster_edit_discard(struct image_edit **);

#endif
