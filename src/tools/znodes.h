/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znodes.h - a tree of znodes in memory: read from ZooKeeper or from what `ottla znode dump --json` kept.
 *
 * Only reads: a session is opened on the ensemble's root, so that a chroot that is missing is not made.  Paths are those below the chroot.
 */
#ifndef TOOLS_ZNODES_H
#define TOOLS_ZNODES_H

#include <jansson.h>

#include "tools/tools.h"
#include "zk/client.h"

struct znode {
	char	*path;
	char	*data;		/* NULL: ZooKeeper's null; NUL-terminated besides */
	size_t	 len;
	struct zk_stat stat;
	bool	 unreadable;	/* its ACL keeps us out */
};

struct znodes {			/* sorted by path */
	struct znode *v;
	size_t	      n, room;
};

/* text: a connect string, or a file.  under: NULL, or the path of a subtree.  false: complained, nothing to free. */
bool	 znodes_read(const struct arguments *, const char *text, const char *under, struct znodes *);
void	 znodes_add(struct znodes *, const char *path, struct slice data, const struct zk_stat *);
void	 znodes_sort(struct znodes *);
const struct znode *znodes_find(const struct znodes *, const char *path);	/* NULL: none */
void	 znodes_fini(struct znodes *);

/* The data as JSON, or NULL (not JSON, or no object or array); the caller decrefs. */
json_t	*znode_json(const struct znode *);
/* Puts "********" in place of every secret in it. */
void	 znode_mask(const char *path, json_t *);
bool	 znode_is_secret(const char *path);	/* such nodes hold secrets: what is no JSON there is not printed either */

/* znode_check.c: prints; STATUS_CLEAN or STATUS_FOUND. */
enum status znodes_check(const struct arguments *, const struct znodes *);

#endif
