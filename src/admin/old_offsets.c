/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/old_offsets.c - see old_offsets.h.
 *
 * Storing sets the nodes; where there is none, each level of its path is made, then the node.  A level that is there is no obstacle, and a node that
 * is there by now begins everything anew, as does an expired session: it does no harm, and of two that store at once one is last.
 *
 * A group's id stands in the path as it is, slashes included, as in Java.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_int.h"
#include "admin/old_offsets.h"
#include "base/alloc.h"
#include "zk/paths.h"

enum { NUMBER_MAX = 24 };

struct attempt {
	struct admin	*admin;
	struct old_offsets *o;
	char	       **paths;		/* one per item; NULL: no path */
	char		(*numbers)[NUMBER_MAX];
	struct zk_op	*ops;
	uint32_t	*which;		/* item of each op */
	uint32_t	 nops;
	char	       **levels;	/* above the nodes that are missing */
	uint32_t	 nlevels;
};

/* ---- paths ---- */

/* ZooKeeper's rules for the part that a peer chooses: topics and partitions are well formed. */
static bool
group_fits_in_a_path(struct slice g)
{
	const uint8_t *p = g.p;
	size_t begin = 0;

	for (size_t i = 0; i <= g.len; i++) {
		if (i < g.len && (p[i] < 0x20 || p[i] == 0x7f))
			return (false);
		if (i < g.len && p[i] != '/')
			continue;
		if (i == begin || (i - begin == 1 && p[begin] == '.') || (i - begin == 2 && p[begin] == '.' && p[begin + 1] == '.'))
			return (false);
		begin = i + 1;
	}
	return (true);
}

static struct attempt *
attempt_new(struct admin_job *j)
{
	struct old_offsets *o = CONTAINER_OF(j, struct old_offsets, job);
	bool fits = group_fits_in_a_path(o->group);
	struct attempt *t = xcalloc(1, sizeof(*t));

	t->admin = j->admin;
	t->o = o;
	t->paths = xcalloc((size_t)o->nitems + 1, sizeof(*t->paths));
	t->numbers = xcalloc((size_t)o->nitems + 1, sizeof(*t->numbers));
	t->ops = xcalloc((size_t)o->nitems + 1, sizeof(*t->ops));
	t->which = xcalloc((size_t)o->nitems + 1, sizeof(*t->which));
	for (uint32_t i = 0; i < o->nitems; i++) {
		const struct old_offset *it = &o->items[i];

		o->items[i].error = KERR_UNKNOWN_SERVER_ERROR;
		if (fits)
			t->paths[i] = xasprintf(ZK_CONSUMERS "/%.*s/offsets/%.*s/%d", (int)o->group.len, (const char *)o->group.p, (int)it->topic.len,
			    (const char *)it->topic.p, it->partition);
	}
	return (t);
}

static void
levels_free(struct attempt *t)
{
	for (uint32_t i = 0; i < t->nlevels; i++)
		free(t->levels[i]);
	free(t->levels);
	t->levels = NULL;
	t->nlevels = 0;
}

static void
attempt_free(struct attempt *t)
{
	for (uint32_t i = 0; i < t->o->nitems; i++)
		free(t->paths[i]);
	levels_free(t);
	free(t->paths);
	free(t->numbers);
	free(t->ops);
	free(t->which);
	free(t);
}

static void
attempt_end(struct attempt *t)
{
	struct admin_job *j = &t->o->job;

	attempt_free(t);
	admin_done(j);
}

static bool
is_expired(const struct zk_result *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (r[i].error == ZKE_SESSION_EXPIRED)
			return (true);
	return (false);
}

static void
attempt_again(struct attempt *t, void (*run)(struct admin_job *))
{
	struct admin_job *j = &t->o->job;

	attempt_free(t);
	j->run = run;
	admin_again(j);
}

static void
failed(struct attempt *t, uint32_t item, enum zke e)
{
	t->o->items[item].error = admin_zk_error(t->admin, e, "the offset at", t->paths[item]);
}

/* ---- storing ---- */

static void store_run(struct admin_job *);

/* Somebody else made the node meanwhile, or we did and the connection broke: then it is there to be set. */
static bool
is_there_now(const struct zk_result *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (r[i].error == ZKE_NODE_EXISTS)
			return (true);
	return (false);
}

static void
stored(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct attempt *t = ctx;
	struct admin_job *j = &t->o->job;

	if (is_expired(r, n)) {
		attempt_again(t, store_run);
		return;
	}
	if (is_there_now(r + t->nlevels, n - t->nlevels)) {
		attempt_free(t);
		store_run(j);
		return;
	}
	for (uint32_t i = t->nlevels; i < n; i++) {
		if (r[i].error == ZKE_OK)
			t->o->items[t->which[i - t->nlevels]].error = KERR_NONE;
		else
			failed(t, t->which[i - t->nlevels], r[i].error);
	}
	attempt_end(t);
}

