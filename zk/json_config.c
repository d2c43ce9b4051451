/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_config.c - /config/TYPE/NAME and the notifications in /config/changes.
 *
 *	config	{"version":1,"config":{"retention.ms":"1000"}}		all values are strings
 *	change	{"version":2,"entity_path":"users/u1/clients/c1"}	sanitized names
 *		{"version":1,"entity_type":"topics","entity_name":"foo"}	old; topics and clients only
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "zk/json_int.h"
#include "zk/paths.h"

/* ---- configs ---- */
enum err
zk_config_decode(struct arena *a, struct slice s, struct zk_config *c, struct errbuf *eb)
{
	struct dec d;
	json_t *map, *v;
	const char *key;
	enum err e;

	*c = (struct zk_config){ .nitems = 0 };
	if (s.len == 0)
		return (OK);
	if (dec_begin(&d, a, s, "config", eb)) {
		map = json_object_get(d.root, "config");
		if (json_is_object(map) && (c->items = dec_alloc(&d, json_object_size(map), sizeof(*c->items))) != NULL)
			json_object_foreach(map, key, v) {
				if (!json_is_string(v)) {
					dec_fail(&d, "the value of \"%s\" is not a string", key);
					d.err = ERR_INVALID;
					break;
				}
				c->items[c->nitems++] = (struct zk_config_item){ dec_dup(&d, key), dec_dup(&d, json_string_value(v)) };
			}
		c->raw = dec_raw(&d, s);
	}
	e = dec_end(&d);
	if (e != OK)
		*c = (struct zk_config){ .nitems = 0 };
	return (e);
}

struct slice
zk_config_encode(struct arena *a, const struct zk_config *c)
{
	json_t *obj = enc_begin(c->raw), *map = json_object();
	uint32_t i;

	for (i = 0; i < c->nitems; i++)
		enc_set(map, c->items[i].key, json_string(c->items[i].value));
	enc_set(obj, "version", json_integer(1));
	enc_set(obj, "config", map);
	return (enc_end(a, obj));
}

const char *
zk_config_value(const struct zk_config *c, const char *key)
{
	uint32_t i;

	for (i = 0; i < c->nitems; i++)
		if (strcmp(c->items[i].key, key) == 0)
			return (c->items[i].value);
	return (NULL);
}

/* ---- entities ---- */
static const struct {
	enum zk_entity_type type;
	const char *root;
	bool sanitized;			/* names may hold any character */
} entity_kinds[] = {
	{ ZK_ENTITY_TOPIC,	 "topics",  false },
	{ ZK_ENTITY_BROKER,	 "brokers", false },
	{ ZK_ENTITY_CLIENT,	 "clients", true },
	{ ZK_ENTITY_USER,	 "users",   true },
	{ ZK_ENTITY_USER_CLIENT, "users",   true },
	{ ZK_ENTITY_IP,		 "ips",	    false },
};

static char *
node_name(struct arena *a, const char *name, bool sanitized)
{
	char *s, *copy;

	if (!sanitized || strcmp(name, ZK_DEFAULT_ENTITY) == 0)
		return (arena_printf(a, "%s", name));
	s = zk_sanitize(slice_str(name));
	copy = arena_printf(a, "%s", s);
	free(s);
	return (copy);
}

char *
zk_entity_path(struct arena *a, const struct zk_entity *e)
{
	char *name = node_name(a, e->name, entity_kinds[e->type].sanitized), *client;

	if (name == NULL)
		return (NULL);
	if (e->type != ZK_ENTITY_USER_CLIENT)
		return (arena_printf(a, "%s/%s", entity_kinds[e->type].root, name));
	client = node_name(a, e->client, true);
	return (client == NULL ? NULL : arena_printf(a, "users/%s/clients/%s", name, client));
}

static const char *
name_of_node(struct arena *a, const char *node, bool sanitized)
{
	char *s, *copy;

	if (!sanitized || strcmp(node, ZK_DEFAULT_ENTITY) == 0)
		return (arena_printf(a, "%s", node));
	s = zk_desanitize(node);
	if (s == NULL)
		return (NULL);
	copy = arena_printf(a, "%s", s);
	free(s);
	return (copy);
}

