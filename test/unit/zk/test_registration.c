/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker's registration, cluster id and broker id, whatever happens to the connection at any operation.
 */
#include "base/random.h"
#include "test/unit/zk/zk_test.h"
#include "zk/registration.h"

struct outcome {
	unsigned answers;
	enum err err;
	int64_t	 epoch;
	char	 text[600];
	char	 id[64];
	int32_t	 broker_id;
	uint32_t nbrokers;
};

static struct zk_endpoint endpoints[] = { { "PLAINTEXT", ZK_PLAINTEXT, "127.0.0.1", 9092 } };

static struct zk_broker_info
broker(int32_t id)
{
	return ((struct zk_broker_info){ .id = id, .version = 5, .endpoints = endpoints, .nendpoints = 1, .jmx_port = -1, .timestamp_ms = 1 });
}

static void
on_step(void *ctx, enum err e, const struct errbuf *why)
{
	struct outcome *o = ctx;

	o->answers++;
	o->err = e;
	snprintf(o->text, sizeof(o->text), "%s", why->text);
}

static void
on_registered(void *ctx, enum err e, int64_t epoch, const struct errbuf *why)
{
	on_step(ctx, e, why);
	((struct outcome *)ctx)->epoch = epoch;
}

static void
on_cluster_id(void *ctx, enum err e, const char *id, const struct errbuf *why)
{
	on_step(ctx, e, why);
	snprintf(((struct outcome *)ctx)->id, 64, "%s", id == NULL ? "" : id);
}

static void
on_broker_id(void *ctx, enum err e, int32_t id, const struct errbuf *why)
{
	on_step(ctx, e, why);
	((struct outcome *)ctx)->broker_id = id;
}

static void
on_brokers(void *ctx, enum err e, const struct zk_broker_entry *entries, uint32_t n, const struct errbuf *why)
{
	struct outcome *o = ctx;

	on_step(ctx, e, why);
	o->nbrokers = n;
	if (n > 0)
		o->broker_id = entries[0].info.id;
}

/* Until it is not the session's end that stops it. */
static struct outcome
top_level(struct world *w, struct zk *zk)
{
	struct outcome o = { .answers = 0 };
	unsigned tries = 0;

	do {
		o.answers = 0;
		zk_create_top_level_paths(zk, on_step, &o);
		zk_fake_settle(w->loop);
		CHECK_EQ(o.answers, 1);
	} while (o.err == ERR_ZK_EXPIRED && ++tries < 5);
	return (o);
}

static struct outcome
register_broker(struct world *w, struct zk_registrar *r, int32_t id, bool check)
{
	struct outcome o = { .answers = 0 };
	struct zk_broker_info info = broker(id);
	unsigned tries = 0;

	do {
		o.answers = 0;
		zk_registrar_register(r, &info, check, on_registered, &o);
		zk_fake_settle(w->loop);
		CHECK_EQ(o.answers, 1);
	} while (o.err == ERR_ZK_EXPIRED && ++tries < 5);
	return (o);
}

static bool
top_level_under(enum zk_fault fault, uint64_t n)
{
	struct world w;
	bool reached;
	size_t i;

	world_open(&w);
	zk_fake_fault(w.zk, fault, n);
	CHECK_EQ(top_level(&w, w.zk).err, OK);
	reached = !zk_fake_faults_pending(w.zk);
	for (i = 0; zk_top_level_paths[i] != NULL; i++) {
		struct kept k = act(&w, w.other, ZK_GET(zk_top_level_paths[i], NULL));
		CHECK_EQ(k.error, ZKE_OK);
		CHECK(k.null);
	}
	world_close(&w);
	return (reached);
}

TEST(top_level_paths_are_made_under_any_fault)
{
	at_every_operation(top_level_under);
}

static bool
cluster_id_under(enum zk_fault fault, uint64_t n)
{
	struct outcome o = { .answers = 0 }, second = { .answers = 0 };
	struct random_seeded random;
	struct world w;
	bool reached;

	world_open(&w);
	random_seeded_init(&random, n);
	zk_fake_fault(w.zk, fault, n);
	do {
		o.answers = 0;
		zk_cluster_id_get_or_create(w.zk, &random.random, on_cluster_id, &o);
		zk_fake_settle(w.loop);
	} while (o.err == ERR_ZK_EXPIRED);
	reached = !zk_fake_faults_pending(w.zk);
	CHECK_EQ(o.err, OK);
	CHECK_EQ(strlen(o.id), 22);
	zk_cluster_id_get_or_create(w.other, &random.random, on_cluster_id, &second);
	zk_fake_settle(w.loop);
	CHECK_STR(o.id, second.id);
	world_close(&w);
	return (reached);
}

TEST(a_cluster_has_one_id_under_any_fault)
{
	at_every_operation(cluster_id_under);
}

