/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs.c - see log_dirs.h: directories, their identity, the table of logs.  Loading and shutdown are in log_dirs_load.c, what runs
 * on schedule in log_dirs_periodic.c; establish.c brings new logs to the disk.
 *
 * INVARIANTS
 *   (1) A directory that is used holds its fcntl lock from log_dirs_new to log_dirs_free.
 *   (2) A directory goes offline once, and never back.
 *   (3) A log is in the table from before its directory exists until before that is renamed for deletion; the checkpoint files
 *       do not know it any more when another log of its name can be made.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/str.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"
#include "log/scrub.h"

enum { SYNCERS_PER_DIR = 2, READERS_PER_DIR = 2,	/* one that a disk is slow with, and one more */
	COMMITTERS_PER_DIR = 8,	/* logs of one disk that are synced side by side: they share commits of its journal */
	TURN_MS = 2 };		/* a sync that is worth waiting for is over by then */

char *
log_key(const char *topic, int32_t partition)
{
	return (xasprintf("%s-%" PRId32, topic, partition));
}

bool
dir_is_online(const struct dir *d)
{
	return (!d->base.offline);
}

/* ---- a directory goes offline ---- */

struct offline_news {
	struct job	 job;
	struct log_dirs *ld;
	const char	*path;
	char		*why;
	bool		 last;
};

static void
tell_offline(struct job *j)
{
	struct offline_news *n = CONTAINER_OF(j, struct offline_news, job);
	const struct log_events *ev = &n->ld->env.events;

	if (ev->dir_offline != NULL)
		ev->dir_offline(ev->ctx, n->path, n->why);
	if (n->last && ev->all_offline != NULL)
		ev->all_offline(ev->ctx);
	free(n->why);
	free(n);
}

static bool
was_last(struct log_dirs *ld)
{
	bool last = true;

	for (uint32_t i = 0; i < ld->ndirs; i++)
		last = last && !dir_is_online(&ld->dirs[i]);
	return (last && !atomic_exchange(&ld->all_offline_told, true));
}

/* The caller may own a log: the news goes to a worker, so that no callback runs under ownership. */
void
log_dir_fail(struct log_dir *dir, const char *why)
{
	struct log_dirs *ld = CONTAINER_OF(dir->env, struct log_dirs, env);
	struct offline_news *n;

	if (atomic_exchange(&dir->offline, true))
		return;
	diag_error(ld->env.diag, "log", "log directory %s goes offline: %s", dir->path, why);
	metric_add(ld->env.metrics, METRIC_log_dirs_offline, 1);
	n = xcalloc(1, sizeof(*n));
	n->job.run = tell_offline;
	n->ld = ld;
	n->path = dir->path;
	n->why = xstrdup(why);
	n->last = was_last(ld);
	if (ld->env.workers != NULL)
		workers_submit(ld->env.workers, &n->job);
	else
		tell_offline(&n->job);
}

/* ---- a directory's own threads ---- */

/* Workers without threads are stepped by hand: then they do all. */
static enum err
start_own_threads(struct log_dirs *ld, struct errbuf *eb)
{
	bool apart = ld->ndirs > 1 && ld->env.workers != NULL;
	bool threads = ld->env.workers != NULL && workers_count(ld->env.workers) > 0;
	bool commits = threads && ld->env.sync_appends;
	char name[16];
	enum err e = OK;

	threads = threads && apart;
	for (uint32_t i = 0; i < ld->ndirs && e == OK; i++) {
		struct log_dir *d = &ld->dirs[i].base;

		d->apart = apart;
		str_format(name, sizeof(name), "write%u", i);
		if (threads)
			e = workers_new(1, name, &d->writer, eb);
		str_format(name, sizeof(name), "sync%u", i);
		if (threads && e == OK)
			e = workers_new(SYNCERS_PER_DIR, name, &d->syncer, eb);
		str_format(name, sizeof(name), "read%u", i);
		if (threads && e == OK)
			e = workers_new(READERS_PER_DIR, name, &d->readers, eb);
		str_format(name, sizeof(name), "commit%u", i);
		if (commits && e == OK)
			e = workers_new(COMMITTERS_PER_DIR, name, &d->committer, eb);
		str_format(name, sizeof(name), "keep%u", i);
		if (threads && e == OK)
			e = workers_new(1, name, &d->keeper, eb);
	}
	return (e);
}

/* Drains give flushes to the syncers and syncs to the committers, and all give the news of a failed disk to the common workers. */
static void
end_own_threads(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++) {
		workers_free(&ld->dirs[i].base.keeper);
		workers_free(&ld->dirs[i].base.writer);
		workers_free(&ld->dirs[i].base.syncer);
		workers_free(&ld->dirs[i].base.readers);
		workers_free(&ld->dirs[i].base.committer);
	}
}

void
log_dirs_await_upkeep(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		if (ld->dirs[i].base.keeper != NULL)
			workers_drain(ld->dirs[i].base.keeper);
}

