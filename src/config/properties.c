/* SPDX-License-Identifier: Apache-2.0
 *
 * config/properties.c - see properties.h for the interface.
 *
 * A logical line is gathered first (natural lines joined where one ends in an odd number of backslashes, leading blanks of each dropped),
 * then split into key and value, then both are unescaped.  Bytes are ISO-8859-1, as java.util.Properties reads a stream, and come out as UTF-8.
 *
 * RULES
 *   (1) a logical line that begins with # or ! is a comment; a comment is never continued.
 *   (2) the key ends at the first unescaped = : or blank; blanks around one = or : belong to neither side.
 *   (3) trailing blanks of a value stay.
 *   (4) entries are kept in the order of the file; of a repeated key only the last entry exists.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/properties.h"

struct properties {
	char		*file;
	struct property	*entries;	/* rule (4) */
	size_t		 count, size;
	size_t		*by_key;	/* indices into entries, sorted by key */
};

struct line_reader {
	const uint8_t	*p, *end;
	unsigned	 next;		/* number of the natural line at p */
	char		*buf;		/* the logical line, escapes still in it */
	size_t		 len;
	unsigned	 line;		/* where the logical line begins */
};

static bool
is_blank(int c)
{
	return (c == ' ' || c == '\t' || c == '\f');
}

static bool
is_eol(int c)
{
	return (c == '\n' || c == '\r');
}

/* Steps over one line end, "\r\n" being one. */
static void
skip_eol(struct line_reader *r)
{
	if (*r->p == '\r' && r->end - r->p > 1 && r->p[1] == '\n')
		r->p++;
	r->p++;
	r->next++;
}

static void
skip_comment(struct line_reader *r)
{
	while (r->p < r->end && !is_eol(*r->p))
		r->p++;
}

/* Appends the rest of a natural line; true when it ends in an unpaired backslash, which is then dropped. */
static bool
take_natural(struct line_reader *r)
{
	bool backslash = false;

	for (; r->p < r->end && !is_eol(*r->p); r->p++) {
		r->buf[r->len++] = (char)*r->p;
		backslash = *r->p == '\\' && !backslash;
	}
	if (backslash)
		r->len--;
	return (backslash);
}

/* The next logical line that is neither blank nor a comment; false at the end. */
static bool
next_logical(struct line_reader *r)
{
	bool continued = false;

	r->len = 0;
	while (r->p < r->end) {
		while (r->p < r->end && is_blank(*r->p))
			r->p++;
		if (r->p == r->end)
			break;
		if (r->len == 0 && !is_eol(*r->p))
			r->line = r->next;
		if (r->len == 0 && (*r->p == '#' || *r->p == '!'))
			skip_comment(r);
		else
			continued = take_natural(r);
		if (continued && r->end - r->p <= 1) {	/* the file ends here: an entry, though maybe with nothing in it */
			r->p = r->end;
			return (true);
		}
		if (r->p < r->end)
			skip_eol(r);
		if (r->len > 0 && !continued)
			return (true);
		continued = false;
	}
	return (r->len > 0);
}

/* ---- one logical line ---- */

static void
put_utf8(char **out, uint32_t c)
{
	uint8_t *o = (uint8_t *)*out;

	if (c < 0x80) {
		*o++ = (uint8_t)c;
	} else if (c < 0x800) {
		*o++ = (uint8_t)(0xc0 | c >> 6);
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (uint8_t)(0xe0 | c >> 12);
		*o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		*o++ = (uint8_t)(0xf0 | c >> 18);
		*o++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*o++ = (uint8_t)(0x80 | (c & 0x3f));
	}
	*out = (char *)o;
}

