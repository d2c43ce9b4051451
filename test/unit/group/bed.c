/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "base/str.h"
#include "test/unit/group/bed.h"

static struct slice
keep(struct arena *a, struct slice s)
{
	return (arena_dup(a, s));
}

static void
record_copy(struct bed_record *to, const struct group_record *r)
{
	struct group_record_member *rows;

	if (to->made)
		arena_fini(&to->arena);
	arena_init(&to->arena, 1 << 20);
	to->made = true;
	to->r = *r;
	to->r.protocol_type = keep(&to->arena, r->protocol_type);
	to->r.protocol = keep(&to->arena, r->protocol);
	to->r.leader = keep(&to->arena, r->leader);
	rows = arena_alloc(&to->arena, (r->nmembers + 1) * sizeof(*rows));
	must(rows != NULL);
	for (uint32_t i = 0; i < r->nmembers; i++) {
		rows[i] = r->members[i];
		rows[i].member_id = keep(&to->arena, r->members[i].member_id);
		rows[i].instance_id = keep(&to->arena, r->members[i].instance_id);
		rows[i].client_id = keep(&to->arena, r->members[i].client_id);
		rows[i].client_host = keep(&to->arena, r->members[i].client_host);
		rows[i].subscription = keep(&to->arena, r->members[i].subscription);
		rows[i].assignment = keep(&to->arena, r->members[i].assignment);
	}
	to->r.members = rows;
}

static void
record_free(struct bed_record *r)
{
	if (r->made)
		arena_fini(&r->arena);
	r->made = false;
}

static void
store(struct group_host *host, struct group *g, const struct group_record *r, struct group_store *s)
{
	struct bed *b = CONTAINER_OF(host, struct bed, host);

	(void)g;
	b->stores++;
	if (!b->holds && b->nstores == 0) {	/* the log has them in order */
		if (b->store_error == KERR_NONE || b->keeps_failed)
			record_copy(&b->last, r);
		group_stored(s, b->store_error);
		return;
	}
	must(b->nstores < BED_STORES_MAX);
	record_copy(&b->waiting_records[b->nstores], r);
	b->waiting[b->nstores++] = s;
}

void
bed_store_done(struct bed *b, unsigned i, enum kerr e)
{
	struct group_store *s = b->waiting[i];

	must(i < b->nstores);
	if (e == KERR_NONE || b->keeps_failed)
		record_copy(&b->last, &b->waiting_records[i].r);
	record_free(&b->waiting_records[i]);
	memmove(&b->waiting[i], &b->waiting[i + 1], (b->nstores - i - 1) * sizeof(b->waiting[0]));
	memmove(&b->waiting_records[i], &b->waiting_records[i + 1], (b->nstores - i - 1) * sizeof(b->waiting_records[0]));
	b->nstores--;
	b->waiting_records[b->nstores].made = false;
	group_stored(s, e);
}

void
bed_logged(struct bed *b, unsigned i)
{
	must(i < b->nstores);
	record_copy(&b->last, &b->waiting_records[i].r);
}

void
bed_init(struct bed *b, uint64_t seed)
{
	struct loop_options o = { .name = "test" };

	memset(b, 0, sizeof(*b));
	clock_manual_init(&b->clock, 1700000000000);
	random_seeded_init(&b->random, seed);
	o.clock = &b->clock.clock;
	must(loop_new(&o, &b->loop, NULL) == OK);
	b->host = (struct group_host){ .loop = b->loop, .random = &b->random.random, .seed = seed, .initial_rebalance_delay_ms = 3000,
		.size_max = INT32_MAX, .store = store };
	b->group = group_new(&b->host, SLICE_LIT("g"));
}

void
bed_fini(struct bed *b)
{
	group_unload(b->group);
	while (b->nstores > 0)
		bed_store_done(b, 0, KERR_NOT_COORDINATOR);
	group_unref(&b->group);
	record_free(&b->last);
	loop_free(&b->loop);
}

void
bed_later(struct bed *b, int64_t ms)
{
	int64_t end = clock_mono_ns(&b->clock.clock) + ms * 1000000, next;

	while (loop_turn(b->loop, 0))
		;
	while ((next = loop_next_ns(b->loop)) <= end) {
		clock_manual_advance_ns(&b->clock, MAX(next - clock_mono_ns(&b->clock.clock), 1000));
		while (loop_turn(b->loop, 0))
			;
	}
	if (end > clock_mono_ns(&b->clock.clock))
		clock_manual_advance_ns(&b->clock, end - clock_mono_ns(&b->clock.clock));
	while (loop_turn(b->loop, 0))
		;
}

void
bed_restart(struct bed *b)
{
	struct bed_record kept = { .made = false };

	group_unload(b->group);		/* answers who waits: their connections end */
	if (b->last.made)
		record_copy(&kept, &b->last.r);
	b->keeps_failed = false;
	while (b->nstores > 0)		/* never reached the log */
		bed_store_done(b, 0, KERR_NOT_COORDINATOR);
	group_unref(&b->group);
	b->group = kept.made ? group_load(&b->host, SLICE_LIT("g"), &kept.r) : group_new(&b->host, SLICE_LIT("g"));
	must(b->group != NULL);
	group_loaded(b->group);
	record_free(&kept);
}

