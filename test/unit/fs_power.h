/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/fs_power.h - a world of files in memory that can lose its power at any call.
 *
 * For every file and directory it knows what is on the disk and what is only in the page cache.  The code under test runs once; at each call
 * that matters the test is told, may keep a copy of the world as it stands (fs_power_copy), and later asks what a loss of power at that
 * moment leaves (fs_power_lost), once per seed:
 *
 *	static void at(void *ctx, const char *what) { keep(ctx, fs_power_copy(fs), what); }
 *	fs_power_watch(fs, FS_FAULT_SYNC | FS_FAULT_RENAME, at, ctx);	before each such call; the kinds are fs_fault.h's
 *	... what is tested, with fs ...
 *	for each copy, for each seed: after = fs_power_lost(copy, seed); restart on it; what was promised by then is there
 *
 * WHAT A LOSS LEAVES  Each choice is made for itself, by the seed; so writes to different pages, files and directories are reordered at will.
 *	page (4096 bytes) written since the sync of its file   kept as it was last written, or as it was once on the way; dropped (the disk's old
 *		bytes); zeros where the disk had nothing (the size is kept); torn: new bytes up to some place in it, old ones after that
 *	size changed since the sync   the old one, the new one, any that it had on the way, anything between when the file only grew.  A file that
 *		was cut and grew again may show what it had before the cut
 *	name made, renamed, replaced or removed since the sync of its directory   each such call has happened or not, whatever became of the others,
 *		applied in their order.  A rename is whole: never both names, never none of them because of it
 *	file or directory whose name was not synced   vanishes with the name, though its bytes were synced, and a directory with all below it
 *	time stamps   are kept
 *	Bytes that were synced stay, in whatever page they are: a sync of the file makes all its bytes and its size durable (not its name), a sync of a
 *	directory the names in it (not its own).
 *
 * WHAT A KILL LEAVES  Everything that was written; what was not synced still is not: fs_power_copy.
 *
 * Ownership  Copies and lost worlds are worlds of their own (they share pages inside); free each.  Files opened in a world must be unreferenced
 *            before it is freed; a copy has none open.
 * Threads    Any; calls are serialized.  The watcher is called without a lock, on the thread of the call, before the call has any effect.
 * Failure    None of a disk's.  Renames across directories are ERR_UNSUPPORTED (nobody here does that).  Locks are always granted.
 * Files      have no descriptor (fd -1): they are read with file_pread.  A map follows later writes, as a shared mapping does.
 */
#ifndef FS_POWER_H
#define FS_POWER_H

#include "base/clock.h"
#include "base/fs.h"

enum { FS_POWER_PAGE = 4096 };

struct fs *fs_power_new(struct clock *);	/* an empty root directory; the clock gives files their times */
void	   fs_power_free(struct fs **);

/* `at` is called before each call whose kind is in ops (FS_FAULT_* of fs_fault.h); what: "sync /d/t-0/00.log".  NULL: no more. */
void	   fs_power_watch(struct fs *, unsigned ops, void (*at)(void *ctx, const char *what), void *ctx);

struct fs *fs_power_copy(struct fs *);
struct fs *fs_power_lost(struct fs *, uint64_t seed);	/* everything in the new world is on its disk */

/* Nothing is left to be lost: every page, size and name is on the disk. */
bool	   fs_power_is_synced(struct fs *);

#endif
