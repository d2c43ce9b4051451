/* SPDX-License-Identifier: Apache-2.0
 *
 * base/limits.h - the rows of limits.def as constants.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
#define LIMIT(name, value, why)	LIMIT_##name = value,
#include "base/limits.def"
#undef LIMIT
};

#endif
