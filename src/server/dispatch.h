/* SPDX-License-Identifier: Apache-2.0
 *
 * server/dispatch.h - from a frame to a handler, and from its answer to a frame.
 *
 * To add an API: a row in server/handlers.def and a file api_NAME.c with the row's two functions:
 *
 *	void  serve_NAME(struct api_request *)			decides; answers now or later, exactly once
 *	void *fail_NAME(struct api_request *, enum kerr)	the answer when the whole request fails with this error: the response structure,
 *								in the request's arena, or NULL to close the connection (Java's getErrorResponse)
 *
 * A frame that is no request, whose API or version is not advertised, or whose body does not decode closes the connection, as in Java.
 * The exception is ApiVersions of an unknown version, which reaches its handler with `supported` false and no body.
 *
 * Ownership  The request lives in its own arena, which also holds the decoded body and takes the response.  Strings and records of the body
 *            borrow from the frame.  After the answer the handler must not touch any of it.
 * Order      The next request of a connection waits for the answer.  Only Produce may let the next Produce pass: api_allow_next.
 * Threads    The connection's loop (api_loop).  A result that comes on another thread is posted there first.
 */
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include "base/kerr.h"
#include "server/server.h"
#include "wire/frame.h"

struct api_handler;

struct api_request {
	/* for the handler */
	struct server	*server;
	struct wire_request_head head;	/* api, version, correlation id, client id */
	bool		 supported;	/* false: ApiVersions of a version we do not know; body is NULL */
	void		*body;		/* root structure of head.api->request, decoded */
	struct arena	*arena;
	struct net_request *net;
	void		*state;		/* the handler's */
	/* Set by a handler that waits: the peer is gone.  It should stop waiting and answer (the answer is dropped). */
	void	       (*abandoned)(struct api_request *);

	/* dispatch's own */
	const struct api_handler *handler;
	int16_t		 answer_version;
	bool		 failing;	/* fail_NAME was asked: its failure closes */
};

struct api_handler {
	int16_t	 key, min, max;		/* advertised */
	const char *name;
	void   (*serve)(struct api_request *);
	void  *(*fail)(struct api_request *, enum kerr);
};

/* Every row of handlers.def, by key: exactly what ApiVersions says. */
extern const struct api_handler api_handlers[];
extern const size_t api_handlers_n;

/* ---- answers: exactly one ---- */
void	 api_respond(struct api_request *, void *response);	/* root structure of head.api->response; file ranges in it are taken */
void	 api_fail(struct api_request *, enum kerr);		/* fail_NAME's answer, or a close */
void	 api_answer(struct api_request *, void *response);	/* api_respond; NULL: there was no memory for it, UNKNOWN_SERVER_ERROR */
void	 api_no_response(struct api_request *);			/* Produce with acks=0 */
void	 api_close(struct api_request *);			/* the connection ends here, after the answers before */

/* ---- while it runs ---- */
void	 api_allow_next(struct api_request *);			/* see net_request_allow_next */
void	 api_release_bytes(struct api_request *);		/* the frame goes; nothing of the body may be used any more, client id excepted */
void	 api_throttle(struct api_request *, int32_t ms);	/* the connection pauses that long after the answer */
struct loop *api_loop(const struct api_request *);
const char *api_listener(const struct api_request *);		/* name of the listener the client came by: Metadata's endpoints */

/* ---- what is known of a connection ---- */
struct api_session {
	uint32_t owner, elsewhere;	/* the loop that owned the groups of its last requests, how many in a row (server/group_call) */
};
struct api_session *api_session(const struct api_request *);

#define HANDLER(constant, min, max, name) \
	void serve_##name(struct api_request *); \
	void *fail_##name(struct api_request *, enum kerr);
#include "server/handlers.def"
#undef HANDLER

#endif