/* ---- clients ---- */

static void
text(char *to, size_t size, struct slice s)
{
	(void)snprintf(to, size, "%.*s", (int)s.len, s.len == 0 ? "" : (const char *)s.p);
}

static void
on_joined(struct group_join *j)
{
	struct client *c = CONTAINER_OF(j, struct client, join);

	CHECK(c->joining);
	c->joining = false;
	c->answers++;
	c->join_error = j->answer.error;
	c->nmembers = 0;
	text(c->leader, sizeof(c->leader), j->answer.leader);
	if (j->answer.error == KERR_NONE || j->answer.error == KERR_MEMBER_ID_REQUIRED)
		text(c->id, sizeof(c->id), j->answer.member_id);
	if (j->answer.error != KERR_NONE) {
		CHECK_EQ(j->answer.generation == -1, j->answer.protocol.p == NULL);
		c->error_generation = j->answer.generation;
		return;
	}
	c->generation = j->answer.generation;
	c->skip = j->answer.skip_assignment;
	text(c->protocol, sizeof(c->protocol), j->answer.protocol);
	text(c->type, sizeof(c->type), j->answer.protocol_type);
	c->leads = strcmp(c->leader, c->id) == 0;
	for (uint32_t i = 0; i < j->answer.nmembers && i < BED_ASSIGNMENTS_MAX; i++) {
		text(c->members[i], sizeof(c->members[i]), j->answer.members[i].member_id);
		text(c->member_metadata[i], sizeof(c->member_metadata[i]), j->answer.members[i].metadata);
		c->nmembers++;
	}
}

static void
on_synced(struct group_sync *s)
{
	struct client *c = CONTAINER_OF(s, struct client, sync);

	CHECK(c->syncing);
	c->syncing = false;
	c->answers++;
	c->sync_error = s->answer.error;
	text(c->assignment, sizeof(c->assignment), s->answer.assignment);
}

void
client_init(struct client *c, struct bed *b, const char *client_id)
{
	memset(c, 0, sizeof(*c));
	c->bed = b;
	(void)snprintf(c->client_id, sizeof(c->client_id), "%s", client_id);
	c->protocols[0] = "range";
	c->metadata[0] = "meta";
	c->session_ms = 10000;
	c->rebalance_ms = 60000;
	c->generation = -1;
}

struct slice
client_member(const struct client *c)
{
	return (slice_str(c->id));
}

struct slice
client_instance(const struct client *c)
{
	return (c->instance[0] == '\0' ? SLICE_NULL : slice_str(c->instance));
}

void
client_join(struct client *c)
{
	uint32_t n = 0;

	must(!c->joining);
	for (; n < NELEM(c->protocols) && c->protocols[n] != NULL; n++)
		c->join_protocols[n] = (struct group_protocol){ slice_str(c->protocols[n]), slice_str(c->metadata[n]) };
	c->join = (struct group_join){ .member_id = client_member(c), .instance_id = client_instance(c), .client_id = slice_str(c->client_id),
		.client_host = SLICE_LIT("/127.0.0.1"), .protocol_type = SLICE_LIT("consumer"), .protocols = c->join_protocols, .nprotocols = n,
		.session_timeout_ms = c->session_ms, .rebalance_timeout_ms = c->rebalance_ms, .member_id_required = c->id_required,
		.may_skip_assignment = c->may_skip, .done = on_joined };
	c->joining = true;
	group_join(c->bed->group, &c->join);
}

void
client_sync(struct client *c)
{
	uint32_t n = 0;

	must(!c->syncing);
	if (c->leads && !c->skip)
		c->bed->nonce++;
	for (; c->leads && !c->skip && n < c->nmembers; n++) {
		char member[100];

		str_copy(member, sizeof(member), c->members[n]);
		(void)str_format(c->texts[n], sizeof(c->texts[n]), "%d-%s#%u", c->generation, member, c->bed->nonce);
		c->assignments[n] = (struct group_assignment){ slice_str(c->members[n]), slice_str(c->texts[n]) };
	}
	c->sync = (struct group_sync){ .member_id = client_member(c), .instance_id = client_instance(c), .generation = c->generation,
		.protocol_type = SLICE_LIT("consumer"), .protocol = slice_str(c->protocol), .assignments = c->assignments, .nassignments = n,
		.done = on_synced };
	c->syncing = true;
	group_sync(c->bed->group, &c->sync);
}

enum kerr
client_beat(struct client *c)
{
	return (group_heartbeat(c->bed->group, client_member(c), client_instance(c), c->generation));
}

enum kerr
client_leave(struct client *c)
{
	return (group_leave(c->bed->group, client_member(c), client_instance(c), SLICE_LIT("test")));
}

enum kerr
client_commit(struct client *c)
{
	return (group_may_commit(c->bed->group, client_member(c), client_instance(c), c->generation, false));
}
