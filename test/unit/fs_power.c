/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/fs_power.c - see fs_power.h.
 *
 * A node is a file or a directory; directories name nodes by number, so that a copy of the world is a copy of its nodes.  Nothing is forgotten
 * while the world lives: a node whose last name is gone may be on the disk still.
 *
 * (1) Of a file's page, now[i] is what a read sees, disk[i] what survives for certain, once[i] something between (may be NULL: none).  NULL: zeros.
 * (2) A page that is shared (refs > 1) is never written.
 * (3) !dirty[i]: now[i] and disk[i] have the same bytes as far as both sizes reach.
 * (4) `pending` are the changes of a directory's names since its sync, oldest first; applying all of them to the disk's names gives today's.
 * (5) Bytes of a now page behind the size are zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/random.h"
#include "test/unit/fs_fault.h"
#include "test/unit/fs_power.h"

enum { PAGE = FS_POWER_PAGE, SIZES_MAX = 8, NAME_ROOM = 128, NOWHERE = -1 };

struct page {
	unsigned refs;
	uint8_t	 b[PAGE];
};

struct name {
	char text[NAME_ROOM];
	int  node;
};

struct names {
	struct name *v;
	unsigned     n, room;
};

struct change {			/* of names in one directory */
	char removed[NAME_ROOM];	/* "": nothing */
	char set[NAME_ROOM];		/* "": nothing */
	int  node;
};

struct map_copy {
	struct map_copy *next;
	struct world	*w;
	int		 node;
	uint8_t		*p;
	size_t		 len;
};

struct node {
	bool	      is_dir;
	int64_t	      mtime_ms;
	/* a file */
	struct page **now, **disk, **once;
	bool	     *dirty;
	unsigned      room;			/* pages in each of these */
	uint64_t      size, disk_size;
	uint64_t      sizes[SIZES_MAX];		/* that it had since the sync */
	unsigned      nsizes;
	uint64_t      cut;			/* the shortest that it was since the sync; UINT64_MAX: not cut */
	struct map_copy *maps;
	/* a directory */
	struct names  names, disk_names;
	struct change *pending;
	unsigned      npending;
};

struct world {
	struct fs	     fs;
	struct clock	    *clock;
	struct lock	     lock;		/* all below */
	struct node	   **nodes;		/* 0: the root; NULL: left out by a copy */
	unsigned	     n;
	unsigned	     open_files;
	struct random_seeded random;		/* which pages were written back on the way */
	unsigned	     ops;
	void		   (*at)(void *, const char *);
	void		    *at_ctx;
};

struct power_file {
	struct file file;
	int	    node;
};

static struct world *
world_of(struct fs *fs)
{
	return (CONTAINER_OF(fs, struct world, fs));
}

static struct node *
node_of(struct file *f)
{
	return (world_of(f->fs)->nodes[CONTAINER_OF(f, struct power_file, file)->node]);
}

static void
watch(struct fs *fs, unsigned op, const char *doing, const char *path)
{
	struct world *w = world_of(fs);
	char what[600];

	if ((w->ops & op) == 0 || w->at == NULL)
		return;
	snprintf(what, sizeof(what), "%s %s", doing, path);
	w->at(w->at_ctx, what);
}

/* ---- pages ---- */

static struct page *
page_ref(struct page *p)
{
	if (p != NULL)
		__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return (p);
}

