/* SPDX-License-Identifier: Apache-2.0
 *
 * server/fetch_session.c - see fetch_session.h.
 *
 * STRUCTURE  Eight shards, each with a lock, a table of sessions and a list of them, least recently used first.  A session has its partitions
 *            in a hash table that also keeps their order (uthash does), and the topics of those.
 *
 * LOCKING    A shard's lock protects the shard and everything in its sessions.  It is held while one request's partitions are merged, copied
 *            out or compared, never longer, and nothing is locked inside it.  A session normally lives on one connection, so the lock is
 *            hardly ever contended; Java locks in the same places.
 *
 * INVARIANTS
 *   (1) Partitions enter and leave a session only together with a change of its epoch (also when the last one leaves).  So while the epoch is
 *       the one that begin left, every `cached` pointer of that context is valid.
 *   (2) A session that left its shard's table (closed, evicted) lives on until the contexts that use it have ended; they are answered as
 *       if nothing had happened, and the client learns of it with its next request.
 *   (3) bytes of a shard = sum of what its sessions' partitions and topics weigh, also of those that live on by (2).
 */
#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/lock.h"
#include "base/must.h"
#include "server/fetch_session.h"

enum {
	EPOCH_FIRST = 0, EPOCH_FINAL = -1,
	SHARD_IDS = INT32_MAX / FETCH_SESSION_SHARDS,	/* ids of shard i: [max(1, i * SHARD_IDS), (i + 1) * SHARD_IDS) */
};

struct cached_topic {
	UT_hash_handle	 hh;
	struct uuid	 id;		/* the key of sessions that use ids */
	char		*name;		/* the key of those that do not; NULL: not known yet */
	uint32_t	 name_len;
	uint32_t	 npartitions;
	struct slice	 copy;		/* the name in the arena of the request being copied out ... */
	uint64_t	 copy_serial;	/* ... which is this one */
};

struct partition_key {
	struct cached_topic *topic;
	int64_t		     partition;
};

struct cached_partition {
	UT_hash_handle	 hh;
	struct partition_key key;
	bool		 named;		/* its topic's name was known when it came, or later when it was fetched */
	int32_t		 max_bytes;
	int64_t		 fetch_offset, log_start_offset;
	int32_t		 current_leader_epoch, last_fetched_epoch;
	int64_t		 sent_high_watermark, sent_log_start_offset;
};

struct fetch_session {
	UT_hash_handle	 hh;
	TAILQ_ENTRY(fetch_session) link;
	int32_t		 id, epoch;
	uint32_t	 refs;		/* the table's and one per context */
	bool		 listed;	/* in the shard's table */
	bool		 uses_ids, privileged;
	bool		 evictable_by_all, evictable_by_privileged;	/* as of its last use */
	uint32_t	 size;		/* partitions, as of its last use */
	int64_t		 created_ms, used_ms;
	uint64_t	 bytes;
	struct cached_topic *topics;
	struct cached_partition *partitions;
};

struct shard {
	struct lock	 lock;
	struct fetch_session *sessions;
	TAILQ_HEAD(session_list, fetch_session) by_use;
	uint64_t	 bytes, serial;
};

struct fetch_sessions {
	struct clock	*clock;
	struct random	*random;
	struct metrics	*metrics;
	int32_t		 slots;		/* of all shards together */
	_Atomic uint32_t next;		/* shard of the next session */
	uint64_t	 seed;		/* of the hashes: peers choose the names */
	struct shard	 shards[FETCH_SESSION_SHARDS];
};

struct fetch_sessions *
fetch_sessions_new(int32_t slots, struct clock *clock, struct random *random, struct metrics *metrics)
{
	struct fetch_sessions *c = xcalloc(1, sizeof(*c));

	c->clock = clock;
	c->random = random;
	c->metrics = metrics;
	c->slots = slots;
	c->seed = random == NULL ? 0 : random_u64(random);
	for (int i = 0; i < FETCH_SESSION_SHARDS; i++) {
		lock_init(&c->shards[i].lock, LOCK_fetch_sessions);
		TAILQ_INIT(&c->shards[i].by_use);
	}
	return (c);
}

