/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znodes.h - a tree of znodes in memory: read from ZooKeeper or from what `ottla znode dump --json` kept.
 *
 * Only reads.  Paths are those below the chroot.
 */
#ifndef TOOLS_ZNODES_H
#define TOOLS_ZNODES_H

#include <jansson.h>

#include "tools/tools.h"
#include "zk/image.h"

/* text: a connect string, embedded:DIR, or a file.  under: NULL, or the path of a subtree.  false: complained, nothing to free. */
bool	 znodes_read(const struct arguments *, const char *text, const char *under, struct znodes *);

/* The data as JSON, or NULL (not JSON, or no object or array); the caller decrefs. */
json_t	*znode_json(const struct znode *);
/* Puts "********" in place of every secret in it. */
void	 znode_mask(const char *path, json_t *);
bool	 znode_is_secret(const char *path);	/* such nodes hold secrets: what is no JSON there is not printed either */

/* ---- znode_file.c: what export writes and import reads ---- */
/* ERR_EXISTS: FILE is there, and overwrite is not set.  Whole or not at all. */
enum err znode_file_write(const char *file, const char *from, const struct znodes *, bool overwrite, struct errbuf *) MUST_CHECK;
/* Sorted.  The errbuf names the line.  Nothing to free after an error. */
enum err znode_file_read(const char *file, struct znodes *, struct errbuf *) MUST_CHECK;
/* An ACL as in the file: [{"scheme":"world","id":"anyone","perms":"cdrwa"}].  NULL: its bytes are none. */
json_t	*znode_acl_json(struct slice acl);

/* znode_check.c: prints; STATUS_CLEAN or STATUS_FOUND. */
enum status znodes_check(const struct arguments *, const struct znodes *);

#endif