static void
page_unref(struct page **pp)
{
	struct page *p = *pp;

	*pp = NULL;
	if (p != NULL && __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(p);
}

static void
page_set(struct page **slot, struct page *p)	/* takes the reference */
{
	page_unref(slot);
	*slot = p;
}

/* One of its own, to be written. */
static struct page *
page_own(struct page **slot)
{
	struct page *p = *slot, *fresh;

	if (p != NULL && p->refs == 1)
		return (p);
	fresh = xcalloc(1, sizeof(*fresh));
	fresh->refs = 1;
	if (p != NULL)
		memcpy(fresh->b, p->b, PAGE);
	page_set(slot, fresh);
	return (fresh);
}

static unsigned
pages_of(uint64_t size)
{
	return ((unsigned)((size + PAGE - 1) / PAGE));
}

static void
grow(struct node *n, unsigned pages)
{
	if (pages <= n->room)
		return;
	pages = MAX(pages, n->room * 2);
	n->now = xreallocarray(n->now, pages, sizeof(*n->now));
	n->disk = xreallocarray(n->disk, pages, sizeof(*n->disk));
	n->once = xreallocarray(n->once, pages, sizeof(*n->once));
	n->dirty = xreallocarray(n->dirty, pages, sizeof(*n->dirty));
	for (unsigned i = n->room; i < pages; i++) {
		n->now[i] = n->disk[i] = n->once[i] = NULL;
		n->dirty[i] = false;
	}
	n->room = pages;
}

static void
update_maps(struct node *n, unsigned i)
{
	for (struct map_copy *m = n->maps; m != NULL; m = m->next) {
		size_t from = (size_t)i * PAGE;

		if (from >= m->len)
			continue;
		if (n->now[i] == NULL)
			memset(m->p + from, 0, MIN((size_t)PAGE, m->len - from));
		else
			memcpy(m->p + from, n->now[i]->b, MIN((size_t)PAGE, m->len - from));
	}
}

/* Sometimes what stands there now has reached the disk before it is written again. */
static void
will_change(struct world *w, struct node *n, unsigned i)
{
	if (n->dirty[i] && random_below(&w->random.random, 4) == 0)
		page_set(&n->once[i], page_ref(n->now[i]));
	n->dirty[i] = true;
}

static void
write_bytes(struct world *w, struct node *n, const uint8_t *p, size_t len, uint64_t pos)
{
	while (len > 0) {
		unsigned i = (unsigned)(pos / PAGE), off = (unsigned)(pos % PAGE);
		size_t part = MIN(len, (size_t)(PAGE - off));

		grow(n, i + 1);
		will_change(w, n, i);
		memcpy(page_own(&n->now[i])->b + off, p, part);
		update_maps(n, i);
		p += part;
		pos += part;
		len -= part;
	}
}

static void
set_size(struct world *w, struct node *n, uint64_t size)
{
	static const uint8_t zeros[PAGE];
	unsigned keep = pages_of(size), had = pages_of(n->size);

	if (n->size == size)
		return;
	if (n->nsizes < SIZES_MAX)
		n->sizes[n->nsizes++] = n->size;
	if (size < n->size) {
		n->cut = MIN(n->cut, size);
		if (size % PAGE != 0 && n->now[keep - 1] != NULL)
			write_bytes(w, n, zeros, PAGE - size % PAGE, size);
		for (unsigned i = keep; i < had && i < n->room; i++) {
			will_change(w, n, i);
			page_set(&n->now[i], NULL);
			update_maps(n, i);
		}
	}
	grow(n, keep);
	n->size = size;
}

static void
sync_node(struct node *n)
{
	for (unsigned i = 0; i < n->room; i++) {
		if (n->dirty[i])
			page_set(&n->disk[i], page_ref(n->now[i]));
		page_unref(&n->once[i]);
		n->dirty[i] = false;
	}
	n->disk_size = n->size;
	n->nsizes = 0;
	n->cut = UINT64_MAX;
}

/* ---- names ---- */

static int
names_at(const struct names *ns, const char *text)
{
	for (unsigned i = 0; i < ns->n; i++)
		if (strcmp(ns->v[i].text, text) == 0)
			return ((int)i);
	return (NOWHERE);
}

static void
names_set(struct names *ns, const char *text, int node)
{
	int at = names_at(ns, text);

	if (at == NOWHERE) {
		if (ns->n == ns->room) {
			ns->room = ns->room == 0 ? 16 : ns->room * 2;
			ns->v = xreallocarray(ns->v, ns->room, sizeof(*ns->v));
		}
		at = (int)ns->n++;
		snprintf(ns->v[at].text, NAME_ROOM, "%s", text);
	}
	ns->v[at].node = node;
}

static void
names_remove(struct names *ns, const char *text)
{
	int at = names_at(ns, text);

	if (at != NOWHERE)
		ns->v[at] = ns->v[--ns->n];
}

static void
names_copy(struct names *to, const struct names *from)
{
	to->n = to->room = from->n;
	to->v = xreallocarray(to->v, MAX(from->n, 1u), sizeof(*to->v));
	if (from->n > 0)
		memcpy(to->v, from->v, from->n * sizeof(*from->v));
}

static void
apply(struct names *ns, const struct change *c)
{
	if (c->removed[0] != '\0')
		names_remove(ns, c->removed);
	if (c->set[0] != '\0')
		names_set(ns, c->set, c->node);
}

static void
change(struct node *dir, const char *removed, const char *set, int node)
{
	struct change *c;

	dir->pending = xreallocarray(dir->pending, dir->npending + 1, sizeof(*dir->pending));
	c = &dir->pending[dir->npending++];
	*c = (struct change){ .node = node };
	snprintf(c->removed, NAME_ROOM, "%s", removed == NULL ? "" : removed);
	snprintf(c->set, NAME_ROOM, "%s", set == NULL ? "" : set);
	apply(&dir->names, c);
}

static void
sync_names(struct node *dir)
{
	names_copy(&dir->disk_names, &dir->names);
	dir->npending = 0;
}

/* ---- nodes ---- */

static int
add_node(struct world *w, bool is_dir)
{
	struct node *n = xcalloc(1, sizeof(*n));

	n->is_dir = is_dir;
	n->cut = UINT64_MAX;
	n->mtime_ms = clock_wall_ms(w->clock);
	w->nodes = xreallocarray(w->nodes, w->n + 1, sizeof(*w->nodes));
	w->nodes[w->n] = n;
	return ((int)w->n++);
}

static void
free_node(struct node *n)
{
	if (n == NULL)
		return;
	must(n->maps == NULL);
	for (unsigned i = 0; i < n->room; i++) {
		page_unref(&n->now[i]);
		page_unref(&n->disk[i]);
		page_unref(&n->once[i]);
	}
	free(n->now);
	free(n->disk);
	free(n->once);
	free(n->dirty);
	free(n->names.v);
	free(n->disk_names.v);
	free(n->pending);
	free(n);
}

/* The directory that holds the last part of a path, and that part; -1: not there.  "/": the root itself, last is empty. */
static int
walk(const struct world *w, const char *path, char last[NAME_ROOM])
{
	int at = 0, dir = 0;

	last[0] = '\0';
	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (len > 0) {
			if (at == NOWHERE || !w->nodes[at]->is_dir)
				return (NOWHERE);
			dir = at;
			must(len < NAME_ROOM);
			memcpy(last, path, len);
			last[len] = '\0';
			at = names_at(&w->nodes[dir]->names, last);
			if (at != NOWHERE)
				at = w->nodes[dir]->names.v[at].node;
		}
		path += len + (path[len] == '/');
	}
	return (dir);
}

