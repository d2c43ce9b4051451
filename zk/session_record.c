/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_record.c - see session_record.h: the file.
 *
 *	version=1
 *	session=0x1000123456789ab
 *	password=<32 hex digits>
 *	timeout.ms=18000
 *	broker.id=1
 *	cluster.id=y5lu0CmPQu6TvqqmHuwOuw
 *	zookeeper.connect=127.0.0.1:2181/kafka
 *	boot.id=<of /proc/sys/kernel/random/boot_id>
 *	lock=<st_dev>:<st_ino> of <dir>/.lock
 *
 * Written under a temporary name that must not exist (O_EXCL, O_NOFOLLOW), mode 0600, then renamed.  A reader takes at most 8 KiB, refuses
 * what is not a regular file of ours (owner, no access for others), and every line must be there once.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"
#include "zk/session_record_int.h"

enum { RECORD_MAX = 8192 };

void
session_record_fini(struct session_record *r)
{
	free(r->connect);
	r->connect = NULL;
	explicit_bzero(r->ident.password, sizeof(r->ident.password));
}

/* ---- where we are ---- */
bool
session_record_boot_id(char out[40])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool ok = f != NULL && fgets(out, 40, f) != NULL;

	if (f != NULL)
		fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	return (ok && out[0] != '\0');
}

bool
session_record_lock_identity(const char *dir, uint64_t *dev, uint64_t *ino)
{
	char *path = xasprintf("%s/.lock", dir);
	struct stat st;
	bool ok = stat(path, &st) == 0;

	free(path);
	if (ok) {
		*dev = st.st_dev;
		*ino = st.st_ino;
	}
	return (ok);
}

/* ---- writing ---- */
static enum err
write_text(const char *tmp, const char *text, size_t len, struct errbuf *eb)
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	ssize_t n;
	int e;

	if (fd < 0) {
		errbuf_errno(eb, errno, "%s", tmp);
		return (err_from_errno(errno));
	}
	n = write(fd, text, len);
	e = n < 0 ? errno : n == (ssize_t)len ? 0 : ENOSPC;
	if (close(fd) < 0 && e == 0)
		e = errno;
	if (e == 0)
		return (OK);
	(void)unlink(tmp);
	errbuf_errno(eb, e, "%s", tmp);
	return (err_from_errno(e));
}

static void
format_record(struct strbuf *b, const struct zk_session_ident *ident, int32_t broker_id, const char *cluster_id, const char *connect,
    const char *boot_id, uint64_t dev, uint64_t ino)
{
	size_t i;

	strbuf_add(b, "version=1\nsession=0x%" PRIx64 "\npassword=", (uint64_t)ident->id);
	for (i = 0; i < sizeof(ident->password); i++)
		strbuf_add(b, "%02x", ident->password[i]);
	strbuf_add(b, "\ntimeout.ms=%" PRId32 "\nbroker.id=%" PRId32 "\ncluster.id=%s\nzookeeper.connect=%s\nboot.id=%s\nlock=%" PRIu64 ":%" PRIu64 "\n",
	    ident->timeout_ms, broker_id, cluster_id, connect, boot_id, dev, ino);
}

enum err
session_record_write(const char *dir, const struct zk_session_ident *ident, int32_t broker_id, const char *cluster_id, const char *connect,
    struct errbuf *eb)
{
	char boot_id[40], *tmp, *path;
	struct strbuf b = STRBUF_INIT;
	uint64_t dev, ino;
	enum err e;

	if (!session_record_boot_id(boot_id) || !session_record_lock_identity(dir, &dev, &ino)) {
		errbuf_set(eb, "session record for %s: no boot id or no .lock", dir);
		return (ERR_UNSUPPORTED);
	}
	if (strchr(connect, '\n') != NULL || strchr(cluster_id, '\n') != NULL) {
		errbuf_set(eb, "session record for %s: a value holds a line break", dir);
		return (ERR_INVALID);
	}
	format_record(&b, ident, broker_id, cluster_id, connect, boot_id, dev, ino);
	tmp = xasprintf("%s/%s.tmp", dir, SESSION_RECORD_NAME);
	path = xasprintf("%s/%s", dir, SESSION_RECORD_NAME);
	(void)unlink(tmp);		/* a run that was killed between creating and renaming; we hold the directory's lock */
	e = b.len > RECORD_MAX ? ERR_LIMIT : write_text(tmp, b.s, b.len, eb);
	if (e == OK && rename(tmp, path) < 0) {
		errbuf_errno(eb, errno, "%s", path);
		e = err_from_errno(errno);
		(void)unlink(tmp);
	}
	if (b.s != NULL)
		explicit_bzero(b.s, b.len);
	strbuf_fini(&b);
	free(tmp);
	free(path);
	return (e);
}

