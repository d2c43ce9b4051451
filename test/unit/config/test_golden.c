/* SPDX-License-Identifier: Apache-2.0
 *
 * What a Java broker answered (test/golden/config/describe.golden, made by make-golden there) against what we answer to the same questions in
 * the same state: names, values, sources, types, read-only, sensitive, synonyms of DescribeConfigs; error codes of IncrementalAlterConfigs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/kerr.h"
#include "base/limits.h"
#include "config/alter.h"
#include "config/describe.h"
#include "test/unit/unit.h"

enum { FIELDS_MAX = 16 };

struct line {
	char	*fields[FIELDS_MAX];
	size_t	 n;
	unsigned number;
};

struct golden {
	char	*text;
	struct line *lines;
	size_t	 count;
};

static char *
read_all(const char *name, size_t *len)
{
	char *path = xasprintf("%s/test/golden/config/%s", unit_srcdir(), name);
	FILE *f = fopen(path, "rb");
	char *text = xmalloc(1 << 20);

	*len = f == NULL ? 0 : fread(text, 1, (1 << 20) - 1, f);
	text[*len] = '\0';
	if (f != NULL)
		fclose(f);
	free(path);
	return (text);
}

static void
golden_load(struct golden *g)
{
	size_t len, size = 4096;
	char *line, *next, *field;

	g->text = read_all("describe.golden", &len);
	g->lines = xcalloc(size, sizeof(*g->lines));
	g->count = 0;
	for (line = g->text; line != NULL && *line != '\0' && g->count < size; line = next) {
		struct line *l = &g->lines[g->count];

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		for (field = line; field != NULL && l->n < FIELDS_MAX;) {
			l->fields[l->n++] = field;
			field = strchr(field, '\t');
			if (field != NULL)
				*field++ = '\0';
		}
		l->number = (unsigned)++g->count;
	}
}

static void
golden_free(struct golden *g)
{
	free(g->text);
	free(g->lines);
}

/* ---- the state the Java broker was in ---- */

static struct config *
static_config(void)
{
	struct config_input input = { "server.properties", { NULL, 0 }, NULL, 0 };
	struct config *c = NULL;
	size_t len;
	char *text = read_all("server.properties", &len);

	input.text = slice_of(text, len);
	CHECK_EQ(config_load(&input, &c, NULL), OK);
	free(text);
	return (c);
}

static void
set_all(struct config_map *m, const char *const *pairs)
{
	for (; pairs[0] != NULL; pairs += 2)
		config_map_set(m, pairs[0], pairs[1]);
}

static struct config *
dynamic_config(const struct config *base)
{
	static const char *const by_default[] = { "log.retention.ms", "7200000", "num.io.threads", "8", "max.connections", "5000",
		"log.cleaner.threads", "2", "custom.key", "custom value", "leader.replication.throttled.rate", "1000000", NULL };
	static const char *const by_broker[] = { "num.io.threads", "7", "log.roll.ms", "99999", "compression.type", "gzip",
		"listener.name.plaintext.max.connections", "50", NULL };
	struct config_map d = CONFIG_MAP_INIT, b = CONFIG_MAP_INIT;
	struct config *c = NULL;

	set_all(&d, by_default);
	set_all(&b, by_broker);
	CHECK_EQ(config_with_dynamic(base, 1, &d, &b, &c, NULL), OK);
	config_map_fini(&d);
	config_map_fini(&b);
	return (c);
}

static void
topic_overrides(struct config_map *m, const char *topic)
{
	static const char *const tuned[] = { "retention.ms", " 0600000", "cleanup.policy", "compact,delete", "min.cleanable.dirty.ratio", "0.25",
		"compression.type", "zstd", "leader.replication.throttled.replicas", "0:7", NULL };

	*m = (struct config_map)CONFIG_MAP_INIT;
	if (strcmp(topic, "tuned") == 0)
		set_all(m, tuned);
}

/* ---- describe ---- */

