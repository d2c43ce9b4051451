/* SPDX-License-Identifier: Apache-2.0
 *
 * log/lines.c - see lines_int.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "log/lines_int.h"

bool
line_file_next(struct line_file *lf, struct slice *line)
{
	const uint8_t *nl;

	if (lf->left.len == 0)
		return (false);
	nl = memchr(lf->left.p, '\n', lf->left.len);
	*line = slice_of(lf->left.p, nl == NULL ? lf->left.len : (size_t)(nl - lf->left.p));
	lf->left.p += line->len + (nl != NULL);
	lf->left.len -= line->len + (nl != NULL);
	lf->seen++;
	return (true);
}

static enum err
read_head(struct line_file *lf, int32_t version, struct errbuf *eb)
{
	struct slice line;
	int32_t v;

	if (lf->left.len == 0)
		return (OK);
	if (!line_file_next(lf, &line) || !str_to_i32(line, &v) || v != version) {
		errbuf_set(eb, "%s: line 1 is not the version %" PRId32, lf->path, version);
		return (ERR_CORRUPT);
	}
	if (!line_file_next(lf, &line) || !str_to_i64(line, &lf->count) || lf->count < 0) {
		errbuf_set(eb, "%s: line 2 is not a number of lines", lf->path);
		return (ERR_CORRUPT);
	}
	lf->seen = 0;
	return (OK);
}

enum err
line_file_open(struct fs *fs, const char *path, int32_t version, struct line_file *lf, struct errbuf *eb)
{
	size_t len = 0;
	enum err e;

	*lf = (struct line_file){ .path = path };
	e = fs_read_file(fs, path, LIMIT_CHECKPOINT_FILE_MAX, &lf->text, &len, eb);
	if (e != OK)
		return (e);
	lf->left = slice_of(lf->text, len);
	e = read_head(lf, version, eb);
	if (e != OK)
		line_file_close(lf);
	return (e);
}

enum err
line_file_bad(const struct line_file *lf, struct errbuf *eb)
{
	errbuf_set(eb, "%s: line %" PRId64 " is malformed", lf->path, lf->seen + 2);
	return (ERR_CORRUPT);
}

enum err
line_file_end(const struct line_file *lf, struct errbuf *eb)
{
	if (lf->seen == lf->count)
		return (OK);
	errbuf_set(eb, "%s: %" PRId64 " lines announced, %" PRId64 " found", lf->path, lf->count, lf->seen);
	return (ERR_CORRUPT);
}

void
line_file_close(struct line_file *lf)
{
	free(lf->text);
	lf->text = NULL;
	lf->left = SLICE_NULL;
}

bool
line_field(struct slice *line, struct slice *field)
{
	const uint8_t *blank;

	if (line->len == 0)
		return (false);
	blank = memchr(line->p, ' ', line->len);
	*field = slice_of(line->p, blank == NULL ? line->len : (size_t)(blank - line->p));
	line->p += field->len + (blank != NULL);
	line->len -= field->len + (blank != NULL);
	return (field->len > 0);
}