/* ---- new ---- */

static enum err
dir_lock(struct log_dirs *ld, struct dir *d, struct errbuf *eb)
{
	char *path = path_join(d->base.path, ".lock");
	int holder = 0;
	enum err e = file_open(ld->env.fs, path, FS_RDWR | FS_CREATE, &d->lock_file, eb);

	if (e == OK)
		e = ld->env.fs->ops->lock(d->lock_file, &holder, eb);
	if (e == ERR_LOCKED && holder > 0)
		errbuf_set(eb, "log directory %s is in use by process %d (it holds %s)", d->base.path, holder, path);
	else if (e == ERR_LOCKED)
		errbuf_set(eb, "log directory %s is in use by another process (it holds %s)", d->base.path, path);
	free(path);
	return (e);
}

static enum err
take_meta(struct log_dirs *ld, struct dir *d, struct errbuf *eb)
{
	const struct meta_properties *m = &d->meta;

	if (m->version != 0) {
		errbuf_set(eb, "%s/meta.properties has version %" PRId32 "%s; a broker in ZooKeeper mode needs version 0", d->base.path, m->version,
		    m->version == 1 ? " (KRaft)" : "");
		return (ERR_UNSUPPORTED);
	}
	if (m->broker_id >= 0 && ld->broker_id >= 0 && m->broker_id != ld->broker_id) {
		errbuf_set(eb, "the log directories belong to different brokers: %s/meta.properties says broker.id=%" PRId32 ", another one says %" PRId32,
		    d->base.path, m->broker_id, ld->broker_id);
		return (ERR_CONFLICT);
	}
	if (m->cluster_id[0] != '\0' && ld->cluster_id[0] != '\0' && strcmp(m->cluster_id, ld->cluster_id) != 0) {
		errbuf_set(eb, "the log directories belong to different clusters: %s/meta.properties says cluster.id=%s, another one says %s",
		    d->base.path, m->cluster_id, ld->cluster_id);
		return (ERR_CONFLICT);
	}
	if (m->broker_id >= 0)
		ld->broker_id = m->broker_id;
	if (m->cluster_id[0] != '\0')
		(void)str_copy(ld->cluster_id, sizeof(ld->cluster_id), m->cluster_id);
	return (OK);
}

static enum err
dir_open(struct log_dirs *ld, struct dir *d, struct errbuf *eb)
{
	enum err e = fs_mkdir_p(ld->env.fs, d->base.path, eb);

	if (e == OK)
		e = dir_lock(ld, d, eb);
	if (e != OK)
		return (e);
	e = meta_properties_read(ld->env.fs, d->base.path, &d->meta, eb);
	if (e == ERR_NOENT)
		return (OK);
	if (e == OK)
		e = take_meta(ld, d, eb);
	d->has_meta = e == OK;
	return (e);
}

static bool
is_fatal_at_start(enum err e)
{
	return (e == ERR_LOCKED || e == ERR_CONFLICT || e == ERR_UNSUPPORTED || e == ERR_CORRUPT || e == ERR_MALFORMED);
}

static enum err
open_dirs(struct log_dirs *ld, struct errbuf *eb)
{
	uint32_t online = 0;

	for (uint32_t i = 0; i < ld->ndirs; i++) {
		struct errbuf why = ERRBUF_INIT;
		enum err e = dir_open(ld, &ld->dirs[i], &why);

		if (e != OK)
			errbuf_set(eb, "%s", why.text);
		if (is_fatal_at_start(e))
			return (e);
		online += e == OK;
		if (e != OK) {
			ld->dirs[i].base.offline = true;
			metric_add(ld->env.metrics, METRIC_log_dirs_offline, 1);
			diag_error(ld->env.diag, "log", "log directory %s cannot be used: %s", ld->dirs[i].base.path, why.text);
		}
	}
	if (online > 0)
		return (OK);
	errbuf_add(eb, "no log directory can be used");
	return (ERR_OFFLINE);
}

static enum err
check_distinct(const struct log_dirs *ld, struct errbuf *eb)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		for (uint32_t k = 0; k < i; k++)
			if (strcmp(ld->dirs[i].base.path, ld->dirs[k].base.path) == 0) {
				errbuf_set(eb, "log.dirs names %s twice", ld->dirs[i].base.path);
				return (ERR_INVALID);
			}
	return (OK);
}

static char *
without_trailing_slash(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return (xstrndup(path, n));
}

static void
turns_init(struct turns *t)
{
	lock_init(&t->lock, LOCK_log_turns);
	condition_init(&t->left);
	t->max = (uint32_t)MIN(MAX(get_nprocs() / 2, 1), COMMITTERS_PER_DIR);
	t->patience_ms = TURN_MS;
}