static const char *
source_name(enum config_source s)
{
	static const char *const names[] = { "UNKNOWN", "DYNAMIC_TOPIC_CONFIG", "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG",
		"STATIC_BROKER_CONFIG", "DEFAULT_CONFIG" };

	return (names[s]);
}

static bool
type_is(enum config_type type, const char *java)
{
	return (str_eq_nocase(slice_str(java), config_type_name(type)));
}

static const char *
shown(const char *value)
{
	return (value == NULL ? "\\N" : value);
}

static void
compare_synonyms(const struct golden *g, size_t *i, const struct config_entry *e)
{
	size_t n = 0;

	for (; *i < g->count && strcmp(g->lines[*i].fields[0], "synonym") == 0; (*i)++, n++) {
		char **f = g->lines[*i].fields;
		const struct config_synonym *s = n < e->synonym_count ? &e->synonyms[n] : NULL;

		unit_check(s != NULL && strcmp(s->name, f[1]) == 0 && strcmp(shown(s->value), f[2]) == 0 &&
		    strcmp(source_name(s->source), f[3]) == 0, __FILE__, __LINE__, "line %u: %s: synonym %zu is %s %s %s, Java's %s %s %s",
		    g->lines[*i].number, e->name, n, s ? s->name : "-", s ? shown(s->value) : "-", s ? source_name(s->source) : "-", f[1], f[2],
		    f[3]);
	}
	unit_check(n == e->synonym_count, __FILE__, __LINE__, "%s: %zu synonyms, Java %zu", e->name, e->synonym_count, n);
}

static void
compare_entry(const struct golden *g, size_t *i, const struct config_entry *e)
{
	const struct line *l = &g->lines[(*i)++];
	char *const *f = l->fields;

	unit_check(strcmp(shown(e->value), f[2]) == 0 && strcmp(source_name(e->source), f[3]) == 0 && type_is(e->type, f[4]) &&
	    e->read_only == (strcmp(f[5], "ro") == 0) && e->sensitive == (strcmp(f[6], "sensitive") == 0), __FILE__, __LINE__,
	    "line %u: %s: %s %s %s %d %d, Java %s %s %s %s %s", l->number, e->name, shown(e->value), source_name(e->source),
	    config_type_name(e->type), e->read_only, e->sensitive, f[2], f[3], f[4], f[5], f[6]);
	compare_synonyms(g, i, e);
}

static void
compare_entity(const struct golden *g, size_t *i, const struct config *c, const char *kind, const char *name)
{
	struct config_names all = { NULL, 0 };
	struct config_description d;
	struct config_map overrides;
	struct arena arena;
	size_t n = 0;
	bool ok;

	arena_init(&arena, 4 << 20);
	topic_overrides(&overrides, name);
	if (strcmp(kind, "topic") == 0)
		ok = config_describe_topic(c, &overrides, all, &arena, &d);
	else if (strcmp(name, "default") == 0)
		ok = config_describe_cluster_default(c, all, &arena, &d);
	else
		ok = config_describe_broker(c, all, &arena, &d);
	CHECK(ok);
	while (*i < g->count && strcmp(g->lines[*i].fields[0], "config") == 0) {
		if (n == d.count || strcmp(d.entries[n].name, g->lines[*i].fields[1]) != 0) {
			unit_check(false, __FILE__, __LINE__, "line %u: %s %s: Java has %s, we have %s", g->lines[*i].number, kind, name,
			    g->lines[*i].fields[1], n < d.count ? d.entries[n].name : "nothing more");
			break;
		}
		compare_entry(g, i, &d.entries[n++]);
	}
	unit_check(n == d.count, __FILE__, __LINE__, "%s %s: %zu entries, Java %zu", kind, name, d.count, n);
	config_map_fini(&overrides);
	arena_fini(&arena);
}

