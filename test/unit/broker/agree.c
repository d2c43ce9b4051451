/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/agree.c - see agree.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cluster/cluster.h"
#include "test/unit/broker/agree.h"
#include "zk/json.h"

enum { PARTITIONS_MAX = 64 };

struct topic {				/* as ZooKeeper has it */
	UT_hash_handle	 hh;
	char		 name[256];
	struct uuid	 id;
	uint32_t	 npartitions, nstates;
	int32_t		 leaders[PARTITIONS_MAX], epochs[PARTITIONS_MAX];
};

struct survey {
	struct agree	*agree;
	struct world	*w;
	struct node *const *nodes;
	unsigned	 n, registered;
	bool		 controller;
	struct topic	*topics;
	struct arena	 arena;
	char		*wrong;		/* the first thing */
};

static void wrong(struct survey *, const char *, ...) PRINTF_LIKE(2, 3);

static void
wrong(struct survey *s, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	if (s->wrong != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->wrong = xstrdup(text);
}

static struct node *
node_of_session(const struct survey *s, int64_t session)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->nodes[i]->session != NULL && s->nodes[i]->broker->zk != NULL && zk_session_id(s->nodes[i]->session->own) == session)
			return (s->nodes[i]);
	return (NULL);
}

static struct node *
node_of_id(const struct survey *s, int32_t id)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->nodes[i]->broker->id == id)
			return (s->nodes[i]);
	return (NULL);
}

/* ---- (1), (2), (4): single nodes ---- */

static void
see_broker(struct survey *s, const char *path, int32_t id, const struct zk_stat *stat)
{
	struct node *n = node_of_session(s, stat->ephemeral_owner);

	s->registered++;
	if (n == NULL || n->broker->id != id)
		wrong(s, "%s is not the session's of that broker", path);
	else if (n->broker->epoch != stat->czxid)
		wrong(s, "%s: created in %" PRId64 ", the broker believes in %" PRId64, path, stat->czxid, n->broker->epoch);
}

static void
see_controller(struct survey *s, struct slice data, const struct zk_stat *stat)
{
	struct node *n = node_of_session(s, stat->ephemeral_owner);

	s->controller = true;
	if (n == NULL)
		wrong(s, "/controller is not the session's of any broker: %.*s", (int)data.len, (const char *)data.p);
	else if (!controller_active(n->broker->controller))
		wrong(s, "broker %d holds /controller and is not through with its failover", n->broker->id);
}

static void
see_epoch(struct survey *s, struct slice data)
{
	char text[32];
	int64_t epoch;

	str_format(text, sizeof(text), "%.*s", (int)data.len, (const char *)data.p);
	epoch = atoll(text);
	if (epoch < s->agree->controller_epoch)
		wrong(s, "/controller_epoch went back from %" PRId64 " to %" PRId64, s->agree->controller_epoch, epoch);
	s->agree->controller_epoch = epoch;
}

static bool
below(const char *path, const char *prefix)
{
	return (zk_path_below(path, prefix) != NULL);
}

/* ---- (3): topics ---- */

static struct topic *
topic_of(struct survey *s, const char *name)
{
	struct topic *t;

	HASH_FIND_STR(s->topics, name, t);
	return (t);
}

