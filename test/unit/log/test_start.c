/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_start.c - starts and ends with several threads, and several directories side by side: the same comes out as with one.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "base/str.h"
#include "log/checkpoint.h"
#include "log/log_int.h"
#include "log/names_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

/* ---- what befalls a log that was not closed ---- */

enum harm {
	NONE, NEVER_FLUSHED, ROTTEN_FLUSHED, ROTTEN_FLUSHED_NO_INDEX, ROTTEN, TORN_TAIL, INDEX_GONE, INDEX_OF_ZEROS, INDEX_OF_JUNK, TIME_INDEX_GONE,
	TXN_INDEX_OF_JUNK, STRAY_FILES, SWAP_COMMITTED, SNAPSHOT_OF_JUNK, EPOCHS_OF_JUNK, HARM_COUNT_
};

enum { LOGS = 2 * HARM_COUNT_ + INDEX_GONE + 1, THREADS = 4, FLUSHED = 40, BATCHES = 70, SEGMENTS_MAX = 32 };

static enum harm harm_of(int i) { return ((enum harm)(i % HARM_COUNT_)); }

struct made {			/* of a log before it is harmed */
	int64_t	 bases[SEGMENTS_MAX];
	uint32_t n;
};

struct state {			/* of a log, as users see it */
	int64_t	 start, end, records, behind;	/* records: -1 when one is damaged; behind: those from the last segment but one on */
	uint32_t segments;
};

struct many {
	struct fixture f;
	struct made    made[LOGS];
	struct state   states[LOGS];
	char	       first[512];	/* where they were made */
};

static void
must_run(const char *format, const char *a, const char *b)
{
	char cmd[2048];

	/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
	must(snprintf(cmd, sizeof(cmd), format, a, b) < (int)sizeof(cmd));
	CHECK_EQ(system(cmd), 0);
}

/* ---- logs without a clean end ---- */

static void
fill(struct many *m, struct log *log, int i, int from, int to)
{
	for (int k = from; k < to; k++) {
		const struct batch_spec spec = { .value_len = 300, .producer_id = i % 2 == 0 ? 0 : 100 + i, .sequence = k };

		CHECK_EQ(fixture_append(&m->f, log, &spec).error, KERR_NONE);
	}
}

static void
note_segments(struct log *log, struct made *made)
{
	struct segment_list *l = log_hold_segments(log);

	must(l->n >= 6 && l->n <= SEGMENTS_MAX);
	made->n = l->n;
	for (uint32_t i = 0; i < l->n; i++)
		made->bases[i] = l->segments[i]->base;
	segment_list_free(l);
}

static void
make_logs(struct many *m)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *logs[LOGS];

	must(fixture_open(&m->f, &eb) == OK);
	for (int i = 0; i < LOGS; i++) {
		logs[i] = NULL;
		must(log_dirs_create(m->f.dirs, "t", i, UUID_ZERO, &m->f.options, &logs[i], &eb) == OK);
		fixture_lead(logs[i], 5);
		fixture_establish(logs[i]);
		fill(m, logs[i], i, 0, harm_of(i) == NEVER_FLUSHED ? 0 : FLUSHED);
	}
	log_dirs_checkpoint_recovery_points(m->f.dirs);
	for (int i = 0; i < LOGS; i++) {
		fill(m, logs[i], i, harm_of(i) == NEVER_FLUSHED ? 0 : FLUSHED, BATCHES);
		note_segments(logs[i], &m->made[i]);
		log_unref(&logs[i]);
	}
	fixture_crash(&m->f);
}

static char *
file_of(struct many *m, int i, int64_t base, const char *suffix)
{
	return (fixture_file(&m->f, "t-%d/%020lld%s", i, (long long)base, suffix));
}

/* In a record of the sixth batch. */
static void
rot(struct many *m, int i, uint32_t segment)
{
	const struct made *made = &m->made[i];
	const char *path = file_of(m, i, made->bases[segment], SUFFIX_DATA);
	int64_t batch = fixture_size(&m->f, path) / (made->bases[segment + 1] - made->bases[segment]);
	struct file *f = NULL;
	uint8_t byte;

	must(file_open(m->f.fs, path, FS_RDWR, &f, NULL) == OK);
	must(file_pread_full(f, &byte, 1, (uint64_t)batch * 5 + 100, NULL) == OK);
	byte ^= 1;
	must(file_pwrite(f, &byte, 1, (uint64_t)batch * 5 + 100, NULL) == OK);
	file_unref(&f);
}

