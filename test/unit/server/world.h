/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/server/world.h - a server with partitions (test/unit/replica/bed.h) and clients that speak to it over socket pairs.
 */
#ifndef TEST_SERVER_WORLD_H
#define TEST_SERVER_WORLD_H

#include "server/dispatch.h"
#include "test/unit/replica/bed.h"
#include "txn/producer_ids.h"
#include "wire/walker.h"
#include "zk/fake.h"

struct world {
	struct bed	 bed;
	struct net	*net;
	struct server	*server;
	struct zk_fake	*zk;
	struct producer_ids *producer_ids;
	const struct config *config;
	int		 fd[2];		/* two clients */
	bool		 shut;
	struct task	 shut_task;
};

void	 world_init(struct world *, const char *const *overrides, size_t n);	/* "key=value" */
void	 world_fini(struct world *);

void	 world_send(struct world *, int client, int key, int version, void *body);	/* and run */
struct slice world_take(struct world *, int client, bool *closed);	/* all that came */
/* The one answer that came, decoded; NULL: none has (or something else has, which is a failed check). */
void	*world_answer(struct world *, int client, int key, int version);
void	*world_ask(struct world *, int client, int key, int version, void *body);	/* send and answer */

#endif
