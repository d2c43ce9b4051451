/* SPDX-License-Identifier: Apache-2.0
 *
 * log/log_dirs_load.c - the start and the clean end of the log directories.
 *
 * START   per directory: what stands in it is listed, the clean marker is noted and removed before anything else is changed (a crash from here on is a
 *         crash), the checkpoints are read, every <topic>-<partition> is loaded by num.recovery.threads.per.data.dir threads, -delete directories
 *         are queued for removal.  Then, in the order of log.dirs, the logs go into the table: only there does one directory matter to another.
 *         What was recovered is flushed in the background, and the recovery points are written.
 * END     per directory: high watermarks -> every log closed (flush, trim, snapshot, all synced) -> recovery points and start offsets -> the marker, and
 *         that only when every log of the directory was closed well.  A crash anywhere before the marker is an ordinary crash.
 *
 * SIDE BY SIDE  Several directories are loaded, and closed, at once, each by a thread that waits for those it has started: one that hangs or fails holds
 *         up no other (though a start, and an end, is over when all are).  What the operator must sort out (`refused`) ends the start, and no log is
 *         begun any more.  At work are as many threads per directory as are set; each holds one log with a window of a megabyte, or of its largest
 *         batch, and nothing of a log that is done but the log.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/log_dirs_int.h"
#include "log/names_int.h"

#define CLEAN_MARKER		".kafka_cleanshutdown"
#define CLEAN_MARKER_TEXT	"{\"version\":0,\"brokerEpoch\":-1}"

/* ---- work on several threads ---- */

struct parallel_job {
	struct job job;
	void (*fn)(void *);
	void *item;
};

static void
parallel_run(struct job *j)
{
	struct parallel_job *p = CONTAINER_OF(j, struct parallel_job, job);

	p->fn(p->item);
}

void
run_parallel(unsigned threads, const char *name, void (*fn)(void *), void *const *items, uint32_t n)
{
	struct parallel_job *jobs = xcalloc((size_t)n + 1, sizeof(*jobs));
	struct workers *pool = NULL;

	if (threads > 1 && n > 1 && workers_new(MIN(threads, n), name, &pool, NULL) != OK)
		pool = NULL;
	for (uint32_t i = 0; i < n; i++) {
		jobs[i] = (struct parallel_job){ .job = { .run = parallel_run }, .fn = fn, .item = items[i] };
		if (pool != NULL)
			workers_submit(pool, &jobs[i].job);
		else
			fn(items[i]);
	}
	if (pool != NULL) {
		reclaim_offline();	/* what they put aside can be freed meanwhile */
		workers_drain(pool);
		reclaim_online();
		workers_free(&pool);
	}
	free(jobs);
}

/* With no threads at all (a simulation) one after the other, by who calls. */
static uint32_t
dirs_at_once(const struct log_dirs *ld, uint32_t n)
{
	return (ld->recovery_threads == 0 ? 0 : n);
}

/* ---- one log ---- */

struct dir_load {			/* of one directory */
	struct log_dirs *ld;
	struct dir	*dir;
	struct load_item **items;
	uint32_t	 n;
	_Atomic uint32_t done;
	_Atomic bool	*refused;	/* of all directories: the start has failed */
	enum err	 e;		/* why it has, here */
	struct errbuf	 eb;
};

struct load_item {
	struct dir_load *in;
	char		*topic, *path;
	int32_t		 partition;
	bool		 future;
	struct log	*log;		/* out; NULL: not loaded */
};

/* A future log in the directory of its current one (where somebody has put it) shares the row, and may be lowering it just now. */
static int64_t
checkpointed(const struct checkpoint *cp, const struct load_item *it)
{
	const struct checkpoint_entry *row = checkpoint_find(cp, it->topic, it->partition);
	int64_t offset = row == NULL ? 0 : __atomic_load_n(&row->offset, __ATOMIC_RELAXED);

	return (MAX(0, offset));
}