enum err
session_record_remove(const char *dir, struct errbuf *eb)
{
	char *path = xasprintf("%s/%s", dir, SESSION_RECORD_NAME);
	enum err e = OK;

	if (unlink(path) < 0 && errno != ENOENT) {
		errbuf_errno(eb, errno, "%s", path);
		e = err_from_errno(errno);
	}
	free(path);
	return (e);
}

/* ---- reading ---- */
static bool
value_of(const char *text, const char *key, char *out, size_t size)
{
	size_t key_len = strlen(key), len;
	const char *line, *end, *found = NULL;

	for (line = text; *line != '\0'; line = *end == '\0' ? end : end + 1) {
		end = strchrnul(line, '\n');
		if (strncmp(line, key, key_len) != 0 || line[key_len] != '=')
			continue;
		if (found != NULL)
			return (false);
		found = line + key_len + 1;
	}
	if (found == NULL)
		return (false);
	len = strcspn(found, "\n");
	if (len >= size)
		return (false);
	memcpy(out, found, len);
	out[len] = '\0';
	return (true);
}

static bool
parse_i32(const char *text, const char *key, int32_t *out)
{
	char v[32];

	return (value_of(text, key, v, sizeof(v)) && str_to_i32(slice_str(v), out));
}

static bool
parse_hex(const char *v, uint8_t *out, size_t n)
{
	unsigned x;
	size_t i;

	if (strlen(v) != n * 2 || strspn(v, "0123456789abcdef") != n * 2)
		return (false);
	for (i = 0; i < n; i++) {
		if (sscanf(v + 2 * i, "%2x", &x) != 1)
			return (false);
		out[i] = (uint8_t)x;
	}
	return (true);
}

static bool
parse_session(const char *v, int64_t *id)
{
	char *end;
	uint64_t x;

	if (strncmp(v, "0x", 2) != 0)
		return (false);
	errno = 0;
	x = strtoull(v, &end, 16);
	*id = (int64_t)x;
	return (errno == 0 && *end == '\0' && x != 0);
}

static bool
parse_lock(const char *v, uint64_t *dev, uint64_t *ino)
{
	char rest;

	return (sscanf(v, "%" SCNu64 ":%" SCNu64 "%c", dev, ino, &rest) == 2);
}

static bool
parse_record(const char *text, struct session_record *r)
{
	char v[RECORD_MAX];
	int32_t version;

	if (!parse_i32(text, "version", &version) || version != 1 || !parse_i32(text, "timeout.ms", &r->ident.timeout_ms) ||
	    !parse_i32(text, "broker.id", &r->broker_id) || r->ident.timeout_ms <= 0)
		return (false);
	if (!value_of(text, "session", v, sizeof(v)) || !parse_session(v, &r->ident.id))
		return (false);
	if (!value_of(text, "password", v, sizeof(v)) || !parse_hex(v, r->ident.password, sizeof(r->ident.password)))
		return (false);
	if (!value_of(text, "lock", v, sizeof(v)) || !parse_lock(v, &r->lock_dev, &r->lock_ino))
		return (false);
	if (!value_of(text, "cluster.id", r->cluster_id, sizeof(r->cluster_id)) || !value_of(text, "boot.id", r->boot_id, sizeof(r->boot_id)))
		return (false);
	if (!value_of(text, "zookeeper.connect", v, sizeof(v)))
		return (false);
	r->connect = xstrdup(v);
	return (true);
}

static enum err
read_text(const char *path, char *text, struct errbuf *eb)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	enum err e = OK;

	if (fd < 0) {
		errbuf_errno(eb, errno, "%s", path);
		return (errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno));
	}
	n = fstat(fd, &st) < 0 ? -1 : read(fd, text, RECORD_MAX + 1);
	close(fd);
	if (n < 0 || n > RECORD_MAX || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		errbuf_set(eb, "%s is not a session record of ours", path);
		e = ERR_MALFORMED;
	}
	text[n < 0 || n > RECORD_MAX ? 0 : n] = '\0';
	return (e);
}

enum err
session_record_read(const char *dir, struct session_record *r, struct errbuf *eb)
{
	char *path = xasprintf("%s/%s", dir, SESSION_RECORD_NAME), *text = xcalloc(1, RECORD_MAX + 2);
	enum err e;

	*r = (struct session_record){ .broker_id = -1 };
	e = read_text(path, text, eb);
	if (e == OK && !parse_record(text, r)) {
		errbuf_set(eb, "%s is not a session record of ours", path);
		session_record_fini(r);
		e = ERR_MALFORMED;
	}
	explicit_bzero(text, RECORD_MAX);
	free(text);
	free(path);
	return (e);
}
