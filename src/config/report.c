/* SPDX-License-Identifier: Apache-2.0
 *
 * config/report.c - what there is to say about a configuration, and the page that `ottlad --check` prints.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config_int.h"

void
config_report_add(struct config_report *r, enum config_severity severity, const char *fmt, ...)
{
	struct strbuf sb = STRBUF_INIT;
	va_list ap;

	if (r == NULL)
		return;
	va_start(ap, fmt);
	strbuf_vadd(&sb, fmt, ap);
	va_end(ap);
	if (r->count == r->size) {
		r->size = r->size ? 2 * r->size : 8;
		r->notes = xreallocarray(r->notes, r->size, sizeof(*r->notes));
	}
	r->notes[r->count++] = (struct config_note){ severity, strbuf_take(&sb) };
	r->errors += severity == CONFIG_ERROR;
}

void
config_report_fini(struct config_report *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		free(r->notes[i].text);
	free(r->notes);
	*r = (struct config_report)CONFIG_REPORT_INIT;
}

void
config_place(const char *file, const struct config_map *m, const char *name, struct strbuf *sb)
{
	const struct config_map_entry *e = config_map_find(m, name);
	char *shown;

	if (e == NULL) {
		strbuf_add(sb, "%s: %s", file, name);
		return;
	}
	if (e->line == CONFIG_LINE_OVERRIDE)
		strbuf_add(sb, "--override");
	else if (e->line == 0)
		strbuf_add(sb, "dynamic setting");
	else
		strbuf_add(sb, "%s:%u", file, e->line);
	shown = config_value_shown(config_broker_key_of(name), e->value);
	strbuf_add(sb, ": %s = %s", name, shown);
	free(shown);
}

char *
config_value_shown(const struct config_key *key, const char *value)
{
	enum { SHOWN_MAX = 200 };
	char *shown;
	size_t i, len = strlen(value);

	if (key == NULL || key->type == CONFIG_PASSWORD)
		return (xstrdup("[hidden]"));
	shown = len > SHOWN_MAX ? xasprintf("%.*s...", SHOWN_MAX, value) : xstrdup(value);
	for (i = 0; shown[i] != '\0'; i++) {
		if ((unsigned char)shown[i] < ' ')	/* one line stays one line */
			shown[i] = ' ';
	}
	return (shown);
}

/* ---- ottlad --check ---- */

static const char *
source_of(const struct config *c, const char *name)
{
	const struct config_map_entry *e;

	if (config_map_find(&c->internal->by_broker, name) != NULL)
		return ("dynamic, this broker");
	if (config_map_find(&c->internal->by_default, name) != NULL)
		return ("dynamic, all brokers");
	e = config_map_find(&c->internal->fixed, name);
	return (e == NULL ? NULL : e->line == CONFIG_LINE_OVERRIDE ? "--override" : e->line == 0 ? "follows broker.id or node.id" : "file");
}

static void
check_setting(const struct config *c, const struct config_key *key, struct strbuf *out)
{
	const char *source = source_of(c, key->name);
	char *text, *shown;

	if (source == NULL)
		return;
	text = config_value_text(c, key);
	shown = text == NULL ? xstrdup("") : config_value_shown(key, text);
	strbuf_add(out, "    %s=%s  (%s)\n", key->name, shown, source);
	free(text);
	free(shown);
}

static void
check_listeners(const char *title, const struct config_listeners *ls, struct strbuf *out)
{
	size_t i;

	for (i = 0; i < ls->count; i++) {
		const struct config_listener *l = &ls->items[i];
		bool v6 = strchr(l->host, ':') != NULL;

		strbuf_add(out, "    %s %s (%s) on %s%s%s:%u\n", title, l->name, security_protocol_name(l->protocol), v6 ? "[" : "",
		    *l->host ? l->host : "every address", v6 ? "]" : "", l->port);
	}
}

static void
check_effective(const struct config *c, struct strbuf *out)
{
	size_t i;

	strbuf_add(out, "settings given (all others have their defaults):\n");
	for (i = 0; i < config_broker_key_count; i++)
		check_setting(c, &config_broker_keys[i], out);
	strbuf_add(out, "in effect:\n");
	for (i = 0; i < c->log_directories.count; i++)
		strbuf_add(out, "    log directory %s\n", c->log_directories.items[i]);
	check_listeners("listener", &c->bind, out);
	check_listeners("advertised as", &c->advertised, out);
}

void
config_check(const struct config *c, const struct config_report *r, struct strbuf *out)
{
	size_t i;

	if (c != NULL)
		check_effective(c, out);
	for (i = 0; i < r->count; i++)
		strbuf_add(out, "%s: %s\n", r->notes[i].severity == CONFIG_ERROR ? "error" : "warning", r->notes[i].text);
	strbuf_add(out, "%zu errors, %zu warnings\n", r->errors, r->count - r->errors);
}