static void
load_item(void *p)
{
	struct load_item *it = p;
	struct dir_load *dl = it->in;
	struct log_dirs *ld = dl->ld;
	struct dir *d = dl->dir;
	const struct log_load in = {
		.clean = d->was_clean,
		.points_lost = d->points_lost,
		.recovery_point = checkpointed(&d->recovery, it),
		.start_offset = checkpointed(&d->starts, it),
	};
	struct errbuf eb = ERRBUF_INIT;
	struct log_options o;
	struct log *log;
	uint32_t done;

	if (!dir_is_online(d) || *dl->refused)
		return;
	log_dirs_options_for(ld, it->topic, &o);
	log = log_new(&ld->env, &d->base, it->topic, it->partition, it->path, &o);
	log->future = it->future;
	log->stored_recovery_point = in.recovery_point;
	if (log_load(log, &in, &eb) != OK) {
		errbuf_add(&eb, "loading %s", it->path);
		log_dir_fail(&d->base, eb.text);	/* at once: nobody begins another one there */
		log_unref(&log);
		return;
	}
	it->log = log;
	done = ++dl->done;
	if (!in.clean || done % 1000 == 0)
		diag_info(ld->env.diag, "log", "%s: loaded, offsets %" PRId64 " to %" PRId64 " (%" PRIu32 " of %" PRIu32 " in this directory)", it->path,
		    log_start_offset(log), log_end_offset(log), done, dl->n);
}

/* ---- one directory ---- */

static void
add_item(struct dir_load *dl, const char *name, char *topic, int32_t partition, bool future)
{
	struct load_item *it = xcalloc(1, sizeof(*it));

	it->in = dl;
	it->topic = topic;
	it->partition = partition;
	it->future = future;
	it->path = path_join(dl->dir->base.path, name);
	dl->items = xreallocarray(dl->items, dl->n + 1, sizeof(*dl->items));
	dl->items[dl->n++] = it;
}

static bool
is_foreign(const char *name)	/* KRaft's and tiered storage's: as Kafka, left alone */
{
	return (strcmp(name, "__cluster_metadata-0") == 0 || strcmp(name, "remote-log-index-cache") == 0);
}

static bool
take_entry(void *ctx, const char *name, bool is_dir)
{
	struct dir_load *dl = ctx;
	char *path, *topic;
	enum log_dir_kind kind;
	int32_t partition;

	if (!is_dir || is_foreign(name))
		return (true);
	path = path_join(dl->dir->base.path, name);
	switch (kind = name_parse_log_dir(name, &topic, &partition)) {
	case LOG_DIR_LOG:
	case LOG_DIR_FUTURE:
		add_item(dl, name, topic, partition, kind == LOG_DIR_FUTURE);
		topic = NULL;
		break;
	case LOG_DIR_DELETE:
		log_dirs_add_deletion(dl->ld, dl->dir, path);
		break;
	case LOG_DIR_STRAY:
		diag_warning(dl->ld->env.diag, "log", "%s: a log that a controller did not know, left alone; remove it when nothing in it is wanted",
		    path);
		break;
	case LOG_DIR_OTHER:
		errbuf_set(&dl->eb, "%s is no log (its name is not <topic>-<partition>); move it out of the log directory", path);
		dl->e = ERR_INVALID;
		break;
	}
	free(topic);
	free(path);
	return (dl->e == OK);
}

static enum err
read_checkpoint(struct log_dirs *ld, struct dir *d, const char *name, struct checkpoint *cp, bool *lost, struct errbuf *eb)
{
	char *path = path_join(d->base.path, name);
	struct errbuf why = ERRBUF_INIT;
	enum err e = checkpoint_read(ld->env.fs, path, cp, &why);

	if (e == ERR_CORRUPT || e == ERR_LIMIT) {
		diag_warning(ld->env.diag, "log", "%s; taken as empty", why.text);
		*lost = true;
		e = OK;
	} else if (e == ERR_NOENT) {
		*lost = true;
		e = OK;
	} else if (e != OK)
		errbuf_set(eb, "%s", why.text);
	free(path);
	return (e);
}

static enum err
take_marker(struct log_dirs *ld, struct dir *d, struct errbuf *eb)
{
	char *path = path_join(d->base.path, CLEAN_MARKER);
	enum err e = OK;

	d->was_clean = fs_exists(ld->env.fs, path);
	if (d->was_clean) {
		e = ld->env.fs->ops->unlink(ld->env.fs, path, eb);
		if (e == OK)
			e = ld->env.fs->ops->sync_dir(ld->env.fs, d->base.path, eb);
	}
	free(path);
	return (e);
}

