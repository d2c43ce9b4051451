/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/scram.h - SCRAM credentials of users (ZkAdminManager's user SCRAM credentials).
 *
 * They stand in /config/users/U beside the user's quotas, as Kafka's ScramCredentialUtils writes them: salt, stored key, server key and iterations,
 * never the password.  No listener of ours asks for one yet; Java brokers of the same cluster do.
 */
#ifndef ADMIN_SCRAM_H
#define ADMIN_SCRAM_H

#include "admin/admin.h"

enum admin_scram_mechanism { ADMIN_SCRAM_SHA_256 = 1, ADMIN_SCRAM_SHA_512 = 2, ADMIN_SCRAM_END };	/* the numbers of the wire */

/* ---- describing ---- */
struct admin_scram_user {
	struct slice	 name;
	struct admin_outcome outcome;
	int32_t		 iterations[ADMIN_SCRAM_END];	/* by mechanism; 0: no such credential */
};

struct admin_describe_scram {
	struct admin_job job;
	const struct slice *names;	/* as asked for; nnames 0: all users that have a credential */
	int32_t		 nnames;
	/* answered */
	enum kerr	 error;		/* of the whole request */
	struct admin_scram_user *users;	/* each once: as asked for, or by name */
	int32_t		 nusers;
	void		*state;
};
void	 admin_describe_scram(struct admin *, struct admin_describe_scram *);

/* ---- changing ---- */
struct admin_scram_deletion { struct slice user; int8_t mechanism; };
struct admin_scram_upsertion { struct slice user; int8_t mechanism; int32_t iterations; struct slice salt, salted_password; };

struct admin_alter_scram {
	struct admin_job job;
	const struct admin_scram_deletion *deletions;
	int32_t		 ndeletions;
	const struct admin_scram_upsertion *upsertions;
	int32_t		 nupsertions;
	/* answered: all of a user's changes are made, or none */
	struct admin_scram_user *users;	/* by name; NULL: the whole request failed, and nothing is changed */
	int32_t		 nusers;
	void		*state;
};
void	 admin_alter_scram(struct admin *, struct admin_alter_scram *);

#endif
