/* SPDX-License-Identifier: Apache-2.0
 *
 * sickdisk.c - LD_PRELOAD: calls to files fail or take long, as the text of the file named by SICKDISK says.  One line per rule:
 *
 *	OP errno N PATH		OP sleep MS PATH
 *
 * OP is write, sync, read or map; PATH a part of the file's path.  The file is read at each call, so a test changes it while the broker runs.
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

ssize_t
pread(int fd, void *buf, size_t len, off_t pos)
{
	return (sick(fd, "read") ? -1 : NEXT(pread)(fd, buf, len, pos));
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
