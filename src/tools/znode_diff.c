/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znode_diff.c - ottla znode diff.
 *
 * What is compared: which nodes there are, whether they are ephemeral, and what they hold, JSON as JSON.  Versions, zxids, times and session ids are
 * never the same in two clusters, and are not.  --ignore-clocks and --ignore-ids take more away, from copies, before anything is compared.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tools/znodes.h"

struct side {
	const char *name;
	struct znodes t;
};

/* ---- what does not count ---- */

static void
remove_keys(json_t *o, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		(void)json_object_del(o, *keys);
}

static void
strip(const struct arguments *a, const char *path, json_t *o)
{
	static const char *const clocks[] = { "timestamp", "issueTimestamp", "maxTimestamp", "expiryTimestamp", NULL };
	static const char *const topic_ids[] = { "topic_id", NULL }, *const cluster_ids[] = { "id", NULL }, *const places[] = { "endpoints", "host", "port", "jmx_port", NULL };

	if (given(a, OPT_ignore_clocks))
		remove_keys(o, clocks);
	if (given(a, OPT_ignore_ids)) {
		remove_keys(o, topic_ids);
		if (strcmp(path, "/cluster/id") == 0)
			remove_keys(o, cluster_ids);
		if (strncmp(path, "/brokers/ids/", 13) == 0)
			remove_keys(o, places);
	}
	if (!given(a, OPT_show_secrets))
		znode_mask(path, o);
}

/* "config_change_0000000012" is the n-th of its parent: numbers go on for ever and differ. */
static void
renumber(struct znodes *t)
{
	char *parent = xstrdup("");
	unsigned n = 0;

	for (size_t i = 0; i < t->n; i++) {
		char *path = t->v[i].path;
		size_t len = strlen(path), slash = (size_t)(strrchr(path, '/') - path);

		if (len < 11 || strspn(path + len - 10, "0123456789") != 10 || path[len - 11] != '_')
			continue;
		if (strlen(parent) != slash || strncmp(parent, path, slash) != 0) {
			free(parent);
			parent = xstrndup(path, slash);
			n = 0;
		}
		t->v[i].path = xasprintf("%.*s%010u", (int)(len - 10), path, n++);
		free(path);
	}
	free(parent);
}

/* ---- one node ---- */

static char *
content(const struct arguments *a, const struct znode *n)
{
	json_t *o = znode_json(n);
	char *text;

	if (o == NULL) {
		if (n->data == NULL || n->len == 0)
			return (xstrdup(""));	/* null and empty are one to every reader */
		return (znode_is_secret(n->path) && !given(a, OPT_show_secrets) ? xstrdup("********") : xstrndup(n->data, n->len));
	}
	strip(a, n->path, o);
	text = json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	json_decref(o);
	return (text);
}

static void
print_lines(char sign, const char *text)
{
	for (const char *nl; *text != '\0'; text = nl + (*nl == '\n')) {
		nl = strchrnul(text, '\n');
		printf("  %c %.*s\n", sign, (int)(nl - text), text);
	}
}

static void
report(const struct arguments *a, const char *path, const char *what, const char *in_a, const char *in_b)
{
	struct line j;

	if (given(a, OPT_json)) {
		line_begin(&j, "difference");
		line_string(&j, "path", path);
		line_string(&j, "difference", what);
		line_string(&j, "a", in_a);
		line_string(&j, "b", in_b);
		line_end(&j);
		return;
	}
	printf("%s: %s\n", path, what);
	if (in_a != NULL)
		print_lines('-', in_a);
	if (in_b != NULL)
		print_lines('+', in_b);
}

static bool
compare_node(const struct arguments *a, const struct znode *x, const struct znode *y)
{
	char *in_a = x == NULL ? NULL : content(a, x), *in_b = y == NULL ? NULL : content(a, y);
	bool same = true;

	if (x == NULL || y == NULL) {
		report(a, x == NULL ? y->path : x->path, x == NULL ? "only in B" : "only in A", in_a, in_b);
		same = false;
	} else if (strcmp(in_a, in_b) != 0) {
		report(a, x->path, "differs", in_a, in_b);
		same = false;
	} else if ((x->stat.ephemeral_owner == 0) != (y->stat.ephemeral_owner == 0)) {
		report(a, x->path, x->stat.ephemeral_owner != 0 ? "ephemeral only in A" : "ephemeral only in B", NULL, NULL);
		same = false;
	}
	free(in_a);
	free(in_b);
	return (same);
}

static bool
compare(const struct arguments *a, const struct znodes *x, const struct znodes *y)
{
	bool same = true;

	for (size_t i = 0, k = 0; i < x->n || k < y->n;) {
		int c = i == x->n ? 1 : k == y->n ? -1 : strcmp(x->v[i].path, y->v[k].path);

		same &= compare_node(a, c <= 0 ? &x->v[i] : NULL, c >= 0 ? &y->v[k] : NULL);
		i += c <= 0;
		k += c >= 0;
	}
	return (same);
}

enum status
verb_znode_diff(const struct arguments *a)
{
	struct znodes x, y;
	bool same;

	if (!znodes_read(a, a->operands[0], a->value[OPT_path], &x))
		return (STATUS_FAILED);
	if (!znodes_read(a, a->operands[1], a->value[OPT_path], &y)) {
		znodes_fini(&x);
		return (STATUS_FAILED);
	}
	if (given(a, OPT_ignore_ids)) {
		renumber(&x);
		renumber(&y);
	}
	same = compare(a, &x, &y);
	if (!given(a, OPT_json))
		printf("%s\n", same ? "the same" : "A and B differ (- A, + B)");
	znodes_fini(&x);
	znodes_fini(&y);
	return (same ? STATUS_CLEAN : STATUS_FOUND);
}
