/* SPDX-License-Identifier: Apache-2.0
 *
 * base/fs.h - files: a table of functions (struct fs) and reference-counted open files (struct file).
 *
 * Everything that touches a disk goes through here, so that a test can give a file system that loses power, fails or fills up.
 *
 * Ownership  fs_real() is a process-wide constant value without state.  A struct file is reference counted; the last unref closes it.
 *            A file_range owns one reference.
 * Threads    A struct fs and a struct file may be used from any thread.  Calls block: see ARCHITECTURE "loops never block".
 * Failure    An error is returned with context in errbuf.  file_sync: after an error the caller must treat the file as lost
 *            (never sync again and call it good).  Short writes are retried inside; ERR_NOSPACE may leave a prefix written;
 *            it is a full disk, quota, or the limit of open files, and may pass: a log directory does not go offline for it.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

struct fs;
struct file;
struct workers;		/* event/workers.h */

enum {
	FS_RDONLY = 0, FS_RDWR = 1, FS_CREATE = 2, FS_EXCL = 4, FS_NOFOLLOW = 8, FS_TRUNC = 16,
	FS_PRIVATE = 32,	/* made for its owner alone (0600); otherwise 0644 */
};

struct fs_stat {
	uint64_t size;		/* bytes */
	int64_t	 mtime_ms;	/* wall clock, milliseconds since the epoch */
	uint64_t dev, ino;
	bool	 is_dir;
};

struct fs_space {
	uint64_t total, usable;	/* bytes; usable: for an unprivileged process */
};

/* Called once per entry, "." and ".." left out, in no order.  Return false to stop. */
typedef bool fs_list_fn(void *ctx, const char *name, bool is_dir);

struct file_map {
	const uint8_t *p;	/* readable bytes; NULL when not mapped */
	size_t	       len;
	void	      *priv;
};

enum fs_advice {
	FS_ADVISE_RANDOM,	/* of this open file: nothing is read ahead */
	FS_ADVISE_FORGET	/* these bytes need not stay in memory (whole pages of them, when they are written) */
};

struct fs_ops {
	enum err (*open)(struct fs *, const char *path, unsigned flags, struct file **, struct errbuf *);
	enum err (*rename)(struct fs *, const char *from, const char *to, struct errbuf *);
	enum err (*unlink)(struct fs *, const char *path, struct errbuf *);
	enum err (*mkdir)(struct fs *, const char *path, struct errbuf *);	/* mode 0755; one level */
	enum err (*rmdir)(struct fs *, const char *path, struct errbuf *);
	enum err (*stat)(struct fs *, const char *path, struct fs_stat *, struct errbuf *);
	enum err (*list)(struct fs *, const char *path, fs_list_fn *, void *ctx, struct errbuf *);
	enum err (*sync_dir)(struct fs *, const char *path, struct errbuf *);
	enum err (*sync_all)(struct fs *, const char *path, struct errbuf *);	/* syncfs of the file system that holds path */
	enum err (*space)(struct fs *, const char *path, struct fs_space *, struct errbuf *);
	enum err (*mount_id)(struct fs *, const char *path, uint64_t *, struct errbuf *);

	enum err (*pread)(struct file *, void *, size_t len, uint64_t pos, size_t *got, struct errbuf *);	/* got < len only at the end */
	enum err (*pwritev)(struct file *, const struct slice *, unsigned n, uint64_t pos, struct errbuf *);	/* all or an error */
	enum err (*truncate)(struct file *, uint64_t len, struct errbuf *);
	enum err (*allocate)(struct file *, uint64_t len, struct errbuf *);	/* size becomes len, zeros; may be sparse */
	enum err (*sync)(struct file *, struct errbuf *);			/* data and size */
	enum err (*fstat)(struct file *, struct fs_stat *, struct errbuf *);
	enum err (*set_mtime)(struct file *, int64_t mtime_ms, struct errbuf *);
	enum err (*lock)(struct file *, int *holder_pid, struct errbuf *);	/* fcntl write lock, whole file; ERR_LOCKED, *holder_pid > 0 if known */
	/* Who would refuse our lock, without taking it: *pid > 0; 0: nobody; -1: a process that cannot be seen from here. */
	enum err (*lock_holder)(struct file *, int *pid, struct errbuf *);
	enum err (*map)(struct file *, size_t len, struct file_map *, struct errbuf *);	/* read-only, shared */
	void	 (*unmap)(struct file_map *);
	bool	 (*cached)(struct file *, uint64_t pos, size_t len);		/* reading would not block (a guess; true when unknown) */
	bool	 (*map_cached)(const struct file_map *, size_t len);		/* the same of its first len bytes; may be NULL: unknown */
	void	 (*advise)(struct file *, enum fs_advice, uint64_t pos, size_t len);	/* may be NULL; never fails: it is advice */
	void	 (*close)(struct file *);					/* frees the file; called by the last unref */
};

