/* SPDX-License-Identifier: Apache-2.0
 *
 * group/offsets.c - see offsets.h.
 *
 * SHAPE  A topic's name is kept once; its partitions stand in an array, sorted by number, 48 bytes each; what few have (metadata, an expiry of their
 *        own, a removal among commits on their way) hangs outside.  So a hundred thousand offsets cost five and a half megabytes.  A new partition moves those
 *        behind it: topics have few enough for that.
 *
 * INVARIANTS
 *   (1) `aside` is there exactly when it says something.
 *       A partition is there because it is committed, has commits on their way, or has undecided ones; a topic because it has partitions.
 *   (2) ncommitted, npending and bytes are what a walk would count.
 *   (3) undecided of a partition = the transactional commits of all producers that name it.
 *   (4) Of the pending commits of a partition those with a ticket below `removed` are doomed: a tombstone is behind them, on its way or in the log.
 *       A partition stays until they have their answers, so that none is taken for a later one.  Undecided commits go with the removal; a
 *       ticket below `first` is of one that went.
 *
 * EXPIRY (offsets.retention.minutes; an explicit expiry of old clients replaces the time of the rule, not its other conditions)
 *	the group	what expires			counted from
 *	has had members, EMPTY	everything		the moment it became empty (unknown, in old records: the commit)
 *	consumers, STABLE, subscriptions readable	topics nobody is subscribed to	the commit
 *	never had members	everything		the commit
 *	else		nothing
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/must.h"
#include "group/offsets.h"
#include "group/tables.h"

enum { NO_EXPIRY = -1 };

struct offset_aside {
	int64_t	 expire_timestamp_ms;
	uint64_t removed;		/* doomed > 0: order of that removal */
	uint32_t undecided;
	uint32_t metadata_len;
	uint8_t	 metadata[];
};

struct offset_partition {
	int32_t	 partition;
	int32_t	 leader_epoch;
	int64_t	 offset, commit_timestamp_ms;
	int64_t	 record_offset;		/* -1: not committed */
	struct offset_aside *aside;	/* NULL: as `nothing` */
	uint32_t pending, doomed;	/* not outside: an allocation for each commit costs a tenth of all of it */
};

struct offset_topic {
	UT_hash_handle hh;
	struct offset_partition *v;
	uint32_t n, room;
	uint32_t next;		/* where the partition behind the last one that was asked for would stand */
	uint32_t len;
	char	 name[];
};

struct undecided {			/* one transactional commit */
	UT_hash_handle hh;
	int64_t	 record_offset;		/* -1: none is in the log yet */
	struct offset_value value;	/* metadata owned */
	uint64_t first;			/* ticket: those before are behind a tombstone */
	uint32_t pending;
	size_t	 len;
	uint8_t	 key[];			/* i32 partition, then the topic's name */
};

struct offset_producer {
	UT_hash_handle hh;
	int64_t	 id;
	struct undecided *commits;
};

void
offsets_init(struct offsets *o, uint64_t seed)
{
	*o = (struct offsets){ .seed = seed };
}

/* ---- topics and partitions ---- */

static struct offset_topic *
topic_find(const struct offsets *o, struct slice name)
{
	struct offset_topic *t;

	HASH_FIND_BYHASHVALUE(hh, o->topics, name.p, (unsigned)name.len, (unsigned)hash_bytes(o->seed, name.p, name.len), t);
	return (t);
}

/* The rows of a commit come by topic. */
static struct offset_topic *
topic_find_again(struct offsets *o, struct slice name)
{
	if (o->last == NULL || !slice_eq(slice_of(o->last->name, o->last->len), name))
		o->last = topic_find(o, name);
	return (o->last);
}

static struct offset_topic *
topic_get(struct offsets *o, struct slice name)
{
	struct offset_topic *t = topic_find_again(o, name);

	if (t != NULL)
		return (t);
	t = xcalloc(1, sizeof(*t) + name.len + 1);
	t->len = name.len;
	if (name.len > 0)
		memcpy(t->name, name.p, name.len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, o->topics, t->name, (unsigned)t->len, (unsigned)hash_bytes(o->seed, t->name, t->len), t);
	o->bytes += sizeof(*t) + t->len + 1;
	return (t);
}

static uint32_t
search(const struct offset_topic *t, int32_t partition)
{
	uint32_t lo = 0, hi = t->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->v[mid].partition < partition)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

