/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zkserver/test_store.c - what the embedded server keeps: over kills, losses of power at every call, failing disks, foreign files.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "bed.h"

enum { NODES = 6, STEPS = 40, COPIES_MAX = 4096 };

/* ---- a loss of power at every call ---- */

/* What a client has been told by some moment: of each node the last answered write, and what is asked for and not answered yet. */
struct told {
	int	value[NODES];		/* -1: gone; else the number that is its data */
	int	asked[NODES];		/* the write under way; the same as value: none */
	int64_t	zxid;
};

struct moment {
	struct fs  *world;
	struct told told;
	char	    what[80];
};

struct recorder {
	struct bed    b;
	struct told   told;
	struct moment *v;
	unsigned      n;
};

static void
at(void *ctx, const char *what)
{
	struct recorder *r = ctx;

	if (r->n == COPIES_MAX)
		return;
	r->v[r->n].world = fs_power_copy(r->b.fs);
	r->v[r->n].told = r->told;
	snprintf(r->v[r->n++].what, sizeof(r->v->what), "%s", what);
}

static void
step(struct recorder *r, struct peer *p, int node, int value)
{
	char path[16], text[16];

	snprintf(path, sizeof(path), "/n%d", node);
	snprintf(text, sizeof(text), "%d", value);
	r->told.asked[node] = value;
	if (value < 0)
		peer_delete(p, path, -1);
	else if (r->told.value[node] < 0)
		peer_create(p, path, text, 0);
	else
		peer_set(p, path, text, -1);
	CHECK_EQ(peer_error(p), 0);
	r->told.value[node] = value;
	if (p->answer.zxid > r->told.zxid)
		r->told.zxid = p->answer.zxid;
}

static int
value_of(struct peer *p, int node)
{
	struct slice data;
	char path[16], text[16];

	snprintf(path, sizeof(path), "/n%d", node);
	peer_get(p, path, false);
	if (peer_error(p) != 0)
		return (-1);
	data = jute_bytes(&p->answer.body);
	snprintf(text, sizeof(text), "%.*s", (int)data.len, (const char *)data.p);
	return (atoi(text));
}

static void
look_after(const struct moment *m, struct fs *world, uint64_t seed)
{
	struct peer *p;
	struct bed b;

	bed_init_on(&b, world);
	unit_check(b.server != NULL, __FILE__, __LINE__, "after a loss at %s, seed %" PRIu64 ": %s", m->what, seed, b.words.text);
	if (b.server != NULL) {
		p = peer_new(&b);
		for (int i = 0; i < NODES; i++) {
			int v = value_of(p, i);

			unit_check(v == m->told.value[i] || v == m->told.asked[i], __FILE__, __LINE__,
			    "after a loss at %s, seed %" PRIu64 ": /n%d is %d; told %d, asked %d", m->what, seed, i, v, m->told.value[i], m->told.asked[i]);
		}
		unit_check(p->answer.zxid > m->told.zxid, __FILE__, __LINE__, "after a loss at %s: zxid %" PRId64 " is not above %" PRId64, m->what,
		    p->answer.zxid, m->told.zxid);
		peer_free(&p);
	}
	bed_fini(&b);
}

TEST(what_was_answered_survives_a_loss_of_power_at_every_call)
{
	struct recorder *r = xcalloc(1, sizeof(*r));
	struct random_seeded random;
	struct peer *p;

	random_seeded_init(&random, unit_seed());
	bed_init(&r->b);
	r->v = xcalloc(COPIES_MAX, sizeof(*r->v));
	for (int i = 0; i < NODES; i++)
		r->told.value[i] = r->told.asked[i] = -1;
	p = peer_new(&r->b);
	r->told.zxid = 1;
	fs_power_watch(r->b.fs, FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_WRITE | FS_FAULT_TRUNCATE | FS_FAULT_UNLINK, at, r);
	for (int i = 0; i < STEPS; i++) {
		int node = (int)random_below(&random.random, NODES);

		step(r, p, node, r->told.value[node] >= 0 && random_below(&random.random, 4) == 0 ? -1 : i);
	}
	fs_power_watch(r->b.fs, 0, NULL, NULL);
	peer_free(&p);
	CHECK(r->n >= STEPS && r->n < COPIES_MAX);
	for (unsigned i = 0; i < r->n; i++) {
		look_after(&r->v[i], fs_power_copy(r->v[i].world), 0);
		for (uint64_t seed = 1; seed <= 2; seed++)
			look_after(&r->v[i], fs_power_lost(r->v[i].world, unit_seed() + seed), unit_seed() + seed);
		fs_power_free(&r->v[i].world);
	}
	free(r->v);
	bed_fini(&r->b);
	free(r);
}

