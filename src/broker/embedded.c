/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/embedded.c - see broker_int.h: the ZooKeeper of zookeeper.connect=embedded.
 *
 * It has a loop and a worker of its own, so that neither a busy data path nor a slow disk of the logs makes sessions expire.  The broker speaks to
 * it as to any other, through the ZooKeeper C client.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "broker/broker_int.h"
#include "zkserver/zkserver.h"

struct embedded {
	struct broker	*broker;
	struct loop	*loop;
	struct workers	*workers;
	struct zkserver	*server;
	bool		 running;
	struct task	 stopped, broken;
	struct errbuf	 why;
	void		(*after)(struct broker *);
};

static void
tell_broken(struct task *t)
{
	struct embedded *e = CONTAINER_OF(t, struct embedded, broken);

	broker_request_stop(e->broker, "the embedded ZooKeeper has ended: %s", e->why.text);
}

/* On its loop. */
static void
failed(void *ctx, const char *why)
{
	struct embedded *e = ctx;

	errbuf_set(&e->why, "%s", why);
	e->broken.fn = tell_broken;
	loop_post(e->broker->opt.control, &e->broken);
}

static void
embedded_free(struct broker *b)
{
	struct embedded *e = b->embedded;

	b->embedded = NULL;
	if (e->running) {
		loop_stop(e->loop);
		loop_join(e->loop);
	}
	zkserver_free(&e->server);
	workers_free(&e->workers);
	loop_free(&e->loop);
	free(e);
}

static enum err
open_server(struct broker *b, struct embedded *e, struct errbuf *eb)
{
	const struct config *c = b->config;
	struct zkserver_options opt = {
	    .loop = e->loop, .workers = e->workers, .fs = b->opt.fs, .random = b->opt.random, .diag = b->opt.diag,
	    .dir = c->zookeeper_embedded_dir != NULL ? c->zookeeper_embedded_dir : b->dirs[0], .host = c->zookeeper_embedded_host,
	    .port = c->zookeeper_embedded_port, .tick_ms = ZKSERVER_TICK_MS, .connections_per_host = ZKSERVER_CONNECTIONS_PER_HOST,
	    .packet_max = ZKSERVER_PACKET_MAX, .failed = failed, .ctx = e,
	};
	enum err err = fs_mkdir_p(b->opt.fs, opt.dir, eb);

	if (err == OK)
		err = zkserver_open(&opt, &e->server, eb);
	if (err == ERR_CONFLICT)
		errbuf_set(eb, "%s is in use: is another ZooKeeper there? Then zookeeper.connect=%s uses that one; else choose another address for "
		    "ottla.embedded.zookeeper.listener", c->ottla_embedded_zookeeper_listener, c->ottla_embedded_zookeeper_listener);
	else if (err == ERR_LOCKED)
		errbuf_add(eb, "another process has it open");
	return (err);
}

enum err
embedded_start(struct broker *b, char **connect, struct errbuf *eb)
{
	struct embedded *e = b->embedded = xcalloc(1, sizeof(*e));
	enum err err;

	e->broker = b;
	err = loop_new(&(struct loop_options){ .name = "zookeeper", .clock = b->opt.clock }, &e->loop, eb);
	if (err == OK)
		err = workers_new(1, "zookeeper-store", &e->workers, eb);
	if (err == OK)
		err = open_server(b, e, eb);
	if (err == OK)
		err = loop_start(e->loop, eb);
	if (err != OK) {
		embedded_free(b);
		return (err);
	}
	e->running = true;
	zkserver_start(e->server);
	free(*connect);
	*connect = xasprintf("%s:%u", b->config->zookeeper_embedded_host, (unsigned)zkserver_port(e->server));
	diag_info(b->opt.diag, "zookeeper", "embedded, for this broker alone, at %s", *connect);
	return (OK);
}

void
embedded_own(struct broker *b, int64_t session)
{
	zkserver_own(b->embedded->server, session);
}

static void
stopped(struct task *t)
{
	struct broker *b = CONTAINER_OF(t, struct embedded, stopped)->broker;
	void (*after)(struct broker *) = b->embedded->after;

	embedded_free(b);
	after(b);
}

void
embedded_stop(struct broker *b, void (*after)(struct broker *))
{
	struct embedded *e = b->embedded;

	e->after = after;
	e->stopped.fn = stopped;
	zkserver_stop(e->server, b->opt.control, &e->stopped);
}
