/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/batch.c - the requests that a change causes (kafka.controller.AbstractControllerBrokerRequestBatch).
 *
 * ORDER      Per broker: LeaderAndIsr, UpdateMetadata, StopReplica.  Every LeaderAndIsr for a partition also puts the partition into the
 *            UpdateMetadata, which all usable brokers get.
 * MERGING    A partition named twice for a broker goes out once, with its state at the time of sending; isNew and delete are sticky.
 * Brokers without a channel get nothing, and are not named as alive: until brokers can replicate, others do not exist for clients.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/must.h"
#include "controller/controller_int.h"
#include "wire/walker.h"

enum { LEADER_DURING_DELETE_EPOCH = 0, STOP_EPOCH_DELETE = -2, STOP_EPOCH_NONE = -1 };

static void
rows_add(struct batch_rows *r, struct ctl_partition *p, int32_t broker_id, bool flag)
{
	if (r->n == r->size) {
		r->size = r->size == 0 ? 64 : r->size * 2;
		r->v = xreallocarray(r->v, r->size, sizeof(*r->v));
	}
	r->v[r->n++] = (struct batch_row){ p, broker_id, flag };
}

static int
row_order(const void *a, const void *b)
{
	const struct batch_row *x = a, *y = b;

	if (x->broker_id != y->broker_id)
		return (x->broker_id < y->broker_id ? -1 : 1);
	if (x->p->topic != y->p->topic)
		return (strcmp(x->p->topic->name, y->p->topic->name));
	return ((x->p->id > y->p->id) - (x->p->id < y->p->id));
}

/* Sorted by broker, topic, partition; doubles merged. */
static void
rows_tidy(struct batch_rows *r)
{
	uint32_t n = 0;

	if (r->n == 0)
		return;
	qsort(r->v, r->n, sizeof(*r->v), row_order);
	for (uint32_t i = 1; i < r->n; i++) {
		if (row_order(&r->v[n], &r->v[i]) == 0)
			r->v[n].flag = r->v[n].flag || r->v[i].flag;
		else
			r->v[++n] = r->v[i];
	}
	r->n = n + 1;
}

void
batch_leader_and_isr(struct controller *c, struct ctl_partition *p, int32_t broker_id, bool is_new)
{
	rows_add(&c->batch.leader_and_isr, p, broker_id, is_new);
	batch_metadata(c, p);
}

void
batch_metadata(struct controller *c, struct ctl_partition *p)
{
	c->batch.metadata_wanted = true;
	if (p != NULL)
		rows_add(&c->batch.update_metadata, p, 0, false);
}

void
batch_stop_replica(struct controller *c, struct ctl_partition *p, int32_t broker_id, bool delete)
{
	rows_add(&c->batch.stop_replica, p, broker_id, delete);
}

void
batch_clear(struct batch *b)
{
	free(b->leader_and_isr.v);
	free(b->update_metadata.v);
	free(b->stop_replica.v);
	*b = (struct batch){ 0 };
}

/* ---- building: rows [from, to) of one topic each time ---- */

static uint32_t
topic_end(const struct batch_rows *r, uint32_t from, uint32_t to)
{
	uint32_t i = from + 1;

	while (i < to && r->v[i].p->topic == r->v[from].p->topic)
		i++;
	return (i);
}

static int32_t
topics_in(const struct batch_rows *r, uint32_t from, uint32_t to)
{
	int32_t n = 0;

	for (; from < to; from = topic_end(r, from, to))
		n++;
	return (n);
}

static struct wire_i32_array
ints(struct arena *a, struct id_list list)
{
	struct wire_i32_array out = { .n = (int32_t)list.n };

	out.v = ARENA_ARRAY(a, int32_t, (size_t)list.n + 1);
	if (list.n > 0)
		memcpy(out.v, list.v, list.n * sizeof(*list.v));
	return (out);
}

static struct slice
name_in(struct arena *a, const struct ctl_topic *t)
{
	return (arena_dup(a, slice_str(t->name)));
}

