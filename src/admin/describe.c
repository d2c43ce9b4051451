/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/describe.c - what settings there are.  See configs.h for the interface.
 *
 * The znodes of all topics asked for are read together; then each resource is described by config/describe, in order.
 *
 * LOGGERS    Java lists its log4j loggers.  Our diagnostics have one threshold, so there is one logger, "root", with Java's names of levels.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/config_int.h"
#include "admin/configs.h"
#include "base/alloc.h"
#include "zk/notify.h"
#include "zk/paths.h"

enum { NODE_MAX = 64 << 20 };

struct describe {
	struct admin	*admin;
	struct admin_describe_configs *d;
	struct zk_op	*ops;
	struct zk_path	*paths;
	int32_t		*which;		/* resource of each op */
	uint32_t	 n;
};

/* ---- one resource ---- */

static void
refuse(struct describe *s, struct admin_described *r, enum kerr k, const char *words)
{
	r->outcome = admin_outcome(&s->d->job, k, words);
	r->description = (struct config_description){ 0 };
}

static void
described(struct describe *s, struct admin_described *r, bool fits)
{
	if (fits)
		r->outcome = ADMIN_OK;
	else
		refuse(s, r, KERR_UNKNOWN_SERVER_ERROR, NULL);
}

static void
describe_topic(struct describe *s, struct admin_described *r, const struct zk_result *node)
{
	struct config_map own = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct zk_config config = { 0 };
	struct arena a;
	enum err e = OK;

	if (node->error != ZKE_OK && node->error != ZKE_NO_NODE) {
		refuse(s, r, admin_zk_error(s->admin, node->error, "reading", node->path), NULL);
		return;
	}
	arena_init(&a, NODE_MAX);
	if (node->error == ZKE_OK)
		e = zk_config_decode(&a, node->data, &config, &eb);
	if (e == ERR_MALFORMED) {	/* Java finds no settings there */
		diag_error(s->admin->opt.diag, "admin", "%s: %s; the settings in it do not count", node->path, eb.text);
		config.nitems = 0;
		e = OK;
	}
	if (e == OK) {
		admin_config_map(&config, &own);
		described(s, r, config_describe_topic(admin_config(s->admin), &own, r->names, s->d->job.arena, &r->description));
		config_map_fini(&own);
	} else {
		diag_warning(s->admin->opt.diag, "admin", "%s: %s", node->path, eb.text);
		refuse(s, r, KERR_UNKNOWN_SERVER_ERROR, NULL);
	}
	arena_fini(&a);
}

static void
describe_broker(struct describe *s, struct admin_described *r)
{
	const struct config *c = admin_config(s->admin);
	struct errbuf eb = ERRBUF_INIT;

	if (r->name.len == 0)
		described(s, r, config_describe_cluster_default(c, r->names, s->d->job.arena, &r->description));
	else if (!admin_is_this_broker(s->admin, r->name, &eb))
		refuse(s, r, KERR_INVALID_REQUEST, eb.text);
	else
		described(s, r, config_describe_broker(c, r->names, s->d->job.arena, &r->description));
}

static bool
asks_for_root(const struct config_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (slice_eq_str(names->names[i], ADMIN_ROOT_LOGGER))
			return (true);
	return (names->count == 0);
}

static void
describe_logger(struct describe *s, struct admin_described *r)
{
	struct errbuf eb = ERRBUF_INIT;
	struct config_entry *e;

	if (r->name.len == 0)
		refuse(s, r, KERR_INVALID_REQUEST, "loggers are those of one broker: its id is needed");
	else if (!admin_is_this_broker(s->admin, r->name, &eb))
		refuse(s, r, KERR_INVALID_REQUEST, eb.text);
	else if (!asks_for_root(&r->names))
		r->outcome = ADMIN_OK;
	else if ((e = ARENA_NEW(s->d->job.arena, struct config_entry)) == NULL)
		refuse(s, r, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else {
		e->name = ADMIN_ROOT_LOGGER;
		e->value = admin_logger_level(s->admin->opt.diag);
		e->source = CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER;
		r->description = (struct config_description){ e, 1 };
		r->outcome = ADMIN_OK;
	}
}

static void
describe_other(struct describe *s, struct admin_described *r)
{
	switch (r->type) {
	case ADMIN_RESOURCE_BROKER:
		describe_broker(s, r);
		break;
	case ADMIN_RESOURCE_BROKER_LOGGER:
		describe_logger(s, r);
		break;
	case ADMIN_RESOURCE_CLIENT_METRICS:
		refuse(s, r, KERR_INVALID_REQUEST, r->name.len == 0 ? "the name of a client metrics subscription is missing" :
		    "client metrics subscriptions need a KRaft cluster");
		break;
	default:
		refuse(s, r, KERR_INVALID_REQUEST, "settings of this type of resource cannot be described");
	}
}

/* A topic whose node is to be read; else the outcome is set. */
static bool
topic_is_there(struct describe *s, struct admin_described *r)
{
	const char *why = topic_name_invalid(r->name);

	if (why != NULL)
		refuse(s, r, KERR_INVALID_TOPIC_EXCEPTION, why);
	else if (image_topic(cluster_read(s->admin->opt.cluster), r->name) == NULL)
		refuse(s, r, KERR_UNKNOWN_TOPIC_OR_PARTITION, NULL);
	else
		return (true);
	return (false);
}

/* ---- all of them ---- */

static void
describe_end(struct describe *s)
{
	struct admin_job *j = &s->d->job;

	free(s->ops);
	free(s->paths);
	free(s->which);
	free(s);
	admin_done(j);
}

static void
describe_read(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct describe *s = ctx;

	for (uint32_t i = 0; i < n; i++)
		describe_topic(s, &s->d->resources[s->which[i]], &r[i]);
	describe_end(s);
}

static void
add_topic(struct describe *s, int32_t i)
{
	char *name = xstrndup((const char *)s->d->resources[i].name.p, s->d->resources[i].name.len);

	s->paths[s->n] = zk_path_topic_config(name);
	s->ops[s->n] = ZK_GET(s->paths[s->n].s, NULL);
	s->which[s->n++] = i;
	free(name);
}

static uint32_t
count_topics(const struct admin_describe_configs *d)
{
	uint32_t n = 0;

	for (int32_t i = 0; i < d->nresources; i++)
		n += d->resources[i].type == ADMIN_RESOURCE_TOPIC;
	return (n);
}

static void
describe_run(struct admin_job *j)
{
	struct admin_describe_configs *d = CONTAINER_OF(j, struct admin_describe_configs, job);
	struct describe *s = xcalloc(1, sizeof(*s));
	size_t n = count_topics(d);

	*s = (struct describe){ j->admin, d, xcalloc(n + 1, sizeof(*s->ops)), xcalloc(n + 1, sizeof(*s->paths)), xcalloc(n + 1, sizeof(*s->which)), 0 };
	for (int32_t i = 0; i < d->nresources; i++) {
		struct admin_described *r = &d->resources[i];

		if (s->admin->opt.zk == NULL)
			refuse(s, r, KERR_UNKNOWN_SERVER_ERROR, NULL);
		else if (r->type != ADMIN_RESOURCE_TOPIC)
			describe_other(s, r);
		else if (topic_is_there(s, r))
			add_topic(s, i);
	}
	if (s->n == 0)
		describe_end(s);
	else
		zk_many(s->admin->opt.zk, s->ops, s->n, describe_read, s);
}

void
admin_describe_configs(struct admin *a, struct admin_describe_configs *d)
{
	admin_start(a, &d->job, describe_run);
}
