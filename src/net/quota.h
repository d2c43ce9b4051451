/* SPDX-License-Identifier: Apache-2.0
 *
 * net/quota.h - how many connections there may be, per broker, per listener and per address, and how fast they may come.
 *
 * Accounting as Kafka's: max.connections makes accepting wait, except on the protected inter-broker listener, where it makes others'
 * oldest connection go; the per-address limit refuses; the creation rate delays.
 *
 * Threads    Any; one short lock (LOCK_net_quota).  Called once per accepted and once per closed connection.
 */
#ifndef NET_QUOTA_H
#define NET_QUOTA_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lock.h"
#include "net/net.h"

struct quota_address;
struct quota_override;

/* Tokens are connections; a burst of up to ten seconds' worth passes, as the eleven samples of Kafka's rate let it. */
struct quota_bucket {
	int32_t	 rate;		/* per second; INT32_MAX = none */
	double	 tokens;
	int64_t	 last_ms;
};

struct quota_listener {
	_Atomic bool	 protected;	/* from max.connections: the inter-broker listener beside others */
	int32_t		 connections_max;
	int32_t		 connections;
	bool		 waiting;	/* its accepting stopped; quota_release says when to go on */
	struct quota_bucket bucket;
};

struct quota {
	struct lock	 lock;
	int32_t		 connections_max, connections;
	int32_t		 per_ip_max;
	struct quota_bucket bucket;
	struct quota_address  *addresses;	/* hash */
	struct quota_override *overrides;
	unsigned	 overrides_n;
};

void	 quota_init(struct quota *);
void	 quota_fini(struct quota *);
enum err quota_set(struct quota *, const struct net_limits *, struct errbuf *) MUST_CHECK;	/* resolves names */
void	 quota_listener_init(struct quota_listener *, int32_t connections_max, int32_t rate);
void	 quota_listener_set(struct quota *, struct quota_listener *, int32_t connections_max, int32_t rate);

/* May this listener accept now?  false: *delay_ms > 0 says when to ask again, 0: quota_release will tell (waiting is set). */
bool	 quota_may_accept(struct quota *, struct quota_listener *, int64_t now_ms, int64_t *delay_ms);

enum quota_verdict { QUOTA_OK, QUOTA_REFUSE /* the address has too many */, QUOTA_EXCESS /* taken, but somebody else must go */ };
enum quota_verdict quota_take(struct quota *, struct quota_listener *, const struct in6_addr *);
void	 quota_release(struct quota *, struct quota_listener *, const struct in6_addr *);
bool	 quota_exceeded(struct quota *);	/* more connections than max.connections */
bool	 quota_wakes(struct quota *, struct quota_listener *);	/* waiting, and may try again: clears waiting */

#endif
