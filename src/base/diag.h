/* SPDX-License-Identifier: Apache-2.0
 *
 * base/diag.h - diagnostics: lines for the operator.  ("log" in this project is always the commit log.)
 *
 * A struct diag is a sink plus a threshold; it is handed to whatever may have something to say.  NULL is a valid diag that drops
 * everything.  Text lines:  2026-11-22T18:20:39.123Z warning [controller] words ...   JSON lines: {"time":..,"level":..,"area":..,"message":..}
 * Threads    Any.  A line is written by one write(2).  Failure: a line that cannot be written is dropped and counted.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/clock.h"
#include "base/err.h"

enum diag_level { DIAG_DEBUG, DIAG_INFO, DIAG_WARNING, DIAG_ERROR };

struct diag;

struct diag_options {
	const char	*path;		/* NULL = standard error */
	bool		 json;
	enum diag_level	 level;		/* lines below are dropped */
	struct clock	*clock;
};

enum err diag_new(const struct diag_options *, struct diag **, struct errbuf *) MUST_CHECK;
void	 diag_free(struct diag **);
enum err diag_reopen(struct diag *, struct errbuf *);	/* after SIGHUP: the path is opened again; on failure the old one stays */
bool	 diag_enabled(const struct diag *, enum diag_level);
void	 diag_set_level(struct diag *, enum diag_level);
uint64_t diag_dropped(const struct diag *);		/* lines that could not be written */

/* A capture for tests: every line goes to fn instead. */
struct diag *diag_capture(void (*fn)(void *ctx, enum diag_level, const char *area, const char *text), void *ctx);

void diag_v(struct diag *, enum diag_level, const char *area, const char *fmt, va_list);
void diag_line(struct diag *, enum diag_level, const char *area, const char *fmt, ...) PRINTF_LIKE(4, 5);

#define diag_debug(d, area, ...)	do { if (diag_enabled((d), DIAG_DEBUG)) diag_line((d), DIAG_DEBUG, (area), __VA_ARGS__); } while (0)
#define diag_info(d, area, ...)		diag_line((d), DIAG_INFO, (area), __VA_ARGS__)
#define diag_warning(d, area, ...)	diag_line((d), DIAG_WARNING, (area), __VA_ARGS__)
#define diag_error(d, area, ...)	diag_line((d), DIAG_ERROR, (area), __VA_ARGS__)

#endif
