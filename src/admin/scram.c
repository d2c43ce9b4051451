/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/scram.c - see scram.h for the interface.
 *
 * ALTER      In Java's order: what is wrong with a user's changes by themselves (name, mechanism, iterations); the same credential twice; a
 *            deletion of what is not there, for which every user's node is read; then the nodes are written, one user after the other.
 *
 * INVARIANT  One change of settings at a time (admin_change).
 * FAILURE    An expired session: reading begins anew; a write is made again with what was read before it, since by then it may have been made.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "admin/admin_int.h"
#include "admin/config_int.h"
#include "admin/scram.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "base/str.h"
#include "config/quota.h"
#include "zk/notify.h"
#include "zk/paths.h"

enum { ITERATIONS_MIN = 4096, ITERATIONS_MAX = 16384 };

static const char *
mechanism_name(int8_t m)
{
	switch (m) {
	case ADMIN_SCRAM_SHA_256:
		return ("SCRAM-SHA-256");
	case ADMIN_SCRAM_SHA_512:
		return ("SCRAM-SHA-512");
	default:
		return (NULL);
	}
}

/* NULL: no node can have this name (zk/ knows the default's word as the default). */
static const char *
user_name(struct arena *arena, struct slice name)
{
	if (memchr(name.p, '\0', name.len) != NULL || slice_eq_str(name, ZK_DEFAULT_ENTITY))
		return (NULL);
	return (arena_strndup(arena, name.p, name.len));
}

/* ---- a credential as text ---- */

static void
add_base64(struct strbuf *sb, const void *p, size_t len)
{
	size_t room = (len + 2) / 3 * 4 + 1;
	unsigned char *text = xmalloc(room);

	EVP_EncodeBlock(text, p, (int)len);
	strbuf_add(sb, "%s", (const char *)text);
	free(text);
}

/* NULL: there is nothing to make a key from. */
static char *
credential_text(const struct admin_scram_upsertion *u)
{
	const EVP_MD *md = u->mechanism == ADMIN_SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
	unsigned char client_key[EVP_MAX_MD_SIZE], stored_key[EVP_MAX_MD_SIZE], server_key[EVP_MAX_MD_SIZE];
	struct strbuf sb = STRBUF_INIT;
	unsigned len = 0, hashed = 0;
	int key_len = (int)u->salted_password.len;

	if (key_len == 0)
		return (NULL);
	must(HMAC(md, u->salted_password.p, key_len, (const unsigned char *)"Client Key", strlen("Client Key"), client_key, &len) != NULL);
	must(HMAC(md, u->salted_password.p, key_len, (const unsigned char *)"Server Key", strlen("Server Key"), server_key, &len) != NULL);
	must(EVP_Digest(client_key, len, stored_key, &hashed, md, NULL) == 1);
	strbuf_add(&sb, "salt=");
	add_base64(&sb, u->salt.p, u->salt.len);
	strbuf_add(&sb, ",stored_key=");
	add_base64(&sb, stored_key, hashed);
	strbuf_add(&sb, ",server_key=");
	add_base64(&sb, server_key, len);
	strbuf_add(&sb, ",iterations=%d", u->iterations);
	return (strbuf_take(&sb));
}

/* 0: this is no credential.  Four parts, each once, in any order. */
static int32_t
credential_iterations(const char *text)
{
	static const char *const parts[] = { "salt=", "stored_key=", "server_key=", "iterations=" };
	unsigned seen = 0;
	int32_t n = 0;

	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ",");
		unsigned i = 0;

		while (i < NELEM(parts) && strncmp(p, parts[i], strlen(parts[i])) != 0)
			i++;
		if (i == NELEM(parts) || (seen & 1u << i) != 0)
			return (0);
		seen |= 1u << i;
		if (i == 3 && !str_to_i32(slice_of(p + strlen(parts[i]), len - strlen(parts[i])), &n))
			return (0);
		p += len;
		if (*p == '\0')
			break;
	}
	return (seen == (1u << NELEM(parts)) - 1 ? n : 0);
}