/* Of a partition that is there, or where it belongs.  They often come in order. */
static uint32_t
position(struct offset_topic *t, int32_t partition)
{
	uint32_t i = t->next;

	if (i > t->n || (i < t->n && t->v[i].partition != partition) || (i == t->n && i > 0 && t->v[i - 1].partition >= partition))
		i = search(t, partition);
	t->next = i + 1;
	return (i);
}

static struct offset_partition *
partition_find(struct offset_topic *t, int32_t partition)
{
	uint32_t i = t == NULL ? 0 : position(t, partition);

	return (t == NULL || i == t->n || t->v[i].partition != partition ? NULL : &t->v[i]);
}

static struct offset_partition *
find(const struct offsets *o, struct slice topic, int32_t partition)
{
	return (partition_find(topic_find(o, topic), partition));
}

static void
topic_make_room(struct offsets *o, struct offset_topic *t, uint32_t room)
{
	t->v = xreallocarray(t->v, room, sizeof(*t->v));
	o->bytes += (room - t->room) * sizeof(*t->v);
	t->room = room;
}

static struct offset_partition *
partition_get(struct offsets *o, struct slice topic, int32_t partition)
{
	struct offset_topic *t = topic_get(o, topic);
	uint32_t i = position(t, partition);

	if (i < t->n && t->v[i].partition == partition)
		return (&t->v[i]);
	if (t->n == t->room)
		topic_make_room(o, t, t->room + t->room / 8 + 1);
	memmove(&t->v[i + 1], &t->v[i], (t->n - i) * sizeof(*t->v));
	t->n++;
	t->v[i] = (struct offset_partition){ .partition = partition, .record_offset = -1 };
	return (&t->v[i]);
}

static const struct offset_aside nothing = { .expire_timestamp_ms = NO_EXPIRY };

static const struct offset_aside *
aside_of(const struct offset_partition *p)
{
	return (p->aside == NULL ? &nothing : p->aside);
}

static size_t
aside_bytes(const struct offset_partition *p)
{
	return (p->aside == NULL ? 0 : sizeof(*p->aside) + p->aside->metadata_len);
}

/* With room for so much metadata. */
static struct offset_aside *
aside_resize(struct offsets *o, struct offset_partition *p, uint32_t metadata_len)
{
	bool is_new = p->aside == NULL;

	o->bytes -= aside_bytes(p);
	p->aside = xreallocarray(p->aside, 1, sizeof(*p->aside) + metadata_len);
	if (is_new)
		*p->aside = nothing;
	p->aside->metadata_len = metadata_len;
	o->bytes += aside_bytes(p);
	return (p->aside);
}

static struct offset_aside *
aside_get(struct offsets *o, struct offset_partition *p)
{
	return (p->aside == NULL ? aside_resize(o, p, 0) : p->aside);
}

static bool
says_nothing(const struct offset_partition *p)
{
	const struct offset_aside *a = aside_of(p);

	return (p->doomed == 0 && a->undecided == 0 && a->metadata_len == 0 && a->expire_timestamp_ms == NO_EXPIRY);
}

/* After a change that takes something away. */
static void
aside_trim(struct offsets *o, struct offset_partition *p)
{
	if (p->aside == NULL || !says_nothing(p))
		return;
	o->bytes -= aside_bytes(p);
	free(p->aside);
	p->aside = NULL;
}

static void
aside_set(struct offsets *o, struct offset_partition *p, struct slice metadata, int64_t expire_timestamp_ms)
{
	struct offset_aside *a;

	if (p->aside == NULL && metadata.len == 0 && expire_timestamp_ms == NO_EXPIRY)
		return;
	a = aside_resize(o, p, (uint32_t)metadata.len);
	a->expire_timestamp_ms = expire_timestamp_ms;
	if (metadata.len > 0)
		memcpy(a->metadata, metadata.p, metadata.len);
	aside_trim(o, p);
}

static struct offset_value
value_of(const struct offset_partition *p)
{
	const struct offset_aside *a = aside_of(p);

	return ((struct offset_value){ .offset = p->offset, .leader_epoch = p->leader_epoch, .commit_timestamp_ms = p->commit_timestamp_ms,
	    .expire_timestamp_ms = a->expire_timestamp_ms,
	    .metadata = a->metadata_len == 0 ? SLICE_LIT("") : slice_of(a->metadata, a->metadata_len) });
}

static struct slice
name_of(const struct offset_topic *t)
{
	return (slice_of(t->name, t->len));
}

