/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/paths.h - where Kafka keeps what in ZooKeeper.  All paths are relative to the chroot.
 *
 * struct zk_path is a value, good for one expression: zk_get(zk, zk_path_topic(name).s, ...).  A name too long for it (only topic names
 * and numbers go in, so: an invalid name) gives "", which every operation refuses with BAD_ARGUMENTS.
 */
#ifndef ZK_PATHS_H
#define ZK_PATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define ZK_CLUSTER_ID		"/cluster/id"
#define ZK_CONTROLLER		"/controller"
#define ZK_CONTROLLER_EPOCH	"/controller_epoch"
#define ZK_BROKER_IDS		"/brokers/ids"
#define ZK_BROKER_SEQID		"/brokers/seqid"
#define ZK_TOPICS		"/brokers/topics"
#define ZK_DELETE_TOPICS	"/admin/delete_topics"
#define ZK_REASSIGN_PARTITIONS	"/admin/reassign_partitions"
#define ZK_PREFERRED_ELECTION	"/admin/preferred_replica_election"
#define ZK_CONFIG		"/config"
#define ZK_CONFIG_CHANGES	"/config/changes"
#define ZK_CONFIG_CHANGE_PREFIX	"config_change_"
#define ZK_ISR_CHANGES		"/isr_change_notification"
#define ZK_ISR_CHANGE_PREFIX	"isr_change_"
#define ZK_LOG_DIR_EVENTS	"/log_dir_event_notification"
#define ZK_LOG_DIR_EVENT_PREFIX	"log_dir_event_"
#define ZK_PRODUCER_ID_BLOCK	"/latest_producer_id_block"
#define ZK_FEATURE		"/feature"
#define ZK_CONSUMERS		"/consumers"
#define ZK_MIGRATION		"/migration"
#define ZK_ACLS			"/kafka-acl"
#define ZK_ACLS_EXTENDED	"/kafka-acl-extended"
#define ZK_ACL_CHANGES		"/kafka-acl-changes"
#define ZK_ACL_EXTENDED_CHANGES	"/kafka-acl-extended-changes"
#define ZK_TOKENS		"/delegation_token/tokens"
#define ZK_TOKEN_CHANGES	"/delegation_token/token_changes"

#define ZK_DEFAULT_ENTITY	"<default>"	/* the entity name of defaults; never sanitized */

struct zk_path { char s[400]; };

struct zk_path zk_path_broker(int32_t id);				/* /brokers/ids/N */
struct zk_path zk_path_topic(const char *topic);			/* /brokers/topics/T */
struct zk_path zk_path_topic_partitions(const char *topic);		/* .../partitions */
struct zk_path zk_path_partition(const char *topic, int32_t partition);	/* .../partitions/P */
struct zk_path zk_path_partition_state(const char *topic, int32_t partition);	/* .../partitions/P/state */
struct zk_path zk_path_delete_topic(const char *topic);			/* /admin/delete_topics/T */
struct zk_path zk_path_topic_config(const char *topic);			/* /config/topics/T */
struct zk_path zk_path_broker_config(int32_t id);			/* /config/brokers/N; -1: <default> */
struct zk_path zk_path_child(const char *parent, const char *name);	/* parent/name, for names that ZooKeeper itself gave us */

/* "/brokers/topics/T" -> "T": the part behind prefix and '/', with no further '/'; NULL when the path is something else. */
const char *zk_path_below(const char *path, const char *prefix);

/* The number at the end of a sequential node ("config_change_0000000012" -> 12); false when name is not prefix + decimal digits. */
bool zk_sequence_of(const char *name, const char *prefix, int64_t *);

/* Names that may hold any character are stored as Java's URLEncoder writes them, '+' as %20 and '*' as %2A (Kafka's Sanitizer).
 * Result: malloc'ed.  desanitize: NULL when the text is not well-formed. */
char *zk_sanitize(struct slice name);
char *zk_desanitize(const char *sanitized);

/* Kafka keeps these readable by their creator only when zookeeper.set.acl is on (users, brokers, delegation tokens). */
bool zk_path_is_sensitive(const char *path);

/* The paths a broker makes sure of at start, in Kafka's order; NULL ends the list. */
extern const char *const zk_top_level_paths[];

#endif
