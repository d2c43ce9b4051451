/* SPDX-License-Identifier: Apache-2.0
 *
 * base/metrics.h - counters of one broker, rows of metrics.def.  Relaxed atomics; NULL is a valid sink that drops everything.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>
#include <stddef.h>

enum metric {
#define METRIC(kind, name, help)	METRIC_##name,
#include "base/metrics.def"
#undef METRIC
	METRIC_COUNT_
};

struct metrics {
	_Atomic int64_t value[METRIC_COUNT_];
};

static inline void
metric_add(struct metrics *m, enum metric id, int64_t n)
{
	if (m != NULL)
		__atomic_fetch_add((int64_t *)&m->value[id], n, __ATOMIC_RELAXED);
}

static inline int64_t
metric_get(struct metrics *m, enum metric id)
{
	return (m == NULL ? 0 : __atomic_load_n((int64_t *)&m->value[id], __ATOMIC_RELAXED));
}

const char *metric_name(enum metric);

#endif
