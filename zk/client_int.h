/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/client_int.h - what the implementations of struct zk share: copies of operations and results, and the table of armed watches.
 */
#ifndef ZK_CLIENT_INT_H
#define ZK_CLIENT_INT_H

#include "zk/client.h"

/* ---- one unanswered submission, with everything it needs in one allocation ---- */
struct zk_call {
	TAILQ_ENTRY(zk_call) link;	/* the client's unanswered calls, in order of submission */
	struct zk	*zk;
	zk_done_fn	*done;
	void		*ctx;
	struct zk_op	*ops;		/* copies; .watcher is cleared by unwatch */
	uint32_t	 nops;
	bool		 multi;
	struct zk_result *result;	/* owned (zk_result_dup), once there is one */
	struct task	 task;
};
TAILQ_HEAD(zk_calls, zk_call);

/* `size`: of the implementation's structure, whose first member is a struct zk_call. */
struct zk_call *zk_call_new(size_t size, struct zk *, const struct zk_op *, uint32_t n, bool multi, zk_done_fn *, void *ctx);
void	 zk_call_free(struct zk_call *);
size_t	 zk_op_bytes(const struct zk_op *);	/* about what it takes in a packet */
enum zke zk_ops_invalid(const struct zk *, const struct zk_op *, uint32_t n, bool multi);	/* ZKE_OK, BAD_ARGUMENTS, INVALID_ACL or TOO_LARGE */

/* Deep copy in one allocation; free() it. */
struct zk_result *zk_result_dup(const struct zk_result *) MUST_CHECK;
struct zk_result *zk_result_error(enum zke, const struct zk_op *, uint32_t n, bool multi) MUST_CHECK;

/* Arms what the answer arms, calls done, frees the call (which has its result and is linked nowhere). */
struct zk_watches;
void	 zk_call_answer(struct zk_call *, struct zk_watches *);

/* ---- armed watches of one client ---- */
enum { ZK_KIND_DATA = 1, ZK_KIND_CHILDREN = 2 };

struct zk_watch_entry {
	LIST_ENTRY(zk_watch_entry) link;
	struct zk_watcher *watcher;
	unsigned kinds;
};
LIST_HEAD(zk_watch_entries, zk_watch_entry);
struct zk_watch_point;
struct zk_watches {
	struct zk_watch_point  *points;		/* by path */
	struct zk_watch_entries firing;		/* matched, about to be called */
};
void	 zk_watches_init(struct zk_watches *);
void	 zk_watches_fini(struct zk_watches *);	/* drops all */
void	 zk_watches_arm(struct zk_watches *, struct zk_watcher *, const char *path, unsigned kind);
void	 zk_watches_remove(struct zk_watches *, struct zk_watcher *, const char *path);	/* NULL: everywhere */
void	 zk_watches_fire(struct zk_watches *, enum zk_event, const char *path);
unsigned zk_watches_kinds(const struct zk_watches *, const char *path);	/* what is armed there, by anybody */

#endif
