/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_wire.c - the wire walker: every message in every version, headers and whole frames.
 *
 * INPUT   u16 which | u8 version | bytes.  which: a row of wire_messages; behind the last of them a request as a frame, then (with a u8 more for the
 *	   API) a response as one.
 * HOLDS   what decodes can be measured and encoded, to as many bytes as were measured; decoding these and encoding again gives the same
 *	   bytes and prints the same text; memory stays within what the bytes entitle to.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/random.h"
#include "test/fuzz/fuzz.h"
#include "wire/frame.h"

enum { ARENA = 64 << 20, SEEDS_PER_VERSION = 1, SEED_MAX = 2048 };

static struct slice
flat(const struct chain *c)
{
	uint8_t *p = xmalloc(c->len + 1), *at = p;

	for (const struct chain_item *i = c->first; i != NULL; i = i->next) {
		FUZZ_CHECK(i->kind == CHAIN_MEM);
		if (i->mem.len > 0)
			memcpy(at, i->mem.p, i->mem.len);
		at += i->mem.len;
	}
	FUZZ_CHECK((uint64_t)(at - p) == c->len);
	return (slice_of(p, c->len));
}

static struct slice
encode(const struct wire_message *m, int v, void *msg, struct arena *a)
{
	struct errbuf eb = ERRBUF_INIT;
	struct chain out;
	uint64_t size = 0;

	FUZZ_CHECKF(wire_size(m, v, msg, &size, &eb) == OK, "%s %d is measured: %s", m->name, v, eb.text);
	chain_init(&out);
	FUZZ_CHECKF(wire_encode(m, v, msg, a, &out, &eb) == OK, "%s %d is encoded: %s", m->name, v, eb.text);
	FUZZ_CHECKF(out.len == size, "%s %d: %llu bytes, measured as %llu", m->name, v, (unsigned long long)out.len, (unsigned long long)size);
	return (flat(&out));
}

static void
dump(const struct wire_message *m, int v, const void *msg, struct strbuf *full)
{
	struct strbuf cut = STRBUF_INIT;

	wire_dump(m, v, msg, 1 << 20, full);
	wire_dump(m, v, msg, 40, &cut);
	FUZZ_CHECK(cut.len <= 43 && full->len > 0);
	strbuf_fini(&cut);
}

/* What was decoded once survives the way out and in again. */
static void
round_trip(const struct wire_message *m, int v, void *msg)
{
	struct strbuf text = STRBUF_INIT, again = STRBUF_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct slice first, second, in;
	struct arena a;
	void *back;

	arena_init(&a, ARENA);
	dump(m, v, msg, &text);
	first = encode(m, v, msg, &a);
	back = arena_calloc(&a, 1, m->root->size);
	in = first;
	FUZZ_CHECKF(wire_decode(m, v, &in, &a, back, &eb) == OK && in.len == 0, "%s %d: what we encode is decoded: %s", m->name, v, eb.text);
	dump(m, v, back, &again);
	FUZZ_CHECKF(strcmp(strbuf_str(&text), strbuf_str(&again)) == 0, "%s %d: %s, and then %s", m->name, v, strbuf_str(&text), strbuf_str(&again));
	second = encode(m, v, back, &a);
	FUZZ_CHECKF(slice_eq(first, second), "%s %d: the same bytes again", m->name, v);
	free((void *)(uintptr_t)first.p);
	free((void *)(uintptr_t)second.p);
	strbuf_fini(&text);
	strbuf_fini(&again);
	arena_fini(&a);
}

static void
one_message(const struct wire_message *m, uint8_t version, struct slice in)
{
	int v = m->first + version % (m->last - m->first + 1);
	struct errbuf eb = ERRBUF_INIT;
	size_t given = in.len;
	struct arena a;
	enum err e;
	void *msg;

	arena_init(&a, ARENA);
	msg = arena_calloc(&a, 1, m->root->size);
	e = wire_decode(m, v, &in, &a, msg, &eb);
	FUZZ_CHECKF(a.used <= 8192 + given * LIMIT_ARENA_FACTOR, "%s %d: %zu bytes took %zu of memory", m->name, v, given, a.used);
	if (e == OK)
		round_trip(m, v, msg);
	else
		FUZZ_CHECKF(in.len == given && eb.text[0] != '\0' && (e == ERR_MALFORMED || e == ERR_LIMIT), "%s %d: %s, %s", m->name, v, err_name(e),
		    eb.text);
	wire_drop(m->root, msg);
	arena_fini(&a);
}

