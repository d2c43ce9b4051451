/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/group/test_coordinator.c - the coordinator over a real replica manager and real logs: whose groups, loading and unloading, calls and
 * appends, on virtual time.  __consumer_offsets has two partitions, each on a loop of its own.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/must.h"
#include "group/coordinator.h"
#include "log/log.h"
#include "log/log_dirs.h"
#include "replica/dirs.h"
#include "test/unit/fs_fault.h"
#include "test/unit/fs_power.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"

#define G0	"b"	/* hash 98: partition 0, loop 0 */
#define G1	"a"	/* hash 97: partition 1, loop 1 */

struct world {
	struct bed	 bed;
	struct group_coordinator *c;
	struct group_coordinator_options opt;
	int32_t		 epoch;
};

static void
on_leadership(void *ctx, const char *topic, int32_t partition, bool leads, int32_t leader_epoch)
{
	struct world *w = ctx;

	if (w->c == NULL || strcmp(topic, GROUP_OFFSETS_TOPIC) != 0)
		return;
	if (leads)
		group_coordinator_elected(w->c, partition, leader_epoch);
	else
		group_coordinator_resigned(w->c, partition, leader_epoch);
}

static void
coordinator_begin(struct world *w)
{
	struct loop *loops[2] = { w->bed.loop, w->bed.loop2 };

	w->opt.replicas = w->bed.manager;
	w->opt.loops = loops;
	w->c = group_coordinator_new(&w->opt);
	w->bed.leadership = on_leadership;
	w->bed.leadership_ctx = w;
	group_coordinator_start(w->c, 2);
}

static void
coordinator_end(struct world *w)
{
	group_coordinator_stop(w->c);
	bed_run(&w->bed);
	CHECK(!group_coordinator_busy(w->c));
	group_coordinator_free(&w->c);
}

static void
lead_both(struct world *w)
{
	w->epoch++;
	CHECK_EQ(bed_lead(&w->bed, GROUP_OFFSETS_TOPIC, 0, w->epoch), KERR_NONE);
	CHECK_EQ(bed_lead(&w->bed, GROUP_OFFSETS_TOPIC, 1, w->epoch), KERR_NONE);
}

static void
world_begin(struct world *w)
{
	w->opt = (struct group_coordinator_options){ .nloops = 2, .workers = w->bed.workers, .clock = &w->bed.clock.clock,
	    .random = &w->bed.random.random, .diag = w->bed.diag, .min_session_timeout_ms = 6000, .max_session_timeout_ms = 1800000,
	    .initial_rebalance_delay_ms = 100, .size_max = INT32_MAX, .metadata_max = 10, .load_buffer_bytes = 300, .retention_ms = 3600000,
	    .retention_check_ms = 600000, .commit_timeout_ms = 5000, .commit_acks = -1 };
	coordinator_begin(w);
	lead_both(w);
}

static void
world_init_dirs(struct world *w, unsigned ndirs)
{
	memset(w, 0, sizeof(*w));
	bed_init_dirs(&w->bed, ndirs);
	world_begin(w);
}

static void
world_init(struct world *w)
{
	world_init_dirs(w, 1);
}

/* Whose offsets are on the disk when they are acknowledged. */
static void
world_init_on(struct world *w, struct fs *fs, int32_t epoch, bool group_commit)
{
	memset(w, 0, sizeof(*w));
	bed_init_on(&w->bed, fs);
	w->bed.sync_appends = group_commit;
	if (group_commit)
		bed_restart(&w->bed);
	else
		w->bed.config.log.flush_messages = 1;
	w->epoch = epoch;
	world_begin(w);
}

static void
world_fini(struct world *w)
{
	coordinator_end(w);
	bed_fini(&w->bed);
}

/* The broker ends and begins again on the same directories; the memory of the coordinator is gone. */
static void
world_restart(struct world *w)
{
	coordinator_end(w);
	bed_restart(&w->bed);
	coordinator_begin(w);
	lead_both(w);
}

/* ---- calls ---- */

static void
called(struct group_call *call)
{
	CHECK(loop_is_current(call->loop));
	call->coordinator = NULL;	/* seen */
}

static void
call_begins(struct world *w, struct group_call *call)
{
	call->loop = w->bed.loop;
	call->arena = &w->bed.arena;
	call->done = called;
}

static bool
answered(const struct group_call *call)
{
	return (call->coordinator == NULL);
}

static enum kerr
commit_as(struct world *w, const char *group, const char *member, int32_t generation, const char *topic, int32_t partition, int64_t offset,
    const char *metadata)
{
	struct group_commit_item it = { .topic = slice_str(topic), .partition = partition, .offset = offset, .leader_epoch = 3,
	    .metadata = slice_str(metadata), .commit_timestamp_ms = -1, .error = KERR_UNKNOWN_SERVER_ERROR };
	struct group_commit_call m = { .group = slice_str(group), .member_id = slice_str(member), .generation = generation, .retention_ms = -1,
	    .items = &it, .nitems = 1 };

	call_begins(w, &m.call);
	group_coordinator_commit(w->c, &m);
	bed_run(&w->bed);
	CHECK(answered(&m.call));
	return (it.error);
}

static enum kerr
commit(struct world *w, const char *group, const char *topic, int32_t partition, int64_t offset)
{
	return (commit_as(w, group, "", -1, topic, partition, offset, "m"));
}

static struct group_fetch_row
fetch_as(struct world *w, const char *group, const char *topic, int32_t partition, bool stable, enum kerr error)
{
	struct group_fetch_row row = { .topic = slice_str(topic), .partition = partition, .offset = -7 };
	struct group_fetch_item it = { .group = slice_str(group), .rows = &row, .nrows = 1 };
	struct group_fetch_call f = { .require_stable = stable, .items = &it, .nitems = 1 };

	call_begins(w, &f.call);
	group_coordinator_fetch_offsets(w->c, &f);
	bed_run(&w->bed);
	CHECK(answered(&f.call));
	CHECK_EQ(f.call.error, KERR_NONE);
	CHECK_EQ(it.error, error);
	return (row);
}

static int64_t
fetch(struct world *w, const char *group, const char *topic, int32_t partition)
{
	return (fetch_as(w, group, topic, partition, false, KERR_NONE).offset);
}

/* The answer of a call that only the loop's turns bring, not the workers'. */
static void
fetch_while_loading(struct world *w)
{
	struct group_fetch_row row = { .topic = SLICE_LIT("t") };
	struct group_fetch_item it = { .group = SLICE_LIT(G0), .rows = &row, .nrows = 1 };
	struct group_fetch_call f = { .items = &it, .nitems = 1 };

	call_begins(w, &f.call);
	group_coordinator_fetch_offsets(w->c, &f);
	while (!answered(&f.call))
		(void)loop_turn(w->bed.loop, 0);
	CHECK_EQ(it.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
}

static struct group_describe_item
describe(struct world *w, const char *group)
{
	struct group_describe_item it = { .group = slice_str(group) };
	struct group_describe_call d = { .items = &it, .nitems = 1 };

	call_begins(w, &d.call);
	group_coordinator_describe(w->c, &d);
	bed_run(&w->bed);
	CHECK(answered(&d.call));
	return (it);
}

static bool
is_state(struct world *w, const char *group, const char *state)
{
	struct group_describe_item it = describe(w, group);

	return (it.error == KERR_NONE && slice_eq_str(it.state, state));
}

static enum kerr
delete_group(struct world *w, const char *group)
{
	struct group_delete_item it = { .group = slice_str(group), .error = KERR_UNKNOWN_SERVER_ERROR };
	struct group_delete_call d = { .items = &it, .nitems = 1 };

	call_begins(w, &d.call);
	group_coordinator_delete_groups(w->c, &d);
	bed_run(&w->bed);
	CHECK(answered(&d.call));
	return (it.error);
}

/* A consumer of topic "t". */
static const uint8_t subscription[] = { 0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff };
static const struct group_protocol range = { { (const uint8_t *)"range", 5 }, { subscription, sizeof(subscription) } };

struct member {
	struct group_join_call join;
	struct group_sync_call sync;
	struct group_assignment assignment;
	char	 id[128], share[32];	/* what it assigns to itself; "": "all" */
	int32_t	 generation;
	void   (*synced)(struct group_call *);	/* NULL: called */
};

static void
member_asks_to_join(struct world *w, struct member *m, const char *group)
{
	m->join = (struct group_join_call){ .group = slice_str(group) };
	m->join.join = (struct group_join){ .member_id = slice_str(m->id), .client_id = SLICE_LIT("c"), .client_host = SLICE_LIT("/127.0.0.1"),
	    .protocol_type = SLICE_LIT("consumer"), .protocols = &range, .nprotocols = 1, .session_timeout_ms = 10000, .rebalance_timeout_ms = 20000 };
	call_begins(w, &m->join.call);
	group_coordinator_join(w->c, &m->join);
	bed_run(&w->bed);
}

static void
member_syncs(struct world *w, struct member *m, const char *group)
{
	m->assignment = (struct group_assignment){ slice_str(m->id), slice_str(m->share[0] == '\0' ? "all" : m->share) };
	m->sync = (struct group_sync_call){ .group = slice_str(group), .sync = { .member_id = slice_str(m->id), .generation = m->generation,
	    .assignments = &m->assignment, .nassignments = 1 } };
	call_begins(w, &m->sync.call);
	if (m->synced != NULL)
		m->sync.call.done = m->synced;
	group_coordinator_sync(w->c, &m->sync);
	bed_turn(&w->bed);		/* what waits for no disk is answered before that has done anything */
	bed_run(&w->bed);
}

static enum kerr
member_beats(struct world *w, const struct member *m, const char *group)
{
	struct group_heartbeat_call b = { .group = slice_str(group), .member_id = slice_str(m->id), .generation = m->generation };

	call_begins(w, &b.call);
	group_coordinator_heartbeat(w->c, &b);
	bed_run(&w->bed);
	CHECK(answered(&b.call));
	return (b.call.error);
}

static void
member_told(struct member *m)
{
	CHECK(answered(&m->join.call));
	CHECK_EQ(m->join.call.error, KERR_NONE);
	m->generation = m->join.join.answer.generation;
	snprintf(m->id, sizeof(m->id), "%.*s", (int)m->join.join.answer.member_id.len, (const char *)m->join.join.answer.member_id.p);
}

static void
member_settles(struct world *w, struct member *m, const char *group)
{
	memset(m, 0, sizeof(*m));
	member_asks_to_join(w, m, group);
	bed_pass(&w->bed, 200);
	member_told(m);
	member_syncs(w, m, group);
	CHECK(answered(&m->sync.call));
	CHECK_EQ(m->sync.call.error, KERR_NONE);
	CHECK(slice_eq_str(m->sync.sync.answer.assignment, "all"));
}

/* ---- tests ---- */

/* Java: Utils.abs("...".hashCode()) % 50. */
TEST(a_group_belongs_to_the_partition_of_javas_string_hash)
{
	static const struct {
		const char *id;
		int32_t partition;
	} rows[] = {
	    { "", 0 },
	    { "a", 47 },
	    { "group", 47 },
	    { "consumer-group", 38 },	/* -1738392088 */
	    { "polygenelubricants", 0 },		/* -2^31 */
	    { "gr\xc3\xbcn", 49 },		/* U+00FC */
	    { "\xf0\x9f\x98\x80", 49 },	/* a surrogate pair */
	};
	struct world w;

	world_init(&w);
	coordinator_end(&w);
	w.opt.loops = (struct loop *[]){ w.bed.loop, w.bed.loop2 };
	w.c = group_coordinator_new(&w.opt);
	group_coordinator_start(w.c, 50);
	for (size_t i = 0; i < NELEM(rows); i++)
		CHECK_EQ(group_coordinator_partition(w.c, slice_str(rows[i].id)), rows[i].partition);
	world_fini(&w);
}

TEST(commits_without_a_group_are_kept_over_a_restart_on_both_loops)
{
	struct group_fetch_row r;
	struct world w;

	world_init(&w);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(commit(&w, G0, "t", i % 4, 100 + i), KERR_NONE);
		CHECK_EQ(commit(&w, G1, "u", i % 4, 200 + i), KERR_NONE);
	}
	CHECK_EQ(commit(&w, "", "t", 0, 5), KERR_NONE);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 4; i++) {
			CHECK_EQ(fetch(&w, G0, "t", i), 136 + i);
			CHECK_EQ(fetch(&w, G1, "u", i), 236 + i);
		}
		CHECK_EQ(fetch(&w, "", "t", 0), 5);
		CHECK_EQ(fetch(&w, G0, "u", 0), -1);
		CHECK_EQ(fetch(&w, "nobody", "t", 0), -1);
		r = fetch_as(&w, G0, "t", 1, true, KERR_NONE);
		CHECK_EQ(r.leader_epoch, 3);
		CHECK(slice_eq_str(r.metadata, "m"));
		CHECK(is_state(&w, G0, "Empty") && is_state(&w, "nobody", "Dead"));
		world_restart(&w);
	}
	world_fini(&w);
}

