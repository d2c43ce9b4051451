/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/log/test_apart.c - several log directories: their sets are written by threads of their own, in order, whatever becomes of the disk, the log
 * or the broker meanwhile.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/must.h"
#include "log/log_int.h"
#include "test/unit/log/fixture.h"
#include "test/unit/unit.h"

#define OPEN(f) do { struct errbuf eb_ = ERRBUF_INIT; enum err e_ = fixture_open((f), &eb_); \
	CHECK_STR(eb_.text, ""); if (e_ != OK) abort(); } while (0)

static const struct fs_ops *under;	/* the fixture's, asked for once: fs_unsynced is not for several threads */

/* ---- a disk that hangs as long as the gate is closed ---- */

enum { WRITES = 1, SYNCS = 2, OPENS = 4 };

static _Atomic unsigned syncs_begun;	/* of the data of t-0 */

static struct gate {
	pthread_mutex_t lock;
	pthread_cond_t	changed;
	unsigned	ops;		/* of these kinds; 0: open */
	const char     *part;		/* of the path */
	enum err	e;		/* what those who waited are told */
	unsigned	waiting;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static enum err
gate_pass(unsigned op, const char *path, struct errbuf *eb)
{
	enum err e = OK;

	must_zero(pthread_mutex_lock(&gate.lock));
	if ((gate.ops & op) != 0 && strstr(path, gate.part) != NULL) {
		gate.waiting++;
		must_zero(pthread_cond_broadcast(&gate.changed));
		while (gate.ops != 0)
			must_zero(pthread_cond_wait(&gate.changed, &gate.lock));
		gate.waiting--;
		e = gate.e;
	}
	must_zero(pthread_mutex_unlock(&gate.lock));
	if (e != OK)
		errbuf_set(eb, "%s: the disk has died", path);
	return (e);
}

static void
gate_close(unsigned ops, const char *part)
{
	must_zero(pthread_mutex_lock(&gate.lock));
	gate.ops = ops;
	gate.part = part;
	gate.e = OK;
	must_zero(pthread_mutex_unlock(&gate.lock));
}

static void
gate_open(enum err e)
{
	must_zero(pthread_mutex_lock(&gate.lock));
	gate.ops = 0;
	gate.e = e;
	must_zero(pthread_cond_broadcast(&gate.changed));
	must_zero(pthread_mutex_unlock(&gate.lock));
}

/* Until somebody stands before it. */
static void
gate_await(void)
{
	must_zero(pthread_mutex_lock(&gate.lock));
	while (gate.waiting == 0)
		must_zero(pthread_cond_wait(&gate.changed, &gate.lock));
	must_zero(pthread_mutex_unlock(&gate.lock));
}

static enum err
gated_pwritev(struct file *file, const struct slice *v, unsigned n, uint64_t pos, struct errbuf *eb)
{
	enum err e = gate_pass(WRITES, file->path, eb);

	return (e == OK ? under->pwritev(file, v, n, pos, eb) : e);
}

static enum err
gated_sync(struct file *file, struct errbuf *eb)
{
	enum err e;

	if (strstr(file->path, "/t-0/") != NULL && strstr(file->path, ".log") != NULL)
		syncs_begun++;
	e = gate_pass(SYNCS, file->path, eb);

	return (e == OK ? under->sync(file, eb) : e);
}

static enum err
gated_open(struct fs *fs, const char *path, unsigned flags, struct file **out, struct errbuf *eb)
{
	enum err e = gate_pass(OPENS, path, eb);

	return (e == OK ? under->open(fs, path, flags, out, eb) : e);
}

/* ---- a memory that has nothing of the data until it is read ---- */

static struct {
	_Atomic bool	 cold;
	_Atomic unsigned reads;
} memory;

static bool
memory_cached(struct file *file, uint64_t pos, size_t len)
{
	return (!memory.cold && under->cached(file, pos, len));
}

static enum err
memory_pread(struct file *file, void *buf, size_t len, uint64_t pos, size_t *got, struct errbuf *eb)
{
	memory.cold = false;
	memory.reads++;
	return (under->pread(file, buf, len, pos, got, eb));
}

/* ---- sets ---- */

struct piece {
	struct append_set  set;
	struct record_info info;
	struct arena	   arena;
	enum log_append_status status;
	_Atomic unsigned   answers;
	unsigned	   turn;	/* which answer of all it was */
};

static _Atomic unsigned answered;

static void
on_answer(struct append_set *s)
{
	struct piece *p = CONTAINER_OF(s, struct piece, set);

	p->turn = ++answered;
	p->answers++;
}

static void
give(struct fixture *f, struct log *log, struct piece *p, const struct batch_spec *spec)
{
	struct record_rules rules = RECORD_RULES_DEFAULT;
	const struct record_request rq = { .origin = RECORD_FROM_CLIENT, .produce_version = 9, .now_ms = clock_wall_ms(&f->clock.clock), .topic = "t" };
	struct record_failure why;
	uint8_t *bytes;
	size_t len;

	memset(p, 0, sizeof(*p));
	arena_init(&p->arena, 1 << 20);
	bytes = fixture_batch(f, spec, &len);
	must(record_validate(slice_of(bytes, len), &rules, &rq, NULL, &p->arena, &p->info, &why) == KERR_NONE);
	p->set = (struct append_set){ .records = bytes, .len = (uint32_t)len, .origin = APPEND_CLIENT, .leader_epoch = log_latest_epoch(log), .info = &p->info,
	    .txn_verified = true, .done = on_answer };
	p->status = log_append(log, &p->set);
}

static void
give_one(struct fixture *f, struct log *log, struct piece *p)
{
	give(f, log, p, &(struct batch_spec){ 0 });
}

static const struct append_result *
answer(struct piece *p)
{
	struct timespec began, now;

	if (p->status == LOG_DONE)
		return (&p->set.result);
	must_zero(clock_gettime(CLOCK_MONOTONIC, &began));
	do {
		sched_yield();
		must_zero(clock_gettime(CLOCK_MONOTONIC, &now));
		must(now.tv_sec - began.tv_sec < 60);
	} while (p->answers == 0);
	CHECK_EQ(p->answers, 1);
	return (&p->set.result);
}

static void
piece_fini(struct piece *p)
{
	arena_fini(&p->arena);
	free(p->set.records);
}

/* ---- the house: two directories, a log in each ---- */

struct house {
	struct fixture f;
	struct fs_ops  ops;
	struct fs      fs;
	struct log    *log[2];
	bool	       group_commit;
	unsigned       ndirs;		/* 0: two */
};

static struct log *
make_log(struct house *h, const char *topic, const struct log_options *o)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *log = NULL;

