/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zkserver/bed.h - a server in one thread, on virtual time, over files that can lose their power; and clients that speak its bytes.
 *
 *	struct bed b;
 *	bed_init(&b);			// the server runs
 *	struct peer *p = peer_new(&b);	// connected, with a session
 *	peer_create(p, "/a", "x", 0);	// sent; answered when bed_settle has run
 *	bed_settle(&b);
 *	CHECK_EQ(peer_next(p)->error, 0);
 */
#ifndef BED_H
#define BED_H

#include "../fs_fault.h"
#include "../fs_power.h"
#include "../unit.h"
#include "base/must.h"
#include "zkserver/jute.h"
#include "zkserver/zkserver.h"

struct bed {
	struct clock_manual clock;
	struct fs	*fs;
	struct random_seeded random;
	struct loop	*loop;
	struct workers	*workers;
	struct zkserver	*server;	/* NULL: it could not be opened, or is ended */
	enum err	 open_error;
	struct errbuf	 words;
	char		 failed[256];	/* what `failed` said; "" */
	unsigned	 failures;	/* how often */
	int32_t		 connections_per_host, connections_max;
	size_t		 held_max;
	const char	*host;		/* NULL: it does not listen */
	void		(*opened)(struct bed *);	/* called between open and start */
};

void	 bed_init(struct bed *);
void	 bed_init_on(struct bed *, struct fs *);	/* takes the files */
bool	 bed_open(struct bed *);		/* the server, again */
void	 bed_stop(struct bed *);		/* cleanly */
void	 bed_abandon(struct bed *);		/* as a kill would: what was not written is not */
void	 bed_fini(struct bed *);
bool	 bed_turn(struct bed *);		/* the loop only; false: nothing happened */
void	 bed_settle(struct bed *);		/* loop and workers, until nothing happens */
void	 bed_advance(struct bed *, int64_t ms);	/* time passes, in steps of a tick's tenth */

enum { ADDED_WATCH = 106, MULTI = 14 };

struct answer {
	int32_t	 xid, error;
	int64_t	 zxid;
	struct reader body;		/* behind the header */
	/* an event */
	int32_t	 event;			/* 1 created, 2 deleted, 3 changed, 4 children */
	char	 path[256];
};

struct peer {
	struct bed	*b;
	int		 fd;
	int32_t		 xid;
	int64_t		 session, zxid_seen;
	int32_t		 timeout_ms;
	uint8_t		 password[16];
	uint8_t		*bytes;		/* received */
	size_t		 len, taken;
	bool		 ended;		/* the server closed it */
	struct answer	 answer;
};

struct peer *peer_raw(struct bed *);			/* connected, nothing sent */
struct peer *peer_new(struct bed *);			/* with a session of 6 s */
struct peer *peer_again(struct peer *);			/* another connection, of the same session; NULL: refused */
bool	 peer_connect(struct peer *, int64_t session, const uint8_t password[16]);
void	 peer_free(struct peer **);			/* closes */
void	 peer_send(struct peer *, struct slice);	/* as it is */

/* A request: peer_begin, jute_put_* into *out, peer_end. */
struct jute_out peer_begin(struct peer *, int32_t type);
void	 peer_end(struct peer *, struct jute_out *);
void	 put_open_acl(struct jute_out *);
void	 peer_create(struct peer *, const char *path, const char *data, int32_t flags);
void	 peer_set(struct peer *, const char *path, const char *data, int32_t version);
void	 peer_delete(struct peer *, const char *path, int32_t version);
void	 peer_get(struct peer *, const char *path, bool watch);
void	 peer_exists(struct peer *, const char *path, bool watch);
void	 peer_children(struct peer *, const char *path, bool watch);
void	 peer_ping(struct peer *);
void	 peer_simple(struct peer *, int32_t type);	/* no body */

const struct answer *peer_next(struct peer *);		/* the next that has arrived; NULL: none.  Its body is valid until the next call */
/* Settles, takes the next answer, and checks that it is no event. */
int32_t	 peer_error(struct peer *);
bool	 peer_has(struct peer *, const char *path, const char *data);	/* asks and looks */

#endif