/* ---- hashing ---- */

static unsigned
hash_key(const struct fetch_sessions *c, const struct partition_key *k)
{
	return ((unsigned)hash_mix(c->seed ^ (uintptr_t)k->topic, (uint64_t)k->partition));
}

/* ---- one session's content; the shard is locked ---- */

static struct cached_topic *
topic_find(const struct fetch_sessions *c, const struct fetch_session *s, struct slice name, struct uuid id, unsigned *hashp)
{
	const void *key = s->uses_ids ? (const void *)id.b : (const void *)name.p;
	size_t len = s->uses_ids ? sizeof(id.b) : name.len;
	struct cached_topic *t;

	*hashp = (unsigned)hash_bytes(c->seed, key, len);
	HASH_FIND_BYHASHVALUE(hh, s->topics, key, (unsigned)len, *hashp, t);
	return (t);
}

static void
session_weigh(struct shard *sh, struct fetch_session *s, int64_t bytes)
{
	s->bytes += (uint64_t)bytes;
	sh->bytes += (uint64_t)bytes;
}

static void
topic_set_name(struct shard *sh, struct fetch_session *s, struct cached_topic *t, struct slice name)
{
	if (t->name != NULL || name.p == NULL)
		return;
	t->name = xmalloc(name.len + 1);
	if (name.len > 0)
		memcpy(t->name, name.p, name.len);
	t->name[name.len] = '\0';
	t->name_len = (uint32_t)name.len;
	session_weigh(sh, s, (int64_t)name.len);
}

static struct cached_topic *
topic_add(struct shard *sh, struct fetch_session *s, struct slice name, struct uuid id, unsigned hash)
{
	struct cached_topic *t = xcalloc(1, sizeof(*t));

	t->id = id;
	topic_set_name(sh, s, t, name);
	if (s->uses_ids)
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->topics, t->id.b, sizeof(t->id.b), hash, t);
	else
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->topics, t->name, t->name_len, hash, t);
	session_weigh(sh, s, sizeof(*t));
	return (t);
}

static void
topic_drop(struct shard *sh, struct fetch_session *s, struct cached_topic *t)
{
	HASH_DELETE(hh, s->topics, t);
	session_weigh(sh, s, -(int64_t)(sizeof(*t) + t->name_len));
	free(t->name);
	free(t);
}

static struct cached_partition *
partition_find(const struct fetch_sessions *c, const struct fetch_session *s, struct cached_topic *t, int32_t partition)
{
	struct partition_key key = { t, partition };
	struct cached_partition *p;

	HASH_FIND_BYHASHVALUE(hh, s->partitions, &key, sizeof(key), hash_key(c, &key), p);
	return (p);
}

static void
partition_link(const struct fetch_sessions *c, struct fetch_session *s, struct cached_partition *p)
{
	unsigned hash = hash_key(c, &p->key);

	HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->partitions, &p->key, sizeof(p->key), hash, p);
}

static void
partition_take_request(struct cached_partition *p, const struct fetch_part *part)
{
	p->max_bytes = part->max_bytes;
	p->fetch_offset = part->fetch_offset;
	p->log_start_offset = part->log_start_offset;
	p->current_leader_epoch = part->current_leader_epoch;
	p->last_fetched_epoch = part->last_fetched_epoch;
}

/* The partition of this part, made when it is new. */
static struct cached_partition *
session_put(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s, const struct fetch_part *part)
{
	unsigned hash;
	struct cached_topic *t = topic_find(c, s, part->name, part->topic_id, &hash);
	struct cached_partition *p;

	if (t == NULL)
		t = topic_add(sh, s, part->name, part->topic_id, hash);
	p = partition_find(c, s, t, part->partition);
	if (p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->key = (struct partition_key){ t, part->partition };
		p->sent_high_watermark = p->sent_log_start_offset = -1;
		p->named = part->name.p != NULL;
		t->npartitions++;
		topic_set_name(sh, s, t, part->name);
		partition_link(c, s, p);
		session_weigh(sh, s, sizeof(*p));
	}
	partition_take_request(p, part);
	return (p);
}

