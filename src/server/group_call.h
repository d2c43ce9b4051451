/* SPDX-License-Identifier: Apache-2.0
 *
 * server/group_call.h - how a request becomes a call of the group coordinator, and rows of partitions that are answered topic by topic.
 */
#ifndef SERVER_GROUP_CALL_H
#define SERVER_GROUP_CALL_H

#include "group/coordinator.h"
#include "server/dispatch.h"

/* The call, in the request's arena, is done on the request's loop.  r->state is the call's for the handler to find its own way back. */
void	 group_call(struct api_request *, struct group_call *, void (*done)(struct group_call *));

/* The same of a call about one group.  A connection that goes on asking about groups of another loop moves there (net_conn_move). */
void	 group_call_of(struct api_request *, struct group_call *, struct slice group, void (*done)(struct group_call *));

/* ---- rows of partitions ----
 * Requests name topics and partitions as they like: in any order, and twice.  Java answers each topic once and, of what the coordinator was asked,
 * each partition once.  So rows are brought into order first; of one partition the last row is the one that is asked. */
struct part_row {
	struct slice	topic;
	int32_t		partition;
	uint32_t	at;		/* place in the request */
	bool		none;		/* a topic named without partitions */
	bool		asked;		/* of the coordinator */
	enum kerr	error;
	const void     *data;		/* the caller's: of the request */
};

/* UNKNOWN_TOPIC_OR_PARTITION, or `asked`. */
void	 part_rows_check(struct api_request *, struct part_row *, uint32_t n);
/* Sorted by topic, partition and place; returns how many are left once a partition that is asked for twice is there once (`once`). */
uint32_t part_rows_arrange(struct part_row *, uint32_t n, bool once);
uint32_t part_rows_of_topic(const struct part_row *, uint32_t n, uint32_t from);	/* how many follow with this topic */
uint32_t part_rows_topics(const struct part_row *, uint32_t n);		/* of rows in order: how many topics */

#endif
