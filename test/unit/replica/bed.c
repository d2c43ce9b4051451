/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/replica/bed.c - see bed.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "log/log_int.h"
#include "test/unit/fs_fault.h"
#include "test/unit/replica/bed.h"
#include "test/unit/unit.h"
#include "wire/walker.h"

static void
say(void *ctx, enum diag_level level, const char *area, const char *text)
{
	(void)ctx;
	(void)level;
	if (getenv("OTTLA_TEST_VERBOSE") != NULL)
		fprintf(stderr, "  | %s: %s\n", area, text);
}

static void
on_moved(void *ctx, struct log *log)
{
	struct bed *b = ctx;

	if (b->manager != NULL)
		replica_end_offset_moved(b->manager, log);
}

static void
on_offline(void *ctx, const char *dir, const char *why)
{
	struct bed *b = ctx;

	(void)why;
	if (b->manager != NULL)
		replica_dir_offline(b->manager, dir);
}

static void
on_all_offline(void *ctx)
{
	((struct bed *)ctx)->all_offline = true;
}

static void
refresh(void *ctx, const char *const *topics, uint32_t n, void (*done)(void *), void *dctx)
{
	(void)ctx;
	(void)topics;
	CHECK(n > 0);
	done(dctx);
}

static void
get(void *ctx, const char *topic, struct replica_topic_config *out)
{
	struct bed *b = ctx;

	*out = b->config;
	if (strcmp(topic, BED_OTHER) == 0)
		out->min_insync_replicas += 7;
	b->config_gets++;
}

static void
leadership(void *ctx, const char *topic, int32_t partition, bool leads, int32_t leader_epoch)
{
	struct bed *b = ctx;

	if (b->leadership != NULL)
		b->leadership(b->leadership_ctx, topic, partition, leads, leader_epoch);
}

static int64_t
broker_epoch(void *ctx)
{
	(void)ctx;
	return (BED_EPOCH);
}

static void
topic_deleted(void *ctx, struct slice topic)
{
	struct bed *b = ctx;

	str_format(b->deleted + strlen(b->deleted), sizeof(b->deleted) - strlen(b->deleted), "%.*s ", (int)topic.len, (const char *)topic.p);
}

static void
open_all(struct bed *b)
{
	struct errbuf eb = ERRBUF_INIT;
	const struct log_dirs_options lo = {
		.fs = b->fs, .clock = &b->clock.clock, .diag = b->diag, .metrics = &b->metrics, .random = &b->random.random, .workers = b->workers, .dirs = b->paths,
		.ndirs = b->npaths, .defaults = b->config.log, .sync_appends = b->sync_appends,
		.events = { b, on_moved, on_offline, on_all_offline, NULL },
	};
	struct loop *const loops[2] = { b->loop, b->loop2 };
	struct replica_manager_options mo = {
		.broker_id = 1, .cluster = b->cluster, .control = b->control, .loops = loops, .nloops = 2, .leadership = leadership, .leadership_ctx = b, .workers = b->workers,
		.clock = &b->clock.clock, .diag = b->diag, .metrics = &b->metrics, .configs = { b, refresh, get }, .broker_epoch = broker_epoch,
		.topic_deleted = topic_deleted, .topic_deleted_ctx = b,
	};

	must(log_dirs_new(&lo, &b->dirs, &eb) == OK);
	must(log_dirs_set_identity(b->dirs, 1, "AAAAAAAAAAAAAAAAAAAAAA", &eb) == OK);
	must(log_dirs_load(b->dirs, &eb) == OK);
	mo.log_dirs = b->dirs;
	b->manager = replica_manager_new(&mo);
}

static void
close_all(struct bed *b)
{
	replica_manager_stop(b->manager);
	bed_settle(b);
	replica_manager_free(&b->manager);
	log_dirs_shutdown(b->dirs);
	log_dirs_free(&b->dirs);
}