static void
free_dir(struct dir *d)
{
	condition_fini(&d->base.turns.left);
	lock_fini(&d->base.turns.lock);
	free(d->young);
	file_unref(&d->lock_file);
	meta_properties_fini(&d->meta);
	checkpoint_fini(&d->recovery);
	checkpoint_fini(&d->starts);
	checkpoint_fini(&d->marks);
	names_drop(&d->names);
	lock_fini(&d->names.lock);
	lock_fini(&d->checkpoints);
	free(d->base.path);
}

static void
destroy(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++)
		free_dir(&ld->dirs[i]);
	open_indexes_fini(&ld->env.open);
	condition_fini(&ld->created);
	lock_fini(&ld->lock);
	ld->magic.value = 0;
	free(ld->dirs);
	free(ld);
}

enum err
log_dirs_new(const struct log_dirs_options *o, struct log_dirs **out, struct errbuf *eb)
{
	struct log_dirs *ld = xcalloc(1, sizeof(*ld));
	enum err e;

	must(o->ndirs > 0);
	ld->magic.value = LOG_DIRS_MAGIC;
	ld->options = *o;
	ld->recovery_threads = o->recovery_threads_per_dir;
	ld->env = (struct log_env){ .fs = o->fs, .clock = o->clock, .diag = o->diag, .metrics = o->metrics, .random = o->random, .workers = o->workers,
	    .sync_appends = o->sync_appends, .events = o->events };
	open_indexes_init(&ld->env.open, o->open_indexes_max);
	ld->broker_id = -1;
	ld->ndirs = o->ndirs;
	ld->dirs = xcalloc(o->ndirs, sizeof(*ld->dirs));
	lock_init(&ld->lock, LOCK_log_dirs);
	condition_init(&ld->created);
	STAILQ_INIT(&ld->deletions);
	for (uint32_t i = 0; i < o->ndirs; i++) {
		ld->dirs[i].base.env = &ld->env;
		ld->dirs[i].base.path = without_trailing_slash(o->dirs[i]);
		lock_init(&ld->dirs[i].checkpoints, LOCK_log_checkpoint);
		lock_init(&ld->dirs[i].names.lock, LOCK_log_names);
		turns_init(&ld->dirs[i].base.turns);
	}
	e = check_distinct(ld, eb);
	if (e == OK)
		e = open_dirs(ld, eb);
	if (e == OK)
		e = start_own_threads(ld, eb);
	if (e != OK) {
		end_own_threads(ld);
		destroy(ld);		/* no log, no job, no reader yet; and the caller may be a worker, which cannot wait for the workers */
		return (e);
	}
	if (o->scrub_bytes_per_second > 0)
		ld->scrubber = scrubber_new(ld, o->scrub_bytes_per_second);
	*out = ld;
	return (OK);
}

/* ---- identity ---- */

int32_t	    log_dirs_broker_id(const struct log_dirs *ld) { return (ld->broker_id); }
const char *log_dirs_cluster_id(const struct log_dirs *ld) { return (ld->cluster_id[0] == '\0' ? NULL : ld->cluster_id); }

static enum err
check_identity(const struct log_dirs *ld, int32_t broker_id, const char *cluster_id, struct errbuf *eb)
{
	if (ld->broker_id >= 0 && ld->broker_id != broker_id) {
		errbuf_set(eb, "the log directories (%s/meta.properties ...) belong to broker.id=%" PRId32 ", this broker is %" PRId32
		    "; use its own directories, or the broker.id they were made with", ld->dirs[0].base.path, ld->broker_id, broker_id);
		return (ERR_CONFLICT);
	}
	if (ld->cluster_id[0] != '\0' && strcmp(ld->cluster_id, cluster_id) != 0) {
		errbuf_set(eb, "the log directories (%s/meta.properties ...) belong to cluster.id=%s, ZooKeeper says this cluster is %s"
		    "; check zookeeper.connect", ld->dirs[0].base.path, ld->cluster_id, cluster_id);
		return (ERR_CONFLICT);
	}
	return (OK);
}

enum err
log_dirs_set_identity(struct log_dirs *ld, int32_t broker_id, const char *cluster_id, struct errbuf *eb)
{
	enum err e = check_identity(ld, broker_id, cluster_id, eb);

	must(cluster_id != NULL && cluster_id[0] != '\0');
	if (e != OK)
		return (e);
	ld->broker_id = broker_id;
	if (cluster_id != ld->cluster_id && !str_copy(ld->cluster_id, sizeof(ld->cluster_id), cluster_id)) {
		errbuf_set(eb, "the cluster id is longer than %zu bytes", sizeof(ld->cluster_id) - 1);
		return (ERR_INVALID);
	}
	for (uint32_t i = 0; i < ld->ndirs; i++) {
		struct dir *d = &ld->dirs[i];
		struct errbuf why = ERRBUF_INIT;

		if (!dir_is_online(d) || (d->has_meta && d->meta.broker_id == broker_id && strcmp(d->meta.cluster_id, cluster_id) == 0))
			continue;
		d->meta.broker_id = broker_id;
		(void)str_copy(d->meta.cluster_id, sizeof(d->meta.cluster_id), cluster_id);
		e = meta_properties_write(ld->env.fs, d->base.path, &d->meta, clock_wall_ms(ld->env.clock), &why);
		d->has_meta = e == OK;
		if (e != OK)
			log_dir_fail(&d->base, why.text);
	}
	return (OK);
}

