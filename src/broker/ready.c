/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/ready.c - when a start is over: whoever reads the ready line may send anything to any partition of this broker.
 *
 * The requests are served before that, and the controller has to speak: UpdateMetadata tells who is there, LeaderAndIsr gives each partition
 * its leader, some time later.  Neither says "that is all".  So the end is found by comparison with what ZooKeeper has:
 *
 * RULES
 *   (1) the image names this broker, and every topic that stands in /brokers/topics;
 *   (2) of every partition that the image gives to this broker, LeaderAndIsr with that epoch has been carried out, or its directory is offline;
 *   (3) when this broker was elected controller, its failover is done: until then it refuses CreateTopics and its like with NOT_CONTROLLER.
 * When there is no topic, (1) and (2) hold with the first UpdateMetadata, which is sent in the middle of the failover.
 *
 * BOUND     A cluster may be odd: a topic that the controller cannot read, a partition that it got an error for.  Without progress for
 *           broker_options.ready_wait_ms the broker is ready all the same and says what is missing.  Not so while the image does not name this
 *           broker: then nobody can use it, and that is said again and again.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "broker/broker_int.h"
#include "zk/paths.h"

enum {
	READY_WAIT_MS = 10000,
	POLL_MS = 50,
	LIST_AGAIN_TURNS = 20,		/* a topic may be deleted meanwhile */
};

/* What is missing, and one example of it. */
struct missing {
	struct broker	*b;
	uint32_t	 topics, partitions;
	bool		 failover;	/* of this broker as the controller, still under way */
	char		 example[300];
};

static void
forget_topics(struct broker *b)
{
	for (uint32_t i = 0; i < b->ready_ntopics; i++)
		free(b->ready_topics[i]);
	free(b->ready_topics);
	b->ready_topics = NULL;
	b->ready_ntopics = 0;
}

static bool
count_partitions(void *ctx, const struct image_topic *t)
{
	struct missing *m = ctx;

	for (uint32_t i = 0; i < t->npartitions; i++) {
		const struct image_partition *p = &t->partitions[i];

		if (p->leader != m->b->id || replica_has_epoch(m->b->replicas, t->name, p->id, p->leader_epoch))
			continue;
		if (m->partitions++ == 0)
			str_format(m->example, sizeof(m->example), "%.*s-%d", (int)t->name.len, (const char *)t->name.p, p->id);
	}
	return (true);
}

/* Rules (3) and (1), then (2).  Topics that the image names are not looked for again. */
static void
count(struct broker *b, struct missing *m)
{
	const struct image *im = cluster_read(b->cluster);
	uint32_t left = 0;

	*m = (struct missing){ .b = b, .failover = controller_failing_over(b->controller) };
	for (uint32_t i = 0; i < b->ready_ntopics; i++) {
		if (image_topic(im, slice_str(b->ready_topics[i])) == NULL)
			b->ready_topics[left++] = b->ready_topics[i];
		else
			free(b->ready_topics[i]);
	}
	b->ready_ntopics = left;
	m->topics = left;
	if (left > 0)
		str_copy(m->example, sizeof(m->example), b->ready_topics[0]);
	else
		image_topics(im, count_partitions, m);
}

static void
now_ready(struct broker *b)
{
	struct errbuf none = ERRBUF_INIT;

	ready_stop(b);
	b->state = BROKER_RUNNING;
	if (b->resealed)
		configs_store_resealed(b);
	b->opt.started(b->opt.ctx, OK, &none);
}

static void
tell_missing(struct broker *b, const struct missing *m)
{
	const char *rest = "; requests that need it are answered when it has";

	if (!b->ready_listed)
		diag_warning(b->opt.diag, "start", "ready, but ZooKeeper did not say which topics there are");
	else if (m->failover)
		diag_warning(b->opt.diag, "start", "ready, but not yet through with its failover as the controller%s", rest);
	else if (m->topics > 0)
		diag_warning(b->opt.diag, "start", "ready, but the controller has said nothing of %" PRIu32 " topics, %s for one%s", m->topics, m->example, rest);
	else
		diag_warning(b->opt.diag, "start", "ready, but the controller has not made this broker the leader of %" PRIu32 " partitions that are its "
		    "own, %s for one%s", m->partitions, m->example, rest);
}

static bool
time_is_up(struct broker *b, uint64_t missing)
{
	int64_t now = loop_now_ms(b->opt.control);

	if (missing != b->ready_missing) {
		b->ready_missing = missing;
		b->ready_since_ms = now;
	}
	return (now - b->ready_since_ms >= (b->opt.ready_wait_ms > 0 ? b->opt.ready_wait_ms : READY_WAIT_MS));
}

void
ready_check(struct broker *b)
{
	struct missing m;

	if (b->state != BROKER_STARTING || !b->serving)
		return;
	if (image_broker(cluster_read(b->cluster), b->id) == NULL) {
		if (!time_is_up(b, UINT64_MAX))
			return;
		diag_warning(b->opt.diag, "start", "not ready yet: no controller has told this broker about itself");
		b->ready_missing = 0;		/* from now on again */
		return;
	}
	count(b, &m);
	if (b->ready_listed && m.topics == 0 && m.partitions == 0 && !m.failover) {
		now_ready(b);
	} else if (time_is_up(b, ((uint64_t)m.topics << 32) + m.partitions + 1)) {
		tell_missing(b, &m);
		now_ready(b);
	}
}

static void
topics_listed(void *ctx, const struct zk_result *r)
{
	struct broker *b = ctx;

	if (b->state != BROKER_STARTING)
		return;
	if (r->error != ZKE_OK && r->error != ZKE_NO_NODE) {
		b->ready_ask = true;
		return;
	}
	forget_topics(b);
	b->ready_ntopics = r->error == ZKE_OK ? r->nchildren : 0;
	b->ready_topics = xcalloc((size_t)b->ready_ntopics + 1, sizeof(*b->ready_topics));
	for (uint32_t i = 0; i < b->ready_ntopics; i++)
		b->ready_topics[i] = xstrdup(r->children[i]);
	b->ready_listed = true;
	ready_check(b);
}

static void
list_topics(struct broker *b)
{
	b->ready_ask = false;
	zk_children(b->zk, ZK_TOPICS, NULL, topics_listed, b);
}

static void
poll(struct timer *timer)
{
	struct broker *b = CONTAINER_OF(timer, struct broker, ready_timer);

	if (b->state != BROKER_STARTING)
		return;
	b->ready_turns++;
	if (b->ready_ask || (b->ready_ntopics > 0 && b->ready_turns % LIST_AGAIN_TURNS == 0))
		list_topics(b);
	timer_set(b->opt.control, timer, POLL_MS);
	ready_check(b);
}

void
ready_watch(struct broker *b)
{
	b->ready_since_ms = loop_now_ms(b->opt.control);
	timer_init(&b->ready_timer, poll);
	timer_set(b->opt.control, &b->ready_timer, POLL_MS);
	b->ready_watching = true;
	list_topics(b);
}

void
ready_stop(struct broker *b)
{
	if (b->ready_watching)
		timer_cancel(b->opt.control, &b->ready_timer);
	b->ready_watching = false;
	forget_topics(b);
}
