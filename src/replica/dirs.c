/* SPDX-License-Identifier: Apache-2.0
 *
 * replica/dirs.c - see dirs.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "replica/dirs.h"
#include "replica/replica_int.h"

struct look {
	struct replica_manager *m;
	struct replica_dirs    *out;
};

/* Against the log that the partition serves, which is this one unless this one is to replace it. */
static int64_t
lag_of(struct replica_manager *m, struct log *log)
{
	struct partition *p = replica_partition(m, slice_str(log_topic(log)), log_partition(log));
	struct log *served = p == NULL || partition_state(p)->offline ? NULL : partition_log(p);
	int64_t lag = -1;

	if (served != NULL && log_is_future(log))
		lag = log_end_offset(served) - log_end_offset(log);
	else if (served != NULL)
		lag = MAX(log_high_watermark(served) - log_end_offset(log), 0);
	partition_unref(&p);
	return (lag);
}

static bool
add_log(void *ctx, struct log *log)
{
	struct look *l = ctx;
	struct replica_dirs *out = l->out;

	for (uint32_t i = 0; i < out->ndirs; i++) {
		if (!out->dirs[i].online || strcmp(out->dirs[i].path, log_dir(log)) != 0)
			continue;
		out->logs = xreallocarray(out->logs, (size_t)out->nlogs + 1, sizeof(*out->logs));
		out->logs[out->nlogs++] = (struct replica_dir_log){ .log = log_ref(log), .dir = i, .size = log_size(log),
		    .lag = lag_of(l->m, log), .future = log_is_future(log) };
	}
	return (true);
}

static int
log_order(const void *av, const void *bv)
{
	const struct replica_dir_log *a = av, *b = bv;
	int c;

	if (a->dir != b->dir)
		return (a->dir < b->dir ? -1 : 1);
	c = strcmp(log_topic(a->log), log_topic(b->log));
	return (c != 0 ? c : (log_partition(a->log) > log_partition(b->log)) - (log_partition(a->log) < log_partition(b->log)));
}

void
replica_dirs_look(struct replica_manager *m, struct replica_dirs *out)
{
	struct look l = { m, out };

	*out = (struct replica_dirs){ .ndirs = log_dirs_info(m->opt.log_dirs, NULL, 0) };
	out->dirs = xcalloc(out->ndirs, sizeof(*out->dirs));
	(void)log_dirs_info(m->opt.log_dirs, out->dirs, out->ndirs);
	log_dirs_each(m->opt.log_dirs, add_log, &l);
	if (out->nlogs > 0)
		qsort(out->logs, out->nlogs, sizeof(*out->logs), log_order);
}

void
replica_dirs_fini(struct replica_dirs *d)
{
	for (uint32_t i = 0; i < d->nlogs; i++)
		log_unref(&d->logs[i].log);
	free(d->logs);
	free(d->dirs);
	*d = (struct replica_dirs){ 0 };
}
