/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/vfs.c - see vfs.h.
 *
 * A file that was made here is durable only with its name: its first sync syncs the directory, too.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zkserver/vfs.h"

enum { SECTOR = 4096, PATH_LEN_MAX = 4096 };

struct vfs {
	sqlite3_vfs   vfs;		/* first: SQLite hands it back */
	struct fs    *fs;
	struct random *random;
	char	      name[40];
	enum err      error;
	struct errbuf words;
};

struct vfs_file {
	sqlite3_file  file;		/* first */
	struct vfs   *vfs;
	struct file  *f;
	bool	      made;		/* its name is not durable yet */
	bool	      locked;
};

static struct vfs *
vfs_of(sqlite3_vfs *v)
{
	return (CONTAINER_OF(v, struct vfs, vfs));
}

static struct vfs_file *
file_of(sqlite3_file *f)
{
	return (CONTAINER_OF(f, struct vfs_file, file));
}

/* `otherwise` is what SQLite hears of any error that is not about space. */
static int
said(struct vfs *v, enum err e, const struct errbuf *eb, int otherwise)
{
	if (e == OK)
		return (SQLITE_OK);
	if (v->error == OK) {
		v->error = e;
		v->words = *eb;
	}
	return (e == ERR_NOSPACE ? SQLITE_FULL : otherwise);
}

/* ---- one file ---- */

static int
x_close(sqlite3_file *file)
{
	file_unref(&file_of(file)->f);
	return (SQLITE_OK);
}

static int
x_read(sqlite3_file *file, void *buffer, int len, sqlite3_int64 pos)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;
	size_t got = 0;
	enum err e = file_pread(f->f, buffer, (size_t)len, (uint64_t)pos, &got, &eb);

	if (e != OK)
		return (said(f->vfs, e, &eb, SQLITE_IOERR_READ));
	if (got == (size_t)len)
		return (SQLITE_OK);
	memset((uint8_t *)buffer + got, 0, (size_t)len - got);
	return (SQLITE_IOERR_SHORT_READ);
}

static int
x_write(sqlite3_file *file, const void *buffer, int len, sqlite3_int64 pos)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;

	return (said(f->vfs, file_pwrite(f->f, buffer, (size_t)len, (uint64_t)pos, &eb), &eb, SQLITE_IOERR_WRITE));
}

static int
x_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;

	return (said(f->vfs, f->vfs->fs->ops->truncate(f->f, (uint64_t)len, &eb), &eb, SQLITE_IOERR_TRUNCATE));
}

static int
x_sync(sqlite3_file *file, int flags)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;
	enum err e = f->vfs->fs->ops->sync(f->f, &eb);

	(void)flags;
	if (e == OK && f->made && (e = fs_sync_parent(f->vfs->fs, f->f->path, &eb)) == OK)
		f->made = false;
	return (said(f->vfs, e, &eb, SQLITE_IOERR_FSYNC));
}

static int
x_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;
	uint64_t n = 0;
	enum err e = file_size(f->f, &n, &eb);

	*size = (sqlite3_int64)n;
	return (said(f->vfs, e, &eb, SQLITE_IOERR_FSTAT));
}

static int
x_lock(sqlite3_file *file, int level)
{
	struct vfs_file *f = file_of(file);
	struct errbuf eb = ERRBUF_INIT;
	int pid = 0;
	enum err e;

	(void)level;
	if (f->locked)
		return (SQLITE_OK);
	e = f->vfs->fs->ops->lock(f->f, &pid, &eb);
	f->locked = e == OK;
	return (said(f->vfs, e, &eb, e == ERR_LOCKED ? SQLITE_BUSY : SQLITE_IOERR_LOCK));
}

static int
x_unlock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return (SQLITE_OK);
}

static int
x_check_reserved(sqlite3_file *file, int *reserved)
{
	(void)file;
	*reserved = 0;		/* whoever gets so far has the lock */
	return (SQLITE_OK);
}

static int
x_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return (SQLITE_NOTFOUND);
}

static int
x_sector(sqlite3_file *file)
{
	(void)file;
	return (SECTOR);
}

/* Nothing is promised: a torn sector may take its neighbours along. */
static int
x_characteristics(sqlite3_file *file)
{
	(void)file;
	return (0);
}

