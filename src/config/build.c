/* SPDX-License-Identifier: Apache-2.0
 *
 * config/build.c - from maps of text to a struct config: load, overlay, parse every row, release.
 *
 * A struct config is made in three steps, each of which reports all it finds: every row of broker.def is parsed and range-checked (a value
 * that fails leaves the default in its field, so that the later steps can still look at the rest); config_derive works out the derived fields
 * and the rules between settings; config_screen (only for what a file and the command line say) looks for unknown, unbuilt and idle keys.
 *
 * broker.id and node.id are two names of one thing: whichever is given stands for both (KafkaConfig.populateSynonyms).
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/must.h"
#include "config/config_int.h"
#include "config/properties.h"

/* ---- life cycle ---- */

struct config *
config_ref(const struct config *c)
{
	atomic_fetch_add_explicit(&c->internal->refs, 1, memory_order_relaxed);
	return ((struct config *)(uintptr_t)c);
}

static void
config_free(struct config *c)
{
	struct config_internal *in = c->internal;
	size_t i;

	for (i = 0; i < config_broker_key_count; i++)
		config_value_fini(&config_broker_keys[i], config_field(c, &config_broker_keys[i]));
	config_list_fini(&c->log_directories);
	free(c->zookeeper_embedded_host);
	for (i = 0; i < c->ip_limit_count; i++)
		free(c->ip_limits[i].host);
	free(c->ip_limits);
	config_listeners_fini(&c->bind);
	config_listeners_fini(&c->advertised);
	listener_protocols_fini(&c->protocols);
	free((char *)(uintptr_t)c->inter_broker_name);
	config_map_fini(&in->fixed);
	config_map_fini(&in->by_default);
	config_map_fini(&in->by_broker);
	config_map_fini(&in->merged);
	free(in->nulls);
	free(in->file);
	free(in);
	free(c);
}

void
config_unref(struct config **cp)
{
	struct config *c = *cp;

	*cp = NULL;
	if (c != NULL && atomic_fetch_sub_explicit(&c->internal->refs, 1, memory_order_acq_rel) == 1)
		config_free(c);
}

/* ---- reading ---- */

bool
config_is_null(const struct config *c, const char *name)
{
	const struct config_key *key = config_broker_key(name);

	must(key != NULL);
	return (c->internal->nulls[key - config_broker_keys]);
}

char *
config_value_text(const struct config *c, const struct config_key *key)
{
	if (c->internal->nulls[key - config_broker_keys])
		return (NULL);
	return (config_value_format(key, config_field(c, key)));
}

const struct config_map *
config_dynamic_broker(const struct config *c)
{
	return (&c->internal->by_broker);
}

const struct config_map *
config_dynamic_default(const struct config *c)
{
	return (&c->internal->by_default);
}

const struct config_map *
config_static(const struct config *c)
{
	return (&c->internal->fixed);
}

const char *
config_listener_text(const struct config *c, const char *listener, const char *key)
{
	struct strbuf sb = STRBUF_INIT;
	const char *text;
	size_t i;

	strbuf_add(&sb, "listener.name.");
	for (i = 0; listener[i] != '\0'; i++) {
		char lower = listener[i] >= 'A' && listener[i] <= 'Z' ? (char)(listener[i] | 0x20) : listener[i];

		strbuf_add_bytes(&sb, &lower, 1);
	}
	strbuf_add(&sb, ".%s", key);
	text = config_map_get(&c->internal->merged, strbuf_str(&sb));
	strbuf_fini(&sb);
	return (text != NULL ? text : config_map_get(&c->internal->merged, key));
}

/* ---- building ---- */

void
config_overlay(struct config_map *m, const struct config_map *over)
{
	const char *names[4];
	size_t i, j, n;

	for (i = 0; i < over->count; i++) {
		const struct config_map_entry *e = &over->entries[i];

		n = config_broker_synonyms(e->name, false, names);
		for (j = 0; j < n; j++)
			config_map_remove(m, names[j]);
		config_map_set_line(m, e->name, e->value, e->line);
	}
}

static void
report_value(struct config_report *r, const struct config *c, const struct config_key *key, const char *name, const struct errbuf *eb)
{
	struct strbuf place = STRBUF_INIT, words = STRBUF_INIT;

	config_place(c->internal->file, &c->internal->merged, name, &place);
	config_valid_words(key, &words);
	config_report_add(r, CONFIG_ERROR, "%s: %s; expected %s", strbuf_str(&place), eb->text, strbuf_str(&words));
	strbuf_fini(&place);
	strbuf_fini(&words);
}

/* node.id that stands there only because broker.id does, or the other way round: one mistake is reported once. */
static bool
is_echo(const struct config_map_entry *e)
{
	return (e->line == 0 && (strcmp(e->name, "node.id") == 0 || strcmp(e->name, "broker.id") == 0));
}

static void
parse_row(struct config *c, size_t i, struct config_report *r)
{
	const struct config_key *key = &config_broker_keys[i];
	const struct config_map_entry *e = config_map_find(&c->internal->merged, key->name);
	struct errbuf eb = ERRBUF_INIT;
	bool ok;

	if (e != NULL && config_value_parse(key, e->value, config_field(c, key), &c->internal->nulls[i], &eb))
		return;
	if (e != NULL && !is_echo(e))
		report_value(r, c, key, key->name, &eb);
	ok = config_value_parse(key, key->default_text, config_field(c, key), &c->internal->nulls[i], &eb);
	must(ok);	/* a default that its own row refuses */
}

