/* SPDX-License-Identifier: Apache-2.0
 *
 * base/fs.c - what every file system has in common: references, and the convenience functions over the table.  See fs.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/must.h"

#define PROC_FILE_MAX	((size_t)4096)

struct file *
file_ref(struct file *f)
{
	uint32_t before = __atomic_fetch_add((uint32_t *)&f->refs, 1, __ATOMIC_RELAXED);

	must(before > 0);
	return (f);
}

void
file_unref(struct file **fp)
{
	struct file *f = *fp;
	uint32_t before;

	*fp = NULL;
	if (f == NULL)
		return;
	before = __atomic_fetch_sub((uint32_t *)&f->refs, 1, __ATOMIC_ACQ_REL);
	must(before > 0);
	if (before == 1)
		f->fs->ops->close(f);
}

void
file_range_fini(struct file_range *r)
{
	file_unref(&r->file);
	r->pos = r->len = 0;
}

enum err
file_open(struct fs *fs, const char *path, unsigned flags, struct file **fp, struct errbuf *eb)
{
	must(*fp == NULL);
	return (fs->ops->open(fs, path, flags, fp, eb));
}

enum err
file_pread(struct file *f, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb)
{
	return (f->fs->ops->pread(f, buf, len, pos, got, eb));
}

enum err
file_pread_full(struct file *f, void *buf, size_t len, uint64_t pos, struct errbuf *eb)
{
	size_t got = 0;
	enum err e = file_pread(f, buf, len, pos, &got, eb);

	if (e == OK && got < len) {
		errbuf_set(eb, "%s: ends at %llu, expected %zu more bytes", f->path, (unsigned long long)(pos + got), len - got);
		e = ERR_CORRUPT;
	}
	return (e);
}

enum err
file_pwrite(struct file *f, const void *buf, size_t len, uint64_t pos, struct errbuf *eb)
{
	struct slice s = slice_of(buf, len);

	return (f->fs->ops->pwritev(f, &s, 1, pos, eb));
}

void
file_advise(struct file *f, enum fs_advice advice, uint64_t pos, size_t len)
{
	if (f->fs->ops->advise != NULL)
		f->fs->ops->advise(f, advice, pos, len);
}

enum err
file_size(struct file *f, uint64_t *size, struct errbuf *eb)
{
	struct fs_stat st;
	enum err e = f->fs->ops->fstat(f, &st, eb);

	if (e == OK)
		*size = st.size;
	return (e);
}

enum err
fs_read_file(struct fs *fs, const char *path, size_t len_max, char **textp, size_t *lenp, struct errbuf *eb)
{
	struct file *f = NULL;
	char *text = NULL;
	uint64_t size = 0;
	enum err e;

	e = file_open(fs, path, FS_RDONLY, &f, eb);
	if (e == OK)
		e = file_size(f, &size, eb);
	if (e == OK && size > len_max) {
		errbuf_set(eb, "%s: %llu bytes, more than the limit of %zu", path, (unsigned long long)size, len_max);
		e = ERR_LIMIT;
	}
	if (e != OK)
		goto out;
	if (size == 0)		/* files of /proc have no size, but may have content */
		size = MIN(len_max, PROC_FILE_MAX);
	text = xmalloc((size_t)size + 1);
	e = file_pread(f, text, (size_t)size, 0, lenp, eb);
	if (e != OK)
		goto out;
	text[*lenp] = '\0';
	*textp = text;
	text = NULL;
out:
	free(text);
	file_unref(&f);
	return (e);
}

/* The directory of a path, for syncing it; free() it. */
static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return (xstrdup("."));
	return (slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path)));
}

enum err
fs_sync_parent(struct fs *fs, const char *path, struct errbuf *eb)
{
	char *dir = parent_of(path);
	enum err e = fs->ops->sync_dir(fs, dir, eb);

	free(dir);
	return (e);
}

static enum err
write_new(struct fs *fs, const char *path, unsigned flags, struct slice content, struct errbuf *eb)
{
	struct file *f = NULL;
	enum err e = file_open(fs, path, FS_RDWR | FS_CREATE | flags, &f, eb);

	if (e == OK)
		e = file_pwrite(f, content.p, content.len, 0, eb);
	if (e == OK)
		e = fs->ops->sync(f, eb);
	file_unref(&f);
	return (e);
}

