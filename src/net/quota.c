/* SPDX-License-Identifier: Apache-2.0
 *
 * net/quota.c - see quota.h.
 */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/must.h"
#include "net/addr.h"
#include "net/quota.h"

enum { BURST_SECONDS = 10 };

struct quota_address {		/* an address with connections */
	struct in6_addr addr;
	int32_t		count;
	UT_hash_handle	hh;
};

struct quota_override {
	struct in6_addr addr;
	int32_t		max;
};

void
quota_init(struct quota *q)
{
	memset(q, 0, sizeof(*q));
	lock_init(&q->lock, LOCK_net_quota);
	q->connections_max = q->per_ip_max = q->bucket.rate = INT32_MAX;
}

void
quota_fini(struct quota *q)
{
	struct quota_address *a, *tmp;

	HASH_ITER(hh, q->addresses, a, tmp) {
		HASH_DEL(q->addresses, a);
		free(a);
	}
	free(q->overrides);
	lock_fini(&q->lock);
}

/* ---- limits ---- */

static enum err
resolve_overrides(const struct net_limits *l, struct quota_override **out, struct errbuf *eb)
{
	struct quota_override *o = xcalloc(l->ip_overrides_n + 1, sizeof(*o));

	for (unsigned i = 0; i < l->ip_overrides_n; i++) {
		struct sockaddr_storage ss;
		socklen_t len;
		enum err e = addr_resolve(l->ip_overrides[i].host, 0, &ss, &len, eb);

		if (e != OK) {
			free(o);
			return (e);
		}
		o[i].addr = addr_key(&ss);
		o[i].max = l->ip_overrides[i].max;
	}
	*out = o;
	return (OK);
}

static void
bucket_set(struct quota_bucket *b, int32_t rate)
{
	b->rate = rate;
	b->tokens = (double)rate * BURST_SECONDS;
}

enum err
quota_set(struct quota *q, const struct net_limits *l, struct errbuf *eb)
{
	struct quota_override *o = NULL, *old;
	enum err e = resolve_overrides(l, &o, eb);

	if (e != OK)
		return (e);
	lock_acquire(&q->lock);
	old = q->overrides;
	q->overrides = o;
	q->overrides_n = l->ip_overrides_n;
	q->connections_max = l->connections_max;
	q->per_ip_max = l->connections_per_ip_max;
	if (q->bucket.rate != l->connection_rate_max)
		bucket_set(&q->bucket, l->connection_rate_max);
	lock_release(&q->lock);
	free(old);
	return (OK);
}

void
quota_listener_init(struct quota_listener *l, int32_t connections_max, int32_t rate)
{
	memset(l, 0, sizeof(*l));
	l->connections_max = connections_max;
	bucket_set(&l->bucket, rate);
}

void
quota_listener_set(struct quota *q, struct quota_listener *l, int32_t connections_max, int32_t rate)
{
	lock_acquire(&q->lock);
	l->connections_max = connections_max;
	if (l->bucket.rate != rate)
		bucket_set(&l->bucket, rate);
	lock_release(&q->lock);
}

/* ---- rate ---- */

/* Milliseconds until a token is there; 0: now. */
static int64_t
bucket_delay(struct quota_bucket *b, int64_t now_ms)
{
	double burst = (double)b->rate * BURST_SECONDS;

	if (b->rate == INT32_MAX)
		return (0);
	if (b->rate <= 0)
		return (1000);
	b->tokens += (double)(now_ms - b->last_ms) * b->rate / 1000.0;
	if (b->tokens > burst)
		b->tokens = burst;
	b->last_ms = now_ms;
	if (b->tokens >= 1.0)
		return (0);
	return ((int64_t)((1.0 - b->tokens) * 1000.0 / b->rate) + 1);
}

static void
bucket_take(struct quota_bucket *b)
{
	if (b->rate != INT32_MAX)
		b->tokens -= 1.0;
}

/* ---- counts ---- */

static bool
slot_free(const struct quota *q, const struct quota_listener *l)
{
	if (l->connections >= l->connections_max)
		return (false);
	return (l->protected || q->connections < q->connections_max);
}

bool
quota_may_accept(struct quota *q, struct quota_listener *l, int64_t now_ms, int64_t *delay_ms)
{
	bool ok;

	*delay_ms = 0;
	lock_acquire(&q->lock);
	ok = slot_free(q, l);
	l->waiting = !ok;
	if (ok) {
		*delay_ms = bucket_delay(&l->bucket, now_ms);
		if (!l->protected)
			*delay_ms = MAX(*delay_ms, bucket_delay(&q->bucket, now_ms));
		ok = *delay_ms == 0;
	}
	lock_release(&q->lock);
	return (ok);
}

static int32_t
address_max(const struct quota *q, const struct in6_addr *addr)
{
	for (unsigned i = 0; i < q->overrides_n; i++)
		if (memcmp(&q->overrides[i].addr, addr, sizeof(*addr)) == 0)
			return (q->overrides[i].max);
	return (q->per_ip_max);
}

static bool
address_take(struct quota *q, const struct in6_addr *addr)
{
	struct quota_address *a;
	int32_t max = address_max(q, addr);

	HASH_FIND(hh, q->addresses, addr, sizeof(*addr), a);
	if ((a == NULL ? 0 : a->count) >= max)
		return (false);
	if (a == NULL) {
		a = xcalloc(1, sizeof(*a));
		a->addr = *addr;
		HASH_ADD(hh, q->addresses, addr, sizeof(a->addr), a);
	}
	a->count++;
	return (true);
}

enum quota_verdict
quota_take(struct quota *q, struct quota_listener *l, const struct in6_addr *addr)
{
	enum quota_verdict v = QUOTA_OK;

	lock_acquire(&q->lock);
	bucket_take(&l->bucket);
	if (!l->protected)
		bucket_take(&q->bucket);
	if (address_take(q, addr)) {
		l->connections++;
		q->connections++;
		if (q->connections > q->connections_max)
			v = QUOTA_EXCESS;
	} else
		v = QUOTA_REFUSE;
	lock_release(&q->lock);
	return (v);
}

void
quota_release(struct quota *q, struct quota_listener *l, const struct in6_addr *addr)
{
	struct quota_address *a;

	lock_acquire(&q->lock);
	HASH_FIND(hh, q->addresses, addr, sizeof(*addr), a);
	must(a != NULL && a->count > 0 && l->connections > 0 && q->connections > 0);
	if (--a->count == 0) {
		HASH_DEL(q->addresses, a);
		free(a);
	}
	l->connections--;
	q->connections--;
	lock_release(&q->lock);
}

bool
quota_exceeded(struct quota *q)
{
	bool yes;

	lock_acquire(&q->lock);
	yes = q->connections > q->connections_max;
	lock_release(&q->lock);
	return (yes);
}

bool
quota_wakes(struct quota *q, struct quota_listener *l)
{
	bool yes;

	lock_acquire(&q->lock);
	yes = l->waiting && slot_free(q, l);
	if (yes)
		l->waiting = false;
	lock_release(&q->lock);
	return (yes);
}
