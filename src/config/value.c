/* SPDX-License-Identifier: Apache-2.0
 *
 * config/value.c - one value of a setting: text to C and back, by Java's rules (ConfigDef.parseType, the validators, toString).
 *
 * Blanks around a value do not count (String.trim: everything up to U+0020).  Numbers are decimal with an optional sign; booleans are true and
 * false in any case; a list is split at commas and keeps empty elements in the middle; "" is the empty list.  A double may carry Java's
 * suffixes and be NaN, which no range refuses.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/must.h"
#include "config/config_int.h"

/* ---- texts and lists ---- */

static struct slice
trimmed(const char *s)
{
	size_t len = strlen(s);

	while (len > 0 && (unsigned char)*s <= ' ') {
		s++;
		len--;
	}
	while (len > 0 && (unsigned char)s[len - 1] <= ' ')
		len--;
	return (slice_of(s, len));
}

char *
config_trim(const char *s)
{
	struct slice t = trimmed(s);

	return (xstrndup((const char *)t.p, t.len));
}

/* The pointers and the texts share one block, so that one free() ends the list. */
struct config_list
config_list_split(const char *text, bool drop_empty)
{
	struct slice t = trimmed(text);
	size_t i, n = 1, count = 0;
	const char **items;
	char *copy, *s, *comma;

	if (t.len == 0)
		return ((struct config_list){ NULL, 0 });
	for (i = 0; i < t.len; i++)
		n += t.p[i] == ',';
	items = xmalloc(n * sizeof(*items) + t.len + 1);
	copy = (char *)(items + n);
	memcpy(copy, t.p, t.len);
	copy[t.len] = '\0';
	for (s = copy; s != NULL; s = comma) {
		struct slice item;

		comma = strchr(s, ',');
		if (comma != NULL)
			*comma++ = '\0';
		item = trimmed(s);
		s = (char *)(uintptr_t)item.p;
		s[item.len] = '\0';
		if (!drop_empty || item.len > 0)
			items[count++] = s;
	}
	return ((struct config_list){ items, count });
}

void
config_list_fini(struct config_list *l)
{
	free((void *)(uintptr_t)l->items);
	*l = (struct config_list){ NULL, 0 };
}

char *
config_list_text(const struct config_list *l)
{
	struct strbuf sb = STRBUF_INIT;
	size_t i;

	for (i = 0; i < l->count; i++)
		strbuf_add(&sb, "%s%s", i ? "," : "", l->items[i]);
	strbuf_add_bytes(&sb, "", 0);
	return (sb.s == NULL ? xstrdup("") : strbuf_take(&sb));
}

/* ---- doubles ---- */

