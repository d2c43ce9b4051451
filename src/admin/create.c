/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/create.c - making topics.  See topics.h for the interface.
 *
 * Topics of a request are made one after the other, so that the names of one request collide as those of two would.  For each, in Java's order:
 *
 *	known to the image; settings without a value; numbers and assignments both; replicas assigned; the name itself
 *	then ZooKeeper: queued for deletion, there already, a name that collides
 *	the shape of the assignment, its brokers (not Java: until brokers replicate they must be alive), the settings
 *	unless validate_only: /config/topics/T is replaced (no notification), then /brokers/topics/T made with a random id
 *
 * The config node comes first and is of no consequence alone: the next creation replaces it.
 *
 * UNCERTAIN  The answer to the last step may be lost: its second sending then finds NODE_EXISTS, or the session has expired.  The node is read
 *	back, and it is ours exactly when it has our id.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/assign.h"
#include "admin/topics.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "zk/notify.h"
#include "zk/paths.h"

enum { SCRATCH_MAX = 64 << 20, PARTITION_BYTES_MIN = 8 };	/* "1":[1], */

struct create {
	struct admin	*admin;
	struct admin_create_topics *c;
	int32_t		 i;		/* the topic at work */
	/* of that topic */
	struct arena	 scratch;
	struct config_map configs;
	struct zk_topic_info info;
	const char	*name;
	bool		 in_doubt;	/* its node may have been made */
};

static void create_next(struct create *);

/* ---- the end of a topic, and of all ---- */

static bool
topic_has_leaders(const struct image *im, const struct admin_topic *t, int32_t n)
{
	const struct image_topic *known = image_topic(im, t->name);

	for (int32_t p = 0; p < n; p++) {
		const struct image_partition *ip = known == NULL ? NULL : image_partition(known, p);

		if (ip == NULL || ip->leader == -1)
			return (false);
	}
	return (true);
}

static bool
create_satisfied(struct admin_job *j, const struct image *im)
{
	struct admin_create_topics *c = CONTAINER_OF(j, struct admin_create_topics, job);

	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error == KERR_NONE && !topic_has_leaders(im, &c->topics[i], c->topics[i].partitions))
			return (false);
	return (true);
}

static void
nothing_to_show(struct admin_topic *t)
{
	t->partitions = -1;
	t->replicas = -1;
	t->described = (struct config_description){ 0 };
}

static void
create_finish(struct admin_job *j, const struct image *im)
{
	struct admin_create_topics *c = CONTAINER_OF(j, struct admin_create_topics, job);

	for (int32_t i = 0; i < c->ntopics; i++) {
		struct admin_topic *t = &c->topics[i];

		if (t->outcome.error == KERR_NONE && (im == NULL || !topic_has_leaders(im, t, t->partitions)))
			t->outcome.error = KERR_REQUEST_TIMED_OUT;
		if (t->outcome.error != KERR_NONE)
			nothing_to_show(t);
	}
	admin_done(j);
}

static void
create_validated(struct admin_create_topics *c)
{
	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error != KERR_NONE)
			nothing_to_show(&c->topics[i]);
	admin_done(&c->job);
}

static bool
any_made(const struct admin_create_topics *c)
{
	for (int32_t i = 0; i < c->ntopics; i++)
		if (c->topics[i].outcome.error == KERR_NONE)
			return (true);
	return (false);
}

static void
create_all_done(struct create *s)
{
	struct admin_create_topics *c = s->c;

	free(s);
	if (c->validate_only)
		create_validated(c);
	else if (c->timeout_ms <= 0 || !any_made(c))
		create_finish(&c->job, NULL);
	else
		admin_wait(&c->job, c->timeout_ms, create_satisfied, create_finish);
}

static void
topic_end(struct create *s, enum kerr error, const char *words)
{
	struct admin_topic *t = &s->c->topics[s->i];

	t->outcome = admin_outcome(&s->c->job, error, words);
	config_map_fini(&s->configs);
	arena_fini(&s->scratch);
	s->in_doubt = false;
	s->i++;
	create_next(s);
}

