/* SPDX-License-Identifier: Apache-2.0
 *
 * config/providers.c - values that stand elsewhere: ${provider:path:key}, as Kafka's ConfigTransformer and its three providers read them.
 *
 *	config.providers=NAME,NAME			config.providers.NAME.class=org.apache.kafka.common.config.provider.CLASS
 *	FileConfigProvider	path is a properties file in UTF-8, key one of its keys	.param.allowed.paths=DIRECTORY,DIRECTORY
 *	DirectoryConfigProvider	path is a directory, key a file in it: its whole text	.param.allowed.paths
 *	EnvVarConfigProvider	no path, key an environment variable			.param.allowlist.pattern=EXPRESSION
 *
 * A variable of a provider that is not configured, of a path that is not allowed or without a value stays as it is written, as in Java; but we say
 * so.  A file that cannot be read is an error.  Read once, when the configuration is loaded.
 *
 * Java's regular expressions are not POSIX's: the pattern is taken as an extended POSIX expression for the whole name.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/config_int.h"
#include "config/properties.h"

#define CLASSES	"org.apache.kafka.common.config.provider."

enum provider_kind { PROVIDER_FILE, PROVIDER_DIRECTORY, PROVIDER_ENVIRONMENT };

struct provider {
	char		*name;
	enum provider_kind kind;
	struct config_list allowed;	/* items NULL: every path */
	bool		 restricted;
	regex_t		 pattern;
	bool		 has_pattern;
};

struct resolver {
	struct config_map *map;
	const struct config_input *input;
	struct config_report *report;
	struct provider	*providers;
	size_t		 count;
};

static void PRINTF_LIKE(4, 5)
say(const struct resolver *r, enum config_severity severity, const char *name, const char *fmt, ...)
{
	const struct config_map_entry *e = config_map_find(r->map, name);
	struct strbuf words = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&words, fmt, ap);
	va_end(ap);
	if (e != NULL && e->line > 0 && e->line != CONFIG_LINE_OVERRIDE)
		config_report_add(r->report, severity, "%s:%u: %s: %s", r->input->file, e->line, name, strbuf_str(&words));
	else
		config_report_add(r->report, severity, "%s: %s", name, strbuf_str(&words));
	strbuf_fini(&words);
}

/* ---- the providers ---- */

static bool
kind_of(const char *class, enum provider_kind *kind)
{
	static const char *const names[] = { CLASSES "FileConfigProvider", CLASSES "DirectoryConfigProvider", CLASSES "EnvVarConfigProvider" };

	for (size_t i = 0; i < NELEM(names); i++)
		if (strcmp(class, names[i]) == 0) {
			*kind = (enum provider_kind)i;
			return (true);
		}
	return (false);
}

static void
restrict_paths(struct resolver *r, struct provider *p)
{
	char *key = xasprintf("config.providers.%s.param.allowed.paths", p->name);
	const char *text = config_map_get(r->map, key);

	p->restricted = text != NULL && *text != '\0';
	if (p->restricted)
		p->allowed = config_list_split(text, true);
	for (size_t i = 0; p->restricted && i < p->allowed.count; i++)
		if (p->allowed.items[i][0] != '/' || r->input->fs == NULL || !fs_exists(r->input->fs, p->allowed.items[i]))
			say(r, CONFIG_ERROR, key, "%s is not an absolute path that exists", p->allowed.items[i]);
	free(key);
}

static void
restrict_names(struct resolver *r, struct provider *p)
{
	char *key = xasprintf("config.providers.%s.param.allowlist.pattern", p->name), *whole;
	const char *text = config_map_get(r->map, key);

	if (text != NULL) {
		whole = xasprintf("^(%s)$", text);
		p->has_pattern = regcomp(&p->pattern, whole, REG_EXTENDED | REG_NOSUB) == 0;
		if (!p->has_pattern)
			say(r, CONFIG_ERROR, key, "%s is not an extended regular expression", text);
		free(whole);
	}
	free(key);
}

static void
add_provider(struct resolver *r, const char *name)
{
	char *key = xasprintf("config.providers.%s.class", name);
	const char *class = config_map_get(r->map, key);
	struct provider *p = &r->providers[r->count];

	if (class == NULL)
		say(r, CONFIG_WARNING, "config.providers", "%s has no %s, so its values stay as they are written", name, key);
	else if (!kind_of(class, &p->kind))
		say(r, CONFIG_ERROR, key, "%s cannot be loaded here; there are " CLASSES "FileConfigProvider, DirectoryConfigProvider and "
		    "EnvVarConfigProvider", class);
	else {
		p->name = xstrdup(name);
		r->count++;
		if (p->kind == PROVIDER_ENVIRONMENT)
			restrict_names(r, p);
		else
			restrict_paths(r, p);
	}
	free(key);
}

