/* SPDX-License-Identifier: Apache-2.0
 *
 * log/scan_int.h - walking the batches of a data file through a window of memory.
 *
 * Memory     One window; with `whole` it grows to the largest batch met, never above the bytes that are really in the file.
 */
#ifndef LOG_SCAN_INT_H
#define LOG_SCAN_INT_H

#include "base/fs.h"
#include "record/batch.h"

struct batch_scan {
	struct file *file;	/* borrowed */
	uint64_t     pos, end;	/* of the next batch; of the file's valid bytes */
	uint8_t	    *buf;
	size_t	     room, have;
	uint64_t     buf_pos;	/* file position of buf[0] */
	bool	     own;	/* buf is malloc'ed here */
	bool	     no_wait;	/* ERR_AGAIN instead of a read that might wait for the disk */
	bool	     forget;	/* pages that were not in memory before a read are dropped after it */
};

/* buf may be NULL: then `room` bytes are allocated (and freed by fini). */
void	 batch_scan_init(struct batch_scan *, struct file *, uint64_t pos, uint64_t end, void *buf, size_t room);
void	 batch_scan_fini(struct batch_scan *);
/* The header of the next batch and its position.  ERR_NOTFOUND: at the end, exactly.  ERR_CORRUPT: no whole batch begins here. */
enum err batch_scan_header(struct batch_scan *, struct batch_header *, uint64_t *at, struct errbuf *) MUST_CHECK;
/* The same with its bytes, valid until the next call.  Only for scans that own their buffer. */
enum err batch_scan_whole(struct batch_scan *, struct batch_header *, struct slice *whole, uint64_t *at, struct errbuf *) MUST_CHECK;

#endif