static size_t
digits(const char *s, size_t len, bool hex)
{
	size_t i;

	for (i = 0; i < len; i++) {
		bool is_hex_letter = (s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'f';

		if (!(s[i] >= '0' && s[i] <= '9') && !(hex && is_hex_letter))
			break;
	}
	return (i);
}

/* Is [s, s+len) a number as Double.parseDouble takes it, without sign and suffix?  What strtod takes beyond that (infinity in any case,
 * nan(...), hex without exponent) is not. */
static bool
double_grammar(const char *s, size_t len)
{
	bool hex = len > 2 && s[0] == '0' && (s[1] | 0x20) == 'x';
	size_t i = hex ? 2 : 0, whole, fraction = 0, n;
	char e = hex ? 'p' : 'e';

	whole = digits(s + i, len - i, hex);
	i += whole;
	if (i < len && s[i] == '.') {
		i++;
		fraction = digits(s + i, len - i, hex);
		i += fraction;
	}
	if (whole + fraction == 0)
		return (false);
	if (i < len && (s[i] | 0x20) == e) {
		i++;
		if (i < len && (s[i] == '+' || s[i] == '-'))
			i++;
		n = digits(s + i, len - i, false);
		i += n;
		return (n > 0 && i == len);
	}
	return (i == len && !hex);
}

bool
config_double_parse(struct slice t, double *d)
{
	char buf[512];
	const char *s = buf;
	bool negative;
	size_t len = t.len;

	if (len == 0 || len >= sizeof(buf))
		return (false);
	memcpy(buf, t.p, len);
	buf[len] = '\0';
	negative = buf[0] == '-';
	if (buf[0] == '-' || buf[0] == '+') {
		s++;
		len--;
	}
	if (strcmp(s, "NaN") == 0) {
		*d = (double)NAN;
		return (true);
	}
	if (strcmp(s, "Infinity") == 0) {
		*d = negative ? -(double)INFINITY : (double)INFINITY;
		return (true);
	}
	if (len > 1 && strchr("fFdD", s[len - 1]) != NULL && (double_grammar(s, len - 1) || !double_grammar(s, len)))
		len--;
	if (!double_grammar(s, len))
		return (false);
	buf[(size_t)(s - buf) + len] = '\0';
	*d = strtod(s, NULL);
	if (negative)
		*d = -*d;
	return (true);
}

/* Double.toString: the fewest digits that give the number back; plain between 10^-3 and 10^7, else computerized scientific notation. */
char *
config_double_text(double d)
{
	char e[40], digit[24];
	int precision, exponent, n, i;
	struct strbuf sb = STRBUF_INIT;

	if (isnan(d))
		return (xstrdup("NaN"));
	if (isinf(d))
		return (xstrdup(d < 0 ? "-Infinity" : "Infinity"));
	for (precision = 1; precision < 17; precision++) {	/* two digits at least: the smallest number is 4.9E-324, not 5.0E-324 */
		snprintf(e, sizeof(e), "%.*e", precision, fabs(d));
		if (strtod(e, NULL) == fabs(d))
			break;
	}
	for (n = 0, i = 0; e[i] != 'e'; i++) {
		if (e[i] != '.')
			digit[n++] = e[i];
	}
	while (n > 1 && digit[n - 1] == '0')
		n--;
	exponent = d == 0 ? 0 : atoi(e + i + 1);
	strbuf_add(&sb, "%s", signbit(d) ? "-" : "");
	if (d == 0 || (fabs(d) >= 1e-3 && fabs(d) < 1e7)) {
		if (exponent < 0)
			strbuf_add(&sb, "0.%.*s%.*s", -exponent - 1, "000000", n, digit);
		else if (n > exponent + 1)
			strbuf_add(&sb, "%.*s.%.*s", exponent + 1, digit, n - exponent - 1, digit + exponent + 1);
		else
			strbuf_add(&sb, "%.*s%.*s.0", n, digit, exponent + 1 - n, "0000000");
	} else {
		strbuf_add(&sb, "%c.%.*sE%d", digit[0], n > 1 ? n - 1 : 1, n > 1 ? digit + 1 : "0", exponent);
	}
	return (strbuf_take(&sb));
}

/* ---- valid values ---- */

static bool
word_in(const char *words, struct slice w, bool nocase)
{
	const char *s = words, *comma;

	for (; s != NULL; s = comma ? comma + 1 : NULL) {
		size_t len;

		comma = strchr(s, ',');
		len = comma ? (size_t)(comma - s) : strlen(s);
		if (len == w.len && (nocase ? strncasecmp(s, (const char *)w.p, len) : memcmp(s, w.p, len)) == 0)
			return (true);
	}
	return (false);
}

/* "3.9.1" is "3.9": two parts count, three when the first is 0. */
bool
config_version_known(const char *text)
{
	char key[32], name[32];
	int parts = strncmp(text, "0.", 2) == 0 ? 3 : 2, last;
	size_t i;

	for (i = 0; text[i] != '\0' && i < sizeof(key) - 1; i++) {
		if (text[i] == '.' && --parts == 0)
			break;
		key[i] = text[i];
	}
	key[i] = '\0';
#define VERSIONS(release, last_internal) \
	if (strcmp(key, release) == 0) \
		return (true); \
	for (last = 0; last <= last_internal; last++) { \
		snprintf(name, sizeof(name), "%s-IV%d", release, last); \
		if (strcmp(key, name) == 0) \
			return (true); \
	}
#include "config/versions.def"
#undef VERSIONS
	return (false);
}

/* "", "7:1" and so on; or the whole list is one "*". */
static bool
throttled_ok(const struct config_list *l)
{
	size_t i, stars = 0, empty = 0;

	for (i = 0; i < l->count; i++) {
		const char *s = l->items[i];
		size_t n = digits(s, strlen(s), false), m;

		empty += *s == '\0';
		stars += strcmp(s, "*") == 0;
		if (*s == '\0' || strcmp(s, "*") == 0)
			continue;
		m = s[n] == ':' ? digits(s + n + 1, strlen(s + n + 1), false) : 0;
		if (n == 0 || m == 0 || s[n + 1 + m] != '\0')
			return (false);
	}
	return (stars == 0 || (stars == 1 && stars + empty == l->count));
}

static bool
number_ok(const struct config_valid *v, double d)
{
	switch (v->kind) {
	case CONFIG_VALID_MIN:
		return (!(d < v->lo));
	case CONFIG_VALID_RANGE:
		return (!(d < v->lo) && !(d > v->hi));
	case CONFIG_VALID_MIN_OR_MINUS_ONE:
		return (d >= v->lo || d == -1);
	case CONFIG_VALID_RANGE_OR_MINUS_ONE:
		return ((d >= v->lo && d <= v->hi) || d == -1);
	default:
		return (true);
	}
}

static bool
text_ok(const struct config_valid *v, const char *s)
{
	switch (v->kind) {
	case CONFIG_VALID_ONE_OF:
		return (word_in(v->words, slice_str(s), false));
	case CONFIG_VALID_ONE_OF_NOCASE:
		return (word_in(v->words, slice_str(s), true));
	case CONFIG_VALID_NON_EMPTY:
		return (*s != '\0');
	case CONFIG_VALID_VERSION:
		return (config_version_known(s));
	default:
		return (true);
	}
}

static bool
list_ok(const struct config_valid *v, const struct config_list *l)
{
	size_t i;

	if (v->kind == CONFIG_VALID_THROTTLED)
		return (throttled_ok(l));
	for (i = 0; v->kind == CONFIG_VALID_EACH_OF && i < l->count; i++) {
		if (!word_in(v->words, slice_str(l->items[i]), false))
			return (false);
	}
	return (true);
}

/* ---- parsing ---- */

static bool
parse_integer(const struct config_key *key, struct slice t, void *field, struct errbuf *eb)
{
	int64_t n;
	bool ok = str_to_i64(t, &n);

	if (!ok || (key->type == CONFIG_INT && n != (int32_t)n) || (key->type == CONFIG_SHORT && n != (int16_t)n)) {
		errbuf_set(eb, ok ? "out of range" : "not a whole number that fits");
		return (false);
	}
	if (!number_ok(&key->valid, (double)n)) {
		errbuf_set(eb, "out of range");
		return (false);
	}
	if (key->type == CONFIG_INT)
		*(int32_t *)field = (int32_t)n;
	else if (key->type == CONFIG_SHORT)
		*(int16_t *)field = (int16_t)n;
	else
		*(int64_t *)field = n;
	return (true);
}

static bool
parse_number(const struct config_key *key, struct slice t, void *field, struct errbuf *eb)
{
	double d;

	if (key->type != CONFIG_DOUBLE)
		return (parse_integer(key, t, field, eb));
	if (!config_double_parse(t, &d)) {
		errbuf_set(eb, "not a number");
		return (false);
	}
	if (!number_ok(&key->valid, d)) {
		errbuf_set(eb, "out of range");
		return (false);
	}
	*(double *)field = d;
	return (true);
}

static bool
parse_boolean(struct slice t, void *field, struct errbuf *eb)
{
	bool yes = str_eq_nocase(t, "true");

	if (!yes && !str_eq_nocase(t, "false")) {
		errbuf_set(eb, "neither true nor false");
		return (false);
	}
	*(bool *)field = yes;
	return (true);
}

static bool
parse_text(const struct config_key *key, struct slice t, void *field, struct errbuf *eb)
{
	char *s = xstrndup((const char *)t.p, t.len);

	if (!text_ok(&key->valid, s) || (key->type == CONFIG_CLASS && *s == '\0')) {
		errbuf_set(eb, *s == '\0' ? "empty" : "not a value it may have");
		free(s);
		return (false);
	}
	*(char **)field = s;
	return (true);
}

static bool
parse_list(const struct config_key *key, const char *text, void *field, struct errbuf *eb)
{
	struct config_list l = config_list_split(text, false);

	if (!list_ok(&key->valid, &l)) {
		errbuf_set(eb, "has an element it may not have");
		config_list_fini(&l);
		return (false);
	}
	*(struct config_list *)field = l;
	return (true);
}

bool
config_value_parse(const struct config_key *key, const char *text, void *field, bool *is_null, struct errbuf *eb)
{
	struct slice t;

	*is_null = text == NULL;
	if (text == NULL)
		return (true);
	t = trimmed(text);
	switch (key->type) {
	case CONFIG_BOOLEAN:
		return (parse_boolean(t, field, eb));
	case CONFIG_INT:
	case CONFIG_SHORT:
	case CONFIG_LONG:
	case CONFIG_DOUBLE:
		return (parse_number(key, t, field, eb));
	case CONFIG_STRING:
	case CONFIG_CLASS:
	case CONFIG_PASSWORD:
		return (parse_text(key, t, field, eb));
	case CONFIG_LIST:
		return (parse_list(key, text, field, eb));
	case CONFIG_UNKNOWN:
		break;
	}
	unreachable("a row without a type");
}

union any_value {
	bool b;
	int16_t i16;
	int32_t i32;
	int64_t i64;
	double d;
	char *s;
	struct config_list l;
};

bool
config_value_test(const struct config_key *key, const char *text, struct errbuf *eb)
{
	union any_value v;
	bool is_null, ok;

	memset(&v, 0, sizeof(v));
	ok = config_value_parse(key, text, &v, &is_null, eb);
	config_value_fini(key, &v);
	return (ok);
}

void
config_value_fini(const struct config_key *key, void *field)
{
	if (key->type == CONFIG_LIST) {
		config_list_fini(field);
	} else if (key->type == CONFIG_STRING || key->type == CONFIG_CLASS || key->type == CONFIG_PASSWORD) {
		free(*(char **)field);
		*(char **)field = NULL;
	}
}

char *
config_value_format(const struct config_key *key, const void *field)
{
	switch (key->type) {
	case CONFIG_BOOLEAN:
		return (xstrdup(*(const bool *)field ? "true" : "false"));
	case CONFIG_INT:
		return (xasprintf("%d", *(const int32_t *)field));
	case CONFIG_SHORT:
		return (xasprintf("%d", *(const int16_t *)field));
	case CONFIG_LONG:
		return (xasprintf("%lld", (long long)*(const int64_t *)field));
	case CONFIG_DOUBLE:
		return (config_double_text(*(const double *)field));
	case CONFIG_LIST:
		return (config_list_text(field));
	default:
		return (*(char *const *)field == NULL ? NULL : xstrdup(*(char *const *)field));
	}
}

/* ---- words for people ---- */

static void
number_words(const struct config_key *key, struct strbuf *sb)
{
	const struct config_valid *v = &key->valid;
	char *lo = config_double_text(v->lo), *hi = config_double_text(v->hi);

	if (key->type != CONFIG_DOUBLE) {
		free(lo);
		free(hi);
		lo = xasprintf("%.0f", v->lo);
		hi = xasprintf("%.0f", v->hi);
	}
	strbuf_add(sb, key->type == CONFIG_DOUBLE ? "a number" : "a whole number");
	if (v->kind == CONFIG_VALID_RANGE || v->kind == CONFIG_VALID_RANGE_OR_MINUS_ONE)
		strbuf_add(sb, " from %s to %s", lo, hi);
	else if (key->type == CONFIG_DOUBLE && v->kind != CONFIG_VALID_ANY)
		strbuf_add(sb, " from %s", lo);
	else if (key->type != CONFIG_DOUBLE)
		strbuf_add(sb, " from %s to %s", v->kind != CONFIG_VALID_ANY ? lo : key->type == CONFIG_INT ? "-2147483648" :
		    key->type == CONFIG_SHORT ? "-32768" : "-9223372036854775808", key->type == CONFIG_INT ? "2147483647" :
		    key->type == CONFIG_SHORT ? "32767" : "9223372036854775807");
	if (v->kind == CONFIG_VALID_MIN_OR_MINUS_ONE || v->kind == CONFIG_VALID_RANGE_OR_MINUS_ONE)
		strbuf_add(sb, ", or -1");
	free(lo);
	free(hi);
}

void
config_valid_words(const struct config_key *key, struct strbuf *sb)
{
	switch (key->type) {
	case CONFIG_BOOLEAN:
		strbuf_add(sb, "true or false");
		return;
	case CONFIG_INT:
	case CONFIG_SHORT:
	case CONFIG_LONG:
	case CONFIG_DOUBLE:
		number_words(key, sb);
		return;
	default:
		break;
	}
	if (key->valid.kind == CONFIG_VALID_EACH_OF)
		strbuf_add(sb, "a comma-separated list of %s", key->valid.words);
	else if (key->valid.words != NULL)
		strbuf_add(sb, "one of %s", key->valid.words);
	else if (key->valid.kind == CONFIG_VALID_VERSION)
		strbuf_add(sb, "a version of Kafka such as 3.9");
	else if (key->valid.kind == CONFIG_VALID_THROTTLED)
		strbuf_add(sb, "* or partition:broker,partition:broker,...");
	else
		strbuf_add(sb, "a text that is not empty");
}