static void
topic_drop(struct offsets *o, struct offset_topic *t)
{
	must(t->n == 0);
	if (o->last == t)
		o->last = NULL;
	HASH_DELETE(hh, o->topics, t);
	o->bytes -= sizeof(*t) + t->len + 1 + t->room * sizeof(*t->v);
	free(t->v);
	free(t);
}

/* Nothing holds the partition any more: it goes, and with the last one the topic. */
static void
sweep(struct offsets *o, struct offset_topic *t, struct offset_partition *p)
{
	uint32_t i = (uint32_t)(p - t->v);

	if (p->record_offset >= 0 || p->pending > 0 || aside_of(p)->undecided > 0)
		return;
	aside_set(o, p, SLICE_NULL, NO_EXPIRY);
	memmove(&t->v[i], &t->v[i + 1], (t->n - i - 1) * sizeof(*t->v));
	t->n--;
	if (t->n == 0)
		topic_drop(o, t);
}

static void
uncommit(struct offsets *o, struct offset_partition *p)
{
	if (p->record_offset >= 0)
		o->ncommitted--;
	p->record_offset = -1;
}

static void
take(struct offsets *o, struct offset_partition *p, const struct offset_value *v, int64_t record_offset)
{
	must(record_offset >= 0);
	if (p->record_offset >= record_offset && p->record_offset >= 0)
		return;		/* a later record was here first */
	if (p->record_offset < 0)
		o->ncommitted++;
	p->offset = v->offset;
	p->leader_epoch = v->leader_epoch;
	p->commit_timestamp_ms = v->commit_timestamp_ms;
	p->record_offset = record_offset;
	aside_set(o, p, v->metadata, v->expire_timestamp_ms);
}

/* ---- commits ---- */

void
offsets_expect(struct offsets *o, struct slice topic, uint32_t partitions)
{
	struct offset_topic *t = topic_get(o, topic);

	if (t->room < partitions)
		topic_make_room(o, t, partitions);
}

uint64_t
offsets_begin(struct offsets *o, struct slice topic, int32_t partition)
{
	struct offset_partition *p = partition_get(o, topic, partition);

	p->pending++;
	o->npending++;
	return (++o->order);
}

/* True: no tombstone is behind it. */
static bool
no_longer_pending(struct offsets *o, struct offset_partition *p, uint64_t ticket)
{
	bool doomed = p->doomed > 0 && ticket < aside_of(p)->removed;

	must(p->pending > (doomed ? 0 : p->doomed));
	p->pending--;
	p->doomed -= doomed;
	o->npending--;
	aside_trim(o, p);
	return (!doomed);
}

void
offsets_appended(struct offsets *o, uint64_t ticket, struct slice topic, int32_t partition, const struct offset_value *v, int64_t record_offset)
{
	struct offset_topic *t = topic_find_again(o, topic);
	struct offset_partition *p = partition_find(t, partition);

	must(p != NULL);
	if (no_longer_pending(o, p, ticket))
		take(o, p, v, record_offset);
	else
		sweep(o, t, p);
}

void
offsets_failed(struct offsets *o, uint64_t ticket, struct slice topic, int32_t partition)
{
	struct offset_topic *t = topic_find(o, topic);
	struct offset_partition *p = partition_find(t, partition);

	must(p != NULL);
	(void)no_longer_pending(o, p, ticket);
	sweep(o, t, p);
}

/* ---- of transactions ---- */

static struct slice
undecided_topic(const struct undecided *u)
{
	return (slice_of(u->key + sizeof(int32_t), u->len - sizeof(int32_t)));
}

static int32_t
undecided_partition(const struct undecided *u)
{
	return ((int32_t)be32dec(u->key));
}

static struct offset_producer *
producer_find(const struct offsets *o, int64_t producer_id)
{
	struct offset_producer *p;

	HASH_FIND(hh, o->producers, &producer_id, sizeof(producer_id), p);
	return (p);
}

static unsigned
undecided_hash(const struct offsets *o, struct slice topic, int32_t partition)
{
	return ((unsigned)hash_bytes(o->seed ^ (uint32_t)partition, topic.p, topic.len));
}

static struct undecided *
undecided_find(const struct offsets *o, const struct offset_producer *p, struct slice topic, int32_t partition)
{
	struct undecided *u = NULL, *head = p == NULL ? NULL : p->commits;
	uint8_t key[sizeof(int32_t) + INT16_MAX];

	if (head == NULL || topic.len > INT16_MAX)
		return (NULL);
	be32enc(key, (uint32_t)partition);
	if (topic.len > 0)
		memcpy(key + sizeof(int32_t), topic.p, topic.len);
	HASH_FIND_BYHASHVALUE(hh, head, key, (unsigned)(sizeof(int32_t) + topic.len), undecided_hash(o, topic, partition), u);
	return (u);
}