static const char *
between(struct arena *a, const char *from, const char *to)
{
	return (to == NULL ? arena_printf(a, "%s", from) : arena_printf(a, "%.*s", (int)(to - from), from));
}

/* "name" or, for users, "name/clients/client". */
static enum err
parse_names(struct arena *a, const char *rest, struct zk_entity *e)
{
	const char *slash = strchr(rest, '/'), *name = between(a, rest, slash);

	if (name == NULL || name[0] == '\0')
		return (ERR_MALFORMED);
	if (slash != NULL) {
		if (e->type != ZK_ENTITY_USER || strncmp(slash, "/clients/", 9) != 0 || slash[9] == '\0' || strchr(slash + 9, '/') != NULL)
			return (ERR_MALFORMED);
		e->type = ZK_ENTITY_USER_CLIENT;
		e->client = name_of_node(a, slash + 9, true);
		if (e->client == NULL)
			return (ERR_MALFORMED);
	}
	e->name = name_of_node(a, name, entity_kinds[e->type].sanitized);
	return (e->name == NULL ? ERR_MALFORMED : OK);
}

enum err
zk_entity_parse(struct arena *a, const char *path, struct zk_entity *e, struct errbuf *eb)
{
	enum err err = ERR_MALFORMED;
	size_t i, len;

	*e = (struct zk_entity){ .name = NULL };
	for (i = 0; i < NELEM(entity_kinds); i++) {
		len = strlen(entity_kinds[i].root);
		if (entity_kinds[i].type == ZK_ENTITY_USER_CLIENT || strncmp(path, entity_kinds[i].root, len) != 0 || path[len] != '/')
			continue;
		e->type = entity_kinds[i].type;
		err = parse_names(a, path + len + 1, e);
		break;
	}
	if (a->full)
		err = ERR_LIMIT;
	if (err != OK)
		errbuf_set(eb, "\"%s\" is not the path of a config entity", path);
	return (err);
}

/* ---- change notifications ---- */
static void
decode_change_1(struct dec *d, struct zk_entity *e)
{
	const char *type = dec_str(d, d->root, "entity_type"), *name = dec_str(d, d->root, "entity_name");

	if (type == NULL || name == NULL)
		return;
	if (strcmp(type, "topics") != 0 && strcmp(type, "clients") != 0) {
		dec_fail(d, "version 1 cannot be about \"%s\"", type);
		return;
	}
	if (*name == '\0' || strchr(name, '/') != NULL) {	/* it is the name of one znode */
		dec_fail(d, "\"%s\" is not the name of a config entity", name);
		return;
	}
	e->type = strcmp(type, "topics") == 0 ? ZK_ENTITY_TOPIC : ZK_ENTITY_CLIENT;
	e->name = dec_dup(d, name);
}

enum err
zk_config_change_decode(struct arena *a, struct slice s, struct zk_entity *e, struct errbuf *eb)
{
	const char *path;
	struct dec d;
	int32_t version;

	*e = (struct zk_entity){ .name = NULL };
	if (dec_begin(&d, a, s, "config change", eb)) {
		version = dec_int(&d, d.root, "version");
		if (version == 1)
			decode_change_1(&d, e);
		else if (version == 2 && (path = dec_str(&d, d.root, "entity_path")) != NULL) {
			if (zk_entity_parse(a, path, e, NULL) != OK)
				dec_fail(&d, "\"%s\" is not the path of a config entity", path);
		} else
			dec_fail(&d, "unsupported version %" PRId32, version);
	}
	return (dec_end(&d));
}

struct slice
zk_config_change_encode(struct arena *a, const struct zk_entity *e)
{
	json_t *obj = json_object();
	char *path = zk_entity_path(a, e);

	enc_set(obj, "version", json_integer(2));
	enc_set(obj, "entity_path", path == NULL ? NULL : json_string(path));
	return (enc_end(a, obj));
}
