/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/image.h - a tree of znodes in memory, read from ZooKeeper or made by whoever has one elsewhere.
 *
 * Ownership  An image owns all that its nodes point to.
 * Threads    One; reading, that of the client.
 */
#ifndef ZK_IMAGE_H
#define ZK_IMAGE_H

#include "zk/client.h"

struct znode {
	char	*path;
	char	*data;		/* NULL: ZooKeeper's null; NUL-terminated besides */
	size_t	 len;
	struct slice acl;	/* as of zk/acl.h; malloc'ed.  Null: open to everybody, or not asked for */
	struct zk_stat stat;
	bool	 unreadable;	/* its ACL keeps us out */
	bool	 acl_unreadable;
};

struct znodes {			/* sorted by path */
	struct znode *v;
	size_t	      n, room;
};

/* The copy; good until the next call.  data, acl: copied. */
struct znode *znodes_add(struct znodes *, const char *path, struct slice data, struct slice acl, const struct zk_stat *);
void	 znodes_sort(struct znodes *);
const struct znode *znodes_find(const struct znodes *, const char *path);	/* NULL: none */
void	 znodes_fini(struct znodes *);
static inline struct slice znode_data(const struct znode *n) { return (n->data == NULL ? SLICE_NULL : slice_of(n->data, n->len)); }

/* Everything at and below chroot + under ("" or NULL: none of it), named without the chroot, but for /zookeeper, which is the ensemble's own.
 * *answered counts up meanwhile: whoever waits sees whether something moves.  A root that is not there gives an empty image.  No snapshot of one
 * moment: nodes that go while the tree is read are left out, as if they had gone a moment earlier.  Sorted when done() is called, once. */
typedef void znodes_read_fn(void *ctx, enum err, const struct errbuf *why);
void	 znodes_fetch(struct zk *, const char *chroot, const char *under, bool with_acls, struct znodes *, uint64_t *answered, znodes_read_fn *, void *ctx);

#endif