uint64_t
offsets_txn_begin(struct offsets *o, int64_t producer_id, struct slice topic, int32_t partition)
{
	struct offset_producer *p = producer_find(o, producer_id);
	struct undecided *u = undecided_find(o, p, topic, partition);

	if (u != NULL) {		/* the same transaction commits it again */
		u->pending++;
		return (++o->order);
	}
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->id = producer_id;
		HASH_ADD(hh, o->producers, id, sizeof(p->id), p);
		o->bytes += sizeof(*p);
	}
	u = xcalloc(1, sizeof(*u) + sizeof(int32_t) + topic.len);
	u->record_offset = -1;
	u->pending = 1;
	u->first = ++o->order;
	u->len = sizeof(int32_t) + topic.len;
	be32enc(u->key, (uint32_t)partition);
	if (topic.len > 0)
		memcpy(u->key + sizeof(int32_t), topic.p, topic.len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, p->commits, u->key, (unsigned)u->len, undecided_hash(o, topic, partition), u);
	o->bytes += sizeof(*u) + u->len;
	aside_get(o, partition_get(o, topic, partition))->undecided++;
	return (u->first);
}

static void
undecided_value(struct offsets *o, struct undecided *u, const struct offset_value *v)
{
	uint8_t *copy = NULL;

	if (v->metadata.len > 0) {
		copy = xmalloc(v->metadata.len);
		memcpy(copy, v->metadata.p, v->metadata.len);
	}
	o->bytes += v->metadata.len - u->value.metadata.len;
	free((void *)(uintptr_t)u->value.metadata.p);
	u->value = *v;
	u->value.metadata = slice_of(copy, v->metadata.len);
}

void
offsets_txn_appended(struct offsets *o, uint64_t ticket, int64_t producer_id, struct slice topic, int32_t partition, const struct offset_value *v,
    int64_t record_offset)
{
	struct undecided *u = undecided_find(o, producer_find(o, producer_id), topic, partition);

	if (u == NULL || ticket < u->first)
		return;		/* removed while it was on its way */
	must(u->pending > 0);
	u->pending--;
	if (u->record_offset > record_offset)
		return;
	undecided_value(o, u, v);
	u->record_offset = record_offset;
}

/* The partition is held by it no longer.  The producer goes with its last commit. */
static void
undecided_drop(struct offsets *o, struct offset_producer *p, struct undecided *u)
{
	struct offset_topic *t = topic_find(o, undecided_topic(u));
	struct offset_partition *part = partition_find(t, undecided_partition(u));

	must(part != NULL && part->aside != NULL && part->aside->undecided > 0);
	part->aside->undecided--;
	aside_trim(o, part);
	sweep(o, t, part);
	HASH_DELETE(hh, p->commits, u);
	o->bytes -= sizeof(*u) + u->len + u->value.metadata.len;
	free((void *)(uintptr_t)u->value.metadata.p);
	free(u);
	if (p->commits == NULL) {
		HASH_DELETE(hh, o->producers, p);
		o->bytes -= sizeof(*p);
		free(p);
	}
}

void
offsets_txn_failed(struct offsets *o, uint64_t ticket, int64_t producer_id, struct slice topic, int32_t partition)
{
	struct offset_producer *p = producer_find(o, producer_id);
	struct undecided *u = undecided_find(o, p, topic, partition);

	if (u == NULL || ticket < u->first)
		return;
	must(u->pending > 0);
	u->pending--;
	if (u->pending == 0 && u->record_offset < 0)
		undecided_drop(o, p, u);
}

void
offsets_txn_end(struct offsets *o, int64_t producer_id, bool commit)
{
	struct offset_producer *p = producer_find(o, producer_id);
	struct undecided *u, *next;

	for (u = p == NULL ? NULL : p->commits; u != NULL; u = next) {
		next = u->hh.next;
		if (commit && u->record_offset >= 0)
			take(o, partition_get(o, undecided_topic(u), undecided_partition(u)), &u->value, u->record_offset);
		undecided_drop(o, p, u);
	}
}

/* ---- from the log ---- */

void
offsets_load(struct offsets *o, struct slice topic, int32_t partition, const struct offset_value *v, int64_t record_offset)
{
	take(o, partition_get(o, topic, partition), v, record_offset);
}

