/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/auto.c - topics that nobody made before they were asked for (AutoTopicCreationManager).  See topics.h for the interface.
 *
 * What can be known at once (the name, a collision, too few brokers) is answered at once; the rest is an ordinary creation, a job of our own that
 * nobody waits for.  Java's answer waits for ZooKeeper, ours does not; what both say is "ask again".  A failure shows in the diagnostics, and in
 * the answer to the next request, which tries again.
 *
 * The names under way are kept under a lock, because requests come on every network loop: a topic is made once, however many ask for it.
 */
#include <stdlib.h>
#include <uthash.h>

#include "admin/admin_int.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "base/limits.h"

enum { SETTINGS_MAX = 5, NUMBER_MAX = 12, ARENA_MAX = 1 << 16 };

struct auto_topic {
	UT_hash_handle	 hh;
	struct admin_create_topics job;
	struct admin_topic topic;
	struct arena	 arena;
	struct config_wish configs[SETTINGS_MAX];
	char		 numbers[SETTINGS_MAX][NUMBER_MAX];
	char		 name[LIMIT_TOPIC_NAME_MAX + 1];
};

/* ---- what the topic is to be ---- */

static void
set(struct auto_topic *t, const char *name, const char *value)
{
	t->configs[t->topic.nconfigs++] = (struct config_wish){ slice_str(name), slice_str(value), CONFIG_OP_SET };
}

static void
set_number(struct auto_topic *t, const char *name, int32_t value)
{
	char *text = t->numbers[t->topic.nconfigs];

	str_format(text, NUMBER_MAX, "%d", value);
	set(t, name, text);
}

static void
describe_topic(struct auto_topic *t, const struct config *c)
{
	t->topic.name = slice_str(t->name);
	t->topic.configs = t->configs;
	t->topic.num_partitions = c->num_partitions;
	t->topic.replication_factor = (int16_t)c->default_replication_factor;
	if (strcmp(t->name, "__consumer_offsets") == 0) {
		t->topic.num_partitions = c->offsets_topic_num_partitions;
		t->topic.replication_factor = c->offsets_topic_replication_factor;
		set(t, "cleanup.policy", "compact");
		set_number(t, "segment.bytes", c->offsets_topic_segment_bytes);
		set(t, "compression.type", "producer");
	} else if (strcmp(t->name, "__transaction_state") == 0) {
		t->topic.num_partitions = c->transaction_state_log_num_partitions;
		t->topic.replication_factor = c->transaction_state_log_replication_factor;
		set(t, "unclean.leader.election.enable", "false");
		set(t, "compression.type", "uncompressed");
		set(t, "cleanup.policy", "compact");
		set_number(t, "min.insync.replicas", c->transaction_state_log_min_isr);
		set_number(t, "segment.bytes", c->transaction_state_log_segment_bytes);
	}
}

/* ---- what can be said at once ---- */

struct collision {
	struct slice	 name;
	bool		 found;
};

static bool
collides(void *ctx, const struct image_topic *t)
{
	struct collision *c = ctx;

	c->found |= !slice_eq(t->name, c->name) && topic_names_collide(t->name, c->name);
	return (!c->found);
}

static bool
has_collision(const struct image *im, struct slice name)
{
	struct collision c = { name, false };

	if (memchr(name.p, '.', name.len) != NULL || memchr(name.p, '_', name.len) != NULL)
		image_topics(im, collides, &c);
	return (c.found);
}

/* Who waits for an internal topic hears COORDINATOR_NOT_AVAILABLE for ever: the operator has to hear more, but not at every attempt. */
static void
tell_of_too_few(struct admin *a, const struct auto_topic *t, uint32_t nbrokers)
{
	bool told;

	if (!topic_is_internal(t->topic.name))
		return;
	lock_acquire(&a->lock);
	told = a->told_of_too_few == nbrokers + 1;
	a->told_of_too_few = nbrokers + 1;
	lock_release(&a->lock);
	if (!told)
		diag_warning(a->opt.diag, "admin", "topic %s cannot be made: %s.replication.factor asks for %d brokers, %u are alive", t->name,
		    strcmp(t->name, "__consumer_offsets") == 0 ? "offsets.topic" : "transaction.state.log", t->topic.replication_factor, nbrokers);
}