/* ---- the last step, and doubts about it ---- */

static void topic_look(struct create *);

static void
topic_looked(void *ctx, const struct zk_result *r)
{
	struct create *s = ctx;
	struct admin_topic *t = &s->c->topics[s->i];
	struct zk_topic_info there;

	if (r->error == ZKE_SESSION_EXPIRED)
		admin_again(&s->c->job);
	else if (r->error == ZKE_NO_NODE)	/* not ours, or ours and gone: the client asks again */
		topic_end(s, KERR_NOT_CONTROLLER, NULL);
	else if (r->error != ZKE_OK)
		topic_end(s, admin_zk_error(s->admin, r->error, "reading back topic", s->name), NULL);
	else if (zk_topic_decode(&s->scratch, r->data, &there, NULL) == OK && uuid_eq(there.id, s->info.id)) {
		t->id = s->info.id;
		topic_end(s, KERR_NONE, NULL);
	} else
		topic_end(s, KERR_TOPIC_ALREADY_EXISTS, arena_printf(&s->scratch, "the topic '%s' exists already", s->name));
}

static void
topic_look(struct create *s)
{
	s->in_doubt = true;
	if (s->admin->opt.zk == NULL)
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		zk_get(s->admin->opt.zk, zk_path_topic(s->name).s, NULL, topic_looked, s);
}

static void
topic_made(void *ctx, const struct zk_result *r)
{
	struct create *s = ctx;

	if (r->error == ZKE_OK) {
		s->c->topics[s->i].id = s->info.id;
		topic_end(s, KERR_NONE, NULL);
	} else if (r->error == ZKE_SESSION_EXPIRED) {
		s->in_doubt = true;
		admin_again(&s->c->job);
	} else if (r->error == ZKE_NODE_EXISTS)
		topic_look(s);
	else
		topic_end(s, admin_zk_error(s->admin, r->error, "creating topic", s->name), NULL);
}

/* ---- writing ---- */

static void
config_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct create *s = ctx;

	if (e == OK && s->admin->opt.zk != NULL) {
		zk_create(s->admin->opt.zk, zk_path_topic(s->name).s, s->info.raw, ZK_PERSISTENT, topic_made, s);
		return;
	}
	diag_info(s->admin->opt.diag, "admin", "writing the configuration of topic %s: %s", s->name, why->text);
	if (e == ERR_FENCED)
		topic_end(s, KERR_NOT_CONTROLLER, why->text);
	else
		topic_end(s, e == ERR_ZK_EXPIRED ? KERR_NOT_CONTROLLER : KERR_UNKNOWN_SERVER_ERROR, NULL);
}

static void
topic_write(struct create *s)
{
	struct zk_entity entity = { ZK_ENTITY_TOPIC, s->name, NULL };
	struct zk_config config = { ARENA_ARRAY(&s->scratch, struct zk_config_item, s->configs.count + 1), 0, SLICE_NULL };

	if (config.items == NULL || s->admin->opt.zk == NULL) {
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
		return;
	}
	for (size_t i = 0; i < s->configs.count; i++)
		config.items[config.nitems++] = (struct zk_config_item){ s->configs.entries[i].name, s->configs.entries[i].value };
	diag_info(s->admin->opt.diag, "admin", "creating topic %s with %u partitions and %u settings of its own", s->name, s->info.npartitions,
	    config.nitems);
	zk_config_write(s->admin->opt.zk, &entity, &config, 0, config_written, s);
}

/* ---- checks that need no ZooKeeper any more ---- */

static const char *
replicas_wrong(const struct create *s, const struct zk_topic_partition *p, const struct image *im)
{
	struct arena *a = (struct arena *)(uintptr_t)&s->scratch;

	if (p->replicas.n == 0)
		return (arena_printf(a, "partition %d has no replica", p->id));
	for (uint32_t i = 0; i < p->replicas.n; i++) {
		for (uint32_t j = i + 1; j < p->replicas.n; j++)
			if (p->replicas.v[i] == p->replicas.v[j])
				return (arena_printf(a, "partition %d names broker %d twice", p->id, p->replicas.v[i]));
		if (image_broker(im, p->replicas.v[i]) == NULL)
			return (arena_printf(a, "partition %d names broker %d, which is not available", p->id, p->replicas.v[i]));
	}
	return (NULL);
}

