/* SPDX-License-Identifier: Apache-2.0
 *
 * base/str.c - see str.h.  UTF-8 is decoded in one place (utf8_next); ill-formed input yields one U+FFFD per maximal subpart, as Java's
 * decoder does, so that hashes of broken names agree with a Java broker's.
 */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"

#define REPLACEMENT	0xfffdu

/* ---- growing text ---- */
static void
strbuf_room(struct strbuf *b, size_t n)
{
	size_t need;

	must(!__builtin_add_overflow(b->len + 1, n, &need));
	if (need <= b->size)
		return;
	b->size = MAX(need, b->size < 64 ? 64 : b->size * 2);
	b->s = xreallocarray(b->s, b->size, 1);
}

void
strbuf_add_bytes(struct strbuf *b, const void *p, size_t n)
{
	strbuf_room(b, n);
	if (n > 0)
		memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void
strbuf_vadd(struct strbuf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	must(n >= 0);
	strbuf_room(b, (size_t)n);
	vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
	b->len += (size_t)n;
	va_end(again);
}

void
strbuf_add(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(b, fmt, ap);
	va_end(ap);
}

const char *
strbuf_str(const struct strbuf *b)
{
	return (b->s == NULL ? "" : b->s);
}

char *
strbuf_take(struct strbuf *b)
{
	char *s = b->s == NULL ? xstrdup("") : b->s;

	*b = (struct strbuf)STRBUF_INIT;
	return (s);
}

void
strbuf_fini(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf)STRBUF_INIT;
}

/* ---- UTF-8 ---- */

/* What may follow a lead byte: how many continuation bytes, and the bounds of the first (they shut out overlong forms, surrogates
 * and what lies past U+10FFFF: Unicode's table 3-7). */
static unsigned
utf8_lead(uint8_t c, uint8_t *lo, uint8_t *hi, uint32_t *bits)
{
	*lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	*hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	*bits = c >= 0xf0 ? c & 0x07u : c >= 0xe0 ? c & 0x0fu : c & 0x1fu;
	if (c >= 0xc2 && c <= 0xdf)
		return (1);
	if (c >= 0xe0 && c <= 0xef)
		return (2);
	return (c >= 0xf0 && c <= 0xf4 ? 3 : 0);
}

/* The next code point; false (and U+FFFD) where the bytes are ill-formed.  Always moves forward. */
static bool
utf8_next(const uint8_t **pp, const uint8_t *end, uint32_t *cp)
{
	uint8_t c = *(*pp)++, lo, hi;
	unsigned more;

	*cp = c;
	if (c < 0x80)
		return (true);
	more = utf8_lead(c, &lo, &hi, cp);
	for (unsigned i = 0; i < more; i++) {
		if (*pp == end || **pp < lo || **pp > hi) {
			more = 0;
			break;
		}
		*cp = *cp << 6 | (*(*pp)++ & 0x3fu);
		lo = 0x80;
		hi = 0xbf;
	}
	if (more == 0)
		*cp = REPLACEMENT;
	return (more != 0);
}

bool
str_is_utf8(struct slice s)
{
	const uint8_t *p = s.p, *end = s.len == 0 ? s.p : s.p + s.len;
	uint32_t cp;

	while (p < end)
		if (!utf8_next(&p, end, &cp))
			return (false);
	return (true);
}

static void
add_utf8(struct strbuf *b, uint32_t cp)
{
	uint8_t u[4];
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	if (n == 1)
		u[0] = (uint8_t)cp;
	else
		u[0] = (uint8_t)((0xf00u >> n) | (cp >> (6 * (n - 1))));
	for (size_t i = 1; i < n; i++)
		u[i] = (uint8_t)(0x80u | ((cp >> (6 * (n - 1 - i))) & 0x3fu));
	strbuf_add_bytes(b, u, n);
}

static void
add_json_char(struct strbuf *b, uint32_t cp)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = cp == 0 || cp >= 0x80 ? NULL : strchr(from, (int)cp);

	if (at != NULL)
		strbuf_add(b, "\\%c", to[at - from]);
	else if (cp < 0x20 || cp == 0x7f)
		strbuf_add(b, "\\u%04x", cp);
	else
		add_utf8(b, cp);
}

void
strbuf_add_json_string(struct strbuf *b, struct slice s)
{
	const uint8_t *p = s.p, *end = s.len == 0 ? s.p : s.p + s.len;
	uint32_t cp;

	strbuf_add_bytes(b, "\"", 1);
	while (p < end) {
		utf8_next(&p, end, &cp);
		add_json_char(b, cp);
	}
	strbuf_add_bytes(b, "\"", 1);
}

/* ---- numbers ---- */
bool
str_to_i64(struct slice s, int64_t *out)
{
	const uint8_t *p = s.p, *end = s.len == 0 ? s.p : s.p + s.len;
	bool negative;
	int64_t x = 0;

	if (s.len == 0)
		return (false);
	negative = *p == '-';
	if (negative || *p == '+')
		p++;
	if (p == end)
		return (false);
	for (; p < end; p++) {
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(x, 10, &x))
			return (false);
		if (negative ? __builtin_sub_overflow(x, *p - '0', &x) : __builtin_add_overflow(x, *p - '0', &x))
			return (false);
	}
	*out = x;
	return (true);
}