	must(log_dirs_create(h->f.dirs, topic, 0, UUID_ZERO, o, &log, &eb) == OK);
	fixture_lead(log, 5);
	fixture_establish(log);
	return (log);
}

/* workers: of the common pool; 0: nothing runs but by hand. */
static void
house_init(struct house *h, unsigned workers)
{
	under = fixture_fs()->ops;
	h->ops = *under;
	h->ops.pwritev = gated_pwritev;
	h->ops.sync = gated_sync;
	h->ops.open = gated_open;
	h->ops.cached = memory_cached;
	h->ops.pread = memory_pread;
	memory.cold = false;
	h->fs.ops = &h->ops;
	fixture_init(&h->f, h->ndirs == 0 ? 2 : h->ndirs);
	h->f.sync_appends = h->group_commit;
	h->f.fs = &h->fs;
	must(workers_new(workers, "common", &h->f.workers, NULL) == OK);
	OPEN(&h->f);
	h->log[0] = make_log(h, "t", &h->f.options);
	h->log[1] = make_log(h, "u", &h->f.options);
	CHECK_STR(log_dir(h->log[0]), h->f.path[0]);
	CHECK_STR(log_dir(h->log[1]), h->f.path[h->ndirs == 1 ? 0 : 1]);
}

static void
house_fini(struct house *h)
{
	log_unref(&h->log[0]);
	log_unref(&h->log[1]);
	fixture_fini(&h->f);
}

static void
run_by_hand(struct house *h)
{
	while (workers_step(h->f.workers))
		;
}

