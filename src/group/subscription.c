/* SPDX-License-Identifier: Apache-2.0
 *
 * group/subscription.c - the topics a consumer group is subscribed to, read from its members' metadata when a generation begins.
 *
 * Format (Kafka's ConsumerProtocolSubscription; every version begins like version 0):
 *	i16 version | i32 count, count x (i16 length, topic) | i32 length, user data | ...
 * A member whose metadata does not read so makes the whole set unknown, and what is unknown counts as subscribed: its offsets stay.  So does a set
 * that is too large: a name of three bytes becomes an entry of a hundred, of as many as fit into a request.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"
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

static void
add_topic(struct group *g, const uint8_t *name, size_t len)
{
	struct topic_name *t;

	if (topic_find(g, slice_of(name, len)) != NULL)
		return;
	t = xcalloc(1, sizeof(*t) + len + 1);
	t->len = len;
	if (len > 0)
		memcpy(t->name, name, len);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, g->subscribed, t->name, (unsigned)t->len, (unsigned)hash_bytes(g->host->seed, t->name, t->len), t);
	group_gain(g, sizeof(*t) + t->len);
}

/* NULL: it was read.  Else what is wrong with it. */
static const char *
take(struct group *g, struct slice metadata)
{
	static const char no_subscription[] = "is not a consumer's subscription";
	struct reader r = reader_of(metadata);
	int32_t n;

	if (rd_i16(&r) < 0)
		return (no_subscription);
	n = rd_i32(&r);
	if (n < 0 || (size_t)n > rd_left(&r) / 2)
		return (no_subscription);
	for (; n > 0; n--) {
		int16_t len = rd_i16(&r);
		const uint8_t *p = len < 0 ? NULL : rd_take(&r, (size_t)len);

		if (len < 0 || r.bad)
			return (no_subscription);
		if (HASH_COUNT(g->subscribed) >= LIMIT_GROUP_TOPICS_MAX || !group_has_room(g->host, 0))
			return ("names more topics than are looked at");
		add_topic(g, p, (size_t)len);
	}
	n = rd_i32(&r);
	if (n > 0)
		(void)rd_take(&r, (size_t)n);
	return (r.bad ? no_subscription : NULL);
}

void
subscriptions_compute(struct group *g)
{
	const char *wrong;
	struct member *m;

	subscriptions_forget(g);
	if (!group_is_consumer(g) || (g->nmembers > 0 && g->protocol.p == NULL))
		return;
	TAILQ_FOREACH(m, &g->order, link)
		if ((wrong = take(g, member_metadata(m, g->protocol))) != NULL) {
			diag_warning(g->host->diag, "group", "%s: the metadata of member %s %s; no offset of the group expires or can be deleted while it has "
			    "members", (const char *)g->id.p, (const char *)m->id.p, wrong);
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
