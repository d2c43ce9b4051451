/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/zk/zk_test.h - a fake ZooKeeper, a loop and a clock, and "at every operation" for the tests of zk/.
 */
#ifndef ZK_TEST_H
#define ZK_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/must.h"
#include "event/loop.h"
#include "test/unit/unit.h"
#include "zk/fake.h"
#include "zk/paths.h"

struct world {
	struct clock_manual clock;
	struct loop *loop;
	struct zk_fake *fake;
	struct zk *zk, *other;		/* two clients with sessions of their own */
};

static inline void
world_open(struct world *w)
{
	struct loop_options o = { .name = "test", .clock = &w->clock.clock };

	clock_manual_init(&w->clock, 1795362210511);
	w->loop = NULL;
	must(loop_new(&o, &w->loop, NULL) == OK);
	w->fake = zk_fake_new(&w->clock.clock);
	w->zk = zk_fake_client(w->fake, w->loop);
	w->other = zk_fake_client(w->fake, w->loop);
}

static inline void
world_close(struct world *w)
{
	zk_tree_check(zk_fake_tree(w->fake));
	zk_close(&w->zk);
	zk_close(&w->other);
	zk_fake_settle(w->loop);
	zk_fake_free(&w->fake);
	loop_free(&w->loop);
}

/* Lets the clock run until the next timer (virtual time), then settles; `times` over. */
static inline void
world_run(struct world *w, unsigned times)
{
	int64_t next;

	zk_fake_settle(w->loop);
	while (times-- > 0 && (next = loop_next_ns(w->loop)) != INT64_MAX) {
		if (next > clock_mono_ns(&w->clock.clock))
			clock_manual_advance_ns(&w->clock, next - clock_mono_ns(&w->clock.clock));
		zk_fake_settle(w->loop);
	}
}

/* One answer, kept. */
struct kept {
	bool	       answered;
	unsigned       count;
	enum zke       error;
	struct zk_stat stat;
	char	       path[512];
	char	       data[4096];
	bool	       null;
	uint32_t       nchildren;
	char	       children[1024];		/* joined by ',' in the order given */
	enum zke       each[16];
	struct zk_stat each_stat[16];
};

static inline void
keep(void *ctx, const struct zk_result *r)
{
	struct kept *k = ctx;
	uint32_t i;

	k->answered = true;
	k->count++;
	k->error = r->error;
	k->stat = r->stat;
	snprintf(k->path, sizeof(k->path), "%s", r->path == NULL ? "" : r->path);
	k->null = r->data.p == NULL;
	snprintf(k->data, sizeof(k->data), "%.*s", (int)r->data.len, r->data.p == NULL ? "" : (const char *)r->data.p);
	k->nchildren = r->nchildren;
	k->children[0] = '\0';
	for (i = 0; i < r->nchildren; i++)
		snprintf(k->children + strlen(k->children), sizeof(k->children) - strlen(k->children), "%s,", r->children[i]);
	for (i = 0; i < r->nresults && i < 16; i++) {
		k->each[i] = r->results[i].error;
		k->each_stat[i] = r->results[i].stat;
	}
}

static inline struct kept
act(struct world *w, struct zk *zk, struct zk_op op)
{
	struct kept k = { .answered = false };

	zk_submit(zk, &op, keep, &k);
	zk_fake_settle(w->loop);
	CHECK(k.answered);
	return (k);
}

/* Kinds that a protocol has to live with. */
static const enum zk_fault all_faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER };

/* Runs scenario(fault, n) for every kind of fault at the n-th operation, n = 1, 2, ... until it answers that n was never reached. */
static inline void
at_every_operation(bool (*scenario)(enum zk_fault, uint64_t n))
{
	uint64_t n;
	size_t i;

	for (i = 0; i < NELEM(all_faults); i++)
		for (n = 1; scenario(all_faults[i], n); n++)
			if (n > 1000) {
				CHECK(!"the scenario never ends");
				return;
			}
}

#endif
