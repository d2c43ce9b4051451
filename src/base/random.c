/* SPDX-License-Identifier: Apache-2.0
 *
 * base/random.c - see random.h.  The seeded generator is splitmix64: a counter and a mixing function, so that threads may share it.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/must.h"
#include "base/random.h"

#define GOLDEN	0x9e3779b97f4a7c15u

static void
real_fill(struct random *r, void *buf, size_t len)
{
	uint8_t *p = buf;

	(void)r;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			must(errno == EINTR);
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}

struct random *
random_real(void)
{
	static struct random real = { real_fill };

	return (&real);
}

static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31));
}

static void
seeded_fill(struct random *r, void *buf, size_t len)
{
	struct random_seeded *s = CONTAINER_OF(r, struct random_seeded, random);
	uint8_t *p = buf;

	while (len > 0) {
		uint64_t x = mix(__atomic_add_fetch((uint64_t *)&s->state, GOLDEN, __ATOMIC_RELAXED));
		size_t n = MIN(len, sizeof(x));

		memcpy(p, &x, n);
		p += n;
		len -= n;
	}
}

void
random_seeded_init(struct random_seeded *s, uint64_t seed)
{
	s->random.fill = seeded_fill;
	s->state = seed;
}

uint64_t
random_u64(struct random *r)
{
	uint64_t x;

	r->fill(r, &x, sizeof(x));
	return (x);
}

uint32_t
random_below(struct random *r, uint32_t bound)
{
	uint32_t low;
	uint64_t x;

	must(bound > 0);
	/* Lemire: the high half of a product is uniform once the few low halves that would favour some values are thrown away. */
	do {
		x = (random_u64(r) >> 32) * bound;
		low = (uint32_t)x;
	} while (low < (0u - bound) % bound);
	return ((uint32_t)(x >> 32));
}
