/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/agree.h - do ZooKeeper and the brokers say the same, and is what ZooKeeper says possible?
 *
 * Asked when nothing is under way (or until nothing is: see agree_wait).  What may only grow is remembered from one question to the next.
 *
 * CHECKED
 *   (1) every ephemeral node belongs to a session that lives; every broker that runs is registered once, by its own session; nobody else is;
 *   (2) one of them is the controller, with its own session; the controller epoch never goes back;
 *   (3) every topic has a state for each partition, led by a broker that runs, its epoch never going back, written under no later controller
 *       epoch than the current one; no partition has a state without being in its topic's node;
 *   (4) no deletion and no notification waits;
 *   (5) each broker's image names exactly these topics, with these ids, leaders and epochs, and each leader has carried out that epoch.
 */
#ifndef TEST_BROKER_AGREE_H
#define TEST_BROKER_AGREE_H

#include "test/unit/broker/world.h"

struct agree_epoch {
	UT_hash_handle	 hh;
	char		 key[64];	/* "TOPIC-ID/PARTITION" */
	int32_t		 epoch;
};

struct agree {
	int64_t	 controller_epoch;
	struct agree_epoch *epochs;	/* of leaders */
};

void	 agree_fini(struct agree *);
/* NULL: they do; else what is wrong, in malloc'ed words. */
char	*agree_ask(struct agree *, struct world *, struct node *const *, unsigned n);
/* Turns one broker until they agree, for at most two minutes of its time; fails a check (and says why) when they never do. */
bool	 agree_wait(struct agree *, struct node *, const char *when);

#endif