TEST(descriptions_of_brokers_and_topics_are_javas)
{
	struct golden g;
	struct config *fixed = static_config(), *dynamic;
	size_t i = 0, entities = 0;

	REQUIRE(fixed != NULL);
	dynamic = dynamic_config(fixed);
	REQUIRE(dynamic != NULL);
	golden_load(&g);
	CHECK_GE(g.count, 1500);
	while (i < g.count) {
		char **f = g.lines[i++].fields;

		if (strcmp(f[0], "entity") != 0)
			continue;
		entities++;
		compare_entity(&g, &i, strcmp(f[1], "static") == 0 ? fixed : dynamic, f[2], f[3]);
	}
	CHECK_EQ(entities, 8);
	golden_free(&g);
	config_unref(&fixed);
	config_unref(&dynamic);
}

TEST(named_settings_only_are_described_when_names_are_given)
{
	struct slice names[] = { SLICE_LIT("log.retention.ms"), SLICE_LIT("no.such.key"), SLICE_LIT("broker.id") };
	struct config *c = static_config();
	struct config_description d;
	struct arena arena;

	REQUIRE(c != NULL);
	arena_init(&arena, 1 << 20);
	REQUIRE(config_describe_broker(c, (struct config_names){ names, 3 }, &arena, &d));
	REQUIRE(d.count == 2);
	CHECK_STR(d.entries[0].name, "broker.id");
	CHECK_STR(d.entries[1].name, "log.retention.ms");
	CHECK(d.entries[1].documentation != NULL);
	arena_fini(&arena);
	config_unref(&c);
}

/* With room to spare for the answer that is made of it. */
TEST(a_whole_broker_fits_the_arena_of_the_smallest_request)
{
	struct config *c = static_config();
	struct config_description d;
	struct arena arena;

	REQUIRE(c != NULL);
	arena_init(&arena, LIMIT_ARENA_FLOOR / 2);
	CHECK(config_describe_broker(c, (struct config_names){ NULL, 0 }, &arena, &d));
	arena_fini(&arena);
	config_unref(&c);
}

TEST(a_description_too_large_for_its_arena_is_refused)
{
	struct config *c = static_config();
	struct config_description d;
	struct arena arena;
	size_t cap;

	REQUIRE(c != NULL);
	for (cap = 16; cap < 100000; cap = cap * 3 / 2) {
		arena_init(&arena, cap);
		if (config_describe_broker(c, (struct config_names){ NULL, 0 }, &arena, &d))
			CHECK(!arena.full);
		arena_fini(&arena);
		arena_init(&arena, 16);
		CHECK(!config_describe_topic(c, NULL, (struct config_names){ NULL, 0 }, &arena, &d));
		arena_fini(&arena);
	}
	config_unref(&c);
}

/* ---- alter ---- */

static int8_t
op_of(const char *word)
{
	return (strcmp(word, "SET") == 0 ? CONFIG_OP_SET : strcmp(word, "DELETE") == 0 ? CONFIG_OP_DELETE : strcmp(word, "APPEND") == 0 ?
	    CONFIG_OP_APPEND : CONFIG_OP_SUBTRACT);
}

/* Where we differ on purpose (src/config/README). */
static bool
differs(const struct line *l)
{
	const char *name = l->fields[5], *value = l->n > 6 ? l->fields[6] : "";

	return (strncmp(name, "ottla.", 6) == 0 || (strcmp(l->fields[2], "default") == 0 &&
	    strcmp(name, "listener.name.plaintext.max.connections") == 0 && strcmp(value, "x") == 0));
}