/* ---- describing ---- */

struct describe {
	struct admin	*admin;
	struct admin_describe_scram *d;
	struct arena	 arena;
	int32_t		 size;		/* of d->users */
	int32_t		 i;		/* the user at work */
	bool		 failed;
};

static void describe_run(struct admin_job *);
static void describe_next(struct describe *);

static void
describe_end(struct describe *s)
{
	struct admin_describe_scram *d = s->d;

	if (s->failed) {
		d->error = KERR_UNKNOWN_SERVER_ERROR;
		d->nusers = 0;
	}
	arena_fini(&s->arena);
	free(s);
	admin_done(&d->job);
}

static void
describe_again(struct describe *s)
{
	struct admin_job *j = &s->d->job;

	arena_fini(&s->arena);
	free(s);
	j->run = describe_run;
	admin_again(j);
}

/* true: the user has a credential, and the row says which. */
static bool
take_credentials(struct describe *s, const struct zk_config *config, struct admin_scram_user *u)
{
	bool any = false;

	u->outcome = ADMIN_OK;
	for (int8_t m = ADMIN_SCRAM_SHA_256; m < ADMIN_SCRAM_END; m++) {
		const char *text = zk_config_value(config, mechanism_name(m));

		if (text == NULL)
			continue;
		any = true;
		u->iterations[m] = credential_iterations(text);
		if (u->iterations[m] == 0)
			u->outcome = admin_outcome(&s->d->job, KERR_UNKNOWN_SERVER_ERROR, kerr_text(KERR_UNKNOWN_SERVER_ERROR));
	}
	if (u->outcome.error != KERR_NONE)
		memset(u->iterations, 0, sizeof(u->iterations));
	return (any);
}

/* ---- describing: all ---- */

static struct admin_scram_user *
new_user(struct describe *s, struct slice name)
{
	struct admin_describe_scram *d = s->d;
	struct admin_scram_user *v = d->users;

	if (d->nusers == s->size) {
		s->size = s->size == 0 ? 16 : s->size * 2;
		v = ARENA_ARRAY(d->job.arena, struct admin_scram_user, (size_t)s->size);
		if (v == NULL)
			return (NULL);
		if (d->nusers > 0)
			memcpy(v, d->users, (size_t)d->nusers * sizeof(*v));
		d->users = v;
	}
	v[d->nusers].name = arena_dup(d->job.arena, name);
	return (v[d->nusers].name.p == NULL ? NULL : &v[d->nusers]);
}

static void
entity_seen(void *ctx, const struct zk_entity *e, const struct zk_config *config)
{
	struct describe *s = ctx;
	struct admin_scram_user *u;

	if (e->type != ZK_ENTITY_USER || s->failed)
		return;
	u = new_user(s, slice_str(e->name));
	if (u == NULL)
		s->failed = true;
	else if (take_credentials(s, config, u))
		s->d->nusers++;
}

static int
user_cmp(const void *av, const void *bv)
{
	const struct admin_scram_user *a = av, *b = bv;

	return (slice_cmp(a->name, b->name));
}

static void
all_read(void *ctx, enum err e, const struct errbuf *why)
{
	struct describe *s = ctx;

	if (e == ERR_ZK_EXPIRED) {
		describe_again(s);
		return;
	}
	if (e != OK) {
		diag_info(s->admin->opt.diag, "admin", "reading credentials: %s", why->text);
		s->failed = true;
	} else if (s->d->nusers > 1)
		qsort(s->d->users, (size_t)s->d->nusers, sizeof(*s->d->users), user_cmp);
	describe_end(s);
}

/* ---- describing: some ---- */

static void
one_end(struct describe *s, enum kerr k, const char *words)
{
	s->d->users[s->i++].outcome = admin_outcome(&s->d->job, k, words);
	describe_next(s);
}

