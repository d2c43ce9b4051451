/* SPDX-License-Identifier: Apache-2.0
 *
 * net/held.c - what peers make us hold in memory, and what becomes of those who hold too much of it for too long.
 *
 * Each connection counts its receive block, its frames and the arenas of its requests until their answers have left; each loop sums its own,
 * so that nobody contends for a counter.  All together may hold net_options.held_max.
 *
 *	- A receive block grows past its smallest size only within that: whoever is in the middle of a large frame is short of memory, and waits.
 *	  Small requests go on as before, and what was received whole is executed, because that is what gives memory back.
 *	- Beyond it, or while somebody is short, connections that hold much (LIMIT_HELD_MUCH: the smallest block of a request that has begun to come
 *	  is that, so thousands of small halves count as well as a few large ones) and have not got anything done for HELD_STUCK_MS are closed, the
 *	  longest first, an eighth of the limit at a look.
 *	- To get something done is to have had a request handed up, an answer sent whole, or a sixteenth of what is held moved (HELD_SHARE), in or out.  So
 *	  a slow peer keeps its place with 6.5 KB/s for a request of a megabyte, and who trickles does not: what is held while it arrives doubles at most
 *	  every 160 s (half of the block is there when it has that size; eight times ten seconds for the other half, twice that at the end), or goes.
 *	- Those who wait for us are spared: a request of theirs runs, or they are told to wait.  But not if a request of theirs has begun to come and
 *	  we would take its rest (or lack the memory for it): a Fetch that waits for an hour protects no half frame behind it.
 *	- Beyond twice the limit nobody is given that time, the longest without having got anything done go first: memory that grows so fast is not
 *	  a matter of slow peers.
 *
 * So peers that hold memory and do nothing cannot starve the others for longer than that, and those who work at it get it back to the loop.
 *
 * INVARIANTS
 *   (1) nl->held_bytes is the sum of c->held over its connections, the dead ones included until their last request is answered.
 *   (2) a connection is in nl->much exactly while c->held is LIMIT_HELD_MUCH or more, and that list is in the order of c->done_ms.
 *   (3) while `much` or `short_conns` has a member, the timer is armed.
 */
#include "base/limits.h"
#include "net/net_int.h"

enum { HELD_LOOK_MS = 100, HELD_STUCK_MS = 10000, HELD_SHARE = 16, ROUND_SHARE = 8 };
_Static_assert((int)LIMIT_HELD_MUCH <= (int)RX_BLOCK, "every half frame counts");

static void held_look(struct timer *);

void
held_init(struct net_loop *nl)
{
	TAILQ_INIT(&nl->much);
	TAILQ_INIT(&nl->short_conns);
	timer_init(&nl->held_timer, held_look);
}

static void
arm(struct net_loop *nl)
{
	if (!nl->held_timer.armed && nl->net->opt.held_max > 0)
		timer_set(nl->loop, &nl->held_timer, HELD_LOOK_MS);
}

uint64_t
held_total(const struct net *n)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < n->opt.nloops; i++)
		sum += atomic_load_explicit(&n->loops[i].held_bytes, memory_order_relaxed);
	return ((uint64_t)MAX(0, sum));
}

/* `going` is on its way back already. */
static bool
beyond(const struct net *n, unsigned times, uint64_t going)
{
	return (n->opt.held_max > 0 && held_total(n) > times * (uint64_t)n->opt.held_max + going);
}

void
held_done(struct net_conn *c)
{
	c->done_ms = loop_now_ms(c->nl->loop);
	c->moved = 0;
	if (c->holds_much && TAILQ_NEXT(c, much_link) != NULL) {
		TAILQ_REMOVE(&c->nl->much, c, much_link);
		TAILQ_INSERT_TAIL(&c->nl->much, c, much_link);
	}
}

void
held_moved(struct net_conn *c, uint64_t bytes)
{
	if (!c->holds_much)
		return;
	c->moved += (int64_t)bytes;
	if (c->moved >= c->held / HELD_SHARE)
		held_done(c);
}

