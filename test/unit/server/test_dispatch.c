/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes in, bytes out: a server behind a net with one loop, spoken to over a socketpair.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cdefs.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/random.h"
#include "cluster/cluster.h"
#include "group/coordinator.h"
#include "server/dispatch.h"
#include "server/errmap.h"
#include "test/unit/unit.h"

struct world {
	struct clock_manual clock;
	struct loop	*loop;
	struct net	*net;
	struct random_seeded random;
	struct cluster	*cluster;
	struct group_coordinator *groups;	/* leads nothing */
	struct server	*server;
	struct metrics	 metrics;
	struct arena	 arena;		/* what the client decodes */
	struct net_conn	*conn;
	int		 fd;		/* the client's end */
	bool		 shut;
	struct task	 shut_task;
};

static void
w_shut(struct task *t)
{
	CONTAINER_OF(t, struct world, shut_task)->shut = true;
}

static void
join(struct world *w)
{
	int sv[2];

	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
	must(net_adopt(w->net, 0, sv[0], NULL, &w->conn, NULL) == OK);
	w->fd = sv[1];
}

static void
world_init(struct world *w)
{
	struct server_options so = { 0 };
	struct net_options no = { 0 };

	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	clock_manual_init(&w->clock, 1000000);
	must(loop_new(&(struct loop_options){ .name = "t", .clock = &w->clock.clock }, &w->loop, NULL) == OK);
	random_seeded_init(&w->random, unit_seed());
	w->cluster = cluster_new("cluster-of-a-test");
	so.broker_id = 1;
	so.cluster = w->cluster;
	w->groups = group_coordinator_new(&(struct group_coordinator_options){ .loops = &w->loop, .nloops = 1, .clock = &w->clock.clock,
	    .random = &w->random.random, .retention_check_ms = 600000 });
	group_coordinator_start(w->groups, 50);
	so.groups = w->groups;
	so.metrics = &w->metrics;
	w->server = server_new(&so);
	no.loops = &w->loop;
	no.nloops = 1;
	no.metrics = &w->metrics;
	no.handler = server_net_handler(w->server);
	no.request_bytes_max = LIMIT_REQUEST_BYTES_MAX;
	no.limits = NET_LIMITS_NONE;
	must(net_new(&no, &w->net, NULL) == OK);
	w->shut_task.fn = w_shut;
	arena_init(&w->arena, 64 << 20);
	join(w);
}

static void
turns(struct world *w)
{
	for (int i = 0; i < 1000 && loop_turn(w->loop, 0); i++)
		;
}

static void
world_fini(struct world *w)
{
	close(w->fd);
	group_coordinator_stop(w->groups);
	turns(w);
	net_shutdown(w->net, 1000, w->loop, &w->shut_task);
	turns(w);
	CHECK(w->shut);
	net_free(&w->net);
	server_free(&w->server);
	group_coordinator_free(&w->groups);
	cluster_free(&w->cluster);
	loop_free(&w->loop);
	arena_fini(&w->arena);
}