static int
find(const struct world *w, const char *path)
{
	char last[NAME_ROOM];
	int dir = walk(w, path, last), at;

	if (dir == NOWHERE || last[0] == '\0')
		return (dir);
	at = names_at(&w->nodes[dir]->names, last);
	return (at == NOWHERE ? NOWHERE : w->nodes[dir]->names.v[at].node);
}

static enum err
no_such(const char *path, struct errbuf *eb)
{
	errbuf_set(eb, "%s: no such file or directory", path);
	return (ERR_NOENT);
}

/* ---- the calls on paths ---- */

static enum err
open_node(struct world *w, const char *path, unsigned flags, int *node, struct errbuf *eb)
{
	char last[NAME_ROOM];
	int dir = walk(w, path, last);

	*node = find(w, path);
	if (dir == NOWHERE || (*node == NOWHERE && (flags & FS_CREATE) == 0))
		return (no_such(path, eb));
	if (*node == NOWHERE) {
		*node = add_node(w, false);
		change(w->nodes[dir], NULL, last, *node);
	} else if ((flags & FS_EXCL) != 0)
		return (ERR_EXISTS);
	if (w->nodes[*node]->is_dir)
		return (ERR_INVALID);
	if ((flags & FS_TRUNC) != 0)
		set_size(w, w->nodes[*node], 0);
	return (OK);
}

