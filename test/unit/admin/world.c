/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/admin/world.c - see world.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/assign.h"
#include "base/alloc.h"
#include "base/must.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"
#include "zk/json.h"
#include "zk/paths.h"
#include "zk/registration.h"

/* ---- ZooKeeper, looked at from outside ---- */

static void
find_node(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct node *n = ctx;

	if (strcmp(path, n->path) != 0)
		return;
	n->found = true;
	n->version = stat->version;
	n->children = (uint32_t)stat->num_children;
	n->data = xstrndup(data.p == NULL ? "" : (const char *)data.p, data.len);
	n->len = data.len;
}

struct node
world_node(struct world *w, const char *path)
{
	struct node n = { .path = path };
	char *text;

	zk_tree_walk(zk_fake_tree(w->fake), find_node, &n);
	text = arena_strndup(&w->arena, n.data == NULL ? "" : n.data, n.len);
	free(n.data);
	n.data = text;
	return (n);
}

bool
world_has(struct world *w, const char *path)
{
	return (world_node(w, path).found);
}

static void
ignore(void *ctx, const struct zk_result *r)
{
	(void)ctx;
	(void)r;
}

void
world_put(struct world *w, const char *path, const char *data)
{
	zk_create_recursive(w->user, path, slice_str(data), ignore, NULL);
	zk_fake_settle(w->loop);
	zk_set(w->user, path, slice_str(data), ZK_ANY_VERSION, ignore, NULL);
	zk_fake_settle(w->loop);
}

void
world_remove(struct world *w, const char *path)
{
	zk_delete_recursive(w->user, ZK_ANY_VERSION, path, ignore, NULL);
	zk_fake_settle(w->loop);
}

/* ---- the controller's work: the image shows what stands in ZooKeeper ---- */

struct work {
	struct world	*w;
	struct image_edit *edit;
	char		*doomed[64];
	unsigned	 ndoomed;
	bool		 changed;
};

static void
show_topic(struct work *k, const char *name, struct slice data)
{
	struct image_partition p[256] = { { 0 } };
	struct zk_topic_info info;
	const struct image_topic *known = image_topic(cluster_read(k->w->cluster), slice_str(name));
	struct arena a;

	arena_init(&a, 1 << 20);
	if (zk_topic_decode(&a, data, &info, NULL) == OK && (known == NULL || known->npartitions != info.npartitions)) {
		must(info.npartitions <= NELEM(p));
		for (uint32_t i = 0; i < info.npartitions; i++)
			p[i] = (struct image_partition){ .id = info.partitions[i].id, .leader = info.partitions[i].replicas.v[0],
			    .nreplicas = info.partitions[i].replicas.n, .replicas = info.partitions[i].replicas.v };
		cluster_edit_put_partitions(k->edit, slice_str(name), info.id, p, info.npartitions);
		k->changed = true;
	}
	arena_fini(&a);
}

static void
see_node(void *ctx, const char *path, struct slice data, const struct zk_stat *stat)
{
	struct work *k = ctx;
	const char *name;

	(void)stat;
	if ((name = zk_path_below(path, ZK_DELETE_TOPICS)) != NULL)
		k->doomed[k->ndoomed++] = xstrdup(name);
	else if ((name = zk_path_below(path, ZK_TOPICS)) != NULL && data.p != NULL)
		show_topic(k, name, data);
}

static void
remove_topic(struct work *k, const char *name)
{
	const struct image_topic *t = image_topic(cluster_read(k->w->cluster), slice_str(name));
	int32_t ids[256];

	for (uint32_t i = 0; t != NULL && i < t->npartitions; i++)
		ids[i] = t->partitions[i].id;
	if (t != NULL)
		cluster_edit_remove_partitions(k->edit, slice_str(name), ids, t->npartitions);
}

static bool
controller_works(struct world *w)
{
	struct work k = { .w = w, .edit = cluster_edit_begin(w->cluster) };

	zk_tree_walk(zk_fake_tree(w->fake), see_node, &k);
	for (unsigned i = 0; i < k.ndoomed; i++)
		remove_topic(&k, k.doomed[i]);
	if (k.changed || k.ndoomed > 0)
		cluster_edit_publish(&k.edit);
	else
		cluster_edit_discard(&k.edit);
	for (unsigned i = 0; i < k.ndoomed; i++) {
		world_remove(w, zk_path_topic(k.doomed[i]).s);
		world_remove(w, zk_path_topic_config(k.doomed[i]).s);
		world_remove(w, zk_path_delete_topic(k.doomed[i]).s);
		free(k.doomed[i]);
	}
	return (k.changed || k.ndoomed > 0);
}

