/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znode_file.c - a tree of znodes as a file: what `ottla znode export` writes and `import` reads.  ottla(1) documents it.
 *
 *	{"type":"znodes","format":1,"from":"host:2181/kafka","exported_ms":1795362210511}
 *	{"type":"znode","path":"/brokers","data":null,"acl":null,"version":0,"cversion":3,"ctime":...,"mtime":...}
 *	...		parents before what is below them; data is base64, null is ZooKeeper's null; an acl of null is open to everybody
 *	{"type":"end","nodes":57}
 *
 * BOUNDS   A file up to a gigabyte, lines as long as the largest packet makes them.  Everything in it is looked at before anything is written
 *          anywhere; a file that was cut off lacks its end.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tools/znodes.h"
#include "zk/acl.h"

enum { FORMAT = 1, FILE_MAX = 1 << 30, LONGEST_LINE = LIMIT_JUTE_MAX * 2, ACL_ENTRIES_MAX = 1000 };

/* ---- base64 ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
put_base64(struct strbuf *sb, struct slice s)
{
	char four[4];

	for (size_t i = 0; i < s.len; i += 3) {
		size_t left = s.len - i;
		uint32_t v = (uint32_t)s.p[i] << 16 | (left > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) | (left > 2 ? s.p[i + 2] : 0);

		four[0] = digits[v >> 18];
		four[1] = digits[v >> 12 & 63];
		four[2] = left > 1 ? digits[v >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[v & 63] : '=';
		strbuf_add_bytes(sb, four, 4);
	}
}

static int
digit(char c)
{
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return (at == NULL ? -1 : (int)(at - digits));
}

/* Only as put_base64 writes it: whole groups, no bits left over.  malloc'ed; false: it is not that. */
static bool
get_base64(const char *s, size_t len, uint8_t **to, size_t *n)
{
	size_t pad = len == 0 ? 0 : (size_t)(s[len - 1] == '=') + (len > 1 && s[len - 1] == '=' && s[len - 2] == '='), k = 0;
	uint8_t *p;

	if (len % 4 != 0)
		return (false);
	p = xmalloc(len / 4 * 3 + 1);
	for (size_t i = 0; i < len; i += 4) {
		size_t mine = i + 4 == len ? pad : 0;
		uint32_t v = 0;
		int d = 0;

		for (size_t j = 0; j < 4 && d >= 0; j++) {
			d = j >= 4 - mine ? 0 : digit(s[i + j]);
			v = v << 6 | (uint32_t)(d & 63);
		}
		if (d < 0 || (mine == 1 && (v & 0xff) != 0) || (mine == 2 && (v & 0xffff) != 0)) {
			free(p);
			return (false);
		}
		p[k++] = (uint8_t)(v >> 16);
		if (mine < 2)
			p[k++] = (uint8_t)(v >> 8);
		if (mine < 1)
			p[k++] = (uint8_t)v;
	}
	*to = p;
	*n = k;
	return (true);
}

/* ---- ACLs ---- */

static const char perm_letters[] = "rwcda";	/* of the bits, lowest first */

json_t *
znode_acl_json(struct slice acl)
{
	struct zk_acl_entry *entries;
	json_t *list;
	uint32_t n;

	if (!zk_acl_read(acl, &entries, &n))
		return (NULL);
	list = json_array();
	for (uint32_t i = 0; i < n; i++) {
		char perms[sizeof(perm_letters)] = "";
		json_t *e = json_object();

		for (size_t bit = 0, k = 0; bit < sizeof(perm_letters) - 1; bit++)
			if ((entries[i].perms & (1 << bit)) != 0)
				perms[k++] = perm_letters[bit];
		json_object_set_new(e, "scheme", json_stringn((const char *)entries[i].scheme.p, entries[i].scheme.len));
		json_object_set_new(e, "id", json_stringn((const char *)entries[i].id.p, entries[i].id.len));
		json_object_set_new(e, "perms", json_string(perms));
		json_array_append_new(list, e);
	}
	free(entries);
	return (list);
}

static bool
acl_entry_of(json_t *o, struct zk_acl_entry *e)
{
	json_t *scheme = json_object_get(o, "scheme"), *id = json_object_get(o, "id");
	const char *perms = json_string_value(json_object_get(o, "perms"));

	if (!json_is_string(scheme) || !json_is_string(id) || perms == NULL)
		return (false);
	*e = (struct zk_acl_entry){ 0, slice_str(json_string_value(scheme)), slice_str(json_string_value(id)) };
	for (; *perms != '\0'; perms++) {
		const char *at = strchr(perm_letters, *perms);

		if (at == NULL)
			return (false);
		e->perms |= 1 << (at - perm_letters);
	}
	return (true);
}