static void
ask(const struct config *c, const struct line *l)
{
	struct config_wish w[FIELDS_MAX / 3];
	struct config_map current, out = CONFIG_MAP_INIT;
	struct errbuf eb = ERRBUF_INIT;
	bool own = strcmp(l->fields[2], "own") == 0;
	enum kerr k;
	size_t i, n = 0;

	for (i = 4; i + 1 < l->n; i += 3) {
		w[n++] = (struct config_wish){ slice_str(l->fields[i + 1]), slice_str(i + 2 < l->n ? l->fields[i + 2] : ""),
			op_of(l->fields[i]) };
	}
	topic_overrides(&current, l->fields[2]);
	if (strcmp(l->fields[1], "topic") == 0)
		k = config_alter_topic(c, &current, w, n, &out, &eb);
	else
		k = config_alter_broker(c, own, own ? config_dynamic_broker(c) : config_dynamic_default(c), w, n, &out, &eb);
	unit_check(strcmp(kerr_name(k), l->fields[3]) == 0, __FILE__, __LINE__, "line %u: %s %s %s %s %s: %s (%s), Java %s", l->number,
	    l->fields[1], l->fields[2], l->fields[4], l->fields[5], l->n > 6 ? l->fields[6] : "", kerr_name(k), eb.text, l->fields[3]);
	CHECK((k == KERR_NONE) == (eb.text[0] == '\0'));
	if (k != KERR_NONE)
		CHECK_EQ(out.count, 0);
	config_map_fini(&out);
	config_map_fini(&current);
}

TEST(alterations_are_allowed_and_refused_as_by_java)
{
	struct golden g;
	struct config *fixed = static_config(), *c;
	size_t i, asked = 0;

	REQUIRE(fixed != NULL);
	c = dynamic_config(fixed);
	REQUIRE(c != NULL);
	golden_load(&g);
	for (i = 0; i < g.count; i++) {
		if (strcmp(g.lines[i].fields[0], "ask") != 0 || differs(&g.lines[i]))
			continue;
		ask(c, &g.lines[i]);
		asked++;
	}
	CHECK_GE(asked, 250);
	golden_free(&g);
	config_unref(&fixed);
	config_unref(&c);
}

/* ---- starting ---- */

/* Keys whose values Java looks up as classes, and switches of KRaft: refused or ignored here, on purpose. */
static bool
not_compared(const char *key)
{
	static const char *const keys[] = { "alter.config.policy.class.name", "client.quota.callback.class", "control.plane.listener.name",
		"controller.listener.names", "controller.quorum.bootstrap.servers", "controller.quorum.voters", "create.topic.policy.class.name",
		"early.start.listeners", "group.consumer.assignors", "principal.builder.class", "sasl.client.callback.handler.class",
		"sasl.login.callback.handler.class", "sasl.login.class", "sasl.server.callback.handler.class", "ssl.engine.factory.class",
		"zookeeper.metadata.migration.enable" };
	size_t i;

	for (i = 0; i < NELEM(keys); i++) {
		if (strcmp(key, keys[i]) == 0)
			return (true);
	}
	return (false);
}

/* 'y' when the value is one, though its feature may not be built; else 'n', and why. */
static char
taken(const char *key, const char *value, struct errbuf *why)
{
	char *last = xasprintf("%s=%s", key, value);
	const char *overrides[] = { "broker.id=1", "zookeeper.connect=localhost:2181", "log.dirs=/a", last };
	struct config_input input = { NULL, SLICE_NULL, overrides, 4 };
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c;
	char answer = 'y';
	size_t i;

	(void)!config_load(&input, &c, &r);
	for (i = 0; i < r.count; i++) {
		const char *text = r.notes[i].text;

		if (r.notes[i].severity == CONFIG_ERROR && strstr(text, ": refused: ") == NULL && strstr(text, "not built") == NULL) {
			errbuf_set(why, "%s", text);
			answer = 'n';
		}
	}
	config_unref(&c);
	config_report_fini(&r);
	free(last);
	return (answer);
}

