/* SPDX-License-Identifier: Apache-2.0
 *
 * log/meta_properties.c - meta.properties of a log directory (checkpoint.h): which broker of which cluster it belongs to.
 *
 * Version 0 is ZooKeeper mode's, version 1 KRaft's (node.id instead of broker.id): read, so that the caller can refuse it in words.
 * A file is rewritten only when an id is missing; keys that are not ours (directory.id of a migration) come along.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/str.h"
#include "config/properties.h"
#include "log/checkpoint.h"
#include "log/names_int.h"

#define META_FILE "meta.properties"
enum { META_FILE_MAX = 65536 };

static bool
take_number(const char *text, int32_t *out)
{
	return (text != NULL && str_to_i32(slice_str(text), out));
}

static bool
take_property(const struct property *p, struct meta_properties *mp, struct strbuf *others)
{
	if (strcmp(p->key, "version") == 0)
		return (take_number(p->value, &mp->version));
	if (strcmp(p->key, "broker.id") == 0)
		return (take_number(p->value, &mp->broker_id) && mp->broker_id >= 0);
	if (strcmp(p->key, "cluster.id") == 0)
		return (str_copy(mp->cluster_id, sizeof(mp->cluster_id), p->value));
	properties_write(others, p->key, p->value);
	return (true);
}

static enum err
take_properties(const struct properties *props, struct meta_properties *mp, struct errbuf *eb)
{
	struct strbuf others = STRBUF_INIT;
	enum err e = OK;

	for (size_t i = 0; i < properties_count(props) && e == OK; i++) {
		const struct property *p = properties_at(props, i);

		if (!take_property(p, mp, &others)) {
			errbuf_set(eb, "%s:%u: %s=%s is not valid", properties_file(props), p->line, p->key, p->value);
			e = ERR_CORRUPT;
		}
	}
	if (e == OK && properties_get(props, "version") == NULL) {
		errbuf_set(eb, "%s: no version", properties_file(props));
		e = ERR_CORRUPT;
	}
	if (e == OK && others.len > 0)
		mp->others = strbuf_take(&others);
	strbuf_fini(&others);
	return (e);
}

enum err
meta_properties_read(struct fs *fs, const char *dir, struct meta_properties *mp, struct errbuf *eb)
{
	char *path = path_join(dir, META_FILE), *text = NULL;
	struct properties *props = NULL;
	size_t len = 0;
	enum err e;

	*mp = (struct meta_properties){ .version = -1, .broker_id = -1 };
	e = fs_read_file(fs, path, META_FILE_MAX, &text, &len, eb);
	if (e == OK)
		e = properties_parse(slice_of(text, len), path, META_FILE_MAX, &props, eb);
	if (e == OK)
		e = take_properties(props, mp, eb);
	properties_free(&props);
	free(text);
	free(path);
	return (e);
}

/* Java's Properties.store writes the date as Date.toString does, after an empty comment. */
static void
add_date(struct strbuf *sb, int64_t wall_ms)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL)
		return;
	strbuf_add(sb, "#\n#%s %s %02d %02d:%02d:%02d UTC %d\n", days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    tm.tm_year + 1900);
}

enum err
meta_properties_write(struct fs *fs, const char *dir, const struct meta_properties *mp, int64_t wall_ms, struct errbuf *eb)
{
	struct strbuf sb = STRBUF_INIT;
	char *path = path_join(dir, META_FILE), id[16];
	enum err e;

	add_date(&sb, wall_ms);
	str_format(id, sizeof(id), "%" PRId32, mp->broker_id);
	properties_write(&sb, "broker.id", id);
	properties_write(&sb, "version", "0");
	properties_write(&sb, "cluster.id", mp->cluster_id);
	if (mp->others != NULL)
		strbuf_add(&sb, "%s", mp->others);
	e = fs_write_file_atomic(fs, path, slice_of(strbuf_str(&sb), sb.len), eb);
	strbuf_fini(&sb);
	free(path);
	return (e);
}

void
meta_properties_fini(struct meta_properties *mp)
{
	free(mp->others);
	mp->others = NULL;
}
