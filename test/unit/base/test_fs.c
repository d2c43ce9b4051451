/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: what struct fs promises on a real disk, atomic replacement under every failure, locks between processes, guarded maps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/chain.h"
#include "base/fs.h"
#include "test/unit/fs_fault.h"
#include "test/unit/unit.h"

/* A path in the private directory; good until four more were asked for. */
static const char *
in_tmp(const char *name)
{
	static char paths[4][400];
	static unsigned next;
	char *p = paths[next++ % 4];

	snprintf(p, 400, "%s/%s", unit_tmpdir(), name);
	return (p);
}

static struct file *
create(struct fs *fs, const char *name, const char *text)
{
	struct file *f = NULL;

	CHECK_EQ(file_open(fs, in_tmp(name), FS_RDWR | FS_CREATE | FS_TRUNC, &f, NULL), OK);
	if (f != NULL)
		CHECK_EQ(file_pwrite(f, text, strlen(text), 0, NULL), OK);
	return (f);
}

/* cachestat(2), which older headers do not name; -1: nor does this kernel. */
static int64_t
pages_there(int fd, uint64_t pos, uint64_t len)
{
	uint64_t range[2] = { pos, len }, stat[5];

	return (syscall(451, fd, range, stat, 0) == 0 ? (int64_t)stat[0] : -1);
}

TEST(what_is_written_is_read)
{
	struct file *f = create(fs_real(), "a", "hello"), *same;
	struct slice v[200];
	char buf[600];
	uint64_t size = 0;
	size_t got;

	REQUIRE(f != NULL);
	for (unsigned i = 0; i < NELEM(v); i++)		/* more slices than one system call takes, empty ones among them */
		v[i] = slice_of("abc", i % 4);
	CHECK_EQ(f->fs->ops->pwritev(f, v, NELEM(v), 5, NULL), OK);
	CHECK_EQ(file_size(f, &size, NULL), OK);
	CHECK_EQ(size, 5 + 300);
	CHECK_EQ(file_pread(f, buf, sizeof(buf), 0, &got, NULL), OK);
	CHECK_EQ(got, 305);
	CHECK_MEM(buf, "helloaababcaababc", 17);
	CHECK_EQ(file_pread(f, buf, 10, 9999, &got, NULL), OK);
	CHECK_EQ(got, 0);
	CHECK_EQ(file_pread_full(f, buf, 305, 0, NULL), OK);
	CHECK_EQ(file_pread_full(f, buf, 306, 0, NULL), ERR_CORRUPT);
	CHECK_EQ(f->fs->ops->truncate(f, 3, NULL), OK);
	CHECK_EQ(f->fs->ops->allocate(f, 10, NULL), OK);
	CHECK_EQ(file_pread(f, buf, sizeof(buf), 0, &got, NULL), OK);
	CHECK_EQ(got, 10);
	CHECK_MEM(buf, "hel\0\0\0\0\0\0", 10);
	CHECK_EQ(f->fs->ops->sync(f, NULL), OK);
	CHECK(f->fs->ops->cached(f, 0, 10));
	same = file_ref(f);
	file_unref(&f);
	CHECK(f == NULL);
	CHECK_EQ(file_size(same, &size, NULL), OK);
	file_unref(&same);
	file_unref(&same);
}

/* A hole is nowhere in memory.  Asked as the kernel tells it (Linux 6.5) and in no other way: a probe of a page begins to read it. */
TEST(a_page_that_is_missing_anywhere_is_noticed_before_it_is_read)
{
	enum { PAGES = 512, MISSING = 77 };	/* not one of those that a probe of every sixteenth page meets */
	size_t page = (size_t)getpagesize();
	char *bytes = xcalloc(1, page);
	struct file *f = create(fs_real(), "pages", "");

	REQUIRE(f != NULL);
	for (size_t i = 0; i < PAGES; i++)
		if (i != MISSING)
			CHECK_EQ(file_pwrite(f, bytes, page, i * page, NULL), OK);
	CHECK(f->fs->ops->cached(f, (MISSING + 1) * page, page * 100 + 1));
	CHECK(f->fs->ops->cached(f, 1, MISSING * page - 1));
	if (pages_there(f->fd, MISSING * page, page) == 0) {
		CHECK(!f->fs->ops->cached(f, MISSING * page - 5, 3 * page));
		CHECK(!f->fs->ops->cached(f, 0, PAGES * page));
	}
	file_unref(&f);
	free(bytes);
}

