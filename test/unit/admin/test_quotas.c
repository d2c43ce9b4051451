/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotas of users, client ids and addresses: what a client sees, what stands in ZooKeeper.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "admin/quotas.h"
#include "config/quota.h"
#include "test/unit/admin/world.h"
#include "test/unit/unit.h"

static const enum zk_fault faults[] = { ZK_FAULT_LOSS_BEFORE, ZK_FAULT_LOSS_AFTER, ZK_FAULT_EXPIRE_BEFORE, ZK_FAULT_EXPIRE_AFTER };

struct step {
	struct admin_quota_part parts[2];
	struct admin_quota_op op;
	struct admin_quota_change change;
};

/* "user=alice", "user", "user=alice,client-id" ... : a type alone is its default. */
static struct admin_quota_part
part(const char *text, size_t len)
{
	const char *eq = memchr(text, '=', len);

	return ((struct admin_quota_part){ slice_of(text, eq == NULL ? len : (size_t)(eq - text)),
	    eq == NULL ? SLICE_NULL : slice_of(eq + 1, len - (size_t)(eq + 1 - text)) });
}

static void
prepare(struct step *s, const char *who, const char *key, double value, bool remove)
{
	const char *comma = strchr(who, ',');

	s->parts[0] = part(who, comma == NULL ? strlen(who) : (size_t)(comma - who));
	if (comma != NULL)
		s->parts[1] = part(comma + 1, strlen(comma + 1));
	s->op = (struct admin_quota_op){ slice_str(key), value, remove };
	s->change = (struct admin_quota_change){ .parts = s->parts, .nparts = who[0] == '\0' ? 0 : comma == NULL ? 1 : 2, .ops = &s->op, .nops = 1 };
}

static enum kerr
set(struct world *w, const char *who, const char *key, double value, bool remove)
{
	struct admin_alter_quotas a = { .nchanges = 1 };
	unsigned before = w->done;
	struct step s;

	prepare(&s, who, key, value, remove);
	a.changes = &s.change;
	world_job(w, &a.job);
	admin_alter_quotas(w->admin, &a);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	CHECK(s.change.outcome.error != KERR_INVALID_REQUEST || s.change.outcome.message != NULL);
	return (s.change.outcome.error);
}

static void
node_is(struct world *w, const char *path, const char *data)
{
	struct node n = world_node(w, path);

	unit_check(n.found == (data != NULL) && (data == NULL || strcmp(n.data, data) == 0), __FILE__, __LINE__, "%s: %s", path, n.found ? n.data : "not there");
}

TEST(quotas_stand_where_kafka_keeps_them)
{
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(set(&w, "user=ann e*", "producer_byte_rate", 1024, false), KERR_NONE);
	CHECK_EQ(set(&w, "user", "request_percentage", 12.5, false), KERR_NONE);
	CHECK_EQ(set(&w, "client-id=c/1", "consumer_byte_rate", 2.0000001, false), KERR_NONE);
	CHECK_EQ(set(&w, "user=bob,client-id", "controller_mutation_rate", 3, false), KERR_NONE);
	CHECK_EQ(set(&w, "ip=10.0.0.1", "connection_creation_rate", 20, false), KERR_NONE);
	node_is(&w, "/config/users/ann%20e%2A", "{\"version\":1,\"config\":{\"producer_byte_rate\":\"1024\"}}");
	node_is(&w, "/config/users/<default>", "{\"version\":1,\"config\":{\"request_percentage\":\"12.5\"}}");
	node_is(&w, "/config/clients/c%2F1", "{\"version\":1,\"config\":{\"consumer_byte_rate\":\"2\"}}");
	node_is(&w, "/config/users/bob/clients/<default>", "{\"version\":1,\"config\":{\"controller_mutation_rate\":\"3.0\"}}");
	node_is(&w, "/config/ips/10.0.0.1", "{\"version\":1,\"config\":{\"connection_creation_rate\":\"20\"}}");
	CHECK(world_has(&w, "/config/changes/config_change_0000000004"));
	CHECK(!world_has(&w, "/config/changes/config_change_0000000005"));
	/* What was there stays, and what becomes empty goes, with its parents. */
	CHECK_EQ(set(&w, "user=ann e*", "consumer_byte_rate", 5, false), KERR_NONE);
	CHECK_EQ(set(&w, "user=ann e*", "producer_byte_rate", 0, true), KERR_NONE);
	node_is(&w, "/config/users/ann%20e%2A", "{\"version\":1,\"config\":{\"consumer_byte_rate\":\"5\"}}");
	CHECK_EQ(set(&w, "user=bob,client-id", "controller_mutation_rate", 0, true), KERR_NONE);
	node_is(&w, "/config/users/bob", NULL);
	CHECK_EQ(set(&w, "ip=10.0.0.1", "connection_creation_rate", 0, true), KERR_NONE);
	node_is(&w, "/config/ips/10.0.0.1", NULL);
	world_fini(&w);
}

