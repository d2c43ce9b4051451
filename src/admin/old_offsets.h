/* SPDX-License-Identifier: Apache-2.0
 *
 * admin/old_offsets.h - offsets of consumers in ZooKeeper, as before Kafka 0.8.2: /consumers/GROUP/offsets/TOPIC/PARTITION, a number as text.
 *
 * Version 0 of OffsetCommit and OffsetFetch is about these, and about nothing else: the group coordinator does not know them.
 */
#ifndef ADMIN_OLD_OFFSETS_H
#define ADMIN_OLD_OFFSETS_H

#include "admin/admin.h"

struct old_offset {
	struct slice	 topic;		/* known to the image */
	int32_t		 partition;
	int64_t		 offset;	/* to store, or found */
	struct slice	 metadata;	/* is not stored; too long a one is OFFSET_METADATA_TOO_LARGE all the same */
	enum kerr	 error;		/* nothing found: UNKNOWN_TOPIC_OR_PARTITION; a group that no path can hold: UNKNOWN_SERVER_ERROR */
};

struct old_offsets {
	struct admin_job job;
	struct slice	 group;
	struct old_offset *items;	/* those of one partition side by side: the last one counts */
	uint32_t	 nitems;
	void		*state;		/* the admin's */
};
void	 admin_store_old_offsets(struct admin *, struct old_offsets *);
void	 admin_load_old_offsets(struct admin *, struct old_offsets *);

#endif