static void
make_providers(struct resolver *r)
{
	struct config_list names = config_list_split(config_map_get(r->map, "config.providers"), true);

	r->providers = xcalloc(names.count + 1, sizeof(*r->providers));
	for (size_t i = 0; i < names.count; i++)
		add_provider(r, names.items[i]);
	config_list_fini(&names);
}

static void
free_providers(struct resolver *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->providers[i].name);
		config_list_fini(&r->providers[i].allowed);
		if (r->providers[i].has_pattern)
			regfree(&r->providers[i].pattern);
	}
	free(r->providers);
}

/* ---- paths ---- */

/* "/a/./b/../c" is "/a/c": without a look at the disk, as Path.normalize. */
static char *
normalised(const char *path)
{
	char *copy = xstrdup(path), *out = xcalloc(1, strlen(path) + 2), *part, *save = NULL;
	size_t len = 0;

	for (part = strtok_r(copy, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			while (len > 0 && out[--len] != '/')
				;
			out[len] = '\0';
			continue;
		}
		out[len++] = '/';
		memcpy(out + len, part, strlen(part) + 1);
		len += strlen(part);
	}
	free(copy);
	return (out);
}

static bool
is_below(const char *path, const char *dir)
{
	char *a = normalised(path), *b = normalised(dir);
	size_t n = strlen(b);
	bool below = strncmp(a, b, n) == 0 && (a[n] == '\0' || a[n] == '/');

	free(a);
	free(b);
	return (below);
}

static bool
path_allowed(const struct provider *p, const char *path)
{
	for (size_t i = 0; i < p->allowed.count; i++)
		if (path[0] == '/' && is_below(path, p->allowed.items[i]))
			return (true);
	return (!p->restricted);
}

/* ---- looking up: fresh text, or NULL; *failed when it is an error ---- */

/* Properties are read as ISO-8859-1 with escapes: other characters of UTF-8 become escapes first. */
static void
escape_utf8(struct slice in, struct strbuf *out)
{
	bool escaped = false;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.p[i];
		uint32_t u = c & (c >= 0xf0 ? 0x07u : c >= 0xe0 ? 0x0fu : 0x1fu);

		if (c < 0x80) {
			strbuf_add_bytes(out, &c, 1);
			escaped = c == '\\' && !escaped;
			continue;
		}
		for (; i + 1 < in.len && (in.p[i + 1] & 0xc0) == 0x80; i++)
			u = u << 6 | (in.p[i + 1] & 0x3fu);
		if (!escaped)	/* else the backslash that stands there, and means nothing, becomes the escape's */
			strbuf_add(out, "\\");
		escaped = false;
		if (u < 0x10000)
			strbuf_add(out, "u%04x", u);
		else
			strbuf_add(out, "u%04x\\u%04x", 0xd800 + (u - 0x10000) / 0x400, 0xdc00 + (u - 0x10000) % 0x400);
	}
}

static char *
read_text(struct resolver *r, const char *name, const char *path, bool *failed)
{
	struct errbuf eb = ERRBUF_INIT;
	char *text = NULL;
	size_t len;

	if (r->input->fs == NULL || fs_read_file(r->input->fs, path, LIMIT_CONFIG_FILE_MAX, &text, &len, &eb) != OK) {
		say(r, CONFIG_ERROR, name, "%s cannot be read: %s", path, eb.text);
		*failed = true;
		return (NULL);
	}
	if (strlen(text) != len || !str_is_utf8(slice_of(text, len))) {
		say(r, CONFIG_ERROR, name, "%s is not text in UTF-8", path);
		*failed = true;
		free(text);
		return (NULL);
	}
	return (text);
}

static char *
from_file(struct resolver *r, const char *name, const char *path, const char *key, bool *failed)
{
	char *text = read_text(r, name, path, failed), *value = NULL;
	struct strbuf sb = STRBUF_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct properties *p;

	if (text == NULL)
		return (NULL);
	escape_utf8(slice_str(text), &sb);
	if (properties_parse(slice_of(strbuf_str(&sb), sb.len), path, 6 * (size_t)LIMIT_CONFIG_FILE_MAX, &p, &eb) != OK) {
		say(r, CONFIG_ERROR, name, "%s", eb.text);
		*failed = true;
	} else {
		if (properties_get(p, key) != NULL)
			value = xstrdup(properties_get(p, key));
		properties_free(&p);
	}
	strbuf_fini(&sb);
	free(text);
	return (value);
}

