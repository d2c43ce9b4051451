/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fs_mem.h - a file system in memory: for inputs that are whole directories, thousands of times a second.
 *
 * Nothing is ever lost and nothing fails but what must (no such file, a directory that is not empty).  Files have no descriptor.  A map made
 * before its file grew past its room shows what stood there then.
 *
 * Ownership  Files and maps must be released before fs_mem_free, which says how many were not.
 * Threads    One.
 */
#ifndef FUZZ_FS_MEM_H
#define FUZZ_FS_MEM_H

#include "base/fs.h"

struct fs *fs_mem_new(void);
void	 fs_mem_limit(struct fs *, unsigned names);	/* when so many more files and directories have been made, the disk is full */
unsigned fs_mem_free(struct fs **);	/* files still open */
/* Directories on the way are made. */
void	 fs_mem_put(struct fs *, const char *path, struct slice content);
/* The whole file, valid until the next call on it; p NULL: there is none. */
struct slice fs_mem_get(struct fs *, const char *path);

#endif
