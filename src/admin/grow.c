/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/grow.c - adding partitions to topics.  See topics.h for the interface.
 *
 * One topic after the other: read /brokers/topics/T (and whether it is queued for deletion), check, write the node with the new partitions
 * appended and everything else kept.
 *
 * RACES      The write demands the version that was read (Java's does not).  When it fails for that, or the session expired under it, the node is
 *	read again: if it holds exactly what we wrote, it was our own write whose answer was lost; else all begins anew with what is there now.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/assign.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zk/paths.h"

enum { SCRATCH_MAX = 64 << 20, TRIES_MAX = 10, PARTITION_BYTES_MIN = 8 };

struct grow {
	struct admin	*admin;
	struct admin_create_partitions *c;
	int32_t		 i;		/* the topic at work */
	/* of that topic */
	struct arena	 scratch;
	const char	*name;
	struct zk_topic_info wanted;	/* npartitions 0: nothing was written yet */
	unsigned	 tries;
	bool		 begun;
};

/* ---- the end of a topic, and of all ---- */

static bool
grown(const struct image *im, const struct admin_growth *t)
{
	const struct image_topic *known = image_topic(im, t->name);

	for (int32_t p = 0; p < t->count; p++) {
		const struct image_partition *ip = known == NULL ? NULL : image_partition(known, p);

		if (ip == NULL || ip->leader == -1)
			return (false);
	}
	return (true);
}

static bool
grow_satisfied(struct admin_job *j, const struct image *im)
{
	struct admin_create_partitions *c = CONTAINER_OF(j, struct admin_create_partitions, job);

	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error == KERR_NONE && !grown(im, &c->topics[i]))
			return (false);
	return (true);
}

static void
grow_finish(struct admin_job *j, const struct image *im)
{
	struct admin_create_partitions *c = CONTAINER_OF(j, struct admin_create_partitions, job);

	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error == KERR_NONE && (im == NULL || !grown(im, &c->topics[i])))
			c->topics[i].outcome.error = KERR_REQUEST_TIMED_OUT;
	admin_done(j);
}

static bool
any_grown(const struct admin_create_partitions *c)
{
	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error == KERR_NONE)
			return (true);
	return (false);
}

static void
grow_all_done(struct grow *s)
{
	struct admin_create_partitions *c = s->c;

	free(s);
	if (c->validate_only)
		admin_done(&c->job);
	else if (c->timeout_ms <= 0 || !any_grown(c))
		grow_finish(&c->job, NULL);
	else
		admin_wait(&c->job, c->timeout_ms, grow_satisfied, grow_finish);
}

static void
topic_end(struct grow *s, enum kerr error, const char *words)
{
	s->c->topics[s->i].outcome = admin_outcome(&s->c->job, error, words);
	arena_fini(&s->scratch);
	s->begun = false;
	s->i++;
	loop_post(s->admin->opt.loop, &s->c->job.task);
}

/* ---- the new partitions ---- */

static enum kerr
assignment_wrong(const struct grow *s, const struct admin_growth *t, int32_t more, int32_t rf, struct errbuf *eb)
{
	const struct image *im = cluster_read(s->admin->opt.cluster);

	for (int32_t i = 0; i < t->nassignments; i++)
		for (int32_t j = 0; j < t->assignments[i].n; j++)
			if (image_broker(im, t->assignments[i].brokers[j]) == NULL) {
				errbuf_set(eb, "the assignment names broker %d, which is not available", t->assignments[i].brokers[j]);
				return (KERR_INVALID_REPLICA_ASSIGNMENT);
			}
	if (t->nassignments != more) {
		errbuf_set(eb, "%d new partitions are asked for, but %d assignments given", more, t->nassignments);
		return (KERR_INVALID_REPLICA_ASSIGNMENT);
	}
	for (int32_t i = 0; i < t->nassignments; i++) {
		const struct admin_replicas *a = &t->assignments[i];

		for (int32_t j = 0; j < a->n; j++)
			for (int32_t k = j + 1; k < a->n; k++)
				if (a->brokers[j] == a->brokers[k]) {
					errbuf_set(eb, "the assignment names broker %d twice for one partition", a->brokers[j]);
					return (KERR_INVALID_REPLICA_ASSIGNMENT);
				}
		if (a->n != rf) {
			errbuf_set(eb, "the partitions there are have %d replicas each, the new ones are to have as many, not %d", rf, a->n);
			return (KERR_INVALID_REPLICA_ASSIGNMENT);
		}
	}
	return (KERR_NONE);
}

