/* SPDX-License-Identifier: Apache-2.0
 *
 * log/inspect.c - see inspect.h: findings, the rules' words, names, and the files as they stand.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/inspect_int.h"
#include "log/names_int.h"

enum { LOOK_BACK = 512, EACH_WINDOW = 1 << 20, INDEX_FILE_MAX = 1 << 30 };

/* ---- rules ---- */

struct rule_row {
	const char *code, *text, *mend;
};

static const struct rule_row rules[] = {
#define LOG_RULE(name, code, text, mend) { code, text, mend },
#include "log/rules.def"
#undef LOG_RULE
};

const char *
log_rule_code(enum log_rule r)
{
	return (rules[r].code);
}

const char *
log_rule_text(enum log_rule r)
{
	return (rules[r].text);
}

const char *
log_rule_mend(enum log_rule r)
{
	return (rules[r].mend);
}

/* ---- findings ---- */

/* Those of one file stand close together: a short look back is enough, however many files there are. */
static bool
is_listed(struct log_findings *fs, enum log_rule rule, const char *path)
{
	uint32_t same = 0;

	for (uint32_t i = fs->n > LOOK_BACK ? fs->n - LOOK_BACK : 0; i < fs->n; i++)
		same += fs->v[i].rule == rule && strcmp(fs->v[i].path, path) == 0;
	return (same < LOG_FINDINGS_PER_FILE);
}

void
finding_add(struct log_findings *fs, enum log_rule rule, bool violation, const char *path, int64_t offset, int64_t position, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	fs->violations += violation;
	if (!is_listed(fs, rule, path)) {
		fs->unlisted++;
		return;
	}
	if (fs->n == fs->room) {
		fs->room = fs->room == 0 ? 8 : fs->room * 2;
		fs->v = xreallocarray(fs->v, fs->room, sizeof(*fs->v));
	}
	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	fs->v[fs->n++] = (struct log_finding){ rule, violation, xstrdup(path), strbuf_take(&sb), offset, position };
}

void
log_findings_fini(struct log_findings *fs)
{
	for (uint32_t i = 0; i < fs->n; i++) {
		free(fs->v[i].path);
		free(fs->v[i].words);
	}
	free(fs->v);
	*fs = (struct log_findings)LOG_FINDINGS_INIT;
}

/* ---- names ---- */

char *
log_file_path(const char *dir, int64_t base, const char *suffix)
{
	return (segment_path(dir, base, suffix));
}

static const struct {
	const char *suffix;
	enum log_file_kind kind;
} suffixes[] = {
	{ SUFFIX_DATA, LOG_FILE_DATA },
	{ SUFFIX_INDEX, LOG_FILE_INDEX },
	{ SUFFIX_TIME, LOG_FILE_TIME },
	{ SUFFIX_TXN, LOG_FILE_TXN },
	{ SUFFIX_SNAPSHOT, LOG_FILE_SNAPSHOT },
};

static const struct {
	const char *name;
	enum log_file_kind kind;
} whole_names[] = {
	{ "leader-epoch-checkpoint", LOG_FILE_EPOCHS },
	{ "partition.metadata", LOG_FILE_METADATA },
	{ "meta.properties", LOG_FILE_PROPERTIES },
	{ "recovery-point-offset-checkpoint", LOG_FILE_CHECKPOINT },
	{ "log-start-offset-checkpoint", LOG_FILE_CHECKPOINT },
	{ "replication-offset-checkpoint", LOG_FILE_CHECKPOINT },
	{ "cleaner-offset-checkpoint", LOG_FILE_CHECKPOINT },
};

