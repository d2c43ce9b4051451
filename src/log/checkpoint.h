/* SPDX-License-Identifier: Apache-2.0
 *
 * log/checkpoint.h - the small text files of a log directory and of a log.
 *
 * offset checkpoint	"0\n<count>\n" then "<topic> <partition> <offset>\n" per line
 * partition.metadata	"version: 0\ntopic_id: <22 characters>", no newline at the end
 * meta.properties	java.util.Properties: version=0, broker.id, cluster.id; directory.id and unknown keys are kept
 *
 * Every write is <name>.tmp, sync, rename, sync of the directory: after OK the new content is durable, after a crash either stands.
 * Threads: any; blocks.  Failure: ERR_NOENT, ERR_CORRUPT (words name file and line), or the disk's.
 */
#ifndef LOG_CHECKPOINT_H
#define LOG_CHECKPOINT_H

#include "base/fs.h"
#include "base/uuid.h"

struct checkpoint_entry {
	char   *topic;		/* malloc'ed */
	int32_t partition;
	int64_t offset;
};

struct checkpoint {		/* CHECKPOINT_INIT; entries in file order */
	struct checkpoint_entry *entries;
	uint32_t n, room;
};
#define CHECKPOINT_INIT	{ NULL, 0, 0 }

void	 checkpoint_add(struct checkpoint *, const char *topic, int32_t partition, int64_t offset);
const struct checkpoint_entry *checkpoint_find(const struct checkpoint *, const char *topic, int32_t partition);	/* after a sort or a read */
void	 checkpoint_fini(struct checkpoint *);
enum err checkpoint_read(struct fs *, const char *path, struct checkpoint *out, struct errbuf *) MUST_CHECK;	/* sorted by topic, partition */
enum err checkpoint_write(struct fs *, const char *path, const struct checkpoint *, struct errbuf *) MUST_CHECK;

enum err partition_metadata_read(struct fs *, const char *dir, struct uuid *, struct errbuf *) MUST_CHECK;
enum err partition_metadata_write(struct fs *, const char *dir, struct uuid, struct errbuf *) MUST_CHECK;
enum err partition_metadata_put(struct fs *, const char *dir, struct uuid, struct errbuf *) MUST_CHECK;	/* but the caller syncs dir */

struct meta_properties {
	int32_t version;	/* 0; 1 is KRaft's */
	int32_t broker_id;	/* -1: none */
	char	cluster_id[128];	/* "": none */
	char   *others;		/* lines of keys that are not ours, as they stood; malloc'ed, may be NULL */
};
enum err meta_properties_read(struct fs *, const char *dir, struct meta_properties *, struct errbuf *) MUST_CHECK;
enum err meta_properties_write(struct fs *, const char *dir, const struct meta_properties *, int64_t wall_ms, struct errbuf *) MUST_CHECK;
void	 meta_properties_fini(struct meta_properties *);

#endif