static enum kerr
assign(struct grow *s, const struct admin_growth *t, const struct zk_topic_info *now, struct zk_topic_partition *out, struct errbuf *eb)
{
	const struct image *im = cluster_read(s->admin->opt.cluster);
	struct zk_ints first = now->partitions[0].replicas;
	struct assign_options o = { .nbrokers = im->nbrokers, .random = s->admin->opt.random };
	int32_t *all;
	enum kerr k;

	o.brokers = admin_brokers(im, &s->scratch);
	o.partitions = t->count - (int32_t)now->npartitions;
	o.replication_factor = (int32_t)first.n;
	o.first_partition = (int32_t)now->npartitions;
	for (uint32_t i = 0; o.brokers != NULL && i < o.nbrokers; i++)
		if (first.n > 0 && o.brokers[i].id >= first.v[0]) {
			o.start = (int32_t)i;
			break;
		}
	if (o.brokers == NULL)
		return (KERR_UNKNOWN_SERVER_ERROR);
	if ((k = assign_replicas(&o, &s->scratch, &all, eb)) != KERR_NONE)
		return (k);
	for (int32_t i = 0; i < o.partitions; i++)
		out[i].replicas = (struct zk_ints){ all + (size_t)i * first.n, first.n };
	return (KERR_NONE);
}

static enum kerr
add_partitions(struct grow *s, const struct admin_growth *t, const struct zk_topic_info *now, struct errbuf *eb)
{
	uint32_t total = (uint32_t)t->count;
	struct zk_topic_partition *v;
	enum kerr k;

	if (total > LIMIT_TOPIC_NODE_BYTES_MAX / PARTITION_BYTES_MIN || (v = ARENA_ARRAY(&s->scratch, struct zk_topic_partition, total)) == NULL) {
		errbuf_set(eb, "%d partitions do not fit into a node of ZooKeeper", t->count);
		return (KERR_INVALID_PARTITIONS);
	}
	for (uint32_t i = 0; i < total; i++)
		v[i] = i < now->npartitions ? now->partitions[i] : (struct zk_topic_partition){ .id = (int32_t)i };
	for (int32_t i = 0; i < t->nassignments; i++)
		v[now->npartitions + (uint32_t)i].replicas = (struct zk_ints){ (int32_t *)(uintptr_t)t->assignments[i].brokers,
		    (uint32_t)t->assignments[i].n };
	if (t->assignments == NULL && (k = assign(s, t, now, v + now->npartitions, eb)) != KERR_NONE)
		return (k);
	s->wanted = *now;
	s->wanted.partitions = v;
	s->wanted.npartitions = total;
	return (KERR_NONE);
}

/* ---- checks ---- */

static bool
is_being_reassigned(const struct zk_topic_info *now)
{
	for (uint32_t i = 0; i < now->npartitions; i++)
		if (now->partitions[i].adding.n > 0 || now->partitions[i].removing.n > 0)
			return (true);
	return (false);
}

static enum kerr
check(struct grow *s, const struct admin_growth *t, const struct zk_topic_info *now, struct errbuf *eb)
{
	enum kerr k;

	if (is_being_reassigned(now)) {
		errbuf_set(eb, "partitions of the topic '%s' are being reassigned", s->name);
		return (KERR_REASSIGNMENT_IN_PROGRESS);
	}
	if (now->npartitions == 0) {
		errbuf_set(eb, "the topic '%s' does not exist", s->name);
		return (KERR_UNKNOWN_TOPIC_OR_PARTITION);
	}
	if (t->count <= 0 || (uint32_t)t->count <= now->npartitions) {
		errbuf_set(eb, "the topic has %u partitions already; their number can only grow, not become %d", now->npartitions, t->count);
		return (KERR_INVALID_PARTITIONS);
	}
	if (t->assignments != NULL) {
		k = assignment_wrong(s, t, t->count - (int32_t)now->npartitions, (int32_t)now->partitions[0].replicas.n, eb);
		if (k != KERR_NONE)
			return (k);
	}
	for (uint32_t i = 0; i < now->npartitions; i++)
		if (now->partitions[i].id != (int32_t)i) {
			diag_warning(s->admin->opt.diag, "admin", "the partitions of topic %s are not numbered 0 to n-1", s->name);
			return (KERR_UNKNOWN_SERVER_ERROR);
		}
	return (add_partitions(s, t, now, eb));
}

/* ---- ZooKeeper ---- */

static void topic_read(struct grow *);

static void
topic_written(void *ctx, const struct zk_result *r)
{
	struct grow *s = ctx;

	if (r->error == ZKE_OK)
		topic_end(s, KERR_NONE, NULL);
	else if (r->error == ZKE_BAD_VERSION && ++s->tries < TRIES_MAX)
		topic_read(s);
	else if (r->error == ZKE_SESSION_EXPIRED)
		admin_again(&s->c->job);
	else
		topic_end(s, admin_zk_error(s->admin, r->error, "adding partitions to topic", s->name), NULL);
}

