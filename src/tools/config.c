/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/config.c - ottla config list, describe, alter, delete.
 *
 * Changes go out as IncrementalAlterConfigs only: AlterConfigs resets every setting that it does not name.  What belongs to one broker is asked of
 * that broker, for only it can check its own settings; all the rest of any.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "config/describe.h"
#include "tools/cluster.h"

enum resource_type { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_BROKER_LOGGER = 8 };
enum operation { SET = 0, DELETE = 1, APPEND = 2, SUBTRACT = 3 };

static const struct {
	const char *word;
	enum resource_type type;
} types[] = {
	{ "topic", RESOURCE_TOPIC },
	{ "broker", RESOURCE_BROKER },
	{ "broker-logger", RESOURCE_BROKER_LOGGER },
};

struct resource {
	enum resource_type type;
	const char *word, *name;	/* name: "default" as people say it */
	struct slice wire_name;		/* "" for the default of all brokers */
	struct node *node;
};

typedef struct wire_describe_configs_response_resource_result setting;
typedef struct wire_describe_configs_response_result settings;

/* ---- which resource ---- */

static bool
type_of(const struct arguments *a, struct resource *r)
{
	for (size_t i = 0; i < NELEM(types); i++)
		if (strcmp(types[i].word, a->operands[0]) == 0) {
			r->type = types[i].type;
			r->word = types[i].word;
			return (true);
		}
	(void)usage_error(a, "%s is neither topic nor broker nor broker-logger", a->operands[0]);
	return (false);
}

/* Without a look whether it is there; any broker answers for topics and for all brokers. */
static void
resource_begin(struct cluster *c, struct resource *r, const char *name)
{
	r->name = name;
	r->wire_name = slice_str(name);
	r->node = cluster_any(c);
}

static enum status
resource_named(const struct arguments *a, struct cluster *c, struct resource *r, const char *name)
{
	const struct wire_metadata_response *m;
	int32_t id;

	resource_begin(c, r, name);
	if (r->type == RESOURCE_TOPIC) {
		m = cluster_metadata(c, NULL, 0);
		return (m != NULL && cluster_topic(c, m, name) != NULL ? STATUS_CLEAN : STATUS_FAILED);
	}
	if (r->type == RESOURCE_BROKER && strcmp(name, "default") == 0) {
		r->wire_name = SLICE_LIT("");
		return (STATUS_CLEAN);
	}
	if (!str_to_i32(slice_str(name), &id))
		return (usage_error(a, "%s is no broker id%s", name, r->type == RESOURCE_BROKER ? ", nor default (what holds for all brokers)" : ""));
	r->node = cluster_node(c, id);
	return (r->node != NULL ? STATUS_CLEAN : STATUS_FAILED);
}

/* TYPE NAME of the command line. */
static enum status
resource_asked(const struct arguments *a, struct cluster *c, struct resource *r)
{
	return (type_of(a, r) ? resource_named(a, c, r, a->operands[1]) : STATUS_USAGE);
}

/* ---- reading ---- */

static int
by_key(const void *a, const void *b)
{
	return (slice_cmp(((const setting *)a)->name, ((const setting *)b)->name));
}

/* NULL: complained.  Sorted by key. */
static const settings *
read_settings(struct cluster *c, const struct resource *r)
{
	settings *all = cluster_settings(c, r->node, r->type, r->wire_name, r->name);

	if (all != NULL && all->configs.n > 1)
		qsort(all->configs.v, (size_t)all->configs.n, sizeof(setting), by_key);
	return (all);
}

static const char *
source_word(int8_t source)
{
	switch ((enum config_source)source) {
	case CONFIG_SOURCE_TOPIC:
		return ("topic");
	case CONFIG_SOURCE_DYNAMIC_BROKER:
		return ("broker");
	case CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER:
		return ("all brokers");
	case CONFIG_SOURCE_STATIC_BROKER:
		return ("file");
	case CONFIG_SOURCE_DEFAULT:
		return ("default");
	case CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER:
		return ("logger");
	default:
		return ("unknown");
	}
}