TEST(the_first_start_may_lose_its_power_too)
{
	static struct clock_manual clock;
	struct recorder *r = xcalloc(1, sizeof(*r));
	struct errbuf eb = ERRBUF_INIT;
	struct fs *fs;

	clock_manual_init(&clock, 1700000000000);
	fs = fs_power_new(&clock.clock);
	must(fs_mkdir_p(fs, "/d", &eb) == OK && fs->ops->sync_dir(fs, "/", &eb) == OK);
	r->b.fs = fs;
	r->v = xcalloc(COPIES_MAX, sizeof(*r->v));
	for (int i = 0; i < NODES; i++)
		r->told.value[i] = r->told.asked[i] = -1;
	fs_power_watch(fs, FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_WRITE | FS_FAULT_TRUNCATE | FS_FAULT_UNLINK, at, r);
	{
		struct moment *v = r->v;

		bed_init_on(&r->b, fs);
		r->v = v;
	}
	fs_power_watch(fs, 0, NULL, NULL);
	CHECK(r->b.server != NULL && r->n > 5);
	for (unsigned i = 0; i < r->n; i++) {
		for (uint64_t seed = 1; seed <= 3; seed++)
			look_after(&r->v[i], fs_power_lost(r->v[i].world, unit_seed() + seed), unit_seed() + seed);
		fs_power_free(&r->v[i].world);
	}
	free(r->v);
	bed_fini(&r->b);
	free(r);
}

/* ---- a disk that fails ---- */

/* Every n-th call fails, for good: what was answered before is there when the disk is well again, and nothing was answered after. */
static void
fail_at_every(unsigned ops, enum err e)
{
	static const uint8_t none[16];

	for (unsigned n = 1;; n++) {
		static struct clock_manual clock;
		struct errbuf eb = ERRBUF_INIT;
		struct fs *power, *faulty;
		struct peer *p;
		struct bed b;
		int told = -1;
		bool fired;

		clock_manual_init(&clock, 1700000000000);
		power = fs_power_new(&clock.clock);
		must(fs_mkdir_p(power, "/d", &eb) == OK && power->ops->sync_dir(power, "/", &eb) == OK);
		faulty = fs_fault_new(power);
		bed_init_on(&b, faulty);
		must(b.server != NULL);
		fs_fault_arm(faulty, ops, n, e);
		fs_fault_stay(faulty, true);
		p = peer_raw(&b);
		for (int i = 0; i < 4 && (i > 0 || peer_connect(p, 0, none)) && !p->ended; i++) {
			char text[16];

			snprintf(text, sizeof(text), "%d", i);
			if (i == 0)
				peer_create(p, "/n0", text, 0);
			else
				peer_set(p, "/n0", text, -1);
			bed_settle(&b);
			if (peer_next(p) != NULL)
				told = i;
		}
		fired = fs_fault_fired(faulty);
		unit_check(fired == (b.failed[0] != '\0') && (!fired || p->ended), __FILE__, __LINE__, "call %u: %s", n, b.failed);
		peer_free(&p);
		fs_fault_arm(faulty, 0, 0, OK);
		bed_stop(&b);
		if (bed_open(&b)) {
			p = peer_new(&b);
			told = told > value_of(p, 0) ? 1000 : told;
			peer_free(&p);
		}
		unit_check(told != 1000 && b.server != NULL, __FILE__, __LINE__, "call %u: %s", n, told == 1000 ? "an answered write is lost" : b.words.text);
		bed_stop(&b);
		fs_fault_free(&faulty);
		b.fs = power;
		bed_fini(&b);
		if (!fired)
			break;
	}
}

TEST(a_disk_that_fails_ends_the_server_and_loses_nothing)
{
	fail_at_every(FS_FAULT_WRITE, ERR_IO);
	fail_at_every(FS_FAULT_SYNC, ERR_IO);
}

TEST(a_full_disk_ends_the_server_and_loses_nothing)
{
	fail_at_every(FS_FAULT_WRITE | FS_FAULT_TRUNCATE, ERR_NOSPACE);
}

/* ---- files that are refused ---- */

