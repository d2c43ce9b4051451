/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc/client.h - one connection to one broker, from the side that asks.
 *
 * Life       rpc_dial (or rpc_adopt), then either `ready` or `closed` is called, and `closed` once after `ready`; rpc_free at any time, also inside
 *            every callback.  A connection lives once: whoever wants another makes another, after a pause of its own choosing.
 * Order      A broker answers one connection in the order of its requests.  An answer that is not the next one ends the connection.
 * Calls      rpc_send returns OK: `done` is called exactly once, later, on the loop, whatever happens.  Else it never is.
 *            The request is encoded before rpc_send returns; only the bytes of `records` are borrowed until then.
 * Ownership  struct rpc_call is the caller's, zeroed by rpc_call_init.  Its answer (response, and all that it refers to) lives until rpc_call_fini,
 *            which is for calls that are done, or were never sent.
 * Threads    The loop of the connection, or nobody else turning it.  Nothing blocks; names are resolved before (net/addr.h).
 * Failure    ERR_TIMEOUT  no answer in time.  The connection ends: what is asked behind it would wait for the same broker.  The others get ERR_CLOSED.
 *            ERR_CLOSED   the connection ended before the answer; the request may have been carried out
 *            ERR_MALFORMED, ERR_LIMIT  the peer sent no Kafka answer, or more than it may; the connection ends
 *            ERR_NET      it could not be connected or broke;  ERR_STOPPED  rpc_free
 *            ERR_UNSUPPORTED  rpc_send: this broker has no such API or version
 *            Kafka's error codes are inside the answers and none of this layer's business.
 * Memory     A frame grows with the bytes that arrive, up to response_bytes_max; what it decodes to has the cap of an arena.
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

#include <sys/queue.h>
#include <sys/socket.h>

#include "event/loop.h"
#include "net/outq.h"
#include "net/rxbuf.h"
#include "wire/frame.h"

struct rpc_client;

struct rpc_options {
	struct loop	*loop;
	const char	*client_id;		/* copied; sent in every request */
	bool		 negotiate;		/* ask for the broker's versions first.  Brokers among each other do not: inter.broker.protocol.version says */
	int64_t		 connect_timeout_ms;	/* until ready */
	uint32_t	 response_bytes_max;	/* 0: LIMIT_RESPONSE_BYTES_MAX */
	void		*ctx;
	void (*ready)(void *ctx);		/* may be NULL, as may the next */
	void (*closed)(void *ctx, enum err, const char *why);
};

struct rpc_call {
	/* the caller's; done may be NULL */
	void (*done)(struct rpc_call *);
	void		*ctx;
	/* once done */
	bool		 is_done;
	enum err	 err;
	const struct wire_api *api;
	int		 version;
	void		*response;		/* root structure of api->response; NULL unless err == OK */
	struct errbuf	 why;
	/* the client's */
	struct rpc_client *client;
	struct out_message out;
	struct timer	 timer;
	struct arena	 arena;			/* the request's bytes, then the answer's structures */
	struct rxblock	*block;
	int32_t		 correlation_id;
	bool		 sent;
	TAILQ_ENTRY(rpc_call) link;
};

/* Begins to connect. */
enum err rpc_dial(const struct rpc_options *, const struct sockaddr_storage *, socklen_t, struct rpc_client **, struct errbuf *) MUST_CHECK;
/* A transport that is connected, or will be when its handshake says so: taken, also on failure. */
enum err rpc_adopt(const struct rpc_options *, struct transport **, struct rpc_client **, struct errbuf *) MUST_CHECK;
void	 rpc_free(struct rpc_client **);	/* open calls are done with ERR_STOPPED before it returns; `closed` is not called */

bool	 rpc_is_ready(const struct rpc_client *);
bool	 rpc_is_closed(const struct rpc_client *);
enum err rpc_why(const struct rpc_client *, struct errbuf *);	/* why it is closed; OK when it is not */

/* The newest version of an API that both sides speak, min..max being the caller's wish; -1: none.  Once ready. */
int	 rpc_version(const struct rpc_client *, enum api_key, int min, int max);

void	 rpc_call_init(struct rpc_call *);
void	 rpc_call_fini(struct rpc_call *);
enum err rpc_send(struct rpc_client *, struct rpc_call *, enum api_key, int version, void *request, int64_t timeout_ms, struct errbuf *) MUST_CHECK;

#endif
