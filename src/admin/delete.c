/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/delete.c - asking for the deletion of topics.  See topics.h for the interface.
 *
 * A topic that is in ZooKeeper gets /admin/delete_topics/T; one that has it already is waited for as well.  Asked twice, or sent twice after a
 * lost connection, it is the same request: the controller removes the node of a topic that is not there.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "zk/paths.h"

struct delete {
	struct admin	*admin;
	struct admin_delete_topics *d;
	struct zk_op	*ops;
	struct zk_path	*paths;
	int32_t		*which;		/* topic of each op */
	uint32_t	 n;
};

static bool
delete_satisfied(struct admin_job *j, const struct image *im)
{
	struct admin_delete_topics *d = CONTAINER_OF(j, struct admin_delete_topics, job);

	for (int32_t i = 0; i < d->ntopics; i++)
		if (d->topics[i].error == KERR_NONE && image_topic(im, d->topics[i].name) != NULL)
			return (false);
	return (true);
}

static void
delete_finish(struct admin_job *j, const struct image *im)
{
	struct admin_delete_topics *d = CONTAINER_OF(j, struct admin_delete_topics, job);

	for (int32_t i = 0; i < d->ntopics; i++)
		if (d->topics[i].error == KERR_NONE && (im == NULL || image_topic(im, d->topics[i].name) != NULL))
			d->topics[i].error = KERR_REQUEST_TIMED_OUT;
	admin_done(j);
}

static bool
any_marked(const struct admin_delete_topics *d)
{
	for (int32_t i = 0; i < d->ntopics; i++)
		if (d->topics[i].error == KERR_NONE)
			return (true);
	return (false);
}

static void
delete_end(struct delete *s)
{
	struct admin_delete_topics *d = s->d;

	free(s->ops);
	free(s->paths);
	free(s->which);
	free(s);
	if (d->timeout_ms <= 0 || !any_marked(d))
		delete_finish(&d->job, NULL);
	else
		admin_wait(&d->job, d->timeout_ms, delete_satisfied, delete_finish);
}

static void
delete_failed(struct delete *s, int32_t i, enum zke e)
{
	struct admin_doomed *t = &s->d->topics[i];
	char *name = xstrndup((const char *)t->name.p, t->name.len);

	t->error = admin_zk_error(s->admin, e, "deleting topic", name);
	free(name);
}

static void
delete_marked(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct delete *s = ctx;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].error != ZKE_OK && r[i].error != ZKE_NODE_EXISTS)
			delete_failed(s, s->which[i], r[i].error);
	delete_end(s);
}

static void
delete_add(struct delete *s, int32_t topic, bool mark)
{
	char *name = xstrndup((const char *)s->d->topics[topic].name.p, s->d->topics[topic].name.len);

	s->paths[s->n] = mark ? zk_path_delete_topic(name) : zk_path_topic(name);
	s->ops[s->n] = mark ? ZK_CREATE(s->paths[s->n].s, SLICE_NULL) : ZK_EXISTS(s->paths[s->n].s, NULL);
	s->which[s->n++] = topic;
	free(name);
}

static void
delete_found(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct delete *s = ctx;

	s->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (r[i].error == ZKE_NO_NODE)
			s->d->topics[i].error = KERR_UNKNOWN_TOPIC_OR_PARTITION;
		else if (r[i].error != ZKE_OK)
			delete_failed(s, (int32_t)i, r[i].error);
		else
			delete_add(s, (int32_t)i, true);
	}
	if (s->admin->opt.zk == NULL)
		delete_end(s);
	else
		zk_many(s->admin->opt.zk, s->ops, s->n, delete_marked, s);
}

static void
delete_run(struct admin_job *j)
{
	struct admin_delete_topics *d = CONTAINER_OF(j, struct admin_delete_topics, job);
	struct delete *s = xcalloc(1, sizeof(*s));
	size_t n = (size_t)d->ntopics;

	*s = (struct delete){ j->admin, d, xcalloc(n + 1, sizeof(*s->ops)), xcalloc(n + 1, sizeof(*s->paths)), xcalloc(n + 1, sizeof(*s->which)), 0 };
	for (int32_t i = 0; i < d->ntopics; i++) {
		d->topics[i].error = j->admin->opt.zk == NULL ? KERR_UNKNOWN_SERVER_ERROR : KERR_NONE;
		delete_add(s, i, false);
	}
	if (j->admin->opt.zk == NULL)
		delete_end(s);
	else
		zk_many(j->admin->opt.zk, s->ops, s->n, delete_found, s);
}

void
admin_delete_topics(struct admin *a, struct admin_delete_topics *d)
{
	admin_start(a, &d->job, delete_run);
}
