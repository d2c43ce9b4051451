/* SPDX-License-Identifier: Apache-2.0
 *
 * server/group_call.c - see group_call.h.
 */
#include <stdlib.h>

#include "cluster/cluster.h"
#include "server/group_call.h"

enum { FOLLOW_AFTER = 3 };	/* requests in a row that another loop owned */

void
group_call(struct api_request *r, struct group_call *call, void (*done)(struct group_call *))
{
	call->loop = api_loop(r);
	call->arena = r->arena;
	call->done = done;
}

/* A consumer keeps a connection for its coordinator, and all it asks there is owned by one loop. */
static void
follow(struct api_request *r, uint32_t owner)
{
	struct api_session *s = api_session(r);

	if (owner == net_conn_loop_index(r->net->conn)) {
		s->elsewhere = 0;
		return;
	}
	s->elsewhere = owner == s->owner ? s->elsewhere + 1 : 1;
	s->owner = owner;
	if (s->elsewhere < FOLLOW_AFTER)
		return;
	s->elsewhere = 0;
	net_conn_move(r->net->conn, owner);
}

void
group_call_of(struct api_request *r, struct group_call *call, struct slice group, void (*done)(struct group_call *))
{
	group_call(r, call, done);
	follow(r, group_coordinator_loop(r->server->opt.groups, group));
}

void
part_rows_check(struct api_request *r, struct part_row *v, uint32_t n)
{
	const struct image *im = cluster_read(r->server->opt.cluster);
	const struct image_topic *t = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || v[i].topic.p != v[i - 1].topic.p)	/* the slice of the request's row: the same topic */
			t = image_topic(im, v[i].topic);
		v[i].asked = t != NULL && !v[i].none && image_partition(t, v[i].partition) != NULL;
		v[i].error = v[i].asked ? KERR_NONE : KERR_UNKNOWN_TOPIC_OR_PARTITION;
		if (t != NULL && v[i].none)
			v[i].error = KERR_NONE;		/* of this one nothing is said */
	}
}

static int
row_cmp(const void *av, const void *bv)
{
	const struct part_row *a = av, *b = bv;
	int c = a->topic.p == b->topic.p ? 0 : slice_cmp(a->topic, b->topic);	/* one row of the request has one topic */

	if (c != 0)
		return (c);
	if (a->partition != b->partition)
		return (a->partition < b->partition ? -1 : 1);
	return (a->at < b->at ? -1 : 1);
}

static bool
is_repeated(const struct part_row *a, const struct part_row *next)
{
	return (a->asked && next->asked && a->partition == next->partition && slice_eq(a->topic, next->topic));
}

/* Consumers send them in order. */
static bool
in_order(const struct part_row *v, uint32_t n)
{
	uint32_t i = 1;

	while (i < n && row_cmp(&v[i - 1], &v[i]) < 0)
		i++;
	return (i >= n);
}

uint32_t
part_rows_arrange(struct part_row *v, uint32_t n, bool once)
{
	uint32_t out = 0;

	if (!in_order(v, n))
		qsort(v, n, sizeof(*v), row_cmp);
	for (uint32_t i = 0; i < n; i++)
		if (!once || i + 1 == n || !is_repeated(&v[i], &v[i + 1])) {
			if (out < i)
				v[out] = v[i];
			out++;
		}
	return (out);
}

uint32_t
part_rows_of_topic(const struct part_row *v, uint32_t n, uint32_t from)
{
	uint32_t i = from;

	while (i < n && (v[i].topic.p == v[from].topic.p || slice_eq(v[i].topic, v[from].topic)))
		i++;
	return (i - from);
}

uint32_t
part_rows_topics(const struct part_row *v, uint32_t n)
{
	uint32_t topics = 0;

	for (uint32_t i = 0; i < n; i += part_rows_of_topic(v, n, i))
		topics++;
	return (topics);
}
