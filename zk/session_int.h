/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_int.h - shared by session.c (states, queues, clients) and session_call.c (the C client's calls and answers).
 */
#ifndef ZK_SESSION_INT_H
#define ZK_SESSION_INT_H

#ifndef THREADED
#define THREADED
#endif
#include <zookeeper/zookeeper.h>

#include "zk/client_int.h"
#include "zk/session.h"

/* ---- one operation on its way ---- */
struct session_client;
struct session_call {
	struct zk_call	 call;		/* .task carries it between loops */
	TAILQ_ENTRY(session_call) home;	/* waiting or in_flight */
	struct session_client *client;
	uint64_t	 sequence;	/* order of submission at home */
	uint64_t	 generation;	/* of the ZooKeeper session it was meant for */
	int		 rc;		/* the C client's code, on its way home */
	bool		 watch;		/* the server is to watch (ops[0].watcher may be cleared meanwhile, on the client's loop) */
	bool		 orphan;	/* its client is closed: not sent again */
	void		*scratch;	/* multi: what the C client writes its answers to; free() */
};
TAILQ_HEAD(session_calls, session_call);

/* ---- one handle of the C client; context of its callbacks ---- */
struct session_handle {
	struct zk_session *session;
	zhandle_t	  *zh;		/* NULL until it is known at home */
	uint64_t	   generation;
	struct job	   job;		/* opening, then closing */
	zhandle_t	  *made;	/* by the opening job; not looked at before `ready` */
	bool		   ready;	/* the opening job has ended */
};

enum session_state {
	SESSION_OPENING,	/* a handle is made, or waits to be made */
	SESSION_CONNECTING,	/* there is a handle; never connected, or not now */
	SESSION_HELD,		/* connected in a new session; waits for zk_session_proceed */
	SESSION_UP,
	SESSION_EXPIRED,	/* the handle is being closed, then waits until every client has heard it */
	SESSION_CLOSING,
};

struct zk_session {
	struct zk_session_options options;	/* strings are ours */
	char		*hosts, *chroot;	/* chroot: "" or "/a/b" */
	enum session_state state;
	struct session_handle *handle;		/* NULL between two */
	uint64_t	 generation;		/* ZooKeeper sessions ended so far */
	struct zk_session_ident ident;
	bool		 ident_known;
	bool		 told_connected;	/* clients think so */
	bool		 ready;			/* the chroot exists: clients' calls may go */
	bool		 handle_closing;
	unsigned	 holds;			/* established() calls that zk_session_proceed has not answered */
	bool		 auth_failed;
	unsigned	 acks_due;		/* clients that have not heard EXPIRED yet */
	uint64_t	 next_sequence;
	uint32_t	 in_flight_count;
	struct session_calls waiting, in_flight;
	TAILQ_HEAD(, session_client) clients;
	struct timer	 open_timer;		/* connect_timeout_ms */
	struct timer	 retry_timer;		/* the next handle */
	zk_opened_fn	*opened;
	void		*opened_ctx;
	struct zk	*raw;			/* internal client, without chroot, until it is made */
	void		(*closed)(void *);
	void		*closed_ctx;
	bool		 ending;
	struct task	 end;
	struct ACL	 acl_entries[2];
	struct ACL_vector acl_read;		/* creator everything, world read */
};

struct session_client {
	struct zk	 zk;
	TAILQ_ENTRY(session_client) link;	/* home */
	struct zk_session *session;
	struct zk_watches watches;		/* on the client's loop, as all below */
	struct zk_calls	 calls;			/* unanswered */
	uint64_t	 generation;		/* EXPIRED heard so many times */
	bool		 raw;			/* paths as they are: no chroot */
	bool		 closed;		/* by its owner */
	bool		 unbound;		/* home has let go of it */
};

/* Events of the C client on their way home. */
struct session_event {
	struct task	 task;
	struct session_handle *handle;
	zhandle_t	*zh;
	int		 type, state;
	char		*path;			/* without the chroot; NULL: a session event */
};

/* session_call.c: gives the call to the C client; the answer arrives in session_call_answered on the home loop. */
int	 session_call_send(struct zk_session *, struct session_call *);
void	 session_call_drop_scratch(struct session_call *);
void	 session_authenticate(const struct zk_session *, zhandle_t *);
void	 session_watcher(zhandle_t *, int type, int state, const char *path, void *ctx);	/* the handle's global watcher */
void	 session_log(const char *message);
void	 session_log_to(struct diag *);

/* session.c */
void	 session_call_answered(struct task *);
void	 session_event_arrived(struct task *);

#endif
