/* SPDX-License-Identifier: Apache-2.0
 *
 * Replicas move between two log directories while clients go on.
 */
#include <sched.h>
#include <stdlib.h>

#include "log/log_int.h"
#include "replica/dirs.h"
#include "replica/partition.h"
#include "test/unit/fs_fault.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"

static void
answered(struct replica_alter_dirs *r)
{
	CHECK(r->loop != NULL);
	r->loop = NULL;
}

static enum kerr
alter(struct bed *b, const char *topic, int32_t partition, const char *dir)
{
	struct replica_dir_item item = { .topic = slice_str(topic), .partition = partition, .dir = slice_str(dir) };
	struct replica_alter_dirs r = { .items = &item, .nitems = 1, .loop = b->loop, .done = answered };

	replica_alter_dirs(b->manager, &r);
	bed_run(b);
	CHECK(r.loop == NULL);
	return (item.error);
}

/* Where requests find it now. */
static const char *
place(struct bed *b, const char *topic)
{
	struct partition *p = replica_partition(b->manager, slice_str(topic), 0);
	const char *dir = p == NULL || partition_log(p) == NULL ? "" : log_dir(partition_log(p));

	partition_unref(&p);
	return (dir);
}

static bool
has_future(struct bed *b, const char *topic)
{
	struct log *future = log_dirs_find_future(b->dirs, topic, 0);
	bool has = future != NULL;

	log_unref(&future);
	return (has);
}

static int64_t
lag(struct bed *b, bool future)
{
	struct replica_dirs d;
	int64_t found = -9;

	replica_dirs_look(b->manager, &d);
	for (uint32_t i = 0; i < d.nlogs; i++)
		if (d.logs[i].future == future)
			found = d.logs[i].lag;
	replica_dirs_fini(&d);
	return (found);
}

TEST(a_replica_moves_under_a_waiting_fetch_and_appends_go_on)
{
	struct bed b;
	struct bed_fetch *f;

	bed_init_dirs(&b, 2);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	for (int i = 0; i < 20; i++)
		CHECK_EQ(bed_put(&b, "t", 0), i);
	CHECK_STR(place(&b, "t"), b.paths[0]);
	f = bed_fetch_new(&b, "t", 0, 20);
	f->f.min_bytes = 1;
	f->f.max_wait_ms = 60000;
	CHECK(!bed_fetch(&b, f));
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	bed_settle(&b);
	CHECK_STR(place(&b, "t"), b.paths[1]);
	CHECK(!has_future(&b, "t"));
	CHECK(!f->done);
	CHECK_EQ(bed_append(&b, "t", 0, -1, 1000)->item[0].base_offset, 20);
	CHECK(f->done);
	CHECK_EQ(f->item[0].error, KERR_NONE);
	CHECK_EQ(lag(&b, false), 0);
	bed_fetch_drop(f);
	/* A new leader epoch, and back. */
	CHECK_EQ(bed_lead(&b, "t", 0, 2), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 21);
	CHECK_EQ(alter(&b, "t", 0, b.paths[0]), KERR_NONE);
	bed_settle(&b);
	CHECK_STR(place(&b, "t"), b.paths[0]);
	CHECK_EQ(bed_put(&b, "t", 0), 22);
	bed_restart(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 3), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 23);
	bed_fini(&b);
}