static enum err
prepare_dir(struct dir_load *dl, struct errbuf *eb)
{
	struct log_dirs *ld = dl->ld;
	struct dir *d = dl->dir;
	enum err e = ld->env.fs->ops->list(ld->env.fs, d->base.path, take_entry, dl, eb);
	bool lost;

	if (dl->e != OK)	/* refused as it is: what was closed cleanly still was */
		return (OK);
	if (e == OK)
		e = take_marker(ld, d, eb);
	if (e == OK)
		e = read_checkpoint(ld, d, "recovery-point-offset-checkpoint", &d->recovery, &d->points_lost, eb);
	if (e == OK)
		e = read_checkpoint(ld, d, "log-start-offset-checkpoint", &d->starts, &lost, eb);
	if (e == OK)
		e = read_checkpoint(ld, d, "replication-offset-checkpoint", &d->marks, &lost, eb);
	/* After a kill the names of logs may be in the page cache only (establish.c), and no log found here is established again. */
	if (e == OK && !d->was_clean && dl->n > 0)
		e = ld->env.fs->ops->sync_dir(ld->env.fs, d->base.path, eb);
	return (e);
}

static void
load_dir(void *p)
{
	struct dir_load *dl = p;
	struct log_dirs *ld = dl->ld;
	struct dir *d = dl->dir;
	struct errbuf eb = ERRBUF_INIT;
	char name[16];

	if (*dl->refused)
		return;
	if (prepare_dir(dl, &eb) != OK) {
		log_dir_fail(&d->base, eb.text);
		return;
	}
	if (dl->e != OK) {
		*dl->refused = true;
		return;
	}
	diag_info(ld->env.diag, "log", "%s: loading %" PRIu32 " logs, %s", d->base.path, dl->n,
	    d->was_clean ? "closed cleanly" : dl->n == 0 ? "new or empty" : "not closed cleanly: recovering past the recovery points");
	str_format(name, sizeof(name), "recover%u", (unsigned)(d - ld->dirs));
	run_parallel(ld->recovery_threads, name, load_item, (void *const *)dl->items, dl->n);
	d->loaded = true;
}

/* ---- from a directory into the table ---- */

static enum err
drop_loaded(struct load_item *it, struct errbuf *eb)
{
	struct log_dirs *ld = it->in->ld;
	struct dir *d = it->in->dir;
	struct log *log = it->log;
	enum err e;

	(void)!log_close(log, false, NULL);
	e = log_dirs_rename_for_deletion(ld, log, eb);
	if (e == OK)
		log_dirs_add_deletion(ld, d, log->path);
	else
		log_dir_fail(&d->base, eb->text);
	return (e);
}

/* A crash in the middle of a swap leaves two, one of which says so: the other one has had its time. */
static enum err
add_or_replace(struct load_item *it, struct errbuf *eb)
{
	struct log_dirs *ld = it->in->ld;
	struct log *other = it->future ? NULL : log_dirs_find(ld, it->topic, it->partition), *loser = NULL;
	struct errbuf why = ERRBUF_INIT;
	enum err e = OK;

	if (other != NULL)
		loser = log_dirs_loser(ld, other, it->log);
	if (loser != NULL)
		diag_warning(ld->env.diag, "log", "%s is deleted: %s has taken its place, and a crash came between", loser->path,
		    (loser == other ? it->log : other)->path);
	/* After a kill the winner's name may be in the page cache only. */
	if (loser != NULL)
		e = ld->env.fs->ops->sync_dir(ld->env.fs, (loser == other ? it->log : other)->dir->path, eb);
	if (e != OK) {
		log_unref(&other);
		return (e);
	}
	if (loser != NULL && loser == other)
		e = log_dirs_delete(ld, it->topic, it->partition, &why);
	else if (loser != NULL)
		e = drop_loaded(it, &why);
	log_unref(&other);
	if (e != OK)	/* its directory is offline now, and the other log is as good as before */
		diag_error(ld->env.diag, "log", "%s", why.text);
	return (loser == it->log ? OK : log_dirs_add(ld, it->in->dir, it->log, eb));
}

/* The log goes into the table; only what the operator must sort out ends the start.  What stands in a directory that has failed is not here: it neither
 * takes the place of what another directory has, nor is it touched. */
static enum err
settle_item(struct load_item *it, struct errbuf *eb)
{
	if (it->log == NULL || !dir_is_online(it->in->dir))
		return (OK);
	return (add_or_replace(it, eb));
}

static enum err
settle_dir(struct dir_load *dl, struct errbuf *eb)
{
	enum err e = OK;

	for (uint32_t i = 0; i < dl->n && e == OK; i++)
		e = settle_item(dl->items[i], eb);
	return (e);
}

