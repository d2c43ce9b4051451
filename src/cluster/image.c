/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster/image.c - see image.h and cluster.h for the interface.
 *
 * STRUCTURE  An image has two arrays of bucket pointers, by topic name and by topic id.  A bucket is a small immutable array of pointers to
 *            immutable topics.  Both arrays have the same number of buckets; it doubles when topics outgrow it.
 *
 * INVARIANTS
 *   (1) Everything reachable from a published image is never written again.
 *   (2) A topic stands in exactly one bucket of by_name, and in exactly one of by_id when it has an id.
 *   (3) Buckets and topics carry the serial number of the edit that made them.  What an edit replaced and had not made itself is reachable
 *       from older images only: it is handed to base/reclaim in publish, after the new root was stored.  What an edit made and replaced
 *       again nobody else has seen: it is freed at once.  discard frees what the edit made and still has.
 *
 * COST       An edit of k topics copies the two bucket arrays once and 2k buckets at most.  Each topic is a single allocation.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/must.h"
#include "base/reclaim.h"
#include "cluster/cluster.h"
#include "cluster/image.h"

enum {
	BUCKETS_MIN = 64,
	TOPICS_PER_BUCKET = 4,
};

struct image_bucket {
	uint64_t	serial;		/* of the edit that made it */
	uint32_t	n;
	const struct image_topic *topics[];
};

/* A topic with the edit that made it. */
struct topic_box {
	uint64_t	serial;
	struct image_topic topic;
};

struct cluster {
	const struct image *image;	/* published; never NULL */
	struct cluster_listener *listeners;
	uint64_t	serial;		/* of the newest edit */
	char		id[64];
};

/* A growing list of pointers to free. */
struct trash {
	void	**p;
	size_t	  n, size;
};

struct image_edit {
	struct cluster	*cluster;
	struct image	*next;		/* private until published */
	const struct image_bucket **by_name, **by_id;	/* next's arrays, writable */
	struct trash	 replaced;	/* of older images: reclaimed by publish */
	uint64_t	 serial;
	bool		 own_brokers;	/* next's broker list was made by this edit */
};

static const struct image_bucket empty_bucket;

static void
trash_add(struct trash *t, const void *p)
{
	if (t->n == t->size) {
		t->size = t->size == 0 ? 16 : t->size * 2;
		t->p = xreallocarray(t->p, t->size, sizeof(*t->p));
	}
	t->p[t->n++] = (void *)(uintptr_t)p;
}

static struct topic_box *
topic_box(const struct image_topic *t)
{
	return (CONTAINER_OF((void *)(uintptr_t)t, struct topic_box, topic));
}

static void
edit_drop_topic(struct image_edit *e, const struct image_topic *t)
{
	if (topic_box(t)->serial == e->serial)
		free(topic_box(t));
	else
		trash_add(&e->replaced, topic_box(t));
}

static void
edit_drop_bucket(struct image_edit *e, const struct image_bucket *b)
{
	if (b == &empty_bucket)
		return;
	if (b->serial == e->serial)
		free((void *)(uintptr_t)b);
	else
		trash_add(&e->replaced, b);
}

/* ---- hashing ---- */

static uint32_t
hash_bytes(const uint8_t *p, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return (h ^ (h >> 15));
}

static uint32_t
name_slot(const struct image *im, struct slice name)
{
	return (hash_bytes(name.p, name.len) & (im->nbuckets - 1));
}

static uint32_t
id_slot(const struct image *im, struct uuid id)
{
	return (hash_bytes(id.b, sizeof(id.b)) & (im->nbuckets - 1));
}

/* ---- reading ---- */

const struct image *
cluster_read(struct cluster *c)
{
	return (reclaim_read(&c->image));
}

