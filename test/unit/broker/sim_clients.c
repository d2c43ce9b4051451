/* SPDX-License-Identifier: Apache-2.0
 *
 * test/unit/broker/sim_clients.c - what clients do in the simulation, and what they remember of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "record/record.h"
#include "test/unit/broker/sim.h"
#include "wire/api.h"
#include "wire/frame.h"

enum { ROOM = 1 << 20, PATIENCE_MS = 30000, CORRELATION = 77, NONE_CUT = 8 /* one request in so many is cut */ };

#define NEW(c, name)		WIRE_NEW(&(c)->arena, name)
#define ARRAY(c, name, n)	WIRE_NEW_ARRAY(&(c)->arena, name, n)
#define GROUP			slice_str("g")

/* ---- connections ---- */

static void
hang_up(struct sim_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->waiting = false;
}

static bool
connect_to(struct sim_client *c, struct sim_broker *b)
{
	struct net_conn *conn;
	int sv[2];

	if (c->fd >= 0)
		return (true);
	if (!sim_serves(b) || !b->n.broker->serving)
		return (false);
	must_zero(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
	must(net_adopt(b->n.broker->net, c->id % b->n.broker->nloops, sv[0], b->n.broker->bound[0].net, &conn, NULL) == OK);
	c->fd = sv[1];
	return (true);
}

static void
begin(struct sim_client *c, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	struct chain out;

	chain_init(&out);
	must(wire_request_frame(wire_api(key), version, CORRELATION, slice_str("sim"), body, &c->arena, &out, &eb) == OK);
	must(out.len < ROOM);
	c->out_len = c->sent = c->got = 0;
	for (const struct chain_item *it = out.first; it != NULL; it = it->next) {
		memcpy(c->out + c->out_len, it->mem.p, it->mem.len);
		c->out_len += it->mem.len;
	}
	chain_fini(&out);
	c->key = key;
	c->version = version;
	c->cut_at = c->s->healing || sim_below(c->s, NONE_CUT) != 0 ? SIZE_MAX : sim_below(c->s, (uint32_t)c->out_len + 20);
	c->deadline_ms = clock_mono_ms(&c->s->w.time.clock) + PATIENCE_MS;
	c->waiting = true;
}

/* ---- requests ---- */

static void
ask_create(struct sim_client *c)
{
	struct wire_create_topics_request *q = NEW(c, create_topics_request);

	q->topics.v = ARRAY(c, create_topics_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(c->topic);
	q->topics.v[0].num_partitions = 2;
	q->topics.v[0].replication_factor = 1;
	q->timeout_ms = 5000;
	begin(c, API_CREATE_TOPICS, 7, q);
}

static void
ask_delete(struct sim_client *c)
{
	struct wire_delete_topics_request *q = NEW(c, delete_topics_request);

	q->topics.v = ARRAY(c, delete_topics_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str(c->topic);
	q->timeout_ms = 5000;
	begin(c, API_DELETE_TOPICS, 6, q);
}

static void
ask_produce(struct sim_client *c)
{
	struct wire_produce_request *q = NEW(c, produce_request);
	struct batch_builder_options o = BATCH_BUILDER_OPTIONS;
	struct errbuf eb = ERRBUF_INIT;
	struct batch_builder *b = batch_builder_new(NULL, &o, &eb);
	uint8_t *bytes;
	size_t size;

	str_format(c->topic, sizeof(c->topic), "%c%u", sim_below(c->s, 6) == 0 ? 'd' : 's', sim_below(c->s, SIM_TOPICS));
	c->partition = (int32_t)sim_below(c->s, 2);
	str_format(c->value, sizeof(c->value), "<%u-%u>", c->id, c->counter++);
	must(b != NULL);
	must(batch_builder_append(b, clock_wall_ms(&c->s->w.time.clock), SLICE_NULL, slice_str(c->value), NULL, 0) == OK);
	must(batch_builder_finish(b, &bytes, &size, NULL) == OK);
	batch_builder_free(b);
	q->transactional_id = SLICE_NULL;
	q->acks = sim_below(c->s, 2) == 0 ? -1 : 1;
	q->timeout_ms = 5000;
	q->topic_data.v = ARRAY(c, produce_request_topic, q->topic_data.n = 1);
	q->topic_data.v[0].name = slice_str(c->topic);
	q->topic_data.v[0].partition_data.v = ARRAY(c, produce_request_partition, q->topic_data.v[0].partition_data.n = 1);
	q->topic_data.v[0].partition_data.v[0].index = c->partition;
	chain_init(&q->topic_data.v[0].partition_data.v[0].records);
	must(chain_add_mem(&q->topic_data.v[0].partition_data.v[0].records, &c->arena, arena_dup(&c->arena, slice_of(bytes, size))));
	free(bytes);
	begin(c, API_PRODUCE, 9, q);
}

static void
ask_join(struct sim_client *c)
{
	struct wire_join_group_request *q = NEW(c, join_group_request);

	q->group_id = GROUP;
	q->session_timeout_ms = 10000;
	q->rebalance_timeout_ms = 10000;
	q->member_id = slice_str(c->member);
	q->group_instance_id = SLICE_NULL;
	q->protocol_type = slice_str("consumer");
	q->protocols.v = ARRAY(c, join_group_request_protocol, q->protocols.n = 1);
	q->protocols.v[0].name = slice_str("range");
	q->protocols.v[0].metadata = slice_str("m");
	q->reason = SLICE_NULL;
	begin(c, API_JOIN_GROUP, 9, q);
}

static void
ask_sync(struct sim_client *c)
{
	struct wire_sync_group_request *q = NEW(c, sync_group_request);

	q->group_id = GROUP;
	q->generation_id = c->generation;
	q->member_id = slice_str(c->member);
	q->group_instance_id = SLICE_NULL;
	q->protocol_type = slice_str("consumer");
	q->protocol_name = slice_str("range");
	if (c->leads) {
		q->assignments.v = ARRAY(c, sync_group_request_assignment, q->assignments.n = 1);
		q->assignments.v[0].member_id = slice_str(c->member);
		q->assignments.v[0].assignment = slice_str("a");
	}
	begin(c, API_SYNC_GROUP, 5, q);
}

static void
ask_heartbeat(struct sim_client *c)
{
	struct wire_heartbeat_request *q = NEW(c, heartbeat_request);

	q->group_id = GROUP;
	q->generation_id = c->generation;
	q->member_id = slice_str(c->member);
	q->group_instance_id = SLICE_NULL;
	begin(c, API_HEARTBEAT, 4, q);
}

static void
ask_commit(struct sim_client *c)
{
	struct wire_offset_commit_request *q = NEW(c, offset_commit_request);
	struct wire_offset_commit_request_partition *p = ARRAY(c, offset_commit_request_partition, 1);

	q->group_id = GROUP;
	q->generation_id_or_member_epoch = c->generation;
	q->member_id = slice_str(c->member);
	q->group_instance_id = SLICE_NULL;
	q->topics.v = ARRAY(c, offset_commit_request_topic, q->topics.n = 1);
	q->topics.v[0].name = slice_str("s0");
	q->topics.v[0].partitions.v = p;
	q->topics.v[0].partitions.n = 1;
	p->partition_index = (int32_t)c->id % 2;	/* each member has its own: so its commits are in order */
	p->committed_offset = ++c->committing;
	p->committed_leader_epoch = -1;
	p->committed_metadata = slice_str("");
	begin(c, API_OFFSET_COMMIT, 8, q);
}

static void
ask_leave(struct sim_client *c)
{
	struct wire_leave_group_request *q = NEW(c, leave_group_request);

	q->group_id = GROUP;
	q->members.v = ARRAY(c, leave_group_request_member_identity, q->members.n = 1);
	q->members.v[0].member_id = slice_str(c->member);
	q->members.v[0].group_instance_id = SLICE_NULL;
	q->members.v[0].reason = SLICE_NULL;
	begin(c, API_LEAVE_GROUP, 4, q);
}

static void
ask_coordinator(struct sim_client *c)
{
	struct wire_find_coordinator_request *q = NEW(c, find_coordinator_request);

	q->key = GROUP;
	q->key_type = 0;
	begin(c, API_FIND_COORDINATOR, 3, q);
}

static void
whim_of_admin(struct sim_client *c)
{
	if (c->made < SIM_TOPICS) {
		str_format(c->topic, sizeof(c->topic), "s%u", c->made);
		ask_create(c);
		return;
	}
	str_format(c->topic, sizeof(c->topic), "d%u", sim_below(c->s, SIM_TOPICS));
	if (sim_below(c->s, 2) == 0)
		ask_create(c);
	else
		ask_delete(c);
}

static void
whim_of_member(struct sim_client *c)
{
	uint32_t dice = sim_below(c->s, 100);

	if (c->phase == MEMBER_SYNCS)
		ask_sync(c);
	else if (dice < 5)
		ask_coordinator(c);
	else if (c->phase == MEMBER_JOINS)
		ask_join(c);
	else if (dice < 60)
		ask_commit(c);
	else if (dice < 96)
		ask_heartbeat(c);
	else
		ask_leave(c);
}

/* ---- answers ---- */

static void
other_broker(struct sim_client *c)
{
	hang_up(c);
	c->target = 1 - c->target;
}

static void
heard_admin(struct sim_client *c, void *answer)
{
	struct wire_create_topics_response *made = answer;
	struct wire_delete_topics_response *gone = answer;
	bool creates = c->key == API_CREATE_TOPICS;
	enum kerr e = creates ? (enum kerr)made->topics.v[0].error_code : (enum kerr)gone->responses.v[0].error_code;

	sim_trace(c->s, "%s %s: %s", creates ? "create" : "delete", c->topic, kerr_name(e));
	if (creates && (e == KERR_NONE || e == KERR_TOPIC_ALREADY_EXISTS))
		c->made += c->topic[0] == 's';
	if (e == KERR_NOT_CONTROLLER)
		other_broker(c);
}

static void
heard_produce(struct sim_client *c, struct wire_produce_response *a)
{
	struct wire_produce_response_partition *p = &a->responses.v[0].partition_responses.v[0];
	struct sim *s = c->s;

	sim_trace(s, "produce %s to %s-%d: %s, offset %" PRId64, c->value, c->topic, c->partition, kerr_name((enum kerr)p->error_code),
	    p->base_offset);
	if (p->error_code != 0) {
		other_broker(c);
		return;
	}
	if (c->topic[0] != 's')
		return;		/* it may be deleted at any time */
	s->acks = xreallocarray(s->acks, s->nacks + 1, sizeof(*s->acks));
	s->acks[s->nacks] = (struct sim_ack){ .partition = c->partition, .offset = p->base_offset };
	str_copy(s->acks[s->nacks].topic, sizeof(s->acks->topic), c->topic);
	str_copy(s->acks[s->nacks++].value, sizeof(s->acks->value), c->value);
}

static void
member_error(struct sim_client *c, enum kerr e)
{
	if (e == KERR_UNKNOWN_MEMBER_ID || e == KERR_ILLEGAL_GENERATION || e == KERR_REBALANCE_IN_PROGRESS || e == KERR_MEMBER_ID_REQUIRED) {
		c->phase = MEMBER_JOINS;
		if (e == KERR_UNKNOWN_MEMBER_ID || e == KERR_ILLEGAL_GENERATION)
			c->member[0] = '\0';
	} else if (e != KERR_NONE) {
		other_broker(c);
	}
}

static void
heard_join(struct sim_client *c, struct wire_join_group_response *a)
{
	enum kerr e = (enum kerr)a->error_code;

	sim_trace(c->s, "member %u joins: %s, generation %d", c->id, kerr_name(e), a->generation_id);
	member_error(c, e);
	if (e == KERR_NONE || e == KERR_MEMBER_ID_REQUIRED)
		str_format(c->member, sizeof(c->member), "%.*s", (int)a->member_id.len, (const char *)a->member_id.p);
	if (e != KERR_NONE)
		return;
	sim_wrong(c->s, a->generation_id >= c->s->synced, "a generation went back", a->generation_id, c->s->synced);
	c->generation = a->generation_id;
	c->leads = slice_eq(a->leader, a->member_id);
	c->phase = MEMBER_SYNCS;
}

static void
heard_sync(struct sim_client *c, struct wire_sync_group_response *a)
{
	enum kerr e = (enum kerr)a->error_code;

	sim_trace(c->s, "member %u synchronises generation %d: %s", c->id, c->generation, kerr_name(e));
	c->phase = MEMBER_JOINS;
	member_error(c, e);
	if (e != KERR_NONE)
		return;
	c->phase = MEMBER_STAYS;
	if (c->generation > c->s->synced)
		c->s->synced = c->generation;
}

static void
heard_member(struct sim_client *c, void *answer)
{
	enum kerr e = KERR_NONE;

	switch (c->key) {
	case API_JOIN_GROUP:
		heard_join(c, answer);
		return;
	case API_SYNC_GROUP:
		heard_sync(c, answer);
		return;
	case API_HEARTBEAT:
		e = (enum kerr)((struct wire_heartbeat_response *)answer)->error_code;
		break;
	case API_OFFSET_COMMIT:
		e = (enum kerr)((struct wire_offset_commit_response *)answer)->topics.v[0].partitions.v[0].error_code;
		if (e == KERR_NONE)
			c->committed = c->committing;
		break;
	case API_LEAVE_GROUP:
		c->member[0] = '\0';
		c->phase = MEMBER_JOINS;
		break;
	case API_FIND_COORDINATOR: {
		struct wire_find_coordinator_response *a = answer;

		if (a->error_code == 0 && a->node_id != (int32_t)c->target + 1)
			other_broker(c);
		break;
	}
	default:
		break;
	}
	sim_trace(c->s, "member %u, %s: %s", c->id, wire_api(c->key)->name, kerr_name(e));
	member_error(c, e);
}

static void
heard(struct sim_client *c)
{
	struct errbuf eb = ERRBUF_INIT;
	void *answer = NULL;

	c->waiting = false;
	c->s->answers++;
	must(wire_response_decode(wire_api(c->key), c->version, slice_of(c->in + 4, c->got - 4), &c->arena, &answer, &eb) == OK);
	switch (c->kind) {
	case SIM_ADMIN:
		heard_admin(c, answer);
		break;
	case SIM_PRODUCER:
		heard_produce(c, answer);
		break;
	case SIM_MEMBER:
		heard_member(c, answer);
		break;
	}
}

/* ---- the machine ---- */

static void
lost(struct sim_client *c, const char *how)
{
	sim_trace(c->s, "client %u: %s %s", c->id, wire_api(c->key)->name, how);
	if (c->kind == SIM_MEMBER && c->phase == MEMBER_SYNCS)
		c->phase = MEMBER_JOINS;
	other_broker(c);
}

static void
send_some(struct sim_client *c)
{
	size_t n = c->out_len - c->sent;
	ssize_t put;

	if (sim_below(c->s, 3) == 0)
		n = 1 + sim_below(c->s, (uint32_t)n);
	n = MIN(n, c->cut_at - c->sent);
	put = n == 0 ? 0 : send(c->fd, c->out + c->sent, n, MSG_NOSIGNAL);
	if (put < 0 && errno != EAGAIN)
		lost(c, "cannot be sent");
	else
		c->sent += put > 0 ? (size_t)put : 0;
	if (c->waiting && c->sent == c->cut_at)
		lost(c, "is cut on its way");
}

static void
receive_some(struct sim_client *c)
{
	ssize_t got = recv(c->fd, c->in + c->got, ROOM - c->got, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		lost(c, "is not answered, the connection ended");
		return;
	}
	c->got += got > 0 ? (size_t)got : 0;
	if (c->got >= 4 && c->got == be32dec(c->in) + 4) {
		if (c->cut_at != SIZE_MAX)
			lost(c, "is answered, and that is lost");
		else
			heard(c);
	} else if (clock_mono_ms(&c->s->w.time.clock) > c->deadline_ms) {
		lost(c, "has no answer in time");
	}
}

static void
whim(struct sim_client *c)
{
	if (!connect_to(c, &c->s->brokers[c->target])) {
		c->target = 1 - c->target;
		return;
	}
	arena_reset(&c->arena);
	switch (c->kind) {
	case SIM_ADMIN:
		whim_of_admin(c);
		break;
	case SIM_PRODUCER:
		ask_produce(c);
		break;
	case SIM_MEMBER:
		whim_of_member(c);
		break;
	}
}

static void
tick(struct timer *timer)
{
	struct sim_client *c = CONTAINER_OF(timer, struct sim_client, timer);

	if (!c->waiting)
		whim(c);
	else if (c->sent < c->out_len)
		send_some(c);
	else
		receive_some(c);
	timer_set(c->s->w.control, timer, 1 + sim_below(c->s, c->waiting ? 20 : c->kind == SIM_ADMIN ? 900 : 120));
}

void
sim_client_start(struct sim *s, uint32_t id)
{
	static const enum sim_kind kinds[SIM_CLIENTS] = { SIM_ADMIN, SIM_PRODUCER, SIM_PRODUCER, SIM_MEMBER, SIM_MEMBER };
	struct sim_client *c = &s->clients[id];

	*c = (struct sim_client){ .s = s, .kind = kinds[id], .id = id, .fd = -1 };
	c->out = xmalloc(ROOM);
	c->in = xmalloc(ROOM);
	arena_init(&c->arena, 64 << 20);
	timer_init(&c->timer, tick);
	timer_set(s->w.control, &c->timer, 1 + sim_below(s, 50));
}

void
sim_client_end(struct sim_client *c)
{
	timer_cancel(c->s->w.control, &c->timer);
	hang_up(c);
	arena_fini(&c->arena);
	free(c->out);
	free(c->in);
	c->out = c->in = NULL;
}

/* ---- the checks at the end: with the clients' own machine, but nothing else happens ---- */

/* The answer of this broker; NULL: none. */
static void *
ask(struct sim_client *c, uint32_t target, int key, int version, void *body)
{
	struct errbuf eb = ERRBUF_INIT;
	void *answer = NULL;

	hang_up(c);
	c->target = target;
	if (!connect_to(c, &c->s->brokers[target]))
		return (NULL);
	begin(c, key, version, body);
	for (int i = 0; i < 200000 && c->fd >= 0; i++) {
		if (c->sent < c->out_len)
			send_some(c);
		else {
			ssize_t got = recv(c->fd, c->in + c->got, ROOM - c->got, 0);

			c->got += got > 0 ? (size_t)got : 0;
			if (c->got >= 4 && c->got == be32dec(c->in) + 4)
				break;
		}
		sim_step(c->s);
	}
	if (c->fd < 0 || c->got < 4)
		return (NULL);
	must(wire_response_decode(wire_api(key), version, slice_of(c->in + 4, c->got - 4), &c->arena, &answer, &eb) == OK);
	return (answer);
}

static void
checker_open(struct sim *s, struct sim_client *c)
{
	*c = (struct sim_client){ .s = s, .fd = -1 };
	c->out = xmalloc(ROOM);
	c->in = xmalloc(ROOM);
	arena_init(&c->arena, 64 << 20);
	timer_init(&c->timer, tick);
}

/* The bytes from this offset on, from whoever leads; null: nobody has them. */
static struct slice
fetch(struct sim_client *c, const struct sim_ack *k)
{
	for (uint32_t target = 0; target < SIM_BROKERS; target++) {
		struct wire_fetch_request *q = NEW(c, fetch_request);
		struct wire_fetch_request_partition *p = ARRAY(c, fetch_request_partition, 1);
		struct wire_fetch_response *a;
		const struct chain *records;

		q->replica_id = -1;
		q->max_bytes = q->topics.n = 1;
		q->topics.v = ARRAY(c, fetch_request_topic, 1);
		q->topics.v[0].topic = slice_str(k->topic);
		q->topics.v[0].partitions.v = p;
		q->topics.v[0].partitions.n = 1;
		p->partition = k->partition;
		p->fetch_offset = k->offset;
		p->current_leader_epoch = -1;
		p->partition_max_bytes = 1;
		a = ask(c, target, API_FETCH, 4, q);
		if (a == NULL || a->responses.n != 1 || a->responses.v[0].partitions.v[0].error_code != 0)
			continue;
		records = &a->responses.v[0].partitions.v[0].records;
		return (records->first == NULL ? SLICE_NULL : records->first->mem);
	}
	return (SLICE_NULL);
}

void
sim_check_records(struct sim *s)
{
	struct sim_client c;

	checker_open(s, &c);
	for (size_t i = 0; i < s->nacks; i++) {
		const struct sim_ack *k = &s->acks[i];
		struct slice got;

		arena_reset(&c.arena);
		got = fetch(&c, k);
		if (!sim_wrong(s, got.len > 8 && (int64_t)be64dec(got.p) == k->offset && memmem(got.p, got.len, k->value, strlen(k->value)) != NULL,
		    "an acknowledged record is not where it was", got.len > 8 ? (int64_t)be64dec(got.p) : -1, k->offset)) {
			sim_trace(s, "missing: %s in %s-%d at %" PRId64, k->value, k->topic, k->partition, k->offset);
			break;
		}
	}
	sim_client_end(&c);
}

static int64_t
committed(struct sim_client *c, int32_t partition)
{
	for (uint32_t i = 0; i < SIM_BROKERS * 50; i++) {
		struct wire_offset_fetch_request *q = NEW(c, offset_fetch_request);
		struct wire_offset_fetch_response *a;

		q->group_id = GROUP;
		q->topics.v = ARRAY(c, offset_fetch_request_topic, q->topics.n = 1);
		q->topics.v[0].name = slice_str("s0");
		q->topics.v[0].partition_indexes.v = &partition;
		q->topics.v[0].partition_indexes.n = 1;
		a = ask(c, i % SIM_BROKERS, API_OFFSET_FETCH, 5, q);
		if (a != NULL && a->error_code == 0 && a->topics.n == 1 && a->topics.v[0].partitions.v[0].error_code == 0)
			return (a->topics.v[0].partitions.v[0].committed_offset);
	}
	return (-2);
}

void
sim_check_commits(struct sim *s)
{
	struct sim_client c;

	checker_open(s, &c);
	for (uint32_t i = 0; i < SIM_CLIENTS; i++) {
		int64_t is;

		if (s->clients[i].kind != SIM_MEMBER || s->clients[i].committed == 0)
			continue;
		arena_reset(&c.arena);
		is = committed(&c, (int32_t)i % 2);
		sim_trace(s, "member %u has committed %" PRId64 ", the group says %" PRId64, i, s->clients[i].committed, is);
		sim_wrong(s, is >= s->clients[i].committed && is <= s->clients[i].committing, "an acknowledged commit is not there", is,
		    s->clients[i].committed);
	}
	sim_client_end(&c);
}
