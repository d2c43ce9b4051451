/* SPDX-License-Identifier: Apache-2.0
 *
 * controller/channel.c - messages of control channels; see channel.h.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "controller/channel.h"

struct controller_message *
controller_message_new(enum control_kind kind)
{
	struct controller_message *m = xcalloc(1, sizeof(*m));

	arena_init(&m->arena, SIZE_MAX);	/* the size is ours: what the cluster's own metadata takes */
	m->request.kind = kind;
	m->request.arena = &m->arena;
	return (m);
}

void
controller_message_free(struct controller_message **mp)
{
	if (*mp == NULL)
		return;
	arena_fini(&(*mp)->arena);
	free(*mp);
	*mp = NULL;
}
