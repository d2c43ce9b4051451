/* SPDX-License-Identifier: Apache-2.0
 *
 * log/establish.c - a new log gets to the disk, after it was made and before anything in it matters.
 *
 * WHY    The files of its first segment, partition.metadata, leader-epoch-checkpoint, the names of all these and of its directory: five files and five
 *        syncs for each log, were they made when it is, and a topic of thousands of partitions is made in one request.  An empty log that is
 *        lost is no loss: LeaderAndIsr makes it again.  So it is YOUNG at first, and nothing but a directory.  (That much there is: it keeps
 *        the name, and a directory that cannot take it is found while another one can be tried.)
 * ESTABLISH (owner)
 *   1. the files of its first segment are made, empty
 *   2. the log directory is synced, once for all that were made before this began (names_made, names_synced)
 *   3. partition.metadata and leader-epoch-checkpoint: temporary file, synced, renamed: a Java broker does not start on half of one
 *   4. the log's own directory is synced: these names, and those of its segment
 *   5. it is not young any more
 *
 * INVARIANTS
 *   (1) A young log is empty, begins at 0, and has never been otherwise: the first batch (append.c) and another beginning (truncate.c) establish it first, a
 *	 log that is to be moved to another directory is established when it is made, and a clean end establishes what is left (where there is room).  So
 *	 a log of which anything was acknowledged, flushed or put in a checkpoint has its name, its topic's id and its epochs on the disk, as if it had been
 *	 made there.
 *   (2) No loop waits for it: sets for a young log are drained by workers.  (Who tells it another role meanwhile waits, for this one log.)
 *   (3) What is found in a log directory at start is not young: its name is synced at once when the last end was not clean, its files by the flush
 *	 that first needs them.
 *
 * CRASH  Before 5 there is the log or not, with any of its files or none, each of the two whole or not there (or under its temporary name, which
 *        loading removes): loading makes an empty log of any of that.  A kill leaves a log without a topic id: LeaderAndIsr gives it again, and as the
 *        log is empty it is nobody's whose topic was made again meanwhile.  Rows of it in checkpoints are dropped at the next start.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "log/checkpoint.h"
#include "log/log_dirs_int.h"

enum { ESTABLISHERS_PER_DIR = 2 };

/* ---- one log ---- */

/* Whoever comes while it runs, for a name made later, syncs again; for an earlier one both do it, which is no harm. */
static enum err
sync_name(struct log_dir *d, uint64_t born, struct errbuf *eb)
{
	uint64_t made = d->names_made, synced = d->names_synced;
	enum err e;

	if (synced >= born)
		return (OK);
	e = d->env->fs->ops->sync_dir(d->env->fs, d->path, eb);
	while (e == OK && synced < made && !atomic_compare_exchange_strong(&d->names_synced, &synced, made))
		;
	return (e);
}

enum err
log_establish(struct log *log, struct errbuf *eb)
{
	struct fs *fs = log->env->fs;
	enum err e;

	if (!log->young)
		return (OK);
	e = segment_is_made(log_active(log)) ? OK : segment_make(log_active(log), eb);
	if (e == OK)
		e = sync_name(log->dir, log->born, eb);
	if (e == OK && log->id_unstored)
		e = partition_metadata_put(fs, log->path, log_topic_id(log), eb);
	if (e == OK)
		e = log_put_epochs(log, eb);
	if (e == OK)
		e = fs->ops->sync_dir(fs, log->path, eb);
	if (e != OK)
		return (e);
	log->id_unstored = false;
	log->young = false;
	return (OK);
}

/* ---- all that were made ---- */

struct establisher {
	struct job	 job;
	struct log_dirs *ld;
	struct dir	*dir;
	struct workers	*workers;	/* NULL: it does all at once */
};

void
log_dirs_add_young(struct dir *d, struct log *log)
{
	if (d->nyoung == d->young_room) {
		d->young_room = MAX(d->young_room * 2, 16u);
		d->young = xreallocarray(d->young, d->young_room, sizeof(struct log *));
	}
	d->young[d->nyoung++] = log_ref(log);
}

/* Referenced; NULL: there is none, and this establisher is no more. */
static struct log *
take_young(struct log_dirs *ld, struct dir *d)
{
	struct log *log = NULL;

	lock_acquire(&ld->lock);
	if (d->nyoung > 0)
		log = d->young[--d->nyoung];
	else
		d->establishers--;
	lock_release(&ld->lock);
	return (log);
}

static void
establish_one(struct log *log)
{
	struct errbuf eb = ERRBUF_INIT;
	enum err e = OK;
	bool open;

	log_own(log);		/* its directory is not renamed meanwhile */
	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	if (open && !log->dir->offline)
		e = log_establish(log, &eb);
	log_disown(log);
	if (e != OK && e != ERR_NOSPACE)	/* without room the first batch tries again */
		(void)log_fail(log, "making it durable", e, &eb);
}

/* One at a time: a set that waits for its own log to be established comes between. */
static void
establish_job(struct job *j)
{
	struct establisher *s = CONTAINER_OF(j, struct establisher, job);
	struct log *log;

	while ((log = take_young(s->ld, s->dir)) != NULL) {
		establish_one(log);
		log_unref(&log);
		if (s->workers == NULL)
			continue;
		workers_submit(s->workers, &s->job);
		return;
	}
	free(s);
}

/* How many more jobs are wanted for what is there. */
static uint32_t
hire(struct log_dirs *ld, struct dir *d)
{
	uint32_t n;

	lock_acquire(&ld->lock);
	n = MIN(d->nyoung, ESTABLISHERS_PER_DIR - d->establishers);
	d->establishers += n;
	lock_release(&ld->lock);
	return (n);
}

void
log_dirs_establish(struct log_dirs *ld)
{
	for (uint32_t i = 0; i < ld->ndirs; i++) {
		struct dir *d = &ld->dirs[i];
		struct workers *w = d->base.syncer != NULL ? d->base.syncer : ld->env.workers;

		for (uint32_t n = hire(ld, d); n > 0; n--) {
			struct establisher *s = xcalloc(1, sizeof(*s));

			*s = (struct establisher){ .job.run = establish_job, .ld = ld, .dir = d, .workers = w };
			if (w != NULL)
				workers_submit(w, &s->job);
			else
				establish_job(&s->job);
		}
	}
}

void
log_dirs_drop_young(struct log_dirs *ld, struct dir *d)
{
	lock_acquire(&ld->lock);
	while (d->nyoung > 0)
		log_unref(&d->young[--d->nyoung]);
	lock_release(&ld->lock);
}
