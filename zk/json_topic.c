/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json_topic.c - /brokers/topics/T, its partition states, and lists of partitions.
 *
 *	topic	{"partitions":{"0":[1,2],"1":[2,1]},"topic_id":"SOp-_ZLlS7Kdr58OU560nA","adding_replicas":{},"removing_replicas":{},"version":3}
 *	state	{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}   and "leader_recovery_state":1 while recovering
 *	list	{"version":1,"partitions":[{"topic":"t","partition":0}]}                   reassignments: and "replicas":[1,2]
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "zk/json_int.h"

/* ---- topic ---- */
static int
by_id(const void *a, const void *b)
{
	const struct zk_topic_partition *x = a, *y = b;

	return ((x->id > y->id) - (x->id < y->id));
}

static void
decode_partitions(struct dec *d, struct zk_topic_info *t)
{
	json_t *all = dec_object(d, d->root, "partitions", false), *v;
	json_t *adding = dec_object(d, d->root, "adding_replicas", false);
	json_t *removing = dec_object(d, d->root, "removing_replicas", false);
	struct zk_topic_partition *p;
	const char *key;

	if ((t->partitions = dec_alloc(d, json_object_size(all), sizeof(*t->partitions))) == NULL)
		return;
	json_object_foreach(all, key, v) {
		p = &t->partitions[t->npartitions++];
		if (!str_to_i32(slice_str(key), &p->id))
			dec_fail(d, "partition \"%s\" is not a number", key);
		p->replicas = dec_ints(d, v, key);
		p->adding = dec_ints(d, json_object_get(adding, key), key);
		p->removing = dec_ints(d, json_object_get(removing, key), key);
	}
	qsort(t->partitions, t->npartitions, sizeof(*t->partitions), by_id);
}

enum err
zk_topic_decode(struct arena *a, struct slice s, struct zk_topic_info *t, struct errbuf *eb)
{
	struct dec d;
	const char *id;

	*t = (struct zk_topic_info){ .npartitions = 0 };
	if (dec_begin(&d, a, s, "topic assignment", eb)) {
		decode_partitions(&d, t);
		if (json_object_get(d.root, "topic_id") != NULL) {
			id = dec_str(&d, d.root, "topic_id");
			if (id != NULL && !uuid_parse(slice_str(id), &t->id))
				dec_fail(&d, "\"%s\" is not a topic id", id);
		}
		t->raw = dec_raw(&d, s);
	}
	return (dec_end(&d));
}

static json_t *
encode_partitions(const struct zk_topic_info *t, size_t list_offset, bool with_empty)
{
	json_t *map = json_object();
	const struct zk_ints *l;
	char key[16];
	uint32_t i;

	for (i = 0; i < t->npartitions; i++) {
		l = (const void *)((const char *)&t->partitions[i] + list_offset);
		if (l->n == 0 && !with_empty)
			continue;
		str_format(key, sizeof(key), "%" PRId32, t->partitions[i].id);
		enc_set(map, key, enc_ints(*l));
	}
	return (map);
}

struct slice
zk_topic_encode(struct arena *a, const struct zk_topic_info *t)
{
	json_t *obj = enc_begin(t->raw);
	char id[UUID_TEXT_LEN + 1];

	enc_set(obj, "partitions", encode_partitions(t, offsetof(struct zk_topic_partition, replicas), true));
	if (!uuid_is_zero(t->id)) {
		uuid_format(t->id, id);
		enc_set(obj, "topic_id", json_string(id));
	} else
		json_object_del(obj, "topic_id");
	enc_set(obj, "adding_replicas", encode_partitions(t, offsetof(struct zk_topic_partition, adding), false));
	enc_set(obj, "removing_replicas", encode_partitions(t, offsetof(struct zk_topic_partition, removing), false));
	enc_set(obj, "version", json_integer(3));
	return (enc_end(a, obj));
}

