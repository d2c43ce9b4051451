/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/quotas.c - see quotas.h for the interface.
 *
 * DESCRIBE   The filters say which nodes can match: one, or all of a kind.  Those are read, and each is held against the filters.
 * ALTER      Change by change: whose -> read the node -> work the operations in -> check the whole -> write it, or delete it when nothing is left.
 *
 * INVARIANT  One change of settings at a time (admin_change), so none that goes through this broker is lost.
 * FAILURE    An expired session begins the change anew, or the description: the steps are idempotent.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/config_int.h"
#include "admin/quotas.h"
#include "base/alloc.h"
#include "config/quota.h"
#include "zk/notify.h"
#include "zk/paths.h"

const char *const admin_quota_type_names[ADMIN_QUOTA_TYPES] = {
	[ADMIN_QUOTA_USER] = "user",
	[ADMIN_QUOTA_CLIENT_ID] = "client-id",
	[ADMIN_QUOTA_IP] = "ip",
};

/* ADMIN_QUOTA_TYPES: no such type. */
static enum admin_quota_type
type_of(struct slice name)
{
	enum admin_quota_type t = ADMIN_QUOTA_USER;

	while (t < ADMIN_QUOTA_TYPES && !slice_eq_str(name, admin_quota_type_names[t]))
		t++;
	return (t);
}

/*
 * A name as zk/ takes it: text, and the default's own word for a null.  NULL: it cannot be one of ours (a NUL byte in it, or that very word, which
 * Java takes for users and clients: %3Cdefault%3E).
 */
static const char *
entity_name(struct arena *arena, struct slice name)
{
	if (name.p == NULL)
		return (ZK_DEFAULT_ENTITY);
	if (memchr(name.p, '\0', name.len) != NULL || slice_eq_str(name, ZK_DEFAULT_ENTITY))
		return (NULL);
	return (arena_strndup(arena, name.p, name.len));
}

/* ---- describing: the filters ---- */

struct component {
	bool		 given;
	enum admin_quota_match match;
	struct slice	 name;
};

struct describe {
	struct admin	*admin;
	struct admin_describe_quotas *d;
	struct component c[ADMIN_QUOTA_TYPES];
	int		 stage;		/* what is read next */
	bool		 failed;
	struct arena	 arena;		/* names of entities to read */
};

static enum kerr
take_filter(struct describe *s, const struct admin_quota_filter *f, struct errbuf *eb)
{
	enum admin_quota_type t = type_of(f->type);

	if (f->type.len == 0) {
		errbuf_set(eb, "a filter names a type: user, client-id or ip");
		return (KERR_INVALID_REQUEST);
	}
	if (t == ADMIN_QUOTA_TYPES) {
		errbuf_set(eb, "there are no quotas of '%.*s'", (int)MIN(f->type.len, 100), (const char *)f->type.p);
		return (KERR_UNSUPPORTED_VERSION);
	}
	if (s->c[t].given) {
		errbuf_set(eb, "two filters for %s", admin_quota_type_names[t]);
		return (KERR_INVALID_REQUEST);
	}
	s->c[t] = (struct component){ true, (enum admin_quota_match)f->match, f->match == ADMIN_QUOTA_EXACT ? f->name : SLICE_NULL };
	return (KERR_NONE);
}

static enum kerr
take_filters(struct describe *s, struct errbuf *eb)
{
	const struct admin_describe_quotas *d = s->d;
	enum kerr k = KERR_NONE;

	for (int32_t i = 0; i < d->nfilters; i++)	/* Java stumbles over these before it looks at any type */
		if (d->filters[i].match < ADMIN_QUOTA_EXACT || d->filters[i].match > ADMIN_QUOTA_ANY ||
		    (d->filters[i].match == ADMIN_QUOTA_EXACT && d->filters[i].name.p == NULL))
			return (KERR_UNKNOWN_SERVER_ERROR);
	for (int32_t i = 0; k == KERR_NONE && i < d->nfilters; i++)
		k = take_filter(s, &d->filters[i], eb);
	if (k == KERR_NONE && s->c[ADMIN_QUOTA_IP].given && (s->c[ADMIN_QUOTA_USER].given || s->c[ADMIN_QUOTA_CLIENT_ID].given)) {
		errbuf_set(eb, "quotas of addresses know neither users nor client ids");
		k = KERR_INVALID_REQUEST;
	}
	return (k);
}

