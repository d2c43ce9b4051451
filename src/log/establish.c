/* SPDX-License-Identifier: Apache-2.0
 *
 * log/establish.c - a new log gets to the disk, after it was made and before anything in it matters.
 *
 * WHY    The files of its first segment, partition.metadata, leader-epoch-checkpoint, the names of all these and of its directory: five files and five
 *        syncs for each log, were they made when it is, and a topic of thousands of partitions is made in one request.  An empty log that is
 *        lost is no loss: LeaderAndIsr makes it again.  So it is YOUNG at first, and nothing but a directory; of many that are made at once only the first is
 *        that much (a log directory that cannot take it is found while another one can be tried), the others are NAMELESS: nothing but memory.
 * ESTABLISH (owner)
 *   1. its directory and the files of its first segment are made, empty.  (The directories of all that were made at once come before the first of
 *      them is established: so their names share one sync.)
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
 *   (4) A nameless log has a name that nothing in its log directory had.  Whoever renames or removes its directory makes it first: the name may belong to
 *	 another log afterwards.
 *
 * CRASH  Before 5 there is the log or not, with any of its files or none, each of the two whole or not there (or under its temporary name, which
 *        loading removes): loading makes an empty log of any of that.  A kill leaves a log without a topic id: LeaderAndIsr gives it again, and as the
 *        log is empty it is nobody's whose topic was made again meanwhile.  Rows of it in checkpoints are dropped at the next start.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "log/checkpoint.h"
#include "log/log_dirs_int.h"

enum { ESTABLISHERS_PER_DIR = 2, NAMES_AT_ONCE = 64,
	EXPECT_MIN = 32, EXPECT_MAX = 1 << 20,	/* new logs; the names of fewer are looked for one by one */
	ENTRIES_PER_NAME = 8,		/* reading so many entries of a directory costs less than looking for a name in it (where it tells their kind) */
	BITS_PER_NAME = 64 };

/* ---- is a name free? ---- */

struct reading {
	struct names *names;
	uint32_t      left;
};

static uint32_t
bit_of(const struct names *n, const char *name)
{
	return ((uint32_t)hash_bytes(0, name, strlen(name)) & (n->nbits - 1));
}

static bool
take_name(void *ctx, const char *name, bool is_dir)
{
	struct reading *r = ctx;
	uint32_t bit = bit_of(r->names, name);

	(void)is_dir;
	r->names->bits[bit / 8] |= (uint8_t)(1u << bit % 8);
	return (r->left-- > 0);
}

/* Under its lock.  Where much more stands than is expected (or it cannot be read) each name is looked for. */
static void
names_read(struct log_dirs *ld, struct dir *d, uint32_t expected)
{
	struct names *n = &d->names;
	struct reading r = { n, expected * ENTRIES_PER_NAME };

	n->read = true;
	if (expected < EXPECT_MIN)
		return;
	for (n->nbits = 8; n->nbits < expected * BITS_PER_NAME; n->nbits *= 2)
		;
	n->bits = xcalloc(1, n->nbits / 8);
	if (ld->env.fs->ops->list(ld->env.fs, d->base.path, take_name, &r, NULL) == OK && r.left != UINT32_MAX)
		return;
	free(n->bits);
	n->bits = NULL;
}

void
names_drop(struct names *n)
{
	lock_acquire(&n->lock);
	free(n->bits);
	n->bits = NULL;
	n->read = false;
	lock_release(&n->lock);
}

static bool
may_stand_there(struct log_dirs *ld, struct dir *d, const char *name)
{
	struct names *n = &d->names;
	bool may = true;

	lock_acquire(&n->lock);
	if (!n->read)
		names_read(ld, d, MIN(ld->expected, (uint32_t)EXPECT_MAX));
	if (n->bits != NULL) {
		uint32_t bit = bit_of(n, name);

		may = (n->bits[bit / 8] >> bit % 8 & 1) != 0;
	}
	lock_release(&n->lock);
	return (may);
}

bool
log_dirs_name_is_free(struct log_dirs *ld, struct dir *d, const struct log *log)
{
	struct fs *fs = log->env->fs;
	struct fs_stat st;

	return (!may_stand_there(ld, d, strrchr(log->path, '/') + 1) || fs->ops->stat(fs, log->path, &st, NULL) == ERR_NOENT);
}