static void
dir_load_fini(struct dir_load *dl)
{
	for (uint32_t i = 0; i < dl->n; i++) {
		log_unref(&dl->items[i]->log);
		free(dl->items[i]->topic);
		free(dl->items[i]->path);
		free(dl->items[i]);
	}
	free(dl->items);
}

/* All that are online, side by side; their logs are in the table then. */
static enum err
load_dirs(struct log_dirs *ld, struct errbuf *eb)
{
	struct dir_load *loads = xcalloc(ld->ndirs, sizeof(*loads));
	void **ps = xcalloc(ld->ndirs, sizeof(*ps));
	_Atomic bool refused = false;
	uint32_t n = 0;
	enum err e = OK;

	for (uint32_t i = 0; i < ld->ndirs; i++) {
		if (!dir_is_online(&ld->dirs[i]))
			continue;
		loads[n] = (struct dir_load){ .ld = ld, .dir = &ld->dirs[i], .refused = &refused };
		ps[n] = &loads[n];
		n++;
	}
	run_parallel(dirs_at_once(ld, n), "load", load_dir, ps, n);
	for (uint32_t i = 0; i < n && e == OK; i++)
		if ((e = loads[i].e) != OK)
			errbuf_set(eb, "%s", loads[i].eb.text);
	for (uint32_t i = 0; i < n && e == OK; i++)
		e = settle_dir(&loads[i], eb);
	for (uint32_t i = 0; i < n; i++)
		dir_load_fini(&loads[i]);
	free(ps);
	free(loads);
	return (e);
}

/* ---- stale rows ---- */

static bool
stands_in(struct log *log, const struct dir *d)
{
	bool yes = log != NULL && log->dir == &d->base;

	log_unref(&log);
	return (yes);
}

/* A row whose log is not here: a crash came between the renaming of a deleted log and the checkpoints. */
static bool
has_stale_row(struct log_dirs *ld, const struct dir *d, const struct checkpoint *cp)
{
	bool stale = false;

	for (uint32_t i = 0; i < cp->n && !stale; i++) {
		const struct checkpoint_entry *row = &cp->entries[i];

		stale = !stands_in(log_dirs_find(ld, row->topic, row->partition), d) && !stands_in(log_dirs_find_future(ld, row->topic, row->partition), d);
	}
	return (stale);
}

/* A recovery point on the disk is above what may stand there: the log's last segment is open again, or less was found than was closed. */
static bool
has_high_point(struct log_dirs *ld, const struct dir *d)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, d, &n);
	bool high = false;

	for (uint32_t i = 0; i < n && !high; i++)
		high = log_recovery_point_to_store(logs[i]) < logs[i]->stored_recovery_point;
	log_dirs_release(logs, n);
	return (high);
}

/* Before anybody appends.  A row of another log of that name would cut this one to the start offset of the old one at the next recovery.  (Points that are
 * lost are written when all is flushed: no points say that anything may have been, low ones that it was not.) */
static void
correct_checkpoints(struct log_dirs *ld, struct dir *d)
{
	if (dir_is_online(d) && (has_stale_row(ld, d, &d->recovery) || has_high_point(ld, d)))
		dir_checkpoint_recovery(ld, d);
	if (dir_is_online(d) && has_stale_row(ld, d, &d->starts))
		dir_checkpoint_starts(ld, d);
}

/* Segments that were recovered and are closed now are read again by every start after a crash, until they are flushed.  A roll would do that; a
 * log that gets no records any more has none. */
static void
flush_recovered(struct log_dirs *ld, struct dir *d)
{
	uint32_t n, kept = 0;
	struct log **logs = log_dirs_hold(ld, d, &n);

	for (uint32_t i = 0; i < n; i++) {
		struct log *log = logs[i];

		if (log->recovery_point >= log->tail_base)
			continue;
		logs[i] = logs[kept];
		logs[kept++] = log;
	}
	if (kept == 0 && d->points_lost)
		dir_checkpoint_recovery(ld, d);
	d->base.recovered = kept;	/* before the first of them is done */
	for (uint32_t i = 0; i < kept; i++)
		log_flush_recovered(logs[i]);
	log_dirs_release(logs, n);
}