TEST(every_codec_of_the_offsets_topic_is_written_and_loaded)
{
	for (int codec = 0; codec < CODEC_COUNT_; codec++) {
		struct world w;

		if (!codec_built_in((enum codec)codec))
			continue;
		world_init(&w);
		coordinator_end(&w);
		w.opt.codec = (enum codec)codec;
		coordinator_begin(&w);
		lead_both(&w);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(commit(&w, G0, "t", i, i), KERR_NONE);
		world_restart(&w);
		for (int i = 0; i < 20; i++)
			CHECK_EQ(fetch(&w, G0, "t", i), i);
		world_fini(&w);
	}
}

TEST(a_group_goes_on_in_its_generation_after_a_restart)
{
	struct group_describe_item d;
	struct member m;
	struct world w;

	world_init(&w);
	member_settles(&w, &m, G1);
	CHECK_EQ(member_beats(&w, &m, G1), KERR_NONE);
	CHECK_EQ(commit_as(&w, G1, m.id, m.generation, "t", 0, 7, NULL), KERR_NONE);
	CHECK_EQ(commit_as(&w, G1, m.id, m.generation + 1, "t", 0, 8, NULL), KERR_ILLEGAL_GENERATION);
	CHECK_EQ(commit_as(&w, G1, "who", m.generation, "t", 0, 8, NULL), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(commit(&w, G1, "t", 0, 8), KERR_UNKNOWN_MEMBER_ID);
	CHECK_EQ(commit_as(&w, "none", "", 3, "t", 0, 8, NULL), KERR_ILLEGAL_GENERATION);
	world_restart(&w);
	d = describe(&w, G1);
	CHECK(slice_eq_str(d.state, "Stable") && slice_eq_str(d.protocol, "range") && slice_eq_str(d.protocol_type, "consumer"));
	CHECK_EQ(d.nmembers, 1);
	CHECK(slice_eq_str(d.members[0].member_id, m.id) && slice_eq_str(d.members[0].assignment, "all") && slice_eq_str(d.members[0].client_host, "/127.0.0.1"));
	CHECK_EQ(member_beats(&w, &m, G1), KERR_NONE);
	CHECK_EQ(fetch(&w, G1, "t", 0), 7);
	CHECK_EQ(commit_as(&w, G1, m.id, m.generation, "t", 0, 9, NULL), KERR_NONE);
	CHECK_EQ(delete_group(&w, G1), KERR_NON_EMPTY_GROUP);
	bed_pass(&w.bed, 11000);		/* its session is watched again */
	CHECK(is_state(&w, G1, "Empty"));
	world_restart(&w);
	CHECK(is_state(&w, G1, "Empty"));
	CHECK_EQ(fetch(&w, G1, "t", 0), 9);
	world_fini(&w);
}

TEST(whoever_waits_is_answered_when_the_partition_is_led_elsewhere)
{
	struct member first, joins, syncs;
	struct world w;

	world_init(&w);
	member_settles(&w, &first, G0);
	memset(&joins, 0, sizeof(joins));
	member_asks_to_join(&w, &joins, G0);
	CHECK(!answered(&joins.join.call));
	memset(&syncs, 0, sizeof(syncs));
	member_asks_to_join(&w, &syncs, G1);
	bed_pass(&w.bed, 200);
	member_told(&syncs);
	CHECK_EQ(bed_metadata(&w.bed, &(struct bed_role){ .topic = "x" }, true), KERR_NONE);
	CHECK_EQ(bed_role(&w.bed, &(struct bed_role){ .topic = GROUP_OFFSETS_TOPIC, .partition = 0, .leader = 2, .leader_epoch = 50, .partition_epoch = 50,
	    .isr = { 2, 1 }, .nisr = 2 }), KERR_NONE);
	CHECK(answered(&joins.join.call));
	CHECK_EQ(joins.join.call.error, KERR_NOT_COORDINATOR);
	CHECK_EQ(member_beats(&w, &first, G0), KERR_NOT_COORDINATOR);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NOT_COORDINATOR);
	CHECK_EQ(describe(&w, G0).error, KERR_NOT_COORDINATOR);
	CHECK_EQ(delete_group(&w, G0), KERR_NOT_COORDINATOR);
	fetch_as(&w, G0, "t", 0, false, KERR_NOT_COORDINATOR);
	group_coordinator_elected(w.c, 0, 49);		/* late news */
	bed_run(&w.bed);
	CHECK_EQ(member_beats(&w, &first, G0), KERR_NOT_COORDINATOR);
	member_syncs(&w, &syncs, G1);			/* the other partition has noticed nothing */
	CHECK_EQ(syncs.sync.call.error, KERR_NONE);
	CHECK_EQ(bed_lead(&w.bed, GROUP_OFFSETS_TOPIC, 0, 51), KERR_NONE);
	CHECK_EQ(member_beats(&w, &first, G0), KERR_NONE);
	world_fini(&w);
}

