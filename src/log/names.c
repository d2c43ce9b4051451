/* SPDX-License-Identifier: Apache-2.0
 *
 * log/names.c - see names_int.h.
 *
 * In a partition directory	<20-digit base offset>.log .index .timeindex .txnindex .snapshot, each with .deleted while it waits to be
 *				removed, .cleaned and .swap while compaction replaces segments
 * In a log directory		<topic>-<partition>, and with .<32 hex>-delete, -future, -stray behind it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/names_int.h"

enum { NAME_BYTES_MAX = 255 };

char *
path_join(const char *dir, const char *name)
{
	return (xasprintf("%s/%s", dir, name));
}

char *
segment_path(const char *dir, int64_t base, const char *suffix)
{
	return (xasprintf("%s/%020" PRId64 "%s", dir, base, suffix));
}

bool
name_has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return (n >= s && strcmp(name + n - s, suffix) == 0);
}

bool
name_leading_offset(const char *name, int64_t *offset)
{
	size_t n = strspn(name, "0123456789");

	return (n > 0 && name[n] == '.' && str_to_i64(slice_of(name, n), offset) && *offset >= 0 && *offset <= LOG_OFFSET_MAX);
}

bool
name_parse_offset(const char *name, const char *suffix, int64_t *offset)
{
	size_t n = strspn(name, "0123456789");

	return (strcmp(name + n, suffix) == 0 && name_leading_offset(name, offset));
}

/* "....<32 hex>-<word>": the length of what stands before the dot, or 0. */
static size_t
before_uuid(const char *name, const char *word)
{
	size_t n = strlen(name), w = strlen(word);
	const char *hex;

	if (n < w + 34 || strcmp(name + n - w, word) != 0)
		return (0);
	hex = name + n - w - 32;
	if (strspn(hex, "0123456789abcdef") != 32 || hex[-1] != '.')
		return (0);
	return ((size_t)(hex - 1 - name));
}

static bool
parse_topic_partition(const char *name, size_t len, char **topic, int32_t *partition)
{
	const char *dash = memrchr(name, '-', len);
	size_t digits;

	if (dash == NULL || dash == name)
		return (false);
	digits = len - (size_t)(dash + 1 - name);
	if (digits == 0 || strspn(dash + 1, "0123456789") < digits || !str_to_i32(slice_of(dash + 1, digits), partition))
		return (false);
	*topic = xstrndup(name, (size_t)(dash - name));
	return (true);
}

enum log_dir_kind
name_parse_log_dir(const char *name, char **topic, int32_t *partition)
{
	size_t n;

	*topic = NULL;
	*partition = -1;
	if (before_uuid(name, "-delete") > 0)
		return (LOG_DIR_DELETE);
	if (before_uuid(name, "-stray") > 0)
		return (LOG_DIR_STRAY);
	if ((n = before_uuid(name, "-future")) > 0)
		return (parse_topic_partition(name, n, topic, partition) ? LOG_DIR_FUTURE : LOG_DIR_OTHER);
	return (parse_topic_partition(name, strlen(name), topic, partition) ? LOG_DIR_LOG : LOG_DIR_OTHER);
}

char *
name_delete_dir(const char *topic, int32_t partition, const char *uuid_hex)
{
	char *rest = xasprintf("-%" PRId32 ".%s-delete", partition, uuid_hex), *name;
	size_t room = NAME_BYTES_MAX - strlen(rest), len = strlen(topic);

	name = xasprintf("%.*s%s", (int)MIN(len, room), topic, rest);
	free(rest);
	return (name);
}