static enum err
power_open(struct fs *fs, const char *path, unsigned flags, struct file **fp, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	struct power_file *f;
	enum err e;
	int node;

	watch(fs, FS_FAULT_OPEN, "open", path);
	lock_acquire(&w->lock);
	e = open_node(w, path, flags, &node, eb);
	w->open_files += e == OK;
	lock_release(&w->lock);
	if (e != OK)
		return (e);
	f = xcalloc(1, sizeof(*f));
	f->file = (struct file){ .fs = fs, .refs = 1, .fd = -1, .path = xstrdup(path) };
	f->node = node;
	*fp = &f->file;
	return (OK);
}

static void
power_close(struct file *f)
{
	struct world *w = world_of(f->fs);

	lock_acquire(&w->lock);
	w->open_files--;
	lock_release(&w->lock);
	free(f->path);
	free(CONTAINER_OF(f, struct power_file, file));
}

static enum err
power_rename(struct fs *fs, const char *from, const char *to, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	char old[NAME_ROOM], new[NAME_ROOM];
	int dir, node;
	enum err e = OK;

	watch(fs, FS_FAULT_RENAME, "rename", from);
	lock_acquire(&w->lock);
	dir = walk(w, from, old);
	node = find(w, from);
	if (node == NOWHERE)
		e = no_such(from, eb);
	else if (walk(w, to, new) != dir)
		e = ERR_UNSUPPORTED;
	else
		change(w->nodes[dir], old, new, node);
	lock_release(&w->lock);
	return (e);
}

static enum err
remove_name(struct fs *fs, const char *path, bool is_dir, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	char last[NAME_ROOM];
	int dir, node;
	enum err e = OK;

	lock_acquire(&w->lock);
	dir = walk(w, path, last);
	node = find(w, path);
	if (node == NOWHERE)
		e = no_such(path, eb);
	else if (w->nodes[node]->is_dir != is_dir || w->nodes[node]->names.n > 0) {
		errbuf_set(eb, "%s: is %s", path, is_dir ? "no empty directory" : "a directory");
		e = ERR_INVALID;
	} else
		change(w->nodes[dir], last, NULL, NOWHERE);
	lock_release(&w->lock);
	return (e);
}

static enum err
power_unlink(struct fs *fs, const char *path, struct errbuf *eb)
{
	watch(fs, FS_FAULT_UNLINK, "unlink", path);
	return (remove_name(fs, path, false, eb));
}

static enum err
power_rmdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	watch(fs, FS_FAULT_RMDIR, "rmdir", path);
	return (remove_name(fs, path, true, eb));
}

static enum err
power_mkdir(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	char last[NAME_ROOM];
	int dir;
	enum err e = OK;

	watch(fs, FS_FAULT_MKDIR, "mkdir", path);
	lock_acquire(&w->lock);
	dir = walk(w, path, last);
	if (dir == NOWHERE)
		e = no_such(path, eb);
	else if (find(w, path) != NOWHERE) {
		errbuf_set(eb, "%s: exists", path);
		e = ERR_EXISTS;
	} else {
		int node = add_node(w, true);

		change(w->nodes[dir], NULL, last, node);
	}
	lock_release(&w->lock);
	return (e);
}

