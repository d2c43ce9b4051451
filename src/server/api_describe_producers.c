/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_describe_producers.c - DescribeProducers: what the logs hosted here know of each producer.
 *
 * A topic that is malformed or unknown answers so for each of its partitions, with words; a partition that is not here has a code only.  Followers
 * answer as leaders do.
 */
#include "base/str.h"
#include "cluster/cluster.h"
#include "log/log.h"
#include "replica/partition.h"
#include "server/dispatch.h"

struct collect {
	struct wire_describe_producers_response_producer_state *v;
	uint32_t	 n, room;
};

/* Producers that came since they were counted are left out. */
static void
copy_producer(void *ctx, const struct log_producer *p)
{
	struct wire_describe_producers_response_producer_state *w;
	struct collect *c = ctx;

	if (c->n == c->room)
		return;
	w = &c->v[c->n++];
	w->producer_id = p->producer_id;
	w->producer_epoch = p->producer_epoch;
	w->last_sequence = p->last_sequence;
	w->last_timestamp = p->last_timestamp_ms;
	w->coordinator_epoch = p->coordinator_epoch;
	w->current_txn_start_offset = p->txn_first_offset;
}

static enum kerr
describe_log(struct log *log, struct arena *arena, struct wire_describe_producers_response_partition *w)
{
	struct collect c = { NULL, 0, log_producer_count(log) };

	if (c.room > INT32_MAX)
		return (KERR_UNKNOWN_SERVER_ERROR);
	c.v = WIRE_NEW_ARRAY(arena, describe_producers_response_producer_state, (int32_t)c.room);
	if (c.v == NULL && c.room > 0)
		return (KERR_UNKNOWN_SERVER_ERROR);
	log_producers(log, copy_producer, &c);
	w->active_producers.v = c.v;
	w->active_producers.n = (int32_t)c.n;
	return (KERR_NONE);
}

static enum kerr
describe_partition(struct api_request *r, struct slice topic, struct wire_describe_producers_response_partition *w)
{
	struct partition *p = replica_partition(r->server->opt.replicas, topic, w->partition_index);
	struct log *log;
	enum kerr k;

	if (p == NULL)
		return (replica_missing(r->server->opt.replicas, topic, w->partition_index));
	log = partition_log(p);
	if (partition_state(p)->offline)
		k = KERR_KAFKA_STORAGE_ERROR;
	else if (log == NULL)
		k = KERR_NOT_LEADER_OR_FOLLOWER;
	else
		k = describe_log(log, r->arena, w);
	partition_unref(&p);
	return (k);
}

/* Why none of its partitions can be described; *words: Java's error_message. */
static enum kerr
judge_topic(struct api_request *r, struct slice topic, const char **words)
{
	*words = topic_name_invalid(topic);
	if (*words != NULL)
		return (KERR_INVALID_TOPIC_EXCEPTION);
	if (image_topic(cluster_read(r->server->opt.cluster), topic) != NULL)
		return (KERR_NONE);
	*words = kerr_text(KERR_UNKNOWN_TOPIC_OR_PARTITION);
	return (KERR_UNKNOWN_TOPIC_OR_PARTITION);
}

/* The partitions of one topic, all with this error.  false: the arena is full. */
static bool
answer_topic(struct api_request *r, const struct wire_describe_producers_request_topic *q, struct wire_describe_producers_response_topic *w, enum kerr k,
    const char *words)
{
	w->name = q->name;
	w->partitions.v = WIRE_NEW_ARRAY(r->arena, describe_producers_response_partition, q->partition_indexes.n);
	if (w->partitions.v == NULL && q->partition_indexes.n > 0)
		return (false);
	w->partitions.n = q->partition_indexes.n;
	for (int32_t i = 0; i < w->partitions.n; i++) {
		w->partitions.v[i].partition_index = q->partition_indexes.v[i];
		w->partitions.v[i].error_code = (int16_t)k;
		if (words != NULL)
			w->partitions.v[i].error_message = slice_str(words);
	}
	return (true);
}

static struct wire_describe_producers_response *
new_answer(struct api_request *r)
{
	const struct wire_describe_producers_request *q = r->body;
	struct wire_describe_producers_response *a = WIRE_NEW(r->arena, describe_producers_response);

	if (a == NULL)
		return (NULL);
	a->topics.v = WIRE_NEW_ARRAY(r->arena, describe_producers_response_topic, q->topics.n);
	if (a->topics.v == NULL && q->topics.n > 0)
		return (NULL);
	a->topics.n = q->topics.n;
	return (a);
}

void *
fail_describe_producers(struct api_request *r, enum kerr error)
{
	const struct wire_describe_producers_request *q = r->body;
	struct wire_describe_producers_response *a = new_answer(r);

	for (int32_t i = 0; a != NULL && i < q->topics.n; i++)
		if (!answer_topic(r, &q->topics.v[i], &a->topics.v[i], error, NULL))
			return (NULL);
	return (a);
}

static bool
describe_topic(struct api_request *r, const struct wire_describe_producers_request_topic *q, struct wire_describe_producers_response_topic *w)
{
	const char *words;
	enum kerr k = judge_topic(r, q->name, &words);

	if (!answer_topic(r, q, w, k, words))
		return (false);
	for (int32_t i = 0; i < w->partitions.n && k == KERR_NONE; i++) {
		enum kerr one = describe_partition(r, q->name, &w->partitions.v[i]);

		if (one == KERR_UNKNOWN_SERVER_ERROR)
			return (false);
		w->partitions.v[i].error_code = (int16_t)one;
	}
	return (true);
}

void
serve_describe_producers(struct api_request *r)
{
	const struct wire_describe_producers_request *q = r->body;
	struct wire_describe_producers_response *a = new_answer(r);
	bool fits = a != NULL;

	for (int32_t i = 0; fits && i < q->topics.n; i++)
		fits = describe_topic(r, &q->topics.v[i], &a->topics.v[i]);
	if (fits)
		api_respond(r, a);
	else
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
}