static void
init(struct bed *b, unsigned ndirs, struct fs *under, const char *place)
{
	static unsigned turn;

	memset(b, 0, sizeof(*b));
	reclaim_thread_register();
	b->fs = fs_fault_new(under);
	clock_manual_init(&b->clock, BED_NOW);
	random_seeded_init(&b->random, unit_seed());
	b->diag = diag_capture(say, NULL);
	must(loop_new(&(struct loop_options){ .name = "control", .clock = &b->clock.clock }, &b->control, NULL) == OK);
	must(loop_new(&(struct loop_options){ .name = "net", .clock = &b->clock.clock }, &b->loop, NULL) == OK);
	must(loop_new(&(struct loop_options){ .name = "net2", .clock = &b->clock.clock }, &b->loop2, NULL) == OK);
	must(workers_new(0, "w", &b->workers, NULL) == OK);
	b->cluster = cluster_new("AAAAAAAAAAAAAAAAAAAAAA");
	arena_init(&b->arena, 64 << 20);
	b->path = arena_printf(&b->arena, "%s/data-%u", place, under == fs_real() ? turn++ : 0);
	b->npaths = ndirs;
	b->paths[0] = b->path;
	b->paths[1] = arena_printf(&b->arena, "%s/other-%u", place, turn);
	log_options_default(&b->config.log);
	b->config.rules = (struct record_rules)RECORD_RULES_DEFAULT;
	b->config.downconversion = true;
	b->config.min_insync_replicas = 1;
	open_all(b);
}

void
bed_init_dirs(struct bed *b, unsigned ndirs)
{
	init(b, ndirs, fs_real(), unit_tmpdir());
}

void
bed_init_on(struct bed *b, struct fs *under)
{
	init(b, 1, under, "");
}

void
bed_init(struct bed *b)
{
	bed_init_dirs(b, 1);
}

void
bed_settle(struct bed *b)
{
	bed_run(b);
	while (replica_manager_busy(b->manager)) {
		reclaim_barrier();
		bed_run(b);
	}
}

void
bed_fini(struct bed *b)
{
	close_all(b);
	bed_run(b);
	cluster_free(&b->cluster);
	workers_free(&b->workers);
	loop_free(&b->loop2);
	loop_free(&b->loop);
	loop_free(&b->control);
	arena_fini(&b->arena);
	reclaim_thread_unregister();
	reclaim_barrier();
	CHECK_EQ(fs_fault_open_files(b->fs), 0);
	fs_fault_free(&b->fs);
	diag_free(&b->diag);
}

void
bed_restart_with(struct bed *b, void (*meanwhile)(struct bed *))
{
	close_all(b);
	meanwhile(b);
	open_all(b);
}

void
bed_restart(struct bed *b)
{
	close_all(b);
	open_all(b);
}

void
bed_init_synced(struct bed *b)
{
	bed_init(b);
	b->sync_appends = true;
	bed_restart(b);
}

void
bed_turn(struct bed *b)
{
	bool some = true;

	for (int i = 0; some && i < 10000; i++) {
		some = loop_turn(b->control, 0);
		some = loop_turn(b->loop, 0) || some;
		some = loop_turn(b->loop2, 0) || some;
	}
	CHECK(!some);
}

void
bed_run(struct bed *b)
{
	bool some = true;

	for (int i = 0; some && i < 10000; i++) {
		some = workers_step(b->workers);
		some = loop_turn(b->control, 0) || some;
		some = loop_turn(b->loop, 0) || some;
		some = loop_turn(b->loop2, 0) || some;
	}
	CHECK(!some);
}

void
bed_pass(struct bed *b, int64_t ms)
{
	clock_manual_advance_ns(&b->clock, ms * 1000000);
	bed_run(b);
}

/* ---- the controller ---- */

static void
on_control(struct control_request *c)
{
	(void)c;
}

