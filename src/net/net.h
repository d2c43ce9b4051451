/* SPDX-License-Identifier: Apache-2.0
 *
 * net/net.h - the network side of one broker: its loops, its limits, its life.
 *
 * Life       net_new; net_listen for each listener (bound: the kernel queues connections); net_start (accepting and serving); net_shutdown
 *            (no new connections, no new requests; what runs is answered and sent; the rest is closed); net_free.
 * Threads    net_new, net_listen, net_start, net_free: one thread, the broker's start-up.  net_set_limits, net_stop_accepting, net_shutdown,
 *            net_stats: any.  Connections live on the loops given; their code runs there.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/diag.h"
#include "base/metrics.h"
#include "base/slice.h"
#include "event/workers.h"
#include "net/conn.h"

struct net;

struct net_ip_limit {
	const char *host;	/* name or address; resolved when given */
	int32_t	    max;
};

/* Kafka's keys; what dynamic configuration may change. */
struct net_limits {
	int32_t	 connections_max;		/* max.connections */
	int32_t	 connections_per_ip_max;	/* max.connections.per.ip */
	const struct net_ip_limit *ip_overrides;	/* max.connections.per.ip.overrides; copied */
	unsigned ip_overrides_n;
	int32_t	 connection_rate_max;		/* max.connection.creation.rate, per second; INT32_MAX = none */
};

struct net_options {
	struct loop *const *loops;	/* borrowed array, copied; the loops outlive the net */
	unsigned	 nloops;
	struct workers	*workers;	/* for prefetching; may be NULL */
	struct metrics	*metrics;	/* may be NULL */
	struct diag	*diag;		/* may be NULL */
	struct net_handler handler;
	int32_t		 request_bytes_max;	/* socket.request.max.bytes */
	int32_t		 queued_requests_max;	/* queued.max.requests: frames received ahead of execution, all connections; <= 0 = none */
	int64_t		 queued_bytes_max;	/* queued.max.request.bytes; <= 0 = none */
	int64_t		 held_max;		/* ottla.peer.memory.max.bytes: frames, requests and answers of all connections; <= 0 = no limit */
	int64_t		 idle_max_ms;		/* connections.max.idle.ms; <= 0 = never */
	struct net_limits limits;
};

#define NET_LIMITS_NONE	((struct net_limits){ INT32_MAX, INT32_MAX, NULL, 0, INT32_MAX })

struct net_stats {
	unsigned connections;
	unsigned queued_requests;	/* received ahead of execution */
	uint64_t request_bytes;		/* frames held, or reserved for frames being received */
	uint64_t held_bytes;		/* memory that peers make us hold */
};

enum err net_new(const struct net_options *, struct net **, struct errbuf *) MUST_CHECK;
void	 net_free(struct net **);	/* after net_shutdown reported, or never started; the loops stand still or are the caller's */
void	 net_start(struct net *);
enum err net_set_limits(struct net *, const struct net_limits *, struct errbuf *) MUST_CHECK;	/* resolves names: may block */
void	 net_stop_accepting(struct net *);	/* closes the listening sockets, soon */
/* Once; done is posted to done_loop when the last connection is gone (with it the last running request).  After grace_ms every connection
 * is cut; a handler that still runs is waited for all the same. */
void	 net_shutdown(struct net *, int64_t grace_ms, struct loop *done_loop, struct task *done);
void	 net_stats(struct net *, struct net_stats *);

/* A connected stream socket made elsewhere (tests: one end of a socketpair) as a connection of loop `index`; on that loop or before it runs. */
enum err net_adopt(struct net *, unsigned index, int fd, struct net_listener *, struct net_conn **, struct errbuf *) MUST_CHECK;

#endif
