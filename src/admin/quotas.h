/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/quotas.h - reading and changing the quotas of users, client ids and addresses (ZkAdminManager's client quotas).
 *
 * They stand in /config/users/U, /config/users/U/clients/C, /config/clients/C and /config/ips/A; a change comes with a notification.  Java's
 * brokers enforce them; we keep them, and say so when one is written.
 */
#ifndef ADMIN_QUOTAS_H
#define ADMIN_QUOTAS_H

#include "admin/admin.h"

/* Who: up to one name of each type. */
enum admin_quota_type { ADMIN_QUOTA_USER, ADMIN_QUOTA_CLIENT_ID, ADMIN_QUOTA_IP, ADMIN_QUOTA_TYPES };
extern const char *const admin_quota_type_names[ADMIN_QUOTA_TYPES];	/* "user", "client-id", "ip" */

/* ---- describing ---- */
enum admin_quota_match { ADMIN_QUOTA_EXACT = 0, ADMIN_QUOTA_DEFAULT = 1, ADMIN_QUOTA_ANY = 2 };	/* the numbers of the wire */

struct admin_quota_filter {
	struct slice	 type;
	int8_t		 match;		/* as received */
	struct slice	 name;		/* of an exact match */
};

struct admin_quota_value { const char *name; double value; };

struct admin_quota_row {
	struct admin_quota_row *next;
	bool		 given[ADMIN_QUOTA_TYPES];
	struct slice	 names[ADMIN_QUOTA_TYPES];	/* null: the default */
	struct admin_quota_value *values;
	int32_t		 nvalues;
};

struct admin_describe_quotas {
	struct admin_job job;
	const struct admin_quota_filter *filters;
	int32_t		 nfilters;
	bool		 strict;	/* entities that have a type without a filter do not match */
	/* answered */
	struct admin_outcome outcome;
	struct admin_quota_row *rows;	/* in no order */
	int32_t		 nrows;
	void		*state;
};
void	 admin_describe_quotas(struct admin *, struct admin_describe_quotas *);

/* ---- changing ---- */
struct admin_quota_part { struct slice type, name; };	/* name null: the default */
struct admin_quota_op { struct slice key; double value; bool remove; };

struct admin_quota_change {
	const struct admin_quota_part *parts;	/* each type once */
	int32_t		 nparts;
	const struct admin_quota_op *ops;
	int32_t		 nops;
	bool		 unresolvable;	/* its address is none, and no host's name (the caller has asked) */
	struct admin_outcome outcome;
};

struct admin_alter_quotas {
	struct admin_job job;
	struct admin_quota_change *changes;	/* one after the other */
	int32_t		 nchanges;
	bool		 validate_only;
	void		*state;
};
void	 admin_alter_quotas(struct admin *, struct admin_alter_quotas *);

#endif
