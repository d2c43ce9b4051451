/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster/update.h - UpdateMetadata becomes the next metadata image (ZkMetadataCache.updateMetadata).
 */
#ifndef CLUSTER_UPDATE_H
#define CLUSTER_UPDATE_H

#include "cluster/cluster.h"
#include "wire/messages.h"

enum { LEADER_DURING_DELETE = -2 };	/* a partition's leader while its topic is being deleted: it leaves the image */

/* Live brokers and the controller are replaced, partitions merged; those of leader -2 removed.  The epochs were checked by the caller.
 * Takes the grouped form (version 5 and later) and the ungrouped one.  Control loop.  ERR_MALFORMED: an empty topic name, a negative
 * partition: nothing changed. */
enum err cluster_update_metadata(struct cluster *, const struct wire_update_metadata_request *, struct errbuf *) MUST_CHECK;

#endif
