/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/session_record_int.h - shared by session_record.c (the file) and reclaim.c (what is done with it).
 */
#ifndef ZK_SESSION_RECORD_INT_H
#define ZK_SESSION_RECORD_INT_H

#include "zk/session_record.h"

bool session_record_boot_id(char out[40]);
bool session_record_lock_identity(const char *dir, uint64_t *dev, uint64_t *ino);

#endif
