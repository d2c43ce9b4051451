/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/fuzz.h - what a fuzz target is, and what it checks with.
 *
 * A target is one file that defines fuzz_one and fuzz_seeds.  It is linked with libfuzzer.c where the compiler brings a fuzzer
 * (configure --enable-fuzz), with driver.c everywhere else: that one replays seeds and regression inputs as a test of `make check`.
 *
 * Ownership  The input is borrowed, on the heap, of exactly its length: ASan sees a read behind it.
 * Rules      fuzz_one keeps nothing from one input to the next (a finding must be found again from its file alone), asks no clock and no
 *            randomness but what the input seeds, and frees all it takes.  It may overwrite nothing of the input.
 * Failure    A property that does not hold ends the process with words: FUZZ_CHECK.  So do must(), the sanitizers, and time or memory out.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/slice.h"

void fuzz_one(struct slice input);

/* Gives every seed: small valid inputs, made of golden files (below fuzz_srcdir) and of our own encoders. */
typedef void fuzz_give(void *ctx, struct slice);
void fuzz_seeds(fuzz_give *, void *ctx);

/* ---- the same in every target: fuzz.c ---- */
unsigned fuzz_write_seeds(const char *dir);	/* a file each; how many */
const char *fuzz_srcdir(void);		/* top of the source tree */
NORETURN void fuzz_failed(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define FUZZ_CHECK(x)		do { if (UNLIKELY(!(x))) fuzz_failed(__FILE__, __LINE__, "%s", #x); } while (0)
#define FUZZ_CHECKF(x, ...)	do { if (UNLIKELY(!(x))) fuzz_failed(__FILE__, __LINE__, __VA_ARGS__); } while (0)

/* Takes from the front of the input what a target needs for its own choices; 0 and empty at its end. */
uint8_t	 fuzz_u8(struct slice *);
uint16_t fuzz_u16(struct slice *);	/* big endian */
struct slice fuzz_take(struct slice *, size_t n);	/* at most n bytes */
char	*fuzz_text(struct slice);	/* NUL-terminated copy; free() it */

/* A seed made of a head (the target's choices) and a body. */
void	 fuzz_give2(fuzz_give *, void *ctx, const void *head, size_t head_len, struct slice body);
/* A golden file, NULL when there is none; free() p.  fuzz_unhex: what fits into room. */
struct slice fuzz_golden(const char *path_below_srcdir);
size_t	 fuzz_unhex(const char *hex, size_t hex_len, uint8_t *, size_t room);

#endif
