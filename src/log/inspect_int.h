/* SPDX-License-Identifier: Apache-2.0
 *
 * log/inspect_int.h - shared by the files that verify, repair and compare logs.
 */
#ifndef LOG_INSPECT_INT_H
#define LOG_INSPECT_INT_H

#include "log/inspect.h"
#include "log/log_int.h"

void	 finding_add(struct log_findings *, enum log_rule, bool violation, const char *path, int64_t offset, int64_t position, const char *fmt, ...)
    PRINTF_LIKE(7, 8);
int	 string_ptr_cmp(const void *, const void *);	/* qsort of char * */

struct bytes {			/* growing */
	uint8_t *p;
	size_t	 len, room;
};
void	 bytes_add(struct bytes *, const void *, size_t);

/* One index of a segment on its way through the batches. */
struct index_walk {
	char	*path;
	struct log_index_rows rows;
	uint32_t next;			/* first row not met yet */
	bool	 missing, bad;
	struct bytes anew;		/* what the file should be */
};

struct epoch_run {
	int32_t epoch;
	int64_t first, last;
};

struct walk {			/* one pass over one partition */
	struct fs *fs;
	const char *dir;
	const struct log_place *place;
	const struct log_progress *progress;
	struct log_report *report;
	struct log_files files;
	struct codec_ctx *codecs;
	struct producer_state *producers;
	bool	 whole_history;		/* producers are known from the log's very beginning or a snapshot there */
	bool	 gaps;			/* offsets are missing: compacted */
	bool	 stopped;		/* a file could not be walked to its end: what follows says nothing of producers */
	int64_t	 next;			/* offset expected */
	int64_t	 recovery_point, start;	/* as checkpointed; 0 */
	uint32_t next_snapshot;
	struct epoch_run *runs;		/* as the batches say, in order */
	uint32_t nruns, runs_room;
	uint64_t total, done, told;
	/* of the segment */
	uint32_t segment;
	int64_t	 base, limit;		/* its offsets: base <= o < limit */
	char	*path;
	bool	 last;			/* the active one */
	bool	 strict;		/* closed: its indexes are trimmed and complete */
	bool	 rebuilt;		/* the next start makes its indexes anew, whatever they are */
	struct index_walk offsets, times, txns;
	int64_t	 max_timestamp, max_timestamp_offset;
	uint64_t last_indexed;
	int64_t	 last_index_offset;
};

static inline bool
walk_is_live(const struct walk *w)
{
	return (w->place != NULL && w->place->holder != 0);
}

/* verify.c */
void	 segment_report_fini(struct log_segment_report *);

/* verify_index.c */
enum err indexes_begin(struct walk *, struct errbuf *);
void	 indexes_batch(struct walk *, const struct batch_header *, uint64_t at);
void	 indexes_marker(struct walk *, const struct batch_header *, const struct producer_batch_facts *, const struct completed_txn *ended);
void	 indexes_end(struct walk *, struct log_segment_report *);

/* verify_batch.c: true: the batch is good enough to stay. */
bool	 batch_verify_outside(struct walk *, const struct batch_header *, struct slice whole, uint64_t at);	/* B2 and B3 only */
bool	 batch_verify(struct walk *, const struct batch_header *, struct slice whole, uint64_t at);

/* verify_state.c */
void	 state_begin(struct walk *);
void	 state_batch(struct walk *, const struct batch_header *, struct slice whole, uint64_t at);
void	 state_snapshots_to(struct walk *, int64_t offset);	/* compares those at or below */
void	 state_end(struct walk *);

#endif
