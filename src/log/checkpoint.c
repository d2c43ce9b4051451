/* SPDX-License-Identifier: Apache-2.0
 *
 * log/checkpoint.c - see checkpoint.h for the formats.
 *
 * (1) A file is replaced as a whole (fs_write_file_atomic): after a crash the old or the new content stands, never a mixture.
 * (2) What a file says is checked before it is believed: version, count, every line.  An empty file has no entries (Kafka accepts it:
 *     a file system may leave one behind after a crash).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "log/checkpoint.h"
#include "log/lines_int.h"
#include "log/names_int.h"

enum { PARTITION_METADATA_MAX = 4096 };

static int
entry_cmp(const void *va, const void *vb)
{
	const struct checkpoint_entry *a = va, *b = vb;
	int c = strcmp(a->topic, b->topic);

	return (c != 0 ? c : (a->partition > b->partition) - (a->partition < b->partition));
}

static void
add_taken(struct checkpoint *cp, char *topic, int32_t partition, int64_t offset)
{
	if (cp->n == cp->room) {
		cp->room = cp->room == 0 ? 16 : cp->room * 2;
		cp->entries = xreallocarray(cp->entries, cp->room, sizeof(*cp->entries));
	}
	cp->entries[cp->n++] = (struct checkpoint_entry){ topic, partition, offset };
}

void
checkpoint_add(struct checkpoint *cp, const char *topic, int32_t partition, int64_t offset)
{
	add_taken(cp, xstrdup(topic), partition, offset);
}

const struct checkpoint_entry *
checkpoint_find(const struct checkpoint *cp, const char *topic, int32_t partition)
{
	const struct checkpoint_entry key = { (char *)(uintptr_t)topic, partition, 0 };

	return (cp->n == 0 ? NULL : bsearch(&key, cp->entries, cp->n, sizeof(key), entry_cmp));
}

void
checkpoint_fini(struct checkpoint *cp)
{
	for (uint32_t i = 0; i < cp->n; i++)
		free(cp->entries[i].topic);
	free(cp->entries);
	*cp = (struct checkpoint)CHECKPOINT_INIT;
}

static bool
parse_line(struct slice line, struct checkpoint *out)
{
	struct slice topic, partition, offset;
	int32_t p;
	int64_t o;

	if (!line_field(&line, &topic) || !line_field(&line, &partition) || !line_field(&line, &offset) || line.len != 0)
		return (false);
	if (!str_to_i32(partition, &p) || !str_to_i64(offset, &o) || p < 0 || memchr(topic.p, 0, topic.len) != NULL)
		return (false);
	add_taken(out, xstrndup((const char *)topic.p, topic.len), p, o);
	return (true);
}

enum err
checkpoint_read(struct fs *fs, const char *path, struct checkpoint *out, struct errbuf *eb)
{
	struct line_file lf;
	struct slice line;
	enum err e = line_file_open(fs, path, 0, &lf, eb);

	if (e != OK)
		return (e);
	while (e == OK && line_file_next(&lf, &line))
		if (!parse_line(line, out))
			e = line_file_bad(&lf, eb);
	if (e == OK)
		e = line_file_end(&lf, eb);
	line_file_close(&lf);
	if (e != OK)
		checkpoint_fini(out);
	else if (out->n > 0)
		qsort(out->entries, out->n, sizeof(*out->entries), entry_cmp);
	return (e);
}

enum err
checkpoint_write(struct fs *fs, const char *path, const struct checkpoint *cp, struct errbuf *eb)
{
	struct strbuf sb = STRBUF_INIT;
	enum err e;

	strbuf_add(&sb, "0\n%" PRIu32 "\n", cp->n);
	for (uint32_t i = 0; i < cp->n; i++)
		strbuf_add(&sb, "%s %" PRId32 " %" PRId64 "\n", cp->entries[i].topic, cp->entries[i].partition, cp->entries[i].offset);
	e = fs_write_file_atomic(fs, path, slice_of(strbuf_str(&sb), sb.len), eb);
	strbuf_fini(&sb);
	return (e);
}

/* ---- partition.metadata ---- */

static bool
metadata_parse(const char *text, size_t len, struct uuid *id)
{
	static const char head[] = "version: 0\ntopic_id: ";
	size_t h = sizeof(head) - 1;

	if (len < h || memcmp(text, head, h) != 0)
		return (false);
	len -= h;
	text += h;
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	return (uuid_parse(slice_of(text, len), id));
}

enum err
partition_metadata_read(struct fs *fs, const char *dir, struct uuid *id, struct errbuf *eb)
{
	char *path = path_join(dir, "partition.metadata"), *text = NULL;
	size_t len = 0;
	enum err e = fs_read_file(fs, path, PARTITION_METADATA_MAX, &text, &len, eb);

	if (e == OK && !metadata_parse(text, len, id)) {
		errbuf_set(eb, "%s: not \"version: 0\" and \"topic_id: <id>\"", path);
		e = ERR_CORRUPT;
	}
	free(text);
	free(path);
	return (e);
}

enum err
partition_metadata_put(struct fs *fs, const char *dir, struct uuid id, struct errbuf *eb)
{
	char *path = path_join(dir, "partition.metadata"), text[UUID_TEXT_LEN + 1], *all;
	enum err e;

	uuid_format(id, text);
	all = xasprintf("version: 0\ntopic_id: %s", text);
	e = fs_replace_file(fs, path, slice_str(all), eb);
	free(all);
	free(path);
	return (e);
}

enum err
partition_metadata_write(struct fs *fs, const char *dir, struct uuid id, struct errbuf *eb)
{
	enum err e = partition_metadata_put(fs, dir, id, eb);

	return (e == OK ? fs->ops->sync_dir(fs, dir, eb) : e);
}