static void
session_forget(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s, struct slice name, struct uuid id, int32_t partition)
{
	unsigned hash;
	struct cached_topic *t = topic_find(c, s, name, id, &hash);
	struct cached_partition *p = t == NULL ? NULL : partition_find(c, s, t, partition);

	if (p == NULL)
		return;
	HASH_DELETE(hh, s->partitions, p);
	session_weigh(sh, s, -(int64_t)sizeof(*p));
	free(p);
	if (--t->npartitions == 0)
		topic_drop(sh, s, t);
}

static void
session_unref(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s)
{
	struct cached_partition *p, *next;
	struct cached_topic *t, *tnext;

	must(s->refs > 0);
	if (--s->refs > 0)
		return;
	must(!s->listed);
	HASH_ITER(hh, s->partitions, p, next) {
		HASH_DELETE(hh, s->partitions, p);
		session_weigh(sh, s, -(int64_t)sizeof(*p));
		free(p);
	}
	HASH_ITER(hh, s->topics, t, tnext)
		topic_drop(sh, s, t);
	must(s->bytes == 0);
	free(s);
	(void)c;
}

/* ---- the shard's table ---- */

static struct fetch_session *
shard_find(struct shard *sh, int32_t id)
{
	struct fetch_session *s;

	HASH_FIND_INT(sh->sessions, &id, s);
	return (s);
}

/* Of this id, whether there is a session of it or not; NULL: no session can have it. */
static struct shard *
shard_of(struct fetch_sessions *c, int32_t id)
{
	return (id <= 0 || id / SHARD_IDS >= FETCH_SESSION_SHARDS ? NULL : &c->shards[id / SHARD_IDS]);
}

static void
shard_remove(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s)
{
	HASH_DEL(sh->sessions, s);
	TAILQ_REMOVE(&sh->by_use, s, link);
	s->listed = false;
	metric_add(c->metrics, METRIC_fetch_sessions, -1);
	metric_add(c->metrics, METRIC_fetch_session_partitions, -(int64_t)s->size);
	session_unref(c, sh, s);
}

static void
shard_touch(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s, int64_t now_ms)
{
	bool old = now_ms - s->created_ms > FETCH_SESSION_EVICTABLE_MS;
	uint32_t size = HASH_COUNT(s->partitions);

	TAILQ_REMOVE(&sh->by_use, s, link);
	TAILQ_INSERT_TAIL(&sh->by_use, s, link);
	s->used_ms = now_ms;
	metric_add(c->metrics, METRIC_fetch_session_partitions, (int64_t)size - s->size);
	s->size = size;
	s->evictable_by_all = old;
	s->evictable_by_privileged = old || !s->privileged;
}

/* Worth less: consumers before followers, small before large. */
static int
worth_cmp(bool a_privileged, uint32_t a_size, bool b_privileged, uint32_t b_size)
{
	if (a_privileged != b_privileged)
		return (a_privileged ? 1 : -1);
	return (a_size < b_size ? -1 : a_size > b_size);
}

static struct fetch_session *
shard_least_worth(struct shard *sh, bool for_privileged)
{
	struct fetch_session *s, *least = NULL;

	TAILQ_FOREACH(s, &sh->by_use, link) {
		if (!(for_privileged ? s->evictable_by_privileged : s->evictable_by_all))
			continue;
		if (least == NULL || worth_cmp(s->privileged, s->size, least->privileged, least->size) < 0)
			least = s;
	}
	return (least);
}

