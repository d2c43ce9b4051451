/* SPDX-License-Identifier: Apache-2.0
 *
 * net/net_int.h - what the files of net/ share: the net, its per-loop part, the listener.
 */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include <stdatomic.h>

#include "base/must.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/quota.h"
#include "net/rxbuf.h"

enum conn_state { CONN_HANDSHAKE, CONN_READY, CONN_DRAINING, CONN_DEAD };

TAILQ_HEAD(conn_list, net_conn);
TAILQ_HEAD(request_list, net_request);

/* One loop's part.  Only its loop touches it, except `parked` and what loop_post takes. */
struct net_loop {
	struct net	*net;
	struct loop	*loop;
	unsigned	 index;
	struct conn_list conns;		/* longest idle first, about */
	unsigned	 nconns;
	struct timer	 idle_timer;
	struct timer	 grace_timer;	/* shutdown */
	struct conn_list parked_conns;	/* wait for request memory (queued.max.request.bytes) */
	struct conn_list much;		/* hold much, longest without getting anything done first (held.c) */
	struct conn_list short_conns;	/* wait for memory to receive the rest of a large frame (held.c) */
	struct timer	 held_timer;
	_Atomic int64_t	 held_bytes;	/* only its loop writes */
	_Atomic bool	 parked;	/* that list is not empty: whoever frees memory posts unpark */
	_Atomic bool	 unpark_posted;
	struct task	 unpark_task;
	struct task	 start_task, shutdown_task;
	bool		 stopping;	/* shut down: new connections are closed at once */
	bool		 held;		/* counted in net->alive */
	struct rxblock	*rx_spare;	/* rxbuf.h */
	struct request_list spare_requests;	/* ended ones, with the memory of their arenas, for the next */
	int		 nspare;
	uint8_t		*scratch;	/* small ranges on their way out */
};

struct listener_set {
	unsigned	 n;
	struct net_listener *v[];
};

struct net {
	struct magic	 magic;
	struct net_options opt;		/* loops points to our own copy */
	struct net_loop	*loops;
	struct quota	 quota;
	const struct listener_set *listeners;	/* published; changed by one thread at a time */
	unsigned	 nmade;			/* listeners so far: the next one's loop */
	struct net_listener *removed;		/* until net_free: connections on their way still name them */
	_Atomic unsigned next_loop;	/* where the next connection goes */
	_Atomic int64_t	 request_bytes;	/* frames held or being received */
	_Atomic int32_t	 queued_requests;	/* whole frames that wait for execution */
	_Atomic int32_t	 connections;
	_Atomic int32_t	 nshort;	/* connections in the short_conns of all loops */
	_Atomic int32_t	 alive;		/* loops not shut down, connections on their way to a loop */
	int64_t		 grace_ms;
	struct loop	*done_loop;
	struct task	*done;
};

struct net_conn {
	struct magic	 magic;
	struct net	*net;
	struct net_loop	*nl;
	struct net_listener *listener;
	struct transport *transport;
	struct watch	 watch;
	TAILQ_ENTRY(net_conn) link;		/* nl->conns, by last activity */
	TAILQ_ENTRY(net_conn) parked_link, much_link, short_link;
	enum conn_state	 state;
	const char	*doing;			/* for the operator: what it did when it failed */
	bool		 parked;		/* waits for request memory */
	bool		 working;		/* conn_work is on the stack */
	bool		 end_posted;		/* `end` is in the loop's end-of-turn list */
	bool		 fetching;		/* the output waits for a prefetch */
	bool		 send_blocked, send_more;	/* the socket is full; this turn's share is used up */
	bool		 want_write_to_receive;	/* TLS only */
	bool		 opened;		/* the handler knows of it */
	bool		 close_asked;		/* a request's answer was "close": later ones are dropped */
	bool		 admitted;		/* the frame at the front of rx was looked at, and memory reserved for it */
	bool		 throttled;
	uint8_t		 lazy;			/* so many requests more are in no hurry */
	bool		 moves;			/* to loop move_to, when it stands still */
	bool		 travels;		/* between two loops, or arrived dead: counted in net->alive */
	uint16_t	 move_to;
	bool		 holds_much, is_short;	/* in those lists of the loop */
	int64_t		 held;			/* bytes of memory: the receive block, and requests until their answers have left */
	size_t		 held_rx;		/* of them: the receive block */
	size_t		 unsent_held;		/* of them: answered requests in `out` */
	int64_t		 done_ms;		/* when it last got something done or moved its share of bytes, or began to hold much */
	int64_t		 moved;			/* bytes received and sent since then */
	struct timer	 throttle;
	int64_t		 throttled_until_ms;
	int64_t		 active_ms;		/* last activity, or a little before (net_loop_touch) */
	struct task	 end;
	struct rxbuf	 rx;
	int64_t		 reserved;		/* bytes counted for the frame being received */
	struct net_request *next;		/* whole, waits for execution */
	struct request_list requests;		/* handed up and not yet in the output queue, oldest first */
	uint64_t	 executed;		/* requests handed up so far */
	unsigned	 running;		/* of them: not answered */
	unsigned	 blocking;		/* of those: not marked by net_request_allow_next */
	size_t		 running_bytes;		/* frame bytes of those running */
	struct outq	 out;
	struct in6_addr	 addr;
	char		 peer_host[ADDR_TEXT_MAX];
	uint16_t	 peer_port;
	void		*data;			/* the handler's */
};

