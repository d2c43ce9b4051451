/* SPDX-License-Identifier: Apache-2.0
 *
 * base/err.h - errors of the world, and the line of context that travels with them.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cdefs.h"

enum err {
#define ERR(name, text)	name,
#include "base/err.def"
#undef ERR
	ERR_COUNT_
};

const char *err_name(enum err);		/* "ERR_IO"; never NULL */
const char *err_text(enum err);		/* "input/output error"; never NULL */
enum err    err_from_errno(int errnum);	/* OK for 0; ERR_IO for what has no row of its own */

/* Context for people: each level may put its own words before what is already there ("outer: inner").  Every function takes NULL
 * and then does nothing.  Text that does not fit is cut, never an error. */
struct errbuf {
	char	text[512];	/* always terminated; "" when unused: initialise with ERRBUF_INIT */
};
#define ERRBUF_INIT	{ "" }

void errbuf_set(struct errbuf *, const char *fmt, ...) PRINTF_LIKE(2, 3);	/* replaces the text */
void errbuf_add(struct errbuf *, const char *fmt, ...) PRINTF_LIKE(2, 3);	/* puts "words: " in front */
void errbuf_errno(struct errbuf *, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);	/* "words: strerror" */

#endif