TEST(whoever_appends_never_writes_and_the_order_is_kept)
{
	struct house h = { 0 };
	struct piece p[20];

	house_init(&h, 0);
	for (int i = 0; i < 20; i++) {
		give_one(&h.f, h.log[i % 2], &p[i]);
		CHECK_EQ(p[i].status, LOG_PENDING);
	}
	CHECK_EQ(log_end_offset(h.log[0]) + log_end_offset(h.log[1]), 0);
	run_by_hand(&h);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(answer(&p[i])->base_offset, i / 2);
		CHECK(i < 2 || p[i - 2].turn < p[i].turn);
		piece_fini(&p[i]);
	}
	house_fini(&h);
}

TEST(a_sequence_is_judged_behind_what_is_queued_before_it)
{
	const int32_t sequence[] = { 0, 1, 1, 3, 2 };
	struct piece p[5];
	struct house h = { 0 };

	house_init(&h, 0);
	for (int i = 0; i < 5; i++)
		give(&h.f, h.log[0], &p[i], &(struct batch_spec){ .producer_id = 4, .sequence = sequence[i] });
	run_by_hand(&h);
	CHECK_EQ(answer(&p[1])->base_offset, 1);
	CHECK(answer(&p[2])->duplicate);
	CHECK_EQ(answer(&p[2])->base_offset, 1);
	CHECK_EQ(answer(&p[3])->error, KERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
	CHECK_EQ(answer(&p[4])->base_offset, 2);
	for (int i = 0; i < 5; i++)
		piece_fini(&p[i]);
	house_fini(&h);
}

TEST(what_was_queued_under_another_epoch_is_refused_before_it_is_written)
{
	struct piece p[3];
	struct house h = { 0 };

	house_init(&h, 0);
	give_one(&h.f, h.log[0], &p[0]);
	fixture_lead(h.log[0], 6);
	give_one(&h.f, h.log[0], &p[1]);
	fixture_follow(h.log[0], 6);
	give_one(&h.f, h.log[0], &p[2]);
	run_by_hand(&h);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(answer(&p[i])->error, KERR_NOT_LEADER_OR_FOLLOWER);
		piece_fini(&p[i]);
	}
	CHECK_EQ(log_end_offset(h.log[0]), 0);
	house_fini(&h);
}

/* What more than one queue may hold comes back at once. */
TEST(a_queue_behind_a_hanging_disk_is_bounded)
{
	const struct batch_spec large = { .value_len = 300000 };
	uint64_t bytes = 0;
	unsigned n = 0;
	struct piece *p = xcalloc(300, sizeof(*p));
	struct house h = { 0 };

	house_init(&h, 0);
	do {
		give(&h.f, h.log[0], &p[n], &large);
		bytes += p[n].set.len;
	} while (p[n].status == LOG_PENDING && ++n < 299);
	CHECK_EQ(p[n].status, LOG_DONE);
	CHECK_EQ(p[n].set.result.error, KERR_REQUEST_TIMED_OUT);
	CHECK_GE(bytes, 67108864);
	CHECK_GE(67108864, bytes - p[n].set.len);
	run_by_hand(&h);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(answer(&p[i])->error, KERR_RECORD_LIST_TOO_LARGE);	/* than segment.bytes here */
	for (unsigned i = 0; i <= n; i++)
		piece_fini(&p[i]);
	free(p);
	house_fini(&h);
}

TEST(sets_that_wait_while_their_log_moves_are_written_in_the_new_place_in_order)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log *future = NULL;
	bool swapped = false, caught_up;
	struct piece p[6];
	struct house h = { 0 };
	uint64_t copied;

	house_init(&h, 0);
	give(&h.f, h.log[0], &p[0], &(struct batch_spec){ .producer_id = 4, .sequence = 0 });
	run_by_hand(&h);
	CHECK_EQ(log_dirs_move_begin(h.f.dirs, "t", 0, h.f.path[1], &h.f.options, &future, &eb), OK);
	CHECK_EQ(log_dirs_move_align(h.f.dirs, h.log[0], future, &eb), OK);
	CHECK_EQ(log_dirs_move_copy(h.f.dirs, h.log[0], future, 1 << 20, &copied, &caught_up, &eb), OK);
	CHECK(caught_up);
	for (int i = 1; i < 4; i++)
		give(&h.f, h.log[0], &p[i], &(struct batch_spec){ .producer_id = 4, .sequence = i });
	CHECK_EQ(log_dirs_move_swap(h.f.dirs, h.log[0], future, &swapped, &eb), OK);
	REQUIRE(swapped);
	give(&h.f, h.log[0], &p[4], &(struct batch_spec){ .producer_id = 4, .sequence = 4 });
	give(&h.f, future, &p[5], &(struct batch_spec){ .producer_id = 4, .sequence = 5 });
	run_by_hand(&h);
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(answer(&p[i])->error, KERR_NONE);
		CHECK_EQ(answer(&p[i])->base_offset, i);
		piece_fini(&p[i]);
	}
	CHECK_STR(log_dir(future), h.f.path[1]);
	CHECK_EQ(log_end_offset(future), 6);
	CHECK_EQ(log_end_offset(h.log[0]), 1);
	log_dirs_move_retire(h.f.dirs, h.log[0]);
	log_unref(&future);
	house_fini(&h);
}

