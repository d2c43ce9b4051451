/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster/cluster.h - the holder of the current metadata image, and the news that it changed.
 *
 * Threads    cluster_new, _free and the listeners: before the loops start or on the control loop.  See image.h for the rest.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "cluster/image.h"
#include "event/loop.h"

/* Told on `loop` after a new image was published; several publications may be told as one. */
struct cluster_listener {
	struct loop	*loop;
	void (*changed)(struct cluster_listener *);
	struct task	 task;		/* the cluster's */
	_Atomic bool	 queued;
	struct cluster_listener *next;
};

struct cluster *cluster_new(const char *cluster_id);	/* the id is copied */
void	 cluster_free(struct cluster **);		/* after every reading thread has gone */
const char *cluster_id(const struct cluster *);
void	 cluster_listen(struct cluster *, struct cluster_listener *);	/* before requests are served; for the cluster's life */

#endif
