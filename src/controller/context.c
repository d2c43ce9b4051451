/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/context.c - see context.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/context.h"

bool
partition_move_allowed(enum partition_machine_state from, enum partition_machine_state to)
{
	static const bool allowed[PARTITION_STATES_][PARTITION_STATES_] = {
#define PARTITION_MOVE(f, t)	[f][t] = true,
#include "controller/states.def"
#undef PARTITION_MOVE
	};

	return (allowed[from][to]);
}

bool
replica_move_allowed(enum replica_machine_state from, enum replica_machine_state to)
{
	static const bool allowed[REPLICA_STATES_][REPLICA_STATES_] = {
#define REPLICA_MOVE(f, t)	[f][t] = true,
#include "controller/states.def"
#undef REPLICA_MOVE
	};

	return (allowed[from][to]);
}

const char *
partition_machine_state_name(enum partition_machine_state s)
{
	static const char *const names[] = { "NonExistentPartition", "NewPartition", "OnlinePartition", "OfflinePartition" };

	return (names[s]);
}

const char *
replica_machine_state_name(enum replica_machine_state s)
{
	static const char *const names[] = { "NonExistentReplica", "NewReplica", "OnlineReplica", "OfflineReplica", "ReplicaDeletionStarted",
	    "ReplicaDeletionSuccessful", "ReplicaDeletionIneligible" };

	return (names[s]);
}

bool
partition_move(struct ctl_partition *p, enum partition_machine_state to, struct diag *diag)
{
	if (!partition_move_allowed(p->state, to)) {
		diag_error(diag, "controller", "%s-%d cannot go from %s to %s", p->topic->name, p->id, partition_machine_state_name(p->state),
		    partition_machine_state_name(to));
		return (false);
	}
	p->state = to;
	return (true);
}

bool
replica_move(struct ctl_partition *p, uint32_t i, enum replica_machine_state to, struct diag *diag)
{
	if (!replica_move_allowed(p->replica_states[i], to)) {
		diag_error(diag, "controller", "replica %d of %s-%d cannot go from %s to %s", p->replicas.v[i], p->topic->name, p->id,
		    replica_machine_state_name(p->replica_states[i]), replica_machine_state_name(to));
		return (false);
	}
	p->replica_states[i] = to;
	return (true);
}

bool
id_list_has(struct id_list list, int32_t id)
{
	for (uint32_t i = 0; i < list.n; i++)
		if (list.v[i] == id)
			return (true);
	return (false);
}

struct id_list
id_list_copy(const int32_t *v, uint32_t n)
{
	struct id_list list = { xcalloc((size_t)n + 1, sizeof(*list.v)), n };

	if (n > 0)
		memcpy(list.v, v, n * sizeof(*v));
	return (list);
}

/* ---- topics ---- */

struct ctl_topic *
context_topic(const struct context *c, const char *name)
{
	struct ctl_topic *t;

	HASH_FIND_STR(c->topics, name, t);
	return (t);
}

struct ctl_topic *
context_add_topic(struct context *c, const char *name, struct uuid id)
{
	struct ctl_topic *t = xcalloc(1, sizeof(*t));

	must(context_topic(c, name) == NULL);
	t->name = xstrdup(name);
	t->id = id;
	HASH_ADD_KEYPTR(hh, c->topics, t->name, strlen(t->name), t);
	return (t);
}

static void
partition_fini(struct ctl_partition *p)
{
	free(p->replicas.v);
	free(p->adding.v);
	free(p->removing.v);
	free(p->replica_states);
	free(p->dir_offline);
	free(p->l.isr.v);
}

void
context_remove_topic(struct context *c, struct ctl_topic *t)
{
	HASH_DEL(c->topics, t);
	for (uint32_t i = 0; i < t->npartitions; i++)
		partition_fini(&t->partitions[i]);
	free(t->partitions);
	free(t->name);
	free(t);
}