/* malloc'ed bytes, or null for null. */
static bool
acl_of_json(json_t *list, struct slice *acl)
{
	size_t n = json_array_size(list);
	struct zk_acl_entry *entries;
	bool good = true;

	*acl = SLICE_NULL;
	if (list == NULL || json_is_null(list))
		return (true);
	if (!json_is_array(list) || n == 0 || n > ACL_ENTRIES_MAX)
		return (false);
	entries = xcalloc(n, sizeof(*entries));
	for (size_t i = 0; i < n && good; i++)
		good = acl_entry_of(json_array_get(list, i), &entries[i]);
	if (good)
		*acl = zk_acl_write(entries, (uint32_t)n);
	free(entries);
	return (good);
}

/* ---- writing ---- */

static bool
put_acl(struct strbuf *sb, struct slice acl)
{
	json_t *list = acl.p == NULL ? json_null() : znode_acl_json(acl);
	char *text = json_dumps(list, JSON_COMPACT | JSON_ENCODE_ANY);

	strbuf_add(sb, "%s", text == NULL ? "" : text);
	json_decref(list);
	free(text);
	return (text != NULL);
}

static bool
put_node(struct strbuf *sb, const struct znode *n)
{
	bool good;

	strbuf_add(sb, "{\"type\":\"znode\",\"path\":");
	strbuf_add_json_string(sb, slice_str(n->path));
	strbuf_add(sb, ",\"data\":");
	if (n->data == NULL) {
		strbuf_add(sb, "null");
	} else {
		strbuf_add(sb, "\"");
		put_base64(sb, znode_data(n));
		strbuf_add(sb, "\"");
	}
	strbuf_add(sb, ",\"acl\":");
	good = put_acl(sb, n->acl);
	strbuf_add(sb, ",\"version\":%" PRId32 ",\"cversion\":%" PRId32 ",\"ctime\":%" PRId64 ",\"mtime\":%" PRId64 "}\n", n->stat.version, n->stat.cversion,
	    n->stat.ctime_ms, n->stat.mtime_ms);
	return (good);
}

enum err
znode_file_write(const char *file, const char *from, const struct znodes *t, bool overwrite, struct errbuf *eb)
{
	struct strbuf sb = STRBUF_INIT;
	enum err e = OK;

	if (!overwrite && fs_exists(fs_real(), file)) {
		errbuf_set(eb, "%s is there already (--overwrite replaces it)", file);
		return (ERR_EXISTS);
	}
	strbuf_add(&sb, "{\"type\":\"znodes\",\"format\":%d,\"from\":", FORMAT);
	strbuf_add_json_string(&sb, slice_str(from));
	strbuf_add(&sb, ",\"exported_ms\":%" PRId64 "}\n", clock_wall_ms(clock_real()));
	for (size_t i = 0; i < t->n && e == OK; i++) {
		if (!put_node(&sb, &t->v[i])) {
			errbuf_set(eb, "%s: an ACL that cannot be told in UTF-8", t->v[i].path);
			e = ERR_UNSUPPORTED;
		} else if (sb.len > FILE_MAX - 100) {
			errbuf_set(eb, "a file of more than %d bytes, which import would not read", FILE_MAX);
			e = ERR_LIMIT;
		}
	}
	strbuf_add(&sb, "{\"type\":\"end\",\"nodes\":%zu}\n", t->n);
	if (e == OK)
		e = fs_write_secret_atomic(fs_real(), file, slice_of(strbuf_str(&sb), sb.len), eb);
	strbuf_fini(&sb);
	return (e);
}

/* ---- reading ---- */

struct input {
	struct znodes *t;
	unsigned line;
	bool begun, ended;
	struct errbuf *eb;
};

