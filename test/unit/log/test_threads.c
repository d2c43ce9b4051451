/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_threads.c - many threads on one log: appends from several, readers without locks, rolls, flushes, retention, a role change and
 * truncations at the same time.  Meant for ThreadSanitizer, true everywhere.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "base/reclaim.h"
#include "log/log_int.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

enum { APPENDERS = 3, SETS = 400 };

struct shared {
	struct fixture	 f;
	struct log	*log;
	_Atomic int	 answers, written, refused, stop;
	_Atomic int64_t	 bad_reads, reads;
	_Atomic unsigned cuts;		/* odd: one is under way */
};

struct one {
	struct append_set set;
	struct shared	 *sh;
	_Atomic int	  done;
	uint8_t		  bytes[256];
};

static void
count(struct one *o)
{
	if (o->set.result.error == KERR_NONE)
		o->sh->written++;
	else
		o->sh->refused++;
	o->sh->answers++;
}

static void
on_done(struct append_set *s)
{
	struct one *o = CONTAINER_OF(s, struct one, set);

	count(o);
	o->done = 1;
}

static void *
appender(void *arg)
{
	struct shared *sh = arg;
	struct one *ones = calloc(SETS, sizeof(*ones));
	uint8_t *bytes;
	size_t len;

	reclaim_thread_register();
	{
		struct batch_builder_options bo = BATCH_BUILDER_OPTIONS;
		struct batch_builder *b = batch_builder_new(NULL, &bo, NULL);

		if (batch_builder_append(b, FIXTURE_NOW, SLICE_LIT("k"), SLICE_LIT("some words to be kept, more than a few of them"), NULL, 0) != OK ||
		    batch_builder_finish(b, &bytes, &len, NULL) != OK)
			abort();
		batch_builder_free(b);
	}
	for (int i = 0; i < SETS; i++) {
		struct one *o = &ones[i];

		memcpy(o->bytes, bytes, len);
		o->sh = sh;
		o->set = (struct append_set){ .records = o->bytes, .len = (uint32_t)len, .origin = APPEND_COORDINATOR, .leader_epoch = 5, .done = on_done };
		if (log_append(sh->log, &o->set) == LOG_DONE)
			on_done(&o->set);
		reclaim_quiescent();
	}
	reclaim_offline();
	for (int i = 0; i < SETS; i++)
		while (!ones[i].done)
			sched_yield();
	free(bytes);
	free(ones);
	reclaim_thread_unregister();
	return (NULL);
}

static void
read_once(struct shared *sh, struct arena *a, int64_t *offset, enum log_bound bound)
{
	struct log_read_options o = { .offset = *offset, .bytes_max = 20000, .min_one = true, .bound = bound };
	struct log_read_result r;
	uint8_t buf[20000];
	unsigned cuts = sh->cuts, bad = 0;
	enum kerr k = log_read(sh->log, &o, a, &r);
	struct batch_iter it;
	struct batch_header h;
	struct slice whole;

	if (k == KERR_OFFSET_OUT_OF_RANGE) {
		*offset = log_start_offset(sh->log);
		return;
	}
	sh->bad_reads += k != KERR_NONE;
	if (k == KERR_NONE && r.range.file != NULL && r.range.len <= sizeof(buf)) {
		if (file_pread_full(r.range.file, buf, r.range.len, r.range.pos, NULL) != OK)
			bad++;
		it = batch_iter_of(slice_of(buf, r.range.len));
		while (batch_iter_next(&it, &h, &whole) == OK) {
			bad += !batch_crc_ok(whole) || h.last_offset < *offset;
			*offset = h.last_offset + 1;
			sh->reads++;
		}
	}
	if (cuts % 2 == 0 && cuts == sh->cuts)	/* else what was found may have been cut off, or written over, before it was read */
		sh->bad_reads += bad;
	log_read_result_fini(&r);
}

