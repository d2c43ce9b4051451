/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fs_mem.c - see fs_mem.h.
 *
 * A list of nodes by path.  An open file and a name each hold a reference to the node's content, so what is unlinked or replaced stays
 * readable to whoever has it open; a map holds one to the bytes.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/must.h"
#include "test/fuzz/fs_mem.h"

enum { FILE_MAX = 64 << 20 };

struct bytes {				/* room of a content; a map keeps it when the content moves on */
	unsigned refs;
	size_t	 room;
	uint8_t	 p[];
};

struct content {
	unsigned refs;
	struct bytes *bytes;		/* NULL: nothing yet */
	size_t	 len;
	int64_t	 mtime_ms;
	uint64_t ino;
	bool	 locked;
};

struct node {
	LIST_ENTRY(node) link;
	char	*path;
	struct content *content;	/* NULL: a directory */
};

struct fs_mem {
	struct fs	 fs;
	LIST_HEAD(, node) nodes;
	unsigned	 open;
	uint64_t	 inos;
	unsigned	 names_left;	/* to be made; then the disk is full */
};

struct mem_file {
	struct file	file;
	struct content *content;
};

/* ---- contents ---- */

static void
bytes_unref(struct bytes *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

static void
content_unref(struct content *c)
{
	if (--c->refs > 0)
		return;
	bytes_unref(c->bytes);
	free(c);
}

/* Zeros up to len. */
static enum err
content_grow(struct content *c, uint64_t len)
{
	size_t room = c->bytes == NULL ? 0 : c->bytes->room;

	if (len > FILE_MAX)
		return (ERR_NOSPACE);
	if (len > room) {
		struct bytes *b = xcalloc(1, sizeof(*b) + MAX((size_t)len, 2 * room));

		b->refs = 1;
		b->room = MAX((size_t)len, 2 * room);
		if (c->len > 0)
			memcpy(b->p, c->bytes->p, c->len);
		bytes_unref(c->bytes);
		c->bytes = b;
	}
	if (len > c->len) {
		memset(c->bytes->p + c->len, 0, (size_t)len - c->len);
		c->len = (size_t)len;
	}
	return (OK);
}

/* ---- names ---- */

static struct fs_mem *
mem(struct fs *fs)
{
	return (CONTAINER_OF(fs, struct fs_mem, fs));
}

static struct node *
find(struct fs_mem *m, const char *path)
{
	struct node *n;

	LIST_FOREACH(n, &m->nodes, link)
		if (strcmp(n->path, path) == 0)
			return (n);
	return (NULL);
}

static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return (strncmp(path, dir, n) == 0 && path[n] == '/');
}

static enum err
missing(struct errbuf *eb, const char *path)
{
	errbuf_set(eb, "%s: not there", path);
	return (ERR_NOENT);
}

static struct node *
add(struct fs_mem *m, const char *path, bool dir)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->path = xstrdup(path);
	if (!dir) {
		n->content = xcalloc(1, sizeof(*n->content));
		n->content->refs = 1;
		n->content->ino = ++m->inos;
	}
	LIST_INSERT_HEAD(&m->nodes, n, link);
	return (n);
}

static void
drop(struct node *n)
{
	LIST_REMOVE(n, link);
	if (n->content != NULL)
		content_unref(n->content);
	free(n->path);
	free(n);
}

static bool
parent_exists(struct fs_mem *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL || slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
	struct node *n = strcmp(dir, "/") == 0 ? NULL : find(m, dir);
	bool there = strcmp(dir, "/") == 0 || (n != NULL && n->content == NULL);

	free(dir);
	return (there);
}

static bool
is_full(struct fs_mem *m, const char *path, struct errbuf *eb)
{
	if (m->names_left == 0) {
		errbuf_set(eb, "%s: the disk is full", path);
		return (true);
	}
	m->names_left--;
	return (false);
}

void
fs_mem_limit(struct fs *fs, unsigned names)
{
	mem(fs)->names_left = names;
}

static enum err
mem_open(struct fs *fs, const char *path, unsigned flags, struct file **fp, struct errbuf *eb)
{
	struct fs_mem *m = mem(fs);
	struct node *n = find(m, path);
	struct mem_file *f;

	if (n != NULL && (flags & (FS_CREATE | FS_EXCL)) == (FS_CREATE | FS_EXCL)) {
		errbuf_set(eb, "%s: there already", path);
		return (ERR_EXISTS);
	}
	if (n != NULL && n->content == NULL) {
		errbuf_set(eb, "%s: a directory", path);
		return (ERR_IO);
	}
	if (n == NULL && ((flags & FS_CREATE) == 0 || !parent_exists(m, path)))
		return (missing(eb, path));
	if (n == NULL && is_full(m, path, eb))
		return (ERR_NOSPACE);
	if (n == NULL)
		n = add(m, path, false);
	if ((flags & FS_TRUNC) != 0)
		n->content->len = 0;
	f = xcalloc(1, sizeof(*f));
	f->file = (struct file){ .fs = fs, .refs = 1, .fd = -1, .path = xstrdup(path) };
	f->content = n->content;
	f->content->refs++;
	m->open++;
	*fp = &f->file;
	return (OK);
}

