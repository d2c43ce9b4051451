/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/store.c - see store.h.
 *
 * A batch is a list of rows in one allocation each: what changed is few and small beside what SQLite does with it.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/must.h"
#include "zkserver/store.h"
#include "zkserver/vfs.h"

enum {
	APPLICATION_ID = 0x4f54544c,	/* "OTTL" */
	SCHEMA_VERSION = 1,
	CACHE_KIB = 512,
};

#define REMEDY	"put back a copy, or move it and its -wal away and begin anew"

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE session(id INTEGER PRIMARY KEY, timeout_ms INTEGER NOT NULL, own INTEGER NOT NULL);"
    "CREATE TABLE node(path TEXT PRIMARY KEY, data BLOB, acl BLOB, czxid INTEGER NOT NULL, mzxid INTEGER NOT NULL, pzxid INTEGER NOT NULL,"
    " ctime INTEGER NOT NULL, mtime INTEGER NOT NULL, version INTEGER NOT NULL, aversion INTEGER NOT NULL, creates INTEGER NOT NULL,"
    " owner INTEGER NOT NULL) WITHOUT ROWID;";

enum statement { S_BEGIN, S_COMMIT, S_META, S_NODE, S_NODE_GONE, S_SESSION, S_SESSION_GONE, STATEMENTS };
static const char *const statements[STATEMENTS] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_META] = "INSERT OR REPLACE INTO meta VALUES(?1, ?2)",
	[S_NODE] = "INSERT OR REPLACE INTO node VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[S_NODE_GONE] = "DELETE FROM node WHERE path = ?1",
	[S_SESSION] = "INSERT OR REPLACE INTO session VALUES(?1, ?2, ?3)",
	[S_SESSION_GONE] = "DELETE FROM session WHERE id = ?1",
};

struct store {
	sqlite3	     *db;
	sqlite3_stmt *statements[STATEMENTS];
	struct vfs   *vfs;
	char	     *path;
};

enum row_kind { ROW_NODE, ROW_NODE_GONE, ROW_SESSION, ROW_SESSION_GONE };

struct row {
	STAILQ_ENTRY(row) link;
	enum row_kind kind;
	int64_t	id;
	int32_t	timeout_ms;
	bool	own;
	struct zk_tree_node node;	/* data, acl: behind the path */
	char	path[];
};

struct store_batch {
	STAILQ_HEAD(, row) rows;
	struct store_counters counters;
};

/* ---- SQLite's words ---- */

static enum err
err_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK: case SQLITE_DONE: case SQLITE_ROW:
		return (OK);
	case SQLITE_CORRUPT: case SQLITE_NOTADB:
		return (ERR_CORRUPT);
	case SQLITE_BUSY: case SQLITE_LOCKED:
		return (ERR_LOCKED);
	case SQLITE_FULL:
		return (ERR_NOSPACE);
	default:
		return (ERR_IO);
	}
}

/* The file layer's own words say more than SQLite's. */
static enum err
complain(const struct store *s, int rc, struct errbuf *eb)
{
	enum err e = vfs_error(s->vfs, eb);

	if (e == OK) {
		e = err_of(rc);
		errbuf_set(eb, "%s: %s", s->path, s->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(s->db));
	}
	return (e);
}

static enum err
run(struct store *s, const char *sql, struct errbuf *eb)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return (rc == SQLITE_OK ? OK : complain(s, rc, eb));
}

/* The number a statement answers. */
static enum err
number(struct store *s, const char *sql, int64_t *n, struct errbuf *eb)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return (rc == SQLITE_ROW ? OK : complain(s, rc, eb));
}

/* ---- opening ---- */

static enum err
create(struct store *s, struct random *random, struct errbuf *eb)
{
	uint8_t secret[STORE_SECRET_LEN];
	sqlite3_stmt *st = NULL;
	char pragmas[96];
	enum err e;
	int rc;

	random->fill(random, secret, sizeof(secret));
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID, SCHEMA_VERSION);
	if ((e = run(s, "BEGIN IMMEDIATE", eb)) != OK || (e = run(s, pragmas, eb)) != OK || (e = run(s, schema, eb)) != OK)
		return (e);
	rc = sqlite3_prepare_v2(s->db, "INSERT INTO meta VALUES('zxid', 0), ('next_session', 0), ('secret', ?1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_blob(st, 1, secret, STORE_SECRET_LEN, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return (rc == SQLITE_DONE ? run(s, "COMMIT", eb) : complain(s, rc, eb));
}