static void
fill_stat(const struct world *w, int node, struct fs_stat *out)
{
	const struct node *n = w->nodes[node];

	*out = (struct fs_stat){ .size = n->size, .mtime_ms = n->mtime_ms, .dev = 1, .ino = (uint64_t)node + 1, .is_dir = n->is_dir };
}

static enum err
power_stat(struct fs *fs, const char *path, struct fs_stat *out, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	enum err e = OK;
	int node;

	watch(fs, FS_FAULT_STAT, "stat", path);
	lock_acquire(&w->lock);
	node = find(w, path);
	if (node == NOWHERE)
		e = no_such(path, eb);
	else
		fill_stat(w, node, out);
	lock_release(&w->lock);
	return (e);
}

static enum err
power_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	struct names ns = { 0 };
	bool *dirs = NULL;
	int node;

	watch(fs, FS_FAULT_LIST, "list", path);
	lock_acquire(&w->lock);
	node = find(w, path);
	if (node != NOWHERE) {
		names_copy(&ns, &w->nodes[node]->names);
		dirs = xcalloc((size_t)ns.n + 1, sizeof(*dirs));
		for (unsigned i = 0; i < ns.n; i++)
			dirs[i] = w->nodes[ns.v[i].node]->is_dir;
	}
	lock_release(&w->lock);
	if (node == NOWHERE)
		return (no_such(path, eb));
	for (unsigned i = 0; i < ns.n; i++)
		if (!fn(ctx, ns.v[i].text, dirs[i]))
			break;
	free(dirs);
	free(ns.v);
	return (OK);
}

static enum err
power_sync_dir(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct world *w = world_of(fs);
	enum err e = OK;
	int node;

	watch(fs, FS_FAULT_SYNC_DIR, "sync_dir", path);
	lock_acquire(&w->lock);
	node = find(w, path);
	if (node == NOWHERE)
		e = no_such(path, eb);
	else
		sync_names(w->nodes[node]);
	lock_release(&w->lock);
	return (e);
}

static void
sync_world(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->nodes[i] != NULL) {
			sync_names(w->nodes[i]);
			sync_node(w->nodes[i]);
		}
}

static enum err
power_sync_all(struct fs *fs, const char *path, struct errbuf *eb)
{
	struct world *w = world_of(fs);

	(void)eb;
	watch(fs, FS_FAULT_SYNC_ALL, "sync_all", path);
	lock_acquire(&w->lock);
	sync_world(w);
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_space(struct fs *fs, const char *path, struct fs_space *out, struct errbuf *eb)
{
	(void)fs;
	(void)path;
	(void)eb;
	*out = (struct fs_space){ UINT64_C(1) << 40, UINT64_C(1) << 39 };
	return (OK);
}

static enum err
power_mount_id(struct fs *fs, const char *path, uint64_t *out, struct errbuf *eb)
{
	(void)fs;
	(void)path;
	(void)eb;
	*out = 1;
	return (OK);
}

/* ---- the calls on files ---- */

static enum err
power_pread(struct file *f, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);
	struct node *n;
	uint8_t *to = buf;

	(void)eb;
	watch(f->fs, FS_FAULT_READ, "read", f->path);
	lock_acquire(&w->lock);
	n = node_of(f);
	*got = pos >= n->size ? 0 : MIN(len, (size_t)(n->size - pos));
	for (size_t done = 0; done < *got;) {
		unsigned i = (unsigned)((pos + done) / PAGE), off = (unsigned)((pos + done) % PAGE);
		size_t part = MIN(*got - done, (size_t)(PAGE - off));

		if (n->now[i] == NULL)
			memset(to + done, 0, part);
		else
			memcpy(to + done, n->now[i]->b + off, part);
		done += part;
	}
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_pwritev(struct file *f, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);
	struct node *node;
	uint64_t end = pos;

	(void)eb;
	watch(f->fs, FS_FAULT_WRITE, "write", f->path);
	lock_acquire(&w->lock);
	node = node_of(f);
	for (unsigned i = 0; i < n; i++)
		end += v[i].len;
	if (end > node->size)
		set_size(w, node, end);
	for (unsigned i = 0; i < n; i++) {
		write_bytes(w, node, v[i].p, v[i].len, pos);
		pos += v[i].len;
	}
	node->mtime_ms = clock_wall_ms(w->clock);
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_truncate(struct file *f, uint64_t len, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);

	(void)eb;
	watch(f->fs, FS_FAULT_TRUNCATE, "truncate", f->path);
	lock_acquire(&w->lock);
	set_size(w, node_of(f), len);
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_sync(struct file *f, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);

	(void)eb;
	watch(f->fs, FS_FAULT_SYNC, "sync", f->path);
	lock_acquire(&w->lock);
	sync_node(node_of(f));
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_fstat(struct file *f, struct fs_stat *out, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);

	(void)eb;
	watch(f->fs, FS_FAULT_STAT, "fstat", f->path);
	lock_acquire(&w->lock);
	fill_stat(w, CONTAINER_OF(f, struct power_file, file)->node, out);
	lock_release(&w->lock);
	return (OK);
}

