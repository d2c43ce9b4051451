/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/options.c - the command line: one parser and one help for all verbs, from options.def and verbs.def.
 *
 * ottla GROUP VERB [--option[=VALUE]] operands.  An option may stand anywhere behind the verb; "--" ends them.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "tools/tools.h"

static const struct {
	const char *name, *argument, *help;
} options[] = {
#define OPTION(id, name, argument, help) { name, argument, help },
#include "tools/options.def"
#undef OPTION
};

static const struct verb verbs[] = {
#define VERB(group, name, operands, summary, options, text, examples) { #group, #name, operands, summary, options, text, examples, verb_##group##_##name },
#include "tools/verbs.def"
#undef VERB
};

/* ---- help ---- */

static void
print_wrapped(const char *head, const char *help)
{
	printf("  %-28s %s\n", head, help);
}

static bool
takes(const struct verb *v, const char *name)
{
	size_t n = strlen(name);

	if (strcmp(name, "help") == 0)
		return (true);
	for (const char *p = v->options; (p = strstr(p, name)) != NULL; p += n)
		if ((p == v->options || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
			return (true);
	return (false);
}

static void
help_verb(const struct verb *v)
{
	printf("usage: ottla %s %s [OPTIONS] %s\n\n%s: %s.\n\n%s\nOptions:\n", v->group, v->name, v->operands, v->name, v->summary, v->text);
	for (size_t i = 0; i < NELEM(options); i++) {
		char head[64];

		if (!takes(v, options[i].name))
			continue;
		str_format(head, sizeof(head), "--%s%s%s", options[i].name, options[i].argument == NULL ? "" : " ", options[i].argument == NULL ? "" : options[i].argument);
		print_wrapped(head, options[i].help);
	}
	printf("\nExamples:\n%s\nExit status: 0 clean, 1 violations or differences, 2 a wrong command line, 3 something could not be read or done.\n", v->examples);
}

static void
help_group(const char *group)
{
	printf("usage: ottla %s VERB ...\n\n", group);
	for (size_t i = 0; i < NELEM(verbs); i++)
		if (strcmp(verbs[i].group, group) == 0)
			print_wrapped(verbs[i].name, verbs[i].summary);
	printf("\nottla %s VERB --help says more.\n", group);
}

static void
help_all(FILE *to)
{
	fprintf(to, "usage: ottla GROUP VERB [OPTIONS] ...\n\nLooks at what Kafka and Ottla brokers keep on disk and in ZooKeeper, mends it, and asks a cluster for topics, settings and groups.\n\n");
	for (size_t i = 0; i < NELEM(verbs); i++)
		fprintf(to, "  ottla %s %-*s %s\n", verbs[i].group, 16 - (int)strlen(verbs[i].group), verbs[i].name, verbs[i].summary);
	fprintf(to, "  ottla version\n\nottla GROUP VERB --help says more, with examples; ottla(1) all of it.\n");
}

static bool arguments_read(int argc, char **argv, struct arguments *, enum status *);

/* ---- completion: "ottla complete WORDS..." prints what may come next, one a line ---- */

static void
complete_first(const char *group)
{
	for (size_t i = 0; i < NELEM(verbs); i++) {
		if (group != NULL && strcmp(verbs[i].group, group) == 0)
			printf("%s\n", verbs[i].name);
		else if (group == NULL && (i == 0 || strcmp(verbs[i].group, verbs[i - 1].group) != 0))
			printf("%s\n", verbs[i].group);
	}
	if (group == NULL)
		printf("version\n");
	printf("--help\n");
}

/* What may stand as an operand, when that can be known. */
static void
complete_operands(const struct verb *v, int n, char **words)
{
	static const char *const types[] = { "topic", "broker", "broker-logger" };
	struct arguments a = { .verb = v, .operands = xcalloc((size_t)n + 1, sizeof(*a.operands)) };
	enum status status;
	char **argv = xcalloc((size_t)n + 3, sizeof(*argv));

	memcpy(argv + 1, words, (size_t)n * sizeof(*argv));
	if (arguments_read(n + 1, argv, &a, &status)) {
		if (strncmp(v->operands, "TYPE", 4) == 0 && a.noperands == 0)
			for (size_t i = 0; i < NELEM(types); i++)
				printf("%s\n", types[i]);
		else if (given(&a, OPT_bootstrap_server))
			complete_names(&a);
	}
	arguments_fini(&a);
	free(argv);
}

static void
complete(int n, char **words)
{
	if (n < 2) {
		complete_first(n == 0 ? NULL : words[0]);
		return;
	}
	for (size_t i = 0; i < NELEM(verbs); i++) {
		if (strcmp(verbs[i].group, words[0]) != 0 || strcmp(verbs[i].name, words[1]) != 0)
			continue;
		for (size_t k = 0; k < NELEM(options); k++)
			if (takes(&verbs[i], options[k].name))
				printf("--%s\n", options[k].name);
		complete_operands(&verbs[i], n, words);
	}
}

/* ---- complaints ---- */

enum status
usage_error(const struct arguments *a, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "ottla%s%s%s%s: ", a->verb == NULL ? "" : " ", a->verb == NULL ? "" : a->verb->group, a->verb == NULL ? "" : " ",
	    a->verb == NULL ? "" : a->verb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n  ottla%s%s%s%s --help says how it is used\n", a->verb == NULL ? "" : " ", a->verb == NULL ? "" : a->verb->group,
	    a->verb == NULL ? "" : " ", a->verb == NULL ? "" : a->verb->name);
	return (STATUS_USAGE);
}

enum status
failure(const struct arguments *a, const char *fmt, ...)
{
	va_list ap;

	progress_end();
	fprintf(stderr, "ottla %s %s: ", a->verb->group, a->verb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return (STATUS_FAILED);
}

/* ---- parsing ---- */

static bool
is_help(const char *s)
{
	return (strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0 || strcmp(s, "help") == 0);
}

static bool
group_exists(const char *group)
{
	for (size_t i = 0; i < NELEM(verbs); i++)
		if (strcmp(verbs[i].group, group) == 0)
			return (true);
	return (false);
}

void
nearest_offer(struct nearest *n, const char *candidate)
{
	unsigned d = str_distance(n->word, candidate, n->within);

	if (d < n->within) {
		n->within = d;
		n->best = candidate;
	}
}

static const char *
nearest(const char *word, const char *group)
{
	struct nearest n = { .word = word, .within = 3 };

	for (size_t i = 0; i < NELEM(verbs); i++)
		if (group == NULL)
			nearest_offer(&n, verbs[i].group);
		else if (strcmp(verbs[i].group, group) == 0)
			nearest_offer(&n, verbs[i].name);
	return (n.best);
}

static bool
complain(enum status *status, const char *what, const char *word, const char *near)
{
	fprintf(stderr, "ottla: unknown %s %s%s%s%s\n  ottla --help lists what there is\n", what, word, near == NULL ? "" : "; did you mean ",
	    near == NULL ? "" : near, near == NULL ? "" : "?");
	*status = STATUS_USAGE;
	return (false);
}

static bool
find_verb(int argc, char **argv, struct arguments *a, enum status *status)
{
	*status = STATUS_CLEAN;
	if (argc < 2) {
		help_all(stderr);
		*status = STATUS_USAGE;
		return (false);
	}
	if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("ottla %s\n", PACKAGE_VERSION);
		return (false);
	}
	if (strcmp(argv[1], "complete") == 0) {
		complete(argc - 2, argv + 2);
		return (false);
	}
	if (is_help(argv[1])) {
		help_all(stdout);
		return (false);
	}
	if (!group_exists(argv[1]))
		return (complain(status, "group", argv[1], nearest(argv[1], NULL)));
	if (argc < 3 || is_help(argv[2])) {
		help_group(argv[1]);
		*status = argc < 3 ? STATUS_USAGE : STATUS_CLEAN;
		return (false);
	}
	for (size_t i = 0; i < NELEM(verbs); i++)
		if (strcmp(verbs[i].group, argv[1]) == 0 && strcmp(verbs[i].name, argv[2]) == 0)
			a->verb = &verbs[i];
	return (a->verb != NULL || complain(status, "verb", argv[2], nearest(argv[2], argv[1])));
}

static bool
take_option(struct arguments *a, int argc, char **argv, int *i, enum status *status)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	size_t n = eq == NULL ? strlen(name) : (size_t)(eq - name);

	for (size_t k = 0; k < NELEM(options); k++) {
		if (strlen(options[k].name) != n || strncmp(options[k].name, name, n) != 0 || !takes(a->verb, options[k].name))
			continue;
		if (options[k].argument == NULL && eq == NULL) {
			a->value[k] = "";
			return (true);
		}
		if (options[k].argument != NULL && (eq != NULL || *i + 1 < argc)) {
			a->value[k] = eq != NULL ? eq + 1 : argv[++*i];
			return (true);
		}
		*status = usage_error(a, eq != NULL ? "--%s takes no value" : "--%s wants a value", options[k].name);
		return (false);
	}
	*status = usage_error(a, "unknown option --%.*s", (int)n, name);
	return (false);
}

