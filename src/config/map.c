/* SPDX-License-Identifier: Apache-2.0
 *
 * config/map.c - see map.h for the interface.  A sorted array: maps here have tens of entries, rarely hundreds, and are read in order.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/map.h"

/* Index of the first entry whose name is not less than `name`. */
static size_t
lower_bound(const struct config_map *m, const char *name)
{
	size_t lo = 0, hi = m->count;

	/* Names often come in order. */
	if (hi > 0 && strcmp(m->entries[hi - 1].name, name) < 0)
		return (hi);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(m->entries[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

const struct config_map_entry *
config_map_find(const struct config_map *m, const char *name)
{
	size_t i;

	if (m == NULL)
		return (NULL);
	i = lower_bound(m, name);
	return (i < m->count && strcmp(m->entries[i].name, name) == 0 ? &m->entries[i] : NULL);
}

const char *
config_map_get(const struct config_map *m, const char *name)
{
	const struct config_map_entry *e = config_map_find(m, name);

	return (e == NULL ? NULL : e->value);
}

void
config_map_set_line(struct config_map *m, const char *name, const char *value, unsigned line)
{
	size_t i = lower_bound(m, name);
	struct config_map_entry *e;
	char *text = xstrdup(value);

	if (i < m->count && strcmp(m->entries[i].name, name) == 0) {
		free(m->entries[i].value);
	} else {
		if (m->count == m->size) {
			m->size = m->size ? 2 * m->size : 16;
			m->entries = xreallocarray(m->entries, m->size, sizeof(*m->entries));
		}
		e = &m->entries[i];
		memmove(e + 1, e, (m->count - i) * sizeof(*e));
		m->count++;
		e->name = xstrdup(name);
	}
	m->entries[i].value = text;
	m->entries[i].line = line;
}

void
config_map_set(struct config_map *m, const char *name, const char *value)
{
	config_map_set_line(m, name, value, 0);
}

void
config_map_set_slice(struct config_map *m, struct slice name, struct slice value)
{
	char *n = xstrndup(name.len ? (const char *)name.p : "", name.len);
	char *v = xstrndup(value.len ? (const char *)value.p : "", value.len);

	config_map_set(m, n, v);
	free(n);
	free(v);
}

bool
config_map_remove(struct config_map *m, const char *name)
{
	size_t i = lower_bound(m, name);

	if (i == m->count || strcmp(m->entries[i].name, name) != 0)
		return (false);
	free(m->entries[i].name);
	free(m->entries[i].value);
	m->count--;
	memmove(&m->entries[i], &m->entries[i + 1], (m->count - i) * sizeof(*m->entries));
	return (true);
}

void
config_map_copy(struct config_map *dst, const struct config_map *src)
{
	size_t i;

	*dst = (struct config_map)CONFIG_MAP_INIT;
	for (i = 0; src != NULL && i < src->count; i++)
		config_map_set_line(dst, src->entries[i].name, src->entries[i].value, src->entries[i].line);
}

bool
config_map_equal(const struct config_map *a, const struct config_map *b)
{
	size_t i;

	if (a->count != b->count)
		return (false);
	for (i = 0; i < a->count; i++) {
		if (strcmp(a->entries[i].name, b->entries[i].name) != 0 || strcmp(a->entries[i].value, b->entries[i].value) != 0)
			return (false);
	}
	return (true);
}

void
config_map_fini(struct config_map *m)
{
	size_t i;

	for (i = 0; i < m->count; i++) {
		free(m->entries[i].name);
		free(m->entries[i].value);
	}
	free(m->entries);
	*m = (struct config_map)CONFIG_MAP_INIT;
}
