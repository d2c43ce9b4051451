/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster/update.c - see update.h.
 *
 * The message is checked as a whole before the edit begins, so an edit is never discarded half-way.  Texts of the message are slices into
 * a receive buffer; the image wants C strings, so they pass through an arena that lives as long as this call.
 */
#include "base/arena.h"
#include "base/limits.h"
#include "cluster/update.h"

static bool
state_ok(const struct wire_update_metadata_request_partition_state *s, struct slice topic)
{
	return (topic.len > 0 && topic.len <= LIMIT_TOPIC_NAME_MAX && s->partition_index >= 0);
}

static enum err
request_check(const struct wire_update_metadata_request *r, struct errbuf *eb)
{
	for (int32_t i = 0; i < r->topic_states.n; i++)
		for (int32_t j = 0; j < r->topic_states.v[i].partition_states.n; j++)
			if (!state_ok(&r->topic_states.v[i].partition_states.v[j], r->topic_states.v[i].topic_name))
				goto bad;
	for (int32_t i = 0; i < r->ungrouped_partition_states.n; i++)
		if (!state_ok(&r->ungrouped_partition_states.v[i], r->ungrouped_partition_states.v[i].topic_name))
			goto bad;
	return (OK);
bad:
	errbuf_set(eb, "UpdateMetadata with an empty or overlong topic name, or a negative partition");
	return (ERR_MALFORMED);
}

static uint32_t
count(int32_t n)
{
	return (n < 0 ? 0 : (uint32_t)n);
}

static struct image_partition
partition_of(const struct wire_update_metadata_request_partition_state *s)
{
	return ((struct image_partition){
	    .id = s->partition_index,
	    .leader = s->leader,
	    .leader_epoch = s->leader_epoch,
	    .partition_epoch = s->zk_version,
	    .controller_epoch = s->controller_epoch,
	    .nreplicas = count(s->replicas.n),
	    .nisr = count(s->isr.n),
	    .noffline = count(s->offline_replicas.n),
	    .replicas = s->replicas.v,
	    .isr = s->isr.v,
	    .offline = s->offline_replicas.v,
	});
}

/* One topic's partitions; n > 0. */
static void
apply_topic(struct image_edit *e, struct arena *a, struct slice name, struct uuid id, const struct wire_update_metadata_request_partition_state *states, int32_t n)
{
	struct image_partition *put = ARENA_ARRAY(a, struct image_partition, (size_t)n);
	int32_t *removed = ARENA_ARRAY(a, int32_t, (size_t)n);
	uint32_t nput = 0, nremoved = 0;

	for (int32_t i = 0; i < n; i++) {
		if (states[i].leader == LEADER_DURING_DELETE)
			removed[nremoved++] = states[i].partition_index;
		else
			put[nput++] = partition_of(&states[i]);
	}
	if (nremoved > 0)
		cluster_edit_remove_partitions(e, name, removed, nremoved);
	if (nput > 0)
		cluster_edit_put_partitions(e, name, id, put, nput);
}

static const char *
text(struct arena *a, struct slice s)
{
	return (arena_strndup(a, s.p == NULL ? "" : (const char *)s.p, s.len));
}

/* Version 0 gave a host and a port instead of endpoints; nobody who speaks it is left, but the rows are. */
static struct image_broker
broker_of(struct arena *a, const struct wire_update_metadata_request_broker *b)
{
	uint32_t n = count(b->endpoints.n);
	struct image_endpoint *e = ARENA_ARRAY(a, struct image_endpoint, (size_t)n + 1);

	for (uint32_t i = 0; i < n; i++)
		e[i] = (struct image_endpoint){
		    .listener = text(a, b->endpoints.v[i].listener),
		    .host = text(a, b->endpoints.v[i].host),
		    .port = b->endpoints.v[i].port,
		    .protocol = b->endpoints.v[i].security_protocol,
		};
	if (n == 0 && b->v0_host.len > 0)
		e[n++] = (struct image_endpoint){ "PLAINTEXT", text(a, b->v0_host), b->v0_port, 0 };
	return ((struct image_broker){ .id = b->id, .rack = b->rack.len == 0 ? NULL : text(a, b->rack), .nendpoints = n, .endpoints = e });
}

static void
apply_brokers(struct image_edit *e, struct arena *a, const struct wire_update_metadata_request *r)
{
	uint32_t n = count(r->live_brokers.n);
	struct image_broker *brokers = ARENA_ARRAY(a, struct image_broker, (size_t)n + 1);

	for (uint32_t i = 0; i < n; i++)
		brokers[i] = broker_of(a, &r->live_brokers.v[i]);
	cluster_edit_set_brokers(e, brokers, n);
}

enum err
cluster_update_metadata(struct cluster *c, const struct wire_update_metadata_request *r, struct errbuf *eb)
{
	struct image_edit *e;
	struct arena a;
	enum err err;

	err = request_check(r, eb);
	if (err != OK)
		return (err);
	/* The message has been decoded under the caller's limits; what is copied here is a small multiple of it. */
	arena_init(&a, SIZE_MAX);
	e = cluster_edit_begin(c);
	cluster_edit_set_controller(e, r->controller_id);
	apply_brokers(e, &a, r);
	for (int32_t i = 0; i < r->topic_states.n; i++)
		if (r->topic_states.v[i].partition_states.n > 0)
			apply_topic(e, &a, r->topic_states.v[i].topic_name, r->topic_states.v[i].topic_id,
			    r->topic_states.v[i].partition_states.v, r->topic_states.v[i].partition_states.n);
	for (int32_t i = 0; i < r->ungrouped_partition_states.n; i++)
		apply_topic(e, &a, r->ungrouped_partition_states.v[i].topic_name, UUID_ZERO, &r->ungrouped_partition_states.v[i], 1);
	cluster_edit_publish(&e);
	arena_fini(&a);
	return (OK);
}
