/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_describe_log_dirs.c - DescribeLogDirs, versions 0 to 4: what stands in each log directory, how large it is and, while it is being
 * moved, how far behind.
 *
 * A null list of topics asks for all, an empty one for none; a partition that is not here is left out.  A directory that is offline has an
 * error and nothing else.  File systems are asked on a worker.
 */
#include <stdlib.h>

#include "event/workers.h"
#include "replica/dirs.h"
#include "server/dispatch.h"
#include "wire/walker.h"

struct describe {
	struct api_request *r;
	struct wanted	 *wanted;	/* sorted */
	size_t		  nwanted;
	bool		  all;
	struct replica_dirs dirs;
	struct job	  job;
};

struct wanted {
	struct slice topic;
	int32_t	     partition;
};

static int
wanted_order(const void *av, const void *bv)
{
	const struct wanted *a = av, *b = bv;
	int c = slice_cmp(a->topic, b->topic);

	return (c != 0 ? c : (a->partition > b->partition) - (a->partition < b->partition));
}

static bool
collect(struct describe *d)
{
	const struct wire_describe_log_dirs_request *q = d->r->body;
	size_t total = 0;

	d->all = q->topics.n < 0;
	for (int32_t i = 0; i < q->topics.n; i++)
		total += (size_t)q->topics.v[i].partitions.n;
	d->wanted = ARENA_ARRAY(d->r->arena, struct wanted, total + 1);
	if (d->wanted == NULL)
		return (false);
	for (int32_t i = 0; i < q->topics.n; i++)
		for (int32_t j = 0; j < q->topics.v[i].partitions.n; j++)
			d->wanted[d->nwanted++] = (struct wanted){ q->topics.v[i].topic, q->topics.v[i].partitions.v[j] };
	qsort(d->wanted, d->nwanted, sizeof(*d->wanted), wanted_order);
	return (true);
}

static bool
asked_for(const struct describe *d, const struct replica_dir_log *l)
{
	const struct wanted key = { slice_str(log_topic(l->log)), log_partition(l->log) };

	return (d->all || bsearch(&key, d->wanted, d->nwanted, sizeof(key), wanted_order) != NULL);
}

/* ---- the answer ---- */

/* From the i-th log on: those of the same directory and topic, which follow each other. */
static int32_t
of_one_topic(const struct describe *d, uint32_t i)
{
	const struct replica_dir_log *first = &d->dirs.logs[i];
	int32_t n = 0;

	for (; i < d->dirs.nlogs && d->dirs.logs[i].dir == first->dir && strcmp(log_topic(d->dirs.logs[i].log), log_topic(first->log)) == 0; i++)
		n++;
	return (n);
}

static bool
fill_topics(const struct describe *d, uint32_t dir, struct wire_describe_log_dirs_response_result *w)
{
	struct arena *a = d->r->arena;
	struct wire_describe_log_dirs_response_topic *t = NULL;
	int32_t n = 0;

	for (uint32_t i = 0; i < d->dirs.nlogs; i++)
		n += d->dirs.logs[i].dir == dir;
	w->topics.v = WIRE_NEW_ARRAY(a, describe_log_dirs_response_topic, n);
	for (uint32_t i = 0; i < d->dirs.nlogs && !a->full; i++) {
		const struct replica_dir_log *l = &d->dirs.logs[i];

		if (l->dir != dir || !asked_for(d, l))
			continue;
		if (t == NULL || !slice_eq(t->name, slice_str(log_topic(l->log)))) {
			t = &w->topics.v[w->topics.n++];
			t->name = arena_dup(a, slice_str(log_topic(l->log)));
			t->partitions.v = WIRE_NEW_ARRAY(a, describe_log_dirs_response_partition, of_one_topic(d, i));
			if (t->partitions.v == NULL)
				return (false);
		}
		t->partitions.v[t->partitions.n++] = (struct wire_describe_log_dirs_response_partition){ .partition_index = log_partition(l->log),
		    .partition_size = (int64_t)l->size, .offset_lag = l->lag, .is_future_key = l->future };
	}
	return (!a->full);
}

static void *
make_response(const struct describe *d)
{
	struct arena *a = d->r->arena;
	struct wire_describe_log_dirs_response *w = WIRE_NEW(a, describe_log_dirs_response);

	if (w == NULL)
		return (NULL);
	w->results.v = WIRE_NEW_ARRAY(a, describe_log_dirs_response_result, (int32_t)d->dirs.ndirs);
	if (w->results.v == NULL)
		return (NULL);
	w->results.n = (int32_t)d->dirs.ndirs;
	for (uint32_t i = 0; i < d->dirs.ndirs; i++) {
		const struct log_dir_info *info = &d->dirs.dirs[i];
		struct wire_describe_log_dirs_response_result *r = &w->results.v[i];

		r->log_dir = arena_dup(a, slice_str(info->path));
		r->total_bytes = r->usable_bytes = -1;
		if (!info->online) {
			r->error_code = KERR_KAFKA_STORAGE_ERROR;
			continue;
		}
		r->total_bytes = (int64_t)MIN(info->total, (uint64_t)INT64_MAX);
		r->usable_bytes = (int64_t)MIN(info->usable, (uint64_t)INT64_MAX);
		if (!fill_topics(d, i, r))
			return (NULL);
	}
	return (a->full ? NULL : w);
}

static void
look(struct job *job)
{
	struct describe *d = CONTAINER_OF(job, struct describe, job);

	replica_dirs_look(d->r->server->opt.replicas, &d->dirs);
}

static void
looked(struct job *job)
{
	struct describe *d = CONTAINER_OF(job, struct describe, job);
	void *w = make_response(d);

	replica_dirs_fini(&d->dirs);
	if (w == NULL)
		api_fail(d->r, KERR_UNKNOWN_SERVER_ERROR);
	else
		api_respond(d->r, w);
}

/* Java's answer to a request that fails as a whole; below version 3 the error cannot be said. */
void *
fail_describe_log_dirs(struct api_request *r, enum kerr error)
{
	struct wire_describe_log_dirs_response *w = WIRE_NEW(r->arena, describe_log_dirs_response);

	if (w != NULL)
		w->error_code = (int16_t)error;
	return (w);
}

void
serve_describe_log_dirs(struct api_request *r)
{
	struct describe *d = ARENA_NEW(r->arena, struct describe);

	if (d == NULL) {
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
		return;
	}
	*d = (struct describe){ .r = r, .job = { .run = look, .done = looked, .loop = api_loop(r) } };
	if (collect(d))
		workers_submit(r->server->opt.workers, &d->job);
	else
		api_fail(r, KERR_UNKNOWN_SERVER_ERROR);
}
