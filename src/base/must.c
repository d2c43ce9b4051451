/* SPDX-License-Identifier: Apache-2.0
 *
 * base/must.c - see must.h.  The process dies here, so nothing is allocated and no lock is taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

void (*must_dump)(void);

void
must_failed(const char *file, int line, const char *function, const char *what)
{
	static _Thread_local int dying;
	char text[512];
	int n;

	n = snprintf(text, sizeof(text), "panic: %s:%d: %s: %s\n", file, line, function, what);
	if (n > (int)sizeof(text) - 1)
		n = (int)sizeof(text) - 1;
	if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
		abort();
	/* A dump that trips over the same damage must not come back here for ever. */
	if (must_dump != NULL && dying++ == 0)
		must_dump();
	abort();
}
