/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/age.h - how old is the first record of a partition at or behind an offset?  Asked of many partitions at once.
 */
#ifndef TOOLS_AGE_H
#define TOOLS_AGE_H

#include "tools/cluster.h"

struct age {
	const char *topic;
	int32_t partition, leader;
	int64_t offset, end;		/* where it is looked for: not below the first, and no further than the second; the first moves on */
	int64_t *ms;			/* the answer: 0, there is no record left; untouched, it is not known */
	/* age.c's; zero */
	unsigned level, steps;
	bool asked;
};

/* In any order, which it changes; each partition once.  false: a broker could not be asked, complained. */
bool	 ages_find(struct cluster *, struct age *, size_t n);

#endif