/* Four hexadecimal digits at s; false when there are not four. */
static bool
hex4(const char *s, const char *end, uint32_t *c)
{
	int i;

	if (end - s < 4)
		return (false);
	for (*c = 0, i = 0; i < 4; i++) {
		char d = s[i];

		if (d >= '0' && d <= '9')
			*c = *c << 4 | (uint32_t)(d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			*c = *c << 4 | (uint32_t)((d | 0x20) - 'a' + 10);
		else
			return (false);
	}
	return (true);
}

/* After "\u".  Two escapes that are a surrogate pair are one character; half a pair is U+FFFD.  NULL = malformed. */
static const char *
unescape_unicode(const char *s, const char *end, char **out)
{
	uint32_t c, low;

	if (!hex4(s, end, &c) || c == 0)
		return (NULL);
	s += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - s >= 6 && s[0] == '\\' && s[1] == 'u' && hex4(s + 2, end, &low) &&
	    low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		s += 6;
	}
	put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return (s);
}

/* A fresh string with the escapes worked out, or NULL.  One byte becomes at most two, an escape of six at most three. */
static char *
unescape(const char *s, size_t len)
{
	const char *end = s + len;
	char *text = xmalloc(2 * len + 1), *out = text;

	while (s != NULL && s < end) {
		uint8_t c = (uint8_t)*s++;

		if (c == '\\' && s < end) {
			c = (uint8_t)*s++;
			if (c == 'u') {
				s = unescape_unicode(s, end, &out);
				continue;
			}
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
		}
		if (c == 0)
			s = NULL;
		else
			put_utf8(&out, c);
	}
	if (s == NULL) {
		free(text);
		return (NULL);
	}
	*out = '\0';
	return (text);
}

/* Rule (2): where the key ends and the value begins. */
static void
split(const char *s, size_t len, size_t *key_len, size_t *value_start)
{
	bool backslash = false, separated = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (!backslash && (s[i] == '=' || s[i] == ':' || is_blank(s[i])))
			break;
		backslash = s[i] == '\\' && !backslash;
	}
	*key_len = i;
	for (; i < len; i++) {
		if (is_blank(s[i]))
			continue;
		if (separated || (s[i] != '=' && s[i] != ':'))
			break;
		separated = true;
	}
	*value_start = i;
}

static bool
add_line(struct properties *p, const struct line_reader *r)
{
	size_t key_len, value_start;
	char *key, *value;

	split(r->buf, r->len, &key_len, &value_start);
	key = unescape(r->buf, key_len);
	value = unescape(r->buf + value_start, r->len - value_start);
	if (key == NULL || value == NULL) {
		free(key);
		free(value);
		return (false);
	}
	if (p->count == p->size) {
		p->size = p->size ? 2 * p->size : 64;
		p->entries = xreallocarray(p->entries, p->size, sizeof(*p->entries));
	}
	p->entries[p->count++] = (struct property){ key, value, r->line };
	return (true);
}

/* ---- the whole ---- */

static int
by_key_then_place(const void *a, const void *b, void *ctx)
{
	const struct property *entries = ctx;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	int c = strcmp(entries[i].key, entries[j].key);

	return (c != 0 ? c : i < j ? -1 : i > j);
}

static void
sort_index(struct properties *p)
{
	size_t i;

	p->by_key = xreallocarray(p->by_key, p->count ? p->count : 1, sizeof(*p->by_key));
	for (i = 0; i < p->count; i++)
		p->by_key[i] = i;
	qsort_r(p->by_key, p->count, sizeof(*p->by_key), by_key_then_place, p->entries);
}

/* Rule (4): drops all but the last entry of each key, then closes the gaps. */
static void
drop_repeated(struct properties *p)
{
	size_t i, n = 0;

	sort_index(p);
	for (i = 0; i + 1 < p->count; i++) {
		struct property *e = &p->entries[p->by_key[i]];

		if (strcmp(e->key, p->entries[p->by_key[i + 1]].key) == 0) {
			free((char *)(uintptr_t)e->value);
			e->value = NULL;
		}
	}
	for (i = 0; i < p->count; i++) {
		if (p->entries[i].value != NULL)
			p->entries[n++] = p->entries[i];
		else
			free((char *)(uintptr_t)p->entries[i].key);
	}
	p->count = n;
	sort_index(p);
}