static enum err
power_set_mtime(struct file *f, int64_t mtime_ms, struct errbuf *eb)
{
	(void)eb;
	watch(f->fs, FS_FAULT_MTIME, "set_mtime", f->path);
	node_of(f)->mtime_ms = mtime_ms;
	return (OK);
}

static enum err
power_lock(struct file *f, int *holder_pid, struct errbuf *eb)
{
	(void)f;
	(void)eb;
	*holder_pid = 0;
	return (OK);
}

static enum err
power_map(struct file *f, size_t len, struct file_map *m, struct errbuf *eb)
{
	struct world *w = world_of(f->fs);
	struct map_copy *c;
	struct node *n;

	(void)eb;
	watch(f->fs, FS_FAULT_MAP, "map", f->path);
	*m = (struct file_map){ 0 };
	if (len == 0)
		return (OK);
	c = xcalloc(1, sizeof(*c));
	lock_acquire(&w->lock);
	n = node_of(f);
	*c = (struct map_copy){ .next = n->maps, .w = w, .node = CONTAINER_OF(f, struct power_file, file)->node, .p = xcalloc(1, len), .len = len };
	n->maps = c;
	for (unsigned i = 0; i < n->room; i++)
		if (n->now[i] != NULL && (size_t)i * PAGE < len)
			memcpy(c->p + (size_t)i * PAGE, n->now[i]->b, MIN((size_t)PAGE, len - (size_t)i * PAGE));
	lock_release(&w->lock);
	*m = (struct file_map){ .p = c->p, .len = len, .priv = c };
	return (OK);
}

static void
power_unmap(struct file_map *m)
{
	struct map_copy *c = m->priv, **at;

	*m = (struct file_map){ 0 };
	if (c == NULL)
		return;
	lock_acquire(&c->w->lock);
	for (at = &c->w->nodes[c->node]->maps; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	lock_release(&c->w->lock);
	free(c->p);
	free(c);
}

static bool
power_cached(struct file *f, uint64_t pos, size_t len)
{
	(void)f;
	(void)pos;
	(void)len;
	return (true);
}

static const struct fs_ops power_ops = {
	.open = power_open, .rename = power_rename, .unlink = power_unlink, .mkdir = power_mkdir, .rmdir = power_rmdir, .stat = power_stat,
	.list = power_list, .sync_dir = power_sync_dir, .sync_all = power_sync_all, .space = power_space, .mount_id = power_mount_id,
	.pread = power_pread, .pwritev = power_pwritev, .truncate = power_truncate, .allocate = power_truncate, .sync = power_sync,
	.fstat = power_fstat, .set_mtime = power_set_mtime, .lock = power_lock, .lock_holder = power_lock, .map = power_map, .unmap = power_unmap,
	.cached = power_cached, .close = power_close,
};

/* ---- worlds ---- */

static struct world *
world_new(struct clock *clock)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->fs.ops = &power_ops;
	w->clock = clock;
	lock_init(&w->lock, LOCK_fs_fake);
	random_seeded_init(&w->random, 1);
	return (w);
}