static void
cut_off(struct many *m, const char *path, int64_t bytes)
{
	struct file *f = NULL;

	must(file_open(m->f.fs, path, FS_RDWR, &f, NULL) == OK);
	must(m->f.fs->ops->truncate(f, (uint64_t)(fixture_size(&m->f, path) - bytes), NULL) == OK);
	file_unref(&f);
}

static void
put_text(struct many *m, const char *path, const char *text, size_t len)
{
	must(fs_write_file_atomic(m->f.fs, path, slice_of(text, len), NULL) == OK);
}

static void
put_junk(struct many *m, const char *path)
{
	put_text(m, path, "junk\n", 5);
}

static void
take_away(struct many *m, const char *path)
{
	must(m->f.fs->ops->unlink(m->f.fs, path, NULL) == OK);
}

static void
harm_log(struct many *m, int i)
{
	static const char zeros[80] = { 0 };
	const int64_t *bases = m->made[i].bases, last = bases[m->made[i].n - 1];

	switch (harm_of(i)) {
	case NONE:
	case NEVER_FLUSHED:
		break;
	case ROTTEN_FLUSHED_NO_INDEX:
		take_away(m, file_of(m, i, bases[1], SUFFIX_INDEX));
		rot(m, i, 1);
		break;
	case ROTTEN_FLUSHED:
		rot(m, i, 1);
		break;
	case ROTTEN:
		rot(m, i, m->made[i].n - 2);
		break;
	case TORN_TAIL:
		cut_off(m, file_of(m, i, last, SUFFIX_DATA), 7);
		break;
	case INDEX_GONE:
		take_away(m, file_of(m, i, bases[0], SUFFIX_INDEX));
		take_away(m, file_of(m, i, bases[2], SUFFIX_INDEX));
		break;
	case INDEX_OF_ZEROS:
		put_text(m, file_of(m, i, bases[1], SUFFIX_INDEX), zeros, sizeof(zeros));
		break;
	case INDEX_OF_JUNK:
		put_junk(m, file_of(m, i, bases[1], SUFFIX_INDEX));
		put_junk(m, file_of(m, i, last, SUFFIX_INDEX));
		break;
	case TIME_INDEX_GONE:
		take_away(m, file_of(m, i, bases[1], SUFFIX_TIME));
		take_away(m, file_of(m, i, last, SUFFIX_TIME));
		break;
	case TXN_INDEX_OF_JUNK:
		put_junk(m, file_of(m, i, bases[1], SUFFIX_TXN));
		break;
	case STRAY_FILES:
		put_junk(m, file_of(m, i, 7777, SUFFIX_INDEX));
		put_junk(m, file_of(m, i, bases[1], SUFFIX_DATA SUFFIX_DELETED));
		put_junk(m, file_of(m, i, bases[2], SUFFIX_DATA SUFFIX_CLEANED));
		put_junk(m, file_of(m, i, 8888, SUFFIX_SNAPSHOT));
		put_junk(m, fixture_file(&m->f, "t-%d/leader-epoch-checkpoint.tmp", i));
		break;
	case SWAP_COMMITTED:
		must_run("cp %s %s", file_of(m, i, bases[0], SUFFIX_DATA), file_of(m, i, bases[0], SUFFIX_DATA SUFFIX_SWAP));
		break;
	case SNAPSHOT_OF_JUNK:
		put_junk(m, file_of(m, i, last, SUFFIX_SNAPSHOT));
		break;
	case EPOCHS_OF_JUNK:
		put_junk(m, fixture_file(&m->f, "t-%d/leader-epoch-checkpoint", i));
		break;
	case HARM_COUNT_:
		break;
	}
}

static void
many_init(struct many *m)
{
	memset(m, 0, sizeof(*m));
	fixture_init(&m->f, 1);
	m->f.options.segment_bytes = 4096;
	make_logs(m);
	for (int i = 0; i < LOGS; i++)
		harm_log(m, i);
	/* Two of one partition (the last, which has lost an index), as somebody may have put them: they share a row of the checkpoints. */
	must_run("cp -a %s %s", fixture_file(&m->f, "t-%d", LOGS - 1),
	    fixture_file(&m->f, "t-%d.0123456789abcdef0123456789abcdef-future", LOGS - 1));
	(void)str_copy(m->first, sizeof(m->first), m->f.path[0]);
}

