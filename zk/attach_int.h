/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/attach_int.h - attach to a known ZooKeeper session and close it; blocking (the keeper process, or a worker).
 */
#ifndef ZK_ATTACH_INT_H
#define ZK_ATTACH_INT_H

#include "base/err.h"
#include "zk/session.h"

/* OK: the session is over, by us or already.  ERR_TIMEOUT: deadline_ms (CLOCK_BOOTTIME) passed; it was left alone.  Never with id 0. */
enum err zk_attach_and_close(const char *connect, const struct zk_session_ident *, int64_t deadline_ms, struct errbuf *) MUST_CHECK;

#endif
