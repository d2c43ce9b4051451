/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/paths.c - see paths.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "zk/paths.h"

const char *const zk_top_level_paths[] = {
	ZK_CONSUMERS, ZK_BROKER_IDS, ZK_TOPICS, ZK_CONFIG_CHANGES, ZK_DELETE_TOPICS, ZK_BROKER_SEQID, ZK_ISR_CHANGES,
	ZK_PRODUCER_ID_BLOCK, ZK_LOG_DIR_EVENTS, "/config/topics", "/config/clients", "/config/users", "/config/brokers", "/config/ips", NULL
};

#define PATH(...) \
	struct zk_path p_; \
	if (!str_format(p_.s, sizeof(p_.s), __VA_ARGS__)) \
		p_.s[0] = '\0'; \
	return (p_)

struct zk_path zk_path_broker(int32_t id) { PATH(ZK_BROKER_IDS "/%" PRId32, id); }
struct zk_path zk_path_topic(const char *topic) { PATH(ZK_TOPICS "/%s", topic); }
struct zk_path zk_path_topic_partitions(const char *topic) { PATH(ZK_TOPICS "/%s/partitions", topic); }
struct zk_path zk_path_partition(const char *topic, int32_t p) { PATH(ZK_TOPICS "/%s/partitions/%" PRId32, topic, p); }
struct zk_path zk_path_partition_state(const char *topic, int32_t p) { PATH(ZK_TOPICS "/%s/partitions/%" PRId32 "/state", topic, p); }
struct zk_path zk_path_delete_topic(const char *topic) { PATH(ZK_DELETE_TOPICS "/%s", topic); }
struct zk_path zk_path_topic_config(const char *topic) { PATH("/config/topics/%s", topic); }
struct zk_path zk_path_child(const char *parent, const char *name) { PATH("%s/%s", parent, name); }

struct zk_path
zk_path_broker_config(int32_t id)
{
	if (id < 0) {
		PATH("/config/brokers/" ZK_DEFAULT_ENTITY);
	} else {
		PATH("/config/brokers/%" PRId32, id);
	}
}

const char *
zk_path_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(path, prefix, len) != 0 || path[len] != '/' || path[len + 1] == '\0' || strchr(path + len + 1, '/') != NULL)
		return (NULL);
	return (path + len + 1);
}

bool
zk_sequence_of(const char *name, const char *prefix, int64_t *out)
{
	size_t len = strlen(prefix), i;

	if (strncmp(name, prefix, len) != 0 || name[len] == '\0')
		return (false);
	for (i = len; name[i] != '\0'; i++)
		if (name[i] < '0' || name[i] > '9')
			return (false);
	return (str_to_i64(slice_str(name + len), out));
}

static bool
is_literal(uint8_t c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_');
}

char *
zk_sanitize(struct slice name)
{
	struct strbuf b = STRBUF_INIT;
	size_t i;

	strbuf_add_bytes(&b, "", 0);
	for (i = 0; i < name.len; i++)
		if (is_literal(name.p[i]))
			strbuf_add_bytes(&b, &name.p[i], 1);
		else
			strbuf_add(&b, "%%%02X", name.p[i]);
	return (b.s == NULL ? xstrdup("") : strbuf_take(&b));
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

/* Takes '+' for a blank, as Java's URLDecoder does. */
char *
zk_desanitize(const char *s)
{
	char *out = xmalloc(strlen(s) + 1), *p = out;

	for (; *s != '\0'; s++) {
		if (*s != '%')
			*p++ = (char)(*s == '+' ? ' ' : *s);
		else if (hex(s[1]) < 0 || hex(s[2]) < 0 || (hex(s[1]) == 0 && hex(s[2]) == 0)) {
			free(out);
			return (NULL);
		} else {
			*p++ = (char)(hex(s[1]) * 16 + hex(s[2]));
			s += 2;
		}
	}
	*p = '\0';
	if (!str_is_utf8(slice_str(out))) {
		free(out);
		return (NULL);
	}
	return (out);
}

bool
zk_path_is_sensitive(const char *path)
{
	static const char *const roots[] = { "/config/users", "/config/brokers", ZK_TOKENS };
	size_t i;

	for (i = 0; i < NELEM(roots); i++)
		if (strncmp(path, roots[i], strlen(roots[i])) == 0)
			return (true);
	return (false);
}