struct ctl_partition *
topic_partition(const struct ctl_topic *t, int32_t id)
{
	uint32_t lo = 0, hi = t->npartitions;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->partitions[mid].id == id)
			return (&t->partitions[mid]);
		if (t->partitions[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (NULL);
}

struct ctl_partition *
context_add_partition(struct ctl_topic *t, int32_t id, const int32_t *replicas, uint32_t n)
{
	uint32_t at = t->npartitions;

	if ((at & (at - 1)) == 0)	/* there is room for the next power of two: a topic may have very many, one after the other */
		t->partitions = xreallocarray(t->partitions, at == 0 ? 1 : (size_t)at * 2, sizeof(*t->partitions));
	while (at > 0 && t->partitions[at - 1].id > id)
		at--;
	must(at == 0 || t->partitions[at - 1].id != id);
	memmove(&t->partitions[at + 1], &t->partitions[at], (t->npartitions - at) * sizeof(*t->partitions));
	t->npartitions++;
	t->partitions[at] = (struct ctl_partition){ .topic = t, .id = id, .replicas = id_list_copy(replicas, n) };
	t->partitions[at].replica_states = xcalloc((size_t)n + 1, sizeof(*t->partitions[at].replica_states));
	t->partitions[at].dir_offline = xcalloc((size_t)n + 1, sizeof(*t->partitions[at].dir_offline));
	return (&t->partitions[at]);
}

void
partition_set_assignment(struct ctl_partition *p, struct id_list replicas, struct id_list adding, struct id_list removing)
{
	struct ctl_partition old = *p;

	p->replicas = id_list_copy(replicas.v, replicas.n);
	p->adding = id_list_copy(adding.v, adding.n);
	p->removing = id_list_copy(removing.v, removing.n);
	p->replica_states = xcalloc((size_t)replicas.n + 1, sizeof(*p->replica_states));
	p->dir_offline = xcalloc((size_t)replicas.n + 1, sizeof(*p->dir_offline));
	for (uint32_t i = 0; i < p->replicas.n; i++)
		for (uint32_t j = 0; j < old.replicas.n; j++)
			if (p->replicas.v[i] == old.replicas.v[j]) {
				p->replica_states[i] = old.replica_states[j];
				p->dir_offline[i] = old.dir_offline[j];
			}
	free(old.replicas.v);
	free(old.adding.v);
	free(old.removing.v);
	free(old.replica_states);
	free(old.dir_offline);
}

bool
partition_moving(const struct ctl_partition *p)
{
	return (p->adding.n > 0 || p->removing.n > 0);
}

bool
topic_moving(const struct ctl_topic *t)
{
	for (uint32_t i = 0; i < t->npartitions; i++)
		if (partition_moving(&t->partitions[i]))
			return (true);
	return (false);
}

void
partition_set_leadership(struct ctl_partition *p, const struct leadership *l)
{
	struct id_list isr = id_list_copy(l->isr.v, l->isr.n);

	free(p->l.isr.v);
	p->l = *l;
	p->l.isr = isr;
	p->has_leadership = true;
}

/* ---- brokers ---- */

struct ctl_broker *
context_broker(const struct context *c, int32_t id)
{
	for (uint32_t i = 0; i < c->nbrokers; i++)
		if (c->brokers[i]->id == id)
			return (c->brokers[i]);
	return (NULL);
}

static void
broker_free(struct ctl_broker *b)
{
	if (b->channel != NULL)
		b->channel->close(b->channel);
	arena_fini(&b->arena);
	free(b);
}

static const char *
text_copy(struct arena *a, const char *s)
{
	return (s == NULL ? NULL : arena_strndup(a, s, strlen(s)));
}

static struct ctl_broker *
broker_new(const struct zk_broker_entry *e)
{
	struct ctl_broker *b = xcalloc(1, sizeof(*b));
	struct zk_endpoint *endpoints;

	arena_init(&b->arena, SIZE_MAX);	/* a copy of what the decoder's arena has bounded */
	b->id = e->info.id;
	b->epoch = e->epoch;
	b->info = e->info;
	b->info.raw = SLICE_NULL;
	b->info.features = NULL;
	b->info.nfeatures = 0;
	b->info.rack = text_copy(&b->arena, e->info.rack);
	endpoints = ARENA_ARRAY(&b->arena, struct zk_endpoint, (size_t)e->info.nendpoints + 1);
	for (uint32_t i = 0; i < e->info.nendpoints; i++) {
		endpoints[i] = e->info.endpoints[i];
		endpoints[i].listener = text_copy(&b->arena, e->info.endpoints[i].listener);
		endpoints[i].host = text_copy(&b->arena, e->info.endpoints[i].host);
	}
	b->info.endpoints = endpoints;
	return (b);
}

void
context_set_brokers(struct context *c, const struct zk_broker_entry *entries, uint32_t n,
    struct controller_channel *(*open)(void *, const struct zk_broker_entry *), void *ctx)
{
	struct ctl_broker **list = xcalloc((size_t)n + 1, sizeof(*list));

	for (uint32_t i = 0; i < n; i++) {
		struct ctl_broker *known = context_broker(c, entries[i].info.id);

		list[i] = broker_new(&entries[i]);
		if (known != NULL && known->epoch == entries[i].epoch) {
			list[i]->channel = known->channel;
			known->channel = NULL;
		} else {
			list[i]->channel = open(ctx, &entries[i]);
			context_forget_dirs(c, entries[i].info.id);
		}
	}
	for (uint32_t i = 0; i < c->nbrokers; i++)
		broker_free(c->brokers[i]);
	free(c->brokers);
	c->brokers = list;
	c->nbrokers = n;
}

void
context_forget_dirs(struct context *c, int32_t broker_id)
{
	struct ctl_topic *t, *tmp;

	HASH_ITER(hh, c->topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++)
			for (uint32_t j = 0; j < t->partitions[i].replicas.n; j++)
				if (t->partitions[i].replicas.v[j] == broker_id)
					t->partitions[i].dir_offline[j] = false;
}

/* ---- the whole ---- */

void
context_init(struct context *c)
{
	*c = (struct context){ 0 };
}

void
context_clear(struct context *c)
{
	struct ctl_topic *t, *next;

	HASH_ITER(hh, c->topics, t, next)
		context_remove_topic(c, t);
	for (uint32_t i = 0; i < c->nbrokers; i++)
		broker_free(c->brokers[i]);
	free(c->brokers);
	context_init(c);
}
