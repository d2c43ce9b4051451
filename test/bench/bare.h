/* SPDX-License-Identifier: Apache-2.0
 *
 * bare.h - the least that can be done with a client's records: what bare.c's programs are made of.
 *
 * A broker that is measured beside a bare program under the same client shows what it does beyond the work that nobody can avoid: bytes out of
 * a socket, a checksum, a step over every record, bytes into the page cache; and back, from the page cache into a socket.  There is one topic,
 * whatever it is called, and no group, no segment, no index file, no sync, nothing that survives the process.
 *
 * Ownership  A bare_log owns its file, an answer the ranges in it until they are sent.  Requests lie in the connection's buffer until their
 *            answer is sent.
 * Threads    One.  Nothing here may be called from a second.
 * Failure    What a client sent wrong is answered, or closes its connection; what goes wrong with the disk or the machine ends the program with
 *            words and status 1.  A frame beyond FRAME_MAX closes the connection.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/kerr.h"
#include "record/codec.h"
#include "wire/frame.h"

/* What is done with a Produce request. */
enum bare_work {
	BARE_WALK,	/* checksum, a step over every record that is not compressed, pwrite */
	BARE_INFLATE,	/* the same, and compressed records are decompressed and stepped over, too */
	BARE_ECHO	/* the frame as it came, by its length alone: pwrite, and the answer that the connection's first one got */
};

/* ---- bare_log.c: a partition ---- */
struct bare_batch {
	int64_t	 base_offset;
	uint64_t position;
};

struct bare_log {
	struct file	  *file;	/* DIRECTORY/PARTITION.log: batches as a broker would store them, or frames (BARE_ECHO) */
	uint64_t	   size;
	int64_t		   next_offset;
	struct bare_batch *batches;	/* all of them, so that a Fetch need not look into the file */
	size_t		   n, room;
};

void	  bare_log_open(struct bare_log *, const char *directory, int32_t partition);	/* empty, whatever was there */
void	  bare_log_close(struct bare_log *);
/* One request's batches, checked as `work` says; offsets are written into them, in place.  KERR_CORRUPT_MESSAGE or KERR_INVALID_RECORD: nothing
 * of the batch that is wrong, nor of those behind it, was written. */
enum kerr bare_log_append(struct bare_log *, enum bare_work, struct codec_ctx *, struct slice records, int64_t *base_offset) MUST_CHECK;
void	  bare_log_append_bytes(struct bare_log *, struct slice);
/* Whole batches from the one that holds `offset` on: at least one, otherwise at most len_max bytes.  false: there are none yet. */
bool	  bare_log_read(const struct bare_log *, int64_t offset, uint64_t len_max, struct file_range *) MUST_CHECK;

/* ---- bare_api.c: answers ---- */
enum { BARE_ANY = -1, BARE_NONE = -2 };

struct bare {
	enum bare_work	   work;
	uint16_t	   port;
	int32_t		   partitions;
	struct bare_log	  *logs;
	struct codec_ctx  *codec;
	int32_t		   appended;	/* the partition of what the last request wrote; BARE_ANY: of several; BARE_NONE: it wrote nothing */
};

struct bare_wait {
	int	ms;
	int32_t partition;	/* the only one that the Fetch names, or BARE_ANY */
};

enum bare_answer {
	BARE_ANSWERED,		/* *out is the frame to send; empty when the client wants none */
	BARE_LATER,		/* a Fetch that finds nothing: ask again when something was appended there, or with `late` when its time is over */
	BARE_REFUSED		/* close the connection */
};

/* A whole request behind its length.  The arena holds the answer.  *wait: of a Fetch that is to be asked again. */
enum bare_answer bare_answer(struct bare *, struct slice frame, bool late, struct arena *, struct chain *out, struct bare_wait *wait) MUST_CHECK;

#endif