/* listener.name.X.key: its value is the key's. */
static void
test_listener_values(const struct config *c, struct config_report *r)
{
	const struct config_map *m = &c->internal->merged;
	size_t i;

	for (i = 0; i < m->count; i++) {
		const char *name = m->entries[i].name;
		const struct config_key *key = config_listener_base(name) != NULL ? config_broker_key_of(name) : NULL;
		struct errbuf eb = ERRBUF_INIT;

		if (key != NULL && !config_value_test(key, m->entries[i].value, &eb))
			report_value(r, c, key, name, &eb);
	}
}

struct config *
config_build(const char *file, const struct config_map *fixed, const struct config_map *by_default, const struct config_map *by_broker,
    struct config_report *r)
{
	struct config *c = xcalloc(1, sizeof(*c));
	struct config_internal *in = xcalloc(1, sizeof(*in));
	size_t i;

	c->internal = in;
	in->refs = 1;
	in->file = xstrdup(file);
	in->nulls = xcalloc(config_broker_key_count, sizeof(*in->nulls));
	config_map_copy(&in->fixed, fixed);
	config_map_copy(&in->by_default, by_default);
	config_map_copy(&in->by_broker, by_broker);
	config_map_copy(&in->merged, fixed);
	config_overlay(&in->merged, &in->by_default);
	config_overlay(&in->merged, &in->by_broker);
	for (i = 0; i < config_broker_key_count; i++)
		parse_row(c, i, r);
	test_listener_values(c, r);
	config_derive(c, r);
	return (c);
}

/* ---- loading ---- */

static void
same_id(struct config_map *m)
{
	const struct config_map_entry *broker = config_map_find(m, "broker.id"), *node = config_map_find(m, "node.id");
	char *text;

	if ((broker == NULL) == (node == NULL))
		return;
	text = xstrdup(broker != NULL ? broker->value : node->value);
	config_map_set(m, broker != NULL ? "node.id" : "broker.id", text);
	free(text);
}

static bool
is_ascii(const char *s)
{
	while (*s != '\0' && (unsigned char)*s < 0x80)
		s++;
	return (*s == '\0');
}

static enum err
add_file(struct config_map *m, const struct config_input *input, struct config_report *r)
{
	struct properties *p;
	struct errbuf eb = ERRBUF_INIT;
	enum err e = properties_parse(input->text, input->file, LIMIT_CONFIG_FILE_MAX, &p, &eb);
	size_t i;

	if (e != OK) {
		config_report_add(r, CONFIG_ERROR, "%s", eb.text);
		return (e);
	}
	for (i = 0; i < properties_count(p); i++) {
		const struct property *entry = properties_at(p, i);

		config_map_set_line(m, entry->key, entry->value, entry->line);
	}
	properties_free(&p);
	return (OK);
}

/* A file in UTF-8 with other letters than ASCII is not read as its author thinks; Java reads it in the same way. */
static void
warn_encoding(const struct config_input *input, struct config_report *r)
{
	unsigned line = 1;
	size_t i;

	for (i = 0; i < input->text.len; i++) {
		const uint8_t *p = input->text.p + i;

		line += *p == '\n';
		if (*p >= 0x80) {
			config_report_add(r, CONFIG_WARNING, "%s:%u: letters beyond ASCII are read as ISO-8859-1, as Java does; write them as \\uXXXX",
			    input->file, line);
			return;
		}
	}
}

/* As with Java's --override the rest after the first = is the value, and "key" alone is an empty one. */
static enum err
add_override(struct config_map *m, const char *text, struct config_report *r)
{
	const char *equals = strchr(text, '=');
	char *raw = xstrndup(text, equals ? (size_t)(equals - text) : strlen(text)), *name = config_trim(raw);
	enum err e = OK;

	if (*name == '\0' || equals == NULL) {
		config_report_add(r, CONFIG_ERROR, "--override %s: expected key=value", text);
		e = ERR_INVALID;
	} else {
		if (!is_ascii(text))
			config_report_add(r, CONFIG_WARNING, "--override %s: letters beyond ASCII are taken as they are", name);
		config_map_set_line(m, name, equals + 1, CONFIG_LINE_OVERRIDE);
	}
	free(raw);
	free(name);
	return (e);
}

enum err
config_load(const struct config_input *input, struct config **configp, struct config_report *r)
{
	struct config_report own = CONFIG_REPORT_INIT, *report = r != NULL ? r : &own;
	struct config_map fixed = CONFIG_MAP_INIT;
	size_t i, before = report->errors;
	enum err e = OK;

	*configp = NULL;
	if (input->file != NULL) {
		warn_encoding(input, report);
		e = add_file(&fixed, input, report);
	}
	for (i = 0; e == OK && i < input->override_count; i++)
		(void)add_override(&fixed, input->overrides[i], report);
	if (e == OK) {
		config_resolve(&fixed, input, report);
		same_id(&fixed);
		*configp = config_build(input->file != NULL ? input->file : "configuration", &fixed, NULL, NULL, report);
		config_screen(*configp, report);
		if (report->errors > before) {
			config_unref(configp);
			e = ERR_INVALID;
		}
	}
	config_map_fini(&fixed);
	config_report_fini(&own);
	return (e);
}