struct fs {
	const struct fs_ops *ops;
};

/* What every implementation's file begins with. */
struct file {
	struct fs	*fs;
	_Atomic uint32_t refs;
	int		 fd;	/* a descriptor for sendfile(2), or -1: then read with file_pread */
	char		*path;	/* as opened, for diagnostics; may be stale after a rename */
	struct workers	*readers;	/* whose threads may wait for its disk, as who opened it says; NULL: anybody's.  They outlive the file's use */
};

struct fs *fs_real(void);

struct file *file_ref(struct file *);
void	     file_unref(struct file **);	/* NULLs the pointer; accepts a pointer to NULL */

/* Convenience over the table; the errbuf may be NULL everywhere. */
enum err file_open(struct fs *, const char *path, unsigned flags, struct file **, struct errbuf *) MUST_CHECK;
enum err file_pread(struct file *, void *, size_t len, uint64_t pos, size_t *got, struct errbuf *) MUST_CHECK;
enum err file_pread_full(struct file *, void *, size_t len, uint64_t pos, struct errbuf *) MUST_CHECK;	/* short = ERR_CORRUPT */
enum err file_pwrite(struct file *, const void *, size_t len, uint64_t pos, struct errbuf *) MUST_CHECK;
void	 file_advise(struct file *, enum fs_advice, uint64_t pos, size_t len);
enum err file_size(struct file *, uint64_t *, struct errbuf *) MUST_CHECK;

/* The whole file in malloc'ed memory with a NUL behind it (not counted).  ERR_LIMIT when larger than len_max.  free() it. */
enum err fs_read_file(struct fs *, const char *path, size_t len_max, char **, size_t *len, struct errbuf *) MUST_CHECK;
/* path.tmp, sync, rename over path, sync the directory: after OK the new content is durable, after a crash either is there. */
enum err fs_write_file_atomic(struct fs *, const char *path, struct slice content, struct errbuf *) MUST_CHECK;
/* path.tmp, sync, rename over path: whoever finds the name finds the whole content, also after a loss of power.  That the name is there is durable
 * after the next sync of the directory, which is the caller's. */
enum err fs_replace_file(struct fs *, const char *path, struct slice content, struct errbuf *) MUST_CHECK;
enum err fs_write_secret_atomic(struct fs *, const char *path, struct slice content, struct errbuf *) MUST_CHECK;	/* so, for its owner alone */
bool	 fs_exists(struct fs *, const char *path);
enum err fs_sync_parent(struct fs *, const char *path, struct errbuf *) MUST_CHECK;	/* the directory that path stands in: its name is durable */
/* What it makes has its name on the disk when it returns. */
enum err fs_mkdir_p(struct fs *, const char *path, struct errbuf *) MUST_CHECK;
enum err fs_remove_tree(struct fs *, const char *path, struct errbuf *) MUST_CHECK;	/* depth-first; missing = OK */

/* Bytes of a file on their way out.  Bytes are never rewritten while a range refers to them. */
struct file_range {
	struct file *file;	/* one reference, owned */
	uint64_t     pos;
	uint64_t     len;
};
void file_range_fini(struct file_range *);

/* Reads of mapped memory that may fault (a truncated or failing file): returns ERR_IO instead of dying by SIGBUS.
 * `fn` must not take locks, allocate or call out: it is left by siglongjmp. */
enum err map_guard(void (*fn)(void *), void *ctx) MUST_CHECK;

#endif