static void *
reader(void *arg)
{
	struct shared *sh = arg;
	struct log_time_offset t;
	struct arena a;
	int64_t offset = 0;

	arena_init(&a, 65536);
	reclaim_thread_register();
	for (int i = 0; !sh->stop; i++) {
		read_once(sh, &a, &offset, i % 2 ? LOG_BOUND_END : LOG_BOUND_LAST_STABLE);
		if (i % 50 == 0 && log_offset_for_time(sh->log, FIXTURE_NOW, &t) != KERR_NONE)
			sh->bad_reads++;
		arena_reset(&a);
		reclaim_quiescent();
	}
	reclaim_thread_unregister();
	arena_fini(&a);
	return (NULL);
}

static void
housekeep(struct shared *sh, bool cut)
{
	struct errbuf eb = ERRBUF_INIT;
	uint32_t deleted;
	int64_t start;

	for (int i = 0; sh->answers < APPENDERS * SETS; i++) {
		log_raise_high_watermark(sh->log, log_end_offset(sh->log));
		CHECK_EQ(log_flush(sh->log, &eb), OK);
		if (i % 3 == 0)
			CHECK_EQ(log_roll(sh->log, &eb), OK);
		if (cut && i % 4 == 1) {
			sh->cuts++;
			CHECK_EQ(log_truncate_to(sh->log, MAX(log_start_offset(sh->log), log_end_offset(sh->log) - 5), &eb), OK);
			sh->cuts++;
		}
		if (!cut && i % 2 == 0)
			(void)log_delete_records(sh->log, log_end_offset(sh->log) / 3, &start);
		CHECK_EQ(log_retain(sh->log, &deleted, &eb), OK);
		log_dirs_checkpoint_recovery_points(sh->f.dirs);
		log_dirs_checkpoint_start_offsets(sh->f.dirs);
		CHECK_EQ(log_delete_due_files(sh->log, &eb), OK);
		reclaim_quiescent();
	}
}

