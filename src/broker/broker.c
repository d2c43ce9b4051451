/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.c - see broker.h.  The start is startup.c, the end shutdown.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "broker/broker_int.h"

struct broker *
broker_new(const struct broker_options *opt)
{
	struct broker *b = xcalloc(1, sizeof(*b));

	b->opt = *opt;
	b->opt.config = config_ref(opt->config);
	b->config = config_ref(opt->config);
	b->id = -1;
	b->epoch = -1;
	return (b);
}

void
broker_start(struct broker *b)
{
	must(b->state == BROKER_NEW);
	startup_run(b);
}

void
broker_stop(struct broker *b)
{
	if (b->state < BROKER_STOPPING)
		shutdown_run(b);
}

static void
config_drop(const struct config **cp)
{
	struct config *c = (struct config *)(uintptr_t)*cp;

	config_unref(&c);
	*cp = NULL;
}

void
broker_free(struct broker **bp)
{
	struct broker *b = *bp;

	if (b == NULL)
		return;
	must(b->state == BROKER_ENDED || b->state == BROKER_NEW);
	net_free(&b->net);
	server_free(&b->server);
	admin_free(&b->admin);
	replica_manager_free(&b->replicas);
	reclaim_barrier();		/* partitions and logs dropped a moment ago */
	log_dirs_free(&b->log_dirs);
	workers_free(&b->workers);
	cluster_free(&b->cluster);
	for (uint32_t i = 0; i < b->nloops; i++)
		loop_free(&b->loops[i]);
	loop_free(&b->controller_loop);
	reclaim_barrier();
	configs_free(b);
	for (uint32_t i = 0; i < b->ndirs; i++)
		free((void *)(uintptr_t)b->dirs[i]);
	free(b->dirs);
	free(b->net_listeners);
	free(b->cluster_id);
	config_drop(&b->config);
	config_drop(&b->opt.config);
	free(b);
	*bp = NULL;
}

void
broker_describe(const struct broker *b, struct strbuf *out)
{
	int64_t ms = (clock_mono_ns(b->opt.clock) - b->started_ns) / 1000000;

	strbuf_add(out, "broker %d of cluster %s, listening on ", b->id, b->cluster_id);
	for (size_t i = 0; i < b->config->bind.count; i++)
		strbuf_add(out, "%s%s://%s:%u", i == 0 ? "" : ",", b->config->bind.items[i].name,
		    b->config->bind.items[i].host[0] == '\0' ? "*" : b->config->bind.items[i].host, net_listener_port(b->net_listeners[i]));
	strbuf_add(out, ", %u logs, %lld ms", log_dirs_count(b->log_dirs), (long long)ms);
}
