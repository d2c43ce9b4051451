/* SPDX-License-Identifier: Apache-2.0
 *
 * base/clock.c - see clock.h.
 */
#include <time.h>

#include "base/cdefs.h"
#include "base/clock.h"
#include "base/must.h"

static int64_t
read_ns(clockid_t id)
{
	struct timespec ts;

	must_zero(clock_gettime(id, &ts));
	return ((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

static int64_t
real_mono_ns(struct clock *c)
{
	(void)c;
	return (read_ns(CLOCK_MONOTONIC));
}

static int64_t
real_wall_ms(struct clock *c)
{
	(void)c;
	return (read_ns(CLOCK_REALTIME) / 1000000);
}

struct clock *
clock_real(void)
{
	static struct clock real = { real_mono_ns, real_wall_ms };	/* constant after the linker */

	return (&real);
}

static int64_t
manual_mono_ns(struct clock *c)
{
	return (CONTAINER_OF(c, struct clock_manual, clock)->now_ns);
}

static int64_t
manual_wall_ms(struct clock *c)
{
	struct clock_manual *m = CONTAINER_OF(c, struct clock_manual, clock);

	return (m->now_ns / 1000000 + m->wall_offset_ms);
}

/* Monotonic time begins at one second: 0 often means "never" to whoever keeps a time. */
void
clock_manual_init(struct clock_manual *m, int64_t wall_ms)
{
	m->clock = (struct clock){ manual_mono_ns, manual_wall_ms };
	m->now_ns = 1000000000;
	m->wall_offset_ms = wall_ms - 1000;
}

void
clock_manual_advance_ns(struct clock_manual *m, int64_t ns)
{
	must(ns >= 0);
	m->now_ns += ns;
}