/* ---- the table ---- */

static struct log_entry *
find_in(struct log_entry *table, const char *key)
{
	struct log_entry *en = NULL;

	HASH_FIND_STR(table, key, en);
	return (en);
}

static struct log_entry *
find_entry(struct log_dirs *ld, const char *key)
{
	return (find_in(ld->table, key));
}

/* Under lock. */
static struct log_entry *
add_to(struct log_entry **table, const char *key, struct log *log)
{
	struct log_entry *en = xcalloc(1, sizeof(*en));

	en->key = xstrdup(key);
	en->log = log;
	HASH_ADD_KEYPTR(hh, *table, en->key, strlen(en->key), en);
	return (en);
}

static struct log_entry *
add_entry(struct log_dirs *ld, const char *key, struct log *log)
{
	return (add_to(&ld->table, key, log));
}

/* Under lock. */
static void
remove_from(struct log_entry **table, struct log_entry *en)
{
	HASH_DEL(*table, en);
	free(en->key);
	free(en);
}

static void
remove_entry(struct log_dirs *ld, struct log_entry *en)
{
	remove_from(&ld->table, en);
}

enum err
log_dirs_add(struct log_dirs *ld, struct dir *d, struct log *log, struct errbuf *eb)
{
	char *key = log_key(log->topic, log->partition);
	struct log_entry **table = log->future ? &ld->futures : &ld->table;
	const struct log_entry *en;
	enum err e = OK;

	lock_acquire(&ld->lock);
	en = find_in(*table, key);
	if (en != NULL) {
		errbuf_set(eb, "%s%s stands in two log directories: %s and %s; remove one of them", key, log->future ? " (to be moved)" : "",
		    en->log->dir->path, d->base.path);
		e = ERR_CONFLICT;
	} else {
		(void)add_to(table, key, log_ref(log));
		d->logs++;
	}
	lock_release(&ld->lock);
	free(key);
	return (e);
}

static struct log *
find_log(struct log_dirs *ld, bool future, const char *topic, int32_t partition)
{
	char *key = log_key(topic, partition);
	const struct log_entry *en;
	struct log *log = NULL;

	lock_acquire(&ld->lock);
	en = find_in(future ? ld->futures : ld->table, key);
	if (en != NULL && en->log != NULL)
		log = log_ref(en->log);
	lock_release(&ld->lock);
	free(key);
	return (log);
}

struct log *
log_dirs_find(struct log_dirs *ld, const char *topic, int32_t partition)
{
	return (find_log(ld, false, topic, partition));
}

struct log *
log_dirs_find_future(struct log_dirs *ld, const char *topic, int32_t partition)
{
	return (find_log(ld, true, topic, partition));
}

static void
hold_all(const struct log_entry *en, const struct dir *only, struct log **logs, uint32_t *n)
{
	for (; en != NULL; en = en->hh.next)
		if (en->log != NULL && (only == NULL || en->log->dir == &only->base))
			logs[(*n)++] = log_ref(en->log);
}

/* Under lock: a future log of the same partition in that directory. */
static const struct log *
future_in(struct log_dirs *ld, const struct log_entry *en, const struct dir *d)
{
	const struct log_entry *f = find_in(ld->futures, en->key);

	return (f != NULL && f->log->dir == &d->base ? f->log : NULL);
}

struct log **
log_dirs_hold(struct log_dirs *ld, const struct dir *only, uint32_t *n)
{
	struct log **logs;

	*n = 0;
	lock_acquire(&ld->lock);
	logs = xreallocarray(NULL, (size_t)HASH_COUNT(ld->table) + HASH_COUNT(ld->futures) + 1, sizeof(*logs));
	hold_all(ld->table, only, logs, n);
	hold_all(ld->futures, only, logs, n);
	lock_release(&ld->lock);
	return (logs);
}

struct log **
log_dirs_hold_rows(struct log_dirs *ld, const struct dir *d, uint32_t *n)
{
	struct log **logs = log_dirs_hold(ld, d, n);
	const struct log_entry *en;
	uint32_t before = 0;

	lock_acquire(&ld->lock);
	for (en = ld->table; en != NULL; en = en->hh.next)
		before += en->before != NULL;
	if (before > 0)
		logs = xreallocarray(logs, (size_t)*n + before, sizeof(*logs));
	for (en = ld->table; before > 0 && en != NULL; en = en->hh.next)
		if (en->before != NULL && en->before->dir == &d->base && !en->before->gone && future_in(ld, en, d) == NULL)
			logs[(*n)++] = log_ref(en->before);
	lock_release(&ld->lock);
	return (logs);
}

