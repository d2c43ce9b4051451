/* SPDX-License-Identifier: Apache-2.0
 *
 * groupload.h - a load of consumer groups on one broker, by a client that costs little: what groupload.c's commands are made of.
 *
 * One thread, one epoll set.  A connection asks in order and is answered in order; whoever asks says what is done with the answer and when the
 * question was due: time is counted from there, not from when the client got round to it.
 * Whatever goes wrong ends the program with words and status 1: a bench that goes on measures something else.
 */
#ifndef BENCH_GROUPLOAD_H
#define BENCH_GROUPLOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

#include "histogram.h"
#include "wire/frame.h"

struct conn;

struct ask {
	const struct wire_api *api;
	int32_t	 correlation;
	int64_t	 due_ns;
	void   (*answered)(struct conn *, const struct ask *, const void *response);	/* which lives until it returns */
};

struct conn {
	struct load *load;
	void	*owner;			/* whoever made it */
	int	 fd;
	bool	 wants_write;
	int32_t	 next_correlation;
	struct ask *asks;		/* a ring: asked and not answered */
	uint32_t head, n, room;
	uint8_t	*in, *out;		/* part of an answer; what the socket did not take */
	size_t	 in_len, out_len;
};

struct load {
	/* options */
	struct sockaddr_storage address;
	socklen_t	 address_len;
	const char	*topic, *prefix;	/* the groups are prefix0, prefix1, ... */
	int		 groups, members;	/* members of each group */
	int		 partitions;		/* each member's */
	int		 pid;			/* the broker's, for its CPU time; 0: not known */
	/* the loop */
	int		 epoll, timer;
	struct arena	 arena;			/* one request or one answer */
	uint8_t		*frame;
	size_t		 frame_len, frame_room;
	uint8_t		*inbox;
	/* load_members.c */
	struct member	*member;
	int		 nmembers, under_way, done;
	struct histogram heartbeats, commits;
	/* load_fill.c */
	int64_t		 filled;
	int		 fill_partitions;
	/* load_records.c */
	struct run	*records;
};

/* ---- load_conn.c ---- */
void	 load_init(struct load *);
void	 load_fini(struct load *);
int64_t	 now_ns(void);
/* Waits for answers until then at the longest, and takes those that are there. */
void	 load_turn(struct load *, int64_t until_ns);
void	 conn_open(struct load *, struct conn *, void *owner);		/* begins to connect; asking is allowed at once */
void	 conn_close(struct conn *);
/* An API in the newest version there is; `request` is its root structure. */
void	 conn_ask(struct conn *, enum api_key, void *request, int64_t due_ns, void (*answered)(struct conn *, const struct ask *, const void *));
/* The same with a frame made before, whose correlation id is written over. */
void	 conn_ask_frame(struct conn *, enum api_key, uint8_t *frame, size_t len, int64_t due_ns,
    void (*answered)(struct conn *, const struct ask *, const void *));
void	 frame_make(struct load *, enum api_key, int32_t correlation, void *request);	/* into load->frame */
struct slice group_name(struct load *, int group);			/* in the arena */
/* Asks on a blocking socket; false: no connection (any more). */
int	 plain_connect(struct load *);					/* -1: refused */
bool	 plain_send(struct load *, int fd, enum api_key, void *request);
const void *plain_receive(struct load *, int fd, enum api_key);		/* in the arena, which it resets; NULL: closed */

/* Of a process (0: our own; negative: none, 0). */
double	 cpu_seconds(int pid);
void	 latencies_print(const char *name, const struct histogram *);	/* , "name": {...} */

/* ---- load_records.c ---- */
void	 records_run(struct load *, double seconds, double rate, int record_bytes, int consumers);

/* ---- load_members.c ---- */
void	 members_join(struct load *);					/* all of them, until every group is whole */
void	 members_commit(struct load *);					/* each its partitions, once */
void	 members_run(struct load *, double seconds, double heartbeats, double commits);	/* per second, all members together */
void	 members_close(struct load *);

/* ---- load_fill.c ---- */
void	 fill(struct load *, int64_t commits, int partitions);		/* one partition each, by nobody's member */
void	 fetch(struct load *);						/* connects, until every group's offsets have been answered; they are what was filled */

#endif
