/* SPDX-License-Identifier: Apache-2.0
 *
 * server.properties(5) against the parser: the page is made from the rows by awk, this holds every entry against what the parser, the
 * screening and the synonyms themselves say.  And conf/server.properties against both.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"
#include "config/config_int.h"
#include "test/unit/unit.h"

static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = xcalloc(1, 1 << 20);

	if (f == NULL) {
		free(text);
		return (NULL);
	}
	text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
	fclose(f);
	return (text);
}

/* Where make left it: the build tree, or in a tarball the source tree. */
static char *
read_page(void)
{
	char *path = xasprintf("%s/src/config/server.properties.5", unit_srcdir());
	char *text = read_file("src/config/server.properties.5");

	if (text == NULL)
		text = read_file(path);
	free(path);
	return (text);
}

/* The words of an entry as a reader sees them, on one line; the entry is the last one of that name behind `from`. */
static char *
entry_words(const char *from, const char *name)
{
	char *head = xasprintf("\n.It Cm %s\n", name);
	const char *p = strstr(from, head);
	struct strbuf sb = STRBUF_INIT;

	if (p == NULL) {
		free(head);
		return (xstrdup("(no such entry)"));
	}
	p += strlen(head);
	free(head);
	while (strncmp(p, ".It ", 4) != 0 && strncmp(p, ".El", 3) != 0 && *p != '\0') {
		const char *end = strchr(p, '\n');

		if (strncmp(p, ".br\n", 4) != 0) {
			if (strbuf_str(&sb)[0] != '\0')
				strbuf_add(&sb, " ");
			for (; p < end; p++) {
				if (strncmp(p, "\\&", 2) == 0)
					p++;
				else if (strncmp(p, "\\e", 2) == 0)
					strbuf_add(&sb, "%c", *++p == 'e' ? '\\' : '?');
				else if (*p != '\\')
					strbuf_add(&sb, "%c", *p);
			}
		}
		p = end + 1;
	}
	return (strbuf_take(&sb));
}

static void
add_type(const struct config_key *key, struct strbuf *sb)
{
	bool number = key->type == CONFIG_INT || key->type == CONFIG_SHORT || key->type == CONFIG_LONG || key->type == CONFIG_DOUBLE;
	bool any = key->valid.kind == CONFIG_VALID_ANY || key->valid.kind == CONFIG_VALID_NON_NULL;

	strbuf_add(sb, "%s Type %s", key->doc, config_type_name(key->type));
	if (number || key->type == CONFIG_BOOLEAN || !any) {
		strbuf_add(sb, ": ");
		config_valid_words(key, sb);
	}
	if (key->default_text == NULL)
		strbuf_add(sb, ". Not set by default.");
	else if (*key->default_text == '\0')
		strbuf_add(sb, ". Empty by default.");
	else
		strbuf_add(sb, ". Default %s.", key->default_text);
}

static void
add_impl(enum config_impl impl, struct strbuf *sb)
{
	switch (config_impl_kind(impl)) {
	case CONFIG_IMPL_HONOURED:
		return;
	case CONFIG_IMPL_SILENT:
		strbuf_add(sb, " Checked and kept, until the coordinators of groups and transactions are built.");
		return;
	case CONFIG_IMPL_HARMLESS:
		strbuf_add(sb, " Accepted, but without effect: %s.", config_impl_words(impl));
		return;
	case CONFIG_IMPL_NOT_BUILT:
		strbuf_add(sb, " A value other than the default is refused: %s.", config_impl_words(impl));
		return;
	}
}

static void
add_mode(enum config_mode mode, struct strbuf *sb)
{
	strbuf_add(sb, mode == CONFIG_READ_ONLY ? " A change needs a restart." :
	    mode == CONFIG_PER_BROKER ? " Can be changed while the broker runs, for one broker at a time." :
	    " Can be changed while the broker runs, for one broker or for all.");
}

static void
add_topics(const struct config_key *key, struct strbuf *sb)
{
	const char *before = " Topics override it with ";
	size_t i;

	for (i = 0; i < config_topic_key_count; i++) {
		const char *broker = config_topic_synonym(config_topic_keys[i].name);

		if (broker != NULL && strcmp(broker, key->name) == 0) {
			strbuf_add(sb, "%s%s", before, config_topic_keys[i].name);
			before = " and ";
		}
	}
	if (strcmp(before, " and ") == 0)
		strbuf_add(sb, ".");
}

static void
check_entry(const char *from, const struct config_key *key, struct strbuf *expected)
{
	char *words = entry_words(from, key->name);

	if (!unit_check(strcmp(words, strbuf_str(expected)) == 0, __FILE__, __LINE__, "%s", key->name))
		printf("  page: %s\n  code: %s\n", words, strbuf_str(expected));
	free(words);
	strbuf_fini(expected);
}

TEST(every_broker_setting_is_in_the_page_and_the_page_says_what_the_code_does)
{
	char *page = read_page();
	size_t i;

	REQUIRE(page != NULL);
	for (i = 0; i < config_broker_key_count; i++) {
		const struct config_key *key = &config_broker_keys[i];
		struct strbuf sb = STRBUF_INIT;

		add_type(key, &sb);
		add_mode(key->mode, &sb);
		add_topics(key, &sb);
		if (key->flags & CONFIG_INTERNAL)
			strbuf_add(&sb, " DescribeConfigs shows it only when it is set.");
		add_impl(key->impl, &sb);
		check_entry(page, key, &sb);
	}
	free(page);
}