TEST(fields_that_nobody_knows_stay_when_quotas_change)
{
	static const struct { const char *path, *who, *key; } rows[] = {
		{ "/config/users/u", "user=u", "producer_byte_rate" }, { "/config/users/u/clients/c", "user=u,client-id=c", "producer_byte_rate" },
		{ "/config/clients/c", "client-id=c", "producer_byte_rate" }, { "/config/ips/10.0.0.1", "ip=10.0.0.1", "connection_creation_rate" },
	};
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	for (size_t i = 0; i < NELEM(rows); i++) {
		CHECK_EQ(set(&w, rows[i].who, rows[i].key, 5, false), KERR_NONE);
		world_put(&w, rows[i].path, "{\"version\":1,\"surprise\":{\"a\":[1,null]},\"config\":{}}");
		CHECK_EQ(set(&w, rows[i].who, rows[i].key, 7, false), KERR_NONE);
		CHECK(has_text(world_node(&w, rows[i].path).data, "\"surprise\":{\"a\":[1,null]}"));
		CHECK(has_text(world_node(&w, rows[i].path).data, rows[i].key));
	}
	world_fini(&w);
}

TEST(what_cannot_be_set_says_so_and_stays)
{
	static const struct { const char *who, *key; double value; enum kerr error; } rows[] = {
		{ "", "producer_byte_rate", 1, KERR_INVALID_REQUEST }, { "group=g", "producer_byte_rate", 1, KERR_INVALID_REQUEST },
		{ "user=", "producer_byte_rate", 1, KERR_INVALID_REQUEST }, { "user=a,ip=1.2.3.4", "producer_byte_rate", 1, KERR_INVALID_REQUEST },
		{ "user=a", "no.such", 1, KERR_INVALID_REQUEST }, { "ip=1.2.3.4", "producer_byte_rate", 1, KERR_INVALID_REQUEST },
		{ "user=a", "connection_creation_rate", 1, KERR_INVALID_REQUEST }, { "user=a", "producer_byte_rate", 1.5, KERR_INVALID_REQUEST },
		{ "user=a", "producer_byte_rate", -1, KERR_INVALID_REQUEST }, { "user=a", "producer_byte_rate", (double)INFINITY, KERR_INVALID_REQUEST },
		{ "user=a", "producer_byte_rate", 1e19, KERR_INVALID_REQUEST }, { "ip=1.2.3.4", "connection_creation_rate", 3e9, KERR_INVALID_REQUEST },
		{ "user=a", "SCRAM-SHA-256", 1, KERR_UNKNOWN_SERVER_ERROR }, { "user=<default>", "producer_byte_rate", 1, KERR_INVALID_REQUEST },
	};
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	for (size_t i = 0; i < NELEM(rows); i++)
		CHECK_EQ(set(&w, rows[i].who, rows[i].key, rows[i].value, false), rows[i].error);
	CHECK(!world_has(&w, "/config/users/a"));
	CHECK(!world_has(&w, "/config/changes/config_change_0000000000"));
	/* Beside settings that are none of Kafka's nothing is written, as in Java. */
	world_put(&w, "/config/users/a", "{\"version\":1,\"config\":{\"colour\":\"blue\"}}");
	CHECK_EQ(set(&w, "user=a", "producer_byte_rate", 1, false), KERR_UNKNOWN_SERVER_ERROR);
	world_put(&w, "/config/users/b", "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":\"salt=\"}}");
	CHECK_EQ(set(&w, "user=b", "producer_byte_rate", 1, false), KERR_NONE);
	node_is(&w, "/config/users/b", "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":\"salt=\",\"producer_byte_rate\":\"1\"}}");
	world_put(&w, "/config/users/c", "{\"version\":1,\"config\":{\"producer_byte_rate\":5}}");
	CHECK_EQ(set(&w, "user=c", "producer_byte_rate", 1, false), KERR_UNKNOWN_SERVER_ERROR);
	world_put(&w, "/config/users/c", "no json");
	CHECK_EQ(set(&w, "user=c", "producer_byte_rate", 1, false), KERR_NONE);
	world_fini(&w);
}

