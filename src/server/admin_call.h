/* SPDX-License-Identifier: Apache-2.0
 *
 * server/admin_call.h - how a request becomes a job of admin/ (admin/admin.h).
 */
#ifndef SERVER_ADMIN_CALL_H
#define SERVER_ADMIN_CALL_H

#include "admin/admin.h"
#include "server/dispatch.h"

/* The job, in the request's arena, is done on the request's loop and abandoned with it.  Start it after this. */
void	 admin_call(struct api_request *, struct admin_job *, void (*done)(struct admin_job *));

#endif
