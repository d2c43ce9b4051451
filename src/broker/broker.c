/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.c - see broker.h.  The start is startup.c, the end shutdown.c.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "broker/broker_int.h"

static enum err
session_open(void *ctx, const struct zk_session_options *o, zk_opened_fn *fn, void *octx, struct zk_session **sp, struct errbuf *eb)
{
	(void)ctx;
	return (zk_session_open(o, fn, octx, sp, eb));
}

static const struct broker_zookeeper real_zookeeper = {
    NULL, session_open, zk_session_client, zk_session_ident, zk_session_proceed, zk_session_close,
};

struct broker *
broker_new(const struct broker_options *opt)
{
	struct broker *b = xcalloc(1, sizeof(*b));

	b->opt = *opt;
	b->opt.config = config_ref(opt->config);
	b->config = config_ref(opt->config);
	if (opt->zookeeper == NULL)
		b->opt.zookeeper = &real_zookeeper;
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

bool
broker_turn(struct broker *b)
{
	bool some = b->workers != NULL && workers_step(b->workers);

	must(b->opt.by_hand);
	for (uint32_t i = 0; i < b->nloops; i++)
		some = (b->loops[i] != NULL && loop_turn(b->loops[i], 0)) || some;
	return ((b->controller_loop != NULL && loop_turn(b->controller_loop, 0)) || some);
}

/* Late news for loops that stand still (a wake posted while the logs were closed): they mention parts that are freed next. */
static void
loops_finish(struct broker *b)
{
	for (uint32_t i = 0; i < b->nloops; i++)
		while (b->loops[i] != NULL && loop_turn(b->loops[i], 0))
			;
}

static void
barrier(void)
{
	reclaim_offline();
	reclaim_barrier();
	reclaim_online();
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
	loops_finish(b);
	net_free(&b->net);
	server_free(&b->server);
	admin_free(&b->admin);
	producer_ids_free(&b->producer_ids);
	group_coordinator_free(&b->groups);
	replica_manager_free(&b->replicas);
	barrier();		/* partitions and logs dropped a moment ago */
	log_dirs_free(&b->log_dirs);
	workers_free(&b->workers);
	cluster_free(&b->cluster);
	for (uint32_t i = 0; i < b->nloops; i++)
		loop_free(&b->loops[i]);
	loop_free(&b->controller_loop);
	barrier();
	configs_free(b);
	for (uint32_t i = 0; i < b->ndirs; i++)
		free((void *)(uintptr_t)b->dirs[i]);
	free(b->dirs);
	free(b->bound);
	free(b->cluster_id);
	free(b->zookeeper);
	config_drop(&b->config);
	config_drop(&b->opt.config);
	free(b);
	*bp = NULL;
}

static void
tell_turn(struct broker *b, struct loop *l)
{
	if (l != NULL)
		diag_info(b->opt.diag, "loop", "%s: longest turn %" PRId64 " us", loop_name(l), loop_longest_turn_ns(l, true) / 1000);
}

void
broker_tell_turns(struct broker *b)
{
	tell_turn(b, b->opt.control);
	tell_turn(b, b->controller_loop);
	for (uint32_t i = 0; i < b->nloops; i++)
		tell_turn(b, b->loops[i]);
}

void
broker_describe(const struct broker *b, struct strbuf *out)
{
	int64_t ms = (clock_mono_ns(b->opt.clock) - b->started_ns) / 1000000;

	strbuf_add(out, "broker %d of cluster %s, listening on ", b->id, b->cluster_id);
	for (uint32_t i = 0; i < b->nbound; i++) {
		const struct net_listener *l = b->bound[i].net;
		const char *host = net_listener_host(l);

		strbuf_add(out, "%s%s://%s:%u", i == 0 ? "" : ",", net_listener_name(l), host[0] == '\0' ? "*" : host, net_listener_port(l));
	}
	strbuf_add(out, ", %u logs, %lld ms", log_dirs_count(b->log_dirs), (long long)ms);
}