/* ---- lives of copies of them ---- */

static void
copy(struct many *m, const char *name)
{
	must(snprintf(m->f.path[0], sizeof(m->f.path[0]), "%s.%s", m->first, name) < (int)sizeof(m->f.path[0]));
	must_run("cp -a %s %s", m->first, m->f.path[0]);
}

static void
start(struct many *m, unsigned threads)
{
	struct errbuf eb = ERRBUF_INIT;

	m->f.lines[0] = '\0';
	m->f.recovery_threads = threads;
	if (threads > 1 && m->f.workers == NULL)
		must(workers_new(2, "common", &m->f.workers, NULL) == OK);
	CHECK_EQ(fixture_open(&m->f, &eb), OK);
	CHECK_STR(eb.text, "");
	if (m->f.workers != NULL)
		workers_drain(m->f.workers);		/* what was recovered is flushed */
}

static void
look(struct many *m, int i)
{
	struct log *log = log_dirs_find(m->f.dirs, "t", i);
	struct state *s = &m->states[i];

	must(log != NULL);
	log_check(log);
	s->start = log_start_offset(log);
	s->end = log_end_offset(log);
	s->segments = (uint32_t)log_segment_count(log);
	s->records = fixture_read_all(log, s->start);
	s->behind = fixture_read_all(log, m->made[i].bases[m->made[i].n - 1]);
	log_unref(&log);
}

static void
look_at_all(struct many *m)
{
	CHECK_EQ(log_dirs_count(m->f.dirs), LOGS);
	CHECK_EQ(m->f.offline, 0);
	for (int i = 0; i < LOGS; i++)
		look(m, i);
}

static void
check_state(const struct many *m, int i)
{
	const struct made *made = &m->made[i];
	const struct state *s = &m->states[i];
	int64_t last = made->bases[made->n - 1];
	bool cut = harm_of(i) == ROTTEN;

	CHECK_EQ(s->start, 0);
	CHECK_EQ(s->segments, cut ? made->n - 1 : made->n);
	switch (harm_of(i)) {
	case ROTTEN:
		CHECK_EQ(s->end, made->bases[made->n - 2] + 5);
		CHECK_EQ(s->records, s->end);
		break;
	case ROTTEN_FLUSHED:
		CHECK_EQ(s->end, BATCHES);
		CHECK_EQ(s->records, -1);		/* readers meet it */
		break;
	case ROTTEN_FLUSHED_NO_INDEX:
		CHECK_EQ(s->end, BATCHES);
		CHECK_EQ(s->records, BATCHES - (made->bases[2] - made->bases[1] - 5));
		break;
	default:
		CHECK_EQ(s->end, harm_of(i) == TORN_TAIL ? BATCHES - 1 : BATCHES);
		CHECK_EQ(s->records, s->end);
		break;
	}
	if (!cut)
		CHECK_EQ(s->behind, s->end - last);
}

static void
check_same_rows(struct many *m, const char *a, const char *b, const char *name)
{
	struct checkpoint cp[2] = { CHECKPOINT_INIT, CHECKPOINT_INIT };
	const char *const dirs[] = { a, b };

	for (int i = 0; i < 2; i++) {
		char *path = path_join(dirs[i], name);

		CHECK_EQ(checkpoint_read(m->f.fs, path, &cp[i], NULL), OK);
		free(path);
	}
	CHECK_EQ(cp[0].n, cp[1].n);
	for (uint32_t i = 0; i < cp[0].n && i < cp[1].n; i++) {		/* read, they are in order */
		CHECK_EQ(cp[0].entries[i].partition, cp[1].entries[i].partition);
		CHECK_EQ(cp[0].entries[i].offset, cp[1].entries[i].offset);
	}
	checkpoint_fini(&cp[0]);
	checkpoint_fini(&cp[1]);
}

