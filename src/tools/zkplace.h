/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/zkplace.h - where a tree of znodes is: an ensemble (host:port,.../chroot), or the store of an embedded ZooKeeper (embedded:DIR), which is
 * served in this process as long as it is open.  For that no daemon may have it.
 *
 * A session is opened on the root, so that a chroot that is missing is not made by looking.  Threads: one (the store has its own loop and worker).
 */
#ifndef TOOLS_ZKPLACE_H
#define TOOLS_ZKPLACE_H

#include "tools/tools.h"
#include "zk/client.h"
#include "zk/image.h"

struct zkplace;

enum zkplace_use {
	ZKPLACE_READ,		/* a store must be there */
	ZKPLACE_PREVIEW,	/* one that is not there counts as empty, and is not made */
	ZKPLACE_WRITE		/* one that is not there is made */
};

/* false: complained, nothing to close. */
bool	 zkplace_open(const struct arguments *, const char *text, enum zkplace_use, struct zkplace **);
void	 zkplace_close(struct zkplace **);
const char *zkplace_text(const struct zkplace *);	/* as given */
struct zk *zkplace_zk(const struct zkplace *);		/* without chroot; NULL: an empty store */
const char *zkplace_chroot(const struct zkplace *);	/* "" or "/a/b" */

/* Turns the loop until *done, and gives up (false: complained) when *answered has not moved for --timeout. */
bool	 zkplace_wait(const struct arguments *, struct zkplace *, const uint64_t *answered, const bool *done);
/* What is at and below chroot + under.  A missing root gives an empty tree.  false: complained, nothing to free. */
bool	 zkplace_read(const struct arguments *, struct zkplace *, const char *under, bool with_acls, struct znodes *);

#endif