TEST(validating_changes_nothing)
{
	struct admin_alter_quotas a = { .nchanges = 1, .validate_only = true };
	struct world w;
	struct step s;

	world_init(&w, "");
	world_turn(&w);
	prepare(&s, "user=a", "producer_byte_rate", 1, false);
	a.changes = &s.change;
	world_job(&w, &a.job);
	admin_alter_quotas(w.admin, &a);
	world_turn(&w);
	CHECK_EQ(s.change.outcome.error, KERR_NONE);
	CHECK(!world_has(&w, "/config/users/a"));
	world_fini(&w);
}

/* ---- describing ---- */

static struct admin_describe_quotas
describe(struct world *w, const struct admin_quota_filter *filters, int32_t n, bool strict)
{
	struct admin_describe_quotas d = { .filters = filters, .nfilters = n, .strict = strict };
	unsigned before = w->done;

	world_job(w, &d.job);
	admin_describe_quotas(w->admin, &d);
	world_turn(w);
	CHECK_EQ(w->done, before + 1);
	return (d);
}

static int32_t
rows(struct world *w, bool strict, const char *type, int8_t match, const char *name)
{
	const struct admin_quota_filter f = { slice_str(type), match, slice_str(name) };
	struct admin_describe_quotas d = describe(w, &f, 1, strict);

	return (d.outcome.error == KERR_NONE ? d.nrows : -(int32_t)d.outcome.error);
}

TEST(filters_find_whom_they_name)
{
	struct world w;
	struct admin_describe_quotas d;

	world_init(&w, "");
	world_turn(&w);
	CHECK_EQ(set(&w, "user=a", "producer_byte_rate", 1, false), KERR_NONE);
	CHECK_EQ(set(&w, "user", "producer_byte_rate", 2, false), KERR_NONE);
	CHECK_EQ(set(&w, "user=a,client-id=x", "producer_byte_rate", 3, false), KERR_NONE);
	CHECK_EQ(set(&w, "client-id=x", "producer_byte_rate", 4, false), KERR_NONE);
	CHECK_EQ(set(&w, "ip", "connection_creation_rate", 5, false), KERR_NONE);
	world_put(&w, "/config/users/scram", "{\"version\":1,\"config\":{\"SCRAM-SHA-256\":\"x\"}}");
	CHECK_EQ(describe(&w, NULL, 0, false).nrows, 5);
	CHECK_EQ(describe(&w, NULL, 0, true).nrows, 0);
	CHECK_EQ(rows(&w, false, "user", ADMIN_QUOTA_ANY, NULL), 3);
	CHECK_EQ(rows(&w, true, "user", ADMIN_QUOTA_ANY, NULL), 2);
	CHECK_EQ(rows(&w, false, "user", ADMIN_QUOTA_EXACT, "a"), 2);
	CHECK_EQ(rows(&w, true, "user", ADMIN_QUOTA_EXACT, "a"), 1);
	CHECK_EQ(rows(&w, true, "user", ADMIN_QUOTA_DEFAULT, NULL), 1);
	CHECK_EQ(rows(&w, true, "user", ADMIN_QUOTA_EXACT, "<default>"), 0);
	CHECK_EQ(rows(&w, false, "client-id", ADMIN_QUOTA_EXACT, "x"), 2);
	CHECK_EQ(rows(&w, true, "client-id", ADMIN_QUOTA_EXACT, "x"), 1);
	CHECK_EQ(rows(&w, true, "ip", ADMIN_QUOTA_DEFAULT, NULL), 1);
	CHECK_EQ(rows(&w, true, "ip", ADMIN_QUOTA_EXACT, "1.2.3.4"), 0);
	CHECK_EQ(rows(&w, true, "user", ADMIN_QUOTA_EXACT, "scram"), 0);
	CHECK_EQ(rows(&w, false, "group", ADMIN_QUOTA_ANY, NULL), -KERR_UNSUPPORTED_VERSION);
	CHECK_EQ(rows(&w, false, "", ADMIN_QUOTA_ANY, NULL), -KERR_INVALID_REQUEST);
	CHECK_EQ(rows(&w, false, "user", 3, NULL), -KERR_UNKNOWN_SERVER_ERROR);
	CHECK_EQ(rows(&w, false, "user", ADMIN_QUOTA_EXACT, NULL), -KERR_UNKNOWN_SERVER_ERROR);
	d = describe(&w, &(struct admin_quota_filter){ SLICE_LIT("ip"), ADMIN_QUOTA_ANY, SLICE_NULL }, 1, true);
	REQUIRE(d.nrows == 1);
	CHECK(d.rows->given[ADMIN_QUOTA_IP] && d.rows->names[ADMIN_QUOTA_IP].p == NULL);
	CHECK_EQ(d.rows->nvalues, 1);
	CHECK_STR(d.rows->values[0].name, "connection_creation_rate");
	CHECK(d.rows->values[0].value == 5.0);
	world_put(&w, "/config/users/bad", "{\"version\":1,\"config\":{\"producer_byte_rate\":\"much\"}}");
	CHECK_EQ(rows(&w, false, "user", ADMIN_QUOTA_ANY, NULL), -KERR_UNKNOWN_SERVER_ERROR);
	world_fini(&w);
}

