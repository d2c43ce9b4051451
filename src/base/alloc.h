/* SPDX-License-Identifier: Apache-2.0
 *
 * base/alloc.h - heap memory whose size no peer decides: exhaustion ends the process with a diagnostic.
 * What a peer can make grow comes from an arena with a cap, or is checked against limits.h first.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdint.h>
#include <stdlib.h>

#include "base/cdefs.h"

struct slice;

void *xmalloc(size_t) MUST_CHECK;
void *xcalloc(size_t n, size_t size) MUST_CHECK;
void *xreallocarray(void *, size_t n, size_t size) MUST_CHECK;
char *xstrdup(const char *) MUST_CHECK;
char *xstrndup(const char *, size_t) MUST_CHECK;
uint8_t *xslicedup(struct slice) MUST_CHECK;		/* with a NUL behind it; NULL of an absent one */
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_CHECK;

#endif