static void
check_rows(struct many *m)
{
	struct checkpoint cp = CHECKPOINT_INIT;

	CHECK_EQ(checkpoint_read(m->f.fs, fixture_file(&m->f, "recovery-point-offset-checkpoint"), &cp, NULL), OK);
	CHECK_GE(cp.n, LOGS);		/* and of the other one of a partition */
	checkpoint_fini(&cp);
}

static void
check_same_files(struct many *m, const char *a, const char *b)
{
	must_run("diff -r -x '*-offset-checkpoint' %s %s", a, b);
	check_same_rows(m, a, b, "recovery-point-offset-checkpoint");
}

/* A record in each, as leader again. */
static void
go_on(struct many *m)
{
	for (int i = 0; i < LOGS; i++) {
		struct log *log = log_dirs_find(m->f.dirs, "t", i);

		fixture_lead(log, 6);
		CHECK_EQ(fixture_put(&m->f, log), m->states[i].end);
		log_unref(&log);
	}
}

/* A segment that is recovered has its data cut to what is whole. */
static void
check_nothing_is_recovered(struct many *m)
{
	struct fs *fs = fs_fault_new(fixture_fs());

	m->f.fs = fs;
	fs_fault_only(fs, SUFFIX_DATA);
	fs_fault_arm(fs, FS_FAULT_TRUNCATE, 0, OK);
	start(m, THREADS);
	CHECK(log_dirs_was_clean(m->f.dirs));
	CHECK_EQ(fs_fault_count(fs), 0);
	CHECK(strstr(m->f.lines, "closed cleanly") != NULL);
	CHECK(strstr(m->f.lines, "recover") == NULL && strstr(m->f.lines, "new indexes") == NULL && strstr(m->f.lines, "removed") == NULL);
	for (int i = 0; i < LOGS; i++) {
		const struct state before = m->states[i];

		look(m, i);
		CHECK_EQ(m->states[i].end, before.end + 1);
		CHECK_EQ(m->states[i].records, before.records < 0 ? -1 : before.records + 1);
	}
	fixture_crash(&m->f);
	m->f.fs = fixture_fs();
	fs_fault_free(&fs);
}

TEST(what_several_threads_recover_and_close_is_what_one_does)
{
	struct state alone[LOGS];
	char one[512];
	struct many m;

	many_init(&m);
	copy(&m, "one");
	(void)str_copy(one, sizeof(one), m.f.path[0]);
	start(&m, 1);
	look_at_all(&m);
	for (int i = 0; i < LOGS; i++)
		check_state(&m, i);
	memcpy(alone, m.states, sizeof(alone));
	fixture_crash(&m.f);
	copy(&m, "several");
	start(&m, THREADS);
	look_at_all(&m);
	CHECK(memcmp(alone, m.states, sizeof(alone)) == 0);
	check_same_files(&m, one, m.f.path[0]);
	go_on(&m);
	fixture_close(&m.f);
	check_nothing_is_recovered(&m);
	fixture_fini(&m.f);
}

/* What was recovered is still being flushed, or nobody has begun; then the recovery points are written, but not of logs that are gone already. */
static void
end_at_once(bool clean, unsigned workers)
{
	struct many m;

	many_init(&m);
	must(workers_new(workers, "common", &m.f.workers, NULL) == OK);
	copy(&m, "short");
	m.f.recovery_threads = THREADS;
	CHECK_EQ(fixture_open(&m.f, NULL), OK);
	if (clean)
		fixture_close(&m.f);
	else
		fixture_crash(&m.f);
	check_rows(&m);
	start(&m, THREADS);
	CHECK_EQ(log_dirs_was_clean(m.f.dirs), clean);
	look_at_all(&m);
	for (int i = 0; i < LOGS; i++)
		check_state(&m, i);
	fixture_fini(&m.f);
}

TEST(an_end_right_behind_a_start_leaves_the_recovery_points)
{
	for (unsigned workers = 0; workers <= 2; workers += 2) {
		end_at_once(true, workers);
		end_at_once(false, workers);
	}
}

/* ---- a disk that hangs, or fails while several threads use it ---- */

enum { OPENS = 1, LISTS = 2, SYNCS = 4 };

/* Whoever comes waits until `crowd` have come, or it is opened, and is told e. */
static struct gate {
	struct lock	 lock;
	struct condition changed;
	const struct fs_ops *under;
	unsigned	 ops;
	const char	*part;		/* of the path */
	unsigned	 crowd, came;
	bool		 opened;
	enum err	 e;
} gate;