struct net_listener {
	struct net	*net;
	struct net_loop	*nl;		/* the loop that accepts */
	char		*name, *host;
	enum net_protocol protocol;
	uint16_t	 port;
	int32_t		 send_buffer;
	bool		 inter_broker;
	struct watch	 watch;		/* fd -1 once closed */
	struct timer	 pause;		/* creation rate, or no descriptors */
	bool		 started;
	_Atomic bool	 closed;	/* set on its loop */
	struct net_listener *next;	/* net.removed */
	bool		 no_descriptors;	/* said so already in this shortage */
	struct quota_listener quota;
	struct task	 resume_task;
	_Atomic bool	 resume_posted;
};

/* Requests behind a lazy one that are still received lazily: a member that commits now and then stays where it is, one that does it all the time does not. */
enum { LAZY_REQUESTS = 3 };

/* Requests that a loop keeps; none where every allocation is to be seen by ASan. */
#ifdef OTTLA_ARENA_MALLOC
enum { SPARE_REQUESTS = 0 };
#else
enum { SPARE_REQUESTS = 2 };
#endif

enum { NET_MAGIC = 0x4e455431, CONN_MAGIC = 0x434f4e31, SCRATCH_BYTES = 262144 };

/* ---- net.c ---- */
void	 net_loop_touch(struct net_loop *, struct net_conn *);	/* the connection was active */
void	 net_loop_add(struct net_loop *, struct net_conn *);
void	 net_loop_remove(struct net_loop *, struct net_conn *);	/* may report the end of a shutdown */
void	 net_alive_release(struct net *);
bool	 net_bytes_reserve(struct net *, int64_t n);	/* false: full; otherwise n is counted, the limit may be overshot once */
void	 net_bytes_release(struct net *, int64_t n);
void	 net_connection_came(struct net *, struct net_listener *, int fd, const struct sockaddr_storage *peer, bool excess);
void	 net_drop_connections(struct net_listener *);	/* on the listener's loop, after it was stopped */
void	 net_connection_gone(struct net *, struct net_listener *, const struct in6_addr *);

/* ---- conn.c ---- */
struct net_conn *conn_new(struct net_loop *, struct net_listener *, struct transport *, const struct sockaddr_storage *peer);
enum err conn_start(struct net_conn *, struct errbuf *) MUST_CHECK;	/* on its loop */
void	 conn_stop_input(struct net_conn *);	/* shutdown: what runs is answered, then it closes */
void	 conn_unpark(struct net_conn *);
void	 conn_retry(struct net_conn *);		/* there may be memory now */
bool	 conn_awaits_bytes(const struct net_conn *);	/* of a request that has begun to come: it is the peer's turn, whatever runs */
void	 conn_check(const struct net_conn *);
void	 conn_at_end(struct net_conn *);	/* conn_end, once, at the end of this turn, whoever asked */
void	 conn_end(struct task *);
void	 conn_free_spare(struct net_loop *);	/* net_free */
void	 conn_event(struct watch *, unsigned);

/* ---- move.c ---- */
bool	 conn_stands_still(const struct net_conn *);
void	 conn_move_if_still(struct net_conn *);	/* at the end of a turn; it may be another loop's then: do not touch it again */

/* ---- held.c ---- */
void	 held_init(struct net_loop *);
void	 held_set(struct net_conn *, size_t *slot, size_t now);	/* something of the connection's holds `now` bytes, and held *slot before */
void	 held_done(struct net_conn *);			/* it got something done */
void	 held_moved(struct net_conn *, uint64_t bytes);	/* received, or taken by the peer: enough of them are something done */
bool	 held_may_grow(const struct net_conn *);	/* may its receive block take what it needs next? */
void	 held_short(struct net_conn *, bool);		/* it waits for that, or no longer */
uint64_t held_total(const struct net *);

/* ---- listener.c ---- */
void	 listener_start(struct net_listener *);		/* on its loop */
void	 listener_stop(struct net_listener *);		/* on its loop; closes the socket */
void	 listener_wake(struct net_listener *);		/* any thread: a slot may be free */
void	 listener_free(struct net_listener *);
const struct listener_set *listeners_of(struct net *);	/* until the thread's next quiescent state */

#endif
