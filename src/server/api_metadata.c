/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_metadata.c - Metadata: brokers, controller and topics as the metadata image of this broker has them.
 *
 * By name or, from version 12 on, by id: when one topic of a request is named by its id, ids count and names without one do not, as in Java.
 * Topics that are not there are made when both the request and auto.create.topics.enable allow it; the answer does not wait for that.
 */
#include <stdlib.h>

#include "admin/topics.h"
#include "base/str.h"
#include "cluster/cluster.h"
#include "server/authorized.h"
#include "server/dispatch.h"
#include "wire/walker.h"

enum { NULL_NAME_SINCE = 12, NULL_IS_ALL_SINCE = 1, LISTENER_NOT_FOUND_SINCE = 6, CLUSTER_OPERATIONS_UNTIL = 10, OPERATIONS_SINCE = 8 };

struct metadata {
	struct api_request *r;
	const struct wire_metadata_request *q;
	const struct image *im;
	const char	*listener;
	struct wire_metadata_response *a;
	int32_t		 room;		/* topics that fit in a->topics */
	bool		 full;
};

static bool
asks_for_all(const struct metadata *m)
{
	return (m->r->head.version < NULL_IS_ALL_SINCE ? m->q->topics.n <= 0 : m->q->topics.n < 0);
}

/* ---- brokers ---- */

static const struct image_endpoint *
endpoint_of(const struct metadata *m, int32_t id)
{
	const struct image_broker *b = image_broker(m->im, id);

	return (b == NULL ? NULL : image_broker_endpoint(b, m->listener));
}

static bool
fill_brokers(struct metadata *m)
{
	m->a->brokers.v = WIRE_NEW_ARRAY(m->r->arena, metadata_response_broker, (int32_t)m->im->nbrokers);
	if (m->a->brokers.v == NULL && m->im->nbrokers > 0)
		return (false);
	for (uint32_t i = 0; i < m->im->nbrokers; i++) {
		const struct image_broker *b = m->im->brokers[i];
		const struct image_endpoint *e = image_broker_endpoint(b, m->listener);

		if (e == NULL)
			continue;
		m->a->brokers.v[m->a->brokers.n++] = (struct wire_metadata_response_broker){
		    .node_id = b->id, .host = arena_dup(m->r->arena, slice_str(e->host)), .port = e->port,
		    .rack = arena_dup(m->r->arena, slice_str(b->rack)) };
	}
	return (!m->r->arena->full);
}

/* ---- topics ---- */

/* Version 0 leaves out the replicas that are not alive; later ones name them all. */
static struct wire_i32_array
ids(struct metadata *m, const int32_t *list, uint32_t n, bool only_alive)
{
	struct wire_i32_array out = { .v = ARENA_ARRAY(m->r->arena, int32_t, (size_t)n + 1), .n = 0 };

	for (uint32_t i = 0; i < n && out.v != NULL; i++)
		if (!only_alive || endpoint_of(m, list[i]) != NULL)
			out.v[out.n++] = list[i];
	return (out);
}

static enum kerr
leader_missing(const struct metadata *m, int32_t leader)
{
	if (image_broker(m->im, leader) == NULL || m->r->head.version < LISTENER_NOT_FOUND_SINCE)
		return (KERR_LEADER_NOT_AVAILABLE);
	return (KERR_LISTENER_NOT_FOUND);
}

static void
fill_partition(struct metadata *m, struct wire_metadata_response_partition *w, const struct image_partition *p)
{
	bool v0 = m->r->head.version == 0;

	w->partition_index = p->id;
	w->leader_id = p->leader;
	w->leader_epoch = p->leader_epoch;
	w->replica_nodes = ids(m, p->replicas, p->nreplicas, v0);
	w->isr_nodes = ids(m, p->isr, p->nisr, v0);
	w->offline_replicas = ids(m, p->offline, p->noffline, false);
	if (endpoint_of(m, p->leader) == NULL) {
		w->error_code = (int16_t)leader_missing(m, p->leader);
		w->leader_id = -1;
	} else if (w->replica_nodes.n < (int32_t)p->nreplicas || w->isr_nodes.n < (int32_t)p->nisr) {
		w->error_code = KERR_REPLICA_NOT_AVAILABLE;
	}
}