/* Room for one session: one that was not used for long goes, or one that is worth less than the new one. */
static bool
shard_make_room(struct fetch_sessions *c, struct shard *sh, bool privileged, uint32_t size, int64_t now_ms)
{
	struct fetch_session *s = TAILQ_FIRST(&sh->by_use);

	if (HASH_COUNT(sh->sessions) < (unsigned)(c->slots / FETCH_SESSION_SHARDS))
		return (true);
	if (s == NULL)
		return (false);
	if (now_ms - s->used_ms <= FETCH_SESSION_EVICTABLE_MS) {
		s = shard_least_worth(sh, privileged);
		if (s == NULL || worth_cmp(privileged, size, s->privileged, s->size) <= 0)
			return (false);
	}
	shard_remove(c, sh, s);
	metric_add(c->metrics, METRIC_fetch_session_evictions_total, 1);
	return (true);
}

static int32_t
shard_new_id(struct fetch_sessions *c, struct shard *sh)
{
	int32_t first = (int32_t)(sh - c->shards) * SHARD_IDS, id;

	do
		id = first + (int32_t)random_below(c->random, SHARD_IDS);
	while (id == 0 || shard_find(sh, id) != NULL);
	return (id);
}

static bool
shard_is_too_heavy(const struct shard *sh)
{
	return (sh->bytes > LIMIT_FETCH_SESSION_BYTES_MAX / FETCH_SESSION_SHARDS);
}

void
fetch_sessions_free(struct fetch_sessions **cp)
{
	struct fetch_sessions *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	for (int i = 0; i < FETCH_SESSION_SHARDS; i++) {
		struct shard *sh = &c->shards[i];

		while (!TAILQ_EMPTY(&sh->by_use))
			shard_remove(c, sh, TAILQ_FIRST(&sh->by_use));
		must(sh->bytes == 0);
		lock_fini(&sh->lock);
	}
	free(c);
}

/* ---- the partitions that a request names ---- */

struct part_list {
	struct fetch_part *v;
	uint32_t	n;
	uint32_t       *slots;		/* 1 + index of a part, 0 free; a power of two of them */
	uint32_t	nslots;
};

static bool
part_list_init(struct part_list *l, const struct wire_fetch_request *q, struct arena *a)
{
	size_t total = 0;

	for (int32_t i = 0; i < q->topics.n; i++)
		total += (size_t)q->topics.v[i].partitions.n;
	*l = (struct part_list){ .v = ARENA_ARRAY(a, struct fetch_part, total + 1), .nslots = 2 };
	while (l->nslots < 2 * total)
		l->nslots *= 2;
	l->slots = ARENA_ARRAY(a, uint32_t, l->nslots);
	return (l->v != NULL && l->slots != NULL);
}

static bool
part_is(const struct fetch_part *p, const struct fetch_part *like)
{
	if (p->partition != like->partition || !uuid_eq(p->topic_id, like->topic_id))
		return (false);
	return (!uuid_is_zero(p->topic_id) || slice_eq(p->name, like->name));
}

/* Its place.  A partition that is named twice keeps its place and takes what was said last, as in Java's map. */
static void
part_list_put(struct part_list *l, const struct fetch_part *part, uint64_t hash)
{
	uint32_t i = (uint32_t)hash;

	for (; l->slots[i & (l->nslots - 1)] != 0; i++) {
		struct fetch_part *p = &l->v[l->slots[i & (l->nslots - 1)] - 1];

		if (part_is(p, part)) {
			*p = *part;
			return;
		}
	}
	l->v[l->n++] = *part;
	l->slots[i & (l->nslots - 1)] = l->n;
}

/* What a topic of the request is called; null when the image does not know its id. */
static struct slice
topic_name(const struct wire_fetch_request_topic *t, int version, const struct image *image, struct arena *a, bool *full)
{
	const struct image_topic *it;
	struct slice name;

	if (version < FETCH_TOPIC_IDS_SINCE)
		return (t->topic);
	it = image_topic_by_id(image, t->topic_id);
	if (it == NULL)
		return (SLICE_NULL);
	name = arena_dup(a, it->name);
	*full = *full || name.p == NULL;
	return (name);
}

