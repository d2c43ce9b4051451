/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/sim_peers.c - the controller's channel to the other broker: like the mailbox, but late, and sometimes twice.
 *
 * A request to a broker that is dead waits until it runs again or the controller closes the channel, as over a network that connects again.
 */
#include <stdlib.h>

#include "test/unit/broker/sim.h"
#include "zk/registration.h"

struct peer_channel {
	struct controller_channel channel;
	struct sim	*s;
	struct loop	*home;
	int32_t		 id;
	STAILQ_HEAD(, controller_message) queue;
	struct controller_message *current;
	struct timer	 timer;
	struct task	 task;		/* on its way to the other broker, or back */
	bool		 away, closed, again;
};

static void channel_next(struct peer_channel *);

static void
channel_free(struct peer_channel *ch)
{
	if (ch->current != NULL)
		controller_message_free(&ch->current);
	free(ch);
}

static void
come_back(struct task *task)
{
	struct peer_channel *ch = CONTAINER_OF(task, struct peer_channel, task);
	struct controller_message *m = ch->current;

	ch->away = false;
	if (ch->closed) {
		channel_free(ch);
		return;
	}
	if (ch->again) {	/* the answer was lost */
		timer_set(ch->home, &ch->timer, 1 + sim_below(ch->s, 200));
		return;
	}
	ch->current = NULL;
	if (m->answered != NULL)
		m->answered(m, m->ctx);
	controller_message_free(&m);
	channel_next(ch);
}

static void
carried_out(struct control_request *request)
{
	struct controller_message *m = CONTAINER_OF(request, struct controller_message, request);
	struct peer_channel *ch = m->channel;

	if (ch->closed) {	/* its home may be gone */
		channel_free(ch);
		return;
	}
	ch->again = !ch->again && sim_below(ch->s, 8) == 0;
	ch->task.fn = come_back;
	loop_post(ch->home, &ch->task);
}

static void
arrive(struct task *task)
{
	struct peer_channel *ch = CONTAINER_OF(task, struct peer_channel, task);
	struct sim_broker *to = &ch->s->brokers[ch->id - 1];

	if (ch->closed) {
		channel_free(ch);
		return;
	}
	if (!sim_serves(to)) {		/* it ends: nobody answers */
		ch->again = true;
		ch->task.fn = come_back;
		loop_post(ch->home, &ch->task);
		return;
	}
	sim_trace(ch->s, "control request of kind %d reaches broker %d", (int)ch->current->request.kind, ch->id);
	ch->current->request.done = carried_out;
	replica_control(to->n.broker->replicas, &ch->current->request);
}

static void
depart(struct timer *timer)
{
	struct peer_channel *ch = CONTAINER_OF(timer, struct peer_channel, timer);
	struct sim_broker *to = &ch->s->brokers[ch->id - 1];

	if (!sim_serves(to)) {
		timer_set(ch->home, timer, 100);
		return;
	}
	ch->away = true;
	ch->task.fn = arrive;
	loop_post(to->control, &ch->task);
}

static void
channel_next(struct peer_channel *ch)
{
	if (ch->current != NULL || STAILQ_EMPTY(&ch->queue))
		return;
	ch->current = STAILQ_FIRST(&ch->queue);
	STAILQ_REMOVE_HEAD(&ch->queue, link);
	ch->current->channel = ch;
	ch->again = false;
	timer_set(ch->home, &ch->timer, 1 + sim_below(ch->s, 60));
}

static void
channel_send(struct controller_channel *c, struct controller_message *m)
{
	struct peer_channel *ch = CONTAINER_OF(c, struct peer_channel, channel);

	STAILQ_INSERT_TAIL(&ch->queue, m, link);
	channel_next(ch);
}

static void
channel_close(struct controller_channel *c)
{
	struct peer_channel *ch = CONTAINER_OF(c, struct peer_channel, channel);
	struct controller_message *m;

	while ((m = STAILQ_FIRST(&ch->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&ch->queue, link);
		controller_message_free(&m);
	}
	timer_cancel(ch->home, &ch->timer);
	ch->closed = true;
	if (!ch->away)
		channel_free(ch);
}

struct controller_channel *
sim_channel(void *ctx, const struct zk_broker_entry *e, struct loop *home)
{
	struct sim_broker *from = ctx;
	struct peer_channel *ch = xcalloc(1, sizeof(*ch));

	ch->channel = (struct controller_channel){ channel_send, channel_close };
	ch->s = from->s;
	ch->home = home;
	ch->id = e->info.id;
	STAILQ_INIT(&ch->queue);
	timer_init(&ch->timer, depart);
	return (&ch->channel);
}