static void
fill_leader_and_isr(struct arena *a, struct wire_leader_and_isr_request_partition_state *s, const struct batch_row *row)
{
	const struct ctl_partition *p = row->p;

	s->topic_name = name_in(a, p->topic);
	s->partition_index = p->id;
	s->controller_epoch = p->l.controller_epoch;
	s->leader = p->l.leader;
	s->leader_epoch = p->l.leader_epoch;
	s->isr = ints(a, p->l.isr);
	s->partition_epoch = p->l.partition_epoch;
	s->replicas = ints(a, p->replicas);
	s->adding_replicas = ints(a, p->adding);
	s->removing_replicas = ints(a, p->removing);
	s->is_new = row->flag;
	s->leader_recovery_state = p->l.recovery_state;
}

struct answer_reign { struct controller *c; uint64_t reign; };

static void *
this_reign(struct controller *c, struct arena *a)
{
	struct answer_reign *r = ARENA_NEW(a, struct answer_reign);

	*r = (struct answer_reign){ c, c->reign };
	return (r);
}

static void
leader_and_isr_back(struct controller_message *m, void *v)
{
	const struct answer_reign *r = v;

	if (r->reign == r->c->reign)
		leader_and_isr_answered(r->c, m);
}

static void
send_leader_and_isr(struct controller *c, struct ctl_broker *b, uint32_t from, uint32_t to)
{
	struct controller_message *m = controller_message_new(CONTROL_LEADER_AND_ISR);
	struct wire_leader_and_isr_request *rq = WIRE_NEW(&m->arena, leader_and_isr_request);
	const struct batch_rows *rows = &c->batch.leader_and_isr;
	int32_t t = 0;

	rq->controller_id = c->opt.broker_id;
	rq->controller_epoch = c->ctx.epoch;
	rq->broker_epoch = b->epoch;
	rq->topic_states.n = topics_in(rows, from, to);
	rq->topic_states.v = WIRE_NEW_ARRAY(&m->arena, leader_and_isr_request_topic_state, rq->topic_states.n);
	for (uint32_t end; from < to; from = end, t++) {
		struct wire_leader_and_isr_request_topic_state *ts = &rq->topic_states.v[t];

		end = topic_end(rows, from, to);
		ts->topic_name = name_in(&m->arena, rows->v[from].p->topic);
		ts->topic_id = rows->v[from].p->topic->id;
		ts->partition_states.n = (int32_t)(end - from);
		ts->partition_states.v = WIRE_NEW_ARRAY(&m->arena, leader_and_isr_request_partition_state, ts->partition_states.n);
		for (uint32_t i = from; i < end; i++)
			fill_leader_and_isr(&m->arena, &ts->partition_states.v[i - from], &rows->v[i]);
	}
	m->request.leader_and_isr = rq;
	m->broker_id = b->id;
	m->answered = leader_and_isr_back;
	m->ctx = this_reign(c, &m->arena);
	b->channel->send(b->channel, m);
}

static void
fill_metadata(struct controller *c, struct arena *a, struct wire_update_metadata_request_partition_state *s, const struct ctl_partition *p)
{
	struct id_list offline = { ARENA_ARRAY(a, int32_t, (size_t)p->replicas.n + 1), 0 };

	for (uint32_t i = 0; i < p->replicas.n; i++)
		if (!replica_usable(c, p, i))
			offline.v[offline.n++] = p->replicas.v[i];
	s->topic_name = name_in(a, p->topic);
	s->partition_index = p->id;
	s->controller_epoch = p->l.controller_epoch;
	s->leader = p->l.leader;
	s->leader_epoch = p->l.leader_epoch;
	s->isr = ints(a, p->l.isr);
	s->zk_version = p->l.partition_epoch;
	s->replicas = ints(a, p->replicas);
	s->offline_replicas = (struct wire_i32_array){ .v = offline.v, .n = (int32_t)offline.n };
	if (p->topic->deleting) {
		s->leader = LEADER_DURING_DELETE;
		s->leader_epoch = LEADER_DURING_DELETE_EPOCH;
		s->zk_version = 0;
	}
}

