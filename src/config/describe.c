/* SPDX-License-Identifier: Apache-2.0
 *
 * config/describe.c - see describe.h for the interface (ConfigHelper).
 *
 * RULES, all of them Java's
 *   (1) described are the names somebody set, whatever they are, and every row that is not internal.
 *   (2) the value of a row is its parsed value printed again; of any other name, and of an internal row, the text as it was set.
 *   (3) synonyms are the values of all names that mean this setting: dynamic of the broker, dynamic of the cluster, file, default, in that
 *       order; those before the first of this very name are left out.  The source of the setting is that of the first synonym.
 *   (4) a password, or a name whose type nobody knows, is sensitive: its value and those of its synonyms are null.
 */
#include <stdlib.h>
#include <string.h>

#include "config/config_int.h"
#include "config/describe.h"

struct describer {
	const struct config	*c;
	struct config_names	 names;
	struct arena		*arena;
	struct config_description *out;
	size_t			 size;
	bool			 full;		/* the arena could not hold something */
};

static char *
keep(struct describer *d, const char *text)
{
	char *s = text == NULL ? NULL : arena_strndup(d->arena, text, strlen(text));

	d->full |= text != NULL && s == NULL;
	return (s);
}

/* Takes a heap text. */
static char *
keep_free(struct describer *d, char *text)
{
	char *s = keep(d, text);

	free(text);
	return (s);
}

static bool
wanted(const struct describer *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->names.count; i++) {
		if (slice_eq_str(d->names.names[i], name))
			return (true);
	}
	return (d->names.count == 0);
}

static struct config_entry *
add_entry(struct describer *d, const char *name)
{
	struct config_entry *e;

	if (d->out->count == d->size)
		return (NULL);		/* cannot be: size counts every name there is */
	e = &d->out->entries[d->out->count++];
	memset(e, 0, sizeof(*e));
	e->name = keep(d, name);
	e->source = CONFIG_SOURCE_DEFAULT;
	return (e);
}

static bool
begin(struct describer *d, const struct config *c, struct config_names names, size_t size, struct arena *arena, struct config_description *out)
{
	*d = (struct describer){ c, names, arena, out, size, false };
	out->count = 0;
	out->entries = ARENA_ARRAY(arena, struct config_entry, size ? size : 1);
	return (out->entries != NULL);
}

static bool
by_name_before(const struct config_entry *a, const struct config_entry *b)
{
	return (strcmp(a->name, b->name) < 0);
}

static int
compare_entries(const void *a, const void *b)
{
	const struct config_entry *x = a, *y = b;

	return (by_name_before(x, y) ? -1 : by_name_before(y, x));
}

static bool
finish(struct describer *d)
{
	if (!d->full)
		qsort(d->out->entries, d->out->count, sizeof(*d->out->entries), compare_entries);
	return (!d->full);
}

/* ---- synonyms, rule (3) ---- */

struct synonym_list {
	struct config_synonym items[1 + 4 * 4];
	size_t	 count;
};

static void
add_synonym(struct synonym_list *l, const char *name, const char *value, bool sensitive, enum config_source source)
{
	l->items[l->count++] = (struct config_synonym){ name, sensitive ? NULL : value, source };
}

static void
add_from(struct synonym_list *l, const struct config_map *m, const char *const *names, size_t n, bool sensitive, enum config_source source)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const char *value = config_map_get(m, names[i]);

		if (value != NULL)
			add_synonym(l, names[i], value, sensitive, source);
	}
}

