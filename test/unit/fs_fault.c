/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/fs_fault.c - see fs_fault.h.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "test/unit/fs_fault.h"

struct fs_fault {
	struct fs	fs;
	struct fs      *under;
	struct lock	lock;		/* all below */
	unsigned	ops, nth, count;
	enum err	e;
	bool		stay, fired;
	size_t		tear;
	char	       *only;
	unsigned	open_files;
};

struct fault_file {
	struct file  file;
	struct file *under;
};

/* unmap is given no file: the map remembers whose it is. */
struct fault_map {
	struct file_map under;
	struct fs      *fs;
};

static struct fs_fault *
fault_of(struct fs *fs)
{
	return (CONTAINER_OF(fs, struct fs_fault, fs));
}

static struct file *
under_of(struct file *f)
{
	return (CONTAINER_OF(f, struct fault_file, file)->under);
}

/* Counts a call; the error it must fail with, or OK. */
static enum err
fault(struct fs *fs, unsigned op, const char *path, struct errbuf *eb)
{
	struct fs_fault *ff = fault_of(fs);
	enum err e = OK;

	lock_acquire(&ff->lock);
	if ((ff->ops & op) != 0 && (ff->only == NULL || strstr(path, ff->only) != NULL)) {
		ff->count++;
		if (ff->nth != 0 && (ff->count == ff->nth || (ff->stay && ff->count > ff->nth))) {
			ff->fired = true;
			e = ff->e;
		}
	}
	lock_release(&ff->lock);
	if (e != OK)
		errbuf_set(eb, "%s: injected: %s", path, err_text(e));
	return (e);
}

static enum err
fault_open(struct fs *fs, const char *path, unsigned flags, struct file **fp, struct errbuf *eb)
{
	struct fs_fault *ff = fault_of(fs);
	struct file *under = NULL;
	struct fault_file *f;
	enum err e = fault(fs, FS_FAULT_OPEN, path, eb);

	if (e == OK)
		e = file_open(ff->under, path, flags, &under, eb);
	if (e != OK)
		return (e);
	f = xcalloc(1, sizeof(*f));
	f->file = (struct file){ .fs = fs, .refs = 1, .fd = under->fd, .path = xstrdup(path) };
	f->under = under;
	lock_acquire(&ff->lock);
	ff->open_files++;
	lock_release(&ff->lock);
	*fp = &f->file;
	return (OK);
}

static void
fault_close(struct file *f)
{
	struct fs_fault *ff = fault_of(f->fs);
	struct fault_file *own = CONTAINER_OF(f, struct fault_file, file);

	lock_acquire(&ff->lock);
	ff->open_files--;
	lock_release(&ff->lock);
	file_unref(&own->under);
	free(f->path);
	free(own);
}

/* What only passes through, for paths and for open files. */
#define PATH_CALL(name, op, params, args) \
static enum err \
fault_##name params \
{ \
	enum err e = fault(fs, (op), path, eb); \
\
	return (e != OK ? e : fault_of(fs)->under->ops->name args); \
}
#define UNDER	fault_of(fs)->under
/* clang-format takes their parameter lists for casts. */
/* clang-format off */
PATH_CALL(rename, FS_FAULT_RENAME, (struct fs *fs, const char *path, const char *to, struct errbuf *eb), (UNDER, path, to, eb))
PATH_CALL(unlink, FS_FAULT_UNLINK, (struct fs *fs, const char *path, struct errbuf *eb), (UNDER, path, eb))
PATH_CALL(mkdir, FS_FAULT_MKDIR, (struct fs *fs, const char *path, struct errbuf *eb), (UNDER, path, eb))
PATH_CALL(rmdir, FS_FAULT_RMDIR, (struct fs *fs, const char *path, struct errbuf *eb), (UNDER, path, eb))
PATH_CALL(stat, FS_FAULT_STAT, (struct fs *fs, const char *path, struct fs_stat *out, struct errbuf *eb), (UNDER, path, out, eb))
PATH_CALL(list, FS_FAULT_LIST, (struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb), (UNDER, path, fn, ctx, eb))
PATH_CALL(sync_dir, FS_FAULT_SYNC_DIR, (struct fs *fs, const char *path, struct errbuf *eb), (UNDER, path, eb))
PATH_CALL(sync_all, FS_FAULT_SYNC_ALL, (struct fs *fs, const char *path, struct errbuf *eb), (UNDER, path, eb))
PATH_CALL(space, FS_FAULT_SPACE, (struct fs *fs, const char *path, struct fs_space *out, struct errbuf *eb), (UNDER, path, out, eb))
PATH_CALL(mount_id, FS_FAULT_SPACE, (struct fs *fs, const char *path, uint64_t *out, struct errbuf *eb), (UNDER, path, out, eb))
/* clang-format on */