static enum err
replace(struct fs *fs, const char *path, const char *tmp, unsigned flags, struct slice content, struct errbuf *eb)
{
	enum err e = write_new(fs, tmp, flags, content, eb);

	if (e == OK)
		e = fs->ops->rename(fs, tmp, path, eb);
	if (e != OK)
		(void)fs->ops->unlink(fs, tmp, NULL);
	return (e);
}

enum err
fs_replace_file(struct fs *fs, const char *path, struct slice content, struct errbuf *eb)
{
	char *tmp = xasprintf("%s.tmp", path);
	enum err e = replace(fs, path, tmp, FS_TRUNC, content, eb);

	free(tmp);
	return (e);
}

enum err
fs_write_file_atomic(struct fs *fs, const char *path, struct slice content, struct errbuf *eb)
{
	enum err e = fs_replace_file(fs, path, content, eb);

	return (e == OK ? fs_sync_parent(fs, path, eb) : e);
}

/* What stands under the temporary name may be somebody's who wants to read along: it goes, and a new file is made. */
enum err
fs_write_secret_atomic(struct fs *fs, const char *path, struct slice content, struct errbuf *eb)
{
	char *tmp = xasprintf("%s.tmp", path);
	enum err e;

	(void)fs->ops->unlink(fs, tmp, NULL);
	e = replace(fs, path, tmp, FS_EXCL | FS_NOFOLLOW | FS_PRIVATE, content, eb);
	free(tmp);
	return (e == OK ? fs_sync_parent(fs, path, eb) : e);
}

bool
fs_exists(struct fs *fs, const char *path)
{
	struct fs_stat st;

	return (fs->ops->stat(fs, path, &st, NULL) == OK);
}

static enum err
mkdir_one(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	struct fs_stat st;
	enum err e = fs->ops->mkdir(fs, path, &why);

	/* Already there, or on the way and not ours to make (a read-only or foreign parent): a directory is all that is asked for. */
	if (e != OK && fs->ops->stat(fs, path, &st, NULL) == OK && st.is_dir)
		return (OK);
	if (e != OK)
		errbuf_set(eb, "%s", why.text);
	else
		e = fs_sync_parent(fs, path, eb);
	return (e);
}

enum err
fs_mkdir_p(struct fs *fs, const char *path, struct errbuf *eb)
{
	char *part = xstrdup(path);
	enum err e = OK;

	for (char *p = part + 1; part[0] != '\0' && *p != '\0' && e == OK; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		e = mkdir_one(fs, part, eb);
		*p = '/';
	}
	if (e == OK)
		e = mkdir_one(fs, path, eb);
	free(part);
	return (e);
}

/* ---- remove a tree ---- */
struct names {
	char  **v;
	size_t	n, size;
};

static bool
collect(void *ctx, const char *name, bool is_dir)
{
	struct names *ns = ctx;

	(void)is_dir;	/* perhaps a link to a directory elsewhere: unlink decides */
	if (ns->n == ns->size) {
		ns->size = ns->size == 0 ? 16 : ns->size * 2;
		ns->v = xreallocarray(ns->v, ns->size, sizeof(ns->v[0]));
	}
	ns->v[ns->n++] = xstrdup(name);
	return (true);
}

static enum err
remove_entries(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct names ns = { 0 };
	enum err e = fs->ops->list(fs, path, collect, &ns, eb);

	for (size_t i = 0; i < ns.n; i++) {
		char *child = xasprintf("%s/%s", path, ns.v[i]);

		if (e == OK)
			e = fs_remove_tree(fs, child, eb);
		free(child);
		free(ns.v[i]);
	}
	free(ns.v);
	return (e);
}

enum err
fs_remove_tree(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	struct fs_stat st;
	enum err e = fs->ops->unlink(fs, path, &why);

	if (e == OK || e == ERR_NOENT)
		return (OK);
	if (fs->ops->stat(fs, path, &st, NULL) != OK || !st.is_dir) {
		errbuf_set(eb, "%s", why.text);
		return (e);
	}
	e = remove_entries(fs, path, eb);
	if (e == OK)
		e = fs->ops->rmdir(fs, path, eb);
	return (e == ERR_NOENT ? OK : e);	/* somebody else was faster */
}