static bool
part_list_fill(const struct fetch_sessions *c, struct part_list *l, const struct wire_fetch_request *q, int version, const struct image *image,
    struct arena *a)
{
	bool full = false;

	if (!part_list_init(l, q, a))
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++) {
		const struct wire_fetch_request_topic *t = &q->topics.v[i];
		struct fetch_part part = { .name = topic_name(t, version, image, a, &full) };
		uint64_t hash;

		if (version >= FETCH_TOPIC_IDS_SINCE)
			part.topic_id = t->topic_id;
		hash = hash_bytes(hash_bytes(c->seed, part.topic_id.b, 16), part.name.p, part.name.len);
		for (int32_t j = 0; j < t->partitions.n; j++) {
			const struct wire_fetch_request_partition *p = &t->partitions.v[j];

			part.partition = p->partition;
			part.max_bytes = p->partition_max_bytes;
			part.fetch_offset = p->fetch_offset;
			part.log_start_offset = p->log_start_offset;
			part.current_leader_epoch = p->current_leader_epoch;
			part.last_fetched_epoch = p->last_fetched_epoch;
			part_list_put(l, &part, hash_mix(hash, (uint32_t)p->partition));
		}
	}
	return (!full);
}

/* ---- begin ---- */

static int32_t
epoch_after(int32_t epoch)
{
	return (epoch == INT32_MAX ? 1 : epoch + 1);
}

static void
close_session(struct fetch_sessions *c, int32_t id)
{
	struct shard *sh = shard_of(c, id);
	struct fetch_session *s;

	if (sh == NULL)
		return;
	lock_acquire(&sh->lock);
	s = shard_find(sh, id);
	if (s != NULL)
		shard_remove(c, sh, s);
	lock_release(&sh->lock);
}

static enum kerr
session_check(const struct fetch_session *s, const struct fetch_context *x)
{
	if (s == NULL)
		return (KERR_FETCH_SESSION_ID_NOT_FOUND);
	if (s->epoch != x->epoch)
		return (KERR_INVALID_FETCH_SESSION_EPOCH);
	if (s->uses_ids != x->uses_ids)
		return (KERR_FETCH_SESSION_TOPIC_ID_ERROR);
	return (KERR_NONE);
}

/* false: too much. */
static bool
session_update(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s, const struct part_list *l, const struct wire_fetch_request *q)
{
	for (uint32_t i = 0; i < l->n && !shard_is_too_heavy(sh); i++)
		session_put(c, sh, s, &l->v[i]);
	for (int32_t i = 0; i < q->forgotten_topics_data.n; i++) {
		const struct wire_fetch_request_forgotten_topic *t = &q->forgotten_topics_data.v[i];

		for (int32_t j = 0; j < t->partitions.n; j++)
			session_forget(c, sh, s, t->topic, t->topic_id, t->partitions.v[j]);
	}
	return (!shard_is_too_heavy(sh));
}

/* The name as the request being served may keep it; null: unknown (or the arena is full). */
static struct slice
partition_name(struct shard *sh, struct fetch_session *s, struct cached_partition *p, const struct image *image, struct arena *a)
{
	struct cached_topic *t = p->key.topic;
	const struct image_topic *it;

	if (!p->named) {
		it = image_topic_by_id(image, t->id);
		if (it == NULL)
			return (SLICE_NULL);
		topic_set_name(sh, s, t, it->name);
		p->named = true;
	}
	if (t->copy_serial != sh->serial) {
		t->copy = arena_dup(a, slice_of(t->name, t->name_len));
		t->copy_serial = sh->serial;
	}
	return (t->copy);
}

