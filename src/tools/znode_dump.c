/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znode_dump.c - ottla znode dump.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/znodes.h"

static void
print_json(const struct znode *n, json_t *content, bool mask)
{
	char *text = content == NULL ? NULL : json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	struct line j;
	char owner[24];

	line_begin(&j, "znode");
	line_string(&j, "path", n->path);
	if (text != NULL)
		line_string(&j, "data", text);
	else if (n->data != NULL && n->len > 0 && mask && znode_is_secret(n->path))
		line_string(&j, "data", "********");
	else
		line_bytes(&j, "data", slice_of(n->data, n->len));
	line_bool(&j, "unreadable", n->unreadable);
	line_int(&j, "version", n->stat.version);
	str_format(owner, sizeof(owner), "0x%" PRIx64, (uint64_t)n->stat.ephemeral_owner);
	line_string(&j, "ephemeral_owner", n->stat.ephemeral_owner == 0 ? NULL : owner);
	line_int(&j, "czxid", n->stat.czxid);
	line_int(&j, "mzxid", n->stat.mzxid);
	line_int(&j, "ctime", n->stat.ctime_ms);
	line_int(&j, "mtime", n->stat.mtime_ms);
	line_end(&j);
	free(text);
}

static void
print_content(const char *text)
{
	for (const char *nl; *text != '\0'; text = nl + (*nl == '\n')) {
		nl = strchrnul(text, '\n');
		printf("    %.*s\n", (int)(nl - text), text);
	}
}

static void
print_node(const struct znode *n, json_t *content, bool mask)
{
	char *text = content == NULL ? NULL : json_dumps(content, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	char when[40];

	format_time(n->stat.mtime_ms, when);
	printf("%s  version %" PRId32 ", changed %s", n->path, n->stat.version, when);
	if (n->stat.ephemeral_owner != 0)
		printf(", ephemeral of session 0x%" PRIx64, (uint64_t)n->stat.ephemeral_owner);
	printf("%s\n", n->unreadable ? ", may not be read (its ACL)" : "");
	if (text != NULL)
		print_content(text);
	else if (n->data != NULL && n->len > 0) {
		fputs("    ", stdout);
		if (mask && znode_is_secret(n->path))
			fputs("********", stdout);
		else
			print_escaped(slice_of(n->data, n->len));
		putchar('\n');
	}
	free(text);
}

enum status
verb_znode_dump(const struct arguments *a)
{
	bool mask = !given(a, OPT_show_secrets);
	enum status status = STATUS_CLEAN;
	struct znodes t;

	if (!znodes_read(a, a->operands[0], a->value[OPT_path], &t))
		return (STATUS_FAILED);
	if (given(a, OPT_check))
		status = znodes_check(a, &t);
	for (size_t i = 0; i < t.n && !given(a, OPT_check); i++) {
		json_t *content = znode_json(&t.v[i]);

		if (mask && content != NULL)
			znode_mask(t.v[i].path, content);
		if (given(a, OPT_json))
			print_json(&t.v[i], content, mask);
		else
			print_node(&t.v[i], content, mask);
		json_decref(content);
		if (t.v[i].unreadable)
			status = STATUS_FAILED;
	}
	znodes_fini(&t);
	return (status);
}
