/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/config_write.c - see notify.h: replacing an entity's config.
 *
 * PROTOCOL (Kafka's setOrCreateEntityConfigs)
 *	read /controller (it must be there, and not a KRaft controller's)
 *	multi[ check(/controller, its version), set(node, any version) ]	the check failing: the controller has changed, ERR_FENCED
 *	NO_NODE on the set: create the node with its parents; NODE_EXISTS on that: the multi once more
 *	then, if asked for, create /config/changes/config_change_SEQ
 * A lost answer repeats idempotent steps; a notification made twice is harmless.
 *
 * EMPTY    Quota entities without items go away: delete the node (if it has no children, else it is set to empty), then for a user's client
 *	the empty `clients` node, then the user if it has neither config nor children.  Each delete refuses when something is in it, so a
 *	concurrent writer loses nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "zk/notify_int.h"
#include "zk/paths.h"
#include "zk/step_int.h"

struct config_write {
	struct zk    *zk;
	unsigned      flags;
	zk_step_fn   *done;
	void	     *ctx;
	struct arena  arena;
	const char   *node;		/* "/config/users/u/clients/c" */
	const char   *parents[2];	/* what may become empty: clients, the user; NULL: none */
	struct slice  json, change;
	int32_t	      controller_version;
	bool	      created_once;
	struct errbuf eb;
};

static void
write_end(struct config_write *w, enum err e)
{
	w->done(w->ctx, e, &w->eb);
	arena_fini(&w->arena);
	free(w);
}

/* ---- the notification ---- */
static void write_notify(struct config_write *);

static void
write_changes_made(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (r->error == ZKE_OK || r->error == ZKE_NODE_EXISTS)
		write_notify(w);
	else
		write_end(w, zk_step_error(&w->eb, r, "creating"));
}

static void
write_notified(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (r->error == ZKE_NO_NODE)
		zk_create_recursive(w->zk, ZK_CONFIG_CHANGES, SLICE_NULL, write_changes_made, w);
	else
		write_end(w, r->error == ZKE_OK ? OK : zk_step_error(&w->eb, r, "creating"));
}

static void
write_notify(struct config_write *w)
{
	if ((w->flags & ZK_CONFIG_NOTIFY) == 0)
		write_end(w, OK);
	else
		zk_create(w->zk, ZK_CONFIG_CHANGES "/" ZK_CONFIG_CHANGE_PREFIX, w->change, ZK_PERSISTENT_SEQUENTIAL, write_notified, w);
}

/* ---- set or create ---- */
static void write_set(struct config_write *);

static void
write_created(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (r->error == ZKE_OK)
		write_notify(w);
	else if (r->error == ZKE_NODE_EXISTS)
		write_set(w);
	else
		write_end(w, zk_step_error(&w->eb, r, "creating"));
}

static void
write_was_set(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (r->error == ZKE_OK)
		write_notify(w);
	else if (r->results[0].error == ZKE_BAD_VERSION || r->results[0].error == ZKE_NO_NODE) {
		errbuf_set(&w->eb, "the controller has changed");
		write_end(w, ERR_FENCED);
	} else if (r->results[1].error == ZKE_NO_NODE && !w->created_once) {
		w->created_once = true;		/* deleted once more in between: Kafka reports that, and so do we */
		zk_create_recursive(w->zk, w->node, w->json, write_created, w);
	} else {
		errbuf_set(&w->eb, "writing %s: %s", w->node, zke_text(r->error));
		write_end(w, zke_err(r->error));
	}
}

static void
write_set(struct config_write *w)
{
	struct zk_op ops[2] = { ZK_CHECK(ZK_CONTROLLER, w->controller_version), ZK_SET(w->node, w->json, ZK_ANY_VERSION) };

	zk_multi(w->zk, ops, 2, write_was_set, w);
}

static void
write_controller_read(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;
	struct zk_controller_info info;
	enum err e = OK;

	if (r->error == ZKE_NO_NODE) {
		errbuf_set(&w->eb, "there is no controller");
		e = ERR_FENCED;
	} else if (r->error != ZKE_OK)
		e = zk_step_error(&w->eb, r, "reading");
	else if ((e = zk_controller_decode(r->data, &info, &w->eb)) == OK && info.kraft_epoch > 0) {
		errbuf_set(&w->eb, "the controller is a KRaft controller");
		e = ERR_FENCED;
	}
	if (e != OK) {
		write_end(w, e);
		return;
	}
	w->controller_version = r->stat.version;
	write_set(w);
}

static void
write_begin(struct config_write *w)
{
	zk_get(w->zk, ZK_CONTROLLER, NULL, write_controller_read, w);
}

/* ---- removing what is empty ---- */
static bool
removal_goes_on(const struct zk_result *r)
{
	return (r->error == ZKE_OK || r->error == ZKE_NO_NODE || r->error == ZKE_NOT_EMPTY || r->error == ZKE_BAD_VERSION);
}

static void
write_user_removed(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (removal_goes_on(r))
		write_notify(w);
	else
		write_end(w, zk_step_error(&w->eb, r, "deleting"));
}

static void
write_user_read(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;
	struct zk_config config;
	bool found;

	if (zk_config_of_result(&w->arena, r, &config, &found, NULL) == OK && found && config.nitems == 0 && r->stat.num_children == 0)
		zk_delete(w->zk, w->parents[1], r->stat.version, write_user_removed, w);
	else
		write_notify(w);
}

static void
write_clients_removed(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (!removal_goes_on(r))
		write_end(w, zk_step_error(&w->eb, r, "deleting"));
	else
		zk_get(w->zk, w->parents[1], NULL, write_user_read, w);
}

static void
write_removed(void *ctx, const struct zk_result *r)
{
	struct config_write *w = ctx;

	if (r->error == ZKE_NOT_EMPTY)
		write_begin(w);
	else if (!removal_goes_on(r))
		write_end(w, zk_step_error(&w->eb, r, "deleting"));
	else if (w->parents[0] != NULL)
		zk_delete(w->zk, w->parents[0], ZK_ANY_VERSION, write_clients_removed, w);
	else
		write_notify(w);
}

static void
write_invalid(void *ctx)
{
	struct config_write *w = ctx;

	errbuf_set(&w->eb, "this config cannot be stored: too large, or not UTF-8");
	write_end(w, ERR_INVALID);
}

static bool
name_parents(struct config_write *w, const struct zk_entity *e)
{
	struct zk_entity user = { ZK_ENTITY_USER, e->name, NULL };

	if (e->type != ZK_ENTITY_USER_CLIENT)
		return (true);
	w->parents[1] = zk_config_node(&w->arena, &user);
	w->parents[0] = arena_printf(&w->arena, "%s/clients", w->parents[1]);
	return (w->parents[0] != NULL);
}

static bool
is_quota_entity(enum zk_entity_type t)
{
	return (t == ZK_ENTITY_CLIENT || t == ZK_ENTITY_USER || t == ZK_ENTITY_USER_CLIENT || t == ZK_ENTITY_IP);
}

void
zk_config_write(struct zk *zk, const struct zk_entity *entity, const struct zk_config *config, unsigned flags, zk_step_fn *done, void *ctx)
{
	struct config_write *w = xcalloc(1, sizeof(*w));

	*w = (struct config_write){ .zk = zk, .flags = flags, .done = done, .ctx = ctx };
	arena_init(&w->arena, CONFIG_ARENA_MAX);
	w->node = zk_config_node(&w->arena, entity);
	w->json = zk_config_encode(&w->arena, config);
	w->change = zk_config_change_encode(&w->arena, entity);
	if (!name_parents(w, entity) || w->json.p == NULL || w->json.len > LIMIT_TOPIC_NODE_BYTES_MAX || w->change.p == NULL)
		loop_call(zk_loop(zk), write_invalid, w);
	else if ((flags & ZK_CONFIG_REMOVE_WHEN_EMPTY) != 0 && config->nitems == 0 && is_quota_entity(entity->type))
		zk_delete(zk, w->node, ZK_ANY_VERSION, write_removed, w);
	else
		write_begin(w);
}