const struct image_broker *
image_broker(const struct image *im, int32_t id)
{
	uint32_t lo = 0, hi = im->nbrokers;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (im->brokers[mid]->id == id)
			return (im->brokers[mid]);
		if (im->brokers[mid]->id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (NULL);
}

const struct image_endpoint *
image_broker_endpoint(const struct image_broker *b, const char *listener)
{
	for (uint32_t i = 0; i < b->nendpoints; i++)
		if (strcmp(b->endpoints[i].listener, listener) == 0)
			return (&b->endpoints[i]);
	return (NULL);
}

const struct image_topic *
image_topic(const struct image *im, struct slice name)
{
	const struct image_bucket *b = im->by_name[name_slot(im, name)];

	for (uint32_t i = 0; i < b->n; i++)
		if (b->topics[i]->name.len == name.len && memcmp(b->topics[i]->name.p, name.p, name.len) == 0)
			return (b->topics[i]);
	return (NULL);
}

const struct image_topic *
image_topic_by_id(const struct image *im, struct uuid id)
{
	const struct image_bucket *b = im->by_id[id_slot(im, id)];

	if (uuid_is_zero(id))
		return (NULL);
	for (uint32_t i = 0; i < b->n; i++)
		if (uuid_eq(b->topics[i]->id, id))
			return (b->topics[i]);
	return (NULL);
}

const struct image_partition *
image_partition(const struct image_topic *t, int32_t partition)
{
	uint32_t lo = 0, hi = t->npartitions;

	/* Without gaps, and there hardly ever are, a partition stands at its own number. */
	if (partition >= 0 && (uint32_t)partition < t->npartitions && t->partitions[partition].id == partition)
		return (&t->partitions[partition]);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (t->partitions[mid].id == partition)
			return (&t->partitions[mid]);
		if (t->partitions[mid].id < partition)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (NULL);
}

void
image_topics(const struct image *im, bool (*fn)(void *, const struct image_topic *), void *ctx)
{
	for (uint32_t s = 0; s < im->nbuckets; s++)
		for (uint32_t i = 0; i < im->by_name[s]->n; i++)
			if (!fn(ctx, im->by_name[s]->topics[i]))
				return;
}

/* ---- values in one allocation each ---- */

static const int32_t *
copy_ids(int32_t **to, const int32_t *from, uint32_t n)
{
	const int32_t *p = *to;

	if (n > 0)
		memcpy(*to, from, n * sizeof(*from));
	*to += n;
	return (p);
}

/* A topic of the given partitions (borrowed pointers, sorted): struct, partitions, id lists and name in one piece. */
static const struct image_topic *
topic_make(uint64_t serial, struct slice name, struct uuid id, const struct image_partition *const *parts, uint32_t n)
{
	size_t ids = 0;
	struct topic_box *t;
	struct image_partition *p;
	int32_t *list;
	char *text;

	for (uint32_t i = 0; i < n; i++)
		ids += (size_t)parts[i]->nreplicas + parts[i]->nisr + parts[i]->noffline;
	t = xmalloc(sizeof(*t) + n * sizeof(*p) + ids * sizeof(*list) + name.len);
	p = (struct image_partition *)(t + 1);
	list = (int32_t *)(p + n);
	text = (char *)(list + ids);
	memcpy(text, name.p, name.len);
	t->serial = serial;
	t->topic = (struct image_topic){ .name = slice_of(text, name.len), .id = id, .npartitions = n, .partitions = p };
	for (uint32_t i = 0; i < n; i++) {
		p[i] = *parts[i];
		p[i].replicas = copy_ids(&list, parts[i]->replicas, parts[i]->nreplicas);
		p[i].isr = copy_ids(&list, parts[i]->isr, parts[i]->nisr);
		p[i].offline = copy_ids(&list, parts[i]->offline, parts[i]->noffline);
	}
	return (&t->topic);
}

static const char *
copy_text(char **to, const char *from)
{
	char *p = *to;
	size_t len;

	if (from == NULL)
		return (NULL);
	len = strlen(from) + 1;
	memcpy(p, from, len);
	*to += len;
	return (p);
}

static const struct image_broker *
broker_make(const struct image_broker *from)
{
	size_t text = from->rack == NULL ? 0 : strlen(from->rack) + 1;
	struct image_broker *b;
	struct image_endpoint *e;
	char *s;

	for (uint32_t i = 0; i < from->nendpoints; i++)
		text += strlen(from->endpoints[i].listener) + 1 + strlen(from->endpoints[i].host) + 1;
	b = xmalloc(sizeof(*b) + from->nendpoints * sizeof(*e) + text);
	e = (struct image_endpoint *)(b + 1);
	s = (char *)(e + from->nendpoints);
	*b = *from;
	b->endpoints = e;
	b->rack = copy_text(&s, from->rack);
	for (uint32_t i = 0; i < from->nendpoints; i++) {
		e[i] = from->endpoints[i];
		e[i].listener = copy_text(&s, from->endpoints[i].listener);
		e[i].host = copy_text(&s, from->endpoints[i].host);
	}
	return (b);
}

/* ---- buckets ---- */

/* The bucket with `out` (may be NULL) taken away and `in` (may be NULL) put in. */
static const struct image_bucket *
bucket_change(struct image_edit *e, const struct image_bucket *old, const struct image_topic *out, const struct image_topic *in)
{
	struct image_bucket *b = xmalloc(sizeof(*b) + ((size_t)old->n + 1) * sizeof(b->topics[0]));

	b->serial = e->serial;
	b->n = 0;
	for (uint32_t i = 0; i < old->n; i++)
		if (old->topics[i] != out)
			b->topics[b->n++] = old->topics[i];
	if (in != NULL)
		b->topics[b->n++] = in;
	edit_drop_bucket(e, old);
	return (b);
}

static void
edit_replace_topic(struct image_edit *e, const struct image_topic *old, const struct image_topic *new)
{
	const struct image_topic *any = new != NULL ? new : old;
	uint32_t slot = name_slot(e->next, any->name);

	e->by_name[slot] = bucket_change(e, e->by_name[slot], old, new);
	if (old != NULL && !uuid_is_zero(old->id) && (new == NULL || !uuid_eq(old->id, new->id))) {
		slot = id_slot(e->next, old->id);
		e->by_id[slot] = bucket_change(e, e->by_id[slot], old, NULL);
	}
	if (new != NULL && !uuid_is_zero(new->id)) {
		slot = id_slot(e->next, new->id);
		e->by_id[slot] = bucket_change(e, e->by_id[slot], old, new);
	}
	e->next->ntopics += (new != NULL) - (old != NULL);
	e->next->npartitions += (new == NULL ? 0 : new->npartitions) - (uint64_t)(old == NULL ? 0 : old->npartitions);
	if (old != NULL)
		edit_drop_topic(e, old);
}

static const struct image_bucket **
buckets_make(uint32_t n)
{
	const struct image_bucket **b = xcalloc(n, sizeof(*b));

	for (uint32_t i = 0; i < n; i++)
		b[i] = &empty_bucket;
	return (b);
}

static void
buckets_drop(struct image_edit *e, const struct image_bucket **buckets, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		edit_drop_bucket(e, buckets[i]);
	free(buckets);
}

/* Twice the buckets until topics fit: every bucket is made anew, topics stay. */
static void
edit_grow(struct image_edit *e)
{
	const struct image_bucket **old_name = e->by_name, **old_id = e->by_id;
	uint32_t old_n = e->next->nbuckets, n = old_n;

	while ((uint64_t)n * TOPICS_PER_BUCKET < e->next->ntopics + 1)
		n *= 2;
	if (n == old_n)
		return;
	e->next->nbuckets = n;
	e->by_name = buckets_make(n);
	e->by_id = buckets_make(n);
	for (uint32_t s = 0; s < old_n; s++)
		for (uint32_t i = 0; i < old_name[s]->n; i++) {
			const struct image_topic *t = old_name[s]->topics[i];
			uint32_t slot = name_slot(e->next, t->name);

			e->by_name[slot] = bucket_change(e, e->by_name[slot], NULL, t);
			if (uuid_is_zero(t->id))
				continue;
			slot = id_slot(e->next, t->id);
			e->by_id[slot] = bucket_change(e, e->by_id[slot], NULL, t);
		}
	buckets_drop(e, old_name, old_n);
	buckets_drop(e, old_id, old_n);
	e->next->by_name = e->by_name;
	e->next->by_id = e->by_id;
}

/* ---- edits ---- */

struct image_edit *
cluster_edit_begin(struct cluster *c)
{
	struct image_edit *e = xcalloc(1, sizeof(*e));
	size_t size;

	e->cluster = c;
	e->serial = ++c->serial;
	e->next = xmalloc(sizeof(*e->next));
	*e->next = *c->image;
	size = e->next->nbuckets * sizeof(*e->by_name);
	e->by_name = xmalloc(size);
	e->by_id = xmalloc(size);
	memcpy(e->by_name, c->image->by_name, size);
	memcpy(e->by_id, c->image->by_id, size);
	e->next->by_name = e->by_name;
	e->next->by_id = e->by_id;
	return (e);
}

void
cluster_edit_set_controller(struct image_edit *e, int32_t controller_id)
{
	e->next->controller_id = controller_id;
}

static int
broker_order(const void *a, const void *b)
{
	int32_t x = (*(const struct image_broker *const *)a)->id, y = (*(const struct image_broker *const *)b)->id;

	return ((x > y) - (x < y));
}

static void
edit_drop_brokers(struct image_edit *e)
{
	for (uint32_t i = 0; i < e->next->nbrokers; i++) {
		if (e->own_brokers)
			free((void *)(uintptr_t)e->next->brokers[i]);
		else
			trash_add(&e->replaced, e->next->brokers[i]);
	}
	if (e->own_brokers)
		free((void *)(uintptr_t)e->next->brokers);
	else if (e->next->brokers != NULL)
		trash_add(&e->replaced, e->next->brokers);
}

void
cluster_edit_set_brokers(struct image_edit *e, const struct image_broker *brokers, uint32_t n)
{
	const struct image_broker **list = xcalloc((size_t)n + 1, sizeof(*list));

	for (uint32_t i = 0; i < n; i++)
		list[i] = broker_make(&brokers[i]);
	qsort(list, n, sizeof(*list), broker_order);
	edit_drop_brokers(e);
	e->own_brokers = true;
	e->next->brokers = list;
	e->next->nbrokers = n;
}

static int
partition_order(const void *a, const void *b)
{
	int32_t x = (*(const struct image_partition *const *)a)->id, y = (*(const struct image_partition *const *)b)->id;

	return ((x > y) - (x < y));
}

/* Old and new partitions as one list of borrowed pointers in order; of two with one number the new one stands. */
static const struct image_partition **
partitions_merge(const struct image_topic *old, const struct image_partition *new, uint32_t nnew, uint32_t *np)
{
	uint32_t nold = old == NULL ? 0 : old->npartitions, i = 0, j = 0, n = 0;
	const struct image_partition **in = xcalloc((size_t)nnew + 1, sizeof(*in));
	const struct image_partition **list = xcalloc((size_t)nold + nnew + 1, sizeof(*list));

	for (uint32_t k = 0; k < nnew; k++)
		in[k] = &new[k];
	qsort(in, nnew, sizeof(*in), partition_order);
	while (i < nold || j < nnew) {
		if (j == nnew || (i < nold && old->partitions[i].id < in[j]->id)) {
			list[n++] = &old->partitions[i++];
			continue;
		}
		if (i < nold && old->partitions[i].id == in[j]->id)
			i++;
		if (j + 1 < nnew && in[j + 1]->id == in[j]->id) {	/* named twice: the last word counts */
			j++;
			continue;
		}
		list[n++] = in[j++];
	}
	free(in);
	*np = n;
	return (list);
}

void
cluster_edit_put_partitions(struct image_edit *e, struct slice topic, struct uuid id, const struct image_partition *p, uint32_t count)
{
	const struct image_topic *old = image_topic(e->next, topic), *new;
	const struct image_partition **list;
	uint32_t n;

	must(topic.len > 0);
	list = partitions_merge(old, p, count, &n);
	if (uuid_is_zero(id) && old != NULL)
		id = old->id;
	new = topic_make(e->serial, topic, id, list, n);
	free(list);
	if (old == NULL)
		edit_grow(e);
	edit_replace_topic(e, old, new);
}

void
cluster_edit_remove_partitions(struct image_edit *e, struct slice topic, const int32_t *ids, uint32_t count)
{
	const struct image_topic *old = image_topic(e->next, topic), *new = NULL;
	const struct image_partition **list;
	bool *gone;
	uint32_t n = 0;

	if (old == NULL)
		return;
	gone = xcalloc((size_t)old->npartitions + 1, sizeof(*gone));
	for (uint32_t j = 0; j < count; j++) {
		const struct image_partition *p = image_partition(old, ids[j]);

		if (p != NULL)
			gone[p - old->partitions] = true;
	}
	list = xcalloc((size_t)old->npartitions + 1, sizeof(*list));
	for (uint32_t i = 0; i < old->npartitions; i++)
		if (!gone[i])
			list[n++] = &old->partitions[i];
	free(gone);
	if (n > 0)
		new = topic_make(e->serial, old->name, old->id, list, n);
	free(list);
	edit_replace_topic(e, old, new);
}

static void
listeners_tell(struct cluster *c)
{
	for (struct cluster_listener *l = c->listeners; l != NULL; l = l->next)
		if (!atomic_exchange_explicit(&l->queued, true, memory_order_acq_rel))
			loop_post(l->loop, &l->task);
}

static void
image_free_root(void *p)
{
	const struct image *im = p;

	free((void *)(uintptr_t)im->by_name);
	free((void *)(uintptr_t)im->by_id);
	free(p);
}

static void
edit_free(struct image_edit **ep)
{
	free((*ep)->replaced.p);
	free(*ep);
	*ep = NULL;
}

void
cluster_edit_publish(struct image_edit **ep)
{
	struct image_edit *e = *ep;
	struct cluster *c = e->cluster;
	const struct image *old = c->image;

	reclaim_publish(&c->image, (const struct image *)e->next);
	reclaim_defer(image_free_root, (void *)(uintptr_t)old);
	for (size_t i = 0; i < e->replaced.n; i++)
		reclaim_defer(free, e->replaced.p[i]);
	edit_free(ep);
	listeners_tell(c);
}

void
cluster_edit_discard(struct image_edit **ep)
{
	struct image_edit *e = *ep;

	for (uint32_t s = 0; s < e->next->nbuckets; s++) {
		const struct image_bucket *b = e->by_name[s];

		for (uint32_t i = 0; i < b->n; i++)
			if (topic_box(b->topics[i])->serial == e->serial)
				free(topic_box(b->topics[i]));
		if (b->serial == e->serial)
			free((void *)(uintptr_t)b);
		if (e->by_id[s]->serial == e->serial)
			free((void *)(uintptr_t)e->by_id[s]);
	}
	if (e->own_brokers)
		edit_drop_brokers(e);
	image_free_root(e->next);
	edit_free(ep);
}

/* ---- the holder ---- */

struct cluster *
cluster_new(const char *id)
{
	struct cluster *c = xcalloc(1, sizeof(*c));
	struct image *im = xcalloc(1, sizeof(*im));

	must(strlen(id) < sizeof(c->id));
	memcpy(c->id, id, strlen(id) + 1);
	im->controller_id = -1;
	im->nbuckets = BUCKETS_MIN;
	im->by_name = buckets_make(BUCKETS_MIN);
	im->by_id = buckets_make(BUCKETS_MIN);
	c->image = im;
	return (c);
}

void
cluster_free(struct cluster **cp)
{
	const struct image *im;

	if (*cp == NULL)
		return;
	im = (*cp)->image;
	for (uint32_t s = 0; s < im->nbuckets; s++) {
		for (uint32_t i = 0; i < im->by_name[s]->n; i++)
			free(topic_box(im->by_name[s]->topics[i]));
		if (im->by_name[s] != &empty_bucket)
			free((void *)(uintptr_t)im->by_name[s]);
		if (im->by_id[s] != &empty_bucket)
			free((void *)(uintptr_t)im->by_id[s]);
	}
	for (uint32_t i = 0; i < im->nbrokers; i++)
		free((void *)(uintptr_t)im->brokers[i]);
	free((void *)(uintptr_t)im->brokers);
	image_free_root((void *)(uintptr_t)im);
	free(*cp);
	*cp = NULL;
}

const char *
cluster_id(const struct cluster *c)
{
	return (c->id);
}

static void
listener_run(struct task *task)
{
	struct cluster_listener *l = CONTAINER_OF(task, struct cluster_listener, task);

	atomic_store_explicit(&l->queued, false, memory_order_release);
	l->changed(l);
}

void
cluster_listen(struct cluster *c, struct cluster_listener *l)
{
	l->task.fn = listener_run;
	l->queued = false;
	l->next = c->listeners;
	c->listeners = l;
}
