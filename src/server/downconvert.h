/* SPDX-License-Identifier: Apache-2.0
 *
 * server/downconvert.h - records for fetchers of old formats: converted a piece at a time, while they are sent.
 *
 * The length of the records stands in front of them, and only converting tells it.  So Kafka promises what is stored, or what the first batch
 * becomes if that is more, and keeps the promise: whatever is converted beyond it is cut off (old clients expect a partial message at the end),
 * what is missing is filled with the beginning of a batch longer than all that can follow, which they take for such a partial message too.
 * A batch that cannot be converted ends the records like that: the client comes back for it, as the first one, and is told why.
 *
 * begin runs on a worker, once (on one of the file's readers, where it has any); then the source is part of an answer and works as base/chain.h says.
 * Ownership  begin takes the range.  The source is the caller's until it moves into a chain.
 * Memory     A source at work: pieces of 128 KiB of stored bytes, or one batch when that is larger, and what they become.  A source that waits
 *            its turn holds what its first batch became, when the caller allows it.
 */
#ifndef SERVER_DOWNCONVERT_H
#define SERVER_DOWNCONVERT_H

#include "base/chain.h"
#include "base/kerr.h"
#include "record/codec.h"

struct downconvert {
	/* asked */
	struct file_range range;	/* of a log: whole batches, the last may be cut off */
	int8_t		 magic;		/* 0 or 1 */
	int64_t		 first_offset;	/* what the client asked for */
	bool		 keep;		/* what the first batch becomes; else it is converted a second time when it is sent */
	/* answered */
	enum kerr	 error;		/* UNSUPPORTED_COMPRESSION_TYPE is the partition's, any other the request's */
	uint64_t	 len;		/* promised */
	uint64_t	 kept;		/* bytes of memory the source holds now */
	struct chain_source *source;	/* NULL: len is 0, or error */
};

void downconvert_begin(struct downconvert *, struct codec_ctx *, struct errbuf *);

#endif
