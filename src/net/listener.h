/* SPDX-License-Identifier: Apache-2.0
 *
 * net/listener.h - listening sockets.
 *
 * A listener is bound when made and begins to accept at net_start.  Accepted connections are spread over the network loops in turn.
 * Accepting waits (the kernel's backlog holds the peers) while max.connections or the creation rate is reached, and pauses when the
 * process has no descriptor left.  A peer over its address's limit is accepted and closed at once.  The inter-broker listener, when
 * it is not the only one, is exempt from max.connections: the connection of another listener that was idle longest is closed instead.
 *
 * Ownership  The net owns its listeners; they live until net_free, also those that were removed.
 * Threads    net_listen, net_listener_remove: one thread at a time, registered for reclamation (base/reclaim.h).  The rest: any.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/net.h"

/* Kafka's ids, as in UpdateMetadata and /brokers/ids. */
enum net_protocol { NET_PLAINTEXT = 0, NET_SSL = 1, NET_SASL_PLAINTEXT = 2, NET_SASL_SSL = 3 };

struct net_listener;

struct net_listener_options {
	const char	*name;			/* listener name, as Kafka spells it: upper case; copied */
	enum net_protocol protocol;		/* NET_PLAINTEXT only for now: others are ERR_UNSUPPORTED */
	const char	*host;			/* NULL or "" = every address (IPv6 and IPv4); a name is resolved, its first address taken */
	uint16_t	 port;			/* 0 = the kernel chooses */
	int32_t		 backlog;		/* socket.listen.backlog.size */
	int32_t		 send_buffer;		/* socket.send.buffer.bytes; -1 = the system's */
	int32_t		 receive_buffer;	/* socket.receive.buffer.bytes; -1 = the system's */
	int32_t		 connections_max;	/* listener.name.X.max.connections; INT32_MAX = none */
	int32_t		 connection_rate_max;	/* listener.name.X.max.connection.creation.rate; INT32_MAX = none */
	bool		 inter_broker;
};

/* ERR_CONFLICT: the address is in use.  ERR_NOTFOUND: the host has no address.  ERR_PERM: a port that needs privilege. */
enum err net_listen(struct net *, const struct net_listener_options *, struct net_listener **, struct errbuf *) MUST_CHECK;

const char *net_listener_name(const struct net_listener *);
enum net_protocol net_listener_protocol(const struct net_listener *);
uint16_t net_listener_port(const struct net_listener *);	/* the port really bound */
const char *net_listener_host(const struct net_listener *);	/* as given; "" = every address */
/* For one made after net_start; not after net_shutdown. */
void	 net_listener_start(struct net_listener *);
/* Closes the socket and every connection that came through it, soon.  The name may be given to a new listener at once.  Not after net_shutdown. */
void	 net_listener_remove(struct net_listener *);
void	 net_listener_set_limits(struct net_listener *, int32_t connections_max, int32_t connection_rate_max);	/* any thread */

#endif