bool
log_dirs_holds(struct log_dirs *ld, const struct log *log)
{
	char *key = log_key(log->topic, log->partition);
	const struct log_entry *en, *f;
	bool here;

	lock_acquire(&ld->lock);
	en = find_entry(ld, key);
	f = find_in(ld->futures, key);
	here = (en != NULL && (en->log == log || en->before == log)) || (f != NULL && f->log == log);
	lock_release(&ld->lock);
	free(key);
	return (here);
}

void
log_dirs_release(struct log **logs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		log_unref(&logs[i]);
	free(logs);
}

void
log_dirs_each(struct log_dirs *ld, bool (*fn)(void *, struct log *), void *ctx)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, NULL, &n);

	for (uint32_t i = 0; i < n; i++)
		if (!fn(ctx, logs[i]))
			break;
	log_dirs_release(logs, n);
}

uint32_t
log_dirs_count(struct log_dirs *ld)
{
	uint32_t n;

	lock_acquire(&ld->lock);
	n = HASH_COUNT(ld->table);
	lock_release(&ld->lock);
	return (n);
}

bool
log_dirs_any_offline(struct log_dirs *ld)
{
	bool any = false;

	for (uint32_t i = 0; i < ld->ndirs; i++)
		any = any || !dir_is_online(&ld->dirs[i]);
	return (any);
}

uint32_t
log_dirs_info(struct log_dirs *ld, struct log_dir_info *rows, uint32_t n)
{
	struct fs_space sp;

	for (uint32_t i = 0; i < ld->ndirs && i < n; i++) {
		struct dir *d = &ld->dirs[i];

		lock_acquire(&ld->lock);
		rows[i] = (struct log_dir_info){ .path = d->base.path, .online = dir_is_online(d), .logs = d->logs };
		lock_release(&ld->lock);
		if (rows[i].online && ld->env.fs->ops->space(ld->env.fs, d->base.path, &sp, NULL) == OK) {
			rows[i].total = sp.total;
			rows[i].usable = sp.usable;
		}
	}
	return (ld->ndirs);
}

/* ---- create ---- */

void
log_dirs_options_for(struct log_dirs *ld, const char *topic, struct log_options *o)
{
	*o = ld->options.defaults;
	if (ld->options.topic_options != NULL)
		ld->options.topic_options(ld->options.topic_options_ctx, topic, o);
}

/* ---- preferred directories (AlterReplicaLogDirs for a partition that is not here yet) ---- */

/* Under lock. */
static void
drop_preference(struct log_dirs *ld, struct preference *p)
{
	HASH_DEL(ld->preferred, p);
	free(p->key);
	free(p);
}

enum err
log_dirs_prefer(struct log_dirs *ld, const char *topic, int32_t partition, const char *path)
{
	char *key = log_key(topic, partition);
	struct preference *p = NULL;
	struct dir *d = dir_by_path(ld, path);
	enum err e = d == NULL ? ERR_NOTFOUND : OK;

	lock_acquire(&ld->lock);
	HASH_FIND_STR(ld->preferred, key, p);
	if (e == OK && p == NULL && HASH_COUNT(ld->preferred) >= LIMIT_PREFERRED_DIRS_MAX)
		e = ERR_LIMIT;
	if (e == OK && p == NULL) {
		p = xcalloc(1, sizeof(*p));
		p->key = xstrdup(key);
		HASH_ADD_KEYPTR(hh, ld->preferred, p->key, strlen(p->key), p);
	}
	if (e == OK)
		p->dir = d;
	lock_release(&ld->lock);
	free(key);
	return (e);
}

/* Under lock: the one that was asked for, else the live one with the fewest logs; in the order of log.dirs when equal. */
static struct dir *
choose_dir(struct log_dirs *ld, const char *key)
{
	struct preference *p = NULL;
	struct dir *best = NULL;

	HASH_FIND_STR(ld->preferred, key, p);
	if (p != NULL) {
		best = dir_is_online(p->dir) ? p->dir : NULL;
		drop_preference(ld, p);
		if (best != NULL)
			return (best);
	}
	for (uint32_t i = 0; i < ld->ndirs; i++)
		if (dir_is_online(&ld->dirs[i]) && (best == NULL || ld->dirs[i].logs < best->logs))
			best = &ld->dirs[i];
	return (best);
}

/* The checkpoint files may still tell of a deleted log of this name. */
static enum err
catch_up(struct log_dirs *ld, struct dir *d, struct errbuf *eb)
{
	if (d->behind[DIR_RECOVERY])
		dir_checkpoint_recovery(ld, d);
	if (d->behind[DIR_STARTS])
		dir_checkpoint_starts(ld, d);
	if (!d->behind[DIR_RECOVERY] && !d->behind[DIR_STARTS])
		return (OK);
	errbuf_set(eb, "log directory %s is full", d->base.path);
	return (ERR_NOSPACE);
}

