/* SPDX-License-Identifier: Apache-2.0
 *
 * base/alloc.c - see alloc.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/slice.h"

static void *
or_die(void *p)
{
	if (UNLIKELY(p == NULL))
		unreachable("out of memory");
	return (p);
}

void *
xmalloc(size_t size)
{
	return (or_die(malloc(size == 0 ? 1 : size)));
}

/* calloc of glibc (before 2.41) passes by the thread's cache, which has a block of up to this size without a lock or a search. */
enum { CACHED = 1032 };

void *
xcalloc(size_t n, size_t size)
{
	size_t bytes;

	if (!__builtin_mul_overflow(n, size, &bytes) && bytes <= CACHED)
		return (memset(xmalloc(bytes), 0, bytes));
	return (or_die(calloc(n, size)));
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	return (or_die(n == 0 || size == 0 ? realloc(p, 1) : reallocarray(p, n, size)));
}

char *
xstrdup(const char *s)
{
	return (or_die(strdup(s)));
}

char *
xstrndup(const char *s, size_t n)
{
	return (or_die(strndup(s, n)));
}

uint8_t *
xslicedup(struct slice s)
{
	uint8_t *p;

	if (s.p == NULL)
		return (NULL);
	p = xmalloc(s.len + 1);
	memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return (p);
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return (or_die(n < 0 ? NULL : s));
}