static enum err
gate_pass(unsigned op, const char *path, struct errbuf *eb)
{
	enum err e;

	if ((gate.ops & op) == 0 || strstr(path, gate.part) == NULL)
		return (OK);
	lock_acquire(&gate.lock);
	gate.came++;
	condition_broadcast(&gate.changed);
	while (gate.came < gate.crowd && !gate.opened)
		condition_wait(&gate.changed, &gate.lock);
	e = gate.e;
	lock_release(&gate.lock);
	if (e != OK)
		errbuf_set(eb, "%s: the disk has died", path);
	return (e);
}

static void
gate_open(enum err e)
{
	lock_acquire(&gate.lock);
	gate.opened = true;
	gate.e = e;
	condition_broadcast(&gate.changed);
	lock_release(&gate.lock);
}

static enum err
gated_open(struct fs *fs, const char *path, unsigned flags, struct file **out, struct errbuf *eb)
{
	enum err e = gate_pass(OPENS, path, eb);

	return (e == OK ? gate.under->open(fs, path, flags, out, eb) : e);
}

static enum err
gated_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb)
{
	enum err e = gate_pass(LISTS, path, eb);

	return (e == OK ? gate.under->list(fs, path, fn, ctx, eb) : e);
}

static enum err
gated_sync(struct file *file, struct errbuf *eb)
{
	enum err e = gate_pass(SYNCS, file->path, eb);

	return (e == OK ? gate.under->sync(file, eb) : e);
}

static void
gate_init(struct fs_ops *ops, unsigned gated, const char *part, unsigned crowd, enum err e)
{
	gate = (struct gate){ .under = fixture_fs()->ops, .ops = gated, .part = part, .crowd = crowd, .e = e };
	lock_init(&gate.lock, LOCK_fs_fake);
	condition_init(&gate.changed);
	*ops = *gate.under;
	ops->open = gated_open;
	ops->list = gated_list;
	ops->sync = gated_sync;
}

static void
gate_fini(void)
{
	condition_fini(&gate.changed);
	lock_fini(&gate.lock);
}

/* Each log reads its epochs once, first of all. */
TEST(a_log_that_cannot_be_read_takes_the_directory_offline_and_no_other_log_is_begun)
{
	struct fs_ops ops;
	struct fs fs = { .ops = &ops };
	struct errbuf eb = ERRBUF_INIT;
	struct many m;

	many_init(&m);
	gate_init(&ops, OPENS, "/leader-epoch-checkpoint", THREADS, ERR_IO);
	copy(&m, "dead");
	m.f.fs = &fs;
	m.f.recovery_threads = THREADS;
	CHECK_EQ(fixture_open(&m.f, &eb), OK);
	CHECK_EQ(m.f.offline, 1);
	CHECK_EQ(m.f.all_offline, 1);
	CHECK_EQ(log_dirs_count(m.f.dirs), 0);
	CHECK(strstr(m.f.lines, "the disk has died") != NULL);
	CHECK_EQ(gate.came, THREADS);
	fixture_fini(&m.f);
	gate_fini();
}

/* The nth call fails, whichever it is; then the broker dies. */
static bool
fail_at(struct many *m, unsigned n)
{
	struct fs *fs = fs_fault_new(fixture_fs());
	struct errbuf eb = ERRBUF_INIT;
	bool fired;

	copy(m, "dead");
	m->f.fs = fs;
	m->f.recovery_threads = THREADS;
	m->f.offline = 0;
	fs_fault_arm(fs, FS_FAULT_ANY, n, ERR_IO);
	(void)!fixture_open(&m->f, &eb);
	CHECK_GE(1, m->f.offline);
	if (m->f.workers != NULL)
		workers_drain(m->f.workers);
	fixture_crash(&m->f);
	fired = fs_fault_fired(fs);
	CHECK_EQ(fs_fault_open_files(fs), 0);
	m->f.fs = fixture_fs();
	fs_fault_free(&fs);
	return (fired);
}