void
log_dirs_expect(struct log_dirs *ld, uint32_t n)
{
	ld->expected = n;
	for (uint32_t i = 0; i < ld->ndirs; i++)
		names_drop(&ld->dirs[i].names);
}

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
log_make_name(struct log *log, struct errbuf *eb)
{
	struct fs *fs = log->env->fs;
	enum err e;

	if (!log->nameless)
		return (OK);
	e = fs->ops->mkdir(fs, log->path, eb);
	if (e != OK)
		return (e);
	log->nameless = false;
	log->born = ++log->dir->names_made;
	return (OK);
}

enum err
log_establish(struct log *log, struct errbuf *eb)
{
	struct fs *fs = log->env->fs;
	enum err e;

	if (!log->young)
		return (OK);
	e = log_make_name(log, eb);
	if (e == OK && !segment_is_made(log_active(log)))
		e = segment_make(log_active(log), eb);
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
	uint32_t	 named;		/* of the young ones, that many from the first on */
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

/* Without room the first batch tries again.  eb may be NULL. */
static enum err
to_disk(struct log *log, enum err (*fn)(struct log *, struct errbuf *), struct errbuf *eb)
{
	struct errbuf why = ERRBUF_INIT;
	enum err e = OK;
	bool open;

	log_own(log);		/* its directory is not renamed meanwhile */
	lock_acquire(&log->lock);
	open = log->state == LOG_OPEN;
	lock_release(&log->lock);
	if (open && !log->dir->offline)
		e = fn(log, &why);
	log_disown(log);
	if (e != OK)
		errbuf_set(eb, "%s", why.text);
	if (e != OK && e != ERR_NOSPACE)
		(void)log_fail(log, "making it durable", e, &why);
	else if (e == ERR_NOSPACE && !atomic_exchange(&log->dir->short_told, true))
		diag_warning(log->env->diag, "log", "%s: new partitions have not all of their files and take no records until there is room: %s", log->dir->path,
		    why.text);
	else if (e == OK)
		log->dir->short_told = false;
	return (e);
}

enum err
log_dirs_establish_now(struct log *log, struct errbuf *eb)
{
	return (to_disk(log, log_establish, eb));
}

/* One at a time: a set that waits for its own log to be established comes between. */
static void
establish_job(struct job *j)
{
	struct establisher *s = CONTAINER_OF(j, struct establisher, job);
	struct log *log;

	while ((log = take_young(s->ld, s->dir)) != NULL) {
		(void)!to_disk(log, log_establish, NULL);
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

static void
begin(struct log_dirs *ld, struct dir *d, void (*run)(struct job *))
{
	struct establisher *s = xcalloc(1, sizeof(*s));

	*s = (struct establisher){ .job.run = run, .ld = ld, .dir = d, .workers = d->base.syncer != NULL ? d->base.syncer : ld->env.workers };
	if (s->workers != NULL)
		workers_submit(s->workers, &s->job);
	else
		run(&s->job);
}

/* Referenced; how many. */
static uint32_t
next_to_name(struct establisher *s, struct log *logs[NAMES_AT_ONCE])
{
	uint32_t n = 0;

	lock_acquire(&s->ld->lock);
	while (n < NAMES_AT_ONCE && s->named < s->dir->nyoung)
		logs[n++] = log_ref(s->dir->young[s->named++]);
	lock_release(&s->ld->lock);
	return (n);
}

/* Those that another establisher takes away meanwhile get theirs from it. */
static void
names_job(struct job *j)
{
	struct establisher *s = CONTAINER_OF(j, struct establisher, job);
	struct log *logs[NAMES_AT_ONCE];
	uint32_t n;

	while ((n = next_to_name(s, logs)) > 0) {
		while (n > 0) {
			(void)!to_disk(logs[--n], log_make_name, NULL);
			log_unref(&logs[n]);
		}
		if (s->workers == NULL)
			continue;
		workers_submit(s->workers, &s->job);
		return;
	}
	for (n = hire(s->ld, s->dir); n > 0; n--)
		begin(s->ld, s->dir, establish_job);
	free(s);
}

static bool
has_young(struct log_dirs *ld, const struct dir *d)
{
	bool has;

	lock_acquire(&ld->lock);
	has = d->nyoung > 0;
	lock_release(&ld->lock);
	return (has);
}

void
log_dirs_establish(struct log_dirs *ld)
{
	log_dirs_expect(ld, 0);
	for (uint32_t i = 0; i < ld->ndirs; i++)
		if (has_young(ld, &ld->dirs[i]))
			begin(ld, &ld->dirs[i], names_job);
}

void
log_dirs_drop_young(struct log_dirs *ld, struct dir *d)
{
	lock_acquire(&ld->lock);
	while (d->nyoung > 0)
		log_unref(&d->young[--d->nyoung]);
	lock_release(&ld->lock);
}
