/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/copy.h - bringing a cluster's znodes to another place: what has to be written there (a plan, from two images), and writing it.
 *
 * KEPT     Paths, data (null and empty apart), ACLs.  The versions of two nodes, which mean something to Kafka, are raised to what they were by writing
 *          the same data again: /brokers/seqid (the next broker id that is given out) and /feature (the epoch of the features).
 * LOST     All other versions (they begin at 0; brokers and controllers read them before they use them), zxids and times: no client can set them.
 * LEFT     Ephemeral nodes (they are their sessions').  Sequential nodes of notifications (below /config/changes and its like): they tell brokers that live
 *          what has changed, those that start read everything; and their numbers would stand in the way of those that a new parent gives.
 *          What is none of Kafka's, unless asked for.
 * REPEATED A plan is made of what is there now, so that one that was interrupted is just made again: what is written already is the same.
 *          That it worked says a second look, not the answers: an operation whose answer was lost meets itself.
 * Threads  One, that of the client.  A plan borrows from both images.
 */
#ifndef ZK_COPY_H
#define ZK_COPY_H

#include "zk/image.h"

enum zk_copy_what {		/* bits */
	ZK_COPY_CREATE = 1,
	ZK_COPY_SET = 2,	/* other data is there */
	ZK_COPY_ACL = 4,	/* another ACL is there, or the node gets its own when all below it are there */
	ZK_COPY_RAISE = 8,	/* the version */
	ZK_COPY_DELETE = 16,	/* only the target has it */
};

enum zk_copy_left { ZK_COPY_TAKEN, ZK_COPY_EPHEMERAL, ZK_COPY_NOTIFICATION, ZK_COPY_FOREIGN };

struct zk_copy_step {
	const struct znode *node;	/* of the source; to delete: of the target */
	const struct znode *there;	/* in the target; NULL: not yet */
	struct slice acl;		/* wanted */
	unsigned what;			/* 0: it is the same, or left */
	enum zk_copy_left left;
	bool conflict;			/* takes away what the target has: only when that was asked for */
	uint32_t raises;
};

struct zk_copy_plan {			/* zk_copy_plan_fini */
	struct zk_copy_step *v;		/* by path, then those to delete */
	size_t n, room;
	uint32_t conflicts;
};

struct zk_copy_options {
	bool everything;		/* what is none of Kafka's, too */
	bool no_acls;			/* every node is open to everybody */
};

/* Sorted images; "/" itself is not copied.  ERR_LIMIT: a version that no cluster gets to.
 * ERR_CONFLICT: an ephemeral node stands where another kind belongs. */
enum err zk_copy_plan_make(const struct znodes *source, const struct znodes *target, const struct zk_copy_options *, struct zk_copy_plan *, struct errbuf *) MUST_CHECK;
void	 zk_copy_plan_fini(struct zk_copy_plan *);

/* Makes the chroot ("" or "/a/b") and carries out all steps, parents first, conflicts too.  *answered counts up meanwhile.  done(): the first error,
 * but for those that an operation gives that had been done before; OK does not say that nobody else wrote there. */
typedef void zk_copy_done_fn(void *ctx, enum err, const struct errbuf *why);
void	 zk_copy_write(struct zk *, const char *chroot, const struct zk_copy_plan *, uint64_t *answered, zk_copy_done_fn *, void *ctx);

#endif
