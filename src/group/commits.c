/* SPDX-License-Identifier: Apache-2.0
 *
 * group/commits.c - the coordinator's calls about offsets: commit, fetch, delete; the end of groups.
 *
 * A commit is judged by its group (group_may_commit), marked as on its way (offsets_begin), appended, and counts once the log has it
 * (offsets_appended).  Of a batch each record stands one offset behind the one before; so of a partition named twice the later one counts, here
 * and when the log is loaded.
 *
 * A deletion takes effect in memory first; then its tombstones are appended, and the caller is answered when that is over.  If the broker dies in
 * between, or the append fails, the offsets are back after the next load: nobody was told that they are gone, or expiry finds them again.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "group/coordinator_int.h"

/* ---- OffsetCommit ---- */

struct group_commit_private {
	struct hosted	*hosted;
	int64_t		 now_ms;
};

static bool
metadata_fits(const struct group_coordinator_options *opt, struct slice metadata)
{
	size_t max = (size_t)MAX(opt->metadata_max, 0);

	return (metadata.len <= INT16_MAX && (metadata.len <= max || java_string_length(metadata) <= max));	/* never more units than bytes */
}

/* Who asks for longer than there is time keeps it for ever.  (Java's sum turns negative, and the offset is gone at the next expiry.) */
static int64_t
expire_timestamp(int64_t now_ms, int64_t retention_ms)
{
	int64_t at;

	if (retention_ms == -1)
		return (-1);
	return (__builtin_add_overflow(now_ms, retention_ms, &at) ? INT64_MAX : at);
}

static struct offset_value
value_of(const struct group_commit_call *m, const struct group_commit_item *it)
{
	return ((struct offset_value){ .offset = it->offset, .leader_epoch = it->leader_epoch, .metadata = it->metadata.p == NULL ? SLICE_LIT("") : it->metadata,
	    .commit_timestamp_ms = it->commit_timestamp_ms == -1 ? m->private->now_ms : it->commit_timestamp_ms,
	    .expire_timestamp_ms = expire_timestamp(m->private->now_ms, m->retention_ms) });
}

static void
commit_answer_all(struct group_commit_call *m, enum kerr k)
{
	for (uint32_t i = 0; i < m->nitems; i++)
		m->items[i].error = k;
	call_done(&m->call);
}

static void
commit_appended(void *ctx, enum kerr k, int64_t base_offset)
{
	struct group_commit_call *m = ctx;
	struct hosted *g = m->private->hosted;
	int64_t at = base_offset;

	for (uint32_t i = 0; i < m->nitems; i++) {
		struct group_commit_item *it = &m->items[i];
		struct offset_value v = value_of(m, it);

		if (it->error != KERR_NONE)
			continue;
		if (!g->out && k == KERR_NONE)
			offsets_appended(&g->offsets, it->ticket, it->topic, it->partition, &v, at);
		else if (!g->out)
			offsets_failed(&g->offsets, it->ticket, it->topic, it->partition);
		at++;
		it->error = commit_error(k);
	}
	hosted_weigh(g);
	hosted_unref(&m->private->hosted);
	call_done(&m->call);
}

static enum err
commit_add(struct batch_builder *b, const struct group_commit_call *m, const struct group_commit_item *it)
{
	struct group_key key = { .kind = GROUP_KEY_OFFSET, .group = m->group, .topic = it->topic, .partition = it->partition };
	struct offset_value v = value_of(m, it);

	return (appends_add(b, m->private->now_ms, &key, (struct append_value){ .offset = &v }));
}

/* What a record takes beside group, topic and metadata. */
enum { COMMIT_RECORD_BYTES = 48 };

/* NULL: it cannot be built, which commit_appended hears. */
static struct batch_builder *
commit_batch(struct group_commit_call *m, struct home *home)
{
	size_t likely = BATCH_OVERHEAD;
	struct batch_builder *b;

	for (uint32_t i = 0; i < m->nitems; i++)
		if (m->items[i].error == KERR_NONE)
			likely += COMMIT_RECORD_BYTES + m->group.len + m->items[i].topic.len + m->items[i].metadata.len;
	b = appends_builder(home, 0, likely);	/* Kafka's batches of offsets begin with sequence 0 */
	for (uint32_t i = 0; b != NULL && i < m->nitems; i++)
		if (m->items[i].error == KERR_NONE && commit_add(b, m, &m->items[i]) != OK) {
			batch_builder_free(b);
			b = NULL;
		}
	return (b);
}