static enum kerr
obstacle(struct admin *a, const struct auto_topic *t, const struct image *im)
{
	if (t->topic.replication_factor <= 0 || (uint32_t)t->topic.replication_factor > im->nbrokers) {
		tell_of_too_few(a, t, im->nbrokers);
		return (KERR_INVALID_REPLICATION_FACTOR);
	}
	return (has_collision(im, t->topic.name) ? KERR_INVALID_TOPIC_EXCEPTION : KERR_NONE);
}

/* ---- under way ---- */

/* What is answered while somebody else's request makes the topic.  Java says UNKNOWN_TOPIC_OR_PARTITION there, and LEADER_NOT_AVAILABLE a moment
 * sooner or later.  While a broker starts this happens for topics that have long been there, because it does not know them yet; librdkafka takes the
 * former for a topic that is gone, fails what is queued for it and refuses more. */
static const enum kerr making = KERR_LEADER_NOT_AVAILABLE;

/* KERR_NONE: *t is entered. */
static enum kerr
enter(struct admin *a, struct auto_topic *t)
{
	struct auto_topic *other;
	enum kerr k;

	lock_acquire(&a->lock);
	HASH_FIND_STR(a->in_flight, t->name, other);
	k = other != NULL ? making : HASH_COUNT(a->in_flight) >= LIMIT_AUTO_TOPICS_MAX ? KERR_UNKNOWN_TOPIC_OR_PARTITION : KERR_NONE;
	if (k == KERR_NONE)
		HASH_ADD_STR(a->in_flight, name, t);
	lock_release(&a->lock);
	return (k);
}

static void
auto_done(struct admin_job *j)
{
	struct auto_topic *t = CONTAINER_OF(CONTAINER_OF(j, struct admin_create_topics, job), struct auto_topic, job);
	struct admin *a = j->admin;
	enum kerr k = t->topic.outcome.error;

	if (k != KERR_REQUEST_TIMED_OUT && k != KERR_TOPIC_ALREADY_EXISTS)
		diag_info(a->opt.diag, "admin", "topic %s was not created automatically: %s%s%s", t->name, kerr_name(k),
		    t->topic.outcome.message == NULL ? "" : ", ", t->topic.outcome.message == NULL ? "" : t->topic.outcome.message);
	lock_acquire(&a->lock);
	HASH_DEL(a->in_flight, t);
	lock_release(&a->lock);
	arena_fini(&t->arena);
	free(t);
}

static void
auto_start(struct admin *a, struct auto_topic *t)
{
	arena_init(&t->arena, ARENA_MAX);
	t->job.job.loop = a->opt.loop;
	t->job.job.done = auto_done;
	t->job.job.arena = &t->arena;
	t->job.topics = &t->topic;
	t->job.ntopics = 1;
	admin_create_topics(a, &t->job);
}

static enum kerr
auto_one(struct admin *a, struct slice name)
{
	struct auto_topic *t;
	enum kerr k;

	if (topic_name_invalid(name) != NULL)
		return (KERR_INVALID_TOPIC_EXCEPTION);
	t = xcalloc(1, sizeof(*t));
	str_format(t->name, sizeof(t->name), "%.*s", (int)name.len, (const char *)name.p);
	describe_topic(t, admin_config(a));
	k = obstacle(a, t, cluster_read(a->opt.cluster));
	if (k == KERR_NONE)
		k = enter(a, t);
	if (k != KERR_NONE) {
		free(t);
		return (k);
	}
	auto_start(a, t);
	return (making);
}

void
admin_auto_create(struct admin *a, const struct slice *topics, uint32_t n, enum kerr *errors)
{
	for (uint32_t i = 0; i < n; i++)
		errors[i] = auto_one(a, topics[i]);
}
