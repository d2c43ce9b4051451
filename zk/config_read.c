/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/config_read.c - see notify.h: reading entity configs.
 *
 * All entities of a type: list /config/TYPE; for users list users/U/clients of each too; then get them all, pipelined.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "zk/notify_int.h"
#include "zk/paths.h"
#include "zk/step_int.h"

const char *
zk_config_node(struct arena *a, const struct zk_entity *e)
{
	char *path = zk_entity_path(a, e), *node;

	node = path == NULL ? NULL : arena_printf(a, ZK_CONFIG "/%s", path);
	return (node == NULL ? "" : node);
}

enum err
zk_config_of_result(struct arena *a, const struct zk_result *r, struct zk_config *c, bool *found, struct errbuf *eb)
{
	enum err e;

	*c = (struct zk_config){ .nitems = 0 };
	*found = r->error == ZKE_OK;
	if (r->error == ZKE_NO_NODE)
		return (OK);
	if (r->error != ZKE_OK)
		return (zk_step_error(eb, r, "reading"));
	e = zk_config_decode(a, r->data, c, eb);
	if (e != OK)
		errbuf_add(eb, "%s", r->path);
	return (e);
}

/* ---- one ---- */
struct config_one {
	zk_config_fn *done;
	void	     *ctx;
};

static void
config_one_read(void *ctx, const struct zk_result *r)
{
	struct config_one *g = ctx;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_config config;
	struct arena a;
	bool found;
	enum err e;

	arena_init(&a, CONFIG_ARENA_MAX);
	e = zk_config_of_result(&a, r, &config, &found, &eb);
	g->done(g->ctx, e, &config, found, &eb);
	arena_fini(&a);
	free(g);
}

void
zk_config_read(struct zk *zk, const struct zk_entity *entity, zk_config_fn *done, void *ctx)
{
	struct config_one *g = xcalloc(1, sizeof(*g));
	struct arena a;

	g->done = done;
	g->ctx = ctx;
	arena_init(&a, CONFIG_ARENA_MAX);
	zk_get(zk, zk_config_node(&a, entity), NULL, config_one_read, g);
	arena_fini(&a);
}

/* ---- all of a type ---- */
struct config_all {
	struct zk	  *zk;
	enum zk_entity_type type;
	struct diag	  *diag;
	zk_config_each_fn *each;
	zk_step_fn	  *done;
	void		  *ctx;
	struct arena	   arena;
	struct zk_entity  *entities;	/* malloc'ed; names in the arena */
	uint32_t	   n, size;
	struct errbuf	   eb;
};

static const char *
root_of(enum zk_entity_type type)
{
	static const char *const roots[] = { [ZK_ENTITY_TOPIC] = "topics", [ZK_ENTITY_BROKER] = "brokers", [ZK_ENTITY_CLIENT] = "clients",
	    [ZK_ENTITY_USER] = "users", [ZK_ENTITY_USER_CLIENT] = "users", [ZK_ENTITY_IP] = "ips" };

	return (roots[type]);
}

static bool
has_clients(enum zk_entity_type type)
{
	return (type == ZK_ENTITY_USER || type == ZK_ENTITY_USER_CLIENT);
}

static void
config_all_end(struct config_all *g, enum err e)
{
	if (e == OK && g->arena.full) {
		errbuf_set(&g->eb, "too many %s", root_of(g->type));
		e = ERR_LIMIT;
	}
	g->done(g->ctx, e, &g->eb);
	arena_fini(&g->arena);
	free(g->entities);
	free(g);
}

static void
config_all_add(struct config_all *g, const char *entity_path)
{
	if (g->n == g->size) {
		g->size = g->size == 0 ? 64 : g->size * 2;
		g->entities = xreallocarray(g->entities, g->size, sizeof(*g->entities));
	}
	if (entity_path == NULL || zk_entity_parse(&g->arena, entity_path, &g->entities[g->n], &g->eb) != OK)
		diag_line(g->diag, DIAG_WARNING, "config", "left out: %s", g->eb.text);
	else
		g->n++;
	g->eb = (struct errbuf)ERRBUF_INIT;
}

