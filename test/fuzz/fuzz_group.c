/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_group.c - records of __consumer_offsets: keys, values of offsets and of groups, and a group that is loaded from one.
 *
 * INPUT   u8 which | bytes
 * HOLDS   what was decoded and is written in the present version is decoded again, the same; a group loaded from any record keeps its invariants, can
 *	   be described, joined and left; its subscriptions are read without reading past them.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "event/loop.h"
#include "group/group_int.h"
#include "group/offsets.h"
#include "group/records.h"
#include "test/fuzz/fuzz.h"

enum { ARENA = 64 << 20, SEED_MAX = 4096 };

typedef void encode_fn(struct writer *, const void *);

static void encode_key(struct writer *w, const void *p) { group_key_encode(w, p); }
static void encode_offset(struct writer *w, const void *p) { offset_value_encode(w, p); }
static void encode_group(struct writer *w, const void *p) { group_value_encode(w, p); }

/* In the present version; p NULL: a text too long to be written (older versions count it in no other way, so that is our bug: it panics). */
static struct slice
written(encode_fn *encode, const void *value)
{
	struct writer w = writer_of(NULL, 0);
	size_t len;
	uint8_t *p;

	encode(&w, value);
	len = w.need;
	p = xmalloc(len + 1);
	w = writer_of(p, len);
	encode(&w, value);
	FUZZ_CHECK(!w.full && wr_len(&w) == len);
	return (slice_of(p, len));
}

static void
same(struct slice a, struct slice b, const char *what)
{
	FUZZ_CHECKF(slice_eq(a, b), "%s: the same bytes again", what);
	free((void *)(uintptr_t)a.p);
	free((void *)(uintptr_t)b.p);
}

static void
key(struct slice in)
{
	struct group_key k, k2;
	struct slice s;
	enum err e = group_key_decode(in, &k);

	FUZZ_CHECK(e == OK || e == ERR_MALFORMED || e == ERR_UNSUPPORTED);
	if (e != OK)
		return;
	s = written(encode_key, &k);
	FUZZ_CHECK(group_key_decode(s, &k2) == OK && k2.kind == k.kind);
	same(written(encode_key, &k2), slice_of(memcpy(xmalloc(s.len + 1), s.p, s.len), s.len), "key");
	free((void *)(uintptr_t)s.p);
}

static void
offset(struct slice in)
{
	struct offset_value v, v2;
	struct offsets all;
	struct slice s;
	enum err e = offset_value_decode(in, &v);

	FUZZ_CHECK(e == OK || e == ERR_MALFORMED || e == ERR_UNSUPPORTED);
	if (e != OK)
		return;
	s = written(encode_offset, &v);
	FUZZ_CHECK(offset_value_decode(s, &v2) == OK && v2.offset == v.offset && slice_eq(v.metadata, v2.metadata) &&
	    v2.commit_timestamp_ms == v.commit_timestamp_ms && v2.expire_timestamp_ms == v.expire_timestamp_ms);
	offsets_init(&all, 1);
	offsets_load(&all, SLICE_LIT("t"), 0, &v, 5);
	offsets_check(&all);
	FUZZ_CHECK(offsets_get(&all, SLICE_LIT("t"), 0, &v2) && v2.offset == v.offset);
	offsets_fini(&all);
	free((void *)(uintptr_t)s.p);
}

/* ---- a group from its record ---- */

static void
store(struct group_host *h, struct group *g, const struct group_record *r, struct group_store *s)
{
	struct slice bytes = written(encode_group, r);

	(void)h;
	(void)g;
	free((void *)(uintptr_t)bytes.p);
	group_stored(s, KERR_NONE);
}

static void
see_member(void *ctx, const struct group_member_view *m)
{
	struct group *g = ctx;

	FUZZ_CHECK(m->member_id.p != NULL && m->client_id.p != NULL && m->metadata.p != NULL && m->assignment.p != NULL);
	FUZZ_CHECK(kerr_name(group_heartbeat(g, m->member_id, m->instance_id, group_generation(g))) != NULL);
}

static void
joined(struct group_join *j)
{
	(void)j;
}

static const struct group_protocol range = { SLICE_LIT("range"), SLICE_LIT("m") };

