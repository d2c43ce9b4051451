/* SPDX-License-Identifier: Apache-2.0
 *
 * base/str.h - text: a growing buffer, bounded parsing of numbers, and the string rules that Kafka inherits from Java.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdarg.h>

#include "base/cdefs.h"
#include "base/slice.h"

/* ---- growing, NUL-terminated text on the heap ---- */
struct strbuf {
	char	*s;	/* "" until something is added; free with strbuf_fini */
	size_t	 len, size;
};
#define STRBUF_INIT	{ NULL, 0, 0 }
void  strbuf_add(struct strbuf *, const char *fmt, ...) PRINTF_LIKE(2, 3);
void  strbuf_vadd(struct strbuf *, const char *fmt, va_list);
void  strbuf_add_bytes(struct strbuf *, const void *, size_t);
void  strbuf_add_json_string(struct strbuf *, struct slice);	/* with quotes, escaped; invalid UTF-8 becomes U+FFFD */
const char *strbuf_str(const struct strbuf *);			/* never NULL */
char *strbuf_take(struct strbuf *);				/* the text, now the caller's; the buffer is empty again */
void  strbuf_fini(struct strbuf *);

/* ---- numbers: the whole text, no blanks, or false ---- */
bool  str_to_i64(struct slice, int64_t *) MUST_CHECK;	/* optional sign, decimal */
bool  str_to_i32(struct slice, int32_t *) MUST_CHECK;
bool  str_to_double(struct slice, double *) MUST_CHECK;	/* C locale whatever the process's is */

/* ---- copies into fixed arrays: false when cut ---- */
bool  str_copy(char *dst, size_t size, const char *src);
bool  str_format(char *dst, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

bool  str_is_utf8(struct slice);
bool  str_eq_nocase(struct slice, const char *);	/* ASCII */
int32_t java_string_hash(struct slice utf8);		/* String.hashCode over UTF-16 units */
size_t java_string_length(struct slice utf8);		/* String.length: UTF-16 units; of well-formed text */
int32_t java_abs(int32_t);				/* Utils.abs: Integer.MIN_VALUE gives 0 */
uint32_t kafka_murmur2(struct slice);			/* Utils.murmur2, the default partitioner's hash */
unsigned str_distance(const char *a, const char *b, unsigned max);	/* Damerau-Levenshtein, max + 1 for all that is further; for "did you mean" */

/* A topic name that Kafka accepts (Topic.validate): NULL, or why not, in words. */
const char *topic_name_invalid(struct slice);
bool  topic_names_collide(struct slice, struct slice);	/* equal once '.' and '_' are one (Topic.hasCollision) */
bool  topic_is_internal(struct slice);			/* __consumer_offsets, __transaction_state */

#endif