static void
fill_brokers(struct controller *c, struct arena *a, struct wire_update_metadata_request *rq)
{
	rq->live_brokers.v = WIRE_NEW_ARRAY(a, update_metadata_request_broker, (int32_t)c->ctx.nbrokers);
	for (uint32_t i = 0; i < c->ctx.nbrokers; i++) {
		const struct ctl_broker *b = c->ctx.brokers[i];
		struct wire_update_metadata_request_broker *w;

		if (b->channel == NULL)
			continue;
		w = &rq->live_brokers.v[rq->live_brokers.n++];
		w->id = b->id;
		w->rack = b->info.rack == NULL ? SLICE_NULL : arena_dup(a, slice_str(b->info.rack));
		w->endpoints.n = (int32_t)b->info.nendpoints;
		w->endpoints.v = WIRE_NEW_ARRAY(a, update_metadata_request_endpoint, w->endpoints.n);
		for (uint32_t j = 0; j < b->info.nendpoints; j++) {
			w->endpoints.v[j].port = b->info.endpoints[j].port;
			w->endpoints.v[j].host = arena_dup(a, slice_str(b->info.endpoints[j].host));
			w->endpoints.v[j].listener = arena_dup(a, slice_str(b->info.endpoints[j].listener));
			w->endpoints.v[j].security_protocol = (int16_t)b->info.endpoints[j].protocol;
		}
	}
}

static void
send_metadata(struct controller *c, struct ctl_broker *b)
{
	struct controller_message *m = controller_message_new(CONTROL_UPDATE_METADATA);
	struct wire_update_metadata_request *rq = WIRE_NEW(&m->arena, update_metadata_request);
	const struct batch_rows *rows = &c->batch.update_metadata;
	int32_t t = 0;

	rq->controller_id = c->opt.broker_id;
	rq->controller_epoch = c->ctx.epoch;
	rq->broker_epoch = b->epoch;
	fill_brokers(c, &m->arena, rq);
	rq->topic_states.n = topics_in(rows, 0, rows->n);
	rq->topic_states.v = WIRE_NEW_ARRAY(&m->arena, update_metadata_request_topic_state, rq->topic_states.n);
	for (uint32_t from = 0, end; from < rows->n; from = end, t++) {
		struct wire_update_metadata_request_topic_state *ts = &rq->topic_states.v[t];

		end = topic_end(rows, from, rows->n);
		ts->topic_name = name_in(&m->arena, rows->v[from].p->topic);
		ts->topic_id = rows->v[from].p->topic->id;
		ts->partition_states.v = WIRE_NEW_ARRAY(&m->arena, update_metadata_request_partition_state, (int32_t)(end - from));
		for (uint32_t i = from; i < end; i++)
			if (rows->v[i].p->has_leadership || rows->v[i].p->topic->deleting)
				fill_metadata(c, &m->arena, &ts->partition_states.v[ts->partition_states.n++], rows->v[i].p);
	}
	m->request.update_metadata = rq;
	m->broker_id = b->id;
	b->channel->send(b->channel, m);
}

/* ---- StopReplica: its answers matter when it deletes ---- */

