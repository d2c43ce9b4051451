/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/world.h - whole brokers in one thread: real files and sockets, ZooKeeper in memory, loops and workers turned by hand.
 *
 * Ownership  What world_init, node_make and client_open make is ended by world_fini, node_end (or node_free) and client_close.
 * Threads    One.  Between world_init and world_fini the thread is registered with base/reclaim.
 * Time       The real one; `skips` jumps to the next timer when there is nothing to do; world_init_virtual: time passes by such jumps only.
 */
#ifndef TEST_BROKER_WORLD_H
#define TEST_BROKER_WORLD_H

#include "base/alloc.h"
#include "base/must.h"
#include "broker/broker_int.h"
#include "test/unit/unit.h"
#include "wire/walker.h"
#include "zk/fake.h"
#include "zk/paths.h"

/* Real time, and what was skipped of it: where `skips`, nobody waits for a timer that is the next thing to happen.  Virtual: only that. */
struct skipping_clock {
	struct clock	 clock;
	_Atomic int64_t	 skipped_ns;
	bool		 virtual;
};

struct world {
	struct skipping_clock time;
	bool		 skips;
	struct loop	*control;
	struct zk_fake	*fake;
	struct zk	*user;		/* somebody else */
	struct diag	*diag;
	struct strbuf	 said;
};

/* What stands behind a struct zk_session here. */
struct session {
	struct world	*w;
	struct zk	*own;		/* keeps the session while the broker has no client */
	zk_opened_fn	*opened;
	void		*octx;
	void		(*closed)(void *);
	void		*cctx;
	struct zk_session_options options;
	unsigned	 holds, turns;
};

struct node {				/* a broker of the test */
	struct world	*w;
	struct loop	*control;	/* the world's, or one of its own */
	uint32_t	 leaders;	/* partitions it led when it said that it was ready */
	struct broker_zookeeper source;
	struct session	*session;
	struct config	*config;
	struct broker	*broker;
	enum err	 failed;
	char		 why[512];
	bool		 started, ended, must_stop;
	bool		 failing_over;	/* it said that it was ready in the middle of its failover as the controller */
};

struct finder { const char *path; bool found; char data[1024]; struct zk_stat stat; };

/* A client's connection, over a pair of sockets. */
struct client {
	struct node	*n;
	int		 fd;
	struct arena	 arena;		/* requests and answers; client_reset */
	size_t		 got;
	uint8_t		 buf[1 << 16];
};

void	 world_init(struct world *);
void	 world_init_virtual(struct world *);
void	 world_fini(struct world *);

/* A broker with its logs in `dir` below the test's directory; `more` are further lines of its configuration. */
void	 node_make_with(struct node *, struct world *, int id, const char *dir, const char *more);
void	 node_make(struct node *, struct world *, int id, const char *dir);
/* ... with parts of its own: those of `parts` that are not NULL (control, fs, random, diag, peers). */
void	 node_make_of(struct node *, struct world *, int id, const char *dir, const char *more, const struct broker_options *parts);
bool	 node_start(struct node *);	/* true: it is up */
void	 node_end(struct node *);	/* stopped and freed */
void	 node_free(struct node *);	/* of one that has ended */

bool	 turn(struct node *);		/* one turn of everything; false: there was nothing to do */
void	 idle(struct node *);		/* then: time passes */
bool	 turn_until(struct node *, const bool *flag, int64_t ms);	/* *flag; at most so long, in real time */
void	 turn_for(struct node *, int64_t ms);
bool	 turn_until_node(struct node *, const char *path, const char *what);	/* the node at path says what we look for */

bool	 look(struct world *, const char *path, struct finder *);
bool	 there(struct world *, const char *path);
void	 make_paths(struct world *);
void	 make_topic(struct world *, const char *name, int32_t replica);
void	 put_config(struct world *, const char *entity, const char *config);
bool	 file_there(const char *dir, const char *name);
void	 ignore_result(void *, const struct zk_result *);
void	 ignore_step(void *, enum err, const struct errbuf *);

uint16_t port_of(struct node *, const char *listener);	/* 0: it listens nowhere under that name */
int	 dial_port(uint16_t);				/* -1: refused */
int	 dial(struct node *);

void	 client_open(struct client *, struct node *);
void	 client_close(struct client *);
void	 client_reset(struct client *);		/* what was asked and answered so far is dropped */
/* The decoded answer; NULL: the connection ended, or 60 s went by. */
void	*client_ask(struct client *, int key, int version, void *body);

#endif