/* ---- reading ---- */

static void
read_careful(struct log *log, int64_t offset, struct log_read_result *r)
{
	const struct log_read_options o = { .offset = offset, .bytes_max = 1 << 20, .min_one = true, .no_wait = true, .bound = LOG_BOUND_END };
	struct arena arena;

	arena_init(&arena, 65536);
	CHECK_EQ(log_read(log, &o, &arena, r), KERR_NONE);
	CHECK_EQ(r->end_offset, 60);
	CHECK(!r->cold || r->range.file == NULL);
	arena_fini(&arena);
}

/* Data that is not there, indexes that are not mapped; of the active segment and of one that is closed. */
TEST(who_must_not_wait_is_told_what_is_cold_and_touches_no_file)
{
	const int64_t offsets[] = { 1, 17, 40, 59 };
	struct log_read_result r;
	struct piece p[60];
	struct house h = { 0 };

	house_init(&h, 0);
	for (int i = 0; i < 60; i++)
		give(&h.f, h.log[0], &p[i], &(struct batch_spec){ .value_len = 700 });
	run_by_hand(&h);
	for (int i = 0; i < 60; i++)
		piece_fini(&p[i]);
	CHECK_GE(log_segment_count(h.log[0]), 3);
	for (unsigned i = 0; i < NELEM(offsets); i++) {
		unsigned before;

		memory.cold = true;
		before = memory.reads;
		read_careful(h.log[0], offsets[i], &r);
		CHECK(r.cold);
		CHECK_EQ(memory.reads, before);
		log_warm(h.log[0], offsets[i], LOG_BOUND_END);
		CHECK_GE(memory.reads, before + 1);
		read_careful(h.log[0], offsets[i], &r);
		CHECK(!r.cold);
		CHECK_EQ(r.first_offset, offsets[i]);
		log_read_result_fini(&r);
	}
	/* Indexes alone. */
	log_unref(&h.log[0]);
	log_unref(&h.log[1]);
	fixture_close(&h.f);
	OPEN(&h.f);
	h.log[0] = log_dirs_find(h.f.dirs, "t", 0);
	h.log[1] = log_dirs_find(h.f.dirs, "u", 0);
	read_careful(h.log[0], 5, &r);
	CHECK(r.cold);
	log_warm(h.log[0], 5, LOG_BOUND_END);
	read_careful(h.log[0], 5, &r);
	CHECK_EQ(r.first_offset, 5);
	log_read_result_fini(&r);
	house_fini(&h);
}

/* ---- with threads ---- */

static void
note_run(struct job *j)
{
	(void)j;
	answered++;
}

static void
everything_else_goes_on(struct house *h)
{
	struct job job = { .run = note_run };
	struct piece p[50];

	for (int i = 0; i < 50; i++) {
		give(&h->f, h->log[1], &p[i], &(struct batch_spec){ .value_len = 1000 });	/* rolls, too */
		CHECK_EQ(answer(&p[i])->error, KERR_NONE);
		piece_fini(&p[i]);
	}
	workers_submit(h->f.workers, &job);
	workers_drain(h->f.workers);
}

TEST(a_disk_that_hangs_in_a_write_stops_its_own_directory_only)
{
	struct piece p[10];
	struct house h = { 0 };

	house_init(&h, 1);
	gate_close(WRITES, h.f.path[0]);
	for (int i = 0; i < 10; i++) {
		give_one(&h.f, h.log[0], &p[i]);
		CHECK_EQ(p[i].status, LOG_PENDING);
	}
	gate_await();
	everything_else_goes_on(&h);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(p[i].answers, 0);
	gate_open(OK);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(answer(&p[i])->base_offset, i);
		CHECK(i == 0 || p[i - 1].turn < p[i].turn);
		piece_fini(&p[i]);
	}
	house_fini(&h);
}

