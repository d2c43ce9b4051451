/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_record.h - a note in every live log directory by which a restarted broker closes the session of the run that was killed.
 *
 * File       <log dir>/ottla.session, mode 0600, lines "key=value".  It holds a session password.
 * Safety     Only the holder of that directory's .lock calls these.  A session is closed only if boot id, device and inode of .lock, broker
 *            id, cluster id and connect string are those of the record AND, seen through our own new session, the ephemeral owner of
 *            /brokers/ids/N is the recorded session.  Anything else: nothing is closed.
 * Threads    write, remove, read: may block on the disk (a worker, or start-up).  reclaim: the client's loop.
 */
#ifndef ZK_SESSION_RECORD_H
#define ZK_SESSION_RECORD_H

#include "base/diag.h"
#include "base/err.h"
#include "zk/client.h"
#include "zk/session.h"

#define SESSION_RECORD_NAME	"ottla.session"

struct session_record {
	struct zk_session_ident ident;
	int32_t	 broker_id;
	char	 cluster_id[64];
	char	*connect;		/* malloc'ed; session_record_fini */
	char	 boot_id[40];
	uint64_t lock_dev, lock_ino;	/* of <dir>/.lock, when written */
};
void session_record_fini(struct session_record *);

/* Into <dir>, atomically; dir/.lock must exist.  Not synced: after a reboot it would be worthless anyway. */
enum err session_record_write(const char *dir, const struct zk_session_ident *, int32_t broker_id, const char *cluster_id, const char *connect,
    struct errbuf *) MUST_CHECK;
enum err session_record_remove(const char *dir, struct errbuf *) MUST_CHECK;	/* missing is OK */
/* ERR_NOTFOUND: no record.  ERR_MALFORMED: not one of ours. */
enum err session_record_read(const char *dir, struct session_record *, struct errbuf *) MUST_CHECK;

struct session_reclaim_options {
	const char *const *dirs;	/* log directories whose .lock we hold */
	unsigned    ndirs;
	int32_t	    broker_id;
	const char *cluster_id;
	const char *connect;
	int32_t	    session_timeout_ms;	/* ours; a session that we may not close is given half as long again */
	bool	    allow_close;	/* the ottla.* key that switches it; false: records are only removed */
	struct workers *workers;
	struct diag *diag;
};
enum session_reclaim_outcome {
	RECLAIM_NOTHING,	/* no matching record, or the id is free already */
	RECLAIM_CLOSED,		/* the old session was closed and its node is gone */
	RECLAIM_WAITED,		/* same owner but another boot or directory: it went by itself */
	RECLAIM_FOREIGN,	/* another live session holds the id: registration will refuse */
};
/* Before registering.  Never an error that should stop the start: registration decides.  ERR_ZK_EXPIRED: our own session ended. */
typedef void session_reclaim_fn(void *ctx, enum err, enum session_reclaim_outcome, const struct errbuf *why);
struct session_reclaim;			/* one under way; gone when fn has been called */
struct session_reclaim *session_record_reclaim(struct zk *, const struct session_reclaim_options *, session_reclaim_fn *, void *ctx);
/* Ends it: fn(ERR_STOPPED), perhaps from inside.  It may take until a job on a worker is done: the client must stay open until fn was
 * called, or until session_reclaim_blocks says false. */
void session_reclaim_cancel(struct session_reclaim *);
bool session_reclaim_blocks(const struct session_reclaim *);

#endif