#define FILE_CALL(name, op, params, args) \
static enum err \
fault_##name params \
{ \
	enum err e = fault(f->fs, (op), f->path, eb); \
	struct file *u = under_of(f); \
\
	return (e != OK ? e : u->fs->ops->name args); \
}
/* clang-format takes their parameter lists for casts. */
/* clang-format off */
FILE_CALL(pread, FS_FAULT_READ, (struct file *f, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb), (u, buf, len, pos, got, eb))
FILE_CALL(truncate, FS_FAULT_TRUNCATE, (struct file *f, uint64_t len, struct errbuf *eb), (u, len, eb))
FILE_CALL(allocate, FS_FAULT_TRUNCATE, (struct file *f, uint64_t len, struct errbuf *eb), (u, len, eb))
FILE_CALL(sync, FS_FAULT_SYNC, (struct file *f, struct errbuf *eb), (u, eb))
FILE_CALL(fstat, FS_FAULT_STAT, (struct file *f, struct fs_stat *out, struct errbuf *eb), (u, out, eb))
FILE_CALL(set_mtime, FS_FAULT_MTIME, (struct file *f, int64_t mtime_ms, struct errbuf *eb), (u, mtime_ms, eb))
FILE_CALL(lock, FS_FAULT_LOCK, (struct file *f, int *holder_pid, struct errbuf *eb), (u, holder_pid, eb))
FILE_CALL(lock_holder, FS_FAULT_LOCK, (struct file *f, int *pid, struct errbuf *eb), (u, pid, eb))
/* clang-format on */

static void
write_prefix(struct file *u, const struct slice *v, unsigned n, uint64_t pos, size_t keep)
{
	for (unsigned i = 0; i < n && keep > 0; i++) {
		struct slice part = slice_of(v[i].p, MIN(v[i].len, keep));

		if (u->fs->ops->pwritev(u, &part, 1, pos, NULL) != OK)
			return;
		pos += part.len;
		keep -= part.len;
	}
}

static enum err
fault_pwritev(struct file *f, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	enum err e = fault(f->fs, FS_FAULT_WRITE, f->path, eb);
	size_t total = 0, tear = fault_of(f->fs)->tear;
	struct file *u = under_of(f);

	if (e == OK)
		return (u->fs->ops->pwritev(u, v, n, pos, eb));
	for (unsigned i = 0; i < n; i++)
		total += v[i].len;
	write_prefix(u, v, n, pos, tear == SIZE_MAX ? total / 2 : MIN(tear, total));
	return (e);
}

static enum err
fault_map(struct file *f, size_t len, struct file_map *m, struct errbuf *eb)
{
	enum err e = fault(f->fs, FS_FAULT_MAP, f->path, eb);
	struct fault_map *own;
	struct file *u = under_of(f);

	*m = (struct file_map){ 0 };
	if (e != OK)
		return (e);
	own = xcalloc(1, sizeof(*own));
	own->fs = u->fs;
	e = u->fs->ops->map(u, len, &own->under, eb);
	if (e != OK || own->under.p == NULL) {
		free(own);
		return (e);
	}
	*m = (struct file_map){ own->under.p, own->under.len, own };
	return (OK);
}

static void
fault_unmap(struct file_map *m)
{
	struct fault_map *own = m->priv;

	if (own != NULL)
		own->fs->ops->unmap(&own->under);
	free(own);
	*m = (struct file_map){ 0 };
}

static bool
fault_cached(struct file *f, uint64_t pos, size_t len)
{
	struct file *u = under_of(f);

	return (u->fs->ops->cached(u, pos, len));
}

