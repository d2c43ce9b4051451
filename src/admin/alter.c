/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/alter.c - changing settings.  See configs.h for the interface.
 *
 * First what is wrong with the request itself, as ConfigAdminManager.preprocess looks at it: resources named twice, then per resource repeated or
 * missing settings, its type, whose broker it is.  Loggers are dealt with there and then.  What is left is done one resource after the other:
 *
 *	the topic is in the image -> (incremental: read the node) -> the new set, checked by config/alter -> write it, with a notification
 *
 * INVARIANT  One job at a time: read, work and write are not interrupted by another change that goes through this broker, so no change of ours is
 *	lost.  Between brokers the last writer wins, as in Kafka.
 * FAILURE    An expired session begins the resource again: the steps are idempotent.
 */
#include <stdlib.h>

#include "admin/admin_int.h"
#include "admin/config_int.h"
#include "admin/configs.h"
#include "base/alloc.h"
#include "zk/notify.h"
#include "zk/paths.h"

enum { NAME_MAX_SHOWN = 100 };

struct alter {
	struct admin	*admin;
	struct admin_alter_configs *c;
	int32_t		 i;		/* the resource at work */
	/* of that resource */
	char		*name;
	struct config_map wanted;
	struct slice	 raw;		/* the node's text, while it is at hand */
	bool		 begun;
};

static void alter_run(struct admin_job *);

/* ---- shared with describe.c ---- */

bool
admin_is_this_broker(const struct admin *a, struct slice name, struct errbuf *eb)
{
	int32_t id;

	if (!str_to_i32(name, &id)) {
		errbuf_set(eb, "a broker's id is a whole number, not '%.*s'", (int)MIN(name.len, NAME_MAX_SHOWN), (const char *)name.p);
		return (false);
	}
	if (id != a->opt.broker_id)
		errbuf_set(eb, "this is broker %d, not %d; ask that one", a->opt.broker_id, id);
	return (id == a->opt.broker_id);
}

void
admin_config_map(const struct zk_config *c, struct config_map *out)
{
	for (uint32_t i = 0; i < c->nitems; i++)
		config_map_set(out, c->items[i].key, c->items[i].value);
}

enum err
admin_config_given_up(const struct admin *a, enum err e, const struct errbuf *why)
{
	if (e != ERR_MALFORMED)
		return (e);
	diag_error(a->opt.diag, "admin", "%s; the settings in it are given up", why->text);
	return (OK);
}

static const struct {
	const char	*name;
	enum diag_level	 level;
} levels[] = {	/* of several for one threshold the first is shown */
	{ "DEBUG", DIAG_DEBUG }, { "TRACE", DIAG_DEBUG }, { "INFO", DIAG_INFO }, { "WARN", DIAG_WARNING }, { "ERROR", DIAG_ERROR },
	{ "FATAL", DIAG_ERROR },
};

const char *
admin_logger_level(const struct diag *d)
{
	for (size_t i = 0; i < NELEM(levels); i++)
		if (diag_enabled(d, levels[i].level))
			return (levels[i].name);
	return ("FATAL");
}

bool
admin_logger_parse(struct slice text, enum diag_level *level)
{
	for (size_t i = 0; i < NELEM(levels); i++)
		if (slice_eq_str(text, levels[i].name)) {
			*level = levels[i].level;
			return (true);
		}
	return (false);
}

/* ---- loggers ---- */

static enum kerr
logger_check(const struct config_wish *w, struct errbuf *eb)
{
	int shown = (int)MIN(w->name.len, NAME_MAX_SHOWN);
	enum diag_level level;

	if (w->op != CONFIG_OP_SET && w->op != CONFIG_OP_DELETE) {
		errbuf_set(eb, "a logger's level can be set and nothing else");
		return (KERR_INVALID_REQUEST);
	}
	if (!slice_eq_str(w->name, ADMIN_ROOT_LOGGER)) {
		errbuf_set(eb, "there is no logger '%.*s': all diagnostics have the level of '" ADMIN_ROOT_LOGGER "'", shown,
		    (const char *)w->name.p);
		return (KERR_INVALID_CONFIG);
	}
	if (w->op == CONFIG_OP_DELETE) {
		errbuf_set(eb, "the level of '" ADMIN_ROOT_LOGGER "' cannot be removed");
		return (KERR_INVALID_REQUEST);
	}
	if (!admin_logger_parse(w->value, &level)) {
		errbuf_set(eb, "'%.*s' is no level for '" ADMIN_ROOT_LOGGER "'; levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
		    (int)MIN(w->value.len, NAME_MAX_SHOWN), (const char *)w->value.p);
		return (KERR_INVALID_CONFIG);
	}
	return (KERR_NONE);
}