static void
one_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct describe *s = ctx;

	(void)found;
	if (e == ERR_ZK_EXPIRED)
		describe_again(s);
	else if (e != OK) {
		diag_info(s->admin->opt.diag, "admin", "reading credentials: %s", why->text);
		one_end(s, KERR_UNKNOWN_SERVER_ERROR, kerr_text(KERR_UNKNOWN_SERVER_ERROR));
	} else if (take_credentials(s, config, &s->d->users[s->i])) {
		s->i++;
		describe_next(s);
	} else
		one_end(s, KERR_RESOURCE_NOT_FOUND, "this user has no SCRAM credential");
}

/* The next user whose outcome is not known yet. */
static void
describe_next(struct describe *s)
{
	struct admin_describe_scram *d = s->d;
	struct zk_entity entity = { .type = ZK_ENTITY_USER };

	while (s->i < d->nusers && d->users[s->i].outcome.error != KERR_NONE)
		s->i++;
	if (s->i == d->nusers || s->admin->opt.zk == NULL) {
		s->failed = s->failed || s->i < d->nusers;
		describe_end(s);
		return;
	}
	entity.name = user_name(&s->arena, d->users[s->i].name);
	if (entity.name == NULL)
		one_end(s, KERR_RESOURCE_NOT_FOUND, "no user can have this name");
	else
		zk_config_read(s->admin->opt.zk, &entity, one_read, s);
}

struct name_ref {
	struct slice	 name;
	int32_t		 i;
};

static int
ref_cmp(const void *av, const void *bv)
{
	const struct name_ref *a = av, *b = bv;
	int c = slice_cmp(a->name, b->name);

	return (c != 0 ? c : a->i < b->i ? -1 : 1);
}

/* Each name once, where it was first; those without a name and those that are there twice have their answer. */
static bool
take_names(struct describe *s)
{
	struct admin_describe_scram *d = s->d;
	size_t n = (size_t)d->nnames;
	struct name_ref *refs = ARENA_ARRAY(d->job.arena, struct name_ref, n + 1);
	uint8_t *times = ARENA_ARRAY(d->job.arena, uint8_t, n + 1);	/* by position of the first: 1, or 2 for more */

	d->users = ARENA_ARRAY(d->job.arena, struct admin_scram_user, n + 1);
	if (refs == NULL || times == NULL || d->users == NULL)
		return (false);
	for (size_t i = 0; i < n; i++)
		refs[i] = (struct name_ref){ d->names[i], (int32_t)i };
	qsort(refs, n, sizeof(*refs), ref_cmp);
	for (size_t i = 0, first = 0; i < n; i++) {
		if (i == 0 || !slice_eq(refs[i].name, refs[first].name))
			first = i;
		times[refs[first].i] = first == i ? 1 : 2;
	}
	for (size_t i = 0; i < n; i++) {
		struct admin_scram_user *u = &d->users[d->nusers];

		if (times[i] == 0)
			continue;
		u->name = d->names[i];
		if (u->name.len == 0)
			u->outcome = admin_outcome(&d->job, KERR_RESOURCE_NOT_FOUND, "a user has a name");
		else if (times[i] > 1)
			u->outcome = admin_outcome(&d->job, KERR_DUPLICATE_RESOURCE, "the request names this user twice");
		d->nusers++;
	}
	return (true);
}

static void
describe_run(struct admin_job *j)
{
	struct admin_describe_scram *d = CONTAINER_OF(j, struct admin_describe_scram, job);
	struct describe *s = xcalloc(1, sizeof(*s));

	s->admin = j->admin;
	s->d = d;
	d->error = KERR_NONE;
	d->users = NULL;
	d->nusers = 0;
	arena_init(&s->arena, LIMIT_RESPONSE_ARENA_MAX);
	if (d->nnames > 0 && take_names(s))
		describe_next(s);
	else if (d->nnames > 0 || s->admin->opt.zk == NULL) {
		s->failed = true;
		describe_end(s);
	} else
		zk_config_read_all(s->admin->opt.zk, ZK_ENTITY_USER, s->admin->opt.diag, entity_seen, all_read, s);
}