/* Does the filter let pass who has this name of that type, or none? */
static bool
matches(const struct describe *s, enum admin_quota_type t, const struct admin_quota_row *row)
{
	const struct component *c = &s->c[t];

	if (!c->given)
		return (!row->given[t] || !s->d->strict);
	if (!row->given[t])
		return (false);
	switch (c->match) {
	case ADMIN_QUOTA_EXACT:
		return (row->names[t].p != NULL && slice_eq(row->names[t], c->name));
	case ADMIN_QUOTA_DEFAULT:
		return (row->names[t].p == NULL);
	case ADMIN_QUOTA_ANY:
		return (true);
	}
	return (false);
}

/* ---- describing: one entity ---- */

static void
row_name(struct admin_quota_row *row, enum admin_quota_type t, struct arena *arena, const char *name)
{
	row->given[t] = true;
	row->names[t] = strcmp(name, ZK_DEFAULT_ENTITY) == 0 ? SLICE_NULL : arena_dup(arena, slice_str(name));
}

static bool
row_values(struct describe *s, struct admin_quota_row *row, enum config_quota_of of, const struct zk_config *config)
{
	row->values = ARENA_ARRAY(s->d->job.arena, struct admin_quota_value, (size_t)config->nitems + 1);
	for (uint32_t i = 0; row->values != NULL && i < config->nitems; i++) {
		struct admin_quota_value *v = &row->values[row->nvalues];

		if (!config_quota_known(of, config->items[i].key))
			continue;
		v->name = arena_strndup(s->d->job.arena, config->items[i].key, strlen(config->items[i].key));
		if (!config_quota_value(config->items[i].value, &v->value)) {
			diag_warning(s->admin->opt.diag, "admin", "the quota %s of an entity is no number: '%s'", config->items[i].key,
			    config->items[i].value);
			return (false);
		}
		row->nvalues++;
	}
	return (!s->d->job.arena->full);
}

static void
entity_seen(void *ctx, const struct zk_entity *e, const struct zk_config *config)
{
	struct describe *s = ctx;
	struct admin_quota_row *row = ARENA_NEW(s->d->job.arena, struct admin_quota_row);
	struct arena *arena = s->d->job.arena;

	if (row == NULL || s->failed) {
		s->failed = true;
		return;
	}
	if (e->type == ZK_ENTITY_USER || e->type == ZK_ENTITY_USER_CLIENT)
		row_name(row, ADMIN_QUOTA_USER, arena, e->name);
	if (e->type == ZK_ENTITY_USER_CLIENT || e->type == ZK_ENTITY_CLIENT)
		row_name(row, ADMIN_QUOTA_CLIENT_ID, arena, e->type == ZK_ENTITY_CLIENT ? e->name : e->client);
	if (e->type == ZK_ENTITY_IP)
		row_name(row, ADMIN_QUOTA_IP, arena, e->name);
	if (!matches(s, ADMIN_QUOTA_USER, row) || !matches(s, ADMIN_QUOTA_CLIENT_ID, row) || !matches(s, ADMIN_QUOTA_IP, row))
		return;
	if (!row_values(s, row, e->type == ZK_ENTITY_IP ? QUOTA_OF_IPS : QUOTA_OF_CLIENTS, config)) {
		s->failed = true;
		return;
	}
	if (row->nvalues == 0)
		return;
	row->next = s->d->rows;
	s->d->rows = row;
	s->d->nrows++;
}

/* ---- describing: what is read ---- */

static void describe_next(struct describe *);
static void describe_run(struct admin_job *);

static void
describe_end(struct describe *s, enum kerr k, const char *words)
{
	struct admin_describe_quotas *d = s->d;

	d->outcome = admin_outcome(&d->job, k, words);
	if (k != KERR_NONE) {
		d->rows = NULL;
		d->nrows = 0;
	}
	arena_fini(&s->arena);
	free(s);
	admin_done(&d->job);
}

static void
describe_failed(struct describe *s, enum err e, const struct errbuf *why)
{
	struct admin_job *j = &s->d->job;

	if (e == ERR_ZK_EXPIRED) {
		arena_fini(&s->arena);
		free(s);
		j->run = describe_run;
		admin_again(j);
		return;
	}
	diag_info(s->admin->opt.diag, "admin", "reading quotas: %s", why->text);
	describe_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
}

static void
all_read(void *ctx, enum err e, const struct errbuf *why)
{
	struct describe *s = ctx;

	if (e == OK)
		describe_next(s);
	else
		describe_failed(s, e, why);
}