void
offsets_load_tombstone(struct offsets *o, struct slice topic, int32_t partition)
{
	(void)offsets_remove(o, topic, partition);
}

void
offsets_load_txn(struct offsets *o, int64_t producer_id, struct slice topic, int32_t partition, const struct offset_value *v, int64_t record_offset)
{
	struct offset_producer *p = producer_find(o, producer_id);
	struct undecided *u = undecided_find(o, p, topic, partition);

	if (v != NULL) {
		offsets_txn_appended(o, offsets_txn_begin(o, producer_id, topic, partition), producer_id, topic, partition, v, record_offset);
	} else if (u != NULL) {
		undecided_drop(o, p, u);
	}
}

/* ---- questions ---- */

bool
offsets_get(const struct offsets *o, struct slice topic, int32_t partition, struct offset_value *v)
{
	const struct offset_partition *p = find(o, topic, partition);

	if (p == NULL || p->record_offset < 0)
		return (false);
	*v = value_of(p);
	return (true);
}

bool
offsets_unstable(const struct offsets *o, struct slice topic, int32_t partition)
{
	const struct offset_partition *p = find(o, topic, partition);

	return (p != NULL && (aside_of(p)->undecided > 0 || p->pending > p->doomed));
}

bool
offsets_any(const struct offsets *o)
{
	return (o->ncommitted > 0 || o->npending > 0 || o->producers != NULL);
}

void
offsets_each(const struct offsets *o, offsets_fn *fn, void *ctx)
{
	const struct offset_topic *t, *next;

	HASH_ITER(hh, o->topics, t, next)
		for (uint32_t i = 0; i < t->n; i++)
			if (t->v[i].record_offset >= 0) {
				struct offset_value v = value_of(&t->v[i]);

				fn(ctx, name_of(t), t->v[i].partition, &v);
			}
}

/* ---- ends ---- */

static bool
needs_tombstone(const struct offset_partition *p)
{
	return (p->record_offset >= 0 || p->pending > p->doomed || aside_of(p)->undecided > 0);
}

static void
remove_undecided(struct offsets *o, struct slice topic, int32_t partition)
{
	struct offset_producer *producer, *next;

	HASH_ITER(hh, o->producers, producer, next) {
		struct undecided *u = undecided_find(o, producer, topic, partition);

		if (u != NULL)
			undecided_drop(o, producer, u);
	}
}

/* p may be gone after it, and with it the topic. */
static void
remove_partition(struct offsets *o, struct offset_topic *t, struct offset_partition *p)
{
	int32_t partition = p->partition;
	uint64_t removed = ++o->order;

	p->pending++;			/* holds it */
	if (aside_of(p)->undecided > 0)
		remove_undecided(o, name_of(t), partition);
	p->pending--;
	p->doomed = p->pending;
	if (p->doomed > 0)
		aside_get(o, p)->removed = removed;
	aside_trim(o, p);
	uncommit(o, p);
	sweep(o, t, p);
}

bool
offsets_remove(struct offsets *o, struct slice topic, int32_t partition)
{
	struct offset_topic *t = topic_find(o, topic);
	struct offset_partition *p = partition_find(t, partition);

	bool needed = p != NULL && needs_tombstone(p);

	if (p != NULL)
		remove_partition(o, t, p);
	return (needed);
}

static void
remove_if(struct offsets *o, struct offset_topic *t, bool (*goes)(void *, const struct offset_topic *, const struct offset_partition *), void *goes_ctx,
    offsets_fn *fn, void *ctx)
{
	uint32_t i = t->n;

	while (i-- > 0) {		/* from the end: sweep moves what stands behind; the topic goes with its first */
		struct offset_partition *p = &t->v[i];
		struct offset_value v = value_of(p);

		if (!goes(goes_ctx, t, p))
			continue;
		if (needs_tombstone(p))
			fn(ctx, name_of(t), p->partition, p->record_offset >= 0 ? &v : NULL);
		remove_partition(o, t, p);
	}
}

static bool
always(void *ctx, const struct offset_topic *t, const struct offset_partition *p)
{
	(void)ctx;
	(void)t;
	(void)p;
	return (true);
}

void
offsets_remove_topic(struct offsets *o, struct slice topic, offsets_fn *fn, void *ctx)
{
	struct offset_topic *t = topic_find(o, topic);

	if (t != NULL)
		remove_if(o, t, always, NULL, fn, ctx);
}

void
offsets_remove_all(struct offsets *o, offsets_fn *fn, void *ctx)
{
	struct offset_topic *t, *next;

	HASH_ITER(hh, o->topics, t, next)
		remove_if(o, t, always, NULL, fn, ctx);
}

