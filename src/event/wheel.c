/* SPDX-License-Identifier: Apache-2.0
 *
 * event/wheel.c - see wheel_int.h.
 *
 * THEORY  Write a tick as digits of base 64.  A timer that is due at D while the wheel stands at `tick` hangs on the level of the highest
 *         digit in which D and tick differ, in the slot of that digit of D.
 *
 * INVARIANTS
 *   (1) a timer on level k agrees with `tick` in every digit above k, and its digit k is greater than that of `tick`.
 *   (2) so everything on level k is due before anything on level k + 1, and within a level the lowest slot comes first: the next thing to
 *       do is the lowest slot of the lowest level in use.
 *   (3) `tick` never moves past the start of a slot in use without emptying it; then its timers go down at least one level, or are due.
 */
#include "base/must.h"
#include "event/wheel_int.h"

static unsigned
digit(uint64_t tick, unsigned level)
{
	return ((unsigned)(tick >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1));
}

void
wheel_init(struct wheel *w, uint64_t tick)
{
	*w = (struct wheel){ .tick = tick };
}

void
wheel_add(struct wheel *w, struct timer *t, uint64_t due)
{
	unsigned level, slot;

	t->due_tick = due;
	if (due <= w->tick) {
		LIST_INSERT_HEAD(&w->expired, t, link);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(due ^ w->tick)) / WHEEL_BITS;
	must(level < WHEEL_LEVELS);
	slot = digit(due, level);
	LIST_INSERT_HEAD(&w->slots[level][slot], t, link);
	w->used[level] |= 1ull << slot;
}

/* The slot's bit stays; whoever finds the slot empty clears it. */
void
wheel_remove(struct timer *t)
{
	LIST_REMOVE(t, link);
}

/* The next slot with timers: rule (2).  False: none. */
static bool
next_slot(struct wheel *w, unsigned *level, unsigned *slot)
{
	for (*level = 0; *level < WHEEL_LEVELS; (*level)++)
		while (w->used[*level] != 0) {
			*slot = (unsigned)__builtin_ctzll(w->used[*level]);
			if (!LIST_EMPTY(&w->slots[*level][*slot]))
				return (true);
			w->used[*level] &= ~(1ull << *slot);
		}
	return (false);
}

static uint64_t
slot_start(const struct wheel *w, unsigned level, unsigned slot)
{
	unsigned shift = level * WHEEL_BITS;
	uint64_t above = (w->tick >> shift) & ~(uint64_t)(WHEEL_SLOTS - 1);

	return ((above | slot) << shift);
}

void
wheel_advance(struct wheel *w, uint64_t to)
{
	unsigned level, slot;
	struct timer *t;

	while (w->tick < to) {
		if (!next_slot(w, &level, &slot) || slot_start(w, level, slot) > to) {
			w->tick = to;
			break;
		}
		w->tick = slot_start(w, level, slot);
		w->used[level] &= ~(1ull << slot);
		while ((t = LIST_FIRST(&w->slots[level][slot])) != NULL) {
			LIST_REMOVE(t, link);
			wheel_add(w, t, t->due_tick);
		}
	}
}

uint64_t
wheel_next_work(struct wheel *w)
{
	unsigned level, slot;

	if (!LIST_EMPTY(&w->expired))
		return (w->tick);
	return (next_slot(w, &level, &slot) ? slot_start(w, level, slot) : UINT64_MAX);
}

uint64_t
wheel_next_due(struct wheel *w)
{
	unsigned level, slot;
	uint64_t next = UINT64_MAX;
	struct timer *t;

	if (!LIST_EMPTY(&w->expired))
		return (w->tick);
	if (next_slot(w, &level, &slot))
		LIST_FOREACH(t, &w->slots[level][slot], link)
			next = MIN(next, t->due_tick);
	return (next);
}