static enum kerr
logger_alter(struct alter *s, const struct admin_altered *r, struct errbuf *eb)
{
	enum diag_level level;
	enum kerr k = KERR_NONE;

	if (!admin_is_this_broker(s->admin, r->name, eb))
		return (KERR_INVALID_REQUEST);
	for (int32_t i = 0; k == KERR_NONE && i < r->nwishes; i++)
		k = logger_check(&r->wishes[i], eb);
	for (int32_t i = 0; k == KERR_NONE && !s->c->validate_only && i < r->nwishes; i++)
		if (admin_logger_parse(r->wishes[i].value, &level) && s->admin->opt.diag != NULL) {
			diag_set_level(s->admin->opt.diag, level);
			diag_warning(s->admin->opt.diag, "admin", "the level of diagnostics is %.*s now", (int)r->wishes[i].value.len,
			    (const char *)r->wishes[i].value.p);
		}
	return (k);
}

/* ---- the request itself ---- */

struct resource_ref {
	const struct admin_altered *r;
	int32_t		 i;
};

static int
by_resource(const void *x, const void *y)
{
	const struct resource_ref *a = x, *b = y;

	return (a->r->type != b->r->type ? a->r->type - b->r->type : slice_cmp(a->r->name, b->r->name));
}

static void
refuse(struct alter *s, struct admin_altered *r, enum kerr k, const char *words)
{
	r->outcome = admin_outcome(&s->c->job, k, words);
	r->refused = true;
}

static void
refuse_repeated(struct alter *s)
{
	size_t n = (size_t)s->c->nresources;
	struct resource_ref *refs = xcalloc(n + 1, sizeof(*refs));

	for (size_t i = 0; i < n; i++)
		refs[i] = (struct resource_ref){ &s->c->resources[i], (int32_t)i };
	qsort(refs, n, sizeof(*refs), by_resource);
	for (size_t i = 1; i < n; i++)
		if (by_resource(&refs[i - 1], &refs[i]) == 0) {
			refuse(s, &s->c->resources[refs[i - 1].i], KERR_INVALID_REQUEST, "a resource may be named only once");
			refuse(s, &s->c->resources[refs[i].i], KERR_INVALID_REQUEST, "a resource may be named only once");
		}
	free(refs);
}

/* KERR_NONE and *done: nothing is left to do. */
static enum kerr
preprocess(struct alter *s, const struct admin_altered *r, bool *done, struct errbuf *eb)
{
	enum kerr k = config_wishes_check(r->wishes, (size_t)r->nwishes, eb);

	*done = false;
	if (k != KERR_NONE)
		return (k);
	if (r->type == ADMIN_RESOURCE_BROKER_LOGGER && s->c->incremental) {
		*done = true;
		return (logger_alter(s, r, eb));
	}
	if (r->type == ADMIN_RESOURCE_BROKER)
		return (r->name.len == 0 || admin_is_this_broker(s->admin, r->name, eb) ? KERR_NONE : KERR_INVALID_REQUEST);
	if (r->type == ADMIN_RESOURCE_TOPIC && r->name.len == 0) {
		errbuf_set(eb, "a topic's name is missing; defaults of topics are settings of brokers");
		return (KERR_INVALID_REQUEST);
	}
	if (r->type != ADMIN_RESOURCE_TOPIC) {
		errbuf_set(eb, "settings of topics and brokers can be altered, not of resources of type %d", r->type);
		return (KERR_INVALID_REQUEST);
	}
	return (KERR_NONE);
}

static void
preprocess_all(struct alter *s)
{
	for (int32_t i = 0; i < s->c->nresources; i++)
		s->c->resources[i].refused = false;
	refuse_repeated(s);
	for (int32_t i = 0; i < s->c->nresources; i++) {
		struct admin_altered *r = &s->c->resources[i];
		struct errbuf eb = ERRBUF_INIT;
		bool done;
		enum kerr k;

		if (r->refused)
			continue;
		k = preprocess(s, r, &done, &eb);
		if (k != KERR_NONE || done)
			refuse(s, r, k, k == KERR_NONE ? NULL : eb.text);
	}
}

