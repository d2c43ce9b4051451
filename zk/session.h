/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session.h - a session with a real ZooKeeper ensemble, on the ZooKeeper C client.  Used through struct zk (zk/client.h).
 *
 * Threads    A session belongs to its home loop; every function here is called there (zk_session_client too; the client it makes is used
 *            on its own loop).  The C library's threads touch nothing of ours: what they say is posted.  Calls of the library
 *            that may block (resolving names, closing) run on workers.
 * Sessions   After an expiry the session object opens the next ZooKeeper session by itself, once every client's listeners have heard
 *            ZK_EXPIRED.
 * The C library's log is global: its lines go to the diag of the session that logged them (zoo_set_log_callback).
 */
#ifndef ZK_SESSION_H
#define ZK_SESSION_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "event/loop.h"
#include "event/workers.h"
#include "zk/client.h"

struct zk_session;

enum { ZK_PASSWORD_LEN = 16 };

/* What it takes to re-attach to a session, e.g. to close it: a secret. */
struct zk_session_ident {
	int64_t	id;			/* never 0 once known */
	uint8_t	password[ZK_PASSWORD_LEN];
	int32_t	timeout_ms;		/* as negotiated with the server */
};

struct zk_session_auth {
	const char	*scheme;		/* "digest" */
	struct slice	 credentials;		/* "user:password" */
};

struct zk_session_options {
	const char	*connect;		/* zookeeper.connect: "h1:p1,h2:p2/chroot" */
	int32_t		 timeout_ms;		/* zookeeper.session.timeout.ms */
	int32_t		 connect_timeout_ms;	/* zookeeper.connection.timeout.ms; for zk_session_open only */
	uint32_t	 max_in_flight;		/* zookeeper.max.in.flight.requests */
	uint32_t	 packet_max;		/* jute.maxbuffer, bytes; 0: Kafka's 4 MiB */
	bool		 set_acl;		/* zookeeper.set.acl */
	const struct zk_session_auth *auth;	/* who we are, said before anything else in every session; the caller's until closed() */
	uint32_t	 nauth;
	struct loop	*loop;			/* home */
	struct workers	*workers;
	struct diag	*diag;			/* may be NULL */
	/* Called (on the home loop) for every new ZooKeeper session before any operation, so before any ephemeral, is sent in it: the place
	 * to tell the keeper and write the session record.  Nothing is sent until zk_session_proceed is called, from inside or later:
	 * exactly once for each call of this, even if that session has ended meanwhile.
	 * NULL: proceeds at once. */
	void		(*established)(void *ctx, struct zk_session *, const struct zk_session_ident *);
	void		*ctx;
};

/* Connects, and makes the chroot (recursively, null data) when it is missing.  opened() is called once: OK, or ERR_TIMEOUT after
 * connect_timeout_ms, ERR_INVALID for a connect string that cannot be, ERR_ZK*; after an error the session must be closed.  */
typedef void zk_opened_fn(void *ctx, enum err, const struct errbuf *why);
enum err zk_session_open(const struct zk_session_options *, zk_opened_fn *opened, void *ctx, struct zk_session **, struct errbuf *) MUST_CHECK;

/* A client on a loop (home or other).  Close it with zk_close before the session is closed. */
struct zk *zk_session_client(struct zk_session *, struct loop *);
void zk_session_proceed(struct zk_session *);
/* false: no session now. */
bool zk_session_ident(const struct zk_session *, struct zk_session_ident *) MUST_CHECK;

/* Ends the ZooKeeper session (ephemerals vanish) and frees everything; closed() on the home loop when the server has heard it or cannot. */
void zk_session_close(struct zk_session **, void (*closed)(void *ctx), void *ctx);

/* zookeeper.connect in parts.  hosts: "h1:p1,h2:p2", IPv6 addresses without their brackets; chroot: "" or "/a/b".  Both malloc'ed. */
enum err zk_connect_parse(const char *connect, char **hosts, char **chroot, struct errbuf *) MUST_CHECK;

#endif