/* The files of a new segment are made where the set is written. */
TEST(a_disk_that_hangs_in_a_roll_stops_its_own_directory_only)
{
	struct piece p[40];
	struct house h = { 0 };

	house_init(&h, 1);
	gate_close(OPENS, h.f.path[0]);
	for (int i = 0; i < 40; i++)
		give(&h.f, h.log[0], &p[i], &(struct batch_spec){ .value_len = 1000 });
	gate_await();
	everything_else_goes_on(&h);
	gate_open(OK);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(answer(&p[i])->base_offset, i);
		piece_fini(&p[i]);
	}
	CHECK_GE(log_segment_count(h.log[0]), 2);
	house_fini(&h);
}

/* Two logs are flushed before they answer, and a third flushes what it rolled: more than the directory has threads for that. */
TEST(a_disk_that_hangs_in_a_sync_stops_neither_other_directories_nor_writes)
{
	struct log_options flushed;
	struct log *v, *x;
	struct piece p[40], q[2];
	struct house h = { 0 };

	house_init(&h, 1);
	flushed = h.f.options;
	flushed.flush_messages = 1;
	v = make_log(&h, "v", &flushed);
	log_unref(&v);
	v = make_log(&h, "w", &flushed);	/* one in each directory: the second pair is looked at below */
	log_unref(&v);
	v = log_dirs_find(h.f.dirs, "v", 0);
	x = make_log(&h, "x", &flushed);
	CHECK_STR(log_dir(v), h.f.path[0]);
	CHECK_STR(log_dir(x), h.f.path[0]);
	gate_close(SYNCS, h.f.path[0]);
	give_one(&h.f, v, &q[0]);
	give_one(&h.f, x, &q[1]);
	gate_await();
	for (int i = 0; i < 40; i++) {
		give(&h.f, h.log[0], &p[i], &(struct batch_spec){ .value_len = 1000 });
		CHECK_EQ(answer(&p[i])->base_offset, i);
		piece_fini(&p[i]);
	}
	everything_else_goes_on(&h);
	CHECK_EQ(q[0].answers + q[1].answers, 0);
	gate_open(OK);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(answer(&q[i])->error, KERR_NONE);
		piece_fini(&q[i]);
	}
	CHECK_EQ(log_recovery_point(v), 1);
	log_unref(&v);
	log_unref(&x);
	house_fini(&h);
}

TEST(a_write_that_hangs_and_fails_takes_all_behind_it_along)
{
	struct piece p[10], late;
	struct house h = { 0 };

	house_init(&h, 1);
	gate_close(WRITES, h.f.path[0]);
	for (int i = 0; i < 10; i++)
		give_one(&h.f, h.log[0], &p[i]);
	gate_await();
	gate_open(ERR_IO);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(answer(&p[i])->error, KERR_KAFKA_STORAGE_ERROR);
		CHECK_EQ(answer(&p[i])->base_offset, -1);
		piece_fini(&p[i]);
	}
	give_one(&h.f, h.log[0], &late);
	CHECK_EQ(answer(&late)->error, KERR_KAFKA_STORAGE_ERROR);
	piece_fini(&late);
	everything_else_goes_on(&h);
	CHECK_EQ(h.f.offline, 1);
	CHECK_EQ(log_end_offset(h.log[0]), 0);
	house_fini(&h);
}

/* Until the file in that directory says so. */
static void
await_row(struct house *h, int i, const char *name, const char *row)
{
	char path[600], *bytes = NULL;
	bool said = false;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", h->f.path[i], name);
	while (!said) {
		sched_yield();
		if (fs_read_file(fixture_fs(), path, 65536, &bytes, &len, NULL) == OK)
			said = strstr(bytes, row) != NULL;
		free(bytes);
		bytes = NULL;
	}
}