/* Was it set for this resource, while the cluster ran? */
static bool
is_own(const struct resource *r, const setting *s)
{
	if (r->type == RESOURCE_TOPIC)
		return (s->config_source == CONFIG_SOURCE_TOPIC);
	if (r->type == RESOURCE_BROKER_LOGGER)
		return (true);
	return (s->config_source == CONFIG_SOURCE_DYNAMIC_BROKER || s->config_source == CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
}

static const setting *
find_setting(const settings *all, const char *key)
{
	for (int32_t i = 0; i < all->configs.n; i++)
		if (slice_eq_str(all->configs.v[i].name, key))
			return (&all->configs.v[i]);
	return (NULL);
}

static const char *
nearest_key(struct cluster *c, const settings *all, const char *key)
{
	struct nearest near = { .word = key, .within = 4 };

	for (int32_t i = 0; i < all->configs.n; i++)
		nearest_offer(&near, text_of(c, all->configs.v[i].name));
	return (near.best);
}

static void
print_setting(const struct arguments *a, struct cluster *c, struct table *t, const struct resource *r, const setting *s)
{
	const char *value = s->is_sensitive ? NULL : s->value.p == NULL ? NULL : text_of(c, s->value);
	struct line j;

	if (!given(a, OPT_json)) {
		table_cell(t, "%s", text_of(c, s->name));
		table_cell(t, "%s", source_word(s->config_source));
		table_cell(t, "%s", s->is_sensitive ? "********" : value == NULL ? "not set" : value);
		return;
	}
	line_begin(&j, "config");
	line_string(&j, "entity_type", r->word);
	line_string(&j, "entity", r->name);
	line_bytes(&j, "key", s->name);
	line_bytes(&j, "value", s->is_sensitive ? SLICE_NULL : s->value);
	line_string(&j, "source", source_word(s->config_source));
	line_bool(&j, "read_only", s->read_only);
	line_bool(&j, "sensitive", s->is_sensitive);
	line_end(&j);
}

static struct table *
setting_table(void)
{
	static const char *const heads[] = { "KEY", "SET BY", "VALUE" };

	return (table_new(heads, NELEM(heads)));
}

static enum status
describe_keys(const struct arguments *a, struct cluster *c, struct table *t, const struct resource *r, const settings *all)
{
	enum status status = STATUS_CLEAN;

	for (unsigned i = 2; i < a->noperands; i++) {
		const setting *s = find_setting(all, a->operands[i]);
		const char *near = s == NULL ? nearest_key(c, all, a->operands[i]) : NULL;

		if (s != NULL)
			print_setting(a, c, t, r, s);
		else
			status = failure(a, "%s %s has no setting %s%s%s%s", r->word, r->name, a->operands[i], near == NULL ? "" : "; did you mean ",
			    near == NULL ? "" : near, near == NULL ? "" : "?");
	}
	return (status);
}

static enum status
describe(const struct arguments *a, struct cluster *c)
{
	struct resource r;
	enum status status = resource_asked(a, c, &r);
	const settings *all = status == STATUS_CLEAN ? read_settings(c, &r) : NULL;
	struct table *t;

	if (all == NULL)
		return (status == STATUS_CLEAN ? STATUS_FAILED : status);
	t = setting_table();
	if (a->noperands > 2)
		status = describe_keys(a, c, t, &r, all);
	for (int32_t i = 0; a->noperands == 2 && i < all->configs.n; i++)
		if (given(a, OPT_all) || is_own(&r, &all->configs.v[i]))
			print_setting(a, c, t, &r, &all->configs.v[i]);
	table_print(&t);
	return (status);
}

/* ---- list ---- */

static enum status
list_one(const struct arguments *a, struct cluster *c, struct table *t, struct resource *r, const char *name)
{
	const settings *all;
	enum status status = STATUS_CLEAN;

	if (r->type == RESOURCE_TOPIC)
		resource_begin(c, r, name);	/* the cluster has just named it */
	else
		status = resource_named(a, c, r, name);
	if (status != STATUS_CLEAN)
		return (status);
	all = read_settings(c, r);
	for (int32_t i = 0; all != NULL && i < all->configs.n; i++) {
		/* What holds for all brokers is listed once. */
		if (!is_own(r, &all->configs.v[i]) || (r->wire_name.len > 0 && all->configs.v[i].config_source == CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER))
			continue;
		if (!given(a, OPT_json))
			table_cell(t, "%s", name);
		print_setting(a, c, t, r, &all->configs.v[i]);
	}
	return (all == NULL ? STATUS_FAILED : STATUS_CLEAN);
}

static enum status
list(const struct arguments *a, struct cluster *c)
{
	static const char *const heads[] = { "NAME", "KEY", "SET BY", "VALUE" };
	const struct wire_metadata_response *m;
	enum status status = STATUS_CLEAN;
	struct resource r;
	struct table *t;
	const int32_t *ids;
	int32_t n;

	if (!type_of(a, &r))
		return (STATUS_USAGE);
	m = cluster_metadata(c, NULL, 0);
	ids = cluster_ids(c, &n);
	if (m == NULL || ids == NULL)
		return (STATUS_FAILED);
	t = table_new(heads, NELEM(heads));
	for (int32_t i = 0; r.type == RESOURCE_TOPIC && i < m->topics.n; i++)
		status = worse(status, list_one(a, c, t, &r, text_of(c, m->topics.v[i].name)));
	if (r.type == RESOURCE_BROKER)
		status = worse(status, list_one(a, c, t, &r, "default"));
	for (int32_t i = 0; r.type != RESOURCE_TOPIC && i < n; i++)
		status = worse(status, list_one(a, c, t, &r, arena_printf(cluster_arena(c), "%" PRId32, ids[i])));
	table_print(&t);
	return (status);
}

/* ---- changing ---- */

typedef struct wire_incremental_alter_configs_request_config wish;

/* KEY=VALUE, KEY+=VALUE, KEY-=VALUE */
static bool
wish_parse(const char *text, wish *w)
{
	const char *eq = strchr(text, '=');
	size_t n;

	if (eq == NULL || eq == text)
		return (false);
	n = (size_t)(eq - text);
	w->config_operation = eq[-1] == '+' ? APPEND : eq[-1] == '-' ? SUBTRACT : SET;
	w->name = slice_of(text, n - (w->config_operation != SET));
	w->value = slice_str(eq + 1);
	return (w->name.len > 0);
}

/* "Unknown topic config name": the broker does not say which there are. */
static void
hints(struct cluster *c, const struct resource *r, const wish *w, int32_t n)
{
	const settings *all = read_settings(c, r);

	for (int32_t i = 0; all != NULL && i < n; i++) {
		const char *key = text_of(c, w[i].name), *near = find_setting(all, key) == NULL ? nearest_key(c, all, key) : NULL;

		if (near != NULL)
			fprintf(stderr, "  %s: did you mean %s?\n", key, near);
	}
}

static enum status
changed(const struct arguments *a, struct cluster *c, const struct resource *r, const wish *w, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		const char *what = w[i].config_operation == DELETE ? "deleted" : "altered";
		struct line j;

		if (!given(a, OPT_json)) {
			printf("%s %s: %s %s%s\n", r->word, r->name, text_of(c, w[i].name), given(a, OPT_dry_run) ? "would be " : "", what);
			continue;
		}
		line_begin(&j, "config");
		line_string(&j, "entity_type", r->word);
		line_string(&j, "entity", r->name);
		line_bytes(&j, "key", w[i].name);
		line_string(&j, "result", what);
		line_bool(&j, "dry_run", given(a, OPT_dry_run));
		line_end(&j);
	}
	return (STATUS_CLEAN);
}

