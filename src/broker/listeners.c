/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/listeners.c - the listening sockets of the broker: bound at the start, made to follow the dynamic settings afterwards.
 *
 * What is to be bound is config.bind; what is bound is b->bound.  A change of the settings is followed by one job at a time: on a worker
 * (names are resolved there) the limits are set and the sockets bound that are missing; back on the control loop these begin to accept,
 * and the listeners that are wanted no more are closed with their connections.  A change that comes meanwhile is followed afterwards.
 *
 * RULES
 *   (1) A listener is wanted as long as its name is; one whose address has changed is bound anew before the old socket is closed.
 *   (2) A socket that cannot be bound is an error in the diagnostics: the others follow, an old one of that name stays, and the
 *       registration is not renewed, so it never names an address that nobody serves.  The next change of any setting tries again.
 *
 * Java knows listeners by their names only: it takes a new address for an old name, registers it, and goes on listening at the old one.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "broker/broker_int.h"

/* ---- one listener ---- */

struct bound_listener *
bound_find(const struct broker *b, const char *name)
{
	for (uint32_t i = 0; i < b->nbound; i++)
		if (strcmp(net_listener_name(b->bound[i].net), name) == 0)
			return (&b->bound[i]);
	return (NULL);
}

static bool
is_as_wanted(const struct bound_listener *l, const struct config_listener *want)
{
	return (l != NULL && l->port_asked == want->port && strcmp(net_listener_host(l->net), want->host) == 0);
}

static enum err
bind_one(struct broker *b, const struct config *c, const struct config_listener *l, struct net_listener **lp, struct errbuf *eb)
{
	struct net_listener_options opt = {
	    .name = l->name, .protocol = (enum net_protocol)l->protocol, .host = l->host, .port = l->port,
	    .backlog = c->socket_listen_backlog_size, .send_buffer = c->socket_send_buffer_bytes,
	    .receive_buffer = c->socket_receive_buffer_bytes, .connections_max = l->max_connections,
	    .connection_rate_max = l->max_connection_rate, .inter_broker = strcmp(l->name, c->inter_broker_name) == 0,
	};
	enum err e = net_listen(b->net, &opt, lp, eb);

	if (e != OK)
		errbuf_add(eb, "listener %s://%s:%u", l->name, l->host, l->port);
	return (e);
}

static void
bound_add(struct broker *b, struct net_listener *l, uint16_t port_asked)
{
	b->bound = xreallocarray(b->bound, b->nbound + 1, sizeof(*b->bound));
	b->bound[b->nbound++] = (struct bound_listener){ l, port_asked };
}

enum err
listeners_bind(struct broker *b, struct errbuf *eb)
{
	const struct config *c = b->config;

	for (size_t i = 0; i < c->bind.count; i++) {
		struct net_listener *l;
		enum err e = bind_one(b, c, &c->bind.items[i], &l, eb);

		if (e != OK)
			return (e);
		bound_add(b, l, c->bind.items[i].port);
	}
	return (OK);
}

void
listeners_limits(const struct config *c, struct net_limits *limits, struct net_ip_limit **ips)
{
	*ips = xcalloc(c->ip_limit_count + 1, sizeof(**ips));
	for (size_t i = 0; i < c->ip_limit_count; i++)
		(*ips)[i] = (struct net_ip_limit){ c->ip_limits[i].host, c->ip_limits[i].max };
	*limits = (struct net_limits){
	    .connections_max = c->max_connections, .connections_per_ip_max = c->max_connections_per_ip,
	    .ip_overrides = *ips, .ip_overrides_n = (unsigned)c->ip_limit_count, .connection_rate_max = c->max_connection_creation_rate,
	};
}

/* ---- following a change ---- */

struct listeners_change {
	struct job	 job;
	struct broker	*b;
	struct config	*config;
	struct net_listener **made;	/* by index in config->bind; NULL: nothing was to be made, or it failed */
	bool		 failed;
};

