/* SPDX-License-Identifier: Apache-2.0
 *
 * base/fs_real.c - struct fs over the kernel's calls.  See fs.h.
 *
 * LOCKS   fcntl(F_SETLK) record locks on the whole file, as Java's FileLock takes them, so that Java brokers and we refuse each other's
 *         directories.  Their traps: a lock belongs to the process, not to the descriptor - a second lock taken by the same process
 *         succeeds, and closing ANY descriptor of the file drops it.  Whoever locks a file opens it once and keeps it open.
 * SYNC    fdatasync: data, and the metadata needed to read it back (the size).  Never repeated after an error: the kernel may have
 *         dropped the dirty pages and would answer "success".
 * PATHS   Relative paths are taken from the working directory, symbolic links are followed (Kafka's log directories may be links)
 *         unless FS_NOFOLLOW asks otherwise for the last part.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/must.h"

#define IOV_BATCH	64u	/* slices per pwritev(2) */
#define PROBES_MAX	32u	/* pages looked at by `cached` */
#define PROBES_FEW	2u	/* the same where the kernel has told of all of them */
#if !defined(SYS_cachestat) && (defined(__x86_64__) || defined(__aarch64__) || defined(__riscv))
#define SYS_cachestat	451	/* Linux 6.5; the headers of a distribution may be older than its kernel */
#endif

/* No descriptor is no room: it says nothing about the disk, and passes. */
static enum err
failed(struct errbuf *eb, const char *path, const char *doing)
{
	int errnum = errno;

	errbuf_errno(eb, errnum, "%s: %s", path, doing);
	return (errnum == EMFILE || errnum == ENFILE ? ERR_NOSPACE : err_from_errno(errnum));
}

static enum err
result(int rc, struct errbuf *eb, const char *path, const char *doing)
{
	return (rc == 0 ? OK : failed(eb, path, doing));
}

/* ---- paths ---- */
static int
open_retry(const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(AT_FDCWD, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return (fd);
}

static enum err
real_open(struct fs *fs, const char *path, unsigned flags, struct file **fp, struct errbuf *eb)
{
	struct file *f;
	int o = (flags & FS_RDWR) != 0 ? O_RDWR : O_RDONLY, fd;

	o |= (flags & FS_CREATE) != 0 ? O_CREAT : 0;
	o |= (flags & FS_EXCL) != 0 ? O_EXCL : 0;
	o |= (flags & FS_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
	o |= (flags & FS_TRUNC) != 0 ? O_TRUNC : 0;
	fd = open_retry(path, o, (flags & FS_PRIVATE) != 0 ? 0600 : 0644);
	if (fd < 0)
		return (failed(eb, path, "open"));
	f = xcalloc(1, sizeof(*f));
	*f = (struct file){ .fs = fs, .refs = 1, .fd = fd, .path = xstrdup(path) };
	*fp = f;
	return (OK);
}

static enum err
real_rename(struct fs *fs, const char *from, const char *to, struct errbuf *eb)
{
	int errnum;

	(void)fs;
	if (rename(from, to) == 0)
		return (OK);
	errnum = errno;
	errbuf_errno(eb, errnum, "%s: rename to %s", from, to);
	return (err_from_errno(errnum));
}

static enum err
real_unlink(struct fs *fs, const char *path, struct errbuf *eb)
{
	(void)fs;
	return (result(unlink(path), eb, path, "unlink"));
}

static enum err
real_mkdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	(void)fs;
	return (result(mkdir(path, 0755), eb, path, "mkdir"));
}

static enum err
real_rmdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	(void)fs;
	return (result(rmdir(path), eb, path, "rmdir"));
}

static void
fill_stat(const struct stat *st, struct fs_stat *out)
{
	*out = (struct fs_stat){
		.size = (uint64_t)st->st_size,
		.mtime_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.is_dir = S_ISDIR(st->st_mode),
	};
}

static enum err
real_stat(struct fs *fs, const char *path, struct fs_stat *out, struct errbuf *eb)
{
	struct stat st;

	(void)fs;
	if (stat(path, &st) != 0)
		return (failed(eb, path, "stat"));
	fill_stat(&st, out);
	return (OK);
}

static bool
entry_is_dir(DIR *d, const struct dirent *de)
{
	struct stat st;

	if (de->d_type != DT_UNKNOWN && de->d_type != DT_LNK)
		return (de->d_type == DT_DIR);
	return (fstatat(dirfd(d), de->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode));
}

static enum err
real_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb)
{
	DIR *d = opendir(path);
	struct dirent *de;
	enum err e = OK;

	(void)fs;
	if (d == NULL)
		return (failed(eb, path, "opendir"));
	for (;;) {
		errno = 0;
		de = readdir(d);
		if (de == NULL) {
			if (errno != 0)
				e = failed(eb, path, "readdir");
			break;
		}
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (!fn(ctx, de->d_name, entry_is_dir(d, de)))
			break;
	}
	closedir(d);
	return (e);
}