static const char *
assignment_wrong(const struct create *s)
{
	const struct image *im = cluster_read(s->admin->opt.cluster);
	const char *why = NULL;

	for (uint32_t i = 0; i < s->info.npartitions; i++)
		if (s->info.partitions[i].replicas.n != s->info.partitions[0].replicas.n)
			return ("all partitions need the same number of replicas");
	for (uint32_t i = 0; i < s->info.npartitions; i++)
		if (s->info.partitions[i].id != (int32_t)i)
			return ("the partitions are to be numbered from 0, without a gap");
	for (uint32_t i = 0; why == NULL && i < s->info.npartitions; i++)
		why = replicas_wrong(s, &s->info.partitions[i], im);
	return (why);
}

static enum kerr
configs_wrong(struct create *s, struct errbuf *eb)
{
	const struct admin_topic *t = &s->c->topics[s->i];
	size_t bytes = 0;

	if (t->nconfigs > LIMIT_WISHES_MAX) {
		errbuf_set(eb, "%d settings of one topic; %d at most", t->nconfigs, LIMIT_WISHES_MAX);
		return (KERR_INVALID_CONFIG);
	}
	for (int32_t i = 0; i < t->nconfigs; i++) {
		const struct config_wish *w = &t->configs[i];

		bytes += w->name.len + w->value.len;
		if (bytes > LIMIT_TOPIC_NODE_BYTES_MAX || memchr(w->name.p, 0, w->name.len) != NULL || memchr(w->value.p, 0, w->value.len) != NULL) {
			errbuf_set(eb, "the settings are too long, or hold a NUL byte");
			return (KERR_INVALID_CONFIG);
		}
		config_map_set_slice(&s->configs, w->name, w->value);
	}
	return (topic_config_validate(admin_config(s->admin), &s->configs, eb));
}

/* The node's text, in info.raw. */
static bool
encode(struct create *s)
{
	s->info.id = uuid_random(s->admin->opt.random);
	s->info.raw = SLICE_NULL;
	s->info.raw = zk_topic_encode(&s->scratch, &s->info);
	return (s->info.raw.p != NULL && s->info.raw.len <= LIMIT_TOPIC_NODE_BYTES_MAX);
}

static void
topic_accept(struct create *s)
{
	struct admin_topic *t = &s->c->topics[s->i];
	const char *why = assignment_wrong(s);
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k;

	if (why != NULL) {
		topic_end(s, KERR_INVALID_REPLICA_ASSIGNMENT, why);
		return;
	}
	if ((k = configs_wrong(s, &eb)) != KERR_NONE) {
		topic_end(s, k, eb.text);
		return;
	}
	if (!encode(s)) {
		topic_end(s, KERR_INVALID_PARTITIONS, "so many partitions do not fit into a node of ZooKeeper");
		return;
	}
	t->partitions = (int32_t)s->info.npartitions;
	t->replicas = (int16_t)s->info.partitions[0].replicas.n;
	if (s->c->describe && !config_describe_topic(admin_config(s->admin), &s->configs, (struct config_names){ NULL, 0 }, s->c->job.arena,
	    &t->described))
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else if (s->c->validate_only)
		topic_end(s, KERR_NONE, NULL);
	else
		topic_write(s);
}

/* ---- what ZooKeeper has already ---- */

static const char *
colliding(const struct create *s, const struct zk_result *r)
{
	for (uint32_t i = 0; i < r->nchildren; i++)
		if (topic_names_collide(slice_str(r->children[i]), s->c->topics[s->i].name))
			return (r->children[i]);
	return (NULL);
}