/* "A B" are two; brackets are what may be left out, and "..." what may be repeated. */
static bool
operands_fit(const struct arguments *a)
{
	const char *p = a->verb->operands;
	unsigned least = 0, most = 0;

	while (*p != '\0') {
		size_t n = strcspn(p, " ");

		least += *p != '[';
		most = memchr(p, '.', n) != NULL || most == UINT_MAX ? UINT_MAX : most + 1;
		p += n + (p[n] == ' ');
	}
	return (a->noperands >= least && a->noperands <= most);
}

/* argv from the first word behind the verb on. */
static bool
arguments_read(int argc, char **argv, struct arguments *a, enum status *status)
{
	bool only_operands = false;

	for (int i = 3; i < argc; i++) {
		if (!only_operands && strcmp(argv[i], "--") == 0)
			only_operands = true;
		else if (!only_operands && strcmp(argv[i], "-h") == 0)
			a->value[OPT_help] = "";
		else if (!only_operands && strncmp(argv[i], "--", 2) == 0) {
			if (!take_option(a, argc, argv, &i, status))
				return (false);
		} else
			a->operands[a->noperands++] = argv[i];
	}
	return (true);
}

bool
arguments_parse(int argc, char **argv, struct arguments *a, enum status *status)
{
	*a = (struct arguments){ .operands = xcalloc((size_t)argc + 1, sizeof(*a->operands)) };
	if (!find_verb(argc, argv, a, status) || !arguments_read(argc, argv, a, status))
		return (false);
	if (given(a, OPT_help)) {
		help_verb(a->verb);
		return (false);
	}
	if (!operands_fit(a)) {
		*status = usage_error(a, a->verb->operands[0] == '\0' ? "wants no operands" : "wants %s", a->verb->operands);
		return (false);
	}
	return (true);
}