/* ---- the end of a resource, and of all ---- */

static void
alter_end(struct alter *s)
{
	struct admin_job *j = &s->c->job;

	free(s);
	admin_change_done(j);
}

static void
resource_end(struct alter *s, enum kerr k, const char *words)
{
	s->c->resources[s->i].outcome = admin_outcome(&s->c->job, k, words);
	config_map_fini(&s->wanted);
	free(s->name);
	s->name = NULL;
	s->begun = false;
	s->i++;
	loop_post(s->admin->opt.loop, &s->c->job.task);
}

static void
resource_failed(struct alter *s, enum err e, const struct errbuf *why)
{
	config_map_fini(&s->wanted);
	if (e == ERR_ZK_EXPIRED) {
		admin_again(&s->c->job);
		return;
	}
	diag_info(s->admin->opt.diag, "admin", "changing the configuration of %s: %s", s->name, why->text);
	if (e == ERR_FENCED)
		resource_end(s, KERR_STALE_CONTROLLER_EPOCH, why->text);
	else
		resource_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
}

/* ---- one resource ---- */

static struct zk_entity
entity_of(const struct alter *s)
{
	const struct admin_altered *r = &s->c->resources[s->i];

	if (r->type == ADMIN_RESOURCE_TOPIC)
		return ((struct zk_entity){ ZK_ENTITY_TOPIC, s->name, NULL });
	return ((struct zk_entity){ ZK_ENTITY_BROKER, r->name.len == 0 ? ZK_DEFAULT_ENTITY : s->name, NULL });
}

static void
resource_written(void *ctx, enum err e, const struct errbuf *why)
{
	struct alter *s = ctx;

	if (e == OK)
		resource_end(s, KERR_NONE, NULL);
	else if (e == ERR_INVALID)
		resource_end(s, KERR_INVALID_CONFIG, "so many settings do not fit into a node of ZooKeeper");
	else
		resource_failed(s, e, why);
}

static void
resource_write(struct alter *s)
{
	struct zk_config config = { xcalloc(s->wanted.count + 1, sizeof(*config.items)), 0, s->raw };
	struct zk_entity entity = entity_of(s);

	for (size_t i = 0; i < s->wanted.count; i++)
		config.items[config.nitems++] = (struct zk_config_item){ s->wanted.entries[i].name, s->wanted.entries[i].value };
	diag_info(s->admin->opt.diag, "admin", "%s %s is to have %u settings of its own", entity.type == ZK_ENTITY_TOPIC ? "topic" : "broker",
	    entity.name, config.nitems);
	zk_config_write(s->admin->opt.zk, &entity, &config, ZK_CONFIG_NOTIFY, resource_written, s);
	free(config.items);
}

static enum kerr
work(struct alter *s, const struct config_map *current, struct errbuf *eb)
{
	const struct admin_altered *r = &s->c->resources[s->i];
	const struct config *c = admin_config(s->admin);
	size_t n = (size_t)r->nwishes;
	enum kerr k;

	if (r->type == ADMIN_RESOURCE_TOPIC)
		return (s->c->incremental ? config_alter_topic(c, current, r->wishes, n, &s->wanted, eb) :
		    config_replace_topic(c, r->wishes, n, &s->wanted, eb));
	k = s->c->incremental ? config_alter_broker(c, r->name.len > 0, current, r->wishes, n, &s->wanted, eb) :
	    config_replace_broker(c, r->name.len > 0, r->wishes, n, &s->wanted, eb);
	if (k != KERR_NONE || s->c->validate_only)
		return (k);
	return (config_seal(c, r->name.len > 0, current, r->wishes, n, &s->wanted, s->admin->opt.random, eb));
}

static void
resource_work(struct alter *s, const struct config_map *current)
{
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = work(s, current, &eb);

	if (k == KERR_UNKNOWN_SERVER_ERROR) {
		diag_error(s->admin->opt.diag, "admin", "changing the configuration of %s: %s", s->name, eb.text);
		resource_end(s, k, NULL);
	} else if (k != KERR_NONE)
		resource_end(s, k, eb.text);
	else if (s->c->validate_only)
		resource_end(s, KERR_NONE, NULL);
	else if (s->admin->opt.zk == NULL)
		resource_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		resource_write(s);
}

