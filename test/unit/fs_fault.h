/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/fs_fault.h - a file system that does what another one does, until the n-th call of a kind, which fails.
 *
 * The whole test is run for every n, until there was no n-th call:
 *
 *	for (unsigned n = 1;; n++) {
 *		struct fs *fs = fs_fault_new(fs_real());
 *
 *		fs_fault_arm(fs, FS_FAULT_SYNC | FS_FAULT_RENAME, n, ERR_IO);
 *		... what is tested, with fs ...
 *		bool fired = fs_fault_fired(fs);
 *		fs_fault_free(&fs);
 *		if (!fired)
 *			break;
 *	}
 *
 * Ownership  Files opened through it must be unreferenced before fs_fault_free.
 * Threads    Any; calls are counted in the order they happen.
 * Failure    A call that fails does nothing underneath, except a write: half of its bytes are written first (fs_fault_tear says how many),
 *            as a disk that fills up would.
 */
#ifndef FS_FAULT_H
#define FS_FAULT_H

#include <stdbool.h>

#include "base/fs.h"

enum {
	FS_FAULT_OPEN	  = 1 << 0,
	FS_FAULT_RENAME	  = 1 << 1,
	FS_FAULT_UNLINK	  = 1 << 2,
	FS_FAULT_MKDIR	  = 1 << 3,
	FS_FAULT_RMDIR	  = 1 << 4,
	FS_FAULT_STAT	  = 1 << 5,	/* stat and fstat */
	FS_FAULT_LIST	  = 1 << 6,
	FS_FAULT_SYNC_DIR = 1 << 7,
	FS_FAULT_SYNC_ALL = 1 << 8,
	FS_FAULT_SPACE	  = 1 << 9,	/* space and mount_id */
	FS_FAULT_READ	  = 1 << 10,
	FS_FAULT_WRITE	  = 1 << 11,
	FS_FAULT_TRUNCATE = 1 << 12,	/* truncate and allocate */
	FS_FAULT_SYNC	  = 1 << 13,
	FS_FAULT_MTIME	  = 1 << 14,
	FS_FAULT_LOCK	  = 1 << 15,
	FS_FAULT_MAP	  = 1 << 16,
	FS_FAULT_ANY	  = (1 << 17) - 1,
};

struct fs *fs_fault_new(struct fs *under);
void	 fs_fault_free(struct fs **);
/* The nth call (1 = the next) of the kinds in `ops` fails with e.  0: none does.  Counting begins anew. */
void	 fs_fault_arm(struct fs *, unsigned ops, unsigned nth, enum err e);
void	 fs_fault_stay(struct fs *, bool);		/* the calls of these kinds after the nth fail, too: a disk that stays full */
void	 fs_fault_only(struct fs *, const char *part);	/* only calls whose path contains part count; NULL: all.  Copied */
void	 fs_fault_tear(struct fs *, size_t bytes);	/* how many bytes a failing write leaves; SIZE_MAX: half of them */
bool	 fs_fault_fired(struct fs *);
unsigned fs_fault_count(struct fs *);			/* calls of the armed kinds since fs_fault_arm */
unsigned fs_fault_open_files(struct fs *);		/* not yet closed: finds leaks */

/* The real file system, but a sync returns at once: for tests that do not ask what a loss of power leaves, and should not wait for a disk. */
struct fs *fs_unsynced(void);

#endif