enum err
log_dirs_load(struct log_dirs *ld, struct errbuf *eb)
{
	int64_t began = clock_mono_ms(ld->env.clock);
	enum err e = load_dirs(ld, eb);

	for (uint32_t i = 0; i < ld->ndirs && e == OK; i++)
		correct_checkpoints(ld, &ld->dirs[i]);
	if (e == OK)
		log_dirs_settle_markers(ld);
	for (uint32_t i = 0; i < ld->ndirs && e == OK; i++)
		if (dir_is_online(&ld->dirs[i]))
			flush_recovered(ld, &ld->dirs[i]);
	if (e == OK)
		diag_info(ld->env.diag, "log", "%" PRIu32 " logs loaded in %" PRId64 " ms", log_dirs_count(ld), clock_mono_ms(ld->env.clock) - began);
	return (e);
}

bool
log_dirs_was_clean(struct log_dirs *ld)
{
	bool clean = true;

	for (uint32_t i = 0; i < ld->ndirs; i++)
		clean = clean && (!dir_is_online(&ld->dirs[i]) || ld->dirs[i].was_clean);
	return (clean);
}

int64_t
log_dirs_stored_high_watermark(struct log_dirs *ld, const char *topic, int32_t partition)
{
	const struct checkpoint_entry *row;
	int64_t hw = 0;

	for (uint32_t i = 0; i < ld->ndirs; i++) {
		row = checkpoint_find(&ld->dirs[i].marks, topic, partition);
		if (row != NULL)
			hw = MAX(hw, __atomic_load_n(&row->offset, __ATOMIC_RELAXED));
	}
	return (hw);
}

/* ---- the end ---- */

struct close_item {
	struct log *log;
	enum err    e;
};

static void
close_item(void *p)
{
	struct close_item *it = p;
	struct errbuf eb = ERRBUF_INIT;

	it->e = log_close(it->log, true, &eb);
}

static bool
close_logs(struct log_dirs *ld, struct dir *d)
{
	uint32_t n;
	struct log **logs = log_dirs_hold(ld, d, &n);
	struct close_item *items = xcalloc((size_t)n + 1, sizeof(*items));
	void **ps = xcalloc((size_t)n + 1, sizeof(*ps));
	bool good = true;
	char name[16];

	for (uint32_t i = 0; i < n; i++) {
		items[i].log = logs[i];
		ps[i] = &items[i];
	}
	str_format(name, sizeof(name), "close%u", (unsigned)(d - ld->dirs));
	run_parallel(ld->recovery_threads, name, close_item, ps, n);
	for (uint32_t i = 0; i < n; i++)
		good = good && items[i].e == OK;
	free(ps);
	free(items);
	log_dirs_release(logs, n);
	return (good);
}

static void
write_marker(struct log_dirs *ld, struct dir *d)
{
	char *path = path_join(d->base.path, CLEAN_MARKER);
	struct errbuf eb = ERRBUF_INIT;
	enum err e = fs_write_file_atomic(ld->env.fs, path, SLICE_LIT(CLEAN_MARKER_TEXT), &eb);

	if (e != OK)
		diag_error(ld->env.diag, "log", "%s: %s; the next start recovers this directory", path, eb.text);
	free(path);
}

struct dir_close {
	struct log_dirs *ld;
	struct dir	*dir;
};

static void
close_dir(void *p)
{
	const struct dir_close *dc = p;
	struct log_dirs *ld = dc->ld;
	struct dir *d = dc->dir;
	bool good;

	dir_checkpoint_marks(ld, d);
	if (!dir_is_online(d))
		return;
	good = close_logs(ld, d);
	if (dir_is_online(d))
		dir_checkpoint_recovery(ld, d);
	if (dir_is_online(d))
		dir_checkpoint_starts(ld, d);
	good = good && !d->behind[DIR_RECOVERY] && !d->behind[DIR_STARTS];
	if (good && dir_is_online(d))
		write_marker(ld, d);
}

void
log_dirs_shutdown(struct log_dirs *ld)
{
	struct dir_close *closes = xcalloc(ld->ndirs, sizeof(*closes));
	void **ps = xcalloc(ld->ndirs, sizeof(*ps));
	uint32_t n = 0;

	log_dirs_stop_scrub(ld);
	log_dirs_await_upkeep(ld);
	for (uint32_t i = 0; i < ld->ndirs; i++) {
		if (!ld->dirs[i].loaded)		/* the files know more than the table */
			continue;
		closes[n] = (struct dir_close){ ld, &ld->dirs[i] };
		ps[n] = &closes[n];
		n++;
	}
	run_parallel(dirs_at_once(ld, n), "close", close_dir, ps, n);
	free(ps);
	free(closes);
}