/* j is answered now, or later, or when the group is unloaded. */
static void
use(struct group *g, struct group_join *j)
{
	*j = (struct group_join){ .member_id = SLICE_LIT(""), .client_id = SLICE_LIT("c"), .client_host = SLICE_LIT("/h"),
	    .protocol_type = SLICE_LIT("consumer"), .protocols = &range, .nprotocols = 1, .session_timeout_ms = 10000, .rebalance_timeout_ms = 10000,
	    .done = joined };
	group_check(g);
	group_each_member(g, see_member, g);
	(void)group_is_consumer(g);
	if (group_subscriptions_known(g))
		(void)group_subscribes(g, SLICE_LIT("t"));
	FUZZ_CHECK(group_bytes(g) > 0);
	group_join(g, j);
	group_check(g);
}

static void
load(const struct group_record *r)
{
	struct clock_manual clock;
	struct random_seeded random;
	struct group_join join;
	struct group_host host = { .seed = 1, .initial_rebalance_delay_ms = 3000, .size_max = INT32_MAX, .store = store };
	struct group *g;

	clock_manual_init(&clock, INT64_C(1700000000000));
	random_seeded_init(&random, 1);
	FUZZ_CHECK(loop_new(&(struct loop_options){ .name = "f", .clock = &clock.clock }, &host.loop, NULL) == OK);
	host.random = &random.random;
	g = group_load(&host, SLICE_LIT("g"), r);
	if (g != NULL) {
		group_check(g);
		group_loaded(g);
		use(g, &join);
		for (int i = 0; i < 4; i++) {
			clock_manual_advance_ns(&clock, INT64_C(40000000000));
			while (loop_turn(host.loop, 0))
				;
			group_check(g);
		}
		group_unload(g);
		group_unref(&g);
	}
	loop_free(&host.loop);
}

static void
group(struct slice in)
{
	struct group_record r, r2;
	struct arena a;
	struct slice s;
	enum err e;

	arena_init(&a, ARENA);
	e = group_value_decode(in, &a, &r);
	FUZZ_CHECK(e == OK || e == ERR_MALFORMED || e == ERR_UNSUPPORTED || e == ERR_LIMIT);
	if (e == OK) {
		s = written(encode_group, &r);
		FUZZ_CHECK(group_value_decode(s, &a, &r2) == OK && r2.nmembers == r.nmembers && r2.generation == r.generation);
		same(written(encode_group, &r2), slice_of(memcpy(xmalloc(s.len + 1), s.p, s.len), s.len), "group");
		free((void *)(uintptr_t)s.p);
		load(&r);
	}
	arena_fini(&a);
}

enum { KEY, OFFSET, GROUP, SUBSCRIPTION, KINDS };

/* The bytes as the metadata of the one member of a group of consumers. */
static void
subscription(struct slice in)
{
	const struct group_record_member m = { SLICE_LIT("m"), SLICE_NULL, SLICE_LIT("c"), SLICE_LIT("/h"), 1000, 1000, in, in };
	const struct group_record r = { SLICE_LIT("consumer"), SLICE_LIT("range"), SLICE_LIT("m"), 1, -1, 1, &m };

	load(&r);
}

void
fuzz_one(struct slice in)
{
	switch (fuzz_u8(&in) % KINDS) {
	case KEY: key(in); break;
	case OFFSET: offset(in); break;
	case GROUP: group(in); break;
	default: subscription(in); break;
	}
}

/* ---- seeds: what Kafka's own classes wrote ---- */

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const uint8_t topics[] = { 0, 1, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0 };
	struct slice all = fuzz_golden("test/golden/group/records.txt");
	const char *p = (const char *)all.p, *end, *hex;
	uint8_t bytes[SEED_MAX], which = SUBSCRIPTION;

	FUZZ_CHECK(p != NULL);
	fuzz_give2(give, ctx, &which, 1, slice_of(topics, sizeof(topics)));
	for (unsigned n = 0; (end = strchr(p, '\n')) != NULL; p = end + 1) {
		which = strncmp(p, "offset ", 7) == 0 ? OFFSET : strncmp(p, "group ", 6) == 0 ? GROUP : KEY;
		hex = memrchr(p, ' ', (size_t)(end - p));
		if (n++ % 3 == 0 && hex != NULL && (size_t)(end - hex) / 2 < SEED_MAX)
			fuzz_give2(give, ctx, &which, 1, slice_of(bytes, fuzz_unhex(hex + 1, (size_t)(end - hex - 1), bytes, sizeof(bytes))));
	}
	free((void *)(uintptr_t)all.p);
}
