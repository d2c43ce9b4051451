/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/vfs.h - SQLite's files through base/fs.h, so that they lose power, fail and fill up in tests like all others.
 *
 * For one database that one process has to itself: a lock taken stays until the file is closed, there is no memory shared with other
 * processes (so WAL wants locking_mode=EXCLUSIVE), and files without a name are refused (temp_store=MEMORY).
 *
 * Ownership  One per database.  It is registered with SQLite under a name of its own until vfs_free, before which the database is closed.
 * Threads    Those of the database.
 * Failure    SQLite hears one of its codes; what the file layer said is kept for vfs_error.
 * Source     sqlite.org/c3ref/vfs.html, sqlite.org/wal.html ("Use of WAL without shared memory").
 */
#ifndef ZKSERVER_VFS_H
#define ZKSERVER_VFS_H

#include "base/fs.h"
#include "base/random.h"

struct vfs;

struct vfs *vfs_new(struct fs *, struct random *);
void	 vfs_free(struct vfs **);
const char *vfs_name(const struct vfs *);
/* The first error since the last call, and forgets it.  OK: there was none, the error is of SQLite's own. */
enum err vfs_error(struct vfs *, struct errbuf *);

#endif
