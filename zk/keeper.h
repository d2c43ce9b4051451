/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/keeper.h - a small process that ends this daemon's ZooKeeper session when the daemon is gone, so that nobody waits for a time-out.
 *
 * keeper_start forks before the daemon has any thread, lock or socket.  The keeper knows what it is told through a pipe: the newest session,
 * or that the end is a clean one.  When its parent is dead (a pidfd says so: a stopped daemon is not dead) it re-attaches to exactly
 * that session, closes it, and exits.  All its attempts lie within one third of the session time-out after the death.
 *
 * Threads    keeper_start: the only thread of the process.  The rest: any one thread at a time.
 * Failure    The keeper is a convenience.  Nothing here ever stops the daemon: what cannot be done is an error to report, and the session
 *            then costs its time-out, as with a Java broker.
 */
#ifndef ZK_KEEPER_H
#define ZK_KEEPER_H

#include <sys/types.h>

#include "base/err.h"
#include "zk/session.h"

struct keeper;

/* Forks.  Only the parent returns. */
enum err keeper_start(struct keeper **, struct errbuf *) MUST_CHECK;
pid_t	 keeper_pid(const struct keeper *);
/* Before the first ephemeral of each session (zk_session_options.established).  connect: the session's connect string.  Never blocks. */
enum err keeper_session(struct keeper *, const char *connect, const struct zk_session_ident *, struct errbuf *) MUST_CHECK;
/* The session has been closed by us: nothing to do at our end. */
enum err keeper_clean_end(struct keeper *, struct errbuf *) MUST_CHECK;
/* Closes our end of the pipe and forgets the process (it goes when we go, or at once after a clean end).  In a forked child: the same. */
void	 keeper_free(struct keeper **);

#endif
