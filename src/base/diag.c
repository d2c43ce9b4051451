/* SPDX-License-Identifier: Apache-2.0
 *
 * base/diag.c - see diag.h.
 *
 * THEORY  A line is built on the heap and written by one write(2) on a descriptor opened for appending, so lines of several threads never
 *         mix and no lock is held.  diag_reopen puts the new file under the old descriptor number (dup3 is atomic).  Control characters are
 *         escaped: text that came from a peer cannot forge a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/diag.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/str.h"

struct diag {
	char		*path;		/* NULL: standard error, or a capture */
	int		 fd;
	bool		 json;
	_Atomic int	 level;
	struct clock	*clock;
	_Atomic uint64_t dropped;	/* lines that could not be written */
	void (*capture)(void *, enum diag_level, const char *, const char *);
	void		*capture_ctx;
	struct lock	 lock;		/* one call of capture at a time */
};

static const char *const level_names[] = { "debug", "info", "warning", "error" };

static enum err
open_sink(const char *path, int *fd, struct errbuf *eb)
{
	*fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (*fd >= 0)
		return (OK);
	errbuf_errno(eb, errno, "%s: open for diagnostics", path);
	return (err_from_errno(errno));
}

enum err
diag_new(const struct diag_options *o, struct diag **dp, struct errbuf *eb)
{
	struct diag *d;
	int fd = STDERR_FILENO;

	must(*dp == NULL && o->clock != NULL);
	if (o->path != NULL) {
		enum err e = open_sink(o->path, &fd, eb);

		if (e != OK)
			return (e);
	}
	d = xcalloc(1, sizeof(*d));
	d->path = o->path == NULL ? NULL : xstrdup(o->path);
	d->fd = fd;
	d->json = o->json;
	d->level = (int)o->level;
	d->clock = o->clock;
	lock_init(&d->lock, LOCK_diag);
	*dp = d;
	return (OK);
}

struct diag *
diag_capture(void (*fn)(void *ctx, enum diag_level, const char *area, const char *text), void *ctx)
{
	struct diag *d = xcalloc(1, sizeof(*d));

	d->fd = -1;
	d->capture = fn;
	d->capture_ctx = ctx;
	d->level = DIAG_DEBUG;
	lock_init(&d->lock, LOCK_diag);
	return (d);
}

void
diag_free(struct diag **dp)
{
	struct diag *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	if (d->path != NULL)
		close(d->fd);
	lock_fini(&d->lock);
	free(d->path);
	free(d);
}

enum err
diag_reopen(struct diag *d, struct errbuf *eb)
{
	enum err e;
	int fd;

	if (d == NULL || d->path == NULL)
		return (OK);
	e = open_sink(d->path, &fd, eb);
	if (e != OK)
		return (e);
	if (dup3(fd, d->fd, O_CLOEXEC) < 0) {
		errbuf_errno(eb, errno, "%s: dup3", d->path);
		e = err_from_errno(errno);
	}
	close(fd);
	return (e);
}

bool
diag_enabled(const struct diag *d, enum diag_level level)
{
	return (d != NULL && (int)level >= d->level);
}

void
diag_set_level(struct diag *d, enum diag_level level)
{
	if (d != NULL)
		d->level = (int)level;
}

uint64_t
diag_dropped(const struct diag *d)
{
	return (d == NULL ? 0 : d->dropped);
}

static void
format_time(int64_t wall_ms, char *out, size_t size)
{
	int64_t ms = wall_ms % 1000;
	time_t t = (time_t)(wall_ms / 1000 - (ms < 0));
	struct tm tm;
	size_t n;

	if (gmtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03dZ", (int)(ms < 0 ? ms + 1000 : ms));
}

static void
add_escaped(struct strbuf *b, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			strbuf_add(b, "\\x%02x", (unsigned char)*p);
		else
			strbuf_add_bytes(b, p, 1);
	}
}

static void
format_line(const struct diag *d, struct strbuf *b, enum diag_level level, const char *area, const char *text)
{
	char when[40];

	format_time(clock_wall_ms(d->clock), when, sizeof(when));
	if (!d->json) {
		strbuf_add(b, "%s %s [%s] ", when, level_names[level], area);
		add_escaped(b, text);
	} else {
		strbuf_add(b, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":", when, level_names[level]);
		strbuf_add_json_string(b, slice_str(area));
		strbuf_add(b, ",\"message\":");
		strbuf_add_json_string(b, slice_str(text));
		strbuf_add(b, "}");
	}
	strbuf_add(b, "\n");
}

static void
write_line(struct diag *d, const struct strbuf *b)
{
	ssize_t n;

	do
		n = write(d->fd, b->s, b->len);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)b->len)
		d->dropped++;
}

void
diag_v(struct diag *d, enum diag_level level, const char *area, const char *fmt, va_list ap)
{
	struct strbuf text = STRBUF_INIT, line = STRBUF_INIT;

	if (!diag_enabled(d, level))
		return;
	strbuf_vadd(&text, fmt, ap);
	if (d->capture != NULL) {
		lock_acquire(&d->lock);
		d->capture(d->capture_ctx, level, area, strbuf_str(&text));
		lock_release(&d->lock);
	} else {
		format_line(d, &line, level, area, strbuf_str(&text));
		write_line(d, &line);
	}
	strbuf_fini(&line);
	strbuf_fini(&text);
}

void
diag_line(struct diag *d, enum diag_level level, const char *area, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_v(d, level, area, fmt, ap);
	va_end(ap);
}
