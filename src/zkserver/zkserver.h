/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/zkserver.h - a ZooKeeper server for one node: the data tree of zk/tree.h, served by ZooKeeper's protocol, kept in SQLite.
 *
 * What zookeeper.connect=embedded starts.  Clients cannot tell it from a standalone ZooKeeper 3.8; it never becomes an ensemble.
 *
 * Promise    An answer leaves when everything it tells of is on disk.  zxids and session ids never go back, also over a crash.
 * Life       zkserver_open (reads the store: may block; nothing is served yet); zkserver_start; zkserver_stop, whose end is told; zkserver_free.
 *            Sessions outlive the server as long as their time-outs let them; those marked by zkserver_own are ended by the next open.
 * Threads    open, free: one thread, the loop standing still or not yet started.  start, stop, adopt, own: any; the rest of its life is on its
 *            loop, except that batches are written by workers, one after another.
 * Failure    A store that cannot be written: nothing more is answered, every connection is closed, and `failed` is called once, on the loop.
 *            What had been answered is in the store.  A hostile client costs at most its connection: a connection without a session lives 10 s,
 *            and what clients make us keep has limits (base/limits.def, ZK_*; README).
 * Source     ZooKeeper 3.8: zookeeper.jute, PrepRequestProcessor, FinalRequestProcessor, NIOServerCnxn, SessionTrackerImpl, WatchManager.
 */
#ifndef ZKSERVER_ZKSERVER_H
#define ZKSERVER_ZKSERVER_H

#include "base/clock.h"
#include "base/diag.h"
#include "base/fs.h"
#include "base/random.h"
#include "event/loop.h"
#include "event/workers.h"

struct zkserver;

struct zkserver_options {
	struct loop	*loop;
	struct workers	*workers;
	struct fs	*fs;
	struct random	*random;
	struct diag	*diag;			/* may be NULL */
	const char	*dir;			/* exists; the store is DIR/ottla.coordination.db and what SQLite puts beside it.  Copied */
	const char	*host;			/* listens there; NULL: nowhere (zkserver_adopt) */
	uint16_t	 port;			/* 0: the kernel chooses */
	int32_t		 tick_ms;		/* sessions live 2 to 20 ticks after their last packet, as they ask; expiry is looked for once a tick */
	int32_t		 connections_per_host;	/* maxClientCnxns; <= 0: no limit */
	int32_t		 connections_max;	/* of all hosts; <= 0: LIMIT_ZK_CONNECTIONS_MAX */
	size_t		 held_max;		/* bytes that all connections make us keep; 0: LIMIT_ZK_CONNECTIONS_BYTES_MAX */
	int32_t		 packet_max;		/* jute.maxbuffer, bytes */
	void		(*failed)(void *ctx, const char *why);
	void		*ctx;
};

enum { ZKSERVER_TICK_MS = 2000, ZKSERVER_CONNECTIONS_PER_HOST = 1000, ZKSERVER_PACKET_MAX = 4194304 };

/* ERR_CONFLICT: the address is in use.  ERR_LOCKED: another process has the store.  ERR_CORRUPT, ERR_UNSUPPORTED: the file is damaged, not ours, or
 * of a later Ottla; it is not touched. */
enum err zkserver_open(const struct zkserver_options *, struct zkserver **, struct errbuf *) MUST_CHECK;
uint16_t zkserver_port(const struct zkserver *);	/* the one bound; 0: none */
void	 zkserver_start(struct zkserver *);
void	 zkserver_adopt(struct zkserver *, int fd);	/* a connected stream socket made elsewhere (tests); taken */
/* The session is its owner's for as long as this process runs: the next zkserver_open ends it.  Takes effect before any write that the session
 * sends after this call. */
void	 zkserver_own(struct zkserver *, int64_t session_id);
/* Writes what is pending, answers it, closes everything; done is posted to done_loop. */
void	 zkserver_stop(struct zkserver *, struct loop *done_loop, struct task *done);
void	 zkserver_free(struct zkserver **);		/* stopped, or never started */

#endif
