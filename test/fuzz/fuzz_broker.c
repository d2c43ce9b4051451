/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz_broker.c - a whole broker and the bytes of its clients: socket, frame, wire, dispatch, and whatever the requests make it do.
 *
 * The broker is the one of test/unit/broker/world.h: by hand, in one thread, on virtual time; ZooKeeper and the file system are in memory.  Only the
 * client's connection is a real one, a pair of sockets.  Each input gets a new broker, which leads t-0 and has elected itself controller.
 *
 * INPUT   u8 flags | parts.  flags: bit 0: the parts are requests: u8 which API | u8 version | u16 length | its body; the frame and the header are made.
 *	   Else they are bytes as they come from the socket: u16 length | these.
 * HOLDS   what comes back is whole frames, in the order of the requests, each of which decodes as the answer to its request; the connection is
 *	   answered or closed, not both wrong; another client's ApiVersions is answered afterwards; the broker ends cleanly, no file stays open.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "record/record.h"
#include "test/fuzz/fs_mem.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/broker/world.h"
#include "wire/frame.h"

enum { REQUESTS = 1 << 0, PARTS_MAX = 16, TURNS = 4000, SETTLE = 24, NAMES_MAX = 500, ANSWERS_ROOM = 1 << 20, SEED_MAX = 700, ARENA = 64 << 20 };

/* ---- what the world asks of the harness of unit tests ---- */

const char *unit_tmpdir(void) { return ("/d"); }
uint64_t    unit_seed(void) { return (1); }

bool
unit_check(bool ok, const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	FUZZ_CHECKF(ok, "%s:%d: %s", file, line, text);
	return (true);
}

/* ---- the broker ---- */

struct sent {
	const struct wire_api *api;
	int	 version;
	int32_t	 correlation;
};

struct bed {
	struct world  w;
	struct node   n;
	struct random_seeded random;
	struct fs    *fs;
	struct client client;
	struct sent   sent[PARTS_MAX];
	unsigned      nsent, answered;
	bool	      closed, raw;
	uint8_t	     *got;			/* what came back and is not a whole frame yet */
	size_t	      ngot;
};

static void
bed_init(struct bed *b)
{
	static const char more[] = "num.partitions=1\noffsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\nlog.segment.bytes=65536\n"
	    "log.index.size.max.bytes=4096\nnum.io.threads=1\ngroup.initial.rebalance.delay.ms=0\n";
	struct broker_options parts = { 0 };

	memset(b, 0, sizeof(*b));
	signal(SIGPIPE, SIG_IGN);
	random_seeded_init(&b->random, 1);
	b->fs = fs_mem_new();
	FUZZ_CHECK(fs_mkdir_p(b->fs, "/d/a", NULL) == OK);
	world_init_virtual(&b->w);
	make_paths(&b->w);
	make_topic(&b->w, "t", 1);
	parts.fs = b->fs;
	parts.random = &b->random.random;
	node_make_of(&b->n, &b->w, 1, "a", more, &parts);
	FUZZ_CHECKF(node_start(&b->n), "the broker starts: %s %s", b->n.why, strbuf_str(&b->w.said));
	FUZZ_CHECKF(turn_until_node(&b->n, "/brokers/topics/t/partitions/0/state", "\"leader\":1"), "t-0 gets a leader");
	b->got = xmalloc(ANSWERS_ROOM);
	fs_mem_limit(b->fs, NAMES_MAX);		/* a topic of 30,000 partitions is somebody else's test */
}

static void
bed_fini(struct bed *b)
{
	broker_stop(b->n.broker);
	while (!b->n.ended)
		if (!turn(&b->n))
			idle(&b->n);
	node_free(&b->n);
	world_fini(&b->w);
	free(b->got);
	FUZZ_CHECKF(fs_mem_free(&b->fs) == 0, "no file stays open");
}

/* ---- the client ---- */

