/* SPDX-License-Identifier: Apache-2.0
 *
 * group/records.h - keys and values of the records of __consumer_offsets.
 *
 * Ownership  Decoded slices borrow from the input, members live in the arena.
 * Threads    Any; nothing is shared.
 * Failure    ERR_MALFORMED: not such a key or value.  ERR_UNSUPPORTED: a version of a later Kafka (the loader skips it with a warning).
 * Source     OffsetCommitKey/Value and GroupMetadataKey/Value of Kafka's group coordinator; big endian, each begins with an i16 version:
 *	key 0, 1	string group, string topic, i32 partition		(1 is written)
 *	key 2		string group
 *	offset 0	i64 offset, string metadata, i64 commit time
 *	offset 1	... and i64 expire time					(written when the request set a retention)
 *	offset 2	as 0
 *	offset 3	i64 offset, i32 leader epoch, string metadata, i64 commit time	(written)
 *	offset 4	3 in the flexible form (compact strings, tagged fields)
 *	group 0		string protocol type, i32 generation, nullable string protocol, nullable string leader, array of members
 *			member: string id, client id, client host, i32 session time-out, bytes subscription, bytes assignment
 *	group 1		member: i32 rebalance time-out before the session's
 *	group 2		i64 time of the last change of state before the members
 *	group 3		member: nullable string instance id behind the id	(written)
 *	group 4		3 in the flexible form
 */
#ifndef GROUP_RECORDS_H
#define GROUP_RECORDS_H

#include "base/arena.h"
#include "base/err.h"
#include "group/group.h"

enum group_key_kind {
	GROUP_KEY_OFFSET,
	GROUP_KEY_GROUP,
};

struct group_key {
	enum group_key_kind kind;
	struct slice group, topic;	/* topic, partition: GROUP_KEY_OFFSET */
	int32_t	     partition;
};

struct offset_value {
	int64_t	     offset;
	int32_t	     leader_epoch;		/* -1 unknown */
	struct slice metadata;
	int64_t	     commit_timestamp_ms;
	int64_t	     expire_timestamp_ms;	/* -1: by offsets.retention.minutes */
};

enum err group_key_decode(struct slice, struct group_key *) MUST_CHECK;
enum err offset_value_decode(struct slice, struct offset_value *) MUST_CHECK;
enum err group_value_decode(struct slice, struct arena *, struct group_record *) MUST_CHECK;	/* ERR_LIMIT: the arena is full */

/* The versions that Kafka 3.9 writes.  Strings above 32767 bytes are our bug: requests cannot carry them. */
void	 group_key_encode(struct writer *, const struct group_key *);
void	 offset_value_encode(struct writer *, const struct offset_value *);
void	 group_value_encode(struct writer *, const struct group_record *);

#endif
