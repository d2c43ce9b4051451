/* SPDX-License-Identifier: Apache-2.0
 *
 * server/admin_call.c - see admin_call.h.
 */
#include "server/admin_call.h"

static void
abandoned(struct api_request *r)
{
	admin_abandon(r->state);
}

void
admin_call(struct api_request *r, struct admin_job *job, void (*done)(struct admin_job *))
{
	job->loop = api_loop(r);
	job->done = done;
	job->arena = r->arena;
	r->state = job;
	r->abandoned = abandoned;
}