static enum status
change(const struct arguments *a, struct cluster *c, const struct resource *r, wish *w, int32_t n)
{
	struct wire_incremental_alter_configs_request request;
	struct wire_incremental_alter_configs_request_resource resource;
	const struct wire_incremental_alter_configs_response *answer;
	const struct wire_incremental_alter_configs_response_resource *told;
	int version = cluster_version(c, r->node, API_INCREMENTAL_ALTER_CONFIGS, 0, ANY_VERSION);
	enum status status;

	if (version < 0)
		return (STATUS_FAILED);
	WIRE_INIT(incremental_alter_configs_request, &request);
	WIRE_INIT(incremental_alter_configs_request_resource, &resource);
	resource.resource_type = (int8_t)r->type;
	resource.resource_name = r->wire_name;
	resource.configs.v = w;
	resource.configs.n = n;
	request.resources.v = &resource;
	request.resources.n = 1;
	request.validate_only = given(a, OPT_dry_run);
	answer = cluster_call(c, r->node, API_INCREMENTAL_ALTER_CONFIGS, version, &request);
	if (answer == NULL)
		return (STATUS_FAILED);
	told = answer->responses.n == 1 ? &answer->responses.v[0] : NULL;
	if (told != NULL && told->error_code != KERR_NONE) {
		status = broker_refused(a, r->name, (enum kerr)told->error_code, told->error_message);
		hints(c, r, w, n);
		return (status);
	}
	if (told == NULL || told->resource_type != (int8_t)r->type || slice_cmp(told->resource_name, r->wire_name) != 0)
		return (failure(a, "%s %s: the broker says nothing of it; whether it was changed is not known", r->word, r->name));
	return (changed(a, c, r, w, n));
}

static enum status
alter(const struct arguments *a, struct cluster *c)
{
	int32_t n = (int32_t)a->noperands - 2;
	wish *w = WIRE_NEW_ARRAY(cluster_arena(c), incremental_alter_configs_request_config, n);
	struct resource r;
	enum status status;

	for (int32_t i = 0; i < n; i++)
		if (!wish_parse(a->operands[i + 2], &w[i]))
			return (usage_error(a, "%s is not KEY=VALUE, KEY+=VALUE or KEY-=VALUE", a->operands[i + 2]));
	status = resource_asked(a, c, &r);
	return (status != STATUS_CLEAN ? status : change(a, c, &r, w, n));
}

static enum status
delete_settings(const struct arguments *a, struct cluster *c)
{
	int32_t n = (int32_t)a->noperands - 2;
	wish *w = WIRE_NEW_ARRAY(cluster_arena(c), incremental_alter_configs_request_config, n);
	struct resource r;
	enum status status;

	for (int32_t i = 0; i < n; i++) {
		w[i].name = slice_str(a->operands[i + 2]);
		w[i].config_operation = DELETE;
		w[i].value = SLICE_NULL;
	}
	status = resource_asked(a, c, &r);
	return (status != STATUS_CLEAN ? status : change(a, c, &r, w, n));
}

enum status verb_config_list(const struct arguments *a) { return (on_cluster(a, list)); }
enum status verb_config_describe(const struct arguments *a) { return (on_cluster(a, describe)); }
enum status verb_config_alter(const struct arguments *a) { return (on_cluster(a, alter)); }
enum status verb_config_delete(const struct arguments *a) { return (on_cluster(a, delete_settings)); }