TEST(while_a_partition_loads_nobody_is_sent_away)
{
	struct group_heartbeat_call b = { .group = SLICE_LIT(G0), .member_id = SLICE_LIT("m"), .generation = 1 };
	struct group_sync_call s = { .group = SLICE_LIT(G0), .sync = { .member_id = SLICE_LIT("m"), .generation = 1 } };
	struct group_fetch_row row = { .topic = SLICE_LIT("t") };
	struct group_fetch_item it = { .group = SLICE_LIT(G0), .rows = &row, .nrows = 1 };
	struct group_fetch_call f = { .items = &it, .nitems = 1 };
	struct group_list_call l = { .nstates = 0 };
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	CHECK_EQ(commit(&w, G1, "t", 0, 2), KERR_NONE);
	group_coordinator_resigned(w.c, 0, -1);
	group_coordinator_elected(w.c, 0, w.epoch);
	while (loop_turn(w.bed.loop, 0))	/* its job waits for a worker */
		;
	CHECK(group_coordinator_busy(w.c));
	call_begins(&w, &b.call);
	call_begins(&w, &s.call);
	call_begins(&w, &f.call);
	call_begins(&w, &l.call);
	group_coordinator_heartbeat(w.c, &b);
	group_coordinator_sync(w.c, &s);
	group_coordinator_fetch_offsets(w.c, &f);
	group_coordinator_list(w.c, &l);
	for (int i = 0; i < 4; i++) {
		loop_turn(w.bed.loop, 0);
		loop_turn(w.bed.loop2, 0);
	}
	CHECK_EQ(b.call.error, KERR_NONE);
	CHECK_EQ(s.call.error, KERR_REBALANCE_IN_PROGRESS);
	CHECK_EQ(it.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK(answered(&l.call));
	CHECK_EQ(l.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(l.nrows, 1);
	group_coordinator_resigned(w.c, 0, -1);		/* the load is for nothing; the next one is another */
	group_coordinator_elected(w.c, 0, w.epoch);
	bed_run(&w.bed);
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	world_fini(&w);
}

/* ---- loads on threads of their own, one of which is held in its read ---- */

enum { PATIENCE_S = 20 };	/* of a test that fails */

static struct gate {
	pthread_mutex_t lock;
	pthread_cond_t	opened;
	pthread_t	ours;		/* passes */
	bool		closed;
	unsigned	held;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER };

static void
on_read(void *ctx, const char *what)
{
	(void)ctx;
	if (strstr(what, GROUP_OFFSETS_TOPIC "-0/") == NULL || pthread_equal(pthread_self(), gate.ours))
		return;
	pthread_mutex_lock(&gate.lock);
	gate.held++;
	while (gate.closed)
		pthread_cond_wait(&gate.opened, &gate.lock);
	gate.held--;
	pthread_mutex_unlock(&gate.lock);
}

static void
gate_set(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.ours = pthread_self();
	gate.closed = closed;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
}

static bool
gate_holds(void)
{
	bool holds;

	pthread_mutex_lock(&gate.lock);
	holds = gate.held > 0;
	pthread_mutex_unlock(&gate.lock);
	return (holds);
}

static bool
becomes_owned(struct world *w, const char *group)
{
	for (int ms = 0; ms < 1000 * PATIENCE_S && describe(w, group).error == KERR_COORDINATOR_LOAD_IN_PROGRESS; ms++)
		usleep(1000);
	return (describe(w, group).error == KERR_NONE);
}

/* Every call about a group of the partition that is being loaded: Kafka's answers. */
static void
refused_while_loading(struct world *w, const struct member *m)
{
	struct group_delete_offset gone = { .topic = SLICE_LIT("t") };
	struct group_delete_offsets_call d = { .group = SLICE_LIT(G0), .items = &gone, .nitems = 1 };
	struct group_leaving leaving = { .member_id = slice_str(m->id) };
	struct group_leave_call l = { .group = SLICE_LIT(G0), .members = &leaving, .nmembers = 1 };
	struct group_list_call list = { .nstates = 0 };
	struct member again = *m, fresh = { .generation = -1 };

	member_asks_to_join(w, &again, G0);
	member_asks_to_join(w, &fresh, G0);
	CHECK(answered(&again.join.call) && answered(&fresh.join.call));
	CHECK_EQ(again.join.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(fresh.join.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(commit_as(w, G0, m->id, m->generation, "t", 0, 99, NULL), KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(commit(w, G0, "t", 0, 99), KERR_COORDINATOR_LOAD_IN_PROGRESS);
	fetch_as(w, G0, "t", 0, false, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	fetch_as(w, G0, "t", 0, true, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	call_begins(w, &l.call);
	group_coordinator_leave(w->c, &l);
	call_begins(w, &d.call);
	group_coordinator_delete_offsets(w->c, &d);
	call_begins(w, &list.call);
	group_coordinator_list(w->c, &list);
	bed_run(&w->bed);
	CHECK(answered(&l.call) && answered(&d.call) && answered(&list.call));
	CHECK_EQ(l.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(d.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(delete_group(w, G0), KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK_EQ(describe(w, G0).error, KERR_COORDINATOR_LOAD_IN_PROGRESS);
	CHECK(slice_eq_str(describe(w, G0).state, ""));
	CHECK_EQ(list.call.error, KERR_COORDINATOR_LOAD_IN_PROGRESS);	/* with those that are known */
	CHECK(list.nrows == 1 && slice_eq_str(list.rows[0].group, G1));
	/* Who is in a group is not to be told otherwise, and old clients do not expect the code here. */
	CHECK_EQ(member_beats(w, m, G0), KERR_NONE);
	member_syncs(w, &again, G0);
	CHECK(answered(&again.sync.call));
	CHECK_EQ(again.sync.call.error, KERR_REBALANCE_IN_PROGRESS);
}

TEST(a_partition_whose_load_hangs_in_a_read_keeps_neither_others_from_being_loaded_nor_anybody_from_an_answer)
{
	struct clock_manual clock;
	struct workers *pool = NULL;
	struct member m0, m1;
	struct world w;
	struct fs *fs;

	clock_manual_init(&clock, BED_NOW);
	fs = fs_power_new(&clock.clock);
	world_init_on(&w, fs, 0, false);
	member_settles(&w, &m0, G0);
	member_settles(&w, &m1, G1);
	CHECK_EQ(commit_as(&w, G0, m0.id, m0.generation, "t", 0, 10, NULL), KERR_NONE);
	CHECK_EQ(commit_as(&w, G1, m1.id, m1.generation, "t", 0, 20, NULL), KERR_NONE);
	coordinator_end(&w);
	REQUIRE(workers_new(2, "load", &pool, NULL) == OK);
	w.opt.workers = pool;
	gate_set(true);
	fs_power_watch(fs, FS_FAULT_READ, on_read, NULL);
	coordinator_begin(&w);
	lead_both(&w);
	for (int ms = 0; ms < 1000 * PATIENCE_S && !gate_holds(); ms++)
		usleep(1000);
	CHECK(gate_holds());
	CHECK(becomes_owned(&w, G1));
	CHECK_EQ(member_beats(&w, &m1, G1), KERR_NONE);
	CHECK_EQ(fetch(&w, G1, "t", 0), 20);
	CHECK_EQ(commit_as(&w, G1, m1.id, m1.generation, "t", 0, 21, NULL), KERR_NONE);
	refused_while_loading(&w, &m0);
	CHECK(gate_holds());
	gate_set(false);
	CHECK(becomes_owned(&w, G0));
	CHECK_EQ(member_beats(&w, &m0, G0), KERR_NONE);
	CHECK_EQ(fetch(&w, G0, "t", 0), 10);		/* what was refused has not happened */
	CHECK_EQ(commit_as(&w, G0, m0.id, m0.generation, "t", 0, 11, NULL), KERR_NONE);
	CHECK_EQ(fetch(&w, G1, "t", 0), 21);
	fs_power_watch(fs, 0, NULL, NULL);
	coordinator_end(&w);
	workers_free(&pool);		/* a thread may still be at the loop it has told */
	bed_fini(&w.bed);
	fs_power_free(&fs);
}

TEST(a_commit_whose_record_is_refused_or_too_late_never_happened)
{
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	w.bed.config.min_insync_replicas = 2;
	CHECK_EQ(bed_role(&w.bed, &(struct bed_role){ .topic = GROUP_OFFSETS_TOPIC, .partition = 0, .leader_epoch = 60, .partition_epoch = 60,
	    .isr = { 1 }, .nisr = 1, .replicas = { 1, 2 }, .nreplicas = 2 }), KERR_NONE);
	replica_topic_config_changed(w.bed.manager, GROUP_OFFSETS_TOPIC);
	CHECK_EQ(commit(&w, G0, "t", 0, 2), KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	w.bed.config.min_insync_replicas = 1;
	w.bed.config.rules.max_message_bytes = 60;
	replica_topic_config_changed(w.bed.manager, GROUP_OFFSETS_TOPIC);
	CHECK_EQ(commit(&w, G0, "t", 0, 3), KERR_INVALID_COMMIT_OFFSET_SIZE);
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	CHECK_EQ(commit_as(&w, G0, "", -1, "t", 0, 4, "eleven byte"), KERR_OFFSET_METADATA_TOO_LARGE);
	w.bed.config.rules.max_message_bytes = 1 << 20;
	replica_topic_config_changed(w.bed.manager, GROUP_OFFSETS_TOPIC);
	CHECK_EQ(commit_as(&w, G0, "", -1, "t", 0, 4, "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"), KERR_NONE);	/* six characters */
	CHECK_EQ(fetch(&w, G0, "t", 0), 4);
	world_fini(&w);
}

/* The commit waits for a replica that does not come: it is not to be seen, and its time runs out. */
TEST(a_commit_that_waits_for_replicas_is_not_visible_and_times_out)
{
	struct group_commit_item it = { .topic = SLICE_LIT("t"), .offset = 2, .leader_epoch = -1, .commit_timestamp_ms = -1, .error = KERR_UNKNOWN_SERVER_ERROR };
	struct group_commit_call m = { .group = SLICE_LIT(G0), .member_id = SLICE_LIT(""), .generation = -1, .retention_ms = -1, .items = &it, .nitems = 1 };
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	CHECK_EQ(bed_role(&w.bed, &(struct bed_role){ .topic = GROUP_OFFSETS_TOPIC, .partition = 0, .leader_epoch = 60, .partition_epoch = 60,
	    .isr = { 1, 2 }, .nisr = 2 }), KERR_NONE);
	call_begins(&w, &m.call);
	group_coordinator_commit(w.c, &m);
	bed_run(&w.bed);
	bed_pass(&w.bed, 4000);
	CHECK(!answered(&m.call));
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	bed_pass(&w.bed, 2000);
	CHECK(answered(&m.call));
	CHECK_EQ(it.error, KERR_REQUEST_TIMED_OUT);
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	world_fini(&w);
}

TEST(no_acknowledged_commit_is_lost_and_no_other_is_told_of_when_the_disk_dies_at_any_write)
{
	for (unsigned n = 1;; n++) {
		int64_t kept = 0, seen;
		struct world w;
		bool fired;

		world_init(&w);
		fs_fault_only(w.bed.fs, ".log");
		fs_fault_arm(w.bed.fs, FS_FAULT_WRITE, n, ERR_IO);
		for (int i = 1; i <= 4; i++) {
			enum kerr k = commit(&w, G0, "t", 0, i);

			CHECK(k == KERR_NONE || k == KERR_NOT_COORDINATOR);
			if (k == KERR_NONE)
				kept = i;
		}
		fired = fs_fault_fired(w.bed.fs);
		fs_fault_arm(w.bed.fs, 0, 0, OK);
		CHECK_EQ(kept == 4, !fired);
		if (fired)
			fetch_as(&w, G0, "t", 0, false, KERR_NOT_COORDINATOR);
		world_restart(&w);
		seen = fetch(&w, G0, "t", 0);
		CHECK(seen == kept || (seen == -1 && kept == 0));
		world_fini(&w);
		if (!fired)
			break;
		CHECK(n < 20);
	}
}

enum { LOSSES_MAX = 400 };

struct losses {
	struct fs *fs, *copies[LOSSES_MAX];
	int64_t	   acked[LOSSES_MAX], sent[LOSSES_MAX], acked_now, sent_now;
	unsigned   n;
	bool	   group_commit, generations;	/* else commits */
	struct member member;			/* generations: of this one */
};

static void
keep_loss(void *ctx, const char *what)
{
	struct losses *l = ctx;

	(void)what;
	if (l->n == LOSSES_MAX)
		return;
	l->acked[l->n] = l->acked_now;
	l->sent[l->n] = l->sent_now;
	l->copies[l->n++] = fs_power_copy(l->fs);
}

static void
commits_are_there(struct world *w, int64_t acked, int64_t sent)
{
	int64_t seen = MAX(fetch(w, G0, "t", 0), 0);

	CHECK_GE(seen, acked);
	CHECK_GE(sent, seen);
	CHECK_EQ(commit(w, G0, "t", 0, 77), KERR_NONE);
	CHECK_EQ(fetch(w, G0, "t", 0), 77);
}

/* The generation whose assignment the member was told is there with it, or the one whose record was on its way; and the group goes on from it. */
static void
generation_is_there(struct world *w, const struct losses *l, int64_t acked, int64_t sent)
{
	struct group_describe_item d = describe(w, G0);
	struct member m = l->member, fresh;
	int seen;

	CHECK_EQ(d.error, KERR_NONE);
	m.synced = NULL;
	if (acked == 0 && slice_eq_str(d.state, "Dead")) {
		member_settles(w, &fresh, G0);
		CHECK_EQ(fresh.generation, 1);
		return;
	}
	CHECK(slice_eq_str(d.state, "Stable") && slice_eq_str(d.protocol, "range"));
	REQUIRE(d.nmembers == 1 && slice_eq_str(d.members[0].member_id, m.id));
	snprintf(m.share, sizeof(m.share), "%.*s", (int)MIN(d.members[0].assignment.len, 20), (const char *)d.members[0].assignment.p);
	REQUIRE(sscanf(m.share, "share %d", &seen) == 1);
	CHECK_GE(seen, acked);
	CHECK_GE(sent, seen);
	m.generation = seen;
	CHECK_EQ(member_beats(w, &m, G0), KERR_NONE);
	member_asks_to_join(w, &m, G0);
	member_told(&m);
	CHECK_EQ(m.generation, seen + 1);
	member_syncs(w, &m, G0);
	CHECK_EQ(m.sync.call.error, KERR_NONE);
}

/* seed 0: killed. */
static void
look_after_loss(struct losses *l, unsigned i, uint64_t seed)
{
	struct fs *after = seed == 0 ? fs_power_copy(l->copies[i]) : fs_power_lost(l->copies[i], seed);
	struct world w;

	world_init_on(&w, after, 50, l->group_commit);
	if (l->generations)
		generation_is_there(&w, l, l->acked[i], l->sent[i]);
	else
		commits_are_there(&w, l->acked[i], l->sent[i]);
	world_fini(&w);
	fs_power_free(&after);
}

static void
share_told(struct group_call *call)
{
	struct losses *l = CONTAINER_OF(call, struct losses, member.sync.call);

	called(call);
	if (call->error == KERR_NONE)
		l->acked_now = l->member.generation;
}

/* The member, its group's leader, joins again, which makes generation i, and assigns. */
static void
next_generation(struct world *w, struct losses *l, int i)
{
	struct member *m = &l->member;

	member_asks_to_join(w, m, G0);
	if (i == 1)
		bed_pass(&w->bed, 200);
	member_told(m);
	CHECK_EQ(m->generation, i);
	CHECK(is_state(w, G0, "CompletingRebalance"));
	snprintf(m->share, sizeof(m->share), "share %d", i);
	m->synced = share_told;
	member_syncs(w, m, G0);
	CHECK(answered(&m->sync.call));
	CHECK_EQ(l->acked_now, i);
	CHECK_EQ(m->sync.call.error, KERR_NONE);
	CHECK(slice_eq_str(m->sync.sync.answer.assignment, m->share));
}

static void
lose_power_at_any_call(bool group_commit, bool generations)
{
	struct losses *l = xcalloc(1, sizeof(*l));
	struct clock_manual clock;
	struct world w;

	l->group_commit = group_commit;
	l->generations = generations;
	clock_manual_init(&clock, BED_NOW);
	l->fs = fs_power_new(&clock.clock);
	fs_power_watch(l->fs, FS_FAULT_SYNC | FS_FAULT_SYNC_DIR | FS_FAULT_RENAME | FS_FAULT_UNLINK | FS_FAULT_MKDIR, keep_loss, l);
	world_init_on(&w, l->fs, 0, group_commit);
	for (int i = 1; i <= 6; i++) {
		l->sent_now = i;
		if (generations)
			next_generation(&w, l, i);
		else if (commit(&w, G0, "t", 0, i) == KERR_NONE)
			l->acked_now = i;
		CHECK_EQ(l->acked_now, i);
		log_dirs_checkpoint_recovery_points(w.bed.dirs);
	}
	world_fini(&w);
	CHECK_GE(l->n, 60);
	for (unsigned i = 0; i < l->n; i++) {
		if (i % 4 < (generations ? 1 : 2))
			look_after_loss(l, i, 0);
		for (uint64_t k = 1; k <= (generations ? 1 : 3); k++)
			look_after_loss(l, i, unit_seed() * 1000 + i * 10 + k);
	}
	for (unsigned i = 0; i < l->n; i++)
		fs_power_free(&l->copies[i]);
	fs_power_free(&l->fs);
	free(l);
}

TEST(no_acknowledged_commit_that_was_flushed_is_lost_when_power_is_at_any_call)
{
	lose_power_at_any_call(false, false);	/* flush.messages=1 */
	lose_power_at_any_call(true, false);
}

TEST(no_generation_whose_shares_were_handed_out_and_flushed_is_lost_when_power_is_at_any_call)
{
	lose_power_at_any_call(false, true);
	lose_power_at_any_call(true, true);
}

TEST(deleted_and_expired_offsets_do_not_come_back)
{
	struct group_delete_offset it[2] = { { .topic = SLICE_LIT("t"), .partition = 0 }, { .topic = SLICE_LIT("u"), .partition = 0 } };
	struct group_delete_offsets_call d = { .group = SLICE_LIT(G1), .items = it, .nitems = 2 };
	struct member m;
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	CHECK_EQ(delete_group(&w, G0), KERR_NONE);
	CHECK_EQ(delete_group(&w, G0), KERR_GROUP_ID_NOT_FOUND);
	CHECK(is_state(&w, G0, "Dead"));
	member_settles(&w, &m, G1);
	CHECK_EQ(commit_as(&w, G1, m.id, m.generation, "t", 0, 7, NULL), KERR_NONE);
	CHECK_EQ(commit_as(&w, G1, m.id, m.generation, "u", 0, 8, NULL), KERR_NONE);
	call_begins(&w, &d.call);
	group_coordinator_delete_offsets(w.c, &d);
	bed_run(&w.bed);
	CHECK(answered(&d.call));
	CHECK_EQ(d.call.error, KERR_NONE);
	CHECK_EQ(it[0].error, KERR_GROUP_SUBSCRIBED_TO_TOPIC);
	CHECK_EQ(it[1].error, KERR_NONE);
	world_restart(&w);
	CHECK(is_state(&w, G0, "Dead"));
	CHECK_EQ(fetch(&w, G1, "t", 0), 7);
	CHECK_EQ(fetch(&w, G1, "u", 0), -1);
	bed_pass(&w.bed, 11000);
	for (int i = 0; i < 8; i++)
		bed_pass(&w.bed, 600000);
	CHECK(is_state(&w, G1, "Dead"));
	world_restart(&w);
	CHECK(is_state(&w, G1, "Dead"));
	CHECK_EQ(fetch(&w, G1, "t", 0), -1);
	world_fini(&w);
}

/* Deletions while commits are on their way: OffsetDelete, the topic's, DeleteGroups.  The first commits of their partitions, and one so large that a
 * worker validates it: the tombstones must be behind it in the log. */
static void
delete_behind_a_commit(int how, bool large)
{
	static const uint8_t metadata[30000] = { 0 };
	enum { N = 20 };
	struct group_commit_item it[N];
	struct group_commit_call m = { .group = SLICE_LIT(G0), .member_id = SLICE_LIT(""), .generation = -1, .retention_ms = -1, .items = it, .nitems = N };
	struct group_delete_offset gone = { .topic = SLICE_LIT("t"), .partition = 3 };
	struct group_delete_offsets_call d = { .group = SLICE_LIT(G0), .items = &gone, .nitems = 1 };
	struct group_delete_item dead = { .group = SLICE_LIT(G0) };
	struct group_delete_call e = { .items = &dead, .nitems = 1 };
	struct world w;

	world_init(&w);
	coordinator_end(&w);
	w.opt.metadata_max = INT16_MAX;
	coordinator_begin(&w);
	lead_both(&w);
	for (int32_t i = 0; i < N; i++)
		it[i] = (struct group_commit_item){ .topic = SLICE_LIT("t"), .partition = i, .offset = i + 100, .leader_epoch = -1, .commit_timestamp_ms = -1,
		    .metadata = slice_of(metadata, large ? sizeof(metadata) : 1) };
	call_begins(&w, &m.call);
	group_coordinator_commit(w.c, &m);
	CHECK(!answered(&m.call));
	call_begins(&w, &d.call);
	call_begins(&w, &e.call);
	if (how == 0)
		group_coordinator_delete_offsets(w.c, &d);
	else if (how == 1)
		group_coordinator_topic_deleted(w.c, SLICE_LIT("t"));
	else
		group_coordinator_delete_groups(w.c, &e);
	bed_run(&w.bed);
	CHECK(answered(&m.call));
	CHECK(how == 0 ? answered(&d.call) : how == 1 || answered(&e.call));
	for (int turn = 0; turn < 2; turn++) {
		CHECK_EQ(fetch(&w, G0, "t", 3), -1);
		CHECK_EQ(fetch(&w, G0, "t", 4), how == 0 ? 104 : -1);
		world_restart(&w);
	}
	CHECK(is_state(&w, G0, how == 0 ? "Empty" : "Dead"));
	world_fini(&w);
}

TEST(what_is_deleted_while_it_is_being_committed_does_not_come_back_with_the_next_load)
{
	for (int how = 0; how < 3; how++) {
		delete_behind_a_commit(how, false);
		delete_behind_a_commit(how, true);
	}
}

TEST(any_number_may_stand_for_the_time_that_a_commit_is_kept)
{
	static const struct { int64_t retention, timestamp; bool kept; } rows[] = {
	    { INT64_MAX, -1, true }, { INT64_MIN, -1, false }, { -2, -1, false }, { 0, -1, false }, { -1, INT64_MAX, true }, { -1, INT64_MIN, true }, { -1, 0, false } };
	struct world w;

	world_init(&w);
	for (int32_t i = 0; i < (int32_t)NELEM(rows); i++) {
		struct group_commit_item it = { .topic = SLICE_LIT("t"), .partition = i, .offset = 7, .leader_epoch = -1, .metadata = SLICE_LIT(""),
		    .commit_timestamp_ms = rows[i].timestamp };
		struct group_commit_call m = { .group = SLICE_LIT(G0), .member_id = SLICE_LIT(""), .generation = -1, .retention_ms = rows[i].retention,
		    .items = &it, .nitems = 1 };

		call_begins(&w, &m.call);
		group_coordinator_commit(w.c, &m);
		bed_run(&w.bed);
		CHECK_EQ(it.error, KERR_NONE);
	}
	for (int restart = 0; restart < 2; restart++) {
		bed_pass(&w.bed, 600000);
		for (int32_t i = 0; i < (int32_t)NELEM(rows); i++)
			CHECK_EQ(fetch(&w, G0, "t", i), rows[i].kept ? 7 : -1);
		world_restart(&w);
	}
	world_fini(&w);
}

TEST(offsets_of_a_deleted_topic_go_with_it_and_so_does_a_group_that_has_no_others)
{
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	CHECK_EQ(commit(&w, G0, "u", 0, 2), KERR_NONE);
	CHECK_EQ(commit(&w, G1, "t", 3, 3), KERR_NONE);
	group_coordinator_topic_deleted(w.c, SLICE_LIT("t"));
	bed_run(&w.bed);
	for (int turn = 0; turn < 2; turn++) {
		CHECK_EQ(fetch(&w, G0, "t", 0), -1);
		CHECK_EQ(fetch(&w, G0, "u", 0), 2);
		CHECK(is_state(&w, G1, "Dead"));
		world_restart(&w);
	}
	world_fini(&w);
}

/* ---- rounds through many groups ---- */

enum { MANY = 1800 };

/* The i-th group of partition 0 of a row of them. */
static const char *
many_id(const struct world *w, unsigned i)
{
	static char id[MANY][16];
	static unsigned made, n;

	while (made <= i) {
		snprintf(id[made], sizeof(id[0]), "many-%u", n++);
		made += group_coordinator_partition(w->c, slice_str(id[made])) == 0;
	}
	return (id[i]);
}

static void
commit_many(struct world *w)
{
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_EQ(commit(w, many_id(w, i), "t", 0, 1), KERR_NONE);
		if (i % 3 == 0)
			CHECK_EQ(commit(w, many_id(w, i), "u", 0, 2), KERR_NONE);
	}
}

static void
list_begins(struct world *w, struct group_list_call *l)
{
	*l = (struct group_list_call){ .nstates = 0 };
	call_begins(w, &l->call);
	group_coordinator_list(w->c, l);
}

static uint32_t
listed(struct world *w)
{
	struct group_list_call l;

	list_begins(w, &l);
	bed_run(&w->bed);
	CHECK(answered(&l.call));
	return (l.nrows);
}

TEST(offsets_of_many_groups_expire_a_few_groups_in_a_turn_and_calls_are_answered_in_between)
{
	struct group_list_call l;
	struct world w;
	uint32_t left;

	world_init(&w);
	commit_many(&w);
	clock_manual_advance_ns(&w.bed.clock, MAX(w.opt.retention_ms, w.opt.retention_check_ms) * 1000000);
	list_begins(&w, &l);
	(void)loop_turn(w.bed.loop, 0);		/* the timer first, then the call */
	bed_run(&w.bed);
	CHECK(answered(&l.call));
	left = l.nrows;
	REQUIRE(left > MANY / 2 && left < MANY);
	/* Of those that are still to come some go, the very next one first, some go on, one is new. */
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(delete_group(&w, many_id(&w, MANY - left + i)), KERR_NONE);
	CHECK_EQ(delete_group(&w, many_id(&w, MANY - 1)), KERR_NONE);
	CHECK_EQ(commit(&w, many_id(&w, MANY - 2), "t", 0, 3), KERR_NONE);
	CHECK_EQ(commit(&w, "new", "t", 0, 4), KERR_NONE);
	for (unsigned ms = 0; ms < 20; ms++)
		bed_pass(&w.bed, 1);
	for (int restart = 0; restart < 2; restart++) {
		CHECK_EQ(listed(&w), 2);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 2), "t", 0), 3);
		CHECK_EQ(fetch(&w, "new", "t", 0), 4);
		world_restart(&w);
	}
	world_fini(&w);
}

static void
one_commit_begins(struct world *w, struct group_commit_call *m, struct group_commit_item *it, const char *group, const char *topic, int64_t offset)
{
	*it = (struct group_commit_item){ .topic = slice_str(topic), .offset = offset, .leader_epoch = -1, .commit_timestamp_ms = -1,
	    .error = KERR_UNKNOWN_SERVER_ERROR };
	*m = (struct group_commit_call){ .group = slice_str(group), .member_id = SLICE_LIT(""), .generation = -1, .retention_ms = -1, .items = it, .nitems = 1 };
	call_begins(w, &m->call);
	group_coordinator_commit(w->c, m);
}

/* Calls that come while the deletion goes round see the end of it: nothing of the old topic, and what is committed for a new one stays. */
TEST(a_deleted_topic_is_gone_from_many_groups_at_once_though_a_few_are_gone_through_in_a_turn)
{
	struct group_delete_item dead[MANY / 2];
	struct group_delete_call d = { .items = dead, .nitems = NELEM(dead) };
	struct group_fetch_row row[2] = { { .topic = SLICE_LIT("t"), .offset = -7 }, { .topic = SLICE_LIT("u"), .offset = -7 } };
	struct group_fetch_item f;
	struct group_fetch_call fc = { .items = &f, .nitems = 1 };
	struct group_commit_item it[4];
	struct group_commit_call m[4];
	struct group_list_call l;
	struct world w;

	world_init(&w);
	commit_many(&w);
	f = (struct group_fetch_item){ .group = slice_str(many_id(&w, MANY - 6)), .rows = row, .nrows = 2 };
	group_coordinator_topic_deleted(w.c, SLICE_LIT("t"));
	one_commit_begins(&w, &m[0], &it[0], many_id(&w, MANY - 1), "t", 5);	/* has ended by that, and is new */
	one_commit_begins(&w, &m[1], &it[1], many_id(&w, MANY - 3), "t", 6);	/* has "u", too */
	one_commit_begins(&w, &m[2], &it[2], many_id(&w, 0), "t", 7);		/* the deletion has been there */
	call_begins(&w, &fc.call);
	group_coordinator_fetch_offsets(w.c, &fc);
	list_begins(&w, &l);
	for (unsigned i = 0; i < NELEM(dead); i++)
		dead[i] = (struct group_delete_item){ .group = slice_str(many_id(&w, i + 1)) };
	call_begins(&w, &d.call);
	group_coordinator_delete_groups(w.c, &d);		/* among them the next one that it would come to */
	(void)loop_turn(w.bed.loop, 0);
	CHECK(answered(&fc.call));
	CHECK(row[0].offset == -1 && row[1].offset == 2);
	group_coordinator_topic_deleted(w.c, SLICE_LIT("u"));	/* the other one is still going round */
	one_commit_begins(&w, &m[3], &it[3], many_id(&w, MANY - 9), "u", 8);
	(void)loop_turn(w.bed.loop, 0);
	bed_run(&w.bed);
	CHECK(answered(&l.call) && answered(&d.call));
	CHECK(l.nrows > MANY / 2 && l.nrows < MANY);
	for (unsigned i = 0; i < NELEM(dead); i++)
		CHECK_EQ(dead[i].error, i % 3 == 2 ? KERR_NONE : KERR_GROUP_ID_NOT_FOUND);	/* has "u", too; or has ended before */
	for (unsigned i = 0; i < NELEM(m); i++) {
		CHECK(answered(&m[i].call));
		CHECK_EQ(it[i].error, KERR_NONE);
	}
	for (int restart = 0; restart < 2; restart++) {
		CHECK_EQ(listed(&w), 4);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 1), "t", 0), 5);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 3), "t", 0), 6);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 3), "u", 0), -1);
		CHECK_EQ(fetch(&w, many_id(&w, 0), "t", 0), 7);
		CHECK_EQ(fetch(&w, many_id(&w, 0), "u", 0), -1);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 9), "u", 0), 8);
		CHECK_EQ(fetch(&w, many_id(&w, MANY - 9), "t", 0), -1);
		world_restart(&w);
	}
	world_fini(&w);
}

