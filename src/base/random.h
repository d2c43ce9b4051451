/* SPDX-License-Identifier: Apache-2.0
 *
 * base/random.h - random bytes through a table: the kernel's, or a seeded generator for tests.  Safe from any thread.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
	void (*fill)(struct random *, void *, size_t);
};

struct random *random_real(void);		/* getrandom(2); never fails after boot */

struct random_seeded {				/* reproducible; not for secrets */
	struct random random;
	_Atomic uint64_t state;
};
void random_seeded_init(struct random_seeded *, uint64_t seed);

uint64_t random_u64(struct random *);
uint32_t random_below(struct random *, uint32_t bound);	/* uniform in [0, bound); bound > 0 */

#endif