void
admin_describe_scram(struct admin *a, struct admin_describe_scram *d)
{
	admin_start(a, &d->job, describe_run);
}

/* ---- changing ---- */

struct change {				/* one of a user's */
	struct slice	 user;
	int8_t		 mechanism;
	const struct admin_scram_upsertion *put;	/* NULL: a deletion */
};

struct user {				/* beside admin_scram_user, of the same number */
	const struct change *changes;
	int32_t		 n;
	struct config_map config;	/* what the node said, and then what it is to say */
	struct slice	 raw;		/* the node's text, in the job's memory: what we do not know stays in it */
	const char	*name;
};

struct alter {
	struct admin	*admin;
	struct admin_alter_scram *c;
	struct arena	 arena;
	struct change	*changes;	/* by user */
	struct user	*users;
	int32_t		 i;		/* the user at work */
	bool		 writing;	/* else reading */
};

static void alter_next(struct alter *);

static void
alter_end(struct alter *s)
{
	struct admin_job *j = &s->c->job;

	for (int32_t i = 0; i < s->c->nusers; i++)
		config_map_fini(&s->users[i].config);
	arena_fini(&s->arena);
	free(s->changes);
	free(s->users);
	free(s);
	admin_change_done(j);
}

/* Before anything is written: the request as a whole fails, as in Java. */
static void
alter_fail(struct alter *s)
{
	for (int32_t i = 0; i < s->c->nusers; i++)
		config_map_fini(&s->users[i].config);
	s->c->nusers = 0;
	s->c->users = NULL;
	alter_end(s);
}

static void
refuse(struct alter *s, int32_t i, enum kerr k, const char *words)
{
	s->c->users[i].outcome = admin_outcome(&s->c->job, k, words);
}

/* ---- changing: writes ---- */

static void
user_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct alter *s = ctx;

	if (e == ERR_ZK_EXPIRED) {
		admin_again(&s->c->job);
		return;
	}
	if (e == ERR_INVALID)
		refuse(s, s->i, KERR_UNACCEPTABLE_CREDENTIAL, "so much salt does not fit into a node of ZooKeeper");
	else if (e != OK) {
		enum kerr k = e == ERR_FENCED ? KERR_STALE_CONTROLLER_EPOCH : KERR_UNKNOWN_SERVER_ERROR;

		diag_info(s->admin->opt.diag, "admin", "changing credentials: %s", why->text);
		refuse(s, s->i, k, kerr_text(k));
	}
	s->i++;
	alter_next(s);
}

static void
user_write(struct alter *s)
{
	struct user *u = &s->users[s->i];
	struct zk_entity entity = { .type = ZK_ENTITY_USER, .name = u->name };
	struct zk_config config = { ARENA_ARRAY(&s->arena, struct zk_config_item, u->config.count + 1), 0, u->raw };

	if (config.items == NULL || !config_quotas_valid(QUOTA_OF_CLIENTS, &u->config, true)) {
		refuse(s, s->i++, KERR_UNKNOWN_SERVER_ERROR, kerr_text(KERR_UNKNOWN_SERVER_ERROR));
		loop_post(s->admin->opt.loop, &s->c->job.task);
		return;
	}
	for (size_t i = 0; i < u->config.count; i++)
		config.items[config.nitems++] = (struct zk_config_item){ u->config.entries[i].name, u->config.entries[i].value };
	diag_info(s->admin->opt.diag, "admin", "the SCRAM credentials of user %s change", u->name);
	zk_config_write(s->admin->opt.zk, &entity, &config, ZK_CONFIG_NOTIFY | ZK_CONFIG_REMOVE_WHEN_EMPTY, user_written, s);
}

