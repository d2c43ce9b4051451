/* SPDX-License-Identifier: Apache-2.0
 *
 * base/crc32c.c - see crc32c.h.  ISA-L's crc32_iscsi computes the bare remainder: the inversions before and after are the caller's.
 */
#include <isa-l/crc.h>

#include "base/cdefs.h"
#include "base/crc32c.h"

#define STEP_MAX	((size_t)1 << 30)	/* ISA-L takes an int */

uint32_t
crc32c_extend(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint32_t c = ~crc;

	while (len > 0) {
		size_t n = MIN(len, STEP_MAX);

		/* The prototype lacks const; the bytes are only read. */
		c = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, c);
		p += n;
		len -= n;
	}
	return (~c);
}

uint32_t
crc32c(const void *buf, size_t len)
{
	return (crc32c_extend(0, buf, len));
}