enum log_file_kind
log_file_kind(const char *path, int64_t *base)
{
	static const char *const states[] = { SUFFIX_DELETED, SUFFIX_CLEANED, SUFFIX_SWAP };
	const char *slash = strrchr(path, '/');
	char *name = xstrdup(slash == NULL ? path : slash + 1);
	enum log_file_kind kind = LOG_FILE_UNKNOWN;

	*base = -1;
	for (size_t i = 0; i < NELEM(states); i++)
		if (name_has_suffix(name, states[i]))
			name[strlen(name) - strlen(states[i])] = '\0';
	for (size_t i = 0; i < NELEM(suffixes); i++)
		if (name_parse_offset(name, suffixes[i].suffix, base))
			kind = suffixes[i].kind;
	for (size_t i = 0; i < NELEM(whole_names); i++)
		if (strcmp(name, whole_names[i].name) == 0)
			kind = whole_names[i].kind;
	free(name);
	return (kind);
}

/* ---- listing ---- */

static void
add_offset(int64_t **v, uint32_t *n, int64_t offset)
{
	*v = xreallocarray(*v, (size_t)*n + 1, sizeof(**v));
	(*v)[(*n)++] = offset;
}

static bool
take_name(void *ctx, const char *name, bool is_dir)
{
	struct log_files *lf = ctx;
	int64_t offset;

	if (!is_dir && name_parse_offset(name, SUFFIX_DATA, &offset))
		add_offset(&lf->bases, &lf->n, offset);
	else if (!is_dir && name_parse_offset(name, SUFFIX_SNAPSHOT, &offset))
		add_offset(&lf->snapshots, &lf->nsnapshots, offset);
	else {
		lf->others = xreallocarray(lf->others, (size_t)lf->nothers + 1, sizeof(*lf->others));
		lf->others[lf->nothers++] = xstrdup(name);
	}
	return (true);
}

static int
offset_cmp(const void *va, const void *vb)
{
	const int64_t *a = va, *b = vb;

	return ((*a > *b) - (*a < *b));
}

int
string_ptr_cmp(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

enum err
log_files_list(struct fs *fs, const char *dir, struct log_files *lf, struct errbuf *eb)
{
	enum err e;

	*lf = (struct log_files){ NULL, NULL, 0, 0, NULL, 0 };
	e = fs->ops->list(fs, dir, take_name, lf, eb);
	if (lf->n > 0)
		qsort(lf->bases, lf->n, sizeof(*lf->bases), offset_cmp);
	if (lf->nsnapshots > 0)
		qsort(lf->snapshots, lf->nsnapshots, sizeof(*lf->snapshots), offset_cmp);
	if (lf->nothers > 0)
		qsort(lf->others, lf->nothers, sizeof(*lf->others), string_ptr_cmp);
	return (e);
}

void
log_files_fini(struct log_files *lf)
{
	for (uint32_t i = 0; i < lf->nothers; i++)
		free(lf->others[i]);
	free(lf->others);
	free(lf->bases);
	free(lf->snapshots);
	*lf = (struct log_files){ NULL, NULL, 0, 0, NULL, 0 };
}

/* ---- indexes as they stand ---- */

static uint32_t
entry_size(enum log_file_kind kind)
{
	return (kind == LOG_FILE_INDEX ? OFFSET_ENTRY : kind == LOG_FILE_TIME ? TIME_ENTRY : TXN_ENTRY);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	return (len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0));
}

/* Entries that count: zeros at the end are the room of a presized file.  A time index of one entry may be all zeros: time 0 at its base. */
static uint32_t
count_entries(const uint8_t *p, size_t len, uint32_t size)
{
	uint32_t n = (uint32_t)(len / size);

	if (n == 1 && size == TIME_ENTRY)
		return (1);
	while (n > 0 && is_zero(p + (size_t)(n - 1) * size, size))
		n--;
	return (n);
}