static const sqlite3_io_methods methods = {
	.iVersion = 1, .xClose = x_close, .xRead = x_read, .xWrite = x_write, .xTruncate = x_truncate, .xSync = x_sync, .xFileSize = x_size,
	.xLock = x_lock, .xUnlock = x_unlock, .xCheckReservedLock = x_check_reserved, .xFileControl = x_control, .xSectorSize = x_sector,
	.xDeviceCharacteristics = x_characteristics,
};

/* ---- names ---- */

static int
x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct vfs_file *f = file_of(file);
	struct vfs *v = vfs_of(vfs);
	struct errbuf eb = ERRBUF_INIT;
	enum err e;

	f->file.pMethods = NULL;	/* until it is open: no xClose */
	if (name == NULL)
		return (SQLITE_CANTOPEN);
	f->vfs = v;
	f->locked = false;
	f->made = !fs_exists(v->fs, name);
	e = file_open(v->fs, name, FS_RDWR | FS_NOFOLLOW | FS_PRIVATE | ((flags & SQLITE_OPEN_CREATE) != 0 ? FS_CREATE : 0), &f->f, &eb);
	if (e != OK)
		return (said(v, e, &eb, SQLITE_CANTOPEN));
	f->file.pMethods = &methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return (SQLITE_OK);
}

static int
x_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct vfs *v = vfs_of(vfs);
	struct errbuf eb = ERRBUF_INIT;
	enum err e = v->fs->ops->unlink(v->fs, name, &eb);

	if (e == ERR_NOTFOUND)
		return (SQLITE_IOERR_DELETE_NOENT);
	if (e == OK && sync != 0)
		e = fs_sync_parent(v->fs, name, &eb);
	return (said(v, e, &eb, SQLITE_IOERR_DELETE));
}

static int
x_access(sqlite3_vfs *vfs, const char *name, int flags, int *yes)
{
	(void)flags;
	*yes = fs_exists(vfs_of(vfs)->fs, name);
	return (SQLITE_OK);
}

static int
x_full_pathname(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	(void)vfs;
	return (snprintf(out, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN);
}

static int
x_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	vfs_of(vfs)->random->fill(vfs_of(vfs)->random, out, (size_t)len);
	return (len);
}

static int
x_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;	/* it sleeps to wait for locks: ours is taken or not */
	return (us);
}

static int
x_current_time(sqlite3_vfs *vfs, double *julian)
{
	(void)vfs;
	*julian = 2440587.5;	/* 1970: nothing here asks for the time */
	return (SQLITE_OK);
}

static int
x_last_error(sqlite3_vfs *vfs, int room, char *out)
{
	(void)vfs;
	if (room > 0)
		*out = '\0';
	return (0);
}

struct vfs *
vfs_new(struct fs *fs, struct random *random)
{
	struct vfs *v = xcalloc(1, sizeof(*v));

	v->fs = fs;
	v->random = random;
	snprintf(v->name, sizeof(v->name), "ottla-%p", (void *)v);
	v->vfs = (sqlite3_vfs){
		.iVersion = 1, .szOsFile = sizeof(struct vfs_file), .mxPathname = PATH_LEN_MAX, .zName = v->name, .xOpen = x_open, .xDelete = x_delete,
		.xAccess = x_access, .xFullPathname = x_full_pathname, .xRandomness = x_randomness, .xSleep = x_sleep, .xCurrentTime = x_current_time,
		.xGetLastError = x_last_error,
	};
	must(sqlite3_vfs_register(&v->vfs, 0) == SQLITE_OK);
	return (v);
}

void
vfs_free(struct vfs **vp)
{
	if (*vp == NULL)
		return;
	must(sqlite3_vfs_unregister(&(*vp)->vfs) == SQLITE_OK);
	free(*vp);
	*vp = NULL;
}

const char *
vfs_name(const struct vfs *v)
{
	return (v->name);
}

enum err
vfs_error(struct vfs *v, struct errbuf *eb)
{
	enum err e = v->error;

	if (e != OK)
		errbuf_set(eb, "%s", v->words.text);
	v->error = OK;
	return (e);
}
