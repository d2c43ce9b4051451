/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/sim.c - see sim.h: the actors, their turns, what befalls them, and the checks.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "controller/controller_int.h"
#include "test/unit/broker/sim.h"
#include "test/unit/fs_fault.h"

enum {
	PARTS = 3 + 2,			/* of a broker that have turns: workers, control loop, controller loop, network loops */
	SESSION_MS = 18000,
	HEAL_MS = 300000,
	CHANGES = FS_FAULT_RENAME | FS_FAULT_UNLINK | FS_FAULT_MKDIR | FS_FAULT_RMDIR | FS_FAULT_WRITE | FS_FAULT_TRUNCATE | FS_FAULT_MTIME,
};

/* ---- trace and chance ---- */

static void
hash_in(struct sim *s, const char *text)
{
	for (; *text != '\0'; text++)
		s->hash = (s->hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
}

void
sim_trace(struct sim *s, const char *fmt, ...)
{
	char text[1024], head[80];
	va_list ap;

	str_format(head, sizeof(head), "%" PRId64 " %" PRId64 " ", clock_mono_ns(&s->w.time.clock), zk_tree_zxid(zk_fake_tree(s->w.fake)));
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hash_in(s, head);
	hash_in(s, text);
	if (getenv("OTTLA_TEST_VERBOSE") != NULL)
		fprintf(stderr, "%s%s\n", head, text);
}

uint32_t
sim_below(struct sim *s, uint32_t bound)
{
	return (random_below(&s->random.random, bound));
}

bool
sim_wrong(struct sim *s, bool ok, const char *what, int64_t got, int64_t limit)
{
	return (unit_check(ok, __FILE__, __LINE__, "OTTLA_TEST_SEED=%" PRIu64 ": %s: %" PRId64 " against %" PRId64 " after %" PRIu64 " turns", s->seed, what,
	    got, limit, s->steps));
}

/* Paths differ from run to run. */
static void
said(void *ctx, enum diag_level level, const char *area, const char *text)
{
	struct sim_broker *b = ctx;
	char copy[800], *at;

	str_copy(copy, sizeof(copy), text);
	while ((at = strstr(copy, b->s->prefix)) != NULL)
		memmove(at, at + strlen(b->s->prefix), strlen(at + strlen(b->s->prefix)) + 1);
	sim_trace(b->s, "broker %d: %d %s: %s", b->id, (int)level, area, copy);
}

/* ---- disks: sorted listings, no times, no syncs ---- */

struct listing { char **names; bool *dirs; size_t n; };

static bool
list_one(void *ctx, const char *name, bool is_dir)
{
	struct listing *l = ctx;
	size_t i;

	l->names = xreallocarray(l->names, l->n + 1, sizeof(*l->names));
	l->dirs = xreallocarray(l->dirs, l->n + 1, sizeof(*l->dirs));
	for (i = l->n++; i > 0 && strcmp(l->names[i - 1], name) > 0; i--) {
		l->names[i] = l->names[i - 1];
		l->dirs[i] = l->dirs[i - 1];
	}
	l->names[i] = xstrdup(name);
	l->dirs[i] = is_dir;
	return (true);
}

static enum err
sorted_list(struct fs *fs, const char *path, fs_list_fn *fn, void *ctx, struct errbuf *eb)
{
	struct listing l = { 0 };
	enum err e = fs_real()->ops->list(fs, path, list_one, &l, eb);
	bool on = true;

	for (size_t i = 0; i < l.n; i++) {
		on = on && e == OK && fn(ctx, l.names[i], l.dirs[i]);
		free(l.names[i]);
	}
	free(l.names);
	free(l.dirs);
	return (e);
}

static void
timeless(struct fs_stat *st)
{
	st->mtime_ms = INT64_C(1795362210511);
	st->ino = st->dev = 1;
}

static enum err
timeless_stat(struct fs *fs, const char *path, struct fs_stat *st, struct errbuf *eb)
{
	enum err e = fs_real()->ops->stat(fs, path, st, eb);

	if (e == OK)
		timeless(st);
	return (e);
}

static enum err
timeless_fstat(struct file *f, struct fs_stat *st, struct errbuf *eb)
{
	enum err e = fs_real()->ops->fstat(f, st, eb);

	if (e == OK)
		timeless(st);
	return (e);
}

static struct fs *
plain_disk(void)
{
	static struct fs_ops ops;
	static struct fs fs;

	ops = *fs_unsynced()->ops;
	ops.list = sorted_list;
	ops.stat = timeless_stat;
	ops.fstat = timeless_fstat;
	fs.ops = &ops;
	return (&fs);
}

/* ---- lives ---- */

bool
sim_serves(const struct sim_broker *b)
{
	return (b->running && !b->dying && b->n.broker->replicas != NULL && b->n.broker->net != NULL && b->n.broker->state < BROKER_STOPPING);
}

static void
birth(struct sim_broker *b)
{
	struct broker_options parts = { .control = b->control, .fs = b->disk, .random = &b->random.random, .diag = b->diag, .peers = &b->peers };
	char more[300], dir[16];

	str_format(dir, sizeof(dir), "sim%d", b->id);
	str_format(more, sizeof(more), "advertised.listeners=PLAINTEXT://broker-%d:9092\noffsets.topic.num.partitions=2\n"
	    "offsets.topic.replication.factor=1\ngroup.initial.rebalance.delay.ms=500\nottla.session.record.enable=false\n"
	    "auto.create.topics.enable=false\n", b->id);
	fs_fault_arm(b->disk, 0, 0, OK);
	fs_fault_stay(b->disk, false);
	sim_trace(b->s, "broker %d starts, life %u", b->id, ++b->life);
	node_make_of(&b->n, &b->s->w, b->id, dir, more, &parts);
	b->running = true;
	b->dying = b->paused = false;
	broker_start(b->n.broker);
}

static void
birth_timer(struct timer *t)
{
	struct sim_broker *b = CONTAINER_OF(t, struct sim_broker, timer);

	if (!b->running)
		birth(b);
	else if (b->paused) {
		sim_trace(b->s, "broker %d goes on", b->id);
		b->paused = false;
	} else if (!b->dying && b->n.session != NULL) {
		sim_trace(b->s, "broker %d is connected to ZooKeeper again", b->id);
		zk_fake_reconnect(b->n.session->own);
	}
}

static void
ghost_goes(struct timer *t)
{
	struct sim_broker *b = CONTAINER_OF(t, struct sim_broker, ghost_timer);

	if (b->ghost == NULL)
		return;
	sim_trace(b->s, "the session that broker %d left behind expires", b->id);
	zk_close(&b->ghost);
}

/* One that has ended is buried, and comes back some time later. */
static void
burial(struct sim_broker *b)
{
	if (!b->running || !b->n.ended)
		return;
	sim_trace(b->s, "broker %d has ended: %s", b->id, b->n.why);
	node_free(&b->n);
	b->running = false;
	timer_set(b->s->w.control, &b->timer, 100 + sim_below(b->s, 8000));
}

static bool
is_up(const struct sim_broker *b)
{
	return (b->running && !b->dying && !b->n.ended && !b->n.must_stop);
}

static void
kill_broker(struct sim_broker *b)
{
	fs_fault_arm(b->disk, CHANGES, 1, ERR_IO);
	fs_fault_stay(b->disk, true);
	fs_fault_tear(b->disk, 0);
	b->dying = true;
	b->paused = false;
	if (b->n.session != NULL && b->ghost == NULL && b->n.broker->state < BROKER_STOPPING) {
		b->ghost = zk_fake_client_sharing(b->n.session->own, b->s->w.control);
		timer_set(b->s->w.control, &b->ghost_timer, 50 + sim_below(b->s, SESSION_MS));
		zk_fake_disconnect(b->n.session->own);
	}
	broker_stop(b->n.broker);
}

static void
expire(struct sim_broker *b)
{
	if (b->n.session != NULL)
		zk_fake_expire(b->n.session->own);
}

static void
zookeeper_fault(struct sim_broker *b)
{
	static const enum zk_fault kinds[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER };

	if (b->n.session != NULL)
		zk_fake_fault(b->n.session->own, kinds[sim_below(b->s, 4)], 1 + sim_below(b->s, 20));
}

static void
disk_fault(struct sim_broker *b)
{
	bool full = sim_below(b->s, 4) != 0;

	fs_fault_tear(b->disk, SIZE_MAX);
	fs_fault_arm(b->disk, full ? FS_FAULT_WRITE : CHANGES, 1 + sim_below(b->s, 30), full ? ERR_NOSPACE : ERR_IO);
}

static void
stop_broker(struct sim_broker *b)
{
	broker_stop(b->n.broker);
}

static void
pause_broker(struct sim_broker *b)
{
	b->paused = true;
	timer_set(b->s->w.control, &b->timer, 1000 + sim_below(b->s, 2 * SESSION_MS));
	if (sim_below(b->s, 2) == 0)
		expire(b);
}

static void
cut_off(struct sim_broker *b)
{
	if (b->n.session == NULL)
		return;
	zk_fake_disconnect(b->n.session->own);
	timer_set(b->s->w.control, &b->timer, 100 + sim_below(b->s, 10000));
	if (sim_below(b->s, 3) == 0)
		expire(b);
}

static const struct misfortune { const char *name; void (*fn)(struct sim_broker *); uint32_t weight; } misfortunes[] = {
	{ "is killed", kill_broker, 4 }, { "is stopped", stop_broker, 2 }, { "has its session expire", expire, 3 },
	{ "will have trouble with ZooKeeper", zookeeper_fault, 8 }, { "will have trouble with its disk", disk_fault, 5 },
	{ "is paused", pause_broker, 2 }, { "is cut off from ZooKeeper", cut_off, 3 },
};

static void
misfortune(struct timer *t)
{
	struct sim *s = CONTAINER_OF(t, struct sim, fault_timer);
	struct sim_broker *b = &s->brokers[sim_below(s, SIM_BROKERS)];
	uint32_t sum = 0, dice;
	size_t i;

	timer_set(s->w.control, t, 200 + sim_below(s, 6000));
	for (i = 0; i < NELEM(misfortunes); i++)
		sum += misfortunes[i].weight;
	dice = sim_below(s, sum);
	for (i = 0; dice >= misfortunes[i].weight; i++)
		dice -= misfortunes[i].weight;
	if (!is_up(b) || b->paused)
		return;
	sim_trace(s, "broker %d %s", b->id, misfortunes[i].name);
	s->faults++;
	misfortunes[i].fn(b);
}

/* ---- turns ---- */

static bool
part_turn(struct sim_broker *b, uint32_t part)
{
	struct broker *k = b->n.broker;

	if (part == 1)
		return (loop_turn(b->control, 0));
	if (!b->running)
		return (false);
	if (part == 0)
		return (k->workers != NULL && workers_step(k->workers));
	if (part == 2)
		return (k->controller_loop != NULL && loop_turn(k->controller_loop, 0));
	return (part - 3 < k->nloops && k->loops[part - 3] != NULL && loop_turn(k->loops[part - 3], 0));
}

static int64_t
next_of(const struct sim_broker *b)
{
	int64_t next = loop_next_ns(b->control);

	for (uint32_t i = 0; b->running && i < b->n.broker->nloops; i++)
		if (b->n.broker->loops[i] != NULL)
			next = MIN(next, loop_next_ns(b->n.broker->loops[i]));
	if (b->running && b->n.broker->controller_loop != NULL)
		next = MIN(next, loop_next_ns(b->n.broker->controller_loop));
	return (next);
}

static void
see_reigns(struct sim *s)
{
	for (uint32_t i = 0; i < SIM_BROKERS; i++) {
		const struct controller *c = s->brokers[i].running ? s->brokers[i].n.broker->controller : NULL;
		int32_t *who;

		if (c == NULL || !c->active || c->ctx.epoch < 0 || c->ctx.epoch >= (int32_t)NELEM(s->reigns))
			continue;
		who = &s->reigns[c->ctx.epoch];
		s->failovers += *who == 0;
		sim_wrong(s, *who == 0 || *who == s->brokers[i].id, "two controllers in one epoch", s->brokers[i].id, *who);
		*who = s->brokers[i].id;
	}
}

bool
sim_step(struct sim *s)
{
	enum { ACTORS = 1 + SIM_BROKERS * PARTS };
	uint32_t first = sim_below(s, ACTORS);
	int64_t next = loop_next_ns(s->w.control);

	s->steps++;
	for (uint32_t i = 0; i < ACTORS; i++) {
		uint32_t who = (first + i) % ACTORS;
		struct sim_broker *b = who == 0 ? NULL : &s->brokers[(who - 1) / PARTS];

		if (b != NULL && b->paused)
			continue;
		if (b == NULL ? !loop_turn(s->w.control, 0) : !part_turn(b, (who - 1) % PARTS))
			continue;
		sim_trace(s, "turn %u", who);
		see_reigns(s);
		for (uint32_t k = 0; k < SIM_BROKERS; k++)
			burial(&s->brokers[k]);
		return (true);
	}
	for (uint32_t i = 0; i < SIM_BROKERS; i++)
		if (!s->brokers[i].paused)
			next = MIN(next, next_of(&s->brokers[i]));
	if (next == INT64_MAX)
		return (false);
	s->w.time.skipped_ns += MAX(next - clock_mono_ns(&s->w.time.clock), 1000);
	return (true);
}

/* ---- a run ---- */

static void
broker_init(struct sim *s, uint32_t i)
{
	struct loop_options opt = { .name = "control", .clock = &s->w.time.clock };
	struct sim_broker *b = &s->brokers[i];

	b->s = s;
	b->id = (int32_t)i + 1;
	must(loop_new(&opt, &b->control, NULL) == OK);
	b->disk = fs_fault_new(plain_disk());
	b->diag = diag_capture(said, b);
	random_seeded_init(&b->random, s->seed * 2 + i);
	b->peers = (struct broker_peers){ b, sim_channel };
	timer_init(&b->timer, birth_timer);
	timer_init(&b->ghost_timer, ghost_goes);
	timer_set(s->w.control, &b->timer, 1 + sim_below(s, 3000));
}

static void
broker_fini(struct sim_broker *b)
{
	zk_fake_settle(b->control);
	loop_free(&b->control);
	fs_fault_free(&b->disk);
	diag_free(&b->diag);
}

static void
run_for(struct sim *s, int64_t ms)
{
	int64_t until = clock_mono_ms(&s->w.time.clock) + ms;

	while (clock_mono_ms(&s->w.time.clock) < until && sim_step(s))
		;
}

/* Whoever lost a directory has it back after a restart. */
static void
heal(struct sim *s)
{
	sim_trace(s, "healing");
	s->healing = true;
	timer_cancel(s->w.control, &s->fault_timer);
	for (uint32_t i = 0; i < SIM_BROKERS; i++) {
		struct sim_broker *b = &s->brokers[i];

		b->paused = false;
		if (!is_up(b))
			continue;
		fs_fault_arm(b->disk, 0, 0, OK);
		if (b->n.session != NULL) {
			zk_fake_forget_faults(b->n.session->own);
			zk_fake_reconnect(b->n.session->own);
		}
		broker_stop(b->n.broker);
	}
	run_for(s, 2 * SESSION_MS);
}

static void
agree(struct sim *s)
{
	struct node *nodes[SIM_BROKERS];
	int64_t until = clock_mono_ms(&s->w.time.clock) + HEAL_MS;
	char *why = NULL;
	bool up;

	do {
		free(why);
		why = NULL;
		run_for(s, 500);
		up = true;
		for (uint32_t i = 0; i < SIM_BROKERS; i++) {
			nodes[i] = &s->brokers[i].n;
			up = up && is_up(&s->brokers[i]) && nodes[i]->started;
		}
		if (up)
			why = agree_ask(&s->agree, &s->w, nodes, SIM_BROKERS);
	} while ((!up || why != NULL) && clock_mono_ms(&s->w.time.clock) < until);
	unit_check(up && why == NULL, __FILE__, __LINE__, "OTTLA_TEST_SEED=%" PRIu64 ": after healing: %s", s->seed, up ? why : "not everybody is up");
	free(why);
	if (up)
		sim_check_records(s);
	if (up)
		sim_check_commits(s);
}

static void
end(struct sim *s)
{
	bool some = true;

	for (uint32_t i = 0; i < SIM_BROKERS; i++)
		timer_cancel(s->w.control, &s->brokers[i].timer);
	for (int turns = 0; some && turns < 10000000; turns++) {
		some = false;
		for (uint32_t i = 0; i < SIM_BROKERS; i++) {
			if (s->brokers[i].running && !s->brokers[i].n.ended)
				broker_stop(s->brokers[i].n.broker);
			some = some || s->brokers[i].running;
		}
		if (some)
			sim_step(s);
		for (uint32_t i = 0; i < SIM_BROKERS; i++)
			timer_cancel(s->w.control, &s->brokers[i].timer);
	}
	for (uint32_t i = 0; i < SIM_BROKERS; i++) {
		timer_cancel(s->w.control, &s->brokers[i].ghost_timer);
		if (s->brokers[i].ghost != NULL)
			zk_close(&s->brokers[i].ghost);
	}
	zk_fake_settle(s->w.control);
}

static void
fresh_disks(struct sim *s)
{
	char path[600];

	s->prefix = xasprintf("%s/", unit_tmpdir());
	for (int i = 1; i <= SIM_BROKERS; i++) {
		str_format(path, sizeof(path), "%ssim%d", s->prefix, i);
		must(fs_remove_tree(fs_real(), path, NULL) == OK);
	}
}

struct sim_outcome
sim_run(uint64_t seed, int64_t seconds)
{
	struct sim *s = xcalloc(1, sizeof(*s));
	struct sim_outcome o;

	s->seed = seed;
	s->hash = UINT64_C(14695981039346656037);
	random_seeded_init(&s->random, seed);
	world_init_virtual(&s->w);
	fresh_disks(s);
	for (uint32_t i = 0; i < SIM_BROKERS; i++)
		broker_init(s, i);
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		sim_client_start(s, i);
	timer_init(&s->fault_timer, misfortune);
	timer_set(s->w.control, &s->fault_timer, 10000);
	run_for(s, seconds * 1000);
	heal(s);
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		sim_client_end(&s->clients[i]);
	agree(s);
	end(s);
	o = (struct sim_outcome){ s->hash, s->steps, s->answers, s->faults, s->failovers, s->nacks, clock_mono_ms(&s->w.time.clock) };
	zk_tree_check(zk_fake_tree(s->w.fake));
	for (uint32_t i = 0; i < SIM_BROKERS; i++)
		broker_fini(&s->brokers[i]);
	world_fini(&s->w);
	agree_fini(&s->agree);
	free(s->acks);
	free(s->prefix);
	free(s);
	return (o);
}
