/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/step_int.h - words for what went wrong in a protocol of several operations.
 */
#ifndef ZK_STEP_INT_H
#define ZK_STEP_INT_H

#include "zk/client.h"

/* "<doing> <path>: <ZooKeeper's error>" and the err for it. */
static inline enum err
zk_step_error(struct errbuf *eb, const struct zk_result *r, const char *doing)
{
	errbuf_set(eb, "%s %s: %s", doing, r->path == NULL ? "" : r->path, zke_text(r->error));
	return (zke_err(r->error));
}

#endif