static void
resource_read(void *ctx, enum err e, const struct zk_config *config, bool found, const struct errbuf *why)
{
	struct alter *s = ctx;
	struct config_map current = CONFIG_MAP_INIT;

	(void)found;
	e = admin_config_given_up(s->admin, e, why);
	if (e != OK) {
		resource_failed(s, e, why);
		return;
	}
	admin_config_map(config, &current);
	s->raw = config->raw;		/* what we do not know stays in the node */
	resource_work(s, s->c->incremental ? &current : NULL);
	s->raw = SLICE_NULL;
	config_map_fini(&current);
}

static void
resource_begin(struct alter *s)
{
	struct zk_entity entity = entity_of(s);

	if (s->admin->opt.zk == NULL)
		resource_end(s, KERR_UNKNOWN_SERVER_ERROR, NULL);
	else
		zk_config_read(s->admin->opt.zk, &entity, resource_read, s);	/* who replaces the settings reads too: for the rest of the node */
}

/* What Java says of a topic's wishes before it asks whether there is such a topic. */
static enum kerr
operations_wrong(const struct admin_altered *r, struct errbuf *eb)
{
	for (int32_t i = 0; i < r->nwishes; i++) {
		const struct config_wish *w = &r->wishes[i];
		char name[128];
		const struct config_key *key;

		if (w->op < CONFIG_OP_SET || w->op > CONFIG_OP_SUBTRACT)
			return (KERR_UNKNOWN_SERVER_ERROR);
		if (w->op == CONFIG_OP_SET || w->op == CONFIG_OP_DELETE)
			continue;
		str_format(name, sizeof(name), "%.*s", (int)MIN(w->name.len, sizeof(name)), (const char *)w->name.p);
		key = config_topic_key(name);
		if (key == NULL)
			return (KERR_UNKNOWN_SERVER_ERROR);
		if (key->type != CONFIG_LIST) {
			errbuf_set(eb, "%s is no list: it can be set and deleted, not appended to or subtracted from", name);
			return (KERR_INVALID_CONFIG);
		}
	}
	return (KERR_NONE);
}

static bool
is_known(const struct alter *s, const struct admin_altered *r)
{
	return (r->type != ADMIN_RESOURCE_TOPIC || image_topic(cluster_read(s->admin->opt.cluster), r->name) != NULL);
}

static void
resource_start(struct alter *s)
{
	struct admin_altered *r = &s->c->resources[s->i];
	struct errbuf eb = ERRBUF_INIT;
	enum kerr k = KERR_NONE;

	s->begun = true;
	s->wanted = (struct config_map)CONFIG_MAP_INIT;
	if (s->c->incremental && r->type == ADMIN_RESOURCE_TOPIC)
		k = operations_wrong(r, &eb);
	if (k != KERR_NONE)
		resource_end(s, k, k == KERR_UNKNOWN_SERVER_ERROR ? NULL : eb.text);
	else if (!is_known(s, r))
		resource_end(s, KERR_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
	else {
		s->name = r->name.len == 0 ? xstrdup("") : xstrndup((const char *)r->name.p, r->name.len);
		resource_begin(s);
	}
}

static void
alter_step(struct admin_job *j)
{
	struct alter *s = CONTAINER_OF(j, struct admin_alter_configs, job)->state;

	if (s == NULL) {	/* its turn has come */
		alter_run(j);
		return;
	}
	while (!s->begun && s->i < s->c->nresources && s->c->resources[s->i].refused)
		s->i++;
	if (s->i == s->c->nresources)
		alter_end(s);
	else if (s->begun)
		resource_begin(s);
	else
		resource_start(s);
}

static void
alter_run(struct admin_job *j)
{
	struct admin_alter_configs *c = CONTAINER_OF(j, struct admin_alter_configs, job);
	struct alter *s = xcalloc(1, sizeof(*s));

	s->admin = j->admin;
	s->c = c;
	c->state = s;
	preprocess_all(s);
	alter_step(j);
}

void
admin_alter_configs(struct admin *a, struct admin_alter_configs *c)
{
	c->state = NULL;
	admin_change(a, &c->job, alter_step);
}