static void
take_answer(struct bed *b, struct slice frame)
{
	struct errbuf eb = ERRBUF_INIT;
	const struct sent *s;
	int32_t correlation;
	struct arena a;
	void *body;

	FUZZ_CHECKF(wire_response_correlation(frame, &correlation) == OK, "an answer has a header");
	if (b->raw)
		return;
	FUZZ_CHECKF(b->answered < b->nsent, "no more answers than requests");
	s = &b->sent[b->answered];
	while (s->correlation != correlation && b->answered + 1 < b->nsent)	/* Produce with acks = 0 has none */
		s = &b->sent[++b->answered];
	FUZZ_CHECKF(s->correlation == correlation, "answers come in the order of the requests");
	b->answered++;
	arena_init(&a, ARENA);
	FUZZ_CHECKF(wire_response_decode(s->api, s->version, frame, &a, &body, &eb) == OK, "%s %d: the answer is decoded: %s", s->api->name, s->version, eb.text);
	arena_fini(&a);
}

static void
receive(struct bed *b)
{
	ssize_t n;

	while (!b->closed && (n = recv(b->client.fd, b->got + b->ngot, ANSWERS_ROOM - b->ngot, 0)) != -1) {
		b->closed = n == 0;
		b->ngot += (size_t)n;
		while (b->ngot >= 4 && b->ngot - 4 >= be32dec(b->got)) {
			size_t len = 4 + (size_t)be32dec(b->got);

			take_answer(b, slice_of(b->got + 4, len - 4));
			memmove(b->got, b->got + len, b->ngot - len);
			b->ngot -= len;
		}
		if (b->ngot == ANSWERS_ROOM)	/* an answer larger than our room is not looked at */
			b->closed = true;
	}
	if (!b->closed && errno != EAGAIN && errno != EINTR)
		b->closed = true;
}

static void
settle(struct bed *b)
{
	for (int i = 0; i < TURNS && turn(&b->n); i++)
		receive(b);
	receive(b);
}