static enum err
real_sync_dir(struct fs *fs, const char *path, struct errbuf *eb)
{
	int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);
	enum err e;

	(void)fs;
	if (fd < 0)
		return (failed(eb, path, "open directory"));
	e = result(fsync(fd), eb, path, "fsync directory");
	close(fd);
	return (e);
}

static enum err
real_sync_all(struct fs *fs, const char *path, struct errbuf *eb)
{
	int fd = open_retry(path, O_RDONLY, 0);
	enum err e;

	(void)fs;
	if (fd < 0)
		return (failed(eb, path, "open"));
	e = result(syncfs(fd), eb, path, "syncfs");
	close(fd);
	return (e);
}

static enum err
real_space(struct fs *fs, const char *path, struct fs_space *out, struct errbuf *eb)
{
	struct statvfs sv;

	(void)fs;
	if (statvfs(path, &sv) != 0)
		return (failed(eb, path, "statvfs"));
	out->total = (uint64_t)sv.f_blocks * sv.f_frsize;
	out->usable = (uint64_t)sv.f_bavail * sv.f_frsize;
	return (OK);
}

static enum err
real_mount_id(struct fs *fs, const char *path, uint64_t *out, struct errbuf *eb)
{
	struct statx sx;

	(void)fs;
	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &sx) != 0)
		return (failed(eb, path, "statx"));
	if ((sx.stx_mask & STATX_MNT_ID) == 0) {
		errbuf_set(eb, "%s: this kernel does not tell mount ids", path);
		return (ERR_UNSUPPORTED);
	}
	*out = sx.stx_mnt_id;
	return (OK);
}

/* ---- open files ---- */
static enum err
real_pread(struct file *f, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb)
{
	size_t done = 0;

	*got = 0;
	while (done < len) {
		ssize_t n = pread(f->fd, (uint8_t *)buf + done, len - done, (off_t)(pos + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (failed(eb, f->path, "read"));
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return (OK);
}

/* Fills iov with what lies past `skip` bytes of v, and returns how many were filled. */
static unsigned
iov_fill(struct iovec *iov, const struct slice *v, unsigned n, size_t skip)
{
	unsigned used = 0;

	for (unsigned i = 0; i < n && used < IOV_BATCH; i++) {
		if (skip >= v[i].len) {
			skip -= v[i].len;
			continue;
		}
		iov[used++] = (struct iovec){ (void *)(uintptr_t)(v[i].p + skip), v[i].len - skip };
		skip = 0;
	}
	return (used);
}

static enum err
real_pwritev(struct file *f, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	struct iovec iov[IOV_BATCH];
	size_t total = 0, skip = 0;
	unsigned first = 0;
	ssize_t wrote;

	for (unsigned i = 0; i < n; i++)
		total += v[i].len;
	while (total > 0) {
		while (skip >= v[first].len)	/* slices that are done need not be walked again */
			skip -= v[first++].len;
		wrote = pwritev(f->fd, iov, (int)iov_fill(iov, v + first, n - first, skip), (off_t)pos);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote == 0)
			errno = EIO;	/* no progress and no reason */
		if (wrote <= 0)
			return (failed(eb, f->path, "write"));
		pos += (uint64_t)wrote;
		skip += (size_t)wrote;
		total -= (size_t)wrote;
	}
	return (OK);
}

static enum err
real_truncate(struct file *f, uint64_t len, struct errbuf *eb)
{
	int rc;

	do
		rc = ftruncate(f->fd, (off_t)len);
	while (rc != 0 && errno == EINTR);
	return (result(rc, eb, f->path, "truncate"));
}

static enum err
real_sync(struct file *f, struct errbuf *eb)
{
	return (result(fdatasync(f->fd), eb, f->path, "fdatasync"));
}

static enum err
real_fstat(struct file *f, struct fs_stat *out, struct errbuf *eb)
{
	struct stat st;

	if (fstat(f->fd, &st) != 0)
		return (failed(eb, f->path, "fstat"));
	fill_stat(&st, out);
	return (OK);
}

static enum err
real_set_mtime(struct file *f, int64_t mtime_ms, struct errbuf *eb)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	int64_t ms = mtime_ms % 1000;

	ts[1].tv_sec = (time_t)(mtime_ms / 1000 - (ms < 0));
	ts[1].tv_nsec = (long)((ms < 0 ? ms + 1000 : ms) * 1000000);
	return (result(futimens(f->fd, ts), eb, f->path, "set the modification time"));
}

static enum err
real_lock(struct file *f, int *holder_pid, struct errbuf *eb)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*holder_pid = 0;
	if (fcntl(f->fd, F_SETLK, &l) == 0)
		return (OK);
	if (errno != EACCES && errno != EAGAIN)
		return (failed(eb, f->path, "lock"));
	/* The holder may be gone by now (then l_type is F_UNLCK), or in another pid namespace (then l_pid is not positive). */
	l.l_type = F_WRLCK;
	if (fcntl(f->fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 0)
		*holder_pid = l.l_pid;
	if (*holder_pid > 0)
		errbuf_set(eb, "%s: locked by process %d", f->path, *holder_pid);
	else
		errbuf_set(eb, "%s: locked by another process", f->path);
	return (ERR_LOCKED);
}

static enum err
real_lock_holder(struct file *f, int *pid, struct errbuf *eb)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*pid = 0;
	if (fcntl(f->fd, F_GETLK, &l) != 0)
		return (failed(eb, f->path, "look at the lock"));
	if (l.l_type != F_UNLCK)
		*pid = l.l_pid > 0 ? l.l_pid : -1;
	return (OK);
}

