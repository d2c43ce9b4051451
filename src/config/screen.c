/* SPDX-License-Identifier: Apache-2.0
 *
 * config/screen.c - does this version know the key, and does it do what the key asks for?
 *
 * Only for what a file or the command line says; each key is spoken of once.  A key that another program reads from the same file (an
 * authorizer, a vendor's plug-in) is passed over in silence, as Java passes over everything it does not know.
 */
#include <stdlib.h>
#include <string.h>

#include "config/config_int.h"

struct screen {
	const struct config	*c;
	struct config_report	*r;
};

static void PRINTF_LIKE(4, 5)
note(const struct screen *s, enum config_severity severity, const char *name, const char *fmt, ...)
{
	struct strbuf place = STRBUF_INIT, words = STRBUF_INIT;
	va_list ap;

	config_place(s->c->internal->file, &s->c->internal->fixed, name, &place);
	va_start(ap, fmt);
	strbuf_vadd(&words, fmt, ap);
	va_end(ap);
	config_report_add(s->r, severity, "%s: %s", strbuf_str(&place), strbuf_str(&words));
	strbuf_fini(&place);
	strbuf_fini(&words);
}

/* Read by others: the ACL authorizer's keys have no meaning without authorizer.class.name, which is refused by itself. */
static bool
foreign(const char *name)
{
	static const char *const prefixes[] = { "super.users", "allow.everyone.if.no.acl.found", "authorizer.", "confluent.", "rlmm.config.",
		"rsm.config.", "metrics.jmx.", "io.confluent." };
	size_t i;

	for (i = 0; i < NELEM(prefixes); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return (true);
	}
	return (false);
}

static void
screen_unknown(const struct screen *s, const char *name)
{
	const char *near;

	if (strncmp(name, "config.providers", strlen("config.providers")) == 0)
		return;		/* providers.c has its own words */
	if (foreign(name))
		return;
	near = config_nearest_broker_key(name);
	note(s, CONFIG_WARNING, name, near != NULL ? "unknown key, ignored; did you mean %s?" : "unknown key, ignored", near);
}

/* Is the value the default one, however it is written? */
static bool
at_default(const struct config_key *key, const char *shown)
{
	return (key->default_text == NULL ? shown == NULL : shown != NULL && strcmp(shown, key->default_text) == 0);
}

/* Values beside the default that ask for nothing. */
static bool
asks_nothing(const struct config_key *key, const char *value)
{
	if (value == NULL || *value == '\0')
		return (true);
	return (strcmp(key->name, "metric.reporters") == 0 && strcmp(value, "org.apache.kafka.common.metrics.JmxReporter") == 0);
}

static bool
asks_for_compaction(const struct config_list *policy)
{
	size_t i;

	for (i = 0; i < policy->count; i++)
		if (strcmp(policy->items[i], "compact") == 0)
			return (true);
	return (false);
}

static void
screen_known(const struct screen *s, const struct config_key *key)
{
	enum config_impl_kind kind = config_impl_kind(key->impl);
	char *value;

	if (strcmp(key->name, "log.cleanup.policy") == 0 && asks_for_compaction(&s->c->log_cleanup_policy))
		note(s, CONFIG_WARNING, key->name, "accepted, but %s: all records of compacted topics stay",
		    config_impl_words(CONFIG_HARMLESS_CLEANER));
	if (kind == CONFIG_IMPL_HONOURED || kind == CONFIG_IMPL_SILENT)
		return;
	value = config_value_text(s->c, key);
	if (!at_default(key, value) && !asks_nothing(key, value)) {
		if (kind == CONFIG_IMPL_NOT_BUILT)
			note(s, CONFIG_ERROR, key->name, "refused: %s", config_impl_words(key->impl));
		else
			note(s, CONFIG_WARNING, key->name, "accepted, but without effect: %s", config_impl_words(key->impl));
	}
	free(value);
}

/* listener.name.X.key */
static void
screen_listener(const struct screen *s, const char *name)
{
	const struct config_key *key = config_broker_key_of(name);

	if (key == NULL)
		screen_unknown(s, name);
	else if (strcmp(key->name, "num.network.threads") == 0)
		note(s, CONFIG_WARNING, name, "accepted, but without effect: all listeners share the network threads");
	else if (config_impl_kind(key->impl) == CONFIG_IMPL_HARMLESS || config_impl_kind(key->impl) == CONFIG_IMPL_NOT_BUILT)
		note(s, CONFIG_WARNING, name, "accepted, but without effect: %s", config_impl_words(key->impl));
	else if (strcmp(key->name, "max.connections") != 0 && strcmp(key->name, "max.connection.creation.rate") != 0)
		note(s, CONFIG_WARNING, name, "accepted, but without effect: it has no meaning for one listener");
}

void
config_screen(const struct config *c, struct config_report *r)
{
	struct screen s = { c, r };
	const struct config_map *m = &c->internal->fixed;
	size_t i;

	for (i = 0; i < m->count; i++) {
		const char *name = m->entries[i].name;
		const struct config_key *key = config_broker_key(name);

		if (key != NULL)
			screen_known(&s, key);
		else if (config_listener_base(name) != NULL)
			screen_listener(&s, name);
		else
			screen_unknown(&s, name);
	}
}