static void
config_all_tell(struct config_all *g, const struct zk_entity *entity, const struct zk_result *r)
{
	struct zk_config config;
	struct arena a;
	bool found;
	enum err e;

	arena_init(&a, CONFIG_ARENA_MAX);
	e = zk_config_of_result(&a, r, &config, &found, &g->eb);
	if (e != OK) {
		diag_line(g->diag, DIAG_ERROR, "config", "left out: %s", g->eb.text);
		g->eb = (struct errbuf)ERRBUF_INIT;
	} else if (found)
		g->each(g->ctx, entity, &config);
	arena_fini(&a);
}

static void
config_all_read(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct config_all *g = ctx;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (results[i].error != ZKE_OK && results[i].error != ZKE_NO_NODE) {
			config_all_end(g, zk_step_error(&g->eb, &results[i], "reading"));
			return;
		}
	for (i = 0; i < n; i++)
		config_all_tell(g, &g->entities[i], &results[i]);
	config_all_end(g, OK);
}

static void
config_all_get(struct config_all *g)
{
	struct zk_op *ops = xcalloc((size_t)g->n + 1, sizeof(*ops));
	uint32_t i;

	for (i = 0; i < g->n; i++)
		ops[i] = ZK_GET(zk_config_node(&g->arena, &g->entities[i]), NULL);
	if (g->arena.full || g->n == 0)
		config_all_end(g, OK);		/* which says that it is full.  Asking for nothing would be answered after the client is closed, too */
	else
		zk_many(g->zk, ops, g->n, config_all_read, g);
	free(ops);
}

static void
config_all_clients(void *ctx, const struct zk_result *results, uint32_t n)
{
	struct config_all *g = ctx;
	uint32_t i, j;

	for (i = 0; i < n; i++) {
		if (results[i].error != ZKE_OK && results[i].error != ZKE_NO_NODE) {
			config_all_end(g, zk_step_error(&g->eb, &results[i], "listing"));
			return;
		}
		for (j = 0; j < results[i].nchildren; j++)
			config_all_add(g, arena_printf(&g->arena, "%s/%s", results[i].path + strlen(ZK_CONFIG) + 1, results[i].children[j]));
	}
	config_all_get(g);
}

static void
config_all_list_clients(struct config_all *g)
{
	struct zk_op *ops = xcalloc((size_t)g->n + 1, sizeof(*ops));
	uint32_t i;

	for (i = 0; i < g->n; i++)
		ops[i] = ZK_GET_CHILDREN(arena_printf(&g->arena, "%s/clients", zk_config_node(&g->arena, &g->entities[i])), NULL);
	if (g->arena.full || g->n == 0)
		config_all_end(g, OK);
	else
		zk_many(g->zk, ops, g->n, config_all_clients, g);
	free(ops);
}

static void
config_all_names(void *ctx, const struct zk_result *r)
{
	struct config_all *g = ctx;
	uint32_t i;

	if (r->error != ZKE_OK && r->error != ZKE_NO_NODE) {
		config_all_end(g, zk_step_error(&g->eb, r, "listing"));
		return;
	}
	for (i = 0; i < r->nchildren; i++)
		config_all_add(g, arena_printf(&g->arena, "%s/%s", root_of(g->type), r->children[i]));
	if (has_clients(g->type))
		config_all_list_clients(g);
	else
		config_all_get(g);
}

void
zk_config_read_all(struct zk *zk, enum zk_entity_type type, struct diag *diag, zk_config_each_fn *each, zk_step_fn *done, void *ctx)
{
	struct config_all *g = xcalloc(1, sizeof(*g));
	char root[32];

	*g = (struct config_all){ .zk = zk, .type = type, .diag = diag, .each = each, .done = done, .ctx = ctx };
	arena_init(&g->arena, CONFIG_ARENA_MAX);
	snprintf(root, sizeof(root), ZK_CONFIG "/%s", root_of(type));
	zk_children(zk, root, NULL, config_all_names, g);
}