/* false: it has no key. */
static bool
user_apply(struct user *u)
{
	bool ok = true;

	for (int32_t i = 0; i < u->n; i++)
		if (u->changes[i].put == NULL)
			config_map_remove(&u->config, mechanism_name(u->changes[i].mechanism));
	for (int32_t i = 0; ok && i < u->n; i++)
		if (u->changes[i].put != NULL) {
			char *text = credential_text(u->changes[i].put);

			ok = text != NULL;
			if (ok)
				config_map_set(&u->config, mechanism_name(u->changes[i].mechanism), text);
			free(text);
		}
	return (ok);
}

/* Java prepares all users before it writes any, and whoever cannot be prepared fails all. */
static void
apply_all(struct alter *s)
{
	bool ok = true;

	for (int32_t i = 0; i < s->c->nusers; i++)
		if (s->c->users[i].outcome.error == KERR_NONE)
			ok = user_apply(&s->users[i]) && ok;
	for (int32_t i = 0; !ok && i < s->c->nusers; i++)
		if (s->c->users[i].outcome.error == KERR_NONE)
			refuse(s, i, KERR_UNKNOWN_SERVER_ERROR, kerr_text(KERR_UNKNOWN_SERVER_ERROR));
}

/* ---- changing: reads ---- */

static void
user_read(void *ctx, enum err e, const struct zk_config *now, bool found, const struct errbuf *why)
{
	struct alter *s = ctx;
	struct user *u = &s->users[s->i];

	(void)found;
	if (e == ERR_ZK_EXPIRED) {
		admin_again(&s->c->job);
		return;
	}
	e = admin_config_given_up(s->admin, e, why);
	if (e != OK) {
		diag_info(s->admin->opt.diag, "admin", "reading credentials: %s", why->text);
		alter_fail(s);
		return;
	}
	for (uint32_t i = 0; i < now->nitems; i++)
		config_map_set(&u->config, now->items[i].key, now->items[i].value);
	u->raw = arena_dup(&s->arena, now->raw);
	for (int32_t i = 0; i < u->n; i++)
		if (u->changes[i].put == NULL && config_map_get(&u->config, mechanism_name(u->changes[i].mechanism)) == NULL)
			refuse(s, s->i, KERR_RESOURCE_NOT_FOUND, "there is no such credential to delete");
	s->i++;
	alter_next(s);
}

static void
alter_next(struct alter *s)
{
	struct admin_alter_scram *c = s->c;
	struct zk_entity entity = { .type = ZK_ENTITY_USER };

	while (s->i < c->nusers && c->users[s->i].outcome.error != KERR_NONE)
		s->i++;
	if (s->i == c->nusers && !s->writing) {
		apply_all(s);
		s->writing = true;
		s->i = 0;
		alter_next(s);
		return;
	}
	if (s->i == c->nusers) {
		alter_end(s);
		return;
	}
	if (s->admin->opt.zk == NULL) {	/* the broker ends */
		for (int32_t i = s->i; i < c->nusers; i++)
			if (c->users[i].outcome.error == KERR_NONE)
				refuse(s, i, KERR_UNKNOWN_SERVER_ERROR, kerr_text(KERR_UNKNOWN_SERVER_ERROR));
		alter_end(s);
		return;
	}
	entity.name = s->users[s->i].name;
	if (s->writing)
		user_write(s);
	else
		zk_config_read(s->admin->opt.zk, &entity, user_read, s);
}

/* ---- changing: the request by itself ---- */

static int
change_cmp(const void *av, const void *bv)
{
	const struct change *a = av, *b = bv;
	int c = slice_cmp(a->user, b->user);

	if (c != 0)
		return (c);
	if ((a->put == NULL) != (b->put == NULL))
		return (a->put == NULL ? -1 : 1);
	return (a->put < b->put ? -1 : a->put > b->put);	/* upsertions stay in their order */
}

