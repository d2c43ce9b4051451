/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/mailbox.c - the channel from the controller to the broker it lives in.
 *
 * A message crosses to the control loop as a task, is carried out by the replica manager, and comes back as a task.  The next one is sent
 * only then, so that this channel behaves as the network ones do.  A closed channel stays until the message under way has come back.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/channel.h"

struct mailbox {
	struct controller_channel channel;
	struct replica_manager *manager;
	struct loop	*control, *home;
	STAILQ_HEAD(, controller_message) queue;
	bool		 busy, closed;
};

static void mailbox_next(struct mailbox *);

static void
come_back(struct task *task)
{
	struct controller_message *m = CONTAINER_OF(task, struct controller_message, task);
	struct mailbox *b = m->channel;

	b->busy = false;
	if (!b->closed && m->answered != NULL)
		m->answered(m, m->ctx);
	controller_message_free(&m);
	if (b->closed)
		free(b);
	else
		mailbox_next(b);
}

static void
carried_out(struct control_request *request)
{
	struct controller_message *m = CONTAINER_OF(request, struct controller_message, request);
	struct mailbox *b = m->channel;

	m->task.fn = come_back;
	loop_post(b->home, &m->task);
}

static void
arrive(struct task *task)
{
	struct controller_message *m = CONTAINER_OF(task, struct controller_message, task);
	struct mailbox *b = m->channel;

	m->request.done = carried_out;
	replica_control(b->manager, &m->request);
}

static void
mailbox_next(struct mailbox *b)
{
	struct controller_message *m = STAILQ_FIRST(&b->queue);

	if (b->busy || m == NULL)
		return;
	STAILQ_REMOVE_HEAD(&b->queue, link);
	b->busy = true;
	m->channel = b;
	m->task.fn = arrive;
	loop_post(b->control, &m->task);
}

static void
mailbox_send(struct controller_channel *ch, struct controller_message *m)
{
	struct mailbox *b = CONTAINER_OF(ch, struct mailbox, channel);

	must(!b->closed);
	STAILQ_INSERT_TAIL(&b->queue, m, link);
	mailbox_next(b);
}

static void
mailbox_close(struct controller_channel *ch)
{
	struct mailbox *b = CONTAINER_OF(ch, struct mailbox, channel);
	struct controller_message *m;

	while ((m = STAILQ_FIRST(&b->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->queue, link);
		controller_message_free(&m);
	}
	b->closed = true;
	if (!b->busy)
		free(b);
}

struct controller_channel *
controller_mailbox_new(struct replica_manager *manager, struct loop *control, struct loop *home)
{
	struct mailbox *b = xcalloc(1, sizeof(*b));

	b->channel = (struct controller_channel){ mailbox_send, mailbox_close };
	b->manager = manager;
	b->control = control;
	b->home = home;
	STAILQ_INIT(&b->queue);
	return (&b->channel);
}
