/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/acl.h - who may do what: the schemes world, auth, digest and ip.
 *
 * Ownership  Identities copy what they are given.  A fixed ACL lives in the arena.
 * Source     PrepRequestProcessor.fixupACL, ZooKeeperServer.checkACL, DigestAuthenticationProvider, IPAuthenticationProvider of ZooKeeper 3.8.
 *            As there, ip knows IPv4 only.  No superuser: a password of one would have to be configured.
 */
#ifndef ZKSERVER_ACL_H
#define ZKSERVER_ACL_H

#include "base/arena.h"
#include "base/slice.h"
#include "zk/client.h"
#include "zkserver/jute.h"

struct acl_identity {
	char *scheme, *id;
};
struct acl_identities {			/* what a connection has proved */
	struct acl_identity *v;
	uint32_t n;
	size_t	 bytes;
};
void	 acl_identities_fini(struct acl_identities *);
bool	 acl_identity_add(struct acl_identities *, const char *scheme, const char *id);	/* once each; false: it would be too many, or too long */
/* An auth packet.  false: refused. */
bool	 acl_authenticate(struct acl_identities *, const char *host, const char *scheme, struct slice credentials);

/* The vector of a create or setACL, of at most LIMIT_ZK_ACL_ENTRIES_MAX: duplicates removed, `auth` replaced by what the connection has proved.  *fixed: null when it is open to
 * everybody (world:anyone with every permission, alone).  ZKE_INVALID_ACL, or ZKE_OK; a vector that cannot be read makes the reader bad. */
enum zke acl_fix(struct reader *, const struct acl_identities *, struct arena *, struct slice *fixed);
bool	 acl_permits(struct slice acl, const struct acl_identities *, unsigned perms);
/* The vector for an answer.  mask: the passwords' digests are replaced by "x". */
void	 acl_put(struct jute_out *, struct slice acl, bool mask);

#endif