static void
topic_write(struct grow *s, int32_t version)
{
	struct slice text = zk_topic_encode(&s->scratch, &s->wanted);

	if (text.p == NULL || text.len > LIMIT_TOPIC_NODE_BYTES_MAX) {
		topic_end(s, KERR_INVALID_PARTITIONS, "so many partitions do not fit into a node of ZooKeeper");
		return;
	}
	diag_info(s->admin->opt.diag, "admin", "topic %s gets %u partitions in all", s->name, s->wanted.npartitions);
	zk_set(s->admin->opt.zk, zk_path_topic(s->name).s, text, version, topic_written, s);
}

static bool
same_assignment(const struct zk_topic_info *a, const struct zk_topic_info *b)
{
	if (a->npartitions != b->npartitions || !uuid_eq(a->id, b->id))
		return (false);
	for (uint32_t i = 0; i < a->npartitions; i++)
		if (a->partitions[i].id != b->partitions[i].id || !zk_ints_eq(a->partitions[i].replicas, b->partitions[i].replicas))
			return (false);
	return (true);
}

static void
topic_judge(struct grow *s, const struct zk_topic_info *now, int32_t version)
{
	const struct admin_growth *t = &s->c->topics[s->i];
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k;

	if (s->wanted.npartitions > 0 && same_assignment(&s->wanted, now)) {	/* our own write */
		topic_end(s, KERR_NONE, NULL);
		return;
	}
	k = check(s, t, now, &eb);
	if (k != KERR_NONE)
		topic_end(s, k, eb.text[0] == '\0' ? NULL : eb.text);
	else if (s->c->validate_only)
		topic_end(s, KERR_NONE, NULL);
	else if (s->admin->opt.zk == NULL)
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		topic_write(s, version);
}

static void
topic_was_read(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct grow *s = ctx;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_info now;
	struct slice text;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].error != ZKE_OK && r[i].error != ZKE_NO_NODE) {
			if (r[i].error == ZKE_SESSION_EXPIRED && s->wanted.npartitions > 0)
				admin_again(&s->c->job);	/* still in doubt about our write */
			else
				topic_end(s, admin_zk_error(s->admin, r[i].error, "reading topic", s->name), NULL);
			return;
		}
	if (r[0].error == ZKE_OK) {
		topic_end(s, KERR_INVALID_TOPIC_EXCEPTION, "the topic is being deleted");
		return;
	}
	if (r[1].error == ZKE_NO_NODE) {
		topic_end(s, KERR_UNKNOWN_TOPIC_OR_PARTITION, arena_printf(&s->scratch, "the topic '%s' does not exist", s->name));
		return;
	}
	text = arena_dup(&s->scratch, r[1].data);	/* what is decoded keeps it as `raw` for the write */
	if (zk_topic_decode(&s->scratch, text, &now, &eb) != OK) {
		diag_warning(s->admin->opt.diag, "admin", "topic %s: %s", s->name, eb.text);
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	} else
		topic_judge(s, &now, r[1].stat.version);
}

static void
topic_read(struct grow *s)
{
	struct zk_path deleted = zk_path_delete_topic(s->name), there = zk_path_topic(s->name);
	struct zk_op ops[2] = { ZK_EXISTS(deleted.s, NULL), ZK_GET(there.s, NULL) };

	if (s->admin->opt.zk == NULL)
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		zk_many(s->admin->opt.zk, ops, 2, topic_was_read, s);
}

static void
topic_begin(struct grow *s)
{
	const struct admin_growth *t = &s->c->topics[s->i];

	arena_init(&s->scratch, SCRATCH_MAX);
	s->wanted = (struct zk_topic_info){ .npartitions = 0 };
	s->tries = 0;
	s->begun = true;
	if (topic_name_invalid(t->name) != NULL || (s->name = admin_name(&s->scratch, t->name)) == NULL)
		topic_end(s, KERR_UNKNOWN_TOPIC_OR_PARTITION, "no topic has such a name");
	else
		topic_read(s);
}

static void
grow_step(struct admin_job *j)
{
	struct grow *s = CONTAINER_OF(j, struct admin_create_partitions, job)->state;

	if (s->i == s->c->ntopics)
		grow_all_done(s);
	else if (s->begun)
		topic_read(s);
	else
		topic_begin(s);
}

void
admin_create_partitions(struct admin *a, struct admin_create_partitions *c)
{
	struct grow *s = xcalloc(1, sizeof(*s));

	s->admin = a;
	s->c = c;
	c->state = s;
	admin_start(a, &c->job, grow_step);
}
