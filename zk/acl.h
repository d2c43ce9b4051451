/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/acl.h - ZooKeeper's access control lists, entry by entry.
 *
 * Everywhere else (struct zk_op, struct zk_result, zk/tree.h) an ACL is bytes: the vector as it stands in a packet.  A null slice stands for the
 * one that most nodes have: world:anyone with every permission.
 *
 * Ownership  Entries borrow from the vector they were read from; what zk_acl_write makes is the caller's.
 */
#ifndef ZK_ACL_H
#define ZK_ACL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum zk_perm { ZK_PERM_READ = 1, ZK_PERM_WRITE = 2, ZK_PERM_CREATE = 4, ZK_PERM_DELETE = 8, ZK_PERM_ADMIN = 16, ZK_PERM_ALL = 31 };

struct zk_acl_entry {
	int32_t	     perms;		/* of enum zk_perm */
	struct slice scheme, id;	/* no NUL behind them */
};

/* The entries, in order, malloc'ed; of a null slice the one of the open ACL.  false: the bytes are no vector, or one that names something with a NUL
 * inside or null (no scheme, no id does); nothing to free. */
bool	 zk_acl_read(struct slice acl, struct zk_acl_entry **entries, uint32_t *n) MUST_CHECK;
/* malloc'ed bytes; a null slice for the open ACL. */
struct slice zk_acl_write(const struct zk_acl_entry *, uint32_t n) MUST_CHECK;

#endif