static bool
topic_impl(const char *name, enum config_impl *impl)
{
	static const struct {
		const char	*name;
		enum config_impl impl;
	} rows[] = {
#define TOPIC_IMPL(topic, impl)	{ topic, CONFIG_##impl },
#include "config/topic_impl.def"
#undef TOPIC_IMPL
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			*impl = rows[i].impl;
			return (true);
		}
	}
	return (false);
}

TEST(every_topic_setting_is_in_the_page_with_the_broker_setting_behind_it)
{
	char *page = read_page();
	const char *topics;
	size_t i;

	REQUIRE(page != NULL);
	topics = strstr(page, "\n.Sh SETTINGS OF TOPICS\n");
	REQUIRE(topics != NULL);
	for (i = 0; i < config_topic_key_count; i++) {
		const struct config_key *key = &config_topic_keys[i];
		const char *broker = config_topic_synonym(key->name);
		enum config_impl impl = CONFIG_HONOURED;
		struct strbuf sb = STRBUF_INIT;

		add_type(key, &sb);
		if (broker != NULL) {
			strbuf_add(&sb, " Not set: %s of the broker.", broker);
			impl = config_broker_key(broker)->impl;
		}
		unit_check(topic_impl(key->name, &impl) == (broker == NULL), __FILE__, __LINE__, "%s: a broker setting or topic_impl.def", key->name);
		add_impl(impl, &sb);
		check_entry(topics, key, &sb);
	}
	free(page);
}

TEST(settings_that_only_zookeeper_has_are_in_the_page)
{
	static const char *const names[] = {
#define DYN(type, name, def, valid, doc)	name,
#include "config/dynamic.def"
#undef DYN
	};
	char *page = read_page();
	size_t i;

	REQUIRE(page != NULL);
	for (i = 0; i < NELEM(names); i++) {
		const struct config_key *key = config_dynamic_key(names[i]);
		struct strbuf sb = STRBUF_INIT;

		REQUIRE(key != NULL);
		add_type(key, &sb);
		add_mode(key->mode, &sb);
		add_impl(key->impl, &sb);
		check_entry(page, key, &sb);
	}
	free(page);
}

TEST(no_entry_of_the_page_is_without_a_row)
{
	char *page = read_page(), *p, *line, *save = NULL;
	size_t n = 0;

	REQUIRE(page != NULL);
	for (p = page; (line = strtok_r(p, "\n", &save)) != NULL; p = NULL) {
		if (strncmp(line, ".It Cm ", 7) != 0)
			continue;
		unit_check(config_broker_key(line + 7) != NULL || config_topic_key(line + 7) != NULL || config_dynamic_key(line + 7) != NULL,
		    __FILE__, __LINE__, "%s", line + 7);
		n++;
	}
	CHECK_GE(n, config_broker_key_count + config_topic_key_count);
	free(page);
}

/* ---- conf/server.properties ---- */

static char *
read_example(void)
{
	char *path = xasprintf("%s/conf/server.properties", unit_srcdir()), *text = read_file(path);

	free(path);
	return (text);
}

/* Is `line` a setting, active or shown behind a '#'?  Cuts it into key and value. */
static bool
setting(char *line, const char **key, const char **value)
{
	char *eq = strchr(line, '=');

	if (line[0] == '#')
		line++;
	if (eq == NULL || eq < line || strcspn(line, " \t=") != (size_t)(eq - line))
		return (false);
	*eq = '\0';
	*key = line;
	*value = eq + 1;
	return (true);
}

TEST(the_example_has_only_settings_that_work_and_values_that_are_right)
{
	char *text = read_example(), *p, *line, *save = NULL;
	size_t n = 0;

	REQUIRE(text != NULL);
	for (p = text; (line = strtok_r(p, "\n", &save)) != NULL; p = NULL) {
		const struct config_key *row;
		const char *key, *value;
		struct errbuf eb = ERRBUF_INIT;
		enum config_impl_kind kind;

		if (!setting(line, &key, &value))
			continue;
		n++;
		if (strncmp(key, "config.providers", strlen("config.providers")) == 0)
			continue;	/* whose names are the operator's: providers.c */
		row = config_broker_key(key);
		unit_check(row != NULL, __FILE__, __LINE__, "%s is no setting", key);
		if (row == NULL)
			continue;
		kind = config_impl_kind(row->impl);
		unit_check(kind == CONFIG_IMPL_HONOURED || kind == CONFIG_IMPL_SILENT, __FILE__, __LINE__, "%s does not work in this version", key);
		unit_check(config_value_test(row, value, &eb), __FILE__, __LINE__, "%s=%s: %s", key, value, eb.text);
	}
	CHECK_GE(n, 20);
	free(text);
}

/* The rule: our own settings stand nowhere else, so all of them are explained in the example; Kafka's are in the page. */
TEST(every_setting_of_our_own_is_explained_in_the_example)
{
	char *text = read_example();
	size_t i;

	REQUIRE(text != NULL);
	for (i = 0; i < config_broker_key_count; i++) {
		const char *name = config_broker_keys[i].name;
		char *line;

		if (strncmp(name, "ottla.", 6) != 0)
			continue;
		line = xasprintf("\n#%s=", name);
		unit_check(strstr(text, line) != NULL, __FILE__, __LINE__, "%s is not in conf/server.properties", name);
		free(line);
	}
	free(text);
}

UNIT_MAIN("config/man",
    T(every_broker_setting_is_in_the_page_and_the_page_says_what_the_code_does),
    T(every_topic_setting_is_in_the_page_with_the_broker_setting_behind_it),
    T(settings_that_only_zookeeper_has_are_in_the_page),
    T(no_entry_of_the_page_is_without_a_row),
    T(the_example_has_only_settings_that_work_and_values_that_are_right),
    T(every_setting_of_our_own_is_explained_in_the_example))
