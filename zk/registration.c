/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/registration.c - see registration.h.
 *
 * REGISTERING (Kafka's CheckedEphemeral)
 *	multi[ create /brokers/ids/N ephemeral null, set it to the JSON at version 0 ]
 *	OK		the set's czxid is the broker epoch
 *	NODE_EXISTS	look: owned by this session	ours after all (the answer of an earlier sending was lost): its czxid
 *			      owned by a session of ours that is over	delete it, create again (the server has not noticed yet)
 *			      gone by now		create again
 *			      owned by anybody else	ERR_EXISTS, without waiting
 * The node is made with null data and set in the same transaction, because the epoch is only in the stat that a set returns.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "zk/paths.h"
#include "zk/registration.h"
#include "zk/step_int.h"

enum { ZNODE_ARENA_MAX = 16 * LIMIT_JUTE_MAX };	/* of one decoded znode */

/* ---- top-level paths ---- */
struct top_level {
	struct zk    *zk;
	zk_step_fn   *done;
	void	     *ctx;
	unsigned      next;
	struct errbuf eb;
};

static void
top_level_end(struct top_level *t, enum err e)
{
	t->done(t->ctx, e, &t->eb);
	free(t);
}

static void
top_level_made(void *ctx, const struct zk_result *r)
{
	struct top_level *t = ctx;

	if (r->error != ZKE_OK && r->error != ZKE_NODE_EXISTS) {
		top_level_end(t, zk_step_error(&t->eb, r, "creating"));
		return;
	}
	if (zk_top_level_paths[++t->next] == NULL)
		top_level_end(t, OK);
	else
		zk_create_recursive(t->zk, zk_top_level_paths[t->next], SLICE_NULL, top_level_made, t);
}

void
zk_create_top_level_paths(struct zk *zk, zk_step_fn *done, void *ctx)
{
	struct top_level *t = xcalloc(1, sizeof(*t));

	t->zk = zk;
	t->done = done;
	t->ctx = ctx;
	zk_create_recursive(zk, zk_top_level_paths[0], SLICE_NULL, top_level_made, t);
}

/* ---- cluster id ---- */
struct cluster_id {
	struct zk	 *zk;
	struct random	 *random;
	zk_cluster_id_fn *done;
	void		 *ctx;
	char		  made[UUID_TEXT_LEN + 1];
	struct errbuf	  eb;
};

static void cluster_id_read(void *, const struct zk_result *);

static void
cluster_id_end(struct cluster_id *c, enum err e, const char *id)
{
	c->done(c->ctx, e, id, &c->eb);
	free(c);
}

static void
cluster_id_created(void *ctx, const struct zk_result *r)
{
	struct cluster_id *c = ctx;

	if (r->error == ZKE_OK)
		cluster_id_end(c, OK, c->made);
	else if (r->error == ZKE_NODE_EXISTS)	/* another broker's, or ours with a lost answer */
		zk_get(c->zk, ZK_CLUSTER_ID, NULL, cluster_id_read, c);
	else
		cluster_id_end(c, zk_step_error(&c->eb, r, "creating"), NULL);
}

static void
cluster_id_make(struct cluster_id *c)
{
	struct arena a;

	arena_init(&a, 65536);
	uuid_format(uuid_random(c->random), c->made);
	zk_create_recursive(c->zk, ZK_CLUSTER_ID, zk_cluster_id_encode(&a, c->made), cluster_id_created, c);
	arena_fini(&a);
}

static void
cluster_id_read(void *ctx, const struct zk_result *r)
{
	struct cluster_id *c = ctx;
	const char *id = NULL;
	struct arena a;
	enum err e;

	if (r->error == ZKE_NO_NODE) {
		cluster_id_make(c);
		return;
	}
	arena_init(&a, ZNODE_ARENA_MAX);
	if (r->error != ZKE_OK)
		e = zk_step_error(&c->eb, r, "reading");
	else
		e = zk_cluster_id_decode(&a, r->data, &id, &c->eb);
	cluster_id_end(c, e, id);
	arena_fini(&a);
}

void
zk_cluster_id_get_or_create(struct zk *zk, struct random *random, zk_cluster_id_fn *done, void *ctx)
{
	struct cluster_id *c = xcalloc(1, sizeof(*c));

	c->zk = zk;
	c->random = random;
	c->done = done;
	c->ctx = ctx;
	zk_get(zk, ZK_CLUSTER_ID, NULL, cluster_id_read, c);
}

/* ---- broker id ---- */
struct broker_id {
	struct zk	*zk;
	int32_t		 reserved_max;
	zk_broker_id_fn *done;
	void		*ctx;
	struct errbuf	 eb;
};

static void broker_id_count(struct broker_id *);

static void
broker_id_end(struct broker_id *b, enum err e, int32_t id)
{
	b->done(b->ctx, e, id, &b->eb);
	free(b);
}

static void
broker_id_path_made(void *ctx, const struct zk_result *r)
{
	struct broker_id *b = ctx;

	if (r->error == ZKE_OK || r->error == ZKE_NODE_EXISTS)
		broker_id_count(b);
	else
		broker_id_end(b, zk_step_error(&b->eb, r, "creating"), -1);
}

static void
broker_id_counted(void *ctx, const struct zk_result *r)
{
	struct broker_id *b = ctx;
	int32_t id;

	if (r->error == ZKE_NO_NODE)
		zk_create_recursive(b->zk, ZK_BROKER_SEQID, SLICE_NULL, broker_id_path_made, b);
	else if (r->error != ZKE_OK)
		broker_id_end(b, zk_step_error(&b->eb, r, "counting up"), -1);
	else if (__builtin_add_overflow(r->stat.version, b->reserved_max, &id) || id < 0) {
		errbuf_set(&b->eb, "%s has counted too far: set broker.id", ZK_BROKER_SEQID);
		broker_id_end(b, ERR_RANGE, -1);
	} else
		broker_id_end(b, OK, id);
}

/* The data is empty, not null: as Kafka writes it. */
static void
broker_id_count(struct broker_id *b)
{
	zk_set(b->zk, ZK_BROKER_SEQID, SLICE_LIT(""), ZK_ANY_VERSION, broker_id_counted, b);
}

void
zk_broker_id_generate(struct zk *zk, int32_t reserved_max, zk_broker_id_fn *done, void *ctx)
{
	struct broker_id *b = xcalloc(1, sizeof(*b));

	b->zk = zk;
	b->reserved_max = reserved_max;
	b->done = done;
	b->ctx = ctx;
	broker_id_count(b);
}

/* ---- all brokers ---- */
struct broker_list {
	struct zk    *zk;
	struct zk_watcher *watcher;
	zk_brokers_fn *done;
	void	     *ctx;
	struct arena  arena;
	int32_t	     *ids;		/* parallel to the gets under way */
	struct zk_broker_entry *entries;
	uint32_t      n;
	struct errbuf eb;
};

static void
broker_list_end(struct broker_list *l, enum err e)
{
	l->done(l->ctx, e, l->entries, e == OK ? l->n : 0, &l->eb);
	arena_fini(&l->arena);
	free(l);
}

static int
by_broker_id(const void *a, const void *b)
{
	const struct zk_broker_entry *x = a, *y = b;

	return ((x->info.id > y->info.id) - (x->info.id < y->info.id));
}

static enum err
broker_list_add(struct broker_list *l, int32_t id, const struct zk_result *r)
{
	struct zk_broker_entry *e = &l->entries[l->n];
	enum err err;

	if (r->error == ZKE_NO_NODE)
		return (OK);
	if (r->error != ZKE_OK)
		return (zk_step_error(&l->eb, r, "reading"));
	err = zk_broker_decode(&l->arena, id, r->data, &e->info, &l->eb);
	if (err != OK) {
		errbuf_add(&l->eb, "%s", r->path);
		return (err);
	}
	e->epoch = r->stat.czxid;
	e->session_id = r->stat.ephemeral_owner;
	l->n++;
	return (OK);
}

static void
broker_list_read(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct broker_list *l = ctx;
	enum err e = OK;
	uint32_t i;

	for (i = 0; i < n && e == OK; i++)
		e = broker_list_add(l, l->ids[i], &results[i]);
	if (e == OK && l->n > 0)
		qsort(l->entries, l->n, sizeof(*l->entries), by_broker_id);
	broker_list_end(l, e);
}

static void
broker_list_get(struct broker_list *l, const char *const *names, uint32_t n)
{
	struct zk_op *ops = xcalloc((size_t)n + 1, sizeof(*ops));
	uint32_t i, count = 0;

	l->ids = ARENA_ARRAY(&l->arena, int32_t, (size_t)n + 1);
	l->entries = ARENA_ARRAY(&l->arena, struct zk_broker_entry, (size_t)n + 1);
	for (i = 0; i < n && l->entries != NULL; i++)
		if (str_to_i32(slice_str(names[i]), &l->ids[count]))
			ops[count++] = ZK_GET(arena_printf(&l->arena, "%s/%s", ZK_BROKER_IDS, names[i]), l->watcher);
	if (l->arena.full) {
		errbuf_set(&l->eb, "too many brokers");
		broker_list_end(l, ERR_LIMIT);
	} else
		zk_many(l->zk, ops, count, broker_list_read, l);
	free(ops);
}

static void
broker_list_names(void *ctx, const struct zk_result *r)
{
	struct broker_list *l = ctx;

	if (r->error == ZKE_NO_NODE)
		broker_list_end(l, OK);
	else if (r->error != ZKE_OK)
		broker_list_end(l, zk_step_error(&l->eb, r, "listing"));
	else
		broker_list_get(l, r->children, r->nchildren);
}

void
zk_brokers_list(struct zk *zk, struct zk_watcher *watcher, zk_brokers_fn *done, void *ctx)
{
	struct broker_list *l = xcalloc(1, sizeof(*l));

	l->zk = zk;
	l->watcher = watcher;
	l->done = done;
	l->ctx = ctx;
	arena_init(&l->arena, (size_t)ZNODE_ARENA_MAX * 4);
	zk_children(zk, ZK_BROKER_IDS, watcher, broker_list_names, l);
}

/* ---- our own node ---- */
struct registering {
	struct zk	     *zk;
	struct zk_registrar  *registrar;	/* NULL: freed meanwhile, answer nobody */
	zk_registered_fn     *done;
	void		     *ctx;
	int32_t		      broker_id;
	struct zk_path	      path;
	struct arena	      arena;		/* json, and what follows */
	struct slice	      json;
	struct zk_broker_info info;		/* only endpoints, for the check */
	struct errbuf	      eb;
};

struct zk_registrar {
	struct zk *zk;
	int32_t	   broker_id;
	int64_t	   remembered;		/* the last session that registered; -1: none */
	struct registering *current;
};

struct zk_registrar *
zk_registrar_new(struct zk *zk, int32_t broker_id)
{
	struct zk_registrar *r = xcalloc(1, sizeof(*r));

	r->zk = zk;
	r->broker_id = broker_id;
	r->remembered = -1;
	return (r);
}

void
zk_registrar_free(struct zk_registrar **rp)
{
	struct zk_registrar *r = *rp;

	if (r == NULL)
		return;
	*rp = NULL;
	if (r->current != NULL)
		r->current->registrar = NULL;
	free(r);
}

static void
registering_end(struct registering *g, enum err e, int64_t epoch)
{
	if (g->registrar != NULL) {
		g->registrar->current = NULL;
		if (e == OK)
			g->registrar->remembered = zk_session_id(g->zk);
		g->done(g->ctx, e, epoch, &g->eb);
	}
	arena_fini(&g->arena);
	free(g);
}

static void registering_create(struct registering *);

static void
registering_old_deleted(void *ctx, const struct zk_result *r)
{
	struct registering *g = ctx;

	if (g->registrar == NULL)
		registering_end(g, OK, 0);
	else if (r->error == ZKE_OK || r->error == ZKE_NO_NODE)
		registering_create(g);
	else
		registering_end(g, zk_step_error(&g->eb, r, "deleting the node of our previous session,"), 0);
}

static void
registering_looked(void *ctx, const struct zk_result *r)
{
	struct registering *g = ctx;
	int64_t owner = r->stat.ephemeral_owner, session = zk_session_id(g->zk);

	if (g->registrar == NULL)
		registering_end(g, OK, 0);
	else if (r->error == ZKE_NO_NODE)
		registering_create(g);
	else if (r->error != ZKE_OK)
		registering_end(g, zk_step_error(&g->eb, r, "reading"), 0);
	else if (owner == session)
		registering_end(g, OK, r->stat.czxid);
	else if (owner == g->registrar->remembered)
		zk_delete(g->zk, g->path.s, ZK_ANY_VERSION, registering_old_deleted, g);
	else {
		errbuf_set(&g->eb, "broker id %" PRId32 " is in use: %s belongs to another live session (0x%" PRIx64 "); "
		    "stop that broker or wait until its session has timed out", g->broker_id, g->path.s, (uint64_t)owner);
		registering_end(g, ERR_EXISTS, 0);
	}
}

static void
registering_created(void *ctx, const struct zk_result *r)
{
	struct registering *g = ctx;

	if (r->error == ZKE_OK)
		registering_end(g, OK, r->results[1].stat.czxid);
	else if (r->error == ZKE_NODE_EXISTS && g->registrar != NULL)
		zk_get(g->zk, g->path.s, NULL, registering_looked, g);
	else {
		errbuf_set(&g->eb, "creating %s: %s", g->path.s, zke_text(r->error));
		registering_end(g, zke_err(r->error), 0);
	}
}

static void
registering_create(struct registering *g)
{
	struct zk_op ops[2] = { ZK_CREATE_EPHEMERAL(g->path.s, SLICE_NULL), ZK_SET(g->path.s, g->json, 0) };

	zk_multi(g->zk, ops, 2, registering_created, g);
}

static bool
same_address(const struct zk_endpoint *a, const struct zk_endpoint *b)
{
	return (a->port == b->port && strcmp(a->host, b->host) == 0);
}

static const struct zk_endpoint *
shared_endpoint(const struct zk_broker_info *a, const struct zk_broker_info *b)
{
	uint32_t i, j;

	for (i = 0; i < a->nendpoints; i++)
		for (j = 0; j < b->nendpoints; j++)
			if (same_address(&a->endpoints[i], &b->endpoints[j]))
				return (&a->endpoints[i]);
	return (NULL);
}

static void
registering_listed(void *ctx, enum err e, const struct zk_broker_entry *entries, uint32_t n, const struct errbuf *why)
{
	struct registering *g = ctx;
	const struct zk_endpoint *shared;
	uint32_t i;

	if (g->registrar == NULL || e != OK) {
		g->eb = *why;
		registering_end(g, e, 0);
		return;
	}
	for (i = 0; i < n; i++) {
		if (entries[i].info.id == g->broker_id || (shared = shared_endpoint(&g->info, &entries[i].info)) == NULL)
			continue;
		errbuf_set(&g->eb, "advertised listener %s:%" PRId32 " is registered by broker %" PRId32 " already", shared->host,
		    shared->port, entries[i].info.id);
		registering_end(g, ERR_EXISTS, 0);
		return;
	}
	registering_create(g);
}

static bool
copy_endpoints(struct registering *g, const struct zk_broker_info *info)
{
	uint32_t i;

	g->info.nendpoints = info->nendpoints;
	g->info.endpoints = ARENA_ARRAY(&g->arena, struct zk_endpoint, (size_t)info->nendpoints + 1);
	for (i = 0; i < info->nendpoints && !g->arena.full; i++) {
		g->info.endpoints[i] = info->endpoints[i];
		g->info.endpoints[i].listener = NULL;
		g->info.endpoints[i].host = arena_printf(&g->arena, "%s", info->endpoints[i].host);
	}
	return (!g->arena.full);
}

static void
registering_invalid(void *ctx)
{
	struct registering *g = ctx;

	errbuf_set(&g->eb, "broker registration: cannot be written as JSON");
	registering_end(g, ERR_INVALID, 0);
}

void
zk_registrar_register(struct zk_registrar *r, const struct zk_broker_info *info, bool check_endpoints, zk_registered_fn *done, void *ctx)
{
	struct registering *g = xcalloc(1, sizeof(*g));

	must(r->current == NULL);
	r->current = g;
	g->zk = r->zk;
	g->registrar = r;
	g->done = done;
	g->ctx = ctx;
	g->broker_id = r->broker_id;
	g->path = zk_path_broker(r->broker_id);
	arena_init(&g->arena, LIMIT_JUTE_MAX);
	g->json = zk_broker_encode(&g->arena, info);
	if (g->json.p == NULL || !copy_endpoints(g, info))
		loop_call(zk_loop(r->zk), registering_invalid, g);
	else if (check_endpoints)
		zk_brokers_list(r->zk, NULL, registering_listed, g);
	else
		registering_create(g);
}

/* ---- update ---- */
struct updating {
	zk_step_fn *done;
	void	   *ctx;
};

static void
updated(void *ctx, const struct zk_result *r)
{
	struct updating *u = ctx;
	struct errbuf eb = ERRBUF_INIT;
	enum err e = OK;

	if (r->error != ZKE_OK)
		e = zk_step_error(&eb, r, "updating");
	u->done(u->ctx, e, &eb);
	free(u);
}

void
zk_registrar_update(struct zk_registrar *r, const struct zk_broker_info *info, zk_step_fn *done, void *ctx)
{
	struct updating *u = xcalloc(1, sizeof(*u));
	struct arena a;

	u->done = done;
	u->ctx = ctx;
	arena_init(&a, LIMIT_JUTE_MAX);
	zk_set(r->zk, zk_path_broker(r->broker_id).s, zk_broker_encode(&a, info), ZK_ANY_VERSION, updated, u);
	arena_fini(&a);
}
