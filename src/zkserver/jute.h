/* SPDX-License-Identifier: Apache-2.0
 *
 * zkserver/jute.h - ZooKeeper's encoding: big-endian numbers, lengths of 32 bits, -1 for a null string, buffer or vector.
 *
 * Reading    By base/slice.h's reader (rd_i32, rd_i64); a bad length makes it bad, after which everything reads as zero or null: ask once, at the end.
 * Writing    A buffer that grows; what it holds is ours, so it has no limit of its own.
 * Threads    One at a time.
 * Source     zookeeper.jute and BinaryInputArchive of ZooKeeper 3.8.
 */
#ifndef ZKSERVER_JUTE_H
#define ZKSERVER_JUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "zk/client.h"

struct slice jute_bytes(struct reader *);		/* borrowed; a null slice for null */
/* A copy that ends with a 0; NULL for null.  One with a 0 inside is *odd: no path, no scheme has one. */
char	*jute_string(struct reader *, struct arena *, bool *odd);
/* Of a vector: -1 for null.  No more than the bytes left can hold, each element taking element_min. */
int32_t	 jute_count(struct reader *, size_t element_min);

struct jute_out {
	uint8_t	*p;
	size_t	 len, room;
};
void	 jute_out_fini(struct jute_out *);
void	 jute_put_i32(struct jute_out *, int32_t);
void	 jute_put_i64(struct jute_out *, int64_t);
void	 jute_put_bool(struct jute_out *, bool);
void	 jute_put_bytes(struct jute_out *, struct slice);	/* with its length; null: -1 */
void	 jute_put_string(struct jute_out *, const char *);	/* NULL: null */
void	 jute_put_raw(struct jute_out *, struct slice);
void	 jute_put_stat(struct jute_out *, const struct zk_stat *);
/* Frames: begin leaves room for the length, end fills it in. */
size_t	 jute_frame_begin(struct jute_out *);
void	 jute_frame_end(struct jute_out *, size_t begun);

#endif
