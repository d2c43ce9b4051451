/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_find_coordinator.c - FindCoordinator: which broker looks after a group.
 *
 * It is the leader of one partition of __consumer_offsets; Java's hash of the group's id says of which.  A topic that is not there is made, whatever
 * auto.create.topics.enable says, and the client asks again (COORDINATOR_NOT_AVAILABLE), as it does while a leader is missing.
 *
 * Transactional ids are COORDINATOR_NOT_AVAILABLE, and nothing is made for them, until there are transactions.  Share groups (key type 2) are asked
 * for from version 6 on and answered the same, as Java does; before, they are INVALID_REQUEST per key.  Another key type fails the whole request with
 * INVALID_REQUEST, but only if it names a key: Java looks at the type key by key.
 */
#include "admin/topics.h"
#include "cluster/cluster.h"
#include "group/coordinator.h"
#include "server/dispatch.h"
#include "server/rows.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2, BATCHED_SINCE = 4, SHARE_SINCE = 6 };

/* An answer for one key.  The host borrows from the image. */
struct place {
	enum kerr	 error;
	int32_t		 id, port;
	struct slice	 host;
};

static struct place
nowhere(enum kerr error)
{
	return ((struct place){ error, -1, -1, slice_of("", 0) });
}

/* ---- groups ---- */

static void
make_topic(struct api_request *r)
{
	struct slice name = slice_str(GROUP_OFFSETS_TOPIC);
	enum kerr ignored;	/* the client is told to come again in any case, and the operator was told why */

	if (r->server->opt.admin != NULL)
		admin_auto_create(r->server->opt.admin, &name, 1, &ignored);
}

static struct place
find_group(struct api_request *r, struct slice group)
{
	const struct image *im = cluster_read(r->server->opt.cluster);
	const struct image_topic *t = image_topic(im, slice_str(GROUP_OFFSETS_TOPIC));
	const struct image_partition *p = t == NULL ? NULL : image_partition(t, group_coordinator_partition(r->server->opt.groups, group));
	const struct image_broker *b = p == NULL ? NULL : image_broker(im, p->leader);
	const struct image_endpoint *e = b == NULL ? NULL : image_broker_endpoint(b, api_listener(r));

	if (t == NULL)
		make_topic(r);
	if (e == NULL)
		return (nowhere(KERR_COORDINATOR_NOT_AVAILABLE));
	return ((struct place){ KERR_NONE, b->id, e->port, slice_str(e->host) });
}

static struct place
find(struct api_request *r, int8_t key_type, struct slice key)
{
	if (key_type == KEY_SHARE && r->head.version < SHARE_SINCE)
		return (nowhere(KERR_INVALID_REQUEST));
	return (key_type == KEY_GROUP ? find_group(r, key) : nowhere(KERR_COORDINATOR_NOT_AVAILABLE));
}

/* ---- answers ---- */

static void *
answer_one(struct api_request *r, struct place p)
{
	struct wire_find_coordinator_response *a = WIRE_NEW(r->arena, find_coordinator_response);

	if (a == NULL)
		return (NULL);
	a->error_code = (int16_t)p.error;
	a->error_message = slice_str(p.error == KERR_NONE ? kerr_name(KERR_NONE) : kerr_text(p.error));	/* Java has words for no error, too */
	a->node_id = p.id;
	a->host = arena_dup(r->arena, p.host);
	a->port = p.port;
	return (r->arena->full ? NULL : a);
}

static void
set_row(struct api_request *r, struct wire_find_coordinator_response_coordinator *c, struct slice key, struct place p)
{
	c->key = key;
	c->error_code = (int16_t)p.error;
	c->node_id = p.id;
	c->host = arena_dup(r->arena, p.host);
	c->port = p.port;
}

static struct wire_find_coordinator_response *
new_batch(struct api_request *r)
{
	const struct wire_find_coordinator_request *q = r->body;
	struct wire_find_coordinator_response *a = WIRE_NEW(r->arena, find_coordinator_response);

	return (a != NULL && ROWS_NEW(r->arena, &a->coordinators, find_coordinator_response_coordinator, MAX(q->coordinator_keys.n, 0)) ? a : NULL);
}

void *
fail_find_coordinator(struct api_request *r, enum kerr error)
{
	const struct wire_find_coordinator_request *q = r->body;
	struct wire_find_coordinator_response *a;

	if (r->head.version < BATCHED_SINCE)
		return (answer_one(r, nowhere(error)));
	a = new_batch(r);
	for (int32_t i = 0; a != NULL && i < a->coordinators.n; i++) {
		set_row(r, &a->coordinators.v[i], q->coordinator_keys.v[i], nowhere(error));
		a->coordinators.v[i].error_message = slice_str(kerr_text(error));	/* only here: when the whole request failed */
	}
	return (a);
}

static void *
answer_batch(struct api_request *r)
{
	const struct wire_find_coordinator_request *q = r->body;
	struct wire_find_coordinator_response *a = new_batch(r);

	for (int32_t i = 0; a != NULL && i < a->coordinators.n; i++)
		set_row(r, &a->coordinators.v[i], q->coordinator_keys.v[i], find(r, q->key_type, q->coordinator_keys.v[i]));
	return (r->arena->full ? NULL : a);
}

void
serve_find_coordinator(struct api_request *r)
{
	const struct wire_find_coordinator_request *q = r->body;
	bool known = q->key_type >= KEY_GROUP && q->key_type <= KEY_SHARE;
	bool batched = r->head.version >= BATCHED_SINCE;

	if (!known && (!batched || q->coordinator_keys.n > 0))
		api_fail(r, KERR_INVALID_REQUEST);
	else
		api_answer(r, batched ? answer_batch(r) : answer_one(r, find(r, q->key_type, q->key)));
}