static void
request_frame(struct slice in)
{
	struct wire_request_head head;
	struct errbuf eb = ERRBUF_INIT;
	struct arena a;
	void *body;

	arena_init(&a, ARENA);
	if (wire_request_parse(in, &a, &head, &eb) == OK && head.supported && wire_request_decode(&head, &a, &body, &eb) == OK)
		round_trip(head.api->request, head.version, body);
	arena_fini(&a);
}

static void
response_frame(uint8_t version, struct slice in)
{
	const struct wire_api *api = &wire_apis[fuzz_u8(&in) % wire_apis_n];
	int v = api->min + version % (api->max - api->min + 1);
	struct errbuf eb = ERRBUF_INIT;
	int32_t correlation;
	struct arena a;
	void *body;

	arena_init(&a, ARENA);
	if (wire_response_correlation(in, &correlation) == OK && wire_response_decode(api, v, in, &a, &body, &eb) == OK && api->key != API_API_VERSIONS)
		round_trip(api->response, v, body);
	arena_fini(&a);
}

void
fuzz_one(struct slice in)
{
	size_t which = fuzz_u16(&in) % (wire_messages_n + 2);
	uint8_t version = fuzz_u8(&in);

	if (which < wire_messages_n)
		one_message(wire_messages[which], version, in);
	else if (which == wire_messages_n)
		request_frame(in);
	else
		response_frame(version, in);
}

/* ---- seeds: what the walker itself invents ---- */

static void
seed_message(size_t which, int v, struct random *random, fuzz_give *give, void *ctx)
{
	const struct wire_message *m = wire_messages[which];
	uint8_t head[3] = { (uint8_t)(which >> 8), (uint8_t)which, (uint8_t)(v - m->first) };
	struct slice bytes;
	struct arena a;
	void *msg;

	arena_init(&a, ARENA);
	msg = wire_random(m, v, random, &a);
	FUZZ_CHECK(msg != NULL);
	bytes = encode(m, v, msg, &a);
	if (bytes.len <= SEED_MAX)
		fuzz_give2(give, ctx, head, sizeof(head), bytes);
	free((void *)(uintptr_t)bytes.p);
	arena_fini(&a);
}

static void
seed_frame(const struct wire_api *api, int v, struct random *random, fuzz_give *give, void *ctx)
{
	uint8_t head[3] = { (uint8_t)(wire_messages_n >> 8), (uint8_t)wire_messages_n, 0 };
	struct chain out;
	struct slice bytes;
	struct arena a;

	arena_init(&a, ARENA);
	chain_init(&out);
	FUZZ_CHECK(wire_request_frame(api, v, 77, slice_str("fuzz"), wire_random(api->request, v, random, &a), &a, &out, NULL) == OK);
	bytes = flat(&out);
	if (bytes.len <= SEED_MAX)
		fuzz_give2(give, ctx, head, sizeof(head), slice_of(bytes.p + 4, bytes.len - 4));
	free((void *)(uintptr_t)bytes.p);
	arena_fini(&a);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	struct random_seeded random;

	random_seeded_init(&random, 1);
	for (size_t i = 0; i < wire_messages_n; i++)
		for (int v = wire_messages[i]->first; v <= wire_messages[i]->last; v++)
			for (int n = 0; n < SEEDS_PER_VERSION; n++)
				seed_message(i, v, &random.random, give, ctx);
	for (size_t i = 0; i < wire_apis_n; i++)
		seed_frame(&wire_apis[i], wire_apis[i].max, &random.random, give, ctx);
}