struct one {
	struct describe *s;
	struct zk_entity entity;
};

static void
one_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct one *o = ctx;
	struct describe *s = o->s;

	if (e == OK && found)
		entity_seen(s, &o->entity, config);
	if (e == OK)
		describe_next(s);
	else
		describe_failed(s, e, why);
}

static void
read_one(struct describe *s, enum zk_entity_type type, enum admin_quota_type name, const struct component *client)
{
	struct one *o = ARENA_NEW(&s->arena, struct one);

	if (o == NULL) {
		describe_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
		return;
	}
	o->s = s;
	o->entity.type = type;
	o->entity.name = entity_name(&s->arena, s->c[name].name);
	o->entity.client = client == NULL ? NULL : entity_name(&s->arena, client->name);
	if (o->entity.name == NULL || (client != NULL && o->entity.client == NULL))
		describe_next(s);	/* nobody has such a name */
	else if (o->entity.name[0] == '\0' || (client != NULL && o->entity.client[0] == '\0'))
		describe_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);	/* no node has no name; Java says no more either */
	else
		zk_config_read(s->admin->opt.zk, &o->entity, one_read, o);
}

/* One name, the default's included. */
static bool
is_single(const struct component *c)
{
	return (c->given && c->match != ADMIN_QUOTA_ANY);
}

static bool
is_excluded(const struct describe *s, enum admin_quota_type t)
{
	return (s->d->strict && !s->c[t].given);
}

enum { READ_USERS, READ_CLIENTS, READ_IPS, READ_END };

/* false: nothing of this kind can match. */
static bool
read_users(struct describe *s)
{
	const struct component *user = &s->c[ADMIN_QUOTA_USER], *client = &s->c[ADMIN_QUOTA_CLIENT_ID];

	if (s->c[ADMIN_QUOTA_IP].given || is_excluded(s, ADMIN_QUOTA_USER))
		return (false);
	if (is_single(user) && is_single(client))
		read_one(s, ZK_ENTITY_USER_CLIENT, ADMIN_QUOTA_USER, client);
	else if (is_single(user) && is_excluded(s, ADMIN_QUOTA_CLIENT_ID))
		read_one(s, ZK_ENTITY_USER, ADMIN_QUOTA_USER, NULL);
	else
		zk_config_read_all(s->admin->opt.zk, ZK_ENTITY_USER, s->admin->opt.diag, entity_seen, all_read, s);
	return (true);
}

static bool
read_clients(struct describe *s)
{
	if (s->c[ADMIN_QUOTA_IP].given || is_excluded(s, ADMIN_QUOTA_CLIENT_ID) || s->c[ADMIN_QUOTA_USER].given)
		return (false);
	if (is_single(&s->c[ADMIN_QUOTA_CLIENT_ID]) && is_excluded(s, ADMIN_QUOTA_USER))
		read_one(s, ZK_ENTITY_CLIENT, ADMIN_QUOTA_CLIENT_ID, NULL);
	else
		zk_config_read_all(s->admin->opt.zk, ZK_ENTITY_CLIENT, s->admin->opt.diag, entity_seen, all_read, s);
	return (true);
}

static bool
read_ips(struct describe *s)
{
	if (s->c[ADMIN_QUOTA_USER].given || s->c[ADMIN_QUOTA_CLIENT_ID].given || is_excluded(s, ADMIN_QUOTA_IP))
		return (false);
	if (is_single(&s->c[ADMIN_QUOTA_IP]))
		read_one(s, ZK_ENTITY_IP, ADMIN_QUOTA_IP, NULL);
	else
		zk_config_read_all(s->admin->opt.zk, ZK_ENTITY_IP, s->admin->opt.diag, entity_seen, all_read, s);
	return (true);
}

static void
describe_next(struct describe *s)
{
	static bool (*const reads[])(struct describe *) = { read_users, read_clients, read_ips };

	while (s->stage < READ_END) {
		if (s->admin->opt.zk == NULL)	/* the broker ends */
			s->failed = true;
		if (s->failed)
			break;
		if (reads[s->stage++](s))
			return;
	}
	describe_end(s, s->failed ? KERR_UNKNOWN_SERVER_ERROR : KERR_NONE, NULL);
}

