/* SPDX-License-Identifier: Apache-2.0
 *
 * base/clock.h - monotonic and wall time through a table, so that tests run on virtual time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
	int64_t (*mono_ns)(struct clock *);	/* never goes back; for intervals and deadlines */
	int64_t (*wall_ms)(struct clock *);	/* milliseconds since the epoch; may jump; for timestamps that people and peers see */
};

struct clock *clock_real(void);

/* A clock that moves only when told to. */
struct clock_manual {
	struct clock clock;
	_Atomic int64_t now_ns;
	_Atomic int64_t wall_offset_ms;		/* wall = now_ns / 1e6 + this */
};
void clock_manual_init(struct clock_manual *, int64_t wall_ms);
void clock_manual_advance_ns(struct clock_manual *, int64_t ns);

static inline int64_t clock_mono_ns(struct clock *c) { return (c->mono_ns(c)); }
static inline int64_t clock_mono_ms(struct clock *c) { return (c->mono_ns(c) / 1000000); }
static inline int64_t clock_wall_ms(struct clock *c) { return (c->wall_ms(c)); }

#endif