static enum err
wrong(struct input *in, const char *fmt, ...)
{
	char words[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	errbuf_set(in->eb, "line %u: %s", in->line, words);
	return (ERR_MALFORMED);
}

static bool
take_i32(json_t *o, const char *key, int32_t *v)
{
	json_t *value = json_object_get(o, key);

	*v = (int32_t)json_integer_value(value);
	return (value == NULL || (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= INT32_MAX));
}

static enum err
take_head(struct input *in, json_t *o)
{
	json_int_t format = json_integer_value(json_object_get(o, "format"));

	if (in->begun || in->line != 1)
		return (wrong(in, "a second beginning"));
	in->begun = true;
	if (format > FORMAT)
		return (wrong(in, "format %" JSON_INTEGER_FORMAT " is of a later Ottla; this one knows %d", format, FORMAT));
	return (format == FORMAT ? OK : wrong(in, "no format"));
}

static enum err
take_end(struct input *in, json_t *o)
{
	json_t *nodes = json_object_get(o, "nodes");

	in->ended = true;
	if (!json_is_integer(nodes) || (uint64_t)json_integer_value(nodes) != in->t->n)
		return (wrong(in, "it tells of %" JSON_INTEGER_FORMAT " nodes, and there are %zu above", json_integer_value(nodes), in->t->n));
	return (OK);
}

static enum err
take_node(struct input *in, json_t *o)
{
	json_t *data = json_object_get(o, "data"), *path = json_object_get(o, "path");
	struct zk_stat st = { .version = 0 };
	uint8_t *bytes = NULL;
	struct slice acl;
	size_t n = 0;

	if (!json_is_string(path) || !zk_path_is_valid(json_string_value(path)) || strcmp(json_string_value(path), "/") == 0)
		return (wrong(in, "no path that a node can have"));
	if (data == NULL || (!json_is_null(data) && !json_is_string(data)))
		return (wrong(in, "no data (base64, or null)"));
	if (!take_i32(o, "version", &st.version))
		return (wrong(in, "version is no number from 0 to %d", INT_MAX));
	if (json_is_string(data) && !get_base64(json_string_value(data), json_string_length(data), &bytes, &n))
		return (wrong(in, "data is not base64"));
	if (!acl_of_json(json_object_get(o, "acl"), &acl)) {
		free(bytes);
		return (wrong(in, "acl is no list of {\"scheme\":...,\"id\":...,\"perms\":letters of \"%s\"}", perm_letters));
	}
	if (n > LIMIT_JUTE_MAX - 65536) {
		free(bytes);
		free((void *)(uintptr_t)acl.p);
		return (wrong(in, "more data than a packet of ZooKeeper's holds"));
	}
	znodes_add(in->t, json_string_value(path), slice_of(bytes, n), acl, &st);
	free(bytes);
	free((void *)(uintptr_t)acl.p);
	return (OK);
}

static enum err
take_object(struct input *in, json_t *o)
{
	const char *type = json_string_value(json_object_get(o, "type"));

	if (type == NULL)
		return (wrong(in, "no object with a type"));
	if (in->line == 1 && strcmp(type, "znodes") != 0)
		return (wrong(in, "ottla znode export did not write this"));
	if (in->ended)
		return (wrong(in, "something behind the end"));
	if (strcmp(type, "znodes") == 0)
		return (take_head(in, o));
	if (strcmp(type, "end") == 0)
		return (take_end(in, o));
	return (strcmp(type, "znode") == 0 ? take_node(in, o) : wrong(in, "an unknown type, %.40s", type));
}

static enum err
take_line(struct input *in, const char *line, size_t len)
{
	json_error_t why;
	json_t *o;
	enum err e;

	if (len > LONGEST_LINE)
		return (wrong(in, "longer than %d bytes", LONGEST_LINE));
	o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (o == NULL)
		return (wrong(in, "no JSON: %s, at byte %d", why.text, why.position));
	e = take_object(in, o);
	json_decref(o);
	return (e);
}

/* Every node once, and below one that is there, too. */
static enum err
check_tree(const struct znodes *t, struct errbuf *eb)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *path = t->v[i].path, *slash = strrchr(path, '/');
		char *parent = xstrndup(path, (size_t)(slash - path));
		bool orphan = parent[0] != '\0' && znodes_find(t, parent) == NULL;

		free(parent);
		if (i > 0 && strcmp(path, t->v[i - 1].path) == 0) {
			errbuf_set(eb, "%s stands there twice", path);
			return (ERR_MALFORMED);
		}
		if (orphan) {
			errbuf_set(eb, "%s stands there without its parent", path);
			return (ERR_MALFORMED);
		}
	}
	return (OK);
}

enum err
znode_file_read(const char *file, struct znodes *t, struct errbuf *eb)
{
	struct input in = { .t = t, .eb = eb };
	char *text = NULL;
	size_t len = 0;
	enum err e;

	*t = (struct znodes){ NULL, 0, 0 };
	e = fs_read_file(fs_real(), file, FILE_MAX, &text, &len, eb);
	if (e != OK)
		return (e);
	for (const char *line = text, *end = text + len, *nl; line < end && e == OK; line = nl + 1) {
		nl = memchr(line, '\n', (size_t)(end - line));
		if (nl == NULL)
			nl = end;
		in.line++;
		e = take_line(&in, line, (size_t)(nl - line));
	}
	free(text);
	if (e == OK && !in.ended) {
		errbuf_set(eb, in.begun ? "it ends at line %u without its last line: it was cut off" : "ottla znode export did not write this", in.line);
		e = ERR_MALFORMED;
	}
	znodes_sort(t);
	if (e == OK)
		e = check_tree(t, eb);
	if (e != OK)
		znodes_fini(t);
	return (e);
}
