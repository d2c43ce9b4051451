/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram.c - see histogram.h.
 */
#include <string.h>

#include "histogram.h"

void
histogram_reset(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

/* Octave 0 and 1 are the values below 2 * STEPS, one by one; each later octave has steps twice as wide. */
static unsigned
bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_STEPS)
		return ((unsigned)value);
	shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
	return ((shift + 1) * HISTOGRAM_STEPS + (unsigned)(value >> shift) - HISTOGRAM_STEPS);
}

static uint64_t
bucket_last(unsigned bucket)
{
	unsigned shift;

	if (bucket < HISTOGRAM_STEPS)
		return (bucket);
	shift = bucket / HISTOGRAM_STEPS - 1;
	return ((((uint64_t)HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS + 1) << shift) - 1);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	h->buckets[bucket_of(value)]++;
	h->count++;
	if (value > h->max)
		h->max = value;
}

uint64_t
histogram_percentile(const struct histogram *h, double percent)
{
	double exact = percent / 100 * (double)h->count;
	uint64_t rank = (uint64_t)exact, seen = 0, last;

	if ((double)rank < exact || rank == 0)
		rank++;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank && h->buckets[i] > 0) {
			last = bucket_last(i);
			return (last < h->max ? last : h->max);
		}
	}
	return (h->max);
}
