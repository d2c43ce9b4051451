/* SPDX-License-Identifier: Apache-2.0
 *
 * zk/json.h - the contents of Kafka's znodes as structures.  Formats: Kafka 3.9, kafka.zk.ZkData.
 *
 * Ownership  Decoders allocate in the caller's arena: strings, lists and `raw` live as long as it.  Encoders return text in the arena
 *            (a null slice when it is full; then arena->full is set).
 * Unknown fields  `raw` keeps the text a structure was decoded from.  An encoder given a structure with `raw` set keeps the fields it
 *            does not know, so that a rewrite by us loses nothing a newer broker wrote.
 * Failure    Data that Kafka's own reader would refuse: ERR_MALFORMED (wrong type, required field missing, not JSON; the reason in errbuf),
 *            ERR_LIMIT when the arena is full.  Readers ignore unknown fields.  Key order in encoded text is ours; nobody may compare bytes.
 */
#ifndef ZK_JSON_H
#define ZK_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

struct zk_ints {
	int32_t	*v;
	uint32_t n;
};
bool zk_ints_has(struct zk_ints, int32_t);
bool zk_ints_eq(struct zk_ints, struct zk_ints);
struct zk_ints zk_ints_dup(struct arena *, struct zk_ints);	/* v == NULL with n > 0: arena full */

/* ---- /cluster/id ---- */
enum err zk_cluster_id_decode(struct arena *, struct slice, const char **id, struct errbuf *) MUST_CHECK;
struct slice zk_cluster_id_encode(struct arena *, const char *id);

/* ---- /controller ---- */
struct zk_controller_info {
	int32_t	broker_id;
	int64_t	timestamp_ms;		/* as text in the JSON; 0 when absent or odd */
	int32_t	kraft_epoch;		/* > 0: a KRaft controller holds it (migration); -1 or absent: ZooKeeper mode */
};
enum err zk_controller_decode(struct slice, struct zk_controller_info *, struct errbuf *) MUST_CHECK;
struct slice zk_controller_encode(struct arena *, const struct zk_controller_info *);

/* ---- /controller_epoch: decimal text ---- */
enum err zk_controller_epoch_decode(struct slice, int32_t *, struct errbuf *) MUST_CHECK;
struct slice zk_controller_epoch_encode(struct arena *, int32_t);

/* ---- /brokers/ids/N ---- */
enum zk_security_protocol { ZK_PLAINTEXT, ZK_SSL, ZK_SASL_PLAINTEXT, ZK_SASL_SSL };	/* numbered as Kafka's SecurityProtocol ids 0..3 */
const char *zk_security_protocol_name(enum zk_security_protocol);
bool zk_security_protocol_parse(const char *, enum zk_security_protocol *) MUST_CHECK;

struct zk_endpoint {
	const char *listener;		/* "PLAINTEXT" */
	enum zk_security_protocol protocol;
	const char *host;		/* without brackets; may be "" */
	int32_t	    port;
};
struct zk_feature_range { const char *name; int16_t min_version, max_version; };
struct zk_broker_info {
	int32_t	    id;			/* from the path, not in the JSON */
	int32_t	    version;		/* of the JSON: written as given (5 for IBP >= 2.7) */
	struct zk_endpoint *endpoints;	/* advertised */
	uint32_t    nendpoints;
	const char *rack;		/* NULL: none */
	int32_t	    jmx_port;		/* -1: none */
	int64_t	    timestamp_ms;
	struct zk_feature_range *features;
	uint32_t    nfeatures;
	struct slice raw;
};
enum err zk_broker_decode(struct arena *, int32_t id, struct slice, struct zk_broker_info *, struct errbuf *) MUST_CHECK;
struct slice zk_broker_encode(struct arena *, const struct zk_broker_info *);
const struct zk_endpoint *zk_broker_endpoint(const struct zk_broker_info *, const char *listener);	/* NULL: none */

/* ---- /brokers/topics/T ---- */
struct zk_topic_partition {
	int32_t	       id;
	struct zk_ints replicas;		/* includes those being added */
	struct zk_ints adding, removing;	/* empty unless being reassigned */
};
struct zk_topic_info {
	struct uuid id;			/* zero: the node has none (written by an old broker) */
	struct zk_topic_partition *partitions;	/* by id, ascending; Kafka expects 0..n-1 but the format does not ensure it */
	uint32_t    npartitions;
	struct slice raw;
};
enum err zk_topic_decode(struct arena *, struct slice, struct zk_topic_info *, struct errbuf *) MUST_CHECK;
struct slice zk_topic_encode(struct arena *, const struct zk_topic_info *);