static void
change_run(struct job *job)
{
	struct listeners_change *ch = CONTAINER_OF(job, struct listeners_change, job);
	const struct config *c = ch->config;
	struct errbuf eb = ERRBUF_INIT;
	struct net_limits limits;
	struct net_ip_limit *ips;

	listeners_limits(c, &limits, &ips);
	if (net_set_limits(ch->b->net, &limits, &eb) != OK)
		diag_error(ch->b->opt.diag, "config", "max.connections.per.ip.overrides: %s; the former limits of connections stay", eb.text);
	free(ips);
	for (size_t i = 0; i < c->bind.count; i++) {
		const struct config_listener *want = &c->bind.items[i];

		if (is_as_wanted(bound_find(ch->b, want->name), want))	/* the table stands still while we run */
			continue;
		if (bind_one(ch->b, c, want, &ch->made[i], &eb) == OK)
			continue;
		ch->failed = true;
		diag_error(ch->b->opt.diag, "config", "listeners: %s; clients and brokers are not told of it: free the address, or set listeners "
		    "again", eb.text);
	}
}

/* Rule (1): the new one serves before the old one goes. */
static void
take_made(struct broker *b, const struct config_listener *want, struct net_listener *made)
{
	struct bound_listener *old = bound_find(b, want->name);

	net_listener_start(made);
	if (old != NULL) {
		net_listener_remove(old->net);
		*old = (struct bound_listener){ made, want->port };
	} else
		bound_add(b, made, want->port);
	if (b->config->advertised_listeners == NULL || want->port == 0)
		b->registration_stale = true;
	diag_info(b->opt.diag, "config", "listener %s listens on port %u now", want->name, net_listener_port(made));
}

static void
remove_unwanted(struct broker *b, const struct config *c)
{
	for (uint32_t i = 0; i < b->nbound;) {
		struct net_listener *l = b->bound[i].net;

		if (config_listeners_find(&c->bind, net_listener_name(l)) != NULL) {
			i++;
			continue;
		}
		diag_info(b->opt.diag, "config", "listener %s is closed, with its connections", net_listener_name(l));
		net_listener_remove(l);
		b->bound[i] = b->bound[--b->nbound];
	}
}

static void
change_done(struct job *job)
{
	struct listeners_change *ch = CONTAINER_OF(job, struct listeners_change, job);
	const struct config *c = ch->config;
	struct broker *b = ch->b;

	b->listeners_running = false;
	for (size_t i = 0; b->state < BROKER_STOPPING && i < c->bind.count; i++) {
		const struct config_listener *want = &c->bind.items[i];
		struct bound_listener *l;

		if (ch->made[i] != NULL)
			take_made(b, want, ch->made[i]);
		l = bound_find(b, want->name);
		if (l != NULL)
			net_listener_set_limits(l->net, want->max_connections, want->max_connection_rate);
	}
	if (b->state < BROKER_STOPPING) {
		remove_unwanted(b, c);
		if (b->registration_stale && !ch->failed) {
			b->registration_stale = false;
			broker_update_registration(b);
		}
	}
	config_unref(&ch->config);
	free(ch->made);
	free(ch);
	if (b->listeners_again && b->state < BROKER_STOPPING)
		listeners_follow(b);
}

void
listeners_follow(struct broker *b)
{
	struct listeners_change *ch;

	b->listeners_again = b->listeners_running || !b->serving;
	if (b->listeners_again || b->net == NULL || b->state >= BROKER_STOPPING)
		return;
	b->listeners_running = true;
	ch = xcalloc(1, sizeof(*ch));
	ch->b = b;
	ch->config = config_ref(b->config);
	ch->made = xcalloc(b->config->bind.count + 1, sizeof(struct net_listener *));
	ch->job = (struct job){ .run = change_run, .done = change_done, .loop = b->opt.control };
	workers_submit(b->workers, &ch->job);
}