/* bare: nothing is there, and its directory is made now, or later. */
static enum err
take_name(struct log_dirs *ld, struct dir *d, struct log *log, bool lazy, bool *bare, struct errbuf *eb)
{
	enum err e;

	log->nameless = true;
	*bare = lazy && log_dirs_name_is_free(ld, d, log);
	if (*bare)
		return (OK);
	e = log_make_name(log, eb);
	*bare = e == OK;
	if (e != ERR_EXISTS)
		return (e);
	log->nameless = false;
	log->born = ++log->dir->names_made;
	return (OK);
}

enum err
log_dirs_make_log(struct log_dirs *ld, struct dir *d, struct log *log, struct uuid topic_id, bool lazy, struct errbuf *eb)
{
	struct log_load fresh = { .clean = true };
	enum err e = catch_up(ld, d, eb);

	if (e == OK)
		e = take_name(ld, d, log, lazy, &fresh.bare, eb);
	if (e != OK)
		return (e);
	log->young = true;
	e = log_load(log, &fresh, eb);
	if (!uuid_is_zero(topic_id)) {
		log->id_unstored = true;
		log->topic_id = topic_id;	/* nobody else knows the log yet */
	}
	/* The directory was there, and not empty: somebody has put a log there behind our back. */
	return (e == OK && (log->start > 0 || log->tail_end > 0) ? log_establish(log, eb) : e);
}

static enum err
create_in(struct log_dirs *ld, struct dir *d, struct log_entry *en, const char *topic, int32_t partition, struct uuid id,
    const struct log_options *o, bool lazy, struct log **out, struct errbuf *eb)
{
	char *path = path_join(d->base.path, en->key);
	struct log *log = log_new(&ld->env, &d->base, topic, partition, path, o);
	enum err e = log_dirs_make_log(ld, d, log, id, lazy, eb);

	lock_acquire(&ld->lock);
	if (e == OK) {
		en->log = log_ref(log);
		log_dirs_add_young(d, log);
		*out = log;
	} else {
		d->logs--;
		remove_entry(ld, en);
	}
	condition_broadcast(&ld->created);
	lock_release(&ld->lock);
	if (e != OK) {
		log_unref(&log);
		if (e != ERR_NOSPACE)
			log_dir_fail(&d->base, eb != NULL ? eb->text : err_text(e));
	}
	free(path);
	return (e);
}

static enum err
take_existing(struct log *log, struct uuid id, struct log **out, struct errbuf *eb)
{
	enum err e = OK;

	if (log->dir->offline) {
		errbuf_set(eb, "%s is offline", log->dir->path);
		e = ERR_OFFLINE;
	} else if (!uuid_is_zero(id))
		e = log_set_topic_id(log, id, eb);
	if (e == OK)
		*out = log;
	else
		log_unref(&log);
	return (e);
}

static enum err
create_once(struct log_dirs *ld, const char *topic, int32_t partition, struct uuid id, const struct log_options *o, struct log **out,
    struct dir **tried, struct errbuf *eb)
{
	char *key = log_key(topic, partition);
	struct log_entry *en;
	struct log *have = NULL;
	struct dir *d = NULL;
	bool lazy = false;

	lock_acquire(&ld->lock);
	while ((en = find_entry(ld, key)) != NULL && en->log == NULL)
		condition_wait(&ld->created, &ld->lock);
	if (en != NULL)
		have = log_ref(en->log);
	else if ((d = choose_dir(ld, key)) != NULL) {
		en = add_entry(ld, key, NULL);
		d->logs++;
		lazy = d->nyoung > 0 && d->young[d->nyoung - 1]->young;	/* the first of many has shown that the directory takes names */
	}
	lock_release(&ld->lock);
	free(key);
	if (have != NULL)
		return (take_existing(have, id, out, eb));
	if (d == NULL) {
		errbuf_set(eb, "every log directory is offline");
		return (ERR_OFFLINE);
	}
	*tried = d;
	return (create_in(ld, d, en, topic, partition, id, o, lazy, out, eb));
}

/* A directory that fails at this moment is not the end: the next one is tried, as Java does. */
enum err
log_dirs_create(struct log_dirs *ld, const char *topic, int32_t partition, struct uuid id, const struct log_options *o, struct log **out,
    struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	struct dir *tried;
	enum err e = ERR_OFFLINE;

	for (uint32_t i = 0; i < ld->ndirs; i++) {
		tried = NULL;
		why = (struct errbuf)ERRBUF_INIT;
		e = create_once(ld, topic, partition, id, o, out, &tried, &why);
		if (e == OK || tried == NULL || dir_is_online(tried))
			break;
	}
	if (e != OK)
		errbuf_set(eb, "%s", why.text);
	return (e);
}

