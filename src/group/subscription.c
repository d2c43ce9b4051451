/* SPDX-License-Identifier: Apache-2.0
 *
 * group/subscription.c - the topics a consumer group is subscribed to, read from its members' metadata when a generation begins.
 *
 * Format (Kafka's ConsumerProtocolSubscription; every version begins like version 0):
 *	i16 version | i32 count, count x (i16 length, topic) | i32 length, user data | ...
 * A member whose metadata does not read so makes the whole set unknown, and what is unknown counts as subscribed: its offsets stay.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "group/group_int.h"

static struct topic_name *
topic_find(const struct group *g, struct slice topic)
{
	struct topic_name *t;

	HASH_FIND_BYHASHVALUE(hh, g->subscribed, topic.p, (unsigned)topic.len, (unsigned)hash_bytes(g->host->seed, topic.p, topic.len), t);
	return (t);
}

void
subscriptions_forget(struct group *g)
{
	struct topic_name *t, *next;

	HASH_ITER(hh, g->subscribed, t, next) {
		HASH_DELETE(hh, g->subscribed, t);
		group_lose(g, sizeof(*t) + t->len);
		free(t);
	}
	g->subscribed_known = false;
}

static bool
take(struct group *g, struct slice metadata)
{
	struct reader r = reader_of(metadata);
	int32_t n;

	if (rd_i16(&r) < 0)
		return (false);
	n = rd_i32(&r);
	if (n < 0 || (size_t)n > rd_left(&r) / 2)
		return (false);
	for (; n > 0 && !r.bad; n--) {
		int16_t len = rd_i16(&r);
		const uint8_t *p = len < 0 ? NULL : rd_take(&r, (size_t)len);
		struct topic_name *t;

		if (len < 0 || r.bad)
			return (false);
		if (topic_find(g, slice_of(p, (size_t)len)) != NULL)
			continue;
		t = xcalloc(1, sizeof(*t) + (size_t)len + 1);
		t->len = (size_t)len;
		if (len > 0)
			memcpy(t->name, p, t->len);
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->subscribed, t->name, (unsigned)t->len, (unsigned)hash_bytes(g->host->seed, t->name, t->len), t);
		group_gain(g, sizeof(*t) + t->len);
	}
	return (!r.bad);
}

void
subscriptions_compute(struct group *g)
{
	struct member *m;

	subscriptions_forget(g);
	if (!group_is_consumer(g) || (g->nmembers > 0 && g->protocol.p == NULL))
		return;
	TAILQ_FOREACH(m, &g->order, link)
		if (!take(g, member_metadata(m, g->protocol))) {
			diag_warning(g->host->diag, "group", "%s: the metadata of member %s is not a consumer's subscription; no offset of the group "
			    "expires while it has members", (const char *)g->id.p, (const char *)m->id.p);
			subscriptions_forget(g);
			return;
		}
	g->subscribed_known = true;
}

bool
group_is_consumer(const struct group *g)
{
	return (slice_eq_str(g->protocol_type, "consumer"));
}

bool
group_subscriptions_known(const struct group *g)
{
	return (g->subscribed_known);
}

bool
group_subscribes(const struct group *g, struct slice topic)
{
	return (!g->subscribed_known || topic_find(g, topic) != NULL);
}
