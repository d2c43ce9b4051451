/* SPDX-License-Identifier: Apache-2.0
 *
 * net/conn.h - one connection and its requests, as the layer above sees them.
 *
 * A frame on the wire is a 4-byte big-endian length and that many bytes.  Each whole frame becomes a struct
 * net_request and is handed to the handler.  The handler answers each request exactly once, now or later, by net_reply, net_no_reply or
 * net_close_after; answers leave in the order in which the requests came, whatever the order in which they were given.
 *
 * Order      Requests are handed up one at a time: the next one waits until the one before is answered.  The exception is pipelining:
 *            when every unanswered request was marked by net_request_allow_next and the handler's may_pipeline accepts the next frame,
 *            that frame is handed up at once (LIMIT_PIPELINE_REQUESTS_MAX requests, LIMIT_PIPELINE_BYTES_MAX frame bytes).
 * Ownership  The request owns its frame bytes and arena.  Both live until the answer's last byte was sent, so an answer may borrow from
 *            either; the frame bytes can be given back sooner (net_request_release_bytes).  After the answer call the handler must not touch
 *            the request again.
 * Death      When the peer vanishes, running requests stay valid and are still answered by the handler: the answer is dropped.
 *            net_request_is_dead tells; `abandoned` lets a handler cut its waiting short.  The connection outlives its requests.
 * Threads    Everything here only on the connection's loop (net_request_loop); a result made elsewhere is posted there first.  Between two
 *            requests a connection may change its loop (net_conn_move): what belongs to it and to no request must not depend on one.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/arena.h"
#include "base/chain.h"
#include "event/loop.h"
#include "net/outq.h"

struct net_conn;
struct net_listener;
struct rxblock;

enum net_request_state {
	NET_REQUEST_QUEUED,	/* received, not handed up yet */
	NET_REQUEST_RUNNING,	/* the handler owes an answer */
	NET_REQUEST_ANSWERED,	/* waits for its turn to leave, or leaves */
};

enum net_answer { NET_ANSWER_NONE, NET_ANSWER_SEND, NET_ANSWER_SILENT, NET_ANSWER_CLOSE };

struct net_request {
	/* for the handler */
	struct net_conn	*conn;
	struct slice	 frame;		/* without the length; the bytes are the request's own and may be changed in place */
	struct arena	 arena;		/* capped by the size of the frame */
	int64_t		 received_ns;	/* monotonic: the frame's last byte was there */
	void		*data;		/* the handler's */

	/* net/conn's own */
	TAILQ_ENTRY(net_request) link;
	struct rxblock	*block;		/* holds the frame; NULL once released */
	size_t		 frame_bytes;	/* what the limits count for it; 0 once released */
	size_t		 held;		/* frame and arena, as counted last (net/held.c) */
	enum net_request_state state;
	enum net_answer	 answer;
	bool		 allow_next;
	bool		 told;		/* `abandoned` was called */
	struct out_message out;
};

/* What the layer above registers.  `closed` and the others may be NULL, except `request`. */
struct net_handler {
	void	*ctx;
	void   (*opened)(void *ctx, struct net_conn *);			/* ready for requests; may set the connection's data */
	void   (*request)(void *ctx, struct net_request *);		/* may answer from inside */
	bool   (*may_pipeline)(void *ctx, struct net_conn *, struct slice frame);	/* a peek: is this a Produce? */
	void   (*abandoned)(void *ctx, struct net_request *);		/* running, and its peer is gone; may answer from inside */
	void   (*closed)(void *ctx, struct net_conn *);			/* no request is left; free the connection's data */
};

/* ---- answers: exactly one per request, after which the request is gone for the handler ---- */
void	 net_reply(struct net_request *, struct chain *);	/* takes the items; its length stands in front already (wire/frame) */
void	 net_no_reply(struct net_request *);			/* nothing is sent (acks=0); the next one may run */
void	 net_close_after(struct net_request *);			/* answers before it leave, then the connection is closed */

/* ---- a running request ---- */
void	 net_request_decoded(struct net_request *);		/* counts what its arena holds: before that goes to another thread, if it ever does */
void	 net_request_allow_next(struct net_request *);		/* a Produce that is written, queued or refused everywhere */
void	 net_request_release_bytes(struct net_request *);	/* frame becomes null; nothing may borrow from it any more */
bool	 net_request_is_dead(const struct net_request *);
struct loop *net_request_loop(const struct net_request *);

/* ---- a connection ---- */
struct loop *net_conn_loop(const struct net_conn *);
unsigned net_conn_loop_index(const struct net_conn *);		/* which of the network loops, from 0 */
const struct net_listener *net_conn_listener(const struct net_conn *);
const char *net_conn_peer_host(const struct net_conn *);	/* the peer's address in text ("192.0.2.1", "2001:db8::1"), "" when unknown */
unsigned net_conn_peer_port(const struct net_conn *);
void	*net_conn_data(const struct net_conn *);
void	 net_conn_set_data(struct net_conn *, void *);
void	 net_throttle(struct net_conn *, int64_t ms);		/* nothing is read or executed for that long; longer of two wins */
void	 net_conn_close(struct net_conn *);			/* at once; queued answers are dropped */
/* What it asks for is owned by network loop `index`: it moves there as soon as it stands still (nothing received, running or unsent), which may be
 * never.  Saves two wake-ups per request.  The last call counts. */
void	 net_conn_move(struct net_conn *, unsigned index);
/* While a request runs: what comes after it is in no hurry, and may be received LOOP_LAZY_MS later when other connections of its kind have just sent
 * something (watch_lazy).  It holds for the next three requests, or until the peer sends half of one. */
void	 net_conn_lazy(struct net_conn *);

#endif
