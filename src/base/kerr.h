/* SPDX-License-Identifier: Apache-2.0
 *
 * base/kerr.h - Kafka's protocol error codes (org.apache.kafka.common.protocol.Errors).
 *
 * KERR_UNKNOWN_SERVER_ERROR is -1, KERR_NONE 0.  Any layer that decides a code uses this type; enum err becomes one only in server/errmap.
 */
#ifndef BASE_KERR_H
#define BASE_KERR_H

#include <stdint.h>

enum kerr {
#define KERR(code, name, text)	KERR_##name = code,
#include "base/kafka_errors.def"
#undef KERR
};

const char *kerr_name(enum kerr);	/* "OFFSET_OUT_OF_RANGE"; "?" for an unknown code */
const char *kerr_text(enum kerr);	/* our own words, for error_message fields; NULL for NONE */

#endif
