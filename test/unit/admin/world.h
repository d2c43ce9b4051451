/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/admin/world.h - an admin on a ZooKeeper in memory, with a network loop of its own and something that does a controller's work.
 */
#ifndef TEST_ADMIN_WORLD_H
#define TEST_ADMIN_WORLD_H

#include "admin/configs.h"
#include "admin/topics.h"
#include "admin/assign.h"
#include "zk/fake.h"

struct world {
	struct clock_manual clock;
	struct random_seeded random;
	struct loop	*loop, *net;		/* control, network */
	struct cluster	*cluster;
	struct zk_fake	*fake;
	struct zk	*user;			/* somebody else's session */
	struct zk	*zk;			/* the admin's */
	struct admin	*admin;
	struct config	*config;
	struct diag	*diag;
	bool		 active;		/* controller */
	bool		 no_controller_work;	/* the image does not follow */
	unsigned	 done;			/* jobs */
	unsigned	 warnings;		/* diagnostics of that level or above */
	struct arena	 arena;
};

struct node { const char *path; bool found; char *data; size_t len; int32_t version; uint32_t children; };

void	 world_init(struct world *, const char *properties);	/* lines to add to a minimal configuration */
void	 world_fini(struct world *);
void	 world_turn(struct world *);		/* until nothing happens; the controller's work included */
void	 world_brokers(struct world *, const struct assign_broker *, uint32_t n);	/* alive, by id */
void	 world_put(struct world *, const char *path, const char *data);
void	 world_remove(struct world *, const char *path);
struct node world_node(struct world *, const char *path);	/* data: in the arena */
bool	 world_has(struct world *, const char *path);
void	 world_job(struct world *, struct admin_job *);		/* fills in loop, done, arena */
bool	 has_text(const char *, const char *part);

#endif