TEST(opening_says_what_is_wrong)
{
	struct errbuf eb = ERRBUF_INIT;
	struct file *f = NULL;
	struct fs *fs = fs_real();

	CHECK_EQ(file_open(fs, in_tmp("missing"), FS_RDWR, &f, &eb), ERR_NOENT);
	CHECK(strstr(eb.text, "missing: open: No such file") != NULL);
	f = create(fs, "there", "x");
	file_unref(&f);
	CHECK_EQ(file_open(fs, in_tmp("there"), FS_RDWR | FS_CREATE | FS_EXCL, &f, NULL), ERR_EXISTS);
	CHECK_EQ(symlink(in_tmp("there"), in_tmp("link")), 0);
	CHECK(file_open(fs, in_tmp("link"), FS_RDONLY | FS_NOFOLLOW, &f, NULL) != OK);
	CHECK_EQ(file_open(fs, in_tmp("link"), FS_RDONLY, &f, NULL), OK);
	CHECK(file_pwrite(f, "x", 1, 0, &eb) != OK);
	file_unref(&f);
}

TEST(times_space_and_mount_are_told)
{
	struct file *f = create(fs_real(), "t", "x");
	struct fs_space space = { 0 };
	uint64_t mount[2] = { 0 };
	struct fs_stat st, again;

	REQUIRE(f != NULL);
	CHECK_EQ(f->fs->ops->set_mtime(f, 1234567890123, NULL), OK);
	CHECK_EQ(f->fs->ops->fstat(f, &st, NULL), OK);
	CHECK_EQ(st.mtime_ms, 1234567890123);
	CHECK(!st.is_dir && st.size == 1);
	CHECK_EQ(fs_real()->ops->stat(fs_real(), in_tmp("t"), &again, NULL), OK);
	CHECK(st.dev == again.dev && st.ino == again.ino && st.ino != 0);
	CHECK_EQ(fs_real()->ops->space(fs_real(), unit_tmpdir(), &space, NULL), OK);
	CHECK(space.total > 0 && space.usable <= space.total);
	CHECK_EQ(fs_real()->ops->mount_id(fs_real(), unit_tmpdir(), &mount[0], NULL), OK);
	CHECK_EQ(fs_real()->ops->mount_id(fs_real(), "/proc", &mount[1], NULL), OK);
	CHECK(mount[0] != mount[1]);
	CHECK_EQ(fs_real()->ops->sync_all(fs_real(), unit_tmpdir(), NULL), OK);
	CHECK_EQ(fs_real()->ops->sync_dir(fs_real(), in_tmp("nowhere"), NULL), ERR_NOENT);
	file_unref(&f);
}

static bool
count_entries(void *ctx, const char *name, bool is_dir)
{
	unsigned *n = ctx;

	CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
	n[is_dir]++;
	return (true);
}

static bool
stop_at_once(void *ctx, const char *name, bool is_dir)
{
	(void)name;
	(void)is_dir;
	(*(unsigned *)ctx)++;
	return (false);
}

TEST(trees_are_made_listed_and_removed)
{
	struct fs *fs = fs_real();
	unsigned n[2] = { 0 }, once = 0;
	struct file *f;
	char outside[400];

	snprintf(outside, sizeof(outside), "%s", in_tmp("outside"));
	CHECK_EQ(fs_mkdir_p(fs, in_tmp("tree//a/b/"), NULL), OK);
	CHECK_EQ(fs_mkdir_p(fs, in_tmp("tree/a"), NULL), OK);
	CHECK_EQ(fs_mkdir_p(fs, "", NULL), ERR_NOENT);
	CHECK_EQ(fs_mkdir_p(fs, outside, NULL), OK);
	f = create(fs, "outside/keep", "x");
	file_unref(&f);
	f = create(fs, "tree/a/f", "x");
	file_unref(&f);
	CHECK_EQ(symlink(outside, in_tmp("tree/a/link")), 0);
	CHECK_EQ(symlink(in_tmp("gone"), in_tmp("tree/a/dangling")), 0);
	CHECK_EQ(fs->ops->list(fs, in_tmp("tree/a"), count_entries, n, NULL), OK);
	CHECK_EQ(n[0], 2);
	CHECK_EQ(n[1], 2);	/* b, and the link to a directory */
	CHECK_EQ(fs->ops->list(fs, in_tmp("tree/a"), stop_at_once, &once, NULL), OK);
	CHECK_EQ(once, 1);
	CHECK_EQ(fs->ops->rmdir(fs, in_tmp("tree/a"), NULL), ERR_EXISTS);
	CHECK_EQ(fs_mkdir_p(fs, in_tmp("tree/a/f/x"), NULL), ERR_EXISTS);
	CHECK_EQ(fs_remove_tree(fs, in_tmp("tree"), NULL), OK);
	CHECK(!fs_exists(fs, in_tmp("tree")));
	CHECK(fs_exists(fs, in_tmp("outside/keep")));	/* links are removed, not followed */
	CHECK_EQ(fs_remove_tree(fs, in_tmp("tree"), NULL), OK);
}

