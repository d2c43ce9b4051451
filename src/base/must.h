/* SPDX-License-Identifier: Apache-2.0
 *
 * base/must.h - assertions about our own code.  They stay on in release builds and abort with a dump.
 *
 * Never used on what a peer, a disk or ZooKeeper said: those are errors (err.h, kerr.h).
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include <stdint.h>

#include "base/cdefs.h"

NORETURN void must_failed(const char *file, int line, const char *function, const char *what);

#define must(x)		do { if (UNLIKELY(!(x))) must_failed(__FILE__, __LINE__, __func__, #x); } while (0)
#define must_zero(x)	do { if (UNLIKELY((x) != 0)) must_failed(__FILE__, __LINE__, __func__, #x " != 0"); } while (0)
#define unreachable(why) must_failed(__FILE__, __LINE__, __func__, why)

/* Called by must_failed after its own line, to print what the process was doing.  May be NULL.  Set once, by main. */
extern void (*must_dump)(void);

/* A magic number as first member tells a live object from freed or foreign memory. */
struct magic { uint32_t value; };
#define MAGIC_OK(p, m)	must((p) != NULL && (p)->magic.value == (m))

#endif