static const struct fs_ops fault_ops = {
	.open = fault_open,
	.rename = fault_rename,
	.unlink = fault_unlink,
	.mkdir = fault_mkdir,
	.rmdir = fault_rmdir,
	.stat = fault_stat,
	.list = fault_list,
	.sync_dir = fault_sync_dir,
	.sync_all = fault_sync_all,
	.space = fault_space,
	.mount_id = fault_mount_id,
	.pread = fault_pread,
	.pwritev = fault_pwritev,
	.truncate = fault_truncate,
	.allocate = fault_allocate,
	.sync = fault_sync,
	.fstat = fault_fstat,
	.set_mtime = fault_set_mtime,
	.lock = fault_lock,
	.lock_holder = fault_lock_holder,
	.map = fault_map,
	.unmap = fault_unmap,
	.cached = fault_cached,
	.close = fault_close,
};

struct fs *
fs_fault_new(struct fs *under)
{
	struct fs_fault *ff = xcalloc(1, sizeof(*ff));

	ff->fs.ops = &fault_ops;
	ff->under = under;
	ff->tear = SIZE_MAX;
	lock_init(&ff->lock, LOCK_fs_fake);
	return (&ff->fs);
}

void
fs_fault_free(struct fs **fsp)
{
	struct fs_fault *ff;

	if (*fsp == NULL)
		return;
	ff = fault_of(*fsp);
	*fsp = NULL;
	if (ff->open_files != 0)
		fprintf(stderr, "fs_fault_free: %u files are still open\n", ff->open_files);
	must_zero(ff->open_files);
	lock_fini(&ff->lock);
	free(ff->only);
	free(ff);
}

void
fs_fault_arm(struct fs *fs, unsigned ops, unsigned nth, enum err e)
{
	struct fs_fault *ff = fault_of(fs);

	lock_acquire(&ff->lock);
	ff->ops = ops;
	ff->nth = nth;
	ff->e = e;
	ff->count = 0;
	ff->fired = false;
	lock_release(&ff->lock);
}

void
fs_fault_stay(struct fs *fs, bool stay)
{
	struct fs_fault *ff = fault_of(fs);

	lock_acquire(&ff->lock);
	ff->stay = stay;
	lock_release(&ff->lock);
}

void
fs_fault_only(struct fs *fs, const char *part)
{
	struct fs_fault *ff = fault_of(fs);

	lock_acquire(&ff->lock);
	free(ff->only);
	ff->only = part == NULL ? NULL : xstrdup(part);
	lock_release(&ff->lock);
}

void
fs_fault_tear(struct fs *fs, size_t bytes)
{
	struct fs_fault *ff = fault_of(fs);

	lock_acquire(&ff->lock);
	ff->tear = bytes;
	lock_release(&ff->lock);
}

bool
fs_fault_fired(struct fs *fs)
{
	struct fs_fault *ff = fault_of(fs);
	bool fired;

	lock_acquire(&ff->lock);
	fired = ff->fired;
	lock_release(&ff->lock);
	return (fired);
}

unsigned
fs_fault_count(struct fs *fs)
{
	struct fs_fault *ff = fault_of(fs);
	unsigned count;

	lock_acquire(&ff->lock);
	count = ff->count;
	lock_release(&ff->lock);
	return (count);
}

unsigned
fs_fault_open_files(struct fs *fs)
{
	struct fs_fault *ff = fault_of(fs);
	unsigned n;

	lock_acquire(&ff->lock);
	n = ff->open_files;
	lock_release(&ff->lock);
	return (n);
}

/* ---- a disk that never syncs ---- */

static enum err
unsynced_sync(struct file *file, struct errbuf *eb)
{
	(void)file;
	(void)eb;
	return (OK);
}

static enum err
unsynced_sync_dir(struct fs *fs, const char *path, struct errbuf *eb)
{
	(void)fs;
	(void)path;
	(void)eb;
	return (OK);
}

static struct fs_ops unsynced_ops;
static struct fs unsynced = { .ops = &unsynced_ops };

static void
make_unsynced(void)
{
	unsynced_ops = *fs_real()->ops;
	unsynced_ops.sync = unsynced_sync;
	unsynced_ops.sync_dir = unsynced_sync_dir;
}

/* Asked for while other threads use it, too. */
struct fs *
fs_unsynced(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	must_zero(pthread_once(&once, make_unsynced));
	return (&unsynced);
}
