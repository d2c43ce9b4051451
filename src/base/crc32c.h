/* SPDX-License-Identifier: Apache-2.0
 *
 * base/crc32c.h - CRC-32C (Castagnoli), as in record batches and producer snapshots, on ISA-L.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *, size_t);				/* of one buffer, any length */
uint32_t crc32c_extend(uint32_t crc, const void *, size_t);	/* crc32c(a||b) == crc32c_extend(crc32c(a), b); start with 0 */

#endif