static enum err
real_map(struct file *f, size_t len, struct file_map *m, struct errbuf *eb)
{
	void *p;

	*m = (struct file_map){ 0 };
	if (len == 0)
		return (OK);
	p = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, 0);
	if (p == MAP_FAILED)
		return (failed(eb, f->path, "mmap"));
	*m = (struct file_map){ .p = p, .len = len };
	return (OK);
}

static void
real_unmap(struct file_map *m)
{
	if (m->p != NULL)
		must_zero(munmap((void *)(uintptr_t)m->p, m->len));
	*m = (struct file_map){ 0 };
}

/* One byte without waiting: false only when the kernel says that it would have to read the disk. */
static bool
byte_cached(int fd, uint64_t pos)
{
	uint8_t byte;
	struct iovec iov = { &byte, 1 };

	return (preadv2(fd, &iov, 1, (off_t)pos, RWF_NOWAIT) >= 0 || errno != EAGAIN);
}

/* One call for all pages (Linux 6.5).  Pages that are being read just now count as there, so a few are probed as well.  -1: the kernel does not say. */
static int
pages_cached(int fd, uint64_t pos, size_t len)
{
#ifdef SYS_cachestat
	struct { uint64_t pos, len; } range = { pos, len };
	struct { uint64_t cached, dirty, writeback, evicted, recently_evicted; } stat = { 0 };
	uint64_t page = (uint64_t)getpagesize(), pages = (pos + len - 1) / page - pos / page + 1;

	if (syscall(SYS_cachestat, fd, &range, &stat, 0) == 0)
		return (stat.cached >= pages);
#else
	(void)fd, (void)pos, (void)len;
#endif
	return (-1);
}

static bool
real_cached(struct file *f, uint64_t pos, size_t len)
{
	size_t page = (size_t)getpagesize();
	int whole = len <= page ? -1 : pages_cached(f->fd, pos, len);
	size_t step = MAX(page, len / (whole > 0 ? PROBES_FEW : PROBES_MAX));

	if (whole == 0 || len == 0)
		return (len == 0);
	for (size_t at = 0; at < len; at += step)
		if (!byte_cached(f->fd, pos + at))
			return (false);
	return (byte_cached(f->fd, pos + len - 1));
}

static bool
real_map_cached(const struct file_map *m, size_t len)
{
	unsigned char pages[512];
	const size_t chunk = sizeof(pages) * 4096;	/* at least; larger pages leave some unused */

	for (size_t at = 0; at < len; at += chunk) {
		size_t part = MIN(chunk, len - at);

		if (mincore((void *)(uintptr_t)(m->p + at), part, pages) != 0)
			return (true);
		for (size_t i = 0; i * (size_t)getpagesize() < part; i++)
			if ((pages[i] & 1) == 0)
				return (false);
	}
	return (true);
}

static void
real_advise(struct file *f, enum fs_advice advice, uint64_t pos, size_t len)
{
	(void)posix_fadvise(f->fd, (off_t)pos, (off_t)len, advice == FS_ADVISE_RANDOM ? POSIX_FADV_RANDOM : POSIX_FADV_DONTNEED);
}

static void
real_close(struct file *f)
{
	close(f->fd);	/* Linux frees the descriptor even when it reports an error; errors of writing were sync's to report */
	free(f->path);
	free(f);
}

static const struct fs_ops real_ops = {
	.open = real_open,
	.rename = real_rename,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.rmdir = real_rmdir,
	.stat = real_stat,
	.list = real_list,
	.sync_dir = real_sync_dir,
	.sync_all = real_sync_all,
	.space = real_space,
	.mount_id = real_mount_id,
	.pread = real_pread,
	.pwritev = real_pwritev,
	.truncate = real_truncate,
	.allocate = real_truncate,	/* sparse: Java's preallocation sets the length and no more */
	.sync = real_sync,
	.fstat = real_fstat,
	.set_mtime = real_set_mtime,
	.lock = real_lock,
	.lock_holder = real_lock_holder,
	.map = real_map,
	.unmap = real_unmap,
	.cached = real_cached,
	.map_cached = real_map_cached,
	.advise = real_advise,
	.close = real_close,
};

struct fs *
fs_real(void)
{
	static struct fs real = { &real_ops };

	return (&real);
}