/* Offsets that are there may go on whatever else is; what makes more of them may not when they are too many. */
static bool
has_memory(struct hosted *g, const struct group_commit_item *it)
{
	struct coordinator_loop *l = g->home->on;
	const struct group_coordinator_options *opt = &l->c->opt;
	uint64_t max = opt->offsets_bytes_max > 0 ? opt->offsets_bytes_max : LIMIT_OFFSETS_BYTES_MAX;
	struct offset_value is;

	if (l->offsets_bytes < max) {
		l->offsets_full = l->offsets_full && l->offsets_bytes >= max / 8 * 7;
		return (true);
	}
	if (offsets_get(&g->offsets, it->topic, it->partition, &is) && it->metadata.len <= is.metadata.len)
		return (true);
	if (!l->offsets_full)
		diag_warning(opt->diag, "group", "the committed offsets of one loop take %" PRIu64 " bytes, and %" PRIu64 " are allowed: those of other partitions, "
		    "or with more metadata, are refused until some are deleted or expire, %.*s's first", l->offsets_bytes, max, (int)MIN(g->id_len, 200),
		    (const char *)g->id);
	l->offsets_full = true;
	return (false);
}

/* From item i on; returns where the next topic's begin. */
static uint32_t
begin_topic(struct group_commit_call *m, struct hosted *g, uint32_t i)
{
	struct group_commit_item *it = &m->items[i];
	uint32_t n = 0, good = 0;

	for (; i + n < m->nitems && it[n].topic.p == it->topic.p; n++)	/* the slice of the request's row: the same topic */
		good += it[n].error == KERR_NONE;
	if (good > 0)
		offsets_expect(&g->offsets, it->topic, good);
	for (uint32_t j = 0; j < n; j++)
		if (it[j].error == KERR_NONE)
			it[j].ticket = offsets_begin(&g->offsets, it->topic, it[j].partition);
	return (i + n);
}

static void
commit_store(struct group_commit_call *m, struct hosted *g)
{
	const struct group_coordinator_options *opt = &m->call.coordinator->opt;
	uint32_t good = 0;

	for (uint32_t i = 0; i < m->nitems; i++) {
		struct group_commit_item *it = &m->items[i];

		it->error = !metadata_fits(opt, it->metadata) ? KERR_OFFSET_METADATA_TOO_LARGE :
		    it->topic.len > INT16_MAX ? KERR_INVALID_TOPIC_EXCEPTION : has_memory(g, it) ? KERR_NONE : KERR_COORDINATOR_NOT_AVAILABLE;
		good += it->error == KERR_NONE;
	}
	if (good == 0) {
		call_done(&m->call);
		return;
	}
	for (uint32_t i = 0; i < m->nitems;)
		i = begin_topic(m, g, i);
	hosted_weigh(g);
	g->refs++;
	m->private->hosted = g;
	appends_send(g->home, commit_batch(m, g->home), opt->commit_acks, commit_appended, m);
}

static void
run_commit(struct group_call *call)
{
	struct group_commit_call *m = CONTAINER_OF(call, struct group_commit_call, call);
	struct hosted *g = NULL;
	struct home *home;
	enum kerr k = home_of(call->coordinator, m->group, true, &home);

	m->private = ARENA_NEW(call->arena, struct group_commit_private);
	if (k == KERR_NONE && m->private == NULL)
		k = KERR_UNKNOWN_SERVER_ERROR;
	if (k == KERR_NONE) {
		g = hosted_find(home, m->group);
		if (g == NULL && m->generation >= 0)
			k = KERR_ILLEGAL_GENERATION;
		else if (g == NULL && !loop_has_memory(home->on, m->group, sizeof(*g) + m->group.len, 0))
			k = KERR_COORDINATOR_NOT_AVAILABLE;	/* it stays until offsets expire, even if nothing of it can be stored */
	}
	if (k == KERR_NONE) {
		if (g == NULL)
			g = hosted_create(home, m->group);
		k = group_may_commit(g->group, m->member_id, m->instance_id, m->generation, false);
	}
	if (k != KERR_NONE) {
		commit_answer_all(m, k);
		return;
	}
	m->private->now_ms = clock_wall_ms(call->coordinator->opt.clock);
	commit_store(m, g);
}

