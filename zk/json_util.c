/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_util.c - see json_int.h.
 *
 * Trailing bytes behind the first JSON value are ignored and of duplicate keys the last counts, as Kafka's reader (Jackson) has it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "zk/json_int.h"

#define SPOILED	"\x01spoiled"		/* no znode has such a key */

void
dec_fail(struct dec *d, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (d->err != OK)
		return;
	d->err = ERR_MALFORMED;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	errbuf_set(d->eb, "%s: %s", d->what, text);
}

bool
dec_begin(struct dec *d, struct arena *a, struct slice s, const char *what, struct errbuf *eb)
{
	json_error_t je;

	*d = (struct dec){ .arena = a, .eb = eb, .what = what };
	if (s.len == 0) {
		dec_fail(d, "no data");
		return (false);
	}
	d->root = json_loadb((const char *)s.p, s.len, JSON_DISABLE_EOF_CHECK, &je);
	if (d->root == NULL)
		dec_fail(d, "not JSON: %s", je.text);
	else if (!json_is_object(d->root))
		dec_fail(d, "not a JSON object");
	return (d->err == OK);
}

enum err
dec_end(struct dec *d)
{
	json_decref(d->root);
	d->root = NULL;
	return (d->err);
}

void *
dec_alloc(struct dec *d, size_t n, size_t size)
{
	void *p;

	if (d->err != OK)
		return (NULL);
	p = arena_calloc(d->arena, n == 0 ? 1 : n, size);
	if (p == NULL) {
		d->err = ERR_LIMIT;
		errbuf_set(d->eb, "%s: too large", d->what);
	}
	return (p);
}

const char *
dec_dup(struct dec *d, const char *s)
{
	char *p;

	if (s == NULL || d->err != OK)
		return (NULL);
	p = dec_alloc(d, strlen(s) + 1, 1);
	if (p != NULL)
		memcpy(p, s, strlen(s));
	return (p);
}

struct slice
dec_raw(struct dec *d, struct slice s)
{
	uint8_t *p = dec_alloc(d, s.len + 1, 1);

	if (p == NULL)
		return (SLICE_NULL);
	memcpy(p, s.p, s.len);
	return (slice_of(p, s.len));
}

int32_t
dec_int_value(struct dec *d, json_t *v, const char *key)
{
	if (!json_is_integer(v) || json_integer_value(v) < INT32_MIN || json_integer_value(v) > INT32_MAX) {
		dec_fail(d, "\"%s\" is not an integer", key);
		return (0);
	}
	return ((int32_t)json_integer_value(v));
}

int32_t
dec_int(struct dec *d, json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	if (v == NULL) {
		dec_fail(d, "\"%s\" is missing", key);
		return (0);
	}
	return (dec_int_value(d, v, key));
}

int32_t
dec_int_or(struct dec *d, json_t *obj, const char *key, int32_t otherwise)
{
	json_t *v = json_object_get(obj, key);

	return (v == NULL ? otherwise : dec_int_value(d, v, key));
}

const char *
dec_str(struct dec *d, json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	if (!json_is_string(v))
		dec_fail(d, v == NULL ? "\"%s\" is missing" : "\"%s\" is not a string", key);
	return (json_string_value(v));
}

static json_t *
dec_typed(struct dec *d, json_t *obj, const char *key, bool required, json_type type)
{
	json_t *v = json_object_get(obj, key);

	if (v == NULL) {
		if (required)
			dec_fail(d, "\"%s\" is missing", key);
		return (NULL);
	}
	if (json_typeof(v) == type)
		return (v);
	dec_fail(d, "\"%s\" is not %s", key, type == JSON_OBJECT ? "an object" : "a list");
	return (NULL);
}

json_t *
dec_object(struct dec *d, json_t *obj, const char *key, bool required)
{
	return (dec_typed(d, obj, key, required, JSON_OBJECT));
}

json_t *
dec_array(struct dec *d, json_t *obj, const char *key, bool required)
{
	return (dec_typed(d, obj, key, required, JSON_ARRAY));
}

struct zk_ints
dec_ints(struct dec *d, json_t *array, const char *key)
{
	struct zk_ints l = { NULL, 0 };
	size_t i;

	if (array == NULL)
		return (l);
	if (!json_is_array(array)) {
		dec_fail(d, "\"%s\" is not a list", key);
		return (l);
	}
	l.v = dec_alloc(d, json_array_size(array), sizeof(int32_t));
	if (l.v == NULL)
		return (l);
	l.n = (uint32_t)json_array_size(array);
	for (i = 0; i < l.n; i++)
		l.v[i] = dec_int_value(d, json_array_get(array, i), key);
	return (l);
}

/* ---- writing ---- */
json_t *
enc_begin(struct slice raw)
{
	json_t *obj = NULL;

	if (raw.len > 0)
		obj = json_loadb((const char *)raw.p, raw.len, JSON_DISABLE_EOF_CHECK, NULL);
	if (obj != NULL && json_is_object(obj))
		return (obj);
	json_decref(obj);
	return (json_object());
}

void
enc_set(json_t *obj, const char *key, json_t *value)
{
	if (value == NULL || json_object_set_new(obj, key, value) != 0)
		json_object_set_new(obj, SPOILED, json_true());
}

static bool
is_spoiled(json_t *obj)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_object_get(obj, SPOILED) != NULL)
		return (true);
	json_object_foreach(obj, key, v)
		if (is_spoiled(v))
			return (true);
	json_array_foreach(obj, i, v)
		if (is_spoiled(v))
			return (true);
	return (false);
}

struct slice
enc_end(struct arena *a, json_t *obj)
{
	struct slice out = SLICE_NULL;
	char *text = is_spoiled(obj) ? NULL : json_dumps(obj, JSON_COMPACT);
	char *copy;

	if (text != NULL && (copy = arena_strndup(a, text, strlen(text))) != NULL)
		out = slice_of(copy, strlen(text));
	free(text);
	json_decref(obj);
	return (out);
}

json_t *
enc_ints(struct zk_ints l)
{
	json_t *a = json_array();
	uint32_t i;

	for (i = 0; i < l.n; i++)
		json_array_append_new(a, json_integer(l.v[i]));
	return (a);
}

/* ---- lists of integers ---- */
bool
zk_ints_has(struct zk_ints l, int32_t x)
{
	uint32_t i;

	for (i = 0; i < l.n; i++)
		if (l.v[i] == x)
			return (true);
	return (false);
}

bool
zk_ints_eq(struct zk_ints a, struct zk_ints b)
{
	return (a.n == b.n && (a.n == 0 || memcmp(a.v, b.v, a.n * sizeof(*a.v)) == 0));
}

struct zk_ints
zk_ints_dup(struct arena *a, struct zk_ints l)
{
	struct zk_ints copy = { ARENA_ARRAY(a, int32_t, (size_t)l.n + 1), l.n };

	if (copy.v != NULL && l.n > 0)
		memcpy(copy.v, l.v, l.n * sizeof(*l.v));
	return (copy);
}
