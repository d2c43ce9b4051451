/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/place.c - is an operand a file, the directory of a partition, or a log directory?
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tools/tools.h"

static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path)));
}

static bool
has_segments(const char *path)
{
	struct log_files lf;
	bool some = log_files_list(fs_real(), path, &lf, NULL) == OK && lf.n > 0;

	log_files_fini(&lf);
	return (some);
}

/* One that a broker has used, or a copy: a directory with the directory of a partition in it. */
static bool
is_log_dir(const char *path)
{
	struct log_findings ignored = LOG_FINDINGS_INIT;
	struct log_place p;
	bool is = log_place_read(fs_real(), path, false, &p, &ignored, NULL) == OK && p.is_log_dir;

	for (uint32_t i = 0; i < p.nlogs && !is; i++) {
		char *dir = xasprintf("%s/%s", path, p.logs[i]);

		is = has_segments(dir);
		free(dir);
	}
	log_place_fini(&p);
	log_findings_fini(&ignored);
	return (is);
}

bool
operand_open(const struct arguments *a, const char *text, struct operand *o)
{
	struct fs_stat st;
	struct errbuf eb = ERRBUF_INIT;

	*o = (struct operand){ OPERAND_FILE, realpath(text, NULL), NULL };
	if (o->path == NULL) {
		(void)failure(a, "%s: %s", text, strerror(errno));
		return (false);
	}
	if (fs_real()->ops->stat(fs_real(), o->path, &st, &eb) != OK) {
		(void)failure(a, "%s", eb.text);
		operand_fini(o);
		return (false);
	}
	if (!st.is_dir) {
		o->place = parent_of(o->path);
	} else if (has_segments(o->path)) {
		o->kind = OPERAND_PARTITION;
		o->place = parent_of(o->path);
	} else if (is_log_dir(o->path)) {
		o->kind = OPERAND_LOG_DIR;
		o->place = xstrdup(o->path);
	} else {
		(void)failure(a, "%s: neither the directory of a partition (no <offset>.log in it) nor a log directory (no meta.properties, no partition in it)", text);
		operand_fini(o);
		return (false);
	}
	return (true);
}

void
operand_fini(struct operand *o)
{
	free(o->path);
	free(o->place);
	*o = (struct operand){ OPERAND_FILE, NULL, NULL };
}