TEST(values_are_taken_and_refused_at_start_as_by_java)
{
	char *values[64], *save = NULL, *text, *line, *next;
	size_t n = 0, i, len, keys = 0, differ = 0;

	text = read_all("static.golden", &len);
	line = strtok_r(text, "\n", &save);
	REQUIRE(line != NULL);
	for (; line != NULL && n < NELEM(values); line = next) {
		next = strchr(line, '\t');
		if (next != NULL)
			*next++ = '\0';
		values[n++] = line;
	}
	while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
		char *answers = strchr(line, '\t');

		REQUIRE(answers != NULL && strlen(answers + 1) == n);
		*answers++ = '\0';
		keys++;
		for (i = 0; i < n && !not_compared(line); i++) {
			struct errbuf why = ERRBUF_INIT;
			char ours = taken(line, values[i], &why);

			/* stricter on purpose: an ensemble with no name, a session without time, an older protocol between brokers */
			if (ours == 'n' && (strcmp(line, "zookeeper.connect") == 0 || strcmp(line, "zookeeper.session.timeout.ms") == 0 ||
			    strcmp(line, "inter.broker.protocol.version") == 0))
				differ++;
			else
				unit_check(ours == answers[i], __FILE__, __LINE__, "%s=%s: %c (%s), Java %c", line, values[i], ours, why.text,
				    answers[i]);
		}
	}
	CHECK_EQ(keys, 328);
	CHECK_GE(n, 40);
	CHECK(differ > 0);
	free(text);
}

/* How many of the settings (KEY=VALUE, tabs between) the note names. */
static unsigned
names_of(const char *note, const char *settings)
{
	unsigned n = 0;

	for (const char *s = settings; s != NULL; s = strchr(s, '\t') == NULL ? NULL : strchr(s, '\t') + 1) {
		char *key = xstrndup(s, strcspn(s, "="));

		n += strstr(note, key) != NULL;
		free(key);
	}
	return (n);
}

/* 'y' or 'n'; *named: one note names the file and two of the settings. */
static char
taken_together(const char *settings, bool *named)
{
	char *text = xasprintf("broker.id=1\nzookeeper.connect=localhost:2181\nlog.dirs=/a\n%s\n", settings);
	struct config_input input = { "t.properties", SLICE_NULL, NULL, 0 };
	struct config_report r = CONFIG_REPORT_INIT;
	struct config *c;
	char answer = 'y';

	for (char *t = strchr(text, '\t'); t != NULL; t = strchr(t, '\t'))
		*t = '\n';
	input.text = slice_str(text);
	(void)!config_load(&input, &c, &r);
	*named = false;
	for (size_t i = 0; i < r.count; i++) {
		const char *note = r.notes[i].text;

		if (r.notes[i].severity != CONFIG_ERROR || strstr(note, "not built") != NULL)
			continue;
		answer = 'n';
		*named |= strncmp(note, "t.properties:", 13) == 0 && names_of(note, settings) >= 2;
	}
	config_unref(&c);
	config_report_fini(&r);
	free(text);
	return (answer);
}

TEST(settings_that_contradict_each_other_are_refused_as_by_java_and_both_are_named)
{
	char *save = NULL, *text, *line;
	size_t len, refused = 0, lines = 0;

	text = read_all("together.golden", &len);
	for (line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		bool named;
		char ours = taken_together(line + 2, &named);

		unit_check(ours == line[0], __FILE__, __LINE__, "%s: %c, Java %c", line + 2, ours, line[0]);
		unit_check(ours == 'y' || named, __FILE__, __LINE__, "%s: refused without naming two of them and the file", line + 2);
		refused += ours == 'n';
		lines++;
	}
	CHECK_GE(refused, 18);
	CHECK_GE(lines, 33);
	free(text);
}

UNIT_MAIN("config/golden", T(settings_that_contradict_each_other_are_refused_as_by_java_and_both_are_named),
    T(values_are_taken_and_refused_at_start_as_by_java), T(descriptions_of_brokers_and_topics_are_javas), T(named_settings_only_are_described_when_names_are_given),
    T(a_description_too_large_for_its_arena_is_refused),
    T(a_whole_broker_fits_the_arena_of_the_smallest_request), T(alterations_are_allowed_and_refused_as_by_java))