static struct bed_role
defaults(const struct bed_role *r)
{
	struct bed_role d = *r;

	d.topic = d.topic == NULL ? "t" : d.topic;
	d.controller_epoch = d.controller_epoch == 0 ? 1 : d.controller_epoch;
	d.broker_epoch = d.broker_epoch == 0 ? BED_EPOCH : d.broker_epoch;
	d.leader = d.leader == 0 ? 1 : d.leader;
	if (uuid_is_zero(d.id) && !d.no_id)
		d.id = BED_ID;
	if (d.nisr == 0)
		d.isr[d.nisr++] = 1;
	if (d.nreplicas == 0) {
		memcpy(d.replicas, d.isr, sizeof(d.isr));
		d.nreplicas = d.nisr;
	}
	return (d);
}

/* Who waits for the write on this thread does so for ever: that is how such a test fails. */
static void
control_beside_a_write(struct bed *b, struct control_request *c)
{
	bool some = true;

	log_own(b->busy);
	replica_control(b->manager, c);
	log_disown(b->busy);
	while (some) {
		some = workers_step(b->workers);
		log_own(b->busy);
		while (loop_turn(b->control, 0))
			some = true;
		log_disown(b->busy);
	}
}

static void
run_control(struct bed *b, struct control_request *c)
{
	c->arena = &b->arena;
	c->done = on_control;
	if (b->busy != NULL)
		control_beside_a_write(b, c);
	else
		replica_control(b->manager, c);
	bed_run(b);
}

enum kerr
bed_role(struct bed *b, const struct bed_role *given)
{
	struct bed_role r = defaults(given);
	struct wire_leader_and_isr_request q;
	struct wire_leader_and_isr_request_topic_state t;
	struct wire_leader_and_isr_request_partition_state p;
	struct control_request c = { .kind = CONTROL_LEADER_AND_ISR, .leader_and_isr = &q };

	WIRE_INIT(leader_and_isr_request, &q);
	WIRE_INIT(leader_and_isr_request_topic_state, &t);
	WIRE_INIT(leader_and_isr_request_partition_state, &p);
	q.controller_epoch = r.controller_epoch;
	q.broker_epoch = r.broker_epoch;
	q.topic_states.v = &t;
	q.topic_states.n = 1;
	t.topic_name = slice_str(r.topic);
	t.topic_id = r.id;
	t.partition_states.v = &p;
	t.partition_states.n = 1;
	p.partition_index = r.partition;
	p.controller_epoch = r.controller_epoch;
	p.leader = r.leader;
	p.leader_epoch = r.leader_epoch;
	p.partition_epoch = r.partition_epoch;
	p.isr.v = r.isr;
	p.isr.n = r.nisr;
	p.replicas.v = r.replicas;
	p.replicas.n = r.nreplicas;
	run_control(b, &c);
	if (c.leader_and_isr_response->error_code != 0)
		return (c.leader_and_isr_response->error_code);
	must(c.leader_and_isr_response->topics.n == 1 && c.leader_and_isr_response->topics.v[0].partition_errors.n == 1);
	return (c.leader_and_isr_response->topics.v[0].partition_errors.v[0].error_code);
}

enum kerr
bed_lead_topics(struct bed *b, const char *const *topics, int32_t n)
{
	struct wire_leader_and_isr_request q;
	struct wire_leader_and_isr_request_topic_state t[8];
	struct wire_leader_and_isr_request_partition_state p[BED_MANY];
	struct control_request c = { .kind = CONTROL_LEADER_AND_ISR, .leader_and_isr = &q };
	int32_t self = 1;
	enum kerr k = KERR_NONE;

	must(n <= 8);
	WIRE_INIT(leader_and_isr_request, &q);
	q.controller_epoch = 1;
	q.broker_epoch = BED_EPOCH;
	q.topic_states.v = t;
	q.topic_states.n = n;
	for (int32_t i = 0; i < BED_MANY; i++) {
		WIRE_INIT(leader_and_isr_request_partition_state, &p[i]);
		p[i].partition_index = i;
		p[i].controller_epoch = 1;
		p[i].leader = 1;
		p[i].isr.v = p[i].replicas.v = &self;
		p[i].isr.n = p[i].replicas.n = 1;
	}
	for (int32_t i = 0; i < n; i++) {
		WIRE_INIT(leader_and_isr_request_topic_state, &t[i]);
		t[i].topic_name = slice_str(topics[i]);
		t[i].partition_states.v = p;
		t[i].partition_states.n = BED_MANY;
	}
	run_control(b, &c);
	for (int32_t i = 0; i < n; i++)
		for (int32_t j = 0; j < BED_MANY; j++)
			if (c.leader_and_isr_response->topics.v[i].partition_errors.v[j].error_code != 0)
				k = c.leader_and_isr_response->topics.v[i].partition_errors.v[j].error_code;
	return (k);
}

