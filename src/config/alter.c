/* SPDX-License-Identifier: Apache-2.0
 *
 * config/alter.c - see alter.h for the interface (ConfigAdminManager).
 *
 * APPEND and SUBTRACT work on what the entity itself has now, else on the default of the row - not on the value in effect - and split at
 * commas as Java's String.split does: blanks stay, empty elements at the end go.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/alter.h"
#include "config/config_int.h"

static char *
text_of(struct slice s)
{
	return (xstrndup(s.len ? (const char *)s.p : "", s.len));
}

static int
name_cmp(const void *a, const void *b)
{
	return (slice_cmp(*(const struct slice *)a, *(const struct slice *)b));
}

static enum kerr
check_names(const struct config_wish *w, size_t n, struct errbuf *eb)
{
	struct slice *names = xcalloc(n + 1, sizeof(*names));
	enum kerr k = KERR_NONE;

	for (size_t i = 0; i < n; i++)
		names[i] = w[i].name;
	qsort(names, n, sizeof(*names), name_cmp);
	for (size_t i = 0; k == KERR_NONE && i < n; i++) {
		bool nul = names[i].len > 0 && memchr(names[i].p, 0, names[i].len) != NULL;

		if (!nul && (i == 0 || !slice_eq(names[i], names[i - 1])))
			continue;
		errbuf_set(eb, nul ? "the setting %.*s has a NUL byte in its name" : "the setting %.*s is there twice", (int)MIN(names[i].len, 200),
		    (const char *)names[i].p);
		k = KERR_INVALID_REQUEST;
	}
	free(names);
	return (k);
}

enum kerr
config_wishes_check(const struct config_wish *w, size_t n, struct errbuf *eb)
{
	enum kerr k;
	size_t i;

	if (n > LIMIT_WISHES_MAX) {
		errbuf_set(eb, "%zu settings of one resource; %d at most in one request", n, LIMIT_WISHES_MAX);
		return (KERR_INVALID_REQUEST);
	}
	k = check_names(w, n, eb);
	for (i = 0; k == KERR_NONE && i < n; i++) {
		if (w[i].value.p == NULL && w[i].op != CONFIG_OP_DELETE) {
			errbuf_set(eb, "the setting %.*s has no value", (int)MIN(w[i].name.len, 200), (const char *)w[i].name.p);
			k = KERR_INVALID_REQUEST;
		}
	}
	return (k);
}

/* ---- lists ---- */

struct split {
	char	*copy;
	char	**items;
	size_t	 count;
};

static void
split_init(struct split *s, const char *text)
{
	char *p, *comma;
	size_t n = 1, i;

	for (i = 0; text[i] != '\0'; i++)
		n += text[i] == ',';
	s->copy = xstrdup(text);
	s->items = xcalloc(n, sizeof(*s->items));
	s->count = 0;
	for (p = s->copy; p != NULL; p = comma) {
		comma = strchr(p, ',');
		if (comma != NULL)
			*comma++ = '\0';
		s->items[s->count++] = p;
	}
	while (s->count > 1 && *s->items[s->count - 1] == '\0')	/* "" itself is one empty element */
		s->count--;
}

static void
split_fini(struct split *s)
{
	free(s->copy);
	free(s->items);
}

static bool
split_has(const struct split *s, const char *item)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		if (strcmp(s->items[i], item) == 0)
			return (true);
	}
	return (false);
}

static void
add_item(struct strbuf *sb, bool *first, const char *item)
{
	strbuf_add(sb, "%s%s", *first ? "" : ",", item);
	*first = false;
}

static char *
append(const char *old, const char *more)
{
	struct split a, b;
	struct strbuf sb = STRBUF_INIT;
	bool first = true;
	char *text;
	size_t i;

	split_init(&a, old);
	split_init(&b, more);
	if (*old == '\0')
		a.count = 0;
	for (i = 0; i < a.count; i++)
		add_item(&sb, &first, a.items[i]);
	for (i = 0; i < b.count; i++) {
		if (!split_has(&a, b.items[i]))
			add_item(&sb, &first, b.items[i]);
	}
	split_fini(&a);
	split_fini(&b);
	text = xstrdup(strbuf_str(&sb));
	strbuf_fini(&sb);
	return (text);
}

