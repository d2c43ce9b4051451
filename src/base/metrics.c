/* SPDX-License-Identifier: Apache-2.0
 *
 * base/metrics.c - see metrics.h.
 */
#include "base/metrics.h"
#include "base/must.h"

const char *
metric_name(enum metric id)
{
	static const char *const names[] = {
#define METRIC(kind, name, help)	#name,
#include "base/metrics.def"
#undef METRIC
	};

	must((unsigned)id < METRIC_COUNT_);
	return (names[id]);
}
