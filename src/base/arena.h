/* SPDX-License-Identifier: Apache-2.0
 *
 * base/arena.h - memory with the lifetime of one request: allocate, never free, drop all at once.
 *
 * Sticky overflow: an allocation past the cap returns NULL and sets `full`; the caller answers with a protocol error.  Memory from
 * arena_calloc is zeroed.  One owner, one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cdefs.h"
#include "base/slice.h"

struct arena_block;
struct arena_cleanup;

struct arena {
	struct arena_block   *blocks;	/* newest first */
	struct arena_cleanup *cleanups;
	size_t		      used;	/* bytes handed out */
	size_t		      cap;	/* hard limit for `used` */
	bool		      full;	/* an allocation was refused */
};

void  arena_init(struct arena *, size_t cap);
void  arena_fini(struct arena *);	/* runs cleanups (newest first), frees everything; usable again after arena_init */
void  arena_reset(struct arena *);	/* the same, but keeps one block and the cap */
void *arena_alloc(struct arena *, size_t);			/* 16-byte aligned, not zeroed; NULL and full past the cap */
void *arena_calloc(struct arena *, size_t n, size_t size);	/* zeroed, overflow-checked */
char *arena_strndup(struct arena *, const void *, size_t len);	/* NUL-terminated copy */
char *arena_printf(struct arena *, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct slice arena_dup(struct arena *, struct slice);		/* a null slice stays null */
/* fn(ctx) runs when the arena is reset or ended.  false: no room (fn will not run). */
bool  arena_on_end(struct arena *, void (*fn)(void *), void *ctx);

#define ARENA_NEW(a, type)	((type *)arena_calloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n)	((type *)arena_calloc((a), (n), sizeof(type)))

#endif