struct expiry {
	const struct group *group;
	int64_t now_ms, retention_ms, since_ms;	/* since: of everything; -1: each from its commit */
	bool	by_subscription;
};

static bool
expired(void *ctx, const struct offset_topic *t, const struct offset_partition *p)
{
	const struct offset_aside *a = aside_of(p);
	const struct expiry *e = ctx;
	int64_t since, age;

	if (p->record_offset < 0 || p->pending > 0 || a->undecided > 0)
		return (false);
	if (e->by_subscription && group_subscribes(e->group, name_of(t)))
		return (false);
	if (a->expire_timestamp_ms != NO_EXPIRY)
		return (e->now_ms >= a->expire_timestamp_ms);
	since = e->since_ms >= 0 ? e->since_ms : p->commit_timestamp_ms;	/* the latter is what a client wrote: any number */
	return (!__builtin_sub_overflow(e->now_ms, since, &age) && age >= e->retention_ms);
}

void
offsets_expire(struct offsets *o, const struct group *g, int64_t now_ms, int64_t retention_ms, offsets_fn *fn, void *ctx)
{
	struct expiry e = { .group = g, .now_ms = now_ms, .retention_ms = retention_ms, .since_ms = -1 };
	struct offset_topic *t, *next;

	if (group_protocol_type(g).p != NULL) {
		if (group_state(g) == GROUP_EMPTY)
			e.since_ms = group_state_timestamp_ms(g);
		else if (group_state(g) == GROUP_STABLE && group_is_consumer(g) && group_subscriptions_known(g))
			e.by_subscription = true;
		else
			return;
	}
	HASH_ITER(hh, o->topics, t, next)
		remove_if(o, t, expired, &e, fn, ctx);
}

static void
ignore(void *ctx, struct slice topic, int32_t partition, const struct offset_value *v)
{
	(void)ctx;
	(void)topic;
	(void)partition;
	(void)v;
}

static void
forget_pending(struct offsets *o, struct offset_partition *p)
{
	o->npending -= p->pending;
	p->pending = p->doomed = 0;
	aside_trim(o, p);
}

void
offsets_fini(struct offsets *o)
{
	struct offset_producer *p, *next;
	struct offset_topic *t, *tnext;

	HASH_ITER(hh, o->producers, p, next)
		offsets_txn_end(o, p->id, false);
	HASH_ITER(hh, o->topics, t, tnext)
		for (uint32_t i = 0; i < t->n; i++)	/* nobody will hear of their answers */
			forget_pending(o, &t->v[i]);
	offsets_remove_all(o, ignore, NULL);
	must(o->topics == NULL && o->producers == NULL && o->ncommitted == 0 && o->npending == 0 && o->bytes == 0);
}

/* ---- the invariants ---- */

void
offsets_check(const struct offsets *o)
{
	const struct offset_topic *t, *tnext;
	const struct offset_producer *p, *pnext;
	uint32_t committed = 0, pending = 0, undecided = 0, named = 0;
	uint64_t bytes = 0;

	HASH_ITER(hh, o->topics, t, tnext) {
		must(t->n > 0);									/* (1) */
		bytes += sizeof(*t) + t->len + 1 + t->room * sizeof(*t->v);
		for (uint32_t i = 0; i < t->n; i++) {
			const struct offset_aside *a = aside_of(&t->v[i]);

			must(i == 0 || t->v[i - 1].partition < t->v[i].partition);
			must((t->v[i].aside == NULL) == says_nothing(&t->v[i]));
			must(t->v[i].doomed <= t->v[i].pending && a->removed <= o->order);			/* (4) */
			must(t->v[i].record_offset >= 0 || t->v[i].pending > 0 || a->undecided > 0);
			committed += t->v[i].record_offset >= 0;
			pending += t->v[i].pending;
			undecided += a->undecided;
			bytes += aside_bytes(&t->v[i]);
		}
	}
	HASH_ITER(hh, o->producers, p, pnext) {
		must(p->commits != NULL);
		bytes += sizeof(*p);
		for (const struct undecided *u = p->commits; u != NULL; u = u->hh.next) {
			must(find(o, undecided_topic(u), undecided_partition(u)) != NULL);
			named++;
			bytes += sizeof(*u) + u->len + u->value.metadata.len;
		}
	}
	must(committed == o->ncommitted && pending == o->npending && bytes == o->bytes);		/* (2) */
	must(named == undecided);									/* (3) */
}