static bool
loops_turn(struct world *w)
{
	bool any = false;

	while ((int)loop_turn(w->loop, 0) | (int)loop_turn(w->net, 0))	/* both, always */
		any = true;
	return (any);
}

void
world_turn(struct world *w)
{
	for (int i = 0; i < 1000; i++) {
		(void)loops_turn(w);
		if ((w->no_controller_work || !controller_works(w)) && !loops_turn(w))
			return;
	}
	must(!"the world settles");
}

/* ---- the world ---- */

void
world_brokers(struct world *w, const struct assign_broker *b, uint32_t n)
{
	struct image_endpoint ep = { "PLAINTEXT", "localhost", 9092, 0 };
	struct image_broker *v = xcalloc(n + 1, sizeof(*v));
	struct image_edit *e = cluster_edit_begin(w->cluster);

	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct image_broker){ b[i].id, b[i].rack, 1, &ep };
	cluster_edit_set_brokers(e, v, n);
	cluster_edit_set_controller(e, 1);
	cluster_edit_publish(&e);
	free(v);
}

static const struct config *
config_now(void *ctx)
{
	return (((struct world *)ctx)->config);
}

static bool
is_active(void *ctx)
{
	return (((struct world *)ctx)->active);
}

static void
ignore_step(void *ctx, enum err e, const struct errbuf *why)
{
	(void)ctx;
	(void)why;
	must(e == OK);
}

static void
quiet(void *ctx, enum diag_level level, const char *area, const char *text)
{
	((struct world *)ctx)->warnings += level >= DIAG_WARNING;
	if (getenv("OTTLA_TEST_TALK") != NULL)
		fprintf(stderr, "[%s] %s\n", area, text);
}

static void
load(struct world *w, const char *properties)
{
	char *text = xasprintf("broker.id=1\nzookeeper.connect=localhost:2181\nlog.dirs=/a\n%s", properties);
	struct config_input in = { "test.properties", slice_str(text), NULL, 0 };

	must(config_load(&in, &w->config, NULL) == OK);
	free(text);
}

void
world_init(struct world *w, const char *properties)
{
	struct admin_options opt = { .broker_id = 1, .controller_active = is_active, .config = config_now, .ctx = w };

	memset(w, 0, sizeof(*w));
	clock_manual_init(&w->clock, 1700000000000);
	random_seeded_init(&w->random, unit_seed());
	must(loop_new(&(struct loop_options){ .name = "control", .clock = &w->clock.clock }, &w->loop, NULL) == OK);
	must(loop_new(&(struct loop_options){ .name = "net", .clock = &w->clock.clock }, &w->net, NULL) == OK);
	arena_init(&w->arena, 256 << 20);
	load(w, properties);
	w->diag = diag_capture(quiet, w);
	w->cluster = cluster_new("cluster-of-a-test");
	world_brokers(w, &(struct assign_broker){ 1, NULL }, 1);
	w->fake = zk_fake_new(&w->clock.clock);
	w->user = zk_fake_client(w->fake, w->loop);
	w->zk = zk_fake_client(w->fake, w->loop);
	zk_create_top_level_paths(w->user, ignore_step, NULL);
	zk_fake_settle(w->loop);
	world_put(w, ZK_CONTROLLER, "{\"version\":2,\"brokerid\":1,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}");
	w->active = true;
	opt.loop = w->loop;
	opt.zk = w->zk;
	opt.cluster = w->cluster;
	opt.random = &w->random.random;
	opt.diag = w->diag;
	w->admin = admin_new(&opt);
}

void
world_fini(struct world *w)
{
	admin_stop(w->admin);
	world_turn(w);
	zk_close(&w->user);
	zk_fake_settle(w->loop);
	zk_fake_free(&w->fake);
	loop_free(&w->loop);
	loop_free(&w->net);
	admin_free(&w->admin);
	cluster_free(&w->cluster);
	config_unref(&w->config);
	diag_free(&w->diag);
	arena_fini(&w->arena);
}

static void
count_done(struct admin_job *j)
{
	CONTAINER_OF(j->arena, struct world, arena)->done++;
}

void
world_job(struct world *w, struct admin_job *j)
{
	j->loop = w->net;
	j->done = count_done;
	j->arena = &w->arena;
}

bool
has_text(const char *text, const char *part)
{
	return (text != NULL && strstr(text, part) != NULL);
}