TEST(a_partition_may_go_and_come_back_and_the_coordinator_stop_while_a_deletion_goes_round)
{
	struct world w;

	world_init(&w);
	commit_many(&w);
	group_coordinator_topic_deleted(w.c, SLICE_LIT("t"));
	(void)loop_turn(w.bed.loop, 0);
	group_coordinator_resigned(w.c, 0, -1);
	group_coordinator_elected(w.c, 0, w.epoch);
	bed_run(&w.bed);
	CHECK_EQ(fetch(&w, many_id(&w, 0), "t", 0), -1);
	CHECK_EQ(fetch(&w, many_id(&w, 0), "u", 0), 2);
	CHECK_EQ(commit(&w, many_id(&w, 0), "t", 0, 9), KERR_NONE);
	CHECK_EQ(fetch(&w, many_id(&w, 0), "t", 0), 9);
	group_coordinator_topic_deleted(w.c, SLICE_LIT("u"));
	(void)loop_turn(w.bed.loop, 0);
	CHECK(group_coordinator_busy(w.c));
	world_restart(&w);
	CHECK_EQ(fetch(&w, many_id(&w, 0), "t", 0), 9);
	CHECK_EQ(fetch(&w, many_id(&w, 0), "u", 0), -1);
	world_fini(&w);
}