struct fs *
fs_power_new(struct clock *clock)
{
	struct world *w = world_new(clock);

	(void)add_node(w, true);
	return (&w->fs);
}

void
fs_power_free(struct fs **fsp)
{
	struct world *w;

	if (*fsp == NULL)
		return;
	w = world_of(*fsp);
	*fsp = NULL;
	if (w->open_files != 0)
		fprintf(stderr, "fs_power_free: %u files are still open\n", w->open_files);
	must_zero(w->open_files);
	for (unsigned i = 0; i < w->n; i++)
		free_node(w->nodes[i]);
	free(w->nodes);
	lock_fini(&w->lock);
	free(w);
}

void
fs_power_watch(struct fs *fs, unsigned ops, void (*at)(void *, const char *), void *ctx)
{
	struct world *w = world_of(fs);

	w->ops = ops;
	w->at = at;
	w->at_ctx = ctx;
}

/* ---- copies ---- */

static void
mark(const struct world *w, int node, bool *wanted)
{
	const struct node *n;

	if (node == NOWHERE || wanted[node])
		return;
	wanted[node] = true;
	n = w->nodes[node];
	for (unsigned i = 0; i < n->names.n; i++)
		mark(w, n->names.v[i].node, wanted);
	for (unsigned i = 0; i < n->disk_names.n; i++)
		mark(w, n->disk_names.v[i].node, wanted);
	for (unsigned i = 0; i < n->npending; i++)
		mark(w, n->pending[i].node, wanted);
}

static struct node *
copy_node(const struct node *from)
{
	struct node *to = xcalloc(1, sizeof(*to));

	*to = (struct node){ .is_dir = from->is_dir, .mtime_ms = from->mtime_ms, .size = from->size, .disk_size = from->disk_size,
	    .nsizes = from->nsizes, .cut = from->cut };
	memcpy(to->sizes, from->sizes, sizeof(to->sizes));
	grow(to, from->room);
	for (unsigned i = 0; i < from->room; i++) {
		to->now[i] = page_ref(from->now[i]);
		to->disk[i] = page_ref(from->disk[i]);
		to->once[i] = page_ref(from->once[i]);
		to->dirty[i] = from->dirty[i];
	}
	names_copy(&to->names, &from->names);
	names_copy(&to->disk_names, &from->disk_names);
	to->npending = from->npending;
	to->pending = xreallocarray(NULL, MAX(from->npending, 1u), sizeof(*to->pending));
	if (from->npending > 0)
		memcpy(to->pending, from->pending, from->npending * sizeof(*to->pending));
	return (to);
}

struct fs *
fs_power_copy(struct fs *fs)
{
	struct world *w = world_of(fs), *to = world_new(w->clock);
	bool *wanted;

	lock_acquire(&w->lock);
	wanted = xcalloc(w->n, sizeof(*wanted));
	mark(w, 0, wanted);
	to->n = w->n;
	to->nodes = xcalloc(w->n, sizeof(*to->nodes));
	for (unsigned i = 0; i < w->n; i++)
		if (wanted[i])
			to->nodes[i] = copy_node(w->nodes[i]);
	lock_release(&w->lock);
	free(wanted);
	return (&to->fs);
}

/* ---- losing power ---- */

/* What one loss is like: in percent, how often something that was not synced is there nevertheless. */
struct mood {
	struct random *random;
	unsigned       bytes, sizes, names;
};

static bool
chance(struct mood *m, unsigned percent)
{
	return (random_below(m->random, 100) < percent);
}

