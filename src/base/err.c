/* SPDX-License-Identifier: Apache-2.0
 *
 * base/err.c - see err.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const char *const names[] = {
#define ERR(name, text)	#name,
#include "base/err.def"
#undef ERR
};

static const char *const texts[] = {
#define ERR(name, text)	text,
#include "base/err.def"
#undef ERR
};

const char *
err_name(enum err e)
{
	return ((unsigned)e < ERR_COUNT_ ? names[e] : "ERR_?");
}

const char *
err_text(enum err e)
{
	return ((unsigned)e < ERR_COUNT_ ? texts[e] : "unknown error");
}

static enum err
file_error(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return (ERR_NOSPACE);
	case ENOENT:
	case ENOTDIR:
		return (ERR_NOENT);
	case EEXIST:
	case ENOTEMPTY:
		return (ERR_EXISTS);
	case EACCES:
	case EPERM:
		return (ERR_PERM);
	case EROFS:
		return (ERR_READONLY);
	default:
		return (ERR_IO);
	}
}

static enum err
net_error(int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case EADDRINUSE:
	case EADDRNOTAVAIL:
	case ENOTCONN:
		return (ERR_NET);
	default:
		return (file_error(errnum));
	}
}

enum err
err_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return (OK);
	case EMFILE:
	case ENFILE:
		return (ERR_LIMIT);
	case ENOMEM:
	case ENOBUFS:
		return (ERR_NOMEM);
	case EAGAIN:
	case EINTR:
	case EINPROGRESS:
		return (ERR_AGAIN);
	case EINVAL:
	case ENAMETOOLONG:
	case ELOOP:
	case EISDIR:
		return (ERR_INVALID);
	case ETIMEDOUT:
		return (ERR_TIMEOUT);
	case EOPNOTSUPP:
	case ENOSYS:
		return (ERR_UNSUPPORTED);
	default:
		return (net_error(errnum));
	}
}

void
errbuf_set(struct errbuf *eb, const char *fmt, ...)
{
	va_list ap;

	if (eb == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(eb->text, sizeof(eb->text), fmt, ap);
	va_end(ap);
}

void
errbuf_add(struct errbuf *eb, const char *fmt, ...)
{
	struct errbuf inner;
	va_list ap;
	size_t n;

	if (eb == NULL)
		return;
	inner = *eb;
	va_start(ap, fmt);
	vsnprintf(eb->text, sizeof(eb->text), fmt, ap);
	va_end(ap);
	n = strlen(eb->text);
	if (inner.text[0] != '\0')
		snprintf(eb->text + n, sizeof(eb->text) - n, ": %s", inner.text);
}

void
errbuf_errno(struct errbuf *eb, int errnum, const char *fmt, ...)
{
	char text[128];
	va_list ap;
	size_t n;

	if (eb == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(eb->text, sizeof(eb->text), fmt, ap);
	va_end(ap);
	n = strlen(eb->text);
	snprintf(eb->text + n, sizeof(eb->text) - n, ": %s", strerror_r(errnum, text, sizeof(text)));
}