/* Each element of `less` takes one of its kind away, the first. */
static char *
subtract(const char *old, const char *less)
{
	struct split a, b;
	struct strbuf sb = STRBUF_INIT;
	bool first = true;
	char *text;
	size_t i, j;

	split_init(&a, old);
	split_init(&b, less);
	for (i = 0; i < b.count; i++) {
		for (j = 0; j < a.count; j++) {
			if (a.items[j] != NULL && strcmp(a.items[j], b.items[i]) == 0) {
				a.items[j] = NULL;
				break;
			}
		}
	}
	for (j = 0; j < a.count; j++) {
		if (a.items[j] != NULL)
			add_item(&sb, &first, a.items[j]);
	}
	split_fini(&a);
	split_fini(&b);
	text = xstrdup(strbuf_str(&sb));
	strbuf_fini(&sb);
	return (text);
}

/* ---- wishes ---- */

static enum kerr
work_list(struct config_map *m, const char *name, const char *value, bool more, const struct config_key *key, struct errbuf *eb)
{
	const char *old = config_map_get(m, name);
	char *text;

	if (key == NULL) {	/* Java stumbles over the missing row here, and this is how it shows */
		errbuf_set(eb, "unknown setting %s: only known lists can be appended to or subtracted from", name);
		return (KERR_UNKNOWN_SERVER_ERROR);
	}
	if (key->type != CONFIG_LIST) {
		errbuf_set(eb, "%s is no list: it can be set and deleted, not appended to or subtracted from", name);
		return (KERR_INVALID_CONFIG);
	}
	if (old == NULL)
		old = key->default_text != NULL ? key->default_text : "";
	text = more ? append(old, value) : subtract(old, value);
	config_map_set(m, name, text);
	free(text);
	return (KERR_NONE);
}

static enum kerr
work_one(struct config_map *m, const struct config_wish *w, bool topic, struct errbuf *eb)
{
	char *name = text_of(w->name), *value = text_of(w->value);
	enum kerr k = KERR_NONE;

	switch (w->op) {
	case CONFIG_OP_SET:
		config_map_set(m, name, value);
		break;
	case CONFIG_OP_DELETE:
		(void)config_map_remove(m, name);
		break;
	case CONFIG_OP_APPEND:
	case CONFIG_OP_SUBTRACT:
		k = work_list(m, name, value, w->op == CONFIG_OP_APPEND, topic ? config_topic_key(name) : config_broker_key(name), eb);
		break;
	default:
		errbuf_set(eb, "unknown operation %d", w->op);
		k = KERR_INVALID_REQUEST;
	}
	free(name);
	free(value);
	return (k);
}

static enum kerr
work(const struct config_map *current, const struct config_wish *w, size_t n, bool topic, struct config_map *out, struct errbuf *eb)
{
	enum kerr k = config_wishes_check(w, n, eb);
	size_t i;

	config_map_copy(out, current);
	for (i = 0; k == KERR_NONE && i < n; i++)
		k = work_one(out, &w[i], topic, eb);
	return (k);
}

static enum kerr
result(enum kerr k, struct config_map *out)
{
	if (k != KERR_NONE)
		config_map_fini(out);
	return (k);
}

enum kerr
config_alter_topic(const struct config *c, const struct config_map *current, const struct config_wish *w, size_t n, struct config_map *out,
    struct errbuf *eb)
{
	enum kerr k = work(current, w, n, true, out, eb);

	return (result(k != KERR_NONE ? k : topic_config_validate(c, out, eb), out));
}

enum kerr
config_replace_topic(const struct config *c, const struct config_wish *w, size_t n, struct config_map *out, struct errbuf *eb)
{
	return (config_alter_topic(c, NULL, w, n, out, eb));
}

enum kerr
config_alter_broker(const struct config *c, bool per_broker, const struct config_map *current, const struct config_wish *w, size_t n,
    struct config_map *out, struct errbuf *eb)
{
	struct config_map readable;
	enum kerr k;

	config_map_copy(&readable, current);
	config_drop_bad(c, &readable, per_broker, NULL, NULL);
	k = work(&readable, w, n, false, out, eb);
	config_map_fini(&readable);
	return (result(k != KERR_NONE ? k : config_validate_dynamic(c, out, per_broker, eb), out));
}

enum kerr
config_replace_broker(const struct config *c, bool per_broker, const struct config_wish *w, size_t n, struct config_map *out, struct errbuf *eb)
{
	return (config_alter_broker(c, per_broker, NULL, w, n, out, eb));
}