TEST(many_groups_of_both_loops_in_one_call)
{
	struct group_describe_item d[3] = { { .group = SLICE_LIT(G1) }, { .group = SLICE_NULL }, { .group = SLICE_LIT(G0) } };
	struct group_describe_call dc = { .items = d, .nitems = 3 };
	struct group_fetch_item f[2] = { { .group = SLICE_LIT(G0), .all = true }, { .group = SLICE_LIT(G1), .all = true } };
	struct group_fetch_call fc = { .items = f, .nitems = 2 };
	struct group_delete_item x[2] = { { .group = SLICE_LIT(G1) }, { .group = SLICE_LIT(G0) } };
	struct group_delete_call xc = { .items = x, .nitems = 2 };
	struct slice empty = SLICE_LIT("eMPTY"), other = SLICE_LIT("Stable");
	struct group_list_call l = { .states = &empty, .nstates = 1 }, none = { .states = &other, .nstates = 1 };
	struct world w;

	world_init(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	CHECK_EQ(commit(&w, G0, "t", 1, 2), KERR_NONE);
	CHECK_EQ(commit(&w, G1, "t", 0, 3), KERR_NONE);
	call_begins(&w, &dc.call);
	call_begins(&w, &fc.call);
	call_begins(&w, &l.call);
	call_begins(&w, &none.call);
	call_begins(&w, &xc.call);
	group_coordinator_describe(w.c, &dc);
	group_coordinator_fetch_offsets(w.c, &fc);
	group_coordinator_list(w.c, &l);
	group_coordinator_list(w.c, &none);
	bed_run(&w.bed);
	CHECK(answered(&dc.call) && answered(&fc.call) && answered(&l.call) && answered(&none.call));
	CHECK(slice_eq_str(d[0].state, "Empty") && slice_eq_str(d[2].state, "Empty"));
	CHECK_EQ(d[1].error, KERR_INVALID_GROUP_ID);
	CHECK_EQ(f[0].nrows, 2);
	CHECK_EQ(f[1].nrows, 1);
	CHECK_EQ(f[0].rows[0].offset + f[0].rows[1].offset, 3);
	CHECK_EQ(f[1].rows[0].offset, 3);
	CHECK_EQ(l.nrows, 2);
	CHECK_EQ(none.nrows, 0);
	group_coordinator_delete_groups(w.c, &xc);
	bed_run(&w.bed);
	CHECK(answered(&xc.call));
	CHECK(x[0].error == KERR_NONE && x[1].error == KERR_NONE);
	world_fini(&w);
}

TEST(after_the_stop_every_call_is_refused_and_a_waiting_join_has_its_answer)
{
	struct member joins;
	struct world w;

	world_init(&w);
	memset(&joins, 0, sizeof(joins));
	member_asks_to_join(&w, &joins, G1);
	CHECK(!answered(&joins.join.call));
	group_coordinator_stop(w.c);
	bed_run(&w.bed);
	CHECK(answered(&joins.join.call));
	CHECK_EQ(joins.join.call.error, KERR_NOT_COORDINATOR);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(member_beats(&w, &joins, G1), KERR_COORDINATOR_NOT_AVAILABLE);
	CHECK_EQ(member_beats(&w, &joins, ""), KERR_INVALID_GROUP_ID);
	world_fini(&w);
}

static void
dirs_altered(struct replica_alter_dirs *r)
{
	r->loop = NULL;
}

static void
moves_to(struct world *w, const char *dir, struct replica_alter_dirs *r, struct replica_dir_item *item)
{
	*item = (struct replica_dir_item){ .topic = SLICE_LIT(GROUP_OFFSETS_TOPIC), .partition = 0, .dir = slice_str(dir) };
	*r = (struct replica_alter_dirs){ .items = item, .nitems = 1, .loop = w->bed.loop, .done = dirs_altered };
	replica_alter_dirs(w->bed.manager, r);
}

static bool
is_in(struct world *w, const char *dir)
{
	struct partition *p = replica_partition(w->bed.manager, SLICE_LIT(GROUP_OFFSETS_TOPIC), 0);
	bool in = strcmp(log_dir(partition_log(p)), dir) == 0;

	partition_unref(&p);
	return (in);
}

/* The log is moved while it is loaded, and the old one put away, or its directory fails, before the load is through.  after: how many
 * turns the load has had. */
static void
move_under_a_load(bool dies, unsigned after)
{
	enum { N = 400 };
	struct replica_alter_dirs r;
	struct replica_dir_item item;
	struct world w;

	world_init_dirs(&w, 2);
	for (int i = 0; i < N; i++)
		CHECK_EQ(commit(&w, G0, "t", i % 100, i), KERR_NONE);
	CHECK(is_in(&w, w.bed.paths[0]));
	group_coordinator_resigned(w.c, 0, -1);
	bed_run(&w.bed);
	group_coordinator_elected(w.c, 0, w.epoch);
	for (unsigned i = 0; i < after; i++) {
		(void)loop_turn(w.bed.loop, 0);
		(void)workers_step(w.bed.workers);
	}
	fetch_while_loading(&w);
	moves_to(&w, w.bed.paths[1], &r, &item);
	while (!is_in(&w, w.bed.paths[1])) {
		(void)loop_turn(w.bed.control, 0);
		(void)loop_turn(w.bed.loop, 0);
		(void)workers_step(w.bed.workers);
	}
	fetch_while_loading(&w);
	if (dies) {
		fs_fault_only(w.bed.fs, w.bed.paths[0]);
		fs_fault_stay(w.bed.fs, true);
		fs_fault_arm(w.bed.fs, FS_FAULT_READ, 1, ERR_IO);
	}
	bed_settle(&w.bed);
	CHECK(r.loop == NULL);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(fetch(&w, G0, "t", i), N - 100 + i);
	CHECK_EQ(commit(&w, G0, "t", 7, 7), KERR_NONE);
	fs_fault_arm(w.bed.fs, 0, 0, OK);
	world_fini(&w);
}

TEST(a_log_that_moves_to_another_directory_while_it_is_loaded_is_loaded_from_there)
{
	move_under_a_load(false, 1);
	move_under_a_load(false, 20);
	move_under_a_load(true, 1);
	move_under_a_load(true, 20);
}

/* ---- what lies in the log ---- */

/* Past the coordinator, as a Java one has written it. */
static void
put(struct world *w, uint8_t *bytes, size_t len)
{
	struct partition *p = replica_partition(w->bed.manager, SLICE_LIT(GROUP_OFFSETS_TOPIC), 0);
	struct append_set set = { .records = bytes, .len = (uint32_t)len, .origin = APPEND_COORDINATOR, .leader_epoch = w->epoch, .txn_verified = true };

	CHECK_EQ(log_append(partition_log(p), &set), LOG_DONE);
	CHECK_EQ(set.result.error, KERR_NONE);
	partition_unref(&p);
	bed_run(&w->bed);
}

static void
put_record(struct world *w, struct slice key, struct slice value, int64_t producer)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct batch_builder *b;
	uint8_t *bytes;
	size_t len;

	o.producer_id = producer;
	o.transactional = producer >= 0;
	if (producer >= 0) {
		o.producer_epoch = 0;
		o.base_sequence = 0;
	}
	b = batch_builder_new(NULL, &o, NULL);
	must(batch_builder_append(b, BED_NOW, key, value, NULL, 0) == OK);
	must(batch_builder_finish(b, &bytes, &len, NULL) == OK);
	batch_builder_free(b);
	put(w, bytes, len);
	free(bytes);
}