static void
describe_run(struct admin_job *j)
{
	struct admin_describe_quotas *d = CONTAINER_OF(j, struct admin_describe_quotas, job);
	struct describe *s = xcalloc(1, sizeof(*s));
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k;

	s->admin = j->admin;
	s->d = d;
	d->rows = NULL;
	d->nrows = 0;
	arena_init(&s->arena, 1 << 20);
	k = take_filters(s, &eb);
	if (k != KERR_NONE)
		describe_end(s, k, k == KERR_UNKNOWN_SERVER_ERROR ? NULL : eb.text);
	else
		describe_next(s);
}

void
admin_describe_quotas(struct admin *a, struct admin_describe_quotas *d)
{
	admin_start(a, &d->job, describe_run);
}

/* ---- changing ---- */

struct alter {
	struct admin	*admin;
	struct admin_alter_quotas *c;
	int32_t		 i;		/* the change at work */
	/* of that change */
	struct arena	 arena;
	struct zk_entity entity;
	enum config_quota_of of;
	bool		 begun;
};

static void
change_end(struct alter *s, enum kerr k, const char *words)
{
	s->c->changes[s->i].outcome = admin_outcome(&s->c->job, k, words);
	arena_fini(&s->arena);
	s->begun = false;
	s->i++;
	loop_post(s->admin->opt.loop, &s->c->job.task);
}

static void
change_failed(struct alter *s, enum err e, const struct errbuf *why)
{
	if (e == ERR_ZK_EXPIRED) {
		admin_again(&s->c->job);
		return;
	}
	diag_info(s->admin->opt.diag, "admin", "changing quotas: %s", why->text);
	if (e == ERR_FENCED)
		change_end(s, KERR_STALE_CONTROLLER_EPOCH, why->text);
	else
		change_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
}

/* ---- changing: whose ---- */

static enum kerr
take_parts(struct alter *s, const struct admin_quota_change *c, const char **names, struct errbuf *eb)
{
	if (c->nparts == 0) {
		errbuf_set(eb, "whose quotas?  Name a user, a client-id, both, or an ip");
		return (KERR_INVALID_REQUEST);
	}
	for (int32_t i = 0; i < c->nparts; i++) {
		enum admin_quota_type t = type_of(c->parts[i].type);

		if (t == ADMIN_QUOTA_TYPES) {
			errbuf_set(eb, "there are no quotas of '%.*s'", (int)MIN(c->parts[i].type.len, 100), (const char *)c->parts[i].type.p);
			return (KERR_INVALID_REQUEST);
		}
		if (c->parts[i].name.p != NULL && c->parts[i].name.len == 0) {
			errbuf_set(eb, "a %s without a name; the default is null", admin_quota_type_names[t]);
			return (KERR_INVALID_REQUEST);
		}
		names[t] = entity_name(&s->arena, c->parts[i].name);
		if (names[t] == NULL) {
			errbuf_set(eb, "no %s can have this name", admin_quota_type_names[t]);
			return (KERR_INVALID_REQUEST);
		}
	}
	return (KERR_NONE);
}

static enum kerr
whose(struct alter *s, const struct admin_quota_change *c, struct errbuf *eb)
{
	const char *names[ADMIN_QUOTA_TYPES] = { NULL };
	const char *user, *client, *ip;
	enum kerr k = take_parts(s, c, names, eb);

	if (k != KERR_NONE)
		return (k);
	user = names[ADMIN_QUOTA_USER];
	client = names[ADMIN_QUOTA_CLIENT_ID];
	ip = names[ADMIN_QUOTA_IP];
	if (ip != NULL && (user != NULL || client != NULL)) {
		errbuf_set(eb, "quotas of addresses know neither users nor client ids");
		return (KERR_INVALID_REQUEST);
	}
	if (ip != NULL && c->unresolvable) {
		errbuf_set(eb, "%s is no IP address, and no host has this name", ip);
		return (KERR_INVALID_REQUEST);
	}
	s->of = ip != NULL ? QUOTA_OF_IPS : QUOTA_OF_CLIENTS;
	if (ip != NULL)
		s->entity = (struct zk_entity){ ZK_ENTITY_IP, ip, NULL };
	else if (user == NULL)
		s->entity = (struct zk_entity){ ZK_ENTITY_CLIENT, client, NULL };
	else
		s->entity = (struct zk_entity){ client == NULL ? ZK_ENTITY_USER : ZK_ENTITY_USER_CLIENT, user, client };
	return (KERR_NONE);
}

/* ---- changing: what ---- */

