/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/znodes.c - see znodes.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tools/zkplace.h"
#include "tools/znodes.h"

enum { SAVED_MAX = 1 << 30 };

/* ---- from ZooKeeper ---- */

static bool
read_live(const struct arguments *a, const char *connect, const char *under, struct znodes *t)
{
	struct zkplace *p;
	bool good;

	if (!zkplace_open(a, connect, ZKPLACE_READ, &p))
		return (false);
	good = zkplace_read(a, p, under, false, t);
	if (good && t->n == 0) {
		(void)failure(a, "%s: there is no node %s%s", connect, zkplace_chroot(p)[0] == '\0' && under == NULL ? "/" : zkplace_chroot(p), under == NULL ? "" : under);
		good = false;
	}
	zkplace_close(&p);
	return (good);
}

/* ---- from a file ---- */

static int64_t
number(json_t *o, const char *key)
{
	return ((int64_t)json_integer_value(json_object_get(o, key)));
}

static struct slice
unhex(const char *s, char **to)
{
	size_t n = strlen(s) / 2;
	unsigned byte;

	*to = xcalloc(n + 1, 1);
	for (size_t i = 0; i < n && sscanf(s + 2 * i, "%2x", &byte) == 1; i++)
		(*to)[i] = (char)byte;
	return (slice_of(*to, n));
}

static bool
take_line(const char *line, const char *under, struct znodes *t)
{
	json_t *o = json_loads(line, 0, NULL), *data = json_object_get(o, "data");
	const char *path = json_string_value(json_object_get(o, "path")), *hex = json_string_value(json_object_get(o, "data_hex")), *owner;
	struct zk_stat st = { 0 };
	size_t n = under == NULL ? 0 : strlen(under);
	char *bytes = NULL;

	if (path == NULL) {
		json_decref(o);
		return (o != NULL);
	}
	owner = json_string_value(json_object_get(o, "ephemeral_owner"));
	st.ephemeral_owner = owner == NULL ? 0 : (int64_t)strtoull(owner, NULL, 16);
	st.version = (int32_t)number(o, "version");
	st.czxid = number(o, "czxid");
	st.mzxid = number(o, "mzxid");
	st.ctime_ms = number(o, "ctime");
	st.mtime_ms = number(o, "mtime");
	if (under == NULL || (strncmp(path, under, n) == 0 && (path[n] == '\0' || path[n] == '/')))
		znodes_add(t, path, hex != NULL ? unhex(hex, &bytes) : json_is_string(data) ? slice_of(json_string_value(data), json_string_length(data)) : SLICE_NULL, SLICE_NULL, &st);
	free(bytes);
	json_decref(o);
	return (true);
}

static bool
read_saved(const struct arguments *a, const char *file, const char *under, struct znodes *t)
{
	struct errbuf eb = ERRBUF_INIT;
	char *text = NULL, *save = NULL;
	unsigned n = 0;
	size_t len = 0;
	bool good = true;

	if (fs_read_file(fs_real(), file, SAVED_MAX, &text, &len, &eb) != OK) {
		(void)failure(a, "%s", eb.text);
		return (false);
	}
	for (char *line = strtok_r(text, "\n", &save); line != NULL && good; line = strtok_r(NULL, "\n", &save)) {
		n++;
		good = take_line(line, under, t);
	}
	if (!good)
		(void)failure(a, "%s: line %u was not written by ottla znode dump --json", file, n);
	free(text);
	return (good);
}

bool
znodes_read(const struct arguments *a, const char *text, const char *under, struct znodes *t)
{
	bool good;

	*t = (struct znodes){ NULL, 0, 0 };
	if (under != NULL && (under[0] != '/' || (under[1] != '\0' && under[strlen(under) - 1] == '/'))) {
		(void)usage_error(a, "--path %s: begins with / and does not end with it", under);
		return (false);
	}
	if (under != NULL && under[1] == '\0')
		under = NULL;
	good = fs_exists(fs_real(), text) ? read_saved(a, text, under, t) : read_live(a, text, under, t);
	znodes_sort(t);
	if (!good)
		znodes_fini(t);
	return (good);
}

/* ---- contents ---- */

json_t *
znode_json(const struct znode *n)
{
	json_t *o = n->data == NULL ? NULL : json_loadb(n->data, n->len, 0, NULL);

	return (o);
}

bool
znode_is_secret(const char *path)
{
	return (strncmp(path, "/config/users/", 14) == 0 || strncmp(path, "/config/brokers/", 16) == 0 || strncmp(path, "/delegation_token/tokens/", 25) == 0);
}

static bool
is_secret_key(const char *key)
{
	static const char *const parts[] = { "password", "secret", "jaas", "keystore.key", "private", "SCRAM-SHA" };

	for (size_t i = 0; i < NELEM(parts); i++)
		if (strcasestr(key, parts[i]) != NULL)
			return (true);
	return (false);
}

void
znode_mask(const char *path, json_t *o)
{
	json_t *config = json_object_get(o, "config"), *value;
	const char *key;
	void *tmp;

	if (strncmp(path, "/config/", 8) != 0)
		return;
	json_object_foreach_safe(config, tmp, key, value)
		if (is_secret_key(key))
			json_object_set_new(config, key, json_string("********"));
}