static enum err
check_sound(struct store *s, struct errbuf *eb)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	const char *words = "";
	enum err e = OK;

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		words = (const char *)sqlite3_column_text(st, 0);
	if (rc != SQLITE_ROW) {
		e = complain(s, rc, eb);
	} else if (words == NULL || strcmp(words, "ok") != 0) {
		errbuf_set(eb, "%s: damaged: %s; " REMEDY, s->path, words == NULL ? "" : words);
		e = ERR_CORRUPT;
	}
	sqlite3_finalize(st);
	return (e);
}

static enum err
identify(struct store *s, struct random *random, struct errbuf *eb)
{
	int64_t id = 0, version = 0, tables = 0;
	enum err e;

	if ((e = number(s, "PRAGMA application_id", &id, eb)) != OK || (e = number(s, "PRAGMA user_version", &version, eb)) != OK ||
	    (e = number(s, "SELECT count(*) FROM sqlite_schema", &tables, eb)) != OK)
		return (e);
	if (id == 0 && version == 0 && tables == 0)
		return (create(s, random, eb));
	if (id != APPLICATION_ID) {
		errbuf_set(eb, "%s: a database of another program (application id %#llx)", s->path, (unsigned long long)id);
		return (ERR_CORRUPT);
	}
	if (version != SCHEMA_VERSION) {
		errbuf_set(eb, "%s: written by a later Ottla (schema %lld, this one knows %d)", s->path, (long long)version, (int)SCHEMA_VERSION);
		return (ERR_UNSUPPORTED);
	}
	return (check_sound(s, eb));
}

static enum err
prepare(struct store *s, struct errbuf *eb)
{
	int rc;

	for (int i = 0; i < STATEMENTS; i++) {
		rc = sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);
		if (rc != SQLITE_OK)
			return (complain(s, rc, eb));
	}
	return (OK);
}

static enum err
set_up(struct store *s, struct random *random, struct errbuf *eb)
{
	char pragmas[200];
	enum err e;
	int rc;

	rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs_name(s->vfs));
	if (rc != SQLITE_OK)
		return (complain(s, rc, eb));
	sqlite3_extended_result_codes(s->db, 1);
	/* The lock comes first: without it the log of changes would need memory that processes share. */
	snprintf(pragmas, sizeof(pragmas), "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
	    " PRAGMA cache_size=-%d;",
	    (int)CACHE_KIB);
	if ((e = run(s, pragmas, eb)) != OK || (e = identify(s, random, eb)) != OK)
		return (e);
	return (prepare(s, eb));
}

enum err
store_open(struct fs *fs, struct random *random, const char *path, struct store **sp, struct errbuf *eb)
{
	struct store *s = xcalloc(1, sizeof(*s));
	enum err e;

	s->path = xstrdup(path);
	s->vfs = vfs_new(fs, random);
	e = set_up(s, random, eb);
	if (e != OK)
		store_close(&s);
	*sp = s;
	return (e);
}

void
store_close(struct store **sp)
{
	struct store *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(s->statements[i]);
	must(sqlite3_close(s->db) == SQLITE_OK);
	vfs_free(&s->vfs);
	free(s->path);
	free(s);
}

/* ---- reading ---- */

static struct slice
column(sqlite3_stmt *st, int i)
{
	static const uint8_t nothing[1];
	const uint8_t *p;
	int len;

	if (sqlite3_column_type(st, i) == SQLITE_NULL)
		return (SLICE_NULL);
	p = sqlite3_column_blob(st, i);
	len = sqlite3_column_bytes(st, i);
	return (p == NULL ? slice_of(nothing, 0) : slice_of(p, (size_t)len));
}

/* A column that must be a whole number from least to most: SQLite keeps whatever it was given. */
static int64_t
integer(sqlite3_stmt *st, int i, int64_t least, int64_t most, struct errbuf *eb)
{
	int64_t n = sqlite3_column_int64(st, i);

	if (eb->text[0] == '\0' && (sqlite3_column_type(st, i) != SQLITE_INTEGER || n < least || n > most))
		errbuf_set(eb, "%s is no number from %" PRId64 " to %" PRId64, sqlite3_column_name(st, i), least, most);
	return (n);
}

static int64_t
counter(sqlite3_stmt *st, int i, struct errbuf *eb)
{
	return (integer(st, i, INT64_MIN, INT64_MAX, eb));
}

