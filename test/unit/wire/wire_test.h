/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_test.h - what the suites of the wire share.
 */
#ifndef TEST_WIRE_TEST_H
#define TEST_WIRE_TEST_H

#include <stdlib.h>

#include "base/arena.h"
#include "base/limits.h"
#include "test/unit/unit.h"
#include "wire/walker.h"

/* The chain as one run of bytes, exactly sized on the heap; memory items only. */
static inline struct slice
chain_flat(const struct chain *c)
{
	uint8_t *p = malloc(c->len > 0 ? c->len : 1), *at = p;

	for (const struct chain_item *i = c->first; i != NULL; i = i->next) {
		memcpy(at, i->mem.p, i->mem.len);
		at += i->mem.len;
	}
	return (slice_of(p, c->len));
}

static inline void
slice_free(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

/* Encodes; a null slice when that fails. */
static inline struct slice
encoded(const struct wire_message *m, int version, void *msg, struct arena *arena, struct errbuf *eb)
{
	struct chain out;

	chain_init(&out);
	if (wire_encode(m, version, msg, arena, &out, eb) != OK)
		return (SLICE_NULL);
	return (chain_flat(&out));
}

/* Decodes all of in. */
static inline enum err
decoded(const struct wire_message *m, int version, struct slice in, struct arena *arena, void **msgp, struct errbuf *eb)
{
	enum err e;

	*msgp = arena_calloc(arena, 1, m->root->size);
	if (*msgp == NULL)
		return (ERR_LIMIT);
	e = wire_decode(m, version, &in, arena, *msgp, eb);
	return (e == OK && in.len != 0 ? ERR_INVALID : e);
}

#endif