static uint32_t
count_levels(const char *path)
{
	uint32_t n = 0;

	for (; *path != '\0'; path++)
		n += *path == '/';
	return (n);
}

/* /consumers is one of the paths that every broker makes. */
static void
add_levels(struct attempt *t, const char *path)
{
	for (const char *p = path + sizeof(ZK_CONSUMERS); *p != '\0'; p++)
		if (*p == '/')
			t->levels[t->nlevels++] = xstrndup(path, (size_t)(p - path));
}

/* The first nmissing of `which` have no node. */
static void
store_anew(struct attempt *t, uint32_t nmissing)
{
	uint32_t room = 0;
	struct zk_op *ops;

	for (uint32_t i = 0; i < nmissing; i++)
		room += count_levels(t->paths[t->which[i]]);
	t->levels = xcalloc((size_t)room + 1, sizeof(*t->levels));
	for (uint32_t i = 0; i < nmissing; i++)
		add_levels(t, t->paths[t->which[i]]);
	ops = xcalloc((size_t)t->nlevels + nmissing + 1, sizeof(*ops));
	for (uint32_t i = 0; i < t->nlevels; i++)
		ops[i] = ZK_CREATE(t->levels[i], SLICE_NULL);
	for (uint32_t i = 0; i < nmissing; i++) {
		const char *path = t->paths[t->which[i]];
		bool twice = i > 0 && strcmp(path, t->paths[t->which[i - 1]]) == 0;
		struct slice number = slice_str(t->numbers[t->which[i]]);

		ops[t->nlevels + i] = twice ? ZK_SET(path, number, ZK_ANY_VERSION) : ZK_CREATE(path, number);
	}
	zk_many(t->admin->opt.zk, ops, t->nlevels + nmissing, stored, t);
	free(ops);
}

static void
store_set(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct attempt *t = ctx;
	uint32_t missing = 0;

	if (is_expired(r, n)) {
		attempt_again(t, store_run);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (r[i].error == ZKE_OK)
			t->o->items[t->which[i]].error = KERR_NONE;
		else if (r[i].error == ZKE_NO_NODE && t->admin->opt.zk != NULL)
			t->which[missing++] = t->which[i];
		else
			failed(t, t->which[i], r[i].error);
	}
	if (missing > 0)
		store_anew(t, missing);
	else
		attempt_end(t);
}

static void
store_run(struct admin_job *j)
{
	struct attempt *t = attempt_new(j);
	int32_t max = admin_config(j->admin)->offset_metadata_max_bytes;

	for (uint32_t i = 0; i < t->o->nitems; i++) {
		struct old_offset *it = &t->o->items[i];

		str_format(t->numbers[i], NUMBER_MAX, "%" PRId64, it->offset);
		if (java_string_length(it->metadata) > (size_t)MAX(max, 0)) {
			it->error = KERR_OFFSET_METADATA_TOO_LARGE;
		} else if (t->paths[i] != NULL) {
			t->which[t->nops] = i;
			t->ops[t->nops++] = ZK_SET(t->paths[i], slice_str(t->numbers[i]), ZK_ANY_VERSION);
		}
	}
	if (j->admin->opt.zk == NULL)
		attempt_end(t);
	else
		zk_many(j->admin->opt.zk, t->ops, t->nops, store_set, t);
}

void
admin_store_old_offsets(struct admin *a, struct old_offsets *o)
{
	admin_start(a, &o->job, store_run);
}

/* ---- loading ---- */

static void load_run(struct admin_job *);

static void
loaded(void *ctx, const struct zk_result *r, uint32_t n)
{
	struct attempt *t = ctx;

	if (is_expired(r, n)) {
		attempt_again(t, load_run);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct old_offset *it = &t->o->items[t->which[i]];

		if (r[i].error == ZKE_NO_NODE || (r[i].error == ZKE_OK && r[i].data.p == NULL))
			it->error = KERR_UNKNOWN_TOPIC_OR_PARTITION;
		else if (r[i].error != ZKE_OK)
			failed(t, t->which[i], r[i].error);
		else
			it->error = str_to_i64(r[i].data, &it->offset) ? KERR_NONE : KERR_UNKNOWN_SERVER_ERROR;
	}
	attempt_end(t);
}

static void
load_run(struct admin_job *j)
{
	struct attempt *t = attempt_new(j);

	for (uint32_t i = 0; i < t->o->nitems; i++)
		if (t->paths[i] != NULL) {
			t->which[t->nops] = i;
			t->ops[t->nops++] = ZK_GET(t->paths[i], NULL);
		}
	if (j->admin->opt.zk == NULL)
		attempt_end(t);
	else
		zk_many(j->admin->opt.zk, t->ops, t->nops, loaded, t);
}

void
admin_load_old_offsets(struct admin *a, struct old_offsets *o)
{
	admin_start(a, &o->job, load_run);
}