static enum err
mem_rename(struct fs *fs, const char *from, const char *to, struct errbuf *eb)
{
	struct fs_mem *m = mem(fs);
	struct node *n = find(m, from), *old = find(m, to), *k;

	if (n == NULL || !parent_exists(m, to))
		return (missing(eb, from));
	if (old != NULL && (old->content == NULL || n->content == NULL)) {
		errbuf_set(eb, "%s: there already", to);
		return (ERR_EXISTS);
	}
	if (old != NULL && old != n)
		drop(old);
	LIST_FOREACH(k, &m->nodes, link) {
		char *path;

		if (k != n && !is_below(k->path, from))
			continue;
		path = xasprintf("%s%s", to, k->path + strlen(from));
		free(k->path);
		k->path = path;
	}
	return (OK);
}

static enum err
mem_unlink(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct node *n = find(mem(fs), path);

	if (n == NULL || n->content == NULL)
		return (missing(eb, path));
	drop(n);
	return (OK);
}

static enum err
mem_mkdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	if (find(mem(fs), path) != NULL) {
		errbuf_set(eb, "%s: there already", path);
		return (ERR_EXISTS);
	}
	if (!parent_exists(mem(fs), path))
		return (missing(eb, path));
	if (is_full(mem(fs), path, eb))
		return (ERR_NOSPACE);
	(void)add(mem(fs), path, true);
	return (OK);
}

static enum err
mem_rmdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct node *n = find(mem(fs), path), *k;

	if (n == NULL || n->content != NULL)
		return (missing(eb, path));
	LIST_FOREACH(k, &mem(fs)->nodes, link)
		if (is_below(k->path, path)) {
			errbuf_set(eb, "%s: not empty", path);
			return (ERR_EXISTS);
		}
	drop(n);
	return (OK);
}

static struct fs_stat
stat_of(const struct content *c)
{
	return ((struct fs_stat){ .size = c == NULL ? 0 : c->len, .mtime_ms = c == NULL ? 0 : c->mtime_ms, .dev = 1, .ino = c == NULL ? 0 : c->ino,
	    .is_dir = c == NULL });
}

static enum err
mem_stat(struct fs *fs, const char *path, struct fs_stat *out, struct errbuf *eb)
{
	struct node *n = find(mem(fs), path);

	if (n == NULL)
		return (missing(eb, path));
	*out = stat_of(n->content);
	return (OK);
}

/* The callback may change the directory: names are taken down first. */
static enum err
mem_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb)
{
	enum { NAMES_MAX = 256 };
	struct { char *name; bool dir; } names[NAMES_MAX];
	struct node *n = find(mem(fs), path);
	size_t count = 0, below = strlen(path) + 1;
	bool more = true;

	if (n == NULL || n->content != NULL)
		return (missing(eb, path));
	LIST_FOREACH(n, &mem(fs)->nodes, link)
		if (is_below(n->path, path) && strchr(n->path + below, '/') == NULL) {
			must(count < NAMES_MAX);
			names[count].name = xstrdup(n->path + below);
			names[count++].dir = n->content == NULL;
		}
	for (size_t i = 0; i < count; i++) {
		more = more && fn(ctx, names[i].name, names[i].dir);
		free(names[i].name);
	}
	return (OK);
}

static enum err
mem_sync_path(struct fs *fs, const char *path, struct errbuf *eb)
{
	return (strcmp(path, "/") != 0 && find(mem(fs), path) == NULL ? missing(eb, path) : OK);
}

static enum err
mem_space(struct fs *fs, const char *path, struct fs_space *out, struct errbuf *eb)
{
	(void)fs;
	(void)path;
	(void)eb;
	*out = (struct fs_space){ UINT64_C(1) << 40, UINT64_C(1) << 39 };
	return (OK);
}

static enum err
mem_mount_id(struct fs *fs, const char *path, uint64_t *out, struct errbuf *eb)
{
	(void)fs;
	(void)path;
	(void)eb;
	*out = 1;
	return (OK);
}

/* ---- open files ---- */

static struct content *
of(struct file *f)
{
	return (CONTAINER_OF(f, struct mem_file, file)->content);
}

static enum err
mem_pread(struct file *f, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb)
{
	struct content *c = of(f);

	(void)eb;
	*got = pos >= c->len ? 0 : MIN(len, c->len - (size_t)pos);
	if (*got > 0)
		memcpy(buf, c->bytes->p + pos, *got);
	return (OK);
}