static struct wire_metadata_response_topic *
next_topic(struct metadata *m)
{
	if (m->a->topics.n == m->room) {
		m->full = true;
		return (NULL);
	}
	return (&m->a->topics.v[m->a->topics.n++]);
}

static int32_t
operations(const struct metadata *m)
{
	return (m->r->head.version >= OPERATIONS_SINCE && m->q->include_topic_authorized_operations ? AUTHORIZED_TOPIC_ALL : AUTHORIZED_NOT_ASKED);
}

static void
add_topic(struct metadata *m, const struct image_topic *t)
{
	struct wire_metadata_response_topic *w = next_topic(m);

	if (w == NULL)
		return;
	w->name = arena_dup(m->r->arena, t->name);
	w->topic_id = t->id;
	w->is_internal = topic_is_internal(t->name);
	w->topic_authorized_operations = operations(m);
	w->partitions.v = WIRE_NEW_ARRAY(m->r->arena, metadata_response_partition, (int32_t)t->npartitions);
	if (w->partitions.v == NULL && t->npartitions > 0) {
		m->full = true;
		return;
	}
	w->partitions.n = (int32_t)t->npartitions;
	for (uint32_t i = 0; i < t->npartitions; i++)
		fill_partition(m, &w->partitions.v[i], &t->partitions[i]);
}

static void
add_error(struct metadata *m, struct slice name, struct uuid id, enum kerr error)
{
	struct wire_metadata_response_topic *w = next_topic(m);

	if (w == NULL)
		return;
	w->error_code = (int16_t)error;
	w->name = name;
	w->topic_id = id;
	w->is_internal = name.p != NULL && topic_is_internal(name);
	if (name.p != NULL)
		w->topic_authorized_operations = operations(m);
}

static bool
add_each(void *ctx, const struct image_topic *t)
{
	struct metadata *m = ctx;

	add_topic(m, t);
	return (!m->full);
}

/* Distinct names of the request, in their order; *n of them. */
static int
slice_order(const void *a, const void *b)
{
	return (slice_cmp(*(const struct slice *)a, *(const struct slice *)b));
}

static uint32_t
distinct(struct slice *names, uint32_t n)
{
	uint32_t out = 0;

	qsort(names, n, sizeof(*names), slice_order);
	for (uint32_t i = 0; i < n; i++)
		if (out == 0 || !slice_eq(names[out - 1], names[i]))
			names[out++] = names[i];
	return (out);
}

static bool
may_create(const struct metadata *m)
{
	return (m->r->server->opt.admin != NULL && m->q->allow_auto_topic_creation && server_config(m->r->server)->auto_create_topics_enable);
}

static void
add_missing(struct metadata *m, struct slice *names, uint32_t n)
{
	enum kerr *errors = ARENA_ARRAY(m->r->arena, enum kerr, (size_t)n + 1);

	if (errors == NULL || n == 0) {
		m->full = m->full || errors == NULL;
		return;
	}
	if (may_create(m))
		admin_auto_create(m->r->server->opt.admin, names, n, errors);
	else
		for (uint32_t i = 0; i < n; i++)
			errors[i] = topic_name_invalid(names[i]) != NULL ? KERR_INVALID_TOPIC_EXCEPTION : KERR_UNKNOWN_TOPIC_OR_PARTITION;
	for (uint32_t i = 0; i < n; i++)
		add_error(m, names[i], UUID_ZERO, errors[i]);
}

static void
add_by_name(struct metadata *m)
{
	struct slice *names = ARENA_ARRAY(m->r->arena, struct slice, (size_t)m->q->topics.n + 1);
	uint32_t n = 0, missing = 0;

	if (names == NULL) {
		m->full = true;
		return;
	}
	for (int32_t i = 0; i < m->q->topics.n; i++)
		names[n++] = m->q->topics.v[i].name;
	n = distinct(names, n);
	for (uint32_t i = 0; i < n; i++) {
		const struct image_topic *t = image_topic(m->im, names[i]);

		if (t != NULL)
			add_topic(m, t);
		else
			names[missing++] = names[i];
	}
	add_missing(m, names, missing);
}

static bool
seen_before(const struct metadata *m, int32_t i)
{
	for (int32_t j = 0; j < i; j++)
		if (uuid_eq(m->q->topics.v[j].topic_id, m->q->topics.v[i].topic_id))
			return (true);
	return (false);
}

