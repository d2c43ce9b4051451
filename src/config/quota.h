/* SPDX-License-Identifier: Apache-2.0
 *
 * config/quota.h - quotas as settings: their names, what may be set, how ZooKeeper has them.  Nothing here enforces one.
 */
#ifndef CONFIG_QUOTA_H
#define CONFIG_QUOTA_H

#include "base/err.h"
#include "base/kerr.h"
#include "config/map.h"

enum config_quota_of { QUOTA_OF_CLIENTS, QUOTA_OF_IPS };	/* of users, client ids and both together; of addresses */

bool	 config_quota_known(enum config_quota_of, const char *name);
/* A wish as it is stored.  INVALID_REQUEST: no such quota, or a fraction where there can be none; UNKNOWN_SERVER_ERROR: a user's credential, which
 * is no quota (Java has no better word for it either).  The text is malloc'ed. */
enum kerr config_quota_text(enum config_quota_of, const char *name, double value, char **text, struct errbuf *);
/* What is stored, as a number; false: it is none. */
bool	 config_quota_value(const char *text, double *) MUST_CHECK;
/* May this be written as all the settings of one entity?  Users may have SCRAM credentials beside their quotas. */
bool	 config_quotas_valid(enum config_quota_of, const struct config_map *, bool scram_allowed);

bool	 config_is_scram(const char *name);		/* SCRAM-SHA-256, SCRAM-SHA-512 */

#endif