/* Versions and what is counted like them go on behind INT32_MAX at INT32_MIN: no value is wrong in itself. */
static int32_t
version(sqlite3_stmt *st, int i, struct errbuf *eb)
{
	return ((int32_t)integer(st, i, INT32_MIN, INT32_MAX, eb));
}

/* Each row of a query to fn; the first error ends it. */
static enum err
each_row(struct store *s, const char *sql, enum err (*fn)(const struct store_reader *, sqlite3_stmt *, struct errbuf *), const struct store_reader *r,
    struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	sqlite3_stmt *st;
	enum err e = OK;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		while (e == OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
			e = fn(r, st, &why);
	if (e != OK)
		errbuf_set(eb, "%s: damaged: the row of %s: %s; " REMEDY, s->path, sqlite3_column_text(st, 0), why.text);
	else if (rc != SQLITE_DONE)
		e = complain(s, rc, eb);
	sqlite3_finalize(st);
	return (e);
}

static enum err
read_meta(const struct store_reader *r, sqlite3_stmt *st, struct errbuf *eb)
{
	struct store_counters c = { counter(st, 1, eb), counter(st, 2, eb) };
	struct slice secret = column(st, 3);

	if (secret.len != STORE_SECRET_LEN && eb->text[0] == '\0')
		errbuf_set(eb, "the secret has %zu bytes", secret.len);
	return (eb->text[0] != '\0' ? ERR_CORRUPT : r->counters(r->ctx, &c, secret.p, eb));
}

static enum err
read_session(const struct store_reader *r, sqlite3_stmt *st, struct errbuf *eb)
{
	int64_t id = counter(st, 1, eb);
	int32_t timeout_ms = (int32_t)integer(st, 2, 1, INT32_MAX, eb);
	bool own = integer(st, 3, 0, 1, eb) != 0;

	return (eb->text[0] != '\0' ? ERR_CORRUPT : r->session(r->ctx, id, timeout_ms, own, eb));
}

static enum err
read_node(const struct store_reader *r, sqlite3_stmt *st, struct errbuf *eb)
{
	const char *path = (const char *)sqlite3_column_text(st, 0);
	struct zk_tree_node n = { .creates = version(st, 10, eb) };

	if (path == NULL || strlen(path) != (size_t)sqlite3_column_bytes(st, 0))
		errbuf_set(eb, "this is no path");
	n.data = column(st, 1);
	n.acl = column(st, 2);
	n.stat = (struct zk_stat){ .czxid = counter(st, 3, eb), .mzxid = counter(st, 4, eb), .pzxid = counter(st, 5, eb), .ctime_ms = counter(st, 6, eb),
	    .mtime_ms = counter(st, 7, eb), .version = version(st, 8, eb), .aversion = version(st, 9, eb), .ephemeral_owner = counter(st, 11, eb) };
	return (eb->text[0] != '\0' ? ERR_CORRUPT : r->node(r->ctx, path, &n, eb));
}

enum err
store_read(struct store *s, const struct store_reader *r, struct errbuf *eb)
{
	enum err e;

	e = each_row(s, "SELECT 'meta', (SELECT value FROM meta WHERE key = 'zxid') zxid, (SELECT value FROM meta WHERE key = 'next_session') next_session,"
	    " (SELECT value FROM meta WHERE key = 'secret')", read_meta, r, eb);
	if (e == OK)
		e = each_row(s, "SELECT 'session ' || id, id, timeout_ms, own FROM session", read_session, r, eb);
	return (e == OK ? each_row(s, "SELECT * FROM node ORDER BY path", read_node, r, eb) : e);
}

/* ---- batches ---- */

struct store_batch *
store_batch_new(void)
{
	struct store_batch *b = xcalloc(1, sizeof(*b));

	STAILQ_INIT(&b->rows);
	return (b);
}

void
store_batch_free(struct store_batch **bp)
{
	struct store_batch *b = *bp;
	struct row *r;

	if (b == NULL)
		return;
	*bp = NULL;
	while ((r = STAILQ_FIRST(&b->rows)) != NULL) {
		STAILQ_REMOVE_HEAD(&b->rows, link);
		free(r);
	}
	free(b);
}

static struct row *
row_add(struct store_batch *b, enum row_kind kind, size_t extra)
{
	struct row *r = xcalloc(1, sizeof(*r) + extra);

	r->kind = kind;
	STAILQ_INSERT_TAIL(&b->rows, r, link);
	return (r);
}

static struct slice
copied(uint8_t **at, struct slice s)
{
	struct slice copy = s.p == NULL ? SLICE_NULL : slice_of(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return (copy);
}

void
store_batch_node(struct store_batch *b, const char *path, const struct zk_tree_node *n)
{
	size_t len = strlen(path) + 1;
	struct row *r = row_add(b, n == NULL ? ROW_NODE_GONE : ROW_NODE, len + (n == NULL ? 0 : n->data.len + n->acl.len));
	uint8_t *at = (uint8_t *)r->path + len;

	memcpy(r->path, path, len);
	if (n == NULL)
		return;
	r->node = *n;
	r->node.data = copied(&at, n->data);
	r->node.acl = copied(&at, n->acl);
}

void
store_batch_session(struct store_batch *b, int64_t id, int32_t timeout_ms, bool own)
{
	struct row *r = row_add(b, ROW_SESSION, 0);

	r->id = id;
	r->timeout_ms = timeout_ms;
	r->own = own;
}

void
store_batch_session_gone(struct store_batch *b, int64_t id)
{
	row_add(b, ROW_SESSION_GONE, 0)->id = id;
}

void
store_batch_counters(struct store_batch *b, const struct store_counters *c)
{
	b->counters = *c;
}

/* ---- writing ---- */

static int
step(struct store *s, enum statement which)
{
	int rc = sqlite3_step(s->statements[which]), reset = sqlite3_reset(s->statements[which]);

	return (rc == SQLITE_DONE ? reset : rc);
}

static void
bind_slice(sqlite3_stmt *st, int i, struct slice s)
{
	if (s.p == NULL)
		sqlite3_bind_null(st, i);
	else
		sqlite3_bind_blob64(st, i, s.p, s.len, SQLITE_STATIC);
}

static int
write_node(struct store *s, const struct row *r)
{
	sqlite3_stmt *st = s->statements[S_NODE];
	const struct zk_stat *stat = &r->node.stat;

	sqlite3_bind_text(st, 1, r->path, -1, SQLITE_STATIC);
	bind_slice(st, 2, r->node.data);
	bind_slice(st, 3, r->node.acl);
	sqlite3_bind_int64(st, 4, stat->czxid);
	sqlite3_bind_int64(st, 5, stat->mzxid);
	sqlite3_bind_int64(st, 6, stat->pzxid);
	sqlite3_bind_int64(st, 7, stat->ctime_ms);
	sqlite3_bind_int64(st, 8, stat->mtime_ms);
	sqlite3_bind_int(st, 9, stat->version);
	sqlite3_bind_int(st, 10, stat->aversion);
	sqlite3_bind_int(st, 11, r->node.creates);
	sqlite3_bind_int64(st, 12, stat->ephemeral_owner);
	return (step(s, S_NODE));
}

static int
write_row(struct store *s, const struct row *r)
{
	switch (r->kind) {
	case ROW_NODE:
		return (write_node(s, r));
	case ROW_NODE_GONE:
		sqlite3_bind_text(s->statements[S_NODE_GONE], 1, r->path, -1, SQLITE_STATIC);
		return (step(s, S_NODE_GONE));
	case ROW_SESSION:
		sqlite3_bind_int64(s->statements[S_SESSION], 1, r->id);
		sqlite3_bind_int(s->statements[S_SESSION], 2, r->timeout_ms);
		sqlite3_bind_int(s->statements[S_SESSION], 3, r->own);
		return (step(s, S_SESSION));
	case ROW_SESSION_GONE:
		sqlite3_bind_int64(s->statements[S_SESSION_GONE], 1, r->id);
		return (step(s, S_SESSION_GONE));
	}
	return (SQLITE_MISUSE);
}

static int
write_counter(struct store *s, const char *key, int64_t value)
{
	sqlite3_bind_text(s->statements[S_META], 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s->statements[S_META], 2, value);
	return (step(s, S_META));
}

enum err
store_write(struct store *s, const struct store_batch *b, struct errbuf *eb)
{
	const struct row *r;
	int rc;

	rc = step(s, S_BEGIN);
	STAILQ_FOREACH(r, &b->rows, link)
		if (rc == SQLITE_OK)
			rc = write_row(s, r);
	if (rc == SQLITE_OK)
		rc = write_counter(s, "zxid", b->counters.zxid);
	if (rc == SQLITE_OK)
		rc = write_counter(s, "next_session", b->counters.next_session);
	if (rc == SQLITE_OK)
		rc = step(s, S_COMMIT);
	return (rc == SQLITE_OK ? OK : complain(s, rc, eb));
}