static void
stop_answered(struct controller_message *m, void *v)
{
	struct answer_reign *s = v;
	const struct wire_stop_replica_request *rq = m->request.stop_replica;
	const struct wire_stop_replica_response *rs = m->request.stop_replica_response;
	struct controller *c = s->c;
	int32_t at = 0;

	if (s->reign != c->reign || rs == NULL)
		return;
	/* The answer lists the partitions in the order of the request. */
	for (int32_t i = 0; i < rq->topic_states.n; i++)
		for (int32_t j = 0; j < rq->topic_states.v[i].partition_states.n; j++, at++) {
			const struct wire_stop_replica_request_partition_state *want = &rq->topic_states.v[i].partition_states.v[j];
			struct event *e;

			if (!want->delete_partition)
				continue;
			e = xcalloc(1, sizeof(*e));
			e->kind = EVENT_REPLICA_DELETED;
			e->topic = xstrndup((const char *)rq->topic_states.v[i].topic_name.p, rq->topic_states.v[i].topic_name.len);
			e->partition = want->partition_index;
			e->broker_id = m->broker_id;
			e->error = rs->error_code != 0 ? (enum kerr)rs->error_code :
			    at < rs->partition_errors.n ? (enum kerr)rs->partition_errors.v[at].error_code : KERR_UNKNOWN_SERVER_ERROR;
			event_push_made(c, e);
		}
}

static int32_t
stop_epoch(const struct ctl_partition *p)
{
	if (p->topic->deleting)
		return (STOP_EPOCH_DELETE);
	return (p->has_leadership ? p->l.leader_epoch : STOP_EPOCH_NONE);
}

static void
send_stop_replica(struct controller *c, struct ctl_broker *b, uint32_t from, uint32_t to)
{
	struct controller_message *m = controller_message_new(CONTROL_STOP_REPLICA);
	struct wire_stop_replica_request *rq = WIRE_NEW(&m->arena, stop_replica_request);
	const struct batch_rows *rows = &c->batch.stop_replica;
	int32_t t = 0;

	rq->controller_id = c->opt.broker_id;
	rq->controller_epoch = c->ctx.epoch;
	rq->broker_epoch = b->epoch;
	rq->topic_states.n = topics_in(rows, from, to);
	rq->topic_states.v = WIRE_NEW_ARRAY(&m->arena, stop_replica_request_topic_state, rq->topic_states.n);
	for (uint32_t end; from < to; from = end, t++) {
		struct wire_stop_replica_request_topic_state *ts = &rq->topic_states.v[t];

		end = topic_end(rows, from, to);
		ts->topic_name = name_in(&m->arena, rows->v[from].p->topic);
		ts->partition_states.n = (int32_t)(end - from);
		ts->partition_states.v = WIRE_NEW_ARRAY(&m->arena, stop_replica_request_partition_state, ts->partition_states.n);
		for (uint32_t i = from; i < end; i++) {
			ts->partition_states.v[i - from].partition_index = rows->v[i].p->id;
			ts->partition_states.v[i - from].leader_epoch = stop_epoch(rows->v[i].p);
			ts->partition_states.v[i - from].delete_partition = rows->v[i].flag;
		}
	}
	m->request.stop_replica = rq;
	m->broker_id = b->id;
	m->answered = stop_answered;
	m->ctx = this_reign(c, &m->arena);
	b->channel->send(b->channel, m);
}

/* ---- sending ---- */

static void
rows_for_broker(const struct batch_rows *r, int32_t id, uint32_t *from, uint32_t *to)
{
	*from = 0;
	while (*from < r->n && r->v[*from].broker_id != id)
		(*from)++;
	*to = *from;
	while (*to < r->n && r->v[*to].broker_id == id)
		(*to)++;
}

void
batch_send(struct controller *c)
{
	uint32_t from, to;

	rows_tidy(&c->batch.leader_and_isr);
	rows_tidy(&c->batch.update_metadata);
	rows_tidy(&c->batch.stop_replica);
	for (uint32_t i = 0; i < c->ctx.nbrokers; i++) {
		struct ctl_broker *b = c->ctx.brokers[i];

		if (b->channel == NULL)
			continue;
		rows_for_broker(&c->batch.leader_and_isr, b->id, &from, &to);
		if (from < to)
			send_leader_and_isr(c, b, from, to);
		if (c->batch.metadata_wanted)
			send_metadata(c, b);
		rows_for_broker(&c->batch.stop_replica, b->id, &from, &to);
		if (from < to)
			send_stop_replica(c, b, from, to);
	}
	batch_clear(&c->batch);
}
