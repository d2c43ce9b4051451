/* SPDX-License-Identifier: Apache-2.0
 *
 * sickdisk.c - LD_PRELOAD: calls to files fail or take long, as the text of the file named by SICKDISK says.  One line per rule:
 *
 *	OP errno N PATH		OP sleep MS PATH
 *
 * OP is write, sync, read, map, or cold: nothing of a file is in memory until the first read of it has taken that long.  PATH a part of the file's path.  The file is read at each call, so a test changes it while the broker runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void
path_of(int fd, char *path, size_t len)
{
	char link[64];
	long n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlink, link, path, len - 1);
	path[n < 0 ? 0 : n] = '\0';
}

static int
rules(char *text, size_t len)
{
	const char *name = getenv("SICKDISK");
	long fd, n;

	if (name == NULL || (fd = syscall(SYS_open, name, O_RDONLY)) < 0)
		return (0);
	n = syscall(SYS_read, fd, text, len - 1);
	(void)syscall(SYS_close, fd);
	text[n < 0 ? 0 : n] = '\0';
	return (n > 0);
}

static void
sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	(void)syscall(SYS_nanosleep, &ts, NULL);
}

/* Whether the call fails; errno says how. */
static int
sick(int fd, const char *op)
{
	char text[1024], path[4096], *line, *rest = text, what[8], how[8], part[512];
	int before = errno, e = 0;
	long n;

	if (!rules(text, sizeof(text)))
		goto out;
	path_of(fd, path, sizeof(path));
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (sscanf(line, "%7s %7s %ld %511s", what, how, &n, part) != 4 || strcmp(what, op) != 0 || strstr(path, part) == NULL)
			continue;
		if (strcmp(how, "sleep") == 0)
			sleep_ms(n);
		else
			e = (int)n;
	}
out:
	errno = e != 0 ? e : before;
	return (e != 0);
}

#define NEXT(name)	((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t pos)
{
	return (sick(fd, "write") ? -1 : NEXT(pwritev)(fd, iov, n, pos));
}

int
fdatasync(int fd)
{
	return (sick(fd, "sync") ? -1 : NEXT(fdatasync)(fd));
}

int
fsync(int fd)
{
	return (sick(fd, "sync") ? -1 : NEXT(fsync)(fd));
}

/* Files that were cold and have been read; where there is no room for one it stays cold, and its test fails. */
static _Atomic ino_t warm[64];

static int
is_warm(ino_t ino)
{
	for (int i = 0; i < 64; i++)
		if (warm[i] == ino)
			return (1);
	return (0);
}

static void
make_warm(ino_t ino)
{
	for (int i = 0; i < 64 && !is_warm(ino); i++) {
		ino_t none = 0;

		(void)__atomic_compare_exchange_n((ino_t *)&warm[i], &none, ino, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

/* Of the first rule only. */
static int
cold(int fd, int wait)
{
	char text[1024], path[4096], what[8], part[512];
	struct stat st;
	long ms;

	if (!rules(text, sizeof(text)) || sscanf(text, "%7s sleep %ld %511s", what, &ms, part) != 3 || strcmp(what, "cold") != 0)
		return (0);
	path_of(fd, path, sizeof(path));
	if (strstr(path, part) == NULL || fstat(fd, &st) != 0 || is_warm(st.st_ino))
		return (0);
	if (wait) {
		sleep_ms(ms);
		make_warm(st.st_ino);
	}
	return (1);
}

ssize_t
pread(int fd, void *buf, size_t len, off_t pos)
{
	(void)cold(fd, 1);
	return (sick(fd, "read") ? -1 : NEXT(pread)(fd, buf, len, pos));
}

ssize_t
preadv2(int fd, const struct iovec *v, int n, off_t pos, int flags)
{
	if ((flags & RWF_NOWAIT) != 0 && cold(fd, 0)) {
		errno = EAGAIN;
		return (-1);
	}
	return (NEXT(preadv2)(fd, v, n, pos, flags));
}

ssize_t
sendfile(int to, int fd, off_t *pos, size_t len)
{
	return (sick(fd, "read") ? -1 : NEXT(sendfile)(to, fd, pos, len));
}

void *
mmap(void *at, size_t len, int prot, int flags, int fd, off_t pos)
{
	if (fd >= 0 && (flags & MAP_SHARED) != 0 && sick(fd, "map"))
		return (MAP_FAILED);
	return ((void *)syscall(SYS_mmap, at, len, prot, flags, fd, pos));
}