static bool
session_copy_out(struct shard *sh, struct fetch_session *s, const struct image *image, struct arena *a, struct fetch_context *x)
{
	struct fetch_part *part = ARENA_ARRAY(a, struct fetch_part, HASH_COUNT(s->partitions));

	x->parts = part;
	x->nparts = HASH_COUNT(s->partitions);
	if (part == NULL)
		return (false);
	sh->serial++;
	for (struct cached_partition *p = s->partitions; p != NULL; p = p->hh.next, part++) {
		part->name = partition_name(sh, s, p, image, a);
		part->topic_id = s->uses_ids ? p->key.topic->id : UUID_ZERO;
		part->partition = (int32_t)p->key.partition;
		part->max_bytes = p->max_bytes;
		part->fetch_offset = p->fetch_offset;
		part->log_start_offset = p->log_start_offset;
		part->current_leader_epoch = p->current_leader_epoch;
		part->last_fetched_epoch = p->last_fetched_epoch;
		part->cached = p;
	}
	return (!a->full);
}

static void
context_fail(struct fetch_context *x, enum kerr error)
{
	x->kind = FETCH_ERROR;
	x->error = error;
}

static bool
begin_locked(struct fetch_sessions *c, struct shard *sh, const struct wire_fetch_request *q, const struct part_list *l, const struct image *image,
    struct arena *a, struct fetch_context *x)
{
	struct fetch_session *s = shard_find(sh, q->session_id);
	enum kerr k = session_check(s, x);
	bool fits;

	if (k != KERR_NONE) {
		context_fail(x, k);
		return (true);
	}
	fits = session_update(c, sh, s, l, q);
	s->epoch = epoch_after(s->epoch);	/* invariant (1) */
	if (!fits || s->partitions == NULL) {
		shard_remove(c, sh, s);
		if (!fits)
			context_fail(x, KERR_FETCH_SESSION_ID_NOT_FOUND);
		else
			x->kind = FETCH_SESSIONLESS;
		return (true);
	}
	shard_touch(c, sh, s, clock_mono_ms(c->clock));
	x->kind = FETCH_INCREMENTAL;
	if (!session_copy_out(sh, s, image, a, x))
		return (false);
	x->session = s;
	x->session_id = s->id;
	s->refs++;
	return (true);
}

static bool
begin_incremental(struct fetch_sessions *c, const struct wire_fetch_request *q, const struct part_list *l, const struct image *image,
    struct arena *a, struct fetch_context *x)
{
	struct shard *sh = shard_of(c, q->session_id);
	bool ok;

	if (sh == NULL) {
		context_fail(x, KERR_FETCH_SESSION_ID_NOT_FOUND);
		return (true);
	}
	lock_acquire(&sh->lock);
	ok = begin_locked(c, sh, q, l, image, a, x);
	lock_release(&sh->lock);
	return (ok);
}

bool
fetch_session_begin(struct fetch_sessions *c, const struct wire_fetch_request *q, int version, bool privileged, const struct image *image,
    struct arena *a, struct fetch_context *x)
{
	struct part_list l;

	*x = (struct fetch_context){ .epoch = q->session_epoch, .uses_ids = version >= FETCH_TOPIC_IDS_SINCE, .privileged = privileged };
	if (!part_list_fill(c, &l, q, version, image, a))
		return (false);
	x->parts = l.v;
	x->nparts = l.n;
	if (x->epoch != EPOCH_FIRST && x->epoch != EPOCH_FINAL) {
		if (!begin_incremental(c, q, &l, image, a, x))
			return (false);
		if (x->kind == FETCH_ERROR)
			x->nparts = 0;
		return (true);
	}
	close_session(c, q->session_id);
	x->kind = x->epoch == EPOCH_FIRST ? FETCH_FULL : FETCH_SESSIONLESS;
	return (true);
}

/* ---- end ---- */