TEST(whole_files_are_read_up_to_a_limit)
{
	struct file *f = create(fs_real(), "whole", "0123456789");
	char *text = NULL;
	size_t len = 0;

	file_unref(&f);
	CHECK_EQ(fs_read_file(fs_real(), in_tmp("whole"), 9, &text, &len, NULL), ERR_LIMIT);
	CHECK(text == NULL);
	CHECK_EQ(fs_read_file(fs_real(), in_tmp("whole"), 10, &text, &len, NULL), OK);
	CHECK_EQ(len, 10);
	CHECK_STR(text, "0123456789");
	free(text);
	text = NULL;
	CHECK_EQ(fs_read_file(fs_real(), "/proc/sys/kernel/random/boot_id", 100, &text, &len, NULL), OK);	/* says it is empty */
	CHECK_EQ(len, 37);
	free(text);
	text = NULL;
	f = create(fs_real(), "empty", "");
	file_unref(&f);
	CHECK_EQ(fs_read_file(fs_real(), in_tmp("empty"), 0, &text, &len, NULL), OK);
	CHECK(len == 0 && text != NULL && text[0] == '\0');
	free(text);
}

static void
check_content(const char *path, const char *one, const char *other)
{
	char *text = NULL;
	size_t len;

	CHECK_EQ(fs_read_file(fs_real(), path, 100, &text, &len, NULL), OK);
	CHECK(text != NULL && (strcmp(text, one) == 0 || strcmp(text, other) == 0));
	free(text);
}

TEST(a_failed_replacement_leaves_the_old_file_or_the_new_one)
{
	const char *path;
	bool fired;
	unsigned n;

	for (n = 1;; n++) {
		struct fs *fs = fs_fault_new(fs_real());
		enum err e;

		path = in_tmp("replaced");
		CHECK_EQ(fs_write_file_atomic(fs, path, SLICE_LIT("old"), NULL), OK);
		fs_fault_arm(fs, FS_FAULT_ANY, n, ERR_IO);
		e = fs_write_file_atomic(fs, path, SLICE_LIT("newer"), NULL);
		fired = fs_fault_fired(fs);
		/* The removal of what was begun happens only after another failure, so any that fired is reported. */
		CHECK_EQ(e, fired ? ERR_IO : OK);
		check_content(path, fired ? "old" : "newer", "newer");
		CHECK(!fs_exists(fs_real(), in_tmp("replaced.tmp")));
		fs_fault_free(&fs);
		if (!fired)
			break;
	}
	CHECK_EQ(n, 6);		/* open, write, sync, rename, sync_dir: each was tried */
}

TEST(injected_faults_hit_what_they_name)
{
	struct fs *fs = fs_fault_new(fs_real());
	struct file *a = create(fs, "fault-a", "a"), *b = create(fs, "fault-b", "b");
	uint64_t size = 0;

	REQUIRE(a != NULL && b != NULL);
	CHECK_EQ(fs_fault_open_files(fs), 2);
	fs_fault_arm(fs, FS_FAULT_WRITE, 2, ERR_NOSPACE);
	fs_fault_only(fs, "fault-b");
	fs_fault_tear(fs, 3);
	CHECK_EQ(file_pwrite(a, "xx", 2, 0, NULL), OK);
	CHECK_EQ(file_pwrite(b, "xx", 2, 0, NULL), OK);
	CHECK_EQ(fs_fault_count(fs), 1);
	CHECK_EQ(file_pwrite(b, "12345678", 8, 2, NULL), ERR_NOSPACE);
	CHECK(fs_fault_fired(fs));
	CHECK_EQ(file_size(b, &size, NULL), OK);
	CHECK_EQ(size, 5);
	CHECK_EQ(file_pwrite(b, "1", 1, 0, NULL), OK);
	fs_fault_arm(fs, FS_FAULT_SYNC, 1, ERR_IO);
	fs_fault_stay(fs, true);
	CHECK_EQ(fs->ops->sync(b, NULL), ERR_IO);
	CHECK_EQ(fs->ops->sync(b, NULL), ERR_IO);
	CHECK_EQ(fs->ops->sync(a, NULL), OK);
	file_unref(&a);
	file_unref(&b);
	fs_fault_free(&fs);
}