static void
on_roles(struct control_request *c)
{
	CONTAINER_OF(c, struct bed_roles, c)->done = true;
}

struct bed_roles *
bed_roles_begin(struct bed *b, int32_t n, int32_t leader, int32_t leader_epoch)
{
	static int32_t ids[] = { 1, 2 };
	struct wire_leader_and_isr_request *q = WIRE_NEW(&b->arena, leader_and_isr_request);
	struct wire_leader_and_isr_request_topic_state *t = WIRE_NEW(&b->arena, leader_and_isr_request_topic_state);
	struct wire_leader_and_isr_request_partition_state *p = WIRE_NEW_ARRAY(&b->arena, leader_and_isr_request_partition_state, n);
	struct bed_roles *r = ARENA_NEW(&b->arena, struct bed_roles);

	q->controller_epoch = 1;
	q->broker_epoch = BED_EPOCH;
	q->topic_states.v = t;
	q->topic_states.n = 1;
	t->topic_name = SLICE_LIT("t");
	t->topic_id = BED_ID;
	t->partition_states.v = p;
	t->partition_states.n = n;
	for (int32_t i = 0; i < n; i++) {
		p[i].partition_index = i;
		p[i].controller_epoch = 1;
		p[i].leader = leader;
		p[i].leader_epoch = p[i].partition_epoch = leader_epoch;
		p[i].isr.v = &ids[leader - 1];
		p[i].isr.n = 1;
		p[i].replicas.v = ids;
		p[i].replicas.n = 2;
	}
	r->c = (struct control_request){ .kind = CONTROL_LEADER_AND_ISR, .leader_and_isr = q, .arena = &b->arena, .done = on_roles };
	replica_control(b->manager, &r->c);
	return (r);
}

enum kerr
bed_roles_error(const struct bed_roles *r, int32_t partition)
{
	return (r->c.leader_and_isr_response->topics.v[0].partition_errors.v[partition].error_code);
}

enum kerr
bed_lead(struct bed *b, const char *topic, int32_t partition, int32_t leader_epoch)
{
	return (bed_role(b, &(struct bed_role){ .topic = topic, .partition = partition, .leader_epoch = leader_epoch,
	    .partition_epoch = leader_epoch }));
}

enum kerr
bed_stop(struct bed *b, const struct bed_stop *given)
{
	struct wire_stop_replica_request q;
	struct wire_stop_replica_request_topic_state t;
	struct wire_stop_replica_request_partition_state p;
	struct control_request c = { .kind = CONTROL_STOP_REPLICA, .stop_replica = &q };

	WIRE_INIT(stop_replica_request, &q);
	WIRE_INIT(stop_replica_request_topic_state, &t);
	WIRE_INIT(stop_replica_request_partition_state, &p);
	q.controller_epoch = given->controller_epoch == 0 ? 1 : given->controller_epoch;
	q.broker_epoch = given->broker_epoch == 0 ? BED_EPOCH : given->broker_epoch;
	q.topic_states.v = &t;
	q.topic_states.n = 1;
	t.topic_name = slice_str(given->topic == NULL ? "t" : given->topic);
	t.partition_states.v = &p;
	t.partition_states.n = 1;
	p.partition_index = given->partition;
	p.leader_epoch = given->leader_epoch;
	p.delete_partition = given->delete;
	run_control(b, &c);
	if (c.stop_replica_response->error_code != 0)
		return (c.stop_replica_response->error_code);
	must(c.stop_replica_response->partition_errors.n == 1);
	return (c.stop_replica_response->partition_errors.v[0].error_code);
}