static void
send_bytes(struct world *w, const void *p, size_t n)
{
	must(send(w->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
	turns(w);
}

#define SEND(w, literal)	send_bytes((w), (literal), sizeof(literal) - 1)

/* All that came, and whether the server closed. */
static struct slice
take(struct world *w, bool *closed)
{
	uint8_t *buf = arena_alloc(&w->arena, 1 << 16);
	size_t n = 0;
	ssize_t got;

	while ((got = recv(w->fd, buf + n, (1 << 16) - n, 0)) > 0)
		n += (size_t)got;
	*closed = got == 0 || (got < 0 && errno == ECONNRESET);
	return (slice_of(buf, n));
}

static bool
came(struct world *w, const void *p, size_t n)
{
	bool closed;
	struct slice s = take(w, &closed);

	if (!closed && s.len == n && memcmp(s.p, p, n) == 0)
		return (true);
	fprintf(stderr, "%zu bytes%s:", s.len, closed ? ", then closed" : "");
	for (size_t i = 0; i < s.len; i++)
		fprintf(stderr, " %02x", s.p[i]);
	fprintf(stderr, "\n");
	return (false);
}

#define CAME(w, literal)	CHECK(came((w), (literal), sizeof(literal) - 1))

static bool
was_closed(struct world *w)
{
	bool closed;

	return (take(w, &closed).len == 0 && closed);
}

/* A request made by the walker; its answer, decoded. */
static void
send_request(struct world *w, int key, int version, void *body)
{
	struct chain out;
	struct errbuf eb = ERRBUF_INIT;

	chain_init(&out);
	must(wire_request_frame(wire_api(key), version, 77, slice_str("unit"), body, &w->arena, &out, &eb) == OK);
	for (const struct chain_item *it = out.first; it != NULL; it = it->next)
		send_bytes(w, it->mem.p, it->mem.len);
	chain_fini(&out);
}

static void *
answer(struct world *w, int key, int version)
{
	bool closed;
	struct slice s = take(w, &closed);
	void *body = NULL;
	struct errbuf eb = ERRBUF_INIT;

	if (!unit_check(!closed && s.len >= 8 && be32dec(s.p) == s.len - 4 && be32dec(s.p + 4) == 77, __FILE__, __LINE__,
	    "an answer to %s version %d", wire_api(key)->name, version))
		return (NULL);
	s.p += 4;
	s.len -= 4;
	CHECK_EQ(wire_response_decode(wire_api(key), version, s, &w->arena, &body, &eb), OK);
	return (body);
}

TEST(api_versions_says_exactly_what_is_served)
{
	for (int v = 0; v <= 4; v++) {
		struct world w;
		struct wire_api_versions_request *q;
		struct wire_api_versions_response *a;

		world_init(&w);
		q = WIRE_NEW(&w.arena, api_versions_request);
		if (v >= 3) {
			q->client_software_name = slice_str("librdkafka");
			q->client_software_version = slice_str("2.0.2-debian");
		}
		send_request(&w, API_API_VERSIONS, v, q);
		a = answer(&w, API_API_VERSIONS, v);
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, KERR_NONE);
		REQUIRE(a->api_keys.n == (int32_t)api_handlers_n);
		for (int32_t i = 0; i < a->api_keys.n; i++) {
			CHECK_EQ(a->api_keys.v[i].api_key, api_handlers[i].key);
			CHECK_EQ(a->api_keys.v[i].min_version, api_handlers[i].min);
			CHECK_EQ(a->api_keys.v[i].max_version, api_handlers[i].max);
		}
		CHECK_EQ(a->supported_features.n, 0);
		CHECK_EQ(a->finalized_features.n, 0);
		CHECK_EQ(a->finalized_features_epoch, -1);
		world_fini(&w);
	}
}

TEST(the_features_epoch_is_the_version_of_the_znode)
{
	struct world w;
	struct wire_api_versions_request *q;
	struct wire_api_versions_response *a;

	world_init(&w);
	server_set_features_epoch(w.server, 0);
	q = WIRE_NEW(&w.arena, api_versions_request);
	q->client_software_name = q->client_software_version = slice_str("x");
	send_request(&w, API_API_VERSIONS, 3, q);
	a = answer(&w, API_API_VERSIONS, 3);
	REQUIRE(a != NULL);
	CHECK_EQ(a->finalized_features_epoch, 0);
	world_fini(&w);
}

TEST(a_newer_client_learns_in_version_0_what_to_ask)
{
	struct world w;

	world_init(&w);
	SEND(&w, "\0\0\0\x0e" "\0\x12" "\0\x63" "\0\0\0\7" "\0\2hi" "\0\xee");
	CAME(&w, "\0\0\0\x10" "\0\0\0\7" "\0\x23" "\0\0\0\1" "\0\x12\0\0\0\4");
	SEND(&w, "\0\0\0\x0a" "\0\x12" "\0\0" "\0\0\0\x8" "\xff\xff");	/* and the connection goes on */
	CHECK_EQ(w.metrics.value[METRIC_requests_malformed_total], 0);
	world_fini(&w);
}

TEST(client_software_must_have_a_plain_name)
{
	static const struct { const char *name, *version; bool ok; } rows[] = {
		{ "apache-kafka-java", "3.9.1", true }, { "a", "1", true }, { "a..b--c", "1", true },
		{ "", "1", false }, { "a", "", false }, { "-a", "1", false }, { "a-", "1", false }, { "a b", "1", false },
		{ "a", "1.", false }, { "a", ".1", false }, { "a_b", "1", false }, { "\xc3\xa9", "1", false },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct world w;
		struct wire_api_versions_request *q;
		struct wire_api_versions_response *a;

		world_init(&w);
		q = WIRE_NEW(&w.arena, api_versions_request);
		q->client_software_name = slice_str(rows[i].name);
		q->client_software_version = slice_str(rows[i].version);
		send_request(&w, API_API_VERSIONS, 3, q);
		a = answer(&w, API_API_VERSIONS, 3);
		REQUIRE(a != NULL);
		CHECK_EQ(a->error_code, rows[i].ok ? KERR_NONE : KERR_INVALID_REQUEST);
		CHECK_EQ(a->api_keys.n > 0, rows[i].ok);
		world_fini(&w);
	}
}

TEST(what_is_no_request_of_ours_closes_the_connection)
{
	static const struct { const char *what; const char *bytes; size_t len; } rows[] = {
#define ROW(what, literal)	{ what, literal, sizeof(literal) - 1 }
		ROW("an empty frame", "\0\0\0\0"),
		ROW("half a header", "\0\0\0\5" "\0\x12\0\0\0"),
		ROW("an unknown key", "\0\0\0\x0a" "\x7f\xff\0\0\0\0\0\7\xff\xff"),
		ROW("a negative key", "\0\0\0\x0a" "\xff\xff\0\0\0\0\0\7\xff\xff"),
		ROW("a key nobody serves yet", "\0\0\0\x0a" "\0\x16\0\0\0\0\0\7\xff\xff"),
		ROW("a version above", "\0\0\0\x0a" "\0\x0a\0\7\0\0\0\7\xff\xff"),
		ROW("a negative version", "\0\0\0\x0a" "\0\x0a\xff\xff\0\0\0\7\xff\xff"),
		ROW("a client id longer than the frame", "\0\0\0\x0a" "\0\x12\0\0\0\0\0\7\0\x50"),
		ROW("a body that ends early", "\0\0\0\x0c" "\0\x0a\0\0\0\0\0\7\xff\xff\0\5"),
		ROW("a hostile count", "\0\0\0\x12" "\0\x0a\0\4\0\0\0\7\xff\xff\0\0\xff\xff\xff\xff\x0f\0"),
#undef ROW
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct world w;

		world_init(&w);
		send_bytes(&w, rows[i].bytes, rows[i].len);
		unit_check(was_closed(&w), __FILE__, __LINE__, "closed by %s", rows[i].what);
		CHECK_EQ(w.metrics.value[METRIC_requests_malformed_total], 1);
		world_fini(&w);
	}
}

TEST(a_bad_request_is_only_met_after_the_good_ones_before_it)
{
	struct world w;
	bool closed;
	struct slice s;

	world_init(&w);
	SEND(&w, "\0\0\0\x0c" "\0\x0a\0\0\0\0\0\1\xff\xff\0\0" "\0\0\0\0");
	s = take(&w, &closed);
	CHECK(closed);
	CHECK(s.len > 8 && be32dec(s.p + 4) == 1);
	world_fini(&w);
}

TEST(a_group_without_its_topic_has_no_coordinator)
{
	struct world w;

	world_init(&w);		/* v0: error, node -1, host "", port -1 */
	SEND(&w, "\0\0\0\x0d" "\0\x0a\0\0\0\0\0\7\xff\xff\0\1g");
	CAME(&w, "\0\0\0\x10" "\0\0\0\7" "\0\x0f" "\xff\xff\xff\xff" "\0\0" "\xff\xff\xff\xff");
	world_fini(&w);
}

static struct wire_find_coordinator_response *
find(struct world *w, int version, int8_t type, int nkeys)
{
	struct wire_find_coordinator_request *q = WIRE_NEW(&w->arena, find_coordinator_request);
	struct slice *keys = ARENA_ARRAY(&w->arena, struct slice, (size_t)nkeys + 1);

	q->key_type = version >= 1 ? type : 0;
	if (version < 4)
		q->key = slice_str("g");
	for (int i = 0; i < nkeys && version >= 4; i++)
		keys[i] = slice_str(arena_printf(&w->arena, "key-%d", i));
	q->coordinator_keys.v = keys;
	q->coordinator_keys.n = version >= 4 ? nkeys : 0;
	send_request(w, API_FIND_COORDINATOR, version, q);
	return (answer(w, API_FIND_COORDINATOR, version));
}

/* The error that answers this key type; the same for all keys. */
static int
find_error(struct world *w, int version, int8_t type, bool *message)
{
	struct wire_find_coordinator_response *a = find(w, version, type, 3);

	if (a == NULL)
		return (-99);
	if (version < 4) {
		CHECK_EQ(a->node_id, -1);
		CHECK_EQ(a->port, -1);
		CHECK_EQ(a->host.len, 0);
		*message = a->error_message.len > 0;
		return (a->error_code);
	}
	CHECK_EQ(a->coordinators.n, 3);
	for (int i = 0; i < a->coordinators.n; i++) {
		CHECK_EQ(a->coordinators.v[i].node_id, -1);
		CHECK_EQ(a->coordinators.v[i].port, -1);
		CHECK_EQ(a->coordinators.v[i].error_code, a->coordinators.v[0].error_code);
		CHECK(slice_eq_str(a->coordinators.v[i].key, arena_printf(&w->arena, "key-%d", i)));
	}
	*message = a->coordinators.v[0].error_message.len > 0;
	return (a->coordinators.v[0].error_code);
}

TEST(coordinators_are_answered_by_key_type_in_every_version)
{
	for (int v = 0; v <= 6; v++)
		for (int8_t type = 0; type <= 4; type++) {
			struct world w;
			bool message = false;
			int error, want = KERR_COORDINATOR_NOT_AVAILABLE;

			if (v >= 1 && (type > 2 || (type == 2 && v < 6)))
				want = KERR_INVALID_REQUEST;
			world_init(&w);
			error = find_error(&w, v, type, &message);
			unit_check(error == want, __FILE__, __LINE__, "version %d, type %d: %d, not %d", v, type, error, want);
			if (v > 0)
				unit_check(message == (v < 4 || type > 2), __FILE__, __LINE__, "message in version %d, type %d", v, type);
			world_fini(&w);
		}
}

TEST(no_keys_are_no_error_whatever_the_type)
{
	struct world w;
	struct wire_find_coordinator_response *a;

	world_init(&w);
	a = find(&w, 4, 9, 0);
	REQUIRE(a != NULL);
	CHECK_EQ(a->coordinators.n, 0);
	world_fini(&w);
}

/* Whatever comes, the server answers or closes; it never stops (ASan and the arenas watch the rest). */
TEST(random_bytes_harm_nobody)
{
	struct random_seeded rs;
	uint8_t b[512];

	random_seeded_init(&rs, unit_seed());
	for (int i = 0; i < 2000; i++) {
		struct world w;
		uint32_t n = 8 + random_below(&rs.random, 200);
		bool closed;

		world_init(&w);
		rs.random.fill(&rs.random, b, sizeof(b));
		be32enc(b, n);
		be16enc(b + 4, random_below(&rs.random, 2) ? API_API_VERSIONS : API_FIND_COORDINATOR);
		be16enc(b + 6, (uint16_t)random_below(&rs.random, 8));
		if (random_below(&rs.random, 2))
			memcpy(b + 8, "\0\0\0\1\0\0\0", 7);
		send_bytes(&w, b, n + 4);
		CHECK(take(&w, &closed).len > 0 || closed);
		world_fini(&w);
	}
}

TEST(errors_of_the_world_become_kafka_s)
{
	CHECK_EQ(errmap(OK), KERR_NONE);
	CHECK_EQ(errmap(ERR_IO), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(errmap(ERR_NOSPACE), KERR_KAFKA_STORAGE_ERROR);
	CHECK_EQ(errmap(ERR_FENCED), KERR_NOT_CONTROLLER);
	CHECK_EQ(errmap(ERR_ZK_LOSS), KERR_UNKNOWN_SERVER_ERROR);
	for (int e = 1; e < ERR_COUNT_; e++)
		CHECK(errmap((enum err)e) != KERR_NONE);
}

UNIT_MAIN("server/dispatch", T(api_versions_says_exactly_what_is_served), T(the_features_epoch_is_the_version_of_the_znode),
    T(a_newer_client_learns_in_version_0_what_to_ask), T(client_software_must_have_a_plain_name),
    T(what_is_no_request_of_ours_closes_the_connection), T(a_bad_request_is_only_met_after_the_good_ones_before_it),
    T(a_group_without_its_topic_has_no_coordinator), T(coordinators_are_answered_by_key_type_in_every_version),
    T(no_keys_are_no_error_whatever_the_type), T(random_bytes_harm_nobody), T(errors_of_the_world_become_kafka_s))