static void
all_that_runs_on_schedule(struct house *h)
{
	log_dirs_checkpoint_recovery_points(h->f.dirs);
	log_dirs_checkpoint_start_offsets(h->f.dirs);
	log_dirs_checkpoint_high_watermarks(h->f.dirs);
	log_dirs_retain(h->f.dirs);
	log_dirs_delete_due(h->f.dirs);
}

TEST(a_disk_that_hangs_stops_what_runs_on_schedule_in_its_own_directory_only)
{
	struct house h = { 0 };

	house_init(&h, 1);
	gate_close(OPENS, h.f.path[0]);
	for (int i = 0; i < 3; i++)
		all_that_runs_on_schedule(&h);
	gate_await();
	everything_else_goes_on(&h);
	log_raise_high_watermark(h.log[1], 50);
	CHECK_EQ(log_flush(h.log[1], NULL), OK);
	CHECK_EQ(log_roll(h.log[1], NULL), OK);
	for (int i = 0; i < 3; i++)
		all_that_runs_on_schedule(&h);
	await_row(&h, 1, "replication-offset-checkpoint", "u 0 50");
	gate_open(OK);
	await_row(&h, 0, "replication-offset-checkpoint", "t 0 0");
	await_row(&h, 0, "recovery-point-offset-checkpoint", "t 0 0");
	house_fini(&h);
}

struct deletion_job {
	struct job	 job;
	struct log_dirs *dirs;
	enum err	 e;
};

static void
delete_t(struct job *j)
{
	struct deletion_job *d = CONTAINER_OF(j, struct deletion_job, job);

	d->e = log_dirs_delete(d->dirs, "t", 0, NULL);
}

static bool
somebody_wants(struct log *log)
{
	bool wants;

	lock_acquire(&log->lock);
	wants = log->wanted > 0;
	lock_release(&log->lock);
	return (wants);
}

TEST(a_log_that_is_deleted_answers_all_that_waits)
{
	struct deletion_job d = { .job.run = delete_t };
	struct piece p[10];
	struct house h = { 0 };

	house_init(&h, 1);
	gate_close(WRITES, h.f.path[0]);
	for (int i = 0; i < 10; i++)
		give_one(&h.f, h.log[0], &p[i]);
	gate_await();
	d.dirs = h.f.dirs;
	workers_submit(h.f.workers, &d.job);
	while (!somebody_wants(h.log[0]))
		sched_yield();
	gate_open(OK);
	CHECK_EQ(answer(&p[0])->base_offset, 0);	/* it was in the write */
	for (int i = 1; i < 10; i++)
		CHECK_EQ(answer(&p[i])->error, KERR_NOT_LEADER_OR_FOLLOWER);
	workers_drain(h.f.workers);
	CHECK_EQ(d.e, OK);
	for (int i = 0; i < 10; i++)
		piece_fini(&p[i]);
	house_fini(&h);
}

/* Whatever is said to have been written is there, and everybody hears once. */
static void
ends_while_sets_are_queued(bool clean)
{
	struct piece p[400];
	int64_t written[2] = { 0, 0 };
	struct house h = { 0 };

	house_init(&h, 2);
	for (int i = 0; i < 400; i++)
		give(&h.f, h.log[i % 2], &p[i], &(struct batch_spec){ .value_len = 500 });
	log_unref(&h.log[0]);
	log_unref(&h.log[1]);
	if (clean)
		log_dirs_shutdown(h.f.dirs);
	log_dirs_free(&h.f.dirs);
	for (int i = 0; i < 400; i++) {
		CHECK_EQ(p[i].answers, 1);
		if (p[i].set.result.error == KERR_NONE)
			CHECK_EQ(p[i].set.result.base_offset, written[i % 2]++);
		else
			CHECK_EQ(p[i].set.result.error, KERR_NOT_LEADER_OR_FOLLOWER);
		piece_fini(&p[i]);
	}
	OPEN(&h.f);
	CHECK_EQ(log_dirs_was_clean(h.f.dirs), clean);
	h.log[0] = log_dirs_find(h.f.dirs, "t", 0);
	h.log[1] = log_dirs_find(h.f.dirs, "u", 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(log_end_offset(h.log[i]), written[i]);
		CHECK_EQ(fixture_read_all(h.log[i], 0), written[i]);
	}
	house_fini(&h);
}

TEST(an_end_with_sets_queued_answers_each_once)
{
	ends_while_sets_are_queued(true);
	ends_while_sets_are_queued(false);
}

