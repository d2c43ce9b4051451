/* SPDX-License-Identifier: Apache-2.0
 *
 * net/move.c - a connection goes to another loop.
 *
 * Only one that stands still goes: it has no request, no bytes and no timer, so nobody else knows of it and it is moved by being taken out of one
 * loop and posted to the other.  On its way it is in no list; net->alive counts it, so that a shutdown waits for it.
 *
 * A loop that is stopping, or whose listener was removed, has looked through its connections already: who arrives after that is closed.
 */
#include "net/net_int.h"

bool
conn_stands_still(const struct net_conn *c)
{
	if (c->state != CONN_READY || c->working || c->throttled || c->parked || c->is_short)
		return (false);
	if (c->next != NULL || !TAILQ_EMPTY(&c->requests) || c->rx.block != NULL || c->held != 0)
		return (false);
	return (TAILQ_EMPTY(&c->out.messages) && c->out.prefetch == NULL);
}

static void
arrive(struct task *t)
{
	struct net_conn *c = CONTAINER_OF(t, struct net_conn, end);
	struct errbuf eb = ERRBUF_INIT;

	c->end_posted = false;
	c->end.fn = conn_end;
	net_loop_add(c->nl, c);
	outq_rehome(&c->out, c->nl->loop, c->nl->scratch);
	if (c->nl->stopping || (c->listener != NULL && c->listener->closed) || watch_add(c->nl->loop, &c->watch, WATCH_READ, &eb) != OK) {
		if (eb.text[0] != '\0')
			diag_error(c->net->opt.diag, "net", "a connection could not be watched: %s", eb.text);
		net_conn_close(c);	/* freed at the end of the turn, with its count in alive */
		return;
	}
	c->travels = false;
	conn_event(&c->watch, WATCH_READ);	/* a transport may hold bytes that no descriptor tells of */
	net_alive_release(c->net);
}

void
conn_move_if_still(struct net_conn *c)
{
	if (!c->moves || !conn_stands_still(c) || c->nl->stopping)
		return;
	c->moves = false;
	c->travels = true;
	atomic_fetch_add(&c->net->alive, 1);
	watch_remove(c->nl->loop, &c->watch);
	net_loop_remove(c->nl, c);
	c->nl = &c->net->loops[c->move_to];
	c->end.fn = arrive;
	c->end_posted = true;
	loop_post(c->nl->loop, &c->end);
}

void
net_conn_move(struct net_conn *c, unsigned index)
{
	must(index < c->net->opt.nloops && index <= UINT16_MAX);
	c->moves = index != c->nl->index;
	c->move_to = (uint16_t)index;
}
