/* SPDX-License-Identifier: Apache-2.0
 *
 * group/appends.c - the coordinator's records on their way to the log: built as Kafka builds them, appended through replica/.
 *
 * A batch holds what was decided in one step: the offsets of one commit, the record of one generation, the tombstones of one deletion.  Whoever
 * sent it learns when it is committed in the log; until then nothing of it is visible to clients.
 *
 * ORDER  replica/ has large batches validated by a worker, and others could overtake them: a tombstone the commit that it is to bury.  So those of the
 * same home wait meanwhile.  What has waited while the home was dropped belongs to another time and is refused.
 *
 * IF IT DIES HERE  Before the append: nobody was told, nothing is there.  After it, before the answer: the next coordinator loads it, and the
 * client, which never had its answer, asks again; a commit may be repeated, a generation that was stored is gone on with.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "group/coordinator_int.h"

enum {
	TOMBSTONES_BYTES_MAX = 262144,	/* of one batch: far below any sensible max.message.bytes */
	WORDS_MAX = 65536,		/* bytes of error texts of one append */
};

struct appending {
	struct replica_append a;
	struct replica_append_item item;
	struct arena	 arena;
	struct coordinator_loop *on;
	struct home	*home;
	uint32_t	 term;
	STAILQ_ENTRY(appending) link;	/* home.behind */
	uint8_t		*bytes;
	appended_fn	*done;
	void		*ctx;
};

struct batch_builder *
appends_builder(struct home *home, int32_t base_sequence, size_t bytes_likely)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b;

	o.codec = home->on->c->opt.codec;
	o.base_sequence = base_sequence;
	o.bytes_likely = bytes_likely;
	b = batch_builder_new(home->on->codec, &o, &eb);
	if (b == NULL)
		diag_error(home->on->c->opt.diag, "group", "offsets.topic.compression.codec: %s", eb.text);
	return (b);
}

static void
appended(struct replica_append *a)
{
	struct appending *w = CONTAINER_OF(a, struct appending, a);

	w->done(w->ctx, w->item.error, w->item.base_offset);
	w->on->c->on_the_way--;
	arena_fini(&w->arena);
	free(w->bytes);
	free(w);
}

static void
appended_not(struct task *task)
{
	appended(&CONTAINER_OF(task, struct appending, a.task)->a);
}

static void
refuse(struct appending *w, enum kerr k)
{
	w->item.error = k;
	w->item.base_offset = -1;
	w->a.task.fn = appended_not;
	loop_post(w->on->loop, &w->a.task);
}

static void
go(struct appending *w)
{
	if (w->term != w->home->term) {
		refuse(w, KERR_NOT_LEADER_OR_FOLLOWER);
		return;
	}
	replica_append(w->on->c->opt.replicas, &w->a);
	if (w->a.later)
		w->home->ahead = w;
}

static void
queued(struct replica_append *a)
{
	struct home *home = CONTAINER_OF(a, struct appending, a)->home;
	struct appending *w;

	if (home->ahead != CONTAINER_OF(a, struct appending, a))
		return;
	home->ahead = NULL;
	while (home->ahead == NULL && (w = STAILQ_FIRST(&home->behind)) != NULL) {
		STAILQ_REMOVE_HEAD(&home->behind, link);
		go(w);
	}
}

