/* SPDX-License-Identifier: Apache-2.0
 *
 * server/errmap.h - the one place where an error of the world becomes one of Kafka's codes.
 */
#ifndef SERVER_ERRMAP_H
#define SERVER_ERRMAP_H

#include "base/err.h"
#include "base/kerr.h"

enum kerr errmap(enum err);	/* OK is NONE; what Java would not have foreseen is UNKNOWN_SERVER_ERROR */

#endif