void
arguments_fini(struct arguments *a)
{
	free(a->operands);
}

/* ---- values ---- */

bool
is_wanted(const struct arguments *a, const char *name)
{
	for (unsigned i = 0; i < a->noperands; i++)
		if (strstr(name, a->operands[i]) != NULL)
			return (true);
	return (a->noperands == 0);
}

bool
option_i64(const struct arguments *a, enum option o, int64_t *v)
{
	if (!given(a, o) || str_to_i64(slice_str(a->value[o]), v))
		return (true);
	(void)usage_error(a, "--%s %s: not a number", options[o].name, a->value[o]);
	return (false);
}

/* The end of a time: ".250", as kafka-consumer-groups demands it, or nothing; then Z or nothing. */
static bool
ends_time(const char *p, int *thousandths)
{
	int n = 0;

	*thousandths = 0;
	if (*p == '.' && strspn(p + 1, "0123456789") == 3 && sscanf(p, ".%3d%n", thousandths, &n) == 1)
		p += n;
	return (*p == '\0' || strcmp(p, "Z") == 0);
}

bool
option_time(const struct arguments *a, enum option o, int64_t *ms)
{
	struct tm tm = { 0 };
	int n = 0, thousandths;

	if (!given(a, o) || str_to_i64(slice_str(a->value[o]), ms))
		return (true);
	if (sscanf(a->value[o], "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) == 6 &&
	    ends_time(a->value[o] + n, &thousandths)) {
		tm.tm_year -= 1900;
		tm.tm_mon--;
		*ms = (int64_t)timegm(&tm) * 1000 + thousandths;
		return (true);
	}
	(void)usage_error(a, "--%s %s: neither milliseconds since 1970 nor like 2026-11-28T10:00:00Z (UTC)", options[o].name, a->value[o]);
	return (false);
}