static void
sql(const char *path, const char *words)
{
	sqlite3 *db;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	must(sqlite3_exec(db, words, NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(db);
}

static enum err
open_real(const char *dir, struct errbuf *eb)
{
	struct loop *loop = NULL;
	struct workers *workers = NULL;
	struct zkserver *s = NULL;
	struct random_seeded random;
	enum err e;

	random_seeded_init(&random, 1);
	must(loop_new(&(struct loop_options){ .name = "test", .clock = clock_real() }, &loop, eb) == OK && workers_new(0, "test", &workers, eb) == OK);
	e = zkserver_open(&(struct zkserver_options){ .loop = loop, .workers = workers, .fs = fs_real(), .random = &random.random, .dir = dir,
	    .tick_ms = ZKSERVER_TICK_MS, .packet_max = ZKSERVER_PACKET_MAX }, &s, eb);
	zkserver_free(&s);
	workers_free(&workers);
	loop_free(&loop);
	return (e);
}

static char *
contents(const char *path, size_t *len)
{
	struct errbuf eb = ERRBUF_INIT;
	char *p = NULL;

	must(fs_read_file(fs_real(), path, 1 << 24, &p, len, &eb) == OK);
	return (p);
}

/* Refused with these words, and not touched. */
static void
refused(const char *dir, const char *path, enum err expected, const char *words)
{
	struct errbuf eb = ERRBUF_INIT;
	size_t before_len, after_len;
	char *before = contents(path, &before_len), *after;

	CHECK_EQ(open_real(dir, &eb), expected);
	unit_check(strstr(eb.text, words) != NULL, __FILE__, __LINE__, "\"%s\" in: %s", words, eb.text);
	after = contents(path, &after_len);
	CHECK(before_len == after_len && memcmp(before, after, after_len) == 0);
	free(before);
	free(after);
}

TEST(a_file_of_others_is_refused)
{
	const char *dir = unit_tmpdir();
	char *path = xasprintf("%s/ottla.coordination.db", dir);
	struct errbuf eb = ERRBUF_INIT;
	FILE *f;

	CHECK_EQ(open_real(dir, &eb), OK);
	sql(path, "PRAGMA user_version=2");
	refused(dir, path, ERR_UNSUPPORTED, "later Ottla");
	sql(path, "PRAGMA user_version=1; PRAGMA application_id=7");
	refused(dir, path, ERR_CORRUPT, "another program");
	must(remove(path) == 0);
	f = fopen(path, "w");
	must(f != NULL && fputs("this is no database, it is a letter to somebody, long enough to be read as a page\n", f) >= 0 && fclose(f) == 0);
	refused(dir, path, ERR_CORRUPT, "not a database");
	free(path);
}

/* A sound database whose rows cannot be true together: each case from the same good file. */
TEST(rows_that_contradict_each_other_are_refused)
{
	static const char begin[] = "UPDATE meta SET value = 50 WHERE key = 'zxid'; INSERT INTO session VALUES(72057594054705152, 6000, 0);"
	    "UPDATE meta SET value = 72057594054705153 WHERE key = 'next_session';";
#define NODE(path, zxids, versions, owner)	"INSERT INTO node VALUES(" path ", x'', NULL, " zxids ", 0, 0, " versions ", " owner ")"
#define OWNER		"72057594054705152"
	static const struct {
		const char *change, *words;
	} cases[] = {
		{ "DELETE FROM meta WHERE key = 'zxid'", "zxid is no number" },
		{ "DELETE FROM meta WHERE key = 'next_session'", "next_session is no number" },
		{ "UPDATE meta SET value = 'x' WHERE key = 'next_session'", "next_session is no number" },
		{ "UPDATE meta SET value = -1 WHERE key = 'zxid'", "no server counts so" },
		{ "UPDATE meta SET value = 0 WHERE key = 'next_session'", "no server counts so" },
		{ "UPDATE meta SET value = 9223372036854775807 WHERE key = 'next_session'", "no server counts so" },
		{ "UPDATE meta SET value = 0 WHERE key IN ('zxid', 'next_session')", "nothing was ever written" },
		{ "UPDATE meta SET value = x'00' WHERE key = 'secret'", "the secret has 1 bytes" },
		{ "UPDATE meta SET value = 72057594054705152 WHERE key = 'next_session'", "is not below the next one" },
		{ "INSERT INTO session VALUES(0, 6000, 0)", "is not below the next one" },
		{ "INSERT INTO session VALUES(-9223372036854775807 - 1, 6000, 0)", "is not below the next one" },
		{ "INSERT INTO session VALUES(5, 0, 0)", "timeout_ms is no number" },
		{ "INSERT INTO session VALUES(5, 4294967297, 0)", "timeout_ms is no number" },
		{ NODE("'/'", "0, 0, 0", "0, 0, 0", OWNER), "the root belongs to a session" },
		{ NODE("'/a/b'", "1, 1, 1", "0, 0, 0", "0"), "its parent is missing" },
		{ NODE("'/e'", "1, 1, 1", "0, 0, 0", OWNER) ";" NODE("'/e/f'", "1, 1, 1", "0, 0, 0", "0"), "its parent is ephemeral" },
		{ NODE("'/e'", "1, 1, 1", "0, 0, 0", "77"), "a session that is not there" },
		{ "DELETE FROM node WHERE path = '/zookeeper'", "its parent is missing" },
		{ NODE("'/a'", "51, 51, 51", "0, 0, 0", "0"), "a later transaction than the last" },
		{ NODE("'/a'", "1, 1, 51", "0, 0, 0", "0"), "a later transaction than the last" },
		{ NODE("'/a'", "-1, 1, 1", "0, 0, 0", "0"), "before it was made" },
		{ NODE("'/a'", "7, 6, 7", "0, 0, 0", "0"), "before it was made" },
		{ NODE("'/a'", "1, 1, 1", "2147483648, 0, 0", "0"), "version is no number" },
		{ NODE("'/a'", "1, 1, 1", "0, 'x', 0", "0"), "aversion is no number" },
		{ NODE("'/a'", "1, 1, 1", "0, 0, -2147483649", "0"), "creates is no number" },
		{ NODE("'a'", "1, 1, 1", "0, 0, 0", "0"), "this is no path" },
		{ NODE("'/a/'", "1, 1, 1", "0, 0, 0", "0"), "this is no path" },
		{ NODE("CAST(x'2f610062' AS TEXT)", "1, 1, 1", "0, 0, 0", "0"), "this is no path" },
	};
	const char *dir = unit_tmpdir();
	char *path = xasprintf("%s/ottla.coordination.db", dir), *good;
	struct errbuf eb = ERRBUF_INIT;
	size_t len;

	CHECK_EQ(open_real(dir, &eb), OK);
	sql(path, begin);
	CHECK_EQ(open_real(dir, &eb), OK);
	good = contents(path, &len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FILE *f = fopen(path, "w");

		must(f != NULL && fwrite(good, 1, len, f) == len && fclose(f) == 0);
		sql(path, cases[i].change);
		refused(dir, path, ERR_CORRUPT, cases[i].words);
		refused(dir, path, ERR_CORRUPT, "put back a copy, or move it");
	}
	free(good);
	free(path);
}

TEST(a_damaged_file_is_refused)
{
	const char *dir = unit_tmpdir();
	char *path = xasprintf("%s/ottla.coordination.db", dir);
	struct errbuf eb = ERRBUF_INIT;
	unsigned found = 0;
	size_t len;
	char *good;

	CHECK_EQ(open_real(dir, &eb), OK);
	good = contents(path, &len);
	for (size_t i = 100; i < len; i += 61) {	/* behind the header of the file; a free byte may change and nobody need care */
		FILE *f = fopen(path, "r+");
		enum err e;

		must(f != NULL && fseek(f, (long)i, SEEK_SET) == 0 && fputc(good[i] ^ 0x55, f) != EOF && fclose(f) == 0);
		e = open_real(dir, &eb);
		CHECK(e == OK || e == ERR_CORRUPT || e == ERR_UNSUPPORTED || e == ERR_IO);
		found += e != OK;
		f = fopen(path, "w");
		must(f != NULL && fwrite(good, 1, len, f) == len && fclose(f) == 0);
	}
	CHECK(found > 0);
	free(good);
	free(path);
}

TEST(two_processes_cannot_have_it)
{
	/* Locks of one process do not meet themselves; the functional tests start a second daemon.  Here: the lock is asked for at all. */
	struct errbuf eb = ERRBUF_INIT;
	struct clock_manual clock;
	struct fs *fs, *faulty;
	struct bed b;

	clock_manual_init(&clock, 0);
	fs = fs_power_new(&clock.clock);
	must(fs_mkdir_p(fs, "/d", &eb) == OK);
	faulty = fs_fault_new(fs);
	fs_fault_arm(faulty, FS_FAULT_LOCK, 1, ERR_LOCKED);
	bed_init_on(&b, faulty);
	CHECK(b.server == NULL);
	CHECK_EQ(b.open_error, ERR_LOCKED);
	fs_fault_free(&faulty);
	b.fs = fs;
	bed_fini(&b);
}

UNIT_MAIN("zkserver/store", T(what_was_answered_survives_a_loss_of_power_at_every_call), T(the_first_start_may_lose_its_power_too),
    T(a_disk_that_fails_ends_the_server_and_loses_nothing), T(a_full_disk_ends_the_server_and_loses_nothing), T(a_file_of_others_is_refused),
    T(rows_that_contradict_each_other_are_refused), T(a_damaged_file_is_refused), T(two_processes_cannot_have_it))