/* ---- group commit ---- */

static time_t
seconds(void)
{
	struct timespec now;

	must_zero(clock_gettime(CLOCK_MONOTONIC, &now));
	return (now.tv_sec);
}

/* Others go on, until began is long ago. */
static void
yield_since(time_t began)
{
	must(seconds() - began < 60);
	sched_yield();
}

static void
await_settled(struct log *log, int64_t offset)
{
	time_t began = seconds();

	while (log_settled_offset(log) < offset)
		yield_since(began);
	CHECK_EQ(log_settled_offset(log), offset);
}

static void
put_many(struct house *h, struct log *log, int n)
{
	struct piece p;

	for (int i = 0; i < n; i++) {
		give_one(&h->f, log, &p);
		CHECK_EQ(answer(&p)->error, KERR_NONE);
		piece_fini(&p);
	}
}

static void
group_commit_in(unsigned ndirs)
{
	struct house h = { .group_commit = true, .ndirs = ndirs };
	unsigned before;

	house_init(&h, 1);
	put_many(&h, h.log[0], 1);
	await_settled(h.log[0], 1);
	gate_close(SYNCS, "/t-0/");
	put_many(&h, h.log[0], 1);
	gate_await();
	put_many(&h, h.log[0], 60);		/* while the sync runs: they are in the next one, all */
	put_many(&h, h.log[1], 10);		/* of another log: it does not wait for this one */
	await_settled(h.log[1], 10);
	everything_else_goes_on(&h);
	CHECK_EQ(log_settled_offset(h.log[0]), 1);
	CHECK_EQ(log_end_offset(h.log[0]), 62);
	before = syncs_begun;
	gate_open(OK);
	await_settled(h.log[0], 62);
	CHECK_EQ(syncs_begun - before, 1);
	workers_drain(h.log[0]->dir->committer);
	CHECK_EQ(h.log[0]->dir->turns.running, 0);
	house_fini(&h);
}

TEST(a_commit_that_hangs_holds_up_its_own_log_only_and_one_sync_answers_for_all_that_came_meanwhile)
{
	group_commit_in(1);
	group_commit_in(2);
}

static uint32_t
who_waits(struct turns *t)
{
	uint32_t n;

	lock_acquire(&t->lock);
	n = t->waiting;
	lock_release(&t->lock);
	return (n);
}

/* Two logs of one directory, a processor for one of them, and somebody with patience. */
TEST(syncs_take_turns_and_what_comes_while_one_waits_is_in_its_sync)
{
	struct house h = { .group_commit = true, .ndirs = 1 };
	struct turns *t;
	time_t began = seconds();
	unsigned before;

	house_init(&h, 1);
	t = &h.log[0]->dir->turns;
	t->max = 1;
	t->patience_ms = 60000;
	gate_close(SYNCS, "/u-0/");
	put_many(&h, h.log[1], 1);
	gate_await();
	before = syncs_begun;
	put_many(&h, h.log[0], 1);
	while (who_waits(t) == 0)
		yield_since(began);
	put_many(&h, h.log[0], 20);
	CHECK_EQ(syncs_begun, before);
	CHECK_EQ(log_settled_offset(h.log[0]), 0);
	gate_open(OK);
	await_settled(h.log[0], 21);
	await_settled(h.log[1], 1);
	CHECK_EQ(syncs_begun - before, 1);
	workers_drain(h.log[0]->dir->committer);
	CHECK(t->running == 0 && t->waiting == 0 && t->passed_on == 0);
	house_fini(&h);
}

static void
wake_for_nothing(struct turns *t)
{
	lock_acquire(&t->lock);
	condition_broadcast(&t->left);
	lock_release(&t->lock);
}

/* A turn that was passed on may be taken by another one whose patience ends just then. */
TEST(a_sync_that_is_woken_for_nothing_waits_no_longer_for_it)
{
	struct house h = { .group_commit = true, .ndirs = 1 };
	struct turns *t;
	time_t began = seconds();

	house_init(&h, 1);
	t = &h.log[0]->dir->turns;
	t->max = 1;
	t->patience_ms = 100;
	gate_close(SYNCS, "/u-0/");
	put_many(&h, h.log[1], 1);
	gate_await();
	put_many(&h, h.log[0], 1);
	for (; log_settled_offset(h.log[0]) == 0; yield_since(began))
		wake_for_nothing(t);
	gate_open(OK);
	await_settled(h.log[1], 1);
	workers_drain(h.log[0]->dir->committer);
	CHECK(t->running == 0 && t->waiting == 0 && t->passed_on == 0);
	house_fini(&h);
}