TEST(two_brokers_that_make_the_cluster_id_at_once_agree)
{
	struct outcome a = { .answers = 0 }, b = { .answers = 0 };
	struct random_seeded random;
	struct world w;

	world_open(&w);
	random_seeded_init(&random, 7);
	zk_cluster_id_get_or_create(w.zk, &random.random, on_cluster_id, &a);
	zk_cluster_id_get_or_create(w.other, &random.random, on_cluster_id, &b);
	zk_fake_settle(w.loop);
	CHECK_EQ(a.err, OK);
	CHECK_EQ(b.err, OK);
	CHECK_STR(a.id, b.id);
	world_close(&w);
}

TEST(a_foreign_cluster_id_that_is_not_json_is_an_error)
{
	struct outcome o = { .answers = 0 };
	struct world w;

	world_open(&w);
	act(&w, w.other, ZK_CREATE("/cluster", SLICE_NULL));
	act(&w, w.other, ZK_CREATE("/cluster/id", SLICE_LIT("garbage")));
	zk_cluster_id_get_or_create(w.zk, random_real(), on_cluster_id, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.err, ERR_MALFORMED);
	CHECK(o.text[0] != '\0');
	world_close(&w);
}

TEST(broker_ids_count_up_from_the_reserved_ones)
{
	struct outcome o = { .answers = 0 };
	struct world w;

	world_open(&w);
	zk_broker_id_generate(w.zk, 1000, on_broker_id, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.err, OK);
	CHECK_EQ(o.broker_id, 1001);
	zk_broker_id_generate(w.other, 1000, on_broker_id, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.broker_id, 1002);
	CHECK(!act(&w, w.zk, ZK_GET(ZK_BROKER_SEQID, NULL)).null);
	world_close(&w);
}

static bool
register_under(enum zk_fault fault, uint64_t n)
{
	struct zk_registrar *r;
	struct outcome o;
	struct kept k;
	struct world w;
	bool reached;

	world_open(&w);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 1);
	zk_fake_fault(w.zk, fault, n);
	o = register_broker(&w, r, 1, true);
	reached = !zk_fake_faults_pending(w.zk);
	k = act(&w, w.other, ZK_GET("/brokers/ids/1", NULL));
	CHECK_EQ(o.err, OK);
	CHECK_EQ(k.error, ZKE_OK);
	CHECK_EQ(k.stat.czxid, o.epoch);
	CHECK_EQ(k.stat.version, 1);
	CHECK_EQ(k.stat.ephemeral_owner, zk_session_id(w.zk));
	CHECK(strstr(k.data, "PLAINTEXT://127.0.0.1:9092") != NULL);
	zk_registrar_free(&r);
	world_close(&w);
	return (reached);
}

TEST(a_broker_registers_under_any_fault_and_its_epoch_is_the_czxid)
{
	at_every_operation(register_under);
}

TEST(an_id_held_by_a_live_session_is_refused_and_the_owner_unharmed)
{
	struct zk_registrar *mine, *theirs;
	struct outcome o;
	struct world w;

	world_open(&w);
	top_level(&w, w.other);
	theirs = zk_registrar_new(w.other, 1);
	mine = zk_registrar_new(w.zk, 1);
	CHECK_EQ(register_broker(&w, theirs, 1, false).err, OK);
	o = register_broker(&w, mine, 1, false);
	CHECK_EQ(o.err, ERR_EXISTS);
	CHECK(strstr(o.text, "broker id 1 is in use") != NULL);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/brokers/ids/1", NULL)).stat.ephemeral_owner, zk_session_id(w.other));
	zk_registrar_free(&mine);
	zk_registrar_free(&theirs);
	world_close(&w);
}

TEST(an_address_advertised_by_another_id_is_refused)
{
	struct zk_registrar *mine, *theirs;
	struct outcome o;
	struct world w;

	world_open(&w);
	top_level(&w, w.other);
	theirs = zk_registrar_new(w.other, 1);
	mine = zk_registrar_new(w.zk, 2);
	CHECK_EQ(register_broker(&w, theirs, 1, true).err, OK);
	o = register_broker(&w, mine, 2, true);
	CHECK_EQ(o.err, ERR_EXISTS);
	CHECK(strstr(o.text, "127.0.0.1:9092 is registered by broker 1") != NULL);
	CHECK_EQ(act(&w, w.zk, ZK_GET("/brokers/ids/2", NULL)).error, ZKE_NO_NODE);
	CHECK_EQ(register_broker(&w, mine, 2, false).err, OK);
	zk_registrar_free(&mine);
	zk_registrar_free(&theirs);
	world_close(&w);
}

