/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/config_int.h - shared by describe.c, alter.c, quotas.c and scram.c: broker ids, loggers, znodes.
 */
#ifndef ADMIN_CONFIG_INT_H
#define ADMIN_CONFIG_INT_H

#include "admin/admin.h"
#include "config/map.h"
#include "zk/json.h"

#define ADMIN_ROOT_LOGGER	"root"

bool	 admin_is_this_broker(const struct admin *, struct slice name, struct errbuf *);
void	 admin_config_map(const struct zk_config *, struct config_map *out);	/* out: empty */

/* What reading a node for a change said.  ERR_MALFORMED is OK: Java finds no settings there, and the change is the way out. */
enum err admin_config_given_up(const struct admin *, enum err, const struct errbuf *why);

const char *admin_logger_level(const struct diag *);		/* Java's name of the threshold */
bool	 admin_logger_parse(struct slice, enum diag_level *);

#endif