static void
decode_row(const uint8_t *p, enum log_file_kind kind, int64_t base, struct log_index_row *r)
{
	if (kind == LOG_FILE_INDEX) {
		r->offset = base + (int32_t)be32dec(p);
		r->position = be32dec(p + 4);
	} else if (kind == LOG_FILE_TIME) {
		r->timestamp_ms = (int64_t)be64dec(p);
		r->offset = base + (int32_t)be32dec(p + 8);
	} else {
		r->producer_id = (int64_t)be64dec(p + 2);
		r->first_offset = (int64_t)be64dec(p + 10);
		r->offset = (int64_t)be64dec(p + 18);
		r->last_stable_offset = (int64_t)be64dec(p + 26);
	}
}

enum err
log_index_read(struct fs *fs, const char *path, enum log_file_kind kind, int64_t base, struct log_index_rows *rows, struct errbuf *eb)
{
	uint32_t size = entry_size(kind);
	char *text = NULL;
	size_t len = 0;
	enum err e = fs_read_file(fs, path, INDEX_FILE_MAX, &text, &len, eb);
	const uint8_t *p = (const uint8_t *)text;

	*rows = (struct log_index_rows){ NULL, 0, 0, false };
	if (e != OK)
		return (e);
	rows->n = count_entries(p, len, size);
	rows->tail_bytes = len - (uint64_t)rows->n * size;
	rows->odd = len % size != 0;
	rows->v = xcalloc((size_t)rows->n + 1, sizeof(*rows->v));
	for (uint32_t i = 0; i < rows->n; i++) {
		decode_row(p + (size_t)i * size, kind, base, &rows->v[i]);
		if (kind == LOG_FILE_TXN && be16dec(p + (size_t)i * size) != 0)
			rows->odd = true;
	}
	free(text);
	return (OK);
}

void
log_index_rows_fini(struct log_index_rows *rows)
{
	free(rows->v);
	*rows = (struct log_index_rows){ NULL, 0, 0, false };
}

/* ---- batches as they stand ---- */

enum err
log_each_batch(struct fs *fs, const char *path, uint64_t from, log_batch_fn *fn, void *ctx, uint64_t *at, uint64_t *size, struct errbuf *eb)
{
	struct batch_header h;
	struct batch_scan sc;
	struct file *f = NULL;
	struct slice whole;
	uint64_t here;
	enum err e = file_open(fs, path, FS_RDONLY, &f, eb);

	*at = from;
	*size = 0;
	if (e == OK)
		e = file_size(f, size, eb);
	if (e == OK && from < *size) {
		batch_scan_init(&sc, f, from, *size, NULL, EACH_WINDOW);
		while ((e = batch_scan_whole(&sc, &h, &whole, &here, eb)) == OK)
			if (!fn(ctx, &h, whole, here))
				break;
		*at = sc.pos;
		batch_scan_fini(&sc);
	}
	file_unref(&f);
	if (e == ERR_NOTFOUND || e == ERR_CORRUPT) {	/* the end, or no batch: *at and *size say which */
		if (eb != NULL)
			eb->text[0] = '\0';
		e = OK;
	}
	return (e);
}

/* ---- the lock ---- */

enum err
log_place_holder(struct fs *fs, const char *dir, int *pid, struct errbuf *eb)
{
	char *path = path_join(dir, ".lock");
	struct errbuf why = ERRBUF_INIT;
	struct file *f = NULL;
	enum err e = file_open(fs, path, FS_RDONLY, &f, &why);

	*pid = 0;
	if (e == OK)
		e = fs->ops->lock_holder(f, pid, &why);
	file_unref(&f);
	free(path);
	if (e != OK && e != ERR_NOENT)
		errbuf_set(eb, "%s", why.text);
	return (e == ERR_NOENT ? OK : e);
}

enum err
log_lock(struct fs *fs, const char *dir, struct file **out, int *holder, struct errbuf *eb)
{
	char *path = path_join(dir, ".lock");
	enum err e = file_open(fs, path, FS_RDWR | FS_CREATE, out, eb);

	*holder = 0;
	if (e == OK)
		e = fs->ops->lock(*out, holder, eb);
	if (e != OK)
		file_unref(out);
	free(path);
	return (e);
}