TEST(registering_again_after_expiry_gives_a_new_epoch)
{
	struct zk_registrar *r;
	int64_t first, again;
	struct world w;

	world_open(&w);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 1);
	first = register_broker(&w, r, 1, true).epoch;
	again = register_broker(&w, r, 1, true).epoch;
	CHECK_EQ(first, again);
	zk_fake_expire(w.zk);
	zk_fake_settle(w.loop);
	CHECK_EQ(act(&w, w.other, ZK_EXISTS("/brokers/ids/1", NULL)).error, ZKE_NO_NODE);
	CHECK_GE(register_broker(&w, r, 1, true).epoch, first + 1);
	zk_registrar_free(&r);
	world_close(&w);
}

/* The server has told us of the end of our session, but not yet taken its node away (KAFKA-7165): seen as a node of that session. */
TEST(the_node_of_our_own_ended_session_is_replaced)
{
	struct zk_registrar *r;
	struct outcome o;
	struct world w;
	struct zk *old;

	world_open(&w);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 1);
	CHECK_EQ(register_broker(&w, r, 1, false).err, OK);
	/* The same registrar in a new session while the node of the old one still stands: move the registrar to another client by hand. */
	old = w.zk;
	zk_registrar_free(&r);
	r = zk_registrar_new(w.other, 1);
	o = register_broker(&w, r, 1, false);
	CHECK_EQ(o.err, ERR_EXISTS);	/* not remembered as ours: refused */
	zk_close(&old);
	w.zk = zk_fake_client(w.fake, w.loop);
	zk_fake_settle(w.loop);
	CHECK_EQ(register_broker(&w, r, 1, false).err, OK);
	zk_registrar_free(&r);
	world_close(&w);
}

TEST(an_update_keeps_the_epoch)
{
	struct outcome o = { .answers = 0 };
	struct zk_broker_info info = broker(1);
	struct zk_registrar *r;
	struct kept k;
	struct world w;
	int64_t epoch;

	world_open(&w);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 1);
	epoch = register_broker(&w, r, 1, true).epoch;
	info.rack = "r1";
	zk_registrar_update(r, &info, on_step, &o);
	zk_fake_settle(w.loop);
	k = act(&w, w.other, ZK_GET("/brokers/ids/1", NULL));
	CHECK_EQ(o.err, OK);
	CHECK_EQ(k.stat.czxid, epoch);
	CHECK_EQ(k.stat.version, 2);
	CHECK(strstr(k.data, "\"rack\":\"r1\"") != NULL);
	zk_registrar_free(&r);
	world_close(&w);
}

TEST(brokers_are_listed_by_id_and_a_broken_one_is_named)
{
	struct outcome o = { .answers = 0 };
	struct zk_registrar *r;
	struct world w;

	world_open(&w);
	zk_brokers_list(w.zk, NULL, on_brokers, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.err, OK);
	CHECK_EQ(o.nbrokers, 0);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 12);
	register_broker(&w, r, 12, false);
	zk_brokers_list(w.zk, NULL, on_brokers, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.nbrokers, 1);
	CHECK_EQ(o.broker_id, 12);
	act(&w, w.other, ZK_CREATE("/brokers/ids/3", SLICE_LIT("{\"version\":5}")));
	zk_brokers_list(w.zk, NULL, on_brokers, &o);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.err, ERR_MALFORMED);
	CHECK(strstr(o.text, "/brokers/ids/3") != NULL);
	zk_registrar_free(&r);
	world_close(&w);
}

TEST(a_registrar_freed_in_the_middle_answers_nobody)
{
	struct outcome o = { .answers = 0 };
	struct zk_broker_info info = broker(1);
	struct zk_registrar *r;
	struct world w;

	world_open(&w);
	top_level(&w, w.other);
	r = zk_registrar_new(w.zk, 1);
	zk_registrar_register(r, &info, true, on_registered, &o);
	zk_registrar_free(&r);
	zk_fake_settle(w.loop);
	CHECK_EQ(o.answers, 0);
	world_close(&w);
}

UNIT_MAIN("zk/registration", T(top_level_paths_are_made_under_any_fault), T(a_cluster_has_one_id_under_any_fault),
    T(two_brokers_that_make_the_cluster_id_at_once_agree), T(a_foreign_cluster_id_that_is_not_json_is_an_error),
    T(broker_ids_count_up_from_the_reserved_ones), T(a_broker_registers_under_any_fault_and_its_epoch_is_the_czxid),
    T(an_id_held_by_a_live_session_is_refused_and_the_owner_unharmed), T(an_address_advertised_by_another_id_is_refused),
    T(registering_again_after_expiry_gives_a_new_epoch), T(the_node_of_our_own_ended_session_is_replaced), T(an_update_keeps_the_epoch),
    T(brokers_are_listed_by_id_and_a_broken_one_is_named), T(a_registrar_freed_in_the_middle_answers_nobody))