static void
judge_change(struct alter *s, int32_t user, const struct change *ch)
{
	if (ch->user.len == 0)
		refuse(s, user, KERR_UNACCEPTABLE_CREDENTIAL, "a user has a name");
	else if (mechanism_name(ch->mechanism) == NULL)
		refuse(s, user, KERR_UNSUPPORTED_SASL_MECHANISM, "there is no such mechanism: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512");
	else if (ch->put != NULL && ch->put->iterations < ITERATIONS_MIN)
		refuse(s, user, KERR_UNACCEPTABLE_CREDENTIAL, "too few iterations: 4096 at least");
	else if (ch->put != NULL && ch->put->iterations > ITERATIONS_MAX)
		refuse(s, user, KERR_UNACCEPTABLE_CREDENTIAL, "too many iterations: 16384 at most");
}

static void
judge_user(struct alter *s, int32_t user)
{
	struct user *u = &s->users[user];
	unsigned seen = 0;

	for (int32_t i = 0; i < u->n; i++)
		judge_change(s, user, &u->changes[i]);	/* of several reasons the last one is told */
	for (int32_t i = 0; s->c->users[user].outcome.error == KERR_NONE && i < u->n; i++) {
		if ((seen & 1u << u->changes[i].mechanism) != 0)
			refuse(s, user, KERR_DUPLICATE_RESOURCE, "a credential may be changed once in a request");
		seen |= 1u << u->changes[i].mechanism;
	}
	if (s->c->users[user].outcome.error != KERR_NONE)
		return;
	u->name = user_name(&s->arena, s->c->users[user].name);
	if (u->name == NULL)
		refuse(s, user, KERR_UNACCEPTABLE_CREDENTIAL, "no user can have this name");
}

static bool
take_changes(struct alter *s)
{
	struct admin_alter_scram *c = s->c;
	size_t n = (size_t)c->ndeletions + (size_t)c->nupsertions, at = 0;

	s->changes = xcalloc(n + 1, sizeof(*s->changes));
	s->users = xcalloc(n + 1, sizeof(*s->users));
	c->users = ARENA_ARRAY(c->job.arena, struct admin_scram_user, n + 1);
	if (c->users == NULL)
		return (false);
	for (int32_t i = 0; i < c->ndeletions; i++)
		s->changes[at++] = (struct change){ c->deletions[i].user, c->deletions[i].mechanism, NULL };
	for (int32_t i = 0; i < c->nupsertions; i++)
		s->changes[at++] = (struct change){ c->upsertions[i].user, c->upsertions[i].mechanism, &c->upsertions[i] };
	qsort(s->changes, n, sizeof(*s->changes), change_cmp);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !slice_eq(s->changes[i].user, s->changes[i - 1].user)) {
			c->users[c->nusers].name = s->changes[i].user;
			s->users[c->nusers++].changes = &s->changes[i];
		}
		s->users[c->nusers - 1].n++;
	}
	for (int32_t i = 0; i < c->nusers; i++)
		judge_user(s, i);
	return (true);
}

static void
alter_step(struct admin_job *j)
{
	struct admin_alter_scram *c = CONTAINER_OF(j, struct admin_alter_scram, job);
	struct alter *s = c->state;

	if (s == NULL) {	/* its turn has come */
		s = c->state = xcalloc(1, sizeof(*s));
		s->admin = j->admin;
		s->c = c;
		c->nusers = 0;
		arena_init(&s->arena, LIMIT_RESPONSE_ARENA_MAX);
		if (!take_changes(s)) {
			alter_fail(s);
			return;
		}
	}
	alter_next(s);
}

void
admin_alter_scram(struct admin *a, struct admin_alter_scram *c)
{
	c->state = NULL;
	c->users = NULL;
	admin_change(a, &c->job, alter_step);
}