static void
put_offset(struct world *w, const char *group, int32_t partition, int64_t offset, int64_t producer)
{
	struct group_key k = { .kind = GROUP_KEY_OFFSET, .group = slice_str(group), .topic = SLICE_LIT("t"), .partition = partition };
	struct offset_value v = { .offset = offset, .leader_epoch = -1, .metadata = SLICE_LIT(""), .commit_timestamp_ms = BED_NOW, .expire_timestamp_ms = -1 };
	uint8_t key[128], value[128];
	struct writer kw = writer_of(key, sizeof(key)), vw = writer_of(value, sizeof(value));

	group_key_encode(&kw, &k);
	offset_value_encode(&vw, &v);
	put_record(w, slice_of(key, wr_len(&kw)), slice_of(value, wr_len(&vw)), producer);
}

static void
put_marker(struct world *w, int64_t producer, enum control_type type)
{
	struct end_txn_marker m = { .timestamp_ms = BED_NOW, .producer_id = producer, .leader_epoch = -1, .type = type };
	uint8_t bytes[BATCH_END_TXN_BYTES];

	batch_end_txn_encode(bytes, &m);
	put(w, bytes, sizeof(bytes));
}

TEST(transactional_commits_count_when_their_marker_is_in_the_log)
{
	struct world w;

	world_init(&w);
	put_offset(&w, G0, 0, 10, -1);
	put_offset(&w, G0, 0, 20, 5);		/* committed */
	put_offset(&w, "d", 1, 21, 5);
	put_marker(&w, 5, CONTROL_COMMIT);
	put_offset(&w, G0, 1, 11, -1);
	put_offset(&w, G0, 1, 30, 6);		/* aborted */
	put_marker(&w, 6, CONTROL_ABORT);
	put_offset(&w, G0, 2, 12, -1);
	put_offset(&w, G0, 2, 40, 7);		/* open */
	put_offset(&w, G0, 3, 50, 8);		/* an older record than the plain one behind it */
	put_offset(&w, G0, 3, 51, -1);
	put_marker(&w, 8, CONTROL_COMMIT);
	world_restart(&w);
	CHECK_EQ(fetch(&w, G0, "t", 0), 20);
	CHECK_EQ(fetch(&w, "d", "t", 1), 21);
	CHECK_EQ(fetch(&w, G0, "t", 1), 11);
	CHECK_EQ(fetch(&w, G0, "t", 2), 12);
	CHECK_EQ(fetch(&w, G0, "t", 3), 51);
	CHECK_EQ(fetch_as(&w, G0, "t", 2, true, KERR_NONE).error, KERR_UNSTABLE_OFFSET_COMMIT);
	CHECK_EQ(fetch_as(&w, G0, "t", 1, true, KERR_NONE).error, KERR_NONE);
	world_fini(&w);
}

