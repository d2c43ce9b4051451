/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/reassignments.c - what ListPartitionReassignments asks for: the partitions that moves.c has under way.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/controller_int.h"

static void
on_done(struct task *task)
{
	struct controller_reassignments *q = CONTAINER_OF(task, struct controller_reassignments, task);

	q->done(q);
}

static struct controller_ids
copy_ids(struct arena *arena, struct id_list l)
{
	int32_t *v = ARENA_ARRAY(arena, int32_t, (size_t)l.n + 1);

	if (v != NULL && l.n > 0)
		memcpy(v, l.v, l.n * sizeof(*v));
	return ((struct controller_ids){ v, v == NULL ? 0 : (int32_t)l.n });
}

static struct controller_reassignment *
copy_one(struct arena *arena, const struct ctl_partition *p)
{
	struct controller_reassignment *row = ARENA_NEW(arena, struct controller_reassignment);

	if (row == NULL)
		return (NULL);
	row->topic = arena_dup(arena, slice_str(p->topic->name));
	row->partition = p->id;
	row->replicas = copy_ids(arena, p->replicas);
	row->adding = copy_ids(arena, p->adding);
	row->removing = copy_ids(arena, p->removing);
	return (arena->full ? NULL : row);
}

static enum kerr
list(const struct controller *c, struct controller_reassignments *q)
{
	struct controller_reassignment **end = &q->list;
	struct ctl_topic *t, *tmp;

	if (!c->elected)
		return (KERR_NOT_CONTROLLER);
	HASH_ITER(hh, c->ctx.topics, t, tmp)
		for (uint32_t i = 0; i < t->npartitions; i++) {
			if (!partition_moving(&t->partitions[i]))
				continue;
			*end = copy_one(q->arena, &t->partitions[i]);
			if (*end == NULL)
				return (KERR_UNKNOWN_SERVER_ERROR);
			end = &(*end)->next;
		}
	return (KERR_NONE);
}

static void
arrived(struct task *task)
{
	struct controller_reassignments *q = CONTAINER_OF(task, struct controller_reassignments, task);

	q->list = NULL;
	q->error = list(q->controller, q);
	q->task.fn = on_done;
	loop_post(q->loop, &q->task);
}

void
controller_list_reassignments(struct controller *c, struct controller_reassignments *q)
{
	q->controller = c;
	q->task.fn = arrived;
	loop_post(c->opt.loop, &q->task);
}
