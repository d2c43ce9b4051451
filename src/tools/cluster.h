/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/cluster.h - a cluster from outside: which brokers there are, and questions to them that wait for the answer.
 *
 * Over rpc/client and the tables of wire/.  One loop, turned by whoever waits.  Answers live until cluster_drop or the verb's end, what is made in `arena` until that.
 * Failure: NULL or false, after the words on standard error; the caller ends with STATUS_FAILED.  Kafka's codes inside answers are the verbs' to judge.
 * What changes something is sent once: after a lost answer nobody can know whether it was done, and the words say so.
 */
#ifndef TOOLS_CLUSTER_H
#define TOOLS_CLUSTER_H

#include "base/kerr.h"
#include "rpc/client.h"
#include "tools/tools.h"

enum { NO_NODE = -1, ANY_VERSION = INT16_MAX };

struct node;			/* a connected broker */
struct cluster;

/* A verb on a cluster: reads --bootstrap-server and --timeout, connects, calls fn, closes. */
enum status on_cluster(const struct arguments *, enum status (*fn)(const struct arguments *, struct cluster *));
struct arena *cluster_arena(struct cluster *);
int32_t	 cluster_timeout_ms(const struct cluster *);

struct node *cluster_any(struct cluster *);			/* one that answered */
struct node *cluster_node(struct cluster *, int32_t id);
struct node *cluster_controller(struct cluster *);
struct node *cluster_coordinator(struct cluster *, const char *group);
/* Every id, ascending. */
const int32_t *cluster_ids(struct cluster *, int32_t *n);

int	 cluster_version(struct cluster *, struct node *, enum api_key, int min, int max);	/* -1: complained */
void	*cluster_call(struct cluster *, struct node *, enum api_key, int version, void *request);
void	 cluster_drop(struct cluster *, const void *answer);	/* of cluster_call, not NULL: it is not wanted any longer */
void	 cluster_pause(struct cluster *, int64_t ms);
bool	 cluster_late(const struct cluster *);	/* --timeout has passed since the verb began: no more trying again */
/* A coordinator's error that passes, while it moves or loads, and there is time left: has waited a little, ask again.  With such an error nothing was
 * done, or what may be done twice. */
bool	 cluster_again(struct cluster *, enum kerr);

/* Of these topics, or of all (names NULL); creates none. */
const struct wire_metadata_response *cluster_metadata(struct cluster *, const char *const *names, unsigned n);
/* The topic's part of it; NULL: complained, with the nearest name that there is. */
const struct wire_metadata_response_topic *cluster_topic(struct cluster *, const struct wire_metadata_response *all, const char *name);

/* Of a topic or broker; `words` is how people call it.  NULL: complained, also when the broker speaks of another. */
struct wire_describe_configs_response_result *cluster_settings(struct cluster *, struct node *, int type, struct slice name, const char *words);

/* "WHAT: words (CODE)"; `message` is the broker's, and may be null. */
enum status broker_refused(const struct arguments *, const char *what, enum kerr, struct slice message);
char	*text_of(struct cluster *, struct slice);	/* terminated, in the arena; "" for null; what is no printable UTF-8 becomes ? */
const char *ids_text(struct cluster *, const struct wire_i32_array *);	/* "1,2,3" */

#endif
