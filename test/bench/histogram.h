/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.h - counts of latencies, from which percentiles are read: fixed memory, whatever is recorded, and less than 1 % wrong.
 *
 * A value falls into one of 128 equal steps between two powers of two (below 128 each value has its own).  A percentile is the upper end
 * of the step in which it lies, never above the largest value seen: it errs to the slow side.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BITS = 7, HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) * HISTOGRAM_STEPS };

struct histogram {
	uint64_t count, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void	 histogram_reset(struct histogram *);
void	 histogram_add(struct histogram *, uint64_t value);
/* The smallest value that so many per cent of the values do not exceed; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *, double percent);

#endif
