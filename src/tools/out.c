/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/out.c - what people and scripts read: tables, JSON lines, escaped bytes, progress.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tools/tools.h"

/* ---- JSON lines ---- */

void
line_begin(struct line *j, const char *type)
{
	*j = (struct line){ STRBUF_INIT };
	strbuf_add(&j->sb, "{\"type\":\"%s\"", type);
}

static void
key(struct line *j, const char *name)
{
	strbuf_add(&j->sb, ",\"%s\":", name);
}

void
line_string(struct line *j, const char *name, const char *value)
{
	key(j, name);
	if (value == NULL)
		strbuf_add(&j->sb, "null");
	else
		strbuf_add_json_string(&j->sb, slice_str(value));
}

void
line_bytes(struct line *j, const char *name, struct slice s)
{
	if (s.p == NULL || str_is_utf8(s)) {
		key(j, name);
		if (s.p == NULL)
			strbuf_add(&j->sb, "null");
		else
			strbuf_add_json_string(&j->sb, s);
		return;
	}
	strbuf_add(&j->sb, ",\"%s_hex\":\"", name);
	for (size_t i = 0; i < s.len; i++)
		strbuf_add(&j->sb, "%02x", s.p[i]);
	strbuf_add(&j->sb, "\"");
}

void
line_int(struct line *j, const char *name, int64_t v)
{
	key(j, name);
	strbuf_add(&j->sb, "%" PRId64, v);
}

void
line_bool(struct line *j, const char *name, bool v)
{
	key(j, name);
	strbuf_add(&j->sb, v ? "true" : "false");
}

void
line_raw(struct line *j, const char *name, const char *text)
{
	key(j, name);
	strbuf_add(&j->sb, "%s", text);
}

void
line_end(struct line *j)
{
	printf("%s}\n", strbuf_str(&j->sb));
	strbuf_fini(&j->sb);
}

/* ---- text ---- */

void
print_escaped(struct slice s)
{
	if (s.p == NULL) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c == '\n' || c == '\t' || c == '\r')
			printf("\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !str_is_utf8(s)))
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void
format_time(int64_t ms, char out[40])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (ms < 0 || gmtime_r(&s, &tm) == NULL || tm.tm_year + 1900 > 9999)
		str_format(out, 40, ms == -1 ? "none" : "%" PRId64, ms);
	else
		str_format(out, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		    (int)(ms % 1000));
}

/* ---- tables ---- */

struct table {
	unsigned columns;
	char **cells;		/* heads first */
	size_t n, room;
};

struct table *
table_new(const char *const *heads, unsigned n)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = n;
	for (unsigned i = 0; i < n; i++)
		table_cell(t, "%s", heads[i]);
	return (t);
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	if (t->n == t->room) {
		t->room = t->room == 0 ? 64 : t->room * 2;
		t->cells = xreallocarray(t->cells, t->room, sizeof(*t->cells));
	}
	t->cells[t->n++] = strbuf_take(&sb);
}

static bool
is_number(const char *s)
{
	return (*s != '\0' && strspn(s, "-0123456789.%") == strlen(s));
}

static void
print_cell(const struct table *t, size_t i, size_t width)
{
	size_t row = i / t->columns;
	bool last = i % t->columns == t->columns - 1;
	/* A head stands as its first cell does. */
	bool right = is_number(t->cells[row == 0 && t->n > t->columns ? i + t->columns : i]);

	if (right)
		printf("%*s", (int)width, t->cells[i]);
	else if (last)
		printf("%s", t->cells[i]);
	else
		printf("%-*s", (int)width, t->cells[i]);
	fputs(last ? "\n" : "  ", stdout);
}

void
table_print(struct table **tp)
{
	struct table *t = *tp;
	size_t *widths = xcalloc(t->columns, sizeof(*widths));

	for (size_t i = 0; i < t->n; i++)
		widths[i % t->columns] = MAX(widths[i % t->columns], strlen(t->cells[i]));
	for (size_t i = 0; i < t->n && t->n > t->columns; i++)
		print_cell(t, i, widths[i % t->columns]);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(widths);
	free(t);
	*tp = NULL;
}

/* ---- progress ---- */

static void
show(void *ctx, const char *path, uint64_t done, uint64_t total)
{
	(void)ctx;
	if (!isatty(STDERR_FILENO))
		return;
	if (total > 0)
		fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64 " MB, %3.0f%%  %s", done >> 20, total >> 20, 100.0 * (double)done / (double)total, path);
	else
		fprintf(stderr, "\r\033[K%" PRIu64 " MB  %s", done >> 20, path);
}

static const struct log_progress shown = { show, NULL };
const struct log_progress *const progress = &shown;

void
progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