static uint64_t
log_size_of(struct world *w, int32_t partition)
{
	struct partition *p = replica_partition(w->bed.manager, SLICE_LIT(GROUP_OFFSETS_TOPIC), partition);
	uint64_t n = log_size(partition_log(p));

	partition_unref(&p);
	return (n);
}

/* One byte of partition 0's first segment is another. */
static void
damage(struct world *w, uint64_t at)
{
	char path[512];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "%s/" GROUP_OFFSETS_TOPIC "-0/00000000000000000000.log", w->bed.path);
	fd = open(path, O_RDWR);
	must(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= 0x40;
	must(pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
}

TEST(strange_and_damaged_records_are_stepped_over_and_harm_nobody_else)
{
	static const uint8_t later_key[] = { 0, 3, 0, 0 }, broken_key[] = { 0, 1, 0, 9, 'x' };
	struct group_key k = { .kind = GROUP_KEY_GROUP, .group = SLICE_LIT(G0) };
	uint8_t key[32];
	struct writer kw = writer_of(key, sizeof(key));
	struct world w;

	world_init(&w);
	put_offset(&w, G0, 0, 1, -1);
	put_record(&w, slice_of(later_key, sizeof(later_key)), SLICE_LIT("?"), -1);
	put_record(&w, slice_of(broken_key, sizeof(broken_key)), SLICE_LIT("?"), -1);
	put_record(&w, SLICE_NULL, SLICE_LIT("?"), -1);
	group_key_encode(&kw, &k);
	put_record(&w, slice_of(key, wr_len(&kw)), SLICE_LIT("\xff\xff??"), -1);
	put_offset(&w, G0, 1, 2, -1);
	world_restart(&w);
	CHECK_EQ(fetch(&w, G0, "t", 0), 1);
	CHECK_EQ(fetch(&w, G0, "t", 1), 2);
	put_offset(&w, G0, 0, 3, -1);
	put_offset(&w, "d", 0, 4, -1);
	coordinator_end(&w);
	damage(&w, log_size_of(&w, 0) - 5);	/* in the last batch */
	coordinator_begin(&w);
	lead_both(&w);
	CHECK_EQ(fetch(&w, G0, "t", 0), 3);
	CHECK_EQ(fetch(&w, "d", "t", 0), -1);
	CHECK_EQ(commit(&w, "d", "t", 0, 5), KERR_NONE);
	world_restart(&w);
	CHECK_EQ(fetch(&w, "d", "t", 0), 5);
	world_fini(&w);
}

/* ---- what a Java broker wrote ---- */

static void
lay_golden_segment(struct bed *b)
{
	char cmd[4096];

	snprintf(cmd, sizeof(cmd), "rm -f %s/.kafka_cleanshutdown %s/__consumer_offsets-0/0* && gzip -dc %s/test/golden/group/offsets.log.gz "
	    "> %s/__consumer_offsets-0/00000000000000000000.log", b->path, b->path, unit_srcdir(), b->path);
	CHECK_EQ(system(cmd), 0);
}

static unsigned
unhex(const char *hex, char *out)
{
	unsigned n = 0, byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (char)byte;
	return (n);
}

/* One line of offsets.txt: what the Java broker said. */
static void
golden_line(struct world *w, const char *line)
{
	char group[64], state[64], hex[128] = "", metadata[64];
	int partition, offset, epoch;
	unsigned members, n;

	if (sscanf(line, "state %63s %63s %u", group, state, &members) == 3) {
		struct group_describe_item d = describe(w, group);

		CHECK_EQ(d.error, KERR_NONE);
		unit_check(slice_eq_str(d.state, state) && d.nmembers == members, __FILE__, __LINE__, "%s: %.*s, %u members", line, (int)d.state.len,
		    (const char *)d.state.p, (unsigned)d.nmembers);
	} else if (sscanf(line, "offset %63s %d %d %d %127s", group, &partition, &offset, &epoch, hex) == 5) {
		struct group_fetch_row r = fetch_as(w, group, "t", partition, false, KERR_NONE);

		n = unhex(hex, metadata);
		unit_check(r.offset == offset && r.leader_epoch == epoch && slice_eq(r.metadata, slice_of(metadata, n)), __FILE__, __LINE__,
		    "%s: offset %d, epoch %d, metadata of %zu bytes", line, (int)r.offset, (int)r.leader_epoch, r.metadata.len);
	} else {
		CHECK_STR(line, "a line of offsets.txt");
	}
}

static uint32_t
count_groups(struct world *w)
{
	struct group_list_call l = { .nstates = 0 };

	call_begins(w, &l.call);
	group_coordinator_list(w->c, &l);
	bed_run(&w->bed);
	CHECK(answered(&l.call));
	CHECK_EQ(l.call.error, KERR_NONE);
	return (l.nrows);
}

/* Five protocol versions of the broker: groups of versions 0 to 3, offsets of 1 to 3, messages of format 1, every codec; tombstones, transactions
 * (test/golden/group/make-golden). */
TEST(the_segment_of_a_java_broker_gives_the_groups_and_offsets_that_it_had)
{
	struct loop *loops[2];
	char path[1024], *text = NULL, *save = NULL;
	uint32_t groups = 0;
	struct world w;
	size_t len;

	world_init(&w);
	snprintf(path, sizeof(path), "%s/test/golden/group/offsets.txt", unit_srcdir());
	must(fs_read_file(fs_real(), path, 1 << 20, &text, &len, NULL) == OK);
	coordinator_end(&w);
	bed_restart_with(&w.bed, lay_golden_segment);
	loops[0] = w.bed.loop;
	loops[1] = w.bed.loop2;
	w.opt.loops = loops;
	w.opt.replicas = w.bed.manager;
	w.c = group_coordinator_new(&w.opt);
	group_coordinator_start(w.c, 1);
	w.epoch = 100;
	lead_both(&w);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		golden_line(&w, line);
		groups += strncmp(line, "state ", 6) == 0;
	}
	CHECK(groups > 20);
	CHECK_EQ(fetch(&w, "forgot-a", "t", 1), -1);
	CHECK_EQ(fetch(&w, "txn-e", "t", 1), -1);		/* aborted */
	CHECK_EQ(fetch(&w, "txn-e", "t", 2), -1);		/* open */
	CHECK_EQ(fetch_as(&w, "txn-e", "t", 2, true, KERR_NONE).error, KERR_UNSTABLE_OFFSET_COMMIT);
	CHECK_EQ(fetch_as(&w, "txn-e", "t", 1, true, KERR_NONE).error, KERR_NONE);
	CHECK(is_state(&w, "deleted-a", "Dead") && is_state(&w, "deleted-e", "Dead"));
	CHECK_EQ(count_groups(&w), groups);
	CHECK_EQ(commit(&w, "left-b", "t", 0, 62), KERR_NONE);
	CHECK_EQ(fetch(&w, "left-b", "t", 0), 62);
	free(text);
	world_fini(&w);
}

/* Of what 3.9 no longer writes: the key of version 0, and values of every version, as Kafka's classes write them (records.txt). */
TEST(offsets_of_versions_that_java_no_longer_writes_are_loaded)
{
	static const char key_hex[] = "000000000007612e625f632d3100000007";	/* "", "a.b_c-1", 7 */
	char path[1024], *text = NULL, *save = NULL, key[64];
	unsigned seen[5] = { 0 };
	struct world w;
	size_t len;

	world_init(&w);
	snprintf(path, sizeof(path), "%s/test/golden/group/records.txt", unit_srcdir());
	must(fs_read_file(fs_real(), path, 1 << 20, &text, &len, NULL) == OK);
	CHECK(strstr(text, key_hex) != NULL);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char metadata_hex[1024], metadata[512], value_hex[2048], value[1024];
		struct group_fetch_row r;
		unsigned version, nmetadata;
		int64_t offset;
		int epoch;

		if (sscanf(line, "offset %u %" SCNd64 " %d %1023s %*d %*d %2047s", &version, &offset, &epoch, metadata_hex, value_hex) != 5)
			continue;
		put_record(&w, slice_of(key, unhex(key_hex, key)), slice_of(value, unhex(value_hex, value)), -1);
		world_restart(&w);
		r = fetch_as(&w, "", "a.b_c-1", 7, false, KERR_NONE);
		nmetadata = unhex(metadata_hex, metadata);
		unit_check(r.offset == offset && r.leader_epoch == epoch && slice_eq(r.metadata, slice_of(metadata, nmetadata)), __FILE__, __LINE__, "%s", line);
		must(version < NELEM(seen));
		seen[version]++;
	}
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(seen[i], 8);
	free(text);
	world_fini(&w);
}