enum kerr
bed_metadata(struct bed *b, const struct bed_role *given, bool two_lives)
{
	static struct wire_update_metadata_request_endpoint at[2];
	static const char *const hosts[2] = { "one", "two" };
	struct bed_role r = defaults(given);
	struct wire_update_metadata_request q;
	struct wire_update_metadata_request_topic_state t;
	struct wire_update_metadata_request_partition_state p;
	struct wire_update_metadata_request_broker live[2];
	struct control_request c = { .kind = CONTROL_UPDATE_METADATA, .update_metadata = &q };

	WIRE_INIT(update_metadata_request, &q);
	WIRE_INIT(update_metadata_request_topic_state, &t);
	WIRE_INIT(update_metadata_request_partition_state, &p);
	for (int i = 0; i < 2; i++) {
		WIRE_INIT(update_metadata_request_endpoint, &at[i]);
		WIRE_INIT(update_metadata_request_broker, &live[i]);
		at[i].host = slice_str(hosts[i]);
		at[i].port = 9092;
		at[i].listener = slice_str("PLAINTEXT");
		live[i].id = i + 1;
		live[i].endpoints.v = &at[i];
		live[i].endpoints.n = 1;
		live[i].rack = i == 0 ? SLICE_NULL : slice_str("r2");
	}
	q.controller_id = 1;
	q.controller_epoch = r.controller_epoch;
	q.broker_epoch = r.broker_epoch;
	q.live_brokers.v = live;
	q.live_brokers.n = two_lives ? 2 : 1;
	q.topic_states.v = &t;
	q.topic_states.n = 1;
	t.topic_name = slice_str(r.topic);
	t.topic_id = r.id;
	t.partition_states.v = &p;
	t.partition_states.n = 1;
	p.partition_index = r.partition;
	p.controller_epoch = r.controller_epoch;
	p.leader = r.leader;
	p.leader_epoch = r.leader_epoch;
	p.zk_version = r.partition_epoch;
	p.isr.v = r.isr;
	p.isr.n = r.nisr;
	p.replicas.v = r.replicas;
	p.replicas.n = r.nreplicas;
	run_control(b, &c);
	return (c.update_metadata_response->error_code);
}

/* ---- clients ---- */

uint8_t *
bed_batch(struct bed *b, unsigned records, unsigned value_len, int64_t timestamp_ms, size_t *len)
{
	struct batch_builder_options bo = BATCH_BUILDER_OPTIONS;
	struct batch_builder *bb = batch_builder_new(NULL, &bo, NULL);
	char *value = xmalloc(value_len + 1);
	uint8_t *bytes, *copy;

	for (unsigned i = 0; i < records; i++) {
		memset(value, 'a' + (int)(b->values++ % 26), value_len);
		must(batch_builder_append(bb, timestamp_ms == 0 ? clock_wall_ms(&b->clock.clock) : timestamp_ms + i, SLICE_LIT("k"),
		    slice_of(value, value_len), NULL, 0) == OK);
	}
	must(batch_builder_finish(bb, &bytes, len, NULL) == OK);
	batch_builder_free(bb);
	copy = arena_alloc(&b->arena, *len);
	memcpy(copy, bytes, *len);
	free(bytes);
	free(value);
	return (copy);
}

/* Whoever is told later must not be told before the earlier. */
static void
on_queued(struct replica_append *a)
{
	struct bed_append *x = CONTAINER_OF(a, struct bed_append, a);

	CHECK(x->queued == 0 && x->written == 0 && x->done == 0);
	x->queued++;
}

static void
on_written(struct replica_append *a)
{
	struct bed_append *x = CONTAINER_OF(a, struct bed_append, a);

	CHECK(x->queued == 1 && x->written == 0 && x->done == 0);
	x->written++;
}

static void
on_appended(struct replica_append *a)
{
	struct bed_append *x = CONTAINER_OF(a, struct bed_append, a);

	CHECK(x->queued == 1 && x->written == 1 && x->done == 0);
	x->done++;
}