TEST(errors_are_java_s)
{
	char long_name[251];
	struct bed b;

	memset(long_name, 'x', 250);
	long_name[250] = '\0';
	bed_init_dirs(&b, 2);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	CHECK_EQ(alter(&b, long_name, 0, "/no/such"), KERR_INVALID_TOPIC_EXCEPTION);
	CHECK_EQ(alter(&b, "t", 0, "/no/such"), KERR_LOG_DIR_NOT_FOUND);
	CHECK_EQ(alter(&b, "t", 0, ""), KERR_LOG_DIR_NOT_FOUND);
	CHECK_EQ(alter(&b, "no", 0, b.paths[1]), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_metadata(&b, &(struct bed_role){ .topic = "elsewhere", .leader = 2 }, true), KERR_NONE);
	CHECK_EQ(alter(&b, "elsewhere", 0, b.paths[1]), KERR_REPLICA_NOT_AVAILABLE);
	CHECK_EQ(alter(&b, "t", 0, b.paths[0]), KERR_NONE);
	CHECK(!has_future(&b, "t"));
	/* Asked for before it came. */
	CHECK_EQ(alter(&b, "u", 0, b.paths[0]), KERR_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_EQ(bed_lead(&b, "u", 0, 1), KERR_NONE);
	CHECK_STR(place(&b, "u"), b.paths[0]);
	/* The target fails while the future log is made; then no move can begin, to wherever. */
	fs_fault_only(b.fs, b.paths[1]);
	fs_fault_stay(b.fs, true);
	fs_fault_arm(b.fs, FS_FAULT_MKDIR, 1, ERR_IO);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(alter(&b, "t", 0, b.paths[0]), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	CHECK(!b.all_offline);
	bed_fini(&b);
}

TEST(a_limited_move_can_be_seen_cancelled_and_goes_on_after_a_restart)
{
	struct bed b;

	bed_init_dirs(&b, 2);
	replica_set_move_rate(b.manager, 100);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	for (int i = 0; i < 50; i++)
		bed_put(&b, "t", 0);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	CHECK(has_future(&b, "t"));
	CHECK(lag(&b, true) > 40);
	bed_pass(&b, 60000);
	CHECK(lag(&b, true) < 50);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	CHECK_EQ(alter(&b, "t", 0, b.paths[0]), KERR_NONE);
	CHECK(!has_future(&b, "t"));
	bed_pass(&b, 60000);		/* the turn that was due finds nothing to do */
	CHECK_EQ(bed_put(&b, "t", 0), 50);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	bed_restart(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 2), KERR_NONE);
	bed_settle(&b);
	CHECK_STR(place(&b, "t"), b.paths[1]);
	CHECK_EQ(bed_put(&b, "t", 0), 51);
	bed_fini(&b);
}

TEST(a_topic_that_is_deleted_during_its_move_is_gone_in_both_places)
{
	struct bed b;

	bed_init_dirs(&b, 2);
	replica_set_move_rate(b.manager, 100);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	for (int i = 0; i < 50; i++)
		bed_put(&b, "t", 0);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	CHECK(has_future(&b, "t"));
	CHECK_EQ(bed_stop(&b, &(struct bed_stop){ .leader_epoch = 1, .delete = true }), KERR_NONE);
	CHECK(!has_future(&b, "t"));
	bed_pass(&b, 60000);
	CHECK_EQ(log_dirs_count(b.dirs), 0);
	CHECK_EQ(bed_lead(&b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_put(&b, "t", 0), 0);
	bed_fini(&b);
}

TEST(a_target_that_fails_ends_the_move_and_nothing_else)
{
	struct bed b;

	bed_init_dirs(&b, 2);
	replica_set_move_rate(b.manager, 100);
	CHECK_EQ(bed_lead(&b, "t", 0, 1), KERR_NONE);
	for (int i = 0; i < 50; i++)
		bed_put(&b, "t", 0);
	CHECK_EQ(alter(&b, "t", 0, b.paths[1]), KERR_NONE);
	fs_fault_only(b.fs, b.paths[1]);
	fs_fault_stay(b.fs, true);
	fs_fault_arm(b.fs, FS_FAULT_WRITE, 1, ERR_IO);
	bed_pass(&b, 60000);
	CHECK(!has_future(&b, "t"));
	CHECK(!b.all_offline);
	CHECK_STR(place(&b, "t"), b.paths[0]);
	CHECK_EQ(bed_put(&b, "t", 0), 50);
	bed_settle(&b);
	fs_fault_arm(b.fs, 0, 0, OK);
	bed_restart(&b);
	CHECK_EQ(bed_lead(&b, "t", 0, 2), KERR_NONE);
	bed_settle(&b);
	CHECK_STR(place(&b, "t"), b.paths[1]);
	CHECK_EQ(bed_put(&b, "t", 0), 51);
	bed_fini(&b);
}

/* ---- beside a LeaderAndIsr ---- */

static struct log *
log_of(struct bed *b, int32_t partition)
{
	struct partition *p = replica_partition(b->manager, SLICE_LIT("t"), partition);
	struct log *log = p == NULL ? NULL : partition_log(p);

	if (log == NULL)
		abort();
	log = log_ref(log);
	partition_unref(&p);
	return (log);
}

static struct log_role
role_of(struct log *log)
{
	struct log_role role;

	lock_acquire(&log->lock);
	role = log->role;
	lock_release(&log->lock);
	return (role);
}

/* Another thread stands in log_own. */
static void
await_wanted(struct log *log)
{
	bool wanted = false;

	while (!wanted) {
		sched_yield();
		lock_acquire(&log->lock);
		wanted = log->wanted > 0;
		lock_release(&log->lock);
	}
}

/* t-0 is led with 50 records, and its move to the other directory waits for the workers, who will end it in this turn; what is told to logs of the first
 * directory is told by a thread of its own, *its. */
static void
begin_move(struct bed *b, struct workers **its)
{
	struct log *log;

	CHECK_EQ(bed_lead(b, "t", 0, 0), KERR_NONE);
	CHECK_EQ(bed_metadata(b, &(struct bed_role){ .nreplicas = 2, .replicas = { 1, 2 } }, true), KERR_NONE);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(bed_put(b, "t", 0), i);
	replica_set_move_rate(b->manager, 100);
	CHECK_EQ(alter(b, "t", 0, b->paths[1]), KERR_NONE);
	replica_set_move_rate(b->manager, INT64_MAX);
	clock_manual_advance_ns(&b->clock, INT64_C(60000) * 1000000);
	bed_turn(b);
	CHECK(has_future(b, "t"));
	CHECK_EQ(workers_new(1, "roles", its, NULL), OK);
	log = log_of(b, 0);
	CHECK_STR(log_dir(log), b->paths[0]);
	log->dir->syncer = *its;	/* freed with the directory */
	log_unref(&log);
}

static void
check_role_after_move(struct bed *b, const struct log *old, int32_t leader)
{
	struct log *now = log_of(b, 0);
	struct bed_append *a;

	CHECK(now != old);
	CHECK_STR(log_dir(now), b->paths[1]);
	CHECK_EQ(role_of(now).leader, leader == 1);
	CHECK_EQ(role_of(now).leader_epoch, 1);
	CHECK_EQ(log_latest_epoch(now), leader == 1 ? 1 : 0);
	a = bed_append(b, "t", 0, -1, 1000);
	CHECK_EQ(a->item[0].error, leader == 1 ? KERR_NONE : KERR_NOT_LEADER_OR_FOLLOWER);
	CHECK_EQ(a->item[0].leader_id, leader == 1 ? -1 : 2);
	CHECK_EQ(a->item[0].base_offset, leader == 1 ? 50 : -1);
	CHECK_EQ(log_end_offset(now), leader == 1 ? 51 : 50);
	log_unref(&now);
}

/* The other partition of the request is held up, so the request is not over when the move is. */
static void
moves_behind_the_telling(int32_t leader)
{
	struct log *old, *other, *new;
	struct workers *its = NULL;
	struct bed_roles *r;
	struct bed b;

	bed_init_dirs(&b, 2);
	CHECK_EQ(bed_lead(&b, "u", 0, 0), KERR_NONE);
	CHECK_EQ(log_dirs_prefer(b.dirs, "t", 0, b.paths[0]), OK);
	CHECK_EQ(log_dirs_prefer(b.dirs, "t", 1, b.paths[0]), OK);
	CHECK_EQ(bed_lead(&b, "t", 1, 0), KERR_NONE);
	begin_move(&b, &its);
	old = log_of(&b, 0);
	other = log_of(&b, 1);
	log_own(other);
	r = bed_roles_begin(&b, 2, leader, 1);
	await_wanted(other);
	CHECK_EQ(role_of(old).leader_epoch, 1);
	while (workers_step(b.workers))
		;
	CHECK(!has_future(&b, "t"));
	bed_turn(&b);
	CHECK(!r->done);
	CHECK_STR(place(&b, "t"), b.paths[1]);
	new = log_of(&b, 0);
	CHECK_EQ(role_of(new).leader_epoch, 1);		/* and not that of the state, which is older */
	log_disown(other);
	workers_drain(its);
	log_own(new);			/* the control loop does not wait for a write */
	bed_turn(&b);
	log_disown(new);
	CHECK(r->done);
	CHECK_EQ(bed_roles_error(r, 0), KERR_NONE);
	bed_settle(&b);
	check_role_after_move(&b, old, leader);
	log_unref(&old);
	log_unref(&new);
	log_unref(&other);
	bed_fini(&b);
}

TEST(a_log_that_moves_when_it_has_been_told_a_new_role_and_nobody_else_has_keeps_it)
{
	moves_behind_the_telling(1);
	moves_behind_the_telling(2);
}

static struct {
	struct fs_ops ops;
	const struct fs_ops *under;
	struct bed *b;
	struct log *moving;
	int32_t leader;
	struct bed_roles *r;
} swap;

/* In the middle of the swap, when nothing has gone over yet. */
static enum err
rename_and_new_role(struct fs *fs, const char *from, const char *to, struct errbuf *eb)
{
	if (swap.r == NULL && strstr(from, "-future") != NULL) {
		swap.r = bed_roles_begin(swap.b, 1, swap.leader, 1);
		await_wanted(swap.moving);
	}
	return (swap.under->rename(fs, from, to, eb));
}

static void
moves_before_the_telling(int32_t leader)
{
	struct workers *its = NULL;
	struct log *now;
	struct bed b;

	bed_init_dirs(&b, 2);
	begin_move(&b, &its);
	swap.ops = *b.fs->ops;
	swap.ops.rename = rename_and_new_role;
	swap.under = b.fs->ops;
	swap.b = &b;
	swap.moving = log_of(&b, 0);
	swap.leader = leader;
	swap.r = NULL;
	b.fs->ops = &swap.ops;
	while (workers_step(b.workers))
		;
	workers_drain(its);
	b.fs->ops = swap.under;
	CHECK(!has_future(&b, "t"));
	now = log_dirs_find(b.dirs, "t", 0);
	REQUIRE(now != NULL && now != swap.moving);
	CHECK_EQ(role_of(now).leader_epoch, 1);		/* by who may wait */
	log_unref(&now);
	bed_settle(&b);
	REQUIRE(swap.r != NULL);
	CHECK(swap.r->done);
	CHECK_EQ(bed_roles_error(swap.r, 0), KERR_NONE);
	check_role_after_move(&b, swap.moving, leader);
	log_unref(&swap.moving);
	bed_fini(&b);
}

TEST(a_log_that_moves_while_it_is_told_a_new_role_has_it_in_its_new_place)
{
	moves_before_the_telling(1);
	moves_before_the_telling(2);
}

UNIT_MAIN("replica/moves", T(a_replica_moves_under_a_waiting_fetch_and_appends_go_on), T(errors_are_java_s),
    T(a_limited_move_can_be_seen_cancelled_and_goes_on_after_a_restart), T(a_topic_that_is_deleted_during_its_move_is_gone_in_both_places),
    T(a_target_that_fails_ends_the_move_and_nothing_else), T(a_log_that_moves_when_it_has_been_told_a_new_role_and_nobody_else_has_keeps_it),
    T(a_log_that_moves_while_it_is_told_a_new_role_has_it_in_its_new_place))