/* ---- a disk that is really full ---- */
TEST(a_full_disk_is_an_error_code)
{
	struct file *f = NULL;

	REQUIRE(file_open(fs_real(), "/dev/full", FS_RDWR, &f, NULL) == OK);
	CHECK_EQ(file_pwrite(f, "x", 1, 0, NULL), ERR_NOSPACE);
	file_unref(&f);
}

TEST(no_descriptor_left_is_no_room_and_passes)
{
	struct rlimit limit, was;
	struct errbuf eb = ERRBUF_INIT;
	struct file *f = NULL;
	enum err e;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &was) == 0);
	limit = was;
	limit.rlim_cur = 0;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	e = file_open(fs_real(), in_tmp("few"), FS_RDWR | FS_CREATE, &f, &eb);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &was) == 0);
	CHECK_EQ(e, ERR_NOSPACE);
	CHECK(strstr(eb.text, "Too many open files") != NULL);
	CHECK_EQ(file_open(fs_real(), in_tmp("few"), FS_RDWR | FS_CREATE, &f, NULL), OK);
	file_unref(&f);
}

/* The limit on file sizes makes real short writes: the second call of the retry gets EFBIG. */
TEST(a_short_write_is_retried_and_then_reported)
{
	struct rlimit limit, was;
	struct file *f = create(fs_real(), "limited", "");
	char block[10000] = { 0 };
	uint64_t size = 0;

	REQUIRE(f != NULL && getrlimit(RLIMIT_FSIZE, &was) == 0);
	signal(SIGXFSZ, SIG_IGN);
	limit = was;
	limit.rlim_cur = 6000;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(file_pwrite(f, block, sizeof(block), 0, NULL), ERR_NOSPACE);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &was), 0);
	CHECK_EQ(file_size(f, &size, NULL), OK);
	CHECK_EQ(size, 6000);	/* a prefix may stay: the caller cuts it back */
	file_unref(&f);
}

