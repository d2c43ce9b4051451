/* SPDX-License-Identifier: Apache-2.0
 *
 * config/properties.h - the syntax of java.util.Properties: server.properties, meta.properties.
 *
 *	# comment	! comment	key=value	key: value	key value	a\
 *									    continued line
 *	\t \n \r \f, \uXXXX (UTF-16, pairs joined), backslash and any other character: that character
 *
 * As in Java the bytes are ISO-8859-1 (a character beyond it needs \uXXXX); what comes out is UTF-8.  Of a repeated key the last counts.
 *
 * Ownership  properties_parse makes the object, properties_free ends it; entries are borrowed until then.
 * Threads    Immutable after parsing: any thread.
 * Failure    ERR_MALFORMED (a bad \u escape, a NUL byte), ERR_LIMIT (more than len_max bytes); errbuf says "FILE:LINE: what".
 */
#ifndef CONFIG_PROPERTIES_H
#define CONFIG_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/str.h"

struct properties;

struct property {
	const char	*key, *value;	/* unescaped, NUL-terminated UTF-8; the value may be "" and may end in blanks (as in Java) */
	unsigned	 line;		/* where the entry begins, from 1; 0 = not from a file */
};

/* `file` is only for messages and is copied. */
enum err properties_parse(struct slice text, const char *file, size_t len_max, struct properties **, struct errbuf *) MUST_CHECK;
void	 properties_free(struct properties **);

const char *properties_file(const struct properties *);
size_t	 properties_count(const struct properties *);
const struct property *properties_at(const struct properties *, size_t);	/* in the order of the file */
const struct property *properties_find(const struct properties *, const char *key);	/* NULL when absent */
const char *properties_get(const struct properties *, const char *key);		/* the value, or NULL */

/* One line "key=value\n", escaped as Java's Properties.store writes it (other than ASCII as \uXXXX). */
void	 properties_write(struct strbuf *, const char *key, const char *value);

#endif