/* ---- trouble ---- */

static void
under(enum zk_fault fault, uint64_t nth, bool *happened)
{
	struct world w;
	struct admin_describe_quotas d;

	world_init(&w, "");
	world_turn(&w);
	zk_fake_fault(w.zk, fault, nth);
	CHECK_EQ(set(&w, "user=a,client-id=x", "producer_byte_rate", 3, false), KERR_NONE);
	*happened = !zk_fake_faults_pending(w.zk);
	node_is(&w, "/config/users/a/clients/x", "{\"version\":1,\"config\":{\"producer_byte_rate\":\"3\"}}");
	d = describe(&w, NULL, 0, false);
	CHECK_EQ(d.outcome.error, KERR_NONE);
	CHECK_EQ(d.nrows, 1);
	world_fini(&w);
}

TEST(under_every_loss_and_expiry_a_quota_is_set)
{
	for (size_t f = 0; f < NELEM(faults); f++) {
		bool happened = true;
		uint64_t nth;

		for (nth = 1; nth < 20 && happened; nth++)
			under(faults[f], nth, &happened);
		CHECK(nth > 4 && nth < 20);
	}
}

TEST(without_a_controller_nothing_is_written)
{
	struct world w;

	world_init(&w, "");
	world_turn(&w);
	world_remove(&w, "/controller");
	CHECK_EQ(set(&w, "user=a", "producer_byte_rate", 1, false), KERR_STALE_CONTROLLER_EPOCH);
	CHECK(!world_has(&w, "/config/users/a"));
	world_fini(&w);
}

TEST(stopping_ends_what_is_under_way_and_what_waits_its_turn)
{
	for (int turns = 0; turns < 30; turns++) {
		struct admin_alter_quotas a[2] = { { .nchanges = 1 }, { .nchanges = 1 } };
		struct admin_describe_quotas d = { .strict = false };
		struct step s[2];
		struct world w;

		world_init(&w, "");
		world_turn(&w);
		for (int i = 0; i < 2; i++) {
			prepare(&s[i], "user=a", "producer_byte_rate", i, false);
			a[i].changes = &s[i].change;
			world_job(&w, &a[i].job);
			admin_alter_quotas(w.admin, &a[i]);
		}
		world_job(&w, &d.job);
		admin_describe_quotas(w.admin, &d);
		for (int i = 0; i < turns; i++)
			(void)loop_turn(w.loop, 0);
		admin_stop(w.admin);
		world_turn(&w);
		CHECK_EQ(w.done, 3);
		world_fini(&w);
	}
}

UNIT_MAIN("admin/quotas", T(quotas_stand_where_kafka_keeps_them), T(fields_that_nobody_knows_stay_when_quotas_change),
    T(what_cannot_be_set_says_so_and_stays), T(validating_changes_nothing),
    T(filters_find_whom_they_name), T(under_every_loss_and_expiry_a_quota_is_set), T(without_a_controller_nothing_is_written),
    T(stopping_ends_what_is_under_way_and_what_waits_its_turn))