static uint64_t
lose_size(struct mood *m, const struct node *n)
{
	uint64_t lo = MIN(n->disk_size, n->size), hi = MAX(n->disk_size, n->size);

	if (chance(m, m->sizes))
		return (n->size);
	if (chance(m, 50))
		return (n->disk_size);
	if (n->nsizes > 0 && chance(m, 50))
		return (n->sizes[random_below(m->random, n->nsizes)]);
	return (n->cut == UINT64_MAX && hi > lo ? lo + random_below(m->random, (uint32_t)(hi - lo)) : n->size);
}

/* Zeros for what the disk never had, or what the cut took away. */
static void
zero_unwritten(const struct node *n, unsigned i, uint8_t *b)
{
	uint64_t from = MIN(n->disk_size, n->cut), at = (uint64_t)i * PAGE;

	if (from < at + PAGE)
		memset(b + (from > at ? from - at : 0), 0, PAGE - (from > at ? from - at : 0));
}

static void
lose_page(struct mood *m, const struct node *n, unsigned i, uint8_t *b)
{
	static const uint8_t zeros[PAGE];
	const uint8_t *new = n->now[i] == NULL ? zeros : n->now[i]->b;
	size_t torn = random_below(m->random, PAGE);

	memcpy(b, new, PAGE);
	if (!n->dirty[i] || chance(m, m->bytes))
		return;
	if (n->once[i] != NULL && chance(m, 30)) {
		memcpy(b, n->once[i]->b, PAGE);
		return;
	}
	memcpy(b, n->disk[i] == NULL ? zeros : n->disk[i]->b, PAGE);
	if (chance(m, 40))
		zero_unwritten(n, i, b);
	if (chance(m, 35))
		memcpy(b, new, torn);
}

static void
lose_bytes(struct mood *m, struct node *n)
{
	uint64_t size = lose_size(m, n);
	unsigned pages = pages_of(size);

	grow(n, pages);
	for (unsigned i = 0; i < n->room; i++) {
		uint8_t b[PAGE];

		if (i >= pages) {
			page_set(&n->now[i], NULL);
			continue;
		}
		if (!n->dirty[i] && (i + 1 < pages || size == n->size))
			continue;
		lose_page(m, n, i, b);
		if (i + 1 == pages && size % PAGE != 0)
			memset(b + size % PAGE, 0, PAGE - size % PAGE);
		memcpy(page_own(&n->now[i])->b, b, PAGE);
	}
	n->size = size;
	for (unsigned i = 0; i < n->room; i++)
		n->dirty[i] = true;
	sync_node(n);
}

static void
lose_names(struct mood *m, struct node *n)
{
	names_copy(&n->names, &n->disk_names);
	for (unsigned i = 0; i < n->npending; i++)
		if (chance(m, m->names))
			apply(&n->names, &n->pending[i]);
	sync_names(n);
}

struct fs *
fs_power_lost(struct fs *fs, uint64_t seed)
{
	static const unsigned often[] = { 0, 100, 50, 90, 10, 75 };
	struct fs *after = fs_power_copy(fs);
	struct world *w = world_of(after);
	struct random_seeded random;
	struct mood m = { .random = &random.random };

	random_seeded_init(&random, seed);
	m.bytes = often[random_below(m.random, NELEM(often))];
	m.sizes = often[random_below(m.random, NELEM(often))];
	m.names = often[random_below(m.random, NELEM(often))];
	for (unsigned i = 0; i < w->n; i++) {
		if (w->nodes[i] == NULL)
			continue;
		lose_names(&m, w->nodes[i]);
		if (!w->nodes[i]->is_dir)
			lose_bytes(&m, w->nodes[i]);
	}
	return (after);
}

bool
fs_power_is_synced(struct fs *fs)
{
	struct world *w = world_of(fs);
	bool synced = true;

	lock_acquire(&w->lock);
	for (unsigned k = 0; k < w->n; k++) {
		const struct node *n = w->nodes[k];

		synced = synced && (n == NULL || (n->npending == 0 && n->size == n->disk_size));
		for (unsigned i = 0; n != NULL && i < n->room; i++)
			synced = synced && !n->dirty[i];
	}
	lock_release(&w->lock);
	return (synced);
}