void
appends_send(struct home *home, struct batch_builder *b, int16_t acks, appended_fn *done, void *ctx)
{
	const struct group_coordinator_options *opt = &home->on->c->opt;
	struct appending *w = xcalloc(1, sizeof(*w));
	size_t len = 0;
	enum err e = b == NULL ? ERR_UNSUPPORTED : batch_builder_finish(b, &w->bytes, &len, NULL);

	if (b != NULL)
		batch_builder_free(b);
	arena_init(&w->arena, WORDS_MAX);
	w->on = home->on;
	w->home = home;
	w->term = home->term;
	w->done = done;
	w->ctx = ctx;
	home->on->c->on_the_way++;
	if (e != OK) {
		refuse(w, e == ERR_LIMIT ? KERR_RECORD_LIST_TOO_LARGE : KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	w->item = (struct replica_append_item){ .topic = SLICE_LIT(GROUP_OFFSETS_TOPIC), .partition = home->number, .records = w->bytes,
	    .records_len = (uint32_t)len };
	w->a = (struct replica_append){ .loop = home->on->loop, .acks = acks, .produce_version = 11, .timeout_ms = opt->commit_timeout_ms,
	    .internal_topics_allowed = true, .origin = RECORD_FROM_COORDINATOR, .arena = &w->arena, .items = &w->item, .nitems = 1, .queued = queued, .done = appended };
	if (home->ahead != NULL)
		STAILQ_INSERT_TAIL(&home->behind, w, link);
	else
		go(w);
}

/* ---- what the log said, as members and committers are to hear it ---- */

enum kerr
commit_error(enum kerr k)
{
	switch (k) {
	case KERR_UNKNOWN_TOPIC_OR_PARTITION:
	case KERR_NOT_ENOUGH_REPLICAS:
	case KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
		return (KERR_COORDINATOR_NOT_AVAILABLE);
	case KERR_NOT_LEADER_OR_FOLLOWER:
	case KERR_KAFKA_STORAGE_ERROR:
		return (KERR_NOT_COORDINATOR);
	case KERR_MESSAGE_TOO_LARGE:
	case KERR_RECORD_LIST_TOO_LARGE:
	case KERR_INVALID_FETCH_SIZE:
		return (KERR_INVALID_COMMIT_OFFSET_SIZE);
	case KERR_NETWORK_EXCEPTION:
		return (KERR_COORDINATOR_LOAD_IN_PROGRESS);
	default:
		return (k);
	}
}

static enum kerr
group_error(enum kerr k)
{
	if (k == KERR_REQUEST_TIMED_OUT)
		return (KERR_REBALANCE_IN_PROGRESS);
	if (k == KERR_NETWORK_EXCEPTION)
		return (k);
	k = commit_error(k);
	return (k == KERR_INVALID_COMMIT_OFFSET_SIZE ? KERR_UNKNOWN_SERVER_ERROR : k);
}

/* ---- the record of a generation ---- */

struct storing {
	struct coordinator_loop *on;
	struct group	*group;
	struct group_store *store;
};

static void
group_appended(void *ctx, enum kerr k, int64_t base_offset)
{
	struct storing *s = ctx;
	struct slice id = group_id(s->group);

	(void)base_offset;
	if (k != KERR_NONE)
		diag_warning(s->on->c->opt.diag, "group", "%.*s: generation %d could not be stored: %s", (int)id.len, (const char *)id.p,
		    (int)group_generation(s->group), kerr_name(k));
	group_stored(s->store, group_error(k));
	group_unref(&s->group);
	free(s);
}

/* Returns the length of the key. */
static size_t
encode(struct writer *w, const struct group_key *key, struct append_value value)
{
	size_t key_len;

	group_key_encode(w, key);
	key_len = w->need;
	if (value.offset != NULL)
		offset_value_encode(w, value.offset);
	else if (value.group != NULL)
		group_value_encode(w, value.group);
	return (key_len);
}

enum err
appends_add(struct batch_builder *b, int64_t now_ms, const struct group_key *key, struct append_value value)
{
	uint8_t small[512], *bytes = small;
	struct writer w = writer_of(small, sizeof(small));
	size_t key_len = encode(&w, key, value);
	bool buried = value.offset == NULL && value.group == NULL;
	enum err e;

	if (w.need > sizeof(small)) {
		bytes = xmalloc(w.need);
		w = writer_of(bytes, w.need);
		(void)encode(&w, key, value);
	}
	e = batch_builder_append(b, now_ms, slice_of(bytes, key_len), buried ? SLICE_NULL : slice_of(bytes + key_len, w.need - key_len), NULL, 0);
	if (bytes != small)
		free(bytes);
	return (e);
}

void
appends_store_group(struct group_host *host, struct group *g, const struct group_record *r, struct group_store *store)
{
	struct coordinator_loop *on = CONTAINER_OF(host, struct coordinator_loop, host);
	struct home *home = &on->c->homes[group_coordinator_partition(on->c, group_id(g))];
	struct group_key key = { .kind = GROUP_KEY_GROUP, .group = group_id(g) };
	struct batch_builder *b = appends_builder(home, BATCH_NO_SEQUENCE, 0);
	struct storing *s = xmalloc(sizeof(*s));

	*s = (struct storing){ on, group_ref(g), store };
	if (b != NULL && appends_add(b, clock_wall_ms(on->c->opt.clock), &key, (struct append_value){ .group = r }) != OK) {
		batch_builder_free(b);
		b = NULL;
	}
	appends_send(home, b, on->c->opt.commit_acks, group_appended, s);
}

/* ---- tombstones ---- */

struct burying {
	struct coordinator_loop *on;
	struct group_call *call;
	uint32_t	 n;
};

/* As in Kafka nobody is told of a failure: what comes back with the next load is looked for again when offsets expire. */
static void
tombstones_appended(void *ctx, enum kerr k, int64_t base_offset)
{
	struct burying *b = ctx;

	(void)base_offset;
	if (k != KERR_NONE)
		diag_error(b->on->c->opt.diag, "group", "%u tombstones of expired or deleted offsets and groups could not be written: %s", (unsigned)b->n,
		    kerr_name(k));
	if (b->call != NULL)
		call_appended(b->call);
	free(b);
}

void
tombstones_send(struct tombstones *t)
{
	struct burying *b;

	if (t->builder == NULL)
		return;
	b = xmalloc(sizeof(*b));
	*b = (struct burying){ t->hosted->home->on, t->call, t->n };
	if (t->call != NULL)
		t->call->appends++;
	appends_send(t->hosted->home, t->builder, 1, tombstones_appended, b);
	t->builder = NULL;
	t->n = 0;
}

static void
tombstone(struct tombstones *t, const struct group_key *key)
{
	struct coordinator_loop *on = t->hosted->home->on;

	if (t->builder == NULL)
		t->builder = appends_builder(t->hosted->home, BATCH_NO_SEQUENCE, 0);
	if (t->builder == NULL)
		return;
	if (appends_add(t->builder, clock_wall_ms(on->c->opt.clock), key, (struct append_value){ 0 }) != OK) {
		batch_builder_free(t->builder);
		t->builder = NULL;
		return;
	}
	t->n++;
	if (batch_builder_bytes(t->builder) > TOMBSTONES_BYTES_MAX)
		tombstones_send(t);
}

void
tombstone_offset(void *ctx, struct slice topic, int32_t partition, const struct offset_value *v)
{
	struct tombstones *t = ctx;
	struct group_key key = { .kind = GROUP_KEY_OFFSET, .group = slice_of(t->hosted->id, t->hosted->id_len), .topic = topic, .partition = partition };

	(void)v;
	tombstone(t, &key);
}

/* A group that never had a generation has no record to bury. */
void
tombstones_group(struct tombstones *t)
{
	struct group_key key = { .kind = GROUP_KEY_GROUP, .group = slice_of(t->hosted->id, t->hosted->id_len) };

	if (group_generation(t->hosted->group) > 0)
		tombstone(t, &key);
}
