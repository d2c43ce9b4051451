/* SPDX-License-Identifier: Apache-2.0
 *
 * server/api_envelope.c - Envelope: what brokers of a cluster that migrates to KRaft wrap clients' requests in.  A broker that does not migrate closes
 * the connection, as Java's does.
 */
#include "server/dispatch.h"

void *
fail_envelope(struct api_request *r, enum kerr error)
{
	(void)r;
	(void)error;
	return (NULL);
}

void
serve_envelope(struct api_request *r)
{
	api_close(r);
}