static void
send_all(struct bed *b, struct slice s)
{
	while (s.len > 0 && !b->closed) {
		ssize_t n = send(b->client.fd, s.p, s.len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			b->closed = true;
		if (n > 0) {
			s.p += n;
			s.len -= (size_t)n;
		}
		settle(b);
	}
}

static void
send_request(struct bed *b, struct slice *in)
{
	const struct wire_api *api = &wire_apis[fuzz_u8(in) % wire_apis_n];
	int v = api->min + fuzz_u8(in) % (api->max - api->min + 1);
	struct slice body = fuzz_take(in, fuzz_u16(in));
	int header = wire_request_header_version(api, v);
	uint8_t *frame = xmalloc(32 + body.len);
	struct writer w = writer_of(frame, 32 + body.len);

	b->sent[b->nsent] = (struct sent){ api, v, (int32_t)(100 + b->nsent) };
	wr_i32(&w, 0);
	wr_i16(&w, api->key);
	wr_i16(&w, (int16_t)v);
	wr_i32(&w, b->sent[b->nsent++].correlation);
	if (header > 0) {
		wr_i16(&w, 4);
		wr_bytes(&w, "fuzz", 4);
	}
	if (header > 1)
		wr_i8(&w, 0);
	wr_bytes(&w, body.p, body.len);
	be32enc(frame, (uint32_t)(wr_len(&w) - 4));
	send_all(b, slice_of(frame, wr_len(&w)));
	free(frame);
}

/* Another client is served as if nothing had been. */
static void
others_are_served(struct bed *b)
{
	struct client other;

	client_open(&other, &b->n);
	FUZZ_CHECKF(b->n.must_stop || b->n.ended || client_ask(&other, API_API_VERSIONS, 0, wire_random(wire_api(API_API_VERSIONS)->request, 0, &b->random.random,
	    &other.arena)) != NULL, "another client gets its answer");
	client_close(&other);
}

void
fuzz_one(struct slice in)
{
	uint8_t flags = fuzz_u8(&in);
	struct bed b;

	bed_init(&b);
	client_open(&b.client, &b.n);
	b.raw = (flags & REQUESTS) == 0;
	for (int i = 0; i < PARTS_MAX && in.len > 0 && !b.closed; i++) {
		if (b.raw)
			send_all(&b, fuzz_take(&in, fuzz_u16(&in)));
		else
			send_request(&b, &in);
	}
	for (int i = 0; i < SETTLE && !b.closed && !b.n.ended; i++) {	/* what waits gets its time */
		settle(&b);
		idle(&b.n);
	}
	settle(&b);
	others_are_served(&b);
	client_close(&b.client);
	settle(&b);
	bed_fini(&b);
}

/* ---- seeds: one request of each API in its oldest and its newest version, six to an input; and a few that belong together ---- */

struct seed {
	uint8_t	     bytes[1 << 15];
	size_t	     len;
	struct arena arena;
};

#define NEW(s, type)		WIRE_NEW(&(s)->arena, type)
#define NAMED			slice_str("t")

static void
seed_begin(struct seed *s)
{
	s->bytes[0] = REQUESTS;
	s->len = 1;
	arena_init(&s->arena, ARENA);
}

static void
seed_request(struct seed *s, int key, int version, void *body)
{
	const struct wire_api *api = wire_api(key);
	struct errbuf eb = ERRBUF_INIT;
	uint8_t *at = s->bytes + s->len;
	struct chain out;

	chain_init(&out);
	FUZZ_CHECKF(wire_encode(api->request, version, body, &s->arena, &out, &eb) == OK, "%s", eb.text);
	if (out.len <= SEED_MAX) {
		at[0] = (uint8_t)(api - wire_apis);
		at[1] = (uint8_t)(version - api->min);
		be16enc(at + 2, (uint16_t)out.len);
		s->len += 4;
		for (const struct chain_item *i = out.first; i != NULL; i = i->next) {
			if (i->mem.len > 0)
				memcpy(s->bytes + s->len, i->mem.p, i->mem.len);
			s->len += i->mem.len;
		}
	}
	chain_fini(&out);
}

static void
seed_end(struct seed *s, fuzz_give *give, void *ctx)
{
	arena_fini(&s->arena);
	if (s->len > 1)
		give(ctx, slice_of(s->bytes, s->len));
}

static void
seed_random(struct seed *s, fuzz_give *give, void *ctx)
{
	struct random_seeded random;

	random_seeded_init(&random, 1);
	for (size_t i = 0; i < wire_apis_n;) {
		seed_begin(s);
		for (int n = 0; n < 3 && i < wire_apis_n; n++, i++) {
			const struct wire_api *api = &wire_apis[i];

			seed_request(s, api->key, api->max, wire_random(api->request, api->max, &random.random, &s->arena));
			if (api->min != api->max)
				seed_request(s, api->key, api->min, wire_random(api->request, api->min, &random.random, &s->arena));
		}
		seed_end(s, give, ctx);
	}
}

static struct slice
batch(struct seed *s)
{
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct batch_builder *b = batch_builder_new(NULL, &o, NULL);
	struct slice copy;
	uint8_t *bytes;
	size_t size;

	FUZZ_CHECK(b != NULL && batch_builder_append(b, INT64_C(1795362210511), SLICE_LIT("k"), SLICE_LIT("v"), NULL, 0) == OK);
	FUZZ_CHECK(batch_builder_finish(b, &bytes, &size, NULL) == OK);
	batch_builder_free(b);
	copy = arena_dup(&s->arena, slice_of(bytes, size));
	free(bytes);
	return (copy);
}

static void
seed_records(struct seed *s, fuzz_give *give, void *ctx)
{
	struct wire_produce_request *p;
	struct wire_fetch_request *f;

	seed_begin(s);
	p = NEW(s, produce_request);
	p->transactional_id = SLICE_NULL;
	p->acks = -1;
	p->timeout_ms = 5000;
	p->topic_data.v = NEW(s, produce_request_topic);
	p->topic_data.n = 1;
	p->topic_data.v[0].name = NAMED;
	p->topic_data.v[0].partition_data.v = NEW(s, produce_request_partition);
	p->topic_data.v[0].partition_data.n = 1;
	chain_init(&p->topic_data.v[0].partition_data.v[0].records);
	FUZZ_CHECK(chain_add_mem(&p->topic_data.v[0].partition_data.v[0].records, &s->arena, batch(s)));
	seed_request(s, API_PRODUCE, 9, p);
	f = NEW(s, fetch_request);
	f->replica_id = -1;
	f->max_bytes = 1000;
	f->max_wait_ms = 5;
	f->topics.v = NEW(s, fetch_request_topic);
	f->topics.n = 1;
	f->topics.v[0].topic = NAMED;
	f->topics.v[0].partitions.v = NEW(s, fetch_request_partition);
	f->topics.v[0].partitions.n = 1;
	f->topics.v[0].partitions.v[0].current_leader_epoch = -1;
	f->topics.v[0].partitions.v[0].partition_max_bytes = 1000;
	seed_request(s, API_FETCH, 4, f);
	seed_request(s, API_FETCH, 2, f);	/* converted down */
	seed_end(s, give, ctx);
}

static void
seed_topics(struct seed *s, fuzz_give *give, void *ctx)
{
	struct wire_create_topics_request *c;
	struct wire_delete_topics_request *d;

	seed_begin(s);
	c = NEW(s, create_topics_request);
	c->topics.v = NEW(s, create_topics_request_topic);
	c->topics.n = 1;
	c->topics.v[0].name = slice_str("u");
	c->topics.v[0].num_partitions = 2;
	c->topics.v[0].replication_factor = 1;
	c->timeout_ms = 5000;
	seed_request(s, API_CREATE_TOPICS, 7, c);
	d = NEW(s, delete_topics_request);
	d->topics.v = NEW(s, delete_topics_request_topic);
	d->topics.n = 1;
	d->topics.v[0].name = NAMED;
	d->timeout_ms = 5000;
	seed_request(s, API_DELETE_TOPICS, 6, d);
	seed_end(s, give, ctx);
}

static void
seed_group(struct seed *s, fuzz_give *give, void *ctx)
{
	struct wire_find_coordinator_request *c;
	struct wire_join_group_request *j;
	struct wire_offset_commit_request *o;

	seed_begin(s);
	c = NEW(s, find_coordinator_request);
	c->key = slice_str("g");
	seed_request(s, API_FIND_COORDINATOR, 3, c);
	j = NEW(s, join_group_request);
	j->group_id = slice_str("g");
	j->session_timeout_ms = j->rebalance_timeout_ms = 10000;
	j->member_id = slice_str("");
	j->group_instance_id = j->reason = SLICE_NULL;
	j->protocol_type = slice_str("consumer");
	j->protocols.v = NEW(s, join_group_request_protocol);
	j->protocols.n = 1;
	j->protocols.v[0].name = slice_str("range");
	j->protocols.v[0].metadata = slice_str("m");
	seed_request(s, API_JOIN_GROUP, 3, j);	/* without MEMBER_ID_REQUIRED */
	o = NEW(s, offset_commit_request);
	o->group_id = slice_str("h");
	o->generation_id_or_member_epoch = -1;
	o->member_id = slice_str("");
	o->group_instance_id = SLICE_NULL;
	o->topics.v = NEW(s, offset_commit_request_topic);
	o->topics.n = 1;
	o->topics.v[0].name = NAMED;
	o->topics.v[0].partitions.v = NEW(s, offset_commit_request_partition);
	o->topics.v[0].partitions.n = 1;
	o->topics.v[0].partitions.v[0].committed_offset = 5;
	o->topics.v[0].partitions.v[0].committed_leader_epoch = -1;
	o->topics.v[0].partitions.v[0].committed_metadata = slice_str("");
	seed_request(s, API_OFFSET_COMMIT, 8, o);
	seed_end(s, give, ctx);
}

void
fuzz_seeds(fuzz_give *give, void *ctx)
{
	static const uint8_t versions[] = { 0, 0, 12, 0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255 };
	struct seed *s = xcalloc(1, sizeof(*s));

	give(ctx, slice_of(versions, sizeof(versions)));	/* as they come */
	seed_records(s, give, ctx);
	seed_topics(s, give, ctx);
	seed_group(s, give, ctx);
	seed_random(s, give, ctx);
	free(s);
}