TEST(whatever_call_fails_while_several_threads_load_the_next_start_has_all)
{
	struct state alone[LOGS];
	struct many m;
	bool fired = true;

	many_init(&m);
	copy(&m, "one");
	start(&m, 1);
	look_at_all(&m);
	memcpy(alone, m.states, sizeof(alone));
	fixture_crash(&m.f);
	for (unsigned n = 1; fired; n += 1 + n / 4) {
		fired = fail_at(&m, n);
		m.f.offline = 0;
		start(&m, THREADS);
		look_at_all(&m);
		for (int i = 0; i < LOGS; i++)
			unit_check(memcmp(&alone[i], &m.states[i], sizeof(alone[i])) == 0, __FILE__, __LINE__,
			    "call %u, log %d, harm %d: ends at %lld of %lld, %lld records of %lld", n, i, harm_of(i), (long long)m.states[i].end,
			    (long long)alone[i].end, (long long)m.states[i].records, (long long)alone[i].records);
		fixture_crash(&m.f);
		CHECK_EQ(fs_remove_tree(m.f.fs, m.f.path[0], NULL), OK);
	}
	fixture_fini(&m.f);
}

/* ---- two directories ---- */

enum { PAIR_LOGS = 12 };

struct pair {
	struct fixture f;
	struct fs_ops  ops;
	struct fs      fs;
	pthread_t      thread;
	struct errbuf  eb;
	enum err       e;
	_Atomic bool   over;
	_Atomic unsigned loaded;	/* lines of logs in the second directory */
};

static void
count_loaded(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct pair *p = ctx;

	(void)level;
	(void)area;
	p->loaded += strncmp(text, p->f.path[1], strlen(p->f.path[1])) == 0 && strstr(text, ": loaded, offsets") != NULL;
}

/* Half of the logs in each, and no clean end. */
static void
pair_init(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	fixture_init(&p->f, 2);
	diag_free(&p->f.diag);
	p->f.diag = diag_capture(count_loaded, p);
	p->f.recovery_threads = 2;
	must(fixture_open(&p->f, &p->eb) == OK);
	for (int i = 0; i < PAIR_LOGS; i++) {
		struct log *log = NULL;

		must(log_dirs_create(p->f.dirs, "t", i, UUID_ZERO, &p->f.options, &log, NULL) == OK);
		CHECK_STR(log_dir(log), p->f.path[i % 2]);
		fixture_lead(log, 5);
		CHECK_EQ(fixture_put(&p->f, log), 0);
		log_unref(&log);
	}
	fixture_crash(&p->f);
	must(workers_new(2, "common", &p->f.workers, NULL) == OK);
	p->fs.ops = &p->ops;
}

static void
pair_fini(struct pair *p)
{
	fixture_fini(&p->f);
	gate_fini();
}

static void *
open_run(void *arg)
{
	struct pair *p = arg;

	reclaim_thread_register();
	p->e = fixture_open(&p->f, &p->eb);
	p->over = true;
	reclaim_thread_unregister();
	return (NULL);
}

static void *
shutdown_run(void *arg)
{
	struct pair *p = arg;

	reclaim_thread_register();
	log_dirs_shutdown(p->f.dirs);
	p->over = true;
	reclaim_thread_unregister();
	return (NULL);
}

static void
yield_since(time_t began)
{
	must(time(NULL) - began < 60);
	sched_yield();
}

static void
check_pair(struct pair *p, bool dead)
{
	CHECK_EQ(p->e, OK);
	CHECK_EQ(p->f.offline, dead);
	CHECK_EQ(p->f.all_offline, 0);
	CHECK_EQ(log_dirs_count(p->f.dirs), dead ? PAIR_LOGS / 2 : PAIR_LOGS);
	for (int i = dead ? 1 : 0; i < PAIR_LOGS; i += dead ? 2 : 1) {
		struct log *log = log_dirs_find(p->f.dirs, "t", i);

		CHECK(log != NULL && fixture_read_all(log, 0) == 1);
		log_unref(&log);
	}
}