TEST(a_commit_that_fails_settles_nothing_and_takes_the_directory_along)
{
	struct house h = { .group_commit = true };

	house_init(&h, 1);
	put_many(&h, h.log[0], 3);
	await_settled(h.log[0], 3);
	gate_close(SYNCS, h.f.path[0]);
	put_many(&h, h.log[0], 1);
	gate_await();
	put_many(&h, h.log[0], 5);
	gate_open(ERR_IO);
	workers_drain(h.log[0]->dir->committer);
	workers_drain(h.f.workers);
	CHECK_EQ(h.log[0]->dir->turns.running, 0);
	CHECK_EQ(h.f.offline, 1);
	CHECK(log_is_offline(h.log[0]) && !log_is_offline(h.log[1]));
	CHECK_EQ(log_settled_offset(h.log[0]), 3);
	CHECK_EQ(log_flush(h.log[0], NULL), ERR_OFFLINE);	/* the next sync would say that all is well */
	CHECK_EQ(log_settled_offset(h.log[0]), 3);
	put_many(&h, h.log[1], 2);
	await_settled(h.log[1], 2);
	house_fini(&h);
}

TEST(a_duplicate_is_as_unsettled_as_what_it_repeats)
{
	const struct batch_spec spec = { .producer_id = 7, .sequence = 0 };
	struct house h = { .group_commit = true };
	struct piece p[2];

	house_init(&h, 0);		/* nothing runs but by hand */
	for (int i = 0; i < 2; i++) {
		give(&h.f, h.log[0], &p[i], &spec);
		log_own(h.log[0]);	/* the drain: without the sync that it asks for */
		log_disown(h.log[0]);
		while (p[i].answers == 0)
			must(workers_step(h.f.workers));
		CHECK_EQ(p[i].set.result.error, KERR_NONE);
		CHECK_EQ(p[i].set.result.duplicate, i == 1);
		CHECK_EQ(p[i].set.result.last_offset, 0);
	}
	run_by_hand(&h);
	CHECK_EQ(log_settled_offset(h.log[0]), 1);
	for (int i = 0; i < 2; i++)
		piece_fini(&p[i]);
	give(&h.f, h.log[0], &p[0], &spec);
	run_by_hand(&h);
	CHECK(p[0].set.result.duplicate && p[0].set.result.settled);
	piece_fini(&p[0]);
	house_fini(&h);
}

UNIT_MAIN("log/apart", T(a_commit_that_hangs_holds_up_its_own_log_only_and_one_sync_answers_for_all_that_came_meanwhile),
    T(syncs_take_turns_and_what_comes_while_one_waits_is_in_its_sync), T(a_sync_that_is_woken_for_nothing_waits_no_longer_for_it),
    T(a_commit_that_fails_settles_nothing_and_takes_the_directory_along), T(a_duplicate_is_as_unsettled_as_what_it_repeats),
    T(whoever_appends_never_writes_and_the_order_is_kept), T(a_sequence_is_judged_behind_what_is_queued_before_it),
    T(what_was_queued_under_another_epoch_is_refused_before_it_is_written), T(a_queue_behind_a_hanging_disk_is_bounded),
    T(sets_that_wait_while_their_log_moves_are_written_in_the_new_place_in_order),
    T(who_must_not_wait_is_told_what_is_cold_and_touches_no_file),
    T(a_disk_that_hangs_in_a_write_stops_its_own_directory_only), T(a_disk_that_hangs_in_a_roll_stops_its_own_directory_only),
    T(a_disk_that_hangs_in_a_sync_stops_neither_other_directories_nor_writes), T(a_write_that_hangs_and_fails_takes_all_behind_it_along),
    T(a_disk_that_hangs_stops_what_runs_on_schedule_in_its_own_directory_only),
    T(a_log_that_is_deleted_answers_all_that_waits), T(an_end_with_sets_queued_answers_each_once))
