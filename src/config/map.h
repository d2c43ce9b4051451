/* SPDX-License-Identifier: Apache-2.0
 *
 * config/map.h - a small map from configuration names to values: what a file, a znode or a request says, before anybody understands it.
 *
 * Sorted by name, so that two maps with the same content are walked alike.  Values are text; a name is there once.
 * Ownership  Names and values are copied in.  Threads: one writer; immutable maps may be read by any thread.
 */
#ifndef CONFIG_MAP_H
#define CONFIG_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cdefs.h"
#include "base/slice.h"

struct config_map_entry {
	char	*name, *value;		/* value is never NULL */
	unsigned line;			/* where it stood in a file; 0 = nowhere, CONFIG_LINE_OVERRIDE = given by --override */
};
#define CONFIG_LINE_OVERRIDE	(~0U)

struct config_map {
	struct config_map_entry *entries;
	size_t			 count, size;
};
#define CONFIG_MAP_INIT	{ NULL, 0, 0 }

void	 config_map_fini(struct config_map *);
void	 config_map_copy(struct config_map *dst, const struct config_map *src);		/* dst uninitialised or empty; src may be NULL */
void	 config_map_set(struct config_map *, const char *name, const char *value);
void	 config_map_set_slice(struct config_map *, struct slice name, struct slice value);	/* a NUL byte ends the text */
void	 config_map_set_line(struct config_map *, const char *name, const char *value, unsigned line);
bool	 config_map_remove(struct config_map *, const char *name);				/* was it there? */
const char *config_map_get(const struct config_map *, const char *name);			/* NULL when absent, or the map is NULL */
const struct config_map_entry *config_map_find(const struct config_map *, const char *name);
bool	 config_map_equal(const struct config_map *, const struct config_map *);

#endif