static void
see_topic(struct survey *s, const char *name, struct slice data)
{
	struct errbuf eb = ERRBUF_INIT;
	struct zk_topic_info info;
	struct topic *t;

	if (zk_topic_decode(&s->arena, data, &info, &eb) != OK || info.npartitions > PARTITIONS_MAX) {
		wrong(s, "topic %s: %s", name, eb.text);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	str_copy(t->name, sizeof(t->name), name);
	t->id = info.id;
	t->npartitions = info.npartitions;
	HASH_ADD_STR(s->topics, name, t);
}

static void
remember_epoch(struct survey *s, const struct topic *t, int32_t partition, int32_t epoch)
{
	struct agree_epoch *e;
	char key[64];

	str_format(key, sizeof(key), "%016" PRIx64 "%016" PRIx64 "/%d", be64dec(t->id.b), be64dec(t->id.b + 8), partition);
	HASH_FIND_STR(s->agree->epochs, key, e);
	if (e == NULL) {
		e = xcalloc(1, sizeof(*e));
		str_copy(e->key, sizeof(e->key), key);
		HASH_ADD_STR(s->agree->epochs, key, e);
	} else if (epoch < e->epoch) {
		wrong(s, "%s-%d: the leader epoch went back from %d to %d", t->name, partition, e->epoch, epoch);
	}
	e->epoch = epoch;
}

static void
see_state(struct survey *s, const char *name, int32_t partition, struct slice data)
{
	struct topic *t = topic_of(s, name);
	struct errbuf eb = ERRBUF_INIT;
	struct zk_partition_state st;

	if (t == NULL || partition < 0 || (uint32_t)partition >= t->npartitions) {
		wrong(s, "%s-%d has a state and is in no topic's node", name, partition);
		return;
	}
	if (zk_partition_state_decode(&s->arena, data, &st, &eb) != OK) {
		wrong(s, "%s-%d: %s", name, partition, eb.text);
		return;
	}
	t->nstates++;
	t->leaders[partition] = st.leader;
	t->epochs[partition] = st.leader_epoch;
	if (node_of_id(s, st.leader) == NULL)
		wrong(s, "%s-%d is led by %d, who does not run", name, partition, st.leader);
	if (st.controller_epoch > s->agree->controller_epoch)
		wrong(s, "%s-%d was written in controller epoch %d, and this is %" PRId64, name, partition, st.controller_epoch, s->agree->controller_epoch);
	remember_epoch(s, t, partition, st.leader_epoch);
}

static void
see(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct survey *s = ctx;
	char name[256];
	int partition, end = 0;

	if (stat->ephemeral_owner != 0 && !zk_tree_session_alive(zk_fake_tree(s->w->fake), stat->ephemeral_owner))
		wrong(s, "%s belongs to a session that has ended", path);
	if (below(path, ZK_BROKER_IDS))
		see_broker(s, path, atoi(zk_path_below(path, ZK_BROKER_IDS)), stat);
	else if (strcmp(path, ZK_CONTROLLER) == 0)
		see_controller(s, data, stat);
	else if (strcmp(path, ZK_CONTROLLER_EPOCH) == 0)
		see_epoch(s, data);
	else if (below(path, ZK_DELETE_TOPICS) || below(path, ZK_LOG_DIR_EVENTS) || below(path, ZK_ISR_CHANGES))
		wrong(s, "%s waits", path);
	else if (below(path, ZK_TOPICS))
		see_topic(s, zk_path_below(path, ZK_TOPICS), data);
	else if (sscanf(path, ZK_TOPICS "/%255[^/]/partitions/%d/state%n", name, &partition, &end) == 2 && end > 0 && path[end] == '\0')
		see_state(s, name, partition, data);
}

/* ---- (5): images ---- */

struct look_at_image { struct survey *s; struct node *n; };

static bool
compare_topic(void *ctx, const struct image_topic *it)
{
	struct look_at_image *l = ctx;
	char name[256];
	struct topic *t;

	str_format(name, sizeof(name), "%.*s", (int)it->name.len, (const char *)it->name.p);
	t = topic_of(l->s, name);
	if (t == NULL || !uuid_eq(t->id, it->id) || t->npartitions != it->npartitions) {
		wrong(l->s, "broker %d knows another topic %s than ZooKeeper", l->n->broker->id, name);
		return (false);
	}
	for (uint32_t i = 0; i < it->npartitions; i++) {
		const struct image_partition *p = &it->partitions[i];

		if (p->id != (int32_t)i || p->leader != t->leaders[i] || p->leader_epoch != t->epochs[i])
			wrong(l->s, "broker %d believes that %s-%d is led by %d in epoch %d, and that is %d in epoch %d", l->n->broker->id, name, p->id,
			    p->leader, p->leader_epoch, t->leaders[i], t->epochs[i]);
		else if (p->leader == l->n->broker->id && !replica_has_epoch(l->n->broker->replicas, it->name, p->id, p->leader_epoch))
			wrong(l->s, "broker %d has not heard that it leads %s-%d in epoch %d", p->leader, name, p->id, p->leader_epoch);
	}
	return (true);
}

static void
compare_image(struct survey *s, struct node *n)
{
	const struct image *im = cluster_read(n->broker->cluster);
	struct look_at_image l = { s, n };

	if (im->ntopics != HASH_COUNT(s->topics))
		wrong(s, "broker %d knows %" PRIu64 " topics, ZooKeeper %u", n->broker->id, im->ntopics, HASH_COUNT(s->topics));
	if (im->nbrokers != s->n)
		wrong(s, "broker %d knows %u brokers, %u run", n->broker->id, im->nbrokers, s->n);
	image_topics(im, compare_topic, &l);
}

/* ---- all of it ---- */

static void
topics_free(struct survey *s)
{
	struct topic *t, *next;

	HASH_ITER(hh, s->topics, t, next) {
		HASH_DEL(s->topics, t);
		free(t);
	}
}

void
agree_fini(struct agree *a)
{
	struct agree_epoch *e, *next;

	HASH_ITER(hh, a->epochs, e, next) {
		HASH_DEL(a->epochs, e);
		free(e);
	}
}

char *
agree_ask(struct agree *a, struct world *w, struct node *const *nodes, unsigned n)
{
	struct survey s = { .agree = a, .w = w, .nodes = nodes, .n = n };
	struct topic *t, *next;

	arena_init(&s.arena, 64 << 20);
	zk_tree_walk(zk_fake_tree(w->fake), see, &s);
	if (s.registered != n)
		wrong(&s, "%u brokers are registered, %u run", s.registered, n);
	if (!s.controller)
		wrong(&s, "nobody is the controller");
	HASH_ITER(hh, s.topics, t, next)
		if (t->nstates != t->npartitions)
			wrong(&s, "topic %s has %u partitions and %u states", t->name, t->npartitions, t->nstates);
	for (unsigned i = 0; i < n && s.wrong == NULL; i++)
		compare_image(&s, nodes[i]);
	topics_free(&s);
	arena_fini(&s.arena);
	return (s.wrong);
}

bool
agree_wait(struct agree *a, struct node *n, const char *when)
{
	int64_t until = clock_mono_ms(&n->w->time.clock) + 120000;
	char *why;
	bool ok;

	while ((why = agree_ask(a, n->w, &n, 1)) != NULL && clock_mono_ms(&n->w->time.clock) < until && !n->ended) {
		free(why);
		for (int i = 0; i < 20; i++)
			if (!turn(n)) {
				idle(n);
				break;
			}
	}
	ok = unit_check(why == NULL, __FILE__, __LINE__, "%s: %s%s", when, why, n->ended ? "; and the broker has ended" : "");
	free(why);
	return (ok);
}