void
held_set(struct net_conn *c, size_t *slot, size_t now)
{
	struct net_loop *nl = c->nl;
	int64_t more = (int64_t)now - (int64_t)*slot;

	if (more == 0)
		return;
	*slot = now;
	c->held += more;
	atomic_store_explicit(&nl->held_bytes, atomic_load_explicit(&nl->held_bytes, memory_order_relaxed) + more, memory_order_relaxed);
	if (c->holds_much == (c->held >= LIMIT_HELD_MUCH))
		return;
	c->holds_much = !c->holds_much;
	if (!c->holds_much) {
		TAILQ_REMOVE(&nl->much, c, much_link);
		return;
	}
	c->done_ms = loop_now_ms(nl->loop);	/* it begins to count now */
	c->moved = 0;
	TAILQ_INSERT_TAIL(&nl->much, c, much_link);
	arm(nl);
}

bool
held_may_grow(const struct net_conn *c)
{
	size_t more = rxbuf_growth(&c->rx);

	return (more <= RX_BLOCK || c->net->opt.held_max <= 0 || held_total(c->net) + more <= (uint64_t)c->net->opt.held_max);
}

void
held_short(struct net_conn *c, bool is_short)
{
	if (c->is_short == is_short)
		return;
	c->is_short = is_short;
	atomic_fetch_add_explicit(&c->net->nshort, is_short ? 1 : -1, memory_order_relaxed);
	if (!is_short) {
		TAILQ_REMOVE(&c->nl->short_conns, c, short_link);
		return;
	}
	TAILQ_INSERT_TAIL(&c->nl->short_conns, c, short_link);
	arm(c->nl);
}

/* What closing has brought: at once, and what comes when a handler has answered. */
struct taken {
	uint64_t back, going;
};

/* Some at a time: what goes now is what the waiting ones can take before the next look. */
static bool
is_needed(const struct net *n, const struct taken *t)
{
	return (beyond(n, 1, t->going) ||
	    (atomic_load_explicit(&n->nshort, memory_order_relaxed) > 0 && t->back + t->going < (uint64_t)n->opt.held_max / ROUND_SHARE));
}

/* It is us who it waits for: closing it frees little before the answer is there, and brings the same request back. */
static bool
waits_for_us(const struct net_conn *c)
{
	return ((c->running > 0 || c->parked || c->throttled) && !conn_awaits_bytes(c));
}

/* Closes who got nothing done for too long, while others need the memory. */
static void
close_stuck(struct net_loop *nl)
{
	struct net *n = nl->net;
	struct net_conn *c = TAILQ_FIRST(&nl->much), *next;
	struct taken t = { 0, 0 };

	for (; c != NULL && is_needed(n, &t); c = next) {
		int64_t ms = loop_now_ms(nl->loop) - c->done_ms, held = c->held;

		next = TAILQ_NEXT(c, much_link);
		if (c->state == CONN_DEAD) {		/* a handler still owes it an answer */
			t.going += (uint64_t)held;
			continue;
		}
		if (ms < HELD_STUCK_MS && !beyond(n, 2, t.going))
			return;
		if (waits_for_us(c) && !beyond(n, 2, t.going))
			continue;
		diag_warning(n->opt.diag, "net", "closing the connection from %s:%u: it holds %lld bytes and got nothing done for %lld ms, and others"
		    " need memory (ottla.peer.memory.max.bytes is %lld)", c->peer_host, c->peer_port, (long long)held, (long long)ms,
		    (long long)n->opt.held_max);
		metric_add(n->opt.metrics, METRIC_connections_shed_total, 1);
		net_conn_close(c);	/* it is there still: its end comes with that of the turn */
		t.going += (uint64_t)c->held;
		t.back += (uint64_t)(held - c->held);
	}
}

static void
held_look(struct timer *t)
{
	struct net_loop *nl = CONTAINER_OF(t, struct net_loop, held_timer);
	struct net_conn *c, *last;
	bool was_last = false;

	close_stuck(nl);
	last = TAILQ_LAST(&nl->short_conns, conn_list);
	while (!was_last && (c = TAILQ_FIRST(&nl->short_conns)) != NULL) {
		was_last = c == last;
		held_short(c, false);
		conn_retry(c);		/* and is short again, or reads on */
	}
	if (!TAILQ_EMPTY(&nl->much) || !TAILQ_EMPTY(&nl->short_conns))
		arm(nl);
}