void
group_coordinator_commit(struct group_coordinator *c, struct group_commit_call *m)
{
	call_to_owner(c, &m->call, m->group, run_commit);
}

/* ---- OffsetFetch ---- */

static void
fetch_row(struct group_fetch_row *r, const struct hosted *g, bool require_stable, struct arena *a)
{
	struct offset_value v;

	r->error = KERR_NONE;
	r->offset = -1;
	r->leader_epoch = -1;
	r->metadata = SLICE_LIT("");
	if (g == NULL)
		return;
	if (require_stable && offsets_unstable(&g->offsets, r->topic, r->partition)) {
		r->error = KERR_UNSTABLE_OFFSET_COMMIT;
	} else if (offsets_get(&g->offsets, r->topic, r->partition, &v)) {
		r->offset = v.offset;
		r->leader_epoch = v.leader_epoch;
		if (v.metadata.len > 0)
			r->metadata = arena_dup(a, v.metadata);
	}
}

struct fetching {
	struct group_fetch_item *item;
	struct arena	*arena;
	uint32_t	 room;
	struct slice	 topic;		/* the last one, copied */
};

static void
fetch_add(void *ctx, struct slice topic, int32_t partition, const struct offset_value *v)
{
	struct fetching *f = ctx;

	(void)v;
	if (f->item->rows == NULL)
		return;
	must(f->item->nrows < f->room);
	if (!slice_eq(f->topic, topic))
		f->topic = arena_dup(f->arena, topic);
	f->item->rows[f->item->nrows++] = (struct group_fetch_row){ .topic = f->topic, .partition = partition };
}

static void
fetch_all(struct group_fetch_item *it, const struct hosted *g, struct arena *a)
{
	struct fetching f = { it, a, g == NULL ? 0 : g->offsets.ncommitted, SLICE_NULL };

	it->nrows = 0;
	it->rows = ARENA_ARRAY(a, struct group_fetch_row, (size_t)f.room + 1);
	if (g != NULL)
		offsets_each(&g->offsets, fetch_add, &f);
}

static void
visit_fetch(struct group_call *call)
{
	struct group_fetch_call *f = CONTAINER_OF(call, struct group_fetch_call, call);

	for (uint32_t i = 0; i < f->nitems; i++) {
		struct group_fetch_item *it = &f->items[i];
		const struct hosted *g = NULL;
		struct home *home;

		if (!call_here(call, it->group))
			continue;
		it->error = home_of(call->coordinator, it->group, true, &home);
		if (it->all)
			it->nrows = 0;
		if (it->error != KERR_NONE)
			continue;
		g = hosted_find(home, it->group);
		if (it->all)
			fetch_all(it, g, call->arena);
		for (uint32_t j = 0; j < it->nrows; j++)
			fetch_row(&it->rows[j], g, f->require_stable, call->arena);
	}
	if (call->arena->full)
		call->error = KERR_UNKNOWN_SERVER_ERROR;
}

static bool
wants_fetch(const struct group_call *call)
{
	const struct group_fetch_call *f = CONTAINER_OF(call, const struct group_fetch_call, call);

	for (uint32_t i = 0; i < f->nitems; i++)
		if (call_here(call, f->items[i].group))
			return (true);
	return (false);
}

void
group_coordinator_fetch_offsets(struct group_coordinator *c, struct group_fetch_call *f)
{
	call_to_loops(c, &f->call, visit_fetch, wants_fetch);
}

/* ---- the end of a group ---- */