static void
topic_compared(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct create *s = ctx;
	const char *other;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].error != ZKE_OK && r[i].error != ZKE_NO_NODE) {
			topic_end(s, admin_zk_error(s->admin, r[i].error, "looking for topic", s->name), NULL);
			return;
		}
	if (r[0].error == ZKE_OK)
		topic_end(s, KERR_TOPIC_ALREADY_EXISTS, arena_printf(&s->scratch, "the topic '%s' is being deleted", s->name));
	else if (r[1].error == ZKE_OK)
		topic_end(s, KERR_TOPIC_ALREADY_EXISTS, arena_printf(&s->scratch, "the topic '%s' exists already", s->name));
	else if (n > 2 && (other = colliding(s, &r[2])) != NULL)
		topic_end(s, KERR_INVALID_TOPIC_EXCEPTION, arena_printf(&s->scratch,
		    "the topic '%s' collides with '%s': '.' and '_' are the same in names of metrics", s->name, other));
	else
		topic_accept(s);
}

static void
topic_compare(struct create *s)
{
	struct zk_path deleted = zk_path_delete_topic(s->name), there = zk_path_topic(s->name);
	struct zk_op ops[3] = { ZK_EXISTS(deleted.s, NULL), ZK_EXISTS(there.s, NULL), ZK_GET_CHILDREN(ZK_TOPICS, NULL) };

	zk_many(s->admin->opt.zk, ops, strpbrk(s->name, "._") != NULL ? 3 : 2, topic_compared, s);
}

/* ---- the assignment ---- */

static int
by_partition(const void *x, const void *y)
{
	const struct zk_topic_partition *a = x, *b = y;

	return ((a->id > b->id) - (a->id < b->id));
}

/* Of several lists for one partition one counts: in Java's map the last. */
static void
drop_repeated(struct zk_topic_info *info)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < info->npartitions; i++) {
		if (n > 0 && info->partitions[n - 1].id == info->partitions[i].id)
			n--;
		info->partitions[n++] = info->partitions[i];
	}
	info->npartitions = n;
}

static bool
is_sorted(const struct zk_topic_info *info)
{
	for (uint32_t i = 1; i < info->npartitions; i++)
		if (info->partitions[i - 1].id > info->partitions[i].id)
			return (false);
	return (true);
}

/* The lists borrow from the request. */
static enum kerr
take_manual(struct create *s, const struct admin_topic *t)
{
	s->info.partitions = ARENA_ARRAY(&s->scratch, struct zk_topic_partition, (size_t)t->nassignments);
	if (s->info.partitions == NULL)
		return (KERR_UNKNOWN_SERVER_ERROR);
	s->info.npartitions = (uint32_t)t->nassignments;
	for (int32_t i = 0; i < t->nassignments; i++) {
		const struct admin_replicas *a = &t->assignments[i];

		s->info.partitions[i].id = a->partition;
		s->info.partitions[i].replicas = (struct zk_ints){ (int32_t *)(uintptr_t)a->brokers, (uint32_t)MAX(a->n, 0) };
	}
	if (!is_sorted(&s->info))
		qsort(s->info.partitions, s->info.npartitions, sizeof(*s->info.partitions), by_partition);
	drop_repeated(&s->info);
	return (KERR_NONE);
}

static enum kerr
take_automatic(struct create *s, const struct admin_topic *t, struct errbuf *eb)
{
	const struct config *config = admin_config(s->admin);
	const struct image *im = cluster_read(s->admin->opt.cluster);
	struct assign_options o = { .nbrokers = im->nbrokers, .start = -1, .random = s->admin->opt.random };
	int32_t *all, rf;
	enum kerr k;

	o.brokers = admin_brokers(im, &s->scratch);
	o.partitions = t->num_partitions == -1 ? config->num_partitions : t->num_partitions;
	o.replication_factor = rf = t->replication_factor == -1 ? (int16_t)config->default_replication_factor : t->replication_factor;
	if (o.brokers == NULL || o.partitions > LIMIT_TOPIC_NODE_BYTES_MAX / PARTITION_BYTES_MIN) {
		errbuf_set(eb, "%d partitions do not fit into a node of ZooKeeper", o.partitions);
		return (KERR_INVALID_PARTITIONS);
	}
	if ((k = assign_replicas(&o, &s->scratch, &all, eb)) != KERR_NONE)
		return (k);
	s->info.partitions = ARENA_ARRAY(&s->scratch, struct zk_topic_partition, (size_t)o.partitions);
	if (s->info.partitions == NULL)
		return (KERR_UNKNOWN_SERVER_ERROR);
	s->info.npartitions = (uint32_t)o.partitions;
	for (int32_t i = 0; i < o.partitions; i++) {
		s->info.partitions[i].id = i;
		s->info.partitions[i].replicas = (struct zk_ints){ all + (size_t)i * (size_t)rf, (uint32_t)rf };
	}
	return (KERR_NONE);
}

