/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/server_int.h - what server.c (store, sessions), client.c (bytes), request.c (operations) and words.c (four letters) share.
 *
 * A write changes the tree at once; its answer, its events, and every answer that may show it wait in their connections until the batch with it is
 * on disk.  There are at most two batches: the one that is being written, and the one that gathers meanwhile.
 */
#ifndef ZKSERVER_SERVER_INT_H
#define ZKSERVER_SERVER_INT_H

#include <sys/queue.h>
#include <uthash.h>

#include "net/addr.h"
#include "net/rxbuf.h"
#include "net/transport.h"
#include "zk/tree.h"
#include "zkserver/acl.h"
#include "zkserver/jute.h"
#include "zkserver/store.h"
#include "zkserver/zkserver.h"

enum { SESSION_PASSWORD_LEN = 16 };

struct client;

struct live {				/* a session */
	UT_hash_handle hh;
	int64_t	id;
	int32_t	timeout_ms;
	bool	own;
	int64_t	deadline_ms;		/* of the loop's clock */
	struct client *conn;		/* NULL: nobody is attached */
};

enum hold { HOLD_WRITING, HOLD_PENDING, HOLDS };

struct client {
	TAILQ_ENTRY(client) link;
	TAILQ_ENTRY(client) waiting;	/* for a batch */
	struct zkserver	*s;
	struct transport *t;
	struct watch	 watch;
	struct rxbuf	 rx;
	struct live	*session;
	struct acl_identities ids;
	struct jute_out	 out;		/* may leave */
	size_t		 sent;		/* of it */
	struct jute_out	 held[HOLDS];	/* may leave after the batch */
	bool		 is_waiting;
	bool		 connected;	/* the connect request was taken */
	bool		 closing;	/* nothing more is read; closed when all is sent */
	bool		 gone;		/* to be freed at the end of the turn */
	bool		 doomed;	/* it holds too much, and is closed at the end of the turn: nothing more is said to it */
	size_t		 counted;	/* of the memory it holds, in s->held */
	int64_t		 deadline_ms;	/* while it has no session, of the loop's clock */
	struct task	 free_task, doom_task;
	struct task	 more;		/* frames are left that were not taken in their turn */
	bool		 more_posted;
	char		 host[ADDR_TEXT_MAX];
	uint16_t	 port;
	uint64_t	 received, answered;
};
TAILQ_HEAD(clients, client);

struct zkserver {
	struct zkserver_options opt;
	char		*dir;
	struct zk_tree	*tree;
	struct store	*store;
	bool		 empty;		/* the store, as it was opened */
	uint8_t		 secret[STORE_SECRET_LEN];
	struct live	*sessions;
	struct clients	 clients, waiting;
	uint32_t	 nclients;
	size_t		 held;		/* bytes that all clients make us keep */
	int		 listen_fd;
	uint16_t	 port;
	struct watch	 listening;
	bool		 no_descriptors;	/* the last accept failed for that, and it was told */
	struct timer	 tick, containers, accept_pause;
	struct store_batch *pending, *writing;
	bool		 dirty;		/* the pending batch holds something */
	bool		 end_posted;
	struct task	 end_of_turn;
	struct job	 job;		/* writes `writing` */
	enum err	 write_error;
	struct errbuf	 write_words;
	bool		 failed, stopping;
	struct loop	*done_loop;
	struct task	*done;
	uint64_t	 received, answered;	/* packets */
};

/* ---- server.c ---- */
void	 server_dirty(struct zkserver *);	/* before a change: what is answered from here on waits for its batch */
struct live *server_session_new(struct zkserver *, int32_t timeout_ms);
struct live *server_session_find(struct zkserver *, int64_t id);
void	 server_session_touch(struct zkserver *, struct live *);
void	 server_session_end(struct zkserver *, struct live *);	/* the connection stays, without it */
void	 server_password(const struct zkserver *, int64_t id, uint8_t password[SESSION_PASSWORD_LEN]);
int64_t	 server_wall_ms(const struct zkserver *);

/* ---- client.c ---- */
enum { SESSIONLESS_MS = 10000 };		/* as long may a connection have no session (zookeeper.nio.sessionlessCnxnTimeout) */
void	 zkconn_new(struct zkserver *, int fd);
struct jute_out *zkconn_out(struct client *);	/* where what is said now goes */
void	 zkconn_release(struct client *);		/* what was held for the batch that is on disk may leave */
void	 zkconn_flush(struct client *);		/* may close it */
void	 zkconn_close(struct client *);		/* at once */
void	 zkconn_close_after(struct client *);	/* when all is sent */
void	 zkconn_no_session(struct client *);	/* from now on it has none: its time begins */
void	 zkconn_said(struct client *);		/* something was put there that nobody flushes yet: is it too much?  Somebody may be doomed for it */
void	 zkconn_tick(struct client *);		/* now and then: may close it; gives back memory that lies idle */

/* ---- request.c ---- */
void	 request_connect(struct client *, struct slice frame);
void	 request(struct client *, struct slice frame);
void	 request_event(struct client *, enum zk_event, const char *path);	/* said, not sent: whoever ends the turn's work flushes */

/* ---- words.c ---- */
bool	 words(struct client *, uint32_t word);	/* false: it is none */

#endif