struct bed_append *
bed_append_begin(struct bed *b, const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms)
{
	struct bed_append *x = ARENA_NEW(&b->arena, struct bed_append);
	size_t len;

	x->item[0].topic = slice_str(topic);
	x->item[0].partition = partition;
	x->item[0].records = bed_batch(b, 1, 30, 0, &len);
	x->item[0].records_len = (uint32_t)len;
	x->a = (struct replica_append){ .loop = b->loop, .acks = acks, .produce_version = 11, .timeout_ms = timeout_ms,
	    .origin = RECORD_FROM_CLIENT, .arena = &b->arena, .items = x->item, .nitems = 1, .queued = on_queued, .written = on_written,
	    .done = on_appended };
	replica_append(b->manager, &x->a);
	CHECK(x->queued == 0 && x->written == 0 && x->done == 0);	/* never from inside */
	return (x);
}

struct bed_append *
bed_append(struct bed *b, const char *topic, int32_t partition, int16_t acks, int32_t timeout_ms)
{
	struct bed_append *x = bed_append_begin(b, topic, partition, acks, timeout_ms);

	bed_run(b);
	return (x);
}

int64_t
bed_put(struct bed *b, const char *topic, int32_t partition)
{
	struct bed_append *x = bed_append(b, topic, partition, 1, 0);

	CHECK_EQ(x->done, 1);
	CHECK_EQ(x->item[0].error, KERR_NONE);
	return (x->item[0].base_offset);
}

static void
on_fetched(struct replica_fetch *f)
{
	struct bed_fetch *x = CONTAINER_OF(f, struct bed_fetch, f);

	CHECK(!x->now && !x->done);
	x->done = true;
}

struct bed_fetch *
bed_fetch_new(struct bed *b, const char *topic, int32_t partition, int64_t offset)
{
	struct bed_fetch *x = ARENA_NEW(&b->arena, struct bed_fetch);

	x->item[0] = (struct replica_fetch_item){ .topic = slice_str(topic), .partition = partition, .fetch_offset = offset,
	    .max_bytes = 1 << 20, .current_leader_epoch = -1, .last_fetched_epoch = -1 };
	x->item[1] = x->item[2] = x->item[0];
	x->f = (struct replica_fetch){ .loop = b->loop, .replica_id = -1, .min_bytes = 1, .max_bytes = 1 << 20, .min_one = true,
	    .arena = &b->arena, .items = x->item, .nitems = 1, .done = on_fetched };
	return (x);
}

bool
bed_fetch(struct bed *b, struct bed_fetch *x)
{
	x->now = x->done = false;
	x->now = replica_fetch(b->manager, &x->f);
	bed_run(b);
	return (x->now || x->done);
}

void
bed_fetch_drop(struct bed_fetch *x)
{
	for (uint32_t i = 0; i < x->f.nitems; i++)
		file_range_fini(&x->item[i].range);
}

static void
on_offsets(struct replica_offsets *r)
{
	r->replica_id = INT32_MAX;	/* seen */
}

struct replica_offset_item
bed_offset_as(struct bed *b, const struct replica_offset_item *asked, int32_t replica_id, bool read_committed, bool by_files)
{
	struct replica_offset_item it = *asked;
	struct replica_offsets r = { .loop = b->loop, .replica_id = replica_id, .read_committed = read_committed, .by_files = by_files,
	    .arena = &b->arena, .items = &it, .nitems = 1, .done = on_offsets };

	replica_list_offsets(b->manager, &r);
	CHECK_EQ(r.replica_id, replica_id);	/* never from inside */
	bed_run(b);
	CHECK_EQ(r.replica_id, INT32_MAX);
	return (it);
}

struct replica_offset_item
bed_offset(struct bed *b, const char *topic, int32_t partition, int64_t timestamp_ms)
{
	const struct replica_offset_item it = { .topic = slice_str(topic), .partition = partition, .current_leader_epoch = -1,
	    .timestamp_ms = timestamp_ms, .max_offsets = 1 };

	return (bed_offset_as(b, &it, -1, false, false));
}