/* ---- the beginning ---- */

static const char *
null_setting(struct create *s, const struct admin_topic *t)
{
	for (int32_t i = 0; i < t->nconfigs; i++)
		if (t->configs[i].value.p == NULL)
			return (arena_printf(&s->scratch, "the setting %.*s has no value", (int)MIN(t->configs[i].name.len, 200),
			    (const char *)t->configs[i].name.p));
	return (NULL);
}

static enum kerr
topic_check(struct create *s, const struct admin_topic *t, struct errbuf *eb)
{
	const char *why;
	enum kerr k;

	if (image_topic(cluster_read(s->admin->opt.cluster), t->name) != NULL) {
		errbuf_set(eb, "the topic '%.*s' exists already", (int)MIN(t->name.len, LIMIT_TOPIC_NAME_MAX), (const char *)t->name.p);
		return (KERR_TOPIC_ALREADY_EXISTS);
	}
	if ((why = null_setting(s, t)) != NULL) {
		errbuf_set(eb, "%s", why);
		return (KERR_INVALID_CONFIG);
	}
	if ((t->num_partitions != -1 || t->replication_factor != -1) && t->nassignments > 0) {
		errbuf_set(eb, "give either the number of partitions and the replication factor, or the assignment of replicas, not both");
		return (KERR_INVALID_REQUEST);
	}
	if ((k = t->nassignments > 0 ? take_manual(s, t) : take_automatic(s, t, eb)) != KERR_NONE)
		return (k);
	if ((why = topic_name_invalid(t->name)) != NULL) {
		errbuf_set(eb, "%s", why);
		return (KERR_INVALID_TOPIC_EXCEPTION);
	}
	return (KERR_NONE);
}

static void
topic_begin(struct create *s)
{
	struct admin_topic *t = &s->c->topics[s->i];
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = KERR_UNKNOWN_SERVER_ERROR;

	s->configs = (struct config_map)CONFIG_MAP_INIT;
	s->info = (struct zk_topic_info){ .npartitions = 0 };
	s->in_doubt = false;
	t->id = UUID_ZERO;
	nothing_to_show(t);
	arena_init(&s->scratch, SCRATCH_MAX);
	if (s->admin->opt.zk != NULL)
		k = topic_check(s, t, &eb);
	if (k != KERR_NONE) {
		topic_end(s, k, eb.text[0] == '\0' ? NULL : eb.text);
		return;
	}
	s->name = admin_name(&s->scratch, t->name);
	if (s->name == NULL)
		topic_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		topic_compare(s);
}

/* Refused topics would recurse, one level each: a task in between. */
static void
create_step(struct admin_job *j)
{
	struct create *s = CONTAINER_OF(j, struct admin_create_topics, job)->state;

	if (s->i == s->c->ntopics)
		create_all_done(s);
	else if (s->in_doubt)
		topic_look(s);
	else
		topic_begin(s);
}

static void
create_next(struct create *s)
{
	loop_post(s->admin->opt.loop, &s->c->job.task);
}

void
admin_create_topics(struct admin *a, struct admin_create_topics *c)
{
	struct create *s = xcalloc(1, sizeof(*s));

	s->admin = a;
	s->c = c;
	c->state = s;
	admin_start(a, &c->job, create_step);
}