/* ---- delete ---- */

void
log_dirs_add_deletion(struct log_dirs *ld, struct dir *d, const char *path)
{
	struct deletion *del = xcalloc(1, sizeof(*del));

	del->dir = d;
	del->path = xstrdup(path);
	del->due_ms = clock_wall_ms(ld->env.clock) + ld->options.defaults.file_delete_delay_ms;
	lock_acquire(&ld->lock);
	STAILQ_INSERT_TAIL(&ld->deletions, del, link);
	lock_release(&ld->lock);
}

enum err
log_dirs_rename_for_deletion(struct log_dirs *ld, struct log *log, struct errbuf *eb)
{
	char hex[33], *name, *to, *old = log->path;
	enum err e;

	e = log_make_name(log, eb);	/* what has no name could not be told from what comes after it */
	if (e != OK)
		return (e);
	uuid_hex(uuid_random(ld->env.random), hex);
	name = name_delete_dir(log->topic, log->partition, hex);
	to = path_join(log->dir->path, name);
	e = ld->env.fs->ops->rename(ld->env.fs, old, to, eb);
	if (e == OK)
		e = ld->env.fs->ops->sync_dir(ld->env.fs, log->dir->path, eb);
	free(name);
	if (e != OK) {
		free(to);
		return (e);
	}
	log->path = to;
	log->gone = true;
	reclaim_defer(free, old);	/* somebody may be printing it */
	return (OK);
}

/* Another log of this name must not inherit what was stored for this one. */
static void
forget_mark(struct dir *d, const char *topic, int32_t partition)
{
	const struct checkpoint_entry *row = checkpoint_find(&d->marks, topic, partition);

	if (row != NULL)
		__atomic_store_n(&d->marks.entries[row - d->marks.entries].offset, 0, __ATOMIC_RELAXED);
}

void
log_dirs_forget(struct log_dirs *ld, struct dir *d, const char *topic, int32_t partition)
{
	forget_mark(d, topic, partition);
	dir_checkpoint_recovery(ld, d);
	dir_checkpoint_starts(ld, d);
	dir_checkpoint_marks(ld, d);
}

/* ---- moves ---- */

struct log *
log_dirs_take_future(struct log_dirs *ld, const char *topic, int32_t partition)
{
	char *key = log_key(topic, partition);
	struct log_entry *en;
	struct log *log = NULL;

	lock_acquire(&ld->lock);
	/* A swap under way comes first: afterwards it is no future log any more. */
	while ((en = find_entry(ld, key)) != NULL && (en->log == NULL || en->swapping))
		condition_wait(&ld->created, &ld->lock);
	en = find_in(ld->futures, key);
	if (en != NULL) {
		log = en->log;
		CONTAINER_OF(log->dir, struct dir, base)->logs--;
		remove_from(&ld->futures, en);
	}
	lock_release(&ld->lock);
	free(key);
	return (log);
}

enum err
log_dirs_hold_move(struct log_dirs *ld, const struct log *current, const struct log *future)
{
	char *key = log_key(current->topic, current->partition);
	struct log_entry *en, *f;
	enum err e = ERR_CLOSED;

	lock_acquire(&ld->lock);
	en = find_entry(ld, key);
	f = find_in(ld->futures, key);
	if (en != NULL && en->log == current && f != NULL && f->log == future)
		e = en->before == NULL && !en->swapping ? OK : ERR_AGAIN;
	if (e == OK)
		en->swapping = true;
	lock_release(&ld->lock);
	free(key);
	return (e);
}

bool
log_dirs_hold_retired(struct log_dirs *ld, const struct log *old)
{
	char *key = log_key(old->topic, old->partition);
	struct log_entry *en;
	bool here;

	lock_acquire(&ld->lock);
	while ((en = find_entry(ld, key)) != NULL && en->before == old && en->swapping)
		condition_wait(&ld->created, &ld->lock);
	here = en != NULL && en->before == old;
	if (here)
		en->swapping = true;
	lock_release(&ld->lock);
	free(key);
	return (here);
}

void
log_dirs_release_retired(struct log_dirs *ld, const struct log *old)
{
	char *key = log_key(old->topic, old->partition);
	struct log_entry *en;

	lock_acquire(&ld->lock);
	en = find_entry(ld, key);
	must(en != NULL && en->swapping && en->before == old);
	log_unref(&en->before);		/* not the last: the caller has one */
	en->swapping = false;
	condition_broadcast(&ld->created);
	lock_release(&ld->lock);
	free(key);
}

void
log_dirs_release_move(struct log_dirs *ld, const struct log *log)
{
	char *key = log_key(log->topic, log->partition);
	struct log_entry *en;

	lock_acquire(&ld->lock);
	en = find_entry(ld, key);
	must(en != NULL && en->swapping);
	en->swapping = false;
	condition_broadcast(&ld->created);
	lock_release(&ld->lock);
	free(key);
}