static enum kerr
work_in(struct alter *s, struct config_map *m, const struct admin_quota_op *op, struct errbuf *eb)
{
	const char *key = arena_strndup(&s->arena, op->key.p, op->key.len);
	char *text;
	enum kerr k;

	if (key == NULL)
		return (KERR_UNKNOWN_SERVER_ERROR);
	if (op->remove) {
		config_map_remove(m, key);
		return (KERR_NONE);
	}
	k = config_quota_text(s->of, key, op->value, &text, eb);
	if (k == KERR_NONE)
		config_map_set(m, key, text);
	free(text);
	return (k);
}

static void
change_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct alter *s = ctx;

	if (e == OK)
		change_end(s, KERR_NONE, NULL);
	else
		change_failed(s, e, why);
}

/* raw: the node's text; what we do not know stays in it. */
static void
change_write(struct alter *s, const struct config_map *m, struct slice raw)
{
	struct zk_config config = { ARENA_ARRAY(&s->arena, struct zk_config_item, m->count + 1), 0, raw };
	const char *path = zk_entity_path(&s->arena, &s->entity);

	if (config.items == NULL || path == NULL) {
		change_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
		return;
	}
	for (size_t i = 0; i < m->count; i++)
		config.items[config.nitems++] = (struct zk_config_item){ m->entries[i].name, m->entries[i].value };
	diag_warning(s->admin->opt.diag, "admin", "the quotas of %s are stored, but this broker does not enforce quotas yet", path);
	zk_config_write(s->admin->opt.zk, &s->entity, &config, ZK_CONFIG_NOTIFY | ZK_CONFIG_REMOVE_WHEN_EMPTY, change_written, s);
}

static enum kerr
change_work(struct alter *s, struct config_map *m, struct errbuf *eb)
{
	const struct admin_quota_change *c = &s->c->changes[s->i];
	bool user = s->entity.type == ZK_ENTITY_USER && strcmp(s->entity.name, ZK_DEFAULT_ENTITY) != 0;
	enum kerr k = KERR_NONE;

	for (int32_t i = 0; k == KERR_NONE && i < c->nops; i++)
		k = work_in(s, m, &c->ops[i], eb);
	if (k == KERR_NONE && !s->c->validate_only && !config_quotas_valid(s->of, m, user))
		k = KERR_UNKNOWN_SERVER_ERROR;	/* as Java, which says no more to it either */
	return (k);
}

static void
change_read(void *ctx, enum err e, const struct zk_config *now, bool found, const struct errbuf *why)
{
	struct alter *s = ctx;
	struct config_map m = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k;

	(void)found;
	e = admin_config_given_up(s->admin, e, why);
	if (e != OK) {
		change_failed(s, e, why);
		return;
	}
	for (uint32_t i = 0; i < now->nitems; i++)
		config_map_set(&m, now->items[i].key, now->items[i].value);
	k = change_work(s, &m, &eb);
	if (k != KERR_NONE)
		change_end(s, k, k == KERR_UNKNOWN_SERVER_ERROR ? NULL : eb.text);
	else if (s->c->validate_only)
		change_end(s, KERR_NONE, NULL);
	else if (s->admin->opt.zk == NULL)
		change_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		change_write(s, &m, now->raw);
	config_map_fini(&m);
}

/* ---- changing: one after the other ---- */

static void
change_begin(struct alter *s)
{
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = KERR_NONE;

	if (!s->begun) {
		arena_init(&s->arena, 4 << 20);
		s->begun = true;
		k = whose(s, &s->c->changes[s->i], &eb);
	}
	if (k != KERR_NONE)
		change_end(s, k, eb.text);
	else if (s->admin->opt.zk == NULL)
		change_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		zk_config_read(s->admin->opt.zk, &s->entity, change_read, s);
}

static void
alter_step(struct admin_job *j)
{
	struct admin_alter_quotas *c = CONTAINER_OF(j, struct admin_alter_quotas, job);
	struct alter *s = c->state;

	if (s == NULL) {	/* its turn has come */
		s = c->state = xcalloc(1, sizeof(*s));
		s->admin = j->admin;
		s->c = c;
	}
	if (s->i < c->nchanges) {
		change_begin(s);
		return;
	}
	free(s);
	admin_change_done(j);
}

void
admin_alter_quotas(struct admin *a, struct admin_alter_quotas *c)
{
	c->state = NULL;
	admin_change(a, &c->job, alter_step);
}
