/* SPDX-License-Identifier: Apache-2.0
 *
 * log/inspect_place.c - a log directory as a whole: its identity, its checkpoints, what lies in it; the rules M1, C1, C3, D1, F3 of rules.def.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/inspect_int.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"

static void
read_one(struct fs *fs, const char *dir, const char *name, struct checkpoint *cp, struct log_findings *out)
{
	char *path = path_join(dir, name);
	struct errbuf why = ERRBUF_INIT;
	enum err e = checkpoint_read(fs, path, cp, &why);

	if (e != OK && e != ERR_NOENT)
		finding_add(out, LOG_RULE_CHECKPOINT, true, path, -1, -1, "%s", why.text);
	free(path);
}

static void
check_meta(struct fs *fs, const char *dir, struct log_findings *out)
{
	char *path = path_join(dir, "meta.properties");
	struct errbuf why = ERRBUF_INIT;
	struct meta_properties m;
	enum err e = meta_properties_read(fs, dir, &m, &why);

	if (e != OK)
		finding_add(out, LOG_RULE_PROPERTIES, e != ERR_NOENT, path, -1, -1, "%s", e == ERR_NOENT ? "missing: the next start writes it" : why.text);
	else if (m.version != 0)
		finding_add(out, LOG_RULE_PROPERTIES, true, path, -1, -1, "version=%" PRId32 "%s: a broker in ZooKeeper mode refuses it", m.version,
		    m.version == 1 ? " (KRaft)" : "");
	else if (m.broker_id < 0 || m.cluster_id[0] == '\0')
		finding_add(out, LOG_RULE_PROPERTIES, true, path, -1, -1, "no %s", m.broker_id < 0 ? "broker.id" : "cluster.id");
	meta_properties_fini(&m);
	free(path);
}

struct listing {
	struct log_place *place;
	struct log_findings *out;
	const char *dir;
};

static bool
take_entry(void *ctx, const char *name, bool is_dir)
{
	struct listing *l = ctx;
	struct log_place *p = l->place;
	char *path = path_join(l->dir, name), *topic = NULL;
	int32_t partition;

	if (!is_dir) {
		if (name_has_suffix(name, ".tmp") && p->holder == 0)
			finding_add(l->out, LOG_RULE_LEFTOVER, false, path, -1, -1, "half written; the next start overwrites it");
	} else if (strcmp(name, "__cluster_metadata-0") != 0 && strcmp(name, "remote-log-index-cache") != 0) {
		switch (name_parse_log_dir(name, &topic, &partition)) {
		case LOG_DIR_LOG:
		case LOG_DIR_FUTURE:
		case LOG_DIR_STRAY:
			p->logs = xreallocarray(p->logs, (size_t)p->nlogs + 1, sizeof(*p->logs));
			p->logs[p->nlogs++] = xstrdup(name);
			break;
		case LOG_DIR_DELETE:
			if (p->holder == 0)
				finding_add(l->out, LOG_RULE_LEFTOVER, false, path, -1, -1, "a deleted log; the next start removes it");
			break;
		case LOG_DIR_OTHER:
			if (p->is_log_dir)
				finding_add(l->out, LOG_RULE_NAMES, true, path, -1, -1, "no log: a broker refuses to start beside it");
			break;
		}
	}
	free(topic);
	free(path);
	return (true);
}

static void
check_stale(const struct log_place *p, const struct checkpoint *cp, const char *name, struct log_findings *out)
{
	char *path = path_join(p->path, name);

	for (uint32_t i = 0; i < cp->n && p->holder == 0; i++) {
		char *log = log_key(cp->entries[i].topic, cp->entries[i].partition);

		if (p->nlogs == 0 || bsearch(&log, p->logs, p->nlogs, sizeof(*p->logs), string_ptr_cmp) == NULL)
			finding_add(out, LOG_RULE_CHECKPOINT_ROW, false, path, cp->entries[i].offset, -1, "a row for %s, which is not here", log);
		free(log);
	}
	free(path);
}

static bool
has(struct fs *fs, const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	bool found = fs_exists(fs, path);

	free(path);
	return (found);
}

enum err
log_place_read(struct fs *fs, const char *dir, bool ours, struct log_place *p, struct log_findings *out, struct errbuf *eb)
{
	struct listing l = { p, out, dir };
	enum err e = OK;

	*p = (struct log_place)LOG_PLACE_INIT;
	p->path = xstrdup(dir);
	if (!ours)
		e = log_place_holder(fs, dir, &p->holder, eb);
	if (e != OK)
		return (e);
	p->is_log_dir = has(fs, dir, "meta.properties") || has(fs, dir, ".lock") || has(fs, dir, "recovery-point-offset-checkpoint");
	if (p->is_log_dir) {
		p->clean = has(fs, dir, ".kafka_cleanshutdown");
		check_meta(fs, dir, out);
		read_one(fs, dir, "recovery-point-offset-checkpoint", &p->recovery, out);
		read_one(fs, dir, "log-start-offset-checkpoint", &p->starts, out);
		read_one(fs, dir, "replication-offset-checkpoint", &p->marks, out);
		read_one(fs, dir, "cleaner-offset-checkpoint", &p->cleaned, out);
	}
	e = fs->ops->list(fs, dir, take_entry, &l, eb);
	if (p->nlogs > 0)
		qsort(p->logs, p->nlogs, sizeof(*p->logs), string_ptr_cmp);
	if (e == OK) {
		check_stale(p, &p->recovery, "recovery-point-offset-checkpoint", out);
		check_stale(p, &p->starts, "log-start-offset-checkpoint", out);
		check_stale(p, &p->marks, "replication-offset-checkpoint", out);
	}
	return (e);
}

void
log_place_fini(struct log_place *p)
{
	for (uint32_t i = 0; i < p->nlogs; i++)
		free(p->logs[i]);
	free(p->logs);
	free(p->path);
	checkpoint_fini(&p->recovery);
	checkpoint_fini(&p->starts);
	checkpoint_fini(&p->marks);
	checkpoint_fini(&p->cleaned);
	*p = (struct log_place)LOG_PLACE_INIT;
}