void
log_dirs_replace(struct log_dirs *ld, struct log *current, struct log *future)
{
	char *key = log_key(current->topic, current->partition);
	struct log_entry *en, *f;

	lock_acquire(&ld->lock);
	en = find_entry(ld, key);
	f = find_in(ld->futures, key);
	must(en != NULL && en->log == current && f != NULL && f->log == future);
	must(en->before == NULL);
	en->before = en->log;			/* both with their references */
	en->log = f->log;
	CONTAINER_OF(current->dir, struct dir, base)->logs--;
	remove_from(&ld->futures, f);
	lock_release(&ld->lock);
	free(key);
}

enum err
log_dirs_delete(struct log_dirs *ld, const char *topic, int32_t partition, struct errbuf *eb)
{
	char *key = log_key(topic, partition);
	struct log_entry *en;
	struct log *log = NULL, *before = NULL;
	struct dir *d;
	enum err e;

	(void)!log_dirs_move_cancel(ld, topic, partition, NULL);
	lock_acquire(&ld->lock);
	while ((en = find_entry(ld, key)) != NULL && (en->log == NULL || en->swapping))
		condition_wait(&ld->created, &ld->lock);
	if (en != NULL) {
		log = en->log;		/* with the table's references */
		before = en->before;
		CONTAINER_OF(log->dir, struct dir, base)->logs--;
		remove_entry(ld, en);
	}
	lock_release(&ld->lock);
	free(key);
	if (log == NULL)
		return (ERR_NOTFOUND);
	if (before != NULL)	/* first: alone, after a crash, it would be this partition's log */
		log_dirs_put_away(ld, before);
	log_unref(&before);
	d = CONTAINER_OF(log->dir, struct dir, base);
	(void)!log_close(log, false, NULL);
	e = dir_is_online(d) ? log_dirs_rename_for_deletion(ld, log, eb) : ERR_OFFLINE;
	if (e == ERR_NOSPACE && log->nameless) {	/* a full disk must be able to delete; nothing of this one is on it, nor will be: it is closed */
		log->gone = true;
		log_dirs_forget(ld, d, topic, partition);
		e = OK;
	} else if (e == OK) {
		log_dirs_add_deletion(ld, d, log->path);
		log_dirs_forget(ld, d, topic, partition);
	} else if (e != ERR_OFFLINE)
		log_dir_fail(&d->base, eb != NULL ? eb->text : err_text(e));
	log_unref(&log);
	return (e);
}

/* ---- free ---- */

/* Flushes may still be under way, and the last one of a directory looks at its logs: to it they are all there, or the end has come. */
static struct log_entry *
take_table(struct log_dirs *ld, struct log_entry **table)
{
	struct log_entry *taken;

	lock_acquire(&ld->lock);
	taken = *table;
	*table = NULL;
	ld->ending = true;
	lock_release(&ld->lock);
	return (taken);
}

static void
free_entries(struct log_entry *table)
{
	struct log_entry *en, *tmp;

	HASH_ITER(hh, table, en, tmp) {
		log_unref(&en->before);
		(void)!log_close(en->log, false, NULL);
		log_unref(&en->log);
		remove_from(&table, en);
	}
}

static void
free_table(struct log_dirs *ld)
{
	struct preference *p, *ptmp;
	struct deletion *del;

	free_entries(take_table(ld, &ld->table));
	free_entries(take_table(ld, &ld->futures));
	HASH_ITER(hh, ld->preferred, p, ptmp)
		drop_preference(ld, p);
	for (uint32_t i = 0; i < ld->ndirs; i++)
		log_dirs_drop_young(ld, &ld->dirs[i]);
	while ((del = STAILQ_FIRST(&ld->deletions)) != NULL) {
		STAILQ_REMOVE_HEAD(&ld->deletions, link);
		free(del->path);
		free(del);
	}
}

void
log_dirs_free(struct log_dirs **ldp)
{
	struct log_dirs *ld = *ldp;

	*ldp = NULL;
	if (ld == NULL)
		return;
	MAGIC_OK(ld, LOG_DIRS_MAGIC);
	log_dirs_stop_scrub(ld);
	log_dirs_await_upkeep(ld);
	if (ld->scrubber != NULL && ld->env.workers != NULL)
		workers_drain(ld->env.workers);
	scrubber_free(&ld->scrubber);
	free_table(ld);
	if (ld->env.workers != NULL)
		workers_drain(ld->env.workers);	/* their jobs know the logs, and give drains to the directories' threads */
	end_own_threads(ld);
	if (ld->env.workers != NULL)
		workers_drain(ld->env.workers);
	/* What was put aside for readers refers to the file system and to env, which may go next.  Each round may put more aside: a log its segments, and one
	 * that was moved to and fro the log that it replaced. */
	for (int round = 0; round < 4; round++)
		reclaim_barrier();
	destroy(ld);
}