/* The first directory hangs there until the second one has been loaded, and is told e then. */
static void
load_beside(unsigned gated, const char *below, enum err e)
{
	char part[600];
	struct pair p;
	time_t began = time(NULL);

	pair_init(&p);
	snprintf(part, sizeof(part), "%s%s", p.f.path[0], below);
	gate_init(&p.ops, gated, part, UINT_MAX, OK);
	p.f.fs = &p.fs;
	REQUIRE(pthread_create(&p.thread, NULL, open_run, &p) == 0);
	while (p.loaded < PAIR_LOGS / 2)
		yield_since(began);
	CHECK(!p.over);
	gate_open(e);
	pthread_join(p.thread, NULL);
	workers_drain(p.f.workers);
	check_pair(&p, e != OK);
	pair_fini(&p);
}

TEST(a_directory_that_hangs_or_fails_at_a_start_holds_up_no_other)
{
	load_beside(LISTS, "", OK);
	load_beside(LISTS, "", ERR_IO);
	load_beside(OPENS, "/t-", OK);
	load_beside(OPENS, "/t-", ERR_IO);
}

static bool
has_marker(struct pair *p, int dir)
{
	char *path = path_join(p->f.path[dir], ".kafka_cleanshutdown");
	bool has = fs_exists(fixture_fs(), path);

	free(path);
	return (has);
}

static void
close_beside(enum err e)
{
	char part[600];
	struct pair p;
	time_t began = time(NULL);

	pair_init(&p);
	snprintf(part, sizeof(part), "%s/t-", p.f.path[0]);
	gate_init(&p.ops, SYNCS, part, 0, OK);		/* open for now */
	p.f.fs = &p.fs;
	REQUIRE(fixture_open(&p.f, &p.eb) == OK);
	workers_drain(p.f.workers);
	gate.crowd = UINT_MAX;
	REQUIRE(pthread_create(&p.thread, NULL, shutdown_run, &p) == 0);
	while (!has_marker(&p, 1))
		yield_since(began);
	CHECK(!p.over && !has_marker(&p, 0));
	gate_open(e);
	pthread_join(p.thread, NULL);
	CHECK_EQ(has_marker(&p, 0), e == OK);
	log_dirs_free(&p.f.dirs);
	p.f.fs = fixture_fs();
	p.f.offline = 0;
	p.e = fixture_open(&p.f, &p.eb);
	CHECK_EQ(log_dirs_was_clean(p.f.dirs), e == OK);
	check_pair(&p, false);
	pair_fini(&p);
}

TEST(a_directory_that_hangs_or_fails_at_the_end_keeps_no_other_from_a_clean_one)
{
	close_beside(OK);
	close_beside(ERR_IO);
}

/* Nothing is begun before it is known, in that directory; and none of the others is served. */
TEST(a_start_that_is_refused_for_what_stands_in_a_directory_leaves_that_as_it_was)
{
	for (int dir = 0; dir < 2; dir++) {
		struct errbuf eb = ERRBUF_INIT;
		struct pair p;
		char *path;

		pair_init(&p);
		gate_init(&p.ops, 0, "", 0, OK);
		REQUIRE(fixture_open(&p.f, &eb) == OK);
		fixture_close(&p.f);
		path = path_join(p.f.path[dir], "holiday pictures");
		CHECK_EQ(p.f.fs->ops->mkdir(p.f.fs, path, NULL), OK);
		CHECK_EQ(fixture_open(&p.f, &eb), ERR_INVALID);
		CHECK(strstr(eb.text, "holiday pictures") != NULL);
		CHECK_EQ(log_dirs_count(p.f.dirs), 0);
		log_dirs_free(&p.f.dirs);
		CHECK(has_marker(&p, dir));
		CHECK_EQ(p.f.fs->ops->rmdir(p.f.fs, path, NULL), OK);
		p.e = fixture_open(&p.f, &eb);
		check_pair(&p, false);
		free(path);
		pair_fini(&p);
	}
}

UNIT_MAIN("log/start", T(what_several_threads_recover_and_close_is_what_one_does),
    T(an_end_right_behind_a_start_leaves_the_recovery_points),
    T(a_log_that_cannot_be_read_takes_the_directory_offline_and_no_other_log_is_begun),
    T(whatever_call_fails_while_several_threads_load_the_next_start_has_all),
    T(a_directory_that_hangs_or_fails_at_a_start_holds_up_no_other), T(a_directory_that_hangs_or_fails_at_the_end_keeps_no_other_from_a_clean_one),
    T(a_start_that_is_refused_for_what_stands_in_a_directory_leaves_that_as_it_was))