static enum err
mem_pwritev(struct file *f, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	struct content *c = of(f);

	for (unsigned i = 0; i < n; i++) {
		if (v[i].len == 0)
			continue;
		if (pos + v[i].len > c->len && content_grow(c, pos + v[i].len) != OK) {
			errbuf_set(eb, "%s: too large", f->path);
			return (ERR_NOSPACE);
		}
		memcpy(c->bytes->p + pos, v[i].p, v[i].len);
		pos += v[i].len;
	}
	return (OK);
}

static enum err
mem_truncate(struct file *f, uint64_t len, struct errbuf *eb)
{
	struct content *c = of(f);

	if (len > c->len && content_grow(c, len) != OK) {
		errbuf_set(eb, "%s: too large", f->path);
		return (ERR_NOSPACE);
	}
	c->len = (size_t)len;
	return (OK);
}

static enum err
mem_sync(struct file *f, struct errbuf *eb)
{
	(void)f;
	(void)eb;
	return (OK);
}

static enum err
mem_fstat(struct file *f, struct fs_stat *out, struct errbuf *eb)
{
	(void)eb;
	*out = stat_of(of(f));
	return (OK);
}

static enum err
mem_set_mtime(struct file *f, int64_t mtime_ms, struct errbuf *eb)
{
	(void)eb;
	of(f)->mtime_ms = mtime_ms;
	return (OK);
}

/* A lock belongs to the process, as fcntl's do: this one never meets another. */
static enum err
mem_lock(struct file *f, int *holder, struct errbuf *eb)
{
	(void)eb;
	*holder = 0;
	of(f)->locked = true;
	return (OK);
}

static enum err
mem_lock_holder(struct file *f, int *pid, struct errbuf *eb)
{
	(void)f;
	(void)eb;
	*pid = 0;
	return (OK);
}

static enum err
mem_map(struct file *f, size_t len, struct file_map *map, struct errbuf *eb)
{
	struct content *c = of(f);

	if (len > c->len) {
		errbuf_set(eb, "%s: shorter than the map", f->path);
		return (ERR_CORRUPT);
	}
	if (c->bytes == NULL)
		(void)content_grow(c, 1), c->len = 0;
	c->bytes->refs++;
	*map = (struct file_map){ c->bytes->p, len, c->bytes };
	return (OK);
}

static void
mem_unmap(struct file_map *map)
{
	bytes_unref(map->priv);
	*map = (struct file_map){ 0 };
}

static bool
mem_cached(struct file *f, uint64_t pos, size_t len)
{
	(void)f;
	(void)pos;
	(void)len;
	return (true);
}

static void
mem_close(struct file *f)
{
	mem(f->fs)->open--;
	content_unref(of(f));
	free(f->path);
	free(CONTAINER_OF(f, struct mem_file, file));
}

static const struct fs_ops mem_ops = {
	.open = mem_open, .rename = mem_rename, .unlink = mem_unlink, .mkdir = mem_mkdir, .rmdir = mem_rmdir, .stat = mem_stat, .list = mem_list,
	.sync_dir = mem_sync_path, .sync_all = mem_sync_path, .space = mem_space, .mount_id = mem_mount_id, .pread = mem_pread,
	.pwritev = mem_pwritev, .truncate = mem_truncate, .allocate = mem_truncate, .sync = mem_sync, .fstat = mem_fstat,
	.set_mtime = mem_set_mtime, .lock = mem_lock, .lock_holder = mem_lock_holder, .map = mem_map, .unmap = mem_unmap, .cached = mem_cached,
	.close = mem_close,
};

/* ---- for the test ---- */

struct fs *
fs_mem_new(void)
{
	struct fs_mem *m = xcalloc(1, sizeof(*m));

	m->fs.ops = &mem_ops;
	m->names_left = UINT_MAX;
	LIST_INIT(&m->nodes);
	return (&m->fs);
}

unsigned
fs_mem_free(struct fs **fsp)
{
	struct fs_mem *m = mem(*fsp);
	unsigned open = m->open;

	while (!LIST_EMPTY(&m->nodes))
		drop(LIST_FIRST(&m->nodes));
	free(m);
	*fsp = NULL;
	return (open);
}

void
fs_mem_put(struct fs *fs, const char *path, struct slice content)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL || slash == path ? NULL : xstrndup(path, (size_t)(slash - path));
	struct file *f = NULL;

	if (dir != NULL)
		must(fs_mkdir_p(fs, dir, NULL) == OK);
	free(dir);
	must(file_open(fs, path, FS_RDWR | FS_CREATE | FS_TRUNC, &f, NULL) == OK);
	must(file_pwrite(f, content.p, content.len, 0, NULL) == OK);
	file_unref(&f);
}

struct slice
fs_mem_get(struct fs *fs, const char *path)
{
	struct node *n = find(mem(fs), path);

	if (n == NULL || n->content == NULL)
		return (SLICE_NULL);
	return (n->content->len == 0 ? SLICE_LIT("") : slice_of(n->content->bytes->p, n->content->len));
}
