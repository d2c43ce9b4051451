/* SPDX-License-Identifier: Apache-2.0
 *
 * base/uuid.h - 16-byte ids as Kafka writes them: topic ids, cluster id, directory ids (org.apache.kafka.common.Uuid).
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/random.h"
#include "base/slice.h"

struct uuid { uint8_t b[16]; };		/* big endian, as on the wire */

#define UUID_ZERO		((struct uuid){ { 0 } })
#define UUID_TEXT_LEN		22	/* base64url without padding */

static inline bool uuid_eq(struct uuid a, struct uuid b) { return (memcmp(a.b, b.b, 16) == 0); }
static inline bool uuid_is_zero(struct uuid a) { return (uuid_eq(a, UUID_ZERO)); }

struct uuid uuid_random(struct random *);	/* version 4; never a reserved id, and its text never starts with '-' */
void	    uuid_format(struct uuid, char out[UUID_TEXT_LEN + 1]);
bool	    uuid_parse(struct slice text, struct uuid *) MUST_CHECK;	/* 22 characters, base64url */
void	    uuid_hex(struct uuid, char out[33]);	/* 32 lower-case hex digits, as in -delete directory names */

#endif