/* EMPTY and without offsets: it ends; the caller takes it out of the table. */
static bool
hosted_end_if_unused(struct hosted *g, struct tombstones *t)
{
	if (!group_is_idle(g->group) || offsets_any(&g->offsets))
		return (false);
	must(group_delete(g->group) == KERR_NONE);
	diag_debug(g->home->on->c->opt.diag, "group", "%.*s: ended in generation %d", (int)g->id_len, (const char *)g->id,
	    (int)group_generation(g->group));
	tombstones_group(t);
	return (true);
}

bool
hosted_bury(struct hosted *g, struct tombstones *t)
{
	bool ended = hosted_end_if_unused(g, t);

	hosted_weigh(g);
	tombstones_send(t);
	if (ended)
		hosted_leave(g);
	return (ended);
}

/* ---- OffsetDelete ---- */

static void
delete_offset(struct hosted *g, struct group_delete_offset *it, struct tombstones *t)
{
	bool empty = group_state(g->group) == GROUP_EMPTY;

	it->error = !empty && group_subscribes(g->group, it->topic) ? KERR_GROUP_SUBSCRIBED_TO_TOPIC : KERR_NONE;
	if (it->error == KERR_NONE && offsets_remove(&g->offsets, it->topic, it->partition))
		tombstone_offset(t, it->topic, it->partition, NULL);
}

static void
visit_delete_offsets(struct group_call *call)
{
	struct group_delete_offsets_call *d = CONTAINER_OF(call, struct group_delete_offsets_call, call);
	struct tombstones t = { .call = call };
	struct hosted *g = NULL;
	struct home *home;

	call->error = home_of(call->coordinator, d->group, false, &home);
	if (call->error == KERR_NONE && (g = hosted_find(home, d->group)) == NULL)
		call->error = KERR_GROUP_ID_NOT_FOUND;
	if (g != NULL && group_state(g->group) != GROUP_EMPTY && !group_is_consumer(g->group))
		call->error = KERR_NON_EMPTY_GROUP;
	if (call->error != KERR_NONE || d->nitems == 0)
		return;
	t.hosted = g;
	for (uint32_t i = 0; i < d->nitems; i++)
		delete_offset(g, &d->items[i], &t);
	(void)hosted_bury(g, &t);
}

static bool
wants_delete_offsets(const struct group_call *call)
{
	return (call_here(call, CONTAINER_OF(call, const struct group_delete_offsets_call, call)->group));
}

void
group_coordinator_delete_offsets(struct group_coordinator *c, struct group_delete_offsets_call *d)
{
	call_to_loops(c, &d->call, visit_delete_offsets, wants_delete_offsets);
}

/* ---- DeleteGroups ---- */

static enum kerr
delete_group(struct group_call *call, struct slice id)
{
	struct tombstones t = { .call = call };
	struct hosted *g;
	struct home *home;
	enum kerr k = home_of(call->coordinator, id, true, &home);

	if (k != KERR_NONE)
		return (k);
	g = hosted_find(home, id);
	if (g == NULL)
		return (KERR_GROUP_ID_NOT_FOUND);
	k = group_delete(g->group);
	if (k != KERR_NONE)
		return (k);
	t.hosted = g;
	offsets_remove_all(&g->offsets, tombstone_offset, &t);
	tombstones_group(&t);
	tombstones_send(&t);
	diag_info(call->coordinator->opt.diag, "group", "%.*s: deleted", (int)id.len, (const char *)id.p);
	hosted_leave(g);
	return (KERR_NONE);
}

static void
visit_delete_groups(struct group_call *call)
{
	struct group_delete_call *d = CONTAINER_OF(call, struct group_delete_call, call);

	for (uint32_t i = 0; i < d->nitems; i++)
		if (call_here(call, d->items[i].group))
			d->items[i].error = delete_group(call, d->items[i].group);
}

static bool
wants_delete_groups(const struct group_call *call)
{
	const struct group_delete_call *d = CONTAINER_OF(call, const struct group_delete_call, call);

	for (uint32_t i = 0; i < d->nitems; i++)
		if (call_here(call, d->items[i].group))
			return (true);
	return (false);
}

void
group_coordinator_delete_groups(struct group_coordinator *c, struct group_delete_call *d)
{
	call_to_loops(c, &d->call, visit_delete_groups, wants_delete_groups);
}