/* ---- locks ---- */
TEST(a_lock_held_by_another_process_is_refused_with_its_pid)
{
	struct file *f = create(fs_real(), ".lock", "");
	int up[2], down[2], pid = 0, status;
	struct errbuf eb = ERRBUF_INIT;
	char c = 0, expected[32];
	pid_t child;

	REQUIRE(f != NULL && pipe(up) == 0 && pipe(down) == 0);
	child = fork();
	if (child == 0) {
		struct file *own = NULL;
		bool ok = file_open(fs_real(), in_tmp(".lock"), FS_RDWR, &own, NULL) == OK && own->fs->ops->lock(own, &pid, NULL) == OK;

		c = ok ? 'y' : 'n';
		ok = write(up[1], &c, 1) == 1 && read(down[0], &c, 1) == 1;
		_exit(ok ? 0 : 1);
	}
	CHECK_EQ(read(up[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
	CHECK_EQ(f->fs->ops->lock(f, &pid, &eb), ERR_LOCKED);
	CHECK_EQ(pid, child);
	snprintf(expected, sizeof(expected), "process %d", (int)child);
	CHECK(strstr(eb.text, expected) != NULL);
	CHECK_EQ(write(down[1], "x", 1), 1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK_EQ(f->fs->ops->lock(f, &pid, NULL), OK);	/* a dead process holds nothing */
	CHECK_EQ(pid, 0);
	file_unref(&f);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

/* ---- maps ---- */
struct peek {
	const struct file_map *map;
	size_t at;
	volatile uint8_t seen;
	enum err inner;
};

static void
peek(void *ctx)
{
	struct peek *p = ctx;

	p->seen = p->map->p[p->at];
}

static void
peek_nested(void *ctx)
{
	struct peek *p = ctx;

	p->inner = map_guard(peek, ctx);	/* faults, and comes back here */
	p->at = 0;
	peek(p);
}

TEST(a_fault_in_a_map_is_an_error_not_a_death)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct file *f = create(fs_real(), "mapped", "M");
	struct file_map m = { 0 };
	struct peek p = { .map = &m };

	REQUIRE(f != NULL);
	CHECK_EQ(f->fs->ops->allocate(f, 4 * page, NULL), OK);
	CHECK_EQ(f->fs->ops->map(f, 4 * page, &m, NULL), OK);
	CHECK_EQ(map_guard(peek, &p), OK);
	CHECK_EQ(p.seen, 'M');
	CHECK_EQ(file_pwrite(f, "N", 1, 0, NULL), OK);	/* maps see what is written */
	CHECK_EQ(map_guard(peek, &p), OK);
	CHECK_EQ(p.seen, 'N');
	CHECK_EQ(f->fs->ops->truncate(f, 10, NULL), OK);
	for (unsigned i = 0; i < 3; i++) {		/* again and again: nothing stays blocked after the jump */
		p.at = 2 * page;
		CHECK_EQ(map_guard(peek, &p), ERR_IO);
	}
	p.seen = 0;
	CHECK_EQ(map_guard(peek_nested, &p), OK);
	CHECK_EQ(p.inner, ERR_IO);
	CHECK_EQ(p.seen, 'N');
	f->fs->ops->unmap(&m);
	CHECK(m.p == NULL);
	f->fs->ops->unmap(&m);
	CHECK_EQ(f->fs->ops->map(f, 0, &m, NULL), OK);
	CHECK(m.p == NULL);
	file_unref(&f);
}

/* ---- chains ---- */
TEST(chains_keep_order_and_give_references_back)
{
	struct fs *fs = fs_fault_new(fs_real());
	struct file *f = create(fs, "chained", "0123456789");
	struct file_range r = { file_ref(f), 2, 5 }, empty = { file_ref(f), 0, 0 };
	struct chain c, d, zeroed = { 0 };
	struct arena a, none;

	arena_init(&a, 4096);
	arena_init(&none, 0);
	chain_init(&c);
	chain_init(&d);
	CHECK(chain_add_mem(&c, &a, SLICE_LIT("abc")));
	CHECK(chain_add_mem(&c, &a, SLICE_NULL));
	CHECK(chain_add_file(&c, &a, &empty));
	CHECK(empty.file == NULL);
	CHECK(!chain_add_file(&d, &none, &r) && r.file == f);	/* refused: still ours */
	CHECK(chain_add_file(&d, &a, &r) && r.file == NULL);
	CHECK(chain_add_mem(&d, &a, SLICE_LIT("z")));
	chain_append(&c, &d);
	CHECK(d.first == NULL && d.len == 0);
	CHECK_EQ(c.len, 9);
	CHECK(c.first->kind == CHAIN_MEM && c.first->next->kind == CHAIN_FILE && c.first->next->next->kind == CHAIN_MEM);
	CHECK(chain_add_mem(&zeroed, &a, SLICE_LIT("1")));
	chain_append(&zeroed, &c);
	CHECK_EQ(zeroed.len, 10);
	CHECK(chain_add_mem(&c, &a, SLICE_LIT("again")) && c.len == 5);
	file_unref(&f);
	CHECK_EQ(fs_fault_open_files(fs), 1);
	chain_fini(&zeroed);
	CHECK_EQ(fs_fault_open_files(fs), 0);
	CHECK(zeroed.first == NULL);
	chain_fini(&c);
	arena_fini(&a);
	arena_fini(&none);
	fs_fault_free(&fs);
}

UNIT_MAIN("base/fs", T(what_is_written_is_read), T(a_page_that_is_missing_anywhere_is_noticed_before_it_is_read), T(opening_says_what_is_wrong), T(times_space_and_mount_are_told),
    T(trees_are_made_listed_and_removed), T(whole_files_are_read_up_to_a_limit), T(a_failed_replacement_leaves_the_old_file_or_the_new_one),
    T(injected_faults_hit_what_they_name), T(a_full_disk_is_an_error_code), T(no_descriptor_left_is_no_room_and_passes),
    T(a_short_write_is_retried_and_then_reported),
    T(a_lock_held_by_another_process_is_refused_with_its_pid), T(a_fault_in_a_map_is_an_error_not_a_death),
    T(chains_keep_order_and_give_references_back))