static void
add_by_id(struct metadata *m)
{
	for (int32_t i = 0; i < m->q->topics.n; i++) {
		struct uuid id = m->q->topics.v[i].topic_id;
		const struct image_topic *t = image_topic_by_id(m->im, id);

		if (uuid_is_zero(id) || seen_before(m, i))
			continue;
		if (t != NULL)
			add_topic(m, t);
		else
			add_error(m, SLICE_NULL, id, KERR_UNKNOWN_TOPIC_ID);
	}
}

static bool
uses_ids(const struct wire_metadata_request *q)
{
	for (int32_t i = 0; i < q->topics.n; i++)
		if (!uuid_is_zero(q->topics.v[i].topic_id))
			return (true);
	return (false);
}

static bool
fill_topics(struct metadata *m)
{
	m->room = asks_for_all(m) ? (int32_t)m->im->ntopics : m->q->topics.n;
	m->a->topics.v = WIRE_NEW_ARRAY(m->r->arena, metadata_response_topic, m->room);
	if (m->a->topics.v == NULL && m->room > 0)
		return (false);
	if (asks_for_all(m))
		image_topics(m->im, add_each, m);
	else if (uses_ids(m->q))
		add_by_id(m);
	else
		add_by_name(m);
	return (!m->full && !m->r->arena->full);
}

/* ---- the request ---- */

/* Before version 12 a null name or an id fails the whole request; since then a null name does, when no topic has an id. */
static enum kerr
malformed(const struct api_request *r, const struct wire_metadata_request *q)
{
	bool nameless = false;

	for (int32_t i = 0; i < q->topics.n; i++) {
		nameless = nameless || q->topics.v[i].name.p == NULL;
		if (r->head.version < NULL_NAME_SINCE && (nameless || !uuid_is_zero(q->topics.v[i].topic_id)))
			return (KERR_INVALID_REQUEST);
	}
	return (nameless && !uses_ids(q) ? KERR_UNKNOWN_SERVER_ERROR : KERR_NONE);
}

void *
fail_metadata(struct api_request *r, enum kerr error)
{
	const struct wire_metadata_request *q = r->body;
	struct wire_metadata_response *a = WIRE_NEW(r->arena, metadata_response);
	int32_t n = q == NULL || q->topics.n < 0 ? 0 : q->topics.n;

	if (a == NULL)
		return (NULL);
	a->topics.v = WIRE_NEW_ARRAY(r->arena, metadata_response_topic, n);
	if (a->topics.v == NULL && n > 0)
		return (NULL);
	a->topics.n = n;
	a->cluster_id = SLICE_NULL;
	for (int32_t i = 0; i < n; i++) {
		/* The response may not carry null before version 12, and Java puts an empty name there. */
		a->topics.v[i].name = q->topics.v[i].name.p == NULL ? slice_of("", 0) : q->topics.v[i].name;
		a->topics.v[i].topic_id = q->topics.v[i].topic_id;
		a->topics.v[i].error_code = (int16_t)error;
	}
	return (a);
}

static int32_t
cluster_operations(const struct metadata *m)
{
	if (m->r->head.version < OPERATIONS_SINCE || m->r->head.version > CLUSTER_OPERATIONS_UNTIL)
		return (AUTHORIZED_NOT_ASKED);
	return (m->q->include_cluster_authorized_operations ? AUTHORIZED_CLUSTER_ALL : AUTHORIZED_NOT_ASKED);
}

void
serve_metadata(struct api_request *r)
{
	struct metadata m = { .r = r, .q = r->body, .im = cluster_read(r->server->opt.cluster), .listener = api_listener(r) };
	enum kerr bad = malformed(r, m.q);

	if (bad != KERR_NONE) {
		api_fail(r, bad);
		return;
	}
	m.a = WIRE_NEW(r->arena, metadata_response);
	if (m.a == NULL || !fill_brokers(&m) || !fill_topics(&m)) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	m.a->cluster_id = slice_str(cluster_id(r->server->opt.cluster));
	m.a->controller_id = m.im->controller_id;
	m.a->cluster_authorized_operations = cluster_operations(&m);
	api_respond(r, m.a);
}
