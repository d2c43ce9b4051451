/* SPDX-License-Identifier: Apache-2.0
 *
 * server/authorized.h - the authorized-operations bit fields of Metadata, DescribeCluster and DescribeGroups.
 *
 * Bit n stands for the AclOperation with code n.  Without an authorizer every operation of a resource is allowed (AclEntry.supportedOperations).
 */
#ifndef SERVER_AUTHORIZED_H
#define SERVER_AUTHORIZED_H

#include <stdint.h>

enum acl_operation {
	ACL_READ = 3, ACL_WRITE, ACL_CREATE, ACL_DELETE, ACL_ALTER, ACL_DESCRIBE, ACL_CLUSTER_ACTION, ACL_DESCRIBE_CONFIGS, ACL_ALTER_CONFIGS,
	ACL_IDEMPOTENT_WRITE
};

#define AUTHORIZED_NOT_ASKED	INT32_MIN
#define AUTHORIZED_TOPIC_ALL	(1 << ACL_READ | 1 << ACL_WRITE | 1 << ACL_CREATE | 1 << ACL_DELETE | 1 << ACL_ALTER | 1 << ACL_DESCRIBE | \
	1 << ACL_DESCRIBE_CONFIGS | 1 << ACL_ALTER_CONFIGS)
#define AUTHORIZED_GROUP_ALL	(1 << ACL_READ | 1 << ACL_DELETE | 1 << ACL_DESCRIBE)
#define AUTHORIZED_CLUSTER_ALL	(1 << ACL_CREATE | 1 << ACL_ALTER | 1 << ACL_DESCRIBE | 1 << ACL_CLUSTER_ACTION | 1 << ACL_DESCRIBE_CONFIGS | \
	1 << ACL_ALTER_CONFIGS | 1 << ACL_IDEMPOTENT_WRITE)

#endif