/* ---- /brokers/topics/T/partitions/P/state.  The partition epoch is the znode's version, from its stat. ---- */
struct zk_partition_state {
	int32_t	       controller_epoch;
	int32_t	       leader;		/* -1: none */
	int32_t	       leader_epoch;
	struct zk_ints isr;
	int8_t	       leader_recovery_state;	/* 0 recovered (not written), 1 recovering after an unclean election */
	struct slice   raw;
};
enum err zk_partition_state_decode(struct arena *, struct slice, struct zk_partition_state *, struct errbuf *) MUST_CHECK;
struct slice zk_partition_state_encode(struct arena *, const struct zk_partition_state *);

/* ---- /config/TYPE/NAME ---- */
struct zk_config_item { const char *key, *value; };
struct zk_config {
	struct zk_config_item *items;
	uint32_t nitems;
	struct slice raw;
};
/* Null or empty data: no items.  ERR_MALFORMED: not a JSON object, where Java finds no settings; ERR_INVALID: a value is no text, and Java fails.
 * Without OK there are no items. */
enum err zk_config_decode(struct arena *, struct slice, struct zk_config *, struct errbuf *) MUST_CHECK;
struct slice zk_config_encode(struct arena *, const struct zk_config *);
const char *zk_config_value(const struct zk_config *, const char *key);	/* NULL: not set */

/* Which entity a config belongs to, and its path below /config ("users/u1/clients/<default>").  Names here are NOT sanitized. */
enum zk_entity_type { ZK_ENTITY_TOPIC, ZK_ENTITY_BROKER, ZK_ENTITY_CLIENT, ZK_ENTITY_USER, ZK_ENTITY_USER_CLIENT, ZK_ENTITY_IP };
struct zk_entity {
	enum zk_entity_type type;
	const char *name;		/* ZK_DEFAULT_ENTITY for defaults; brokers: decimal id */
	const char *client;		/* ZK_ENTITY_USER_CLIENT: the client id, or ZK_DEFAULT_ENTITY */
};
char *zk_entity_path(struct arena *, const struct zk_entity *);		/* "topics/foo"; NULL: arena full */
enum err zk_entity_parse(struct arena *, const char *entity_path, struct zk_entity *, struct errbuf *) MUST_CHECK;

/* ---- /config/changes/config_change_SEQ ---- */
enum err zk_config_change_decode(struct arena *, struct slice, struct zk_entity *, struct errbuf *) MUST_CHECK;	/* versions 1 and 2 */
struct slice zk_config_change_encode(struct arena *, const struct zk_entity *);

/* ---- lists of partitions: isr_change_SEQ, preferred_replica_election, reassign_partitions ---- */
struct zk_partition_ref { const char *topic; int32_t partition; struct zk_ints replicas /* reassignments only */; };
struct zk_partition_list { struct zk_partition_ref *v; uint32_t n; };
enum err zk_partition_list_decode(struct arena *, struct slice, struct zk_partition_list *, struct errbuf *) MUST_CHECK;
struct slice zk_partition_list_encode(struct arena *, const struct zk_partition_list *);
enum err zk_reassignment_decode(struct arena *, struct slice, struct zk_partition_list *, struct errbuf *) MUST_CHECK;
struct slice zk_reassignment_encode(struct arena *, const struct zk_partition_list *);

/* ---- log_dir_event_SEQ ---- */
enum err zk_log_dir_event_decode(struct slice, int32_t *broker_id, struct errbuf *) MUST_CHECK;
struct slice zk_log_dir_event_encode(struct arena *, int32_t broker_id);

/* ---- /latest_producer_id_block ---- */
struct zk_producer_id_block {
	int32_t	     broker_id;
	int64_t	     first, last;	/* inclusive */
	struct slice raw;		/* the decoder's input itself, not a copy */
};
enum err zk_producer_id_block_decode(struct slice, struct zk_producer_id_block *, struct errbuf *) MUST_CHECK;
struct slice zk_producer_id_block_encode(struct arena *, const struct zk_producer_id_block *);

/* ---- /feature ---- */
struct zk_feature_level { const char *name; int16_t min_version_level /* version 1 only */, max_version_level; };
struct zk_feature_info {
	int32_t version;		/* 1 or 2 */
	int32_t status;			/* 0 disabled, 1 enabled */
	struct zk_feature_level *levels;
	uint32_t nlevels;
	struct slice raw;
};
enum err zk_feature_decode(struct arena *, struct slice, struct zk_feature_info *, struct errbuf *) MUST_CHECK;
struct slice zk_feature_encode(struct arena *, const struct zk_feature_info *);

/* ---- /migration: read only, to refuse a cluster that moves to KRaft ---- */
struct zk_migration_info { int32_t kraft_controller_id, kraft_controller_epoch; int64_t kraft_metadata_offset; int32_t kraft_metadata_epoch; };
enum err zk_migration_decode(struct slice, struct zk_migration_info *, struct errbuf *) MUST_CHECK;

#endif
