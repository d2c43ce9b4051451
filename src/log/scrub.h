/* SPDX-License-Identifier: Apache-2.0
 *
 * log/scrub.h - reads what nobody reads: closed segments, at so many bytes a second over all log directories, so that damage is told while
 * another replica still has the records.
 *
 * A pass goes through all logs by name, and in each through its closed segments: framing, checksums and offsets of the batches, and the three
 * indexes against them (the rules B1, B2, B3, I, T, X1, X2, F1 of rules.def; records inside batches are not inflated).  The first pass after a start
 * begins at a log chosen by chance and goes round, so that a broker that restarts often reaches all of them in the end without keeping a file.
 *
 * What is met once is looked at a second time, from the beginning of that segment; what is still so is told: an error line per file and rule (at
 * most LOG_FINDINGS_PER_FILE) with position, offset and remedy, at most once an hour however short the passes are (the first thousand, that is), and
 * metrics in each pass.  That a pass is through is told when its result is another one than the last, or once an hour.  Nothing is ever changed,
 * and a directory whose cold bytes cannot be read stays in service: nobody has asked for them yet.
 *
 * Ownership  It keeps an open file of its own and nothing of a log: logs are deleted, moved and cut without waiting for it.  A segment that is gone,
 *            or not what it was, when its turn comes is left without a word.  A deleted file's room is free a turn later.
 * Threads    scrubber_turn: a worker, one call at a time; it blocks.  scrubber_stop: any; the turn under way ends after the batch at hand.
 * Memory     One batch, the indexes of one segment, the names of all logs.
 * Cache      Pages that were not there before a read are dropped after it; reading ahead is switched off for its own descriptor.
 */
#ifndef LOG_SCRUB_H
#define LOG_SCRUB_H

#include "log/log_dirs.h"

struct scrubber;

struct scrubber *scrubber_new(struct log_dirs *, uint64_t bytes_per_second);
void scrubber_free(struct scrubber **);	/* no turn is under way */
/* Reads what the rate allows for the time since the last call, at most a second's worth. */
void scrubber_turn(struct scrubber *);
void scrubber_stop(struct scrubber *);

#endif
