/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/leaders.c - see leaders.h.
 */
#include "admin/admin_int.h"
#include "admin/leaders.h"

static bool
look(struct admin_job *j, const struct image *im)
{
	struct admin_await_leaders *w = CONTAINER_OF(j, struct admin_await_leaders, job);
	bool all = true;

	for (int32_t i = 0; i < w->n; i++) {
		struct admin_leader *l = &w->leaders[i];
		const struct image_topic *t = image_topic(im, l->topic);
		const struct image_partition *p = t == NULL ? NULL : image_partition(t, l->partition);

		l->shown = l->shown || (p != NULL && p->leader == l->leader);
		all = all && l->shown;
	}
	return (all);
}

static void
finish(struct admin_job *j, const struct image *im)
{
	(void)look(j, im);
	admin_done(j);
}

static void
run(struct admin_job *j)
{
	struct admin_await_leaders *w = CONTAINER_OF(j, struct admin_await_leaders, job);

	if (w->timeout_ms <= 0)
		finish(j, cluster_read(j->admin->opt.cluster));
	else
		admin_wait(j, w->timeout_ms, look, finish);
}

void
admin_await_leaders(struct admin *a, struct admin_await_leaders *w)
{
	for (int32_t i = 0; i < w->n; i++)
		w->leaders[i].shown = false;
	admin_start(a, &w->job, run);
}