static char *
from_directory(struct resolver *r, const char *name, const char *path, const char *key, bool *failed)
{
	char *file = xasprintf("%s/%s", path, key), *value = NULL;

	if (*key != '\0' && strchr(key, '/') == NULL && strcmp(key, ".") != 0 && strcmp(key, "..") != 0 && r->input->fs != NULL &&
	    fs_exists(r->input->fs, file))
		value = read_text(r, name, file, failed);
	free(file);
	return (value);
}

static char *
from_environment(struct resolver *r, const struct provider *p, const char *key)
{
	size_t n = strlen(key);

	if (p->has_pattern && regexec(&p->pattern, key, 0, NULL, 0) != 0)
		return (NULL);
	for (char *const *e = r->input->environment; e != NULL && *e != NULL; e++)
		if (strncmp(*e, key, n) == 0 && (*e)[n] == '=')
			return (xstrdup(*e + n + 1));
	return (NULL);
}

static char *
look_up(struct resolver *r, const char *name, const struct provider *p, const char *path, const char *key)
{
	bool failed = false;
	char *value = NULL;

	if (p->kind == PROVIDER_ENVIRONMENT && *path != '\0') {
		say(r, CONFIG_ERROR, name, "${%s:%s:%s}: environment variables have no path", p->name, path, key);
		return (NULL);
	}
	if (p->kind == PROVIDER_ENVIRONMENT)
		value = from_environment(r, p, key);
	else if (*path != '\0' && path_allowed(p, path)) {
		char *real = p->restricted ? normalised(path) : xstrdup(path);

		value = p->kind == PROVIDER_FILE ? from_file(r, name, real, key, &failed) : from_directory(r, name, real, key, &failed);
		free(real);
	}
	if (value == NULL && !failed)
		say(r, CONFIG_WARNING, name, "${%s:%s%s%s} has no value%s and stays as it is written", p->name, path, *path ? ":" : "", key,
		    *path != '\0' && !path_allowed(p, path) ? " (its path is not among the allowed ones)" : "");
	return (value);
}

/* ---- variables ---- */

static const struct provider *
find(const struct resolver *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->count; i++)
		if (strlen(r->providers[i].name) == len && memcmp(r->providers[i].name, name, len) == 0)
			return (&r->providers[i]);
	return (NULL);
}

/* "provider:[path:]key" between the braces; NULL: no such provider, or no value. */
static char *
variable(struct resolver *r, const char *name, const char *inner, size_t len)
{
	const char *colon = memchr(inner, ':', len), *second;
	const struct provider *p = find(r, inner, (size_t)(colon - inner));
	size_t rest = len - (size_t)(colon + 1 - inner);
	char *path, *key, *value;

	if (p == NULL)
		return (NULL);
	second = memchr(colon + 1, ':', rest);
	path = second == NULL ? xstrdup("") : xstrndup(colon + 1, (size_t)(second - colon - 1));
	key = second == NULL ? xstrndup(colon + 1, rest) : xstrndup(second + 1, (size_t)(inner + len - second - 1));
	value = look_up(r, name, p, path, key);
	free(path);
	free(key);
	return (value);
}

static char *
resolve(struct resolver *r, const char *name, const char *text)
{
	struct strbuf out = STRBUF_INIT;
	const char *at = text, *start, *end;

	while ((start = strstr(at, "${")) != NULL && (end = strchr(start, '}')) != NULL) {
		const char *inner = start + 2;
		size_t len = (size_t)(end - inner);
		char *value = memchr(inner, ':', len) == NULL ? NULL : variable(r, name, inner, len);

		strbuf_add_bytes(&out, at, (size_t)(start - at));
		if (value != NULL)
			strbuf_add(&out, "%s", value);
		else
			strbuf_add_bytes(&out, start, (size_t)(end + 1 - start));
		free(value);
		at = end + 1;
	}
	strbuf_add(&out, "%s", at);
	return (strbuf_take(&out));
}

void
config_resolve(struct config_map *m, const struct config_input *input, struct config_report *report)
{
	struct resolver r = { .map = m, .input = input, .report = report };

	if (config_map_get(m, "config.providers") == NULL)
		return;
	make_providers(&r);
	for (size_t i = 0; i < m->count; i++) {
		struct config_map_entry *e = &m->entries[i];
		char *value;

		if (strstr(e->value, "${") == NULL || strncmp(e->name, "config.providers", strlen("config.providers")) == 0)
			continue;
		value = resolve(&r, e->name, e->value);
		config_map_set_line(m, e->name, value, e->line);
		free(value);
	}
	free_providers(&r);
}