/* What the answer says of a partition is remembered, so that it need not be said again. */
static void
partition_take_answer(struct cached_partition *p, const struct fetch_part *part)
{
	p->sent_high_watermark = part->error == KERR_NONE ? part->high_watermark : -1;	/* after an error it is said again in any case */
	p->sent_log_start_offset = part->answer_log_start_offset;
}

static bool
part_is_news(const struct fetch_part *part)
{
	return (part->has_records || part->diverging || part->error != KERR_NONE ||
	    part->high_watermark != part->cached->sent_high_watermark ||
	    part->answer_log_start_offset != part->cached->sent_log_start_offset);
}

static void
end_incremental(struct fetch_sessions *c, struct fetch_context *x)
{
	struct fetch_session *s = x->session;
	struct shard *sh = shard_of(c, s->id);

	lock_acquire(&sh->lock);
	if (s->epoch != epoch_after(x->epoch))
		x->error = KERR_INVALID_FETCH_SESSION_EPOCH;	/* the client has gone on without waiting for us */
	for (uint32_t i = 0; i < x->nparts && x->error == KERR_NONE; i++) {
		struct fetch_part *part = &x->parts[i];

		part->send = part_is_news(part);
		partition_take_answer(part->cached, part);
		if (!part->has_records)
			continue;
		HASH_DELETE(hh, s->partitions, part->cached);	/* behind those that were not served, for the next time */
		partition_link(c, s, part->cached);
	}
	session_unref(c, sh, s);
	lock_release(&sh->lock);
	x->session = NULL;
}

static void
session_fill(struct fetch_sessions *c, struct shard *sh, struct fetch_session *s, const struct fetch_context *x)
{
	for (uint32_t i = 0; i < x->nparts && !shard_is_too_heavy(sh); i++)
		partition_take_answer(session_put(c, sh, s, &x->parts[i]), &x->parts[i]);
}

static int32_t
session_create(struct fetch_sessions *c, struct shard *sh, const struct fetch_context *x)
{
	int64_t now_ms = clock_mono_ms(c->clock);
	struct fetch_session *s;

	if (shard_is_too_heavy(sh) || !shard_make_room(c, sh, x->privileged, x->nparts, now_ms))
		return (0);
	s = xcalloc(1, sizeof(*s));
	s->refs = 1;
	s->listed = true;
	s->uses_ids = x->uses_ids;
	s->privileged = x->privileged;
	s->created_ms = now_ms;
	s->epoch = epoch_after(EPOCH_FIRST);
	s->id = shard_new_id(c, sh);
	session_fill(c, sh, s, x);
	HASH_ADD_INT(sh->sessions, id, s);
	TAILQ_INSERT_TAIL(&sh->by_use, s, link);
	metric_add(c->metrics, METRIC_fetch_sessions, 1);
	shard_touch(c, sh, s, now_ms);
	if (!shard_is_too_heavy(sh))
		return (s->id);
	shard_remove(c, sh, s);
	return (0);
}

static void
end_full(struct fetch_sessions *c, struct fetch_context *x)
{
	struct shard *sh = &c->shards[__atomic_fetch_add((uint32_t *)&c->next, 1, __ATOMIC_RELAXED) % FETCH_SESSION_SHARDS];

	lock_acquire(&sh->lock);
	x->session_id = session_create(c, sh, x);
	lock_release(&sh->lock);
}

void
fetch_session_end(struct fetch_sessions *c, struct fetch_context *x)
{
	if (x->kind == FETCH_INCREMENTAL) {
		end_incremental(c, x);
		return;
	}
	for (uint32_t i = 0; i < x->nparts; i++)
		x->parts[i].send = true;
	if (x->kind == FETCH_FULL)
		end_full(c, x);
}

void
fetch_session_abandon(struct fetch_sessions *c, struct fetch_context *x)
{
	struct shard *sh;

	if (x->session == NULL)
		return;
	sh = shard_of(c, x->session->id);
	lock_acquire(&sh->lock);
	session_unref(c, sh, x->session);
	lock_release(&sh->lock);
	x->session = NULL;
}