bool
str_to_i32(struct slice s, int32_t *out)
{
	int64_t x;

	if (!str_to_i64(s, &x) || x < INT32_MIN || x > INT32_MAX)
		return (false);
	*out = (int32_t)x;
	return (true);
}

bool
str_to_double(struct slice s, double *out)
{
	char text[128], *end;
	locale_t c;
	double x;

	/* Only what decimal numbers are made of: strtod would also take blanks, hexadecimal, "nan" and "inf". */
	if (s.len == 0 || s.len >= sizeof(text))
		return (false);
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\0' || strchr("0123456789+-.eE", s.p[i]) == NULL)
			return (false);
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	must(c != (locale_t)0);
	errno = 0;
	x = strtod_l(text, &end, c);
	freelocale(c);
	if (*end != '\0' || end == text || (errno == ERANGE && (x > 1 || x < -1)))
		return (false);
	*out = x;
	return (true);
}

/* ---- fixed arrays ---- */
bool
str_copy(char *dst, size_t size, const char *src)
{
	return (str_format(dst, size, "%s", src));
}

bool
str_format(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	return (n >= 0 && (size_t)n < size);
}

static int
lower(int c)
{
	return (c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

bool
str_eq_nocase(struct slice s, const char *t)
{
	if (s.p == NULL || s.len != strlen(t))
		return (false);
	for (size_t i = 0; i < s.len; i++)
		if (lower(s.p[i]) != lower((uint8_t)t[i]))
			return (false);
	return (true);
}

/* ---- what Kafka inherits from Java ---- */
int32_t
java_string_hash(struct slice s)
{
	const uint8_t *p = s.p, *end = s.len == 0 ? s.p : s.p + s.len;
	uint32_t h = 0, cp;

	while (p < end) {
		utf8_next(&p, end, &cp);
		if (cp >= 0x10000) {
			h = h * 31 + (0xd800u + ((cp - 0x10000) >> 10));
			cp = 0xdc00u + ((cp - 0x10000) & 0x3ffu);
		}
		h = h * 31 + cp;
	}
	return ((int32_t)h);
}

size_t
java_string_length(struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((s.p[i] & 0xc0) != 0x80) + (s.p[i] >= 0xf0);
	return (n);
}

int32_t
java_abs(int32_t x)
{
	return (x == INT32_MIN ? 0 : x < 0 ? -x : x);
}

uint32_t
kafka_murmur2(struct slice s)
{
	const uint32_t m = 0x5bd1e995u;
	uint32_t h = 0x9747b28cu ^ (uint32_t)s.len, k;
	size_t i, tail = s.len & 3;

	for (i = 0; i + 4 <= s.len; i += 4) {
		k = le32dec(s.p + i) * m;
		k ^= k >> 24;
		h = h * m ^ k * m;
	}
	if (tail >= 3)
		h ^= (uint32_t)s.p[i + 2] << 16;
	if (tail >= 2)
		h ^= (uint32_t)s.p[i + 1] << 8;
	if (tail >= 1)
		h = (h ^ s.p[i]) * m;
	h ^= h >> 13;
	h *= m;
	return (h ^ h >> 15);
}

/* Optimal string alignment: insert, delete, replace, swap of neighbours.  Three rows of the table are enough. */
unsigned
str_distance(const char *a, const char *b, unsigned max)
{
	enum { LEN_MAX = 127 };
	unsigned rows[3][LEN_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2], *t;
	size_t na = strlen(a), nb = strlen(b);

	if (na > LEN_MAX || nb > LEN_MAX)
		return (max + 1);
	for (size_t j = 0; j <= nb; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned d = above[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		t = before;
		before = above;
		above = row;
		row = t;
	}
	return (MIN(above[nb], max + 1));
}

/* ---- topic names ---- */
static bool
topic_char(uint8_t c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-');
}

const char *
topic_name_invalid(struct slice s)
{
	if (s.len == 0)
		return ("a topic name must not be empty");
	if (slice_eq_str(s, ".") || slice_eq_str(s, ".."))
		return ("a topic must not be named \".\" or \"..\"");
	if (s.len > LIMIT_TOPIC_NAME_MAX)
		return ("a topic name must not be longer than 249 characters");
	for (size_t i = 0; i < s.len; i++)
		if (!topic_char(s.p[i]))
			return ("a topic name may contain only ASCII letters, digits, '.', '_' and '-'");
	return (NULL);
}

bool
topic_names_collide(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return (false);
	for (size_t i = 0; i < a.len; i++)
		if ((a.p[i] == '.' ? '_' : a.p[i]) != (b.p[i] == '.' ? '_' : b.p[i]))
			return (false);
	return (true);
}

bool
topic_is_internal(struct slice s)
{
	return (slice_eq_str(s, "__consumer_offsets") || slice_eq_str(s, "__transaction_state"));
}
