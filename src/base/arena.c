/* SPDX-License-Identifier: Apache-2.0
 *
 * base/arena.c - see arena.h.
 *
 * THEORY  A list of blocks, newest first; allocation bumps the newest one.  A request that does not fit its rest opens a new block (the
 *         rest is lost), each ordinary block twice the size of the one before, up to BLOCK_MAX.  The cap counts bytes handed out, in
 *         steps of the alignment; with it the blocks stay within about twice the cap.
 *         --enable-arena-malloc gives every allocation a block of its own, so that ASan sees what runs over.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/must.h"

#define ALIGN		16u
#define BLOCK_MIN	992u	/* with its head within what malloc hands out without a lock (glibc: 1032 bytes), and enough for most requests */
#define BLOCK_MAX	65536u
#ifdef OTTLA_ARENA_MALLOC
#define KEEP_BLOCK	false
#else
#define KEEP_BLOCK	true
#endif

struct arena_block {
	struct arena_block *next;	/* older */
	size_t		    size, used;	/* of data */
	_Alignas(ALIGN) uint8_t data[];
};

struct arena_cleanup {
	struct arena_cleanup *next;	/* older; lives in the arena itself */
	void (*fn)(void *);
	void *ctx;
};

void
arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){ .cap = cap };
}

static void
run_cleanups(struct arena *a)
{
	struct arena_cleanup *c;

	while ((c = a->cleanups) != NULL) {
		a->cleanups = c->next;
		c->fn(c->ctx);
	}
}

static void
free_blocks(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void
arena_fini(struct arena *a)
{
	run_cleanups(a);
	free_blocks(a->blocks);
	*a = (struct arena){ 0 };
}

/* The block worth keeping: the largest of ordinary size. */
static struct arena_block *
take_best(struct arena *a)
{
	struct arena_block **best = NULL, *b;

	for (struct arena_block **bp = &a->blocks; *bp != NULL; bp = &(*bp)->next)
		if (KEEP_BLOCK && (*bp)->size <= BLOCK_MAX && (best == NULL || (*bp)->size > (*best)->size))
			best = bp;
	if (best == NULL)
		return (NULL);
	b = *best;
	*best = b->next;
	return (b);
}

void
arena_reset(struct arena *a)
{
	struct arena_block *keep;

	run_cleanups(a);
	keep = take_best(a);
	free_blocks(a->blocks);
	*a = (struct arena){ .cap = a->cap, .blocks = keep };
	if (keep != NULL) {
		keep->next = NULL;
		keep->used = 0;
	}
}

#ifdef OTTLA_ARENA_MALLOC
static struct arena_block *
block_for(struct arena *a, size_t size, size_t step)
{
	struct arena_block *b = malloc(sizeof(*b) + size);

	(void)step;
	if (b == NULL)
		return (NULL);
	*b = (struct arena_block){ .next = a->blocks, .size = size };
	a->blocks = b;
	return (b);
}
#else
static size_t
block_size(const struct arena *a, size_t need)
{
	size_t size = a->blocks == NULL ? BLOCK_MIN : MIN(a->blocks->size * 2, (size_t)BLOCK_MAX);

	return (MAX(size, need));
}

static struct arena_block *
block_for(struct arena *a, size_t size, size_t step)
{
	struct arena_block *b = a->blocks;

	(void)size;
	if (b != NULL && b->size - b->used >= step)
		return (b);
	size = block_size(a, step);
	b = malloc(sizeof(*b) + size);
	if (b == NULL)
		return (NULL);
	*b = (struct arena_block){ .next = a->blocks, .size = size };
	a->blocks = b;
	return (b);
}
#endif

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = NULL;
	size_t step = size == 0 ? ALIGN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	void *p;

	if (size <= SIZE_MAX - ALIGN && a->used <= a->cap && step <= a->cap - a->used)
		b = block_for(a, size, step);
	if (b == NULL) {
		a->full = true;
		return (NULL);
	}
	p = b->data + b->used;
	b->used = MIN(b->used + step, b->size);
	a->used += step;
	return (p);
}

void *
arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		a->full = true;
		return (NULL);
	}
	p = arena_alloc(a, bytes);
	if (p != NULL)
		memset(p, 0, bytes);
	return (p);
}

char *
arena_strndup(struct arena *a, const void *src, size_t len)
{
	char *s = len == SIZE_MAX ? NULL : arena_alloc(a, len + 1);

	if (s == NULL) {
		a->full = true;
		return (NULL);
	}
	if (len > 0)
		memcpy(s, src, len);
	s[len] = '\0';
	return (s);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0)
		s = arena_alloc(a, (size_t)n + 1);
	if (s != NULL)
		vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return (s);
}

struct slice
arena_dup(struct arena *a, struct slice src)
{
	char *s;

	if (src.p == NULL)
		return (SLICE_NULL);
	s = arena_strndup(a, src.p, src.len);
	return (s == NULL ? SLICE_NULL : slice_of(s, src.len));
}

bool
arena_on_end(struct arena *a, void (*fn)(void *), void *ctx)
{
	struct arena_cleanup *c = ARENA_NEW(a, struct arena_cleanup);

	must(fn != NULL);
	if (c == NULL)
		return (false);
	*c = (struct arena_cleanup){ a->cleanups, fn, ctx };
	a->cleanups = c;
	return (true);
}