TEST(members_and_groups_take_no_more_memory_than_they_may_and_others_are_told_to_come_again)
{
	static uint8_t large[20000];
	static const struct group_protocol wide = { { (const uint8_t *)"range", 5 }, { large, sizeof(large) } };
	struct world w;
	struct member first, again, m[40];
	unsigned refused = 0;

	world_init(&w);
	coordinator_end(&w);
	w.opt.groups_bytes_max = 100000;
	coordinator_begin(&w);
	lead_both(&w);
	member_settles(&w, &first, G0);
	for (unsigned i = 0; i < NELEM(m); i++) {	/* they join, and do nothing more until their sessions end */
		char group[16];

		memset(&m[i], 0, sizeof(m[i]));
		snprintf(group, sizeof(group), "g%u", i);
		m[i].join = (struct group_join_call){ .group = slice_str(group) };
		m[i].join.join = (struct group_join){ .member_id = slice_str(""), .client_id = SLICE_LIT("c"), .client_host = SLICE_LIT("/127.0.0.1"),
		    .protocol_type = SLICE_LIT("consumer"), .protocols = &wide, .nprotocols = 1, .session_timeout_ms = 10000, .rebalance_timeout_ms = 20000 };
		call_begins(&w, &m[i].join.call);
		group_coordinator_join(w.c, &m[i].join);
		bed_run(&w.bed);
		bed_pass(&w.bed, 200);
		CHECK(answered(&m[i].join.call));
		CHECK(m[i].join.call.error == KERR_NONE || m[i].join.call.error == KERR_COORDINATOR_NOT_AVAILABLE);
		refused += m[i].join.call.error == KERR_COORDINATOR_NOT_AVAILABLE;
		CHECK_EQ(member_beats(&w, &first, G0), KERR_NONE);
	}
	CHECK(refused >= NELEM(m) - 2 * 5 && refused < NELEM(m));	/* five fit on either loop */
	again = first;
	member_asks_to_join(&w, &again, G0);				/* nothing that is not here already */
	bed_pass(&w.bed, 200);
	member_told(&again);
	CHECK_STR(again.id, first.id);
	bed_pass(&w.bed, 50000);					/* sessions and rebalances are over */
	member_settles(&w, &again, "late");
	world_fini(&w);
}

TEST(groups_of_refused_commits_and_large_assignments_take_no_more_memory_than_they_may_either)
{
	static uint8_t large[40000];
	char group[300];
	struct member m[2], late;
	unsigned refused = 0;
	struct world w;

	world_init(&w);
	coordinator_end(&w);
	w.opt.groups_bytes_max = 100000;
	coordinator_begin(&w);
	lead_both(&w);
	CHECK_EQ(commit(&w, G0, "t", 0, 1), KERR_NONE);
	member_settles(&w, &m[0], "m0");
	member_settles(&w, &m[1], "m1");
	for (unsigned i = 0; i < 1000; i++) {	/* the metadata is too long: nothing is in the log, and the group is there all the same */
		enum kerr k;

		snprintf(group, sizeof(group), "%0250u", i);
		k = commit_as(&w, group, "", -1, "t", 0, 1, "much too long");
		CHECK(k == KERR_OFFSET_METADATA_TOO_LARGE || k == KERR_COORDINATOR_NOT_AVAILABLE);
		refused += k == KERR_COORDINATOR_NOT_AVAILABLE;
	}
	CHECK(refused > 400 && refused < 999);
	CHECK_EQ(commit(&w, G0, "t", 0, 2), KERR_NONE);		/* one that is there */
	CHECK_EQ(commit(&w, G0, "t", 1, 3), KERR_NONE);
	for (unsigned i = 0; i < 2; i++) {
		member_asks_to_join(&w, &m[i], i == 0 ? "m0" : "m1");	/* the leader: a rebalance */
		member_told(&m[i]);
		m[i].assignment = (struct group_assignment){ slice_str(m[i].id), slice_of(large, sizeof(large)) };
		m[i].sync = (struct group_sync_call){ .group = slice_str(i == 0 ? "m0" : "m1"), .sync = { .member_id = slice_str(m[i].id),
		    .generation = m[i].generation, .assignments = &m[i].assignment, .nassignments = 1 } };
		call_begins(&w, &m[i].sync.call);
		group_coordinator_sync(w.c, &m[i].sync);
		bed_run(&w.bed);
		CHECK(answered(&m[i].sync.call));
		CHECK_EQ(m[i].sync.call.error, KERR_COORDINATOR_NOT_AVAILABLE);
	}
	for (int i = 0; i < 3; i++)				/* groups without offsets are gone when offsets expire */
		bed_pass(&w.bed, 600000);
	member_settles(&w, &late, "late");
	CHECK_EQ(commit(&w, "another", "t", 0, 1), KERR_NONE);
	CHECK_EQ(fetch(&w, G0, "t", 0), 2);
	world_fini(&w);
}

TEST(committed_offsets_take_no_more_memory_than_they_may_and_those_that_are_there_go_on)
{
	char topic[64];
	unsigned taken = 0;
	struct world w;

	world_init(&w);
	coordinator_end(&w);
	w.opt.offsets_bytes_max = 20000;
	coordinator_begin(&w);
	lead_both(&w);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 400; i++) {
			enum kerr k;

			snprintf(topic, sizeof(topic), "t%u", i);
			k = commit(&w, G0, topic, 0, (int64_t)i);
			if (round == 0 && k == KERR_NONE)
				CHECK_EQ(taken++, i);		/* the first ones, and no other */
			CHECK_EQ(k, i < taken ? KERR_NONE : KERR_COORDINATOR_NOT_AVAILABLE);
		}
		CHECK(taken > 20 && taken < 300);
		CHECK_EQ(fetch(&w, G0, "t399", 0), -1);
		CHECK_EQ(commit_as(&w, G0, "", -1, "t0", 0, 5, "more"), KERR_COORDINATOR_NOT_AVAILABLE);
		CHECK_EQ(commit_as(&w, G0, "", -1, "t0", 0, 6, "n"), KERR_NONE);
		CHECK_EQ(commit(&w, G1, "t", 0, 1), KERR_NONE);	/* of the other loop */
		CHECK_EQ(fetch(&w, G0, "t0", 0), 6);
		world_restart(&w);			/* what was loaded is counted */
	}
	CHECK_EQ(delete_group(&w, G0), KERR_NONE);
	CHECK_EQ(commit(&w, G0, "t399", 0, 1), KERR_NONE);
	bed_pass(&w.bed, w.opt.retention_ms + 1);
	for (int i = 0; i < 4; i++)
		bed_pass(&w.bed, 600000);
	CHECK(is_state(&w, G0, "Dead") && is_state(&w, G1, "Dead"));
	world_fini(&w);
}

TEST(a_list_of_many_states_is_gone_through_once)
{
	enum { STATES = 300000, GROUPS = 600 };
	struct slice *states = calloc(STATES, sizeof(*states));
	struct group_list_call l = { .states = states, .nstates = STATES };
	struct world w;
	char group[16];

	REQUIRE(states != NULL);
	world_init(&w);
	for (unsigned i = 0; i < GROUPS; i++) {
		snprintf(group, sizeof(group), "g%u", i);
		CHECK_EQ(commit(&w, group, "t", 0, 1), KERR_NONE);
	}
	for (unsigned i = 0; i < STATES; i++)
		states[i] = SLICE_LIT("stable");
	for (int last = 0; last < 2; last++) {
		call_begins(&w, &l.call);
		group_coordinator_list(w.c, &l);
		bed_run(&w.bed);
		CHECK(answered(&l.call));
		CHECK_EQ(l.nrows, last == 0 ? 0 : GROUPS);
		states[STATES - 1] = SLICE_LIT("Empty");
	}
	world_fini(&w);
	free(states);
}

UNIT_MAIN("group/coordinator", T(groups_of_refused_commits_and_large_assignments_take_no_more_memory_than_they_may_either),
    T(a_list_of_many_states_is_gone_through_once), T(committed_offsets_take_no_more_memory_than_they_may_and_those_that_are_there_go_on),
    T(members_and_groups_take_no_more_memory_than_they_may_and_others_are_told_to_come_again), T(a_group_belongs_to_the_partition_of_javas_string_hash),
    T(commits_without_a_group_are_kept_over_a_restart_on_both_loops), T(every_codec_of_the_offsets_topic_is_written_and_loaded),
    T(a_group_goes_on_in_its_generation_after_a_restart), T(whoever_waits_is_answered_when_the_partition_is_led_elsewhere),
    T(while_a_partition_loads_nobody_is_sent_away),
    T(a_partition_whose_load_hangs_in_a_read_keeps_neither_others_from_being_loaded_nor_anybody_from_an_answer),
    T(a_commit_whose_record_is_refused_or_too_late_never_happened),
    T(a_commit_that_waits_for_replicas_is_not_visible_and_times_out),
    T(no_acknowledged_commit_is_lost_and_no_other_is_told_of_when_the_disk_dies_at_any_write),
    T(no_acknowledged_commit_that_was_flushed_is_lost_when_power_is_at_any_call),
    T(no_generation_whose_shares_were_handed_out_and_flushed_is_lost_when_power_is_at_any_call),
    T(deleted_and_expired_offsets_do_not_come_back),
    T(what_is_deleted_while_it_is_being_committed_does_not_come_back_with_the_next_load), T(any_number_may_stand_for_the_time_that_a_commit_is_kept),
    T(offsets_of_a_deleted_topic_go_with_it_and_so_does_a_group_that_has_no_others),
    T(offsets_of_many_groups_expire_a_few_groups_in_a_turn_and_calls_are_answered_in_between),
    T(a_deleted_topic_is_gone_from_many_groups_at_once_though_a_few_are_gone_through_in_a_turn),
    T(a_partition_may_go_and_come_back_and_the_coordinator_stop_while_a_deletion_goes_round),
    T(many_groups_of_both_loops_in_one_call), T(after_the_stop_every_call_is_refused_and_a_waiting_join_has_its_answer),
    T(transactional_commits_count_when_their_marker_is_in_the_log),
    T(a_log_that_moves_to_another_directory_while_it_is_loaded_is_loaded_from_there), T(strange_and_damaged_records_are_stepped_over_and_harm_nobody_else),
    T(the_segment_of_a_java_broker_gives_the_groups_and_offsets_that_it_had),
    T(offsets_of_versions_that_java_no_longer_writes_are_loaded))