/* ---- partition state ---- */
enum err
zk_partition_state_decode(struct arena *a, struct slice s, struct zk_partition_state *p, struct errbuf *eb)
{
	struct dec d;
	int32_t recovery;

	*p = (struct zk_partition_state){ .leader = -1 };
	if (dec_begin(&d, a, s, "partition state", eb)) {
		p->leader = dec_int(&d, d.root, "leader");
		p->leader_epoch = dec_int(&d, d.root, "leader_epoch");
		if (p->leader_epoch < 0)
			dec_fail(&d, "leader epoch %" PRId32 " is negative", p->leader_epoch);
		p->controller_epoch = dec_int(&d, d.root, "controller_epoch");
		p->isr = dec_ints(&d, dec_array(&d, d.root, "isr", true), "isr");
		recovery = dec_int_or(&d, d.root, "leader_recovery_state", 0);
		if (recovery != 0 && recovery != 1)
			dec_fail(&d, "unknown leader recovery state %" PRId32, recovery);
		p->leader_recovery_state = (int8_t)recovery;
		p->raw = dec_raw(&d, s);
	}
	return (dec_end(&d));
}

struct slice
zk_partition_state_encode(struct arena *a, const struct zk_partition_state *p)
{
	json_t *obj = enc_begin(p->raw);

	enc_set(obj, "controller_epoch", json_integer(p->controller_epoch));
	enc_set(obj, "leader", json_integer(p->leader));
	enc_set(obj, "version", json_integer(1));
	enc_set(obj, "leader_epoch", json_integer(p->leader_epoch));
	enc_set(obj, "isr", enc_ints(p->isr));
	if (p->leader_recovery_state != 0)
		enc_set(obj, "leader_recovery_state", json_integer(p->leader_recovery_state));
	else
		json_object_del(obj, "leader_recovery_state");
	return (enc_end(a, obj));
}

/* ---- lists of partitions ---- */
static void
decode_ref(struct dec *d, json_t *v, bool replicas, struct zk_partition_ref *ref)
{
	if (!json_is_object(v)) {
		dec_fail(d, "\"partitions\" holds something else than objects");
		return;
	}
	ref->topic = dec_dup(d, dec_str(d, v, "topic"));
	ref->partition = dec_int(d, v, "partition");
	if (replicas)
		ref->replicas = dec_ints(d, dec_array(d, v, "replicas", true), "replicas");
}

static enum err
decode_list(struct arena *a, struct slice s, const char *what, bool replicas, struct zk_partition_list *l, struct errbuf *eb)
{
	struct dec d;
	json_t *list;
	size_t i;

	*l = (struct zk_partition_list){ NULL, 0 };
	if (dec_begin(&d, a, s, what, eb)) {
		list = dec_array(&d, d.root, "partitions", true);
		l->v = dec_alloc(&d, json_array_size(list), sizeof(*l->v));
		for (i = 0; i < json_array_size(list) && d.err == OK; i++)
			decode_ref(&d, json_array_get(list, i), replicas, &l->v[i]);
		l->n = d.err == OK ? (uint32_t)json_array_size(list) : 0;
	}
	return (dec_end(&d));
}

static struct slice
encode_list(struct arena *a, const struct zk_partition_list *l, bool replicas)
{
	json_t *obj = json_object(), *list = json_array(), *ref;
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		ref = json_object();
		enc_set(ref, "topic", json_string(l->v[i].topic));
		enc_set(ref, "partition", json_integer(l->v[i].partition));
		if (replicas)
			enc_set(ref, "replicas", enc_ints(l->v[i].replicas));
		json_array_append_new(list, ref);
	}
	enc_set(obj, "version", json_integer(1));
	enc_set(obj, "partitions", list);
	return (enc_end(a, obj));
}

enum err
zk_partition_list_decode(struct arena *a, struct slice s, struct zk_partition_list *l, struct errbuf *eb)
{
	return (decode_list(a, s, "list of partitions", false, l, eb));
}

struct slice
zk_partition_list_encode(struct arena *a, const struct zk_partition_list *l)
{
	return (encode_list(a, l, false));
}

enum err
zk_reassignment_decode(struct arena *a, struct slice s, struct zk_partition_list *l, struct errbuf *eb)
{
	return (decode_list(a, s, "reassignment", true, l, eb));
}

struct slice
zk_reassignment_encode(struct arena *a, const struct zk_partition_list *l)
{
	return (encode_list(a, l, true));
}