/* Appends to l; `name` is a broker setting. */
static void
broker_synonyms(struct synonym_list *l, const struct config *c, const char *name, bool sensitive)
{
	struct synonym_list all = { .count = 0 };
	const char *names[4];
	size_t i, n = config_broker_synonyms(name, true, names);

	add_from(&all, &c->internal->by_broker, names, n, sensitive, CONFIG_SOURCE_DYNAMIC_BROKER);
	add_from(&all, &c->internal->by_default, names, n, sensitive, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
	add_from(&all, &c->internal->fixed, names, n, sensitive, CONFIG_SOURCE_STATIC_BROKER);
	for (i = 0; i < n; i++) {
		const struct config_key *key = config_broker_key(names[i]);

		if (key != NULL && key->default_text != NULL)
			add_synonym(&all, names[i], key->default_text, sensitive, CONFIG_SOURCE_DEFAULT);
	}
	for (i = 0; i < all.count && strcmp(all.items[i].name, name) != 0; i++)
		;
	for (; i < all.count; i++)
		l->items[l->count++] = all.items[i];
}

static void
set_synonyms(struct describer *d, struct config_entry *e, const struct synonym_list *l)
{
	struct config_synonym *items;
	size_t i;

	if (l->count == 0)
		return;
	e->source = l->items[0].source;
	items = ARENA_ARRAY(d->arena, struct config_synonym, l->count);
	if (items == NULL) {
		d->full = true;
		return;
	}
	for (i = 0; i < l->count; i++)
		items[i] = (struct config_synonym){ keep(d, l->items[i].name), keep(d, l->items[i].value), l->items[i].source };
	e->synonyms = items;
	e->synonym_count = l->count;
}

/* ---- brokers ---- */

static void
describe_setting(struct describer *d, const char *name, const char *raw, bool default_only)
{
	const struct config_key *row = config_broker_key(name), *key = config_broker_key_of(name);
	struct synonym_list all = { .count = 0 }, l = { .count = 0 };
	struct config_entry *e;
	size_t i;

	if (!wanted(d, name) || (e = add_entry(d, name)) == NULL)
		return;
	e->type = key == NULL ? CONFIG_UNKNOWN : key->type;
	e->sensitive = key == NULL || key->type == CONFIG_PASSWORD;
	e->read_only = row == NULL || row->mode == CONFIG_READ_ONLY;
	e->documentation = row == NULL ? NULL : row->doc;
	if (!e->sensitive)
		e->value = raw != NULL ? keep(d, raw) : keep_free(d, config_value_text(d->c, row));
	broker_synonyms(&all, d->c, name, e->sensitive);
	for (i = 0; i < all.count; i++) {
		if (!default_only || all.items[i].source == CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER)
			l.items[l.count++] = all.items[i];
	}
	set_synonyms(d, e, &l);
}

bool
config_describe_broker(const struct config *c, struct config_names names, struct arena *arena, struct config_description *out)
{
	const struct config_map *set = &c->internal->merged;
	struct describer d;
	size_t i;

	if (!begin(&d, c, names, set->count + config_broker_key_count, arena, out))
		return (false);
	for (i = 0; i < config_broker_key_count; i++) {
		if ((config_broker_keys[i].flags & CONFIG_INTERNAL) == 0)
			describe_setting(&d, config_broker_keys[i].name, NULL, false);
	}
	for (i = 0; i < set->count; i++) {
		const struct config_key *row = config_broker_key(set->entries[i].name);

		if (row == NULL || (row->flags & CONFIG_INTERNAL) != 0)
			describe_setting(&d, set->entries[i].name, set->entries[i].value, false);
	}
	return (finish(&d));
}

bool
config_describe_cluster_default(const struct config *c, struct config_names names, struct arena *arena, struct config_description *out)
{
	const struct config_map *set = &c->internal->by_default;
	struct describer d;
	size_t i;

	if (!begin(&d, c, names, set->count, arena, out))
		return (false);
	for (i = 0; i < set->count; i++)
		describe_setting(&d, set->entries[i].name, set->entries[i].value, true);
	return (finish(&d));
}

/* ---- topics ---- */

static void
describe_topic_setting(struct describer *d, const char *name, const struct config_key *key, const struct topic_config *t,
    const struct config_map *overrides)
{
	struct synonym_list l = { .count = 0 };
	struct config_entry *e;

	if (!wanted(d, name) || (e = add_entry(d, name)) == NULL)
		return;
	e->type = key == NULL ? CONFIG_UNKNOWN : key->type;
	e->sensitive = key == NULL || key->type == CONFIG_PASSWORD;
	e->documentation = key == NULL ? NULL : key->doc;
	if (!e->sensitive)
		e->value = keep_free(d, topic_config_value_text(t, key));
	if (config_map_get(overrides, name) != NULL)
		add_synonym(&l, name, e->value, e->sensitive, CONFIG_SOURCE_TOPIC);
	if (config_topic_synonym(name) != NULL)
		broker_synonyms(&l, d->c, config_topic_synonym(name), e->sensitive);
	set_synonyms(d, e, &l);
}

bool
config_describe_topic(const struct config *c, const struct config_map *overrides, struct config_names names, struct arena *arena,
    struct config_description *out)
{
	struct topic_config *t = topic_config_new(c, overrides, NULL);
	struct describer d;
	size_t i;
	bool ok;

	ok = begin(&d, c, names, config_topic_key_count + (overrides == NULL ? 0 : overrides->count), arena, out);
	for (i = 0; ok && i < config_topic_key_count; i++)
		describe_topic_setting(&d, config_topic_keys[i].name, &config_topic_keys[i], t, overrides);
	for (i = 0; ok && overrides != NULL && i < overrides->count; i++) {
		if (config_topic_key(overrides->entries[i].name) == NULL)
			describe_topic_setting(&d, overrides->entries[i].name, NULL, t, overrides);
	}
	topic_config_unref(&t);
	return (ok && finish(&d));
}