static void
run(bool cut)
{
	struct shared *sh = calloc(1, sizeof(*sh));
	pthread_t threads[APPENDERS + 2];
	struct errbuf eb = ERRBUF_INIT;

	fixture_init(&sh->f, 1);
	sh->f.options.segment_bytes = 8192;
	CHECK_EQ(workers_new(2, "test", &sh->f.workers, &eb), OK);
	CHECK_EQ(fixture_open(&sh->f, &eb), OK);
	sh->log = fixture_log(&sh->f);
	for (int i = 0; i < APPENDERS + 2; i++)
		must_zero(pthread_create(&threads[i], NULL, i < APPENDERS ? appender : reader, sh));
	housekeep(sh, cut);
	for (int i = 0; i < APPENDERS; i++)
		pthread_join(threads[i], NULL);
	for (int ms = 0; ms < 10000 && sh->reads == 0; ms++)	/* a busy machine may not have let them begin */
		usleep(1000);
	sh->stop = 1;
	for (int i = APPENDERS; i < APPENDERS + 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(sh->answers, APPENDERS * SETS);
	CHECK_EQ(sh->refused, 0);
	CHECK_EQ(sh->bad_reads, 0);
	CHECK_GE(sh->reads, 1);
	if (!cut)
		CHECK_EQ(log_end_offset(sh->log), sh->written);
	log_check(sh->log);
	CHECK_EQ(fixture_read_all(sh->log, log_start_offset(sh->log)), log_end_offset(sh->log) - log_start_offset(sh->log));
	log_unref(&sh->log);
	fixture_close(&sh->f);
	CHECK_EQ(fixture_open(&sh->f, &eb), OK);
	fixture_fini(&sh->f);
	free(sh);
}

TEST(appends_reads_rolls_and_retention_at_once) { run(false); }
TEST(truncations_among_appends_and_reads) { run(true); }

TEST(a_role_change_answers_every_queued_set_once)
{
	struct shared *sh = calloc(1, sizeof(*sh));
	pthread_t threads[APPENDERS];
	struct errbuf eb = ERRBUF_INIT;

	fixture_init(&sh->f, 1);
	CHECK_EQ(workers_new(1, "test", &sh->f.workers, &eb), OK);
	CHECK_EQ(fixture_open(&sh->f, &eb), OK);
	sh->log = fixture_log(&sh->f);
	for (int i = 0; i < APPENDERS; i++)
		must_zero(pthread_create(&threads[i], NULL, appender, sh));
	while (sh->answers < 50)
		sched_yield();
	fixture_follow(sh->log, 6);
	{
		int64_t end = log_end_offset(sh->log);

		for (int i = 0; i < APPENDERS; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(log_end_offset(sh->log), end);		/* nothing of the old epoch after the change */
		CHECK_EQ(sh->written, end);
	}
	CHECK_EQ(sh->answers, APPENDERS * SETS);
	log_unref(&sh->log);
	fixture_close(&sh->f);
	fixture_fini(&sh->f);
	free(sh);
}

TEST(with_flush_messages_1_an_answer_means_durable)
{
	struct shared *sh = calloc(1, sizeof(*sh));
	struct errbuf eb = ERRBUF_INIT;
	pthread_t thread;

	fixture_init(&sh->f, 1);
	sh->f.options.flush_messages = 1;
	CHECK_EQ(workers_new(1, "test", &sh->f.workers, &eb), OK);
	CHECK_EQ(fixture_open(&sh->f, &eb), OK);
	sh->log = fixture_log(&sh->f);
	must_zero(pthread_create(&thread, NULL, appender, sh));
	pthread_join(thread, NULL);
	CHECK_EQ(sh->written, SETS);
	CHECK_EQ(log_recovery_point(sh->log), SETS);
	log_unref(&sh->log);
	fixture_close(&sh->f);
	fixture_fini(&sh->f);
	free(sh);
}

/* ---- a sync that fails while somebody else waits to sync ---- */

static _Atomic int failing_syncs, syncs_begun;

static enum err
sync_fails_once(struct file *file, struct errbuf *eb)
{
	(void)file;
	if (++syncs_begun > 1 || failing_syncs == 0)
		return (OK);	/* as Linux: the error was reported, the page is clean, the bytes are gone */
	while (failing_syncs == 1)
		usleep(1000);
	usleep(100000);			/* the other one waits for its turn by now */
	errbuf_set(eb, "the disk lost a page");
	return (ERR_IO);
}

static void *
append_durably(void *arg)
{
	struct shared *sh = arg;
	struct append_result r;

	reclaim_thread_register();
	while (syncs_begun == 0)
		usleep(1000);
	failing_syncs = 2;
	r = fixture_append(&sh->f, sh->log, &(struct batch_spec){ .value_len = 100 });
	sh->answers = r.error;
	reclaim_thread_unregister();
	return (NULL);
}

TEST(a_failed_sync_is_not_made_good_by_the_next_one)
{
	struct shared *sh = calloc(1, sizeof(*sh));
	struct errbuf eb = ERRBUF_INIT;
	struct fs_ops ops;
	struct fs fs = { &ops };
	pthread_t thread;

	fixture_init(&sh->f, 1);
	ops = *sh->f.fs->ops;
	ops.sync = sync_fails_once;
	sh->f.fs = &fs;
	sh->f.options.flush_messages = 2;
	failing_syncs = 0;
	REQUIRE(fixture_open(&sh->f, &eb) == OK);
	sh->log = fixture_log(&sh->f);
	CHECK_EQ(fixture_put(&sh->f, sh->log), 0);
	syncs_begun = 0;
	failing_syncs = 1;
	must_zero(pthread_create(&thread, NULL, append_durably, sh));
	CHECK_EQ(log_flush(sh->log, &eb), ERR_IO);
	reclaim_offline();
	must_zero(pthread_join(thread, NULL));
	reclaim_online();
	CHECK_EQ(sh->answers, KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(log_recovery_point(sh->log), 0);
	log_unref(&sh->log);
	fixture_fini(&sh->f);
	free(sh);
}

/* ---- a disk that hangs in a sync ---- */

enum { HANG_LOGS = 10, HANG_WORKERS = 3, HANG_PATIENCE_S = 20 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t	over;
	const struct fs_ops *under;
	const char     *dir;		/* NULL: nothing hangs */
	unsigned	hanging;	/* syncs in it */
} hang = { .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };

static enum err
sync_may_hang(struct file *file, struct errbuf *eb)
{
	pthread_mutex_lock(&hang.lock);
	if (hang.dir != NULL && strstr(file->path, hang.dir) != NULL) {
		hang.hanging++;
		while (hang.dir != NULL)
			pthread_cond_wait(&hang.over, &hang.lock);
		hang.hanging--;
	}
	pthread_mutex_unlock(&hang.lock);
	return (hang.under->sync(file, eb));
}

static void
hang_in(const char *dir)
{
	pthread_mutex_lock(&hang.lock);
	hang.dir = dir;
	pthread_cond_broadcast(&hang.over);
	pthread_mutex_unlock(&hang.lock);
}

static unsigned
flushed_in(struct log **logs, const char *dir)
{
	unsigned n = 0;

	for (int i = 0; i < HANG_LOGS; i++)
		n += strcmp(log_dir(logs[i]), dir) == 0 && log_recovery_point(logs[i]) == log_end_offset(logs[i]);
	return (n);
}

/* Not by the threads of its directory. */
static void
put_now(struct fixture *f, struct log *log)
{
	struct append_set s = { .origin = APPEND_REPLICATION, .leader_epoch = 7 };
	size_t len;
	uint8_t *bytes = fixture_batch(f, &(struct batch_spec){ .leader_epoch = 7 }, &len);

	fixture_follow(log, 7);
	s.records = bytes;
	s.len = (uint32_t)len;
	log_own(log);
	log_write_owned(log, &s);
	log_disown(log);
	CHECK_EQ(s.result.error, KERR_NONE);
	free(bytes);
}

struct periodic_flush {
	struct job	 job;
	struct log_dirs *dirs;
};

static void
flush_due(struct job *job)
{
	struct periodic_flush *p = CONTAINER_OF(job, struct periodic_flush, job);

	log_dirs_flush_due(p->dirs);
}

TEST(logs_that_are_due_to_be_flushed_do_not_wait_for_a_directory_that_hangs)
{
	struct fs_ops ops = *(hang.under = fixture_fs()->ops);
	struct fs fs = { &ops };
	struct errbuf eb = ERRBUF_INIT;
	struct periodic_flush due = { .job = { .run = flush_due } };
	struct log *logs[HANG_LOGS];
	struct fixture f;

	ops.sync = sync_may_hang;
	fixture_init(&f, 2);
	f.fs = &fs;
	f.options.flush_ms = 1;
	CHECK_EQ(workers_new(HANG_WORKERS, "test", &f.workers, &eb), OK);
	CHECK_EQ(fixture_open(&f, &eb), OK);
	for (int i = 0; i < HANG_LOGS; i++) {
		CHECK_EQ(log_dirs_create(f.dirs, "t", i, UUID_ZERO, &f.options, &logs[i], &eb), OK);
		put_now(&f, logs[i]);
	}
	clock_manual_advance_ns(&f.clock, INT64_C(1000000000));
	hang_in(f.path[0]);
	due.dirs = f.dirs;
	workers_submit(f.workers, &due.job);
	for (int ms = 0; ms < 1000 * HANG_PATIENCE_S && flushed_in(logs, f.path[1]) < HANG_LOGS / 2; ms++)
		usleep(1000);
	CHECK_EQ(flushed_in(logs, f.path[1]), HANG_LOGS / 2);
	CHECK_EQ(flushed_in(logs, f.path[0]), 0);
	pthread_mutex_lock(&hang.lock);
	CHECK_GE(hang.hanging, 1);
	pthread_mutex_unlock(&hang.lock);
	hang_in(NULL);
	for (int ms = 0; ms < 1000 * HANG_PATIENCE_S && flushed_in(logs, f.path[0]) < HANG_LOGS / 2; ms++)
		usleep(1000);
	CHECK_EQ(flushed_in(logs, f.path[0]), HANG_LOGS / 2);
	for (int i = 0; i < HANG_LOGS; i++)
		log_unref(&logs[i]);
	fixture_close(&f);
	fixture_fini(&f);
}

UNIT_MAIN("log/threads",
    T(appends_reads_rolls_and_retention_at_once), T(truncations_among_appends_and_reads), T(a_role_change_answers_every_queued_set_once),
    T(with_flush_messages_1_an_answer_means_durable), T(a_failed_sync_is_not_made_good_by_the_next_one),
    T(logs_that_are_due_to_be_flushed_do_not_wait_for_a_directory_that_hangs))