enum err
properties_parse(struct slice text, const char *file, size_t len_max, struct properties **pp, struct errbuf *eb)
{
	struct line_reader r = { text.p, text.len ? text.p + text.len : text.p, 1, NULL, 0, 0 };
	struct properties *p;
	bool ok = true;

	*pp = NULL;
	if (text.len > len_max) {
		errbuf_set(eb, "%s: %zu bytes, more than the %zu allowed", file, text.len, len_max);
		return (ERR_LIMIT);
	}
	p = xcalloc(1, sizeof(*p));
	p->file = xstrdup(file);
	r.buf = xmalloc(text.len + 1);
	while (ok && next_logical(&r))
		ok = add_line(p, &r);
	free(r.buf);
	if (!ok) {
		errbuf_set(eb, "%s:%u: malformed: a \\u needs four hexadecimal digits, and a NUL byte cannot stand in a key or value", file, r.line);
		properties_free(&p);
		return (ERR_MALFORMED);
	}
	drop_repeated(p);
	*pp = p;
	return (OK);
}

void
properties_free(struct properties **pp)
{
	struct properties *p = *pp;
	size_t i;

	*pp = NULL;
	if (p == NULL)
		return;
	for (i = 0; i < p->count; i++) {
		free((char *)(uintptr_t)p->entries[i].key);
		free((char *)(uintptr_t)p->entries[i].value);
	}
	free(p->entries);
	free(p->by_key);
	free(p->file);
	free(p);
}

const char *
properties_file(const struct properties *p)
{
	return (p->file);
}

size_t
properties_count(const struct properties *p)
{
	return (p->count);
}

const struct property *
properties_at(const struct properties *p, size_t i)
{
	return (i < p->count ? &p->entries[i] : NULL);
}

const struct property *
properties_find(const struct properties *p, const char *key)
{
	size_t lo = 0, hi = p->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(key, p->entries[p->by_key[mid]].key);

		if (c == 0)
			return (&p->entries[p->by_key[mid]]);
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (NULL);
}

const char *
properties_get(const struct properties *p, const char *key)
{
	const struct property *e = properties_find(p, key);

	return (e == NULL ? NULL : e->value);
}

/* ---- writing ---- */

/* One UTF-8 character; what is not UTF-8 gives U+FFFD and one byte. */
static uint32_t
next_char(const uint8_t **s)
{
	const uint8_t *p = *s;
	uint32_t c = *p, least;
	int i, n;

	n = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : -1;
	least = n == 1 ? 0x80 : n == 2 ? 0x800 : n == 3 ? 0x10000 : 0;
	*s = p + 1;
	if (n <= 0)
		return (n == 0 ? c : 0xfffd);
	c &= 0x3fU >> n;
	for (i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (0xfffd);
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return (0xfffd);
	*s = p + n + 1;
	return (c);
}

static void
write_char(struct strbuf *sb, uint32_t c)
{
	static const char letters[] = "t\tn\nr\rf\f";
	size_t i;

	for (i = 0; letters[i] != '\0'; i += 2) {
		if (c == (uint8_t)letters[i + 1]) {
			strbuf_add(sb, "\\%c", letters[i]);
			return;
		}
	}
	if (c >= 0x10000)
		strbuf_add(sb, "\\u%04X\\u%04X", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
	else if (c < 0x20 || c > 0x7e)
		strbuf_add(sb, "\\u%04X", c);
	else
		strbuf_add(sb, "%s%c", strchr("\\=:#!", (int)c) != NULL ? "\\" : "", (char)c);
}

static void
write_escaped(struct strbuf *sb, const char *text, bool is_key)
{
	const uint8_t *s = (const uint8_t *)text;

	while (*s != '\0') {
		if (*s == ' ' && (is_key || (const char *)s == text))
			strbuf_add_bytes(sb, "\\", 1);
		write_char(sb, next_char(&s));
	}
}

void
properties_write(struct strbuf *sb, const char *key, const char *value)
{
	write_escaped(sb, key, true);
	strbuf_add_bytes(sb, "=", 1);
	write_escaped(sb, value, false);
	strbuf_add_bytes(sb, "\n", 1);
}
