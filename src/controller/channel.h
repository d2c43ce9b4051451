/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/channel.h - the way of a control request from the controller to one broker: a FIFO with one request in flight.
 *
 * To its own broker the controller speaks through a mailbox (mailbox.c), with the same message structures as over the network.
 *
 * Ownership  A message and its arena belong to the channel from send until answered() has returned; then the channel frees them.
 * Threads    The controller loop; answered() too.
 */
#ifndef CONTROLLER_CHANNEL_H
#define CONTROLLER_CHANNEL_H

#include <sys/queue.h>

#include "base/arena.h"
#include "replica/manager.h"

struct controller_message {
	STAILQ_ENTRY(controller_message) link;
	struct control_request request;		/* kind, message and, when answered, response; all in the arena */
	struct arena	 arena;
	struct task	 task;			/* the channel's */
	void		*channel;		/* the channel's */
	int32_t		 broker_id;
	/* NULL: nobody cares.  Not called when the channel is closed first. */
	void (*answered)(struct controller_message *, void *ctx);
	void		*ctx;
};

struct controller_message *controller_message_new(enum control_kind);
void	 controller_message_free(struct controller_message **);

struct controller_channel {
	void (*send)(struct controller_channel *, struct controller_message *);	/* takes the message */
	void (*close)(struct controller_channel *);	/* drops what is queued, frees the channel (later, when a message is under way) */
};

/* To the broker in this process.  `control` is its control loop, `home` the controller's. */
struct controller_channel *controller_mailbox_new(struct replica_manager *, struct loop *control, struct loop *home);

#endif
